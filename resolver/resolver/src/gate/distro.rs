//! Who signed a distro: its declaration and its lock, together.
//!
//! The bundle is [`DISTRO_SIGNATURE`] beside `Distro.toml`, over a statement that names both files. Only the
//! home's rules can say who may sign a distro: it can't vouch for itself.

use astrid_manifest::policy::{Provenance as Demand, SignerRuleIdentity};
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_provenance::bundle::Bundle;
use astrid_provenance::statement::{Digests, Statement};
use astrid_provenance::verify::{Artifact, Verified, Verifier};

use super::{Gate, about, admitted, nobody_may_sign, of_kind, unsigned_against_rule};
use crate::bundle::{Shuttle, seal_under};
use crate::declaration::{Declaration, LOCK};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::FoundRule;

/// The bundle of a distro, beside its `Distro.toml`.
pub const DISTRO_SIGNATURE: &str = "Distro.sigstore.json";

/// Who signed a distro, as it was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DistroProof {
    /// The signer.
    pub signer: Signer,
    /// Unsigned, it is not applied without `--allow-unsigned`.
    pub required: bool,
    /// What people should know.
    pub notes: Vec<String>,
}

/// Finds out who signed a declaration and its lock.
///
/// # Errors
/// `Signature` when what is there is wrong, when it is not by the key that the declaration names, or by somebody
/// who may not; `Invalid` when the bundle can't be read.
pub(crate) fn check_distro(gate: &Gate<'_>, declaration: &Declaration) -> Result<DistroProof> {
    let subject = Subject::Distro(declaration.distro().header.id.clone());
    let origin = declaration.origin();
    let demand = gate.policy.provenance_of(&subject, origin.is_remote());
    let rule = gate.policy.signer_rule(&subject, None);
    let required = demand == Demand::Required || rule.is_some();
    if let Some(bundle) = declaration.bundle() {
        return check_sealed(gate, &subject, bundle.shuttle(), required);
    }
    let Some(bundles) = declaration.signature() else {
        if let (Some(rule), true) = (rule, required) {
            return Err(unsigned_against_rule(&subject, rule));
        }
        return Ok(DistroProof { required, ..DistroProof::default() });
    };
    if demand == Demand::None && rule.is_none() {
        return Ok(DistroProof::default());
    }
    let named = declaration.distro().header.signing.as_ref().map(|signing| signing.pubkey.as_str());
    let mut refusals = Vec::new();
    let mut stale = true;
    for bundle in Bundle::parse_all(bundles).map_err(|error| about(&subject, error))? {
        match check_bundle(gate.root()?.verifier(), declaration, &bundle, rule, named) {
            Ok(proved) => {
                // The key that the declaration names is held to its pin; anybody else needs a rule.
                let is_named = matches!(&proved.signer(), Signer::Key(key) if named == Some(key.as_str()));
                if demand == Demand::Required && rule.is_none() && !is_named {
                    return Err(nobody_may_sign(&subject, &proved));
                }
                return Ok(DistroProof { signer: proved.signer(), required, notes: Vec::new() });
            }
            Err(Refusal::Stale) => {
                refusals
                    .push("it is about other files than Distro.toml and Distro.lock as they are".to_owned());
            }
            Err(Refusal::Other(error)) => {
                stale = false;
                refusals.push(error.message().to_owned());
                refusals.extend(error.reasons().iter().map(|reason| format!("  {reason}")));
            }
        }
    }
    if stale && !origin.is_fetched() {
        return stale_here(&subject, rule, required, refusals);
    }
    let message = match rule {
        Some(rule) => format!("the signature of {subject} is refused by the rule at {rule}"),
        None => format!("the signature of {subject} is refused"),
    };
    Err(Error::new(ErrorKind::Signature, message)
        .because(refusals)
        .hint("get the distro again from who publishes it; nothing was changed"))
}

/// Somebody is at work on it. Where a signature is demanded, being unsigned is refused later.
fn stale_here(
    subject: &Subject,
    rule: Option<FoundRule<'_>>,
    required: bool,
    reasons: Vec<String>,
) -> Result<DistroProof> {
    if let (Some(rule), true) = (rule, required) {
        return Err(unsigned_against_rule(subject, rule).because(reasons));
    }
    let notes = vec![format!(
        "{DISTRO_SIGNATURE} is about other files than the ones here: sign again before publishing"
    )];
    Ok(DistroProof { signer: Signer::Unsigned, required, notes })
}

