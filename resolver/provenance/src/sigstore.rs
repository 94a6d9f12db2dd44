//! The one place that names the Sigstore crate, so that a new version of it is a change to this file.
//!
//! It closes what the crate leaves open: the window of the log that holds an entry, logs of unknown algorithms,
//! a clock that is behind, and bundles that are signed by a key alone. Nothing is ever skipped: a bundle with a
//! certificate must have a chain, a certificate timestamp, an entry in a log, and an identity.

mod anchors;
mod engine;
#[cfg(feature = "sign")]
pub(crate) mod ephemeral;

use std::borrow::Cow;

use ::sigstore::crypto::{KeyAlgorithm, VerificationKey};
use ::sigstore::types::{
    self, Artifact as Input, ArtifactDigest, DerPublicKey, HashAlgorithm, Sha256Hash, SignatureBytes,
    SignatureContent, VerificationMaterialContent,
};

use crate::bundle::Material;
use crate::error::{Error, Result};
use crate::json::shown;
use crate::statement::{MEDIA_TYPE, Statement};
use crate::verify::Artifact;

#[cfg(test)]
pub(crate) use ::sigstore::trust_root::SIGSTORE_GITHUB_TRUSTED_ROOT as GITHUB_ROOT;
pub(crate) use ::sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT as BUILTIN_ROOT;
pub(crate) use anchors::Anchors;
pub(crate) use engine::Engine;

/// A bundle as the crate parses it.
pub(crate) struct Parsed(types::Bundle);

/// A key of any algorithm that the crate knows.
pub(crate) struct ForeignKey(DerPublicKey);

impl Parsed {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bundle = types::Bundle::from_json(text).map_err(|error| plain(&error))?;
        match &bundle.verification_material.content {
            VerificationMaterialContent::X509CertificateChain { certificates } if certificates.is_empty() => {
                Err("its chain of certificates is empty".to_owned())
            }
            VerificationMaterialContent::Certificate(_)
            | VerificationMaterialContent::X509CertificateChain { .. }
            | VerificationMaterialContent::PublicKey(_) => Ok(Self(bundle)),
            _ => Err("it is signed in a way that is not known here".to_owned()),
        }
    }

    pub(crate) fn material(&self) -> Material {
        match &self.0.verification_material.content {
            VerificationMaterialContent::PublicKey(_) => Material::Key,
            _ => Material::Certificate,
        }
    }

    pub(crate) fn key_hint(&self) -> Option<&str> {
        match &self.0.verification_material.content {
            VerificationMaterialContent::PublicKey(key) => Some(&key.hint),
            _ => None,
        }
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => Some(envelope.payload.as_bytes()),
            _ => None,
        }
    }

    /// Whether logs or timestamps come with it.
    pub(crate) fn has_evidence(&self) -> bool {
        let material = &self.0.verification_material;
        !material.tlog_entries.is_empty()
            || !material.timestamp_verification_data.rfc3161_timestamps.is_empty()
    }

    /// What is signed, and the signature over it.
    fn signed<'a>(&'a self, artifact: &Artifact<'a>) -> Result<(Cow<'a, [u8]>, &'a [u8])> {
        match &self.0.content {
            SignatureContent::MessageSignature(message) => {
                if let Some(digest) = &message.message_digest {
                    let own = artifact.digests();
                    let same = match digest.algorithm {
                        HashAlgorithm::Sha2256 => digest.digest.as_bytes() == own.sha256(),
                        HashAlgorithm::Sha2384 => digest.digest.as_bytes() == own.sha384(),
                        HashAlgorithm::Sha2512 => digest.digest.as_bytes() == own.sha512(),
                        _ => {
                            return Err(Error::unreadable(
                                "the bundle's digest has an algorithm that is not known here",
                            ));
                        }
                    };
                    if !same {
                        return Err(other_artifact("the digest in the bundle is of other bytes"));
                    }
                }
                Ok((artifact.bytes().into(), message.signature.as_bytes()))
            }
            SignatureContent::DsseEnvelope(envelope) => {
                self.payload_type()?;
                Ok((envelope.pae().into(), envelope.signature.sig.as_bytes()))
            }
            _ => Err(Error::unreadable("the bundle holds a signature of a kind that is not known here")),
        }
    }

    /// Refuses envelopes that hold anything but a statement.
    pub(crate) fn payload_type(&self) -> Result<()> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) if envelope.payload_type != MEDIA_TYPE => {
                Err(Error::unreadable(format!(
                    "the envelope holds `{}`, and only in-toto statements (`{MEDIA_TYPE}`) say what they are about",
                    shown(&envelope.payload_type)
                )))
            }
            _ => Ok(()),
        }
    }
}

