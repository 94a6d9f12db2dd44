//! What an executor is: a process of the user, whatever its pack declares.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::scene::{PERMISSIONS, files_under};
use crate::env::{Ran, TestEnv};

/// A pack with one executor that runs this command, and what its manifest has besides.
fn installed(env: &TestEnv, id: &str, argv: &[&str], manifest: &str, executor: &str) {
    env.write(
        &format!("shop/{id}/pack.yaml"),
        format!("schema_version: 1\nid: {id}\nname: {id}\nversion: 1.0.0\ncontent: {{executors: executors}}\n{manifest}"),
    );
    let argv = serde_json::to_string(argv).unwrap();
    env.write(
        &format!("shop/{id}/executors/do/executor.yaml"),
        format!(
            "schema_version: 1\nid: {id}.do\nname: Do\nversion: 1.0.0\nruntime: {{kind: command, command: {{argv: {argv}}}}}\n{executor}"
        ),
    );
    env.ok(&["packs", "install", &format!("shop/{id}"), "--yes", "--trust"]);
}

fn shell(env: &TestEnv, id: &str, script: &str, manifest: &str) -> Ran {
    installed(env, id, &["/bin/sh", "-c", script], manifest, "");
    env.run(&["packs", "run", &format!("{id}.do")]).variable("PATH", "/usr/bin:/bin").go()
}

