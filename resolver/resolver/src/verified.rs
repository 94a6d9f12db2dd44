//! The verified fleet: bytes in the store, hashes compared, policy satisfied. The only thing that
//! can be locked, planned and applied, and [`verify`] is the only way to one.

mod check;
mod claims;
mod judgement;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::capsule::CapsuleManifest;
use astrid_manifest::component::EffectiveAuthority;
use astrid_manifest::lock::{Lock, LockedCapsule, LockedPack};
use astrid_manifest::pack::PackManifest;
use astrid_store::{Store, Tree};

use check::Found;
pub use check::verify;
pub(crate) use check::{refuse_ungranted, ungranted};
pub(crate) use claims::{compare_capsule, compare_pack};
pub use judgement::{Judgement, judgements};

use crate::artifact::{CapsuleArtifact, PackArtifact};
use crate::context::Context;
use crate::declaration::{Declaration, LOCK};
use crate::error::{Error, Result};
use crate::gate::DistroProof;
use crate::graph::{Graph, Needs};
use crate::resolution::{LockMode, Resolution, Upgrade};

/// How sure a run must be that local sources are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Every byte is read and hashed: for `apply`, `lock` and `verify`.
    Hash,
    /// Files whose size, times and inode did not change are taken for unchanged: for `plan`.
    StatCache,
}

/// Manifests and authority of one capsule, read when they are asked for.
#[derive(Debug, Default)]
struct Slot {
    artifact: OnceLock<CapsuleArtifact>,
    authority: OnceLock<EffectiveAuthority>,
}

/// Listings that were read, by the digest that is theirs.
pub(crate) type Listings = HashMap<Digest, Tree>;

/// A fleet whose bytes are in the store and are what its lock says. Cheap to clone.
#[derive(Debug, Clone)]
pub struct VerifiedFleet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    declaration: Declaration,
    lock: Lock,
    capsules: BTreeMap<CapsuleName, Slot>,
    packs: BTreeMap<PackId, OnceLock<PackArtifact>>,
    graph: OnceLock<Graph>,
    listings: Listings,
    proof: DistroProof,
    warnings: Vec<String>,
}

impl Inner {
    fn tree(&self, content: &Digest) -> Result<Tree> {
        match self.listings.get(content) {
            Some(tree) => Ok(tree.clone()),
            None => Ok(self.store.tree(content)?),
        }
    }
}

/// A capsule of a verified fleet.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedCapsule<'a> {
    fleet: &'a Inner,
    locked: &'a LockedCapsule,
}

/// A pack of a verified fleet.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedPack<'a> {
    fleet: &'a Inner,
    locked: &'a LockedPack,
}

