//! Where the bytes of a shuttle are: an open file, read at its own positions, or memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(crate) enum Medium {
    File(File),
    Memory(Vec<u8>),
}

impl Medium {
    /// How many bytes there are.
    pub(crate) fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata()?;
                if metadata.is_file() { Ok(metadata.len()) } else { Err(io::ErrorKind::InvalidInput.into()) }
            }
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// All bytes from the first one. Readers don't disturb each other.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { medium: self, at: 0 }
    }
}

pub(crate) struct Reader<'a> {
    medium: &'a Medium,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match self.medium {
            Medium::File(file) => file.read_at(buffer, self.at)?,
            Medium::Memory(bytes) => {
                let start = usize::try_from(self.at).unwrap_or(usize::MAX).min(bytes.len());
                (&bytes[start..]).read(buffer)?
            }
        };
        self.at += length as u64;
        Ok(length)
    }
}
