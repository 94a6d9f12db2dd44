//! The gate that every artifact passes: who made it, and whether they may have.
//!
//! What is asked for comes from the home's policy and the distro's, never from the file that is looked at.
//! Nothing here uses the network: the root of trust is the home's own or the one in the program.

mod cache;
mod distro;
mod inquiry;
pub(crate) mod root;

use std::sync::OnceLock;

use astrid_authority::Digest;
use astrid_manifest::policy::{Provenance as Demand, SignerRuleIdentity};
use astrid_manifest::signer::Signer;
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;
use astrid_provenance::bundle::Bundle;
use astrid_provenance::rule;
use astrid_provenance::statement::own_predicate;
use astrid_provenance::verify::{Artifact, Verified, Verifier};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{EffectivePolicy, FoundRule};
use cache::{Cache, Question};

pub(crate) use distro::check_distro;
pub use distro::{DISTRO_SIGNATURE, DistroProof};
pub use inquiry::{Finding, Inquiry, Whose, inquire, spki_of_pem};
pub use root::{
    AdoptedRoot, CarriedRoot, RootSource, RootStanding, TRUSTED_ROOT, TRUSTED_ROOT_RECORD, adopt,
    adopt_carried, check_root, forget, standing,
};

/// What was found out about who made some bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Who signed them.
    pub signer: Signer,
    /// What kind of statement was verified, as a lock names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
    /// The digest of the bundle that was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
    /// When they were signed, as a log or a timestamp authority says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
}

/// Bytes whose maker is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// What it is.
    pub(crate) subject: &'a Subject,
    /// Where it comes from, as declared.
    pub(crate) source: &'a Source,
    /// The digest of its tree: the address of its listing.
    pub(crate) content: Digest,
    /// The digest of the archive that it came in.
    pub(crate) archive: Option<Digest>,
    /// The digest of the bundle that came with it.
    pub(crate) signature: Option<Digest>,
    /// Who vouches for its bytes in a signature of their own over all of a bundle: of version 1 only, whose
    /// artifacts have none.
    pub(crate) vouched: Option<&'a Signer>,
}

/// The gate of one run. Shared by threads.
pub(crate) struct Gate<'a> {
    context: &'a Context,
    policy: &'a EffectivePolicy,
    age: astrid_manifest::policy::RootAge,
    root: OnceLock<root::Root>,
    cache: Cache,
}

impl<'a> Gate<'a> {
    /// The gate under a policy.
    pub(crate) fn open(
        context: &'a Context,
        policy: &'a EffectivePolicy,
        age: astrid_manifest::policy::RootAge,
    ) -> Self {
        Self { context, policy, age, root: OnceLock::new(), cache: Cache::load(context) }
    }

    /// Who made some bytes, when they may have.
    ///
    /// # Errors
    /// `Signature` when a signature is missing, wrong, or by somebody who may not sign it; `Invalid` when a
    /// bundle can't be read; `Corrupt` when the store is damaged.
    pub(crate) fn admit(&self, evidence: &Evidence<'_>) -> Result<Provenance> {
        let demand = self.policy.provenance_of(evidence.subject, evidence.source.is_remote());
        let rule = self.policy.signer_rule(evidence.subject, Some(evidence.source));
        if demand == Demand::None && rule.is_none() {
            return Ok(Provenance::default());
        }
        let Some(signature) = evidence.signature else {
            if let Some(signer) = evidence.vouched
                && rule.is_none_or(|found| names(&found.rule.identity, signer))
            {
                return Ok(Provenance { signer: signer.clone(), ..Provenance::default() });
            }
            return match (rule, demand) {
                (Some(rule), _) => Err(unsigned_against_rule(evidence.subject, rule)),
                (None, Demand::Required) => Err(unsigned(evidence)),
                (None, _) => Ok(Provenance::default()),
            };
        };
        let artifact = evidence.archive.unwrap_or(evidence.content);
        let question = Question {
            artifact,
            bundle: signature,
            root: self.root()?.digest(),
            rule: rule.map(|found| found.digest()),
            must_have_rule: demand == Demand::Required,
        };
        if let Some(known) = self.cache.answer(&question) {
            return Ok(known);
        }
        let store = &self.context.store;
        let bytes = store.get(&artifact)?;
        let found = self.find(evidence.subject, &bytes, &store.get(&signature)?, rule)?;
        if demand == Demand::Required && rule.is_none() {
            return Err(nobody_may_sign(evidence.subject, &found));
        }
        let provenance = Provenance {
            signer: found.signer(),
            predicate: level(&found),
            bundle: Some(signature),
            signed_at: found.times.iter().min().copied(),
        };
        self.cache.learn(&question, &provenance);
        Ok(provenance)
    }

    /// Writes down what was verified, so that it is not verified again.
    pub(crate) fn save(&self) {
        self.cache.save(self.context);
    }

