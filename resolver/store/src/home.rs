//! Where everything is: the layout of `$ASTRID_HOME` and of the packs root.
//!
//! Nothing here creates a file by being asked for its path, so that a read-only command leaves no trace.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use astrid_authority::{CapsuleName, EnvKey, PackId, PrincipalId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::disk::Disk;
use crate::error::{Result, StoreError};

/// The layout that this version writes, in `etc/layout-version`.
pub const LAYOUT_VERSION: &str = "1";

/// Fills a buffer with random bytes: the one way randomness comes into this crate.
pub type Entropy<'a> = &'a mut dyn FnMut(&mut [u8]) -> io::Result<()>;

/// The home of one installation, and where its packs are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    packs: PathBuf,
}

/// A key of 32 random bytes that never leaves the home; its text form says nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HomeKey([u8; 32]);

impl HomeKey {
    /// The bytes, to derive a purpose's own key from.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose, so that no two uses share one; `context` is a constant of ours.
    #[must_use]
    pub fn derive(&self, context: &str) -> HomeKey {
        HomeKey(blake3::derive_key(context, &self.0))
    }
}

impl std::fmt::Debug for HomeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HomeKey(redacted)")
    }
}

/// Whose secrets a folder of `secrets/` holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretScope {
    /// The operator's, shared by all principals: `__host__`.
    Host,
    /// One principal's.
    Principal(PrincipalId),
}

impl SecretScope {
    /// The folder's name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Host => "__host__",
            Self::Principal(principal) => principal.as_str(),
        }
    }
}

impl std::fmt::Display for SecretScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The path is absolute and has no `..`.
fn normal(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir))
}

impl Home {
    /// A home at `root` whose packs are served under `packs`.
    ///
    /// # Errors
    /// When either is relative or contains `..`.
    pub fn new(root: impl Into<PathBuf>, packs: impl Into<PathBuf>) -> Result<Self> {
        let (root, packs) = (root.into(), packs.into());
        for path in [&root, &packs] {
            if !normal(path) {
                return Err(StoreError::refused(
                    path.display().to_string(),
                    "the home and the packs root must be absolute paths without `..`",
                ));
            }
        }
        Ok(Self { root, packs })
    }

    /// `~/.astrid`, for a person whose home folder is `user_home`.
    pub fn default_root(user_home: &Path) -> PathBuf {
        user_home.join(".astrid")
    }

    /// `$XDG_DATA_HOME/astrid/packs`, else `~/.local/share/astrid/packs`.
    ///
    /// A relative `$XDG_DATA_HOME` is ignored, as its specification asks.
    pub fn default_packs_root(xdg_data_home: Option<&Path>, user_home: &Path) -> PathBuf {
        let data = match xdg_data_home {
            Some(data) if data.is_absolute() => data.to_owned(),
            _ => user_home.join(".local/share"),
        };
        data.join("astrid/packs")
    }

