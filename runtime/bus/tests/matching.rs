//! The trie finds exactly what matching every pattern by itself finds.
#![allow(clippy::unwrap_used)]

use astrid_authority::{Topic, TopicPattern};
use astrid_bus::{Matching, PatternIndex};
use proptest::prelude::*;

fn topic() -> impl Strategy<Value = Topic> {
    proptest::collection::vec("[abc]", 1..6).prop_map(|segments| segments.join(".").parse().unwrap())
}

fn pattern() -> impl Strategy<Value = TopicPattern> {
    let segment = prop_oneof![3 => "[abc]", 2 => Just("*".to_owned())];
    proptest::collection::vec(segment, 1..6).prop_map(|segments| segments.join(".").parse().unwrap())
}

fn found(index: &PatternIndex<usize>, topic: &Topic) -> Vec<usize> {
    let mut found = Vec::new();
    index.for_each_match(topic, |at| found.push(*at));
    found.sort_unstable();
    found
}

fn expected(patterns: &[TopicPattern], matching: Matching, topic: &Topic, skip: usize) -> Vec<usize> {
    let matches = |pattern: &TopicPattern| match matching {
        Matching::Subtree => pattern.matches_subtree(topic),
        Matching::Strict => pattern.matches_strictly(topic),
    };
    (skip..patterns.len()).filter(|at| matches(&patterns[*at])).collect()
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_matchers(
        patterns in proptest::collection::vec(pattern(), 0..40),
        topics in proptest::collection::vec(topic(), 1..20),
        strict: bool,
        removed in 0_usize..40,
    ) {
        let matching = if strict { Matching::Strict } else { Matching::Subtree };
        let mut index = PatternIndex::new(matching);
        for (at, pattern) in patterns.iter().enumerate() {
            index.insert(pattern, at);
        }
        for topic in &topics {
            prop_assert_eq!(found(&index, topic), expected(&patterns, matching, topic, 0));
        }
        let removed = removed.min(patterns.len());
        for (at, pattern) in patterns.iter().enumerate().take(removed) {
            prop_assert_eq!(index.remove(pattern, |value| *value == at), 1);
        }
        prop_assert_eq!(index.len(), patterns.len() - removed);
        for topic in &topics {
            prop_assert_eq!(found(&index, topic), expected(&patterns, matching, topic, removed));
        }
    }
}
