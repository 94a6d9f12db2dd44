//! The services that keyless signing asks, on a socket of this machine: Fulcio, Rekor 1 and 2, a timestamp
//! authority, and the place where a workflow of GitHub's gets its token.
//!
//! They are strict: what the real services would refuse (a key that the asker can't sign with, an entry whose
//! signature is wrong, a token for somebody else) is refused here too.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use serde_json::{Value, json};

use crate::claims::Claims;
use crate::key::P256Public;
use crate::sigstore::Sigstore;
use crate::{der, from_base64, from_pem, pem, sha256};

/// What the workflow of GitHub's authenticates with when it asks for a token.
pub const GITHUB_BEARER: &str = "the-bearer-of-the-job";
/// Where it asks.
pub const GITHUB_TOKEN_PATH: &str = "/github/token?api-version=2.0";
/// A request may be so large.
const MAX_REQUEST: usize = 8 << 20;

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Where to go instead.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with `status` and `body`.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, location: None, body: body.into() }
    }
}

/// A token as an issuer would give it to the bearer of `claims`, expiring at the end of the year 2999.
///
/// Its own signature is no signature: the authority here does not look at it.
#[must_use]
pub fn token(claims: &Claims) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut payload = json!({
        "iss": claims.issuer,
        "sub": subject(claims),
        "aud": "sigstore",
        "exp": 32_503_679_999_i64,
    });
    if claims.identity.contains('@') && !claims.identity.contains("://") {
        payload["email"] = json!(claims.identity);
        payload["email_verified"] = json!(true);
    }
    let header = part(json!({ "alg": "none", "typ": "JWT" }));
    format!("{header}.{}.{}", part(payload), URL_SAFE_NO_PAD.encode("no signature"))
}

/// Who a token is for, as issuers name them.
fn subject(claims: &Claims) -> String {
    let claim = |number| claims.more.iter().find(|(known, _)| *known == number).map(|(_, value)| value);
    match (claim(5), claim(6)) {
        (Some(repository), Some(reference)) => format!("repo:{repository}:ref:{reference}"),
        _ => format!("subject of {}", claims.identity),
    }
}

/// What the services answer. `claims` are those of the one whose token is taken.
#[must_use]
pub fn answer(sigstore: &Sigstore, claims: &Claims, now: Timestamp, request: &Request) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    let answer = match path {
        "/api/v2/signingCert" => certificate(sigstore, claims, now, &request.body),
        "/api/v1/log/entries" => first_log(sigstore, now, &request.body),
        "/api/v2/log/entries" => second_log(sigstore, &request.body),
        "/api/v1/timestamp" => timestamp(sigstore, now, &request.body),
        "/github/token" => return github(claims, request),
        _ => return Answer::new(404, "there is nothing here"),
    };
    answer
        .map_or_else(|| Answer::new(400, "the request is not as it should be"), |body| Answer::new(201, body))
}

fn certificate(sigstore: &Sigstore, claims: &Claims, now: Timestamp, body: &[u8]) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    if request["credentials"]["oidcIdentityToken"].as_str()? != token(claims) {
        return None;
    }
    let asked = &request["publicKeyRequest"];
    let spki = from_pem(asked["publicKey"]["content"].as_str()?);
    let key = P256Public::from_spki(&spki)?;
    let proof = from_base64(asked["proofOfPossession"].as_str()?);
    let signed = if claims.identity.contains("://") { subject(claims) } else { claims.identity.clone() };
    verifies(&spki, &sha256(signed.as_bytes()), &proof).then_some(())?;
    let leaf = sigstore.authority.issue_for(&key, claims, now, true);
    let chain = sigstore.authority.chain();
    let certificates: Vec<String> =
        [&leaf[..], chain[0], chain[1]].iter().map(|der| pem("CERTIFICATE", der)).collect();
    let answer = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": certificates } } });
    Some(answer.to_string().into_bytes())
}

fn first_log(sigstore: &Sigstore, now: Timestamp, body: &[u8]) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let spec = &request["spec"];
    let body = match request["kind"].as_str()? {
        "dsse" => {
            let envelope_text = spec["proposedContent"]["envelope"].as_str()?;
            let envelope: Value = serde_json::from_str(envelope_text).ok()?;
            let payload = from_base64(envelope["payload"].as_str()?);
            let payload_type = envelope["payloadType"].as_str()?;
            let mut message =
                format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
            message.extend_from_slice(&payload);
            let verifier = &spec["proposedContent"]["verifiers"][0];
            let signature = &envelope["signatures"][0]["sig"];
            let spki = spki_of_pem(&String::from_utf8(from_base64(verifier.as_str()?)).ok()?)?;
            verifies(&spki, &sha256(&message), &from_base64(signature.as_str()?)).then_some(())?;
            json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": {
                "envelopeHash": {
                    "algorithm": "sha256",
                    "value": hex::encode(sha256(envelope_text.as_bytes())),
                },
                "payloadHash": { "algorithm": "sha256", "value": hex::encode(sha256(&payload)) },
                "signatures": [{ "signature": signature, "verifier": verifier }],
            } })
        }
        "hashedrekord" => {
            let digest = hex::decode(spec["data"]["hash"]["value"].as_str()?).ok()?;
            let signature = from_base64(spec["signature"]["content"].as_str()?);
            let verifier = from_base64(spec["signature"]["publicKey"]["content"].as_str()?);
            let spki = spki_of_pem(&String::from_utf8(verifier).ok()?)?;
            verifies(&spki, &digest, &signature).then_some(())?;
            json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec })
        }
        _ => return None,
    };
    let entry = sigstore.log_1.answer_first(&body.to_string(), now);
    Some(json!({ "24296fb24b8ad77a".repeat(5): entry }).to_string().into_bytes())
}

