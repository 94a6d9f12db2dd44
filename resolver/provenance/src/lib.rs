//! Who made these bytes: Sigstore bundles, ed25519 signatures, trust roots, and rules about signers.
//!
//! | module | noun |
//! |---|---|
//! | [`error`] | why a signature, key or root is not taken |
//! | [`key`] | ed25519 keys and their text forms |
//! | [`statement`] | in-toto statements: which bytes something is said about |
//! | [`envelope`] | statements signed by a key, as Sigstore bundles |
//! | [`endorsement`] | keys that name their successors |
//! | [`bundle`] | Sigstore bundles: a signature and what proves it |
//! | [`root`] | trust roots: the logs and authorities whose word counts |
//! | [`verify`] | whose signature a bundle holds over some bytes |
//! | `keyless` | signing without a key of one's own, with the feature `sign` |
//! | [`rule`] | whether a rule admits that signer |
//!
//! It opens no file and no socket. Time comes from the bundles. The clock is read by the Sigstore crate, which
//! takes nothing from the future, and to explain such a refusal.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bundle;
pub mod endorsement;
pub mod envelope;
pub mod error;
mod json;
pub mod key;
#[cfg(feature = "sign")]
pub mod keyless;
pub mod root;
pub mod rule;
mod sigstore;
pub mod statement;
pub mod verify;

pub use bundle::Bundle;
pub use error::{Error, ErrorKind, Result};
pub use key::{PublicKey, SigningKey};
pub use root::TrustRoot;
pub use statement::{Digests, Statement};
pub use verify::{Artifact, Verified, Verifier};
