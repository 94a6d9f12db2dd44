//! YAML (and JSON, which is YAML) text as a [`Node`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{Context, Key, MAX_DEPTH, MAX_ENTRIES, Node, Value};

/// Most values of one document, those that aliases repeat among them.
const MAX_NODES: usize = 65_536;
/// So many bytes of a text count as a value more: aliases repeat texts as well.
const BYTES_OF_A_NODE: usize = 256;

/// Reads one YAML document. On `None` the complaints are in `context`.
///
/// Duplicate keys, keys that are no strings, numbers that are not finite, tags, a second document
/// and aliases of something that is not complete yet are refused; what aliases repeat counts.
pub(crate) fn parse<'a>(context: &Context<'a>) -> Option<Node<'a>> {
    let offsets = if context.text.is_ascii() {
        None
    } else {
        Some(context.text.char_indices().map(|(at, _)| at).chain([context.text.len()]).collect())
    };
    let mut builder = Builder {
        context,
        offsets,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
        documents: 0,
    };
    let mut parser = Parser::new_from_str(context.text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                if builder.event(event, span).is_err() {
                    return None;
                }
            }
            Err(error) => {
                let at = builder.offset(*error.marker());
                context.error(&(at..at), "syntax", error.info());
                return None;
            }
        }
    }
    if builder.root.is_none() {
        context.error(&(0..0), "syntax", "the document is empty");
    }
    builder.root
}

/// A collection that is not closed yet.
struct Open<'a> {
    start: usize,
    anchor: usize,
    /// How many nodes were counted before it: what an alias of it repeats.
    counted: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Array(Vec<Node<'a>>),
    Table { entries: Vec<(Key<'a>, Node<'a>)>, seen: BTreeSet<String>, key: Option<Key<'a>> },
}

struct Builder<'c, 'a> {
    context: &'c Context<'a>,
    /// Byte offset of each character, when some character has more than one byte.
    offsets: Option<Vec<usize>>,
    open: Vec<Open<'a>>,
    anchors: BTreeMap<usize, (Node<'a>, usize)>,
    nodes: usize,
    root: Option<Node<'a>>,
    documents: usize,
}

/// The complaint is in the context already.
struct Refused;

impl<'a> Builder<'_, 'a> {
    fn offset(&self, marker: Marker) -> usize {
        match &self.offsets {
            Some(offsets) => offsets.get(marker.index()).copied().unwrap_or(self.context.text.len()),
            None => marker.index().min(self.context.text.len()),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start);
        start..self.offset(span.end).max(start)
    }

    fn refuse(&self, span: &Range<usize>, rule: &'static str, message: impl Into<String>) -> Refused {
        self.context.error(span, rule, message);
        Refused
    }

    fn count(&mut self, nodes: usize, span: &Range<usize>) -> Result<(), Refused> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.context.note_values(self.nodes);
        if self.nodes > MAX_NODES {
            return Err(self.refuse(
                span,
                "too-many",
                format!("more than {MAX_NODES} values, with those that aliases repeat"),
            ));
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'a>, span: Span) -> Result<(), Refused> {
        let range = self.range(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.refuse(&range, "syntax", "a file holds one document"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(self.refuse(&range, "syntax", "tags are not read"));
                }
                let size = 1 + text.len() / BYTES_OF_A_NODE;
                self.count(size, &range)?;
                let node = self.scalar(text, style, range)?;
                self.keep(anchor, &node, size);
                self.put(node)
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map_or(0, |(_, size)| *size);
                self.count(size, &range)?;
                let Some((node, _)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.refuse(
                        &range,
                        "syntax",
                        "the alias repeats something that is not complete",
                    ));
                };
                self.put(node)
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(range, anchor, tag.is_some(), Kind::Array(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Table { entries: Vec::new(), seen: BTreeSet::new(), key: None };
                self.start(range, anchor, tag.is_some(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&range),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(
        &mut self,
        range: Range<usize>,
        anchor: usize,
        tagged: bool,
        kind: Kind<'a>,
    ) -> Result<(), Refused> {
        if tagged {
            return Err(self.refuse(&range, "syntax", "tags are not read"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.refuse(
                &range,
                "too-deep",
                format!("values are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let counted = self.nodes;
        self.count(1, &range)?;
        self.open.push(Open { start: range.start, anchor, counted, kind });
        Ok(())
    }

    fn end(&mut self, range: &Range<usize>) -> Result<(), Refused> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.kind {
            Kind::Array(items) => Value::Array(items),
            Kind::Table { entries, .. } => Value::Table(entries),
        };
        let node = Node { span: open.start..range.end.max(open.start), value };
        self.keep(open.anchor, &node, self.nodes - open.counted);
        self.put(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node<'a>, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
    }

    fn put(&mut self, node: Node<'a>) -> Result<(), Refused> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let (complaint, span) = match &mut open.kind {
            Kind::Array(items) => {
                if items.len() < MAX_ENTRIES {
                    items.push(node);
                    return Ok(());
                }
                (("too-many", format!("more than {MAX_ENTRIES} entries")), node.span)
            }
            Kind::Table { entries, seen, key } => match (key.take(), node) {
                (None, Node { span, value: Value::String(name) }) => {
                    if seen.len() >= MAX_ENTRIES {
                        (("too-many", format!("more than {MAX_ENTRIES} entries")), span)
                    } else if seen.insert(name.to_string()) {
                        *key = Some(Key { span, name });
                        return Ok(());
                    } else {
                        let name = super::reader::shown(&name);
                        (("duplicate-key", format!("the key `{name}` is there twice")), span)
                    }
                }
                (None, node) => {
                    (("syntax", format!("a key is a string, and here {}", node.value.kind())), node.span)
                }
                (Some(key), node) => {
                    entries.push((key, node));
                    return Ok(());
                }
            },
        };
        Err(self.refuse(&span, complaint.0, complaint.1))
    }

    fn scalar(
        &self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        span: Range<usize>,
    ) -> Result<Node<'a>, Refused> {
        if style != ScalarStyle::Plain {
            return Ok(Node { span, value: Value::String(text) });
        }
        let value = match text.as_ref() {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | ".nan" | ".NaN" | ".NAN" => {
                return Err(self.refuse(&span, "wrong-type", "the number is not finite"));
            }
            plain => match number(plain) {
                Some(Ok(value)) => value,
                Some(Err(())) => {
                    return Err(self.refuse(&span, "wrong-type", "the number is not finite or too large"));
                }
                None => Value::String(text),
            },
        };
        Ok(Node { span, value })
    }
}

/// A plain scalar as a number: decimal, `0x` or `0o` integers, and decimal floats.
fn number<'a>(text: &str) -> Option<Result<Value<'a>, ()>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, radix: u32| {
        let digits = text.strip_prefix(prefix)?;
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        is_number.then(|| i64::from_str_radix(digits, radix).map(Value::Integer).map_err(drop))
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number);
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || !digits.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map(Value::Integer).map_err(drop));
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Some(Ok(Value::Float(number))),
            Ok(_) => Some(Err(())),
            Err(_) => None,
        };
    }
    None
}
