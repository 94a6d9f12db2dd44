//! What a person is shown before they are asked to type their trust: grouped by what it allows, every digest whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use astrid_authority::{CapsuleName, Grant};
use astrid_manifest::Subject;
use astrid_resolver::plan::document::{Need, PlanDocument, State};
use astrid_resolver::plan::item::Item;
use astrid_resolver::trust::grant::Request;

use super::plan::why;
use super::{grants, safe};
use crate::facts::AllFacts;
use crate::shell::{paint, style};

/// The summary of one request; `packs` are the facts of the packs that need trust.
pub(crate) fn summary(plan: &PlanDocument, request: &Request<'_>, packs: &AllFacts) -> String {
    let mut out = String::from("\n");
    match request {
        Request::Pack { need } => out.push_str(&pack(need, packs)),
        Request::Capsules { distro, digest, needs } => {
            heading(&mut out, &format!("Trust summary: capsules of distro {distro}"));
            line(
                &mut out,
                1,
                "sandbox: WebAssembly; the kernel enforces what is granted here, and nothing else",
            );
            for need in needs {
                facts(&mut out, plan, need);
            }
            granted(&mut out, plan, needs);
            line(&mut out, 1, &format!("digest of all of them: {digest}"));
        }
        Request::ReplaceDistro { from, to } if from == to => {
            heading(&mut out, &format!("{to} comes from another place than the one that this home applies"));
            line(&mut out, 1, "everything that the applied one has, and this one has not, is removed");
        }
        Request::ReplaceDistro { from, to } => {
            heading(&mut out, &format!("{to} would take the place of {from}"));
            line(&mut out, 1, &format!("everything that {from} has, and {to} has not, is removed"));
        }
    }
    out
}

fn heading(out: &mut String, text: &str) {
    line(out, 0, &paint(style::HEADING, text));
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{:width$}{text}", "", width = depth * 2);
}

/// Identity of one subject: version, why, source, signer and digests.
fn facts(out: &mut String, plan: &PlanDocument, need: &Need) {
    line(out, 1, &format!("{} {}: {}", need.subject, safe(&need.version), why(need)));
    let after = plan.changes.iter().find_map(|change| match (&change.subject, &change.after) {
        (Item::Subject(subject), Some(State::Artifact(after))) if *subject == need.subject => Some(after),
        _ => None,
    });
    if let Some(after) = after {
        let source = after.source.as_deref().map_or_else(|| "a folder of this machine".to_owned(), safe);
        line(out, 2, &format!("source    {source}"));
    }
    if need.signer.is_unsigned() {
        line(out, 2, &paint(style::WARNING, "! unsigned"));
    } else {
        line(out, 2, &format!("signer    {}", safe(&need.signer.to_string())));
    }
    line(out, 2, &format!("content   {}", need.content));
    line(out, 2, &format!("authority {}", need.authority));
}

/// What becomes possible, each grant once, with the capsules that get it.
fn granted(out: &mut String, plan: &PlanDocument, needs: &[&Need]) {
    let mut by_grant: BTreeMap<&Grant, Vec<&CapsuleName>> = BTreeMap::new();
    let mut widened: Vec<String> = Vec::new();
    let mut secrets: Vec<String> = Vec::new();
    for need in needs {
        let Subject::Capsule(name) = &need.subject else { continue };
        let Some(change) = plan.authority.enforced.get(name) else { continue };
        for grant in &change.added {
            by_grant.entry(grant).or_default().push(name);
        }
        for moved in &change.widened {
            widened.push(safe(&format!("▲ widened {} → {}  ({name})", moved.from, moved.to)));
        }
        secrets.extend(
            change.secrets.iter().map(|key| format!("! {name} would be given the stored secret {key}")),
        );
    }
    // Grants of the same capsules stand together.
    let mut by_names: BTreeMap<Vec<&CapsuleName>, Vec<&Grant>> = BTreeMap::new();
    for (grant, names) in by_grant {
        by_names.entry(names).or_default().push(grant);
    }
    if by_names.is_empty() && widened.is_empty() {
        line(out, 1, "grants nothing new");
    }
    for text in widened {
        line(out, 1, &paint(style::WARNING, &text));
    }
    for (names, of_them) in by_names {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        line(out, 1, &format!("grants to {}:", names.join(", ")));
        for grant in grants::lines(of_them) {
            line(out, 2, &format!("+ {grant}"));
        }
    }
    for secret in secrets {
        line(out, 1, &paint(style::WARNING, &secret));
    }
}

/// The trust summary of one pack, with why it needs trust.
pub(crate) fn pack(need: &Need, packs: &AllFacts) -> String {
    let mut out = String::new();
    if let Some(facts) = packs.get(need.subject.name()) {
        out.push_str(&super::pack::summary(facts));
    }
    line(&mut out, 0, &format!("{} {}: {}", need.subject, safe(&need.version), why(need)));
    out
}
