//! `sign`: with a key, and in CI with the services on a socket of this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use astrid_hermetic_sigstore::service::{Answer, GITHUB_BEARER, Request, Service};
use astrid_hermetic_sigstore::{Claims, Key, Sigstore, from_base64, pem};
use astrid_provenance::verify::Identity;
use astrid_provenance::{Artifact, Bundle, Statement, TrustRoot, Verified, Verifier};
use serde_json::{Value, json};

use crate::env::{Ran, Run, TestEnv};

const BYTES: &[u8] = b"the archive";

fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

/// A folder with an artifact `fs.capsule` and the key `release` in a file.
fn env() -> TestEnv {
    let env = TestEnv::new();
    env.write("fs.capsule", BYTES);
    private(&env.work("release.key"), &[7; 32]);
    env
}

fn private(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The services, their root in `root.json`, and the token in `token`.
fn services(env: &TestEnv, change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) -> Service {
    let service = Service::start_changed(Sigstore::default(), claims(), Box::new(change));
    env.write("root.json", service.sigstore().trusted_root());
    env.write("token", service.token());
    service
}

fn keyless<'a>(env: &'a TestEnv, service: &Service, artifact: &str, more: &[&str]) -> Run<'a> {
    let url = service.url();
    let mut arguments = vec!["sign", artifact, "--keyless", "--trusted-root", "root.json"];
    arguments.extend(["--fulcio", &url, "--rekor", &url]);
    arguments.extend(more);
    env.run(&arguments)
}

fn verified(bundle: &[u8], root: Option<&str>, artifact: &[u8]) -> Verified {
    let bundle = Bundle::parse(bundle).unwrap();
    let own = root.map(|root| TrustRoot::parse(root.as_bytes()).unwrap());
    let verifier = Verifier::new(own.as_ref().unwrap_or(TrustRoot::builtin())).unwrap();
    verifier.verify(&Artifact::new(artifact), &bundle).unwrap()
}

fn statement(env: &TestEnv, bundle: &str) -> Statement {
    let bundle = Bundle::parse(&fs::read(env.work(bundle)).unwrap()).unwrap();
    Statement::parse(bundle.payload().unwrap()).unwrap()
}

fn refused(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, code, "{}", ran.shown());
    assert!(ran.stderr.contains(words), "{}", ran.shown());
}

#[test]
fn a_file_is_signed_with_a_key() {
    let env = env();
    let ran = env.ok(&["sign", "fs.capsule", "--key", "./release.key", "--offline"]);
    let text = fs::read(env.work("fs.capsule.sigstore.json")).unwrap();
    let proved = verified(&text, None, BYTES);
    let Identity::Key(key) = proved.signer else { panic!("{proved:?}") };
    assert!(ran.stdout.contains(&format!("signed by key {key}")), "{}", ran.shown());

    // The same key says the same; a key of the home is found by its name.
    private(&env.home("keys/local/release.ed25519"), &[7; 32]);
    let again =
        env.ok(&["sign", "fs.capsule", "--key", "release", "--bundle", "again.json", "--json"]).json();
    assert_eq!(fs::read(env.work("again.json")).unwrap(), text);
    assert_eq!(again["signer"], json!({ "key": key.to_string() }));
    assert_eq!(again["subjects"][0]["name"], "fs.capsule");
    assert_eq!(again["predicate_type"], "https://github.com/unicity-astrid/astrid/attestations/artifact/v1");
}

