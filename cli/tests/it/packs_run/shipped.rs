//! The packs of this repository that people run, installed from their folders and run.

use std::path::{Path, PathBuf};

use super::{ok, run};
use crate::env::TestEnv;

fn packs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packs")
}

fn shipped(pack: &str) -> TestEnv {
    let env = TestEnv::new();
    let folder = packs().join(pack);
    let folder = folder.to_str().unwrap();
    let valid = env.ok(&["packs", "validate", folder, "--warnings"]);
    assert!(valid.stderr.is_empty(), "{}", valid.shown());
    env.ok(&["packs", "install", folder, "--yes", "--trust", "--no-boot"]);
    env
}

/// A repository `project` in the working folder, with one commit for each subject; a subject that begins with `tag `
/// is a tag instead.
fn project(env: &TestEnv, subjects: &[&str]) {
    let repository = git2::Repository::init(env.work("project")).unwrap();
    for (at, subject) in subjects.iter().enumerate() {
        let head = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        if let Some(tag) = subject.strip_prefix("tag ") {
            repository.tag_lightweight(tag, head.unwrap().as_object(), false).unwrap();
            continue;
        }
        env.write("project/log.txt", format!("{subject}\n").repeat(at + 1));
        env.write(&format!("project/src/{at}.rs"), "fn main() {}\n");
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let when = git2::Time::new(1_767_312_000 + 2_000_000 * i64::try_from(at).unwrap(), 0);
        let who = git2::Signature::new("Ada", "ada@example.org", &when).unwrap();
        let parents: Vec<&git2::Commit<'_>> = head.iter().collect();
        repository.commit(Some("HEAD"), &who, &who, subject, &tree, &parents).unwrap();
    }
}

const PEOPLE: &str = "name,age,city\nAda,36,Paris\nBen,29,Rome\nCleo,41,\"Paris, Texas\"\nDan,,\n";

#[test]
fn text_tables_convert_there_and_back() {
    let env = shipped("text_tables");
    env.write("people.csv", PEOPLE);
    ok(&env, &["text_tables.convert", "source=people.csv", "to=json"]);
    let json: serde_json::Value = serde_json::from_str(&env.read("people.csv.json")).unwrap();
    assert_eq!(json[2], serde_json::json!({ "name": "Cleo", "age": 41, "city": "Paris, Texas" }));
    assert_eq!(json[3], serde_json::json!({ "name": "Dan", "age": "", "city": "" }));
    for (from, to) in
        [("people.csv.json", "jsonl"), ("people.csv.json.jsonl", "tsv"), ("people.csv.json.jsonl.tsv", "md")]
    {
        ok(&env, &["text_tables.convert", &format!("source={from}"), &format!("to={to}")]);
    }
    ok(&env, &["text_tables.convert", "source=people.csv.json.jsonl.tsv.md", "to=csv", "result=back.csv"]);
    assert_eq!(env.read("back.csv"), PEOPLE);
    insta::assert_snapshot!("text-tables-markdown", env.read("people.csv.json.jsonl.tsv.md"));
}

#[test]
fn text_tables_query_and_summarise() {
    let env = shipped("text_tables");
    env.write("people.csv", PEOPLE);
    let ran = ok(
        &env,
        &[
            "text_tables.query",
            "source=people.csv",
            "where=age>=30 and city~PAR",
            "sort=-age",
            "select=name,age",
            "to=csv",
        ],
    );
    assert_eq!(ran.stdout, "name,age\nCleo,41\nAda,36\n");
    let ran = ok(&env, &["text_tables.query", "source=people.csv", "sort=name", "limit=1", "to=jsonl"]);
    assert_eq!(ran.stdout, "{\"name\": \"Ada\", \"age\": 36, \"city\": \"Paris\"}\n");
    let summary: serde_json::Value =
        serde_json::from_str(&ok(&env, &["text_tables.summary", "source=people.csv"]).stdout).unwrap();
    assert_eq!(summary["rows"], 4);
    assert_eq!(
        summary["columns"]["age"],
        serde_json::json!({ "values": 3, "empty": 1, "distinct": 3, "min": 29, "max": 41, "mean": 35.333_333 })
    );
}

