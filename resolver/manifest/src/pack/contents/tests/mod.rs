mod disclosed;
mod parts;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::pack::executor::{CacheMode, IsolationMode, OutputMode, PortKind, Runtime};

const PACK: &str = "schema_version: 1\nid: media_tools\nname: Media tools\nversion: 1.4.0\n";
const HEAD: &str = "schema_version: 1\nname: N\nversion: 0.1.0\ndescription: d\n";

/// A pack with these files; `pack.yaml` is the head and what is given.
fn pack(more: &str, files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    all.insert("pack.yaml".to_owned(), format!("{PACK}{more}").into_bytes());
    all
}

fn executor(more: &str) -> String {
    format!("{HEAD}id: media_tools.cut\n{more}")
}

/// A pack with one executor that has these lines.
fn with_executor(more: &str) -> BTreeMap<String, Vec<u8>> {
    pack(
        "content: {executors: executors}\n",
        &[("executors/cut/executor.yaml", &executor(more)), ("executors/cut/run.py", "")],
    )
}

#[track_caller]
fn accepts(files: &BTreeMap<String, Vec<u8>>) -> Parsed<Contents> {
    Contents::read(files).unwrap_or_else(|complaints| panic!("{}", complaints.render(false)))
}

#[track_caller]
fn refuses(files: &BTreeMap<String, Vec<u8>>, rule: &str, file: &str) -> Diagnostic {
    let complaints = Contents::read(files).expect_err("it was taken");
    let found = complaints.iter().find(|one| one.rule == rule && one.file == file);
    found.unwrap_or_else(|| panic!("no `{rule}` about {file} in\n{complaints}")).clone()
}

#[track_caller]
fn warns(files: &BTreeMap<String, Vec<u8>>, rule: &str) -> Diagnostic {
    let warnings = accepts(files).warnings;
    let found = warnings.iter().find(|one| one.rule == rule);
    found.unwrap_or_else(|| panic!("no `{rule}` in\n{warnings}")).clone()
}

const CLI: &str = "runtime: {type: python-cli, entrypoint: run.py}\n";

#[test]
fn a_whole_executor_is_read() {
    let files = with_executor(
        "kind: built_in\nruntime: {kind: command, command: {argv: [python3, run.py, '{film}'], cwd: '{pack_root}', env: {A: b}, input_args: [{input: film, flag: --film, before: '{film}'}]}}\n\
         inputs:\n  - {name: film, type: file}\n  - {name: speed, type: number, required: false, default: 1.5, placeholder: rate}\n\
         outputs:\n  - {name: cut, type: file, mode: create, path_template: '{film}/cut.mp4'}\n\
         cache: {mode: none, sentinels: [a], per_brief: true}\nisolation: {mode: in_process, binaries: [ffmpeg], network: true, env_passthrough: [LANG]}\n\
         secrets: [{name: API_KEY, required: true, description: for the server}]\nmetadata: {a: 1}\nconditions: [x]\ngraph: {}\n",
    );
    let contents = accepts(&files).value;
    let placed = contents.executors.values().next().unwrap();
    let executor = &placed.item;
    assert_eq!(
        (placed.folder.as_str(), placed.file.as_str()),
        ("executors/cut", "executors/cut/executor.yaml")
    );
    assert_eq!(executor.inputs[1].kind, PortKind::Number);
    assert!(executor.inputs[0].required && !executor.inputs[1].required);
    assert_eq!(executor.outputs[0].mode, OutputMode::Create);
    assert_eq!(executor.cache.mode, CacheMode::None);
    assert_eq!(executor.isolation.mode, IsolationMode::InProcess);
    assert_eq!(executor.secrets[0].name.as_str(), "API_KEY");
    let Some(Runtime::Command(command)) = &executor.runtime else { panic!("no command") };
    assert_eq!(command.entrypoint(), Some((1, "run.py")));
    assert_eq!(command.input_args[0].flag.as_deref(), Some("--film"));
    let file = executor.runtime.as_ref().unwrap().entry_file(&placed.folder, &|_| true);
    assert_eq!(file.as_deref(), Some("executors/cut/run.py"));
    assert_eq!(executor.placeholders().get("rate"), Some(&"speed"));
    assert_eq!(contents.resolve("cut"), Some(&executor.id));
}

