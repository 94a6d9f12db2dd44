//! A pack that is a folder on disk, checked whole: every complaint about every file at once.
//!
//! No link is followed, and nothing of the pack is run. What is refused here is what would be refused when the
//! folder is taken into the store.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_manifest::MAX_FILE_BYTES;
use astrid_manifest::diagnostic::{Diagnostic, Diagnostics};
use astrid_manifest::pack::contents::{Contents, Files};
use astrid_store::read::{is_left_out, read_one};
use astrid_store::tree::{Limits, TreeEntry, TreePath};
use astrid_store::{StoreError, Tree};

use crate::error::Result;

/// More entries that have no place in a pack than this help nobody.
const MAX_REFUSED: usize = 100;

/// What checking a folder found.
#[derive(Debug)]
pub struct Checked {
    /// The pack, unless an error was found.
    pub contents: Option<Contents>,
    /// Errors and warnings.
    pub complaints: Diagnostics,
}

/// Checks the pack in `root`, whose files people know below `shown`.
///
/// # Errors
/// `Failed` when something can't be read; what is wrong with the pack is in the result.
pub fn check(root: &Path, shown: &str) -> Result<Checked> {
    let mut folder =
        Folder { root, shown, paths: BTreeSet::new(), refused: Vec::new(), failed: RefCell::default() };
    let limits = Limits::default();
    folder.list(&limits)?;
    let read = Contents::read(&folder);
    if let Some(failure) = folder.failed.take() {
        return Err(failure.into());
    }
    let (contents, found) = match read {
        Ok(parsed) => (Some(parsed.value), parsed.warnings),
        Err(complaints) => (None, complaints),
    };
    let mut complaints: Vec<Diagnostic> = found.into_iter().collect();
    if let Some(contents) = &contents {
        let name = fs::canonicalize(root).map_err(unreadable("read", root))?;
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        complaints.extend(contents.folder_complaint(&folder, &name));
    }
    complaints.append(&mut folder.refused);
    let complaints = Diagnostics::new(complaints);
    Ok(Checked { contents: contents.filter(|_| !complaints.has_errors()), complaints })
}

/// A folder and what is in it.
struct Folder<'a> {
    root: &'a Path,
    shown: &'a str,
    paths: BTreeSet<TreePath>,
    refused: Vec<Diagnostic>,
    failed: RefCell<Option<StoreError>>,
}

impl Folder<'_> {
    fn refuse(&mut self, path: &str, rule: &'static str, message: impl Into<String>) {
        if self.refused.len() < MAX_REFUSED {
            let shown = self.shown(&path.escape_debug().to_string());
            self.refused.push(Diagnostic::of_file(&shown, rule, message));
        }
    }

    /// Lists the files, and complains about everything that has no place in a pack.
    fn list(&mut self, limits: &Limits) -> Result<()> {
        let mut entries: Vec<TreeEntry> = Vec::new();
        let mut total = 0_u64;
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let here: PathBuf = self.root.join(&folder);
            for entry in fs::read_dir(&here).map_err(unreadable("read the folder", &here))? {
                let entry = entry.map_err(unreadable("read the folder", &here))?;
                let raw = entry.file_name();
                let Some(name) = raw.to_str() else {
                    let path = within(&folder, &raw.to_string_lossy());
                    self.refuse(&path, "file-name", "the name is not UTF-8");
                    continue;
                };
                if is_left_out(name) {
                    continue;
                }
                let path = within(&folder, name);
                let parsed: TreePath = match path.parse() {
                    Ok(parsed) => parsed,
                    Err(error) => {
                        self.refuse(&path, "file-name", rule_of(&error));
                        continue;
                    }
                };
                let kind = entry.file_type().map_err(unreadable("read", &entry.path()))?;
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                if kind.is_symlink() {
                    self.refuse(&path, "link", LINK);
                    continue;
                }
                let metadata =
                    fs::symlink_metadata(entry.path()).map_err(unreadable("read", &entry.path()))?;
                if !metadata.is_file() {
                    self.refuse(&path, "file-kind", "a pack holds regular files only");
                    continue;
                }
                if metadata.nlink() > 1 {
                    self.refuse(&path, "link", "it is a hard link; copy the file instead of linking it");
                }
                total = total.saturating_add(metadata.len());
                if metadata.len() > limits.file_bytes {
                    self.refuse(&path, "too-large", format!("it is larger than {} bytes", limits.file_bytes));
                }
                let executable = metadata.mode() & 0o100 != 0;
                entries.push(TreeEntry {
                    path: parsed.clone(),
                    length: metadata.len(),
                    blob: Digest::of(b""),
                    executable,
                });
                self.paths.insert(parsed);
                if entries.len() > limits.entries {
                    self.refuse(&path, "too-many", format!("a pack has at most {} files", limits.entries));
                    return Ok(());
                }
            }
        }
        if total > limits.total_bytes {
            self.refuse("", "too-large", format!("the pack is larger than {} bytes", limits.total_bytes));
        }
        // Names that are one on some machines.
        if let Err(error) = Tree::new(entries) {
            self.refuse("", "file-name", error.to_string());
        }
        Ok(())
    }
}

