//! `verify ARTIFACT`, `policy` and `trust root`: as people use them who know `cosign verify-blob` and `gh attestation verify`.

use std::fs;

use astrid_hermetic_sigstore::{Claims, Key, Sigstore};
use serde_json::json;

use crate::env::{TestEnv, astrid_snapshot};
use crate::refusals::scene::{BUILDER, GITHUB, SLSA, Scene, claims, policy, private, public, refused};

const IDENTITY: &str = "https://github.com/acme/fs/.github/workflows/release.yml@refs/tags/v1.2.0";
/// Whose it must be, as `cosign` has it.
const WHOSE: [&str; 4] = ["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", GITHUB];

fn verify<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["verify", "fs.capsule"][..], more].concat()
}

#[test]
fn a_file_is_verified_by_who_signed_it() {
    let scene = Scene::new();
    let env = &scene.env;
    env.write("fs.capsule.sigstore.json", scene.blob());
    astrid_snapshot!("verify-blob", env, verify(&WHOSE)[..]);
    astrid_snapshot!("verify-blob-json", env, verify(&[&WHOSE[..], &["--json"]].concat())[..]);

    // With everything named, as on a machine that has no home.
    fs::rename(env.work("fs.capsule.sigstore.json"), env.work("elsewhere.json")).unwrap();
    fs::rename(env.home(""), env.path("elsewhere")).unwrap();
    let named = ["--bundle", "elsewhere.json", "--trusted-root", "root.json"];
    astrid_snapshot!("verify-blob-named", env, verify(&[&WHOSE[..], &named].concat())[..]);
    assert!(!env.home("").exists());

    // What needs no network does not ask for one.
    env.ok(&verify(&[&WHOSE[..], &named, &["--offline"]].concat()));
    env.ok(&verify(&[&WHOSE[..], &named, &["--frozen"]].concat()));
}

#[test]
fn an_attestation_is_verified_by_its_repository() {
    let scene = Scene::new();
    let env = &scene.env;
    env.write("fs.capsule.sigstore.json", scene.attestation());
    for more in [
        &["--repo", "acme/fs"][..],
        &["-R", "acme/fs"],
        &["-R", "https://github.com/acme/fs"],
        &["-R", "Acme/FS"],
        &["-R", "acme/fs", "--certificate-oidc-issuer", GITHUB],
        &["-R", "acme/fs", "--signer-workflow", ".github/workflows/release.yml"],
        &["-R", "acme/fs", "--source-ref", "refs/tags/v1.2.0"],
        &["-R", "acme/fs", "--source-ref", "refs/tags/v*"],
        &["-R", "acme/fs", "--predicate-type", SLSA],
        &["-R", "acme/fs", "--predicate-type", SLSA, "--builder", BUILDER],
    ] {
        env.ok(&verify(more));
    }
    let all = [
        "-R",
        "acme/fs",
        "--signer-workflow",
        ".github/workflows/release.yml",
        "--source-ref",
        "refs/tags/v*",
        "--predicate-type",
        SLSA,
        "--builder",
        BUILDER,
    ];
    astrid_snapshot!("verify-attestation", env, verify(&all)[..]);
    let document = env.ok(&verify(&[&all[..], &["--json"]].concat())).json();
    assert_eq!(document["predicate_type"], SLSA);
    assert_eq!(document["builder"], BUILDER);
    assert_eq!(document["signer"]["repository"], "acme/fs");

    // Other issuers have repositories too.
    let gitlab = Claims::gitlab("acme/tools", "refs/tags/v1.2.0");
    env.write("fs.capsule.sigstore.json", scene.sigstore.sign_blob(&gitlab, &scene.bytes));
    let project = "https://gitlab.com/acme/tools";
    env.ok(&verify(&["-R", project, "--certificate-oidc-issuer", "https://gitlab.com"]));
    refused(env, "GitHub's issuer", &verify(&["-R", project]), 83, &["issuer"]);
}

#[test]
fn people_sign_too() {
    let scene = Scene::new();
    let ada = Claims::person("ada@example.org", "https://accounts.example.org");
    scene.env.write("fs.capsule.sigstore.json", scene.sigstore.sign_blob(&ada, &scene.bytes));
    let whose = [
        "--certificate-identity",
        "ada@example.org",
        "--certificate-oidc-issuer",
        "https://accounts.example.org",
    ];
    let ran = scene.env.ok(&verify(&whose));
    assert!(ran.stdout.contains("ada@example.org"), "{}", ran.shown());
}

