//! Who made what: bundles that come with artifacts, rules about signers, and what a lock claims of both.

use astrid_authority::Digest;
use astrid_hermetic_sigstore::{Claims, Sigstore};
use astrid_manifest::signer::Signer;
use astrid_provenance::statement::{Statement, Subject, predicate};
use astrid_provenance::{SigningKey, envelope};
use astrid_resolver::context::Network;
use astrid_resolver::{Error, ErrorKind, Freshness, Request};

use crate::support::{Repo, Server, World, archive};

const RULE: &str = "[[policy.signer]]
match = [\"@acme/*\"]
issuer = \"https://token.actions.githubusercontent.com\"
repository = \"acme/tools\"
workflow = \".github/workflows/release.yml\"
ref = \"refs/tags/v*\"
";

fn claims() -> Claims {
    Claims::github("acme/tools", "release.yml", "refs/tags/v1.0.0")
}

/// A home that believes the hermetic Sigstore, and a server with one release.
struct Release {
    world: World,
    server: Server,
    sigstore: Sigstore,
    archive: Vec<u8>,
}

impl Release {
    fn new(policy: &str) -> Self {
        let mut world = World::new();
        let sigstore = Sigstore::default();
        std::fs::write(world.context.home.trust().join("trusted_root.json"), sigstore.trusted_root())
            .unwrap();
        world.home_policy(policy);
        // Answers are remembered only where the home has a key.
        world
            .context
            .home
            .ensure_key(world.context.store.disk(), &mut |bytes| {
                bytes.fill(7);
                Ok(())
            })
            .unwrap();
        let server = Server::start();
        world.context.endpoints.release_api.clone_from(&server.base);
        world.distro("[[capsule]]\nname = \"fs\"\nsource = \"@acme/tools\"\ntag = \"v1.0.0\"\n");
        let release = Self { world, server, sigstore, archive: archive("fs", "1.0.0", "") };
        release.offers(&["fs.capsule"]);
        release.server.answer("/assets/fs.capsule", release.archive.clone());
        release
    }

    fn offers(&self, names: &[&str]) {
        let assets: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({ "name": name, "size": 10, "url": format!("{}/assets/{name}", self.server.base) }))
            .collect();
        let release = serde_json::json!({ "tag_name": "v1.0.0", "assets": assets });
        self.server.answer("/repos/acme/tools/releases/tags/v1.0.0", serde_json::to_vec(&release).unwrap());
    }

    fn signed_with(self, bundle: impl Into<Vec<u8>>) -> Self {
        self.offers(&["fs.capsule", "fs.capsule.sigstore.json"]);
        self.server.answer("/assets/fs.capsule.sigstore.json", bundle.into());
        self
    }

    fn signed_by(self, claims: &Claims) -> Self {
        let bundle = self.sigstore.sign_blob(claims, &self.archive);
        self.signed_with(bundle)
    }

    fn refusal(&self) -> Error {
        let refused = self.world.lock().expect_err("it was taken");
        assert!(!self.world.path("fleet/Distro.lock").exists());
        refused
    }
}

#[track_caller]
fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = format!("{error}\n{}", error.next_step().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
}

#[test]
fn a_signed_release_is_locked_with_its_signer() {
    let mut release = Release::new(RULE).signed_by(&claims());
    let fleet = release.world.lock().unwrap();
    let locked = &fleet.lock().capsules[0];
    assert_eq!(
        locked.signer,
        Signer::Ci {
            issuer: "https://token.actions.githubusercontent.com".to_owned(),
            repository: "acme/tools".to_owned(),
            workflow: ".github/workflows/release.yml".to_owned(),
        }
    );
    assert_eq!(locked.archive, Some(Digest::of(&release.archive)));
    assert!(locked.bundle.is_some());
    // Offline, nothing is asked and everything is proved again.
    let asked = release.server.asked();
    release.world.context.network = Network::Offline;
    for freshness in [Freshness::StatCache, Freshness::Hash] {
        let again = release.world.verified_with(&Request::default(), freshness).unwrap();
        assert_eq!(again.lock(), fleet.lock());
    }
    assert_eq!(release.server.asked(), asked);
}

