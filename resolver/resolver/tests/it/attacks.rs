//! What a hostile repository, a hostile lock or an unlucky moment would try.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use astrid_authority::PrincipalId;
use astrid_manifest::trust::AckFile;
use astrid_resolver::apply::{ApplyOptions, Applying, NoHooks, apply};
use astrid_resolver::proposal::{Options, Proposal, propose};
use astrid_resolver::trust::files::revoke;
use astrid_resolver::trust::grant::{Caller, grant};
use astrid_resolver::trust::{Flags, TrustedPlan};
use astrid_resolver::{
    Declaration, Error, ErrorKind, Freshness, LockMode, Request, Result, Target, VerifiedFleet, fetch,
};
use astrid_store::generation::Action;

use crate::fixture::{Machine, trust_all};
use crate::support::{Repo, World, archive, distro};

const FS: &str = "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n";
const PACK: &str = "[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\n";
const PRIVATE: &str = "aws_secret_access_key = wJalrXUtnFEMI\n";

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("it is refused").kind()
}

fn told(error: &Error) -> String {
    format!("{error} {error:?}")
}

fn machine() -> Machine {
    let machine = Machine::new();
    machine.capsule("fs", "1.0.0", "fs_read = [\"cwd://docs\"]");
    machine.pack("media_tools", "1.0.0", "fetches media", "print(1)");
    machine.distro("1.0.0", &format!("{FS}{PACK}"));
    machine
}