fn second_log(sigstore: &Sigstore, body: &[u8]) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let request = &request["hashedRekordRequestV002"];
    let signature = &request["signature"];
    let certificate = from_base64(signature["verifier"]["x509Certificate"]["rawBytes"].as_str()?);
    let spki = spki_of_certificate(&certificate)?;
    let digest = from_base64(request["digest"].as_str()?);
    verifies(&spki, &digest, &from_base64(signature["content"].as_str()?)).then_some(())?;
    let body = json!({ "apiVersion": "0.0.2", "kind": "hashedrekord", "spec": { "hashedRekordV002": {
        "data": { "algorithm": "SHA2_256", "digest": request["digest"] },
        "signature": { "content": signature["content"], "verifier": signature["verifier"] },
    } } });
    Some(sigstore.log_2.append_second(&body.to_string()).to_string().into_bytes())
}

fn timestamp(sigstore: &Sigstore, now: Timestamp, body: &[u8]) -> Option<Vec<u8>> {
    let request = der::inside(body)?;
    let imprint = der::parts(request.get(1)?.content)?;
    let algorithm = der::parts(imprint.first()?.content)?;
    let digest = imprint.get(1)?.content;
    if algorithm.first()?.whole != der::object(der::SHA256) || digest.len() != 32 {
        return None;
    }
    let nonce = request.iter().skip(2).find(|part| part.tag == 0x02).map_or(&[][..], |part| part.whole);
    Some(sigstore.timestamps.timestamp_of(digest, nonce, now))
}

fn github(claims: &Claims, request: &Request) -> Answer {
    let allowed = request.authorization.as_deref() == Some(&format!("Bearer {GITHUB_BEARER}"));
    if !allowed || !request.path.ends_with("&audience=sigstore") {
        return Answer::new(401, "no token for this job");
    }
    Answer::new(200, json!({ "count": 1, "value": token(claims) }).to_string())
}

/// Says whether the P-256 key made this signature over the digest.
fn verifies(spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    let key = spki.get(26..).and_then(|point| p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok());
    let signature = p256::ecdsa::Signature::from_der(signature).ok();
    key.zip(signature).is_some_and(|(key, signature)| key.verify_prehash(digest, &signature).is_ok())
}

fn spki_of_pem(text: &str) -> Option<Vec<u8>> {
    let der = from_pem(text);
    if text.starts_with("-----BEGIN CERTIFICATE") { spki_of_certificate(&der) } else { Some(der) }
}

/// Of the body of a certificate: version, serial number, algorithm, issuer, validity, subject, key.
fn spki_of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    let body = der::inside(certificate)?.first()?.content;
    der::parts(body)?.get(6).map(|part| part.whole.to_vec())
}

/// How an answer is changed before it is sent.
pub type Change = Box<dyn Fn(&Request, Answer) -> Answer + Send + Sync>;

struct Shared {
    sigstore: Sigstore,
    claims: Claims,
    now: Timestamp,
    change: Change,
    asked: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// The services, listening until they are dropped.
pub struct Service {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the services. It is always five minutes after [`Sigstore::today`] for them.
    #[must_use]
    pub fn start(sigstore: Sigstore, claims: Claims) -> Self {
        Self::start_changed(sigstore, claims, Box::new(|_, answer| answer))
    }

    /// Starts services that lie: `change` sees every answer before it is sent.
    #[must_use]
    pub fn start_changed(sigstore: Sigstore, claims: Claims, change: Change) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let now = sigstore.today() + SignedDuration::from_mins(5);
        let (asked, stopped) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { sigstore, claims, now, change, asked, stopped });
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let shared = Arc::clone(&shared);
                    // Whoever asks may have hung up already.
                    std::thread::spawn(move || drop(serve(&shared, stream)));
                }
            })
        };
        Self { shared, address, thread: Some(thread) }
    }

    /// The address of Fulcio and of both logs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the timestamp authority.
    #[must_use]
    pub fn timestamp_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.url())
    }

    /// What a job of GitHub's finds as `ACTIONS_ID_TOKEN_REQUEST_URL`.
    #[must_use]
    pub fn github_token_url(&self) -> String {
        format!("{}{GITHUB_TOKEN_PATH}", self.url())
    }

    /// The token that the authority takes.
    #[must_use]
    pub fn token(&self) -> String {
        token(&self.shared.claims)
    }

    /// The Sigstore that answers.
    #[must_use]
    pub fn sigstore(&self) -> &Sigstore {
        &self.shared.sigstore
    }

    /// The paths that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read(&mut reader)? else { return Ok(()) };
    shared.asked.lock().unwrap().push(request.path.clone());
    let answer = answer(&shared.sigstore, &shared.claims, shared.now, &request);
    let answer = (shared.change)(&request, answer);
    let location = answer.location.map(|to| format!("location: {to}\r\n")).unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {} here\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    )?;
    stream.write_all(&answer.body)
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut request = Request::default();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split_whitespace().nth(1) else { return Ok(None) };
    path.clone_into(&mut request.path);
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => request.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    if length > MAX_REQUEST {
        return Ok(None);
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
