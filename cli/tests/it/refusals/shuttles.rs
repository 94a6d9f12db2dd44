//! `.shuttle` files that are not what was sealed.

use std::fs;
use std::os::unix::fs::symlink;

use astrid_authority::Digest;

use super::parts::{Parts, block, header, packed, put, summed};
use super::scene::{Scene, public, refused};
use crate::env::TestEnv;

pub(crate) const READS: &str = "\n[capabilities]\nfs_read = [\"cwd://notes\"]\n";
pub(crate) const ENTRIES: &str = "\n[[capsule]]\nname = \"fs\"\nsource = \"./fs.capsule\"\nversion = \"1.2.0\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\nversion = \"1.0.0\"\n";

/// Every verb that takes a bundle, with all consent that can be given by flags but for the signature.
pub(crate) const VERBS: [&[&str]; 4] = [
    &["distro", "verify"],
    &["plan"],
    &["apply", "--yes", "--trust", "--no-boot"],
    &["init", "--yes", "--trust", "--no-boot"],
];

/// A machine with a fleet that is sealed by the key 7, which the distro names, and an empty home.
pub(crate) fn sealed() -> (Scene, Parts) {
    let scene = Scene::new();
    let env = &scene.env;
    env.ok(&["sign", "fs.capsule", "--key", "./release.key"]);
    env.capsule("notes", "notes", "1.0.0", READS);
    env.write("tools/pack.yaml", "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\n");
    env.write("tools/bin/run", "#!/bin/sh\n");
    env.distro(&format!("\n[distro.signing]\npubkey = \"{}\"\n{ENTRIES}", public(7)));
    env.ok(&["lock"]);
    env.ok(&["distro", "seal", "-o", "good.shuttle", "--key", "./release.key"]);
    let bytes = fs::read(env.work("good.shuttle")).unwrap();
    let parts = Parts::of(&bytes);
    assert!(parts.pack() == bytes, "a bundle that is put together again is the same");
    // What is in the bundle is in no other place any more.
    fs::remove_dir_all(env.home("")).unwrap();
    for name in ["notes", "tools"] {
        fs::remove_dir_all(env.work(name)).unwrap();
    }
    for name in ["fs.capsule", "fs.capsule.sigstore.json", "Distro.toml", "Distro.lock"] {
        fs::remove_file(env.work(name)).unwrap();
    }
    env.ok(&["distro", "verify", "good.shuttle"]);
    env.ok(&["plan", "good.shuttle"]);
    assert!(!env.home("").exists());
    (scene, parts)
}

/// A file that must be refused by every verb in the same way.
#[track_caller]
pub(crate) fn check(env: &TestEnv, name: &str, bytes: &[u8], code: i32, says: &str) {
    env.write("bad.shuttle", bytes);
    for verb in VERBS {
        refused(env, &format!("{name}: {verb:?}"), &[verb, &["./bad.shuttle"]].concat(), code, &[says]);
    }
}

#[test]
fn files_that_are_not_whole_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let good = parts.pack();
    for (name, length) in [("half", good.len() / 2), ("without its end", good.len() - 1), ("a head", 20)] {
        check(env, &format!("truncated: {name}"), &good[..length], 65, "");
    }
    check(env, "trailing byte", &[&good[..], b"x"].concat(), 65, "after the end");
    check(env, "a second gzip member", &[&good[..], &good[..]].concat(), 65, "after the end");
    check(env, "zeros after the end", &[&good[..], &[0; 512]].concat(), 65, "after the end");
    let behind = [&parts.tar()[..], &[0; 1024], b"more"].concat();
    check(env, "bytes after the end of the tar", &packed(&behind), 65, "");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    check(env, "a flipped bit", &flipped, 65, "");

    // What is no gzip at all is no bundle: nothing takes it for one.
    for (name, bytes) in [("empty file", &b""[..]), ("text", b"schema-version = 1\n"), ("tar", &parts.tar())]
    {
        env.write("bad.shuttle", bytes);
        refused(env, name, &["distro", "verify", "bad.shuttle"], 65, &["does not start as a gzip file"]);
    }
    refused(env, "no file", &["distro", "verify", "none.shuttle"], 1, &["can't be opened"]);
    refused(env, "a folder", &["distro", "verify", "."], 65, &["regular file"]);
    fs::remove_file(env.work("bad.shuttle")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(env.work("bad.shuttle")).status().unwrap().success());
    refused(env, "a pipe", &["distro", "verify", "bad.shuttle"], 65, &["regular file"]);
    fs::remove_file(env.work("bad.shuttle")).unwrap();
    symlink(env.work("good.shuttle"), env.work("bad.shuttle")).unwrap();
    env.ok(&["distro", "verify", "bad.shuttle"]);
}

