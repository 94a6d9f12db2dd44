//! The keys that a person signs with, and the one that the home signs its receipts with.
//!
//! A key is `keys/local/<name>.ed25519`: 32 secret bytes that only their owner may read. What lies beside it, the
//! public key and what is said about it, is written after it and never believed: the public key is worked out from
//! the secret one whenever it is asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use astrid_authority::Digest;
use astrid_store::home::Home;
use astrid_store::private::read_private;
use astrid_store::{Disk, WriterLock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use astrid_provenance::{PublicKey, SigningKey};

use crate::context::{Clock, Context, Entropy};
use crate::error::{Error, ErrorKind, Result};

/// The version of `<name>.meta.toml`.
const SCHEMA_VERSION: u32 = 2;
/// How many characters a note may have.
const MAX_NOTE: usize = 200;
/// The length of a secret key.
const SECRET_BYTES: usize = 32;
/// The end of the name of a file that holds a secret key.
const SECRET: &str = ".ed25519";

/// The name of a key: 1 to 64 letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Usage, format!("`{}` is no name of a key", text.escape_debug()))
            .hint("a name has 1 to 64 letters, digits, `_` and `-`"))
    }
}

/// What may be told about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub name: KeyName,
    /// What its signatures are checked with.
    pub public: PublicKey,
    /// When it was made; nothing when nobody knows any more.
    pub created: Option<Timestamp>,
    /// What its owner noted about it.
    pub note: Option<String>,
    /// Where the secret lies.
    pub path: PathBuf,
}

/// What making a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The key.
    pub key: KeyInfo,
    /// The public key of the one whose place it took; nothing when that one could not be read.
    pub replaced: Option<Option<PublicKey>>,
}

/// `<name>.meta.toml`. What other versions write beside this is left unread.
#[derive(Serialize, Deserialize)]
struct Meta {
    schema_version: u32,
    fingerprint: Digest,
    created_at_epoch: i64,
    backend: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The keys of a person, in a folder of the home.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
    disk: Disk,
}

impl Keyring {
    /// The keys of `home`; nothing is created.
    #[must_use]
    pub fn new(home: &Home, disk: &Disk) -> Self {
        Self { folder: home.local_keys(), disk: disk.clone() }
    }

    fn file(&self, name: &KeyName, end: &str) -> PathBuf {
        self.folder.join(format!("{name}{end}"))
    }

    /// Makes a key. One that is there gives way only with `replace`.
    ///
    /// # Errors
    /// 1 when there is one of that name, 64 when the note is none.
    pub fn generate(
        &self,
        name: &KeyName,
        note: Option<&str>,
        replace: bool,
        (clock, entropy): (&dyn Clock, &dyn Entropy),
        _writer: &WriterLock,
    ) -> Result<Generated> {
        let note = note.map(checked_note).transpose()?;
        let path = self.file(name, SECRET);
        let exists = std::fs::symlink_metadata(&path).is_ok();
        if exists && !replace {
            return Err(Error::failed(format!("there is a key `{name}` already")).hint(
                "choose another name with --name, or pass --force to put a new key in its place; the old one is gone then",
            ));
        }
        let replaced = exists.then(|| self.signing_key(name).ok().map(|key| key.public()));
        let key = fresh_key(entropy)?;
        let public = key.public();
        let created = clock.now();
        let meta = Meta {
            schema_version: SCHEMA_VERSION,
            fingerprint: public.fingerprint(),
            created_at_epoch: created.as_second(),
            backend: "file".to_owned(),
            note: note.clone(),
        };
        let meta = toml_edit::ser::to_string_pretty(&meta).map_err(|error| {
            Error::failed("what is noted about the key can't be written").caused_by(error)
        })?;
        self.disk.create_dir(&self.folder, 0o700)?;
        self.disk.set_mode(&self.folder, 0o700)?;
        self.disk.write_atomic(&path, key.to_bytes().as_slice(), 0o600)?;
        self.disk.write_atomic(&self.file(name, ".pub.hex"), hex_line(&public).as_bytes(), 0o644)?;
        self.disk.write_atomic(&self.file(name, ".meta.toml"), meta.as_bytes(), 0o600)?;
        let created = Timestamp::from_second(created.as_second()).ok();
        Ok(Generated { key: KeyInfo { name: name.clone(), public, created, note, path }, replaced })
    }

