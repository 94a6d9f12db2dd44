//! What the process was given: arguments, environment, folder, clock, randomness. Read once, here.
//!
//! Libraries get these as parameters. The `ASTRID_TEST_*` variables exist in debug builds only, so that
//! a release can't be told another time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use astrid_resolver::{Clock, Entropy};
use astrid_store::Home;
use jiff::Timestamp;

use crate::exit::Failure;

/// Everything that a run takes from its process.
pub(crate) struct World {
    /// The environment; names and values that are no UTF-8 are left out.
    environment: BTreeMap<String, String>,
    /// The folder that relative paths are meant from.
    pub(crate) folder: PathBuf,
    /// A person can be asked: standard input and standard error are terminals.
    pub(crate) interactive: bool,
    /// Standard input is a terminal.
    pub(crate) input_is_terminal: bool,
}

impl World {
    /// Reads the process, as if it had been started in `directory`.
    ///
    /// # Errors
    /// When the folder isn't there.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::failed(format!("the current folder can't be read: {error}")))?;
        let folder = match directory {
            None => here,
            Some(directory) => {
                let folder = here.join(directory);
                if !folder.is_dir() {
                    return Err(Failure::usage(format!("`-C {}`: no such folder", directory.display())));
                }
                folder
            }
        };
        let text = |value: OsString| value.into_string().ok();
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        let input_is_terminal = std::io::stdin().is_terminal();
        Ok(Self {
            environment,
            folder,
            interactive: input_is_terminal && std::io::stderr().is_terminal(),
            input_is_terminal,
        })
    }

    /// A variable of the environment; an empty one counts as none.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable as it is, empty or not.
    pub(crate) fn raw_variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    /// A path that a person wrote, from the folder of this run.
    pub(crate) fn path(&self, written: &Path) -> PathBuf {
        if written == Path::new(".") { self.folder.clone() } else { self.folder.join(written) }
    }

    /// The home of the user.
    pub(crate) fn user_home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// The home of Astrid: the flag, `$ASTRID_HOME`, or `~/.astrid`. It must be absolute and without `..`.
    pub(crate) fn astrid_home(&self, flag: Option<&Path>) -> Result<PathBuf, Failure> {
        let home = match (flag, self.variable("ASTRID_HOME"), self.user_home()) {
            (Some(flag), _, _) => self.path(flag),
            (None, Some(set), _) => PathBuf::from(set),
            (None, None, Some(user)) => user.join(".astrid"),
            (None, None, None) => {
                return Err(Failure::usage("there is no home: neither ASTRID_HOME nor HOME is set")
                    .hint("pass `--home DIR`, or set ASTRID_HOME to an absolute path"));
            }
        };
        let climbs = home.components().any(|part| part == std::path::Component::ParentDir);
        if !home.is_absolute() || climbs {
            return Err(Failure::usage(format!(
                "the home `{}` must be an absolute path without `..`",
                home.display()
            ))
            .hint("set ASTRID_HOME to an absolute path"));
        }
        Ok(home)
    }

    /// Where packs are served: `$XDG_DATA_HOME/astrid/packs`, or `~/.local/share/astrid/packs`.
    pub(crate) fn packs_root(&self, home: &Path) -> PathBuf {
        let data = self.variable("XDG_DATA_HOME").map(Path::new);
        match self.user_home() {
            Some(user) => Home::default_packs_root(data, &user),
            None => data
                .filter(|data| data.is_absolute())
                .map_or_else(|| home.join("packs"), |data| data.join("astrid/packs")),
        }
    }

    /// Name and mail of the user's own git configuration, as far as it says them.
    pub(crate) fn git_identity(&self) -> (Option<String>, Option<String>) {
        let own = self.user_home().map(|home| home.join(".gitconfig"));
        let configured = self.variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let configured = configured.or_else(|| self.user_home().map(|home| home.join(".config")));
        let files = [own, configured.map(|folder| folder.join("git/config"))];
        let mut found = (None, None);
        for text in files.into_iter().flatten().filter_map(|file| std::fs::read_to_string(file).ok()) {
            let (name, mail) = user_section(&text);
            found = (found.0.or(name), found.1.or(mail));
        }
        found
    }
}

/// `name` and `email` of `[user]`.
fn user_section(text: &str) -> (Option<String>, Option<String>) {
    let mut found = (None, None);
    let mut in_user = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_user = line.eq_ignore_ascii_case("[user]");
        } else if let (true, Some((key, value))) = (in_user, line.split_once('=')) {
            let value = value.trim().trim_matches('"').to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "name" if !value.is_empty() => found.0 = Some(value),
                "email" if !value.is_empty() => found.1 = Some(value),
                _ => {}
            }
        }
    }
    found
}

/// The clock of the system; in debug builds `ASTRID_TEST_NOW` (RFC 3339) stops it.
pub(crate) struct SystemClock {
    fixed: Option<Timestamp>,
}

impl SystemClock {
    pub(crate) fn new(world: &World) -> Self {
        let told = if cfg!(debug_assertions) { world.variable("ASTRID_TEST_NOW") } else { None };
        Self { fixed: told.and_then(|text| text.parse().ok()) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.fixed.unwrap_or_else(Timestamp::now)
    }
}

/// The system's randomness; in debug builds `ASTRID_TEST_SEED` makes it a fixed sequence.
pub(crate) struct SystemEntropy {
    seeded: Option<Mutex<blake3::OutputReader>>,
}

impl SystemEntropy {
    pub(crate) fn new(world: &World) -> Self {
        let seed = if cfg!(debug_assertions) { world.variable("ASTRID_TEST_SEED") } else { None };
        let seeded =
            seed.map(|seed| Mutex::new(blake3::Hasher::new().update(seed.as_bytes()).finalize_xof()));
        Self { seeded }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        match &self.seeded {
            Some(seeded) => {
                seeded.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill(bytes);
                Ok(())
            }
            None => getrandom::fill(bytes).map_err(std::io::Error::other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_says_who_somebody_is() {
        let text =
            "[core]\n\tname = no\n[user]\n\tname = Ada\n\temail = \"ada@example.org\"\n[alias]\nname = no\n";
        assert_eq!(user_section(text), (Some("Ada".to_owned()), Some("ada@example.org".to_owned())));
        assert_eq!(user_section("[user]\nname =\n"), (None, None));
    }
}