    /// What people should know of the root of trust, when it was needed.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.root.get().map(|root| root.notes().to_vec()).unwrap_or_default()
    }

    pub(crate) fn root(&self) -> Result<&root::Root> {
        if self.root.get().is_none() {
            let _ = self.root.set(root::Root::open(self.context, self.age)?);
        }
        self.root.get().ok_or_else(|| Error::failed("the root of trust was not kept"))
    }

    /// The first of several bundles that proves something, and is by whom the rule says.
    fn find(
        &self,
        subject: &Subject,
        bytes: &[u8],
        bundles: &[u8],
        rule: Option<FoundRule<'_>>,
    ) -> Result<Verified> {
        let verifier = self.root()?.verifier();
        let artifact = Artifact::new(bytes);
        let mut refusals = Vec::new();
        let (mut hint, mut unreadable, mut was_read) = (None, None, false);
        for bundle in Bundle::parse_all(bundles).map_err(|error| about(subject, error))? {
            match check_one(verifier, &artifact, &bundle, rule) {
                Ok(proved) => return Ok(proved),
                Err(error) => {
                    refusals.push(error.message().to_owned());
                    refusals.extend(error.reasons().iter().map(|reason| format!("  {reason}")));
                    hint = hint.or_else(|| error.next_step().map(str::to_owned));
                    if error.kind() == astrid_provenance::ErrorKind::Refused {
                        was_read = true;
                    } else {
                        unreadable = unreadable.or(Some(error));
                    }
                }
            }
        }
        if let (false, Some(error)) = (was_read, unreadable) {
            return Err(about(subject, error));
        }
        let message = match rule {
            Some(rule) => format!("the signature of {subject} is refused by the rule at {rule}"),
            None => format!("the signature of {subject} is refused"),
        };
        Err(Error::new(ErrorKind::Signature, message).because(refusals).hint(hint.unwrap_or_else(|| {
            "get the artifact and its bundle again from who publishes it; nothing was changed".to_owned()
        })))
    }
}

/// Whether a rule names just this key.
fn names(identity: &SignerRuleIdentity, signer: &Signer) -> bool {
    matches!((identity, signer), (SignerRuleIdentity::Key { key }, Signer::Key(own)) if key == own)
}

/// What was proved beyond who signed: a statement of ours says nothing else.
fn level(found: &Verified) -> Option<String> {
    found.level().filter(|level| *level != astrid_provenance::statement::predicate("artifact"))
}

fn check_one(
    verifier: &Verifier,
    artifact: &Artifact<'_>,
    bundle: &Bundle,
    rule: Option<FoundRule<'_>>,
) -> Result<Verified, astrid_provenance::Error> {
    let proved = match rule.map(|found| &found.rule.identity) {
        Some(SignerRuleIdentity::Key { key }) => verifier.verify_with_key(artifact, bundle, &key.parse()?)?,
        _ => verifier.verify(artifact, bundle)?,
    };
    of_kind(&proved, &["artifact"])?;
    if let Some(found) = rule {
        admitted(found, &proved)?;
    }
    Ok(proved)
}

/// Refuses what somebody signed and did not sign as this. Who seals or applies a fleet names its files, and did not
/// make them; what others than this program say of bytes is for rules to tell apart.
fn of_kind(proved: &Verified, kinds: &[&str]) -> Result<(), astrid_provenance::Error> {
    let Some(predicate) = &proved.predicate else { return Ok(()) };
    if own_predicate(&predicate.kind).is_none_or(|kind| kinds.iter().any(|name| kind == format!("{name}/v1")))
    {
        return Ok(());
    }
    Err(astrid_provenance::Error::refused(format!("it is signed as something else: `{}`", predicate.kind))
        .hint("sign it as what it is: `astrid sign`"))
}

/// Says whether a rule admits who signed.
fn admitted(found: FoundRule<'_>, proved: &Verified) -> Result<(), astrid_provenance::Error> {
    rule::admits(found.rule, proved).map_err(|mismatch| {
        astrid_provenance::Error::refused(format!("it is validly signed by {}, who may not", proved.signer()))
            .because(mismatch.lines())
            .hint(format!("if they may, change the rule at {found}"))
    })
}

/// A refusal that says what it is about.
pub(crate) fn about(subject: &Subject, error: astrid_provenance::Error) -> Error {
    let whole = Error::from(error);
    let named =
        Error::new(whole.kind(), format!("{subject}: {}", whole.message())).because(whole.reasons().to_vec());
    match whole.next_step() {
        Some(hint) => named.hint(hint),
        None => named,
    }
}

fn unsigned_against_rule(subject: &Subject, rule: FoundRule<'_>) -> Error {
    Error::new(
        ErrorKind::Signature,
        format!("{subject} is not signed, and the rule at {rule} says who must sign it"),
    )
    .hint("ask who publishes it for a signed release, or change the rule")
}

fn unsigned(evidence: &Evidence<'_>) -> Error {
    let subject = evidence.subject;
    let message = if evidence.source.is_remote() {
        format!("{subject} is remote and not signed")
    } else {
        format!("{subject} is not signed, and the policy asks for a signature of everything")
    };
    Error::new(ErrorKind::Signature, message).hint(
        "ask who publishes it for a signed release; `provenance = \"if-present\"` under `[policy]` of \
         etc/policy.toml in the home lets unsigned ones through, each with trust of its own",
    )
}

fn nobody_may_sign(subject: &Subject, found: &Verified) -> Error {
    let rule = rule::suggestion(&subject.to_string(), found);
    Error::new(
        ErrorKind::Signature,
        format!(
            "{subject} is validly signed by {}, and no rule says that they may: a valid signature by anyone is not \
             authorization",
            found.signer()
        ),
    )
    .because(["if they may, put this into etc/policy.toml of the home:".to_owned()])
    .because(rule.lines().map(|line| format!("  {line}")))
    .hint("check who that is with somebody you know, not with the file itself")
}
