//! A key that exists for one signature.

use ::sigstore::crypto::KeyPair;

use crate::error::{Error, Result};

/// A P-256 key that nobody ever stores. It is gone when it is dropped.
pub(crate) struct EphemeralKey(KeyPair);

impl EphemeralKey {
    pub(crate) fn generate() -> Result<Self> {
        KeyPair::generate_ecdsa_p256().map(Self).map_err(|_| Error::unreadable("no key can be made here"))
    }

    /// Its `SubjectPublicKeyInfo` in PEM.
    pub(crate) fn public_pem(&self) -> Result<String> {
        let key = self.0.public_key_der();
        key.map(|key| key.to_pem()).map_err(|_| Error::unreadable("the key's public half can't be written"))
    }

    /// Signs with SHA-256; the signature is DER.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.0.sign(message);
        signature
            .map(|signature| signature.as_bytes().to_vec())
            .map_err(|_| Error::unreadable("the key can't sign here"))
    }
}
