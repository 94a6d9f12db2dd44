//! What a grant covers: paths, hosts, socket addresses, commands.

use std::fmt;
use std::str::FromStr;

/// Why a scope can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not one of the path forms.
    #[error(
        "a path scope is `cwd://DIR`, `home://DIR`, `/tmp/DIR`, `*` or an absolute path, without `.`, `..` and empty segments"
    )]
    Path,
    /// Not a host.
    #[error(
        "a host is a name or address without scheme, port and path; `*.example.org` is its subdomains, `*` is all"
    )]
    Host,
    /// Not `host:port`.
    #[error("an address is `host:port`, `host:*` or `*:port`")]
    Address,
    /// A blank command.
    #[error("a command is not blank and has no control character")]
    Command,
    /// None of the three levels.
    #[error("an identity level is `resolve`, `link` or `admin`")]
    Identity,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathRoot {
    /// The workspace that the kernel was started for: `cwd://` and plain paths.
    Workspace,
    /// The home of the principal that the call is made for: `home://`.
    Home,
    /// The temporary folder of that principal: `/tmp`.
    Temporary,
    /// The machine's file system. Only scopes have it: a guest can't name such a path.
    Machine,
}

/// A path scope: a root and the folder below it that is covered, itself included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathScope {
    root: PathRoot,
    segments: Vec<String>,
}

/// A path that a guest names, before it is looked up: a root and clean segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTarget {
    root: PathRoot,
    segments: Vec<String>,
}

fn clean_segments(text: &str) -> Result<Vec<String>, ScopeError> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split('/')
        .map(|segment| match segment {
            "" | "." | ".." => Err(ScopeError::Path),
            segment if segment.chars().any(char::is_control) => Err(ScopeError::Path),
            segment => Ok(segment.to_owned()),
        })
        .collect()
}

impl PathTarget {
    /// Reads a path as a guest writes it: `cwd://p`, `workspace://p`, `home://p`, `/tmp/p`,
    /// `tmp://p`, and plain or `/`-rooted paths, which are relative to the workspace.
    ///
    /// # Errors
    /// When a segment is empty, `.`, `..`, or holds a control character.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let (root, rest) =
            if let Some(rest) = text.strip_prefix("cwd://").or_else(|| text.strip_prefix("workspace://")) {
                (PathRoot::Workspace, rest)
            } else if let Some(rest) = text.strip_prefix("home://") {
                (PathRoot::Home, rest)
            } else if let Some(rest) = text.strip_prefix("tmp://").or_else(|| text.strip_prefix("/tmp/")) {
                (PathRoot::Temporary, rest)
            } else if text == "/tmp" {
                (PathRoot::Temporary, "")
            } else if text.contains("://") {
                return Err(ScopeError::Path);
            } else {
                let rest = text.strip_prefix('/').unwrap_or(text);
                // `.` alone is how tools say "here".
                (PathRoot::Workspace, if rest == "." { "" } else { rest.strip_prefix("./").unwrap_or(rest) })
            };
        Ok(Self { root, segments: clean_segments(rest)? })
    }

    /// Where the path begins.
    pub fn root(&self) -> PathRoot {
        self.root
    }

    /// The clean segments below the root.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }
}

impl PathScope {
    /// Says whether the scope covers `target`.
    ///
    /// A scope on the machine's file system covers nothing that a guest can name by itself; the
    /// host asks [`PathScope::covers_machine_path`] with the place that the path really has.
    #[must_use]
    pub fn covers_target(&self, target: &PathTarget) -> bool {
        self.root == target.root && target.segments.starts_with(&self.segments)
    }

    /// Says whether a scope on the machine's file system covers the absolute path of `segments`.
    #[must_use]
    pub fn covers_machine_path(&self, segments: &[String]) -> bool {
        self.root == PathRoot::Machine && segments.starts_with(&self.segments)
    }

    /// Says whether everything that `other` covers is covered by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.root == other.root && other.segments.starts_with(&self.segments)
    }
}

