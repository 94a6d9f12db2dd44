//! Signing: what a signature is about, and where its bundle is put.
//!
//! Nothing is written here, and no bundle leaves that would not verify.

#[cfg(feature = "sign")]
pub mod keyless;

use std::path::{Path, PathBuf};

use astrid_manifest::source::SourcePath;
use astrid_manifest::{CapsuleManifest, PackManifest, Strictness, pack};
use astrid_provenance::statement::Subject;
use astrid_provenance::{Artifact, Bundle, SigningKey, TrustRoot, Verifier, envelope};
use astrid_store::private::read_private;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub use astrid_provenance::{Statement, Verified};

use crate::artifact::CAPSULE_MANIFEST;
use crate::error::{Error, Result};
use crate::solve::Member;
use crate::source::index::{check_plain_file, read_limited};
use crate::source::signature::{BESIDE, INSIDE};
use crate::source::tree_of;

/// The predicate that says: I made this artifact.
pub const ARTIFACT: &str = "https://github.com/unicity-astrid/astrid/attestations/artifact/v1";
/// The predicate that says: I made this distro.
pub const DISTRO: &str = "https://github.com/unicity-astrid/astrid/attestations/distro/v1";
/// The bundle of a distro, beside its manifest.
pub const DISTRO_BUNDLE: &str = "Distro.sigstore.json";
/// A file larger than this is not signed: 512 MiB.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// A manifest, lock or predicate larger than this is not read: 4 MiB.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// What a signature is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signable {
    /// `file`, `capsule`, `pack` or `distro`.
    pub kind: &'static str,
    /// Each subject's name, and the bytes that are signed.
    pub subjects: Vec<(String, Vec<u8>)>,
    /// Where the bundle is looked for.
    pub bundle: PathBuf,
}

impl Signable {
    /// What is at `path`: a file, or the folder of a distro, capsule or pack.
    ///
    /// A folder of a capsule or pack is signed as the listing of its content, whose BLAKE3 is the content digest.
    ///
    /// # Errors
    /// `Invalid` for a folder of anything else and for content that can't be installed; `Failed` when it can't be
    /// read.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() { Self::folder(path) } else { Self::file(path) }
    }

    fn file(path: &Path) -> Result<Self> {
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::invalid(format!("`{shown}` has no name that is UTF-8")))?;
        let bytes = read_limited(path, MAX_FILE_BYTES)
            .map_err(|error| Error::failed(format!("`{shown}` can't be read")).caused_by(error))?
            .ok_or_else(|| Error::invalid(format!("`{shown}` is larger than 512 MiB")))?;
        let mut bundle = path.as_os_str().to_owned();
        bundle.push(BESIDE[0]);
        Ok(Self { kind: "file", subjects: vec![(name.to_owned(), bytes)], bundle: bundle.into() })
    }

    fn folder(folder: &Path) -> Result<Self> {
        if folder.join("Distro.toml").exists() {
            return Self::distro(folder);
        }
        let member = if folder.join(CAPSULE_MANIFEST).exists() {
            let text = text(folder, CAPSULE_MANIFEST)?;
            let manifest = CapsuleManifest::parse(CAPSULE_MANIFEST, &text, Strictness::Load)?.value;
            let file = manifest.component_file().map(SourcePath::joined);
            if let Some(file) = file.filter(|file| !folder.join(file).exists()) {
                return Err(Error::invalid(format!(
                    "capsule `{}` has no component `{file}`",
                    manifest.package.name
                ))
                .hint("build it first: `astrid capsule build` in its folder"));
            }
            Member::Capsule(manifest.package.name)
        } else if let Some(name) = pack::FILE_NAMES.iter().find(|name| folder.join(name).exists()) {
            Member::Pack(PackManifest::parse(name, &text(folder, name)?)?.value.id)
        } else {
            return Err(Error::invalid(format!(
                "`{}` has no Distro.toml, no Capsule.toml and no pack.yaml",
                folder.display()
            ))
            .hint("name a file, or the folder of a distro, a capsule or a pack"));
        };
        let kind = if matches!(member, Member::Capsule(_)) { "capsule" } else { "pack" };
        let listing = tree_of(folder, &member)?.encode();
        Ok(Self { kind, subjects: vec![(member.name().to_owned(), listing)], bundle: folder.join(INSIDE) })
    }

    fn distro(folder: &Path) -> Result<Self> {
        if !folder.join("Distro.lock").exists() {
            return Err(Error::invalid("there is no Distro.lock to sign").hint("run `astrid lock` first"));
        }
        let subject = |name: &str| Ok::<_, Error>((name.to_owned(), text(folder, name)?.into_bytes()));
        Ok(Self {
            kind: "distro",
            subjects: vec![subject("Distro.toml")?, subject("Distro.lock")?],
            bundle: folder.join(DISTRO_BUNDLE),
        })
    }

    /// What is said about it: a predicate of the caller's, else that the signer made it.
    #[must_use]
    pub fn statement(&self, predicate: Option<(&str, Value)>) -> Statement {
        let own = if self.kind == "distro" { DISTRO } else { ARTIFACT };
        let (kind, predicate) = predicate.unwrap_or_else(|| (own, json!({ "kind": self.kind })));
        let subjects = self.subjects.iter().map(|(name, bytes)| Subject::of(name, bytes)).collect();
        Statement::new(subjects, kind, predicate)
    }

    /// The bytes of each subject.
    #[must_use]
    pub fn artifacts(&self) -> Vec<&[u8]> {
        self.subjects.iter().map(|(_, bytes)| bytes.as_slice()).collect()
    }
}

