//! The switch from one generation to another, and what to do when it was cut short.
//!
//! A switch touches more than one place: the packs root's links, files that come with the fleet, and
//! `generations/current`. The journal says, before anything is touched, what is about to happen. The flip of
//! `current` is the commit: found undone, everything before it is undone; found done, everything after it is
//! finished. Each step may be repeated, so that recovery itself may be cut short.
//!
//! Order: links of new packs (they lead nowhere until the flip) · the flip · its line in the history · files into
//! their place · links of packs that are gone.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use astrid_authority::PackId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::{Result, StoreError};
use crate::generation::{Action, GenerationNumber, Generations, Switched};
use crate::home::{Home, read_optional};
use crate::writer::WriterLock;

const FORMAT_VERSION: u32 = 1;

/// A file that was written to [`Home::staging`], and goes into its place with the switch.
///
/// Its bytes are not in the journal, so that they may be private.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedFile {
    /// Its name in [`Home::staging`].
    name: String,
    /// Where it goes, below the home.
    target: PathBuf,
}

/// One step of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// Make the links that serve a pack.
    LinkPack(PackId),
    /// Flip `generations/current`: the commit.
    Flip,
    /// Add a line to `generations/history.jsonl`.
    Note(Switched),
    /// Move a staged file into its place.
    Place(StagedFile),
    /// Remove the links of a pack that is gone.
    UnlinkPack(PackId),
}

/// What a switch is about to do, as it lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format_version: u32,
    from: Option<GenerationNumber>,
    to: Option<GenerationNumber>,
    steps: Vec<Step>,
}

/// What was found and done about a switch that was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// No switch was under way.
    Nothing,
    /// The switch had happened, and was finished: this is the current generation.
    Finished(Option<GenerationNumber>),
    /// The switch had not happened, and was undone: this is the current generation.
    Undone(Option<GenerationNumber>),
}

impl Recovered {
    /// The generation that is current now, when a switch was under way.
    pub fn current(self) -> Option<GenerationNumber> {
        match self {
            Self::Nothing => None,
            Self::Finished(number) | Self::Undone(number) => number,
        }
    }
}

/// A switch that failed, and how things are now.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{}", match .recovered {
    Some(Recovered::Finished(_)) => "; the new generation is in force",
    Some(_) => "; nothing was changed",
    None => "; recovery failed as well, and is tried again by the next command that writes",
})]
pub struct SwitchError {
    /// What failed first.
    #[source]
    pub cause: StoreError,
    /// What recovery did; `None` when it failed as well.
    pub recovered: Option<Recovered>,
}

impl From<StoreError> for SwitchError {
    /// A failure before anything was touched.
    fn from(cause: StoreError) -> Self {
        Self { cause, recovered: Some(Recovered::Nothing) }
    }
}

/// A switch to another generation, to be carried out by [`Switch::commit`].
#[derive(Debug)]
#[must_use = "nothing happens before `commit`"]
pub struct Switch<'a> {
    home: &'a Home,
    disk: &'a Disk,
    _writer: &'a WriterLock,
    to: Option<GenerationNumber>,
    note: Option<(Timestamp, String, Action)>,
    files: Vec<StagedFile>,
}

impl<'a> Switch<'a> {
    /// A switch from whatever is current to `to`; `None` leaves the home without a generation.
    pub fn new(home: &'a Home, disk: &'a Disk, writer: &'a WriterLock, to: Option<GenerationNumber>) -> Self {
        Self { home, disk, _writer: writer, to, note: None, files: Vec::new() }
    }

    /// Says when, by whom and why, for the history; without it the history does not tell of this switch.
    pub fn note(mut self, at: Timestamp, by: impl Into<String>, action: Action) -> Self {
        self.note = Some((at, by.into(), action));
        self
    }

    /// Adds a file that appears at `target`, a path below the home, with the switch.
    ///
    /// # Errors
    /// When `target` is not below the home, or the operating system refuses.
    pub fn place(&mut self, target: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let target = target.strip_prefix(self.home.root()).unwrap_or(target);
        check_target(target)?;
        let staging = self.home.staging();
        self.disk.create_dir(&staging, 0o700)?;
        let name = format!("{}", self.files.len());
        self.disk.write_atomic(&staging.join(&name), bytes, mode)?;
        self.files.push(StagedFile { name, target: target.to_owned() });
        Ok(())
    }

