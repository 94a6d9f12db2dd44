//! Keys of a person: made, listed, shown and deleted, and never printed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::env::{Ran, TestEnv, astrid_snapshot};

fn generate(env: &TestEnv, more: &[&str]) -> Ran {
    env.astrid(&[&["keypair", "generate"][..], more].concat())
}

fn secret(env: &TestEnv, name: &str) -> Vec<u8> {
    fs::read(env.home(&format!("keys/local/{name}.ed25519"))).unwrap()
}

/// Neither the bytes nor any text form of the key are in what was printed.
fn tells_nothing(ran: &Ran, secret: &[u8]) {
    for text in [&ran.stdout, &ran.stderr] {
        let hex: Vec<Option<u32>> =
            secret.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| Some(digit.into())).collect();
        let digits: Vec<Option<u32>> = text.chars().map(|own| own.to_digit(16)).collect();
        assert!(!digits.windows(hex.len()).any(|own| own == hex), "{}", ran.shown());
        assert!(!text.as_bytes().windows(secret.len()).any(|own| own == secret), "{}", ran.shown());
    }
}

#[test]
fn a_key_is_made_listed_shown_and_deleted() {
    let env = TestEnv::new();
    astrid_snapshot!("keypair-list-of-none", env, ["keypair", "list"]);
    assert!(!env.home("").exists(), "a reading verb made a home");
    let made = astrid_snapshot!("keypair-generate", env, ["keypair", "generate", "--note", "for releases"]);
    assert_eq!(made.code, 0);
    let own = secret(&env, "default");
    assert_eq!(own.len(), 32);
    for (name, mode) in [("", 0o700), ("default.ed25519", 0o600), ("default.pub.hex", 0o644)] {
        let path = env.home("keys/local").join(name);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    tells_nothing(&made, &own);
    tells_nothing(&astrid_snapshot!("keypair-list", env, ["keypair", "list"]), &own);
    tells_nothing(&astrid_snapshot!("keypair-show", env, ["keypair", "show", "default"]), &own);
    let shown = env.ok(&["keypair", "show", "default", "--json"]);
    tells_nothing(&shown, &own);
    let document = shown.json();
    for (format, field) in [("wire", "public_key"), ("openssh", "openssh"), ("hex", "hex")] {
        let ran = env.ok(&["keypair", "pubkey", "default", "--format", format]);
        assert_eq!(ran.stdout.trim_end(), document[field], "{format}");
    }
    assert_eq!(env.ok(&["keypair", "pubkey", "default"]).stdout.trim_end(), document["public_key"]);
    let on_disk = fs::read_to_string(env.home("keys/local/default.pub.hex")).unwrap();
    assert_eq!(on_disk.trim_end(), document["hex"]);
    let raw = generate(&env, &["--name", "ci_2", "--raw"]);
    assert!(raw.code == 0 && raw.stdout.len() == 65, "{}", raw.shown());
    assert_eq!(env.ok(&["keypair", "list", "--json"]).json()["keys"].as_array().unwrap().len(), 2);
    env.ok(&["keypair", "delete", "ci_2", "--yes"]);
    assert!(!env.home("keys/local/ci_2.ed25519").exists() && !env.home("keys/local/ci_2.meta.toml").exists());
}

#[test]
fn a_key_gives_way_only_with_force_denied() {
    let env = TestEnv::new();
    generate(&env, &[]);
    let before = secret(&env, "default");
    let refused = astrid_snapshot!("keypair-generate-again", env, ["keypair", "generate"]);
    assert_eq!(refused.code, 1);
    assert_eq!(secret(&env, "default"), before);
    let old = env.ok(&["keypair", "pubkey", "default"]).stdout;
    let forced = generate(&env, &["--force"]);
    assert!(forced.code == 0 && forced.stderr.contains(old.trim_end()), "{}", forced.shown());
    assert_ne!(secret(&env, "default"), before);
}

#[test]
fn a_key_is_deleted_only_when_that_is_said_denied() {
    let env = TestEnv::new();
    generate(&env, &[]);
    let refused = astrid_snapshot!("keypair-delete-unasked", env, ["keypair", "delete", "default"]);
    assert_eq!(refused.code, 1);
    let mut terminal = env.terminal(&["keypair", "delete", "default"]);
    terminal.sees("[y/N] ").types("n");
    assert_eq!(terminal.ends().0, 1);
    assert!(env.home("keys/local/default.ed25519").exists());
    let mut terminal = env.terminal(&["keypair", "delete", "default"]);
    terminal.sees("[y/N] ").types("y");
    assert_eq!(terminal.ends().0, 0);
    assert!(!env.home("keys/local/default.ed25519").exists());
    assert_eq!(env.astrid(&["keypair", "delete", "default", "--yes"]).code, 1);
}

#[test]
fn a_file_that_is_no_private_key_is_denied() {
    let env = TestEnv::new();
    generate(&env, &[]);
    let path = env.home("keys/local/default.ed25519");
    let own = secret(&env, "default");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(astrid_snapshot!("keypair-mode", env, ["keypair", "show", "default"]).code, 65);
    let listed = env.ok(&["keypair", "list", "--json"]);
    assert!(listed.json()["keys"][0]["problem"].is_string() && listed.stderr.contains("warning"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, &own[..31]).unwrap();
    let cut = env.astrid(&["keypair", "pubkey", "default"]);
    assert_eq!(cut.code, 84, "{}", cut.shown());
    fs::rename(&path, env.home("keys/elsewhere")).unwrap();
    std::os::unix::fs::symlink(env.home("keys/elsewhere"), &path).unwrap();
    let link = env.astrid(&["keypair", "pubkey", "default"]);
    assert!(link.code == 65 && link.stderr.contains("symbolic link"), "{}", link.shown());
    // It can be got rid of all the same.
    env.ok(&["keypair", "delete", "default", "--yes"]);
    assert!(env.home("keys/elsewhere").exists());
}

#[test]
fn other_names_are_denied() {
    let env = TestEnv::new();
    for name in ["", "..", "a/b", "a b", "a.b", &"a".repeat(65)] {
        assert_eq!(generate(&env, &["--name", name]).code, 64, "{name}");
    }
    assert_eq!(env.astrid(&["keypair", "show", "../home"]).code, 64);
    assert_eq!(env.astrid(&["keypair", "show", "nobody"]).code, 1);
    assert_eq!(generate(&env, &["--note", "two\nlines"]).code, 64);
    assert_eq!(generate(&env, &["--raw", "--json"]).code, 64);
    assert!(!env.home("keys/local").exists());
}

#[test]
fn a_key_is_whole_or_not_there_when_the_program_dies() {
    let env = TestEnv::new();
    generate(&env, &["--name", "other"]);
    for write in 1.. {
        let name = format!("key{write}");
        let ran = env
            .run(&["keypair", "generate", "--name", &name])
            .variable("ASTRID_TEST_ABORT_AT_WRITE", write.to_string())
            .go();
        if ran.code == 0 {
            assert!(write > 5, "only {write} writes were met");
            break;
        }
        let listed = env.ok(&["keypair", "list", "--json"]).json();
        let broken = listed["keys"].as_array().unwrap().iter().any(|key| key["problem"].is_string());
        assert!(!broken, "write {write}: {listed}");
    }
}
