//! From the text of a lock to a [`Lock`].

use std::collections::BTreeMap;
use std::ops::Range;

use astrid_authority::CapsuleName;

use super::{AnyLock, Lock, LockedCapsule, LockedDistro, LockedPack, SCHEMA_VERSION, UNDERSTOOD};
use crate::diagnostic::{Diagnostics, Parsed};
use crate::document::reader::shown;
use crate::document::{Context, MAX_LOCK_BYTES, Table, Text, Unknown, Value};
use crate::signer::Signer;
use crate::source::Source;
use crate::version::FullVersion;

/// What to do about an old lock.
const RELOCK: &str = "run `astrid lock` to write it again";

pub(super) fn parse(file: &str, text: &str) -> Result<Parsed<Lock>, Diagnostics> {
    let context = Context::new(file, text, MAX_LOCK_BYTES)?;
    let lock = any(&context).and_then(|lock| match lock {
        AnyLock::V2(lock) => Some(lock),
        AnyLock::V1(_) => {
            let message = "the lock has schema-version 1, which holds nothing that can be verified";
            context.error_help(&(0..0), "old-lock", message, RELOCK);
            None
        }
    });
    context.finish(lock)
}

pub(super) fn parse_any(file: &str, text: &str) -> Result<Parsed<AnyLock>, Diagnostics> {
    let context = Context::new(file, text, MAX_LOCK_BYTES)?;
    let lock = any(&context);
    context.finish(lock)
}

fn any(context: &Context<'_>) -> Option<AnyLock> {
    let node = crate::document::toml::parse(context)?;
    let mut table = Table::new(context, node, "the lock")?;
    if !table.has("schema-version") {
        table.missing("schema-version");
    }
    let span = table.key_span("schema-version").unwrap_or(0..0);
    let Some(version) = table.number::<u32>("schema-version") else {
        // Without a version, the current one was most likely meant: say what else is wrong.
        lock(context, table);
        return None;
    };
    match version {
        1 => super::legacy::read(context, table).map(AnyLock::V1),
        SCHEMA_VERSION => lock(context, table).map(AnyLock::V2),
        other => {
            // A version that is not known has keys that are not known.
            table.rest();
            let message = format!("schema-version {other} is not known: this version reads 1 and 2");
            context.error_help(&span, "schema-version", message, "a newer program wrote it: update this one");
            None
        }
    }
}

