//! Bundles that are well packed, and lie.

use astrid_authority::Digest;
use astrid_bundle::{Error, ErrorKind, Load};
use astrid_provenance::{Statement, envelope};
use astrid_store::archive;

use crate::parts::Parts;
use crate::scene::{Scene, capsule, file, key, open};

fn scene_and_parts() -> (Scene, Parts) {
    let scene = Scene::new();
    let load = Load { trust_root: Some(b"{}"), ..scene.load() };
    let parts = Parts::of(&scene.seal(&load, None));
    (scene, parts)
}

fn refused(what: &str, parts: &Parts) -> Error {
    open(parts.pack()).expect_err(what)
}

/// Says that it is refused as `kind`, in words that contain `words`.
fn check(what: &str, parts: &Parts, kind: ErrorKind, words: &str) {
    let error = refused(what, parts);
    assert_eq!(error.kind(), kind, "{what}: {error}");
    assert!(error.to_string().contains(words), "{what}: {error}");
}

#[test]
fn a_member_whose_bytes_are_others_is_denied() {
    let (_, whole) = scene_and_parts();
    for (path, bytes) in whole.0.iter().filter(|(path, _)| path != "bundle.json") {
        let mut parts = whole.clone();
        let mut other = bytes.clone();
        other[0] ^= 1;
        parts.set(path, other);
        check(path, &parts, ErrorKind::Mismatch, path);
        let mut shorter = whole.clone();
        shorter.set(path, &bytes[1..]);
        assert!(refused(path, &shorter).kind() != ErrorKind::Failed);
    }
}

#[test]
fn swapped_members_are_denied() {
    let (_, mut parts) = scene_and_parts();
    let blob = parts.position(&parts.first("blobs/"));
    let (one, two) = (parts.0[blob].1.clone(), parts.0[blob + 1].1.clone());
    parts.0[blob].1 = two;
    parts.0[blob + 1].1 = one;
    assert!(matches!(refused("swapped", &parts).kind(), ErrorKind::Mismatch | ErrorKind::Unreadable));
    parts.restate();
    check("swapped and restated", &parts, ErrorKind::Mismatch, "not its name");
}

#[test]
fn structure_is_told_before_digests() {
    let (_, mut parts) = scene_and_parts();
    parts.set("sbom.cdx.json", b"other".to_vec());
    parts.0.push(("zzz".to_owned(), Vec::new()));
    check("both", &parts, ErrorKind::Unreadable, "zzz");
}

type Change = fn(&mut serde_json::Value);

#[test]
fn a_statement_that_contradicts_itself_is_denied() {
    let (_, whole) = scene_and_parts();
    let changes: [(&str, Change, &str); 6] = [
        ("members", |predicate| predicate["members"] = 3.into(), "count"),
        ("bytes", |predicate| predicate["total_bytes"] = 3.into(), "total"),
        ("lock", |predicate| predicate["lock"] = Digest::of(b"").to_string().into(), "lock"),
        ("root", |predicate| predicate["trusted_root"] = Digest::of(b"").to_string().into(), "root"),
        ("version", |predicate| predicate["format_version"] = 3.into(), "version"),
        ("key", |predicate| predicate["at"] = 3.into(), "predicate"),
    ];
    for (what, change, words) in changes {
        let mut parts = whole.clone();
        parts.restate_with(change);
        check(what, &parts, ErrorKind::Unreadable, words);
    }
    let mut parts = whole.clone();
    parts.restate_with(|predicate| predicate["distro"]["id"] = "other".into());
    check("distro", &parts, ErrorKind::Unreadable, "is about");
}

#[test]
fn another_kind_of_statement_is_denied() {
    let (_, mut parts) = scene_and_parts();
    let mut statement = Statement::parse(parts.get("bundle.json")).unwrap();
    statement.predicate_type = "https://example.org/p/v1".to_owned();
    parts.set("bundle.json", statement.to_canonical_json().unwrap());
    check("kind", &parts, ErrorKind::Unreadable, "another kind");
    let pretty = serde_json::to_vec_pretty(&statement).unwrap();
    parts.set("bundle.json", pretty);
    check("pretty", &parts, ErrorKind::Unreadable, "canonical");
    parts.set("bundle.json", b"{}".to_vec());
    assert_eq!(refused("empty", &parts).kind(), ErrorKind::Unreadable);
}

#[test]
fn a_signature_of_something_else_is_denied() {
    let (_, whole) = scene_and_parts();
    let mut statement = Statement::parse(whole.get("bundle.json")).unwrap();
    statement.subject.pop();
    let signature = envelope::sign(&statement, &key(7)).unwrap();
    for (what, text, kind) in [
        ("another statement", signature.as_str(), ErrorKind::Refused),
        ("nothing", "{}", ErrorKind::Unreadable),
        ("text", "signed, Ada", ErrorKind::Unreadable),
    ] {
        let mut parts = whole.clone();
        parts.0.insert(1, ("bundle.sigstore.json".to_owned(), text.into()));
        assert_eq!(refused(what, &parts).kind(), kind, "{what}");
    }
}

