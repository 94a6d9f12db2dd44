//! `packs inspect`: the same for a pack that is installed, in a repository, or at a URL, before anything is written.

use astrid_manifest::{Signer, Source};
use astrid_resolver::pack::{InstalledPack, Located, installed_pack, look, pin_of, revisions};
use astrid_resolver::{Context, Declaration};
use serde_json::{Value, json};

use super::wanted::{Typed, typed};
use crate::args::PackInspectArgs;
use crate::command::edit::edited;
use crate::exit::{DONE, Failure, Outcome};
use crate::facts::Facts;
use crate::render::{self, put, safe};
use crate::session::Session;

pub(super) fn run(session: &mut Session, args: &PackInspectArgs) -> Outcome {
    let context = session.context_aside()?;
    let is_here = session.world.path(std::path::Path::new(&args.what)).exists();
    let installed = match args.what.parse() {
        Ok(id) => installed_pack(&context, &id)?,
        Err(_) => None,
    };
    if let Some(pack) = installed {
        return show_installed(session, &context, &pack, args);
    }
    if args.what.parse::<astrid_authority::PackId>().is_ok() && !is_here {
        return Err(Failure::failed(format!("pack `{}` is not installed, and is no folder here", args.what))
            .hint("`astrid packs list` shows what is installed; name a folder, an archive or a URL to look before"));
    }
    let facts = found(session, &context, &args.what)?;
    let mut document = if args.agent { render::pack::agent(&facts) } else { render::pack::document(&facts) };
    document["installed"] = json!(false);
    let pretty = if args.agent { agent_text(&facts) } else { pretty(&facts, None) };
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

fn found(session: &mut Session, context: &Context, what: &str) -> Result<Facts, Failure> {
    let (located, shown, declaration): (Located, Option<String>, Option<Declaration>) =
        match typed(session, context, what)? {
            Typed::Here(found) => {
                let path = found.source.to_string();
                (found, Some(path), None)
            }
            Typed::Git(found) => (found, None, None),
            Typed::Named(source) => {
                let (Source::Index { name, .. } | Source::Release { repo: name, .. }) = &source else {
                    return Err(Failure::invalid(format!("`{source}` says no name")));
                };
                let id =
                    name.parse().map_err(|error| Failure::invalid(format!("`{}`: {error}", safe(name))))?;
                let edited = edited(session, context)?;
                let declaration = edited.declaration(session, context)?;
                (Located { id, source, requested: None }, None, Some(declaration))
            }
        };
    let pin = pin_of(&located.source, &located.id, declaration.as_ref())?;
    let found = look(context, &located.id, &located.source, &pin)?;
    Ok(Facts::of_found(&located, shown, found))
}

fn show_installed(
    session: &mut Session,
    context: &Context,
    pack: &InstalledPack,
    args: &PackInspectArgs,
) -> Outcome {
    let facts = Facts::of_installed(context, pack)?;
    if args.agent {
        let mut document = render::pack::agent(&facts);
        document["installed"] = json!(true);
        session.shell.show(&document, &agent_text(&facts))?;
        return Ok(DONE);
    }
    let intact = pack.check(context);
    let mut document = render::pack::document(&facts);
    let record = &pack.record;
    document["installed"] = json!(true);
    document["status"] = json!("active");
    for field in [
        "installed_at",
        "manifest_digest",
        "revision",
        "previous_active_revision",
        "install_root",
        "last_validation_time",
    ] {
        document[field] = record[field].clone();
    }
    document["accepted"] = accepted(record);
    document["record_path"] = json!(pack.record_path.display().to_string());
    document["generation"] = json!(pack.generation().get());
    document["intact"] = json!(intact.is_ok());
    document["not_intact"] = json!(intact.as_ref().err().map(|error| error.message().to_owned()));
    let all = revisions(context, pack.id())?;
    document["revisions"] = all
        .iter()
        .map(|one| {
            json!({
                "version": one.locked.version,
                "content_digest": one.content(),
                "commit_sha": one.locked.commit,
                "installed_at": one.installed_at,
                "generations": one.generations.iter().map(|number| number.get()).collect::<Vec<_>>(),
                "active": one.is_active,
            })
        })
        .collect();
    let mut text = pretty(&facts, Some(pack));
    match &intact {
        Ok(()) => put!(text, "its bytes and its record are what was accepted\n"),
        Err(error) => put!(text, "! {}\n", safe(error.message())),
    }
    session.shell.show(&document, &text)?;
    Ok(DONE)
}

/// What was accepted, when, how and by whom.
pub(super) fn accepted(record: &Value) -> Value {
    json!({
        "permissions_accepted": record["permissions_accepted"],
        "trust_acknowledged_at": record["trust_acknowledged_at"],
        "trust_method": record["trust_method"],
        "trust_actor": record["trust_actor"],
        "no_sandbox_warning_version": record["no_sandbox_warning_version"],
        "content_digest": record["content_digest"],
        "authority_digest": record["authority_digest"],
        "signer": record["signer"],
    })
}

fn pretty(facts: &Facts, installed: Option<&InstalledPack>) -> String {
    let mut text = render::pack::summary(facts);
    render::pack::components_text(&mut text, facts);
    let Some(pack) = installed else {
        put!(text, "it is not installed; nothing was written\n");
        return text;
    };
    let record = &pack.record;
    let word = |field: &str| safe(record[field].as_str().unwrap_or("-"));
    put!(text, "Accepted:\n");
    put!(
        text,
        "  at {} by {} ({}), after warning {} that nothing is sandboxed\n",
        word("trust_acknowledged_at"),
        word("trust_actor"),
        word("trust_method"),
        record["no_sandbox_warning_version"]
    );
    put!(text, "  content   {}\n", pack.locked.content);
    put!(text, "  authority {}\n", pack.locked.authority);
    let signer: Option<Signer> = serde_json::from_value(record["signer"].clone()).ok();
    put!(text, "  signer    {}\n", signer.map_or("-".to_owned(), |signer| safe(&signer.to_string())));
    let permissions: Vec<astrid_authority::Permission> =
        serde_json::from_value(record["permissions_accepted"].clone()).unwrap_or_default();
    for permission in &permissions {
        put!(text, "  - {}\n", render::pack::disclosed(permission));
    }
    if permissions.is_empty() {
        put!(text, "  - no permissions were declared\n");
    }
    put!(text, "  installed {} in generation {}\n", word("installed_at"), pack.generation());
    put!(text, "  location  {}\n", pack.root.display());
    put!(text, "  record    {}\n", pack.record_path.display());
    text
}

fn agent_text(facts: &Facts) -> String {
    let mut text = String::new();
    let Value::Object(fields) = render::pack::agent(facts) else { return text };
    for (name, value) in fields {
        match value {
            Value::String(one) => put!(text, "{name}: {}\n", safe(&one)),
            Value::Array(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                    .collect();
                put!(text, "{name}: {}\n", safe(&items.join(", ")));
            }
            other => put!(text, "{name}: {}\n", safe(&other.to_string())),
        }
    }
    text
}
