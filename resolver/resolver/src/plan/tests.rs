use proptest::prelude::*;

use super::document::{Confirmation, State};
use super::fixture::World;
use super::*;
use crate::error::ErrorKind;
use crate::policy::EffectivePolicy;

const REMOTE: &str = "@acme/fs";

fn whys(plan: &Plan, subject: &str) -> Vec<Why> {
    let subject = subject.parse().unwrap();
    let needed = &plan.document().trust.needed;
    needed.iter().find(|need| need.subject == subject).map(|need| need.why.clone()).unwrap_or_default()
}

fn actions(plan: &Plan) -> Vec<(String, Action)> {
    plan.document().changes.iter().map(|change| (change.subject.to_string(), change.action)).collect()
}

fn base() -> World {
    World::new()
        .capsule("fs", REMOTE, "one", &["fs_read:cwd://docs"])
        .capsule("kv", "./kv", "one", &["publish:a.b"])
        .pack("media_tools", "one", "fetches media")
        .applied()
}

#[test]
fn everything_is_new_to_an_empty_home() {
    let plan =
        World::new().capsule("fs", REMOTE, "one", &["uplink"]).pack("tools", "one", "x").plan().unwrap();
    let document = plan.document();
    assert_eq!(whys(&plan, "capsule:fs"), [Why::New]);
    assert_eq!(whys(&plan, "pack:tools"), [Why::New]);
    assert_eq!(document.base, None);
    assert_eq!(document.changes[0].line, Some(7));
    assert_eq!(document.authority.enforced["fs"].added.len(), 1);
    assert_eq!(document.authority.disclosed["tools"].added.len(), 1);
    assert_eq!(document.health.len(), 1);
    assert_eq!(
        document.summary().to_string(),
        "Plan: 3 to add, 0 to change, 0 to remove; authority: 2 widened (needs trust)"
    );
}

#[test]
fn what_needs_trust_is_what_the_rules_say() {
    let world = base().capsule("fs", REMOTE, "two", &["fs_read:cwd://docs"]);
    assert_eq!(whys(&world.plan().unwrap(), "capsule:fs"), [Why::Bytes], "unsigned, not local, other bytes");
    let world = base().capsule("fs", REMOTE, "one", &["fs_read:cwd://"]);
    assert_eq!(whys(&world.plan().unwrap(), "capsule:fs"), [Why::Widened]);
    let world = base().capsule("kv", "./kv2", "one", &["publish:a.b"]);
    assert_eq!(whys(&world.plan().unwrap(), "capsule:kv"), [Why::Source]);
    let key = astrid_manifest::signer::Signer::Key("ed25519:AAAA".to_owned());
    let world = base().edit("capsule:fs", |fs| fs.signer = key);
    assert_eq!(whys(&world.plan().unwrap(), "capsule:fs"), [Why::Signer]);
    let world = base().edit("capsule:kv", |kv| kv.provenance = Some("slsa-v1".to_owned()));
    assert_eq!(whys(&world.plan().unwrap(), "capsule:kv"), [Why::Provenance]);
    let world = base().pack("media_tools", "two", "fetches media");
    assert_eq!(whys(&world.plan().unwrap(), "pack:media_tools"), [Why::Bytes]);
}

#[test]
fn a_local_capsule_that_may_do_no_more_needs_none() {
    let plan = base().capsule("kv", "./kv", "two", &[]).plan().unwrap();
    assert!(plan.document().trust.needed.is_empty());
    assert_eq!(plan.document().authority.enforced["kv"].removed.len(), 1);
    assert!(!plan.is_empty());
}

#[test]
fn a_capsule_in_a_pack_is_covered_by_the_pack_and_one_that_leaves_it_is_not_denied() {
    let inside = World::new()
        .pack("media_tools", "one", "x")
        .capsule("thumbs", "git+https://example.org/media_tools", "one", &["uplink"])
        .edit("capsule:thumbs", |thumbs| thumbs.pack = Some("media_tools".parse().unwrap()));
    let plan = inside.plan().unwrap();
    assert_eq!(plan.document().trust.needed.len(), 1);
    assert!(plan.document().trust.distro.is_none());
    let left = inside.applied().edit("capsule:thumbs", |thumbs| thumbs.pack = None);
    assert_eq!(whys(&left.plan().unwrap(), "capsule:thumbs"), [Why::New]);
}

