//! Which handler takes an event, and in which order.

use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, Topic, TopicPattern};

use crate::index::{Matching, PatternIndex};

/// The priority of a handler that declares none; lower runs earlier.
pub const DEFAULT_PRIORITY: u32 = 100;

/// One handler: the action that a capsule is invoked with for an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handler {
    /// Lower runs earlier; equal ones are independent of each other.
    pub priority: u32,
    /// The capsule.
    pub capsule: CapsuleName,
    /// What it is invoked with.
    pub action: String,
}

/// The handlers of all capsules, by strict patterns.
#[derive(Debug)]
pub struct HandlerIndex {
    index: PatternIndex<Handler>,
    patterns: BTreeMap<CapsuleName, Vec<TopicPattern>>,
}

impl Default for HandlerIndex {
    fn default() -> Self {
        Self { index: PatternIndex::new(Matching::Strict), patterns: BTreeMap::new() }
    }
}

impl HandlerIndex {
    /// Adds a handler for `pattern`.
    pub fn insert(&mut self, pattern: TopicPattern, handler: Handler) {
        self.patterns.entry(handler.capsule.clone()).or_default().push(pattern.clone());
        self.index.insert(&pattern, handler);
    }

    /// Removes every handler of `capsule`; returns how many there were.
    pub fn remove_capsule(&mut self, capsule: &CapsuleName) -> usize {
        let patterns = self.patterns.remove(capsule).unwrap_or_default();
        patterns.iter().map(|pattern| self.index.remove(pattern, |handler| handler.capsule == *capsule)).sum()
    }

    /// The handlers for `topic`: by priority, then capsule, then action. None comes twice.
    #[must_use]
    pub fn matching(&self, topic: &Topic) -> Vec<&Handler> {
        let mut found = Vec::new();
        self.index.for_each_match(topic, |handler| found.push(handler));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How many handlers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(capsule: &str, priority: u32) -> Handler {
        Handler { priority, capsule: capsule.parse().unwrap(), action: "handle".to_owned() }
    }

    #[test]
    fn handlers_come_by_priority_and_once() {
        let mut handlers = HandlerIndex::default();
        handlers.insert("a.*".parse().unwrap(), handler("late", DEFAULT_PRIORITY));
        handlers.insert("a.b".parse().unwrap(), handler("early", 1));
        handlers.insert("a.b".parse().unwrap(), handler("late", DEFAULT_PRIORITY));
        let names: Vec<_> = handlers.matching(&"a.b".parse().unwrap()).into_iter().cloned().collect();
        assert_eq!(names, [handler("early", 1), handler("late", DEFAULT_PRIORITY)]);
    }

    #[test]
    fn handlers_of_a_subtree_or_a_removed_capsule_are_denied() {
        let mut handlers = HandlerIndex::default();
        handlers.insert("a.*".parse().unwrap(), handler("x", 1));
        assert!(handlers.matching(&"a.b.c".parse().unwrap()).is_empty());
        assert_eq!(handlers.remove_capsule(&"x".parse().unwrap()), 1);
        assert!(handlers.matching(&"a.b".parse().unwrap()).is_empty() && handlers.is_empty());
    }
}
