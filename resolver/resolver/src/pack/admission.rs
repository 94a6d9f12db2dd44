//! Which bytes of a pack are run, and from where.
//!
//! An installed pack is run from the folder that its generation serves, when every byte there is one that was
//! accepted and nothing else is there. Any other pack is copied first: what is shown of it is what is run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use astrid_authority::{Digest, PackId};
use astrid_manifest::pack::TrustSummary;
use astrid_manifest::pack::contents::Contents;
use astrid_store::tree::MAX_PATH_DEPTH;
use astrid_store::{Store, Tree};

use super::installed::{installed_pack, other};
use crate::artifact::PackArtifact;
use crate::context::Context;
use crate::error::{Error, Result};

/// What Python leaves beside modules that it imports.
const PYTHON_CACHE: &str = "__pycache__";

/// A pack whose bytes are known, in a folder to run them from.
#[derive(Debug)]
pub struct Admitted {
    /// Its id.
    pub id: PackId,
    /// The digest of its content.
    pub content: Digest,
    /// All that its manifests say.
    pub contents: Contents,
    /// The folder with its bytes.
    pub root: PathBuf,
    /// How it was accepted; nothing for a folder that nobody installed.
    pub accepted: Option<Acceptance>,
    tree: Tree,
}

/// How a pack was accepted, as its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// When.
    pub at: String,
    /// By a prompt, a flag, or a file.
    pub method: String,
    /// By whom.
    pub actor: String,
    /// Where it came from.
    pub source: String,
}

impl Admitted {
    /// The installed pack of that id, once it was compared with what was accepted; nothing when it is not installed.
    ///
    /// # Errors
    /// 84 when a byte, the record or the generation is other than accepted; 83 when its receipt proves nothing.
    pub fn installed(context: &Context, id: &PackId) -> Result<Option<Self>> {
        let Some(pack) = installed_pack(context, id)? else { return Ok(None) };
        pack.check(context)?;
        let store = Store::new(context.home.clone(), context.store.disk().clone());
        let tree = pack.tree(context)?;
        let root = store.served_tree(&pack.locked.content);
        only_what_is_listed(id, &root, &tree)?;
        let text = |field: &str| pack.record[field].as_str().unwrap_or("unknown").to_owned();
        let accepted = Acceptance {
            at: text("trust_acknowledged_at"),
            method: text("trust_method"),
            actor: text("trust_actor"),
            source: text("source_path"),
        };
        Self::of(&store, tree, root, Some(accepted)).map(Some)
    }

    /// A pack that nobody accepted, whose bytes are in a store aside: they are what is run.
    ///
    /// # Errors
    /// `Invalid` with all complaints when it is no valid pack.
    pub fn aside(store: &Store, content: &Digest) -> Result<Self> {
        let tree = store.tree(content)?;
        let root = store.serve_tree(&tree)?;
        Self::of(store, tree, root, None)
    }

    fn of(store: &Store, tree: Tree, root: PathBuf, accepted: Option<Acceptance>) -> Result<Self> {
        let batch = store.batch();
        let artifact = PackArtifact::read(&batch, &tree, "the pack")?;
        let (id, content) = (artifact.manifest.id.clone(), artifact.content);
        Ok(Self { id, content, contents: *artifact.contents, root, accepted, tree })
    }

    /// What people are shown about it.
    #[must_use]
    pub fn summary(&self) -> TrustSummary {
        TrustSummary::of(&self.contents)
    }

    /// What is in its folder by now and was not before, or is other than before: a pack that is run may write there.
    /// What Python leaves is removed.
    #[must_use]
    pub fn changed(&self) -> Option<String> {
        only_what_is_listed(&self.id, &self.root, &self.tree).err().map(|error| error.message().to_owned())
    }
}

/// Nothing may be in the folder that is not in the listing: it could be run in place of what is.
fn only_what_is_listed(id: &PackId, root: &Path, tree: &Tree) -> Result<()> {
    let mut folders = BTreeSet::new();
    for entry in tree.entries() {
        let mut parent = entry.path.parent();
        while let Some(folder) = parent {
            if !folders.insert(folder) {
                break;
            }
            parent = folder.rsplit_once('/').map(|(above, _)| above);
        }
    }
    walk(id, root, "", &folders, tree, 0)
}

