//! Git repositories as sources.
//!
//! A repository is mirrored bare under the home, and trees are read from its object database:
//! nothing is checked out, no hook, filter, attribute or helper takes part. Submodules and symbolic
//! links are refused, because what they stand for is not in the tree that was pinned.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_manifest::source::GitRef;
use git2::{
    AutotagOption, Cred, CredentialType, ErrorCode, FetchOptions, ObjectType, Oid, RemoteCallbacks,
    RemoteRedirect, Repository, RepositoryInitOptions,
};
use semver::Version;

use crate::context::{Context, Network};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Running;
use crate::source::address::GitAddress;

/// A fetch that needs more than this is given up: 1 GiB.
const MAX_FETCH_BYTES: usize = 1 << 30;
/// One file of a tree: 256 MiB.
const MAX_FILE_BYTES: usize = 256 << 20;
/// Folders inside folders.
const MAX_DEPTH: usize = 64;
/// Entries that one visit looks at. A few objects can stand for more folders than there are atoms, each of them
/// holding the same one again and again.
const MAX_VISITED: usize = 200_000;

const FILE: i32 = 0o100_644;
const FILE_GROUP_WRITABLE: i32 = 0o100_664;
const EXECUTABLE: i32 = 0o100_755;
const FOLDER: i32 = 0o040_000;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// What a source asks for by `ref` or `tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A full commit.
    Commit(String),
    /// A tag, without `refs/tags/`.
    Tag(String),
    /// A branch: only for a distro's own source.
    Branch(String),
    /// What the remote's `HEAD` points at: only for a distro's own source.
    Head,
}

impl Reference {
    /// What a source's `ref=` asks for; without one, the remote's `HEAD`.
    #[must_use]
    pub fn of(reference: Option<&GitRef>) -> Self {
        match reference {
            None => Self::Head,
            Some(GitRef::Tag(tag)) => Self::Tag(tag.clone()),
            Some(GitRef::Commit(commit)) => Self::Commit(commit.clone()),
            Some(GitRef::Branch(branch)) => Self::Branch(branch.clone()),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit(commit) => f.write_str(commit),
            Self::Tag(tag) => write!(f, "refs/tags/{tag}"),
            Self::Branch(branch) => write!(f, "refs/heads/{branch}"),
            Self::Head => f.write_str("HEAD"),
        }
    }
}

/// A tag that names a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionTag {
    /// The version that it names.
    pub version: Version,
    /// The tag, without `refs/tags/`.
    pub tag: String,
    /// The commit that it points at, annotations peeled.
    pub commit: String,
}

/// Where mirrors are: a cache, which may be removed at any time.
fn git_cache(var: &Path) -> PathBuf {
    var.join("cache").join("git")
}

fn folder_of(cache: &Path, address: &GitAddress) -> PathBuf {
    cache.join(Digest::of(address.as_str().as_bytes()).hex())
}

/// Is given the path of a file, whether it is executable, and its bytes.
pub type Visitor<'a> = &'a mut dyn FnMut(&str, bool, Vec<u8>) -> Result<()>;

/// A bare mirror of one repository.
pub struct Mirror {
    repository: Repository,
    address: GitAddress,
}

impl Mirror {
    /// Opens the mirror of `address` that this run uses.
    ///
    /// A run that only looks has one of its own, which begins with what the home's knows and shares its objects.
    ///
    /// # Errors
    /// As [`Mirror::open`].
    pub fn of(context: &Context, address: &GitAddress) -> Result<Self> {
        let cache = git_cache(&context.var());
        let own = folder_of(&cache, address);
        let known = folder_of(&git_cache(&context.home.var()), address);
        if context.aside.is_some() && !own.exists() && known.join("HEAD").is_file() {
            drop(Self::open(&cache, address)?);
            share(&known, &own).map_err(|error| {
                Error::failed(format!("the cached copy of {address} can't be read")).caused_by(error)
            })?;
        }
        Self::open(&cache, address)
    }

