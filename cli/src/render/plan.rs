//! A plan for people: authority first, then the changes, then what has to be trusted and confirmed.
//!
//! What the kernel enforces and what a pack only discloses stand in blocks of their own, in words of their own.

use std::fmt::Write as _;

use anstyle::Style;
use astrid_authority::Permission;
use astrid_manifest::Signer;
use astrid_resolver::plan::Item;
use astrid_resolver::plan::document::{
    Action, ArtifactState, Change, Confirmation, DisclosedChange, EnforcedChange, Evidence, Need,
    PlanDocument, State,
};

use super::{grants, safe};
use crate::shell::{paint, style};

/// The whole plan; its last line is the summary.
pub(crate) fn plan(document: &PlanDocument) -> String {
    let mut out = String::new();
    let base = document.base.map_or_else(
        || "nothing is applied yet".to_owned(),
        |base| format!("on generation {}", base.generation),
    );
    let distro = &document.distro;
    line(&mut out, 0, &paint(style::HEADING, &format!("{} {}, {base}", distro.id, distro.version)));
    if let Some(signer) = &distro.signer {
        let first = if distro.first_use { "; first seen here, and must stay the same" } else { "" };
        line(&mut out, 0, &format!("signed by {}{first}", safe(&signer.to_string())));
    }
    if !document.is_empty() || !document.trust.needed.is_empty() {
        authority(&mut out, document);
        changes(&mut out, document);
        trust(&mut out, document);
    }
    confirmations(&mut out, document);
    out.push('\n');
    line(&mut out, 0, &document.summary().to_string());
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(out, "{:width$}{text}", "", width = depth * 2);
}

fn block(out: &mut String, title: &str) {
    out.push('\n');
    line(out, 0, &paint(style::HEADING, title));
}

fn tone(action: Action) -> Style {
    match action {
        Action::Add => style::ADDED,
        Action::Remove => style::REMOVED,
        Action::Change | Action::Replace | Action::Heal => style::CHANGED,
    }
}

fn authority(out: &mut String, document: &PlanDocument) {
    let authority = &document.authority;
    let enforced: Vec<_> = authority.enforced.iter().filter(|(_, change)| !change.is_empty()).collect();
    let disclosed: Vec<_> = authority.disclosed.iter().filter(|(_, change)| !change.is_empty()).collect();
    if !enforced.is_empty() {
        block(out, "Authority of capsules (the kernel enforces it)");
        for (name, change) in enforced {
            line(out, 1, &format!("capsule:{name}"));
            enforced_change(out, change);
        }
    }
    if !disclosed.is_empty() {
        block(out, "Disclosed by packs (nothing enforces it: they run with all your rights)");
        for (id, change) in disclosed {
            line(out, 1, &format!("pack:{id}"));
            disclosed_change(out, change);
        }
    }
}

/// The lines of one capsule.
pub(crate) fn enforced_change(out: &mut String, change: &EnforcedChange) {
    for grant in grants::lines(&change.added) {
        line(out, 2, &paint(style::ADDED, &format!("+ {grant}")));
    }
    for moved in &change.widened {
        let text = format!("▲ widened  {} → {}", safe(&moved.from.to_string()), safe(&moved.to.to_string()));
        line(out, 2, &paint(style::WARNING, &text));
    }
    for moved in &change.narrowed {
        let text = format!("▼ narrowed {} → {}", safe(&moved.from.to_string()), safe(&moved.to.to_string()));
        line(out, 2, &paint(style::ADDED, &text));
    }
    for grant in grants::lines(&change.removed) {
        line(out, 2, &paint(style::REMOVED, &format!("- {grant}")));
    }
    for grant in grants::lines(&change.unused) {
        let text = format!("· unused   {grant} (claimed; its bytes can't use it)");
        line(out, 2, &paint(style::FAINT, &text));
    }
    if let Some(moved) = &change.signer {
        line(out, 2, &signer(&moved.from, &moved.to));
    }
    if let Some(moved) = &change.tool_text {
        let text = if moved.from.is_none() { "! tool text new" } else { "! tool text changed" };
        line(out, 2, &paint(style::WARNING, text));
    }
    if !change.secrets.is_empty() {
        let names: Vec<String> = change.secrets.iter().map(ToString::to_string).collect();
        let text = format!("! would be given the stored secrets {}", names.join(", "));
        line(out, 2, &paint(style::WARNING, &text));
    }
}

