//! `etc/policy.toml`: what the owner of a home demands, and whom they believe.

use schemars::JsonSchema;

pub use crate::distro::{
    AuthorityPolicy, Policy, PolicyChange, Provenance, SignerRule, SignerRuleIdentity, UngrantedImports,
};

use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::distro::{keyword, read_policy};
use crate::document::{Context, MAX_FILE_BYTES, Table, Unknown};
use crate::key::KeyText;
use crate::period::Period;

/// What the owner of a home demands, and whom they believe.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HomePolicy {
    /// Origins and keys whose acknowledgements and policies count.
    #[schemars(default, rename = "believe")]
    pub beliefs: Vec<Belief>,
    /// Which acknowledgements count.
    #[schemars(default)]
    pub acks: AckRule,
    /// How old the trusted root may be.
    #[schemars(default)]
    pub trusted_root: RootAge,
    /// What is demanded of everything.
    #[schemars(default)]
    pub policy: Policy,
}

/// `[trusted-root]`: how old the root of trust may be. It learns of no revocation while it is not renewed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RootAge {
    /// From which age on people are told; absent means 180 days.
    pub warn_after: Option<Period>,
    /// From which age on nothing that needs it is verified; absent means never.
    pub fail_after: Option<Period>,
}

/// `[[believe]]`: an origin or a key whose word counts.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Belief {
    /// An origin: a normalised URL, a verified identity, or an absolute path.
    Origin {
        /// The origin, exactly.
        origin: String,
        /// Where it is written.
        #[schemars(skip)]
        at: Position,
    },
    /// A key: `ed25519:` and its base64.
    Key {
        /// The key, exactly.
        key: String,
        /// Where it is written.
        #[schemars(skip)]
        at: Position,
    },
}

/// Which acknowledgements count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum AckRule {
    /// All of believed origins.
    #[default]
    Any,
    /// Those signed by a key that the home lists.
    Signed,
}

impl HomePolicy {
    /// Reads `text`, which people know as `file`.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        let context = Context::new(file, text, MAX_FILE_BYTES)?;
        let policy = crate::document::toml::parse(&context)
            .and_then(|node| Table::new(&context, node, "the file"))
            .map(|table| read(&context, table));
        context.finish(policy)
    }

    /// Says whether acknowledgements and policies of `origin` count.
    #[must_use]
    pub fn believes_origin(&self, origin: &str) -> bool {
        self.beliefs
            .iter()
            .any(|belief| matches!(belief, Belief::Origin { origin: own, .. } if own == origin))
    }

    /// Says whether what is signed by `key` counts.
    #[must_use]
    pub fn believes_key(&self, key: &str) -> bool {
        self.beliefs.iter().any(|belief| matches!(belief, Belief::Key { key: own, .. } if own == key))
    }
}

fn read(context: &Context<'_>, mut table: Table<'_, '_>) -> HomePolicy {
    let beliefs = table.tables("believe").into_iter().filter_map(|below| belief(context, below)).collect();
    let acks = keyword(&mut table, "acks", &[("any", AckRule::Any), ("signed", AckRule::Signed)])
        .unwrap_or_default();
    let trusted_root = table.table("trusted-root").map(root_age).unwrap_or_default();
    let policy = table.table("policy").map(|below| read_policy(context, below)).unwrap_or_default();
    table.finish(Unknown::Error);
    HomePolicy { beliefs, acks, trusted_root, policy }
}

fn root_age(mut table: Table<'_, '_>) -> RootAge {
    let age = RootAge {
        warn_after: table.parse("warn-after", "period"),
        fail_after: table.parse("fail-after", "period"),
    };
    table.finish(Unknown::Error);
    age
}

fn belief(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Belief> {
    let (at, span) = (table.position(), table.span.clone());
    let (origin, has_key) = (table.string("origin"), table.has("key"));
    let key = table.parse::<KeyText>("key", "key").map(|key| key.to_string());
    table.finish(Unknown::Error);
    match (origin, key) {
        (Some(origin), None) if !origin.trim().is_empty() => Some(Belief::Origin { origin, at }),
        (None, Some(key)) => Some(Belief::Key { key, at }),
        (None, None) if has_key => None,
        _ => {
            context.error(
                &span,
                "believe",
                "`[[believe]]` needs `origin`, or `key` as `ed25519:…`, not both",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read() {
        let text = "acks = \"signed\"\n[[believe]]\norigin = \"https://example.org/fleet\"\n[[believe]]\nkey = \"ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\"\n\
            [trusted-root]\nwarn-after = \"90d\"\n[policy]\nmin-age = \"3d\"\n[policy.authority]\ndeny = [\"host_process\"]\n";
        let policy = HomePolicy::parse("policy.toml", text).unwrap().value;
        assert!(
            policy.believes_origin("https://example.org/fleet")
                && policy.believes_key("ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=")
        );
        assert!(!policy.believes_origin("https://example.org/fleet2"));
        assert_eq!(policy.acks, AckRule::Signed);
        assert_eq!(HomePolicy::parse("policy.toml", "").unwrap().value, HomePolicy::default());
    }

    #[test]
    fn other_texts_are_denied() {
        for text in [
            "[[believe]]\n",
            "[[believe]]\norigin = \"a\"\nkey = \"ed25519:x\"\n",
            "[[believe]]\nkey = \"rsa:x\"\n",
            "acks = \"none\"\n",
            "[policy.authority]\ndeny = [\"everything\"]\n",
            "[[believe]]\nkey = \"ed25519:AAAA\"\n",
            "[trusted-root]\nfail-after = \"soon\"\n",
            "[[policy.signer]]\nmatch = [\"pack:x\"]\nkey = \"ed25519:AAAA\"\n",
            "typo = 1\n",
        ] {
            assert!(HomePolicy::parse("policy.toml", text).is_err(), "{text:?}");
        }
    }
}
