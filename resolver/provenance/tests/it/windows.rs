//! Roots that do not vouch for a bundle, windows of time, and clocks.

use astrid_hermetic_sigstore::{Key, Sigstore};
use astrid_provenance::ErrorKind::Refused;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::bench_of_cases::{BYTES, at, claims, edited, flipped, statement, verify, with};
use crate::case::Cases;

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
