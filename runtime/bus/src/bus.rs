//! Subscriptions and publishing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use astrid_authority::{PrincipalId, TopicPattern};
use tokio::sync::Notify;

use crate::event::{Event, MAX_HOPS};
use crate::index::{Matching, PatternIndex};
use crate::queue::{Batch, Queue, QueueLimits};

/// What a bus allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusLimits {
    /// Of each subscription.
    pub queue: QueueLimits,
    /// Most subscriptions that an event of a capsule may reach; the kernel's own reach all.
    pub fan_out: usize,
}

impl Default for BusLimits {
    fn default() -> Self {
        Self { queue: QueueLimits::default(), fan_out: 256 }
    }
}

/// Whose events a subscription receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of every principal, and the system's.
    All,
    /// Only those of one principal.
    Principal(PrincipalId),
    /// Those of one principal, and the system's.
    PrincipalAndSystem(PrincipalId),
    /// Only the system's.
    System,
}

impl Scope {
    /// Says whether `event` is received.
    #[must_use]
    pub fn admits(&self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Principal(own) => event.principal.as_ref() == Some(own),
            Self::PrincipalAndSystem(own) => event.principal.as_ref().is_none_or(|other| other == own),
            Self::System => event.principal.is_none(),
        }
    }
}

/// Why an event was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too many publications led to this one.
    #[error("more than {MAX_HOPS} publications follow from one another")]
    Depth,
    /// Too many subscriptions match.
    #[error("the event would reach {reached} subscriptions, {most} are allowed")]
    FanOut {
        /// How many match.
        reached: usize,
        /// How many may.
        most: usize,
    },
}

/// Who an event was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Its place among all events of the bus, from 1.
    pub sequence: u64,
    /// Subscriptions that queued it.
    pub subscribers: usize,
    /// Handlers that observers took it for.
    pub handlers: usize,
}

/// Sees every event as it is published: how the kernel dispatches handlers without losing one.
pub trait Observer: Send + Sync {
    /// Takes note of `event` and returns how many handlers get it. Must not block.
    fn observe(&self, event: &Arc<Event>) -> usize;
}

struct Route {
    id: u64,
    pattern: TopicPattern,
    scope: Scope,
    queue: Mutex<Queue>,
    arrived: Notify,
}

struct Shared {
    limits: BusLimits,
    routes: RwLock<PatternIndex<Arc<Route>>>,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
    next_route: AtomicU64,
    sequence: AtomicU64,
}

/// The bus. Clones are the same bus.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

