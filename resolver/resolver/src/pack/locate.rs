//! From what a person typed to a source that is pinned, and the id of the pack that is there.

use std::path::Path;

use astrid_authority::PackId;
use astrid_manifest::pack::{FILE_NAMES, PackManifest};
use astrid_manifest::source::{GitRef, GitSource, Source, SourcePath, is_ref_name};
use astrid_store::archive;
use astrid_store::tree::Limits;

use crate::context::{Context, Network};
use crate::error::{Error, Result};
use crate::source::address::{GitAddress, Named};
use crate::source::git::{Mirror, Reference};
use crate::source::index::{check_plain_file, read_limited};
use crate::source::release::MAX_ARCHIVE_BYTES;

/// A manifest larger than this is not read: 1 MiB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// A pack that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The id that its own manifest says.
    pub id: PackId,
    /// Where it is; of a repository, at a full commit.
    pub source: Source,
    /// What was asked for, when that moves: `HEAD`, `refs/heads/NAME`, `refs/tags/NAME`, or the commit.
    pub requested: Option<String>,
}

impl Located {
    /// The commit, when it is in a repository.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        match &self.source {
            Source::Git(GitSource { reference: Some(GitRef::Commit(commit)), .. }) => Some(commit),
            _ => None,
        }
    }
}

/// What of a repository is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Exactly(Reference),
    /// A name without `refs/`: of a tag or of a branch.
    Name(String),
}

/// A repository as a person names it: `https://…`, `ssh://…`, `git@host:path` or `git+URL`, with `@REF` behind the
/// path or `?ref=…&path=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitAsk {
    url: String,
    path: Option<SourcePath>,
    asked: Asked,
}

impl GitAsk {
    /// Reads what was typed; nothing when it is no address of a repository at all.
    ///
    /// # Errors
    /// `Invalid` when it is one that is not taken: another scheme, credentials, a reference that is none.
    pub fn parse(typed: &str) -> Result<Option<Self>> {
        let schemes = ["git+", "git@", "https://", "ssh://", "http://", "git://", "file://"];
        if !schemes.iter().any(|start| typed.starts_with(start)) {
            return Ok(None);
        }
        let text = typed.strip_prefix("git+").unwrap_or(typed);
        let is_bare = text.len() == typed.len();
        if is_bare && ["http://", "git://", "file://"].iter().any(|start| text.starts_with(start)) {
            return Err(Error::invalid(
                "a pack is taken from a repository over https or ssh, and from nowhere else in the network",
            )
            .hint(
                "write https://…, ssh://… or git@host:path; for a repository of this machine git+file:///…",
            ));
        }
        let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
        let (base, named) = split_reference(base);
        let whole = query.map_or_else(|| format!("git+{base}"), |query| format!("git+{base}?{query}"));
        let parsed = Source::parse_distro(&whole).map_err(|error| {
            Error::invalid(format!("this is no address of a repository: {error}")).hint(
                "write https://…, ssh://… or git@host:path, with @REF behind it or ?ref=REF&path=FOLDER",
            )
        })?;
        let Source::Git(GitSource { url, reference, path }) = parsed else {
            return Err(Error::invalid("this is no address of a repository"));
        };
        let asked = match (named, reference) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("the address says twice which reference is meant")
                    .hint("write @REF or ?ref=REF, not both"));
            }
            (Some(name), None) => asked(name)?,
            (None, reference) => Asked::Exactly(Reference::of(reference.as_ref())),
        };
        Ok(Some(Self { url, path, asked }))
    }

    /// Asks again for what was asked for when a source was pinned.
    ///
    /// # Errors
    /// `Invalid` when `requested` is no reference.
    pub fn again(source: &GitSource, requested: &str) -> Result<Self> {
        Ok(Self { url: source.url.clone(), path: source.path.clone(), asked: asked(requested)? })
    }

    /// Finds the pack: which commit that is now, in which folder, and its id.
    ///
    /// # Errors
    /// `NeedsNetwork` and `Failed` when the repository can't be asked; `Invalid` when it has no such reference, no
    /// pack, or several.
    pub fn locate(&self, context: &Context) -> Result<Located> {
        let address = GitAddress::parse(&self.url, Named::ByPerson)?;
        let mirror = Mirror::of(context, &address)?;
        let is_commit = matches!(self.asked, Asked::Exactly(Reference::Commit(_)));
        if !is_commit && (address.is_local() || context.network == Network::Online) {
            mirror.fetch(context)?;
        }
        let reference = match &self.asked {
            Asked::Exactly(reference) => reference.clone(),
            Asked::Name(name) => by_name(&mirror, &address, name)?,
        };
        let commit = mirror.resolve(context, &reference)?;
        let (folder, id) = self.find(&mirror, &address, &commit)?;
        let path = match folder.as_str() {
            "" => None,
            folder => {
                let parsed = SourcePath::parse(folder);
                Some(parsed.map_err(|error| Error::invalid(format!("`{folder}`: {error}")))?)
            }
        };
        let source =
            Source::Git(GitSource { url: self.url.clone(), reference: Some(GitRef::Commit(commit)), path });
        Ok(Located { id, source, requested: Some(reference.to_string()) })
    }

    /// The folder with the manifest: the one that was named, the root, or the one folder below it that has one.
    fn find(&self, mirror: &Mirror, address: &GitAddress, commit: &str) -> Result<(String, PackId)> {
        if let Some(path) = &self.path {
            let path = path.joined();
            let id = manifest_at(mirror, commit, &path)?.ok_or_else(|| {
                Error::invalid(format!("{address}: there is no pack in `{path}` at {commit}"))
                    .hint("its folder holds pack.yaml, pack.yml or pack.json")
            })?;
            return Ok((path, id));
        }
        if let Some(id) = manifest_at(mirror, commit, "")? {
            return Ok((String::new(), id));
        }
        let mut folders = Vec::new();
        let select = |path: &str, is_folder: bool| match path.split_once('/') {
            None => is_folder && !path.starts_with('.'),
            Some((_, name)) => !is_folder && FILE_NAMES.contains(&name),
        };
        mirror.visit(commit, "", &select, &mut |path, _, _| {
            if let Some((folder, _)) = path.split_once('/') {
                folders.push(folder.to_owned());
            }
            Ok(())
        })?;
        folders.dedup();
        match folders.as_slice() {
            [] => Err(Error::invalid(format!("{address} holds no pack at {commit}"))
                .hint("name its folder with ?path=FOLDER")),
            [one] => {
                let id = manifest_at(mirror, commit, one)?
                    .ok_or_else(|| Error::failed(format!("{address}: `{one}` can't be read")))?;
                Ok((one.clone(), id))
            }
            several => Err(Error::invalid(format!(
                "{address} holds several packs at {commit}: {}",
                several.join(", ")
            ))
            .hint("say which with ?path=FOLDER")),
        }
    }
}

