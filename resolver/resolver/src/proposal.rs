//! From a verified fleet and a home to a plan: gathers the facts, and lets the pure planner decide.
//!
//! Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use astrid_authority::{CapsuleName, Digest, EnvKey, PackId, Permission, PrincipalId};
use astrid_manifest::lock::Lock;
use astrid_manifest::policy::{Belief, HomePolicy, Policy};
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::{Ack, AckFile};
use astrid_store::GenerationNumber;
use astrid_store::home::SecretScope;

use crate::apply::ProposalParts;
use crate::context::Context;
use crate::declaration::Declaration;
use crate::endorsement::endorsements;
use crate::error::{Error, Result};
use crate::gate::{DistroProof, Gate, check_distro};
use crate::observed::{Current, Depth, Known, kept, observe_knowing, probes, shape_digest, text_fact};
use crate::plan::document::Action;
use crate::plan::{
    Authorities, AuthorityOf, BaseFacts, DistroSigned, Enforced, Fleet, Item, Nonce, Plan, PlanInput,
    SettingFact, SettingFacts, plan,
};
use crate::policy::EffectivePolicy;
use crate::secrets::{Binding, Secret, SecretName, SecretStore, principal_scope};
use crate::trust::acknowledgement::Revocations;
use crate::trust::{Acknowledgements, Beliefs, Conditions, Floors, PinOutcome, Pins};
use crate::variables::{self, Configuration, Draft, Setting, Sources, StoredSecrets, Templates};
use crate::verified::{VerifiedFleet, refuse_ungranted, ungranted};

/// What a command says, besides what is wanted.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Values of `--var NAME=VALUE`.
    pub overrides: &'a BTreeMap<String, String>,
    /// The environment of the process.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// For whom secrets are stored.
    pub principal: &'a PrincipalId,
    /// `--acks=repository`: acknowledgements of the repository count in this run.
    pub acks_of_repository: bool,
    /// Contents whose acknowledgement is part of the program.
    pub builtin: &'a [(Subject, Digest)],
    /// Acknowledgements of earlier generations, for what goes back to how it was then.
    pub returning: &'a [(GenerationNumber, Vec<Ack>)],
    /// `--allow-empty`.
    pub allow_empty: bool,
    /// The version of the program.
    pub tool: &'a str,
    /// Look at the bytes on disk, so that what is damaged is healed; nothing trusts their presence.
    pub look: Option<Depth>,
}

/// A plan with everything that is needed to trust and apply it.
#[derive(Debug)]
pub struct Proposal {
    /// The plan.
    pub plan: Plan,
    /// The acknowledgements that count in this run.
    pub acknowledgements: Acknowledgements,
    /// The settings, as far as they are known without asking.
    pub draft: Draft,
    /// What people should know: policies and acknowledgements without effect, and the like.
    pub notes: Vec<String>,
    pub(crate) wanted: VerifiedFleet,
    pub(crate) base: Option<BaseFacts>,
    pub(crate) origin: String,
    pub(crate) floors: Floors,
    pub(crate) pins: Pins,
    pub(crate) revocations: Revocations,
    pub(crate) scope: SecretScope,
    pub(crate) tool: String,
}

impl Proposal {
    /// Takes the proposal apart: the plan goes to [`crate::trust::grant()`] with the acknowledgements,
    /// then the draft is completed, and the rest is what [`crate::apply::apply`] works with.
    #[must_use]
    pub fn into_parts(self) -> (Plan, Acknowledgements, Draft, ProposalParts) {
        let parts = ProposalParts {
            wanted: self.wanted,
            base: self.base.map(|base| base.fleet),
            origin: self.origin,
            floors: self.floors,
            pins: self.pins,
            revocations: self.revocations,
            scope: self.scope,
            tool: self.tool,
        };
        (self.plan, self.acknowledgements, self.draft, parts)
    }

    /// Where the distro comes from: what belief and floors are tied to.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The lock that the plan leads to.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        self.wanted.lock()
    }
}

