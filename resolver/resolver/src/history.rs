//! What was switched, when and by whom: one line per switch, written in the same flip.

use std::path::PathBuf;

use astrid_authority::DistroId;
use astrid_store::Home;
use astrid_store::generation::{Action, GenerationNumber, Generations};
use astrid_store::writer::WriterLock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, Result};

/// How many switches are remembered. The oldest are forgotten first.
const MAX_ENTRIES: usize = 10_000;

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub action: Action,
    /// The generation of before; nothing for the first.
    pub from: Option<GenerationNumber>,
    /// The generation that it led to.
    pub to: GenerationNumber,
    /// The distro of that generation.
    pub distro: DistroId,
}

/// The file under the home that holds the switches.
pub(crate) fn file(home: &Home) -> PathBuf {
    home.var().join("history.jsonl")
}

/// All remembered switches, oldest first.
///
/// # Errors
/// When the file can't be read. A line that is none of ours is left out: history decides nothing.
pub fn history(home: &Home) -> Result<Vec<Entry>> {
    let text = match std::fs::read_to_string(file(home)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed("the history can't be read").caused_by(error)),
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The bytes of the file with one entry more.
pub(crate) fn with(home: &Home, entry: Entry) -> Result<Vec<u8>> {
    let mut entries = history(home)?;
    entries.push(entry);
    let start = entries.len().saturating_sub(MAX_ENTRIES);
    let mut bytes = Vec::new();
    for entry in entries.get(start..).unwrap_or_default() {
        serde_json::to_writer(&mut bytes, entry)
            .map_err(|error| Error::failed("the history can't be written").caused_by(error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// What a generation is, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its number.
    pub number: GenerationNumber,
    /// It is the current one.
    pub current: bool,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub action: Action,
    /// Its distro.
    pub distro: DistroId,
    /// Where the distro came from.
    pub origin: String,
    /// The generation that was current when it was made.
    pub parent: Option<GenerationNumber>,
}

/// All generations, oldest first.
///
/// # Errors
/// 84 when one is damaged.
pub fn generations(context: &Context) -> Result<Vec<Listed>> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let current = generations.current_number()?;
    let mut listed = Vec::new();
    for number in generations.list()? {
        let generation = generations.open(number)?;
        let meta = generation.meta();
        listed.push(Listed {
            number,
            current: current == Some(number),
            created: meta.created,
            by: meta.by.clone(),
            action: meta.action,
            distro: meta.distro.clone(),
            origin: meta.origin.clone(),
            parent: meta.parent,
        });
    }
    Ok(listed)
}

/// Removes old generations and keeps the newest `keep` and the current one, so that gc can take what
/// only they needed. Returns what was removed.
///
/// # Errors
/// When the operating system refuses.
pub fn prune_generations(
    context: &Context,
    keep: usize,
    writer: &WriterLock,
) -> Result<Vec<GenerationNumber>> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let current = generations.current_number()?;
    let mut numbers = generations.list()?;
    numbers.truncate(numbers.len().saturating_sub(keep.max(1)));
    numbers.retain(|number| Some(*number) != current);
    for number in &numbers {
        generations.remove(*number, writer)?;
    }
    Ok(numbers)
}
