//! The files people write, and the lock: types, parsing, diagnostics, JSON Schema.
//!
//! Nothing here reads a file, a clock or the environment: texts and bytes come in, values and
//! complaints go out. What a manifest asks for is expressed in `astrid_authority`'s types.
//!
//! | module | noun |
//! |---|---|
//! | [`diagnostic`] | complaints with their place, all at once |
//! | [`distro`] | `Distro.toml`: what a fleet should be |
//! | [`lock`] | `Distro.lock`: exactly what it became |
//! | [`capsule`] | `Capsule.toml`: what a capsule asks for and offers |
//! | [`pack`] | `pack.yaml`, executors, orchestrators, elements, and packs as a whole |
//! | [`component`] | what the bytes of a component can do |
//! | [`trust`] | `trust/*.toml`: acknowledgements |
//! | [`policy`] | `etc/policy.toml`: what the owner of a home demands |
//! | [`edit`] | changes of a declaration that keep comments |
//! | [`schema`] | JSON Schemas, for editors |
//! | [`validate`] | checking a file by its name |
//! | [`source`] | where something comes from, in one syntax |
//! | [`signer`], [`key`], [`subject`], [`version`], [`template`], [`period`] | the values in those files |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod canonical;
pub mod capsule;
#[cfg(test)]
mod complaint_tests;
pub mod component;
pub mod diagnostic;
pub mod distro;
mod document;
pub mod edit;
pub mod key;
pub mod lock;
pub mod pack;
pub mod period;
pub mod policy;
pub mod schema;
pub mod signer;
pub mod source;
pub mod subject;
pub mod template;
pub mod trust;
pub mod validate;
pub mod version;

pub use capsule::{CapsuleManifest, Strictness};
pub use component::{
    ComponentError, ComponentSurface, EffectiveAuthority, UngrantedImport, effective_authority, inspect,
};
pub use diagnostic::{Diagnostic, Diagnostics, Parsed, Position, Severity};
pub use distro::{Distro, manifest_hash};
pub use document::{MAX_DEPTH, MAX_DISTRO_BYTES, MAX_ENTRIES, MAX_FILE_BYTES, MAX_LOCK_BYTES};
pub use lock::Lock;
pub use pack::PackManifest;
pub use period::Period;
pub use policy::HomePolicy;
pub use signer::Signer;
pub use source::Source;
pub use subject::{Subject, SubjectPattern};
pub use template::Template;
pub use trust::{Ack, AckFile};
pub use version::{PLATFORM_COMPAT, Requirement, platform_admits};
