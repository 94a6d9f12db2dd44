//! From a capsule's sources to a deterministic archive.
//!
//! This crate compiles, packs and checks. It must never run a guest: whoever wants its tools described
//! brings a [`tools::Describe`]. It installs nothing, and reads no environment but the one it is given.
//!
//! | module | noun |
//! |---|---|
//! | [`environment`] | the variables that a build may see |
//! | [`toolchain`] | a compiler that can make guests |
//! | [`flags`] | compiler flags: the author's own and ours |
//! | [`compile`] | one run of cargo |
//! | [`component`] | a WebAssembly component, made from a module |
//! | [`project`] | a capsule's folder and manifest |
//! | [`scan`] | tools and handlers that sources declare |
//! | [`tools`] | `tools.json`, and the port that asks for it |
//! | [`mod@check`] | whether manifest, sources, tools and component agree |
//! | [`archive`] | the `.capsule` |
//! | [`mod@build`] | all of this in order |
//! | [`rebuild`] | whether committed components are what their sources say |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod archive;
pub mod build;
pub mod check;
pub mod compile;
pub mod component;
pub mod environment;
pub mod flags;
pub mod project;
pub mod rebuild;
pub mod scan;
pub mod toolchain;
pub mod tools;
mod write;

pub use archive::{ArchiveError, Packed, pack};
pub use build::{BuildError, Built, Request, build};
pub use check::{CheckError, check};
pub use environment::Environment;
pub use project::{Project, ProjectError};
pub use toolchain::{Toolchain, ToolchainError};
pub use tools::{Describe, DescribeError};
