//! `distro seal`, `inspect`, `verify` and `show`: by what they print, what they write, and how they end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use astrid_provenance::SigningKey;
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use crate::env::{Ran, TestEnv, astrid_snapshot};

const READS: &str = "\n[capabilities]\nfs_read = [\"cwd://notes\"]\n";

fn private(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn public(byte: u8) -> String {
    SigningKey::from_bytes(&[byte; 32].into()).public().to_string()
}

const ENTRIES: &str = "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\nversion = \"1.0.0\"\n";

/// A distro of a capsule and a pack, and the keys `release.key` and `other.key`.
fn env() -> TestEnv {
    let env = TestEnv::new();
    private(&env.work("release.key"), &[7; 32]);
    private(&env.work("other.key"), &[8; 32]);
    env.capsule("notes", "notes", "1.0.0", READS);
    env.write(
        "tools/pack.yaml",
        "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\npermissions:\n  - id: network\n    reason: Calls an API\n    services: [api.example.org]\n",
    );
    env.write("tools/bin/run", "#!/bin/sh\n");
    named(&env, ENTRIES);
    env
}

/// A distro that only the key 7 signs.
fn named(env: &TestEnv, entries: &str) {
    env.distro(&format!("\n[distro.signing]\npubkey = \"{}\"\n{entries}", public(7)));
}

fn policy(env: &TestEnv, text: &str) {
    fs::create_dir_all(env.home("etc")).unwrap();
    fs::write(env.home("etc/policy.toml"), text).unwrap();
}

fn refused(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, code, "{}", ran.shown());
    assert!(ran.stderr.contains(words), "{}", ran.shown());
}

/// Unpacks a bundle, changes its tar, and packs it again.
fn changed(env: &TestEnv, from: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut tar = Vec::new();
    GzDecoder::new(fs::read(env.work(from)).unwrap().as_slice()).read_to_end(&mut tar).unwrap();
    change(&mut tar);
    let mut out = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::new(6));
    out.write_all(&tar).unwrap();
    env.write(to, out.finish().unwrap());
}

