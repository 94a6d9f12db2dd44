//! Blobs: kept once, checked when read.

use std::sync::Arc;

use astrid_authority::Digest;
use astrid_store::faults::FailAt;
use astrid_store::{Disk, ErrorKind, Store, StoreError, Tree};

use crate::scene::{Scene, file};

fn names(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    for shard in std::fs::read_dir(scene.home.blobs()).into_iter().flatten() {
        for blob in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            names.push(blob.unwrap().file_name().into_string().unwrap());
        }
    }
    names.sort();
    names
}

#[test]
fn the_same_bytes_are_one_blob_that_is_not_rewritten() {
    use std::os::unix::fs::MetadataExt;
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let store = scene.store();
    let digest = store.put(b"abc").unwrap();
    let inode = std::fs::metadata(store.path(&digest)).unwrap().ino();
    assert_eq!(store.put(b"abc").unwrap(), digest);
    assert_eq!(store.put_all(&[b"abc", b"abc"]).unwrap(), [digest, digest]);
    assert_eq!(std::fs::metadata(store.path(&digest)).unwrap().ino(), inode);
    assert_eq!(names(&scene), [digest.hex()]);
    assert_eq!(store.get(&digest).unwrap(), b"abc");
    assert_eq!(store.length(&digest), Some(3));
    assert_eq!(store.put_reader(b"abc".as_slice(), 3, "a reader").unwrap(), digest);
}

#[test]
fn a_store_over_another_reads_both_and_writes_one() {
    let (below, above) = (Scene::new(), Scene::new());
    let known = below.store().put(b"known").unwrap();
    let store = above.store().over(&below.store());
    assert!(store.contains(&known) && store.length(&known) == Some(5));
    assert_eq!(store.get(&known).unwrap(), b"known");
    store.put(b"known").unwrap();
    let own = store.put(b"new").unwrap();
    assert_eq!(names(&below), [known.hex()]);
    assert_eq!(names(&above), [own.hex()]);
    assert!(store.get(&Digest::of(b"nobody has it")).is_err());
}

#[test]
fn a_store_without_a_home_is_empty_and_stays_so() {
    let scene = Scene::new();
    assert!(!scene.store().contains(&Digest::of(b"abc")));
    assert!(matches!(scene.store().get(&Digest::of(b"abc")), Err(StoreError::MissingBlob(_))));
    assert!(!scene.home.root().exists());
}

#[test]
fn a_changed_blob_is_refused_denied() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let store = scene.store();
    let digest = store.put(b"abc").unwrap();
    std::fs::remove_file(store.path(&digest)).unwrap();
    std::fs::write(store.path(&digest), b"abd").unwrap();
    let error = store.get(&digest).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&digest.to_string()));
    let tree = Tree::of_files(&[file("a", b"abc")]).unwrap();
    let target = scene.folder.path().join("out");
    assert_eq!(store.materialize(&tree, &target).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!target.exists());
}

#[test]
fn a_blob_cut_short_by_a_power_failure_is_written_anew() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let store = scene.store();
    let digest = store.put(b"abc").unwrap();
    std::fs::remove_file(store.path(&digest)).unwrap();
    std::fs::write(store.path(&digest), b"").unwrap();
    store.put(b"abc").unwrap();
    assert_eq!(store.get(&digest).unwrap(), b"abc");
}

#[test]
fn more_than_the_limit_is_refused_denied() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let error = scene.store().put_reader([0_u8; 4].as_slice(), 3, "a reader").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(names(&scene).is_empty());
}

#[test]
fn a_batch_is_nothing_until_it_is_finished() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let store = scene.store();
    let blobs: Vec<Vec<u8>> = (0..100_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    let batch = store.batch();
    let digests = batch.put_all(&blobs).unwrap();
    assert!(!store.contains(&digests[0]));
    drop(batch);
    assert!(names(&scene).is_empty());
    let batch = store.batch();
    batch.put_all(&blobs).unwrap();
    batch.put_all(&blobs).unwrap();
    assert_eq!(batch.finish().unwrap(), 100);
    for (digest, blob) in digests.iter().zip(&blobs) {
        assert_eq!(store.get(digest).unwrap(), *blob);
    }
    assert_eq!(names(&scene).len(), 100);
}

