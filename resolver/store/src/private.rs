//! Files that only their owner may read, such as keys: anything else in their place is refused.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Result, StoreError};

/// The bytes of a file of at most `limit` bytes that nobody but its owner may read; nothing when it is not there.
///
/// # Errors
/// When it is a link, no regular file, longer, or readable or writable by others.
pub fn read_private(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let shown = || path.display().to_string();
    // A link leads to what somebody else may keep, and a FIFO would be waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(_) if path.is_symlink() => {
            return Err(StoreError::refused(shown(), "is a symbolic link; put the file itself there"));
        }
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let metadata = file.metadata().map_err(StoreError::io("read", path))?;
    if !metadata.is_file() {
        return Err(StoreError::refused(shown(), "is no regular file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(StoreError::refused(
            shown(),
            "may be read or changed by others, who may know it by now: make another, or run `chmod 600` if nobody else was on this machine",
        ));
    }
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    let read = file.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(StoreError::io("read", path))?;
    if bytes.len() > limit {
        return Err(StoreError::corrupt(path, format!("it is longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "1234").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_private_file_is_read() {
        let (folder, path) = written(0o600);
        assert_eq!(read_private(&path, 4).unwrap().unwrap().as_slice(), b"1234");
        assert!(read_private(&folder.path().join("other"), 4).unwrap().is_none());
    }

    #[test]
    fn what_others_may_read_links_and_long_files_are_denied() {
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602] {
            let (_folder, path) = written(mode);
            assert!(read_private(&path, 4).is_err(), "{mode:o}");
        }
        let (folder, path) = written(0o600);
        assert!(read_private(&path, 3).is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_private(&link, 4).unwrap_err().to_string().contains("symbolic link"));
        assert!(read_private(folder.path(), 4).is_err());
    }
}
