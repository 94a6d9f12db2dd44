//! A task, the rules for its parts, and the order in which tasks are shown.

use std::cmp::Reverse;

use jiff::civil::Date;
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_TITLE: usize = 300;
const MAX_NOTES: usize = 64 * 1024;
const MAX_TAGS: usize = 32;

/// How pressing a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When there is time.
    Low,
    /// As everything else.
    #[default]
    Normal,
    /// First.
    High,
}

/// Whether a task is still to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To do.
    #[default]
    Open,
    /// Done.
    Done,
}

/// A task as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// One line.
    pub title: String,
    /// Whether it is still to do.
    pub status: Status,
    /// How pressing it is.
    pub priority: Priority,
    /// The day on which it is due, `YYYY-MM-DD`.
    pub due: Option<String>,
    /// Lower-case labels, sorted.
    pub tags: Vec<String>,
    /// Details.
    pub notes: String,
    /// When it was added, RFC 3339 in UTC.
    pub created: String,
    /// When it was done.
    pub completed: Option<String>,
}

/// Which tasks are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these; `None` for all.
    pub status: Option<Status>,
    /// Only those due on or before this day.
    pub due_by: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
}

impl Filter {
    /// Whether a task is wanted.
    pub fn admits(&self, task: &Task) -> bool {
        self.status.is_none_or(|status| status == task.status)
            && self.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            // Days of this form are in order as text.
            && self.due_by.as_ref().is_none_or(|by| task.due.as_ref().is_some_and(|due| due <= by))
    }
}

/// Open before done, then by day (those without a day last), then by priority, then by number.
pub fn sort(tasks: &mut [Task]) {
    tasks.sort_by_key(|task| {
        (task.status == Status::Done, task.due.is_none(), task.due.clone(), Reverse(task.priority), task.id)
    });
}

/// Checks a title and trims it.
pub fn check_title(title: &str) -> Result<String, Refusal> {
    let title = title.trim();
    if title.is_empty() || title.chars().count() > MAX_TITLE || title.contains('\n') {
        return Err(refuse(format!("`title` must be one line of 1 to {MAX_TITLE} characters")));
    }
    Ok(title.to_owned())
}

/// Checks the size of details.
pub fn check_notes(notes: &str) -> Result<(), Refusal> {
    if notes.len() > MAX_NOTES {
        return Err(refuse(format!("`notes` has {} bytes, a task holds {MAX_NOTES}", notes.len())));
    }
    Ok(())
}

/// Checks a day and brings it into its one form.
pub fn check_day(day: &str) -> Result<String, Refusal> {
    day.trim()
        .parse::<Date>()
        .map(|day| day.to_string())
        .map_err(|_| refuse(format!("`{day}` is not a day; write it as YYYY-MM-DD, for example 2026-03-31")))
}

/// Brings tags into their one form: lower case, without `#`, sorted, each once.
pub fn normalise_tags(tags: &[String]) -> Result<Vec<String>, Refusal> {
    let mut normal = Vec::new();
    for tag in tags {
        let tag = normalise_tag(tag);
        if tag.is_empty() || tag.len() > 64 || tag.contains(char::is_whitespace) {
            return Err(refuse(format!("`{tag}` is not a tag: one word of 1 to 64 bytes")));
        }
        normal.push(tag);
    }
    normal.sort();
    normal.dedup();
    if normal.len() > MAX_TAGS {
        return Err(refuse(format!("a task has at most {MAX_TAGS} tags")));
    }
    Ok(normal)
}

/// One tag in its one form.
pub fn normalise_tag(tag: &str) -> String {
    tag.trim().trim_start_matches('#').to_lowercase()
}

fn refuse(message: String) -> Refusal {
    Refusal::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u32, due: Option<&str>, priority: Priority, status: Status) -> Task {
        Task {
            id,
            title: format!("task {id}"),
            status,
            priority,
            due: due.map(str::to_owned),
            tags: vec!["home".to_owned()],
            notes: String::new(),
            created: String::new(),
            completed: None,
        }
    }

    #[test]
    fn what_is_due_first_comes_first() {
        let mut tasks = vec![
            task(1, None, Priority::High, Status::Open),
            task(2, Some("2026-02-01"), Priority::Low, Status::Open),
            task(3, Some("2026-01-01"), Priority::Low, Status::Done),
            task(4, Some("2026-02-01"), Priority::High, Status::Open),
            task(5, Some("2026-01-15"), Priority::Low, Status::Open),
        ];
        sort(&mut tasks);
        assert_eq!(tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [5, 4, 2, 1, 3]);
    }

    #[test]
    fn filters_combine() {
        let open = task(1, Some("2026-02-01"), Priority::Normal, Status::Open);
        let filter = Filter {
            status: Some(Status::Open),
            due_by: Some("2026-02-01".to_owned()),
            tag: Some("home".to_owned()),
        };
        assert!(filter.admits(&open));
        assert!(!Filter { due_by: Some("2026-01-31".to_owned()), ..filter.clone() }.admits(&open));
        assert!(!Filter { tag: Some("work".to_owned()), ..filter.clone() }.admits(&open));
        assert!(!Filter { status: Some(Status::Done), ..filter.clone() }.admits(&open));
        assert!(!filter.admits(&task(2, None, Priority::Normal, Status::Open)));
    }

    #[test]
    fn days_have_one_form_and_must_exist() {
        assert_eq!(check_day(" 2026-03-31 ").unwrap(), "2026-03-31");
        for wrong in ["2026-02-30", "tomorrow", "", "31.3.2026"] {
            assert!(check_day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_denied() {
        assert!(check_title("").is_err() && check_title("a\nb").is_err());
        assert!(check_notes(&"x".repeat(MAX_NOTES + 1)).is_err());
        assert!(normalise_tags(&["two words".to_owned()]).is_err());
    }
}
