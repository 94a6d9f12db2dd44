//! Places where an earlier installer of packs broke its promise, one test for each: here the promise holds.

use std::fs;

use serde_json::json;

use crate::env::TestEnv;
use crate::packs_scene::{
    ENVIRONMENT, NETWORK, Repo, digest, everything, files, install, pack, record, unchanged,
};

const INSTALL: [&str; 5] = ["packs", "install", "./tools", "--yes", "--no-boot"];

fn env() -> TestEnv {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    env
}

fn ok(env: &TestEnv, arguments: &[&str]) -> crate::env::Ran {
    env.ok(&[arguments, &["--yes", "--trust", "--no-boot"]].concat())
}

/// Packs are under `~/.local/share/astrid/packs`.
// contract: PC-REC-01
#[test]
fn d01_packs_are_where_the_page_says() {
    let env = env();
    let home = env.path("user").join(".local/share/astrid/packs/tools/.astrid/install.json");
    let ran = env.run(&[&INSTALL[..], &["--trust"]].concat()).variable("XDG_DATA_HOME", "").go();
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let record: serde_json::Value = serde_json::from_slice(&fs::read(&home).unwrap()).unwrap();
    for (field, value) in [
        ("trust_acknowledged_at", json!("2026-11-20T12:00:00Z")),
        ("trust_method", json!("cli_flag")),
        ("trust_actor", json!("cli")),
        ("no_sandbox_warning_version", json!(1)),
        (
            "permissions_accepted",
            json!([{ "id": "network", "reason": "Calls an API", "services": ["api.example.org"] }]),
        ),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
}

/// `secrets` stand in the manifests of executors and orchestrators.
// contract: PC-SEC-01
#[test]
fn d02_executors_and_orchestrators_declare_secrets() {
    let env = env();
    env.write(
        "tools/orchestrators/all/orchestrator.yaml",
        "schema_version: 1\nid: tools.all\nname: All\nversion: 1.0.0\nruntime: {kind: command, command: {argv: [sh, all.sh]}}\n\
         child_executors: [tools.hello]\nsecrets: [{name: OTHER_KEY, description: For others}]\n",
    );
    env.write("tools/orchestrators/all/all.sh", "true\n");
    let manifest = env.read("tools/pack.yaml");
    env.write(
        "tools/pack.yaml",
        manifest.replace("{executors: executors}", "{executors: executors, orchestrators: orchestrators}"),
    );
    env.ok(&["packs", "validate", "tools"]);
    let shown = env.ok(&["packs", "inspect", "./tools", "--json"]).json();
    assert_eq!(
        shown["declared_secrets"],
        json!(["API_KEY (required): For the API", "OTHER_KEY: For others"])
    );
    assert_eq!(shown["secrets"][0]["read_by"], json!(["tools.hello"]));
}

/// The summary shows them.
#[test]
fn d03_the_summary_shows_secrets() {
    let env = env();
    let mut terminal = env.terminal(&["packs", "install", "./tools", "--no-boot"]);
    terminal.sees("Secrets:        API_KEY (required): For the API").sees("to go on: ").types("no");
    assert_eq!(terminal.ends().0, 1);
}

/// URL and commit are shown before anything is typed.
// contract: PC-TRUST-06
#[test]
fn d04_git_shows_url_and_commit_before_trust() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    let commit = repo.release("", "1.0.0", NETWORK);
    let mut terminal = env.terminal(&["packs", "install", &repo.url(""), "--no-boot"]);
    terminal.sees(&format!(
        "Source:         file://{}/repo",
        env.path("").display().to_string().trim_end_matches('/')
    ));
    terminal.sees(&format!("Pinned Commit:  {} ({commit})", &commit[..8]));
    terminal.sees("to go on: ").types("no");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 1, "{shown}");
    assert!(!shown.contains("/tmp/.tmp"), "a folder that is thrown away is no source: {shown}");
}