#[test]
fn bombs_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let zeros = vec![0; 40 << 20];
    let member = |length: usize| block(&header("blobs/x", length), &zeros[..length.min(zeros.len())]);
    check(env, "a bomb", &packed(&member(40 << 20)), 65, "");
    check(env, "a bomb behind good members", &packed(&[parts.tar(), member(40 << 20)].concat()), 65, "");
    check(env, "a member of 8 GiB", &packed(&member(0o77_777_777_777)), 65, "");
    let mut head = header("bundle.json", 0);
    put(&mut head, 124, "77777777777\0");
    check(env, "a length that is not there", &packed(&block(&summed(head), b"{}")), 65, "");
    let many: Vec<u8> = (0..300).flat_map(|_| block(&header("bundle.json", 0), b"")).collect();
    check(env, "the same empty member, often", &packed(&many), 65, "");
}

#[test]
fn members_that_are_no_plain_files_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let (path, bytes) = parts.0[0].clone();
    let first = |head: [u8; 512]| {
        let rest: Vec<u8> =
            parts.0[1..].iter().flat_map(|(path, bytes)| block(&header(path, bytes.len()), bytes)).collect();
        packed(&[block(&summed(head), &bytes), rest].concat())
    };
    for (name, kind, says) in [
        ("a symbolic link", b'2', "is a link"),
        ("a hard link", b'1', "is a link"),
        ("a character device", b'3', ""),
        ("a block device", b'4', ""),
        ("a folder", b'5', ""),
        ("a pipe", b'6', ""),
        ("a long name", b'L', ""),
        ("an extended header", b'x', ""),
        ("a global header", b'g', ""),
        ("a sparse file", b'S', ""),
    ] {
        let mut head = header(&path, bytes.len());
        head[156] = kind;
        put(&mut head, 157, "/etc/passwd");
        check(env, name, &first(head), 65, says);
    }
    let mut head = header(&path, bytes.len());
    put(&mut head, 100, "0000755\0");
    check(env, "an executable", &first(head), 65, "");
    let mut head = header(&path, bytes.len());
    head[148] ^= 1;
    check(env, "a wrong sum", &packed(&[&head[..], &parts.tar()[512..]].concat()), 65, "");
}

#[test]
fn members_where_none_belongs_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut parts = parts.clone();
        change(&mut parts);
        parts.pack()
    };
    let first_blob = parts.below("blobs/").remove(0);
    // Whoever sealed it: what no bundle has, this one has not.
    for path in [
        "/etc/passwd",
        "../bundle.json",
        "trust/../../x.toml",
        "./bundle.json",
        "blobs/../x",
        "README.md",
        "policy.toml",
        "etc/policy.toml",
        "keys/home.key",
        "blobs/no-digest",
        "trust/.toml",
        "Distro.sig",
    ] {
        let bytes = changed(&|parts| {
            parts.insert(&first_blob, path, "x").sealed(7);
        });
        check(env, &format!("a member `{path}`"), &bytes, 65, "");
    }
    let digest = Digest::of(b"stowed away").hex();
    let bytes = changed(&|parts| {
        let next = parts.below("blobs/").into_iter().find(|path| *path > format!("blobs/{digest}"));
        parts.insert(&next.unwrap(), &format!("blobs/{digest}"), "stowed away").sealed(7);
    });
    check(env, "a blob that nothing refers to", &bytes, 65, "refers to");
    for path in ["bundle.json", "Distro.toml", "Distro.lock", "sbom.cdx.json", first_blob.as_str()] {
        let bytes = changed(&|parts| {
            let twice = parts.get(path).to_vec();
            parts.insert(path, path, twice);
        });
        check(env, &format!("`{path}` twice"), &bytes, 65, "");
    }
    for path in ["bundle.json", "Distro.toml", "Distro.lock", "sbom.cdx.json", first_blob.as_str()] {
        let bytes = changed(&|parts| {
            parts.remove(path);
        });
        check(env, &format!("`{path}` missing"), &bytes, 65, "");
    }
    for folder in ["blobs/", "archives/", "signatures/"] {
        let bytes = changed(&|parts| {
            let path = parts.below(folder).remove(0);
            parts.remove(&path).sealed(7);
        });
        check(env, &format!("a member of {folder} missing, and sealed so"), &bytes, 65, "lacks");
    }
    let bytes = changed(&|parts| {
        let (one, two) = (parts.position("Distro.toml"), parts.position("Distro.lock"));
        parts.0.swap(one, two);
    });
    check(env, "members in another order", &bytes, 65, "");
}

