//! Trust roots: what is left out, and what is no root at all.

use astrid_hermetic_sigstore::{Sigstore, base64};
use astrid_provenance::{TrustRoot, Verifier};
use serde_json::{Value, json};

use crate::bench_of_cases::{BYTES, claims, edited, verify, with, without};

/// A key over P-521, which is not known here.
const P521: &str = "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBEWGwM5hyL5Ne/tLb4SvmJr7YSp0GDXd05eWEZJfbmJxHgCpKaxJvKPqoTKAZSsIUxdEAUwJ1AP8nsWFMmdyVFz4ApzNGUVMeRW9zPBvsC6LyMGNxqZEUMZjHyV5wx1yNkECB3hYNrWzPdv7ZbFVxeFRvjy7JKPTlSOkVdmUQaFKXwJc=";

fn log(url: &str, hash: &str, key: &str) -> Value {
    json!({
        "baseUrl": url,
        "hashAlgorithm": hash,
        "logId": { "keyId": base64([9; 32]) },
        "publicKey": {
            "rawBytes": key,
            "keyDetails": "PKIX_ECDSA_P521_SHA_512",
            "validFor": { "start": "2026-01-01T00:00:00Z" },
        },
    })
}

fn push(root: &str, list: &str, entry: &Value) -> String {
    edited(root, &format!("/{list}"), |value| value.as_array_mut().unwrap().push(entry.clone()))
}

#[test]
fn what_is_not_known_is_left_out_and_the_rest_still_vouches() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let good = sigstore.sign_blob(&claims(), BYTES);
    let p256 = base64(astrid_hermetic_sigstore::Key::p256("log").spki());
    let authority = |uri: &str, certificates: Value| {
        json!({ "uri": uri, "subject": {}, "certChain": { "certificates": certificates },
                "validFor": { "start": "2026-01-01T00:00:00Z" } })
    };
    let no_certificate = json!([{ "rawBytes": base64(b"no") }]);
    for (list, entry, says) in [
        (
            "tlogs",
            log("https://new.example.org", "SHA2_512", P521),
            "transparency log https://new.example.org: ",
        ),
        (
            "ctlogs",
            log("https://ct.example.org", "SHA2_256", P521),
            "certificate log https://ct.example.org: ",
        ),
        (
            "tlogs",
            log("https://new.example.org", "SHA9", &p256),
            "transparency log https://new.example.org: ",
        ),
        ("tlogs", json!({}), "transparency log unnamed: "),
        ("tlogs", json!("text"), "transparency log unnamed: "),
        (
            "certificateAuthorities",
            authority("https://ca.example.org", no_certificate.clone()),
            "certificate authority https://ca.example.org: ",
        ),
        (
            "timestampAuthorities",
            authority("https://time.example.org", json!([])),
            "timestamp authority https://time.example.org: ",
        ),
        (
            "timestampAuthorities",
            authority("a\u{1b}[31mb", no_certificate),
            "timestamp authority a\u{fffd}[31mb: ",
        ),
    ] {
        let more = push(&root, list, &entry);
        let parsed = TrustRoot::parse(more.as_bytes()).unwrap();
        assert_eq!(parsed.left_out().len(), 1, "{list}");
        assert!(parsed.left_out()[0].starts_with(says), "{:?}", parsed.left_out());
        assert_eq!(parsed.bytes(), more.as_bytes());
        assert!(verify(&more, &good, BYTES).is_ok(), "{list}");
    }
    assert!(TrustRoot::parse(root.as_bytes()).unwrap().left_out().is_empty());
}

#[test]
fn fields_that_nobody_knows_change_nothing() {
    let sigstore = Sigstore::default();
    let root = edited(&sigstore.trusted_root(), "", |root| root["new"] = json!({ "a": [1] }));
    let root = edited(&root, "/tlogs/0", |log| log["operator"] = json!("acme"));
    assert!(verify(&root, &sigstore.sign_blob(&claims(), BYTES), BYTES).is_ok());
    assert!(TrustRoot::parse(root.as_bytes()).unwrap().left_out().is_empty());
}

#[test]
fn documents_that_are_no_roots_are_denied() {
    let root = Sigstore::default().trusted_root();
    let first = serde_json::from_str::<Value>(&root).unwrap()["tlogs"][0].clone();
    let same_hint = edited(&root, "/tlogs/1/logId/keyId", |id| {
        let mut bytes = astrid_hermetic_sigstore::from_base64(first["logId"]["keyId"].as_str().unwrap());
        bytes[31] ^= 1;
        *id = json!(base64(bytes));
    });
    let twice = root.replacen("\"tlogs\":", "\"tlogs\":[],\"tlogs\":", 1);
    for (name, text, says) in [
        ("nothing", String::new(), "not a trusted root"),
        ("half a root", root[..root.len() / 2].to_owned(), "not a trusted root"),
        ("a list", "[]".to_owned(), "no object"),
        ("an empty object", "{}".to_owned(), "mediaType"),
        ("no media type", without(&root, "", "mediaType"), "mediaType"),
        ("another media type", with(&root, "/mediaType", "application/json"), "application/json"),
        ("logs that are no list", with(&root, "/tlogs", json!({})), "`tlogs` is no list"),
        ("the same log twice", push(&root, "tlogs", &first), "duplicate"),
        ("two logs of the same short name", same_hint, "the same short name"),
        ("a key twice", twice, "stands twice"),
        ("too many logs", with(&root, "/tlogs", json!(vec![first.clone(); 257])), "257 entries"),
        ("too large", " ".repeat((4 << 20) + 1), "at most"),
        ("deep nesting", "[".repeat(500), "nests deeper"),
    ] {
        let error = TrustRoot::parse(text.as_bytes()).err().unwrap_or_else(|| panic!("{name} is taken"));
        assert_eq!(error.kind(), astrid_provenance::ErrorKind::Unreadable, "{name}");
        assert!(error.message().contains(says), "{name}: {error}");
    }
}

#[test]
fn a_root_is_known_by_its_bytes() {
    let root = Sigstore::default().trusted_root();
    let parsed = TrustRoot::parse(root.as_bytes()).unwrap();
    assert_eq!(parsed.digest(), astrid_authority::Digest::of(root.as_bytes()));
    assert_eq!(TrustRoot::builtin().digest(), astrid_authority::Digest::of(TrustRoot::builtin().bytes()));
    assert!(Verifier::new(TrustRoot::builtin()).is_ok());
}
