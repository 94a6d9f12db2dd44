//! The files of a pack, as the reader of its manifests asks for them: from a folder, or from the store.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use astrid_manifest::MAX_FILE_BYTES;
use astrid_manifest::pack::contents::Files;
use astrid_store::read::{self, Filter};
use astrid_store::tree::{Limits, TreePath};
use astrid_store::{Store, StoreError, Tree};

use crate::error::{Error, Result};

/// A file of this length or more is not read: no manifest is so long.
const TOO_LONG: u64 = MAX_FILE_BYTES as u64 + 1;

/// A pack as a folder on disk: listed at once, and each file opened when it is asked for.
pub(super) struct Folder<'a> {
    root: &'a Path,
    paths: BTreeSet<TreePath>,
    failed: RefCell<Option<StoreError>>,
}

impl<'a> Folder<'a> {
    /// Lists a folder.
    ///
    /// # Errors
    /// `Invalid` for a link, a device, a name or a size that a pack can't have.
    pub(super) fn open(root: &'a Path) -> Result<Self> {
        let paths = read::list_dir(root, &Filter::All, &Limits::default())?;
        Ok(Self { root, paths: paths.into_iter().collect(), failed: RefCell::new(None) })
    }
}

/// A pack in the store.
pub(super) struct Stored<'a> {
    pub(super) store: &'a Store,
    pub(super) tree: &'a Tree,
    failed: RefCell<Option<StoreError>>,
}

impl<'a> Stored<'a> {
    pub(super) fn new(store: &'a Store, tree: &'a Tree) -> Self {
        Self { store, tree, failed: RefCell::new(None) }
    }
}

/// Files that may fail to be read, and then say why.
pub(super) trait Fallible: Files {
    /// Why a file that is there could not be read, if one could not.
    fn failure(&self) -> Option<Error>;
}

impl Files for Folder<'_> {
    fn paths(&self) -> Vec<String> {
        self.paths.iter().map(ToString::to_string).collect()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.paths.get(path)?;
        let limits = Limits { file_bytes: TOO_LONG, ..Limits::default() };
        read::read_one(self.root, path, &limits).map_err(|error| keep(&self.failed, error)).ok()
    }

    fn shown(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}

impl Fallible for Folder<'_> {
    fn failure(&self) -> Option<Error> {
        self.failed.take().map(Error::from)
    }
}

impl Files for Stored<'_> {
    fn paths(&self) -> Vec<String> {
        self.tree.entries().iter().map(|entry| entry.path.to_string()).collect()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let entry = self.tree.get(path).filter(|entry| entry.length < TOO_LONG)?;
        self.store.get(&entry.blob).map_err(|error| keep(&self.failed, error)).ok()
    }

    fn length(&self, path: &str) -> Option<u64> {
        self.tree.get(path).map(|entry| entry.length)
    }
}

impl Fallible for Stored<'_> {
    fn failure(&self) -> Option<Error> {
        self.failed.take().map(Error::from)
    }
}

/// Keeps the first failure: later ones follow from it.
fn keep(failed: &RefCell<Option<StoreError>>, error: StoreError) {
    failed.borrow_mut().get_or_insert(error);
}