#[test]
fn another_signer_or_place_replaces() {
    let plan = base().capsule("kv", "@acme/kv", "one", &["publish:a.b"]).plan().unwrap();
    assert!(actions(&plan).contains(&("capsule:kv".to_owned(), Action::Replace)));
}

#[test]
fn the_same_relative_source_of_another_distro_is_another_place_denied() {
    let lock =
        astrid_manifest::lock::Lock::parse("Distro.lock", include_str!("test_lock.toml")).unwrap().value;
    let of = |origin: &str| Fleet::of_lock(&lock, origin);
    let subject = "capsule:fs".parse().unwrap();
    let (own, other) = (of("/srv/fleet"), of("/srv/other"));
    assert_ne!(own.artifacts[&subject].place, other.artifacts[&subject].place);
    assert!(own.artifacts[&subject].is_local);
    let fetched = of("git+https://example.org/fleet");
    assert!(!fetched.artifacts[&subject].is_local, "what was fetched is not this machine's");
}

#[test]
fn removals_come_last_and_in_reverse() {
    let plan = base().anew().capsule("zz", "./zz", "one", &[]).plan().unwrap();
    let order: Vec<_> = actions(&plan).into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(order, ["capsule:zz", "distro:starter", "pack:media_tools", "capsule:kv", "capsule:fs"]);
    assert_eq!(plan.document().authority.disclosed["media_tools"].removed.len(), 1);
}

#[test]
fn everything_and_what_is_kept_does_not_go_denied() {
    let refused = base().anew().plan().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Policy);
    let mut world = base().anew();
    world.allow_empty = true;
    assert_eq!(world.plan().unwrap().document().summary().remove, 3);
    world.base.as_mut().unwrap().keep.insert("fs".parse().unwrap());
    assert_eq!(world.plan().unwrap_err().kind(), ErrorKind::Policy);
}

#[test]
fn a_ceiling_refuses_what_is_new_and_what_was_there_before_it_denied() {
    let mut world = base();
    let home = astrid_manifest::policy::Policy {
        authority: astrid_manifest::policy::AuthorityPolicy { deny: vec!["publish:a.*".parse().unwrap()] },
        ..Default::default()
    };
    world.policy = EffectivePolicy::combine(&home, &astrid_manifest::policy::Policy::default(), false);
    let refused = world.plan().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Policy);
    assert!(refused.to_string().contains("capsule:kv"), "{refused}");
    let distro = astrid_manifest::policy::Policy {
        authority: astrid_manifest::policy::AuthorityPolicy {
            deny: vec!["permission:network".parse().unwrap()],
        },
        ..Default::default()
    };
    world.policy = EffectivePolicy::combine(&astrid_manifest::policy::Policy::default(), &distro, false);
    assert!(world.plan().unwrap_err().to_string().contains("pack:media_tools"));
}

#[test]
fn an_older_distro_another_distro_and_another_signer_want_their_own_flags_denied() {
    let mut world = base();
    world.fleet.version = "0.9.0".parse().unwrap();
    let confirm = world.plan().unwrap().document().confirm.clone();
    assert!(matches!(&confirm[..], [Confirmation::Downgrade { .. }]));

    let mut world = base();
    world.origin = "/srv/other".to_owned();
    let plan = world.plan().unwrap();
    assert!(
        matches!(&plan.document().confirm[..], [Confirmation::ReplaceDistro { .. }]),
        "the same id from elsewhere"
    );

    let signed = |key: &str| astrid_manifest::signer::Signer::Key(key.to_owned());
    let world = World::new()
        .capsule("fs", REMOTE, "one", &[])
        .edit("capsule:fs", |fs| fs.signer = signed("ed25519:A"))
        .applied();
    let other = world.clone().edit("capsule:fs", |fs| fs.signer = signed("ed25519:B"));
    assert!(matches!(&other.plan().unwrap().document().confirm[..], [Confirmation::NewSigner { .. }]));
    let none = world.edit("capsule:fs", |fs| fs.signer = astrid_manifest::signer::Signer::default());
    assert!(matches!(&none.plan().unwrap().document().confirm[..], [Confirmation::NewSigner { .. }]));
}

