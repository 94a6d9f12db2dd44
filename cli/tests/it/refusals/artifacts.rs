//! Bundles in which one thing is not right.

use astrid_hermetic_sigstore::{BundleForm, Sigstore, base64};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::case::Cases;
use super::edits::{
    CHECKPOINT, ENTRIES, ENTRY, MATERIAL, PROOF, TIME, TIMES, at, edited, flipped, with, without,
};
use super::scene::{claims, slsa};

/// The same capsule with another text in it.
fn other_archive(cases: &Cases) -> Vec<u8> {
    let env = &cases.scene.env;
    env.capsule("elsewhere/fs", "fs", "1.2.0", "\n[capabilities]\nfs_read = [\"cwd://notes\"]\n");
    env.ok(&["capsule", "build", "elsewhere/fs", "-o", "elsewhere/out"]);
    let packed = std::fs::read_dir(env.work("elsewhere/out")).unwrap().next().unwrap().unwrap().path();
    std::fs::read(packed).unwrap()
}

// contract: SEC-PROV-02
#[test]
fn signatures_and_bytes_that_do_not_belong_together_are_denied() {
    let mut cases = Cases::new();
    let (blob, dsse) = (cases.scene.blob(), cases.scene.attestation());
    let other = other_archive(&cases);
    cases.add("changed artifact", &blob, 83, "other bytes").over(&other);
    cases.add("changed artifact of a statement", &dsse, 83, "other bytes").over(&other);
    let of_other = cases.scene.sigstore.sign_blob(&claims(), &other);
    cases.add("bundle of another artifact", of_other, 83, "other bytes");
    let of_other = cases.scene.sigstore.sign_statement(&claims(), &slsa(&other));
    cases.add("statement about another artifact", of_other, 83, "other bytes");
    cases.add("signature flipped", flipped(&blob, "/messageSignature/signature"), 83, "signature");
    cases.add("signature empty", with(&blob, "/messageSignature/signature", ""), 83, "signature");
    let digest = "/messageSignature/messageDigest/digest";
    cases.add("digest flipped", flipped(&blob, digest), 83, "other bytes");
    cases.add(
        "statement's signature flipped",
        flipped(&dsse, "/dsseEnvelope/signatures/0/sig"),
        83,
        "signature",
    );
    let payload = base64(slsa(&cases.scene.bytes).replace("github-hosted", "self-hosted"));
    cases.add("payload swapped", with(&dsse, "/dsseEnvelope/payload", payload), 83, "signature");
    let payload = base64(slsa(&other));
    cases.add("payload about another artifact", with(&dsse, "/dsseEnvelope/payload", payload), 83, "");
    let kind = with(&dsse, "/dsseEnvelope/payloadType", "text/plain");
    cases.add("payload type changed", kind, 65, "only in-toto statements");
    let statement = slsa(&cases.scene.bytes);
    let sign = |text: &str| Sigstore::default().sign_statement(&claims(), text);
    let bundle = sign(&with(&statement, "/subject", json!([])));
    cases.add("statement about nothing", bundle, 65, "this one has 0");
    let bundle = sign(&with(&statement, "/subject/0/digest", json!({ "sha1": "00".repeat(20) })));
    cases.add("statement with a weak digest", bundle, 83, "other bytes");
    let bundle =
        sign(&edited(&statement, "/subject/0/digest", |value| value["blake3"] = json!("00".repeat(32))));
    cases.add("statement whose digests disagree", bundle, 83, "other bytes");
    let bundle = sign(&with(&statement, "/_type", "https://in-toto.io/Statement/v9"));
    cases.add("statement of an unknown version", bundle, 65, "Statement/v9");
    let bundle =
        sign(&statement.replacen("\"predicateType\"", "\"predicateType\":\"x\",\"predicateType\"", 1));
    cases.add("statement with a key twice", bundle, 65, "predicateType");
    cases.check(16);
}

