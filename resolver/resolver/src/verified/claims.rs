//! Claims of indexes and locks, compared with what the bytes say.

use std::collections::BTreeMap;

use astrid_authority::Digest;
use astrid_manifest::lock::{Lock, LockedCapsule, LockedPack};

use crate::artifact::{Artifact, CapsuleArtifact, PackArtifact};
use crate::error::{Error, ErrorKind, Result};
use crate::resolution::{Chosen, LockMode, Resolution};
use crate::solve::Member;
use crate::trust::signed_by;

/// Compares the claims of an index with the bytes.
pub(super) fn compare_with_line(member: &Member, chosen: &Chosen) -> Result<()> {
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

/// Compares what a lock says of a capsule with what the bytes of its content say.
pub(crate) fn compare_capsule(locked: &LockedCapsule, artifact: &CapsuleArtifact) -> Result<()> {
    let package = &artifact.manifest.package;
    let wrong = [
        ("name", package.name != locked.name),
        ("version", package.version != locked.version),
        ("content", artifact.content != locked.content),
        ("component", artifact.component != locked.component),
        ("manifest", artifact.manifest_digest != locked.manifest),
        ("wit", artifact.wit != locked.wit),
        ("tools", artifact.tools != locked.tools),
    ];
    refuse_claim(&format!("capsule `{}`", locked.name), &wrong)
}

/// Compares what a lock says of a pack with what the bytes of its content say.
pub(crate) fn compare_pack(locked: &LockedPack, artifact: &PackArtifact, lock: &Lock) -> Result<()> {
    let inner = || lock.capsules.iter().filter(|own| own.pack.as_ref() == Some(&locked.id));
    let authorities: BTreeMap<_, _> = inner().map(|own| (own.name.clone(), own.authority)).collect();
    let strangers =
        inner().any(|own| artifact.capsules.get(&own.name).is_none_or(|held| held.content != own.content));
    let wrong = [
        ("id", artifact.manifest.id != locked.id),
        ("version", artifact.manifest.version != locked.version),
        ("content", artifact.content != locked.content),
        ("permissions", artifact.manifest.permissions_digest() != locked.permissions),
        ("authority", artifact.authority_digest(&authorities) != locked.authority),
        ("capsules", strangers),
    ];
    refuse_claim(&format!("pack `{}`", locked.id), &wrong)
}

fn refuse_claim(what: &str, wrong: &[(&str, bool)]) -> Result<()> {
    match wrong.iter().find(|(_, is_wrong)| *is_wrong) {
        None => Ok(()),
        Some((field, _)) => Err(Error::corrupt(format!(
            "the `{field}` that Distro.lock has for {what} is not what its bytes say"
        ))
        .hint("the lock was changed by hand: restore it, or run `astrid lock`")),
    }
}

/// Compares archive and content of what was chosen with those of the lock: what a server gives instead of the bytes
/// that are locked is told as that, before anybody asks who signed it.
pub(super) fn compare_bytes(resolution: &Resolution, member: &Member, chosen: &Chosen) -> Result<()> {
    let Some(known) = resolution.declaration.lock() else { return Ok(()) };
    let is_edited = chosen.source.is_path() && !resolution.declaration.origin().is_fetched();
    if is_edited || resolution.request.upgrade.includes(member) {
        return Ok(());
    }
    let said = match member {
        Member::Capsule(name) => known
            .capsule(name.as_str())
            .filter(|said| said.pack.is_none())
            .map(|said| (said.version.to_string(), &said.source, said.archive, said.content)),
        Member::Pack(id) => known
            .pack(id.as_str())
            .map(|said| (said.version.clone(), &said.source, said.archive, said.content)),
    };
    let Some((version, source, archive, content)) = said else { return Ok(()) };
    let found = &chosen.found;
    // Another version is another choice, but not of what lies beside the lock.
    let is_other = !chosen.source.is_path() && version != found.artifact.version_text();
    if *source != chosen.source || is_other {
        return Ok(());
    }
    for (what, found, said) in
        [("archive", found.archive, archive), ("content", Some(found.artifact.content()), Some(content))]
    {
        if found != said {
            return Err(differs(member, what, &words(found), &words(said)));
        }
    }
    Ok(())
}

fn words(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string())
}

