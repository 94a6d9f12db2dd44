//! What nothing refers to any more, and what is corrupt.
//!
//! Marking is generous: any digest that occurs in a file of any generation keeps its blob, and a blob that is a
//! tree's listing keeps what it lists. What is only being fetched is kept by age.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use astrid_authority::Digest;

use crate::blob::Store;
use crate::disk::TEMPORARY_PREFIX;
use crate::error::{Result, StoreError};
use crate::generation::{Generations, Part};
use crate::parallel;
use crate::tree::Tree;
use crate::writer::WriterLock;

/// What to keep besides what the generations hold.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Digests that something else refers to, such as the lock of the repository one works in.
    pub digests: BTreeSet<Digest>,
    /// Keep what was written after this time: a fetch may be under way.
    pub newer_than: Option<SystemTime>,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs by digest, with their length in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// Served trees and compiled code, with their length in bytes.
    pub derived: BTreeMap<PathBuf, u64>,
    /// Files that a crash left, with their length in bytes.
    pub leftovers: BTreeMap<PathBuf, u64>,
    /// How many blobs stay.
    pub kept: usize,
}

impl Collected {
    /// The length in bytes of all that goes.
    pub fn bytes(&self) -> u64 {
        let all = self.blobs.values().chain(self.derived.values()).chain(self.leftovers.values());
        all.fold(0, |sum, length| sum.saturating_add(*length))
    }
}

/// What [`collect`] does about what it finds.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Only says what would go.
    DryRun,
    /// Removes it; needs the writer's lock.
    Remove(&'a WriterLock),
}

/// Finds what nothing refers to, and removes it when asked to.
///
/// # Errors
/// When a generation can't be read (then nothing is removed: what it needs is not known), or the operating
/// system refuses.
pub fn collect(store: &Store, keep: &Keep, mode: &Mode<'_>) -> Result<Collected> {
    let live = mark(store, keep)?;
    let old = |path: &Path| {
        let Some(limit) = keep.newer_than else { return true };
        let changed = std::fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
        changed.is_ok_and(|changed| changed <= limit)
    };
    let mut collected = Collected::default();
    for shard in entries(&store.home().blobs())? {
        for path in entries(&shard)? {
            match digest_of(&path) {
                Some(digest) if live.contains(&digest) || !old(&path) => collected.kept += 1,
                Some(digest) => {
                    collected.blobs.insert(digest, size(&path));
                }
                None if is_leftover(&path) && old(&path) => {
                    collected.leftovers.insert(path.clone(), size(&path));
                }
                None => {}
            }
        }
    }
    for folder in [store.home().trees(), store.home().compiled()] {
        for path in entries(&folder)? {
            // Compiled code is named by its component's digest, whatever follows.
            let source = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.get(..64));
            let dead = match source.and_then(|hex| Digest::from_hex(hex).ok()) {
                Some(source) => !live.contains(&source),
                None => is_leftover(&path),
            };
            if dead && old(&path) {
                collected.derived.insert(path.clone(), size(&path));
            }
        }
    }
    leftovers(store.home().root(), 0, &mut collected.leftovers, &old)?;
    for folder in ["etc", "keys", "secrets", "trust", "var", "run"] {
        leftovers(&store.home().root().join(folder), 3, &mut collected.leftovers, &old)?;
    }
    if let Mode::Remove(_) = mode {
        remove(store, &collected)?;
    }
    Ok(collected)
}

/// Files that a crash left beside their place, in `folder` and `depth` levels below it.
fn leftovers(
    folder: &Path,
    depth: usize,
    found: &mut BTreeMap<PathBuf, u64>,
    old: &impl Fn(&Path) -> bool,
) -> Result<()> {
    for path in entries(folder)? {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            if depth > 0 {
                leftovers(&path, depth - 1, found, old)?;
            }
        } else if is_leftover(&path) && old(&path) {
            found.insert(path, metadata.len());
        }
    }
    Ok(())
}

fn remove(store: &Store, collected: &Collected) -> Result<()> {
    let disk = store.disk();
    // What is made from blobs goes first: it must not outlive what it was made from.
    for path in collected.derived.keys() {
        if path.is_dir() { disk.remove_tree(path)? } else { disk.remove_file_unflushed(path)? }
    }
    for path in collected.leftovers.keys() {
        disk.remove_file_unflushed(path)?;
    }
    for digest in collected.blobs.keys() {
        disk.remove_file_unflushed(&store.path(digest))?;
    }
    Generations::new(store.home().clone(), disk.clone()).remove_leftovers()
}

