//! An apply that dies at any write leaves the old generation or the new one, and the next apply completes it.

use crate::env::TestEnv;

const APPLY: [&str; 4] = ["apply", "--yes", "--trust", "--no-boot"];

/// The signal of `abort`, as shells report it.
const ABORTED: i32 = 128 + 6;

fn generation(env: &TestEnv) -> u64 {
    env.ok(&["status", "--json"]).json()["generation"]["number"].as_u64().unwrap_or(0)
}

/// Kills the run at its writes 1, 2, 3, … until it completes; after each death checks that the home is as
/// before or as after, and that another run completes it.
fn kill_at_every_write(prepare: &dyn Fn(&TestEnv), run: &[&str], before: u64, after: u64) {
    let mut completed = false;
    let mut deaths = 0;
    for write in 1.. {
        let env = TestEnv::new();
        prepare(&env);
        let ran = env.run(run).variable("ASTRID_TEST_ABORT_AT_WRITE", write.to_string()).go();
        if ran.code == 0 {
            completed = true;
            assert_eq!(generation(&env), after);
            break;
        }
        assert_eq!(ran.code, ABORTED, "write {write}\n{}", ran.shown());
        deaths += 1;
        let now = generation(&env);
        assert!(now == before || now == after, "write {write}: generation {now}");
        env.ok(&["verify", "--store"]);
        env.ok(run);
        assert_eq!(generation(&env), after, "write {write}");
        let status = env.ok(&["status", "--json"]).json();
        assert_eq!(status["sync"], "in-sync", "write {write}: {status}");
        let plan = env.astrid(&["plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, 0, "write {write}\n{}", plan.shown());
    }
    assert!(completed && deaths > 10, "only {deaths} writes were met: the fault port is not wired");
}

#[test]
fn a_first_apply_dies_at_every_write() {
    kill_at_every_write(
        &|env| {
            env.demo();
            env.ok(&["lock"]);
        },
        &APPLY,
        0,
        1,
    );
}

#[test]
fn an_update_dies_at_every_write() {
    kill_at_every_write(
        &|env| {
            env.demo();
            env.write("p/pack.yaml", PACK);
            env.ok(&APPLY);
            env.capsule("notes", "notes", "1.1.0", "");
            env.distro(
                "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.1.0\"\n\n[[pack]]\nid = \"p\"\nsource = \"./p\"\nversion = \"1.0.0\"\n",
            );
            env.ok(&["lock"]);
        },
        &APPLY,
        1,
        2,
    );
}

const PACK: &str =
    "schema_version: 1\nid: p\nname: P\nversion: 1.0.0\ndescription: A pack.\ncontent: {}\npermissions: []\n";
