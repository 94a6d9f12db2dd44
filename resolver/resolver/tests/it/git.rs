//! Git repositories as sources of capsules and of whole distros.

use std::collections::BTreeSet;

use astrid_resolver::context::Network;
use astrid_resolver::{Declaration, ErrorKind, Freshness, LockMode, Request, Target, Upgrade};

use crate::support::{Repo, World, distro};

fn entry(repo: &Repo, query: &str, rest: &str) -> String {
    format!("[[capsule]]\nname = \"fs\"\nsource = \"{}{query}\"\n{rest}\n", repo.url())
}

/// A repository with versions 1.0.0, 1.1.0 and 2.0.0 of a capsule in a folder.
fn versions(world: &World) -> Repo {
    let repo = Repo::new(&world.path("repo"));
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        repo.capsule("capsules/fs", "fs", version, "");
        repo.commit(version);
        repo.tag(&format!("v{version}"));
    }
    repo.tag("nightly");
    repo
}

#[test]
fn tags_are_versions_and_the_commit_is_locked() {
    let world = World::new();
    let repo = versions(&world);
    world.distro(&entry(&repo, "?path=capsules/fs", "version = \"^1\""));
    let fleet = world.lock().unwrap();
    let locked = &fleet.lock().capsules[0];
    assert_eq!(locked.version.to_string(), "1.1.0");
    assert_eq!(locked.resolved_ref.as_ref().unwrap().len(), 40);
    assert_eq!(fleet.capsule(&"fs".parse().unwrap()).unwrap().tree().unwrap().entries().len(), 2);
}

#[test]
fn a_locked_version_stays_until_it_is_upgraded() {
    let world = World::new();
    let repo = versions(&world);
    world.distro(&entry(&repo, "?path=capsules/fs", "version = \"^1\""));
    world.lock().unwrap();
    repo.capsule("capsules/fs", "fs", "1.2.0", "");
    repo.commit("1.2.0");
    repo.tag("v1.2.0");
    assert_eq!(world.verified().unwrap().lock().capsules[0].version.to_string(), "1.1.0");
    let upgrade = Upgrade::Names(BTreeSet::from(["fs".to_owned()]));
    let fleet = world.verified_with(&Request { upgrade, ..Request::default() }, Freshness::Hash).unwrap();
    assert_eq!(fleet.lock().capsules[0].version.to_string(), "1.2.0");
}

#[test]
fn a_locked_fleet_needs_its_repository_no_more() {
    let world = World::new();
    let repo = versions(&world);
    world.distro(&entry(&repo, "?path=capsules/fs", "version = \"^1\""));
    let before = world.lock().unwrap().lock().clone();
    std::fs::remove_dir_all(&repo.folder).unwrap();
    for freshness in [Freshness::StatCache, Freshness::Hash] {
        let request = Request { mode: LockMode::Frozen, ..Request::default() };
        assert_eq!(*world.verified_with(&request, freshness).unwrap().lock(), before);
    }
}

#[test]
fn a_moved_tag_changes_nothing_that_is_locked() {
    let world = World::new();
    let repo = versions(&world);
    world.distro(&entry(&repo, "?path=capsules/fs&ref=v1.1.0", ""));
    let before = world.lock().unwrap().lock().clone();
    repo.capsule("capsules/fs", "fs", "1.1.0", "[capabilities]\nuplink = true\n");
    repo.commit("not the same");
    repo.tag("v1.1.0");
    assert_eq!(*world.verified().unwrap().lock(), before);
    // Another home, which has none of the bytes, still gets the commit that was locked.
    let other = World::new();
    other.write("fleet/Distro.toml", std::fs::read(world.path("fleet/Distro.toml")).unwrap());
    other.write("fleet/Distro.lock", world.lock_text());
    assert_eq!(*other.verified().unwrap().lock(), before);
    let request = Request { upgrade: Upgrade::All, ..Request::default() };
    assert_ne!(*world.verified_with(&request, Freshness::Hash).unwrap().lock(), before);
}

#[test]
fn a_commit_can_be_pinned_and_a_branch_can_not_denied() {
    let world = World::new();
    let repo = versions(&world);
    let commit = repo.commit("again");
    world.distro(&entry(&repo, &format!("?path=capsules/fs&ref={commit}"), ""));
    let fleet = world.verified().unwrap();
    assert_eq!(fleet.lock().capsules[0].resolved_ref.as_deref(), Some(commit.as_str()));
    for reference in ["main", "refs/heads/main", "v9.9.9"] {
        world.distro(&entry(&repo, &format!("?path=capsules/fs&ref={reference}"), ""));
        assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid, "{reference}");
    }
}

