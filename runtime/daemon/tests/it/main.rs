//! A kernel in a process of its own: started, asked, killed, stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "the kernel's own tests use the rest of it")]
#[path = "../../../kernel/tests/it/home.rs"]
mod home;

mod background;
mod hooks;
