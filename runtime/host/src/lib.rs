//! Runs capsules: WebAssembly components that reach nothing but what `wit/` offers and their
//! manifest grants.
//!
//! Every grant is checked where the effect happens, in the host functions of [`mod@self`]'s
//! private `calls` module, for the principal of the call. This crate must never learn what a fleet
//! is, how a capsule came to be here, or who may call it.
//!
//! | module | noun |
//! |---|---|
//! | [`engine`] | compiles components, or takes the code of an earlier compilation |
//! | [`capsule`] | a component with its grants, and calls into it |
//! | [`spec`] | what a capsule is and may use up |
//! | [`ports`] | what the host needs from the kernel |
//! | [`caller`] | who a call is made for |
//! | [`hook`] | what a handler answers |
//! | [`kv`] | values that outlive instances |
//! | [`log`] | the log files of capsules |
//! | [`files`] | the folders that capsules see |
//! | [`error`] | what can go wrong |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod caller;
pub mod capsule;
pub mod engine;
pub mod error;
pub mod files;
pub mod hook;
pub mod kv;
pub mod log;
pub mod ports;
pub mod spec;

mod calls;
mod compiled;
mod exports;
mod state;

pub use caller::Caller;
pub use capsule::{Capsule, LifecycleStep};
pub use engine::{CompiledCode, ComponentSource, Engine, EngineOptions, LoadedComponent};
pub use error::HostError;
pub use exports::Exports;
pub use files::{Roots, StagedHome, StagingError};
pub use hook::HookResult;
pub use kv::{Kv, KvError, KvLimits, KvStore, Namespace, Overlay};
pub use log::FileLog;
pub use ports::{CapsuleDirectory, Clock, Entropy, EntropyError, LogLevel, LogSink, Ports, SecretSource};
pub use spec::{Binding, CapsuleSpec, ConfigValue, Limits};
