//! Topics of the bus, and the two ways in which a pattern matches one.
//!
//! A topic is dot-separated segments. A pattern may hold `*` as a whole segment. Access lists and
//! delivery use [`TopicPattern::matches_subtree`], where a trailing `*` stands for one or more
//! segments; handlers use [`TopicPattern::matches_strictly`], where each `*` is exactly one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest topic or pattern, in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;
/// Most segments of a published topic or a runtime subscription.
pub const MAX_TOPIC_SEGMENTS: usize = 8;
/// Most segments of a pattern in a manifest.
pub const MAX_PATTERN_SEGMENTS: usize = 20;

/// Why a text is no topic or no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Two dots in a row, a leading or trailing dot, or an empty text.
    #[error("a topic has no empty segment")]
    EmptySegment,
    /// Something else than lowercase letters, digits, `.`, `_`, `-`.
    #[error("a topic segment holds only lowercase letters, digits, `_` and `-`")]
    Character,
    /// A `*` that is not a whole segment, or stands in a topic.
    #[error("`*` stands for a whole segment, and only in a pattern")]
    Wildcard,
    /// Too long or too deep.
    #[error(
        "a topic has at most {MAX_TOPIC_BYTES} bytes and {MAX_TOPIC_SEGMENTS} segments (patterns {MAX_PATTERN_SEGMENTS})"
    )]
    TooLong,
}

/// A concrete topic, such as `tool.v1.execute.read_file`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

/// A topic or a pattern of topics, such as `tool.v1.execute.*.result`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(String);

fn check_segment(segment: &str) -> Result<(), TopicError> {
    if segment.is_empty() {
        return Err(TopicError::EmptySegment);
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if segment.bytes().all(plain) {
        Ok(())
    } else if segment.contains('*') {
        Err(TopicError::Wildcard)
    } else {
        Err(TopicError::Character)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.len() > MAX_TOPIC_BYTES || text.split('.').count() > MAX_TOPIC_SEGMENTS {
            return Err(TopicError::TooLong);
        }
        text.split('.').try_for_each(check_segment)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.len() > MAX_TOPIC_BYTES || text.split('.').count() > MAX_PATTERN_SEGMENTS {
            return Err(TopicError::TooLong);
        }
        text.split('.').filter(|segment| *segment != "*").try_for_each(check_segment)?;
        Ok(Self(text.to_owned()))
    }
}

impl TopicPattern {
    /// Matches as access lists and delivery do: a `*` is one segment, a trailing `*` one or more.
    #[must_use]
    pub fn matches_subtree(&self, topic: &Topic) -> bool {
        subtree(&self.0, &topic.0)
    }

    /// Matches as handlers do: as many segments, each `*` exactly one.
    #[must_use]
    pub fn matches_strictly(&self, topic: &Topic) -> bool {
        let mut topic_segments = topic.0.split('.');
        let mut pattern_segments = self.0.split('.');
        loop {
            match (pattern_segments.next(), topic_segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) if pattern == "*" || pattern == segment => {}
                _ => return false,
            }
        }
    }

    /// Says whether every topic that `other` matches in its subtree is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        subtree(&self.0, &other.0)
    }

    /// Says whether the pattern has no wildcard.
    #[must_use]
    pub fn is_concrete(&self) -> bool {
        !self.0.contains('*')
    }

    /// Says whether a capsule may subscribe with it at run time: 8 segments, one `*` and only last.
    #[must_use]
    pub fn is_subscribable(&self) -> bool {
        let segments = self.0.split('.').count();
        segments <= MAX_TOPIC_SEGMENTS
            && self.0.split('.').enumerate().all(|(at, segment)| segment != "*" || at + 1 == segments)
    }
}

/// Subtree match, where the text may itself be a pattern: its `*` is then only covered by a `*`,
/// and its trailing `*` (one or more segments) only by a trailing `*`.
fn subtree(pattern: &str, text: &str) -> bool {
    let mut pattern_segments = pattern.split('.').peekable();
    let mut text_segments = text.split('.').peekable();
    loop {
        match (pattern_segments.next(), text_segments.next()) {
            (None, None) => return true,
            (Some("*"), Some(segment)) => {
                if pattern_segments.peek().is_none() {
                    return true;
                }
                if segment == "*" && text_segments.peek().is_none() {
                    return false;
                }
            }
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

macro_rules! text_type {
    ($type:ident, $pattern:literal) => {
        impl $type {
            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "maxLength": 256 })
            }
        }
    };
}

text_type!(Topic, r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$");
text_type!(TopicPattern, r"^([a-z0-9_-]+|\*)(\.([a-z0-9_-]+|\*))*$");

impl From<Topic> for TopicPattern {
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> TopicPattern {
        text.parse().unwrap()
    }

    #[test]
    fn trailing_star_is_one_or_more_in_a_subtree() {
        let tools = pattern("tool.v1.*");
        assert!(tools.matches_subtree(&topic("tool.v1.execute")));
        assert!(tools.matches_subtree(&topic("tool.v1.execute.read")));
        assert!(!tools.matches_subtree(&topic("tool.v1")));
    }

    #[test]
    fn handlers_match_segment_by_segment() {
        let handler = pattern("a.*");
        assert!(handler.matches_strictly(&topic("a.b")));
        assert!(!handler.matches_strictly(&topic("a.b.c")));
        assert!(pattern("tool.v1.execute.*.result").matches_subtree(&topic("tool.v1.execute.x.result")));
    }

    #[test]
    fn a_pattern_covers_only_what_it_matches() {
        assert!(pattern("a.*").covers(&pattern("a.b.*")));
        assert!(pattern("a.*").covers(&pattern("a.*")));
        assert!(!pattern("a.*.c").covers(&pattern("a.*")));
        assert!(!pattern("a.b").covers(&pattern("a.*")));
        assert!(!pattern("a.*.c").covers(&pattern("a.b.*")));
    }

    #[test]
    fn malformed_topics_are_refused_denied() {
        for text in ["", ".a", "a.", "a..b", "A.b", "a b", "a.*"] {
            assert!(text.parse::<Topic>().is_err(), "{text:?}");
        }
        for text in ["", "a..b", ".a", "a.", "a.b*"] {
            assert!(text.parse::<TopicPattern>().is_err(), "{text:?}");
        }
        assert!("a.".repeat(20).parse::<Topic>().is_err());
        assert!(!pattern("a.*.b").is_subscribable());
        assert!(pattern("a.b.*").is_subscribable());
    }
}
