//! `init`, `add`, `remove`, `update`, `capsule check` and `build`: what people do besides apply.

use crate::env::TestEnv;

#[test]
fn init_installs_the_starter_and_needs_no_trust_for_its_own_bytes() {
    let env = TestEnv::new();
    let ran = env.ok(&["init", "--yes", "--no-boot"]);
    assert!(ran.stderr.contains("generation 1 is current"), "{}", ran.shown());
    let status = env.ok(&["status", "--json"]).json();
    assert_eq!(status["generation"]["distro"], "starter");
    assert_eq!(status["sync"], "in-sync", "{status}");
}

#[test]
fn a_starter_on_disk_needs_trust_like_any_other_denied() {
    let env = TestEnv::new();
    env.ok(&["init", "--here", "--template", "starter"]);
    assert_eq!(env.astrid(&["init", ".", "--yes", "--no-boot"]).code, 82);
    env.ok(&["init", ".", "--yes", "--trust", "--no-boot"]);
}

#[test]
fn init_here_replaces_nothing_denied() {
    let env = TestEnv::new();
    env.write("Distro.toml", "mine\n");
    assert_eq!(env.astrid(&["init", "--here"]).code, 1);
    assert_eq!(env.read("Distro.toml"), "mine\n");
}

#[test]
fn a_bundle_that_is_not_there_is_refused_denied() {
    let env = TestEnv::new();
    let ran = env.astrid(&["init", "--offline", "./fleet.shuttle"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    assert!(ran.stderr.contains("fleet.shuttle does not exist"), "{}", ran.shown());
}

#[test]
fn add_and_remove_change_the_declaration_and_the_machine() {
    let env = TestEnv::new();
    env.demo();
    let text = env.read("Distro.toml").replace("[distro]", "# ours\n[distro]");
    env.write("Distro.toml", &text);
    env.capsule("clock", "clock", "1.0.0", "");
    env.ok(&["add", "./clock", "--yes", "--trust", "--no-boot"]);
    let added = env.read("Distro.toml");
    assert!(added.contains("# ours") && added.contains("source = \"./clock\""), "{added}");
    let tree = env.ok(&["tree"]);
    assert!(tree.stdout.contains("capsule:clock 1.0.0"), "{}", tree.shown());
    assert!(env.ok(&["why", "clock"]).stdout.contains("declared"));
    env.ok(&["remove", "clock", "--yes", "--no-boot"]);
    assert_eq!(env.read("Distro.toml"), text);
    assert_eq!(env.astrid(&["remove", "clock", "--yes", "--no-boot"]).code, 1);
}

#[test]
fn a_refused_change_is_taken_back_denied() {
    let env = TestEnv::new();
    env.demo();
    let text = env.read("Distro.toml");
    env.capsule("clock", "clock", "1.0.0", "");
    let ran = env.astrid(&["add", "./clock", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert_eq!(env.read("Distro.toml"), text);
    assert!(!env.work("Distro.lock").exists());
}

#[test]
fn without_a_repository_the_home_has_a_distro_of_its_own() {
    let env = TestEnv::new();
    env.capsule("clock", "clock", "1.0.0", "");
    env.ok(&["add", "./clock", "--yes", "--trust", "--no-boot"]);
    assert_eq!(env.ok(&["status", "--json"]).json()["generation"]["origin"], "home");
    env.ok(&["remove", "clock", "--yes", "--no-boot"]);
    assert_eq!(env.ok(&["status", "--json"]).json()["generation"]["capsules"], 0);
}

#[test]
fn the_starter_itself_can_not_be_changed_and_says_what_to_do_denied() {
    let env = TestEnv::new();
    env.ok(&["init", "--yes", "--no-boot"]);
    env.capsule("clock", "clock", "1.0.0", "");
    let ran = env.astrid(&["add", "./clock", "--yes", "--trust", "--no-boot"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert!(ran.stderr.contains("init --here"), "{}", ran.shown());
}

#[test]
fn a_capsule_of_the_starter_can_be_checked() {
    let env = TestEnv::new();
    env.ok(&["init", "--yes", "--no-boot"]);
    let packs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs/toolbox/capsules/clock");
    let ran = env.ok(&["capsule", "check", packs.to_str().unwrap()]);
    assert!(ran.stderr.contains("no finding"), "{}", ran.shown());
    let nothing = env.astrid(&["capsule", "check", "."]);
    assert_eq!(nothing.code, 65, "{}", nothing.shown());
}

#[test]
fn variables_come_from_flags_and_environment_and_are_shown_nowhere() {
    let env = TestEnv::new();
    env.ok(&["init", "--here", "--template", "starter"]);
    let run = ["apply", "--yes", "--trust", "--no-boot", "--var", "time_zone=Europe/Berlin"];
    let ran = env.run(&run).variable("ASTRID_VAR_UTC_OFFSET", "+01:00").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    assert!(!ran.stderr.contains("Berlin") && !ran.stdout.contains("Berlin"), "{}", ran.shown());
    let stored = std::fs::read_to_string(env.home("generations/current/configuration.json")).unwrap();
    assert!(stored.contains("Europe/Berlin") && stored.contains("+01:00"), "{stored}");
    // What was given once is remembered.
    assert_eq!(env.astrid(&["plan", "--detailed-exitcode"]).code, 0);
    assert_eq!(env.astrid(&["plan", "--var", "nonsense"]).code, 64);
}

#[test]
fn gc_shows_first_and_removes_on_demand() {
    let env = TestEnv::new();
    env.demo();
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    for patch in 1..4 {
        env.capsule("notes", "notes", &format!("1.0.{patch}"), "");
        let entry =
            format!("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.{patch}\"\n");
        env.distro(&entry);
        env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    }
    let shown = env.ok(&["gc", "--keep", "2"]);
    assert!(shown.stdout.contains("would remove generations 1, 2"), "{}", shown.shown());
    assert_eq!(env.ok(&["generations", "--json"]).json()["generations"].as_array().unwrap().len(), 4);
    env.ok(&["gc", "--keep", "2", "--force"]);
    assert_eq!(env.ok(&["generations", "--json"]).json()["generations"].as_array().unwrap().len(), 2);
    env.ok(&["verify", "--store"]);
    assert_eq!(env.astrid(&["plan", "--detailed-exitcode"]).code, 0);
}
