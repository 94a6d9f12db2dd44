//! What people are told about a pack.

use super::*;
use crate::pack::TrustSummary;

#[test]
fn a_pack_says_what_its_executors_use() {
    let files = with_executor(&format!(
        "{CLI}secrets: [{{name: API_KEY}}]\nisolation: {{network: true, binaries: [ffmpeg]}}\n"
    ));
    let warnings = accepts(&files).warnings;
    let undisclosed: Vec<&str> =
        warnings.iter().filter(|one| one.rule == "undisclosed").map(|one| one.message.as_str()).collect();
    assert_eq!(
        undisclosed,
        [
            "`media_tools.cut` declares `secrets`, and the pack does not declare `environment`",
            "`media_tools.cut` runs `isolation.binaries`, and the pack does not declare `subprocess`",
            "`media_tools.cut` says `isolation.network`, and the pack does not declare `network`",
        ]
    );
    assert!(warnings.has_rule("secret"));
    warns(&pack("dependencies: {python: ['rm -rf /']}\n", &[]), "dependency");
    warns(&pack("dependencies: {npm: ['!x']}\n", &[]), "dependency");
    warns(&pack("dependencies: {system: ['$(x)']}\n", &[]), "dependency");
    let fine = "dependencies: {python: ['numpy>=1.2; python_version > \"3\"', 'uvicorn[standard]'], npm: ['@a/b@1', three], system: [ffmpeg, g++]}\n";
    assert!(accepts(&pack(fine, &[])).warnings.is_empty());
}

#[test]
fn old_secrets_are_read_with_a_warning() {
    let files =
        pack("secrets: {required: [API_KEY]}\npermissions: [{id: environment, reason: reads a key}]\n", &[]);
    assert_eq!(warns(&files, "old-form").line, 5);
    let summary = TrustSummary::of(&accepts(&files).value);
    assert_eq!(summary.declared_secrets, ["API_KEY (required)"]);
}

#[test]
fn a_folder_is_called_as_its_pack() {
    let files = pack("", &[]);
    let contents = accepts(&files).value;
    assert_eq!(contents.folder_complaint(&files, "media_tools"), None);
    let complaint = contents.folder_complaint(&files, "other").unwrap();
    assert_eq!((complaint.rule, complaint.line, complaint.column), ("folder-name", 2, 1));
}

#[test]
fn the_summary_has_the_promised_keys() {
    let mut files = with_executor(&format!(
        "{CLI}secrets: [{{name: API_KEY, required: true, description: for the server}}]\n"
    ));
    files.insert("lib/libx.so.1".to_owned(), Vec::new());
    let summary = TrustSummary::of(&accepts(&files).value).from_source("./media_tools");
    let json = serde_json::to_value(&summary).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut promised = vec![
        "pack_id",
        "name",
        "version",
        "schema_version",
        "source_path",
        "component_counts",
        "entrypoints",
        "normal_entrypoints",
        "declared_secrets",
        "dependencies",
        "dependencies_struct",
        "docs",
        "warnings",
        "do_not_use_for",
        "required_context",
        "keywords",
        "capabilities",
        "permissions",
        "permission_ids",
        "trust",
        "astrid_version",
    ];
    promised.extend(["secrets", "at_a_glance"]);
    promised.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, promised);
    assert_eq!(json["declared_secrets"][0], "API_KEY (required): for the server");
    assert_eq!(json["secrets"][0]["read_by"][0], "media_tools.cut");
    assert_eq!(
        json["trust"],
        serde_json::json!({ "sandbox": "none", "runs_with_user_process_permissions": true, "permission_enforcement": "disclosure_only" })
    );
    assert_eq!(json["at_a_glance"]["secrets"]["yes"], true);
    assert_eq!(json["at_a_glance"]["network"]["yes"], false);
    assert_eq!(json["at_a_glance"]["binaries"]["why"][0], "brings lib/libx.so.1");
    assert_eq!(
        crate::pack::summary::TRUST.lines(),
        ["sandbox=none", "runs_with_user_process_permissions=true", "permission_enforcement=disclosure_only"]
    );
}

#[test]
fn each_question_has_its_answer() {
    let files = pack(
        "content: {executors: e}\ndependencies: {system: [ffmpeg]}\npermissions:\n  - {id: network, reason: asks a server}\n  - {id: external_services, reason: paid by call}\n  - {id: environment, reason: reads a key}\n",
        &[("e/a/executor.yaml", &executor("command: {argv: [ls]}\n"))],
    );
    let answers = TrustSummary::of(&accepts(&files).value).at_a_glance;
    assert_eq!(answers.network.why, ["permission network: asks a server"]);
    assert_eq!(answers.paid_services.why, ["permission external_services: paid by call"]);
    assert_eq!(answers.secrets.why, ["permission environment: reads a key"]);
    assert_eq!(answers.binaries.why, ["needs ffmpeg"]);
    assert_eq!(answers.subprocesses.why, ["media_tools.cut: runs ls"]);
}
