//! Valid signatures by somebody who may not.

use astrid_hermetic_sigstore::{Claims, Key, Sigstore, base64, sha256};
use astrid_provenance::statement::{Subject, predicate};
use astrid_provenance::{Statement, envelope};
use serde_json::json;

use super::case::{Cases, ISSUER, RULE, WHOSE, identity, workflow};
use super::edits::{flipped, with};
use super::scene::{BUILDER, SLSA, key, public, slsa};

const IDENTITY: &str = "https://github.com/acme/fs/.github/workflows/release.yml@refs/tags/v1.2.0";

// contract: SEC-PROV-01
#[test]
fn signers_that_may_not_are_denied() {
    let mut cases = Cases::new();
    let blob = cases.scene.blob();
    let sigstore = Sigstore::default();
    let bytes = cases.scene.bytes.clone();
    let github = |repository: &str, workflow: &str, reference: &str| {
        sigstore.sign_blob(&Claims::github(repository, workflow, reference), &bytes)
    };
    let other = github("mallory/fs", "release.yml", "refs/tags/v1.2.0");
    cases.add("wrong repository", other, 83, "repository: the rule wants `acme/fs`");
    let other = github("acme/fs", "test.yml", "refs/tags/v1.2.0");
    cases.add("right repository, wrong workflow", other, 83, "workflow: the rule wants");
    cases.add(
        "right workflow, a branch",
        github("acme/fs", "release.yml", "refs/heads/main"),
        83,
        "ref: the rule",
    );
    cases.add(
        "ref below the pattern",
        github("acme/fs", "release.yml", "refs/tags/v1/x"),
        83,
        "ref: the rule",
    );
    cases.add("longer repository", github("acme/fsx", "release.yml", "refs/tags/v1.2.0"), 83, "repository:");
    cases.add(
        "repository of a longer owner",
        github("xacme/fs", "release.yml", "refs/tags/v1.2.0"),
        83,
        "repository:",
    );
    let person =
        sigstore.sign_blob(&Claims::person("ada@example.org", "https://accounts.example.org"), &bytes);
    cases.add("a person", person, 83, "issuer: the rule wants");
    let gitlab = sigstore.sign_blob(&Claims::gitlab("acme/fs", "refs/tags/v1.2.0"), &bytes);
    cases.add("the repository of another forge", gitlab, 83, "issuer: the rule wants");
    let claims = || Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0");
    let unnamed = sigstore.sign_blob(&claims().with(12, None).with(5, None), &bytes);
    cases.add("a certificate that names no repository", unnamed, 83, "repository:");
    let own = sigstore.signing_by_key(&Key::p256("ada")).blob(&bytes);
    cases.add("a key instead of a certificate", own, 83, "");
    for (name, wanted, issuer, says) in [
        (
            "wrong identity",
            "https://github.com/mallory/x/.github/workflows/r.yml@refs/heads/main",
            ISSUER,
            "identity:",
        ),
        ("prefix of the identity", &IDENTITY[..IDENTITY.len() - 1], ISSUER, "identity:"),
        ("identity with more behind it", &format!("{IDENTITY}0"), ISSUER, "identity:"),
        ("identity in other letters", &IDENTITY.replace("acme", "ACME"), ISSUER, "identity:"),
        ("identity with a star", &IDENTITY.replace("v1.2.0", "*"), ISSUER, "identity:"),
        ("wrong issuer", IDENTITY, "https://gitlab.com", "issuer:"),
        ("prefix of the issuer", IDENTITY, &ISSUER[..ISSUER.len() - 1], "issuer:"),
        ("issuer with a slash", IDENTITY, &format!("{ISSUER}/"), "issuer:"),
    ] {
        let (rule, flags) = identity(wanted, issuer);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        cases.add(name, &blob, 83, says).rule(&rule, &flags);
    }
    for (name, from, to, says) in [
        ("a rule for another repository", "acme/fs", "acme/other", "repository: the rule wants `acme/other`"),
        ("a rule for a part of the workflow", "release.yml", "release.y", "workflow: the rule wants"),
        ("a rule for other tags", "refs/tags/v*", "refs/tags/w*", "ref: the rule wants"),
    ] {
        let (rule, flags) = workflow(from, to);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        cases.add(name, &blob, 83, says).rule(&rule, &flags);
    }
    cases.check(21);
}

