//! From a folder of manifests to generations and back, with everything that may go wrong.

use std::collections::BTreeSet;

use astrid_resolver::apply::{BeforeSwitch, NoHooks, current};
use astrid_resolver::history::{generations, history, prune_generations};
use astrid_resolver::observed::{Depth, observe};
use astrid_resolver::plan::Action;
use astrid_resolver::saved_plan::SavedPlan;
use astrid_resolver::secrets::{Binding, SecretName, SecretStore};
use astrid_resolver::trust::Flags;
use astrid_resolver::trust::acknowledgement::Revocations;
use astrid_resolver::trust::files::{believe, revoke, write_acks};
use astrid_resolver::{Error, ErrorKind, Result};
use astrid_store::generation::{Generation, Part};
use astrid_store::home::SecretScope;

use crate::fixture::{Machine, distro, trust_all};

const TWO: &str = "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n\n[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\n";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.capsule("fs", "1.0.0", "fs_read = [\"cwd://docs\"]");
    machine.pack("media_tools", "1.0.0", "fetches media", "print(1)");
    machine.distro("1.0.0", TWO);
    machine
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("it is refused").kind()
}

#[test]
fn an_apply_makes_a_generation_and_the_second_has_nothing_to_do() {
    let machine = machine();
    let applied = machine.apply(&trust_all()).unwrap();
    assert!(applied.changed);
    assert_eq!(machine.current(), Some(1));
    let home = &machine.context.home;
    let pack = "media_tools".parse().unwrap();
    let served = std::fs::read_to_string(home.pack_active(&pack).join("executors/one/run.py")).unwrap();
    assert_eq!(served, "print(1)");
    let record = std::fs::read_to_string(home.pack_records(&pack).join("install.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["trust_method"], "cli_flag");
    assert_eq!(record["permissions_accepted"][0]["reason"], "fetches media");
    assert_eq!(record["no_sandbox_warning_version"], 1);
    assert!(machine.repository.join("Distro.lock").is_file());

    assert!(machine.propose().unwrap().plan.is_empty());
    let again = machine.apply(&Flags::default()).unwrap();
    assert!(!again.changed);
    assert_eq!(machine.current(), Some(1));
}

#[test]
fn without_trust_nothing_is_changed_denied() {
    let machine = machine();
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    assert_eq!(machine.current(), None);
    assert!(!machine.repository.join("Distro.lock").exists());
    assert!(!machine.context.home.packs().exists());
}

#[test]
fn a_plan_leaves_no_trace() {
    let machine = machine();
    machine.propose().unwrap();
    for file in ["keys/home.key", "generations/1", "journal", "trust/floors.toml"] {
        assert!(!machine.context.home.root().join(file).exists(), "{file}");
    }
}

#[test]
fn a_local_capsule_that_may_do_more_needs_trust_again_and_one_that_may_not_does_not() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "1.1.0", "fs_read = [\"cwd://docs\"]");
    assert!(machine.apply(&Flags::default()).unwrap().changed);
    machine.capsule("fs", "1.2.0", "fs_read = [\"cwd://\"]");
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    assert_eq!(machine.current(), Some(2));
    let plan = machine.propose().unwrap().plan;
    assert_eq!(plan.document().authority.enforced["fs"].widened.len(), 1);
}

#[test]
fn a_pack_needs_trust_for_every_byte_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.pack("media_tools", "1.0.0", "fetches media", "print(2)");
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
}

#[test]
fn a_repository_trusts_itself_only_when_it_is_believed_denied() {
    let mut machine = machine();
    let caller = ("Mallory", jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let plan = machine.propose().unwrap().plan;
    let acks = astrid_manifest::trust::AckFile { acks: plan.acknowledge(caller.0, caller.1) };
    machine.write("trust/anything.toml", &acks.to_toml());
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    machine.write("etc/policy.toml", "[[believe]]\norigin = \"anything\"\n");
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired, "a repository is no home");
    machine.acks_of_repository = true;
    machine.apply(&Flags::default()).unwrap();
    let record = machine.context.home.pack_records(&"media_tools".parse().unwrap()).join("install.json");
    assert!(std::fs::read_to_string(record).unwrap().contains("trust/anything.toml"));

    machine.acks_of_repository = false;
    machine.pack("media_tools", "1.0.1", "fetches media", "print(2)");
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired, "any byte voids it");
}

