//! From the files of a pack to its [`Contents`].

use std::collections::BTreeMap;
use std::ops::Range;

use astrid_authority::{ActionId, PackId};

use super::{Contents, Files, MAX_COMPONENTS, MAX_MANIFEST_BYTES, MAX_VALUES, Placed, advice};
use crate::capsule::{CapsuleManifest, Strictness};
use crate::diagnostic::{Diagnostic, Diagnostics, Parsed, Severity};
use crate::document::reader::shown;
use crate::document::{Context, MAX_FILE_BYTES};
use crate::pack::around::{Around, Paths, join};
use crate::pack::{FILE_NAMES, element, executor, orchestrator, read as pack};
use crate::source::SourcePath;

/// The text of a manifest.
struct Source {
    /// Its path, from the root of the pack.
    path: String,
    /// The folder that it is in.
    folder: String,
    /// What people call it.
    shown: String,
    text: String,
}

/// What reading is in the midst of.
struct Reading<'f> {
    files: &'f dyn Files,
    paths: Paths,
    complaints: Vec<Diagnostic>,
    bytes: u64,
    components: usize,
    values: usize,
}

/// Where an id was declared, for the complaint about the next one.
type Declared = BTreeMap<ActionId, String>;

pub(super) fn read(files: &dyn Files) -> Result<Parsed<Contents>, Diagnostics> {
    let paths = Paths::new(files.paths());
    let mut reading = Reading { files, paths, complaints: Vec::new(), bytes: 0, components: 0, values: 0 };
    if reading.paths.has_file(".no-pack") {
        let message = "the file `.no-pack` switches nothing off: the pack is checked all the same";
        reading.warn(".no-pack", "no-pack", message);
    }
    let Some(source) = reading.manifest() else { return Err(Diagnostics::new(reading.complaints)) };
    let context = Context::new(&source.shown, &source.text, MAX_FILE_BYTES)?;
    let found = pack::read(&context);
    let contents = found.and_then(|found| reading.contents(&context, &source, found));
    reading.complaints.extend(context.into_diagnostics());
    let complaints = Diagnostics::new(reading.complaints);
    match contents {
        Some(mut contents) if !complaints.has_errors() => {
            contents.advice = complaints.iter().map(said).collect();
            Ok(Parsed { value: contents, warnings: complaints })
        }
        _ if complaints.has_errors() => Err(complaints),
        _ => Err(Diagnostic::of_file(&source.shown, "unreadable", "the pack can't be read").into()),
    }
}

/// A warning in one line, without the name that people gave the pack.
fn said(one: &Diagnostic) -> String {
    format!("{}:{}: {}", one.file, one.line, one.message)
}

