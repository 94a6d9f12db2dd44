//! Indexes in folders.

use astrid_authority::Digest;
use astrid_resolver::ErrorKind;

use crate::support::{World, archive};

fn line(world: &World, index: &str, version: &str, extra: &str) -> String {
    let bytes = archive("fs", version, "[exports]\n\"x:y\" = \"1.0.0\"\n");
    let path = format!("archives/fs-{version}.capsule");
    world.write(&format!("fleet/{index}/{path}"), &bytes);
    format!(
        "{{\"version\":\"{version}\",\"archive\":\"{path}\",\"blake3\":\"{}\"{extra}}}\n",
        Digest::of(&bytes)
    )
}

fn declared(world: &World, source: &str, indexes: &[&str]) {
    let indexes =
        indexes.iter().map(|index| format!("[[index]]\nname = \"{index}\"\nurl = \"./{index}\"\n\n"));
    let capsule = format!("[[capsule]]\nname = \"fs\"\nsource = \"{source}\"\nversion = \"^1\"\n");
    world.distro(&indexes.chain([capsule]).collect::<String>());
}

#[test]
fn an_index_gives_versions_and_withdrawn_ones_only_to_locks() {
    let world = World::new();
    let lines = line(&world, "acme", "1.0.0", "") + &line(&world, "acme", "1.1.0", "");
    world.write("fleet/acme/capsule/fs.jsonl", &lines);
    declared(&world, "index:fs", &["acme"]);
    assert_eq!(world.lock().unwrap().lock().capsules[0].version.to_string(), "1.1.0");
    let withdrawn = line(&world, "acme", "1.0.0", "") + &line(&world, "acme", "1.1.0", ",\"yanked\":true");
    world.write("fleet/acme/capsule/fs.jsonl", withdrawn);
    assert_eq!(world.verified().unwrap().lock().capsules[0].version.to_string(), "1.1.0");
    std::fs::remove_file(world.path("fleet/Distro.lock")).unwrap();
    assert_eq!(world.verified().unwrap().lock().capsules[0].version.to_string(), "1.0.0");
}

#[test]
fn a_name_in_two_indexes_is_refused_until_one_is_named_denied() {
    let world = World::new();
    for index in ["acme", "other"] {
        let line = line(&world, index, "1.0.0", "");
        world.write(&format!("fleet/{index}/capsule/fs.jsonl"), line);
    }
    declared(&world, "index:fs", &["acme", "other"]);
    let error = world.verified().unwrap_err();
    assert_eq!(error.next_step(), Some("say which: `index:acme/fs`"), "{error}");
    declared(&world, "index:other/fs", &["acme", "other"]);
    assert!(world.verified().is_ok());
}

#[test]
fn claims_are_compared_with_the_bytes_denied() {
    let world = World::new();
    declared(&world, "index:fs", &["acme"]);
    for (extra, fits) in [
        (",\"exports\":{\"x:y\":\"1.0.0\"}", true),
        (",\"exports\":{\"x:y\":\"2.0.0\"}", false),
        (",\"imports\":{\"x:z\":\"^1\"}", false),
        (&format!(",\"authority\":\"{}\"", Digest::of(b"another")), false),
    ] {
        let line = line(&world, "acme", "1.0.0", extra);
        world.write("fleet/acme/capsule/fs.jsonl", line);
        match world.verified() {
            Ok(_) => assert!(fits, "{extra}"),
            Err(error) => assert!(!fits && error.kind() == ErrorKind::Corrupt, "{extra}: {error}"),
        }
    }
    let good = line(&world, "acme", "1.0.0", "");
    world.write("fleet/acme/capsule/fs.jsonl", good);
    world.write("fleet/acme/archives/fs-1.0.0.capsule", archive("fs", "1.0.0", ""));
    assert_eq!(world.verified().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn an_index_leads_nowhere_else_denied() {
    let world = World::new();
    declared(&world, "index:fs", &["acme"]);
    let digest = Digest::of(b"");
    for archive in ["../../secret", "/etc/passwd", "a//b", "link/x"] {
        std::fs::create_dir_all(world.path("fleet/acme/capsule")).unwrap();
        let _ = std::os::unix::fs::symlink("/etc", world.path("fleet/acme/link"));
        let line = format!("{{\"version\":\"1.0.0\",\"archive\":\"{archive}\",\"blake3\":\"{digest}\"}}");
        world.write("fleet/acme/capsule/fs.jsonl", line);
        let error = world.verified().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Failed), "{archive}: {error}");
    }
    world.write("fleet/acme/capsule/fs.jsonl", "{\"version\":\"1.0.0\",\"surprise\":1}");
    let error = world.verified().unwrap_err();
    assert!(error.to_string().contains("capsule/fs.jsonl:1"), "{error}");
}

fn pack_line(world: &World, id: &str, version: &str, needs: &str) -> String {
    let manifest = format!(
        "schema_version: 1\nid: {id}\nname: {id}\nversion: '{version}'\ndependencies:\n  packs: [{needs}]\n"
    );
    let file = astrid_store::TreeFile {
        path: "pack.yaml".parse().unwrap(),
        bytes: manifest.into_bytes(),
        executable: false,
    };
    let bytes = astrid_store::archive::pack(&[file], None).unwrap();
    let path = format!("archives/{id}-{version}.tar.gz");
    world.write(&format!("fleet/acme/{path}"), &bytes);
    format!("{{\"version\":\"{version}\",\"archive\":\"{path}\",\"blake3\":\"{}\"}}\n", Digest::of(&bytes))
}

#[test]
fn a_pack_brings_the_packs_that_it_needs() {
    let world = World::new();
    let base = pack_line(&world, "base", "1.0.0", "") + &pack_line(&world, "base", "2.0.0", "");
    world.write("fleet/acme/pack/base.jsonl", &base);
    let media = pack_line(&world, "media", "1.0.0", "'base >=1, <2'");
    world.write("fleet/acme/pack/media.jsonl", media);
    world.distro(
        "[[index]]\nname = \"acme\"\nurl = \"./acme\"\n\n[[pack]]\nid = \"media\"\nsource = \"index:media\"\nversion = \"1\"\n",
    );
    let fleet = world.lock().unwrap();
    let packs: Vec<String> =
        fleet.lock().packs.iter().map(|one| format!("{} {}", one.id, one.version)).collect();
    assert_eq!(packs, ["base 1.0.0", "media 1.0.0"]);
    let why = fleet.graph().unwrap().why(&astrid_resolver::graph::Node::Pack("base".parse().unwrap()), 5);
    assert_eq!(why[0].len(), 2);
    // A newer one that would do as well is not taken while the lock has this one.
    world.write("fleet/acme/pack/base.jsonl", base + &pack_line(&world, "base", "1.5.0", ""));
    assert_eq!(world.verified().unwrap().lock(), fleet.lock());
    let locked = astrid_resolver::Request {
        mode: astrid_resolver::LockMode::Frozen,
        ..astrid_resolver::Request::default()
    };
    let again = world.verified_with(&locked, astrid_resolver::Freshness::Hash).unwrap();
    assert_eq!(again.lock(), fleet.lock());
}
