//! How long work tells about itself. There is no terminal here: a port is told, and it decides.

use std::sync::atomic::{AtomicU64, Ordering};

/// One piece of work, as the port numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(pub u64);

/// Somebody who shows or records progress. Called from several threads at once.
pub trait Progress: Send + Sync {
    /// Work on `what` begins; `total` is its size in bytes where it is known.
    fn start(&self, what: &str, total: Option<u64>) -> TaskId;
    /// `bytes` more are done.
    fn advance(&self, task: TaskId, bytes: u64);
    /// The work is over, well or not.
    fn finish(&self, task: TaskId);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Silent(AtomicU64);

impl Progress for Silent {
    fn start(&self, _: &str, _: Option<u64>) -> TaskId {
        TaskId(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn advance(&self, _: TaskId, _: u64) {}

    fn finish(&self, _: TaskId) {}
}

/// Reports the end of a task also when the work fails.
pub(crate) struct Running<'a> {
    progress: &'a dyn Progress,
    task: TaskId,
}

impl<'a> Running<'a> {
    pub(crate) fn start(progress: &'a dyn Progress, what: &str, total: Option<u64>) -> Self {
        Self { progress, task: progress.start(what, total) }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.progress.advance(self.task, bytes);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.progress.finish(self.task);
    }
}
