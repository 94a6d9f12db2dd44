//! Everything that is not taken, with its kind and what it says.

use astrid_hermetic_sigstore::{BundleForm, Claims, Sigstore, base64, from_base64};
use astrid_provenance::ErrorKind::{Refused, Unreadable};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::bench_of_cases::{
    BYTES, at, claims, edited, flipped, statement, statement_of, verify, with, without,
};
use crate::case::{Case, Cases, ENTRIES, ENTRY, MATERIAL, PROOF, TIMES};

/// With 1, every byte is changed in turn; that takes a minute without optimisation.
const STEP: usize = 29;

fn blake3_of(bytes: &[u8]) -> String {
    astrid_authority::Digest::of(bytes).to_string().trim_start_matches("blake3:").to_owned()
}

#[test]
fn other_bytes_and_signatures_are_denied() {
    let mut cases = Cases::new();
    let (blob, dsse) = (cases.blob.clone(), cases.dsse.clone());
    for (name, bundle) in [("changed bytes", &blob), ("changed bytes under a statement", &dsse)] {
        let root = cases.root.clone();
        let bundle = bundle.clone();
        cases.all.push(Case {
            name,
            root,
            bundle,
            bytes: b"the archivE",
            kind: Refused,
            says: "other bytes",
        });
    }
    let root = cases.root.clone();
    cases.all.push(Case {
        name: "no bytes",
        root,
        bundle: blob.clone(),
        bytes: b"",
        kind: Refused,
        says: "other bytes",
    });
    cases.bundle("signature", flipped(&blob, "/messageSignature/signature"), Refused, "signature");
    cases.bundle(
        "signature of nothing",
        with(&blob, "/messageSignature/signature", ""),
        Refused,
        "signature is not right",
    );
    let digest = "/messageSignature/messageDigest/digest";
    cases.bundle("digest", flipped(&blob, digest), Refused, "other bytes");
    cases.bundle("digest of another length", with(&blob, digest, base64(b"short")), Refused, "other bytes");
    cases.bundle("signature over a statement", flipped(&dsse, "/dsseEnvelope/signatures/0/sig"), Refused, "");
    let payload = base64(statement().replace("github-hosted", "self-hosted"));
    cases.bundle("payload", with(&dsse, "/dsseEnvelope/payload", payload), Refused, "signature is not right");
    cases.bundle(
        "payload type",
        with(&dsse, "/dsseEnvelope/payloadType", "text/plain"),
        Unreadable,
        "only in-toto statements",
    );
    let sign = |statement: String| Sigstore::default().sign_statement(&claims(), &statement);
    cases.bundle("statement about other bytes", sign(statement_of(b"other")), Refused, "other bytes");
    cases.bundle(
        "statement without subjects",
        sign(edited(&statement(), "/subject", |value| *value = json!([]))),
        Unreadable,
        "this one has 0",
    );
    cases.bundle(
        "statement with weak digests only",
        sign(with(&statement(), "/subject/0/digest", json!({ "sha1": "00".repeat(20) }))),
        Refused,
        "other bytes",
    );
    cases.bundle(
        "statement with digests of ours only",
        sign(with(&statement(), "/subject/0/digest", json!({ "blake3": blake3_of(BYTES) }))),
        Unreadable,
        "digest",
    );
    cases.bundle(
        "statement whose digests disagree",
        sign(edited(&statement(), "/subject/0/digest", |value| value["blake3"] = json!("00".repeat(32)))),
        Refused,
        "other bytes",
    );
    cases.bundle(
        "statement of an unknown version",
        sign(with(&statement(), "/_type", "https://in-toto.io/Statement/v9")),
        Unreadable,
        "Statement/v9",
    );
    let twice = statement().replacen("\"predicateType\"", "\"predicateType\":\"x\",\"predicateType\"", 1);
    cases.bundle("statement with a key twice", sign(twice), Unreadable, "predicateType");
    cases.bundle("statement that is no JSON", sign("hello".to_owned()), Unreadable, "statement");
    let other = cases.sigstore.signing(&claims()).envelope("text/plain", b"hello");
    cases.bundle("envelope of a text", other, Unreadable, "only in-toto statements");
    cases.check();
}