#[test]
fn a_full_disk_leaves_whole_blobs_only() {
    let files: Vec<_> =
        (0..10).map(|number| file(&format!("f{number}"), format!("bytes {number}").as_bytes())).collect();
    for fail_at in 1.. {
        let scene = Scene::new();
        scene.home.ensure(&scene.disk).unwrap();
        let full = Store::new(scene.home.clone(), Disk::with_faults(Arc::new(FailAt::full_from(fail_at))));
        let done = full.put_files(&files);
        for name in names(&scene) {
            let digest = Digest::from_hex(&name).expect("no leftover");
            scene.store().get(&digest).unwrap();
        }
        let tree = scene.store().put_files(&files).unwrap();
        assert_eq!(scene.store().tree(&tree.digest()).unwrap(), tree);
        match done {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io),
        }
    }
}

#[test]
fn a_served_tree_is_what_was_read() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let store = scene.store();
    let mut files = vec![file("a/b/c.txt", b"one"), file("d.txt", b"two"), file("e.sh", b"#!/bin/sh\n")];
    files[2].executable = true;
    let tree = store.put_files(&files).unwrap();
    let served = store.serve_tree(&tree).unwrap();
    assert_eq!(served, store.serve_tree(&tree).unwrap());
    assert_eq!(std::fs::metadata(served.join("e.sh")).unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(std::fs::metadata(served.join("d.txt")).unwrap().permissions().mode() & 0o777, 0o444);
    let read = astrid_store::read::hash_dir(
        &served,
        &astrid_store::read::Filter::All,
        &astrid_store::tree::Limits::default(),
        None,
    );
    assert_eq!(read.unwrap(), tree);
    let taken = scene.folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    assert!(matches!(store.materialize(&tree, &taken), Err(StoreError::Foreign(_))));
}

#[test]
fn a_served_tree_that_was_changed_is_put_right() {
    let scene = Scene::new();
    let writer = scene.writer();
    let store = scene.store();
    let tree = store.put_files(&[file("a/b.txt", b"one"), file("c.txt", b"two")]).unwrap();
    assert!(store.repair_served_tree(&tree, &writer).unwrap());
    let served = store.served_tree(&tree.digest());
    assert!(!store.repair_served_tree(&tree, &writer).unwrap());
    std::fs::create_dir(served.join("a/__pycache__")).unwrap();
    std::fs::write(served.join("a/__pycache__/b.pyc"), b"x").unwrap();
    assert!(!store.repair_served_tree(&tree, &writer).unwrap());
    std::fs::write(served.join("extra"), b"x").unwrap();
    assert!(store.repair_served_tree(&tree, &writer).unwrap());
    assert!(!served.join("extra").exists());
    std::fs::remove_file(served.join("a/b.txt")).unwrap();
    assert!(store.repair_served_tree(&tree, &writer).unwrap());
    assert_eq!(std::fs::read(served.join("a/b.txt")).unwrap(), b"one");
    assert_eq!(std::fs::read_dir(scene.home.trees()).unwrap().count(), 1);
}

#[test]
fn what_a_crashed_process_of_the_same_id_left_is_in_nobodys_way() {
    let scene = Scene::new();
    scene.home.ensure(&scene.disk).unwrap();
    let path = scene.home.var().join("file");
    for number in 0..2000 {
        std::fs::write(scene.home.var().join(format!(".tmp-{}-{number}", std::process::id())), b"left")
            .unwrap();
    }
    scene.disk.write_atomic(&path, b"one", 0o600).unwrap();
    assert!(scene.disk.create_atomic(&scene.home.var().join("new"), b"two", 0o600).unwrap());
    assert!(!scene.disk.create_atomic(&scene.home.var().join("new"), b"three", 0o600).unwrap());
    scene.disk.symlink_atomic(std::path::Path::new("file"), &scene.home.var().join("link")).unwrap();
    assert_eq!(std::fs::read(scene.home.var().join("link")).unwrap(), b"one");
    assert_eq!(std::fs::read(scene.home.var().join("new")).unwrap(), b"two");
}
