//! Signing without a key of one's own: a token says who signs, an authority gives a certificate for a key that
//! lives for one signature, and a log writes it down.
//!
//! It opens no socket: a [`Transport`] asks the services. What they answer is not believed: every bundle is
//! verified with the caller's trust root before it is given to anybody.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest as _;
use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::envelope::{BUNDLE_MEDIA_TYPE, pre_authentication_encoding};
use crate::error::{Error, Result};
use crate::json;
use crate::sigstore::ephemeral::EphemeralKey;
use crate::statement::{MEDIA_TYPE, Statement};
use crate::verify::{Artifact, Identity, Verified, Verifier};

/// Whom the token must be for.
pub const AUDIENCE: &str = "sigstore";
/// A token of more bytes is refused.
pub const MAX_TOKEN_BYTES: usize = 64 << 10;
/// No service has more to say than this.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How the log of the second kind names the algorithm of our keys.
const KEY_DETAILS: &str = "PKIX_ECDSA_P256_SHA_256";
/// A request for a timestamp (RFC 3161) up to the SHA-256 digest: version 1, and the algorithm of the digest.
const TIMESTAMP_REQUEST: [u8; 24] = [
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];
/// What follows the digest: the certificate must come with the answer.
const WITH_CERTIFICATE: [u8; 3] = [0x01, 0x01, 0xff];

/// Which kind of log is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RekorVersion {
    /// The log signs the time of each entry.
    #[default]
    V1,
    /// The log has no clock: a timestamp authority is needed.
    V2,
}

/// Where keyless signing asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// The base of the certificate authority.
    pub fulcio: String,
    /// The base of the log.
    pub rekor: String,
    /// Which kind of log it is.
    pub rekor_version: RekorVersion,
    /// The address of the timestamp authority.
    pub timestamp_authority: Option<String>,
}

impl Services {
    /// Those of Sigstore's public good instance.
    #[must_use]
    pub fn public_good() -> Self {
        Self {
            fulcio: "https://fulcio.sigstore.dev".to_owned(),
            rekor: "https://rekor.sigstore.dev".to_owned(),
            rekor_version: RekorVersion::V1,
            timestamp_authority: Some("https://timestamp.sigstore.dev/api/v1/timestamp".to_owned()),
        }
    }
}

/// What is asked of a service.
pub struct Ask<'a> {
    /// The address.
    pub url: String,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: &'a [u8],
    /// A longer answer is refused.
    pub limit: usize,
    /// The body holds a token, so that nothing of the answer to a refused request may be shown.
    pub secret: bool,
}

/// Who asks the services. Answers other than success are errors, and nothing is ever asked again elsewhere.
pub trait Transport {
    /// What can go wrong on the way.
    type Error: From<Error>;

    /// Posts, and gives the body of the answer.
    ///
    /// # Errors
    /// When there is no answer, no successful one, or too long a one.
    fn post(&self, ask: &Ask<'_>) -> Result<Vec<u8>, Self::Error>;
}

/// A token that says who signs. It is never printed, and is wiped when it is dropped.
pub struct Token {
    text: Zeroizing<String>,
    issuer: String,
    proves: String,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    email: Option<String>,
}

impl Token {
    /// Reads a token. Its signature is the authority's to check; what is checked here only saves a request.
    ///
    /// # Errors
    /// `Unreadable` when it is no token, `Refused` when it is expired or for somebody else.
    pub fn parse(text: Zeroizing<String>, now: Timestamp) -> Result<Self> {
        let text = Zeroizing::new(text.trim().to_owned());
        let unreadable = || {
            Error::unreadable("this is no identity token")
                .hint("an OpenID Connect token has three parts with dots between them")
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if text.len() > MAX_TOKEN_BYTES || !text.bytes().all(allowed) {
            return Err(unreadable());
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [_, payload, _] = parts.as_slice() else { return Err(unreadable()) };
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).map_err(|_| unreadable())?);
        // What the parser says could hold a part of the token.
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| unreadable())?;
        let for_us = match &payload.aud {
            Value::String(one) => one == AUDIENCE,
            Value::Array(many) => many.iter().any(|one| one == AUDIENCE),
            _ => false,
        };
        if !for_us {
            return Err(Error::refused(format!("the identity token is not for `{AUDIENCE}`"))
                .hint(format!("ask for a token whose audience is `{AUDIENCE}`")));
        }
        if payload.exp <= now.as_second() {
            return Err(
                Error::refused("the identity token is expired").hint("ask for a new one, or set the clock")
            );
        }
        Ok(Self { issuer: payload.iss, proves: payload.email.unwrap_or(payload.sub), text })
    }

