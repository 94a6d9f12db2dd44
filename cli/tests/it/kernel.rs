//! A fleet that runs: boot, tools, convergence, stop, and clean starts after every sort of end.

use std::time::{Duration, Instant};

use expectrl::ControlCode;

use crate::env::{TestEnv, astrid_snapshot};

fn starter() -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--yes", "--no-boot"]);
    env
}

fn pid(env: &TestEnv) -> u32 {
    let status = env.ok(&["status", "--json"]).json();
    u32::try_from(status["kernel"]["pid"].as_u64().unwrap()).unwrap()
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("/bin/kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let begun = Instant::now();
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_starter_runs_and_a_tool_answers() {
    let env = starter();
    env.write("hello.txt", "good morning\n");
    env.ok(&["start"]);
    let answer =
        env.ok(&["tools", "call", "read_file", "--args", "{\"path\": \"hello.txt\"}", "--json"]).json();
    assert_eq!(answer["result"]["content"], "good morning\n", "{answer}");
    let read =
        env.run(&["tools", "call", "read_file", "--args", "-"]).input("{\"path\": \"hello.txt\"}").go();
    assert_eq!(read.code, 0, "{}", read.shown());
    let ps = env.ok(&["ps", "--json"]).json();
    assert_eq!(ps["capsules"].as_array().unwrap().len(), 7);
    assert_eq!(env.ok(&["status", "--json"]).json()["kernel"]["health"], "healthy");
    let again = env.ok(&["start"]);
    assert!(again.stderr.contains("already"), "{}", again.shown());
    env.ok(&["stop"]);
    assert_eq!(env.astrid(&["ps"]).code, 69);
    let twice = env.ok(&["stop"]);
    assert!(twice.stderr.contains("does not run"), "{}", twice.shown());
}

#[test]
fn what_a_tool_may_not_do_is_refused_and_told_denied() {
    let env = starter();
    env.ok(&["start"]);
    let outside = astrid_snapshot!(
        "tool-outside",
        env,
        ["tools", "call", "read_file", "--args", "{\"path\": \"../home/etc/layout-version\"}"]
    );
    assert_eq!(outside.code, 1);
    assert_eq!(env.astrid(&["tools", "call", "no_such_tool"]).code, 1);
    assert_eq!(env.astrid(&["tools", "call", "now", "--args", "[]"]).code, 64);
    assert_eq!(env.astrid(&["tools", "call", "now", "--args", "nonsense"]).code, 64);
}

#[test]
fn apply_converges_a_running_kernel_without_restarting_it() {
    let env = TestEnv::new();
    env.ok(&["init", "--here", "--template", "starter"]);
    env.ok(&["apply", "--yes", "--trust", "--boot"]);
    let before = pid(&env);
    env.ok(&["remove", "text", "--yes"]);
    let tools = env.ok(&["tools", "list"]).stdout;
    assert!(!tools.contains("hash_text") && tools.contains("read_file"), "{tools}");
    assert_eq!(pid(&env), before);
    env.ok(&["rollback", "--yes"]);
    assert!(env.ok(&["tools", "list"]).stdout.contains("hash_text"));
    assert_eq!(pid(&env), before);
    let status = env.ok(&["status", "--json"]).json();
    assert_eq!(status["kernel"]["generation"]["number"], status["generation"]["number"], "{status}");
}

#[test]
fn a_killed_kernel_starts_again() {
    let env = starter();
    env.ok(&["start"]);
    kill(pid(&env));
    let status = env.ok(&["status"]);
    assert!(status.stdout.contains("kernel    stopped"), "{}", status.shown());
    assert_eq!(env.astrid(&["tools", "list"]).code, 69);
    env.ok(&["start"]);
    env.ok(&["tools", "call", "now"]);
}

#[test]
fn looking_while_nothing_runs_does_not_block_a_start() {
    let env = starter();
    for arguments in [&["status"][..], &["ps"], &["tools", "list"], &["generations"], &["plan"], &["stop"]] {
        let _ = env.astrid(arguments);
    }
    env.ok(&["start"]);
    env.ok(&["stop"]);
    for _ in 0..2 {
        env.ok(&["start"]);
        env.ok(&["stop"]);
    }
    assert!(env.home("keys/home.key").exists(), "the key went away with the kernel");
}

#[test]
fn nothing_is_started_before_something_is_applied_denied() {
    let env = TestEnv::new();
    for verb in ["start", "up"] {
        let ran = env.astrid(&[verb]);
        assert_eq!(ran.code, 1, "{}", ran.shown());
        assert!(ran.stderr.contains("astrid init"), "{}", ran.shown());
    }
    assert!(!env.home("").exists());
}

#[test]
fn without_a_terminal_an_apply_starts_nothing() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["apply", "--yes", "--trust"]);
    assert!(env.ok(&["status"]).stdout.contains("kernel    stopped"));
}

#[test]
fn up_runs_in_the_foreground_until_interrupted() {
    let env = starter();
    let mut terminal = env.terminal(&["up"]);
    terminal.sees("the kernel runs: generation 1, 7 capsules, healthy");
    env.ok(&["tools", "call", "now"]);
    terminal.presses(ControlCode::EndOfText);
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(env.astrid(&["ps"]).code, 69);
}
