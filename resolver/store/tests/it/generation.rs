//! Generations: numbered, complete, unchanging.

use std::os::unix::fs::PermissionsExt;

use astrid_store::generation::{Action, Part, Setting};
use astrid_store::journal::{Recovered, Switch, recover};
use astrid_store::{ErrorKind, GenerationNumber, StoreError};

use crate::scene::{Scene, meta, pack_id, stage};

fn number(number: u64) -> GenerationNumber {
    GenerationNumber::new(number).unwrap()
}

#[test]
fn a_home_without_generations_says_so_and_is_not_touched() {
    let scene = Scene::new();
    assert_eq!(scene.generations().list().unwrap(), []);
    assert!(scene.generations().current().unwrap().is_none());
    assert!(scene.generations().history().unwrap().is_empty());
    assert!(!astrid_store::journal::is_pending(&scene.home));
    assert!(matches!(scene.generations().open(number(1)), Err(StoreError::MissingGeneration(_))));
    assert!(!scene.home.root().exists());
}

#[test]
fn what_was_written_is_read_and_packs_are_served() {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &["media_tools"]);
    assert_eq!(first.number(), GenerationNumber::FIRST);
    assert!(scene.generations().current().unwrap().is_none());
    let at = "2026-11-20T12:00:00Z".parse().unwrap();
    let switch = Switch::new(&scene.home, &scene.disk, &writer, Some(first.number()));
    switch.note(at, "ada", Action::Apply).commit().unwrap();
    let current = scene.generations().current().unwrap().unwrap();
    assert_eq!(current.meta(), first.meta());
    assert_eq!(current.digest().unwrap(), first.digest().unwrap());
    assert!(current.lock().unwrap().starts_with("archive"));
    assert_eq!(current.declaration().unwrap(), "schema-version = 1\n");
    assert_eq!(current.read(Part::Receipt).unwrap(), None);
    assert_eq!(current.record(&pack_id("media_tools")).unwrap().unwrap(), b"{}");
    assert!(current.inventory().unwrap().packs.contains_key(&pack_id("media_tools")));
    let configuration = current.configuration().unwrap();
    let settings = configuration.of(&"fs".parse().unwrap()).unwrap();
    assert_eq!(settings["root"], Setting::Value("/srv".into()));
    assert!(!format!("{configuration:?}").contains("/srv"));
    let mode = std::fs::metadata(current.path().join("configuration.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    let id = pack_id("media_tools");
    assert_eq!(std::fs::read(scene.home.pack_active(&id).join("pack.yaml")).unwrap(), b"id: media_tools\n");
    assert_eq!(std::fs::read(scene.home.pack_records(&id).join("install.json")).unwrap(), b"{}");
    let history = scene.generations().history().unwrap();
    assert_eq!((history.len(), history[0].from, history[0].to), (1, None, Some(number(1))));
}

#[test]
fn a_changed_configuration_is_noticed_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let generation = scene.generation(&writer, &[]);
    let key = scene.home.key().unwrap().unwrap();
    generation.verify_configuration(&key).unwrap();
    let digest = generation.digest().unwrap();
    let path = generation.path().join("configuration.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("/srv", "/etc");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, text).unwrap();
    assert_eq!(generation.verify_configuration(&key).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(generation.digest().unwrap(), digest, "the digest is no oracle for values");
    std::fs::write(generation.path().join("extra"), b"x").unwrap();
    assert_ne!(generation.digest().unwrap(), digest);
}

#[test]
fn an_incomplete_generation_is_not_published_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let mut staged = scene.generations().stage(&writer).unwrap();
    staged.write(Part::Lock, b"").unwrap();
    assert!(staged.write(Part::Lock, b"").is_err());
    assert!(staged.publish(meta(None)).is_err());
    assert_eq!(scene.generations().list().unwrap(), []);
    // The next attempt removes what this one left.
    let next = scene.generation(&writer, &[]);
    assert_eq!(next.number(), GenerationNumber::FIRST);
    assert_eq!(std::fs::read_dir(scene.home.generations()).unwrap().count(), 1);
}

#[test]
fn numbers_are_not_used_twice_and_the_current_one_stays() {
    let scene = Scene::new();
    let writer = scene.writer();
    for _ in 0..3 {
        let generation = scene.generation(&writer, &[]);
        Switch::new(&scene.home, &scene.disk, &writer, Some(generation.number())).commit().unwrap();
    }
    let generations = scene.generations();
    assert!(generations.remove(number(3), &writer).is_err());
    generations.remove(number(2), &writer).unwrap();
    assert_eq!(generations.list().unwrap(), [number(1), number(3)]);
    assert_eq!(stage(&scene.home, &scene.disk, &writer, &[]).unwrap().number(), number(4));
    // Rolling back points at another one.
    Switch::new(&scene.home, &scene.disk, &writer, Some(number(1))).commit().unwrap();
    assert_eq!(scene.number(), Some(number(1)));
}

#[test]
fn a_switch_to_what_is_not_there_changes_nothing_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &["a"]);
    Switch::new(&scene.home, &scene.disk, &writer, Some(first.number())).commit().unwrap();
    let error = Switch::new(&scene.home, &scene.disk, &writer, Some(number(9))).commit().unwrap_err();
    assert_eq!(error.recovered, Some(Recovered::Nothing));
    assert_eq!(scene.number(), Some(number(1)));
}