#[test]
fn every_runtime_is_read() {
    for more in [
        CLI,
        "runtime: {kind: python, module: run, function: main}\n",
        "runtime: {kind: command, command: {argv: [sh, -c, 'echo {a} > x/y']}}\n",
        "runtime: {type: command, command: {argv: [./run.py]}}\n",
        "command: {argv: ['{python_exec}', run.py, https://example.org/a.py]}\n",
        "command: {argv: [/usr/bin/env]}\n",
    ] {
        let contents = accepts(&with_executor(more)).value;
        assert!(contents.executors.values().all(|placed| placed.item.runtime.is_some()), "{more}");
    }
    assert_eq!(warns(&with_executor(""), "no-runtime").file, "executors/cut/executor.yaml");
}

#[test]
fn a_runtime_that_is_none_is_denied() {
    let file = "executors/cut/executor.yaml";
    for (more, rule) in [
        ("runtime: {}\n", "missing-field"),
        ("runtime: {type: python-cli}\n", "missing-field"),
        ("runtime: {type: python-cli, entrypoint: nope.py}\n", "entrypoint"),
        ("runtime: {type: python-cli, entrypoint: /bin/sh}\n", "path"),
        ("runtime: {type: python-cli, entrypoint: ../../../run.py}\n", "path"),
        ("runtime: {type: python-cli, entrypoint: ' '}\n", "blank"),
        ("runtime: {type: python-cli, entrypoint: run.py, module: run}\n", "unknown-key"),
        ("runtime: {type: python, module: run, function: main}\n", "wrong-value"),
        ("runtime: {kind: python, module: nope, function: main}\n", "entrypoint"),
        ("runtime: {kind: python, module: 'os; x', function: main}\n", "wrong-value"),
        ("runtime: {kind: python, module: run}\n", "missing-field"),
        ("runtime: {kind: docker, image: x}\n", "wrong-value"),
        ("runtime: {kind: command, command: {argv: []}}\n", "blank"),
        ("runtime: {kind: command, command: {argv: [sh, run.sh]}}\n", "entrypoint"),
        ("runtime: {kind: command, command: {argv: [bin/tool]}}\n", "entrypoint"),
        ("runtime: {kind: command, command: {}}\n", "missing-field"),
        ("runtime: {kind: command}\n", "missing-field"),
        ("runtime: {kind: command, command: {argv: [\"a\\0\"]}}\n", "wrong-value"),
        ("command: {argv: [sh], env: {A: 1}}\n", "wrong-type"),
        ("command: {argv: [sh], env: {'A=B': x}}\n", "wrong-value"),
        ("command: {argv: [sh], input_args: [{input: film}]}\n", "unknown-input"),
        (
            "command: {argv: [sh], input_args: [{input: a, before: x}]}\ninputs: [{name: a}]\n",
            "unknown-argument",
        ),
        ("command: {argv: [sh]}\nruntime: {type: python-cli, entrypoint: run.py}\n", "wrong-value"),
    ] {
        refuses(&with_executor(more), rule, file);
    }
}

#[test]
fn placeholders_that_nothing_stands_for_are_told() {
    for more in [
        "command: {argv: [echo, '{fil}']}\ninputs: [{name: film}]\n",
        "command: {argv: [echo], cwd: '{out}'}\n",
        "command: {argv: [echo], env: {A: '{b}'}}\n",
        "command: {argv: [echo]}\noutputs: [{name: a, path_template: '{a}.txt'}]\n",
        "command: {argv: [echo]}\ncache: {sentinels: ['{x}']}\n",
    ] {
        warns(&with_executor(more), "placeholder");
    }
    let fine = "command: {argv: [echo, '{f}', '{film}', '{cut}', '{pack_root}', '{{x}}', '{print $1}']}\ninputs: [{name: film, placeholder: f}]\n\
        outputs: [{name: cut, path_template: '{film}.cut'}]\ncache: {sentinels: ['{cut}']}\n";
    assert!(accepts(&with_executor(fine)).warnings.is_empty());
}

