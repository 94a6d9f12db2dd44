//! Versions that are asked for, and the version of the platform that manifests are made for.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use semver::{Comparator, Op, Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The platform version that `astrid-version` in manifests is matched against.
///
/// It says which capsules and distros work here, and is not our release number.
pub const PLATFORM_COMPAT: Version = Version::new(0, 10, 4);

/// Says whether a requirement on the platform admits `running`.
///
/// When no part of the requirement names a pre-release, the running version counts without its
/// own: a development build of 0.6.0 is as good as 0.6.0.
#[must_use]
pub fn platform_admits(requirement: &VersionReq, running: &Version) -> bool {
    if requirement.comparators.iter().any(|part| !part.pre.is_empty()) {
        requirement.matches(running)
    } else {
        requirement.matches(&Version::new(running.major, running.minor, running.patch))
    }
}

/// A version requirement as people write it in a distro.
///
/// `1.2.3` is exactly that version, `1.2` and `1` mean `^1.2` and `^1`, and operators (`^ ~ = > >=
/// < <= *`, separated by commas) mean what they mean to Cargo.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    text: String,
    parsed: VersionReq,
}

/// The text is no version requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no version requirement: write `1.2.3`, `^1.2` or `>=1.2, <2`")]
pub struct RequirementError {
    text: String,
}

impl Requirement {
    /// Exactly `version`.
    #[must_use]
    pub fn exactly(version: &Version) -> Self {
        Self {
            text: version.to_string(),
            parsed: VersionReq {
                comparators: vec![Comparator {
                    op: Op::Exact,
                    major: version.major,
                    minor: Some(version.minor),
                    patch: Some(version.patch),
                    pre: version.pre.clone(),
                }],
            },
        }
    }

    /// Any version that is no pre-release.
    #[must_use]
    pub fn any() -> Self {
        Self { text: "*".to_owned(), parsed: VersionReq::STAR }
    }

    /// Says whether `version` is one that is asked for.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.parsed.matches(version)
    }

    /// The only version that matches, when there is one.
    #[must_use]
    pub fn exact(&self) -> Option<Version> {
        let [only] = self.parsed.comparators.as_slice() else { return None };
        if only.op != Op::Exact {
            return None;
        }
        Some(Version { pre: only.pre.clone(), ..Version::new(only.major, only.minor?, only.patch?) })
    }

    /// The requirement as Cargo's rules see it.
    #[must_use]
    pub fn as_req(&self) -> &VersionReq {
        &self.parsed
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let fail = || RequirementError { text: crate::document::reader::shown(text) };
        if text.is_empty() || text.trim() != text {
            return Err(fail());
        }
        if let Ok(version) = text.parse::<Version>() {
            return Ok(Self { text: text.to_owned(), ..Self::exactly(&version) });
        }
        let parsed = text.parse().map_err(|_| fail())?;
        Ok(Self { text: text.to_owned(), parsed })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Requirement {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Requirement".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A version requirement: `1.2.3` is exactly that, `1.2` means `^1.2`, operators as in Cargo."
        })
    }
}

/// Every text of a kind of version that a file may hold, strictly `MAJOR.MINOR.PATCH`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no version: write MAJOR.MINOR.PATCH, such as `1.2.3`")]
pub struct VersionError {
    text: String,
}

/// A version that says what was wrong with its text in one sentence.
pub(crate) struct FullVersion(pub(crate) Version);

impl FromStr for FullVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        text.parse().map(Self).map_err(|_| VersionError { text: crate::document::reader::shown(text) })
    }
}

/// A requirement that keeps Cargo's meaning of a bare version: for manifests of capsules.
pub(crate) struct CargoRequirement(pub(crate) VersionReq);

impl FromStr for CargoRequirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        text.parse().map(Self).map_err(|_| RequirementError { text: crate::document::reader::shown(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(requirement: &str, version: &str) -> bool {
        requirement.parse::<Requirement>().unwrap().matches(&version.parse().unwrap())
    }

    #[test]
    fn a_full_version_is_exactly_that() {
        assert!(matches("1.2.3", "1.2.3"));
        assert!(!matches("1.2.3", "1.2.4"));
        assert_eq!("1.2.3".parse::<Requirement>().unwrap().exact(), Some(Version::new(1, 2, 3)));
        assert_eq!("=1.2.3".parse::<Requirement>().unwrap().exact(), Some(Version::new(1, 2, 3)));
    }

    #[test]
    fn a_partial_version_is_a_caret() {
        assert!(matches("1.2", "1.9.0"));
        assert!(!matches("1.2", "2.0.0"));
        assert!(matches(">=1.2, <2", "1.5.0"));
        assert!(matches("~1.2", "1.2.9"));
        assert_eq!("1.2".parse::<Requirement>().unwrap().exact(), None);
    }

    #[test]
    fn other_texts_are_refused_denied() {
        for text in ["", "latest", " 1.0.0", "1.0.0 ", "^^1", "v1.0.0"] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_floor_ignores_the_running_pre_release_unless_it_names_one() {
        let admits =
            |floor: &str, running: &str| platform_admits(&floor.parse().unwrap(), &running.parse().unwrap());
        assert!(admits(">=0.6.0", "0.6.0-dev.3"));
        assert!(!admits(">=0.6.0-rc.3", "0.6.0-rc.2"));
        assert!(admits(">=0.6.0-rc.3", "0.6.0-rc.4"));
    }
}
