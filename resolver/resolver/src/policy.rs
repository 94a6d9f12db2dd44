//! What a home and a distro forbid, put together.
//!
//! The home's rules come first. A distro can make things stricter, wherever it comes from; what it
//! would make weaker has no effect, and is told.

use std::fmt;

use astrid_authority::{AuthoritySet, Ceiling, Digest};
use astrid_manifest::period::Period;
use astrid_manifest::policy::{
    Policy, PolicyChange, Provenance, SignerRule, SignerRuleIdentity, UngrantedImports,
};
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;

/// Whose rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// `etc/policy.toml` of the home.
    Home,
    /// `[policy]` of a distro from a believed origin.
    Distro,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Home => "etc/policy.toml",
            Self::Distro => "Distro.toml",
        })
    }
}

/// A rule about who may sign something, with whose it is.
#[derive(Debug, Clone, Copy)]
pub struct FoundRule<'a> {
    /// The rule.
    pub rule: &'a SignerRule,
    /// Whose it is.
    pub whose: Whose,
}

impl fmt::Display for FoundRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.whose, self.rule.at.line)
    }
}

impl FoundRule<'_> {
    /// Digest of what the rule demands: the same demand is not checked twice.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_parts("astrid:signer-rule:v1", [rule_text(self.rule).as_bytes()])
    }
}

/// The rules of home and distro together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectivePolicy {
    home: Ceiling,
    distro: Ceiling,
    has_rules: bool,
    home_provenance: Option<Provenance>,
    distro_provenance: Option<Provenance>,
    provenance: Option<Provenance>,
    min_age: Option<Period>,
    refuses_ungranted: bool,
    home_signers: Vec<SignerRule>,
    distro_signers: Vec<SignerRule>,
    home_changes: Vec<PolicyChange>,
    distro_changes: Vec<PolicyChange>,
    without_effect: Vec<String>,
    digest: Digest,
}

impl EffectivePolicy {
    /// Puts the rules of the home and of the distro together.
    ///
    /// What a distro says about signers counts only when its origin is believed.
    #[must_use]
    pub fn combine(home: &Policy, distro: &Policy, believed: bool) -> Self {
        let mut without_effect = Vec::new();
        let nothing = Policy::default();
        let said = if believed { distro } else { &nothing };
        for (count, what) in [
            (distro.signers.len() - said.signers.len(), "`[[policy.signer]]` rules"),
            (distro.changes.len() - said.changes.len(), "`[[policy.change]]` lines"),
        ] {
            if count > 0 {
                without_effect.push(format!(
                    "{count} {what} of the distro have no effect: its origin is not believed (`astrid trust believe`)"
                ));
            }
        }
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
        // Each counts on its own: the home's takes the place of a default, and the distro's only adds to that.
        let more = distro.provenance.filter(|asked| *asked > home.provenance.unwrap_or(Provenance::None));
        for (whose, asked) in [("home", home.provenance), ("distro", more)] {
            lines.extend(asked.map(|rule| format!("provenance of the {whose} {}", provenance_word(rule))));
        }
        lines.extend(min_age.map(|age| format!("min-age {}", age.as_secs())));
        lines.extend(refuses_ungranted.then(|| "ungranted-imports error".to_owned()));
        lines.extend(home.signers.iter().chain(&said.signers).map(rule_text));
        lines.extend(
            home.changes
                .iter()
                .chain(&said.changes)
                .map(|change| format!("change {} {:?} {:?}", change.subject, change.from, change.to)),
        );
        Self {
            home_signers: home.signers.clone(),
            distro_signers: said.signers.clone(),
            home_changes: home.changes.clone(),
            distro_changes: said.changes.clone(),
            has_rules: !(home.authority.deny.is_empty() && distro.authority.deny.is_empty()),
            home: home.authority.ceiling(),
            distro: distro.authority.ceiling(),
            home_provenance: home.provenance,
            distro_provenance: distro.provenance,
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

    /// How much proof of `subject` is asked for: the default of its kind, unless this home asks for another,
    /// and never less than the distro asks for.
    ///
    /// By default what is remote must be signed, but for packs, whose gate is a person's typed trust.
    #[must_use]
    pub fn provenance_of(&self, subject: &Subject, is_remote: bool) -> Provenance {
        let by_kind = match subject {
            Subject::Capsule(_) | Subject::Distro(_) if is_remote => Provenance::Required,
            Subject::Pack(_) | Subject::Capsule(_) | Subject::Distro(_) => Provenance::IfPresent,
        };
        self.home_provenance.unwrap_or(by_kind).max(self.distro_provenance.unwrap_or(Provenance::None))
    }

    /// Who may sign `subject`: the first rule of the home that matches, else of a believed distro.
    #[must_use]
    pub fn signer_rule(&self, subject: &Subject, source: Option<&Source>) -> Option<FoundRule<'_>> {
        let release = source.and_then(Source::release_name);
        let matches = |rule: &&SignerRule| {
            rule.subjects.iter().any(|pattern| pattern.matches(subject, release.as_deref()))
        };
        let home = self.home_signers.iter().find(matches).map(|rule| FoundRule { rule, whose: Whose::Home });
        home.or_else(|| {
            let found = self.distro_signers.iter().find(matches);
            found.map(|rule| FoundRule { rule, whose: Whose::Distro })
        })
    }

    /// The reviewed line that lets `subject` change from one signer and provenance to another, exactly.
    ///
    /// Where the home has a line about the subject, the distro's don't count.
    #[must_use]
    pub fn change(&self, subject: &Subject, from: &str, to: &str) -> Option<&PolicyChange> {
        let about = |change: &&PolicyChange| change.subject == *subject;
        let own = if self.home_changes.iter().any(|change| about(&change)) {
            &self.home_changes
        } else {
            &self.distro_changes
        };
        own.iter().find(|change| about(change) && change.from == from && change.to == to)
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

/// What a rule demands, without where it stands.
fn rule_text(rule: &SignerRule) -> String {
    let who = match &rule.identity {
        SignerRuleIdentity::Workflow { issuer, repository, workflow, reference } => {
            format!("{issuer:?} repository {repository:?} {workflow:?} {reference:?}")
        }
        SignerRuleIdentity::Identity { issuer, identity } => format!("{issuer:?} identity {identity:?}"),
        SignerRuleIdentity::Key { key } => format!("key {key:?}"),
    };
    let subjects: Vec<String> = rule.subjects.iter().map(ToString::to_string).collect();
    format!("signer {} {who} {:?} {:?}", subjects.join(" "), rule.predicate, rule.builder)
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
        let policy = EffectivePolicy::combine(&home, &distro, false);
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
        let policy = EffectivePolicy::combine(&home, &distro, false);
        assert_eq!(policy.provenance(), Some(Provenance::Required));
        assert_eq!(policy.min_age(), Some("3d".parse().unwrap()));
        assert_eq!(policy.without_effect().len(), 2);
        let alone = EffectivePolicy::combine(&home, &Policy::default(), false);
        assert_eq!(alone.digest(), policy.digest());
    }

    #[test]
    fn the_digest_is_of_what_is_in_force() {
        let one = EffectivePolicy::combine(
            &rules(&["net:*", "uplink"], None, None),
            &rules(&[], None, None),
            false,
        );
        let two =
            EffectivePolicy::combine(&rules(&["uplink"], None, None), &rules(&["net:*"], None, None), false);
        let three = EffectivePolicy::combine(&rules(&["uplink"], None, None), &rules(&[], None, None), false);
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), three.digest());
    }
}
