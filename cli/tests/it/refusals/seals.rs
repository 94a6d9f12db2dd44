//! `.shuttle` files by somebody else than it must be, and what a bundle says about itself.

use std::fs;

use astrid_authority::Digest;
use astrid_hermetic_sigstore::Sigstore;

use super::case::{APPLY, RULE};
use super::parts::Parts;
use super::release::Release;
use super::scene::{Leaves, Scene, claims, policy, public, refused, refused_but};
use super::shuttles::{ENTRIES, READS, VERBS, check, sealed};
use crate::env::TestEnv;

#[test]
fn seals_by_somebody_else_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = parts.clone();
        change(&mut parts);
        parts
    };
    let other = changed(&|parts| {
        parts.sealed(8);
    });
    check(env, "another key", &other.pack(), 83, "key");
    let mut claimed = other.clone();
    let text = claimed.text("bundle.sigstore.json").replace(&public(8), &public(7));
    claimed.set("bundle.sigstore.json", text);
    check(env, "another key under that name", &claimed.pack(), 83, "not by the key");
    let mut flipped = parts.clone();
    let text = super::edits::flipped(&flipped.text("bundle.sigstore.json"), "/dsseEnvelope/signatures/0/sig");
    flipped.set("bundle.sigstore.json", text);
    check(env, "a flipped signature", &flipped.pack(), 83, "not by the key");
    let mut garbage = parts.clone();
    garbage.set("bundle.sigstore.json", "hello");
    check(env, "a signature that is none", &garbage.pack(), 65, "");
    // A signature of that key over something else.
    let mut other = parts.clone();
    other.sealed_with(7, |predicate| predicate["distro"]["version"] = "0.3.0".into());
    let mut mixed = parts.clone();
    mixed.set("bundle.sigstore.json", other.get("bundle.sigstore.json"));
    check(env, "a signature of another statement", &mixed.pack(), 83, "");
    check(env, "a statement of another version", &other.pack(), 65, "is about demo 0.3.0");
    mixed
        .set("bundle.json", other.get("bundle.json"))
        .set("bundle.sigstore.json", parts.get("bundle.sigstore.json"));
    check(env, "a statement of another bundle", &mixed.pack(), 65, "is about demo 0.3.0");
    let mut none = parts.clone();
    none.remove("bundle.sigstore.json");
    for verb in [VERBS[0], VERBS[2], VERBS[3]] {
        env.write("bad.shuttle", none.pack());
        let arguments = [verb, &["./bad.shuttle"]].concat();
        refused(env, "unsigned", &arguments, 83, &["not signed", "--allow-unsigned"]);
    }
    env.ok(&["distro", "verify", "./bad.shuttle", "--allow-unsigned"]);

    // The home has the last word.
    let rule = |key: u8| format!("[[policy.signer]]\nmatch = [\"distro:demo\"]\nkey = \"{}\"\n", public(key));
    policy(env, &rule(8));
    check(env, "a key that the home does not name", &parts.pack(), 83, "");
    policy(env, &rule(7));
    env.write("bad.shuttle", none.pack());
    for verb in [VERBS[2], VERBS[3]] {
        let arguments = [verb, &["--allow-unsigned", "./bad.shuttle"]].concat();
        refused(env, "unsigned, where the home names a key", &arguments, 83, &["distro:demo is not signed"]);
    }
    let verify = ["distro", "verify", "./bad.shuttle", "--allow-unsigned"];
    refused(env, "unsigned, where the home names a key, by verify", &verify, 83, &["distro:demo"]);
}

/// A home that applied version 0.2.0, sealed by the key 7, from a bundle.
fn pinned() -> (Scene, Parts) {
    let (scene, mut parts) = sealed();
    version(&mut parts, "0.2.0");
    scene.env.write("two.shuttle", parts.sealed(7).pack());
    scene.env.ok(&[&APPLY[..], &["./two.shuttle"]].concat());
    (scene, parts)
}

/// Makes the bundle one of another version.
fn version(parts: &mut Parts, version: &str) {
    let text = parts.text("Distro.toml");
    let old = text.lines().find(|line| line.starts_with("version = ")).unwrap();
    let new = text.replacen(old, &format!("version = \"{version}\""), 1);
    parts.set("Distro.toml", new).relocked();
    let version = version.to_owned();
    parts.sealed_with(7, move |predicate| predicate["distro"]["version"] = version.into());
}

