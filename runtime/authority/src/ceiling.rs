//! What a policy forbids, whatever a manifest declares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::glob;
use crate::grant::{Grant, GrantKind};
use crate::set::AuthoritySet;

/// One `deny` rule: a kind of grant, and optionally a pattern of what it may not reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DenyRule {
    kind: GrantKind,
    pattern: Option<String>,
}

/// The text is no deny rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a deny rule is a capability such as `host_process`, `net:*.example.org` or `permission:network`")]
pub struct DenyRuleError;

impl DenyRule {
    /// Says whether `grant` reaches into what the rule forbids.
    #[must_use]
    pub fn forbids(&self, grant: &Grant) -> bool {
        self.kind == grant.kind()
            && self.pattern.as_deref().is_none_or(|pattern| glob::overlap(pattern, &grant.reach()))
    }
}

impl FromStr for DenyRule {
    type Err = DenyRuleError;

    fn from_str(text: &str) -> Result<Self, DenyRuleError> {
        let (kind, pattern) = match text.split_once(':') {
            Some((_, "")) => return Err(DenyRuleError),
            Some((kind, pattern)) => (kind, Some(pattern.to_owned())),
            None => (text, None),
        };
        let kind: GrantKind = kind.parse().map_err(|_| DenyRuleError)?;
        if let (GrantKind::Permission, Some(id)) = (kind, pattern.as_deref()) {
            id.parse::<crate::PermissionId>().map_err(|_| DenyRuleError)?;
        }
        Ok(Self { kind, pattern })
    }
}

impl fmt::Display for DenyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Some(pattern) => write!(f, "{}:{pattern}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl Serialize for DenyRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DenyRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for DenyRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DenyRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z_]+(:.+)?$" })
    }
}

/// A list of deny rules: the most that a fleet may be granted. Exceeding it is refused, never trimmed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ceiling(Vec<DenyRule>);

impl Ceiling {
    /// Collects rules.
    #[must_use]
    pub fn new(rules: Vec<DenyRule>) -> Self {
        Self(rules)
    }

    /// Every grant of `authority` that a rule forbids, with the rule.
    #[must_use]
    pub fn violations<'a>(&'a self, authority: &'a AuthoritySet) -> Vec<(&'a Grant, &'a DenyRule)> {
        authority
            .iter()
            .filter_map(|grant| self.0.iter().find(|rule| rule.forbids(grant)).map(|rule| (grant, rule)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbids(rule: &str, grant: &str) -> bool {
        rule.parse::<DenyRule>().unwrap().forbids(&grant.parse().unwrap())
    }

    #[test]
    fn a_rule_forbids_what_reaches_into_it_denied() {
        assert!(forbids("host_process", "host_process:git"));
        assert!(forbids("net:*", "net:api.example.org"));
        assert!(forbids("net:*.example.org", "net:*"));
        assert!(forbids("fs_read:home://keys*", "fs_read:home://"));
        assert!(forbids("permission:network", "permission:network"));
        assert!(forbids("net_connect:10.*", "net_connect:*:80"));
        assert!(forbids("identity:resolve", "identity:admin"));
    }

    #[test]
    fn a_rule_leaves_the_rest_alone() {
        assert!(!forbids("net:*.example.org", "net:example.com"));
        assert!(!forbids("fs_write", "fs_read:cwd://"));
        assert!(!forbids("permission:network", "permission:subprocess"));
    }

    #[test]
    fn malformed_rules_are_refused_denied() {
        for text in ["", "nett", "net:", "permission:telepathy"] {
            assert!(text.parse::<DenyRule>().is_err(), "{text:?}");
        }
    }
}
