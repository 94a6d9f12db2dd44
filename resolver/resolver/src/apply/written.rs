//! What an apply writes beside the declaration, and how it is taken back.

use std::path::{Path, PathBuf};

use astrid_store::Disk;

use crate::error::{Error, Result};

/// Files beside the declaration that were written before the switch, with what they held.
pub(super) struct Written<'a> {
    disk: &'a Disk,
    files: Vec<(PathBuf, Option<Vec<u8>>, u32)>,
}

impl<'a> Written<'a> {
    /// None yet.
    pub(super) fn new(disk: &'a Disk) -> Self {
        Self { disk, files: Vec::new() }
    }

    /// Writes one, durably, and remembers what it held.
    pub(super) fn write(
        &mut self,
        path: PathBuf,
        before: Option<Vec<u8>>,
        bytes: &[u8],
        mode: u32,
    ) -> Result<()> {
        self.disk.write_atomic(&path, bytes, mode)?;
        self.files.push((path, before, mode));
        Ok(())
    }

    /// The switch did not happen: the files say again what is in force. What can't be taken back stays, and the
    /// next plan shows it.
    pub(super) fn take_back(self) {
        for (path, before, mode) in self.files.into_iter().rev() {
            let _ = match before {
                Some(before) => self.disk.write_atomic(&path, &before, mode),
                None => self.disk.remove_file(&path),
            };
        }
    }
}

/// The bytes of a file; nothing when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failed(format!("{} can't be read", path.display())).caused_by(error)),
    }
}
