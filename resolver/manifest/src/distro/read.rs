//! From the text of `Distro.toml` to a [`Distro`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use astrid_authority::{CapsuleName, EnvKey, InterfaceId};

use super::policy::keyword;
use super::{
    Branding, CapsuleEntry, Distro, Header, IndexEntry, IndexLocation, Invites, PackEntry, Probe, Reconcile,
    RequiredInterface, SCHEMA_VERSION, Signing, Upgrade, Variable,
};
use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::document::reader::{shown, to_json};
use crate::document::{Context, MAX_DISTRO_BYTES, Node, Table, Text, Unknown, Value};
use crate::key::KeyText;
use crate::source::{GitRef, Source, SourceError, SourcePath, is_ref_name};
use crate::version::{CargoRequirement, FullVersion, Requirement};

/// Largest icon, in bytes of text.
const MAX_ICON_BYTES: usize = 65_536;

pub(super) fn parse(file: &str, text: &str, may_be_empty: bool) -> Result<Parsed<Distro>, Diagnostics> {
    let context = Context::new(file, text, MAX_DISTRO_BYTES)?;
    let distro = crate::document::toml::parse(&context)
        .and_then(|node| Table::new(&context, node, "the file"))
        .and_then(|table| distro(&context, table, may_be_empty));
    context.finish(distro)
}

/// Checks `schema-version` and gives it back when it is the only one that is known.
pub(crate) fn schema_version(table: &mut Table<'_, '_>, known: u32) -> Option<u32> {
    if !table.has("schema-version") {
        table.missing("schema-version");
    }
    let span = table.key_span("schema-version").unwrap_or(0..0);
    let version: u32 = table.number("schema-version")?;
    if version == known {
        return Some(version);
    }
    let message = format!("schema-version {version} is not known: this version reads {known}");
    table.context.error(&span, "schema-version", message);
    None
}

fn distro(context: &Context<'_>, mut table: Table<'_, '_>, may_be_empty: bool) -> Option<Distro> {
    let version = schema_version(&mut table, SCHEMA_VERSION);
    let header = table.needed_table("distro").and_then(|below| header(context, below));
    let variables = table.table("variables").map(|below| variables(context, below)).unwrap_or_default();
    let indexes: Vec<IndexEntry> =
        table.tables("index").into_iter().filter_map(|below| index(context, below)).collect();
    let capsule_tables = table.tables("capsule");
    let pack_tables = table.tables("pack");
    if capsule_tables.is_empty() && pack_tables.is_empty() && !may_be_empty && !table.has("capsule") {
        let help = "add a `[[capsule]]` or `[[pack]]` table, or run `astrid add`";
        context.error_help(&(0..0), "empty-distro", "a distro needs at least one capsule or pack", help);
    }
    let mut names = Names { variables: &variables, indexes: &indexes, seen: HashMap::new() };
    let capsules: Vec<CapsuleEntry> =
        capsule_tables.into_iter().filter_map(|below| capsule(context, below, &mut names)).collect();
    names.seen.clear();
    let packs: Vec<PackEntry> =
        pack_tables.into_iter().filter_map(|below| pack(context, below, &mut names)).collect();
    let policy = table.table("policy").map(|below| super::policy::read(context, below)).unwrap_or_default();
    let invites = table.table("invites").map(|below| invites(context, below));
    let branding = table.table("branding").map(|below| branding(context, below));
    let reconcile = table.table("reconcile").and_then(|below| reconcile(context, below));
    table.finish(Unknown::Error);
    let distro = Distro {
        schema_version: version?,
        header: header?,
        variables,
        indexes,
        capsules,
        packs,
        policy,
        invites,
        branding,
        reconcile,
    };
    if !context.failed() {
        depends_on(context, &distro);
    }
    Some(distro)
}

