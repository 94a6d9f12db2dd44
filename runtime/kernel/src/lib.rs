//! Runs the current generation, and nothing else: boot, dispatch, convergence, the uplink socket.
//!
//! | module | noun |
//! |---|---|
//! | [`kernel`] | everything together: boot, status, shutdown |
//! | [`generation`] | what a generation on disk wants to run |
//! | [`fleet`] | the capsules that run, and going from one generation to another |
//! | [`order`] | which capsule starts first |
//! | [`dispatch`] | which capsule is called for an event, and what becomes of its answer |
//! | [`health`] | how capsules are doing, and when one that crashes is tried again |
//! | [`hooks`] | what capsules do once, when they are installed or upgraded |
//! | [`tools`] | what capsules say about their tools, and whether it is what was reviewed |
//! | [`probe`] | what must work before a capsule counts as healthy |
//! | [`status`] | what the kernel says about itself |
//! | [`payload`] | the two forms of a payload |
//! | [`uplink`] | the socket |
//!
//! On disk it reads `generations/current` and `store/`, and writes `run/system.*`, `keys/`,
//! `var/state.redb`, `var/tools/` and `store/compiled/`.
//!
//! The kernel must never learn how a generation came to be, nor what a model or a tool is about.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod dispatch;
pub mod fleet;
pub mod generation;
pub mod health;
pub mod hooks;
pub mod kernel;
mod member;
pub mod order;
pub mod payload;
pub mod probe;
mod requests;
pub mod status;
pub mod tools;
pub mod uplink;

pub use fleet::FleetSpec;
pub use kernel::{Kernel, KernelError, KernelOptions, KernelPorts};
pub use member::MemberSpec;
pub use status::{CapsuleState, CapsuleStatus, Converged, GenerationStatus, Status, ToolStatus};