    /// Every key, by name; one that can't be read comes with the reason.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> Result<Vec<(KeyName, Result<KeyInfo>)>> {
        let failed = |error| Error::failed("the folder of keys can't be read").caused_by(error);
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SECRET));
            names.extend(name.and_then(|name| name.parse::<KeyName>().ok()));
        }
        names.sort();
        Ok(names.into_iter().map(|name| (name.clone(), self.show(&name))).collect())
    }

    /// What may be told about a key.
    ///
    /// # Errors
    /// As [`Self::signing_key`].
    pub fn show(&self, name: &KeyName) -> Result<KeyInfo> {
        let public = self.signing_key(name)?.public();
        let meta: Option<Meta> = std::fs::read_to_string(self.file(name, ".meta.toml"))
            .ok()
            .and_then(|text| toml_edit::de::from_str(&text).ok())
            // What is said about another key says nothing about this one.
            .filter(|meta: &Meta| meta.fingerprint == public.fingerprint());
        let (created, note) = match meta {
            Some(meta) => (Timestamp::from_second(meta.created_at_epoch).ok(), meta.note),
            None => (None, None),
        };
        Ok(KeyInfo { name: name.clone(), public, created, note, path: self.file(name, SECRET) })
    }

    /// The key itself, for the one place that signs with it.
    ///
    /// # Errors
    /// 1 when there is none of that name, 65 when others may read it or it is no regular file, 84 when it is not
    /// 32 bytes.
    pub fn signing_key(&self, name: &KeyName) -> Result<SigningKey> {
        read_key(&self.file(name, SECRET))?.ok_or_else(|| {
            Error::failed(format!("there is no key `{name}`"))
                .hint("`astrid keypair list` shows those that are there, `astrid keypair generate` makes one")
        })
    }

    /// Deletes a key with everything about it.
    ///
    /// # Errors
    /// 1 when there is none of that name.
    pub fn delete(&self, name: &KeyName, _writer: &WriterLock) -> Result<()> {
        let path = self.file(name, SECRET);
        if std::fs::symlink_metadata(&path).is_err() {
            // Says that there is none, with what to do next.
            self.signing_key(name)?;
        }
        self.disk.remove_file(&path)?;
        self.disk.remove_file(&self.file(name, ".pub.hex"))?;
        self.disk.remove_file(&self.file(name, ".meta.toml"))?;
        Ok(())
    }
}

/// The key that this home signs receipts with, made when there is none yet.
///
/// # Errors
/// As [`Keyring::signing_key`]; 1 when the system gives no randomness.
pub fn ensure_receipt_key(context: &Context) -> Result<SigningKey> {
    let (home, disk) = (&context.home, context.store.disk());
    let path = home.receipt_key();
    let key = if let Some(key) = read_key(&path)? {
        key
    } else {
        let key = fresh_key(&*context.entropy)?;
        disk.create_dir(&home.keys(), 0o700)?;
        disk.create_atomic(&path, key.to_bytes().as_slice(), 0o600)?;
        // Read back: another process may have been first, and then its key is the one.
        read_key(&path)?.ok_or_else(|| Error::corrupt("the key of receipts vanished while it was made"))?
    };
    let line = format!("{}\n", key.public());
    let public = home.receipt_public_key();
    if std::fs::read(&public).ok().as_deref() != Some(line.as_bytes()) {
        disk.write_atomic(&public, line.as_bytes(), 0o644)?;
    }
    Ok(key)
}

/// The key that receipts of this home are checked with; nothing when it never made one.
///
/// # Errors
/// As [`Keyring::signing_key`].
pub fn receipt_public_key(home: &Home) -> Result<Option<PublicKey>> {
    Ok(read_key(&home.receipt_key())?.map(|key| key.public()))
}

fn fresh_key(entropy: &dyn Entropy) -> Result<SigningKey> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    entropy
        .fill(secret.as_mut_slice())
        .map_err(|error| Error::failed("the system gives no random bytes").caused_by(error))?;
    Ok(SigningKey::from_bytes(&secret))
}

fn read_key(path: &Path) -> Result<Option<SigningKey>> {
    let Some(bytes) = read_private(path, SECRET_BYTES)? else { return Ok(None) };
    let Ok(secret) = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()) else {
        return Err(Error::corrupt(format!("`{}` is no key: a key is {SECRET_BYTES} bytes", path.display()))
            .hint("restore it from a backup, or make another"));
    };
    Ok(Some(SigningKey::from_bytes(&Zeroizing::new(secret))))
}

fn hex_line(public: &PublicKey) -> String {
    format!("{}\n", public.to_hex())
}

