//! From a declaration to a fleet: sources, solving, the lock, the planner, trust, apply, drift.
//!
//! Every stage is a type, and a stage can only be made from the one before it.
//!
//! | module | noun |
//! |---|---|
//! | [`declaration`] | what people wrote, the lock beside it, and where both came from |
//! | [`resolution`] | exact versions for everything that is declared |
//! | [`mod@verified`] | bytes in the store, compared with every claim: the only thing that can be locked |
//! | [`bundle`] | an opened `.shuttle`: who sealed it, and what its bytes are |
//! | [`sealing`] | from a verified fleet to a `.shuttle` |
//! | [`keyring`] | the keys of a person, and the home's own for receipts |
//! | [`lock_state`] | whether a lock is fresh, and how two locks differ |
//! | [`aside`] | from a run that only looked to the home |
//! | [`artifact`] | what the bytes of a capsule or pack say they are |
//! | [`context`] | home, store, clock, randomness and network, as parameters |
//! | [`endorsement`] | keys that name their successors, beside a declaration |
//! | [`error`] | what can go wrong, and its exit code |
//! | [`progress`] | who is told about long work |
//! | [`origin`] | where a declaration came from |
//! | [`source`] | where artifacts come from: git, releases, index folders |
//! | [`solve`] | one version for every member, or why there is none |
//! | [`graph`] | who needs whom |
//! | [`signing`] | what a signature is about, and where its bundle is put |
//! | [`plan`] | what leads from a generation to a lock, and what authority that gives |
//! | [`policy`] | what a home and a distro forbid, together |
//! | [`trust`] | acknowledgements, beliefs, floors, and the gate to a trusted plan |
//! | [`variables`] | from templates to the settings of each capsule |
//! | [`secrets`] | secrets at rest |
//! | [`observed`] | what is really there |
//! | [`drift`] | whether that is what was declared |
//! | [`proposal`] | from a verified fleet and a home to a plan |
//! | [`saved_plan`] | a plan as a file, applied once |
//! | [`apply`] | from a trusted plan to a generation |
//! | [`mod@discover`] | what packs are around, and what they offer and disclose |
//! | [`receipt`] | what a generation is made of, signed by its home |
//! | [`pack`] | where a pack is, which are installed, and what they were before |
//! | [`pack_folder`] | a pack on disk, checked whole |
//! | [`rollback`] | back to an earlier generation |
//! | [`history`] | what was switched, when and by whom |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod apply;
pub mod artifact;
pub mod aside;
mod brought;
pub mod bundle;
pub mod context;
pub mod declaration;
pub mod discover;
pub mod drift;
pub mod endorsement;
pub mod error;
mod fetch;
mod first_seen;
pub mod gate;
pub mod graph;
pub mod history;
mod index;
pub mod keyring;
pub mod lock_state;
pub mod observed;
pub mod origin;
pub mod pack;
pub mod pack_folder;
pub mod plan;
pub mod policy;
pub mod progress;
pub mod proposal;
pub mod receipt;
pub mod resolution;
pub mod rollback;
pub mod saved_plan;
pub mod sealing;
pub mod secrets;
pub mod signing;
pub mod solve;
pub mod source;
pub mod trust;
pub mod variables;
pub mod verified;

pub use context::{Clock, Context, Entropy, Network};
pub use declaration::{Declaration, Target};
pub use error::{Error, ErrorKind, Place, Result};
pub use gate::Provenance;
pub use origin::Origin;
pub use progress::Progress;
pub use resolution::{LockMode, Request, Resolution, Upgrade, resolve};
pub use verified::{Freshness, VerifiedFleet, fetch, verified, verify};
