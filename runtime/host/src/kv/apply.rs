//! What a change does, whatever it is made to.

use super::{KvError, KvLimits, Namespace, check_key, check_prefix};

/// One change of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a value.
    Set {
        /// Under which key.
        key: String,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a value, if there is one.
    Delete {
        /// Its key.
        key: String,
    },
    /// Removes all values whose keys begin with a text.
    ClearPrefix {
        /// The text.
        prefix: String,
    },
    /// Stores a value if the present one is as expected.
    CompareAndSet {
        /// Under which key.
        key: String,
        /// The expected value; none: no value.
        expected: Option<Vec<u8>>,
        /// The value.
        value: Vec<u8>,
    },
}

/// How many values a change stored or removed.
pub type Written = u64;

/// A thing that changes are made to: the database within a transaction, or an overlay.
pub(super) trait Layer {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), KvError>;
    fn remove(&mut self, key: &[u8]) -> Result<(), KvError>;
    /// Up to `most` keys from `from` on that begin with `within`.
    fn keys(&self, from: &[u8], within: &[u8], most: usize) -> Result<Vec<Vec<u8>>, KvError>;
    fn used(&self, namespace: &Namespace) -> Result<u64, KvError>;
    fn set_used(&mut self, namespace: &Namespace, bytes: u64) -> Result<(), KvError>;
}

/// What a value takes: its own bytes and its key's, without the namespace.
pub(super) fn cost(namespace_bytes: usize, key: &[u8], value: &[u8]) -> u64 {
    (key.len().saturating_sub(namespace_bytes + 1) + value.len()) as u64
}

/// Makes one change, or none at all.
pub(super) fn apply<L: Layer>(
    layer: &mut L,
    namespace: &Namespace,
    write: &Write,
    limits: KvLimits,
) -> Result<Written, KvError> {
    match write {
        Write::Set { key, value } => {
            check_key(key)?;
            store(layer, namespace, key, value, limits)
        }
        Write::CompareAndSet { key, expected, value } => {
            check_key(key)?;
            if layer.get(&namespace.at(key))?.as_deref() != expected.as_deref() {
                return Err(KvError::Mismatch);
            }
            store(layer, namespace, key, value, limits)
        }
        Write::Delete { key } => {
            check_key(key)?;
            remove_all(layer, namespace, vec![namespace.at(key)])
        }
        Write::ClearPrefix { prefix } => {
            check_prefix(prefix)?;
            let within = namespace.at(prefix);
            let keys = layer.keys(&within, &within, usize::MAX)?;
            remove_all(layer, namespace, keys)
        }
    }
}

fn store<L: Layer>(
    layer: &mut L,
    namespace: &Namespace,
    key: &str,
    value: &[u8],
    limits: KvLimits,
) -> Result<Written, KvError> {
    if value.len() > limits.value_bytes {
        return Err(KvError::TooLarge);
    }
    let at = namespace.at(key);
    let before = layer.get(&at)?.map_or(0, |old| cost(namespace.0.len(), &at, &old));
    let used = layer.used(namespace)?;
    let after = used.saturating_sub(before) + cost(namespace.0.len(), &at, value);
    // A change that does not grow the namespace is always allowed, so that it can get out of a
    // quota that was lowered.
    if after > limits.total_bytes && after > used {
        return Err(KvError::Quota);
    }
    layer.put(&at, value)?;
    layer.set_used(namespace, after)?;
    Ok(1)
}

fn remove_all<L: Layer>(
    layer: &mut L,
    namespace: &Namespace,
    keys: Vec<Vec<u8>>,
) -> Result<Written, KvError> {
    let mut freed = 0;
    let mut removed = 0;
    for key in keys {
        if let Some(value) = layer.get(&key)? {
            freed += cost(namespace.0.len(), &key, &value);
            removed += 1;
            layer.remove(&key)?;
        }
    }
    if removed > 0 {
        let used = layer.used(namespace)?.saturating_sub(freed);
        layer.set_used(namespace, used)?;
    }
    Ok(removed)
}
