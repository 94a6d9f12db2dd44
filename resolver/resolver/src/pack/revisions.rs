//! What a pack was before: its content in every generation that is still there, and what was kept besides.

use std::collections::BTreeSet;
use std::path::PathBuf;

use astrid_authority::{Digest, PackId};
use astrid_manifest::lock::{Lock, LockedPack};
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::{Ack, AckFile};
use astrid_store::gc::mentioned;
use astrid_store::generation::{GenerationNumber, Generations};
use astrid_store::writer::WriterLock;

use crate::apply::generation_acks;
use crate::brought::{Brought, Place};
use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::observed::{Depth, check_content};

/// One content that a pack had.
#[derive(Debug, Clone)]
pub struct Revision {
    /// What it was pinned to.
    pub locked: LockedPack,
    /// The lock that says so, with the capsules that it brought.
    pub lock: Lock,
    /// The generations that hold it, newest first; none when it was only kept.
    pub generations: Vec<GenerationNumber>,
    /// The acknowledgements that it was applied with, and the generation that wrote them down.
    pub acks: Vec<(GenerationNumber, Ack)>,
    /// When it came, as its record says.
    pub installed_at: Option<String>,
    /// It is what is installed now.
    pub is_active: bool,
}

/// Every content that the home still has of a pack, newest first.
///
/// # Errors
/// When the home can't be read.
pub fn revisions(context: &Context, id: &PackId) -> Result<Vec<Revision>> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let current = generations.current_number()?;
    let mut found: Vec<Revision> = Vec::new();
    let mut numbers = generations.list()?;
    // The current one first: a rollback made an older one current.
    numbers.sort_by_key(|number| (Some(*number) != current, std::cmp::Reverse(*number)));
    for number in numbers {
        let Ok(generation) = generations.open(number) else { continue };
        // A generation that is damaged must not hide the others.
        let Ok(Ok(parsed)) = generation.lock().map(|text| Lock::parse("Distro.lock", &text)) else {
            continue;
        };
        let lock = parsed.value;
        let Some(locked) = lock.pack(id.as_str()).cloned() else { continue };
        let subject = Subject::Pack(id.clone());
        let acks = generation_acks(&generation).unwrap_or_default();
        let acks = acks.into_iter().filter(|ack| ack.subject == subject).map(|ack| (number, ack));
        if let Some(known) = found.iter_mut().find(|own| own.locked.content == locked.content) {
            known.generations.push(number);
            known.acks.extend(acks);
            continue;
        }
        let record = generation.record(id).ok().flatten();
        let record: Option<serde_json::Value> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let installed_at = record.and_then(|record| record["installed_at"].as_str().map(str::to_owned));
        found.push(Revision {
            is_active: Some(number) == current,
            generations: vec![number],
            acks: acks.collect(),
            installed_at,
            locked,
            lock,
        });
    }
    for (lock, acks) in kept(context, id)? {
        let Some(locked) = lock.pack(id.as_str()).cloned() else { continue };
        if found.iter().all(|own| own.locked.content != locked.content) {
            found.push(Revision {
                is_active: false,
                generations: Vec::new(),
                acks,
                installed_at: None,
                locked,
                lock,
            });
        }
    }
    Ok(found)
}

impl Revision {
    /// Its digest.
    #[must_use]
    pub fn content(&self) -> Digest {
        self.locked.content
    }

    /// Whether every blob of it is still there.
    #[must_use]
    pub fn is_complete(&self, context: &Context) -> bool {
        check_content(&context.store, &self.content(), Depth::Presence).is_none()
    }

    /// A lock in which this pack is as it was then, and everything else as in `now`.
    #[must_use]
    pub fn in_lock(&self, now: &Lock) -> Lock {
        let id = &self.locked.id;
        let mut lock = now.clone();
        lock.packs.retain(|own| own.id != *id);
        lock.capsules.retain(|own| own.pack.as_ref() != Some(id));
        lock.packs.push(self.locked.clone());
        lock.capsules.extend(self.lock.capsules.iter().filter(|own| own.pack.as_ref() == Some(id)).cloned());
        lock.sort();
        lock
    }

