//! The kernel in a process of its own, and how other processes reach it.
//!
//! | module | noun |
//! |---|---|
//! | [`foreground`] | the kernel in this process, until it is told to stop |
//! | [`launch`] | starting it in the background, and stopping it |
//! | [`client`] | a connection to it, for programs that wait for answers |
//! | [`describe`] | what a component says about its tools, for builds |
//! | [`hooks`] | lifecycle hooks, run before an apply switches |
//! | [`ports`] | clock, randomness, secrets and logs of a real machine |
//!
//! Nothing here writes to a terminal: what people are to see is returned, or told to a callback.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod client;
pub mod describe;
pub mod foreground;
pub mod hooks;
pub mod launch;
pub mod ports;

pub use astrid_kernel::hooks::Loading;
pub use client::{Client, ClientError, ToolResult};
pub use foreground::{Ended, Foreground, ForegroundEvent, run_foreground};
pub use hooks::SandboxHooks;
pub use launch::{LaunchError, Start, Started, Stopped, start, stop};
