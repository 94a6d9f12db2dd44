//! A machine of its own for each test: empty environment, own homes, a clock that stands still, seeded randomness.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use expectrl::process::Termios as _;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _};
use regex::Regex;

/// The time that every run believes it is.
pub(crate) const NOW: &str = "2026-11-20T12:00:00Z";

/// A component that is valid and does nothing.
pub(crate) const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A hermetic place to run the program in.
pub(crate) struct TestEnv {
    root: tempfile::TempDir,
    /// Each run has another seed, as each has other randomness outside of tests.
    runs: Cell<u32>,
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What one run left behind.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One run, before it starts.
#[must_use]
pub(crate) struct Run<'a> {
    env: &'a TestEnv,
    command: Command,
    input: Option<Vec<u8>>,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("astrid-test-").tempdir().unwrap();
        let env = Self { root, runs: Cell::new(0) };
        fs::create_dir(env.path("work")).unwrap();
        fs::create_dir(env.path("user")).unwrap();
        env
    }

    /// A path in the folder that runs start in.
    pub(crate) fn work(&self, relative: &str) -> PathBuf {
        self.path("work").join(relative)
    }

    /// A path in the home of Astrid.
    pub(crate) fn home(&self, relative: &str) -> PathBuf {
        self.path("home").join(relative)
    }

    /// A path in the environment's own folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Writes a file of the working folder, with the folders above it.
    pub(crate) fn write(&self, relative: &str, contents: impl AsRef<[u8]>) {
        let path = self.work(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.work(relative)).unwrap()
    }

    /// Writes a capsule that has `extra` in its manifest and an empty component.
    pub(crate) fn capsule(&self, folder: &str, name: &str, version: &str, extra: &str) {
        self.write(
            &format!("{folder}/Capsule.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"{version}\"\n\n[[component]]\nid = \"{name}\"\nfile = \"{name}.wasm\"\n{extra}"
            ),
        );
        self.write(&format!("{folder}/{name}.wasm"), EMPTY_COMPONENT);
    }

    /// Writes a `Distro.toml` named `demo` with these entries after its head.
    pub(crate) fn distro(&self, entries: &str) {
        self.write(
            "Distro.toml",
            format!("schema-version = 1\n\n[distro]\nid = \"demo\"\nname = \"Demo\"\nversion = \"0.1.0\"\n{entries}"),
        );
    }

    /// A distro of one capsule, `notes`, in a folder beside it.
    pub(crate) fn demo(&self) {
        self.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
        self.capsule("notes", "notes", "1.0.0", "");
    }

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        self.runs.set(self.runs.get() + 1);
        vec![
            ("HOME", self.path("user").into()),
            ("ASTRID_HOME", self.path("home").into()),
            ("XDG_DATA_HOME", self.path("data").into()),
            ("XDG_CONFIG_HOME", self.path("config").into()),
            ("TMPDIR", self.root.path().into()),
            ("TERM", "xterm".into()),
            ("COLUMNS", "100".into()),
            ("ASTRID_TEST_NOW", NOW.into()),
            ("ASTRID_TEST_SEED", self.runs.get().to_string().into()),
        ]
    }

    /// Runs a line of the shell, where `astrid` is the program; both outputs are in `stdout`.
    pub(crate) fn shell(&self, line: &str) -> Ran {
        let mut command = Command::new("/bin/sh");
        self.dress(&mut command);
        command.args(["-c", &format!("exec 2>&1\n{line}")]);
        Run { env: self, command, input: None }.go()
    }

    /// Another program that finds `astrid` on its `PATH`, and the Python package.
    pub(crate) fn dress(&self, command: &mut Command) {
        let program = Path::new(env!("CARGO_BIN_EXE_astrid")).parent().unwrap();
        command.env_clear().envs(self.variables()).current_dir(self.path("work"));
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()));
        command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
    }

    /// Stops the kernel of the environment's home, when one runs.
    pub(crate) fn stop(&self) {
        if self.home("run/system.sock").exists() {
            let _ = self.astrid(&["stop"]);
        }
    }

    /// The program with its arguments, not yet run.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run<'_> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astrid"));
        command.env_clear().envs(self.variables()).current_dir(self.path("work")).args(arguments);
        Run { env: self, command, input: None }
    }

    /// Runs the program without a terminal.
    #[must_use]
    pub(crate) fn astrid(&self, arguments: &[&str]) -> Ran {
        self.run(arguments).go()
    }

    /// Runs the program, which must end with 0.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.astrid(arguments);
        assert_eq!(ran.code, 0, "astrid {arguments:?}\n{}", ran.shown());
        ran
    }

    /// Runs the program on a terminal of its own.
    pub(crate) fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command = Command::new(env!("CARGO_BIN_EXE_astrid"));
        command.env_clear().envs(self.variables()).env("NO_COLOR", "1").current_dir(self.path("work"));
        command.args(arguments);
        let mut session = OsSession::spawn(command).unwrap();
        session.set_expect_timeout(Some(Duration::from_mins(1)));
        session.set_echo(false).unwrap();
        Terminal { session, seen: String::new() }
    }

    /// The text with everything that differs from run to run put behind names.
    pub(crate) fn filtered(&self, text: &str) -> String {
        static HASH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{64}\b").unwrap());
        static SHORT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"blake3:[0-9a-f]{12}\b").unwrap());
        static PROCESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(pid|process) [0-9]+").unwrap());
        static TIME: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\b[0-9]+(\.[0-9]+)? ?(ms|µs)\b").unwrap());
        let root = self.root.path();
        let mut text = text.replace(&root.display().to_string(), "[ROOT]");
        if let Ok(real) = root.canonicalize() {
            text = text.replace(&real.display().to_string(), "[ROOT]");
        }
        let text = HASH.replace_all(&text, "[HASH]");
        let text = SHORT.replace_all(&text, "blake3:[12]");
        let text = PROCESS.replace_all(&text, "$1 [PID]");
        let text = TIME.replace_all(&text, "[TIME]");
        text.into_owned()
    }

    /// A run as snapshots keep it.
    pub(crate) fn snapshot(&self, arguments: &[&str], ran: &Ran) -> String {
        format!("$ astrid {}\n{}", arguments.join(" "), self.filtered(&ran.shown()))
    }
}

