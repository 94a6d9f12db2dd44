//! One process of the user: started, listened to, and waited for.
//!
//! Its standard input is ours. What it writes is handed on as it comes and kept in the log. It stays in our
//! process group, so that a terminal's Ctrl-C reaches it as it reaches every program that a person starts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::error::{Error, Result};
use crate::log::Log;

/// How long a process that was asked to end may take for it.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is waited for that a process left to another one.
const DRAIN: Duration = Duration::from_secs(2);
/// How much is read at once.
const CHUNK: usize = 64 << 10;
/// How many chunks may wait: a slow reader slows the process down, as a pipe does.
const QUEUE: usize = 16;

/// What is to be run: a program and its arguments, never a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program: a path, or a name that is looked for on the PATH.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// What it finds in its environment.
    pub environment: Environment,
}

/// What a process finds in its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Environment {
    /// The user's, unchanged but for what the manifest itself sets.
    Users(BTreeMap<String, String>),
    /// Only this: for runs that are isolated.
    Only(BTreeMap<OsString, OsString>),
}

/// Where output goes as it comes. Each says whether somebody still reads there; where nobody does, the process is
/// told so in the way of pipes.
pub trait Output {
    /// What the process wrote on its standard output.
    fn out(&mut self, bytes: &[u8]) -> bool;
    /// What the process wrote on its standard error.
    fn err(&mut self, bytes: &[u8]) -> bool;
}

/// Tells a run that a person wants it to end.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// The process was not told by the terminal: we have to.
    pub pass_on: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// A person interrupted it.
    Interrupted,
    /// It did not end in time, and was ended.
    TimedOut,
}

impl Ended {
    /// The exit code that stands for it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal,
            Self::Interrupted => 130,
            Self::TimedOut => 1,
        }
    }
}

enum Event {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Closed,
    Ended,
    Interrupt(Interrupt),
}

/// Hands interrupts to the run that is going on.
#[derive(Debug, Clone)]
pub struct Interrupter(SyncSender<Event>);

impl Interrupter {
    /// Hands one on; a run that has ended does not mind.
    pub fn interrupt(&self, interrupt: Interrupt) {
        let _ = self.0.send(Event::Interrupt(interrupt));
    }
}

/// A run that may be interrupted, before it starts.
#[derive(Debug)]
pub struct Interrupts {
    sender: SyncSender<Event>,
    receiver: Receiver<Event>,
}

impl Default for Interrupts {
    fn default() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        Self { sender, receiver }
    }
}

impl Interrupts {
    /// What hands interrupts to this run.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.sender.clone())
    }
}

/// Runs it to its end.
pub(crate) fn run(
    invocation: &Invocation,
    timeout: Option<Duration>,
    interrupts: Interrupts,
    output: &mut dyn Output,
    log: &mut Log,
) -> Result<Ended> {
    let mut child = spawn(invocation)?;
    let Interrupts { sender, receiver } = interrupts;
    let mut open = 0;
    let unread = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    if let Some(pipe) = child.stdout.take() {
        open += 1;
        read_along(pipe, sender.clone(), Event::Out, unread[0].clone());
    }
    if let Some(pipe) = child.stderr.take() {
        open += 1;
        read_along(pipe, sender.clone(), Event::Err, unread[1].clone());
    }
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Err(Error::failed("the process has no number"));
    };
    std::thread::spawn(move || {
        // Not reaped here: until we are done with its number, no other process can have it.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        let _ = sender.send(Event::Ended);
    });
    let mut watch = Watch { pid, deadline: timeout.map(|time| Instant::now() + time), stop: None };
    let mut has_ended = false;
    while !has_ended || open > 0 {
        match watch.next(&receiver) {
            Some(Event::Out(bytes)) => {
                log.output(&bytes);
                unread[0].store(!output.out(&bytes), Ordering::Relaxed);
            }
            Some(Event::Err(bytes)) => {
                log.output(&bytes);
                unread[1].store(!output.err(&bytes), Ordering::Relaxed);
            }
            Some(Event::Closed) => open -= 1,
            Some(Event::Ended) => {
                has_ended = true;
                watch.deadline = Some(Instant::now() + DRAIN);
            }
            Some(Event::Interrupt(interrupt)) if !has_ended => watch.interrupted(&interrupt),
            Some(Event::Interrupt(_)) => {}
            None if has_ended => {
                log.remark("a process that it started still holds its output; that is not waited for");
                break;
            }
            None => watch.overdue(),
        }
    }
    let status = child.wait().map_err(|error| Error::failed(format!("its end can't be seen: {error}")))?;
    Ok(watch.ended(status))
}

