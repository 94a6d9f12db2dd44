//! `trust`: review what needs it, give it in files, take it back, believe an origin.

use std::collections::BTreeMap;
use std::path::Path;

use astrid_authority::Permission;
use astrid_manifest::{Ack, AckFile, Subject};
use astrid_resolver::Context;
use astrid_resolver::observed::Depth;
use astrid_resolver::plan::document::{Need, PlanDocument};
use astrid_resolver::proposal::HomeTrust;
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::trust::files::{believe as record_belief, revoke as take_back, write_acks};
use astrid_resolver::trust::grant::{Prompt as _, Request};
use astrid_resolver::trust::{AckSignature, Flags, ack_signature, sign_ack};
use astrid_resolver::verified::{Freshness, VerifiedFleet};
use jiff::Timestamp;
use serde_json::json;

use super::fleet::{self, Asked};
use crate::args::{AckArgs, BelieveArgs, ConsentArgs, ReviewArgs, RevokeArgs, TrustVerb, VariableArgs};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::facts::AllFacts;
use crate::prompt::{self, Person};
use crate::render::plan::{satisfied, why};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::count;

pub(crate) fn run(session: &mut Session, verb: &TrustVerb) -> Outcome {
    match verb {
        TrustVerb::Review(args) => review(session, args),
        TrustVerb::Ack(args) => ack(session, args),
        TrustVerb::Revoke(args) => revoke(session, args),
        TrustVerb::List => list(session),
        TrustVerb::Believe(args) => believe(session, args),
        TrustVerb::Keys(verb) => super::pins::run(session, verb),
        TrustVerb::Root(verb) => super::root::run(session, verb),
    }
}

fn planned(
    session: &mut Session,
    context: &mut Context,
    path: &Path,
    acks_of_repository: bool,
) -> Result<(VerifiedFleet, PlanDocument), Failure> {
    let declaration = fleet::declaration(session, context, path)?;
    let fleet =
        fleet::fleet(session, context, &declaration, Upgrade::None, BTreeMap::new(), Freshness::Hash)?;
    let asked = Asked {
        variables: &VariableArgs::default(),
        acks_of_repository,
        allow_empty: true,
        look: Depth::Presence,
        returning: &[],
    };
    let proposal = fleet::proposal(session, context, &fleet, &asked)?;
    let mut document = proposal.plan.document().clone();
    if acks_of_repository {
        // What the flag of this run lets count is no part of a plan, and is what a review is about.
        for (need, candidate) in document.trust.needed.iter_mut().zip(proposal.plan.candidates()) {
            if need.satisfied_by.is_none() {
                need.satisfied_by = proposal.acknowledgements.satisfy(candidate);
            }
        }
    }
    Ok((fleet, document))
}

fn review(session: &mut Session, args: &ReviewArgs) -> Outcome {
    let mut context = session.context()?;
    let (fleet, document) = planned(session, &mut context, &args.path, args.acks.is_some())?;
    let needed = &document.trust.needed;
    let packs = AllFacts::of_plan(&context, &fleet, &document)?;
    let mut pretty = String::new();
    for request in requests(&document, needed.iter().collect()) {
        pretty.push_str(crate::render::trust::summary(&document, &request, &packs).trim_start());
        pretty.push('\n');
    }
    for need in needed {
        let by = need.satisfied_by.as_ref().map_or("nothing yet".to_owned(), satisfied);
        put!(pretty, "{} {}: {}; given by {by}\n", need.subject, safe(&need.version), why(need));
    }
    if needed.is_empty() {
        "nothing needs trust\n".clone_into(&mut pretty);
    }
    let open = needed.iter().filter(|need| need.satisfied_by.is_none()).count();
    session.shell.show(&json!({ "trust": document.trust, "open": open }), &pretty)?;
    Ok(DONE)
}

/// What a person is asked for `needs`: each pack on its own, the capsules together.
fn requests<'a>(document: &'a PlanDocument, needs: Vec<&'a Need>) -> Vec<Request<'a>> {
    let (packs, capsules): (Vec<_>, Vec<_>) =
        needs.into_iter().partition(|need| matches!(need.subject, Subject::Pack(_)));
    let mut requests: Vec<Request<'a>> = packs.into_iter().map(|need| Request::Pack { need }).collect();
    if let (false, Some(trust)) = (capsules.is_empty(), &document.trust.distro) {
        requests.push(Request::Capsules { distro: &trust.id, digest: trust.digest, needs: capsules });
    }
    requests
}

