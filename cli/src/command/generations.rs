//! `generations`, `history`, `gc`, `verify --store`: what the home keeps.

use std::collections::BTreeSet;

use astrid_manifest::Lock;
use astrid_store::gc::{Collected, Keep, Mode, collect, quarantine, verify_store};
use astrid_store::generation::{Action, Generation, GenerationNumber};
use astrid_store::{Generations, Store};
use serde_json::{Value, json};

use crate::args::{GcArgs, HistoryArgs};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::{count, size, table};

/// The word for why a generation was made.
pub(crate) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Apply => "apply",
        Action::ApplyPlan => "apply of a saved plan",
        Action::ApplyBundle => "apply of a bundle",
        Action::Edit => "edit",
        Action::Heal => "heal",
        Action::Reconcile => "reconcile",
        Action::Rollback => "rollback",
    }
}

/// The lock that a generation was made from.
pub(crate) fn lock_of(generation: &Generation) -> Result<Lock, Failure> {
    let file = format!("generations/{}/Distro.lock", generation.number());
    Lock::parse(&file, &generation.lock()?)
        .map(|parsed| parsed.value)
        .map_err(|complaints| Failure { kind: Kind::Corrupt, ..Failure::diagnostics(complaints) })
}

fn described(generation: &Generation, is_current: bool) -> Result<Value, Failure> {
    let meta = generation.meta();
    let lock = lock_of(generation)?;
    Ok(json!({
        "generation": meta.number.get(),
        "current": is_current,
        "parent": meta.parent.map(GenerationNumber::get),
        "created": meta.created.to_string(),
        "by": meta.by,
        "action": meta.action,
        "distro": meta.distro,
        "version": lock.distro.version.to_string(),
        "capsules": lock.capsules.len(),
        "packs": lock.packs.len(),
        "origin": meta.origin,
        "commit": meta.commit,
        "tool": meta.tool,
    }))
}

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

/// A time for people: fractions of seconds say nothing to them.
fn whole_seconds(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map_or_else(|_| time.to_owned(), |time| format!("{time:.0}"))
}

fn all(session: &Session) -> Result<Vec<Value>, Failure> {
    let generations = Generations::new(session.home()?, session.disk());
    let current = generations.current_number()?;
    let mut found = Vec::new();
    for number in generations.list()? {
        found.push(described(&generations.open(number)?, current == Some(number))?);
    }
    Ok(found)
}

/// `generations`
pub(crate) fn list(session: &mut Session) -> Outcome {
    let found = all(session)?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| {
            let mark = if one["current"] == true { "*" } else { "" };
            let number = format!("{}{mark}", text(one, "generation"));
            let distro = format!("{} {}", text(one, "distro"), text(one, "version"));
            vec![
                number,
                whole_seconds(&text(one, "created")),
                distro,
                text(one, "capsules"),
                text(one, "packs"),
                text(one, "action"),
            ]
        })
        .collect();
    let pretty = if rows.is_empty() {
        "no generation yet\n".to_owned()
    } else {
        table(&["GENERATION", "CREATED", "DISTRO", "CAPSULES", "PACKS", "WHY"], &rows)
    };
    session.shell.show(&json!({ "generations": found }), &pretty)?;
    Ok(DONE)
}

/// `history`: every switch, also those back.
pub(crate) fn history(session: &mut Session, args: &HistoryArgs) -> Outcome {
    let mut entries = astrid_resolver::history::history(&session.home()?)?;
    entries.reverse();
    entries.truncate(args.last.unwrap_or(usize::MAX));
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let from = entry.from.map_or_else(|| "∅".to_owned(), |number| number.to_string());
            vec![
                format!("{:.0}", entry.at),
                format!("{from} → {}", entry.to),
                entry.distro.to_string(),
                action_word(entry.action).to_owned(),
                safe(&entry.by),
            ]
        })
        .collect();
    let pretty = if rows.is_empty() {
        "nothing was applied yet\n".to_owned()
    } else {
        table(&["AT", "GENERATION", "DISTRO", "WHY", "BY"], &rows)
    };
    session.shell.show(&json!({ "history": entries }), &pretty)?;
    Ok(DONE)
}

