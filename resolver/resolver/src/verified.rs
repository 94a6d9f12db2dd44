//! The verified fleet: bytes in the store, hashes compared, policy satisfied. The only thing that
//! can be locked, planned and applied, and [`verify`] is the only way to one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::capsule::CapsuleManifest;
use astrid_manifest::component::EffectiveAuthority;
use astrid_manifest::lock::{Lock, LockedCapsule, LockedDistro, LockedPack, SCHEMA_VERSION};
use astrid_manifest::pack::PackManifest;
use astrid_manifest::policy::HomePolicy;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_store::stat_cache::StatCache;
use astrid_store::{Store, Tree};

use crate::artifact::{Artifact, CapsuleArtifact, PackArtifact};
use crate::context::Context;
use crate::declaration::{Declaration, LOCK};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::for_each;
use crate::first_seen::{FirstSeen, check_age};
use crate::graph::{Graph, Needs};
use crate::policy::EffectivePolicy;
use crate::resolution::{
    Chosen, LockMode, Resolution, Solved, Upgrade, in_mode, local_folder, solve_fully, taken_lock,
};
use crate::solve::Member;
use crate::source::{digest_now, is_complete};

/// How sure a run must be that local sources are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Every byte is read and hashed: for `apply`, `lock` and `verify`.
    Hash,
    /// Files whose size, times and inode did not change are taken for unchanged: for `plan`.
    StatCache,
}

/// What a verifier found out about who made some bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Who signed them.
    pub signer: Signer,
    /// What kind of statement was verified.
    pub predicate: Option<String>,
    /// The digest of the bundle that was verified.
    pub bundle: Option<Digest>,
}

/// Bytes whose maker is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What it is.
    pub subject: &'a Subject,
    /// Where it comes from, as declared.
    pub source: &'a astrid_manifest::source::Source,
    /// The digest of its tree.
    pub content: Digest,
    /// The digest of the archive that it came in.
    pub archive: Option<Digest>,
}

/// Finds out who made some bytes. A port: the provenance rules live behind it.
pub trait Verifier: Sync {
    /// Who made them.
    ///
    /// # Errors
    /// `Signature` when there is a signature and it is not right.
    fn verify(&self, evidence: &Evidence<'_>) -> Result<Provenance>;
}

/// Says of everything that nobody signed it. It never lets a signature pass for checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProvenance;

impl Verifier for NoProvenance {
    fn verify(&self, _: &Evidence<'_>) -> Result<Provenance> {
        Ok(Provenance::default())
    }
}

/// Manifests and authority of one capsule, read when they are asked for.
#[derive(Debug, Default)]
struct Slot {
    artifact: OnceLock<CapsuleArtifact>,
    authority: OnceLock<EffectiveAuthority>,
}

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
    warnings: Vec<String>,
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

    /// Who needs whom, and the order of loading; reads every manifest when it was not drawn yet.
    ///
    /// # Errors
    /// `Corrupt` when the store is; `Invalid` for a circle.
    pub fn graph(&self) -> Result<&Graph> {
        if self.0.graph.get().is_none() {
            let mut needs = Vec::new();
            for capsule in self.capsules() {
                let manifest = capsule.manifest()?;
                let entry = self.0.declaration.distro().capsule(capsule.locked.name.as_str());
                let imports = manifest.imports.iter();
                needs.push(Needs {
                    name: capsule.locked.name.clone(),
                    imports: imports
                        .map(|(interface, import)| {
                            (interface.clone(), import.requirement.clone(), import.optional)
                        })
                        .collect(),
                    exports: manifest.exports.clone(),
                    depends_on: entry
                        .map(|entry| {
                            let line = entry.at.line as usize;
                            entry.depends_on.iter().map(|name| (name.clone(), line)).collect()
                        })
                        .unwrap_or_default(),
                    uplink: manifest.granted.uplink,
                });
            }
            let outer = self.outer_edges()?;
            let _ = self.0.graph.set(Graph::build(&needs, outer)?);
        }
        self.0.graph.get().ok_or_else(|| Error::failed("the graph of the fleet was not drawn"))
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
        Ok(self.fleet.store.tree(&self.locked.content)?)
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
        Ok(self.fleet.store.tree(&self.locked.content)?)
    }
}

