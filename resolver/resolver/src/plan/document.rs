//! The plan as people and tools read it: the document behind `plan -o FILE` and `show`.
//!
//! It holds no value of a variable, no secret, and no absolute path. Reading such a document gives
//! information and never evidence: what is applied is always computed again.

use std::collections::BTreeMap;
use std::fmt;

use astrid_authority::set::Widening;
use astrid_authority::{CapsuleName, Digest, DistroId, EnvKey, Grant, PackId, Permission};
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::item::Item;

/// The version of the document's format. A reader refuses any other.
pub const FORMAT_VERSION: u32 = 1;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Makes the document usable once.
    pub nonce: Nonce,
    /// What it starts from; nothing on a home without generations.
    pub base: Option<Base>,
    /// The distro that it leads to.
    pub distro: PlannedDistro,
    /// Digest of the lock that it leads to.
    pub lock: Digest,
    /// Digest of the policy that it was made under.
    pub policy: Digest,
    /// The program that made it.
    pub tool: Tool,
    /// What it does, in order.
    pub changes: Vec<Change>,
    /// What becomes possible, and what no longer is.
    pub authority: AuthorityChanges,
    /// What has to be trusted.
    pub trust: TrustNeeds,
    /// What has to be confirmed by its own flag, because neither `--yes` nor `--trust` covers it.
    pub confirm: Vec<Confirmation>,
    /// What has to be well after it.
    pub health: Vec<HealthGate>,
}

/// 128 random bits that make a saved plan usable once, as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Takes fresh randomness.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

impl Serialize for Nonce {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("expected 32 lowercase hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let bits = u128::from_str_radix(&text, 16).map_err(|_| wrong())?;
        Ok(Self(bits.to_be_bytes()))
    }
}

/// The generation that a plan starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its number.
    pub generation: u64,
    /// Its digest.
    pub digest: Digest,
}

/// The distro that a plan leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedDistro {
    /// Its id.
    pub id: DistroId,
    /// Its version.
    pub version: Version,
    /// Who signed it, as it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// This home sees it signed for the first time: from now on it must be signed by the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_use: bool,
}

/// The program that made a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Digest of everything about it that planning depends on.
    pub digest: Digest,
}

/// What is done to one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was not there.
    Add,
    /// It stays, and is another version, other bytes or another value.
    Change,
    /// Its name stays, and it comes from another place or another signer.
    Replace,
    /// It is pinned as before, and what is on disk is not what was pinned.
    Heal,
    /// It goes.
    Remove,
}

impl Action {
    /// The action as documents write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Replace => "replace",
            Self::Heal => "heal",
            Self::Remove => "remove",
        }
    }

    /// The symbol that lists show: `+ ~ ± -`.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change | Self::Heal => "~",
            Self::Replace => "±",
            Self::Remove => "-",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Of what.
    pub subject: Item,
    /// What is done.
    pub action: Action,
    /// What it was.
    pub before: Option<State>,
    /// What it becomes.
    pub after: Option<State>,
    /// Why, in words.
    pub reason: String,
    /// The line of `Distro.toml` that asks for it.
    pub line: Option<u32>,
}

/// What a subject is, before or after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A capsule or pack.
    Artifact(ArtifactState),
    /// The distro.
    Distro {
        /// Its version.
        version: Version,
        /// The digest of its lock.
        lock: Digest,
    },
    /// A configuration value, by a digest that only the home can compute. A secret has none.
    Setting {
        /// The digest, when the value is known and no secret.
        digest: Option<Digest>,
        /// It is a secret.
        secret: bool,
    },
}

/// What a capsule or pack is, before or after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactState {
    /// Its version.
    pub version: String,
    /// Where it comes from; nothing when that is an absolute path of this machine.
    pub source: Option<String>,
    /// Digest of everything it holds: what acknowledgements bind to.
    pub content: Digest,
    /// Digest of what it may do.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
    /// Which kind of provenance was verified.
    pub provenance: Option<String>,
}

