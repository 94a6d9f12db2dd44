//! `install.json`: the durable record of what was trusted when a pack was installed.
//!
//! It lies outside of the pack's own tree, so that a pack can't ship or replace its own record by being
//! installed, and it switches together with the generation. The receipt of the generation is over its bytes.

use astrid_authority::{Digest, PackId};
use astrid_manifest::pack::TrustSummary;
use astrid_manifest::pack::summary::TRUST;
use astrid_manifest::subject::Subject;
use astrid_provenance::statement::Digests;
use astrid_store::generation::{Generation, GenerationNumber, Generations};
use astrid_store::tree::Tree;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::pack::Place;
use crate::plan::document::Evidence;
use crate::receipt;
use crate::trust::TrustedPlan;
use crate::verified::VerifiedPack;

/// The version of the warning that executors run without a sandbox.
pub(crate) const NO_SANDBOX_WARNING_VERSION: u32 = 1;

/// The trust block, as records hold it.
pub(crate) fn trust_block() -> Value {
    json!(TRUST)
}

/// How a pack came to be trusted, and by whom, as the record says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// `interactive`, `cli_flag`, `acknowledgement` or `builtin`.
    method: String,
    /// `cli`, or the file that holds the acknowledgement.
    actor: String,
    /// When it was acknowledged.
    at: String,
}

/// What a record is made from.
pub(super) struct Facts<'a> {
    pub(super) context: &'a Context,
    pub(super) pack: VerifiedPack<'a>,
    pub(super) declaration: &'a Declaration,
    pub(super) tree: &'a Tree,
    pub(super) trusted: &'a TrustedPlan,
    pub(super) before: Option<&'a Generation>,
}

/// The bytes of `install.json`.
pub(super) fn install_record(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let locked = facts.pack.locked();
    let id = &locked.id;
    let contents = &facts.pack.artifact()?.contents;
    let manifest = &contents.manifest;
    let now = seconds(facts.context.clock.now());
    let subject = Subject::Pack(id.clone());
    let evidence = facts.trusted.evidence().iter().find(|(own, _)| *own == subject).map(|(_, own)| own);
    let previous = facts.before.and_then(|before| record_of(facts.context, before, id));
    let kept = |field: &str| previous.as_ref().and_then(|record| record.get(field)).cloned();
    // A pack that did not change was trusted when it was installed, and that is when the record says.
    let outcome = match evidence {
        Some(evidence) => outcome(facts, evidence, &now),
        None => recorded(previous.as_ref()).ok_or_else(|| {
            Error::corrupt(format!("how pack `{id}` came to be trusted is not recorded any more"))
                .hint("take it out of Distro.toml, apply, and install it again")
        })?,
    };
    let revision = json!(locked.content.to_string());
    let changed = kept("revision").filter(|before| *before != revision);
    let place = Place::of_locked(locked, facts.declaration);
    let summary = TrustSummary::of(contents).from_source(&place.path);
    let record = json!({
        "pack_id": id,
        "name": manifest.name,
        "version": manifest.version,
        "schema_version": manifest.schema_version,
        "source_path": place.path,
        "source_type": place.kind,
        "git_url": place.git_url,
        "commit_sha": place.commit,
        "requested_ref": place.requested,
        "trust_tier": place.kind,
        "installed_at": if evidence.is_some() { json!(now) } else { kept("installed_at").unwrap_or(json!(now)) },
        "revision": revision,
        "previous_active_revision": changed.or_else(|| kept("previous_active_revision")),
        "install_root": facts.context.home.pack_active(id).display().to_string(),
        "active": true,
        "manifest_digest": manifest_digest(facts, &contents.manifest_file)?,
        "content_digest": locked.content,
        "authority_digest": locked.authority,
        "signer": locked.signer,
        "provenance": locked.provenance,
        "component_inventory": summary.component_counts,
        "entrypoints": summary.entrypoints,
        "declared_secrets": summary.declared_secrets,
        "dependencies": summary.dependencies,
        "astrid_version": manifest.astrid_version,
        "last_validation_time": now,
        "permissions_accepted": manifest.permissions,
        "trust_summary": summary,
        "trust_acknowledged_at": outcome.at,
        "trust_method": outcome.method,
        "trust_actor": outcome.actor,
        "no_sandbox_warning_version": NO_SANDBOX_WARNING_VERSION,
    });
    crate::plan::to_canonical_json(&record).map_err(|error| {
        Error::failed(format!("the record of pack `{id}` can't be written")).caused_by(error)
    })
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How it was trusted now. What goes back to how it was before was trusted then, and the record of then says how.
fn outcome(facts: &Facts<'_>, evidence: &Evidence, now: &str) -> Outcome {
    let (method, actor) = match evidence {
        Evidence::Prompt => ("interactive", "cli".to_owned()),
        Evidence::Flag => ("cli_flag", "cli".to_owned()),
        Evidence::File(name) => ("acknowledgement", name.clone()),
        Evidence::Builtin => ("builtin", "cli".to_owned()),
        Evidence::Generation(number) => {
            if let Some(then) = of_generation(facts, *number) {
                return then;
            }
            ("generation", format!("generation {number}"))
        }
    };
    Outcome { method: method.to_owned(), actor, at: now.to_owned() }
}

fn of_generation(facts: &Facts<'_>, number: u64) -> Option<Outcome> {
    let generations = Generations::new(facts.context.home.clone(), facts.context.store.disk().clone());
    let generation = generations.open(GenerationNumber::new(number)?).ok()?;
    recorded(record_of(facts.context, &generation, &facts.pack.locked().id).as_ref())
}

fn recorded(record: Option<&Map<String, Value>>) -> Option<Outcome> {
    let text = |field: &str| record?.get(field)?.as_str().map(str::to_owned);
    Some(Outcome {
        method: text("trust_method")?,
        actor: text("trust_actor")?,
        at: text("trust_acknowledged_at")?,
    })
}

/// The record of a pack in a generation, when it is the one that was signed: what somebody wrote there afterwards
/// must not come into a record that is signed anew.
fn record_of(context: &Context, generation: &Generation, id: &PackId) -> Option<Map<String, Value>> {
    let signed = receipt::signed(context, generation).ok()?;
    let bytes = generation.record(id).ok().flatten()?;
    // A damaged record of before must not stop a good one from being written.
    if signed.is_over(&format!("records/{id}/install.json"), &bytes) {
        serde_json::from_slice(&bytes).ok()
    } else {
        None
    }
}

/// The SHA-256 of the manifest's file alone, in hexadecimal, for who has tools for that.
fn manifest_digest(facts: &Facts<'_>, file: &str) -> Result<String> {
    let id = &facts.pack.locked().id;
    let entry = facts.tree.get(file).ok_or_else(|| Error::invalid(format!("pack `{id}` has no {file}")))?;
    let bytes = facts.context.store.get(&entry.blob)?;
    // A digest of this program has as many bytes as a SHA-256, and writes them in the same way.
    Ok(Digest::from_bytes(*Digests::of(&bytes).sha256()).hex())
}
