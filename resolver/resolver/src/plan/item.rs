//! What one line of a plan is about.

use std::fmt;
use std::str::FromStr;

use astrid_authority::{CapsuleName, EnvKey};
use astrid_manifest::subject::Subject;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A subject, or one configuration value of a capsule: `config:fs.ROOT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A capsule, a pack or the distro.
    Subject(Subject),
    /// One configuration value of a capsule.
    Config(CapsuleName, EnvKey),
}

/// The text names nothing that a plan changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `pack:ID`, `capsule:NAME`, `distro:ID` or `config:CAPSULE.KEY`")]
pub struct ItemError;

impl From<Subject> for Item {
    fn from(subject: Subject) -> Self {
        Self::Subject(subject)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Config(name, key) => write!(f, "config:{name}.{key}"),
        }
    }
}

impl FromStr for Item {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let Some(setting) = text.strip_prefix("config:") else {
            return text.parse().map(Self::Subject).map_err(|_| ItemError);
        };
        let (name, key) = setting.split_once('.').ok_or(ItemError)?;
        Ok(Self::Config(name.parse().map_err(|_| ItemError)?, key.parse().map_err(|_| ItemError)?))
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["distro:starter", "pack:media_tools", "capsule:fs", "config:fs.ROOT.a"] {
            assert_eq!(text.parse::<Item>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused_denied() {
        for text in ["", "fs", "pack:a-b", "capsule:../x", "config:fs", "config:../x.K", "group:x"] {
            assert_eq!(text.parse::<Item>(), Err(ItemError), "{text:?}");
        }
    }
}
