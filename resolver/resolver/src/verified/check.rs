//! From a resolution to a verified fleet: everything that is claimed is worked out from the bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use astrid_authority::{CapsuleName, Digest, PackId};
use astrid_manifest::component::EffectiveAuthority;
use astrid_manifest::diagnostic::Position;
use astrid_manifest::lock::{Lock, LockedCapsule, LockedDistro, LockedPack, SCHEMA_VERSION};
use astrid_manifest::signer::Signer;
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;
use astrid_store::stat_cache::StatCache;
use astrid_store::{Store, Tree};

use super::claims::{compare_bytes, compare_with_known, compare_with_line};
use super::{Freshness, Listings, VerifiedFleet, fleet};
use crate::artifact::{Artifact, CapsuleArtifact, PackArtifact};
use crate::brought::{Brought, Place};
use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{for_each, threads_for};
use crate::first_seen::{FirstSeen, check_age};
use crate::gate::{DistroProof, Evidence, Gate, Provenance};
use crate::graph::Graph;
use crate::policy::EffectivePolicy;
use crate::proposal::HomeTrust;
use crate::resolution::{Chosen, Resolution, Solved, in_mode, local_folder, solve_fully, taken_lock};
use crate::solve::Member;
use crate::source::{digest_now, is_complete};

/// Brings every byte into the store, compares all that is claimed about them, and asks who made them.
///
/// Nothing is written beside the declaration: that is [`VerifiedFleet::write_lock`].
///
/// # Errors
/// `Corrupt` when bytes are not what a lock or index says; `Signature` when who made something is not known, or may
/// not have; `Policy` for a ceiling or a minimum age; `Invalid` for artifacts; `NeedsNetwork` and `Failed` from sources.
pub fn verify(context: &Context, mut resolution: Resolution, freshness: Freshness) -> Result<VerifiedFleet> {
    let context = &in_mode(context, resolution.request.mode);
    let trust = HomeTrust::read(context)?;
    let (policy, mut proof) = trust.judge(context, &resolution.declaration)?;
    let gate = Gate::open(context, &policy, trust.policy.trusted_root);
    if freshness == Freshness::StatCache
        && let Some(lock) = taken_lock(&resolution)
        && let Some(listings) = unchanged(context, &resolution.declaration, lock)?
        && is_proved(&gate, lock)?
    {
        let lock = with_origin(lock.clone(), &resolution.declaration);
        resolution.notes.extend(proof.notes.iter().cloned());
        resolution.notes.extend(gate.notes());
        gate.save();
        return Ok(fleet(context, &resolution, lock, Found { listings, proof, ..Found::default() }));
    }
    let was_fresh = resolution.solved.is_none();
    if was_fresh {
        solve_fully(context, &mut resolution)?;
    }
    let Some(solved) = resolution.solved.take() else {
        return Err(Error::failed("resolution gave no versions"));
    };
    for (member, chosen) in &solved.members {
        compare_bytes(&resolution, member, chosen)?;
    }
    let checked = check_members(context, &solved, &gate, vouched(&resolution.declaration, &proof))?;
    gate.save();
    let lock = write_entries(&resolution, &solved, &checked)?;
    compare_with_known(&resolution, &lock, was_fresh)?;
    check_signed_lock(&gate, &resolution.declaration, &lock, &mut proof)?;
    check_policy(context, &resolution, &solved, &checked, &policy)?;
    for (name, one) in &checked.capsules {
        for text in ungranted(name, &one.authority) {
            if policy.refuses_ungranted_imports() {
                return Err(refuse_ungranted(text));
            }
            resolution.notes.push(text);
        }
    }
    resolution.notes.extend(checked.warnings);
    resolution.notes.extend(policy.without_effect().iter().cloned());
    resolution.notes.extend(proof.notes.iter().cloned());
    resolution.notes.extend(gate.notes());
    let found = Found {
        proof,
        capsules: checked.capsules,
        packs: checked.packs,
        graph: Some(solved.graph),
        listings: Listings::default(),
    };
    Ok(fleet(context, &resolution, lock, found))
}

