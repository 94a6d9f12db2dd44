//! `apply`: plan, show, trust, confirm, switch, boot. `init` and the verbs that edit a distro come through here too.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use astrid_manifest::Subject;
use astrid_manifest::trust::Ack;
use astrid_resolver::apply::{Applied, ApplyOptions, Applying, apply, begin};
use astrid_resolver::bundle::Bundled;
use astrid_resolver::gate::{CarriedRoot, adopt_carried};
use astrid_resolver::observed::Depth;
use astrid_resolver::plan::PlanDocument;
use astrid_resolver::proposal::Proposal;
use astrid_resolver::resolution::{LockMode, Upgrade};
use astrid_resolver::saved_plan::{MAX_PLAN_BYTES, SavedPlan};
use astrid_resolver::trust::grant::{Caller, Prompt, grant};
use astrid_resolver::trust::{Flags, TrustFlag};
use astrid_resolver::verified::{Freshness, VerifiedFleet};
use astrid_resolver::{Context, Declaration};
use astrid_store::generation::{Action, GenerationNumber};
use astrid_store::journal::Recovered;
use serde_json::json;

use super::fleet::{self, Asked};
use super::kernel;
use crate::args::{ApplyArgs, BootArgs, ConsentArgs, VariableArgs};
use crate::exit::{DONE, Failure, Outcome};
use crate::facts::AllFacts;
use crate::prompt::{self, Person, Values};
use crate::render;
use crate::session::Session;
use crate::shell::Format;

/// What is to be applied, and how.
pub(crate) struct Job<'a> {
    pub(crate) declaration: Declaration,
    pub(crate) variables: &'a VariableArgs,
    pub(crate) consent: &'a ConsentArgs,
    pub(crate) boot: &'a BootArgs,
    pub(crate) dry_run: bool,
    pub(crate) upgrade: Upgrade,
    pub(crate) made_by: Action,
    /// What another writer is told is running.
    pub(crate) command: &'static str,
    pub(crate) saved: Option<SavedPlan>,
    /// Acknowledgements of earlier generations, for what goes back to how it was then.
    pub(crate) returning: &'a [(GenerationNumber, Vec<Ack>)],
}

/// The flags of consent as the library takes them.
pub(crate) fn flags(consent: &ConsentArgs) -> Result<Flags, Failure> {
    let mut flags = Flags {
        allow_downgrade: consent.allow_downgrade,
        allow_unsigned: consent.allow_unsigned,
        accept_new_key: consent.accept_new_key,
        replace_distro: consent.replace_distro,
        ..Flags::default()
    };
    for text in &consent.trust {
        if text.is_empty() {
            flags.trust_all = true;
        } else {
            flags.trust.push(text.parse::<TrustFlag>().map_err(|error| Failure::usage(error.to_string()))?);
        }
    }
    Ok(flags)
}

/// `apply`
pub(crate) fn run(session: &mut Session, args: &ApplyArgs) -> Outcome {
    let mut context = session.context()?;
    let saved = saved_plan(session, &args.path)?;
    let path = if saved.is_some() { Path::new(".") } else { args.path.as_path() };
    let declaration = fleet::declaration(session, &mut context, path)?;
    let made_by = if saved.is_some() { Action::ApplyPlan } else { Action::Apply };
    let job = Job {
        declaration,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: args.dry_run,
        upgrade: Upgrade::None,
        made_by,
        command: "astrid apply",
        saved,
        returning: &[],
    };
    perform(session, &context, job)
}

/// The saved plan at a path, when there is one.
pub(crate) fn saved_plan(session: &Session, typed: &Path) -> Result<Option<SavedPlan>, Failure> {
    let path = session.world.path(typed);
    if !path.is_file() || path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(None);
    }
    let unreadable = |error| Failure::failed(format!("{} can't be read: {error}", typed.display()));
    // One byte more than a plan may have: parsing refuses it, and no more of the file is ever held.
    let limit = MAX_PLAN_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    File::open(&path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if SavedPlan::is_one(&bytes) { Ok(Some(SavedPlan::parse(&bytes)?)) } else { Ok(None) }
}