impl VerifiedFleet {
    /// What the fleet is pinned to.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.0.lock
    }

    /// What it was resolved from.
    #[must_use]
    pub fn declaration(&self) -> &Declaration {
        &self.0.declaration
    }

    /// Who signed the declaration and its lock, as it was verified.
    #[must_use]
    pub fn proof(&self) -> &DistroProof {
        &self.0.proof
    }

    /// The store that holds its bytes.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The capsules by name, those of packs among them.
    pub fn capsules(&self) -> impl Iterator<Item = VerifiedCapsule<'_>> {
        self.0.lock.capsules.iter().map(|locked| VerifiedCapsule { fleet: &self.0, locked })
    }

    /// The capsule of that name.
    #[must_use]
    pub fn capsule(&self, name: &CapsuleName) -> Option<VerifiedCapsule<'_>> {
        let locked = self.0.lock.capsule(name.as_str())?;
        Some(VerifiedCapsule { fleet: &self.0, locked })
    }

    /// The packs by id.
    pub fn packs(&self) -> impl Iterator<Item = VerifiedPack<'_>> {
        self.0.lock.packs.iter().map(|locked| VerifiedPack { fleet: &self.0, locked })
    }

    /// The pack of that id.
    #[must_use]
    pub fn pack(&self, id: &PackId) -> Option<VerifiedPack<'_>> {
        let locked = self.0.lock.pack(id.as_str())?;
        Some(VerifiedPack { fleet: &self.0, locked })
    }

    /// What people should know: notes of resolution and of manifests' parsers.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The listings that were read to see that nothing changed.
    pub(crate) fn listings(&self) -> &Listings {
        &self.0.listings
    }

    /// Who needs whom, and the order of loading; reads every manifest when it was not drawn yet.
    ///
    /// # Errors
    /// `Corrupt` when the store is; `Invalid` for a circle.
    pub fn graph(&self) -> Result<&Graph> {
        if self.0.graph.get().is_none() {
            let mut needs = Vec::new();
            for capsule in self.capsules() {
                let manifest = capsule.manifest()?;
                let distro = self.0.declaration.distro();
                let before = match &capsule.locked.pack {
                    None => distro
                        .capsule(capsule.locked.name.as_str())
                        .map(|entry| (&entry.depends_on, entry.at.line)),
                    Some(id) => distro.pack(id.as_str()).map(|entry| (&entry.depends_on, entry.at.line)),
                };
                let imports = manifest.imports.iter();
                needs.push(Needs {
                    name: capsule.locked.name.clone(),
                    imports: imports
                        .map(|(interface, import)| {
                            (interface.clone(), import.requirement.clone(), import.optional)
                        })
                        .collect(),
                    exports: manifest.exports.clone(),
                    depends_on: before
                        .map(|(names, line)| names.iter().map(|name| (name.clone(), line as usize)).collect())
                        .unwrap_or_default(),
                    uplink: manifest.granted.uplink,
                });
            }
            let outer = self.outer_edges()?;
            let _ = self.0.graph.set(Graph::build(&needs, outer)?);
        }
        self.0.graph.get().ok_or_else(|| Error::failed("the graph of the fleet was not drawn"))
    }

    /// Refuses a fleet in which nobody provides what a capsule can't do without.
    ///
    /// # Errors
    /// `Invalid` when something is missing; else as [`VerifiedFleet::graph`].
    pub fn check_imports(&self) -> Result<()> {
        let graph = self.graph()?;
        for capsule in self.capsules() {
            for (interface, import) in &capsule.manifest()?.imports {
                if !import.optional && graph.providers(interface, &import.requirement).is_empty() {
                    return Err(Error::invalid(format!(
                        "capsule `{}` needs `{interface} {}`, and nothing in the fleet exports it",
                        capsule.locked.name, import.requirement
                    ))
                    .hint("keep who exports it, or drop the capsule as well"));
                }
            }
        }
        Ok(())
    }

    fn outer_edges(&self) -> Result<Vec<crate::graph::Edge>> {
        use crate::graph::{Edge, Node, Reason};
        let distro = self.0.declaration.distro();
        let requirement = |requirement: Option<&astrid_manifest::version::Requirement>| {
            requirement.map_or_else(|| "*".to_owned(), |one| one.as_req().to_string())
        };
        let mut edges = Vec::new();
        for locked in &self.0.lock.capsules {
            let node = Node::Capsule(locked.name.clone());
            if let Some(pack) = &locked.pack {
                edges.push(Edge { from: Node::Pack(pack.clone()), to: node, reason: Reason::Holds });
            } else if let Some(entry) = distro.capsule(locked.name.as_str()) {
                let reason = Reason::Declared {
                    requirement: requirement(entry.version.as_ref()),
                    line: entry.at.line as usize,
                };
                edges.push(Edge { from: Node::Distro, to: node, reason });
            }
        }
        for pack in self.packs() {
            let node = Node::Pack(pack.locked.id.clone());
            if let Some(entry) = distro.pack(pack.locked.id.as_str()) {
                let reason = Reason::Declared {
                    requirement: requirement(entry.version.as_ref()),
                    line: entry.at.line as usize,
                };
                edges.push(Edge { from: Node::Distro, to: node.clone(), reason });
            }
            for needed in &pack.manifest()?.dependencies.packs {
                let reason = Reason::NeedsPack { requirement: requirement(needed.requirement.as_ref()) };
                edges.push(Edge { from: node.clone(), to: Node::Pack(needed.id.clone()), reason });
            }
        }
        Ok(edges)
    }

    /// Writes `Distro.lock` beside the declaration, when its text differs; says whether it did.
    ///
    /// # Errors
    /// `Failed` when the declaration is not in a folder of this machine, or can't be written.
    pub fn write_lock(&self) -> Result<bool> {
        let path = self.lock_path()?;
        let text = self.0.lock.to_toml();
        if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        self.0.store.disk().write_atomic(&path, text.as_bytes(), 0o644)?;
        Ok(true)
    }

    /// Where [`VerifiedFleet::write_lock`] writes.
    ///
    /// # Errors
    /// `Failed` when the declaration is not in a folder of this machine.
    pub fn lock_path(&self) -> Result<PathBuf> {
        let folder = self.0.declaration.folder().ok_or_else(|| {
            Error::failed("a distro that was fetched has no folder to write a lock into")
                .hint("clone the repository, and run `astrid lock` there")
        })?;
        Ok(folder.join(LOCK))
    }
}

impl<'a> VerifiedCapsule<'a> {
    /// What the lock says of it.
    #[must_use]
    pub fn locked(&self) -> &'a LockedCapsule {
        self.locked
    }

    /// What it says about itself, read from the store the first time.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn manifest(&self) -> Result<&'a CapsuleManifest> {
        Ok(&self.artifact()?.manifest)
    }

    /// The manifest with the digests of its parts.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn artifact(&self) -> Result<&'a CapsuleArtifact> {
        let slot = self.slot()?;
        if slot.artifact.get().is_none() {
            let artifact =
                CapsuleArtifact::read(&self.fleet.store, &self.tree()?, self.locked.name.as_str())?;
            claims::compare_capsule(self.locked, &artifact)?;
            let _ = slot.artifact.set(artifact);
        }
        slot.artifact.get().ok_or_else(|| Error::failed("a manifest was not kept"))
    }

    /// What it may really do, worked out from manifest and bytes the first time.
    ///
    /// # Errors
    /// `Corrupt` when the store is, or when the authority is not what the lock says.
    pub fn authority(&self) -> Result<&'a EffectiveAuthority> {
        let slot = self.slot()?;
        if slot.authority.get().is_none() {
            let authority = self.artifact()?.authority(&self.fleet.store)?;
            let found = authority.granted.digest();
            if found != self.locked.authority {
                return Err(Error::corrupt(format!(
                    "the authority of capsule `{}` is {found}, and the lock says {}",
                    self.locked.name, self.locked.authority
                ))
                .hint("the lock was changed by hand: restore it, or run `astrid lock`"));
            }
            let _ = slot.authority.set(authority);
        }
        slot.authority.get().ok_or_else(|| Error::failed("an authority was not kept"))
    }

    /// The listing of its files.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn tree(&self) -> Result<Tree> {
        self.fleet.tree(&self.locked.content)
    }

    fn slot(&self) -> Result<&'a Slot> {
        self.fleet
            .capsules
            .get(&self.locked.name)
            .ok_or_else(|| Error::failed(format!("capsule `{}` is not in the fleet", self.locked.name)))
    }
}

