//! From the text of a pack's manifest to a [`PackManifest`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use astrid_authority::{EnvKey, PackId, Permission, PermissionId};

use super::action::read::indexed;
use super::extensions::{self, ElementKind};
use super::{
    Agent, Alias, Content, Dependencies, PackDependency, PackManifest, PackSecret, SCHEMA_VERSION, Status,
    Visibility,
};
use crate::diagnostic::{Diagnostics, Parsed};
use crate::distro::keyword;
use crate::document::reader::{closest, shown, to_json};
use crate::document::{Context, MAX_FILE_BYTES, Node, Table, Text, Unknown, Value};
use crate::source::SourcePath;
use crate::version::Requirement;

pub(super) fn parse(file: &str, text: &str) -> Result<Parsed<PackManifest>, Diagnostics> {
    let context = Context::new(file, text, MAX_FILE_BYTES)?;
    let read = read(&context);
    context.finish(read.and_then(|read| read.manifest))
}

/// A manifest as far as it could be read, and the places that checks across files need.
pub(super) struct Read {
    /// The manifest, unless something in it could not be read.
    pub(super) manifest: Option<PackManifest>,
    pub(super) id: Option<PackId>,
    pub(super) content: Content,
    pub(super) kinds: Vec<ElementKind>,
    /// Where each folder of `content` is named.
    pub(super) content_spans: BTreeMap<&'static str, Range<usize>>,
    /// Files that `docs` names, with their places.
    pub(super) docs: Vec<(String, Range<usize>)>,
    /// The aliases, with the places of the other name and of the real one.
    pub(super) aliases: Vec<(Alias, Range<usize>, Range<usize>)>,
}

/// Reads a manifest.
pub(super) fn read(context: &Context<'_>) -> Option<Read> {
    let node = crate::document::yaml::parse(context)?;
    Some(manifest(context, Table::new(context, node, "the manifest")?))
}

fn manifest(context: &Context<'_>, mut table: Table<'_, '_>) -> Read {
    let schema_version = schema_version(context, &mut table);
    let at = table.key_span("id").map_or_else(|| table.position(), |span| context.position(span.start));
    let id_text = table.needed_text("id");
    let id: Option<PackId> = id_text.as_ref().and_then(|text| context.parse_text(text, "id", "pack-id"));
    let name = table.needed_text("name");
    let version = table.needed_text("version");
    if let Some(blank) = version.as_ref().filter(|text| text.value.trim().is_empty()) {
        context.error(&blank.span, "wrong-value", "`version` is blank");
    }
    let (parts, content_spans) =
        table.table("content").map(|below| folders(context, below)).unwrap_or_default();
    let docs_node = table.take("docs");
    let doc_files = docs_node.as_ref().map(documents).unwrap_or_default();
    let docs = docs_node.map(|node| object(context, node, "docs")).unwrap_or_default();
    let agent = table.table("agent").map(agent).unwrap_or_default();
    let metadata = table.take("metadata").map(|node| object(context, node, "metadata")).unwrap_or_default();
    let aliases: Vec<_> = indexed(&mut table, "aliases", "aliases")
        .into_iter()
        .filter_map(|below| alias(context, below))
        .collect();
    let permissions = table.take("permissions").map(|node| permissions(context, node)).unwrap_or_default();
    let secrets = table.take("secrets").map(|node| secrets(context, node)).unwrap_or_default();
    let dependencies = table
        .table("dependencies")
        .map(|below| dependencies(context, below, id.as_ref()))
        .unwrap_or_default();
    let extensions =
        table.table("extensions").map(|below| extensions::read(context, below)).unwrap_or_default();
    let kinds = extensions.element_kinds().to_vec();
    let status = keyword(
        &mut table,
        "status",
        &[
            ("active", Status::Active),
            ("deprecated", Status::Deprecated),
            ("stub", Status::Stub),
            ("experimental", Status::Experimental),
        ],
    );
    let visibility = keyword(
        &mut table,
        "visibility",
        &[("visible", Visibility::Visible), ("hidden", Visibility::Hidden)],
    );
    let origin = word(&mut table, "origin", &["unknown", "builtin", "external"]);
    let install_tier = word(&mut table, "install_tier", &["default", "core", "optional"]);
    let pack_type = word(&mut table, "pack_type", &["capability", "adapter"]);
    let domain = word(
        &mut table,
        "domain",
        &[
            "general",
            "development",
            "editorial",
            "generation",
            "infrastructure",
            "integration",
            "media",
            "system",
            "timeline",
        ],
    );
    let stability = word(&mut table, "stability", &["stable", "experimental", "deprecated"]);
    let support = word(&mut table, "support", &["project", "core", "community"]);
    let description = table.string("description").unwrap_or_default();
    let keywords = table.strings("keywords");
    let capabilities = table.strings("capabilities");
    let astrid_version = table.string("astrid_version").unwrap_or_default();
    table.finish(Unknown::Error);
    let manifest = schema_version.zip(id.clone()).zip(name).zip(version).map(
        |(((schema_version, id), name), version)| PackManifest {
            schema_version,
            id,
            name: name.value.into_owned(),
            version: version.value.into_owned(),
            description,
            content: parts.clone(),
            docs: docs.into_iter().collect(),
            agent,
            metadata,
            aliases: aliases.iter().map(|(alias, _, _)| alias.clone()).collect(),
            permissions,
            secrets,
            dependencies,
            extensions,
            keywords,
            capabilities,
            astrid_version,
            status: status.unwrap_or_default(),
            visibility: visibility.unwrap_or_default(),
            origin,
            install_tier,
            pack_type,
            domain,
            stability,
            support,
            at,
        },
    );
    Read { manifest, id, content: parts, kinds, content_spans, docs: doc_files, aliases }
}

