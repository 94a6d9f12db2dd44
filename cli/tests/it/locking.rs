//! What is pinned, when that moves, and what a run may touch: `lock`, `fetch`, `update`, `--offline`, `--frozen`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::env::{Ran, TestEnv, astrid_snapshot};

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

/// A repository `repo` of the working folder, with one capsule and a tag for each of its versions.
struct Repo<'a> {
    env: &'a TestEnv,
    repository: git2::Repository,
}

impl<'a> Repo<'a> {
    fn new(env: &'a TestEnv) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head("main").mkpath(true);
        let repository = git2::Repository::init_opts(env.path("repo"), &options).unwrap();
        Self { env, repository }
    }

    fn release(&self, version: &str, extra: &str) {
        self.env.capsule("../repo", "notes", version, extra);
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::new("a", "a@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let commit = self.repository.commit(Some("HEAD"), &who, &who, version, &tree, &parents).unwrap();
        let commit = self.repository.find_object(commit, None).unwrap();
        self.repository.tag_lightweight(&format!("v{version}"), &commit, false).unwrap();
    }

    /// A distro that takes the newest 1.x of it.
    fn declare(&self) {
        self.env.distro(&format!(
            "\n[[capsule]]\nname = \"notes\"\nsource = \"git+file://{}\"\nversion = \"1\"\n",
            self.env.path("repo").display()
        ));
    }
}

/// A machine where 1.0.0 is locked and 1.1.0 is there too.
fn behind(env: &TestEnv) -> Repo<'_> {
    let repo = Repo::new(env);
    repo.release("1.0.0", "");
    repo.declare();
    env.ok(&["lock"]);
    repo.release("1.1.0", "");
    repo
}

