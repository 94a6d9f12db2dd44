//! Packs from the first look to the last byte: every source, every verb, and what the declaration says then.

use std::fs;

use crate::env::{Ran, TestEnv};
use crate::packs_scene::{
    ENVIRONMENT, NETWORK, Repo, archive, everything, files, filtered, install, pack, publish, record,
    unchanged,
};

/// Runs without being asked, and keeps what was printed in a file.
macro_rules! transcript {
    ($name:expr, $env:expr, $arguments:expr) => {{
        let arguments: Vec<&str> = $arguments.to_vec();
        let ran = $env.astrid(&arguments);
        let text = format!("$ astrid {}\n{}", arguments.join(" "), ran.shown());
        insta::assert_snapshot!($name, filtered(&$env, &text));
        ran
    }};
}

fn home_distro(env: &TestEnv) -> String {
    fs::read_to_string(env.home("etc/Distro.toml")).unwrap()
}

fn ok(env: &TestEnv, arguments: &[&str]) -> Ran {
    env.ok(&[arguments, &["--yes", "--trust", "--no-boot"]].concat())
}

#[test]
fn the_whole_walk() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    transcript!("packs-1-dry-run", env, ["packs", "install", "./tools", "--dry-run"]);
    transcript!("packs-2-inspect-before", env, ["packs", "inspect", "./tools"]);
    transcript!("packs-3-install", env, ["packs", "install", "./tools", "--yes", "--trust", "--no-boot"]);
    transcript!("packs-4-list", env, ["packs", "list"]);
    transcript!("packs-5-inspect", env, ["packs", "inspect", "tools"]);
    transcript!("packs-6-inspect-agent", env, ["packs", "inspect", "tools", "--agent"]);
    pack(&env, "tools", "1.1.0", &format!("{NETWORK}{ENVIRONMENT}"));
    transcript!("packs-7-update-dry-run", env, ["packs", "update", "tools", "--dry-run"]);
    transcript!("packs-8-update", env, ["packs", "update", "tools", "--yes", "--trust", "--no-boot"]);
    transcript!("packs-9-rollback-which", env, ["packs", "rollback", "tools", "--yes", "--no-boot"]);
    let back = ["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"];
    transcript!("packs-10-rollback", env, back);
    transcript!("packs-11-uninstall", env, ["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    transcript!("packs-12-list-of-nothing", env, ["packs", "list"]);
    transcript!("packs-13-generations", env, ["generations"]);
}

#[test]
fn the_home_declares_what_is_installed_and_its_comments_stay() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    install(&env);
    let path = env.home("etc/Distro.toml");
    let commented = home_distro(&env).replace("[[pack]]", "# greets people\n[[pack]] # ours");
    fs::write(&path, &commented).unwrap();
    pack(&env, "other", "1.0.0", "");
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.0.0\n");
    ok(&env, &["packs", "install", "./other"]);
    let text = home_distro(&env);
    assert!(text.starts_with(&commented), "{text}");
    let tail = format!("\n[[pack]]\nid = \"other\"\nsource = \"{}\"\n", env.work("other").display());
    assert!(text.ends_with(&tail), "{text}");
    env.ok(&["packs", "uninstall", "other", "--yes", "--no-boot"]);
    assert_eq!(home_distro(&env), commented);
    // It switches with the generation: the older one gives back what it ran, not what it was declared by.
    env.ok(&["rollback", "--yes", "--no-boot"]);
    assert!(env.path("data/astrid/packs/other/active/pack.yaml").exists());
}