impl<'a> VerifiedPack<'a> {
    /// What the lock says of it.
    #[must_use]
    pub fn locked(&self) -> &'a LockedPack {
        self.locked
    }

    /// What it says about itself, read from the store the first time.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn manifest(&self) -> Result<&'a PackManifest> {
        Ok(&self.artifact()?.manifest)
    }

    /// The manifest with those of its capsules.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn artifact(&self) -> Result<&'a PackArtifact> {
        let slot = self
            .fleet
            .packs
            .get(&self.locked.id)
            .ok_or_else(|| Error::failed(format!("pack `{}` is not in the fleet", self.locked.id)))?;
        if slot.get().is_none() {
            let batch = self.fleet.store.batch();
            let artifact = PackArtifact::read(&batch, &self.tree()?, self.locked.id.as_str())?;
            batch.finish()?;
            claims::compare_pack(self.locked, &artifact, &self.fleet.lock)?;
            let _ = slot.set(artifact);
        }
        slot.get().ok_or_else(|| Error::failed("a manifest was not kept"))
    }

    /// What it discloses. Nothing enforces it.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn authority(&self) -> Result<astrid_authority::AuthoritySet> {
        Ok(self.manifest()?.authority())
    }

    /// Its capsules that run.
    pub fn capsules(&self) -> impl Iterator<Item = VerifiedCapsule<'a>> {
        let (fleet, id) = (self.fleet, &self.locked.id);
        fleet
            .lock
            .capsules
            .iter()
            .filter(move |locked| locked.pack.as_ref() == Some(id))
            .map(move |locked| VerifiedCapsule { fleet, locked })
    }

    /// The listing of its files.
    ///
    /// # Errors
    /// `Corrupt` when the store is.
    pub fn tree(&self) -> Result<Tree> {
        self.fleet.tree(&self.locked.content)
    }
}

fn fleet(context: &Context, resolution: &Resolution, lock: Lock, found: Found) -> VerifiedFleet {
    let Found { mut capsules, mut packs, graph, listings, proof } = found;
    let slots = lock
        .capsules
        .iter()
        .map(|locked| {
            let slot = Slot::default();
            if let Some(one) = capsules.remove(&locked.name) {
                let _ = slot.artifact.set(one.artifact);
                let _ = slot.authority.set(one.authority);
            }
            (locked.name.clone(), slot)
        })
        .collect();
    let pack_slots = lock
        .packs
        .iter()
        .map(|locked| {
            let slot = OnceLock::new();
            if let Some(pack) = packs.remove(&locked.id) {
                let _ = slot.set(pack);
            }
            (locked.id.clone(), slot)
        })
        .collect();
    let drawn = OnceLock::new();
    if let Some(graph) = graph {
        let _ = drawn.set(graph);
    }
    let mut warnings: Vec<String> =
        resolution.declaration.warnings().iter().map(ToString::to_string).collect();
    warnings.extend(resolution.notes.iter().cloned());
    let mut unique = std::collections::BTreeSet::new();
    warnings.retain(|warning| unique.insert(warning.clone()));
    VerifiedFleet(Arc::new(Inner {
        store: context.store.clone(),
        declaration: resolution.declaration.clone(),
        lock,
        capsules: slots,
        packs: pack_slots,
        graph: drawn,
        listings,
        proof,
        warnings,
    }))
}

/// Resolves and verifies in one step.
///
/// # Errors
/// As [`crate::resolution::resolve`] and [`verify`].
pub fn verified(
    context: &Context,
    declaration: &Declaration,
    request: &crate::resolution::Request,
    freshness: Freshness,
) -> Result<VerifiedFleet> {
    verify(context, crate::resolution::resolve(context, declaration, request)?, freshness)
}

/// Brings everything that a declaration needs into the home, so that later runs can be offline.
///
/// # Errors
/// As [`verified`].
pub fn fetch(context: &Context, declaration: &Declaration, mode: LockMode) -> Result<VerifiedFleet> {
    let request =
        crate::resolution::Request { upgrade: Upgrade::None, mode, ..crate::resolution::Request::default() };
    verified(context, declaration, &request, Freshness::Hash)
}
