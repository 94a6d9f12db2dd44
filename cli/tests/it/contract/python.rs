//! The Python package over the program that was just built.

use std::process::Command;

use super::scene::media;
use crate::env::{Ran, TestEnv};

/// What a person can paste from the security page, word for word.
const LOOPS: &str = r#"
import astrid
inventory = astrid.discover(include_installed=False)
# Pack-level: full structured permission objects
for pack_id, pack_data in inventory.to_dict()["packs"].items():
    print(pack_id, pack_data["permissions"], pack_data["trust"])
# Capability-level: string permission IDs only
for cap in inventory.capabilities:
    print(cap.id, cap.handle.safety.permissions)
"#;

/// Runs Python in the environment's working folder, with the package as it is in this repository.
fn python(env: &TestEnv, arguments: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    env.dress(&mut command);
    let output =
        command.args(arguments).output().unwrap_or_else(|error| panic!("python3 is needed: {error}"));
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

// contract: PC-DISC-03
#[test]
fn both_loops_of_the_promise_run_as_they_are_written() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    let ran = python(&env, &["-c", LOOPS]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.shown());
    assert!(lines[0].starts_with("media [{'id': 'project_files', 'reason': 'Writes films"), "{}", lines[0]);
    assert!(
        lines[0].ends_with(
            "{'permission_enforcement': 'disclosure_only', 'runs_with_user_process_permissions': True, 'sandbox': 'none'}"
        ),
        "{}",
        lines[0]
    );
    let ids = "('project_files', 'network', 'subprocess', 'environment', 'accelerator', 'external_services')";
    for (line, id) in lines[1..].iter().zip(["media.render", "media.plan", "effect/fade"]) {
        assert_eq!(*line, format!("{id} {ids}"));
    }
}

// contract: PC-DISC-03, PC-DISC-07
#[test]
fn the_types_are_those_that_are_promised() {
    let env = TestEnv::new();
    media(&env, "shop/media");
    env.distro("\n[[pack]]\nid = \"media\"\nsource = \"./shop/media\"\n");
    env.ok(&["apply", "--yes", "--trust"]);
    let ran = python(
        &env,
        &[
            "-c",
            "import astrid, json\n\
             found = astrid.discover()\n\
             for cap in found.capabilities:\n    assert type(cap.handle.safety.permissions) is tuple\n    \
             assert all(type(one) is str for one in cap.handle.safety.permissions)\n\
             assert found.packs['media'].source_kind == 'installed'\n\
             json.dumps(found.to_dict())\n\
             assert not astrid.discover(include_installed=False).packs\n\
             assert len(astrid.discover(project_root='shop', extra_pack_roots=('shop',)).packs) == 1\n",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

// contract: PC-DISC-08
#[test]
fn the_module_is_the_program_with_its_exit_code() {
    let env = TestEnv::new();
    media(&env, "packs/media");
    for arguments in
        [&["packs", "validate", "packs/media"][..], &["packs", "inspect", "absent"], &["nonsense"]]
    {
        let own = env.astrid(arguments);
        let module = python(&env, &[&["-m", "astrid"], arguments].concat());
        assert_eq!((module.code, &module.stdout), (own.code, &own.stdout), "{}", module.shown());
    }
}

// contract: PC-DISC-02
#[test]
fn a_refusal_of_the_program_is_an_exception_denied() {
    let env = TestEnv::new();
    for folder in ["project", "project/packs/project"] {
        env.write(
            &format!("{folder}/pack.yaml"),
            "schema_version: 1\nid: project\nname: P\nversion: 1.0.0\n",
        );
    }
    let ran = python(
        &env,
        &[
            "-c",
            "import astrid\ntry:\n    astrid.discover(project_root='project')\nexcept astrid.AstridError as error:\n    \
             print(error.code, error.kind, error.message)\n",
        ],
    );
    assert_eq!(ran.stdout, "65 invalid duplicate pack id `project`\n", "{}", ran.shown());
}
