//! Whether a lock is what its declaration asks for, and which line made it stale; the difference
//! between two locks. Pure.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{CapsuleName, Digest};
use astrid_manifest::lock::Lock;
use astrid_manifest::signer::Signer;

use crate::declaration::{Declaration, ExistingLock};
use crate::error::{Error, ErrorKind, Place};
use crate::solve::Member;

/// Which members of each group were chosen.
pub type Selection = BTreeMap<String, Vec<CapsuleName>>;

/// What a lock is to its declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// There is none, or only one of version 1.
    Missing,
    /// It is what the declaration asks for.
    Fresh,
    /// It is not, and this is why.
    Stale {
        /// What differs, in words.
        reason: String,
        /// The line of the declaration that made it stale, when one did.
        place: Option<Place>,
    },
}

impl LockState {
    /// The refusal of `--locked`; nothing when the lock is fresh.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        let error = match self {
            Self::Fresh => return None,
            Self::Missing => Error::new(ErrorKind::StaleLock, "there is no Distro.lock"),
            Self::Stale { reason, place } => {
                Error::new(ErrorKind::StaleLock, format!("Distro.lock is stale: {reason}")).at(place.clone())
            }
        };
        Some(error.hint("run `astrid lock`, review the difference, and commit Distro.lock"))
    }
}

/// Compares a declaration with the lock beside it.
///
/// `chosen` is what this run asks to choose from groups; a group that it does not name is chosen as
/// the lock has it.
#[must_use]
pub fn lock_state(declaration: &Declaration, chosen: &Selection) -> LockState {
    match declaration.existing_lock() {
        ExistingLock::None | ExistingLock::Legacy(_) => LockState::Missing,
        ExistingLock::Current(lock) => match first_difference(declaration, lock, chosen) {
            None => LockState::Fresh,
            Some((reason, place)) => LockState::Stale { reason, place },
        },
    }
}

type Difference = (String, Option<Place>);

fn first_difference(declaration: &Declaration, lock: &Lock, chosen: &Selection) -> Option<Difference> {
    let distro = declaration.distro();
    let at = |position| Some(declaration.place(position));
    if lock.distro.id != distro.header.id {
        let reason = format!("it is for distro `{}`, and this one is `{}`", lock.distro.id, distro.header.id);
        return Some((reason, at(distro.header.at)));
    }
    if lock.distro.version != distro.header.version {
        let reason =
            format!("it is for version {}, and this one is {}", lock.distro.version, distro.header.version);
        return Some((reason, at(distro.header.at)));
    }
    for (group, members) in chosen {
        let there: Option<BTreeSet<&CapsuleName>> =
            lock.selection.get(group).map(|names| names.iter().collect());
        if there != Some(members.iter().collect()) {
            let names: Vec<&str> = members.iter().map(CapsuleName::as_str).collect();
            return Some((format!("this run chooses {} from group `{group}`", names.join(", ")), None));
        }
    }
    for group in distro.groups().keys() {
        if !lock.selection.contains_key(*group) {
            return Some((format!("it has no choice for group `{group}`"), None));
        }
    }
    let taken: BTreeSet<&CapsuleName> = lock.selection.values().flatten().collect();
    let mut declared: BTreeSet<Member> = BTreeSet::new();
    for entry in &distro.capsules {
        if entry.group.is_some() && !taken.contains(&entry.name) {
            continue;
        }
        declared.insert(Member::Capsule(entry.name.clone()));
        let Some(locked) = lock.capsule(entry.name.as_str()).filter(|locked| locked.pack.is_none()) else {
            return Some((format!("capsule `{}` is not in it", entry.name), at(entry.at)));
        };
        if locked.source != entry.source {
            let reason = format!("capsule `{}` comes from `{}` there", entry.name, locked.source);
            return Some((reason, at(entry.source_at)));
        }
        if locked.requirement != entry.version {
            let there = locked.requirement.as_ref().map_or("any version", |requirement| requirement.as_str());
            return Some((
                format!("capsule `{}` is wanted as `{there}` there", entry.name),
                at(entry.version_at),
            ));
        }
        if entry.version.as_ref().is_some_and(|wanted| !wanted.matches(&locked.version)) {
            let reason = format!("capsule `{}` is locked at {}", entry.name, locked.version);
            return Some((reason, at(entry.version_at)));
        }
    }
    for entry in &distro.packs {
        declared.insert(Member::Pack(entry.id.clone()));
        let Some(locked) = lock.pack(entry.id.as_str()) else {
            return Some((format!("pack `{}` is not in it", entry.id), at(entry.at)));
        };
        if locked.source != entry.source {
            let reason = format!("pack `{}` comes from `{}` there", entry.id, locked.source);
            return Some((reason, at(entry.source_at)));
        }
        if locked.requirement != entry.version {
            let there = locked.requirement.as_ref().map_or("any version", |requirement| requirement.as_str());
            return Some((format!("pack `{}` is wanted as `{there}` there", entry.id), at(entry.version_at)));
        }
        if let Some(wanted) = &entry.version
            && !locked.version.parse().is_ok_and(|version| wanted.matches(&version))
        {
            let reason = format!("pack `{}` is locked at {}", entry.id, locked.version);
            return Some((reason, at(entry.version_at)));
        }
        if let Some(names) = &entry.capsules {
            let wanted: BTreeSet<&CapsuleName> = names.iter().collect();
            let there: BTreeSet<&CapsuleName> = lock
                .capsules
                .iter()
                .filter(|locked| locked.pack.as_ref() == Some(&entry.id))
                .map(|locked| &locked.name)
                .collect();
            if wanted != there {
                let reason = format!("it has other capsules of pack `{}`", entry.id);
                return Some((reason, at(entry.at)));
            }
        }
    }
    // A pack that another one brought comes from an index, and only its pack's bytes name it.
    let brought = |source: &astrid_manifest::source::Source| {
        matches!(source, astrid_manifest::source::Source::Index { .. })
    };
    let packs: BTreeSet<&astrid_authority::PackId> = lock.packs.iter().map(|locked| &locked.id).collect();
    for locked in &lock.capsules {
        let known = match &locked.pack {
            None => declared.contains(&Member::Capsule(locked.name.clone())),
            Some(pack) => packs.contains(pack),
        };
        if !known {
            return Some((format!("capsule `{}` is no longer declared", locked.name), None));
        }
    }
    for locked in &lock.packs {
        if !declared.contains(&Member::Pack(locked.id.clone())) && !brought(&locked.source) {
            return Some((format!("pack `{}` is no longer declared", locked.id), None));
        }
    }
    (lock.manifest_hash != declaration.manifest_hash()).then(|| {
        ("a tag, group, index, `depends-on`, `requires` or `astrid-version` was changed".to_owned(), None)
    })
}

