//! From the text of `Capsule.toml` to a [`CapsuleManifest`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use astrid_authority::scope::{AddressRule, IdentityLevel};
use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey};

use super::traffic::{exports, imports, publish, subscribe, unknown};
use super::{
    CapsuleManifest, Command, CommandKind, Component, ComponentKind, ContextFile, EnvType, EnvVar, McpServer,
    OptionsFrom, Package, Strictness, ToolNote, Uplink, removed,
};
use crate::diagnostic::{Diagnostics, Parsed};
use crate::distro::keyword;
use crate::document::reader::{shown, to_json};
use crate::document::{Context, MAX_FILE_BYTES, Table, Text, Value};
use crate::source::SourcePath;
use crate::version::{CargoRequirement, FullVersion};

/// Verbs of `astrid capsule` that no capsule may take.
const CLI_RESERVED: [&str; 12] = [
    "new", "install", "update", "list", "remove", "tree", "deps", "build", "check", "config", "show", "help",
];

pub(super) fn parse(
    file: &str,
    text: &str,
    strictness: Strictness,
) -> Result<Parsed<CapsuleManifest>, Diagnostics> {
    let context = Context::new(file, text, MAX_FILE_BYTES)?;
    let manifest = crate::document::toml::parse(&context)
        .and_then(|node| Table::new(&context, node, "the manifest"))
        .and_then(|table| manifest(&context, table, strictness));
    context.finish(manifest)
}

fn manifest(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    strictness: Strictness,
) -> Option<CapsuleManifest> {
    removed::sections(context, &mut table);
    let package = table.needed_table("package").and_then(|below| package(context, below, strictness));
    let mut granted = Grants::default();
    let components = components(context, &mut table, &mut granted, strictness);
    if let Some(below) = table.table("capabilities") {
        granted.read(context, below, strictness);
    }
    let imports_span = table.key_span("imports");
    let imports = table.table("imports").map(|below| imports(context, below, strictness)).unwrap_or_default();
    let exports = table.table("exports").map(|below| exports(context, below, strictness)).unwrap_or_default();
    if let (true, false, Some(span)) = (granted.capabilities.uplink, imports.is_empty(), imports_span) {
        let help = "an uplink speaks for people outside: it offers interfaces, and depends on none";
        context.error_help(
            &span,
            "uplink-imports",
            "a capsule with `uplink = true` can't have `[imports]`",
            help,
        );
    }
    let publish = table.table("publish").map(|below| publish(context, below, strictness)).unwrap_or_default();
    let subscribe =
        table.table("subscribe").map(|below| subscribe(context, below, strictness)).unwrap_or_default();
    let env = table.table("env").map(|below| env(context, below, strictness)).unwrap_or_default();
    let commands = commands(context, &mut table, strictness);
    let mcp_servers = mcp_servers(context, &mut table, strictness);
    let uplinks = uplinks(context, &mut table, strictness);
    let context_files = table
        .tables("context_file")
        .into_iter()
        .filter_map(|mut below| {
            let (name, file) = (below.needed_text("name"), below.needed_text("file"));
            below.finish(unknown(strictness));
            Some(ContextFile { name: name?.value.into_owned(), file: file?.value.into_owned() })
        })
        .collect();
    let tools = table
        .tables("tool")
        .into_iter()
        .filter_map(|mut below| {
            let (name, description) = (below.needed_text("name"), below.needed_text("description_for_llm"));
            let (input_schema_wit, mutable) = (below.string("input_schema_wit"), below.flag("mutable"));
            below.finish(unknown(strictness));
            Some(ToolNote {
                name: name?.value.into_owned(),
                description_for_llm: description?.value.into_owned(),
                input_schema_wit,
                mutable,
            })
        })
        .collect();
    table.finish(unknown(strictness));
    Some(CapsuleManifest {
        package: package?,
        components,
        imports,
        exports,
        publish,
        subscribe,
        granted: granted.capabilities,
        bind_workers: granted.bind_workers,
        kv: granted.kv,
        env,
        commands,
        mcp_servers,
        uplinks,
        context_files,
        tools,
    })
}

