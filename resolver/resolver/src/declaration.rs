//! What people wrote: a `Distro.toml`, the lock beside it, and where both came from.

use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use astrid_authority::Digest;
use astrid_manifest::diagnostic::{Diagnostics, Parsed, Position};
use astrid_manifest::distro::{Distro, manifest_hash};
use astrid_manifest::lock::{AnyLock, LegacyLock, Lock};
use astrid_manifest::source::{GitSource, Source, SourcePath};
use astrid_manifest::trust::AckFile;

use crate::bundle::Bundled;
use crate::context::Context;
use crate::endorsement::ENDORSEMENTS;
use crate::error::{Error, Place, Result};
use crate::gate::DISTRO_SIGNATURE;
use crate::origin::Origin;
use crate::source::address::{GitAddress, Named};
use crate::source::git::{Mirror, Reference};
use crate::source::index::{check_plain_file, read_limited};
use crate::source::signature::{MAX_SIGNATURE_BYTES, too_large};

/// The file that declares a fleet.
pub const MANIFEST: &str = "Distro.toml";
/// The lock beside it.
pub const LOCK: &str = "Distro.lock";

/// The folder beside it with the acknowledgements that come with the distro.
pub const TRUST: &str = "trust";

/// A distro comes with at most so many files of acknowledgements.
const MAX_TRUST_FILES: usize = 1000;
/// One of them is not larger than this: 1 MiB.
const MAX_TRUST_BYTES: u64 = 1 << 20;
/// A declaration or lock is not larger than this: 16 MiB.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// What a person named on the command line, told apart by what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder with a `Distro.toml`, or such a file.
    Path {
        /// The absolute path.
        path: PathBuf,
        /// The path as it was typed, for messages.
        typed: String,
    },
    /// A `.shuttle` file.
    Bundle {
        /// The absolute path.
        path: PathBuf,
        /// The path as it was typed, for messages.
        typed: String,
    },
    /// A repository.
    Source(Source),
    /// The home's own distro.
    Home,
}

impl Target {
    /// Reads what was typed; relative paths are below `working`.
    ///
    /// What exists on disk is a path; `git+URL?ref=…&path=…` and `@owner/repo` are repositories.
    ///
    /// # Errors
    /// `Invalid` when it is neither.
    pub fn parse(typed: &str, working: &Path) -> Result<Self> {
        let typed_path = if typed.is_empty() { "." } else { typed };
        let path = working.join(typed_path);
        let looks_like_source = typed.starts_with("git+") || typed.starts_with('@') || typed.contains("://");
        if crate::bundle::is_bundle(&path) {
            return Ok(Self::Bundle { path, typed: typed_path.to_owned() });
        }
        if path.exists() || !looks_like_source {
            return Ok(Self::Path { path, typed: typed_path.to_owned() });
        }
        let text = if typed.contains("://") && !typed.starts_with("git+") {
            format!("git+{typed}")
        } else {
            typed.to_owned()
        };
        Source::parse_distro(&text).map(Self::Source).map_err(|error| {
            Error::invalid(format!("`{typed}` is no folder, no Distro.toml and no source: {error}"))
                .hint("name a folder, or `git+https://…?ref=…&path=…`")
        })
    }
}

/// What relative sources are relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of a commit, read from the object database.
    Git {
        /// Which repository.
        address: GitAddress,
        /// Which commit: 40 hexadecimal digits.
        commit: String,
        /// The folder of the declaration; empty is the repository's root.
        path: String,
    },
    /// A bundle: it has the bytes of every member, whatever their sources say.
    Bundle,
}

/// The lock that lies beside a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExistingLock {
    /// There is none.
    None,
    /// One of version 1: a memory of versions.
    Legacy(LegacyLock),
    /// One of version 2.
    Current(Lock),
}

