//! Release assets of a forge with a GitHub-shaped REST API.
//!
//! The token goes to the API's own host and to no other: an asset's address may lead anywhere.

use std::io::Read;
use std::time::Duration;

use semver::Version;
use serde::Deserialize;
use url::Url;

use crate::context::{Context, Network};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Running;
use crate::source::address::is_loopback;
use crate::source::signature::BESIDE;

/// An archive larger than this is not downloaded: 50 MiB, as everywhere in the platform.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 50 << 20;
/// An answer of the API: 16 MiB.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Releases on one page, the most that the API gives.
const PAGE: usize = 100;
/// Pages that are read: 2,000 releases.
const MAX_PAGES: usize = 20;
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// `org/repo` on the forge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    org: String,
    name: String,
}

impl Repository {
    /// Reads `@org/repo` or `org/repo`.
    ///
    /// # Errors
    /// `Invalid` unless both halves are plain names.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
                && !part.starts_with('.')
        };
        let bare = text.strip_prefix('@').unwrap_or(text);
        match bare.split_once('/') {
            Some((org, name)) if plain(org) && plain(name) => {
                Ok(Self { org: org.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::invalid(format!("`{}` is no `@org/repo`", text.escape_debug()))),
        }
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}/{}", self.org, self.name)
    }
}

/// One release, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// The tag that it was made from.
    pub tag_name: String,
    /// Not published yet.
    #[serde(default)]
    pub draft: bool,
    /// When it was published, as the forge says.
    #[serde(default)]
    pub published_at: Option<String>,
    /// Its files.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// One file of a release.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct Asset {
    /// Its file name.
    pub name: String,
    /// Its address in the API.
    pub url: String,
    /// Its size in bytes, as the forge says.
    #[serde(default)]
    pub size: u64,
}

impl Release {
    /// The version that the tag names, as `v1.2.0` or `1.2.0`.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.tag_name.strip_prefix('v').unwrap_or(&self.tag_name).parse().ok()
    }

    /// The archive of `name`: the only one with one of the endings, or among several the one that
    /// is called `name` and the ending.
    ///
    /// # Errors
    /// `Invalid` when there is none, or several and none of that name.
    pub fn archive(&self, name: &str, endings: &[&str]) -> Result<&Asset> {
        let fitting: Vec<&Asset> = self
            .assets
            .iter()
            .filter(|asset| endings.iter().any(|ending| asset.name.ends_with(ending)))
            .collect();
        match fitting.as_slice() {
            [] => Err(Error::invalid(format!(
                "release `{}` has no `{}` asset",
                self.tag_name,
                endings.join("`, `")
            ))),
            [only] => Ok(only),
            several => several
                .iter()
                .find(|asset| endings.iter().any(|ending| asset.name.strip_suffix(ending) == Some(name)))
                .copied()
                .ok_or_else(|| {
                    let names: Vec<&str> = several.iter().map(|asset| asset.name.as_str()).collect();
                    Error::invalid(format!(
                        "release `{}` has several archives and none is called `{name}{}`: {}",
                        self.tag_name,
                        endings.first().unwrap_or(&""),
                        names.join(", ")
                    ))
                }),
        }
    }
}

impl Release {
    /// The asset with the bundle of another asset.
    #[must_use]
    pub fn signature_of(&self, archive: &Asset) -> Option<&Asset> {
        BESIDE.iter().find_map(|ending| {
            self.assets.iter().find(|asset| asset.name.strip_suffix(ending) == Some(archive.name.as_str()))
        })
    }
}

/// A client of the release API.
pub struct Client<'a> {
    context: &'a Context,
    base: Url,
    agent: ureq::Agent,
}

impl<'a> Client<'a> {
    /// A client for the context's endpoint.
    ///
    /// # Errors
    /// `Invalid` when the endpoint is neither `https` nor `http` to this machine.
    pub fn new(context: &'a Context) -> Result<Self> {
        let text = context.endpoints.release_api.trim_end_matches('/');
        let base = Url::parse(text).map_err(|error| {
            Error::invalid(format!("the release API's address is not valid: `{text}`")).caused_by(error)
        })?;
        let local = base.scheme() == "http" && is_loopback(&base);
        if base.scheme() != "https" && !local {
            return Err(Error::invalid(format!("the release API must be https: `{base}`")));
        }
        let proxy = match &context.endpoints.proxy {
            Some(proxy) => Some(
                ureq::Proxy::new(proxy)
                    .map_err(|error| Error::invalid("the proxy's address is not valid").caused_by(error))?,
            ),
            None => None,
        };
        let config = ureq::Agent::config_builder()
            .https_only(!local)
            .proxy(proxy)
            .http_status_as_error(false)
            .user_agent("astrid")
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .build();
        Ok(Self { context, base, agent: config.new_agent() })
    }

