//! A task, carried out: what must hold before, the process, and what must hold after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use astrid_manifest::pack::action::{OutputMode, PortKind};
use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::isolate::{Helper, Sandbox};
use crate::log::Log;
use crate::machine::{Machine, PYTHON};
use crate::process::{Ended, Interrupts, Invocation, Output, run as run_process};
use crate::task::{Product, Task};

/// How a run goes.
pub struct Options<'a> {
    /// The folder of its log.
    pub logs: &'a Path,
    /// What is disclosed, at the head of the log: lines without their sign.
    pub disclosure: &'a [String],
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// It is run even when its results are there.
    pub again: bool,
    /// The sandbox that it is run in, when a person asked for one, and how that is entered.
    pub sandbox: Option<(&'a Sandbox, &'a Helper)>,
    /// The time.
    pub now: &'a dyn Fn() -> Timestamp,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("logs", &self.logs).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its sentinels are there: nothing was run.
    Kept(Vec<PathBuf>),
    /// It was run.
    Ran(Report),
}

/// A run that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub ended: Ended,
    /// Its log.
    pub log: PathBuf,
    /// What it was to make and did not, in words. Only looked at when it ended well.
    pub unmade: Vec<String>,
}

impl Report {
    /// It ended well, and made what it was to make.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.ended == Ended::Exited(0) && self.unmade.is_empty()
    }
}

impl Task {
    /// Its sentinels, when all of them are there.
    #[must_use]
    pub fn kept(&self) -> Option<&[PathBuf]> {
        let all_there = !self.sentinels.is_empty() && self.sentinels.iter().all(|path| path.exists());
        all_there.then_some(self.sentinels.as_slice())
    }

    /// What would be refused before it is run. Nothing is written.
    ///
    /// # Errors
    /// When something is there that must not be, or the other way round.
    pub fn check(&self) -> Result<()> {
        for product in &self.products {
            let (name, path) = (&product.name, product.path.display());
            let there = product.path.symlink_metadata().is_ok();
            match product.mode {
                OutputMode::Create if there => {
                    return Err(Error::usage(format!("`{name}` is created, and {path} is there already"))
                        .hint(format!("remove it, or name another place with {name}=PATH")));
                }
                OutputMode::Mutate if !there => {
                    return Err(Error::usage(format!("`{name}` is changed, and there is nothing at {path}"))
                        .hint(format!("name what is to be changed with {name}=PATH")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Carries it out.
    ///
    /// # Errors
    /// When it was not run.
    pub fn run(
        &self,
        options: &Options<'_>,
        machine: &Machine<'_>,
        interrupts: Interrupts,
        output: &mut dyn Output,
    ) -> Result<Outcome> {
        if let (Some(kept), false) = (self.kept(), options.again) {
            return Ok(Outcome::Kept(kept.to_vec()));
        }
        self.check()?;
        for product in self.products.iter().filter(|product| product.mode != OutputMode::Mutate) {
            make_folder_of(product)?;
        }
        let invocation = match options.sandbox {
            None => self.invocation.clone(),
            Some((sandbox, helper)) => sandbox.around(&self.invocation, helper, machine)?,
        };
        let began = (options.now)();
        let mut log = Log::begin(options.logs, began, &self.head(options, began))?;
        let ended = match run_process(&invocation, options.timeout, interrupts, output, &mut log) {
            Ok(ended) => ended,
            Err(error) => {
                log.remark(&format!("not run: {error}"));
                return Err(error);
            }
        };
        let unmade = if ended == Ended::Exited(0) { self.unmade() } else { Vec::new() };
        for one in &unmade {
            log.remark(one);
        }
        log.remark(&format!("ended: {}, {}", seconds((options.now)()), words(ended)));
        Ok(Outcome::Ran(Report { ended, log: log.path().to_owned(), unmade }))
    }

    /// The head of the log: what was disclosed, once for each run. Values of inputs are not in it.
    fn head(&self, options: &Options<'_>, began: Timestamp) -> String {
        let mut lines: Vec<String> = options.disclosure.to_vec();
        lines.push(format!("program: {}", Path::new(&self.invocation.program).display()));
        lines.push(format!("folder: {}", self.invocation.folder.display()));
        if !self.given.is_empty() {
            lines.push(format!("given: {}", self.given.join(", ")));
        }
        if let Some((sandbox, _)) = options.sandbox {
            lines.extend(sandbox.coverage());
        }
        lines.push(format!("started: {}", seconds(began)));
        lines.iter().flat_map(|line| ["# ", line, "\n"]).collect()
    }

    fn unmade(&self) -> Vec<String> {
        let missing = self.products.iter().filter_map(|product| {
            let found = std::fs::metadata(&product.path).ok();
            let is = |right: fn(&std::fs::Metadata) -> bool| found.as_ref().is_some_and(right);
            let well = match product.kind {
                PortKind::File | PortKind::Html => is(std::fs::Metadata::is_file),
                PortKind::Directory => is(std::fs::Metadata::is_dir),
                _ => found.is_some(),
            };
            let (name, path) = (&product.name, product.path.display());
            (!well).then(|| format!("`{name}` was to be at {path}, and is not there"))
        });
        missing.collect()
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How a run ended, in words.
#[must_use]
pub fn words(ended: Ended) -> String {
    match ended {
        Ended::Exited(code) => format!("exit {code}"),
        Ended::Signalled(signal) => format!("signal {signal}"),
        Ended::Interrupted => "interrupted".to_owned(),
        Ended::TimedOut => "not in time".to_owned(),
    }
}

fn make_folder_of(product: &Product) -> Result<()> {
    let Some(folder) = product.path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::failed(format!(
            "the folder of `{}`, {}, can't be made: {error}",
            product.name,
            folder.display()
        ))
    })
}

/// The invocation as it is run in a sandbox: the program by its path, a Python with the folders of its library.
///
/// # Errors
/// When the program is not there.
pub fn located(
    invocation: &Invocation,
    reach: &mut crate::isolate::Reach,
    machine: &Machine<'_>,
) -> Result<Invocation> {
    let mut located = invocation.clone();
    let Some(program) = machine.program(&invocation.program) else {
        return Err(Error::failed(format!(
            "there is no program `{}`",
            Path::new(&invocation.program).display()
        ))
        .hint("install it, or put its folder on the PATH"));
    };
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let home = if name == PYTHON { machine.python_home(&program) } else { None };
    let program = match home {
        Some((own, folders)) => {
            reach.read.extend(folders.into_iter().filter(|folder| folder != Path::new("/")));
            own
        }
        None => program,
    };
    reach.read.extend(program.canonicalize().ok());
    located.program = program.into_os_string();
    Ok(located)
}
