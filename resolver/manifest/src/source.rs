//! Where capsules, packs and distros come from: one syntax for all of them.
//!
//! | text | source |
//! |---|---|
//! | `./path`, `/path` | a folder |
//! | `./x.capsule`, `x.capsule`, `/x.capsule` | an archive file |
//! | `git+URL?ref=TAG-OR-COMMIT&path=DIR` | a git repository |
//! | `@org/repo` | the assets of a release |
//! | `index:NAME`, `index:INDEX/NAME` | an entry of a declared index |
//! | `oci://…` | refused: not supported by this version |

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::version::Requirement;

/// Longest source text, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A folder: relative to the file that names it, or absolute.
    Path(SourcePath),
    /// An archive file: relative to the file that names it, or absolute.
    Archive(SourcePath),
    /// A git repository.
    Git(GitSource),
    /// The assets of a release of `owner/repo`.
    Release {
        /// The organisation or person.
        owner: String,
        /// The repository.
        repo: String,
    },
    /// An entry of an index.
    Index {
        /// Which index, when the source says it.
        index: Option<String>,
        /// The name in the index.
        name: String,
    },
}

/// A path in a source: absolute, or normal and relative, without `.`, `..` and empty parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePath {
    absolute: bool,
    parts: Vec<String>,
}

/// A git repository, what of it, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitSource {
    /// The normalised URL, or `user@host:path` in its `ssh://` form.
    pub url: String,
    /// What is taken; absent means that the entry's `tag` or `version` says it.
    pub reference: Option<GitRef>,
    /// The folder in the repository; absent is its root.
    pub path: Option<SourcePath>,
}

/// What of a git repository is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GitRef {
    /// `refs/tags/NAME`, never a branch of that name.
    Tag(String),
    /// A full commit: 40 hexadecimal digits, lowercase.
    Commit(String),
    /// `refs/heads/NAME`. Only [`Source::parse_distro`] takes it.
    Branch(String),
}

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing, too much, or control characters.
    #[error(
        "a source is not empty, has at most {MAX_SOURCE_BYTES} bytes and no spaces around or control characters"
    )]
    Text,
    /// No form of source.
    #[error(
        "`{0}` is no source: write `./path`, `git+https://…?ref=TAG`, `@org/repo`, `index:NAME` or a `.capsule` file"
    )]
    Form(String),
    /// A path that is not normal.
    #[error("a path in a source has no `.`, `..`, empty parts or `\\`: nothing is taken from outside")]
    Path,
    /// A scheme that git would hand to a helper, or that is not encrypted.
    #[error(
        "git sources are `https` or `ssh` (and `file` or loopback `http` in the home's own files), not `{0}`"
    )]
    Scheme(String),
    /// Name and password in a URL.
    #[error("a source holds no credentials: use a credential helper or an ssh key")]
    Credentials,
    /// A URL that can't be read.
    #[error("the URL can't be read: {0}")]
    Url(String),
    /// Something else than `ref` and `path` in a git URL.
    #[error("a git source takes `ref` and `path`, once each, not `{0}`")]
    Query(String),
    /// A reference that is neither tag nor commit.
    #[error("`ref` is a tag or 40 hexadecimal digits of a commit; a capsule or pack never follows a branch")]
    Reference,
    /// `@org/repo` that is not that.
    #[error("a release is `@org/repo`")]
    Release,
    /// `index:NAME` that is not that.
    #[error("an index entry is `index:NAME` or `index:INDEX/NAME`")]
    Index,
    /// A registry.
    #[error("`oci://` sources are not supported by this version")]
    Oci,
    /// A form that is gone.
    #[error("`{0}` sources are gone: write `git+https://…` or `@org/repo`")]
    Removed(String),
}

impl SourceError {
    /// The rule that diagnostics file it under.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Oci => "not-supported",
            _ => "source",
        }
    }
}

