//! Where artifacts come from, and how their bytes get into the store.
//!
//! A source offers [`Offer`]s: versions, or one thing whose version only its bytes say. Bringing an
//! offer puts its files into the store and says nothing about whether they are any good.
//!
//! Servers of indexes and registries are not drivers yet: their sources are refused when they are
//! parsed.

pub mod address;
pub mod git;
pub mod index;
pub mod release;
pub mod signature;

use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_store::read::{Filter, Remembered, hash_dir, ingest_dir, is_left_out};
use astrid_store::stat_cache::StatCache;
use astrid_store::tree::Limits;
use astrid_store::{Batch, Store, Tree, TreeFile, TreePath, archive};
use semver::Version;

use crate::artifact::{CAPSULE_MANIFEST, component_file};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::solve::Member;
use crate::source::address::GitAddress;
use crate::source::git::Mirror;
use crate::source::index::{Folder, Line, check_plain_file, read_limited};
use crate::source::release::{Asset, Client, MAX_ARCHIVE_BYTES};

/// A manifest larger than this is not read: 1 MiB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Where exactly one version of a member is.
#[derive(Debug, Clone)]
pub enum Pin {
    /// A folder of this machine.
    Folder(PathBuf),
    /// An archive file of this machine.
    File(PathBuf),
    /// A folder of a commit.
    Commit {
        /// Which repository.
        address: GitAddress,
        /// Which commit: 40 hexadecimal digits.
        commit: String,
        /// Which folder; empty is the root.
        path: String,
    },
    /// An asset of a release.
    Asset {
        /// The release's tag.
        tag: String,
        /// The asset.
        asset: Asset,
        /// The asset with its bundle, when the release has one.
        signature: Option<Asset>,
    },
    /// A line of an index.
    Line {
        /// Which index.
        folder: Folder,
        /// The line.
        line: Box<Line>,
    },
    /// What a lock says, which is in the store already.
    Locked {
        /// The digest of its tree.
        content: Digest,
        /// The digest of the archive that it came in.
        archive: Option<Digest>,
        /// The commit or tag that it came from.
        resolved: Option<String>,
        /// The digest of the bundle that was found with it.
        signature: Option<Digest>,
    },
}

/// A version that a source has.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The version, when the source says it; else its bytes do.
    pub version: Option<Version>,
    /// Where it is.
    pub pin: Pin,
    /// Withdrawn: only a lock that has it already takes it.
    pub yanked: bool,
}

/// What came of bringing an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The files.
    pub tree: Tree,
    /// The digest of the archive that they came in.
    pub archive: Option<Digest>,
    /// The commit or tag that they came from.
    pub resolved: Option<String>,
    /// The digest of the bundle that was found with them: a claim that nobody has looked at yet.
    pub signature: Option<Digest>,
}

