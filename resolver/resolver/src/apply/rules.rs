//! What is looked at again once nobody else may write: the base, the home's rules, and who signed the distro.

use astrid_authority::Digest;
use astrid_store::generation::Generation;

use super::Applying;
use crate::context::Context;
use crate::endorsement::endorsements;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::PlanDocument;
use crate::proposal::HomeTrust;
use crate::trust::Pins;
use crate::verified::VerifiedFleet;

/// Refuses a plan that was made for another generation than the one that is current by now.
pub(super) fn check_base(
    planned: Option<crate::plan::document::Base>,
    current: Option<&Generation>,
) -> Result<()> {
    let found = match current {
        Some(generation) => Some((generation.number().get(), generation.digest()?)),
        None => None,
    };
    if planned.map(|base| (base.generation, base.digest)) == found {
        return Ok(());
    }
    let at = found.map_or("no generation".to_owned(), |(number, _)| format!("generation {number}"));
    Err(Error::failed(format!("the home is at {at} by now, and the plan was made for another"))
        .hint("run the command again"))
}

/// Reads the home's rules again, now that nobody else may write: while a person was asked, another
/// command may have tightened them, and what it recorded must not be written over.
pub(super) fn check_rules(context: &Context, planned: Digest, applying: &Applying) -> Result<HomeTrust> {
    let trust = HomeTrust::read(context)?;
    let policy = trust.effective_policy(
        &applying.wanted.declaration().distro().policy,
        &applying.origin,
        &applying.wanted.proof().signer,
    );
    let changed = |kind, what: &str| {
        Err(Error::new(kind, format!("{what} since the plan was made")).hint("run the command again"))
    };
    if policy.digest() != planned {
        return changed(ErrorKind::Policy, "the policy was changed");
    }
    if trust.revocations != applying.revocations {
        return changed(ErrorKind::TrustRequired, "trust was taken back");
    }
    if trust.floors != applying.floors {
        return changed(ErrorKind::Failed, "another fleet was applied");
    }
    if trust.pins != applying.pins {
        return changed(ErrorKind::Signature, "the pins of who signs were changed");
    }
    Ok(trust)
}

/// A distro that stands against its pin is applied only when the plan said so, and somebody let it through.
pub(super) fn check_pin(pins: &Pins, wanted: &VerifiedFleet, document: &PlanDocument) -> Result<()> {
    let declaration = wanted.declaration();
    let id = &declaration.distro().header.id;
    let standing = pins.check(id, &wanted.proof().signer, &endorsements(declaration)?);
    let confirmed = standing.confirmation(false).is_some_and(|own| document.confirm.contains(&own));
    match standing.refusal(id) {
        Some(refusal) if !confirmed => Err(refusal),
        _ => Ok(()),
    }
}