impl SourcePath {
    /// Reads a relative path (with or without `./`) or an absolute one.
    ///
    /// # Errors
    /// When a part is empty, `.` or `..`, or holds `\` or a control character.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let (absolute, rest) = match text.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("./").unwrap_or(text)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut parts = Vec::new();
        if !(rest.is_empty() || (rest == "." && !absolute)) {
            for part in rest.split('/') {
                let bad = matches!(part, "" | "." | "..")
                    || part.contains('\\')
                    || part.chars().any(char::is_control);
                if bad {
                    return Err(SourceError::Path);
                }
                parts.push(part.to_owned());
            }
        }
        Ok(Self { absolute, parts })
    }

    /// Says whether it begins at the root of the machine.
    #[must_use]
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// The clean parts, without the root.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The path below `base`, or itself when it is absolute.
    #[must_use]
    pub fn under(&self, base: &std::path::Path) -> std::path::PathBuf {
        let mut path = if self.absolute { std::path::PathBuf::from("/") } else { base.to_path_buf() };
        path.extend(&self.parts);
        path
    }

    /// The parts joined with `/`, without a leading `./` or `/`.
    #[must_use]
    pub fn joined(&self) -> String {
        self.parts.join("/")
    }
}

/// `./a/b` or `/a/b`.
impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.absolute { "/" } else { "./" }, self.joined())
    }
}

/// File names that are archives.
fn is_archive(path: &SourcePath) -> bool {
    path.parts.last().is_some_and(|name| {
        [".capsule", ".tar.gz", ".tgz"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
    })
}

impl Source {
    /// Reads what a command line may name for an installation: every source, `@org/repo@VERSION`,
    /// and git URLs (`https://`, `ssh://`, `git@host:path`) without `git+`.
    ///
    /// # Errors
    /// As [`Source::from_str`]; a branch is refused too.
    pub fn parse_install(text: &str) -> Result<(Self, Option<Requirement>), SourceError> {
        if let Some(rest) = text.strip_prefix('@')
            && let Some((name, version)) = rest.split_once('@')
        {
            let requirement = version.parse().map_err(|_| SourceError::Release)?;
            return Ok((format!("@{name}").parse()?, Some(requirement)));
        }
        let is_release =
            text.starts_with("https://github.com/") && !text.contains('?') && git_url(text).is_some();
        if let Some(url) = git_url(text).filter(|_| !is_release || text.strip_suffix(".git").is_some()) {
            return Ok((url.parse()?, None));
        }
        Ok((text.parse()?, None))
    }

    /// Reads what a command line may name for the installation of a pack: as
    /// [`Source::parse_install`], except that every `https://` URL is a git repository.
    ///
    /// # Errors
    /// As [`Source::parse_install`].
    pub fn parse_pack_install(text: &str) -> Result<(Self, Option<Requirement>), SourceError> {
        match git_url(text) {
            Some(url) => Ok((url.parse()?, None)),
            None => Self::parse_install(text),
        }
    }

    /// Reads where a distro itself comes from: every source, and `ref=refs/heads/NAME`.
    ///
    /// # Errors
    /// As [`Source::from_str`].
    pub fn parse_distro(text: &str) -> Result<Self, SourceError> {
        parse(text, true)
    }

    /// Says whether only a person or the home's own files may name it: absolute paths, `file:` and
    /// unencrypted loopback URLs. A fetched distro, pack or bundle never may.
    #[must_use]
    pub fn is_local_only(&self) -> bool {
        match self {
            Self::Path(path) | Self::Archive(path) => path.is_absolute(),
            Self::Git(git) => git.url.starts_with("file:") || git.url.starts_with("http:"),
            Self::Release { .. } | Self::Index { .. } => false,
        }
    }

    /// Says whether it is a folder or file of this machine, next to the file that names it or not.
    #[must_use]
    pub fn is_path(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Archive(_))
    }

    /// Says whether asking it may need the network.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Path(_) | Self::Archive(_) | Self::Index { .. } => false,
            Self::Git(git) => !git.url.starts_with("file:"),
            Self::Release { .. } => true,
        }
    }

    /// `@org/repo` of a release, for policies that match by source.
    #[must_use]
    pub fn release_name(&self) -> Option<String> {
        match self {
            Self::Release { owner, repo } => Some(format!("@{owner}/{repo}")),
            _ => None,
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        parse(text, false)
    }
}

