//! The host's files, through the SDK, with refusals in words.

use std::time::UNIX_EPOCH;

use astrid_sdk::prelude::*;
use refusal::Refusal;
use serde::Serialize;
use workspace_paths::{WorkspacePath, explain, is_absent};

use crate::Changed;

/// The most entries that one listing holds.
const MAX_ENTRIES: usize = 1000;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file.
    File,
    /// A link to something else.
    Link,
    /// A device, a socket or the like.
    Other,
}

/// One entry of a listing.
#[derive(Debug, Serialize)]
pub struct Entry {
    path: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// A listing.
#[derive(Debug, Serialize)]
pub struct Listing {
    path: String,
    entries: Vec<Entry>,
    /// Whether there are more entries than a listing holds.
    truncated: bool,
}

/// What is known about a path.
#[derive(Debug, Serialize)]
pub struct Info {
    path: String,
    exists: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Seconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_unix: Option<u64>,
    /// Whether its owner may execute it.
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<bool>,
}

/// The whole file.
pub fn read(path: &WorkspacePath) -> Result<Vec<u8>, Refusal> {
    fs::read(&path.uri()).map_err(|error| explain("read", path, error))
}

/// Whether something is there.
pub fn exists(path: &WorkspacePath) -> Result<bool, Refusal> {
    fs::exists(&path.uri()).map_err(|error| explain("look at", path, error))
}

/// Replaces a file in one step, creating the folders it is in. An executable file is written in place.
pub fn replace(path: &WorkspacePath, bytes: &[u8]) -> Result<(), Refusal> {
    let act = |error| explain("write", path, error);
    if let Some(found) = metadata(path)? {
        if found.is_dir() {
            return Err(act(SysError::HostError("IsDirectory".to_owned())));
        }
        // A new file would not be executable, and there is no call that makes it so.
        if found.mode() & 0o111 != 0 {
            return fs::write(&path.uri(), bytes).map_err(act);
        }
    }
    let folder = path.parent().unwrap_or_else(WorkspacePath::root);
    create_folder(&folder)?;
    let number =
        runtime::random_bytes(8)?.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let beside = folder.join(&format!(".{}.{number:016x}.tmp", path.name()));
    fs::write(&beside.uri(), bytes).map_err(act)?;
    fs::rename(&beside.uri(), &path.uri()).map_err(|error| {
        // The half-way file is of no use to anyone; that it stays behind is the smaller problem.
        if let Err(left) = fs::remove_file(&beside.uri()) {
            log::warn(format!("{} was left behind: {left}", beside.as_str()));
        }
        act(error)
    })
}

/// Adds to a file's end, creating it and the folders it is in.
pub fn append(path: &WorkspacePath, bytes: &[u8]) -> Result<(), Refusal> {
    create_folder(&path.parent().unwrap_or_else(WorkspacePath::root))?;
    fs::append(&path.uri(), bytes).map_err(|error| explain("append to", path, error))
}

/// Creates a folder and the folders it is in.
pub fn create_folder(path: &WorkspacePath) -> Result<(), Refusal> {
    if path.is_root() {
        return Ok(());
    }
    fs::create_dir_all(&path.uri()).map_err(|error| explain("create the folder", path, error))
}

/// Checks both ends of a move or a copy and creates the folder it goes to.
pub fn prepare(from: &str, to: &str, overwrite: bool) -> Result<(WorkspacePath, WorkspacePath), Refusal> {
    let (from, to) = (WorkspacePath::parse_entry(from)?, WorkspacePath::parse_entry(to)?);
    if from.contains(&to) {
        return Err(Refusal::new(format!("`{to}` is `{from}` itself or lies in it")));
    }
    if !exists(&from)? {
        return Err(explain("read", &from, SysError::HostError("NotFound".to_owned())));
    }
    if let Some(found) = metadata(&to)? {
        if found.is_dir() {
            return Err(Refusal::new(format!(
                "`{to}` is a folder; name the new path in full, for example `{to}/{}`",
                from.name()
            )));
        }
        if !overwrite {
            return Err(Refusal::new(format!("`{to}` exists already; pass `overwrite: true` to replace it")));
        }
    }
    create_folder(&to.parent().unwrap_or_else(WorkspacePath::root))?;
    Ok((from, to))
}

/// Deletes a file, or a folder with everything in it. Returns how many entries went.
pub fn delete(path: &WorkspacePath, recursive: bool) -> Result<u64, Refusal> {
    let act = |error| explain("delete", path, error);
    let found = fs::symlink_metadata(&path.uri()).map_err(act)?;
    if !found.is_dir() {
        return fs::remove_file(&path.uri()).map(|()| 1).map_err(act);
    }
    if !recursive {
        return Err(Refusal::new(format!(
            "`{path}` is a folder; pass `recursive: true` to delete it with everything in it"
        )));
    }
    fs::remove_dir_all(&path.uri()).map_err(act)
}

/// Lists a folder, going down `depth` levels, folders before files.
pub fn list(path: &WorkspacePath, depth: usize) -> Result<Listing, Refusal> {
    let mut listing = Listing { path: path.to_string(), entries: Vec::new(), truncated: false };
    list_into(&mut listing, path, depth)?;
    Ok(listing)
}

fn list_into(listing: &mut Listing, folder: &WorkspacePath, depth: usize) -> Result<(), Refusal> {
    let names = fs::read_dir(&folder.uri()).map_err(|error| explain("list", folder, error))?;
    let mut found: Vec<(Kind, WorkspacePath, u64)> = Vec::new();
    for name in names {
        let path = folder.join(name.file_name());
        // An entry may go while the folder is listed, or be one that the host does not show.
        if let Ok(metadata) = fs::symlink_metadata(&path.uri()) {
            found.push((kind(&metadata), path, metadata.len()));
        }
    }
    found.sort();
    for (kind, path, bytes) in found {
        if listing.entries.len() == MAX_ENTRIES {
            listing.truncated = true;
            return Ok(());
        }
        let bytes = (kind == Kind::File).then_some(bytes);
        listing.entries.push(Entry { path: path.as_str().to_owned(), kind, bytes });
        if kind == Kind::Directory && depth > 1 {
            list_into(listing, &path, depth - 1)?;
        }
    }
    Ok(())
}

/// What is known about a path, also when nothing is there.
pub fn info(path: &WorkspacePath) -> Result<Info, Refusal> {
    let found = metadata(path)?;
    Ok(Info {
        path: path.to_string(),
        exists: found.is_some(),
        kind: found.as_ref().map(kind),
        bytes: found.as_ref().filter(|found| found.is_file()).map(fs::Metadata::len),
        modified_unix: found.as_ref().and_then(|found| {
            found.modified().ok()?.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
        }),
        executable: found.as_ref().filter(|found| found.is_file()).map(|found| found.mode() & 0o100 != 0),
    })
}

/// The answer of a tool that changed a file.
pub fn changed(path: &WorkspacePath) -> Result<Changed, Refusal> {
    let bytes = metadata(path)?.filter(fs::Metadata::is_file).map(|found| found.len());
    Ok(Changed { path: path.to_string(), bytes, replaced_on_lines: None, removed_entries: None })
}

fn metadata(path: &WorkspacePath) -> Result<Option<fs::Metadata>, Refusal> {
    match fs::metadata(&path.uri()) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(explain("look at", path, error)),
    }
}

fn kind(found: &fs::Metadata) -> Kind {
    if found.is_dir() {
        Kind::Directory
    } else if found.is_symlink() {
        Kind::Link
    } else if found.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}