#[test]
fn a_repository_declares_what_is_below_it() {
    let env = TestEnv::new();
    env.demo();
    pack(&env, "packs/tools", "1.0.0", NETWORK);
    let before = env.read("Distro.toml");
    ok(&env, &["packs", "install", "./packs/tools"]);
    let text = env.read("Distro.toml");
    assert_eq!(text, format!("{before}\n[[pack]]\nid = \"tools\"\nsource = \"./packs/tools\"\n"));
    assert!(env.read("Distro.lock").contains("id = \"tools\""));
    env.ok(&["plan", "--detailed-exitcode"]);
    ok(&env, &["packs", "uninstall", "tools"]);
    assert_eq!(env.read("Distro.toml"), before);
    // What is outside of it can't be named by it.
    for (path, text) in files("1.0.0", "") {
        let path = env.path("elsewhere/tools").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let before = everything(&env);
    let ran = env.astrid(&["packs", "install", "../elsewhere/tools", "--yes", "--trust", "--no-boot"]);
    assert!(ran.code == 65 && ran.stderr.contains("is outside of"), "{}", ran.shown());
    unchanged(&env, &before, "a pack from outside");
}

#[test]
fn a_branch_is_pinned_to_its_commit_and_asked_again_by_update() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    let first = repo.release("", "1.0.0", NETWORK);
    let url = repo.url("@main");
    ok(&env, &["packs", "install", &url]);
    let pinned = |commit: &str| {
        format!(
            "[[pack]]\nid = \"tools\"\nsource = \"{}?ref={commit}\"\nrequested-ref = \"refs/heads/main\"\n",
            repo.url("")
        )
    };
    assert!(home_distro(&env).ends_with(&pinned(&first)), "{}", home_distro(&env));
    let installed = record(&env, "tools");
    assert_eq!(installed["commit_sha"], first.as_str());
    assert_eq!(installed["requested_ref"], "refs/heads/main");
    assert_eq!(installed["git_url"], format!("file://{}", env.path("repo").display()));
    let again = env.ok(&["packs", "update", "tools", "--yes", "--no-boot"]);
    assert!(again.stderr.contains("pack `tools` is up to date"), "{}", again.shown());
    let second = repo.release("", "1.1.0", &format!("{NETWORK}{ENVIRONMENT}"));
    // Nothing follows by itself.
    env.ok(&["packs", "inspect", "tools"]);
    assert!(home_distro(&env).contains(&first));
    let before = everything(&env);
    let ran = env.astrid(&["packs", "update", "tools", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(
        ran.stderr.contains(&format!("refs/heads/main of file://{} is {second}", env.path("repo").display()))
    );
    unchanged(&env, &before, "a refused update");
    let ran = transcript!(
        "packs-update-of-a-branch",
        env,
        ["packs", "update", "--all", "--yes", "--trust", "--no-boot"]
    );
    assert_eq!(ran.code, 0);
    assert!(home_distro(&env).ends_with(&pinned(&second)), "{}", home_distro(&env));
    let now = record(&env, "tools");
    assert_eq!((now["commit_sha"].as_str(), now["version"].as_str()), (Some(second.as_str()), Some("1.1.0")));
    // Back to the commit before, without the repository.
    fs::remove_dir_all(env.path("repo")).unwrap();
    fs::remove_dir_all(env.home("var")).unwrap();
    ok(&env, &["packs", "rollback", "tools", "--revision", "2", "--offline"]);
    assert!(home_distro(&env).ends_with(&pinned(&first)), "{}", home_distro(&env));
    assert_eq!(record(&env, "tools")["commit_sha"], first.as_str());
}

#[test]
fn tags_commits_folders_and_the_default_branch_are_found() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    let first = repo.release("packs/tools", "1.0.0", "");
    repo.tag("v1");
    let second = repo.release("packs/tools", "2.0.0", "");
    let inspected = |reference: &str| {
        let ran = env.ok(&["packs", "inspect", &repo.url(reference), "--json"]).json();
        let text = |key: &str| ran[key].as_str().unwrap().to_owned();
        (text("version"), text("commit_sha"), text("requested_ref"))
    };
    let expected = |version: &str, commit: &str, requested: &str| {
        (version.to_owned(), commit.to_owned(), requested.to_owned())
    };
    let folder = "?path=packs/tools";
    assert_eq!(inspected(folder), expected("2.0.0", &second, "HEAD"));
    assert_eq!(inspected(&format!("@v1{folder}")), expected("1.0.0", &first, "refs/tags/v1"));
    assert_eq!(
        inspected(&format!("{folder}&ref=refs/heads/main")),
        expected("2.0.0", &second, "refs/heads/main")
    );
    assert_eq!(inspected(&format!("@{first}{folder}")), expected("1.0.0", &first, &first));
    // Without a folder: the one folder below the root that holds a pack.
    let refused = env.astrid(&["packs", "inspect", &repo.url("")]);
    assert!(refused.code == 65 && refused.stderr.contains("?path=FOLDER"), "{}", refused.shown());
    let one = repo.release("tools", "3.0.0", "");
    assert_eq!(inspected(""), expected("3.0.0", &one, "HEAD"));
    repo.release("more", "3.0.0", "");
    let refused = env.astrid(&["packs", "inspect", &repo.url("")]);
    assert!(refused.code == 65 && refused.stderr.contains("several packs"), "{}", refused.shown());
    // A name that is a tag and a branch is neither.
    repo.branch("v1");
    let refused = env.astrid(&["packs", "inspect", &repo.url(&format!("@v1{folder}"))]);
    assert!(refused.code == 65 && refused.stderr.contains("@refs/tags/v1"), "{}", refused.shown());
    // A pack that is pinned to a commit has nothing to ask again.
    ok(&env, &["packs", "install", &repo.url(&format!("@{first}{folder}"))]);
    let ran = env.ok(&["packs", "update", "tools", "--yes", "--no-boot"]);
    assert!(ran.stderr.contains("up to date"), "{}", ran.shown());
}

#[test]
fn an_archive_is_installed_as_what_it_holds() {
    let env = TestEnv::new();
    archive(&env.work("tools-1.0.0.tar.gz"), &files("1.0.0", NETWORK));
    pack(&env, "tools", "1.0.0", NETWORK);
    let of_folder = env.ok(&["packs", "inspect", "./tools", "--json"]).json();
    let of_archive = env.ok(&["packs", "inspect", "tools-1.0.0.tar.gz", "--json"]).json();
    assert_eq!(of_folder["content_digest"], of_archive["content_digest"]);
    ok(&env, &["packs", "install", "tools-1.0.0.tar.gz"]);
    assert_eq!(record(&env, "tools")["content_digest"], of_folder["content_digest"]);
    archive(&env.work("tools-1.0.0.tar.gz"), &files("1.0.1", NETWORK));
    ok(&env, &["packs", "update", "tools"]);
    assert_eq!(record(&env, "tools")["version"], "1.0.1");
    archive(&env.work("none.tar.gz"), &[("readme".to_owned(), "no pack\n".to_owned())]);
    let ran = env.astrid(&["packs", "install", "none.tar.gz", "--dry-run"]);
    assert!(ran.code == 65 && ran.stderr.contains("holds no pack"), "{}", ran.shown());
}

#[test]
fn an_index_gives_the_newest_and_update_takes_newer_ones() {
    let env = TestEnv::new();
    env.distro("\n[[index]]\nname = \"acme\"\nurl = \"./index\"\n\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n");
    env.capsule("notes", "notes", "1.0.0", "");
    publish(&env, "1.0.0", "");
    publish(&env, "1.2.0", "");
    let found = env.ok(&["packs", "search", "tools", "--json"]).json();
    assert_eq!(
        (found["packs"][0]["state"].as_str(), found["packs"][0]["version"].as_str()),
        (Some("offered"), Some("1.2.0"))
    );
    let looked = env.ok(&["packs", "inspect", "index:tools", "--json"]).json();
    assert_eq!(looked["version"], "1.2.0");
    ok(&env, &["packs", "install", "index:tools"]);
    assert!(env.read("Distro.toml").contains("source = \"index:tools\"\nversion = \"^1.2.0\"\n"));
    assert_eq!(record(&env, "tools")["content_digest"], looked["content_digest"]);
    assert_eq!(record(&env, "tools")["source_type"], "index");
    publish(&env, "1.3.0", NETWORK);
    publish(&env, "2.0.0", "");
    ok(&env, &["packs", "update", "tools"]);
    assert_eq!(record(&env, "tools")["version"], "1.3.0");
    // An older one, by its own range.
    env.ok(&["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    ok(&env, &["packs", "install", "index:tools", "--version", "1.0.0"]);
    assert_eq!(record(&env, "tools")["version"], "1.0.0");
    let ran = env.astrid(&["packs", "install", "index:nothing", "--yes", "--trust"]);
    assert_eq!(ran.code, 65, "{}", ran.shown());
}

#[test]
fn a_bundle_is_applied_with_its_packs() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    env.distro("\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\n");
    env.ok(&["lock"]);
    env.ok(&["distro", "seal", "-o", "demo.shuttle"]);
    let other = TestEnv::new();
    fs::copy(env.work("demo.shuttle"), other.work("demo.shuttle")).unwrap();
    let install = ["packs", "install", "demo.shuttle", "--yes", "--no-boot", "--allow-unsigned"];
    let ran = other.astrid(&install);
    assert_eq!(ran.code, 82, "{}", ran.shown());
    assert!(ran.stderr.contains("━━━ Trust Summary ━━━"), "{}", ran.shown());
    other.ok(&[&install[..], &["--trust"]].concat());
    assert_eq!(record(&other, "tools")["version"], "1.0.0");
    env.demo();
    env.ok(&["lock"]);
    env.ok(&["distro", "seal", "-o", "demo.shuttle"]);
    let ran = env.astrid(&["packs", "install", "demo.shuttle", "--yes", "--trust", "--no-boot"]);
    assert!(ran.code == 65 && ran.stderr.contains("holds no pack"), "{}", ran.shown());
}

#[test]
fn only_what_widens_nothing_is_taken() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.0.0\n");
    install(&env);
    ok(&env, &["packs", "install", "./other"]);
    pack(&env, "tools", "1.1.0", &format!("{NETWORK}{ENVIRONMENT}"));
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.1.0\n");
    let ran = ok(&env, &["packs", "update", "--all", "--no-new-authority"]);
    assert!(ran.stderr.contains("pack `tools` stays as it is"), "{}", ran.shown());
    assert!(home_distro(&env).contains("content = "), "{}", home_distro(&env));
    assert_eq!(
        (record(&env, "tools")["version"].as_str(), record(&env, "other")["version"].as_str()),
        (Some("1.0.0"), Some("1.1.0"))
    );
    pack(&env, "tools", "1.2.0", "");
    ok(&env, &["packs", "update", "tools", "--no-new-authority"]);
    assert_eq!(record(&env, "tools")["version"], "1.2.0");
    assert!(!home_distro(&env).contains("content = "), "{}", home_distro(&env));
}

#[test]
fn revisions_are_part_of_generations() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", "");
    install(&env);
    let first = record(&env, "tools")["content_digest"].as_str().unwrap().to_owned();
    pack(&env, "tools", "1.1.0", "");
    ok(&env, &["packs", "update", "tools"]);
    // The whole fleet goes back, and the pack with it.
    env.ok(&["rollback", "1", "--yes", "--no-boot"]);
    assert_eq!(record(&env, "tools")["content_digest"], first.as_str());
    let served = fs::read_to_string(env.path("data/astrid/packs/tools/active/pack.yaml")).unwrap();
    assert!(served.contains("version: 1.0.0"), "{served}");
    env.ok(&["rollback", "2", "--yes", "--no-boot"]);
    // One pack goes back, in a new generation; the folder that it came from is not asked.
    fs::remove_dir_all(env.work("tools")).unwrap();
    ok(&env, &["packs", "rollback", "tools", "--revision", &first]);
    assert!(home_distro(&env).contains(&format!("content = \"{first}\"\n")));
    let shown = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    let revisions: Vec<_> = shown["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["version"].as_str().unwrap(),
                one["active"].as_bool().unwrap(),
                one["generations"].to_string(),
            )
        })
        .collect();
    assert_eq!(revisions, [("1.0.0", true, "[3,1]".to_owned()), ("1.1.0", false, "[2]".to_owned())]);
    // What no generation holds any more is gone with gc.
    env.ok(&["gc", "--keep", "1", "--force"]);
    let ran = env.astrid(&["packs", "rollback", "tools", "--revision", "2", "--yes", "--no-boot"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    // An update follows the source again.
    pack(&env, "tools", "1.2.0", "");
    ok(&env, &["packs", "update", "tools"]);
    assert!(!home_distro(&env).contains("content ="), "{}", home_distro(&env));
    assert_eq!(record(&env, "tools")["version"], "1.2.0");
}

#[test]
fn kept_revisions_outlive_gc() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    install(&env);
    let first = record(&env, "tools");
    pack(&env, "tools", "1.1.0", "");
    ok(&env, &["packs", "update", "tools"]);
    let ran = env.ok(&["packs", "uninstall", "tools", "--keep-revisions", "--yes", "--no-boot"]);
    assert!(ran.stderr.contains("its revisions are kept"), "{}", ran.shown());
    assert!(!env.path("data/astrid/packs/tools").exists());
    env.write("other/pack.yaml", "schema_version: 1\nid: other\nname: Other\nversion: 1.0.0\n");
    ok(&env, &["packs", "install", "./other"]);
    env.ok(&["gc", "--keep", "1", "--force"]);
    assert_eq!(env.ok(&["generations", "--json"]).json()["generations"].as_array().unwrap().len(), 1);
    fs::remove_dir_all(env.work("tools")).unwrap();
    let content = first["content_digest"].as_str().unwrap();
    env.ok(&["packs", "rollback", "tools", "--revision", content, "--yes", "--no-boot"]);
    let now = record(&env, "tools");
    assert_eq!((&now["content_digest"], &now["version"]), (&first["content_digest"], &first["version"]));
    // Uninstalled once more without the flag, they go.
    env.ok(&["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    assert!(!env.home("revisions/tools").exists());
    let ran = env.astrid(&["packs", "uninstall", "tools", "--yes"]);
    assert!(ran.code == 1 && ran.stderr.contains("not installed"), "{}", ran.shown());
}

#[test]
fn lists_are_filtered_and_searched() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", NETWORK);
    install(&env);
    env.write(
        "hidden/pack.yaml",
        "schema_version: 1\nid: hidden\nname: Hidden\nversion: 1.0.0\nvisibility: hidden\ndomain: media\nkeywords: [pictures]\n",
    );
    ok(&env, &["packs", "install", "./hidden"]);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let ran = env.ok(&[&["packs"][..], arguments, &["--json"]].concat()).json();
        ran["packs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pack| pack["pack_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&["list"]), ["tools"]);
    assert_eq!(ids(&["ls", "--show-hidden"]), ["hidden", "tools"]);
    assert_eq!(ids(&["list", "--visibility", "hidden"]), ["hidden"]);
    assert_eq!(ids(&["list", "--show-hidden", "--domain", "media"]), ["hidden"]);
    assert!(ids(&["list", "--domain", "editorial"]).is_empty());
    assert_eq!(ids(&["search", "greet"]), ["tools"]);
    assert_eq!(ids(&["search", "pictures"]), ["hidden"]);
    assert_eq!(ids(&["search", "o", "--limit", "1"]).len(), 1);
    assert!(ids(&["search", "greet", "pictures"]).is_empty());
    transcript!("packs-search", env, ["packs", "search", "greet"]);
    transcript!("packs-agent-index", env, ["packs", "agent-index", "--pack-id", "tools"]);
    transcript!("packs-agent-index-text", env, ["packs", "agent-index", "--text"]);
    let nothing = env.ok(&["packs", "agent-index", "--pack-id", "other"]).json();
    assert!(nothing["pack"].is_null());
}

