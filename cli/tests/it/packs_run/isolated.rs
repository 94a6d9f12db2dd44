//! `--isolate`: what is kept out, beside what is let in. Nothing here is promised by version 1.

use std::fs;

use super::{installed, logs, ok, path, run};
use crate::env::TestEnv;

/// This kernel can't do it: the one reason for which these tests show nothing.
#[expect(clippy::print_stderr, reason = "who runs the tests is to know what they did not show")]
fn is_unsupported(env: &TestEnv) -> bool {
    let ran = run(env, &["demo.go", "--isolate"]);
    let unsupported = ran.stderr.contains("can't be kept on this machine");
    if unsupported {
        assert!(ran.code == 1 && ran.stdout.is_empty(), "{}", ran.shown());
        // The runner shows this with --nocapture.
        eprintln!("skipped: {}", ran.stderr);
    }
    unsupported
}

/// A script of Python as an executor, and whether it can be isolated here.
fn python(rest: &str, script: &str) -> Option<TestEnv> {
    let env = TestEnv::new();
    super::demo(&env, "", "");
    env.write(
        "demo/executors/go/executor.yaml",
        format!("schema_version: 1\nid: demo.go\nname: Go\nversion: 1.0.0\nruntime: {{type: python-cli, entrypoint: go.py}}\n{rest}"),
    );
    env.write("demo/executors/go/go.py", script);
    super::install(&env, "./demo");
    (!is_unsupported(&env)).then_some(env)
}

#[test]
fn it_says_what_it_covers_and_that_this_is_beyond_the_contract() {
    let env = installed("", "echo ran\n");
    if is_unsupported(&env) {
        return;
    }
    let ran = ok(&env, &["demo.go", "--isolate"]);
    assert_eq!(ran.stdout, "ran\n");
    for part in ["BEYOND the v1 contract", "covered: writes only", "NOT covered: ", "no socket can be opened"]
    {
        assert!(ran.stderr.contains(part), "{part}\n{}", ran.shown());
    }
    let log = fs::read_to_string(logs(&env).last().unwrap()).unwrap();
    assert!(log.contains("# isolated: ") && log.contains("# sandbox=none\n"), "{log}");
    let document = ok(&env, &["demo.go", "--isolate", "--json"]).json();
    assert!(document["isolated"][0].as_str().unwrap().contains("BEYOND"), "{document}");
    assert_eq!(ok(&env, &["demo.go", "--json"]).json()["isolated"], serde_json::Value::Null);
}

#[test]
fn files_outside_are_neither_read_nor_written_denied() {
    let env = installed(
        "inputs: [{name: named, type: file, required: false}]\n",
        "cat inside && echo new > new && cat \"$OUTSIDE\"; echo $?; echo x > \"$OUTSIDE\"; ls -A \"$(dirname \"$OUTSIDE\")\"\n",
    );
    if is_unsupported(&env) {
        return;
    }
    let outside = env.path("user/private");
    fs::write(&outside, "private\n").unwrap();
    env.write("inside", "mine\n");
    let script = |isolate: &[&str]| {
        let arguments = [&["packs", "run", "demo.go"], isolate].concat();
        env.run(&arguments).variable("PATH", path()).variable("OUTSIDE", outside.as_os_str()).go()
    };
    let plain = script(&[]);
    assert!(
        plain.stdout.starts_with("mine\nprivate\n0\n") && plain.stdout.contains("private"),
        "{}",
        plain.shown()
    );
    fs::write(&outside, "private\n").unwrap();
    // Where the file is it can't know from the environment any more: the manifest may ask for the variable.
    let text = env.read("demo/executors/go/executor.yaml");
    env.write(
        "demo/executors/go/executor.yaml",
        format!("{text}isolation: {{env_passthrough: [OUTSIDE]}}\n"),
    );
    env.ok(&["packs", "update", "demo", "--yes", "--trust", "--no-boot"]);
    let isolated = script(&["--isolate"]);
    assert_eq!(isolated.stdout, "mine\n1\n", "{}", isolated.shown());
    assert!(isolated.stderr.contains("Permission denied"), "{}", isolated.shown());
    assert_eq!(
        (fs::read_to_string(&outside).unwrap().as_str(), env.read("new").as_str()),
        ("private\n", "new\n")
    );
}

#[test]
fn a_file_that_is_named_as_an_input_is_read() {
    let env = installed("inputs: [{name: named, type: file}]\n", "true\n");
    let text = env.read("demo/executors/go/executor.yaml").replace("[sh, go.sh]", "[sh, go.sh, '{named}']");
    env.write("demo/executors/go/executor.yaml", text);
    env.write("demo/executors/go/go.sh", "cat \"$1\"; echo more >> \"$1\"\n");
    env.ok(&["packs", "update", "demo", "--yes", "--trust", "--no-boot"]);
    let outside = env.path("user/given");
    fs::write(&outside, "given\n").unwrap();
    let named = format!("named={}", outside.display());
    let ran = run(&env, &["demo.go", &named, "--isolate"]);
    if ran.stderr.contains("can't be kept on this machine") {
        return;
    }
    assert_eq!(ran.stdout, "given\n", "{}", ran.shown());
    assert_eq!(fs::read_to_string(&outside).unwrap(), "given\n");
}

