//! What trust and policy speak about: a capsule, a pack, or a distro.

use std::fmt;
use std::str::FromStr;

use astrid_authority::{CapsuleName, DistroId, PackId, glob};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that is trusted: `capsule:fs`, `pack:media_tools`, `distro:starter`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A capsule, by its name.
    Capsule(CapsuleName),
    /// A pack, by its id.
    Pack(PackId),
    /// A distro, by its id: all of its capsules outside packs together.
    Distro(DistroId),
}

/// The text names no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a subject is `capsule:NAME`, `pack:ID` or `distro:ID`")]
pub struct SubjectError;

impl Subject {
    /// The name without its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Capsule(name) => name.as_str(),
            Self::Pack(id) => id.as_str(),
            Self::Distro(id) => id.as_str(),
        }
    }

    /// The kind: `capsule`, `pack` or `distro`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Capsule(_) => "capsule",
            Self::Pack(_) => "pack",
            Self::Distro(_) => "distro",
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let (kind, name) = text.split_once(':').ok_or(SubjectError)?;
        match kind {
            "capsule" => name.parse().map(Self::Capsule).map_err(|_| SubjectError),
            "pack" => name.parse().map(Self::Pack).map_err(|_| SubjectError),
            "distro" => name.parse().map(Self::Distro).map_err(|_| SubjectError),
            _ => Err(SubjectError),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}

/// A pattern of subjects in a policy: `capsule:GLOB`, `pack:GLOB`, `distro:GLOB`, or `@org/GLOB` by source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectPattern(String);

/// The text is no pattern of subjects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a subject pattern is `capsule:GLOB`, `pack:GLOB`, `distro:GLOB` or `@org/GLOB`")]
pub struct SubjectPatternError;

impl SubjectPattern {
    /// Says whether `subject`, which comes from the release `source` (`@org/repo`) if from one, matches.
    #[must_use]
    pub fn matches(&self, subject: &Subject, source: Option<&str>) -> bool {
        if self.0.starts_with('@') {
            source.is_some_and(|source| glob::matches(&self.0, source))
        } else {
            glob::matches(&self.0, &subject.to_string())
        }
    }
}

impl FromStr for SubjectPattern {
    type Err = SubjectPatternError;

    fn from_str(text: &str) -> Result<Self, SubjectPatternError> {
        let clean = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'*'))
        };
        let valid = if let Some(rest) = text.strip_prefix('@') {
            rest.split_once('/').is_some_and(|(org, repo)| clean(org) && clean(repo))
        } else {
            text.split_once(':')
                .is_some_and(|(kind, name)| matches!(kind, "capsule" | "pack" | "distro") && clean(name))
        };
        if valid { Ok(Self(text.to_owned())) } else { Err(SubjectPatternError) }
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_serde {
    ($type:ident, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_serde!(Subject, "^(capsule|pack|distro):[a-z][a-z0-9_-]*$");
text_serde!(SubjectPattern, "^(capsule:|pack:|distro:|@[A-Za-z0-9_.*-]+/)[A-Za-z0-9_.*-]+$");

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, subject: &str, source: Option<&str>) -> bool {
        pattern.parse::<SubjectPattern>().unwrap().matches(&subject.parse().unwrap(), source)
    }

    #[test]
    fn patterns_match_by_name_or_source() {
        assert!(matches("capsule:internal-*", "capsule:internal-x", None));
        assert!(matches("@acme/*", "capsule:x", Some("@acme/tools")));
    }

    #[test]
    fn patterns_leave_the_rest_denied() {
        assert!(!matches("pack:media", "capsule:media", None));
        assert!(!matches("@acme/*", "capsule:x", None));
        for text in ["", "x", "capsule:", "@acme", "@/x", "thing:x", "capsule:a b"] {
            assert!(text.parse::<SubjectPattern>().is_err(), "{text:?}");
        }
        for text in ["fs", "capsule:", "capsule:F", "pack:a-b", "thing:x"] {
            assert!(text.parse::<Subject>().is_err(), "{text:?}");
        }
    }
}
