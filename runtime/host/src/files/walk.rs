//! From a root and segments to a folder and a name in it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, openat, readlinkat, statat};
use rustix::io::Errno;

use super::FileError;
use super::roots::{Identity, OPEN_FOLDER, Root, identity};

/// Most links on the way of one path, as the kernels of most machines have it.
const MAX_LINKS: usize = 40;

/// Where a path leads: a folder that is open, and a name in it that may or may not exist.
pub(super) struct Place {
    root: Root,
    /// The folders below the root, with their names.
    folders: Vec<(OwnedFd, String)>,
    /// None when the path is the innermost folder itself.
    name: Option<String>,
}

impl Place {
    /// The folder that holds the name, or that the path is.
    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.folders.last().map_or_else(|| self.root.folder.as_fd(), |(folder, _)| folder.as_fd())
    }

    /// The name in the folder.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A folder that must not be entered.
    pub(super) fn guarded(&self) -> Option<Identity> {
        self.root.guarded
    }

    /// The names from the root on, after links.
    pub(super) fn segments(&self) -> Vec<String> {
        self.folders.iter().map(|(_, name)| name.clone()).chain(self.name.clone()).collect()
    }
}

/// Walks `segments` from `root`. A link in the last place is only followed if `follow_last`.
///
/// # Errors
/// When a folder on the way is missing or no folder, or the walk leaves the root.
pub(super) fn walk(root: Root, segments: &[String], follow_last: bool) -> Result<Place, FileError> {
    let mut pending: VecDeque<String> = segments.iter().cloned().collect();
    let mut place = Place { root, folders: Vec::new(), name: None };
    let mut links = 0;
    while let Some(segment) = pending.pop_front() {
        match segment.as_str() {
            "" | "." => continue,
            ".." => {
                place.folders.pop().ok_or(FileError::BoundaryEscape)?;
                continue;
            }
            _ => {}
        }
        let last = pending.is_empty();
        if last && (!follow_last || !is_link(&place, &segment)?) {
            guard(&place, &segment)?;
            place.name = Some(segment);
            return Ok(place);
        }
        match openat(place.folder(), segment.as_str(), OPEN_FOLDER, Mode::empty()) {
            Ok(folder) => {
                if place.guarded().is_some_and(|guarded| identity(&folder).is_ok_and(|own| own == guarded)) {
                    return Err(FileError::BoundaryEscape);
                }
                place.folders.push((folder, segment));
            }
            // How machines say that the name is a link differs; reading it tells.
            Err(error @ (Errno::LOOP | Errno::NOTDIR | Errno::MLINK)) => {
                let target = match readlinkat(place.folder(), segment.as_str(), Vec::new()) {
                    Ok(target) => target.into_string().map_err(|_| FileError::InvalidPath)?,
                    Err(_) => return Err(error.into()),
                };
                links += 1;
                if links > MAX_LINKS || target.starts_with('/') {
                    return Err(FileError::BoundaryEscape);
                }
                for part in target.split('/').rev() {
                    pending.push_front(part.to_owned());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(place)
}

fn is_link(place: &Place, name: &str) -> Result<bool, FileError> {
    match statat(place.folder(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a name that is the guarded folder itself.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "their types differ between platforms")]
pub(super) fn guard(place: &Place, name: &str) -> Result<(), FileError> {
    let Some(guarded) = place.guarded() else { return Ok(()) };
    match statat(place.folder(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if (stat.st_dev as u64, stat.st_ino as u64) == guarded => Err(FileError::BoundaryEscape),
        _ => Ok(()),
    }
}
