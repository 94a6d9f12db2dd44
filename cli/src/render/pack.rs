//! What a pack discloses, and what is known about it, for people and for programs.
//!
//! What nothing enforces (a pack's own words) and what the kernel enforces (the authority of its capsules, worked
//! out from their bytes) stand in blocks of their own, in words of their own.

use std::collections::BTreeMap;

use astrid_authority::Permission;
use astrid_manifest::pack::summary::{Answer, AtAGlance, DeclaredSecret, TRUST};
use astrid_manifest::pack::{Action, Contents, TrustSummary, executor::Runtime};
use serde_json::{Value, json};

use super::{grants, safe};
use crate::facts::{Before, Facts};
use crate::shell::{count, paint, size, style};

/// The labels stand in a column of this width.
const LABELS: usize = 16;

fn row(out: &mut String, label: &str, text: &str) {
    put!(out, "{:LABELS$}{}\n", format!("{label}:"), text);
}

/// A row for what may be absent.
fn row_if(out: &mut String, label: &str, texts: &[String]) {
    let mut lines = texts.iter().map(|text| safe(text));
    if let Some(first) = lines.next() {
        row(out, label, &first);
    }
    for line in lines {
        put!(out, "{:LABELS$}{line}\n", "");
    }
}

/// What a person sees before they are asked to trust a pack, whatever way the trust then comes.
pub(crate) fn summary(facts: &Facts) -> String {
    let mut out = String::new();
    let summary = &facts.summary;
    put!(out, "{}\n", paint(style::HEADING, "━━━ Trust Summary ━━━"));
    row(&mut out, "Pack ID", &safe(&summary.pack_id));
    row(&mut out, "Name", &safe(&summary.name));
    row(&mut out, "Version", &safe(&summary.version));
    row(&mut out, "Schema", &summary.schema_version.to_string());
    row(&mut out, "Source", &safe(&facts.place.path));
    if let Some(commit) = &facts.place.commit {
        let short = commit.get(..8).unwrap_or(commit);
        row(&mut out, "Pinned Commit", &format!("{short} ({commit})"));
    }
    if let Some(requested) = &facts.place.requested {
        row(&mut out, "Requested Ref", &safe(requested));
    }
    if !summary.astrid_version.is_empty() {
        row(&mut out, "Astrid Ver", &safe(&summary.astrid_version));
    }
    row(&mut out, "Trust Tier", facts.place.kind);
    row(&mut out, "Signer", &signer(facts));
    row(&mut out, "Content", &facts.looked.content.to_string());
    row(&mut out, "Authority", &facts.looked.authority.to_string());
    row(&mut out, "Files", &format!("{}, {}", count(facts.looked.files, "file"), size(facts.looked.bytes)));
    row(&mut out, "Components", &components(summary));
    row_if(&mut out, "Entrypoints", &summary.entrypoints);
    let secrets: Vec<String> = summary.secrets.iter().map(secret).collect();
    row_if(&mut out, "Secrets", &secrets);
    row_if(&mut out, "Dependencies", &summary.dependencies);
    let docs = &summary.docs;
    let docs = [("readme", &docs.readme), ("agents", &docs.agents), ("stage", &docs.stage)];
    let docs: Vec<String> =
        docs.iter().filter_map(|(kind, file)| Some(format!("{kind}={}", file.as_ref()?))).collect();
    row_if(&mut out, "Docs", &docs);
    put!(out, "At a glance (its own words):\n");
    for (question, answer) in questions(&summary.at_a_glance) {
        put!(out, "  {:16}{}\n", format!("{question}?"), self::answer(answer));
    }
    put!(out, "Permissions:\n");
    for permission in &summary.permissions {
        put!(out, "  - {}\n", disclosed(permission));
    }
    if summary.permissions.is_empty() {
        put!(out, "  - none declared\n");
    }
    trust(&mut out);
    enforced(&mut out, facts);
    if !summary.warnings.is_empty() {
        put!(out, "{}\n", paint(style::WARNING, "⚠ Warnings:"));
        for warning in &summary.warnings {
            put!(out, "  • {}\n", safe(warning));
        }
    }
    if let Some(before) = &facts.before {
        difference(&mut out, facts, before);
    }
    out
}