#[test]
fn an_older_version_of_a_pinned_distro_is_one_wherever_it_comes_from_denied() {
    let mut world = base();
    world.pinned = Some(astrid_manifest::signer::Signer::Key("ed25519:A".to_owned()));
    world.fleet.version = "2.0.0".parse().unwrap();
    let mut world = world.applied();
    // An old bundle of the same signer, carried to a home that follows the repository.
    world.origin = "bundle by key ed25519:A".to_owned();
    world.fleet.version = "1.0.0".parse().unwrap();
    let confirm = world.plan().unwrap().document().confirm.clone();
    assert!(confirm.iter().any(|one| matches!(one, Confirmation::Downgrade { .. })), "{confirm:?}");
    world.fleet.version = "2.0.0".parse().unwrap();
    let confirm = world.plan().unwrap().document().confirm.clone();
    assert!(matches!(&confirm[..], [Confirmation::ReplaceDistro { .. }]), "{confirm:?}");
    // Whose an unsigned distro is, nobody knows: the same id elsewhere may be another one.
    world.pinned = None;
    world.fleet.version = "1.0.0".parse().unwrap();
    let confirm = world.plan().unwrap().document().confirm.clone();
    assert!(matches!(&confirm[..], [Confirmation::ReplaceDistro { .. }]), "{confirm:?}");
}

#[test]
fn a_signed_capsule_does_not_become_an_unsigned_one_inside_of_a_pack_denied() {
    let signed = |key: &str| astrid_manifest::signer::Signer::Key(key.to_owned());
    let world = World::new()
        .capsule("fs", REMOTE, "one", &[])
        .edit("capsule:fs", |fs| fs.signer = signed("ed25519:A"));
    let world = world.applied();
    let inside = |world: World, signer: astrid_manifest::signer::Signer| {
        world
            .anew()
            .pack("media_tools", "media", "")
            .edit("pack:media_tools", |pack| pack.signer = signer.clone())
            .capsule("fs", REMOTE, "two", &[])
            .edit("capsule:fs", |fs| {
                fs.pack = Some("media_tools".parse().unwrap());
                fs.signer = signer.clone();
            })
    };
    let told = |world: &World| world.plan().unwrap().document().confirm.clone();
    for other in [astrid_manifest::signer::Signer::Unsigned, signed("ed25519:B")] {
        assert!(matches!(&told(&inside(world.clone(), other))[..], [Confirmation::NewSigner { .. }]));
    }
    assert!(told(&inside(world, signed("ed25519:A"))).is_empty());
    // Of a pack that was applied, its capsules are: who makes them is asked of the pack alone.
    let world = inside(World::new(), signed("ed25519:A")).applied();
    let mut world = inside(world, signed("ed25519:B"));
    assert!(matches!(&told(&world)[..], [Confirmation::NewSigner { .. }]), "{:?}", told(&world));
    world.floors.raise(&world.origin.clone(), &world.fleet.clone(), &["pack:media_tools".parse().unwrap()]);
    let world = world.edit("capsule:fs", |fs| fs.content = astrid_authority::Digest::of(b"three"));
    assert!(told(&world).is_empty(), "{:?}", told(&world));
}

#[test]
fn floors_outlast_the_generation() {
    let mut world = base();
    world.fleet.version = "2.0.0".parse().unwrap();
    let mut world = world.applied();
    world.base = None;
    world.fleet.version = "1.0.0".parse().unwrap();
    assert!(matches!(&world.plan().unwrap().document().confirm[..], [Confirmation::Downgrade { .. }]));
}

#[test]
fn damage_is_healed_without_new_trust() {
    let mut world = base();
    world.damaged.insert("pack:media_tools".parse().unwrap(), "a blob is missing".to_owned());
    let plan = world.plan().unwrap();
    assert_eq!(actions(&plan), [("pack:media_tools".to_owned(), Action::Heal)]);
    assert!(plan.document().trust.needed.is_empty());
}

