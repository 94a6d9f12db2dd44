//! A switch that is cut short at any mutation leaves the old fleet or the new one.
//!
//! The same scenario is cut short in three ways: the process is killed, one operation fails, and the disk is
//! full from then on (so that the recovery that a failed switch starts fails as well).

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use astrid_store::faults::{FailAt, Faults, FromCount};
use astrid_store::generation::Action;
use astrid_store::journal::{Recovered, Switch, SwitchError, recover};
use astrid_store::{Disk, GenerationNumber, Generations, Home, StoreError, WriterLock};

use crate::scene::{Scene, pack_id, pack_tree, publish};

const OLD: [&str; 2] = ["a", "b"];
const NEW: [&str; 2] = ["b", "c"];

fn second() -> GenerationNumber {
    GenerationNumber::FIRST.next()
}

/// Generation 1 is current, with packs a and b.
fn old() -> Scene {
    let scene = Scene::new();
    let writer = scene.writer();
    let first = scene.generation(&writer, &OLD);
    let mut switch = Switch::new(&scene.home, &scene.disk, &writer, Some(first.number()));
    switch.place(&scene.home.distro(), b"old", 0o600).unwrap();
    switch.commit().unwrap();
    drop(writer);
    scene
}

fn switch(home: &Home, disk: &Disk, writer: &WriterLock, to: GenerationNumber) -> Result<(), SwitchError> {
    let mut switch = Switch::new(home, disk, writer, Some(to)).note(
        "2026-11-20T12:00:00Z".parse().unwrap(),
        "ada",
        Action::Apply,
    );
    switch.place(&home.distro(), b"new", 0o600)?;
    switch.commit()
}

/// What is cut short: everything that a command which applies does to the home.
fn apply(home: &Home, disk: &Disk) -> Result<(), SwitchError> {
    let writer = WriterLock::acquire(home, disk, "test", Duration::from_mins(1))?;
    recover(home, disk, &writer)?;
    let number = publish(home, disk, &writer, &NEW)?.number();
    switch(home, disk, &writer, number)
}

/// Whatever is current is whole, before anybody repaired anything.
fn assert_current_is_whole(scene: &Scene) -> GenerationNumber {
    let current = scene.generations().current().unwrap().expect("one is always current");
    let packs: BTreeSet<String> =
        current.inventory().unwrap().packs.keys().map(ToString::to_string).collect();
    let expected = if current.number() == GenerationNumber::FIRST { OLD } else { NEW };
    assert_eq!(packs, expected.map(ToOwned::to_owned).into());
    current.verify_configuration(&scene.home.key().unwrap().unwrap()).unwrap();
    for id in expected {
        for file in pack_tree(id) {
            let path = scene.home.pack_active(&pack_id(id)).join(file.path.as_str());
            assert_eq!(std::fs::read(path).unwrap(), file.bytes);
        }
        assert!(scene.home.pack_records(&pack_id(id)).join("install.json").exists());
    }
    current.number()
}

