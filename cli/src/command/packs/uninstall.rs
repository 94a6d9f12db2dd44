//! `packs uninstall`: an entry less in the declaration, then plan and apply like any other change.

use astrid_authority::PackId;
use astrid_manifest::Subject;
use astrid_resolver::pack::{forget_revisions, keep_revisions, revisions};
use astrid_resolver::resolution::Upgrade;
use astrid_store::generation::Action;
use serde_json::json;

use super::install::is_needed;
use crate::args::PackUninstallArgs;
use crate::command::apply::{Job, carry_out, prepare};
use crate::command::edit::edited;
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::safe;
use crate::session::Session;

pub(super) fn run(session: &mut Session, args: &PackUninstallArgs) -> Outcome {
    prompt::decline_on_interrupt();
    session.may_write_repository()?;
    let id: PackId =
        args.id.parse().map_err(|error| Failure::usage(format!("`{}`: {error}", safe(&args.id))))?;
    let context = session.context_aside()?;
    let edited = edited(session, &context)?;
    let before = edited.declaration(session, &context)?;
    if before.distro().pack(id.as_str()).is_none() {
        return not_declared(session, &id, is_needed(&before, &id));
    }
    let all = revisions(&context, &id)?;
    let text = astrid_manifest::edit::remove(before.text(), &Subject::Pack(id.clone()))
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let job = Job {
        declaration: before.edited(&text, None)?,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: false,
        upgrade: Upgrade::None,
        made_by: Action::Edit,
        command: "astrid packs uninstall",
        saved: None,
        returning: &[],
    };
    let prepared = prepare(session, &context, &job)?;
    if prepared.proposal.plan.is_empty() {
        // It was declared, and never applied.
        session.disk().write_atomic(
            &edited.file,
            text.as_bytes(),
            if edited.is_home { 0o600 } else { 0o644 },
        )?;
        session
            .shell
            .note(&format!("pack `{id}` was declared and not installed; it is not declared any more"));
        session.shell.show(&json!({ "changed": false, "pack_id": id }), "")?;
        return Ok(DONE);
    }
    let done = carry_out(session, &context, &job, prepared)?;
    let own = session.context()?;
    let writer = session.write_lock(&own.home, "astrid packs uninstall")?;
    if args.keep_revisions {
        keep_revisions(&own, &all, &writer)?;
    } else {
        forget_revisions(&own, &id, &writer)?;
    }
    drop(writer);
    session.shell.note(&format!("✓ pack `{id}` uninstalled"));
    let kept = if args.keep_revisions {
        "its revisions are kept: `astrid packs rollback` brings one back, and `astrid packs uninstall` once more drops them"
    } else {
        "its revisions stay as long as a generation holds them: `astrid gc` removes old generations, and then their bytes"
    };
    session.shell.note(&format!("  {kept}"));
    let mut document = done.document();
    document["pack_id"] = json!(id);
    document["revisions_kept"] = json!(args.keep_revisions);
    session.shell.show(&document, "")?;
    Ok(DONE)
}

fn not_declared(session: &mut Session, id: &PackId, is_needed: bool) -> Outcome {
    if is_needed {
        return Err(Failure::failed(format!("pack `{id}` is there because another pack needs it"))
            .hint(format!("`astrid why {id}` says which; it goes with that pack")));
    }
    let own = session.context()?;
    if !astrid_resolver::pack::kept_packs(&own)?.contains(id) {
        return Err(Failure::failed(format!("pack `{id}` is not installed"))
            .hint("`astrid packs list` shows what is"));
    }
    if !session.global.yes {
        let asks = session.world.interactive && !session.shell.for_programs();
        if !asks {
            return Err(Failure::usage("nobody can be asked here whether the kept revisions may go")
                .hint("pass --yes"));
        }
        if !prompt::confirm(&mut session.shell, &format!("Drop the kept revisions of `{id}`?"))? {
            return Err(Failure::failed("Cancelled."));
        }
    }
    let writer = session.write_lock(&own.home, "astrid packs uninstall")?;
    forget_revisions(&own, id, &writer)?;
    session.shell.note(&format!("the kept revisions of `{id}` are dropped"));
    session.shell.show(&json!({ "changed": true, "pack_id": id, "revisions_kept": false }), "")?;
    Ok(DONE)
}