    /// Opens the mirror of `address` in a cache, and creates an empty one when there is none.
    ///
    /// # Errors
    /// `Failed` when the cache can't be written or is no repository.
    pub fn open(cache: &Path, address: &GitAddress) -> Result<Self> {
        let folder = folder_of(cache, address);
        let opened = if folder.join("HEAD").is_file() {
            Repository::open_bare(&folder)
        } else {
            fs::create_dir_all(&folder).map_err(|error| {
                Error::failed(format!("the cache folder {} can't be created", folder.display()))
                    .caused_by(error)
            })?;
            // No template: a template is where hooks come from.
            let mut options = RepositoryInitOptions::new();
            options.bare(true).external_template(false).no_reinit(false);
            Repository::init_opts(&folder, &options)
        };
        let repository = opened.map_err(|error| {
            Error::failed(format!("the cached copy of {address} can't be opened: {}", error.message()))
                .hint(format!("remove {} and try again", folder.display()))
        })?;
        Ok(Self { repository, address: address.clone() })
    }

    /// Brings tags and branches up to date.
    ///
    /// # Errors
    /// `NeedsNetwork` when the context is offline and the repository is not local; `Failed` when
    /// the server does not answer or refuses.
    pub fn fetch(&self, context: &Context) -> Result<()> {
        self.fetch_specs(context, &["+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/heads/*"])
    }