/// An update shows what differs before it asks, in every mode.
// contract: PC-TRUST-07
#[test]
fn d05_an_update_shows_the_permission_diff() {
    let env = env();
    install(&env);
    pack(&env, "tools", "1.1.0", ENVIRONMENT);
    let lines = [
        "Permissions added:",
        "+ environment: Reads API_KEY",
        "Permissions removed:",
        "- network: Calls an API",
    ];
    let update = ["packs", "update", "tools", "--no-boot"];
    let dry = env.ok(&[&update[..3], &["--dry-run"]].concat());
    assert!(lines.iter().all(|line| dry.stdout.contains(line)), "{}", dry.shown());
    let refused = env.astrid(&[&update[..], &["--yes"]].concat());
    assert!(lines.iter().all(|line| refused.stderr.contains(line)), "{}", refused.shown());
    let mut terminal = env.terminal(&update);
    for line in lines {
        terminal.sees(line);
    }
    terminal.sees("to go on: ").types("no");
    assert_eq!(terminal.ends().0, 1);
    let flagged = env.ok(&[&update[..], &["--yes", "--trust"]].concat());
    let done = flagged.stderr.find("generation 2 is current").unwrap();
    assert!(lines.iter().all(|line| flagged.stderr.find(line).unwrap() < done), "{}", flagged.shown());
}

