//! Changes over the store that are made together later, or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::apply::{self, Layer};
use super::{KvError, KvLimits, KvStore, Namespace, Write, Written};

/// Changes over the store. Clones share them. Dropping the last one forgets them.
#[derive(Clone)]
pub struct Overlay {
    store: KvStore,
    changes: Arc<Mutex<Changes>>,
}

#[derive(Default)]
struct Changes {
    /// None: removed.
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    used: BTreeMap<Namespace, u64>,
}

impl Overlay {
    /// An overlay without changes.
    #[must_use]
    pub fn new(store: KvStore) -> Self {
        Self { store, changes: Arc::default() }
    }

    /// Makes all changes in one transaction and forgets them here. Blocks the thread.
    ///
    /// # Errors
    /// When the database fails; then none of them is made.
    pub fn commit(&self) -> Result<(), KvError> {
        let values = self.lock().values.clone();
        self.store.replace_all(values.into_iter().collect())?;
        *self.lock() = Changes::default();
        Ok(())
    }

    /// Says whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().values.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let changes = self.lock();
        Layered { store: &self.store, changes }.get(key)
    }

    pub(super) fn keys(&self, from: &[u8], within: &[u8], most: usize) -> Result<Vec<Vec<u8>>, KvError> {
        let changes = self.lock();
        Layered { store: &self.store, changes }.keys(from, within, most)
    }

    pub(super) fn write(
        &self,
        namespace: &Namespace,
        write: Write,
        limits: KvLimits,
    ) -> Result<Written, KvError> {
        let changes = self.lock();
        apply::apply(&mut Layered { store: &self.store, changes }, namespace, &write, limits)
    }
}

struct Layered<'a> {
    store: &'a KvStore,
    changes: MutexGuard<'a, Changes>,
}

impl Layer for Layered<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        match self.changes.values.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.store.read(key),
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        self.changes.values.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), KvError> {
        self.changes.values.insert(key.to_vec(), None);
        Ok(())
    }

    fn keys(&self, from: &[u8], within: &[u8], most: usize) -> Result<Vec<Vec<u8>>, KvError> {
        let changed = self.changes.values.range(from.to_vec()..);
        let changed: BTreeMap<_, _> = changed.take_while(|(key, _)| key.starts_with(within)).collect();
        // Each change can hide at most one of the store's keys.
        let below = self.store.keys(from, within, most.saturating_add(changed.len()))?;
        let mut keys: Vec<Vec<u8>> = below.into_iter().filter(|key| !changed.contains_key(key)).collect();
        keys.extend(changed.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.clone()));
        keys.sort_unstable();
        keys.truncate(most);
        Ok(keys)
    }

    fn used(&self, namespace: &Namespace) -> Result<u64, KvError> {
        match self.changes.used.get(namespace) {
            Some(bytes) => Ok(*bytes),
            None => self.store.used(namespace),
        }
    }

    fn set_used(&mut self, namespace: &Namespace, bytes: u64) -> Result<(), KvError> {
        self.changes.used.insert(namespace.clone(), bytes);
        Ok(())
    }
}