/// Why a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Interrupted,
    TimedOut,
}

/// A process that goes on.
struct Watch {
    pid: Pid,
    deadline: Option<Instant>,
    stop: Option<Stop>,
}

impl Watch {
    /// What happens next; nothing when it is too late for it.
    fn next(&self, receiver: &Receiver<Event>) -> Option<Event> {
        let Some(deadline) = self.deadline else { return receiver.recv().ok() };
        receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    fn interrupted(&mut self, interrupt: &Interrupt) {
        self.stop.get_or_insert(Stop::Interrupted);
        if interrupt.pass_on {
            self.signal(Signal::INT);
        }
    }

    /// First it is asked, then it is ended.
    fn overdue(&mut self) {
        let first = self.stop != Some(Stop::TimedOut);
        self.stop = Some(Stop::TimedOut);
        self.deadline = Some(Instant::now() + GRACE);
        self.signal(if first { Signal::TERM } else { Signal::KILL });
    }

    /// Tells the process and what it started.
    fn signal(&self, signal: Signal) {
        let mut all = descendants(self.pid);
        all.push(self.pid);
        for pid in all {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        use std::os::unix::process::ExitStatusExt as _;
        match (self.stop, status.code(), status.signal()) {
            (Some(Stop::Interrupted), ..) => Ended::Interrupted,
            (Some(Stop::TimedOut), ..) => Ended::TimedOut,
            (None, Some(code), _) => Ended::Exited(code),
            (None, None, signal) => Ended::Signalled(signal.unwrap_or_default()),
        }
    }
}

/// The processes that a process started, and those that they started, as far as the system tells.
fn descendants(of: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut todo = vec![of];
    while let Some(pid) = todo.pop() {
        let path = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|text| Pid::from_raw(text.parse().ok()?)) {
            if !found.contains(&child) {
                found.push(child);
                todo.push(child);
            }
        }
    }
    found
}

fn spawn(invocation: &Invocation) -> Result<Child> {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments).current_dir(&invocation.folder);
    command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match &invocation.environment {
        Environment::Users(set) => command.envs(set),
        Environment::Only(all) => command.env_clear().envs(all),
    };
    command.spawn().map_err(|error| not_started(invocation, &error))
}

fn not_started(invocation: &Invocation, error: &std::io::Error) -> Error {
    let program = Path::new(&invocation.program).display();
    if !invocation.folder.is_dir() {
        return Error::failed(format!("there is no folder {} to start in", invocation.folder.display()));
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::failed(format!("there is no program `{program}`"))
            .hint(format!("install it, or put its folder on the PATH; {program} is what the manifest names")),
        std::io::ErrorKind::ArgumentListTooLong => {
            Error::usage("what was given is too long for the arguments of a process")
                .hint("give long texts as a file, where the executor takes one")
        }
        _ => Error::failed(format!("`{program}` can't be started: {error}")),
    }
}

fn read_along(
    mut pipe: impl Read + Send + 'static,
    sender: SyncSender<Event>,
    event: impl Fn(Vec<u8>) -> Event + Send + 'static,
    unread: Arc<AtomicBool>,
) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while !unread.load(Ordering::Relaxed) {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    if sender.send(event(buffer[..read].to_vec())).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        // Before it is told: who writes there next is to know.
        drop(pipe);
        let _ = sender.send(Event::Closed);
    });
}