fn header(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Header> {
    let at = table.position();
    let id = table.needed("id", "distro-id");
    let name = table.needed_text("name");
    let version = table.needed::<FullVersion>("version", "version");
    let astrid_version = table.parse::<CargoRequirement>("astrid-version", "requirement");
    let requires = table.table("requires").map(|below| requires(context, below)).unwrap_or_default();
    let signing = table.table("signing").and_then(signing);
    let pretty_name = table.string("pretty-name");
    let codename = table.string("codename");
    let release_date = table.string("release-date");
    let description = table.string("description");
    let homepage = table.string("homepage");
    let support = table.string("support");
    let bug_tracker = table.string("bug-tracker");
    let repository = table.string("repository");
    let license = table.string("license");
    let authors = table.strings("authors");
    let maintainers = table.strings("maintainers");
    table.finish(Unknown::Error);
    Some(Header {
        id: id?,
        name: name?.value.into_owned(),
        version: version?.0,
        pretty_name,
        codename,
        release_date,
        description,
        homepage,
        support,
        bug_tracker,
        repository,
        license,
        authors,
        maintainers,
        astrid_version: astrid_version.map(|one| one.0),
        requires,
        signing,
        at,
    })
}

fn requires(context: &Context<'_>, mut table: Table<'_, '_>) -> Vec<RequiredInterface> {
    let mut required = Vec::new();
    for (namespace, node) in table.rest() {
        let Some(mut below) = Table::new(context, node, format!("`requires.{}`", shown(&namespace.name)))
        else {
            continue;
        };
        for (name, node) in below.rest() {
            let id = format!("{}:{}", namespace.name, name.name);
            let key = Text { span: name.span.clone(), value: id.into() };
            let interface = context.parse_text::<InterfaceId>(&key, "requires", "interface");
            let requirement = string_of(context, node, &name.name)
                .and_then(|text| context.parse_text::<CargoRequirement>(&text, &name.name, "requirement"));
            if let (Some(interface), Some(requirement)) = (interface, requirement) {
                let at = context.position(name.span.start);
                required.push(RequiredInterface { interface, requirement: requirement.0, at });
            }
        }
    }
    required.sort_by(|one, two| one.interface.cmp(&two.interface));
    required
}

/// A node that must be a string.
pub(crate) fn string_of<'a>(context: &Context<'a>, node: Node<'a>, key: &str) -> Option<Text<'a>> {
    match node.value {
        Value::String(value) => Some(Text { span: node.span, value }),
        other => {
            let message = format!("`{}` must be a string, and is {}", shown(key), other.kind());
            context.error(&node.span, "wrong-type", message);
            None
        }
    }
}

fn signing(mut table: Table<'_, '_>) -> Option<Signing> {
    let pubkey = table.needed::<KeyText>("pubkey", "key");
    let endorses = table.parse::<KeyText>("endorses", "key");
    table.finish(Unknown::Error);
    Some(Signing { pubkey: pubkey?.to_string(), endorses: endorses.map(|key| key.to_string()) })
}

fn variables(context: &Context<'_>, mut table: Table<'_, '_>) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    for (key, node) in table.rest() {
        let at = context.position(key.span.start);
        let Some(mut below) = Table::new(context, node, format!("`variables.{}`", shown(&key.name))) else {
            continue;
        };
        let variable = Variable {
            secret: below.flag("secret"),
            description: below.string("description"),
            default: below.string("default"),
            at,
        };
        below.finish(Unknown::Error);
        variables.insert(key.name.into_owned(), variable);
    }
    variables
}

fn index(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<IndexEntry> {
    let at = table.position();
    // Sources name it as capsules are named.
    let name = table.needed::<CapsuleName>("name", "index-name");
    let url = table.needed_text("url");
    table.finish(Unknown::Error);
    let url = url?;
    let location = if url.value.contains("://") {
        context.unsupported(&url.span, "an index on a server", "name a folder that holds the index");
        IndexLocation::Url(url.value.into_owned())
    } else {
        match SourcePath::parse(&url.value) {
            Ok(path) => IndexLocation::Path(path),
            Err(error) => {
                context.error(&url.span, error.rule(), format!("`url`: {error}"));
                return None;
            }
        }
    };
    Some(IndexEntry { name: name?.as_str().to_owned(), url: location, at })
}

/// What entries may refer to, and the names that were taken.
struct Names<'v> {
    variables: &'v BTreeMap<String, Variable>,
    indexes: &'v [IndexEntry],
    seen: HashMap<String, Position>,
}

impl Names<'_> {
    fn take(&mut self, context: &Context<'_>, kind: &str, name: &str, span: &Range<usize>) {
        let at = context.position(span.start);
        if let Some(first) = self.seen.insert(name.to_owned(), at) {
            let message = format!("the {kind} `{name}` is declared twice: first on line {}", first.line);
            context.error(span, "duplicate", message);
        }
    }
}

