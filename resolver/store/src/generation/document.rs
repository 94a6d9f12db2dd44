//! The documents that a generation consists of, and its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use astrid_authority::{CapsuleName, Digest, DistroId, EnvKey, PackId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::home::HomeKey;

/// The version of `meta.json`, `inventory.json` and `configuration.json` that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// The number of a generation, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationNumber(NonZeroU64);

impl GenerationNumber {
    /// The first generation of a home.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number as an integer.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// A generation's number, if `number` is not 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GenerationNumber {
    type Err = StoreError;

    /// Reads a number as [`fmt::Display`] writes it: no sign, no leading zero.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().ok().map(Self).filter(|number| number.to_string() == text).ok_or_else(|| {
            StoreError::refused(text.escape_debug().to_string(), "is not the number of a generation")
        })
    }
}

/// The files of a generation that others give meaning to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `Distro.toml`, as it was applied.
    Declaration,
    /// `Distro.lock`.
    Lock,
    /// `plan.json`: what was shown and done.
    Plan,
    /// `acks.toml`: acknowledgements given for this generation.
    Acknowledgements,
    /// `overrides.toml`: the operator's narrowings that were in force.
    Overrides,
    /// `receipt.json`: the signed statement over this generation.
    Receipt,
    /// `authority.json`: what each capsule may do and each pack discloses, for the next difference.
    Authority,
}

impl Part {
    /// The file's name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Declaration => "Distro.toml",
            Self::Lock => "Distro.lock",
            Self::Plan => "plan.json",
            Self::Acknowledgements => "acks.toml",
            Self::Overrides => "overrides.toml",
            Self::Receipt => "receipt.json",
            Self::Authority => "authority.json",
        }
    }
}

pub(crate) const META: &str = "meta.json";
pub(crate) const INVENTORY: &str = "inventory.json";
pub(crate) const CONFIGURATION: &str = "configuration.json";
pub(crate) const RECORD: &str = "install.json";

/// Why a generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A declaration was applied.
    Apply,
    /// A saved plan was applied.
    ApplyPlan,
    /// A bundle was applied.
    ApplyBundle,
    /// A person changed the home's own distro by a verb such as `astrid add`.
    Edit,
    /// Drift was put right.
    Heal,
    /// The reconcile loop followed its source.
    Reconcile,
    /// An earlier generation's content was brought back.
    Rollback,
}

/// `meta.json`: where a generation comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its own number.
    pub number: GenerationNumber,
    /// The generation that was current when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<GenerationNumber>,
    /// When it was made, as the caller's clock said.
    pub created: Timestamp,
    /// Who made it: a name and mail, or an account.
    pub by: String,
    /// Why it was made.
    pub action: Action,
    /// The distro that it holds.
    pub distro: DistroId,
    /// Where the distro came from: the origin that Astrid itself used.
    pub origin: String,
    /// The commit of the origin, when it has commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version of the program that made it.
    pub tool: String,
    /// The digest of the configuration, keyed with the home's key: see [`Configuration::keyed_digest`].
    pub configuration: Digest,
}

/// What a staged generation needs to know to write `meta.json`; the rest it knows itself.
#[derive(Debug, Clone)]
pub struct MetaInput {
    /// The generation that is current, as the plan was made for.
    pub parent: Option<GenerationNumber>,
    /// The time.
    pub created: Timestamp,
    /// Who makes it.
    pub by: String,
    /// Why.
    pub action: Action,
    /// The distro.
    pub distro: DistroId,
    /// Where the distro came from.
    pub origin: String,
    /// The commit of the origin.
    pub commit: Option<String>,
    /// The version of the program.
    pub tool: String,
}

/// A line of `generations/history.jsonl`: a switch that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When, as the caller's clock said.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub action: Action,
    /// What was current before.
    pub from: Option<GenerationNumber>,
    /// What is current since.
    pub to: Option<GenerationNumber>,
}

/// Something outside of the generation that it owns, and that a later one may remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnedPath {
    /// A path below the home.
    Home(PathBuf),
    /// A path below the packs root.
    Packs(PathBuf),
}

/// What a capsule of the generation is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapsuleItem {
    /// The digest of its tree, whose listing is a blob.
    pub content: Digest,
    /// The digest of its manifest's bytes.
    pub manifest: Digest,
    /// The digest of its component; a capsule of an MCP server or of static context has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
    /// The pack that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackId>,
}

/// What a pack of the generation is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackItem {
    /// The digest of its tree, whose listing is a blob and which is served as a folder.
    pub content: Digest,
}

/// `inventory.json`: everything the generation owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Capsules by name.
    #[serde(default)]
    pub capsules: BTreeMap<CapsuleName, CapsuleItem>,
    /// Packs by id.
    #[serde(default)]
    pub packs: BTreeMap<PackId, PackItem>,
    /// Blobs besides those that the items' listings name: archives, bundles.
    #[serde(default)]
    pub blobs: BTreeSet<Digest>,
    /// Paths outside of the generation.
    #[serde(default)]
    pub paths: BTreeSet<OwnedPath>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            capsules: BTreeMap::new(),
            packs: BTreeMap::new(),
            blobs: BTreeSet::new(),
            paths: BTreeSet::new(),
        }
    }
}

/// The value of one key of a capsule's environment, or where its secret is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A value that may be read by whoever reads the home.
    Value(serde_json::Value),
    /// The reference of a secret, `scope/capsule/key`; never the secret.
    Secret(String),
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Values are private to the home, and debug output ends up in logs.
            Self::Value(_) => f.write_str("Value(redacted)"),
            Self::Secret(reference) => f.debug_tuple("Secret").field(reference).finish(),
        }
    }
}

/// `configuration.json`: what each capsule is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Settings by capsule and key.
    #[serde(default)]
    pub capsules: BTreeMap<CapsuleName, BTreeMap<EnvKey, Setting>>,
    /// Values of the distro's variables that are no secrets, for the next apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The text around secrets that are not alone in their setting, with names in their places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<CapsuleName, BTreeMap<EnvKey, String>>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            capsules: BTreeMap::new(),
            variables: BTreeMap::new(),
            shapes: BTreeMap::new(),
        }
    }
}

impl Configuration {
    /// A digest that says whether two configurations are equal, and nothing to whoever lacks the home's key.
    pub fn keyed_digest(&self, key: &HomeKey) -> Digest {
        let key = key.derive("astrid 1 digest of a generation's configuration");
        // Ordered maps of plain values always encode; an empty text would only make two of them differ.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Digest::from_bytes(*blake3::keyed_hash(key.as_bytes(), &bytes).as_bytes())
    }

    /// The settings of one capsule.
    pub fn of(&self, capsule: &CapsuleName) -> Option<&BTreeMap<EnvKey, Setting>> {
        self.capsules.get(capsule)
    }
}
