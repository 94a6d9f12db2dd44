//! Verifying: whose signature a bundle holds over some bytes, and when it was made.
//!
//! What comes out is a fact, not a permission: whether that signer may sign these bytes is [`crate::rule`]'s.

use astrid_manifest::signer::Signer;
use jiff::Timestamp;

use crate::bundle::{Bundle, Material};
use crate::error::{Error, Result};
use crate::json;
use crate::key::PublicKey;
use crate::root::TrustRoot;
use crate::sigstore::{self, Engine, ForeignKey};
use crate::statement::{Digests, MAX_BYTES, MAX_NAME, Statement};

/// The issuer of identities of GitHub's workflows.
pub(crate) const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
/// Where GitHub's repositories are.
pub(crate) const GITHUB: &str = "https://github.com/";
/// The predicate of SLSA provenance, version 1.
const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
/// The predicate of SLSA provenance, version 0.2.
const SLSA_V0_2: &str = "https://slsa.dev/provenance/v0.2";

/// Some bytes that are verified, and their digests, each computed at most once.
#[derive(Debug, Clone)]
pub struct Artifact<'a>(Digests<'a>);

impl<'a> Artifact<'a> {
    /// The artifact `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Digests::of(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.0.bytes()
    }

    /// Its digests.
    #[must_use]
    pub fn digests(&self) -> &Digests<'a> {
        &self.0
    }
}

impl<'a> From<&'a [u8]> for Artifact<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

/// Verifies bundles with one trust root. It is made once and shared between threads.
pub struct Verifier {
    engine: Engine,
}

/// What a bundle proved about some bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Who signed.
    pub signer: Identity,
    /// What kind of statement was signed; none when the bytes themselves were.
    pub predicate: Option<Predicate>,
    /// The statement that was signed.
    pub statement: Option<Statement>,
    /// When it was signed, by the word of logs and timestamp authorities; empty for a key without either.
    pub times: Vec<Timestamp>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The holder of an ed25519 key.
    Key(PublicKey),
    /// The holder of a key of another algorithm: `sha256:` and the digest of its `SubjectPublicKeyInfo`.
    SpkiKey(String),
    /// The holder of a certificate.
    Certificate(Box<Certificate>),
}

/// What a certificate says, by the word of its authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Who attested the identity.
    pub issuer: String,
    /// Whose it is: a mail address, or the URI of a workflow.
    pub identity: String,
    /// What it says about the build.
    pub claims: Claims,
}

/// What a certificate says about the build that signed; nothing for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The repository: `owner/name` on GitHub, else its URL.
    pub repository: Option<String>,
    /// The repository's URL as it is claimed.
    pub repository_uri: Option<String>,
    /// The ref that was built.
    pub reference: Option<String>,
    /// The file of the workflow: its path within the repository, or its URL when it belongs to another one.
    pub workflow: Option<String>,
    /// The workflow as it is claimed: repository, file and ref.
    pub workflow_uri: Option<String>,
    /// The commit that was built.
    pub commit: Option<String>,
    /// What started the build.
    pub trigger: Option<String>,
    /// Whose machine it ran on.
    pub runner: Option<String>,
    /// The run.
    pub run: Option<String>,
}

/// What kind of thing a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// Its type, a URI.
    pub kind: String,
    /// The builder that SLSA provenance names.
    pub builder: Option<String>,
}

impl Verifier {
    /// A verifier that believes `root`.
    ///
    /// # Errors
    /// `Unreadable` when the root can't be used.
    pub fn new(root: &TrustRoot) -> Result<Self> {
        let engine = Engine::new(root.anchors()).map_err(|why| {
            Error::unreadable(format!("the trusted root can't be used: {}", json::shown(&why)))
        })?;
        Ok(Self { engine })
    }