/// Brings every byte into the store, compares all that is claimed about them, and asks who made them.
///
/// Nothing is written beside the declaration: that is [`VerifiedFleet::write_lock`].
///
/// # Errors
/// `Corrupt` when bytes are not what a lock or index says; `Signature` from the verifier; `Policy`
/// for a ceiling or a minimum age; `Invalid` for artifacts; `NeedsNetwork` and `Failed` from sources.
pub fn verify(
    context: &Context,
    mut resolution: Resolution,
    verifier: &dyn Verifier,
    freshness: Freshness,
) -> Result<VerifiedFleet> {
    let context = &in_mode(context, resolution.request.mode);
    if freshness == Freshness::StatCache
        && let Some(lock) = taken_lock(&resolution)
        && is_unchanged(context, &resolution.declaration, lock)?
    {
        let lock = with_origin(lock.clone(), &resolution.declaration);
        return Ok(fleet(context, &resolution, lock, BTreeMap::new(), BTreeMap::new(), None));
    }
    let was_fresh = resolution.solved.is_none();
    if was_fresh {
        solve_fully(context, &mut resolution)?;
    }
    let Some(solved) = resolution.solved.take() else {
        return Err(Error::failed("resolution gave no versions"));
    };
    let policy = effective_policy(context, &resolution.declaration)?;
    let checked = check_members(context, &solved, verifier)?;
    let lock = write_entries(&resolution, &solved, &checked)?;
    compare_with_known(&resolution, &lock, was_fresh)?;
    check_policy(context, &resolution, &solved, &checked, &policy)?;
    for (name, one) in &checked.capsules {
        for import in &one.authority.ungranted_imports {
            let text = format!(
                "capsule `{name}` can call `{}`, and its manifest grants nothing for it: every such call will be denied",
                import.interface
            );
            if policy.refuses_ungranted_imports() {
                return Err(Error::new(ErrorKind::Policy, text)
                    .hint("`ungranted-imports = \"error\"` of the policy refuses it"));
            }
            resolution.notes.push(text);
        }
    }
    resolution.notes.extend(checked.warnings);
    resolution.notes.extend(policy.without_effect().iter().cloned());
    let graph = solved.graph.clone();
    Ok(fleet(context, &resolution, lock, checked.capsules, checked.packs, Some(graph)))
}

