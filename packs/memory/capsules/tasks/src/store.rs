//! Tasks in the kernel's store. Two writers at once lose nothing: every write names what it replaces.

use astrid_sdk::prelude::*;
use refusal::Refusal;

use crate::task::{Filter, Task};

const PREFIX: &str = "task:";
const NEXT: &str = "next";
const PAGE: u32 = 256;
const ATTEMPTS: usize = 8;

/// Takes the next number. A number is never used twice.
pub fn take_number() -> Result<u32, Refusal> {
    for _ in 0..ATTEMPTS {
        let before = kv::get_bytes_opt(NEXT)?;
        let number: u32 = match &before {
            Some(bytes) => serde_json::from_slice(bytes)?,
            None => 1,
        };
        let after =
            number.checked_add(1).ok_or_else(|| Refusal::new("there are no task numbers left".to_owned()))?;
        if kv::cas(NEXT, before.as_deref(), &serde_json::to_vec(&after)?)? {
            return Ok(number);
        }
    }
    Err(busy())
}

/// Stores a new task.
pub fn add(task: &Task) -> Result<(), Refusal> {
    if kv::cas(&key(task.id), None, &serde_json::to_vec(task)?)? { Ok(()) } else { Err(busy()) }
}

/// Changes the task `id` in one step and returns what it became.
pub fn change(id: u32, apply: &dyn Fn(Task) -> Result<Task, Refusal>) -> Result<Task, Refusal> {
    for _ in 0..ATTEMPTS {
        let before = kv::get_bytes_opt(&key(id))?.ok_or_else(|| absent(id))?;
        let task = apply(serde_json::from_slice(&before)?)?;
        if kv::cas(&key(id), Some(&before), &serde_json::to_vec(&task)?)? {
            return Ok(task);
        }
    }
    Err(busy())
}

/// Deletes the task `id`.
pub fn delete(id: u32) -> Result<(), Refusal> {
    if kv::get_bytes_opt(&key(id))?.is_none() {
        return Err(absent(id));
    }
    Ok(kv::delete(&key(id))?)
}

/// The tasks that a filter admits, in no particular order. One that can't be read is left out and logged.
pub fn all(filter: &Filter) -> Result<Vec<Task>, Refusal> {
    let mut tasks = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = kv::list_keys_page(PREFIX, cursor.as_deref(), PAGE)?;
        for key in &page.keys {
            let Some(bytes) = kv::get_bytes_opt(key)? else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(task) if filter.admits(&task) => tasks.push(task),
                Ok(_) => {}
                Err(error) => log::warn(format!("{key} is not a task: {error}")),
            }
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(tasks),
        }
    }
}

fn key(id: u32) -> String {
    format!("{PREFIX}{id:010}")
}

fn absent(id: u32) -> Refusal {
    Refusal::new(format!("there is no task {id}; `task_list` shows what there is"))
}

fn busy() -> Refusal {
    Refusal::new("the list is being changed by somebody else; try again".to_owned())
}
