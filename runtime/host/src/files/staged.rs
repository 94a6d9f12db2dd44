//! A copy of a principal's home that lifecycle hooks change, and the way back.
//!
//! An apply that fails must leave no trace in the home. So hooks see a copy; when the apply
//! switches, what they changed in the copy is changed in the home, and nothing else is touched.
//! Logs and temporary files are not copied.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use astrid_authority::{Digest, PrincipalId};

/// Most bytes of a home that is copied.
const MAX_BYTES: u64 = 256 << 20;
/// Most files and folders of a home that is copied.
const MAX_ENTRIES: usize = 20_000;
/// Deepest folder of a home that is copied.
const MAX_DEPTH: usize = 64;
/// What is left out, below the home.
const LEFT_OUT: [&str; 2] = [".local/log", ".local/tmp"];

/// Why a home could not be copied or changed.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// It is too large.
    #[error(
        "the home of `{0}` has more than {MAX_ENTRIES} entries or {MAX_BYTES} bytes: lifecycle hooks can't work on a copy of it"
    )]
    TooLarge(PrincipalId),
    /// Something in it is no file, folder or link.
    #[error("{} is neither a file, a folder nor a link", .0.display())]
    Kind(PathBuf),
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Folder,
    File { content: Digest, mode: u32 },
    Link(PathBuf),
}

/// A home that is staged. Dropping it forgets the copy.
pub struct StagedHome {
    home: PathBuf,
    staging: Temporary,
    principal: PrincipalId,
    before: BTreeMap<PathBuf, Entry>,
}

/// A folder that is removed when it is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a staged home is left over");
        }
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, StagingError> {
    result.map_err(|error| StagingError::Io { path: path.to_path_buf(), error })
}

impl StagedHome {
    /// Copies the home of `principal` in `principals` to a new folder `staging`, in which it is
    /// found under the principal's name as in the original.
    ///
    /// # Errors
    /// When the home is missing, too large or holds a device, `staging` is there already, or the
    /// disk fails.
    pub fn begin(principals: &Path, principal: &PrincipalId, staging: &Path) -> Result<Self, StagingError> {
        let home = principals.join(principal.as_str());
        at(staging, fs::DirBuilder::new().mode(0o700).create(staging))?;
        let staging = Temporary(staging.to_path_buf());
        let copy = staging.0.join(principal.as_str());
        let before = scan(&home, principal)?;
        at(&copy, fs::DirBuilder::new().mode(0o700).create(&copy))?;
        for (path, entry) in &before {
            place(&home.join(path), &copy.join(path), entry)?;
        }
        Ok(Self { home, staging, principal: principal.clone(), before })
    }

    /// The folder to give to [`super::Roots`] in place of the one with the real homes.
    pub fn principals(&self) -> &Path {
        &self.staging.0
    }

    /// Makes the changes of the copy in the home: each file at once, one after another.
    ///
    /// # Errors
    /// When the disk fails; then some of the changes may have been made.
    pub fn commit(self) -> Result<(), StagingError> {
        let copy = self.staging.0.join(self.principal.as_str());
        let after = scan(&copy, &self.principal)?;
        for (path, entry) in &after {
            if self.before.get(path) != Some(entry) {
                if self.before.get(path).is_some_and(|old| kind(old) != kind(entry)) {
                    remove(&self.home.join(path))?;
                }
                place(&copy.join(path), &self.home.join(path), entry)?;
            }
        }
        // Children come after their folder, so backwards they go before it.
        for path in self.before.keys().rev().filter(|path| !after.contains_key(*path)) {
            remove(&self.home.join(path))?;
        }
        Ok(())
    }
}

fn kind(entry: &Entry) -> u8 {
    match entry {
        Entry::Folder => 0,
        Entry::File { .. } => 1,
        Entry::Link(_) => 2,
    }
}