    /// Every published release, newest first as the forge orders them.
    ///
    /// # Errors
    /// `NeedsNetwork` offline; `Failed` when the server does not answer as it should.
    pub fn releases(&self, repository: &Repository) -> Result<Vec<Release>> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let address = self.address(&format!(
                "repos/{}/{}/releases?per_page={PAGE}&page={page}",
                repository.org, repository.name
            ))?;
            let releases: Vec<Release> = self
                .json(&address)?
                .ok_or_else(|| Error::failed(format!("{repository} does not exist, or is not public")))?;
            let last = releases.len() < PAGE;
            all.extend(releases.into_iter().filter(|release| !release.draft));
            if last {
                break;
            }
        }
        Ok(all)
    }

    /// The release of one tag; nothing when there is none.
    ///
    /// # Errors
    /// As [`Client::releases`].
    pub fn release(&self, repository: &Repository, tag: &str) -> Result<Option<Release>> {
        let mut address =
            self.address(&format!("repos/{}/{}/releases/tags", repository.org, repository.name))?;
        address
            .path_segments_mut()
            .map_err(|()| Error::invalid("the release API's address has no path"))?
            .push(tag);
        self.json(&address)
    }

    /// Downloads an asset.
    ///
    /// # Errors
    /// `Invalid` when it is larger than 50 MiB; else as [`Client::releases`].
    pub fn download(&self, asset: &Asset) -> Result<Vec<u8>> {
        let address = Url::parse(&asset.url).map_err(|error| {
            Error::failed(format!("`{}` has no valid address", asset.name)).caused_by(error)
        })?;
        if asset.size > MAX_ARCHIVE_BYTES {
            return Err(too_large(&asset.name));
        }
        let running = Running::start(
            self.context.progress.as_ref(),
            &format!("download {}", asset.name),
            (asset.size > 0).then_some(asset.size),
        );
        let mut answer = self
            .get(&address, "application/octet-stream")?
            .ok_or_else(|| Error::failed(format!("`{}` is gone from its release", asset.name)))?;
        let mut reader = answer.body_mut().as_reader().take(MAX_ARCHIVE_BYTES + 1);
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = reader.read(&mut buffer).map_err(|error| {
                Error::failed(format!("the download of `{}` broke off", asset.name)).caused_by(error)
            })?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..count]);
            running.advance(count as u64);
        }
        if bytes.len() as u64 > MAX_ARCHIVE_BYTES {
            return Err(too_large(&asset.name));
        }
        Ok(bytes)
    }

    fn address(&self, path: &str) -> Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|error| Error::invalid("the release API's address is not valid").caused_by(error))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, address: &Url) -> Result<Option<T>> {
        let Some(mut answer) = self.get(address, "application/vnd.github+json")? else { return Ok(None) };
        let bytes =
            answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(|error| {
                Error::failed(format!("the answer of {} broke off", host(address))).caused_by(error)
            })?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::failed(format!("{} answered something that is no list of releases", host(address)))
                .caused_by(error)
        })
    }

    /// Asks for `address`; nothing when the server says that there is no such thing.
    fn get(&self, address: &Url, accept: &str) -> Result<Option<ureq::http::Response<ureq::Body>>> {
        if self.context.network == Network::Offline {
            return Err(Error::new(
                ErrorKind::NeedsNetwork,
                format!("{} has to be asked, and this run is offline", host(address)),
            )
            .hint("run `astrid fetch` with a network first"));
        }
        let mut request = self.agent.get(address.as_str()).header("accept", accept);
        if let Some(token) = &self.context.tokens.release
            && same_origin(address, &self.base)
        {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let answer = request
            .call()
            .map_err(|error| Error::failed(format!("{} does not answer", host(address))).caused_by(error))?;
        match answer.status().as_u16() {
            200..=299 => Ok(Some(answer)),
            404 | 410 => Ok(None),
            status @ (401 | 403 | 429) => Err(Error::failed(format!("{} refuses ({status})", host(address)))
                .hint("a token may be missing, or the rate limit is used up: set GH_TOKEN")),
            status => Err(Error::failed(format!("{} answered {status}", host(address)))),
        }
    }
}

fn too_large(name: &str) -> Error {
    Error::invalid(format!("`{name}` is larger than 50 MiB"))
}

fn host(address: &Url) -> String {
    address.host_str().unwrap_or("the server").to_owned()
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(names: &[&str]) -> Release {
        Release {
            tag_name: "v1.2.0".to_owned(),
            draft: false,
            published_at: None,
            assets: names
                .iter()
                .map(|name| Asset { name: (*name).to_owned(), url: String::new(), size: 0 })
                .collect(),
        }
    }

    #[test]
    fn the_archive_is_found_by_its_name() {
        assert_eq!(
            release(&["x.capsule", "x.sha256"]).archive("fs", &[".capsule"]).unwrap().name,
            "x.capsule"
        );
        let two = release(&["fs.capsule", "net.capsule"]);
        assert_eq!(two.archive("fs", &[".capsule"]).unwrap().name, "fs.capsule");
        assert_eq!(two.version(), Some(Version::new(1, 2, 0)));
    }

    #[test]
    fn an_unclear_release_is_refused_denied() {
        assert!(release(&[]).archive("fs", &[".capsule"]).is_err());
        assert!(release(&["a.capsule", "b.capsule"]).archive("fs", &[".capsule"]).is_err());
    }

    #[test]
    fn repositories_are_two_plain_names() {
        assert_eq!(Repository::parse("@acme/fs").unwrap().to_string(), "@acme/fs");
        for text in ["@acme", "@/fs", "@acme/", "@acme/fs/x", "@../x", "@acme/..", "@a b/c"] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }
}