#[test]
fn a_declaration_that_the_lock_does_not_know_is_denied() {
    let (_, whole) = scene_and_parts();
    let text = whole.text("Distro.toml");
    for (what, from, to, kind, words) in [
        ("id", "id = \"demo\"", "id = \"other\"", ErrorKind::Unreadable, "is about"),
        ("version", "version = \"0.1.0\"", "version = \"0.1.1\"", ErrorKind::Unreadable, "is about"),
        ("entry", "version = \"2.0.0\"", "version = \"2.0.1\"", ErrorKind::Mismatch, "another Distro.toml"),
        ("syntax", "schema-version = 1", "schema-version = ", ErrorKind::Unreadable, "not valid"),
        ("key", "schema-version = 1", "schema-version = 1\nextra = 1", ErrorKind::Unreadable, "not valid"),
        ("place", "\"./tasks\"", "\"/srv/tasks\"", ErrorKind::Mismatch, "another Distro.toml"),
    ] {
        let mut parts = whole.clone();
        assert!(text.contains(from), "{what}");
        parts.set("Distro.toml", text.replacen(from, to, 1));
        parts.restate();
        check(what, &parts, kind, words);
    }
    let mut parts = whole.clone();
    parts.set("Distro.toml", b"\xff".to_vec());
    parts.restate();
    check("UTF-8", &parts, ErrorKind::Unreadable, "UTF-8");
}

#[test]
fn a_lock_that_is_none_is_denied() {
    let (_, whole) = scene_and_parts();
    let text = whole.text("Distro.lock");
    for (what, lock, words) in [
        ("syntax", "schema-version = ".to_owned(), "not valid"),
        ("version 1", "schema-version = 1\n".to_owned(), "not valid"),
        ("comment", format!("# mine\n{text}"), "canonical"),
        ("word", text.replacen("\"authority\"", "\"magic\"", 1), "not valid"),
    ] {
        let mut parts = whole.clone();
        parts.set("Distro.lock", lock);
        parts.restate();
        check(what, &parts, ErrorKind::Unreadable, words);
    }
}

/// The parts of a bundle whose lock was changed, everything else being made to agree.
fn with_lock(change: impl FnOnce(&mut Scene, &mut Parts)) -> Parts {
    let (mut scene, mut parts) = scene_and_parts();
    change(&mut scene, &mut parts);
    parts.set("Distro.lock", scene.lock.to_toml());
    let licences = [("notes", "tasks", "thumbs")]
        .iter()
        .flat_map(|(one, two, three)| [one, two, three])
        .map(|name| (format!("capsule:{name}"), "MIT OR Apache-2.0".to_owned()))
        .collect();
    parts.set("sbom.cdx.json", astrid_bundle::sbom::write(&scene.lock, &licences).unwrap());
    parts.restate();
    parts
}

#[test]
fn a_lock_that_is_changed_consistently_passes() {
    let parts = with_lock(|scene, _| scene.lock.capsules[0].authority = Digest::of(b"more"));
    open(parts.pack()).unwrap();
}

#[test]
fn what_the_lock_names_and_is_not_there_is_denied() {
    let lacks = |what: &str, parts: &Parts| check(what, parts, ErrorKind::Unreadable, "lacks");
    lacks("bundle", &with_lock(|scene, _| scene.lock.capsules[1].bundle = Some(Digest::of(b"x"))));
    lacks(
        "pack's bundle",
        &with_lock(|scene, parts| {
            scene.lock.packs[0].bundle = Some(Digest::of(b"x"));
            let own: Vec<String> = parts
                .0
                .iter()
                .map(|(path, _)| path.clone())
                .filter(|path| path.starts_with("signatures/"))
                .collect();
            let used = format!("signatures/{}.sigstore.json", scene.lock.capsules[0].bundle.unwrap().hex());
            own.iter().filter(|path| **path != used).for_each(|path| parts.remove(path));
        }),
    );
    for folder in ["blobs/", "archives/", "signatures/"] {
        let (_, whole) = scene_and_parts();
        for (path, _) in whole.0.iter().filter(|(path, _)| path.starts_with(folder)) {
            let mut parts = whole.clone();
            parts.remove(path);
            parts.restate();
            assert_eq!(refused(path, &parts).kind(), ErrorKind::Unreadable, "{path}");
        }
    }
}

#[test]
fn what_nothing_refers_to_is_denied() {
    let (_, whole) = scene_and_parts();
    for (folder, end) in [("blobs", ""), ("archives", ""), ("signatures", ".sigstore.json")] {
        let mut parts = whole.clone();
        parts.add_digested(folder, b"{\"stow\":\"away\"}", end);
        parts.restate();
        check(folder, &parts, ErrorKind::Unreadable, "refers to");
    }
    // A listing that nothing refers to is a blob that nothing refers to.
    let mut parts = whole.clone();
    parts.add_digested("blobs", b"astrid-tree 1\n", "");
    parts.restate();
    check("listing", &parts, ErrorKind::Unreadable, "refers to");
}