impl Pin {
    /// Puts the files of `member` into `batch`.
    ///
    /// # Errors
    /// `NeedsNetwork` and `Failed` when the source can't be asked; `Invalid` for what has no place
    /// in an artifact; `Corrupt` when bytes are not what an index or lock pins.
    pub fn bring(&self, context: &Context, member: &Member, batch: &Batch<'_>) -> Result<Brought> {
        let limits = Limits::default();
        match self {
            Self::Folder(folder) => {
                let filter = folder_filter(folder, member)?;
                let tree =
                    ingest_dir(folder, &filter, &limits, batch).map_err(|error| named(member, error))?;
                let found = signature::inside(folder, &member.words())?;
                let signature = signature::keep(batch, found.as_deref(), None)?;
                Ok(Brought { tree, archive: None, resolved: None, signature })
            }
            Self::File(file) => {
                let bytes = read_limited(file, MAX_ARCHIVE_BYTES)
                    .map_err(|error| {
                        Error::failed(format!("{}: {} can't be read", member.words(), file.display()))
                            .caused_by(error)
                    })?
                    .ok_or_else(|| {
                        Error::invalid(format!(
                            "{}: {} is larger than 50 MiB",
                            member.words(),
                            file.display()
                        ))
                    })?;
                let found = signature::beside(file, &member.words())?;
                unpack(member, &bytes, None, found.as_deref(), batch)
            }
            Self::Commit { address, commit, path } => {
                let tree = bring_commit(context, member, address, commit, path, batch)?;
                let inside = if path.is_empty() {
                    signature::INSIDE.to_owned()
                } else {
                    format!("{path}/{}", signature::INSIDE)
                };
                let found = Mirror::of(context, address)?.file(commit, &inside)?;
                let signature = signature::keep(batch, found.as_deref(), None)?;
                Ok(Brought { tree, archive: None, resolved: Some(commit.clone()), signature })
            }
            Self::Asset { tag, asset, signature } => {
                let client = Client::new(context)?;
                let bytes = client.download(asset)?;
                let found = signature.as_ref().map(|asset| client.download(asset)).transpose()?;
                unpack(member, &bytes, Some(tag.clone()), found.as_deref(), batch)
            }
            Self::Line { folder, line } => {
                unpack(member, &folder.archive(line)?, None, folder.signature(line)?.as_deref(), batch)
            }
            Self::Locked { content, archive, resolved, signature } => Ok(Brought {
                tree: context.store.tree(content)?,
                archive: *archive,
                resolved: resolved.clone(),
                signature: *signature,
            }),
        }
    }
}

fn named(member: &Member, error: astrid_store::StoreError) -> Error {
    let error = Error::from(error);
    Error::new(error.kind(), format!("{}: {}", member.words(), error.message()))
}

fn unpack(
    member: &Member,
    bytes: &[u8],
    resolved: Option<String>,
    found: Option<&[u8]>,
    batch: &Batch<'_>,
) -> Result<Brought> {
    let signature = signature::keep(batch, found, Some(bytes))?;
    let files = archive::unpack(bytes, &Limits::default(), &member.to_string())?;
    let tree = batch.put_files(&content_of(member, files)?)?;
    Ok(Brought { tree, archive: Some(Digest::of(bytes)), resolved, signature })
}

/// Whether an archive in the store holds just that content.
pub(crate) fn holds(store: &Store, member: &Member, archive: &Digest, content: &Digest) -> Result<bool> {
    if !store.contains(archive) {
        return Ok(false);
    }
    let bytes = store.get(archive)?;
    let files = archive::unpack(bytes.as_slice(), &Limits::default(), &member.to_string())?;
    Ok(Tree::of_files(&content_of(member, files)?)?.digest() == *content)
}

/// The files that count: a capsule is what its archive would hold, whatever it came in.
fn content_of(member: &Member, files: Vec<TreeFile>) -> Result<Vec<TreeFile>> {
    let filter = match member {
        Member::Pack(_) => Filter::All,
        Member::Capsule(_) => {
            let manifest = files.iter().find(|file| file.path.as_str() == CAPSULE_MANIFEST);
            let bytes = manifest.map(|file| file.bytes.clone());
            capsule_filter(member, bytes, "its archive")?
        }
    };
    Ok(files.into_iter().filter(|file| filter.takes(&file.path)).collect())
}

fn capsule_filter(member: &Member, manifest: Option<Vec<u8>>, place: &str) -> Result<Filter> {
    let bytes = manifest.ok_or_else(|| {
        Error::invalid(format!("{}: {place} has no {CAPSULE_MANIFEST}", member.words()))
            .hint("check the source's path")
    })?;
    let file = format!("{}/{CAPSULE_MANIFEST}", member.name());
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{file} is no UTF-8")))?;
    Ok(Filter::capsule(component_file(&text, &file)?.as_deref())?)
}