/// The files that `docs` names: its values that are strings.
fn documents(node: &Node<'_>) -> Vec<(String, Range<usize>)> {
    let Value::Table(entries) = &node.value else { return Vec::new() };
    let text = |node: &Node<'_>| match &node.value {
        Value::String(path) => Some((path.to_string(), node.span.clone())),
        _ => None,
    };
    entries.iter().filter_map(|(_, node)| text(node)).collect()
}

pub(super) fn schema_version(context: &Context<'_>, table: &mut Table<'_, '_>) -> Option<u32> {
    if !table.has("schema_version") {
        table.missing("schema_version");
    }
    let span = table.key_span("schema_version").unwrap_or(0..0);
    let version: u32 = table.number("schema_version")?;
    if version != SCHEMA_VERSION {
        context.error(
            &span,
            "schema-version",
            format!("unknown schema_version {version} (known: {SCHEMA_VERSION})"),
        );
        return None;
    }
    Some(version)
}

/// One of the known words; an empty text is as good as none.
fn word(table: &mut Table<'_, '_>, key: &'static str, words: &[&str]) -> Option<String> {
    let text = table.text(key)?;
    if text.value.is_empty() {
        return None;
    }
    if !words.contains(&text.value.as_ref()) {
        let message = format!("`{key}` must be one of {}, and is `{}`", words.join(", "), shown(&text.value));
        table.context.error(&text.span, "wrong-value", message);
    }
    Some(text.value.into_owned())
}

pub(super) fn object(
    context: &Context<'_>,
    node: Node<'_>,
    key: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let span = node.span.clone();
    if let serde_json::Value::Object(map) = to_json(node) {
        map
    } else {
        context.error(&span, "wrong-type", format!("`{key}` must be a table"));
        serde_json::Map::new()
    }
}

/// The folders of `content`, and where each is named.
type Folders = (Content, BTreeMap<&'static str, Range<usize>>);

fn folders(context: &Context<'_>, mut table: Table<'_, '_>) -> Folders {
    let mut spans = BTreeMap::new();
    let mut folder = |key: &'static str| {
        let text = table.text(key)?;
        let inside = SourcePath::parse(&text.value).ok().filter(|path| !path.is_absolute());
        if inside.is_none() {
            let message = format!("`content.{key}` must be a folder below the pack, without `..`");
            context.error(&text.span, "path", message);
        }
        spans.insert(key, text.span);
        inside
    };
    let parts = Content {
        executors: folder("executors"),
        orchestrators: folder("orchestrators"),
        elements: folder("elements"),
        schemas: folder("schemas"),
        examples: folder("examples"),
        docs: folder("docs"),
        capsules: folder("capsules"),
    };
    table.finish(Unknown::Warn);
    (parts, spans)
}

