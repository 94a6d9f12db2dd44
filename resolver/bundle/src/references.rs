//! What a lock refers to, and which of it is there.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::Digest;
use astrid_manifest::lock::Lock;
use astrid_store::Tree;

use crate::content;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// What an entry of the lock is: it decides what of an archive counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Capsule,
    Pack,
}

/// The content and archive of an entry.
#[derive(Debug)]
struct Held {
    words: String,
    kind: Kind,
    content: Digest,
}

/// Everything that a lock's entries name by digest.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Listings of trees, with who names them.
    listings: BTreeMap<Digest, String>,
    /// Archives, with what they must hold. That of an unsigned artifact may be left out.
    archives: BTreeMap<Digest, Vec<Held>>,
    needed_archives: BTreeSet<Digest>,
    /// Sigstore bundles of artifacts, with who names them.
    signatures: BTreeMap<Digest, String>,
    /// Files in the listings that were read, with their lengths.
    files: BTreeMap<Digest, u64>,
    most_files: usize,
}

/// What is in the file.
#[derive(Debug, Default)]
pub(crate) struct Present {
    pub(crate) blobs: BTreeMap<Digest, u64>,
    pub(crate) archives: BTreeSet<Digest>,
    pub(crate) signatures: BTreeSet<Digest>,
}

impl References {
    pub(crate) fn of(lock: &Lock, limits: &Limits) -> Self {
        let capsules = lock.capsules.iter().map(|one| {
            let words = format!("capsule `{}`", one.name);
            (words, Kind::Capsule, one.content, one.archive, one.bundle)
        });
        let packs = lock.packs.iter().map(|one| {
            let words = format!("pack `{}`", one.id);
            (words, Kind::Pack, one.content, one.archive, one.bundle)
        });
        let mut found = Self { most_files: limits.members, ..Self::default() };
        for (words, kind, content, archive, bundle) in capsules.chain(packs) {
            found.listings.entry(content).or_insert_with(|| words.clone());
            if let Some(bundle) = bundle {
                found.signatures.entry(bundle).or_insert_with(|| words.clone());
                found.needed_archives.extend(archive);
            }
            if let Some(archive) = archive {
                found.archives.entry(archive).or_default().push(Held { words, kind, content });
            }
        }
        found
    }

    pub(crate) fn is_listing(&self, digest: &Digest) -> bool {
        self.listings.contains_key(digest)
    }

    pub(crate) fn is_archive(&self, digest: &Digest) -> bool {
        self.archives.contains_key(digest)
    }

    /// Reads the listing `bytes`, and remembers what it names.
    pub(crate) fn list(&mut self, bytes: &[u8]) -> Result<()> {
        for entry in Tree::decode(bytes)?.entries() {
            if *self.files.entry(entry.blob).or_insert(entry.length) != entry.length {
                return Err(Error::unreadable(format!(
                    "listings in the bundle say two lengths of blob {}",
                    entry.blob
                )));
            }
        }
        if self.files.len() > self.most_files {
            return Err(Error::unreadable(format!(
                "listings in the bundle name more than {} blobs",
                self.most_files
            )));
        }
        Ok(())
    }

    /// Compares what the archive `digest` holds with the content that the lock has for it; what was unpacked for
    /// that is added to `unpacked`.
    pub(crate) fn check_archive(&self, digest: &Digest, bytes: &[u8], unpacked: &mut u64) -> Result<()> {
        // Several entries may name one archive: it is unpacked once for each kind.
        let mut known: BTreeMap<Kind, Digest> = BTreeMap::new();
        for held in self.archives.get(digest).into_iter().flatten() {
            let found = if let Some(found) = known.get(&held.kind) {
                *found
            } else {
                let place = format!("archives/{}", digest.hex());
                let files = match held.kind {
                    Kind::Capsule => content::of_capsule(bytes, &place, unpacked)?.0,
                    Kind::Pack => content::of_pack(bytes, &place, unpacked)?,
                };
                let found = Tree::of_files(&files)?.digest();
                known.insert(held.kind, found);
                found
            };
            if found != held.content {
                return Err(Error::mismatch(format!(
                    "the archive of {} holds {found}, and Distro.lock in the bundle says {}",
                    held.words, held.content
                ))
                .hint("don't use it: ask who sealed it"));
            }
        }
        Ok(())
    }

    /// Compares what is named with what is there; returns what is named and not there.
    pub(crate) fn compare(&self, present: &Present, is_differential: bool) -> Result<BTreeSet<Digest>> {
        let stranger = |folder: &str, digest: &Digest| {
            Error::unreadable(format!(
                "nothing in Distro.lock refers to `{folder}/{}` in the bundle",
                digest.hex()
            ))
        };
        for (digest, length) in &present.blobs {
            match self.files.get(digest) {
                Some(said) if said != length => {
                    return Err(Error::unreadable(format!(
                        "a listing in the bundle says another length of blob {digest}"
                    )));
                }
                Some(_) => {}
                None if self.is_listing(digest) => {}
                None => return Err(stranger("blobs", digest)),
            }
        }
        if let Some(digest) = present.archives.iter().find(|digest| !self.is_archive(digest)) {
            return Err(stranger("archives", digest));
        }
        if let Some(digest) = present.signatures.iter().find(|digest| !self.signatures.contains_key(digest)) {
            return Err(stranger("signatures", digest));
        }
        let mut missing = BTreeMap::new();
        for (digest, words) in &self.listings {
            if !present.blobs.contains_key(digest) {
                missing.insert(*digest, format!("the listing of {words}"));
            }
        }
        for digest in self.files.keys().filter(|digest| !present.blobs.contains_key(digest)) {
            missing.insert(*digest, "a file of a listing in it".to_owned());
        }
        for digest in self.needed_archives.difference(&present.archives) {
            missing.insert(*digest, "the archive of a signed artifact".to_owned());
        }
        for (digest, words) in &self.signatures {
            if !present.signatures.contains(digest) {
                missing.insert(*digest, format!("the signature of {words}"));
            }
        }
        match missing.first_key_value() {
            Some((digest, what)) if !is_differential => {
                Err(Error::unreadable(format!("the bundle lacks {what}: {digest}"))
                    .hint("it says that it is whole; seal the distro again"))
            }
            _ => Ok(missing.into_keys().collect()),
        }
    }
}
