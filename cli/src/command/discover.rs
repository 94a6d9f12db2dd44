//! `discover`: what packs are around, and what they offer and disclose. It only looks.

use std::path::PathBuf;

use astrid_manifest::Diagnostic;
use astrid_resolver::discover::{Capability, DiscoveryResult, Wanted, discover};

use crate::args::DiscoverArgs;
use crate::exit::{DONE, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::{count, table};

/// More folders of packs, separated as in `PATH`.
const PACKS_PATH: &str = "ASTRID_PACKS_PATH";

pub(crate) fn run(session: &mut Session, args: &DiscoverArgs) -> Outcome {
    let context = session.context()?;
    let project = session.world.path(&args.project);
    let extra: Vec<PathBuf> = args.extra.iter().map(|folder| session.world.path(folder)).collect();
    let environment: Vec<PathBuf> = session.world.variable(PACKS_PATH).map_or_else(Vec::new, |listed| {
        let folders = std::env::split_paths(listed).filter(|folder| !folder.as_os_str().is_empty());
        folders.map(|folder| session.world.path(&folder)).collect()
    });
    let wanted =
        Wanted { project: &project, extra: &extra, environment: &environment, installed: !args.no_installed };
    let found = discover(&context, &wanted)?;
    session.shell.show(&found, &pretty(&found))?;
    if !session.shell.for_programs() {
        tell(session, &found);
    }
    Ok(DONE)
}

fn pretty(found: &DiscoveryResult) -> String {
    let packs = found.packs.values().map(|pack| {
        let offered = [
            (pack.component_counts.executors, "executor"),
            (pack.component_counts.orchestrators, "orchestrator"),
            (pack.component_counts.elements, "element"),
            (pack.component_counts.capsules, "capsule"),
        ];
        let offered: Vec<String> = offered
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, noun)| count(*number, noun))
            .collect();
        let permissions: Vec<&str> = pack.permission_ids.iter().map(|id| id.as_str()).collect();
        vec![
            pack.id.to_string(),
            safe(&pack.version),
            pack.source_kind.as_str().to_owned(),
            or_none(&offered.join(", ")),
            or_none(&permissions.join(", ")),
        ]
    });
    let packs: Vec<Vec<String>> = packs.collect();
    if packs.is_empty() {
        return "no pack was found\n".to_owned();
    }
    let mut text = table(&["PACK", "VERSION", "FROM", "OFFERS", "DECLARES"], &packs);
    let capabilities: Vec<Vec<String>> = found.capabilities.iter().map(line).collect();
    if !capabilities.is_empty() {
        text.push('\n');
        text.push_str(&table(&["CAPABILITY", "KIND", "SECRETS", "WHAT IT DOES"], &capabilities));
    }
    put!(
        text,
        "\nWhat packs declare is disclosed, and not enforced. What their capsules may do is enforced.\n"
    );
    text
}

fn line(capability: &Capability) -> Vec<String> {
    let handle = &capability.handle;
    let what =
        if handle.short_description.is_empty() { &handle.description } else { &handle.short_description };
    vec![
        safe(&capability.id),
        capability.capability_type.as_str().to_owned(),
        or_none(&handle.safety.secrets_required.join(", ")),
        or_none(&safe(what.lines().next().unwrap_or_default())),
    ]
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// What is no pack, for people.
fn tell(session: &mut Session, found: &DiscoveryResult) {
    for note in &found.notes {
        session.shell.warn(&safe(note));
    }
    for own in &found.shadowed {
        let line = format!("{} is hidden: `{}` was found before", safe(&own.root), own.id);
        session.shell.note(&line);
    }
    let complaints: Vec<Diagnostic> =
        found.refused.iter().flat_map(|refused| refused.diagnostics.iter().cloned()).collect();
    session.shell.complain(complaints);
    for refused in &found.refused {
        let why = if refused.diagnostics.is_empty() { &refused.message } else { "see above" };
        session.shell.warn(&format!("{} is no valid pack: {}", safe(&refused.root), safe(why)));
    }
}
