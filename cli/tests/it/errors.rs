//! Each exit code: how it comes about, that its message says what to do, and that it has a page.

use std::path::Path;

use crate::env::{Ran, TestEnv, astrid_snapshot};

const CODES: [i32; 17] = [1, 2, 64, 65, 69, 70, 75, 80, 81, 82, 83, 84, 85, 86, 87, 130, 0];
const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

fn page(code: i32) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/errors/{code}.md"));
    std::fs::read_to_string(path).unwrap()
}

/// The run ended with `code`, told so, and its page exists.
fn refused(ran: &Ran, code: i32) {
    assert_eq!(ran.code, code, "{}", ran.shown());
    assert!(ran.stderr.contains("error"), "{}", ran.shown());
    assert!(page(code).contains("## Fix"));
}

#[test]
fn every_code_has_a_page_with_message_cause_and_fix() {
    for code in CODES.into_iter().filter(|code| *code != 0) {
        let page = page(code);
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        for heading in ["## Message", "## Cause", "## Fix"] {
            assert!(page.contains(heading), "{code}: {heading}");
        }
    }
}

// contract: PC-OUT-01
#[test]
fn code_1_a_file_that_can_not_be_read() {
    let env = TestEnv::new();
    refused(&astrid_snapshot!("code-1", env, ["validate", "nothing.toml"]), 1);
}

// contract: PC-OUT-01
#[test]
fn code_2_changes_are_pending() {
    let env = TestEnv::new();
    env.demo();
    assert_eq!(env.astrid(&["plan", "--detailed-exitcode"]).code, 2);
    assert_eq!(env.astrid(&["plan"]).code, 0);
    assert!(page(2).contains("--detailed-exitcode"));
}

// contract: PC-OUT-01
#[test]
fn code_64_wrong_usage() {
    let env = TestEnv::new();
    refused(&env.astrid(&["plan", "--now"]), 64);
}

// contract: PC-OUT-01
#[test]
fn code_65_every_complaint_at_once() {
    let env = TestEnv::new();
    env.write(
        "Distro.toml",
        "schema-version = 1\n\n[distro]\nid = \"Demo\"\nname = \"Demo\"\nversion = \"1.0\"\nnaem = 1\n\n[[capsule]]\nname = \"a/../b\"\nsource = \"./x\"\nversion = \"latest\"\n",
    );
    refused(&astrid_snapshot!("code-65", env, ["plan"]), 65);
    refused(&astrid_snapshot!("code-65-validate", env, ["validate"]), 65);
    let json = env.astrid(&["plan", "--json"]).json();
    assert!(json["error"]["diagnostics"].as_array().unwrap().len() >= 4, "{json}");
}

// contract: PC-OUT-01
#[test]
fn code_69_the_kernel_does_not_run() {
    let env = TestEnv::new();
    refused(&astrid_snapshot!("code-69", env, ["tools", "list"]), 69);
}

// contract: PC-OUT-01
#[test]
fn code_70_a_fault_of_ours_is_one_short_message() {
    let env = TestEnv::new();
    let ran = env.run(&["version"]).variable("ASTRID_TEST_PANIC", "1").go();
    refused(&ran, 70);
    assert!(!ran.stderr.contains("RUST_BACKTRACE"), "{}", ran.shown());
    assert!(ran.stderr.lines().count() <= 3, "{}", ran.shown());
}

// contract: PC-OUT-01
#[test]
fn code_75_another_writer() {
    let env = TestEnv::new();
    env.demo();
    // A writer that waits at its prompt holds no lock; the lock's own file is held here instead.
    env.ok(&APPLY);
    let file = std::fs::OpenOptions::new().read(true).write(true).open(env.home("run/writer.lock")).unwrap();
    file.lock().unwrap();
    env.capsule("notes", "notes", "1.1.0", "");
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.1.0\"\n");
    refused(&env.astrid(&APPLY), 75);
    env.ok(&["status"]);
    env.ok(&["plan"]);
    env.ok(&["generations"]);
}

// contract: PC-OUT-01
#[test]
fn code_80_a_stale_lock_names_the_line() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["lock"]);
    env.ok(&["lock", "--check"]);
    env.capsule("clock", "clock", "1.0.0", "");
    let text = env.read("Distro.toml");
    env.write(
        "Distro.toml",
        format!("{text}\n[[capsule]]\nname = \"clock\"\nsource = \"./clock\"\nversion = \"1.0.0\"\n"),
    );
    let ran = astrid_snapshot!("code-80", env, ["plan", "--locked"]);
    refused(&ran, 80);
    assert!(ran.stderr.contains("Distro.toml:1"), "{}", ran.shown());
    refused(&env.astrid(&["lock", "--check"]), 80);
    refused(&env.astrid(&["plan", "--frozen"]), 80);
}

// contract: PC-OUT-01
#[test]
fn code_81_no_network() {
    let env = TestEnv::new();
    env.distro(
        "\n[[capsule]]\nname = \"far\"\nsource = \"git+https://packs.invalid/far?ref=refs/tags/v1.0.0\"\n",
    );
    refused(&astrid_snapshot!("code-81", env, ["plan", "--offline"]), 81);
    env.demo();
    let ran = env.astrid(&["lock", "--frozen"]);
    assert!(matches!(ran.code, 80 | 81), "{}", ran.shown());
    assert!(!env.work("Distro.lock").exists());
}