/// `source`, `version` and `tag` of an entry, read together.
struct Pin {
    source: Source,
    source_at: Position,
    version: Option<Requirement>,
    version_at: Position,
    tag: Option<String>,
}

fn pin(
    context: &Context<'_>,
    table: &mut Table<'_, '_>,
    kind: &str,
    name: &str,
    names: &Names<'_>,
) -> Option<Pin> {
    for key in ["branch", "rev"] {
        if let Some((span, _)) = table.take_entry(key) {
            let message = format!(
                "{kind} `{name}` has `{key}`: neither `branch` nor `rev` is allowed, a distro pins a release"
            );
            let help = "write `version`, `tag`, or a full commit as `ref=` of the git source";
            context.error_help(&span, "moving-reference", message, help);
        }
    }
    let entry = table.span.start;
    let source = table.needed_text("source").and_then(|text| match text.value.parse::<Source>() {
        Ok(source) => Some((source, text.span)),
        Err(error) => {
            let message = format!("`source`: {error}");
            if error == SourceError::Oci {
                let help = "write `git+https://…?ref=TAG`, `@org/repo` or a path";
                context.error_help(&text.span, error.rule(), message, help);
            } else {
                context.error(&text.span, error.rule(), message);
            }
            None
        }
    });
    let has_version = table.has("version");
    let version_text = table.text("version");
    let version_span = version_text.as_ref().map_or(entry, |text| text.span.start);
    let version = version_text
        .as_ref()
        .filter(|text| !text.value.is_empty())
        .and_then(|text| context.parse_text::<Requirement>(text, "version", "requirement"));
    let tag = table.text("tag").and_then(|text| {
        if is_ref_name(&text.value) {
            Some(text.value.into_owned())
        } else {
            context.error(&text.span, "tag", "`tag` must be the name of a tag, without spaces around it");
            None
        }
    });
    let (source, source_span) = source?;
    let has_pin = match &source {
        Source::Git(git) => git.reference.is_some(),
        // A folder or file has one version, so nothing needs saying; an empty text says something.
        Source::Path(_) | Source::Archive(_) => !has_version,
        Source::Release { .. } | Source::Index { .. } => false,
    };
    let says_version = version_text.as_ref().is_some_and(|text| !text.value.is_empty());
    let says_tag = table.key_span("tag").is_some();
    if !says_version && !says_tag && !has_pin {
        let span = version_text.map_or_else(|| table.span.clone(), |text| text.span);
        let message = format!("{kind} `{name}` needs `version` or `tag`: a distro pins a release");
        context.error_help(&span, "unpinned", message, "write `version = \"1.2.3\"`, `\"^1.2\"`, or a `tag`");
    }
    if let (Source::Git(git), Some(tag)) = (&source, &tag)
        && let Some(reference) = &git.reference
        && *reference != GitRef::Tag(tag.clone())
    {
        let message = format!("{kind} `{name}` says `tag = \"{tag}\"` and `ref={reference}`: one of them");
        context.error(&source_span, "conflicting-pin", message);
    }
    if let Source::Index { index: Some(index), .. } = &source
        && !names.indexes.iter().any(|one| one.name == *index)
    {
        let message = format!("no `[[index]]` is named `{index}`");
        context.error(&source_span, "unknown-index", message);
    } else if matches!(source, Source::Index { .. }) && names.indexes.is_empty() {
        let help = "declare `[[index]]` with `name` and `url`";
        context.error_help(&source_span, "unknown-index", "no index is declared", help);
    }
    Some(Pin {
        source,
        source_at: context.position(source_span.start),
        version,
        version_at: context.position(version_span),
        tag,
    })
}