/// What becomes possible. What is enforced and what is only disclosed never mix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityChanges {
    /// Of capsules: the kernel enforces it.
    pub enforced: BTreeMap<CapsuleName, EnforcedChange>,
    /// Of packs: nothing enforces it. Executors and orchestrators run with the rights of the user.
    pub disclosed: BTreeMap<PackId, DisclosedChange>,
}

/// How the authority of a capsule changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnforcedChange {
    /// What nothing before covered.
    pub added: Vec<Grant>,
    /// What became larger.
    pub widened: Vec<Widening>,
    /// What became smaller.
    pub narrowed: Vec<Widening>,
    /// What is no longer granted.
    pub removed: Vec<Grant>,
    /// What its manifest claims and its bytes can't use.
    pub unused: Vec<Grant>,
    /// Who signs it now, when that is another.
    pub signer: Option<Moved<Signer>>,
    /// The texts of its tools changed.
    pub tool_text: Option<Moved<Option<Digest>>>,
    /// Stored secrets that it would be given, by name.
    pub secrets: Vec<EnvKey>,
}

impl EnforcedChange {
    /// Says whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says whether anything becomes possible that was not.
    #[must_use]
    pub fn widens(&self) -> bool {
        !self.added.is_empty() || !self.widened.is_empty()
    }

    /// Says whether something becomes impossible, and nothing possible.
    #[must_use]
    pub fn only_narrows(&self) -> bool {
        let narrows = !self.narrowed.is_empty() || !self.removed.is_empty();
        narrows && !self.widens()
    }
}

/// How the permissions that a pack discloses change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosedChange {
    /// New ones.
    pub added: Vec<Permission>,
    /// The same ids with another reason, access or services.
    pub changed: Vec<Moved<Permission>>,
    /// Those that are gone.
    pub removed: Vec<Permission>,
    /// Who signs it now, when that is another.
    pub signer: Option<Moved<Signer>>,
}

impl DisclosedChange {
    /// Says whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says whether the pack discloses more than before.
    #[must_use]
    pub fn widens(&self) -> bool {
        !self.added.is_empty() || !self.changed.is_empty()
    }
}

/// Something that was one thing and becomes another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved<T> {
    /// What it was.
    pub from: T,
    /// What it becomes.
    pub to: T,
}

/// What has to be trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustNeeds {
    /// The one acknowledgement that covers every capsule outside packs; nothing when none needs it.
    pub distro: Option<DistroTrust>,
    /// Every subject that needs trust.
    pub needed: Vec<Need>,
}

/// The acknowledgement of a distro's own capsules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistroTrust {
    /// The distro.
    pub id: DistroId,
    /// The digest over its capsules outside packs: what `--trust=distro:<id>@<digest>` names.
    pub digest: Digest,
}

/// A subject that needs trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Which capsule or pack.
    pub subject: Subject,
    /// Its version.
    pub version: String,
    /// Digest of everything it holds.
    pub content: Digest,
    /// Digest of what it may do.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
    /// Why it needs trust.
    pub why: Vec<Why>,
    /// What satisfies it already; nothing when somebody has to be asked.
    pub satisfied_by: Option<Evidence>,
}

/// Why something needs trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was not there.
    New,
    /// Its bytes changed.
    Bytes,
    /// It may do more.
    Widened,
    /// It comes from another place.
    Source,
    /// Somebody else signed it.
    Signer,
    /// Its provenance is another.
    Provenance,
    /// Somebody took the trust in it back.
    Revoked,
    /// The record of how it was accepted is not the one that was signed.
    Record,
}

impl Why {
    /// The reason in words.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::New => "is new",
            Self::Bytes => "changed in content",
            Self::Widened => "may do more",
            Self::Source => "comes from another source",
            Self::Signer => "has another signer",
            Self::Provenance => "has another provenance",
            Self::Revoked => "was revoked",
            Self::Record => "was accepted in a record that was changed",
        }
    }
}

