//! `rollback`: back to an earlier generation, with trust and policy of today.

use astrid_resolver::Context;
use astrid_resolver::rollback::{RollbackOptions, propose_rollback, rollback};
use astrid_store::Generations;
use astrid_store::generation::GenerationNumber;
use serde_json::json;

use super::apply::{render_plan, told};
use super::{generations, kernel};
use crate::args::RollbackArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, args: &RollbackArgs) -> Outcome {
    let context: Context = session.context()?;
    let to = args
        .generation
        .map(|number| {
            GenerationNumber::new(number).ok_or_else(|| {
                Failure::usage("generations are counted from 1").hint("`astrid generations` lists them")
            })
        })
        .transpose()?;
    let options = RollbackOptions {
        to,
        command: "astrid rollback",
        lock_timeout: session.global.lock_timeout,
        tool: env!("CARGO_PKG_VERSION"),
    };
    let proposal = propose_rollback(&context, &options)?;
    let document = proposal.plan.document().clone();
    if args.dry_run {
        let pretty = render_plan(session, &document);
        session.shell.show(&document, &pretty)?;
        return Ok(DONE);
    }
    if !session.shell.for_programs() {
        session.shell.note(render::plan::plan(&document).trim_end());
    }
    session.shell.event("plan", json!({ "plan": document }));
    if !session.global.yes {
        if !session.world.interactive || session.shell.for_programs() {
            return Err(Failure::usage("nobody can be asked here, and the rollback was not confirmed")
                .hint("look at it with --dry-run, then pass --yes"));
        }
        if !prompt::confirm(&mut session.shell, &format!("Go back to generation {}?", proposal.to))? {
            return Err(Failure::failed("Cancelled."));
        }
    }
    let options = RollbackOptions { to: Some(proposal.to), ..options };
    let applied = rollback(&context, &options, &mut kernel::hooks(session, &context, &args.boot))?;
    told(session, &applied);
    let current = Generations::new(context.home.clone(), session.disk()).current()?;
    let kernel = match &current {
        Some(current) => kernel::after_switch(
            session,
            &context,
            &args.boot,
            &generations::lock_of(current)?,
            applied.generation,
        )?,
        None => serde_json::Value::Null,
    };
    let result = json!({
        "generation": applied.generation.map(GenerationNumber::get),
        "changed": applied.changed,
        "summary": document.summary(),
        "kernel": kernel,
    });
    session.shell.show(&result, "")?;
    Ok(DONE)
}
