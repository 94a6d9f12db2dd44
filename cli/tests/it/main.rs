//! What the program really prints, exits with and leaves on disk.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod apply;
mod basics;
mod bundles;
mod contract;
mod crash;
mod editing;
mod env;
mod errors;
mod fuzz_corpus;
mod house;
mod kernel;
mod keys;
mod locking;
mod packs_gaps;
mod packs_lifecycle;
mod packs_manifests;
mod packs_run;
mod packs_scene;
mod packs_trust;
mod prompts;
mod receipts;
mod refusals;
#[cfg(feature = "sign")]
mod signing;
mod transcripts;
mod trust;
mod verifying;