impl Gate<'_> {
    /// Takes back what was found out about a distro: its signature is of another lock than the one that is applied.
    ///
    /// # Errors
    /// `Signature` when a rule says who must sign it.
    pub(crate) fn without_signature(&self, declaration: &Declaration, proof: &mut DistroProof) -> Result<()> {
        let subject = Subject::Distro(declaration.distro().header.id.clone());
        let rule = self.policy.signer_rule(&subject, None);
        let reasons = vec!["what is here is not what its Distro.lock pins".to_owned()];
        *proof = stale_here(&subject, rule, proof.required, reasons)?;
        Ok(())
    }
}

/// Who sealed the bundle that a declaration came in. Whatever else is asked, one must be sealed by somebody.
fn check_sealed(
    gate: &Gate<'_>,
    subject: &Subject,
    shuttle: &Shuttle,
    required: bool,
) -> Result<DistroProof> {
    let rule = gate.policy.signer_rule(subject, None);
    let seal = seal_under(gate.policy, gate.root()?.verifier(), shuttle)?;
    if seal.signer.is_unsigned() {
        return match rule {
            Some(rule) if required => Err(unsigned_against_rule(subject, rule)),
            _ => Ok(DistroProof { required: true, ..DistroProof::default() }),
        };
    }
    let named = shuttle.distro().header.signing.as_ref().map(|signing| signing.pubkey.as_str());
    let is_named = matches!(&seal.signer, Signer::Key(key) if named == Some(key.as_str()));
    match &seal.proof {
        Some(proved) if required && rule.is_none() && !is_named => Err(nobody_may_sign(subject, proved)),
        _ => Ok(DistroProof { signer: seal.signer, required: true, notes: Vec::new() }),
    }
}

enum Refusal {
    /// A statement about other bytes.
    Stale,
    Other(astrid_provenance::Error),
}

fn check_bundle(
    verifier: &Verifier,
    declaration: &Declaration,
    bundle: &Bundle,
    rule: Option<FoundRule<'_>>,
    named: Option<&str>,
) -> Result<Verified, Refusal> {
    let text = declaration.text().as_bytes();
    let own = Digests::of(text);
    // Looked at before it is verified, and only to tell a stale statement from a wrong one.
    let claimed = bundle.payload().and_then(|payload| Statement::parse(payload).ok());
    let lock = declaration.lock_text().map(|lock| Digests::of(lock.as_bytes()));
    let is_about_both = |statement: &Statement| {
        let is_about_lock = match &lock {
            Some(lock) => statement.is_about(lock),
            // A lock that was signed and is gone pins nothing any more.
            None => statement.subject.iter().all(|subject| subject.name != LOCK),
        };
        statement.is_about(&own) && is_about_lock
    };
    if claimed.as_ref().is_some_and(|claimed| !is_about_both(claimed)) {
        return Err(Refusal::Stale);
    }
    let artifact = Artifact::new(text);
    let key = match (rule.map(|found| &found.rule.identity), named) {
        (Some(SignerRuleIdentity::Key { key }), _) => Some(key.as_str()),
        (_, Some(named)) => Some(named),
        _ => None,
    };
    let proved = match key {
        Some(key) => {
            let key = key.parse().map_err(Refusal::Other)?;
            verifier.verify_with_key(&artifact, bundle, &key)
        }
        None => verifier.verify(&artifact, bundle),
    }
    .map_err(Refusal::Other)?;
    if !proved.statement.as_ref().is_some_and(is_about_both) {
        return Err(Refusal::Other(
            astrid_provenance::Error::refused("it is no statement about Distro.toml and Distro.lock")
                .hint("sign it with `astrid sign`"),
        ));
    }
    of_kind(&proved, &["distro", "bundle"]).map_err(Refusal::Other)?;
    if let Some(found) = rule {
        admitted(found, &proved).map_err(Refusal::Other)?;
    }
    Ok(proved)
}
