//! From a run that only looked to the home: what was trusted is brought in, byte for byte, and nothing else.

use astrid_authority::Digest;
use astrid_manifest::lock::Lock;
use astrid_store::{Batch, Store};

use crate::brought;
use crate::context::Context;
use crate::error::Result;

/// Puts what `lock` pins from the store of a run that only looked into the store of `own`.
///
/// Every blob is hashed on its way. Call it once the plan to that lock is trusted.
///
/// # Errors
/// `Corrupt` when bytes changed since they were looked at; `Failed` when the home can't be written.
pub fn keep(own: &Context, looked: &Context, lock: &Lock) -> Result<()> {
    let from = &looked.store;
    let batch = own.store.batch();
    let capsules = lock.capsules.iter().map(|one| (one.content, [one.archive, one.bundle]));
    let packs = lock.packs.iter().map(|one| (one.content, [one.archive, one.bundle]));
    for (content, parts) in capsules.chain(packs) {
        copy(from, &batch, &content)?;
        for entry in from.tree(&content)?.entries() {
            copy(from, &batch, &entry.blob)?;
        }
        // An archive is kept only where it was fetched.
        for part in parts.into_iter().flatten().filter(|part| from.contains(part)) {
            copy(from, &batch, &part)?;
        }
    }
    batch.finish()?;
    brought::keep(own, looked)
}

fn copy(from: &Store, batch: &Batch<'_>, digest: &Digest) -> Result<()> {
    if !batch.store().contains(digest) {
        batch.put(&from.get(digest)?)?;
    }
    Ok(())
}
