//! `add`, `remove`, `update`: change the declaration, then apply it like any other. There is no second way to
//! change a machine.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use astrid_manifest::{CapsuleManifest, PackManifest, Source, Strictness};
use astrid_resolver::resolution::Upgrade;
use astrid_resolver::verified::Freshness;
use astrid_resolver::{Context, Declaration, Target};
use astrid_store::generation::Action;
use serde_json::json;

use super::apply::{Job, perform};
use super::fleet;
use crate::args::{AddArgs, BootArgs, ConsentArgs, RemoveArgs, UpdateArgs, VariableArgs};
use crate::edit::{self, Entry};
use crate::exit::{DONE, Failure, Outcome};
use crate::render::safe;
use crate::session::Session;

/// The `Distro.toml` that is changed.
pub(crate) struct Edited {
    target: Target,
    pub(crate) file: PathBuf,
    pub(crate) is_home: bool,
}

impl Edited {
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(&self.file)
    }

    /// What it declares now; an empty distro where the home has none of its own yet.
    pub(crate) fn declaration(
        &self,
        session: &mut Session,
        context: &Context,
    ) -> Result<Declaration, Failure> {
        if self.is_home {
            Ok(Declaration::load_home_or(context, EMPTY_HOME)?)
        } else {
            fleet::load(session, context, &self.target)
        }
    }
}

/// The distro of this folder; else the applied one, when it is a folder; else the home's own.
pub(crate) fn edited(session: &Session, context: &Context) -> Result<Edited, Failure> {
    let in_folder = |folder: &Path, typed: &str| Edited {
        target: Target::Path { path: folder.to_owned(), typed: typed.to_owned() },
        file: folder.join("Distro.toml"),
        is_home: false,
    };
    let here = &session.world.folder;
    if here.join("Distro.toml").is_file() {
        return Ok(in_folder(here, "."));
    }
    let home = Edited { target: Target::Home, file: context.home.distro(), is_home: true };
    let Some(current) = astrid_resolver::apply::current(context)? else { return Ok(home) };
    let meta = current.generation.meta();
    match meta.origin.as_str() {
        "home" => Ok(home),
        folder if Path::new(folder).join("Distro.toml").is_file() => Ok(in_folder(Path::new(folder), folder)),
        origin => Err(Failure::failed(format!(
            "the distro `{}` comes from {} and can't be changed here",
            meta.distro,
            safe(origin)
        ))
        .hint("make your own in an empty folder with `astrid init --here --template starter`, and run this there")),
    }
}

/// The home's own distro before anything is in it.
const EMPTY_HOME: &str = "# What this home has, besides any repository. `astrid add` and `astrid remove` change it.\nschema-version = 1\n\n[distro]\nid = \"home\"\nname = \"Home\"\nversion = \"0.1.0\"\n";

/// What applying takes besides the change.
struct How<'a> {
    variables: &'a VariableArgs,
    consent: &'a ConsentArgs,
    boot: &'a BootArgs,
    no_apply: bool,
    command: &'static str,
}

/// Applies the changed text, which is written together with its generation; or only writes it.
fn change(
    session: &mut Session,
    context: &Context,
    edited: &Edited,
    how: &How<'_>,
    change: &dyn Fn(&str) -> Result<String, Failure>,
) -> Outcome {
    session.may_write_repository()?;
    let before = edited.declaration(session, context)?;
    let text = change(before.text())?;
    if how.no_apply {
        if edited.is_home {
            drop(session.write_lock(&context.home, how.command)?);
        }
        let mode = if edited.is_home { 0o600 } else { 0o644 };
        session.disk().write_atomic(&edited.file, text.as_bytes(), mode)?;
        session.shell.note(&format!("{} changed", edited.file.display()));
        session.shell.show(&json!({ "changed": edited.file.display().to_string() }), "")?;
        return Ok(DONE);
    }
    apply(session, context, before.edited(&text, None)?, how, Upgrade::None)
}

fn apply(
    session: &mut Session,
    context: &Context,
    declaration: Declaration,
    how: &How<'_>,
    upgrade: Upgrade,
) -> Outcome {
    fleet::has_upgraded(&declaration, &upgrade)?;
    let job = Job {
        declaration,
        variables: how.variables,
        consent: how.consent,
        boot: how.boot,
        dry_run: false,
        upgrade,
        made_by: Action::Edit,
        command: how.command,
        saved: None,
        returning: &[],
    };
    perform(session, context, job)
}

/// `add`
pub(crate) fn add(session: &mut Session, args: &AddArgs) -> Outcome {
    let context = session.context()?;
    let edited = edited(session, &context)?;
    let entry = entry(session, &edited, args)?;
    let how = How {
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        no_apply: args.no_apply,
        command: "astrid add",
    };
    change(session, &context, &edited, &how, &|text| edit::add(text, &entry))
}

