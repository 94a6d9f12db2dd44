//! From a table to an [`Action`].

use std::collections::BTreeSet;

use astrid_authority::{ActionId, EnvKey};

use super::runtime::{self, Known};
use super::{
    Action, ActionKind, Cache, CacheMode, Docs, Isolation, IsolationMode, Output, OutputMode, Port, PortKind,
    Runtime, placeholder,
};
use crate::distro::keyword;
use crate::document::reader::{shown, to_json};
use crate::document::{Context, Node, Table, Text, Unknown, Value};
use crate::pack::around::Around;
use crate::pack::read::{object, schema_version, secrets};

/// An action, as far as it could be read, and what checks across files need.
pub(crate) struct Read {
    /// The action, unless something in it could not be read.
    pub(crate) action: Option<Action>,
    /// Its id, and where that is written, also when something else is wrong.
    pub(crate) id: Option<(ActionId, std::ops::Range<usize>)>,
}

/// How the readers of executors and orchestrators differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `command` may stand beside `runtime`.
    Executor,
    /// `runtime` is needed.
    Orchestrator,
}

/// Reads the keys that executors and orchestrators share. The others are left in `table`.
pub(crate) fn action(
    context: &Context<'_>,
    table: &mut Table<'_, '_>,
    form: Form,
    around: Option<&Around<'_>>,
) -> Read {
    let schema_version = schema_version(context, table);
    let at = table.key_span("id").map_or_else(|| table.position(), |span| context.position(span.start));
    let id_text = table.needed_text("id");
    let id: Option<ActionId> =
        id_text.as_ref().and_then(|text| context.parse_text(text, "id", "component-id"));
    if let (Some(id), Some(text), Some(pack)) = (&id, &id_text, around.and_then(|around| around.pack))
        && id.pack() != pack.as_str()
    {
        let message = format!("`{id}` belongs to pack `{}`, and was found in pack `{pack}`", id.pack());
        let help = format!("write `{pack}.{}`", id.local());
        context.error_help(&text.span, "foreign-id", message, help);
    }
    let name = table.needed_text("name");
    let version = table.needed_text("version");
    for (text, key) in [(&name, "name"), (&version, "version")] {
        if let Some(text) = text {
            not_blank(context, text, key);
        }
    }
    let description = table.string("description").unwrap_or_default();
    let short_description = table.string("short_description").unwrap_or_default();
    let keywords = table.strings("keywords");
    let kind =
        keyword(table, "kind", &[("built_in", ActionKind::BuiltIn), ("external", ActionKind::External)]);
    let inputs = inputs(context, table);
    let outputs = outputs(context, table, &inputs);
    let runtime = how(context, table, form, Known { inputs: &inputs, outputs: &outputs, around });
    let cache = table.table("cache").map(|below| cache(below, &inputs, &outputs)).unwrap_or_default();
    let isolation = table.table("isolation").map(isolation).unwrap_or_default();
    let secrets = table.take("secrets").map(|node| secrets(context, node)).unwrap_or_default();
    let scoped_configs = scopes(context, table);
    let docs = table.table("docs").map(docs).unwrap_or_default();
    let metadata = table.take("metadata").map(|node| object(context, node, "metadata")).unwrap_or_default();
    let known = id.clone().zip(id_text.map(|text| text.span));
    let action =
        schema_version.zip(id).zip(name).zip(version).map(|(((schema_version, id), name), version)| Action {
            schema_version,
            id,
            name: name.value.into_owned(),
            version: version.value.into_owned(),
            description,
            short_description,
            keywords,
            kind: kind.unwrap_or_default(),
            runtime,
            inputs,
            outputs,
            cache,
            isolation,
            secrets,
            scoped_configs,
            docs,
            metadata,
            at,
        });
    Read { action, id: known }
}

/// `runtime`, or `command` of an executor.
fn how(context: &Context<'_>, table: &mut Table<'_, '_>, form: Form, known: Known<'_>) -> Option<Runtime> {
    let spans = [table.key_span("runtime"), table.key_span("command")];
    if form == Form::Orchestrator {
        return table.needed_table("runtime").and_then(|below| runtime::read(context, below, known));
    }
    let by_runtime = table.table("runtime").and_then(|below| runtime::read(context, below, known));
    let by_command = table.table("command").and_then(|below| runtime::command(context, below, known));
    match &spans {
        [Some(_), Some(command)] => {
            context.error_help(
                command,
                "wrong-value",
                "`command` and `runtime` both say how it is run",
                "keep one; `runtime: {kind: command, command: …}` says the same as `command`",
            );
        }
        [None, None] => {
            let help = "add `runtime`, or `command` with its `argv`".to_owned();
            context.warn(
                &table.span,
                "no-runtime",
                "it does not say how it is run, so nobody can run it",
                Some(help),
            );
        }
        _ => {}
    }
    by_runtime.or_else(|| by_command.map(Runtime::Command))
}

