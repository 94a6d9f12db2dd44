//! Where packs are looked for: layers, in one order.

use std::fs;
use std::path::{Path, PathBuf};

use astrid_manifest::pack::FILE_NAMES;
use astrid_store::read::is_left_out;
use serde::Serialize;

use super::Wanted;
use crate::error::{Error, ErrorKind, Result};

/// Most entries of one root that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Most roots.
const MAX_ROOTS: usize = 64;

/// A layer, in the order in which they are looked at: an earlier one hides the same id of a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The project: itself, when it is a pack, and its `packs/`.
    Source,
    /// The project's pack `local`.
    Local,
    /// Folders that the caller names.
    Extra,
    /// Folders that the environment names.
    Env,
    /// What is installed.
    Installed,
}

impl SourceKind {
    /// The layer as documents write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Local => "local",
            Self::Extra => "extra",
            Self::Env => "env",
            Self::Installed => "installed",
        }
    }
}

/// A root of a layer, with the folders in it that may be packs.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) kind: SourceKind,
    pub(super) candidates: Vec<Candidate>,
}

/// A folder that holds a pack's manifest, or a link where one could be.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) folder: PathBuf,
    pub(super) is_link: bool,
}

/// The roots of every layer but the installed one, in order, each where its `priority_index` says. Notes are
/// about folders of the environment that are not there.
pub(super) fn roots(wanted: &Wanted<'_>, notes: &mut Vec<String>) -> Result<Vec<Root>> {
    if wanted.extra.len() + wanted.environment.len() > MAX_ROOTS {
        return Err(Error::new(ErrorKind::Usage, format!("more than {MAX_ROOTS} folders of packs")));
    }
    let project = named(wanted.project)?.ok_or_else(|| no_folder(wanted.project))?;
    let mut source: Vec<Candidate> = candidate(&project)?.into_iter().collect();
    source.extend(children(&project.join("packs"))?.unwrap_or_default());
    let local = candidate(&project.join("local"))?.into_iter().collect();
    let mut found = vec![
        Root { kind: SourceKind::Source, candidates: source },
        Root { kind: SourceKind::Local, candidates: local },
    ];
    for folder in wanted.extra {
        let candidates = in_root(folder)?.ok_or_else(|| no_folder(folder))?;
        found.push(Root { kind: SourceKind::Extra, candidates });
    }
    for folder in wanted.environment {
        let candidates = in_root(folder)?.unwrap_or_else(|| {
            notes.push(format!("{} of the environment is no folder", folder.display()));
            Vec::new()
        });
        found.push(Root { kind: SourceKind::Env, candidates });
    }
    Ok(found)
}

fn no_folder(folder: &Path) -> Error {
    Error::new(ErrorKind::Usage, format!("`{}` is no folder", folder.display()))
        .hint("name a pack's folder, or a folder of packs")
}

/// A root is a pack, or holds packs. Nothing when it is no folder.
fn in_root(folder: &Path) -> Result<Option<Vec<Candidate>>> {
    let Some(folder) = named(folder)? else { return Ok(None) };
    match candidate(&folder)? {
        Some(own) => Ok(Some(vec![own])),
        None => children(&folder),
    }
}

/// A folder that a person named: a link is theirs, so it is what it leads to. Below it, no link is followed.
fn named(folder: &Path) -> Result<Option<PathBuf>> {
    Ok(optional(fs::canonicalize(folder), folder)?.filter(|folder| folder.is_dir()))
}

/// The folder, when it holds a manifest, or a link that stands there.
fn candidate(folder: &Path) -> Result<Option<Candidate>> {
    let Some(metadata) = optional(fs::symlink_metadata(folder), folder)? else { return Ok(None) };
    if metadata.is_symlink() {
        // Whether it leads to a pack is not looked at: that would be following it.
        return Ok(Some(Candidate { folder: folder.to_owned(), is_link: true }));
    }
    if !metadata.is_dir() {
        return Ok(None);
    }
    for name in FILE_NAMES {
        let file = folder.join(name);
        if optional(fs::symlink_metadata(&file), &file)?.is_some() {
            return Ok(Some(Candidate { folder: folder.to_owned(), is_link: false }));
        }
    }
    Ok(None)
}

/// The packs directly below a folder, by name. Nothing when it is no folder.
fn children(folder: &Path) -> Result<Option<Vec<Candidate>>> {
    if !optional(fs::symlink_metadata(folder), folder)?.is_some_and(|metadata| metadata.is_dir()) {
        return Ok(None);
    }
    let failed = |error| unreadable(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if names.len() >= MAX_ENTRIES {
            return Err(Error::invalid(format!(
                "{} holds more than {MAX_ENTRIES} entries",
                folder.display()
            )));
        }
        let hidden = name.to_str().is_some_and(|name| name.starts_with('.') || is_left_out(name));
        if !hidden {
            names.push(name);
        }
    }
    names.sort();
    let mut found = Vec::new();
    for name in names {
        found.extend(candidate(&folder.join(name))?);
    }
    Ok(Some(found))
}

fn optional<T>(result: std::io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(unreadable(path, error)),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::failed(format!("{} can't be read", path.display())).caused_by(error)
}
