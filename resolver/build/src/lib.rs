//! From a capsule's sources to a deterministic archive.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod component;
