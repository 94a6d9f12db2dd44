//! What a home and a distro forbid, put together.
//!
//! The home's rules come first. A distro can make things stricter, wherever it comes from; what it
//! would make weaker has no effect, and is told.

use astrid_authority::{AuthoritySet, Ceiling, Digest};
use astrid_manifest::period::Period;
use astrid_manifest::policy::{Policy, Provenance, UngrantedImports};

/// The rules of home and distro together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectivePolicy {
    home: Ceiling,
    distro: Ceiling,
    has_rules: bool,
    provenance: Option<Provenance>,
    min_age: Option<Period>,
    refuses_ungranted: bool,
    without_effect: Vec<String>,
    digest: Digest,
}

impl EffectivePolicy {
    /// Puts the rules of the home and of the distro together.
    #[must_use]
    pub fn combine(home: &Policy, distro: &Policy) -> Self {
        let mut without_effect = Vec::new();
        if let (Some(own), Some(theirs)) = (home.provenance, distro.provenance)
            && theirs < own
        {
            without_effect.push(format!(
                "the distro's `provenance = \"{}\"` has no effect: this home asks for `{}`",
                provenance_word(theirs),
                provenance_word(own)
            ));
        }
        if let (Some(own), Some(theirs)) = (home.min_age, distro.min_age)
            && theirs < own
        {
            without_effect.push(format!(
                "the distro's `min-age = \"{theirs}\"` has no effect: this home asks for {own}"
            ));
        }
        let provenance = home.provenance.max(distro.provenance);
        let min_age = home.min_age.max(distro.min_age);
        let refuses_ungranted =
            [home, distro].into_iter().any(|own| own.ungranted_imports == Some(UngrantedImports::Error));
        let mut lines: Vec<String> = home
            .authority
            .deny
            .iter()
            .chain(&distro.authority.deny)
            .map(|rule| format!("deny {rule}"))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines.extend(provenance.map(|rule| format!("provenance {}", provenance_word(rule))));
        lines.extend(min_age.map(|age| format!("min-age {}", age.as_secs())));
        lines.extend(refuses_ungranted.then(|| "ungranted-imports error".to_owned()));
        Self {
            has_rules: !(home.authority.deny.is_empty() && distro.authority.deny.is_empty()),
            home: home.authority.ceiling(),
            distro: distro.authority.ceiling(),
            provenance,
            min_age,
            refuses_ungranted,
            without_effect,
            digest: Digest::of_parts("astrid:policy:v1", lines.iter().map(String::as_bytes)),
        }
    }

    /// Digest of what is in force: plans are made under it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How much proof is asked for, when a rule says so.
    #[must_use]
    pub fn provenance(&self) -> Option<Provenance> {
        self.provenance
    }

    /// How old a release has to be, when a rule says so.
    #[must_use]
    pub fn min_age(&self) -> Option<Period> {
        self.min_age
    }

    /// Says whether a capsule that imports what its manifest grants nothing for is refused.
    #[must_use]
    pub fn refuses_ungranted_imports(&self) -> bool {
        self.refuses_ungranted
    }

    /// Rules of the distro that have no effect, in words.
    #[must_use]
    pub fn without_effect(&self) -> &[String] {
        &self.without_effect
    }

    /// Says whether no authority is forbidden.
    #[must_use]
    pub fn ceiling_is_empty(&self) -> bool {
        !self.has_rules
    }

    /// What of `authority` is forbidden, and by which rule of whom, in words.
    #[must_use]
    pub fn violations(&self, authority: &AuthoritySet) -> Vec<String> {
        let mut violations = Vec::new();
        for (ceiling, whose) in [(&self.home, "this home's policy"), (&self.distro, "the distro's policy")] {
            for (grant, rule) in ceiling.violations(authority) {
                violations.push(format!("`{grant}` is denied by `{rule}` of {whose}"));
            }
        }
        violations
    }
}

fn provenance_word(rule: Provenance) -> &'static str {
    match rule {
        Provenance::None => "none",
        Provenance::IfPresent => "if-present",
        Provenance::Required => "required",
    }
}

#[cfg(test)]
mod tests {
    use astrid_manifest::policy::AuthorityPolicy;

    use super::*;

    fn rules(deny: &[&str], provenance: Option<Provenance>, age: Option<&str>) -> Policy {
        Policy {
            provenance,
            min_age: age.map(|age| age.parse().unwrap()),
            authority: AuthorityPolicy { deny: deny.iter().map(|rule| rule.parse().unwrap()).collect() },
            ..Policy::default()
        }
    }

    #[test]
    fn a_distro_makes_it_stricter() {
        let home = rules(&["host_process"], Some(Provenance::IfPresent), Some("1d"));
        let distro = rules(&["net:*"], Some(Provenance::Required), Some("3d"));
        let policy = EffectivePolicy::combine(&home, &distro);
        assert_eq!(policy.provenance(), Some(Provenance::Required));
        assert_eq!(policy.min_age(), Some("3d".parse().unwrap()));
        let asked = ["net:a.example.org", "host_process:git"].map(|grant| grant.parse().unwrap());
        assert_eq!(policy.violations(&asked.into_iter().collect()).len(), 2);
        assert!(policy.without_effect().is_empty());
    }

    #[test]
    fn a_distro_can_not_make_it_weaker_denied() {
        let home = rules(&["host_process"], Some(Provenance::Required), Some("3d"));
        let distro = rules(&[], Some(Provenance::None), Some("1d"));
        let policy = EffectivePolicy::combine(&home, &distro);
        assert_eq!(policy.provenance(), Some(Provenance::Required));
        assert_eq!(policy.min_age(), Some("3d".parse().unwrap()));
        assert_eq!(policy.without_effect().len(), 2);
        let alone = EffectivePolicy::combine(&home, &Policy::default());
        assert_eq!(alone.digest(), policy.digest());
    }

    #[test]
    fn the_digest_is_of_what_is_in_force() {
        let one = EffectivePolicy::combine(&rules(&["net:*", "uplink"], None, None), &rules(&[], None, None));
        let two = EffectivePolicy::combine(&rules(&["uplink"], None, None), &rules(&["net:*"], None, None));
        let three = EffectivePolicy::combine(&rules(&["uplink"], None, None), &rules(&[], None, None));
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), three.digest());
    }
}
