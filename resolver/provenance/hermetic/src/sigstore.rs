//! The whole: signs artifacts, and writes the trust root that believes them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::authority::{Authority, Leaf};
use crate::claims::Claims;
use crate::key::Key;
use crate::log::Log;
use crate::timestamp::TimestampAuthority;
use crate::{base64, sha256};

/// The media type of in-toto statements.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// An authority, two logs and a timestamp authority that belong together.
pub struct Sigstore {
    /// The certificate authority.
    pub authority: Authority,
    /// The log of the first kind.
    pub log_1: Log,
    /// The log of the second kind.
    pub log_2: Log,
    /// The timestamp authority.
    pub timestamps: TimestampAuthority,
    from: Timestamp,
}

/// Which form a bundle has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BundleForm {
    /// Version 0.1: a chain of certificates.
    V0_1,
    /// Version 0.2: a chain of certificates.
    V0_2,
    /// Version 0.3 as it is written today.
    #[default]
    V0_3,
    /// Version 0.3 with the older media type.
    V0_3Older,
}

impl BundleForm {
    fn media_type(self) -> &'static str {
        match self {
            Self::V0_1 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V0_2 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V0_3 => "application/vnd.dev.sigstore.bundle.v0.3+json",
            Self::V0_3Older => "application/vnd.dev.sigstore.bundle+json;version=0.3",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WhichLog {
    First,
    Second,
    None,
}

/// Who signs.
#[derive(Clone)]
enum By {
    Claims(Claims),
    Leaf(Leaf),
    Key(Key),
}

/// One signature in the making. By default: now is a day after everything began, and the entry goes into the log of the first kind.
#[derive(Clone)]
#[must_use]
pub struct Signing<'a> {
    sigstore: &'a Sigstore,
    by: By,
    issued: Timestamp,
    signed: Timestamp,
    log: WhichLog,
    timestamp: bool,
    certificate_timestamp: bool,
    form: BundleForm,
}

impl Default for Sigstore {
    /// One that began with the year 2026.
    fn default() -> Self {
        Self::new(Timestamp::from_second(1_767_225_600).unwrap())
    }
}

impl Sigstore {
    /// One whose certificates and keys are valid for ten years `from` then on.
    #[must_use]
    pub fn new(from: Timestamp) -> Self {
        Self::seeded("hermetic", from)
    }

    /// One with other keys: nothing that it signs is believed by the root of another one.
    #[must_use]
    pub fn seeded(seed: &str, from: Timestamp) -> Self {
        let until = from + SignedDuration::from_hours(24 * 3650);
        Self {
            authority: Authority::new(seed, from, until),
            log_1: Log::first(seed, "rekor.example.org - 1"),
            log_2: Log::second(seed, "log2026.example.org"),
            timestamps: TimestampAuthority::new(seed, from, until),
            from,
        }
    }

    /// When everything began to be valid.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// When things are signed that don't say when: a day after everything began.
    #[must_use]
    pub fn today(&self) -> Timestamp {
        self.from + SignedDuration::from_hours(24)
    }