    /// Says who signed `artifact`.
    ///
    /// A bundle that is signed by a key is checked with the ed25519 key that it names itself: the signature is
    /// then right, and whether that key means anything is a rule's to say.
    ///
    /// # Errors
    /// `Refused` when it proves nothing about these bytes, `Unreadable` when it can't be used.
    pub fn verify(&self, artifact: &Artifact<'_>, bundle: &Bundle) -> Result<Verified> {
        match bundle.material() {
            Material::Certificate => {
                let statement = statement_about(artifact, bundle)?;
                let (certificate, times) =
                    self.engine.certificate(artifact, bundle.parsed(), statement.as_ref())?;
                Ok(Verified::new(Identity::Certificate(Box::new(certificate)), statement, times))
            }
            Material::Key => {
                let hint = bundle.key_hint().unwrap_or_default();
                let key: PublicKey =
                    hint.starts_with("ed25519:").then(|| hint.parse().ok()).flatten().ok_or_else(|| {
                        Error::refused("the bundle is signed by a key that it does not name")
                            .hint("say which key it must be")
                    })?;
                self.verify_with_key(artifact, bundle, &key)
            }
        }
    }

    /// Says that the holder of `key` signed `artifact`.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_with_key(
        &self,
        artifact: &Artifact<'_>,
        bundle: &Bundle,
        key: &PublicKey,
    ) -> Result<Verified> {
        needs_key(bundle)?;
        if !sigstore::signed_by(key, artifact, bundle.parsed())? {
            return Err(not_by(&key.to_string(), bundle));
        }
        self.finish(artifact, bundle, Identity::Key(*key), || ForeignKey::parse(&key.to_spki()))
    }

    /// Says that the holder of a key of any known algorithm signed `artifact`; `der` is its `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_with_spki(&self, artifact: &Artifact<'_>, bundle: &Bundle, der: &[u8]) -> Result<Verified> {
        if let Some(key) = PublicKey::from_spki(der)? {
            return self.verify_with_key(artifact, bundle, &key);
        }
        needs_key(bundle)?;
        let foreign = ForeignKey::parse(der)?;
        let name = format!("sha256:{}", hex::encode(Digests::of(der).sha256()));
        if !foreign.signed(artifact, bundle.parsed())? {
            return Err(not_by(&name, bundle));
        }
        self.finish(artifact, bundle, Identity::SpkiKey(name), || Ok(foreign))
    }

    /// What follows a right signature by a key: it is about these bytes, and what logs and timestamps it brings
    /// along must be right, too.
    fn finish(
        &self,
        artifact: &Artifact<'_>,
        bundle: &Bundle,
        signer: Identity,
        key: impl FnOnce() -> Result<ForeignKey>,
    ) -> Result<Verified> {
        let statement = statement_about(artifact, bundle)?;
        let times = if bundle.parsed().has_evidence() {
            self.engine.evidence(artifact, bundle.parsed(), statement.as_ref(), &key()?)?
        } else {
            Vec::new()
        };
        Ok(Verified::new(signer, statement, times))
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

fn needs_key(bundle: &Bundle) -> Result<()> {
    match bundle.material() {
        Material::Key => Ok(()),
        Material::Certificate => Err(Error::refused("the bundle is signed with a certificate, not by a key")
            .hint("say which identity and issuer it must be")),
    }
}

fn not_by(key: &str, bundle: &Bundle) -> Error {
    let error = Error::refused(format!("the signature is not by the key {key} over these bytes"));
    match bundle.key_hint() {
        Some(hint) if !hint.is_empty() && hint != key => {
            error.because([format!("the bundle names the key {}", json::shown(hint))])
        }
        _ => error,
    }
}

/// The statement, if that is what was signed; it must be about the artifact.
fn statement_about(artifact: &Artifact<'_>, bundle: &Bundle) -> Result<Option<Statement>> {
    let Some(payload) = bundle.payload() else { return Ok(None) };
    bundle.parsed().payload_type()?;
    json::check(payload, MAX_BYTES, "an in-toto statement")?;
    let statement = Statement::parse(payload)?;
    if statement.is_about(artifact.digests()) {
        return Ok(Some(statement));
    }
    let names: Vec<_> = statement.subject.iter().map(|subject| subject.name.as_str()).collect();
    let mut shown = names.iter().filter(|name| !name.is_empty()).map(|name| json::shown(name));
    let reason = match (shown.next(), shown.count()) {
        (None, _) => "it names nothing".to_owned(),
        (Some(one), 0) => format!("it is about {one}"),
        (Some(one), more) => format!("it is about {one} and {more} more"),
    };
    Err(Error::refused("the signed statement is about other bytes than these").because([reason]))
}

impl Verified {
    fn new(signer: Identity, statement: Option<Statement>, times: Vec<Timestamp>) -> Self {
        Self { signer, predicate: statement.as_ref().map(Predicate::of), statement, times }
    }

    /// The signer as locks and floors record it.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer.to_signer()
    }

    /// How much is known about the build: `slsa-v1`, `slsa-v0.2`, or the type of another statement.
    #[must_use]
    pub fn level(&self) -> Option<String> {
        self.predicate.as_ref().map(|predicate| match predicate.kind.as_str() {
            SLSA_V1 => "slsa-v1".to_owned(),
            SLSA_V0_2 => "slsa-v0.2".to_owned(),
            other => other.to_owned(),
        })
    }

    /// The earliest verified time.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.times.iter().min().copied()
    }
}