#[test]
fn text_tables_refuse_what_they_can_not_read_denied() {
    let env = shipped("text_tables");
    env.write("people.csv", PEOPLE);
    env.write("broken.json", "{");
    env.write("wide.csv", "a\n1,2\n");
    for (arguments, message) in [
        (&["text_tables.query", "source=people.csv", "where=size>3"][..], "there is no column `size`"),
        (&["text_tables.query", "source=people.csv", "where=nonsense"], "is no condition"),
        (&["text_tables.query", "source=people.csv", "to=xlsx"], "is no format"),
        (&["text_tables.summary", "source=broken.json"], "can't be read as json"),
        (&["text_tables.summary", "source=wide.csv"], "row 2 has 2 values"),
    ] {
        let ran = run(&env, arguments);
        assert_eq!(ran.code, 2, "{}", ran.shown());
        assert!(ran.stderr.contains(message), "{}", ran.shown());
    }
}

#[test]
fn repo_report_says_what_a_repository_is_like() {
    let env = shipped("repo_report");
    project(&env, &["feat: one", "fix: two", "docs: three"]);
    let ran = ok(&env, &["repo_report.history", "repository=project"]);
    insta::assert_snapshot!("repo-report-history", ran.stdout);
    let ran = ok(&env, &["repo_report.size", "repository=project", "top=2"]);
    insta::assert_snapshot!("repo-report-size", ran.stdout);
    ok(
        &env,
        &[
            "repo_report.history",
            "repository=project",
            "since=2026-01-20",
            "format=json",
            "report=out/history.json",
        ],
    );
    let report: serde_json::Value = serde_json::from_str(&env.read("out/history.json")).unwrap();
    assert_eq!((&report["commits"], &report["authors"][0]["author"]), (&2.into(), &"Ada".into()));
    let ran = run(&env, &["repo_report.size", "repository=out"]);
    assert!(ran.code == 2 && ran.stderr.contains("not a git repository"), "{}", ran.shown());
}

#[test]
fn repo_report_runs_isolated() {
    let env = shipped("repo_report");
    project(&env, &["feat: one"]);
    let ran = run(&env, &["repo_report.history", "repository=project", "--isolate"]);
    assert!(
        ran.stdout.contains("1 commits") || ran.stderr.contains("can't be kept on this machine"),
        "{}",
        ran.shown()
    );
}

#[test]
fn release_notes_group_the_commits_since_the_last_tag() {
    let env = shipped("release_notes");
    project(
        &env,
        &[
            "feat: before",
            "tag v1.0.0",
            "feat: more rows",
            "fix(cli): less noise",
            "parser: quotes",
            "feat!: other names",
            "Sort them",
            "docs: say so",
        ],
    );
    let ran = ok(&env, &["release_notes.notes", "repository=project", "title=1.1.0"]);
    assert!(ran.stdout.starts_with("commits after v1.0.0 up to HEAD\n"), "{}", ran.shown());
    let hash = regex::Regex::new(r"\([0-9a-f]{7,}\)").unwrap();
    insta::assert_snapshot!("release-notes", hash.replace_all(&env.read("RELEASE_NOTES.md"), "([COMMIT])"));
    ok(&env, &["release_notes.notes", "repository=project", "to=v1.0.0", "notes=first.md"]);
    assert!(env.read("first.md").contains("* before ("));
}

#[test]
fn release_notes_of_what_is_not_there_are_refused_denied() {
    let env = shipped("release_notes");
    project(&env, &["feat: one"]);
    let ran = run(&env, &["release_notes.notes", "repository=project", "from=v9"]);
    assert_eq!(ran.code, 2, "{}", ran.shown());
    assert!(
        ran.stderr.contains("there is no commit `v9`") && !env.work("RELEASE_NOTES.md").exists(),
        "{}",
        ran.shown()
    );
}
