//! The planner: pure, so that the same facts give the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{AuthorityDiff, CapsuleName, Digest, DistroId, EnvKey, PackId};
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;

use super::difference::{artifact_state, disclosed_change, moved_signer, reason, setting_state, why};
use super::document::{
    Action, AuthorityChanges, Base, Change, Confirmation, DisclosedChange, DistroTrust, EnforcedChange,
    FORMAT_VERSION, HealthGate, Moved, Need, Nonce, PlanDocument, PlannedDistro, State, Tool, TrustNeeds,
    Why,
};
use super::fleet::{Artifact, AuthorityOf, Enforced, Fleet, OwnCapsules, SettingFact, SettingFacts};
use super::item::Item;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::EffectivePolicy;
use crate::trust::floors::{Undercut, new_signer};
use crate::trust::{Acknowledgements, Candidate, Floors};

/// What the current generation is, for the planner.
#[derive(Debug, Clone)]
pub struct BaseFacts {
    /// Its number.
    pub generation: u64,
    /// Its digest.
    pub digest: Digest,
    /// Digest of its lock.
    pub lock: Digest,
    /// Digest of the policy that it was made under.
    pub policy: Digest,
    /// Where its distro came from.
    pub origin: String,
    /// Its artifacts.
    pub fleet: Fleet,
    /// Its settings.
    pub settings: SettingFacts,
    /// Capsules that its declaration keeps from being pruned.
    pub keep: BTreeSet<CapsuleName>,
    /// Probes that its declaration names.
    pub probes: BTreeMap<CapsuleName, String>,
}

/// What a plan is computed from, besides the base.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// The current generation, if there is one.
    pub base: Option<&'a BaseFacts>,
    /// What is wanted.
    pub fleet: &'a Fleet,
    /// Digest of its lock.
    pub lock: Digest,
    /// Where the distro comes from: what Astrid itself used to get it.
    pub origin: &'a str,
    /// What the wanted artifacts may do.
    pub authority: &'a dyn AuthorityOf,
    /// What the base's artifacts may do.
    pub base_authority: &'a dyn AuthorityOf,
    /// The wanted settings.
    pub settings: &'a SettingFacts,
    /// The wanted settings whose value is the declaration's default.
    pub defaulted: &'a BTreeSet<(CapsuleName, EnvKey)>,
    /// Names of the secrets that the home stores for a capsule, whatever they are bound to.
    pub stored_secrets: &'a dyn Fn(&CapsuleName) -> Vec<EnvKey>,
    /// Items that are pinned and not as they were pinned, with what is wrong.
    pub damaged: &'a BTreeMap<Subject, String>,
    /// Packs whose record of acceptance proves nothing: they have to be accepted again.
    pub unproved: &'a BTreeSet<Subject>,
    /// Lines of `Distro.toml`.
    pub lines: &'a BTreeMap<Subject, u32>,
    /// Capsules that are never pruned.
    pub keep: &'a BTreeSet<CapsuleName>,
    /// Tools that say whether a capsule is well.
    pub probes: &'a BTreeMap<CapsuleName, String>,
    /// The policy of home and distro.
    pub policy: &'a EffectivePolicy,
    /// What this home has seen before.
    pub floors: &'a Floors,
    /// Acknowledgements that count.
    pub acknowledgements: &'a Acknowledgements,
    /// Who signed the distro, and who did before.
    pub signed: DistroSigned<'a>,
    /// The version of the program.
    pub tool: &'a str,
    /// Fresh randomness.
    pub nonce: Nonce,
    /// Removing everything is meant.
    pub allow_empty: bool,
}

/// Who signed a distro, and who did when this home first saw it.
#[derive(Debug, Clone, Copy)]
pub struct DistroSigned<'a> {
    /// Who signed it, as it was verified.
    pub signer: &'a Signer,
    /// Unsigned, it needs a flag of its own.
    pub required: bool,
    /// Who signed it before; nothing when this home has not seen it signed.
    pub pinned: Option<&'a Signer>,
    /// Who signed it before named the one who did now.
    pub endorsed: bool,
}

