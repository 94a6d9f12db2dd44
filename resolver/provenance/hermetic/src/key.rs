//! Keys that are derived from a word.
//!
//! Anybody can derive them again: they protect nothing. ECDSA signatures are made as RFC 6979 has them, so that
//! signing twice gives the same bytes.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};
use sha2::Digest as _;

use crate::{pem, sha256};

/// A key pair.
#[derive(Clone)]
pub struct Key {
    secret: Secret,
    public: Vec<u8>,
}

#[derive(Clone)]
enum Secret {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl Key {
    /// The P-256 key of `word`.
    #[must_use]
    pub fn p256(word: &str) -> Self {
        let mut scalar = sha256(word.as_bytes());
        // Below the order of the curve.
        scalar[0] &= 0x7f;
        let secret = p256::ecdsa::SigningKey::from_slice(&scalar).unwrap();
        let public = secret.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Self { secret: Secret::P256(secret), public }
    }

    /// The P-384 key of `word`.
    #[must_use]
    pub fn p384(word: &str) -> Self {
        let mut scalar: [u8; 48] = sha2::Sha384::digest(word).into();
        scalar[0] &= 0x7f;
        let secret = p384::ecdsa::SigningKey::from_slice(&scalar).unwrap();
        let public = secret.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Self { secret: Secret::P384(secret), public }
    }

    /// The ed25519 key of `word`.
    #[must_use]
    pub fn ed25519(word: &str) -> Self {
        Self::ed25519_of(&sha256(word.as_bytes()))
    }

    /// The ed25519 key of 32 secret bytes.
    #[must_use]
    pub fn ed25519_of(secret: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(secret);
        let public = secret.verifying_key().to_bytes().to_vec();
        Self { secret: Secret::Ed25519(secret), public }
    }

    /// Signs: DER for ECDSA, 64 bytes for ed25519.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(key, message);
                signature.to_der().as_bytes().to_vec()
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(key, message);
                signature.to_der().as_bytes().to_vec()
            }
            Secret::Ed25519(key) => ed25519_dalek::Signer::sign(key, message).to_bytes().to_vec(),
        }
    }

    /// The public key's bytes, as they stand in a `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    /// `SubjectPublicKeyInfo` in PEM.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki())
    }

    /// The name of the algorithm in Sigstore's files.
    #[must_use]
    pub fn details(&self) -> &'static str {
        match self.secret {
            Secret::P256(_) => "PKIX_ECDSA_P256_SHA_256",
            Secret::P384(_) => "PKIX_ECDSA_P384_SHA_384",
            Secret::Ed25519(_) => "PKIX_ED25519",
        }
    }

    /// The identifier that certificates use for it.
    pub(crate) fn identifier(&self) -> rcgen::KeyIdMethod {
        rcgen::KeyIdMethod::PreSpecified(sha256(&self.public)[..20].to_vec())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.secret {
            Secret::P256(_) => &PKCS_ECDSA_P256_SHA256,
            Secret::P384(_) => &PKCS_ECDSA_P384_SHA384,
            Secret::Ed25519(_) => &PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Key::sign(self, message))
    }
}

/// A P-256 key of which only the public half is known.
pub struct P256Public(Vec<u8>);

impl P256Public {
    /// The key of a `SubjectPublicKeyInfo` in DER, or nothing when it is of another kind.
    #[must_use]
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        let point = der.get(26..).filter(|point| point.len() == 65)?;
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
        Some(Self(point.to_vec()))
    }
}

impl PublicKeyData for P256Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_is_the_same_key() {
        for make in [Key::p256, Key::p384, Key::ed25519] {
            assert_eq!(make("a").spki(), make("a").spki());
            assert_eq!(make("a").sign(b"message"), make("a").sign(b"message"));
            assert_ne!(make("a").spki(), make("b").spki());
        }
        assert!(P256Public::from_spki(&Key::p256("a").spki()).is_some());
        assert!(P256Public::from_spki(&Key::p384("a").spki()).is_none());
    }
}