fn trust(out: &mut String) {
    put!(out, "Trust (v1):\n");
    for line in TRUST.lines() {
        put!(out, "  - {line}\n");
    }
    put!(out, "Disclosure:\n");
    put!(out, "  sandbox: none\n    nothing stands between the code of this pack and your machine\n");
    put!(
        out,
        "  runs_with_user_process_permissions: true\n    it reads, writes, starts and sends what you could yourself\n"
    );
    put!(
        out,
        "  permission_enforcement: disclosure_only\n    the permissions above are its author's words; nothing holds it to them\n"
    );
}

fn signer(facts: &Facts) -> String {
    match &facts.signer {
        Ok(signer) if signer.is_unsigned() => paint(style::WARNING, "! unsigned"),
        Ok(signer) => safe(&signer.to_string()),
        Err(why) => paint(style::WARNING, &format!("! {}", safe(why))),
    }
}

fn components(summary: &TrustSummary) -> String {
    let counts = summary.component_counts;
    let kinds = [
        (counts.executors, "executors"),
        (counts.orchestrators, "orchestrators"),
        (counts.elements, "elements"),
        (counts.capsules, "capsules"),
    ];
    let there: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{number} {kind}"))
        .collect();
    if there.is_empty() { "(none)".to_owned() } else { there.join(", ") }
}

fn secret(secret: &DeclaredSecret) -> String {
    let readers = if secret.read_by.is_empty() {
        String::new()
    } else {
        format!(" [read by {}]", secret.read_by.join(", "))
    };
    format!("{}{readers}", secret.line())
}

