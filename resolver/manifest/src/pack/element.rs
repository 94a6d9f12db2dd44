//! `element.yaml`: something that a pack adds to timelines, such as an effect. It is found, and not run.

use std::collections::BTreeMap;
use std::ops::Range;

use astrid_authority::PackId;
use schemars::JsonSchema;
use serde::Serialize;

use super::action::read::{docs, inputs, map, outputs};
use super::action::{Docs, Output, Port};
use super::around::Around;
use super::read::schema_version;
use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::document::reader::shown;
use crate::document::{Context, MAX_FILE_BYTES, Table, Text, Unknown, Value};

/// The names under which an element's manifest is looked for, in order.
pub const FILE_NAMES: [&str; 3] = ["element.yaml", "element.yml", "element.json"];

/// The kinds that every pack may use, with the plurals that folders may have.
pub const KINDS: [(&str, &str); 3] =
    [("effect", "effects"), ("animation", "animations"), ("transition", "transitions")];

/// Something that a pack adds to timelines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Element {
    /// Always 1.
    pub schema_version: u32,
    /// Its id among the elements of its kind.
    pub id: String,
    /// What it is: `effect`, `animation`, `transition`, or a kind that its pack declares.
    pub kind: String,
    /// The pack that it belongs to.
    pub pack_id: PackId,
    /// What it does.
    pub description: String,
    /// The same in a few words.
    pub short_description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// What people see of it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// The schema of its parameters.
    pub schema: serde_json::Map<String, serde_json::Value>,
    /// The defaults of its parameters.
    pub defaults: serde_json::Map<String, serde_json::Value>,
    /// What it needs.
    pub dependencies: ElementDependencies,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// Files that belong to it, by purpose, from its own folder.
    pub assets: BTreeMap<String, String>,
    /// What draws it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Its documentation, from its own folder.
    pub docs: Docs,
    /// Where its id is written.
    #[serde(skip)]
    pub at: Position,
}

/// `dependencies` of an element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ElementDependencies {
    /// npm packages.
    #[schemars(default)]
    pub js_packages: Vec<String>,
    /// Python distributions.
    #[schemars(default)]
    pub python_requirements: Vec<String>,
}

impl Element {
    /// Reads `text`, which people know as `file`. Alone, without its pack, any kind is taken.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        let context = Context::new(file, text, MAX_FILE_BYTES)?;
        let (element, _) = read(&context, None);
        context.finish(element)
    }

    /// Its id among all that can be found: `kind/id`.
    #[must_use]
    pub fn capability_id(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// An element as far as it could be read, and the place of its id.
pub(crate) type Found = (Option<Element>, Option<Range<usize>>);

/// Reads an element.
pub(crate) fn read(context: &Context<'_>, around: Option<&Around<'_>>) -> Found {
    let table =
        crate::document::yaml::parse(context).and_then(|node| Table::new(context, node, "the manifest"));
    let Some(mut table) = table else { return (None, None) };
    let schema_version = schema_version(context, &mut table);
    let at = table.key_span("id").map_or_else(|| table.position(), |span| context.position(span.start));
    let id = table.needed_text("id").filter(|text| element_id(context, text));
    let kind = table.needed_text("kind").and_then(|text| kind(context, &text, around));
    let pack_text = table.needed_text("pack_id");
    let pack_id: Option<PackId> =
        pack_text.as_ref().and_then(|text| context.parse_text(text, "pack_id", "pack-id"));
    if let (Some(id), Some(text), Some(pack)) = (&pack_id, &pack_text, around.and_then(|around| around.pack))
        && id != pack
    {
        let message = format!("the element declares pack `{id}`, and was found in pack `{pack}`");
        context.error_help(&text.span, "foreign-id", message, format!("write `pack_id: {pack}`"));
    }
    let description = table.string("description").unwrap_or_default();
    let short_description = table.string("short_description").unwrap_or_default();
    let keywords = table.strings("keywords");
    let mut needed = |key: &'static str| {
        if !table.has(key) {
            table.missing(key);
        }
        map(context, &mut table, key)
    };
    let (metadata, schema, defaults) = (needed("metadata"), needed("schema"), needed("defaults"));
    let dependencies = table.needed_table("dependencies").map(dependencies).unwrap_or_default();
    let inputs = inputs(context, &mut table);
    let outputs = outputs(context, &mut table, &inputs);
    let assets = assets(context, &mut table, around);
    let adapter = table.table("runtime").and_then(|mut below| {
        let adapter = below.string("adapter");
        below.finish(Unknown::Error);
        adapter
    });
    let docs = table.table("docs").map(docs).unwrap_or_default();
    table.finish(Unknown::Error);
    let span = id.as_ref().map(|text| text.span.clone());
    let element =
        schema_version.zip(id).zip(kind).zip(pack_id).map(|(((schema_version, id), kind), pack_id)| {
            Element {
                schema_version,
                id: id.value.into_owned(),
                kind,
                pack_id,
                description,
                short_description,
                keywords,
                metadata,
                schema,
                defaults,
                dependencies,
                inputs,
                outputs,
                assets,
                adapter,
                docs,
                at,
            }
        });
    (element, span)
}

