//! Notes in the kernel's store. Two writers at once never lose a note: every write names what it replaces.

use astrid_sdk::prelude::*;
use refusal::Refusal;

use crate::note::Note;

const PREFIX: &str = "note:";
const PAGE: u32 = 256;

/// The note `id` and its bytes as they are stored; `None` when there is none.
pub fn get(id: &str) -> Result<Option<(Note, Vec<u8>)>, Refusal> {
    match kv::get_bytes_opt(&key(id))? {
        Some(bytes) => Ok(Some((serde_json::from_slice(&bytes)?, bytes))),
        None => Ok(None),
    }
}

/// Stores a note in the place of `before`. False when somebody else was faster.
pub fn put(note: &Note, before: Option<&[u8]>) -> Result<bool, Refusal> {
    Ok(kv::cas(&key(&note.id), before, &serde_json::to_vec(note)?)?)
}

/// Deletes the note `id`.
pub fn delete(id: &str) -> Result<(), Refusal> {
    Ok(kv::delete(&key(id))?)
}

/// Every note, in no particular order. One that can't be read is left out and logged.
pub fn all() -> Result<Vec<Note>, Refusal> {
    let mut notes = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = kv::list_keys_page(PREFIX, cursor.as_deref(), PAGE)?;
        for key in &page.keys {
            let Some(bytes) = kv::get_bytes_opt(key)? else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(note) => notes.push(note),
                Err(error) => log::warn(format!("{key} is not a note: {error}")),
            }
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(notes),
        }
    }
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}
