//! Receipts: what was applied is proved byte for byte, and anything else is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::env::{Ran, TestEnv, astrid_snapshot};

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];
const FLEET: [&str; 2] = ["verify", "--fleet"];
const PACK: &str =
    "schema_version: 1\nid: p\nname: P\nversion: 1.0.0\ndescription: A pack.\ncontent: {}\npermissions: []\n";

/// A capsule and a pack, applied.
fn applied() -> TestEnv {
    apply_in(TestEnv::new())
}

fn apply_in(env: TestEnv) -> TestEnv {
    env.capsule("notes", "notes", "1.0.0", "");
    env.write("p/pack.yaml", PACK);
    env.distro(
        "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n\n[[pack]]\nid = \"p\"\nsource = \"./p\"\nversion = \"1.0.0\"\n",
    );
    env.ok(&APPLY);
    env
}

/// Puts other bytes into a file that nobody may write.
fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {from}", path.display());
    overwrite(path, text.replacen(from, to, 1));
}

fn refused(env: &TestEnv, code: i32, says: &str) -> Ran {
    let ran = env.astrid(&FLEET);
    assert_eq!(ran.code, code, "{says}\n{}", ran.shown());
    assert!(ran.stderr.contains(says), "{says}\n{}", ran.shown());
    ran
}

/// The run as snapshots keep it, whatever key this home made for itself.
fn without_key(env: &TestEnv, arguments: &[&str]) -> String {
    let ran = env.ok(arguments);
    let key = fs::read_to_string(env.home("keys/receipts.pub")).unwrap();
    env.snapshot(arguments, &ran).replace(key.trim_end(), "[KEY]")
}

