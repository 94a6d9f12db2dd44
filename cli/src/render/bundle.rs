//! A bundle for people and for programs: what it holds, who sealed it, and what it may do.

use astrid_manifest::Signer;
use astrid_resolver::Error;
use astrid_resolver::bundle::{Examined, Seal, Shuttle};
use astrid_resolver::gate::{Provenance, RootSource};
use serde_json::{Value, json};

use super::plan::disclosed;
use super::{grants, safe};
use crate::shell::{count, paint, size, style};

/// Who sealed it, and what says that they may.
pub(crate) fn seal(shuttle: &Shuttle, seal: &Seal) -> String {
    let mut text = String::new();
    if seal.signer.is_unsigned() {
        put!(text, "{}\n", paint(style::WARNING, "! unsigned"));
        return text;
    }
    put!(text, "signer  {}\n", safe(&seal.signer.to_string()));
    if let Some(time) = seal.times.iter().min() {
        put!(text, "signed  {time}\n");
    }
    let named = shuttle.distro().header.signing.as_ref();
    let is_named = named.is_some_and(|named| seal.signer == Signer::Key(named.pubkey.clone()));
    let rule = match &seal.rule {
        Some(rule) => format!("the rule at {} lets them", safe(rule)),
        None if is_named => {
            "Distro.toml in it names this key: compare it with what its publisher says".to_owned()
        }
        None => "no rule of this home says who may sign it".to_owned(),
    };
    put!(text, "        {rule}\n");
    text
}

/// Folders whose members are named by their digests.
const MANY: [&str; 3] = ["signatures", "archives", "blobs"];

/// Members of a kind that there are many of are counted.
fn members(shuttle: &Shuttle) -> Vec<(String, usize, u64)> {
    let mut rows: Vec<(String, usize, u64)> = Vec::new();
    for entry in shuttle.entries() {
        let name = match entry.path.split_once('/') {
            Some((folder, _)) if MANY.contains(&folder) => format!("{folder}/"),
            _ => entry.path.clone(),
        };
        match rows.last_mut() {
            Some((last, number, bytes)) if *last == name => {
                *number += 1;
                *bytes = bytes.saturating_add(entry.size);
            }
            _ => rows.push((name, 1, entry.size)),
        }
    }
    rows
}

fn heading(out: &mut String, text: &str) {
    put!(out, "\n{}\n", paint(style::HEADING, text));
}

/// Everything about it, in the words of `plan`.
pub(crate) fn inspected(shuttle: &Shuttle, examined: &Examined) -> String {
    let header = &shuttle.distro().header;
    let mut out = String::new();
    let title = format!("{} {}, a bundle of version {}", header.id, header.version, shuttle.version());
    put!(out, "{}\n", paint(style::HEADING, &title));
    put!(out, "digest  {}\n", shuttle.digest());
    match &examined.seal {
        Ok(found) => out.push_str(&seal(shuttle, found)),
        Err(error) => put!(out, "{}\n", paint(style::ERROR, &format!("! {}", safe(error.message())))),
    }
    root(&mut out, shuttle, examined);
    if let Some(since) = shuttle.predicate().and_then(|predicate| predicate.since) {
        put!(out, "since   {since}: {} left out\n", count(shuttle.missing().len(), "blob"));
    }
    heading(&mut out, "Members");
    let rows = members(shuttle);
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    for (name, number, bytes) in rows {
        let number = if number > 1 { format!("  {number} files") } else { String::new() };
        put!(out, "  {name:width$}  {:>10}{number}\n", size(bytes));
    }
    capsules(&mut out, examined);
    packs(&mut out, examined);
    acknowledgements(&mut out, examined);
    out
}

fn root(out: &mut String, shuttle: &Shuttle, examined: &Examined) {
    let standing = &examined.root;
    let source = match standing.source {
        RootSource::Builtin => "the root in this program",
        RootSource::Home => "the home's own root",
    };
    let age = match standing.age_days {
        Some(days) => format!("{} old", count(usize::try_from(days).unwrap_or(0), "day")),
        None => "of unknown age".to_owned(),
    };
    put!(out, "root    verified with {source}, {age}\n");
    let Some(inside) = shuttle.predicate().and_then(|predicate| predicate.trusted_root) else { return };
    if inside == standing.digest {
        put!(out, "        the one inside is the same\n");
    } else {
        put!(out, "        the one inside is another and is not used: {inside}\n");
    }
}

