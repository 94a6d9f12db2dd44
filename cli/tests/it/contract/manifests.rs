//! Manifests: what `packs validate` takes and refuses.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::scene::{PERMISSIONS, files_under, media};
use crate::env::{Ran, TestEnv};

const HEAD: &str = "schema_version: 1\nid: demo\nname: Demo\nversion: 1.0.0\n";

/// A valid executor of the pack `demo`, and one more line.
fn executor(more: &str) -> String {
    format!(
        "schema_version: 1\nid: demo.do\nname: Do\nversion: 1.0.0\nruntime: {{kind: command, command: {{argv: [/bin/true]}}}}\n{more}"
    )
}

/// Validates the pack `demo` with this behind the head of its manifest.
fn validated(manifest: &str, component: &str) -> Ran {
    let env = TestEnv::new();
    env.write("demo/pack.yaml", format!("{HEAD}content: {{executors: executors}}\n{manifest}"));
    env.write("demo/executors/do/executor.yaml", component);
    env.astrid(&["packs", "validate", "demo", "--json"])
}

fn accepted(manifest: &str, component: &str) {
    let ran = validated(manifest, component);
    assert_eq!(ran.code, 0, "{manifest}{component}\n{}", ran.shown());
}

/// The errors of a pack that is not valid, all of them with a place.
fn errors(manifest: &str, component: &str) -> Vec<Value> {
    let ran = validated(manifest, component);
    assert_eq!(ran.code, 65, "{manifest}{component}\n{}", ran.shown());
    let all = ran.json()["diagnostics"].as_array().unwrap().clone();
    let errors: Vec<Value> = all.into_iter().filter(|one| one["severity"] == "error").collect();
    assert!(!errors.is_empty(), "{}", ran.shown());
    for one in &errors {
        assert!(one["line"].as_u64().unwrap() > 0 && one["column"].as_u64().unwrap() > 0, "{one}");
        assert!(one["file"].as_str().unwrap().contains("demo/"), "{one}");
    }
    errors
}

/// Refused for one reason, which the message names.
fn refused(manifest: &str, names: &str) {
    let errors = errors(manifest, &executor(""));
    let messages: String = errors.iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert!(errors.len() == 1 && messages.contains(names), "{manifest}: {errors:#?}");
}

// contract: PC-PERM-01
#[test]
fn there_are_six_permission_ids() {
    for id in PERMISSIONS {
        accepted(&format!("permissions: [{{id: {id}, reason: Because}}]\n"), &executor(""));
    }
    for id in ["internet", "NETWORK", "network ", "fs_read", "\"\""] {
        refused(&format!("permissions: [{{id: {id:?}, reason: Because}}]\n"), "project_files");
    }
}

// contract: PC-PERM-02
#[test]
fn a_permission_has_an_id_and_a_reason() {
    let one = |fields: &str| format!("permissions: [{{{fields}}}]\n");
    accepted(
        &one("id: network, reason: Because, access: read only, services: [api.example.org]"),
        &executor(""),
    );
    accepted("permissions: []\n", &executor(""));
    refused(&one("reason: Because"), "id");
    refused(&one("id: network"), "reason");
    refused(&one("id: network, reason: ''"), "reason");
    refused(&one("id: network, reason: '  \t'"), "reason");
    refused(&one("id: network, reason: Because, access: ' '"), "access");
    refused(&one("id: network, reason: Because, services: ['']"), "services");
    refused(&one("id: network, reason: Because, hosts: [a]"), "hosts");
    refused("permissions: {id: network, reason: Because}\n", "array");
}

// contract: PC-PERM-03
#[test]
fn a_permission_is_declared_once() {
    refused("permissions: [{id: network, reason: One}, {id: network, reason: Two}]\n", "network");
}

// contract: PC-PERM-04
#[test]
fn components_have_no_permissions_of_their_own() {
    let errors = errors("", &executor("permissions: [{id: network, reason: Because}]\n"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0]["message"].as_str().unwrap().contains("permissions"), "{errors:?}");
    assert!(errors[0]["file"].as_str().unwrap().ends_with("executor.yaml"), "{errors:?}");
}

// contract: PC-INV-02
#[test]
fn a_pack_says_nothing_about_how_it_is_run() {
    for block in ["trust: {sandbox: strict}\n", "sandbox: strict\n", "permission_enforcement: enforced\n"] {
        refused(block, "unknown key");
    }
    let errors = errors("", &executor("trust: {sandbox: strict}\n"));
    assert_eq!(errors.len(), 1);
}

// contract: PC-SEC-01
#[test]
fn executors_and_orchestrators_declare_secrets() {
    accepted(
        "",
        &executor("secrets: [{name: API_KEY, required: true, description: Of the API}, {name: OTHER}]\n"),
    );
    for wrong in
        ["secrets: [{required: true}]\n", "secrets: [{name: 'A B'}]\n", "secrets: [{name: A, value: x}]\n"]
    {
        assert_eq!(errors("", &executor(wrong)).len(), 1, "{wrong}");
    }
    let env = TestEnv::new();
    media(&env, "media");
    env.ok(&["packs", "validate", "media"]);
}