#[test]
fn what_no_log_vouches_for_is_denied() {
    let mut cases = Cases::new();
    let (blob, second) = (cases.blob.clone(), cases.second.clone());
    let other = cases.sigstore.signing(&claims()).blob(b"another archive");
    let promise = format!("{ENTRY}/inclusionPromise/signedEntryTimestamp");
    cases.bundle("entry's signature", flipped(&blob, &promise), Refused, "SET verification failed");
    cases.bundle(
        "no entry's signature",
        without(&blob, ENTRY, "inclusionPromise"),
        Refused,
        "when the signature",
    );
    let earlier = (cases.sigstore.today() + SignedDuration::from_secs(6)).as_second().to_string();
    cases.bundle("entry's time", with(&blob, &format!("{ENTRY}/integratedTime"), earlier), Refused, "SET");
    cases.bundle("no proof", without(&blob, ENTRY, "inclusionProof"), Refused, "lacks what proves");
    cases.bundle("no checkpoint", without(&blob, PROOF, "checkpoint"), Refused, "");
    let in_first_form = cases.sigstore.signing(&claims()).form(BundleForm::V0_1).blob(BYTES);
    cases.bundle("no checkpoint in version 0.1", without(&in_first_form, PROOF, "checkpoint"), Refused, "");
    cases.bundle(
        "neither in version 0.1",
        without(&without(&in_first_form, ENTRY, "inclusionProof"), ENTRY, "inclusionPromise"),
        Refused,
        "lacks what proves",
    );
    cases.bundle("proof's step", flipped(&blob, &format!("{PROOF}/hashes/0")), Refused, "inclusion proof");
    let pop = |value: &mut Value| drop(value.as_array_mut().unwrap().pop());
    cases.bundle(
        "proof too short",
        edited(&blob, &format!("{PROOF}/hashes"), pop),
        Refused,
        "inclusion proof",
    );
    let push = |value: &mut Value| value.as_array_mut().unwrap().push(json!(base64([0; 32])));
    cases.bundle(
        "proof too long",
        edited(&blob, &format!("{PROOF}/hashes"), push),
        Refused,
        "inclusion proof",
    );
    cases.bundle("proof's index", with(&blob, &format!("{PROOF}/logIndex"), "2"), Refused, "inclusion proof");
    cases.bundle("proof's root", flipped(&blob, &format!("{PROOF}/rootHash")), Refused, "");
    cases.bundle("proof's size", with(&blob, &format!("{PROOF}/treeSize"), "6"), Refused, "");
    cases.bundle(
        "second log's index",
        with(&second, &format!("{ENTRY}/logIndex"), "2"),
        Refused,
        "inclusion proof",
    );
    let envelope = format!("{PROOF}/checkpoint/envelope");
    let note = at(&second, &envelope).as_str().unwrap().to_owned();
    let root = note.lines().nth(2).unwrap().to_owned();
    cases.bundle(
        "checkpoint's root",
        with(&second, &envelope, note.replace(&root, &base64([7; 32]))),
        Refused,
        "inclusion proof",
    );
    let size = note.lines().nth(1).unwrap().to_owned();
    cases.bundle(
        "checkpoint's size",
        with(&second, &envelope, note.replacen(&format!("\n{size}\n"), "\n9\n", 1)),
        Refused,
        "",
    );
    cases.bundle(
        "checkpoint's origin",
        with(&second, &envelope, note.replacen("log2026", "log2027", 1)),
        Refused,
        "checkpoint",
    );
    cases.bundle("checkpoint of the other log", with(&blob, &envelope, at(&second, &envelope)), Refused, "");
    cases.bundle(
        "checkpoint without signatures",
        with(&second, &envelope, note.split('\u{2014}').next().unwrap()),
        Unreadable,
        "no signatures",
    );
    cases.bundle("name of the log", flipped(&second, &format!("{ENTRY}/logId/keyId")), Refused, "has no log");
    let first_id = at(&blob, &format!("{ENTRY}/logId/keyId"));
    cases.bundle(
        "name of the other log",
        with(&second, &format!("{ENTRY}/logId/keyId"), first_id),
        Refused,
        "checkpoint is not that of the log",
    );
    cases.bundle("no entries", with(&blob, ENTRIES, json!([])), Refused, "lacks what proves");
    cases.bundle("no list of entries", without(&blob, MATERIAL, "tlogEntries"), Refused, "lacks what proves");
    cases.bundle("entry of other bytes", with(&blob, ENTRIES, at(&other, ENTRIES)), Refused, "");
    let add = |value: &mut Value| value.as_array_mut().unwrap().push(at(&other, ENTRY));
    cases.bundle("a second entry of other bytes", edited(&blob, ENTRIES, add), Refused, "");
    let unproven = without(&without(&blob, ENTRY, "inclusionProof"), ENTRY, "inclusionPromise");
    let add = |value: &mut Value| value.as_array_mut().unwrap().push(at(&unproven, ENTRY));
    cases.bundle(
        "a second entry that nothing proves",
        edited(&blob, ENTRIES, add),
        Refused,
        "nothing proves",
    );
    cases.bundle("entry's body", flipped(&blob, &format!("{ENTRY}/canonicalizedBody")), Refused, "");
    cases.bundle(
        "entry of an unknown kind",
        with(&blob, &format!("{ENTRY}/kindVersion/kind"), "rpm"),
        Unreadable,
        "rpm",
    );
    cases.bundle(
        "entry of another kind",
        with(&blob, &format!("{ENTRY}/kindVersion/kind"), "dsse"),
        Unreadable,
        "",
    );
    let signing = || Sigstore::default();
    cases.bundle(
        "no log",
        signing().signing(&claims()).without_log().blob(BYTES),
        Refused,
        "lacks what proves",
    );
    cases.bundle(
        "no log, but a timestamp",
        signing().signing(&claims()).without_log().timestamped().blob(BYTES),
        Refused,
        "lacks what proves",
    );
    cases.bundle(
        "second log without a timestamp",
        signing().signing(&claims()).rekor_2().without_timestamp().blob(BYTES),
        Refused,
        "when the signature",
    );
    cases.check();
}

