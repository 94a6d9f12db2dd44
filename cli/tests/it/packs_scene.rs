//! Packs in folders, repositories, archives and indexes, and a look at everything that a run could have changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::GzBuilder;
use regex::Regex;

use crate::env::{Ran, TestEnv};

/// The permission that most packs here declare.
pub(crate) const NETWORK: &str =
    "  - id: network\n    reason: Calls an API\n    services: [api.example.org]\n";
/// Another one.
pub(crate) const ENVIRONMENT: &str = "  - id: environment\n    reason: Reads API_KEY\n";

/// The files of a pack `tools` with one executor that reads a secret.
pub(crate) fn files(version: &str, permissions: &str) -> Vec<(String, String)> {
    let permissions =
        if permissions.is_empty() { String::new() } else { format!("permissions:\n{permissions}") };
    let manifest = format!(
        "schema_version: 1\nid: tools\nname: Tools\nversion: {version}\ndescription: Greets people.\n\
         content: {{executors: executors}}\nkeywords: [greeting]\n\
         agent: {{purpose: To greet people, normal_entrypoints: [tools.hello], do_not_use_for: Farewells}}\n\
         dependencies: {{system: [sh]}}\ndocs: {{readme: README.md}}\n{permissions}"
    );
    let executor = "schema_version: 1\nid: tools.hello\nname: Hello\nversion: 1.0.0\ndescription: Says hello\n\
                    command: {argv: [sh, run.sh]}\nsecrets: [{name: API_KEY, required: true, description: For the API}]\n";
    vec![
        ("pack.yaml".to_owned(), manifest),
        ("README.md".to_owned(), "# Tools\n".to_owned()),
        ("executors/hello/executor.yaml".to_owned(), executor.to_owned()),
        ("executors/hello/run.sh".to_owned(), "echo hello\n".to_owned()),
        ("executors/hello/STAGE.md".to_owned(), "# Hello\n\nSays it.\n\n## More\n\nNo.\n".to_owned()),
    ]
}

/// Writes the pack into a folder of the working folder.
pub(crate) fn pack(env: &TestEnv, folder: &str, version: &str, permissions: &str) {
    for (path, text) in files(version, permissions) {
        env.write(&format!("{folder}/{path}"), text);
    }
}

/// Installs the pack of the folder `tools` without being asked.
pub(crate) fn install(env: &TestEnv) -> Ran {
    env.ok(&["packs", "install", "./tools", "--yes", "--trust", "--no-boot"])
}

/// The record of an installed pack.
pub(crate) fn record(env: &TestEnv, id: &str) -> serde_json::Value {
    let path = env.path(&format!("data/astrid/packs/{id}/.astrid/install.json"));
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .unwrap()
}

/// The content digest that a dry run prints.
pub(crate) fn digest(env: &TestEnv, source: &str) -> String {
    let ran = env.ok(&["packs", "install", source, "--dry-run", "--json"]);
    ran.json()["packs"][0]["content_digest"].as_str().unwrap().to_owned()
}

/// Every file below the environment's folder: home, packs, working folder, and what was left for a while.
pub(crate) fn everything(env: &TestEnv) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![env.path(".")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let bytes = if kind.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if kind.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap_or_default()
            };
            found.insert(path, bytes);
        }
    }
    found
}

/// Fails when something is other than it was.
#[track_caller]
pub(crate) fn unchanged(env: &TestEnv, before: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let after = everything(env);
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let other = after.iter().filter(|(path, bytes)| before.get(*path).is_some_and(|was| was != *bytes));
    let all: Vec<&PathBuf> = new.chain(gone).chain(other.map(|(path, _)| path)).collect();
    assert!(all.is_empty(), "{what} changed {all:?}");
}

/// A text without what differs from commit to commit.
pub(crate) fn filtered(env: &TestEnv, text: &str) -> String {
    let commit = Regex::new(r"\b[0-9a-f]{40}\b").unwrap();
    let short = Regex::new(r"\b[0-9a-f]{8} \(\[COMMIT\]\)").unwrap();
    let moved = Regex::new(r"(?m)^(Commit: +)[0-9a-f]{8} → [0-9a-f]{8}$").unwrap();
    let text = env.filtered(text);
    let text = commit.replace_all(&text, "[COMMIT]");
    let text = short.replace_all(&text, "[8] ([COMMIT])");
    moved.replace_all(&text, "${1}[8] → [8]").into_owned()
}

/// A repository `repo` of the environment.
pub(crate) struct Repo<'a> {
    env: &'a TestEnv,
    repository: git2::Repository,
}

impl<'a> Repo<'a> {
    pub(crate) fn new(env: &'a TestEnv) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head("main").mkpath(true);
        let repository = git2::Repository::init_opts(env.path("repo"), &options).unwrap();
        Self { env, repository }
    }

    /// Its address, with a reference behind it.
    pub(crate) fn url(&self, reference: &str) -> String {
        format!("git+file://{}{reference}", self.env.path("repo").display())
    }

    /// Commits all of its files on the branch that is checked out.
    pub(crate) fn commit(&self) -> String {
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::new("Ada", "ada@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        self.repository.commit(Some("HEAD"), &who, &who, "a change", &tree, &parents).unwrap().to_string()
    }

    /// Commits a version of the pack `tools` in a folder of the repository; the root when it is empty.
    pub(crate) fn release(&self, folder: &str, version: &str, permissions: &str) -> String {
        let folder = if folder.is_empty() { "../repo".to_owned() } else { format!("../repo/{folder}") };
        pack(self.env, &folder, version, permissions);
        self.commit()
    }

    pub(crate) fn tag(&self, name: &str) {
        let head = self.repository.head().unwrap().peel(git2::ObjectType::Commit).unwrap();
        self.repository.tag_lightweight(name, &head, true).unwrap();
    }

    pub(crate) fn branch(&self, name: &str) {
        let head = self.repository.head().unwrap().peel_to_commit().unwrap();
        self.repository.branch(name, &head, true).unwrap();
    }
}

/// A gzipped tar of plain files, byte for byte the same each time.
pub(crate) fn archive(path: &Path, files: &[(String, String)]) {
    let mut out = Vec::new();
    for (name, text) in files {
        let mut head = [0_u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        for (at, field) in
            [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")]
        {
            head[at..at + field.len()].copy_from_slice(field.as_bytes());
        }
        head[124..136].copy_from_slice(format!("{:011o}\0", text.len()).as_bytes());
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        head[148..156].fill(b' ');
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(head);
        out.extend(text.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    let mut zipped = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    zipped.write_all(&out).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, zipped.finish().unwrap()).unwrap();
}

/// Adds a version of the pack `tools` to the index in the folder `index` of the working folder.
pub(crate) fn publish(env: &TestEnv, version: &str, permissions: &str) {
    let name = format!("archives/tools-{version}.tar.gz");
    let file = env.work("index").join(&name);
    archive(&file, &files(version, permissions));
    let digest = astrid_authority::Digest::of(&fs::read(&file).unwrap());
    let lines = env.work("index/pack/tools.jsonl");
    fs::create_dir_all(lines.parent().unwrap()).unwrap();
    let mut text = fs::read_to_string(&lines).unwrap_or_default();
    let line = serde_json::json!({ "version": version, "archive": name, "blake3": digest });
    text.push_str(&line.to_string());
    text.push('\n');
    fs::write(lines, text).unwrap();
}
