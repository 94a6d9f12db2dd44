//! Bundles that are signed by a key, without a certificate.

use astrid_hermetic_sigstore::{Key, Sigstore, base64, sha256};
use astrid_manifest::signer::Signer;
use astrid_provenance::ErrorKind::{Refused, Unreadable};
use astrid_provenance::statement::Subject;
use astrid_provenance::verify::Identity;
use astrid_provenance::{Artifact, Bundle, Error, SigningKey, Statement, Verified, envelope};
use jiff::SignedDuration;
use serde_json::json;

use crate::bench_of_cases::{
    BYTES, at, claims, edited, flipped, statement, statement_of, verifier, verify, with, without,
};

const OURS: &str = "https://github.com/unicity-astrid/astrid/attestations/artifact/v1";
/// A root that vouches for nothing.
const NOTHING: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;

/// Verifies `bundle` over the artifact with the root and a key.
pub(crate) fn verify_by(root: &str, bundle: &str, key: &Key) -> Result<Verified, Error> {
    let bundle = Bundle::parse(bundle.as_bytes())?;
    verifier(root).verify_with_spki(&Artifact::new(BYTES), &bundle, &key.spki())
}

fn seven() -> SigningKey {
    SigningKey::from_bytes(&[7; 32].into())
}

fn ours() -> String {
    let statement = Statement::new(vec![Subject::of("fs.capsule", BYTES)], OURS, json!({}));
    envelope::sign(&statement, &seven()).unwrap()
}

/// A bundle of `seven` over the bytes themselves.
fn blob() -> String {
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": seven().public().to_string() } },
        "messageSignature": {
            "messageDigest": { "algorithm": "SHA2_256", "digest": base64(sha256(BYTES)) },
            "signature": base64(seven().sign(BYTES)),
        },
    })
    .to_string()
}

#[test]
fn a_key_that_the_bundle_names_comes_out() {
    for (bundle, level) in [(ours(), Some(OURS)), (blob(), None)] {
        let verified = verify(NOTHING, &bundle, BYTES).unwrap();
        assert_eq!(verified.signer, Identity::Key(seven().public()));
        assert_eq!(verified.signer(), Signer::Key(seven().public().to_string()));
        assert_eq!(verified.level().as_deref(), level);
        assert!(verified.times.is_empty());
        let again = Bundle::parse(bundle.as_bytes()).unwrap();
        assert_eq!(again.key_hint(), Some(seven().public().to_string().as_str()));
        let artifact = Artifact::new(BYTES);
        assert!(verifier(NOTHING).verify_with_key(&artifact, &again, &seven().public()).is_ok());
        let other = SigningKey::from_bytes(&[8; 32].into()).public();
        let error = verifier(NOTHING).verify_with_key(&artifact, &again, &other).unwrap_err();
        assert_eq!(error.kind(), Refused);
        assert!(error.to_string().contains("the bundle names the key ed25519:6kpsY"), "{error}");
    }
}

#[test]
fn keys_of_every_algorithm_are_taken_when_they_are_given() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    for key in [Key::p256("ada"), Key::p384("ada"), Key::ed25519("ada")] {
        let signing = || sigstore.signing_by_key(&key);
        let mut bundles = vec![
            signing().without_log().statement(&statement()),
            signing().without_log().timestamped().statement(&statement()),
            signing().statement(&statement()),
            signing().timestamped().statement(&statement()),
        ];
        // The digest that stands in the bundles of bytes is SHA-256.
        if key.details() != "PKIX_ECDSA_P384_SHA_384" {
            bundles.extend([signing().without_log().blob(BYTES), signing().blob(BYTES)]);
        }
        for (index, bundle) in bundles.iter().enumerate() {
            let verified = verify_by(&root, bundle, &key)
                .unwrap_or_else(|error| panic!("{} {index}: {error}", key.details()));
            let Signer::Key(name) = verified.signer() else { panic!() };
            let prefix = if key.details() == "PKIX_ED25519" { "ed25519:" } else { "sha256:" };
            assert!(name.starts_with(prefix), "{name}");
            for time in &verified.times {
                assert_eq!(*time, sigstore.today() + SignedDuration::from_secs(5));
            }
            let other = Key::p256("mallory");
            assert_eq!(verify_by(&root, bundle, &other).unwrap_err().kind(), Refused, "{index}");
        }
    }
    let key = Key::p256("ada");
    assert!(verify_by(&root, &sigstore.signing_by_key(&key).rekor_2().blob(BYTES), &key).is_ok());
}

