//! What exactly would be run.

use astrid_executor::ErrorKind;

use crate::scene::Scene;

const INPUTS: &str = "\
inputs:
  - {name: source, type: file}
  - {name: rows, type: integer, default: 10}
  - {name: note, type: string, required: false}
  - {name: loud, type: boolean, default: false}
outputs:
  - {name: report, type: file, path_template: '{source}.md'}
";

fn with_source(scene: &Scene) -> String {
    std::fs::write(scene.work().join("a.csv"), "").unwrap();
    scene.file("a.csv")
}

#[test]
fn a_file_of_python_gets_an_argument_for_each_value() {
    let scene = Scene::new(
        &format!("runtime: {{type: python-cli, entrypoint: run.py}}\n{INPUTS}"),
        &[("run.py", "")],
    );
    let source = with_source(&scene);
    assert_eq!(
        scene.arguments(&[("source", "a.csv"), ("loud", "true"), ("note", "-x y; z")]),
        [
            "-B",
            &scene.own("run.py"),
            &format!("--source={source}"),
            "--rows=10",
            "--note=-x y; z",
            "--loud",
            &format!("--report={source}.md"),
        ]
    );
    let there = scene.arguments(&[("source", "a.csv"), ("report", "b.md")]);
    assert_eq!(there.last().unwrap(), &format!("--report={}", scene.file("b.md")));
}

#[test]
fn a_command_has_placeholders_and_input_args() {
    let command = "\
command:
  argv: [tool, run.sh, '{source}', --, '{report}']
  cwd: '{component_root}'
  env: {DEMO_ROWS: '{rows}'}
  input_args:
    - {input: rows, flag: --rows, before: --}
    - {input: note, flag: '--note=', optional: true, before: --}
    - {input: loud, flag: --loud}
";
    let scene = Scene::new(&format!("{command}{INPUTS}"), &[("run.sh", "")]);
    let source = with_source(&scene);
    let report = format!("{source}.md");
    let entry = scene.own("run.sh");
    let own: Vec<String> = scene.arguments(&[("source", "a.csv")]);
    assert_eq!(own, [entry.as_str(), &source, "--rows", "10", "--", &report]);
    let own = scene.arguments(&[("source", "a.csv"), ("note", "{rows}"), ("loud", "true")]);
    assert_eq!(own, [&entry, &source, "--rows", "10", "--note={rows}", "--", &report, "--loud"]);
    let task = scene.task(&[("source", "a.csv")]).unwrap();
    assert_eq!(task.invocation.program, "tool");
    assert_eq!(task.invocation.folder.display().to_string(), scene.own("").trim_end_matches('/'));
}

#[test]
fn inputs_may_be_repeated_where_the_manifest_says_so() {
    let scene = Scene::new(
        "command: {argv: [tool], input_args: [{input: name, flag: -n, repeatable: true}]}\ninputs: [{name: name, type: string}]\n",
        &[],
    );
    assert_eq!(scene.arguments(&[("name", "a"), ("name", "b")]), ["-n", "a", "-n", "b"]);
}

#[test]
fn what_does_not_fit_the_manifest_is_refused_denied() {
    let scene = Scene::new(
        "command: {argv: [tool, '{name}', '{other}']}\ninputs: [{name: name, type: string}, {name: other, type: string, required: false}]\n",
        &[],
    );
    for (pairs, message) in [
        (&[("name", "a"), ("name", "b")][..], "`name` is given once"),
        (&[][..], "`name` is needed (string)"),
        (&[("nam", "a")][..], "`demo.demo` takes no `nam`"),
        (&[("name", "a")][..], "asks for `{other}`, which has no value"),
    ] {
        let error = scene.task(pairs).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_component_without_a_runtime_or_its_file_is_refused_denied() {
    let error = Scene::new("", &[]).task(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("no `runtime`"), "{error}");
    let scene = Scene::new("runtime: {type: python-cli, entrypoint: gone.py}\n", &[]);
    assert!(scene.task(&[]).unwrap_err().to_string().contains("is not in the pack"));
}

#[test]
fn an_orchestrator_is_given_how_it_runs_its_children() {
    let mut scene = Scene::new("command: {argv: [sh, run.sh, '{run}']}\n", &[("run.sh", "")]);
    assert!(scene.task(&[]).unwrap_err().to_string().contains("`{run}`, which has no value"));
    scene.children = vec!["/bin/astrid".to_owned(), "packs".to_owned(), "run".to_owned()];
    assert_eq!(scene.arguments(&[]), [scene.own("run.sh").as_str(), "/bin/astrid", "packs", "run"]);
}