impl DistroSigned<'static> {
    /// What was applied once: its signature was looked at then.
    pub const AS_BEFORE: Self =
        Self { signer: &Signer::Unsigned, required: false, pinned: None, endorsed: false };
}

/// What will be done, as it was computed. There is no other way to one than [`plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    document: PlanDocument,
    candidates: Vec<Candidate>,
}

impl Plan {
    /// The plan as people and tools read it.
    #[must_use]
    pub fn document(&self) -> &PlanDocument {
        &self.document
    }

    /// What needs trust, in the form that acknowledgements are compared with.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The acknowledgements of everything that needs trust, as a person gives them now: what
    /// `trust ack` writes into files.
    #[must_use]
    pub fn acknowledge(&self, by: &str, at: jiff::Timestamp) -> Vec<astrid_manifest::trust::Ack> {
        self.candidates.iter().map(|candidate| candidate.acknowledge(by, at)).collect()
    }

    /// Says whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.document.is_empty()
    }

    /// The canonical bytes of the document.
    ///
    /// # Errors
    /// Never for a plan of ours.
    pub fn to_canonical_json(&self) -> Result<Vec<u8>> {
        super::canonical::to_canonical_json(&self.document)
            .map_err(|error| Error::failed("the plan can't be written as JSON").caused_by(error))
    }

    /// The digest of the canonical bytes.
    ///
    /// # Errors
    /// Never for a plan of ours.
    pub fn digest(&self) -> Result<Digest> {
        self.to_canonical_json().map(|bytes| Digest::of(&bytes))
    }
}

/// Computes what leads from the base to what is wanted.
///
/// # Errors
/// * 85 when the policy forbids an authority, when a capsule that is kept would go, or when everything
///   would go and that is not meant;
/// * 84 when the authority of something that changes is not known.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan> {
    let mut planner = Planner {
        input,
        changes: Vec::new(),
        removals: Vec::new(),
        authority: AuthorityChanges::default(),
        needed: Vec::new(),
        own: None,
        confirm: Vec::new(),
        health: Vec::new(),
    };
    if let Err(refusal) = planner.check_prune().and_then(|()| planner.check_policy()) {
        return Err(planner.refused_signer().unwrap_or(refusal));
    }
    planner.compare_artifacts()?;
    planner.compare_settings();
    planner.compare_distro();
    planner.check_distro_signer();
    Ok(planner.finish())
}

struct Planner<'a> {
    input: &'a PlanInput<'a>,
    changes: Vec<Change>,
    removals: Vec<Change>,
    authority: AuthorityChanges,
    needed: Vec<(Need, Candidate)>,
    own: Option<OwnCapsules>,
    confirm: Vec<Confirmation>,
    health: Vec<HealthGate>,
}

