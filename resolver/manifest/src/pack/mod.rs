//! `pack.yaml`: what a pack of executors, orchestrators, elements and capsules says about itself.
//!
//! What it declares under `permissions` is disclosed to people and enforced by nobody.

pub mod action;
mod around;
pub mod contents;
pub mod element;
pub mod executor;
pub mod extensions;
pub mod orchestrator;
mod read;
pub mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use astrid_authority::{AuthoritySet, Digest, EnvKey, Grant, PackId, Permission};
use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

pub use action::Action;
pub use contents::Contents;
pub use element::Element;
pub use executor::Executor;
pub use extensions::Extensions;
pub use orchestrator::Orchestrator;
pub(crate) use read::permissions as read_permissions;
pub use summary::TrustSummary;

use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::source::SourcePath;
use crate::version::Requirement;

/// The version of the format that is read.
pub const SCHEMA_VERSION: u32 = 1;

/// The names under which a pack's manifest is looked for, in order.
pub const FILE_NAMES: [&str; 3] = ["pack.yaml", "pack.yml", "pack.json"];

/// What a pack says about itself.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PackManifest {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// Its id, which is also the name of its folder.
    pub id: PackId,
    /// The name that people see.
    pub name: String,
    /// Its version; a pack that is asked for by range needs MAJOR.MINOR.PATCH.
    pub version: String,
    /// What it is for.
    #[schemars(default)]
    pub description: String,
    /// Where its parts are: folders below the pack.
    #[schemars(default)]
    pub content: Content,
    /// Files with documentation, by purpose.
    #[schemars(default)]
    pub docs: BTreeMap<String, serde_json::Value>,
    /// What an agent should know.
    #[schemars(default)]
    pub agent: Agent,
    /// Anything else.
    #[schemars(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Other names of what it declares.
    #[schemars(default)]
    pub aliases: Vec<Alias>,
    /// What its code does to the machine, as far as the author says.
    #[schemars(default)]
    pub permissions: Vec<Permission>,
    /// Secrets that its code reads.
    #[schemars(default)]
    pub secrets: Vec<PackSecret>,
    /// What it needs.
    #[schemars(default)]
    pub dependencies: Dependencies,
    /// What it adds to the platform's vocabulary.
    #[schemars(default)]
    pub extensions: Extensions,
    /// Words to find it by.
    #[schemars(default)]
    pub keywords: Vec<String>,
    /// What it can do, in words.
    #[schemars(default)]
    pub capabilities: Vec<String>,
    /// The platform that it was made for; shown, not checked.
    #[schemars(default)]
    pub astrid_version: String,
    /// How far it is.
    #[schemars(default)]
    pub status: Status,
    /// Whether lists show it.
    #[schemars(default)]
    pub visibility: Visibility,
    /// Where it was made.
    #[schemars(default)]
    pub origin: Option<String>,
    /// When it is installed.
    #[schemars(default)]
    pub install_tier: Option<String>,
    /// What kind it is.
    #[schemars(default)]
    pub pack_type: Option<String>,
    /// What it is about.
    #[schemars(default)]
    pub domain: Option<String>,
    /// How much it will change.
    #[schemars(default)]
    pub stability: Option<String>,
    /// Who helps.
    #[schemars(default)]
    pub support: Option<String>,
    /// Where its id is written.
    #[schemars(skip)]
    pub at: Position,
}

/// `content`: folders below the pack.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
pub struct Content {
    /// Of executors.
    #[schemars(with = "Option<String>")]
    pub executors: Option<SourcePath>,
    /// Of orchestrators.
    #[schemars(with = "Option<String>")]
    pub orchestrators: Option<SourcePath>,
    /// Of elements.
    #[schemars(with = "Option<String>")]
    pub elements: Option<SourcePath>,
    /// Of schemas.
    #[schemars(with = "Option<String>")]
    pub schemas: Option<SourcePath>,
    /// Of examples.
    #[schemars(with = "Option<String>")]
    pub examples: Option<SourcePath>,
    /// Of documentation.
    #[schemars(with = "Option<String>")]
    pub docs: Option<SourcePath>,
    /// Of capsules: `<name>/Capsule.toml` each.
    #[schemars(with = "Option<String>")]
    pub capsules: Option<SourcePath>,
}

