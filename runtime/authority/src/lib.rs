//! What may be done, as values: the ground floor of Astrid.
//!
//! Everything here is a pure decision over values. This crate must never learn about files,
//! sockets, WebAssembly or any other crate of the project: every other crate builds on it.
//!
//! | module | noun |
//! |---|---|
//! | [`digest`] | a BLAKE3 digest, `blake3:` and 64 hexadecimal digits |
//! | [`name`] | names of capsules, packs, distros, interfaces, principals |
//! | [`topic`] | topics, topic patterns, and the two ways of matching them |
//! | [`scope`] | what a grant covers: paths, hosts, addresses, commands |
//! | [`grant`] | one thing that may be done |
//! | [`capability`] | what a capsule's manifest asks for, and the decisions over it |
//! | [`set`] | canonical sets of grants, their digest and their difference |
//! | [`ceiling`] | what a policy forbids whatever was declared |
//! | [`permission`] | the six disclosed permissions of a pack |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod capability;
pub mod ceiling;
pub mod digest;
pub mod glob;
pub mod grant;
pub mod name;
pub mod permission;
pub mod scope;
pub mod set;
pub mod topic;

pub use capability::Capabilities;
pub use ceiling::{Ceiling, DenyRule};
pub use digest::Digest;
pub use grant::{Grant, GrantKind};
pub use name::{ActionId, CapsuleName, DistroId, EnvKey, InterfaceId, PackId, PrincipalId};
pub use permission::{Permission, PermissionId};
pub use set::{AuthorityDiff, AuthoritySet, Widening};
pub use topic::{Topic, TopicPattern};