/// The lines of one pack.
pub(crate) fn disclosed_change(out: &mut String, change: &DisclosedChange) {
    for permission in &change.added {
        line(out, 2, &paint(style::ADDED, &format!("+ discloses {}", disclosed(permission))));
    }
    for moved in &change.changed {
        let text = format!("~ discloses {}, before: {}", disclosed(&moved.to), disclosed(&moved.from));
        line(out, 2, &paint(style::WARNING, &text));
    }
    for permission in &change.removed {
        line(out, 2, &paint(style::REMOVED, &format!("- no longer discloses {}", disclosed(permission))));
    }
    if let Some(moved) = &change.signer {
        line(out, 2, &signer(&moved.from, &moved.to));
    }
}

/// `network: Calls an API (api.example.org)`
pub(crate) fn disclosed(permission: &Permission) -> String {
    let mut text = format!("{}: {}", permission.id, safe(&permission.reason));
    if let Some(access) = &permission.access {
        let _ = write!(text, " [{}]", safe(access));
    }
    if !permission.services.is_empty() {
        let services: Vec<String> = permission.services.iter().map(|service| safe(service)).collect();
        let _ = write!(text, " ({})", services.join(", "));
    }
    text
}

fn signer(from: &Signer, to: &Signer) -> String {
    let text = if to.is_unsigned() {
        format!("! unsigned, before: {}", safe(&from.to_string()))
    } else {
        format!("! signer {} → {}", safe(&from.to_string()), safe(&to.to_string()))
    };
    paint(style::WARNING, &text)
}

fn changes(out: &mut String, document: &PlanDocument) {
    if document.changes.is_empty() {
        return;
    }
    block(out, "Changes");
    let width =
        document.changes.iter().map(|change| change.subject.to_string().chars().count()).max().unwrap_or(0);
    for change in &document.changes {
        let subject = change.subject.to_string();
        let mut text = format!("{} {subject:width$}  {}", change.action.symbol(), versions(change));
        let _ = write!(text, "  {}", safe(&change.reason));
        if let Some(number) = change.line {
            let _ = write!(text, " (Distro.toml:{number})");
        }
        line(out, 1, &paint(tone(change.action), text.trim_end()));
        // What needs trust is shown with all its digests below.
        let is_below =
            document.trust.needed.iter().any(|need| Item::from(need.subject.clone()) == change.subject);
        if let (Some(State::Artifact(after)), false) = (&change.after, is_below) {
            if after.signer.is_unsigned() && !is_local(after) {
                line(out, 3, &paint(style::WARNING, "! unsigned"));
            }
            line(out, 3, &paint(style::FAINT, &format!("content {}", after.content)));
        }
    }
}

/// Local folders are as trustworthy as the repository they are in: they carry no mark.
fn is_local(artifact: &ArtifactState) -> bool {
    artifact.source.as_deref().is_none_or(|source| source.starts_with("./") || source.starts_with('/'))
}

/// `∅ → 1.2.0`, `1.2.0 → 1.3.0`, `1.3.0 → ∅`; one version when it stays.
pub(crate) fn versions(change: &Change) -> String {
    let before = change.before.as_ref().map(state);
    let after = change.after.as_ref().map(state);
    match (before, after) {
        (Some(before), Some(after)) if before == after => match &change.after {
            Some(State::Setting { .. }) => "another value".to_owned(),
            _ => after,
        },
        (before, after) => {
            let or_nothing = |text: Option<String>| text.unwrap_or_else(|| "∅".to_owned());
            format!("{} → {}", or_nothing(before), or_nothing(after))
        }
    }
}