/// What changed in one locked entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDiff {
    /// Which entry.
    pub member: Member,
    /// The pack that holds the capsule, when one does.
    pub pack: Option<astrid_authority::PackId>,
    /// What it was; nothing when it is new.
    pub before: Option<EntryFacts>,
    /// What it is; nothing when it is gone.
    pub after: Option<EntryFacts>,
}

/// What a lock says of one entry, as far as people compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    /// Its version.
    pub version: String,
    /// Where it comes from.
    pub source: String,
    /// The commit or tag that was used.
    pub reference: Option<String>,
    /// The digest of its bytes.
    pub content: Digest,
    /// The digest of its authority.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
}

/// The entries in which two locks differ, sorted; nothing before is an empty lock.
#[must_use]
pub fn lock_diff(before: Option<&Lock>, after: &Lock) -> Vec<EntryDiff> {
    type Facts = (Option<astrid_authority::PackId>, EntryFacts);
    fn facts(lock: &Lock) -> BTreeMap<Member, Facts> {
        let capsules = lock.capsules.iter().map(|locked| {
            let facts = EntryFacts {
                version: locked.version.to_string(),
                source: locked.source.to_string(),
                reference: locked.resolved_ref.clone(),
                content: locked.content,
                authority: locked.authority,
                signer: locked.signer.clone(),
            };
            (Member::Capsule(locked.name.clone()), (locked.pack.clone(), facts))
        });
        let packs = lock.packs.iter().map(|locked| {
            let facts = EntryFacts {
                version: locked.version.clone(),
                source: locked.source.to_string(),
                reference: locked.commit.clone(),
                content: locked.content,
                authority: locked.authority,
                signer: locked.signer.clone(),
            };
            (Member::Pack(locked.id.clone()), (None, facts))
        });
        capsules.chain(packs).collect()
    }
    let mut old = before.map(facts).unwrap_or_default();
    let mut diffs = Vec::new();
    for (member, (pack, after)) in facts(after) {
        let before = old.remove(&member).map(|(_, facts)| facts);
        if before.as_ref() != Some(&after) {
            diffs.push(EntryDiff { member, pack, before, after: Some(after) });
        }
    }
    for (member, (pack, before)) in old {
        diffs.push(EntryDiff { member, pack, before: Some(before), after: None });
    }
    diffs.sort_by(|one, other| one.member.cmp(&other.member));
    diffs
}