fn capsule(context: &Context<'_>, mut table: Table<'_, '_>, names: &mut Names<'_>) -> Option<CapsuleEntry> {
    let at = table.position();
    let name_text = table.needed_text("name");
    let name =
        name_text.as_ref().and_then(|text| context.parse_text::<CapsuleName>(text, "name", "capsule-name"));
    if let (Some(name), Some(text)) = (&name, &name_text) {
        names.take(context, "capsule", name.as_str(), &text.span);
    }
    let label = name.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    table.name = format!("capsule `{label}`").into();
    let pin = pin(context, &mut table, "capsule", &label, names);
    let env = table.table("env").map(|below| env(context, below, names.variables)).unwrap_or_default();
    let probe = table.table("probe").and_then(|below| probe(context, below));
    let group = table.text("group").map(|text| text.value.into_owned());
    let default_span = table.key_span("default");
    let default = table.flag("default");
    if let (true, None, Some(span)) = (default, &group, default_span) {
        context.warn(&span, "no-effect", "`default` means something only together with `group`", None);
    }
    let role = table.string("role");
    let depends_on = table.parse_each("depends-on", "capsule-name");
    let keep = table.flag("keep");
    table.finish(Unknown::Error);
    let (name, pin) = (name?, pin?);
    Some(CapsuleEntry {
        name,
        source: pin.source,
        version: pin.version,
        tag: pin.tag,
        group,
        default,
        role,
        env,
        depends_on,
        keep,
        probe,
        at,
        source_at: pin.source_at,
        version_at: pin.version_at,
    })
}

fn env(
    context: &Context<'_>,
    mut table: Table<'_, '_>,
    variables: &BTreeMap<String, Variable>,
) -> BTreeMap<EnvKey, crate::template::Template> {
    let mut env = BTreeMap::new();
    for (key, node) in table.rest() {
        let name = Text { span: key.span.clone(), value: key.name.clone() };
        let name = context.parse_text::<EnvKey>(&name, "env", "env-key");
        let Some(text) = string_of(context, node, &key.name) else { continue };
        let Some(template) = context.parse_text::<crate::template::Template>(&text, &key.name, "template")
        else {
            continue;
        };
        for variable in template.variables().filter(|name| !variables.contains_key(*name)) {
            let message = format!("no variable is named `{}`", shown(variable));
            let help = crate::document::reader::closest(variable, variables.keys().map(String::as_str))
                .map_or_else(
                    || format!("declare `[variables.{}]`", shown(variable)),
                    |name| format!("did you mean `{{{{ {name} }}}}`?"),
                );
            context.error_help(&text.span, "unknown-variable", message, help);
        }
        if let Some(name) = name {
            env.insert(name, template);
        }
    }
    env
}