/// What the home says about trust.
#[derive(Debug)]
pub struct HomeTrust {
    /// `etc/policy.toml`.
    pub policy: HomePolicy,
    /// Believed origins.
    pub beliefs: Beliefs,
    /// The floors.
    pub floors: Floors,
    /// Whose signature each distro must have.
    pub pins: Pins,
    /// What was taken back.
    pub revocations: Revocations,
    /// Files of acknowledgements, with the names that people know them by.
    pub acks: Vec<(String, AckFile)>,
}

impl HomeTrust {
    /// Reads what the home says about trust. What is not there says nothing.
    ///
    /// # Errors
    /// 65 when a file that people write is not valid, 84 when one of ours is damaged.
    pub fn read(context: &Context) -> Result<Self> {
        let policy = match read_text(&context.home.policy())? {
            Some(text) => HomePolicy::parse("etc/policy.toml", &text).map_err(Error::from)?.value,
            None => HomePolicy::default(),
        };
        let origins = policy.beliefs.iter().filter_map(|belief| match belief {
            Belief::Origin { origin, .. } => Some(origin.clone()),
            Belief::Key { .. } => None,
        });
        let trust = context.home.trust();
        let beliefs = Beliefs::parse(origins, read_text(&trust.join(Beliefs::FILE))?.as_deref())?;
        let floors = match read_text(&context.home.floors())? {
            Some(text) => Floors::parse(&text)?,
            None => Floors::default(),
        };
        let revocations = match read_text(&trust.join(Revocations::FILE))? {
            Some(text) => Revocations::parse(&text)?,
            None => Revocations::default(),
        };
        let pins = match read_text(&context.home.pins())? {
            Some(text) => Pins::parse(&text)?,
            None => Pins::default(),
        };
        let own = [Beliefs::FILE, Floors::FILE, Pins::FILE, Revocations::FILE];
        let acks = read_acks(&trust, &own, "the home's trust")?;
        Ok(Self { policy, beliefs, floors, pins, revocations, acks })
    }

    /// The acknowledgements that count at this home for a distro of `origin`.
    ///
    /// `of_repository` are those that came with the distro, which was signed by `signer`; `flag` is
    /// `--acks=repository`.
    #[must_use]
    pub fn acknowledgements(
        &self,
        context: &Context,
        origin: &str,
        of_repository: Vec<(String, AckFile)>,
        signer: &Signer,
        flag: bool,
    ) -> Acknowledgements {
        let keys = self.policy.beliefs.iter().filter_map(|belief| match belief {
            Belief::Key { key, .. } => key.parse().ok(),
            Belief::Origin { .. } => None,
        });
        let mut known = Acknowledgements::new(&Conditions {
            now: context.clock.now(),
            rule: self.policy.acks,
            repository_counts: flag || self.believes(origin, signer),
            keys: &keys.collect(),
            revocations: &self.revocations,
        });
        for (name, file) in &self.acks {
            known = known.with_home(name, file.clone());
        }
        for (name, file) in of_repository {
            known = known.with_repository(&name, file);
        }
        known
    }

    /// Whether acknowledgements and policies of this origin, or signed by this signer, count.
    #[must_use]
    pub fn believes(&self, origin: &str, signer: &Signer) -> bool {
        // The home's own file and the program's are not somebody else's word.
        matches!(origin, "home" | "builtin")
            || origin != crate::Origin::UNSEALED && self.beliefs.believes(origin)
            || match signer {
                Signer::Unsigned => false,
                Signer::Key(key) => self.policy.believes_key(key),
                Signer::Ci { .. } | Signer::Identity { .. } => self.beliefs.believes(&signer.to_string()),
            }
    }

    /// The policy of this home and of a distro that was signed by `signer`, together.
    #[must_use]
    pub fn effective_policy(&self, distro: &Policy, origin: &str, signer: &Signer) -> EffectivePolicy {
        EffectivePolicy::combine(&self.policy.policy, distro, self.believes(origin, signer))
    }