/// Whether everything that a lock pins is here, and local sources still look as they did.
fn is_unchanged(context: &Context, declaration: &Declaration, lock: &Lock) -> Result<bool> {
    let path = context.home.stat_cache();
    let mut cache = StatCache::load(&path);
    let now = SystemTime::from(context.clock.now());
    let store = &context.store;
    let mut unchanged = true;
    let capsules = lock
        .capsules
        .iter()
        .map(|locked| (&locked.source, locked.content, locked.component, false, locked.pack.is_some()));
    let packs = lock.packs.iter().map(|locked| (&locked.source, locked.content, None, true, false));
    for (source, content, component, is_pack, is_inner) in capsules.chain(packs) {
        let tree = match store.tree(&content) {
            Ok(tree) => tree,
            Err(error) if error.kind() == astrid_store::ErrorKind::Missing => {
                unchanged = false;
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if is_inner {
            continue;
        }
        match local_folder(declaration, source) {
            Some(folder) => {
                if !folder.is_dir()
                    || digest_now(&folder, &tree, component, is_pack, &mut cache, now)? != content
                {
                    unchanged = false;
                    break;
                }
            }
            // The bytes of an archive file are cheap to hash, and nothing remembers them.
            None if matches!(source, astrid_manifest::source::Source::Archive(_)) => {
                unchanged = false;
                break;
            }
            None => {
                if !is_complete(store, &tree) {
                    unchanged = false;
                    break;
                }
            }
        }
    }
    // The cache only saves time: when it can't be written, the next run is slower.
    if context.home.var().is_dir() {
        let _ = cache.save(store.disk(), &path);
    }
    Ok(unchanged)
}

fn effective_policy(context: &Context, declaration: &Declaration) -> Result<EffectivePolicy> {
    let path = context.home.policy();
    let home = match std::fs::read_to_string(&path) {
        Ok(text) => HomePolicy::parse("etc/policy.toml", &text)?.value,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => HomePolicy::default(),
        Err(error) => return Err(Error::failed("etc/policy.toml of the home can't be read").caused_by(error)),
    };
    Ok(EffectivePolicy::combine(&home.policy, &declaration.distro().policy))
}

struct CheckedCapsule {
    artifact: CapsuleArtifact,
    authority: EffectiveAuthority,
}

#[derive(Default)]
struct Checked {
    capsules: BTreeMap<CapsuleName, CheckedCapsule>,
    packs: BTreeMap<PackId, PackArtifact>,
    provenance: BTreeMap<Member, Provenance>,
    warnings: Vec<String>,
}

/// Works out the authority of everything from its bytes, and asks who made it.
fn check_members(context: &Context, solved: &Solved, verifier: &dyn Verifier) -> Result<Checked> {
    let members: Vec<(&Member, &Chosen)> = solved.members.iter().collect();
    let results = for_each(context.jobs, &members, |(member, chosen)| {
        let found = &chosen.found;
        compare_with_line(member, chosen)?;
        let subject = Subject::from((*member).clone());
        let provenance = verifier.verify(&Evidence {
            subject: &subject,
            source: &chosen.source,
            content: found.artifact.content(),
            archive: found.archive,
        })?;
        let parts: Vec<&CapsuleArtifact> = match &found.artifact {
            Artifact::Capsule(capsule) => vec![capsule],
            Artifact::Pack(pack) => pack
                .capsules
                .values()
                .filter(|capsule| {
                    let name = &capsule.manifest.package.name;
                    chosen.capsules.as_ref().is_none_or(|names| names.contains(name))
                })
                .collect(),
        };
        let parts = parts
            .into_iter()
            .map(|artifact| Ok((artifact.clone(), artifact.authority(&context.store)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok((provenance, parts))
    })?;
    let mut checked = Checked::default();
    for ((member, chosen), (provenance, parts)) in members.into_iter().zip(results) {
        checked.provenance.insert(member.clone(), provenance);
        for (artifact, authority) in parts {
            checked.warnings.extend(artifact.warnings.iter().cloned());
            let name = artifact.manifest.package.name.clone();
            checked.capsules.insert(name, CheckedCapsule { artifact, authority });
        }
        if let (Member::Pack(id), Artifact::Pack(pack)) = (member, &chosen.found.artifact) {
            checked.packs.insert(id.clone(), pack.clone());
        }
    }
    Ok(checked)
}

/// Compares the claims of an index with the bytes.
fn compare_with_line(member: &Member, chosen: &Chosen) -> Result<()> {
    let (Some(line), Artifact::Capsule(capsule)) = (&chosen.found.line, &chosen.found.artifact) else {
        return Ok(());
    };
    let exports_differ = !line.exports.is_empty() && line.exports != capsule.manifest.exports;
    let imports = line.imports();
    let imports_differ = !imports.is_empty()
        && (imports.len() != capsule.manifest.imports.len()
            || imports.iter().any(|claim| {
                capsule.manifest.imports.get(&claim.interface).is_none_or(|import| {
                    import.requirement != claim.requirement || import.optional != claim.optional
                })
            }));
    if exports_differ || imports_differ {
        let what = if exports_differ { "exports" } else { "imports" };
        return Err(Error::corrupt(format!(
            "the index says other {what} of {} than its manifest",
            member.words()
        ))
        .hint("ask who publishes the index"));
    }
    Ok(())
}

/// The lock of what was chosen, every field computed from the bytes.
fn write_entries(resolution: &Resolution, solved: &Solved, checked: &Checked) -> Result<Lock> {
    let declaration = &resolution.declaration;
    let mut capsules = Vec::new();
    let mut packs = Vec::new();
    for (member, chosen) in &solved.members {
        let provenance = checked.provenance.get(member).cloned().unwrap_or_default();
        let found = &chosen.found;
        let index_claim = found.line.as_ref().and_then(|line| line.authority);
        let entry = |artifact: &CapsuleArtifact, pack: Option<&PackId>| -> Result<LockedCapsule> {
            let name = artifact.manifest.package.name.clone();
            let authority = checked
                .capsules
                .get(&name)
                .map(|one| one.authority.granted.digest())
                .ok_or_else(|| Error::failed(format!("capsule `{name}` was not looked at")))?;
            Ok(LockedCapsule {
                name,
                requirement: if pack.is_none() { chosen.requirement.clone() } else { None },
                version: artifact.manifest.package.version.clone(),
                source: chosen.source.clone(),
                resolved_ref: if chosen.source.is_path() { None } else { found.resolved.clone() },
                pack: pack.cloned(),
                archive: if pack.is_none() { found.archive } else { None },
                content: artifact.content,
                component: artifact.component,
                manifest: artifact.manifest_digest,
                wit: artifact.wit,
                authority,
                tools: artifact.tools,
                signer: provenance.signer.clone(),
                provenance: provenance.predicate.clone(),
                bundle: if pack.is_none() { provenance.bundle } else { None },
                at: astrid_manifest::diagnostic::Position::default(),
            })
        };
        match (&found.artifact, member) {
            (Artifact::Capsule(artifact), _) => {
                let entry = entry(artifact, None)?;
                if index_claim.is_some_and(|claim| claim != entry.authority) {
                    return Err(Error::corrupt(format!(
                        "the index says another authority of {} than its bytes",
                        member.words()
                    ))
                    .hint("ask who publishes the index"));
                }
                capsules.push(entry);
            }
            (Artifact::Pack(pack), Member::Pack(id)) => {
                let mut authorities = BTreeMap::new();
                for artifact in pack.capsules.values() {
                    let name = &artifact.manifest.package.name;
                    if chosen.capsules.as_ref().is_none_or(|names| names.contains(name)) {
                        let entry = entry(artifact, Some(id))?;
                        authorities.insert(name.clone(), entry.authority);
                        capsules.push(entry);
                    }
                }
                packs.push(LockedPack {
                    id: id.clone(),
                    requirement: chosen.requirement.clone(),
                    version: pack.manifest.version.clone(),
                    source: chosen.source.clone(),
                    commit: if chosen.source.is_path() { None } else { found.resolved.clone() },
                    archive: found.archive,
                    content: pack.content,
                    permissions: pack.manifest.permissions_digest(),
                    authority: pack.authority_digest(&authorities),
                    signer: provenance.signer,
                    provenance: provenance.predicate,
                    bundle: provenance.bundle,
                    at: astrid_manifest::diagnostic::Position::default(),
                });
            }
            (Artifact::Pack(_), Member::Capsule(_)) => {
                return Err(Error::failed(format!("{} is a pack", member.words())));
            }
        }
    }
    let header = &declaration.distro().header;
    let mut lock = Lock {
        schema_version: SCHEMA_VERSION,
        must_understand: Lock::default_must_understand(),
        manifest_hash: declaration.manifest_hash(),
        distro: LockedDistro {
            id: header.id.clone(),
            version: header.version.clone(),
            source: None,
            commit: None,
        },
        selection: resolution.selection.clone(),
        capsules,
        packs,
    };
    lock.sort();
    Ok(with_origin(lock, declaration))
}

fn with_origin(mut lock: Lock, declaration: &Declaration) -> Lock {
    lock.distro.source = declaration.origin().source();
    lock.distro.commit = declaration.origin().commit().map(str::to_owned);
    lock
}

/// Compares what the bytes say with what the lock beside the declaration says.
///
/// A locked run may differ in nothing. Another one may differ in what it was asked to upgrade, in
/// new versions, and in local sources, which people edit; a version that a server gave is what it
/// was, whatever the server says now.
fn compare_with_known(resolution: &Resolution, lock: &Lock, was_fresh: bool) -> Result<()> {
    let Some(known) = resolution.declaration.lock() else { return Ok(()) };
    let strict = resolution.request.mode != LockMode::Normal;
    let upgrade = &resolution.request.upgrade;
    let describe = |member: &Member, what: &str, found: &str, said: &str| {
        Error::corrupt(format!("the {what} of {} is {found}, and Distro.lock says {said}", member.words()))
            .hint("if the change is wanted, run `astrid lock` (for a moved tag: `--upgrade NAME`) and review it")
    };
    let claims = |archive: &Option<Digest>, rest: [(&'static str, Option<Digest>); 6]| {
        let mut all = vec![("archive", *archive)];
        all.extend(rest);
        all
    };
    for found in &lock.capsules {
        let Some(said) = known.capsule(found.name.as_str()) else { continue };
        let member = Member::Capsule(found.name.clone());
        let owner = found.pack.clone().map_or_else(|| member.clone(), Member::Pack);
        let same_version =
            said.version == found.version && said.source == found.source && said.pack == found.pack;
        let may_differ = found.source.is_path() || upgrade.includes(&owner) || !same_version;
        if may_differ && !(strict && was_fresh) {
            continue;
        }
        if said.version != found.version {
            return Err(describe(&member, "version", &found.version.to_string(), &said.version.to_string()));
        }
        let list = |one: &LockedCapsule| {
            claims(
                &one.archive,
                [
                    ("content", Some(one.content)),
                    ("component", one.component),
                    ("manifest", Some(one.manifest)),
                    ("wit", one.wit),
                    ("authority", Some(one.authority)),
                    ("tools", one.tools),
                ],
            )
        };
        first_difference(&member, &list(found), &list(said), &describe)?;
        if found.signer != said.signer {
            return Err(signer_differs(&member, &found.signer, &said.signer));
        }
    }
    for found in &lock.packs {
        let Some(said) = known.pack(found.id.as_str()) else { continue };
        let member = Member::Pack(found.id.clone());
        let same_version = said.version == found.version && said.source == found.source;
        let may_differ = found.source.is_path() || upgrade.includes(&member) || !same_version;
        if may_differ && !(strict && was_fresh) {
            continue;
        }
        if said.version != found.version {
            return Err(describe(&member, "version", &found.version, &said.version));
        }
        let list = |one: &LockedPack| {
            claims(
                &one.archive,
                [
                    ("content", Some(one.content)),
                    ("permissions", Some(one.permissions)),
                    ("authority", Some(one.authority)),
                    ("bundle", one.bundle),
                    ("", None),
                    ("", None),
                ],
            )
        };
        first_difference(&member, &list(found), &list(said), &describe)?;
        if found.signer != said.signer {
            return Err(signer_differs(&member, &found.signer, &said.signer));
        }
    }
    if strict && (known.capsules.len() != lock.capsules.len() || known.packs.len() != lock.packs.len()) {
        return Err(Error::new(ErrorKind::StaleLock, "Distro.lock has other entries than the artifacts")
            .hint("run `astrid lock`, review the difference, and commit Distro.lock"));
    }
    Ok(())
}

type Claims = [(&'static str, Option<Digest>)];

fn first_difference(
    member: &Member,
    found: &Claims,
    said: &Claims,
    describe: &dyn Fn(&Member, &str, &str, &str) -> Error,
) -> Result<()> {
    let words =
        |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    for ((what, found), (_, said)) in found.iter().zip(said) {
        if found != said {
            return Err(describe(member, what, &words(*found), &words(*said)));
        }
    }
    Ok(())
}

fn signer_differs(member: &Member, found: &Signer, said: &Signer) -> Error {
    Error::new(
        ErrorKind::Signature,
        format!("{} is signed by {found}, and Distro.lock says {said}", member.words()),
    )
    .hint("if the change is wanted, run `astrid lock --upgrade` and review it")
}

/// Ceiling and minimum age.
fn check_policy(
    context: &Context,
    resolution: &Resolution,
    solved: &Solved,
    checked: &Checked,
    policy: &EffectivePolicy,
) -> Result<()> {
    let mut broken = Vec::new();
    for (name, one) in &checked.capsules {
        for violation in policy.violations(&one.authority.granted) {
            broken.push(format!("capsule `{name}`: {violation}"));
        }
    }
    for (id, pack) in &checked.packs {
        for violation in policy.violations(&pack.manifest.authority()) {
            broken.push(format!("pack `{id}`: {violation}"));
        }
    }
    if !broken.is_empty() {
        return Err(Error::new(ErrorKind::Policy, "the policy forbids what the fleet would be granted")
            .because(broken)
            .hint("drop what exceeds it, or change `[policy.authority]`; nothing is trimmed silently"));
    }
    let Some(min_age) = policy.min_age() else { return Ok(()) };
    let known = resolution.declaration.lock();
    let now = context.clock.now();
    let mut seen = FirstSeen::load(context);
    let mut young = None;
    for (member, chosen) in &solved.members {
        if chosen.source.is_path() {
            continue;
        }
        let content = chosen.found.artifact.content();
        let first = seen.see(content, now);
        let is_locked = known.is_some_and(|known| match member {
            Member::Capsule(name) => known.capsule(name.as_str()).is_some_and(|one| one.content == content),
            Member::Pack(id) => known.pack(id.as_str()).is_some_and(|one| one.content == content),
        });
        if !is_locked && let Err(error) = check_age(member, first, min_age, now) {
            young = young.or(Some(error));
        }
    }
    seen.save(context)?;
    young.map_or(Ok(()), Err)
}

fn fleet(
    context: &Context,
    resolution: &Resolution,
    lock: Lock,
    mut capsules: BTreeMap<CapsuleName, CheckedCapsule>,
    mut packs: BTreeMap<PackId, PackArtifact>,
    graph: Option<Graph>,
) -> VerifiedFleet {
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
    verifier: &dyn Verifier,
    freshness: Freshness,
) -> Result<VerifiedFleet> {
    verify(context, crate::resolution::resolve(context, declaration, request)?, verifier, freshness)
}

/// Brings everything that a declaration needs into the home, so that later runs can be offline.
///
/// # Errors
/// As [`verified`].
pub fn fetch(context: &Context, declaration: &Declaration, mode: LockMode) -> Result<VerifiedFleet> {
    let request =
        crate::resolution::Request { upgrade: Upgrade::None, mode, ..crate::resolution::Request::default() };
    verified(context, declaration, &request, &NoProvenance, Freshness::Hash)
}
