//! What is sealed is opened, and the same input gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use astrid_authority::Digest;
use astrid_bundle::{Draft, ErrorKind, Limits, Load, Shuttle};
use astrid_provenance::envelope;
use proptest::prelude::*;

use crate::parts::Parts;
use crate::scene::{Scene, capsule, declaration, empty_store, file, key, lock, locked, open};

const ACKS: &str = "[[ack]]\nsubject = \"pack:media_tools\"\nversion = \"1.4\"\ncontent = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\nauthority = \"blake3:0000000000000000000000000000000000000000000000000000000000000000\"\nsigner = \"unsigned\"\nby = \"Ada <ada@example.org>\"\nat = 2026-11-20T12:00:00Z\n";

fn full(scene: &Scene) -> Load<'_> {
    Load {
        distro_signature: Some("{}\n"),
        endorsements: Some("{}\n"),
        trust_root: Some(b"{}"),
        acknowledgements: BTreeMap::from([("pack-media_tools.toml".to_owned(), ACKS.to_owned())]),
        ..scene.load()
    }
}

#[test]
fn what_is_sealed_is_opened_and_brought() {
    let scene = Scene::new();
    let bytes = scene.seal(&full(&scene), Some(&key(7)));
    let shuttle = open(bytes).unwrap();
    assert_eq!(shuttle.version(), 2);
    assert_eq!(shuttle.declaration_text(), scene.declaration);
    assert_eq!(shuttle.lock_text(), scene.lock.to_toml());
    assert_eq!(shuttle.lock().unwrap().to_toml(), scene.lock.to_toml());
    assert_eq!(shuttle.distro_signature(), Some("{}\n"));
    assert_eq!(shuttle.endorsements(), Some("{}\n"));
    assert_eq!(shuttle.trust_root(), Some(&b"{}"[..]));
    assert_eq!(shuttle.acknowledgements().count(), 1);
    assert_eq!(shuttle.acknowledgements_text("pack-media_tools.toml"), Some(ACKS));
    assert_eq!(shuttle.signatures().count(), 2);
    assert_eq!(shuttle.archives().count(), 1);
    assert!(shuttle.missing().is_empty());
    assert!(shuttle.signature().unwrap().contains(&key(7).public().to_string()));
    assert_eq!(shuttle.digest(), Digest::of(shuttle.statement_bytes().unwrap()));
    let predicate = shuttle.predicate().unwrap();
    assert_eq!(predicate.members + 2, shuttle.entries().len() as u64);
    assert!(shuttle.sbom().unwrap().contains("MIT OR Apache-2.0"));

    let (_folder, store) = empty_store();
    let batch = store.batch();
    shuttle.bring(&batch).unwrap();
    batch.finish().unwrap();
    for locked in &scene.lock.capsules {
        let tree = store.tree(&locked.content).unwrap();
        assert!(tree.entries().iter().all(|entry| store.get(&entry.blob).is_ok()));
        for digest in locked.archive.iter().chain(&locked.bundle) {
            store.get(digest).unwrap();
        }
    }
    let again = Draft::new(&store, shuttle.lock().unwrap(), &full(&scene)).unwrap();
    assert_eq!(again.statement_bytes(), shuttle.statement_bytes().unwrap());
}

#[test]
fn sealing_twice_gives_the_same_bytes() {
    let one = Scene::new();
    let two = Scene::new();
    assert_eq!(one.seal(&full(&one), Some(&key(7))), two.seal(&full(&two), Some(&key(7))));
    // A test of the bytes themselves: what is sealed today is what was sealed before.
    let names: Vec<String> =
        Parts::of(&one.seal(&full(&one), None)).0.into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        names[..7],
        [
            "bundle.json",
            "Distro.toml",
            "Distro.lock",
            "Distro.sigstore.json",
            "endorsements.jsonl",
            "sbom.cdx.json",
            "trusted_root.json"
        ]
    );
}

#[test]
fn the_parts_list_is_cyclonedx() {
    let scene = Scene::new();
    let shuttle = open(scene.seal(&scene.load(), None)).unwrap();
    let sbom: serde_json::Value = serde_json::from_str(shuttle.sbom().unwrap()).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    assert_eq!(sbom["specVersion"], "1.6");
    assert!(sbom["serialNumber"].as_str().unwrap().starts_with("urn:uuid:"));
    let references: Vec<&str> =
        sbom["components"].as_array().unwrap().iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(references, ["capsule:notes", "capsule:tasks", "capsule:thumbs", "pack:media_tools"]);
    assert_eq!(sbom["components"][0]["hashes"][0]["alg"], "BLAKE3");
    assert_eq!(
        sbom["dependencies"][0]["dependsOn"],
        serde_json::json!(["capsule:notes", "capsule:tasks", "pack:media_tools"])
    );
    assert_eq!(sbom["dependencies"][1]["dependsOn"], serde_json::json!(["capsule:thumbs"]));
}