/// Everything in a home, by path below it.
fn scan(home: &Path, principal: &PrincipalId) -> Result<BTreeMap<PathBuf, Entry>, StagingError> {
    let mut found = BTreeMap::new();
    let mut bytes = 0_u64;
    let mut pending = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = pending.pop() {
        let full = home.join(&folder);
        for entry in at(&full, fs::read_dir(&full))? {
            let entry = at(&full, entry)?;
            let below = folder.join(entry.file_name());
            if LEFT_OUT.iter().any(|left_out| below == Path::new(left_out)) {
                continue;
            }
            let path = entry.path();
            let metadata = at(&path, fs::symlink_metadata(&path))?;
            let kind = metadata.file_type();
            let what = if kind.is_dir() {
                pending.push((below.clone(), depth + 1));
                Entry::Folder
            } else if kind.is_symlink() {
                Entry::Link(at(&path, fs::read_link(&path))?)
            } else if kind.is_file() {
                bytes = bytes.saturating_add(metadata.len());
                if bytes > MAX_BYTES {
                    return Err(StagingError::TooLarge(principal.clone()));
                }
                let content = Digest::of(&at(&path, fs::read(&path))?);
                Entry::File { content, mode: metadata.permissions().mode() & 0o7777 }
            } else {
                return Err(StagingError::Kind(path));
            };
            found.insert(below, what);
            if found.len() > MAX_ENTRIES || depth > MAX_DEPTH {
                return Err(StagingError::TooLarge(principal.clone()));
            }
        }
    }
    Ok(found)
}

/// Puts a copy of `from` at `to`, replacing a file or link of that name in one step.
fn place(from: &Path, to: &Path, entry: &Entry) -> Result<(), StagingError> {
    if *entry == Entry::Folder {
        return match fs::DirBuilder::new().mode(0o700).create(to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => at(to, other),
        };
    }
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(".astrid-new");
    let new = to.with_file_name(name);
    let made = match entry {
        Entry::Link(target) => symlink(target, &new),
        _ => fs::copy(from, &new).map(drop),
    };
    let placed = made.and_then(|()| fs::rename(&new, to));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    at(to, placed)
}

/// Removes a file, a link or an empty folder; one that holds what was not copied stays.
fn remove(path: &Path) -> Result<(), StagingError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        other => at(path, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, PrincipalId) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("home/ann/notes")).unwrap();
        fs::create_dir_all(root.path().join("home/ann/.local/log/fs")).unwrap();
        for (file, content) in
            [("keep", "1"), ("change", "1"), ("notes/gone", "1"), (".local/log/fs/x", "log")]
        {
            fs::write(root.path().join("home/ann").join(file), content).unwrap();
        }
        (root, "ann".parse().unwrap())
    }

    fn change(staged: &StagedHome) {
        let copy = staged.principals().join("ann");
        assert!(!copy.join(".local/log").exists(), "logs are not copied");
        fs::write(copy.join("change"), "2").unwrap();
        fs::create_dir(copy.join("new")).unwrap();
        fs::write(copy.join("new/file"), "new").unwrap();
        fs::remove_dir_all(copy.join("notes")).unwrap();
    }

    #[test]
    fn what_was_changed_in_the_copy_is_changed_in_the_home() {
        let (root, ann) = home();
        let (homes, staging) = (root.path().join("home"), root.path().join("staging"));
        let staged = StagedHome::begin(&homes, &ann, &staging).unwrap();
        change(&staged);
        // Somebody else's change in the meantime stays.
        fs::write(homes.join("ann/keep"), "meanwhile").unwrap();
        staged.commit().unwrap();
        let read = |path: &str| fs::read_to_string(homes.join("ann").join(path)).unwrap();
        assert_eq!(
            (read("change"), read("new/file"), read("keep")),
            ("2".into(), "new".into(), "meanwhile".into())
        );
        assert_eq!(read(".local/log/fs/x"), "log");
        assert!(!homes.join("ann/notes").exists() && !staging.exists());
    }

    #[test]
    fn a_copy_that_is_dropped_leaves_no_trace() {
        let (root, ann) = home();
        let (homes, staging) = (root.path().join("home"), root.path().join("staging"));
        let before = scan(&homes.join("ann"), &ann).unwrap();
        change(&StagedHome::begin(&homes, &ann, &staging).unwrap());
        assert_eq!(scan(&homes.join("ann"), &ann).unwrap(), before);
        assert!(!staging.exists());
    }

    #[test]
    fn a_home_that_is_missing_or_holds_a_pipe_is_denied() {
        let (root, ann) = home();
        let homes = root.path().join("home");
        let missing = StagedHome::begin(&homes, &"bob".parse().unwrap(), &root.path().join("s1"));
        assert!(matches!(missing, Err(StagingError::Io { .. })));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = homes.join("ann/pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let piped = StagedHome::begin(&homes, &ann, &root.path().join("s2"));
        assert!(matches!(piped, Err(StagingError::Kind(_))));
        assert!(!root.path().join("s2").exists());
    }
}
