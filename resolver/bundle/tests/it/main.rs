//! Shuttles as their callers see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod differential;
mod forged;
mod legacy;
mod parts;
mod refused;
mod round_trip;
mod scene;