    /// Carries the switch out: afterwards either the old generation or the new one is current, never a mixture.
    ///
    /// Call [`recover`] first in each process that writes.
    ///
    /// # Errors
    /// When a place is taken by something that Astrid did not make, or a step fails; the error says how things are.
    pub fn commit(self) -> Result<(), SwitchError> {
        let generations = Generations::new(self.home.clone(), self.disk.clone());
        let from = generations.current_number()?;
        let record = self.record(&generations, from)?;
        check_links(self.home, &record)?;
        let done = write(self.home, self.disk, &record).and_then(|()| finish(self.home, self.disk, &record));
        done.map_err(|cause| {
            let recovered = recover_unlocked(self.home, self.disk).ok().map(|recovered| {
                // The journal was ended already, and only the cleaning up behind it failed.
                let done =
                    from != self.to && generations.current_number().is_ok_and(|number| number == self.to);
                if recovered == Recovered::Nothing && done { Recovered::Finished(self.to) } else { recovered }
            });
            SwitchError { cause, recovered }
        })
    }

    fn record(&self, generations: &Generations, from: Option<GenerationNumber>) -> Result<Record> {
        let new = packs_of(generations, self.to)?;
        // A generation that is gone or damaged must not stop the switch to a good one.
        let old = packs_of(generations, from).unwrap_or_default();
        let mut steps: Vec<Step> = new.iter().cloned().map(Step::LinkPack).collect();
        steps.push(Step::Flip);
        steps.extend(
            self.note
                .clone()
                .map(|(at, by, action)| Step::Note(Switched { at, by, action, from, to: self.to })),
        );
        steps.extend(self.files.iter().cloned().map(Step::Place));
        steps.extend(old.difference(&new).cloned().map(Step::UnlinkPack));
        Ok(Record { format_version: FORMAT_VERSION, from, to: self.to, steps })
    }
}

fn packs_of(generations: &Generations, number: Option<GenerationNumber>) -> Result<BTreeSet<PackId>> {
    let Some(number) = number else { return Ok(BTreeSet::new()) };
    Ok(generations.open(number)?.inventory()?.packs.into_keys().collect())
}

fn check_target(target: &Path) -> Result<()> {
    let inside = target.components().all(|part| matches!(part, Component::Normal(_)));
    if inside && target.parent().is_some() {
        Ok(())
    } else {
        Err(StoreError::refused(target.display().to_string(), "is not a path below the home"))
    }
}

/// Whether a link is ours: it points where we make it point.
fn ours(link: &Path, target: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|found| found == target)
}

fn links(home: &Home, pack: &PackId) -> [(PathBuf, PathBuf); 2] {
    [
        (home.pack_active(pack), home.pack_active_target(pack)),
        (home.pack_records(pack), home.pack_records_target(pack)),
    ]
}

/// Refuses to take the place of what Astrid did not make.
fn check_links(home: &Home, record: &Record) -> Result<()> {
    for step in &record.steps {
        let Step::LinkPack(pack) = step else { continue };
        for (link, target) in links(home, pack) {
            if std::fs::symlink_metadata(&link).is_ok() && !ours(&link, &target) {
                return Err(StoreError::Foreign(link));
            }
        }
    }
    Ok(())
}

fn write(home: &Home, disk: &Disk, record: &Record) -> Result<()> {
    let path = home.journal();
    let bytes = serde_json::to_vec_pretty(record).map_err(|error| StoreError::corrupt(&path, error))?;
    disk.write_atomic(&path, &bytes, 0o600)
}

/// Does what is left to do, in order, and ends the journal.
fn finish(home: &Home, disk: &Disk, record: &Record) -> Result<()> {
    for step in &record.steps {
        match step {
            Step::LinkPack(pack) => link_pack(home, disk, pack)?,
            Step::Flip => match record.to {
                Some(number) => disk.symlink_atomic(Path::new(&number.to_string()), &home.current())?,
                None => disk.remove_file(&home.current())?,
            },
            Step::Note(switched) => note(home, disk, switched)?,
            Step::Place(file) => place(home, disk, file)?,
            Step::UnlinkPack(pack) => unlink_pack(home, disk, pack)?,
        }
    }
    end(home, disk)
}