/// The source of a git URL that was written without `git+`.
fn git_url(text: &str) -> Option<String> {
    let is_url = ["https://", "ssh://", "git@"].iter().any(|start| text.starts_with(start));
    is_url.then(|| format!("git+{text}"))
}

fn parse(text: &str, allow_branch: bool) -> Result<Source, SourceError> {
    let short = || crate::document::reader::shown(text);
    if text.is_empty()
        || text.trim() != text
        || text.len() > MAX_SOURCE_BYTES
        || text.chars().any(char::is_control)
    {
        return Err(SourceError::Text);
    }
    if let Some(rest) = text.strip_prefix("git+") {
        return git(rest, allow_branch).map(Source::Git);
    }
    if let Some(rest) = text.strip_prefix('@') {
        return release(rest);
    }
    if let Some(rest) = text.strip_prefix("index:") {
        return index(rest);
    }
    if text.starts_with("oci:") {
        return Err(SourceError::Oci);
    }
    for prefix in ["github.com/", "https://github.com/"] {
        if let Some(rest) = text.strip_prefix(prefix)
            && !rest.contains(['?', '#'])
        {
            return release(rest.strip_suffix(".git").unwrap_or(rest));
        }
    }
    if text.starts_with("ext::") {
        return Err(SourceError::Scheme("ext".to_owned()));
    }
    for scheme in ["openclaw:", "gh:"] {
        if text.starts_with(scheme) {
            return Err(SourceError::Removed(scheme.to_owned()));
        }
    }
    if text.contains("://") || text.starts_with("git@") {
        return Err(SourceError::Form(short()));
    }
    let is_path = text == "." || text.starts_with("./") || text.starts_with('/');
    let path = if is_path || text.starts_with("..") || text.ends_with(".capsule") {
        SourcePath::parse(text)?
    } else {
        return Err(SourceError::Form(short()));
    };
    Ok(if is_archive(&path) { Source::Archive(path) } else { Source::Path(path) })
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !matches!(text, "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn release(rest: &str) -> Result<Source, SourceError> {
    let (owner, repo) = rest.split_once('/').ok_or(SourceError::Release)?;
    if is_slug(owner) && is_slug(repo) {
        Ok(Source::Release { owner: owner.to_owned(), repo: repo.to_owned() })
    } else {
        Err(SourceError::Release)
    }
}

fn index(rest: &str) -> Result<Source, SourceError> {
    let (index, name) = match rest.split_once('/') {
        Some((index, name)) => (Some(index), name),
        None => (None, rest),
    };
    let clean = |part: &str| {
        is_slug(part) && part.starts_with(|first: char| first.is_ascii_lowercase()) && !part.contains('.')
    };
    if clean(name) && index.is_none_or(clean) {
        Ok(Source::Index { index: index.map(str::to_owned), name: name.to_owned() })
    } else {
        Err(SourceError::Index)
    }
}

fn git(rest: &str, allow_branch: bool) -> Result<GitSource, SourceError> {
    // `git@host:org/repo` is the short form of an ssh URL.
    let is_short = rest.starts_with("git@") && !rest.contains("://");
    let long = if is_short {
        let (host, path) =
            rest["git@".len()..].split_once(':').ok_or(SourceError::Url("no path".to_owned()))?;
        format!("ssh://git@{host}/{path}")
    } else {
        rest.to_owned()
    };
    let scheme = long.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(scheme.as_str(), "https" | "ssh" | "http" | "file") || long.starts_with("ext::") {
        return Err(SourceError::Scheme(crate::document::reader::shown(&scheme)));
    }
    let mut url = Url::parse(&long).map_err(|error| SourceError::Url(error.to_string()))?;
    if url.password().is_some() || (!url.username().is_empty() && scheme != "ssh") {
        return Err(SourceError::Credentials);
    }
    // A leading dash would be an option to whatever program is asked.
    let bad_host =
        url.host_str().is_some_and(|host| host.starts_with('-')) || url.username().starts_with('-');
    if bad_host || (scheme != "file" && url.host_str().is_none_or(str::is_empty)) {
        return Err(SourceError::Url("no host".to_owned()));
    }
    if scheme == "http" && !is_loopback(&url) {
        return Err(SourceError::Scheme("http".to_owned()));
    }
    if scheme == "file" && url.host_str().is_some_and(|host| !host.is_empty() && host != "localhost") {
        return Err(SourceError::Url("a file is on this machine".to_owned()));
    }
    if url.fragment().is_some() {
        return Err(SourceError::Url("it has a fragment".to_owned()));
    }
    let (mut reference, mut path) = (None, None);
    let pairs: Vec<(String, String)> =
        url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    for (key, value) in pairs {
        match key.as_str() {
            "ref" if reference.is_none() => reference = Some(git_ref(&value, allow_branch)?),
            "path" if path.is_none() => {
                let inside = SourcePath::parse(&value)?;
                if inside.is_absolute() || value.is_empty() {
                    return Err(SourceError::Path);
                }
                path = (!inside.parts.is_empty()).then_some(inside);
            }
            _ => return Err(SourceError::Query(crate::document::reader::shown(&key))),
        }
    }
    url.set_query(None);
    Ok(GitSource { url: url.to_string(), reference, path })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn git_ref(text: &str, allow_branch: bool) -> Result<GitRef, SourceError> {
    let is_commit = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_commit {
        return Ok(GitRef::Commit(text.to_owned()));
    }
    if let Some(branch) = text.strip_prefix("refs/heads/") {
        return if allow_branch && is_ref_name(branch) {
            Ok(GitRef::Branch(branch.to_owned()))
        } else {
            Err(SourceError::Reference)
        };
    }
    let tag = text.strip_prefix("refs/tags/").unwrap_or(text);
    // 40 digits in capitals are a commit that was mistyped, never the name of a tag.
    let looks_like_commit = tag.len() == 40 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_ref_name(tag) && !tag.starts_with("refs/") && !looks_like_commit {
        Ok(GitRef::Tag(tag.to_owned()))
    } else {
        Err(SourceError::Reference)
    }
}

/// The rules of git for the name of a tag or branch.
#[must_use]
pub fn is_ref_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && name != "@"
        && !name.chars().any(|character| {
            character.is_control() || matches!(character, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
        })
        && name.split('/').all(|part| {
            let lock = part.strip_suffix(".lock").is_some();
            !part.is_empty() && !part.starts_with('.') && !lock
        })
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(name) => f.write_str(name),
            Self::Commit(hex) => f.write_str(hex),
            Self::Branch(name) => write!(f, "refs/heads/{name}"),
        }
    }
}

/// The canonical text, which parses to the same source.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Archive(path) => path.fmt(f),
            Self::Git(git) => {
                write!(f, "git+{}", git.url)?;
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                if let Some(reference) = &git.reference {
                    query.append_pair("ref", &reference.to_string());
                }
                if let Some(path) = &git.path {
                    query.append_pair("path", &path.joined());
                }
                let query = query.finish().replace("%2F", "/");
                if query.is_empty() { Ok(()) } else { write!(f, "?{query}") }
            }
            Self::Release { owner, repo } => write!(f, "@{owner}/{repo}"),
            Self::Index { index: Some(index), name } => write!(f, "index:{index}/{name}"),
            Self::Index { index: None, name } => write!(f, "index:{name}"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Source {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 4096,
            "description": "`./path`, `/path`, a `.capsule` file, `git+URL?ref=TAG-OR-COMMIT&path=DIR`, `@org/repo` or `index:NAME`."
        })
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