impl Identity {
    /// The signer as locks and floors record it: workflows without their ref.
    #[must_use]
    pub fn to_signer(&self) -> Signer {
        match self {
            Self::Key(key) => Signer::Key(key.to_string()),
            Self::SpkiKey(key) => Signer::Key(key.clone()),
            Self::Certificate(certificate) => {
                let issuer = certificate.issuer.clone();
                match (&certificate.claims.repository, &certificate.claims.workflow) {
                    (Some(repository), Some(workflow)) => {
                        Signer::Ci { issuer, repository: repository.clone(), workflow: workflow.clone() }
                    }
                    _ => Signer::Identity { issuer, identity: certificate.identity.clone() },
                }
            }
        }
    }
}

impl Claims {
    /// The claims about source and workflow, as a certificate has them.
    pub(crate) fn new(
        issuer: &str,
        repository_uri: Option<String>,
        reference: Option<String>,
        workflow_uri: Option<String>,
    ) -> Self {
        let repository = repository_uri.as_deref().map(|uri| short_repository(issuer, uri).to_owned());
        let workflow =
            repository_uri.as_deref().zip(workflow_uri.as_deref()).map(|(repository, workflow)| {
                let file = without_ref(workflow, reference.as_deref());
                file_of(repository, file).unwrap_or(file).to_owned()
            });
        Self { repository, repository_uri, reference, workflow, workflow_uri, ..Self::default() }
    }
}

/// `owner/name` for a repository on GitHub that GitHub itself vouches for; else the URL.
fn short_repository<'a>(issuer: &str, uri: &'a str) -> &'a str {
    if !is_github(issuer) {
        return uri;
    }
    uri.strip_prefix(GITHUB).filter(|name| name.split('/').count() == 2).unwrap_or(uri)
}

/// Says whether GitHub attests: for everyone, or for one enterprise.
pub(crate) fn is_github(issuer: &str) -> bool {
    issuer.strip_prefix(GITHUB_ISSUER).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `REPOSITORY/FILE` of `REPOSITORY/FILE@REF`.
fn without_ref<'a>(workflow: &'a str, reference: Option<&str>) -> &'a str {
    // A ref may have an at sign itself, so the one that is known comes first.
    let own = reference.and_then(|reference| workflow.strip_suffix(reference)?.strip_suffix('@'));
    own.or_else(|| workflow.split_once("@refs/").map(|(file, _)| file))
        .or_else(|| workflow.rsplit_once('@').map(|(file, _)| file))
        .unwrap_or(workflow)
}

/// `FILE` of `REPOSITORY/FILE`, when it is one of `repository`.
pub(crate) fn file_of<'a>(repository: &str, workflow: &'a str) -> Option<&'a str> {
    // GitLab writes two slashes where the repository ends.
    let file = workflow.strip_prefix(repository)?.strip_prefix('/')?;
    let file = file.strip_prefix('/').unwrap_or(file);
    (!file.is_empty()).then_some(file)
}

