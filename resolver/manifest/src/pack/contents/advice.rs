//! What a person should know about a pack that breaks no rule.

use super::read::Assembly;
use crate::document::Context;
use crate::document::reader::shown;
use crate::pack::around::Paths;
use crate::pack::{Action, PackManifest};
use astrid_authority::PermissionId;

/// Extensions of files that are programs or libraries of a machine.
const NATIVE: [&str; 11] =
    [".so", ".dylib", ".dll", ".exe", ".pyd", ".node", ".a", ".o", ".jar", ".whl", ".bin"];

/// The files that are programs or libraries of a machine, by their names. The components of capsules run in the
/// sandbox and are none.
pub(super) fn native(paths: &Paths) -> Vec<String> {
    let is_library = |name: &str| name.split('.').skip(1).any(|part| part == "so");
    paths
        .iter()
        .filter(|path| {
            let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
            NATIVE.iter().any(|end| name.ends_with(end)) || is_library(&name)
        })
        .map(str::to_owned)
        .collect()
}

/// Warns of what is declared in one place and not in the other, and of what people can't make sense of.
pub(super) fn about(context: &Context<'_>, manifest: &PackManifest, contents: &Assembly<'_>) {
    let declares = |id: PermissionId| manifest.permissions.iter().any(|one| one.id == id);
    let executors = contents.executors.values().map(|placed| &placed.item.action);
    let orchestrators = contents.orchestrators.values().map(|placed| &placed.item.action);
    let mut missing: Vec<(PermissionId, String)> = Vec::new();
    for action in executors.chain(orchestrators) {
        missing.extend(undisclosed(action));
    }
    if !manifest.secrets.is_empty() {
        missing.push((PermissionId::Environment, "the pack declares `secrets`".to_owned()));
    }
    let at = context.line_span(manifest.at.line);
    for id in PermissionId::ALL.into_iter().filter(|id| !declares(*id)) {
        if let Some((_, why)) = missing.iter().find(|(needed, _)| *needed == id) {
            let help = format!("add `{{id: {id}, reason: …}}` to `permissions`");
            context.warn(
                &at,
                "undisclosed",
                format!("{why}, and the pack does not declare `{id}`"),
                Some(help),
            );
        }
    }
    let dependencies = &manifest.dependencies;
    for (kind, names) in
        [("python", &dependencies.python), ("npm", &dependencies.npm), ("system", &dependencies.system)]
    {
        let looks_right = |name: &&String| match kind {
            "python" => is_python(name),
            "npm" => is_npm(name),
            _ => is_system(name),
        };
        for name in names.iter().filter(|name| !looks_right(name)) {
            let message = format!("`dependencies.{kind}`: `{}` does not look like a name", shown(name));
            context.warn(&at, "dependency", message, None);
        }
    }
}

/// What an action says it uses, that is a permission of the pack.
fn undisclosed(action: &Action) -> Vec<(PermissionId, String)> {
    let id = &action.id;
    let mut found = Vec::new();
    if !action.secrets.is_empty() {
        found.push((PermissionId::Environment, format!("`{id}` declares `secrets`")));
    }
    if !action.isolation.env_passthrough.is_empty() {
        found.push((PermissionId::Environment, format!("`{id}` asks for environment variables")));
    }
    if action.isolation.network {
        found.push((PermissionId::Network, format!("`{id}` says `isolation.network`")));
    }
    if !action.isolation.binaries.is_empty() {
        found.push((PermissionId::Subprocess, format!("`{id}` runs `isolation.binaries`")));
    }
    found
}

fn starts_well(text: &str) -> bool {
    text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// A distribution of Python, maybe with extras, a version or a marker.
fn is_python(text: &str) -> bool {
    let name: String =
        text.chars().take_while(|one| one.is_ascii_alphanumeric() || "._-".contains(*one)).collect();
    let rest = text[name.len()..].trim_start();
    starts_well(text) && (rest.is_empty() || rest.starts_with(['[', '=', '<', '>', '!', '~', ';', '@', '(']))
}

/// A package of npm, maybe with a scope or a version.
fn is_npm(text: &str) -> bool {
    let name = text.strip_prefix('@').unwrap_or(text);
    starts_well(name) && name.chars().all(|one| one.is_ascii_alphanumeric() || "._-/@^~*<>=| ".contains(one))
}

/// A program, maybe with a version.
fn is_system(text: &str) -> bool {
    starts_well(text) && text.chars().all(|one| one.is_ascii_alphanumeric() || "._+-<>= ".contains(one))
}