/// `agent`: what an agent should know. Other keys are allowed and kept nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
pub struct Agent {
    /// What it is good for.
    pub purpose: Option<String>,
    /// Where to begin, in old manifests.
    #[schemars(default)]
    pub entrypoints: Vec<String>,
    /// Where to begin.
    #[schemars(default)]
    pub normal_entrypoints: Vec<String>,
    /// What it is not good for.
    pub do_not_use_for: Option<String>,
    /// What to read before.
    #[schemars(default)]
    pub required_context: Vec<String>,
}

/// `aliases[]`: another name of something that the pack declares.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Alias {
    /// `executor` or `orchestrator`.
    pub kind: String,
    /// The other name.
    pub alias: String,
    /// The real one.
    pub canonical_id: String,
    /// People are told to use the real one.
    #[schemars(default)]
    pub deprecated: bool,
    /// In these words.
    pub deprecation_message: Option<String>,
}

/// `secrets[]`: a secret that its code reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PackSecret {
    /// The name of the environment variable.
    pub name: EnvKey,
    /// Nothing works without it.
    #[schemars(default)]
    pub required: bool,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `dependencies`: what it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Dependencies {
    /// Python distributions.
    #[schemars(default)]
    pub python: Vec<String>,
    /// npm packages.
    #[schemars(default)]
    pub npm: Vec<String>,
    /// Programs.
    #[schemars(default)]
    pub system: Vec<String>,
    /// Other packs: `id` or `id >=1.2`.
    #[schemars(default, with = "Vec<String>")]
    pub packs: Vec<PackDependency>,
}

/// Another pack that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackDependency {
    /// Which.
    pub id: PackId,
    /// Which versions; absent means any, of any form.
    pub requirement: Option<Requirement>,
    /// Where it is written.
    pub at: Position,
}

/// How far a pack is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    #[default]
    Active,
    /// On its way out.
    Deprecated,
    /// A shell.
    Stub,
    /// May change at any time.
    Experimental,
}

/// Whether lists show a pack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// They do.
    #[default]
    Visible,
    /// They do not.
    Hidden,
}

impl PackManifest {
    /// Reads `text`, which people know as `file` (`pack.yaml`, `pack.yml` or `pack.json`).
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        read::parse(file, text)
    }

    /// The version as a SemVer version, when it is one.
    #[must_use]
    pub fn semver(&self) -> Option<Version> {
        self.version.parse().ok()
    }

    /// The permissions as disclosed authority.
    #[must_use]
    pub fn authority(&self) -> AuthoritySet {
        self.permissions.iter().map(|permission| Grant::Permission(permission.id)).collect()
    }

    /// The digest of the permissions with their reasons: what locks and acknowledgements hold.
    #[must_use]
    pub fn permissions_digest(&self) -> Digest {
        permissions_digest(&self.permissions)
    }
}

/// The digest of permissions with their reasons, whatever their order.
#[must_use]
pub fn permissions_digest(permissions: &[Permission]) -> Digest {
    let mut sorted: Vec<&Permission> = permissions.iter().collect();
    sorted.sort();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for permission in sorted {
        parts.push(permission.id.as_str().as_bytes().to_vec());
        parts.push(permission.reason.as_bytes().to_vec());
        parts.push(permission.access.as_deref().unwrap_or_default().as_bytes().to_vec());
        parts.push(permission.services.len().to_le_bytes().to_vec());
        parts.extend(permission.services.iter().map(|service| service.as_bytes().to_vec()));
    }
    Digest::of_parts("astrid:permissions:v1", parts.iter().map(Vec::as_slice))
}