fn questions(glance: &AtAGlance) -> [(&'static str, &Answer); 5] {
    [
        ("network", &glance.network),
        ("secrets", &glance.secrets),
        ("paid services", &glance.paid_services),
        ("binaries", &glance.binaries),
        ("subprocesses", &glance.subprocesses),
    ]
}

fn answer(answer: &Answer) -> String {
    if answer.yes { format!("yes: {}", safe(&answer.why.join("; "))) } else { "no".to_owned() }
}

/// `network: Calls an API; access=write; services=a, b`
pub(crate) fn disclosed(permission: &Permission) -> String {
    let mut text = format!("{}: {}", permission.id, safe(&permission.reason));
    if let Some(access) = &permission.access {
        put!(text, "; access={}", safe(access));
    }
    if !permission.services.is_empty() {
        let services: Vec<String> = permission.services.iter().map(|service| safe(service)).collect();
        put!(text, "; services={}", services.join(", "));
    }
    text
}

/// What the kernel holds its capsules to.
fn enforced(out: &mut String, facts: &Facts) {
    if facts.looked.capsules.is_empty() {
        return;
    }
    put!(out, "Capsules, which the kernel confines to exactly this (from their bytes):\n");
    for (name, authority) in &facts.looked.capsules {
        let runs = facts.running.as_ref().is_none_or(|names| names.contains(name));
        put!(out, "  capsule:{name}{}\n", if runs { "" } else { "  (not chosen; it does not run)" });
        let mut any = false;
        for line in grants::lines(authority.granted.iter()) {
            any = true;
            put!(out, "    may {line}\n");
        }
        if !any {
            put!(out, "    may nothing outside of itself\n");
        }
        for line in grants::lines(authority.unused.iter()) {
            put!(
                out,
                "    {}\n",
                paint(style::FAINT, &format!("asks for {line}, and its bytes can't use it"))
            );
        }
    }
}

/// What is another than in the installed revision. The permissions are always spoken of.
fn difference(out: &mut String, facts: &Facts, before: &Before) {
    let (old, new) = (&before.summary, &facts.summary);
    put!(out, "{}\n", paint(style::HEADING, "═══ Diff Summary ═══"));
    let moved = |out: &mut String, label: &str, old: &str, new: &str| {
        if old != new {
            row(out, label, &format!("{} → {}", safe(old), safe(new)));
        }
    };
    moved(out, "Version", &old.version, &new.version);
    let short = |commit: Option<&String>| {
        commit.map_or("none", |commit| commit.get(..8).unwrap_or(commit)).to_owned()
    };
    moved(out, "Commit", &short(before.commit.as_ref()), &short(facts.place.commit.as_ref()));
    moved(out, "Content", &before.content.to_string(), &facts.looked.content.to_string());
    if let Ok(signer) = &facts.signer {
        moved(out, "Signer", &before.signer.to_string(), &signer.to_string());
    }
    moved(out, "Components", &components(old), &components(new));
    lists(out, "Entrypoints", &old.entrypoints, &new.entrypoints);
    lists(out, "Secrets", &old.declared_secrets, &new.declared_secrets);
    lists(out, "Dependencies", &old.dependencies, &new.dependencies);
    permissions(out, &old.permissions, &new.permissions);
}

fn lists(out: &mut String, label: &str, old: &[String], new: &[String]) {
    let (added, removed): (Vec<&String>, Vec<&String>) = (
        new.iter().filter(|one| !old.contains(one)).collect(),
        old.iter().filter(|one| !new.contains(one)).collect(),
    );
    for (word, list) in [("added", added), ("removed", removed)] {
        if !list.is_empty() {
            let list: Vec<String> = list.into_iter().map(|one| safe(one)).collect();
            put!(out, "{label} {word}: {}\n", list.join(", "));
        }
    }
}

/// Added, removed and changed, by id; also that nothing is another.
fn permissions(out: &mut String, old: &[Permission], new: &[Permission]) {
    let by_id = |list: &[Permission]| -> BTreeMap<_, Permission> {
        list.iter().map(|permission| (permission.id, permission.clone())).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    if before == after {
        let text = if after.is_empty() { "none declared" } else { "(unchanged)" };
        put!(out, "Permissions: {text}\n");
        return;
    }
    let block = |out: &mut String, word: &str, lines: &[String]| {
        if !lines.is_empty() {
            put!(out, "Permissions {word}:\n");
        }
        for line in lines {
            put!(out, "  {line}\n");
        }
    };
    let added: Vec<String> = after
        .iter()
        .filter(|(id, _)| !before.contains_key(*id))
        .map(|(_, permission)| paint(style::WARNING, &format!("+ {}", disclosed(permission))))
        .collect();
    let removed: Vec<String> = before
        .iter()
        .filter(|(id, _)| !after.contains_key(*id))
        .map(|(_, permission)| format!("- {}", disclosed(permission)))
        .collect();
    let changed: Vec<String> = after
        .iter()
        .filter_map(|(id, now)| {
            let was = before.get(id).filter(|was| *was != now)?;
            Some(paint(style::WARNING, &format!("~ {} → {}", disclosed(was), disclosed(now))))
        })
        .collect();
    block(out, "added", &added);
    block(out, "removed", &removed);
    block(out, "changed", &changed);
}

/// The same for programs: everything that the summary has, and the rest of the manifest.
pub(crate) fn document(facts: &Facts) -> Value {
    let contents = &facts.looked.contents;
    let manifest = &contents.manifest;
    let mut document = json!(facts.summary);
    let capsules: BTreeMap<_, Value> = facts
        .looked
        .capsules
        .iter()
        .map(|(name, authority)| {
            let runs = facts.running.as_ref().is_none_or(|names| names.contains(name));
            let texts = |set: &astrid_authority::AuthoritySet| -> Vec<String> {
                set.iter().map(ToString::to_string).collect()
            };
            let value = json!({
                "enforced": texts(&authority.granted),
                "unused": texts(&authority.unused),
                "runs": runs,
            });
            (name.to_string(), value)
        })
        .collect();
    let more = json!({
        "description": manifest.description,
        "agent": {
            "purpose": manifest.agent.purpose,
            "entrypoints": manifest.agent.entrypoints,
            "normal_entrypoints": manifest.agent.normal_entrypoints,
            "do_not_use_for": manifest.agent.do_not_use_for,
            "required_context": manifest.agent.required_context,
        },
        "source_type": facts.place.kind,
        "trust_tier": facts.place.kind,
        "git_url": facts.place.git_url,
        "commit_sha": facts.place.commit,
        "requested_ref": facts.place.requested,
        "content_digest": facts.looked.content,
        "authority_digest": facts.looked.authority,
        "signer": facts.signer.as_ref().ok(),
        "signer_refused": facts.signer.as_ref().err(),
        "files": facts.looked.files,
        "bytes": facts.looked.bytes,
        "capsules": capsules,
        "components": components_document(facts),
        "manifest_warnings": facts.looked.warnings,
    });
    merge(&mut document, more);
    merge(&mut document, taxonomy(contents));
    document
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The words that lists group and filter by, with the defaults that the contract gives them.
pub(crate) fn taxonomy(contents: &Contents) -> Value {
    let manifest = &contents.manifest;
    let word = |own: &Option<String>, default: &str| own.clone().unwrap_or_else(|| default.to_owned());
    let status = json!(manifest.status);
    let stability = status.as_str().filter(|word| matches!(*word, "experimental" | "deprecated"));
    let stability = stability.unwrap_or("stable");
    let words = json!({
        "origin": word(&manifest.origin, "unknown"),
        "install_tier": word(&manifest.install_tier, "default"),
        "pack_type": word(&manifest.pack_type, "capability"),
        "domain": word(&manifest.domain, "general"),
        "stability": word(&manifest.stability, stability),
        "support": word(&manifest.support, "project"),
    });
    let mut document = words.clone();
    merge(
        &mut document,
        json!({
            "taxonomy": words,
            "category": manifest.metadata.get("category"),
            "visibility": manifest.visibility,
            "pack_status": status,
        }),
    );
    document
}

fn components_document(facts: &Facts) -> Vec<Value> {
    let contents = &facts.looked.contents;
    let entrypoints = &facts.summary.entrypoints;
    let excerpt = |page: &Option<String>| page.as_ref().and_then(|page| facts.looked.excerpts.get(page));
    let action = |kind: &str, action: &Action, folder: &str, stage: &Option<String>| {
        json!({
            "id": action.id,
            "name": action.name,
            "kind": kind,
            "version": action.version,
            "description": action.description,
            "folder": folder,
            "runtime": runtime(action.runtime.as_ref()),
            "secrets": action.secrets,
            "isolation": action.isolation,
            "is_entrypoint": entrypoints.iter().any(|own| *own == action.id.as_str()),
            "docs_paths": stage.iter().collect::<Vec<_>>(),
            "stage_excerpt": excerpt(stage),
        })
    };
    let executors =
        contents.executors.values().map(|one| action("executor", &one.item, &one.folder, &one.stage));
    let orchestrators =
        contents.orchestrators.values().map(|one| action("orchestrator", &one.item, &one.folder, &one.stage));
    let elements = contents.elements.iter().map(|(id, one)| {
        json!({
            "id": id,
            "name": one.item.id,
            "kind": "element",
            "element_kind": one.item.kind,
            "description": one.item.description,
            "folder": one.folder,
            "is_entrypoint": false,
            "docs_paths": one.stage.iter().collect::<Vec<_>>(),
            "stage_excerpt": excerpt(&one.stage),
        })
    });
    executors.chain(orchestrators).chain(elements).collect()
}

/// Its executors, orchestrators and elements, a line each.
pub(crate) fn components_text(out: &mut String, facts: &Facts) {
    let components = components_document(facts);
    if components.is_empty() {
        return;
    }
    put!(out, "Components in it:\n");
    for component in components {
        let word = |key: &str| safe(component[key].as_str().unwrap_or_default());
        let mark = if component["is_entrypoint"] == json!(true) { "  (entrypoint)" } else { "" };
        put!(out, "  {} {}: {}{mark}\n", word("kind"), word("id"), word("description"));
        if let Some(run) = component["runtime"]["entrypoint"].as_str() {
            put!(
                out,
                "    runs {} ({})\n",
                safe(run),
                safe(component["runtime"]["type"].as_str().unwrap_or_default())
            );
        }
    }
}

fn runtime(runtime: Option<&Runtime>) -> Value {
    match runtime {
        None => Value::Null,
        Some(Runtime::PythonCli { entrypoint, callable, function }) => {
            json!({ "type": "python-cli", "entrypoint": entrypoint, "callable": callable.as_ref().or(function.as_ref()) })
        }
        Some(Runtime::PythonModule { module, function }) => {
            json!({ "type": "python", "entrypoint": module, "callable": function })
        }
        Some(Runtime::Command(command)) => {
            json!({ "type": "command", "entrypoint": command.argv.first(), "argv": command.argv, "callable": null })
        }
    }
}

/// What an agent has to know, without what is absent.
pub(crate) fn agent(facts: &Facts) -> Value {
    let manifest = &facts.looked.contents.manifest;
    let summary = &facts.summary;
    let all = json!({
        "pack_id": summary.pack_id,
        "version": summary.version,
        "description": manifest.description,
        "purpose": manifest.agent.purpose,
        "normal_entrypoints": summary.normal_entrypoints,
        "entrypoints": summary.entrypoints,
        "constraints": manifest.metadata.get("constraints"),
        "context": manifest.metadata.get("context"),
        "do_not_use_for": summary.do_not_use_for,
        "required_context": summary.required_context,
        "secrets": summary.secrets,
        "keywords": summary.keywords,
        "capabilities": summary.capabilities,
        "permissions": summary.permissions,
        "permission_ids": summary.permission_ids,
        "trust": summary.trust,
    });
    match all {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(key, value)| key == "permissions" || key == "permission_ids" || !is_absent(value))
                .collect(),
        ),
        other => other,
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