/// Splits `@REF` off an address, whose own `@` stands before its host.
fn split_reference(base: &str) -> (&str, Option<&str>) {
    let start = match (base.find("://"), base.find(':')) {
        (Some(scheme), _) => base[scheme + 3..].find('/').map(|slash| scheme + 3 + slash),
        (None, colon) => colon,
    };
    let Some(start) = start else { return (base, None) };
    match base[start..].split_once('@') {
        Some((path, reference)) => (&base[..start + path.len()], Some(reference)),
        None => (base, None),
    }
}

fn asked(text: &str) -> Result<Asked> {
    let is_commit = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_commit {
        return Ok(Asked::Exactly(Reference::Commit(text.to_owned())));
    }
    let known = match (text.strip_prefix("refs/heads/"), text.strip_prefix("refs/tags/")) {
        _ if text == "HEAD" => Some(Asked::Exactly(Reference::Head)),
        (Some(branch), _) if is_ref_name(branch) => {
            Some(Asked::Exactly(Reference::Branch(branch.to_owned())))
        }
        (_, Some(tag)) if is_ref_name(tag) => Some(Asked::Exactly(Reference::Tag(tag.to_owned()))),
        (None, None) if is_ref_name(text) && !text.starts_with("refs/") => Some(Asked::Name(text.to_owned())),
        _ => None,
    };
    known.ok_or_else(|| {
        Error::invalid(format!("`{}` is no reference", text.escape_debug()))
            .hint("name a tag, a branch or a full commit of 40 digits")
    })
}

fn by_name(mirror: &Mirror, address: &GitAddress, name: &str) -> Result<Reference> {
    let (tag, branch) = (Reference::Tag(name.to_owned()), Reference::Branch(name.to_owned()));
    match (mirror.lookup(&tag)?, mirror.lookup(&branch)?) {
        (Some(_), Some(_)) => Err(Error::invalid(format!("{address} has a tag and a branch `{name}`"))
            .hint(format!("say which: @refs/tags/{name} or @refs/heads/{name}"))),
        (None, Some(_)) => Ok(branch),
        // When there is neither, resolving the tag says so.
        (_, None) => Ok(tag),
    }
}

