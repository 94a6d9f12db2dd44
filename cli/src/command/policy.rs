//! `policy`: what is asked of artifacts, by whom, and what was found.

use std::collections::BTreeMap;
use std::path::Path;

use astrid_manifest::policy::Provenance;
use astrid_resolver::resolution::{Request, Upgrade};
use astrid_resolver::verified::{Judgement, judgements};
use serde_json::{Value, json};

use super::fleet;
use crate::args::{PolicyCheckArgs, PolicyExplainArgs, PolicyVerb};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::table;

pub(crate) fn run(session: &mut Session, verb: &PolicyVerb) -> Outcome {
    match verb {
        PolicyVerb::Check(args) => check(session, args),
        PolicyVerb::Explain(args) => explain(session, args),
    }
}

fn judged(session: &mut Session, path: &Path) -> Result<Vec<Judgement>, Failure> {
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, path)?;
    let request =
        Request { upgrade: Upgrade::None, selection: BTreeMap::new(), mode: fleet::lock_mode(session) };
    let looking = fleet::looking(session, &context)?;
    Ok(judgements(&looking, &declaration, &request)?)
}

fn check(session: &mut Session, args: &PolicyCheckArgs) -> Outcome {
    let all = judged(session, &args.path)?;
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            vec![
                if one.is_admitted() { "admitted" } else { "refused" }.to_owned(),
                one.subject.to_string(),
                word(one.demand).to_owned(),
                one.rule.clone().unwrap_or_else(|| "-".to_owned()),
                maker(one),
            ]
        })
        .collect();
    let pretty = table(&["POLICY", "ARTIFACT", "SIGNATURE", "RULE", "MADE BY"], &rows);
    let documents: Vec<Value> = all.iter().map(document).collect();
    session.shell.show(&json!({ "artifacts": documents }), &pretty)?;
    let refused: Vec<&Judgement> = all.iter().filter(|one| !one.is_admitted()).collect();
    if refused.is_empty() {
        return Ok(DONE);
    }
    let reasons = refused.iter().flat_map(|one| why(one)).collect::<Vec<_>>();
    Err(Failure::new(
        kind(&refused),
        format!("the policy refuses {}", crate::shell::count(refused.len(), "artifact")),
    )
    .because(reasons)
    .hint("`astrid policy explain ARTIFACT` says what is asked, and by which rule"))
}

/// Who made it is told before what it may do, as everywhere.
fn kind(refused: &[&Judgement]) -> Kind {
    let by_proof = refused.iter().filter_map(|one| one.proof.as_ref().err());
    let errors = by_proof.chain(refused.iter().filter_map(|one| one.undercut.as_ref()));
    errors
        .map(astrid_resolver::Error::kind)
        .min_by_key(|kind| kind.precedence())
        .map_or(Kind::Policy, Kind::from)
}

fn explain(session: &mut Session, args: &PolicyExplainArgs) -> Outcome {
    let all = judged(session, &args.path)?;
    let found = all
        .iter()
        .find(|one| one.subject.to_string() == args.artifact || one.subject.name() == args.artifact)
        .ok_or_else(|| {
            Failure::failed(format!("the distro has no artifact `{}`", safe(&args.artifact)))
                .hint("`astrid policy check` lists them; a capsule of a pack follows its pack")
        })?;
    let mut pretty =
        format!("{}: {}\n", found.subject, if found.is_admitted() { "admitted" } else { "refused" });
    if let Some(source) = &found.source {
        put!(pretty, "  from       {}\n", safe(&source.to_string()));
    }
    put!(pretty, "  signature  {}\n", asked(found.demand));
    let rule = found.rule.as_deref().unwrap_or("none");
    put!(pretty, "  rule       {rule} says who may sign it\n");
    put!(pretty, "  made by    {}\n", maker(found));
    if let Some(floor) = &found.floor {
        put!(pretty, "  before     {}, when this home applied it last\n", safe(floor));
    }
    for line in why(found) {
        put!(pretty, "  refused    {}\n", line);
    }
    session.shell.show(&document(found), &pretty)?;
    Ok(DONE)
}

fn word(demand: Provenance) -> &'static str {
    match demand {
        Provenance::None => "none",
        Provenance::IfPresent => "if-present",
        Provenance::Required => "required",
    }
}

fn asked(demand: Provenance) -> &'static str {
    match demand {
        Provenance::None => "not looked at",
        Provenance::IfPresent => "checked when there is one",
        Provenance::Required => "required",
    }
}

fn maker(one: &Judgement) -> String {
    match &one.proof {
        Ok(proof) => safe(&astrid_resolver::trust::signed_by(&proof.signer, proof.predicate.as_deref())),
        Err(_) => "nobody that counts".to_owned(),
    }
}

fn why(one: &Judgement) -> Vec<String> {
    let mut lines = Vec::new();
    for error in one.proof.as_ref().err().into_iter().chain(&one.undercut) {
        lines.push(safe(error.message()));
        lines.extend(error.reasons().iter().map(|reason| format!("  {}", safe(reason))));
    }
    lines.extend(one.violations.iter().map(|violation| format!("{}: {}", one.subject, safe(violation))));
    lines
}

fn document(one: &Judgement) -> Value {
    json!({
        "subject": one.subject,
        "source": one.source.as_ref().map(ToString::to_string),
        "admitted": one.is_admitted(),
        "signature": word(one.demand),
        "rule": one.rule,
        "signer": one.proof.as_ref().ok().map(|proof| &proof.signer),
        "provenance": one.proof.as_ref().ok().and_then(|proof| proof.predicate.as_ref()),
        "signed_at": one.proof.as_ref().ok().and_then(|proof| proof.signed_at.map(|time| time.to_string())),
        "before": one.floor,
        "refused": why(one),
    })
}