impl FromStr for PathScope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (root, rest) = match text {
            // Anything in the workspace, and no more.
            "*" => (PathRoot::Workspace, ""),
            "/tmp" => (PathRoot::Temporary, ""),
            _ => {
                if let Some(rest) = text.strip_prefix("cwd://").or_else(|| text.strip_prefix("workspace://"))
                {
                    (PathRoot::Workspace, rest)
                } else if let Some(rest) = text.strip_prefix("home://") {
                    (PathRoot::Home, rest)
                } else if let Some(rest) = text.strip_prefix("tmp://").or_else(|| text.strip_prefix("/tmp/"))
                {
                    (PathRoot::Temporary, rest)
                } else if let Some(rest) = text.strip_prefix('/') {
                    (PathRoot::Machine, rest)
                } else {
                    return Err(ScopeError::Path);
                }
            }
        };
        Ok(Self { root, segments: clean_segments(rest)? })
    }
}

impl fmt::Display for PathScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            PathRoot::Workspace => "cwd://",
            PathRoot::Home => "home://",
            PathRoot::Temporary => "tmp://",
            PathRoot::Machine => "/",
        })?;
        f.write_str(&self.segments.join("/"))
    }
}

/// A host that HTTP requests may go to: exact, the subdomains of one (`*.example.org`), or `*`.
///
/// Unlike in some comparable systems an exact entry does not admit its subdomains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRule(String);

fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty()
                && text.len() <= 253
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
                && text.split('.').all(|label| !label.is_empty())
        }
    }
}

impl HostRule {
    /// Says whether a request to `host` (without a port) is covered.
    #[must_use]
    pub fn admits(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => self.0 == host,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self == other || self.0 == "*" || (self.0.starts_with('*') && other.0.ends_with(&self.0[1..]))
    }
}

impl FromStr for HostRule {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let text = text.to_ascii_lowercase();
        let named = text.strip_prefix("*.").unwrap_or(&text);
        if text == "*" || is_host(named) { Ok(Self(text)) } else { Err(ScopeError::Host) }
    }
}

/// A TCP or UDP address rule: `host:port`, `host:*` or `*:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRule {
    host: String,
    port: Option<u16>,
}

impl AddressRule {
    /// Says whether the address is covered; hosts compare without case.
    #[must_use]
    pub fn admits(&self, host: &str, port: u16) -> bool {
        (self.host == "*" || self.host.eq_ignore_ascii_case(host)) && self.port.is_none_or(|own| own == port)
    }

    fn covers(&self, other: &Self) -> bool {
        (self.host == "*" || self.host == other.host) && (self.port.is_none() || self.port == other.port)
    }
}

impl FromStr for AddressRule {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (host, port) = text.rsplit_once(':').ok_or(ScopeError::Address)?;
        let host = host.to_ascii_lowercase();
        let port = match port {
            "*" => None,
            digits => Some(digits.parse::<u16>().map_err(|_| ScopeError::Address)?),
        };
        let all_hosts = host == "*";
        if (all_hosts && port.is_none()) || !(all_hosts || is_host(&host)) {
            return Err(ScopeError::Address);
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}:*", self.host),
        }
    }
}

/// What a capsule may listen on: the kernel's own Unix socket, or a TCP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BindRule {
    /// `unix:…`: the listener that the kernel has bound already. The path is not looked at.
    KernelSocket,
    /// A TCP address; the host confines it to loopback.
    Tcp(AddressRule),
}

impl BindRule {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::KernelSocket, Self::KernelSocket) => true,
            (Self::Tcp(own), Self::Tcp(other)) => own.covers(other),
            _ => false,
        }
    }
}

impl FromStr for BindRule {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.starts_with("unix:") { Ok(Self::KernelSocket) } else { text.parse().map(Self::Tcp) }
    }
}

impl fmt::Display for BindRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelSocket => f.write_str("unix:*"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// A command that a capsule may start: this exact line, or this line and any further arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandRule(String);

impl CommandRule {
    /// Says whether the command line is the rule, or the rule and a space and more.
    #[must_use]
    pub fn admits(&self, line: &str) -> bool {
        line.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

impl FromStr for CommandRule {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.trim().is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return Err(ScopeError::Command);
        }
        Ok(Self(text.to_owned()))
    }
}

/// How far a capsule may go with identities; each level holds those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityLevel {
    /// Look up who a platform user is.
    Resolve,
    /// Link and unlink platform users.
    Link,
    /// Create users.
    Admin,
}