    /// Who signed a declaration, and the policy that is in force for it.
    ///
    /// # Errors
    /// 83 when its signature is wrong or missing where a rule asks for one; 65 when it can't be read.
    pub(crate) fn judge(
        &self,
        context: &Context,
        declaration: &Declaration,
    ) -> Result<(EffectivePolicy, DistroProof)> {
        let theirs = &declaration.distro().policy;
        // Who may sign a distro is never the distro's own word.
        let own = EffectivePolicy::combine(&self.policy.policy, theirs, false);
        let gate = Gate::open(context, &own, self.policy.trusted_root);
        let proof = check_distro(&gate, declaration)?;
        let policy = self.effective_policy(theirs, &declaration.origin().identity(), &proof.signer);
        Ok((policy, proof))
    }
}

fn read_text(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Err(Error::failed(format!("`{name}` can't be read")).caused_by(error))
        }
    }
}

fn read_acks(folder: &Path, others: &[&str], shown: &str) -> Result<Vec<(String, AckFile)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed(format!("{shown}/ can't be read")).caused_by(error)),
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let is_toml = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "toml");
    names.retain(|name| is_toml(name) && !name.starts_with('.') && !others.contains(&name.as_str()));
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let Some(text) = read_text(&folder.join(&name))? else { continue };
        let shown = format!("{shown}/{name}");
        let file = AckFile::parse(&shown, &text).map_err(Error::from)?.value;
        files.push((shown, file));
    }
    Ok(files)
}

/// The stored secrets, as the capsules of the wanted fleet may have them.
struct Bound<'a> {
    store: Option<&'a SecretStore<'a>>,
    scope: &'a SecretScope,
    wanted: &'a Fleet,
    base: Option<&'a Fleet>,
    shapes: Option<&'a BTreeMap<CapsuleName, BTreeMap<EnvKey, String>>>,
}

/// Who a capsule is, as far as its secrets are bound to it.
pub(crate) fn binding(fleet: &Fleet, capsule: &CapsuleName) -> Option<Binding> {
    let artifact = fleet.artifacts.get(&Subject::Capsule(capsule.clone()))?;
    Some(Binding { source: artifact.place.clone(), signer: artifact.signer.to_string() })
}

impl Bound<'_> {
    fn value(&self, capsule: &CapsuleName, key: &EnvKey) -> Option<Secret> {
        let store = self.store?;
        let name = SecretName { scope: self.scope.clone(), capsule: capsule.clone(), key: key.clone() };
        // What the capsule of before has, the capsule of the same name gets once it is trusted.
        [binding(self.wanted, capsule), self.base.and_then(|base| binding(base, capsule))]
            .into_iter()
            .flatten()
            .find_map(|binding| store.get(&name, &binding).ok().flatten())
    }
}

impl AuthorityOf for VerifiedFleet {
    fn enforced(&self, capsule: &CapsuleName) -> Result<Enforced> {
        let unknown = || Error::failed(format!("capsule `{capsule}` is not in the fleet"));
        let authority = self.capsule(capsule).ok_or_else(unknown)?.authority()?;
        Ok(Enforced { granted: authority.granted.clone(), unused: authority.unused.clone() })
    }

    fn disclosed(&self, pack: &PackId) -> Result<Vec<Permission>> {
        let unknown = || Error::failed(format!("pack `{pack}` is not in the fleet"));
        Ok(self.pack(pack).ok_or_else(unknown)?.manifest()?.permissions.clone())
    }
}

impl StoredSecrets for Bound<'_> {
    fn has(&self, capsule: &CapsuleName, key: &EnvKey, shape: Option<&str>) -> bool {
        let recorded = || self.shapes?.get(capsule)?.get(key).map(String::as_str);
        shape.is_none_or(|shape| recorded() == Some(shape)) && self.value(capsule, key).is_some()
    }

    fn holds(&self, capsule: &CapsuleName, key: &EnvKey, value: &Secret) -> bool {
        self.value(capsule, key).is_some_and(|stored| stored == *value)
    }
}

