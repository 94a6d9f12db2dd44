//! Runs, from their start to their end.

use std::time::Duration;

use astrid_executor::requirements::missing;
use astrid_executor::{Ended, ErrorKind, Interrupt, Interrupts, Outcome};
use astrid_manifest::pack::Dependencies;

use crate::scene::{How, Scene, read};

#[test]
fn output_is_handed_on_and_logged_below_the_disclosure() {
    let scene = Scene::shell("inputs: [{name: who, type: string}]\n", "echo out; echo err >&2\n");
    let (report, written) = scene.run(&[("who", "hush")]);
    assert!(report.is_well());
    assert_eq!((written.out.as_str(), written.err.as_str()), ("out\n", "err\n"));
    let log = read(&report.log);
    let (head, rest) = log.split_once("# started: 2026-11-20T12:00:00Z\n").unwrap();
    assert!(head.starts_with("# sandbox: none\n# program: sh\n"), "{head}");
    // What was given may be private.
    assert!(head.contains("# given: who\n") && !log.contains("hush"), "{log}");
    assert!(rest.contains("out\n") && rest.contains("err\n"));
    assert!(rest.ends_with("# ended: 2026-11-20T12:00:00Z, exit 0\n"), "{rest}");
}

#[test]
fn exit_codes_and_signals_are_told() {
    let (report, _) = Scene::shell("", "exit 7\n").run(&[]);
    assert_eq!((report.ended, report.ended.code()), (Ended::Exited(7), 7));
    let (report, _) = Scene::shell("", "kill -TERM $$\n").run(&[]);
    assert_eq!((report.ended, report.ended.code()), (Ended::Signalled(15), 143));
}

#[test]
fn the_environment_is_the_users() {
    let own = std::process::Command::new("env").output().unwrap().stdout;
    let mut own: Vec<&str> = std::str::from_utf8(&own).unwrap().lines().collect();
    own.sort_unstable();
    let scene = Scene::new("command: {argv: [env]}\n", &[]);
    let said = scene.says(&[]);
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    // The shells of a test runner count themselves in `_` and `SHLVL`; nothing of ours does.
    assert_eq!(said, own);
}

#[test]
fn an_argument_stays_one_argument() {
    let scene = Scene::new(
        "command: {argv: [printf, '[%s]', '{text}']}\ninputs: [{name: text, type: string}]\n",
        &[],
    );
    assert_eq!(scene.says(&[("text", "a b; $(id) `id` \" ' {text}\n*")]), "[a b; $(id) `id` \" ' {text}\n*]");
}

