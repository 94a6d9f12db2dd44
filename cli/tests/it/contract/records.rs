//! The install record, and what is compared with it.

use std::fs;
use std::path::PathBuf;

use regex::Regex;
use serde_json::Value;

use super::scene::{PERMISSIONS, files_under, media, trust_block};
use crate::env::TestEnv;

fn installed() -> TestEnv {
    let env = TestEnv::new();
    media(&env, "shop/media");
    env.ok(&["packs", "install", "shop/media", "--yes", "--trust"]);
    env
}

fn record_path(env: &TestEnv) -> PathBuf {
    env.path("data/astrid/packs/media/.astrid/install.json")
}

fn record(env: &TestEnv) -> Value {
    serde_json::from_str(&fs::read_to_string(record_path(env)).unwrap()).unwrap()
}

/// Every value under a key of this name, at any depth.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == key {
                    found.push(field);
                }
                all(field, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

// contract: PC-INV-01, PC-STAB-01
#[test]
fn the_trust_block_is_the_same_everywhere() {
    let env = installed();
    let mut documents = vec![record(&env)];
    let runs: [&[&str]; 5] = [
        &["packs", "inspect", "media"],
        &["packs", "inspect", "media", "--agent"],
        &["packs", "inspect", "shop/media"],
        &["packs", "agent-index"],
        &["discover"],
    ];
    for arguments in runs {
        documents.push(env.ok(&[arguments, &["--json"]].concat()).json());
    }
    let fresh = TestEnv::new();
    media(&fresh, "shop/media");
    documents.push(fresh.ok(&["packs", "install", "shop/media", "--dry-run", "--json"]).json());
    for document in documents {
        let mut blocks = Vec::new();
        all(&document, "trust", &mut blocks);
        blocks.retain(|block| block.get("sandbox").is_some());
        assert!(!blocks.is_empty(), "{document:#}");
        assert!(blocks.iter().all(|block| **block == trust_block()), "{document:#}");
    }
}

// contract: PC-REC-01, PC-STAB-01
#[test]
fn the_record_says_what_was_accepted_when_how_and_by_whom() {
    let env = installed();
    let record = record(&env);
    assert_eq!(record["trust_method"], "cli_flag");
    assert_eq!(record["trust_actor"], "cli");
    assert_eq!(record["no_sandbox_warning_version"], 1);
    assert_eq!(record["trust_acknowledged_at"], "2026-11-20T12:00:00Z");
    let accepted = record["permissions_accepted"].as_array().unwrap();
    let ids: Vec<&str> = accepted.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, PERMISSIONS);
    assert_eq!(accepted[1]["services"][0], "api.example.org");
    assert!(accepted.iter().all(|one| !one["reason"].as_str().unwrap().is_empty()));
    // Where nothing says otherwise, packs are under ~/.local/share.
    let other = TestEnv::new();
    media(&other, "shop/media");
    let ran =
        other.run(&["packs", "install", "shop/media", "--yes", "--trust"]).variable("XDG_DATA_HOME", "").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    assert!(other.path("user/.local/share/astrid/packs/media/.astrid/install.json").is_file());
}

// contract: PC-REC-02
#[test]
fn the_record_binds_the_whole_content() {
    let env = installed();
    let first = record(&env);
    let shown = env.ok(&["packs", "inspect", "shop/media", "--json"]).json();
    assert_eq!(first["content_digest"], shown["content_digest"]);
    assert!(first["source_path"].as_str().unwrap().ends_with("shop/media"));
    assert_eq!(first["signer"], "unsigned");
    assert!(first["commit_sha"].is_null() && first["previous_active_revision"].is_null());
    let time = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$").unwrap();
    for field in ["trust_acknowledged_at", "installed_at", "last_validation_time"] {
        assert!(time.is_match(first[field].as_str().unwrap()), "{field}");
    }
    // A byte of a script, far from every manifest.
    env.write("shop/media/executors/render/data.bin", [1, 2, 3]);
    env.ok(&["packs", "update", "media", "--yes", "--trust"]);
    let second = record(&env);
    assert_ne!(second["content_digest"], first["content_digest"]);
    assert_eq!(second["previous_active_revision"], first["revision"]);
}

// contract: PC-REC-03
#[test]
fn a_pack_can_not_bring_its_own_record() {
    let env = TestEnv::new();
    media(&env, "shop/media");
    env.write("shop/media/.astrid/install.json", "{\"trust_actor\": \"the pack itself\"}");
    let before = env.ok(&["packs", "inspect", "shop/media", "--json"]).json()["content_digest"].clone();
    env.ok(&["packs", "install", "shop/media", "--yes", "--trust"]);
    let own = record(&env);
    assert_eq!(own["trust_actor"], "cli");
    let active = env.path("data/astrid/packs/media/active").canonicalize().unwrap();
    assert!(!active.join(".astrid").exists());
    assert!(!record_path(&env).canonicalize().unwrap().starts_with(&active));
    assert_eq!(own["content_digest"], before);
}

/// Makes a file of the home writable, and writes it.
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    let path = path.canonicalize().unwrap();
    fs::remove_file(&path)
        .or_else(|_| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
            fs::remove_file(&path)
        })
        .unwrap();
    fs::write(&path, bytes).unwrap();
}

// contract: PC-REC-04
#[test]
fn a_pack_that_is_not_what_was_accepted_does_not_run_denied() {
    const RUN: [&str; 3] = ["packs", "run", "media.render"];
    let env = installed();
    let ran = env.ok(&RUN);
    assert!(ran.stdout.contains("a film"), "{}", ran.shown());
    let served = env.path("data/astrid/packs/media/active/executors/render/executor.yaml");
    let text = fs::read_to_string(&served).unwrap();
    overwrite(&served, text.replace("a film", "another film").as_bytes());
    let ran = env.astrid(&RUN);
    assert_eq!(ran.code, 84, "{}", ran.shown());
    assert!(!ran.stdout.contains("film"), "{}", ran.shown());

    let env = installed();
    let text = fs::read_to_string(record_path(&env)).unwrap();
    overwrite(&record_path(&env), text.replace("cli_flag", "interactive").as_bytes());
    let ran = env.astrid(&RUN);
    assert_eq!(ran.code, 84, "{}", ran.shown());
    assert!(ran.stdout.is_empty(), "{}", ran.shown());
}

// contract: PC-REC-05
#[test]
fn inspect_shows_what_was_accepted() {
    let env = installed();
    let ran = env.ok(&["packs", "inspect", "media"]);
    let accepted = ran.stdout.split("Accepted:").nth(1).unwrap();
    for part in ["2026-11-20T12:00:00Z", "cli", "cli_flag", "network: Asks an API for pictures"] {
        assert!(accepted.contains(part), "{part}\n{}", ran.shown());
    }
    let document = env.ok(&["packs", "inspect", "media", "--json"]).json();
    for field in ["trust_acknowledged_at", "trust_method", "trust_actor", "permissions_accepted"] {
        let mut found = Vec::new();
        all(&document, field, &mut found);
        assert!(!found.is_empty(), "{field}\n{document:#}");
    }
    // Looking leaves everything as it is.
    let before = files_under(&env.home(""));
    env.ok(&["packs", "inspect", "media"]);
    assert_eq!(files_under(&env.home("")), before);
}