#[test]
fn anything_may_be_said_about_an_artifact() {
    let env = env();
    env.write("slsa.json", r#"{"buildDefinition": {"buildType": "https://example.org/build"}}"#);
    let predicate = ["--predicate", "slsa.json", "--predicate-type", "https://slsa.dev/provenance/v1"];
    env.ok(&[&["sign", "fs.capsule", "--key", "./release.key"][..], &predicate].concat());
    let said = statement(&env, "fs.capsule.sigstore.json");
    assert_eq!(said.predicate_type, "https://slsa.dev/provenance/v1");
    assert_eq!(said.predicate["buildDefinition"]["buildType"], "https://example.org/build");

    env.write("slsa.json", "{");
    let ran = env.astrid(&[&["sign", "fs.capsule", "--key", "./release.key"][..], &predicate].concat());
    refused(&ran, 65, "is no JSON");
}

#[test]
fn a_folder_is_signed_as_the_content_that_is_locked() {
    let env = env();
    env.demo();
    env.write("tools/pack.yaml", "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\n");
    env.distro(
        "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\nversion = \"1.0.0\"\n",
    );
    env.ok(&["sign", "notes", "--key", "./release.key"]);
    env.ok(&["sign", "tools", "--key", "./release.key"]);
    env.ok(&["lock"]);
    let lock = env.read("Distro.lock");
    for (folder, name) in [("notes", "notes"), ("tools", "tools")] {
        let said = statement(&env, &format!("{folder}/.astrid/provenance.sigstore.json"));
        assert_eq!(said.subject[0].name, name);
        let content = format!("content = \"blake3:{}\"", said.subject[0].digest["blake3"]);
        assert!(lock.contains(&content), "{content}\n{lock}");
    }
    // What was signed is not changed by the signature.
    let before = env.read("notes/.astrid/provenance.sigstore.json");
    env.ok(&["sign", "notes", "--key", "./release.key"]);
    assert_eq!(env.read("notes/.astrid/provenance.sigstore.json"), before);
}

#[test]
fn a_distro_is_signed_with_its_lock() {
    let env = env();
    env.demo();
    refused(&env.astrid(&["sign", ".", "--key", "./release.key"]), 65, "run `astrid lock` first");
    env.ok(&["lock"]);
    env.ok(&["sign", ".", "--key", "./release.key"]);
    let text = fs::read(env.work("Distro.sigstore.json")).unwrap();
    for file in ["Distro.toml", "Distro.lock"] {
        verified(&text, None, &fs::read(env.work(file)).unwrap());
    }
    let said = statement(&env, "Distro.sigstore.json");
    assert_eq!(said.predicate_type, "https://github.com/unicity-astrid/astrid/attestations/distro/v1");
    assert_eq!(said.subject.len(), 2);
}

#[test]
fn what_is_no_artifact_and_what_is_no_key_is_denied() {
    let env = env();
    fs::create_dir(env.work("empty")).unwrap();
    env.capsule("unbuilt", "unbuilt", "1.0.0", "");
    fs::remove_file(env.work("unbuilt/unbuilt.wasm")).unwrap();
    env.capsule("linked", "linked", "1.0.0", "");
    fs::create_dir(env.work("elsewhere")).unwrap();
    symlink(env.work("elsewhere"), env.work("linked/.astrid")).unwrap();
    private(&env.work("short.key"), &[7; 31]);
    fs::write(env.work("open.key"), [7; 32]).unwrap();
    for (artifact, key, code, words) in [
        ("missing", "./release.key", 1, "can't be read"),
        ("empty", "./release.key", 65, "no Distro.toml, no Capsule.toml and no pack.yaml"),
        ("unbuilt", "./release.key", 65, "astrid capsule build"),
        ("linked", "./release.key", 65, "is a symbolic link"),
        ("fs.capsule", "./missing.key", 1, "there is no key"),
        ("fs.capsule", "missing", 1, "there is no key"),
        ("fs.capsule", "./short.key", 84, "a key is 32 bytes"),
        ("fs.capsule", "./open.key", 65, "may be read or changed by others"),
        ("fs.capsule", "no name", 64, "is no name of a key"),
    ] {
        let ran = env.astrid(&["sign", artifact, "--key", key]);
        refused(&ran, code, words);
    }
    for arguments in [
        &["sign", "fs.capsule"][..],
        &["sign", "fs.capsule", "--key", "release", "--keyless"],
        &["sign", "fs.capsule", "--key", "release", "--predicate", "x"],
        &["sign", "fs.capsule", "--key", "release", "--token-file", "x"],
        &["sign", "fs.capsule", "--key", "release", "--fulcio", "https://example.org"],
        &["sign", "fs.capsule", "--key", "release", "--rekor-version", "2"],
        &["sign", "fs.capsule", "--keyless", "--rekor-version", "2"],
        &["sign", "fs.capsule", "--keyless", "--fulcio", "https://example.org"],
    ] {
        assert_eq!(env.astrid(arguments).code, 64, "{arguments:?}");
    }
    refused(&env.astrid(&["sign", "fs.capsule", "--key", "./release.key", "--frozen"]), 81, "--frozen");
    assert!(!env.work("fs.capsule.sigstore.json").exists());
    assert_eq!(fs::read_dir(env.work("elsewhere")).unwrap().count(), 0);
}

#[test]
fn a_job_signs_without_a_key() {
    let env = env();
    let service = services(&env, |_, answer| answer);
    let clock = service.timestamp_url();
    let root = service.sigstore().trusted_root();
    for more in [
        &[][..],
        &["--timestamp-authority", &clock],
        &["--rekor-version", "2", "--timestamp-authority", &clock],
    ] {
        let more = [&["--token-file", "token", "--json"], more].concat();
        let ran = keyless(&env, &service, "fs.capsule", &more).go();
        assert_eq!(ran.code, 0, "{}", ran.shown());
        let signer = json!({
            "issuer": claims().issuer,
            "repository": "acme/fs",
            "workflow": ".github/workflows/release.yml",
        });
        assert_eq!(ran.json()["signer"], signer);
        let proved = verified(&fs::read(env.work("fs.capsule.sigstore.json")).unwrap(), Some(&root), BYTES);
        let Identity::Certificate(certificate) = &proved.signer else { panic!("{proved:?}") };
        assert_eq!(certificate.claims.reference.as_deref(), Some("refs/tags/v1.2.0"));
    }
}

#[test]
fn every_ci_gives_its_token() {
    let env = env();
    let service = services(&env, |_, answer| answer);
    let sign = || keyless(&env, &service, "fs.capsule", &[]);
    let ran = sign().go();
    refused(&ran, 64, "nobody here says who signs");

    let github = || sign().variable("GITHUB_ACTIONS", "true");
    refused(&github().go(), 64, "permissions: { id-token: write }");
    let ran = github()
        .variable("ACTIONS_ID_TOKEN_REQUEST_URL", service.github_token_url())
        .variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_BEARER)
        .go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let ran = github()
        .variable("ACTIONS_ID_TOKEN_REQUEST_URL", service.github_token_url())
        .variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another")
        .go();
    refused(&ran, 1, "answered 401");
    let ran = github()
        .variable("ACTIONS_ID_TOKEN_REQUEST_URL", "http://example.org/token")
        .variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "secret")
        .go();
    refused(&ran, 64, "must be https");

    let gitlab = || sign().variable("GITLAB_CI", "true");
    refused(&gitlab().go(), 64, "id_tokens");
    let ran = gitlab().variable("SIGSTORE_ID_TOKEN", service.token()).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());

    let buildkite = || sign().variable("BUILDKITE", "true").variable("PATH", env.path("bin"));
    refused(&buildkite().go(), 1, "gives no identity token");
    let agent = format!(
        "#!/bin/sh\n[ \"$*\" = 'oidc request-token --audience sigstore' ] || exit 1\nprintf '%s\\n' '{}'\n",
        service.token()
    );
    fs::create_dir(env.path("bin")).unwrap();
    fs::write(env.path("bin/buildkite-agent"), agent).unwrap();
    fs::set_permissions(env.path("bin/buildkite-agent"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = buildkite().go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

#[test]
fn signing_needs_a_network_and_safe_addresses() {
    let env = env();
    let service = services(&env, |_, answer| answer);
    let ran = keyless(&env, &service, "fs.capsule", &["--token-file", "token", "--offline"]).go();
    refused(&ran, 81, "this run is offline");
    for address in ["http://example.org", "ftp://example.org", "https://ada:secret@example.org", "nothing"] {
        let ran = env.astrid(&[
            "sign",
            "fs.capsule",
            "--keyless",
            "--token-file",
            "token",
            "--trusted-root",
            "root.json",
            "--fulcio",
            address,
            "--rekor",
            "https://example.org",
        ]);
        assert_eq!(ran.code, 64, "{}", ran.shown());
        assert!(!ran.stderr.contains("secret"), "{}", ran.shown());
    }
    assert!(service.asked().is_empty());
    for (token, code) in [("not a token".to_owned(), 65), ("x".repeat(70_000), 65)] {
        env.write("token", token);
        let ran = keyless(&env, &service, "fs.capsule", &["--token-file", "token"]).go();
        assert_eq!(ran.code, code, "{}", ran.shown());
    }
    env.write("root.json", "{}");
    env.write("token", service.token());
    let ran = keyless(&env, &service, "fs.capsule", &["--token-file", "token"]).go();
    assert_eq!(ran.code, 65, "{}", ran.shown());
    assert!(service.asked().is_empty());
}

/// Runs against services that lie, and looks that nothing was written and no token shown.
fn lie(code: i32, words: &str, change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) {
    let env = env();
    let service = services(&env, change);
    let clock = service.timestamp_url();
    let more = ["--token-file", "token", "--timestamp-authority", &clock];
    let ran = keyless(&env, &service, "fs.capsule", &more).go();
    refused(&ran, code, words);
    assert!(!env.work("fs.capsule.sigstore.json").exists());
    assert!(!ran.shown().contains(&service.token()), "{}", ran.shown());
    let before: Vec<_> = fs::read_dir(env.work("")).unwrap().collect();
    assert_eq!(before.len(), 4, "{before:?}");
}

fn on(path: &'static str, answer: Answer) -> impl Fn(&Request, Answer) -> Answer {
    move |request, honest| if request.path == path { answer.clone() } else { honest }
}

#[test]
fn services_that_lie_are_denied() {
    const FULCIO: &str = "/api/v2/signingCert";
    const LOG: &str = "/api/v1/log/entries";
    const CLOCK: &str = "/api/v1/timestamp";
    let sigstore = Sigstore::default();
    let other = sigstore.authority.issue_for(&Key::p256("another"), &claims(), sigstore.today(), true);
    let other = json!({ "signedCertificateEmbeddedSct": { "chain": {
        "certificates": [pem("CERTIFICATE", &other)],
    } } });
    // Whichever answer comes first stops it: the log refuses what the certificate's key did not sign.
    lie(1, "127.0.0.1 answered 400", on(FULCIO, Answer::new(201, other.to_string())));
    lie(83, "does not verify", |request, mut answer| {
        if request.path == LOG {
            let mut document: Value = serde_json::from_slice(&answer.body).unwrap();
            let entry = document.as_object_mut().unwrap().values_mut().next().unwrap();
            let body = String::from_utf8(from_base64(entry["body"].as_str().unwrap())).unwrap();
            let changed = body.replace("\"kind\":\"dsse\"", "\"kind\":\"dss3\"");
            entry["body"] = json!(astrid_hermetic_sigstore::base64(changed));
            answer.body = document.to_string().into_bytes();
        }
        answer
    });
    lie(83, "does not verify", |request, mut answer| {
        if request.path == CLOCK {
            let last = answer.body.len() - 3;
            answer.body[last] ^= 1;
        }
        answer
    });
    for path in [FULCIO, LOG, CLOCK] {
        lie(1, "answered 500", on(path, Answer::new(500, "not today")));
        lie(1, "does not answer as it should", on(path, Answer::new(201, vec![b' '; 2 << 20])));
    }
    lie(65, "certificate authority", on(FULCIO, Answer::new(201, "{}")));
    lie(65, "answer of the log", on(LOG, Answer::new(201, "[]")));
    lie(83, "does not verify", on(CLOCK, Answer::new(201, "no time")));
    // What a service says is shown, but never what the one says that was told the token.
    lie(1, "not today", on(LOG, Answer::new(400, "not today")));
    lie(1, "answered 400", |request, answer| {
        if request.path == FULCIO { Answer::new(400, request.body.clone()) } else { answer }
    });
}

#[test]
fn a_token_follows_no_service_to_another_one_denied() {
    let env = env();
    let other = services(&env, |_, answer| answer);
    let url = other.url();
    let service = services(&env, move |request, mut answer| {
        answer.status = 307;
        answer.location = Some(format!("{url}{}", request.path));
        answer
    });
    let ran = keyless(&env, &service, "fs.capsule", &["--token-file", "token"]).go();
    refused(&ran, 1, "answered 307");
    assert!(other.asked().is_empty(), "{:?}", other.asked());
}
