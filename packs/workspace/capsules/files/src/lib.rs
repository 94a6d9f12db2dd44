//! Files of the workspace for an agent: read, write, replace, list, move, copy, delete.
//!
//! A file is replaced in one step (written beside its place, then renamed), so that nobody ever sees
//! half of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod content;
mod disk;

use astrid_sdk::prelude::*;
use content::{Encoding, Excerpt, Range};
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use workspace_paths::WorkspacePath;

/// Arguments of `read_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Path relative to the workspace, for example `src/main.rs`.
    pub path: String,
    /// First line to return, counted from 1. Default: the first.
    pub start_line: Option<usize>,
    /// Last line to return, included. Default: the last.
    pub end_line: Option<usize>,
    /// Force `text` or `base64`. Default: text when the file is UTF-8, else base64.
    pub encoding: Option<Encoding>,
}

/// Answer of `read_file`.
#[derive(Debug, Serialize)]
pub struct FileContent {
    path: String,
    #[serde(flatten)]
    excerpt: Excerpt,
}

/// What `write_file` does with a file that exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Replace it.
    #[default]
    Overwrite,
    /// Refuse: the file must be new.
    Create,
    /// Add to its end.
    Append,
}

/// Arguments of `write_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Path relative to the workspace. Missing folders are created.
    pub path: String,
    /// The whole new content (or, with mode `append`, what to add).
    pub content: String,
    /// `overwrite` (default), `create` (fail if the file exists) or `append`.
    #[serde(default)]
    pub mode: WriteMode,
    /// How `content` is written: `text` (default) or `base64`.
    pub encoding: Option<Encoding>,
}

/// Arguments of `replace_in_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceInFile {
    /// Path relative to the workspace.
    pub path: String,
    /// The exact text to replace, white space and line ends included.
    pub old: String,
    /// The text to put in its place. May be empty.
    pub new: String,
    /// How often `old` must occur, default 1. When it occurs more or less often, nothing is changed.
    pub count: Option<usize>,
    /// Replace every occurrence, however many there are. Default: false.
    #[serde(default)]
    pub all: bool,
}

/// Arguments of `list_directory`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDirectory {
    /// Folder relative to the workspace. Default: the workspace itself.
    #[serde(default)]
    pub path: String,
    /// How many levels to go down, 1 to 5. Default: 1, the folder's own entries.
    pub depth: Option<usize>,
}

/// Arguments of tools that take one path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnePath {
    /// Path relative to the workspace.
    pub path: String,
}

/// Arguments of `move_file` and `copy_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTo {
    /// What to move or copy, relative to the workspace.
    pub from: String,
    /// Its new path, with its name. Missing folders are created.
    pub to: String,
    /// Replace a file that is there already. Default: false.
    #[serde(default)]
    pub overwrite: bool,
}

/// Arguments of `delete_file`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFile {
    /// Path relative to the workspace.
    pub path: String,
    /// Delete a folder with everything in it. Default: false, which refuses folders.
    #[serde(default)]
    pub recursive: bool,
}

/// What a change did.
#[derive(Debug, Serialize)]
pub struct Changed {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_on_lines: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_entries: Option<u64>,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Files;

/// Read and change files of the workspace.
#[capsule]
impl Files {
    /// Read a file of the workspace, or a range of its lines. Text comes as it is; anything else comes
    /// as Base64. An answer holds at most 256 KiB: `truncated` says that there is more, and
    /// `last_line` where to go on.
    #[astrid::tool("read_file")]
    pub fn read_file(&self, args: ReadFile) -> Result<FileContent, Refusal> {
        let path = WorkspacePath::parse_entry(&args.path)?;
        let bytes = disk::read(&path)?;
        let range = Range { start: args.start_line, end: args.end_line };
        let excerpt = content::excerpt(&bytes, range, args.encoding)?;
        Ok(FileContent { path: path.to_string(), excerpt })
    }

