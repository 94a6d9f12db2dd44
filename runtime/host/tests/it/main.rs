//! Real components against the host: what is granted works, what is not is refused, and what
//! crashes takes nothing with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod events;
mod fixture;
mod gates;
mod linking;
mod resources;