#[test]
fn what_a_capsule_may_do_is_said_in_words_of_its_own() {
    let env = TestEnv::new();
    env.write(
        "tools/pack.yaml",
        "schema_version: 1\nid: tools\nname: Tools\nversion: 1.0.0\ncontent: {capsules: capsules}\npermissions:\n  - id: network\n    reason: Calls an API\n",
    );
    env.capsule("tools/capsules/notes", "notes", "1.0.0", "\n[capabilities]\nfs_read = [\"cwd://\"]\n");
    transcript!("packs-inspect-capsule", env, ["packs", "inspect", "./tools"]);
    let ran = env.ok(&["packs", "inspect", "./tools", "--json"]).json();
    // The bytes of this component can't read a file, whatever its manifest says.
    assert_eq!(ran["capsules"]["notes"]["enforced"], serde_json::json!([]));
    assert_eq!(ran["capsules"]["notes"]["unused"], serde_json::json!(["fs_read:cwd://"]));
    ok(&env, &["packs", "install", "./tools"]);
    let now = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    assert_eq!((&now["capsules"], &now["authority_digest"]), (&ran["capsules"], &ran["authority_digest"]));
}

#[test]
fn inspect_says_the_same_before_and_after() {
    let env = TestEnv::new();
    let repo = Repo::new(&env);
    repo.release("", "1.0.0", NETWORK);
    pack(&env, "tools", "1.0.0", NETWORK);
    let url = repo.url("@main");
    let of_folder = env.ok(&["packs", "inspect", "./tools", "--json"]).json();
    let of_url = env.ok(&["packs", "inspect", &url, "--json"]).json();
    let before = everything(&env);
    env.ok(&["packs", "inspect", &url]);
    unchanged(&env, &before, "inspect");
    ok(&env, &["packs", "install", &url]);
    let installed = env.ok(&["packs", "inspect", "tools", "--json"]).json();
    for field in [
        "pack_id",
        "name",
        "version",
        "schema_version",
        "description",
        "component_counts",
        "entrypoints",
        "normal_entrypoints",
        "declared_secrets",
        "secrets",
        "dependencies",
        "dependencies_struct",
        "docs",
        "do_not_use_for",
        "required_context",
        "keywords",
        "capabilities",
        "permissions",
        "permission_ids",
        "trust",
        "at_a_glance",
        "content_digest",
        "authority_digest",
        "capsules",
        "components",
        "agent",
        "taxonomy",
        "files",
        "bytes",
    ] {
        assert!(!installed[field].is_null(), "{field}");
        assert_eq!((&of_folder[field], &of_url[field]), (&installed[field], &installed[field]), "{field}");
    }
    for field in ["git_url", "commit_sha", "requested_ref", "source_type", "trust_tier", "source_path"] {
        assert_eq!(of_url[field], installed[field], "{field}");
    }
    assert_eq!((of_url["installed"].as_bool(), installed["installed"].as_bool()), (Some(false), Some(true)));
    assert_eq!(installed["components"][0]["stage_excerpt"], "# Hello\n\nSays it.");
}

