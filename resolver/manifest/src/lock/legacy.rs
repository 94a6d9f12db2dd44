//! Locks of version 1. They name versions; what they hash depends on who wrote them.

use astrid_authority::{CapsuleName, Digest, DistroId};
use semver::Version;

use crate::document::{Context, Table, Unknown};
use crate::version::FullVersion;

/// A lock of version 1: good for preferring the versions it names, and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyLock {
    /// The distro's id.
    pub id: DistroId,
    /// The distro's version.
    pub version: Version,
    /// Of the verbatim text of the declaration, in sealed locks.
    pub manifest_hash: Option<Digest>,
    /// When it was resolved, as it was written; sealed locks have a constant.
    pub resolved_at: Option<String>,
    /// What was installed, in the order of the text.
    pub capsules: Vec<LegacyCapsule>,
}

/// A capsule in a lock of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyCapsule {
    /// Its name.
    pub name: CapsuleName,
    /// Its version.
    pub version: Version,
    /// Its source, as it was written.
    pub source: String,
    /// Of the archive in a sealed lock, of the component in another; absent without a component.
    pub hash: Option<Digest>,
    /// The tag that was fetched.
    pub resolved_ref: Option<String>,
}

pub(super) fn read(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<LegacyLock> {
    let manifest_hash = table.parse("manifest-hash", "digest");
    let header = table.needed_table("distro").and_then(header);
    let tables = table.tables("capsule");
    let count = tables.len();
    let capsules: Vec<LegacyCapsule> =
        tables.into_iter().filter_map(|below| capsule(context, below)).collect();
    table.finish(Unknown::Error);
    (capsules.len() == count).then_some(())?;
    let (id, version, resolved_at) = header?;
    Some(LegacyLock { id, version, manifest_hash, resolved_at, capsules })
}

fn header(mut table: Table<'_, '_>) -> Option<(DistroId, Version, Option<String>)> {
    let id = table.needed("id", "distro-id");
    let version = table.needed::<FullVersion>("version", "version");
    let resolved_at = table.string("resolved-at");
    table.finish(Unknown::Error);
    Some((id?, version?.0, resolved_at))
}

fn capsule(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<LegacyCapsule> {
    let name = table.needed("name", "capsule-name");
    let version = table.needed::<FullVersion>("version", "version");
    let source = table.needed_text("source");
    let hash = match table.needed_text("hash") {
        Some(text) if !text.value.is_empty() => context.parse_text::<Digest>(&text, "hash", "digest"),
        _ => None,
    };
    let resolved_ref = table.string("resolved_ref");
    table.finish(Unknown::Error);
    Some(LegacyCapsule {
        name: name?,
        version: version?.0,
        source: source?.value.into_owned(),
        hash,
        resolved_ref,
    })
}
