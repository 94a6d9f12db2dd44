//! Bundles of a difference: what the earlier fleet has is left out, and named.

use astrid_bundle::{Draft, ErrorKind, Load};

use crate::parts::Parts;
use crate::scene::{Scene, empty_store, open};

#[test]
fn what_the_earlier_fleet_has_is_left_out() {
    let mut scene = Scene::new();
    let first = scene.seal(&scene.load(), None);
    let earlier = scene.lock.clone();
    scene.fill("0.2.0", b"# other notes\n");
    let load = Load { since: Some(&earlier), ..scene.load() };
    let bytes = scene.seal(&load, None);
    assert_eq!(bytes, scene.seal(&load, None));
    let shuttle = open(bytes.clone()).unwrap();
    let blobs = shuttle.entries().iter().filter(|entry| entry.path.starts_with("blobs/")).count();
    // The listing of `notes` and the one file that differs.
    assert_eq!(blobs, 2);
    assert_eq!((shuttle.archives().count(), shuttle.signatures().count()), (1, 1));
    assert!(shuttle.predicate().unwrap().since.is_some());
    // Two listings and the pack's; the files of `notes` that did not change; the pack's signature.
    let missing = shuttle.missing();
    for locked in scene.lock.capsules.iter().filter(|one| one.name.as_str() != "notes") {
        assert!(missing.contains(&locked.content));
    }
    assert!(missing.contains(&scene.lock.packs[0].bundle.unwrap()));

    let (_folder, store) = empty_store();
    let batch = store.batch();
    open(first).unwrap().bring(&batch).unwrap();
    batch.finish().unwrap();
    assert!(missing.iter().all(|digest| store.contains(digest)));
    let batch = store.batch();
    shuttle.bring(&batch).unwrap();
    batch.finish().unwrap();
    for locked in &scene.lock.capsules {
        let tree = store.tree(&locked.content).unwrap();
        assert!(tree.entries().iter().all(|entry| store.contains(&entry.blob)));
    }
}

#[test]
fn a_difference_that_says_it_is_whole_is_denied() {
    let mut scene = Scene::new();
    let earlier = scene.lock.clone();
    scene.fill("0.2.0", b"# other notes\n");
    let mut parts = Parts::of(&scene.seal(&Load { since: Some(&earlier), ..scene.load() }, None));
    parts.restate_with(|predicate| predicate["since"] = serde_json::Value::Null);
    let error = open(parts.pack()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(error.message().contains("lacks"), "{error}");
    let lock = scene.lock.to_toml();
    parts.restate_with(|predicate| {
        predicate["since"] = astrid_authority::Digest::of(lock.as_bytes()).to_string().into();
    });
    assert!(open(parts.pack()).is_err());
}

#[test]
fn a_difference_to_itself_or_to_what_is_not_here_is_denied() {
    let scene = Scene::new();
    let load = Load { since: Some(&scene.lock), ..scene.load() };
    let error = Draft::new(&scene.store, &scene.lock, &load).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    let other = Scene::with("0.2.0", b"elsewhere");
    let load = Load { since: Some(&other.lock), ..scene.load() };
    let error = Draft::new(&scene.store, &scene.lock, &load).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.next_step().unwrap().contains("--since"));
}