#[test]
fn links_of_a_repository_are_not_followed_denied() {
    let machine = machine();
    let private = machine.folder.path().join("credentials");
    fs::write(&private, PRIVATE).unwrap();
    fs::create_dir(machine.folder.path().join("elsewhere")).unwrap();
    for path in ["trust/a.toml", "Distro.lock", "fs/Capsule.toml", "Distro.toml"] {
        let link = machine.repository.join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let before = fs::read(&link).ok();
        let _ = fs::remove_file(&link);
        symlink(&private, &link).unwrap();
        let target = Target::parse(machine.repository.to_str().unwrap(), Path::new("/")).unwrap();
        let found = Declaration::load(&machine.context, &target).map(|_| ()).and_then(|()| machine.propose());
        let error = found.err().unwrap_or_else(|| panic!("{path} was followed"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{path}: {error}");
        assert!(!told(&error).contains("wJalr"), "{path}: {error}");
        fs::remove_file(&link).unwrap();
        if let Some(before) = before {
            fs::write(&link, before).unwrap();
        }
    }
    assert!(machine.propose().is_ok());
    // A folder that is a link is no place inside the repository either.
    let elsewhere = machine.folder.path().join("moved");
    fs::rename(machine.repository.join("fs"), &elsewhere).unwrap();
    symlink(&elsewhere, machine.repository.join("fs")).unwrap();
    let error = machine.propose().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("symbolic link"), "{error}");
    fs::remove_file(machine.repository.join("fs")).unwrap();
    fs::rename(&elsewhere, machine.repository.join("fs")).unwrap();
    fs::remove_dir_all(machine.repository.join("trust")).unwrap();
    symlink(machine.context.home.trust(), machine.repository.join("trust")).unwrap();
    assert_eq!(kind(machine.propose()), ErrorKind::Invalid);
}

/// A proposal that went through every gate, and waits for its apply.
fn ready(machine: &Machine) -> (TrustedPlan, Applying) {
    let (plan, acknowledgements, draft, parts) = machine.propose().unwrap().into_parts();
    let caller = Caller { by: "Ada <ada@example.org>", now: machine.context.clock.now() };
    let trusted = grant(plan, &acknowledgements, &trust_all(), None, caller).unwrap();
    (trusted, Applying::new(parts, draft.complete(None).unwrap()))
}

fn finish(machine: &Machine, (trusted, applying): (TrustedPlan, Applying)) -> Result<()> {
    let options = ApplyOptions {
        command: "astrid apply",
        lock_timeout: Duration::ZERO,
        write_lock: true,
        made_by: Action::Apply,
        saved: None,
    };
    apply(&machine.context, &trusted, applying, &options, &mut NoHooks).map(|_| ())
}

#[test]
fn rules_that_were_tightened_while_a_person_was_asked_hold_denied() {
    let machine = machine();
    let waiting = ready(&machine);
    let home = &machine.context.home;
    fs::create_dir_all(home.policy().parent().unwrap()).unwrap();
    fs::write(home.policy(), "[policy.authority]\ndeny = [\"fs_read:*\"]\n").unwrap();
    assert_eq!(kind(finish(&machine, waiting)), ErrorKind::Policy);
    fs::remove_file(home.policy()).unwrap();

    let waiting = ready(&machine);
    let (writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid trust revoke", Duration::ZERO).unwrap();
    revoke(&machine.context, &writer, &"pack:media_tools".parse().unwrap(), None).unwrap();
    drop(writer);
    assert_eq!(kind(finish(&machine, waiting)), ErrorKind::TrustRequired);
    assert_eq!(machine.current(), None);
    finish(&machine, ready(&machine)).unwrap();
}

#[test]
fn an_apply_that_waited_lowers_no_floor_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.distro("1.1.0", &format!("{FS}{PACK}"));
    let waiting = ready(&machine);
    machine.distro("2.0.0", &format!("{FS}{PACK}"));
    machine.apply(&trust_all()).unwrap();
    machine.rollback(Some(1)).unwrap();
    // The home is where the plan started from, but it has seen more since.
    assert_eq!(kind(finish(&machine, waiting)), ErrorKind::Failed);
    assert!(fs::read_to_string(machine.context.home.floors()).unwrap().contains("2.0.0"));
}

fn overwrite(path: &Path, bytes: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_served_folder_that_was_written_to_does_not_come_into_force_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    let content = astrid_resolver::apply::current(&machine.context).unwrap().unwrap().lock.packs[0].content;
    let script = machine.context.store.served_tree(&content).join("executors/one/run.py");
    let served = || {
        let pack = machine.context.home.pack_active(&"media_tools".parse().unwrap());
        fs::read_to_string(pack.join("executors/one/run.py")).unwrap()
    };
    machine.pack("media_tools", "2.0.0", "fetches media", "print(2)");
    machine.apply(&trust_all()).unwrap();
    overwrite(&script, "print(6)");
    machine.rollback(Some(1)).unwrap();
    assert_eq!(served(), "print(1)");
    machine.rollback(Some(2)).unwrap();
    overwrite(&script, "print(6)");
    machine.pack("media_tools", "1.0.0", "fetches media", "print(1)");
    machine.apply(&trust_all()).unwrap();
    assert_eq!(served(), "print(1)");
}

#[test]
fn a_rollback_to_changed_bytes_is_refused_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    let manifest =
        astrid_resolver::apply::current(&machine.context).unwrap().unwrap().lock.capsules[0].manifest;
    machine.capsule("fs", "1.1.0", "fs_read = [\"cwd://docs\"]");
    machine.apply(&trust_all()).unwrap();
    let path = machine.context.store.path(&manifest);
    let text = fs::read_to_string(&path).unwrap();
    overwrite(&path, &text.replace("docs", "etc/"));
    assert_eq!(kind(machine.rollback(Some(1))), ErrorKind::Corrupt);
    assert_eq!(machine.current(), Some(2));
}

#[test]
fn trust_that_was_taken_back_from_a_distro_stops_the_rollback_to_it_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "1.1.0", "fs_read = [\"cwd://\"]");
    machine.apply(&trust_all()).unwrap();
    let (writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid trust revoke", Duration::ZERO).unwrap();
    revoke(&machine.context, &writer, &"distro:starter".parse().unwrap(), None).unwrap();
    drop(writer);
    assert_eq!(kind(machine.rollback(Some(1))), ErrorKind::TrustRequired);
    // What is trusted again, later, may be gone back to.
    machine.capsule("fs", "1.2.0", "fs_read = [\"cwd://\", \"home://\"]");
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "1.3.0", "");
    machine.apply(&trust_all()).unwrap();
    machine.rollback(Some(3)).unwrap();
}

fn proposal(world: &World, fleet: VerifiedFleet, acks_of_repository: bool) -> Result<Proposal> {
    let options = Options {
        overrides: &BTreeMap::new(),
        environment: &|_| None,
        principal: &PrincipalId::default_user(),
        acks_of_repository,
        builtin: &[],
        returning: &[],
        allow_empty: false,
        tool: "0.1.0",
        look: None,
    };
    propose(&world.context, fleet, &options)
}