impl Reading<'_> {
    fn complain(&mut self, path: &str, rule: &'static str, message: impl Into<String>) {
        self.complaints.push(Diagnostic::of_file(&self.files.shown(path), rule, message));
    }

    fn warn(&mut self, path: &str, rule: &'static str, message: impl Into<String>) {
        let one = Diagnostic::of_file(&self.files.shown(path), rule, message);
        self.complaints.push(Diagnostic { severity: Severity::Warning, ..one });
    }

    /// The text of the pack's manifest.
    fn manifest(&mut self) -> Option<Source> {
        let there: Vec<&str> = FILE_NAMES.into_iter().filter(|name| self.paths.has_file(name)).collect();
        self.only_one("", &there);
        if let Some(name) = there.first() {
            return self.source(name);
        }
        let missing = Diagnostic::of_file(&self.files.shown(FILE_NAMES[0]), "no-manifest", NO_MANIFEST)
            .with_help("`astrid packs new ID` writes a pack that runs");
        self.complaints.push(missing);
        None
    }

    /// Two manifests in one folder: a person may read one while the other counts.
    fn only_one(&mut self, folder: &str, there: &[&str]) {
        if let [first, others @ ..] = there {
            for other in others {
                let path = within(folder, other);
                self.complain(&path, "two-manifests", format!("{first} is there too: only one can count"));
            }
        }
    }

    /// The text of a file that is a manifest.
    fn source(&mut self, path: &str) -> Option<Source> {
        let too_large = |length: u64| length > MAX_FILE_BYTES as u64;
        let limit = format!("it is larger than {MAX_FILE_BYTES} bytes");
        if self.files.length(path).is_some_and(too_large) {
            self.complain(path, "too-large", limit);
            return None;
        }
        let Some(bytes) = self.files.bytes(path) else {
            self.complain(path, "unreadable", "it can't be read");
            return None;
        };
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if too_large(bytes.len() as u64) {
            self.complain(path, "too-large", limit);
        } else if self.bytes > MAX_MANIFEST_BYTES {
            let message = format!("the pack's manifests are larger than {MAX_MANIFEST_BYTES} bytes");
            self.complain(path, "too-large", message);
        } else if let Ok(text) = String::from_utf8(bytes) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            return Some(Source { path: path.to_owned(), folder, shown: self.files.shown(path), text });
        } else {
            self.complain(path, "utf-8", "it is no UTF-8");
        }
        None
    }

    /// The texts of the manifests with one of `names` below a folder of the pack.
    fn sources(&mut self, root: Option<&SourcePath>, names: [&'static str; 3]) -> Vec<Source> {
        let Some(root) = root.map(SourcePath::joined) else { return Vec::new() };
        let mut folders: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        let mut odd = Vec::new();
        for path in self.paths.below(&root) {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            match names.iter().find(|own| **own == name) {
                Some(own) => folders.entry(folder.to_owned()).or_default().push(own),
                None if is_nearly(name, names) => odd.push(path.to_owned()),
                None => {}
            }
        }
        for path in odd {
            self.warn(
                &path,
                "odd-name",
                format!("nobody reads it; a manifest is called {}", names.join(" or ")),
            );
        }
        let mut sources = Vec::new();
        for (folder, mut there) in folders {
            there.sort_by_key(|name| names.iter().position(|own| own == name));
            self.only_one(&folder, &there);
            self.components += 1;
            if self.components > MAX_COMPONENTS {
                self.complain(&folder, "too-many", format!("a pack has at most {MAX_COMPONENTS} components"));
                break;
            }
            if let Some(first) = there.first() {
                sources.extend(self.source(&within(&folder, first)));
            }
        }
        sources
    }

    fn contents(&mut self, context: &Context<'_>, source: &Source, found: pack::Read) -> Option<Contents> {
        self.roots(context, &found);
        let roots = &found.content;
        let executors = self.sources(roots.executors.as_ref(), executor::FILE_NAMES);
        let orchestrators = self.sources(roots.orchestrators.as_ref(), orchestrator::FILE_NAMES);
        let elements = self.sources(roots.elements.as_ref(), element::FILE_NAMES);
        let mut contents = Assembly::new(&found);
        self.executors(&executors, &mut contents);
        self.orchestrators(&orchestrators, &mut contents);
        self.elements(&elements, roots.elements.as_ref(), &mut contents);
        let capsules = self.capsules(roots.capsules.as_ref());
        aliases(context, &found, &contents);
        for (path, span) in &found.docs {
            if join("", path).is_none_or(|path| !self.paths.has_file(&path)) {
                context.warn(span, "docs", format!("there is no file {}", shown(path)), None);
            }
        }
        self.undeclared(roots);
        let native = advice::native(&self.paths);
        let manifest = found.manifest.as_ref()?;
        advice::about(context, manifest, &contents);
        Some(Contents {
            manifest: manifest.clone(),
            manifest_file: source.path.clone(),
            executors: contents.executors,
            orchestrators: contents.orchestrators,
            elements: contents.elements,
            capsules,
            native,
            advice: Vec::new(),
        })
    }

    /// The folders that `content` names are there.
    fn roots(&self, context: &Context<'_>, found: &pack::Read) {
        let roots = &found.content;
        for (key, root, is_needed) in [
            ("executors", &roots.executors, true),
            ("orchestrators", &roots.orchestrators, true),
            ("elements", &roots.elements, true),
            ("capsules", &roots.capsules, true),
            ("schemas", &roots.schemas, false),
            ("examples", &roots.examples, false),
            ("docs", &roots.docs, false),
        ] {
            let (Some(root), Some(span)) = (root, found.content_spans.get(key)) else { continue };
            if self.paths.has_folder(&root.joined()) {
                continue;
            }
            let message =
                format!("`content.{key}`: there is no folder {} with files in it", shown(&root.joined()));
            let help = "put a component into it, or remove the line: empty folders are not kept";
            if is_needed {
                context.error_help(span, "content-root", message, help);
            } else {
                context.warn(span, "content-root", message, Some(help.to_owned()));
            }
        }
    }

    fn executors(&mut self, sources: &[Source], into: &mut Assembly<'_>) {
        for source in sources {
            let Some(context) = self.context(source) else { continue };
            let around = into.around(&self.paths, source);
            for (item, id) in executor::read(&context, Some(&around)) {
                into.declare(&context, source, id.as_ref());
                if let Some(item) = item {
                    let span = id.map(|(_, span)| span).unwrap_or_default();
                    let stage =
                        self.stage(&context, &span, source, item.docs.stage(), !item.description.is_empty());
                    let placed = source.placed(item, stage);
                    into.executors.entry(placed.item.id.clone()).or_insert(placed);
                }
            }
            self.done(context);
        }
        let total = into.executors.len();
        if total > MAX_COMPONENTS {
            self.complain(
                "",
                "too-many",
                format!("a pack has at most {MAX_COMPONENTS} executors, and here {total}"),
            );
        }
    }

    fn orchestrators(&mut self, sources: &[Source], into: &mut Assembly<'_>) {
        let read: Vec<_> = sources
            .iter()
            .filter_map(|source| {
                let context = self.context(source)?;
                let found = orchestrator::read(&context, Some(&into.around(&self.paths, source)));
                into.declare(&context, source, found.id.as_ref());
                Some((source, context, found))
            })
            .collect();
        let ids: Vec<ActionId> =
            read.iter().filter_map(|(_, _, found)| Some(found.id.as_ref()?.0.clone())).collect();
        for (source, context, found) in read {
            let pack = into.pack;
            let own = |id: &ActionId| pack.is_some_and(|pack| pack.as_str() == id.pack());
            for (id, span) in &found.executors {
                let there =
                    into.executors.contains_key(id) || into.declared.contains_key(id) && !ids.contains(id);
                child(&context, id, span, "executor", there, own(id));
            }
            for (id, span) in &found.orchestrators {
                child(&context, id, span, "orchestrator", ids.contains(id), own(id));
            }
            if let Some(item) = found.orchestrator {
                let span = found.id.map(|(_, span)| span).unwrap_or_default();
                let stage =
                    self.stage(&context, &span, source, item.docs.stage(), !item.description.is_empty());
                let placed = source.placed(item, stage);
                into.orchestrators.entry(placed.item.id.clone()).or_insert(placed);
            }
            self.done(context);
        }
    }

    fn elements(&mut self, sources: &[Source], root: Option<&SourcePath>, into: &mut Assembly<'_>) {
        let root = root.map(SourcePath::joined).unwrap_or_default();
        for source in sources {
            let Some(context) = self.context(source) else { continue };
            let around = into.around(&self.paths, source);
            let (item, span) = element::read(&context, Some(&around));
            let inner = source.folder.strip_prefix(&root).unwrap_or(&source.folder).trim_start_matches('/');
            let parts: Vec<&str> = inner.split('/').collect();
            let span = span.unwrap_or_default();
            if let Some(item) = &item {
                let good = matches!(parts[..], [kind, _] if element::is_folder_of(kind, &item.kind, &around));
                if !good {
                    let message = format!("an element of kind `{}` is in {root}/<kind>/<name>", item.kind);
                    context.error_help(
                        &span,
                        "layout",
                        message,
                        format!("move it to {root}/{}/{}", item.kind, item.id),
                    );
                }
            }
            if let Some(item) = item {
                let id = item.capability_id();
                if let Some(before) = into.elements.get(&id) {
                    let place = format!("{}:{}", self.files.shown(&before.file), before.item.at.line);
                    duplicate(&context, &span, &id, &place);
                } else {
                    let stage =
                        join(&source.folder, item.docs.stage()).filter(|path| self.paths.has_file(path));
                    into.elements.insert(id, source.placed(item, stage));
                }
            }
            self.done(context);
        }
    }

    /// The capsules of a pack: `<name>/Capsule.toml` each.
    fn capsules(
        &mut self,
        root: Option<&SourcePath>,
    ) -> BTreeMap<astrid_authority::CapsuleName, Placed<CapsuleManifest>> {
        let mut capsules = BTreeMap::new();
        let Some(root) = root.map(SourcePath::joined) else { return capsules };
        let folders: Vec<String> = self
            .paths
            .below(&root)
            .filter_map(|path| path.strip_suffix("/Capsule.toml"))
            .filter(|folder| {
                folder.strip_prefix(&root).is_some_and(|name| !name.trim_start_matches('/').contains('/'))
            })
            .map(str::to_owned)
            .collect();
        for folder in folders {
            self.components += 1;
            if self.components > MAX_COMPONENTS {
                self.complain(&folder, "too-many", format!("a pack has at most {MAX_COMPONENTS} components"));
                break;
            }
            let Some(source) = self.source(&format!("{folder}/Capsule.toml")) else { continue };
            let manifest = match CapsuleManifest::parse(&source.shown, &source.text, Strictness::Load) {
                Ok(parsed) => {
                    self.complaints.extend(parsed.warnings);
                    parsed.value
                }
                Err(complaints) => {
                    self.complaints.extend(complaints);
                    continue;
                }
            };
            let name = manifest.package.name.clone();
            if folder.rsplit('/').next() != Some(name.as_str()) {
                let message = format!("the capsule is `{name}`, and its folder is {}", shown(&folder));
                self.complain(&source.path, "folder-name", message);
            }
            let component = manifest.component_file().map(SourcePath::joined);
            if let Some(component) = component.and_then(|file| join(&folder, &file))
                && !self.paths.has_file(&component)
            {
                let message = format!("there is no {}: build it before the pack is used", shown(&component));
                self.warn(&source.path, "no-component", message);
            }
            let stage = None;
            let file = source.path;
            capsules.entry(name).or_insert(Placed { item: manifest, folder, file, stage });
        }
        capsules
    }

    /// Takes in the complaints about a manifest. Each is small enough by itself; together they may not be.
    fn done(&mut self, context: Context<'_>) {
        self.values = self.values.saturating_add(context.values());
        self.complaints.extend(context.into_diagnostics());
    }

    fn context<'s>(&mut self, source: &'s Source) -> Option<Context<'s>> {
        if self.values > MAX_VALUES {
            let message = format!("the pack's manifests hold more than {MAX_VALUES} values");
            self.complain(&source.path, "too-many", message);
            return None;
        }
        match Context::new(&source.shown, &source.text, MAX_FILE_BYTES) {
            Ok(context) => Some(context),
            Err(complaints) => {
                self.complaints.extend(complaints);
                None
            }
        }
    }

    /// The page about a component. One without a page and without a description tells people nothing.
    fn stage(
        &self,
        context: &Context<'_>,
        span: &Range<usize>,
        source: &Source,
        page: &str,
        is_described: bool,
    ) -> Option<String> {
        let path = join(&source.folder, page);
        if let Some(path) = path.as_ref().filter(|path| self.paths.has_file(path)) {
            return Some(path.clone());
        }
        if page != "STAGE.md" || !is_described {
            let help = (!is_described).then(|| "write what it does in `description` or STAGE.md".to_owned());
            context.warn(span, "stage", format!("{} not found", shown(page)), help);
        }
        None
    }

    /// Manifests that `content` does not lead to: nobody reads them.
    fn undeclared(&mut self, content: &crate::pack::Content) {
        let roots = [
            (&content.executors, executor::FILE_NAMES, "executors"),
            (&content.orchestrators, orchestrator::FILE_NAMES, "orchestrators"),
            (&content.elements, element::FILE_NAMES, "elements"),
        ];
        let apart: Vec<String> = [&content.examples, &content.docs, &content.schemas]
            .into_iter()
            .flatten()
            .map(SourcePath::joined)
            .collect();
        let is_below = |path: &str, root: &str| {
            root.is_empty() || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut found = Vec::new();
        for path in self.paths.iter() {
            let name = path.rsplit('/').next().unwrap_or(path);
            for (root, names, key) in &roots {
                let declared = root.as_ref().is_some_and(|root| is_below(path, &root.joined()));
                if names.contains(&name) && !declared && !apart.iter().any(|root| is_below(path, root)) {
                    found.push((path.to_owned(), *key));
                }
            }
        }
        for (path, key) in found {
            let message = format!("nobody reads it: it is not below the folder that `content.{key}` names");
            self.warn(&path, "undeclared", message);
        }
    }
}