fn probe(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Probe> {
    let tool = table.needed_text("tool");
    let args = match table.take("args").map(|node| (node.span.clone(), to_json(node))) {
        Some((_, serde_json::Value::Object(args))) => args,
        Some((span, _)) => {
            context.error(&span, "wrong-type", "`args` must be a table");
            serde_json::Map::new()
        }
        None => serde_json::Map::new(),
    };
    table.finish(Unknown::Error);
    Some(Probe { tool: tool?.value.into_owned(), args })
}

fn pack(context: &Context<'_>, mut table: Table<'_, '_>, names: &mut Names<'_>) -> Option<PackEntry> {
    let at = table.position();
    let id_text = table.needed_text("id");
    let id = id_text
        .as_ref()
        .and_then(|text| context.parse_text::<astrid_authority::PackId>(text, "id", "pack-id"));
    if let (Some(id), Some(text)) = (&id, &id_text) {
        names.take(context, "pack", id.as_str(), &text.span);
    }
    let label = id.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    table.name = format!("pack `{label}`").into();
    let pin = pin(context, &mut table, "pack", &label, names);
    let requested_ref = table.text("requested-ref").filter(|text| {
        let known = is_requested_ref(&text.value);
        if !known {
            let message = format!("`{}` is no reference", shown(&text.value));
            let help = "write `HEAD`, `refs/heads/NAME`, `refs/tags/NAME` or a full commit";
            context.error_help(&text.span, "reference", message, help);
        }
        known
    });
    let pinned = table.parse("content", "digest");
    let capsules =
        table.has("capsules").then(|| table.parse_each("capsules", "capsule-name")).or_else(|| {
            table.texts("capsules");
            None
        });
    let depends_on = table.parse_each("depends-on", "capsule-name");
    let keep = table.flag("keep");
    table.finish(Unknown::Error);
    let (id, pin) = (id?, pin?);
    Some(PackEntry {
        id,
        source: pin.source,
        version: pin.version,
        tag: pin.tag,
        requested_ref: requested_ref.map(|text| text.value.into_owned()),
        content: pinned,
        capsules,
        depends_on,
        keep,
        at,
        source_at: pin.source_at,
        version_at: pin.version_at,
    })
}

/// What of a repository may be asked for again: more than may be pinned.
fn is_requested_ref(text: &str) -> bool {
    let named = ["refs/heads/", "refs/tags/"].iter().find_map(|start| text.strip_prefix(start));
    let is_commit = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text == "HEAD" || is_commit || named.is_some_and(is_ref_name)
}

/// `depends-on` names what is there. With packs, only resolution knows every capsule.
fn depends_on(context: &Context<'_>, distro: &Distro) {
    let known: BTreeSet<&str> = distro.capsules.iter().map(|entry| entry.name.as_str()).collect();
    for entry in &distro.capsules {
        for other in &entry.depends_on {
            let line = entry.at.line;
            let span = context.line_span(line);
            if *other == entry.name {
                context.error(&span, "depends-on", format!("capsule `{other}` depends on itself"));
            } else if distro.packs.is_empty() && !known.contains(other.as_str()) {
                let message = format!("capsule `{}` depends on `{other}`, which is not declared", entry.name);
                context.error(&span, "depends-on", message);
            }
        }
    }
}

fn invites(context: &Context<'_>, mut table: Table<'_, '_>) -> Invites {
    let issuers = table.strings("issuers");
    let default_group = table.string("default-group");
    let default_expires = table.parse("default-expires", "period");
    let max_principals = match table.text("max-principals") {
        None => None,
        Some(text) if text.value == "unlimited" => None,
        Some(text) => match text.value.parse::<u32>() {
            Ok(count) if !text.value.starts_with('+') => Some(count),
            _ => {
                let message = "`max-principals` is \"unlimited\" or a number in quotes";
                context.error(&text.span, "wrong-value", message);
                None
            }
        },
    };
    if !issuers.is_empty() && default_group.is_none() {
        context.error(&table.span, "missing-field", "`issuers` need a `default-group` for whoever accepts");
    }
    table.finish(Unknown::Error);
    Invites { issuers, default_group, default_expires, max_principals }
}

fn branding(context: &Context<'_>, mut table: Table<'_, '_>) -> Branding {
    let icon = table.text("icon").map(|text| {
        if text.value.len() > MAX_ICON_BYTES {
            let message =
                format!("`icon` has {} bytes; at most {MAX_ICON_BYTES} are allowed", text.value.len());
            context.error(&text.span, "too-large", message);
        } else if !text.value.starts_with("data:")
            && SourcePath::parse(&text.value).map_or(true, |path| path.is_absolute())
        {
            context.error(&text.span, "wrong-value", "`icon` is a data URL or a path below the distro");
        }
        text.value.into_owned()
    });
    let mut color = |key: &'static str| {
        let text = table.text(key)?;
        let digits = text.value.strip_prefix('#').unwrap_or_default();
        if !matches!(digits.len(), 3 | 6) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            context.error(&text.span, "color", format!("`{key}` is `#` and 3 or 6 hexadecimal digits"));
        }
        Some(text.value.into_owned())
    };
    let (primary_color, accent_color) = (color("primary-color"), color("accent-color"));
    table.finish(Unknown::Error);
    Branding { icon, primary_color, accent_color }
}

fn reconcile(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Reconcile> {
    context.unsupported(
        &table.span.clone(),
        "`[reconcile]`",
        "remove the table, and run `astrid apply` when the declaration changes",
    );
    let source = table.needed_text("source").and_then(|text| match Source::parse_distro(&text.value) {
        Ok(source) => Some(source),
        Err(error) => {
            context.error(&text.span, error.rule(), format!("`source`: {error}"));
            None
        }
    });
    let interval = table.parse("interval", "period");
    let heal = table.flag("heal");
    let upgrade = keyword(
        &mut table,
        "upgrade",
        &[
            ("auto", Upgrade::Auto),
            ("no-new-authority", Upgrade::NoNewAuthority),
            ("manual", Upgrade::Manual),
        ],
    );
    let health_timeout = table.parse("health-timeout", "period");
    table.finish(Unknown::Error);
    Some(Reconcile { source: source?, interval, heal, upgrade, health_timeout })
}
