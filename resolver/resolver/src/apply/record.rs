//! `install.json`: the durable record of what was trusted when a pack was installed.
//!
//! It lies outside of the pack's own tree, so that a pack can't write its own record, and it switches
//! together with the generation.

use std::collections::BTreeSet;

use astrid_manifest::lock::LockedPack;
use astrid_manifest::pack::{FILE_NAMES, PackManifest};
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;
use astrid_store::generation::Generation;
use astrid_store::tree::Tree;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::plan::document::Evidence;
use crate::trust::TrustedPlan;

/// The version of the warning that executors run without a sandbox.
const NO_SANDBOX_WARNING_VERSION: u32 = 1;

/// How a pack came to be trusted, and by whom, as the record says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `interactive`, `cli_flag`, `acknowledgement`, `builtin` or `generation`.
    pub method: &'static str,
    /// `cli`, or the file that holds the acknowledgement.
    pub actor: String,
}

impl From<&Evidence> for Outcome {
    fn from(evidence: &Evidence) -> Self {
        let (method, actor) = match evidence {
            Evidence::Prompt => ("interactive", "cli".to_owned()),
            Evidence::Flag => ("cli_flag", "cli".to_owned()),
            Evidence::File(name) => ("acknowledgement", name.clone()),
            Evidence::Builtin => ("builtin", "cli".to_owned()),
            Evidence::Generation(number) => ("generation", format!("generation {number}")),
        };
        Self { method, actor }
    }
}

/// What a record is made from.
pub(super) struct Facts<'a> {
    pub(super) context: &'a Context,
    pub(super) locked: &'a LockedPack,
    pub(super) tree: &'a Tree,
    pub(super) origin: &'a str,
    pub(super) trusted: &'a TrustedPlan,
    pub(super) before: Option<&'a Generation>,
}

/// The bytes of `install.json`.
pub(super) fn install_record(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let locked = facts.locked;
    let id = &locked.id;
    let (manifest, manifest_digest) = read_manifest(facts)?;
    let now = facts.context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let subject = Subject::Pack(id.clone());
    let evidence = facts.trusted.evidence().iter().find(|(own, _)| *own == subject).map(|(_, own)| own);
    let previous = previous_record(facts)?;
    let kept = |field: &str| previous.as_ref().and_then(|record| record.get(field)).cloned();
    // A pack that did not change was trusted when it was installed, and that is when the record says.
    let (method, actor, acknowledged) = match evidence.map(Outcome::from) {
        Some(outcome) => (json!(outcome.method), json!(outcome.actor), json!(now)),
        None => (
            kept("trust_method").unwrap_or(Value::Null),
            kept("trust_actor").unwrap_or(Value::Null),
            kept("trust_acknowledged_at").unwrap_or(Value::Null),
        ),
    };
    let is_git = matches!(locked.source, Source::Git(_)) || facts.origin.starts_with("git+");
    let record = json!({
        "pack_id": id,
        "name": manifest.name,
        "version": manifest.version,
        "schema_version": manifest.schema_version,
        "source_path": locked.source.to_string(),
        "source_type": if is_git { "git" } else { "local" },
        "git_url": git_url(&locked.source),
        "commit_sha": locked.commit,
        "requested_ref": requested(&locked.source),
        "trust_tier": if is_git { "git" } else { "local" },
        "installed_at": if evidence.is_some() { json!(now) } else { kept("installed_at").unwrap_or(json!(now)) },
        "revision": locked.content.to_string(),
        "previous_active_revision": kept("revision").filter(|_| evidence.is_some()),
        "install_root": facts.context.home.pack_active(id).display().to_string(),
        "active": true,
        "manifest_digest": manifest_digest.to_string(),
        "content_digest": locked.content.to_string(),
        "authority_digest": locked.authority.to_string(),
        "signer": locked.signer,
        "component_inventory": inventory(&manifest, facts.tree),
        "entrypoints": entrypoints(&manifest),
        "declared_secrets": secrets(&manifest),
        "dependencies": dependencies(&manifest),
        "astrid_version": manifest.astrid_version,
        "last_validation_time": now,
        "trust_summary": {
            "pack_id": id,
            "name": manifest.name,
            "version": manifest.version,
            "permissions": manifest.permissions,
            "trust": {
                "sandbox": "none",
                "runs_with_user_process_permissions": true,
                "permission_enforcement": "disclosure_only",
            },
        },
        "trust_acknowledged_at": acknowledged,
        "trust_method": method,
        "trust_actor": actor,
        "no_sandbox_warning_version": NO_SANDBOX_WARNING_VERSION,
        "permissions_accepted": manifest.permissions,
    });
    crate::plan::to_canonical_json(&record).map_err(|error| {
        Error::failed(format!("the record of pack `{id}` can't be written")).caused_by(error)
    })
}

