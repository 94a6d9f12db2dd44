//! Sealing: from a lock and a store to the bytes of a bundle, the same on every run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use astrid_authority::Digest;
use astrid_manifest::capsule::{CapsuleManifest, Strictness};
use astrid_manifest::lock::Lock;
use astrid_provenance::Statement;
use astrid_store::{Store, Tree};

use crate::container::Packer;
use crate::error::{Error, Result};
use crate::limits::{DOCUMENT_BYTES, MEMBER_BYTES};
use crate::member::Member;
use crate::sbom::{self, Licences};
use crate::statement::{DistroVersion, FORMAT_VERSION, Hashes, Predicate, make};

/// What goes into a bundle. The bytes of artifacts come from the store.
#[derive(Debug, Clone, Default)]
pub struct Load<'a> {
    /// The text of `Distro.toml`, as it was written.
    pub declaration: &'a str,
    /// `Distro.sigstore.json`: who signed declaration and lock.
    pub distro_signature: Option<&'a str>,
    /// `endorsements.jsonl`: keys that name their successors.
    pub endorsements: Option<&'a str>,
    /// `trusted_root.json`.
    pub trust_root: Option<&'a [u8]>,
    /// Files of acknowledgements, by name.
    pub acknowledgements: BTreeMap<String, String>,
    /// The lock whose artifacts are left out, because whoever opens the bundle has them.
    pub since: Option<&'a Lock>,
}

/// A bundle that is complete but for its signature.
#[derive(Debug)]
pub struct Draft<'a> {
    store: &'a Store,
    documents: BTreeMap<Member, Vec<u8>>,
    members: BTreeMap<Member, Hashes>,
    statement: Statement,
    statement_bytes: Vec<u8>,
    predicate: Predicate,
}

impl<'a> Draft<'a> {
    /// Gathers and hashes everything that `lock` pins.
    ///
    /// # Errors
    /// `Mismatch` when the store lacks something or is corrupt; `Unreadable` when something is larger than a bundle
    /// may hold.
    pub fn new(store: &'a Store, lock: &Lock, load: &Load<'_>) -> Result<Self> {
        let mut lock = lock.clone();
        lock.sort();
        let lock_text = lock.to_toml();
        let mut documents: BTreeMap<Member, Vec<u8>> = BTreeMap::new();
        let mut add = |member: Member, bytes: &[u8]| {
            if bytes.len() as u64 > DOCUMENT_BYTES {
                return Err(too_large(&member, DOCUMENT_BYTES));
            }
            documents.insert(member, bytes.to_vec());
            Ok(())
        };
        add(Member::Declaration, load.declaration.as_bytes())?;
        add(Member::Lock, lock_text.as_bytes())?;
        add(Member::Sbom, sbom::write(&lock, &licences(store, &lock)?)?.as_bytes())?;
        if let Some(text) = load.distro_signature {
            add(Member::DistroSignature, text.as_bytes())?;
        }
        if let Some(text) = load.endorsements {
            add(Member::Endorsements, text.as_bytes())?;
        }
        if let Some(bytes) = load.trust_root {
            add(Member::TrustRoot, bytes)?;
        }
        for (name, text) in &load.acknowledgements {
            let member = Member::acknowledgements(name).ok_or_else(|| {
                Error::unreadable(format!(
                    "the file of acknowledgements `{}` has a name that a bundle can't hold",
                    name.escape_debug()
                ))
                .hint("use letters, digits, `-`, `_` and `.`, and `.toml` at its end")
            })?;
            add(member, text.as_bytes())?;
        }
        let known = load.since.map(|since| closure(store, since, &lock)).transpose()?.unwrap_or_default();
        let mut members = BTreeMap::new();
        let mut total = 0_u64;
        for (member, bytes) in &documents {
            total = total.saturating_add(bytes.len() as u64);
            members.insert(member.clone(), Hashes::of(bytes));
        }
        for member in artifacts(store, &lock)?.difference(&known) {
            let bytes = fetch(store, member)?;
            total = total.saturating_add(bytes.len() as u64);
            members.insert(member.clone(), Hashes::of(&bytes));
        }
        let predicate = Predicate {
            format_version: FORMAT_VERSION,
            distro: DistroVersion { id: lock.distro.id.clone(), version: lock.distro.version.clone() },
            lock: Digest::of(lock_text.as_bytes()),
            since: load.since.map(|since| Digest::of(canonical(since).as_bytes())),
            members: members.len() as u64,
            total_bytes: total,
            trusted_root: load.trust_root.map(Digest::of),
        };
        let statement = make(&members, &predicate)?;
        let statement_bytes = statement.to_canonical_json()?;
        if statement_bytes.len() as u64 > DOCUMENT_BYTES {
            return Err(too_large(&Member::Statement, DOCUMENT_BYTES));
        }
        Ok(Self { store, documents, members, statement, statement_bytes, predicate })
    }

