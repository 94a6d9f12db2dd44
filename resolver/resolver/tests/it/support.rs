//! A home, a folder of manifests, git repositories, and a server that answers what it is told.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use astrid_resolver::context::{Clock, Context, Entropy};
use astrid_resolver::verified::Freshness;
use astrid_resolver::{Declaration, Error, Request, Target, VerifiedFleet, resolve, verify};
use astrid_store::{Disk, Home, Store};
use jiff::Timestamp;

/// The smallest component there is.
pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A clock that a test turns.
pub(crate) struct Hands(pub(crate) Mutex<Timestamp>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(0);
        Ok(())
    }
}

/// A folder with a home and a fleet in it.
pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
    pub(crate) context: Context,
    pub(crate) clock: Arc<Hands>,
}

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path().join("home"), root.path().join("packs")).unwrap();
        let disk = Disk::default();
        home.ensure(&disk).unwrap();
        let clock = Arc::new(Hands(Mutex::new("2036-01-01T00:00:00Z".parse().unwrap())));
        let store = Store::new(home.clone(), disk);
        let context = Context::new(home, store, clock.clone(), Arc::new(Zeros), "test".to_owned());
        Self { root, context, clock }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// `fleet/Distro.toml` with a header and `rest`.
    pub(crate) fn distro(&self, rest: &str) {
        self.write("fleet/Distro.toml", distro(rest));
    }

    /// `etc/policy.toml` of the home.
    pub(crate) fn home_policy(&self, text: &str) {
        fs::write(self.context.home.policy(), text).unwrap();
    }

    /// A folder with a capsule.
    pub(crate) fn capsule(&self, path: &str, name: &str, version: &str, rest: &str) {
        for (file, bytes) in capsule(name, version, rest) {
            self.write(&format!("{path}/{file}"), bytes);
        }
    }

    pub(crate) fn load(&self) -> Result<Declaration, Error> {
        let target = Target::parse("fleet", self.root.path()).unwrap();
        Declaration::load(&self.context, &target)
    }

    pub(crate) fn verified_with(
        &self,
        request: &Request,
        freshness: Freshness,
    ) -> Result<VerifiedFleet, Error> {
        let resolution = resolve(&self.context, &self.load()?, request)?;
        verify(&self.context, resolution, freshness)
    }

    pub(crate) fn verified(&self) -> Result<VerifiedFleet, Error> {
        self.verified_with(&Request::default(), Freshness::Hash)
    }

    /// Resolves, verifies, and writes the lock.
    pub(crate) fn lock(&self) -> Result<VerifiedFleet, Error> {
        let fleet = self.verified()?;
        fleet.write_lock()?;
        Ok(fleet)
    }

    pub(crate) fn lock_text(&self) -> String {
        fs::read_to_string(self.path("fleet/Distro.lock")).unwrap()
    }
}

/// A declaration with the usual header.
pub(crate) fn distro(rest: &str) -> String {
    format!("schema-version = 1\n[distro]\nid = \"demo\"\nname = \"Demo\"\nversion = \"0.1.0\"\n\n{rest}")
}

/// The files of a capsule with a component.
pub(crate) fn capsule(name: &str, version: &str, rest: &str) -> Vec<(String, Vec<u8>)> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\n\n[[component]]\nfile = \"{name}.wasm\"\n\n{rest}"
    );
    vec![
        ("Capsule.toml".to_owned(), manifest.into_bytes()),
        (format!("{name}.wasm"), COMPONENT.to_vec()),
        ("README.md".to_owned(), b"not a part of the archive".to_vec()),
    ]
}

/// The archive of a capsule.
pub(crate) fn archive(name: &str, version: &str, rest: &str) -> Vec<u8> {
    let files: Vec<astrid_store::TreeFile> = capsule(name, version, rest)
        .into_iter()
        .filter(|(path, _)| path != "README.md")
        .map(|(path, bytes)| astrid_store::TreeFile { path: path.parse().unwrap(), bytes, executable: false })
        .collect();
    astrid_store::archive::pack(&files, Some(&format!("{name}.wasm"))).unwrap()
}

/// A repository with a working folder, for making commits.
pub(crate) struct Repo {
    pub(crate) folder: PathBuf,
    repository: git2::Repository,
}

impl Repo {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head("main");
        let repository = git2::Repository::init_opts(folder, &options).unwrap();
        Self { folder: folder.to_owned(), repository }
    }

    pub(crate) fn url(&self) -> String {
        format!("git+file://{}", self.folder.display())
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn capsule(&self, path: &str, name: &str, version: &str, rest: &str) {
        for (file, bytes) in capsule(name, version, rest) {
            self.write(&format!("{path}/{file}"), bytes);
        }
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::new("a", "a@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        self.repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap().to_string()
    }

    pub(crate) fn tag(&self, name: &str) {
        let head = self.repository.head().unwrap().peel(git2::ObjectType::Commit).unwrap();
        self.repository.tag_lightweight(name, &head, true).unwrap();
    }
}

/// What a server answers for a path.
pub(crate) type Answers = BTreeMap<String, (u16, Vec<u8>)>;

/// A server on this machine that answers from a table, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) answers: Arc<Mutex<Answers>>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, seen) = (answers.clone(), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    head.push_str(&line);
                }
                let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
                seen.lock().unwrap().push(head);
                let (status, body) =
                    known.lock().unwrap().get(&path).cloned().unwrap_or_else(|| (404, b"{}".to_vec()));
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&body);
            }
        });
        Self { base, answers, requests }
    }

    pub(crate) fn answer(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.answers.lock().unwrap().insert(path.to_owned(), (200, body.into()));
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}
