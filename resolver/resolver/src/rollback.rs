//! Back to an earlier generation: `current` points at another one, in one flip.
//!
//! What was trusted then is not trusted for ever: revocations and the policy are looked at again. Floors
//! stay where they are, so that going back never opens the door to a downgrade.

use std::collections::BTreeMap;

use astrid_authority::Digest;
use astrid_manifest::distro::Distro;
use astrid_manifest::lock::Lock;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_store::generation::{Action as MadeBy, Generation, GenerationNumber, Generations};
use astrid_store::journal::{Recovered, Switch, SwitchError};

use crate::apply::{Applied, BeforeSwitch, begin, generation_acks};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::{Evidence, Gate};
use crate::history;
use crate::observed::{Current, Depth, check_content, recorded_signer};
use crate::plan::{DistroSigned, Nonce, Plan, PlanInput, plan};
use crate::proposal::HomeTrust;
use crate::secrets::SecretStore;
use crate::trust::Floors;

/// How to roll back.
#[derive(Debug, Clone, Copy)]
pub struct RollbackOptions<'a> {
    /// The generation to go back to; the one before the current one when there is none.
    pub to: Option<GenerationNumber>,
    /// What another writer is told is running.
    pub command: &'a str,
    /// How long to wait for another writer.
    pub lock_timeout: std::time::Duration,
    /// The version of the program.
    pub tool: &'a str,
}

/// What a rollback would do.
#[derive(Debug)]
pub struct RollbackProposal {
    /// The plan from the current generation to the other one.
    pub plan: Plan,
    /// The generation that it leads to.
    pub to: GenerationNumber,
}

/// Plans a rollback, and looks at trust and policy again.
///
/// # Errors
/// 82 when trust in something of that generation was taken back, 85 when the policy of today forbids
/// it, 83 when a rule of today names another signer, 84 when bytes of it are gone.
pub fn propose_rollback(context: &Context, options: &RollbackOptions<'_>) -> Result<RollbackProposal> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let secrets = SecretStore::open_existing(&context.home, context.store.disk())?;
    let key = secrets.as_ref().map(SecretStore::key);
    let current = Current::load(context, key, None)?
        .ok_or_else(|| Error::failed("nothing is applied: there is no generation to roll back from"))?;
    let number = current.generation.number();
    let to = match options.to {
        Some(to) => to,
        None => before(context, &current.generation)?,
    };
    if to == number {
        return Err(Error::failed(format!("generation {to} is the current one"))
            .hint("`astrid generations` lists them"));
    }
    let target = Current::of(generations.open(to)?, key, None)?;
    check_policy_and_plan(context, &current, &target, options)
}

/// The generation that was current before: what history says, else the parent, else the one below.
fn before(context: &Context, current: &Generation) -> Result<GenerationNumber> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let number = current.number();
    let there = generations.list()?;
    let entries = history::history(&context.home)?;
    let from_history = entries.iter().rev().find(|entry| entry.to == number).and_then(|entry| entry.from);
    [from_history, current.meta().parent]
        .into_iter()
        .flatten()
        .chain(there.iter().rev().copied().filter(|own| *own < number))
        .find(|own| there.contains(own) && *own != number)
        .ok_or_else(|| Error::failed(format!("generation {number} is the only one")))
}

fn check_policy_and_plan(
    context: &Context,
    current: &Current,
    target: &Current,
    options: &RollbackOptions<'_>,
) -> Result<RollbackProposal> {
    let trust = HomeTrust::read(context)?;
    let to = target.generation.number();
    let mut missing = Vec::new();
    for (subject, artifact) in &target.facts.fleet.artifacts {
        if let Some(damage) = check_content(&context.store, &artifact.content, Depth::Presence) {
            missing.push(format!("{subject}: {}", damage.as_words()));
        }
    }
    if !missing.is_empty() {
        return Err(Error::corrupt(format!("generation {to} is not complete any more"))
            .because(missing)
            .hint("roll back to another one: `astrid generations` lists them"));
    }
    let declaration = target.generation.declaration()?;
    let parse = if target.facts.origin == "home" { Distro::parse_home } else { Distro::parse };
    let distro = parse("Distro.toml", &declaration).map_err(Error::from)?.value;
    let signer = recorded_signer(&target.generation)?;
    let policy = trust.effective_policy(&distro.policy, &target.facts.origin, &signer);
    check_makers(&Gate::open(context, &policy, trust.policy.trusted_root), &target.lock)?;
    let acknowledgements = trust
        .acknowledgements(context, &target.facts.origin, Vec::new(), &Signer::Unsigned, false)
        .with_generation(to.get(), &generation_acks(&target.generation)?);
    let own = target.facts.fleet.own_capsules_digests();
    let revoked: Vec<String> = target
        .facts
        .fleet
        .artifacts
        .iter()
        .filter(|(subject, artifact)| {
            let distro = artifact.pack.is_none().then_some((&target.facts.fleet.distro, &own));
            acknowledgements.is_revoked(subject, artifact.content, distro)
        })
        .map(|(subject, artifact)| format!("{subject} {} ({})", artifact.version, artifact.content))
        .collect();
    if !revoked.is_empty() {
        return Err(Error::new(
            ErrorKind::TrustRequired,
            format!("trust in what generation {to} runs was taken back"),
        )
        .because(revoked)
        .hint(
            "roll back to another generation, or review and acknowledge it again with `astrid trust ack`",
        ));
    }
    let (recorded, base_recorded) = (target.authority(), current.authority());
    let plan = plan(&PlanInput {
        // The generation was made under another policy than today's: everything in it is looked at again.
        base: Some(&crate::plan::BaseFacts {
            policy: Digest::of(b"looked at again"),
            ..current.facts.clone()
        }),
        fleet: &target.facts.fleet,
        lock: target.facts.lock,
        origin: &target.facts.origin,
        authority: &recorded,
        base_authority: &base_recorded,
        settings: &target.facts.settings,
        defaulted: &std::collections::BTreeSet::new(),
        stored_secrets: &|_| Vec::new(),
        damaged: &BTreeMap::new(),
        unproved: &std::collections::BTreeSet::new(),
        lines: &BTreeMap::new(),
        keep: &target.facts.keep,
        probes: &target.facts.probes,
        policy: &policy,
        // Going back is what a rollback is for; that floors stay is what matters.
        floors: &Floors::default(),
        acknowledgements: &acknowledgements,
        signed: DistroSigned::AS_BEFORE,
        tool: options.tool,
        nonce: Nonce::from_bytes([0; 16]),
        allow_empty: true,
    })?;
    Ok(RollbackProposal { plan, to })
}

