//! `packs validate` and `packs new`, and that no verb takes a pack that is not valid.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::env::{TestEnv, astrid_snapshot};

const PACK: &str =
    "schema_version: 1\nid: media\nname: Media\nversion: 1.0.0\ncontent:\n  executors: executors\n";
const EXECUTOR: &str = "schema_version: 1\nid: media.cut\nname: Cut\nversion: 0.1.0\ndescription: Cuts films.\nruntime:\n  type: python-cli\n  entrypoint: run.py\n";

/// A pack `media` with one executor.
fn media(env: &TestEnv) {
    env.write("media/pack.yaml", PACK);
    env.write("media/executors/cut/executor.yaml", EXECUTOR);
    env.write("media/executors/cut/run.py", "open('ran', 'w')\n");
}

#[test]
fn a_pack_is_valid() {
    let env = TestEnv::new();
    media(&env);
    astrid_snapshot!("packs-validate", env, ["packs", "validate", "media"]);
    for arguments in [
        &["packs", "validate", "media/"][..],
        &["packs", "validate", "media/pack.yaml"],
        &["-C", "media", "packs", "validate"],
    ] {
        let ran = env.ok(arguments);
        assert!(ran.stdout.starts_with("valid: /") && ran.stdout.ends_with("/media\n"), "{}", ran.shown());
    }
    let ran = env.ok(&["packs", "validate", "media", "--json"]).json();
    assert_eq!(
        (ran["valid"].as_bool(), ran["component_counts"]["executors"].as_u64()),
        (Some(true), Some(1))
    );
    // Nothing of it was run, and nothing was written.
    assert!(!env.work("ran").exists() && !env.work("media/ran").exists());
    assert!(!env.work("media/executors/cut/__pycache__").exists() && !env.home("").exists());
}

#[test]
fn every_complaint_is_shown_at_once_denied() {
    let env = TestEnv::new();
    env.write(
        "media/pack.yaml",
        "schema_version: 1\nid: media\nname: Media\nversion: 1.0.0\ncontent:\n  executors: executors\n  elements: elements\npermissions:\n  \
           - id: network\n    reason: Asks a server\n  - id: network\n    reason: Asks another\n  - id: telepathy\n    reason: ' '\naliases:\n  \
           - {kind: executor, alias: films.cut, canonical_id: media.cuts}\nsecret: []\n",
    );
    env.write(
        "media/executors/cut/executor.yaml",
        "schema_version: 1\nid: films.cut\nname: Cut\nruntime:\n  type: python-cli\n  entrypoint: ../../../run.py\ninputs:\n  - name: film\n    type: movie\n",
    );
    env.write("media/executors/join/executor.yml", "schema_version: 1\nid: media.join\nid: media.join2\n");
    env.write("media/.no-pack", "");
    symlink("/etc/passwd", env.work("media/executors/cut/names")).unwrap();
    astrid_snapshot!("packs-validate-invalid", env, ["packs", "validate", "media", "--warnings"]);
    astrid_snapshot!("packs-validate-invalid-json", env, ["packs", "validate", "media", "--json"]);
}

#[test]
fn warnings_are_shown_when_asked_for() {
    let env = TestEnv::new();
    media(&env);
    env.write("media/executors/cut/executor.yaml", format!("{EXECUTOR}secrets:\n  - name: API_KEY\n"));
    astrid_snapshot!("packs-validate-warnings", env, ["packs", "validate", "media", "--warnings"]);
    let ran = env.ok(&["packs", "validate", "media"]);
    assert!(ran.stderr.contains("2 warnings: add --warnings to see them"), "{}", ran.shown());
}

#[test]
fn what_is_no_pack_is_65_denied() {
    let env = TestEnv::new();
    media(&env);
    symlink("media", env.work("link")).unwrap();
    env.write("empty/README.md", "");
    env.write("other/pack.yaml", PACK.replace("content:\n  executors: executors\n", ""));
    for (path, said) in [
        ("nowhere", "can't be read"),
        ("link", "symbolic link"),
        ("link/", "symbolic link"),
        ("media/executors/cut/run.py", "is no folder of a pack"),
        ("empty", "there is no pack.yaml, pack.yml or pack.json"),
        ("other", "the pack is `media`, and its folder is `other`"),
    ] {
        let ran = env.astrid(&["packs", "validate", path]);
        assert_eq!(ran.code, 65, "{path}: {}", ran.shown());
        assert!(ran.stderr.contains(said), "{path}: {}", ran.shown());
    }
}