fn lock(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Lock> {
    let words = table.texts("must-understand");
    for word in words.iter().filter(|word| !UNDERSTOOD.contains(&word.value.as_ref())) {
        let message = format!("the lock must be read by a program that understands `{}`", shown(&word.value));
        context.error_help(
            &word.span,
            "must-understand",
            message,
            "a newer program wrote it: update this one",
        );
    }
    let must_understand = words.into_iter().map(|word| word.value.into_owned()).collect();
    let manifest_hash = table.needed("manifest-hash", "digest");
    let distro = table.needed_table("distro").and_then(header);
    let selection = table.table("selection").map(|below| selection(context, below)).unwrap_or_default();
    let mut capsules: Vec<(LockedCapsule, Range<usize>)> =
        table.tables("capsule").into_iter().filter_map(|below| capsule(context, below)).collect();
    let mut packs: Vec<(LockedPack, Range<usize>)> =
        table.tables("pack").into_iter().filter_map(|below| pack(context, below)).collect();
    table.finish(Unknown::Error);
    capsules.sort_by(|one, two| one.0.name.cmp(&two.0.name));
    for pair in capsules.windows(2) {
        if let [one, two] = pair
            && one.0.name == two.0.name
        {
            context.error(&two.1, "duplicate", format!("the capsule `{}` is locked twice", two.0.name));
        }
    }
    packs.sort_by(|one, two| one.0.id.cmp(&two.0.id));
    for pair in packs.windows(2) {
        if let [one, two] = pair
            && one.0.id == two.0.id
        {
            context.error(&two.1, "duplicate", format!("the pack `{}` is locked twice", two.0.id));
        }
    }
    for (entry, span) in &capsules {
        if let Some(id) = &entry.pack
            && packs.binary_search_by(|(pack, _)| pack.id.cmp(id)).is_err()
        {
            let message = format!("capsule `{}` comes from pack `{id}`, which is not locked", entry.name);
            context.error_help(span, "unknown-pack", message, RELOCK);
        }
    }
    Some(Lock {
        schema_version: SCHEMA_VERSION,
        must_understand,
        manifest_hash: manifest_hash?,
        distro: distro?,
        selection,
        capsules: capsules.into_iter().map(|(entry, _)| entry).collect(),
        packs: packs.into_iter().map(|(entry, _)| entry).collect(),
    })
}

fn header(mut table: Table<'_, '_>) -> Option<LockedDistro> {
    let id = table.needed("id", "distro-id");
    let version = table.needed::<FullVersion>("version", "version");
    let (source, commit) = (table.string("source"), table.string("commit"));
    table.finish(Unknown::Error);
    Some(LockedDistro { id: id?, version: version?.0, source, commit })
}

fn selection(context: &Context<'_>, mut table: Table<'_, '_>) -> BTreeMap<String, Vec<CapsuleName>> {
    let mut selection = BTreeMap::new();
    for (group, node) in table.rest() {
        let Value::Array(items) = node.value else {
            let message = format!("`{}` must be an array of capsule names", shown(&group.name));
            context.error(&node.span, "wrong-type", message);
            continue;
        };
        let chosen = items
            .into_iter()
            .filter_map(|item| crate::distro::read_string(context, item, &group.name))
            .filter_map(|text: Text<'_>| context.parse_text(&text, &group.name, "capsule-name"))
            .collect();
        selection.insert(group.name.into_owned(), chosen);
    }
    selection
}

fn source(table: &mut Table<'_, '_>) -> Option<Source> {
    let text = table.needed_text("source")?;
    match text.value.parse::<Source>() {
        Ok(source) => Some(source),
        Err(error) => {
            table.context.error(&text.span, error.rule(), format!("`source`: {error}"));
            None
        }
    }
}

fn signer(context: &Context<'_>, table: &mut Table<'_, '_>) -> Option<Signer> {
    if !table.has("signer") {
        table.missing("signer");
    }
    table.take("signer").and_then(|node| Signer::read(context, node))
}

fn capsule(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<(LockedCapsule, Range<usize>)> {
    let span = table.span.clone();
    let at = table.position();
    let name = table.needed("name", "capsule-name");
    let requirement = table.parse("requirement", "requirement");
    let version = table.needed::<FullVersion>("version", "version");
    let source = source(&mut table);
    let resolved_ref = table.string("resolved-ref");
    let pack = table.parse("pack", "pack-id");
    let archive = table.parse("archive", "digest");
    let tree = table.needed("content", "digest");
    let component = table.parse("component", "digest");
    let manifest = table.needed("manifest", "digest");
    let wit = table.parse("wit", "digest");
    let authority = table.needed("authority", "digest");
    let tools = table.parse("tools", "digest");
    let signer = signer(context, &mut table);
    let provenance = table.string("provenance");
    let bundle = table.parse("bundle", "digest");
    table.finish(Unknown::Error);
    let entry = LockedCapsule {
        name: name?,
        requirement,
        version: version?.0,
        source: source?,
        resolved_ref,
        pack,
        archive,
        content: tree?,
        component,
        manifest: manifest?,
        wit,
        authority: authority?,
        tools,
        signer: signer?,
        provenance,
        bundle,
        at,
    };
    Some((entry, span))
}

fn pack(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<(LockedPack, Range<usize>)> {
    let span = table.span.clone();
    let at = table.position();
    let id = table.needed("id", "pack-id");
    let requirement = table.parse("requirement", "requirement");
    let version = table.needed_text("version");
    let source = source(&mut table);
    let commit = table.string("commit");
    let archive = table.parse("archive", "digest");
    let tree = table.needed("content", "digest");
    let permissions = table.needed("permissions", "digest");
    let authority = table.needed("authority", "digest");
    let signer = signer(context, &mut table);
    let provenance = table.string("provenance");
    let bundle = table.parse("bundle", "digest");
    table.finish(Unknown::Error);
    let entry = LockedPack {
        id: id?,
        requirement,
        version: version?.value.into_owned(),
        source: source?,
        commit,
        archive,
        content: tree?,
        permissions: permissions?,
        authority: authority?,
        signer: signer?,
        provenance,
        bundle,
        at,
    };
    Some((entry, span))
}
