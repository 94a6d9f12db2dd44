//! Fleets made of a few words, for the tests of planner and trust.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{AuthoritySet, Digest, Permission, PermissionId};
use astrid_manifest::policy::Policy;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;

use super::fleet::{Artifact, Authorities, Enforced, Fleet, SettingFacts};
use super::{BaseFacts, DistroSigned, Nonce, Plan, PlanInput, plan};
use crate::error::Result;
use crate::policy::EffectivePolicy;
use crate::trust::{Acknowledgements, Floors};

/// Everything that a plan is computed from, owned and easy to change.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) base: Option<BaseFacts>,
    pub(crate) base_authority: Authorities,
    pub(crate) fleet: Fleet,
    pub(crate) authority: Authorities,
    pub(crate) settings: SettingFacts,
    pub(crate) damaged: BTreeMap<Subject, String>,
    pub(crate) origin: String,
    pub(crate) policy: EffectivePolicy,
    pub(crate) floors: Floors,
    pub(crate) acknowledgements: Acknowledgements,
    pub(crate) allow_empty: bool,
    pub(crate) stored_secrets: Vec<&'static str>,
    pub(crate) keep: BTreeSet<astrid_authority::CapsuleName>,
    /// Who signs the distro, now as before.
    pub(crate) pinned: Option<Signer>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            base: None,
            base_authority: Authorities::default(),
            fleet: Fleet {
                distro: "starter".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                artifacts: BTreeMap::new(),
            },
            authority: Authorities::default(),
            settings: SettingFacts::new(),
            damaged: BTreeMap::new(),
            origin: "/srv/fleet".to_owned(),
            policy: EffectivePolicy::combine(&Policy::default(), &Policy::default(), false),
            floors: Floors::default(),
            acknowledgements: Acknowledgements::default(),
            allow_empty: false,
            stored_secrets: Vec::new(),
            keep: BTreeSet::new(),
            pinned: None,
        }
    }

    /// Puts a capsule from `source` into the fleet. Its content is named by a word.
    pub(crate) fn capsule(mut self, name: &str, source: &str, content: &str, grants: &[&str]) -> Self {
        let granted: AuthoritySet = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        let artifact = Artifact {
            version: "1.0.0".to_owned(),
            source: source.to_owned(),
            place: source.to_owned(),
            is_local: source.starts_with(['.', '/']),
            content: Digest::of(content.as_bytes()),
            authority: granted.digest(),
            permissions: None,
            signer: Signer::Unsigned,
            provenance: None,
            tools: None,
            pack: None,
        };
        self.fleet.artifacts.insert(Subject::Capsule(name.parse().unwrap()), artifact);
        let enforced = Enforced { granted, unused: AuthoritySet::default() };
        self.authority.enforced.insert(name.parse().unwrap(), enforced);
        self
    }

    /// Puts a pack into the fleet that discloses the network for `reason`, if there is one.
    pub(crate) fn pack(mut self, id: &str, content: &str, reason: &str) -> Self {
        let mut permissions = Vec::new();
        if !reason.is_empty() {
            permissions.push(Permission {
                id: PermissionId::Network,
                reason: reason.to_owned(),
                access: None,
                services: Vec::new(),
            });
        }
        let digest = Digest::of(reason.as_bytes());
        let artifact = Artifact {
            version: "1.0.0".to_owned(),
            source: format!("git+https://example.org/{id}"),
            place: format!("git+https://example.org/{id}"),
            is_local: false,
            content: Digest::of(content.as_bytes()),
            authority: digest,
            permissions: Some(digest),
            signer: Signer::Unsigned,
            provenance: None,
            tools: None,
            pack: None,
        };
        self.fleet.artifacts.insert(Subject::Pack(id.parse().unwrap()), artifact);
        self.authority.disclosed.insert(id.parse().unwrap(), permissions);
        self
    }

    pub(crate) fn edit(mut self, subject: &str, edit: impl FnOnce(&mut Artifact)) -> Self {
        edit(self.fleet.artifacts.get_mut(&subject.parse().unwrap()).unwrap());
        self
    }

    pub(crate) fn lock(&self) -> Digest {
        Digest::of(format!("{:?}", self.fleet).as_bytes())
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        let keys = |_: &astrid_authority::CapsuleName| {
            self.stored_secrets.iter().map(|key| key.parse().unwrap()).collect()
        };
        plan(&PlanInput {
            base: self.base.as_ref(),
            fleet: &self.fleet,
            lock: self.lock(),
            origin: &self.origin,
            authority: &self.authority,
            base_authority: &self.base_authority,
            settings: &self.settings,
            defaulted: &std::collections::BTreeSet::new(),
            stored_secrets: &keys,
            damaged: &self.damaged,
            unproved: &std::collections::BTreeSet::new(),
            lines: &BTreeMap::from([("capsule:fs".parse().unwrap(), 7)]),
            keep: &self.keep,
            probes: &BTreeMap::new(),
            policy: &self.policy,
            floors: &self.floors,
            acknowledgements: &self.acknowledgements,
            signed: DistroSigned {
                signer: self.pinned.as_ref().unwrap_or(&Signer::Unsigned),
                pinned: self.pinned.as_ref(),
                ..DistroSigned::AS_BEFORE
            },
            tool: "0.1.0",
            nonce: Nonce::from_bytes([5; 16]),
            allow_empty: self.allow_empty,
        })
    }

    /// The world after the fleet was applied: it is the base, and nothing else is wanted yet.
    pub(crate) fn applied(mut self) -> Self {
        let generation = self.base.as_ref().map_or(1, |base| base.generation + 1);
        self.base = Some(BaseFacts {
            generation,
            digest: Digest::of(&generation.to_le_bytes()),
            lock: self.lock(),
            policy: self.policy.digest(),
            origin: self.origin.clone(),
            fleet: self.fleet.clone(),
            settings: self.settings.clone(),
            keep: self.keep.clone(),
            probes: BTreeMap::new(),
        });
        self.base_authority = self.authority.clone();
        self.floors.raise(&self.origin, &self.fleet, &[]);
        self.damaged.clear();
        self
    }

    /// Wants nothing: what is called after says what is wanted.
    pub(crate) fn anew(mut self) -> Self {
        self.fleet.artifacts.clear();
        self.authority = Authorities::default();
        self
    }
}