fn provenance(out: &mut String, found: &Result<Provenance, Error>) {
    let text = match found {
        Ok(found) if found.signer.is_unsigned() => paint(style::WARNING, "! unsigned"),
        Ok(found) => format!("signer {}", safe(&found.signer.to_string())),
        Err(error) => paint(style::ERROR, &format!("! {}", safe(error.message()))),
    };
    put!(out, "    {text}\n");
}

fn capsules(out: &mut String, examined: &Examined) {
    if examined.capsules.is_empty() {
        return;
    }
    heading(out, "Authority of capsules (the kernel enforces it)");
    for (name, capsule) in &examined.capsules {
        let pack = capsule.pack.as_ref().map(|pack| format!(", in pack:{pack}")).unwrap_or_default();
        put!(out, "  capsule:{name} {}{pack}\n", safe(&capsule.version));
        provenance(out, &capsule.provenance);
        for grant in grants::lines(capsule.authority.granted.iter()) {
            put!(out, "    {}\n", paint(style::ADDED, &format!("+ {grant}")));
        }
        for grant in grants::lines(capsule.authority.unused.iter()) {
            let text = format!("· unused   {grant} (claimed; its bytes can't use it)");
            put!(out, "    {}\n", paint(style::FAINT, &text));
        }
    }
}

fn packs(out: &mut String, examined: &Examined) {
    if examined.packs.is_empty() {
        return;
    }
    heading(out, "Disclosed by packs (nothing enforces it: they run with all your rights)");
    for (id, pack) in &examined.packs {
        put!(out, "  pack:{id} {}\n", safe(&pack.version));
        provenance(out, &pack.provenance);
        for permission in &pack.permissions {
            put!(out, "    {}\n", paint(style::ADDED, &format!("+ discloses {}", disclosed(permission))));
        }
    }
}

fn acknowledgements(out: &mut String, examined: &Examined) {
    if examined.acknowledgements.is_empty() {
        return;
    }
    let title = if examined.is_believed {
        "Acknowledgements (they count: this home believes where they come from)"
    } else {
        "Acknowledgements (they have no effect here: this home does not believe where they come from)"
    };
    heading(out, title);
    for (file, ack) in &examined.acknowledgements {
        put!(out, "  {} {}  by {} ({})\n", ack.subject, safe(&ack.version), safe(&ack.by), safe(file));
    }
}

fn provenance_json(found: &Result<Provenance, Error>) -> Value {
    match found {
        Ok(found) => json!({ "signer": found.signer, "predicate": found.predicate, "bundle": found.bundle }),
        Err(error) => json!({ "refused": error.message() }),
    }
}

/// The same for programs.
pub(crate) fn document(shuttle: &Shuttle, examined: &Examined) -> Value {
    let header = &shuttle.distro().header;
    let capsules: Vec<Value> = examined
        .capsules
        .iter()
        .map(|(name, capsule)| {
            json!({
                "name": name,
                "version": capsule.version,
                "pack": capsule.pack,
                "content": capsule.content,
                "authority": capsule.authority.granted,
                "unused": capsule.authority.unused,
                "provenance": provenance_json(&capsule.provenance),
            })
        })
        .collect();
    let packs: Vec<Value> = examined
        .packs
        .iter()
        .map(|(id, pack)| {
            json!({
                "id": id,
                "version": pack.version,
                "content": pack.content,
                "permissions": pack.permissions,
                "provenance": provenance_json(&pack.provenance),
            })
        })
        .collect();
    let members: Vec<Value> = shuttle
        .entries()
        .iter()
        .map(|entry| json!({ "path": entry.path, "bytes": entry.size, "digest": entry.digest }))
        .collect();
    let acknowledgements: Vec<Value> = examined
        .acknowledgements
        .iter()
        .map(|(file, ack)| {
            json!({ "file": file, "subject": ack.subject.to_string(), "version": ack.version, "by": ack.by })
        })
        .collect();
    let signature = match &examined.seal {
        Ok(found) => json!({
            "signer": found.signer,
            "rule": found.rule,
            "times": found.times.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Err(error) => json!({ "refused": error.message() }),
    };
    json!({
        "distro": header.id,
        "version": header.version.to_string(),
        "format": shuttle.version(),
        "digest": shuttle.digest(),
        "signature": signature,
        "root": { "used": examined.root, "inside": shuttle.predicate().and_then(|one| one.trusted_root) },
        "since": shuttle.predicate().and_then(|one| one.since),
        "missing": shuttle.missing(),
        "members": members,
        "capsules": capsules,
        "packs": packs,
        "acknowledgements": { "count_here": examined.is_believed, "given": acknowledgements },
        "notes": examined.notes,
    })
}
