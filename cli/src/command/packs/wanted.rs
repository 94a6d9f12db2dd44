//! From what a person typed to an entry of the declaration: where a pack is, pinned, and its id.

use std::path::Path;

use astrid_authority::PackId;
use astrid_manifest::Source;
use astrid_resolver::pack::{GitAsk, Located, locate_archive, locate_folder, newest_version};
use astrid_resolver::{Context, Declaration};

use crate::command::edit::{Edited, relative};
use crate::edit::Entry;
use crate::exit::Failure;
use crate::render::safe;
use crate::session::Session;

/// What was typed names this.
pub(super) enum Typed {
    /// A folder or archive of this machine, by its absolute path.
    Here(Located),
    /// A repository.
    Git(Located),
    /// By name from an index or a release.
    Named(Source),
}

/// Tells apart what was typed. A repository is asked; nothing is written but what `context` keeps.
pub(super) fn typed(session: &Session, context: &Context, text: &str) -> Result<Typed, Failure> {
    let path = session.world.path(Path::new(text));
    if path.is_dir() {
        return folder(&path, text).map(Typed::Here);
    }
    if path.is_file() {
        return archive(&path, text).map(Typed::Here);
    }
    if let Some(ask) = GitAsk::parse(text)? {
        return Ok(Typed::Git(ask.locate(context)?));
    }
    match Source::parse_install(text) {
        Ok((source @ (Source::Index { .. } | Source::Release { .. }), None)) => Ok(Typed::Named(source)),
        Ok((source @ (Source::Index { .. } | Source::Release { .. }), Some(_))) => {
            Err(Failure::usage(format!("`{source}` takes its version from --version"))
                .hint("write --version RANGE instead of @RANGE"))
        }
        _ => {
            Err(Failure::invalid(format!("`{}` is no folder, no archive and no source of packs", safe(text)))
                .hint("name a folder, an archive, https://…@REF, git@host:path@REF, index:NAME or @org/repo"))
        }
    }
}

pub(super) fn folder(path: &Path, shown: &str) -> Result<Located, Failure> {
    let path = path.canonicalize()?;
    let id = locate_folder(&path, shown)?.ok_or_else(|| {
        Failure::invalid(format!("{} holds no pack.yaml, pack.yml or pack.json", safe(shown)))
            .hint("name the folder of a pack")
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name != id.as_str() {
        return Err(Failure::invalid(format!("the folder is called `{}`, and its pack `{id}`", safe(&name)))
            .hint("the folder of a pack has the name of its id: rename one of them"));
    }
    located(&path, id)
}

fn archive(path: &Path, shown: &str) -> Result<Located, Failure> {
    let path = path.canonicalize()?;
    let id = locate_archive(&path, shown)?;
    let found = located(&path, id)?;
    if !matches!(found.source, Source::Archive(_)) {
        return Err(Failure::invalid(format!(
            "{}: the archive of a pack ends in .tar.gz or .tgz",
            safe(shown)
        ))
        .hint("rename it"));
    }
    Ok(found)
}

fn located(path: &Path, id: PackId) -> Result<Located, Failure> {
    let text = path.to_str().ok_or_else(|| Failure::usage("the path is no UTF-8"))?;
    let source = text.parse().map_err(|error| Failure::invalid(format!("{}: {error}", safe(text))))?;
    Ok(Located { id, source, requested: None })
}

/// The entry that declares what was typed, and the id of the pack.
pub(super) fn entry(
    typed: &Typed,
    edited: &Edited,
    declaration: &Declaration,
    requirement: Option<&String>,
) -> Result<(PackId, Entry), Failure> {
    let (id, source, wanted) = match typed {
        Typed::Here(found) => (found.id.clone(), local(found, edited)?, None),
        Typed::Git(found) => (found.id.clone(), found.source.to_string(), None),
        Typed::Named(source) => {
            let (Source::Index { name, .. } | Source::Release { repo: name, .. }) = source else {
                return Err(Failure::invalid(format!("`{source}` says no name")));
            };
            let id: PackId = name
                .parse()
                .map_err(|error| Failure::invalid(format!("`{}` is no id of a pack: {error}", safe(name))))?;
            let wanted = match (requirement, source) {
                (Some(requirement), _) => requirement.clone(),
                (None, Source::Index { index, .. }) => {
                    format!("^{}", newest_version(index.as_deref(), &id, declaration)?)
                }
                (None, _) => {
                    return Err(Failure::usage("nothing says which version is wanted")
                        .hint("pass --version RANGE; a release of a tag is --version X.Y.Z"));
                }
            };
            (id, source.to_string(), Some(wanted))
        }
    };
    if wanted.is_none() && requirement.is_some() {
        return Err(Failure::usage("--version means something for an index or a release only")
            .hint("a folder and an archive have one version; of a repository name the tag: URL@TAG"));
    }
    let requested = match typed {
        Typed::Git(found) => found.requested.clone(),
        Typed::Here(_) | Typed::Named(_) => None,
    };
    let entry =
        Entry { is_pack: true, name: id.to_string(), source, requirement: wanted, requested, content: None };
    Ok((id, entry))
}

/// A path as the declaration writes it: absolute in the home's own, else below its folder.
fn local(found: &Located, edited: &Edited) -> Result<String, Failure> {
    let text = found.source.to_string();
    if edited.is_home {
        return Ok(text);
    }
    let base = edited.folder().canonicalize().unwrap_or_else(|_| edited.folder().to_owned());
    let inside = relative(&base, Path::new(&text)).filter(|way| way.starts_with("./"));
    inside.ok_or_else(|| {
        Failure::invalid(format!("{} is outside of {}, whose Distro.toml would name it", safe(&text), base.display()))
            .hint("put it below that folder; or run this where no Distro.toml is, and the home's own distro names it")
    })
}