#[test]
fn entries_that_no_log_vouches_for_are_denied() {
    let mut cases = Cases::new();
    let (blob, second) = (cases.scene.blob(), cases.second());
    let sigstore = Sigstore::default();
    let bytes = cases.scene.bytes.clone();
    let signing = || sigstore.signing(&claims());
    let other = signing().blob(b"another archive");
    let promise = format!("{ENTRY}/inclusionPromise/signedEntryTimestamp");
    cases.add("entry's promise flipped", flipped(&blob, &promise), 83, "SET");
    cases.add("entry's promise removed", without(&blob, ENTRY, "inclusionPromise"), 83, "when the signature");
    let later = (sigstore.today() + SignedDuration::from_secs(6)).as_second().to_string();
    cases.add("integrated time changed", with(&blob, &format!("{ENTRY}/integratedTime"), later), 83, "SET");
    cases.add("inclusion proof removed", without(&blob, ENTRY, "inclusionProof"), 83, "lacks what proves");
    cases.add("checkpoint removed", without(&blob, PROOF, "checkpoint"), 83, "");
    cases.add("proof hash flipped", flipped(&blob, &format!("{PROOF}/hashes/0")), 83, "inclusion proof");
    let pop = |value: &mut Value| drop(value.as_array_mut().unwrap().pop());
    cases.add("proof hash dropped", edited(&blob, &format!("{PROOF}/hashes"), pop), 83, "inclusion proof");
    let push = |value: &mut Value| value.as_array_mut().unwrap().push(json!(base64([0; 32])));
    cases.add("proof hash added", edited(&blob, &format!("{PROOF}/hashes"), push), 83, "inclusion proof");
    cases.add("proof index changed", with(&blob, &format!("{PROOF}/logIndex"), "2"), 83, "inclusion proof");
    cases.add("proof root flipped", flipped(&blob, &format!("{PROOF}/rootHash")), 83, "");
    cases.add("proof size changed", with(&blob, &format!("{PROOF}/treeSize"), "6"), 83, "");
    let index = with(&second, &format!("{ENTRY}/logIndex"), "2");
    cases.add("index in the second log changed", index, 83, "inclusion proof");
    let note = at(&second, CHECKPOINT).as_str().unwrap().to_owned();
    let root = note.lines().nth(2).unwrap().to_owned();
    let swapped = with(&second, CHECKPOINT, note.replace(&root, &base64([7; 32])));
    cases.add("checkpoint root swapped", swapped, 83, "inclusion proof");
    let size = note.lines().nth(1).unwrap().to_owned();
    let resized =
        with(&second, CHECKPOINT, note.replacen(&format!("\n{size}\n"), &format!("\n1{size}\n"), 1));
    cases.add("checkpoint size changed", resized, 83, "");
    let moved = with(&second, CHECKPOINT, note.replacen("log2026", "log2027", 1));
    cases.add("checkpoint of another origin", moved, 83, "checkpoint");
    let of_second = with(&blob, CHECKPOINT, at(&second, CHECKPOINT));
    cases.add("checkpoint of the other log", of_second, 83, "");
    let unsigned = with(&second, CHECKPOINT, note.split('\u{2014}').next().unwrap());
    cases.add("checkpoint that nobody signed", unsigned, 65, "no signatures");
    cases.add("log id flipped", flipped(&second, &format!("{ENTRY}/logId/keyId")), 83, "has no log");
    let first = at(&blob, &format!("{ENTRY}/logId/keyId"));
    let renamed = with(&second, &format!("{ENTRY}/logId/keyId"), first);
    cases.add("log id of the other log", renamed, 83, "not that of the log");
    cases.add("no entries", with(&blob, ENTRIES, json!([])), 83, "lacks what proves");
    cases.add("list of entries removed", without(&blob, MATERIAL, "tlogEntries"), 83, "lacks what proves");
    cases.add("entry of another artifact", with(&blob, ENTRIES, at(&other, ENTRIES)), 83, "");
    let add = |value: &mut Value| value.as_array_mut().unwrap().push(at(&other, ENTRY));
    cases.add("second entry of another artifact", edited(&blob, ENTRIES, add), 83, "");
    let unproven = without(&without(&blob, ENTRY, "inclusionProof"), ENTRY, "inclusionPromise");
    let add = |value: &mut Value| value.as_array_mut().unwrap().push(at(&unproven, ENTRY));
    cases.add("second entry that nothing proves", edited(&blob, ENTRIES, add), 83, "nothing proves");
    cases.add("body flipped", flipped(&blob, &format!("{ENTRY}/canonicalizedBody")), 83, "");
    let kind = with(&blob, &format!("{ENTRY}/kindVersion/kind"), "rpm");
    cases.add("entry of an unknown kind", kind, 65, "rpm");
    let oldest = signing().form(BundleForm::V0_1).blob(&bytes);
    let bare = without(&without(&oldest, ENTRY, "inclusionProof"), ENTRY, "inclusionPromise");
    cases.add("oldest form without promise and proof", bare, 83, "lacks what proves");
    cases.add("no log", signing().without_log().blob(&bytes), 83, "lacks what proves");
    let timed = signing().without_log().timestamped().blob(&bytes);
    cases.add("no log, only a timestamp", timed, 83, "lacks what proves");
    let timeless = signing().rekor_2().without_timestamp().blob(&bytes);
    cases.add("second log without a timestamp", timeless, 83, "when the signature");
    cases.check(30);
}

