//! Folders read into trees, refusing what can't be reproduced elsewhere.
//!
//! A symbolic link, hard link, device, FIFO or socket has no place in a tree: its meaning depends on the
//! machine. So has no name that is not UTF-8. Some names are never content: see [`LEFT_OUT`].

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use astrid_authority::Digest;

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::{Result, StoreError};
use crate::parallel;
use crate::stat_cache::{Key, Stamp, StatCache};
use crate::tree::{Limits, Tree, TreeEntry, TreeFile, TreePath};

/// Names that are never content, at any depth, besides `*.pyc`: what tools leave behind.
pub const LEFT_OUT: [&str; 8] =
    [".git", ".astrid", "__pycache__", ".venv", "venv", "node_modules", "target", ".DS_Store"];

/// Whether a name is one of those that are never content.
pub fn is_left_out(name: &str) -> bool {
    LEFT_OUT.contains(&name) || Path::new(name).extension().is_some_and(|extension| extension == "pyc")
}

/// Which files of a folder are its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All but what [`is_left_out`].
    All,
    /// These files, and all files in these folders; what is not there is not missed.
    Only {
        /// Files, taken even when inside of a folder that is otherwise left out.
        files: BTreeSet<TreePath>,
        /// Folders, without what [`is_left_out`].
        folders: BTreeSet<TreePath>,
    },
}

impl Filter {
    /// The content of a capsule's folder: its manifest, its component's file, `tools.json`, `wit/`, `assets/`
    /// and `skills/`.
    ///
    /// # Errors
    /// When `component` is not a path inside the folder.
    pub fn capsule(component: Option<&str>) -> Result<Self> {
        let files = ["Capsule.toml", "tools.json"].into_iter().chain(component);
        Ok(Self::Only {
            files: files.map(str::parse).collect::<Result<_>>()?,
            folders: ["wit", "assets", "skills"].into_iter().map(str::parse).collect::<Result<_>>()?,
        })
    }

    /// The same choice, made among paths that are not on disk (an object database, an archive).
    pub fn takes(&self, path: &TreePath) -> bool {
        let kept = |path: &str| !path.split('/').any(is_left_out);
        match self {
            Self::All => kept(path.as_str()),
            Self::Only { files, folders } => {
                files.contains(path)
                    || folders.iter().any(|folder| path.is_under(folder.as_str()) && path != folder)
                        && kept(path.as_str())
            }
        }
    }
}

/// The digests known from earlier, and the time now: what [`hash_dir`] may use to not read files again.
#[derive(Debug, Clone, Copy)]
pub struct Remembered<'a> {
    /// Digests by path and stamp.
    pub cache: &'a StatCache,
    /// When this run began.
    pub now: SystemTime,
}

/// The tree of a folder; its bytes go nowhere.
///
/// With `remembered`, files that did not change since they were hashed are not read: that is for `plan`.
/// `apply` and `verify` give none.
///
/// # Errors
/// When something in the folder has no place in a tree, a limit is passed, or reading fails.
pub fn hash_dir(
    dir: &Path,
    filter: &Filter,
    limits: &Limits,
    remembered: Option<Remembered<'_>>,
) -> Result<Tree> {
    let files = list(dir, filter, limits)?;
    let threads = Disk::default().parallelism();
    let Some(Remembered { cache, now }) = remembered else {
        return Tree::new(within(
            limits,
            parallel::map(&files, threads, |listed| {
                let file = read_file(dir, &listed.path, limits)?;
                Ok(file.entry(Digest::of(&file.bytes)))
            })?,
        )?);
    };
    // Most files are only looked at, which is done before a thread has started.
    let threads = if files.len() < WORTH_LOOKING_AT_ONCE { 1 } else { threads };
    let entries = parallel::map(&files, threads, |listed| hash_file(dir, listed, limits, cache, now))?;
    Tree::new(within(limits, entries)?)
}