pub(crate) fn not_blank(context: &Context<'_>, text: &Text<'_>, key: &str) {
    if text.value.trim().is_empty() {
        context.error(&text.span, "blank", format!("`{key}` is blank"));
    }
}

/// Most tables of one array: they are compared with each other.
const MAX_ITEMS: usize = 1024;

/// The tables of an array, each with its index in its name.
pub(crate) fn indexed<'c, 'a>(
    table: &mut Table<'c, 'a>,
    key: &'static str,
    path: &str,
) -> Vec<Table<'c, 'a>> {
    let Some(node) = table.take(key) else { return Vec::new() };
    let Value::Array(items) = node.value else {
        let message = format!("`{path}` must be an array of tables, and is {}", node.value.kind());
        table.context.error(&node.span, "wrong-type", message);
        return Vec::new();
    };
    if items.len() > MAX_ITEMS {
        let message = format!("`{path}` has {} entries; at most {MAX_ITEMS} are read", items.len());
        table.context.error(&node.span, "too-many", message);
    }
    let items = items.into_iter().take(MAX_ITEMS).enumerate();
    items.filter_map(|(at, item)| Table::new(table.context, item, format!("`{path}[{at}]`"))).collect()
}

/// A string, or nothing where `null` is written.
pub(crate) fn nullable(table: &mut Table<'_, '_>, key: &'static str) -> Option<String> {
    let node = table.take(key)?;
    match node.value {
        Value::Null => None,
        Value::String(text) => Some(text.into_owned()),
        other => {
            let message = format!("`{key}` must be a string, and is {}", other.kind());
            table.context.error(&node.span, "wrong-type", message);
            None
        }
    }
}

/// The name of an input or output: what people type before `=`, and what placeholders hold.
fn port_name(context: &Context<'_>, text: &Text<'_>, key: &str) {
    let mut characters = text.value.chars();
    let good = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.'))
        && text.value.len() <= 64;
    if !good {
        let message =
            format!("`{key}` is a letter or `_`, then letters, digits, `_`, `-` and `.`, at most 64");
        context.error(&text.span, "port-name", message);
    }
}

fn named<'a>(
    context: &Context<'a>,
    table: &mut Table<'_, 'a>,
    seen: &mut BTreeSet<String>,
) -> (Option<String>, Option<PortKind>, Option<String>) {
    let name = table.needed_text("name");
    if let Some(text) = &name {
        port_name(context, text, "name");
        if !seen.insert(text.value.to_string()) {
            context.error(&text.span, "duplicate", format!("`{}` is there twice", shown(&text.value)));
        }
    }
    let kind = keyword(table, "type", &PortKind::ALL);
    let placeholder = table.text("placeholder");
    if let Some(text) = &placeholder {
        port_name(context, text, "placeholder");
    }
    (name.map(|text| text.value.into_owned()), kind, placeholder.map(|text| text.value.into_owned()))
}

pub(crate) fn inputs(context: &Context<'_>, table: &mut Table<'_, '_>) -> Vec<Port> {
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for mut below in indexed(table, "inputs", "inputs") {
        let (name, kind, placeholder) = named(context, &mut below, &mut seen);
        let kind = kind.unwrap_or_default();
        let required = below.optional_flag("required").unwrap_or(true);
        let default = below.take("default").filter(|node| !matches!(node.value, Value::Null)).map(|node| {
            let span = node.span.clone();
            (to_json(node), span)
        });
        if let Some((value, span)) = &default
            && !kind.admits(value)
        {
            context.error(span, "wrong-type", format!("`default` is not of the type `{}`", kind.as_str()));
        }
        let description = below.string("description");
        let artifact_type = nullable(&mut below, "artifact_type");
        below.finish(Unknown::Error);
        let Some(name) = name else { continue };
        let default = default.map(|(value, _)| value);
        ports.push(Port { name, kind, required, default, description, placeholder, artifact_type });
    }
    ports
}

