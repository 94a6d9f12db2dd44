//! `packs list` and `packs search`: what is installed, what is only declared, and what indexes offer.

use std::collections::BTreeMap;

use astrid_resolver::Context;
use astrid_resolver::pack::{InstalledPack, index_folders, installed};
use serde_json::{Value, json};

use crate::args::{PackFilterArgs, PackSearchArgs};
use crate::command::edit::edited;
use crate::exit::{DONE, Failure, Outcome};
use crate::facts::Facts;
use crate::render::{self, put, safe};
use crate::session::Session;
use crate::shell::table;

/// A pack as lists show it.
struct Listed {
    id: String,
    /// All that is shown of it to programs.
    document: Value,
}

impl Listed {
    fn word(&self, key: &str) -> &str {
        self.document[key].as_str().unwrap_or_default()
    }

    fn cells(&self) -> Vec<String> {
        let digest = self.document["content_digest"].as_str().unwrap_or_default();
        vec![
            self.id.clone(),
            safe(self.word("version")),
            self.word("state").to_owned(),
            self.word("trust_tier").to_owned(),
            digest.get(..19).unwrap_or("-").to_owned(),
            safe(self.word("source_path")),
        ]
    }
}

/// What is installed, by id. A pack that can't be read is listed as damaged, and hides no other.
fn all(context: &Context) -> Result<Vec<Listed>, Failure> {
    Ok(installed(context)?.iter().map(|pack| one(context, pack)).collect())
}

fn one(context: &Context, pack: &InstalledPack) -> Listed {
    let id = pack.id().to_string();
    let mut document = match Facts::of_installed(context, pack) {
        Ok(facts) => render::pack::document(&facts),
        Err(failure) => json!({
            "pack_id": id,
            "version": pack.locked.version,
            "source_path": pack.record["source_path"],
            "content_digest": pack.locked.content,
            "damaged": failure.message,
        }),
    };
    let state = if document.get("damaged").is_some() { "damaged" } else { "installed" };
    document["state"] = json!(state);
    document["installed_at"] = pack.record["installed_at"].clone();
    document["accepted"] = super::inspect::accepted(&pack.record);
    Listed { id, document }
}

/// What is declared and not installed: the next apply would bring it.
fn pending(session: &mut Session, context: &Context, there: &[Listed]) -> Result<Vec<Listed>, Failure> {
    let Ok(edited) = edited(session, context) else { return Ok(Vec::new()) };
    let declaration = edited.declaration(session, context)?;
    let missing =
        declaration.distro().packs.iter().filter(|entry| there.iter().all(|one| one.id != entry.id.as_str()));
    let listed = missing.map(|entry| Listed {
        id: entry.id.to_string(),
        document: json!({
            "pack_id": entry.id,
            "state": "declared",
            "source_path": entry.source.to_string(),
            "requested_ref": entry.requested_ref,
        }),
    });
    Ok(listed.collect())
}

