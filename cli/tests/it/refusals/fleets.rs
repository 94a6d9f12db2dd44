//! Fleets that must be refused: what is remote, what a lock claims, what a distro says about itself.

use std::fs;

use super::case::{APPLY, ENTRY, RULE};
use super::release::{Release, commit, copy};
use super::scene::{Leaves, Scene, policy, public, refusal_of, refused, refused_fleet};
use crate::env::TestEnv;

#[track_caller]
fn refused_release(release: &Release, name: &str, arguments: &[&str], code: i32, says: &[&str]) {
    let env = &release.scene.env;
    let (ran, wrong) = refusal_of(env, release.run(arguments), Leaves::Notes, code, says);
    assert!(wrong.is_empty(), "{name}: {}\n{}", wrong.join("\n"), ran.shown());
}

/// Every verb that would take it.
const VERBS: [&[&str]; 4] = [&["plan"], &["lock"], &["fetch"], &APPLY];

// contract: SEC-PROV-01
#[test]
fn what_is_remote_is_signed_by_whom_a_rule_names_denied() {
    let release = Release::new();
    let env = &release.scene.env;
    for verb in VERBS {
        refused_release(&release, "unsigned and remote", verb, 83, &["capsule:fs is remote and not signed"]);
    }
    release.offers(Some(&release.scene.blob()));
    let says = ["no rule says that they may", "[[policy.signer]]", "repository = \"acme/fs\""];
    for verb in VERBS {
        refused_release(&release, "signed by somebody", verb, 83, &says);
    }
    // The distro does not say who may sign it, and does not make it weaker.
    let own = env.read("Distro.toml");
    env.write("Distro.toml", format!("{own}\n{RULE}"));
    refused_release(&release, "a rule of the distro", &APPLY, 83, &says);
    env.write("Distro.toml", format!("{own}\n[policy]\nprovenance = \"none\"\n"));
    refused_release(&release, "a weaker policy of the distro", &APPLY, 83, &says);
    env.write("Distro.toml", &own);
    // A lax home lets unsigned ones in, and those that are wrong not.
    policy(env, "[policy]\nprovenance = \"if-present\"\n");
    release.offers(Some(&release.scene.sigstore.sign_blob(&super::scene::claims(), b"other")));
    refused_release(&release, "wrong at a lax home", &APPLY, 83, &["other bytes"]);
    release.offers(Some("hello"));
    refused_release(&release, "garbage at a lax home", &APPLY, 65, &["capsule:fs"]);
    policy(env, RULE);
    release.offers(Some(&release.scene.blob()));
    let ran = release.run(&APPLY).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

#[test]
fn a_lock_says_nothing_of_who_signed_denied() {
    let release = Release::new();
    let env = &release.scene.env;
    policy(env, RULE);
    release.offers(Some(&release.scene.attestation()));
    let ran = release.run(&["lock"]).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let text = env.read("Distro.lock");
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
    let without = |start: &str| text.replacen(&format!("{}\n", line(start)), "", 1);
    let digest = line("bundle = ").split('"').nth(1).unwrap().to_owned();
    let other = format!("blake3:{}", "0".repeat(64));
    for (name, forged, code) in [
        ("another repository", text.replace("repository = \"acme/fs\"", "repository = \"acme/other\""), 83),
        (
            "another workflow",
            text.replace("workflow = \".github/workflows/release.yml\"", "workflow = \"x.yml\""),
            83,
        ),
        ("another issuer", text.replace("issuer = \"https://token.", "issuer = \"https://other."), 83),
        ("a key", text.replace(line("signer = "), &format!("signer = {{ key = \"{}\" }}", public(7))), 83),
        ("unsigned", text.replace(line("signer = "), "signer = \"unsigned\""), 83),
        ("no provenance", without("provenance = "), 83),
        ("another provenance", text.replace("provenance = \"slsa-v1\"", "provenance = \"slsa-v2\""), 83),
        ("another bundle", text.replace(&digest, &other), 84),
        ("another content", text.replace(line("content = "), &format!("content = \"{other}\"")), 84),
        ("another archive", text.replace(line("archive = "), &format!("archive = \"{other}\"")), 84),
        ("another authority", text.replace(line("authority = "), &format!("authority = \"{other}\"")), 84),
        ("another component", text.replace(line("component = "), &format!("component = \"{other}\"")), 84),
    ] {
        assert_ne!(forged, text, "{name}");
        env.write("Distro.lock", forged);
        for locked in [&["plan"][..], &["apply", "--yes", "--trust", "--no-boot", "--locked"]] {
            refused_release(&release, &format!("a lock that says {name}"), locked, code, &[]);
        }
    }
    let stripped = without("bundle = ").replace(line("signer = "), "signer = \"unsigned\"");
    env.write("Distro.lock", stripped.replacen(&format!("{}\n", line("provenance = ")), "", 1));
    refused_release(&release, "a lock without its signer", &APPLY, 83, &["not signed"]);
    env.write("Distro.lock", &text);

    // What the store has under the bundle's digest must be it.
    let hex = digest.trim_start_matches("blake3:").to_owned();
    let blob = env.home(&format!("store/blobs/{}/{hex}", &hex[..2]));
    let bytes = fs::read(&blob).unwrap();
    let offline = ["apply", "--yes", "--trust", "--no-boot", "--offline"];
    overwrite(&blob, b"hello");
    refused_release(&release, "a bundle that was swapped in the store", &offline, 84, &[]);
    overwrite(&blob, release.scene.blob().as_bytes());
    refused_release(&release, "a valid bundle under another's digest", &offline, 84, &[]);
    fs::remove_file(&blob).unwrap();
    let (ran, wrong) = refusal_of(env, release.run(&offline), Leaves::Notes, 81, &[]);
    assert!(wrong.is_empty(), "{wrong:?}\n{}", ran.shown());
    overwrite(&blob, &bytes);
    let ran = release.run(&offline).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}

/// A distro of a folder, locked and signed by the key 7, which it names.
fn signed_distro() -> Scene {
    let scene = Scene::new();
    let env = &scene.env;
    let head = format!("\n[distro.signing]\npubkey = \"{}\"\n", public(7));
    env.distro(&format!(
        "{head}\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n"
    ));
    env.capsule("notes", "notes", "1.0.0", "");
    env.ok(&["lock"]);
    env.ok(&["sign", ".", "--key", "./release.key"]);
    scene
}

fn rule_for_distro(number: u8) -> String {
    format!("[[policy.signer]]\nmatch = [\"distro:demo\"]\nkey = \"{}\"\n", public(number))
}

#[test]
fn a_distro_is_signed_by_whom_it_and_the_home_name_denied() {
    let scene = signed_distro();
    let env = &scene.env;
    env.ok(&["plan"]);
    policy(env, &rule_for_distro(8));
    refused_fleet(
        env,
        "a key that the home does not name",
        &APPLY,
        83,
        &["distro:demo", "etc/policy.toml:1"],
    );
    policy(env, "");
    env.ok(&["sign", ".", "--key", "./other.key"]);
    refused_fleet(env, "a key that the distro does not name", &APPLY, 83, &["distro:demo"]);
    env.write("Distro.sigstore.json", "hello");
    refused_fleet(env, "a signature that is none", &APPLY, 65, &["distro:demo"]);
    policy(env, &rule_for_distro(7));
    env.ok(&["sign", ".", "--key", "./release.key"]);
    env.ok(&["plan"]);
    let lax = [&APPLY[..], &["--allow-unsigned"]].concat();
    let text = env.read("Distro.toml");
    env.write("Distro.toml", format!("{text}# a comment\n"));
    refused_fleet(env, "a signature of other files", &lax, 83, &["distro:demo is not signed", "other files"]);
    env.write("Distro.toml", text);
    fs::remove_file(env.work("Distro.sigstore.json")).unwrap();
    refused_fleet(env, "nobody, where the home names a key", &APPLY, 83, &["distro:demo is not signed"]);
    policy(env, &format!("[policy]\nprovenance = \"none\"\n{}", rule_for_distro(7)));
    refused_fleet(env, "nobody, where only a rule asks", &APPLY, 83, &["distro:demo is not signed"]);
    refused_fleet(env, "nobody, with --allow-unsigned", &lax, 83, &["distro:demo is not signed"]);
}

#[test]
fn a_signature_of_other_bytes_than_are_here_counts_for_nothing_denied() {
    let scene = signed_distro();
    let env = &scene.env;
    let ran = env.ok(&["plan"]);
    assert!(ran.stdout.contains("signed by key"), "{}", ran.shown());
    // Declaration, lock and signature are as they were; what the lock pins is not.
    let notes = env.read("notes/Capsule.toml");
    env.write("notes/Capsule.toml", notes + "\n");
    let ran = env.ok(&["plan"]);
    assert!(!ran.stdout.contains("signed by key"), "{}", ran.shown());
    assert!(ran.stderr.contains("sign again before publishing"), "{}", ran.shown());
    policy(env, &rule_for_distro(7));
    let says = ["distro:demo is not signed", "what is here is not what its Distro.lock pins"];
    refused_fleet(env, "bytes that nobody signed, where the home names a key", &APPLY, 83, &says);
    let locked = ["apply", "--yes", "--trust", "--no-boot", "--locked"];
    refused_fleet(env, "bytes that the lock does not pin", &locked, 84, &["notes"]);
}

#[test]
fn a_distro_that_was_fetched_is_what_was_signed_denied() {
    let scene = signed_distro();
    let env = &scene.env;
    copy(&env.work("notes"), &env.path("repo/notes"));
    for name in ["Distro.toml", "Distro.lock", "Distro.sigstore.json"] {
        fs::copy(env.work(name), env.path("repo").join(name)).unwrap();
    }
    let source = |commit: &str| format!("git+file://{}?ref={commit}", env.path("repo").display());
    let good = source(&commit(env, "one"));
    let plan = |source: &str| env.astrid(&["plan", source]);
    assert_eq!(plan(&good).code, 0, "{}", plan(&good).shown());
    let text = fs::read_to_string(env.path("repo/Distro.toml")).unwrap();
    fs::write(env.path("repo/Distro.toml"), format!("{text}# a comment\n")).unwrap();
    let changed = source(&commit(env, "two"));
    for verb in [&["plan"][..], &APPLY, &["init", "--yes", "--trust", "--no-boot"]] {
        let verb = [verb, &[changed.as_str()]].concat();
        refused_fleet(env, "a signature of another Distro.toml", &verb, 83, &["distro:demo", "other files"]);
    }
    fs::write(env.path("repo/Distro.toml"), text).unwrap();
    let lock = fs::read_to_string(env.path("repo/Distro.lock")).unwrap();
    fs::write(env.path("repo/Distro.lock"), format!("{lock}\n")).unwrap();
    let changed = source(&commit(env, "three"));
    let verb = ["init", "--yes", "--trust", "--no-boot", &changed];
    refused_fleet(env, "a signature of another Distro.lock", &verb, 83, &["distro:demo", "other files"]);
    fs::remove_file(env.path("repo/Distro.lock")).unwrap();
    let changed = source(&commit(env, "four"));
    let verb = ["init", "--yes", "--trust", "--no-boot", &changed];
    refused_fleet(env, "a signed Distro.lock that is gone", &verb, 83, &["distro:demo", "other files"]);
    fs::write(env.path("repo/Distro.lock"), &lock).unwrap();
    let notes = fs::read_to_string(env.path("repo/notes/Capsule.toml")).unwrap();
    fs::write(env.path("repo/notes/Capsule.toml"), notes + "\n").unwrap();
    let changed = source(&commit(env, "five"));
    let verb = ["init", "--yes", "--trust", "--no-boot", &changed];
    refused_fleet(env, "other bytes than the signed lock pins", &verb, 84, &["notes"]);
}

#[test]
fn a_pin_outlives_what_the_repository_says_denied() {
    let scene = signed_distro();
    let env = &scene.env;
    env.ok(&APPLY);
    // From now on the distro is signed by that key, or somebody says otherwise.
    let text = env.read("Distro.toml");
    fs::remove_file(env.work("Distro.sigstore.json")).unwrap();
    let unsigned = env.astrid(&APPLY);
    assert!([0, 83].contains(&unsigned.code), "{}", unsigned.shown());
    env.write("Distro.toml", text.replace(&public(7), &public(8)));
    env.ok(&["lock"]);
    env.ok(&["sign", ".", "--key", "./other.key"]);
    refused_fleet(env, "another key than before", &APPLY, 83, &["--accept-new-key"]);
}

#[test]
fn verbs_that_edit_leave_the_declaration_as_it_was_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.capsule("notes", "notes", "1.0.0", "");
    env.ok(&APPLY);
    policy(env, RULE);
    let lock = fs::read(env.home("run/writer.lock")).unwrap();
    let add = ["add", "./fs.capsule", "--name", "fs", "--version", "1.2.0", "--yes", "--trust", "--no-boot"];
    refused_fleet(env, "add of what nobody signed", &add, 83, &["capsule:fs is not signed"]);
    assert_eq!(fs::read(env.home("run/writer.lock")).unwrap(), lock);
    policy(env, &format!("[[policy.signer]]\nmatch = [\"capsule:notes\"]\nkey = \"{}\"\n", public(7)));
    let update = ["update", "--all", "--yes", "--trust", "--no-boot"];
    refused_fleet(env, "update of what nobody signed", &update, 83, &["capsule:notes is not signed"]);
    refused_fleet(env, "an empty plan is no way around", &APPLY, 83, &["capsule:notes is not signed"]);
    refused_fleet(env, "nor is a kept lock", &["lock", "--upgrade"], 83, &["capsule:notes is not signed"]);
}

