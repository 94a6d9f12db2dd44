//! From a declaration to a generation: validate, lock, plan, trust, apply, rollback, as a person types them.

use std::fmt::Write as _;

use crate::env::{TestEnv, astrid_snapshot};

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

#[test]
fn the_whole_walk() {
    let env = TestEnv::new();
    env.demo();
    astrid_snapshot!("walk-1-validate", env, ["validate"]);
    astrid_snapshot!("walk-2-lock", env, ["lock"]);
    astrid_snapshot!("walk-3-plan", env, ["plan"]);
    astrid_snapshot!("walk-4-apply-without-trust", env, ["apply", "--yes", "--no-boot"]);
    astrid_snapshot!("walk-5-apply", env, APPLY);
    astrid_snapshot!("walk-6-status", env, ["status"]);
    astrid_snapshot!("walk-7-plan-again", env, ["plan", "--detailed-exitcode"]);
    env.capsule("notes", "notes", "1.1.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.1.0\"\n");
    astrid_snapshot!("walk-8-plan-of-an-update", env, ["plan", "--detailed-exitcode"]);
    astrid_snapshot!("walk-9-apply-of-an-update", env, APPLY);
    astrid_snapshot!("walk-10-generations", env, ["generations"]);
    astrid_snapshot!("walk-11-diff", env, ["diff", "1", "2"]);
    astrid_snapshot!("walk-12-rollback", env, ["rollback", "--yes", "--no-boot"]);
    astrid_snapshot!("walk-13-history", env, ["history"]);
    astrid_snapshot!("walk-14-status", env, ["status"]);
    astrid_snapshot!("walk-15-verify", env, ["verify", "--store"]);
    astrid_snapshot!("walk-16-gc", env, ["gc"]);
}

#[test]
fn nothing_changes_without_trust_denied() {
    let env = TestEnv::new();
    env.demo();
    let ran = env.astrid(&["apply", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("--trust=distro:demo@blake3:"), "{}", ran.shown());
    assert!(!env.home("generations/current").exists());
}

#[test]
fn plan_changes_nothing() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["plan"]);
    assert!(!env.home("generations").exists(), "`plan` made a generation");
    assert!(!env.work("Distro.lock").exists(), "`plan` wrote a lock");
}

#[test]
fn apply_again_does_nothing() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    let again = env.ok(&APPLY);
    assert!(again.stderr.contains("nothing to do"), "{}", again.shown());
    assert_eq!(env.ok(&["generations", "--json"]).json()["generations"].as_array().unwrap().len(), 1);
    assert_eq!(env.astrid(&["plan", "--detailed-exitcode"]).code, 0);
}

#[test]
fn a_saved_plan_is_applied_once_and_exactly() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["lock"]);
    env.ok(&["plan", "-o", "saved.plan"]);
    assert_eq!(
        env.astrid(&["apply", "saved.plan", "--no-boot"]).code,
        82,
        "a plan file is no evidence of trust"
    );
    env.ok(&["show", "saved.plan"]);
    env.ok(&["apply", "saved.plan", "--trust", "--no-boot"]);
    let again = env.astrid(&["apply", "saved.plan", "--trust", "--no-boot"]);
    assert_ne!(again.code, 0, "{}", again.shown());
}

#[test]
fn a_saved_plan_of_something_else_is_refused_denied() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["lock"]);
    env.ok(&["plan", "-o", "saved.plan"]);
    env.capsule("notes", "notes", "1.0.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    env.ok(&["lock"]);
    let ran = env.astrid(&["apply", "saved.plan", "--trust", "--no-boot"]);
    assert_ne!(ran.code, 0, "{}", ran.shown());
    assert!(!env.home("generations/current").exists());
}

#[test]
fn a_dropped_capsule_is_removed() {
    let env = TestEnv::new();
    env.demo();
    env.capsule("clock", "clock", "1.0.0", "");
    let one = "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n";
    let two = format!("{one}\n[[capsule]]\nname = \"clock\"\nsource = \"./clock\"\nversion = \"1.0.0\"\n");
    env.distro(&two);
    env.ok(&APPLY);
    env.distro(one);
    let plan = env.ok(&["plan"]);
    assert!(plan.stdout.contains("- capsule:clock"), "{}", plan.shown());
    env.ok(&APPLY);
    let lock = std::fs::read_to_string(env.home("generations/current/Distro.lock")).unwrap();
    assert!(!lock.contains("clock"), "{lock}");
}

