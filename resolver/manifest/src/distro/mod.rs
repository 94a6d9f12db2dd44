//! `Distro.toml`: what a fleet should be.

mod hash;
mod policy;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, Digest, DistroId, EnvKey, InterfaceId, PackId};
use schemars::JsonSchema;
use semver::{Version, VersionReq};

pub use hash::manifest_hash;
pub use policy::{
    AuthorityPolicy, Policy, PolicyChange, Provenance, SignerRule, SignerRuleIdentity, UngrantedImports,
};
pub(crate) use policy::{keyword, read as read_policy};
pub(crate) use read::string_of as read_string;

use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::period::Period;
use crate::source::Source;
use crate::template::Template;
use crate::version::Requirement;

/// The version of the format that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// A declaration: what a fleet is made of.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Distro {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// Who it is.
    #[schemars(rename = "distro")]
    pub header: Header,
    /// Values that entries' `env` may name, by name.
    #[schemars(default)]
    pub variables: BTreeMap<String, Variable>,
    /// Where bare names come from.
    #[schemars(default, rename = "index")]
    pub indexes: Vec<IndexEntry>,
    /// The capsules, as they were written.
    #[schemars(default, rename = "capsule")]
    pub capsules: Vec<CapsuleEntry>,
    /// The packs, as they were written.
    #[schemars(default, rename = "pack")]
    pub packs: Vec<PackEntry>,
    /// What is demanded of everything in it.
    #[schemars(default)]
    pub policy: Policy,
    /// Who may invite whom; a gateway reads it.
    pub invites: Option<Invites>,
    /// How it looks; a gateway reads it.
    pub branding: Option<Branding>,
    /// How a daemon follows it. Not supported by this version: [`Distro::parse`] refuses it.
    pub reconcile: Option<Reconcile>,
}

/// `[distro]`: who it is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Header {
    /// The id that locks and trust name.
    pub id: DistroId,
    /// The name that people see.
    pub name: String,
    /// Its version.
    #[schemars(with = "String")]
    pub version: Version,
    /// A longer name for people.
    pub pretty_name: Option<String>,
    /// A name of this version.
    pub codename: Option<String>,
    /// When it was released, in free form.
    pub release_date: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where to read about it.
    pub homepage: Option<String>,
    /// Where to get help.
    pub support: Option<String>,
    /// Where to report faults.
    pub bug_tracker: Option<String>,
    /// Where it is developed.
    pub repository: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Who wrote it.
    #[schemars(default)]
    pub authors: Vec<String>,
    /// Who looks after it.
    #[schemars(default)]
    pub maintainers: Vec<String>,
    /// The platform versions that it works with.
    #[schemars(with = "Option<String>")]
    pub astrid_version: Option<VersionReq>,
    /// Interfaces that some capsule must export.
    #[schemars(with = "Option<BTreeMap<String, BTreeMap<String, String>>>")]
    pub requires: Vec<RequiredInterface>,
    /// The key that signs it, and the one that follows.
    pub signing: Option<Signing>,
    /// Where `[distro]` is.
    #[schemars(skip)]
    pub at: Position,
}

impl Header {
    /// The name to show: the pretty one, if there is one.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.pretty_name.as_deref().unwrap_or(&self.name)
    }
}

/// An interface that some capsule of the distro must export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredInterface {
    /// The interface.
    pub interface: InterfaceId,
    /// Which versions will do.
    pub requirement: VersionReq,
    /// Where it is asked for.
    pub at: Position,
}

/// `[distro.signing]`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Signing {
    /// `ed25519:` and the padded base64 of the public key.
    pub pubkey: String,
    /// The key that follows it.
    pub endorses: Option<String>,
}

/// `[variables.NAME]`: a value that whoever applies the distro gives.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Variable {
    /// Keep it as a secret: never shown, never logged.
    #[schemars(default)]
    pub secret: bool,
    /// What to ask for.
    pub description: Option<String>,
    /// What it is when nobody gives a value; an empty text counts.
    pub default: Option<String>,
    /// Where it is declared.
    #[schemars(skip)]
    pub at: Position,
}

/// `[[index]]`: where bare names come from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct IndexEntry {
    /// How sources name it.
    pub name: String,
    /// A folder: `./path`, `/path`. URLs are not supported by this version.
    #[schemars(with = "String")]
    pub url: IndexLocation,
    /// Where it is declared.
    #[schemars(skip)]
    pub at: Position,
}

/// Where an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexLocation {
    /// A folder, relative to the declaration or absolute.
    Path(crate::source::SourcePath),
    /// A server. [`Distro::parse`] refuses it in this version.
    Url(String),
}

/// `[[capsule]]`: one capsule of the fleet.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CapsuleEntry {
    /// Its name, which its own manifest must carry too.
    pub name: CapsuleName,
    /// Where it comes from.
    pub source: Source,
    /// Which versions will do. Absent when a tag, a commit or a path decides.
    #[schemars(with = "Option<String>")]
    pub version: Option<Requirement>,
    /// The tag that is taken; it wins over `version` as a reference.
    pub tag: Option<String>,
    /// The group that people choose from.
    pub group: Option<String>,
    /// Chosen in its group unless someone chooses otherwise.
    #[schemars(default)]
    pub default: bool,
    /// What it does for the fleet; only `uplink` has a meaning.
    pub role: Option<String>,
    /// Configuration, by key.
    #[schemars(default)]
    pub env: BTreeMap<EnvKey, Template>,
    /// Capsules that start before it, beside those whose exports it imports.
    #[schemars(default)]
    pub depends_on: Vec<CapsuleName>,
    /// Never pruned.
    #[schemars(default)]
    pub keep: bool,
    /// What must work before it counts as ready.
    pub probe: Option<Probe>,
    /// Where the entry begins.
    #[schemars(skip)]
    pub at: Position,
    /// Where its source is written.
    #[schemars(skip)]
    pub source_at: Position,
    /// Where its version is written, else the entry.
    #[schemars(skip)]
    pub version_at: Position,
}

