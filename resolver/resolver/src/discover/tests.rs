use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use astrid_store::{Disk, Home, Store};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::context::{Clock, Entropy};
use crate::error::ErrorKind;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.path("project")).unwrap();
        scene
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(relative)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn pack(&self, folder: &str, id: &str, more: &str) {
        self.write(
            &format!("{folder}/pack.yaml"),
            &format!("schema_version: 1\nid: {id}\nname: {id}\nversion: 1.0.0\n{more}"),
        );
    }

    /// A pack with one of everything.
    fn media(&self, folder: &str) {
        self.pack(
            folder,
            "media",
            "content: {executors: executors, orchestrators: orchestrators, elements: elements}\n\
             permissions:\n  - {id: network, reason: Calls an API, services: [api.example.org]}\n  - {id: environment, reason: Reads its key}\n\
             aliases:\n  - {kind: executor, alias: media.draw, canonical_id: media.render}\n\
             metadata: {category: video}\n",
        );
        self.write(
            &format!("{folder}/executors/render/executor.yaml"),
            "schema_version: 1\nid: media.render\nname: Render\nversion: 2.0.0\nkind: external\n\
             runtime: {kind: command, command: {argv: [echo, '{text}']}}\n\
             inputs: [{name: text, type: string, default: hi}]\n\
             isolation: {network: true}\n\
             secrets: [{name: API_KEY, required: true}, {name: OTHER_KEY}]\n",
        );
        self.write(
            &format!("{folder}/orchestrators/all/orchestrator.yaml"),
            "schema_version: 1\nid: media.all\nname: All\nversion: 1.0.0\n\
             runtime: {kind: command, command: {argv: [echo]}}\nchild_executors: [media.render]\n",
        );
        self.write(
            &format!("{folder}/elements/effects/fade/element.yaml"),
            "schema_version: 1\nid: fade\nkind: effect\npack_id: media\nmetadata: {label: Fade}\nschema: {}\n\
             defaults: {seconds: 1}\ndependencies: {}\n",
        );
    }

    fn discover(&self, extra: &[&str], environment: &[&str]) -> Result<DiscoveryResult> {
        let home = Home::new(self.path("home"), self.path("data")).unwrap();
        let store = Store::new(home.clone(), Disk::default());
        let context = Context::new(home, store, Arc::new(Still), Arc::new(Still), "ada".to_owned());
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect::<Vec<_>>();
        let project = self.path("project");
        let (extra, environment) = (paths(extra), paths(environment));
        discover(
            &context,
            &Wanted { project: &project, extra: &extra, environment: &environment, installed: true },
        )
    }
}

fn ids(result: &DiscoveryResult) -> Vec<(&str, SourceKind, usize)> {
    result.packs.values().map(|pack| (pack.id.as_str(), pack.source_kind, pack.priority_index)).collect()
}

#[test]
fn layers_are_looked_at_in_their_order() {
    let scene = Scene::new();
    scene.pack("project/packs/one", "one", "");
    scene.pack("project/local", "local", "");
    scene.pack("extra/two", "two", "");
    scene.pack("three", "three", "");
    scene.pack("env/four", "four", "");
    scene.pack("env/one", "one", "");
    scene.pack("project/packs/.hidden", "hidden", "");
    scene.write("project/packs/README.md", "no pack");
    let found = scene.discover(&["extra", "three"], &["env", "absent"]).unwrap();
    let expected = [
        ("four", SourceKind::Env, 4),
        ("local", SourceKind::Local, 1),
        ("one", SourceKind::Source, 0),
        ("three", SourceKind::Extra, 3),
        ("two", SourceKind::Extra, 2),
    ];
    assert_eq!(ids(&found), expected);
    assert_eq!(found.shadowed.len(), 1);
    assert_eq!((found.shadowed[0].id.as_str(), found.shadowed[0].priority_index), ("one", 4));
    assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
    assert!(!scene.path("home").exists(), "a reader created something");
}

#[test]
fn the_project_is_a_pack_itself() {
    let scene = Scene::new();
    scene.pack("project", "project", "");
    scene.pack("project/packs/other", "other", "");
    let found = scene.discover(&[], &[]).unwrap();
    assert_eq!(ids(&found), [("other", SourceKind::Source, 0), ("project", SourceKind::Source, 0)]);
}

