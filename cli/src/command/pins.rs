//! `trust keys`: whose signature each distro must have.

use astrid_authority::DistroId;
use astrid_resolver::proposal::HomeTrust;
use astrid_resolver::trust::files::forget_pin;
use serde_json::json;

use crate::args::TrustKeysVerb;
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::{put, safe};
use crate::session::Session;

pub(crate) fn run(session: &mut Session, verb: &TrustKeysVerb) -> Outcome {
    match verb {
        TrustKeysVerb::List => list(session),
        TrustKeysVerb::Remove(args) => remove(session, &args.id),
    }
}

fn list(session: &mut Session) -> Outcome {
    let trust = HomeTrust::read(&session.context()?)?;
    let mut pretty = String::new();
    for pin in trust.pins.iter() {
        put!(pretty, "{}  signed by {}\n", pin.distro, safe(&pin.signer.to_string()));
        put!(
            pretty,
            "  first from {} at {:.0}, last applied at {:.0}\n",
            safe(&pin.origin),
            pin.first,
            pin.last
        );
        if let Some(next) = &pin.endorses {
            put!(pretty, "  followed by {}\n", safe(next));
        }
    }
    if pretty.is_empty() {
        "no distro is held to who signed it: none that was applied was signed\n".clone_into(&mut pretty);
    }
    let pins: Vec<_> = trust.pins.iter().collect();
    session.shell.show(&json!({ "pins": pins }), &pretty)?;
    Ok(DONE)
}

fn remove(session: &mut Session, typed: &str) -> Outcome {
    let context = session.context()?;
    let id: DistroId =
        typed.parse().map_err(|_| Failure::usage(format!("`{}` is no id of a distro", safe(typed))))?;
    let missing = || {
        Failure::failed(format!("distro `{id}` is held to nobody"))
            .hint("`astrid trust keys list` shows which are")
    };
    let pin = HomeTrust::read(&context)?.pins.get(&id).cloned().ok_or_else(missing)?;
    if !session.global.yes {
        if !session.world.interactive || session.shell.for_programs() {
            return Err(Failure::failed("nobody can be asked here, and nothing was forgotten")
                .hint("pass --yes; the next signature of that distro is taken as the first one"));
        }
        session.shell.say(&format!(
            "Distro {id} must be signed by {}.\nOnce that is forgotten, anybody may sign it, or nobody, until it is applied again.",
            safe(&pin.signer.to_string())
        ));
        let answer = prompt::text(&mut session.shell, &format!("Type `{id}` to go on: "))?;
        if answer.is_none_or(|answer| answer.trim() != id.as_str()) {
            return Err(Failure::failed("Cancelled.").hint(format!("type exactly `{id}`")));
        }
    }
    let writer = session.write_lock(&context.home, "astrid trust keys remove")?;
    let forgotten = forget_pin(&context, &writer, &id)?.ok_or_else(missing)?;
    drop(writer);
    let pretty = format!("distro {id} is no longer held to {}\n", safe(&forgotten.signer.to_string()));
    session.shell.show(&json!({ "forgotten": forgotten }), &pretty)?;
    Ok(DONE)
}
