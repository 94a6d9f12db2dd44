//! How one secret is sealed: bytes in, bytes out, no files.
//!
//! A sealed secret holds one entry per *binding*. The binding is who may have it: the scope, the
//! capsule's name, its key, and the source and signer that the capsule had when a person gave the
//! secret. All of it is authenticated, so that a file which is moved to another capsule's folder, or
//! a capsule which comes from somewhere else, opens nothing.

use std::fmt;

use astrid_authority::{CapsuleName, Digest, EnvKey};
use astrid_store::home::{HomeKey, SecretScope};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

/// The longest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// First line of a sealed file. A change of the layout needs a new one.
const MAGIC: &[u8] = b"astrid-secret 1\n";
const BINDING_BYTES: usize = 32;
/// Length in bytes of the nonce of one entry.
pub const NONCE_BYTES: usize = 24;
const LENGTH_BYTES: usize = 4;
/// Context of the key derivation. It names the purpose, so that no other use of the home's key
/// yields the same key.
const KEY_CONTEXT: &str = "astrid 2026-11 secrets: seal values at rest";
/// Context of the key under which configuration values are digested.
const CONFIGURATION_CONTEXT: &str = "astrid 2026-11 configuration: bind values in plans";

/// A value that can't be printed, logged or serialised, and leaves no copy in memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// The value is longer than [`MAX_SECRET_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has at most 65536 bytes")]
pub struct SecretTooLong;

impl Secret {
    /// Takes the bytes of a secret.
    ///
    /// # Errors
    /// When there are more than [`MAX_SECRET_BYTES`]. The bytes are wiped then, too.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SecretTooLong> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() > MAX_SECRET_BYTES { Err(SecretTooLong) } else { Ok(Self(bytes)) }
    }

    /// The bytes, for the one place that hands them to the capsule.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        // Comparing hashes takes the same time wherever the bytes differ.
        blake3::hash(&self.0) == blake3::hash(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// A digest of a configuration value that only this home can compute.
///
/// Plans carry it in place of the value: it shows that a value changed, and can't be searched for by
/// whoever reads the plan.
#[must_use]
pub fn configuration_digest(home: &HomeKey, capsule: &CapsuleName, key: &EnvKey, value: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(home.derive(CONFIGURATION_CONTEXT).as_bytes());
    for part in [capsule.as_str().as_bytes(), key.as_str().as_bytes(), value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// Where a capsule came from and who signed it, when it was given a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The source, as the lock writes it.
    pub source: String,
    /// The signer, as the lock writes it; `unsigned` when there is none.
    pub signer: String,
}

/// Whose secret it is, and which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    /// For whom.
    pub scope: SecretScope,
    /// For which capsule.
    pub capsule: CapsuleName,
    /// Under which key of its `[env]`.
    pub key: EnvKey,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope, self.capsule, self.key)
    }
}

/// Why a sealed secret did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was given to a capsule of another source or signer.
    #[error("it was given to a capsule from another source or signer")]
    NotForThisCapsule,
    /// The bytes are not what was sealed, or another home sealed them.
    #[error("it is damaged, or was sealed by another home")]
    Damaged,
}

impl SecretName {
    fn binding(&self, to: &Binding) -> Digest {
        Digest::of_parts(
            "astrid:secret-binding:v1",
            [
                self.scope.as_str().as_bytes(),
                self.capsule.as_str().as_bytes(),
                self.key.as_str().as_bytes(),
                to.source.as_bytes(),
                to.signer.as_bytes(),
            ],
        )
    }
}

/// One value under one binding, as it lies in the file.
struct Entry<'a> {
    binding: &'a [u8],
    nonce: &'a [u8],
    sealed: &'a [u8],
}

