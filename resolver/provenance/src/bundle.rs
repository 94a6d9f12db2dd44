//! Sigstore bundles, versions 0.1 to 0.3: what a signature over some bytes brings along.
//!
//! Everything in a bundle is a claim until [`crate::verify`] has checked it.

use std::sync::Arc;

use astrid_authority::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::json;
use crate::sigstore::Parsed;

/// One parsed bundle, with its exact bytes.
#[derive(Clone)]
pub struct Bundle {
    bytes: Arc<[u8]>,
    parsed: Arc<Parsed>,
}

/// Who a bundle says to be signed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// The holder of a certificate, which a transparency log and an authority vouch for.
    Certificate,
    /// The holder of a key.
    Key,
}

/// The shape of the document: of each pair of alternatives, exactly one must be there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    media_type: Option<String>,
    verification_material: MaterialShape,
    message_signature: Option<IgnoredAny>,
    dsse_envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MaterialShape {
    certificate: Option<IgnoredAny>,
    #[serde(rename = "x509CertificateChain")]
    chain: Option<ChainShape>,
    public_key: Option<IgnoredAny>,
    #[serde(default)]
    tlog_entries: Option<Vec<EntryShape>>,
    #[serde(default)]
    timestamp_verification_data: Option<TimesShape>,
}

#[derive(Deserialize)]
struct ChainShape {
    certificates: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryShape {
    inclusion_proof: Option<ProofShape>,
}

#[derive(Deserialize)]
struct ProofShape {
    #[serde(default)]
    hashes: Option<Vec<IgnoredAny>>,
    checkpoint: Option<CheckpointShape>,
}

#[derive(Deserialize)]
struct CheckpointShape {
    #[serde(default)]
    envelope: String,
}

#[derive(Deserialize)]
struct TimesShape {
    #[serde(default, rename = "rfc3161Timestamps")]
    timestamps: Option<Vec<IgnoredAny>>,
}

impl Bundle {
    /// A bundle has at most so many bytes.
    pub const MAX_BYTES: usize = 4 << 20;
    /// A file has at most so many bundles, each on its own line.
    pub const MAX_LINES: usize = 16;
    /// A bundle names at most so many entries of transparency logs.
    pub const MAX_LOG_ENTRIES: usize = 8;
    /// A bundle has at most so many timestamps.
    pub const MAX_TIMESTAMPS: usize = 8;
    /// A bundle has at most so many certificates.
    pub const MAX_CERTIFICATES: usize = 8;
    /// A proof of inclusion has at most so many steps: trees of 64 levels hold everything.
    const MAX_STEPS: usize = 64;
    /// A checkpoint has at most so many lines: each signature of a log costs a check.
    const MAX_CHECKPOINT_LINES: usize = 64;

    /// Reads one bundle.
    ///
    /// # Errors
    /// `Unreadable` when it is too large, has a key twice, or is no bundle of a known version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::parse_within(bytes, Self::MAX_BYTES)
    }

    /// Reads one bundle of at most `most` bytes, whose payload may be about more than an artifact.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn parse_within(bytes: &[u8], most: usize) -> Result<Self> {
        let text = json::check(bytes, most, "a Sigstore bundle")?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(no_bundle("it is no object"));
        }
        let shape: Shape = serde_json::from_str(text).map_err(|error| no_bundle(&error.to_string()))?;
        shape.check()?;
        let parsed = Parsed::parse(text).map_err(|why| no_bundle(&why))?;
        Ok(Self { bytes: bytes.into(), parsed: Arc::new(parsed) })
    }

    /// Reads a file that holds one bundle, or one on each line.
    ///
    /// # Errors
    /// As for [`Self::parse`]; also when there is none, or more than [`Self::MAX_LINES`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>> {
        if bytes.len() > Self::MAX_BYTES * Self::MAX_LINES {
            return Err(Error::unreadable(format!(
                "a file of Sigstore bundles has at most {} bytes, and this has {}",
                Self::MAX_BYTES * Self::MAX_LINES,
                bytes.len()
            )));
        }
        let lines = || bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        // A document may itself be written on many lines; then its first line is no whole document.
        let is_document = |line| serde_json::from_slice::<IgnoredAny>(line).is_ok();
        if lines().count() < 2 || !lines().next().is_some_and(is_document) {
            return Ok(vec![Self::parse(bytes)?]);
        }
        if lines().nth(Self::MAX_LINES).is_some() {
            return Err(Error::unreadable(format!(
                "a file holds at most {} Sigstore bundles, and this has more lines",
                Self::MAX_LINES
            )));
        }
        lines().map(Self::parse).collect()
    }

    /// BLAKE3 of its exact bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Its exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who it says to be signed by.
    #[must_use]
    pub fn material(&self) -> Material {
        self.parsed.material()
    }

    /// What it says about the key that it is signed by; empty texts say nothing.
    #[must_use]
    pub fn key_hint(&self) -> Option<&str> {
        self.parsed.key_hint()
    }

    /// The payload of its envelope. Nothing has verified it: for display only.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.parsed.payload()
    }

    /// What the Sigstore crate takes.
    pub(crate) fn parsed(&self) -> &Parsed {
        &self.parsed
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({})", self.digest())
    }
}

impl Shape {
    /// Refuses what could be read in two ways, and what is too much.
    fn check(&self) -> Result<()> {
        if self.media_type.is_none() {
            return Err(no_bundle("it has no `mediaType`"));
        }
        if self.message_signature.is_some() == self.dsse_envelope.is_some() {
            return Err(no_bundle("it must have one of `messageSignature` and `dsseEnvelope`"));
        }
        let material = &self.verification_material;
        let signers =
            [material.certificate.is_some(), material.chain.is_some(), material.public_key.is_some()];
        if signers.into_iter().filter(|there| *there).count() != 1 {
            return Err(no_bundle(
                "it must have one of `certificate`, `x509CertificateChain` and `publicKey`",
            ));
        }
        let entries = material.tlog_entries.as_deref().unwrap_or_default();
        let timestamps =
            material.timestamp_verification_data.as_ref().and_then(|data| data.timestamps.as_ref());
        let steps = |proof: &ProofShape| proof.hashes.as_ref().map_or(0, Vec::len);
        let lines = |proof: &ProofShape| {
            proof.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.envelope.lines().count())
        };
        let proofs = || entries.iter().filter_map(|entry| entry.inclusion_proof.as_ref());
        for (count, limit, noun) in [
            (
                material.chain.as_ref().map_or(0, |chain| chain.certificates.len()),
                Bundle::MAX_CERTIFICATES,
                "certificates",
            ),
            (entries.len(), Bundle::MAX_LOG_ENTRIES, "log entries"),
            (timestamps.map_or(0, Vec::len), Bundle::MAX_TIMESTAMPS, "timestamps"),
            (proofs().map(steps).max().unwrap_or(0), Bundle::MAX_STEPS, "steps in a proof of inclusion"),
            (proofs().map(lines).max().unwrap_or(0), Bundle::MAX_CHECKPOINT_LINES, "lines in a checkpoint"),
        ] {
            if count > limit {
                return Err(no_bundle(&format!("it has {count} {noun}, and at most {limit} are read")));
            }
        }
        Ok(())
    }
}

fn no_bundle(why: &str) -> Error {
    Error::unreadable(format!("this is no Sigstore bundle: {}", json::shown(why)))
        .hint("a bundle is what `cosign sign-blob --bundle` or `gh attestation download` writes, version 0.1 to 0.3")
}
