//! The compiler flags of a build: the author's own, and the few that every guest needs.
//!
//! Cargo lets an environment variable replace the flags of a configuration file. We have to set that
//! variable, so the author's flags from both places are read first and kept.

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::toolchain::TARGET;

/// Guests get their randomness from the host, through a function that the SDK defines.
const RANDOMNESS: &str = r#"--cfg=getrandom_backend="custom""#;

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// A folder on this machine, and what is written into the component in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    /// The prefix to hide.
    pub from: PathBuf,
    /// The prefix to show.
    pub to: String,
}

/// The value of `CARGO_ENCODED_RUSTFLAGS` for a build in `project`.
pub(crate) fn encoded(environment: &Environment, project: &Path, remaps: &[Remap]) -> String {
    let mut flags = of_environment(environment);
    flags.extend(of_configuration(environment, project));
    if !flags.iter().any(|flag| flag.contains("getrandom_backend")) {
        flags.push(RANDOMNESS.to_owned());
    }
    for Remap { from, to } in remaps {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    flags.join(SEPARATOR)
}

fn of_environment(environment: &Environment) -> Vec<String> {
    let text = |name: &str| environment.get(name).and_then(|value| value.to_str());
    if let Some(encoded) = text("CARGO_ENCODED_RUSTFLAGS") {
        return encoded.split(SEPARATOR).map(str::to_owned).collect();
    }
    text("RUSTFLAGS").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// Flags of `.cargo/config.toml`, from the home folder down to the project, as cargo joins them. A
/// target's own flags win over those of `[build]`.
fn of_configuration(environment: &Environment, project: &Path) -> Vec<String> {
    let mut folders: Vec<PathBuf> = project.ancestors().map(|folder| folder.join(".cargo")).collect();
    if let Some(home) = environment.cargo_home()
        && !folders.contains(&home)
    {
        folders.push(home);
    }
    let (mut of_target, mut of_build) = (Vec::new(), Vec::new());
    for folder in folders.iter().rev() {
        let Some(config) = read_config(folder) else { continue };
        let flags = |table: Option<&toml::Value>| list(table.and_then(|table| table.get("rustflags")));
        of_target.extend(flags(config.get("target").and_then(|targets| targets.get(TARGET))));
        of_build.extend(flags(config.get("build")));
    }
    if of_target.is_empty() { of_build } else { of_target }
}

fn read_config(folder: &Path) -> Option<toml::Value> {
    let text = std::fs::read_to_string(folder.join("config.toml"))
        .or_else(|_| std::fs::read_to_string(folder.join("config")))
        .ok()?;
    // A file that cargo can't read is cargo's to complain about.
    toml::from_str(&text).ok()
}

fn list(value: Option<&toml::Value>) -> Vec<String> {
    match value {
        Some(toml::Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(toml::Value::Array(items)) => {
            items.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn flags(pairs: &[(&str, &str)], project: &Path) -> Vec<String> {
        let pairs = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        encoded(&Environment::new(pairs), project, &[]).split(SEPARATOR).map(str::to_owned).collect()
    }

    fn project(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".cargo")).unwrap();
        std::fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
        folder
    }

    #[test]
    fn randomness_is_added_to_the_authors_flags() {
        let folder = project("[build]\nrustflags = [\"-Cdebuginfo=0\"]\n");
        let found = flags(&[("RUSTFLAGS", "-Copt-level=3 -Dwarnings")], folder.path());
        assert_eq!(found, ["-Copt-level=3", "-Dwarnings", "-Cdebuginfo=0", RANDOMNESS]);
    }

    #[test]
    fn encoded_flags_win_over_plain_ones_and_keep_their_spaces() {
        let folder = project("");
        let pairs = [("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}a b"), ("RUSTFLAGS", "-x")];
        assert_eq!(flags(&pairs, folder.path()), ["--cfg", "a b", RANDOMNESS]);
    }

    #[test]
    fn flags_of_the_target_win_over_those_of_the_build() {
        let folder =
            project("[build]\nrustflags = \"-a\"\n[target.wasm32-unknown-unknown]\nrustflags = \"-b -c\"\n");
        assert_eq!(flags(&[], folder.path()), ["-b", "-c", RANDOMNESS]);
    }

    #[test]
    fn a_randomness_backend_of_the_author_is_kept() {
        let folder = project("[build]\nrustflags = ['--cfg', 'getrandom_backend=\"mine\"']\n");
        assert_eq!(flags(&[], folder.path()), ["--cfg", "getrandom_backend=\"mine\""]);
    }
}
