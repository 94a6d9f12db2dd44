//! The services answer in memory here, and sometimes they lie.

use astrid_hermetic_sigstore::key::P256Public;
use astrid_hermetic_sigstore::service::{self, Answer, Request};
use astrid_hermetic_sigstore::{Claims, Key, PublicKey, Sigstore, from_base64};
use jiff::SignedDuration;

use super::*;
use crate::error::ErrorKind;
use crate::root::TrustRoot;
use crate::statement::Subject;

const BYTES: &[u8] = b"the archive";

type Change<'a> = &'a dyn Fn(&Sigstore, &Request, Answer) -> Answer;

struct Memory<'a> {
    sigstore: &'a Sigstore,
    change: Change<'a>,
}

impl Transport for Memory<'_> {
    type Error = Error;

    fn post(&self, ask: &Ask<'_>) -> Result<Vec<u8>> {
        let path = ask.url.strip_prefix("https://example.org").unwrap().to_owned();
        let request = Request { path, authorization: None, body: ask.body.to_vec() };
        let now = self.sigstore.today() + SignedDuration::from_mins(5);
        let answer = service::answer(self.sigstore, &claims(), now, &request);
        let answer = (self.change)(self.sigstore, &request, answer);
        if answer.status == 201 { Ok(answer.body) } else { Err(Error::unreadable(answer.status.to_string())) }
    }
}

fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

fn statement() -> Statement {
    Statement::new(vec![Subject::of("fs.capsule", BYTES)], "https://example.org/p/v1", json!({}))
}

fn services(rekor_version: RekorVersion, timestamps: bool) -> Services {
    Services {
        fulcio: "https://example.org/".to_owned(),
        rekor: "https://example.org".to_owned(),
        rekor_version,
        timestamp_authority: timestamps.then(|| "https://example.org/api/v1/timestamp".to_owned()),
    }
}

fn token() -> Token {
    let text = Zeroizing::new(format!("{}\n", service::token(&claims())));
    Token::parse(text, Timestamp::UNIX_EPOCH).unwrap()
}

fn sign_with(services: &Services, change: Change<'_>, bytes: bool) -> Result<Signed> {
    let sigstore = Sigstore::default();
    let root = TrustRoot::parse(sigstore.trusted_root().as_bytes()).unwrap();
    let verifier = Verifier::new(&root).unwrap();
    let transport = Memory { sigstore: &sigstore, change };
    let keyless = Keyless { services, token: &token(), transport: &transport, verifier: &verifier };
    if bytes { keyless.sign_bytes(BYTES) } else { keyless.sign_statement(&statement(), &[BYTES]) }
}

fn honest(_: &Sigstore, _: &Request, answer: Answer) -> Answer {
    answer
}

#[test]
fn bytes_and_statements_are_signed_with_both_kinds_of_log() {
    for services in [
        services(RekorVersion::V1, false),
        services(RekorVersion::V1, true),
        services(RekorVersion::V2, true),
    ] {
        for bytes in [false, true] {
            let signed = sign_with(&services, &honest, bytes).unwrap();
            assert_eq!(signed.verified.statement.is_none(), bytes);
            let Identity::Certificate(certificate) = &signed.verified.signer else { panic!("{signed:?}") };
            assert_eq!(certificate.identity, claims().identity);
            assert!(signed.bundle.ends_with("}\n"));
            assert!(!signed.bundle.contains(&service::token(&claims())));
        }
    }
}

#[test]
fn a_log_without_a_clock_and_without_a_timestamp_is_denied() {
    let error = sign_with(&services(RekorVersion::V2, false), &honest, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

/// Replaces what one service answers.
fn on<'a>(
    path: &'a str,
    change: impl Fn(&Sigstore, &Request, Answer) -> Answer + 'a,
) -> impl Fn(&Sigstore, &Request, Answer) -> Answer + 'a {
    move |sigstore, request, answer| {
        if request.path == path { change(sigstore, request, answer) } else { answer }
    }
}

/// Changes the one entry of an answer of the first log.
fn entry(change: impl Fn(&mut Value)) -> impl Fn(&Sigstore, &Request, Answer) -> Answer {
    move |_, _, answer| {
        let mut document: Value = serde_json::from_slice(&answer.body).unwrap();
        change(document.as_object_mut().unwrap().values_mut().next().unwrap());
        Answer::new(201, document.to_string())
    }
}

fn certificate_of(
    sigstore: &Sigstore,
    key: &impl PublicKey,
    claims: &Claims,
    with_timestamp: bool,
) -> Answer {
    let der = sigstore.authority.issue_for(key, claims, sigstore.today(), with_timestamp);
    let pem = astrid_hermetic_sigstore::pem("CERTIFICATE", &der);
    let answer = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [pem] } } });
    Answer::new(201, answer.to_string())
}

/// The key that a certificate is asked for.
fn asked_key(request: &Request) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    astrid_hermetic_sigstore::from_pem(asked["publicKeyRequest"]["publicKey"]["content"].as_str().unwrap())
}

