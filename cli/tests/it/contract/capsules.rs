//! The sandbox of capsules, as the command line shows it: `probe` is a capsule that calls what a test asks for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::env::{Ran, TestEnv};

/// A running fleet of `probe`, and of `notes` beside it.
fn running() -> TestEnv {
    let env = TestEnv::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let probe = root.join("packs/probe/capsules/probe");
    for file in ["Capsule.toml", "probe.wasm", "tools.json"] {
        env.write(&format!("probe/{file}"), fs::read(probe.join(file)).unwrap());
    }
    env.write("notes.capsule", fs::read(root.join("distros/starter/capsules/notes.capsule")).unwrap());
    env.distro(
        "\n[[capsule]]\nname = \"probe\"\nsource = \"./probe\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"./notes.capsule\"\n",
    );
    env.write("allowed/file", "mine\n");
    env.write("readonly/file", "to read\n");
    env.write("other", "not for capsules\n");
    env.ok(&["apply", "--yes", "--trust", "--boot"]);
    env
}

fn call(env: &TestEnv, arguments: &Value) -> Ran {
    env.astrid(&["tools", "call", "probe_call", "--args", &arguments.to_string()])
}

fn granted(env: &TestEnv, arguments: &Value) -> Value {
    let ran = call(env, arguments);
    assert_eq!(ran.code, 0, "{arguments}: {}", ran.shown());
    serde_json::from_str(&ran.stdout).unwrap()
}

fn denied(env: &TestEnv, arguments: &Value, why: &str) {
    let ran = call(env, arguments);
    assert_eq!(ran.code, 1, "{arguments}: {}", ran.shown());
    assert!(ran.stderr.contains(why), "{arguments}: {}", ran.shown());
}

// contract: SEC-CAP-01
#[test]
fn files_outside_of_what_is_granted_are_out_of_reach_denied() {
    let env = running();
    symlink("../other", env.work("allowed/link")).unwrap();
    symlink("/etc/hostname", env.work("allowed/absolute")).unwrap();
    let read = |path: &str| json!({ "op": "fs_read", "path": path });
    assert_eq!(granted(&env, &read("cwd://allowed/file"))["text"], "mine\n");
    assert_eq!(granted(&env, &read("cwd://readonly/file"))["text"], "to read\n");
    for path in ["cwd://other", "cwd://allowed/link", "/etc/hostname", "home://other"] {
        denied(&env, &read(path), "CapabilityDenied");
    }
    for path in ["cwd://allowed/../other", "cwd://allowed/absolute"] {
        denied(&env, &read(path), "BoundaryEscape");
    }
    let write = |path: &str| json!({ "op": "fs_write", "path": path, "text": "x" });
    granted(&env, &write("cwd://allowed/new"));
    denied(&env, &write("cwd://readonly/new"), "CapabilityDenied");
    assert_eq!(env.read("allowed/new"), "x");
    assert!(!env.work("readonly/new").exists());
}

// contract: SEC-CAP-02
#[test]
fn topics_that_are_not_declared_are_out_of_reach_denied() {
    let env = running();
    let publish = |topic: &str| json!({ "op": "publish", "topic": topic });
    granted(&env, &publish("probe.v1.out.x"));
    for topic in ["probe.v1.secret", "probe.v2.out.x", "tool.v1.execute.note_save"] {
        denied(&env, &publish(topic), "CapabilityDenied");
    }
    let receive = |pattern: &str| json!({ "op": "recv", "pattern": pattern, "timeout_ms": 1 });
    granted(&env, &receive("probe.v1.in.x"));
    for pattern in ["tool.v1.execute.note_save", "probe.v1.*"] {
        denied(&env, &receive(pattern), "CapabilityDenied");
    }
}

// contract: SEC-CAP-03
#[test]
fn closed_interfaces_refuse_every_call_denied() {
    let env = running();
    let calls = [
        json!({ "op": "approve", "action": "pay", "resource": "all" }),
        json!({ "op": "elicit", "key": "KEY", "description": "your key" }),
        json!({ "op": "has_secret", "key": "KEY" }),
    ];
    for arguments in calls {
        denied(&env, &arguments, "is not supported by this version");
    }
}