#[test]
fn what_others_made_is_left_alone_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &["a", "b"]);
    let foreign = scene.home.pack_active(&pack_id("b"));
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("mine"), b"x").unwrap();
    let switch = || Switch::new(&scene.home, &scene.disk, &writer, Some(first.number()));
    let error = switch().commit().unwrap_err();
    assert!(matches!(error.cause, StoreError::Foreign(path) if path == foreign));
    assert_eq!(scene.number(), None);
    assert!(!scene.home.pack(&pack_id("a")).exists());
    std::fs::rename(&foreign, scene.folder.path().join("moved")).unwrap();
    switch().commit().unwrap();
    // Removing the packs keeps what is beside the links.
    std::fs::write(scene.home.pack(&pack_id("a")).join("notes.txt"), b"x").unwrap();
    Switch::new(&scene.home, &scene.disk, &writer, None).commit().unwrap();
    assert!(scene.home.pack(&pack_id("a")).join("notes.txt").exists());
    assert!(std::fs::symlink_metadata(scene.home.pack_active(&pack_id("a"))).is_err());
    assert!(!scene.home.pack(&pack_id("b")).exists());
    assert_eq!(scene.number(), None);
}

#[test]
fn a_file_is_placed_with_the_switch_only_below_the_home() {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &[]);
    let mut switch = Switch::new(&scene.home, &scene.disk, &writer, Some(first.number()));
    switch.place(&scene.home.distro(), b"new", 0o600).unwrap();
    for target in ["/etc/passwd", "../x", "a/../../x", ""] {
        assert!(switch.place(std::path::Path::new(target), b"x", 0o600).is_err(), "{target}");
    }
    assert!(!scene.home.distro().exists());
    switch.commit().unwrap();
    assert_eq!(std::fs::read(scene.home.distro()).unwrap(), b"new");
    assert!(!scene.home.staging().exists());
}

#[test]
fn a_damaged_journal_is_refused_and_changes_nothing_denied() {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &["a"]);
    Switch::new(&scene.home, &scene.disk, &writer, Some(first.number())).commit().unwrap();
    for text in ["", "{", "{\"format_version\":2,\"from\":null,\"to\":null,\"steps\":[]}"] {
        std::fs::write(scene.home.journal(), text).unwrap();
        let error = recover(&scene.home, &scene.disk, &writer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(scene.number(), Some(first.number()));
    }
}