#[test]
fn several_bundles_are_tried_in_turn() {
    let release = Release::new(RULE);
    let stranger = Claims::github("evil/tools", "release.yml", "refs/tags/v1.0.0");
    let lines = [&stranger, &claims()].map(|claims| release.sigstore.sign_blob(claims, &release.archive));
    let release = release.signed_with(lines.map(|line| line.replace('\n', "")).join("\n"));
    assert!(release.world.lock().is_ok());
}

#[test]
fn what_is_remote_and_unsigned_is_refused_denied() {
    says(
        &Release::new("").refusal(),
        ErrorKind::Signature,
        &["capsule:fs is remote and not signed", "if-present"],
    );
    let lax = Release::new("[policy]\nprovenance = \"if-present\"\n");
    assert!(lax.world.lock().unwrap().lock().capsules[0].signer.is_unsigned());
}

#[test]
fn what_a_rule_names_must_be_signed_denied() {
    let release = Release::new(&format!("[policy]\nprovenance = \"if-present\"\n{RULE}"));
    says(&release.refusal(), ErrorKind::Signature, &["is not signed", "etc/policy.toml:3"]);
}

#[test]
fn a_valid_signature_by_anyone_is_no_authorization_denied() {
    let release = Release::new("").signed_by(&claims());
    let refused = release.refusal();
    says(&refused, ErrorKind::Signature, &["acme/tools", "[[policy.signer]]", "etc/policy.toml"]);
    // The rule that is printed is the rule that is missing.
    let rule: Vec<&str> = refused.reasons().iter().filter_map(|line| line.strip_prefix("  ")).collect();
    release.world.home_policy(&rule.join("\n"));
    assert!(release.world.lock().is_ok(), "{}", rule.join("\n"));
}

#[test]
fn other_signers_than_the_rule_names_are_refused_denied() {
    let issuer = "https://accounts.example.org";
    for (what, other, word) in [
        ("repository", Claims::github("evil/tools", "release.yml", "refs/tags/v1.0.0"), "acme/tools"),
        ("workflow", Claims::github("acme/tools", "test.yml", "refs/tags/v1.0.0"), "release.yml"),
        ("branch", Claims::github("acme/tools", "release.yml", "refs/heads/main"), "refs/tags/v*"),
        ("person", Claims::person("ada@example.org", issuer), issuer),
    ] {
        let refused = Release::new(RULE).signed_by(&other).refusal();
        says(&refused, ErrorKind::Signature, &["refused by the rule at etc/policy.toml:1", word]);
        assert!(!refused.reasons().is_empty(), "{what}");
    }
}

#[test]
fn signatures_over_other_bytes_are_refused_denied() {
    let release = Release::new(RULE);
    let other = release.sigstore.sign_blob(&claims(), &archive("fs", "1.0.1", ""));
    says(&release.signed_with(other).refusal(), ErrorKind::Signature, &["capsule:fs"]);
}

#[test]
fn another_sigstore_is_not_believed_denied() {
    let release = Release::new(RULE);
    let other = Sigstore::seeded("other", release.sigstore.from());
    let bundle = other.sign_blob(&claims(), &release.archive);
    says(&release.signed_with(bundle).refusal(), ErrorKind::Signature, &[]);
    let release = Release::new(RULE).signed_by(&claims());
    std::fs::remove_file(release.world.context.home.trust().join("trusted_root.json")).unwrap();
    says(&release.refusal(), ErrorKind::Signature, &[]);
}

#[test]
fn what_is_no_bundle_is_refused_denied() {
    for bytes in ["", "{}", "[]", "hello", "{\"mediaType\":\"application/json\"}"] {
        let refused = Release::new("[policy]\nprovenance = \"if-present\"\n").signed_with(bytes).refusal();
        says(&refused, ErrorKind::Invalid, &["capsule:fs"]);
    }
}

