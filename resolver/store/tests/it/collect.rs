//! Garbage: what is referred to stays, what is corrupt is named.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use astrid_authority::Digest;
use astrid_store::ErrorKind;
use astrid_store::gc::{Keep, Mode, collect, quarantine, verify_store};
use astrid_store::journal::Switch;

use crate::scene::{Scene, file};

#[test]
fn what_a_generation_holds_stays_and_the_rest_goes() {
    let scene = Scene::new();
    let writer = scene.writer();
    let store = scene.store();
    let first = scene.generation(&writer, &["a"]);
    let second = scene.generation(&writer, &["b"]);
    Switch::new(&scene.home, &scene.disk, &writer, Some(second.number())).commit().unwrap();
    let mentioned = store.put(b"an archive").unwrap();
    let wanted = store.put(b"wanted by a repository").unwrap();
    let listed = store.put_files(&[file("x", b"in a wanted tree")]).unwrap();
    let garbage = store.put(b"garbage").unwrap();
    let fs = Digest::of(b"component of fs");
    for source in [fs, garbage] {
        std::fs::create_dir_all(scene.home.compiled().join(source.hex())).unwrap();
        std::fs::write(scene.home.compiled().join(source.hex()).join("engine"), b"code").unwrap();
    }
    std::fs::write(store.path(&garbage).with_file_name(".tmp-1-1"), b"left").unwrap();
    std::fs::write(scene.home.keys().join(".tmp-1-2"), b"torn").unwrap();
    let keep = Keep { digests: BTreeSet::from([wanted, listed.digest()]), newer_than: None };
    let seen = collect(&store, &keep, &Mode::DryRun).unwrap();
    assert_eq!(seen.blobs.keys().collect::<Vec<_>>(), [&garbage]);
    assert_eq!((seen.derived.len(), seen.leftovers.len()), (1, 2));
    assert_eq!(seen.bytes(), 7 + 4 + 4 + 4);
    assert!(store.contains(&garbage));
    let young = Keep { newer_than: Some(SystemTime::now() - Duration::from_hours(1)), ..keep.clone() };
    assert!(collect(&store, &young, &Mode::DryRun).unwrap().blobs.is_empty());
    assert_eq!(collect(&store, &keep, &Mode::Remove(&writer)).unwrap(), seen);
    assert!(!store.contains(&garbage));
    assert!(!scene.home.compiled().join(garbage.hex()).exists());
    for kept in [mentioned, wanted, Digest::of(b"in a wanted tree"), fs] {
        assert!(store.contains(&kept));
    }
    for generation in [&first, &second] {
        for pack in generation.inventory().unwrap().packs.values() {
            for entry in store.tree(&pack.content).unwrap().entries() {
                store.get(&entry.blob).unwrap();
            }
            assert!(store.served_tree(&pack.content).is_dir());
        }
    }
    assert!(collect(&store, &keep, &Mode::Remove(&writer)).unwrap().blobs.is_empty());
    // Without the first generation, its pack goes as well.
    scene.generations().remove(first.number(), &writer).unwrap();
    let gone = collect(&store, &keep, &Mode::Remove(&writer)).unwrap();
    assert_eq!((gone.blobs.len(), gone.derived.len()), (2, 1));
}

#[test]
fn a_damaged_generation_or_listing_stops_it_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let store = scene.store();
    let generation = scene.generation(&writer, &["a"]);
    let garbage = store.put(b"garbage").unwrap();
    let listing = generation.inventory().unwrap().packs.values().next().unwrap().content;
    let path = store.path(&listing);
    let sound = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &sound[..sound.len() - 5]).unwrap();
    assert_eq!(
        collect(&store, &Keep::default(), &Mode::Remove(&writer)).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    std::fs::write(&path, sound).unwrap();
    std::fs::remove_file(generation.path().join("inventory.json")).unwrap();
    assert_eq!(
        collect(&store, &Keep::default(), &Mode::Remove(&writer)).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert!(store.contains(&garbage));
}

#[test]
fn corrupt_blobs_are_named_and_can_be_put_aside_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let store = scene.store();
    let blobs: Vec<String> = (0..50).map(|number| format!("blob {number}")).collect();
    let digests = store.put_all(&blobs).unwrap();
    assert_eq!(verify_store(&store).unwrap().sound, 50);
    std::fs::remove_file(store.path(&digests[7])).unwrap();
    std::fs::write(store.path(&digests[7]), b"blob X").unwrap();
    let verified = verify_store(&store).unwrap();
    assert_eq!((verified.sound, verified.corrupt), (49, BTreeSet::from([digests[7]])));
    assert!(quarantine(&store, &digests[8], &writer).is_err());
    assert!(quarantine(&store, &digests[7], &writer).unwrap().exists());
    assert!(!store.contains(&digests[7]));
    assert!(verify_store(&store).unwrap().corrupt.is_empty());
    store.put(b"blob 7").unwrap();
    assert_eq!(verify_store(&store).unwrap().sound, 50);
}