    fn fetch_specs(&self, context: &Context, specs: &[&str]) -> Result<()> {
        if context.network == Network::Offline && !self.address.is_local() {
            return Err(Error::new(
                ErrorKind::NeedsNetwork,
                format!("{} has to be asked, and this run is offline", self.address),
            )
            .hint("run `astrid fetch` with a network first"));
        }
        let running = Running::start(context.progress.as_ref(), &format!("fetch {}", self.address), None);
        let received = RefCell::new(0_usize);
        let mut callbacks = RemoteCallbacks::new();
        callbacks.transfer_progress(|progress| {
            let mut before = received.borrow_mut();
            let now = progress.received_bytes();
            running.advance(now.saturating_sub(*before) as u64);
            *before = now;
            now <= MAX_FETCH_BYTES
        });
        let asked = RefCell::new(false);
        callbacks.credentials(|_, user, allowed| {
            // The agent is asked once: a key that is refused must not be offered for ever.
            if allowed.contains(CredentialType::USERNAME) {
                return Cred::username(user.unwrap_or("git"));
            }
            if allowed.contains(CredentialType::SSH_KEY) && !asked.replace(true) {
                return Cred::ssh_key_from_agent(user.unwrap_or("git"));
            }
            Err(git2::Error::from_str("the server asks for credentials, and there are none"))
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .download_tags(AutotagOption::None)
            .follow_redirects(RemoteRedirect::None)
            .update_fetchhead(false);
        let mut remote =
            self.repository.remote_anonymous(self.address.as_str()).map_err(|e| self.failed(&e))?;
        remote.fetch(specs, Some(&mut options), None).map_err(|error| self.failed(&error))?;
        if let Ok(head) = remote.default_branch()
            && let Ok(head) = std::str::from_utf8(&head)
            && head.starts_with("refs/heads/")
        {
            self.repository.set_head(head).map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    fn failed(&self, error: &git2::Error) -> Error {
        Error::failed(format!("{}: {}", self.address, error.message()))
            .hint("check the address, the network and your rights; `--offline` uses what was fetched before")
    }

    /// The version tags that the mirror knows, without asking anybody, highest version first.
    ///
    /// `v1.2.0` and `1.2.0` are tags of one version; when both exist and differ, it is an error.
    ///
    /// # Errors
    /// `Invalid` when two tags of one version point at different commits.
    pub fn version_tags(&self) -> Result<Vec<VersionTag>> {
        let mut tags: Vec<VersionTag> = Vec::new();
        let names = self.repository.tag_names(None).map_err(|error| self.failed(&error))?;
        for index in 0..names.len() {
            let Ok(Some(tag)) = names.get(index) else { continue };
            let Ok(version) = tag.strip_prefix('v').unwrap_or(tag).parse::<Version>() else { continue };
            let Some(commit) = self.peel(&format!("refs/tags/{tag}"))? else { continue };
            tags.push(VersionTag { version, tag: tag.to_owned(), commit: commit.to_string() });
        }
        tags.sort_by(|one, other| other.version.cmp(&one.version).then(one.tag.cmp(&other.tag)));
        for pair in tags.windows(2) {
            if pair[0].version == pair[1].version && pair[0].commit != pair[1].commit {
                return Err(Error::invalid(format!(
                    "{}: tags `{}` and `{}` name one version and two commits",
                    self.address, pair[0].tag, pair[1].tag
                ))
                .hint("name the tag that is meant with `tag = \"…\"`"));
            }
        }
        tags.dedup_by(|one, other| one.version == other.version);
        Ok(tags)
    }

    /// The commit that a reference means, without asking anybody; nothing when it is not known here.
    ///
    /// # Errors
    /// `Failed` when the mirror can't be read; `Invalid` when the reference is no commit.
    pub fn lookup(&self, reference: &Reference) -> Result<Option<String>> {
        let found = match reference {
            Reference::Commit(hex) => {
                let oid = Oid::from_str(hex).map_err(|error| self.failed(&error))?;
                match self.repository.find_commit(oid) {
                    Ok(commit) => Some(commit.id()),
                    Err(error) if error.code() == ErrorCode::NotFound => None,
                    Err(error) => return Err(self.failed(&error)),
                }
            }
            Reference::Tag(tag) => self.peel(&format!("refs/tags/{tag}"))?,
            Reference::Branch(branch) => self.peel(&format!("refs/heads/{branch}"))?,
            Reference::Head => self.peel("HEAD")?,
        };
        Ok(found.map(|oid| oid.to_string()))
    }

    /// The commit that a reference means; the server is asked when the mirror does not know it.
    ///
    /// # Errors
    /// As [`Mirror::fetch`]; `Invalid` when the server does not know it either.
    pub fn resolve(&self, context: &Context, reference: &Reference) -> Result<String> {
        if let Some(commit) = self.lookup(reference)? {
            return Ok(commit);
        }
        self.fetch(context)?;
        if let Some(commit) = self.lookup(reference)? {
            return Ok(commit);
        }
        if let Reference::Commit(hex) = reference {
            // A commit that no branch or tag reaches: some servers hand it out when asked by name.
            let spec = format!("+{hex}:refs/pins/{hex}");
            if self.fetch_specs(context, &[spec.as_str()]).is_ok()
                && let Some(commit) = self.lookup(reference)?
            {
                return Ok(commit);
            }
        }
        let what = match reference {
            Reference::Commit(hex) => format!("commit {hex}"),
            Reference::Tag(tag) => format!("tag `{tag}`"),
            Reference::Branch(branch) => format!("branch `{branch}`"),
            Reference::Head => "default branch".to_owned(),
        };
        Err(Error::invalid(format!("{} has no {what}", self.address))
            .hint("a source is pinned by a tag or a full commit that exists"))
    }

    fn peel(&self, name: &str) -> Result<Option<Oid>> {
        match self.repository.find_reference(name) {
            Ok(reference) => match reference.peel_to_commit() {
                Ok(commit) => Ok(Some(commit.id())),
                Err(_) if name == "HEAD" => Ok(None),
                Err(_) => Err(Error::invalid(format!("{}: `{name}` is no commit", self.address))),
            },
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The bytes of one file of a commit; nothing when there is none.
    ///
    /// # Errors
    /// `Invalid` when it is no regular file.
    pub fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let tree = self.tree(commit, "")?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => {
                kind(&self.address, path, entry.filemode())?;
                self.blob(entry.id(), path).map(Some)
            }
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Visits files under `path` of a commit, sorted by folder and name: the path from there,
    /// whether it is executable, and the bytes. `select` says by path, and whether it is a folder,
    /// what is looked at.
    ///
    /// # Errors
    /// `Invalid` for selected submodules and symbolic links, names that are no UTF-8, and folders
    /// that are not there; what `visit` answers.
    pub fn visit(
        &self,
        commit: &str,
        path: &str,
        select: &dyn Fn(&str, bool) -> bool,
        visit: Visitor<'_>,
    ) -> Result<()> {
        let tree = self.tree(commit, path)?;
        let mut left = MAX_VISITED;
        self.visit_tree(&tree, "", &mut left, select, visit)
    }

    /// Whether a commit has a folder at `path`.
    ///
    /// # Errors
    /// `Invalid` when it is a symbolic link or a submodule.
    pub fn has_folder(&self, commit: &str, path: &str) -> Result<bool> {
        match self.tree(commit, "")?.get_path(Path::new(path)) {
            Ok(entry) => Ok(kind(&self.address, path, entry.filemode())? == Kind::Folder),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn visit_tree(
        &self,
        tree: &git2::Tree<'_>,
        prefix: &str,
        left: &mut usize,
        select: &dyn Fn(&str, bool) -> bool,
        visit: Visitor<'_>,
    ) -> Result<()> {
        if prefix.split('/').count() > MAX_DEPTH {
            return Err(Error::invalid(format!(
                "{}: folders are nested deeper than {MAX_DEPTH}",
                self.address
            )));
        }
        for entry in tree {
            *left = left.checked_sub(1).ok_or_else(|| {
                Error::invalid(format!("{} holds more than {MAX_VISITED} files and folders", self.address))
            })?;
            let name = std::str::from_utf8(entry.name_bytes()).map_err(|_| {
                Error::invalid(format!("{}: a file name under `{prefix}` is no UTF-8", self.address))
            })?;
            let path = format!("{prefix}{name}");
            // A submodule stands where a folder would.
            if !select(&path, matches!(entry.filemode(), FOLDER | SUBMODULE)) {
                continue;
            }
            match kind(&self.address, &path, entry.filemode())? {
                Kind::Folder => {
                    let folder =
                        self.repository.find_tree(entry.id()).map_err(|error| self.failed(&error))?;
                    self.visit_tree(&folder, &format!("{path}/"), left, select, visit)?;
                }
                Kind::File { executable } => visit(&path, executable, self.blob(entry.id(), &path)?)?,
            }
        }
        Ok(())
    }

    fn blob(&self, id: Oid, path: &str) -> Result<Vec<u8>> {
        let objects = self.repository.odb().map_err(|error| self.failed(&error))?;
        let (size, _) = objects.read_header(id).map_err(|error| self.failed(&error))?;
        if size > MAX_FILE_BYTES {
            return Err(Error::invalid(format!("{}: `{path}` is larger than 256 MiB", self.address)));
        }
        let object = objects.read(id).map_err(|error| self.failed(&error))?;
        Ok(object.data().to_vec())
    }

    fn tree(&self, commit: &str, path: &str) -> Result<git2::Tree<'_>> {
        let oid = Oid::from_str(commit).map_err(|error| self.failed(&error))?;
        let root = self
            .repository
            .find_commit(oid)
            .and_then(|commit| commit.tree())
            .map_err(|error| self.failed(&error))?;
        if path.is_empty() || path == "." {
            return Ok(root);
        }
        // Component by component, so that a link on the way is refused and not followed.
        let mut tree = root;
        for component in path.split('/') {
            if component.is_empty() || component == "." || component == ".." {
                return Err(Error::invalid(format!("`path={path}` is not a plain path")));
            }
            let (id, mode) =
                tree.get_name(component).map(|entry| (entry.id(), entry.filemode())).ok_or_else(|| {
                    Error::invalid(format!("{} has no folder `{path}` at {commit}", self.address))
                        .hint("check `path=` of the source")
                })?;
            if kind(&self.address, component, mode)? != Kind::Folder {
                return Err(Error::invalid(format!("{}: `{path}` is no folder at {commit}", self.address)));
            }
            tree = self
                .repository
                .find_object(id, Some(ObjectType::Tree))
                .and_then(|object| object.peel_to_tree())
                .map_err(|error| self.failed(&error))?;
        }
        Ok(tree)
    }
}

/// Gives a mirror the references of another one, and the way to its objects.
fn share(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut way = from.join("objects").into_os_string().into_encoded_bytes();
    way.push(b'\n');
    fs::write(to.join("objects/info/alternates"), way)?;
    for file in ["HEAD", "packed-refs"] {
        if from.join(file).is_file() {
            fs::copy(from.join(file), to.join(file))?;
        }
    }
    copy_folder(&from.join("refs"), &to.join("refs"), MAX_DEPTH)
}

fn copy_folder(from: &Path, to: &Path, depth: usize) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        } else if kind.is_dir() && depth > 0 {
            copy_folder(&entry.path(), &to.join(entry.file_name()), depth - 1)?;
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Kind {
    Folder,
    File { executable: bool },
}

fn kind(address: &GitAddress, path: &str, mode: i32) -> Result<Kind> {
    match mode {
        FOLDER => Ok(Kind::Folder),
        FILE | FILE_GROUP_WRITABLE => Ok(Kind::File { executable: false }),
        EXECUTABLE => Ok(Kind::File { executable: true }),
        LINK => Err(Error::invalid(format!("{address}: `{path}` is a symbolic link"))
            .hint("an artifact holds regular files only: commit the file itself")),
        SUBMODULE => Err(Error::invalid(format!("{address}: `{path}` is a submodule"))
            .hint("name the other repository as a source of its own")),
        other => Err(Error::invalid(format!("{address}: `{path}` has the unknown mode {other:o}"))),
    }
}
