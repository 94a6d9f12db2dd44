//! Typed reading of tables, with a complaint for everything that does not fit.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use super::{Context, Key, Node, Value};
use crate::diagnostic::Position;

/// What becomes of keys that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are errors.
    Error,
    /// They are warnings.
    Warn,
}

/// A string and its place.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a> {
    pub(crate) span: Range<usize>,
    pub(crate) value: Cow<'a, str>,
}

/// A table whose keys are taken one by one; what is left in the end is unknown.
pub(crate) struct Table<'c, 'a> {
    pub(crate) context: &'c Context<'a>,
    /// Where the table is: its header, or its braces.
    pub(crate) span: Range<usize>,
    /// What people call it, such as `[distro]`.
    pub(crate) name: Cow<'static, str>,
    entries: Vec<(Key<'a>, Option<Node<'a>>)>,
    known: Vec<&'static str>,
}

impl<'c, 'a> Table<'c, 'a> {
    /// Takes a node that must be a table.
    pub(crate) fn new(
        context: &'c Context<'a>,
        node: Node<'a>,
        name: impl Into<Cow<'static, str>>,
    ) -> Option<Self> {
        let name = name.into();
        match node.value {
            Value::Table(entries) => Some(Self {
                context,
                span: node.span,
                name,
                entries: entries.into_iter().map(|(key, value)| (key, Some(value))).collect(),
                known: Vec::new(),
            }),
            other => {
                let message = format!("{name} must be a table, and is {}", other.kind());
                context.error(&node.span, "wrong-type", message);
                None
            }
        }
    }

    /// The place of the table.
    pub(crate) fn position(&self) -> Position {
        self.context.position(self.span.start)
    }

    /// Says whether the key is there, without taking it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(own, node)| node.is_some() && own.name == key)
    }

    /// The bytes of a key that is there, also when its value was taken.
    pub(crate) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(own, _)| own.name == key).map(|(own, _)| own.span.clone())
    }

    /// Takes the value of `key`, with the bytes of the key.
    pub(crate) fn take_entry(&mut self, key: &'static str) -> Option<(Range<usize>, Node<'a>)> {
        self.known.push(key);
        let (own, node) = self.entries.iter_mut().find(|(own, node)| node.is_some() && own.name == key)?;
        node.take().map(|node| (own.span.clone(), node))
    }

    /// Takes the value of `key`.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.take_entry(key).map(|(_, node)| node)
    }

    fn wrong(&self, node: &Node<'a>, key: &str, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, and is {}", node.value.kind());
        self.context.error(&node.span, "wrong-type", message);
    }

    /// Notes that a needed key is absent.
    pub(crate) fn missing(&self, key: &str) {
        let message = format!("{} needs `{key}`", self.name);
        self.context.error(&self.span, "missing-field", message);
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Text<'a>> {
        let node = self.take(key)?;
        if let Value::String(value) = node.value {
            return Some(Text { span: node.span, value });
        }
        self.wrong(&node, key, "a string");
        None
    }

    /// A string that must be there.
    pub(crate) fn needed_text(&mut self, key: &'static str) -> Option<Text<'a>> {
        if !self.has(key) {
            self.known.push(key);
            self.missing(key);
            return None;
        }
        self.text(key)
    }

    /// A string without its place.
    pub(crate) fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|text| text.value.into_owned())
    }

    /// A string that is parsed further; `rule` is what a failure is filed under.
    pub(crate) fn parse<T>(&mut self, key: &'static str, rule: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key)?;
        self.context.parse_text(&text, key, rule)
    }

    /// A string that must be there and is parsed further.
    pub(crate) fn needed<T>(&mut self, key: &'static str, rule: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.needed_text(key)?;
        self.context.parse_text(&text, key, rule)
    }

    /// A boolean; absent is `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> bool {
        match self.take(key) {
            Some(Node { value: Value::Bool(flag), .. }) => flag,
            Some(node) => {
                self.wrong(&node, key, "true or false");
                false
            }
            None => false,
        }
    }

    /// A boolean that may be absent.
    pub(crate) fn optional_flag(&mut self, key: &'static str) -> Option<bool> {
        self.has(key).then(|| self.flag(key)).or_else(|| {
            self.known.push(key);
            None
        })
    }

    /// An integer that is not negative.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key)?;
        let number = match node.value {
            Value::Integer(number) => T::try_from(number).ok(),
            // YAML writers like `1.0`; TOML has no reason to.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                T::try_from(number as i64).ok()
            }
            _ => None,
        };
        if number.is_none() {
            self.wrong(&node, key, "an integer in range");
        }
        number
    }

    /// An array of strings; absent is empty.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Text<'a>> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let Value::Array(items) = node.value else {
            self.wrong(&node, key, "an array of strings");
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.value {
                Value::String(value) => texts.push(Text { span: item.span, value }),
                other => {
                    let message = format!("`{key}` holds strings only, and here {}", other.kind());
                    self.context.error(&item.span, "wrong-type", message);
                }
            }
        }
        texts
    }

    /// An array of strings without their places.
    pub(crate) fn strings(&mut self, key: &'static str) -> Vec<String> {
        self.texts(key).into_iter().map(|text| text.value.into_owned()).collect()
    }

    /// An array of strings, each parsed further.
    pub(crate) fn parse_each<T>(&mut self, key: &'static str, rule: &'static str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let texts = self.texts(key);
        texts.iter().filter_map(|text| self.context.parse_text(text, key, rule)).collect()
    }

    /// A table below this one.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'c, 'a>> {
        let (key_span, mut node) = self.take_entry(key)?;
        if node.span.is_empty() {
            node.span = key_span;
        }
        Table::new(self.context, node, format!("`{key}`"))
    }

    /// A table below this one that must be there.
    pub(crate) fn needed_table(&mut self, key: &'static str) -> Option<Table<'c, 'a>> {
        if !self.has(key) {
            self.known.push(key);
            self.missing(key);
            return None;
        }
        self.table(key)
    }

    /// An array of tables; absent is empty.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Table<'c, 'a>> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let Value::Array(items) = node.value else {
            self.wrong(&node, key, "an array of tables");
            return Vec::new();
        };
        items.into_iter().filter_map(|item| Table::new(self.context, item, format!("`{key}`"))).collect()
    }

    /// Every key that is left, with its value: for tables whose keys are free.
    pub(crate) fn rest(&mut self) -> Vec<(Key<'a>, Node<'a>)> {
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().filter_map(|(key, node)| node.map(|node| (key, node))).collect()
    }

    /// Complains about the keys that are left.
    ///
    /// Every value must have been read before, whatever was wrong with others: who gives up
    /// early hides complaints.
    pub(crate) fn finish(mut self, unknown: Unknown) {
        #[cfg(test)]
        asked::note(&self.name, &self.known);
        for (key, node) in self.rest() {
            let message = format!("unknown key `{}` in {}", shown(&key.name), self.name);
            let help = self.suggest(&key.name).or_else(|| {
                // `{a: one, two}` in YAML, where `two` was meant to be part of the text.
                let is_text = matches!(node.value, Value::Null) && key.name.contains(' ');
                is_text.then(|| "a text that holds a comma is put in quotes".to_owned())
            });
            match unknown {
                Unknown::Error => match help {
                    Some(help) => self.context.error_help(&key.span, "unknown-key", message, help),
                    None => self.context.error(&key.span, "unknown-key", message),
                },
                Unknown::Warn => self.context.warn(&key.span, "unknown-key", message, help),
            }
        }
    }

    fn suggest(&self, key: &str) -> Option<String> {
        closest(key, self.known.iter().copied()).map(|name| format!("did you mean `{name}`?"))
    }
}