/// A log that takes everything without a look.
fn blind_log(sigstore: &Sigstore, request: &Request) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let proposed = &asked["spec"]["proposedContent"];
    let text = proposed["envelope"].as_str().unwrap();
    let envelope: Value = serde_json::from_str(text).unwrap();
    let digest = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let payload = from_base64(envelope["payload"].as_str().unwrap());
    let body = json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": {
        "envelopeHash": { "algorithm": "sha256", "value": digest(text.as_bytes()) },
        "payloadHash": { "algorithm": "sha256", "value": digest(&payload) },
        "signatures": [{ "signature": envelope["signatures"][0]["sig"], "verifier": proposed["verifiers"][0] }],
    } });
    let now = sigstore.today() + SignedDuration::from_mins(5);
    let entry = sigstore.log_1.answer_first(&body.to_string(), now);
    Answer::new(201, json!({ "one": entry }).to_string())
}

#[test]
fn a_log_that_looks_away_is_enough_for_honest_signatures() {
    // So that what is denied below is not denied for the log's sake.
    let blind = on("/api/v1/log/entries", |sigstore, request, _| blind_log(sigstore, request));
    sign_with(&services(RekorVersion::V1, true), &blind, false).unwrap();
}

#[test]
fn services_that_lie_are_denied() {
    const FULCIO: &str = "/api/v2/signingCert";
    const LOG: &str = "/api/v1/log/entries";
    const CLOCK: &str = "/api/v1/timestamp";
    let evil = Sigstore::seeded("evil", Sigstore::default().from());
    let other_key = |sigstore: &Sigstore, request: &Request, answer: Answer| match request.path.as_str() {
        FULCIO => certificate_of(sigstore, &Key::p256("somebody else's"), &claims(), true),
        LOG => blind_log(sigstore, request),
        _ => answer,
    };
    let no_timestamp = |sigstore: &Sigstore, request: &Request, answer: Answer| match request.path.as_str() {
        FULCIO => {
            let key = P256Public::from_spki(&asked_key(request)).unwrap();
            certificate_of(sigstore, &key, &claims(), false)
        }
        LOG => blind_log(sigstore, request),
        _ => answer,
    };
    let other_authority = on(FULCIO, |sigstore, request, _| {
        service::answer(&evil, &claims(), sigstore.today() + SignedDuration::from_mins(5), request)
    });
    let other_log = on(LOG, |sigstore, request, _| {
        service::answer(&evil, &claims(), sigstore.today() + SignedDuration::from_mins(5), request)
    });
    let other_clock = on(CLOCK, |sigstore, request, _| {
        service::answer(&evil, &claims(), sigstore.today() + SignedDuration::from_mins(5), request)
    });
    let late = on(LOG, |sigstore, request, _| {
        let hours = sigstore.today() + SignedDuration::from_hours(2);
        service::answer(sigstore, &claims(), hours, request)
    });
    let another_body = on(
        LOG,
        entry(|entry| {
            let body = String::from_utf8(from_base64(entry["body"].as_str().unwrap())).unwrap();
            entry["body"] = json!(STANDARD.encode(body.replace("\"0.0.1\"", "\"0.0.2\"")));
        }),
    );
    let another_time = on(LOG, entry(|entry| entry["integratedTime"] = json!(1)));
    let another_hash =
        on(LOG, entry(|entry| entry["verification"]["inclusionProof"]["hashes"][0] = json!("00".repeat(32))));
    let no_promise = on(LOG, entry(|entry| entry["verification"]["signedEntryTimestamp"] = json!("")));
    let no_digest = on(LOG, entry(|entry| entry["logID"] = json!("zz")));
    let two = on(LOG, |_, _, answer| {
        let mut document: Value = serde_json::from_slice(&answer.body).unwrap();
        let one = document.as_object().unwrap().values().next().unwrap().clone();
        document["another"] = one;
        Answer::new(201, document.to_string())
    });
    let flipped = on(CLOCK, |_, _, mut answer| {
        let last = answer.body.len() - 3;
        answer.body[last] ^= 1;
        answer
    });
    let error = |path| on(path, |_, _, _| Answer::new(500, "no"));
    let nothing = |path| on(path, |_, _, _| Answer::new(201, ""));
    let deep = |path| on(path, |_, _, _| Answer::new(201, "[".repeat(100_000)));
    let large = |path| on(path, |_, _, _| Answer::new(201, vec![b' '; MAX_ANSWER_BYTES + 1]));
    let no_certificate = on(FULCIO, |_, _, _| Answer::new(201, "{}"));
    let no_pem = on(FULCIO, |_, _, _| {
        let answer = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": ["pem"] } } });
        Answer::new(201, answer.to_string())
    });
    let (error_1, error_2, error_3) = (error(FULCIO), error(LOG), error(CLOCK));
    let (nothing_1, nothing_2, nothing_3) = (nothing(FULCIO), nothing(LOG), nothing(CLOCK));
    let (deep_1, deep_2) = (deep(FULCIO), deep(LOG));
    let (large_1, large_2, large_3) = (large(FULCIO), large(LOG), large(CLOCK));
    let cases: [(&str, Change<'_>, Option<ErrorKind>); 26] = [
        ("a certificate for another key", &other_key, Some(ErrorKind::Refused)),
        ("a certificate without its timestamp", &no_timestamp, Some(ErrorKind::Refused)),
        ("another authority", &other_authority, Some(ErrorKind::Refused)),
        ("another log", &other_log, Some(ErrorKind::Refused)),
        ("another clock", &other_clock, Some(ErrorKind::Refused)),
        ("an entry that is too late", &late, Some(ErrorKind::Refused)),
        ("an entry with another body", &another_body, Some(ErrorKind::Refused)),
        ("an entry with another time", &another_time, Some(ErrorKind::Refused)),
        ("an entry with another path", &another_hash, Some(ErrorKind::Refused)),
        ("an entry without a promise", &no_promise, Some(ErrorKind::Refused)),
        ("an entry with no digest", &no_digest, Some(ErrorKind::Unreadable)),
        ("two entries", &two, Some(ErrorKind::Unreadable)),
        ("a timestamp with another bit", &flipped, Some(ErrorKind::Refused)),
        ("500 of the authority", &error_1, None),
        ("500 of the log", &error_2, None),
        ("500 of the clock", &error_3, None),
        ("nothing from the authority", &nothing_1, Some(ErrorKind::Unreadable)),
        ("nothing from the log", &nothing_2, Some(ErrorKind::Unreadable)),
        ("nothing from the clock", &nothing_3, Some(ErrorKind::Refused)),
        ("depths from the authority", &deep_1, Some(ErrorKind::Unreadable)),
        ("depths from the log", &deep_2, Some(ErrorKind::Unreadable)),
        ("too much from the authority", &large_1, Some(ErrorKind::Unreadable)),
        ("too much from the log", &large_2, Some(ErrorKind::Unreadable)),
        ("too much from the clock", &large_3, Some(ErrorKind::Unreadable)),
        ("no certificate", &no_certificate, Some(ErrorKind::Unreadable)),
        ("a certificate that is none", &no_pem, Some(ErrorKind::Unreadable)),
    ];
    for (name, change, kind) in cases {
        let error = sign_with(&services(RekorVersion::V1, true), change, false).expect_err(name);
        if let Some(kind) = kind {
            assert_eq!(error.kind(), kind, "{name}: {error}");
        }
        assert!(!error.to_string().contains(&service::token(&claims())), "{name}");
    }
}

#[test]
fn a_statement_about_something_else_is_denied() {
    let sigstore = Sigstore::default();
    let root = TrustRoot::parse(sigstore.trusted_root().as_bytes()).unwrap();
    let verifier = Verifier::new(&root).unwrap();
    let transport = Memory { sigstore: &sigstore, change: &honest };
    let services = services(RekorVersion::V1, false);
    let keyless =
        Keyless { services: &services, token: &token(), transport: &transport, verifier: &verifier };
    assert!(keyless.sign_statement(&statement(), &[BYTES, b"another"]).is_err());
    assert!(keyless.sign_statement(&statement(), &[]).is_err());
}

#[test]
fn tokens_that_prove_nothing_are_denied() {
    let part = |payload: Value| URL_SAFE_NO_PAD.encode(payload.to_string());
    let with = |payload: Value| format!("{}.{}.x", part(json!({})), part(payload));
    let base = |aud: Value, exp: i64| json!({ "iss": "i", "sub": "s", "aud": aud, "exp": exp });
    let parse = |text: &str| Token::parse(Zeroizing::new(text.to_owned()), Timestamp::UNIX_EPOCH);
    assert_eq!(parse(&with(base(json!(["other", "sigstore"]), 10))).unwrap().issuer(), "i");
    for (text, kind) in [
        (String::new(), ErrorKind::Unreadable),
        ("a.b".to_owned(), ErrorKind::Unreadable),
        ("a.b.c.d".to_owned(), ErrorKind::Unreadable),
        (with(json!([])), ErrorKind::Unreadable),
        (format!("{}\"", with(base(json!("sigstore"), 10))), ErrorKind::Unreadable),
        (
            format!("{}{}", with(base(json!("sigstore"), 10)), "x".repeat(MAX_TOKEN_BYTES)),
            ErrorKind::Unreadable,
        ),
        (with(base(json!("sigstore"), 0)), ErrorKind::Refused),
        (with(base(json!("another"), 10)), ErrorKind::Refused),
        (with(base(Value::Null, 10)), ErrorKind::Refused),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(text.is_empty() || !error.to_string().contains(&text), "{error}");
    }
    assert_eq!(format!("{:?}", token()), "Token(…)");
}