/// What people wrote, parsed and checked, with where it came from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Declaration(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    distro: Distro,
    text: String,
    hash: Digest,
    file: String,
    base: Base,
    origin: Origin,
    lock: ExistingLock,
    lock_text: Option<String>,
    /// The bundle beside the declaration: a claim that nobody has looked at yet.
    signature: Option<Vec<u8>>,
    /// Endorsements that were fetched with it; those in a folder or a bundle are read there.
    endorsements: Option<String>,
    /// The bundle that all of it came in.
    bundle: Option<Bundled>,
    /// Texts of acknowledgements that were fetched with the declaration; those in a folder are read there.
    trust: Vec<(String, String)>,
    warnings: Diagnostics,
    /// What its file held when the text was changed; nothing while the text is that of the file.
    edited: Option<Edited>,
}

/// What was in the file of a declaration whose text was changed and not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    /// Its bytes; nothing when there was no file.
    pub(crate) before: Option<String>,
}

impl Declaration {
    /// Loads what `target` names, with the lock beside it.
    ///
    /// # Errors
    /// `Invalid` with the complaints of the parser, and for sources that the origin may not name;
    /// `NeedsNetwork` and `Failed` for repositories.
    pub fn load(context: &Context, target: &Target) -> Result<Self> {
        match target {
            Target::Home => Self::load_home(context),
            Target::Path { path, typed } => Self::load_path(path, typed),
            Target::Bundle { path, typed } => Self::load_bundle(context, path, typed),
            Target::Source(Source::Git(source)) => {
                let address = GitAddress::parse(&source.url, Named::ByPerson)?;
                Self::load_git(context, &address, source)
            }
            Target::Source(Source::Release { owner, repo }) => {
                let forge = context.endpoints.forge.trim_end_matches('/');
                let address = GitAddress::parse(&format!("{forge}/{owner}/{repo}"), Named::ByPerson)?;
                let source = GitSource { url: address.as_str().to_owned(), reference: None, path: None };
                Self::load_git(context, &address, &source)
            }
            Target::Source(Source::Path(path) | Source::Archive(path)) => {
                Self::load_path(&path.under(Path::new("/")), &path.to_string())
            }
            Target::Source(Source::Index { .. }) => {
                Err(Error::invalid("a distro from an index is not supported by this version")
                    .hint("name a folder, or `git+https://…?ref=…&path=…`"))
            }
        }
    }

    /// Loads the home's own distro; its lock lies beside it, and it may be empty.
    ///
    /// # Errors
    /// `Failed` when there is none; `Invalid` with the complaints of the parser.
    pub fn load_home(context: &Context) -> Result<Self> {
        Self::home(context, None)?
            .ok_or_else(|| Error::failed("the home has no distro of its own").hint("run `astrid init`"))
    }

    /// The home's own distro; where there is none yet, the text `empty` in its place, not written anywhere.
    ///
    /// # Errors
    /// `Invalid` with the complaints of the parser.
    pub fn load_home_or(context: &Context, empty: &str) -> Result<Self> {
        Self::home(context, Some(empty))?.ok_or_else(|| Error::failed("the home has no distro of its own"))
    }

    fn home(context: &Context, empty: Option<&str>) -> Result<Option<Self>> {
        let path = context.home.distro();
        let folder = path.parent().unwrap_or(&path).to_owned();
        let (text, edited) = match (read_text(&path, "the home's own Distro.toml")?, empty) {
            (Some(text), _) => (text, None),
            (None, Some(empty)) => (empty.to_owned(), Some(Edited { before: None })),
            (None, None) => return Ok(None),
        };
        let lock = read_text(&folder.join(LOCK), LOCK)?;
        let pieces = Pieces {
            text,
            lock,
            file: MANIFEST.to_owned(),
            base: Base::Folder(folder),
            origin: Origin::Home,
            signature: None,
            endorsements: None,
            bundle: None,
            trust: Vec::new(),
        };
        Self::assemble_edited(pieces, edited).map(Some)
    }

