//! Files that are no bundles, and things that are no files.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use astrid_hermetic_sigstore::base64;
use serde_json::{Value, json};

use super::case::{APPLY, Cases, WHOSE};
use super::edits::{CHECKPOINT, ENTRIES, ENTRY, MATERIAL, PROOF, at, edited, with, without};
use super::scene::{public, refused, refused_fleet};

#[test]
fn documents_that_are_no_bundles_are_denied() {
    let mut cases = Cases::new();
    let (blob, dsse, second) = (cases.scene.blob(), cases.scene.attestation(), cases.second());
    cases.add("empty", "", 65, "not a Sigstore bundle");
    cases.add("white space", "\n\n \n", 65, "not a Sigstore bundle");
    cases.add("a text", "hello", 65, "not a Sigstore bundle");
    cases.add("zeros", vec![0; 4096], 65, "not a Sigstore bundle");
    cases.add("no UTF-8", b"{\"a\": \"\xff\"}", 65, "not a Sigstore bundle");
    cases.add("a list", "[]", 65, "no Sigstore bundle");
    cases.add("an empty object", "{}", 65, "no Sigstore bundle");
    cases.add("truncated", &blob[..blob.len() / 2], 65, "not a Sigstore bundle");
    cases.add("trailing text", format!("{blob}hello\n"), 65, "not a Sigstore bundle");
    cases.add("nested deeply", "[".repeat(1_000_000), 65, "nests deeper");
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    cases.add("nested deeply in an object", nested, 65, "nests deeper");
    cases.add("over the limit", " ".repeat((4 << 20) + 1), 65, "at most");
    cases.add("huge", vec![b' '; (16 << 20) + 1], 65, "larger than 16 MiB");
    let bundle = with(&blob, "/mediaType", "application/vnd.dev.sigstore.bundle.v9+json");
    cases.add("of an unknown version", bundle, 65, "no Sigstore bundle");
    cases.add("of no type", without(&blob, "", "mediaType"), 65, "mediaType");
    let bundle = without(&blob, "", "verificationMaterial");
    cases.add("without material", bundle, 65, "verificationMaterial");
    cases.add("without a signer", without(&blob, MATERIAL, "certificate"), 65, "one of `certificate`");
    let two = edited(&blob, MATERIAL, |value| value["publicKey"] = json!({ "hint": public(7) }));
    cases.add("with two signers", two, 65, "one of `certificate`");
    let bundle = without(&blob, "", "messageSignature");
    cases.add("without a signature", bundle, 65, "one of `messageSignature`");
    let both = edited(&blob, "", |value| value["dsseEnvelope"] = at(&dsse, "/dsseEnvelope"));
    cases.add("with two kinds of signature", both, 65, "one of `messageSignature`");
    let twice = |value: &mut Value| *value = json!([value[0], value[0]]);
    let bundle = edited(&dsse, "/dsseEnvelope/signatures", twice);
    cases.add("with two signatures", bundle, 65, "exactly one signature");
    cases.add("with bad base64", with(&blob, "/messageSignature/signature", "%%%"), 65, "");
    let nine = |value: &mut Value| *value = json!(vec![value[0].clone(); 9]);
    cases.add("with nine entries", edited(&blob, ENTRIES, nine), 65, "9 log entries");
    let times = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    cases.add("with nine timestamps", edited(&second, times, nine), 65, "9 timestamps");
    let steps = with(&blob, &format!("{PROOF}/hashes"), json!(vec![base64([0; 32]); 65]));
    cases.add("with too many steps of proof", steps, 65, "65 steps");
    let note = at(&blob, CHECKPOINT).as_str().unwrap().to_owned();
    let last = note.lines().last().unwrap();
    let many = with(&blob, CHECKPOINT, format!("{note}{}", format!("{last}\n").repeat(100)));
    cases.add("with too many signatures of a checkpoint", many, 65, "lines in a checkpoint");
    cases.add("with an index below zero", with(&blob, &format!("{ENTRY}/logIndex"), "-1"), 65, "");
    for key in ["verificationMaterial", "messageDigest", "integratedTime", "mediaType"] {
        let bundle = blob.replacen(&format!("\"{key}\":"), &format!("\"{key}\":null,\"{key}\":"), 1);
        cases.add(&format!("with `{key}` twice"), bundle, 65, "stands twice");
    }
    cases.add("of too many lines", blob.repeat(17), 65, "at most 16");
    cases.add("with a line that is none", format!("{blob}{{}}\n"), 65, "");
    cases.check(33);
}