fn entry(session: &Session, edited: &Edited, args: &AddArgs) -> Result<Entry, Failure> {
    let path = session.world.path(Path::new(&args.source));
    if path.is_dir() {
        return local(&path, edited, args);
    }
    let (source, version) = Source::parse_install(&args.source).map_err(|error| {
        Failure::invalid(format!("`{}` is no folder and no source: {error}", safe(&args.source)))
            .hint("name a folder, git+URL?ref=refs/tags/vX.Y.Z, @org/repo, or index:NAME")
    })?;
    let requirement = args.requirement.clone().or_else(|| version.map(|version| version.to_string()));
    let name = args.name.clone().or_else(|| name_of(&source)).ok_or_else(|| {
        Failure::usage("the source does not say the name of what it holds").hint("pass --name NAME")
    })?;
    let pinned = match &source {
        Source::Git(git) => git.reference.is_some() || requirement.is_some(),
        _ => requirement.is_some(),
    };
    if !pinned {
        return Err(Failure::usage("nothing says which version is wanted")
            .hint("pass --version RANGE, or name a tag or a full commit with ?ref="));
    }
    Ok(Entry {
        is_pack: args.pack,
        name,
        source: source.to_string(),
        requirement,
        requested: None,
        content: None,
    })
}

/// A folder says itself what it holds.
fn local(folder: &Path, edited: &Edited, args: &AddArgs) -> Result<Entry, Failure> {
    let folder = folder.canonicalize()?;
    let (is_pack, name) = if let Ok(text) = std::fs::read_to_string(folder.join("Capsule.toml")) {
        let manifest = CapsuleManifest::parse("Capsule.toml", &text, Strictness::Load);
        (false, manifest.map_err(Failure::diagnostics)?.value.package.name.to_string())
    } else if let Ok(text) = std::fs::read_to_string(folder.join("pack.yaml")) {
        let manifest = PackManifest::parse("pack.yaml", &text);
        (true, manifest.map_err(Failure::diagnostics)?.value.id.to_string())
    } else {
        return Err(Failure::invalid(format!(
            "{} holds neither Capsule.toml nor pack.yaml",
            safe(&args.source)
        ))
        .hint("name the folder of a capsule or of a pack"));
    };
    if args.name.as_ref().is_some_and(|asked| *asked != name) {
        return Err(Failure::usage(format!("the folder holds `{name}`")).hint("leave out --name"));
    }
    let base = edited.folder().canonicalize().unwrap_or_else(|_| edited.folder().to_owned());
    let source = match relative(&base, &folder) {
        Some(inside) if !edited.is_home => inside,
        _ => folder.display().to_string(),
    };
    Ok(Entry { is_pack, name, source, requirement: args.requirement.clone(), requested: None, content: None })
}

/// The way from a folder to another one, as sources are written: below it, or beside it with `..`.
pub(crate) fn relative(from: &Path, to: &Path) -> Option<String> {
    let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    if shared <= 1 {
        return None;
    }
    let up = from.components().count() - shared;
    let down: Option<Vec<&str>> = to
        .components()
        .skip(shared)
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let down = down?.join("/");
    Some(if up == 0 { format!("./{down}") } else { format!("{}{down}", "../".repeat(up)) })
}

fn name_of(source: &Source) -> Option<String> {
    match source {
        Source::Index { name, .. } => Some(name.clone()),
        Source::Release { repo, .. } => Some(repo.clone()),
        Source::Git(git) => match &git.path {
            Some(path) => path.parts().last().cloned(),
            None => git.url.trim_end_matches(".git").rsplit('/').next().map(str::to_owned),
        },
        Source::Path(_) | Source::Archive(_) => None,
    }
}

/// `remove`
pub(crate) fn remove(session: &mut Session, args: &RemoveArgs) -> Outcome {
    let context = session.context()?;
    let edited = edited(session, &context)?;
    let how = How {
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        no_apply: args.no_apply,
        command: "astrid remove",
    };
    change(session, &context, &edited, &how, &|text| edit::remove(text, &args.names))
}

/// `update`
pub(crate) fn update(session: &mut Session, args: &UpdateArgs) -> Outcome {
    let context = session.context()?;
    let edited = edited(session, &context)?;
    let upgrade = if args.all {
        Upgrade::All
    } else {
        Upgrade::Names(args.names.iter().cloned().collect::<BTreeSet<_>>())
    };
    if args.no_apply {
        session.may_write_repository()?;
        let declaration = fleet::load(session, &context, &edited.target)?;
        fleet::has_upgraded(&declaration, &upgrade)?;
        let selection = fleet::selection(&args.variables.selections)?;
        let fleet = fleet::fleet(session, &context, &declaration, upgrade, selection, Freshness::Hash)?;
        let changes = astrid_resolver::lock_state::lock_diff(declaration.lock(), fleet.lock());
        let wrote = fleet.write_lock()?;
        let document = json!({
            "written": wrote,
            "changes": changes.iter().map(super::lock::entry_json).collect::<Vec<_>>(),
        });
        let said = if wrote { "Distro.lock written\n" } else { "Distro.lock is up to date\n" };
        session.shell.show(&document, &format!("{}{said}", super::lock::diff_text(&changes)))?;
        return Ok(DONE);
    }
    let how = How {
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        no_apply: false,
        command: "astrid update",
    };
    let declaration = fleet::load(session, &context, &edited.target)?;
    apply(session, &context, declaration, &how, upgrade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_relative_to_the_distro() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a/b", "/a/b/c/d").as_deref(), Some("./c/d"));
        assert_eq!(way("/a/b/x", "/a/b/c").as_deref(), Some("../c"));
        assert_eq!(way("/a", "/b"), None);
    }
}
