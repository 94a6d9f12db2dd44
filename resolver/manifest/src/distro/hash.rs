//! The digest of what resolution reads of a declaration.

use std::collections::BTreeSet;

use astrid_authority::Digest;

use super::{Distro, IndexLocation};

/// Domain of the digest. A change of what is hashed needs a new one.
const DOMAIN: &str = "astrid:manifest:v1";

/// The digest of everything in `distro` that resolution reads, and of nothing else.
///
/// Comments, spacing, the order of keys and entries, names for people, `env`, branding and
/// invitations do not change it; a lock stays fresh when they do.
#[must_use]
pub fn manifest_hash(distro: &Distro) -> Digest {
    let mut lines = BTreeSet::new();
    let header = &distro.header;
    let line = |parts: &[&str]| -> String {
        // A length before every part, so that no two lists of parts give the same line.
        parts.iter().map(|part| format!("{}:{part}", part.len())).collect::<Vec<_>>().join(" ")
    };
    lines.insert(line(&["distro", header.id.as_str(), &header.version.to_string()]));
    if let Some(requirement) = &header.astrid_version {
        lines.insert(line(&["astrid-version", &requirement.to_string()]));
    }
    if let Some(age) = distro.policy.min_age {
        lines.insert(line(&["min-age", &age.as_secs().to_string()]));
    }
    for required in &header.requires {
        lines.insert(line(&["requires", required.interface.as_str(), &required.requirement.to_string()]));
    }
    for index in &distro.indexes {
        let place = match &index.url {
            IndexLocation::Path(path) => path.to_string(),
            IndexLocation::Url(url) => url.clone(),
        };
        lines.insert(line(&["index", &index.name, &place]));
    }
    let requirement = |one: &Option<crate::version::Requirement>| {
        one.as_ref().map(|one| one.as_req().to_string()).unwrap_or_default()
    };
    for entry in &distro.capsules {
        let depends: BTreeSet<&str> = entry.depends_on.iter().map(AsRef::as_ref).collect();
        lines.insert(line(&[
            "capsule",
            entry.name.as_str(),
            &entry.source.to_string(),
            &requirement(&entry.version),
            entry.tag.as_deref().unwrap_or_default(),
            entry.group.as_deref().unwrap_or_default(),
            if entry.default { "default" } else { "" },
            &depends.into_iter().collect::<Vec<_>>().join(","),
        ]));
    }
    for entry in &distro.packs {
        let names = |all: &[astrid_authority::CapsuleName]| {
            let sorted: BTreeSet<&str> = all.iter().map(AsRef::as_ref).collect();
            sorted.into_iter().collect::<Vec<_>>().join(",")
        };
        lines.insert(line(&[
            "pack",
            entry.id.as_str(),
            &entry.source.to_string(),
            &requirement(&entry.version),
            entry.tag.as_deref().unwrap_or_default(),
            // No list is all capsules, an empty one is none.
            &entry.capsules.as_ref().map_or_else(|| "*".to_owned(), |all| names(all)),
            &names(&entry.depends_on),
        ]));
        if let Some(pinned) = entry.content {
            lines.insert(line(&["pack-content", entry.id.as_str(), &pinned.to_string()]));
        }
    }
    Digest::of_parts(DOMAIN, lines.iter().map(String::as_bytes))
}