#[test]
fn things_that_are_no_files_are_denied() {
    let cases = Cases::new();
    let env = &cases.scene.env;
    let bundle = env.work("fs.capsule.sigstore.json");
    let verify = [&["verify", "fs.capsule"][..], &WHOSE].concat();
    fs::rename(&bundle, env.path("bundle.json")).unwrap();
    refused(env, "no bundle", &verify, 65, &["there is no bundle", "--bundle"]);
    let elsewhere = [&verify[..], &["--bundle", "none.json"]].concat();
    refused(env, "no bundle there", &elsewhere, 65, &["there is no bundle"]);
    refused_fleet(env, "unsigned, and a rule names it", &APPLY, 83, &["is not signed", "etc/policy.toml:1"]);

    symlink(env.path("bundle.json"), &bundle).unwrap();
    refused_fleet(env, "bundle is a symbolic link", &APPLY, 65, &["symbolic link"]);
    fs::remove_file(&bundle).unwrap();
    fs::create_dir(&bundle).unwrap();
    refused(env, "bundle is a folder", &verify, 65, &["no regular file"]);
    refused_fleet(env, "bundle of a fleet is a folder", &APPLY, 65, &["regular file"]);
    fs::remove_dir(&bundle).unwrap();
    fifo(&bundle);
    refused(env, "bundle is a pipe", &verify, 65, &["no regular file"]);
    refused_fleet(env, "bundle of a fleet is a pipe", &APPLY, 65, &["regular file"]);
    fs::remove_file(&bundle).unwrap();

    fs::rename(env.path("bundle.json"), &bundle).unwrap();
    let artifact = env.work("fs.capsule");
    fs::remove_file(&artifact).unwrap();
    refused(env, "no artifact", &verify, 1, &["can't be read"]);
    fifo(&artifact);
    refused(env, "artifact is a pipe", &verify, 1, &["regular file"]);
    refused(env, "artifact of a fleet is a pipe", &APPLY, 1, &["regular file"]);
    fs::remove_file(&artifact).unwrap();
    fs::create_dir(&artifact).unwrap();
    refused(env, "artifact is an empty folder", &verify, 65, &["no Distro.toml, no Capsule.toml"]);
}

fn fifo(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn keys_and_roots_that_are_none_are_denied() {
    let cases = Cases::new();
    let env = &cases.scene.env;
    env.ok(&["sign", "fs.capsule", "--key", "./release.key"]);
    env.ok(&["verify", "fs.capsule", "--key", &public(7)]);
    env.write("empty", "");
    env.write("text.pub", "hello\n");
    env.write("short.pub", "ed25519:AAAA\n");
    env.write("binary.pub", [0xff; 64]);
    env.write("broken.pem", "-----BEGIN PUBLIC KEY-----\n%%%%\n-----END PUBLIC KEY-----\n");
    env.write("short.pem", "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n");
    env.write("large", vec![b'a'; (16 << 20) + 1]);
    for (name, key, code) in [
        ("empty key", "empty", 65),
        ("key that is a text", "text.pub", 65),
        ("key that is short", "short.pub", 65),
        ("key that is no text", "binary.pub", 65),
        ("PEM that is broken", "broken.pem", 65),
        ("PEM that is short", "short.pem", 65),
        ("key that is large", "large", 65),
        ("text of a short key", "ed25519:AAAA", 65),
        ("weak key", "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 65),
        ("name that is none", "no name", 65),
        ("name of no key", "nobody", 1),
    ] {
        refused(env, name, &["verify", "fs.capsule", "--key", key], code, &[]);
    }
    let secret = env.work("release.key");
    let ran = refused(env, "a secret key", &["verify", "fs.capsule", "--key", "./release.key"], 65, &[]);
    assert!(!ran.stderr.contains(&"\u{7}".repeat(4)) && secret.exists());
    for (name, file, code) in [
        ("empty root", "empty", 65),
        ("root that is a text", "text.pub", 65),
        ("root that is large", "large", 65),
        ("root that is a bundle", "fs.capsule.sigstore.json", 65),
        ("root that is not there", "none.json", 1),
    ] {
        let root = [&["verify", "fs.capsule"][..], &WHOSE, &["--trusted-root", file]].concat();
        refused(env, name, &root, code, &[]);
    }
}
