//! `plan`, `show` and `diff`: what would change, and what differs. Nothing here changes anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use astrid_manifest::Lock;
use astrid_resolver::lock_state::lock_diff;
use astrid_resolver::observed::Depth;
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::verified::Freshness;
use astrid_store::generation::GenerationNumber;
use astrid_store::{Generation, Generations};
use serde_json::json;

use super::apply::{render_plan, saved_plan};
use super::fleet::{self, Asked};
use super::{generations, lock};
use crate::args::{DiffArgs, PlanArgs, ShowArgs};
use crate::exit::{DONE, Failure, Outcome, PENDING};
use crate::render::{self, put, safe};
use crate::session::Session;

/// `plan`
pub(crate) fn run(session: &mut Session, args: &PlanArgs) -> Outcome {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, &args.path)?;
    let selection = fleet::selection(&args.variables.selections)?;
    let fleet =
        fleet::fleet(session, &context, &declaration, Upgrade::None, selection, Freshness::StatCache)?;
    let asked = Asked {
        variables: &args.variables,
        acks_of_repository: false,
        allow_empty: false,
        look: Depth::Presence,
        returning: &[],
    };
    let proposal = fleet::proposal(session, &context, &fleet, &asked)?;
    let document = proposal.plan.document();
    let pretty = render_plan(session, document);
    session.shell.show(document, &pretty)?;
    if let Some(output) = &args.output {
        let path = session.world.path(output);
        session
            .disk()
            .write_atomic(&path, &proposal.plan.to_canonical_json()?, 0o600)
            .map_err(|error| Failure::failed(error.to_string()))?;
        session.shell.note(&format!("saved; apply exactly this with `astrid apply {}`", output.display()));
    }
    Ok(if args.detailed_exitcode && !document.is_empty() { PENDING } else { DONE })
}

/// `show`
pub(crate) fn show(session: &mut Session, args: &ShowArgs) -> Outcome {
    let typed = PathBuf::from(&args.what);
    if let Some(saved) = saved_plan(session, &typed)? {
        let document = saved.document();
        let pretty = render_plan(session, document);
        session.shell.show(document, &pretty)?;
        return Ok(DONE);
    }
    let path = session.world.path(&typed);
    if path.file_name().is_some_and(|name| name == "Distro.lock")
        || path.extension().is_some_and(|e| e == "lock")
    {
        return show_lock(session, &typed);
    }
    if path.exists() {
        return show_distro(session, &typed);
    }
    show_artifact(session, &args.what)
}

fn show_lock(session: &mut Session, typed: &Path) -> Outcome {
    let text = std::fs::read_to_string(session.world.path(typed))
        .map_err(|error| Failure::failed(format!("{} can't be read: {error}", typed.display())))?;
    let lock = Lock::parse(&typed.display().to_string(), &text).map_err(Failure::diagnostics)?.value;
    show_entries(session, &lock)
}

fn show_entries(session: &mut Session, lock: &Lock) -> Outcome {
    let changes = lock_diff(None, lock);
    let mut pretty = format!("{} {}\n", lock.distro.id, lock.distro.version);
    for change in &changes {
        if let Some(facts) = &change.after {
            put!(pretty, "  {} {}  {}\n", change.member, safe(&facts.version), safe(&facts.source));
            put!(pretty, "    content   {}\n    authority {}\n", facts.content, facts.authority);
            let mark = if facts.signer.is_unsigned() {
                "! unsigned".to_owned()
            } else {
                format!("signer    {}", facts.signer)
            };
            put!(pretty, "    {mark}\n");
        }
    }
    let entries: Vec<_> = changes
        .iter()
        .map(|change| {
            let entry = lock::entry_json(change);
            json!({ "subject": entry["subject"], "pack": entry["pack"], "state": entry["after"] })
        })
        .collect();
    let document =
        json!({ "distro": lock.distro.id, "version": lock.distro.version.to_string(), "entries": entries });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// A distro: everything that it would bring, as if nothing were applied.
fn show_distro(session: &mut Session, typed: &Path) -> Outcome {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, typed)?;
    let fleet =
        fleet::fleet(session, &context, &declaration, Upgrade::None, BTreeMap::new(), Freshness::StatCache)?;
    show_entries(session, fleet.lock())
}

