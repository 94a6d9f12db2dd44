//! `[imports]`, `[exports]`, `[publish]` and `[subscribe]`, each with its short and long forms.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use astrid_authority::{InterfaceId, TopicPattern};
use semver::Version;

use super::{Import, Publish, Strictness, Subscribe, WitPin};
use crate::document::reader::shown;
use crate::document::{Context, Key, Node, Table, Text, Unknown, Value};
use crate::version::{CargoRequirement, FullVersion};

/// What becomes of keys that nobody asked for.
pub(super) fn unknown(strictness: Strictness) -> Unknown {
    match strictness {
        Strictness::Check => Unknown::Error,
        Strictness::Load => Unknown::Warn,
    }
}

/// Every entry of a table of interfaces, flat (`"a:b" = …`) and nested (`[imports.a] b = …`).
fn interfaces<'a>(
    context: &Context<'a>,
    mut table: Table<'_, 'a>,
    section: &str,
) -> Vec<(InterfaceId, Range<usize>, Node<'a>)> {
    let mut found: Vec<(InterfaceId, Range<usize>, Node<'a>)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |id: String, span: &Range<usize>, node: Node<'a>| {
        let text = Text { span: span.clone(), value: id.into() };
        let Some(id) = context.parse_text::<InterfaceId>(&text, section, "interface") else { return };
        if seen.insert(id.clone()) {
            found.push((id, span.clone(), node));
        } else {
            context.error(span, "duplicate", format!("`{id}` is there twice in `[{section}]`"));
        }
    };
    for (key, node) in table.rest() {
        if key.name.contains(':') {
            add(key.name.into_owned(), &key.span, node);
        } else {
            let Value::Table(entries) = node.value else {
                let name = shown(&key.name);
                let message = format!("`{name}` must be a table of interfaces, or `namespace:interface`");
                context.error(&key.span, "interface", message);
                continue;
            };
            for (name, below) in entries {
                add(format!("{}:{}", key.name, name.name), &name.span, below);
            }
        }
    }
    found
}

pub(super) fn imports(
    context: &Context<'_>,
    table: Table<'_, '_>,
    strictness: Strictness,
) -> BTreeMap<InterfaceId, Import> {
    let mut imports = BTreeMap::new();
    for (id, span, node) in interfaces(context, table, "imports") {
        let mut optional = false;
        let text = match node.value {
            Value::String(value) => Some(Text { span: node.span, value }),
            Value::Table(_) => Table::new(context, node, format!("import `{id}`")).and_then(|mut below| {
                let version = below.needed_text("version");
                optional = below.flag("optional");
                below.finish(unknown(strictness));
                version
            }),
            other => {
                let message = format!("import `{id}` is a requirement or a table, not {}", other.kind());
                context.error(&node.span, "wrong-type", message);
                None
            }
        };
        let requirement =
            text.and_then(|text| context.parse_text::<CargoRequirement>(&text, id.as_str(), "requirement"));
        if let Some(requirement) = requirement {
            let at = context.position(span.start);
            imports.insert(id, Import { requirement: requirement.0, optional, at });
        }
    }
    imports
}

pub(super) fn exports(
    context: &Context<'_>,
    table: Table<'_, '_>,
    strictness: Strictness,
) -> BTreeMap<InterfaceId, Version> {
    let mut exports = BTreeMap::new();
    for (id, _, node) in interfaces(context, table, "exports") {
        let text = match node.value {
            Value::String(value) => Some(Text { span: node.span, value }),
            Value::Table(_) => Table::new(context, node, format!("export `{id}`")).and_then(|mut below| {
                let version = below.needed_text("version");
                below.finish(unknown(strictness));
                version
            }),
            other => {
                let message = format!("export `{id}` is a version or a table, not {}", other.kind());
                context.error(&node.span, "wrong-type", message);
                None
            }
        };
        let version = text.and_then(|text| context.parse_text::<FullVersion>(&text, id.as_str(), "version"));
        if let Some(version) = version {
            exports.insert(id, version.0);
        }
    }
    exports
}

fn pattern(context: &Context<'_>, key: &Key<'_>, section: &str) -> Option<TopicPattern> {
    match key.name.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("`{}` in `[{section}]`: {error}", shown(&key.name));
            context.error(&key.span, "topic", message);
            None
        }
    }
}