#[test]
fn odd_texts_are_65_denied() {
    let env = TestEnv::new();
    media(&env);
    for (more, rule) in [
        ("permissions: [{id: network, reason: a}, {id: network, reason: b}]\n", "duplicate"),
        ("id: media\n", "duplicate-key"),
        ("metadata: {a: .inf}\n", "wrong-type"),
        ("metadata: &a\n  b: *a\n", "syntax"),
        ("permissions: [{id: root, reason: a}]\n", "permission-id"),
        ("permissions: [{id: network}]\n", "missing-field"),
        ("permissions: [{id: network, reason: a, hosts: []}]\n", "unknown-key"),
    ] {
        env.write("media/pack.yaml", format!("{PACK}{more}"));
        let ran = env.astrid(&["packs", "validate", "media", "--json"]);
        assert_eq!(ran.code, 65, "{more}: {}", ran.shown());
        let document = ran.json();
        assert_eq!(document["valid"], false);
        let found = document["diagnostics"].as_array().unwrap();
        assert!(
            found.iter().any(|one| one["rule"] == rule && one["file"] == "media/pack.yaml"),
            "{}",
            ran.shown()
        );
    }
}

#[test]
fn an_invalid_pack_is_never_locked_denied() {
    let env = TestEnv::new();
    media(&env);
    env.distro("\n[[pack]]\nid = \"media\"\nsource = \"./media\"\n");
    env.write("media/executors/cut/executor.yaml", EXECUTOR.replace("run.py", "nope.py"));
    for arguments in [&["lock"][..], &["plan"], &["apply", "--yes", "--trust", "--no-boot"]] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 65, "{arguments:?}: {}", ran.shown());
        assert!(ran.stderr.contains("executors/cut/executor.yaml:8:15"), "{arguments:?}: {}", ran.shown());
        assert!(!env.work("Distro.lock").exists() && !env.home("generations").exists(), "{arguments:?}");
    }
    media(&env);
    env.ok(&["lock"]);
}

#[test]
fn validate_checks_the_components_of_packs() {
    let env = TestEnv::new();
    media(&env);
    env.ok(&["validate"]);
    env.write("media/executors/cut/executor.yaml", EXECUTOR.replace("id: media.cut", "id: other.cut"));
    for arguments in [&["validate"][..], &["validate", "media"], &["validate", "media/pack.yaml"]] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 65, "{arguments:?}: {}", ran.shown());
        assert!(ran.stderr.contains("media/executors/cut/executor.yaml:2:5"), "{}", ran.shown());
    }
}

#[test]
fn a_new_pack_is_valid() {
    let env = TestEnv::new();
    astrid_snapshot!("packs-new", env, ["packs", "new", "first_pack"]);
    let ran = env.ok(&["packs", "new", "second", "--path", "more", "--template", "python", "--json"]).json();
    assert_eq!(ran["files"].as_array().unwrap().len(), 3);
    env.ok(&["packs", "new", "third", "--template", "shell"]);
    assert!(!env.home("").exists());
    for (folder, id) in [("first_pack", "first_pack"), ("more/second", "second"), ("third", "third")] {
        let ran = env.ok(&["packs", "validate", folder, "--warnings"]);
        assert_eq!(ran.stderr, "", "{folder}");
        let component = format!("{id}.hello");
        let run = env.run(&["packs", "run", "--path", folder, &component, "who=Ada", "--trust"]);
        let ran = run.variable("PATH", std::env::var_os("PATH").unwrap()).go();
        assert_eq!(ran.code, 0, "{}", ran.shown());
        assert!(ran.stdout.contains("Hello, Ada!"), "{}", ran.shown());
    }
    let files = ["first_pack/pack.yaml", "first_pack/executors/hello/executor.yaml"];
    let text: Vec<String> = files.iter().map(|file| format!("--- {file}\n{}", env.read(file))).collect();
    insta::assert_snapshot!("packs-new-minimal", text.join("\n"));
}

#[test]
fn a_new_pack_replaces_nothing_denied() {
    let env = TestEnv::new();
    env.write("there/file", "");
    symlink("nowhere", env.work("link")).unwrap();
    env.write("file", "");
    for id in ["there", "link", "file", "Media", "media-tools", "../media", "", "1st", "media/x"] {
        let ran = env.astrid(&["packs", "new", id]);
        assert_eq!(ran.code, 64, "{id}: {}", ran.shown());
    }
    assert_eq!(env.astrid(&["packs", "new", "media", "--frozen"]).code, 81);
    let left: Vec<String> = std::fs::read_dir(env.work(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(std::fs::read_dir(env.work("there")).unwrap().count(), 1);
}

#[test]
fn the_packs_of_this_repository_have_no_complaints() {
    let env = TestEnv::new();
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packs");
    let mut checked = 0;
    for entry in std::fs::read_dir(packs).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("pack.yaml").exists() {
            let ran = env.ok(&["packs", "validate", folder.to_str().unwrap(), "--warnings"]);
            assert_eq!(ran.stderr, "", "{}", folder.display());
            checked += 1;
        }
    }
    assert!(checked > 3);
}
