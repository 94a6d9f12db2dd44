//! The one place that names the Sigstore crate, so that a new version of it is a change to this file.
//!
//! It closes what the crate leaves open: the window of the log that holds an entry, logs of unknown algorithms,
//! a clock that is behind, and bundles that are signed by a key alone. Nothing is ever skipped: a bundle with a
//! certificate must have a chain, a certificate timestamp, an entry in a log, and an identity.

#[cfg(feature = "sign")]
pub(crate) mod ephemeral;

use ::sigstore::crypto::{KeyAlgorithm, VerificationKey, parse_certificate_info};
use ::sigstore::trust_root::{CertificateTransparencyLog, TransparencyLog, TrustedRoot};
use ::sigstore::types::{
    self, Artifact as Input, DerPublicKey, Sha256Hash, SignatureContent, TimeRange,
    VerificationMaterialContent,
};
use ::sigstore::{
    CertificateError, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, tsa,
};
use jiff::Timestamp;

use crate::bundle::Material;
use crate::error::{Error, Result};
use crate::json::shown;
use crate::statement::{Digests, MEDIA_TYPE};
use crate::verify::{Artifact, Certificate, Claims};

pub(crate) use ::sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT as BUILTIN_ROOT;

/// A bundle as the crate parses it.
pub(crate) struct Parsed(types::Bundle);

/// A root as the crate takes it: only what it can use.
#[derive(Default)]
pub(crate) struct Anchors(Option<TrustedRoot>);

/// The crate's verifier, and what is needed beside it.
pub(crate) struct Engine {
    inner: ::sigstore::Verifier,
    root: TrustedRoot,
    logs: Vec<Log>,
    certificate_logs: Vec<Log>,
}

/// A log of the root.
struct Log {
    id: Sha256Hash,
    name: String,
    window: Option<TimeRange>,
}

/// A key of any algorithm that the crate knows.
pub(crate) struct ForeignKey(DerPublicKey);

/// What a bundle with a certificate proved.
pub(crate) struct Proved {
    pub(crate) certificate: Certificate,
    pub(crate) times: Vec<Timestamp>,
}

impl Parsed {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bundle = types::Bundle::from_json(text).map_err(|error| error.to_string())?;
        match &bundle.verification_material.content {
            VerificationMaterialContent::X509CertificateChain { certificates } if certificates.is_empty() => {
                Err("its chain of certificates is empty".to_owned())
            }
            VerificationMaterialContent::Certificate(_)
            | VerificationMaterialContent::X509CertificateChain { .. }
            | VerificationMaterialContent::PublicKey(_) => Ok(Self(bundle)),
            _ => Err("it is signed in a way that is not known here".to_owned()),
        }
    }

    pub(crate) fn material(&self) -> Material {
        match &self.0.verification_material.content {
            VerificationMaterialContent::PublicKey(_) => Material::Key,
            _ => Material::Certificate,
        }
    }

    pub(crate) fn key_hint(&self) -> Option<&str> {
        match &self.0.verification_material.content {
            VerificationMaterialContent::PublicKey(key) => Some(&key.hint),
            _ => None,
        }
    }

    pub(crate) fn payload(&self) -> Option<&[u8]> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => Some(envelope.payload.as_bytes()),
            _ => None,
        }
    }

    /// Whether logs or timestamps come with it.
    pub(crate) fn has_evidence(&self) -> bool {
        let material = &self.0.verification_material;
        !material.tlog_entries.is_empty()
            || !material.timestamp_verification_data.rfc3161_timestamps.is_empty()
    }

    /// What is signed, and the signature over it.
    fn signed<'a>(&'a self, artifact: &Artifact<'a>) -> Result<(std::borrow::Cow<'a, [u8]>, &'a [u8])> {
        match &self.0.content {
            SignatureContent::MessageSignature(message) => {
                if let Some(digest) = &message.message_digest {
                    let own = artifact.digests();
                    let same = match digest.algorithm {
                        types::HashAlgorithm::Sha2256 => digest.digest.as_bytes() == own.sha256(),
                        types::HashAlgorithm::Sha2384 => digest.digest.as_bytes() == own.sha384(),
                        types::HashAlgorithm::Sha2512 => digest.digest.as_bytes() == own.sha512(),
                        _ => {
                            return Err(Error::unreadable(
                                "the bundle's digest has an algorithm that is not known here",
                            ));
                        }
                    };
                    if !same {
                        return Err(other_artifact("the digest in the bundle is of other bytes"));
                    }
                }
                Ok((artifact.bytes().into(), message.signature.as_bytes()))
            }
            SignatureContent::DsseEnvelope(envelope) => {
                self.payload_type()?;
                Ok((envelope.pae().into(), envelope.signature.sig.as_bytes()))
            }
            _ => Err(Error::unreadable("the bundle holds a signature of a kind that is not known here")),
        }
    }

    /// Refuses envelopes that hold anything but a statement.
    fn payload_type(&self) -> Result<()> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) if envelope.payload_type != MEDIA_TYPE => {
                Err(Error::unreadable(format!(
                    "the envelope holds `{}`, and only in-toto statements (`{MEDIA_TYPE}`) name what they are about",
                    shown(&envelope.payload_type)
                )))
            }
            _ => Ok(()),
        }
    }

    /// The latest time that it claims to have been signed at, verified or not.
    fn claimed_time(&self) -> Option<Timestamp> {
        let entries =
            self.0.verification_material.tlog_entries.iter().filter_map(|entry| entry.integrated_time);
        let certificate = self.0.signing_certificate().and_then(|der| parse_certificate_info(der).ok());
        entries.chain(certificate.map(|info| info.not_before)).max()
    }
}