impl Run<'_> {
    /// Gives it standard input.
    pub(crate) fn input(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Adds a variable to its environment.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Starts it in another folder of the environment.
    pub(crate) fn folder(mut self, relative: &str) -> Self {
        self.command.current_dir(self.env.path(relative));
        self
    }

    #[must_use]
    pub(crate) fn go(mut self) -> Ran {
        let input = self.input.take();
        self.command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(input) = input {
            // A program that reads nothing is allowed to be gone.
            let _ = child.stdin.take().unwrap().write_all(&input);
        }
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or_else(|| {
                use std::os::unix::process::ExitStatusExt as _;
                128 + output.status.signal().unwrap_or(0)
            }),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The command itself, for tests that hold its pipes.
    pub(crate) fn command(self) -> Command {
        self.command
    }
}

impl Ran {
    /// Everything that a person would want to see when a test fails.
    pub(crate) fn shown(&self) -> String {
        format!("exit: {}\n--- stdout\n{}--- stderr\n{}", self.code, ended(&self.stdout), ended(&self.stderr))
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.shown()))
    }
}

fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}⏎\n") }
}

/// A run on a pseudo-terminal.
pub(crate) struct Terminal {
    session: OsSession,
    seen: String,
}

impl Terminal {
    /// Waits until the terminal shows `text`.
    pub(crate) fn sees(&mut self, text: &str) -> &mut Self {
        match self.session.expect(text) {
            Ok(found) => {
                self.seen.push_str(&String::from_utf8_lossy(found.before()));
                self.seen.push_str(text);
            }
            Err(error) => {
                let mut rest = vec![0; 65536];
                let read = self.session.try_read(&mut rest).unwrap_or(0);
                let rest = String::from_utf8_lossy(&rest[..read]).into_owned();
                panic!("`{text}` was not shown ({error}); shown so far:\n{}{rest}", self.seen)
            }
        }
        self
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) -> &mut Self {
        self.session.send_line(line).unwrap();
        self
    }

    /// Presses control and a letter.
    pub(crate) fn presses(&mut self, key: expectrl::ControlCode) -> &mut Self {
        self.session.send(key).unwrap();
        self
    }

    /// Waits for the end: the exit code and everything that was shown.
    pub(crate) fn ends(mut self) -> (i32, String) {
        if let Ok(found) = self.session.expect(Eof) {
            // The end of everything matches all that is left.
            self.seen.push_str(&String::from_utf8_lossy(found.as_bytes()));
        }
        let code = match self.session.get_process().wait().unwrap() {
            expectrl::process::unix::WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        };
        (code, self.seen.replace("\r\n", "\n"))
    }
}

/// Runs the program in an environment and compares exit code, standard output and standard error with a file.
macro_rules! astrid_snapshot {
    ($name:expr, $env:expr, $arguments:expr) => {{
        let arguments: &[&str] = &$arguments;
        let ran = $env.astrid(arguments);
        insta::assert_snapshot!($name, $env.snapshot(arguments, &ran));
        ran
    }};
}
pub(crate) use astrid_snapshot;