#[test]
fn acknowledgements_of_a_fetched_distro_count_when_its_origin_is_believed_denied() {
    let world = World::new();
    let repo = Repo::new(&world.path("repo"));
    repo.write("fleets/demo/Distro.toml", distro("[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n"));
    repo.capsule("fleets/demo/fs", "fs", "1.0.0", "[capabilities]\nkv = [\"notes\"]\n");
    repo.commit("a fleet");
    let typed = format!("{}?ref=refs/heads/main&path=fleets/demo", repo.url());
    let load = || {
        let target = Target::parse(&typed, world.root.path()).unwrap();
        let declaration = Declaration::load(&world.context, &target)?;
        let origin = declaration.origin().identity();
        Ok::<_, Error>((fetch(&world.context, &declaration, LockMode::Normal)?, origin))
    };
    let (fleet, origin) = load().unwrap();
    let plan = proposal(&world, fleet, false).unwrap().plan;
    let acks = AckFile { acks: plan.acknowledge("Mallory", "2030-01-01T00:00:00Z".parse().unwrap()) };
    repo.write("fleets/demo/trust/own.toml", acks.to_toml());
    repo.commit("it trusts itself");

    let needed = |acks_of_repository: bool| {
        let proposed = proposal(&world, load().unwrap().0, acks_of_repository).unwrap();
        let (plan, known, _, _) = proposed.into_parts();
        let caller = Caller { by: "Ada", now: world.context.clock.now() };
        grant(plan, &known, &Flags::default(), None, caller)
    };
    for flag in [false, true] {
        let error = needed(flag).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TrustRequired);
        assert!(format!("{error:?}").contains("does not believe"), "shown, without effect: {error:?}");
    }
    let policy = world.context.home.policy();
    fs::create_dir_all(policy.parent().unwrap()).unwrap();
    fs::write(&policy, format!("[[believe]]\norigin = \"{origin}x\"\n")).unwrap();
    assert!(needed(false).is_err());
    fs::write(&policy, format!("[[believe]]\norigin = \"{origin}\"\n")).unwrap();
    needed(false).unwrap();
    repo.write("fleets/demo/trust/own.toml", "[[ack]]\nsubject = 1\n");
    repo.commit("broken");
    let (fleet, _) = load().unwrap();
    assert_eq!(kind(proposal(&world, fleet, false)), ErrorKind::Invalid);
}

fn locked(world: &World, change: impl FnOnce(&str) -> String) {
    let good = world.lock_text();
    let bad = change(&good);
    assert_ne!(bad, good);
    world.write("fleet/Distro.lock", bad);
}

#[test]
fn a_plan_does_not_repeat_what_a_forged_lock_claims_denied() {
    for field in ["version = \"1.0.0\"", "manifest = ", "component = ", "authority = "] {
        let world = World::new();
        world.distro(FS);
        world.capsule("fleet/fs", "fs", "1.0.0", "");
        world.lock().unwrap();
        locked(&world, |good| {
            let line = good[good.find("[[capsule]]").unwrap()..].lines().find(|line| line.starts_with(field));
            let line = line.unwrap();
            let value = if line.starts_with("version") { "9.9.9".to_owned() } else { zeros() };
            good.replacen(line, &format!("{} = \"{value}\"", line.split(' ').next().unwrap()), 1)
        });
        let planned = world
            .verified_with(&Request::default(), Freshness::StatCache)
            .and_then(|fleet| proposal(&world, fleet, false));
        match planned {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{field}: {error}"),
            // It was looked at after all, and what is planned is what the bytes say.
            Ok(planned) => assert_eq!(planned.lock().capsules[0].version.to_string(), "1.0.0", "{field}"),
        }
    }
}

fn zeros() -> String {
    format!("blake3:{}", "0".repeat(64))
}