    /// The declaration with another text, and with another lock when one is given. Neither is written before an
    /// apply switches to it.
    ///
    /// # Errors
    /// `Invalid` with the complaints of the parser.
    pub fn edited(&self, text: &str, lock: Option<&Lock>) -> Result<Self> {
        let own = &self.0;
        let before = own.edited.clone().unwrap_or_else(|| Edited { before: Some(own.text.clone()) });
        let pieces = Pieces {
            text: text.to_owned(),
            lock: lock.map(Lock::to_toml).or_else(|| own.lock_text.clone()),
            file: own.file.clone(),
            base: own.base.clone(),
            origin: own.origin.clone(),
            signature: own.signature.clone(),
            endorsements: own.endorsements.clone(),
            bundle: None,
            trust: own.trust.clone(),
        };
        Self::assemble_edited(pieces, Some(before))
    }

    /// What its file held when its text was changed; nothing while they are the same.
    pub(crate) fn unwritten(&self) -> Option<&Edited> {
        self.0.edited.as_ref().filter(|edited| edited.before.as_ref() != Some(&self.0.text))
    }

    /// Takes a declaration that is part of the program, whose relative sources are below `folder`.
    ///
    /// # Errors
    /// `Invalid` with the complaints of the parser.
    pub fn builtin(text: &str, lock: Option<&str>, folder: &Path) -> Result<Self> {
        Self::assemble(Pieces {
            text: text.to_owned(),
            lock: lock.map(str::to_owned),
            file: format!("builtin/{MANIFEST}"),
            base: Base::Folder(folder.to_owned()),
            origin: Origin::Builtin,
            signature: None,
            endorsements: None,
            bundle: None,
            trust: Vec::new(),
        })
    }