/// Plans what leads from the home's current generation to what is wanted.
///
/// # Errors
/// As [`crate::plan::plan`]; 65 when a setting can't be made; 84 when the home is damaged.
pub fn propose(context: &Context, wanted: VerifiedFleet, options: &Options<'_>) -> Result<Proposal> {
    let secrets = SecretStore::open_existing(&context.home, context.store.disk())?;
    let key = secrets.as_ref().map(SecretStore::key);
    let lock_text = wanted.lock().to_toml();
    let known = Known {
        lock: (&lock_text, wanted.lock()),
        declaration: (wanted.declaration().text(), wanted.declaration().distro()),
    };
    let current = Current::load(context, key, Some(known))?;
    let origin = wanted.declaration().origin().identity();
    let fleet = Fleet::of_lock(wanted.lock(), &origin);
    let trust = HomeTrust::read(context)?;
    let policy =
        trust.effective_policy(&wanted.declaration().distro().policy, &origin, &wanted.proof().signer);
    let scope = principal_scope(options.principal)?;
    let bound = Bound {
        store: secrets.as_ref(),
        scope: &scope,
        wanted: &fleet,
        base: current.as_ref().map(|current| &current.facts.fleet),
        shapes: current.as_ref().map(|current| &current.configuration.shapes),
    };
    let stored = current.as_ref().map(|current| current.configuration.variables.clone()).unwrap_or_default();
    let sources = Sources {
        overrides: options.overrides,
        environment: options.environment,
        stored: &stored,
        secrets: &bound,
    };
    let distro = wanted.declaration().distro();
    let draft = variables::draft(distro.variables.clone(), templates(&wanted), &sources)?;
    let settings = facts_of(&draft.preview(), key);
    let (damaged, unproved) = match (options.look, &current) {
        (Some(depth), Some(current)) => {
            let observed = observe_knowing(context, current, depth, wanted.listings())?;
            let damaged: BTreeMap<Subject, String> = observed
                .damaged
                .into_iter()
                .map(|(subject, damage)| (subject, damage.as_words().to_owned()))
                .collect();
            (damaged, observed.unproved)
        }
        _ => (BTreeMap::new(), BTreeSet::new()),
    };
    let of_repository = wanted.declaration().acknowledgements()?;
    let extended = |acknowledgements: Acknowledgements| {
        let all = acknowledgements.with_builtin(options.builtin.iter().cloned());
        options.returning.iter().fold(all, |all, (number, acks)| all.with_generation(number.get(), acks))
    };
    let acknowledgements = extended(trust.acknowledgements(
        context,
        &origin,
        of_repository.clone(),
        &wanted.proof().signer,
        false,
    ));
    let mut nonce = [0; 16];
    context
        .entropy
        .fill(&mut nonce)
        .map_err(|error| Error::failed("the system gives no random bytes").caused_by(error))?;
    let recorded = current.as_ref().map(Current::authority);
    let nothing = Authorities::default();
    let stored_secrets = |capsule: &CapsuleName| {
        let keys = secrets.as_ref().map(|secrets| secrets.keys_of(&scope, capsule));
        keys.and_then(Result::ok).unwrap_or_default()
    };
    let signer = &wanted.proof().signer;
    let standing = trust.pins.check(&distro.header.id, signer, &endorsements(wanted.declaration())?);
    let planned = plan(&PlanInput {
        base: current.as_ref().map(|current| &current.facts),
        fleet: &fleet,
        lock: Digest::of(lock_text.as_bytes()),
        origin: &origin,
        authority: &wanted,
        base_authority: match &recorded {
            Some(recorded) => recorded,
            None => &nothing,
        },
        settings: &settings,
        defaulted: &draft.defaulted(),
        stored_secrets: &stored_secrets,
        damaged: &damaged,
        unproved: &unproved,
        lines: &lines(&wanted),
        keep: &kept(distro, wanted.lock()),
        probes: &probes(distro, wanted.lock()),
        policy: &policy,
        floors: &trust.floors,
        acknowledgements: &acknowledgements,
        signed: DistroSigned {
            signer,
            required: wanted.proof().required,
            pinned: trust.pins.get(&distro.header.id).map(|pin| &pin.signer),
            endorsed: matches!(standing, PinOutcome::Endorsed(_)),
        },
        tool: options.tool,
        nonce: Nonce::from_bytes(nonce),
        // The home's own distro may become empty: its owner empties it entry by entry.
        allow_empty: options.allow_empty || wanted.declaration().is_home(),
    })?;
    let mut notes = policy.without_effect().to_vec();
    if let PinOutcome::Endorsed(keys) = &standing {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "who signs the distro changed, as its keys say one of the other: {}",
            keys.join(" → ")
        ));
    }
    let same_policy = current.as_ref().is_some_and(|current| current.facts.policy == policy.digest());
    check_changes(&wanted, &planned, &policy, same_policy, &mut notes)?;
    // What the flag of this run lets count is no part of the plan that others review.
    // The flag speaks of the folder that somebody reviewed: what was fetched counts by belief only.
    let acknowledgements = if options.acks_of_repository && !wanted.declaration().origin().is_fetched() {
        extended(trust.acknowledgements(context, &origin, of_repository, &wanted.proof().signer, true))
    } else {
        acknowledgements
    };
    let base = current.map(|current| current.facts);
    Ok(Proposal {
        plan: planned,
        acknowledgements,
        draft,
        notes,
        wanted,
        base,
        origin,
        floors: trust.floors,
        pins: trust.pins,
        revocations: trust.revocations,
        scope: scope.clone(),
        tool: options.tool.to_owned(),
    })
}

