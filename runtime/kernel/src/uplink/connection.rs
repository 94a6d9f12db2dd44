//! One connected client, its bounded outgoing queue, and the list of all that are connected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use astrid_authority::TopicPattern;
use astrid_bus::{Event, SourceId};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};

use super::frame::{self, MAX_FRAME_BYTES};
use super::handshake::Caller;
use crate::payload;

/// Most frames that wait for one client.
pub const MAX_QUEUED_FRAMES: usize = 1024;
/// Most bytes that wait for one client.
pub const MAX_QUEUED_BYTES: usize = 4 * 1024 * 1024;

/// A frame that is the same for every client that gets it.
pub(super) type Frame = Arc<[u8]>;

/// One connected client.
pub struct Connection {
    id: u64,
    source: SourceId,
    caller: Caller,
    patterns: RwLock<Vec<TopicPattern>>,
    queue: mpsc::Sender<Frame>,
    queued_bytes: AtomicUsize,
    closed: AtomicBool,
    closing: Notify,
}

#[derive(Serialize)]
struct OutboundText<'a> {
    topic: &'a str,
    payload: &'a RawValue,
    source_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What its publications come from.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Replaces what it receives.
    pub(super) fn receive(&self, patterns: Vec<TopicPattern>) {
        *write(&self.patterns) = patterns;
    }

    /// Queues a frame. A client that does not keep up is closed rather than waited for.
    pub(super) fn send(&self, frame: Frame) {
        let length = frame.len();
        let waiting = self.queued_bytes.fetch_add(length, Ordering::AcqRel) + length;
        if waiting > MAX_QUEUED_BYTES || self.queue.try_send(frame).is_err() {
            tracing::debug!(client = self.id, "closing a client that does not read");
            self.close();
        }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Ends it.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    /// Waits for its end.
    pub(super) async fn closed(&self) {
        loop {
            let closing = self.closing.notified();
            tokio::pin!(closing);
            closing.as_mut().enable();
            if self.closed.load(Ordering::Acquire) {
                return;
            }
            closing.await;
        }
    }

    fn wants(&self, event: &Event) -> bool {
        // What belongs to another principal is never seen; what belongs to nobody, by all.
        let own = match (&event.principal, self.caller.principal()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(owner), Some(own)) => owner == own,
        };
        own && read(&self.patterns).iter().any(|pattern| pattern.matches_subtree(&event.topic))
    }
}

/// All connected clients.
#[derive(Default)]
pub struct Connections {
    all: RwLock<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

impl Connections {
    /// Adds a client, with the receiving end of its queue.
    pub(super) fn add(
        &self,
        caller: Caller,
        source: SourceId,
        patterns: Vec<TopicPattern>,
    ) -> (Arc<Connection>, mpsc::Receiver<Frame>) {
        let (queue, frames) = mpsc::channel(MAX_QUEUED_FRAMES);
        let connection = Arc::new(Connection {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            source,
            caller,
            patterns: RwLock::new(patterns),
            queue,
            queued_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
        });
        write(&self.all).insert(connection.id, Arc::clone(&connection));
        (connection, frames)
    }

    pub(super) fn remove(&self, connection: &Connection) {
        write(&self.all).remove(&connection.id);
    }

    /// How many clients are connected.
    pub fn count(&self) -> usize {
        read(&self.all).len()
    }

    /// The names of the connected clients' principals, one for each client.
    pub fn callers(&self) -> Vec<String> {
        read(&self.all).values().map(|connection| connection.caller.name().to_owned()).collect()
    }

    /// The principals of the connected clients.
    pub fn principals(&self) -> BTreeSet<astrid_authority::PrincipalId> {
        read(&self.all).values().filter_map(|connection| connection.caller.principal().cloned()).collect()
    }

    /// Queues `event` at every client that may see it and asked for it. Never waits.
    pub fn deliver(&self, event: &Event) {
        let all = read(&self.all);
        let mut wanting = all.values().filter(|connection| connection.wants(event)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let bare = payload::guest_form(&event.payload);
        let Ok(payload) = serde_json::from_str::<&RawValue>(&bare) else {
            tracing::warn!(topic = %event.topic, "a payload that is no JSON is not delivered to clients");
            return;
        };
        let outbound = OutboundText {
            topic: event.topic.as_str(),
            payload,
            source_id: event.source.to_string(),
            principal: event.principal.as_ref().map(AsRef::as_ref),
        };
        let frame: Frame = match frame::encode(&outbound, MAX_FRAME_BYTES) {
            Ok(frame) => frame.into(),
            Err(error) => {
                tracing::warn!(topic = %event.topic, %error, "an event is not delivered to clients");
                return;
            }
        };
        for connection in wanting {
            connection.send(Arc::clone(&frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use astrid_authority::PrincipalId;

    fn owner() -> Caller {
        Caller::Principal(PrincipalId::default_user())
    }

    fn event(principal: Option<&str>) -> Event {
        Event::of_kernel("agent.v1.response".parse().unwrap(), r#"{"type":"raw_json","value":[1]}"#)
            .for_principal(principal.map(|name| name.parse().unwrap()))
    }

    fn connect(connections: &Connections, caller: Caller) -> (Arc<Connection>, mpsc::Receiver<Frame>) {
        let patterns = vec!["agent.v1.*".parse().unwrap()];
        connections.add(caller, SourceId::from_random([1; 16]), patterns)
    }

    #[test]
    fn the_payload_is_in_the_form_that_capsules_see() {
        let connections = Connections::default();
        let (_client, mut frames) = connect(&connections, owner());
        connections.deliver(&event(Some("default")));
        let frame = frames.try_recv().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&frame[4..]).unwrap();
        assert_eq!(value["payload"], serde_json::json!([1]));
        assert_eq!(value["principal"], "default");
    }

    #[test]
    fn what_belongs_to_others_is_denied() {
        let connections = Connections::default();
        let (client, mut frames) = connect(&connections, owner());
        let (_nobody, mut nothing) = connect(&connections, Caller::Anonymous);
        connections.deliver(&event(Some("ann")));
        assert!(frames.try_recv().is_err());
        connections.deliver(&event(None));
        assert!(frames.try_recv().is_ok());
        assert!(nothing.try_recv().is_err());
        connections.remove(&client);
        assert_eq!(connections.count(), 1);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_closed() {
        let connections = Connections::default();
        let (client, _frames) = connect(&connections, owner());
        for _ in 0..=MAX_QUEUED_FRAMES {
            connections.deliver(&event(Some("default")));
        }
        client.closed().await;
        let (client, _frames) = connect(&connections, owner());
        client.send(vec![0; MAX_QUEUED_BYTES + 1].into());
        client.closed().await;
    }
}
