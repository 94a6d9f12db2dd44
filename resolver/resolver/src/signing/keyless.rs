//! Signing in CI: who the job is, and the way to the services.
//!
//! A token is looked for in this order: a file that was named, `SIGSTORE_ID_TOKEN` (which is also how GitLab hands
//! it over), GitHub Actions' endpoint, Buildkite's agent. It goes to the certificate authority and nowhere else.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use astrid_provenance::keyless::{AUDIENCE, Ask, Keyless, MAX_TOKEN_BYTES, Token, Transport};
use astrid_provenance::{Statement, TrustRoot, Verifier};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::context::{Context, Network};
use crate::error::{Error, ErrorKind, Result};
use crate::gate::root;
use crate::signing::{Signable, Signed};
use crate::source::address::is_loopback;
use crate::source::index::read_limited;

pub use astrid_provenance::keyless::{RekorVersion, Services};

/// A trust root larger than this is not read: 4 MiB.
const MAX_ROOT_BYTES: u64 = 4 << 20;
/// How long a service may take for one answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// So much of a service's complaint is shown.
const SHOWN: usize = 200;

/// What keyless signing is told.
pub struct Request<'a> {
    /// Where to ask; none is Sigstore's public good instance.
    pub services: Option<Services>,
    /// The trust root that the bundle must verify against; none is the home's own, or the one in the program.
    pub trusted_root: Option<&'a Path>,
    /// The file of the token.
    pub token_file: Option<&'a Path>,
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<&'a str>,
}

/// Signs as the job that runs this, and verifies the bundle.
///
/// # Errors
/// `Usage` when nobody says who signs; `NeedsNetwork` offline; `Failed` when a service does not answer; `Invalid`
/// and `Signature` when what it answers makes no sense or does not verify.
pub fn sign(
    context: &Context,
    request: &Request<'_>,
    signable: &Signable,
    statement: &Statement,
) -> Result<Signed> {
    let root = match request.trusted_root {
        None => root::read(context)?.0,
        Some(path) => trusted_root(path)?,
    };
    let verifier = Verifier::new(&root)?;
    let services = request.services.clone().unwrap_or_else(Services::public_good);
    for address in [Some(&services.fulcio), Some(&services.rekor), services.timestamp_authority.as_ref()] {
        address.map(|address| checked(address)).transpose()?;
    }
    let token = &ambient_token(context, request)?;
    let transport = &Http { context };
    let keyless = Keyless { services: &services, token, transport, verifier: &verifier };
    let signed = keyless.sign_statement(statement, &signable.artifacts())?;
    Ok(Signed { bundle: signed.bundle, verified: signed.verified })
}

fn trusted_root(path: &Path) -> Result<TrustRoot> {
    let shown = path.display();
    let bytes = read_limited(path, MAX_ROOT_BYTES)
        .map_err(|error| Error::failed(format!("`{shown}` can't be read")).caused_by(error))?
        .ok_or_else(|| Error::invalid(format!("`{shown}` is too large for a trust root")))?;
    Ok(TrustRoot::parse(&bytes)?)
}

/// The token of the job that runs this.
fn ambient_token(context: &Context, request: &Request<'_>) -> Result<Token> {
    let variable = request.variable;
    let text = if let Some(file) = request.token_file {
        from_file(file)?
    } else if let Some(token) = variable("SIGSTORE_ID_TOKEN") {
        Zeroizing::new(token.to_owned())
    } else if variable("GITHUB_ACTIONS") == Some("true") {
        from_github(context, variable)?
    } else if variable("GITLAB_CI") == Some("true") {
        return Err(no_token("the job has no `SIGSTORE_ID_TOKEN`")
            .hint("give the job `id_tokens: { SIGSTORE_ID_TOKEN: { aud: sigstore } }` in .gitlab-ci.yml"));
    } else if variable("BUILDKITE") == Some("true") {
        from_buildkite()?
    } else {
        return Err(no_token("nobody here says who signs").hint(
            "keyless signing runs in CI (GitHub Actions, GitLab, Buildkite), with SIGSTORE_ID_TOKEN, or with --token-file; on your own machine sign with --key",
        ));
    };
    Ok(Token::parse(text, context.clock.now())?)
}

fn no_token(message: &str) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn from_file(file: &Path) -> Result<Zeroizing<String>> {
    let bytes = read_limited(file, MAX_TOKEN_BYTES as u64)
        .map_err(|error| Error::failed(format!("`{}` can't be read", file.display())).caused_by(error))?
        .ok_or_else(|| Error::invalid(format!("`{}` is too large for a token", file.display())))?;
    as_text(Zeroizing::new(bytes))
}