fn replace(tar: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = tar.windows(from.len()).position(|window| window == from).unwrap();
    tar[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn a_distro_is_sealed_and_looked_at() {
    let env = env();
    let ran = env.ok(&["distro", "seal", "-o", "demo.shuttle", "--key", "./release.key"]);
    assert!(ran.stdout.contains(&format!("signer  key {}", public(7))), "{}", ran.shown());
    fs::rename(env.home(""), env.path("elsewhere")).unwrap();
    astrid_snapshot!("bundles-verify", env, ["distro", "verify", "demo.shuttle"]);
    astrid_snapshot!("bundles-inspect", env, ["distro", "inspect", "demo.shuttle"]);
    astrid_snapshot!("bundles-show", env, ["distro", "show", "demo.shuttle"]);
    // Who only looks leaves no trace.
    assert!(!env.home("").exists());

    let document = env.ok(&["distro", "inspect", "demo.shuttle", "--json"]).json();
    assert_eq!(document["signature"]["signer"]["key"], public(7));
    assert_eq!(document["capsules"][0]["name"], "notes");
    assert_eq!(document["packs"][0]["permissions"][0]["id"], "network");
    let shown = env.ok(&["distro", "show", "demo.shuttle", "--json"]).json();
    assert_eq!(shown["declaration"], env.read("Distro.toml"));
    assert_eq!(shown["digest"], document["digest"]);
}

#[test]
fn the_same_distro_gives_the_same_bytes() {
    let (one, two) = (env(), env());
    for env in [&one, &two] {
        env.ok(&["distro", "seal", "-o", "demo.shuttle", "--key", "./release.key"]);
    }
    let bytes = fs::read(one.work("demo.shuttle")).unwrap();
    assert_eq!(bytes, fs::read(two.work("demo.shuttle")).unwrap());
    one.ok(&["distro", "seal", ".", "-o", "again.shuttle", "--sign", "key", "--key", "./release.key"]);
    assert_eq!(bytes, fs::read(one.work("again.shuttle")).unwrap());
    // What the lock says stays the lock's.
    one.ok(&["lock"]);
    one.ok(&["distro", "seal", "-o", "locked.shuttle", "--key", "./release.key", "--frozen"]);
    assert_eq!(bytes, fs::read(one.work("locked.shuttle")).unwrap());
}

#[test]
fn archives_and_indexes_are_sealed_too() {
    let env = TestEnv::new();
    private(&env.work("release.key"), &[7; 32]);
    env.capsule("src/notes", "notes", "1.0.0", READS);
    env.ok(&["capsule", "build", "src/notes", "-o", "."]);
    let packed = fs::read_dir(env.work("."))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "capsule"))
        .unwrap();
    fs::rename(packed, env.work("notes.capsule")).unwrap();
    env.ok(&["sign", "notes.capsule", "--key", "./release.key"]);
    named(&env, "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes.capsule\"\nversion = \"1.0.0\"\n");
    env.ok(&["distro", "seal", "-o", "demo.shuttle", "--key", "./release.key"]);
    let document = env.ok(&["distro", "inspect", "demo.shuttle", "--json"]).json();
    assert_eq!(document["capsules"][0]["provenance"]["signer"]["key"], public(7));
    let members: Vec<&str> =
        document["members"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    for folder in ["signatures/", "archives/", "blobs/"] {
        assert!(members.iter().any(|path| path.starts_with(folder)), "{members:?}");
    }
    // A rule of the home that names another key refuses what is in it.
    policy(&env, &format!("[[policy.signer]]\nmatch = [\"capsule:notes\"]\nkey = \"{}\"\n", public(8)));
    refused(&env.astrid(&["distro", "verify", "demo.shuttle"]), 83, "capsule:notes");
}

#[test]
fn a_difference_leaves_out_what_is_there() {
    let env = env();
    env.ok(&["lock"]);
    fs::copy(env.work("Distro.lock"), env.work("first.lock")).unwrap();
    env.ok(&["distro", "seal", "-o", "whole.shuttle", "--key", "./release.key"]);
    env.write("tools/bin/more", "#!/bin/sh\nexit\n");
    env.ok(&["lock"]);
    let since = ["distro", "seal", "-o", "part.shuttle", "--key", "./release.key", "--since", "first.lock"];
    env.ok(&since);
    let part = env.ok(&["distro", "inspect", "part.shuttle", "--json"]).json();
    assert!(!part["missing"].as_array().unwrap().is_empty());
    env.ok(&["distro", "verify", "part.shuttle"]);
    // A home that has nothing of the fleet before can't use it.
    fs::remove_dir_all(env.home("")).unwrap();
    refused(&env.astrid(&["distro", "verify", "part.shuttle"]), 84, "leaves out");
    env.ok(&["distro", "verify", "whole.shuttle"]);
    refused(&env.astrid(&since), 84, "blob");
}

// contract: SEC-PROV-04
#[test]
fn acknowledgements_inside_have_no_effect_here() {
    let env = env();
    env.write(
        "trust/pack-tools.toml",
        "[[ack]]\nsubject = \"pack:tools\"\nversion = \"1.0.0\"\ncontent = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\nauthority = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\nsigner = \"unsigned\"\nby = \"Ada <ada@example.org>\"\nat = 2026-11-20T12:00:00Z\n",
    );
    env.ok(&["distro", "seal", "-o", "demo.shuttle", "--key", "./release.key"]);
    let ran = env.ok(&["distro", "inspect", "demo.shuttle"]);
    assert!(ran.stdout.contains("they have no effect here"), "{}", ran.shown());
    assert!(ran.stdout.contains("pack:tools 1.0.0  by Ada <ada@example.org>"), "{}", ran.shown());
    policy(&env, &format!("[[believe]]\nkey = \"{}\"\n", public(7)));
    let ran = env.ok(&["distro", "inspect", "demo.shuttle"]);
    assert!(ran.stdout.contains("they count"), "{}", ran.shown());
}

#[test]
fn sealing_for_somebody_else_is_denied() {
    let env = env();
    for (more, words) in [
        (&["--key", "./other.key"][..], "signed by"),
        (&[], "unsigned"),
        (&["--sign", "key"], "needs a key"),
        (&["--key", "./none.key"], "no key"),
    ] {
        let ran = env.astrid(&[&["distro", "seal", "-o", "demo.shuttle"], more].concat());
        assert!([83, 64, 1].contains(&ran.code) && ran.stderr.contains(words), "{}", ran.shown());
        assert!(!env.work("demo.shuttle").exists());
    }
    env.ok(&["distro", "seal", "-o", "demo.shuttle", "--key", "./release.key"]);
    env.ok(&["distro", "verify", "demo.shuttle"]);
    let left: Vec<_> = fs::read_dir(env.work(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn places_of_this_machine_are_not_sealed_denied() {
    let env = env();
    let folder = env.work("notes").display().to_string();
    env.distro(&format!("\n[[capsule]]\nname = \"notes\"\nsource = \"{folder}\"\nversion = \"1.0.0\"\n"));
    refused(&env.astrid(&["distro", "seal", "-o", "demo.shuttle"]), 65, "absolute path");
    assert!(!env.work("demo.shuttle").exists());
}

// contract: SEC-PROV-06
#[test]
fn bundles_that_are_wrong_are_denied() {
    let env = env();
    env.ok(&["distro", "seal", "-o", "good.shuttle", "--key", "./release.key"]);
    let good = fs::read(env.work("good.shuttle")).unwrap();
    env.write("empty.shuttle", b"");
    env.write("text.shuttle", "schema-version = 1\n");
    env.write("short.shuttle", &good[..good.len() / 2]);
    env.write("long.shuttle", [&good[..], b"x"].concat());
    env.write("twice.shuttle", [&good[..], &good[..]].concat());
    let lock = "schema-version = 2".as_bytes();
    let mut tar = Vec::new();
    GzDecoder::new(good.as_slice()).read_to_end(&mut tar).unwrap();
    let lock = tar.windows(lock.len()).position(|window| window == lock).unwrap();
    changed(&env, "good.shuttle", "component.shuttle", |tar| {
        replace(tar, b"#!/bin/sh\n", b"#!/bin/ls\n");
    });
    changed(&env, "good.shuttle", "lock.shuttle", |tar| {
        replace(&mut tar[lock..], b"source = \"./notes\"\n", b"source = \"./nodes\"\n");
    });
    changed(&env, "good.shuttle", "declaration.shuttle", |tar| {
        replace(tar, b"name = \"Demo\"", b"name = \"Dame\"");
    });
    changed(&env, "good.shuttle", "signature.shuttle", |tar| {
        let at = tar.windows(7).position(|window| window == b"\"sig\":\"").unwrap() + 7;
        let letter = if tar[at] == b'A' { b'B' } else { b'A' };
        tar[at] = letter;
    });
    changed(&env, "good.shuttle", "link.shuttle", |tar| {
        tar[156] = b'2';
        let sum: u32 = tar[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    });
    env.distro(ENTRIES);
    env.ok(&["distro", "seal", "-o", "unsigned.shuttle"]);
    env.ok(&["distro", "seal", "-o", "another.shuttle", "--key", "./other.key"]);
    for (file, code, words) in [
        ("none.shuttle", 1, "can't be opened"),
        ("notes", 65, "regular file"),
        ("empty.shuttle", 65, "does not start as a gzip file"),
        ("text.shuttle", 65, "does not start as a gzip file"),
        ("short.shuttle", 65, "copy it again"),
        ("long.shuttle", 65, "after the end of its gzip member"),
        ("twice.shuttle", 65, "after the end of its gzip member"),
        ("link.shuttle", 65, "is a link"),
        ("component.shuttle", 84, "and bundle.json says"),
        ("lock.shuttle", 84, "and bundle.json says"),
        ("declaration.shuttle", 84, "and bundle.json says"),
        ("signature.shuttle", 83, "signature"),
        ("unsigned.shuttle", 83, "not signed"),
    ] {
        let ran = env.astrid(&["distro", "verify", file]);
        refused(&ran, code, words);
        let read = env.astrid(&["distro", "inspect", file]);
        assert!(read.code == code || code == 83 && read.code == 0, "{file}: {}", read.shown());
    }
    env.ok(&["distro", "verify", "unsigned.shuttle", "--allow-unsigned"]);
    // A valid signature by somebody, whom no rule speaks of.
    refused(&env.astrid(&["distro", "verify", "another.shuttle"]), 83, "[[policy.signer]]");
    policy(&env, &format!("[[policy.signer]]\nmatch = [\"distro:demo\"]\nkey = \"{}\"\n", public(8)));
    env.ok(&["distro", "verify", "another.shuttle"]);
    refused(&env.astrid(&["distro", "verify", "good.shuttle"]), 83, "");
    policy(&env, &format!("[[policy.signer]]\nmatch = [\"distro:demo\"]\nkey = \"{}\"\n", public(7)));
    refused(&env.astrid(&["distro", "verify", "another.shuttle"]), 83, "");
    env.ok(&["distro", "verify", "good.shuttle"]);
    let ran = env.ok(&["distro", "inspect", "another.shuttle"]);
    assert!(ran.stdout.contains("! "), "{}", ran.shown());
}

#[cfg(feature = "sign")]
#[test]
fn a_bundle_is_sealed_by_a_ci_job() {
    use astrid_hermetic_sigstore::service::Service;
    use astrid_hermetic_sigstore::{Claims, Sigstore};

    let env = env();
    let claims = Claims::github("acme/fleet", "release.yml", "refs/tags/v1.0.0");
    let service = Service::start_changed(Sigstore::default(), claims, Box::new(|_, answer| answer));
    env.write("root.json", service.sigstore().trusted_root());
    env.write("token", service.token());
    let url = service.url();
    let mut arguments = vec!["distro", "seal", "-o", "demo.shuttle", "--sign", "keyless"];
    arguments.extend([
        "--token-file",
        "token",
        "--trusted-root",
        "root.json",
        "--fulcio",
        &url,
        "--rekor",
        &url,
    ]);
    refused(&env.astrid(&arguments), 83, "signed by a certificate");
    env.distro(ENTRIES);
    let ran = env.ok(&arguments);
    assert!(ran.stdout.contains("acme/fleet"), "{}", ran.shown());
    // By the root in the program it proves nothing, whatever root is inside.
    refused(&env.astrid(&["distro", "verify", "demo.shuttle"]), 83, "");
    fs::create_dir_all(env.home("trust")).unwrap();
    fs::copy(env.work("root.json"), env.home("trust/trusted_root.json")).unwrap();
    refused(&env.astrid(&["distro", "verify", "demo.shuttle"]), 83, "repository = \"acme/fleet\"");
    let rule = "[[policy.signer]]\nmatch = [\"distro:demo\"]\nissuer = \"https://token.actions.githubusercontent.com\"\nrepository = \"acme/fleet\"\nworkflow = \".github/workflows/release.yml\"\n";
    policy(&env, rule);
    let ran = env.ok(&["distro", "verify", "demo.shuttle", "--json"]).json();
    assert_eq!(ran["signer"]["repository"], "acme/fleet");
    policy(&env, &rule.replace("acme/fleet", "acme/other"));
    refused(&env.astrid(&["distro", "verify", "demo.shuttle"]), 83, "may not");
}

/// A tar of plain files, as earlier programs wrote it.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, bytes) in members {
        let mut head = [0; 512];
        head[..path.len()].copy_from_slice(path.as_bytes());
        for (at, text) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")]
        {
            head[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        head[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar  \0");
        head[148..156].fill(b' ');
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(head);
        out.extend(*bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    out
}

/// A bundle of version 1 in `old.shuttle`, and in `forged.shuttle` one with another source.
fn earlier(env: &TestEnv) {
    use astrid_authority::Digest;

    env.capsule("src/notes", "notes", "1.0.0", READS);
    env.ok(&["capsule", "build", "src/notes", "-o", "built"]);
    let built = fs::read_dir(env.work("built")).unwrap().next().unwrap().unwrap().path();
    let archive = fs::read(built).unwrap();
    named(env, "\n[[capsule]]\nname = \"notes\"\nsource = \"@org/notes\"\nversion = \"1.0.0\"\n");
    let declaration = env.read("Distro.toml");
    let (hash, own) = (Digest::of(&archive), Digest::of(declaration.as_bytes()));
    let at = "1970-01-01T00:00:00+00:00";
    let lock = format!(
        "schema-version = 1\nmanifest-hash = \"{own}\"\n\n[distro]\nid = \"demo\"\nversion = \"0.1.0\"\nresolved-at = \"{at}\"\n\n[[capsule]]\nname = \"notes\"\nversion = \"1.0.0\"\nsource = \"@org/notes\"\nhash = \"{hash}\"\nresolved_ref = \"v1.0.0\"\n"
    );
    let json = format!(
        r#"{{"schema-version":1,"distro":{{"id":"demo","version":"0.1.0","resolved-at":"{at}"}},"capsule":[{{"name":"notes","version":"1.0.0","source":"@org/notes","hash":"{hash}","resolved_ref":"v1.0.0"}}],"manifest-hash":"{own}"}}"#
    );
    let signed = Digest::of(&[b"astrid-distro-lock-sig-v1\0", json.as_bytes()].concat());
    let signature = SigningKey::from_bytes(&[7; 32].into()).sign(signed.as_bytes());
    let signature = Digest::from_bytes(signature[..32].try_into().unwrap()).hex()
        + &Digest::from_bytes(signature[32..].try_into().unwrap()).hex();
    for (file, lock) in [("old.shuttle", lock.clone()), ("forged.shuttle", lock.replace("@org", "@bad"))] {
        let members: [(&str, &[u8]); 4] = [
            ("Distro.lock", lock.as_bytes()),
            ("Distro.sig", signature.as_bytes()),
            ("Distro.toml", declaration.as_bytes()),
            ("capsules/notes.capsule", &archive),
        ];
        let mut out = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
        out.write_all(&tar(&members)).unwrap();
        env.write(file, out.finish().unwrap());
    }
}

#[test]
fn an_earlier_bundle_is_looked_at() {
    let env = env();
    earlier(&env);
    let ran = env.ok(&["distro", "verify", "old.shuttle", "--json"]).json();
    assert_eq!((ran["format"].as_u64(), ran["signer"]["key"].as_str()), (Some(1), Some(public(7).as_str())));
    let ran = env.ok(&["distro", "inspect", "old.shuttle"]);
    assert!(ran.stdout.contains("a bundle of version 1"), "{}", ran.shown());
    assert!(ran.stdout.contains("fs_read:cwd://notes"), "{}", ran.shown());
    let ran = env.ok(&["distro", "show", "old.shuttle"]);
    assert!(ran.stdout.contains("# capsule:notes 1.0.0"), "{}", ran.shown());
    refused(&env.astrid(&["distro", "verify", "forged.shuttle"]), 83, "Distro.sig");
    // It is written again in the current form, by whoever may sign it.
    refused(
        &env.astrid(&["distro", "seal", "old.shuttle", "-o", "new.shuttle", "--key", "./other.key"]),
        83,
        "",
    );
    env.ok(&["distro", "seal", "old.shuttle", "-o", "new.shuttle", "--key", "./release.key"]);
    let ran = env.ok(&["distro", "inspect", "new.shuttle", "--json"]).json();
    assert_eq!(ran["format"].as_u64(), Some(2));
}

#[test]
fn a_bundle_is_sealed_again() {
    let env = env();
    env.ok(&["distro", "seal", "-o", "one.shuttle", "--key", "./release.key"]);
    env.ok(&["distro", "seal", "one.shuttle", "-o", "two.shuttle", "--key", "./release.key"]);
    assert_eq!(fs::read(env.work("one.shuttle")).unwrap(), fs::read(env.work("two.shuttle")).unwrap());
}