#[test]
fn a_key_is_named_in_every_way() {
    let scene = Scene::new();
    let env = &scene.env;
    env.ok(&["sign", "fs.capsule", "--key", "./release.key"]);
    let text = public(7);
    env.write("release.pub", format!("{text}\n"));
    env.write("release.pem", Key::ed25519_of(&[7; 32]).public_pem());
    private(&env.home("keys/local/release.ed25519"), &[7; 32]);
    let shown = |format: &str| {
        let ran = env.ok(&["keypair", "pubkey", "release", "--format", format]);
        ran.stdout.trim().to_owned()
    };
    let (hex, openssh) = (shown("hex"), shown("openssh"));
    env.write("release.ssh", format!("{openssh}\n"));
    for key in [
        text.as_str(),
        hex.as_str(),
        openssh.as_str(),
        "./release.pub",
        "release.pub",
        "release.ssh",
        "release.pem",
        "release",
    ] {
        let document = env.ok(&verify(&["--key", key, "--json"])).json();
        assert_eq!(document["signer"], json!({ "key": text }), "{key}");
    }
    // A key vouches for itself: no root is needed.
    fs::remove_file(env.home("trust/trusted_root.json")).unwrap();
    astrid_snapshot!("verify-key", env, ["verify", "fs.capsule", "--key", "release.pub"]);

    // Other algorithms come as PEM.
    let ada = Key::p256("ada");
    env.write("ada.pem", ada.public_pem());
    let bundle = scene.sigstore.signing_by_key(&ada).without_log().blob(&scene.bytes);
    env.write("fs.capsule.sigstore.json", bundle);
    let ran = env.ok(&verify(&["--key", "ada.pem"]));
    assert!(ran.stdout.contains("sha256:"), "{}", ran.shown());
}

#[test]
fn folders_are_verified_by_their_content() {
    let env = TestEnv::new();
    env.demo();
    private(&env.work("release.key"), &[7; 32]);
    env.write("tools/pack.yaml", "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\n");
    env.ok(&["lock"]);
    let key = public(7);
    for (folder, names) in [
        ("notes", json!(["notes"])),
        ("tools", json!(["tools"])),
        (".", json!(["Distro.toml", "Distro.lock"])),
    ] {
        env.ok(&["sign", folder, "--key", "./release.key"]);
        let document = env.ok(&["verify", folder, "--key", &key, "--json"]).json();
        assert_eq!(document["subjects"], names);
        assert_eq!(document["verified"], true);
    }
    let ran = env.ok(&["verify", "Distro.toml", "--bundle", "Distro.sigstore.json", "--key", &key]);
    assert!(ran.stdout.starts_with("Distro.toml verified\n"), "{}", ran.shown());

    // One byte more, and it is something else.
    for (folder, file) in [("notes", "notes/assets/more"), ("tools", "tools/more"), (".", "Distro.lock")] {
        let before = fs::read_to_string(env.work(file)).unwrap_or_default();
        env.write(file, before + "\n");
        refused(&env, folder, &["verify", folder, "--key", &key], 83, &["other bytes"]);
    }
}

#[test]
fn one_of_several_bundles_is_enough() {
    let scene = Scene::new();
    let env = &scene.env;
    let mallory = Claims::github("mallory/fs", "release.yml", "refs/tags/v1.2.0");
    let other = scene.sigstore.sign_blob(&mallory, &scene.bytes);
    let stranger = Sigstore::seeded("stranger", scene.sigstore.from()).sign_blob(&claims(), &scene.bytes);
    let lines =
        |bundles: &[&str]| bundles.iter().map(|bundle| bundle.trim_end()).collect::<Vec<_>>().join("\n");
    env.write("all.jsonl", lines(&[&other, &stranger, &scene.blob()]));
    let whose = [&WHOSE[..], &["--bundle", "all.jsonl"]].concat();
    env.ok(&verify(&whose));
    env.write("all.jsonl", lines(&[&other, &stranger]));
    let ran = refused(env, "no one", &verify(&whose), 83, &["fs.capsule is not verified", "mallory/fs"]);
    assert!(ran.stdout.is_empty(), "{}", ran.shown());
}

