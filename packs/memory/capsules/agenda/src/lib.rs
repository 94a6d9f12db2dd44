//! An agenda made from another capsule's tasks, asked for over the bus.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod plan;

use std::time::UNIX_EPOCH;

use astrid_sdk::prelude::*;
use plan::{Agenda, Task};
use refusal::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

const REQUEST: &str = "tasks.v1.request.list";
const ANSWERS: &str = "tasks.v1.response.list";
const WAIT_MS: u64 = 5000;
const MAX_DAYS: u32 = 31;

/// Arguments of `agenda`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The first day, as YYYY-MM-DD. Default: today, by the configured `UTC_OFFSET`.
    pub from: Option<String>,
    /// How many days, 1 to 31. Default: 7.
    pub days: Option<u32>,
    /// Only tasks with this tag.
    pub tag: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    tasks: Vec<Task>,
    #[serde(default)]
    error: Option<String>,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct AgendaCapsule;

/// What is due, day by day.
#[capsule]
impl AgendaCapsule {
    /// Show what is due over the next days: overdue tasks first, then day by day, then what has no day.
    /// `text` is ready to show to a person.
    #[astrid::tool("agenda")]
    pub fn agenda(&self, args: Wish) -> Result<Agenda, Refusal> {
        let days = args.days.unwrap_or(7);
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(Refusal::new(format!("`days` must be 1 to {MAX_DAYS}")));
        }
        let from = match args.from.as_deref() {
            Some(day) => plan::parse_date(day)?,
            None => today()?,
        };
        plan::plan(open_tasks(args.tag.as_deref())?, from, days)
    }
}

fn today() -> Result<jiff::civil::Date, Refusal> {
    let since = time::now()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    plan::today(i64::try_from(since.as_secs()).unwrap_or_default(), &env::var("UTC_OFFSET")?)
}

fn open_tasks(tag: Option<&str>) -> Result<Vec<Task>, Refusal> {
    let mut request = json!({ "status": "open" });
    if let (Some(tag), Some(fields)) = (tag, request.as_object_mut()) {
        fields.insert("tag".to_owned(), json!(tag));
    }
    let answer: Answer = ipc::request_response(REQUEST, ANSWERS, &request, WAIT_MS).map_err(|error| {
        Refusal::new(format!(
            "no tasks came back: {error}; is a capsule that exports `astrid:tasks` running?"
        ))
    })?;
    match answer.error {
        Some(error) => Err(Refusal::new(format!("the list of tasks refused: {error}"))),
        None => Ok(answer.tasks),
    }
}