pub(super) fn list(session: &mut Session, args: &PackFilterArgs) -> Outcome {
    let context = session.context()?;
    let mut packs = all(&context)?;
    packs.extend(pending(session, &context, &packs)?);
    let filters = [
        ("category", &args.category),
        ("domain", &args.domain),
        ("origin", &args.origin),
        ("install_tier", &args.install_tier),
        ("pack_type", &args.pack_type),
        ("stability", &args.stability),
        ("support", &args.support),
        ("pack_status", &args.status),
        ("visibility", &args.visibility),
    ];
    packs.retain(|pack| {
        filters.iter().all(|(key, asked)| asked.as_ref().is_none_or(|asked| pack.word(key) == asked))
            && (args.show_hidden || args.visibility.is_some() || pack.word("visibility") != "hidden")
    });
    let mut groups: BTreeMap<String, Vec<&Listed>> = BTreeMap::new();
    for pack in &packs {
        groups.entry(pack.word("domain").to_owned()).or_default().push(pack);
    }
    let mut pretty = String::new();
    for (domain, members) in &groups {
        let shown = if domain.is_empty() { "not known yet" } else { domain };
        put!(pretty, "domain {}\n", safe(shown));
        let rows: Vec<Vec<String>> = members.iter().map(|pack| pack.cells()).collect();
        for line in table(&["ID", "VERSION", "STATE", "TIER", "CONTENT", "SOURCE"], &rows).lines() {
            put!(pretty, "  {line}\n");
        }
    }
    if packs.is_empty() {
        "no packs are installed\n".clone_into(&mut pretty);
    }
    let groups: Vec<Value> = groups
        .iter()
        .map(|(domain, members)| {
            json!({
                "group_by": "domain",
                "value": domain,
                "packs": members.iter().map(|pack| pack.id.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let documents: Vec<&Value> = packs.iter().map(|pack| &pack.document).collect();
    session.shell.show(&json!({ "packs": documents, "groups": groups }), &pretty)?;
    Ok(DONE)
}

/// How well one word fits: 0 when it does not at all.
fn score(document: &Value, term: &str) -> u32 {
    let term = term.to_lowercase();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let id = text(&document["pack_id"]);
    let mut score = 0;
    if id == term {
        score += 100;
    } else if id.contains(&term) {
        score += 40;
    }
    let fields =
        [("name", 30), ("description", 10), ("keywords", 20), ("capabilities", 20), ("components", 5)];
    for (field, weight) in fields {
        let found = match &document[field] {
            Value::Array(items) => items.iter().any(|item| match item {
                Value::Object(component) => component.values().any(|value| text(value).contains(&term)),
                other => text(other).contains(&term),
            }),
            other => text(other).contains(&term),
        };
        score += if found { weight } else { 0 };
    }
    score + if text(&document["agent"]["purpose"]).contains(&term) { 15 } else { 0 }
}

pub(super) fn search(session: &mut Session, args: &PackSearchArgs) -> Outcome {
    let context = session.context()?;
    let mut packs = all(&context)?;
    packs.extend(offered(session, &context, &packs)?);
    let mut found: Vec<(u32, Listed)> = packs
        .into_iter()
        .filter_map(|pack| {
            let scores: Vec<u32> = args.terms.iter().map(|term| score(&pack.document, term)).collect();
            // Every word has to fit somewhere.
            scores.iter().all(|score| *score > 0).then(|| (scores.iter().sum(), pack))
        })
        .collect();
    found.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.id.cmp(&other.1.id)));
    found.truncate(args.limit);
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|(score, pack)| {
            let version = safe(pack.word("version"));
            vec![
                pack.id.clone(),
                version,
                pack.word("state").to_owned(),
                score.to_string(),
                safe(pack.word("description")),
            ]
        })
        .collect();
    let pretty = if rows.is_empty() {
        "nothing fits\n".to_owned()
    } else {
        table(&["ID", "VERSION", "STATE", "SCORE", "DESCRIPTION"], &rows)
    };
    let documents: Vec<Value> = found
        .into_iter()
        .map(|(score, mut pack)| {
            pack.document["score"] = json!(score);
            pack.document
        })
        .collect();
    session.shell.show(&json!({ "terms": args.terms, "packs": documents }), &pretty)?;
    Ok(DONE)
}

/// What the declared indexes offer besides: an index says names and versions only.
fn offered(session: &mut Session, context: &Context, there: &[Listed]) -> Result<Vec<Listed>, Failure> {
    let Ok(edited) = edited(session, context) else { return Ok(Vec::new()) };
    let declaration = edited.declaration(session, context)?;
    let mut found = Vec::new();
    for folder in index_folders(&declaration)? {
        for id in folder.pack_ids()? {
            if there.iter().any(|one| one.id == id.as_str()) {
                continue;
            }
            let newest = astrid_resolver::pack::newest_version(Some(folder.name()), &id, &declaration).ok();
            found.push(Listed {
                id: id.to_string(),
                document: json!({
                    "pack_id": id,
                    "version": newest.map(|version| version.to_string()),
                    "state": "offered",
                    "source_path": format!("index:{}/{id}", folder.name()),
                }),
            });
        }
    }
    Ok(found)
}
