//! `executor.yaml`: one thing that a pack can do, run as a process of the user.

use std::ops::Deref;

use serde::Serialize;

use super::action::Action;
use super::action::read::{self as action, Form, array, map};
use super::around::Around;
use crate::diagnostic::{Diagnostics, Parsed};
use crate::document::{Context, MAX_FILE_BYTES, Table, Unknown};

pub use super::action::{
    ActionKind, Cache, CacheMode, Command, Docs, InputArg, Isolation, IsolationMode, Output, OutputMode,
    Port, PortKind, Runtime,
};

/// The names under which an executor's manifest is looked for, in order.
pub const FILE_NAMES: [&str; 3] = ["executor.yaml", "executor.yml", "executor.json"];

/// Most executors of one file.
const MAX_EXECUTORS: usize = 256;

/// One thing that a pack can do. What it shares with orchestrators is in [`Action`], to which it derefs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Executor {
    /// What it shares with orchestrators.
    #[serde(flatten)]
    pub action: Action,
    /// When it applies; not interpreted here.
    pub conditions: Vec<serde_json::Value>,
    /// Its place in a graph; not interpreted here.
    pub graph: serde_json::Map<String, serde_json::Value>,
    /// Kinds of clips that it takes; not interpreted here.
    pub clip_kinds_supported: Vec<serde_json::Value>,
    /// What a pipeline must have; not interpreted here.
    pub pipeline_requirements: Vec<serde_json::Value>,
    /// A runtime outside of the machine; not interpreted here.
    pub external_runtime: serde_json::Map<String, serde_json::Value>,
}

impl Deref for Executor {
    type Target = Action;

    fn deref(&self) -> &Action {
        &self.action
    }
}

impl Executor {
    /// Reads a file with one executor, which people know as `file`.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        let mut all = Self::parse_all(file, text)?;
        match (all.value.pop(), all.value.is_empty()) {
            (Some(value), true) => Ok(Parsed { value, warnings: all.warnings }),
            _ => {
                Err(crate::Diagnostic::of_file(file, "wrong-value", "the file does not hold one executor")
                    .into())
            }
        }
    }

    /// Reads a file with one executor, or with several under `executors`.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse_all(file: &str, text: &str) -> Result<Parsed<Vec<Self>>, Diagnostics> {
        let context = Context::new(file, text, MAX_FILE_BYTES)?;
        let found = read(&context, None);
        let whole: Option<Vec<Self>> = found.into_iter().map(|(executor, _)| executor).collect();
        context.finish(whole.filter(|all| !all.is_empty()))
    }
}

/// An executor as far as it could be read, and its id with its place.
pub(crate) type Found = (Option<Executor>, Option<(astrid_authority::ActionId, std::ops::Range<usize>)>);

/// Reads the executors of a file.
pub(crate) fn read(context: &Context<'_>, around: Option<&Around<'_>>) -> Vec<Found> {
    let table =
        crate::document::yaml::parse(context).and_then(|node| Table::new(context, node, "the manifest"));
    let Some(mut table) = table else { return Vec::new() };
    if !table.has("executors") {
        return vec![executor(context, table, around)];
    }
    let span = table.key_span("executors").unwrap_or(0..0);
    let items = super::action::read::indexed(&mut table, "executors", "executors");
    table.finish(Unknown::Error);
    if items.is_empty() {
        context.error(&span, "wrong-value", "`executors` is empty");
    }
    if items.len() > MAX_EXECUTORS {
        context.error(&span, "too-many", format!("a file holds at most {MAX_EXECUTORS} executors"));
    }
    items.into_iter().map(|item| executor(context, item, around)).collect()
}

fn executor(context: &Context<'_>, mut table: Table<'_, '_>, around: Option<&Around<'_>>) -> Found {
    let read = action::action(context, &mut table, Form::Executor, around);
    let conditions = array(&mut table, "conditions");
    let graph = map(context, &mut table, "graph");
    let clip_kinds_supported = array(&mut table, "clip_kinds_supported");
    let pipeline_requirements = array(&mut table, "pipeline_requirements");
    let external_runtime = map(context, &mut table, "external_runtime");
    table.finish(Unknown::Error);
    let executor = read.action.map(|action| Executor {
        action,
        conditions,
        graph,
        clip_kinds_supported,
        pipeline_requirements,
        external_runtime,
    });
    (executor, read.id)
}