#[test]
fn what_a_key_did_not_sign_is_denied() {
    let more = |change: &dyn Fn(&mut serde_json::Value)| edited(&ours(), "", |bundle| change(bundle));
    let payload = |text: &str| with(&ours(), "/dsseEnvelope/payload", base64(text));
    let hint = "/verificationMaterial/publicKey/hint";
    let other = SigningKey::from_bytes(&[8; 32].into()).public().to_string();
    let about = |bytes: &[u8], kind| {
        let statement = Statement::new(vec![Subject::of("fs.capsule", bytes)], kind, json!({}));
        envelope::sign(&statement, &seven()).unwrap()
    };
    for (name, bundle, kind, says) in [
        ("signature", flipped(&ours(), "/dsseEnvelope/signatures/0/sig"), Refused, "not by the key"),
        ("no signature", with(&ours(), "/dsseEnvelope/signatures/0/sig", ""), Refused, "not by the key"),
        ("payload", payload(&statement()), Refused, "not by the key"),
        (
            "payload type",
            with(&ours(), "/dsseEnvelope/payloadType", "text/plain"),
            Unreadable,
            "only in-toto",
        ),
        ("other bytes", about(b"other", OURS), Refused, "about other bytes"),
        ("another key", with(&ours(), hint, other.as_str()), Refused, "not by the key"),
        ("no name of a key", with(&ours(), hint, ""), Refused, "does not name"),
        ("a key by its digest", with(&ours(), hint, base64(sha256(b"key"))), Refused, "does not name"),
        ("a weak key", with(&ours(), hint, format!("ed25519:{}", base64([0; 32]))), Refused, "does not name"),
        ("a key in another form", with(&ours(), hint, seven().public().to_hex()), Refused, "does not name"),
        ("no hint", without(&ours(), "/verificationMaterial/publicKey", "hint"), Refused, "does not name"),
        ("signature over bytes", flipped(&blob(), "/messageSignature/signature"), Refused, "not by the key"),
        (
            "digest of bytes",
            flipped(&blob(), "/messageSignature/messageDigest/digest"),
            Refused,
            "other bytes",
        ),
        (
            "signature of the statement over the bytes",
            with(&blob(), "/messageSignature/signature", at(&ours(), "/dsseEnvelope/signatures/0/sig")),
            Refused,
            "not by the key",
        ),
        (
            "digest of an unknown algorithm",
            with(&blob(), "/messageSignature/messageDigest/algorithm", "MD5"),
            Unreadable,
            "",
        ),
        (
            "a list of entries that is none",
            more(&|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!({})),
            Unreadable,
            "",
        ),
    ] {
        let error = verify(NOTHING, &bundle, BYTES).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    assert!(verify(NOTHING, &blob(), b"other").is_err());
}

#[test]
fn logs_and_times_that_come_along_must_be_right() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let key = Key::ed25519("ada");
    let signing = || sigstore.signing_by_key(&key);
    let logged = signing().timestamped().statement(&statement());
    let only_timed = signing().without_log().timestamped().statement(&statement());
    assert!(verify_by(&root, &logged, &key).is_ok() && verify_by(&root, &only_timed, &key).is_ok());
    let entry = "/verificationMaterial/tlogEntries/0";
    let token = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    let evil = Sigstore::seeded("mallory", sigstore.from());
    let elsewhere = signing().without_log().timestamped().statement(&statement_of(b"other"));
    let ended = |root: &str, window: &str| {
        edited(root, window, |value| {
            *value = json!({ "start": "2025-01-01T00:00:00Z", "end": "2026-01-01T12:00:00Z" });
        })
    };
    for (name, root, bundle) in [
        ("entry", &root, flipped(&logged, &format!("{entry}/inclusionPromise/signedEntryTimestamp"))),
        ("no proof", &root, without(&logged, entry, "inclusionProof")),
        ("proof", &root, flipped(&logged, &format!("{entry}/inclusionProof/hashes/0"))),
        ("name of the log", &root, flipped(&logged, &format!("{entry}/logId/keyId"))),
        ("another log", &root, evil.signing_by_key(&key).statement(&statement())),
        ("timestamp beside an entry", &root, flipped(&logged, token)),
        ("timestamp", &root, flipped(&only_timed, token)),
        ("timestamp of another signature", &root, with(&only_timed, token, at(&elsewhere, token))),
        ("a root that knows neither", &NOTHING.to_owned(), logged.clone()),
        ("a root that knows no authority", &NOTHING.to_owned(), only_timed.clone()),
        ("a log that had ended", &ended(&root, "/tlogs/0/publicKey/validFor"), logged.clone()),
        (
            "an authority that had ended",
            &ended(&root, "/timestampAuthorities/0/validFor"),
            only_timed.clone(),
        ),
    ] {
        let error = verify_by(root, &bundle, &key).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert_eq!(error.kind(), Refused, "{name}: {error}");
    }
    // Without any time, nothing shows that the log was used before it ended.
    let untimed = sigstore.signing_by_key(&Key::p256("ada")).rekor_2().without_timestamp().blob(BYTES);
    assert!(verify_by(&root, &untimed, &Key::p256("ada")).is_ok());
    let later =
        edited(&root, "/tlogs/1/publicKey/validFor", |value| value["end"] = json!("2027-01-01T00:00:00Z"));
    let error = verify_by(&later, &untimed, &Key::p256("ada")).unwrap_err();
    assert!(error.message().contains("nothing proves that the entry was made while"), "{error}");
}

#[test]
fn a_certificate_is_no_key_and_a_key_no_certificate_denied() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let certified = sigstore.sign_blob(&claims(), BYTES);
    let error = verify_by(&root, &certified, &Key::p256("ada")).unwrap_err();
    assert_eq!((error.kind(), error.message().contains("not by a key")), (Refused, true));
    // A certificate taken away leaves a bundle that nobody signed, not one that a key signed.
    let stripped = edited(&certified, "/verificationMaterial", |material| {
        material.as_object_mut().unwrap().remove("certificate");
        material["publicKey"] = json!({ "hint": seven().public().to_string() });
    });
    assert_eq!(verify(&root, &stripped, BYTES).unwrap_err().kind(), Refused);
}

#[test]
fn other_keys_are_denied() {
    let bundle = Bundle::parse(ours().as_bytes()).unwrap();
    for der in [&b""[..], b"hello", &[0x30; 44], &Key::p256("a").spki()[1..]] {
        let error = verifier(NOTHING).verify_with_spki(&Artifact::new(BYTES), &bundle, der).unwrap_err();
        assert_eq!(error.kind(), Unreadable);
    }
}
