//! The gate: from a plan to a plan that somebody trusts.

use astrid_authority::{Digest, DistroId};
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::Ack;
use jiff::Timestamp;

use super::acknowledgement::{Acknowledgements, Candidate};
use super::flags::Flags;
use super::floors::new_signer;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;
use crate::plan::document::{Confirmation, Evidence, Need, PlanDocument};

/// What a person is asked to type, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// `trust <pack_id>`.
    Pack {
        /// Which pack, and why.
        need: &'a Need,
    },
    /// `trust distro <id>`: every capsule outside packs that needs trust, together.
    Capsules {
        /// The distro.
        distro: &'a DistroId,
        /// The digest over its capsules outside packs.
        digest: Digest,
        /// Which capsules, and why.
        needs: Vec<&'a Need>,
    },
    /// The id of the distro that takes the place of another.
    ReplaceDistro {
        /// The distro that is applied now.
        from: &'a DistroId,
        /// The distro that takes its place: its id is to be typed.
        to: &'a DistroId,
    },
}

impl Request<'_> {
    /// The text that has to be typed.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Pack { need } => format!("trust {}", need.subject.name()),
            Self::Capsules { distro, .. } => format!("trust distro {distro}"),
            Self::ReplaceDistro { to, .. } => to.to_string(),
        }
    }
}

/// Asks a person to type something. Implemented where the terminal is.
pub trait Prompt {
    /// Shows what `request` is about and returns what was typed; nothing at the end of input.
    ///
    /// # Errors
    /// When the terminal is gone.
    fn ask(&mut self, plan: &PlanDocument, request: &Request<'_>) -> Result<Option<String>>;
}

/// A plan whose every need for trust is satisfied: the only thing that can be applied.
///
/// [`grant`] is the only way to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedPlan {
    plan: Plan,
    acks: Vec<Ack>,
    evidence: Vec<(Subject, Evidence)>,
    accepted: Vec<Subject>,
}

impl TrustedPlan {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The acknowledgement of everything that needed one: kept with the generation.
    #[must_use]
    pub fn acks(&self) -> &[Ack] {
        &self.acks
    }

    /// What satisfied each need.
    #[must_use]
    pub fn evidence(&self) -> &[(Subject, Evidence)] {
        &self.evidence
    }

    /// Subjects whose new signer, or lack of one, was accepted.
    #[must_use]
    pub fn accepted(&self) -> &[Subject] {
        &self.accepted
    }
}

/// Who trusts, and when.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Name and mail.
    pub by: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Lets `plan` through when everything in it is trusted.
///
/// First what needs a flag of its own: signers (83), then downgrade and another distro (85). Then
/// trust (82): acknowledgements that count, then the flags, then the prompt.
///
/// # Errors
/// When something is not allowed or not trusted; when a person types something else, which is 1.
pub fn grant(
    plan: Plan,
    acknowledgements: &Acknowledgements,
    flags: &Flags,
    mut prompt: Option<&mut dyn Prompt>,
    caller: Caller<'_>,
) -> Result<TrustedPlan> {
    let accepted = confirm(plan.document(), flags, &mut prompt)?;
    let document = plan.document();
    let mut evidence: Vec<(Subject, Evidence)> = Vec::new();
    let mut open: Vec<(&Need, &Candidate)> = Vec::new();
    for (need, candidate) in document.trust.needed.iter().zip(plan.candidates()) {
        let flagged = flags.trust_all
            || flags.trusts(&candidate.subject, candidate.content)
            || candidate
                .distro
                .as_ref()
                .is_some_and(|(distro, own)| flags.trusts(&Subject::Distro(distro.clone()), own.content));
        if let Some(found) = acknowledgements.satisfy(candidate) {
            evidence.push((candidate.subject.clone(), found));
        } else if flagged {
            evidence.push((candidate.subject.clone(), Evidence::Flag));
        } else {
            open.push((need, candidate));
        }
    }
    if !open.is_empty() {
        match &mut prompt {
            None => return Err(refusal(document, &open, acknowledgements, flags)),
            Some(prompt) => {
                ask(document, &open, *prompt)?;
                evidence.extend(open.iter().map(|(need, _)| (need.subject.clone(), Evidence::Prompt)));
            }
        }
    }
    evidence.sort();
    let acks =
        plan.candidates().iter().map(|candidate| candidate.acknowledge(caller.by, caller.now)).collect();
    Ok(TrustedPlan { plan, acks, evidence, accepted })
}

