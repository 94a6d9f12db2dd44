//! One binary for everything that this crate does on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod archives;
mod builds;
mod checks;
mod content;
mod fixture;
mod guests;
mod machine;
