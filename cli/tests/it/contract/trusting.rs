//! Trust in packs: what must be said before one is installed, updated or brought back, and what is shown before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use expectrl::ControlCode;
use serde_json::Value;

use super::scene::{block_of_lines, files_under, media};
use crate::env::TestEnv;

const INSTALL: [&str; 5] = ["packs", "install", "shop/media", "--yes", "--trust"];

fn shop() -> TestEnv {
    let env = TestEnv::new();
    media(&env, "shop/media");
    env
}

fn is_installed(env: &TestEnv) -> bool {
    env.path("data/astrid/packs/media/active").exists()
}

fn digest(env: &TestEnv) -> String {
    let ran = env.ok(&["packs", "inspect", "shop/media", "--json"]);
    ran.json()["content_digest"].as_str().unwrap().to_owned()
}

/// Nothing was made, changed or removed, anywhere on this machine.
fn assert_unchanged(env: &TestEnv, before: &BTreeMap<String, Vec<u8>>) {
    let after = files_under(&env.path(""));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let other: Vec<_> = names.into_iter().filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(other.is_empty(), "{other:?}");
}

/// Another version, with the same permissions.
fn newer(env: &TestEnv) {
    let text = env.read("shop/media/pack.yaml");
    env.write("shop/media/pack.yaml", text.replace("version: 1.0.0", "version: 1.1.0"));
}