#[test]
fn what_is_only_declared_is_listed_as_that() {
    let env = TestEnv::new();
    pack(&env, "tools", "1.0.0", "");
    env.capsule("notes", "notes", "1.0.0", "");
    let notes = "\n[[capsule]]\nname = \"notes\"\nsource = \"./notes\"\nversion = \"1.0.0\"\n";
    env.distro(notes);
    env.ok(&["apply", "--yes", "--trust", "--no-boot"]);
    env.distro(&format!("{notes}\n[[pack]]\nid = \"tools\"\nsource = \"./tools\"\n"));
    let listed = env.ok(&["packs", "list", "--json"]).json();
    assert_eq!(listed["packs"][0]["state"], "declared");
    let ran = env.ok(&["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    assert!(ran.stderr.contains("was declared and not installed"), "{}", ran.shown());
    assert!(!env.read("Distro.toml").contains("tools"));
}

#[test]
fn a_pack_that_another_needs_goes_with_that_denied() {
    let env = TestEnv::new();
    publish(&env, "1.0.0", "");
    env.write(
        "more/pack.yaml",
        "schema_version: 1\nid: more\nname: More\nversion: 1.0.0\ndependencies: {packs: [\"tools >=1.0\"]}\n",
    );
    env.distro(
        "\n[[index]]\nname = \"acme\"\nurl = \"./index\"\n\n[[pack]]\nid = \"more\"\nsource = \"./more\"\n",
    );
    ok(&env, &["apply"]);
    assert_eq!(record(&env, "tools")["version"], "1.0.0");
    let ran = env.astrid(&["packs", "uninstall", "tools", "--yes", "--no-boot"]);
    assert!(ran.code == 1 && ran.stderr.contains("another pack needs it"), "{}", ran.shown());
    let ran = env.astrid(&["packs", "install", "index:tools", "--yes", "--trust", "--no-boot"]);
    assert!(ran.code == 1 && ran.stderr.contains("another pack needs it"), "{}", ran.shown());
    publish(&env, "1.1.0", "");
    ok(&env, &["packs", "update", "tools"]);
    assert_eq!(record(&env, "tools")["version"], "1.1.0");
}

/// Meets `fault` at every fourth write of an install, from `first` on, until it completes. After each, the
/// declaration and the generation say the same once the next install has repaired what was cut short.
///
/// That every write of an apply may be the last is shown elsewhere; here it matters which files go together.
fn fault_at_writes_of_an_install(fault: &str, first: usize) {
    let install = ["packs", "install", "./tools", "--yes", "--trust", "--no-boot"];
    for write in (first..).step_by(4) {
        let env = TestEnv::new();
        pack(&env, "tools", "1.0.0", NETWORK);
        let ran = env.run(&install).variable(fault, write.to_string()).go();
        if ran.code == 0 {
            assert!(write > 20, "{write} writes");
            return;
        }
        let again = env.astrid(&install);
        assert!(
            again.code == 0 || again.stderr.contains("installed already"),
            "after write {write}: {}",
            again.shown()
        );
        assert_eq!(home_distro(&env).matches("[[pack]]").count(), 1, "after write {write}");
        assert_eq!(env.ok(&["packs", "inspect", "tools", "--json"]).json()["intact"], true);
    }
}

#[test]
fn a_crash_leaves_all_of_an_install_or_nothing() {
    fault_at_writes_of_an_install("ASTRID_TEST_ABORT_AT_WRITE", 1);
}

#[test]
fn a_full_disk_leaves_all_of_an_install_or_nothing() {
    fault_at_writes_of_an_install("ASTRID_TEST_FULL_AT_WRITE", 3);
}