// contract: SEC-CAP-04
#[test]
fn configuration_and_secrets_are_those_of_the_capsule() {
    let env = running();
    let config = |key: &str| json!({ "op": "config", "key": key });
    assert_eq!(granted(&env, &config("GREETING")), "hello");
    assert_eq!(granted(&env, &config("TOKEN")), Value::Null);
    assert_eq!(granted(&env, &config("PATH")), Value::Null, "the environment is none of its business");
    let set = env.run(&["secret", "set", "probe", "TOKEN"]).input("hunter2hunter2\n").go();
    assert_eq!(set.code, 0, "{}", set.shown());
    env.ok(&["apply", "--yes", "--trust"]);
    assert_eq!(granted(&env, &config("TOKEN")), "hunter2hunter2");
    // Another one under its name gets nothing before somebody trusts it.
    fs::rename(env.work("probe"), env.work("elsewhere")).unwrap();
    env.write("Distro.toml", env.read("Distro.toml").replace("./probe", "./elsewhere"));
    let ran = env.astrid(&["apply", "--yes"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
}

// contract: SEC-CAP-05
#[test]
fn nothing_survives_a_call_but_its_values_and_those_are_its_own() {
    let env = running();
    granted(&env, &json!({ "op": "kv_set", "key": "mine", "text": "1" }));
    assert_eq!(granted(&env, &json!({ "op": "kv_get", "key": "mine" }))["text"], "1");
    // 128 subscriptions are allowed: a hundred of the first call are gone at the second.
    let many = |count: u32| json!({ "op": "subscribe_many", "pattern": "probe.v1.in.x", "count": count });
    assert_eq!(granted(&env, &many(100)), 100);
    assert_eq!(granted(&env, &many(100)), 100);
    denied(&env, &many(200), "Quota");
    env.ok(&["tools", "call", "note_save", "--args", "{\"title\": \"private\", \"body\": \"of notes\"}"]);
    let keys = granted(&env, &json!({ "op": "kv_list", "prefix": "" })).to_string();
    assert!(keys.contains("mine") && !keys.contains("private"), "{keys}");
}

// contract: SEC-CAP-06
#[test]
fn limits_end_the_call_and_not_the_kernel_denied() {
    let env = running();
    let before = env.ok(&["status", "--json"]).json()["kernel"]["pid"].clone();
    denied(&env, &json!({ "op": "allocate", "mib": 100 }), "out of memory");
    denied(&env, &json!({ "op": "recurse", "depth": 10_000_000 }), "crashed");
    denied(&env, &json!({ "op": "big_answer", "mib": 11 }), "probe_call");
    denied(&env, &json!({ "op": "kv_set", "key": "big", "len": 2 << 20 }), "TooLarge");
    denied(&env, &json!({ "op": "panic", "message": "on purpose" }), "on purpose");
    assert_eq!(granted(&env, &json!({ "op": "echo", "still": "here" }))["still"], "here");
    assert_eq!(env.ok(&["status", "--json"]).json()["kernel"]["pid"], before);
}

// contract: SEC-CAP-08
#[test]
fn changed_code_is_never_loaded_denied() {
    let env = running();
    env.ok(&["stop"]);
    let lock = env.read("Distro.lock");
    let entry = lock.split("[[capsule]]").find(|entry| entry.contains("name = \"probe\"")).unwrap();
    let component = entry.split("component = \"blake3:").nth(1).unwrap().split('"').next().unwrap();
    let blob = env.home(&format!("store/blobs/{}/{component}", &component[..2]));
    let bytes = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, &bytes[1..]).unwrap();
    fs::remove_dir_all(env.home("store/compiled")).unwrap();
    let started = env.astrid(&["start"]);
    assert_eq!(started.code, 87, "{}", started.shown());
    assert!(started.stderr.contains("is corrupt"), "{}", started.shown());
    assert_ne!(call(&env, &json!({ "op": "echo" })).code, 0);
    assert_eq!(env.astrid(&["verify", "--store"]).code, 84);
}

// contract: SEC-CAP-08
#[test]
fn compiled_code_that_the_kernel_did_not_make_is_not_run_denied() {
    let env = running();
    env.ok(&["stop"]);
    let mut forged = 0;
    let mut folders = vec![env.home("store/compiled")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            forged += 1;
        }
    }
    assert!(forged > 0);
    env.ok(&["start"]);
    assert_eq!(
        granted(&env, &json!({ "op": "echo", "x": 1 })),
        json!({ "x": 1 }),
        "it was not compiled again"
    );
}
