//! Secrets at rest: one sealed file per secret, bound to the capsule that it was given to.
//!
//! A secret is referenced by name everywhere else. It is in no plan, no lock, no generation, no log and
//! no error.

pub mod seal;

use astrid_authority::{CapsuleName, EnvKey, PrincipalId};
use astrid_store::home::{HomeKey, SecretScope};
use astrid_store::{Disk, Home};

pub use seal::{Binding, MAX_SECRET_BYTES, Secret, SecretName, configuration_digest};
use seal::{NONCE_BYTES, OpenError};

use crate::context::Entropy;
use crate::error::{Error, Result};

/// The home's secrets: `secrets/<scope>/<capsule>/<key>`, 0600.
pub struct SecretStore<'a> {
    home: &'a Home,
    disk: &'a Disk,
    key: HomeKey,
}

impl std::fmt::Debug for SecretStore<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretStore").field("home", &self.home.root()).finish_non_exhaustive()
    }
}

/// The scope of a principal's secrets.
///
/// # Errors
/// When the principal is called as the operator's scope is.
pub fn principal_scope(principal: &PrincipalId) -> Result<SecretScope> {
    if principal.as_str() == SecretScope::Host.as_str() {
        return Err(Error::invalid(format!("no principal can be called `{principal}`"))
            .hint("it is the name of the secrets that all principals share"));
    }
    Ok(SecretScope::Principal(principal.clone()))
}

impl<'a> SecretStore<'a> {
    /// Opens the secrets of `home`, and gives the home a key when it has none.
    ///
    /// # Errors
    /// When the key can't be read or written.
    pub fn open(home: &'a Home, disk: &'a Disk, entropy: &dyn Entropy) -> Result<Self> {
        let key = home.ensure_key(disk, &mut |bytes| entropy.fill(bytes)).map_err(Error::from)?;
        Ok(Self { home, disk, key })
    }

    /// Opens the secrets of `home` without changing anything; nothing when it has no key and thus no
    /// secrets.
    ///
    /// # Errors
    /// When the key can't be read.
    pub fn open_existing(home: &'a Home, disk: &'a Disk) -> Result<Option<Self>> {
        let key = home.key().map_err(Error::from)?;
        Ok(key.map(|key| Self { home, disk, key }))
    }

    /// The home's key, for digests of configuration values.
    #[must_use]
    pub fn key(&self) -> &HomeKey {
        &self.key
    }

    /// Stores a secret for the capsule of `binding`. What was stored before is gone.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn set(
        &self,
        name: &SecretName,
        binding: &Binding,
        value: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        let file = self.seal(name, binding, value, entropy)?;
        self.write(name, &file)
    }

    /// The sealed form of a secret, for whoever puts the file in its place.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(
        &self,
        name: &SecretName,
        binding: &Binding,
        value: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>> {
        seal::seal(&self.key, name, binding, value, nonce(entropy)?).map_err(|error| refused(name, error))
    }

    /// Where a secret is.
    #[must_use]
    pub fn path(&self, name: &SecretName) -> std::path::PathBuf {
        self.home.secret(&name.scope, &name.capsule, &name.key)
    }

    /// Reads a secret for the capsule of `binding`; nothing when there is none.
    ///
    /// # Errors
    /// When it was given to a capsule of another source or signer, or is damaged (84).
    pub fn get(&self, name: &SecretName, binding: &Binding) -> Result<Option<Secret>> {
        let Some(file) = self.read(name)? else { return Ok(None) };
        seal::open(&self.key, name, binding, &file).map(Some).map_err(|error| refused(name, error))
    }

    /// Says whether the capsule of `binding` would get a value.
    #[must_use]
    pub fn has(&self, name: &SecretName, binding: &Binding) -> bool {
        self.get(name, binding).is_ok_and(|value| value.is_some())
    }

    /// The file with which the capsule of `to` has what the capsule of `from` has; nothing when there
    /// is nothing to have, or it has it already. Only for a capsule of `to` that somebody trusts.
    ///
    /// # Errors
    /// When the value is damaged.
    pub fn rebound(
        &self,
        name: &SecretName,
        from: &Binding,
        to: &Binding,
        entropy: &dyn Entropy,
    ) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.read(name)? else { return Ok(None) };
        match seal::rebind(&self.key, name, from, to, &file, nonce(entropy)?) {
            Ok(new) => Ok((new != file).then_some(new)),
            Err(OpenError::NotForThisCapsule) => Ok(None),
            Err(error) => Err(refused(name, error)),
        }
    }

    /// Deletes a secret; returns whether there was one.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn delete(&self, name: &SecretName) -> Result<bool> {
        let path = self.home.secret(&name.scope, &name.capsule, &name.key);
        let was_there = path.symlink_metadata().is_ok();
        self.disk.remove_file(&path).map_err(Error::from)?;
        Ok(was_there)
    }

    /// The names of all secrets of a scope, sorted.
    ///
    /// # Errors
    /// When a folder can't be read.
    pub fn list(&self, scope: &SecretScope) -> Result<Vec<SecretName>> {
        let folder = self.home.secrets().join(scope.as_str());
        let mut names = Vec::new();
        for capsule in file_names(&folder)? {
            let Ok(capsule) = capsule.parse::<CapsuleName>() else { continue };
            for key in self.keys_of(scope, &capsule)? {
                names.push(SecretName { scope: scope.clone(), capsule: capsule.clone(), key });
            }
        }
        names.sort();
        Ok(names)
    }

    /// The keys that are stored for a capsule, whatever they are bound to, sorted.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn keys_of(&self, scope: &SecretScope, capsule: &CapsuleName) -> Result<Vec<EnvKey>> {
        let folder = self.home.secrets().join(scope.as_str()).join(capsule.as_str());
        let mut keys: Vec<EnvKey> =
            file_names(&folder)?.into_iter().filter_map(|name| name.parse().ok()).collect();
        keys.sort();
        Ok(keys)
    }

    fn read(&self, name: &SecretName) -> Result<Option<Vec<u8>>> {
        let path = self.home.secret(&name.scope, &name.capsule, &name.key);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::failed(format!("can't read the secret {name}")).caused_by(error)),
        }
    }

    fn write(&self, name: &SecretName, file: &[u8]) -> Result<()> {
        let path = self.home.secret(&name.scope, &name.capsule, &name.key);
        if let Some(folder) = path.parent() {
            self.disk.create_dir(folder, 0o700).map_err(Error::from)?;
        }
        self.disk.write_atomic(&path, file, 0o600).map_err(Error::from)
    }
}

fn file_names(folder: &std::path::Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed("can't list the secrets").caused_by(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::failed("can't list the secrets").caused_by(error))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

fn nonce(entropy: &dyn Entropy) -> Result<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    entropy
        .fill(&mut nonce)
        .map_err(|error| Error::failed("the system gives no random bytes").caused_by(error))?;
    Ok(nonce)
}

fn refused(name: &SecretName, error: OpenError) -> Error {
    let message = format!("the secret {name} can't be opened: {error}");
    match error {
        OpenError::NotForThisCapsule => Error::failed(message).hint(format!(
            "trust the capsule as it is now, or set the secret again: astrid secret set {} {}",
            name.capsule, name.key
        )),
        OpenError::Damaged => Error::corrupt(message)
            .hint(format!("set it again: astrid secret set {} {}", name.capsule, name.key)),
    }
}