const SOCKETS: &str = "\
import socket, sys
def opens(*kind):
    try:
        socket.socket(*kind).close()
        return True
    except PermissionError:
        return False
socket.socketpair()
print(opens(socket.AF_INET, socket.SOCK_STREAM), opens(socket.AF_INET, socket.SOCK_DGRAM), opens(socket.AF_INET6, socket.SOCK_STREAM), opens(socket.AF_UNIX, socket.SOCK_STREAM))
";

#[test]
fn no_socket_is_opened_denied() {
    let Some(env) = python("", SOCKETS) else { return };
    assert_eq!(ok(&env, &["demo.go"]).stdout, "True True True True\n");
    assert_eq!(ok(&env, &["demo.go", "--isolate"]).stdout, "False False False False\n");
}

#[test]
fn the_network_is_open_where_the_manifest_says_so_and_services_of_the_machine_are_not() {
    let Some(env) = python("isolation: {network: true}\n", SOCKETS) else { return };
    let ran = ok(&env, &["demo.go", "--isolate"]);
    assert_eq!(ran.stdout, "True True True False\n");
    assert!(ran.stderr.contains("NOT covered: the network is open"), "{}", ran.shown());
}

#[test]
fn other_processes_are_out_of_reach_denied() {
    let script = "\
import os, signal
def may(what):
    try:
        what()
        return True
    except PermissionError:
        return False
print(may(lambda: open('/proc/self/environ').read()), may(lambda: open(f'/proc/{os.getppid()}/environ').read()))
print(may(lambda: os.kill(os.getppid(), 0)))
";
    let Some(env) = python("", script) else { return };
    assert_eq!(ok(&env, &["demo.go"]).stdout, "True True\nTrue\n");
    let ran = ok(&env, &["demo.go", "--isolate"]);
    let signals = ran.stderr.contains("too old to keep it from sending signals");
    assert_eq!(
        ran.stdout,
        format!("True False\n{}\n", if signals { "True" } else { "False" }),
        "{}",
        ran.shown()
    );
}

#[test]
fn only_variables_that_are_asked_for_are_seen() {
    let env = installed("isolation: {env_passthrough: [ASKED]}\n", "env | sort\n");
    if is_unsupported(&env) {
        return;
    }
    let ran = env
        .run(&["packs", "run", "demo.go", "--isolate"])
        .variable("PATH", path())
        .variable("ASKED", "1")
        .variable("SECRET", "1")
        .go();
    let names: Vec<&str> =
        ran.stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for name in ["ASKED", "HOME", "PATH", "TMPDIR"] {
        assert!(names.contains(&name), "{name}\n{}", ran.shown());
    }
    for name in ["SECRET", "ASTRID_HOME", "XDG_DATA_HOME"] {
        assert!(!names.contains(&name), "{name}\n{}", ran.shown());
    }
    assert!(!ran.stdout.contains(env.path("user").to_str().unwrap()), "{}", ran.shown());
}

#[test]
fn what_is_open_in_the_shell_is_not_handed_on_denied() {
    let env = installed("", "cat <&7\n");
    if is_unsupported(&env) {
        return;
    }
    fs::write(env.path("user/private"), "private\n").unwrap();
    let program = env!("CARGO_BIN_EXE_astrid");
    let line = |more: &str| {
        format!("exec 7< {}; {program} packs run demo.go -q {more}", env.path("user/private").display())
    };
    assert!(env.shell(&line("")).stdout.contains("private\n"));
    let ran = env.shell(&line("--isolate"));
    assert!(!ran.stdout.contains("private\n"), "{}", ran.shown());
}

#[test]
fn a_folder_that_holds_what_is_to_be_kept_is_not_opened_denied() {
    let env = installed("", "echo ran\n");
    if is_unsupported(&env) {
        return;
    }
    for folder in ["user", "home", "home/keys", "data/astrid/packs", "."] {
        let ran =
            env.run(&["packs", "run", "demo.go", "--isolate"]).folder(folder).variable("PATH", path()).go();
        assert_eq!((ran.code, ran.stdout.as_str()), (64, ""), "{folder}\n{}", ran.shown());
    }
}

#[test]
fn nothing_is_left_behind() {
    let env = installed("", "echo x > \"$TMPDIR/x\"; echo \"$HOME\"\n");
    if is_unsupported(&env) {
        return;
    }
    let ran = ok(&env, &["demo.go", "--isolate"]);
    assert!(!std::path::Path::new(ran.stdout.trim()).exists(), "{}", ran.shown());
}
