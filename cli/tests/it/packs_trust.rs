//! How trust in a pack is asked for and given: at a terminal, by a flag, bound to a digest; and that whatever is
//! refused leaves nothing behind.

use expectrl::ControlCode;

use crate::env::TestEnv;
use crate::packs_scene::{
    ENVIRONMENT, NETWORK, Repo, digest, everything, filtered, install, pack, record, unchanged,
};

const INSTALL: [&str; 4] = ["packs", "install", "./tools", "--no-boot"];

fn env() -> TestEnv {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    env
}

// contract: PC-TRUST-02, PC-TRUST-06
#[test]
fn the_summary_is_shown_then_trust_is_typed() {
    let env = env();
    let mut terminal = env.terminal(&INSTALL);
    terminal.sees("━━━ Trust Summary ━━━").sees("Type `trust tools` to go on: ").types("trust tools");
    terminal.sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    insta::assert_snapshot!("packs-trust-typed", filtered(&env, &shown));
    let record = record(&env, "tools");
    assert_eq!(
        (record["trust_method"].as_str(), record["trust_actor"].as_str()),
        (Some("interactive"), Some("cli"))
    );
}

// contract: PC-TRUST-02, PC-TRUST-10
#[test]
fn another_text_cancels_denied() {
    for typed in
        ["", "y", "yes", "trust", "Trust tools", "trust Tools", "trust tools ", " trust tools", "trust other"]
    {
        let env = env();
        let before = everything(&env);
        let mut terminal = env.terminal(&INSTALL);
        terminal.sees("to go on: ").types(typed);
        let (code, shown) = terminal.ends();
        assert_eq!(code, 1, "{typed:?}: {shown}");
        assert!(shown.contains("Cancelled."), "{typed:?}: {shown}");
        unchanged(&env, &before, typed);
    }
}

// contract: PC-TRUST-02, PC-TRUST-10
#[test]
fn the_end_of_input_and_an_interrupt_cancel_denied() {
    for (key, at_proceed) in [
        (ControlCode::EndOfTransmission, false),
        (ControlCode::EndOfTransmission, true),
        (ControlCode::EndOfText, false),
        (ControlCode::EndOfText, true),
    ] {
        let env = env();
        let before = everything(&env);
        let mut terminal = env.terminal(&INSTALL);
        terminal.sees("to go on: ");
        if at_proceed {
            terminal.types("trust tools").sees("Proceed? [y/N] ");
        }
        terminal.presses(key);
        let (code, shown) = terminal.ends();
        assert_eq!(code, 1, "{key:?} {at_proceed}: {shown}");
        assert!(shown.contains("Cancelled."), "{key:?} {at_proceed}: {shown}");
        unchanged(&env, &before, &format!("{key:?} at proceed {at_proceed}"));
    }
}

#[test]
fn a_declined_question_cancels_denied() {
    let env = env();
    let before = everything(&env);
    let mut terminal = env.terminal(&INSTALL);
    terminal.sees("to go on: ").types("trust tools").sees("Proceed? [y/N] ").types("n");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("Cancelled."), "{shown}");
    unchanged(&env, &before, "a declined question");
}

// contract: PC-TRUST-03, PC-TRUST-04
#[test]
fn yes_and_trust_are_two_things() {
    let env = env();
    // --yes asks for trust and nothing else.
    let mut terminal = env.terminal(&[&INSTALL[..], &["--yes"]].concat());
    terminal.sees("Type `trust tools` to go on: ").types("no");
    let (code, shown) = terminal.ends();
    assert!(code == 1 && !shown.contains("Proceed?"), "{shown}");
    // --trust shows the summary all the same, and asks the ordinary question.
    let mut terminal = env.terminal(&[&INSTALL[..], &["--trust"]].concat());
    terminal.sees("━━━ Trust Summary ━━━").sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert!(code == 0 && !shown.contains("to go on"), "{shown}");
    assert_eq!(record(&env, "tools")["trust_method"], "cli_flag");
}

