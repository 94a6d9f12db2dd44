//! The packs that are installed, and whether one is still what was accepted.

use std::path::PathBuf;

use astrid_authority::{Digest, PackId, Permission};
use astrid_manifest::lock::{LockedCapsule, LockedPack};
use astrid_manifest::signer::Signer;
use astrid_store::generation::{Generation, GenerationNumber, Generations};
use astrid_store::{Store, Tree};
use serde::Deserialize;
use serde_json::Value;

use crate::artifact::PackArtifact;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::observed::{Current, Depth, check_pack};
use crate::receipt;

/// A pack of the current generation.
#[derive(Debug)]
pub struct InstalledPack {
    /// What it is pinned to.
    pub locked: LockedPack,
    /// Its capsules that run.
    pub capsules: Vec<LockedCapsule>,
    /// Where its files are served: `<packs>/<id>/active`.
    pub root: PathBuf,
    /// Where its record is served: `<packs>/<id>/.astrid/install.json`.
    pub record_path: PathBuf,
    /// The record, as it was written with the generation.
    pub record: Value,
    record_bytes: Vec<u8>,
    generation: Generation,
}

/// What of a record is compared before anything of the pack runs.
#[derive(Debug, Deserialize)]
struct Accepted {
    pack_id: PackId,
    version: String,
    content_digest: Digest,
    authority_digest: Digest,
    signer: Signer,
    trust_method: String,
    trust_actor: String,
    trust_acknowledged_at: jiff::Timestamp,
    last_validation_time: jiff::Timestamp,
    no_sandbox_warning_version: u32,
    #[serde(rename = "permissions_accepted")]
    permissions: Vec<Permission>,
}

/// The packs of the current generation, by id.
///
/// # Errors
/// 84 when the generation is damaged.
pub fn installed(context: &Context) -> Result<Vec<InstalledPack>> {
    let Some(current) = Current::load(context, None, None)? else { return Ok(Vec::new()) };
    current.lock.packs.iter().map(|locked| read(context, &current, locked)).collect()
}

/// The installed pack of that id; nothing when it is not installed.
///
/// # Errors
/// 84 when the generation is damaged.
pub fn installed_pack(context: &Context, id: &PackId) -> Result<Option<InstalledPack>> {
    let Some(current) = Current::load(context, None, None)? else { return Ok(None) };
    let locked = current.lock.pack(id.as_str());
    locked.map(|locked| read(context, &current, locked)).transpose()
}

fn read(context: &Context, current: &Current, locked: &LockedPack) -> Result<InstalledPack> {
    let id = &locked.id;
    let generation = current.generation.clone();
    let record_bytes = generation.record(id)?.ok_or_else(|| other(id, "its record is gone"))?;
    let record = serde_json::from_slice(&record_bytes)
        .map_err(|error| other(id, "its record can't be read").caused_by(error))?;
    let capsules =
        current.lock.capsules.iter().filter(|own| own.pack.as_ref() == Some(id)).cloned().collect();
    let home = &context.home;
    Ok(InstalledPack {
        locked: LockedPack { at: astrid_manifest::diagnostic::Position::default(), ..locked.clone() },
        capsules,
        root: home.pack_active(id),
        record_path: home.pack_records(id).join("install.json"),
        record,
        record_bytes,
        generation,
    })
}

pub(super) fn other(id: &PackId, why: &str) -> Error {
    Error::corrupt(format!("pack `{id}` is not what was accepted: {why}"))
        .hint(format!(
            "nothing of it runs. Find out what changed it; then `astrid packs update {id}`, or `astrid apply` of the \
             distro that has it, puts it right"
        ))
}

impl InstalledPack {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &PackId {
        &self.locked.id
    }

    /// The generation that it belongs to.
    #[must_use]
    pub fn generation(&self) -> GenerationNumber {
        self.generation.number()
    }

    /// The listing of its files.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn tree(&self, context: &Context) -> Result<Tree> {
        Ok(context.store.tree(&self.locked.content)?)
    }

    /// Compares every byte of it, and its record, with what was accepted. Call it before anything of it runs.
    ///
    /// The record and the lock are the ones that the receipt of the generation is over, which is signed with a key
    /// of this home. Somebody who may write as this user can replace key and receipt as well: this finds what went
    /// wrong, and who does not go that far.
    ///
    /// # Errors
    /// 84 when a byte or a field is other than accepted; 83 when the receipt proves nothing.
    pub fn check(&self, context: &Context) -> Result<()> {
        let id = self.id();
        // Asked again: while this run went on, another may have switched.
        let generations = Generations::new(context.home.clone(), context.store.disk().clone());
        if generations.current_number()? != Some(self.generation()) {
            return Err(Error::failed("another generation is current by now").hint("run the command again"));
        }
        let signed = receipt::signed(context, &self.generation)?;
        let name = format!("records/{id}/install.json");
        if !signed.is_over(&name, &self.record_bytes) {
            return Err(other(id, "its record was changed"));
        }
        if !signed.is_over("Distro.lock", self.generation.lock()?.as_bytes()) {
            return Err(other(id, "the lock of its generation was changed"));
        }
        let store = Store::new(context.home.clone(), context.store.disk().clone());
        if self.generation.served(id).ok() != Some(self.locked.content) {
            return Err(other(id, "the link to its files leads elsewhere"));
        }
        if let Some(damage) = check_pack(&context.home, &store, id, &self.locked.content, Depth::Bytes) {
            return Err(other(id, damage.as_words()));
        }
        self.check_record(&store)
    }

    fn check_record(&self, store: &Store) -> Result<()> {
        let id = self.id();
        let accepted: Accepted = serde_json::from_value(self.record.clone())
            .map_err(|error| other(id, "its record lacks what it must say").caused_by(error))?;
        let batch = store.batch();
        let artifact = PackArtifact::read(&batch, &store.tree(&self.locked.content)?, id.as_str())?;
        let sorted = |list: &[Permission]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        let same = [
            ("id", accepted.pack_id == *id),
            ("version", accepted.version == self.locked.version),
            ("content", accepted.content_digest == self.locked.content),
            ("authority", accepted.authority_digest == self.locked.authority),
            ("signer", accepted.signer == self.locked.signer),
            ("method of trust", !accepted.trust_method.trim().is_empty()),
            ("actor", !accepted.trust_actor.trim().is_empty()),
            ("time of trust", accepted.trust_acknowledged_at <= accepted.last_validation_time),
            ("warning", accepted.no_sandbox_warning_version == crate::apply::NO_SANDBOX_WARNING_VERSION),
            ("permissions", sorted(&accepted.permissions) == sorted(&artifact.manifest.permissions)),
            ("trust block", self.record["trust_summary"]["trust"] == crate::apply::trust_block()),
        ];
        match same.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((what, _)) => Err(other(id, &format!("the {what} in its record is another"))),
        }
    }
}
