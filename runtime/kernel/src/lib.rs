//! Boot, converge to a generation, lifecycle, dispatch, the uplink socket.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod dispatch;
pub mod payload;
pub mod uplink;
