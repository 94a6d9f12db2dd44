//! Notes for an agent, kept in the kernel's store, apart for every principal.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod note;
mod store;

use std::time::UNIX_EPOCH;

use astrid_sdk::prelude::*;
use note::Note;
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a write is tried again when somebody else was faster.
const ATTEMPTS: usize = 8;
const DEFAULT_RESULTS: usize = 20;
const MAX_RESULTS: usize = 200;

/// Arguments of `note_save`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Save {
    /// One line that says what the note is about.
    pub title: String,
    /// The note itself, plain text or Markdown, up to 512 KiB.
    pub body: String,
    /// Labels to find it by, for example `["decision", "rust"]`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The id of a note to replace. Without it, a new note is made, and its id comes from the title.
    pub id: Option<String>,
    /// With `id`: add `body` to the end of the note instead of replacing it. Default: false.
    #[serde(default)]
    pub append: bool,
}

/// Arguments of `note_get` and `note_delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ById {
    /// The note's id, as `note_list` and `note_search` show it.
    pub id: String,
}

/// Arguments of `note_list`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only notes with this tag.
    pub tag: Option<String>,
    /// At most this many, up to 200. Default: 20.
    pub limit: Option<usize>,
}

/// Arguments of `note_search`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Words that must all be in the note, in any order. Case does not matter.
    pub query: String,
    /// Only notes with this tag.
    pub tag: Option<String>,
    /// At most this many, up to 200. Default: 20.
    pub limit: Option<usize>,
}

/// A note without its body.
#[derive(Debug, Serialize)]
pub struct Summary {
    id: String,
    title: String,
    tags: Vec<String>,
    updated: String,
    snippet: String,
}

/// Some notes, and how many there are in all.
#[derive(Debug, Serialize)]
pub struct Summaries {
    notes: Vec<Summary>,
    total: usize,
}

/// What `note_save` and `note_delete` did.
#[derive(Debug, Serialize)]
pub struct Saved {
    id: String,
    done: &'static str,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Notes;

/// Notes that outlive a conversation.
#[capsule]
impl Notes {
    /// Save a note for later, or replace one by its id. Notes outlive the conversation. Do not save
    /// passwords or keys in them.
    #[astrid::tool("note_save", mutable)]
    pub fn note_save(&self, args: Save) -> Result<Saved, Refusal> {
        let title = note::check_title(&args.title)?;
        let tags = note::normalise_tags(&args.tags)?;
        note::check_body(&args.body)?;
        let now = now()?;
        match args.id {
            Some(id) => replace(&id, &title, &tags, &args.body, args.append, &now),
            None => create(&title, tags, args.body, &now),
        }
    }

    /// Read a whole note.
    #[astrid::tool("note_get")]
    pub fn note_get(&self, args: ById) -> Result<Note, Refusal> {
        note::check_id(&args.id)?;
        store::get(&args.id)?.map(|(note, _)| note).ok_or_else(|| absent(&args.id))
    }

    /// List notes, the newest first, with the beginning of each.
    #[astrid::tool("note_list")]
    pub fn note_list(&self, args: List) -> Result<Summaries, Refusal> {
        let mut notes = with_tag(store::all()?, args.tag.as_deref());
        notes.sort_by(|left, right| right.updated.cmp(&left.updated).then(left.id.cmp(&right.id)));
        Ok(summaries(&notes, args.limit, &[]))
    }

    /// Find notes by words in their titles, tags and bodies, the best match first.
    #[astrid::tool("note_search")]
    pub fn note_search(&self, args: Search) -> Result<Summaries, Refusal> {
        let words: Vec<String> = args.query.to_lowercase().split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(Refusal::new("`query` has no words; `note_list` shows every note".to_owned()));
        }
        let mut found: Vec<(u32, Note)> = with_tag(store::all()?, args.tag.as_deref())
            .into_iter()
            .map(|note| (note.score(&words), note))
            .filter(|(score, _)| *score > 0)
            .collect();
        found.sort_by(|(left, a), (right, b)| {
            right.cmp(left).then_with(|| b.updated.cmp(&a.updated)).then_with(|| a.id.cmp(&b.id))
        });
        let notes: Vec<Note> = found.into_iter().map(|(_, note)| note).collect();
        Ok(summaries(&notes, args.limit, &words))
    }

    /// Delete a note. This can't be undone.
    #[astrid::tool("note_delete", mutable)]
    pub fn note_delete(&self, args: ById) -> Result<Saved, Refusal> {
        note::check_id(&args.id)?;
        if store::get(&args.id)?.is_none() {
            return Err(absent(&args.id));
        }
        store::delete(&args.id)?;
        Ok(Saved { id: args.id, done: "deleted" })
    }
}

fn create(title: &str, tags: Vec<String>, body: String, now: &str) -> Result<Saved, Refusal> {
    let base = note::id_of(title);
    let mut note = Note {
        id: base.clone(),
        title: title.to_owned(),
        body,
        tags,
        created: now.to_owned(),
        updated: now.to_owned(),
    };
    // A second note of the same title gets a number.
    for number in 2..1000 {
        if store::put(&note, None)? {
            return Ok(Saved { id: note.id, done: "created" });
        }
        note.id = format!("{base}-{number}");
    }
    Err(Refusal::new(format!("there are too many notes with the title `{title}`")))
}

fn replace(
    id: &str,
    title: &str,
    tags: &[String],
    body: &str,
    append: bool,
    now: &str,
) -> Result<Saved, Refusal> {
    note::check_id(id)?;
    for _ in 0..ATTEMPTS {
        let (old, bytes) = store::get(id)?.ok_or_else(|| absent(id))?;
        let body = if append { format!("{}\n{body}", old.body.trim_end()) } else { body.to_owned() };
        note::check_body(&body)?;
        // Adding to a note without naming tags keeps those that it has.
        let tags = if append && tags.is_empty() { old.tags.clone() } else { tags.to_vec() };
        let note = Note { title: title.to_owned(), body, tags, updated: now.to_owned(), ..old };
        if store::put(&note, Some(&bytes))? {
            return Ok(Saved { id: note.id, done: "replaced" });
        }
    }
    Err(Refusal::new(format!("the note `{id}` is being changed by somebody else; try again")))
}

fn with_tag(notes: Vec<Note>, tag: Option<&str>) -> Vec<Note> {
    let Some(tag) = tag.map(|tag| tag.trim().trim_start_matches('#').to_lowercase()) else { return notes };
    notes.into_iter().filter(|note| note.tags.contains(&tag)).collect()
}

fn summaries(notes: &[Note], limit: Option<usize>, words: &[String]) -> Summaries {
    let limit = limit.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS);
    let shown = notes.iter().take(limit).map(|note| Summary {
        id: note.id.clone(),
        title: note.title.clone(),
        tags: note.tags.clone(),
        updated: note.updated.clone(),
        snippet: note.snippet(words),
    });
    Summaries { notes: shown.collect(), total: notes.len() }
}

fn absent(id: &str) -> Refusal {
    Refusal::new(format!("there is no note `{id}`; `note_search` and `note_list` show what there is"))
}

/// The time now, RFC 3339 in UTC, to the second.
fn now() -> Result<String, Refusal> {
    let since = time::now()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds)
        .map(|now| now.to_string())
        .map_err(|error| Refusal::new(format!("the host's clock is out of range: {error}")))
}