    /// Write a whole file of the workspace in one step: readers see the old content or the new one.
    /// Missing folders are created. To change a part of a file, use `replace_in_file`.
    #[astrid::tool("write_file", mutable)]
    pub fn write_file(&self, args: WriteFile) -> Result<Changed, Refusal> {
        let path = WorkspacePath::parse_entry(&args.path)?;
        let bytes = content::decode(&args.content, args.encoding.unwrap_or(Encoding::Text))?;
        match args.mode {
            WriteMode::Create if disk::exists(&path)? => {
                return Err(Refusal::new(format!(
                    "`{path}` exists already; use the mode `overwrite` to replace it"
                )));
            }
            WriteMode::Overwrite | WriteMode::Create => disk::replace(&path, &bytes)?,
            WriteMode::Append => disk::append(&path, &bytes)?,
        }
        disk::changed(&path)
    }

    /// Replace a piece of text in a file. The piece must occur exactly `count` times (default 1), so
    /// give enough of its surroundings to make it unique; otherwise nothing is changed.
    #[astrid::tool("replace_in_file", mutable)]
    pub fn replace_in_file(&self, args: ReplaceInFile) -> Result<Changed, Refusal> {
        let path = WorkspacePath::parse_entry(&args.path)?;
        let text = String::from_utf8(disk::read(&path)?).map_err(|_| {
            Refusal::new(format!("`{path}` is not UTF-8 text, so there is no text to replace"))
        })?;
        let expected = (!args.all).then_some(args.count.unwrap_or(1));
        let replaced = content::replace(&text, &args.old, &args.new, expected)?;
        disk::replace(&path, replaced.text.as_bytes())?;
        Ok(Changed { replaced_on_lines: Some(replaced.lines), ..disk::changed(&path)? })
    }

    /// List a folder of the workspace: names, kinds and sizes, folders first. At most 1000 entries.
    #[astrid::tool("list_directory")]
    pub fn list_directory(&self, args: ListDirectory) -> Result<disk::Listing, Refusal> {
        let path = WorkspacePath::parse(&args.path)?;
        disk::list(&path, args.depth.unwrap_or(1).clamp(1, 5))
    }

    /// Create a folder of the workspace and the folders it is in. A folder that exists is left alone.
    #[astrid::tool("create_directory", mutable)]
    pub fn create_directory(&self, args: OnePath) -> Result<Changed, Refusal> {
        let path = WorkspacePath::parse_entry(&args.path)?;
        disk::create_folder(&path)?;
        Ok(Changed { path: path.to_string(), bytes: None, replaced_on_lines: None, removed_entries: None })
    }

    /// Move or rename a file or a folder within the workspace.
    #[astrid::tool("move_file", mutable)]
    pub fn move_file(&self, args: FromTo) -> Result<Changed, Refusal> {
        let (from, to) = disk::prepare(&args.from, &args.to, args.overwrite)?;
        fs::rename(&from.uri(), &to.uri()).map_err(|error| workspace_paths::explain("move", &from, error))?;
        disk::changed(&to)
    }

    /// Copy a file within the workspace. Folders are not copied.
    #[astrid::tool("copy_file", mutable)]
    pub fn copy_file(&self, args: FromTo) -> Result<Changed, Refusal> {
        let (from, to) = disk::prepare(&args.from, &args.to, args.overwrite)?;
        fs::copy(&from.uri(), &to.uri()).map_err(|error| workspace_paths::explain("copy", &from, error))?;
        disk::changed(&to)
    }

    /// Delete a file, or with `recursive: true` a folder and everything in it. This can't be undone.
    #[astrid::tool("delete_file", mutable)]
    pub fn delete_file(&self, args: DeleteFile) -> Result<Changed, Refusal> {
        let path = WorkspacePath::parse_entry(&args.path)?;
        let removed = disk::delete(&path, args.recursive)?;
        Ok(Changed {
            path: path.to_string(),
            bytes: None,
            replaced_on_lines: None,
            removed_entries: Some(removed),
        })
    }

    /// Say whether a path exists, what it is, how large it is and when it was changed.
    #[astrid::tool("file_info")]
    pub fn file_info(&self, args: OnePath) -> Result<disk::Info, Refusal> {
        disk::info(&WorkspacePath::parse(&args.path)?)
    }
}
