//! `packs rollback`: an earlier revision of one pack, in a new generation. Its bytes are in the store as long as a
//! generation holds them, or they were kept; nothing is fetched.

use std::collections::BTreeMap;

use astrid_authority::PackId;
use astrid_manifest::Source;
use astrid_manifest::source::{GitRef, GitSource};
use astrid_manifest::trust::Ack;
use astrid_resolver::Declaration;
use astrid_resolver::pack::{Revision, revisions};
use astrid_resolver::resolution::Upgrade;
use astrid_store::generation::{Action, GenerationNumber};

use super::install::{preview, told};
use crate::args::PackRollbackArgs;
use crate::command::apply::{Job, carry_out, prepare};
use crate::command::edit::edited;
use crate::edit::{self, Entry, Pin};
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::safe;
use crate::session::Session;

/// So many digits of a digest name a revision of one's own.
const SHORTEST: usize = 12;

pub(super) fn run(session: &mut Session, args: &PackRollbackArgs) -> Outcome {
    prompt::decline_on_interrupt();
    session.may_write_repository()?;
    let id: PackId =
        args.id.parse().map_err(|error| Failure::usage(format!("`{}`: {error}", safe(&args.id))))?;
    let context = session.context_aside()?;
    let all = revisions(&context, &id)?;
    if all.is_empty() {
        return Err(Failure::failed(format!("pack `{id}` is not installed, and no revision of it is here"))
            .hint("`astrid packs list` shows what is installed"));
    }
    let chosen = choose(session, &all, args.revision.as_deref())?;
    if chosen.is_active {
        return Err(Failure::failed(format!("that revision of `{id}` is the one that is installed")));
    }
    if !chosen.is_complete(&context) {
        return Err(Failure::new(
            crate::exit::Kind::Corrupt,
            format!("bytes of revision {} of `{id}` are not in the store any more", chosen.content()),
        )
        .hint("`astrid verify --store` says more; install it again from its source"));
    }
    let edited = edited(session, &context)?;
    let before = edited.declaration(session, &context)?;
    let text = declare(&before, &id, chosen)?;
    let current = astrid_resolver::apply::current(&context)?;
    let now = before.lock().or(current.as_ref().map(|current| &current.lock));
    let lock = now.map(|now| chosen.in_lock(now));
    let returning = acknowledgements(chosen);
    let declaration = before.edited(&text, lock.as_ref())?;
    chosen.vouch(&context, &declaration)?;
    let job = Job {
        declaration,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: args.dry_run,
        upgrade: Upgrade::None,
        made_by: Action::Edit,
        command: "astrid packs rollback",
        saved: None,
        returning: &returning,
    };
    let prepared = prepare(session, &context, &job)?;
    if args.dry_run {
        let command = format!("astrid packs rollback {id} --revision {}", chosen.content());
        preview(session, &context, &job, prepared, &[id], &command)?;
        return Ok(DONE);
    }
    if prepared.packs.get(id.as_str()).is_none() {
        return Err(Failure::failed(format!("nothing of `{id}` would change")));
    }
    let done = carry_out(session, &context, &job, prepared)?;
    told(session, &done, &[id], "is installed again")
}

/// Trust that was given in this very content counts for going back to it.
fn acknowledgements(chosen: &Revision) -> Vec<(GenerationNumber, Vec<Ack>)> {
    let mut all: BTreeMap<GenerationNumber, Vec<Ack>> = BTreeMap::new();
    for (number, ack) in &chosen.acks {
        all.entry(*number).or_default().push(ack.clone());
    }
    all.into_iter().collect()
}

/// The declaration with that revision: a commit pins itself, anything else is pinned by its content.
fn declare(before: &Declaration, id: &PackId, chosen: &Revision) -> Result<String, Failure> {
    let source = &chosen.locked.source;
    let is_commit = matches!(source, Source::Git(GitSource { reference: Some(GitRef::Commit(_)), .. }));
    let content = (!is_commit).then(|| chosen.content().to_string());
    let Some(entry) = before.distro().pack(id.as_str()) else {
        let requirement = chosen.locked.requirement.as_ref().map(ToString::to_string);
        let entry = Entry {
            is_pack: true,
            name: id.to_string(),
            source: source.to_string(),
            requirement,
            requested: None,
            content,
        };
        return edit::add(before.text(), &entry);
    };
    let version = chosen.locked.version.parse().ok();
    let fits = match (&entry.version, &version) {
        (Some(wanted), Some(version)) => wanted.matches(version),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let pin = Pin {
        source: (*source != entry.source).then(|| source.to_string()),
        requirement: version.filter(|_| !fits).map(|version| format!("={version}")),
        content,
    };
    edit::pin(before.text(), id.as_str(), &pin)
}

fn choose<'a>(
    session: &mut Session,
    all: &'a [Revision],
    asked: Option<&str>,
) -> Result<&'a Revision, Failure> {
    if let Some(asked) = asked {
        return find(all, asked);
    }
    let lines: Vec<String> = all.iter().enumerate().map(|(at, revision)| line(at, revision)).collect();
    if !session.world.interactive || session.shell.for_programs() {
        return Err(Failure::usage("nothing says which revision is wanted")
            .because(lines)
            .hint("pass --revision with a number of this list, or a digest"));
    }
    for line in &lines {
        session.shell.say(line);
    }
    let typed = prompt::text(&mut session.shell, "Choose revision number (or press Enter to cancel): ")?;
    match typed.as_deref().map(str::trim) {
        None | Some("") => Err(Failure::failed("Cancelled.")),
        Some(typed) => find(all, typed),
    }
}

fn line(at: usize, revision: &Revision) -> String {
    let numbers: Vec<String> = revision.generations.iter().map(ToString::to_string).collect();
    let held =
        if numbers.is_empty() { "kept".to_owned() } else { format!("generation {}", numbers.join(", ")) };
    let commit = revision.locked.commit.as_deref().and_then(|commit| commit.get(..8));
    format!(
        "{:>3}  {}  {}  {}{}  {held}{}",
        at + 1,
        safe(&revision.locked.version),
        revision.content(),
        revision.installed_at.as_deref().unwrap_or("-"),
        commit.map(|commit| format!("  {commit}")).unwrap_or_default(),
        if revision.is_active { "  ← active" } else { "" },
    )
}

/// A number of the list, or a digest.
fn find<'a>(all: &'a [Revision], asked: &str) -> Result<&'a Revision, Failure> {
    let hex = asked.strip_prefix("blake3:").unwrap_or(asked);
    let is_hex = hex.len() >= SHORTEST && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found: Vec<&Revision> = if is_hex {
        all.iter().filter(|revision| revision.content().hex().starts_with(hex)).collect()
    } else {
        let at: Option<usize> = asked.parse().ok();
        at.and_then(|at| all.get(at.checked_sub(1)?)).into_iter().collect()
    };
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::failed(format!("there is no revision `{}`", safe(asked)))
            .because(all.iter().enumerate().map(|(at, revision)| line(at, revision)))
            .hint("name one by its number or digest; what no generation holds any more, `astrid gc` may have removed")),
        _ => Err(Failure::usage(format!("several revisions begin with `{}`", safe(asked)))
            .hint("write more digits")),
    }
}