    /// Who made it, by its own word.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What one signature needs: services, who signs, the way to the services, and the judge of what they answer.
pub struct Keyless<'a, T> {
    /// Where to ask.
    pub services: &'a Services,
    /// Who signs.
    pub token: &'a Token,
    /// The way there.
    pub transport: &'a T,
    /// With the root that the bundle must verify against.
    pub verifier: &'a Verifier,
}

/// A bundle that was made and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed {
    /// The text of the bundle; it ends with a line feed.
    pub bundle: String,
    /// What it proves, about the first artifact.
    pub verified: Verified,
}

impl<T: Transport> Keyless<'_, T> {
    /// Signs a statement about `artifacts`, each of which it must name.
    ///
    /// # Errors
    /// What the transport says; `Unreadable` when an answer makes no sense; `Refused` when the bundle would not
    /// verify.
    pub fn sign_statement(&self, statement: &Statement, artifacts: &[&[u8]]) -> Result<Signed, T::Error> {
        let payload = statement.to_canonical_json()?;
        let message = pre_authentication_encoding(MEDIA_TYPE, &payload);
        let made = self.signature(&message)?;
        let content = json!({
            "payload": STANDARD.encode(&payload),
            "payloadType": MEDIA_TYPE,
            "signatures": [{ "sig": STANDARD.encode(&made.signature) }],
        });
        let entry = match self.services.rekor_version {
            RekorVersion::V1 => self.first_log(
                "dsse",
                &json!({ "proposedContent": {
                    "envelope": content.to_string(),
                    "verifiers": [STANDARD.encode(&made.certificate_pem)],
                } }),
            )?,
            RekorVersion::V2 => self.second_log(&message, &made)?,
        };
        let signed = self.bundle(&made, &entry, "dsseEnvelope", &content)?;
        self.checked(signed, artifacts, Some(&payload))
    }

    /// Signs bytes themselves.
    ///
    /// # Errors
    /// As [`Self::sign_statement`].
    pub fn sign_bytes(&self, bytes: &[u8]) -> Result<Signed, T::Error> {
        let made = self.signature(bytes)?;
        let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
        let content = json!({
            "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(digest) },
            "signature": STANDARD.encode(&made.signature),
        });
        let entry = match self.services.rekor_version {
            RekorVersion::V1 => self.first_log(
                "hashedrekord",
                &json!({
                    "data": { "hash": { "algorithm": "sha256", "value": hex::encode(digest) } },
                    "signature": {
                        "content": STANDARD.encode(&made.signature),
                        "publicKey": { "content": STANDARD.encode(&made.certificate_pem) },
                    },
                }),
            )?,
            RekorVersion::V2 => self.second_log(bytes, &made)?,
        };
        let signed = self.bundle(&made, &entry, "messageSignature", &content)?;
        self.checked(signed, &[bytes], None)
    }

    fn ask(
        &self,
        url: String,
        content_type: &'static str,
        body: &[u8],
        secret: bool,
    ) -> Result<Vec<u8>, T::Error> {
        let limit = MAX_ANSWER_BYTES;
        let answer = self.transport.post(&Ask { url, content_type, body, limit, secret })?;
        if answer.len() > limit {
            return Err(Error::unreadable(format!("a service answered with more than {limit} bytes")).into());
        }
        Ok(answer)
    }

    /// Makes a key, lets the authority certify it, and signs with it. The key is gone afterwards.
    fn signature(&self, message: &[u8]) -> Result<Made, T::Error> {
        let key = EphemeralKey::generate()?;
        let proof = key.sign(self.token.proves.as_bytes())?;
        let asked = json!({
            "publicKey": { "algorithm": "ECDSA", "content": key.public_pem()? },
            "proofOfPossession": STANDARD.encode(proof),
        });
        // Written by hand, so that no copy of the token stays behind: it has no character that JSON would escape.
        let body = Zeroizing::new(format!(
            "{{\"credentials\":{{\"oidcIdentityToken\":\"{}\"}},\"publicKeyRequest\":{asked}}}",
            self.token.text.as_str()
        ));
        let url = under(&self.services.fulcio, "api/v2/signingCert");
        let answer = self.ask(url, "application/json", body.as_bytes(), true)?;
        let answer: CertificateAnswer = read(&answer, "an answer of the certificate authority")?;
        let certificate_pem = answer
            .embedded
            .and_then(|embedded| embedded.chain.certificates.into_iter().next())
            .ok_or_else(|| {
                Error::unreadable(
                    "the certificate authority gave no certificate that has its timestamp in it",
                )
            })?;
        let certificate = from_pem(&certificate_pem)
            .ok_or_else(|| Error::unreadable("what the certificate authority gave is no certificate"))?;
        Ok(Made { signature: key.sign(message)?, certificate, certificate_pem })
    }

    /// Writes into a log of the first kind, and gives the entry as it stands in bundles.
    fn first_log(&self, kind: &str, spec: &Value) -> Result<Value, T::Error> {
        let proposed = json!({ "apiVersion": "0.0.1", "kind": kind, "spec": spec }).to_string();
        let url = under(&self.services.rekor, "api/v1/log/entries");
        let answer = self.ask(url, "application/json", proposed.as_bytes(), false)?;
        let answer: std::collections::BTreeMap<String, FirstEntry> = read(&answer, "an answer of the log")?;
        let mut entries = answer.into_values();
        let (Some(entry), None) = (entries.next(), entries.next()) else {
            return Err(Error::unreadable("the log answered with more or less than one entry").into());
        };
        Ok(entry.for_bundle(kind)?)
    }

    /// Writes into a log of the second kind, which answers with what stands in bundles.
    fn second_log(&self, message: &[u8], made: &Made) -> Result<Value, T::Error> {
        let proposed = json!({ "hashedRekordRequestV002": {
            "digest": STANDARD.encode(sha2::Sha256::digest(message)),
            "signature": {
                "content": STANDARD.encode(&made.signature),
                "verifier": {
                    "keyDetails": KEY_DETAILS,
                    "x509Certificate": { "rawBytes": STANDARD.encode(&made.certificate) },
                },
            },
        } });
        let url = under(&self.services.rekor, "api/v2/log/entries");
        let answer = self.ask(url, "application/json", proposed.to_string().as_bytes(), false)?;
        Ok(read(&answer, "an answer of the log")?)
    }

    /// Asks for a timestamp over the signature, when there is an authority.
    fn timestamp(&self, signature: &[u8]) -> Result<Option<Vec<u8>>, T::Error> {
        let Some(url) = &self.services.timestamp_authority else {
            return Ok(None);
        };
        let digest = sha2::Sha256::digest(signature);
        let request = [&TIMESTAMP_REQUEST[..], &digest, &WITH_CERTIFICATE].concat();
        self.ask(url.clone(), "application/timestamp-query", &request, false).map(Some)
    }

    fn bundle(&self, made: &Made, entry: &Value, kind: &str, content: &Value) -> Result<String, T::Error> {
        let mut material = json!({
            "certificate": { "rawBytes": STANDARD.encode(&made.certificate) },
            "tlogEntries": [entry],
        });
        if let Some(token) = self.timestamp(&made.signature)? {
            material["timestampVerificationData"] =
                json!({ "rfc3161Timestamps": [{ "signedTimestamp": STANDARD.encode(token) }] });
        }
        let bundle =
            json!({ "mediaType": BUNDLE_MEDIA_TYPE, "verificationMaterial": material, kind: content });
        Ok(format!("{bundle}\n"))
    }

    /// Takes nothing that a verifier would not take.
    fn checked(&self, text: String, artifacts: &[&[u8]], payload: Option<&[u8]>) -> Result<Signed, T::Error> {
        let lies = |error: Error| {
            let mut reasons = vec![error.message().to_owned()];
            reasons.extend_from_slice(error.reasons());
            Error::refused("what the signing services answered does not verify")
                .because(reasons)
                .hint("check that the services and the trusted root belong together; nothing was written")
        };
        let bundle = Bundle::parse_within(text.as_bytes(), text.len()).map_err(lies)?;
        if bundle.payload() != payload {
            return Err(lies(Error::refused("the bundle holds another statement")).into());
        }
        let mut first = None;
        for artifact in artifacts {
            let verified = self.verifier.verify(&Artifact::new(artifact), &bundle).map_err(lies)?;
            if !matches!(verified.signer, Identity::Certificate(_)) {
                return Err(lies(Error::refused("the bundle is signed by a key")).into());
            }
            first.get_or_insert(verified);
        }
        let verified = first.ok_or_else(|| Error::unreadable("there is nothing to sign"))?;
        Ok(Signed { bundle: text, verified })
    }
}