#[test]
fn the_root_in_use_is_shown_and_chosen() {
    let env = TestEnv::new();
    astrid_snapshot!("root-show-builtin", env, ["trust", "root", "show"]);
    assert!(!env.home("").exists());
    let sigstore = Sigstore::default();
    env.write("root.json", sigstore.trusted_root());
    astrid_snapshot!("root-set", env, ["trust", "root", "set", "root.json"]);
    astrid_snapshot!("root-show", env, ["trust", "root", "show"]);
    let document = env.ok(&["trust", "root", "show", "--json"]).json();
    assert_eq!(document["root"]["source"], "home");
    assert_eq!(document["root"]["age_days"], 0);

    // One that was put there by hand counts, and nobody knows how old it is.
    let later = Sigstore::seeded("later", sigstore.from()).trusted_root();
    fs::write(env.home("trust/trusted_root.json"), later).unwrap();
    astrid_snapshot!("root-show-unrecorded", env, ["trust", "root", "show"]);
    astrid_snapshot!("root-reset", env, ["trust", "root", "reset"]);
    assert!(!env.home("trust/trusted_root.json").exists());
    let again = env.ok(&["trust", "root", "reset", "--json"]).json();
    assert_eq!(again["root"]["source"], "builtin");
}

#[test]
fn what_is_no_root_is_not_taken_denied() {
    let env = TestEnv::new();
    let good = Sigstore::default().trusted_root();
    env.write("root.json", &good);
    env.ok(&["trust", "root", "set", "root.json"]);
    env.write("garbage.json", "hello");
    env.write("empty.json", "");
    env.write("half.json", &good[..good.len() / 2]);
    env.write("bundle.json", Sigstore::default().sign_blob(&claims(), b"x"));
    env.write("large.json", vec![b' '; (4 << 20) + 1]);
    env.write("deep.json", "[".repeat(100_000));
    for (file, code) in [
        ("garbage.json", 65),
        ("empty.json", 65),
        ("half.json", 65),
        ("bundle.json", 65),
        ("large.json", 65),
        ("deep.json", 65),
        ("none.json", 1),
        (".", 65),
    ] {
        refused(&env, file, &["trust", "root", "set", file], code, &[]);
    }
}

#[test]
fn who_does_not_say_whose_it_must_be_is_told_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    env.write("fs.capsule.sigstore.json", scene.blob());
    let key = public(7);
    for (name, more, words) in [
        ("nobody", &[][..], "nobody says whose the artifact must be"),
        ("only an issuer", &["--certificate-oidc-issuer", GITHUB], "nobody says whose"),
        ("an identity of no issuer", &WHOSE[..2], "--certificate-oidc-issuer"),
        ("identity and key", &[WHOSE[0], WHOSE[1], WHOSE[2], WHOSE[3], "--key", &key], "cannot be used with"),
        (
            "identity and repository",
            &[WHOSE[0], WHOSE[1], WHOSE[2], WHOSE[3], "-R", "acme/fs"],
            "cannot be used",
        ),
        ("repository and key", &["-R", "acme/fs", "--key", &key], "cannot be used with"),
        ("a workflow of no repository", &["--signer-workflow", "x", "--key", &key], "--repo"),
        ("a ref of no repository", &["--source-ref", "x", "--key", &key], "--repo"),
        ("a builder of no statement", &["-R", "acme/fs", "--builder", BUILDER], "--predicate-type"),
        ("an issuer of a key", &["--key", &key, "--certificate-oidc-issuer", GITHUB], "--key"),
        ("the store", &["--store"], "cannot be used with"),
    ] {
        refused(env, name, &verify(more), 64, &[words]);
    }
    refused(env, "nothing", &["verify"], 64, &[]);
    for what in ["--store", "--fleet", "--lock"] {
        refused(env, "a key of no artifact", &["verify", what, "--key", &key], 64, &["cannot be used with"]);
        refused(env, "a root of no artifact", &["verify", what, "--trusted-root", "root.json"], 64, &[]);
    }
}

/// A fleet of a signed archive, a folder that nobody signed, and an archive that somebody else signed.
fn fleet() -> Scene {
    let scene = Scene::new();
    let env = &scene.env;
    let mallory = Claims::github("mallory/fs", "release.yml", "refs/tags/v1.2.0");
    env.write("good/fs.capsule", &scene.bytes);
    env.write("good/fs.capsule.sigstore.json", scene.attestation());
    env.capsule("src", "tasks", "1.0.0", "");
    env.ok(&["capsule", "build", "src", "-o", "bad"]);
    let packed = fs::read_dir(env.work("bad")).unwrap().next().unwrap().unwrap().path();
    fs::rename(packed, env.work("bad/tasks.capsule")).unwrap();
    let bytes = fs::read(env.work("bad/tasks.capsule")).unwrap();
    env.write("bad/tasks.capsule.sigstore.json", scene.sigstore.sign_blob(&mallory, &bytes));
    env.capsule("notes", "notes", "1.0.0", "");
    env.distro(
        "\n[[capsule]]\nname = \"fs\"\nsource = \"./good/fs.capsule\"\nversion = \"1.2.0\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n\n[[capsule]]\nname = \"tasks\"\nsource = \"./bad/tasks.capsule\"\nversion = \"1.0.0\"\n",
    );
    policy(env, RULES);
    scene
}