/// After recovery, nothing tells of the other fleet.
fn assert_settled(scene: &Scene) -> GenerationNumber {
    let number = assert_current_is_whole(scene);
    let (packs, declaration) = if number == GenerationNumber::FIRST { (OLD, b"old") } else { (NEW, b"new") };
    let served: BTreeSet<String> = std::fs::read_dir(scene.home.packs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(served, packs.map(ToOwned::to_owned).into());
    assert_eq!(std::fs::read(scene.home.distro()).unwrap(), declaration);
    assert!(!scene.home.journal().exists());
    assert!(!scene.home.staging().exists());
    let noted = scene.generations().history().unwrap().len();
    assert_eq!(noted, usize::from(number != GenerationNumber::FIRST));
    number
}

fn recovered(scene: &Scene) -> Recovered {
    let writer = scene.writer();
    let before = scene.number();
    let recovered = recover(&scene.home, &scene.disk, &writer).unwrap();
    assert_eq!(scene.number(), before, "recovery never flips");
    assert_eq!(recover(&scene.home, &scene.disk, &writer).unwrap(), Recovered::Nothing);
    recovered
}

/// A later command gets its way.
fn assert_applies_again(scene: &Scene) {
    apply(&scene.home, &scene.disk).unwrap();
    let number = assert_current_is_whole(scene);
    assert!(number > GenerationNumber::FIRST);
    assert_eq!(std::fs::read(scene.home.distro()).unwrap(), b"new");
    let leftovers = std::fs::read_dir(scene.home.generations())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp-"))
        .count();
    assert_eq!(leftovers, 0);
}

const CHILD: &str = "crash::child_of_the_killed_process";

/// Not a test of its own: the process that `killed_at_any_mutation` kills.
#[test]
fn child_of_the_killed_process() {
    let (Ok(root), Ok(packs), Ok(at)) =
        (std::env::var("CRASH_HOME"), std::env::var("CRASH_PACKS"), std::env::var("CRASH_AT"))
    else {
        return;
    };
    let home = Home::new(root, packs).unwrap();
    let disk = Disk::with_faults(Arc::new(FromCount::new(at.parse().unwrap())));
    apply(&home, &disk).unwrap();
}

#[test]
fn killed_at_any_mutation() {
    let mut outcomes = BTreeSet::new();
    for at in 1_u64.. {
        let scene = old();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--test-threads=1", "--quiet"])
            .env("CRASH_HOME", scene.home.root())
            .env("CRASH_PACKS", scene.home.packs())
            .env("CRASH_AT", at.to_string())
            .output()
            .unwrap()
            .status;
        let before = assert_current_is_whole(&scene);
        let outcome = recovered(&scene);
        match outcome {
            Recovered::Nothing => {}
            Recovered::Undone(number) => assert_eq!(number, Some(GenerationNumber::FIRST)),
            Recovered::Finished(number) => assert_eq!(number, Some(second())),
        }
        assert_eq!(assert_settled(&scene), before);
        outcomes.insert(format!("{outcome:?} {before}"));
        if status.success() {
            assert_eq!(before, second());
            // All of these were seen: before the journal, before the flip, after the flip, after the journal.
            assert_eq!(outcomes.len(), 4, "{outcomes:?}");
            return;
        }
        if at % 7 == 0 {
            assert_applies_again(&scene);
        }
    }
}

fn run(scene: &Scene, faults: impl Faults + 'static) -> Result<(), SwitchError> {
    let disk = Disk::with_faults(Arc::new(faults));
    let writer = scene.writer();
    let staged = Generations::new(scene.home.clone(), scene.disk.clone());
    let number = match staged.list().unwrap().last() {
        Some(last) if *last > GenerationNumber::FIRST => *last,
        _ => publish(&scene.home, &scene.disk, &writer, &NEW).unwrap().number(),
    };
    switch(&scene.home, &disk, &writer, number)
}

#[test]
fn one_failing_operation_is_repaired_at_once() {
    for at in 1.. {
        let scene = old();
        let done = run(&scene, FailAt::once(at, std::io::ErrorKind::PermissionDenied));
        let now = match &done {
            Ok(()) => Some(second()),
            Err(SwitchError { recovered: Some(Recovered::Nothing | Recovered::Undone(_)), cause }) => {
                assert!(matches!(cause, StoreError::Io { .. }));
                Some(GenerationNumber::FIRST)
            }
            Err(SwitchError { recovered: Some(Recovered::Finished(number)), .. }) => *number,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(scene.number(), now);
        recovered(&scene);
        assert_eq!(Some(assert_settled(&scene)), now);
        if done.is_ok() {
            return;
        }
    }
}

#[test]
fn a_full_disk_and_a_recovery_that_is_cut_short_too() {
    for at in 1.. {
        let mut done = false;
        // The first recovery is cut short as well, ever later; three steps at a time to save time.
        for again in (1..).step_by(3) {
            let scene = old();
            done = run(&scene, FailAt::full_from(at)).is_ok();
            let before = assert_current_is_whole(&scene);
            let disk = Disk::with_faults(Arc::new(FailAt::full_from(again)));
            let writer = scene.writer();
            let first = recover(&scene.home, &disk, &writer);
            drop(writer);
            assert_eq!(assert_current_is_whole(&scene), before);
            recovered(&scene);
            assert_eq!(assert_settled(&scene), before);
            if first.is_ok() {
                break;
            }
        }
        if done {
            return;
        }
    }
}