impl Anchors {
    /// Reads a root entry by entry, and gives those that can't be used in words.
    pub(crate) fn parse(text: &str, limit: usize) -> Result<(Self, Vec<String>), String> {
        const LISTS: [(&str, &str); 4] = [
            ("tlogs", "transparency log"),
            ("certificateAuthorities", "certificate authority"),
            ("ctlogs", "certificate log"),
            ("timestampAuthorities", "timestamp authority"),
        ];
        let mut document: serde_json::Value =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let document = document.as_object_mut().ok_or("it is no object")?;
        let media_type =
            document.get("mediaType").and_then(|value| value.as_str()).ok_or("it has no `mediaType`")?;
        if !media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(format!("it is a `{media_type}`"));
        }
        let mut left_out = Vec::new();
        for (list, noun) in LISTS {
            let Some(entries) = document.get_mut(list) else { continue };
            if entries.is_null() {
                document.remove(list);
                continue;
            }
            let entries = entries.as_array_mut().ok_or_else(|| format!("`{list}` is no list"))?;
            if entries.len() > limit {
                return Err(format!("`{list}` has {} entries, and at most {limit} are read", entries.len()));
            }
            entries.retain(|entry| {
                // What can't be used alone can't be used with others either.
                let alone = serde_json::json!({
                    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                    list: [entry],
                });
                let usable = serde_json::from_value::<TrustedRoot>(alone)
                    .map_err(|error| error.to_string())
                    .and_then(|root| ::sigstore::Verifier::new(&root).map_err(|error| error.to_string()));
                if let Err(why) = &usable {
                    let name = ["baseUrl", "uri"]
                        .iter()
                        .find_map(|key| entry.get(key)?.as_str())
                        .unwrap_or("unnamed");
                    left_out.push(format!("{noun} {}: {}", shown(name), shown(why)));
                }
                usable.is_ok()
            });
        }
        let root: TrustedRoot = serde_json::from_value(serde_json::Value::Object(std::mem::take(document)))
            .map_err(|error| error.to_string())?;
        let anchors = Self(Some(root));
        anchors.engine()?;
        Ok((anchors, left_out))
    }

    /// The verifier for this root.
    pub(crate) fn engine(&self) -> Result<Engine, String> {
        let root = match &self.0 {
            Some(root) => root.clone(),
            None => TrustedRoot::from_json(r#"{"mediaType":""}"#).map_err(|error| error.to_string())?,
        };
        let inner = ::sigstore::Verifier::new(&root).map_err(|error| error.to_string())?;
        let logs = root.tlogs.iter().map(Log::of).collect::<Result<Vec<_>, _>>()?;
        let certificate_logs = root.ctlogs.iter().map(Log::of_certificates).collect::<Result<Vec<_>, _>>()?;
        for (index, log) in logs.iter().enumerate() {
            if logs[..index].iter().any(|other| other.hint() == log.hint()) {
                return Err(format!("the logs {} and another have keys of the same short name", log.name));
            }
        }
        Ok(Engine { inner, root, logs, certificate_logs })
    }
}