fn read_manifest(facts: &Facts<'_>) -> Result<(PackManifest, astrid_authority::Digest)> {
    let found = FILE_NAMES.iter().find_map(|name| facts.tree.get(name).map(|entry| (*name, entry)));
    let id = &facts.locked.id;
    let (name, entry) = found.ok_or_else(|| Error::invalid(format!("pack `{id}` has no pack.yaml")))?;
    let bytes = facts.context.store.get(&entry.blob)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::invalid(format!("pack `{id}`: {name} is not UTF-8")))?;
    let manifest = PackManifest::parse(name, &text).map_err(Error::from)?.value;
    Ok((manifest, entry.blob))
}

fn previous_record(facts: &Facts<'_>) -> Result<Option<Map<String, Value>>> {
    let Some(before) = facts.before else { return Ok(None) };
    let bytes = before.record(&facts.locked.id)?;
    // A damaged record of before must not stop a good one from being written.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn git_url(source: &Source) -> Option<String> {
    match source {
        Source::Git(git) => Some(git.url.clone()),
        _ => None,
    }
}

fn requested(source: &Source) -> Option<String> {
    match source {
        Source::Git(git) => git.reference.as_ref().map(ToString::to_string),
        _ => None,
    }
}

/// How many components of each kind the pack holds: the folders directly below each content folder.
fn inventory(manifest: &PackManifest, tree: &Tree) -> Value {
    let count = |folder: &Option<astrid_manifest::source::SourcePath>| {
        let Some(folder) = folder.as_ref().map(astrid_manifest::source::SourcePath::joined) else { return 0 };
        let names: BTreeSet<&str> = tree
            .under(&folder)
            .filter_map(|entry| {
                entry.path.as_str().strip_prefix(folder.as_str())?.strip_prefix('/')?.split_once('/')
            })
            .map(|(name, _)| name)
            .collect();
        names.len()
    };
    json!({
        "executors": count(&manifest.content.executors),
        "orchestrators": count(&manifest.content.orchestrators),
        "elements": count(&manifest.content.elements),
        "capsules": count(&manifest.content.capsules),
    })
}

fn entrypoints(manifest: &PackManifest) -> &[String] {
    if manifest.agent.normal_entrypoints.is_empty() {
        &manifest.agent.entrypoints
    } else {
        &manifest.agent.normal_entrypoints
    }
}

fn secrets(manifest: &PackManifest) -> Vec<String> {
    let text = |secret: &astrid_manifest::pack::PackSecret| {
        let need = if secret.required { "required" } else { "optional" };
        match &secret.description {
            Some(description) => format!("{} ({need}): {description}", secret.name),
            None => format!("{} ({need})", secret.name),
        }
    };
    manifest.secrets.iter().map(text).collect()
}

fn dependencies(manifest: &PackManifest) -> Vec<String> {
    let own = &manifest.dependencies;
    let kinds = [("python", &own.python), ("npm", &own.npm), ("system", &own.system)];
    let named =
        kinds.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
    named.chain(own.packs.iter().map(|pack| format!("pack:{}", pack.id))).collect()
}
