//! The crate's verifier, and the checks that it leaves to its callers.

use ::sigstore::crypto::{CertificateInfo, parse_certificate_info};
use ::sigstore::trust_root::TrustedRoot;
use ::sigstore::types::{SignatureContent, TimeRange, TransparencyLogEntry};
use ::sigstore::{
    CertificateError, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, tsa,
};
use jiff::Timestamp;

use super::anchors::{Anchors, Log};
use super::{ForeignKey, Parsed, input, other_artifact, plain, refused};
use crate::error::{Error, Result};
use crate::json::shown;
use crate::statement::Statement;
use crate::verify::{Artifact, Certificate, Claims, GITHUB, file_of, is_github};

/// The crate's verifier, and what is needed beside it.
pub(crate) struct Engine {
    inner: ::sigstore::Verifier,
    root: TrustedRoot,
    logs: Vec<Log>,
    certificate_logs: Vec<Log>,
}

impl Engine {
    /// The verifier for a root.
    pub(crate) fn new(anchors: &Anchors) -> Result<Self, String> {
        let root = anchors.root()?;
        let inner = ::sigstore::Verifier::new(&root).map_err(|error| plain(&error))?;
        let logs = root.tlogs.iter().map(Log::of).collect::<Result<Vec<_>, _>>()?;
        let certificate_logs = root.ctlogs.iter().map(Log::of_certificates).collect::<Result<Vec<_>, _>>()?;
        for (index, log) in logs.iter().enumerate() {
            if let Some(other) = logs[..index].iter().find(|other| other.hint() == log.hint()) {
                return Err(format!(
                    "the logs {} and {} have keys of the same short name",
                    other.name, log.name
                ));
            }
        }
        Ok(Self { inner, root, logs, certificate_logs })
    }

    /// Checks everything of a bundle that has a certificate.
    pub(crate) fn certificate(
        &self,
        artifact: &Artifact<'_>,
        bundle: &Parsed,
        statement: Option<&Statement>,
    ) -> Result<(Certificate, Vec<Timestamp>)> {
        self.check_names(bundle)?;
        let result = self
            .inner
            .verify(input(artifact, statement), &bundle.0, &VerificationPolicy::any_identity())
            .map_err(|error| self.explained(bundle, &error))?;
        if !(result.certificate_verified() && result.sct_verified() && result.tlog_verified()) {
            return Err(refused("the certificate, its timestamp or its log entry was not checked"));
        }
        let times = result.verified_timestamps();
        self.check_logs(bundle, times)?;
        let info = result.certificate().ok_or_else(|| refused("the bundle has no certificate"))?;
        self.check_certificate_logs(bundle, info.not_before)?;
        Ok((certificate_of(info)?, times.to_vec()))
    }

