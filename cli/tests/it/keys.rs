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

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

/// A distro of that version, locked and signed with `key`; with none, not signed any more.
fn publish(env: &TestEnv, version: &str, key: Option<&str>) {
    env.distro(&format!("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"{version}\"\n"));
    env.capsule("notes", "notes", version, "");
    env.ok(&["lock"]);
    match key {
        Some(key) => drop(env.ok(&["sign", ".", "--key", key])),
        None => fs::remove_file(env.work("Distro.sigstore.json")).unwrap(),
    }
}

fn signed_and_applied() -> TestEnv {
    let env = TestEnv::new();
    for name in ["one", "two", "three"] {
        assert_eq!(generate(&env, &["--name", name]).code, 0);
    }
    publish(&env, "1.0.0", Some("one"));
    env.ok(&APPLY);
    env
}

fn public(env: &TestEnv, name: &str) -> String {
    env.ok(&["keypair", "pubkey", name]).stdout.trim_end().to_owned()
}

#[test]
fn who_signs_a_distro_is_remembered() {
    let env = signed_and_applied();
    astrid_snapshot!("trust-keys-list", env, ["trust", "keys", "list"]);
    let listed = env.ok(&["trust", "keys", "list", "--json"]).json();
    assert_eq!(listed["pins"][0]["signer"]["key"], public(&env, "one"));
    publish(&env, "1.1.0", Some("one"));
    env.ok(&APPLY);
    // It does not matter where the same signer publishes.
    assert_eq!(fs::metadata(env.home("trust/pins.toml")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_pinned_distro_must_be_signed_denied() {
    let env = signed_and_applied();
    publish(&env, "1.1.0", None);
    let pins = fs::read(env.home("trust/pins.toml")).unwrap();
    for flags in [&[][..], &["--allow-unsigned"], &["--accept-new-key", "--allow-unsigned"]] {
        let ran = env.astrid(&[&APPLY[..], flags].concat());
        assert_eq!(ran.code, 83, "{flags:?}\n{}", ran.shown());
        assert!(ran.stderr.contains("trust keys remove"), "{}", ran.shown());
    }
    // A signature over other files is none, and one that was tampered with is refused.
    publish(&env, "1.1.0", Some("one"));
    env.write("Distro.toml", format!("{}# changed\n", env.read("Distro.toml")));
    assert_eq!(env.astrid(&[&APPLY[..], &["--allow-unsigned"]].concat()).code, 83);
    assert_eq!(fs::read(env.home("trust/pins.toml")).unwrap(), pins);
    assert_eq!(env.ok(&["status", "--json"]).json()["generation"]["number"], 1);
}

#[test]
fn another_signer_is_taken_only_when_that_is_said_denied() {
    let env = signed_and_applied();
    publish(&env, "1.1.0", Some("two"));
    for flags in [&[][..], &["--allow-unsigned"]] {
        let ran = env.astrid(&[&APPLY[..], flags].concat());
        assert_eq!(ran.code, 83, "{}", ran.shown());
        for part in [public(&env, "one"), public(&env, "two"), "--accept-new-key".to_owned()] {
            assert!(ran.stderr.contains(&part), "{part}\n{}", ran.shown());
        }
    }
    env.ok(&[&APPLY[..], &["--accept-new-key"]].concat());
    let listed = env.ok(&["trust", "keys", "list", "--json"]).json();
    assert_eq!(listed["pins"][0]["signer"]["key"], public(&env, "two"));
    // The one of before is another one now.
    publish(&env, "1.2.0", Some("one"));
    assert_eq!(env.astrid(&APPLY).code, 83);
}

#[test]
fn a_pin_is_forgotten_only_when_that_is_said_denied() {
    let env = signed_and_applied();
    let refused = astrid_snapshot!("trust-keys-remove-unasked", env, ["trust", "keys", "remove", "demo"]);
    assert_eq!(refused.code, 1);
    let mut terminal = env.terminal(&["trust", "keys", "remove", "demo"]);
    terminal.sees("Type `demo` to go on: ").types("yes");
    assert_eq!(terminal.ends().0, 1);
    assert_eq!(env.astrid(&["trust", "keys", "remove", "other", "--yes"]).code, 1);
    assert_eq!(env.astrid(&["trust", "keys", "remove", "../demo", "--yes"]).code, 64);
    let mut terminal = env.terminal(&["trust", "keys", "remove", "demo"]);
    terminal.sees("Type `demo` to go on: ").types("demo");
    assert_eq!(terminal.ends().0, 0);
    assert!(env.ok(&["trust", "keys", "list", "--json"]).json()["pins"].as_array().unwrap().is_empty());
    publish(&env, "1.1.0", Some("two"));
    env.ok(&APPLY);
    env.ok(&["trust", "keys", "remove", "demo", "--yes"]);
}

#[test]
fn damaged_pins_are_no_empty_ones_denied() {
    let env = signed_and_applied();
    for text in ["", "format-version = 2\n", "[[pin]]\n"] {
        fs::write(env.home("trust/pins.toml"), text).unwrap();
        let ran = env.astrid(&["plan"]);
        assert!(matches!(ran.code, 65 | 84), "{text}\n{}", ran.shown());
    }
}

#[test]
fn the_pin_is_written_with_the_switch_or_not_at_all() {
    let env = signed_and_applied();
    publish(&env, "1.1.0", Some("two"));
    let before = fs::read(env.home("trust/pins.toml")).unwrap();
    // A capsule that can't be loaded: everything else is well, and nothing is pinned.
    let component = wat::parse_str("(component (import \"no:such/thing\" (instance (export \"f\" (func)))))");
    env.write("notes/notes.wasm", component.unwrap());
    env.ok(&["lock"]);
    env.ok(&["sign", ".", "--key", "two"]);
    let ran = env.astrid(&["apply", "--yes", "--trust", "--boot", "--accept-new-key"]);
    assert_eq!(ran.code, 86, "{}", ran.shown());
    assert_eq!(fs::read(env.home("trust/pins.toml")).unwrap(), before);
}

fn endorse(env: &TestEnv, old: &str, new: &str) {
    env.ok(&["keypair", "endorse", old, "--new", &public(env, new), "-o", "endorsements.jsonl"]);
}

#[test]
fn an_endorsed_key_follows_without_a_flag() {
    let env = signed_and_applied();
    endorse(&env, "one", "two");
    endorse(&env, "two", "three");
    assert_eq!(env.read("endorsements.jsonl").lines().count(), 2);
    publish(&env, "1.1.0", Some("three"));
    let ran = env.ok(&APPLY);
    assert!(ran.stderr.contains("→"), "{}", ran.shown());
    let listed = env.ok(&["trust", "keys", "list", "--json"]).json();
    assert_eq!(listed["pins"][0]["signer"]["key"], public(&env, "three"));
    // Back is no endorsement.
    publish(&env, "1.2.0", Some("one"));
    assert_eq!(env.astrid(&APPLY).code, 83);
}

#[test]
fn the_key_that_a_signed_declaration_names_follows() {
    let env = signed_and_applied();
    let signing = |own: &str, next: &str| {
        let text = env.read("Distro.toml");
        let head = text.split("\n[distro.signing]").next().unwrap();
        let table = format!(
            "\n[distro.signing]\npubkey = \"{}\"\nendorses = \"{}\"\n",
            public(&env, own),
            public(&env, next)
        );
        env.write("Distro.toml", format!("{head}{table}"));
        env.ok(&["lock"]);
        env.ok(&["sign", ".", "--key", own]);
    };
    publish(&env, "1.1.0", Some("one"));
    signing("one", "two");
    env.ok(&APPLY);
    publish(&env, "1.2.0", Some("three"));
    assert_eq!(env.astrid(&APPLY).code, 83);
    publish(&env, "1.2.0", Some("two"));
    env.ok(&APPLY);
}

#[test]
fn endorsements_by_others_lead_nowhere_denied() {
    let env = signed_and_applied();
    // The new key speaks for itself, and a third one for it.
    endorse(&env, "three", "two");
    endorse(&env, "two", "one");
    publish(&env, "1.1.0", Some("two"));
    let ran = env.astrid(&APPLY);
    assert_eq!(ran.code, 83, "{}", ran.shown());
    // A line that says that the old key signed it, and that it did not.
    endorse(&env, "one", "three");
    let text = env.read("endorsements.jsonl");
    let line = text.lines().last().unwrap();
    let printed = env.ok(&["keypair", "endorse", "three", "--new", &public(&env, "two")]).stdout;
    let payload = |line: &str| {
        let bundle: serde_json::Value = serde_json::from_str(line).unwrap();
        bundle["dsseEnvelope"]["payload"].as_str().unwrap().to_owned()
    };
    env.write("endorsements.jsonl", line.replace(&payload(line), &payload(&printed)));
    assert_eq!(env.astrid(&APPLY).code, 83);
    env.write("endorsements.jsonl", "nonsense");
    assert_eq!(env.astrid(&APPLY).code, 65);
    let refused =
        env.astrid(&["keypair", "endorse", "one", "--new", &public(&env, "two"), "-o", "endorsements.jsonl"]);
    assert_eq!(refused.code, 65, "{}", refused.shown());
    assert_eq!(env.read("endorsements.jsonl"), "nonsense");
    assert_eq!(env.astrid(&["keypair", "endorse", "one", "--new", &public(&env, "one")]).code, 83);
    assert_eq!(env.astrid(&["keypair", "endorse", "one", "--new", "ed25519:AAAA"]).code, 64);
    assert_eq!(env.astrid(&["keypair", "endorse", "nobody", "--new", &public(&env, "one")]).code, 1);
}

#[test]
fn an_endorsed_key_follows_from_a_repository_too() {
    let env = signed_and_applied();
    endorse(&env, "one", "two");
    publish(&env, "1.1.0", Some("two"));
    let repository = git2::Repository::init(env.work("")).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let ada = git2::Signature::new("Ada", "ada@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    repository.commit(Some("HEAD"), &ada, &ada, "one", &tree, &[]).unwrap();
    let source = format!("git+file://{}", env.work("").display());
    let source = source.trim_end_matches('/');
    let apply = ["init", source, "--yes", "--trust", "--no-boot", "--replace-distro"];
    let ran = env.run(&apply).folder("user").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let listed = env.ok(&["trust", "keys", "list", "--json"]).json();
    assert_eq!(listed["pins"][0]["signer"]["key"], public(&env, "two"));
}