/// In a folder that people edit, a signature is of the lock that was there. When another one is about to take its
/// place, what is applied is not what was signed.
fn check_signed_lock(
    gate: &Gate<'_>,
    declaration: &Declaration,
    lock: &Lock,
    proof: &mut DistroProof,
) -> Result<()> {
    let is_edited = !declaration.origin().is_fetched() && declaration.bundle().is_none();
    if proof.signer.is_unsigned() || !is_edited || declaration.lock_text() == Some(&*lock.to_toml()) {
        return Ok(());
    }
    gate.without_signature(declaration, proof)
}

/// Who vouches for every byte of a bundle of version 1: its lock, which is signed, has the digest of each archive.
fn vouched<'a>(declaration: &Declaration, proof: &'a DistroProof) -> Option<&'a Signer> {
    let is_legacy = declaration.bundle().is_some_and(|bundle| bundle.shuttle().legacy().is_some());
    (is_legacy && !proof.signer.is_unsigned()).then_some(&proof.signer)
}

/// What a capsule's bytes can call and its manifest grants nothing for, in words.
pub(crate) fn ungranted(name: &CapsuleName, authority: &EffectiveAuthority) -> Vec<String> {
    let text = |interface: &dyn std::fmt::Display| {
        format!(
            "capsule `{name}` can call `{interface}`, and its manifest grants nothing for it: every such call will be denied"
        )
    };
    authority.ungranted_imports.iter().map(|import| text(&import.interface)).collect()
}

/// The refusal of a policy that does not let such a capsule in.
pub(crate) fn refuse_ungranted(text: String) -> Error {
    Error::new(ErrorKind::Policy, text).hint("`ungranted-imports = \"error\"` of the policy refuses it")
}

/// What was found out beside the lock.
#[derive(Default)]
pub(super) struct Found {
    pub(super) capsules: BTreeMap<CapsuleName, CheckedCapsule>,
    pub(super) packs: BTreeMap<PackId, PackArtifact>,
    pub(super) graph: Option<Graph>,
    pub(super) listings: Listings,
    pub(super) proof: DistroProof,
}

/// A line of a lock, as far as its bytes matter.
struct Pinned<'a> {
    source: &'a Source,
    content: Digest,
    component: Option<Digest>,
    is_pack: bool,
    is_inner: bool,
    resolved: Option<&'a str>,
    archive: Option<Digest>,
}

/// What a lock pins, listed, when all of it is here and local sources still look as they did.
fn unchanged(context: &Context, declaration: &Declaration, lock: &Lock) -> Result<Option<Listings>> {
    let path = context.home.stat_cache();
    let cache = StatCache::load(&path);
    let now = SystemTime::from(context.clock.now());
    let capsules = lock.capsules.iter().map(|locked| Pinned {
        source: &locked.source,
        content: locked.content,
        component: locked.component,
        is_pack: false,
        is_inner: locked.pack.is_some(),
        resolved: locked.resolved_ref.as_deref(),
        archive: locked.archive,
    });
    let packs = lock.packs.iter().map(|locked| Pinned {
        source: &locked.source,
        content: locked.content,
        component: None,
        is_pack: true,
        is_inner: false,
        resolved: locked.commit.as_deref(),
        archive: locked.archive,
    });
    let pinned: Vec<Pinned<'_>> = capsules.chain(packs).collect();
    let brought = Brought::load(context);
    let changed = AtomicBool::new(false);
    let compare = |pinned: &Pinned<'_>| {
        if changed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let listing = listing_if_unchanged(&context.store, declaration, pinned, &cache, &brought, now)?;
        if listing.is_none() {
            changed.store(true, Ordering::Relaxed);
        }
        Ok(listing.map(|tree| (pinned.content, tree)))
    };
    let found = for_each(threads_for(&context.store, pinned.len()), &pinned, compare);
    // The cache only saves time: when it can't be written, the next run is slower.
    if context.aside.is_none() && context.home.var().is_dir() {
        let _ = cache.save(context.store.disk(), &path);
    }
    Ok(found?.into_iter().collect())
}

