//! Tasks sorted into days.

use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use refusal::Refusal;
use serde::{Deserialize, Serialize};

/// A task as its provider sends it. Fields that an agenda does not need are not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// One line.
    pub title: String,
    /// `low`, `normal` or `high`.
    #[serde(default)]
    pub priority: String,
    /// The day on which it is due.
    #[serde(default)]
    pub due: Option<String>,
}

/// The tasks of one day.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Day {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// `Monday` to `Sunday`.
    pub weekday: String,
    /// What is due.
    pub tasks: Vec<Task>,
}

/// An agenda.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Agenda {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
    /// What was due before the first day.
    pub overdue: Vec<Task>,
    /// Every day, also those without a task.
    pub days: Vec<Day>,
    /// What is due after the last day: how many tasks.
    pub later: usize,
    /// What has no day.
    pub someday: Vec<Task>,
    /// The same for people, as Markdown.
    pub text: String,
}

/// Today's date for a clock that is `offset` (such as `+01:00`) from UTC.
pub fn today(unix_seconds: i64, offset: &str) -> Result<Date, Refusal> {
    let now = Timestamp::from_second(unix_seconds)
        .map_err(|error| refuse(format!("the host's clock is out of range: {error}")))?;
    Ok(parse_offset(offset)?.to_datetime(now).date())
}

/// Reads a date that somebody wrote.
pub fn parse_date(text: &str) -> Result<Date, Refusal> {
    text.trim()
        .parse()
        .map_err(|_| refuse(format!("`{text}` is not a day; write it as YYYY-MM-DD, for example 2026-03-31")))
}

fn parse_offset(text: &str) -> Result<Offset, Refusal> {
    let wrong =
        || refuse(format!("UTC_OFFSET is `{text}`; write it as +HH:MM or -HH:MM, for example +01:00"));
    let text = text.trim();
    if text.is_empty() || text == "Z" || text.eq_ignore_ascii_case("utc") {
        return Ok(Offset::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let hours: i32 = hours.parse().map_err(|_| wrong())?;
    let minutes: i32 = minutes.parse().map_err(|_| wrong())?;
    if !(0..=14).contains(&hours) || !(0..60).contains(&minutes) {
        return Err(wrong());
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map_err(|_| wrong())
}

/// Sorts tasks into `days` days from `from` on.
pub fn plan(tasks: Vec<Task>, from: Date, days: u32) -> Result<Agenda, Refusal> {
    let out_of_range = |error: jiff::Error| refuse(format!("the days are out of range: {error}"));
    let mut found = Vec::new();
    for index in 0..days {
        let date = from.checked_add(i64::from(index).days()).map_err(out_of_range)?;
        let weekday = format!("{:?}", date.weekday());
        found.push(Day { date: date.to_string(), weekday, tasks: Vec::new() });
    }
    let to = found.last().map_or_else(|| from.to_string(), |day| day.date.clone());
    let from = from.to_string();
    let (mut overdue, mut someday, mut later) = (Vec::new(), Vec::new(), 0);
    for task in tasks {
        // Days of this form are in order as text.
        match task.due.as_deref() {
            None => someday.push(task),
            Some(due) if due < from.as_str() => overdue.push(task),
            Some(due) if due > to.as_str() => later += 1,
            Some(due) => match found.iter_mut().find(|day| day.date == due) {
                Some(day) => day.tasks.push(task),
                None => someday.push(task),
            },
        }
    }
    let text = render(&overdue, &found, later, &someday);
    Ok(Agenda { from, to, overdue, days: found, later, someday, text })
}

fn render(overdue: &[Task], days: &[Day], later: usize, someday: &[Task]) -> String {
    let mut text = String::new();
    if !overdue.is_empty() {
        section(&mut text, "Overdue", overdue, true);
    }
    for day in days {
        section(&mut text, &format!("{}, {}", day.weekday, day.date), &day.tasks, false);
    }
    if !someday.is_empty() {
        section(&mut text, "Without a day", someday, false);
    }
    if later > 0 {
        // Writing to a string can't fail.
        let _ = write!(text, "\n{later} more due later.\n");
    }
    text
}

fn section(text: &mut String, heading: &str, tasks: &[Task], with_day: bool) {
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "## {heading}");
    if tasks.is_empty() {
        text.push_str("nothing\n");
    }
    for task in tasks {
        let urgent = if task.priority == "high" { "! " } else { "" };
        let due =
            task.due.as_deref().filter(|_| with_day).map(|due| format!(" (due {due})")).unwrap_or_default();
        let _ = writeln!(text, "- {urgent}{} [{}]{due}", task.title, task.id);
    }
}

fn refuse(message: String) -> Refusal {
    Refusal::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u32, due: Option<&str>) -> Task {
        Task { id, title: format!("task {id}"), priority: "high".to_owned(), due: due.map(str::to_owned) }
    }

    #[test]
    fn every_task_lands_in_one_place() {
        let tasks = vec![
            task(1, Some("2026-03-30")),
            task(2, Some("2026-03-31")),
            task(3, Some("2026-04-01")),
            task(4, Some("2026-04-02")),
            task(5, None),
        ];
        let agenda = plan(tasks, parse_date("2026-03-31").unwrap(), 2).unwrap();
        let ids = |tasks: &[Task]| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
        assert_eq!(ids(&agenda.overdue), [1]);
        assert_eq!(ids(&agenda.days[0].tasks), [2]);
        assert_eq!(ids(&agenda.days[1].tasks), [3]);
        assert_eq!((agenda.later, ids(&agenda.someday)), (1, vec![5]));
        assert_eq!((agenda.days[0].weekday.as_str(), agenda.to.as_str()), ("Tuesday", "2026-04-01"));
    }

    #[test]
    fn the_text_reads_like_a_page() {
        let agenda = plan(vec![task(7, Some("2026-03-30"))], parse_date("2026-03-31").unwrap(), 1).unwrap();
        assert_eq!(
            agenda.text,
            "## Overdue\n- ! task 7 [7] (due 2026-03-30)\n\n## Tuesday, 2026-03-31\nnothing\n"
        );
    }

    #[test]
    fn the_offset_decides_when_a_day_begins() {
        let late_evening_utc = 1_774_998_000; // 2026-03-31T23:00:00Z
        let day = |offset| today(late_evening_utc, offset).unwrap().to_string();
        assert_eq!(day("+00:00"), "2026-03-31");
        assert_eq!(day("+01:00"), "2026-04-01");
        assert_eq!(day("-05:30"), "2026-03-31");
        assert_eq!(day(""), "2026-03-31");
    }

    #[test]
    fn wrong_days_and_offsets_denied() {
        assert!(parse_date("2026-02-30").is_err());
        for wrong in ["1", "+25:00", "+01:75", "Europe/Berlin", "+-1:00"] {
            assert!(today(0, wrong).is_err(), "{wrong}");
        }
    }
}
