//! What the tests share: an artifact, who signs it, and ways to spoil a document.

use astrid_hermetic_sigstore::{Claims, Sigstore, base64, from_base64, sha256};
use astrid_provenance::{Artifact, Bundle, Error, TrustRoot, Verified, Verifier};
use serde_json::{Value, json};

/// The artifact.
pub(crate) const BYTES: &[u8] = b"the archive";
/// The type of SLSA provenance.
pub(crate) const SLSA: &str = "https://slsa.dev/provenance/v1";
/// The builder that the statements name.
pub(crate) const BUILDER: &str = "https://github.com/actions/runner/github-hosted";

/// The workflow that signs.
pub(crate) fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

/// SLSA provenance of `bytes`.
pub(crate) fn statement_of(bytes: &[u8]) -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "fs.capsule", "digest": { "sha256": hex::encode(sha256(bytes)) } }],
        "predicateType": SLSA,
        "predicate": { "runDetails": { "builder": { "id": BUILDER } } },
    })
    .to_string()
}

/// SLSA provenance of the artifact.
pub(crate) fn statement() -> String {
    statement_of(BYTES)
}

/// The verifier that believes `root`.
pub(crate) fn verifier(root: &str) -> Verifier {
    Verifier::new(&TrustRoot::parse(root.as_bytes()).unwrap()).unwrap()
}

/// Verifies `bundle` over `bytes` with `root`.
pub(crate) fn verify(root: &str, bundle: &str, bytes: &[u8]) -> Result<Verified, Error> {
    let root = TrustRoot::parse(root.as_bytes())?;
    let bundle = Bundle::parse(bundle.as_bytes())?;
    Verifier::new(&root)?.verify(&Artifact::new(bytes), &bundle)
}

/// Verifies `bundle` over the artifact with the root of `sigstore`.
pub(crate) fn verify_with(sigstore: &Sigstore, bundle: &str) -> Result<Verified, Error> {
    verify(&sigstore.trusted_root(), bundle, BYTES)
}

/// `document` with the value at `pointer` changed.
pub(crate) fn edited(document: &str, pointer: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    change(document.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")));
    document.to_string()
}

/// `document` with the value at `pointer` replaced.
pub(crate) fn with(document: &str, pointer: &str, value: impl Into<Value>) -> String {
    let value = value.into();
    edited(document, pointer, |old| *old = value)
}

/// `document` without `key` of the object at `pointer`.
pub(crate) fn without(document: &str, pointer: &str, key: &str) -> String {
    edited(document, pointer, |value| {
        value.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("no {key} at {pointer}"));
    })
}

/// `document` with one bit of the base64 at `pointer` flipped.
pub(crate) fn flipped(document: &str, pointer: &str) -> String {
    edited(document, pointer, |value| {
        let mut bytes = from_base64(value.as_str().unwrap());
        let at = bytes.len() - 3;
        bytes[at] ^= 1;
        *value = json!(base64(bytes));
    })
}

/// The value at `pointer`.
pub(crate) fn at(document: &str, pointer: &str) -> Value {
    let document: Value = serde_json::from_str(document).unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).clone()
}