impl Log {
    fn of(log: &TransparencyLog) -> Result<Self, String> {
        Self::new(log.log_id.key_id.as_bytes(), &log.base_url, log.public_key.valid_for)
    }

    fn of_certificates(log: &CertificateTransparencyLog) -> Result<Self, String> {
        Self::new(log.log_id.key_id.as_bytes(), &log.base_url, log.public_key.valid_for)
    }

    fn new(id: &[u8], name: &str, window: Option<TimeRange>) -> Result<Self, String> {
        let id = Sha256Hash::try_from(id).map_err(|error| error.to_string())?;
        Ok(Self { id, name: shown(name), window })
    }

    /// The four bytes by which a checkpoint names the log's key.
    fn hint(&self) -> &[u8] {
        &self.id.as_bytes()[..4]
    }

    /// Refuses a log whose key was not valid at `time`: not yet, or no longer.
    fn was_valid_at(&self, time: Timestamp) -> Result<()> {
        match self.window {
            Some(window) if !window.contains(time) => Err(refused(format!(
                "the key of the log {} was not valid at {time}: {}",
                self.name,
                words(window)
            ))),
            _ => Ok(()),
        }
    }
}

fn words(window: TimeRange) -> String {
    match window.end {
        Some(end) => format!("it is from {} to {end}", window.start),
        None => format!("it is from {}", window.start),
    }
}

impl Engine {
    /// Checks everything of a bundle that has a certificate.
    pub(crate) fn certificate(&self, artifact: &Artifact<'_>, bundle: &Parsed) -> Result<Proved> {
        bundle.payload_type()?;
        let policy = VerificationPolicy::any_identity();
        let result = self
            .inner
            .verify(bundle.input(artifact), &bundle.0, &policy)
            .map_err(|error| self.explained(bundle, &error))?;
        if !(result.certificate_verified() && result.sct_verified() && result.tlog_verified()) {
            return Err(refused("the certificate, its timestamp or its log entry was not checked"));
        }
        let times = result.verified_timestamps();
        self.check_logs(bundle, times)?;
        let info = result.certificate().ok_or_else(|| refused("the bundle has no certificate"))?;
        self.check_certificate_logs(bundle, info.not_before)?;
        let (Some(identity), Some(issuer)) = (&info.identity, &info.issuer) else {
            return Err(refused(
                "the certificate does not say who it was given to, and by whom that was attested",
            ));
        };
        let claims = &info.ci_claims;
        let github = &claims.deprecated_github;
        let claims = Claims::new(
            issuer,
            claims.source_repository_uri.clone().or_else(|| {
                // Certificates from before the neutral claims have only these.
                github.workflow_repository.as_ref().map(|name| format!("https://github.com/{name}"))
            }),
            claims.source_repository_ref.clone().or_else(|| github.workflow_ref.clone()),
            claims.build_config_uri.clone().or_else(|| Some(identity.as_str().to_owned())),
        )
        .with_build(
            claims.source_repository_digest.clone().or_else(|| github.workflow_sha.clone()),
            claims.build_trigger.clone().or_else(|| github.workflow_trigger.clone()),
            claims.runner_environment.clone(),
            claims.run_invocation_uri.clone(),
        );
        let certificate =
            Certificate { issuer: issuer.clone(), identity: identity.as_str().to_owned(), claims };
        Ok(Proved { certificate, times: times.to_vec() })
    }

    /// Checks what logs and timestamps a bundle that is signed by a key brings along, and gives the verified times.
    pub(crate) fn evidence(
        &self,
        artifact: &Artifact<'_>,
        bundle: &Parsed,
        key: &ForeignKey,
    ) -> Result<Vec<Timestamp>> {
        if bundle.0.verification_material.tlog_entries.is_empty() {
            return self.timestamps(bundle);
        }
        let policy = PublicKeyVerificationPolicy::new(key.0.clone());
        let result = self
            .inner
            .verify(bundle.input(artifact), &bundle.0, &policy)
            .map_err(|error| self.explained(bundle, &error))?;
        if !result.tlog_verified() {
            return Err(refused("the log entry was not checked"));
        }
        self.check_logs(bundle, result.verified_timestamps())?;
        Ok(result.verified_timestamps().to_vec())
    }

