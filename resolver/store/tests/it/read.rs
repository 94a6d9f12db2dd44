//! Folders read into trees.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use astrid_store::read::{Filter, hash_dir, ingest_dir, list_dir, read_one};
use astrid_store::tree::{Limits, TreePath};
use astrid_store::{ErrorKind, StoreError, Tree};

use crate::scene::{Scene, file};

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn read(dir: &Path) -> Result<Tree, StoreError> {
    hash_dir(dir, &Filter::All, &Limits::default(), None)
}

fn refusal(dir: &Path) -> (String, String) {
    match read(dir).unwrap_err() {
        StoreError::Refused { place, rule } => (place, rule),
        other => panic!("{other}"),
    }
}

#[test]
fn a_folder_and_its_files_in_memory_are_one_tree() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Capsule.toml", b"[package]");
    write(dir.path(), "wit/a.wit", b"package a:b;");
    write(dir.path(), "bin/run", b"#!/bin/sh\n");
    std::fs::set_permissions(dir.path().join("bin/run"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut files = [
        file("wit/a.wit", b"package a:b;"),
        file("bin/run", b"#!/bin/sh\n"),
        file("Capsule.toml", b"[package]"),
    ];
    files[1].executable = true;
    let tree = read(dir.path()).unwrap();
    assert_eq!(tree, Tree::of_files(&files).unwrap());
    let store = scene.store();
    let batch = store.batch();
    assert_eq!(ingest_dir(dir.path(), &Filter::All, &Limits::default(), &batch).unwrap(), tree);
    batch.finish().unwrap();
    assert_eq!(store.tree(&tree.digest()).unwrap(), tree);
    assert_eq!(store.get(&tree.get("wit/a.wit").unwrap().blob).unwrap(), b"package a:b;");
}

#[test]
fn what_tools_leave_behind_is_no_content() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "kept.txt", b"kept");
    let plain = read(dir.path()).unwrap();
    for left_out in [
        ".git/config",
        "target/x",
        "a/__pycache__/x",
        "m.pyc",
        "venv/x",
        "b/.venv/x",
        "node_modules/x",
        ".astrid/x",
        "c/.DS_Store",
    ] {
        write(dir.path(), left_out, b"noise");
    }
    std::os::unix::fs::symlink("/nowhere", dir.path().join("c/target")).unwrap();
    write(dir.path(), ".gitignore", b"kept.txt");
    let tree = read(dir.path()).unwrap();
    assert_eq!(tree.entries().len(), 2);
    assert!(tree.get("kept.txt").is_some() && tree.get(".gitignore").is_some());
    assert_ne!(tree.digest(), plain.digest());
}

#[test]
fn links_and_special_files_are_refused_denied() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/real", b"x");
    for target in ["/etc/passwd", "real", "."] {
        let link = dir.path().join("a/link");
        std::os::unix::fs::symlink(target, &link).unwrap();
        let (place, rule) = refusal(dir.path());
        assert_eq!(place, "a/link");
        assert!(rule.contains("symbolic link"), "{rule}");
        std::fs::remove_file(link).unwrap();
    }
    std::fs::hard_link(dir.path().join("a/real"), dir.path().join("a/twin")).unwrap();
    assert!(refusal(dir.path()).1.contains("hard link"));
    std::fs::remove_file(dir.path().join("a/twin")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("a/socket")).unwrap();
    assert_eq!(refusal(dir.path()).0, "a/socket");
    drop(socket);
    std::fs::remove_file(dir.path().join("a/socket")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("a/fifo"), rustix::fs::Mode::RUSR).unwrap();
    assert!(refusal(dir.path()).1.contains("FIFO"));
}

#[test]
fn a_folder_is_listed_and_one_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b/c", b"two");
    write(folder.path(), "a", b"one");
    write(folder.path(), "target/x", b"left out");
    let limits = Limits::default();
    let paths = list_dir(folder.path(), &Filter::All, &limits).unwrap();
    assert_eq!(paths.iter().map(TreePath::as_str).collect::<Vec<_>>(), ["a", "b/c"]);
    assert_eq!(read_one(folder.path(), &paths[1], &limits).unwrap(), b"two");
}

#[test]
fn a_file_behind_a_link_is_not_read_denied() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "real/file", b"one");
    symlink("real", folder.path().join("link")).unwrap();
    symlink("real/file", folder.path().join("file")).unwrap();
    let limits = Limits { file_bytes: 2, ..Limits::default() };
    for path in ["link/file", "file", "absent", "real", "real/file"] {
        assert!(read_one(folder.path(), &path.parse().unwrap(), &limits).is_err(), "{path}");
    }
    assert!(list_dir(folder.path(), &Filter::All, &limits).is_err());
}

#[test]
fn names_that_differ_in_case_or_are_not_utf8_are_refused_denied() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Readme", b"x");
    // Where the file system ignores case, there is only one file and nothing to refuse.
    write(dir.path(), "README", b"x");
    if std::fs::read_dir(dir.path()).unwrap().count() == 2 {
        assert!(refusal(dir.path()).1.contains("ignore case"));
    }
    let other = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"a\xff");
    if std::fs::write(other.path().join(name), b"x").is_ok() {
        assert!(refusal(other.path()).1.contains("UTF-8"));
    }
}

#[test]
fn limits_hold_denied() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..4 {
        write(dir.path(), &format!("f{number}"), &[0; 100]);
    }
    for limits in [
        Limits { entries: 3, ..Limits::default() },
        Limits { file_bytes: 99, ..Limits::default() },
        Limits { total_bytes: 399, ..Limits::default() },
    ] {
        let error = hash_dir(dir.path(), &Filter::All, &limits, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{limits:?}");
    }
    let exact = Limits { entries: 4, file_bytes: 100, total_bytes: 400, ratio: 1 };
    assert!(hash_dir(dir.path(), &Filter::All, &exact, None).is_ok());
}

#[test]
fn a_capsules_folder_counts_as_what_it_would_pack() {
    let dir = tempfile::tempdir().unwrap();
    for path in [
        "Capsule.toml",
        "target/out/fs.wasm",
        "wit/deps/a.wit",
        "assets/a.png",
        "src/lib.rs",
        "Cargo.toml",
        "wit/.git/x",
    ] {
        write(dir.path(), path, path.as_bytes());
    }
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("src/link")).unwrap();
    let filter = Filter::capsule(Some("target/out/fs.wasm")).unwrap();
    let tree = hash_dir(dir.path(), &filter, &Limits::default(), None).unwrap();
    let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["Capsule.toml", "assets/a.png", "target/out/fs.wasm", "wit/deps/a.wit"]);
    for path in
        ["Capsule.toml", "target/out/fs.wasm", "wit/deps/a.wit", "src/lib.rs", "target/x", "wit/target/x"]
    {
        let taken = filter.takes(&path.parse().unwrap());
        assert_eq!(taken, paths.contains(&path), "{path}");
    }
    assert!(Filter::capsule(Some("../fs.wasm")).is_err());
}

#[test]
fn a_component_behind_a_link_is_refused_denied() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "fs.wasm", b"x");
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("out")).unwrap();
    let filter = Filter::capsule(Some("out/fs.wasm")).unwrap();
    let error = hash_dir(dir.path(), &filter, &Limits::default(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
