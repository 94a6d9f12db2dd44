//! Local sources, and what a lock is to a run.

use std::collections::BTreeSet;
use std::fs;

use astrid_resolver::lock_state::{LockState, Selection, lock_diff, lock_state};
use astrid_resolver::solve::Member;
use astrid_resolver::{ErrorKind, Freshness, LockMode, Request, Upgrade};

use crate::support::{World, archive};

const TWO: &str = "[[capsule]]\nname = \"chat\"\nsource = \"../chat\"\n\n[[capsule]]\nname = \"llm\"\nsource = \"./llm\"\nversion = \"^1\"\n";

fn two() -> World {
    let world = World::new();
    world.distro(&TWO.replace("../chat", "./chat"));
    world.capsule("fleet/chat", "chat", "0.2.0", "[imports]\n\"astrid:llm\" = \"^1.0\"\n");
    world.capsule("fleet/llm", "llm", "1.4.0", "[exports]\n\"astrid:llm\" = \"1.1.0\"\n");
    world
}

fn frozen(mode: LockMode) -> Request {
    Request { mode, ..Request::default() }
}

#[test]
fn a_lock_is_the_same_on_every_run() {
    let world = two();
    let fleet = world.lock().unwrap();
    let first = world.lock_text();
    assert!(!fleet.write_lock().unwrap());
    fs::remove_file(world.path("fleet/Distro.lock")).unwrap();
    world.lock().unwrap();
    assert_eq!(world.lock_text(), first);
    assert!(!first.contains(&world.root.path().display().to_string()), "{first}");
    assert!(first.contains("source = \"./llm\"") && first.contains("requirement = \"^1\""), "{first}");
}

#[test]
fn what_no_archive_would_hold_is_not_pinned() {
    let world = two();
    let before = world.lock().unwrap().lock().clone();
    world.write("fleet/llm/README.md", "another text");
    world.write("fleet/llm/target/junk", "built");
    world.write("fleet/llm/src/lib.rs", "fn f() {}");
    assert_eq!(*world.verified().unwrap().lock(), before);
    world.write("fleet/llm/assets/logo", "a part of it");
    assert_ne!(*world.verified().unwrap().lock(), before);
}

#[test]
fn a_fresh_lock_is_taken_without_reading_artifacts() {
    let world = two();
    let locked = world.lock().unwrap();
    for freshness in [Freshness::Hash, Freshness::StatCache, Freshness::StatCache] {
        let fleet = world.verified_with(&Request::default(), freshness).unwrap();
        assert_eq!(fleet.lock(), locked.lock());
        let names: Vec<String> = fleet.capsules().map(|one| one.locked().name.to_string()).collect();
        assert_eq!(names, ["chat", "llm"]);
        let capsule = fleet.capsule(&"llm".parse().unwrap()).unwrap();
        assert_eq!(capsule.manifest().unwrap().exports.len(), 1);
        assert!(capsule.authority().unwrap().granted.is_empty());
        assert_eq!(
            fleet.graph().unwrap().order().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["llm", "chat"]
        );
    }
}

#[test]
fn an_edited_local_source_is_locked_anew() {
    let world = two();
    let before = world.lock().unwrap().lock().clone();
    world.capsule("fleet/llm", "llm", "1.5.0", "[exports]\n\"astrid:llm\" = \"1.2.0\"\n");
    let after = world.verified_with(&Request::default(), Freshness::StatCache).unwrap();
    let diff = lock_diff(Some(&before), after.lock());
    assert_eq!(diff.len(), 1);
    assert_eq!(diff[0].member, Member::Capsule("llm".parse().unwrap()));
    assert_eq!(diff[0].before.as_ref().unwrap().version, "1.4.0");
    assert_eq!(diff[0].after.as_ref().unwrap().version, "1.5.0");
}

#[test]
fn an_edited_local_source_is_refused_when_locked_denied() {
    let world = two();
    world.lock().unwrap();
    world.write("fleet/llm/assets/logo", "a part of it");
    for (mode, freshness) in [(LockMode::Locked, Freshness::Hash), (LockMode::Frozen, Freshness::StatCache)] {
        let error = world.verified_with(&frozen(mode), freshness).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.message().contains("content of capsule `llm`"), "{error}");
    }
}