/// The tree of a folder, its bytes and listing going into `batch`.
///
/// # Errors
/// As [`hash_dir`].
pub fn ingest_dir(dir: &Path, filter: &Filter, limits: &Limits, batch: &Batch<'_>) -> Result<Tree> {
    let files = list(dir, filter, limits)?;
    let entries = parallel::map(&files, batch.store().disk().parallelism(), |listed| {
        let file = read_file(dir, &listed.path, limits)?;
        Ok(file.entry(batch.put(&file.bytes)?))
    })?;
    batch.put_entries(within(limits, entries)?)
}

/// The files of a folder that are content, sorted by path; none of them is opened.
///
/// # Errors
/// When something in the folder has no place in a tree, a limit is passed, or reading fails.
pub fn list_dir(dir: &Path, filter: &Filter, limits: &Limits) -> Result<Vec<TreePath>> {
    Ok(list(dir, filter, limits)?.into_iter().map(|listed| listed.path).collect())
}

/// The bytes of one file of a folder: no link on the way to it is followed.
///
/// # Errors
/// When it is not there, has no place in a tree, or is larger than `limits` allow.
pub fn read_one(dir: &Path, path: &TreePath, limits: &Limits) -> Result<Vec<u8>> {
    inside(dir, path)?;
    Ok(read_file(dir, path, limits)?.bytes)
}

fn within(limits: &Limits, entries: Vec<TreeEntry>) -> Result<Vec<TreeEntry>> {
    let mut total = 0_u64;
    for entry in &entries {
        total = total.saturating_add(entry.length);
        if total > limits.total_bytes {
            return Err(StoreError::refused(
                entry.path.as_str(),
                format!("with this file the content is larger than {} bytes", limits.total_bytes),
            ));
        }
    }
    Ok(entries)
}

/// With fewer files than this in a folder, threads cost more than they save where digests are remembered.
const WORTH_LOOKING_AT_ONCE: usize = 512;

/// A file that is content.
struct Listed {
    path: TreePath,
    /// What it was like when it was listed, if that was looked at.
    metadata: Option<Metadata>,
}

/// The files that are content, sorted by path.
fn list(dir: &Path, filter: &Filter, limits: &Limits) -> Result<Vec<Listed>> {
    let mut paths = Vec::new();
    match filter {
        Filter::All => walk(dir, "", limits, &mut paths)?,
        Filter::Only { files, folders } => {
            for folder in folders {
                if let Some(metadata) = inside(dir, folder)? {
                    if !metadata.is_dir() {
                        return Err(StoreError::refused(folder.as_str(), "must be a folder"));
                    }
                    walk(dir, folder.as_str(), limits, &mut paths)?;
                }
            }
            for file in files {
                if let Some(metadata) = inside(dir, file)? {
                    if !metadata.is_file() {
                        return Err(StoreError::refused(file.as_str(), "must be a regular file"));
                    }
                    paths.push(Listed { path: file.clone(), metadata: Some(metadata) });
                }
            }
        }
    }
    paths.sort_unstable_by(|one, two| one.path.cmp(&two.path));
    // A component may lie in a folder that is taken as a whole.
    paths.dedup_by(|one, two| one.path == two.path);
    Ok(paths)
}

/// The metadata of a path whose every component is looked at, so that no link leads out of the folder.
fn inside(dir: &Path, path: &TreePath) -> Result<Option<Metadata>> {
    let mut here = dir.to_owned();
    let mut metadata = None;
    for name in path.as_str().split('/') {
        here.push(name);
        match fs::symlink_metadata(&here) {
            Ok(found) if found.is_symlink() => return Err(StoreError::refused(path.as_str(), LINK)),
            Ok(found) => metadata = Some(found),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(StoreError::io("read", &here)(error)),
        }
    }
    Ok(metadata)
}

const LINK: &str = "is a symbolic link; content must be regular files, so put the file itself there";

