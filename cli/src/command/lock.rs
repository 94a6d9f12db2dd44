//! `lock`, `lock diff` and `fetch`.

use std::collections::BTreeSet;
use std::path::Path;

use astrid_manifest::Lock;
use astrid_resolver::lock_state::{EntryDiff, EntryFacts, lock_diff, lock_state};
use astrid_resolver::resolution::{LockMode, Upgrade};
use astrid_resolver::verified::{Freshness, fetch as bring};
use astrid_store::Generations;
use serde_json::{Value, json};

use super::{fleet, generations};
use crate::args::{LockArgs, LockDiffArgs, LockVerb};
use crate::exit::{DONE, Failure, Outcome, PENDING};
use crate::render::safe;
use crate::session::Session;
use crate::shell::{count, paint, style};

pub(crate) fn run(session: &mut Session, args: &LockArgs) -> Outcome {
    match &args.verb {
        Some(LockVerb::Diff(args)) => diff(session, args),
        None if args.check => check(session, args),
        None => lock(session, args),
    }
}

fn check(session: &mut Session, args: &LockArgs) -> Outcome {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, Path::new("."))?;
    let state = lock_state(&declaration, &fleet::selection(&args.selections)?);
    if let Some(refusal) = state.refusal() {
        return Err(refusal.into());
    }
    let document = json!({ "state": "fresh" });
    session.shell.show(&document, "Distro.lock matches Distro.toml\n")?;
    Ok(DONE)
}

fn lock(session: &mut Session, args: &LockArgs) -> Outcome {
    if !args.dry_run {
        session.may_write_repository()?;
    }
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, Path::new("."))?;
    let upgrade = upgrade(&args.upgrade);
    fleet::has_upgraded(&declaration, &upgrade)?;
    let selection = fleet::selection(&args.selections)?;
    let fleet = fleet::fleet(session, &context, &declaration, upgrade, selection, Freshness::Hash)?;
    let changes = lock_diff(declaration.lock(), fleet.lock());
    let wrote = if args.dry_run { false } else { fleet.write_lock()? };
    let pinned = format!(
        "{} and {} pinned",
        count(fleet.lock().capsules.len(), "capsule"),
        count(fleet.lock().packs.len(), "pack")
    );
    let document = json!({
        "written": wrote,
        "dry_run": args.dry_run,
        "changes": changes.iter().map(entry_json).collect::<Vec<_>>(),
    });
    let said = match (args.dry_run, wrote) {
        (true, _) => format!("{pinned}; nothing was written\n"),
        (false, true) => format!("Distro.lock written: {pinned}\n"),
        (false, false) => format!("Distro.lock is up to date: {pinned}\n"),
    };
    session.shell.show(&document, &format!("{}{said}", diff_text(&changes)))?;
    Ok(DONE)
}

/// `--upgrade`, or `--upgrade NAME` once or more.
fn upgrade(names: &[String]) -> Upgrade {
    if names.is_empty() {
        Upgrade::None
    } else if names.iter().any(String::is_empty) {
        Upgrade::All
    } else {
        Upgrade::Names(names.iter().cloned().collect::<BTreeSet<_>>())
    }
}

/// Reads a lock that was named.
pub(super) fn read(session: &Session, path: &Path) -> Result<Lock, Failure> {
    let text = std::fs::read_to_string(session.world.path(path))
        .map_err(|error| Failure::failed(format!("{} can't be read: {error}", path.display())))?;
    let parsed = Lock::parse(&path.display().to_string(), &text);
    parsed.map(|parsed| parsed.value).map_err(Failure::diagnostics)
}

fn diff(session: &mut Session, args: &LockDiffArgs) -> Outcome {
    let before = if let Some(path) = &args.before {
        Some(read(session, path)?)
    } else {
        let current = Generations::new(session.home()?, session.disk()).current()?;
        current.as_ref().map(generations::lock_of).transpose()?
    };
    let after = read(session, args.after.as_deref().unwrap_or(Path::new("Distro.lock")))?;
    let changes = lock_diff(before.as_ref(), &after);
    let document = json!({ "changes": changes.iter().map(entry_json).collect::<Vec<_>>() });
    let mut pretty = diff_text(&changes);
    if changes.is_empty() {
        "the locks are the same\n".clone_into(&mut pretty);
    }
    session.shell.show(&document, &pretty)?;
    Ok(if args.detailed_exitcode && !changes.is_empty() { PENDING } else { DONE })
}

/// One line per entry that differs, and what of it.
pub(crate) fn diff_text(changes: &[EntryDiff]) -> String {
    let mut text = String::new();
    for change in changes {
        let version = |facts: &Option<EntryFacts>| {
            facts.as_ref().map_or("∅".to_owned(), |facts| safe(&facts.version))
        };
        let (symbol, tone) = match (&change.before, &change.after) {
            (None, _) => ("+", style::ADDED),
            (_, None) => ("-", style::REMOVED),
            _ => ("~", style::CHANGED),
        };
        let mut what = Vec::new();
        if let (Some(before), Some(after)) = (&change.before, &change.after) {
            let mut differs = |differs: bool, word: &'static str| {
                if differs {
                    what.push(word);
                }
            };
            differs(before.source != after.source, "source");
            differs(before.reference != after.reference, "ref");
            differs(before.content != after.content, "content");
            differs(before.authority != after.authority, "authority");
            differs(before.signer != after.signer, "signer");
        }
        let what = if what.is_empty() { String::new() } else { format!("  {}", what.join(", ")) };
        let versions = format!("{} → {}", version(&change.before), version(&change.after));
        text.push_str(&paint(tone, &format!("{symbol} {}  {versions}{what}", change.member)));
        text.push('\n');
    }
    text
}

fn facts_json(facts: &EntryFacts) -> Value {
    json!({
        "version": facts.version,
        "source": facts.source,
        "ref": facts.reference,
        "content": facts.content,
        "authority": facts.authority,
        "signer": facts.signer.to_string(),
    })
}

pub(crate) fn entry_json(change: &EntryDiff) -> Value {
    json!({
        "subject": change.member.to_string(),
        "pack": change.pack,
        "before": change.before.as_ref().map(facts_json),
        "after": change.after.as_ref().map(facts_json),
    })
}

/// `fetch`
pub(crate) fn fetch(session: &mut Session) -> Outcome {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, Path::new("."))?;
    let mode = fleet::lock_mode(session);
    let mode = if mode == LockMode::Normal && declaration.lock().is_some() { LockMode::Locked } else { mode };
    let looking = fleet::looking(session, &context)?;
    let fleet = bring(&looking, &declaration, mode)?;
    fleet::keep(&context, &looking, &fleet)?;
    for warning in fleet.warnings() {
        session.shell.warn(&safe(warning));
    }
    let (capsules, packs) = (fleet.lock().capsules.len(), fleet.lock().packs.len());
    let document = json!({ "capsules": capsules, "packs": packs });
    let pretty = format!("{} and {} are in the store\n", count(capsules, "capsule"), count(packs, "pack"));
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
