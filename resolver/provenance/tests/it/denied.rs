//! Everything that is not taken, with its kind and what it says.

use astrid_hermetic_sigstore::{BundleForm, Claims, Key, Sigstore, base64};
use astrid_provenance::ErrorKind::{self, Refused, Unreadable};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::bench_of_cases::{
    BYTES, at, claims, edited, flipped, statement, statement_of, verify, with, without,
};

const ENTRIES: &str = "/verificationMaterial/tlogEntries";
const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";
const MATERIAL: &str = "/verificationMaterial";
const TIMES: &str = "/verificationMaterial/timestampVerificationData";

/// Something that must not be taken.
struct Case {
    name: &'static str,
    root: String,
    bundle: String,
    bytes: &'static [u8],
    kind: ErrorKind,
    /// A part of what is said.
    says: &'static str,
}

/// Good bundles, and a place to collect what is spoiled.
struct Cases {
    sigstore: Sigstore,
    root: String,
    blob: String,
    second: String,
    dsse: String,
    all: Vec<Case>,
}

impl Cases {
    fn new() -> Self {
        let sigstore = Sigstore::default();
        let signing = || sigstore.signing(&claims());
        let root = sigstore.trusted_root();
        let [blob, second, dsse] =
            [signing().blob(BYTES), signing().rekor_2().blob(BYTES), signing().statement(&statement())];
        for bundle in [&blob, &second, &dsse] {
            assert!(verify(&root, bundle, BYTES).is_ok());
        }
        Self { root, blob, second, dsse, all: Vec::new(), sigstore }
    }

    /// A bundle that is not taken.
    fn bundle(&mut self, name: &'static str, bundle: String, kind: ErrorKind, says: &'static str) {
        let root = self.root.clone();
        self.all.push(Case { name, root, bundle, bytes: BYTES, kind, says });
    }

    /// A good bundle with a root that does not believe it.
    fn root(&mut self, name: &'static str, bundle: &str, root: String, kind: ErrorKind, says: &'static str) {
        self.all.push(Case { name, root, bundle: bundle.to_owned(), bytes: BYTES, kind, says });
    }