fn walk(dir: &Path, folder: &str, limits: &Limits, paths: &mut Vec<Listed>) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let here = dir.join(&folder);
        for entry in fs::read_dir(&here).map_err(StoreError::io("read the folder", &here))? {
            let entry = entry.map_err(StoreError::io("read the folder", &here))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let shown = String::from_utf8_lossy(name.as_bytes()).escape_debug().to_string();
                return Err(StoreError::refused(join(&folder, &shown), "the name is not UTF-8"));
            };
            if is_left_out(name) {
                continue;
            }
            let path: TreePath = join(&folder, name).parse()?;
            let kind = entry.file_type().map_err(StoreError::io("read", &entry.path()))?;
            if kind.is_dir() {
                folders.push(path.as_str().to_owned());
            } else if kind.is_file() {
                paths.push(Listed { path, metadata: None });
                if paths.len() > limits.entries {
                    return Err(StoreError::refused(
                        here.display().to_string(),
                        format!("more than {} files", limits.entries),
                    ));
                }
            } else {
                return Err(StoreError::refused(path.as_str(), irregular(kind)));
            }
        }
    }
    Ok(())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn irregular(kind: fs::FileType) -> &'static str {
    if kind.is_symlink() {
        LINK
    } else if kind.is_fifo() {
        "is a FIFO; content must be regular files"
    } else if kind.is_socket() {
        "is a socket; content must be regular files"
    } else {
        "is a device; content must be regular files"
    }
}

/// Refuses what is not a plain file with one name and an acceptable size.
fn check(path: &TreePath, metadata: &Metadata, limits: &Limits) -> Result<()> {
    if !metadata.is_file() {
        return Err(StoreError::refused(path.as_str(), irregular(metadata.file_type())));
    }
    if metadata.nlink() > 1 {
        return Err(StoreError::refused(
            path.as_str(),
            "is a hard link; copy the file instead of linking it",
        ));
    }
    too_large(path, metadata.len(), limits)
}

fn too_large(path: &TreePath, length: u64, limits: &Limits) -> Result<()> {
    if length > limits.file_bytes {
        return Err(StoreError::refused(
            path.as_str(),
            format!("is larger than {} bytes", limits.file_bytes),
        ));
    }
    Ok(())
}

fn open(full: &Path) -> std::io::Result<File> {
    // A link or FIFO that took the file's place since it was listed is not followed nor waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(full)
}

fn read_file(dir: &Path, path: &TreePath, limits: &Limits) -> Result<TreeFile> {
    let full = dir.join(path.as_str());
    let file = open(&full).map_err(StoreError::io("read", &full))?;
    let metadata = file.metadata().map_err(StoreError::io("read", &full))?;
    check(path, &metadata, limits)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(limits.file_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(StoreError::io("read", &full))?;
    too_large(path, bytes.len() as u64, limits)?;
    Ok(TreeFile { path: path.clone(), bytes, executable: metadata.mode() & 0o100 != 0 })
}

fn hash_file(
    dir: &Path,
    listed: &Listed,
    limits: &Limits,
    cache: &StatCache,
    now: SystemTime,
) -> Result<TreeEntry> {
    let path = &listed.path;
    let full = dir.join(path.as_str());
    let looked;
    let metadata = if let Some(metadata) = &listed.metadata {
        metadata
    } else {
        looked = fs::symlink_metadata(&full).map_err(StoreError::io("read", &full))?;
        &looked
    };
    check(path, metadata, limits)?;
    let key = Key::of(&full);
    let stamp = Stamp::of(metadata);
    if let Some(blob) = cache.get(&key, &stamp) {
        let executable = metadata.mode() & 0o100 != 0;
        return Ok(TreeEntry { path: path.clone(), length: metadata.len(), blob, executable });
    }
    let file = read_file(dir, path, limits)?;
    let after = fs::symlink_metadata(&full).map_err(StoreError::io("read", &full))?;
    let settled = Stamp::of(&after) == stamp && stamp.is_settled(now);
    let blob = Digest::of(&file.bytes);
    if settled {
        cache.record(key, stamp, blob);
    }
    Ok(file.entry(blob))
}