const NO_MANIFEST: &str = "there is no pack.yaml, pack.yml or pack.json";

fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A name that was probably meant to be one of `names`.
fn is_nearly(name: &str, names: [&str; 3]) -> bool {
    let small = name.to_ascii_lowercase();
    let is_near =
        |own: &&str| own.len().abs_diff(small.len()) <= 2 && strsim::damerau_levenshtein(&small, own) <= 2;
    names.iter().any(is_near)
}

impl Source {
    fn placed<T>(&self, item: T, stage: Option<String>) -> Placed<T> {
        Placed { item, folder: self.folder.clone(), file: self.path.clone(), stage }
    }
}

/// The components as they come together.
pub(super) struct Assembly<'p> {
    pack: Option<&'p PackId>,
    kinds: &'p [crate::pack::extensions::ElementKind],
    declared: Declared,
    pub(super) executors: BTreeMap<ActionId, Placed<executor::Executor>>,
    pub(super) orchestrators: BTreeMap<ActionId, Placed<orchestrator::Orchestrator>>,
    pub(super) elements: BTreeMap<String, Placed<element::Element>>,
}

impl<'p> Assembly<'p> {
    fn new(found: &'p pack::Read) -> Self {
        Self {
            pack: found.id.as_ref(),
            kinds: &found.kinds,
            declared: Declared::new(),
            executors: BTreeMap::new(),
            orchestrators: BTreeMap::new(),
            elements: BTreeMap::new(),
        }
    }