#[test]
fn an_acknowledgement_at_home_counts_and_a_revoked_one_stops_the_rollback_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.pack("media_tools", "2.0.0", "fetches media", "print(2)");
    let plan = machine.propose().unwrap().plan;
    let acks = plan.acknowledge("Ada", jiff::Timestamp::from_second(1_700_000_000).unwrap());
    let file = astrid_manifest::trust::AckFile { acks };
    std::fs::write(machine.context.home.trust().join("pack-media_tools.toml"), file.to_toml()).unwrap();
    machine.apply(&Flags::default()).unwrap();
    assert_eq!(machine.current(), Some(2));

    machine.rollback(None).unwrap();
    assert_eq!(machine.current(), Some(1));
    machine.rollback(Some(2)).unwrap();
    assert_eq!(history(&machine.context.home).unwrap().len(), 4);

    let first = current(&machine.context).unwrap().unwrap();
    let content = first.lock.packs[0].content;
    machine.rollback(Some(1)).unwrap();
    let mut revocations = Revocations::default();
    let now = machine.context.clock.now();
    revocations.revoke("pack:media_tools".parse().unwrap(), Some(content), now);
    let path = machine.context.home.trust().join(Revocations::FILE);
    std::fs::write(path, revocations.write().unwrap()).unwrap();
    assert_eq!(kind(machine.rollback(Some(2))), ErrorKind::TrustRequired);
    assert_eq!(machine.current(), Some(1));
}

#[test]
fn trust_of_a_prompt_or_flag_does_not_serve_a_new_install_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.distro("1.0.0", "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    machine.apply(&Flags::default()).unwrap();
    machine.distro("1.0.0", TWO);
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
}

#[test]
fn what_the_declaration_dropped_goes_and_what_is_foreign_stays() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    let foreign = machine.context.home.packs().join("mine");
    std::fs::create_dir_all(&foreign).unwrap();
    machine.distro("1.0.0", "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    machine.apply(&Flags::default()).unwrap();
    assert!(!machine.context.home.pack(&"media_tools".parse().unwrap()).exists());
    assert!(foreign.exists());
    let now = current(&machine.context).unwrap().unwrap();
    assert_eq!(observe(&machine.context, &now, Depth::Bytes).unwrap().foreign, ["mine"]);
}

#[test]
fn what_is_kept_is_not_pruned_denied() {
    let machine = machine();
    machine.distro("1.0.0", &TWO.replace("source = \"./fs\"", "source = \"./fs\"\nkeep = true"));
    machine.apply(&trust_all()).unwrap();
    machine.distro("1.0.0", "[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\n");
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Policy);
    machine.distro("1.0.0", TWO);
    machine.apply(&Flags::default()).unwrap();
    machine.distro("1.0.0", "[[pack]]\nid = \"media_tools\"\nsource = \"./media_tools\"\n");
    machine.apply(&Flags::default()).unwrap();
}

#[test]
fn an_older_distro_is_refused_even_after_a_rollback_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.distro("2.0.0", TWO);
    machine.apply(&Flags::default()).unwrap();
    machine.rollback(Some(1)).unwrap();
    machine.distro("1.5.0", TWO);
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Policy);
    let flags = Flags { allow_downgrade: true, ..Flags::default() };
    machine.apply(&flags).unwrap();
    machine.distro("1.4.0", TWO);
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Policy, "the floor is where it was");
}

#[test]
fn another_distro_wants_its_own_flag_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.write("Distro.toml", &distro("other", "1.0.0", TWO));
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Policy);
    machine.apply(&Flags { replace_distro: true, ..trust_all() }).unwrap();
}

#[test]
fn a_policy_of_the_home_stops_apply_and_rollback_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "2.0.0", "");
    machine.apply(&Flags::default()).unwrap();
    let policy = "[policy.authority]\ndeny = [\"fs_read\"]\n";
    std::fs::write(machine.context.home.policy(), policy).unwrap();
    assert_eq!(kind(machine.rollback(Some(1))), ErrorKind::Policy);
    machine.capsule("fs", "3.0.0", "fs_read = [\"cwd://\"]");
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Policy);
    assert_eq!(machine.current(), Some(2));
}