/// `gc`
pub(crate) fn gc(session: &mut Session, args: &GcArgs) -> Outcome {
    let home = session.home()?;
    let generations = Generations::new(home.clone(), session.disk());
    let store = Store::new(home.clone(), session.disk());
    let mut digests = lock_of_this_folder(session);
    digests.extend(astrid_resolver::pack::kept_digests(&session.context()?)?);
    let keep = Keep { digests, newer_than: None };
    let current = generations.current_number()?;
    let mut old = generations.list()?;
    old.truncate(old.len().saturating_sub(args.keep.max(1)));
    old.retain(|number| Some(*number) != current);
    let collected = if args.force {
        let writer = session.write_lock(&home, "astrid gc")?;
        for number in &old {
            generations.remove(*number, &writer)?;
        }
        collect(&store, &keep, &Mode::Remove(&writer))?
    } else {
        collect(&store, &keep, &Mode::DryRun)?
    };
    let removed: Vec<u64> = old.iter().map(|number| number.get()).collect();
    let document = json!({
        "removed": args.force,
        "generations": removed,
        "blobs": collected.blobs.iter().map(|(digest, bytes)| json!({ "digest": digest, "bytes": bytes })).collect::<Vec<_>>(),
        "bytes": collected.bytes(),
        "kept": collected.kept,
    });
    let pretty = collected_text(&collected, &removed, args.force);
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// What the lock of this folder pins stays: a fetch may have just brought it.
fn lock_of_this_folder(session: &Session) -> BTreeSet<astrid_authority::Digest> {
    let mut digests = BTreeSet::new();
    if let Ok(text) = std::fs::read(session.world.folder.join("Distro.lock")) {
        astrid_store::gc::mentioned(&text, &mut digests);
    }
    digests
}

fn collected_text(collected: &Collected, generations: &[u64], removed: bool) -> String {
    let files = collected.blobs.len() + collected.derived.len() + collected.leftovers.len();
    if files == 0 && generations.is_empty() {
        return format!("nothing to remove; {} in use\n", count(collected.kept, "blob"));
    }
    let verb = if removed { "removed" } else { "would remove" };
    let mut text = String::new();
    if !generations.is_empty() {
        let numbers: Vec<String> = generations.iter().map(u64::to_string).collect();
        put!(text, "{verb} generations {}\n", numbers.join(", "));
    }
    put!(
        text,
        "{verb} {} ({}); {} in use\n",
        count(files, "file"),
        size(collected.bytes()),
        count(collected.kept, "blob")
    );
    if !removed {
        text.push_str("pass --force to remove them\n");
    }
    text
}

/// `verify --store`
pub(crate) fn verify(session: &mut Session) -> Outcome {
    let home = session.home()?;
    let store = Store::new(home.clone(), session.disk());
    let found = verify_store(&store)?;
    let generations = Generations::new(home.clone(), session.disk());
    let mut damaged = Vec::new();
    for number in generations.list()? {
        let sound = generations.open(number).map_err(Failure::from).and_then(|generation| {
            lock_of(&generation)?;
            generation.inventory()?;
            if let Some(key) = home.key()? {
                generation.verify_configuration(&key)?;
            }
            Ok(())
        });
        if let Err(failure) = sound {
            damaged.push(json!({ "generation": number.get(), "problem": failure.message }));
        }
    }
    let mut moved = Vec::new();
    if !found.corrupt.is_empty() {
        let writer = session.write_lock(&home, "astrid verify")?;
        for digest in &found.corrupt {
            quarantine(&store, digest, &writer)?;
            moved.push(*digest);
        }
    }
    let document = json!({
        "sound": found.sound,
        "bytes": found.bytes,
        "corrupt": moved,
        "damaged_generations": damaged,
    });
    let pretty = format!("{} sound ({})\n", count(found.sound, "blob"), size(found.bytes));
    session.shell.show(&document, &pretty)?;
    if moved.is_empty() && damaged.is_empty() {
        return Ok(DONE);
    }
    let mut reasons: Vec<String> =
        moved.iter().map(|digest| format!("blob {digest} was corrupt and is in quarantine now")).collect();
    reasons.extend(
        damaged.iter().map(|one| format!("generation {}: {}", one["generation"], text(one, "problem"))),
    );
    let hint = if damaged.is_empty() {
        "run `astrid fetch` in the folder of the distro to bring the blobs back"
    } else {
        "apply the distro again: a new generation takes the place of a damaged one"
    };
    Err(Failure::new(Kind::Corrupt, "the home holds damaged content").because(reasons).hint(hint))
}