/// All digests that a generation or the caller refers to, and what they lead to.
fn mark(store: &Store, keep: &Keep) -> Result<BTreeSet<Digest>> {
    let mut live = keep.digests.clone();
    let generations = Generations::new(store.home().clone(), store.disk().clone());
    for number in generations.list()? {
        let generation = generations.open(number)?;
        let inventory = generation.inventory()?;
        live.extend(inventory.blobs);
        live.extend(inventory.packs.values().map(|pack| pack.content));
        for capsule in inventory.capsules.values() {
            live.extend([capsule.content, capsule.manifest]);
            live.extend(capsule.component);
        }
        for part in [Part::Lock, Part::Acknowledgements, Part::Plan] {
            mentioned(&generation.read(part)?.unwrap_or_default(), &mut live);
        }
    }
    let roots: Vec<Digest> = live.iter().copied().collect();
    let listed = parallel::map(&roots, store.disk().parallelism(), |root| listed(store, root))?;
    live.extend(listed.into_iter().flatten());
    Ok(live)
}

/// The digests that a text mentions, in the form that all our files use.
pub fn mentioned(text: &[u8], digests: &mut BTreeSet<Digest>) {
    const PREFIX: &[u8] = b"blake3:";
    let mut rest = text;
    while let Some(start) = rest.windows(PREFIX.len()).position(|window| window == PREFIX) {
        rest = &rest[start + PREFIX.len()..];
        let hex = rest.get(..64).and_then(|hex| std::str::from_utf8(hex).ok());
        digests.extend(hex.and_then(|hex| Digest::from_hex(hex).ok()));
    }
}

/// What the blob `root` lists, when it is a listing.
fn listed(store: &Store, root: &Digest) -> Result<Vec<Digest>> {
    use std::io::Read;
    let path = store.path(root);
    let mut start = [0; 16];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read(&mut start));
    if !read.is_ok_and(|length| Tree::is_listing(&start[..length])) {
        return Ok(Vec::new());
    }
    // A damaged listing is an error: not knowing what it keeps, nothing may be removed.
    Ok(store.tree(root)?.entries().iter().map(|entry| entry.blob).collect())
}

/// What [`verify_store`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many blobs are what their names promise.
    pub sound: usize,
    /// The length in bytes of those.
    pub bytes: u64,
    /// Blobs that are not, by the digest in their name.
    pub corrupt: BTreeSet<Digest>,
}

/// Hashes every blob.
///
/// # Errors
/// When the operating system refuses; corrupt blobs are in the answer.
pub fn verify_store(store: &Store) -> Result<Verified> {
    let mut blobs = Vec::new();
    for shard in entries(&store.home().blobs())? {
        blobs.extend(entries(&shard)?.into_iter().filter_map(|path| digest_of(&path)));
    }
    let found = parallel::map(&blobs, store.disk().parallelism(), |digest| match store.get(digest) {
        Ok(bytes) => Ok(Some(bytes.len() as u64)),
        Err(StoreError::CorruptBlob { .. }) => Ok(None),
        Err(error) => Err(error),
    })?;
    let mut verified = Verified::default();
    for (digest, length) in blobs.into_iter().zip(found) {
        if let Some(length) = length {
            verified.sound += 1;
            verified.bytes = verified.bytes.saturating_add(length);
        } else {
            verified.corrupt.insert(digest);
        }
    }
    Ok(verified)
}

/// Moves a corrupt blob out of the store, so that it can be fetched again; returns where it is now.
///
/// # Errors
/// When the blob is sound or not there, or the operating system refuses.
pub fn quarantine(store: &Store, digest: &Digest, _writer: &WriterLock) -> Result<PathBuf> {
    match store.get(digest) {
        Err(StoreError::CorruptBlob { .. }) => {}
        Ok(_) => return Err(StoreError::refused(digest.to_string(), "is not corrupt")),
        Err(error) => return Err(error),
    }
    let folder = store.home().quarantine();
    store.disk().create_dir(&folder, 0o700)?;
    let place = folder.join(digest.hex());
    store.disk().rename(&store.path(digest), &place)?;
    Ok(place)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(StoreError::io("read the folder", folder)(error)),
    };
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(StoreError::io("read the folder", folder))?;
    paths.sort_unstable();
    Ok(paths)
}

fn digest_of(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?).ok()
}

fn is_leftover(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY_PREFIX))
}

/// The length in bytes of a file, or of all files in a folder.
fn size(path: &Path) -> u64 {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            entries(path).unwrap_or_default().iter().fold(0, |sum, path| sum.saturating_add(size(path)))
        }
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}
