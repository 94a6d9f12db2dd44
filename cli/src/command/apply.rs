//! `apply`: plan, show, trust, confirm, switch, boot. `init` and the verbs that edit a distro come through here too.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use astrid_resolver::apply::{Applied, ApplyOptions, Applying, apply};
use astrid_resolver::bundle::Bundled;
use astrid_resolver::gate::{CarriedRoot, adopt_carried};
use astrid_resolver::observed::Depth;
use astrid_resolver::plan::PlanDocument;
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
    let selection = fleet::selection(&job.variables.selections)?;
    let fleet =
        fleet::fleet(session, context, &job.declaration, job.upgrade.clone(), selection, Freshness::Hash)?;
    let asked = Asked {
        variables: job.variables,
        acks_of_repository: job.consent.acks.is_some(),
        allow_empty: job.consent.allow_empty,
        look: Depth::Bytes,
        returning: &[],
    };
    let proposal = fleet::proposal(session, context, &fleet, &asked)?;
    if let Some(saved) = &job.saved {
        saved.check_unused(&context.home)?;
        saved.check(&proposal.plan)?;
    }
    let document = proposal.plan.document().clone();
    if job.dry_run {
        let pretty = render_plan(session, &document);
        session.shell.show(&document, &pretty)?;
        return Ok(DONE);
    }
    if !session.shell.for_programs() {
        session.shell.note(render::plan::plan(&document).trim_end());
    }
    session.shell.event("plan", json!({ "plan": document }));

    let flags = flags(job.consent)?;
    // A saved plan was reviewed as it is: it is applied or refused, and nobody is asked.
    let asks = session.world.interactive && job.saved.is_none() && !session.shell.for_programs();
    let caller = Caller { by: &context.caller, now: context.clock.now() };
    let (plan, acknowledgements, draft, parts) = proposal.into_parts();
    let trusted = {
        let disclosures = |id: &str| disclosures(&fleet, id);
        let mut person = Person { shell: &mut session.shell, disclosures: &disclosures };
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
        carried_root(session, &own, bundle, document.distro.signer.is_some() && !document.distro.first_use)?;
    }
    let kernel = kernel::after_switch(session, &own, job.boot, fleet.lock(), applied.generation)?;
    let result = json!({
        "generation": applied.generation.map(GenerationNumber::get),
        "changed": applied.changed,
        "summary": document.summary(),
        "plan": document,
        "kernel": kernel,
    });
    session.shell.show(&result, "")?;
    Ok(DONE)
}

/// What becomes of the root of trust that a bundle carried: known keys may renew the home's, nobody else.
fn carried_root(
    session: &mut Session,
    context: &Context,
    bundle: &Bundled,
    was_known: bool,
) -> Result<(), Failure> {
    let writer = session.write_lock(&context.home, "astrid apply")?;
    match adopt_carried(context, &writer, bundle, was_known)? {
        CarriedRoot::Nothing => {}
        CarriedRoot::Adopted(root) => {
            session.shell.note(&format!("the trusted root is the one of the bundle now: {}", root.digest));
        }
        CarriedRoot::LeftAlone => session.shell.note(
            "the bundle carries another trusted root; it is left alone, because no key that this home knew before \
             vouches for it",
        ),
    }
    Ok(())
}

/// What people are told about a switch.
pub(crate) fn told(session: &mut Session, applied: &Applied) {
    match applied.recovered {
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
    for note in &applied.notes {
        session.shell.warn(&render::safe(note));
    }
    match (applied.changed, applied.generation) {
        (true, Some(number)) => session.shell.note(&format!("generation {number} is current")),
        (false, Some(number)) => session.shell.note(&format!("generation {number} stays current")),
        _ => {}
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

/// What a pack says about itself besides its permissions: what a person should see before trusting it.
pub(crate) fn disclosures(fleet: &VerifiedFleet, id: &str) -> Vec<String> {
    let pack = id.parse().ok().and_then(|id| fleet.pack(&id));
    let Some(Ok(manifest)) = pack.as_ref().map(astrid_resolver::verified::VerifiedPack::manifest) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if !manifest.description.is_empty() {
        lines.push(format!("says: {}", manifest.description));
    }
    let secrets: Vec<&str> = manifest.secrets.iter().map(|secret| secret.name.as_str()).collect();
    if !secrets.is_empty() {
        lines.push(format!("reads secrets: {}", secrets.join(", ")));
    }
    if let Some(pack) = &pack {
        let capsules: Vec<String> =
            pack.capsules().map(|capsule| capsule.locked().name.to_string()).collect();
        if !capsules.is_empty() {
            lines.push(format!("brings capsules, which the kernel confines: {}", capsules.join(", ")));
        }
    }
    lines
}
