//! From what was typed to a verified fleet and a proposal: the steps that plan, apply, lock and fetch share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use astrid_authority::{Digest, PrincipalId};
use astrid_manifest::Subject;
use astrid_manifest::trust::Ack;
use astrid_resolver::lock_state::Selection;
use astrid_resolver::observed::Depth;
use astrid_resolver::proposal::{Options, Proposal, propose};
use astrid_resolver::resolution::{LockMode, Request, Upgrade};
use astrid_resolver::verified::{Freshness, VerifiedFleet, verified};
use astrid_resolver::{Context, Declaration, Origin, Target, variables};

use astrid_store::GenerationNumber;

use crate::args::VariableArgs;
use crate::exit::{Failure, Kind};
use crate::session::Session;
use crate::starter;

/// What everything is done for until there are more principals than the owner of the home.
pub(crate) fn principal() -> PrincipalId {
    PrincipalId::default_user()
}

/// What the lock is to this run, by its flags.
pub(crate) fn lock_mode(session: &Session) -> LockMode {
    if session.global.frozen {
        LockMode::Frozen
    } else if session.global.locked {
        LockMode::Locked
    } else {
        LockMode::Normal
    }
}

/// Reads what people wrote. The bytes of a bundle go aside, and the context's store is there from then on.
pub(crate) fn declaration(
    session: &mut Session,
    context: &mut Context,
    typed: &Path,
) -> Result<Declaration, Failure> {
    let typed = typed.to_str().ok_or_else(|| Failure::usage("the path is no UTF-8"))?;
    let target = Target::parse(typed, &session.world.folder)?;
    target_of(session, context, &target)
}

/// As [`declaration`], of a target that was parsed.
pub(crate) fn target_of(
    session: &mut Session,
    context: &mut Context,
    target: &Target,
) -> Result<Declaration, Failure> {
    if let Target::Bundle { .. } = target {
        context.store = session.store_aside()?;
    }
    load(session, context, target)
}

/// Reads a declaration and tells what its parser warns about.
pub(crate) fn load(
    session: &mut Session,
    context: &Context,
    target: &Target,
) -> Result<Declaration, Failure> {
    let declaration = Declaration::load(context, target)?;
    session.shell.complain(declaration.warnings().iter().cloned());
    Ok(declaration)
}

/// Refuses to upgrade a name that nothing has: else a misspelt name would look like "nothing newer".
pub(crate) fn has_upgraded(declaration: &Declaration, upgrade: &Upgrade) -> Result<(), Failure> {
    let Upgrade::Names(names) = upgrade else { return Ok(()) };
    let distro = declaration.distro();
    let capsules = distro.capsules.iter().map(|entry| ("capsule", entry.name.as_str()));
    let packs = distro.packs.iter().map(|entry| ("pack", entry.id.as_str()));
    // What a pack needs is in the lock only.
    let needed = declaration.lock().into_iter().flat_map(|lock| &lock.packs);
    let needed = needed.map(|pack| ("pack", pack.id.as_str()));
    let mut known = BTreeSet::new();
    for (kind, name) in capsules.chain(packs).chain(needed) {
        known.insert(name.to_owned());
        known.insert(format!("{kind}:{name}"));
    }
    match names.iter().find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(name) => Err(Failure::failed(format!(
            "Distro.toml has no capsule and no pack `{}`",
            crate::render::safe(name)
        ))
        .hint("`astrid tree` shows what it has; a capsule of a pack is upgraded with its pack")),
    }
}

/// Parses `--select GROUP=CAPSULE[,CAPSULE]`.
pub(crate) fn selection(texts: &[String]) -> Result<Selection, Failure> {
    let mut selection = Selection::new();
    for text in texts {
        let wrong = || {
            Failure::usage(format!("`--select {}` is no choice", text.escape_debug()))
                .hint("write --select GROUP=CAPSULE, and more capsules after commas")
        };
        let (group, names) = text.split_once('=').ok_or_else(wrong)?;
        let names = names.split(',').map(|name| name.trim().parse().map_err(|_| wrong()));
        selection.entry(group.to_owned()).or_default().extend(names.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(selection)
}

/// Parses every `--var NAME=VALUE`.
pub(crate) fn overrides(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    texts
        .iter()
        .map(|text| {
            variables::parse_override(text)
                .map_err(|error| Failure { kind: Kind::Usage, ..Failure::from(error) })
        })
        .collect()
}

/// The same context, with a store of its own above the context's: what is refused leaves nothing below.
pub(crate) fn looking(session: &mut Session, context: &Context) -> Result<Context, Failure> {
    let mut looking = context.clone();
    looking.store = session.store_aside()?.over(&context.store);
    Ok(looking)
}

/// Brings what was verified in a context of [`looking`] into the store of the context below it.
pub(crate) fn keep(context: &Context, looking: &Context, fleet: &VerifiedFleet) -> Result<(), Failure> {
    if has_aside(looking, context) {
        astrid_resolver::aside::keep(context, looking, fleet.lock())?;
    }
    Ok(())
}

/// Whether a context has bytes that the other one has not. Mostly there is nothing new, and nothing has to be read.
pub(crate) fn has_aside(looking: &Context, own: &Context) -> bool {
    looking.store.home() != own.store.home() && looking.store.home().blobs().is_dir()
}

/// Resolves and verifies, and tells what people should know.
pub(crate) fn fleet(
    session: &mut Session,
    context: &Context,
    declaration: &Declaration,
    upgrade: Upgrade,
    selection: Selection,
    freshness: Freshness,
) -> Result<VerifiedFleet, Failure> {
    let request = Request { upgrade, selection, mode: lock_mode(session) };
    let looking = looking(session, context)?;
    let fleet = verified(&looking, declaration, &request, freshness)?;
    keep(context, &looking, &fleet)?;
    for warning in fleet.warnings() {
        session.shell.warn(&crate::render::safe(warning));
    }
    Ok(fleet)
}

/// How a plan is made.
pub(crate) struct Asked<'a> {
    pub(crate) variables: &'a VariableArgs,
    pub(crate) acks_of_repository: bool,
    pub(crate) allow_empty: bool,
    pub(crate) look: Depth,
    /// Acknowledgements of earlier generations, for what goes back to how it was then.
    pub(crate) returning: &'a [(GenerationNumber, Vec<Ack>)],
}

/// Plans, and tells what people should know.
pub(crate) fn proposal(
    session: &mut Session,
    context: &Context,
    fleet: &VerifiedFleet,
    asked: &Asked<'_>,
) -> Result<Proposal, Failure> {
    let overrides = overrides(&asked.variables.variables)?;
    let principal = principal();
    let builtin: Vec<(Subject, Digest)> = match fleet.declaration().origin() {
        Origin::Builtin => starter::acknowledged()?,
        _ => Vec::new(),
    };
    let environment = |name: &str| session.world.raw_variable(name);
    let proposal = propose(
        context,
        fleet.clone(),
        &Options {
            overrides: &overrides,
            environment: &environment,
            principal: &principal,
            acks_of_repository: asked.acks_of_repository,
            builtin: &builtin,
            returning: asked.returning,
            allow_empty: asked.allow_empty,
            tool: env!("CARGO_PKG_VERSION"),
            look: Some(asked.look),
        },
    )?;
    for note in &proposal.notes {
        session.shell.warn(&crate::render::safe(note));
    }
    Ok(proposal)
}