/// Says whether who made what a generation runs may have made it, by the rules of today.
fn check_makers(gate: &Gate<'_>, lock: &Lock) -> Result<()> {
    let capsules = lock.capsules.iter().filter(|locked| locked.pack.is_none()).map(|locked| {
        let subject = Subject::Capsule(locked.name.clone());
        (subject, &locked.source, locked.content, locked.archive, locked.bundle, &locked.signer)
    });
    let packs = lock.packs.iter().map(|locked| {
        let subject = Subject::Pack(locked.id.clone());
        (subject, &locked.source, locked.content, locked.archive, locked.bundle, &locked.signer)
    });
    for (subject, source, content, archive, signature, signer) in capsules.chain(packs) {
        // What a bundle of version 1 brought has no signature of its own; this home wrote down whose that was.
        let vouched = (!signer.is_unsigned()).then_some(signer);
        gate.admit(&Evidence { subject: &subject, source, content, archive, signature, vouched })?;
    }
    gate.save();
    Ok(())
}

/// Rolls back.
///
/// # Errors
/// As [`propose_rollback`]; 75 when another writer holds the lock; 86 when the switch failed and
/// everything is as it was.
pub fn rollback(
    context: &Context,
    options: &RollbackOptions<'_>,
    hooks: &mut dyn BeforeSwitch,
) -> Result<Applied> {
    let (writer, recovered) = begin(context, options.command, options.lock_timeout)?;
    let proposal = propose_rollback(context, options)?;
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let (home, disk) = (&context.home, context.store.disk());
    let current = generations.current()?;
    let target = generations.open(proposal.to)?;
    let inventory = target.inventory()?;
    let contents = inventory.capsules.values().map(|item| item.content);
    for content in contents.chain(inventory.packs.values().map(|item| item.content)) {
        // What is switched to is what was applied then, byte for byte.
        if let Some(damage) = check_content(&context.store, &content, Depth::Bytes) {
            return Err(Error::corrupt(format!(
                "generation {} is damaged: {}",
                proposal.to,
                damage.as_words()
            ))
            .hint("run `astrid verify --store`, or roll back to another one"));
        }
    }
    for item in inventory.packs.values() {
        let tree = context.store.tree(&item.content)?;
        context.store.repair_served_tree(&tree, &writer)?;
    }
    let failed = |cause: Error| {
        Error::new(ErrorKind::RolledBack, "the rollback failed, and nothing was changed").caused_by(cause)
    };
    let mut switch = Switch::new(home, disk, &writer, Some(proposal.to));
    let entry = history::Entry {
        at: context.clock.now(),
        by: context.caller.clone(),
        action: MadeBy::Rollback,
        from: current.as_ref().map(Generation::number),
        to: proposal.to,
        distro: target.meta().distro.clone(),
    };
    switch.place(&history::file(home), &history::with(home, entry)?, 0o600)?;
    if let Err(error) = hooks.before_switch(current.as_ref(), &target) {
        hooks.abandoned();
        return Err(failed(error));
    }
    let mut notes = Vec::new();
    match switch.commit() {
        Ok(()) => {}
        Err(SwitchError { cause, recovered: Some(Recovered::Finished(_)) }) => {
            notes.push(format!("{cause}; the generation is in force all the same"));
        }
        Err(SwitchError { cause, .. }) => {
            hooks.abandoned();
            return Err(failed(cause.into()));
        }
    }
    if let Err(error) = hooks.switched() {
        notes.push(format!("after the switch: {error}"));
    }
    Ok(Applied { generation: Some(proposal.to), changed: true, recovered, notes })
}
