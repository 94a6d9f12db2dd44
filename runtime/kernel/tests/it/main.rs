//! The kernel from outside: its socket, and fleets of real components.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod home;
mod kernel;
mod uplink;