// contract: PC-TRUST-03, PC-TRUST-09, PC-TRUST-10
#[test]
fn without_a_terminal_nothing_is_asked_denied() {
    let env = env();
    let before = everything(&env);
    let ran = env.run(&[&INSTALL[..], &["--yes"]].concat()).input("trust tools\ny\n").go();
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("trust acknowledgement required for pack:tools"), "{}", ran.shown());
    assert!(!ran.stderr.contains("to go on"), "{}", ran.shown());
    insta::assert_snapshot!("packs-trust-required", filtered(&env, &ran.shown()));
    let ran = env.run(&[&INSTALL[..], &["--trust"]].concat()).input("y\n").go();
    assert_eq!(ran.code, 64, "{}", ran.shown());
    let ran = env.run(&[&INSTALL[..], &["--yes", "--json"]].concat()).input("trust tools\n").go();
    assert_eq!(
        (ran.code, ran.json()["error"]["kind"].as_str()),
        (82, Some("trust-required")),
        "{}",
        ran.shown()
    );
    unchanged(&env, &before, "a refusal");
}

// contract: PC-TRUST-05
#[test]
fn a_digest_binds_trust_to_what_was_reviewed() {
    let env = env();
    let reviewed = digest(&env, "./tools");
    let bound = format!("--trust=tools@{reviewed}");
    env.write("tools/executors/hello/run.sh", "echo other\n");
    let before = everything(&env);
    let ran = env.astrid(&[&INSTALL[..], &["--yes", &bound]].concat());
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("has no effect: the content is"), "{}", ran.shown());
    unchanged(&env, &before, "another content");
    env.write("tools/executors/hello/run.sh", "echo hello\n");
    env.ok(&[&INSTALL[..], &["--yes", &bound]].concat());
    assert_eq!(record(&env, "tools")["content_digest"], reviewed);
}

// contract: PC-TRUST-01, PC-TRUST-07
#[test]
fn an_update_asks_again_and_shows_the_permissions_in_every_case() {
    let env = env();
    install(&env);
    let update = ["packs", "update", "tools", "--no-boot"];
    // The same permissions, one other byte.
    env.write("tools/executors/hello/run.sh", "echo hello again\n");
    let before = everything(&env);
    let ran = env.astrid(&[&update[..], &["--yes"]].concat());
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("Permissions: (unchanged)"), "{}", ran.shown());
    unchanged(&env, &before, "a refused update");
    let mut terminal = env.terminal(&update);
    terminal.sees("Permissions: (unchanged)").sees("Type `trust tools` to go on: ").types("trust tools");
    terminal.sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    insta::assert_snapshot!("packs-trust-update", filtered(&env, &shown));
    // One more, one changed, and then one less.
    pack(&env, "tools", "1.1.0", &format!("{}{ENVIRONMENT}", NETWORK.replace("an API", "two APIs")));
    let ran = env.ok(&[&update[..], &["--yes", "--trust"]].concat());
    for line in [
        "Permissions added:",
        "+ environment: Reads API_KEY",
        "Permissions changed:",
        "Calls an API; services",
    ] {
        let at = ran.stderr.find(line).unwrap_or_else(|| panic!("{line}: {}", ran.shown()));
        assert!(at < ran.stderr.find("generation 3 is current").unwrap(), "{line}: {}", ran.shown());
    }
    pack(&env, "tools", "1.2.0", "");
    let ran = env.ok(&[&update[..], &["--yes", "--trust"]].concat());
    assert!(ran.stderr.contains("Permissions removed:\n  - network: Calls two APIs"), "{}", ran.shown());
}

// contract: PC-TRUST-08
#[test]
fn going_back_asks_when_that_was_never_trusted_as_it_would_be_now() {
    let env = env();
    install(&env);
    pack(&env, "tools", "1.1.0", NETWORK);
    env.ok(&["packs", "update", "tools", "--yes", "--trust", "--no-boot"]);
    let back = ["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"];
    // Trust in it was taken back since.
    env.ok(&["trust", "revoke", "pack:tools"]);
    let before = everything(&env);
    let ran = env.astrid(&back);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("━━━ Trust Summary ━━━"), "{}", ran.shown());
    unchanged(&env, &before, "a refused rollback");
    let mut terminal = env.terminal(&back);
    terminal.sees("Type `trust tools` to go on: ").types("trust tools");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(record(&env, "tools")["trust_method"], "interactive");
}

