//! Paths of the workspace as an agent writes them, and the host's refusals in words that help.
//!
//! A path is relative to the workspace. It is checked here for the sake of a good message; the host
//! checks it again, and its verdict is the one that counts.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::fmt;

use astrid_sdk::SysError;
use refusal::{Refusal, plain};

const SCHEME: &str = "cwd://";

/// A normal path below the workspace: no `.`, no `..`, no empty segments. Empty is the workspace itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkspacePath(String);

impl WorkspacePath {
    /// The workspace itself.
    #[must_use]
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Reads a path such as `src/lib.rs`, `./src/lib.rs` or `cwd://src/lib.rs`.
    ///
    /// # Errors
    /// When it is absolute, leaves the workspace, or names another place such as `home://`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let path = text.strip_prefix(SCHEME).unwrap_or(text);
        let refuse = |why: &str| Err(Refusal::new(format!("the path `{text}` {why}")));
        if path.contains("://") {
            return refuse("names another place; only paths of the workspace are served");
        }
        if path.starts_with('/') {
            return refuse("is absolute; write it relative to the workspace, for example `src/main.rs`");
        }
        if path.contains(['\0', '\\']) {
            return refuse("contains a character that paths can't hold; separate folders with `/`");
        }
        let mut segments = Vec::new();
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." => return refuse("contains `..`; name the path from the workspace down"),
                _ => segments.push(segment),
            }
        }
        Ok(Self(segments.join("/")))
    }

    /// The same, for a path that has to name something below the workspace.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when the path is the workspace itself.
    pub fn parse_entry(text: &str) -> Result<Self, Refusal> {
        let path = Self::parse(text)?;
        if path.is_root() {
            return Err(Refusal::new(
                "the path is empty or the workspace itself; name a file or a folder in it".to_owned(),
            ));
        }
        Ok(path)
    }

    /// Whether this is the workspace itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path without a scheme; empty for the workspace itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the host calls it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// The folder that it is in; `None` for the workspace itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(Self(self.0.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()))
    }

    /// Its last segment; empty for the workspace itself.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The entry `name` in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        if self.is_root() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root()
            || other.0 == self.0
            || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "the workspace" } else { &self.0 })
    }
}

/// Whether the host said that there is nothing at a path.
#[must_use]
pub fn is_absent(error: &SysError) -> bool {
    matches!(error, SysError::HostError(code) if plain(code) == "NotFound")
}

/// Turns the host's refusal to `act` (such as "read") on `path` into words that say what to do.
#[must_use]
pub fn explain(act: &str, path: &WorkspacePath, error: SysError) -> Refusal {
    let SysError::HostError(code) = error else { return error.into() };
    let why = match plain(&code) {
        "NotFound" => "it does not exist; `list_directory` and `find_files` show what does".to_owned(),
        "CapabilityDenied" | "BoundaryEscape" => "it is outside of what this capsule was granted".to_owned(),
        "Access" => "the operating system refuses access to it".to_owned(),
        "IsDirectory" => "it is a folder; name a file, or list it with `list_directory`".to_owned(),
        "NotDirectory" => "a part of the path is a file, not a folder".to_owned(),
        "NotEmpty" => "the folder is not empty; pass `recursive: true` to remove what is in it".to_owned(),
        "TooLarge" => "it is larger than the sandbox moves in one piece (10 MiB)".to_owned(),
        "Quota" => "the space granted to this capsule is used up".to_owned(),
        "AlreadyExists" => "something exists there already".to_owned(),
        "InvalidPath" => "the host does not accept the path".to_owned(),
        other => other.to_owned(),
    };
    Refusal::new(format!("can't {act} `{path}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one_path() {
        for text in ["src/lib.rs", "./src//lib.rs", "cwd://src/lib.rs", "src/./lib.rs/"] {
            assert_eq!(WorkspacePath::parse(text).unwrap().uri(), "cwd://src/lib.rs", "{text}");
        }
        for text in ["", ".", "cwd://", "./"] {
            assert!(WorkspacePath::parse(text).unwrap().is_root(), "{text}");
        }
    }

    #[test]
    fn leaving_the_workspace_denied() {
        for text in ["/etc/passwd", "../x", "a/../../x", "home://x", "a\\b", "cwd:///etc"] {
            assert!(WorkspacePath::parse(text).is_err(), "{text}");
        }
        assert!(WorkspacePath::parse_entry(".").is_err());
    }

    #[test]
    fn parents_names_and_containment() {
        let path = WorkspacePath::parse("a/b/c").unwrap();
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(path.name(), "c");
        assert_eq!(WorkspacePath::root().join("a").parent(), Some(WorkspacePath::root()));
        assert!(WorkspacePath::parse("a/b").unwrap().contains(&path));
        assert!(!WorkspacePath::parse("a/bb").unwrap().contains(&path));
        assert!(!path.contains(&WorkspacePath::parse("a/b").unwrap()));
    }

    #[test]
    fn refusals_are_explained() {
        let path = WorkspacePath::parse("x").unwrap();
        assert!(is_absent(&SysError::HostError("ErrorCode::NotFound".to_owned())));
        let text = explain("read", &path, SysError::HostError("ErrorCode::NotFound".to_owned())).to_string();
        assert!(text.contains("can't read `x`: it does not exist"), "{text}");
        let text = explain("read", &path, SysError::HostError("CapabilityDenied".to_owned())).to_string();
        assert!(text.contains("granted"), "{text}");
    }
}