fn agent(mut table: Table<'_, '_>) -> Agent {
    let purpose = table.string("purpose");
    let entrypoints = table.strings("entrypoints");
    let normal_entrypoints = table.strings("normal_entrypoints");
    let do_not_use_for = table.string("do_not_use_for");
    let required_context = table.strings("required_context");
    // Open: authors tell agents more than the platform knows of.
    table.rest();
    Agent { purpose, entrypoints, normal_entrypoints, do_not_use_for, required_context }
}

/// `a.b`, at least two segments of lowercase letters, digits and `_`.
fn is_qualified(text: &str) -> bool {
    let segments: Vec<&str> = text.split('.').collect();
    segments.len() >= 2 && segments.iter().all(|segment| segment.parse::<PackId>().is_ok())
}

fn alias(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<(Alias, Range<usize>, Range<usize>)> {
    let kind = table.needed_text("kind");
    if let Some(text) = &kind
        && !matches!(text.value.as_ref(), "executor" | "orchestrator")
    {
        context.error(&text.span, "wrong-value", "`kind` must be executor or orchestrator");
    }
    let mut id = |key: &'static str| {
        let text = table.needed_text(key)?;
        if !is_qualified(&text.value) {
            context.error(&text.span, "qualified-id", format!("`{key}` must be an id such as `pack.name`"));
        }
        Some(text)
    };
    let (alias, canonical_id) = (id("alias"), id("canonical_id"));
    let deprecated = table.flag("deprecated");
    let deprecation_message = table.string("deprecation_message");
    table.finish(Unknown::Error);
    let (alias, canonical_id) = (alias?, canonical_id?);
    let spans = (alias.span, canonical_id.span);
    let read = Alias {
        kind: kind?.value.into_owned(),
        alias: alias.value.into_owned(),
        canonical_id: canonical_id.value.into_owned(),
        deprecated,
        deprecation_message,
    };
    Some((read, spans.0, spans.1))
}

/// Reads an array of permissions, each with its reason, each id once.
pub(crate) fn permissions(context: &Context<'_>, node: Node<'_>) -> Vec<Permission> {
    let Value::Array(items) = node.value else {
        context.error(&node.span, "wrong-type", "`permissions` must be an array");
        return Vec::new();
    };
    let mut permissions: Vec<Permission> = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let Some(table) = Table::new(context, item, format!("`permissions[{at}]`")) else { continue };
        if let Some(one) = permission(context, table, &permissions) {
            permissions.push(one);
        }
    }
    permissions
}

fn permission_id(context: &Context<'_>, text: &Text<'_>) -> Option<PermissionId> {
    let id = text.value.parse().ok();
    if id.is_none() {
        let ids = PermissionId::ALL.map(PermissionId::as_str);
        let message = format!("`id` must be one of {}, and is `{}`", ids.join(", "), shown(&text.value));
        match closest(&text.value, ids.into_iter()) {
            Some(name) => {
                let help = format!("did you mean `{name}`?");
                context.error_help(&text.span, "permission-id", message, help);
            }
            None => context.error(&text.span, "permission-id", message),
        }
    }
    id
}

