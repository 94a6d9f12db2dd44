//! Where a pack really comes from, however a declaration writes it.

use astrid_manifest::lock::LockedPack;
use astrid_manifest::source::{GitRef, Source};

use crate::declaration::Declaration;
use crate::origin::Origin;

/// Where a pack comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `local`, `git`, `index` or `release`.
    pub kind: &'static str,
    /// The address of the repository, the path on this machine, or the source as it is written.
    pub path: String,
    /// The address of the repository.
    pub git_url: Option<String>,
    /// The full commit.
    pub commit: Option<String>,
    /// What was asked for when the commit was pinned.
    pub requested: Option<String>,
}

impl Place {
    /// Where a pack of a fleet comes from.
    #[must_use]
    pub fn of_locked(locked: &LockedPack, declaration: &Declaration) -> Self {
        let entry = declaration.distro().pack(locked.id.as_str());
        let requested = entry.and_then(|entry| entry.requested_ref.clone());
        let tag = entry.and_then(|entry| entry.tag.clone()).map(|tag| format!("refs/tags/{tag}"));
        match (&locked.source, declaration.origin()) {
            // A folder of a repository that the distro itself was fetched from.
            (source, Origin::Git { address, commit, requested, .. }) if source.is_path() => Self {
                kind: "git",
                path: address.to_string(),
                git_url: Some(address.to_string()),
                commit: Some(commit.clone()),
                requested: Some(requested.clone()),
            },
            (Source::Path(path) | Source::Archive(path), _) => {
                let path = declaration.folder().map_or_else(
                    || locked.source.to_string(),
                    |folder| path.under(folder).display().to_string(),
                );
                Self { path, ..Self::of_source(&locked.source, None, None) }
            }
            (source, _) => Self::of_source(source, locked.commit.as_deref(), requested.or(tag).as_deref()),
        }
    }

    /// Where a source is that was resolved to `commit`.
    #[must_use]
    pub fn of_source(source: &Source, commit: Option<&str>, requested: Option<&str>) -> Self {
        let other =
            |kind| Self { kind, path: source.to_string(), git_url: None, commit: None, requested: None };
        match source {
            Source::Git(git) => {
                let reference = git.reference.as_ref().map(|reference| match reference {
                    GitRef::Tag(tag) => format!("refs/tags/{tag}"),
                    GitRef::Commit(_) | GitRef::Branch(_) => reference.to_string(),
                });
                Self {
                    kind: "git",
                    path: git.url.clone(),
                    git_url: Some(git.url.clone()),
                    commit: commit.map(str::to_owned),
                    requested: requested.map(str::to_owned).or(reference),
                }
            }
            Source::Index { .. } => other("index"),
            Source::Release { .. } => other("release"),
            Source::Path(_) | Source::Archive(_) => other("local"),
        }
    }
}