#[test]
fn links_and_submodules_are_refused_denied() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.capsule("fs", "fs", "1.0.0", "");
    std::fs::create_dir_all(repo.folder.join("fs/assets")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repo.folder.join("fs/assets/x")).unwrap();
    repo.commit("a link");
    repo.tag("v1.0.0");
    world.distro(&entry(&repo, "?path=fs", "version = \"1\""));
    let error = world.verified().unwrap_err();
    assert!(error.message().contains("symbolic link"), "{error}");
    // A link on the way to the folder is not followed either.
    std::os::unix::fs::symlink("fs", repo.folder.join("way")).unwrap();
    repo.commit("a way");
    repo.tag("v1.1.0");
    world.distro(&entry(&repo, "?path=way", "version = \"1.1\""));
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_manifest_must_say_what_its_tag_says_denied() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.capsule("", "fs", "1.0.0", "");
    repo.commit("one");
    repo.tag("v1.5.0");
    world.distro(&entry(&repo, "", "version = \"1\""));
    let error = world.verified().unwrap_err();
    assert!(error.message().contains("is offered as 1.5.0"), "{error}");
}

#[test]
fn a_remote_repository_is_not_asked_offline_denied() {
    let mut world = World::new();
    world.context.network = Network::Offline;
    world.distro("[[capsule]]\nname = \"fs\"\nsource = \"git+https://example.invalid/a\"\nversion = \"1\"\n");
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsNetwork, "{error}");
}

#[test]
fn a_distro_can_live_in_a_repository() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.write("fleets/demo/Distro.toml", distro("[[capsule]]\nname = \"fs\"\nsource = \"./caps/fs\"\n"));
    repo.capsule("fleets/demo/caps/fs", "fs", "1.0.0", "");
    let commit = repo.commit("a fleet");
    let target =
        Target::parse(&format!("{}?ref=refs/heads/main&path=fleets/demo", repo.url()), world.root.path())
            .unwrap();
    let declaration = Declaration::load(&world.context, &target).unwrap();
    assert_eq!(declaration.origin().commit(), Some(commit.as_str()));
    assert!(declaration.origin().identity().ends_with("?path=fleets/demo"));
    let fleet = astrid_resolver::fetch(&world.context, &declaration, LockMode::Normal).unwrap();
    let lock = fleet.lock();
    assert_eq!(lock.distro.commit.as_deref(), Some(commit.as_str()));
    assert_eq!(lock.capsules[0].resolved_ref, None);
    assert!(fleet.write_lock().is_err());
    // The same folder on disk gives the same bytes.
    let folder = Target::parse("repo/fleets/demo", world.root.path()).unwrap();
    let folder = Declaration::load(&world.context, &folder).unwrap();
    let same = astrid_resolver::fetch(&world.context, &folder, LockMode::Normal).unwrap();
    assert_eq!(same.lock().capsules, lock.capsules);
}

#[test]
fn an_owner_and_a_repository_name_a_distro_of_the_forge() {
    let mut world = World::new();
    let repo = Repo::new(&world.path("forge/acme/fleet"));
    repo.write("Distro.toml", distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n"));
    repo.capsule("fs", "fs", "1.0.0", "");
    repo.commit("a fleet");
    world.context.endpoints.forge = format!("file://{}", world.path("forge").display());
    let target = Target::parse("@acme/fleet", world.root.path()).unwrap();
    let declaration = Declaration::load(&world.context, &target).unwrap();
    assert_eq!(declaration.distro().header.id.as_str(), "demo");
    assert!(Target::parse("https://user:secret@example.org/a", world.root.path()).is_err());
}

#[test]
fn a_fetched_distro_names_nothing_of_this_machine_denied() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    for source in ["/etc", "git+file:///srv/x?ref=v1", "git+http://127.0.0.1:1/x?ref=v1"] {
        repo.write("Distro.toml", distro(&format!("[[capsule]]\nname = \"fs\"\nsource = \"{source}\"\n")));
        repo.commit(source);
        let target = Target::parse(&repo.url(), world.root.path()).unwrap();
        let error = Declaration::load(&world.context, &target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{source}");
        assert!(error.message().contains("may not name this machine"), "{error}");
        assert!(error.place().is_some());
    }
}
