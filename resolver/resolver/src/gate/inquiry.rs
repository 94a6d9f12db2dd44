//! Verifying one artifact that is not part of a fleet, for a person who says whose it must be.

use astrid_manifest::Signer;
use astrid_manifest::diagnostic::Position;
use astrid_manifest::policy::{SignerRule, SignerRuleIdentity};
use astrid_provenance::bundle::Bundle;
use astrid_provenance::root::TrustRoot;
use astrid_provenance::rule;
use astrid_provenance::verify::{Artifact, Verified, Verifier};

use super::root::{self, RootSource, RootStanding};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::signing::Signable;

/// Whose an artifact must be.
#[derive(Debug, Clone)]
pub enum Whose {
    /// The holder of an ed25519 key: `ed25519:…`, 64 hexadecimal digits, or an `ssh-ed25519` line.
    Key(String),
    /// The holder of a key of any algorithm, as `SubjectPublicKeyInfo` in DER.
    Spki(Vec<u8>),
    /// Somebody whom an issuer attests.
    Attested(SignerRuleIdentity),
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Inquiry<'a> {
    /// What was signed.
    pub signable: &'a Signable,
    /// The bundle, or several, one a line.
    pub bundles: &'a [u8],
    /// Whose it must be.
    pub whose: &'a Whose,
    /// The type of the statement that must have been signed.
    pub predicate: Option<&'a str>,
    /// Who must have built it, as SLSA provenance says.
    pub builder: Option<&'a str>,
    /// The root to believe, in place of the home's or the program's.
    pub trusted_root: Option<&'a [u8]>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What the bundle proves.
    pub verified: Verified,
    /// The root that was believed; nothing of the home's when the caller gave one.
    pub root: Option<RootStanding>,
}

/// Says whether an artifact is whose it must be. No network is used.
///
/// # Errors
/// `Signature` when it is not; `Invalid` when a bundle, key or root can't be read.
pub fn inquire(context: &Context, inquiry: &Inquiry<'_>) -> Result<Finding> {
    let (trusted, standing) = if let Some(bytes) = inquiry.trusted_root {
        (TrustRoot::parse(bytes)?, None)
    } else {
        let (trusted, standing) = root::read(context)?;
        (trusted, Some(standing))
    };
    let judge = Verifier::new(&trusted)?;
    let mut reasons = Vec::new();
    let (mut hint, mut unreadable, mut was_read) = (None, None, false);
    for bundle in Bundle::parse_all(inquiry.bundles)? {
        match check(&judge, inquiry, &bundle) {
            Ok(verified) => return Ok(Finding { verified, root: standing }),
            Err(error) => {
                reasons.push(error.message().to_owned());
                reasons.extend(error.reasons().iter().map(|reason| format!("  {reason}")));
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
        return Err(error.into());
    }
    let names: Vec<&str> = inquiry.signable.subjects.iter().map(|(name, _)| name.as_str()).collect();
    let error = Error::new(ErrorKind::Signature, format!("{} is not verified", names.join(", ")));
    let fallback = match standing.map(|standing| standing.source) {
        Some(RootSource::Builtin) => "what another Sigstore signed needs its root: --trusted-root FILE",
        _ => "ask who publishes it; nothing was changed",
    };
    Err(error.because(reasons).hint(hint.unwrap_or_else(|| fallback.to_owned())))
}

fn check(
    judge: &Verifier,
    inquiry: &Inquiry<'_>,
    bundle: &Bundle,
) -> Result<Verified, astrid_provenance::Error> {
    let mut first = None;
    for bytes in inquiry.signable.artifacts() {
        let artifact = Artifact::new(bytes);
        let proved = match inquiry.whose {
            Whose::Key(key) => judge.verify_with_key(&artifact, bundle, &key.parse()?)?,
            Whose::Spki(der) => judge.verify_with_spki(&artifact, bundle, der)?,
            Whose::Attested(_) => judge.verify(&artifact, bundle)?,
        };
        first.get_or_insert(proved);
    }
    let proved = first.ok_or_else(|| astrid_provenance::Error::unreadable("there is nothing to verify"))?;
    let identity = match inquiry.whose {
        Whose::Attested(identity) => identity.clone(),
        Whose::Key(_) => SignerRuleIdentity::Key { key: signer_key(&proved) },
        // It was matched above, by its bytes: rules know no such keys.
        Whose::Spki(_) => return of_kind(inquiry, proved),
    };
    let asked = SignerRule {
        subjects: Vec::new(),
        identity,
        predicate: inquiry.predicate.map(str::to_owned),
        builder: inquiry.builder.map(str::to_owned),
        at: Position::default(),
    };
    rule::admits(&asked, &proved).map_err(|mismatch| {
        astrid_provenance::Error::refused(format!("it is validly signed by {}", proved.signer()))
            .because(mismatch.lines())
    })?;
    Ok(proved)
}

fn signer_key(proved: &Verified) -> String {
    match proved.signer() {
        Signer::Key(key) => key,
        other => other.to_string(),
    }
}

fn of_kind(inquiry: &Inquiry<'_>, proved: Verified) -> Result<Verified, astrid_provenance::Error> {
    let found = proved.predicate.as_ref();
    let wrong_kind =
        inquiry.predicate.is_some_and(|wanted| found.is_none_or(|predicate| predicate.kind != wanted));
    let wrong_builder = inquiry
        .builder
        .is_some_and(|wanted| found.and_then(|predicate| predicate.builder.as_deref()) != Some(wanted));
    if wrong_kind || wrong_builder {
        return Err(astrid_provenance::Error::refused(
            "the signed statement is of another kind, or of another builder",
        ));
    }
    Ok(proved)
}

/// The DER in a PEM of a public key; nothing when the text is no such PEM.
#[must_use]
pub fn spki_of_pem(text: &str) -> Option<Vec<u8>> {
    let body =
        text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    base64::engine::Engine::decode(&base64::engine::general_purpose::STANDARD, body).ok()
}
