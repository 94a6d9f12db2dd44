//! Many blobs, made durable together.
//!
//! Flushing each of a thousand files costs a thousand waits for the device. A batch writes all files beside
//! their places, flushes the file system once, renames them all, and flushes once more: a crash in between
//! leaves files that have no name in the store, never a name without its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use astrid_authority::Digest;

use crate::blob::Store;
use crate::disk::Disk;
use crate::error::Result;
use crate::parallel;
use crate::tree::{Tree, TreeEntry, TreeFile};

/// Blobs that are written but not in the store yet. May be used from many threads at once.
///
/// Dropping a batch that was not finished removes what it wrote.
#[derive(Debug)]
#[must_use = "blobs are in the store after `finish` only"]
pub struct Batch<'a> {
    store: &'a Store,
    pending: Mutex<BTreeMap<Digest, Option<PathBuf>>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, pending: Mutex::default() }
    }

    /// The store that this batch goes into.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<Digest, Option<PathBuf>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `bytes` and returns their digest; what is in the store or the batch is not written again.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.store.length(&digest) == Some(bytes.len() as u64) {
            return Ok(digest);
        }
        {
            let mut pending = self.pending();
            if pending.contains_key(&digest) {
                return Ok(digest);
            }
            pending.insert(digest, None);
        }
        let written = self.write(&digest, bytes);
        match written {
            Ok(temporary) => {
                self.pending().insert(digest, Some(temporary));
                Ok(digest)
            }
            Err(error) => {
                self.pending().remove(&digest);
                Err(error)
            }
        }
    }

    fn write(&self, digest: &Digest, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.store.path(digest);
        if let Some(shard) = path.parent() {
            self.store.disk.create_dir_unflushed(shard, 0o700)?;
        }
        let temporary = Disk::temporary_beside(&path);
        let written = self.store.disk.write_new(&temporary, bytes, 0o400, false);
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map(|()| temporary)
    }

    /// Writes many blobs on several threads, and returns their digests in the same order.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn put_all<B: AsRef<[u8]> + Sync>(&self, blobs: &[B]) -> Result<Vec<Digest>> {
        parallel::map(blobs, self.store.disk.parallelism(), |blob| self.put(blob.as_ref()))
    }

    /// Writes files and the listing of the tree that they make.
    ///
    /// # Errors
    /// When two files collide, or the operating system refuses.
    pub fn put_files(&self, files: &[TreeFile]) -> Result<Tree> {
        let entries = parallel::map(files, self.store.disk.parallelism(), |file| {
            Ok(file.entry(self.put(&file.bytes)?))
        })?;
        self.put_entries(entries)
    }

    /// Checks entries whose bytes are in this batch, and writes their listing.
    ///
    /// # Errors
    /// When two entries collide, or the operating system refuses.
    pub fn put_entries(&self, entries: Vec<TreeEntry>) -> Result<Tree> {
        let tree = Tree::new(entries)?;
        self.put(&tree.encode())?;
        Ok(tree)
    }

    /// Makes all blobs durable and gives them their names; returns how many were new.
    ///
    /// # Errors
    /// When the operating system refuses; then some of them may be in the store.
    pub fn finish(self) -> Result<usize> {
        let pending: Vec<(Digest, PathBuf)> = std::mem::take(&mut *self.pending())
            .into_iter()
            .filter_map(|(digest, temporary)| Some((digest, temporary?)))
            .collect();
        let finished = self.publish(&pending);
        if finished.is_err() {
            for (_, temporary) in &pending {
                let _ = std::fs::remove_file(temporary);
            }
        }
        finished.map(|()| pending.len())
    }

    fn publish(&self, pending: &[(Digest, PathBuf)]) -> Result<()> {
        let disk = &self.store.disk;
        let temporaries: Vec<PathBuf> = pending.iter().map(|(_, temporary)| temporary.clone()).collect();
        disk.flush_all(&temporaries)?;
        let mut shards = BTreeSet::new();
        for (digest, temporary) in pending {
            let path = self.store.path(digest);
            disk.rename_unflushed(temporary, &path)?;
            shards.extend(path.parent().map(ToOwned::to_owned));
        }
        if !shards.is_empty() {
            shards.insert(self.store.home.blobs());
        }
        disk.flush_all(&shards.into_iter().collect::<Vec<_>>())
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for temporary in self.pending().values().flatten() {
            let _ = std::fs::remove_file(temporary);
        }
    }
}