#[test]
fn a_stale_lock_names_the_line_denied() {
    let world = two();
    let missing = world.verified_with(&frozen(LockMode::Locked), Freshness::Hash).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::StaleLock);
    world.lock().unwrap();
    assert_eq!(lock_state(&world.load().unwrap(), &Selection::new()), LockState::Fresh);
    for (from, to, line) in [
        ("version = \"^1\"", "version = \"^1.2\"", 14),
        ("source = \"./llm\"", "source = \"./other\"", 13),
        ("version = \"0.1.0\"", "version = \"0.2.0\"", 2),
    ] {
        let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
        world.write("fleet/Distro.toml", text.replace(from, to));
        let error = world.verified_with(&frozen(LockMode::Frozen), Freshness::Hash).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StaleLock, "{error}");
        assert_eq!(error.place().unwrap().line, line, "{error}");
        world.write("fleet/Distro.toml", text);
    }
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    world.write("fleet/Distro.toml", format!("# a comment\n{text}"));
    assert!(world.verified_with(&frozen(LockMode::Locked), Freshness::Hash).is_ok());
}

#[test]
fn a_lock_that_was_changed_by_hand_is_refused_denied() {
    let world = two();
    world.lock().unwrap();
    let good = world.lock_text();
    for key in ["content", "component", "manifest", "authority"] {
        let bad: String = good
            .lines()
            .map(|line| {
                if line.starts_with(&format!("{key} = ")) {
                    format!("{key} = \"blake3:{}\"\n", "0".repeat(64))
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        assert_ne!(bad, good);
        world.write("fleet/Distro.lock", bad);
        let error = world.verified_with(&frozen(LockMode::Locked), Freshness::Hash).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{key}: {error}");
    }
}

#[test]
fn names_and_versions_of_the_bytes_must_be_the_declared_ones_denied() {
    let world = two();
    world.capsule("fleet/llm", "other", "1.4.0", "");
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
    world.capsule("fleet/llm", "llm", "2.0.0", "[exports]\n\"astrid:llm\" = \"1.1.0\"\n");
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("has only 2.0.0"), "{error}");
}

#[test]
fn a_component_is_never_built_here_denied() {
    let world = two();
    fs::remove_file(world.path("fleet/llm/llm.wasm")).unwrap();
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.next_step().unwrap().contains("astrid capsule build"), "{error}");
}

#[test]
fn a_pinned_component_is_compared_denied() {
    let world = two();
    let hash = astrid_authority::Digest::of(b"another");
    let manifest = format!(
        "[package]\nname = \"llm\"\nversion = \"1.4.0\"\n[[component]]\nfile = \"llm.wasm\"\nhash = \"{hash}\"\n[exports]\n\"astrid:llm\" = \"1.1.0\"\n"
    );
    world.write("fleet/llm/Capsule.toml", manifest);
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn absolute_sources_are_for_the_home_only_denied() {
    let world = two();
    let path = world.path("fleet/llm").display().to_string();
    world.distro(&TWO.replace("../chat", "./chat").replace("./llm", &path));
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.place().unwrap().line, 13, "{error}");
}

#[test]
fn a_link_in_a_source_is_refused_denied() {
    let world = two();
    world.write("secret", "s");
    fs::create_dir_all(world.path("fleet/llm/assets")).unwrap();
    std::os::unix::fs::symlink(world.path("secret"), world.path("fleet/llm/assets/x")).unwrap();
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn an_archive_pins_the_same_content_as_its_folder() {
    let world = World::new();
    world.distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    world.capsule("fleet/fs", "fs", "1.0.0", "");
    let folder = world.verified().unwrap().lock().capsules[0].clone();
    world.distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs.capsule\"\n");
    let bytes = archive("fs", "1.0.0", "");
    world.write("fleet/fs.capsule", &bytes);
    let packed = world.verified().unwrap().lock().capsules[0].clone();
    assert_eq!(packed.content, folder.content);
    assert_eq!(packed.archive, Some(astrid_authority::Digest::of(&bytes)));
    assert_eq!(folder.archive, None);
}

const GROUPS: &str = "[[capsule]]\nname = \"a\"\nsource = \"./a\"\ngroup = \"llm\"\n\n[[capsule]]\nname = \"b\"\nsource = \"./b\"\ngroup = \"llm\"\n";

#[test]
fn a_choice_from_a_group_is_kept_in_the_lock() {
    let world = World::new();
    world.distro(GROUPS);
    world.capsule("fleet/a", "a", "1.0.0", "");
    world.capsule("fleet/b", "b", "1.0.0", "");
    let fleet = world.lock().unwrap();
    assert_eq!(fleet.lock().capsules.len(), 1);
    assert!(
        fleet.warnings().iter().any(|one| one.contains("group `llm` has no default")),
        "{:?}",
        fleet.warnings()
    );
    let mut request = Request::default();
    request.selection.insert("llm".to_owned(), vec!["b".parse().unwrap()]);
    let chosen = world.verified_with(&request, Freshness::Hash).unwrap();
    assert_eq!(chosen.lock().capsules[0].name.as_str(), "b");
    chosen.write_lock().unwrap();
    let again = world.verified_with(&frozen(LockMode::Locked), Freshness::StatCache).unwrap();
    assert_eq!(again.lock().capsules[0].name.as_str(), "b");
    request.selection.insert("llm".to_owned(), vec!["zzz".parse().unwrap()]);
    assert_eq!(world.verified_with(&request, Freshness::Hash).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn packs_bring_their_capsules() {
    let world = World::new();
    world.distro("[[pack]]\nid = \"media\"\nsource = \"./media\"\ncapsules = [\"thumbs\"]\n");
    world.write("fleet/media/pack.yaml", "schema_version: 1\nid: media\nname: Media\nversion: '1.0'\ncontent:\n  capsules: capsules\npermissions:\n- id: network\n  reason: to fetch\n");
    world.write("fleet/media/run.py", "print()");
    world.capsule("fleet/media/capsules/thumbs", "thumbs", "0.3.0", "");
    world.capsule("fleet/media/capsules/extra", "extra", "0.3.0", "");
    let fleet = world.lock().unwrap();
    let lock = fleet.lock();
    assert_eq!((lock.packs.len(), lock.capsules.len()), (1, 1));
    assert_eq!(lock.capsules[0].pack.as_ref().unwrap().as_str(), "media");
    assert_eq!(lock.packs[0].version, "1.0");
    let pack = fleet.pack(&"media".parse().unwrap()).unwrap();
    assert_eq!(pack.authority().unwrap().len(), 1);
    assert_eq!(pack.capsules().count(), 1);
    let again = world.verified_with(&frozen(LockMode::Locked), Freshness::StatCache).unwrap();
    assert_eq!(again.lock(), lock);
    world.write("fleet/media/run.py", "print(1)");
    let error = world.verified_with(&frozen(LockMode::Locked), Freshness::Hash).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_capsule_that_comes_twice_is_refused_denied() {
    let world = World::new();
    world.distro("[[pack]]\nid = \"media\"\nsource = \"./media\"\n\n[[capsule]]\nname = \"thumbs\"\nsource = \"./thumbs\"\n");
    world.write(
        "fleet/media/pack.yaml",
        "schema_version: 1\nid: media\nname: Media\nversion: '1.0'\ncontent:\n  capsules: capsules\n",
    );
    world.capsule("fleet/media/capsules/thumbs", "thumbs", "0.3.0", "");
    world.capsule("fleet/thumbs", "thumbs", "0.3.0", "");
    let error = world.verified().unwrap_err();
    assert!(error.message().contains("comes twice"), "{error}");
    assert_eq!(error.reasons().len(), 2);
}

#[test]
fn a_ceiling_is_never_exceeded_denied() {
    let world = two();
    world.capsule(
        "fleet/llm",
        "llm",
        "1.4.0",
        "[exports]\n\"astrid:llm\" = \"1.1.0\"\n[capabilities]\nuplink = true\n",
    );
    assert!(world.verified().is_ok());
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    world.write("fleet/Distro.toml", format!("{text}\n[policy.authority]\ndeny = [\"uplink\"]\n"));
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Policy);
    assert!(error.reasons()[0].contains("capsule `llm`: `uplink` is denied"), "{error}");
}

#[test]
fn a_locked_run_upgrades_nothing_denied() {
    let world = two();
    world.lock().unwrap();
    let request = Request {
        upgrade: Upgrade::Names(BTreeSet::from(["llm".to_owned()])),
        mode: LockMode::Locked,
        ..Request::default()
    };
    assert_eq!(world.verified_with(&request, Freshness::Hash).unwrap_err().kind(), ErrorKind::NeedsNetwork);
}

#[test]
fn the_platform_of_a_distro_is_checked_denied() {
    let world = two();
    let text = fs::read_to_string(world.path("fleet/Distro.toml")).unwrap();
    world.write(
        "fleet/Distro.toml",
        text.replace("version = \"0.1.0\"", "version = \"0.1.0\"\nastrid-version = \">=0.11\""),
    );
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
}
