//! A plan as Markdown, for a comment on a review.

use std::fmt::Write as _;

use astrid_resolver::plan::document::PlanDocument;

use super::grants;
use super::plan::{confirmation, disclosed, satisfied, versions, why};

/// The whole plan.
pub(crate) fn plan(document: &PlanDocument) -> String {
    let mut out = String::new();
    let base = document
        .base
        .map_or_else(|| "on an empty home".to_owned(), |base| format!("on generation {}", base.generation));
    let distro = &document.distro;
    line(&mut out, &format!("## Astrid plan: {} {}, {base}", distro.id, cell(&distro.version.to_string())));
    line(&mut out, &format!("\n**{}**", document.summary()));
    enforced(&mut out, document);
    packs(&mut out, document);
    if !document.changes.is_empty() {
        line(&mut out, "\n### Changes\n\n| | subject | versions | why | content |\n|---|---|---|---|---|");
        for change in &document.changes {
            let content = match &change.after {
                Some(astrid_resolver::plan::document::State::Artifact(after)) => {
                    format!("`{}`", after.content)
                }
                _ => String::new(),
            };
            let place = change.line.map_or_else(String::new, |number| format!(" (Distro.toml:{number})"));
            line(
                &mut out,
                &format!(
                    "| {} | `{}` | {} | {}{place} | {content} |",
                    change.action.symbol(),
                    change.subject,
                    cell(&versions(change)),
                    cell(&change.reason),
                ),
            );
        }
    }
    if !document.trust.needed.is_empty() {
        line(
            &mut out,
            "\n### Trust\n\n| subject | version | why | content | authority | signer | given by |\n|---|---|---|---|---|---|---|",
        );
        for need in &document.trust.needed {
            let given =
                need.satisfied_by.as_ref().map_or_else(|| "**needed**".to_owned(), |by| cell(&satisfied(by)));
            line(
                &mut out,
                &format!(
                    "| `{}` | {} | {} | `{}` | `{}` | {} | {given} |",
                    need.subject,
                    cell(&need.version),
                    why(need),
                    need.content,
                    need.authority,
                    cell(&need.signer.to_string()),
                ),
            );
        }
        if let Some(distro) = &document.trust.distro {
            line(&mut out, &format!("\n`distro:{}` covers its capsules: `{}`", distro.id, distro.digest));
        }
    }
    if !document.confirm.is_empty() {
        line(&mut out, "\n### Needs a flag of its own\n");
        for one in &document.confirm {
            line(&mut out, &format!("* {}", cell(&confirmation(one))));
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// A text that stays in its cell and stays a text.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in super::safe(text).chars() {
        if matches!(c, '|' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '\\' | '#' | '!' | '@') {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}

fn enforced(out: &mut String, document: &PlanDocument) {
    let changes: Vec<_> =
        document.authority.enforced.iter().filter(|(_, change)| !change.is_empty()).collect();
    if changes.is_empty() {
        return;
    }
    line(out, "\n### Authority of capsules (the kernel enforces it)\n\n| capsule | | what |\n|---|---|---|");
    for (name, change) in changes {
        let mut row = |mark: &str, what: &str| line(out, &format!("| `{name}` | {mark} | {what} |"));
        for grant in grants::lines(&change.added) {
            row("+ added", &cell(&grant));
        }
        for moved in &change.widened {
            row("▲ widened", &format!("{} → {}", cell(&moved.from.to_string()), cell(&moved.to.to_string())));
        }
        for moved in &change.narrowed {
            row(
                "▼ narrowed",
                &format!("{} → {}", cell(&moved.from.to_string()), cell(&moved.to.to_string())),
            );
        }
        for grant in grants::lines(&change.removed) {
            row("- removed", &cell(&grant));
        }
        for grant in grants::lines(&change.unused) {
            row("unused", &cell(&grant));
        }
        if let Some(moved) = &change.signer {
            row("! signer", &format!("{} → {}", cell(&moved.from.to_string()), cell(&moved.to.to_string())));
        }
        if change.tool_text.is_some() {
            row("! tool text", "changed");
        }
        for secret in &change.secrets {
            row("! secret", &format!("would be given {}", cell(secret.as_ref())));
        }
    }
}

fn packs(out: &mut String, document: &PlanDocument) {
    let changes: Vec<_> =
        document.authority.disclosed.iter().filter(|(_, change)| !change.is_empty()).collect();
    if changes.is_empty() {
        return;
    }
    line(
        out,
        "\n### Disclosed by packs (nothing enforces it: they run with all your rights)\n\n| pack | | what |\n|---|---|---|",
    );
    for (id, change) in changes {
        let mut row = |mark: &str, what: &str| line(out, &format!("| `{id}` | {mark} | {what} |"));
        for permission in &change.added {
            row("+ discloses", &cell(&disclosed(permission)));
        }
        for moved in &change.changed {
            row(
                "~ discloses",
                &format!("{}, before: {}", cell(&disclosed(&moved.to)), cell(&disclosed(&moved.from))),
            );
        }
        for permission in &change.removed {
            row("- no longer discloses", &cell(&disclosed(permission)));
        }
        if let Some(moved) = &change.signer {
            row("! signer", &format!("{} → {}", cell(&moved.from.to_string()), cell(&moved.to.to_string())));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_can_not_leave_its_cell_denied() {
        assert_eq!(super::cell("a|b\n<img>"), "a\\|b\\\\u{a}\\<img\\>");
    }
}
