//! `discover`: layers, what is told about packs and capabilities, and what it never does.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::scene::{PERMISSIONS, files_under, media, trust_block};
use crate::env::TestEnv;

fn ids(document: &Value) -> Vec<&str> {
    document["packs"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn small(env: &TestEnv, folder: &str, id: &str) {
    env.write(
        &format!("{folder}/pack.yaml"),
        format!("schema_version: 1\nid: {id}\nname: {id}\nversion: 1.0.0\n"),
    );
}

// contract: PC-DISC-01
#[test]
fn layers_come_in_their_order() {
    let env = TestEnv::new();
    media(&env, "shop/packs/media");
    env.distro("\n[[pack]]\nid = \"media\"\nsource = \"./shop/packs/media\"\n");
    env.ok(&["apply", "--yes", "--trust"]);
    small(&env, "project/packs/one", "one");
    small(&env, "project/local", "local");
    small(&env, "extra/two", "two");
    small(&env, "env/three", "three");
    let found = env
        .run(&["discover", "--json", "--project", "project", "--extra", "extra"])
        .variable("ASTRID_PACKS_PATH", env.work("env"))
        .go();
    assert_eq!(found.code, 0, "{}", found.shown());
    let document = found.json();
    let places: Vec<(&str, &str, u64)> = ["one", "local", "two", "three", "media"]
        .into_iter()
        .map(|id| {
            let pack = &document["packs"][id];
            (id, pack["source_kind"].as_str().unwrap(), pack["priority_index"].as_u64().unwrap())
        })
        .collect();
    let expected = [
        ("one", "source", 0),
        ("local", "local", 1),
        ("two", "extra", 2),
        ("three", "env", 3),
        ("media", "installed", 4),
    ];
    assert_eq!(places, expected);
    assert_eq!(ids(&document).len(), 5);
}

// contract: PC-DISC-02
#[test]
fn packs_are_a_map_and_the_first_of_an_id_counts() {
    let env = TestEnv::new();
    small(&env, "packs/one", "one");
    small(&env, "extra/one", "one");
    let document = env.ok(&["discover", "--json", "--extra", "extra"]).json();
    assert_eq!(ids(&document), ["one"]);
    assert_eq!(document["packs"]["one"]["source_kind"], "source");
    assert_eq!(document["shadowed"][0]["id"], "one");
    assert_eq!(document["shadowed"][0]["source_kind"], "extra");
    assert_eq!(document["shadowed"].as_array().unwrap().len(), 1);
}

// contract: PC-DISC-02
#[test]
fn an_id_twice_in_one_root_is_refused_denied() {
    let env = TestEnv::new();
    small(&env, "project", "project");
    small(&env, "project/packs/project", "project");
    let ran = env.astrid(&["discover", "--json", "--project", "project"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    assert!(ran.stderr.contains("duplicate pack id `project`"), "{}", ran.shown());
    assert_eq!(ran.json()["error"]["code"], 65);
}

// contract: PC-DISC-03, PC-PERM-01, PC-PERM-05, PC-INV-01
#[test]
fn permissions_of_capabilities_are_texts() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let document = env.ok(&["discover", "--json"]).json();
    let pack = &document["packs"]["media"];
    assert_eq!(pack["permission_ids"], json!(PERMISSIONS));
    let objects = pack["permissions"].as_array().unwrap();
    assert_eq!(objects.len(), 6);
    assert_eq!(objects[1]["services"], json!(["api.example.org"]));
    assert!(objects[0].get("services").is_none() && objects[0].get("access").is_none());
    assert_eq!(pack["trust"], trust_block());
    let capabilities = document["capabilities"].as_array().unwrap();
    assert_eq!(capabilities.len(), 3);
    for one in capabilities {
        assert_eq!(one["handle"]["safety"]["permissions"], json!(PERMISSIONS), "{one}");
    }
}

// contract: PC-DISC-04, PC-SEC-01, PC-SEC-02
#[test]
fn secrets_of_executors_and_orchestrators_are_told_by_name() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let ran = env.run(&["discover", "--json"]).variable("API_KEY", "a-value-that-is-secret").go();
    assert!(!ran.shown().contains("a-value-that-is-secret"));
    let document = ran.json();
    let safety = |kind: &str| &document[kind][0]["handle"]["safety"];
    assert_eq!(safety("executors")["secrets_required"], json!(["API_KEY"]));
    assert_eq!(safety("executors")["network"], true);
    assert_eq!(safety("orchestrators")["secrets_required"], json!(["PLAN_KEY"]));
    assert_eq!(safety("orchestrators")["network"], false);
    let declared = document["packs"]["media"]["declared_secrets"].to_string();
    for name in ["API_KEY", "OTHER_KEY", "PLAN_KEY"] {
        assert!(declared.contains(name), "{declared}");
    }
}

// contract: PC-DISC-05
#[test]
fn capabilities_are_executors_then_orchestrators_then_elements() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let document = env.ok(&["discover", "--json"]).json();
    let mut expected = Vec::new();
    for kind in ["executors", "orchestrators", "elements"] {
        assert_eq!(document[kind].as_array().unwrap().len(), 1);
        expected.extend(document[kind].as_array().unwrap().iter().cloned());
    }
    assert_eq!(document["capabilities"], json!(expected));
}

// contract: PC-DISC-06
#[test]
fn discovery_only_reads() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    // Whatever runs it would leave a trace.
    env.write("packs/media/executors/render/__init__.py", "open('ran', 'w')\n");
    env.write(
        "packs/broken/pack.yaml",
        "schema_version: 1\nid: broken\nname: B\nversion: 1.0.0\ntrust: {}\n",
    );
    env.write("elsewhere/linked/pack.yaml", "schema_version: 1\nid: linked\nname: L\nversion: 1.0.0\n");
    symlink(env.work("elsewhere/linked"), env.work("packs/linked")).unwrap();
    env.write("packs/inside/pack.yaml", "schema_version: 1\nid: inside\nname: I\nversion: 1.0.0\n");
    symlink("/etc/hostname", env.work("packs/inside/hostname")).unwrap();
    let before = files_under(&env.path(""));
    let ran = env.astrid(&["discover", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    assert_eq!(files_under(&env.path("")), before);
    let document = ran.json();
    assert_eq!(ids(&document), ["media"]);
    let refused: BTreeSet<String> = document["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["root"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(refused, ["broken", "inside", "linked"].map(str::to_owned).into());
    let pretty = env.astrid(&["discover"]);
    assert!(pretty.stderr.contains("broken/pack.yaml:5"), "{}", pretty.shown());
}

// contract: PC-DISC-07
#[test]
fn what_is_installed_can_be_left_out() {
    let env = TestEnv::new();
    media(&env, "shop/media");
    env.distro("\n[[pack]]\nid = \"media\"\nsource = \"./shop/media\"\n");
    env.ok(&["apply", "--yes", "--trust"]);
    assert_eq!(ids(&env.ok(&["discover", "--json"]).json()), ["media"]);
    assert!(ids(&env.ok(&["discover", "--json", "--no-installed"]).json()).is_empty());
}
