//! A shuttle that was opened: every rule of the format holds, and nothing of who made it is known yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use astrid_authority::Digest;
use astrid_manifest::distro::Distro;
use astrid_manifest::lock::Lock;
use astrid_manifest::trust::AckFile;
use astrid_provenance::Statement;
use astrid_store::Batch;

use crate::container;
use crate::content;
use crate::error::{Error, ErrorKind, Result};
use crate::legacy::{self, Legacy};
use crate::limits::Limits;
use crate::medium::Medium;
use crate::member::Member;
use crate::open::{self, Contents};
use crate::statement::Predicate;

/// A member as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in the file.
    pub path: String,
    /// How many bytes it has.
    pub size: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// An opened bundle. Its members are whole and consistent; whose they are is for others to find out.
#[derive(Debug)]
pub struct Shuttle {
    medium: Medium,
    limits: Limits,
    entries: Vec<Entry>,
    contents: AnyContents,
}

#[derive(Debug)]
enum AnyContents {
    V1(Box<Legacy>),
    V2(Box<Contents>),
}

enum Reading {
    V1(legacy::Reading),
    V2(Box<open::Reading>),
}

impl Shuttle {
    /// Opens a file, reading all of it once; only documents are kept in memory.
    ///
    /// # Errors
    /// `Unreadable` for whatever is not exactly a bundle, `Mismatch` when bytes are not what it promises of them,
    /// `Refused` when its signature is of another bundle, `Failed` from the operating system.
    pub fn open(file: File, limits: &Limits) -> Result<Self> {
        Self::read(Medium::File(file), limits)
    }

    /// Opens bytes in memory.
    ///
    /// # Errors
    /// As [`Shuttle::open`].
    pub fn from_bytes(bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        Self::read(Medium::Memory(bytes), limits)
    }

