//! Canonical sets of grants, their digest, and the difference between two of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::grant::Grant;

/// Domain of the authority digest. A change of the canonical text needs a new one.
const DIGEST_DOMAIN: &str = "astrid:authority:v1";

/// Everything that a capsule or pack may do, sorted and without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthoritySet(BTreeSet<Grant>);

impl AuthoritySet {
    /// The set's digest: what locks record and acknowledgements bind to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut lines: Vec<String> = self.0.iter().map(Grant::to_string).collect();
        lines.sort_unstable();
        Digest::of_parts(DIGEST_DOMAIN, lines.iter().map(String::as_bytes))
    }

    /// Says whether some grant of the set is as good as `grant`.
    #[must_use]
    pub fn covers(&self, grant: &Grant) -> bool {
        self.0.contains(grant) || self.0.iter().any(|own| own.covers(grant))
    }

    /// The grants in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.0.iter()
    }

    /// Says whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many grants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All grants of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }
}

impl FromIterator<Grant> for AuthoritySet {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

/// A grant that grew or shrank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widening {
    /// What it was.
    pub from: Grant,
    /// What it becomes.
    pub to: Grant,
}

/// What becomes possible, and what no longer is, between two sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityDiff {
    /// Grants that nothing before covered, not even in part.
    pub added: Vec<Grant>,
    /// Grants that became larger.
    pub widened: Vec<Widening>,
    /// Grants that became smaller.
    pub narrowed: Vec<Widening>,
    /// Grants that nothing after covers.
    pub removed: Vec<Grant>,
}

impl AuthorityDiff {
    /// Compares the authority before with the authority after.
    #[must_use]
    pub fn between(before: &AuthoritySet, after: &AuthoritySet) -> Self {
        let mut diff = Self::default();
        let gone: Vec<&Grant> = before.0.difference(&after.0).collect();
        for grant in after.0.difference(&before.0) {
            if before.covers(grant) {
                // It says no more than what was granted: at most the smaller rest of a grant.
                if let Some(wider) = gone.iter().find(|old| old.covers(grant)) {
                    diff.narrowed.push(Widening { from: (*wider).clone(), to: grant.clone() });
                }
            } else if let Some(smaller) = gone.iter().find(|old| grant.covers(old)) {
                diff.widened.push(Widening { from: (*smaller).clone(), to: grant.clone() });
            } else {
                diff.added.push(grant.clone());
            }
        }
        for grant in gone {
            let accounted = diff.narrowed.iter().any(|change| change.from == *grant);
            if !accounted && !after.covers(grant) {
                diff.removed.push(grant.clone());
            }
        }
        diff
    }

    /// Says whether anything becomes possible that was not.
    #[must_use]
    pub fn widens(&self) -> bool {
        !self.added.is_empty() || !self.widened.is_empty()
    }

    /// Says whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.widens() && self.narrowed.is_empty() && self.removed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(texts: &[&str]) -> AuthoritySet {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_diff_names_what_changed() {
        let before = set(&["fs_read:cwd://docs", "net:api.example.org", "uplink", "fs_write:cwd://"]);
        let after = set(&["fs_read:cwd://", "net:api.example.org", "publish:a.b", "fs_write:cwd://out"]);
        let diff = AuthorityDiff::between(&before, &after);
        assert_eq!(diff.added, ["publish:a.b".parse().unwrap()]);
        assert_eq!(diff.widened.len(), 1);
        assert_eq!(diff.narrowed.len(), 1);
        assert_eq!(diff.removed, ["uplink".parse().unwrap()]);
        assert!(diff.widens());
    }

    #[test]
    fn an_alias_is_the_same_authority() {
        assert_eq!(set(&["fs_read:*"]).digest(), set(&["fs_read:cwd://"]).digest());
    }

    fn grants() -> impl Strategy<Value = AuthoritySet> {
        let pool = [
            "fs_read:cwd://",
            "fs_read:cwd://a",
            "fs_read:cwd://a/b",
            "fs_read:home://",
            "net:*",
            "net:*.example.org",
            "net:api.example.org",
            "publish:a.*",
            "publish:a.b",
            "uplink",
            "identity:link",
            "identity:admin",
            "host_process:git",
            "host_process:git log",
        ];
        proptest::collection::vec(proptest::sample::select(pool.to_vec()), 0..8)
            .prop_map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    proptest! {
        #[test]
        fn nothing_new_means_nothing_widens(before in grants(), after in grants()) {
            let diff = AuthorityDiff::between(&before, &after);
            let all_covered = after.iter().all(|grant| before.covers(grant));
            prop_assert_eq!(diff.widens(), !all_covered);
        }

        #[test]
        fn a_set_does_not_differ_from_itself(own in grants()) {
            prop_assert!(AuthorityDiff::between(&own, &own).is_empty());
        }

        #[test]
        fn text_round_trips(own in grants()) {
            let again: AuthoritySet = own.iter().map(|grant| grant.to_string().parse().unwrap()).collect();
            prop_assert_eq!(again, own);
        }
    }
}
