//! The key with which a principal proves who it is: 32 secret bytes in a private file.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use astrid_authority::PrincipalId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Where random bytes come from. Filling must not fail silently.
pub type Entropy = dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync;

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others may read or change it.
    #[error(
        "{path} has mode {mode:04o}; a key must be private: `chmod 600` it, or remove it if others may have read it"
    )]
    Exposed {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not 32 bytes.
    #[error(
        "{path} is not a key of 32 bytes; restore it from a copy, or remove it and start again to get a new one"
    )]
    Malformed {
        /// Where it is.
        path: PathBuf,
    },
    /// It can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A principal's signing key. Its secret is never printed, and is wiped when dropped.
pub struct PrincipalKey(SigningKey);

impl fmt::Debug for PrincipalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrincipalKey(…)")
    }
}

/// The file of `principal`'s key in the folder of keys.
pub fn path_of(keys: &Path, principal: &PrincipalId) -> PathBuf {
    keys.join(format!("{principal}.key"))
}

/// The text that is signed for a challenge.
fn challenge_text(principal: &str, nonce: &str) -> String {
    format!("astrid-principal-auth:v1:{principal}:{nonce}")
}

/// Says whether `signature` (hexadecimal digits) answers the challenge `nonce` with `key`.
pub fn answers_challenge(key: &VerifyingKey, principal: &PrincipalId, nonce: &str, signature: &str) -> bool {
    let mut bytes = [0; Signature::BYTE_SIZE];
    hex::decode_to_slice(signature, &mut bytes).is_ok()
        && key
            .verify_strict(
                challenge_text(principal.as_str(), nonce).as_bytes(),
                &Signature::from_bytes(&bytes),
            )
            .is_ok()
}

impl PrincipalKey {
    /// Reads a key; none when the file does not exist.
    ///
    /// # Errors
    /// When others may read the file, or it does not hold 32 bytes.
    pub fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        if metadata.len() != 32 || file.read_exact(&mut *secret).is_err() {
            return Err(KeyError::Malformed { path: path.to_owned() });
        }
        Ok(Some(Self(SigningKey::from_bytes(&secret))))
    }

    /// Reads a key, or makes one when the file does not exist. Only one process may do so at once.
    ///
    /// # Errors
    /// As [`PrincipalKey::load`], or when the file can't be written.
    pub fn load_or_create(path: &Path, entropy: &Entropy) -> Result<Self, KeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let failed = |source| KeyError::Io { path: path.to_owned(), source };
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        entropy(&mut *secret).map_err(failed)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let unfinished = path.with_extension("key.new");
        let write = || -> io::Result<()> {
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(&*secret)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().map_err(failed)?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.0.verifying_key()
    }

    /// Answers the challenge `nonce` as `principal`: a signature in hexadecimal digits.
    pub fn answer(&self, principal: &PrincipalId, nonce: &str) -> String {
        hex::encode(self.0.sign(challenge_text(principal.as_str(), nonce).as_bytes()).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVENS: &Entropy = &|bytes| {
        bytes.fill(7);
        Ok(())
    };

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/default.key");
        assert!(PrincipalKey::load(&path).unwrap().is_none());
        let made = PrincipalKey::load_or_create(&path, SEVENS).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again =
            PrincipalKey::load_or_create(&path, &|_: &mut [u8]| Err(io::Error::other("unused"))).unwrap();
        assert_eq!(made.verifying_key(), again.verifying_key());
        assert_eq!(format!("{made:?}"), "PrincipalKey(…)");
    }

    #[test]
    fn exposed_and_malformed_keys_are_denied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("default.key");
        fs::write(&path, [1; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(PrincipalKey::load(&path), Err(KeyError::Malformed { .. })));
        fs::write(&path, [1; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(PrincipalKey::load(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn an_answer_for_another_nonce_or_principal_is_denied() {
        let folder = tempfile::tempdir().unwrap();
        let key = PrincipalKey::load_or_create(&folder.path().join("k"), SEVENS).unwrap();
        let (ann, bob): (PrincipalId, PrincipalId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let answer = key.answer(&ann, "00ff");
        assert!(answers_challenge(&key.verifying_key(), &ann, "00ff", &answer));
        assert!(!answers_challenge(&key.verifying_key(), &ann, "00fe", &answer));
        assert!(!answers_challenge(&key.verifying_key(), &bob, "00ff", &answer));
        assert!(!answers_challenge(&key.verifying_key(), &ann, "00ff", "zz"));
    }
}
