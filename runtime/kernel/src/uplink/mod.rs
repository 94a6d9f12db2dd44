//! The native uplink: the socket over which people's tools talk to the kernel.
//!
//! | module | noun |
//! |---|---|
//! | [`frame`] | length-prefixed frames and their limits |
//! | [`message`] | what the frames hold |
//! | [`key`] | the key with which a principal proves who it is |
//! | [`handshake`] | who may connect, and as which principal |
//! | [`endpoint`] | the files under `run/`: lock, socket, token, pid, ready |
//! | [`access`] | which topics a principal may send and receive |
//! | [`connection`] | one connected client and its bounded outgoing queue |
//! | [`server`] | accepts connections, reads frames, answers |
//!
//! The uplink must never decide what a request does: it hands what arrives, with a verified
//! principal, to a [`server::Service`].

pub mod access;
pub mod connection;
pub mod endpoint;
pub mod frame;
pub mod handshake;
pub mod key;
pub mod message;
pub mod server;