    /// Checks what logs and timestamps a bundle that is signed by a key brings along, and gives the verified times.
    pub(crate) fn evidence(
        &self,
        artifact: &Artifact<'_>,
        bundle: &Parsed,
        statement: Option<&Statement>,
        key: &ForeignKey,
    ) -> Result<Vec<Timestamp>> {
        self.check_names(bundle)?;
        if bundle.0.verification_material.tlog_entries.is_empty() {
            return self.timestamps(bundle);
        }
        let policy = PublicKeyVerificationPolicy::new(key.0.clone());
        let result = self
            .inner
            .verify(input(artifact, statement), &bundle.0, &policy)
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

    /// Every entry must be in a log of the root. It is asked first, because it is what another instance's
    /// bundles fail with.
    fn check_names(&self, bundle: &Parsed) -> Result<()> {
        for entry in &bundle.0.verification_material.tlog_entries {
            if self.log(entry).is_none() {
                let id = &entry.log_id.key_id;
                return Err(refused(format!("the trusted root has no log {id}, which the bundle names"))
                    .hint("bundles of another Sigstore instance need its trusted root"));
            }
        }
        Ok(())
    }

    fn log(&self, entry: &TransparencyLogEntry) -> Option<&Log> {
        self.logs.iter().find(|log| log.id.as_bytes() == entry.log_id.key_id.as_bytes())
    }

    /// Every entry must be in a log of the root, vouched for by that same log, while its key was valid.
    fn check_logs(&self, bundle: &Parsed, times: &[Timestamp]) -> Result<()> {
        for entry in &bundle.0.verification_material.tlog_entries {
            let Some(log) = self.log(entry) else { return Err(refused("the entry is in a log of nobody")) };
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
        let why = shown(&plain(error));
        match error {
            Crate::Certificate(CertificateError::Malformed(_))
            | Crate::TransparencyLog(TransparencyLogError::MalformedEntry(_))
            | Crate::UnsupportedBundle(_)
            | Crate::InvalidBundle(_) => Error::unreadable("the bundle can't be used").because([why]),
            Crate::ArtifactMismatch(_) => other_artifact(&why),
            Crate::SignatureInvalid(_) => refused("the signature is not right").because([why]),
            Crate::Certificate(_) => {
                let info = certificate_info(bundle);
                let window = info
                    .map(|info| format!("it was given out for {} to {}", info.not_before, info.not_after));
                refused("the certificate is not taken").because(std::iter::once(why).chain(window))
            }
            Crate::TransparencyLog(_) => self.clock(
                bundle,
                refused("the transparency log does not vouch for the signature").because([why]),
            ),
            Crate::Timestamp(_) => {
                self.clock(bundle, refused("nothing proves when the signature was made").because([why]))
            }
            Crate::InvalidTrustRoot(_) => {
                refused("the trusted root does not vouch for the bundle").because([why])
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
        let what = match claimed_time(bundle) {
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

fn certificate_info(bundle: &Parsed) -> Option<CertificateInfo> {
    bundle.0.signing_certificate().and_then(|der| parse_certificate_info(der).ok())
}

/// The latest time that the bundle claims to have been signed at, verified or not.
fn claimed_time(bundle: &Parsed) -> Option<Timestamp> {
    let entries =
        bundle.0.verification_material.tlog_entries.iter().filter_map(|entry| entry.integrated_time);
    entries.chain(certificate_info(bundle).map(|info| info.not_before)).max()
}

/// What a verified certificate says.
fn certificate_of(info: &CertificateInfo) -> Result<Certificate> {
    let claim = |text: Option<&str>| match text {
        // Names without letters name nobody, and letters that can't be seen name somebody else.
        Some(text) if text.is_empty() || text.contains(char::is_control) => None,
        text => text.map(str::to_owned),
    };
    let identity = claim(info.identity.as_ref().map(::sigstore::SubjectAltName::as_str));
    let (Some(identity), Some(issuer)) = (identity, claim(info.issuer.as_deref())) else {
        return Err(refused("the certificate does not say who it was given to, and who attested that"));
    };
    let claims = &info.ci_claims;
    // GitHub's certificates from before the neutral claims have only its own ones.
    let older = |text: &Option<String>| claim(text.as_deref()).filter(|_| is_github(&issuer));
    let github = &claims.deprecated_github;
    let repository = claim(claims.source_repository_uri.as_deref())
        .or_else(|| older(&github.workflow_repository).map(|name| format!("{GITHUB}{name}")));
    let workflow = claim(claims.build_config_uri.as_deref()).or_else(|| {
        repository.as_deref().and_then(|repository| file_of(repository, &identity)).map(|_| identity.clone())
    });
    let reference = claim(claims.source_repository_ref.as_deref()).or_else(|| older(&github.workflow_ref));
    let claims = Claims {
        commit: claim(claims.source_repository_digest.as_deref()).or_else(|| older(&github.workflow_sha)),
        trigger: claim(claims.build_trigger.as_deref()).or_else(|| older(&github.workflow_trigger)),
        runner: claim(claims.runner_environment.as_deref()),
        run: claim(claims.run_invocation_uri.as_deref()),
        ..Claims::new(&issuer, repository, reference, workflow)
    };
    Ok(Certificate { issuer, identity, claims })
}
