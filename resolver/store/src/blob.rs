//! Bytes by their digest.
//!
//! A blob is written beside its place, flushed and renamed, so that a name in the store is a promise about
//! bytes. Whoever reads a blob has it checked again: the promise is only as good as the disk.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use astrid_authority::Digest;

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::{Result, StoreError};
use crate::home::{Home, read_optional};
use crate::read::Filter;
use crate::tree::{Limits, MAX_ENTRIES, Tree, TreeFile};
use crate::writer::WriterLock;

/// The content-addressed store of one home. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) home: Home,
    pub(crate) disk: Disk,
    /// Asked for what is not here; never written to.
    below: Option<Arc<Store>>,
}

impl Store {
    /// The store of `home`; nothing is created before the first write.
    pub fn new(home: Home, disk: Disk) -> Self {
        Self { home, disk, below: None }
    }

    /// This store over another one, which is asked for what is not here and never written to.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        Self { below: Some(Arc::new(below.clone())), ..self }
    }

    /// The home this store is part of.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The disk that this store writes through.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Where the blob of `digest` is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.home.blobs().join(&hex[..2]).join(hex)
    }

    /// Whether there is a file for `digest`; its bytes are not looked at.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file() || self.below.as_ref().is_some_and(|below| below.contains(digest))
    }

    /// The length in bytes of the blob of `digest`, if it is there; its bytes are not looked at.
    pub fn length(&self, digest: &Digest) -> Option<u64> {
        let own = std::fs::metadata(self.path(digest)).ok().filter(std::fs::Metadata::is_file);
        own.map(|found| found.len()).or_else(|| self.below.as_ref()?.length(digest))
    }

    /// Keeps `bytes`, durably, and returns their digest; what is there already is not written again.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        // A file of another length is what a power failure may leave; it is written anew.
        if self.length(&digest) == Some(bytes.len() as u64) {
            return Ok(digest);
        }
        let path = self.path(&digest);
        self.ensure_shard(&path)?;
        self.disk.write_atomic(&path, bytes, 0o400)?;
        Ok(digest)
    }

    /// Keeps what `reader` gives, at most `limit` bytes.
    ///
    /// # Errors
    /// When there is more than `limit`, reading fails, or the operating system refuses.
    pub fn put_reader(&self, reader: impl Read, limit: u64, place: &str) -> Result<Digest> {
        let mut bytes = Vec::new();
        reader
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read", Path::new(place)))?;
        if bytes.len() as u64 > limit {
            return Err(StoreError::refused(place, format!("is larger than {limit} bytes")));
        }
        self.put(&bytes)
    }

    /// The bytes of `digest`, hashed again.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], or [`StoreError::CorruptBlob`] when they are not what the name promises.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        let Some(bytes) = read_optional(&self.path(digest))? else {
            let missing = StoreError::MissingBlob(*digest);
            return self.below.as_ref().map_or(Err(missing), |below| below.get(digest));
        };
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(StoreError::CorruptBlob { expected: *digest, found }) }
    }

    /// A batch, which makes many blobs durable together.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Keeps many blobs, durably, and returns their digests in the same order.
    ///
    /// # Errors
    /// When the operating system refuses; then some of them may be kept.
    pub fn put_all<B: AsRef<[u8]> + Sync>(&self, blobs: &[B]) -> Result<Vec<Digest>> {
        let batch = self.batch();
        let digests = batch.put_all(blobs)?;
        batch.finish()?;
        Ok(digests)
    }

    /// Keeps the listing of `tree`, and returns its digest, which is the tree's.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn put_tree(&self, tree: &Tree) -> Result<Digest> {
        self.put(&tree.encode())
    }

    /// Keeps files and the listing of the tree that they make.
    ///
    /// # Errors
    /// When two files collide, or the operating system refuses.
    pub fn put_files(&self, files: &[TreeFile]) -> Result<Tree> {
        let batch = self.batch();
        let tree = batch.put_files(files)?;
        batch.finish()?;
        Ok(tree)
    }

    /// The tree whose digest is `digest`.
    ///
    /// # Errors
    /// When its listing is missing, corrupt, or not a listing.
    pub fn tree(&self, digest: &Digest) -> Result<Tree> {
        Tree::decode(&self.get(digest)?)
    }

    /// Writes the files of `tree` into a new folder `target`, durably and all at once.
    ///
    /// Files are read-only (0444, or 0555 when executable), so that a program that runs from there does not
    /// change them by accident. They are copies: writing to one can't reach the store.
    ///
    /// # Errors
    /// When a blob is missing or corrupt, `target` exists, or the operating system refuses.
    pub fn materialize(&self, tree: &Tree, target: &Path) -> Result<()> {
        let staged = Disk::temporary_beside(target);
        let written = self.write_tree(tree, &staged).and_then(|()| {
            if std::fs::symlink_metadata(target).is_ok() {
                return Err(StoreError::Foreign(target.to_owned()));
            }
            self.disk.rename(&staged, target)
        });
        if written.is_err() {
            let _ = std::fs::remove_dir_all(&staged);
        }
        written
    }

    fn write_tree(&self, tree: &Tree, folder: &Path) -> Result<()> {
        self.disk.create_dir_unflushed(folder, 0o755)?;
        let mut folders = BTreeSet::from([folder.to_owned()]);
        for entry in tree.entries() {
            let mut parent = entry.path.parent().map(Path::new);
            while let Some(path) = parent.filter(|path| !path.as_os_str().is_empty()) {
                if !folders.insert(folder.join(path)) {
                    break;
                }
                parent = path.parent();
            }
        }
        // Sorted, a folder comes before those in it.
        for path in &folders {
            self.disk.create_dir_unflushed(path, 0o755)?;
        }
        let mut paths = crate::parallel::map(tree.entries(), self.disk.parallelism(), |entry| {
            let path = folder.join(entry.path.as_str());
            let mode = if entry.executable { 0o555 } else { 0o444 };
            self.disk.write_new(&path, &self.get(&entry.blob)?, mode, false)?;
            Ok(path)
        })?;
        paths.extend(folders);
        self.disk.flush_all(&paths)
    }

    /// The folder that serves the content of `tree` to programs, made when it is not there yet.
    ///
    /// It is `store/trees/<64 hex>`, shared by all generations that hold this content.
    ///
    /// # Errors
    /// As [`Store::materialize`].
    pub fn serve_tree(&self, tree: &Tree) -> Result<PathBuf> {
        let path = self.served_tree(&tree.digest());
        if !path.is_dir() {
            self.disk.create_dir(&self.home.trees(), 0o700)?;
            self.materialize(tree, &path)?;
        }
        Ok(path)
    }

    /// Puts the folder that serves the content of `tree` right; returns whether it was wrong.
    ///
    /// What [`crate::read::is_left_out`] is not looked at, since programs write it as they run.
    ///
    /// # Errors
    /// As [`Store::materialize`].
    pub fn repair_served_tree(&self, tree: &Tree, _writer: &WriterLock) -> Result<bool> {
        let path = self.served_tree(&tree.digest());
        let limits =
            Limits { entries: MAX_ENTRIES, file_bytes: u64::MAX, total_bytes: u64::MAX, ratio: u64::MAX };
        if crate::read::hash_dir(&path, &Filter::All, &limits, None).is_ok_and(|found| found == *tree) {
            return Ok(false);
        }
        // A folder can't be replaced at once; between these two renames the content is missing, not mixed.
        let wrong = Disk::temporary_beside(&path);
        if std::fs::symlink_metadata(&path).is_ok() {
            self.disk.rename(&path, &wrong)?;
        }
        self.serve_tree(tree)?;
        self.disk.remove_tree(&wrong)?;
        Ok(true)
    }

    /// Where the content of the tree `digest` is served, once [`Store::serve_tree`] made it.
    pub fn served_tree(&self, digest: &Digest) -> PathBuf {
        self.home.trees().join(digest.hex())
    }

    /// Creates the folder that `path` goes into, and makes its entry durable.
    fn ensure_shard(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |shard| self.disk.create_dir(shard, 0o700))
    }
}
