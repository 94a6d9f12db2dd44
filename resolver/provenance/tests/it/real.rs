//! Bundles of real packages, verified without a network.

use std::path::Path;

use astrid_manifest::signer::Signer;
use astrid_provenance::{Artifact, Bundle, Error, ErrorKind, TrustRoot, Verified, Verifier};

use crate::bench_of_cases::flipped;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn verify_with(root: &TrustRoot, bundle: &[u8], artifact: &[u8]) -> Result<Verified, Error> {
    Verifier::new(root)?.verify(&Artifact::new(artifact), &Bundle::parse(bundle)?)
}

fn verify(bundle: &[u8], artifact: &[u8]) -> Result<Verified, Error> {
    verify_with(TrustRoot::builtin(), bundle, artifact)
}

#[test]
fn a_conda_package_is_taken() {
    let verified = verify(&data("conda.sigstore.json"), &data("conda.conda")).unwrap();
    let level = verified.level();
    assert_eq!(level.as_deref(), Some("https://schemas.conda.org/attestations-publish-1.schema.json"));
    let Signer::Ci { issuer, repository, workflow } = verified.signer() else { panic!("{verified:?}") };
    assert_eq!(issuer, "https://token.actions.githubusercontent.com");
    assert_eq!(
        (repository.as_str(), workflow.starts_with(".github/workflows/")),
        ("prefix-dev/sigstore-example", true)
    );
    let other = verify(&data("conda.sigstore.json"), b"other").unwrap_err();
    assert!(other.message().contains("about other bytes"), "{other}");
    let text = String::from_utf8(data("conda.sigstore.json")).unwrap();
    let spoiled = flipped(&text, "/dsseEnvelope/signatures/0/sig");
    assert!(verify(spoiled.as_bytes(), &data("conda.conda")).is_err());
}

#[test]
fn what_cosign_writes_is_taken() {
    let verified = verify(&data("cosign.sigstore.json"), &data("cosign.txt")).unwrap();
    assert_eq!((verified.times.len(), verified.level()), (2, None));
    let Signer::Identity { identity, .. } = verified.signer() else { panic!("{verified:?}") };
    assert!(identity.contains('@'), "{identity}");
}

#[test]
fn another_instance_needs_its_root() {
    let (bundle, artifact) = (data("staging.sigstore.json"), data("staging.txt"));
    let error = verify(&bundle, &artifact).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.message().contains("the trusted root has no log"), "{error}");
    let staging = TrustRoot::parse(sigstore::trust_root::SIGSTORE_STAGING_TRUSTED_ROOT.as_bytes()).unwrap();
    assert!(verify_with(&staging, &bundle, &artifact).is_ok());
    for root in [&staging, TrustRoot::builtin()] {
        assert!(root.left_out().is_empty(), "{:?}", root.left_out());
    }
    let github = TrustRoot::parse(sigstore::trust_root::SIGSTORE_GITHUB_TRUSTED_ROOT.as_bytes()).unwrap();
    assert!(Verifier::new(&github).is_ok() && github.left_out().is_empty());
}

#[test]
fn a_key_with_a_log_entry_is_taken() {
    let pem = String::from_utf8(data("key.pem")).unwrap();
    let der = astrid_hermetic_sigstore::from_pem(&pem);
    let bundle = Bundle::parse(&data("key.sigstore.json")).unwrap();
    let public = Verifier::new(TrustRoot::builtin()).unwrap();
    let verified = public.verify_with_spki(&Artifact::new(&data("key.txt")), &bundle, &der).unwrap();
    assert_eq!(verified.times.len(), 2);
    assert!(public.verify(&Artifact::new(&data("key.txt")), &bundle).is_err(), "it names no key of ours");
}

#[test]
fn what_is_wrong_with_real_bundles_is_denied() {
    for (name, kind, says) in [
        ("github-private", ErrorKind::Refused, "about other bytes"),
        ("no-log-entry", ErrorKind::Refused, "lacks what proves"),
        ("two-signatures", ErrorKind::Unreadable, "exactly one signature"),
    ] {
        let error = verify(&data(&format!("{name}.sigstore.json")), b"").expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}
