//! Where a declaration came from, as Astrid itself found it: never as the declaration claims.

use std::fmt;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_manifest::signer::Signer;

use crate::source::address::GitAddress;

/// Where a declaration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The home's own distro.
    Home,
    /// The distro that is part of the program.
    Builtin,
    /// A folder of this machine: its absolute path, links resolved.
    Folder(PathBuf),
    /// A git repository that was fetched.
    Git {
        /// The normalised address that was asked.
        address: GitAddress,
        /// What was asked for, as `refs/tags/v1`, `refs/heads/main`, a commit, or `HEAD`.
        requested: String,
        /// The commit that was read: 40 hexadecimal digits.
        commit: String,
        /// The folder of the repository; empty is its root.
        path: String,
    },
    /// A `.shuttle` file.
    Bundle {
        /// Who sealed it, as it was verified.
        signer: Signer,
        /// The digest of what it says of itself.
        digest: Digest,
        /// Where the lock in it says that its declaration came from.
        source: Option<String>,
        /// Which commit of that.
        commit: Option<String>,
    },
}

impl Origin {
    /// The identity of every bundle that nobody sealed: it is nobody's, so nothing is tied to it.
    pub const UNSEALED: &str = "bundle by unsigned";

    /// What belief and floors are tied to: the same text for every revision of one origin.
    ///
    /// It is an absolute path, an address without a reference, `home` or `builtin`.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Home => "home".to_owned(),
            Self::Builtin => "builtin".to_owned(),
            Self::Folder(path) => path.display().to_string(),
            Self::Git { address, path, .. } if path.is_empty() => format!("git+{address}"),
            Self::Git { address, path, .. } => format!("git+{address}?path={path}"),
            // Never the text of a signer alone: one could be chosen to look like another origin.
            Self::Bundle { signer, .. } => format!("bundle by {signer}"),
        }
    }

    /// The source that a lock records: nothing for what has no address of its own.
    #[must_use]
    pub fn source(&self) -> Option<String> {
        match self {
            Self::Home | Self::Builtin | Self::Folder(_) => None,
            Self::Git { address, path, .. } if path.is_empty() => Some(format!("git+{address}")),
            Self::Git { address, path, .. } => Some(format!("git+{address}?path={path}")),
            Self::Bundle { source, .. } => source.clone(),
        }
    }

    /// The commit that was read, when it came from a repository.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Git { commit, .. } => Some(commit),
            Self::Bundle { commit, .. } => commit.as_deref(),
            _ => None,
        }
    }

    /// Whether it came from somewhere else than this machine, so that it may name no local path.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        matches!(self, Self::Git { .. } | Self::Bundle { .. })
    }

    /// Whether other people can change it: what lies in files of this machine is not remote.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Git { address, .. } => !address.is_local(),
            Self::Bundle { .. } => true,
            Self::Home | Self::Builtin | Self::Folder(_) => false,
        }
    }

    /// The folder on this machine, when there is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git { commit, .. } => {
                write!(f, "{} at {}", self.identity(), commit.get(..12).unwrap_or(commit))
            }
            _ => f.write_str(&self.identity()),
        }
    }
}
