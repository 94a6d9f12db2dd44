//! Opening version 2: every member is compared with the statement, then the documents with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use astrid_authority::Digest;
use astrid_manifest::distro::{Distro, IndexLocation, manifest_hash};
use astrid_manifest::lock::Lock;
use astrid_manifest::source::Source;
use astrid_manifest::trust::AckFile;
use astrid_provenance::Statement;
use sha2::Digest as _;

use crate::container::{self, End};
use crate::content;
use crate::error::{Error, Result};
use crate::limits::{Limits, SIGNATURE_BYTES};
use crate::member::Member;
use crate::references::{Present, References};
use crate::sbom;
use crate::shuttle::{Documents, check_document, read_whole};
use crate::statement::{Hashes, Predicate, Promise};

/// What an opened bundle of version 2 says.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) statement: Statement,
    pub(crate) statement_bytes: Vec<u8>,
    pub(crate) predicate: Predicate,
    pub(crate) declaration_text: String,
    pub(crate) distro: Distro,
    pub(crate) lock_text: String,
    pub(crate) lock: Lock,
    pub(crate) acknowledgements: BTreeMap<String, AckFile>,
    pub(crate) missing: BTreeSet<Digest>,
    references: References,
    documents: Documents,
}

impl Contents {
    /// Compares an archive that was left out with what the lock says of it.
    pub(crate) fn check_archive(&self, bytes: &[u8]) -> Result<()> {
        self.references.check_archive(&Digest::of(bytes), bytes, &mut 0)
    }

    pub(crate) fn is_archive(&self, digest: &Digest) -> bool {
        self.references.is_archive(digest)
    }

    pub(crate) fn bytes(&self, member: &Member) -> Option<&[u8]> {
        self.documents.get(member)
    }

    pub(crate) fn text(&self, member: &Member) -> Option<&str> {
        std::str::from_utf8(self.bytes(member)?).ok()
    }
}

/// A bundle of version 2, as far as it was read.
pub(crate) struct Reading {
    limits: Limits,
    promise: Option<(Promise, Vec<u8>)>,
    documents: Documents,
    lock: Option<(Lock, References)>,
    present: Present,
    last: Option<Member>,
    seen: u64,
    total: u64,
    /// How many bytes the archives in it hold.
    unpacked: u64,
    /// The first member whose bytes are others. It is told last, since structure is told first.
    mismatch: Option<Error>,
}

