//! `packs update`: what was asked for is asked again, the pin is rewritten, and trust is asked for again.

use std::collections::BTreeSet;

use astrid_authority::PackId;
use astrid_manifest::Source;
use astrid_manifest::distro::PackEntry;
use astrid_resolver::pack::GitAsk;
use astrid_resolver::plan::{Item, PlanDocument};
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::{Context, Declaration};
use astrid_store::generation::Action;
use serde_json::json;

use super::install::{preview, told};
use crate::args::PackUpdateArgs;
use crate::command::apply::{Job, Prepared, carry_out, prepare};
use crate::command::edit::edited;
use crate::edit::{self, Pin};
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::safe;
use crate::session::Session;

/// One pack, and how its entry is pinned anew; nothing when its entry stays as it is.
struct Move {
    id: PackId,
    pin: Option<Pin>,
}

pub(super) fn run(session: &mut Session, args: &PackUpdateArgs) -> Outcome {
    prompt::decline_on_interrupt();
    session.may_write_repository()?;
    let context = session.context_aside()?;
    let edited = edited(session, &context)?;
    let before = edited.declaration(session, &context)?;
    let mut moves = Vec::new();
    for id in ids(&before, args)? {
        let pin = newer(session, &context, &before, &id)?;
        moves.push(Move { id, pin });
    }
    if args.no_new_authority {
        moves = without_more(session, &context, &before, moves, args)?;
    }
    let job = job(&before, &moves, args)?;
    let prepared = prepare(session, &context, &job)?;
    let document = prepared.proposal.plan.document();
    let changed: Vec<PackId> =
        moves.iter().map(|one| one.id.clone()).filter(|id| changes(document, id)).collect();
    for one in moves.iter().filter(|one| !changed.contains(&one.id)) {
        session.shell.note(&format!("pack `{}` is up to date", one.id));
    }
    if moves.is_empty() || document.is_empty() {
        session.shell.show(&json!({ "changed": false, "packs": [] }), "")?;
        return Ok(DONE);
    }
    if args.dry_run {
        let names: Vec<&str> = changed.iter().map(PackId::as_str).collect();
        let command = format!("astrid packs update {}", names.join(" "));
        preview(session, &context, &job, prepared, &changed, &command)?;
        return Ok(DONE);
    }
    let done = carry_out(session, &context, &job, prepared)?;
    told(session, &done, &changed, "is installed now")
}

fn ids(declaration: &Declaration, args: &PackUpdateArgs) -> Result<Vec<PackId>, Failure> {
    let declared: BTreeSet<&PackId> = declaration.distro().packs.iter().map(|entry| &entry.id).collect();
    if args.all {
        return Ok(declared.into_iter().cloned().collect());
    }
    let locked = declaration.lock().into_iter().flat_map(|lock| lock.packs.iter().map(|pack| &pack.id));
    let known: BTreeSet<&PackId> = declared.into_iter().chain(locked).collect();
    let mut ids = Vec::new();
    for name in &args.ids {
        let id = known.iter().find(|id| id.as_str() == name).ok_or_else(|| {
            Failure::failed(format!("pack `{}` is not installed", safe(name)))
                .hint("`astrid packs list` shows what is")
        })?;
        if !ids.contains(*id) {
            ids.push((*id).clone());
        }
    }
    Ok(ids)
}

/// Asks again for what was asked for, and says what that is now.
fn newer(
    session: &mut Session,
    context: &Context,
    declaration: &Declaration,
    id: &PackId,
) -> Result<Option<Pin>, Failure> {
    let Some(entry) = declaration.distro().pack(id.as_str()) else { return Ok(None) };
    // A pin to one content goes: what its source has now is asked for.
    let unpinned = || entry.content.map(|_| Pin::default());
    let (Source::Git(git), Some(requested)) = (&entry.source, &entry.requested_ref) else {
        if is_pinned_for_good(entry) {
            session.shell.warn(&format!(
                "pack `{id}` is pinned to a commit, and its entry has no `requested-ref` to ask again"
            ));
        }
        return Ok(unpinned());
    };
    let found = GitAsk::again(git, requested)?.locate(context)?;
    if found.id != *id {
        return Err(Failure::invalid(format!(
            "{} holds the pack `{}` at {requested} now, and `{id}` is installed: the pack is another",
            safe(&git.url),
            found.id
        ))
        .hint(format!("if that is wanted, `astrid packs uninstall {id}` and install the other one")));
    }
    let commit = found.commit().unwrap_or_default();
    session.shell.note(&format!("pack `{id}`: {requested} of {} is {commit}", safe(&git.url)));
    if found.source == entry.source {
        return Ok(unpinned());
    }
    Ok(Some(Pin { source: Some(found.source.to_string()), ..Pin::default() }))
}