// contract: SEC-PROV-02, SEC-PROV-06
#[test]
fn bytes_that_are_not_what_was_promised_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let blobs = parts.below("blobs/");
    let mut swapped = parts.clone();
    let (one, two) = (parts.get(&blobs[0]).to_vec(), parts.get(&blobs[1]).to_vec());
    swapped.set(&blobs[0], two).set(&blobs[1], one);
    check(env, "two blobs swapped", &swapped.pack(), 84, "");
    check(env, "two blobs swapped, and sealed so", &swapped.sealed(7).pack(), 84, "");
    for (name, path, from, to) in [
        ("declaration", "Distro.toml", "name = \"Demo\"", "name = \"Dame\""),
        ("lock", "Distro.lock", "version = \"1.0.0\"", "version = \"1.0.1\""),
        ("parts list", "sbom.cdx.json", "1.0.0", "1.0.1"),
    ] {
        let mut parts = parts.clone();
        let text = parts.text(path).replacen(from, to, 1);
        assert_ne!(text, parts.text(path), "{name}");
        parts.set(path, text);
        check(env, &format!("another {name}"), &parts.pack(), 84, "and bundle.json says");
    }
    for folder in ["blobs/", "archives/", "signatures/"] {
        let mut parts = parts.clone();
        let path = parts.below(folder).remove(0);
        let mut bytes = parts.get(&path).to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        parts.set(&path, bytes);
        check(env, &format!("another byte in {folder}"), &parts.pack(), 84, "");
        check(env, &format!("another byte in {folder}, and sealed so"), &parts.sealed(7).pack(), 84, "");
    }
}

/// Locks that contradict the rest, sealed by who may seal.
#[test]
fn locks_that_contradict_the_rest_are_denied() {
    let (scene, parts) = sealed();
    let env = &scene.env;
    let lock = parts.text("Distro.lock");
    let zeros = "0".repeat(64);
    let value = |key: &str| {
        let line = lock.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.split("blake3:").nth(1).unwrap()[..64].to_owned()
    };
    for (name, text, code) in [
        ("manifest-hash", lock.replace(&value("manifest-hash"), &zeros), 84),
        ("archive", lock.replace(&value("archive"), &zeros), 65),
        ("content", lock.replace(&value("content"), &zeros), 84),
        ("component", lock.replace(&value("component"), &zeros), 84),
        ("authority", lock.replace(&value("authority"), &zeros), 84),
        ("bundle", lock.replace(&value("bundle"), &zeros), 65),
        ("distro id", lock.replacen("id = \"demo\"", "id = \"other\"", 1), 65),
        ("distro version", lock.replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1), 65),
        ("capsule's version", lock.replacen("version = \"1.2.0\"", "version = \"1.2.1\"", 1), 80),
        ("capsule's signer", lock.replacen(&public(7), &public(8), 1), 83),
        (
            "capsule's lack of a signer",
            lock.replacen(&format!("{{ key = \"{}\" }}", public(7)), "\"unsigned\"", 1),
            83,
        ),
        ("source on this machine", lock.replacen("source = \"./notes\"", "source = \"/srv/notes\"", 1), 65),
        ("source outside", lock.replacen("source = \"./notes\"", "source = \"../notes\"", 1), 65),
        ("text", "hello".to_owned(), 65),
        ("unknown key", format!("{lock}\n[more]\nx = 1\n"), 65),
        ("format of the future", lock.replacen("schema-version = 2", "schema-version = 3", 1), 65),
        (
            "field that must be understood",
            lock.replacen("must-understand = [", "must-understand = [\"more\", ", 1),
            65,
        ),
    ] {
        assert_ne!(text, lock, "{name}");
        let mut parts = parts.clone();
        parts.set("Distro.lock", text).relisted().sealed(7);
        check(env, &format!("a lock with another {name}"), &parts.pack(), code, "");
    }
}
