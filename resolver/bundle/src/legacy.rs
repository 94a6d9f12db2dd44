//! Bundles of version 1, as earlier programs wrote them. They are read, never written.
//!
//! The signature is over the lock as canonical JSON; the lock binds the declaration and each capsule's archive.

use std::collections::BTreeMap;
use std::io::Read;

use astrid_authority::{CapsuleName, Digest};
use astrid_manifest::capsule::CapsuleManifest;
use astrid_manifest::distro::Distro;
use astrid_manifest::lock::{AnyLock, LegacyCapsule, LegacyLock};
use astrid_provenance::PublicKey;
use astrid_store::Tree;
use serde::Serialize;

use crate::container;
use crate::content;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::shuttle::{check_document, read_whole};

/// What stands before the lock when its digest is made.
const DOMAIN: &[u8] = b"astrid-distro-lock-sig-v1\0";
const DECLARATION: &str = "Distro.toml";
const LOCK: &str = "Distro.lock";
const SIGNATURE: &str = "Distro.sig";

/// What a bundle of version 1 says.
#[derive(Debug)]
pub struct Legacy {
    declaration_text: String,
    distro: Distro,
    lock_text: String,
    lock: LegacyLock,
    digest: Digest,
    signature: Option<[u8; 64]>,
    capsules: BTreeMap<CapsuleName, Archive>,
}

/// A capsule's archive in a bundle of version 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// The digest of the archive.
    pub archive: Digest,
    /// The digest of the tree that it holds.
    pub content: Digest,
    /// What it says about itself.
    pub manifest: CapsuleManifest,
}

impl Legacy {
    pub(crate) fn declaration_text(&self) -> &str {
        &self.declaration_text
    }

    pub(crate) fn lock_text(&self) -> &str {
        &self.lock_text
    }

    pub(crate) fn distro(&self) -> &Distro {
        &self.distro
    }

    /// What was locked.
    #[must_use]
    pub fn lock(&self) -> &LegacyLock {
        &self.lock
    }

    /// The digest that is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it has a signature; [`Legacy::verify`] says whether it is right.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// The capsules' archives.
    #[must_use]
    pub fn capsules(&self) -> &BTreeMap<CapsuleName, Archive> {
        &self.capsules
    }

    /// Checks that `key` signed it, with the lenient check that version 1 was defined with.
    ///
    /// # Errors
    /// `Refused` when there is no signature, or one of something else or by another key.
    pub fn verify(&self, key: &PublicKey) -> Result<()> {
        let signature = self.signature.as_ref().ok_or_else(|| Error::refused("the bundle is not signed"))?;
        if key.verifies_leniently(self.digest.as_bytes(), signature) {
            return Ok(());
        }
        Err(Error::refused(format!("Distro.sig in the bundle is not a signature of its lock by {key}"))
            .hint("don't use it: ask who sealed it"))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CanonicalLock<'a> {
    schema_version: u32,
    distro: CanonicalDistro<'a>,
    capsule: Vec<CanonicalCapsule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_hash: Option<Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CanonicalDistro<'a> {
    id: &'a str,
    version: String,
    resolved_at: &'a str,
}

#[derive(Serialize)]
struct CanonicalCapsule<'a> {
    name: &'a str,
    version: String,
    source: &'a str,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_ref: Option<&'a str>,
}

/// The lock as it is signed: compact JSON with its keys in the order of its declaration.
fn canonical_json(lock: &LegacyLock) -> Result<Vec<u8>> {
    let capsule = lock.capsules.iter().map(|one| CanonicalCapsule {
        name: one.name.as_str(),
        version: one.version.to_string(),
        source: &one.source,
        hash: one.hash.map(|digest| digest.to_string()).unwrap_or_default(),
        resolved_ref: one.resolved_ref.as_deref(),
    });
    let canonical = CanonicalLock {
        schema_version: 1,
        distro: CanonicalDistro {
            id: lock.id.as_str(),
            version: lock.version.to_string(),
            resolved_at: lock.resolved_at.as_deref().unwrap_or_default(),
        },
        capsule: capsule.collect(),
        manifest_hash: lock.manifest_hash,
    };
    serde_json::to_vec(&canonical)
        .map_err(|error| Error::failed(format!("the lock can't be written: {error}")))
}

/// The digest that the signature of version 1 is over.
fn signed_digest(lock: &LegacyLock) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&canonical_json(lock)?);
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

/// The name of the capsule whose archive is at `path`.
fn capsule_name(path: &str) -> Option<CapsuleName> {
    path.strip_prefix("capsules/")?.strip_suffix(".capsule")?.parse().ok()
}

/// Whether `path` is that of a capsule's archive.
pub(crate) fn is_capsule(path: &str) -> bool {
    capsule_name(path).is_some()
}