fn is_pinned_for_good(entry: &PackEntry) -> bool {
    use astrid_manifest::source::GitRef;
    matches!(&entry.source, Source::Git(git) if matches!(git.reference, Some(GitRef::Commit(_))))
}

fn job<'a>(before: &Declaration, moves: &[Move], args: &'a PackUpdateArgs) -> Result<Job<'a>, Failure> {
    let mut text = before.text().to_owned();
    for one in moves {
        if let Some(pin) = &one.pin {
            text = edit::pin(&text, one.id.as_str(), pin)?;
        }
    }
    let names = moves.iter().map(|one| format!("pack:{}", one.id)).collect();
    Ok(Job {
        declaration: before.edited(&text, None)?,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: args.dry_run,
        upgrade: Upgrade::Names(names),
        made_by: Action::Edit,
        command: "astrid packs update",
        saved: None,
        returning: &[],
    })
}

/// Whether a plan changes a pack itself.
fn changes(document: &PlanDocument, id: &PackId) -> bool {
    let subject = Item::Subject(astrid_manifest::Subject::Pack(id.clone()));
    document.changes.iter().any(|change| change.subject == subject)
}

/// Leaves every pack as it is that would disclose more, or whose capsules could do more.
fn without_more(
    session: &mut Session,
    context: &Context,
    before: &Declaration,
    moves: Vec<Move>,
    args: &PackUpdateArgs,
) -> Result<Vec<Move>, Failure> {
    let mut kept = Vec::new();
    for one in moves {
        let alone = [one];
        let prepared = prepare(session, context, &job(before, &alone, args)?)?;
        let [one] = alone;
        let more = widened(&prepared, &one.id);
        if more.is_empty() {
            kept.push(one);
            continue;
        }
        session.shell.note(&format!("pack `{}` stays as it is: {}", one.id, safe(&more.join("; "))));
        // A folder is taken as it is at every apply: only a pin to what is installed leaves it be.
        let installed = astrid_resolver::pack::installed_pack(context, &one.id)?;
        let is_path = before.distro().pack(one.id.as_str()).is_some_and(|entry| entry.source.is_path());
        if let (Some(installed), true) = (installed, is_path) {
            let pinned = Some(installed.locked.content.to_string());
            session.shell.note(&format!(
                "  its entry is pinned to the installed content; `astrid packs update {}` takes the pin away",
                one.id
            ));
            kept.push(Move { id: one.id, pin: Some(Pin { content: pinned, ..Pin::default() }) });
        }
    }
    Ok(kept)
}

/// What would become possible to a pack that is not now.
fn widened(prepared: &Prepared, id: &PackId) -> Vec<String> {
    let authority = &prepared.proposal.plan.document().authority;
    let mut more = Vec::new();
    if let Some(change) = authority.disclosed.get(id).filter(|change| change.widens()) {
        let added = change.added.iter().map(|permission| permission.id);
        let changed = change.changed.iter().map(|moved| moved.to.id);
        let ids: Vec<String> = added.chain(changed).map(|id| id.to_string()).collect();
        more.push(format!("it would disclose more: {}", ids.join(", ")));
    }
    let own = prepared.fleet.lock().capsules.iter().filter(|capsule| capsule.pack.as_ref() == Some(id));
    for capsule in own {
        let Some(change) = authority.enforced.get(&capsule.name).filter(|change| change.widens()) else {
            continue;
        };
        let added = change.added.iter().map(ToString::to_string);
        let widened = change.widened.iter().map(|moved| moved.to.to_string());
        let grants: Vec<String> = added.chain(widened).collect();
        more.push(format!("its capsule {} could do more: {}", capsule.name, grants.join(", ")));
    }
    more
}