impl<'a> Planner<'a> {
    fn before(&self, subject: &Subject) -> Option<&'a Artifact> {
        self.input.base.and_then(|base| base.fleet.artifacts.get(subject))
    }

    fn line(&self, subject: &Subject, artifact: &Artifact) -> Option<u32> {
        let lines = self.input.lines;
        lines.get(subject).copied().or_else(|| {
            artifact.pack.as_ref().and_then(|pack| lines.get(&Subject::Pack(pack.clone())).copied())
        })
    }

    fn check_prune(&self) -> Result<()> {
        let Some(base) = self.input.base else { return Ok(()) };
        let wanted = &self.input.fleet.artifacts;
        for name in &base.keep {
            let subject = Subject::Capsule(name.clone());
            if base.fleet.artifacts.contains_key(&subject) && !wanted.contains_key(&subject) {
                return Err(Error::new(
                    ErrorKind::Policy,
                    format!(
                        "capsule `{name}` has `keep = true` in generation {} and would be removed",
                        base.generation
                    ),
                )
                .hint(format!("declare `{name}` again; to let it go, apply it once with `keep = false`")));
            }
        }
        if wanted.is_empty() && !base.fleet.artifacts.is_empty() && !self.input.allow_empty {
            return Err(Error::new(ErrorKind::Policy, "this would remove every capsule and pack")
                .hint("pass `--allow-empty` when that is what you want"));
        }
        Ok(())
    }

    fn check_policy(&self) -> Result<()> {
        let same_policy = self.input.base.is_some_and(|base| base.policy == self.input.policy.digest());
        if self.input.policy.ceiling_is_empty() {
            return Ok(());
        }
        let mut violations = Vec::new();
        for (subject, artifact) in &self.input.fleet.artifacts {
            if same_policy
                && self.before(subject).is_some_and(|before| before.authority == artifact.authority)
            {
                continue;
            }
            let place = self.line(subject, artifact);
            let place = place.map(|line| format!(" (Distro.toml:{line})")).unwrap_or_default();
            match subject {
                Subject::Capsule(name) => {
                    let enforced = self.input.authority.enforced(name)?;
                    for violation in self.input.policy.violations(&enforced.granted) {
                        violations.push(format!("{subject}{place}: {violation}"));
                    }
                }
                Subject::Pack(id) => {
                    let permissions = self.input.authority.disclosed(id)?;
                    let set =
                        permissions.iter().map(|own| astrid_authority::Grant::Permission(own.id)).collect();
                    for violation in self.input.policy.violations(&set) {
                        violations.push(format!("{subject}{place}: {violation}"));
                    }
                }
                Subject::Distro(_) => {}
            }
        }
        if violations.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Policy, "the policy forbids authority that this fleet asks for")
            .because(violations)
            .hint("drop what is refused, or change `[policy.authority]` where the rule is"))
    }

    fn compare_artifacts(&mut self) -> Result<()> {
        let input = self.input;
        for (subject, after) in &input.fleet.artifacts {
            let before = self.before(subject);
            if before == Some(after) {
                if let Some(what) = input.damaged.get(subject) {
                    self.heal(subject, after, what);
                }
                continue;
            }
            self.compare_artifact(subject, before, after)?;
        }
        let Some(base) = input.base else { return Ok(()) };
        for (subject, before) in &base.fleet.artifacts {
            if input.fleet.artifacts.contains_key(subject) {
                continue;
            }
            self.removals.push(Change {
                subject: subject.clone().into(),
                action: Action::Remove,
                before: Some(artifact_state(before)),
                after: None,
                reason: match &before.pack {
                    Some(pack) if !base_has(input.fleet, pack) => format!("pack `{pack}` goes"),
                    Some(pack) => format!("pack `{pack}` no longer brings it"),
                    None => "no longer declared".to_owned(),
                },
                line: None,
            });
            match subject {
                Subject::Capsule(name) => {
                    let granted = input.base_authority.enforced(name)?.granted;
                    let change =
                        EnforcedChange { removed: granted.iter().cloned().collect(), ..Default::default() };
                    if !change.is_empty() {
                        self.authority.enforced.insert(name.clone(), change);
                    }
                }
                Subject::Pack(id) => {
                    let change = DisclosedChange {
                        removed: input.base_authority.disclosed(id)?,
                        ..Default::default()
                    };
                    if !change.is_empty() {
                        self.authority.disclosed.insert(id.clone(), change);
                    }
                }
                Subject::Distro(_) => {}
            }
        }
        Ok(())
    }

    fn heal(&mut self, subject: &Subject, artifact: &Artifact, what: &str) {
        self.changes.push(Change {
            subject: subject.clone().into(),
            action: Action::Heal,
            before: Some(artifact_state(artifact)),
            after: Some(artifact_state(artifact)),
            reason: what.to_owned(),
            line: self.line(subject, artifact),
        });
        let mut why = Vec::new();
        if Self::needs_of_its_own(subject, artifact) && self.is_revoked(subject, artifact) {
            why.push(Why::Revoked);
        }
        if self.input.unproved.contains(subject) {
            why.push(Why::Record);
        }
        if !why.is_empty() {
            self.need(subject, artifact, why);
        }
    }

    fn compare_artifact(
        &mut self,
        subject: &Subject,
        before: Option<&Artifact>,
        after: &Artifact,
    ) -> Result<()> {
        let widens = match subject {
            Subject::Capsule(name) => self.compare_enforced(name, before, after)?,
            Subject::Pack(id) => self.compare_disclosed(id, before, after)?,
            Subject::Distro(_) => false,
        };
        let why = why(subject, before, after, widens);
        if Self::needs_of_its_own(subject, after) {
            let mut why = why;
            if self.is_revoked(subject, after) {
                why.push(Why::Revoked);
            }
            if !why.is_empty() {
                self.need(subject, after, why);
            }
        }
        self.check_floor(subject, after);
        let action = match before {
            None => Action::Add,
            Some(before) if before.place != after.place || before.signer != after.signer => Action::Replace,
            Some(_) => Action::Change,
        };
        self.changes.push(Change {
            subject: subject.clone().into(),
            action,
            before: before.map(artifact_state),
            after: Some(artifact_state(after)),
            reason: reason(before, after),
            line: self.line(subject, after),
        });
        if let Subject::Capsule(name) = subject {
            self.health
                .push(HealthGate { subject: subject.clone(), probe: self.input.probes.get(name).cloned() });
        }
        Ok(())
    }

    /// A capsule that a pack brought is covered by the trust in its pack.
    fn needs_of_its_own(subject: &Subject, artifact: &Artifact) -> bool {
        match subject {
            Subject::Pack(_) => true,
            Subject::Capsule(_) => artifact.pack.is_none(),
            Subject::Distro(_) => false,
        }
    }

    fn is_revoked(&self, subject: &Subject, artifact: &Artifact) -> bool {
        let fleet = self.input.fleet;
        let own = (artifact.pack.is_none() && self.input.acknowledgements.names_distro(&fleet.distro))
            .then(|| fleet.own_capsules_digests());
        let distro = own.as_ref().map(|own| (&fleet.distro, own));
        self.input.acknowledgements.is_revoked(subject, artifact.content, distro)
    }

    fn need(&mut self, subject: &Subject, artifact: &Artifact, why: Vec<Why>) {
        let permissions = match subject {
            Subject::Pack(id) => self.input.authority.disclosed(id).unwrap_or_default(),
            _ => Vec::new(),
        };
        let fleet = self.input.fleet;
        let distro = match subject {
            Subject::Capsule(_) => {
                let own = *self.own.get_or_insert_with(|| fleet.own_capsules_digests());
                Some((fleet.distro.clone(), own))
            }
            _ => None,
        };
        let candidate = Candidate {
            subject: subject.clone(),
            version: artifact.version.clone(),
            content: artifact.content,
            authority: artifact.authority,
            signer: artifact.signer.clone(),
            permissions,
            distro,
        };
        let need = Need {
            subject: subject.clone(),
            version: artifact.version.clone(),
            content: artifact.content,
            authority: artifact.authority,
            signer: artifact.signer.clone(),
            why,
            satisfied_by: self.input.acknowledgements.satisfy(&candidate),
        };
        self.needed.push((need, candidate));
    }

    fn check_floor(&mut self, subject: &Subject, after: &Artifact) {
        self.confirm.extend(self.undercut(subject, after));
    }

    /// What the floors say against who made an artifact.
    fn undercut(&self, subject: &Subject, after: &Artifact) -> Option<Confirmation> {
        let input = self.input;
        // A capsule of a pack is made by whoever makes the pack, unless it was known as somebody's before.
        if let Some(pack) = &after.pack
            && let Some(floor) = input.floors.subject(subject)
            && input.floors.subject(&Subject::Pack(pack.clone())) == Some(floor)
        {
            return None;
        }
        let found =
            input.floors.undercut(input.policy, subject, &after.signer, after.provenance.as_deref())?;
        let Undercut { from, to, allowed } = found;
        Some(Confirmation::NewSigner { subject: subject.clone(), from, to, allowed })
    }

    /// Who made something is told before what policy says of it.
    fn refused_signer(&self) -> Option<Error> {
        self.input.fleet.artifacts.iter().find_map(|(subject, artifact)| {
            match self.undercut(subject, artifact) {
                Some(Confirmation::NewSigner { subject, from, to, allowed: None }) => {
                    Some(new_signer(&subject, &from, &to))
                }
                _ => None,
            }
        })
    }

    fn compare_enforced(
        &mut self,
        name: &CapsuleName,
        before: Option<&Artifact>,
        after: &Artifact,
    ) -> Result<bool> {
        let mut change = EnforcedChange::default();
        if before.is_none_or(|before| before.authority != after.authority || before.content != after.content)
        {
            let now = self.input.authority.enforced(name)?;
            let was = match before {
                Some(_) => self.input.base_authority.enforced(name)?,
                None => Enforced::default(),
            };
            let diff = AuthorityDiff::between(&was.granted, &now.granted);
            change.added = diff.added;
            change.widened = diff.widened;
            change.narrowed = diff.narrowed;
            change.removed = diff.removed;
            change.unused = now.unused.iter().cloned().collect();
        }
        change.signer = moved_signer(before, after);
        change.tool_text = before
            .filter(|before| before.tools != after.tools)
            .map(|before| Moved { from: before.tools, to: after.tools });
        let is_elsewhere =
            before.is_none_or(|before| before.place != after.place || before.signer != after.signer);
        if is_elsewhere {
            change.secrets = (self.input.stored_secrets)(name);
        }
        let widens = change.widens();
        if !change.is_empty() {
            self.authority.enforced.insert(name.clone(), change);
        }
        Ok(widens)
    }

    fn compare_disclosed(
        &mut self,
        id: &PackId,
        before: Option<&Artifact>,
        after: &Artifact,
    ) -> Result<bool> {
        let now = self.input.authority.disclosed(id)?;
        let was = match before {
            Some(_) => self.input.base_authority.disclosed(id)?,
            None => Vec::new(),
        };
        let mut change = disclosed_change(&was, &now);
        change.signer = moved_signer(before, after);
        let widens = change.widens();
        if !change.is_empty() {
            self.authority.disclosed.insert(id.clone(), change);
        }
        Ok(widens)
    }

    fn compare_settings(&mut self) {
        let none = SettingFacts::new();
        let was = self.input.base.map_or(&none, |base| &base.settings);
        for ((name, key), fact) in self.input.settings {
            let before = was.get(&(name.clone(), key.clone()));
            if before == Some(fact) {
                continue;
            }
            let reason = match (before, fact) {
                (_, SettingFact::Unknown { .. }) => "you will be asked for it",
                (_, SettingFact::NewSecret(_)) => "the secret will be stored",
                _ if self.input.defaulted.contains(&(name.clone(), key.clone())) => "its default is taken",
                (None, _) => "declared",
                (Some(_), _) => "another value",
            };
            self.changes.push(Change {
                subject: Item::Config(name.clone(), key.clone()),
                action: if before.is_some() { Action::Change } else { Action::Add },
                before: before.map(setting_state),
                after: Some(setting_state(fact)),
                reason: reason.to_owned(),
                line: self.input.lines.get(&Subject::Capsule(name.clone())).copied(),
            });
        }
        for ((name, key), fact) in was {
            if !self.input.settings.contains_key(&(name.clone(), key.clone())) {
                self.removals.push(Change {
                    subject: Item::Config(name.clone(), key.clone()),
                    action: Action::Remove,
                    before: Some(setting_state(fact)),
                    after: None,
                    reason: "no longer declared".to_owned(),
                    line: None,
                });
            }
        }
    }

    /// The distro itself changes when its version, its place, or anything of its lock or its standing
    /// orders does: without a line of its own such a change would never be applied.
    fn compare_distro(&mut self) {
        let input = self.input;
        let signed = input.signed;
        let id = &input.fleet.distro;
        let after = State::Distro { version: input.fleet.version.clone(), lock: input.lock };
        let subject = Item::from(Subject::Distro(id.clone()));
        let (action, before, reason) = match input.base {
            None => (Action::Add, None, "declared"),
            Some(base) => {
                let before = State::Distro { version: base.fleet.version.clone(), lock: base.lock };
                let reason = if base.fleet.distro != *id {
                    "takes the place of another distro"
                } else if base.origin != input.origin {
                    "comes from another place"
                } else if base.fleet.version != input.fleet.version {
                    "another version"
                } else if base.lock != input.lock {
                    "the lock changed"
                } else if base.keep != *input.keep || base.probes != *input.probes {
                    "`keep` or `probe` changed"
                } else if !signed.signer.is_unsigned() && signed.pinned != Some(signed.signer) {
                    // Without a change nothing would remember who it is.
                    "another signer"
                } else {
                    return;
                };
                if base.fleet.distro != *id || base.origin != input.origin {
                    self.confirm.push(Confirmation::ReplaceDistro {
                        from: base.fleet.distro.clone(),
                        to: id.clone(),
                    });
                }
                (Action::Change, Some(before), reason)
            }
        };
        self.check_distro_floor(id);
        self.changes.push(Change {
            subject,
            action,
            before,
            after: Some(after),
            reason: reason.to_owned(),
            line: None,
        });
    }

    fn check_distro_floor(&mut self, id: &DistroId) {
        let floors = self.input.floors;
        // Whose a pinned distro is, its signer says, and not the place that it comes from this time.
        let floor = match self.input.signed.pinned {
            Some(_) => floors.highest(id),
            None => floors.distro(self.input.origin, id),
        };
        let Some(floor) = floor else { return };
        let wanted = &self.input.fleet.version;
        if wanted < floor {
            self.confirm.push(Confirmation::Downgrade { from: floor.clone(), to: wanted.clone() });
        }
    }

    fn check_distro_signer(&mut self) {
        let signed = self.input.signed;
        self.confirm.extend(match signed.pinned {
            Some(pinned) if signed.signer.is_unsigned() => {
                Some(Confirmation::DistroSignatureGone { from: pinned.clone() })
            }
            Some(pinned) if pinned != signed.signer && !signed.endorsed => {
                Some(Confirmation::NewDistroKey { from: pinned.clone(), to: signed.signer.clone() })
            }
            None if signed.required && signed.signer.is_unsigned() => Some(Confirmation::UnsignedDistro),
            _ => None,
        });
    }

    fn finish(mut self) -> Plan {
        let input = self.input;
        let signer = Some(input.signed.signer).filter(|signer| !signer.is_unsigned());
        self.changes.sort_by(|one, two| one.subject.cmp(&two.subject));
        // What goes, goes last and in reverse.
        self.removals.sort_by(|one, two| two.subject.cmp(&one.subject));
        self.changes.append(&mut self.removals);
        let distro = self.own.map(|own| DistroTrust { id: input.fleet.distro.clone(), digest: own.content });
        self.confirm.sort();
        let (needed, candidates) = self.needed.into_iter().unzip();
        let document = PlanDocument {
            format_version: FORMAT_VERSION,
            nonce: input.nonce,
            base: input.base.map(|base| Base { generation: base.generation, digest: base.digest }),
            distro: PlannedDistro {
                id: input.fleet.distro.clone(),
                version: input.fleet.version.clone(),
                signer: signer.cloned(),
                first_use: signer.is_some() && input.signed.pinned.is_none(),
            },
            lock: input.lock,
            policy: input.policy.digest(),
            tool: Tool {
                version: input.tool.to_owned(),
                digest: Digest::of_parts(
                    "astrid:tool:v1",
                    [input.tool.as_bytes(), FORMAT_VERSION.to_le_bytes().as_slice()],
                ),
            },
            changes: self.changes,
            authority: self.authority,
            trust: TrustNeeds { distro, needed },
            confirm: self.confirm,
            health: self.health,
        };
        Plan { document, candidates }
    }
}

fn base_has(fleet: &Fleet, pack: &PackId) -> bool {
    fleet.artifacts.contains_key(&Subject::Pack(pack.clone()))
}