#[test]
fn what_a_home_has_seen_is_the_least_that_it_takes_denied() {
    let (scene, parts) = pinned();
    let env = &scene.env;
    let next = |number: u8, change: &dyn Fn(&mut Parts)| {
        let mut parts = parts.clone();
        version(&mut parts, "0.3.0");
        change(&mut parts);
        parts.sealed_with(number, |predicate| predicate["distro"]["version"] = "0.3.0".into());
        parts
    };
    // The signature of the capsule is verified, and that is remembered.
    let refused = |env: &TestEnv, name: &str, arguments: &[&str], code: i32, says: &[&str]| {
        refused_but(env, name, arguments, Leaves::Notes, code, says);
    };
    let apply = |more: &[&'static str]| [&APPLY[..], more, &["./bad.shuttle"]].concat();
    let renamed = next(8, &|parts| {
        let text = parts.text("Distro.toml").replace(&public(7), &public(8));
        parts.set("Distro.toml", text).relocked();
    });
    env.write("bad.shuttle", renamed.pack());
    refused(env, "a new key", &apply(&[]), 83, &["was signed by", "--accept-new-key"]);
    refused(
        env,
        "a new key with another flag",
        &apply(&["--allow-unsigned", "--allow-downgrade"]),
        83,
        &["--accept-new-key"],
    );
    let mut unsigned = next(7, &|_| ());
    unsigned.remove("bundle.sigstore.json");
    env.write("bad.shuttle", unsigned.pack());
    refused(env, "unsigned", &apply(&[]), 83, &["is not signed now"]);
    let says = ["is not signed now", "`--allow-unsigned` does not allow it"];
    refused(env, "unsigned with --allow-unsigned", &apply(&["--allow-unsigned"]), 83, &says);
    refused(
        env,
        "unsigned with every flag",
        &apply(&["--allow-unsigned", "--accept-new-key", "--allow-downgrade", "--replace-distro"]),
        83,
        &says,
    );
    let mut older = parts.clone();
    version(&mut older, "0.1.9");
    env.write("bad.shuttle", older.pack());
    refused(env, "an older version", &apply(&[]), 85, &["is older than 0.2.0", "--allow-downgrade"]);
    refused(
        env,
        "an older version with other flags",
        &apply(&["--allow-unsigned", "--accept-new-key"]),
        85,
        &["--allow-downgrade"],
    );
    refused(
        env,
        "an older version as an update",
        &["distro", "update", "--yes", "--trust", "--no-boot", "./bad.shuttle"],
        85,
        &["0.2.0 is applied, and the bundle is of 0.1.9"],
    );
    env.write("good.shuttle", next(7, &|_| ()).pack());
    env.ok(&[&APPLY[..], &["./good.shuttle"]].concat());
}

#[test]
fn what_a_bundle_says_about_itself_has_no_effect_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    // Its own root: signed by a Sigstore of its own, which only the root inside vouches for.
    let mut own = parts.clone();
    let text =
        own.text("Distro.toml").replace(&format!("\n[distro.signing]\npubkey = \"{}\"\n", public(7)), "");
    own.set("Distro.toml", text).set("trusted_root.json", scene.sigstore.trusted_root());
    own.relocked().sealed(7);
    let statement = own.text("bundle.json");
    own.set("bundle.sigstore.json", scene.sigstore.sign_statement(&claims(), &statement));
    check(env, "a root of its own", &own.pack(), 83, "");
    // The same, where the home believes that Sigstore: it is the home's root that counts.
    env.write("root.json", scene.sigstore.trusted_root());
    env.ok(&["trust", "root", "set", "root.json"]);
    policy(
        env,
        "[[policy.signer]]\nmatch = [\"distro:demo\"]\nissuer = \"https://token.actions.githubusercontent.com\"\nrepository = \"acme/fs\"\n",
    );
    env.write("own.shuttle", own.pack());
    env.ok(&["distro", "verify", "own.shuttle"]);
    let other = Sigstore::seeded("mallory", scene.sigstore.from());
    env.write("root.json", other.trusted_root());
    env.ok(&["trust", "root", "set", "root.json"]);
    check(env, "a root that the home had before", &own.pack(), 83, "");
    fs::remove_dir_all(env.home("")).unwrap();

    // Its own policy about who may sign what is in it.
    let mut own = parts.clone();
    let rule = format!("\n[[policy.signer]]\nmatch = [\"capsule:*\"]\nkey = \"{}\"\n", public(7));
    let text = own.text("Distro.toml") + &rule;
    own.set("Distro.toml", text).relocked().sealed(7);
    policy(env, &format!("[[policy.signer]]\nmatch = [\"capsule:fs\"]\nkey = \"{}\"\n", public(8)));
    check(env, "a policy of its own", &own.pack(), 83, "capsule:fs");
    fs::remove_dir_all(env.home("")).unwrap();

    // Its own acknowledgements.
    let ack = acknowledged(&parts);
    let mut own = parts.clone();
    let first =
        ["signatures/", "archives/", "blobs/"].iter().find_map(|folder| own.below(folder).first().cloned());
    own.insert(&first.unwrap(), "trust/pack-tools.toml", ack).sealed(7);
    env.write("bad.shuttle", own.pack());
    for verb in ["apply", "init"] {
        let arguments = [verb, "--yes", "--no-boot", "./bad.shuttle"];
        refused(env, "acknowledgements of its own", &arguments, 82, &["pack:tools"]);
    }
}

