//! Values that outlive instances: one database for the home, one namespace for each principal
//! and capsule.
//!
//! Writes go through one thread that commits what has gathered in one transaction, so that many
//! writers share the cost of reaching the disk. A write that has returned is on disk.
//!
//! [`Kv`] is what capsules see: the store itself, or an [`Overlay`] over it, which is how the
//! lifecycle hooks of an apply that may still fail write.

mod apply;
mod overlay;
mod store;

use astrid_authority::{CapsuleName, PrincipalId};
use unicode_normalization::is_nfc;

pub use apply::{Write, Written};
pub use overlay::Overlay;
pub use store::KvStore;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 256;
/// Most keys that one call returns.
pub const MAX_KEYS: usize = 1024;

/// Why a value was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The key or prefix breaks a rule.
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes in normalisation form C and no control character")]
    Key,
    /// The value is larger, or the list longer, than allowed.
    #[error("the value or list is larger than allowed")]
    TooLarge,
    /// The namespace takes all the space it may.
    #[error("the values of this principal and capsule take all the space they may")]
    Quota,
    /// The present value is not the expected one.
    #[error("the present value is not the expected one")]
    Mismatch,
    /// The database failed.
    #[error("the key-value store failed: {0}")]
    Store(String),
}

/// The values of one capsule for one principal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace of `capsule` for `principal`.
    #[must_use]
    pub fn new(principal: &PrincipalId, capsule: &CapsuleName) -> Self {
        Self(format!("{principal}:capsule:{capsule}"))
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the keys with `prefix` begin in the database. Neither part can hold a zero byte.
    fn at(&self, prefix: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + prefix.len());
        bytes.extend_from_slice(self.0.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(prefix.as_bytes());
        bytes
    }
}

/// Some keys of a namespace, in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// The last of them, when there are more after it.
    pub next: Option<String>,
}

/// How much a namespace may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLimits {
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Bytes of all keys and values.
    pub total_bytes: u64,
}

/// Where capsules read and write values. Clones share it.
#[derive(Clone)]
pub enum Kv {
    /// The store of the home.
    Store(KvStore),
    /// Changes over the store that are not made yet.
    Overlay(Overlay),
}

impl Kv {
    /// The value of `key`.
    ///
    /// # Errors
    /// When the key breaks a rule or the database fails.
    pub fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        check_key(key)?;
        let at = namespace.at(key);
        match self {
            Self::Store(store) => store.read(&at),
            Self::Overlay(overlay) => overlay.read(&at),
        }
    }

    /// Up to `limit` keys (at most [`MAX_KEYS`]; 0 stands for that) that begin with `prefix` and
    /// come after `after`.
    ///
    /// # Errors
    /// When the prefix breaks a rule or the database fails.
    pub fn page(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, KvError> {
        check_prefix(prefix)?;
        let limit = if limit == 0 { MAX_KEYS } else { limit.min(MAX_KEYS) };
        let within = namespace.at(prefix);
        let mut from = within.clone();
        if let Some(after) = after {
            // A cursor from elsewhere can only make the page begin later, never outside the prefix.
            let mut next = namespace.at(after);
            next.push(0);
            from = from.max(next);
        }
        let found = match self {
            Self::Store(store) => store.keys(&from, &within, limit + 1)?,
            Self::Overlay(overlay) => overlay.keys(&from, &within, limit + 1)?,
        };
        let skip = namespace.0.len() + 1;
        let mut keys = Vec::with_capacity(found.len().min(limit));
        for key in found.iter().take(limit) {
            let text = key.get(skip..).and_then(|bytes| std::str::from_utf8(bytes).ok());
            keys.push(text.ok_or_else(|| KvError::Store("a key is not text".to_owned()))?.to_owned());
        }
        let next = if found.len() > limit { keys.last().cloned() } else { None };
        Ok(Page { keys, next })
    }

    /// All keys that begin with `prefix`.
    ///
    /// # Errors
    /// As [`Kv::page`], and when there are more than [`MAX_KEYS`].
    pub fn list(&self, namespace: &Namespace, prefix: &str) -> Result<Vec<String>, KvError> {
        let page = self.page(namespace, prefix, None, MAX_KEYS)?;
        if page.next.is_some() { Err(KvError::TooLarge) } else { Ok(page.keys) }
    }

    /// Makes one change; it is on disk when this returns (in an overlay: in the overlay).
    ///
    /// # Errors
    /// When a rule or limit is broken, a comparison fails, or the database does.
    pub async fn write(
        &self,
        namespace: Namespace,
        write: Write,
        limits: KvLimits,
    ) -> Result<Written, KvError> {
        match self {
            Self::Store(store) => store.write(namespace, write, limits).await,
            Self::Overlay(overlay) => overlay.write(&namespace, write, limits),
        }
    }
}

fn check_key(key: &str) -> Result<(), KvError> {
    let sound = !key.is_empty() && key.len() <= MAX_KEY_BYTES && !key.chars().any(char::is_control);
    if sound && is_nfc(key) { Ok(()) } else { Err(KvError::Key) }
}

fn check_prefix(prefix: &str) -> Result<(), KvError> {
    if prefix.is_empty() { Ok(()) } else { check_key(prefix) }
}

#[cfg(test)]
mod tests;