#[test]
fn a_content_that_is_no_listing_is_denied() {
    let parts = with_lock(|scene, parts| {
        let before = scene.lock.capsules[1].content;
        scene.lock.capsules[1].content = Digest::of(b"no listing");
        parts.remove(&format!("blobs/{}", before.hex()));
        parts.add_digested("blobs", b"no listing", "");
    });
    check("no listing", &parts, ErrorKind::Unreadable, "listing");
}

#[test]
fn a_listing_with_another_length_is_denied() {
    let parts = with_lock(|scene, parts| {
        let before = scene.lock.capsules[1].content;
        let text = parts.text(&format!("blobs/{}", before.hex()));
        let other = text.replacen("- 8 ", "- 9 ", 1);
        assert_ne!(text, other);
        scene.lock.capsules[1].content = Digest::of(other.as_bytes());
        parts.remove(&format!("blobs/{}", before.hex()));
        parts.add_digested("blobs", other.as_bytes(), "");
    });
    check("length", &parts, ErrorKind::Unreadable, "length");
}

#[test]
fn an_archive_that_holds_something_else_is_denied() {
    for (what, files, kind) in [
        ("more", capsule("notes", "1.0.0", &[file("assets/c.md", b"more")]), ErrorKind::Mismatch),
        ("another", capsule("other", "1.0.0", &[]), ErrorKind::Mismatch),
        ("none", vec![file("README.md", b"x")], ErrorKind::Unreadable),
    ] {
        let parts = with_lock(|scene, parts| {
            let before = scene.lock.capsules[0].archive.unwrap();
            let packed = archive::pack(&files, None).unwrap();
            scene.lock.capsules[0].archive = Some(Digest::of(&packed));
            parts.remove(&format!("archives/{}", before.hex()));
            parts.add_digested("archives", &packed, "");
        });
        assert_eq!(refused(what, &parts).kind(), kind, "{what}");
    }
    let parts = with_lock(|scene, parts| {
        let before = scene.lock.capsules[0].archive.unwrap();
        scene.lock.capsules[0].archive = Some(Digest::of(b"no archive"));
        parts.remove(&format!("archives/{}", before.hex()));
        parts.add_digested("archives", b"no archive", "");
    });
    check("no archive", &parts, ErrorKind::Unreadable, "archive");
}

#[test]
fn places_of_one_machine_are_denied() {
    for source in ["/srv/tasks", "git+file:///srv/tasks?ref=v1", "/srv/tasks.capsule"] {
        let parts = with_lock(|scene, _| scene.lock.capsules[1].source = source.parse().unwrap());
        check(source, &parts, ErrorKind::Unreadable, "one machine");
    }
    let index = "\n[[index]]\nname = \"acme\"\nurl = \"/srv/index\"\n";
    let parts = with_lock(|scene, parts| {
        let text = scene.declaration.clone() + index;
        scene.lock = crate::scene::lock(&text, scene.lock.capsules.clone(), scene.lock.packs.clone());
        parts.set("Distro.toml", text);
    });
    check("index", &parts, ErrorKind::Unreadable, "one machine");
}

#[test]
fn a_parts_list_of_something_else_is_denied() {
    let (scene, whole) = scene_and_parts();
    let text = whole.text("sbom.cdx.json");
    for (what, sbom) in [
        ("no document", "{}".to_owned()),
        ("a version", text.replacen("\"1.0.0\"", "\"1.0.1\"", 1)),
        ("a digest", text.replacen(&scene.lock.capsules[0].content.hex(), &Digest::of(b"").hex(), 1)),
        ("a key", text.replacen("\"version\": 1,", "\"version\": 1,\n  \"annotations\": [],", 1)),
        ("layout", text.replacen("  ", "   ", 1)),
        ("serial", text.replacen("urn:uuid:", "urn:uuid:0", 1)),
    ] {
        assert_ne!(sbom, text, "{what}");
        let mut parts = whole.clone();
        parts.set("sbom.cdx.json", sbom);
        parts.restate();
        check(what, &parts, ErrorKind::Unreadable, "sbom.cdx.json");
    }
    // Licences are what manifests say, and nobody else knows them.
    let mut parts = whole.clone();
    parts.set("sbom.cdx.json", text.replacen("MIT OR Apache-2.0", "ISC", 1));
    parts.restate();
    open(parts.pack()).unwrap();
}

#[test]
fn acknowledgements_that_are_none_are_denied() {
    let (_, whole) = scene_and_parts();
    for text in ["[[ack]]\n", "x = 1\n", "\u{0}"] {
        let mut parts = whole.clone();
        let at = parts.position("trusted_root.json") + 1;
        parts.0.insert(at, ("trust/x.toml".to_owned(), text.into()));
        parts.restate();
        check(text, &parts, ErrorKind::Unreadable, "trust/x.toml");
    }
}