#[test]
fn the_executor_is_closed_denied() {
    let file = "executors/cut/executor.yaml";
    for (more, rule) in [
        ("secret: []\n", "unknown-key"),
        ("secrets: [{}]\n", "missing-field"),
        ("secrets: [{name: A}, {name: A}]\n", "duplicate"),
        ("secrets: [{name: 'a b'}]\n", "secret-name"),
        ("kind: plugin\n", "wrong-value"),
        ("inputs: [{type: file}]\n", "missing-field"),
        ("inputs: [{name: a}, {name: a}]\n", "duplicate"),
        ("inputs: [{name: 'a b'}]\n", "port-name"),
        ("inputs: [{name: a, type: film}]\n", "wrong-value"),
        ("inputs: [{name: a, type: integer, default: x}]\n", "wrong-type"),
        ("inputs: [{name: a, kind: file}]\n", "unknown-key"),
        ("inputs: {name: a}\n", "wrong-type"),
        ("outputs: [{name: a, mode: append}]\n", "wrong-value"),
        ("cache: {mode: sometimes}\n", "wrong-value"),
        ("isolation: {mode: container}\n", "wrong-value"),
        ("isolation: {netwrk: true}\n", "unknown-key"),
        ("isolation: {env_passthrough: [A, A]}\n", "duplicate"),
        ("isolation: {env_passthrough: ['A.B']}\n", "env-name"),
        ("scoped_configs: [Bad]\n", "wrong-value"),
        ("conditions: {}\n", "wrong-type"),
        ("id: media_tools.cut\n", "duplicate-key"),
        ("metadata: {a: .nan}\n", "wrong-type"),
        ("metadata: &a\n  b: *a\n", "syntax"),
    ] {
        refuses(&with_executor(&format!("{CLI}{more}")), rule, file);
    }
    assert_eq!(warns(&with_executor(&format!("{CLI}docs: {{other: x}}\n")), "unknown-key").file, file);
}

#[test]
fn messages_say_where_in_the_file() {
    let one = refuses(
        &with_executor(&format!("{CLI}inputs:\n  - name: a\n  - {{tpe: file}}\n")),
        "missing-field",
        "executors/cut/executor.yaml",
    );
    assert_eq!((one.line, one.message.as_str()), (9, "`inputs[1]` needs `name`"));
    let one = refuses(&pack("permissions:\n  - {id: network}\n", &[]), "missing-field", "pack.yaml");
    assert_eq!((one.line, one.message.as_str()), (6, "`permissions[0]` needs `reason`"));
}

#[test]
fn several_executors_share_a_file() {
    let files = pack(
        "content: {executors: e}\n",
        &[
            (
                "e/all/executor.yaml",
                "executors:\n  - {schema_version: 1, id: media_tools.a, name: A, version: x, description: d, command: {argv: [ls]}}\n  \
                   - {schema_version: 1, id: media_tools.b, name: B, version: x, description: d, command: {argv: [ls]}}\n",
            ),
            ("e/__pycache__/x.pyc", ""),
            ("e/shared/code.py", ""),
        ],
    );
    let contents = accepts(&files).value;
    // Components are counted, not folders.
    assert_eq!(contents.counts(), ComponentCounts { executors: 2, ..ComponentCounts::default() });
    refuses(
        &pack("content: {executors: e}\n", &[("e/a/executor.yaml", "executors: []\n")]),
        "wrong-value",
        "e/a/executor.yaml",
    );
}