/// A lock is never held across code that can panic, so a poisoned one still guards sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bus {
    /// A bus without subscriptions.
    #[must_use]
    pub fn new(limits: BusLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            routes: RwLock::new(PatternIndex::new(Matching::Subtree)),
            observers: RwLock::new(Vec::new()),
            next_route: AtomicU64::new(1),
            sequence: AtomicU64::new(0),
        }))
    }

    /// Adds an observer, for as long as the bus lives.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    /// Receives what matches `pattern` in its subtree, from this call on, until it is dropped.
    #[must_use]
    pub fn subscribe(&self, pattern: TopicPattern, scope: Scope) -> Subscription {
        let route = Arc::new(Route {
            id: self.0.next_route.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::new(Queue::new(self.0.limits.queue)),
            arrived: Notify::new(),
            pattern,
            scope,
        });
        let mut routes = self.0.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(&route.pattern, Arc::clone(&route));
        Subscription { bus: Arc::clone(&self.0), route }
    }

    /// Queues `event` at every subscription that matches, then shows it to the observers.
    ///
    /// Never waits: a subscription that is full loses its oldest events and counts them.
    ///
    /// # Errors
    /// When too many publications led to it, or it would reach too many subscriptions.
    pub fn publish(&self, event: Event) -> Result<Delivered, PublishError> {
        if event.hops > MAX_HOPS {
            return Err(PublishError::Depth);
        }
        let mut matching: Vec<Arc<Route>> = Vec::new();
        {
            let routes = self.0.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes.for_each_match(&event.topic, |route| {
                if route.scope.admits(&event) {
                    matching.push(Arc::clone(route));
                }
            });
        }
        let most = self.0.limits.fan_out;
        if matching.len() > most && !event.source.is_kernel() {
            return Err(PublishError::FanOut { reached: matching.len(), most });
        }
        let event = Arc::new(event);
        let sequence = self.0.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        for route in &matching {
            lock(&route.queue).push(Arc::clone(&event));
            route.arrived.notify_one();
        }
        let observers = self.0.observers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let handlers = observers.iter().map(|observer| observer.observe(&event)).sum();
        Ok(Delivered { sequence, subscribers: matching.len(), handlers })
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.0.routes.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A place where events wait for one receiver. Dropping it ends it.
pub struct Subscription {
    bus: Arc<Shared>,
    route: Arc<Route>,
}

impl Subscription {
    /// What it receives.
    #[must_use]
    pub fn pattern(&self) -> &TopicPattern {
        &self.route.pattern
    }

    /// Says whether an event waits.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !lock(&self.route.queue).is_empty()
    }

    /// Takes what waits now: up to `most` events of one principal.
    #[must_use]
    pub fn poll(&self, most: usize) -> Batch {
        lock(&self.route.queue).take(most)
    }

    /// Waits until an event is there. Returns at once if one is.
    pub async fn ready(&self) {
        loop {
            let arrived = self.route.arrived.notified();
            if self.is_ready() {
                return;
            }
            arrived.await;
        }
    }

    /// Takes up to `most` events of one principal; waits up to `timeout` for the first.
    ///
    /// When nothing comes in time the batch is empty.
    pub async fn recv(&self, most: usize, timeout: Duration) -> Batch {
        // A timeout is no failure: what is there then, perhaps nothing, is the answer.
        let _ = tokio::time::timeout(timeout, self.ready()).await;
        self.poll(most)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let id = self.route.id;
        let mut routes = self.bus.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(&self.route.pattern, |route| route.id == id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SourceId;

    fn event(topic: &str, payload: &str) -> Event {
        Event::of_kernel(topic.parse().unwrap(), payload)
    }

    fn of(principal: &str, topic: &str) -> Event {
        event(topic, "1").for_principal(Some(principal.parse().unwrap()))
    }

    #[tokio::test]
    async fn a_reply_right_after_subscribing_is_received() {
        let bus = Bus::new(BusLimits::default());
        let replies = bus.subscribe("reply.*".parse().unwrap(), Scope::All);
        let delivered = bus.publish(event("reply.1", "{}")).unwrap();
        assert_eq!(delivered, Delivered { sequence: 1, subscribers: 1, handlers: 0 });
        assert_eq!(replies.recv(8, Duration::from_mins(1)).await.events.len(), 1);
        assert!(replies.poll(8).is_empty());
    }

    #[tokio::test]
    async fn a_receiver_wakes_up_for_what_comes_later() {
        let bus = Bus::new(BusLimits::default());
        let replies = bus.subscribe("a".parse().unwrap(), Scope::All);
        let receiver = tokio::spawn(async move { replies.recv(8, Duration::from_mins(1)).await });
        tokio::task::yield_now().await;
        bus.publish(event("a", "{}")).unwrap();
        assert_eq!(receiver.await.unwrap().events.len(), 1);
    }

    #[tokio::test]
    async fn nothing_in_time_is_an_empty_batch() {
        let bus = Bus::new(BusLimits::default());
        let nothing = bus.subscribe("a".parse().unwrap(), Scope::All);
        assert!(nothing.recv(8, Duration::ZERO).await.is_empty());
    }

    #[test]
    fn other_principals_events_are_denied() {
        let bus = Bus::new(BusLimits::default());
        let own: PrincipalId = "ann".parse().unwrap();
        let scopes = [
            (Scope::All, 3),
            (Scope::Principal(own.clone()), 1),
            (Scope::PrincipalAndSystem(own), 2),
            (Scope::System, 1),
        ];
        for (scope, expected) in scopes {
            let subscription = bus.subscribe("*".parse().unwrap(), scope.clone());
            for event in [of("ann", "a"), of("bob", "a"), event("a", "1")] {
                bus.publish(event).unwrap();
            }
            let received: usize = (0..3).map(|_| subscription.poll(9).events.len()).sum();
            assert_eq!(received, expected, "{scope:?}");
        }
        assert_eq!(bus.subscriptions(), 0, "dropped ones are gone");
    }

    #[test]
    fn too_deep_and_too_wide_are_denied() {
        let bus = Bus::new(BusLimits { fan_out: 1, ..BusLimits::default() });
        let deep = Event { hops: MAX_HOPS + 1, ..event("a", "1") };
        assert_eq!(bus.publish(deep), Err(PublishError::Depth));
        let _both: Vec<_> = (0..2).map(|_| bus.subscribe("a".parse().unwrap(), Scope::All)).collect();
        let guest = Event { source: SourceId::from_random([7; 16]), ..event("a", "1") };
        assert_eq!(bus.publish(guest), Err(PublishError::FanOut { reached: 2, most: 1 }));
        assert_eq!(bus.publish(event("a", "1")).unwrap().subscribers, 2, "the kernel's own reach all");
    }

    #[test]
    fn observers_see_every_event_once() {
        struct Count(AtomicU64);
        impl Observer for Count {
            fn observe(&self, _: &Arc<Event>) -> usize {
                self.0.fetch_add(1, Ordering::Relaxed);
                2
            }
        }
        let bus = Bus::new(BusLimits::default());
        let count = Arc::new(Count(AtomicU64::new(0)));
        bus.observe(count.clone());
        assert_eq!(bus.publish(event("a", "1")).unwrap().handlers, 2);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
