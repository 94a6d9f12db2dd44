//! A document before it has a meaning: values with their places, whatever they were written in.
//!
//! TOML, YAML and JSON all become a [`Node`]. The typed readers ([`reader`]) work on it, and
//! collect complaints in a [`Context`] instead of stopping at the first one.

pub(crate) mod context;
pub(crate) mod reader;
pub(crate) mod toml;
pub(crate) mod yaml;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use context::Context;
pub(crate) use reader::{Table, Text, Unknown};

/// Largest manifest, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Largest declaration, in bytes: enough for ten thousand entries.
pub const MAX_DISTRO_BYTES: usize = 8 * 1024 * 1024;
/// Largest lock, in bytes.
pub const MAX_LOCK_BYTES: usize = 64 * 1024 * 1024;
/// Deepest nesting of tables and arrays.
pub const MAX_DEPTH: usize = 64;
/// Most entries of one table or array.
pub const MAX_ENTRIES: usize = 16_384;

/// A value and the bytes that it was written in.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value<'a>,
}

/// A key and the bytes that it was written in.
#[derive(Debug, Clone)]
pub(crate) struct Key<'a> {
    pub(crate) span: Range<usize>,
    pub(crate) name: Cow<'a, str>,
}

/// What was written.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(Cow<'a, str>),
    Datetime(String),
    Array(Vec<Node<'a>>),
    Table(Vec<(Key<'a>, Node<'a>)>),
}

impl Value<'_> {
    /// The kind in words, for "expected a string, got …".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}