    /// What is to be signed.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The exact bytes of the statement.
    #[must_use]
    pub fn statement_bytes(&self) -> &[u8] {
        &self.statement_bytes
    }

    /// What the statement says of the whole.
    #[must_use]
    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// Writes the bundle. `signature` is a Sigstore bundle whose payload is exactly the statement.
    ///
    /// # Errors
    /// `Refused` when the signature is of something else; `Mismatch` when the store changed; `Failed` from `out`.
    pub fn write<W: Write>(&self, signature: Option<&str>, out: W) -> Result<W> {
        let writing = |error: io::Error| Error::failed(format!("the bundle can't be written: {error}"));
        let mut packer = Packer::new(out);
        packer.add(&Member::Statement.path(), &self.statement_bytes).map_err(writing)?;
        if let Some(signature) = signature {
            crate::payload::check(signature.as_bytes(), &self.statement_bytes)?;
            packer.add(&Member::Signature.path(), signature.as_bytes()).map_err(writing)?;
        }
        for (member, hashes) in &self.members {
            let fetched;
            let bytes = if let Some(bytes) = self.documents.get(member) {
                bytes
            } else {
                fetched = fetch(self.store, member)?;
                &fetched
            };
            if Digest::of(bytes) != hashes.blake3 {
                return Err(Error::mismatch(format!("`{member}` changed while the bundle was written")));
            }
            packer.add(&member.path(), bytes).map_err(writing)?;
        }
        packer.finish().map_err(writing)
    }
}

fn too_large(member: &Member, limit: u64) -> Error {
    Error::unreadable(format!("`{member}` is larger than {limit} bytes, which is the most in a bundle"))
}

fn canonical(lock: &Lock) -> String {
    let mut lock = lock.clone();
    lock.sort();
    lock.to_toml()
}

fn fetch(store: &Store, member: &Member) -> Result<Vec<u8>> {
    let Some(digest) = member.digest() else {
        return Err(Error::failed(format!("`{member}` is nothing that a store holds")));
    };
    // The store's limit for a file is larger than a bundle's.
    if store.length(&digest).is_some_and(|length| length > MEMBER_BYTES) {
        return Err(too_large(member, MEMBER_BYTES));
    }
    Ok(store.get(&digest)?)
}

/// Everything that the entries of `lock` name.
fn artifacts(store: &Store, lock: &Lock) -> Result<BTreeSet<Member>> {
    let mut members = BTreeSet::new();
    for (content, archive, bundle) in entries(lock) {
        add_tree(&mut members, content, &store.tree(&content)?);
        add_signature(&mut members, archive, bundle);
    }
    Ok(members)
}

/// What whoever has `since` has already. Its listings must be in the store, so that the same two locks leave out the
/// same wherever they are sealed.
fn closure(store: &Store, since: &Lock, lock: &Lock) -> Result<BTreeSet<Member>> {
    if canonical(since) == canonical(lock) {
        return Err(Error::unreadable("the lock to seal the difference to is the same lock")
            .hint("leave out `--since`, or name an earlier lock"));
    }
    let mut members = BTreeSet::new();
    for (content, archive, bundle) in entries(since) {
        let tree = store.tree(&content).map_err(|error| {
            Error::from(error)
                .hint("the earlier fleet must be in this home: fetch it with the earlier lock, or seal without `--since`")
        })?;
        add_tree(&mut members, content, &tree);
        add_signature(&mut members, archive, bundle);
    }
    Ok(members)
}

fn entries(lock: &Lock) -> impl Iterator<Item = (Digest, Option<Digest>, Option<Digest>)> {
    let capsules = lock.capsules.iter().map(|one| (one.content, one.archive, one.bundle));
    capsules.chain(lock.packs.iter().map(|one| (one.content, one.archive, one.bundle)))
}

fn add_tree(members: &mut BTreeSet<Member>, content: Digest, tree: &Tree) {
    members.insert(Member::Blob(content));
    members.extend(tree.entries().iter().map(|entry| Member::Blob(entry.blob)));
}

fn add_signature(members: &mut BTreeSet<Member>, archive: Option<Digest>, bundle: Option<Digest>) {
    let Some(bundle) = bundle else { return };
    members.insert(Member::ArtifactSignature(bundle));
    members.extend(archive.map(Member::Archive));
}

/// The licences that manifests of capsules name.
fn licences(store: &Store, lock: &Lock) -> Result<Licences> {
    let mut found = Licences::new();
    for locked in &lock.capsules {
        let file = format!("{}/Capsule.toml", locked.name);
        let bytes = store.get(&locked.manifest)?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| Error::unreadable(format!("{file} is not UTF-8")))?;
        let manifest = CapsuleManifest::parse(&file, text, Strictness::Load)
            .map_err(|complaints| Error::document(&file, &complaints))?
            .value;
        if let Some(licence) = manifest.package.license {
            found.insert(format!("capsule:{}", locked.name), licence);
        }
    }
    Ok(found)
}