// contract: PC-OUT-01
#[test]
fn code_82_trust_is_required() {
    let env = TestEnv::new();
    env.demo();
    refused(&env.astrid(&["apply", "--yes", "--no-boot"]), 82);
}

// contract: PC-OUT-01
#[test]
fn code_84_a_corrupt_blob() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    let shard = std::fs::read_dir(env.home("store/blobs")).unwrap().next().unwrap().unwrap().path();
    let blob = std::fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "other bytes").unwrap();
    refused(&env.astrid(&["verify", "--store"]), 84);
    env.ok(&["verify", "--store"]);
}

// contract: SEC-CAP-09, PC-OUT-01
#[test]
fn code_85_a_policy_denies_it() {
    let env = TestEnv::new();
    env.ok(&["init", "--here", "--template", "starter"]);
    let text = env.read("Distro.toml");
    env.write("Distro.toml", text.replace("deny = [", "deny = [\"fs_write\", "));
    let ran = env.astrid(&APPLY);
    refused(&ran, 85);
    assert!(ran.stderr.contains("fs_write"), "{}", ran.shown());
    env.write("Distro.toml", &text);
    env.ok(&APPLY);
    // The home's own policy counts as well, and is read fresh.
    std::fs::write(env.home("etc/policy.toml"), "[policy.authority]\ndeny = [\"fs_write\"]\n").unwrap();
    env.ok(&["remove", "text", "--no-apply"]);
    refused(&env.astrid(&APPLY), 85);
}

// contract: PC-OUT-01
#[test]
fn code_85_another_distro_takes_no_place_by_itself_denied() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    let text = env.read("Distro.toml");
    env.write("Distro.toml", text.replace("id = \"demo\"", "id = \"other\""));
    let ran = env.astrid(&APPLY);
    refused(&ran, 85);
    assert!(ran.stderr.contains("--replace-distro"), "{}", ran.shown());
    env.ok(&[&APPLY[..], &["--replace-distro"]].concat());
}

// contract: PC-OUT-01
#[test]
fn code_86_a_full_disk_changes_nothing() {
    let env = TestEnv::new();
    env.demo();
    let mut rolled_back = None;
    for write in 1..400 {
        let ran = env.run(&APPLY).variable("ASTRID_TEST_FULL_AT_WRITE", write.to_string()).go();
        assert_ne!(ran.code, 0, "no write was rolled back");
        if ran.code == 86 {
            rolled_back = Some(ran);
            break;
        }
    }
    refused(&rolled_back.unwrap(), 86);
    assert!(!env.home("generations/current").exists());
    env.ok(&APPLY);
}

// contract: PC-OUT-01
#[test]
fn code_86_a_capsule_that_can_not_be_loaded_is_never_switched_to() {
    let env = TestEnv::new();
    env.demo();
    // It needs something that nobody has.
    let component = wat::parse_str("(component (import \"no:such/thing\" (instance (export \"f\" (func)))))");
    env.write("notes/notes.wasm", component.unwrap());
    let ran = env.astrid(&["apply", "--yes", "--trust", "--boot"]);
    refused(&ran, 86);
    assert!(ran.stderr.contains("no:such/thing"), "{}", ran.shown());
    assert!(!ran.stderr.contains("backtrace") && !ran.stderr.contains("panicked"), "{}", ran.shown());
    assert!(!env.home("generations/current").exists());
    let left: Vec<_> =
        std::fs::read_dir(env.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| ["work", "user", "home", "data"].iter().any(|own| name == own)),
        "{left:?}"
    );
}

// contract: PC-OUT-01
#[test]
fn code_87_a_kernel_that_is_not_ready_in_time() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    refused(&env.astrid(&["start", "--timeout", "0ms"]), 87);
    // It goes on all the same.
    env.ok(&["start"]);
    env.ok(&["stop"]);
}

#[test]
fn a_refused_apply_leaves_nothing_behind_denied() {
    let env = TestEnv::new();
    env.demo();
    refused(&env.astrid(&["apply", "--yes", "--no-boot"]), 82);
    for path in ["trust/floors.toml", "generations/1", "var/history.jsonl"] {
        assert!(!env.home(path).exists(), "{path}");
    }
    assert!(!env.work("Distro.lock").exists());
}

#[test]
fn several_at_once_are_told_in_order_denied() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    // Another distro (85) that also needs trust (82): policy is told first.
    let text = env.read("Distro.toml");
    env.write("Distro.toml", text.replace("id = \"demo\"", "id = \"other\""));
    env.capsule("notes", "notes", "1.0.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    refused(&env.astrid(&["apply", "--yes", "--no-boot"]), 85);
    // And a structure that is wrong (65) before everything.
    env.write("Distro.toml", "nonsense");
    refused(&env.astrid(&["apply", "--yes", "--no-boot"]), 65);
}
