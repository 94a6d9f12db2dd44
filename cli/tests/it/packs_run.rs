//! `packs run`: what runs, what does not, what is said and kept about it.

mod isolated;
mod shipped;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::env::{Ran, TestEnv, astrid_snapshot};

/// The machine's own folders first, then what the runner of the tests has.
fn path() -> String {
    format!("/usr/local/bin:/usr/bin:/bin:{}", std::env::var("PATH").unwrap_or_default())
}

/// A pack `demo` in the folder `demo`: an executor `demo.go` that runs this script of a shell.
fn demo(env: &TestEnv, rest: &str, script: &str) {
    env.write(
        "demo/pack.yaml",
        "schema_version: 1\nid: demo\nname: Demo\nversion: 1.0.0\ncontent: {executors: executors}\npermissions:\n  - {id: subprocess, reason: Runs sh}\n",
    );
    env.write(
        "demo/executors/go/executor.yaml",
        format!(
            "schema_version: 1\nid: demo.go\nname: Go\nversion: 1.0.0\ncommand:\n  argv: [sh, go.sh]\n{rest}"
        ),
    );
    env.write("demo/executors/go/go.sh", script);
}

fn install(env: &TestEnv, folder: &str) {
    env.ok(&["packs", "install", folder, "--yes", "--trust", "--no-boot"]);
}

fn installed(rest: &str, script: &str) -> TestEnv {
    let env = TestEnv::new();
    demo(&env, rest, script);
    install(&env, "./demo");
    env
}

/// `packs run` with these arguments.
fn run(env: &TestEnv, arguments: &[&str]) -> Ran {
    env.run(&[&["packs", "run"], arguments].concat()).variable("PATH", path()).go()
}

#[track_caller]
fn ok(env: &TestEnv, arguments: &[&str]) -> Ran {
    let ran = run(env, arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}", ran.shown());
    ran
}

/// The logs of the executor `demo.go`.
fn logs(env: &TestEnv) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(env.home("log/packs/demo/go")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// A file of the pack as it is served, made writable.
fn served(env: &TestEnv, file: &str) -> PathBuf {
    let path = env.path("data/astrid/packs/demo/active").join(file);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn an_executor_runs_with_its_log_below_the_disclosure() {
    let env = installed("inputs: [{name: who, type: string, default: you}]\n", "echo hello\n");
    let ran = ok(&env, &["demo.go", "who=somebody"]);
    assert_eq!(ran.stdout, "hello\n");
    assert!(ran.stderr.starts_with("demo.go: done; log: "), "{}", ran.shown());
    let all = logs(&env);
    assert_eq!(fs::metadata(&all[0]).unwrap().permissions().mode() & 0o777, 0o600);
    insta::assert_snapshot!("packs-run-log", env.filtered(&fs::read_to_string(&all[0]).unwrap()));
    ok(&env, &["demo.go"]);
    assert_eq!(logs(&env).len(), 2);
}

#[test]
fn what_would_be_run_is_shown_and_nothing_runs() {
    let rest = "inputs: [{name: who, type: string, default: you}]\noutputs: [{name: made, type: file, path_template: out/made}]\nsecrets: [{name: API_KEY, required: true}]\n";
    let env = installed(rest, "touch ran\n");
    astrid_snapshot!("packs-run-dry", env, ["packs", "run", "demo.go", "--dry-run"]);
    let document = ok(&env, &["demo.go", "--dry-run", "--json"]).json();
    assert_eq!(document["outcome"], "dry-run");
    assert_eq!(document["environment"]["added"], serde_json::json!([]));
    assert!(!env.work("ran").exists() && !env.work("out").exists() && logs(&env).is_empty());
}

#[test]
fn the_document_of_a_run_has_everything() {
    let env = installed("", "echo out; echo err >&2; exit 3\n");
    let ran = run(&env, &["demo.go", "--json"]);
    assert_eq!((ran.code, ran.stderr.lines().next()), (3, Some("err")), "{}", ran.shown());
    let document = ran.json();
    assert_eq!(document["exit"], serde_json::json!({ "code": 3, "how": "exit 3" }));
    assert_eq!((&document["stdout"], &document["outcome"]), (&"out\n".into(), &"ran".into()));
    assert_eq!(document["permissions"][0]["id"], "subprocess");
    assert_eq!(document["trust"]["sandbox"], "none");
    assert_eq!(document["accepted"]["method"], "cli_flag");
    assert_eq!(document["log"].as_str().unwrap(), logs(&env)[0].to_str().unwrap());
}

#[test]
fn exit_codes_are_passed_on() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 84", 84), ("kill -KILL $$", 137)] {
        let env = installed("", script);
        assert_eq!(run(&env, &["demo.go"]).code, code, "{script}");
    }
}

