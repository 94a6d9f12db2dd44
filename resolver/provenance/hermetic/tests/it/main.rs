//! What it makes is taken by an independent verifier, and what is wrong with it is not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

use astrid_hermetic_sigstore::{BundleForm, Claims, Key, Sigstore, sha256};
use jiff::SignedDuration;
use sigstore::trust_root::TrustedRoot;
use sigstore::types::{Bundle, DerPublicKey};
use sigstore::{Policy, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier};

const BYTES: &[u8] = b"the archive";

fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

fn policy() -> VerificationPolicy {
    VerificationPolicy::new(claims().identity.as_str(), claims().issuer.as_str())
}

fn statement() -> String {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "fs.capsule", "digest": { "sha256": hex::encode(sha256(BYTES)) } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    })
    .to_string()
}

fn verify(sigstore: &Sigstore, bundle: &str, policy: &dyn Policy) -> Result<VerificationResult, String> {
    let root = TrustedRoot::from_json(&sigstore.trusted_root()).map_err(|error| error.to_string())?;
    let bundle = Bundle::from_json(bundle).map_err(|error| error.to_string())?;
    let verifier = Verifier::new(&root).map_err(|error| error.to_string())?;
    verifier.verify(BYTES, &bundle, policy).map_err(|error| error.to_string())
}

#[test]
fn every_shape_is_taken() {
    let sigstore = Sigstore::default();
    let signing = || sigstore.signing(&claims());
    for (name, bundle) in [
        ("blob", sigstore.sign_blob(&claims(), BYTES)),
        ("blob with a timestamp", signing().timestamped().blob(BYTES)),
        ("blob in the second log", signing().rekor_2().blob(BYTES)),
        ("statement", sigstore.sign_statement(&claims(), &statement())),
        ("statement in the second log", signing().rekor_2().statement(&statement())),
        ("version 0.1", signing().form(BundleForm::V0_1).blob(BYTES)),
        ("version 0.2", signing().form(BundleForm::V0_2).statement(&statement())),
        ("version 0.3, older", signing().form(BundleForm::V0_3Older).blob(BYTES)),
    ] {
        let result = verify(&sigstore, &bundle, &policy()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(result.certificate_verified() && result.sct_verified() && result.tlog_verified(), "{name}");
        let claims = &result.certificate().unwrap().ci_claims;
        assert_eq!(claims.source_repository_uri.as_deref(), Some("https://github.com/acme/fs"), "{name}");
        assert_eq!(claims.source_repository_ref.as_deref(), Some("refs/tags/v1.2.0"), "{name}");
    }
}

#[test]
fn keys_without_a_certificate_are_taken() {
    let sigstore = Sigstore::default();
    for key in [Key::p256("ada"), Key::p384("ada"), Key::ed25519("ada")] {
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::from_pem(&key.public_pem()).unwrap());
        let take = |bundle: &str| {
            verify(&sigstore, bundle, &policy).unwrap_or_else(|error| panic!("{}: {error}", key.details()));
        };
        take(&sigstore.signing_by_key(&key).statement(&statement()));
        if key.details() != "PKIX_ECDSA_P384_SHA_384" {
            take(&sigstore.signing_by_key(&key).blob(BYTES));
        }
        // The verifier reads entries of the second kind for P-256 only.
        if key.details() == "PKIX_ECDSA_P256_SHA_256" {
            take(&sigstore.signing_by_key(&key).rekor_2().statement(&statement()));
        }
    }
}

#[test]
fn what_is_wrong_with_it_is_denied() {
    let sigstore = Sigstore::default();
    let signing = || sigstore.signing(&claims());
    let evil = Sigstore::seeded("evil", sigstore.from());
    let leaf = sigstore.authority.issue(&claims(), sigstore.today(), true);
    let late = sigstore.today() + SignedDuration::from_mins(11);
    let denied = [
        ("no log", signing().without_log().blob(BYTES)),
        ("no time", signing().rekor_2().without_timestamp().blob(BYTES)),
        ("no certificate timestamp", signing().without_certificate_timestamp().blob(BYTES)),
        ("too late", signing().signed_at(late).blob(BYTES)),
        ("another artifact", signing().blob(b"another archive")),
        ("another Sigstore", evil.sign_blob(&claims(), BYTES)),
        ("the log of another one", evil.signing_with(&leaf).blob(BYTES)),
        ("another identity", sigstore.sign_blob(&Claims::github("mallory/fs", "release.yml", "x"), BYTES)),
    ];
    for (name, bundle) in denied {
        assert!(verify(&sigstore, &bundle, &policy()).is_err(), "{name}");
    }
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let [first, second] = [Sigstore::default(), Sigstore::default()];
    assert_eq!(first.trusted_root(), second.trusted_root());
    for _ in 0..2 {
        assert_eq!(first.sign_blob(&claims(), BYTES), second.sign_blob(&claims(), BYTES));
        let signed = |sigstore: &Sigstore| sigstore.signing(&claims()).rekor_2().statement(&statement());
        assert_eq!(signed(&first), signed(&second));
    }
}