fn listing_if_unchanged(
    store: &Store,
    declaration: &Declaration,
    pinned: &Pinned<'_>,
    cache: &StatCache,
    brought: &Brought,
    now: SystemTime,
) -> Result<Option<Tree>> {
    let tree = match store.tree(&pinned.content) {
        Ok(tree) => tree,
        Err(error) if error.kind() == astrid_store::ErrorKind::Missing => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if pinned.is_inner {
        return Ok(Some(tree));
    }
    let is_unchanged = match local_folder(declaration, pinned.source) {
        Some(folder) => {
            let folder = folder?;
            folder.is_dir()
                && digest_now(&folder, &tree, pinned.component, pinned.is_pack, cache, now)? == pinned.content
        }
        // The bytes of an archive file are cheap to hash, and nothing remembers them.
        None if matches!(pinned.source, Source::Archive(_)) => false,
        None => {
            let from = Place::new(declaration, pinned.source, pinned.resolved, pinned.archive);
            brought.knows(&from, pinned.content) && is_complete(store, &tree)
        }
    };
    Ok(is_unchanged.then_some(tree))
}

/// Whether what a lock says of signers is what is verified again, or was by this home.
fn is_proved(gate: &Gate<'_>, lock: &Lock) -> Result<bool> {
    for locked in lock.capsules.iter().filter(|locked| locked.pack.is_none()) {
        let found = gate.admit(&Evidence {
            subject: &Subject::Capsule(locked.name.clone()),
            source: &locked.source,
            content: locked.content,
            archive: locked.archive,
            signature: locked.bundle,
            vouched: None,
        })?;
        if found.signer != locked.signer || found.predicate != locked.provenance {
            return Ok(false);
        }
    }
    for locked in &lock.packs {
        let found = gate.admit(&Evidence {
            subject: &Subject::Pack(locked.id.clone()),
            source: &locked.source,
            content: locked.content,
            archive: locked.archive,
            signature: locked.bundle,
            vouched: None,
        })?;
        if found.signer != locked.signer || found.predicate != locked.provenance {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) struct CheckedCapsule {
    pub(super) artifact: CapsuleArtifact,
    pub(super) authority: EffectiveAuthority,
}

#[derive(Default)]
struct Checked {
    capsules: BTreeMap<CapsuleName, CheckedCapsule>,
    packs: BTreeMap<PackId, PackArtifact>,
    provenance: BTreeMap<Member, Provenance>,
    warnings: Vec<String>,
}

/// Works out the authority of everything from its bytes, and asks who made it.
fn check_members(
    context: &Context,
    solved: &Solved,
    gate: &Gate<'_>,
    vouched: Option<&Signer>,
) -> Result<Checked> {
    let members: Vec<(&Member, &Chosen)> = solved.members.iter().collect();
    let results = for_each(context.jobs, &members, |(member, chosen)| {
        let found = &chosen.found;
        compare_with_line(member, chosen)?;
        let subject = Subject::from((*member).clone());
        let provenance = gate.admit(&Evidence {
            subject: &subject,
            source: &chosen.source,
            content: found.artifact.content(),
            archive: found.archive,
            signature: found.signature,
            vouched,
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
                at: Position::default(),
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
                    at: Position::default(),
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

/// The lock with where its declaration came from, and without where its own lines were.
fn with_origin(mut lock: Lock, declaration: &Declaration) -> Lock {
    for locked in &mut lock.capsules {
        locked.at = Position::default();
    }
    for locked in &mut lock.packs {
        locked.at = Position::default();
    }
    lock.distro.source = declaration.origin().source();
    lock.distro.commit = declaration.origin().commit().map(str::to_owned);
    lock
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
        let tree = chosen.found.artifact.content();
        // A log's word, where there is one, counts from when it was signed, not from when it was met here.
        let signed = checked.provenance.get(member).and_then(|found| found.signed_at);
        let first = seen.see(tree, now);
        let first = signed.unwrap_or(first);
        let is_locked = known.is_some_and(|known| match member {
            Member::Capsule(name) => known.capsule(name.as_str()).is_some_and(|one| one.content == tree),
            Member::Pack(id) => known.pack(id.as_str()).is_some_and(|one| one.content == tree),
        });
        if !is_locked && let Err(error) = check_age(member, first, min_age, now) {
            young = young.or(Some(error));
        }
    }
    seen.save(context)?;
    young.map_or(Ok(()), Err)
}
