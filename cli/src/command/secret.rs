//! `secret`: values that capsules get, and that nobody else sees. A value is never an argument.

use astrid_authority::{CapsuleName, EnvKey};
use astrid_manifest::Subject;
use astrid_resolver::secrets::{Binding, Secret, SecretName, SecretStore, principal_scope};
use serde_json::json;

use super::fleet::principal;
use crate::args::{SecretNameArgs, SecretSetArgs, SecretVerb};
use crate::exit::{DONE, Failure, Outcome};
use crate::prompt;
use crate::render::safe;
use crate::session::Session;
use crate::shell::table;

pub(crate) fn run(session: &mut Session, verb: &SecretVerb) -> Outcome {
    match verb {
        SecretVerb::Set(args) => set(session, args),
        SecretVerb::List => list(session),
        SecretVerb::Delete(args) => delete(session, args),
    }
}

fn name(capsule: &str, key: &str) -> Result<SecretName, Failure> {
    let capsule: CapsuleName = capsule
        .parse()
        .map_err(|_| Failure::usage(format!("`{}` is no name of a capsule", safe(capsule))))?;
    let key: EnvKey =
        key.parse().map_err(|_| Failure::usage(format!("`{}` is no name of a setting", safe(key))))?;
    Ok(SecretName { scope: principal_scope(&principal())?, capsule, key })
}

fn set(session: &mut Session, args: &SecretSetArgs) -> Outcome {
    if args.value.is_some() {
        return Err(Failure::usage(
            "a secret is never an argument: others could read it in the process list",
        )
        .hint("leave the value out and type it when asked, or give it on standard input"));
    }
    let name = name(&args.capsule, &args.key)?;
    let context = session.context()?;
    let current = astrid_resolver::apply::current(&context)?;
    let artifact = current
        .as_ref()
        .and_then(|current| current.facts.fleet.artifacts.get(&Subject::Capsule(name.capsule.clone())))
        .ok_or_else(|| {
            Failure::failed(format!("no capsule `{}` is applied", name.capsule))
                .hint("a secret is bound to the source and signer of its capsule: apply first, then set it")
        })?;
    let binding = Binding { source: artifact.place.clone(), signer: artifact.signer.to_string() };
    let value = prompt::secret_value(
        &mut session.shell,
        session.world.interactive,
        &name.capsule,
        name.key.as_str(),
    )?;
    if value.is_empty() {
        return Err(Failure::usage("the secret is empty").hint("`astrid secret delete` forgets one"));
    }
    let value = Secret::new(value).map_err(|error| Failure::usage(error.to_string()))?;
    let writer = session.write_lock(&context.home, "astrid secret set")?;
    SecretStore::open(&context.home, context.store.disk(), context.entropy.as_ref())?.set(
        &name,
        &binding,
        &value,
        context.entropy.as_ref(),
    )?;
    drop(writer);
    session.shell.note(&format!("{} of {} is stored; `astrid apply` hands it over", name.key, name.capsule));
    Ok(DONE)
}

fn list(session: &mut Session) -> Outcome {
    let context = session.context()?;
    let scope = principal_scope(&principal())?;
    let names = match SecretStore::open_existing(&context.home, context.store.disk())? {
        Some(store) => store.list(&scope)?,
        None => Vec::new(),
    };
    let rows: Vec<Vec<String>> =
        names.iter().map(|name| vec![name.capsule.to_string(), name.key.to_string()]).collect();
    let pretty =
        if rows.is_empty() { "no secret is stored\n".to_owned() } else { table(&["CAPSULE", "KEY"], &rows) };
    let documents: Vec<_> =
        names.iter().map(|name| json!({ "capsule": name.capsule, "key": name.key.as_str() })).collect();
    session.shell.show(&json!({ "secrets": documents }), &pretty)?;
    Ok(DONE)
}

fn delete(session: &mut Session, args: &SecretNameArgs) -> Outcome {
    let name = name(&args.capsule, &args.key)?;
    let context = session.context()?;
    let missing = || Failure::failed(format!("no secret `{}` of `{}` is stored", name.key, name.capsule));
    let store = SecretStore::open_existing(&context.home, context.store.disk())?.ok_or_else(missing)?;
    let writer = session.write_lock(&context.home, "astrid secret delete")?;
    if !store.delete(&name)? {
        return Err(missing().hint("`astrid secret list` shows what is"));
    }
    drop(writer);
    session.shell.note(&format!("{} of {} is forgotten", name.key, name.capsule));
    Ok(DONE)
}
