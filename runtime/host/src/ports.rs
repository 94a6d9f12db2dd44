//! What the host needs from the kernel: clocks, randomness, secrets, folders, logs.

use std::sync::Arc;

use astrid_authority::{CapsuleName, EnvKey, PrincipalId};
use astrid_bus::{Bus, SourceId};
use zeroize::Zeroizing;

use crate::files::Roots;
use crate::kv::Kv;

/// Time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn unix_ms(&self) -> u64;
    /// Nanoseconds of a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// Randomness.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the machine has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The machine has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness is available")]
pub struct EntropyError;

/// Secrets, by the names that configuration refers to them with.
pub trait SecretSource: Send + Sync {
    /// The value that `capsule` gets for `key`, for `principal`; none when nothing is stored.
    fn secret(
        &self,
        capsule: &CapsuleName,
        principal: &PrincipalId,
        key: &EnvKey,
        reference: &str,
    ) -> Option<Zeroizing<String>>;
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For following every step.
    Trace,
    /// For finding a fault.
    Debug,
    /// What normally happens.
    Info,
    /// What should be looked at.
    Warn,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The level as log files have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Where capsules' log lines go.
pub trait LogSink: Send + Sync {
    /// Takes one line. Must not fail: a capsule can do nothing about it.
    fn log(&self, capsule: &CapsuleName, principal: &PrincipalId, level: LogLevel, message: &str);
}

/// What other capsules hold.
pub trait CapsuleDirectory: Send + Sync {
    /// Says whether the capsule with that id holds the capability of that name.
    ///
    /// False for what is not known; none when the directory can't be read now.
    fn holds(&self, source: SourceId, capability: &str) -> Option<bool>;
}

/// Everything that the host needs from outside. Clones share it.
#[derive(Clone)]
pub struct Ports {
    /// Where events go.
    pub bus: Bus,
    /// Where values are kept.
    pub kv: Kv,
    /// Which folders capsules see.
    pub files: Arc<Roots>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Secrets.
    pub secrets: Arc<dyn SecretSource>,
    /// Log lines.
    pub log: Arc<dyn LogSink>,
    /// What other capsules hold.
    pub directory: Arc<dyn CapsuleDirectory>,
}
