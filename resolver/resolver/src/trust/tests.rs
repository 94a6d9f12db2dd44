//! Each rule of trust beside the attack that it stops.

use std::collections::BTreeSet;

use astrid_authority::Digest;
use astrid_manifest::policy::AckRule;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::{Ack, AckFile};
use astrid_provenance::{PublicKey, SigningKey};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::ack_signature::sign_ack;
use super::acknowledgement::{Acknowledgements, Conditions, Revocations};
use super::flags::{Flags, TrustFlag};
use super::grant::{Caller, Prompt, Request, TrustedPlan, grant};
use crate::error::{ErrorKind, Result};
use crate::plan::document::Evidence;
use crate::plan::fixture::World;
use crate::plan::{Plan, PlanDocument};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn conditions(revocations: &Revocations) -> Conditions<'_> {
    static NOBODY: BTreeSet<PublicKey> = BTreeSet::new();
    Conditions { now: now(), rule: AckRule::Any, repository_counts: false, keys: &NOBODY, revocations }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&Zeroizing::new([seed; 32]))
}

fn none() -> Acknowledgements {
    Acknowledgements::new(&conditions(&Revocations::default()))
}

fn world() -> World {
    World::new().pack("media_tools", "one", "fetches media").capsule("fs", "@acme/fs", "one", &["uplink"])
}

fn pack_only() -> World {
    World::new().pack("media_tools", "one", "fetches media")
}

fn acks(plan: &Plan) -> AckFile {
    AckFile { acks: plan.candidates().iter().map(|own| own.acknowledge("Ada", later(-1))).collect() }
}

fn run(plan: Plan, acknowledgements: &Acknowledgements, flags: &Flags) -> Result<TrustedPlan> {
    grant(plan, acknowledgements, flags, None, Caller { by: "Ada", now: now() })
}

/// Types these texts, in order, and remembers what it was asked for.
#[derive(Default)]
struct Typist {
    answers: Vec<&'static str>,
    asked: Vec<String>,
}

impl Prompt for Typist {
    fn ask(&mut self, _: &PlanDocument, request: &Request<'_>) -> Result<Option<String>> {
        self.asked.push(request.expected());
        Ok((!self.answers.is_empty()).then(|| self.answers.remove(0).to_owned()))
    }
}