/// The bytes of a token as text. What is wrong with them is not told: it could hold a part of it.
fn as_text(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::invalid("the identity token is no text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn from_github<'v>(
    context: &Context,
    variable: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let (Some(url), Some(bearer)) =
        (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
    else {
        return Err(no_token("the job may not ask for an identity token")
            .hint("give the job `permissions: { id-token: write }` in the workflow"));
    };
    let mut url = checked(url)?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let agent = agent(context, &url)?;
    let request = agent.get(url.as_str()).header("authorization", format!("Bearer {bearer}"));
    let answer = request.call().map_err(|error| unanswered(&url, error))?;
    let bytes = Zeroizing::new(body(&url, answer, MAX_TOKEN_BYTES, true)?);
    let answer: Answer = serde_json::from_slice(&bytes)
        .map_err(|_| Error::failed(format!("{} gives no identity token", host(&url))))?;
    Ok(Zeroizing::new(answer.value))
}

fn from_buildkite() -> Result<Zeroizing<String>> {
    let refused = || {
        Error::failed("`buildkite-agent oidc request-token` gives no identity token")
            .hint("the agent must be on PATH, and the job must be allowed to ask for tokens")
    };
    let mut agent = Command::new("buildkite-agent")
        .args(["oidc", "request-token", "--audience", AUDIENCE])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| refused().caused_by(error))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TOKEN_BYTES + 1));
    let output = agent.stdout.take().ok_or_else(refused)?;
    let read = output.take(MAX_TOKEN_BYTES as u64 + 1).read_to_end(&mut bytes);
    let status = agent.wait().map_err(|error| refused().caused_by(error))?;
    if !status.success() || read.is_err() || bytes.len() > MAX_TOKEN_BYTES {
        return Err(refused());
    }
    as_text(bytes)
}

/// The way to the services over HTTP.
struct Http<'a> {
    context: &'a Context,
}

impl Transport for Http<'_> {
    type Error = Error;

    fn post(&self, ask: &Ask<'_>) -> Result<Vec<u8>> {
        let url = checked(&ask.url)?;
        let agent = agent(self.context, &url)?;
        let request = agent.post(url.as_str()).header("content-type", ask.content_type);
        let answer = request.send(ask.body).map_err(|error| unanswered(&url, error))?;
        body(&url, answer, ask.limit, ask.secret)
    }
}

/// An address that a secret may be sent to.
fn checked(text: &str) -> Result<Url> {
    let url = Url::parse(text)
        .map_err(|error| Error::new(ErrorKind::Usage, format!("`{text}` is no address")).caused_by(error))?;
    let safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
    if !safe || !url.username().is_empty() || url.password().is_some() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("the address of {} must be https, without a name or password in it", host(&url)),
        ));
    }
    Ok(url)
}

fn agent(context: &Context, url: &Url) -> Result<ureq::Agent> {
    if context.network == Network::Offline {
        return Err(Error::new(
            ErrorKind::NeedsNetwork,
            format!("{} has to be asked, and this run is offline", host(url)),
        )
        .hint("sign with --key: that needs no network"));
    }
    let local = is_loopback(url);
    let proxy = context.endpoints.proxy.as_ref().filter(|_| !local);
    let proxy = proxy
        .map(|proxy| ureq::Proxy::new(proxy))
        .transpose()
        .map_err(|error| Error::invalid("the proxy's address is not valid").caused_by(error))?;
    let config = ureq::Agent::config_builder()
        .https_only(url.scheme() == "https")
        .proxy(proxy)
        .http_status_as_error(false)
        // A token must not follow a service to somewhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("astrid")
        .timeout_global(Some(PATIENCE))
        .build();
    Ok(config.new_agent())
}

fn body(
    url: &Url,
    mut answer: ureq::http::Response<ureq::Body>,
    limit: usize,
    secret: bool,
) -> Result<Vec<u8>> {
    let status = answer.status();
    let read = answer.body_mut().with_config().limit(limit as u64).read_to_vec();
    if !status.is_success() {
        let refused = Error::failed(format!("{} answered {}", host(url), status.as_u16()));
        return Err(match read {
            // It could repeat the token.
            Ok(body) if !secret && !body.is_empty() => refused.because([shown(&body)]),
            _ => refused,
        });
    }
    read.map_err(|error| {
        Error::failed(format!("{} does not answer as it should", host(url))).caused_by(error)
    })
}

fn unanswered(url: &Url, error: ureq::Error) -> Error {
    Error::failed(format!("{} does not answer", host(url))).caused_by(error)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the service")
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