fn entries(file: &[u8]) -> Result<Vec<Entry<'_>>, OpenError> {
    let mut rest = file.strip_prefix(MAGIC).ok_or(OpenError::Damaged)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let binding;
        let nonce;
        let length;
        let sealed;
        (binding, rest) = rest.split_at_checked(BINDING_BYTES).ok_or(OpenError::Damaged)?;
        (nonce, rest) = rest.split_at_checked(NONCE_BYTES).ok_or(OpenError::Damaged)?;
        (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(OpenError::Damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| OpenError::Damaged)?;
        (sealed, rest) = rest.split_at_checked(length).ok_or(OpenError::Damaged)?;
        entries.push(Entry { binding, nonce, sealed });
    }
    Ok(entries)
}

/// Seals `value` for `name` under `to`, as the only entry of a new file.
///
/// `nonce` must be fresh randomness.
///
/// # Errors
/// When the cipher refuses, which it does only for values beyond any limit of ours.
pub fn seal(
    key: &HomeKey,
    name: &SecretName,
    to: &Binding,
    value: &Secret,
    nonce: [u8; NONCE_BYTES],
) -> Result<Vec<u8>, OpenError> {
    let mut file = MAGIC.to_vec();
    append(&mut file, key, name, to, value, nonce)?;
    Ok(file)
}

fn append(
    file: &mut Vec<u8>,
    key: &HomeKey,
    name: &SecretName,
    to: &Binding,
    value: &Secret,
    nonce: [u8; NONCE_BYTES],
) -> Result<(), OpenError> {
    let binding = name.binding(to);
    let sealed = cipher(key)
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: value.expose(), aad: binding.as_bytes() })
        .map_err(|_| OpenError::Damaged)?;
    let length = u32::try_from(sealed.len()).map_err(|_| OpenError::Damaged)?;
    file.extend_from_slice(binding.as_bytes());
    file.extend_from_slice(&nonce);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&sealed);
    Ok(())
}

/// Opens the entry of `file` that was sealed for `name` under `to`.
///
/// # Errors
/// [`OpenError::NotForThisCapsule`] when no entry has that binding, [`OpenError::Damaged`] when the
/// file or the entry is not what was written.
pub fn open(key: &HomeKey, name: &SecretName, to: &Binding, file: &[u8]) -> Result<Secret, OpenError> {
    let binding = name.binding(to);
    let entry = entries(file)?
        .into_iter()
        .find(|entry| entry.binding == binding.as_bytes())
        .ok_or(OpenError::NotForThisCapsule)?;
    let mut plain = cipher(key)
        .decrypt(XNonce::from_slice(entry.nonce), Payload { msg: entry.sealed, aad: binding.as_bytes() })
        .map_err(|_| OpenError::Damaged)?;
    let secret = Secret::new(plain.as_slice()).map_err(|_| OpenError::Damaged);
    plain.zeroize();
    secret
}

/// The file with one entry more: what `name` holds under `from`, also under `to`.
///
/// The old entry stays, so that a rollback to the capsule of before needs nothing. A file that
/// already has the new entry stays as it is.
///
/// # Errors
/// As [`open`] under `from`.
pub fn rebind(
    key: &HomeKey,
    name: &SecretName,
    from: &Binding,
    to: &Binding,
    file: &[u8],
    nonce: [u8; NONCE_BYTES],
) -> Result<Vec<u8>, OpenError> {
    if open(key, name, to, file).is_ok() {
        return Ok(file.to_vec());
    }
    let value = open(key, name, from, file)?;
    let mut file = file.to_vec();
    append(&mut file, key, name, to, &value, nonce)?;
    Ok(file)
}

fn cipher(key: &HomeKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.derive(KEY_CONTEXT).as_bytes().into())
}

#[cfg(test)]
mod tests {
    use astrid_authority::PrincipalId;
    use astrid_store::{Disk, Home};

    use super::*;

    fn name(capsule: &str, key: &str) -> SecretName {
        SecretName {
            scope: SecretScope::Principal(PrincipalId::default_user()),
            capsule: capsule.parse().unwrap(),
            key: key.parse().unwrap(),
        }
    }

    fn binding(source: &str) -> Binding {
        Binding { source: source.to_owned(), signer: "unsigned".to_owned() }
    }

    fn key() -> HomeKey {
        key_of(7)
    }

