//! The variables of the caller, as a value: no build reads its own process's environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by a surrounding `cargo run` for the program that it runs, not for a build that one starts.
const OF_A_SURROUNDING_CARGO: [&str; 12] = [
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUST_RECURSION_COUNT",
];

/// Change what the compiler emits, so that a build meant to be reproduced must not see them.
const CHANGES_THE_BYTES: [&str; 5] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_INCREMENTAL", "RUSTC_BOOTSTRAP"];
const CHANGES_THE_BYTES_PREFIXES: [&str; 3] = ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"];

/// The environment variables that a build may see.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Takes the variables as the program got them; what a surrounding `cargo run` added is dropped.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let is_foreign = |name: &OsStr| {
            name.to_str()
                .is_some_and(|name| OF_A_SURROUNDING_CARGO.contains(&name) || name.starts_with("CARGO_PKG_"))
        };
        Self { variables: variables.into_iter().filter(|(name, _)| !is_foreign(name)).collect() }
    }

    /// The value of `name`, when it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The same environment without what changes the compiler's output: flags, wrappers, profiles.
    #[must_use]
    pub fn for_reproducible_builds(&self) -> Self {
        let changes = |name: &OsStr| {
            name.to_str().is_some_and(|name| {
                CHANGES_THE_BYTES.contains(&name)
                    || CHANGES_THE_BYTES_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            })
        };
        Self {
            variables: self
                .variables
                .iter()
                .filter(|(name, _)| !changes(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }

    /// Where cargo keeps registries and checkouts: `$CARGO_HOME`, else `$HOME/.cargo`.
    pub fn cargo_home(&self) -> Option<PathBuf> {
        self.get("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| Path::new(home).join(".cargo")))
    }

    /// The first file called `name` on `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.get("PATH")?)
            .map(|folder| folder.join(name))
            .find(|candidate| candidate.is_file())
    }

    /// A command that sees these variables and no others.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn a_surrounding_cargo_leaves_no_trace() {
        let found = environment(&[("CARGO_PKG_NAME", "x"), ("LD_LIBRARY_PATH", "/x"), ("HOME", "/h")]);
        assert_eq!(found.get("CARGO_PKG_NAME"), None);
        assert_eq!(found.get("LD_LIBRARY_PATH"), None);
        assert_eq!(found.get("HOME"), Some(OsStr::new("/h")));
    }

    #[test]
    fn a_reproducible_build_sees_no_flags_but_keeps_the_network_settings() {
        let found = environment(&[
            ("RUSTFLAGS", "-Copt-level=0"),
            ("CARGO_PROFILE_RELEASE_LTO", "off"),
            ("CARGO_HTTP_CAINFO", "/ca"),
        ])
        .for_reproducible_builds();
        assert_eq!(found.get("RUSTFLAGS"), None);
        assert_eq!(found.get("CARGO_PROFILE_RELEASE_LTO"), None);
        assert_eq!(found.get("CARGO_HTTP_CAINFO"), Some(OsStr::new("/ca")));
    }

    #[test]
    fn cargo_home_falls_back_to_the_home_folder() {
        assert_eq!(environment(&[("HOME", "/h")]).cargo_home(), Some(PathBuf::from("/h/.cargo")));
        let both = environment(&[("HOME", "/h"), ("CARGO_HOME", "/c")]);
        assert_eq!(both.cargo_home(), Some(PathBuf::from("/c")));
    }
}
