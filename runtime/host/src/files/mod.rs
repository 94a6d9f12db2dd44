//! The folders that capsules see, and how a path in them is reached without leaving them.
//!
//! A path is walked one name at a time from the descriptor of its root, and no step follows a
//! link by itself: links are read and walked like the path, and one that leads out of the root is
//! refused. What a path *is* (after links) is checked against the grants as well as what it
//! *says*, so that a link inside a granted folder opens nothing that is not granted.

pub(crate) mod operations;
pub(crate) mod roots;
mod staged;
mod walk;

pub(crate) use operations::{Files, Mode};
pub use roots::Roots;
pub use staged::{StagedHome, StagingError};

/// Most bytes of a whole file that is read or written at once.
pub const MAX_FILE_BYTES: u64 = 10 << 20;
/// Most names that one listing returns.
pub const MAX_NAMES: usize = 4096;
/// Most bytes that one call on an open file carries.
pub const MAX_CHUNK_BYTES: usize = 1_000_000;
/// Most open files of one instance.
pub const MAX_HANDLES: usize = 16;

/// Why a call on a file failed: the cases of the `fs` interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileError {
    NotFound,
    Access,
    CapabilityDenied,
    BoundaryEscape,
    InvalidPath,
    WouldBlock,
    IsDirectory,
    NotDirectory,
    NotEmpty,
    TooLarge,
    Quota,
    CrossRoots,
    AlreadyExists,
    Closed,
    Unknown(String),
}

impl From<rustix::io::Errno> for FileError {
    fn from(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::NOENT => Self::NotFound,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Access,
            // A name that turned into a link between two steps.
            Errno::LOOP => Self::BoundaryEscape,
            Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Self::InvalidPath,
            Errno::AGAIN | Errno::TXTBSY | Errno::BUSY => Self::WouldBlock,
            Errno::ISDIR => Self::IsDirectory,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::FBIG => Self::TooLarge,
            Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE => Self::Quota,
            Errno::XDEV => Self::CrossRoots,
            Errno::EXIST => Self::AlreadyExists,
            Errno::BADF => Self::Closed,
            other => Self::Unknown(std::io::Error::from(other).kind().to_string()),
        }
    }
}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        match rustix::io::Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Unknown(error.kind().to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
