//! `[policy]`: what is demanded of everything in a distro or in a home.

use astrid_authority::{Ceiling, DenyRule};
use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnostic::Position;
use crate::document::{Context, Table, Unknown};
use crate::key::KeyText;
use crate::period::Period;
use crate::subject::SubjectPattern;

/// What is demanded of everything in a distro or in a home.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    /// What must be known about who built something; absent means the default for its kind.
    pub provenance: Option<Provenance>,
    /// How old a release must be.
    pub min_age: Option<Period>,
    /// Whether a call that will always be denied is a fault; absent means a warning.
    pub ungranted_imports: Option<UngrantedImports>,
    /// Who may sign what; the first match decides.
    #[schemars(default, rename = "signer")]
    pub signers: Vec<SignerRule>,
    /// Reviewed changes of signer.
    #[schemars(default, rename = "change")]
    pub changes: Vec<PolicyChange>,
    /// The most that anything may be granted.
    #[schemars(default)]
    pub authority: AuthorityPolicy,
}

/// What must be known about who built something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provenance {
    /// Nothing.
    None,
    /// What is there must be right.
    IfPresent,
    /// It must be there.
    Required,
}

/// What happens to a capsule that imports an interface which its manifest grants nothing for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UngrantedImports {
    /// People are told.
    Warn,
    /// It is refused.
    Error,
}

/// `[policy.authority]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AuthorityPolicy {
    /// What nothing may be granted; exceeding it is refused, never trimmed.
    #[schemars(default)]
    pub deny: Vec<DenyRule>,
}

impl AuthorityPolicy {
    /// The rules as the authority crate decides over them.
    #[must_use]
    pub fn ceiling(&self) -> Ceiling {
        Ceiling::new(self.deny.clone())
    }
}

/// `[[policy.signer]]`: who may sign what.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SignerRule {
    /// What it is about.
    #[schemars(rename = "match")]
    pub subjects: Vec<SubjectPattern>,
    /// Who may sign it.
    #[schemars(flatten)]
    pub identity: SignerRuleIdentity,
    /// What kind of statement must be signed.
    pub predicate: Option<String>,
    /// A pattern of who must have built it, as the SLSA statement says.
    pub builder: Option<String>,
    /// Where the rule begins.
    #[schemars(skip)]
    pub at: Position,
}

/// Who may sign.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum SignerRuleIdentity {
    /// A workflow of a repository, as its CI attests it.
    Workflow {
        /// Who attests it.
        issuer: String,
        /// The repository.
        repository: String,
        /// The file of the workflow.
        workflow: Option<String>,
        /// A pattern of refs.
        #[schemars(rename = "ref")]
        reference: Option<String>,
    },
    /// A person or machine, as an issuer attests it.
    Identity {
        /// Who attests it.
        issuer: String,
        /// Who it is.
        identity: String,
    },
    /// A key: `ed25519:` and its base64.
    Key {
        /// The key.
        key: String,
    },
}

/// `[[policy.change]]`: a reviewed change of signer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PolicyChange {
    /// What it is about.
    #[schemars(with = "String")]
    pub subject: crate::subject::Subject,
    /// Who signed it before.
    pub from: String,
    /// Who signs it from now on.
    pub to: String,
    /// Why.
    pub reason: String,
    /// Where the change begins.
    #[schemars(skip)]
    pub at: Position,
}

/// Takes a keyword; the names are what it may be.
pub(crate) fn keyword<T: Copy>(
    table: &mut Table<'_, '_>,
    key: &'static str,
    names: &[(&str, T)],
) -> Option<T> {
    let text = table.text(key)?;
    let found = names.iter().find(|(name, _)| *name == text.value).map(|(_, value)| *value);
    if found.is_none() {
        let wanted: Vec<String> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!("`{key}` must be one of {}", wanted.join(", "));
        table.context.error(&text.span, "wrong-value", message);
    }
    found
}

/// Reads `[policy]`.
pub(crate) fn read(context: &Context<'_>, mut table: Table<'_, '_>) -> Policy {
    let provenance = keyword(
        &mut table,
        "provenance",
        &[
            ("required", Provenance::Required),
            ("if-present", Provenance::IfPresent),
            ("none", Provenance::None),
        ],
    );
    let min_age = table.parse("min-age", "period");
    let ungranted_imports = keyword(
        &mut table,
        "ungranted-imports",
        &[("warn", UngrantedImports::Warn), ("error", UngrantedImports::Error)],
    );
    let signers = table.tables("signer").into_iter().filter_map(|rule| signer(context, rule)).collect();
    let changes = table.tables("change").into_iter().filter_map(change).collect();
    let mut authority = AuthorityPolicy::default();
    if let Some(mut below) = table.table("authority") {
        authority.deny = below.parse_each("deny", "deny-rule");
        below.finish(Unknown::Error);
    }
    table.finish(Unknown::Error);
    Policy { provenance, min_age, ungranted_imports, signers, changes, authority }
}

fn signer(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<SignerRule> {
    let at = table.position();
    if !table.has("match") {
        table.missing("match");
    }
    let subjects = table.parse_each("match", "subject");
    let (issuer, repository, workflow) =
        (table.string("issuer"), table.string("repository"), table.string("workflow"));
    let (reference, identity) = (table.string("ref"), table.string("identity"));
    let key_span = table.key_span("key");
    let key = table.parse::<KeyText>("key", "key").map(|key| key.to_string());
    if let (Some(_), None) = (&key_span, &key) {
        table.finish(Unknown::Error);
        return None;
    }
    let (predicate, builder) = (table.string("predicate"), table.string("builder"));
    if let (Some(_), None) = (&builder, &predicate) {
        let message = "`builder` is said by a statement: it needs `predicate`, such as \"https://slsa.dev/provenance/v1\"";
        context.error(&table.span.clone(), "signer", message);
    }
    let span = table.span.clone();
    table.finish(Unknown::Error);
    let identity = match (issuer, repository, identity, key) {
        (None, None, None, Some(key)) if workflow.is_none() && reference.is_none() => {
            SignerRuleIdentity::Key { key }
        }
        (Some(issuer), Some(repository), None, None) => {
            SignerRuleIdentity::Workflow { issuer, repository, workflow, reference }
        }
        (Some(issuer), None, Some(identity), None) if workflow.is_none() && reference.is_none() => {
            SignerRuleIdentity::Identity { issuer, identity }
        }
        _ => {
            context.error(
                &span,
                "signer",
                "a signer is `issuer` and `repository` (with `workflow`, `ref`), `issuer` and `identity`, or `key`",
            );
            return None;
        }
    };
    Some(SignerRule { subjects, identity, predicate, builder, at })
}

fn change(mut table: Table<'_, '_>) -> Option<PolicyChange> {
    let at = table.position();
    let subject = table.needed("subject", "subject");
    let (from, to) = (table.needed_text("from"), table.needed_text("to"));
    let reason = table.needed_text("reason");
    table.finish(Unknown::Error);
    Some(PolicyChange {
        subject: subject?,
        from: from?.value.into_owned(),
        to: to?.value.into_owned(),
        reason: reason?.value.into_owned(),
        at,
    })
}