fn state(state: &State) -> String {
    match state {
        State::Artifact(artifact) => safe(&artifact.version),
        State::Distro { version, .. } => version.to_string(),
        State::Setting { secret: true, .. } => "secret".to_owned(),
        State::Setting { secret: false, .. } => "set".to_owned(),
    }
}

fn trust(out: &mut String, document: &PlanDocument) {
    let trust = &document.trust;
    if trust.needed.is_empty() {
        return;
    }
    block(out, "Trust");
    for need in &trust.needed {
        let answer = match &need.satisfied_by {
            Some(evidence) => paint(style::ADDED, &format!("given by {}", satisfied(evidence))),
            None => paint(style::WARNING, "needed"),
        };
        line(out, 1, &format!("{} {}  {answer}: {}", need.subject, safe(&need.version), why(need)));
        line(out, 2, &format!("content   {}", need.content));
        line(out, 2, &format!("authority {}", need.authority));
        let mark = if need.signer.is_unsigned() {
            "! unsigned".to_owned()
        } else {
            format!("signer    {}", safe(&need.signer.to_string()))
        };
        line(out, 2, &mark);
    }
    if let Some(distro) = &trust.distro {
        line(out, 1, &format!("distro:{} covers its capsules", distro.id));
        line(out, 2, &format!("digest    {}", distro.digest));
    }
}

/// The reasons in words: `is new, has another signer`.
pub(crate) fn why(need: &Need) -> String {
    let words: Vec<&str> = need.why.iter().map(|why| why.as_words()).collect();
    words.join(", ")
}

/// What trust rests on, in words.
pub(crate) fn satisfied(evidence: &Evidence) -> String {
    match evidence {
        Evidence::File(name) => safe(name),
        Evidence::Builtin => "this program, which it is part of".to_owned(),
        Evidence::Generation(number) => format!("generation {number}"),
        Evidence::Flag => "--trust".to_owned(),
        Evidence::Prompt => "the answer to a prompt".to_owned(),
    }
}

fn confirmations(out: &mut String, document: &PlanDocument) {
    if document.confirm.is_empty() {
        return;
    }
    block(out, "Needs a flag of its own");
    for confirmation in &document.confirm {
        line(out, 1, &paint(style::WARNING, &self::confirmation(confirmation)));
    }
}

/// What is unusual about the plan, and the flag that allows it.
pub(crate) fn confirmation(confirmation: &Confirmation) -> String {
    match confirmation {
        Confirmation::ReplaceDistro { from, to } if from == to => {
            format!("! {to} comes from another place than the one that is applied: --replace-distro")
        }
        Confirmation::ReplaceDistro { from, to } => {
            format!("! {to} takes the place of {from}: --replace-distro")
        }
        Confirmation::Downgrade { from, to } => {
            format!("! {to} is lower than {from}, which was applied before: --allow-downgrade")
        }
        Confirmation::NewSigner { subject, from, to, allowed: None } => {
            format!("! {subject} was made by {} and is now by {}: refused", safe(from), safe(to))
        }
        Confirmation::NewSigner { subject, from, to, allowed: Some(reason) } => {
            format!("! {subject} was made by {} and is now by {}: {}", safe(from), safe(to), safe(reason))
        }
        Confirmation::UnsignedDistro => {
            "! the distro must be signed, and is not: --allow-unsigned".to_owned()
        }
        Confirmation::NewDistroKey { from, to } => {
            format!(
                "! the distro was signed by {} and is now by {}: --accept-new-key",
                safe(&from.to_string()),
                safe(&to.to_string())
            )
        }
        Confirmation::DistroSignatureGone { from } => {
            format!("! the distro was signed by {} and is not signed now: refused", safe(&from.to_string()))
        }
    }
}