#[test]
fn a_lock_does_not_say_who_signed_denied() {
    let release = Release::new(RULE).signed_by(&claims());
    release.world.lock().unwrap();
    let text = release.world.lock_text();
    let forged = text.replace("repository = \"acme/tools\"", "repository = \"acme/other\"");
    assert_ne!(forged, text);
    release.world.write("fleet/Distro.lock", &forged);
    for freshness in [Freshness::StatCache, Freshness::Hash] {
        let refused = release.world.verified_with(&Request::default(), freshness).unwrap_err();
        says(&refused, ErrorKind::Signature, &["Distro.lock says"]);
    }
    // Nor that nobody had to.
    let lines = text.lines().filter(|line| !line.starts_with("bundle = "));
    let stripped: Vec<&str> = lines
        .map(|line| if line.starts_with("signer = ") { "signer = \"unsigned\"" } else { line })
        .collect();
    release.world.write("fleet/Distro.lock", stripped.join("\n") + "\n");
    for freshness in [Freshness::StatCache, Freshness::Hash] {
        let refused = release.world.verified_with(&Request::default(), freshness).unwrap_err();
        says(&refused, ErrorKind::Signature, &["not signed"]);
    }
}

#[test]
fn a_remembered_answer_is_the_homes_own_denied() {
    let release = Release::new(RULE).signed_by(&claims());
    release.world.lock().unwrap();
    let path = release.world.context.home.var().join("verified-signatures");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("acme/tools", "evil/tools")).unwrap();
    let fleet = release.world.verified_with(&Request::default(), Freshness::StatCache).unwrap();
    assert!(fleet.lock().capsules[0].signer.to_string().contains("acme/tools"));
    // A changed rule asks again, with the same bytes.
    release.world.home_policy(&RULE.replace("release.yml", "other.yml"));
    let refused = release.world.verified_with(&Request::default(), Freshness::StatCache).unwrap_err();
    says(&refused, ErrorKind::Signature, &["other.yml"]);
}

#[test]
fn a_distros_own_rules_count_only_when_its_origin_is_believed_denied() {
    let release = Release::new("").signed_by(&claims());
    let text = std::fs::read_to_string(release.world.path("fleet/Distro.toml")).unwrap();
    release.world.write("fleet/Distro.toml", format!("{text}\n{RULE}"));
    says(&release.refusal(), ErrorKind::Signature, &["no rule says that they may"]);
    let folder = std::fs::canonicalize(release.world.path("fleet")).unwrap();
    release.world.home_policy(&format!("[[believe]]\norigin = \"{}\"\n", folder.display()));
    assert!(release.world.lock().is_ok());
    // Where the home has a rule of its own, the distro's does not count.
    let strict = RULE.replace("acme/tools", "acme/strict");
    release.world.home_policy(&format!("[[believe]]\norigin = \"{}\"\n{strict}", folder.display()));
    says(&release.world.verified().unwrap_err(), ErrorKind::Signature, &["acme/strict"]);
}

#[test]
fn a_root_that_is_too_old_verifies_nothing_denied() {
    let policy = format!("[trusted-root]\nfail-after = \"30d\"\n{RULE}");
    let release = Release::new(&policy).signed_by(&claims());
    says(&release.refusal(), ErrorKind::Signature, &["how old the trusted root is"]);
    std::fs::remove_file(release.world.context.home.trust().join("trusted_root.json")).unwrap();
    says(&release.refusal(), ErrorKind::Signature, &["days old", "fail-after"]);
}

#[test]
fn the_age_of_a_release_is_the_logs_word() {
    // The clock of the test is ten years after the signature.
    let release = Release::new(&format!("[policy]\nmin-age = \"3d\"\n{RULE}")).signed_by(&claims());
    assert!(release.world.lock().is_ok());
    let mut young = Release::new(&format!("[policy]\nmin-age = \"3d\"\n{RULE}")).signed_by(&claims());
    let signed = young.sigstore.today();
    *young.world.clock.0.lock().unwrap() = signed + jiff::SignedDuration::from_hours(24);
    let refused = young.world.lock().unwrap_err();
    says(&refused, ErrorKind::Policy, &["min-age"]);
    young.world.context.network = Network::Online;
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&zeroize::Zeroizing::new([byte; 32]))
}

/// A bundle over the listing of a folder's capsule, as `astrid sign` makes it.
fn listing_of(world: &World, folder: &str, file: &str) -> Vec<u8> {
    let filter = astrid_store::read::Filter::capsule(Some(file)).unwrap();
    let folder = world.path(folder);
    let tree =
        astrid_store::read::hash_dir(&folder, &filter, &astrid_store::tree::Limits::default(), None).unwrap();
    tree.encode()
}

