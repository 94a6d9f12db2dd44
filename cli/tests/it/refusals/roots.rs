//! Roots that do not vouch for a bundle that another root vouches for.

use std::fs;

use astrid_hermetic_sigstore::Sigstore;
use astrid_provenance::TrustRoot;
use serde_json::json;

use super::case::{APPLY, Cases, RULE};
use super::edits::{at, edited, with};
use super::scene::{policy, refused_fleet};

#[test]
fn roots_that_do_not_vouch_are_denied() {
    let mut cases = Cases::new();
    let (blob, second) = (cases.scene.blob(), cases.second());
    let root = cases.scene.sigstore.trusted_root();
    for (name, bundle, list, says) in [
        ("root without logs", &blob, "tlogs", ""),
        ("root without logs of certificates", &blob, "ctlogs", "root does not vouch"),
        ("root without timestamp authorities", &second, "timestampAuthorities", "when the signature"),
        ("root without certificate authorities", &blob, "certificateAuthorities", "certificate"),
    ] {
        cases.add(name, bundle, 83, says).root(&with(&root, &format!("/{list}"), json!([])));
    }
    let bare = json!({ "mediaType": at(&root, "/mediaType") }).to_string();
    cases.add("root with only a type", &blob, 83, "").root(&bare);
    let other = Sigstore::seeded("mallory", cases.scene.sigstore.from()).trusted_root();
    cases.add("root of another Sigstore", &blob, 83, "").root(&other);
    let public = String::from_utf8(TrustRoot::builtin().bytes().to_vec()).unwrap();
    cases.add("the public root", &blob, 83, "").root(&public);
    for (what, bundle, window, says) in [
        ("first log", &blob, "/tlogs/0/publicKey/validFor", "log"),
        ("second log", &second, "/tlogs/1/publicKey/validFor", "the key of the log https://log2026"),
        ("certificate log", &blob, "/ctlogs/0/publicKey/validFor", "certificate is not taken"),
        ("certificate authority", &blob, "/certificateAuthorities/0/validFor", "certificate is not taken"),
        ("timestamp authority", &second, "/timestampAuthorities/0/validFor", "when the signature"),
    ] {
        let ended = with(&root, &format!("{window}/start"), "2025-01-01T00:00:00Z");
        let ended = edited(&ended, window, |value| value["end"] = json!("2026-01-01T12:00:00Z"));
        cases.add(&format!("expired {what}"), bundle, 83, says).root(&ended);
        let begins = with(&root, &format!("{window}/start"), "2026-01-02T12:00:00Z");
        cases.add(&format!("{what} that is not yet valid"), bundle, 83, says).root(&begins);
    }
    cases.add("root that is no root", &blob, 65, "trust root set").root("{}");
    cases.add("root that is cut short", &blob, 65, "trust root set").root(&root[..root.len() / 2]);
    cases.check(19);
}

#[test]
fn a_root_that_is_too_old_verifies_no_fleet_denied() {
    let cases = Cases::new();
    let env = &cases.scene.env;
    let record = env.home("trust/trusted_root.record.json");
    let text = fs::read_to_string(&record).unwrap();
    policy(env, &format!("[trusted-root]\nfail-after = \"30d\"\n{RULE}"));
    env.ok(&["plan"]);
    fs::write(&record, text.replace("2026-11-20", "2026-10-01")).unwrap();
    refused_fleet(env, "old root", &APPLY, 83, &["the trusted root is 50 days old", "`fail-after` is 30d"]);
    fs::remove_file(&record).unwrap();
    refused_fleet(env, "root of unknown age", &APPLY, 83, &["nobody recorded how old the trusted root is"]);
    // The record of another root is none.
    fs::write(&record, text.replace("blake3:", "blake3:0").replacen('0', "", 0)).unwrap();
    refused_fleet(env, "record that is broken", &APPLY, 83, &["nobody recorded"]);
    policy(env, &format!("[trusted-root]\nwarn-after = \"10d\"\n{RULE}"));
    fs::write(&record, text.replace("2026-11-20", "2026-10-01")).unwrap();
    let ran = env.ok(&["plan"]);
    assert!(ran.stderr.contains("the trusted root is 50 days old"), "{}", ran.shown());
}
