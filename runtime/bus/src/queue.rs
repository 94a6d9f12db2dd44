//! A bounded queue of events that is fair between principals and counts what it loses.
//!
//! Each principal has a lane, first in first out; lanes take turns. When the queue is full the
//! oldest event of the lane that takes the most goes, so that one busy principal can't push out
//! the events of a quiet one, and the end of a stream survives its beginning.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use astrid_authority::PrincipalId;

use crate::event::Event;

/// How much a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most events.
    pub events: usize,
    /// Most bytes of topics and payloads. One event that is larger still fits an empty queue.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { events: 16_384, bytes: 1 << 20 }
    }
}

/// What was taken from a queue at once: events of one principal, and what was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they were published.
    pub events: Vec<Arc<Event>>,
    /// Events lost since the last batch.
    pub dropped: u64,
    /// Events lost since the subscription began.
    pub lagged: u64,
}

impl Batch {
    /// True when there is no event in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

/// The queue. It has no lock: [`crate::Bus`] puts one around it.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    lanes: HashMap<Option<PrincipalId>, Lane>,
    /// Lanes that hold something, in the order in which they take turns.
    turns: VecDeque<Option<PrincipalId>>,
    events: usize,
    bytes: usize,
    dropped: u64,
    lagged: u64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            events: 0,
            bytes: 0,
            dropped: 0,
            lagged: 0,
        }
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events
    }

    /// True when no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Adds `event`, and lets the oldest of the largest lane go as long as the queue is too full.
    pub fn push(&mut self, event: Arc<Event>) {
        let bytes = event.bytes();
        while self.events > 0
            && (self.events >= self.limits.events || self.bytes.saturating_add(bytes) > self.limits.bytes)
        {
            self.evict(event.principal.as_ref());
        }
        let lane = match self.lanes.get_mut(&event.principal) {
            Some(lane) => lane,
            None => self.lanes.entry(event.principal.clone()).or_default(),
        };
        if lane.events.is_empty() {
            self.turns.push_back(event.principal.clone());
        }
        lane.bytes += bytes;
        lane.events.push_back(event);
        self.events += 1;
        self.bytes += bytes;
    }

    /// Takes up to `most` events of the principal whose turn it is, and the counts of lost ones.
    pub fn take(&mut self, most: usize) -> Batch {
        let mut batch =
            Batch { events: Vec::new(), dropped: std::mem::take(&mut self.dropped), lagged: self.lagged };
        let Some(turn) = self.turns.pop_front() else { return batch };
        while batch.events.len() < most {
            let Some(event) = self.pop(turn.as_ref()) else { break };
            batch.events.push(event);
        }
        if self.lanes.contains_key(&turn) {
            self.turns.push_back(turn);
        }
        batch
    }

    /// Takes the oldest event of a lane, and drops the lane when it is empty. `turns` is not touched.
    fn pop(&mut self, principal: Option<&PrincipalId>) -> Option<Arc<Event>> {
        let key = principal.cloned();
        let lane = self.lanes.get_mut(&key)?;
        let event = lane.events.pop_front()?;
        lane.bytes -= event.bytes();
        self.bytes -= event.bytes();
        self.events -= 1;
        if lane.events.is_empty() {
            self.lanes.remove(&key);
        }
        Some(event)
    }

    fn evict(&mut self, newcomer: Option<&PrincipalId>) {
        // The common case is one lane that is over its share: found without looking at the others.
        let share = self.bytes / self.lanes.len().max(1);
        let newcomer = newcomer.cloned();
        let victim = if self.lanes.get(&newcomer).is_some_and(|lane| lane.bytes >= share) {
            newcomer
        } else {
            let Some((largest, _)) = self.lanes.iter().max_by_key(|(_, lane)| lane.bytes) else { return };
            largest.clone()
        };
        if self.pop(victim.as_ref()).is_some() {
            self.dropped += 1;
            self.lagged += 1;
        }
        if !self.lanes.contains_key(&victim) {
            self.turns.retain(|turn| *turn != victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(principal: &str, payload: &str) -> Arc<Event> {
        let event = Event::of_kernel("a.b".parse().unwrap(), payload);
        Arc::new(event.for_principal(Some(principal.parse().unwrap())))
    }

    fn payloads(batch: &Batch) -> Vec<&str> {
        batch.events.iter().map(|event| &*event.payload).collect()
    }

    #[test]
    fn principals_take_turns_and_keep_their_order() {
        let mut queue = Queue::new(QueueLimits::default());
        for (who, what) in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "x")] {
            queue.push(event(who, what));
        }
        assert_eq!(payloads(&queue.take(2)), ["1", "2"]);
        assert_eq!(payloads(&queue.take(2)), ["x"]);
        assert_eq!(payloads(&queue.take(2)), ["3"]);
        assert!(queue.take(2).is_empty() && queue.is_empty());
    }

    #[test]
    fn the_oldest_of_the_busiest_go_and_are_counted() {
        let mut queue = Queue::new(QueueLimits { events: 3, bytes: 1 << 20 });
        queue.push(event("quiet", "keep"));
        for what in ["1", "2", "3", "4"] {
            queue.push(event("busy", what));
        }
        let first = queue.take(9);
        assert_eq!((payloads(&first), first.dropped, first.lagged), (vec!["keep"], 2, 2));
        let second = queue.take(9);
        assert_eq!((payloads(&second), second.dropped, second.lagged), (vec!["3", "4"], 0, 2));
    }

    #[test]
    fn an_event_larger_than_the_queue_fits_alone() {
        let mut queue = Queue::new(QueueLimits { events: 8, bytes: 16 });
        queue.push(event("a", "small"));
        queue.push(event("a", &"x".repeat(64)));
        let batch = queue.take(9);
        assert_eq!((batch.events.len(), batch.dropped), (1, 1));
    }
}