/// A signature and the certificate of the key that made it.
struct Made {
    signature: Vec<u8>,
    certificate: Vec<u8>,
    certificate_pem: String,
}

#[derive(Deserialize)]
struct CertificateAnswer {
    #[serde(rename = "signedCertificateEmbeddedSct")]
    embedded: Option<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// An entry as a log of the first kind answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstEntry {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    signed_entry_timestamp: String,
    inclusion_proof: InclusionProof,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionProof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

impl FirstEntry {
    /// The entry as it stands in bundles: digests in base64, numbers as texts.
    fn for_bundle(&self, kind: &str) -> Result<Value> {
        let bytes = |text: &str| {
            hex::decode(text)
                .map(|bytes| STANDARD.encode(bytes))
                .map_err(|_| Error::unreadable("the log answered with a digest that is none"))
        };
        let proof = &self.verification.inclusion_proof;
        let hashes = proof.hashes.iter().map(|hash| bytes(hash)).collect::<Result<Vec<_>>>()?;
        Ok(json!({
            "logIndex": self.log_index.to_string(),
            "logId": { "keyId": bytes(&self.log_id)? },
            "kindVersion": { "kind": kind, "version": "0.0.1" },
            "integratedTime": self.integrated_time.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": self.verification.signed_entry_timestamp },
            "inclusionProof": {
                "logIndex": proof.log_index.to_string(),
                "rootHash": bytes(&proof.root_hash)?,
                "treeSize": proof.tree_size.to_string(),
                "hashes": hashes,
                "checkpoint": { "envelope": proof.checkpoint },
            },
            "canonicalizedBody": self.body,
        }))
    }
}

fn under(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}

fn read<'a, D: Deserialize<'a>>(bytes: &'a [u8], noun: &str) -> Result<D> {
    let text = json::check(bytes, MAX_ANSWER_BYTES, noun)?;
    serde_json::from_str(text).map_err(|error| {
        Error::unreadable(format!("this is not {noun}: {}", json::shown(&error.to_string())))
    })
}

/// The DER of a PEM text of one certificate.
fn from_pem(text: &str) -> Option<Vec<u8>> {
    let inside = text.trim().strip_prefix("-----BEGIN CERTIFICATE-----")?;
    let inside = inside.strip_suffix("-----END CERTIFICATE-----")?;
    STANDARD.decode(inside.split_ascii_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests;