#[test]
fn a_function_of_python_gets_values_and_its_answer_is_printed() {
    let code = "def main(rows, options, name='none'):\n    return {'rows': rows + 1, 'options': options, 'name': name}\n";
    let scene = Scene::new(
        "runtime: {kind: python, module: tool.count, function: main}\ninputs:\n  - {name: rows, type: integer}\n  - {name: options, type: json}\n  - {name: name, type: string, required: false}\n",
        &[("tool/__init__.py", ""), ("tool/count.py", code)],
    );
    // What lies in the folder of the user is not what is imported.
    std::fs::write(scene.work().join("json.py"), "raise SystemExit(9)").unwrap();
    let said = scene.says(&[("rows", "2"), ("options", "[1, null]")]);
    assert_eq!(said, "{\"rows\": 3, \"options\": [1, null], \"name\": \"none\"}\n");
    let left: Vec<_> =
        std::fs::read_dir(scene.own("tool")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_number_that_a_function_answers_is_the_exit_code() {
    for (answer, code) in [("3", 3), ("True", 0), ("False", 1), ("None", 0)] {
        let scene = Scene::new(
            "runtime: {kind: python, module: run, function: main}\n",
            &[("run.py", &format!("def main():\n    return {answer}\n"))],
        );
        assert_eq!(scene.run(&[]).0.ended, Ended::Exited(code), "{answer}");
    }
}

#[test]
fn an_orchestrator_of_python_runs_its_children_through_what_it_is_given() {
    let mut scene = Scene::new(
        "runtime: {kind: python, module: run, function: main}\n",
        &[("run.py", "def main(run):\n    return run('demo.child', rows=3, name='a b')\n")],
    );
    scene.children = vec!["printf".to_owned(), "[%s]".to_owned()];
    assert_eq!(scene.says(&[]), "[demo.child][rows=3][name=a b]");
}

#[test]
fn outputs_are_checked_before_and_after() {
    let outputs = |mode: &str| {
        format!(
            "command: {{argv: [touch, '{{made}}']}}\noutputs: [{{name: made, type: file, mode: {mode}, path_template: out/made}}]\n"
        )
    };
    let scene = Scene::new(&outputs("create"), &[]);
    assert!(scene.run(&[]).0.is_well());
    assert!(scene.work().join("out/made").is_file());
    let scene = Scene::new(&outputs("mutate"), &[]);
    std::fs::create_dir(scene.work().join("out")).unwrap();
    std::fs::write(scene.work().join("out/made"), "").unwrap();
    assert!(scene.run(&[]).0.is_well());
}

#[test]
fn outputs_that_are_there_or_missing_are_refused_denied() {
    let outputs = |mode: &str| {
        format!(
            "command: {{argv: ['true']}}\noutputs: [{{name: made, type: file, mode: {mode}, path_template: made}}]\n"
        )
    };
    let scene = Scene::new(&outputs("create"), &[]);
    std::fs::write(scene.work().join("made"), "before").unwrap();
    let error = scene.go(&[], How::default()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("is there already"), "{error}");
    let error = Scene::new(&outputs("mutate"), &[]).go(&[], How::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("there is nothing at"), "{error}");
    let scene = Scene::new(&outputs("create_or_replace"), &[]);
    let (report, _) = scene.run(&[]);
    assert!(!report.is_well());
    assert!(report.unmade[0].starts_with("`made` was to be at"), "{:?}", report.unmade);
    assert!(read(&report.log).contains("# `made` was to be at"));
}

#[test]
fn sentinels_say_that_there_is_nothing_to_do() {
    let rest = |cache: &str| format!("command: {{argv: [touch, done]}}\ncache: {{{cache}}}\n");
    let scene = Scene::new(&rest("sentinels: [done]"), &[]);
    assert!(scene.run(&[]).0.is_well());
    let (outcome, _) = scene.go(&[], How::default()).unwrap();
    assert_eq!(outcome, Outcome::Kept(vec![scene.work().join("done")]));
    assert!(scene.run_how(&[], How { again: true, ..How::default() }).0.is_well());
    for cache in [
        "mode: none, sentinels: [done]",
        "mode: always_run, sentinels: [done]",
        "always_run: true, sentinels: [done]",
    ] {
        let scene = Scene::new(&rest(cache), &[]);
        std::fs::write(scene.work().join("done"), "").unwrap();
        assert!(scene.run(&[]).0.is_well(), "{cache}");
    }
}

#[test]
fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let scene = Scene::shell("", "sleep 600 & echo $! > child; echo begun; wait\n");
    let how = How { timeout: Some(Duration::from_millis(500)), ..How::default() };
    let (report, written) = scene.run_how(&[], how);
    assert_eq!((report.ended, written.out.as_str()), (Ended::TimedOut, "begun\n"));
    let child = read(&scene.work().join("child"));
    // It was told to end; it is gone, or nobody's, as soon as the system gets round to it.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    while !state().is_empty() && !state().contains(") Z ") {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(read(&report.log).ends_with("not in time\n"));
}

#[test]
fn an_interrupt_reaches_the_process() {
    let scene = Scene::shell(
        "",
        "trap 'echo caught; exit 3' INT; echo begun > begun; while :; do sleep 0.01; done\n",
    );
    let interrupts = Interrupts::default();
    let interrupter = interrupts.interrupter();
    let begun = scene.work().join("begun");
    let waiting = std::thread::spawn(move || {
        while !begun.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        interrupter.interrupt(Interrupt { pass_on: true });
    });
    let (report, written) = scene.run_how(&[], How { interrupts, ..How::default() });
    waiting.join().unwrap();
    assert_eq!((report.ended, report.ended.code()), (Ended::Interrupted, 130));
    assert_eq!(written.out, "caught\n");
}

#[test]
fn what_nobody_reads_ends_who_writes_it() {
    let scene = Scene::new("command: {argv: ['yes']}\n", &[]);
    let (report, _) = scene.run_how(&[], How { unread: true, ..How::default() });
    assert_ne!(report.ended, Ended::Exited(0));
}

#[test]
fn a_program_that_is_not_there_is_told_denied() {
    let scene = Scene::new("command: {argv: [no-such-program]}\n", &[]);
    let error = scene.go(&[], How::default()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.to_string(), "there is no program `no-such-program`");
}

#[test]
fn missing_requirements_are_named_denied() {
    let scene = Scene::new(
        "runtime: {type: python-cli, entrypoint: run.py}\nisolation: {requirements: ['no-such-distribution>=2'], binaries: [sh, no-such-program]}\n",
        &[("run.py", "")],
    );
    let missing = scene
        .with_machine(|machine| missing(&Dependencies::default(), &scene.executor, &scene.pack(), machine));
    let names: Vec<&str> = missing.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["no-such-program", "no-such-distribution>=2"]);
    assert_eq!(missing[1].hint, "python3 -m pip install 'no-such-distribution>=2'");
}
