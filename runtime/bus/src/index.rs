//! Patterns in a trie over topic segments.
//!
//! A lookup walks the segments of the topic, at most 8, and branches only where a `*` was
//! declared: its cost depends on the topic and on what matches, not on how many patterns there are.

use std::collections::HashMap;

use astrid_authority::{Topic, TopicPattern};

/// Which of the two ways of matching an index uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// As delivery does: a trailing `*` is one or more segments.
    Subtree,
    /// As handlers do: each `*` is exactly one segment.
    Strict,
}

/// Values under patterns.
#[derive(Debug)]
pub struct PatternIndex<T> {
    root: Node<T>,
    matching: Matching,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    children: HashMap<Box<str>, Node<T>>,
    any: Option<Box<Node<T>>>,
    /// Values whose pattern ends here.
    here: Vec<T>,
    /// Values whose pattern ends here with a `*` that stands for one or more segments.
    below: Vec<T>,
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { children: HashMap::new(), any: None, here: Vec::new(), below: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }
}

impl<T> PatternIndex<T> {
    /// An empty index.
    #[must_use]
    pub fn new(matching: Matching) -> Self {
        Self { root: Node::new(), matching, len: 0 }
    }

    /// How many values are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `value` under `pattern`; a pattern may hold many values.
    pub fn insert(&mut self, pattern: &TopicPattern, value: T) {
        let mut node = &mut self.root;
        let mut segments = pattern.as_str().split('.').peekable();
        while let Some(segment) = segments.next() {
            if segment != "*" {
                node = node.children.entry(segment.into()).or_insert_with(Node::new);
            } else if self.matching == Matching::Subtree && segments.peek().is_none() {
                node.below.push(value);
                self.len += 1;
                return;
            } else {
                node = node.any.get_or_insert_with(|| Box::new(Node::new()));
            }
        }
        node.here.push(value);
        self.len += 1;
    }

    /// Removes the values under exactly `pattern` for which `remove` says so; returns how many.
    pub fn remove(&mut self, pattern: &TopicPattern, mut remove: impl FnMut(&T) -> bool) -> usize {
        let segments: Vec<&str> = pattern.as_str().split('.').collect();
        let removed = remove_in(&mut self.root, &segments, self.matching, &mut remove);
        self.len -= removed;
        removed
    }

    /// Calls `found` for each value whose pattern matches `topic`, in no particular order.
    pub fn for_each_match<'a>(&'a self, topic: &Topic, mut found: impl FnMut(&'a T)) {
        visit(&self.root, topic.as_str(), &mut found);
    }
}

fn remove_in<T>(
    node: &mut Node<T>,
    segments: &[&str],
    matching: Matching,
    remove: &mut impl FnMut(&T) -> bool,
) -> usize {
    let drop_from = |values: &mut Vec<T>, remove: &mut dyn FnMut(&T) -> bool| {
        let before = values.len();
        values.retain(|value| !remove(value));
        before - values.len()
    };
    match segments {
        [] => drop_from(&mut node.here, remove),
        ["*"] if matching == Matching::Subtree => drop_from(&mut node.below, remove),
        ["*", rest @ ..] => {
            let Some(child) = node.any.as_mut() else { return 0 };
            let removed = remove_in(child, rest, matching, remove);
            if child.is_empty() {
                node.any = None;
            }
            removed
        }
        [segment, rest @ ..] => {
            let Some(child) = node.children.get_mut(*segment) else { return 0 };
            let removed = remove_in(child, rest, matching, remove);
            if child.is_empty() {
                node.children.remove(*segment);
            }
            removed
        }
    }
}

/// `rest` is what is left of the topic below `node`; never empty.
fn visit<'a, T>(node: &'a Node<T>, rest: &str, found: &mut impl FnMut(&'a T)) {
    node.below.iter().for_each(&mut *found);
    let (segment, deeper) = match rest.split_once('.') {
        Some((segment, deeper)) => (segment, Some(deeper)),
        None => (rest, None),
    };
    let children = [node.children.get(segment), node.any.as_deref()];
    for child in children.into_iter().flatten() {
        match deeper {
            Some(deeper) => visit(child, deeper, found),
            None => child.here.iter().for_each(&mut *found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(index: &PatternIndex<&'static str>, topic: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        index.for_each_match(&topic.parse().unwrap(), |value| found.push(*value));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_trailing_star_covers_the_subtree_only_in_delivery() {
        for (matching, expected) in [(Matching::Subtree, vec!["a"]), (Matching::Strict, vec![])] {
            let mut index = PatternIndex::new(matching);
            index.insert(&"a.*".parse().unwrap(), "a");
            assert_eq!(matches(&index, "a.b.c"), expected, "{matching:?}");
            assert_eq!(matches(&index, "a.b"), ["a"], "{matching:?}");
            assert!(matches(&index, "a").is_empty(), "{matching:?}");
        }
    }

    #[test]
    fn removing_leaves_no_empty_branch() {
        let mut index = PatternIndex::new(Matching::Subtree);
        for pattern in ["a.b.c", "a.*.c", "a.b.*"] {
            index.insert(&pattern.parse().unwrap(), pattern);
        }
        assert_eq!(matches(&index, "a.b.c"), ["a.*.c", "a.b.*", "a.b.c"]);
        for pattern in ["a.b.c", "a.*.c", "a.b.*"] {
            assert_eq!(index.remove(&pattern.parse().unwrap(), |_| true), 1);
        }
        assert!(index.is_empty() && index.root.is_empty());
        assert_eq!(index.remove(&"a.b".parse().unwrap(), |_| true), 0);
    }
}