    fn load_path(path: &Path, typed: &str) -> Result<Self> {
        let is_folder = path.is_dir();
        let manifest = if is_folder { path.join(MANIFEST) } else { path.to_owned() };
        let shown = match (is_folder, typed) {
            (true, "." | "./") => MANIFEST.to_owned(),
            (true, _) => format!("{}/{MANIFEST}", typed.trim_end_matches('/')),
            (false, _) => typed.to_owned(),
        };
        let missing = || {
            Error::invalid(format!("{shown} does not exist"))
                .hint("name the folder of a Distro.toml, or write one with `astrid init --here`")
        };
        let real = match std::fs::canonicalize(&manifest) {
            Ok(real) => real,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(Error::failed(format!("{shown} can't be found")).caused_by(error)),
        };
        // A link may lead to the same file of another folder; a repository may not make us quote others.
        if real.file_name() != manifest.file_name() {
            check_plain_file(&manifest, &shown)?;
        }
        let manifest = real;
        let text = read_text(&manifest, &shown)?.ok_or_else(missing)?;
        let folder = manifest.parent().unwrap_or(&manifest).to_owned();
        check_plain_file(&folder.join(LOCK), LOCK)?;
        let lock = read_text(&folder.join(LOCK), LOCK)?;
        check_plain_file(&folder.join(DISTRO_SIGNATURE), DISTRO_SIGNATURE)?;
        let signature = match read_limited(&folder.join(DISTRO_SIGNATURE), MAX_SIGNATURE_BYTES) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => return Err(too_large(DISTRO_SIGNATURE)),
            Err(error) if error.kind() == IoErrorKind::NotFound => None,
            Err(error) => {
                return Err(Error::failed(format!("{DISTRO_SIGNATURE} can't be read")).caused_by(error));
            }
        };
        let base = Base::Folder(folder.clone());
        let origin = Origin::Folder(folder);
        Self::assemble(Pieces {
            text,
            lock,
            file: shown,
            base,
            origin,
            signature,
            endorsements: None,
            bundle: None,
            trust: Vec::new(),
        })
    }

    /// Opens a bundle, finds out who sealed it, and puts its bytes into the context's store.
    ///
    /// That store should be one that is thrown away: only a trusted plan brings a bundle into the home's.
    fn load_bundle(context: &Context, path: &Path, typed: &str) -> Result<Self> {
        let shuttle = crate::bundle::open(path, typed)?;
        let seal = crate::bundle::seal(context, &shuttle)?;
        crate::bundle::bring(context, &shuttle)?;
        let sealed = shuttle.lock().map(|lock| &lock.distro);
        let origin = Origin::Bundle {
            signer: seal.signer.clone(),
            digest: shuttle.digest(),
            source: sealed.and_then(|distro| distro.source.clone()),
            commit: sealed.and_then(|distro| distro.commit.clone()),
        };
        let acknowledgements = shuttle.acknowledgements().filter_map(|(name, _)| {
            Some((format!("{TRUST}/{name}"), shuttle.acknowledgements_text(name)?.to_owned()))
        });
        Self::assemble(Pieces {
            text: shuttle.declaration_text().to_owned(),
            lock: Some(shuttle.lock_text().to_owned()),
            file: format!("{typed}/{MANIFEST}"),
            base: Base::Bundle,
            origin,
            signature: None,
            endorsements: None,
            trust: acknowledgements.collect(),
            bundle: Some(Bundled::new(shuttle, seal)),
        })
    }

    fn load_git(context: &Context, address: &GitAddress, source: &GitSource) -> Result<Self> {
        let mirror = Mirror::of(context, address)?;
        let reference = Reference::of(source.reference.as_ref());
        let moves = matches!(reference, Reference::Branch(_) | Reference::Head);
        if moves && (address.is_local() || context.network == crate::context::Network::Online) {
            mirror.fetch(context)?;
        }
        let commit = mirror.resolve(context, &reference)?;
        let path = source.path.as_ref().map(SourcePath::joined).unwrap_or_default();
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let read = |name: &str| -> Result<Option<String>> {
            let Some(bytes) = mirror.file(&commit, &inside(name))? else { return Ok(None) };
            String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| Error::invalid(format!("{address}: {} is no UTF-8", inside(name))))
        };
        let text = read(MANIFEST)?.ok_or_else(|| {
            Error::invalid(format!("{address} has no {} at {commit}", inside(MANIFEST)))
                .hint("say where it is with `path=`")
        })?;
        let origin = Origin::Git {
            address: address.clone(),
            requested: reference.to_string(),
            commit: commit.clone(),
            path: path.clone(),
        };
        let mut trust = Vec::new();
        if mirror.has_folder(&commit, &inside(TRUST))? {
            let select = |name: &str, is_folder: bool| !is_folder && is_trust_file(name);
            mirror.visit(&commit, &inside(TRUST), &select, &mut |name, _, bytes| {
                let shown = format!("{TRUST}/{name}");
                if bytes.len() as u64 > MAX_TRUST_BYTES || trust.len() >= MAX_TRUST_FILES {
                    return Err(too_much_trust(&shown));
                }
                let text = String::from_utf8(bytes)
                    .map_err(|_| Error::invalid(format!("{address}: {shown} is no UTF-8")))?;
                trust.push((shown, text));
                Ok(())
            })?;
        }
        let signature = mirror.file(&commit, &inside(DISTRO_SIGNATURE))?;
        if signature.as_ref().is_some_and(|bytes| bytes.len() as u64 > MAX_SIGNATURE_BYTES) {
            return Err(too_large(DISTRO_SIGNATURE));
        }
        let endorsements = read(ENDORSEMENTS)?;
        Self::assemble(Pieces {
            lock: read(LOCK)?,
            signature,
            endorsements,
            bundle: None,
            trust,
            text,
            file: inside(MANIFEST),
            base: Base::Git { address: address.clone(), commit, path },
            origin,
        })
    }

    fn assemble(pieces: Pieces) -> Result<Self> {
        Self::assemble_edited(pieces, None)
    }

    fn assemble_edited(pieces: Pieces, edited: Option<Edited>) -> Result<Self> {
        let parsed = if pieces.origin == Origin::Home {
            Distro::parse_home(&pieces.file, &pieces.text)
        } else {
            Distro::parse(&pieces.file, &pieces.text)
        };
        let Parsed { value: distro, mut warnings } = parsed.map_err(Error::from)?;
        let lock = match &pieces.lock {
            None => ExistingLock::None,
            Some(text) => {
                let parsed = AnyLock::parse(LOCK, text).map_err(Error::from)?;
                warnings.merge(parsed.warnings);
                match parsed.value {
                    AnyLock::V1(lock) => ExistingLock::Legacy(lock),
                    AnyLock::V2(lock) => ExistingLock::Current(lock),
                }
            }
        };
        let declaration = Self(Arc::new(Inner {
            hash: manifest_hash(&distro),
            distro,
            text: pieces.text,
            file: pieces.file,
            base: pieces.base,
            origin: pieces.origin,
            lock,
            lock_text: pieces.lock,
            signature: pieces.signature,
            endorsements: pieces.endorsements,
            bundle: pieces.bundle,
            trust: pieces.trust,
            warnings,
            edited,
        }));
        declaration.check_sources()?;
        Ok(declaration)
    }

    /// What was fetched may only name what is in its own tree, or what everybody can reach.
    fn check_sources(&self) -> Result<()> {
        if !self.0.origin.is_fetched() {
            return Ok(());
        }
        let capsules = self.0.distro.capsules.iter().map(|entry| (&entry.source, entry.source_at));
        let packs = self.0.distro.packs.iter().map(|entry| (&entry.source, entry.source_at));
        for (source, at) in capsules.chain(packs) {
            if source.is_local_only() {
                return Err(Error::invalid(format!(
                    "a distro that was fetched may not name this machine: `{source}`"
                ))
                .at(self.place(at))
                .hint("use a path relative to Distro.toml, or a repository"));
            }
        }
        // A bundle has what came from an index, and asks none.
        if let Some(index) = self.0.distro.indexes.first()
            && self.bundle().is_none()
        {
            return Err(Error::invalid(format!(
                "index `{}` of a distro that was fetched is not supported by this version",
                index.name
            ))
            .at(self.place(index.at))
            .hint("clone the repository and apply the folder"));
        }
        Ok(())
    }

    /// What is declared.
    #[must_use]
    pub fn distro(&self) -> &Distro {
        &self.0.distro
    }

    /// The exact text of `Distro.toml`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The digest of what resolution reads of it.
    #[must_use]
    pub fn manifest_hash(&self) -> Digest {
        self.0.hash
    }

    /// What messages call the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// What relative sources are relative to.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.0.base
    }

    /// The folder of the file on this machine; nothing for what was fetched.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0.base {
            Base::Folder(folder) => Some(folder),
            Base::Git { .. } | Base::Bundle => None,
        }
    }

    /// Where the declaration came from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Whether it is the home's own distro.
    #[must_use]
    pub fn is_home(&self) -> bool {
        self.0.origin == Origin::Home
    }

    /// The lock beside it.
    #[must_use]
    pub fn existing_lock(&self) -> &ExistingLock {
        &self.0.lock
    }

    /// The exact text of the lock beside it.
    #[must_use]
    pub fn lock_text(&self) -> Option<&str> {
        self.0.lock_text.as_deref()
    }

    /// The bundle that all of it came in.
    #[must_use]
    pub fn bundle(&self) -> Option<&Bundled> {
        self.0.bundle.as_ref()
    }

    /// The endorsements that were fetched with it: each is a claim.
    #[must_use]
    pub(crate) fn fetched_endorsements(&self) -> Option<&str> {
        self.0.endorsements.as_deref()
    }

    /// The bundle beside it, as it was found: nobody has looked at it yet.
    #[must_use]
    pub(crate) fn signature(&self) -> Option<&[u8]> {
        self.0.signature.as_deref()
    }

    /// The lock beside it, when it is of the current format.
    #[must_use]
    pub fn lock(&self) -> Option<&Lock> {
        match &self.0.lock {
            ExistingLock::Current(lock) => Some(lock),
            _ => None,
        }
    }

    /// The acknowledgements that came with the distro, by file. Whether they count is not decided here.
    ///
    /// # Errors
    /// `Invalid` when one is not valid, or is no plain file of reasonable size.
    pub fn acknowledgements(&self) -> Result<Vec<(String, AckFile)>> {
        let texts = self.acknowledgement_texts()?;
        let parse = |(shown, text): (String, String)| {
            let file = AckFile::parse(&shown, &text).map_err(Error::from)?.value;
            Ok((shown, file))
        };
        texts.into_iter().map(parse).collect()
    }

    /// The texts of those acknowledgements, by file.
    pub(crate) fn acknowledgement_texts(&self) -> Result<Vec<(String, String)>> {
        match self.folder() {
            Some(folder) => trust_texts(folder),
            None => Ok(self.0.trust.clone()),
        }
    }

    /// What the parsers warn about.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.0.warnings
    }

    /// A position of the file as a place for messages.
    #[must_use]
    pub fn place(&self, at: Position) -> Place {
        Place { file: self.0.file.clone(), line: at.line as usize, column: None }
    }
}

