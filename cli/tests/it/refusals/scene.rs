//! A machine with an artifact, and a look at all of its files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_hermetic_sigstore::{Claims, Sigstore, sha256};
use astrid_provenance::SigningKey;
use serde_json::json;

use crate::env::{Ran, Run, TestEnv};

/// The issuer of GitHub's workflows.
pub(crate) const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The type of SLSA provenance.
pub(crate) const SLSA: &str = "https://slsa.dev/provenance/v1";
/// The builder that [`slsa`] names.
pub(crate) const BUILDER: &str = "https://github.com/actions/runner/github-hosted";

/// The workflow that signs.
pub(crate) fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

/// SLSA provenance of some bytes.
pub(crate) fn slsa(bytes: &[u8]) -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "fs.capsule", "digest": { "sha256": Digest::from_bytes(sha256(bytes)).hex() } }],
        "predicateType": SLSA,
        "predicate": { "runDetails": { "builder": { "id": BUILDER } } },
    })
    .to_string()
}

/// A key of ours, the same for the same number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32].into())
}

/// The text of its public half.
pub(crate) fn public(number: u8) -> String {
    key(number).public().to_string()
}

/// Writes a file that only its owner may read.
pub(crate) fn private(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes `etc/policy.toml` of the home.
pub(crate) fn policy(env: &TestEnv, text: &str) {
    fs::create_dir_all(env.home("etc")).unwrap();
    fs::write(env.home("etc/policy.toml"), text).unwrap();
}

/// One file, folder or other thing, with its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    Folder(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
    Other(u32),
}

/// Everything below a folder, by its path from there. Nothing is followed.
pub(crate) fn everything(root: &Path) -> BTreeMap<PathBuf, Thing> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let mode = about.permissions().mode();
            let kind = about.file_type();
            let thing = if kind.is_dir() {
                open.push(path.clone());
                Thing::Folder(mode)
            } else if kind.is_symlink() {
                Thing::Link(fs::read_link(&path).unwrap())
            } else if kind.is_file() {
                Thing::File(mode, fs::read(&path).unwrap())
            } else {
                assert!(kind.is_fifo() || kind.is_socket(), "{}", path.display());
                Thing::Other(mode)
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), thing);
        }
    }
    found
}

/// What differs between two looks, a line for each path.
pub(crate) fn differences(
    before: &BTreeMap<PathBuf, Thing>,
    after: &BTreeMap<PathBuf, Thing>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, thing) in after {
        match before.get(path) {
            None => lines.push(format!("+ {}", path.display())),
            Some(old) if old != thing => lines.push(format!("~ {}", path.display())),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    lines.extend(gone.map(|path| format!("- {}", path.display())));
    lines
}

/// What a refusal may leave on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Nothing.
    Nothing,
    /// Notes below `var/` that only save time: each is checked again before it is believed.
    Notes,
}

/// Runs what must be refused; the machine is byte for byte as before, or the test fails.
#[track_caller]
pub(crate) fn refused(env: &TestEnv, name: &str, arguments: &[&str], code: i32, says: &[&str]) -> Ran {
    refused_but(env, name, arguments, Leaves::Nothing, code, says)
}

/// As [`refused`], of what asks others, and notes what they said.
#[track_caller]
pub(crate) fn refused_fleet(env: &TestEnv, name: &str, arguments: &[&str], code: i32, says: &[&str]) -> Ran {
    refused_but(env, name, arguments, Leaves::Notes, code, says)
}

/// As [`refused`], of what may leave something.
#[track_caller]
pub(crate) fn refused_but(
    env: &TestEnv,
    name: &str,
    arguments: &[&str],
    leaves: Leaves,
    code: i32,
    says: &[&str],
) -> Ran {
    let (ran, wrong) = refusal(env, arguments, leaves, code, says);
    assert!(wrong.is_empty(), "{name}: {}\n{}", wrong.join("\n"), ran.shown());
    ran
}

/// Runs what must be refused, and says what is wrong with how it was.
pub(crate) fn refusal(
    env: &TestEnv,
    arguments: &[&str],
    leaves: Leaves,
    code: i32,
    says: &[&str],
) -> (Ran, Vec<String>) {
    refusal_of(env, env.run(arguments), leaves, code, says)
}

/// As [`refusal`], of a run that was made ready.
pub(crate) fn refusal_of(
    env: &TestEnv,
    run: Run<'_>,
    leaves: Leaves,
    code: i32,
    says: &[&str],
) -> (Ran, Vec<String>) {
    let mut before = everything(&env.path(""));
    let ran = run.go();
    let mut after = everything(&env.path(""));
    if leaves == Leaves::Notes {
        before.retain(|path, thing| !is_note(path, thing));
        after.retain(|path, thing| !is_note(path, thing));
    }
    let mut wrong = differences(&before, &after);
    wrong.extend(judged(&ran, code, says));
    (ran, wrong)
}

/// Notes below `var/` of the home that only save time.
const NOTES: [&str; 3] = ["home/var/brought", "home/var/verified-signatures", "home/var/cache"];

fn is_note(path: &Path, thing: &Thing) -> bool {
    NOTES.iter().any(|note| path.starts_with(note)) && matches!(thing, Thing::Folder(_) | Thing::File(..))
}

fn judged(ran: &Ran, code: i32, says: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    if ran.code != code {
        wrong.push(format!("it ends with {} and not with {code}", ran.code));
    }
    let missing = says.iter().filter(|words| !ran.stderr.contains(**words));
    wrong.extend(missing.map(|words| format!("it does not say `{words}`")));
    if !ran.stderr.starts_with("error: ") && !ran.stderr.contains("\nerror: ") {
        wrong.push("it says no error".to_owned());
    }
    wrong
}

/// A machine whose home believes a Sigstore of its own, with a packed capsule `fs.capsule`.
pub(crate) struct Scene {
    pub(crate) env: TestEnv,
    pub(crate) sigstore: Sigstore,
    pub(crate) bytes: Vec<u8>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let env = TestEnv::new();
        let sigstore = Sigstore::default();
        env.write("root.json", sigstore.trusted_root());
        env.ok(&["trust", "root", "set", "root.json"]);
        env.capsule("src", "fs", "1.2.0", "");
        env.ok(&["capsule", "build", "src", "-o", "."]);
        let packed = fs::read_dir(env.work(""))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "capsule"))
            .unwrap();
        fs::rename(packed, env.work("fs.capsule")).unwrap();
        fs::remove_dir_all(env.work("src")).unwrap();
        let bytes = fs::read(env.work("fs.capsule")).unwrap();
        private(&env.work("release.key"), &[7; 32]);
        private(&env.work("other.key"), &[8; 32]);
        Self { env, sigstore, bytes }
    }

    /// The bundle of the workflow over the artifact.
    pub(crate) fn blob(&self) -> String {
        self.sigstore.sign_blob(&claims(), &self.bytes)
    }

    /// The SLSA provenance of the artifact, by the workflow.
    pub(crate) fn attestation(&self) -> String {
        self.sigstore.sign_statement(&claims(), &slsa(&self.bytes))
    }
}