    /// The times of a bundle that has timestamps and no log entry; each must be right.
    fn timestamps(&self, bundle: &Parsed) -> Result<Vec<Timestamp>> {
        let signature = match &bundle.0.content {
            SignatureContent::MessageSignature(message) => &message.signature,
            SignatureContent::DsseEnvelope(envelope) => &envelope.signature.sig,
            _ => {
                return Err(Error::unreadable(
                    "the bundle holds a signature of a kind that is not known here",
                ));
            }
        };
        let authorities = self.root.tsa_authorities();
        let timestamps = &bundle.0.verification_material.timestamp_verification_data.rfc3161_timestamps;
        let verified = timestamps.iter().map(|timestamp| {
            let mut why = "the trusted root has no timestamp authority".to_owned();
            for authority in &authorities {
                match tsa::verify_timestamp_for_authority(&timestamp.signed_timestamp, signature, authority) {
                    Ok(time) => return Ok(time),
                    Err(error) => why = error.to_string(),
                }
            }
            Err(self.clock(bundle, refused("a timestamp is not right").because([shown(&why)])))
        });
        verified.collect()
    }

    /// Every entry must be in a log of the root, vouched for by that same log, while its key was valid.
    fn check_logs(&self, bundle: &Parsed, times: &[Timestamp]) -> Result<()> {
        for entry in &bundle.0.verification_material.tlog_entries {
            let id = entry.log_id.key_id.as_bytes();
            let log = self.logs.iter().find(|log| log.id.as_bytes() == id).ok_or_else(|| {
                refused(format!(
                    "the trusted root has no log {}, where the signature is said to be",
                    entry.log_id.key_id
                ))
            })?;
            if let Some(checkpoint) =
                entry.inclusion_proof.as_ref().and_then(|proof| proof.checkpoint.checkpoint())
            {
                // The crate takes a checkpoint that any log of the root has signed. If the only signatures by logs
                // of the root are this log's, it was this one.
                let mut signers = checkpoint.signatures().iter().map(|signature| signature.key_id.as_slice());
                let own = signers.clone().any(|hint| hint == log.hint());
                let other = signers
                    .any(|hint| self.logs.iter().any(|other| other.hint() == hint) && hint != log.hint());
                if !own || other {
                    return Err(refused(format!(
                        "the checkpoint is not that of the log {}, where the entry is",
                        log.name
                    )));
                }
            } else if entry.inclusion_promise.is_none() {
                return Err(refused(format!("nothing proves that the log {} has the entry", log.name)));
            }
            for time in times {
                log.was_valid_at(*time)?;
            }
            if times.is_empty() && log.window.is_some_and(|window| window.end.is_some()) {
                return Err(refused(format!(
                    "nothing proves that the entry was made while the key of the log {} was valid",
                    log.name
                )));
            }
        }
        Ok(())
    }

    /// The logs of certificates must have been valid when the certificate was given out, by the authority's
    /// word as well as by their own.
    fn check_certificate_logs(&self, bundle: &Parsed, issued: Timestamp) -> Result<()> {
        let Some(certificate) = bundle.0.signing_certificate() else {
            return Err(refused("the bundle has no certificate"));
        };
        // The crate has checked the one timestamp in the certificate, which holds the name of its log as it is.
        let der = certificate.as_bytes();
        let named = |log: &&Log| der.windows(32).any(|bytes| bytes == log.id.as_bytes());
        self.certificate_logs.iter().filter(named).try_for_each(|log| log.was_valid_at(issued))
    }

    /// What the crate's refusal means.
    fn explained(&self, bundle: &Parsed, error: &::sigstore::Error) -> Error {
        use ::sigstore::Error as Crate;
        let why = shown(&error.to_string());
        match error {
            Crate::Certificate(CertificateError::Malformed(_))
            | Crate::TransparencyLog(TransparencyLogError::MalformedEntry(_))
            | Crate::UnsupportedBundle(_)
            | Crate::InvalidBundle(_) => Error::unreadable("the bundle can't be used").because([why]),
            Crate::ArtifactMismatch(_) => other_artifact(&why),
            Crate::SignatureInvalid(_) => refused("the signature is not right").because([why]),
            Crate::Certificate(_) => refused("the certificate is not taken").because([why]),
            Crate::TransparencyLog(_) => self.clock(
                bundle,
                refused("the transparency log does not vouch for the signature").because([why]),
            ),
            Crate::Timestamp(_) => {
                self.clock(bundle, refused("nothing proves when the signature was made").because([why]))
            }
            Crate::Bundle(_) => refused("the bundle lacks what proves the signature").because([why]),
            _ => refused("the bundle is not taken").because([why]),
        }
    }