struct Pieces {
    text: String,
    lock: Option<String>,
    file: String,
    base: Base,
    origin: Origin,
    signature: Option<Vec<u8>>,
    endorsements: Option<String>,
    bundle: Option<Bundled>,
    trust: Vec<(String, String)>,
}

/// Whether a name in `trust/` is one of a file of acknowledgements.
fn is_trust_file(name: &str) -> bool {
    !name.starts_with('.')
        && !name.contains('/')
        && Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

fn too_much_trust(shown: &str) -> Error {
    Error::invalid(format!(
        "{shown}: a distro comes with at most {MAX_TRUST_FILES} files of acknowledgements of at most 1 MiB"
    ))
}

/// The texts of the acknowledgements beside a declaration. No link is followed.
fn trust_texts(folder: &Path) -> Result<Vec<(String, String)>> {
    let trust = folder.join(TRUST);
    match std::fs::symlink_metadata(&trust) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(Error::invalid(format!("{TRUST} is no folder")).hint("links are not followed")),
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed(format!("{TRUST}/ can't be read")).caused_by(error)),
    }
    let entries = std::fs::read_dir(&trust)
        .map_err(|error| Error::failed(format!("{TRUST}/ can't be read")).caused_by(error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_trust_file(name))
        .take(MAX_TRUST_FILES + 1)
        .collect();
    names.sort();
    let mut texts = Vec::new();
    for name in names {
        let shown = format!("{TRUST}/{name}");
        if texts.len() >= MAX_TRUST_FILES {
            return Err(too_much_trust(&shown));
        }
        let path = trust.join(&name);
        check_plain_file(&path, &shown)?;
        let bytes = match read_limited(&path, MAX_TRUST_BYTES) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(too_much_trust(&shown)),
            Err(error) => return Err(Error::failed(format!("{shown} can't be read")).caused_by(error)),
        };
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{shown} is no UTF-8")))?;
        texts.push((shown, text));
    }
    Ok(texts)
}

/// Reads a text of limited size; nothing when there is no such file.
fn read_text(path: &Path, shown: &str) -> Result<Option<String>> {
    let bytes = match read_limited(path, MAX_TEXT_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Error::invalid(format!("{shown} is larger than 16 MiB"))),
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failed(format!("{shown} can't be read")).caused_by(error)),
    };
    String::from_utf8(bytes).map(Some).map_err(|_| Error::invalid(format!("{shown} is no UTF-8")))
}