#[test]
fn a_saved_plan_is_applied_once_and_only_as_it_was_reviewed_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.pack("media_tools", "2.0.0", "fetches media", "print(2)");
    let bytes = machine.propose().unwrap().plan.to_canonical_json().unwrap();
    let saved = SavedPlan::parse(&bytes).unwrap();
    let apply =
        |saved: &SavedPlan, flags: &Flags| machine.apply_with(flags, Some(saved), &mut NoHooks).map(|_| ());
    assert_eq!(kind(apply(&saved, &Flags::default())), ErrorKind::TrustRequired, "a plan is no evidence");
    apply(&saved, &trust_all()).unwrap();
    assert!(kind(apply(&saved, &trust_all())) == ErrorKind::Failed, "used, and for another base");
    machine.rollback(Some(1)).unwrap();
    let replayed = apply(&saved, &trust_all()).unwrap_err();
    assert!(replayed.to_string().contains("applied before"), "{replayed}");
}

#[test]
fn settings_come_from_where_they_may_and_are_no_secret_of_plans() {
    let mut machine = machine();
    let rest = "[variables.root]\n\n[variables.token]\nsecret = true\n\n[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\nenv = { ROOT = \"{{ root }}\", TOKEN = \"Bearer {{token}}\" }\n";
    machine.distro("1.0.0", rest);
    assert_eq!(kind(machine.apply(&trust_all())), ErrorKind::Invalid, "nobody to ask");
    machine.vars.insert("root".to_owned(), "/srv/top-value".to_owned());
    machine.env.insert("ASTRID_VAR_TOKEN".to_owned(), "hunter2".to_owned());
    machine.apply(&trust_all()).unwrap();
    machine.vars.clear();
    machine.env.clear();
    assert!(machine.propose().unwrap().plan.is_empty(), "both are stored");

    let now = current(&machine.context).unwrap().unwrap();
    let plan = now.generation.read(Part::Plan).unwrap().unwrap();
    let plan = String::from_utf8(plan).unwrap();
    assert!(!plan.contains("top-value") && !plan.contains("hunter2"), "{plan}");
    let settings = std::fs::read_to_string(now.generation.path().join("configuration.json")).unwrap();
    assert!(settings.contains("/srv/top-value") && settings.contains("default/fs/TOKEN"));
    assert!(!settings.contains("hunter2"));

    let disk = machine.context.store.disk();
    let store = SecretStore::open_existing(&machine.context.home, disk).unwrap().unwrap();
    let name = SecretName {
        scope: SecretScope::Principal("default".parse().unwrap()),
        capsule: "fs".parse().unwrap(),
        key: "TOKEN".parse().unwrap(),
    };
    let origin = std::fs::canonicalize(&machine.repository).unwrap();
    let own = Binding { source: format!("{}#./fs", origin.display()), signer: "unsigned".to_owned() };
    assert_eq!(store.get(&name, &own).unwrap().unwrap().expose(), b"Bearer hunter2");
    let other = Binding { source: "/elsewhere#./fs".to_owned(), ..own };
    assert!(store.get(&name, &other).is_err(), "another capsule of the same name gets none");
}

#[test]
fn a_capsule_from_elsewhere_gets_the_secret_only_after_trust_denied() {
    let mut machine = machine();
    let rest = |source: &str| {
        format!(
            "[variables.token]\nsecret = true\n\n[[capsule]]\nname = \"fs\"\nsource = \"./{source}\"\nenv = {{ TOKEN = \"{{{{token}}}}\" }}\n"
        )
    };
    machine.distro("1.0.0", &rest("fs"));
    machine.env.insert("ASTRID_VAR_TOKEN".to_owned(), "hunter2".to_owned());
    machine.apply(&trust_all()).unwrap();
    machine.env.clear();
    let manifest = std::fs::read_to_string(machine.repository.join("fs/Capsule.toml")).unwrap();
    machine.write("moved/Capsule.toml", &manifest);
    machine.distro("1.0.0", &rest("moved"));
    let plan = machine.propose().unwrap().plan;
    assert_eq!(plan.document().authority.enforced["fs"].secrets, ["TOKEN".parse().unwrap()]);
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    machine.apply(&trust_all()).unwrap();
    assert!(machine.propose().unwrap().plan.is_empty());
    machine.rollback(Some(1)).unwrap();
    assert_eq!(machine.current(), Some(1));
}

