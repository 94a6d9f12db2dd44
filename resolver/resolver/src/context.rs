//! What the resolver is given instead of reaching for it: home, store, clock, randomness, network.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use astrid_manifest::version::PLATFORM_COMPAT;
use astrid_store::{Home, Store};
use jiff::Timestamp;
use semver::Version;

use crate::progress::{Progress, Silent};

/// Where release assets are looked for when nothing else is said.
const RELEASE_API: &str = "https://api.github.com";
/// Where `@owner/repo` is a git repository, when a distro is named that way.
const FORGE: &str = "https://github.com";

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()>;
}

/// Whether this run may use the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// It may.
    #[default]
    Online,
    /// It may not: what is not here yet is a refusal.
    Offline,
}

/// Where servers are.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The base of a GitHub-shaped REST API; `https`, or `http` to this machine.
    pub release_api: String,
    /// The base of the forge's repositories: `<forge>/owner/repo` is one.
    pub forge: String,
    /// A proxy for HTTP requests, as `http://host:port`.
    pub proxy: Option<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { release_api: RELEASE_API.to_owned(), forge: FORGE.to_owned(), proxy: None }
    }
}

/// A secret text that can't be printed.
#[derive(Clone)]
pub struct Token(zeroize::Zeroizing<String>);

impl Token {
    /// Wraps a token; a blank one is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(zeroize::Zeroizing::new(text.to_owned())))
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Tokens for servers. Each goes to its own server and nowhere else.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// For the release API's host.
    pub release: Option<Token>,
}

/// Everything that a run has besides what it is asked to do.
#[derive(Clone)]
pub struct Context {
    /// The home's layout.
    pub home: Home,
    /// The home's content store.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Whether the network may be used.
    pub network: Network,
    /// Where servers are.
    pub endpoints: Endpoints,
    /// Tokens for them.
    pub tokens: Tokens,
    /// Who is told about long work.
    pub progress: Arc<dyn Progress>,
    /// How many things are fetched at once.
    pub jobs: NonZeroUsize,
    /// The platform version that manifests are matched against.
    pub platform: Version,
    /// Who runs it, as `name <mail>`: recorded in acknowledgements.
    pub caller: String,
    /// Where this run keeps what it fetches, so that the home stays as it is: [`Context::looking_only`].
    pub(crate) aside: Option<PathBuf>,
}

impl Context {
    /// The same context for a run that only looks until somebody trusts what it found: what it fetches goes
    /// into `store` and below `folder`, which are thrown away. The home's own store and caches are read.
    #[must_use]
    pub fn looking_only(self, folder: PathBuf, store: Store) -> Self {
        let store = store.over(&self.store);
        Self { store, aside: Some(folder), ..self }
    }

    /// Whether it is for a run that only looks.
    #[must_use]
    pub fn is_looking_only(&self) -> bool {
        self.aside.is_some()
    }

    /// The folder for what may be deleted at any time.
    pub(crate) fn var(&self) -> PathBuf {
        self.aside.clone().unwrap_or_else(|| self.home.var())
    }

    /// A context that is online, tells nobody, and fetches four things at once.
    pub fn new(
        home: Home,
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        caller: String,
    ) -> Self {
        Self {
            home,
            store,
            clock,
            entropy,
            network: Network::Online,
            endpoints: Endpoints::default(),
            tokens: Tokens::default(),
            progress: Arc::new(Silent::default()),
            jobs: NonZeroUsize::MIN.saturating_add(3),
            platform: PLATFORM_COMPAT,
            caller,
            aside: None,
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("network", &self.network)
            .field("endpoints", &self.endpoints)
            .field("tokens", &self.tokens)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}
