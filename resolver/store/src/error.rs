//! What can go wrong on disk, in kinds that map to exit codes.

use std::io;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;

/// Result of everything in this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What class a failure is of: the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Content that is refused for its shape: a link, a colliding name, a bomb (65).
    Invalid,
    /// Bytes that are not what their digest says, or a file of ours that can't be read (84).
    Corrupt,
    /// Another process holds the writer's lock (75).
    Busy,
    /// Something asked for is not there (84 for a blob, since a lock promised it).
    Missing,
    /// The operating system refused: no space, no permission (1).
    Io,
}

/// A failure of the store, the home or a generation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused an operation.
    #[error("can't {action} `{}`: {source}", .path.display())]
    Io {
        /// The operation, as a verb phrase that fits after "can't".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A blob's bytes are not the ones its name promises.
    #[error(
        "blob {expected} is corrupt: its bytes hash to {found}; run `astrid verify` to quarantine it, then fetch again"
    )]
    CorruptBlob {
        /// The digest that names the blob.
        expected: Digest,
        /// The digest of the bytes that are there.
        found: Digest,
    },
    /// A blob that something refers to is not in the store.
    #[error("blob {0} is not in the store; run `astrid fetch` to bring it back")]
    MissingBlob(Digest),
    /// A file that Astrid writes itself can't be understood.
    #[error("`{}` is not readable: {problem}", .path.display())]
    CorruptFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Content that can't be reproduced, or that attacks whoever unpacks it.
    #[error("`{place}`: {rule}")]
    Refused {
        /// The entry, file or archive.
        place: String,
        /// The rule that it breaks, in words.
        rule: String,
    },
    /// Something that Astrid did not make is where a file of ours should go.
    #[error("`{}` was not made by Astrid; move it away, then run the command again", .0.display())]
    Foreign(PathBuf),
    /// Another process is writing.
    #[error("another writer holds the lock `{}`: {holder}; wait for it, or raise `--lock-timeout`", .path.display())]
    Busy {
        /// The lock's file.
        path: PathBuf,
        /// Process id and command, as the holder wrote them.
        holder: String,
    },
    /// There is no such generation.
    #[error("there is no generation {0}; `astrid generations` lists them")]
    MissingGeneration(crate::GenerationNumber),
}

impl StoreError {
    /// The class of this failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Io,
            Self::CorruptBlob { .. } | Self::CorruptFile { .. } => ErrorKind::Corrupt,
            Self::MissingBlob(_) | Self::MissingGeneration(_) => ErrorKind::Missing,
            Self::Refused { .. } | Self::Foreign(_) => ErrorKind::Invalid,
            Self::Busy { .. } => ErrorKind::Busy,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn refused(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Refused { place: place.into(), rule: rule.into() }
    }

    pub(crate) fn corrupt(path: &Path, problem: impl ToString) -> Self {
        Self::CorruptFile { path: path.to_owned(), problem: problem.to_string() }
    }
}