#[test]
fn damage_is_seen_and_healed() {
    let mut machine = machine();
    machine.apply(&trust_all()).unwrap();
    let pack = "media_tools".parse().unwrap();
    let served = std::fs::canonicalize(machine.context.home.pack_active(&pack)).unwrap();
    let file = served.join("executors/one/run.py");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "print(9)").unwrap();
    assert!(machine.propose().unwrap().plan.is_empty(), "nobody looked");
    machine.look = Some(Depth::Bytes);
    let plan = machine.propose().unwrap().plan;
    assert_eq!(plan.document().changes[0].action, Action::Heal);
    machine.apply(&Flags::default()).unwrap();
    let healed = machine.context.home.pack_active(&pack).join("executors/one/run.py");
    assert_eq!(std::fs::read_to_string(healed).unwrap(), "print(1)");
    assert!(machine.propose().unwrap().plan.is_empty());
}

struct Failing;

impl BeforeSwitch for Failing {
    fn before_switch(&mut self, _: Option<&Generation>, to: &Generation) -> Result<()> {
        assert!(to.path().is_dir());
        Err(Error::failed("the hook of `fs` trapped"))
    }
}

#[test]
fn a_failing_hook_switches_nothing_denied() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    machine.capsule("fs", "2.0.0", "");
    let refused = machine.apply_with(&Flags::default(), None, &mut Failing).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RolledBack);
    assert_eq!(machine.current(), Some(1));
    assert!(!machine.context.home.generations().join("2").exists());
    machine.apply(&Flags::default()).unwrap();
    assert_eq!(machine.current(), Some(2));
}

#[test]
fn another_writer_is_waited_for_and_named_denied() {
    let machine = machine();
    let (_writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid gc", std::time::Duration::ZERO).unwrap();
    let refused = machine.apply(&trust_all()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.to_string().contains("astrid gc"), "{refused}");
}

#[test]
fn old_generations_are_pruned_and_the_current_one_never() {
    let machine = machine();
    machine.apply(&trust_all()).unwrap();
    for patch in 1..5 {
        machine.capsule("fs", &format!("1.0.{patch}"), "fs_read = [\"cwd://docs\"]");
        machine.apply(&Flags::default()).unwrap();
    }
    machine.rollback(Some(1)).unwrap();
    let (writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid gc", std::time::Duration::ZERO).unwrap();
    prune_generations(&machine.context, 2, &writer).unwrap();
    let left: BTreeSet<u64> =
        generations(&machine.context).unwrap().iter().map(|own| own.number.get()).collect();
    assert_eq!(left, BTreeSet::from([1, 4, 5]));
}

#[test]
fn trust_verbs_write_what_applies_read_denied() {
    let machine = machine();
    let (writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid trust ack", std::time::Duration::ZERO)
            .unwrap();
    let at = machine.context.clock.now();
    let acks = machine.propose().unwrap().plan.acknowledge("Ada", at);
    let folder = machine.context.home.trust();
    let files = write_acks(&machine.context, &folder, &acks).unwrap();
    assert_eq!(files, [folder.join("capsule-fs.toml"), folder.join("pack-media_tools.toml")]);
    write_acks(&machine.context, &folder, &acks).unwrap();
    drop(writer);
    machine.apply(&Flags::default()).unwrap();
    machine.distro("1.0.0", "[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\n");
    machine.apply(&Flags::default()).unwrap();
    let (writer, _) =
        astrid_resolver::apply::begin(&machine.context, "astrid trust revoke", std::time::Duration::ZERO)
            .unwrap();
    let removed = revoke(&machine.context, &writer, &"pack:media_tools".parse().unwrap(), None).unwrap();
    assert_eq!(removed, 1);
    drop(writer);
    machine.distro("1.0.0", TWO);
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    assert_eq!(kind(machine.rollback(Some(1))), ErrorKind::TrustRequired);
}

#[test]
fn a_believed_origin_counts_for_that_folder_alone_denied() {
    let machine = machine();
    let at = machine.context.clock.now();
    let acks = machine.propose().unwrap().plan.acknowledge("Ada", at);
    write_acks(&machine.context, &machine.repository.join("trust"), &acks).unwrap();
    let origin = machine.declaration().origin().identity();
    let id = "starter".parse().unwrap();
    let begin = || {
        astrid_resolver::apply::begin(&machine.context, "astrid trust", std::time::Duration::ZERO).unwrap().0
    };
    assert!(believe(&machine.context, &begin(), &origin, &id, "yes").is_err());
    believe(&machine.context, &begin(), "/elsewhere", &id, "believe starter").unwrap();
    assert_eq!(kind(machine.apply(&Flags::default())), ErrorKind::TrustRequired);
    believe(&machine.context, &begin(), &origin, &id, "believe starter").unwrap();
    machine.apply(&Flags::default()).unwrap();
}
