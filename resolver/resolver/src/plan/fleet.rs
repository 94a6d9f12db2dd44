//! What the planner compares: the artifacts of a lock, one flat fact sheet each.

use std::collections::BTreeMap;

use crate::error::Result;
use astrid_authority::{AuthoritySet, CapsuleName, Digest, DistroId, EnvKey, PackId, Permission};
use astrid_manifest::lock::{Lock, LockedCapsule, LockedPack};
use astrid_manifest::signer::Signer;
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;
use semver::Version;
use serde::{Deserialize, Serialize};

/// A capsule or pack as a lock pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its version, as the lock writes it.
    pub version: String,
    /// Where it comes from, as the lock writes it.
    pub source: String,
    /// Where that really is: a source that is relative to the declaration, with the declaration's
    /// origin before it. Two distros may both say `./fs` and mean two capsules.
    pub place: String,
    /// It is a folder or file of this machine. A path inside of a fetched distro is not.
    pub is_local: bool,
    /// Digest of everything it holds.
    pub content: Digest,
    /// Digest of what it may do.
    pub authority: Digest,
    /// Digest of the permissions that a pack discloses.
    pub permissions: Option<Digest>,
    /// Who signed it.
    pub signer: Signer,
    /// Which kind of provenance was verified.
    pub provenance: Option<String>,
    /// Digest of the texts of its tools.
    pub tools: Option<Digest>,
    /// The pack that brought it.
    pub pack: Option<PackId>,
}

impl Artifact {
    fn of_capsule(locked: &LockedCapsule, origin: &str) -> Self {
        Self {
            version: locked.version.to_string(),
            source: locked.source.to_string(),
            place: place(&locked.source, origin, &locked.signer),
            is_local: is_local(&locked.source, origin),
            content: locked.content,
            authority: locked.authority,
            permissions: None,
            signer: locked.signer.clone(),
            provenance: locked.provenance.clone(),
            tools: locked.tools,
            pack: locked.pack.clone(),
        }
    }

    fn of_pack(locked: &LockedPack, origin: &str) -> Self {
        Self {
            version: locked.version.clone(),
            source: locked.source.to_string(),
            place: place(&locked.source, origin, &locked.signer),
            is_local: is_local(&locked.source, origin),
            content: locked.content,
            authority: locked.authority,
            permissions: Some(locked.permissions),
            signer: locked.signer.clone(),
            provenance: locked.provenance.clone(),
            tools: None,
            pack: None,
        }
    }
}

fn place(source: &Source, origin: &str, signer: &Signer) -> String {
    // From where the parts of a bundle are, whoever sealed it says: a part that nobody signed comes from the bundle.
    let is_claimed = origin.starts_with("bundle by ") && signer.is_unsigned();
    if (source.is_remote() || source.is_local_only()) && !is_claimed {
        source.to_string()
    } else {
        format!("{origin}#{source}")
    }
}

/// Origins are absolute paths, `home`, `builtin`, or addresses: only the first two are this machine's.
///
/// What comes from an index or a repository was made by somebody else, wherever on this machine that lies.
fn is_local(source: &Source, origin: &str) -> bool {
    source.is_path() && (origin.starts_with('/') || origin == "home")
}

/// The artifacts of one lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The distro's id.
    pub distro: DistroId,
    /// The distro's version.
    pub version: Version,
    /// Capsules and packs.
    pub artifacts: BTreeMap<Subject, Artifact>,
}

impl Fleet {
    /// The fleet of a lock whose distro comes from `origin`, as [`crate::Origin::identity`] writes it.
    #[must_use]
    pub fn of_lock(lock: &Lock, origin: &str) -> Self {
        let capsules = lock
            .capsules
            .iter()
            .map(|locked| (Subject::Capsule(locked.name.clone()), Artifact::of_capsule(locked, origin)));
        let packs = lock
            .packs
            .iter()
            .map(|locked| (Subject::Pack(locked.id.clone()), Artifact::of_pack(locked, origin)));
        Self {
            distro: lock.distro.id.clone(),
            version: lock.distro.version.clone(),
            artifacts: capsules.chain(packs).collect(),
        }
    }