impl Predicate {
    /// The predicate of `statement`.
    #[must_use]
    pub fn of(statement: &Statement) -> Self {
        let path: &[&str] = match statement.predicate_type.as_str() {
            SLSA_V1 => &["runDetails", "builder", "id"],
            SLSA_V0_2 => &["builder", "id"],
            _ => &[],
        };
        let found = path.iter().try_fold(&statement.predicate, |value, key| value.get(key));
        let builder = found
            .and_then(|value| value.as_str())
            .filter(|id| id.len() <= MAX_NAME && !id.contains(char::is_control));
        let builder = builder.map(str::to_owned);
        Self { kind: statement.predicate_type.clone(), builder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NPM: &str = include_str!("../tests/data/npm.sigstore.json");
    const PRIVATE: &str = include_str!("../tests/data/github-private.sigstore.json");

    /// Bytes of which only the digest is here: the first strong one that the bundle's statement names.
    fn artifact_of(bundle: &Bundle, index: usize) -> Artifact<'static> {
        let statement = Statement::parse(bundle.payload().unwrap()).unwrap();
        Artifact(Digests::claimed(&statement.subject[index]))
    }

    #[test]
    fn the_provenance_of_an_npm_package_is_taken() {
        let bundle = Bundle::parse(NPM.as_bytes()).unwrap();
        let public = Verifier::new(TrustRoot::builtin()).unwrap();
        let verified = public.verify(&artifact_of(&bundle, 0), &bundle).unwrap();
        assert_eq!(
            verified.signer(),
            Signer::Ci {
                issuer: GITHUB_ISSUER.to_owned(),
                repository: "sigstore/sigstore-js".to_owned(),
                workflow: ".github/workflows/release.yml".to_owned(),
            }
        );
        assert_eq!(verified.level().as_deref(), Some("slsa-v1"));
        let builder = verified.predicate.unwrap().builder;
        assert_eq!(builder.as_deref(), Some("https://github.com/actions/runner/github-hosted"));
        assert_eq!(verified.times.len(), 1);
    }

    #[test]
    fn an_instance_without_a_log_is_denied() {
        let bundle = Bundle::parse(PRIVATE.as_bytes()).unwrap();
        let root = TrustRoot::parse(sigstore::GITHUB_ROOT.as_bytes()).unwrap();
        let error = Verifier::new(&root).unwrap().verify(&artifact_of(&bundle, 1), &bundle).unwrap_err();
        assert!(error.message().contains("lacks what proves"), "{error}");
    }

    #[test]
    fn a_workflow_is_told_from_its_ref() {
        let repository = "https://github.com/acme/fs";
        for (uri, reference, file) in [
            ("/.github/workflows/a.yml@refs/heads/main", Some("refs/heads/main"), ".github/workflows/a.yml"),
            ("/.github/workflows/a.yml@refs/tags/b@1", Some("refs/heads/main"), ".github/workflows/a.yml"),
            ("/.github/workflows/a.yml@refs/tags/b@1", None, ".github/workflows/a.yml"),
            ("/.github/workflows/a.yml@5c0ffee", None, ".github/workflows/a.yml"),
            ("//.gitlab-ci.yml@refs/heads/main", None, ".gitlab-ci.yml"),
            ("/a@b/c.yml@refs/heads/@x", Some("refs/heads/@x"), "a@b/c.yml"),
            ("2/a.yml@refs/heads/main", None, "https://github.com/acme/fs2/a.yml"),
            ("", None, "https://github.com/acme/fs"),
        ] {
            let claims = Claims::new(
                GITHUB_ISSUER,
                Some(repository.to_owned()),
                reference.map(str::to_owned),
                Some(format!("{repository}{uri}")),
            );
            assert_eq!(claims.workflow.as_deref(), Some(file), "{uri}");
            assert_eq!(claims.repository.as_deref(), Some("acme/fs"));
        }
    }

    #[test]
    fn a_repository_is_short_only_where_github_attests_it() {
        for (issuer, uri, short) in [
            (GITHUB_ISSUER, "https://github.com/acme/fs", "acme/fs"),
            ("https://token.actions.githubusercontent.com/acme", "https://github.com/acme/fs", "acme/fs"),
            (
                "https://token.actions.githubusercontent.com.example.org",
                "https://github.com/acme/fs",
                "https://github.com/acme/fs",
            ),
            ("https://issuer.example.org", "https://github.com/acme/fs", "https://github.com/acme/fs"),
            (GITHUB_ISSUER, "https://example.org/acme/fs", "https://example.org/acme/fs"),
            (GITHUB_ISSUER, "https://github.com/acme", "https://github.com/acme"),
        ] {
            assert_eq!(short_repository(issuer, uri), short);
        }
    }
}