fn differs(member: &Member, what: &str, found: &str, said: &str) -> Error {
    Error::corrupt(format!("the {what} of {} is {found}, and Distro.lock says {said}", member.words()))
        .hint("if the change is wanted, run `astrid lock` (for a moved tag: `--upgrade NAME`) and review it")
}

/// Compares what the bytes say with what the lock beside the declaration says.
///
/// A locked run may differ in nothing. Another one may differ in what it was asked to upgrade, in
/// new versions, and in local sources, which people edit; a version that a server gave is what it
/// was, whatever the server says now.
pub(super) fn compare_with_known(resolution: &Resolution, lock: &Lock, was_fresh: bool) -> Result<()> {
    let Some(known) = resolution.declaration.lock() else { return Ok(()) };
    // What a bundle holds is what its lock pins, or it is refused. So is what was fetched: nobody here edits it, and
    // who signed the lock signed what it pins.
    let strict = resolution.request.mode != LockMode::Normal
        || resolution.declaration.bundle().is_some()
        || was_fresh && resolution.declaration.origin().is_fetched();
    let upgrade = &resolution.request.upgrade;
    let claims = |archive: &Option<Digest>, rest: [(&'static str, Option<Digest>); 7]| {
        let mut all = vec![("archive", *archive)];
        all.extend(rest);
        all
    };
    // Who publishes an artifact may attest it once more; a locked run differs in nothing.
    let bundle = |digest: Option<Digest>| digest.filter(|_| strict);
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
            return Err(differs(&member, "version", &found.version.to_string(), &said.version.to_string()));
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
                    ("bundle", bundle(one.bundle)),
                ],
            )
        };
        first_difference(&member, &list(found), &list(said))?;
        if (&found.signer, &found.provenance) != (&said.signer, &said.provenance) {
            return Err(signer_differs(
                &member,
                &signed_by(&found.signer, found.provenance.as_deref()),
                &signed_by(&said.signer, said.provenance.as_deref()),
            ));
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
            return Err(differs(&member, "version", &found.version, &said.version));
        }
        let list = |one: &LockedPack| {
            claims(
                &one.archive,
                [
                    ("content", Some(one.content)),
                    ("permissions", Some(one.permissions)),
                    ("authority", Some(one.authority)),
                    ("bundle", bundle(one.bundle)),
                    ("", None),
                    ("", None),
                    ("", None),
                ],
            )
        };
        first_difference(&member, &list(found), &list(said))?;
        if (&found.signer, &found.provenance) != (&said.signer, &said.provenance) {
            return Err(signer_differs(
                &member,
                &signed_by(&found.signer, found.provenance.as_deref()),
                &signed_by(&said.signer, said.provenance.as_deref()),
            ));
        }
    }
    if strict && (known.capsules.len() != lock.capsules.len() || known.packs.len() != lock.packs.len()) {
        return Err(Error::new(ErrorKind::StaleLock, "Distro.lock has other entries than the artifacts")
            .hint("run `astrid lock`, review the difference, and commit Distro.lock"));
    }
    Ok(())
}

type Claims = [(&'static str, Option<Digest>)];

fn first_difference(member: &Member, found: &Claims, said: &Claims) -> Result<()> {
    for ((what, found), (_, said)) in found.iter().zip(said) {
        if found != said {
            return Err(differs(member, what, &words(*found), &words(*said)));
        }
    }
    Ok(())
}

fn signer_differs(member: &Member, found: &str, said: &str) -> Error {
    Error::new(
        ErrorKind::Signature,
        format!("{} is made by {found}, and Distro.lock says {said}", member.words()),
    )
    .hint("if the change is wanted, run `astrid lock --upgrade` and review it")
}