fn manifest_at(mirror: &Mirror, commit: &str, folder: &str) -> Result<Option<PackId>> {
    for name in FILE_NAMES {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        if let Some(bytes) = mirror.file(commit, &path)? {
            return id_of(&path, bytes).map(Some);
        }
    }
    Ok(None)
}

fn id_of(file: &str, bytes: Vec<u8>) -> Result<PackId> {
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Error::invalid(format!("{file} is larger than 1 MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{file} is no UTF-8")))?;
    Ok(PackManifest::parse(file, &text).map_err(Error::from)?.value.id)
}

/// The id of the pack in a folder of this machine; nothing when there is none.
///
/// # Errors
/// `Invalid` when its manifest is not valid, or is no plain file.
pub fn locate_folder(folder: &Path, shown: &str) -> Result<Option<PackId>> {
    for name in FILE_NAMES {
        let shown = format!("{}/{name}", shown.trim_end_matches('/'));
        check_plain_file(&folder.join(name), &shown)?;
        match read_limited(&folder.join(name), MAX_MANIFEST_BYTES) {
            Ok(Some(bytes)) => return id_of(&shown, bytes).map(Some),
            Ok(None) => return Err(Error::invalid(format!("{shown} is larger than 1 MiB"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::failed(format!("{shown} can't be read")).caused_by(error)),
        }
    }
    Ok(None)
}

/// The id of the pack in an archive of this machine.
///
/// # Errors
/// `Invalid` when it is no archive, or holds no pack at its root.
pub fn locate_archive(file: &Path, shown: &str) -> Result<PackId> {
    let bytes = read_limited(file, MAX_ARCHIVE_BYTES)
        .map_err(|error| Error::failed(format!("{shown} can't be read")).caused_by(error))?
        .ok_or_else(|| Error::invalid(format!("{shown} is larger than 50 MiB")))?;
    let files = archive::unpack(bytes.as_slice(), &Limits::default(), shown)?;
    for name in FILE_NAMES {
        if let Some(found) = files.iter().find(|file| file.path.as_str() == name) {
            return id_of(&format!("{shown}/{name}"), found.bytes.clone());
        }
    }
    Err(Error::invalid(format!("{shown} holds no pack"))
        .hint("the archive of a pack has pack.yaml, pack.yml or pack.json at its root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> GitAsk {
        GitAsk::parse(text).unwrap().unwrap()
    }

    #[test]
    fn addresses_have_a_reference_behind_their_path() {
        for (typed, url, asked) in [
            (
                "https://example.org/acme/tools",
                "https://example.org/acme/tools",
                Asked::Exactly(Reference::Head),
            ),
            ("https://example.org/acme/tools@v1", "https://example.org/acme/tools", Asked::Name("v1".into())),
            (
                "ssh://git@example.org/acme/tools@feature/x",
                "ssh://git@example.org/acme/tools",
                Asked::Name("feature/x".into()),
            ),
            (
                "git@example.org:acme/tools@refs/heads/main",
                "ssh://git@example.org/acme/tools",
                Asked::Exactly(Reference::Branch("main".into())),
            ),
            (
                "https://example.org/acme/tools?ref=refs/heads/main",
                "https://example.org/acme/tools",
                Asked::Exactly(Reference::Branch("main".into())),
            ),
            (
                "git+file:///srv/tools?ref=v1",
                "file:///srv/tools",
                Asked::Exactly(Reference::Tag("v1".into())),
            ),
        ] {
            let found = ask(typed);
            assert_eq!((found.url.as_str(), &found.asked), (url, &asked), "{typed}");
        }
        let found = ask("https://example.org/mono@v2?path=packs/tools");
        assert_eq!(found.path.unwrap().joined(), "packs/tools");
        assert_eq!(found.asked, Asked::Name("v2".into()));
    }

    #[test]
    fn other_texts_are_no_repositories() {
        for text in ["./tools", "tools", "@acme/tools", "index:tools", "/srv/tools", "tools.tar.gz"] {
            assert_eq!(GitAsk::parse(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn other_addresses_and_references_are_refused_denied() {
        for text in [
            "http://example.org/tools",
            "git://example.org/tools",
            "file:///srv/tools",
            "https://ada:secret@example.org/tools",
            "https://example.org/tools@",
            "https://example.org/tools@-x",
            "https://example.org/tools@a..b",
            "https://example.org/tools@v1?ref=v2",
            "https://example.org/tools?branch=main",
            "https://example.org/tools@refs/x/y",
            "git+ext::sh -c x",
        ] {
            let error = GitAsk::parse(text).expect_err(text);
            assert_eq!(error.kind(), crate::error::ErrorKind::Invalid);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