    /// The text of `trusted_root.json`.
    #[must_use]
    pub fn trusted_root(&self) -> String {
        let authority = |name: &str, chain: [&[u8]; 2]| {
            json!({
                "subject": { "organization": "hermetic sigstore", "commonName": name },
                "uri": format!("https://{name}.example.org"),
                "certChain": { "certificates": chain.map(|der| json!({ "rawBytes": base64(der) })) },
                "validFor": { "start": self.from.to_string() },
            })
        };
        let log_of_certificates = &self.authority.log_key;
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                self.log_1.trust("https://rekor.example.org", self.from),
                self.log_2.trust("https://log2026.example.org", self.from),
            ],
            "certificateAuthorities": [authority("fulcio", self.authority.chain())],
            "ctlogs": [{
                "baseUrl": "https://ct.example.org",
                "hashAlgorithm": "SHA2_256",
                "logId": { "keyId": base64(sha256(&log_of_certificates.spki())) },
                "publicKey": {
                    "rawBytes": base64(log_of_certificates.spki()),
                    "keyDetails": log_of_certificates.details(),
                    "validFor": { "start": self.from.to_string() },
                },
            }],
            "timestampAuthorities": [authority("timestamp", self.timestamps.chain())],
        });
        format!("{root}\n")
    }

    /// A signature by a new certificate with `claims`.
    pub fn signing(&self, claims: &Claims) -> Signing<'_> {
        self.signing_by(By::Claims(claims.clone()))
    }

    /// A signature by a certificate that was issued before, perhaps by somebody else.
    pub fn signing_with(&self, leaf: &Leaf) -> Signing<'_> {
        self.signing_by(By::Leaf(leaf.clone()))
    }

    /// A signature by a key that has no certificate.
    pub fn signing_by_key(&self, key: &Key) -> Signing<'_> {
        self.signing_by(By::Key(key.clone()))
    }

    fn signing_by(&self, by: By) -> Signing<'_> {
        Signing {
            sigstore: self,
            by,
            issued: self.today(),
            signed: self.today() + SignedDuration::from_secs(5),
            log: WhichLog::First,
            timestamp: false,
            certificate_timestamp: true,
            form: BundleForm::default(),
        }
    }

    /// The bundle of a signature over `bytes`.
    #[must_use]
    pub fn sign_blob(&self, claims: &Claims, bytes: &[u8]) -> String {
        self.signing(claims).blob(bytes)
    }

    /// The bundle of an attestation: `statement` is the text of an in-toto statement.
    #[must_use]
    pub fn sign_statement(&self, claims: &Claims, statement: &str) -> String {
        self.signing(claims).statement(statement)
    }
}