/// A bundle of version 1, as far as it was read.
pub(crate) struct Reading {
    limits: Limits,
    documents: BTreeMap<String, Vec<u8>>,
    capsules: BTreeMap<CapsuleName, Archive>,
    /// How many bytes the archives in it unpack to.
    unpacked: u64,
}

impl Reading {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, documents: BTreeMap::new(), capsules: BTreeMap::new(), unpacked: 0 }
    }

    pub(crate) fn member(&mut self, entry: &container::Entry, content: &mut dyn Read) -> Result<Digest> {
        let path = &entry.path;
        let twice = || Error::unreadable(format!("`{path}` is in the bundle twice"));
        if [DECLARATION, LOCK, SIGNATURE].contains(&path.as_str()) {
            check_document(entry, &self.limits)?;
            let bytes = read_whole(content)?;
            let digest = Digest::of(&bytes);
            return match self.documents.insert(path.clone(), bytes) {
                None => Ok(digest),
                Some(_) => Err(twice()),
            };
        }
        let name = capsule_name(path).ok_or_else(|| {
            Error::unreadable(format!("`{}` is no member that a bundle may have", path.escape_debug()))
        })?;
        let bytes = read_whole(content)?;
        let archive = Digest::of(&bytes);
        let (files, manifest) = content::of_capsule(&bytes, path, &mut self.unpacked)?;
        content::check_unpacked(self.unpacked, self.limits.total_bytes)?;
        let content = Tree::of_files(&files)?.digest();
        match self.capsules.insert(name, Archive { archive, content, manifest }) {
            None => Ok(archive),
            Some(_) => Err(twice()),
        }
    }

    pub(crate) fn finish(mut self) -> Result<Legacy> {
        let mut text = |name: &str| -> Result<Option<String>> {
            self.documents
                .remove(name)
                .map(String::from_utf8)
                .transpose()
                .map_err(|_| Error::unreadable(format!("{name} in the bundle is not UTF-8")))
        };
        let needed = |name: &str, text: Option<String>| {
            text.ok_or_else(|| Error::unreadable(format!("the bundle has no {name}")))
        };
        let declaration_text = needed(DECLARATION, text(DECLARATION)?)?;
        let lock_text = needed(LOCK, text(LOCK)?)?;
        let signature = text(SIGNATURE)?.as_deref().map(read_signature).transpose()?;
        let lock = match AnyLock::parse(LOCK, &lock_text) {
            Ok(parsed) => match parsed.value {
                AnyLock::V1(lock) => lock,
                AnyLock::V2(_) => {
                    return Err(Error::unreadable(
                        "the bundle has a lock of version 2 and is not one of version 2",
                    )
                    .hint("seal the distro again"));
                }
            },
            Err(complaints) => return Err(Error::document(LOCK, &complaints)),
        };
        let distro = Distro::parse(DECLARATION, &declaration_text)
            .map_err(|complaints| Error::document(DECLARATION, &complaints))?
            .value;
        check_sets(&distro, &lock, &self.capsules)?;
        match lock.manifest_hash {
            Some(hash) if hash != Digest::of(declaration_text.as_bytes()) => {
                return Err(Error::mismatch("Distro.lock in the bundle was made from another Distro.toml")
                    .hint("don't use it: ask who sealed it"));
            }
            None if signature.is_some() => {
                return Err(Error::refused("the signature in the bundle does not cover its Distro.toml")
                    .hint("seal the distro again"));
            }
            _ => {}
        }
        for locked in &lock.capsules {
            check_capsule(locked, &self.capsules)?;
        }
        let digest = signed_digest(&lock)?;
        let capsules = self.capsules;
        Ok(Legacy { declaration_text, distro, lock_text, lock, digest, signature, capsules })
    }
}

/// Declaration, lock and archives are of the same distro and the same capsules.
fn check_sets(distro: &Distro, lock: &LegacyLock, archives: &BTreeMap<CapsuleName, Archive>) -> Result<()> {
    if distro.header.id != lock.id || distro.header.version != lock.version {
        return Err(Error::unreadable(format!(
            "Distro.toml in the bundle is about {} {}, and Distro.lock about {} {}",
            distro.header.id, distro.header.version, lock.id, lock.version
        )));
    }
    if !distro.packs.is_empty() {
        return Err(Error::unreadable("Distro.toml in the bundle has packs, which version 1 can't hold")
            .hint("seal the distro again"));
    }
    let mut locked: Vec<&CapsuleName> = lock.capsules.iter().map(|one| &one.name).collect();
    locked.sort_unstable();
    if let Some(name) = locked.windows(2).find_map(|pair| (pair[0] == pair[1]).then_some(pair[0])) {
        return Err(Error::unreadable(format!("Distro.lock in the bundle has capsule `{name}` twice")));
    }
    let mut declared: Vec<&CapsuleName> = distro.capsules.iter().map(|one| &one.name).collect();
    declared.sort_unstable();
    if declared != locked {
        return Err(Error::unreadable("Distro.toml and Distro.lock in the bundle name other capsules")
            .hint("don't use it: ask who sealed it"));
    }
    if let Some(name) = archives.keys().find(|name| locked.binary_search(name).is_err()) {
        return Err(Error::unreadable(format!(
            "nothing in Distro.lock refers to `capsules/{name}.capsule` in the bundle"
        )));
    }
    Ok(())
}