#[test]
fn certificates_and_times_that_are_not_right_are_denied() {
    let mut cases = Cases::new();
    let (blob, second) = (cases.blob.clone(), cases.second.clone());
    let sigstore = Sigstore::default();
    let signing = || sigstore.signing(&claims());
    let minutes = |minutes| sigstore.today() + SignedDuration::from_mins(minutes);
    cases.bundle(
        "too late",
        signing().signed_at(minutes(11)).blob(BYTES),
        Refused,
        "certificate is not taken",
    );
    cases.bundle(
        "too early",
        signing().signed_at(minutes(-1)).blob(BYTES),
        Refused,
        "certificate is not taken",
    );
    cases.bundle(
        "too late by the timestamp",
        signing().rekor_2().signed_at(minutes(11)).blob(BYTES),
        Refused,
        "certificate is not taken",
    );
    cases.bundle(
        "no certificate timestamp",
        signing().without_certificate_timestamp().blob(BYTES),
        Refused,
        "certificate is not taken",
    );
    let token = format!("{TIMES}/rfc3161Timestamps/0/signedTimestamp");
    cases.bundle("timestamp", flipped(&second, &token), Refused, "when the signature");
    let other = signing().rekor_2().blob(b"another archive");
    cases.bundle(
        "timestamp of another signature",
        with(&second, TIMES, at(&other, TIMES)),
        Refused,
        "when the",
    );
    cases.bundle(
        "timestamp that is no token",
        with(&second, &token, base64(b"no")),
        Refused,
        "when the signature",
    );
    let both = signing().timestamped().blob(BYTES);
    cases.bundle("one of two times", flipped(&both, &token), Refused, "when the signature");
    let certificate = format!("{MATERIAL}/certificate");
    cases.bundle("certificate", flipped(&blob, &format!("{certificate}/rawBytes")), Refused, "");
    let own = sigstore.signing(&claims()).at(minutes(60)).blob(BYTES);
    cases.bundle("another certificate", with(&blob, &certificate, at(&own, &certificate)), Refused, "");
    cases.bundle(
        "certificate that is none",
        with(&blob, &format!("{certificate}/rawBytes"), base64(b"no")),
        Unreadable,
        "certificate",
    );
    let evil = Sigstore::seeded("mallory", sigstore.from());
    cases.bundle("another Sigstore", evil.sign_blob(&claims(), BYTES), Refused, "");
    let leaf = sigstore.authority.issue(&claims(), sigstore.today(), true);
    cases.bundle("a log of another Sigstore", evil.signing_with(&leaf).blob(BYTES), Refused, "log");
    let leaf = evil.authority.issue(&claims(), sigstore.today(), true);
    cases.bundle(
        "an authority of another Sigstore",
        sigstore.signing_with(&leaf).blob(BYTES),
        Refused,
        "certificate is not taken",
    );
    let mixed = evil.signing(&claims()).rekor_2().blob(BYTES);
    cases.bundle(
        "a timestamp of another Sigstore",
        with(&second, TIMES, at(&mixed, TIMES)),
        Refused,
        "when the",
    );
    cases.bundle(
        "nobody",
        sigstore.sign_blob(&Claims::new("", claims().issuer.as_str()), BYTES),
        Refused,
        "",
    );
    cases.check();
}

#[test]
fn no_byte_of_what_is_signed_can_be_changed() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let bundle = sigstore.signing(&claims()).timestamped().statement(&statement());
    for (pointer, step) in [
        ("/verificationMaterial/certificate/rawBytes".to_owned(), STEP),
        (format!("{ENTRY}/canonicalizedBody"), STEP),
        (format!("{ENTRY}/inclusionPromise/signedEntryTimestamp"), STEP),
        (format!("{ENTRY}/inclusionProof/rootHash"), STEP),
        ("/dsseEnvelope/payload".to_owned(), STEP),
        ("/dsseEnvelope/signatures/0/sig".to_owned(), STEP),
    ] {
        let bytes = from_base64(at(&bundle, &pointer).as_str().unwrap());
        for index in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[index] ^= 0x41;
            let spoiled = with(&bundle, &pointer, base64(changed));
            assert!(verify(&root, &spoiled, BYTES).is_err(), "{pointer} {index}");
        }
    }
    // What is around the signed part of a timestamp may change; nothing that is done to it ends the program.
    let pointer = format!("{TIMES}/rfc3161Timestamps/0/signedTimestamp");
    let bytes = from_base64(at(&bundle, &pointer).as_str().unwrap());
    for index in (0..bytes.len()).step_by(STEP) {
        let mut changed = bytes.clone();
        changed[index] ^= 0x41;
        drop(verify(&root, &with(&bundle, &pointer, base64(changed)), BYTES));
        drop(verify(&root, &with(&bundle, &pointer, base64(&bytes[..index])), BYTES));
    }
}