fn unreadable(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

const LINK: &str = "it is a symbolic link; a pack holds regular files, so put the file itself there";

fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn rule_of(error: &StoreError) -> String {
    match error {
        StoreError::Refused { rule, .. } => rule.clone(),
        other => other.to_string(),
    }
}

impl Files for Folder<'_> {
    fn paths(&self) -> Vec<String> {
        self.paths.iter().map(ToString::to_string).collect()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.paths.get(path)?;
        // One byte more than is read of a manifest: it is the reader that says so.
        let limits = Limits { file_bytes: MAX_FILE_BYTES as u64 + 1, ..Limits::default() };
        match read_one(self.root, path, &limits) {
            Ok(bytes) => Some(bytes),
            // A link or a size, and so a complaint.
            Err(StoreError::Refused { .. }) => None,
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    fn length(&self, path: &str) -> Option<u64> {
        fs::symlink_metadata(self.root.join(path)).ok().map(|metadata| metadata.len())
    }

    fn shown(&self, path: &str) -> String {
        match (self.shown, path) {
            ("" | ".", "") => ".".to_owned(),
            ("" | ".", path) => path.to_owned(),
            (shown, "") => shown.to_owned(),
            (shown, path) => format!("{}/{path}", shown.trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const PACK: &str = "schema_version: 1\nid: media\nname: Media\nversion: 1.0.0\n";

    fn pack() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("media");
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("pack.yaml"), PACK).unwrap();
        (folder, root)
    }

    fn rules(root: &Path) -> Vec<(String, &'static str)> {
        let checked = check(root, "media").unwrap();
        assert_eq!(checked.contents.is_some(), !checked.complaints.has_errors());
        checked.complaints.iter().map(|one| (one.file.clone(), one.rule)).collect()
    }

    #[test]
    fn a_folder_is_read() {
        let (_folder, root) = pack();
        fs::create_dir(root.join(".git")).unwrap();
        symlink("/etc/passwd", root.join(".git/link")).unwrap();
        assert_eq!(rules(&root), []);
    }

    #[test]
    fn links_are_refused_wherever_they_are_denied() {
        let (folder, root) = pack();
        fs::write(folder.path().join("other"), PACK).unwrap();
        symlink("../../other", root.join("lib/a")).unwrap();
        symlink("nowhere", root.join("b")).unwrap();
        symlink("..", root.join("c")).unwrap();
        fs::hard_link(folder.path().join("other"), root.join("lib/d")).unwrap();
        let link = |file: &str| (format!("media/{file}"), "link");
        assert_eq!(rules(&root), [link("b"), link("c"), link("lib/a"), link("lib/d")]);
    }

    #[test]
    fn a_manifest_that_is_a_link_is_denied() {
        let (folder, root) = pack();
        fs::rename(root.join("pack.yaml"), folder.path().join("pack.yaml")).unwrap();
        symlink("../pack.yaml", root.join("pack.yaml")).unwrap();
        let found = rules(&root);
        assert!(found.contains(&("media/pack.yaml".to_owned(), "link")), "{found:?}");
        assert!(found.contains(&("media/pack.yaml".to_owned(), "no-manifest")), "{found:?}");
    }

    #[test]
    fn names_that_collide_or_mislead_are_denied() {
        let (_folder, root) = pack();
        fs::write(root.join("a\\b"), "").unwrap();
        fs::write(root.join("README"), "").unwrap();
        fs::write(root.join("readme"), "").unwrap();
        let found = rules(&root);
        assert_eq!(found.iter().filter(|(_, rule)| *rule == "file-name").count(), 2, "{found:?}");
    }

    #[test]
    fn the_folder_is_called_as_the_pack_denied() {
        let (folder, root) = pack();
        let other = folder.path().join("other");
        fs::rename(&root, &other).unwrap();
        assert_eq!(rules(&other), [("media/pack.yaml".to_owned(), "folder-name")]);
    }
}