#[test]
fn what_a_pack_offers_comes_with_what_it_discloses() {
    let scene = Scene::new();
    scene.media("project/packs/media");
    let found = scene.discover(&[], &[]).unwrap();
    assert!(found.refused.is_empty(), "{:#?}", found.refused);
    let names: Vec<&str> = found.capabilities.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(names, ["media.render", "media.all", "effect/fade"]);
    for capability in &found.capabilities {
        let value = serde_json::to_value(&capability.handle.safety.permissions).unwrap();
        assert_eq!(value, json!(["network", "environment"]), "{}", capability.id);
    }
    let render = &found.executors[0].handle;
    assert_eq!((render.local_id.as_str(), render.version.as_str()), ("render", "2.0.0"));
    assert_eq!(render.safety.secrets_required, ["API_KEY"]);
    assert!(render.safety.network && !found.orchestrators[0].handle.safety.network);
    assert_eq!(render.aliases, ["media.draw"]);
    assert_eq!(render.category, "video");
    assert!(render.provenance.manifest_path.ends_with("media/executors/render/executor.yaml"));
    assert_eq!(found.elements[0].defaults, json!({ "seconds": 1 }));
    let pack = serde_json::to_value(&found.packs).unwrap();
    assert_eq!(
        pack["media"]["permissions"][0],
        json!({ "id": "network", "reason": "Calls an API", "services": ["api.example.org"] })
    );
    assert_eq!(
        pack["media"]["trust"],
        json!({
            "sandbox": "none",
            "runs_with_user_process_permissions": true,
            "permission_enforcement": "disclosure_only",
        })
    );
    assert_eq!(pack["media"]["taxonomy"]["stability"], "stable");
}

#[test]
fn the_same_id_twice_in_a_root_is_refused_denied() {
    let scene = Scene::new();
    scene.pack("project", "project", "");
    scene.pack("project/packs/project", "project", "");
    let error = scene.discover(&[], &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.message(), "duplicate pack id `project`");
    assert_eq!(error.reasons().len(), 2);
}

#[test]
fn a_pack_that_is_not_valid_hides_no_other_denied() {
    let scene = Scene::new();
    scene.pack("project/packs/good", "good", "");
    scene.pack("project/packs/bad", "bad", "trust: {sandbox: strict}\n");
    scene.pack("project/packs/named", "other", "");
    scene.pack("project/packs/linked", "linked", "");
    symlink("/etc/passwd", scene.path("project/packs/linked/passwd")).unwrap();
    scene.pack("elsewhere", "elsewhere", "");
    symlink(scene.path("elsewhere"), scene.path("project/packs/elsewhere")).unwrap();
    scene.write("project/packs/long/pack.yaml", &"#".repeat(20 << 20));
    let found = scene.discover(&[], &[]).unwrap();
    assert_eq!(ids(&found), [("good", SourceKind::Source, 0)]);
    let refused: Vec<(String, bool)> = found
        .refused
        .iter()
        .map(|one| {
            let name = Path::new(&one.root).file_name().unwrap().to_string_lossy().into_owned();
            (name, one.message.contains("symbolic link"))
        })
        .collect();
    let expected = [("bad", false), ("elsewhere", true), ("linked", true), ("long", false), ("named", false)];
    assert_eq!(refused, expected.map(|(name, link)| (name.to_owned(), link)), "{:#?}", found.refused);
    let bad = &found.refused[0].diagnostics[0];
    assert!(bad.file.ends_with("bad/pack.yaml") && bad.line == 5, "{bad:?}");
}

#[test]
fn a_folder_that_is_none_is_wrong_usage_denied() {
    let scene = Scene::new();
    assert_eq!(scene.discover(&["absent"], &[]).unwrap_err().kind(), ErrorKind::Usage);
    scene.write("file", "");
    assert_eq!(scene.discover(&["file"], &[]).unwrap_err().kind(), ErrorKind::Usage);
    fs::remove_dir(scene.path("project")).unwrap();
    assert_eq!(scene.discover(&[], &[]).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_root_that_is_a_link_is_what_it_leads_to() {
    let scene = Scene::new();
    scene.pack("extra/two", "two", "");
    symlink(scene.path("extra"), scene.path("named")).unwrap();
    let found = scene.discover(&["named"], &[]).unwrap();
    assert_eq!(found.packs.len(), 1);
    assert!(found.packs.values().all(|pack| pack.root == scene.path("extra/two").display().to_string()));
}