    /// Takes note that this home got it from where its lock says, so that going back to it asks nobody: what a
    /// generation of this home holds was brought by this home. The note is for `context`, whose run looks only.
    ///
    /// # Errors
    /// When the note can't be written.
    pub fn vouch(&self, context: &Context, declaration: &Declaration) -> Result<()> {
        let locked = &self.locked;
        let from = Place::new(declaration, &locked.source, locked.commit.as_deref(), locked.archive);
        let brought = Brought::load(context);
        brought.remember(&from, locked.content);
        brought.save(context)
    }

    /// The lock with this pack alone, for keeping it.
    fn alone(&self) -> Lock {
        let id = &self.locked.id;
        let mut lock = self.lock.clone();
        lock.packs.retain(|own| own.id == *id);
        lock.capsules.retain(|own| own.pack.as_ref() == Some(id));
        lock.selection.clear();
        lock
    }
}

fn folder(context: &Context, id: &PackId) -> PathBuf {
    context.home.kept_revisions().join(id.as_str())
}

/// An acknowledgement, and the generation that wrote it down.
type Given = (GenerationNumber, Ack);

fn kept(context: &Context, id: &PackId) -> Result<Vec<(Lock, Vec<Given>)>> {
    let mut all = Vec::new();
    for (path, text) in texts(&folder(context, id), "lock")? {
        let lock = Lock::parse("a kept revision", &text).map_err(Error::from)?.value;
        let mut acks = Vec::new();
        // The file is called after the generation that had it.
        let number = path.file_stem().and_then(|name| name.to_str()?.split_once('-')?.0.parse().ok());
        if let Some(number) = number.and_then(GenerationNumber::new) {
            let text = std::fs::read_to_string(path.with_extension("toml")).unwrap_or_default();
            let file =
                AckFile::parse("a kept revision", &text).map(|parsed| parsed.value).unwrap_or_default();
            acks.extend(file.acks.into_iter().map(|ack| (number, ack)));
        }
        all.push((lock, acks));
    }
    Ok(all)
}

fn texts(folder: &std::path::Path, ending: &str) -> Result<Vec<(PathBuf, String)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed("the kept revisions can't be read").caused_by(error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|own| own == ending));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::failed("a kept revision can't be read").caused_by(error))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

/// Writes down revisions of a pack, so that gc leaves their bytes.
///
/// # Errors
/// When the home can't be written.
pub fn keep_revisions(context: &Context, revisions: &[Revision], _writer: &WriterLock) -> Result<()> {
    let disk = context.store.disk();
    for revision in revisions {
        // One that was kept before stays as it is.
        let Some(number) = revision.generations.first() else { continue };
        let folder = folder(context, &revision.locked.id);
        disk.create_dir(&folder, 0o700)?;
        let path = folder.join(format!("{number}-{}.lock", revision.content().hex()));
        disk.write_atomic(&path, revision.alone().to_toml().as_bytes(), 0o600)?;
        let acks: Vec<Ack> =
            revision.acks.iter().filter(|(own, _)| own == number).map(|(_, ack)| ack.clone()).collect();
        disk.write_atomic(&path.with_extension("toml"), AckFile { acks }.to_toml().as_bytes(), 0o600)?;
    }
    Ok(())
}

/// Forgets the kept revisions of a pack; says whether there were some.
///
/// # Errors
/// When the home can't be written.
pub fn forget_revisions(context: &Context, id: &PackId, _writer: &WriterLock) -> Result<bool> {
    let folder = folder(context, id);
    let there = folder.is_dir();
    if there {
        context.store.disk().remove_tree(&folder)?;
    }
    Ok(there)
}

/// The ids of packs whose revisions were kept.
///
/// # Errors
/// When the home can't be read.
pub fn kept_packs(context: &Context) -> Result<BTreeSet<PackId>> {
    let entries = match std::fs::read_dir(context.home.kept_revisions()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Error::failed("the kept revisions can't be read").caused_by(error)),
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// What kept revisions refer to: gc leaves it.
///
/// # Errors
/// When the home can't be read: then nothing may be removed, because what is needed is not known.
pub fn kept_digests(context: &Context) -> Result<BTreeSet<Digest>> {
    let mut digests = BTreeSet::new();
    for id in kept_packs(context)? {
        for (_, text) in texts(&folder(context, &id), "lock")? {
            mentioned(text.as_bytes(), &mut digests);
        }
    }
    Ok(digests)
}