#[test]
fn ids_belong_to_the_pack_once_denied() {
    let foreign = executor("command: {argv: [ls]}\n").replace("media_tools.cut", "other.cut");
    let files = pack("content: {executors: e}\n", &[("e/cut/executor.yaml", &foreign)]);
    let one = refuses(&files, "foreign-id", "e/cut/executor.yaml");
    assert_eq!(one.help.as_deref(), Some("write `media_tools.cut`"));
    let own = executor("command: {argv: [ls]}\n");
    let files = pack("content: {executors: e}\n", &[("e/a/executor.yaml", &own), ("e/b/executor.yml", &own)]);
    let one = refuses(&files, "duplicate-id", "e/b/executor.yml");
    assert!(one.message.contains("e/a/executor.yaml:5"), "{}", one.message);
    // Executors and orchestrators share their names.
    let orchestrator = executor("runtime: {kind: command, command: {argv: [ls]}}\n");
    let files = pack(
        "content: {executors: e, orchestrators: o}\n",
        &[("e/a/executor.yaml", &own), ("o/a/orchestrator.yaml", &orchestrator)],
    );
    refuses(&files, "duplicate-id", "o/a/orchestrator.yaml");
}

#[test]
fn two_manifests_in_a_folder_are_denied() {
    let own = executor("command: {argv: [ls]}\n");
    let files =
        pack("content: {executors: e}\n", &[("e/a/executor.yaml", &own), ("e/a/executor.json", "{}")]);
    refuses(&files, "two-manifests", "e/a/executor.json");
    let mut files = pack("", &[]);
    files.insert("pack.json".to_owned(), b"{}".to_vec());
    refuses(&files, "two-manifests", "pack.json");
}

#[test]
fn a_folder_without_a_pack_is_denied() {
    refuses(&BTreeMap::new(), "no-manifest", "pack.yaml");
    refuses(&BTreeMap::from([("pack.yaml".to_owned(), vec![0xff])]), "utf-8", "pack.yaml");
    let large = vec![b' '; MAX_FILE_BYTES_FOR_TESTS + 1];
    refuses(&BTreeMap::from([("pack.yaml".to_owned(), large)]), "too-large", "pack.yaml");
}

const MAX_FILE_BYTES_FOR_TESTS: usize = crate::MAX_FILE_BYTES;

#[test]
fn no_file_switches_checks_off_denied() {
    let files = pack("permisions: []\n", &[(".no-pack", "")]);
    refuses(&files, "unknown-key", "pack.yaml");
    assert_eq!(warns(&pack("", &[(".no-pack", "")]), "no-pack").file, ".no-pack");
}

#[test]
fn content_roots_are_there_denied() {
    for key in ["executors", "orchestrators", "elements", "capsules"] {
        refuses(&pack(&format!("content: {{{key}: nowhere}}\n"), &[]), "content-root", "pack.yaml");
    }
    for key in ["schemas", "examples", "docs"] {
        warns(&pack(&format!("content: {{{key}: nowhere}}\n"), &[]), "content-root");
    }
    refuses(&pack("content: {executors: /etc}\n", &[]), "path", "pack.yaml");
    assert_eq!(warns(&pack("docs: {readme: README.md}\n", &[]), "docs").line, 5);
    accepts(&pack("docs: {readme: README.md}\n", &[("README.md", "")]));
}

#[test]
fn manifests_that_nobody_reads_are_told() {
    let own = executor("command: {argv: [ls]}\n");
    assert_eq!(
        warns(&pack("", &[("executors/a/executor.yaml", &own)]), "undeclared").file,
        "executors/a/executor.yaml"
    );
    let files =
        pack("content: {executors: e}\n", &[("e/a/executer.yaml", &own), ("e/b/executor.yaml", &own)]);
    assert_eq!(warns(&files, "odd-name").file, "e/a/executer.yaml");
    let files = pack("content: {examples: x}\n", &[("x/executors/a/executor.yaml", &own)]);
    assert!(!accepts(&files).warnings.has_rule("undeclared"));
}