/// Plans, shows, asks, switches and boots.
pub(crate) fn perform(session: &mut Session, context: &Context, job: Job<'_>) -> Outcome {
    // What was verified comes into the home when it is trusted.
    let looking = fleet::looking(session, context)?;
    let prepared = prepare(session, &looking, &job)?;
    if job.dry_run {
        let document = prepared.proposal.plan.document();
        let mut pretty = render_plan(session, document);
        for need in &document.trust.needed {
            if matches!(need.subject, Subject::Pack(_)) {
                pretty.push('\n');
                pretty.push_str(&render::trust::pack(need, &prepared.packs));
            }
        }
        session.shell.show(document, &pretty)?;
        return Ok(DONE);
    }
    let done = carry_out(session, &looking, &job, prepared)?;
    session.shell.show(&done.document(), "")?;
    Ok(DONE)
}

/// What would be done, and all that is shown about it. Nothing is changed yet.
pub(crate) struct Prepared {
    pub(crate) fleet: VerifiedFleet,
    pub(crate) proposal: Proposal,
    /// What is shown of the packs that need trust.
    pub(crate) packs: AllFacts,
}

/// What was done.
pub(crate) struct Done {
    pub(crate) plan: PlanDocument,
    pub(crate) applied: Applied,
    kernel: serde_json::Value,
}

impl Done {
    pub(crate) fn document(&self) -> serde_json::Value {
        json!({
            "generation": self.applied.generation.map(GenerationNumber::get),
            "changed": self.applied.changed,
            "summary": self.plan.summary(),
            "plan": self.plan,
            "kernel": self.kernel,
        })
    }
}

/// Resolves, verifies and plans.
pub(crate) fn prepare(session: &mut Session, context: &Context, job: &Job<'_>) -> Result<Prepared, Failure> {
    let selection = fleet::selection(&job.variables.selections)?;
    let fleet =
        fleet::fleet(session, context, &job.declaration, job.upgrade.clone(), selection, Freshness::Hash)?;
    let asked = Asked {
        variables: job.variables,
        acks_of_repository: job.consent.acks.is_some(),
        allow_empty: job.consent.allow_empty,
        look: Depth::Bytes,
        returning: job.returning,
    };
    let proposal = fleet::proposal(session, context, &fleet, &asked)?;
    if let Some(saved) = &job.saved {
        saved.check_unused(&context.home)?;
        saved.check(&proposal.plan)?;
    }
    let packs = AllFacts::of_plan(context, &fleet, proposal.plan.document())?;
    Ok(Prepared { fleet, proposal, packs })
}

/// Shows, asks, switches and boots.
pub(crate) fn carry_out(
    session: &mut Session,
    context: &Context,
    job: &Job<'_>,
    prepared: Prepared,
) -> Result<Done, Failure> {
    let Prepared { fleet, proposal, packs } = prepared;
    let document = proposal.plan.document().clone();
    if !session.shell.for_programs() {
        session.shell.note(render::plan::plan(&document).trim_end());
    }
    session.shell.event("plan", json!({ "plan": document }));

    let flags = flags(job.consent)?;
    // A saved plan was reviewed as it is: it is applied or refused, and nobody is asked.
    let asks = session.world.interactive && job.saved.is_none() && !session.shell.for_programs();
    show_packs(session, &document, &packs, &flags, asks);
    let caller = Caller { by: &context.caller, now: context.clock.now() };
    let (plan, acknowledgements, draft, parts) = proposal.into_parts();
    let trusted = {
        let mut person = Person { shell: &mut session.shell, packs: &packs };
        let person = asks.then_some(&mut person as &mut dyn Prompt);
        grant(plan, &acknowledgements, &flags, person, caller)?
    };
    if !document.is_empty() && !session.global.yes && job.saved.is_none() {
        confirm(session, asks)?;
    }
    let configuration = {
        let mut values = Values(&mut session.shell);
        draft.complete(asks.then_some(&mut values))?
    };
    let options = ApplyOptions {
        command: job.command,
        lock_timeout: session.global.lock_timeout,
        write_lock: fleet::lock_mode(session) == LockMode::Normal && job.declaration.folder().is_some(),
        made_by: job.made_by,
        saved: job.saved.as_ref().map(|saved| saved.document().nonce),
    };
    let own = session.context()?;
    if let Some(bundle) = job.declaration.bundle() {
        // Everything was verified aside. Only now that it is trusted do its bytes come into the home.
        own.home.ensure(&session.disk())?;
        astrid_resolver::bundle::bring(&own, bundle.shuttle())?;
    } else if context.is_looking_only() || fleet::has_aside(context, &own) {
        own.home.ensure(&session.disk())?;
        astrid_resolver::aside::keep(&own, context, fleet.lock())?;
    }
    let applied = apply(
        &own,
        &trusted,
        Applying::new(parts, configuration),
        &options,
        &mut kernel::hooks(session, &own, job.boot),
    )?;
    told(session, &applied);
    if let (Some(bundle), true) = (job.declaration.bundle(), applied.changed) {
        carried_root(session, &own, bundle)?;
    }
    let kernel = kernel::after_switch(session, &own, job.boot, fleet.lock(), applied.generation)?;
    Ok(Done { plan: document, applied, kernel })
}