fn locked(env: &TestEnv, version: &str) -> bool {
    env.read("Distro.lock").contains(&format!("\nversion = \"{version}\"\nsource = "))
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_locked_version_stays_until_an_upgrade_is_asked_for() {
    let env = TestEnv::new();
    let _repo = behind(&env);
    env.ok(&["lock"]);
    assert!(locked(&env, "1.0.0"), "{}", env.read("Distro.lock"));
    fs::copy(env.work("Distro.lock"), env.work("before.lock")).unwrap();
    astrid_snapshot!("upgrade-dry-run", env, ["lock", "--upgrade", "--dry-run"]);
    let dry = env.ok(&["lock", "--upgrade", "notes", "--dry-run", "--json"]).json();
    assert_eq!(dry["written"], false);
    assert_eq!(dry["dry_run"], true);
    assert_eq!(dry["changes"][0]["subject"], "capsule:notes");
    assert_eq!(dry["changes"][0]["before"]["version"], "1.0.0");
    assert_eq!(dry["changes"][0]["after"]["version"], "1.1.0");
    assert!(locked(&env, "1.0.0"), "`--dry-run` wrote Distro.lock");
    astrid_snapshot!("upgrade", env, ["lock", "--upgrade", "notes"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
    astrid_snapshot!("diff-of-locks", env, ["lock", "diff", "before.lock", "Distro.lock"]);
    assert_eq!(env.astrid(&["lock", "diff", "before.lock", "--detailed-exitcode"]).code, 2);
    assert_eq!(env.astrid(&["lock", "diff", "Distro.lock", "--detailed-exitcode"]).code, 0);
    let again = env.ok(&["lock", "--upgrade", "--json"]).json();
    assert_eq!(again["written"], false);
    assert_eq!(again["changes"], serde_json::json!([]));
}

#[test]
fn a_name_that_nothing_has_is_not_upgraded_denied() {
    let env = TestEnv::new();
    let _repo = behind(&env);
    let before = env.read("Distro.lock");
    let ran = astrid_snapshot!("upgrade-unknown", env, ["lock", "--upgrade", "ntoes"]);
    assert_eq!(ran.code, 1);
    for arguments in [
        &["lock", "--upgrade", "ntoes", "--dry-run"][..],
        &["lock", "--upgrade", "pack:notes"],
        &["update", "ntoes", "--no-apply"],
        &["update", "ntoes", "--yes", "--trust", "--no-boot"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}\n{}", ran.shown());
    }
    assert_eq!(env.read("Distro.lock"), before);
    env.ok(&["lock", "--upgrade", "capsule:notes"]);
    assert!(locked(&env, "1.1.0"));
}

#[test]
fn update_takes_what_is_newer_and_applies_it() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    repo.release("1.0.0", "");
    repo.declare();
    env.ok(&APPLY);
    repo.release("1.1.0", "");
    assert_eq!(env.astrid(&["plan", "--detailed-exitcode"]).code, 0, "a plan upgrades nothing");
    env.ok(&["update", "notes", "--yes", "--trust", "--no-boot"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
    let generations = env.ok(&["generations", "--json"]).json();
    assert_eq!(generations["generations"].as_array().unwrap().len(), 2);
    let same = env.ok(&["lock", "diff"]);
    assert_eq!(same.stdout, "the locks are the same\n");
    let again = env.ok(&["update", "--all", "--yes", "--trust", "--no-boot"]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.shown());

    repo.release("1.2.0", "");
    astrid_snapshot!("update-only-the-lock", env, ["update", "--all", "--no-apply"]);
    astrid_snapshot!("update-only-the-lock-again", env, ["update", "notes", "--no-apply"]);
    assert!(locked(&env, "1.2.0"), "{}", env.read("Distro.lock"));
    let ran = astrid_snapshot!("diff-to-the-generation", env, ["lock", "diff", "--detailed-exitcode"]);
    assert_eq!(ran.code, 2);
}

// contract: SEC-CAP-07
#[test]
fn an_update_that_wants_more_needs_trust_denied() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    repo.release("1.0.0", "");
    repo.declare();
    env.ok(&APPLY);
    let before = env.read("Distro.lock");
    repo.release("1.1.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    let ran = env.astrid(&["update", "notes", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert_eq!(env.read("Distro.lock"), before, "a refused update moved the lock");
    assert_eq!(env.ok(&["generations", "--json"]).json()["generations"].as_array().unwrap().len(), 1);
    env.ok(&["update", "notes", "--yes", "--trust", "--no-boot"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
}

/// Builds a version into the index and returns its line.
fn offered(env: &TestEnv, version: &str, extra: &str) -> String {
    env.capsule("source", "notes", version, "");
    let archive = format!("archives/{version}/notes.capsule");
    let built = env.ok(&["capsule", "build", "source", "-o", &format!("index/archives/{version}"), "--json"]);
    let digest = built.json()["archive"].as_str().unwrap().to_owned();
    format!("{{\"version\":\"{version}\",\"archive\":\"{archive}\",\"blake3\":\"{digest}\"{extra}}}\n")
}

#[test]
fn an_index_in_a_folder_is_updated_from() {
    let env = TestEnv::new();
    let mut lines = offered(&env, "1.0.0", "");
    env.write("index/capsule/notes.jsonl", &lines);
    env.distro(
        "\n[[index]]\nname = \"house\"\nurl = \"./index\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"index:house/notes\"\nversion = \"^1\"\n",
    );
    env.ok(&APPLY);
    lines += &offered(&env, "1.1.0", "");
    lines += &offered(&env, "1.2.0", ",\"yanked\":true");
    lines += &offered(&env, "2.0.0", "");
    env.write("index/capsule/notes.jsonl", &lines);
    env.ok(&["update", "notes", "--yes", "--trust", "--no-boot"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
}

#[test]
fn an_archive_that_is_not_what_the_index_says_denied() {
    let env = TestEnv::new();
    let line = offered(&env, "1.0.0", "");
    env.write("index/capsule/notes.jsonl", line);
    env.write("index/archives/1.0.0/notes.capsule", "something else");
    env.distro(
        "\n[[index]]\nname = \"house\"\nurl = \"./index\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"index:house/notes\"\nversion = \"^1\"\n",
    );
    let ran = env.astrid(&["lock"]);
    assert_eq!(ran.code, 84, "{}", ran.shown());
    assert!(!env.work("Distro.lock").exists());
}

#[test]
fn a_stale_lock_names_the_line() {
    let env = TestEnv::new();
    let _repo = behind(&env);
    env.ok(&["lock", "--check"]);
    let fresh = env.read("Distro.toml");
    env.write("Distro.toml", fresh.replace("version = \"1\"", "version = \"1.1\""));
    let ran = astrid_snapshot!("stale-version", env, ["lock", "--check"]);
    assert_eq!(ran.code, 80);
    let line = 1 + fresh.lines().position(|line| line == "version = \"1\"").unwrap();
    assert!(ran.stderr.contains(&format!("Distro.toml:{line}: ")), "{}", ran.shown());
    let told = env.astrid(&["lock", "--check", "--json"]);
    assert_eq!(told.json()["error"]["kind"], "stale-lock", "{}", told.shown());
    for arguments in [&["fetch"][..], &["plan", "--locked"], &["apply", "--frozen", "--yes", "--no-boot"]] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 80, "{arguments:?}\n{}", ran.shown());
    }
    env.ok(&["lock"]);
    env.ok(&["lock", "--check"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
    fs::remove_file(env.work("Distro.lock")).unwrap();
    let ran = astrid_snapshot!("stale-missing", env, ["lock", "--check"]);
    assert_eq!(ran.code, 80);
}

#[test]
fn what_was_fetched_needs_its_source_no_more() {
    let env = TestEnv::new();
    let _repo = behind(&env);
    let other = env.path("other-home");
    let there = |arguments: &[&str]| -> Ran { env.run(arguments).variable("ASTRID_HOME", &other).go() };
    let fetched = there(&["fetch", "--json"]);
    assert_eq!(fetched.code, 0, "{}", fetched.shown());
    assert_eq!(fetched.json()["capsules"], 1);
    assert!(!other.join("generations").exists(), "`fetch` made a generation");
    fs::rename(env.path("repo"), env.path("gone")).unwrap();
    for arguments in [
        &["fetch", "--frozen"][..],
        &["plan", "--frozen"],
        &["apply", "--frozen", "--yes", "--trust", "--no-boot"],
    ] {
        let ran = there(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}\n{}", ran.shown());
    }
    // A home that has none of the bytes can't go on without the repository.
    let ran = env.run(&["plan", "--frozen"]).variable("ASTRID_HOME", env.path("third-home")).go();
    assert_eq!(ran.code, 1, "{}", ran.shown());
}

#[test]
fn fetch_writes_no_lock() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["fetch"]);
    assert!(!env.work("Distro.lock").exists());
}

#[test]
fn offline_asks_nobody_denied() {
    let env = TestEnv::new();
    env.distro(
        "\n[[capsule]]\nname = \"far\"\nsource = \"git+https://packs.invalid/far\"\nversion = \"1\"\n",
    );
    for arguments in [
        &["lock", "--offline"][..],
        &["fetch", "--offline"],
        &["update", "--all", "--no-apply", "--offline"],
        &["apply", "--offline", "--yes", "--trust", "--no-boot"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 81, "{arguments:?}\n{}", ran.shown());
        assert!(ran.stderr.contains("Distro.toml:"), "{}", ran.shown());
        assert!(ran.stderr.contains("hint: "), "{}", ran.shown());
    }
    assert!(!env.work("Distro.lock").exists());
    // What is on this machine is no network.
    let _repo = behind(&env);
    env.ok(&["lock", "--upgrade", "--offline"]);
    assert!(locked(&env, "1.1.0"), "{}", env.read("Distro.lock"));
}

#[test]
fn frozen_writes_nothing_in_the_repository_denied() {
    let env = TestEnv::new();
    let _repo = behind(&env);
    env.capsule("clock", "clock", "1.0.0", "");
    fs::create_dir(env.path("empty")).unwrap();
    let before = files(&env.work(""));
    for arguments in [
        &["lock", "--frozen"][..],
        &["lock", "--upgrade", "--frozen"],
        &["lock", "--upgrade", "--dry-run", "--frozen"],
        &["update", "--all", "--no-apply", "--frozen"],
        &["update", "notes", "--frozen", "--yes", "--trust", "--no-boot"],
        &["add", "./clock", "--no-apply", "--frozen"],
        &["add", "./clock", "--frozen", "--yes", "--trust", "--no-boot"],
        &["remove", "notes", "--no-apply", "--frozen"],
        &["trust", "ack", "--trust", "--frozen"],
        &["-C", "../empty", "init", "--here", "--frozen"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 81, "{arguments:?}\n{}", ran.shown());
        assert!(ran.stderr.contains("hint: "), "{arguments:?}\n{}", ran.shown());
        assert!(files(&env.work("")) == before, "{arguments:?} changed the repository");
    }
    assert!(files(&env.path("empty")).is_empty());
    for arguments in [
        &["lock", "--check", "--frozen"][..],
        &["fetch", "--frozen"],
        &["validate", "--frozen"],
        &["plan", "--frozen"],
        &["apply", "--frozen", "--yes", "--trust", "--no-boot"],
        &["status", "--frozen"],
    ] {
        env.ok(arguments);
        assert!(files(&env.work("")) == before, "{arguments:?} changed the repository");
    }
}

#[test]
fn a_capsule_is_built_twice_into_the_same_bytes() {
    let env = TestEnv::new();
    env.capsule("notes", "notes", "1.0.0", "");
    env.ok(&["capsule", "build", "notes", "-o", "first"]);
    // Neither the place nor the time of the files, nor an earlier result beside them, is in it.
    env.capsule("elsewhere/copy", "notes", "1.0.0", "");
    env.ok(&["capsule", "build", "elsewhere/copy", "-o", "second"]);
    let first = fs::read(env.work("first/notes.capsule")).unwrap();
    assert!(first == fs::read(env.work("second/notes.capsule")).unwrap());
    for _ in 0..2 {
        env.ok(&["capsule", "build", "notes"]);
        assert!(first == fs::read(env.work("notes/dist/notes.capsule")).unwrap());
    }
    env.capsule("notes", "notes", "1.0.1", "");
    env.ok(&["capsule", "build", "notes"]);
    assert!(first != fs::read(env.work("notes/dist/notes.capsule")).unwrap());
}

#[test]
fn a_folder_without_a_capsule_is_not_built_denied() {
    let env = TestEnv::new();
    fs::create_dir(env.work("empty")).unwrap();
    let ran = env.astrid(&["capsule", "build", "empty"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    assert!(files(&env.work("empty")).is_empty());
}

#[test]
fn a_reader_that_takes_one_line_is_no_fault() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&APPLY);
    let mut entries = String::new();
    for index in 0..200 {
        env.capsule(&format!("c{index}"), &format!("c{index}"), "1.0.0", "");
        write!(entries, "\n[[capsule]]\nname = \"c{index}\"\nsource = \"./c{index}\"\nversion = \"1.0.0\"\n")
            .unwrap();
    }
    env.distro(&entries);
    env.ok(&["lock"]);
    // More than a pipe takes at once, so that the program does meet the closed end.
    assert!(env.ok(&["lock", "diff", "--json"]).stdout.len() > 1 << 16);
    for (line, code) in
        [("status", 0), ("plan", 0), ("lock diff --json", 0), ("lock diff --json --detailed-exitcode", 2)]
    {
        let ran = env.shell(&format!("{{ astrid {line}; echo $? >code; }} | head -n 1"));
        assert_eq!(env.read("code"), format!("{code}\n"), "{line}\n{}", ran.shown());
        assert!(!ran.stdout.contains("panic") && !ran.stdout.contains("fault"), "{line}\n{}", ran.shown());
    }
}

#[test]
fn pipes_get_no_colours() {
    let env = TestEnv::new();
    let repo = behind(&env);
    let escape = '\u{1b}';
    for arguments in [
        &["lock", "--upgrade", "--dry-run"][..],
        &["lock", "diff"],
        &["plan"],
        &["apply", "--yes", "--no-boot"],
        &APPLY,
        &["status"],
        &["tree"],
        &["generations"],
        &["update", "--all", "--yes", "--trust", "--no-boot"],
        &["lock", "--upgrade", "nobody"],
        &["capsule", "build", "nowhere"],
    ] {
        let ran = env.run(arguments).variable("COLORTERM", "truecolor").go();
        assert!(!ran.stdout.contains(escape), "{arguments:?}\n{}", ran.shown());
        assert!(!ran.stderr.contains(escape), "{arguments:?}\n{}", ran.shown());
    }
    repo.release("1.2.0", "");
    let asked = env.ok(&["lock", "--upgrade", "--dry-run", "--color", "always"]);
    assert!(asked.stdout.contains(escape), "{}", asked.shown());
    let data = env.ok(&["lock", "--upgrade", "--dry-run", "--color", "always", "--json"]);
    assert!(!data.stdout.contains(escape), "{}", data.shown());
}