/// A bundle that verifies, and what it proves about the first subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// The text of the bundle.
    pub bundle: String,
    /// What it proves.
    pub verified: Verified,
}

/// Signs with a key; no network is needed.
///
/// # Errors
/// `Signature` when the bundle would not verify, which is never so.
pub fn sign_with_key(signable: &Signable, statement: &Statement, key: &SigningKey) -> Result<Signed> {
    let text = envelope::sign(statement, key)?;
    let bundle = Bundle::parse_within(text.as_bytes(), text.len())?;
    let judge = Verifier::new(TrustRoot::builtin())?;
    let mut first = None;
    for bytes in signable.artifacts() {
        let verified = judge.verify_with_key(&Artifact::new(bytes), &bundle, &key.public())?;
        first.get_or_insert(verified);
    }
    let verified = first.ok_or_else(|| Error::invalid("there is nothing to sign"))?;
    Ok(Signed { bundle: text, verified })
}

/// The key of a file: 32 secret bytes that nobody but its owner may read.
///
/// # Errors
/// 1 when it is not there, 65 when others may read it, 84 when it is not 32 bytes.
pub fn key_of_file(path: &Path) -> Result<SigningKey> {
    let bytes = read_private(path, 32)?
        .ok_or_else(|| Error::failed(format!("there is no key `{}`", path.display())))?;
    let Ok(secret) = <[u8; 32]>::try_from(bytes.as_slice()) else {
        return Err(Error::corrupt(format!("`{}` is no key: a key is 32 bytes", path.display())));
    };
    Ok(SigningKey::from_bytes(&Zeroizing::new(secret)))
}

/// The JSON of a predicate.
///
/// # Errors
/// `Invalid` when it is no JSON; `Failed` when it can't be read.
pub fn predicate(path: &Path) -> Result<Value> {
    let shown = path.display().to_string();
    let bytes = read_limited(path, MAX_TEXT_BYTES)
        .map_err(|error| Error::failed(format!("`{shown}` can't be read")).caused_by(error))?
        .ok_or_else(|| Error::invalid(format!("`{shown}` is larger than 4 MiB")))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::invalid(format!("`{shown}` is no JSON")).caused_by(error))
}

fn text(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    check_plain_file(&path, name)?;
    let bytes = read_limited(&path, MAX_TEXT_BYTES)
        .map_err(|error| Error::failed(format!("{name} can't be read")).caused_by(error))?
        .ok_or_else(|| Error::invalid(format!("{name} is larger than 4 MiB")))?;
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{name} is no UTF-8")))
}