#[test]
fn certificates_and_times_that_are_not_right_are_denied() {
    let mut cases = Cases::new();
    let (blob, second) = (cases.scene.blob(), cases.second());
    let sigstore = Sigstore::default();
    let bytes = cases.scene.bytes.clone();
    let signing = || sigstore.signing(&claims());
    let minutes = |minutes| sigstore.today() + SignedDuration::from_mins(minutes);
    let late = signing().signed_at(minutes(11)).blob(&bytes);
    cases.add("signed after the certificate", late, 83, "certificate is not taken");
    let early = signing().signed_at(minutes(-1)).blob(&bytes);
    cases.add("signed before the certificate", early, 83, "certificate is not taken");
    let late = signing().rekor_2().signed_at(minutes(11)).blob(&bytes);
    cases.add("signed after the certificate, by a timestamp", late, 83, "certificate is not taken");
    let unlogged = signing().without_certificate_timestamp().blob(&bytes);
    cases.add("certificate in no log", unlogged, 83, "certificate is not taken");
    cases.add("timestamp flipped", flipped(&second, TIME), 83, "when the signature");
    let other = signing().rekor_2().blob(b"another archive");
    let swapped = with(&second, TIMES, at(&other, TIMES));
    cases.add("timestamp of another signature", swapped, 83, "when the signature");
    cases.add("timestamp that is no token", with(&second, TIME, base64(b"no")), 83, "when the signature");
    let both = signing().timestamped().blob(&bytes);
    cases.add("one of two times flipped", flipped(&both, TIME), 83, "when the signature");
    let certificate = format!("{MATERIAL}/certificate");
    let raw = format!("{certificate}/rawBytes");
    cases.add("certificate flipped", flipped(&blob, &raw), 83, "");
    let own = signing().at(minutes(60)).blob(&bytes);
    let swapped = with(&blob, &certificate, at(&own, &certificate));
    cases.add("certificate of another signature", swapped, 83, "");
    cases.add("certificate that is none", with(&blob, &raw, base64(b"no")), 65, "certificate");
    let evil = Sigstore::seeded("mallory", sigstore.from());
    cases.add("another Sigstore", evil.sign_blob(&claims(), &bytes), 83, "");
    let leaf = sigstore.authority.issue(&claims(), sigstore.today(), true);
    cases.add("log of another Sigstore", evil.signing_with(&leaf).blob(&bytes), 83, "log");
    let leaf = evil.authority.issue(&claims(), sigstore.today(), true);
    let mixed = sigstore.signing_with(&leaf).blob(&bytes);
    cases.add("authority of another Sigstore", mixed, 83, "certificate is not taken");
    let evil_time = evil.signing(&claims()).rekor_2().blob(&bytes);
    let mixed = with(&second, TIMES, at(&evil_time, TIMES));
    cases.add("timestamp of another Sigstore", mixed, 83, "when the signature");
    let later = Sigstore::new(Timestamp::from_second(4_000_000_000).unwrap());
    for (name, bundle) in [
        ("signed in the future", later.sign_blob(&claims(), &bytes)),
        ("signed in the future, second log", later.signing(&claims()).rekor_2().blob(&bytes)),
        ("attested in the future", later.sign_statement(&claims(), &slsa(&bytes))),
    ] {
        cases.add(name, bundle, 83, "clock is behind").root(&later.trusted_root());
    }
    cases.check(18);
}
