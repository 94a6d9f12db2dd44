//! From a declaration to a fleet: sources, solving, the lock, the planner, trust, apply, drift.
//!
//! Every stage is a type, and a stage can only be made from the one before it.
//!
//! | module | noun |
//! |---|---|
//! | [`error`] | what can go wrong, and its exit code |
//! | [`progress`] | who is told about long work |
//! | [`origin`] | where a declaration came from |
//! | [`source`] | where artifacts come from: git, releases, index folders |
//! | [`solve`] | one version for every member, or why there is none |
//! | [`graph`] | who needs whom |
//! | [`plan`] | what leads from a generation to a lock, and what authority that gives |
//! | [`policy`] | what a home and a distro forbid, together |
//! | [`trust`] | acknowledgements, beliefs, floors, and the gate to a trusted plan |
//! | [`variables`] | from templates to the settings of each capsule |
//! | [`secrets`] | secrets at rest |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod context;
pub mod error;
mod fetch;
pub mod graph;
pub mod origin;
pub mod plan;
pub mod policy;
pub mod progress;
pub mod secrets;
pub mod solve;
pub mod source;
pub mod trust;
pub mod variables;

pub use error::{Error, ErrorKind, Place, Result};
pub use origin::Origin;
pub use progress::Progress;