// contract: PC-TRUST-01, PC-TRUST-07
#[test]
fn an_update_needs_trust_again_also_when_no_permission_changed() {
    let env = shop();
    assert_eq!(env.astrid(&["packs", "install", "shop/media", "--yes"]).code, 82);
    env.ok(&INSTALL);
    newer(&env);
    let ran = env.astrid(&["packs", "update", "media", "--yes"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("1.0.0 → 1.1.0"), "{}", ran.shown());
    assert!(ran.stderr.contains("Permissions: (unchanged)"), "{}", ran.shown());
    env.ok(&["packs", "update", "media", "--yes", "--trust"]);
    assert_eq!(env.ok(&["packs", "inspect", "media", "--json"]).json()["version"], "1.1.0");
}

// contract: PC-TRUST-07
#[test]
fn an_update_shows_what_is_added_removed_and_changed() {
    let env = shop();
    env.ok(&INSTALL);
    let text = env.read("shop/media/pack.yaml");
    let text = text
        .replace("  - {id: accelerator, reason: Renders on the GPU, access: one device}\n", "")
        .replace("reason: Starts a renderer", "reason: Starts two renderers");
    env.write("shop/media/pack.yaml", &text);
    let ran = env.astrid(&["packs", "update", "media", "--yes"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    let diff = ran.stderr.split("Diff Summary").nth(1).unwrap();
    for line in [
        "Permissions removed:",
        "accelerator: Renders on the GPU",
        "Permissions changed:",
        "Starts two renderers",
    ] {
        assert!(diff.contains(line), "{line}\n{}", ran.shown());
    }
    env.ok(&["packs", "update", "media", "--yes", "--trust"]);
    let text = text.replace("  - {id: subprocess, reason: Starts two renderers}\n", "");
    env.write("shop/media/pack.yaml", text);
    let back = env.astrid(&["packs", "update", "media", "--yes"]);
    assert!(back.stderr.contains("Permissions removed:"), "{}", back.shown());
    env.ok(&["packs", "update", "media", "--yes", "--trust"]);
    media(&env, "shop/media");
    let more = env.astrid(&["packs", "update", "media", "--dry-run"]);
    let diff = more.stdout + &more.stderr;
    assert!(diff.contains("Permissions added:") && diff.contains("accelerator"), "{diff}");
}

// contract: PC-TRUST-02
#[test]
fn at_a_terminal_trust_is_typed_exactly() {
    for typed in [
        "trust Media",
        "Trust media",
        "trust  media",
        " trust media",
        "trust media ",
        "media",
        "yes",
        "y",
        "",
    ] {
        let env = shop();
        let before = files_under(&env.path(""));
        let mut terminal = env.terminal(&["packs", "install", "shop/media", "--yes"]);
        terminal.sees("Type `trust media`").sees(": ").types(typed);
        let (code, shown) = terminal.ends();
        assert_ne!(code, 0, "{typed:?}: {shown}");
        assert!(!is_installed(&env), "{typed:?}: {shown}");
        assert_unchanged(&env, &before);
    }
    for key in [ControlCode::EndOfTransmission, ControlCode::EndOfText] {
        let env = shop();
        let before = files_under(&env.path(""));
        let mut terminal = env.terminal(&["packs", "install", "shop/media"]);
        terminal.sees("Type `trust media`").presses(key);
        let (code, shown) = terminal.ends();
        assert_ne!(code, 0, "{shown}");
        assert_unchanged(&env, &before);
    }
    let env = shop();
    let mut terminal = env.terminal(&["packs", "install", "shop/media"]);
    terminal.sees("Type `trust media`").types("trust media").sees("[y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(is_installed(&env));
}

// contract: PC-TRUST-03, PC-TRUST-09
#[test]
fn yes_is_no_trust_and_without_a_terminal_nothing_asks_denied() {
    let env = shop();
    for arguments in [&["packs", "install", "shop/media", "--yes"][..], &["packs", "install", "shop/media"]] {
        // Even with the right answers at hand.
        let ran = env.run(arguments).input("trust media\ny\n").go();
        assert_eq!(ran.code, 82, "{}", ran.shown());
        assert!(
            ran.stderr.contains("trust acknowledgement required") && ran.stderr.contains("media"),
            "{}",
            ran.shown()
        );
        assert!(!ran.stderr.contains("Type `trust"), "{}", ran.shown());
    }
    let json = env.astrid(&["packs", "install", "shop/media", "--yes", "--json"]).json();
    assert_eq!(json["error"]["kind"], "trust-required");
    assert!(!is_installed(&env));
}

// contract: PC-TRUST-04
#[test]
fn trust_does_not_skip_the_ordinary_question() {
    let env = shop();
    let refused = env.run(&["packs", "install", "shop/media", "--trust"]).input("y\n").go();
    assert_ne!(refused.code, 0, "{}", refused.shown());
    let mut terminal = env.terminal(&["packs", "install", "shop/media", "--trust"]);
    terminal.sees("[y/N] ").types("n");
    let (code, shown) = terminal.ends();
    assert_ne!(code, 0, "{shown}");
    assert!(!shown.contains("Type `trust"), "{shown}");
    assert!(!is_installed(&env));
    let mut terminal = env.terminal(&INSTALL);
    terminal.sees("installed");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("[y/N]") && !shown.contains("Type `trust"), "{shown}");
}

// contract: PC-TRUST-05
#[test]
fn trust_in_a_digest_is_trust_in_these_bytes_only() {
    let env = shop();
    let digest = digest(&env);
    let flag = format!("--trust=media@{digest}");
    env.write("shop/media/added.txt", "one byte more\n");
    let ran = env.astrid(&["packs", "install", "shop/media", "--yes", &flag]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(!is_installed(&env));
    let short = format!("--trust=media@{}", &digest[..20]);
    assert_eq!(env.astrid(&["packs", "install", "shop/media", "--yes", &short]).code, 64);
    fs::remove_file(env.work("shop/media/added.txt")).unwrap();
    env.ok(&["packs", "install", "shop/media", "--yes", &flag]);
    assert!(is_installed(&env));
}

/// Everything that a person has to see of `media` before they decide.
const SHOWN: [&str; 14] = [
    "project_files: Writes films into the project",
    "network: Asks an API for pictures; services=api.example.org",
    "subprocess: Starts a renderer",
    "environment: Reads API_KEY",
    "accelerator: Renders on the GPU; access=one device",
    "external_services: The API is paid by picture",
    "media.render",
    "API_KEY (required): Of the API",
    "PLAN_KEY (required)",
    "python:pillow",
    "! unsigned",
    "sandbox=none",
    "runs_with_user_process_permissions=true",
    "permission_enforcement=disclosure_only",
];

fn shows_all(text: &str) {
    for part in SHOWN {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

// contract: PC-TRUST-06, PC-PERM-05, PC-SEC-02
#[test]
fn the_summary_comes_before_trust_in_every_mode() {
    let env = shop();
    let whole = digest(&env);
    let refused = env.astrid(&["packs", "install", "shop/media", "--yes"]);
    let (before, _) = refused.stderr.split_once("error: trust").unwrap();
    shows_all(before);
    assert!(before.contains(&whole), "{before}");
    let dry = env.ok(&["packs", "install", "shop/media", "--dry-run"]);
    shows_all(&format!("{}{}", dry.stdout, dry.stderr));
    let mut terminal = env.terminal(&["packs", "install", "shop/media"]);
    terminal.sees("Type `trust media`").presses(ControlCode::EndOfTransmission);
    let (_, shown) = terminal.ends();
    shows_all(shown.split("Type `trust media`").next().unwrap());
    let flag = env.astrid(&INSTALL);
    let (before, _) = flag.stderr.split_once("generation 1 is current").unwrap();
    shows_all(before);
    shows_all(&env.ok(&["packs", "inspect", "media"]).stdout);
    newer(&env);
    let update = env.astrid(&["packs", "update", "media", "--yes", "--trust"]);
    let (before, _) = update.stderr.split_once("generation 2 is current").unwrap();
    shows_all(before);
    assert_eq!(block_of_lines(before).len(), 3);
}

// contract: PC-TRUST-06
#[test]
fn a_repository_is_shown_with_its_url_and_commit() {
    let env = TestEnv::new();
    media(&env, "media");
    let repository = git2::Repository::init(env.work("media")).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = git2::Signature::new("Ada", "ada@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let commit = repository.commit(Some("HEAD"), &who, &who, "first", &tree, &[]).unwrap().to_string();
    let url = format!("file://{}", env.work("media").display());
    let source = format!("git+{url}");
    let refused = env.astrid(&["packs", "install", &source, "--yes"]);
    assert_eq!(refused.code, 82, "{}", refused.shown());
    let (before, _) = refused.stderr.split_once("error: trust").unwrap();
    assert!(before.contains(&url) && before.contains(&commit), "{}", refused.shown());
    shows_all(before);
    let inspected = env.ok(&["packs", "inspect", &source, "--json"]).json();
    assert_eq!(inspected["commit_sha"], commit);
    env.ok(&["packs", "install", &source, "--yes", "--trust"]);
    let record = fs::read_to_string(env.path("data/astrid/packs/media/.astrid/install.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["commit_sha"], commit);
    assert_eq!(record["source_type"], "git");
}

// contract: PC-TRUST-08
#[test]
fn going_back_to_what_is_not_trusted_any_more_needs_trust() {
    let env = shop();
    env.ok(&INSTALL);
    let first = digest(&env);
    newer(&env);
    env.ok(&["packs", "update", "media", "--yes", "--trust"]);
    env.ok(&["trust", "revoke", "pack:media"]);
    let refused = env.astrid(&["packs", "rollback", "media", "--revision", &first, "--yes"]);
    assert_eq!(refused.code, 82, "{}", refused.shown());
    shows_all(&refused.stderr);
    env.ok(&["packs", "rollback", "media", "--revision", &first, "--yes", "--trust"]);
    assert_eq!(env.ok(&["packs", "inspect", "media", "--json"]).json()["version"], "1.0.0");
}

// contract: PC-TRUST-10
#[test]
fn what_is_refused_leaves_nothing_denied() {
    let env = shop();
    env.write("shop/broken/pack.yaml", "schema_version: 1\nid: broken\nname: B\nversion: 1.0.0\ntrust: {}\n");
    let before = files_under(&env.path(""));
    let runs: [(&[&str], i32); 4] = [
        (&["packs", "install", "shop/media", "--yes"], 82),
        (&["packs", "install", "shop/broken", "--yes", "--trust"], 65),
        (&["packs", "install", "shop/absent", "--yes", "--trust"], 1),
        (&["packs", "update", "media", "--yes", "--trust"], 1),
    ];
    for (arguments, code) in runs {
        let ran = env.astrid(arguments);
        assert!(ran.code == code || (code == 1 && ran.code != 0), "{arguments:?}: {}", ran.shown());
        assert_unchanged(&env, &before);
    }
    let mut terminal = env.terminal(&["packs", "install", "shop/media"]);
    terminal.sees("Type `trust media`").types("trust media").sees("[y/N] ").types("n");
    let (code, shown) = terminal.ends();
    assert_ne!(code, 0, "{shown}");
    assert_unchanged(&env, &before);
}

// contract: PC-TRUST-11
#[test]
fn a_dry_run_writes_nothing_and_refuses_what_can_not_be_installed() {
    let env = shop();
    env.write("shop/broken/pack.yaml", "schema_version: 1\nid: broken\nname: B\nversion: 1.0.0\ntrust: {}\n");
    let before = files_under(&env.path(""));
    let ran = env.ok(&["packs", "install", "shop/media", "--dry-run"]);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains(&digest(&env)), "{}", ran.shown());
    assert_eq!(env.astrid(&["packs", "install", "shop/broken", "--dry-run"]).code, 65);
    assert_ne!(env.astrid(&["packs", "install", "shop/absent", "--dry-run"]).code, 0);
    assert_unchanged(&env, &before);
}

// contract: PC-TRUST-12
#[test]
fn what_is_shown_is_what_is_installed() {
    let env = shop();
    let before = files_under(&env.work("shop/media"));
    let mut terminal = env.terminal(&["packs", "install", "shop/media"]);
    terminal.sees("Type `trust media`");
    // Its author changes it while it is being read.
    env.write("shop/media/executors/render/executor.yaml", "nothing that was shown\n");
    env.write("shop/media/late.py", "print('not reviewed')\n");
    terminal.types("trust media").sees("[y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    let active = env.path("data/astrid/packs/media/active").canonicalize().unwrap();
    assert_eq!(files_under(&active), before);
}