fn checked_note(note: &str) -> Result<String> {
    if note.chars().count() <= MAX_NOTE && !note.chars().any(char::is_control) {
        return Ok(note.to_owned());
    }
    Err(Error::new(ErrorKind::Usage, format!("a note is one line of at most {MAX_NOTE} characters")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    struct Fixed(u8);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    fn ring() -> (tempfile::TempDir, Keyring, WriterLock) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        let disk = Disk::default();
        let writer = WriterLock::acquire(&home, &disk, "test", Duration::ZERO).unwrap();
        (folder, Keyring::new(&home, &disk), writer)
    }

    fn made(ring: &Keyring, writer: &WriterLock, byte: u8, replace: bool) -> Result<Generated> {
        let name = "default".parse().unwrap();
        ring.generate(&name, Some("for releases"), replace, (&Fixed(byte), &Fixed(byte)), writer)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_made_shown_and_deleted() {
        let (_folder, ring, writer) = ring();
        assert!(ring.list().unwrap().is_empty());
        let generated = made(&ring, &writer, 7, false).unwrap();
        assert_eq!(generated.replaced, None);
        let key = generated.key;
        assert_eq!(key.public.to_hex(), "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c");
        assert_eq!(ring.show(&key.name).unwrap(), key);
        assert_eq!(ring.list().unwrap().len(), 1);
        assert_eq!((mode(&ring.folder), mode(&key.path)), (0o700, 0o600));
        assert_eq!(mode(&ring.file(&key.name, ".pub.hex")), 0o644);
        assert_eq!(mode(&ring.file(&key.name, ".meta.toml")), 0o600);
        let meta = std::fs::read_to_string(ring.file(&key.name, ".meta.toml")).unwrap();
        assert_eq!(
            meta,
            format!(
                "schema_version = 2\nfingerprint = \"{}\"\ncreated_at_epoch = 0\nbackend = \"file\"\nnote = \"for releases\"\n",
                key.public.fingerprint()
            )
        );
        ring.delete(&key.name, &writer).unwrap();
        assert!(std::fs::read_dir(&ring.folder).unwrap().next().is_none());
        assert_eq!(ring.delete(&key.name, &writer).unwrap_err().kind(), ErrorKind::Failed);
    }

    #[test]
    fn a_key_gives_way_only_when_that_is_said_denied() {
        let (_folder, ring, writer) = ring();
        let first = made(&ring, &writer, 7, false).unwrap().key;
        assert!(made(&ring, &writer, 8, false).is_err());
        assert_eq!(ring.show(&first.name).unwrap(), first);
        let second = made(&ring, &writer, 8, true).unwrap();
        assert_eq!(second.replaced, Some(Some(first.public)));
        assert_ne!(second.key.public, first.public);
    }

    #[test]
    fn what_lies_beside_a_key_is_not_believed_denied() {
        let (_folder, ring, writer) = ring();
        let key = made(&ring, &writer, 7, false).unwrap().key;
        std::fs::write(ring.file(&key.name, ".pub.hex"), "00").unwrap();
        let meta = ring.file(&key.name, ".meta.toml");
        let text = std::fs::read_to_string(&meta).unwrap().replace("blake3:b8", "blake3:b9");
        std::fs::write(&meta, text).unwrap();
        assert_eq!(ring.show(&key.name).unwrap(), KeyInfo { created: None, note: None, ..key });
    }

    #[test]
    fn files_that_are_no_private_keys_are_denied() {
        let (_folder, ring, writer) = ring();
        let key = made(&ring, &writer, 7, false).unwrap().key;
        let secret = std::fs::read(&key.path).unwrap();
        std::fs::set_permissions(&key.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(ring.signing_key(&key.name).unwrap_err().kind(), ErrorKind::Invalid);
        let listed = ring.list().unwrap();
        assert!(listed.len() == 1 && listed[0].1.is_err());
        for bytes in [&secret[..31], &[&secret[..], &[0]].concat(), &[]] {
            std::fs::write(&key.path, bytes).unwrap();
            std::fs::set_permissions(&key.path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(ring.signing_key(&key.name).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        std::fs::remove_file(&key.path).unwrap();
        let elsewhere = ring.folder.join("elsewhere");
        std::fs::write(&elsewhere, &secret).unwrap();
        std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &key.path).unwrap();
        assert_eq!(ring.signing_key(&key.name).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn other_names_and_notes_are_denied() {
        let long = "a".repeat(65);
        for name in ["", ".", "..", "a/b", "a b", "ä", "a.b", long.as_str()] {
            assert!(name.parse::<KeyName>().is_err(), "{name}");
        }
        let (_folder, ring, writer) = ring();
        let name = "default".parse().unwrap();
        for note in ["two\nlines".to_owned(), "a".repeat(201)] {
            assert!(ring.generate(&name, Some(&note), false, (&Fixed(1), &Fixed(1)), &writer).is_err());
        }
        assert!(!ring.folder.exists());
    }
}