    fn check(self) {
        let mut names: Vec<_> = self.all.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), self.all.len(), "every case has a name of its own");
        let mut wrong = Vec::new();
        for case in self.all {
            match verify(&case.root, &case.bundle, case.bytes) {
                Ok(verified) => wrong.push(format!("{}: taken: {verified:?}", case.name)),
                Err(error) => {
                    if error.kind() != case.kind || !error.to_string().contains(case.says) {
                        wrong.push(format!("{}: {:?}: {error}", case.name, error.kind()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

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
fn bundles_from_the_future_blame_the_clock() {
    // A machine whose clock is behind sees every bundle as one from the future.
    let later = Sigstore::new(Timestamp::from_second(4_000_000_000).unwrap());
    for bundle in [
        later.sign_blob(&claims(), BYTES),
        later.sign_statement(&claims(), &statement()),
        later.signing(&claims()).rekor_2().blob(BYTES),
        later.signing(&claims()).timestamped().blob(BYTES),
    ] {
        let error = verify(&later.trusted_root(), &bundle, BYTES).unwrap_err();
        assert_eq!(error.kind(), Refused);
        assert!(error.message().contains("this machine's clock is behind"), "{error}");
        assert!(error.message().contains("2096-10-03T07:06:4"), "{error}");
        assert!(error.next_step().unwrap().contains("set the clock"));
    }
    let key = Key::ed25519("ada");
    let bundle = later.signing_by_key(&key).without_log().timestamped().statement(&statement());
    let error = crate::keys::verify_by(&later.trusted_root(), &bundle, &key).unwrap_err();
    assert!(error.message().contains("no timestamp authority of the trusted root has begun"), "{error}");
    // What is wrong in itself is told as such.
    let bundle = flipped(&later.sign_blob(&claims(), BYTES), "/messageSignature/signature");
    assert!(verify(&later.trusted_root(), &bundle, BYTES).is_err());
}

#[test]
fn roots_that_do_not_vouch_are_denied() {
    let mut cases = Cases::new();
    let (blob, second, root) = (cases.blob.clone(), cases.second.clone(), cases.root.clone());
    let empty = |list: &str| with(&root, &format!("/{list}"), json!([]));
    cases.root("no logs", &blob, empty("tlogs"), Refused, "");
    cases.root("no certificate logs", &blob, empty("ctlogs"), Refused, "root does not vouch");
    cases.root(
        "no timestamp authorities",
        &second,
        empty("timestampAuthorities"),
        Refused,
        "when the signature",
    );
    cases.root("no certificate authorities", &blob, empty("certificateAuthorities"), Refused, "certificate");
    cases.root(
        "only a media type",
        &blob,
        json!({ "mediaType": at(&root, "/mediaType") }).to_string(),
        Refused,
        "",
    );
    let evil = Sigstore::seeded("mallory", cases.sigstore.from()).trusted_root();
    cases.root("root of another Sigstore", &blob, evil, Refused, "");
    let public = astrid_provenance::TrustRoot::builtin().bytes().to_vec();
    cases.root("the public root", &blob, String::from_utf8(public).unwrap(), Refused, "");
    let (before, after) = ("2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z");
    for (name, bundle, window, says) in [
        ("first log", &blob, "/tlogs/0/publicKey/validFor", "log"),
        ("second log", &second, "/tlogs/1/publicKey/validFor", "the key of the log https://log2026"),
        ("certificate log", &blob, "/ctlogs/0/publicKey/validFor", "certificate is not taken"),
        ("certificate authority", &blob, "/certificateAuthorities/0/validFor", "certificate is not taken"),
        ("timestamp authority", &second, "/timestampAuthorities/0/validFor", "when the signature"),
    ] {
        let ended = with(&root, &format!("{window}/start"), "2025-01-01T00:00:00Z");
        let ended = edited(&ended, window, |value| value["end"] = json!(before));
        let name_of = |when: &str| -> &'static str { format!("{name} {when}").leak() };
        cases.root(name_of("that had ended"), bundle, ended, Refused, says);
        let not_yet = with(&root, &format!("{window}/start"), after);
        cases.root(name_of("that had not begun"), bundle, not_yet, Refused, says);
        let backwards = edited(&root, window, |value| value["end"] = json!("2025-06-01T00:00:00Z"));
        cases.root(name_of("whose window ends before it begins"), bundle, backwards, Refused, "");
    }
    cases.check();
}

#[test]
fn windows_hold_both_their_ends() {
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let signed = (sigstore.today() + SignedDuration::from_secs(5)).to_string();
    let bundle = sigstore.signing(&claims()).rekor_2().blob(BYTES);
    for log in ["/tlogs/1/publicKey/validFor", "/timestampAuthorities/0/validFor"] {
        let ends = edited(&root, log, |value| value["end"] = json!(signed));
        assert!(verify(&ends, &bundle, BYTES).is_ok(), "{log}");
        let begins = with(&root, &format!("{log}/start"), signed.as_str());
        assert!(verify(&begins, &bundle, BYTES).is_ok(), "{log}");
    }
}

#[test]
fn a_timestamp_shows_that_a_log_had_ended() {
    // The entry's own time is within the log's window; the timestamp says that it was signed later.
    let sigstore = Sigstore::default();
    let good = sigstore.signing(&claims()).timestamped().blob(BYTES);
    let late = sigstore.signing(&claims()).signed_at(sigstore.today() + SignedDuration::from_mins(5));
    let late = late.timestamped().blob(BYTES);
    let end = (sigstore.today() + SignedDuration::from_mins(1)).to_string();
    let root =
        edited(&sigstore.trusted_root(), "/tlogs/0/publicKey/validFor", |value| value["end"] = json!(end));
    assert!(verify(&root, &good, BYTES).is_ok());
    assert!(verify(&root, &late, BYTES).is_err());
}

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
    use astrid_provenance::Bundle;
    let blob = Sigstore::default().sign_blob(&claims(), BYTES);
    assert_eq!(Bundle::parse_all(blob.repeat(16).as_bytes()).unwrap().len(), 16);
    let error = Bundle::parse_all(blob.repeat(17).as_bytes()).unwrap_err();
    assert!(error.message().contains("at most 16"), "{error}");
    assert!(Bundle::parse_all(format!("{blob}{{}}\n").as_bytes()).is_err());
    assert!(Bundle::parse_all(b"").is_err() && Bundle::parse_all(b"\n\n").is_err());
}