    /// Blames the clock where it must be wrong: the crate refuses what was signed later than it shows.
    fn clock(&self, bundle: &Parsed, otherwise: Error) -> Error {
        // The crate reads this clock, so the explanation has to.
        let now = Timestamp::now();
        let started = |window: &Option<TimeRange>| window.is_none_or(|window| window.has_started_by(now));
        let root = &self.root;
        let nothing_yet = !root.timestamp_authorities.is_empty()
            && !root.timestamp_authorities.iter().any(|authority| started(&authority.valid_for));
        let what = match bundle.claimed_time() {
            Some(time) if time > now => format!("the bundle says that it was signed at {time}"),
            _ if nothing_yet => "no timestamp authority of the trusted root has begun by then".to_owned(),
            _ => return otherwise,
        };
        refused(format!("this machine's clock is behind: it shows {now:.0}, and {what}"))
            .because(
                std::iter::once(otherwise.message().to_owned()).chain(otherwise.reasons().iter().cloned()),
            )
            .hint("set the clock and try again; if the clock is right, the bundle's time can't be")
    }
}

impl Parsed {
    /// The artifact as the crate takes it: hashed once, where the digest is enough.
    fn input<'a>(&self, artifact: &Artifact<'a>) -> Input<'a> {
        let SignatureContent::DsseEnvelope(envelope) = &self.0.content else {
            return Input::from(artifact.bytes());
        };
        let digests: &Digests<'_> = artifact.digests();
        let sha256 = serde_json::from_slice::<types::Statement>(envelope.payload.as_bytes())
            .map_or(true, |statement| statement.matches_sha256(&Sha256Hash::new(*digests.sha256())));
        if sha256 { Input::from(Sha256Hash::new(*digests.sha256())) } else { Input::from(artifact.bytes()) }
    }
}

impl ForeignKey {
    /// The key of a `SubjectPublicKeyInfo`.
    pub(crate) fn parse(der: &[u8]) -> Result<Self> {
        let key = DerPublicKey::from_bytes(der);
        VerificationKey::from_spki(&key).map_err(|error| {
            Error::unreadable(format!("this is no public key that is known here: {}", shown(&error.to_string())))
                .hint("a key is ECDSA over P-256 or P-384, Ed25519 or RSA of 2048 bits or more, as `SubjectPublicKeyInfo`")
        })?;
        Ok(Self(key))
    }

    /// Says whether it made the bundle's signature over `artifact`.
    pub(crate) fn signed(&self, artifact: &Artifact<'_>, bundle: &Parsed) -> Result<bool> {
        let (message, signature) = bundle.signed(artifact)?;
        let algorithm = KeyAlgorithm::from_spki(&self.0).map_err(|error| unusable(&error.to_string()))?;
        let scheme = match &bundle.0.content {
            SignatureContent::MessageSignature(types::MessageSignature {
                message_digest: Some(digest),
                ..
            }) => algorithm
                .resolve_signing_scheme(digest.algorithm)
                .map_err(|error| unusable(&error.to_string()))?,
            _ => algorithm.default_signing_scheme(),
        };
        let key = VerificationKey::from_spki_with_scheme(&self.0, scheme)
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(key.verify(message, &types::SignatureBytes::from_bytes(signature)).is_ok())
    }
}

/// Says whether `key` made the bundle's signature over `artifact`. Strict, as all signatures by our keys.
pub(crate) fn signed_by(
    key: &crate::key::PublicKey,
    artifact: &Artifact<'_>,
    bundle: &Parsed,
) -> Result<bool> {
    let (message, signature) = bundle.signed(artifact)?;
    Ok(key.verifies(&message, signature))
}

fn refused(message: impl Into<String>) -> Error {
    Error::refused(message)
}

fn unusable(why: &str) -> Error {
    Error::unreadable("the bundle can't be used").because([shown(why)])
}

fn other_artifact(why: &str) -> Error {
    refused("the bundle is about other bytes than these").because([why.to_owned()])
}
