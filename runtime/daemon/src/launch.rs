//! Starting the kernel in the background, and stopping it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use astrid_kernel::Status;
use astrid_kernel::uplink::endpoint::{EndpointError, RunFolder};
use astrid_store::Home;

use crate::client::{Client, ClientError};

/// A log that has grown beyond this many bytes is set aside at the next start.
const LOG_BYTES: u64 = 10 << 20;
/// Most lines of the log that a failed start shows.
const SHOWN_LINES: usize = 12;
/// Shortest and longest pause between two looks.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// How the kernel is started.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// This program.
    pub program: &'a Path,
    /// The home.
    pub home: &'a Home,
    /// The folder of work that capsules see.
    pub workspace: &'a Path,
    /// How long it may take until it is ready.
    pub timeout: Duration,
}

/// A kernel that runs.
#[derive(Debug, Clone)]
pub struct Started {
    /// What it says about itself.
    pub status: Status,
    /// It ran before, and was left as it is.
    pub already_ran: bool,
}

/// How a kernel was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// None ran.
    DidNotRun,
    /// It was asked, and ended.
    Gracefully,
    /// It did not answer; its process was told to end.
    BySignal,
}

/// Why the kernel was not started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program ended instead of serving.
    #[error("the kernel did not start{}", shown(.log))]
    Ended {
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// It is not ready in time (exit code 87). It goes on.
    #[error("the kernel was not ready within {} s; it goes on, `astrid status` shows how far it is{}", timeout.as_secs_f32(), shown(.log))]
    NotReady {
        /// How long it had.
        timeout: Duration,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// It did not end in time.
    #[error("the kernel (process {pid:?}) did not stop within {} s; try again with a longer --timeout", timeout.as_secs_f32())]
    NotStopped {
        /// Its process, when that is known.
        pid: Option<u32>,
        /// How long it had.
        timeout: Duration,
    },
    /// The process that holds the lock can't be told apart from a stranger.
    #[error(
        "a kernel holds `run/system.lock` and does not answer, and its process is not known to be one; end it yourself"
    )]
    Unknown,
    /// The program or a file can't be used.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock can't be looked at.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

fn shown(log: &[String]) -> String {
    if log.is_empty() { String::new() } else { format!(":\n  {}", log.join("\n  ")) }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LaunchError + '_ {
    move |source| LaunchError::Io { path: path.to_owned(), source }
}

/// Where the kernel writes what it has to say when it runs in the background.
pub fn log_path(home: &Home) -> PathBuf {
    home.log().join("daemon.log")
}

fn status(home: &Home) -> Result<Status, ClientError> {
    Client::connect_owner(home)?.status()
}

/// Starts the kernel of a home, as `program --home HOME -C WORKSPACE daemon`, and waits until it is
/// ready. One that runs already is left as it is.
///
/// # Errors
/// When it ends instead, or is not ready in time.
pub fn start(options: &Start<'_>) -> Result<Started, LaunchError> {
    let Start { program, home, workspace, timeout } = *options;
    let deadline = Instant::now() + timeout;
    if let Ok(status) = status(home)
        && status.ready
    {
        return Ok(Started { status, already_ran: true });
    }
    let already_ran = RunFolder::new(home.run()).is_locked()?;
    let log = log_path(home);
    let mut child = None;
    let mut from = fs::metadata(&log).map_or(0, |metadata| metadata.len());
    if !already_ran {
        if from > LOG_BYTES {
            fs::rename(&log, log.with_extension("log.1")).map_err(at(&log))?;
            from = 0;
        }
        fs::create_dir_all(home.log()).map_err(at(&home.log()))?;
        let output = OpenOptions::new().append(true).create(true).mode(0o600).open(&log).map_err(at(&log))?;
        let errors = output.try_clone().map_err(at(&log))?;
        let mut command = Command::new(program);
        command.arg("--home").arg(home.root()).arg("-C").arg(workspace).arg("daemon");
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        child = Some(command.spawn().map_err(at(program))?);
    }
    let mut pause = LOOK_EVERY.0;
    loop {
        if let Ok(status) = status(home)
            && status.ready
        {
            return Ok(Started { status, already_ran });
        }
        let ended = match &mut child {
            Some(child) => child.try_wait().map_err(at(program))?.is_some(),
            None => !RunFolder::new(home.run()).is_locked()?,
        };
        if ended {
            return Err(LaunchError::Ended { log: last_lines(&log, from) });
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::NotReady { timeout, log: last_lines(&log, from) });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_EVERY.1);
    }
}

/// What was written to the log after its first `from` bytes: the last few lines.
fn last_lines(log: &Path, from: u64) -> Vec<String> {
    let mut text = Vec::new();
    let read = fs::File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(1 << 20).read_to_end(&mut text)
    });
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Stops the kernel of a home and waits until it is gone.
///
/// # Errors
/// When it does not end in time, or can't be told apart from a stranger's process.
pub fn stop(home: &Home, timeout: Duration) -> Result<Stopped, LaunchError> {
    let run = RunFolder::new(home.run());
    if !run.is_locked()? {
        return Ok(Stopped::DidNotRun);
    }
    let deadline = Instant::now() + timeout;
    let recorded = run.recorded_process();
    let asked = Client::connect_owner(home).and_then(|mut client| client.shutdown());
    let how = match asked {
        Ok(()) => Stopped::Gracefully,
        Err(error) => {
            if !run.is_locked()? {
                return Ok(Stopped::Gracefully);
            }
            tracing::debug!(%error, "the kernel does not answer");
            let pid = recorded.as_ref().filter(|(pid, program)| runs(*pid, program)).map(|(pid, _)| *pid);
            let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
            let pid = pid.ok_or(LaunchError::Unknown)?;
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|error| at(&run.pid())(error.into()))?;
            Stopped::BySignal
        }
    };
    let mut pause = LOOK_EVERY.0;
    while run.is_locked()? {
        if Instant::now() >= deadline {
            return Err(LaunchError::NotStopped { pid: recorded.map(|(pid, _)| pid), timeout });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK_EVERY.1);
    }
    Ok(how)
}

/// Says whether process `pid` runs `program`: a number may have gone to a stranger meanwhile.
fn runs(pid: u32, program: &Path) -> bool {
    let Ok(running) = fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    // A program that was replaced by an update while it runs is shown with this ending.
    let running = running.to_string_lossy();
    let running = Path::new(running.strip_suffix(" (deleted)").unwrap_or(&running));
    running == program || program.canonicalize().is_ok_and(|program| program == running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_this_start_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let text: Vec<String> = (0..20).map(|number| format!("line {number}\n")).collect();
        fs::write(&log, format!("old\n{}", text.join("\n"))).unwrap();
        let lines = last_lines(&log, 4);
        assert_eq!(lines.len(), SHOWN_LINES);
        assert_eq!(lines.last().unwrap(), "line 19");
        assert!(last_lines(&folder.path().join("none"), 0).is_empty());
    }

    #[test]
    fn strangers_are_denied() {
        let own = std::env::current_exe().unwrap();
        assert!(runs(std::process::id(), &own));
        assert!(!runs(std::process::id(), Path::new("/bin/true")));
        assert!(!runs(u32::MAX, &own));
    }
}
