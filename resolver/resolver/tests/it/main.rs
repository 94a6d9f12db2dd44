//! Tests of the resolver against real folders, git repositories and loopback servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod applying;
mod attacks;
mod attacks_provenance;
mod crash;
mod fixture;
mod git;
mod index;
mod locking;
mod proving;
mod release;
mod support;
