//! `packs agent-index`: what agents have to know about the packs that are installed.

use astrid_resolver::Context;
use astrid_resolver::pack::{InstalledPack, installed};
use serde_json::{Value, json};

use crate::args::PackIndexArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::facts::Facts;
use crate::render::{self, put, safe};
use crate::session::Session;

/// What of a pack's document an entry has.
const FIELDS: [&str; 22] = [
    "pack_id",
    "name",
    "version",
    "description",
    "source_type",
    "trust_tier",
    "normal_entrypoints",
    "entrypoints",
    "do_not_use_for",
    "required_context",
    "secrets",
    "dependencies",
    "keywords",
    "capabilities",
    "component_counts",
    "components",
    "warnings",
    "permissions",
    "permission_ids",
    "trust",
    "at_a_glance",
    "content_digest",
];

pub(super) fn run(session: &mut Session, args: &PackIndexArgs) -> Outcome {
    let context = session.context()?;
    let mut entries = Vec::new();
    for pack in installed(&context)? {
        if args.pack_id.as_ref().is_none_or(|asked| pack.id().as_str() == asked) {
            entries.push(entry(&context, &pack)?);
        }
    }
    let document = match &args.pack_id {
        None => json!({ "packs": entries }),
        Some(_) => json!({ "pack": entries.into_iter().next() }),
    };
    let text = if args.text { text(&document) } else { json_text(&document)? };
    session.shell.show(&document, &text)?;
    Ok(DONE)
}

fn entry(context: &Context, pack: &InstalledPack) -> Result<Value, Failure> {
    let facts = Facts::of_installed(context, pack)?;
    let whole = render::pack::document(&facts);
    let mut entry = json!({});
    for field in FIELDS {
        entry[field] = whole[field].clone();
    }
    entry["purpose"] = whole["agent"]["purpose"].clone();
    entry["docs_paths"] = json!(whole["docs"].as_object().map(|docs| docs.values().collect::<Vec<_>>()));
    Ok(entry)
}

/// The index is for programs, whatever was asked of other verbs.
fn json_text(document: &Value) -> Result<String, Failure> {
    let mut versioned = json!({ "format_version": 1 });
    if let (Value::Object(into), Value::Object(from)) = (&mut versioned, document.clone()) {
        into.extend(from);
    }
    let text = serde_json::to_string_pretty(&versioned)
        .map_err(|error| Failure::failed(format!("the index can't be written: {error}")))?;
    Ok(format!("{text}\n"))
}

fn text(document: &Value) -> String {
    let mut out = String::new();
    let list = document["packs"].as_array().cloned().unwrap_or_else(|| vec![document["pack"].clone()]);
    for pack in list.iter().filter(|pack| !pack.is_null()) {
        let word = |value: &Value| safe(value.as_str().unwrap_or_default());
        put!(out, "{} {}: {}\n", word(&pack["pack_id"]), word(&pack["version"]), word(&pack["purpose"]));
        let ids = |key: &str| {
            let items = pack[key].as_array().cloned().unwrap_or_default();
            items.iter().filter_map(Value::as_str).map(safe).collect::<Vec<_>>().join(", ")
        };
        put!(out, "  begin with: {}\n", ids("entrypoints"));
        put!(out, "  discloses:  {}\n", ids("permission_ids"));
        let not_for = word(&pack["do_not_use_for"]);
        if !not_for.is_empty() {
            put!(out, "  not for:    {not_for}\n");
        }
    }
    if out.is_empty() {
        "no packs are installed\n".clone_into(&mut out);
    }
    out
}