/// What satisfies a need for trust.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// An acknowledgement in a file, named as people would find it.
    File(String),
    /// The acknowledgement that is part of the program, for the distro that is part of it.
    Builtin,
    /// The acknowledgement that this generation was applied with. Counts for rollback and heal only.
    Generation(u64),
    /// `--trust`, or `--trust=<subject>@<digest>`.
    Flag,
    /// A person typed it.
    Prompt,
}

/// Something that needs its own flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// The home has another distro, or the same id from another place.
    ReplaceDistro {
        /// The distro that is applied now.
        from: DistroId,
        /// The distro that would take its place.
        to: DistroId,
    },
    /// The home has seen a higher version of this distro.
    Downgrade {
        /// The highest version that was applied.
        from: Version,
        /// The version of this plan.
        to: Version,
    },
    /// It was signed by somebody else before, or proved more.
    NewSigner {
        /// What is signed.
        subject: Subject,
        /// Who signed it before and what was proved, as `[[policy.change]]` writes it.
        from: String,
        /// Who signed it now and what was proved.
        to: String,
        /// Why a reviewed `[[policy.change]]` line allows it; nothing when none does.
        allowed: Option<String>,
    },
    /// The distro is not signed, and should be: `--allow-unsigned`.
    UnsignedDistro,
    /// The distro was signed by somebody else when this home first saw it: `--accept-new-key`.
    NewDistroKey {
        /// Who signed it before.
        from: Signer,
        /// Who signed it now.
        to: Signer,
    },
    /// The distro was signed when this home first saw it, and is not now: no flag allows it.
    DistroSignatureGone {
        /// Who signed it before.
        from: Signer,
    },
}

/// What has to be well after a plan is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthGate {
    /// Which capsule.
    pub subject: Subject,
    /// The tool whose answer counts as well; nothing when being loaded is enough.
    pub probe: Option<String>,
}

/// The counts of a plan's last line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Subjects that come.
    pub add: usize,
    /// Subjects that change, are replaced or healed.
    pub change: usize,
    /// Subjects that go.
    pub remove: usize,
    /// Subjects that may do more than before.
    pub widened: usize,
    /// Subjects that may do less than before, and nothing more.
    pub narrowed: usize,
    /// Subjects that need trust and have none yet.
    pub untrusted: usize,
}

impl PlanDocument {
    /// Says whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Counts the changes.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in &self.changes {
            match change.action {
                Action::Add => summary.add += 1,
                Action::Change | Action::Replace | Action::Heal => summary.change += 1,
                Action::Remove => summary.remove += 1,
            }
        }
        let enforced = self.authority.enforced.values();
        let disclosed = self.authority.disclosed.values();
        summary.widened = enforced.clone().filter(|change| change.widens()).count()
            + disclosed.clone().filter(|change| change.widens()).count();
        summary.narrowed = enforced.filter(|change| change.only_narrows()).count()
            + disclosed.filter(|change| !change.widens() && !change.removed.is_empty()).count();
        summary.untrusted = self.trust.needed.iter().filter(|need| need.satisfied_by.is_none()).count();
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.add, self.change, self.remove) == (0, 0, 0) {
            return f.write_str("Plan: nothing to do");
        }
        write!(f, "Plan: {} to add, {} to change, {} to remove", self.add, self.change, self.remove)?;
        let mut separator = "; authority: ";
        if self.widened > 0 {
            write!(f, "{separator}{} widened", self.widened)?;
            separator = ", ";
        }
        if self.narrowed > 0 {
            write!(f, "{separator}{} narrowed", self.narrowed)?;
        }
        if self.widened > 0 && self.untrusted > 0 {
            f.write_str(" (needs trust)")?;
        } else if self.untrusted > 0 {
            write!(f, "; {} to trust", self.untrusted)?;
        }
        Ok(())
    }
}