    fn read(medium: Medium, limits: &Limits) -> Result<Self> {
        let length = medium.length().map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => Error::unreadable("a bundle is a regular file"),
            _ => Error::reading(&error),
        })?;
        if length > limits.compressed_bytes {
            return Err(Error::unreadable(format!(
                "the file is larger than {} bytes",
                limits.compressed_bytes
            )));
        }
        let mut reading: Option<Reading> = None;
        let mut entries = Vec::new();
        let end = container::walk(medium.reader(), limits, &mut |entry, content| {
            let reading = match &mut reading {
                Some(reading) => reading,
                None if entry.path == Member::Statement.path() => {
                    reading.insert(Reading::V2(Box::new(open::Reading::new(limits))))
                }
                None => reading.insert(Reading::V1(legacy::Reading::new(limits))),
            };
            let digest = match reading {
                Reading::V1(reading) => reading.member(entry, content)?,
                Reading::V2(reading) => reading.member(entry, content)?,
            };
            entries.push(Entry { path: entry.path.clone(), size: entry.size, digest });
            Ok(())
        })?;
        let contents = match reading {
            None => return Err(Error::unreadable("the bundle is empty")),
            Some(Reading::V1(reading)) => AnyContents::V1(Box::new(reading.finish()?)),
            Some(Reading::V2(reading)) => AnyContents::V2(Box::new(reading.finish(&end)?)),
        };
        Ok(Self { medium, limits: *limits, entries, contents })
    }

    /// The version of its format: 1 or 2.
    #[must_use]
    pub fn version(&self) -> u32 {
        match &self.contents {
            AnyContents::V1(_) => 1,
            AnyContents::V2(_) => 2,
        }
    }

    /// Its members, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What version 1 has, and version 2 says otherwise.
    #[must_use]
    pub fn legacy(&self) -> Option<&Legacy> {
        match &self.contents {
            AnyContents::V1(legacy) => Some(legacy),
            AnyContents::V2(_) => None,
        }
    }

    fn contents(&self) -> Option<&Contents> {
        match &self.contents {
            AnyContents::V1(_) => None,
            AnyContents::V2(contents) => Some(contents),
        }
    }

    /// The text of `Distro.toml`.
    #[must_use]
    pub fn declaration_text(&self) -> &str {
        match &self.contents {
            AnyContents::V1(legacy) => legacy.declaration_text(),
            AnyContents::V2(contents) => &contents.declaration_text,
        }
    }

    /// The text of `Distro.lock`.
    #[must_use]
    pub fn lock_text(&self) -> &str {
        match &self.contents {
            AnyContents::V1(legacy) => legacy.lock_text(),
            AnyContents::V2(contents) => &contents.lock_text,
        }
    }

    /// What `Distro.toml` declares.
    #[must_use]
    pub fn distro(&self) -> &Distro {
        match &self.contents {
            AnyContents::V1(legacy) => legacy.distro(),
            AnyContents::V2(contents) => &contents.distro,
        }
    }

    /// What it is pinned to; nothing in version 1, whose lock pins archives only.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        self.contents().map(|contents| &contents.lock)
    }

    /// The statement about its members.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        self.contents().map(|contents| &contents.statement)
    }

    /// The exact bytes of the statement: what a signature is over.
    #[must_use]
    pub fn statement_bytes(&self) -> Option<&[u8]> {
        self.contents().map(|contents| contents.statement_bytes.as_slice())
    }

    /// What the statement says of the whole.
    #[must_use]
    pub fn predicate(&self) -> Option<&Predicate> {
        self.contents().map(|contents| &contents.predicate)
    }

    /// The digest that stands for the whole: of the statement, and in version 1 of its lock as it is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match &self.contents {
            AnyContents::V1(legacy) => legacy.digest(),
            AnyContents::V2(contents) => Digest::of(&contents.statement_bytes),
        }
    }

    /// `bundle.sigstore.json`. Its payload is the statement; whether the signature is right was not asked.
    #[must_use]
    pub fn signature(&self) -> Option<&str> {
        self.contents()?.text(&Member::Signature)
    }

    /// `Distro.sigstore.json`, of which nothing was checked.
    #[must_use]
    pub fn distro_signature(&self) -> Option<&str> {
        self.contents()?.text(&Member::DistroSignature)
    }

    /// `endorsements.jsonl`, of which nothing was checked.
    #[must_use]
    pub fn endorsements(&self) -> Option<&str> {
        self.contents()?.text(&Member::Endorsements)
    }

    /// `trusted_root.json`. It is not what the bundle is verified with.
    #[must_use]
    pub fn trust_root(&self) -> Option<&[u8]> {
        self.contents()?.bytes(&Member::TrustRoot)
    }

    /// `sbom.cdx.json`.
    #[must_use]
    pub fn sbom(&self) -> Option<&str> {
        self.contents()?.text(&Member::Sbom)
    }

    /// The files of acknowledgements, by name. They count only for an origin that is believed.
    pub fn acknowledgements(&self) -> impl Iterator<Item = (&str, &AckFile)> {
        let files = self.contents().map(|contents| &contents.acknowledgements);
        files.into_iter().flatten().map(|(name, file)| (name.as_str(), file))
    }

    /// The text of the acknowledgements in the file `name`.
    #[must_use]
    pub fn acknowledgements_text(&self, name: &str) -> Option<&str> {
        self.contents()?.text(&Member::Acknowledgements(name.to_owned()))
    }

    /// The Sigstore bundles of artifacts that are in it, by their digests.
    pub fn signatures(&self) -> impl Iterator<Item = Digest> {
        self.of_kind(|member| match member {
            Member::ArtifactSignature(digest) => Some(digest),
            _ => None,
        })
    }

    /// The archives of signed artifacts that are in it.
    pub fn archives(&self) -> impl Iterator<Item = Digest> {
        self.of_kind(|member| match member {
            Member::Archive(digest) => Some(digest),
            _ => None,
        })
    }

    fn of_kind(&self, pick: fn(Member) -> Option<Digest>) -> impl Iterator<Item = Digest> {
        self.entries.iter().filter_map(move |entry| pick(Member::parse(&entry.path)?))
    }

    /// What the store must have already, because a bundle of a difference leaves it out: listings and files of
    /// trees, archives and signatures. Of a listing that is missing, the files are not known here.
    #[must_use]
    pub fn missing(&self) -> &BTreeSet<Digest> {
        static NOTHING: BTreeSet<Digest> = BTreeSet::new();
        self.contents().map_or(&NOTHING, |contents| &contents.missing)
    }

    /// The archives of signed artifacts that are left out. Whoever has them must compare each with
    /// [`Shuttle::check_archive`]: a signature over an archive says nothing about other content.
    pub fn missing_archives(&self) -> impl Iterator<Item = Digest> {
        let contents = self.contents();
        self.missing()
            .iter()
            .copied()
            .filter(move |digest| contents.is_some_and(|own| own.is_archive(digest)))
    }

    /// Compares an archive that is left out with the content that the lock has for it.
    ///
    /// # Errors
    /// `Mismatch` when it holds something else; `Unreadable` when it is none.
    pub fn check_archive(&self, bytes: &[u8]) -> Result<()> {
        self.contents().map_or(Ok(()), |contents| contents.check_archive(bytes))
    }

    /// The total length of what is in it.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.size))
    }

    /// Reads the file again, and puts blobs, archives and signatures into `batch`; of version 1 the archives and what
    /// they hold.
    ///
    /// # Errors
    /// `Mismatch` when the file is not what it was when it was opened; `Failed` from the operating system.
    pub fn bring(&self, batch: &Batch<'_>) -> Result<()> {
        let mut expected = self.entries.iter();
        let changed = || {
            Error::mismatch("the bundle changed while it was read").hint("copy it to where nobody writes it")
        };
        let walked = container::walk(self.medium.reader(), &self.limits, &mut |entry, content| {
            let known = expected.next().filter(|known| known.path == entry.path && known.size == entry.size);
            let known = known.ok_or_else(changed)?;
            let mut bytes = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
            content.read_to_end(&mut bytes).map_err(|error| container::refusal(&error))?;
            if Digest::of(&bytes) != known.digest {
                return Err(changed());
            }
            self.keep(&known.path, &bytes, batch)
        });
        match walked {
            // It was well formed before.
            Err(error) if error.kind() == ErrorKind::Unreadable => {
                Err(changed().because([error.to_string()]))
            }
            Err(error) => Err(error),
            Ok(_) if expected.next().is_some() => Err(changed()),
            Ok(_) => Ok(()),
        }
    }

    fn keep(&self, path: &str, bytes: &[u8], batch: &Batch<'_>) -> Result<()> {
        match &self.contents {
            AnyContents::V1(_) => {
                if legacy::is_capsule(path) {
                    batch.put(bytes)?;
                    batch.put_files(&content::of_capsule(bytes, path, &mut 0)?.0)?;
                }
            }
            AnyContents::V2(_) => {
                if Member::parse(path).is_some_and(|member| member.digest().is_some()) {
                    batch.put(bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// The documents of one bundle, within their limits.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    kept: BTreeMap<Member, Vec<u8>>,
    total: u64,
}

impl Documents {
    /// Reads a document whole.
    pub(crate) fn read(
        &mut self,
        entry: &container::Entry,
        content: &mut dyn Read,
        limits: &Limits,
    ) -> Result<Vec<u8>> {
        check_document(entry, limits)?;
        self.total = self.total.saturating_add(entry.size);
        if self.total > limits.documents_bytes {
            return Err(Error::unreadable(format!(
                "the documents in the bundle are larger than {} bytes",
                limits.documents_bytes
            )));
        }
        read_whole(content)
    }

    pub(crate) fn keep(&mut self, member: Member, bytes: Vec<u8>) {
        self.kept.insert(member, bytes);
    }

    pub(crate) fn get(&self, member: &Member) -> Option<&[u8]> {
        self.kept.get(member).map(Vec::as_slice)
    }

    /// The text of a document that must be one.
    pub(crate) fn text(&self, member: &Member) -> Result<Option<&str>> {
        self.get(member)
            .map(|bytes| {
                std::str::from_utf8(bytes)
                    .map_err(|_| Error::unreadable(format!("{member} in the bundle is not UTF-8")))
            })
            .transpose()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.kept.keys()
    }
}

/// Refuses a document that is too large to keep.
pub(crate) fn check_document(entry: &container::Entry, limits: &Limits) -> Result<()> {
    if entry.size <= limits.document_bytes {
        return Ok(());
    }
    Err(Error::unreadable(format!(
        "`{}` is larger than {} bytes, which is the most for a document",
        entry.path, limits.document_bytes
    )))
}

/// Reads what a member holds; its size was checked.
pub(crate) fn read_whole(content: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|error| container::refusal(&error))?;
    Ok(bytes)
}
