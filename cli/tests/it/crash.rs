//! An apply that dies, or meets a full disk, at any write leaves the old generation or the new one, and the next
//! apply completes it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::env::{Ran, TestEnv};

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

/// The signal of `abort`, as shells report it.
const ABORTED: i32 = 128 + 6;

fn status(env: &TestEnv) -> Value {
    env.ok(&["status", "--json"]).json()
}

fn generation(status: &Value) -> u64 {
    status["generation"]["number"].as_u64().unwrap_or(0)
}

fn copy(from: &Path, to: &Path) {
    let kind = fs::symlink_metadata(from).unwrap().file_type();
    if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from).unwrap(), to).unwrap();
    } else if kind.is_dir() {
        fs::create_dir(to).unwrap();
        fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// The folders that a run may change, put aside and brought back.
struct Backup<'a>(&'a TestEnv);

impl<'a> Backup<'a> {
    const FOLDERS: [&'static str; 3] = ["home", "data", "work"];

    fn of(env: &'a TestEnv) -> Self {
        fs::create_dir(env.path("backup")).unwrap();
        for folder in Self::FOLDERS.iter().filter(|folder| env.path(folder).exists()) {
            copy(&env.path(folder), &env.path("backup").join(folder));
        }
        Self(env)
    }

    fn restore(&self) {
        for folder in Self::FOLDERS {
            let (place, kept) = (self.0.path(folder), self.0.path("backup").join(folder));
            if place.exists() {
                fs::remove_dir_all(&place).unwrap();
            }
            if kept.exists() {
                copy(&kept, &place);
            }
        }
    }
}

/// Meets `fault` at the writes 1, 2, 3, … of `run` until it completes. After each fault the home must be as before
/// or as after, say so, and another run must complete it.
fn fault_at_every_write(env: &TestEnv, run: &[&str], after: u64, fault: &str, failed: &dyn Fn(&Ran) -> bool) {
    let before = generation(&status(env));
    let backup = Backup::of(env);
    let mut faults = 0;
    loop {
        let write = faults + 1;
        backup.restore();
        let ran = env.run(run).variable(fault, write.to_string()).go();
        if ran.code == 0 {
            assert_eq!(generation(&status(env)), after);
            assert_eq!(env.home("trust/pins.toml").exists(), env.work("Distro.sigstore.json").exists());
            break;
        }
        assert!(failed(&ran), "write {write}\n{}", ran.shown());
        faults += 1;
        let now = generation(&status(env));
        assert!(now == before || now == after, "write {write}: generation {now}");
        env.ok(run);
        let plan = env.astrid(&["plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, 0, "write {write}\n{}", plan.shown());
        let repaired = status(env);
        assert_eq!(generation(&repaired), after, "write {write}: {repaired}");
        assert_eq!(repaired["sync"], "in-sync", "write {write}: {repaired}");
        env.ok(&["verify", "--fleet"]);
        assert_eq!(env.home("trust/pins.toml").exists(), env.work("Distro.sigstore.json").exists());
    }
    assert!(faults > 10, "only {faults} writes were met: the fault port is not wired");
}

fn first(env: &TestEnv) {
    env.demo();
    env.ok(&["lock"]);
}

/// Another version of the capsule, a pack that is served from a folder, and the first signature.
fn update(env: &TestEnv) {
    env.demo();
    env.write("p/pack.yaml", PACK);
    env.ok(&APPLY);
    env.capsule("notes", "notes", "1.1.0", "");
    env.distro(
        "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.1.0\"\n\n[[pack]]\nid = \"p\"\nsource = \"./p\"\nversion = \"1.0.0\"\n",
    );
    env.ok(&["lock"]);
    env.ok(&["keypair", "generate"]);
    env.ok(&["sign", ".", "--key", "default"]);
}

const PACK: &str =
    "schema_version: 1\nid: p\nname: P\nversion: 1.0.0\ndescription: A pack.\ncontent: {}\npermissions: []\n";

fn aborted(ran: &Ran) -> bool {
    ran.code == ABORTED
}

/// A full disk is told as what it is, and as rolled back once the switch was prepared.
fn told(ran: &Ran) -> bool {
    matches!(ran.code, 1 | 86) && ran.stderr.contains("error: ") && !ran.stderr.contains("fault: ")
}

#[test]
fn a_first_apply_dies_at_every_write() {
    let env = TestEnv::new();
    first(&env);
    fault_at_every_write(&env, &APPLY, 1, "ASTRID_TEST_ABORT_AT_WRITE", &aborted);
}

// contract: SEC-APPLY-01
#[test]
fn an_update_dies_at_every_write() {
    let env = TestEnv::new();
    update(&env);
    fault_at_every_write(&env, &APPLY, 2, "ASTRID_TEST_ABORT_AT_WRITE", &aborted);
}

#[test]
fn a_rollback_dies_at_every_write() {
    let env = TestEnv::new();
    update(&env);
    env.ok(&APPLY);
    let before = generation(&status(&env));
    let backup = Backup::of(&env);
    let run = ["rollback", "1", "--yes", "--no-boot"];
    for write in 1.. {
        backup.restore();
        let ran = env.run(&run).variable("ASTRID_TEST_ABORT_AT_WRITE", write.to_string()).go();
        let now = generation(&status(&env));
        if ran.code == 0 {
            assert!(write > 5 && now == 1);
            break;
        }
        assert!(aborted(&ran), "write {write}\n{}", ran.shown());
        assert!(now == before || now == 1, "write {write}: generation {now}");
        let to = if now == 1 { "2" } else { "1" };
        env.ok(&["rollback", to, "--yes", "--no-boot"]);
        assert_eq!(generation(&status(&env)).to_string(), to, "write {write}");
    }
}

// contract: SEC-APPLY-01
#[test]
fn an_update_meets_a_full_disk_at_every_write() {
    let env = TestEnv::new();
    update(&env);
    let rolled_back = std::cell::Cell::new(0);
    fault_at_every_write(&env, &APPLY, 2, "ASTRID_TEST_FULL_AT_WRITE", &|ran| {
        rolled_back.set(rolled_back.get() + u32::from(ran.code == 86));
        told(ran)
    });
    assert!(rolled_back.get() > 0, "no fault was met after the switch was prepared");
}