/// The archive is the locked one, and of the capsule that the lock says.
fn check_capsule(locked: &LegacyCapsule, archives: &BTreeMap<CapsuleName, Archive>) -> Result<()> {
    let name = &locked.name;
    let found = archives
        .get(name)
        .ok_or_else(|| Error::unreadable(format!("the bundle lacks `capsules/{name}.capsule`")))?;
    if locked.hash != Some(found.archive) {
        let said = locked.hash.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        return Err(Error::mismatch(format!(
            "`capsules/{name}.capsule` is {}, and Distro.lock in the bundle says {said}",
            found.archive
        ))
        .hint("copy it again; if that is of no use, ask who sealed it"));
    }
    let package = &found.manifest.package;
    if package.name != *name || package.version != locked.version {
        return Err(Error::mismatch(format!(
            "`capsules/{name}.capsule` holds {} {}, and Distro.lock in the bundle says {name} {}",
            package.name, package.version, locked.version
        ))
        .hint("don't use it: ask who sealed it"));
    }
    Ok(())
}

fn read_signature(text: &str) -> Result<[u8; 64]> {
    let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        Error::unreadable("Distro.sig in the bundle is not 128 hexadecimal digits").hint("copy it again")
    })
}

#[cfg(test)]
mod tests {
    use astrid_provenance::SigningKey;
    use zeroize::Zeroizing;

    use super::*;

    fn vector() -> LegacyLock {
        LegacyLock {
            id: "test".parse().unwrap(),
            version: "0.1.0".parse().unwrap(),
            manifest_hash: Some(Digest::of(b"schema-version = 1\n")),
            resolved_at: Some("1970-01-01T00:00:00+00:00".to_owned()),
            capsules: vec![LegacyCapsule {
                name: "cli".parse().unwrap(),
                version: "0.1.0".parse().unwrap(),
                source: "@org/cli".to_owned(),
                hash: Some(Digest::of(b"FAKE CAPSULE")),
                resolved_ref: Some("v0.1.0".to_owned()),
            }],
        }
    }

    #[test]
    fn the_digest_and_signature_are_the_known_ones() {
        let lock = vector();
        let json = r#"{"schema-version":1,"distro":{"id":"test","version":"0.1.0","resolved-at":"1970-01-01T00:00:00+00:00"},"capsule":[{"name":"cli","version":"0.1.0","source":"@org/cli","hash":"blake3:3c74d2ad3b31c16c4d0d77860e82f40cc1d20074c2496ef3d527886295726195","resolved_ref":"v0.1.0"}],"manifest-hash":"blake3:84ff0753349c77576997c6d0f16f123f73ba93b05bb74d257d2da5094657b08e"}"#;
        assert_eq!(String::from_utf8(canonical_json(&lock).unwrap()).unwrap(), json);
        let digest = signed_digest(&lock).unwrap();
        assert_eq!(digest.hex(), "10e91900c59debe2dfce63c7d9e60a277eec2adb683e1f848d92be5c3b4d59e1");
        let key = SigningKey::from_bytes(&Zeroizing::new([7; 32]));
        let signature = "39d115881406794d7d7b0b4d1f79cf2695f442b35b8fdad8136410458ac524c115b92920665d0923066b43f48a23b16b2bf9e04b75333d3da2fad49102aa140d";
        assert_eq!(hex::encode(key.sign(digest.as_bytes())), signature);
        let read = read_signature(&format!("{signature}\n")).unwrap();
        assert!(key.public().verifies_leniently(digest.as_bytes(), &read));
    }

    #[test]
    fn the_form_leaves_out_what_is_absent() {
        let mut lock = vector();
        lock.manifest_hash = None;
        lock.capsules[0].resolved_ref = None;
        lock.capsules[0].hash = None;
        let json = String::from_utf8(canonical_json(&lock).unwrap()).unwrap();
        assert!(json.ends_with(r#""source":"@org/cli","hash":""}]}"#), "{json}");
    }

    #[test]
    fn other_signatures_are_denied() {
        for text in ["", "00", "zz", &"0".repeat(127), &"0".repeat(130)] {
            assert!(read_signature(text).is_err(), "{text}");
        }
    }
}
