//! A to-do list: tools for an agent, and `astrid:tasks` for other capsules (see `wit/tasks.wit`).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod store;
mod task;

use std::time::UNIX_EPOCH;

use astrid_sdk::prelude::*;
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use task::{Filter, Priority, Status, Task};

const ANSWERS: &str = "tasks.v1.response.list";
const CHANGED: &str = "tasks.v1.event.changed";

/// Arguments of `task_add`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// One line that says what to do.
    pub title: String,
    /// The day on which it is due, as YYYY-MM-DD.
    pub due: Option<String>,
    /// `low`, `normal` (default) or `high`.
    #[serde(default)]
    pub priority: Priority,
    /// Labels to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Details.
    #[serde(default)]
    pub notes: String,
}

/// Which tasks `task_list` shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Those to do.
    #[default]
    Open,
    /// Those done.
    Done,
    /// Both.
    All,
}

/// Arguments of `task_list`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// `open` (default), `done` or `all`.
    #[serde(default)]
    pub status: Wanted,
    /// Only tasks due on or before this day, as YYYY-MM-DD.
    pub due_by: Option<String>,
    /// Only tasks with this tag.
    pub tag: Option<String>,
}

/// Arguments of `task_update`. What is left out stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The task's number.
    pub id: u32,
    /// A new title.
    pub title: Option<String>,
    /// A new day as YYYY-MM-DD; an empty text removes the day.
    pub due: Option<String>,
    /// A new priority.
    pub priority: Option<Priority>,
    /// New tags, in the place of the old ones.
    pub tags: Option<Vec<String>>,
    /// New details, in the place of the old ones.
    pub notes: Option<String>,
    /// `open` takes a task up again, `done` completes it.
    pub status: Option<Status>,
}

/// Arguments of tools that take one task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ById {
    /// The task's number.
    pub id: u32,
}

/// What another capsule asks for on `tasks.v1.request.list`.
#[derive(Debug, Default, Deserialize)]
struct ListRequest {
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    due_by: Option<String>,
    #[serde(default)]
    tag: Option<String>,
}

/// Answer of `task_list`.
#[derive(Debug, Serialize)]
pub struct Listed {
    tasks: Vec<Task>,
    total: usize,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Tasks;

/// A to-do list that people and capsules share.
#[capsule]
impl Tasks {
    /// Add a task to the to-do list. Returns it with its number.
    #[astrid::tool("task_add", mutable)]
    pub fn task_add(&self, args: Add) -> Result<Task, Refusal> {
        task::check_notes(&args.notes)?;
        let task = Task {
            title: task::check_title(&args.title)?,
            due: args.due.as_deref().filter(|due| !due.is_empty()).map(task::check_day).transpose()?,
            tags: task::normalise_tags(&args.tags)?,
            id: store::take_number()?,
            status: Status::Open,
            priority: args.priority,
            notes: args.notes,
            created: now()?,
            completed: None,
        };
        store::add(&task)?;
        announce(task.id, "added");
        Ok(task)
    }

    /// List tasks, what is due first on top.
    #[astrid::tool("task_list")]
    pub fn task_list(&self, args: List) -> Result<Listed, Refusal> {
        let status = match args.status {
            Wanted::Open => Some(Status::Open),
            Wanted::Done => Some(Status::Done),
            Wanted::All => None,
        };
        let tasks = list(status, args.due_by.as_deref(), args.tag.as_deref())?;
        Ok(Listed { total: tasks.len(), tasks })
    }

    /// Change a task. What is left out stays as it is.
    #[astrid::tool("task_update", mutable)]
    pub fn task_update(&self, args: Update) -> Result<Task, Refusal> {
        let title = args.title.as_deref().map(task::check_title).transpose()?;
        let due = match args.due.as_deref().map(str::trim) {
            None => None,
            Some("") => Some(None),
            Some(day) => Some(Some(task::check_day(day)?)),
        };
        let tags = args.tags.as_deref().map(task::normalise_tags).transpose()?;
        task::check_notes(args.notes.as_deref().unwrap_or_default())?;
        let now = now()?;
        let task = store::change(args.id, &|old| {
            let task = Task {
                title: title.clone().unwrap_or(old.title),
                due: due.clone().unwrap_or(old.due),
                priority: args.priority.unwrap_or(old.priority),
                tags: tags.clone().unwrap_or(old.tags),
                notes: args.notes.clone().unwrap_or(old.notes),
                ..old
            };
            Ok(match args.status {
                Some(status) => with_status(task, status, &now),
                None => task,
            })
        })?;
        announce(task.id, "updated");
        Ok(task)
    }

    /// Mark a task as done.
    #[astrid::tool("task_done", mutable)]
    pub fn task_done(&self, args: ById) -> Result<Task, Refusal> {
        let now = now()?;
        let task = store::change(args.id, &|old| Ok(with_status(old, Status::Done, &now)))?;
        announce(task.id, "done");
        Ok(task)
    }

    /// Delete a task. This can't be undone; a task that is finished is better marked as done.
    #[astrid::tool("task_delete", mutable)]
    pub fn task_delete(&self, args: ById) -> Result<Value, Refusal> {
        store::delete(args.id)?;
        announce(args.id, "deleted");
        Ok(json!({ "id": args.id, "done": "deleted" }))
    }

    /// Answers another capsule. A request that is wrong gets an answer that says so: silence would keep
    /// the other waiting.
    #[astrid::interceptor("on_list_request")]
    pub fn on_list_request(&self, request: Value) -> Result<(), Refusal> {
        let Some(id) = request.get("correlation_id").and_then(Value::as_str).map(str::to_owned) else {
            log::warn("a request for tasks has no `correlation_id`, so nobody can be answered");
            return Ok(());
        };
        let answer = serde_json::from_value(request)
            .map_err(Refusal::from)
            .and_then(|ListRequest { status, due_by, tag }| {
                list(Some(status.unwrap_or_default()), due_by.as_deref(), tag.as_deref())
            })
            .map_or_else(
                |error| json!({ "tasks": [], "error": error.to_string() }),
                |tasks| json!({ "tasks": tasks, "error": null }),
            );
        Ok(ipc::publish_json(&format!("{ANSWERS}.{id}"), &answer)?)
    }
}

fn list(status: Option<Status>, due_by: Option<&str>, tag: Option<&str>) -> Result<Vec<Task>, Refusal> {
    let filter = Filter {
        status,
        due_by: due_by.map(task::check_day).transpose()?,
        tag: tag.map(task::normalise_tag),
    };
    let mut tasks = store::all(&filter)?;
    task::sort(&mut tasks);
    Ok(tasks)
}

fn with_status(task: Task, status: Status, now: &str) -> Task {
    let completed = match status {
        Status::Open => None,
        Status::Done => task.completed.clone().or_else(|| Some(now.to_owned())),
    };
    Task { status, completed, ..task }
}

/// Tells whoever listens. That nobody can be told is no reason to undo the change.
fn announce(id: u32, what: &str) {
    if let Err(error) = ipc::publish_json(CHANGED, &json!({ "id": id, "what": what })) {
        log::warn(format!("the change of task {id} was not announced: {error}"));
    }
}

/// The time now, RFC 3339 in UTC, to the second.
fn now() -> Result<String, Refusal> {
    let since = time::now()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds)
        .map(|now| now.to_string())
        .map_err(|error| Refusal::new(format!("the host's clock is out of range: {error}")))
}