/// A capsule or pack of the current generation.
fn show_artifact(session: &mut Session, name: &str) -> Outcome {
    let bare = name.rsplit(':').next().unwrap_or(name);
    let absent = || {
        Failure::failed(format!(
            "`{}` is no file, and no capsule or pack of the current generation",
            safe(name)
        ))
        .hint("`astrid tree` shows what the distro has")
    };
    let current = Generations::new(session.home()?, session.disk()).current()?.ok_or_else(absent)?;
    let lock = generations::lock_of(&current)?;
    let change = lock_diff(None, &lock).into_iter().find(|change| {
        let subject = change.member.to_string();
        subject == name || subject.rsplit(':').next() == Some(bare) && !name.contains(':')
    });
    let change = change.ok_or_else(absent)?;
    let authority = authority_of(session, bare)?;
    let mut pretty = String::new();
    if let Some(facts) = &change.after {
        put!(pretty, "{} {}\n", change.member, safe(&facts.version));
        put!(pretty, "source    {}\n", safe(&facts.source));
        if let Some(pack) = &change.pack {
            put!(pretty, "pack      {pack}\n");
        }
        put!(pretty, "signer    {}\n", facts.signer);
        put!(pretty, "content   {}\nauthority {}\n", facts.content, facts.authority);
    }
    pretty.push_str(&authority.0);
    let entry = lock::entry_json(&change);
    let document = json!({
        "subject": entry["subject"],
        "pack": entry["pack"],
        "state": entry["after"],
        "authority": authority.1,
    });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// What a capsule may do, or what a pack discloses, as the current generation recorded it.
fn authority_of(session: &Session, name: &str) -> Result<(String, serde_json::Value), Failure> {
    let context = session.context()?;
    let Some(current) = astrid_resolver::apply::current(&context)? else { return Ok(Default::default()) };
    let recorded = current.authority().read()?;
    let mut text = String::new();
    if let Some(enforced) = recorded.enforced.get(name) {
        text.push_str("authority of the capsule (the kernel enforces it)\n");
        for grant in render::grants::lines(enforced.granted.iter()) {
            put!(text, "  {grant}\n");
        }
        for grant in render::grants::lines(enforced.unused.iter()) {
            put!(text, "  unused: {grant}\n");
        }
        return Ok((text, json!({ "enforced": enforced.granted, "unused": enforced.unused })));
    }
    if let Some(permissions) = recorded.disclosed.get(name) {
        text.push_str("disclosed by the pack (nothing enforces it: it runs with all your rights)\n");
        for permission in permissions {
            put!(text, "  {}\n", render::plan::disclosed(permission));
        }
        return Ok((text, json!({ "disclosed": permissions })));
    }
    Ok((text, serde_json::Value::Null))
}

fn generation(session: &Session, number: u64) -> Result<Generation, Failure> {
    let number = GenerationNumber::new(number).ok_or_else(|| {
        Failure::usage("generations are counted from 1").hint("`astrid generations` lists them")
    })?;
    Ok(Generations::new(session.home()?, session.disk()).open(number)?)
}

/// `diff`
pub(crate) fn diff(session: &mut Session, args: &DiffArgs) -> Outcome {
    let before = match args.from {
        Some(number) => Some(generation(session, number)?),
        None => Generations::new(session.home()?, session.disk()).current()?,
    };
    let before_lock = before.as_ref().map(generations::lock_of).transpose()?;
    let (after_lock, what) = match (args.to, args.from) {
        (Some(number), _) => {
            (generations::lock_of(&generation(session, number)?)?, format!("generation {number}"))
        }
        (None, Some(_)) => {
            let current = Generations::new(session.home()?, session.disk()).current()?;
            let current = current.ok_or_else(|| Failure::failed("nothing is applied yet"))?;
            (generations::lock_of(&current)?, format!("generation {}", current.number()))
        }
        (None, None) => {
            let mut context = session.context()?;
            let declaration = fleet::declaration(session, &mut context, Path::new("."))?;
            let fleet = fleet::fleet(
                session,
                &context,
                &declaration,
                Upgrade::None,
                BTreeMap::new(),
                Freshness::StatCache,
            )?;
            (fleet.lock().clone(), "this folder".to_owned())
        }
    };
    let changes = lock_diff(before_lock.as_ref(), &after_lock);
    let from = before.as_ref().map_or("nothing".to_owned(), |one| format!("generation {}", one.number()));
    let mut pretty = format!("{from} → {what}\n");
    if changes.is_empty() {
        pretty.push_str("no difference\n");
    } else {
        pretty.push_str(&lock::diff_text(&changes));
    }
    let document = json!({ "changes": changes.iter().map(lock::entry_json).collect::<Vec<_>>() });
    session.shell.show(&document, &pretty)?;
    Ok(if args.detailed_exitcode && !changes.is_empty() { PENDING } else { DONE })
}