#[test]
fn a_saved_plan_proves_nothing_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    env.distro(ENTRY);
    policy(env, RULE);
    env.write("fs.capsule.sigstore.json", scene.blob());
    env.ok(&["plan", "-o", "fleet.plan"]);
    let other = astrid_hermetic_sigstore::Claims::github("mallory/fs", "release.yml", "refs/tags/v1.2.0");
    env.write("fs.capsule.sigstore.json", scene.sigstore.sign_blob(&other, &scene.bytes));
    let apply = ["apply", "fleet.plan", "--trust", "--no-boot"];
    refused_fleet(env, "another bundle than was planned", &apply, 83, &["mallory/fs"]);
    env.write("fs.capsule.sigstore.json", scene.blob());
    policy(env, &RULE.replace("v*", "w*"));
    refused_fleet(env, "another rule than was planned", &apply, 83, &["ref: the rule wants"]);
}

#[test]
fn rules_are_asked_again_by_a_rollback_denied() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    env.capsule("tasks", "tasks", "1.0.0", "");
    env.distro("\n[[capsule]]\nname = \"tasks\"\nsource = \"./tasks\"\nversion = \"1.0.0\"\n");
    env.ok(&APPLY);
    policy(&env, &format!("[[policy.signer]]\nmatch = [\"capsule:notes\"]\nkey = \"{}\"\n", public(7)));
    refused(&env, "back to what nobody signed", &["rollback", "--yes", "--no-boot"], 83, &["capsule:notes"]);
}
