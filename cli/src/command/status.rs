//! `status`: what is applied, whether it is in sync, and whether the kernel runs. Works when nothing does.

use std::collections::BTreeMap;

use astrid_authority::Digest;
use astrid_resolver::drift::{Comparison, compare};
use astrid_resolver::lock_state::{LockState, lock_state};
use astrid_resolver::observed::{Current, Depth, ObservedKernel, observe};
use astrid_resolver::plan::BaseFacts;
use astrid_resolver::{Context, Declaration, Target};
use serde_json::{Value, json};

use super::generations::action_word;
use crate::exit::{DONE, Failure, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::{count, paint, style};

/// What the folder that one works in says about the applied distro.
struct Folder {
    stale: Option<String>,
    lock: Option<Digest>,
}

pub(crate) fn run(session: &mut Session) -> Outcome {
    let context = session.context()?;
    let declared = declared_here(session, &context);
    let current = match &declared {
        Some(declaration) => Current::beside(&context, declaration)?,
        None => astrid_resolver::apply::current(&context)?,
    };
    let kernel = super::kernel::observed(&context);
    let (mut document, pretty) = match &current {
        Some(current) => applied(&context, current, declared.as_ref(), kernel.observed.as_ref())?,
        None => nothing_applied(&context),
    };
    document["kernel"] = kernel.document;
    session.shell.show(&document, &format!("{pretty}{}", kernel.pretty))?;
    Ok(DONE)
}

fn nothing_applied(context: &Context) -> (Value, String) {
    let cut_short = astrid_store::journal::is_pending(&context.home);
    let mut pretty = "nothing is applied yet; `astrid init` installs the starter\n".to_owned();
    if cut_short {
        pretty.push_str("a switch was cut short; the next command that writes repairs it\n");
    }
    let sync = if cut_short { "drifted" } else { "in-sync" };
    (json!({ "generation": Value::Null, "sync": sync, "deviations": [] }), pretty)
}

fn applied(
    context: &Context,
    current: &Current,
    declared: Option<&Declaration>,
    kernel: Option<&ObservedKernel>,
) -> Result<(Value, String), Failure> {
    let observed = observe(context, current, Depth::Presence)?;
    let folder = declared.and_then(|declaration| folder(declaration, &current.facts));
    let report = compare(&Comparison {
        generation: Some((current.generation.number(), &current.facts.fleet)),
        applied_lock: Some(current.facts.lock),
        repository_lock: folder.as_ref().and_then(|folder| folder.lock),
        stale: folder.as_ref().and_then(|folder| folder.stale.as_deref()),
        observed: Some(&observed),
        kernel,
    });
    let meta = current.generation.meta();
    let (capsules, packs) = (current.lock.capsules.len(), current.lock.packs.len());
    let mut pretty = format!(
        "{} {}, generation {} ({} by {})\n",
        paint(style::HEADING, meta.distro.as_str()),
        current.lock.distro.version,
        meta.number,
        action_word(meta.action),
        safe(&meta.by)
    );
    put!(pretty, "from      {}\n", safe(&meta.origin));
    put!(pretty, "holds     {}, {}\n", count(capsules, "capsule"), count(packs, "pack"));
    put!(pretty, "sync      {}\n", report.state);
    for deviation in &report.deviations {
        let (subject, reason) = (safe(&deviation.subject), safe(&deviation.reason));
        put!(pretty, "          {} {subject}: {reason}\n", deviation.state);
    }
    let document = json!({
        "generation": {
            "number": meta.number.get(),
            "created": meta.created.to_string(),
            "by": meta.by,
            "action": meta.action,
            "distro": meta.distro,
            "version": current.lock.distro.version.to_string(),
            "origin": meta.origin,
            "commit": meta.commit,
            "capsules": capsules,
            "packs": packs,
        },
        "sync": report.state,
        "deviations": report.deviations,
    });
    Ok((document, pretty))
}

/// What this folder declares. A folder that says nothing useful says nothing here.
fn declared_here(session: &Session, context: &Context) -> Option<Declaration> {
    if !session.world.folder.join("Distro.toml").is_file() {
        return None;
    }
    let target = Target::Path { path: session.world.folder.clone(), typed: ".".to_owned() };
    Declaration::load(context, &target).ok()
}

/// What a declaration says about the applied distro, when it is the one that was applied.
fn folder(declaration: &Declaration, applied: &BaseFacts) -> Option<Folder> {
    if declaration.origin().identity() != applied.origin {
        return None;
    }
    let stale = match lock_state(declaration, &BTreeMap::new()) {
        LockState::Fresh => None,
        LockState::Missing => Some("there is no Distro.lock".to_owned()),
        LockState::Stale { reason, place } => {
            Some(place.map_or_else(|| reason.clone(), |place| format!("{place}: {reason}")))
        }
    };
    let lock = declaration.lock().map(|lock| Digest::of(lock.to_toml().as_bytes()));
    Some(Folder { stale, lock })
}

/// What is known about the kernel.
pub(crate) struct KernelReport {
    pub(crate) observed: Option<ObservedKernel>,
    pub(crate) document: Value,
    pub(crate) pretty: String,
}

impl KernelReport {
    /// No kernel runs.
    pub(crate) fn stopped() -> Self {
        Self {
            observed: None,
            document: json!({ "running": false }),
            pretty: "kernel    stopped\n".to_owned(),
        }
    }
}

/// Without a verb: how things are, and what can be typed.
pub(crate) fn bare(session: &mut Session) -> Outcome {
    let told: Result<u8, Failure> = run(session);
    told?;
    if !session.shell.for_programs() {
        session.shell.data(
            "\nastrid plan       show what the Distro.toml here would change, and its authority\n\
             astrid apply      make this machine what it declares\n\
             astrid --help     everything else\n",
        );
    }
    Ok(DONE)
}