#[test]
fn settings_show_digests_and_never_values() {
    let mut world = base();
    let (name, root, token) = ("fs".parse().unwrap(), "ROOT".parse().unwrap(), "TOKEN".parse().unwrap());
    let place = |key: &astrid_authority::EnvKey| (CapsuleName::clone(&name), key.clone());
    world.settings.insert(place(&root), SettingFact::Text(Some(astrid_authority::Digest::of(b"keyed"))));
    world.settings.insert(place(&token), SettingFact::NewSecret(astrid_authority::Digest::of(b"shape")));
    let plan = world.plan().unwrap();
    let states: Vec<_> = plan.document().changes.iter().map(|change| change.after.clone().unwrap()).collect();
    assert!(matches!(states[0], State::Setting { digest: Some(_), secret: false }));
    assert!(matches!(states[1], State::Setting { digest: None, secret: true }));
    world.settings.insert(place(&token), SettingFact::StoredSecret(astrid_authority::Digest::of(b"shape")));
    assert!(world.clone().applied().plan().unwrap().is_empty());
    world.settings.clear();
    world.stored_secrets = vec!["TOKEN"];
    let moved = world.capsule("fs", "@evil/fs", "one", &["fs_read:cwd://docs"]).plan().unwrap();
    assert_eq!(moved.document().authority.enforced["fs"].secrets, ["TOKEN".parse().unwrap()]);
}

#[test]
fn no_absolute_path_is_told() {
    let world = World::new().capsule("fs", "/home/ada/secret-project/fs", "one", &[]);
    let text = String::from_utf8(world.plan().unwrap().to_canonical_json().unwrap()).unwrap();
    assert!(!text.contains("/home/ada") && !text.contains("/srv/fleet"), "{text}");
}

use astrid_authority::CapsuleName;

prop_compose! {
    fn worlds()(
        capsules in proptest::collection::btree_map("[a-d]", ("[xy]", 0..3_usize, any::<bool>()), 1..4),
        packs in proptest::collection::btree_map("[p-r]", ("[xy]", "[mn]?"), 0..3),
        base in any::<bool>(),
    ) -> World {
        let mut world = World::new();
        if base {
            world = world.capsule("a", "./a", "old", &["uplink"]).pack("p", "old", "old").applied().anew();
        }
        for (name, (content, grants, local)) in &capsules {
            let source = if *local { format!("./{name}") } else { format!("@acme/{name}") };
            world = world.capsule(name, &source, content, &["uplink", "publish:a.b"][..(*grants).min(2)]);
        }
        for (id, (content, reason)) in &packs {
            world = world.pack(id, content, reason);
        }
        world
    }
}

proptest! {
    #[test]
    fn a_plan_of_what_was_applied_is_empty(world in worlds()) {
        let plan = world.clone().applied().plan().unwrap();
        prop_assert!(plan.is_empty(), "{:?}", plan.document().changes);
        prop_assert!(plan.document().trust.needed.is_empty());
        prop_assert!(plan.document().confirm.is_empty());
    }

    #[test]
    fn the_same_facts_give_the_same_bytes_and_these_parse(world in worlds()) {
        let plan = world.plan().unwrap();
        let bytes = plan.to_canonical_json().unwrap();
        prop_assert_eq!(&bytes, &world.plan().unwrap().to_canonical_json().unwrap());
        let read: PlanDocument = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&read, plan.document());
        prop_assert_eq!(to_canonical_json(&read).unwrap(), bytes);
    }

    #[test]
    fn nothing_widens_without_a_need_for_trust(world in worlds()) {
        let plan = world.plan().unwrap();
        let document = plan.document();
        for (name, change) in &document.authority.enforced {
            let needed = document.trust.needed.iter().any(|need| need.subject.name() == name.as_str());
            prop_assert!(!change.widens() || needed, "{name}");
        }
        for (id, change) in &document.authority.disclosed {
            let needed = document.trust.needed.iter().any(|need| need.subject.name() == id.as_str());
            prop_assert!(!change.widens() || needed, "{id}");
        }
    }
}
