//! Where paths begin.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use astrid_authority::PrincipalId;
use astrid_authority::scope::PathRoot;
use rustix::fs::{CWD, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

use super::FileError;

/// A folder as the machine knows it, whatever it is called.
pub(super) type Identity = (u64, u64);

pub(super) const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Device and inode numbers, in one width on every platform.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "their types differ between platforms")]
pub(super) fn identity(folder: impl AsFd) -> rustix::io::Result<Identity> {
    let stat = fstat(folder)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

struct Workspace {
    folder: Arc<OwnedFd>,
    segments: Vec<String>,
    /// The workspace is the home, or lies in it: nothing in it may be touched.
    is_private: bool,
}

/// The folders that capsules see.
pub struct Roots {
    workspace: Option<Workspace>,
    principals: PathBuf,
    principals_segments: Vec<String>,
    private: Identity,
}

/// A root that is open, and where it is on the machine.
pub(super) struct Root {
    pub(super) folder: Arc<OwnedFd>,
    /// A folder that no path may enter.
    pub(super) guarded: Option<Identity>,
}

impl Roots {
    /// Opens the workspace, if there is one, and remembers where principals have their homes.
    ///
    /// `private` is the home of Astrid itself; it can't be entered through the workspace, even if
    /// it lies in it. `principals` holds one folder for each principal, of its name; one that is
    /// not there makes `home://` and `/tmp` fail for that principal.
    ///
    /// # Errors
    /// When the workspace or `private` can't be opened.
    pub fn new(workspace: Option<&Path>, private: &Path, principals: &Path) -> std::io::Result<Self> {
        let private_path = private.canonicalize()?;
        let private = identity(File::open(&private_path)?)?;
        let workspace = workspace.map(|path| open_workspace(path, &private_path)).transpose()?;
        let absolute = principals.canonicalize().unwrap_or_else(|_| principals.to_path_buf());
        Ok(Self {
            workspace,
            principals_segments: segments_of(&absolute),
            principals: principals.to_path_buf(),
            private,
        })
    }

    /// The absolute path of a root, as segments, without opening it.
    pub(super) fn machine(&self, root: PathRoot, principal: &PrincipalId) -> Vec<String> {
        match root {
            PathRoot::Workspace => {
                self.workspace.as_ref().map(|own| own.segments.clone()).unwrap_or_default()
            }
            PathRoot::Home | PathRoot::Temporary => {
                let mut segments = self.principals_segments.clone();
                segments.push(principal.to_string());
                if root == PathRoot::Temporary {
                    segments.extend([".local".to_owned(), "tmp".to_owned()]);
                }
                segments
            }
            PathRoot::Machine => Vec::new(),
        }
    }

    pub(super) fn open(&self, root: PathRoot, principal: &PrincipalId) -> Result<Root, FileError> {
        match root {
            PathRoot::Workspace => {
                let workspace = self.workspace.as_ref().ok_or(FileError::NotFound)?;
                if workspace.is_private {
                    return Err(FileError::BoundaryEscape);
                }
                Ok(Root { folder: Arc::clone(&workspace.folder), guarded: Some(self.private) })
            }
            PathRoot::Home | PathRoot::Temporary => {
                let home = home_of(&self.principals, principal)?;
                let folder =
                    if root == PathRoot::Home { home } else { folder_below(&home, &[".local", "tmp"])? };
                Ok(Root { folder: Arc::new(folder), guarded: None })
            }
            PathRoot::Machine => Err(FileError::InvalidPath),
        }
    }
}

/// Opens the folder at `names` below `base`, and creates what is not there. Follows no link.
pub(crate) fn folder_below(base: &OwnedFd, names: &[&str]) -> rustix::io::Result<OwnedFd> {
    let mut folder = openat(base, ".", OPEN_FOLDER, Mode::empty())?;
    for name in names {
        folder = match openat(&folder, *name, OPEN_FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => {
                match mkdirat(&folder, *name, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                openat(&folder, *name, OPEN_FOLDER, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok(folder)
}

/// Opens the home of `principal`, which must be there.
pub(crate) fn home_of(principals: &Path, principal: &PrincipalId) -> rustix::io::Result<OwnedFd> {
    openat(CWD, principals.join(principal.as_str()), OPEN_FOLDER, Mode::empty())
}

fn open_workspace(path: &Path, private: &Path) -> std::io::Result<Workspace> {
    let path = path.canonicalize()?;
    let folder = openat(CWD, &path, OPEN_FOLDER, Mode::empty())?;
    Ok(Workspace {
        folder: Arc::new(folder),
        segments: segments_of(&path),
        is_private: path.starts_with(private),
    })
}

fn segments_of(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}