fn ack(session: &mut Session, args: &AckArgs) -> Outcome {
    session.may_write_repository()?;
    let mut context = session.context()?;
    let expires = args.expires.as_deref().map(expiry).transpose()?;
    // A key that is not there is told before anybody is asked.
    let key = args.sign.as_deref().map(|key| super::sign::signing_key(session, key)).transpose()?;
    let (fleet, document) = planned(session, &mut context, Path::new("."), false)?;
    let wanted = chosen(&document, &args.subjects)?;
    let folder = fleet.declaration().folder().map(|folder| folder.join("trust"));
    let folder =
        folder.ok_or_else(|| Failure::failed("a distro that was fetched has no trust/ to write into"))?;
    if wanted.is_empty() {
        session.shell.note("nothing needs an acknowledgement");
        return Ok(DONE);
    }
    let consent = ConsentArgs { trust: args.trust.clone(), ..ConsentArgs::default() };
    let flags = super::apply::flags(&consent)?;
    let now = context.clock.now();
    if expires.is_some_and(|end| end <= now) {
        return Err(Failure::usage("--expires lies in the past"));
    }
    let asks = session.world.interactive && !session.shell.for_programs();
    let packs = AllFacts::of_plan(&context, &fleet, &document)?;
    for request in requests(&document, wanted.clone()) {
        if flagged(&flags, &request) {
            // What is acknowledged is shown, also when nobody is asked.
            session.shell.say(crate::render::trust::summary(&document, &request, &packs).trim());
            continue;
        }
        if !asks {
            return Err(Failure::new(
                Kind::TrustRequired,
                "nobody can be asked here, and nothing was acknowledged",
            )
            .because(
                wanted.iter().map(|need| format!("{} {} ({})", need.subject, need.version, need.content)),
            )
            .hint("review it with `astrid trust review`, then pass --trust=SUBJECT@DIGEST"));
        }
        let mut person = Person { shell: &mut session.shell, packs: &packs };
        let typed = person.ask(&document, &request)?;
        if typed.is_none_or(|typed| typed != request.expected()) {
            return Err(Failure::failed("Cancelled.").hint(format!("type exactly `{}`", request.expected())));
        }
    }
    let mut given = Vec::new();
    for need in &wanted {
        let mut ack = Ack {
            subject: need.subject.clone(),
            version: need.version.clone(),
            content: need.content,
            authority: need.authority,
            signer: need.signer.clone(),
            permissions: permissions(&fleet, &need.subject)?,
            by: context.caller.clone(),
            at: now,
            expires,
            signature: None,
            place: astrid_manifest::Position::default(),
        };
        if let Some(key) = &key {
            sign_ack(&mut ack, key);
        }
        given.push(ack);
    }
    let written = write_acks(&context, &folder, &given)?;
    let names: Vec<String> =
        written.iter().filter_map(|path| Some(format!("trust/{}", path.file_name()?.to_str()?))).collect();
    let pretty = format!("{} written: {}\n", count(names.len(), "file"), names.join(", "));
    session.shell.show(&json!({ "written": names }), &pretty)?;
    session.shell.note(match &key {
        Some(_) => "they count where the key is listed as believed, from a believed origin, or with --acks=repository",
        None => "they count from a believed origin, or with --acks=repository",
    });
    Ok(DONE)
}

fn flagged(flags: &Flags, request: &Request<'_>) -> bool {
    flags.trust_all
        || match request {
            Request::Pack { need } => flags.trusts(&need.subject, need.content),
            Request::Capsules { distro, digest, needs } => {
                flags.trusts(&Subject::Distro((*distro).clone()), *digest)
                    || needs.iter().all(|need| flags.trusts(&need.subject, need.content))
            }
            Request::ReplaceDistro { .. } => false,
        }
}

fn expiry(text: &str) -> Result<Timestamp, Failure> {
    let time = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
    time.map_err(|_| {
        Failure::usage(format!("`--expires {}` is no date", safe(text))).hint("write it as 2027-05-20")
    })
}

/// The needs that are named; without names, those that nothing satisfies yet.
fn chosen<'a>(document: &'a PlanDocument, names: &[String]) -> Result<Vec<&'a Need>, Failure> {
    let needed = &document.trust.needed;
    if names.is_empty() {
        return Ok(needed.iter().filter(|need| need.satisfied_by.is_none()).collect());
    }
    let mut found = Vec::new();
    for name in names {
        let of_distro =
            document.trust.distro.as_ref().is_some_and(|distro| *name == format!("distro:{}", distro.id));
        let before = found.len();
        found.extend(needed.iter().filter(|need| {
            need.subject.to_string() == *name
                || need.subject.name() == name
                || of_distro && matches!(need.subject, Subject::Capsule(_))
        }));
        if found.len() == before {
            return Err(Failure::failed(format!("`{}` needs no trust", safe(name)))
                .hint("`astrid trust review` shows what does"));
        }
    }
    Ok(found)
}

