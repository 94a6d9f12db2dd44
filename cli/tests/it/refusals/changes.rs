//! Makers that are not those of before: floors, and the reviewed lines that let them change.

use std::fs;

use astrid_hermetic_sigstore::Claims;

use super::case::{APPLY, ENTRY};
use super::scene::{Leaves, Scene, policy, public, refusal, refused_fleet};

const BUNDLE: &str = "fs.capsule.sigstore.json";

/// A home that applied the artifact with its SLSA provenance by the workflow.
fn applied() -> Scene {
    let scene = Scene::new();
    scene.env.distro(ENTRY);
    scene.env.write(BUNDLE, scene.attestation());
    scene.env.ok(&APPLY);
    scene
}

fn workflow() -> String {
    "acme/fs .github/workflows/release.yml (https://token.actions.githubusercontent.com)".to_owned()
}

fn change(subject: &str, from: &str, to: &str) -> String {
    format!(
        "[[policy.change]]\nsubject = \"{subject}\"\nfrom = \"{from}\"\nto = \"{to}\"\nreason = \"the project moved\"\n"
    )
}

// contract: SEC-PROV-03
#[test]
fn makers_that_are_not_those_of_before_are_denied() {
    let scene = applied();
    let env = &scene.env;
    let other = |claims: &Claims| scene.sigstore.sign_statement(claims, &super::scene::slsa(&scene.bytes));
    let before = format!("capsule:fs was made by {} with slsa-v1", workflow());
    env.ok(&["sign", "fs.capsule", "--key", "./release.key", "--bundle", "key.json"]);
    let by_key = env.read("key.json");
    fs::remove_file(env.work("key.json")).unwrap();
    for (name, bundle, to) in [
        (
            "another repository",
            other(&Claims::github("mallory/fs", "release.yml", "refs/tags/v1.2.0")),
            "mallory/fs",
        ),
        ("another workflow", other(&Claims::github("acme/fs", "test.yml", "refs/tags/v1.2.0")), "test.yml"),
        (
            "a person",
            other(&Claims::person("ada@example.org", "https://accounts.example.org")),
            "ada@example.org",
        ),
        ("a key", by_key, "key ed25519:"),
        ("weaker provenance", scene.blob(), "is now by acme/fs"),
    ] {
        env.write(BUNDLE, bundle);
        refused_fleet(env, name, &APPLY, 83, &[&before, to, "[[policy.change]]"]);
        let plan = env.ok(&["plan"]);
        assert!(plan.stdout.contains(&before) && plan.stdout.contains(": refused"), "{}", plan.shown());
        let (ran, wrong) = refusal(env, &["policy", "check"], Leaves::Notes, 83, &[&before]);
        assert!(wrong.is_empty(), "{name}: {wrong:?}\n{}", ran.shown());
    }
    fs::remove_file(env.work(BUNDLE)).unwrap();
    refused_fleet(env, "nobody any more", &APPLY, 83, &[&before, "is now by unsigned"]);
    // Neither a copy elsewhere nor a new lock makes it forget.
    fs::remove_file(env.work("Distro.lock")).unwrap();
    refused_fleet(env, "nobody any more, without a lock", &APPLY, 83, &[&before]);
    env.write(BUNDLE, scene.attestation());
    env.ok(&APPLY);
}

// contract: SEC-PROV-03
#[test]
fn neither_rollback_nor_removal_lowers_a_floor_denied() {
    let scene = applied();
    let env = &scene.env;
    env.capsule("notes", "notes", "1.0.0", "");
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.ok(&APPLY);
    env.ok(&["gc", "--keep", "1", "--yes"]);
    env.distro(ENTRY);
    fs::remove_file(env.work(BUNDLE)).unwrap();
    refused_fleet(env, "removed, collected and back", &APPLY, 83, &["capsule:fs was made by acme/fs"]);
}

#[test]
fn lines_that_do_not_say_just_this_change_nothing_denied() {
    let scene = applied();
    let env = &scene.env;
    env.write(BUNDLE, scene.blob());
    let (from, to) = (format!("{} with slsa-v1", workflow()), workflow());
    for (name, line) in [
        ("another subject", change("capsule:fsx", &from, &to)),
        ("a pack of that name", change("pack:fs", &from, &to)),
        ("from somebody else", change("capsule:fs", &to, &to)),
        ("to somebody else", change("capsule:fs", &from, "unsigned")),
        ("from a prefix", change("capsule:fs", &from[..from.len() - 1], &to)),
        ("to a prefix", change("capsule:fs", &from, &to[..to.len() - 1])),
        ("the wrong way round", change("capsule:fs", &to, &from)),
        ("a star", change("capsule:fs", "*", "*")),
    ] {
        policy(env, &line);
        refused_fleet(env, name, &APPLY, 83, &["capsule:fs was made by", "it counts once"]);
    }
    // Nor does the distro say it of itself.
    policy(env, "");
    env.distro(&format!("{ENTRY}\n{}", change("capsule:fs", &from, &to)));
    refused_fleet(env, "a line of the distro", &APPLY, 83, &["capsule:fs was made by"]);
    env.distro(ENTRY);
    policy(env, &change("capsule:fs", &from, &to));
    env.ok(&APPLY);
}

#[test]
fn a_line_that_was_used_counts_no_more_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    env.distro(ENTRY);
    let keys = [7, 8].map(|number| format!("key {}", public(number)));
    let signed = |key: &str| env.ok(&["sign", "fs.capsule", "--key", key]);
    signed("./release.key");
    env.ok(&APPLY);
    let there = change("capsule:fs", &keys[0], &keys[1]);
    let back = change("capsule:fs", &keys[1], &keys[0]);
    policy(env, &format!("{there}{back}"));
    signed("./other.key");
    env.ok(&APPLY);
    signed("./release.key");
    env.ok(&APPLY);
    signed("./other.key");
    refused_fleet(env, "a line a second time", &APPLY, 83, &["capsule:fs was made by"]);
    // What was used is remembered in the home, and a file that was damaged is not an empty one.
    let floors = env.home("trust/floors.toml");
    let text = fs::read_to_string(&floors).unwrap();
    assert!(text.contains("[[used-change]]"), "{text}");
    for (name, damaged) in [("emptied", ""), ("cut short", &text[..text.len() / 2]), ("garbage", "hello")] {
        fs::write(&floors, damaged).unwrap();
        refused_fleet(env, name, &APPLY, 84, &["floors.toml"]);
    }
}