    /// Creates what a writer needs: the folders, private to their owner, and the layout's version.
    ///
    /// # Errors
    /// When the home has a layout of a newer version, or the operating system refuses.
    pub fn ensure(&self, disk: &Disk) -> Result<()> {
        self.check_layout()?;
        for folder in [
            self.root.clone(),
            self.etc(),
            self.keys(),
            self.secrets(),
            self.trust(),
            self.blobs(),
            self.compiled(),
            self.trees(),
            self.generations(),
            self.run(),
            self.var(),
            self.log(),
            self.principals(),
        ] {
            disk.create_dir(&folder, 0o700)?;
            let metadata = std::fs::metadata(&folder).map_err(StoreError::io("read", &folder))?;
            if metadata.permissions().mode() & 0o077 != 0 {
                disk.set_mode(&folder, 0o700)?;
            }
        }
        let version = self.layout_version();
        if !version.exists() {
            disk.create_atomic(&version, format!("{LAYOUT_VERSION}\n").as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Refuses a home whose layout this version does not know; a home that is not there is fine.
    ///
    /// # Errors
    /// When `etc/layout-version` holds another version.
    pub fn check_layout(&self) -> Result<()> {
        let path = self.layout_version();
        match read_optional(&path)? {
            Some(bytes) if bytes.trim_ascii() != LAYOUT_VERSION.as_bytes() => Err(StoreError::corrupt(
                &path,
                format!(
                    "this program knows layout {LAYOUT_VERSION} only; use the version that made this home"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The home's own key, if it has one.
    ///
    /// # Errors
    /// When the file is not 32 bytes, or can't be read.
    pub fn key(&self) -> Result<Option<HomeKey>> {
        let path = self.home_key();
        let Some(mut bytes) = read_optional(&path)? else { return Ok(None) };
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        bytes.zeroize();
        match key {
            Ok(key) => Ok(Some(HomeKey(key))),
            Err(_) => Err(StoreError::corrupt(&path, "a key is 32 bytes; restore it from a backup")),
        }
    }

    /// The home's own key, made from `entropy` when there is none yet.
    ///
    /// # Errors
    /// When the file is not 32 bytes, randomness fails, or the operating system refuses.
    pub fn ensure_key(&self, disk: &Disk, entropy: Entropy<'_>) -> Result<HomeKey> {
        if let Some(key) = self.key()? {
            return Ok(key);
        }
        let path = self.home_key();
        let mut bytes = [0; 32];
        entropy(&mut bytes).map_err(StoreError::io("make a key for", &path))?;
        disk.create_dir(&self.keys(), 0o700)?;
        disk.create_atomic(&path, &bytes, 0o600)?;
        bytes.zeroize();
        // Read back: another process may have been first, and then its key is the one.
        self.key()?.ok_or_else(|| StoreError::corrupt(&path, "it vanished while it was made"))
    }

    /// The home itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The packs root.
    pub fn packs(&self) -> &Path {
        &self.packs
    }

    /// `etc/`: what the operator writes.
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// `etc/layout-version`.
    pub fn layout_version(&self) -> PathBuf {
        self.root.join("etc/layout-version")
    }

    /// `etc/Distro.toml`: the home's own distro.
    pub fn distro(&self) -> PathBuf {
        self.root.join("etc/Distro.toml")
    }

    /// `etc/policy.toml`: what this home allows and believes.
    pub fn policy(&self) -> PathBuf {
        self.root.join("etc/policy.toml")
    }

    /// `etc/overrides.toml`: what the operator narrowed.
    pub fn overrides(&self) -> PathBuf {
        self.root.join("etc/overrides.toml")
    }

    /// `revisions/`: what packs were before, kept for them when they were uninstalled.
    pub fn kept_revisions(&self) -> PathBuf {
        self.root.join("revisions")
    }

    /// `keys/`.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// `keys/home.key`: 32 random bytes, 0600.
    pub fn home_key(&self) -> PathBuf {
        self.root.join("keys/home.key")
    }

    /// `keys/local/`: the keys that a person signs with.
    pub fn local_keys(&self) -> PathBuf {
        self.root.join("keys/local")
    }

    /// `keys/receipts.ed25519`: what this home signs its receipts with, 0600.
    pub fn receipt_key(&self) -> PathBuf {
        self.root.join("keys/receipts.ed25519")
    }

    /// `keys/receipts.pub`: what its receipts are checked with.
    pub fn receipt_public_key(&self) -> PathBuf {
        self.root.join("keys/receipts.pub")
    }

    /// `secrets/`.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// `secrets/<scope>/<capsule>/<key>`: one sealed secret.
    pub fn secret(&self, scope: &SecretScope, capsule: &CapsuleName, key: &EnvKey) -> PathBuf {
        self.secrets().join(scope.as_str()).join(capsule.as_str()).join(key.as_str())
    }

    /// `trust/`: acknowledgements, floors, nonces.
    pub fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// `trust/floors.toml`: what no rollback lowers.
    pub fn floors(&self) -> PathBuf {
        self.root.join("trust/floors.toml")
    }

    /// `trust/pins.toml`: whose signature each distro must have.
    pub fn pins(&self) -> PathBuf {
        self.root.join("trust/pins.toml")
    }

    /// `trust/nonces/`: one empty file per saved plan that was applied.
    pub fn nonces(&self) -> PathBuf {
        self.root.join("trust/nonces")
    }

    /// `store/`.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// `store/blobs/`.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("store/blobs")
    }

    /// `store/compiled/`: machine code, named by the digest of the component it came from.
    pub fn compiled(&self) -> PathBuf {
        self.root.join("store/compiled")
    }

    /// `store/trees/`: packs' content as folders, named by tree digest and shared by generations.
    pub fn trees(&self) -> PathBuf {
        self.root.join("store/trees")
    }

    /// `store/quarantine/`: blobs that were found corrupt.
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("store/quarantine")
    }

    /// `generations/`.
    pub fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    /// `generations/current`: the link that a switch flips.
    pub fn current(&self) -> PathBuf {
        self.root.join("generations/current")
    }

    /// `generations/history.jsonl`: which generation was current from when.
    pub fn history(&self) -> PathBuf {
        self.root.join("generations/history.jsonl")
    }

    /// `journal`: what a switch is about to do.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// `run/`.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// `run/system.sock`: where the kernel listens.
    pub fn socket(&self) -> PathBuf {
        self.root.join("run/system.sock")
    }

    /// `run/system.token`: what a client of the kernel presents.
    pub fn token(&self) -> PathBuf {
        self.root.join("run/system.token")
    }

    /// `run/system.ready`: there once the kernel serves.
    pub fn ready(&self) -> PathBuf {
        self.root.join("run/system.ready")
    }

    /// `run/system.pid`.
    pub fn pid(&self) -> PathBuf {
        self.root.join("run/system.pid")
    }

    /// `run/system.lock`: held by the one daemon of this home.
    pub fn daemon_lock(&self) -> PathBuf {
        self.root.join("run/system.lock")
    }

    /// `run/writer.lock`: held by the one writer of this home.
    pub fn writer_lock(&self) -> PathBuf {
        self.root.join("run/writer.lock")
    }

    /// `run/staging/`: files that a switch will move into their place.
    pub fn staging(&self) -> PathBuf {
        self.root.join("run/staging")
    }

    /// `home/`: one folder per principal.
    pub fn principals(&self) -> PathBuf {
        self.root.join("home")
    }

    /// `home/<principal>/`.
    pub fn principal(&self, principal: &PrincipalId) -> PathBuf {
        self.principals().join(principal.as_str())
    }

    /// `var/`.
    pub fn var(&self) -> PathBuf {
        self.root.join("var")
    }

    /// `var/state.redb`: the kernel's state.
    pub fn state(&self) -> PathBuf {
        self.root.join("var/state.redb")
    }

    /// `var/stat-cache`.
    pub fn stat_cache(&self) -> PathBuf {
        self.root.join("var/stat-cache")
    }

    /// `log/`.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// `<packs>/<id>/`.
    pub fn pack(&self, pack: &PackId) -> PathBuf {
        self.packs.join(pack.as_str())
    }

    /// `<packs>/<id>/active`: a link to the pack's content in the current generation.
    pub fn pack_active(&self, pack: &PackId) -> PathBuf {
        self.pack(pack).join("active")
    }

    /// `<packs>/<id>/.astrid`: a link to the pack's record in the current generation.
    pub fn pack_records(&self, pack: &PackId) -> PathBuf {
        self.pack(pack).join(".astrid")
    }

    /// What `<packs>/<id>/active` points to.
    pub fn pack_active_target(&self, pack: &PackId) -> PathBuf {
        self.current().join("packs").join(pack.as_str())
    }

    /// What `<packs>/<id>/.astrid` points to.
    pub fn pack_records_target(&self, pack: &PackId) -> PathBuf {
        self.current().join("records").join(pack.as_str())
    }
}

/// The bytes of a file, or nothing when it is not there.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled_with(byte: u8) -> impl FnMut(&mut [u8]) -> io::Result<()> {
        move |buffer| {
            buffer.fill(byte);
            Ok(())
        }
    }

    #[test]
    fn relative_and_climbing_roots_are_refused_denied() {
        for root in ["", "home", "/home/../etc"] {
            assert!(Home::new(root, "/packs").is_err(), "{root}");
            assert!(Home::new("/home", root).is_err(), "{root}");
        }
    }

    #[test]
    fn packs_follow_the_data_folder() {
        let user = Path::new("/home/ada");
        assert_eq!(Home::default_packs_root(None, user), Path::new("/home/ada/.local/share/astrid/packs"));
        assert_eq!(
            Home::default_packs_root(Some(Path::new("data")), user),
            Path::new("/home/ada/.local/share/astrid/packs")
        );
        assert_eq!(Home::default_packs_root(Some(Path::new("/data")), user), Path::new("/data/astrid/packs"));
    }

    #[test]
    fn a_home_is_private_and_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("h"), folder.path().join("p")).unwrap();
        let disk = Disk::default();
        home.ensure(&disk).unwrap();
        home.ensure(&disk).unwrap();
        for path in [home.root().to_owned(), home.keys(), home.blobs(), home.store(), home.generations()] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }
        assert!(home.key().unwrap().is_none());
        let first = home.ensure_key(&disk, &mut filled_with(7)).unwrap();
        let second = home.ensure_key(&disk, &mut filled_with(9)).unwrap();
        assert_eq!(first.as_bytes(), second.as_bytes());
        assert_eq!(std::fs::metadata(home.home_key()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "HomeKey(redacted)");
    }

    #[test]
    fn a_truncated_key_and_a_newer_layout_are_refused_denied() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("h"), folder.path().join("p")).unwrap();
        home.ensure(&Disk::default()).unwrap();
        std::fs::write(home.home_key(), [1; 31]).unwrap();
        assert!(matches!(home.key(), Err(StoreError::CorruptFile { .. })));
        std::fs::write(home.layout_version(), "2\n").unwrap();
        assert!(matches!(home.ensure(&Disk::default()), Err(StoreError::CorruptFile { .. })));
    }
}