    fn around<'a>(&self, paths: &'a Paths, source: &'a Source) -> Around<'a>
    where
        'p: 'a,
    {
        Around { pack: self.pack, folder: &source.folder, paths, kinds: self.kinds }
    }

    /// Notes an id; executors and orchestrators share their names.
    fn declare(&mut self, context: &Context<'_>, source: &Source, id: Option<&(ActionId, Range<usize>)>) {
        let Some((id, span)) = id else { return };
        if let Some(before) = self.declared.get(id) {
            duplicate(context, span, id.as_str(), before);
        } else {
            let place = format!("{}:{}", source.shown, context.position(span.start).line);
            self.declared.insert(id.clone(), place);
        }
    }
}

fn duplicate(context: &Context<'_>, span: &Range<usize>, id: &str, before: &str) {
    context.error(span, "duplicate-id", format!("the id `{id}` is declared in {before} already"));
}

/// A component that an orchestrator names: of its own pack it must be there.
fn child(
    context: &Context<'_>,
    id: &ActionId,
    span: &Range<usize>,
    kind: &str,
    is_there: bool,
    is_own: bool,
) {
    if is_own && !is_there {
        context.error(span, "unknown-component", format!("the pack has no {kind} `{id}`"));
    }
}

/// Other names lead to components of this pack, each to one, and hide none.
fn aliases(context: &Context<'_>, found: &pack::Read, contents: &Assembly<'_>) {
    let mut seen: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for (alias, alias_span, canonical_span) in &found.aliases {
        let kind = alias.kind.as_str();
        let line = context.position(alias_span.start).line;
        if let Some(before) = seen.insert((kind, &alias.alias), line) {
            let message = format!("the {kind} alias `{}` is on line {before} already", alias.alias);
            context.error(alias_span, "duplicate", message);
        }
        if contents.declared.keys().any(|id| id.as_str() == alias.alias) {
            let message = format!("the alias `{}` is the id of a component", alias.alias);
            context.error(alias_span, "duplicate", message);
        }
        let owner = alias.canonical_id.split('.').next().unwrap_or_default();
        if let Some(pack) = contents.pack
            && pack.as_str() != owner
        {
            let message = format!(
                "`{}` belongs to pack `{owner}`, which is who may give it another name",
                alias.canonical_id
            );
            context.error(canonical_span, "foreign-id", message);
            continue;
        }
        let is_there = match kind {
            "executor" => contents.executors.keys().any(|id| id.as_str() == alias.canonical_id),
            _ => contents.orchestrators.keys().any(|id| id.as_str() == alias.canonical_id),
        };
        // A component that could not be read has its own complaints.
        let is_declared = contents.declared.keys().any(|id| id.as_str() == alias.canonical_id);
        let is_read = contents.executors.len() + contents.orchestrators.len() == contents.declared.len();
        if !is_there && (is_read || !is_declared) {
            context.error(
                canonical_span,
                "unknown-component",
                format!("the pack has no {kind} `{}`", alias.canonical_id),
            );
        }
    }
}
