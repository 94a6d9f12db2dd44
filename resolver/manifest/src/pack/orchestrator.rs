//! `orchestrator.yaml`: something that runs executors and other orchestrators of packs.

use std::ops::{Deref, Range};

use astrid_authority::ActionId;
use serde::Serialize;

use super::action::Action;
use super::action::read::{self as action, Form};
use super::around::Around;
use crate::diagnostic::{Diagnostics, Parsed};
use crate::document::{Context, MAX_FILE_BYTES, Table, Unknown};

/// The names under which an orchestrator's manifest is looked for, in order.
pub const FILE_NAMES: [&str; 3] = ["orchestrator.yaml", "orchestrator.yml", "orchestrator.json"];

/// Something that runs executors. What it shares with them is in [`Action`], to which it derefs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Orchestrator {
    /// What it shares with executors. Its `runtime` is always there.
    #[serde(flatten)]
    pub action: Action,
    /// The executors that it runs.
    pub child_executors: Vec<ActionId>,
    /// The orchestrators that it runs.
    pub child_orchestrators: Vec<ActionId>,
}

impl Deref for Orchestrator {
    type Target = Action;

    fn deref(&self) -> &Action {
        &self.action
    }
}

impl Orchestrator {
    /// Reads `text`, which people know as `file`.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        let context = Context::new(file, text, MAX_FILE_BYTES)?;
        let found = read(&context, None);
        context.finish(found.orchestrator)
    }
}

/// An orchestrator as far as it could be read, and what checks across files need.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) orchestrator: Option<Orchestrator>,
    pub(crate) id: Option<(ActionId, Range<usize>)>,
    /// The executors that it names, with their places.
    pub(crate) executors: Vec<(ActionId, Range<usize>)>,
    /// The orchestrators that it names, with their places.
    pub(crate) orchestrators: Vec<(ActionId, Range<usize>)>,
}

/// Reads an orchestrator.
pub(crate) fn read(context: &Context<'_>, around: Option<&Around<'_>>) -> Found {
    let table =
        crate::document::yaml::parse(context).and_then(|node| Table::new(context, node, "the manifest"));
    let Some(mut table) = table else { return Found::default() };
    let read = action::action(context, &mut table, Form::Orchestrator, around);
    let executors = children(&mut table, "child_executors");
    let orchestrators = children(&mut table, "child_orchestrators");
    table.finish(Unknown::Error);
    let only = |children: &[(ActionId, Range<usize>)]| children.iter().map(|(id, _)| id.clone()).collect();
    let orchestrator = read.action.map(|action| Orchestrator {
        action,
        child_executors: only(&executors),
        child_orchestrators: only(&orchestrators),
    });
    Found { orchestrator, id: read.id, executors, orchestrators }
}

fn children(table: &mut Table<'_, '_>, key: &'static str) -> Vec<(ActionId, Range<usize>)> {
    let texts = table.texts(key);
    let ids =
        texts.iter().map(|text| (table.context.parse_text(text, key, "component-id"), text.span.clone()));
    ids.filter_map(|(id, span)| Some((id?, span))).collect()
}