pub(crate) fn outputs(context: &Context<'_>, table: &mut Table<'_, '_>, known: &[Port]) -> Vec<Output> {
    let mut seen = BTreeSet::new();
    let mut outputs = Vec::new();
    for mut below in indexed(table, "outputs", "outputs") {
        let (name, kind, placeholder) = named(context, &mut below, &mut seen);
        let mode = keyword(
            &mut below,
            "mode",
            &[
                ("mutate", OutputMode::Mutate),
                ("create", OutputMode::Create),
                ("create_or_replace", OutputMode::CreateOrReplace),
            ],
        );
        let path_template = below.text("path_template");
        if let Some(text) = &path_template {
            placeholder::check(context, &text.span, &text.value, known, &[]);
        }
        let path_template = path_template.map(|text| text.value.into_owned());
        let extension = below.string("extension");
        let description = below.string("description");
        let artifact_type = nullable(&mut below, "artifact_type");
        below.finish(Unknown::Error);
        let Some(name) = name else { continue };
        outputs.push(Output {
            name,
            kind: kind.unwrap_or_default(),
            mode: mode.unwrap_or_default(),
            path_template,
            extension,
            placeholder,
            description,
            artifact_type,
        });
    }
    outputs
}

fn cache(mut table: Table<'_, '_>, inputs: &[Port], outputs: &[Output]) -> Cache {
    let mode = keyword(
        &mut table,
        "mode",
        &[("none", CacheMode::None), ("sentinel", CacheMode::Sentinel), ("always_run", CacheMode::AlwaysRun)],
    );
    let sentinels = table.texts("sentinels");
    for text in &sentinels {
        placeholder::check(table.context, &text.span, &text.value, inputs, outputs);
    }
    let sentinels = sentinels.into_iter().map(|text| text.value.into_owned()).collect();
    let always_run = table.flag("always_run");
    let per_brief = table.flag("per_brief");
    table.finish(Unknown::Error);
    Cache { mode: mode.unwrap_or_default(), sentinels, always_run, per_brief }
}

fn isolation(mut table: Table<'_, '_>) -> Isolation {
    let mode = keyword(
        &mut table,
        "mode",
        &[("in_process", IsolationMode::InProcess), ("subprocess", IsolationMode::Subprocess)],
    );
    let requirements = table.strings("requirements");
    let binaries = table.strings("binaries");
    let network = table.flag("network");
    let mut env_passthrough: Vec<EnvKey> = Vec::new();
    let mut seen: BTreeSet<EnvKey> = BTreeSet::new();
    for text in table.texts("env_passthrough") {
        let plain = !text.value.contains(['.', '-']);
        let Some(name) = text.value.parse::<EnvKey>().ok().filter(|_| plain) else {
            let message = "`env_passthrough` holds names of environment variables: letters, digits and `_`";
            table.context.error(&text.span, "env-name", message);
            continue;
        };
        if seen.insert(name.clone()) {
            env_passthrough.push(name);
        } else {
            table.context.error(&text.span, "duplicate", format!("the variable `{name}` is there twice"));
        }
    }
    table.finish(Unknown::Error);
    Isolation { mode: mode.unwrap_or_default(), requirements, binaries, network, env_passthrough }
}

fn scopes(context: &Context<'_>, table: &mut Table<'_, '_>) -> Vec<String> {
    let texts = table.texts("scoped_configs");
    for text in &texts {
        let mut bytes = text.value.bytes();
        let good = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
            && bytes.all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
            });
        if !good {
            let message = "`scoped_configs` holds lowercase letters, digits, `_` and `.`, a letter first";
            context.error(&text.span, "wrong-value", message);
        }
    }
    texts.into_iter().map(|text| text.value.into_owned()).collect()
}

pub(crate) fn docs(mut table: Table<'_, '_>) -> Docs {
    let stage = table.string("stage");
    table.finish(Unknown::Warn);
    Docs { stage }
}

/// An array of anything, kept as it is.
pub(crate) fn array(table: &mut Table<'_, '_>, key: &'static str) -> Vec<serde_json::Value> {
    match table.take(key) {
        None => Vec::new(),
        Some(Node { value: Value::Array(items), .. }) => items.into_iter().map(to_json).collect(),
        Some(node) => {
            let message = format!("`{key}` must be an array, and is {}", node.value.kind());
            table.context.error(&node.span, "wrong-type", message);
            Vec::new()
        }
    }
}

/// A table of anything, kept as it is.
pub(crate) fn map(
    context: &Context<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
) -> serde_json::Map<String, serde_json::Value> {
    table.take(key).map(|node| object(context, node, key)).unwrap_or_default()
}