/// A consumer and its only provider.
fn pair() -> World {
    let world = World::new();
    world.distro(
        "[[capsule]]\nname = \"chat\"\nsource = \"./chat\"\n\n[[capsule]]\nname = \"llm\"\nsource = \"./llm\"\n",
    );
    world.capsule("fleet/chat", "chat", "0.2.0", "[imports]\n\"astrid:llm\" = \"^1.0\"\n");
    world.capsule("fleet/llm", "llm", "1.4.0", "[exports]\n\"astrid:llm\" = \"1.1.0\"\n");
    world
}

#[test]
fn the_only_provider_of_what_is_needed_can_not_go_denied() {
    let world = pair();
    let fleet = world.lock().unwrap();
    let proposed = proposal(&world, fleet, false).unwrap();
    let (plan, known, draft, parts) = proposed.into_parts();
    let caller = Caller { by: "Ada", now: world.context.clock.now() };
    let trusted = grant(plan, &known, &trust_all(), None, caller).unwrap();
    let options = ApplyOptions {
        command: "astrid apply",
        lock_timeout: Duration::ZERO,
        write_lock: true,
        made_by: Action::Apply,
        saved: None,
    };
    let applying = Applying::new(parts, draft.complete(None).unwrap());
    apply(&world.context, &trusted, applying, &options, &mut NoHooks).unwrap();

    world.distro("[[capsule]]\nname = \"chat\"\nsource = \"./chat\"\n");
    for freshness in [Freshness::Hash, Freshness::StatCache] {
        let error = world.verified_with(&Request::default(), freshness).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("astrid:llm") || told(&error).contains("astrid:llm"), "{error:?}");
    }
    // A lock that was made to look fresh does not get it past the plan.
    let hash = world.load().unwrap().manifest_hash();
    locked(&world, |good| {
        let lines: Vec<&str> = good.lines().collect();
        let old = lines.iter().find(|line| line.starts_with("manifest-hash")).unwrap();
        let cut = good.find("[[capsule]]\nname = \"llm\"").unwrap();
        good[..cut].replace(old, &format!("manifest-hash = \"{hash}\""))
    });
    let fleet = world.verified_with(&Request::default(), Freshness::StatCache).unwrap();
    assert_eq!(fleet.lock().capsules.len(), 1, "the forged lock was taken");
    let error = proposal(&world, fleet, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("nothing in the fleet exports it"), "{error}");
}

#[test]
fn a_repository_of_folders_without_end_is_given_up_denied() {
    let world = World::new();
    let folder = world.path("repo");
    let repository = git2::Repository::init_bare(&folder).unwrap();
    let blob = repository.blob(b"schema_version: 1\n").unwrap();
    let mut tree = repository.treebuilder(None).unwrap().write().unwrap();
    // Twenty objects stand for 10^20 folders.
    for _ in 0..20 {
        let mut builder = repository.treebuilder(None).unwrap();
        for name in 0..10 {
            builder.insert(format!("f{name}"), tree, 0o040_000).unwrap();
        }
        tree = builder.write().unwrap();
    }
    let mut builder = repository.treebuilder(Some(&repository.find_tree(tree).unwrap())).unwrap();
    builder.insert("pack.yaml", blob, 0o100_644).unwrap();
    let tree = repository.find_tree(builder.write().unwrap()).unwrap();
    let who = git2::Signature::new("a", "a@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
    let commit = repository.commit(Some("refs/heads/main"), &who, &who, "bomb", &tree, &[]).unwrap();
    world.distro(&format!(
        "[[pack]]\nid = \"media_tools\"\nsource = \"git+file://{}?ref={commit}\"\n",
        folder.display()
    ));
    let error = world.verified().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("files and folders"), "{error}");
}

#[test]
fn a_default_is_said_to_be_taken_and_no_value_is_an_error_that_names_the_ways() {
    let machine = machine();
    let rest = |variable: &str| format!("{variable}{FS}env = {{ ROOT = \"{{{{ root }}}}\" }}\n");
    machine.distro("1.0.0", &rest("[variables.root]\ndefault = \"/srv/top-value\"\n\n"));
    let plan = machine.propose().unwrap().plan;
    let reason = |plan: &astrid_resolver::plan::Plan| {
        let change = plan.document().changes.iter().find(|own| own.subject.to_string() == "config:fs.ROOT");
        change.unwrap().reason.clone()
    };
    assert_eq!(reason(&plan), "its default is taken");
    assert!(!String::from_utf8(plan.to_canonical_json().unwrap()).unwrap().contains("top-value"));
    machine.distro("1.0.0", &rest("[variables.root]\n\n"));
    assert_eq!(reason(&machine.propose().unwrap().plan), "you will be asked for it");
    let error = machine.apply(&trust_all()).unwrap_err();
    for way in ["--var root=", "ASTRID_VAR_ROOT", "default"] {
        assert!(error.next_step().is_some_and(|hint| hint.contains(way)), "{way}: {error:?}");
    }
    assert_eq!(machine.current(), None);
}