// contract: SEC-PROV-03
#[test]
fn a_lower_version_is_refused_denied() {
    let env = TestEnv::new();
    env.demo();
    let text = env.read("Distro.toml");
    env.write("Distro.toml", text.replace("version = \"0.1.0\"", "version = \"0.2.0\""));
    env.ok(&APPLY);
    env.write("Distro.toml", text);
    let ran = env.astrid(&APPLY);
    assert_eq!(ran.code, 85, "{}", ran.shown());
    assert!(ran.stderr.contains("--allow-downgrade"), "{}", ran.shown());
    env.ok(&[&APPLY[..], &["--allow-downgrade"]].concat());
}

#[test]
fn more_than_sixty_four_capsules_are_applied() {
    let env = TestEnv::new();
    let mut entries = String::new();
    for index in 0..70 {
        env.capsule(&format!("c{index}"), &format!("c{index}"), "1.0.0", "");
        write!(entries, "\n[[capsule]]\nname = \"c{index}\"\nsource = \"./c{index}\"\nversion = \"1.0.0\"\n")
            .unwrap();
    }
    env.distro(&entries);
    env.ok(&APPLY);
    for round in 0..4 {
        env.capsule("c0", "c0", &format!("1.0.{}", round + 1), "");
        let text = env.read("Distro.toml");
        let from = format!("source = \"./c0\"\nversion = \"1.0.{round}\"");
        let to = format!("source = \"./c0\"\nversion = \"1.0.{}\"", round + 1);
        assert!(text.contains(&from));
        env.write("Distro.toml", text.replace(&from, &to));
        env.ok(&APPLY);
    }
}

#[test]
fn sources_are_relative_to_the_distro_not_to_the_working_folder() {
    let env = TestEnv::new();
    env.demo();
    std::fs::create_dir(env.path("elsewhere")).unwrap();
    let ran = env.run(&["apply", "../work", "--yes", "--trust", "--no-boot"]).folder("elsewhere").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let ran = env.run(&["-C", "../work", "plan", "--detailed-exitcode"]).folder("elsewhere").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

#[test]
fn a_folder_without_a_distro_says_what_to_do_denied() {
    let env = TestEnv::new();
    let ran = astrid_snapshot!("no-distro", env, ["plan"]);
    assert_eq!(ran.code, 65);
}

#[test]
fn nothing_outside_the_home_is_written() {
    let env = TestEnv::new();
    env.demo();
    env.write(".profile", "# mine\n");
    std::fs::write(env.path("user/.profile"), "# mine\n").unwrap();
    std::fs::write(env.path("user/.bashrc"), "# mine\n").unwrap();
    env.ok(&["init", ".", "--yes", "--trust", "--no-boot"]);
    for file in [".profile", ".bashrc"] {
        assert_eq!(std::fs::read_to_string(env.path(&format!("user/{file}"))).unwrap(), "# mine\n");
    }
    let left: Vec<_> = std::fs::read_dir(env.path("user")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_is_installed_does_not_depend_on_its_source_any_more() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    env.ok(&["lock"]);
    std::fs::remove_dir_all(env.work("notes")).unwrap();
    env.ok(&["status"]);
    env.ok(&["verify", "--store"]);
    env.ok(&["generations"]);
}

// contract: PC-OUT-02
#[test]
fn json_is_one_document_with_a_version() {
    let env = TestEnv::new();
    env.demo();
    for arguments in [&["validate"][..], &["lock"], &["plan"], &["status"], &["tree"]] {
        let ran = env.ok(&[arguments, &["--json"]].concat());
        assert_eq!(ran.json()["format_version"], 1, "{arguments:?}");
    }
    let refused = env.astrid(&["apply", "--yes", "--no-boot", "--json"]);
    assert_eq!(refused.json()["error"]["kind"], "trust-required", "{}", refused.shown());
    let applied = env.ok(&["apply", "--yes", "--trust", "--no-boot", "--json"]);
    assert_eq!(applied.json()["generation"], 1, "{}", applied.shown());
    for verb in ["status", "generations", "history", "gc", "tree"] {
        assert_eq!(env.ok(&[verb, "--json"]).json()["format_version"], 1, "{verb}");
    }
    let stream = env.ok(&["apply", "--yes", "--trust", "--no-boot", "--json-stream"]);
    for line in stream.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["format_version"], 1, "{line}");
        assert!(event["event"].is_string(), "{line}");
    }
}

#[test]
fn markdown_is_for_reviews() {
    let env = TestEnv::new();
    env.demo();
    env.capsule("notes", "notes", "1.0.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    astrid_snapshot!("plan-markdown", env, ["plan", "--format", "markdown"]);
}
