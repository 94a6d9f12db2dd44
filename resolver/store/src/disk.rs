//! The one place that changes the file system.
//!
//! Each instruction that changes something first asks the [`Faults`] port. A file appears whole or not
//! at all: written beside its place, flushed, renamed, and its folder flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Result, StoreError};
use crate::faults::{Faults, Mutation, NoFaults};

/// Start of the name of a file that is not in its place yet; readers skip these, and gc removes them.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// A handle through which files are changed. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    faults: Arc<dyn Faults>,
    /// Nothing is flushed: what is written is thrown away before a crash could matter.
    fleeting: bool,
}

impl Default for Disk {
    fn default() -> Self {
        Self { faults: Arc::new(NoFaults), fleeting: false }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("faults", &self.faults.active())
            .field("fleeting", &self.fleeting)
            .finish()
    }
}

/// A number that no other temporary file of this process has.
fn next_temporary() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Disk {
    /// A disk whose mutations are first shown to `faults`.
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self { faults, fleeting: false }
    }

    /// The same disk for files that are thrown away when the program ends: nothing is flushed.
    #[must_use]
    pub fn fleeting(&self) -> Self {
        Self { fleeting: true, ..self.clone() }
    }

    /// How many threads may write at once: 1 when faults are injected, so that they are reproducible.
    pub fn parallelism(&self) -> usize {
        // Asking the system reads the files of control groups: far dearer than looking at one capsule.
        static THREADS: OnceLock<usize> = OnceLock::new();
        if self.faults.active() {
            return 1;
        }
        // Writers wait for the device more than they compute, hence more threads than processors.
        *THREADS.get_or_init(|| {
            std::thread::available_parallelism().map_or(4, |count| (count.get() * 2).clamp(2, 16))
        })
    }

    fn before(&self, action: &'static str, path: &Path) -> Result<()> {
        self.faults.before(Mutation { action, path }).map_err(StoreError::io(action, path))
    }

    /// A name beside `path` that no other writer uses.
    pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
        loop {
            let name = format!("{TEMPORARY_PREFIX}{}-{}", std::process::id(), next_temporary());
            let temporary = path.with_file_name(name);
            // A process that crashed may have had the same id: in a container it always has.
            if fs::symlink_metadata(&temporary).is_err() {
                return temporary;
            }
        }
    }

    fn write_all(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
        if self.faults.active() {
            // A process can die, or a disk fill up, in the middle of a write.
            let (first, second) = bytes.split_at(bytes.len() / 2);
            self.before("write", path)?;
            file.write_all(first).map_err(StoreError::io("write", path))?;
            self.before("write", path)?;
            return file.write_all(second).map_err(StoreError::io("write", path));
        }
        file.write_all(bytes).map_err(StoreError::io("write", path))
    }

    /// Creates a file that must not exist, with exactly these bytes and permission bits.
    ///
    /// The bytes are flushed when `durable`; the folder never is.
    ///
    /// # Errors
    /// When the file exists or the operating system refuses.
    pub fn write_new(&self, path: &Path, bytes: &[u8], mode: u32, durable: bool) -> Result<()> {
        self.before("create", path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(StoreError::io("create", path))?;
        self.write_all(&mut file, path, bytes)?;
        // The process's umask may have taken bits that are part of the content's meaning.
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(StoreError::io("change the mode of", path))?;
        if durable && !self.fleeting {
            file.sync_all().map_err(StoreError::io("flush", path))?;
        }
        Ok(())
    }

    /// Replaces `path` by a file of these bytes and permission bits, durably and all at once.
    ///
    /// # Errors
    /// When the operating system refuses; the old file, if any, is then still there.
    pub fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let temporary = Self::temporary_beside(path);
        let written =
            self.write_new(&temporary, bytes, mode, true).and_then(|()| self.rename(&temporary, path));
        if written.is_err() {
            // The first failure is the one to report; a leftover is removed by gc.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Creates a file that must not exist, durably and all at once: it is never seen half-written.
    ///
    /// Returns whether this call created it; `false` means that another writer was first.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn create_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
        let temporary = Self::temporary_beside(path);
        self.write_new(&temporary, bytes, mode, true)?;
        self.before("link", path)?;
        let linked = fs::hard_link(&temporary, path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => self.sync_parent(path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(StoreError::io("create", path)(error)),
        }
    }

    /// Adds bytes at the end of a file, creating it with `mode`, and flushes it.
    ///
    /// # Errors
    /// When the operating system refuses; part of the bytes may then be there.
    pub fn append(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        self.before("append to", path)?;
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(mode)
            .open(path)
            .map_err(StoreError::io("open", path))?;
        self.write_all(&mut file, path, bytes)?;
        if self.fleeting { Ok(()) } else { file.sync_all().map_err(StoreError::io("flush", path)) }
    }

    /// Renames, replacing a file that is there, and flushes the target's folder.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename_unflushed(from, to)?;
        self.sync_parent(to)
    }

    /// Renames without flushing: for [`crate::Batch`], which flushes once for all.
    pub(crate) fn rename_unflushed(&self, from: &Path, to: &Path) -> Result<()> {
        self.before("rename", to)?;
        fs::rename(from, to).map_err(StoreError::io("rename to", to))
    }

    /// Makes `link` a symbolic link to `target`, replacing a link or file that is there, all at once.
    ///
    /// # Errors
    /// When the operating system refuses; the old link, if any, is then still there.
    pub fn symlink_atomic(&self, target: &Path, link: &Path) -> Result<()> {
        let temporary = Self::temporary_beside(link);
        self.before("link", &temporary)?;
        std::os::unix::fs::symlink(target, &temporary).map_err(StoreError::io("link", &temporary))?;
        let renamed = self.rename(&temporary, link);
        if renamed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        renamed
    }

    /// Removes a file or a symbolic link; one that is not there is fine.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        self.before("remove", path)?;
        match fs::remove_file(path) {
            Ok(()) => self.sync_parent(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    /// Removes a file without flushing its folder: for gc, where coming back after a crash is harmless.
    pub(crate) fn remove_file_unflushed(&self, path: &Path) -> Result<()> {
        self.before("remove", path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a folder if nothing is in it; returns whether it did.
    ///
    /// # Errors
    /// When the operating system refuses for another reason than the folder being in use.
    pub fn remove_empty_dir(&self, path: &Path) -> Result<bool> {
        self.before("remove", path)?;
        match fs::remove_dir(path) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    /// Removes a folder and all that is in it, following no link; one that is not there is fine.
    ///
    /// # Errors
    /// When the operating system refuses; part of it may then be gone.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        self.before("remove", path)?;
        match fs::remove_dir_all(path) {
            Ok(()) => self.sync_parent(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove", path)(error)),
        }
    }

    /// Creates a folder and those above it, each with `mode`, durably; those that exist are left as they are.
    ///
    /// # Errors
    /// When the operating system refuses, or a file is in the way.
    pub fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let missing = path.ancestors().take_while(|folder| !folder.is_dir());
        let parents: Vec<&Path> = missing.filter_map(Path::parent).collect();
        self.create_dir_unflushed(path, mode)?;
        parents.into_iter().try_for_each(|parent| self.sync_dir(parent))
    }

    /// Creates a folder without flushing: for those who flush once for many.
    pub(crate) fn create_dir_unflushed(&self, path: &Path, mode: u32) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.before("create", path)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(path)
            .map_err(StoreError::io("create the folder", path))
    }

    /// Sets the permission bits of a file or folder.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        self.before("change the mode of", path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(StoreError::io("change the mode of", path))
    }

    /// Flushes a folder's entries.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        if self.fleeting {
            return Ok(());
        }
        self.before("flush", path)?;
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(StoreError::io("flush the folder", path))
    }

    /// Flushes many files or folders of one file system: in one call where there is such a call.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn flush_all(&self, paths: &[PathBuf]) -> Result<()> {
        /// From here on, one flush of the whole file system is the cheaper one.
        const MANY: usize = 8;
        let Some(first) = paths.first().filter(|_| !self.fleeting) else { return Ok(()) };
        if paths.len() >= MANY {
            self.before("flush", first)?;
            let any = File::open(first).map_err(StoreError::io("open", first))?;
            if crate::sync::file_system(&any).map_err(StoreError::io("flush the file system of", first))? {
                return Ok(());
            }
        }
        crate::parallel::map(paths, self.parallelism(), |path| self.sync_dir(path)).map(|_| ())
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.sync_dir(parent))
    }
}
