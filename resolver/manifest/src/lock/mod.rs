//! `Distro.lock`: exactly what a declaration became, and claims about its bytes.
//!
//! Every field is a claim. Whoever applies a lock computes digests and authority from the bytes
//! again; only the home's own cache may skip work.

mod legacy;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, Digest, DistroId, PackId};
use schemars::JsonSchema;
use semver::Version;

pub use legacy::{LegacyCapsule, LegacyLock};

use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::signer::Signer;
use crate::source::Source;
use crate::version::Requirement;

/// The version of the format that is written.
pub const SCHEMA_VERSION: u32 = 2;

/// The words that a lock may demand to be understood.
pub const UNDERSTOOD: [&str; 6] = ["authority", "content", "permissions", "provenance", "signer", "tools"];

/// Exactly what a declaration became.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Always 2.
    #[schemars(range(min = 2, max = 2))]
    pub schema_version: u32,
    /// A reader that does not know one of these words refuses the lock.
    #[schemars(default)]
    pub must_understand: Vec<String>,
    /// [`crate::distro::manifest_hash`] of the declaration.
    pub manifest_hash: Digest,
    /// Which declaration it was made from.
    pub distro: LockedDistro,
    /// Who was taken from each group.
    #[schemars(default)]
    pub selection: BTreeMap<String, Vec<CapsuleName>>,
    /// The capsules, by name.
    #[schemars(default, rename = "capsule")]
    pub capsules: Vec<LockedCapsule>,
    /// The packs, by id.
    #[schemars(default, rename = "pack")]
    pub packs: Vec<LockedPack>,
}

/// `[distro]` of a lock.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LockedDistro {
    /// Its id.
    pub id: DistroId,
    /// Its version.
    #[schemars(with = "String")]
    pub version: Version,
    /// Where it came from, when it came from somewhere.
    pub source: Option<String>,
    /// Which commit of it.
    pub commit: Option<String>,
}

/// `[[capsule]]` of a lock.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedCapsule {
    /// Its name.
    pub name: CapsuleName,
    /// What the declaration asked for.
    pub requirement: Option<Requirement>,
    /// What it got.
    #[schemars(with = "String")]
    pub version: Version,
    /// Where it comes from, as declared.
    pub source: Source,
    /// The commit or tag that was really used.
    pub resolved_ref: Option<String>,
    /// The pack that brought it.
    pub pack: Option<PackId>,
    /// Of the archive, when it came as one.
    pub archive: Option<Digest>,
    /// Of the tree of everything that the archive would hold.
    pub content: Digest,
    /// Of its component, when it has one.
    pub component: Option<Digest>,
    /// Of its manifest.
    pub manifest: Digest,
    /// Of the tree of its interfaces.
    pub wit: Option<Digest>,
    /// Of its canonical authority.
    pub authority: Digest,
    /// Of `tools.json`, when there is one.
    pub tools: Option<Digest>,
    /// Who signed it.
    pub signer: Signer,
    /// What kind of provenance was verified.
    pub provenance: Option<String>,
    /// Of the bundle that was verified.
    pub bundle: Option<Digest>,
    /// Where the entry is. Not part of the lock's meaning.
    #[schemars(skip)]
    pub at: Position,
}

/// `[[pack]]` of a lock.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPack {
    /// Its id.
    pub id: PackId,
    /// What the declaration asked for.
    pub requirement: Option<Requirement>,
    /// What it got; any text, as in its manifest.
    pub version: String,
    /// Where it comes from, as declared.
    pub source: Source,
    /// The commit that was really used.
    pub commit: Option<String>,
    /// Of the archive, when it came as one.
    pub archive: Option<Digest>,
    /// Of its tree: every file, mode bit included.
    pub content: Digest,
    /// Of the permissions that it discloses.
    pub permissions: Digest,
    /// Over its permissions and the authority of its capsules.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
    /// What kind of provenance was verified.
    pub provenance: Option<String>,
    /// Of the bundle that was verified.
    pub bundle: Option<Digest>,
    /// Where the entry is. Not part of the lock's meaning.
    #[schemars(skip)]
    pub at: Position,
}

/// A lock of any version that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyLock {
    /// Version 1: a memory of versions, nothing that can be verified.
    V1(LegacyLock),
    /// Version 2.
    V2(Lock),
}

impl AnyLock {
    /// Reads a lock of version 1 or 2.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        read::parse_any(file, text)
    }
}

impl Lock {
    /// Reads a lock of version 2. Its capsules and packs are sorted, whatever the text.
    ///
    /// # Errors
    /// All complaints at once; for version 1 the rule is `old-lock`.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        read::parse(file, text)
    }

    /// Writes the lock: the one canonical text, without times and paths of the machine.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write::to_toml(self)
    }

    /// The words that this lock must demand: what its entries hold and an older reader might ignore.
    #[must_use]
    pub fn default_must_understand() -> Vec<String> {
        vec!["authority".to_owned(), "signer".to_owned()]
    }

    /// The capsule of that name, in a lock that was parsed or [sorted](Lock::sort).
    #[must_use]
    pub fn capsule(&self, name: &str) -> Option<&LockedCapsule> {
        let at = self.capsules.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        self.capsules.get(at)
    }

    /// The pack of that id, in a lock that was parsed or [sorted](Lock::sort).
    #[must_use]
    pub fn pack(&self, id: &str) -> Option<&LockedPack> {
        let at = self.packs.binary_search_by(|entry| entry.id.as_str().cmp(id)).ok()?;
        self.packs.get(at)
    }

    /// Sorts capsules and packs by name, as the text has them.
    pub fn sort(&mut self) {
        self.capsules.sort_by(|one, two| one.name.cmp(&two.name));
        self.packs.sort_by(|one, two| one.id.cmp(&two.id));
    }
}
