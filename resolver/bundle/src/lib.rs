//! The `.shuttle` file: a fleet with everything it needs, sealed and opened with suspicion.
//!
//! | module | noun |
//! |---|---|
//! | [`member`] | the closed list of members, and their one order |
//! | [`statement`] | what a bundle says of its members, and what is signed |
//! | [`draft`] | sealing: from a lock and a store to bytes |
//! | [`shuttle`] | an opened bundle, and bringing its blobs into a store |
//! | [`legacy`] | bundles of version 1 |
//! | [`sbom`] | what the lock pins, for scanners |
//! | [`limits`] | how much a bundle may hold |
//! | [`error`] | why a bundle is not taken |
//!
//! A bundle is gzip over a tar of plain files. Opening one reads it once, from the first byte to the last, and
//! afterwards every rule of the format holds: each member is on the closed list, once and in its place; its bytes are
//! those that `bundle.json` promises; lock, declaration and statement agree; nothing that the lock names is lacking,
//! and nothing else is there. Who sealed it is not asked here: the signature is handed out unverified.
//!
//! It knows no network and no planning, and writes to nothing but the store that it is given.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod container;
mod content;
pub mod draft;
pub mod error;
pub mod legacy;
pub mod limits;
mod medium;
pub mod member;
mod open;
mod payload;
mod references;
pub mod sbom;
pub mod shuttle;
pub mod statement;

pub use draft::{Draft, Load};
pub use error::{Error, ErrorKind, Result};
pub use legacy::Legacy;
pub use limits::Limits;
pub use member::Member;
pub use shuttle::{Entry, Shuttle};
pub use statement::Predicate;
