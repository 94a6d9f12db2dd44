//! Who gets which event: topics, routing, fair queues and backpressure.
//!
//! The bus delivers inside one process. It must never learn about WebAssembly, sockets or what a
//! payload means; who may publish or subscribe is decided by its callers, over
//! `astrid_authority::Capabilities`.
//!
//! | module | noun |
//! |---|---|
//! | [`event`] | one message on a topic, and who it comes from |
//! | [`index`] | patterns in a trie: the cost of a lookup does not grow with their number |
//! | [`queue`] | a bounded queue that is fair between principals and counts what it loses |
//! | [`bus`] | subscriptions and publishing |
//! | [`handlers`] | which handler takes an event, in which order |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bus;
pub mod event;
pub mod handlers;
pub mod index;
pub mod queue;

pub use bus::{Bus, BusLimits, Delivered, Observer, PublishError, Scope, Subscription};
pub use event::{Event, MAX_HOPS, SourceId};
pub use handlers::{DEFAULT_PRIORITY, Handler, HandlerIndex};
pub use index::{Matching, PatternIndex};
pub use queue::{Batch, QueueLimits};