// contract: SEC-PROV-05
#[test]
fn what_was_applied_is_proved() {
    let env = applied();
    insta::assert_snapshot!("verify-fleet", without_key(&env, &FLEET));
    let document = env.ok(&["verify", "--fleet", "--json"]).json();
    let files: Vec<&str> =
        document["files"].as_array().unwrap().iter().map(|own| own.as_str().unwrap()).collect();
    for file in
        ["Distro.lock", "Distro.toml", "plan.json", "acks.toml", "inventory.json", "records/p/install.json"]
    {
        assert!(files.contains(&file), "{file}: {files:?}");
    }
    assert!(!files.contains(&"receipt.json") && !files.contains(&"configuration.json"), "{files:?}");
    let says = &document["receipt"]["says"];
    assert_eq!(says["generation"], 1);
    assert_eq!(says["distro"]["id"], "demo");
    assert_eq!(says["capsules"]["notes"]["signer"], "unsigned");
    assert_eq!(document["kernel"]["checked"], false);
    // The secret stays private, and the public key is what the receipt names.
    let mode = fs::metadata(env.home("keys/receipts.ed25519")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = fs::read_to_string(env.home("keys/receipts.pub")).unwrap();
    assert_eq!(document["receipt"]["key"], public.trim_end());
    env.ok(&["verify", "--fleet", "--receipt-key", public.trim_end()]);
    env.ok(&["verify", "--store"]);
    env.ok(&["verify", "--lock"]);
}

#[test]
fn a_receipt_of_before_holds_after_a_rollback() {
    let env = applied();
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.ok(&APPLY);
    let document = env.ok(&["verify", "--fleet", "--json"]).json();
    assert_eq!(document["receipt"]["says"]["parent"], 1);
    env.ok(&["rollback", "--yes", "--no-boot"]);
    let document = env.ok(&["verify", "--fleet", "--json"]).json();
    assert_eq!(document["receipt"]["says"]["generation"], 1);
}

// contract: SEC-PROV-05
#[test]
fn every_changed_file_is_told_denied() {
    for (file, from, to) in [
        ("Distro.lock", "1.0.0", "1.0.1"),
        ("Distro.toml", "Demo", "Dema"),
        ("plan.json", "notes", "nodes"),
        ("acks.toml", "unsigned", "Unsigned"),
        ("inventory.json", "notes", "nodes"),
        ("records/p/install.json", "cli_flag", "interactive"),
        ("authority.json", "notes", "nodes"),
    ] {
        let env = applied();
        edit(&env.home("generations/1").join(file), from, to);
        refused(&env, 84, &format!("{file} was changed"));
    }
}

#[test]
fn files_that_are_gone_added_or_noted_otherwise_are_told_denied() {
    let env = applied();
    let generation = env.home("generations/1");
    fs::remove_file(generation.join("acks.toml")).unwrap();
    fs::write(generation.join("overrides.toml"), "").unwrap();
    edit(&generation.join("meta.json"), "\"tool\": \"", "\"tool\": \"9");
    edit(&generation.join("configuration.json"), "{", "{\"variables\": {\"a\": \"b\"},");
    let ran = astrid_snapshot!("verify-fleet-changed", env, FLEET);
    assert_eq!(ran.code, 84);
}

#[test]
fn a_lock_that_agrees_with_nothing_else_is_told_denied() {
    let env = applied();
    // The inventory names another content for a pack's link: the file is signed, the link is not.
    let link = env.home("generations/1/packs/p");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(format!("../../../store/trees/{}", "0".repeat(64)), &link).unwrap();
    refused(&env, 84, "pack:p: its link in the generation leads elsewhere");
}

#[test]
fn other_bytes_in_the_store_are_told_denied() {
    let env = applied();
    let content =
        env.ok(&["verify", "--fleet", "--json"]).json()["receipt"]["says"]["capsules"]["notes"]["component"]
            .as_str()
            .unwrap()
            .trim_start_matches("blake3:")
            .to_owned();
    let blob = env.home("store/blobs").join(&content[..2]).join(&content);
    let sound = fs::read(&blob).unwrap();
    overwrite(&blob, "other bytes");
    refused(&env, 84, "capsule:notes: ");
    let lock = env.astrid(&["verify", "--lock"]);
    assert!(lock.code == 84 && lock.stderr.contains("capsule:notes: "), "{}", lock.shown());
    overwrite(&blob, sound);
    env.ok(&FLEET);
    // The pack is served from a folder of its own.
    let served = env.path("data/astrid/packs/p/active/pack.yaml").canonicalize().unwrap();
    edit(&served, "A pack.", "Another.");
    refused(&env, 84, "pack:p: ");
    env.ok(&["verify", "--lock"]);
}

#[test]
fn a_receipt_that_is_missing_forged_or_of_another_is_denied() {
    let env = applied();
    let receipt = env.home("generations/1/receipt.json");
    let sound = fs::read_to_string(&receipt).unwrap();
    fs::remove_file(&receipt).unwrap();
    assert_eq!(astrid_snapshot!("verify-fleet-none", env, FLEET).code, 83);
    fs::write(&receipt, "{}").unwrap();
    refused(&env, 83, "proves nothing");
    // Another statement under the same signature.
    let bundle: serde_json::Value = serde_json::from_str(&sound).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let other = payload.replacen("eyJ", "eyI", 1);
    overwrite(&receipt, sound.replace(payload, &other));
    refused(&env, 83, "proves nothing");
    // The receipt of another generation.
    overwrite(&receipt, &sound);
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.ok(&APPLY);
    overwrite(&env.home("generations/2/receipt.json"), &sound);
    refused(&env, 83, "that of generation 1");
}

#[test]
fn a_receipt_by_a_foreign_key_is_denied() {
    let env = applied();
    let other = TestEnv::new();
    // Each run has randomness of its own, and the first of two machines has the same.
    other.ok(&["version"]);
    let foreign = apply_in(other);
    let theirs = fs::read_to_string(foreign.home("keys/receipts.pub")).unwrap();
    let ours = fs::read_to_string(env.home("keys/receipts.pub")).unwrap();
    assert_ne!(ours, theirs);
    let ran = env.astrid(&["verify", "--fleet", "--receipt-key", theirs.trim_end()]);
    assert_eq!(ran.code, 83, "{}", ran.shown());
    // A receipt that somebody else signed anew does not pass for this home's.
    let receipt = fs::read(foreign.home("generations/1/receipt.json")).unwrap();
    overwrite(&env.home("generations/1/receipt.json"), receipt);
    refused(&env, 83, "the signature is not by the key");
    assert_eq!(env.astrid(&["verify", "--fleet", "--receipt-key", "nonsense"]).code, 64);
    assert_eq!(env.astrid(&["verify", "--lock", "--receipt-key", ours.trim_end()]).code, 64);
    assert_eq!(env.astrid(&["verify"]).code, 64);
    assert_eq!(env.astrid(&["verify", "--fleet", "--lock"]).code, 64);
    fs::remove_file(env.home("keys/receipts.ed25519")).unwrap();
    refused(&env, 83, "this home has no key of receipts");
}

#[test]
fn nothing_is_proved_where_nothing_is_applied_denied() {
    let env = TestEnv::new();
    assert_eq!(env.astrid(&FLEET).code, 1);
    assert_eq!(env.astrid(&["verify", "--lock"]).code, 1);
    assert!(!env.home("").exists());
}

#[test]
fn what_runs_is_compared_with_what_was_applied() {
    let env = TestEnv::new();
    env.ok(&["init", "--here", "--template", "starter"]);
    env.ok(&APPLY);
    let ran = env.astrid(&["verify", "--fleet", "--running"]);
    assert_eq!(ran.code, 69, "{}", ran.shown());
    env.ok(&["start"]);
    insta::assert_snapshot!("verify-fleet-running", without_key(&env, &["verify", "--fleet", "--running"]));
    // Another generation is current than the one that runs.
    env.ok(&["remove", "text", "--yes", "--trust", "--no-boot"]);
    let ran = refused(&env, 84, "the kernel runs generation 1, and generation 2 is current");
    assert!(ran.stderr.contains("capsule:text runs and was not applied"), "{}", ran.shown());
    env.ok(&["stop"]);
    env.ok(&FLEET);
}