#[test]
fn statements_that_say_something_else_are_denied() {
    let mut cases = Cases::new();
    let blob = cases.scene.blob();
    let bytes = cases.scene.bytes.clone();
    let sign = |text: &str| Sigstore::default().sign_statement(&super::scene::claims(), text);
    let rule = format!("{RULE}predicate = \"{SLSA}\"\nbuilder = \"{BUILDER}\"\n");
    let flags = [&WHOSE[..], &["--predicate-type", SLSA, "--builder", BUILDER]].concat();
    cases.add("no statement at all", blob, 83, "predicate: the rule wants").rule(&rule, &flags);
    let other = sign(&with(&slsa(&bytes), "/predicateType", "https://slsa.dev/provenance/v0.2"));
    cases.add("wrong predicate type", other, 83, "predicate: the rule wants").rule(&rule, &flags);
    let other = sign(&with(&slsa(&bytes), "/predicateType", "https://slsa.dev/provenance/v1.1"));
    cases.add("longer predicate type", other, 83, "predicate: the rule wants").rule(&rule, &flags);
    let builder = "/predicate/runDetails/builder/id";
    let other = sign(&with(&slsa(&bytes), builder, "https://example.org/builder"));
    cases.add("wrong builder", other, 83, "builder: the rule wants").rule(&rule, &flags);
    let other = sign(&with(&slsa(&bytes), "/predicate", json!({})));
    cases.add("no builder", other, 83, "builder: the rule wants").rule(&rule, &flags);
    cases.check(5);
}

#[test]
fn what_the_key_did_not_sign_is_denied() {
    let mut cases = Cases::new();
    let bytes = cases.scene.bytes.clone();
    let text = public(7);
    let rule = format!("[[policy.signer]]\nmatch = [\"capsule:fs\"]\nkey = \"{text}\"\n");
    let flags = ["--key", text.as_str()];
    let sign = |number: u8, bytes: &[u8]| {
        let statement =
            Statement::new(vec![Subject::of("fs.capsule", bytes)], &predicate("artifact"), json!({}));
        envelope::sign(&statement, &key(number)).unwrap()
    };
    let good = sign(7, &bytes);
    let hint = "/verificationMaterial/publicKey/hint";
    for (name, bundle, says) in [
        ("signed by another key", sign(8, &bytes), "key"),
        (
            "signed by another key that claims to be it",
            with(&sign(8, &bytes), hint, text.as_str()),
            "not by the key",
        ),
        ("a statement of the key about other bytes", sign(7, b"other"), "other bytes"),
        ("the key's signature flipped", flipped(&good, "/dsseEnvelope/signatures/0/sig"), "not by the key"),
        ("the key's signature removed", with(&good, "/dsseEnvelope/signatures/0/sig", ""), "not by the key"),
        (
            "the key's payload swapped",
            with(&good, "/dsseEnvelope/payload", base64(slsa(&bytes))),
            "not by the key",
        ),
        ("a certificate where a key is wanted", cases.scene.blob(), "not by a key"),
    ] {
        cases.add(name, bundle, 83, says).rule(&rule, &flags);
    }
    // Named by nobody, a key says nothing of whose it is.
    let named = with(&good, hint, base64(sha256(b"key")));
    cases.add("a key where a workflow is wanted", named, 83, "").rule(RULE, &WHOSE);
    let weak = with(&good, hint, format!("ed25519:{}", base64([0; 32])));
    cases.add("a weak key where a workflow is wanted", weak, 83, "").rule(RULE, &WHOSE);
    cases.add("a key of its own where a workflow is wanted", good, 83, "").rule(RULE, &WHOSE);
    cases.check(10);
}