fn confirm(
    document: &PlanDocument,
    flags: &Flags,
    prompt: &mut Option<&mut dyn Prompt>,
) -> Result<Vec<Subject>> {
    let mut accepted = Vec::new();
    for confirmation in &document.confirm {
        match confirmation {
            Confirmation::NewSigner { subject, allowed: Some(_), .. } => accepted.push(subject.clone()),
            Confirmation::NewSigner { subject, from, to, allowed: None } => {
                return Err(new_signer(subject, from, to));
            }
            Confirmation::UnsignedDistro if !flags.allow_unsigned => {
                return Err(Error::new(
                    ErrorKind::Signature,
                    format!("distro `{}` must be signed, and is not signed", document.distro.id),
                )
                .hint("ask who publishes it for a signed one; `--allow-unsigned` takes it all the same"));
            }
            Confirmation::NewDistroKey { from, to } if !flags.accept_new_key => {
                return Err(Error::new(
                    ErrorKind::Signature,
                    format!(
                        "distro `{}` was signed by {from} when this home first saw it, and is now by {to}",
                        document.distro.id
                    ),
                )
                .hint("pass `--accept-new-key` when you know that the signer changed"));
            }
            Confirmation::DistroSignatureGone { from } => {
                return Err(Error::new(
                    ErrorKind::Signature,
                    format!(
                        "distro `{}` was signed by {from} when this home first saw it, and is not signed now",
                        document.distro.id
                    ),
                )
                .hint(
                    "`--allow-unsigned` does not allow it; `astrid trust keys remove` forgets who signed it",
                ));
            }
            Confirmation::UnsignedDistro
            | Confirmation::NewDistroKey { .. }
            | Confirmation::Downgrade { .. }
            | Confirmation::ReplaceDistro { .. } => {}
        }
    }
    for confirmation in &document.confirm {
        match confirmation {
            Confirmation::Downgrade { from, to } if !flags.allow_downgrade => {
                return Err(Error::new(
                    ErrorKind::Policy,
                    format!(
                        "distro `{}` {to} is older than {from}, which this home has applied",
                        document.distro.id
                    ),
                )
                .hint("pass `--allow-downgrade` to go back, or `astrid rollback` to an earlier generation"));
            }
            Confirmation::ReplaceDistro { from, to } if !flags.replace_distro => {
                let request = Request::ReplaceDistro { from, to };
                let Some(prompt) = prompt else {
                    let what = if from == to {
                        format!("this home applies `{from}` from another place")
                    } else {
                        format!("this home applies the distro `{from}`, and `{to}` would take its place")
                    };
                    return Err(Error::new(ErrorKind::Policy, what).hint(
                        "pass `--replace-distro` when that is what you want; `--yes` and `--trust` don't cover it",
                    ));
                };
                let typed = prompt.ask(document, &request)?;
                check_typed(typed, &request)?;
            }
            _ => {}
        }
    }
    Ok(accepted)
}

fn ask(document: &PlanDocument, open: &[(&Need, &Candidate)], prompt: &mut dyn Prompt) -> Result<()> {
    for (need, _) in open {
        if let Subject::Pack(_) = need.subject {
            let request = Request::Pack { need };
            check_typed(prompt.ask(document, &request)?, &request)?;
        }
    }
    let needs: Vec<&Need> = open
        .iter()
        .map(|(need, _)| *need)
        .filter(|need| matches!(need.subject, Subject::Capsule(_)))
        .collect();
    if let (false, Some(trust)) = (needs.is_empty(), &document.trust.distro) {
        let request = Request::Capsules { distro: &trust.id, digest: trust.digest, needs };
        check_typed(prompt.ask(document, &request)?, &request)?;
    }
    Ok(())
}

/// The answer counts when it is exactly what was asked for, character by character.
fn check_typed(typed: Option<String>, request: &Request<'_>) -> Result<()> {
    let expected = request.expected();
    if typed.is_some_and(|typed| typed == expected) {
        return Ok(());
    }
    Err(Error::failed("Cancelled.").hint(format!("type exactly `{expected}` to go on")))
}

fn refusal(
    document: &PlanDocument,
    open: &[(&Need, &Candidate)],
    acknowledgements: &Acknowledgements,
    flags: &Flags,
) -> Error {
    let mut reasons = Vec::new();
    let mut ways = Vec::new();
    let mut typed = Vec::new();
    for (need, candidate) in open {
        let why: Vec<_> = need.why.iter().map(|why| why.as_words()).collect();
        reasons.push(format!("{} {} {} ({})", need.subject, need.version, why.join(", "), need.content));
        for (file, void) in acknowledgements.without_effect(candidate) {
            reasons.push(format!("  {file} has no effect: {}", void.as_words()));
        }
        for flag in flags.trust.iter().filter(|flag| flag.subject == need.subject) {
            reasons.push(format!("  `{flag}` has no effect: the content is {}", need.content));
        }
        if let Subject::Pack(_) = need.subject {
            ways.push(format!("--trust={}@{}", need.subject, need.content));
            typed.push(Request::Pack { need }.expected());
        }
    }
    if let Some(trust) = &document.trust.distro
        && open.iter().any(|(need, _)| matches!(need.subject, Subject::Capsule(_)))
    {
        ways.push(format!("--trust=distro:{}@{}", trust.id, trust.digest));
        typed.push(format!("trust distro {}", trust.id));
    }
    let what = match open {
        [(need, _)] => format!("trust acknowledgement required for {}", need.subject),
        _ => format!("trust acknowledgement required for {} subjects", open.len()),
    };
    Error::new(ErrorKind::TrustRequired, what).because(reasons).hint(format!(
        "review what is shown, then pass `{}`; or run it at a terminal and type `{}`; or write acknowledgement files \
         with `astrid trust ack`. `--yes` only skips the ordinary confirmation",
        ways.join(" "),
        typed.join("` and `")
    ))
}