impl Signing<'_> {
    /// The certificate is issued at `time`, and the signature is made five seconds later.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.issued = time;
        self.signed = time + SignedDuration::from_secs(5);
        self
    }

    /// The signature is made at `time`, whenever the certificate was issued.
    pub fn signed_at(mut self, time: Timestamp) -> Self {
        self.signed = time;
        self
    }

    /// The entry goes into the log of the second kind, and a timestamp is asked for, since that log has no clock.
    pub fn rekor_2(mut self) -> Self {
        self.log = WhichLog::Second;
        self.timestamp = true;
        self
    }

    /// No log sees it.
    pub fn without_log(mut self) -> Self {
        self.log = WhichLog::None;
        self
    }

    /// A timestamp authority signs the time.
    pub fn timestamped(mut self) -> Self {
        self.timestamp = true;
        self
    }

    /// No timestamp authority signs the time.
    pub fn without_timestamp(mut self) -> Self {
        self.timestamp = false;
        self
    }

    /// The certificate is in no log of certificates.
    pub fn without_certificate_timestamp(mut self) -> Self {
        self.certificate_timestamp = false;
        self
    }

    /// The bundle has another form.
    pub fn form(mut self, form: BundleForm) -> Self {
        self.form = form;
        self
    }

    /// The bundle of a signature over `bytes`. Not for P-384: the digest that stands in it is SHA-256.
    #[must_use]
    pub fn blob(self, bytes: &[u8]) -> String {
        let signer = self.signer();
        let signature = signer.key().sign(bytes);
        let content = json!({
            "messageDigest": { "algorithm": "SHA2_256", "digest": base64(sha256(bytes)) },
            "signature": base64(&signature),
        });
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": hex::encode(sha256(bytes)) } },
                "signature": {
                    "content": base64(&signature),
                    "publicKey": { "content": base64(signer.pem()) },
                },
            },
        });
        self.bundle(&signer, bytes, &signature, ("hashedrekord", body), ("messageSignature", content))
    }

    /// The bundle of an attestation: `statement` is the text of an in-toto statement.
    #[must_use]
    pub fn statement(self, statement: &str) -> String {
        self.envelope(STATEMENT, statement.as_bytes())
    }

    /// The bundle of an envelope with any payload.
    #[must_use]
    pub fn envelope(self, payload_type: &str, payload: &[u8]) -> String {
        let signer = self.signer();
        let mut message =
            format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        message.extend_from_slice(payload);
        let signature = signer.key().sign(&message);
        let content = json!({
            "payload": base64(payload),
            "payloadType": payload_type,
            "signatures": [{ "sig": base64(&signature) }],
        });
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {
                    "algorithm": "sha256",
                    "value": hex::encode(sha256(content.to_string().as_bytes())),
                },
                "payloadHash": { "algorithm": "sha256", "value": hex::encode(sha256(payload)) },
                "signatures": [{ "signature": base64(&signature), "verifier": base64(signer.pem()) }],
            },
        });
        self.bundle(&signer, &message, &signature, ("dsse", body), ("dsseEnvelope", content))
    }

    fn signer(&self) -> Signer {
        match &self.by {
            By::Claims(claims) => {
                let authority = &self.sigstore.authority;
                Signer::Leaf(authority.issue(claims, self.issued, self.certificate_timestamp))
            }
            By::Leaf(leaf) => Signer::Leaf(leaf.clone()),
            By::Key(key) => Signer::Key(key.clone()),
        }
    }

    fn bundle(
        self,
        signer: &Signer,
        message: &[u8],
        signature: &[u8],
        (kind, body): (&str, Value),
        (content_key, content): (&str, Value),
    ) -> String {
        let entries = match self.log {
            WhichLog::None => Vec::new(),
            WhichLog::First => {
                vec![self.sigstore.log_1.append_first(kind, &body.to_string(), self.signed)]
            }
            WhichLog::Second => {
                let body = json!({
                    "apiVersion": "0.0.2",
                    "kind": "hashedrekord",
                    "spec": { "hashedRekordV002": {
                        "data": { "algorithm": "SHA2_256", "digest": base64(sha256(message)) },
                        "signature": { "content": base64(signature), "verifier": signer.verifier() },
                    } },
                });
                vec![self.sigstore.log_2.append_second(&body.to_string())]
            }
        };
        let mut material = json!({ "tlogEntries": entries });
        match signer {
            Signer::Key(key) => material["publicKey"] = json!({ "hint": base64(sha256(&key.spki())) }),
            Signer::Leaf(leaf) => {
                let certificate = json!({ "rawBytes": base64(&leaf.der) });
                if matches!(self.form, BundleForm::V0_1 | BundleForm::V0_2) {
                    material["x509CertificateChain"] = json!({ "certificates": [certificate] });
                } else {
                    material["certificate"] = certificate;
                }
            }
        }
        if self.timestamp {
            let token = self.sigstore.timestamps.timestamp(signature, self.signed);
            material["timestampVerificationData"] =
                json!({ "rfc3161Timestamps": [{ "signedTimestamp": base64(token) }] });
        }
        let mut bundle = json!({ "mediaType": self.form.media_type(), "verificationMaterial": material });
        bundle[content_key] = content;
        format!("{bundle}\n")
    }
}

enum Signer {
    Leaf(Leaf),
    Key(Key),
}

impl Signer {
    fn key(&self) -> &Key {
        match self {
            Self::Leaf(leaf) => &leaf.key,
            Self::Key(key) => key,
        }
    }

    fn pem(&self) -> String {
        match self {
            Self::Leaf(leaf) => leaf.pem(),
            Self::Key(key) => key.public_pem(),
        }
    }

    /// How entries of the second kind name it.
    fn verifier(&self) -> Value {
        let mut verifier = json!({ "keyDetails": self.key().details() });
        match self {
            Self::Leaf(leaf) => verifier["x509Certificate"] = json!({ "rawBytes": base64(&leaf.der) }),
            Self::Key(key) => verifier["publicKey"] = json!({ "rawBytes": base64(key.spki()) }),
        }
        verifier
    }
}
