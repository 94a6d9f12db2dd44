use proptest::prelude::*;

use super::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn signer() -> impl Strategy<Value = Signer> {
    let text = "[ -~é\\t\\n]{1,20}";
    prop_oneof![
        Just(Signer::Unsigned),
        text.prop_map(Signer::Key),
        (text, text, text).prop_map(|(issuer, repository, workflow)| Signer::Ci {
            issuer,
            repository,
            workflow
        }),
        (text, text).prop_map(|(issuer, identity)| Signer::Identity { issuer, identity }),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        "\\./[a-z]{1,5}(/[a-z é\"]{1,5}[a-z])?",
        "git\\+https://example\\.org/[a-z]{1,5}\\?ref=[a-z0-9]{1,5}&path=[a-z]{1,4}",
        "@[a-z]{1,4}/[a-z]{1,4}",
        "index:[a-z]{1,4}",
    ]
    .prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn capsule()(
        name in "[a-z][a-z0-9-]{0,8}", version in (0_u64..20, 0_u64..20), source in source(),
        resolved_ref in proptest::option::of("[a-z0-9.]{1,10}"), requirement in proptest::option::of("\\^[1-9]\\.[0-9]"),
        digests in (digest(), digest(), digest()), more in proptest::collection::vec(proptest::option::of(digest()), 5),
        signer in signer(), provenance in proptest::option::of("[a-z0-9-]{1,8}"),
    ) -> LockedCapsule {
        LockedCapsule {
            name: name.parse().unwrap(),
            requirement: requirement.map(|text| text.parse().unwrap()),
            version: Version::new(version.0, version.1, 0),
            source,
            resolved_ref,
            pack: None,
            archive: more[0],
            content: digests.0,
            component: more[1],
            manifest: digests.1,
            wit: more[2],
            authority: digests.2,
            tools: more[3],
            signer,
            provenance,
            bundle: more[4],
            at: Position::default(),
        }
    }
}

prop_compose! {
    fn pack()(id in "[a-z][a-z0-9_]{0,8}", version in "[ -~]{1,8}", source in source(), digests in (digest(), digest(), digest()), signer in signer()) -> LockedPack {
        LockedPack {
            id: id.parse().unwrap(),
            requirement: None,
            version,
            source,
            commit: None,
            archive: None,
            content: digests.0,
            permissions: digests.1,
            authority: digests.2,
            signer,
            provenance: None,
            bundle: None,
            at: Position::default(),
        }
    }
}

prop_compose! {
    fn lock()(
        hash in digest(), mut capsules in proptest::collection::vec(capsule(), 0..6), mut packs in proptest::collection::vec(pack(), 0..4),
        groups in proptest::collection::btree_map("[a-z \"é]{1,6}", proptest::collection::btree_set("[a-z]{1,4}", 0..3), 0..3),
    ) -> Lock {
        capsules.sort_by(|one, two| one.name.cmp(&two.name));
        capsules.dedup_by(|one, two| one.name == two.name);
        packs.sort_by(|one, two| one.id.cmp(&two.id));
        packs.dedup_by(|one, two| one.id == two.id);
        if let (Some(capsule), Some(pack)) = (capsules.first_mut(), packs.first()) {
            capsule.pack = Some(pack.id.clone());
        }
        Lock {
            schema_version: SCHEMA_VERSION,
            must_understand: Lock::default_must_understand(),
            manifest_hash: hash,
            distro: LockedDistro { id: "demo".parse().unwrap(), version: Version::new(1, 0, 0), source: None, commit: None },
            selection: groups
                .into_iter()
                .map(|(group, names)| (group, names.into_iter().map(|name| name.parse().unwrap()).collect()))
                .collect(),
            capsules,
            packs,
        }
    }
}

fn placeless(mut lock: Lock) -> Lock {
    for entry in &mut lock.capsules {
        entry.at = Position::default();
    }
    for entry in &mut lock.packs {
        entry.at = Position::default();
    }
    lock
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(lock in lock()) {
        let text = lock.to_toml();
        let again = Lock::parse("Distro.lock", &text).map_err(|complaints| TestCaseError::fail(complaints.render(false)))?.value;
        prop_assert_eq!(placeless(again.clone()), lock);
        prop_assert_eq!(again.to_toml(), text);
    }

    #[test]
    fn order_does_not_matter(lock in lock()) {
        let mut turned = lock.clone();
        turned.capsules.reverse();
        turned.packs.reverse();
        turned.must_understand.reverse();
        prop_assert_eq!(turned.to_toml(), lock.to_toml());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = AnyLock::parse("Distro.lock", &text);
    }
}

const ZERO: &str = "blake3:0000000000000000000000000000000000000000000000000000000000000000";

fn minimal() -> String {
    format!(
        "schema-version = 2\nmanifest-hash = \"{ZERO}\"\n\n[distro]\nid = \"demo\"\nversion = \"0.1.0\"\n"
    )
}

#[track_caller]
fn refuses(text: &str, rule: &str) {
    let complaints = Lock::parse("Distro.lock", text).expect_err("it was taken");
    assert!(complaints.has_rule(rule), "no `{rule}` in\n{complaints}");
}

#[test]
fn the_text_is_canonical() {
    let lock = Lock::parse("Distro.lock", &minimal()).unwrap().value;
    assert_eq!(lock.to_toml(), minimal());
}

#[test]
fn what_must_be_understood_and_is_not_is_denied() {
    let with = |words: &str| {
        minimal().replace("manifest-hash", &format!("must-understand = [{words}]\nmanifest-hash"))
    };
    assert!(Lock::parse("Distro.lock", &with("\"authority\", \"signer\"")).is_ok());
    refuses(&with("\"authority\", \"quorum\""), "must-understand");
}

#[test]
fn damaged_locks_are_denied() {
    refuses(&minimal().replace("schema-version = 2", "schema-version = 3"), "schema-version");
    refuses(&minimal().replace("blake3:", "sha256:"), "digest");
    refuses(&format!("extra = 1\n{}", minimal()), "unknown-key");
    let capsule = format!(
        "[[capsule]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"./a\"\ncontent = \"{ZERO}\"\nmanifest = \"{ZERO}\"\nauthority = \"{ZERO}\"\nsigner = \"unsigned\"\n"
    );
    assert!(Lock::parse("Distro.lock", &format!("{}{capsule}", minimal())).is_ok());
    refuses(&format!("{}{capsule}{capsule}", minimal()), "duplicate");
    refuses(&format!("{}{capsule}pack = \"p\"\n", minimal()), "unknown-pack");
    refuses(
        &format!("{}{}", minimal(), capsule.replace("\"unsigned\"", "{ key = \"k\", issuer = \"i\" }")),
        "signer",
    );
    refuses(&format!("{}{}", minimal(), capsule.replace("signer = \"unsigned\"\n", "")), "missing-field");
}

#[test]
fn version_one_is_read() {
    let text = format!(
        "schema-version = 1\n[distro]\nid = \"demo\"\nversion = \"0.1.0\"\nresolved-at = \"1970-01-01T00:00:00+00:00\"\n\
         [[capsule]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"@acme/a\"\nhash = \"{ZERO}\"\nresolved_ref = \"v1.0.0\"\n\
         [[capsule]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"./b\"\nhash = \"\"\n"
    );
    let AnyLock::V1(old) = AnyLock::parse("Distro.lock", &text).unwrap().value else { panic!() };
    assert_eq!(old.capsules.len(), 2);
    assert_eq!(old.capsules[1].hash, None);
    refuses(&text, "old-lock");
}