impl Reading {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            promise: None,
            documents: Documents::default(),
            lock: None,
            present: Present::default(),
            last: None,
            seen: 0,
            total: 0,
            unpacked: 0,
            mismatch: None,
        }
    }

    pub(crate) fn member(&mut self, entry: &container::Entry, content: &mut dyn Read) -> Result<Digest> {
        let member = Member::parse(&entry.path).ok_or_else(|| {
            Error::unreadable(format!("`{}` is no member that a bundle may have", entry.path.escape_debug()))
        })?;
        match &self.last {
            Some(last) if *last == member => {
                return Err(Error::unreadable(format!("`{member}` is in the bundle twice")));
            }
            Some(last) if *last > member => {
                return Err(Error::unreadable(format!(
                    "`{member}` is in the wrong place: after `{last}`, or twice"
                )));
            }
            _ => self.last = Some(member.clone()),
        }
        if !entry.is_canonical {
            return Err(Error::unreadable(format!(
                "the header of `{member}` is not written as a bundle's is"
            )));
        }
        if member == Member::Statement {
            let bytes = self.documents.read(entry, content, &self.limits)?;
            let digest = Digest::of(&bytes);
            self.promise = Some((Promise::read(&bytes)?, bytes));
            return Ok(digest);
        }
        if member == Member::Signature {
            let most = self.limits.document_bytes.max(SIGNATURE_BYTES as u64);
            let bytes =
                self.documents.read(entry, content, &Limits { document_bytes: most, ..self.limits })?;
            let digest = Digest::of(&bytes);
            self.documents.keep(member, bytes);
            return Ok(digest);
        }
        let (promise, _) = self.promise.as_ref().ok_or_else(|| Error::unreadable("it has no bundle.json"))?;
        let promised = *promise
            .members
            .get(&member)
            .ok_or_else(|| Error::unreadable(format!("`{member}` is not named by bundle.json")))?;
        self.seen += 1;
        self.total = self.total.saturating_add(entry.size);
        let found = self.subject(&member, &promised, entry, content)?;
        Ok(found.blake3)
    }

    /// Reads a member that the statement names.
    fn subject(
        &mut self,
        member: &Member,
        promised: &Hashes,
        entry: &container::Entry,
        content: &mut dyn Read,
    ) -> Result<Hashes> {
        let wants_listing =
            |digest: &Digest| self.lock.as_ref().is_some_and(|(_, references)| references.is_listing(digest));
        let wants_archive =
            |digest: &Digest| self.lock.as_ref().is_some_and(|(_, references)| references.is_archive(digest));
        let kept = match member {
            Member::Blob(digest) if wants_listing(digest) => {
                check_document(entry, &self.limits)?;
                Some(read_whole(content)?)
            }
            Member::Archive(digest) if wants_archive(digest) => Some(read_whole(content)?),
            Member::Blob(_) | Member::Archive(_) => None,
            Member::ArtifactSignature(_) => {
                check_document(entry, &self.limits)?;
                Some(read_whole(content)?)
            }
            _ => Some(self.documents.read(entry, content, &self.limits)?),
        };
        let found = match &kept {
            Some(bytes) => Hashes::of(bytes),
            None => hash(content)?,
        };
        if found != *promised {
            self.mismatch(Error::mismatch(format!(
                "`{member}` is {}, and bundle.json says {}",
                found.blake3, promised.blake3
            )));
            return Ok(found);
        }
        if member.digest().is_some_and(|named| named != found.blake3) {
            self.mismatch(Error::mismatch(format!("`{member}` is {}, which is not its name", found.blake3)));
            return Ok(found);
        }
        self.take(member, entry.size, kept)?;
        Ok(found)
    }

    fn mismatch(&mut self, error: Error) {
        self.mismatch
            .get_or_insert_with(|| error.hint("copy it again; if that is of no use, ask who sealed it"));
    }

    /// Takes a member whose bytes are the promised ones.
    fn take(&mut self, member: &Member, size: u64, kept: Option<Vec<u8>>) -> Result<()> {
        match (member, kept) {
            (Member::Blob(digest), kept) => {
                self.present.blobs.insert(*digest, size);
                if let (Some(bytes), Some((_, references))) = (kept, &mut self.lock) {
                    references.list(&bytes)?;
                }
            }
            (Member::Archive(digest), kept) => {
                self.present.archives.insert(*digest);
                if let (Some(bytes), Some((_, references))) = (kept, &self.lock)
                    && let Err(error) = references.check_archive(digest, &bytes, &mut self.unpacked)
                {
                    if error.kind() != crate::ErrorKind::Mismatch {
                        return Err(error);
                    }
                    self.mismatch.get_or_insert(error);
                }
                content::check_unpacked(self.unpacked, self.limits.total_bytes)?;
            }
            (Member::ArtifactSignature(digest), _) => {
                self.present.signatures.insert(*digest);
            }
            (member, Some(bytes)) => {
                self.documents.keep(member.clone(), bytes);
                if *member == Member::Lock {
                    let lock = read_lock(&self.documents)?;
                    let references = References::of(&lock, &self.limits);
                    self.lock = Some((lock, references));
                }
            }
            (_, None) => {}
        }
        Ok(())
    }

    pub(crate) fn finish(self, end: &End) -> Result<Contents> {
        if !end.is_canonical {
            return Err(Error::unreadable("its beginning or its end is not written as a bundle's is"));
        }
        let (promise, statement_bytes) =
            self.promise.ok_or_else(|| Error::unreadable("it has no bundle.json"))?;
        // Every one that was seen is named, and none was seen twice.
        if self.seen != promise.members.len() as u64 {
            return Err(Error::unreadable(format!(
                "bundle.json names {} members, and {} are there",
                promise.members.len(),
                self.seen
            ))
            .hint("copy it again; if that is of no use, ask who sealed it"));
        }
        if self.total != promise.predicate.total_bytes {
            return Err(Error::unreadable("bundle.json contradicts itself about the total of bytes"));
        }
        if let Some(mismatch) = self.mismatch {
            return Err(mismatch);
        }
        let (lock, references) = self.lock.ok_or_else(|| Error::unreadable("it has no Distro.lock"))?;
        let documents = self.documents;
        let declaration_text = needed_text(&documents, &Member::Declaration)?;
        let lock_text = needed_text(&documents, &Member::Lock)?;
        let distro = Distro::parse("Distro.toml", &declaration_text)
            .map_err(|complaints| Error::document("Distro.toml", &complaints))?
            .value;
        check_identity(&distro, &lock, &promise.predicate)?;
        check_sources(&distro, &lock)?;
        sbom::check(documents.get(&Member::Sbom).unwrap_or_default(), &lock)?;
        let mut acknowledgements = BTreeMap::new();
        for member in documents.iter() {
            documents.text(member)?;
            if let Member::Acknowledgements(name) = member {
                let text = documents.text(member)?.unwrap_or_default();
                let file = AckFile::parse(&member.path(), text)
                    .map_err(|complaints| Error::document(&member.path(), &complaints))?;
                acknowledgements.insert(name.clone(), file.value);
            }
        }
        let missing = references.compare(&self.present, promise.predicate.since.is_some())?;
        if promise.predicate.since == Some(promise.predicate.lock) {
            return Err(Error::unreadable("the bundle is the difference of a lock to itself"));
        }
        if let Some(signature) = documents.get(&Member::Signature) {
            crate::payload::check(signature, &statement_bytes)?;
        }
        Ok(Contents {
            statement: promise.statement,
            statement_bytes,
            predicate: promise.predicate,
            declaration_text,
            distro,
            lock_text,
            lock,
            acknowledgements,
            missing,
            references,
            documents,
        })
    }
}

