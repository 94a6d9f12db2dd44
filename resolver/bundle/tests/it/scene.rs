//! A store with a small fleet, and the lock that pins it.

use astrid_authority::Digest;
use astrid_bundle::{Draft, Limits, Load, Shuttle};
use astrid_manifest::Lock;
use astrid_manifest::distro::{Distro, manifest_hash};
use astrid_manifest::lock::{LockedCapsule, LockedDistro, LockedPack, SCHEMA_VERSION};
use astrid_manifest::signer::Signer;
use astrid_provenance::statement::Subject;
use astrid_provenance::{SigningKey, Statement, envelope};
use astrid_store::{Disk, Home, Store, Tree, TreeFile, archive};
use zeroize::Zeroizing;

pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A fleet of a signed capsule from an archive, an unsigned one from a folder, and a signed pack with one inside.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) declaration: String,
    pub(crate) lock: Lock,
    _folder: tempfile::TempDir,
}

pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&Zeroizing::new([byte; 32]))
}

pub(crate) fn file(path: &str, bytes: &[u8]) -> TreeFile {
    TreeFile { path: path.parse().unwrap(), bytes: bytes.to_vec(), executable: path.starts_with("bin/") }
}

pub(crate) fn empty_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
    (folder, Store::new(home, Disk::default()))
}

/// The files of a capsule.
pub(crate) fn capsule(name: &str, version: &str, more: &[TreeFile]) -> Vec<TreeFile> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nlicense = \"MIT OR Apache-2.0\"\n\n[[component]]\nid = \"{name}\"\nfile = \"{name}.wasm\"\n"
    );
    let mut files = vec![file("Capsule.toml", manifest.as_bytes()), file(&format!("{name}.wasm"), COMPONENT)];
    files.extend(more.iter().cloned());
    files
}

/// A signature over `bytes`, in the store.
pub(crate) fn sign(store: &Store, bytes: &[u8]) -> Digest {
    let statement = Statement::new(
        vec![Subject::of("artifact", bytes)],
        "https://github.com/unicity-astrid/astrid/attestations/artifact/v1",
        serde_json::json!({}),
    );
    store.put(envelope::sign(&statement, &key(3)).unwrap().as_bytes()).unwrap()
}

pub(crate) fn locked(name: &str, version: &str, source: &str, tree: &Tree) -> LockedCapsule {
    LockedCapsule {
        name: name.parse().unwrap(),
        requirement: None,
        version: version.parse().unwrap(),
        source: source.parse().unwrap(),
        resolved_ref: None,
        pack: None,
        archive: None,
        content: tree.digest(),
        component: Some(Digest::of(COMPONENT)),
        manifest: tree.get("Capsule.toml").unwrap().blob,
        wit: None,
        authority: Digest::of(b"authority"),
        tools: None,
        signer: Signer::Unsigned,
        provenance: None,
        bundle: None,
        at: astrid_manifest::diagnostic::Position::default(),
    }
}

/// The text of a declaration with these entries.
pub(crate) fn declaration(version: &str, entries: &str) -> String {
    format!(
        "schema-version = 1\n\n[distro]\nid = \"demo\"\nname = \"Demo\"\nversion = \"{version}\"\n{entries}"
    )
}

pub(crate) fn lock(declaration: &str, capsules: Vec<LockedCapsule>, packs: Vec<LockedPack>) -> Lock {
    let distro = Distro::parse("Distro.toml", declaration).unwrap().value;
    let mut lock = Lock {
        schema_version: SCHEMA_VERSION,
        must_understand: Lock::default_must_understand(),
        manifest_hash: manifest_hash(&distro),
        distro: LockedDistro {
            id: distro.header.id,
            version: distro.header.version,
            source: None,
            commit: None,
        },
        selection: std::collections::BTreeMap::default(),
        capsules,
        packs,
    };
    lock.sort();
    lock
}

const ENTRIES: &str = r#"
[[capsule]]
name = "notes"
source = "@acme/notes"
version = "1.0.0"

[[capsule]]
name = "tasks"
source = "./tasks"
version = "2.0.0"

[[pack]]
id = "media_tools"
source = "./media_tools"
"#;

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with("0.1.0", b"# notes\n")
    }

    /// A fleet of that version, whose `notes` holds this text.
    pub(crate) fn with(version: &str, text: &[u8]) -> Self {
        let (folder, store) = empty_store();
        let mut scene = Self {
            store,
            declaration: String::new(),
            lock: lock(&declaration(version, ENTRIES), Vec::new(), Vec::new()),
            _folder: folder,
        };
        scene.fill(version, text);
        scene
    }

    /// Puts a fleet of that version into the store, and locks it.
    pub(crate) fn fill(&mut self, version: &str, text: &[u8]) {
        let store = &self.store;
        let files = capsule("notes", "1.0.0", &[file("assets/a.md", text), file("assets/b.md", b"same")]);
        let packed = archive::pack(&files, Some("notes.wasm")).unwrap();
        let mut notes = locked("notes", "1.0.0", "@acme/notes", &store.put_files(&files).unwrap());
        notes.archive = Some(store.put(&packed).unwrap());
        notes.bundle = Some(sign(store, &packed));
        notes.signer = Signer::Key(key(3).public().to_string());
        let tasks = store.put_files(&capsule("tasks", "2.0.0", &[])).unwrap();
        let tasks = locked("tasks", "2.0.0", "./tasks", &tasks);
        let inner = capsule("thumbs", "0.3.0", &[]);
        let inner_tree = store.put_files(&inner).unwrap();
        let mut files: Vec<TreeFile> = inner
            .iter()
            .map(|one| TreeFile {
                path: format!("capsules/thumbs/{}", one.path.as_str()).parse().unwrap(),
                ..one.clone()
            })
            .collect();
        files.push(file("pack.yaml", b"id: media_tools\n"));
        files.push(file("bin/run.sh", b"#!/bin/sh\n"));
        let tree = store.put_files(&files).unwrap();
        let mut thumbs = locked("thumbs", "0.3.0", "./media_tools", &inner_tree);
        thumbs.pack = Some("media_tools".parse().unwrap());
        let pack = LockedPack {
            id: "media_tools".parse().unwrap(),
            requirement: None,
            version: "1.4".to_owned(),
            source: "./media_tools".parse().unwrap(),
            commit: None,
            archive: None,
            content: tree.digest(),
            permissions: Digest::of(b"permissions"),
            authority: Digest::of(b"authority"),
            signer: Signer::Key(key(3).public().to_string()),
            provenance: None,
            bundle: Some(sign(store, &tree.encode())),
            at: astrid_manifest::diagnostic::Position::default(),
        };
        self.declaration = declaration(version, ENTRIES);
        self.lock = lock(&self.declaration, vec![notes, tasks, thumbs], vec![pack]);
    }

    pub(crate) fn load(&self) -> Load<'_> {
        Load { declaration: &self.declaration, ..Load::default() }
    }

    pub(crate) fn seal(&self, load: &Load<'_>, signed_by: Option<&SigningKey>) -> Vec<u8> {
        let draft = Draft::new(&self.store, &self.lock, load).unwrap();
        let signature = signed_by.map(|key| envelope::sign(draft.statement(), key).unwrap());
        draft.write(signature.as_deref(), Vec::new()).unwrap()
    }
}

pub(crate) fn open(bytes: Vec<u8>) -> astrid_bundle::Result<Shuttle> {
    Shuttle::from_bytes(bytes, &Limits::default())
}
