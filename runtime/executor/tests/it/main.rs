//! Executors, really run: processes, their logs, what they are given and what they leave.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod running;
mod scene;
mod tasks;