fn element_id(context: &Context<'_>, text: &Text<'_>) -> bool {
    let mut bytes = text.value.bytes();
    let good = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
        && text.value.len() <= 128;
    if !good {
        let message = "`id` is a lowercase letter, then lowercase letters, digits, `_` and `-`";
        context.error(&text.span, "component-id", message);
    }
    good
}

/// The kind, in the singular when it is one of the common ones.
fn kind(context: &Context<'_>, text: &Text<'_>, around: Option<&Around<'_>>) -> Option<String> {
    let word = text.value.as_ref();
    if let Some((kind, _)) = KINDS.iter().find(|(kind, _)| *kind == word) {
        return Some((*kind).to_owned());
    }
    // Which kinds the pack declares is known with the pack only.
    let Some(around) = around else { return Some(word.to_owned()) };
    let declared = around.kinds;
    if let Some(kind) = declared.iter().find(|kind| kind.is_called(word)) {
        return Some(kind.id.clone());
    }
    let mut known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
    known.extend(declared.iter().map(|kind| kind.id.as_str()));
    let message = format!("`kind` must be one of {}, and is `{}`", known.join(", "), shown(word));
    context.error_help(
        &text.span,
        "wrong-value",
        message,
        "a pack declares more kinds under `extensions.elements.kinds`",
    );
    None
}

fn dependencies(mut table: Table<'_, '_>) -> ElementDependencies {
    let js_packages = table.strings("js_packages");
    let python_requirements = table.strings("python_requirements");
    table.finish(Unknown::Error);
    ElementDependencies { js_packages, python_requirements }
}

fn assets(
    context: &Context<'_>,
    table: &mut Table<'_, '_>,
    around: Option<&Around<'_>>,
) -> BTreeMap<String, String> {
    let Some(mut below) = table.table("assets") else { return BTreeMap::new() };
    let mut assets = BTreeMap::new();
    for (key, node) in below.rest() {
        let Value::String(path) = node.value else {
            let message = format!("`assets` holds paths, and here {}", node.value.kind());
            context.error(&node.span, "wrong-type", message);
            continue;
        };
        if let Some(around) = around {
            super::around::file(context, around, &node.span, &path, "assets");
        }
        assets.insert(key.name.into_owned(), path.into_owned());
    }
    assets
}

/// Says whether a folder may hold elements of a kind: its id, or a plural.
pub(crate) fn is_folder_of(folder: &str, kind: &str, around: &Around<'_>) -> bool {
    let common = KINDS.iter().any(|(one, many)| *one == kind && (folder == *one || folder == *many));
    common || around.kinds.iter().any(|declared| declared.id == kind && declared.is_called(folder))
}