/// Which files of a local folder are its content.
fn folder_filter(folder: &Path, member: &Member) -> Result<Filter> {
    if !folder.is_dir() {
        return Err(Error::invalid(format!("{}: there is no folder {}", member.words(), folder.display()))
            .hint("a source is relative to Distro.toml"));
    }
    if matches!(member, Member::Pack(_)) {
        return Ok(Filter::All);
    }
    check_plain_file(&folder.join(CAPSULE_MANIFEST), &format!("{}: {CAPSULE_MANIFEST}", member.words()))?;
    let manifest = match read_limited(&folder.join(CAPSULE_MANIFEST), MAX_MANIFEST_BYTES) {
        Ok(Some(bytes)) => Some(bytes),
        Ok(None) => {
            return Err(Error::invalid(format!("{}: Capsule.toml is larger than 1 MiB", member.words())));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(
                Error::failed(format!("{}: Capsule.toml can't be read", member.words())).caused_by(error)
            );
        }
    };
    capsule_filter(member, manifest, &folder.display().to_string())
}

fn bring_commit(
    context: &Context,
    member: &Member,
    address: &GitAddress,
    commit: &str,
    path: &str,
    batch: &Batch<'_>,
) -> Result<Tree> {
    let mirror = Mirror::of(context, address)?;
    let filter = match member {
        Member::Pack(_) => Filter::All,
        Member::Capsule(_) => {
            let inside = if path.is_empty() {
                CAPSULE_MANIFEST.to_owned()
            } else {
                format!("{path}/{CAPSULE_MANIFEST}")
            };
            capsule_filter(member, mirror.file(commit, &inside)?, &format!("{address}, folder `{path}`,"))?
        }
    };
    let select = |path: &str, is_folder: bool| match (&filter, is_folder) {
        (Filter::All, _) => !path.rsplit('/').next().is_some_and(is_left_out),
        (Filter::Only { .. }, false) => path.parse().is_ok_and(|path: TreePath| filter.takes(&path)),
        (Filter::Only { files, folders }, true) => {
            let on_the_way = files.iter().any(|file| file.is_under(path));
            let inside = folders.iter().any(|folder| is_under(path, folder.as_str()));
            on_the_way || inside && !path.rsplit('/').next().is_some_and(is_left_out)
        }
    };
    let limits = Limits::default();
    let mut entries = Vec::new();
    let mut total = 0_u64;
    mirror.visit(commit, path, &select, &mut |path, executable, bytes| {
        total = total.saturating_add(bytes.len() as u64);
        if entries.len() >= limits.entries || total > limits.total_bytes {
            return Err(Error::invalid(format!(
                "{}: {address} holds too much for an artifact",
                member.words()
            )));
        }
        let length = bytes.len() as u64;
        let blob = batch.put(&bytes)?;
        entries.push(astrid_store::TreeEntry { path: path.parse()?, length, blob, executable });
        Ok(())
    })?;
    Ok(batch.put_entries(entries)?)
}

fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The tree that the content of a local folder is; its bytes go nowhere.
pub(crate) fn tree_of(folder: &Path, member: &Member) -> Result<Tree> {
    let filter = folder_filter(folder, member)?;
    hash_dir(folder, &filter, &Limits::default(), None).map_err(|error| named(member, error))
}

/// The digest that a local source would have now, bytes read only where the files changed.
///
/// `component` is the path of the component that the known content has: when the manifest changed,
/// so did the digest, whatever else is looked at.
pub(crate) fn digest_now(
    source: &Path,
    known: &Tree,
    component: Option<Digest>,
    is_pack: bool,
    cache: &StatCache,
    now: std::time::SystemTime,
) -> Result<Digest> {
    let filter = if is_pack {
        Filter::All
    } else {
        let file = component.and_then(|digest| {
            known.entries().iter().find(|entry| {
                entry.blob == digest && ![CAPSULE_MANIFEST, "tools.json"].contains(&entry.path.as_str())
            })
        });
        Filter::capsule(file.map(|entry| entry.path.as_str()))?
    };
    let tree = hash_dir(source, &filter, &Limits::default(), Some(Remembered { cache, now }))?;
    Ok(tree.digest())
}

/// Whether every blob of a tree is in the store; their bytes are not looked at.
pub(crate) fn is_complete(store: &Store, tree: &Tree) -> bool {
    tree.entries().iter().all(|entry| store.length(&entry.blob) == Some(entry.length))
}
