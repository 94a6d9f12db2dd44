//! Addresses of git repositories: who may name which, and the one form in which they are compared.
//!
//! The normalised form is what locks record, what the cache is keyed by, and what belief in an
//! origin is tied to: two spellings of one repository must never be two origins, and two
//! repositories never one. Which schemes there are is the source syntax's business.

use std::fmt;

use astrid_manifest::source::Source;
use url::{Host, Url};

use crate::error::{Error, Result};

/// Who wrote an address down, and with that, what it may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A person on the command line, or a file of this machine: local repositories are fine.
    ByPerson,
    /// A distro, pack or bundle that came from somewhere else.
    ByFetched,
}

/// The address of a git repository, normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitAddress(String);

impl GitAddress {
    /// Takes the URL of a git source.
    ///
    /// # Errors
    /// `Invalid` when it is no such URL, or when something that was fetched names this machine.
    pub fn parse(url: &str, named: Named) -> Result<Self> {
        let Ok(Source::Git(source)) =
            Source::parse_distro(&format!("git+{}", url.trim_start_matches("git+")))
        else {
            return Err(Error::invalid("this is no address of a git repository")
                .hint("use https://, ssh:// or git@host:path, without credentials"));
        };
        let url = Url::parse(&source.url)
            .map_err(|error| Error::invalid("this is no address of a git repository").caused_by(error))?;
        if named == Named::ByFetched && matches!(url.scheme(), "file" | "http") {
            return Err(Error::invalid(format!("what was fetched may not point at this machine: `{url}`"))
                .hint("only a person, or a file of this machine, may name it"));
        }
        Ok(Self(normal(&url)))
    }

    /// The normalised address, as git understands it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether asking it needs no network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.starts_with("file:")
    }
}

impl fmt::Display for GitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says whether a URL can only reach this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Lowercase scheme and host are the URL parser's work; what is left is the tail.
fn normal(url: &Url) -> String {
    let text = url.as_str().trim_end_matches('/');
    if url.scheme() == "file" {
        return text.to_owned();
    }
    text.strip_suffix(".git").unwrap_or(text).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(text: &str) -> String {
        GitAddress::parse(text, Named::ByPerson).unwrap().to_string()
    }

    #[test]
    fn spellings_of_one_repository_are_one() {
        let one = person("https://Example.org/acme/fleet");
        for other in [
            "https://example.org/acme/fleet.git",
            "https://example.org:443/acme/fleet/",
            "git+https://example.org/acme/fleet",
        ] {
            assert_eq!(person(other), one);
        }
        assert_eq!(person("git@example.org:acme/fleet.git"), person("ssh://git@example.org/acme/fleet"));
        assert_ne!(person("https://example.org/acme/Fleet"), one);
    }

    #[test]
    fn local_repositories_are_for_people_only_denied() {
        for text in ["file:///srv/fleet", "http://127.0.0.1:8080/fleet"] {
            assert!(GitAddress::parse(text, Named::ByPerson).is_ok(), "{text}");
            let error = GitAddress::parse(text, Named::ByFetched).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Invalid);
        }
    }

    #[test]
    fn dangerous_addresses_are_refused_denied() {
        for text in [
            "ext::sh -c touch% /tmp/x",
            "https://user:secret@example.org/a",
            "https://token@example.org/a",
            "ssh://-oProxyCommand=x@example.org/a",
            "git://example.org/a",
            "http://example.org/a",
            "https://example.org/a#b",
            "file://host/a",
            "relative/path",
        ] {
            let error = GitAddress::parse(text, Named::ByPerson).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