#[test]
fn every_file_is_complained_about_at_once() {
    let files = pack(
        "content: {executors: e}\npermissions: [{id: telepathy, reason: x}]\n",
        &[
            (
                "e/a/executor.yaml",
                "schema_version: 1\nid: media_tools.a\nname: A\nruntime: {type: python-cli, entrypoint: x.py}\n",
            ),
            ("e/b/executor.yaml", "nonsense"),
        ],
    );
    let complaints = Contents::read(&files).unwrap_err();
    let found: Vec<(&str, u32, &str)> =
        complaints.iter().map(|one| (one.file.as_str(), one.line, one.rule)).collect();
    assert_eq!(
        found,
        [
            ("e/a/executor.yaml", 1, "missing-field"),
            ("e/a/executor.yaml", 4, "entrypoint"),
            ("e/b/executor.yaml", 1, "wrong-type"),
            ("pack.yaml", 6, "permission-id"),
        ]
    );
}

#[test]
fn a_pack_has_limits_denied() {
    let one = executor("command: {argv: [ls]}\n");
    let many: Vec<(String, String)> = (0..=MAX_COMPONENTS)
        .map(|at| {
            (format!("e/x{at}/executor.yaml"), one.replace("media_tools.cut", &format!("media_tools.x{at}")))
        })
        .collect();
    let borrowed: Vec<(&str, &str)> =
        many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let complaints = Contents::read(&pack("content: {executors: e}\n", &borrowed)).unwrap_err();
    assert!(complaints.has_rule("too-many"));
    accepts(&pack("content: {executors: e}\n", &borrowed[1..]));
    let padded = format!("{one}#{}\n", "x".repeat(1_000_000));
    let large: Vec<(String, String)> = (0..20)
        .map(|at| {
            (
                format!("e/x{at}/executor.yaml"),
                padded.replace("media_tools.cut", &format!("media_tools.x{at}")),
            )
        })
        .collect();
    let borrowed: Vec<(&str, &str)> =
        large.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let complaints = Contents::read(&pack("content: {executors: e}\n", &borrowed)).unwrap_err();
    assert!(complaints.has_rule("too-large"));
}

#[test]
fn aliases_of_many_small_files_are_counted_together_denied() {
    let mut bomb = "command: {argv: [ls]}\nmetadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..4 {
        let before = format!("*a{}, ", at - 1).repeat(10);
        writeln!(bomb, "  a{at}: &a{at} [{before}]").unwrap();
    }
    let bombs: Vec<(String, String)> = (0..30)
        .map(|at| {
            let text = executor(&bomb).replace("media_tools.cut", &format!("media_tools.x{at}"));
            (format!("e/x{at}/executor.yaml"), text)
        })
        .collect();
    let borrowed: Vec<(&str, &str)> =
        bombs.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let complaints = Contents::read(&pack("content: {executors: e}\n", &borrowed)).unwrap_err();
    assert!(complaints.has_rule("too-many"));
    accepts(&pack("content: {executors: e}\n", &borrowed[..10]));
    let many = format!("{CLI}inputs: [{}]\n", "{name: a}, ".repeat(1025));
    refuses(&with_executor(&many), "too-many", "executors/cut/executor.yaml");
}

proptest! {
    #[test]
    fn no_executor_panics(text in "[-:?&*!|>'\"%@`{}\\[\\], \\na-z_0-9.é]{0,120}") {
        let _ = Contents::read(&with_executor(&text));
    }

    #[test]
    fn no_names_panic(paths in proptest::collection::vec("[a-z./\\\\é]{0,20}|e/executor.yaml|e//executor.json", 0..8)) {
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "{}")).collect();
        let _ = Contents::read(&pack("content: {executors: e, elements: ., orchestrators: a, capsules: .}\n", &files));
    }
}