// contract: PC-MAN-01
#[test]
fn each_family_has_a_schema_and_names_of_its_file() {
    let env = TestEnv::new();
    media(&env, "media");
    env.ok(&["packs", "validate", "media"]);
    // The same under the other names, as JSON under the last.
    let [first, second, third] =
        ["yaml", "yml", "json"].map(|end| format!("media/executors/render/executor.{end}"));
    fs::rename(env.work(&first), env.work(&second)).unwrap();
    env.ok(&["packs", "validate", "media"]);
    let executor = "{\"schema_version\": 1, \"id\": \"media.render\", \"name\": \"R\", \"version\": \"1.0.0\", \
                    \"runtime\": {\"kind\": \"command\", \"command\": {\"argv\": [\"/bin/true\"]}}}";
    env.write(&third, executor);
    let both = env.astrid(&["packs", "validate", "media"]);
    assert_eq!(both.code, 65, "{}", both.shown());
    fs::remove_file(env.work(&second)).unwrap();
    env.ok(&["packs", "validate", "media"]);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for family in ["pack", "executor", "orchestrator", "element"] {
        let text = fs::read_to_string(root.join(format!("schemas/{family}.schema.json"))).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#", "{family}");
    }
}

// contract: PC-MAN-02
#[test]
fn manifests_are_closed_and_all_errors_are_told_at_once() {
    let errors = errors(
        "colour: red\npermissions: [{id: internet, reason: ''}]\nstatus: odd\n",
        &executor("speed: fast\ninputs: [{name: a, type: shape}]\n"),
    );
    let files: Vec<&str> = errors.iter().map(|one| one["file"].as_str().unwrap()).collect();
    assert!(errors.len() >= 6, "{errors:#?}");
    assert!(files.iter().any(|file| file.ends_with("pack.yaml")));
    assert!(files.iter().any(|file| file.ends_with("executor.yaml")));
}

// contract: PC-MAN-03
#[test]
fn ambiguous_and_hostile_manifests_are_refused_denied() {
    for wrong in
        ["name: Other\n", "metadata: {a: 1, a: 2}\n", "metadata: {a: .inf}\n", "metadata: {a: .nan}\n"]
    {
        assert!(!errors(wrong, &executor("")).is_empty(), "{wrong}");
    }
    let mut bomb = "metadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        bomb = format!("{bomb}  a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", "));
    }
    assert!(!errors(&bomb, &executor("")).is_empty());
    let env = TestEnv::new();
    media(&env, "media");
    for (link, target) in [("media/link", "/etc/hostname"), ("media/executors/render/link", "executor.yaml")]
    {
        symlink(target, env.work(link)).unwrap();
        let ran = env.astrid(&["packs", "validate", "media"]);
        assert_eq!(ran.code, 65, "{link}: {}", ran.shown());
        assert!(ran.stderr.contains("symbolic link"), "{}", ran.shown());
        fs::remove_file(env.work(link)).unwrap();
    }
    env.ok(&["packs", "validate", "media"]);
}

// contract: PC-MAN-04
#[test]
fn ids_belong_to_their_pack() {
    let env = TestEnv::new();
    media(&env, "films");
    let ran = env.astrid(&["packs", "validate", "films"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    let foreign = executor("").replace("demo.do", "other.do");
    assert_eq!(errors("", &foreign).len(), 1);
}

// contract: PC-MAN-05
#[test]
fn validating_runs_nothing_and_writes_nothing() {
    let env = TestEnv::new();
    media(&env, "media");
    env.write("media/executors/render/__init__.py", "open('ran', 'w')\n");
    env.write("media/setup.py", "open('ran', 'w')\n");
    let before = files_under(&env.path(""));
    env.ok(&["packs", "validate", "media"]);
    env.ok(&["--offline", "packs", "validate", "media", "--warnings", "--json"]);
    assert_eq!(files_under(&env.path("")), before);
}

// contract: PC-MAN-06
#[test]
fn no_file_turns_checking_off_denied() {
    let env = TestEnv::new();
    env.write("demo/pack.yaml", format!("{HEAD}trust: {{}}\n"));
    for name in [".no-pack", ".astridignore", ".gitignore", ".astrid/no-pack"] {
        env.write(&format!("demo/{name}"), "*\n");
    }
    assert_eq!(env.astrid(&["packs", "validate", "demo"]).code, 65);
    env.distro("\n[[pack]]\nid = \"demo\"\nsource = \"./demo\"\n");
    assert_eq!(env.astrid(&["apply", "--yes", "--trust"]).code, 65);
}
