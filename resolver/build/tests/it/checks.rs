//! Every rule of the check: silent when kept, loud when broken.

use astrid_build::check::{CheckError, check, rule};
use astrid_manifest::Severity;

use crate::fixture::{Capsule, component, importing};

/// The rules that are broken, with their severity.
fn broken(capsule: &Capsule) -> Vec<(&'static str, Severity)> {
    check(capsule.path()).unwrap().iter().map(|finding| (finding.rule, finding.severity)).collect()
}

fn errors(capsule: &Capsule) -> Vec<&'static str> {
    broken(capsule)
        .into_iter()
        .filter(|(_, severity)| *severity == Severity::Error)
        .map(|(rule, _)| rule)
        .collect()
}

#[test]
fn a_capsule_in_order_has_no_errors() {
    assert_eq!(errors(&Capsule::good()), Vec::<&str>::new());
}

#[test]
fn a_tool_that_nobody_can_call_denied() {
    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "\"tool.v1.execute.greet\" = { wit", "\"other.v1.greet\" = { wit");
    let findings = check(capsule.path()).unwrap();
    let finding = findings.iter().find(|finding| finding.rule == rule::UNROUTED_TOOL).unwrap();
    assert!(finding.file.ends_with("src/lib.rs") && finding.line == 6, "{finding}");
    assert!(finding.help.as_ref().unwrap().contains("tool_execute_greet"));
}

#[test]
fn a_result_that_may_not_be_published_denied() {
    for (line, times) in [
        ("\"tool.v1.execute.*.result\" = \"opaque\"\n", 1),
        ("\"tool.v1.response.describe.*\" = \"opaque\"\n", 1),
    ] {
        let capsule = Capsule::good();
        capsule.edit("Capsule.toml", line, "");
        assert_eq!(errors(&capsule), vec![rule::MISSING_PUBLISH; times], "{line}");
    }
}

#[test]
fn a_wider_pattern_publishes_as_well() {
    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "\"tool.v1.execute.*.result\"", "\"tool.v1.execute.greet.result\"");
    assert_eq!(errors(&capsule), Vec::<&str>::new());
}

#[test]
fn a_route_without_a_tool_denied() {
    let capsule = Capsule::good();
    capsule.edit(
        "Capsule.toml",
        "[subscribe]\n",
        "[subscribe]\n\"tool.v1.execute.gone\" = { wit = \"opaque\", handler = \"tool_execute_gone\" }\n",
    );
    assert_eq!(errors(&capsule), [rule::DANGLING_SUBSCRIPTION]);
}

#[test]
fn a_route_to_another_handler_denied() {
    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "handler = \"tool_execute_greet\"", "handler = \"on_event\"");
    assert_eq!(errors(&capsule), [rule::HANDLER_MISMATCH]);
}

#[test]
fn a_handler_that_is_not_there_denied() {
    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "handler = \"on_event\"", "handler = \"on_evnet\"");
    assert_eq!(errors(&capsule), [rule::UNKNOWN_HANDLER]);
}

#[test]
fn an_interface_without_a_grant_denied() {
    let capsule = Capsule::good();
    capsule.write("good.wasm", &importing("astrid:fs/host@1.0.0", "read-file"));
    assert_eq!(errors(&capsule), [rule::UNGRANTED_IMPORT]);
    capsule.edit("Capsule.toml", "[publish]", "[capabilities]\nfs_read = [\"cwd://\"]\n\n[publish]");
    assert_eq!(errors(&capsule), Vec::<&str>::new());
}

#[test]
fn an_interface_that_does_not_exist_denied() {
    let capsule = Capsule::good();
    capsule.write("good.wasm", &importing("wasi:cli/environment@0.2.0", "get"));
    assert_eq!(errors(&capsule), [rule::UNKNOWN_INTERFACE]);
}

#[test]
fn a_grant_that_the_bytes_cannot_use_is_a_warning() {
    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "[publish]", "[capabilities]\nnet = [\"example.org\"]\n\n[publish]");
    assert!(broken(&capsule).contains(&(rule::UNUSED_GRANT, Severity::Warning)));
    assert_eq!(errors(&capsule), Vec::<&str>::new());
}

#[test]
fn a_component_that_is_missing_or_no_component_denied() {
    let capsule = Capsule::good();
    capsule.write("good.wasm", b"\0asm\x01\0\0\0");
    assert_eq!(errors(&capsule), [rule::INVALID_COMPONENT]);
    std::fs::remove_file(capsule.path().join("good.wasm")).unwrap();
    assert_eq!(errors(&capsule), [rule::MISSING_COMPONENT]);
}

#[test]
fn handlers_without_an_entry_point_denied() {
    let capsule = Capsule::good();
    capsule.write("good.wasm", &component("run"));
    assert_eq!(errors(&capsule), [rule::NO_ENTRY_POINT]);
}

#[test]
fn a_description_of_other_tools_denied() {
    let capsule = Capsule::good();
    capsule.edit("tools.json", "\"greet\"", "\"meet\"");
    assert_eq!(errors(&capsule), [rule::TOOLS_FILE]);
    capsule.write("tools.json", b"[]");
    assert_eq!(errors(&capsule), [rule::TOOLS_FILE]);
}

#[test]
fn without_sources_the_description_counts() {
    let capsule = Capsule::good();
    std::fs::remove_dir_all(capsule.path().join("src")).unwrap();
    assert_eq!(errors(&capsule), Vec::<&str>::new());
    capsule.edit("tools.json", "\"greet\"", "\"meet\"");
    assert_eq!(errors(&capsule), [rule::DANGLING_SUBSCRIPTION, rule::UNROUTED_TOOL]);
}

#[test]
fn a_tool_without_a_description_is_a_warning() {
    let capsule = Capsule::good();
    capsule.edit("tools.json", "Greets.", " ");
    assert!(broken(&capsule).contains(&(rule::UNDESCRIBED_TOOL, Severity::Warning)));
}

#[test]
fn what_is_no_capsule_denied() {
    let folder = tempfile::tempdir().unwrap();
    let error = check(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no Capsule.toml"), "{error}");

    let capsule = Capsule::good();
    capsule.edit("Capsule.toml", "name = \"good\"", "naem = \"good\"");
    assert!(matches!(check(capsule.path()), Err(CheckError::Project(_))));

    let capsule = Capsule::good();
    capsule.write("src/lib.rs", b"fn {");
    assert!(matches!(check(capsule.path()), Err(CheckError::Scan(_))));
}