impl FromStr for IdentityLevel {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text {
            "resolve" => Ok(Self::Resolve),
            "link" => Ok(Self::Link),
            "admin" => Ok(Self::Admin),
            _ => Err(ScopeError::Identity),
        }
    }
}

impl fmt::Display for IdentityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Link => "link",
            Self::Admin => "admin",
        })
    }
}

macro_rules! display_inner {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

display_inner!(HostRule, CommandRule);

/// Whether one scope covers another of its kind.
pub(crate) trait Covers {
    /// True when everything in `other` is in `self`.
    fn covers(&self, other: &Self) -> bool;
}

macro_rules! covers_by_method {
    ($($type:ident),*) => {$(
        impl Covers for $type {
            fn covers(&self, other: &Self) -> bool {
                Self::covers(self, other)
            }
        }
    )*};
}

covers_by_method!(PathScope, HostRule, AddressRule, BindRule);

impl Covers for CommandRule {
    fn covers(&self, other: &Self) -> bool {
        self.admits(&other.0)
    }
}

impl Covers for IdentityLevel {
    fn covers(&self, other: &Self) -> bool {
        self >= other
    }
}

impl Covers for crate::TopicPattern {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathScope {
        text.parse().unwrap()
    }

    fn target(text: &str) -> PathTarget {
        PathTarget::parse(text).unwrap()
    }

    #[test]
    fn paths_are_covered_by_component() {
        assert!(path("cwd://docs").covers_target(&target("docs/a.md")));
        assert!(path("cwd://docs").covers_target(&target("cwd://docs")));
        assert!(path("*").covers_target(&target("/anything/at/all")));
        assert!(path("home://").covers_target(&target("home://notes/a")));
        assert!(path("/tmp").covers_target(&target("/tmp/x")));
        assert!(path("/srv/data").covers_machine_path(&["srv".into(), "data".into(), "x".into()]));
    }

    #[test]
    fn paths_outside_are_denied() {
        assert!(!path("cwd://docs").covers_target(&target("docs-private/a.md")));
        assert!(!path("*").covers_target(&target("home://a")));
        assert!(!path("cwd://").covers_target(&target("/tmp/a")));
        assert!(!path("/").covers_target(&target("etc/passwd")));
        for text in ["../x", "a/../b", "cwd://../x", "home://a//b", "a/./b", "file://x", "a\0b"] {
            assert!(PathTarget::parse(text).is_err(), "{text:?}");
        }
        for text in ["", "docs", "cwd://..", "home://a/../b", "c:\\x"] {
            assert!(text.parse::<PathScope>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_exact_by_default() {
        let exact: HostRule = "example.org".parse().unwrap();
        assert!(exact.admits("Example.org"));
        assert!(!exact.admits("api.example.org"));
        let below: HostRule = "*.example.org".parse().unwrap();
        assert!(below.admits("api.example.org"));
        assert!(!below.admits("example.org"));
        assert!(!below.admits("evilexample.org"));
        for text in ["", "https://x", "x:80", "x/y", "a..b", "*x"] {
            assert!(text.parse::<HostRule>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn addresses_need_a_host_or_a_port() {
        let any_port: AddressRule = "db.local:*".parse().unwrap();
        assert!(any_port.admits("DB.local", 5432));
        assert!(!any_port.admits("other", 5432));
        let any_host: AddressRule = "*:53".parse().unwrap();
        assert!(any_host.admits("x", 53) && !any_host.admits("x", 54));
        for text in ["*:*", "x", "x:", "x:70000", ":80"] {
            assert!(text.parse::<AddressRule>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn commands_match_whole_words() {
        let git: CommandRule = "git log".parse().unwrap();
        assert!(git.admits("git log --oneline"));
        assert!(!git.admits("git logs"));
        assert!(!git.admits("git"));
        assert!(" git".parse::<CommandRule>().is_err());
    }
}