const RULES: &str = "[[policy.signer]]
match = [\"capsule:fs\"]
issuer = \"https://token.actions.githubusercontent.com\"
repository = \"acme/fs\"
workflow = \".github/workflows/release.yml\"
ref = \"refs/tags/v*\"
predicate = \"https://slsa.dev/provenance/v1\"

[[policy.signer]]
match = [\"capsule:tasks\"]
issuer = \"https://token.actions.githubusercontent.com\"
repository = \"acme/tasks\"
";

#[test]
fn a_policy_says_what_it_thinks_of_each_artifact() {
    let scene = fleet();
    let env = &scene.env;
    let ran = astrid_snapshot!("policy-check", env, ["policy", "check"]);
    assert_eq!(ran.code, 83, "{}", ran.shown());
    let ran = env.astrid(&["policy", "check", "--json"]);
    insta::assert_snapshot!("policy-check-json", env.filtered(&ran.stdout));
    assert_eq!(ran.code, 83, "{}", ran.shown());
    for name in ["fs", "notes", "tasks", "demo"] {
        let ran = astrid_snapshot!(format!("policy-explain-{name}"), env, ["policy", "explain", name]);
        assert_eq!(ran.code, 0, "{}", ran.shown());
    }
    let document = env.ok(&["policy", "explain", "capsule:tasks", "--json"]).json();
    assert_eq!(document["admitted"], false);
    assert_eq!(document["rule"], "etc/policy.toml:9");
    assert_eq!(env.astrid(&["policy", "explain", "nothing"]).code, 1);
    assert!(!env.work("Distro.lock").exists());
}

#[test]
fn a_policy_that_is_satisfied_says_so() {
    let scene = fleet();
    let env = &scene.env;
    policy(env, &RULES.replace("acme/tasks", "mallory/fs"));
    let ran = env.ok(&["policy", "check"]);
    assert!(!ran.stdout.contains("refused"), "{}", ran.shown());
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    // What was seen once is the least that is taken again.
    let ran = env.ok(&["policy", "explain", "fs"]);
    assert!(ran.stdout.contains("before     "), "{}", ran.shown());
}

#[test]
fn a_ceiling_is_a_refusal_of_its_own_denied() {
    let env = TestEnv::new();
    env.distro("\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\nversion = \"1.0.0\"\n");
    env.write(
        "tools/pack.yaml",
        "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\npermissions:\n  - id: network\n    reason: Calls an API\n    services: [api.example.org]\n",
    );
    policy(&env, "[policy.authority]\ndeny = [\"permission:network\"]\n");
    let ran = env.astrid(&["policy", "check"]);
    assert_eq!(ran.code, 85, "{}", ran.shown());
    assert!(ran.stderr.contains("permission:network"), "{}", ran.shown());
    // Who made it is told before what it may do.
    policy(
        &env,
        &format!(
            "[policy.authority]\ndeny = [\"permission:network\"]\n[[policy.signer]]\nmatch = [\"pack:tools\"]\nkey = \"{}\"\n",
            public(7)
        ),
    );
    assert_eq!(env.astrid(&["policy", "check"]).code, 83);
}

#[test]
fn a_demand_for_signatures_is_met_by_everything_or_told_denied() {
    let env = TestEnv::new();
    env.demo();
    policy(&env, "[policy]\nprovenance = \"required\"\n");
    let ran = astrid_snapshot!("policy-check-required", env, ["policy", "check"]);
    assert_eq!(ran.code, 83, "{}", ran.shown());
}

#[test]
fn the_rules_in_the_documentation_are_read() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/provenance.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    let env = TestEnv::new();
    env.demo();
    for block in blocks {
        policy(&env, block);
        // What is not a rule is an error; what the rules ask of this distro is another matter.
        assert!([0, 83].contains(&env.astrid(&["policy", "check"]).code));
    }
}
