//! From a capsule's sources to a deterministic archive.
//!
//! | module | noun |
//! |---|---|
//! | [`environment`] | the variables that a build may see |
//! | [`toolchain`] | a compiler that can make guests |
//! | [`flags`] | compiler flags: the author's own and ours |
//! | [`compile`] | one run of cargo |
//! | [`component`] | a WebAssembly component, made and read |
//! | [`rebuild`] | whether committed components are what their sources say |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod compile;
pub mod component;
pub mod environment;
pub mod flags;
pub mod rebuild;
pub mod toolchain;

pub use environment::Environment;
pub use toolchain::{Toolchain, ToolchainError};