fn variables(text: &str) -> BTreeMap<String, String> {
    // A value of several lines would be read wrongly: there is none here.
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The environment that a process of this user has when nothing is between.
fn plain(env: &TestEnv) -> BTreeMap<String, String> {
    let mut command = env.run(&[]).variable("UNDECLARED_KEY", "seen all the same").command();
    let mut own = BTreeMap::new();
    for (name, value) in command.get_envs() {
        own.insert(name.to_str().unwrap().to_owned(), value.unwrap().to_str().unwrap().to_owned());
    }
    command.env_clear();
    own
}

// contract: PC-INV-03, PC-INV-04, SEC-PACK-04
#[test]
fn the_environment_is_the_users_nothing_less_and_nothing_more() {
    let env = TestEnv::new();
    // A capsule's secret is in the store, and a kernel with its token runs.
    env.capsule("notes", "notes", "1.0.0", "\n[env]\nSTORED_KEY = { type = \"secret\" }\n");
    env.distro("\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.ok(&["apply", "--yes", "--trust", "--boot"]);
    let set = env.run(&["secret", "set", "notes", "STORED_KEY"]).input("hunter2hunter2\n").go();
    assert_eq!(set.code, 0, "{}", set.shown());
    let token = fs::read(env.home("run/system.token")).unwrap();
    installed(&env, "show", &["/usr/bin/env"], "", "");
    let ran = env.run(&["packs", "run", "show.do"]).variable("UNDECLARED_KEY", "seen all the same").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let mut seen = variables(&ran.stdout);
    let mut expected = plain(&env);
    // Each run of a test has another seed.
    for own in [&mut seen, &mut expected] {
        own.remove("ASTRID_TEST_SEED");
    }
    assert_eq!(seen, expected);
    let shown = token.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert!(!ran.stdout.contains("hunter2") && !ran.stdout.contains(&shown));
}

// contract: PC-PERM-06
#[test]
fn permissions_change_nothing_about_a_run() {
    let script = "echo \"$HIDDEN_KEY\"; id -u; /bin/sh -c 'echo a process'; echo written > \"$HOME/file\"; cat \"$HOME/file\"";
    let all = PERMISSIONS
        .iter()
        .fold(String::new(), |text, id| format!("{text}  - {{id: {id}, reason: Because}}\n"));
    let packs = [
        ("none", String::new()),
        ("empty", "permissions: []\n".to_owned()),
        ("all", format!("permissions:\n{all}")),
    ];
    let mut printed = Vec::new();
    for (id, manifest) in packs {
        let env = TestEnv::new();
        installed(&env, id, &["/bin/sh", "-c", script], &manifest, "isolation: {env_passthrough: [OTHER]}\n");
        let ran = env
            .run(&["packs", "run", &format!("{id}.do")])
            .variable("PATH", "/usr/bin:/bin")
            .variable("HIDDEN_KEY", "not declared")
            .go();
        assert_eq!(ran.code, 0, "{}", ran.shown());
        assert!(ran.stdout.starts_with("not declared\n"), "{}", ran.shown());
        printed.push(ran.stdout);
    }
    assert!(printed.iter().all(|one| *one == printed[0]), "{printed:?}");
}

// contract: SEC-PACK-01
#[test]
fn an_executor_reads_every_file_of_the_user() {
    let env = TestEnv::new();
    fs::create_dir_all(env.path("user/.ssh")).unwrap();
    fs::write(env.path("user/.ssh/id_ed25519"), "a private key\n").unwrap();
    let ran = shell(&env, "reader", "cat \"$HOME/.ssh/id_ed25519\"", "");
    assert_eq!(ran.stdout, "a private key\n", "{}", ran.shown());
}

// contract: SEC-PACK-02
#[test]
fn an_executor_changes_and_deletes_files_of_the_user() {
    let env = TestEnv::new();
    env.write(".git/HEAD", "ref: refs/heads/main\n");
    fs::write(env.path("user/notes"), "mine\n").unwrap();
    let ran = shell(&env, "writer", "rm .git/HEAD && echo theirs > \"$HOME/notes\"", "");
    assert_eq!(ran.code, 0, "{}", ran.shown());
    assert!(!env.work(".git/HEAD").exists());
    assert_eq!(fs::read_to_string(env.path("user/notes")).unwrap(), "theirs\n");
}

// contract: SEC-PACK-03
#[test]
fn an_executor_starts_programs() {
    let env = TestEnv::new();
    let ran = shell(&env, "starter", "sh -c 'sh -c \"echo three processes deep\"'", "");
    assert_eq!(ran.stdout, "three processes deep\n", "{}", ran.shown());
}

// contract: PC-INV-05
#[test]
fn isolation_is_asked_for_and_said_to_be_beyond_the_contract() {
    let env = TestEnv::new();
    let plain = shell(&env, "one", "echo ran", "");
    assert!(plain.code == 0 && !plain.shown().contains("isolated"), "{}", plain.shown());
    let isolated = env.run(&["packs", "run", "one.do", "--isolate"]).variable("PATH", "/usr/bin:/bin").go();
    assert!(isolated.stderr.contains("BEYOND the v1 contract"), "{}", isolated.shown());
    assert!(isolated.stderr.contains("covered") || isolated.code != 0, "{}", isolated.shown());
    let document = env.ok(&["packs", "inspect", "one", "--json"]).json();
    assert_eq!(document["trust"], super::scene::trust_block());
}

// contract: PC-SEC-02
#[test]
fn no_value_of_a_variable_is_kept() {
    let env = TestEnv::new();
    installed(&env, "quiet", &["/bin/true"], "", "secrets: [{name: API_KEY, required: true}]\n");
    for more in [&[][..], &["--dry-run"]] {
        let ran = env
            .run(&[&["packs", "run", "quiet.do"], more].concat())
            .variable("API_KEY", "a-value-that-is-secret")
            .go();
        assert_eq!(ran.code, 0, "{}", ran.shown());
        assert!(!ran.shown().contains("a-value-that-is-secret"), "{}", ran.shown());
    }
    let ran = env.run(&["packs", "inspect", "quiet"]).variable("API_KEY", "a-value-that-is-secret").go();
    assert!(ran.stdout.contains("API_KEY (required)"), "{}", ran.shown());
    let roots: [PathBuf; 3] = [env.home(""), env.path("data"), env.work("")];
    for root in roots {
        for (name, bytes) in files_under(&root) {
            let found = bytes.windows(22).any(|window| window == b"a-value-that-is-secret");
            assert!(!found, "{name}");
        }
    }
}