fn hash(content: &mut dyn Read) -> Result<Hashes> {
    let mut blake3 = blake3::Hasher::new();
    let mut sha256 = sha2::Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = content.read(&mut buffer).map_err(|error| container::refusal(&error))?;
        if length == 0 {
            let blake3 = Digest::from_bytes(*blake3.finalize().as_bytes());
            return Ok(Hashes { blake3, sha256: sha256.finalize().into() });
        }
        blake3.update(&buffer[..length]);
        sha256.update(&buffer[..length]);
    }
}

fn needed_text(documents: &Documents, member: &Member) -> Result<String> {
    let text = documents.text(member)?;
    text.map(str::to_owned).ok_or_else(|| Error::unreadable(format!("it has no {member}")))
}

fn read_lock(documents: &Documents) -> Result<Lock> {
    let text = documents.text(&Member::Lock)?.unwrap_or_default();
    let lock = Lock::parse("Distro.lock", text)
        .map_err(|complaints| Error::document("Distro.lock", &complaints))?
        .value;
    if lock.to_toml() != text {
        return Err(Error::unreadable("Distro.lock in the bundle is not in canonical form")
            .hint("seal the distro again"));
    }
    Ok(lock)
}

/// Declaration, lock and statement speak of the same distro.
fn check_identity(distro: &Distro, lock: &Lock, predicate: &Predicate) -> Result<()> {
    let header = &distro.header;
    let named = [
        ("Distro.toml", &header.id, &header.version),
        ("bundle.json", &predicate.distro.id, &predicate.distro.version),
    ];
    for (document, id, version) in named {
        if *id != lock.distro.id || *version != lock.distro.version {
            return Err(Error::unreadable(format!(
                "{document} in the bundle is about {id} {version}, and Distro.lock about {} {}",
                lock.distro.id, lock.distro.version
            )));
        }
    }
    if manifest_hash(distro) != lock.manifest_hash {
        return Err(Error::mismatch("Distro.lock in the bundle was made from another Distro.toml")
            .hint("don't use it: ask who sealed it"));
    }
    Ok(())
}

/// Nothing in a bundle may name a place of the machine that it is read on.
fn check_sources(distro: &Distro, lock: &Lock) -> Result<()> {
    let declared = distro.capsules.iter().map(|one| (one.name.as_str(), &one.source));
    let declared = declared.chain(distro.packs.iter().map(|one| (one.id.as_str(), &one.source)));
    let locked = lock.capsules.iter().map(|one| (one.name.as_str(), &one.source));
    let locked = locked.chain(lock.packs.iter().map(|one| (one.id.as_str(), &one.source)));
    if let Some((name, source)) = declared.chain(locked).find(|(_, source)| is_local(source)) {
        return Err(Error::unreadable(format!(
            "the source `{source}` of `{name}` is a place of one machine, which a bundle may not name"
        ))
        .hint("use a path beside Distro.toml, or a source that everybody can reach"));
    }
    let indexes = distro.indexes.iter();
    let mut local = indexes.filter(|one| matches!(&one.url, IndexLocation::Path(path) if path.is_absolute()));
    match local.next() {
        None => Ok(()),
        Some(one) => Err(Error::unreadable(format!(
            "the index `{}` is a place of one machine, which a bundle may not name",
            one.name
        ))),
    }
}

fn is_local(source: &Source) -> bool {
    source.is_local_only()
}
