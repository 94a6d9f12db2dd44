//! The store as its callers see it: on a real disk, with faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod blob;
mod collect;
mod crash;
mod generation;
mod read;
mod scene;
mod stat_cache;