/// Shows the summary of every pack that nobody will be asked about, before its trust is taken for given: also when
/// it comes by a flag, from a file, or is refused for want of it.
fn show_packs(session: &mut Session, document: &PlanDocument, packs: &AllFacts, flags: &Flags, asks: bool) {
    for need in &document.trust.needed {
        let flagged = flags.trust_all || flags.trusts(&need.subject, need.content);
        let is_asked = asks && need.satisfied_by.is_none() && !flagged;
        if matches!(need.subject, Subject::Pack(_)) && !is_asked {
            session.shell.say(&format!("\n{}", render::trust::pack(need, packs).trim_end()));
        }
    }
}

/// What becomes of the root of trust that a bundle carried: believed keys may renew the home's, nobody else.
fn carried_root(session: &mut Session, context: &Context, bundle: &Bundled) -> Result<(), Failure> {
    let writer = session.write_lock(&context.home, "astrid apply")?;
    match adopt_carried(context, &writer, bundle)? {
        CarriedRoot::Nothing => {}
        CarriedRoot::Adopted(root) => {
            session.shell.note(&format!("the trusted root is the one of the bundle now: {}", root.digest));
        }
        CarriedRoot::LeftAlone => session.shell.note(
            "the bundle carries another trusted root; it is left alone, because no key that this home believes \
             vouches for it",
        ),
    }
    Ok(())
}

/// Finishes or undoes what an earlier command left half-done, before anything is planned: a plan is made for the home
/// as it is, and part of what a switch brings would not be there yet.
pub(crate) fn settle(session: &mut Session) -> Result<(), Failure> {
    if !session.home()?.journal().exists() {
        return Ok(());
    }
    let context = session.context()?;
    let (writer, recovered) = begin(&context, "astrid", session.global.lock_timeout)?;
    drop(writer);
    tell_recovered(session, recovered);
    Ok(())
}

/// What people are told about a switch.
pub(crate) fn told(session: &mut Session, applied: &Applied) {
    tell_recovered(session, applied.recovered);
    for note in &applied.notes {
        session.shell.warn(&render::safe(note));
    }
    match (applied.changed, applied.generation) {
        (true, Some(number)) => session.shell.note(&format!("generation {number} is current")),
        (false, Some(number)) => session.shell.note(&format!("generation {number} stays current")),
        _ => {}
    }
}

fn tell_recovered(session: &mut Session, recovered: Recovered) {
    match recovered {
        Recovered::Nothing => {}
        Recovered::Finished(number) => {
            session.shell.note(&format!(
                "an earlier command was cut short after its switch: finished, {}",
                is_current(number)
            ));
        }
        Recovered::Undone(number) => {
            session.shell.note(&format!(
                "an earlier command was cut short before its switch: undone, {}",
                is_current(number)
            ));
        }
    }
}

fn is_current(number: Option<GenerationNumber>) -> String {
    number.map_or("nothing was applied".to_owned(), |number| format!("generation {number} was current"))
}

/// The ordinary confirmation.
fn confirm(session: &mut Session, asks: bool) -> Result<(), Failure> {
    if !asks {
        return Err(Failure::usage("nobody can be asked here, and the plan was not confirmed")
            .hint("review it with `astrid plan`, then pass --yes"));
    }
    if prompt::confirm(&mut session.shell, "Proceed?")? { Ok(()) } else { Err(Failure::failed("Cancelled.")) }
}

/// The plan in the words of the chosen format.
pub(crate) fn render_plan(session: &Session, document: &PlanDocument) -> String {
    if session.shell.format() == Format::Markdown {
        render::markdown::plan(document)
    } else {
        render::plan::plan(document)
    }
}
