//! What a run finds on the machine: variables, programs, Python.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The machine as the user's process sees it.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// A variable of the user's environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The folder that the user is in.
    pub folder: &'a Path,
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Where programs are looked for when no PATH is set, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The name under which Python is looked for.
pub const PYTHON: &str = "python3";

impl Machine<'_> {
    /// A variable of the environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    /// The program of that name on the PATH, or at that path.
    #[must_use]
    pub fn program(&self, name: &OsStr) -> Option<PathBuf> {
        let written = Path::new(name);
        if written.components().count() > 1 {
            return Some(self.folder.join(written)).filter(|path| is_program(path));
        }
        let path = self.variable("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        std::env::split_paths(&path)
            .map(|folder| self.folder.join(folder).join(name))
            .find(|path| is_program(path))
    }

    /// What a program answers; nothing when it does not.
    pub(crate) fn ask(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder).stdin(Stdio::null()).stderr(Stdio::null());
        let answer = command.output().ok()?;
        answer.status.success().then(|| String::from_utf8(answer.stdout).ok())?
    }

    /// Where a Python really is: its program and the folders that its library is in.
    pub(crate) fn python_home(&self, program: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
        const WHERE: &str = "import json,sys; print(json.dumps([sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix]))";
        let answer = self.ask(program, &["-B", "-I", "-c", WHERE])?;
        let mut paths = serde_json::from_str::<Vec<PathBuf>>(answer.trim()).ok()?.into_iter();
        let own = paths.next().filter(|path| is_program(path))?;
        Some((own, paths.collect()))
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