// contract: PC-TRUST-08
#[test]
fn going_back_to_other_capsules_of_the_same_content_asks() {
    let env = TestEnv::new();
    env.write(
        "tools/pack.yaml",
        "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\ncontent: {capsules: capsules}\n",
    );
    env.capsule("tools/capsules/one", "one", "1.0.0", "");
    env.capsule("tools/capsules/two", "two", "1.0.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    let entry = "\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\n";
    env.distro(&format!("{entry}capsules = [\"one\"]\n"));
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    env.distro(entry);
    env.write("tools/notes.txt", "another revision\n");
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    // The first content was trusted for one of its capsules only, and would run both now.
    let ran = env.astrid(&["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("generation 1 has no effect: the authority is another"), "{}", ran.shown());
}

#[test]
fn going_back_to_what_was_trusted_asks_the_ordinary_question_only() {
    let env = env();
    install(&env);
    let first = record(&env, "tools");
    pack(&env, "tools", "1.1.0", "");
    env.ok(&["packs", "update", "tools", "--yes", "--trust", "--no-boot"]);
    let mut terminal = env.terminal(&["packs", "rollback", "tools", "--no-boot"]);
    terminal.sees("← active").sees("Choose revision number (or press Enter to cancel): ").types("2");
    terminal.sees("given by generation 1").sees("━━━ Trust Summary ━━━").sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    insta::assert_snapshot!("packs-trust-rollback", filtered(&env, &shown));
    let now = record(&env, "tools");
    for field in
        ["content_digest", "trust_method", "trust_actor", "trust_acknowledged_at", "permissions_accepted"]
    {
        assert_eq!(now[field], first[field], "{field}");
    }
    let before = everything(&env);
    let mut terminal = env.terminal(&["packs", "rollback", "tools", "--no-boot"]);
    terminal.sees("press Enter to cancel): ").types("");
    let (code, shown) = terminal.ends();
    assert!(code == 1 && shown.contains("Cancelled."), "{shown}");
    unchanged(&env, &before, "a cancelled choice");
}

// contract: PC-TRUST-06
#[test]
fn of_a_repository_the_url_and_the_commit_are_shown_before() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    let commit = repo.release("", "1.0.0", NETWORK);
    let mut terminal = env.terminal(&["packs", "install", &repo.url("@main"), "--no-boot"]);
    terminal.sees(&format!("file://{}", env.path("repo").display()));
    terminal.sees(&format!("{} ({commit})", &commit[..8])).sees("refs/heads/main");
    terminal.sees("Type `trust tools` to go on: ").types("trust tools").sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    // What stands before is a bar that moves.
    let shown = &shown[shown.find("home 0.1.0").unwrap()..];
    insta::assert_snapshot!("packs-trust-git", filtered(&env, shown));
}

// contract: PC-TRUST-10
#[test]
fn every_refusal_leaves_the_machine_as_it_was_denied() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    install(&env);
    pack(&env, "bad", "1.0.0", "  - id: telepathy\n    reason: x\n");
    pack(&env, "others/tools", "1.0.0", "");
    pack(&env, "other_name", "1.0.0", "");
    env.write("empty/notes.txt", "");
    env.write("not.tar.gz", "no archive\n");
    let repo = Repo::new(&env);
    repo.release("", "2.0.0", "");
    let (main, none) = (repo.url("@main"), repo.url("@none"));
    let gone = format!("git+file://{}", env.path("nothing").display());
    for (arguments, code, words) in [
        (&["packs", "install", "./tools", "--yes", "--trust"][..], 1, "installed already"),
        (&["packs", "install", &main, "--yes", "--trust"], 1, "installed already"),
        (&["packs", "install", "./bad", "--yes", "--trust"], 65, "bad"),
        (&["packs", "install", "./other_name", "--yes", "--trust"], 65, "the name of its id"),
        (&["packs", "install", "./empty", "--yes", "--trust"], 65, "holds no pack.yaml"),
        (&["packs", "install", "./not.tar.gz", "--yes", "--trust"], 65, "not.tar.gz"),
        (&["packs", "install", "./nothing", "--yes", "--trust"], 65, "no folder, no archive and no source"),
        (&["packs", "install", &none, "--yes", "--trust"], 65, "has no tag `none`"),
        (&["packs", "install", &gone, "--yes", "--trust"], 1, "nothing"),
        (&["packs", "install", "http://example.org/tools", "--yes", "--trust"], 65, "https or ssh"),
        (&["packs", "install", "index:tools", "--yes", "--trust"], 65, "no index"),
        (&["packs", "install", "@acme/tools", "--yes", "--trust"], 64, "--version"),
        (&["packs", "install", "./others/tools", "--yes", "--trust", "--version", "1"], 64, "--version"),
        (&["packs", "update", "nothing", "--yes", "--trust"], 1, "not installed"),
        (&["packs", "uninstall", "nothing", "--yes"], 1, "not installed"),
        (&["packs", "uninstall", "tools"], 64, "--yes"),
        (&["packs", "rollback", "nothing", "--yes"], 1, "not installed"),
        (&["packs", "rollback", "tools", "--yes"], 64, "--revision"),
        (&["packs", "rollback", "tools", "--revision", "1", "--yes"], 1, "the one that is installed"),
        (&["packs", "rollback", "tools", "--revision", "7", "--yes"], 1, "no revision"),
        (&["packs", "inspect", "nothing"], 1, "not installed"),
        (&["packs", "inspect", "./bad"], 65, "bad"),
    ] {
        let before = everything(&env);
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}", ran.shown());
        assert!(ran.stderr.contains(words), "{arguments:?}: {words}\n{}", ran.shown());
        unchanged(&env, &before, &format!("{arguments:?}"));
    }
}

