//! Digests of files that did not change since they were hashed.
//!
//! A file is taken for unchanged when its size, modification and change times, inode and device are those
//! that were seen when it was hashed. A file that changed within the clock's grain of being hashed could
//! keep all of them, so a digest is remembered only for files that had been still for [`GRAIN`] by then:
//! a fresh file is hashed again until it is old enough. Only `plan` may use this.
//!
//! The file is a header, fixed-size records sorted by key, and a BLAKE3 checksum. It is searched where it
//! lies, so that loading 30,000 digests costs one read. A file that can't be understood is an empty cache.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use astrid_authority::Digest;

use crate::disk::Disk;
use crate::error::Result;
use crate::home::read_optional;

/// The coarsest step of any file system's clock that we expect (FAT and some network ones: 2 seconds).
pub const GRAIN: Duration = Duration::from_secs(2);

const HEADER: &[u8] = b"astrid-stat-cache 1\n";
const KEY: usize = 16;
const STAMP: usize = 56;
const RECORD: usize = KEY + STAMP + 32;
const CHECKSUM: usize = 32;
/// Beyond this many records, those that this run did not use are dropped: 26 MB.
const MAX_RECORDS: usize = 250_000;

/// A path, shortened: 128 bits of the BLAKE3 digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; KEY]);

impl Key {
    /// The key of a path.
    pub fn of(path: &Path) -> Self {
        let mut key = [0; KEY];
        key.copy_from_slice(&blake3::hash(path.as_os_str().as_bytes()).as_bytes()[..KEY]);
        Self(key)
    }
}

/// What a file's metadata says about whether it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([u8; STAMP]);

impl Stamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let mut stamp = [0; STAMP];
        let parts = [
            metadata.len().to_le_bytes(),
            metadata.mtime().to_le_bytes(),
            metadata.mtime_nsec().to_le_bytes(),
            metadata.ctime().to_le_bytes(),
            metadata.ctime_nsec().to_le_bytes(),
            metadata.ino().to_le_bytes(),
            metadata.dev().to_le_bytes(),
        ];
        for (place, part) in stamp.chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part);
        }
        Self(stamp)
    }

    fn seconds(&self, index: usize) -> i64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[index * 8..][..8]);
        i64::from_le_bytes(bytes)
    }

    /// Whether the file had been still for long enough at `now` that a later change shows.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
        let newest = self.seconds(1).max(self.seconds(3));
        // Whole seconds, rounded against the file: it may be almost a second newer than it says.
        let newest = u64::try_from(newest).unwrap_or_default().saturating_add(1);
        newest.saturating_add(GRAIN.as_secs()) <= now.as_secs()
    }
}

/// Digests by path and stamp. May be used from many threads at once.
#[derive(Debug, Default)]
pub struct StatCache {
    /// Sorted records, as they lie in the file, without header and checksum.
    records: Vec<u8>,
    /// Which records this run used, in their order.
    used: Vec<AtomicBool>,
    fresh: Mutex<BTreeMap<Key, (Stamp, Digest)>>,
}

impl StatCache {
    /// Reads the cache at `path`; one that is missing or damaged is empty.
    pub fn load(path: &Path) -> Self {
        let bytes = read_optional(path).ok().flatten().unwrap_or_default();
        let records: Vec<u8> = bytes
            .len()
            .checked_sub(CHECKSUM)
            .map(|end| bytes.split_at(end))
            .filter(|(content, checksum)| blake3::hash(content).as_bytes() == checksum)
            .and_then(|(content, _)| content.strip_prefix(HEADER))
            .filter(|records| records.len().is_multiple_of(RECORD))
            .map(<[u8]>::to_vec)
            .unwrap_or_default();
        let used = std::iter::repeat_with(AtomicBool::default).take(records.len() / RECORD).collect();
        Self { records, used, fresh: Mutex::default() }
    }

    /// How many digests it holds.
    pub fn len(&self) -> usize {
        self.fresh().len() + self.records.len() / RECORD
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn fresh(&self) -> MutexGuard<'_, BTreeMap<Key, (Stamp, Digest)>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of the file `key`, if it was hashed with this very stamp.
    pub fn get(&self, key: &Key, stamp: &Stamp) -> Option<Digest> {
        self.recorded(key, stamp).or_else(|| {
            let fresh = self.fresh();
            fresh.get(key).filter(|(seen, _)| seen == stamp).map(|(_, digest)| *digest)
        })
    }

    fn recorded(&self, key: &Key, stamp: &Stamp) -> Option<Digest> {
        let (records, _) = self.records.as_chunks::<RECORD>();
        let index = records.binary_search_by(|record| record[..KEY].cmp(&key.0)).ok()?;
        let record = &records[index];
        let digest = record[KEY + STAMP..].try_into().ok()?;
        if record[KEY..KEY + STAMP] != stamp.0 {
            return None;
        }
        if let Some(used) = self.used.get(index) {
            used.store(true, Ordering::Relaxed);
        }
        Some(Digest::from_bytes(digest))
    }

    /// Remembers a digest; the caller has seen that the stamp [`Stamp::is_settled`].
    pub fn record(&self, key: Key, stamp: Stamp, digest: Digest) {
        self.fresh().insert(key, (stamp, digest));
    }

    /// Writes the cache to `path` if anything was added; its folder must exist.
    ///
    /// # Errors
    /// When the operating system refuses; that costs speed only.
    pub fn save(&self, disk: &Disk, path: &Path) -> Result<()> {
        if self.fresh().is_empty() {
            return Ok(());
        }
        disk.write_atomic(path, &self.encode(MAX_RECORDS), 0o600)
    }

    fn encode(&self, most: usize) -> Vec<u8> {
        let crowded = self.len() > most;
        let mut bytes = Vec::with_capacity(HEADER.len() + self.len() * RECORD + CHECKSUM);
        bytes.extend_from_slice(HEADER);
        let fresh = self.fresh();
        let mut fresh = fresh.iter().peekable();
        let push = |bytes: &mut Vec<u8>, (key, (stamp, digest)): (&Key, &(Stamp, Digest))| {
            bytes.extend_from_slice(&key.0);
            bytes.extend_from_slice(&stamp.0);
            bytes.extend_from_slice(digest.as_bytes());
        };
        let (records, _) = self.records.as_chunks::<RECORD>();
        for (record, used) in records.iter().zip(&self.used) {
            let mut key = Key([0; KEY]);
            key.0.copy_from_slice(&record[..KEY]);
            while let Some(entry) = fresh.next_if(|(next, _)| **next < key) {
                push(&mut bytes, entry);
            }
            let replaced = fresh.peek().is_some_and(|(next, _)| **next == key);
            if !replaced && (!crowded || used.load(Ordering::Relaxed)) {
                bytes.extend_from_slice(record);
            }
        }
        for entry in fresh {
            push(&mut bytes, entry);
        }
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }
}