/// The summary comes before the trust, also by a flag.
// contract: PC-TRUST-06
#[test]
fn d06_the_summary_comes_before_trust_by_a_flag() {
    let env = env();
    for more in [&["--trust"][..], &["--trust", "--quiet"], &["--trust", "--json"]] {
        let ran = env.ok(&[&INSTALL[..], more].concat());
        let summary = ran.stderr.find("━━━ Trust Summary ━━━").unwrap_or_else(|| panic!("{}", ran.shown()));
        for line in ["- network: Calls an API", "sandbox: none", "Entrypoints:", "Secrets:", "Dependencies:"]
        {
            assert!(ran.stderr.find(line).unwrap() > summary, "{line}");
        }
        let done = ran.stderr.find("generation").unwrap_or(ran.stderr.len());
        assert!(summary < done || more.contains(&"--quiet"), "{}", ran.shown());
        env.ok(&["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    }
    // At a terminal the question comes after it.
    let mut terminal = env.terminal(&["packs", "install", "./tools", "--trust", "--no-boot"]);
    terminal.sees("━━━ Trust Summary ━━━").sees("permission_enforcement").sees("Proceed? [y/N] ").types("n");
    assert_eq!(terminal.ends().0, 1);
}

/// `packs` of a discovery is a map by id.
// contract: PC-DISC-02
#[test]
fn d07_discovered_packs_are_a_map() {
    let env = env();
    install(&env);
    let found = env.ok(&["discover", "--json"]).json();
    let packs = found["packs"].as_object().unwrap_or_else(|| panic!("{found}"));
    assert_eq!(packs["tools"]["permission_ids"], json!(["network"]));
    assert_eq!(packs["tools"]["trust"]["sandbox"], "none");
}

/// The typed text is exact: no white space around it, no other case.
// contract: PC-TRUST-02
#[test]
fn d08_the_typed_text_is_exact() {
    for typed in [" trust tools", "trust tools ", "\ttrust tools", "trust  tools", "TRUST tools"] {
        let env = env();
        let before = everything(&env);
        let mut terminal = env.terminal(&["packs", "install", "./tools", "--no-boot"]);
        terminal.sees("to go on: ").types(typed);
        let (code, shown) = terminal.ends();
        assert!(code == 1 && shown.contains("Cancelled."), "{typed:?}: {shown}");
        unchanged(&env, &before, typed);
    }
}

/// A rollback to what was never trusted as it would be now asks; one to what was trusted says how and when that was.
// contract: PC-TRUST-08
#[test]
fn d09_a_rollback_needs_trust() {
    let env = env();
    install(&env);
    let first = record(&env, "tools");
    pack(&env, "tools", "1.1.0", "");
    ok(&env, &["packs", "update", "tools"]);
    let back = ["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"];
    let ran = env.ok(&back);
    assert!(ran.stderr.contains("given by generation 1"), "{}", ran.shown());
    assert_eq!(record(&env, "tools")["trust_acknowledged_at"], first["trust_acknowledged_at"]);
    env.ok(&["rollback", "2", "--yes", "--no-boot"]);
    env.ok(&["trust", "revoke", "pack:tools"]);
    let ran = env.astrid(&back);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert_eq!(record(&env, "tools")["version"], "1.1.0");
}

/// A permission id occurs once.
// contract: PC-PERM-03
#[test]
fn d10_a_permission_that_is_declared_twice_is_refused_denied() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", &format!("{NETWORK}  - id: network\n    reason: Something else\n"));
    let before = everything(&env);
    for arguments in [
        &["packs", "validate", "tools"][..],
        &["packs", "install", "./tools", "--dry-run"],
        &["packs", "install", "./tools", "--yes", "--trust"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 65, "{}", ran.shown());
        assert!(ran.stderr.contains("network"), "{}", ran.shown());
    }
    unchanged(&env, &before, "a refused pack");
}

/// Components are counted, not folders.
#[test]
fn d11_components_are_counted_not_folders() {
    let env = env();
    env.write("tools/executors/__pycache__/hello.pyc", "x");
    env.write("tools/elements/effects/glow/element.yaml", "schema_version: 1\nid: glow\nkind: effect\npack_id: tools\nmetadata: {}\nschema: {}\ndefaults: {}\ndependencies: {js_packages: [], python_requirements: []}\n");
    env.write("tools/elements/effects/blur/element.yaml", "schema_version: 1\nid: blur\nkind: effect\npack_id: tools\nmetadata: {}\nschema: {}\ndefaults: {}\ndependencies: {js_packages: [], python_requirements: []}\n");
    let manifest = env.read("tools/pack.yaml");
    env.write(
        "tools/pack.yaml",
        manifest.replace("{executors: executors}", "{executors: executors, elements: elements}"),
    );
    let counts = json!({ "executors": 1, "orchestrators": 0, "elements": 2, "capsules": 0 });
    let shown = env.ok(&["packs", "inspect", "./tools", "--json"]).json();
    assert_eq!(shown["component_counts"], counts);
    install(&env);
    assert_eq!(record(&env, "tools")["component_inventory"], counts);
}

/// The record is over every byte, lies outside of the pack's tree, and is compared before anything runs.
// contract: PC-REC-02, PC-REC-03
#[test]
fn d12_the_record_is_over_the_whole_content_and_out_of_reach() {
    let env = env();
    env.write("tools/.astrid/install.json", "{\"trust_method\": \"interactive\"}\n");
    install(&env);
    let installed = record(&env, "tools");
    assert_eq!(installed["trust_method"], "cli_flag", "the one that the pack brought is not it");
    assert!(!env.path("data/astrid/packs/tools/active/.astrid").exists());
    for field in
        ["content_digest", "authority_digest", "signer", "source_path", "manifest_digest", "installed_at"]
    {
        assert!(!installed[field].is_null(), "{field}");
    }
    assert_eq!(env.ok(&["packs", "inspect", "tools", "--json"]).json()["intact"], true);
    // The generation's receipt is over the record.
    let record_path = fs::canonicalize(env.path("data/astrid/packs/tools/.astrid/install.json")).unwrap();
    let text = fs::read_to_string(&record_path).unwrap();
    let mut mode = fs::metadata(&record_path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    fs::set_permissions(&record_path, mode).unwrap();
    fs::write(&record_path, text.replace("cli_flag", "interactive")).unwrap();
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    assert_eq!(shown["intact"], false);
    assert!(shown["not_intact"].as_str().unwrap().contains("its record was changed"), "{shown}");
    fs::write(&record_path, &text).unwrap();
    // A component that is not its manifest counts as well.
    let served = env.path("data/astrid/packs/tools/active/executors/hello/run.sh");
    let mut mode = fs::metadata(&served).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    fs::set_permissions(&served, mode).unwrap();
    fs::write(&served, "echo evil\n").unwrap();
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    assert!(shown["not_intact"].as_str().unwrap().contains("run.sh"), "{shown}");
}

/// What was summarised is what is installed, whatever happens to the folder meanwhile.
// contract: PC-TRUST-12
#[test]
fn d13_what_was_seen_is_what_is_installed() {
    let env = env();
    let seen = digest(&env, "./tools");
    let mut terminal = env.terminal(&["packs", "install", "./tools", "--no-boot"]);
    terminal.sees(&seen).sees("to go on: ");
    // While the person reads, somebody changes the folder.
    env.write("tools/executors/hello/run.sh", "echo evil\n");
    env.write("tools/executors/hello/more.sh", "echo more\n");
    terminal.types("trust tools").sees("Proceed? [y/N] ").types("y");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(record(&env, "tools")["content_digest"], seen);
    let active = env.path("data/astrid/packs/tools/active/executors/hello");
    assert_eq!(fs::read_to_string(active.join("run.sh")).unwrap(), "echo hello\n");
    assert!(!active.join("more.sh").exists());
}

/// There is one served record, of the revision that is active; an earlier one is named by it, and never says that it
/// is served.
#[test]
fn d14_the_record_follows_the_active_revision() {
    let env = env();
    install(&env);
    let first = record(&env, "tools");
    pack(&env, "tools", "1.1.0", NETWORK);
    ok(&env, &["packs", "update", "tools"]);
    let second = record(&env, "tools");
    assert_eq!(second["previous_active_revision"], first["revision"]);
    assert_eq!(second["revision"], second["content_digest"]);
    env.ok(&["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"]);
    let third = record(&env, "tools");
    assert_eq!((&third["revision"], &third["active"]), (&first["revision"], &json!(true)));
    assert_eq!(third["previous_active_revision"], second["revision"]);
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    let active: Vec<_> =
        shown["revisions"].as_array().unwrap().iter().filter(|one| one["active"] == true).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0]["content_digest"], first["content_digest"]);
    // Another change of the fleet leaves the record as it is.
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.0.0\n");
    ok(&env, &["packs", "install", "./other"]);
    for field in
        ["previous_active_revision", "trust_acknowledged_at", "trust_method", "installed_at", "revision"]
    {
        assert_eq!(record(&env, "tools")[field], third[field], "{field}");
    }
}

/// After a rollback the pack is where it always was, and is found under its id.
#[test]
fn d15_a_rolled_back_pack_is_loaded_under_its_id() {
    let env = env();
    install(&env);
    let link = env.path("data/astrid/packs/tools/active");
    let target = fs::read_link(&link).unwrap();
    pack(&env, "tools", "1.1.0", NETWORK);
    ok(&env, &["packs", "update", "tools"]);
    env.ok(&["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"]);
    assert_eq!(fs::read_link(&link).unwrap(), target);
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    assert_eq!((&shown["version"], &shown["intact"]), (&json!("1.0.0"), &json!(true)));
    let found = env.ok(&["discover", "--json"]).json();
    let installed: Vec<_> = found["refused"].as_array().into_iter().flatten().collect();
    assert!(installed.is_empty(), "{installed:?}");
}

/// A dry run validates, previews what is installed already too, and writes nothing.
// contract: PC-TRUST-11
#[test]
fn d16_a_dry_run_validates_and_writes_nothing() {
    let env = env();
    let before = everything(&env);
    let ran = env.ok(&["packs", "install", "./tools", "--dry-run"]);
    assert!(ran.stdout.contains("━━━ Trust Summary ━━━"), "{}", ran.shown());
    assert!(
        ran.stdout.contains(&format!("content digest of tools: {}", digest(&env, "./tools"))),
        "{}",
        ran.shown()
    );
    env.write(
        "bad/pack.yaml",
        "schema_version: 1\nid: bad\nname: Bad\nversion: 1.0.0\ncontent: {executors: executors}\n",
    );
    let ran = env.astrid(&["packs", "install", "./bad", "--dry-run"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
    fs::remove_dir_all(env.work("bad")).unwrap();
    unchanged(&env, &before, "a dry run");
    install(&env);
    let before = everything(&env);
    let ran = env.astrid(&["packs", "install", "./tools", "--dry-run"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert!(ran.stdout.contains("━━━ Trust Summary ━━━"), "{}", ran.shown());
    assert!(ran.stderr.contains("installed already"), "{}", ran.shown());
    unchanged(&env, &before, "a dry run of what is there");
    // A policy that forbids it is told by the dry run as well.
    let other = TestEnv::new();
    pack(&other, "tools", "1.0.0", NETWORK);
    fs::create_dir_all(other.home("etc")).unwrap();
    fs::write(other.home("etc/policy.toml"), "[policy.authority]\ndeny = [\"permission:network\"]\n")
        .unwrap();
    let ran = other.astrid(&["packs", "install", "./tools", "--dry-run"]);
    assert_eq!(ran.code, 85, "{}", ran.shown());
}

/// A failure of git is a refusal with a reason, never a bug.
#[test]
fn d17_failures_of_git_are_told() {
    let env = TestEnv::new();
    let before = everything(&env);
    let nothing = format!("git+file://{}", env.path("nothing").display());
    for (source, code) in [
        (nothing.as_str(), 1),
        ("https://127.0.0.1:9/tools", 1),
        ("git@127.0.0.1:tools", 1),
        ("https://ada:secret@example.org/tools", 65),
    ] {
        for verb in [&["packs", "install", source, "--yes", "--trust"][..], &["packs", "inspect", source]] {
            let ran = env.astrid(verb);
            assert_eq!(ran.code, code, "{source}: {}", ran.shown());
            assert!(ran.stderr.contains("error: ") && ran.stderr.contains("hint: "), "{}", ran.shown());
            assert!(!ran.stderr.contains("bug") && !ran.stderr.contains("secret"), "{}", ran.shown());
        }
    }
    let offline = env.astrid(&["packs", "install", "https://example.org/tools", "--offline"]);
    assert_eq!(offline.code, 81, "{}", offline.shown());
    unchanged(&env, &before, "git");
}

/// No file in a pack turns its checks off.
// contract: PC-MAN-06
#[test]
fn d18_no_file_turns_validation_off_denied() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", "  - id: telepathy\n    reason: x\n");
    for name in [".no-pack", ".no_pack", ".astridignore", ".gitignore"] {
        env.write(&format!("tools/{name}"), "*\n");
    }
    for arguments in [
        &["packs", "validate", "tools"][..],
        &["packs", "inspect", "./tools"],
        &["packs", "install", "./tools", "--dry-run"],
        &["packs", "install", "./tools", "--yes", "--trust"],
    ] {
        let ran = env.astrid(arguments);
        assert_eq!(ran.code, 65, "{arguments:?}: {}", ran.shown());
    }
}

/// The commit that was reviewed is the one that is installed, and all of its tree is.
// contract: PC-TRUST-05, PC-TRUST-12
#[test]
fn d19_the_reviewed_commit_is_the_installed_one() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    // An ignore file of the repository, or above the working folder, hides nothing of it.
    fs::write(env.path(".gitignore"), "*.sh\n").unwrap();
    fs::create_dir_all(env.path("repo")).unwrap();
    fs::write(env.path("repo/.gitignore"), "*.sh\nREADME.md\n").unwrap();
    fs::write(env.path("repo/.gitattributes"), "*.sh text eol=crlf filter=lfs\n").unwrap();
    let reviewed = repo.release("", "1.0.0", NETWORK);
    let url = repo.url("@main");
    let dry = env.ok(&["packs", "install", &url, "--dry-run", "--json"]).json();
    let shown = &dry["packs"][0];
    assert_eq!(shown["commit_sha"], reviewed.as_str());
    let content = shown["content_digest"].as_str().unwrap();
    let bound = format!("--trust=tools@{content}");
    // The branch moves on between the review and the install.
    let moved = repo.release("", "1.0.1", NETWORK);
    let before = everything(&env);
    let ran = env.astrid(&["packs", "install", &url, "--yes", &bound, "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains(&moved), "{}", ran.shown());
    unchanged(&env, &before, "a branch that moved");
    env.ok(&["packs", "install", &repo.url(&format!("@{reviewed}")), "--yes", &bound, "--no-boot"]);
    let installed = record(&env, "tools");
    assert_eq!((&installed["commit_sha"], &installed["content_digest"]), (&json!(reviewed), &json!(content)));
    for (path, text) in files("1.0.0", NETWORK) {
        let there = fs::read_to_string(env.path("data/astrid/packs/tools/active").join(&path)).unwrap();
        assert_eq!(there, text, "{path}");
    }
    assert!(env.path("data/astrid/packs/tools/active/.gitignore").exists());
}

/// What was accepted is shown by `packs inspect`.
// contract: PC-REC-05
#[test]
fn d20_inspect_shows_what_was_accepted() {
    let env = env();
    install(&env);
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    let installed = record(&env, "tools");
    for field in [
        "permissions_accepted",
        "trust_acknowledged_at",
        "trust_method",
        "trust_actor",
        "no_sandbox_warning_version",
        "content_digest",
        "signer",
    ] {
        assert!(!installed[field].is_null(), "{field}");
        assert_eq!(shown["accepted"][field], installed[field], "{field}");
    }
    let text = env.ok(&["packs", "inspect", "tools"]).stdout;
    assert!(text.contains("at 2026-11-20T12:00:00Z by cli (cli_flag)"), "{text}");
}

/// Installed packs are listed, and a refusal names the verb's own subject.
#[test]
fn d21_installed_packs_are_listed() {
    let env = env();
    assert_eq!(env.ok(&["packs", "list", "--json"]).json()["packs"], json!([]));
    install(&env);
    let listed = env.ok(&["packs", "list", "--json"]).json();
    assert_eq!(listed["packs"][0]["pack_id"], "tools");
    assert_eq!(listed["packs"][0]["state"], "installed");
    assert_eq!(listed["groups"][0]["packs"], json!(["tools"]));
    assert!(env.ok(&["packs", "list"]).stdout.contains("tools  1.0.0    installed"));
    assert_eq!(env.ok(&["packs", "agent-index"]).json()["packs"][0]["pack_id"], "tools");
    env.write("tools/executors/hello/run.sh", "echo more\n");
    let ran = env.astrid(&["packs", "update", "tools", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("pack:tools") && !ran.stderr.contains("install:"), "{}", ran.shown());
}