impl CapsuleEntry {
    /// Says whether it connects people to the fleet.
    #[must_use]
    pub fn is_uplink(&self) -> bool {
        self.role.as_deref() == Some("uplink")
    }
}

/// `probe`: a tool call that must succeed.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Probe {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    #[schemars(default)]
    pub args: serde_json::Map<String, serde_json::Value>,
}

/// `[[pack]]`: one pack of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackEntry {
    /// Its id, which its own manifest must carry too.
    pub id: PackId,
    /// Where it comes from.
    pub source: Source,
    /// Which versions will do.
    #[schemars(with = "Option<String>")]
    pub version: Option<Requirement>,
    /// The tag that is taken.
    pub tag: Option<String>,
    /// What was asked for when the source was pinned, such as `refs/heads/main`: `packs update` asks it again.
    pub requested_ref: Option<String>,
    /// Just this content, whatever the source has now.
    #[schemars(with = "Option<String>")]
    pub content: Option<Digest>,
    /// Which of its capsules run; absent means all.
    pub capsules: Option<Vec<CapsuleName>>,
    /// Capsules that start before its own.
    #[schemars(default)]
    pub depends_on: Vec<CapsuleName>,
    /// Never pruned.
    #[schemars(default)]
    pub keep: bool,
    /// Where the entry begins.
    #[schemars(skip)]
    pub at: Position,
    /// Where its source is written.
    #[schemars(skip)]
    pub source_at: Position,
    /// Where its version is written, else the entry.
    #[schemars(skip)]
    pub version_at: Position,
}

/// `[invites]`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Invites {
    /// Groups whose members may invite; empty means that nobody registers.
    #[schemars(default)]
    pub issuers: Vec<String>,
    /// The group of whoever accepts.
    pub default_group: Option<String>,
    /// How long an invitation holds.
    pub default_expires: Option<Period>,
    /// At most this many; absent means without limit (`"unlimited"`).
    #[schemars(with = "Option<String>")]
    pub max_principals: Option<u32>,
}

/// `[branding]`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Branding {
    /// A data URL, or a path below the distro.
    #[schemars(length(max = 65536))]
    pub icon: Option<String>,
    /// `#` and 3 or 6 hexadecimal digits.
    #[schemars(regex(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"))]
    pub primary_color: Option<String>,
    /// `#` and 3 or 6 hexadecimal digits.
    #[schemars(regex(pattern = "^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$"))]
    pub accent_color: Option<String>,
}

/// `[reconcile]`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reconcile {
    /// Where the declaration is followed from.
    pub source: Source,
    /// How often it is looked at.
    pub interval: Option<Period>,
    /// Repair what drifts.
    #[schemars(default)]
    pub heal: bool,
    /// What is taken without a person.
    pub upgrade: Option<Upgrade>,
    /// How long a new generation has to become healthy.
    pub health_timeout: Option<Period>,
}

/// `[reconcile].upgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum Upgrade {
    /// Everything.
    Auto,
    /// What widens no authority.
    NoNewAuthority,
    /// Nothing.
    Manual,
}

impl Distro {
    /// Reads `text`, which people know as `file` (usually `Distro.toml`).
    ///
    /// # Errors
    /// All complaints at once. Features that this version lacks are complaints of the rule
    /// `not-supported`.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        read::parse(file, text, false)
    }

    /// Reads a distro that may have no capsule and no pack: the home's own.
    ///
    /// # Errors
    /// As [`Distro::parse`].
    pub fn parse_home(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        read::parse(file, text, true)
    }

    /// The entry of the capsule of that name.
    #[must_use]
    pub fn capsule(&self, name: &str) -> Option<&CapsuleEntry> {
        self.capsules.iter().find(|entry| entry.name.as_str() == name)
    }

    /// The entry of the pack of that id.
    #[must_use]
    pub fn pack(&self, id: &str) -> Option<&PackEntry> {
        self.packs.iter().find(|entry| entry.id.as_str() == id)
    }

    /// Groups with their members, by name, members as they were written.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<&str, Vec<&CapsuleEntry>> {
        let mut groups: BTreeMap<&str, Vec<&CapsuleEntry>> = BTreeMap::new();
        for entry in &self.capsules {
            if let Some(group) = &entry.group {
                groups.entry(group).or_default().push(entry);
            }
        }
        groups
    }

    /// Who is taken from a group when nobody chooses: all with `default = true`, else the first.
    ///
    /// The flag says whether the first was taken for want of a default; people are told.
    #[must_use]
    pub fn default_selection<'d>(members: &[&'d CapsuleEntry]) -> (Vec<&'d CapsuleEntry>, bool) {
        let defaults: Vec<&CapsuleEntry> = members.iter().copied().filter(|entry| entry.default).collect();
        if defaults.is_empty() {
            (members.iter().copied().take(1).collect(), true)
        } else {
            (defaults, false)
        }
    }
}