impl ForeignKey {
    /// The key of a `SubjectPublicKeyInfo`.
    pub(crate) fn parse(der: &[u8]) -> Result<Self> {
        let key = DerPublicKey::from_bytes(der);
        VerificationKey::from_spki(&key).map_err(|error| {
            Error::unreadable(format!("this is no public key that is known here: {}", shown(&error.to_string())))
                .hint("a key is ECDSA over P-256 or P-384, Ed25519 or RSA of 2048 bits or more, as `SubjectPublicKeyInfo`")
        })?;
        Ok(Self(key))
    }

    /// Says whether it made the bundle's signature over `artifact`.
    pub(crate) fn signed(&self, artifact: &Artifact<'_>, bundle: &Parsed) -> Result<bool> {
        let (message, signature) = bundle.signed(artifact)?;
        let algorithm = KeyAlgorithm::from_spki(&self.0).map_err(|error| unusable(&error.to_string()))?;
        let scheme = match &bundle.0.content {
            SignatureContent::MessageSignature(types::MessageSignature {
                message_digest: Some(digest),
                ..
            }) => algorithm
                .resolve_signing_scheme(digest.algorithm)
                .map_err(|error| unusable(&error.to_string()))?,
            _ => algorithm.default_signing_scheme(),
        };
        let key = VerificationKey::from_spki_with_scheme(&self.0, scheme)
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(key.verify(message, &SignatureBytes::from_bytes(signature)).is_ok())
    }
}

/// The artifact as the crate takes it: the digest that the statement names, so that nothing is hashed twice.
fn input<'a>(artifact: &Artifact<'a>, statement: Option<&Statement>) -> Input<'a> {
    let Some(statement) = statement else { return Input::from(artifact.bytes()) };
    let digests = artifact.digests();
    let own = statement.subject.iter().find(|subject| subject.names(digests));
    if own.is_some_and(|subject| !subject.digest.contains_key("sha256"))
        && let Ok(digest) = ArtifactDigest::new(HashAlgorithm::Sha2512, digests.sha512().as_slice())
    {
        return Input::from(digest);
    }
    Input::from(Sha256Hash::new(*digests.sha256()))
}

/// Says whether `key` made the bundle's signature over `artifact`. Strict, as all signatures by our keys.
pub(crate) fn signed_by(
    key: &crate::key::PublicKey,
    artifact: &Artifact<'_>,
    bundle: &Parsed,
) -> Result<bool> {
    let (message, signature) = bundle.signed(artifact)?;
    Ok(key.verifies(&message, signature))
}

/// It is refused.
fn refused(message: impl Into<String>) -> Error {
    Error::refused(message)
}

fn unusable(why: &str) -> Error {
    Error::unreadable("the bundle can't be used").because([shown(why)])
}

fn other_artifact(why: &str) -> Error {
    refused("the bundle is about other bytes than these").because([why.to_owned()])
}

/// What the crate says, without the words that say that it is an error.
fn plain(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.strip_prefix("JSON error: ").or(text.strip_prefix("Bundle error: ")).unwrap_or(&text).to_owned()
}