#[test]
fn a_signature_of_something_else_is_not_written_denied() {
    let scene = Scene::new();
    let draft = Draft::new(&scene.store, &scene.lock, &scene.load()).unwrap();
    let load = full(&scene);
    let other = Draft::new(&scene.store, &scene.lock, &load).unwrap();
    let signature = envelope::sign(other.statement(), &key(7)).unwrap();
    let error = draft.write(Some(&signature), Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(draft.write(Some("{}"), Vec::new()).unwrap_err().kind(), ErrorKind::Unreadable);
}

#[test]
fn a_store_that_lacks_something_is_denied() {
    let scene = Scene::new();
    let (_folder, store) = empty_store();
    let error = Draft::new(&store, &scene.lock, &scene.load()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    let load = Load {
        acknowledgements: BTreeMap::from([("../x.toml".to_owned(), ACKS.to_owned())]),
        ..scene.load()
    };
    assert_eq!(Draft::new(&scene.store, &scene.lock, &load).unwrap_err().kind(), ErrorKind::Unreadable);
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_denied() {
    let scene = Scene::new();
    let bytes = scene.seal(&scene.load(), None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.shuttle");
    let (_store_folder, store) = empty_store();
    let mut parts = Parts::of(&bytes);
    let blob = parts.first("blobs/");
    let mut other = parts.get(&blob).to_vec();
    other[0] ^= 1;
    parts.set(&blob, other);
    let longer = [bytes.clone(), b"x".to_vec()].concat();
    for changed in [parts.pack(), longer, bytes[..bytes.len() / 2].to_vec(), Vec::new()] {
        std::fs::write(&path, &bytes).unwrap();
        let shuttle = Shuttle::open(std::fs::File::open(&path).unwrap(), &Limits::default()).unwrap();
        let batch = store.batch();
        shuttle.bring(&batch).unwrap();
        // The same file, not another one in its place.
        let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        file.write_all(&changed).unwrap();
        drop(file);
        assert_eq!(shuttle.bring(&batch).unwrap_err().kind(), ErrorKind::Mismatch);
    }
    let folder = std::fs::File::open(folder.path()).unwrap();
    assert_eq!(Shuttle::open(folder, &Limits::default()).unwrap_err().kind(), ErrorKind::Unreadable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_fleet_goes_there_and_back(
        fleet in proptest::collection::btree_map("[a-z][a-z0-9-]{0,12}", proptest::collection::btree_map("[a-z]{1,8}", proptest::collection::vec(any::<u8>(), 0..600), 0..4), 1..6)
    ) {
        let (_folder, store) = empty_store();
        let mut entries = String::new();
        let mut capsules = Vec::new();
        for (name, assets) in &fleet {
            let assets: Vec<_> = assets.iter().map(|(path, bytes)| file(&format!("assets/{path}"), bytes)).collect();
            let tree = store.put_files(&capsule(name, "1.0.0", &assets)).unwrap();
            write!(entries, "\n[[capsule]]\nname = \"{name}\"\nsource = \"./{name}\"\nversion = \"1.0.0\"\n").unwrap();
            capsules.push(locked(name, "1.0.0", &format!("./{name}"), &tree));
        }
        let declaration = declaration("1.0.0", &entries);
        let lock = lock(&declaration, capsules, Vec::new());
        let load = Load { declaration: &declaration, ..Load::default() };
        let draft = Draft::new(&store, &lock, &load).unwrap();
        let bytes = draft.write(None, Vec::new()).unwrap();
        prop_assert_eq!(&bytes, &draft.write(None, Vec::new()).unwrap());
        let shuttle = open(bytes).unwrap();
        prop_assert_eq!(shuttle.lock().unwrap().to_toml(), lock.to_toml());
        let (_folder, other) = empty_store();
        let batch = other.batch();
        shuttle.bring(&batch).unwrap();
        batch.finish().unwrap();
        for locked in &lock.capsules {
            let tree = other.tree(&locked.content).unwrap();
            prop_assert!(tree.entries().iter().all(|entry| other.get(&entry.blob).is_ok()));
        }
    }

    #[test]
    fn no_flipped_bit_passes(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let scene = Scene::new();
        let mut tar = Parts::of(&scene.seal(&scene.load(), Some(&key(7)))).tar();
        let at = at.index(tar.len());
        tar[at] ^= 1 << bit;
        // The signature itself is whole or not JSON any more: whether it is right is asked by others.
        let result = open(crate::parts::gzip(&tar));
        if let Ok(shuttle) = result {
            let original = open(scene.seal(&scene.load(), Some(&key(7)))).unwrap();
            prop_assert_ne!(shuttle.signature(), original.signature());
            prop_assert_eq!(shuttle.statement_bytes(), original.statement_bytes());
        }
    }
}