/// An acknowledgement of the pack in a bundle that says what its lock says.
fn acknowledged(parts: &Parts) -> String {
    let lock = astrid_manifest::Lock::parse("Distro.lock", &parts.text("Distro.lock")).unwrap().value;
    let pack = &lock.packs[0];
    format!(
        "[[ack]]\nsubject = \"pack:{}\"\nversion = \"{}\"\ncontent = \"{}\"\nauthority = \"{}\"\nsigner = \"unsigned\"\nby = \"Ada <ada@example.org>\"\nat = 2026-11-20T12:00:00Z\n",
        pack.id, pack.version, pack.content, pack.authority
    )
}

#[test]
fn what_a_lax_home_sealed_is_not_taken_by_a_strict_one_denied() {
    let release = Release::new();
    let env = &release.scene.env;
    policy(env, "[policy]\nprovenance = \"if-present\"\n");
    let seal = ["distro", "seal", "-o", "lax.shuttle", "--key", "./release.key"];
    let ran = release.run(&seal).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    fs::remove_dir_all(env.home("")).unwrap();
    let sealer = format!("[[policy.signer]]\nmatch = [\"distro:demo\"]\nkey = \"{}\"\n", public(7));
    policy(env, &sealer);
    let bytes = fs::read(env.work("lax.shuttle")).unwrap();
    let says = "capsule:fs is remote and not signed";
    check(env, "unsigned in a signed bundle", &bytes, 83, says);
    release.offers(Some(&release.scene.blob()));
    env.write("root.json", release.scene.sigstore.trusted_root());
    env.ok(&["trust", "root", "set", "root.json"]);
    policy(env, RULE);
    let ran = release.run(&seal).go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    fs::remove_dir_all(env.home("")).unwrap();
    policy(env, &sealer);
    let bytes = fs::read(env.work("lax.shuttle")).unwrap();
    check(env, "signed by whom no rule of this home names", &bytes, 83, "capsule:fs");
}

#[test]
fn a_difference_without_its_base_is_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    env.capsule("notes", "notes", "1.0.0", READS);
    env.write("tools/pack.yaml", "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\n");
    env.distro(&format!("\n[distro.signing]\npubkey = \"{}\"\n{ENTRIES}", public(7)));
    env.ok(&["lock"]);
    fs::rename(env.work("Distro.lock"), env.work("first.lock")).unwrap();
    env.write("tools/bin/more", "#!/bin/sh\nexit\n");
    env.ok(&["lock"]);
    env.ok(&["distro", "seal", "-o", "part.shuttle", "--key", "./release.key", "--since", "first.lock"]);
    env.ok(&["distro", "verify", "part.shuttle"]);
    let bytes = fs::read(env.work("part.shuttle")).unwrap();
    fs::remove_dir_all(env.home("")).unwrap();
    check(env, "a difference without its base", &bytes, 84, "leaves out");
    // Sealed as if it were whole, it lacks what it leaves out.
    let mut whole = Parts::of(&bytes);
    whole.sealed_with(7, |predicate| predicate["since"] = serde_json::Value::Null);
    check(env, "a difference that claims to be whole", &whole.pack(), 65, "lacks");
}

