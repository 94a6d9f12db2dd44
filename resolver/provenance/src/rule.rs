//! Rules: whether a signer that was verified is the one that a policy asks for.

use std::fmt;

use astrid_manifest::policy::{SignerRule, SignerRuleIdentity};

use crate::key::PublicKey;
use crate::verify::{Certificate, GITHUB, Identity, Verified, is_github};

/// Why a rule does not admit a signer: one line for each field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(Vec<Difference>);

/// What a rule asks for in one field, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field of the rule.
    pub field: &'static str,
    /// What it asks for.
    pub wanted: String,
    /// What was verified; none when there is nothing of that kind.
    pub found: Option<String>,
}

impl Mismatch {
    /// The fields that differ.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.0
    }

    /// A line for each.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, wanted, found } = self;
        match found {
            Some(found) => write!(f, "{field}: the rule wants `{wanted}`, and it is `{found}`"),
            None => write!(f, "{field}: the rule wants `{wanted}`, and there is none"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, difference) in self.0.iter().enumerate() {
            write!(f, "{}{difference}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

/// Collects differences.
#[derive(Default)]
struct Check(Vec<Difference>);

impl Check {
    fn that(&mut self, same: bool, field: &'static str, wanted: &str, found: Option<&str>) {
        if !same {
            self.0.push(Difference { field, wanted: wanted.to_owned(), found: found.map(str::to_owned) });
        }
    }

    fn exact(&mut self, field: &'static str, wanted: &str, found: Option<&str>) {
        self.that(found == Some(wanted), field, wanted, found);
    }

    fn pattern(&mut self, field: &'static str, wanted: &str, found: Option<&str>) {
        self.that(found.is_some_and(|found| matches(wanted, found)), field, wanted, found);
    }
}

/// Says whether `rule` admits the signer and the statement that were verified.
///
/// Which artifacts the rule is about is the caller's to match.
///
/// # Errors
/// Every field that differs.
pub fn admits(rule: &SignerRule, verified: &Verified) -> Result<(), Mismatch> {
    let mut check = Check::default();
    match (&rule.identity, &verified.signer) {
        (SignerRuleIdentity::Key { key }, Identity::Key(found)) => {
            let same = key.parse::<PublicKey>().is_ok_and(|key| key == *found);
            check.that(same, "key", key, Some(&found.to_string()));
        }
        (SignerRuleIdentity::Key { key }, Identity::SpkiKey(found)) => {
            check.that(false, "key", key, Some(found));
        }
        (SignerRuleIdentity::Key { key }, Identity::Certificate(_)) => check.that(false, "key", key, None),
        (SignerRuleIdentity::Identity { issuer, identity }, Identity::Certificate(found)) => {
            check.exact("issuer", issuer, Some(&found.issuer));
            check.exact("identity", identity, Some(&found.identity));
        }
        (
            SignerRuleIdentity::Workflow { issuer, repository, workflow, reference },
            Identity::Certificate(found),
        ) => {
            let claims = &found.claims;
            check.exact("issuer", issuer, Some(&found.issuer));
            let shown = claims.repository.as_deref();
            check.that(is_repository(repository, found), "repository", repository, shown);
            if let Some(workflow) = workflow {
                let same = claims.workflow.as_deref() == Some(workflow);
                check.that(same, "workflow", workflow, claims.workflow.as_deref());
            }
            if let Some(reference) = reference {
                check.pattern("ref", reference, claims.reference.as_deref());
            }
        }
        (
            SignerRuleIdentity::Identity { issuer, .. } | SignerRuleIdentity::Workflow { issuer, .. },
            Identity::Key(_) | Identity::SpkiKey(_),
        ) => check.exact("issuer", issuer, None),
    }
    if let Some(kind) = &rule.predicate {
        check.exact("predicate", kind, verified.predicate.as_ref().map(|predicate| predicate.kind.as_str()));
    }
    if let Some(builder) = &rule.builder {
        let found = verified.predicate.as_ref().and_then(|predicate| predicate.builder.as_deref());
        check.pattern("builder", builder, found);
    }
    if check.0.is_empty() { Ok(()) } else { Err(Mismatch(check.0)) }
}

/// Says whether `wanted` is the repository that the certificate claims: its URL, or `owner/name` on GitHub.
///
/// GitHub does not tell upper from lower case in names of owners and repositories.
fn is_repository(wanted: &str, certificate: &Certificate) -> bool {
    let Some(found) = &certificate.claims.repository_uri else { return false };
    if !is_github(&certificate.issuer) {
        return wanted == found;
    }
    let name = |text: &str| match text.get(..GITHUB.len()) {
        Some(head) if head.eq_ignore_ascii_case(GITHUB) => text[GITHUB.len()..].to_ascii_lowercase(),
        _ => text.to_ascii_lowercase(),
    };
    found.starts_with(GITHUB) && name(wanted) == name(found)
}

/// Says whether `text` is of `pattern`, where `*` is anything but `/`, and `**` anything.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // Which prefixes of the text the pattern up to here is: no backtracking, so no pattern is slow.
    let mut now = vec![false; text.len() + 1];
    now[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let all = pattern[at..].starts_with(b"**");
        if pattern[at] == b'*' {
            for end in 1..now.len() {
                now[end] |= now[end - 1] && (all || text[end - 1] != b'/');
            }
        } else {
            for end in (1..now.len()).rev() {
                now[end] = now[end - 1] && text[end - 1] == pattern[at];
            }
            now[0] = false;
        }
        at += if all { 2 } else { 1 };
    }
    now[text.len()]
}

/// A rule for exactly this signer of `subject`, ready to be pasted into a policy.
#[must_use]
pub fn suggestion(subject: &str, verified: &Verified) -> String {
    let mut lines = vec![("match", format!("[{}]", quoted(subject)))];
    let mut line = |key: &'static str, value: &str| lines.push((key, quoted(value)));
    match &verified.signer {
        Identity::Key(key) => line("key", &key.to_string()),
        Identity::SpkiKey(_) => {
            return "# only ed25519 keys can stand in a rule: sign with one, or with a certificate\n"
                .to_owned();
        }
        Identity::Certificate(certificate) => {
            line("issuer", &certificate.issuer);
            let claims = &certificate.claims;
            if let (Some(repository), Some(workflow)) = (&claims.repository, &claims.workflow) {
                line("repository", repository);
                line("workflow", workflow);
                if let Some(reference) = claims.reference.as_ref().filter(|text| is_exact(text)) {
                    line("ref", reference);
                }
            } else {
                line("identity", &certificate.identity);
            }
        }
    }
    if let Some(predicate) = &verified.predicate {
        line("predicate", &predicate.kind);
        if let Some(builder) = predicate.builder.as_ref().filter(|text| is_exact(text)) {
            line("builder", builder);
        }
    }
    let lines: Vec<String> = lines.into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[[policy.signer]]\n{}", lines.concat())
}

/// Says whether a text is a pattern of nothing but itself.
fn is_exact(text: &str) -> bool {
    !text.contains('*')
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn a_star_stops_at_a_slash() {
        for (pattern, text, same) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("*", "", true),
            ("*", "abc", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "ab/c", false),
            ("a**c", "ab/c", true),
            ("***", "a/b", true),
            ("refs/tags/v*", "refs/tags/v1", true),
            ("refs/tags/v*", "refs/tags/v1/x", false),
            ("refs/tags/v*", "xrefs/tags/v1", false),
            ("*/*", "a/b", true),
            ("*/*", "a/b/c", false),
            ("?", "a", false),
            ("[a]", "a", false),
            ("a*", "é", false),
            ("é*", "éa", true),
        ] {
            assert_eq!(matches(pattern, text), same, "{pattern} {text}");
        }
        // No pattern takes long.
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }

    proptest! {
        #[test]
        fn texts_match_themselves_and_stars_match_everything(text in "[a-c/]{0,12}", at in 0usize..12) {
            prop_assert!(matches(&text, &text) && matches("**", &text));
            prop_assert_eq!(matches("*", &text), !text.contains('/'));
            let (head, tail) = text.split_at(at.min(text.len()));
            let suffix = format!("**{tail}");
            let prefix = format!("{head}**");
            prop_assert!(matches(&suffix, &text) && matches(&prefix, &text));
        }
    }
}