fn permission(context: &Context<'_>, mut table: Table<'_, '_>, before: &[Permission]) -> Option<Permission> {
    let id_text = table.needed_text("id");
    let id: Option<PermissionId> = id_text.as_ref().and_then(|text| permission_id(context, text));
    if let (Some(id), Some(text)) = (id, &id_text)
        && before.iter().any(|one| one.id == id)
    {
        context.error(&text.span, "duplicate", format!("the permission `{id}` is declared twice"));
    }
    let blank = |text: &Text<'_>, key: &str| {
        if text.value.trim().is_empty() {
            context.error(&text.span, "blank", format!("`{key}` must say something that a user can judge"));
        }
    };
    let reason = table.needed_text("reason");
    if let Some(text) = &reason {
        blank(text, "reason");
    }
    let access = table.text("access");
    if let Some(text) = &access {
        blank(text, "access");
    }
    let services = table.texts("services");
    for text in &services {
        blank(text, "services");
    }
    table.finish(Unknown::Error);
    Some(Permission {
        id: id?,
        reason: reason?.value.trim().to_owned(),
        access: access.map(|text| text.value.trim().to_owned()),
        services: services.into_iter().map(|text| text.value.trim().to_owned()).collect(),
    })
}

/// Reads secrets: an array of tables, or the old table with `required`.
pub(super) fn secrets(context: &Context<'_>, node: Node<'_>) -> Vec<PackSecret> {
    let items = match node.value {
        Value::Array(items) => items,
        Value::Table(_) => {
            let help = "write `secrets: [{name: API_KEY, required: true}]`".to_owned();
            context.warn(&node.span, "old-form", "`secrets` is written in its old form", Some(help));
            let Some(mut table) = Table::new(context, node, "`secrets`") else { return Vec::new() };
            let names: Vec<EnvKey> = table.parse_each("required", "secret-name");
            table.finish(Unknown::Error);
            return names
                .into_iter()
                .map(|name| PackSecret { name, required: true, description: None })
                .collect();
        }
        other => {
            context.error(
                &node.span,
                "wrong-type",
                format!("`secrets` must be an array, and is {}", other.kind()),
            );
            return Vec::new();
        }
    };
    let mut secrets: Vec<PackSecret> = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let span = item.span.clone();
        let Some(mut table) = Table::new(context, item, format!("`secrets[{at}]`")) else { continue };
        let name: Option<EnvKey> = table.needed("name", "secret-name");
        let required = table.flag("required");
        let description = table.string("description");
        table.finish(Unknown::Error);
        let Some(name) = name else { continue };
        if !seen.insert(name.clone()) {
            context.error(&span, "duplicate", format!("the secret `{name}` is declared twice"));
        }
        if !required && description.as_deref().is_none_or(|text: &str| text.trim().is_empty()) {
            let message = format!("the secret `{name}` is optional, and nothing says what it is for");
            context.warn(&span, "secret", message, Some("give it a `description`".to_owned()));
        }
        secrets.push(PackSecret { name, required, description });
    }
    secrets
}

fn dependencies(context: &Context<'_>, mut table: Table<'_, '_>, own: Option<&PackId>) -> Dependencies {
    let (python, npm, system) = (table.strings("python"), table.strings("npm"), table.strings("system"));
    let mut packs: BTreeMap<PackId, PackDependency> = BTreeMap::new();
    for text in table.texts("packs") {
        let (id, requirement) = match text.value.split_once(char::is_whitespace) {
            Some((id, requirement)) => (id, Some(requirement.trim())),
            None => (text.value.as_ref(), None),
        };
        let Ok(id) = id.parse::<PackId>() else {
            let message = format!("`{}` is no dependency: write `id` or `id >=1.2`", shown(&text.value));
            context.error(&text.span, "pack-dependency", message);
            continue;
        };
        let requirement = match requirement.map(str::parse::<Requirement>) {
            Some(Err(error)) => {
                context.error(&text.span, "requirement", format!("`{id}`: {error}"));
                continue;
            }
            Some(Ok(requirement)) => Some(requirement),
            None => None,
        };
        if own == Some(&id) {
            context.error(&text.span, "pack-dependency", "a pack does not depend on itself");
        }
        let at = context.position(text.span.start);
        if packs.insert(id.clone(), PackDependency { id: id.clone(), requirement, at }).is_some() {
            context.error(&text.span, "duplicate", format!("the pack `{id}` is named twice"));
        }
    }
    table.finish(Unknown::Error);
    Dependencies { python, npm, system, packs: packs.into_values().collect() }
}
