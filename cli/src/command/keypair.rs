//! `keypair`: keys to sign with. A secret key is never printed.

use astrid_resolver::endorsement;
use astrid_resolver::keyring::{KeyInfo, KeyName, Keyring, PublicKey};
use serde_json::{Value, json};

use crate::args::{EndorseArgs, GenerateArgs, KeyNameArgs, KeypairVerb};
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::{Format, table};

pub(crate) fn run(session: &mut Session, verb: &KeypairVerb) -> Outcome {
    match verb {
        KeypairVerb::Generate(args) => generate(session, args),
        KeypairVerb::List => list(session),
        KeypairVerb::Show(args) => show(session, args),
        KeypairVerb::Pubkey(args) => pubkey(session, args),
        KeypairVerb::Delete(args) => delete(session, args),
        KeypairVerb::Endorse(args) => endorse(session, args),
    }
}

/// The keys of this home.
pub(crate) fn keyring(session: &Session) -> Result<Keyring, Failure> {
    Ok(Keyring::new(&session.home()?, &session.disk()))
}

fn document(key: &KeyInfo) -> Value {
    json!({
        "name": key.name.as_str(),
        "public_key": key.public.to_string(),
        "openssh": key.public.to_openssh(),
        "hex": key.public.to_hex(),
        "fingerprint": key.public.fingerprint(),
        "created": key.created.map(|at| at.to_string()),
        "note": key.note,
        "path": key.path.display().to_string(),
    })
}

fn pretty(key: &KeyInfo) -> String {
    let mut text = format!("key          {}\n", key.name);
    put!(text, "public key   {}\n", key.public);
    put!(text, "hex          {}\n", key.public.to_hex());
    put!(text, "fingerprint  {}\n", key.public.fingerprint());
    if let Some(created) = key.created {
        put!(text, "created      {created:.0}\n");
    }
    if let Some(note) = &key.note {
        put!(text, "note         {}\n", safe(note));
    }
    put!(text, "file         {}\n", key.path.display());
    text
}

fn generate(session: &mut Session, args: &GenerateArgs) -> Outcome {
    let name: KeyName = args.name.parse()?;
    if args.raw && session.shell.for_programs() {
        return Err(Failure::usage("--raw prints one line, and --json a document")
            .hint("leave one of them out: the document has the public key as `hex`"));
    }
    let ring = keyring(session)?;
    let writer = session.write_lock(&session.home()?, "astrid keypair generate")?;
    let (clock, entropy) = (session.clock(), session.entropy());
    let made = ring.generate(&name, args.note.as_deref(), args.force, (&*clock, &*entropy), &writer)?;
    drop(writer);
    if let Some(replaced) = &made.replaced {
        let old = replaced.map_or("which could not be read".to_owned(), |key| key.to_string());
        session.shell.warn(&format!(
            "the key that was there is gone: what it signed stays verifiable only with its public key, {old}"
        ));
    }
    if args.raw {
        session.shell.data(&format!("{}\n", made.key.public.to_hex()));
        return Ok(DONE);
    }
    session.shell.show(&document(&made.key), &pretty(&made.key))?;
    Ok(DONE)
}

fn list(session: &mut Session) -> Outcome {
    let (mut rows, mut documents) = (Vec::new(), Vec::new());
    for (name, found) in keyring(session)?.list()? {
        match found {
            Ok(key) => {
                let created = key.created.map_or("unknown".to_owned(), |at| format!("{at:.0}"));
                let note = key.note.as_deref().map(safe).unwrap_or_default();
                rows.push(vec![name.to_string(), key.public.to_string(), created, note]);
                documents.push(document(&key));
            }
            Err(error) => {
                let failure = Failure::from(error);
                documents.push(json!({ "name": name.as_str(), "problem": failure.message }));
                session.shell.warn(&format!("key `{name}`: {}", safe(&failure.message)));
            }
        }
    }
    let pretty = if documents.is_empty() {
        "no key; `astrid keypair generate` makes one\n".to_owned()
    } else {
        table(&["NAME", "PUBLIC KEY", "CREATED", "NOTE"], &rows)
    };
    session.shell.show(&json!({ "keys": documents }), &pretty)?;
    Ok(DONE)
}

fn show(session: &mut Session, args: &KeyNameArgs) -> Outcome {
    let key = keyring(session)?.show(&args.name.parse()?)?;
    session.shell.show(&document(&key), &pretty(&key))?;
    Ok(DONE)
}

fn pubkey(session: &mut Session, args: &KeyNameArgs) -> Outcome {
    let key = keyring(session)?.show(&args.name.parse()?)?;
    let line = match session.shell.format() {
        Format::Openssh => key.public.to_openssh(),
        Format::Hex => key.public.to_hex(),
        _ => key.public.to_string(),
    };
    session.shell.show(&document(&key), &format!("{line}\n"))?;
    Ok(DONE)
}

fn delete(session: &mut Session, args: &KeyNameArgs) -> Outcome {
    let name: KeyName = args.name.parse()?;
    let ring = keyring(session)?;
    // A key that can't be read can be deleted all the same.
    let known = match ring.list()?.into_iter().find(|(own, _)| *own == name) {
        Some((_, found)) => found.ok(),
        None => Some(ring.show(&name)?),
    };
    if !session.global.yes {
        if !session.world.interactive || session.shell.for_programs() {
            return Err(Failure::failed("nobody can be asked here, and the key was not deleted")
                .hint("pass --yes; nothing can be signed with it afterwards"));
        }
        let shown = known.as_ref().map_or(String::new(), |key| format!(" ({})", key.public));
        let question = format!("Delete the key {name}{shown}? Nothing can be signed with it afterwards.");
        if !prompt::confirm(&mut session.shell, &question)? {
            return Err(Failure::failed("Cancelled."));
        }
    }
    let writer = session.write_lock(&session.home()?, "astrid keypair delete")?;
    ring.delete(&name, &writer)?;
    drop(writer);
    let public = known.map(|key| key.public.to_string());
    session.shell.note(&format!("the key {name} is deleted"));
    session.shell.show(&json!({ "deleted": name.as_str(), "public_key": public }), "")?;
    Ok(DONE)
}

fn endorse(session: &mut Session, args: &EndorseArgs) -> Outcome {
    let new: PublicKey = args.new.parse().map_err(|_| {
        Failure::usage("--new takes the public key that follows")
            .hint("write ed25519:BASE64, as `astrid keypair pubkey NAME` prints it")
    })?;
    if args.output.is_some() {
        session.may_write_repository()?;
    }
    let old = super::sign::signing_key(session, &args.old)?;
    let text = endorsement::endorse(&old, &new).map_err(astrid_resolver::Error::from)?;
    if let Some(file) = &args.output {
        endorsement::append(&session.world.path(file), &text, &session.disk())?;
        session.shell.note(&format!(
            "{} follows {}; keep the line beside Distro.toml for as long as homes may know the old key",
            new,
            old.public()
        ));
    }
    let bundle: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::failed(format!("the endorsement can't be read again: {error}")))?;
    let document = json!({
        "from": old.public().to_string(),
        "to": new.to_string(),
        "endorsement": bundle,
        "file": args.output.as_ref().map(|file| file.display().to_string()),
    });
    session.shell.show(&document, if args.output.is_some() { "" } else { &text })?;
    Ok(DONE)
}
