//! A pack on disk with one executor, and a folder to run it in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use astrid_executor::process::Output;
use astrid_executor::{Component, Ended, Given, Interrupts, Machine, Options, Outcome, Report, Result, Task};
use astrid_manifest::pack::executor::Executor;

/// The folder of the executor, from the pack's.
const FOLDER: &str = "executors/demo";

pub(crate) struct Scene {
    root: tempfile::TempDir,
    pub(crate) executor: Executor,
    pub(crate) children: Vec<String>,
}

/// What was written, as it came.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) out: String,
    pub(crate) err: String,
    /// Nobody reads what is written on standard output.
    unread: bool,
}

impl Output for Written {
    fn out(&mut self, bytes: &[u8]) -> bool {
        self.out.push_str(std::str::from_utf8(bytes).unwrap());
        !self.unread
    }

    fn err(&mut self, bytes: &[u8]) -> bool {
        self.err.push_str(std::str::from_utf8(bytes).unwrap());
        true
    }
}

/// How a test's run differs from the usual.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) timeout: Option<Duration>,
    pub(crate) again: bool,
    pub(crate) unread: bool,
    pub(crate) interrupts: Interrupts,
}

pub(crate) fn given(pairs: &[(&str, &str)]) -> Vec<Given> {
    pairs.iter().map(|(name, value)| Given { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

impl Scene {
    /// An executor whose manifest goes on with `rest`, and files of its folder.
    pub(crate) fn new(rest: &str, files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let text = format!("schema_version: 1\nid: demo.demo\nname: Demo\nversion: 1.0.0\n{rest}");
        let executor =
            Executor::parse("executor.yaml", &text).unwrap_or_else(|error| panic!("{error:?}")).value;
        let scene = Self { root, executor, children: Vec::new() };
        std::fs::create_dir_all(scene.pack().join(FOLDER)).unwrap();
        std::fs::create_dir(scene.work()).unwrap();
        for (name, text) in files {
            let path = scene.pack().join(FOLDER).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        scene
    }

    /// A command of `sh` with this script as its file.
    pub(crate) fn shell(rest: &str, script: &str) -> Self {
        Self::new(&format!("command:\n  argv: [sh, run.sh]\n{rest}"), &[("run.sh", script)])
    }

    pub(crate) fn pack(&self) -> PathBuf {
        self.root.path().join("pack")
    }

    pub(crate) fn own(&self, file: &str) -> String {
        self.pack().join(FOLDER).join(file).display().to_string()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.work().join(name).display().to_string()
    }

    pub(crate) fn with_machine<T>(&self, with: impl FnOnce(&Machine<'_>) -> T) -> T {
        let folder = self.work();
        let variable = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        with(&Machine { variable: &variable, folder: &folder })
    }

    pub(crate) fn task(&self, pairs: &[(&str, &str)]) -> Result<Task> {
        let root = self.pack();
        let component =
            Component { action: &self.executor, root: &root, folder: FOLDER, run: &self.children };
        self.with_machine(|machine| component.task(&given(pairs), machine))
    }

    /// The arguments that it would be run with.
    pub(crate) fn arguments(&self, pairs: &[(&str, &str)]) -> Vec<String> {
        let task = self.task(pairs).unwrap();
        task.invocation.arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    pub(crate) fn go(&self, pairs: &[(&str, &str)], how: How) -> Result<(Outcome, Written)> {
        let task = self.task(pairs)?;
        let logs = self.root.path().join("log");
        let disclosure = ["sandbox: none".to_owned()];
        let options = Options {
            logs: &logs,
            disclosure: &disclosure,
            timeout: how.timeout,
            again: how.again,
            sandbox: None,
            now: &|| "2026-11-20T12:00:00Z".parse().unwrap(),
        };
        let mut written = Written { unread: how.unread, ..Written::default() };
        let outcome =
            self.with_machine(|machine| task.run(&options, machine, how.interrupts, &mut written))?;
        Ok((outcome, written))
    }

    /// Runs it, which must happen.
    pub(crate) fn run(&self, pairs: &[(&str, &str)]) -> (Report, Written) {
        self.run_how(pairs, How::default())
    }

    pub(crate) fn run_how(&self, pairs: &[(&str, &str)], how: How) -> (Report, Written) {
        let (outcome, written) = self.go(pairs, how).unwrap();
        let Outcome::Ran(report) = outcome else { panic!("{outcome:?}") };
        (report, written)
    }

    /// What it writes on standard output, when it ends well.
    pub(crate) fn says(&self, pairs: &[(&str, &str)]) -> String {
        let (report, written) = self.run(pairs);
        assert_eq!(report.ended, Ended::Exited(0), "{}", written.err);
        written.out
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
