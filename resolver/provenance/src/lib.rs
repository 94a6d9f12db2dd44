//! Who made these bytes: Sigstore bundles, ed25519 signatures, trust roots, and rules about signers.
//!
//! | module | noun |
//! |---|---|
//! | [`error`] | why a signature, key or root is not taken |
//! | [`key`] | ed25519 keys and their text forms |
//! | [`statement`] | in-toto statements: which bytes something is said about |
//! | [`envelope`] | statements signed by a key, as Sigstore bundles |
//!
//! It opens no file and no socket. Time comes from the bundles, never from the clock.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod envelope;
pub mod error;
pub mod key;
pub mod statement;

pub use error::{Error, ErrorKind, Result};
pub use key::{PublicKey, SigningKey};
pub use statement::{Digests, Statement};
