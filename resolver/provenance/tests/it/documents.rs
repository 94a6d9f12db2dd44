//! Documents that are no bundles, and files of many.

use astrid_hermetic_sigstore::{Sigstore, base64};
use astrid_provenance::Bundle;
use astrid_provenance::ErrorKind::{Refused, Unreadable};
use serde_json::{Value, json};

use crate::bench_of_cases::{BYTES, at, claims, edited, verify, with, without};
use crate::case::{Cases, ENTRIES, ENTRY, MATERIAL, PROOF};

#[test]
fn documents_that_are_no_bundles_are_denied() {
    let mut cases = Cases::new();
    let (blob, dsse) = (cases.blob.clone(), cases.dsse.clone());
    cases.bundle("nothing", String::new(), Unreadable, "not a Sigstore bundle");
    cases.bundle("a list", "[]".to_owned(), Unreadable, "no Sigstore bundle");
    cases.bundle("an empty object", "{}".to_owned(), Unreadable, "no Sigstore bundle");
    cases.bundle("a text", "hello".to_owned(), Unreadable, "not a Sigstore bundle");
    cases.bundle("half a bundle", blob[..blob.len() / 2].to_owned(), Unreadable, "not a Sigstore bundle");
    cases.bundle("two bundles", format!("{blob}{blob}"), Unreadable, "not a Sigstore bundle");
    cases.bundle(
        "deep nesting",
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
        Unreadable,
        "nests deeper",
    );
    cases.bundle("very deep nesting", "[".repeat(1_000_000), Unreadable, "nests deeper");
    cases.bundle("too large", " ".repeat((4 << 20) + 1), Unreadable, "at most 4194304 bytes");
    let types = [
        ("unknown version", "application/vnd.dev.sigstore.bundle.v9+json"),
        ("another type", "application/json"),
        ("no type", ""),
    ];
    for (name, media_type) in types {
        cases.bundle(name, with(&blob, "/mediaType", media_type), Unreadable, "no Sigstore bundle");
    }
    cases.bundle("type left out", without(&blob, "", "mediaType"), Unreadable, "mediaType");
    cases.bundle(
        "no material",
        without(&blob, "", "verificationMaterial"),
        Unreadable,
        "verificationMaterial",
    );
    cases.bundle("no signer", without(&blob, MATERIAL, "certificate"), Unreadable, "one of `certificate`");
    let add =
        |pointer: &str, key: &'static str, value: Value| edited(&blob, pointer, |object| object[key] = value);
    cases.bundle(
        "two signers",
        add(MATERIAL, "publicKey", json!({ "hint": "x" })),
        Unreadable,
        "one of `certificate`",
    );
    let chain = json!({ "certificates": [at(&blob, "/verificationMaterial/certificate")] });
    cases.bundle(
        "two certificates",
        add(MATERIAL, "x509CertificateChain", chain.clone()),
        Unreadable,
        "one of",
    );
    let chained = edited(&blob, MATERIAL, |material| {
        material.as_object_mut().unwrap().remove("certificate");
        material["x509CertificateChain"] = chain;
    });
    cases.bundle("a chain in version 0.3", chained.clone(), Refused, "lacks what proves");
    let certificates = "/verificationMaterial/x509CertificateChain/certificates";
    cases.bundle(
        "an empty chain",
        with(&chained, certificates, json!([])),
        Unreadable,
        "chain of certificates is empty",
    );
    let nine = |value: &mut Value| *value = json!(vec![value[0].clone(); 9]);
    cases.bundle("nine certificates", edited(&chained, certificates, nine), Unreadable, "9 certificates");
    cases.bundle("nine log entries", edited(&blob, ENTRIES, nine), Unreadable, "9 log entries");
    let times = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    cases.bundle("nine timestamps", edited(&cases.second.clone(), times, nine), Unreadable, "9 timestamps");
    let steps = |value: &mut Value| *value = json!(vec![base64([0; 32]); 65]);
    cases.bundle("too many steps", edited(&blob, &format!("{PROOF}/hashes"), steps), Unreadable, "65 steps");
    let envelope = format!("{PROOF}/checkpoint/envelope");
    let lines = |value: &mut Value| {
        let note = value.as_str().unwrap();
        let signature = note.lines().last().unwrap();
        *value = json!(format!("{note}{}", format!("{signature}\n").repeat(100)));
    };
    cases.bundle(
        "too many signatures on a checkpoint",
        edited(&blob, &envelope, lines),
        Unreadable,
        "lines in a checkpoint",
    );
    cases.bundle(
        "no signature",
        without(&blob, "", "messageSignature"),
        Unreadable,
        "one of `messageSignature`",
    );
    let both = edited(&blob, "", |bundle| bundle["dsseEnvelope"] = at(&dsse, "/dsseEnvelope"));
    cases.bundle("two kinds of signature", both, Unreadable, "one of `messageSignature`");
    let double = |value: &mut Value| *value = json!([value[0], value[0]]);
    cases.bundle(
        "two signatures",
        edited(&dsse, "/dsseEnvelope/signatures", double),
        Unreadable,
        "exactly one signature",
    );
    cases.bundle(
        "an envelope without one",
        with(&dsse, "/dsseEnvelope/signatures", json!([])),
        Unreadable,
        "exactly one",
    );
    cases.bundle(
        "bad base64",
        with(&blob, "/messageSignature/signature", "%%%"),
        Unreadable,
        "no Sigstore bundle",
    );
    cases.bundle(
        "a time that is none",
        with(&blob, &format!("{ENTRY}/integratedTime"), "soon"),
        Unreadable,
        "",
    );
    cases.bundle("a negative index", with(&blob, &format!("{ENTRY}/logIndex"), "-1"), Unreadable, "");
    cases.bundle("a negative size", with(&blob, &format!("{PROOF}/treeSize"), "-1"), Unreadable, "");
    for (name, key) in [
        ("material twice", "verificationMaterial"),
        ("digest twice", "messageDigest"),
        ("time twice", "integratedTime"),
        ("unknown key twice", "mediaType"),
    ] {
        let twice = blob.replacen(&format!("\"{key}\":"), &format!("\"{key}\":null,\"{key}\":"), 1);
        cases.bundle(name, twice, Unreadable, "stands twice");
    }
    cases.check();
}

#[test]
fn fields_that_nobody_knows_change_nothing() {
    let sigstore = Sigstore::default();
    let blob = sigstore.sign_blob(&claims(), BYTES);
    let more = edited(&edited(&blob, "", |value| value["new"] = json!(1)), MATERIAL, |value| {
        value["new"] = json!([]);
    });
    assert!(verify(&sigstore.trusted_root(), &more, BYTES).is_ok());
}

#[test]
fn files_of_too_many_bundles_are_denied() {
    let blob = Sigstore::default().sign_blob(&claims(), BYTES);
    assert_eq!(Bundle::parse_all(blob.repeat(16).as_bytes()).unwrap().len(), 16);
    let error = Bundle::parse_all(blob.repeat(17).as_bytes()).unwrap_err();
    assert!(error.message().contains("at most 16"), "{error}");
    assert!(Bundle::parse_all(format!("{blob}{{}}\n").as_bytes()).is_err());
    assert!(Bundle::parse_all(b"").is_err() && Bundle::parse_all(b"\n\n").is_err());
}
