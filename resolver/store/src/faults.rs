//! Injected faults: how tests show that a crash or a full disk leaves the old state or the new one.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// One instruction that changes the file system, about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Mutation<'a> {
    /// What is about to happen, such as `write` or `rename`.
    pub action: &'static str,
    /// What it happens to.
    pub path: &'a Path,
}

/// A port that is asked before each mutation, and may refuse it or end the process.
pub trait Faults: Send + Sync {
    /// Called before a mutation.
    ///
    /// # Errors
    /// What the operating system would have answered; the mutation then does not happen.
    fn before(&self, mutation: Mutation<'_>) -> io::Result<()>;

    /// Whether faults can happen at all; then writes are torn in two and work is not spread over threads.
    fn active(&self) -> bool {
        true
    }
}

/// No faults but those of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn before(&self, _: Mutation<'_>) -> io::Result<()> {
        Ok(())
    }

    fn active(&self) -> bool {
        false
    }
}

/// Ends the process, without unwinding, before the mutation number `abort_at` (counted from 1).
#[derive(Debug)]
pub struct FromCount {
    abort_at: u64,
    seen: AtomicU64,
}

impl FromCount {
    /// Ends the process before mutation number `abort_at`.
    pub fn new(abort_at: u64) -> Self {
        Self { abort_at, seen: AtomicU64::new(0) }
    }
}

impl Faults for FromCount {
    fn before(&self, _: Mutation<'_>) -> io::Result<()> {
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.abort_at {
            std::process::abort();
        }
        Ok(())
    }
}

/// Refuses the mutation number `fail_at` (counted from 1), and each one after it when `forever`.
#[derive(Debug)]
pub struct FailAt {
    number: u64,
    forever: bool,
    error: io::ErrorKind,
    seen: AtomicU64,
}

impl FailAt {
    /// A disk that refuses one mutation.
    pub fn once(fail_at: u64, error: io::ErrorKind) -> Self {
        Self { number: fail_at, forever: false, error, seen: AtomicU64::new(0) }
    }

    /// A disk that is full from mutation `fail_at` on.
    pub fn full_from(fail_at: u64) -> Self {
        Self { number: fail_at, forever: true, error: io::ErrorKind::StorageFull, seen: AtomicU64::new(0) }
    }

    /// How many mutations were asked for so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Faults for FailAt {
    fn before(&self, _: Mutation<'_>) -> io::Result<()> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.number || (self.forever && number > self.number) {
            return Err(io::Error::new(self.error, "injected fault"));
        }
        Ok(())
    }
}
