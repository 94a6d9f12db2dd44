//! `packs install`: an entry more in the declaration, then plan, trust and apply like any other change.

use std::path::Path;

use astrid_authority::PackId;
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::trust::Flags;
use astrid_resolver::trust::grant::{Caller, grant};
use astrid_resolver::{Context, Declaration};
use astrid_store::generation::Action;
use serde_json::json;

use super::wanted::{entry, typed};
use crate::args::{ApplyArgs, PackInstallArgs};
use crate::command::apply::{self, Done, Job, Prepared, carry_out, prepare};
use crate::command::edit::edited;
use crate::exit::{DONE, Failure, Outcome};
use crate::facts::AllFacts;
use crate::prompt;
use crate::render::{self, put};
use crate::session::Session;

pub(super) fn run(session: &mut Session, args: &PackInstallArgs) -> Outcome {
    prompt::decline_on_interrupt();
    if Path::new(&args.source).extension().is_some_and(|ending| ending == "shuttle") {
        return bundle(session, args);
    }
    session.may_write_repository()?;
    let context = session.context_aside()?;
    let edited = edited(session, &context)?;
    let before = edited.declaration(session, &context)?;
    let typed = typed(session, &context, &args.source)?;
    let (id, entry) = entry(&typed, &edited, &before, args.requirement.as_ref())?;
    let taken = before.distro().pack(id.as_str()).map(|there| {
        Failure::failed(format!("pack `{id}` is installed already, from {}", there.source)).hint(format!(
            "`astrid packs update {id}` takes what its source has now; for another source, `astrid packs uninstall {id}` first"
        ))
    });
    let taken = taken.or_else(|| {
        is_needed(&before, &id).then(|| {
            Failure::failed(format!("pack `{id}` is there already: another pack needs it"))
                .hint(format!("`astrid why {id}` says which"))
        })
    });
    let taken = match (taken, args.dry_run) {
        (Some(taken), false) => return Err(taken),
        (taken, _) => taken,
    };
    let text = crate::edit::add(before.text(), &entry)?;
    let job = Job {
        declaration: before.edited(&text, None)?,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: args.dry_run,
        upgrade: Upgrade::None,
        made_by: Action::Edit,
        command: "astrid packs install",
        saved: None,
        returning: &[],
    };
    let prepared = prepare(session, &context, &job)?;
    if args.dry_run {
        let install = format!("astrid packs install {}", args.source);
        preview(session, &context, &job, prepared, &[id], &install)?;
        return taken.map_or(Ok(DONE), Err);
    }
    let done = carry_out(session, &context, &job, prepared)?;
    told(session, &done, &[id], "installed")
}

/// Whether a pack is there without being declared: only the lock of just this declaration can say so.
pub(super) fn is_needed(declaration: &Declaration, id: &PackId) -> bool {
    let lock = declaration.lock().filter(|lock| lock.manifest_hash == declaration.manifest_hash());
    declaration.distro().pack(id.as_str()).is_none()
        && lock.is_some_and(|lock| lock.pack(id.as_str()).is_some())
}

/// A bundle holds a whole fleet, and is applied as one: with its packs, whose trust is asked for one by one.
fn bundle(session: &mut Session, args: &PackInstallArgs) -> Outcome {
    let path = session.world.path(Path::new(&args.source));
    let shuttle = astrid_resolver::bundle::open(&path, &args.source)?;
    let has_packs = !shuttle.distro().packs.is_empty();
    if !has_packs {
        return Err(Failure::invalid(format!("{} holds no pack", args.source))
            .hint("`astrid distro inspect FILE` shows what it holds"));
    }
    drop(shuttle);
    let args = ApplyArgs {
        path: args.source.clone().into(),
        dry_run: args.dry_run,
        variables: args.variables.clone(),
        boot: args.boot.clone(),
        consent: args.consent.clone(),
    };
    apply::run(session, &args)
}

/// Shows what would be installed, and refuses what would be refused. Nothing is written.
pub(super) fn preview(
    session: &mut Session,
    context: &Context,
    job: &Job<'_>,
    prepared: Prepared,
    ids: &[PackId],
    command: &str,
) -> Result<(), Failure> {
    let document = prepared.proposal.plan.document().clone();
    let mut packs = prepared.packs;
    let missing: Vec<PackId> = ids.iter().filter(|id| packs.get(id.as_str()).is_none()).cloned().collect();
    packs.0.extend(AllFacts::of(context, &prepared.fleet, missing)?.0);
    let mut pretty = String::new();
    let mut trust = String::new();
    for facts in packs.iter() {
        pretty.push_str(&render::pack::summary(facts));
        put!(pretty, "content digest of {}: {}\n\n", facts.id(), facts.looked.content);
        put!(trust, " --trust={}@{}", facts.id(), facts.looked.content);
    }
    put!(pretty, "nothing was written; to take just this:\n  {command} --yes{trust}\n");
    let shown = json!({
        "dry_run": true,
        "packs": packs.iter().map(render::pack::document).collect::<Vec<_>>(),
        "plan": document,
    });
    session.shell.show(&shown, &pretty)?;
    // What trust would not help against is refused here as it would be then.
    let flags = Flags { trust_all: true, ..apply::flags(job.consent)? };
    let caller = Caller { by: &context.caller, now: context.clock.now() };
    let (plan, acknowledgements, _, _) = prepared.proposal.into_parts();
    grant(plan, &acknowledgements, &flags, None, caller)?;
    Ok(())
}

/// Tells what is there now.
pub(super) fn told(session: &mut Session, done: &Done, ids: &[PackId], verb: &str) -> Outcome {
    let context = session.context()?;
    let mut packs = Vec::new();
    for id in ids {
        let pack = astrid_resolver::pack::installed_pack(&context, id)?.ok_or_else(|| {
            Failure::failed(format!("pack `{id}` is not in the generation that is current"))
        })?;
        session.shell.note(&format!("✓ pack `{id}` {} {verb}", render::safe(&pack.locked.version)));
        session.shell.note(&format!("  location: {}", pack.root.display()));
        session.shell.note(&format!("  record:   {}", pack.record_path.display()));
        packs.push(json!({
            "pack_id": id,
            "version": pack.locked.version,
            "content_digest": pack.locked.content,
            "commit_sha": pack.locked.commit,
            "root": pack.root.display().to_string(),
            "record_path": pack.record_path.display().to_string(),
            "record": pack.record,
        }));
    }
    let mut document = done.document();
    document["packs"] = json!(packs);
    session.shell.show(&document, "")?;
    Ok(DONE)
}