/// Writes into a file that the program made read-only.
fn tamper(path: &std::path::Path, from: &str, to: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::fs::canonicalize(path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

// contract: PC-REC-04
#[test]
fn a_record_that_was_changed_is_no_evidence_for_a_later_one_denied() {
    let env = env();
    install(&env);
    tamper(&env.path("data/astrid/packs/tools/.astrid/install.json"), "cli_flag", "interactive");
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.0.0\n");
    let content = digest(&env, "./other");
    let other = ["packs", "install", "./other", "--yes", "--no-boot", &format!("--trust=other@{content}")];
    // Another pack is trusted; this one has to be trusted again before anything is signed anew.
    let ran = env.astrid(&other);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(
        ran.stderr.contains("pack:tools 1.0.0 was accepted in a record that was changed"),
        "{}",
        ran.shown()
    );
    assert_eq!(env.astrid(&["packs", "update", "tools", "--yes", "--no-boot"]).code, 82);
    env.ok(&["packs", "update", "tools", "--yes", "--trust", "--no-boot"]);
    let now = record(&env, "tools");
    assert_eq!((now["trust_method"].as_str(), now["active"].as_bool()), (Some("cli_flag"), Some(true)));
    assert_eq!(env.ok(&["packs", "inspect", "tools", "--json"]).json()["intact"], true);
    env.ok(&other);
}

// contract: PC-REC-04
#[test]
fn bytes_that_were_changed_are_put_right_without_new_trust() {
    let env = env();
    install(&env);
    let first = record(&env, "tools");
    tamper(&env.path("data/astrid/packs/tools/active/executors/hello/run.sh"), "hello", "evil");
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    assert_eq!(shown["intact"], false, "{shown}");
    let ran = env.astrid(&["packs", "run", "tools.hello"]);
    assert_eq!(ran.code, 84, "{}", ran.shown());
    env.ok(&["packs", "update", "tools", "--yes", "--no-boot"]);
    assert_eq!(env.ok(&["packs", "inspect", "tools", "--json"]).json()["intact"], true);
    for field in ["trust_acknowledged_at", "trust_method", "content_digest"] {
        assert_eq!(record(&env, "tools")[field], first[field], "{field}");
    }
}