/// `wit` as it was written, with a complaint when it is unfinished.
fn wit(context: &Context<'_>, text: &Text<'_>, strictness: Strictness) -> String {
    let trimmed = text.value.trim();
    if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("todo") {
        let help = "name the type, or write `opaque` for messages without one";
        match strictness {
            Strictness::Check => {
                context.error_help(&text.span, "unfinished-wit", "`wit` is not filled in", help);
            }
            Strictness::Load => {
                context.warn(&text.span, "unfinished-wit", "`wit` is not filled in", Some(help.to_owned()));
            }
        }
    }
    text.value.clone().into_owned()
}

fn pin(context: &Context<'_>, table: &mut Table<'_, '_>) -> Option<WitPin> {
    let mut pins: Vec<(&str, WitPin)> = Vec::new();
    for key in ["version", "tag", "rev", "branch", "path"] {
        let Some(value) = table.string(key) else { continue };
        let pin = match key {
            "version" => WitPin::Version(value),
            "tag" => WitPin::Tag(value),
            "rev" => WitPin::Rev(value),
            "branch" => WitPin::Branch(value),
            _ => WitPin::Path(value),
        };
        pins.push((key, pin));
    }
    if pins.len() > 1 {
        let names: Vec<String> = pins.iter().map(|(key, _)| format!("`{key}`")).collect();
        let message = format!("{} has {}: at most one of them", table.name, names.join(" and "));
        context.error(&table.span, "conflicting-pin", message);
    }
    pins.pop().map(|(_, pin)| pin)
}

pub(super) fn publish(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    strictness: Strictness,
) -> BTreeMap<TopicPattern, Publish> {
    let mut topics = BTreeMap::new();
    for (key, node) in table.rest() {
        let pattern = pattern(context, &key, "publish");
        let value = match node.value {
            Value::String(value) => {
                let text = Text { span: node.span, value };
                Some(Publish { wit: wit(context, &text, strictness), pin: None, fanout: false })
            }
            Value::Table(_) => {
                let name = format!("publish `{}`", shown(&key.name));
                Table::new(context, node, name).and_then(|mut below| {
                    let text = below.needed_text("wit");
                    let pin = pin(context, &mut below);
                    let fanout = below.flag("fanout");
                    below.finish(unknown(strictness));
                    Some(Publish { wit: wit(context, &text?, strictness), pin, fanout })
                })
            }
            other => {
                let message =
                    format!("`{}` is a WIT reference or a table, not {}", shown(&key.name), other.kind());
                context.error(&node.span, "wrong-type", message);
                None
            }
        };
        if let (Some(pattern), Some(value)) = (pattern, value) {
            topics.insert(pattern, value);
        }
    }
    topics
}

pub(super) fn subscribe(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    strictness: Strictness,
) -> BTreeMap<TopicPattern, Subscribe> {
    let mut topics = BTreeMap::new();
    for (key, node) in table.rest() {
        let pattern = pattern(context, &key, "subscribe");
        let value = match node.value {
            Value::String(value) => {
                let text = Text { span: node.span, value };
                Some(Subscribe {
                    wit: wit(context, &text, strictness),
                    pin: None,
                    handler: None,
                    priority: None,
                })
            }
            Value::Table(_) => {
                let name = format!("subscribe `{}`", shown(&key.name));
                Table::new(context, node, name).and_then(|below| long_subscribe(context, below, strictness))
            }
            other => {
                let message =
                    format!("`{}` is a WIT reference or a table, not {}", shown(&key.name), other.kind());
                context.error(&node.span, "wrong-type", message);
                None
            }
        };
        if let (Some(pattern), Some(value)) = (pattern, value) {
            topics.insert(pattern, value);
        }
    }
    topics
}

fn long_subscribe(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    strictness: Strictness,
) -> Option<Subscribe> {
    let text = table.needed_text("wit");
    let pin = pin(context, &mut table);
    let handler = table.text("handler");
    if let Some(blank) = handler.as_ref().filter(|text| text.value.trim().is_empty()) {
        context.error(&blank.span, "wrong-value", "`handler` is blank");
    }
    let priority_span = table.key_span("priority");
    let priority = table.number("priority");
    if let (Some(span), None) = (priority_span, &handler) {
        context.error(
            &span,
            "priority-without-handler",
            "`priority` means something only together with `handler`",
        );
    }
    table.finish(unknown(strictness));
    Some(Subscribe {
        wit: wit(context, &text?, strictness),
        pin,
        handler: handler.map(|text| text.value.into_owned()),
        priority,
    })
}