fn by_key(key: &SigningKey, name: &str, bytes: &[u8]) -> String {
    let statement =
        Statement::new(vec![Subject::of(name, bytes)], &predicate("artifact"), serde_json::json!({}));
    envelope::sign(&statement, key).unwrap()
}

#[test]
fn a_folder_is_signed_over_its_listing() {
    let world = World::new();
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    world.distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    let bundle = by_key(&key(7), "fs", &listing_of(&world, "fleet/fs", "fs.wasm"));
    world.write("fleet/fs/.astrid/provenance.sigstore.json", &bundle);
    let fleet = world.lock().unwrap();
    let locked = &fleet.lock().capsules[0];
    assert_eq!(locked.signer, Signer::Key(key(7).public().to_string()));
    assert_eq!(locked.provenance, None);
    // Other bytes under the same signature.
    world.write("fleet/fs/fs.wasm", b"\0asm\x0d\0\x01\0\0\x01\0");
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["capsule:fs"]);
    // A rule may name the key.
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    let rule = |key: &SigningKey| {
        format!("[[policy.signer]]\nmatch = [\"capsule:fs\"]\nkey = \"{}\"\n", key.public())
    };
    world.home_policy(&rule(&key(7)));
    assert!(world.verified().is_ok());
    world.home_policy(&rule(&key(8)));
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["refused by the rule"]);
}

#[test]
fn a_commit_carries_its_bundle() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.capsule("capsules/fs", "fs", "1.0.0", "");
    let bundle = by_key(&key(7), "fs", &listing_of(&world, "repo/capsules/fs", "fs.wasm"));
    world.write("repo/capsules/fs/.astrid/provenance.sigstore.json", &bundle);
    repo.commit("1.0.0");
    repo.tag("v1.0.0");
    let entry = format!(
        "[[capsule]]\nname = \"fs\"\nsource = \"{}?path=capsules/fs\"\nversion = \"1.0.0\"\n",
        repo.url()
    );
    world.distro(&entry);
    let fleet = world.lock().unwrap();
    assert_eq!(fleet.lock().capsules[0].signer, Signer::Key(key(7).public().to_string()));
}

/// A distro with a lock, and the bundle over both by a key.
fn signed_distro(world: &World, by: &SigningKey, named: &SigningKey) {
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    world.distro(&format!(
        "[distro.signing]\npubkey = \"{}\"\n\n[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n",
        named.public()
    ));
    world.lock().unwrap();
    let read = |name: &str| std::fs::read(world.path(&format!("fleet/{name}"))).unwrap();
    let subjects = ["Distro.toml", "Distro.lock"].map(|name| Subject::of(name, &read(name)));
    let statement = Statement::new(subjects.to_vec(), &predicate("distro"), serde_json::json!({}));
    world.write("fleet/Distro.sigstore.json", envelope::sign(&statement, by).unwrap());
}

#[test]
fn a_distro_is_signed_by_the_key_that_it_names() {
    let world = World::new();
    signed_distro(&world, &key(7), &key(7));
    let fleet = world.verified().unwrap();
    assert_eq!(fleet.proof().signer, Signer::Key(key(7).public().to_string()));
    // At work on it, the signature is stale: that is told, and counts as none.
    world.write("fleet/Distro.lock", world.lock_text() + "\n");
    let fleet = world.verified().unwrap();
    assert!(fleet.proof().signer.is_unsigned());
    assert!(fleet.warnings().iter().any(|warning| warning.contains("sign again")), "{:?}", fleet.warnings());
}

#[test]
fn a_distro_signed_by_another_key_is_refused_denied() {
    let world = World::new();
    signed_distro(&world, &key(8), &key(7));
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["distro:demo"]);
    let world = World::new();
    signed_distro(&world, &key(7), &key(7));
    world.home_policy(&format!("[[policy.signer]]\nmatch = [\"distro:*\"]\nkey = \"{}\"\n", key(8).public()));
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["distro:demo"]);
    std::fs::remove_file(world.path("fleet/Distro.sigstore.json")).unwrap();
    says(&world.verified().unwrap_err(), ErrorKind::Signature, &["is not signed", "etc/policy.toml:1"]);
}
