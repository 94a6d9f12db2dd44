//! What the policy says of each artifact of a fleet: all of it, not only the first refusal.

use astrid_manifest::policy::Provenance as Demand;
use astrid_manifest::signer::Signer;
use astrid_manifest::source::Source;
use astrid_manifest::subject::Subject;

use crate::artifact::{Artifact, CapsuleArtifact};
use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::{Evidence, Gate, Provenance};
use crate::proposal::HomeTrust;
use crate::resolution::{Request, in_mode, resolve, solve_fully};

/// What the policy says of one artifact.
#[derive(Debug)]
pub struct Judgement {
    /// What it is.
    pub subject: Subject,
    /// Where it comes from; nothing for the distro itself.
    pub source: Option<Source>,
    /// How much proof is asked for.
    pub demand: Demand,
    /// The rule about who may sign it, as `file:line`.
    pub rule: Option<String>,
    /// Who made it, or why that is refused.
    pub proof: Result<Provenance>,
    /// What it would be granted and may not be, in words.
    pub violations: Vec<String>,
    /// Who signed it when this home applied it last, as `[[policy.change]]` writes it.
    pub floor: Option<String>,
    /// Why it is not the same maker any more; nothing when it is, or when a reviewed line allows it.
    pub undercut: Option<Error>,
}

impl Judgement {
    /// Whether the policy lets it in.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.proof.is_ok() && self.violations.is_empty() && self.undercut.is_none()
    }
}

/// Judges every artifact of a declaration. Bytes are brought where they are missing; nothing is applied.
///
/// # Errors
/// As [`crate::resolution::resolve`]: what can't be resolved can't be judged. A refusal of an artifact is no error.
pub fn judgements(context: &Context, declaration: &Declaration, request: &Request) -> Result<Vec<Judgement>> {
    let context = &in_mode(context, request.mode);
    let trust = HomeTrust::read(context)?;
    let id = Subject::Distro(declaration.distro().header.id.clone());
    let theirs = &declaration.distro().policy;
    let (policy, proof) = match trust.judge(context, declaration) {
        Ok((policy, proof)) if proof.required && proof.signer.is_unsigned() => {
            let refusal = Error::new(ErrorKind::Signature, format!("{id} must be signed, and is not signed"))
                .hint("ask who publishes it for a signed one; `--allow-unsigned` takes it all the same");
            (policy, Err(refusal))
        }
        Ok((policy, proof)) => (policy, Ok(Provenance { signer: proof.signer, ..Provenance::default() })),
        Err(error) => {
            let origin = declaration.origin().identity();
            (trust.effective_policy(theirs, &origin, &Signer::Unsigned), Err(error))
        }
    };
    let mut all = vec![Judgement {
        demand: policy.provenance_of(&id, declaration.origin().is_remote()),
        rule: policy.signer_rule(&id, None).map(|rule| rule.to_string()),
        subject: id,
        source: None,
        proof,
        violations: Vec::new(),
        floor: None,
        undercut: None,
    }];
    let mut resolution = resolve(context, declaration, request)?;
    if resolution.solved.is_none() {
        solve_fully(context, &mut resolution)?;
    }
    let solved = resolution.solved.take().ok_or_else(|| Error::failed("resolution gave no versions"))?;
    let gate = Gate::open(context, &policy, trust.policy.trusted_root);
    for (member, chosen) in &solved.members {
        let subject = Subject::from(member.clone());
        let found = &chosen.found;
        let proof = gate.admit(&Evidence {
            subject: &subject,
            source: &chosen.source,
            content: found.artifact.content(),
            archive: found.archive,
            signature: found.signature,
            vouched: None,
        });
        let mut violations = Vec::new();
        let inner: Vec<&CapsuleArtifact> = match &found.artifact {
            Artifact::Capsule(capsule) => vec![capsule],
            Artifact::Pack(pack) => {
                violations.extend(policy.violations(&pack.manifest.authority()));
                let chosen = |name| chosen.capsules.as_ref().is_none_or(|names| names.contains(name));
                pack.capsules.values().filter(|capsule| chosen(&capsule.manifest.package.name)).collect()
            }
        };
        for capsule in inner {
            violations.extend(policy.violations(&capsule.authority(&context.store)?.granted));
        }
        let floor = trust.floors.subject(&subject);
        let undercut = proof.as_ref().ok().and_then(|proof| {
            trust.floors.refuses(&policy, &subject, &proof.signer, proof.predicate.as_deref())
        });
        all.push(Judgement {
            demand: policy.provenance_of(&subject, chosen.source.is_remote()),
            rule: policy.signer_rule(&subject, Some(&chosen.source)).map(|rule| rule.to_string()),
            subject,
            source: Some(chosen.source.clone()),
            proof,
            violations,
            floor: floor.map(crate::trust::floors::SubjectFloor::words),
            undercut,
        });
    }
    gate.save();
    Ok(all)
}
