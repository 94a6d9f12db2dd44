//! Ed25519 keys and their text forms.
//!
//! The form in files of ours is `ed25519:` and standard base64 of the 32 bytes. Signatures are checked
//! strictly (RFC 8032 with cofactorless verification and no small-order keys); only the signature of
//! version 1 bundles was defined with the lenient check, and it alone uses it.

use std::fmt;
use std::str::FromStr;

use astrid_authority::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, Verifier as _};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The purpose of the derivation, as the platform has it.
const FINGERPRINT: &str = "astrid.runtime.ed25519-public-key.fingerprint.v1";
/// The prefix of the text form.
const PREFIX: &str = "ed25519:";
/// The name of the algorithm in OpenSSH's form (RFC 8709).
const OPENSSH: &str = "ssh-ed25519";
/// DER of a SubjectPublicKeyInfo up to the 32 bytes of an ed25519 key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signatures are checked with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A key that signs. Its bytes are never printed, and are wiped when it is dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl PublicKey {
    /// The key of 32 bytes.
    ///
    /// # Errors
    /// `Unreadable` when they are no point of the curve, or one of small order, which anybody can sign for.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map_err(|_| Error::unreadable("the bytes are no ed25519 key"))?;
        if key.is_weak() {
            return Err(Error::unreadable("the ed25519 key is weak: anybody could sign with it"));
        }
        Ok(Self(*bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The form of command lines: 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// One line of OpenSSH's `authorized_keys`, without a comment.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        let mut blob = Vec::with_capacity(51);
        for part in [OPENSSH.as_bytes(), &self.0] {
            // Both parts are shorter than 256 bytes.
            blob.extend_from_slice(&[0, 0, 0, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
            blob.extend_from_slice(part);
        }
        format!("{OPENSSH} {}", STANDARD.encode(blob))
    }

    /// `SubjectPublicKeyInfo` in DER, the form that Sigstore's roots and tools use.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.0].concat()
    }

    /// The key of a `SubjectPublicKeyInfo`; none when it is one of another algorithm.
    ///
    /// # Errors
    /// As for [`Self::from_bytes`].
    pub fn from_spki(der: &[u8]) -> Result<Option<Self>> {
        let bytes = der.strip_prefix(&SPKI_PREFIX).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self::from_bytes).transpose()
    }

    /// The short name of the key for people, derived with BLAKE3 so that it is no other digest of these bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::from_bytes(blake3::derive_key(FINGERPRINT, &self.0))
    }

    /// Says whether `signature` was made over `message` with this key. Strict.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (
            ed25519_dalek::VerifyingKey::from_bytes(&self.0),
            ed25519_dalek::Signature::from_slice(signature),
        ) else {
            return false;
        };
        key.verify_strict(message, &signature).is_ok()
    }

    /// As [`Self::verifies`], with the lenient check that version 1 bundles were defined with.
    #[must_use]
    pub fn verifies_leniently(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (
            ed25519_dalek::VerifyingKey::from_bytes(&self.0),
            ed25519_dalek::Signature::from_slice(signature),
        ) else {
            return false;
        };
        key.verify(message, &signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads `ed25519:BASE64`, 64 hexadecimal digits, or a line of OpenSSH's.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = if let Some(encoded) = text.strip_prefix(PREFIX) {
            STANDARD.decode(encoded).ok()
        } else if let Some(rest) = text.strip_prefix(OPENSSH) {
            rest.split_ascii_whitespace().next().and_then(|blob| STANDARD.decode(blob).ok()).and_then(
                |blob| {
                    let head = [&[0, 0, 0, 11], OPENSSH.as_bytes(), &[0, 0, 0, 32]].concat();
                    blob.strip_prefix(head.as_slice()).map(<[u8]>::to_vec)
                },
            )
        } else {
            hex::decode(text).ok()
        };
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| {
            Error::unreadable("this is no ed25519 key")
                .hint("write `ed25519:` and its base64, 64 hexadecimal digits, or an `ssh-ed25519` line")
        })?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SigningKey {
    /// The key of 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: &Zeroizing<[u8; 32]>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// The secret bytes, for the one place that writes them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The key that its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs; the same message gives the same 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seven() -> SigningKey {
        SigningKey::from_bytes(&Zeroizing::new([7; 32]))
    }

    #[test]
    fn a_key_has_the_known_forms() {
        let key = seven().public();
        assert_eq!(key.to_string(), "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=");
        assert_eq!(PublicKey::from_spki(&key.to_spki()).unwrap(), Some(key));
        assert_eq!(PublicKey::from_spki(&key.to_spki()[1..]).unwrap(), None);
        assert_eq!(key.to_hex(), "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
        assert_eq!(
            key.fingerprint().to_string(),
            "blake3:b80ba5b065ff17efb6f8e1e7fc5dc0d81a6544ccebe92db080a325ae54b58a96"
        );
        for text in
            [key.to_string(), key.to_hex(), key.to_openssh(), format!("{} ada@example.org", key.to_openssh())]
        {
            assert_eq!(text.parse::<PublicKey>().unwrap(), key, "{text}");
        }
    }

    #[test]
    fn a_signature_is_of_one_message_and_one_key() {
        let key = seven();
        let signature = key.sign(b"message");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"massage", &signature));
        assert!(!key.public().verifies(b"message", &signature[1..]));
        let other = SigningKey::from_bytes(&Zeroizing::new([8; 32])).public();
        assert!(!other.verifies(b"message", &signature));
    }

    #[test]
    fn other_texts_and_weak_keys_are_denied() {
        let identity = format!("01{}", "00".repeat(31));
        for text in
            ["", "ed25519:", "ed25519:AAAA", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "zz", identity.as_str()]
        {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", seven()), "SigningKey(…)");
    }
}
