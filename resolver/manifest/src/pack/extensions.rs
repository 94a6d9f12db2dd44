//! `extensions`: what a pack adds to the platform's vocabulary.

use schemars::JsonSchema;
use serde::Serialize;

use super::action::read::{indexed, map, not_blank};
use crate::document::reader::to_json;
use crate::document::{Context, Node, Table, Unknown, Value};

/// What a pack adds to the platform's vocabulary. Only the kinds of elements mean something here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Extensions {
    /// Of generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Of elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<ElementKinds>,
    /// Of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// Schemas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemas: Option<serde_json::Value>,
    /// Artifact types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_types: Option<serde_json::Value>,
    /// Rendering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendering: Option<serde_json::Value>,
}

impl Extensions {
    /// The kinds of elements that the pack declares.
    #[must_use]
    pub fn element_kinds(&self) -> &[ElementKind] {
        self.elements.as_ref().map(|elements| elements.kinds.as_slice()).unwrap_or_default()
    }
}

/// `extensions.generation`
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Generation {
    /// What generates.
    #[schemars(default)]
    pub backends: Vec<Backend>,
    /// What can be asked of it: an id, or a table.
    #[schemars(default, with = "Vec<FeatureForm>")]
    pub features: Vec<Feature>,
    /// How it works: an id, or a table.
    #[schemars(default, with = "Vec<FeatureForm>")]
    pub modes: Vec<Feature>,
}

/// `extensions.generation.backends[]`
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Backend {
    /// Its id.
    pub id: String,
    /// The module of Python.
    pub module: String,
    /// The class in it.
    pub class: String,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is made with.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(default)]
    pub init_kwargs: serde_json::Map<String, serde_json::Value>,
}

/// A feature or a mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Feature {
    /// Its id.
    pub id: String,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How a feature may be written.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the schema of it is used")]
enum FeatureForm {
    /// Its id.
    Id(String),
    /// More of it.
    Table(Feature),
}

/// `extensions.elements`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ElementKinds {
    /// Kinds of elements that the pack's elements may have.
    #[schemars(default)]
    pub kinds: Vec<ElementKind>,
}

/// `extensions.elements.kinds[]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ElementKind {
    /// Its id.
    pub id: String,
    /// One of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub singular: Option<String>,
    /// Many of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plural: Option<String>,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl ElementKind {
    /// Says whether `word` is its id, or its name for one or many.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        self.id == word || self.singular.as_deref() == Some(word) || self.plural.as_deref() == Some(word)
    }
}

/// `extensions.timeline`
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Timeline {
    /// Kinds of what is on a timeline.
    #[schemars(default)]
    pub kinds: Vec<TimelineKind>,
}

/// `extensions.timeline.kinds[]`
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TimelineKind {
    /// `transition`, `clip` or `track`.
    pub catalog: String,
    /// Its id.
    pub id: String,
    /// Its other names.
    #[schemars(default)]
    pub aliases: Vec<String>,
    /// What it is by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
}

/// Reads `extensions`.
pub(super) fn read(context: &Context<'_>, mut table: Table<'_, '_>) -> Extensions {
    let generation = table.table("generation").map(|below| generation(context, below));
    let elements = table.table("elements").map(|mut below| {
        let kinds = indexed(&mut below, "kinds", "elements.kinds");
        let kinds = kinds.into_iter().filter_map(|kind| element_kind(context, kind)).collect();
        below.finish(Unknown::Error);
        ElementKinds { kinds }
    });
    let timeline = table.table("timeline").map(|mut below| {
        let kinds = indexed(&mut below, "kinds", "timeline.kinds");
        let kinds = kinds.into_iter().filter_map(|kind| timeline_kind(context, kind)).collect();
        below.finish(Unknown::Error);
        Timeline { kinds }
    });
    let mut open = |key: &'static str| table.take(key).map(to_json);
    let (schemas, artifact_types, rendering) = (open("schemas"), open("artifact_types"), open("rendering"));
    table.finish(Unknown::Error);
    Extensions { generation, elements, timeline, schemas, artifact_types, rendering }
}

fn id(context: &Context<'_>, table: &mut Table<'_, '_>) -> Option<String> {
    let text = table.needed_text("id")?;
    not_blank(context, &text, "id");
    Some(text.value.into_owned())
}

fn generation(context: &Context<'_>, mut table: Table<'_, '_>) -> Generation {
    let backends = indexed(&mut table, "backends", "generation.backends");
    let backends = backends.into_iter().filter_map(|below| backend(context, below)).collect();
    let features = features(context, &mut table, "features");
    let modes = self::features(context, &mut table, "modes");
    table.finish(Unknown::Error);
    Generation { backends, features, modes }
}

fn backend(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Backend> {
    let id = id(context, &mut table);
    let module = table.needed_text("module");
    let class = table.needed_text("class");
    let label = table.string("label");
    let init_kwargs = map(context, &mut table, "init_kwargs");
    table.finish(Unknown::Error);
    Some(Backend {
        id: id?,
        module: module?.value.into_owned(),
        class: class?.value.into_owned(),
        label,
        init_kwargs,
    })
}

fn features(context: &Context<'_>, table: &mut Table<'_, '_>, key: &'static str) -> Vec<Feature> {
    let Some(node) = table.take(key) else { return Vec::new() };
    let Value::Array(items) = node.value else {
        context.error(
            &node.span,
            "wrong-type",
            format!("`{key}` must be an array, and is {}", node.value.kind()),
        );
        return Vec::new();
    };
    let feature = |(at, item): (usize, Node<'_>)| {
        if let Value::String(id) = item.value {
            return Some(Feature { id: id.into_owned(), label: None, description: None });
        }
        let mut below = Table::new(context, item, format!("`{key}[{at}]`"))?;
        let id = id(context, &mut below);
        let label = below.string("label");
        let description = below.string("description");
        below.finish(Unknown::Error);
        Some(Feature { id: id?, label, description })
    };
    items.into_iter().enumerate().filter_map(feature).collect()
}

fn element_kind(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<ElementKind> {
    let id = id(context, &mut table);
    let singular = table.string("singular");
    let plural = table.string("plural");
    let label = table.string("label");
    let description = table.string("description");
    table.finish(Unknown::Error);
    Some(ElementKind { id: id?, singular, plural, label, description })
}

fn timeline_kind(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<TimelineKind> {
    let catalog = table.needed_text("catalog");
    if let Some(text) = &catalog
        && !matches!(text.value.as_ref(), "transition" | "clip" | "track")
    {
        context.error(&text.span, "wrong-value", "`catalog` must be transition, clip or track");
    }
    let id = id(context, &mut table);
    let aliases = table.strings("aliases");
    let default = table.take("default").map(to_json);
    table.finish(Unknown::Error);
    Some(TimelineKind { catalog: catalog?.value.into_owned(), id: id?, aliases, default })
}
