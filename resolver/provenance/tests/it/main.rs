//! What is taken and what is not, against a Sigstore in memory and against bundles of real packages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod accepted;
mod bench_of_cases;
mod case;
mod denied;
mod documents;
mod keys;
mod real;
mod roots;
mod rules;
mod windows;