fn walk(
    id: &PackId,
    root: &Path,
    folder: &str,
    folders: &BTreeSet<&str>,
    tree: &Tree,
    depth: usize,
) -> Result<()> {
    if depth > MAX_PATH_DEPTH {
        return Err(other(id, &format!("`{folder}` is too deep")));
    }
    let unreadable = |error: std::io::Error| {
        Error::corrupt(format!("the folder of pack `{id}` can't be read")).caused_by(error)
    };
    for entry in std::fs::read_dir(root.join(folder)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let is_cache = name == PYTHON_CACHE || Path::new(&name).extension().is_some_and(|end| end == "pyc");
        if kind.is_dir() && folders.contains(path.as_str()) {
            walk(id, root, &path, folders, tree, depth + 1)?;
        } else if is_cache && tree.get(&path).is_none() {
            // Python runs what is in there in place of a module, whoever wrote it.
            let removed = if kind.is_dir() {
                std::fs::remove_dir_all(entry.path())
            } else {
                std::fs::remove_file(entry.path())
            };
            removed
                .or_else(|error| if entry.path().exists() { Err(error) } else { Ok(()) })
                .map_err(unreadable)?;
        } else if !kind.is_file() || tree.get(&path).is_none() {
            return Err(other(id, &format!("`{path}` in its folder is not part of it"))
                .hint(format!("look at it, then remove {}", entry.path().display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use astrid_store::read::{Filter, ingest_dir};
    use astrid_store::tree::Limits;
    use astrid_store::{Disk, Home};

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let pack = folder.path().join("demo");
            std::fs::create_dir_all(pack.join("executors/run")).unwrap();
            std::fs::write(
                pack.join("pack.yaml"),
                "schema_version: 1\nid: demo\nname: Demo\nversion: 1.0.0\ncontent: {executors: executors}\n",
            )
            .unwrap();
            std::fs::write(
                pack.join("executors/run/executor.yaml"),
                "schema_version: 1\nid: demo.run\nname: Run\nversion: 1.0.0\ncommand: {argv: [sh, run.sh]}\n",
            )
            .unwrap();
            std::fs::write(pack.join("executors/run/run.sh"), "true\n").unwrap();
            let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
            Self { store: Store::new(home, Disk::default()), folder }
        }

        fn admitted(&self) -> Admitted {
            let batch = self.store.batch();
            let folder = self.folder.path().join("demo");
            let tree = ingest_dir(&folder, &Filter::All, &Limits::default(), &batch).unwrap();
            batch.finish().unwrap();
            Admitted::aside(&self.store, &tree.digest()).unwrap()
        }
    }

    #[test]
    fn what_is_run_is_the_copy_that_was_looked_at() {
        let scene = Scene::new();
        let admitted = scene.admitted();
        assert_eq!(admitted.id.as_str(), "demo");
        assert!(admitted.accepted.is_none());
        std::fs::write(scene.folder.path().join("demo/executors/run/run.sh"), "false\n").unwrap();
        let copy = std::fs::read_to_string(admitted.root.join("executors/run/run.sh")).unwrap();
        assert_eq!((copy.as_str(), admitted.changed()), ("true\n", None));
    }

    #[test]
    fn what_python_leaves_is_removed_before_it_could_be_run() {
        let scene = Scene::new();
        let admitted = scene.admitted();
        let cache = admitted.root.join("executors/run/__pycache__");
        std::fs::create_dir(&cache).unwrap();
        std::fs::write(cache.join("x.pyc"), "").unwrap();
        std::fs::write(admitted.root.join("json.pyc"), "").unwrap();
        assert_eq!(admitted.changed(), None);
        assert!(!cache.exists() && !admitted.root.join("json.pyc").exists());
    }

    #[test]
    fn anything_else_that_is_not_listed_is_refused_denied() {
        for name in ["executors/run/json.py", "node_modules", "new"] {
            let scene = Scene::new();
            let admitted = scene.admitted();
            std::fs::create_dir(admitted.root.join(name)).unwrap();
            let changed = admitted.changed().unwrap();
            assert!(changed.contains(&format!("`{name}` in its folder is not part of it")), "{changed}");
        }
        let scene = Scene::new();
        let admitted = scene.admitted();
        std::os::unix::fs::symlink("run.sh", admitted.root.join("executors/run/link.sh")).unwrap();
        assert!(admitted.changed().is_some());
    }
}
