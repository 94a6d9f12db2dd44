//! A release on a socket of this machine, and a repository of git: what comes from elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use astrid_hermetic_sigstore::service::{Answer, Service};
use serde_json::json;

use super::scene::{Scene, claims};
use crate::env::{Run, TestEnv};

/// Files by the path that they are asked for at.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A machine with a distro of `@acme/fs`, and a server that has it.
pub(crate) struct Release {
    pub(crate) scene: Scene,
    files: Files,
    server: Service,
}

impl Release {
    pub(crate) fn new() -> Self {
        let scene = Scene::new();
        let files = Files::default();
        let offered = files.clone();
        let server = Service::start_changed(
            astrid_hermetic_sigstore::Sigstore::default(),
            claims(),
            Box::new(move |request, answer| match offered.lock().unwrap().get(&request.path) {
                Some(bytes) => Answer::new(200, bytes.clone()),
                None => answer,
            }),
        );
        scene.env.distro("\n[[capsule]]\nname = \"fs\"\nsource = \"@acme/fs\"\ntag = \"v1.2.0\"\n");
        let release = Self { scene, files, server };
        release.offers(None);
        release
    }

    /// The release has the capsule, and perhaps a bundle.
    pub(crate) fn offers(&self, bundle: Option<&str>) {
        let mut names = vec!["fs.capsule"];
        names.extend(bundle.map(|_| "fs.capsule.sigstore.json"));
        let url = self.server.url();
        let assets: Vec<_> = names
            .iter()
            .map(|name| json!({ "name": name, "size": 10, "url": format!("{url}/assets/{name}") }))
            .collect();
        let release = json!({ "tag_name": "v1.2.0", "assets": assets });
        let mut files = self.files.lock().unwrap();
        files.insert("/repos/acme/fs/releases/tags/v1.2.0".to_owned(), release.to_string().into_bytes());
        files.insert("/assets/fs.capsule".to_owned(), self.scene.bytes.clone());
        let bundle = bundle.unwrap_or_default().as_bytes().to_vec();
        files.insert("/assets/fs.capsule.sigstore.json".to_owned(), bundle);
    }

    /// The program, which finds the release here.
    pub(crate) fn run<'a>(&'a self, arguments: &[&str]) -> Run<'a> {
        self.scene.env.run(arguments).variable("ASTRID_RELEASE_API", self.server.url())
    }
}

/// Commits the folder `repo` of the environment, and returns the commit.
pub(crate) fn commit(env: &TestEnv, message: &str) -> String {
    let folder = env.path("repo");
    let repository = git2::Repository::open(&folder).unwrap_or_else(|_| {
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head("main").mkpath(true);
        git2::Repository::init_opts(&folder, &options).unwrap()
    });
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap().to_string()
}

/// Copies a folder into another one.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