/// What verification says of every fleet, said again of what changes: a fleet that was taken as its lock has it
/// was not looked at.
fn check_changes(
    wanted: &VerifiedFleet,
    plan: &Plan,
    policy: &EffectivePolicy,
    same_policy: bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    let planned = &plan.document().changes;
    if planned.iter().any(|change| change.action == Action::Remove) {
        wanted.check_imports()?;
    }
    let everything = policy.refuses_ungranted_imports() && !same_policy;
    let changed: BTreeSet<&CapsuleName> = planned
        .iter()
        .filter(|change| !matches!(change.action, Action::Remove | Action::Heal))
        .filter_map(|change| match &change.subject {
            Item::Subject(Subject::Capsule(name)) => Some(name),
            _ => None,
        })
        .collect();
    for capsule in wanted.capsules() {
        if !everything && !changed.contains(&capsule.locked().name) {
            continue;
        }
        for text in ungranted(&capsule.locked().name, capsule.authority()?) {
            if policy.refuses_ungranted_imports() {
                return Err(refuse_ungranted(text));
            }
            if !wanted.warnings().contains(&text) {
                notes.push(text);
            }
        }
    }
    Ok(())
}

/// The templates of the locked capsules that the declaration itself names.
fn templates(wanted: &VerifiedFleet) -> Templates {
    let distro = wanted.declaration().distro();
    let entries = distro.capsules.iter().filter(|entry| {
        !entry.env.is_empty()
            && wanted.lock().capsule(entry.name.as_str()).is_some_and(|locked| locked.pack.is_none())
    });
    entries.map(|entry| (entry.name.clone(), entry.env.clone())).collect()
}

/// The lines of the declaration that ask for each subject.
fn lines(wanted: &VerifiedFleet) -> BTreeMap<Subject, u32> {
    let distro = wanted.declaration().distro();
    let capsules = distro.capsules.iter().map(|entry| (Subject::Capsule(entry.name.clone()), entry.at.line));
    let packs = distro.packs.iter().map(|entry| (Subject::Pack(entry.id.clone()), entry.at.line));
    capsules.chain(packs).collect()
}

fn facts_of(configuration: &Configuration, key: Option<&astrid_store::home::HomeKey>) -> SettingFacts {
    let mut facts = SettingFacts::new();
    for (capsule, settings) in &configuration.settings {
        for (name, setting) in settings {
            let fact = match setting {
                Setting::Text(text) => text_fact(key, capsule, name, text),
                Setting::StoredSecret { shape } => SettingFact::StoredSecret(shape_digest(shape.as_deref())),
                Setting::NewSecret { shape, .. } => SettingFact::NewSecret(shape_digest(shape.as_deref())),
                Setting::Unknown { secret } => SettingFact::Unknown { secret: *secret },
            };
            facts.insert((capsule.clone(), name.clone()), fact);
        }
    }
    facts
}