fn permissions(fleet: &VerifiedFleet, subject: &Subject) -> Result<Vec<Permission>, Failure> {
    match subject {
        Subject::Pack(id) => match fleet.pack(id) {
            Some(pack) => Ok(pack.manifest()?.permissions.clone()),
            None => Ok(Vec::new()),
        },
        _ => Ok(Vec::new()),
    }
}

fn revoke(session: &mut Session, args: &RevokeArgs) -> Outcome {
    let context = session.context()?;
    let subject: Subject = args.subject.parse().map_err(|_| {
        Failure::usage(format!("`{}` is no subject", safe(&args.subject)))
            .hint("write pack:ID, capsule:NAME or distro:ID")
    })?;
    let writer = session.write_lock(&context.home, "astrid trust revoke")?;
    let removed = take_back(&context, &writer, &subject, None)?;
    drop(writer);
    let pretty =
        format!("trust in {subject} is taken back; what runs goes on running until the next apply\n");
    session.shell.show(&json!({ "revoked": subject, "acknowledgements_removed": removed }), &pretty)?;
    Ok(DONE)
}

fn list(session: &mut Session) -> Outcome {
    let context = session.context()?;
    let trust = HomeTrust::read(&context)?;
    let current = astrid_resolver::apply::current(&context)?;
    let of_generation = match &current {
        Some(current) => match current.generation.read(astrid_store::generation::Part::Acknowledgements)? {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                AckFile::parse("acks.toml", &text).map_err(Failure::diagnostics)?.value.acks
            }
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let mut pretty = String::new();
    let mut documents = Vec::new();
    let own = trust.acks.iter().flat_map(|(name, file)| file.acks.iter().map(move |ack| (name.clone(), ack)));
    let number = current.as_ref().map(|current| current.generation.number().get()).unwrap_or_default();
    let given = of_generation.iter().map(|ack| (format!("generation {number}"), ack));
    for (place, ack) in own.chain(given) {
        put!(pretty, "{} {}  {}\n", ack.subject, safe(&ack.version), ack.content);
        put!(pretty, "  by {} at {:.0}, in {place}\n", safe(&ack.by), ack.at);
        let signature = match ack_signature(ack) {
            AckSignature::None => None,
            AckSignature::By(key) => Some(key.to_string()),
            AckSignature::Wrong => Some("wrong".to_owned()),
        };
        if let Some(signature) = &signature {
            put!(pretty, "  signature: {signature}\n");
        }
        documents.push(json!({
            "subject": ack.subject, "version": ack.version, "content": ack.content, "authority": ack.authority,
            "signer": ack.signer.to_string(), "by": ack.by, "at": ack.at.to_string(), "signature": signature,
            "expires": ack.expires.map(|end| end.to_string()), "in": place,
        }));
    }
    for belief in trust.beliefs.recorded() {
        put!(
            pretty,
            "believes {} (distro {}, since {:.0})\n",
            safe(&belief.origin),
            belief.distro,
            belief.at
        );
    }
    for revocation in trust.revocations.list() {
        put!(pretty, "revoked {} at {:.0}\n", revocation.subject, revocation.at);
    }
    if pretty.is_empty() {
        "nothing is acknowledged, believed or revoked\n".clone_into(&mut pretty);
    }
    let document = json!({
        "acknowledged": documents,
        "believed": trust.beliefs.recorded(),
        "revoked": trust.revocations.list(),
    });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

fn believe(session: &mut Session, args: &BelieveArgs) -> Outcome {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, &args.path)?;
    let origin = declaration.origin().identity();
    let id = declaration.distro().header.id.clone();
    if !session.world.interactive {
        return Err(Failure::usage("an origin is believed at a terminal, by a person").hint(format!(
            "or list it in etc/policy.toml of the home:\n[[believe]]\norigin = \"{origin}\""
        )));
    }
    session.shell.say(&format!(
        "Distro {id} comes from {}\nIf it is believed, its acknowledgements and its policy count at this home, now and later.",
        safe(&origin)
    ));
    let typed =
        prompt::text(&mut session.shell, &format!("Type `believe {id}` to go on: "))?.unwrap_or_default();
    let writer = session.write_lock(&context.home, "astrid trust believe")?;
    record_belief(&context, &writer, &origin, &id, &typed)?;
    drop(writer);
    session.shell.note(&format!("{} is believed", safe(&origin)));
    Ok(DONE)
}