/// An index with two versions of one capsule, which differ in nothing but an asset.
fn indexed(world: &World) {
    let line = |version: &str| {
        let bytes = archive("fs", version, "");
        let digest = astrid_authority::Digest::of(&bytes);
        world.write(&format!("index/fs-{version}.capsule"), &bytes);
        format!(
            "{{\"version\":\"{version}\",\"archive\":\"fs-{version}.capsule\",\"blake3\":\"{digest}\"}}\n"
        )
    };
    world.write("index/capsule/fs.jsonl", ["1.0.0", "1.1.0"].map(line).concat());
}

fn declare_indexed(world: &World, version: &str) {
    world.distro(&format!(
        "[[index]]\nname = \"acme\"\nurl = \"{}\"\n\n[[capsule]]\nname = \"fs\"\nsource = \"index:acme/fs\"\nversion = \"={version}\"\n",
        world.path("index").display()
    ));
}

#[test]
fn unsigned_bytes_from_an_index_need_trust_when_they_change_denied() {
    let world = World::new();
    indexed(&world);
    declare_indexed(&world, "1.0.0");
    let proposed = proposal(&world, world.lock().unwrap(), false).unwrap();
    let (plan, known, draft, parts) = proposed.into_parts();
    let caller = Caller { by: "Ada", now: world.context.clock.now() };
    let trusted = grant(plan, &known, &trust_all(), None, caller).unwrap();
    let options = ApplyOptions {
        command: "astrid apply",
        lock_timeout: Duration::ZERO,
        write_lock: true,
        made_by: Action::Apply,
        saved: None,
    };
    let applying = Applying::new(parts, draft.complete(None).unwrap());
    apply(&world.context, &trusted, applying, &options, &mut NoHooks).unwrap();
    declare_indexed(&world, "1.1.0");
    let plan = proposal(&world, world.verified().unwrap(), false).unwrap().plan;
    assert_eq!(plan.document().trust.needed.len(), 1);
}

#[test]
fn a_lock_can_not_pass_other_content_of_the_store_for_that_of_a_source_denied() {
    let world = World::new();
    indexed(&world);
    declare_indexed(&world, "1.1.0");
    let other = world.lock().unwrap().lock().capsules[0].clone();
    declare_indexed(&world, "1.0.0");
    let request = Request { upgrade: astrid_resolver::Upgrade::All, ..Request::default() };
    let fleet = world.verified_with(&request, Freshness::Hash).unwrap();
    fleet.write_lock().unwrap();
    let own = fleet.lock().capsules[0].clone();
    assert_ne!(own.content, other.content);
    let good = world.lock_text();
    let locked_run = |mode| Request { mode, ..Request::default() };
    assert!(world.verified_with(&locked_run(LockMode::Frozen), Freshness::Hash).is_ok());
    let texts = |digest: &astrid_authority::Digest| digest.to_string();
    let forgeries = [
        // The archive is another than the one that the content came in.
        good.replace(&texts(&own.archive.unwrap()), &texts(&other.archive.unwrap())),
        // Another content that this home has, with everything that is worked out from it.
        good.replace(&texts(&own.content), &texts(&other.content))
            .replace(&texts(&own.manifest), &texts(&other.manifest)),
    ];
    for (number, forged) in forgeries.into_iter().enumerate() {
        assert_ne!(forged, good);
        world.write("fleet/Distro.lock", forged);
        for freshness in [Freshness::Hash, Freshness::StatCache] {
            let error = world.verified_with(&locked_run(LockMode::Locked), freshness).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{number}: {error}");
        }
    }
}