fn typed(plan: Plan, answers: &[&'static str]) -> (Result<TrustedPlan>, Vec<String>) {
    let mut typist = Typist { answers: answers.to_vec(), asked: Vec::new() };
    let granted =
        grant(plan, &none(), &Flags::default(), Some(&mut typist), Caller { by: "Ada", now: now() });
    (granted, typist.asked)
}

#[test]
fn one_text_is_typed_per_pack_and_one_for_all_other_capsules() {
    let world = world().capsule("kv", "@acme/kv", "one", &[]);
    let (granted, asked) = typed(world.plan().unwrap(), &["trust media_tools", "trust distro starter"]);
    let granted = granted.unwrap();
    assert_eq!(asked, ["trust media_tools", "trust distro starter"]);
    assert_eq!(granted.acks().len(), 3);
    assert!(granted.evidence().iter().all(|(_, evidence)| *evidence == Evidence::Prompt));
}

#[test]
fn another_text_is_no_trust_denied() {
    for answer in [
        "y",
        "yes",
        "Trust media_tools",
        "trust media_tool",
        "trust  media_tools",
        " trust media_tools",
        "trust media_tools ",
        "trust media_tools\n",
        "trust",
        "",
    ] {
        let (granted, _) = typed(pack_only().plan().unwrap(), &[answer]);
        assert_eq!(granted.unwrap_err().kind(), ErrorKind::Failed, "{answer}");
    }
    let (granted, _) = typed(pack_only().plan().unwrap(), &[]);
    assert!(granted.is_err(), "the end of input");
}

#[test]
fn without_a_terminal_the_refusal_names_the_pack_and_the_whole_digest_denied() {
    let plan = world().plan().unwrap();
    let content = plan.document().trust.needed[1].content;
    let refused = run(plan, &none(), &Flags::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TrustRequired);
    let hint = refused.next_step().unwrap();
    assert!(hint.contains(&format!("--trust=pack:media_tools@{content}")), "{hint}");
    assert!(hint.contains("--trust=distro:starter@blake3:"), "{hint}");
}

#[test]
fn a_bound_flag_trusts_that_content_only() {
    let plan = pack_only().plan().unwrap();
    let content = plan.document().trust.needed[0].content;
    let flag = TrustFlag { subject: "pack:media_tools".parse().unwrap(), digest: content };
    let flags = Flags { trust: vec![flag], ..Flags::default() };
    assert_eq!(run(plan, &none(), &flags).unwrap().evidence()[0].1, Evidence::Flag);
    let replaced = pack_only().pack("media_tools", "evil", "fetches media").plan().unwrap();
    assert_eq!(run(replaced, &none(), &flags).unwrap_err().kind(), ErrorKind::TrustRequired);
    let renamed = World::new().pack("other_tools", "one", "fetches media").plan().unwrap();
    assert_eq!(run(renamed, &none(), &flags).unwrap_err().kind(), ErrorKind::TrustRequired, "a moved id");
}

#[test]
fn a_flag_for_the_distro_covers_its_capsules_and_no_pack_denied() {
    let plan = world().plan().unwrap();
    let digest = plan.document().trust.distro.as_ref().unwrap().digest;
    let flag = TrustFlag { subject: "distro:starter".parse().unwrap(), digest };
    let flags = Flags { trust: vec![flag], ..Flags::default() };
    let refused = run(plan, &none(), &flags).unwrap_err();
    assert!(refused.message().contains("pack:media_tools"), "{refused}");
    let capsules = World::new().capsule("fs", "@acme/fs", "one", &["uplink"]);
    let trusted = run(capsules.plan().unwrap(), &none(), &flags).unwrap();
    assert_eq!(trusted.evidence().len(), 1);
    for changed in [
        capsules.clone().capsule("fs", "@acme/fs", "two", &["uplink"]),
        capsules.clone().capsule("fs", "@acme/fs", "one", &["uplink", "net:*"]),
        capsules.clone().edit("capsule:fs", |fs| fs.signer = Signer::Key("ed25519:A".to_owned())),
        capsules.clone().capsule("kv", "./kv", "one", &[]),
    ] {
        assert_eq!(
            run(changed.plan().unwrap(), &none(), &flags).unwrap_err().kind(),
            ErrorKind::TrustRequired
        );
    }
}

#[test]
fn an_acknowledgement_of_the_home_counts() {
    let plan = world().plan().unwrap();
    let home = none().with_home("trust/all.toml", acks(&plan));
    let trusted = run(plan, &home, &Flags::default()).unwrap();
    assert_eq!(trusted.evidence()[0].1, Evidence::File("trust/all.toml".to_owned()));
}

#[test]
fn a_repository_does_not_trust_itself_denied() {
    let plan = world().plan().unwrap();
    let revocations = Revocations::default();
    let own = none().with_repository("trust/all.toml", acks(&plan));
    let refused = run(plan.clone(), &own, &Flags::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TrustRequired);
    assert!(refused.to_string().contains("does not believe"), "{refused}");
    let believed = Conditions { repository_counts: true, ..conditions(&revocations) };
    let own = Acknowledgements::new(&believed).with_repository("trust/all.toml", acks(&plan));
    assert!(run(plan, &own, &Flags::default()).is_ok());
}

type Edit = (&'static str, fn(&mut Ack));

#[test]
fn any_difference_voids_an_acknowledgement_denied() {
    let plan = pack_only().plan().unwrap();
    let good = acks(&plan).acks[0].clone();
    let edits: [Edit; 8] = [
        ("content", |ack| ack.content = Digest::of(b"evil")),
        ("authority", |ack| ack.authority = Digest::of(b"evil")),
        ("signer", |ack| ack.signer = Signer::Key("ed25519:A".to_owned())),
        ("version", |ack| ack.version = "1.0.1".to_owned()),
        ("reason", |ack| ack.permissions[0].reason = "does nothing at all".to_owned()),
        ("permissions", |ack| ack.permissions.clear()),
        ("expired", |ack| ack.expires = Some(now())),
        ("future", |ack| ack.at = later(1)),
    ];
    for (what, edit) in edits {
        let mut ack = good.clone();
        edit(&mut ack);
        let home = none().with_home("trust/x.toml", AckFile { acks: vec![ack] });
        let refused = run(plan.clone(), &home, &Flags::default()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TrustRequired, "{what}");
        assert!(refused.to_string().contains("has no effect"), "{what}: {refused}");
    }
    let mut moved = good;
    moved.subject = "pack:other".parse().unwrap();
    let home = none().with_home("trust/x.toml", AckFile { acks: vec![moved] });
    assert!(run(plan, &home, &Flags::default()).is_err());
}

#[test]
fn changed_bytes_need_trust_again_denied() {
    let first = pack_only();
    let home = none().with_home("trust/x.toml", acks(&first.plan().unwrap()));
    let second = first.applied().pack("media_tools", "two", "fetches media");
    assert_eq!(
        run(second.plan().unwrap(), &home, &Flags::default()).unwrap_err().kind(),
        ErrorKind::TrustRequired
    );
}

#[test]
fn what_a_generation_was_applied_with_serves_it_alone_denied() {
    let plan = pack_only().plan().unwrap();
    let given = acks(&plan).acks;
    assert!(run(plan.clone(), &none(), &Flags::default()).is_err(), "a new install");
    let rollback = none().with_generation(3, &given);
    assert_eq!(run(plan, &rollback, &Flags::default()).unwrap().evidence()[0].1, Evidence::Generation(3));
}

#[test]
fn revoked_trust_does_not_come_back_by_itself_denied() {
    let plan = pack_only().plan().unwrap();
    let subject: Subject = "pack:media_tools".parse().unwrap();
    let content = plan.document().trust.needed[0].content;
    let mut revocations = Revocations::default();
    revocations.revoke(subject.clone(), Some(content), now());
    let revocations = Revocations::parse(&revocations.write().unwrap()).unwrap();
    let acks = acks(&plan);
    let believed = Conditions { repository_counts: true, ..conditions(&revocations) };
    let mut forged = acks.clone();
    forged.acks[0].at = now();
    for (what, known) in [
        ("home", Acknowledgements::new(&believed).with_home("h", acks.clone())),
        ("repository", Acknowledgements::new(&believed).with_repository("r", forged)),
        ("generation", Acknowledgements::new(&believed).with_generation(1, &acks.acks)),
        ("builtin", Acknowledgements::new(&believed).with_builtin([(subject.clone(), content)])),
    ] {
        assert!(run(plan.clone(), &known, &Flags::default()).is_err(), "{what}");
        assert!(known.is_revoked(&subject, content, None), "{what}");
    }
    let mut again = acks;
    again.acks[0].at = later(1);
    let after = Conditions { now: later(2), ..conditions(&revocations) };
    let known = Acknowledgements::new(&after).with_home("h", again);
    assert!(run(plan, &known, &Flags::default()).is_ok(), "given again at this home, later");
}

fn signed_by(plan: &Plan, seed: u8) -> AckFile {
    let mut file = acks(plan);
    file.acks.iter_mut().for_each(|ack| sign_ack(ack, &key(seed)));
    file
}

#[test]
fn a_policy_that_asks_for_signatures_takes_those_of_its_keys() {
    let plan = pack_only().plan().unwrap();
    let revocations = Revocations::default();
    let keys = BTreeSet::from([key(1).public(), key(2).public()]);
    let signed = Conditions { rule: AckRule::Signed, keys: &keys, ..conditions(&revocations) };
    for seed in [1, 2] {
        let home = Acknowledgements::new(&signed).with_home("h", signed_by(&plan, seed));
        assert!(run(plan.clone(), &home, &Flags::default()).is_ok());
        // A believed key counts wherever the file lies.
        let theirs = Acknowledgements::new(&signed).with_repository("r", signed_by(&plan, seed));
        assert!(run(plan.clone(), &theirs, &Flags::default()).is_ok());
        let any = Conditions { keys: &keys, ..conditions(&revocations) };
        let theirs = Acknowledgements::new(&any).with_repository("r", signed_by(&plan, seed));
        assert!(run(plan.clone(), &theirs, &Flags::default()).is_ok());
    }
}

#[test]
fn a_policy_that_asks_for_signatures_takes_no_other_denied() {
    let plan = pack_only().plan().unwrap();
    let revocations = Revocations::default();
    let keys = BTreeSet::from([key(1).public()]);
    let edited = |edit: fn(&mut Ack)| {
        let mut file = signed_by(&plan, 1);
        file.acks.iter_mut().for_each(edit);
        file
    };
    for rule in [AckRule::Signed, AckRule::Any] {
        // A believed origin does not make up for a signature that is asked for.
        let own = Conditions { rule, keys: &keys, ..conditions(&revocations) };
        let believed = Conditions { repository_counts: rule == AckRule::Signed, ..own };
        for (what, file, says) in [
            ("unsigned", acks(&plan), ""),
            ("another key", signed_by(&plan, 2), ""),
            (
                "no signature",
                edited(|ack| ack.signature = Some("ed25519:forged".to_owned())),
                "not over what it says",
            ),
            ("by", edited(|ack| ack.by = "Eve".to_owned()), "not over what it says"),
            ("expires", edited(|ack| ack.expires = Some(later(9))), "not over what it says"),
            ("at", edited(|ack| ack.at = later(-2)), "not over what it says"),
        ] {
            let theirs = Acknowledgements::new(&believed).with_repository("r", file.clone());
            let refused = run(plan.clone(), &theirs, &Flags::default()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TrustRequired, "{what}");
            assert!(refused.to_string().contains(says), "{what}: {refused}");
            let home = Acknowledgements::new(&own).with_home("h", file);
            let counts = run(plan.clone(), &home, &Flags::default()).is_ok();
            // Without that rule the home's own need no signature; a wrong one is wrong all the same.
            assert_eq!(counts, rule == AckRule::Any && says.is_empty(), "{what}");
        }
    }
}

#[test]
fn a_signature_outweighs_neither_bytes_nor_a_revocation_denied() {
    let plan = pack_only().plan().unwrap();
    let keys = BTreeSet::from([key(1).public()]);
    let mut revocations = Revocations::default();
    let other = pack_only().applied().pack("media_tools", "two", "fetches media").plan().unwrap();
    let own = Conditions { keys: &keys, ..conditions(&revocations) };
    let theirs = Acknowledgements::new(&own).with_repository("r", signed_by(&plan, 1));
    assert!(run(other, &theirs, &Flags::default()).is_err());
    revocations.revoke("pack:media_tools".parse().unwrap(), None, later(-2));
    let own = Conditions { keys: &keys, ..conditions(&revocations) };
    let theirs = Acknowledgements::new(&own).with_repository("r", signed_by(&plan, 1));
    assert!(run(plan.clone(), &theirs, &Flags::default()).is_err());
    let home = Acknowledgements::new(&own).with_home("h", signed_by(&plan, 1));
    assert!(run(plan, &home, &Flags::default()).is_ok());
}

#[test]
fn the_builtin_acknowledgement_is_of_exact_content_denied() {
    let plan = pack_only().plan().unwrap();
    let subject: Subject = "pack:media_tools".parse().unwrap();
    let content = plan.document().trust.needed[0].content;
    let known = none().with_builtin([(subject.clone(), content)]);
    assert_eq!(run(plan.clone(), &known, &Flags::default()).unwrap().evidence()[0].1, Evidence::Builtin);
    let other = none().with_builtin([(subject, Digest::of(b"x"))]);
    assert!(run(plan, &other, &Flags::default()).is_err());
}

#[test]
fn trust_covers_neither_downgrade_nor_another_distro_nor_another_signer_denied() {
    let all = Flags { trust_all: true, ..Flags::default() };
    let mut older = world().applied();
    older.fleet.version = "0.1.0".parse().unwrap();
    let refused = run(older.plan().unwrap(), &none(), &all).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Policy);
    let flags = Flags { allow_downgrade: true, ..all.clone() };
    assert!(run(older.plan().unwrap(), &none(), &flags).is_ok());

    let mut elsewhere = world().applied();
    elsewhere.origin = "/srv/evil".to_owned();
    assert_eq!(run(elsewhere.plan().unwrap(), &none(), &all).unwrap_err().kind(), ErrorKind::Policy);
    let flags = Flags { replace_distro: true, ..all.clone() };
    assert!(run(elsewhere.plan().unwrap(), &none(), &flags).is_ok());
    let (granted, asked) = typed(elsewhere.plan().unwrap(), &["starter"]);
    assert!(granted.is_ok());
    assert_eq!(asked, ["starter"]);
    assert!(typed(elsewhere.plan().unwrap(), &["y"]).0.is_err());

    let key = |key: &str| Signer::Key(key.to_owned());
    let signed = world().edit("capsule:fs", |fs| fs.signer = key("ed25519:A")).applied();
    let other = signed.clone().edit("capsule:fs", |fs| fs.signer = key("ed25519:B"));
    assert_eq!(run(other.plan().unwrap(), &none(), &all).unwrap_err().kind(), ErrorKind::Signature);
    let flags = Flags { accept_new_key: true, allow_unsigned: true, ..all.clone() };
    assert_eq!(run(other.plan().unwrap(), &none(), &flags).unwrap_err().kind(), ErrorKind::Signature);
    let unsigned = signed.edit("capsule:fs", |fs| fs.signer = Signer::Unsigned);
    assert_eq!(run(unsigned.plan().unwrap(), &none(), &all).unwrap_err().kind(), ErrorKind::Signature);
}

#[test]
fn a_reviewed_line_lets_a_signer_change_once() {
    let all = Flags { trust_all: true, ..Flags::default() };
    let key = |key: &str| Signer::Key(key.to_owned());
    let signed = world().edit("capsule:fs", |fs| fs.signer = key("ed25519:A")).applied();
    let change = |from: &str, to: &str| astrid_manifest::policy::PolicyChange {
        subject: "capsule:fs".parse().unwrap(),
        from: from.to_owned(),
        to: to.to_owned(),
        reason: "the project moved".to_owned(),
        at: astrid_manifest::diagnostic::Position::default(),
    };
    let under = |change| {
        let home = astrid_manifest::policy::Policy { changes: vec![change], ..Default::default() };
        crate::policy::EffectivePolicy::combine(&home, &astrid_manifest::policy::Policy::default(), false)
    };
    let mut other = signed.edit("capsule:fs", |fs| fs.signer = key("ed25519:B"));
    let kind = |world: &World| run(world.plan().unwrap(), &none(), &all).map_err(|error| error.kind());
    for (from, to) in
        [("key ed25519:A", "key ed25519:C"), ("key ed25519:B", "key ed25519:A"), ("unsigned", "*")]
    {
        other.policy = under(change(from, to));
        assert_eq!(kind(&other).unwrap_err(), ErrorKind::Signature, "{from} {to}");
    }
    other.policy = under(change("key ed25519:A", "key ed25519:B"));
    let granted = kind(&other).unwrap();
    assert_eq!(granted.accepted().len(), 1);
    other.floors.raise(&other.origin, &other.fleet, granted.accepted());
    other.floors = crate::trust::Floors::parse(&other.floors.write().unwrap()).unwrap();
    // Back is another change, and forth again is the one that was used up.
    let policy = other.policy.clone();
    let mut back = other.applied().edit("capsule:fs", |fs| fs.signer = key("ed25519:A"));
    assert_eq!(kind(&back).unwrap_err(), ErrorKind::Signature);
    back.policy = under(change("key ed25519:B", "key ed25519:A"));
    let granted = kind(&back).unwrap();
    back.floors.raise(&back.origin, &back.fleet, granted.accepted());
    let mut forth = back.applied().edit("capsule:fs", |fs| fs.signer = key("ed25519:B"));
    forth.policy = policy;
    assert_eq!(kind(&forth).unwrap_err(), ErrorKind::Signature);
}

#[test]
fn provenance_that_gets_weaker_is_refused_denied() {
    let all = Flags { trust_all: true, ..Flags::default() };
    let key = Signer::Key("ed25519:A".to_owned());
    let proved = world()
        .edit("capsule:fs", |fs| {
            fs.signer = key.clone();
            fs.provenance = Some("slsa-v1".to_owned());
        })
        .applied();
    for weaker in [None, Some("slsa-v0.2".to_owned())] {
        let less = proved.clone().edit("capsule:fs", |fs| fs.provenance = weaker.clone());
        let refused = run(less.plan().unwrap(), &none(), &all).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Signature);
        assert!(refused.to_string().contains("with slsa-v1"), "{refused}");
    }
}

#[test]
fn refusals_come_in_the_order_of_their_weight_denied() {
    let mut world =
        world().edit("capsule:fs", |fs| fs.signer = Signer::Key("ed25519:A".to_owned())).applied();
    world.fleet.version = "0.1.0".parse().unwrap();
    let unsigned = world.clone().capsule("fs", "@acme/fs", "two", &["net:*"]);
    let kind = |world: &World| run(world.plan().unwrap(), &none(), &Flags::default()).unwrap_err().kind();
    assert_eq!(kind(&unsigned), ErrorKind::Signature);
    let older = world.pack("media_tools", "two", "fetches media");
    assert_eq!(kind(&older), ErrorKind::Policy, "before trust");
}
