//! The kernel in this process, until it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use astrid_kernel::uplink::server::ServerLimits;
use astrid_kernel::{Kernel, KernelError, KernelOptions, KernelPorts, Status};
use astrid_store::{Disk, Home};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a stop may take before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// How the kernel is run.
pub struct Foreground {
    /// The home whose current generation runs.
    pub home: Home,
    /// How the home is written to.
    pub disk: Disk,
    /// The folder of work that capsules see; none shows them no files.
    pub workspace: Option<PathBuf>,
    /// This program's path.
    pub program: PathBuf,
    /// This program's version.
    pub version: String,
    /// What the kernel needs from outside: [`crate::ports::of_machine`].
    pub ports: KernelPorts,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForegroundEvent {
    /// The generation was brought up, well or not: the status says.
    Ready(Box<Status>),
    /// It was asked to stop, and does.
    Stopping,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Stopped,
    /// By a second signal, or because stopping took too long (exit code 130 after a signal).
    Interrupted,
}

/// Runs the kernel until a client or a signal asks it to stop.
///
/// `on_event` is called as things happen. SIGTERM and SIGINT end it gracefully; a second one at once.
///
/// # Errors
/// When another kernel runs for this home, or the home can't be used.
pub fn run_foreground(
    options: Foreground,
    mut on_event: impl FnMut(ForegroundEvent),
) -> Result<Ended, KernelError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("astrid-kernel")
        .build()
        .map_err(KernelError::Serve)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(KernelError::Serve)?;
        let Foreground { home, disk, workspace, program, version, ports } = options;
        let limits = ServerLimits::default();
        let boot = Kernel::boot(KernelOptions { home, disk, workspace, program, version, ports, limits });
        let kernel = tokio::select! {
            kernel = boot => kernel?,
            () = signals.next() => return Ok(Ended::Interrupted),
        };
        on_event(ForegroundEvent::Ready(Box::new(kernel.status())));
        tokio::select! {
            () = signals.next() => {}
            () = kernel.asked_to_stop() => {}
        }
        on_event(ForegroundEvent::Stopping);
        tokio::select! {
            stopped = kernel.shut_down() => stopped.map(|()| Ended::Stopped),
            () = signals.next() => Ok(Ended::Interrupted),
            () = tokio::time::sleep(STOP_WITHIN) => {
                tracing::warn!("stopping took too long; the process ends");
                Ok(Ended::Interrupted)
            }
        }
    });
    // Calls that still run have had their time.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