/// Takes back what happened before the flip, in reverse order, and ends the journal.
fn undo(home: &Home, disk: &Disk, record: &Record) -> Result<()> {
    let generations = Generations::new(home.clone(), disk.clone());
    // If the old generation can't be read, links that it may need are left: they harm nothing.
    let old = packs_of(&generations, record.from);
    for step in record.steps.iter().rev() {
        if let (Step::LinkPack(pack), Ok(old)) = (step, &old)
            && !old.contains(pack)
        {
            unlink_pack(home, disk, pack)?;
        }
    }
    end(home, disk)
}

fn end(home: &Home, disk: &Disk) -> Result<()> {
    disk.remove_file(&home.journal())?;
    // Only now: until the journal is gone, recovery may still want the staged files.
    disk.remove_tree(&home.staging())
}

/// The file is rewritten as a whole: a torn line can't be, and a line that is there is not added again.
fn note(home: &Home, disk: &Disk, switched: &Switched) -> Result<()> {
    let path = home.history();
    let line = serde_json::to_vec(switched).map_err(|error| StoreError::corrupt(&path, error))?;
    let mut history = read_optional(&path)?.unwrap_or_default();
    if history.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()) == Some(&line) {
        return Ok(());
    }
    history.extend_from_slice(&line);
    history.push(b'\n');
    disk.write_atomic(&path, &history, 0o600)
}

fn link_pack(home: &Home, disk: &Disk, pack: &PackId) -> Result<()> {
    disk.create_dir(&home.pack(pack), 0o755)?;
    for (link, target) in links(home, pack) {
        if ours(&link, &target) {
            continue;
        }
        if std::fs::symlink_metadata(&link).is_ok() {
            return Err(StoreError::Foreign(link));
        }
        disk.symlink_atomic(&target, &link)?;
    }
    Ok(())
}

fn unlink_pack(home: &Home, disk: &Disk, pack: &PackId) -> Result<()> {
    for (link, target) in links(home, pack) {
        if ours(&link, &target) {
            disk.remove_file(&link)?;
        }
    }
    let folder = home.pack(pack);
    remove_leftover_links(disk, &folder)?;
    disk.remove_empty_dir(&folder).map(|_| ())
}

/// Removes links that a crash left beside their place.
fn remove_leftover_links(disk: &Disk, folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let leftover = entry.file_name().to_string_lossy().starts_with(crate::disk::TEMPORARY_PREFIX);
        if leftover && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            disk.remove_file(&entry.path())?;
        }
    }
    Ok(())
}

fn place(home: &Home, disk: &Disk, file: &StagedFile) -> Result<()> {
    check_target(&file.target)?;
    check_target(Path::new(&file.name))?;
    let staged = home.staging().join(&file.name);
    let target = home.root().join(&file.target);
    if !staged.is_file() {
        // It is in its place already: a switch that was cut short is being finished.
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        disk.create_dir(folder, 0o700)?;
    }
    disk.rename(&staged, &target)
}

/// Whether a switch was cut short, without doing anything about it: what a command that only reads may say.
pub fn is_pending(home: &Home) -> bool {
    home.journal().exists()
}

/// Finishes or undoes a switch that was cut short. May be cut short itself and called again.
///
/// # Errors
/// When the journal is damaged, or the operating system refuses.
pub fn recover(home: &Home, disk: &Disk, _writer: &WriterLock) -> Result<Recovered> {
    recover_unlocked(home, disk)
}

fn recover_unlocked(home: &Home, disk: &Disk) -> Result<Recovered> {
    let path = home.journal();
    let Some(bytes) = read_optional(&path)? else {
        if home.staging().exists() {
            disk.remove_tree(&home.staging())?;
        }
        return Ok(Recovered::Nothing);
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
        StoreError::corrupt(
            &path,
            format!("{error}; `generations/current` is whole, so remove this file and run `astrid apply`"),
        )
    })?;
    if record.format_version != FORMAT_VERSION {
        return Err(StoreError::corrupt(&path, "a newer version wrote it; use that version to recover"));
    }
    let generations = Generations::new(home.clone(), disk.clone());
    let current = generations.current_number()?;
    // A switch to the generation that is current repairs links and files: it is always finished.
    if current == record.to {
        finish(home, disk, &record)?;
        Ok(Recovered::Finished(current))
    } else {
        undo(home, disk, &record)?;
        Ok(Recovered::Undone(current))
    }
}