/// A table that is given up with keys that nobody looked at hides what is wrong with them.
#[cfg(test)]
impl Drop for Table<'_, '_> {
    fn drop(&mut self) {
        let left = self.entries.iter().find(|(_, node)| node.is_some());
        if let (Some((key, _)), false) = (left, std::thread::panicking()) {
            panic!("{} was given up before `{}` was looked at", self.name, key.name);
        }
    }
}

impl<'a> Context<'a> {
    /// Parses a string further, and notes a failure under `rule`.
    pub(crate) fn parse_text<T>(&self, text: &Text<'a>, key: &str, rule: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match text.value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(&text.span, rule, format!("`{key}`: {error}"));
                None
            }
        }
    }
}

/// The name that was probably meant.
pub(crate) fn closest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Long keys are nobody's typo, and the distance costs the product of the lengths.
    if wrong.len() > 64 {
        return None;
    }
    let same = wrong.replace('_', "-").to_ascii_lowercase();
    names
        .map(|name| (strsim::damerau_levenshtein(&same, &name.replace('_', "-")), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Text from a file as messages may hold it: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}

/// A node as a JSON value, for parts of a document that are data.
pub(crate) fn to_json(node: Node<'_>) -> serde_json::Value {
    match node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => flag.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::String(text) => text.into_owned().into(),
        Value::Datetime(text) => text.into(),
        Value::Array(items) => items.into_iter().map(to_json).collect::<Vec<_>>().into(),
        Value::Table(entries) => serde_json::Value::Object(
            entries.into_iter().map(|(key, node)| (key.name.into_owned(), to_json(node))).collect(),
        ),
    }
}

/// Which keys were asked for, by table: what tests compare the schemas with.
#[cfg(test)]
pub(crate) mod asked {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    thread_local! {
        static ASKED: RefCell<BTreeMap<String, BTreeSet<&'static str>>> = RefCell::default();
    }

    pub(super) fn note(table: &str, keys: &[&'static str]) {
        ASKED.with_borrow_mut(|asked| asked.entry(table.to_owned()).or_default().extend(keys));
    }

    /// What was asked for on this thread since the last call.
    pub(crate) fn take() -> BTreeMap<String, BTreeSet<&'static str>> {
        ASKED.take()
    }
}