    /// The capsules that no pack brought, by name.
    pub fn own_capsules(&self) -> impl Iterator<Item = (&CapsuleName, &Artifact)> {
        self.artifacts.iter().filter_map(|(subject, artifact)| match (subject, &artifact.pack) {
            (Subject::Capsule(name), None) => Some((name, artifact)),
            _ => None,
        })
    }

    /// What `trust distro <id>` acknowledges, in the form of one artifact.
    ///
    /// Its content is the digest over name, content, authority and signer of every capsule that no
    /// pack brought, sorted by name.
    #[must_use]
    pub fn own_capsules_digests(&self) -> OwnCapsules {
        let mut content = Vec::new();
        let mut authority = Vec::new();
        let signers: Vec<Vec<u8>> =
            self.own_capsules().map(|(_, artifact)| signer_bytes(&artifact.signer)).collect();
        for ((name, artifact), signer) in self.own_capsules().zip(&signers) {
            content.push(name.as_str().as_bytes());
            content.push(artifact.content.as_bytes().as_slice());
            content.push(artifact.authority.as_bytes().as_slice());
            content.push(signer);
            authority.push(name.as_str().as_bytes());
            authority.push(artifact.authority.as_bytes().as_slice());
        }
        OwnCapsules {
            content: Digest::of_parts("astrid:distro-capsules:v1", content),
            authority: Digest::of_parts("astrid:distro-authority:v1", authority),
        }
    }
}

/// Digests over the capsules that no pack brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnCapsules {
    /// Over name, content, authority and signer of each: what `--trust=distro:<id>@<digest>` names.
    pub content: Digest,
    /// Over name and authority of each.
    pub authority: Digest,
}

/// A form of a signer in which no two signers are the same bytes.
fn signer_bytes(signer: &Signer) -> Vec<u8> {
    // The variants can't fail to serialise: they hold nothing but texts.
    serde_json::to_vec(signer).unwrap_or_default()
}

/// What a capsule may do, and what its manifest claims in vain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enforced {
    /// What the manifest grants and the bytes can use. The kernel enforces it.
    pub granted: AuthoritySet,
    /// What the manifest claims and the bytes can't use.
    #[serde(default, skip_serializing_if = "AuthoritySet::is_empty")]
    pub unused: AuthoritySet,
}

/// Says what artifacts may do. Asked only about artifacts that changed, or under a changed policy.
pub trait AuthorityOf {
    /// What the kernel enforces for a capsule.
    ///
    /// # Errors
    /// When it is not known.
    fn enforced(&self, capsule: &CapsuleName) -> Result<Enforced>;
    /// What a pack discloses. Nothing enforces it.
    ///
    /// # Errors
    /// When it is not known.
    fn disclosed(&self, pack: &PackId) -> Result<Vec<Permission>>;
}

/// The authority of a fleet, in memory; `authority.json` of a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorities {
    /// Of the capsules.
    #[serde(default)]
    pub enforced: BTreeMap<CapsuleName, Enforced>,
    /// Of the packs.
    #[serde(default)]
    pub disclosed: BTreeMap<PackId, Vec<Permission>>,
}

impl AuthorityOf for Authorities {
    fn enforced(&self, capsule: &CapsuleName) -> Result<Enforced> {
        self.enforced.get(capsule).cloned().ok_or_else(|| {
            crate::error::Error::corrupt(format!("the authority of capsule `{capsule}` is not recorded"))
        })
    }

    fn disclosed(&self, pack: &PackId) -> Result<Vec<Permission>> {
        self.disclosed.get(pack).cloned().ok_or_else(|| {
            crate::error::Error::corrupt(format!("the permissions of pack `{pack}` are not recorded"))
        })
    }
}

/// A configuration value, without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingFact {
    /// A text, by its digest under the home's key; without one while the home has no key.
    Text(Option<Digest>),
    /// A stored secret, by the digest of the text around it.
    StoredSecret(Digest),
    /// A secret that the apply will store.
    NewSecret(Digest),
    /// A value that somebody will be asked for.
    Unknown {
        /// It will be a secret.
        secret: bool,
    },
}

/// The configuration values of a fleet, without the values.
pub type SettingFacts = BTreeMap<(CapsuleName, EnvKey), SettingFact>;