#[test]
fn results_that_are_there_are_not_made_again() {
    let env = installed("cache: {sentinels: [done]}\n", "echo ran; touch done\n");
    assert_eq!(ok(&env, &["demo.go"]).stdout, "ran\n");
    let ran = ok(&env, &["demo.go"]);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("--again runs it"), "{}", ran.shown());
    assert_eq!(ok(&env, &["demo.go", "--json"]).json()["outcome"], "kept");
    assert_eq!(ok(&env, &["demo.go", "--again"]).stdout, "ran\n");
}

#[test]
fn outputs_that_were_not_made_fail_the_run_denied() {
    let env = installed("outputs: [{name: made, type: file, path_template: made}]\n", "true\n");
    let ran = run(&env, &["demo.go"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert!(ran.stderr.contains("`made` was to be at"), "{}", ran.shown());
}

#[test]
fn inputs_that_do_not_fit_are_refused_denied() {
    let env = installed("inputs: [{name: rows, type: integer}, {name: source, type: file}]\n", "touch ran\n");
    for (arguments, message) in [
        (&["demo.go"][..], "`rows` is needed (integer)"),
        (&["demo.go", "rows=many", "source=demo/pack.yaml"], "`rows` is an integer"),
        (&["demo.go", "rows=1", "source=gone"], "there is none at"),
        (&["demo.go", "rows=1", "source=demo/pack.yaml", "more=1"], "takes no `more`"),
        (&["demo.go", "rows"], "write NAME=VALUE"),
        (&["demo.went"], "it has demo.go"),
        (&["go"], "write PACK.NAME"),
        (&["demo.go", "--trust"], "--path"),
    ] {
        let ran = run(&env, arguments);
        assert_eq!(ran.code, 64, "{arguments:?}\n{}", ran.shown());
        assert!(ran.stderr.contains(message), "{message}\n{}", ran.shown());
    }
    assert!(!env.work("ran").exists() && logs(&env).is_empty());
    let ran = run(&env, &["other.go"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert!(ran.stderr.contains("pack `other` is not installed"), "{}", ran.shown());
}

#[test]
fn what_is_missing_is_named_with_how_to_get_it_denied() {
    let rest = "isolation: {binaries: [no-such-program], requirements: ['no-such-distribution>=2']}\n";
    let env = installed(rest, "echo ran\n");
    let ran = run(&env, &["demo.go"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    for part in [
        "no-such-program: no such program is on the PATH",
        "pip install 'no-such-distribution>=2'",
        "nothing was run",
    ] {
        assert!(ran.stderr.contains(part), "{part}\n{}", ran.shown());
    }
    assert_eq!(ok(&env, &["demo.go", "--skip-checks"]).stdout, "ran\n");
}

#[test]
fn changed_bytes_do_not_run_denied() {
    for (file, bytes) in [
        ("executors/go/go.sh", "echo other\n"),
        ("executors/go/go.sh", ""),
        // As long as before.
        ("executors/go/go.sh", "echo gone\n"),
        ("pack.yaml", "schema_version: 1\n"),
    ] {
        let env = installed("", "echo true\n");
        fs::write(served(&env, file), bytes).unwrap();
        let ran = run(&env, &["demo.go"]);
        assert_eq!(ran.code, 84, "{}", ran.shown());
        assert!(ran.stdout.is_empty() && ran.stderr.contains("is not what was accepted"), "{}", ran.shown());
        assert!(
            ran.stderr.contains("`astrid packs update demo`") && logs(&env).is_empty(),
            "{}",
            ran.shown()
        );
        // What the hint says puts it right.
        env.ok(&["packs", "update", "demo", "--yes", "--trust", "--no-boot"]);
        assert_eq!(ok(&env, &["demo.go"]).stdout, "true\n");
    }
}

#[test]
fn files_beside_those_that_were_accepted_do_not_run_denied() {
    for file in ["executors/go/json.py", "executors/go/node_modules/x.js", "new"] {
        let env = installed("", "echo true\n");
        let path = env.path("data/astrid/packs/demo/active").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let ran = run(&env, &["demo.go"]);
        assert_eq!(ran.code, 84, "{}", ran.shown());
        assert!(ran.stderr.contains("is not part of it"), "{}", ran.shown());
    }
}

#[test]
fn compiled_python_beside_modules_is_never_what_runs() {
    let env = TestEnv::new();
    demo(&env, "", "");
    env.write(
        "demo/executors/go/executor.yaml",
        "schema_version: 1\nid: demo.go\nname: Go\nversion: 1.0.0\ncommand: {argv: [python3, go.py]}\n",
    );
    env.write("demo/executors/go/go.py", "import own\nprint(own.WORD)\n");
    env.write("demo/executors/go/own.py", "WORD = 'accepted'\n");
    install(&env, "./demo");
    assert_eq!(ok(&env, &["demo.go"]).stdout, "accepted\n");
    // A command runs Python as it likes; what that leaves does not stay.
    let folder = env.path("data/astrid/packs/demo/active/executors/go");
    assert!(!folder.join("__pycache__").exists());
    fs::write(folder.join("own.py.bak"), "").unwrap_or_default();
    fs::remove_file(folder.join("own.py.bak")).unwrap();
    env.write("other/own.py", "WORD = 'another'\n");
    let compile = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
    let version = std::process::Command::new("python3")
        .env("PATH", path())
        .args(["-c", "import sys; print(sys.implementation.cache_tag)"])
        .output()
        .unwrap();
    let tag = String::from_utf8(version.stdout).unwrap();
    let target = folder.join(format!("__pycache__/own.{}.pyc", tag.trim()));
    let compiled = std::process::Command::new("python3")
        .env("PATH", path())
        .args(["-c", compile, env.work("other/own.py").to_str().unwrap(), target.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(compiled.success() && target.is_file());
    assert_eq!(ok(&env, &["demo.go"]).stdout, "accepted\n");
}

#[test]
fn a_pack_that_writes_into_itself_is_told() {
    let env = installed("", "echo more > \"$(dirname \"$0\")/more\"\n");
    let ran = ok(&env, &["demo.go"]);
    assert!(ran.stderr.contains("warning:") && ran.stderr.contains("`executors/go/more`"), "{}", ran.shown());
    assert_eq!(run(&env, &["demo.go"]).code, 84);
}

#[test]
fn a_pack_in_a_folder_is_acknowledged_each_time() {
    let env = TestEnv::new();
    demo(&env, "", "echo ran in $(pwd)\n");
    let ran = ok(&env, &["demo.go", "--path", "demo", "--trust"]);
    assert_eq!(env.filtered(&ran.stdout), "ran in [ROOT]/work\n");
    assert!(
        ran.stderr.contains("━━━ Trust Summary ━━━") && ran.stderr.contains("nobody accepted it"),
        "{}",
        ran.shown()
    );
    assert!(
        fs::read_to_string(&logs(&env)[0])
            .unwrap()
            .contains("# accepted: by nobody; acknowledged for this run\n")
    );
    // What was shown is what is run: the digest binds it.
    let digest =
        ok(&env, &["demo.go", "--path", "demo", "--dry-run", "--json"]).json()["content_digest"].clone();
    let bound = format!("--trust=demo@{}", digest.as_str().unwrap());
    ok(&env, &["demo.go", "--path", "./demo/", &bound]);
    env.write("demo/executors/go/go.sh", "echo other\n");
    let ran = run(&env, &["demo.go", "--path", "demo", &bound]);
    assert_eq!((ran.code, ran.stdout.as_str()), (82, ""), "{}", ran.shown());
    // Nothing is installed by it.
    assert_eq!(run(&env, &["demo.go"]).code, 1);
}

#[test]
fn a_pack_in_a_folder_needs_trust_denied() {
    let env = TestEnv::new();
    demo(&env, "", "echo ran\n");
    for more in [&[][..], &["--yes"], &["--json"]] {
        let ran = run(&env, &[&["demo.go", "--path", "demo"], more].concat());
        assert_eq!(ran.code, 82, "{}", ran.shown());
        assert!(!ran.stdout.contains("ran\n"), "{}", ran.shown());
        assert!(
            ran.stderr.contains("hint: for exactly these bytes: --trust=demo@blake3:"),
            "{}",
            ran.shown()
        );
    }
    assert!(!env.home("").exists());
    let mut terminal = env.terminal(&["packs", "run", "demo.go", "--path", "demo"]);
    terminal.sees("Type 'trust demo' to run code of this pack once: ").types("trust demo ");
    let (code, seen) = terminal.ends();
    assert!(code == 1 && seen.contains("Cancelled.") && !seen.contains("ran\r"), "{seen}");
    let mut terminal = env.terminal(&["packs", "run", "demo.go", "--path", "demo"]);
    terminal.sees("Type 'trust demo' to run code of this pack once: ").types("trust demo");
    let (code, seen) = terminal.ends();
    assert!(code == 0 && seen.contains("ran\n"), "{code} {seen}");
}

#[test]
fn a_folder_that_holds_no_valid_pack_is_refused_denied() {
    let env = TestEnv::new();
    demo(&env, "inputs: nonsense\n", "echo ran\n");
    let ran = run(&env, &["demo.go", "--path", "demo", "--trust"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    fs::create_dir(env.work("empty")).unwrap();
    assert_eq!(run(&env, &["demo.go", "--path", "empty", "--trust"]).code, 65);
}

/// Begins a run that says so, and waits for that.
fn begun(env: &TestEnv, arguments: &[&str]) -> std::process::Child {
    let mut command = env.run(&[&["packs", "run"], arguments].concat()).variable("PATH", path()).command();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"begun\n");
    child
}

/// Ends by itself only where it is told to.
const PATIENT: &str = "trap 'echo told; exit 3' INT\necho begun\nwhile :; do sleep 0.01; done\n";

#[test]
fn an_interrupt_reaches_the_process_and_ends_with_130() {
    let env = installed("", PATIENT);
    let child = begun(&env, &["demo.go"]);
    // To Astrid alone, as a supervisor does: there is no terminal that would tell the process, too.
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"told\n");
    assert!(fs::read_to_string(&logs(&env)[0]).unwrap().ends_with("interrupted\n"));
}

#[test]
fn control_c_at_a_terminal_reaches_the_process_once() {
    // It goes on for a while, so that being told twice would show.
    let env = installed(
        "",
        "trap 'echo told; seen=1' INT\necho begun\nwhile [ -z \"$seen\" ]; do sleep 0.01; done\nfor one in 1 2 3 4 5 6 7 8 9; do sleep 0.02; done\n",
    );
    let mut terminal = env.terminal(&["packs", "run", "demo.go"]);
    terminal.sees("begun").presses(expectrl::ControlCode::EndOfText);
    let (code, seen) = terminal.ends();
    assert_eq!((code, seen.matches("told").count()), (130, 1), "{seen}");
}

#[test]
fn what_takes_too_long_is_ended() {
    let env = installed("", "echo begun; sleep 600\n");
    let ran = run(&env, &["demo.go", "--timeout", "500ms"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "begun\n"), "{}", ran.shown());
    assert!(ran.stderr.contains("not in time"), "{}", ran.shown());
}

#[test]
fn what_nobody_reads_ends_the_process() {
    let env = installed("", "while :; do echo more; done\n");
    let program = env!("CARGO_BIN_EXE_astrid");
    let ran = env.shell(&format!("{program} packs run demo.go 2>/dev/null | head -n 1"));
    assert_eq!(ran.stdout, "more\n", "{}", ran.shown());
}

/// A pack `flow` whose orchestrator runs the children that it is told to.
fn flow(env: &TestEnv) {
    env.write(
        "flow/pack.yaml",
        "schema_version: 1\nid: flow\nname: Flow\nversion: 1.0.0\ncontent: {executors: executors, orchestrators: orchestrators}\n",
    );
    for name in ["one", "two"] {
        env.write(
            &format!("flow/executors/{name}/executor.yaml"),
            format!("schema_version: 1\nid: flow.{name}\nname: One\nversion: 1.0.0\ncommand: {{argv: [echo, {name}, '{{text}}']}}\ninputs: [{{name: text, type: string}}]\n"),
        );
    }
    env.write(
        "flow/orchestrators/all/orchestrator.yaml",
        "schema_version: 1\nid: flow.all\nname: All\nversion: 1.0.0\nruntime: {kind: command, command: {argv: [sh, all.sh, '{child}', '{run}']}}\ninputs: [{name: child, type: string}]\nchild_executors: [flow.one]\n",
    );
    env.write(
        "flow/orchestrators/all/all.sh",
        "child=$1; shift; \"$@\" flow.one 'text=a b' && \"$@\" \"$child\" text=c\n",
    );
}

#[test]
fn an_orchestrator_runs_its_children() {
    let env = TestEnv::new();
    flow(&env);
    install(&env, "./flow");
    assert_eq!(ok(&env, &["flow.all", "child=flow.one"]).stdout, "one a b\none c\n");
    let ran = ok(&env, &["flow.all", "child=flow.one", "--path", "flow", "--trust"]);
    assert_eq!(ran.stdout, "one a b\none c\n");
    // Shown once, not for each child.
    assert_eq!(ran.stderr.matches("Trust Summary").count(), 1, "{}", ran.shown());
}

#[test]
fn a_child_that_is_not_declared_is_refused_denied() {
    let env = TestEnv::new();
    flow(&env);
    install(&env, "./flow");
    for child in ["flow.two", "flow.all", "flow.none"] {
        let ran = run(&env, &["flow.all", &format!("child={child}")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (64, "one a b\n"), "{}", ran.shown());
    }
    let ran = run(&env, &["flow.two", "text=x", "--parent", "flow.one"]);
    assert!(ran.code == 64 && ran.stderr.contains("`flow.one` is no orchestrator"), "{}", ran.shown());
    let ran = run(&env, &["flow.all", "child=flow.one", "--isolate"]);
    assert!(ran.code == 64 && ran.stderr.contains("one by one"), "{}", ran.shown());
}

#[test]
fn in_process_is_said_to_be_a_process_of_its_own() {
    let env = installed("isolation: {mode: in_process}\n", "echo ran\n");
    let ran = ok(&env, &["demo.go"]);
    assert!(ran.stdout == "ran\n" && ran.stderr.contains("no process to share"), "{}", ran.shown());
}