    fn key_of(byte: u8) -> HomeKey {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("h"), folder.path().join("p")).unwrap();
        let disk = Disk::default();
        home.ensure(&disk).unwrap();
        let mut entropy = |buffer: &mut [u8]| {
            buffer.fill(byte);
            Ok(())
        };
        home.ensure_key(&disk, &mut entropy).unwrap()
    }

    fn sealed() -> Vec<u8> {
        let value = Secret::new("hunter2").unwrap();
        seal(&key(), &name("fs", "TOKEN"), &binding("./fs"), &value, [1; NONCE_BYTES]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_capsule() {
        let secret = open(&key(), &name("fs", "TOKEN"), &binding("./fs"), &sealed()).unwrap();
        assert_eq!(secret.expose(), b"hunter2");
        assert!(!sealed().windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn another_capsule_key_source_or_home_opens_nothing_denied() {
        let file = sealed();
        let other = OpenError::NotForThisCapsule;
        assert_eq!(open(&key(), &name("kv", "TOKEN"), &binding("./fs"), &file).unwrap_err(), other);
        assert_eq!(open(&key(), &name("fs", "OTHER"), &binding("./fs"), &file).unwrap_err(), other);
        assert_eq!(open(&key(), &name("fs", "TOKEN"), &binding("./evil"), &file).unwrap_err(), other);
        let home = key_of(8);
        assert_eq!(
            open(&home, &name("fs", "TOKEN"), &binding("./fs"), &file).unwrap_err(),
            OpenError::Damaged
        );
    }

    #[test]
    fn an_entry_with_a_forged_binding_does_not_open_denied() {
        let mut file = sealed();
        let forged = name("fs", "TOKEN").binding(&binding("./evil"));
        file[MAGIC.len()..MAGIC.len() + BINDING_BYTES].copy_from_slice(forged.as_bytes());
        let opened = open(&key(), &name("fs", "TOKEN"), &binding("./evil"), &file);
        assert_eq!(opened.unwrap_err(), OpenError::Damaged);
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_noticed_denied() {
        let (file, key) = (sealed(), key());
        for length in 0..file.len() {
            assert!(open(&key, &name("fs", "TOKEN"), &binding("./fs"), &file[..length]).is_err(), "{length}");
        }
        for at in 0..file.len() {
            let mut file = file.clone();
            file[at] ^= 1;
            assert!(open(&key, &name("fs", "TOKEN"), &binding("./fs"), &file).is_err(), "{at}");
        }
    }

    #[test]
    fn rebinding_keeps_the_old_entry_and_is_idempotent() {
        let name = name("fs", "TOKEN");
        let file = rebind(&key(), &name, &binding("./fs"), &binding("./new"), &sealed(), [2; 24]).unwrap();
        assert!(open(&key(), &name, &binding("./fs"), &file).is_ok());
        assert_eq!(open(&key(), &name, &binding("./new"), &file).unwrap().expose(), b"hunter2");
        let again = rebind(&key(), &name, &binding("./fs"), &binding("./new"), &file, [3; 24]).unwrap();
        assert_eq!(again, file);
        assert!(rebind(&key(), &name, &binding("./x"), &binding("./y"), &file, [4; 24]).is_err());
    }

    #[test]
    fn a_secret_is_never_printed_and_has_a_limit_denied() {
        let secret = Secret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert!(Secret::new(vec![0; MAX_SECRET_BYTES]).is_ok());
        assert!(Secret::new(vec![0; MAX_SECRET_BYTES + 1]).is_err());
    }

    #[test]
    fn a_configuration_digest_depends_on_home_place_and_value() {
        let (fs, root) = ("fs".parse().unwrap(), "ROOT".parse().unwrap());
        let digest = configuration_digest(&key(), &fs, &root, b"a");
        assert_eq!(digest, configuration_digest(&key(), &fs, &root, b"a"));
        assert_ne!(digest, configuration_digest(&key(), &fs, &root, b"b"));
        assert_ne!(digest, configuration_digest(&key_of(9), &fs, &root, b"a"));
    }
}