/// A bundle of version 1 of one capsule, signed by a key.
fn earlier(env: &TestEnv) -> Parts {
    let archive = fs::read(env.work("fs.capsule")).unwrap();
    env.distro(&format!(
        "\n[distro.signing]\npubkey = \"{}\"\n\n[[capsule]]\nname = \"fs\"\nsource = \"@org/fs\"\nversion = \"1.2.0\"\n",
        public(7)
    ));
    let declaration = env.read("Distro.toml");
    fs::remove_file(env.work("Distro.toml")).unwrap();
    let (hash, own) = (Digest::of(&archive), Digest::of(declaration.as_bytes()));
    let at = "1970-01-01T00:00:00+00:00";
    let lock = format!(
        "schema-version = 1\nmanifest-hash = \"{own}\"\n\n[distro]\nid = \"demo\"\nversion = \"0.1.0\"\nresolved-at = \"{at}\"\n\n[[capsule]]\nname = \"fs\"\nversion = \"1.2.0\"\nsource = \"@org/fs\"\nhash = \"{hash}\"\nresolved_ref = \"v1.2.0\"\n"
    );
    let json = format!(
        r#"{{"schema-version":1,"distro":{{"id":"demo","version":"0.1.0","resolved-at":"{at}"}},"capsule":[{{"name":"fs","version":"1.2.0","source":"@org/fs","hash":"{hash}","resolved_ref":"v1.2.0"}}],"manifest-hash":"{own}"}}"#
    );
    let signed = Digest::of(&[b"astrid-distro-lock-sig-v1\0", json.as_bytes()].concat());
    let signature: String = super::scene::key(7)
        .sign(signed.as_bytes())
        .chunks(32)
        .map(|half| Digest::from_bytes(half.try_into().unwrap()).hex())
        .collect();
    Parts(vec![
        ("Distro.lock".to_owned(), lock.into_bytes()),
        ("Distro.sig".to_owned(), signature.into_bytes()),
        ("Distro.toml".to_owned(), declaration.into_bytes()),
        ("capsules/fs.capsule".to_owned(), archive),
    ])
}

#[test]
fn bundles_of_version_1_that_were_changed_are_denied() {
    let scene = Scene::new();
    let env = &scene.env;
    let parts = earlier(env);
    fs::remove_dir_all(env.home("")).unwrap();
    env.write("good.shuttle", parts.pack());
    env.ok(&["distro", "verify", "good.shuttle"]);
    env.ok(&["plan", "./good.shuttle"]);
    let changed = |path: &str, from: &str, to: &str| {
        let mut parts = parts.clone();
        let text = parts.text(path).replacen(from, to, 1);
        assert_ne!(text, parts.text(path), "{path}");
        parts.set(path, text);
        parts.pack()
    };
    check(env, "old: another source", &changed("Distro.lock", "@org", "@bad"), 83, "Distro.sig");
    check(env, "old: another ref", &changed("Distro.lock", "v1.2.0", "v1.2.1"), 83, "Distro.sig");
    check(
        env,
        "old: another declaration",
        &changed("Distro.toml", "name = \"Demo\"", "name = \"Dame\""),
        84,
        "",
    );
    check(env, "old: another key", &changed("Distro.toml", &public(7), &public(8)), 84, "");
    let mut other = parts.clone();
    let mut signature = parts.text("Distro.sig");
    let digit = if signature.starts_with('0') { "1" } else { "0" };
    signature.replace_range(..1, digit);
    other.set("Distro.sig", signature);
    check(env, "old: a flipped signature", &other.pack(), 83, "Distro.sig");
    other.set("Distro.sig", "hello");
    check(env, "old: a signature that is none", &other.pack(), 65, "");
    let mut other = parts.clone();
    let mut bytes = parts.get("capsules/fs.capsule").to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    other.set("capsules/fs.capsule", bytes);
    check(env, "old: another archive", &other.pack(), 65, "capsules/fs.capsule");
    let mut other = parts.clone();
    other.remove("capsules/fs.capsule");
    check(env, "old: an archive missing", &other.pack(), 65, "");
    let mut other = parts.clone();
    other.0.push(("capsules/more.capsule".to_owned(), parts.get("capsules/fs.capsule").to_vec()));
    check(env, "old: an archive too many", &other.pack(), 65, "");
    let mut other = parts.clone();
    other.remove("Distro.sig");
    env.write("bad.shuttle", other.pack());
    for verb in [VERBS[0], VERBS[2], VERBS[3]] {
        let arguments = [verb, &["./bad.shuttle"]].concat();
        refused(env, "old: unsigned", &arguments, 83, &["not signed"]);
    }
}
