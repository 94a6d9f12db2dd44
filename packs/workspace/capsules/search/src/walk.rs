//! A walk over the files of the workspace that stays out of what nobody searches by hand.

use astrid_sdk::prelude::*;
use refusal::Refusal;
use workspace_paths::{WorkspacePath, explain};

/// A walk ends after this many files: an answer that takes minutes is no answer.
pub const MAX_FILES: usize = 20_000;

/// Folders of tools, with files that no person wrote.
const IGNORED: [&str; 14] = [
    ".astrid",
    ".cache",
    ".git",
    ".hg",
    ".idea",
    ".svn",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    "target",
    "vendor",
    "venv",
];

/// What a walk may enter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// Also hidden files and folders (a leading dot).
    pub hidden: bool,
    /// Also folders that tools fill, such as `target` and `node_modules`.
    pub ignored: bool,
}

impl Scope {
    fn admits(self, name: &str, is_folder: bool) -> bool {
        let is_ignored = is_folder && IGNORED.contains(&name);
        (self.ignored || !is_ignored) && (self.hidden || !name.starts_with('.') || name == ".github")
    }
}

/// What a walk calls for every file: its path and size. It says whether to go on.
pub type Visit<'a> = dyn FnMut(&WorkspacePath, u64) -> Result<bool, Refusal> + 'a;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every file was visited.
    Complete,
    /// The visitor had enough.
    Stopped,
    /// There are more files than a walk visits.
    TooMany,
}

/// Visits the files below `start` in order of their paths; `start` may be a file.
pub fn walk(start: &WorkspacePath, scope: Scope, visit: &mut Visit<'_>) -> Result<End, Refusal> {
    let found = fs::metadata(&start.uri()).map_err(|error| explain("search", start, error))?;
    if found.is_file() {
        return Ok(if visit(start, found.len())? { End::Complete } else { End::Stopped });
    }
    let mut visited = 0;
    let mut folders = vec![start.clone()];
    while let Some(folder) = folders.pop() {
        let names = match fs::read_dir(&folder.uri()) {
            Ok(names) => names,
            Err(error) if folder == *start => return Err(explain("search", start, error)),
            // A folder that went away or can't be read holds up nothing else.
            Err(_) => continue,
        };
        let mut entries: Vec<WorkspacePath> = names.map(|name| folder.join(name.file_name())).collect();
        entries.sort();
        let mut below = Vec::new();
        for entry in entries {
            // Links are not followed: no loops, and no file twice.
            let Ok(found) = fs::symlink_metadata(&entry.uri()) else { continue };
            if !scope.admits(entry.name(), found.is_dir()) {
                continue;
            }
            if found.is_dir() {
                below.push(entry);
            } else if found.is_file() {
                visited += 1;
                if visited > MAX_FILES {
                    return Ok(End::TooMany);
                }
                if !visit(&entry, found.len())? {
                    return Ok(End::Stopped);
                }
            }
        }
        folders.extend(below.into_iter().rev());
    }
    Ok(End::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_folders_and_hidden_files_are_left_out_unless_asked_for() {
        let usual = Scope::default();
        assert!(usual.admits("src", true) && usual.admits("target", false) && usual.admits(".github", true));
        assert!(!usual.admits("target", true) && !usual.admits(".env", false));
        assert!(Scope { hidden: true, ..usual }.admits(".env", false));
        assert!(!Scope { hidden: true, ..usual }.admits(".git", true));
        assert!(Scope { ignored: true, ..usual }.admits("target", true));
    }
}