fn package(context: &Context<'_>, mut table: Table<'_, '_>, strictness: Strictness) -> Option<Package> {
    let at = table.key_span("name").map_or_else(|| table.position(), |span| context.position(span.start));
    let name = table.needed::<CapsuleName>("name", "capsule-name");
    let version = table.needed::<FullVersion>("version", "version");
    let astrid_version = table.parse::<CargoRequirement>("astrid-version", "requirement");
    let metadata = match table.take("metadata").map(to_json) {
        Some(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let description = table.string("description");
    let repository = table.string("repository");
    let homepage = table.string("homepage");
    let documentation = table.string("documentation");
    let license = table.string("license");
    let license_file = table.string("license-file");
    let readme = table.string("readme");
    let authors = table.strings("authors");
    let keywords = table.strings("keywords");
    let categories = table.strings("categories");
    let publish = table.optional_flag("publish");
    let include = table.strings("include");
    let exclude = table.strings("exclude");
    table.finish(unknown(strictness));
    Some(Package {
        name: name?,
        version: version?.0,
        astrid_version: astrid_version.map(|one| one.0),
        description,
        repository,
        homepage,
        documentation,
        license,
        license_file,
        readme,
        authors,
        keywords,
        categories,
        publish,
        include,
        exclude,
        metadata,
        at,
    })
}

fn components(
    context: &Context<'_>,
    table: &mut Table<'_, '_>,
    granted: &mut Grants,
    strictness: Strictness,
) -> Vec<Component> {
    let Some((span, node)) = table.take_entry("component") else { return Vec::new() };
    let items = if let Value::Array(items) = node.value {
        items
    } else {
        let message = "a single `[component]` is gone";
        context.error_help(&span, "removed-section", message, "write `[[component]]`");
        // What is in it is judged all the same: it moves to the new place as it is.
        if matches!(node.value, Value::Table(_)) { vec![node] } else { Vec::new() }
    };
    let mut components = Vec::new();
    for item in items {
        let Some(mut below) = Table::new(context, item, "`component`") else { continue };
        if let Some(grants) = below.table("capabilities") {
            granted.read(context, grants, strictness);
        }
        let id = below.string("id").filter(|id| !id.is_empty());
        let file = below.text("file").or_else(|| below.text("entrypoint"));
        if file.is_none() && below.key_span("file").is_none() && below.key_span("entrypoint").is_none() {
            below.missing("file");
        }
        let file = file.and_then(|text| {
            let inside = SourcePath::parse(&text.value)
                .ok()
                .filter(|path| !path.is_absolute() && !path.parts().is_empty());
            if inside.is_none() {
                context.error(&text.span, "path", "`file` must be a path below the manifest, without `..`");
            }
            inside
        });
        let kind = keyword(
            &mut below,
            "type",
            &[
                ("executable", ComponentKind::Executable),
                ("library", ComponentKind::Library),
                ("", ComponentKind::Executable),
            ],
        );
        let hash = below.text("hash").and_then(|text| {
            let parsed = text.value.parse::<Digest>().ok();
            if parsed.is_none() {
                let message = "`hash` must be `blake3:` and 64 lowercase hexadecimal digits";
                context.error(&text.span, "digest", message);
            }
            parsed
        });
        let link = below.strings("link");
        below.finish(unknown(strictness));
        if let Some(file) = file {
            components.push(Component { id, file, kind: kind.unwrap_or_default(), hash, link });
        }
    }
    components
}

/// What `[capabilities]` of the manifest and of its components grant together.
#[derive(Default)]
struct Grants {
    capabilities: Capabilities,
    bind_workers: Option<u32>,
    kv: Vec<String>,
}

fn extend<T>(set: &mut BTreeSet<T>, table: &mut Table<'_, '_>, key: &'static str)
where
    T: FromStr + Ord,
    T::Err: Display,
{
    set.extend(table.parse_each::<T>(key, "capability"));
}

impl Grants {
    fn read(&mut self, context: &Context<'_>, mut table: Table<'_, '_>, strictness: Strictness) {
        removed::capabilities(context, &mut table);
        let own = &mut self.capabilities;
        extend(&mut own.fs_read, &mut table, "fs_read");
        extend(&mut own.fs_write, &mut table, "fs_write");
        extend(&mut own.net, &mut table, "net");
        extend::<AddressRule>(&mut own.net_connect, &mut table, "net_connect");
        extend(&mut own.net_bind, &mut table, "net_bind");
        extend(&mut own.host_process, &mut table, "host_process");
        own.identity =
            table.parse_each::<IdentityLevel>("identity", "capability").into_iter().chain(own.identity).max();
        own.allow_persistent |= table.flag("allow_persistent");
        own.uplink |= table.flag("uplink");
        own.allow_prompt_injection |= table.flag("allow_prompt_injection");
        let workers_span = table.key_span("bind_workers");
        if let Some(workers) = table.number::<u32>("bind_workers") {
            if let (0, Some(span)) = (workers, workers_span) {
                context.error(&span, "wrong-value", "`bind_workers` is at least 1");
            }
            // A component knows better than the manifest around it, and is read first.
            self.bind_workers = self.bind_workers.or(Some(workers));
        }
        self.kv.extend(table.strings("kv"));
        self.kv.sort();
        self.kv.dedup();
        table.finish(unknown(strictness));
    }
}

/// The key that the kernel fills in by itself.
const RESERVED_ENV: &str = "ASTRID_SOCKET_PATH";

fn env(context: &Context<'_>, mut table: Table<'_, '_>, strictness: Strictness) -> BTreeMap<EnvKey, EnvVar> {
    let mut env = BTreeMap::new();
    for (key, node) in table.rest() {
        if key.name == RESERVED_ENV {
            let message =
                format!("`{RESERVED_ENV}` is filled in by the kernel: the declaration has no effect");
            context.warn(&key.span, "reserved-env", message, None);
            continue;
        }
        let name = Text { span: key.span.clone(), value: key.name.clone() };
        let name = context.parse_text::<EnvKey>(&name, "env", "env-key");
        let Some(below) = Table::new(context, node, format!("`env.{}`", shown(&key.name))) else { continue };
        let at = context.position(key.span.start);
        if let (Some(name), Some(value)) = (name, env_var(context, below, at, strictness)) {
            env.insert(name, value);
        }
    }
    let known: BTreeSet<String> = env.keys().map(ToString::to_string).collect();
    for (key, value) in &env {
        for other in value.options_from.iter().flat_map(|from| &from.after) {
            if !known.contains(other.as_str()) {
                let span = context.line_span(value.at.line);
                context.error(
                    &span,
                    "unknown-env",
                    format!("`{key}` comes after `{other}`, which is not declared"),
                );
            }
        }
    }
    env
}

fn env_var(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    at: crate::diagnostic::Position,
    strictness: Strictness,
) -> Option<EnvVar> {
    if !table.has("type") {
        table.missing("type");
    }
    let kind = keyword(
        &mut table,
        "type",
        &[
            ("text", EnvType::Text),
            ("string", EnvType::Text),
            ("secret", EnvType::Secret),
            ("select", EnvType::Select),
            ("array", EnvType::Array),
            ("integer", EnvType::Integer),
            ("number", EnvType::Number),
            ("boolean", EnvType::Boolean),
        ],
    );
    let default_node = table.take("default");
    let default_span = default_node.as_ref().map(|node| node.span.clone());
    let default = default_node.map(to_json);
    let choices = table.strings("enum_values");
    if let (Some(value), Some(span), Some(kind)) = (&default, &default_span, kind)
        && let Err(why) = fits(kind, value, &choices)
    {
        context.error(span, "env-default", format!("`default` {why}"));
    }
    if let (Some(EnvType::Secret), Some(span)) = (kind, &default_span) {
        context.warn(span, "secret-default", "a secret with a default is known to everyone", None);
    }
    // Only the operator decides who shares a value; `secret set --scope` says it.
    let scope_span = table.key_span("scope");
    if table.take("scope").is_some() {
        let span = scope_span.unwrap_or(0..0);
        let help = "remove the line; the operator says it with `astrid secret set --scope`".to_owned();
        context.warn(&span, "no-effect", "`scope` in a manifest has no effect", Some(help));
    }
    let options_from = table
        .table("options_from")
        .or_else(|| table.table("options-from"))
        .and_then(|below| options_from(below, strictness));
    let request = table.string("request");
    let description = table.string("description");
    let placeholder = table.string("placeholder");
    table.finish(unknown(strictness));
    Some(EnvVar { kind: kind?, request, description, default, choices, placeholder, options_from, at })
}

/// Says why `value` can't be the value of a configuration key of that kind.
fn fits(kind: EnvType, value: &serde_json::Value, choices: &[String]) -> Result<(), &'static str> {
    use serde_json::Value as Json;
    // Texts were the only kind for long: a number in quotes is as good.
    let text_fits = |text: &str| match kind {
        EnvType::Integer => text.is_empty() || text.parse::<i64>().is_ok(),
        EnvType::Number => text.is_empty() || text.parse::<f64>().is_ok_and(f64::is_finite),
        EnvType::Boolean => matches!(text, "" | "true" | "false"),
        _ => true,
    };
    let ok = match value {
        Json::String(text) => {
            if !choices.is_empty() && !text.is_empty() && !choices.contains(text) {
                return Err("is none of `enum_values`");
            }
            text_fits(text)
        }
        Json::Number(number) => match kind {
            EnvType::Integer => number.is_i64(),
            EnvType::Array | EnvType::Boolean => false,
            _ => true,
        },
        Json::Bool(_) => !matches!(kind, EnvType::Integer | EnvType::Number | EnvType::Array),
        Json::Array(items) => kind == EnvType::Array && items.iter().all(Json::is_string),
        Json::Null | Json::Object(_) => false,
    };
    if ok { Ok(()) } else { Err("does not fit the `type`") }
}

fn options_from(mut table: Table<'_, '_>, strictness: Strictness) -> Option<OptionsFrom> {
    let http = table.needed_text("http");
    let (bearer, select) = (table.string("bearer"), table.string("select"));
    let after = table.parse_each("after", "env-key");
    table.finish(unknown(strictness));
    Some(OptionsFrom { http: http?.value.into_owned(), bearer, select, after })
}

fn commands(context: &Context<'_>, table: &mut Table<'_, '_>, strictness: Strictness) -> Vec<Command> {
    let mut commands = Vec::new();
    for mut below in table.tables("command") {
        let name = below.needed_text("name");
        let kind = keyword(&mut below, "kind", &[("slash", CommandKind::Slash), ("cli", CommandKind::Cli)])
            .unwrap_or_default();
        if let (CommandKind::Cli, Some(text)) = (kind, &name) {
            let verb = text.value.as_ref();
            if CLI_RESERVED.contains(&verb) || verb == "run" {
                let message = format!("`{verb}` is a verb of `astrid capsule`: choose another name");
                context.error(&text.span, "reserved-verb", message);
            } else if verb.len() > 32 || verb.parse::<CapsuleName>().is_err() {
                let message = "the name of a cli command is a lowercase letter, then letters, digits and `-`, 32 at most";
                context.error(&text.span, "command-name", message);
            }
        }
        let (description, file) = (below.string("description"), below.string("file"));
        below.finish(unknown(strictness));
        if let Some(name) = name {
            commands.push(Command { name: name.value.into_owned(), description, file, kind });
        }
    }
    commands
}

fn mcp_servers(context: &Context<'_>, table: &mut Table<'_, '_>, strictness: Strictness) -> Vec<McpServer> {
    let mut servers = Vec::new();
    for mut below in table.tables("mcp_server") {
        let id = below.needed_text("id");
        let kind = below.text("type");
        if let Some(text) = &kind
            && !matches!(text.value.as_ref(), "stdio" | "wasm-ipc")
        {
            context.error(&text.span, "wrong-value", "`type` must be one of `stdio`, `wasm-ipc`");
        }
        let server = McpServer {
            id: id.map(|text| text.value.into_owned()).unwrap_or_default(),
            description: below.string("description"),
            kind: kind.map(|text| text.value.into_owned()),
            command: below.string("command"),
            args: below.strings("args"),
        };
        if server.kind.as_deref() == Some("stdio") && server.command.is_none() {
            below.missing("command");
        }
        below.finish(unknown(strictness));
        servers.push(server);
    }
    servers
}

fn uplinks(context: &Context<'_>, table: &mut Table<'_, '_>, strictness: Strictness) -> Vec<Uplink> {
    let mut uplinks = Vec::new();
    for mut below in table.tables("uplink") {
        let (name, platform) = (below.needed_text("name"), below.needed_text("platform"));
        let profile = below.needed_text("profile");
        if let Some(text) = &profile
            && !matches!(text.value.as_ref(), "chat" | "interactive" | "notify" | "bridge")
        {
            context.error(
                &text.span,
                "wrong-value",
                "`profile` must be one of chat, interactive, notify, bridge",
            );
        }
        below.finish(unknown(strictness));
        if let (Some(name), Some(platform), Some(profile)) = (name, platform, profile) {
            uplinks.push(Uplink {
                name: name.value.into_owned(),
                platform: platform.value.into_owned(),
                profile: profile.value.into_owned(),
            });
        }
    }
    uplinks
}
