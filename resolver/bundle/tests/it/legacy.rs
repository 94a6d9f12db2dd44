//! Bundles of version 1.

use std::fmt::Write as _;

use astrid_authority::Digest;
use astrid_bundle::{ErrorKind, Limits, Shuttle};
use astrid_store::archive;

use crate::parts::{Parts, block, gzip, header};
use crate::scene::{capsule, empty_store, file, key, open};

const NAMES: [&str; 2] = ["cli", "notes"];

fn manifest() -> String {
    let mut text = crate::scene::declaration("0.1.0", "");
    for name in NAMES {
        write!(text, "\n[[capsule]]\nname = \"{name}\"\nsource = \"@org/{name}\"\nversion = \"1.0.0\"\n")
            .unwrap();
    }
    text
}

fn lock(manifest: &str, archives: &[(String, Vec<u8>)]) -> String {
    let mut text = format!(
        "schema-version = 1\nmanifest-hash = \"{}\"\n\n[distro]\nid = \"demo\"\nversion = \"0.1.0\"\nresolved-at = \"1970-01-01T00:00:00+00:00\"\n",
        Digest::of(manifest.as_bytes())
    );
    for (name, bytes) in archives {
        write!(text,
            "\n[[capsule]]\nname = \"{name}\"\nversion = \"1.0.0\"\nsource = \"@org/{name}\"\nhash = \"{}\"\nresolved_ref = \"v1.0.0\"\n",
            Digest::of(bytes)
        ).unwrap();
    }
    text
}

/// The digest that is signed, computed here once more.
fn signed(archives: &[(String, Vec<u8>)], manifest: &str) -> Digest {
    let capsules: Vec<String> = archives
        .iter()
        .map(|(name, bytes)| {
            format!(
                r#"{{"name":"{name}","version":"1.0.0","source":"@org/{name}","hash":"{}","resolved_ref":"v1.0.0"}}"#,
                Digest::of(bytes)
            )
        })
        .collect();
    let json = format!(
        r#"{{"schema-version":1,"distro":{{"id":"demo","version":"0.1.0","resolved-at":"1970-01-01T00:00:00+00:00"}},"capsule":[{}],"manifest-hash":"{}"}}"#,
        capsules.join(","),
        Digest::of(manifest.as_bytes())
    );
    Digest::of(&[b"astrid-distro-lock-sig-v1\0", json.as_bytes()].concat())
}

fn archives() -> Vec<(String, Vec<u8>)> {
    NAMES
        .iter()
        .map(|name| {
            let files = capsule(name, "1.0.0", &[]);
            ((*name).to_owned(), archive::pack(&files, None).unwrap())
        })
        .collect()
}

fn bundle() -> Parts {
    let (manifest, archives) = (manifest(), archives());
    let signature = hex::encode(key(7).sign(signed(&archives, &manifest).as_bytes()));
    let mut members = vec![
        ("Distro.lock".to_owned(), lock(&manifest, &archives).into_bytes()),
        ("Distro.sig".to_owned(), signature.into_bytes()),
        ("Distro.toml".to_owned(), manifest.into_bytes()),
    ];
    members.extend(archives.into_iter().map(|(name, bytes)| (format!("capsules/{name}.capsule"), bytes)));
    Parts(members)
}

fn opened() -> Shuttle {
    open(bundle().pack()).unwrap()
}

#[test]
fn an_earlier_bundle_is_read() {
    let shuttle = opened();
    assert_eq!(shuttle.version(), 1);
    let legacy = shuttle.legacy().unwrap();
    assert_eq!(legacy.digest(), signed(&archives(), &manifest()));
    legacy.verify(&key(7).public()).unwrap();
    assert_eq!(legacy.capsules().len(), 2);
    assert_eq!(shuttle.distro().header.id.as_str(), "demo");
    assert!(shuttle.lock().is_none() && shuttle.statement().is_none() && shuttle.signature().is_none());
    let (_folder, store) = empty_store();
    let batch = store.batch();
    shuttle.bring(&batch).unwrap();
    batch.finish().unwrap();
    for (_, bytes) in archives() {
        store.get(&Digest::of(&bytes)).unwrap();
    }
    for found in legacy.capsules().values() {
        let tree = store.tree(&found.content).unwrap();
        assert!(tree.entries().iter().all(|entry| store.contains(&entry.blob)));
    }
}

#[test]
fn an_earlier_bundle_may_be_unsigned_and_padded() {
    let mut parts = bundle();
    parts.remove("Distro.sig");
    let lock = parts.text("Distro.lock");
    let start = lock.find("manifest-hash").unwrap();
    let end = start + lock[start..].find('\n').unwrap() + 1;
    parts.set("Distro.lock", format!("{}{}", &lock[..start], &lock[end..]));
    let shuttle = open(gzip(&[parts.tar(), vec![0; 9 * 1024]].concat())).unwrap();
    let legacy = shuttle.legacy().unwrap();
    assert!(!legacy.is_signed());
    assert_eq!(legacy.verify(&key(7).public()).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_long_name_has_a_header_of_its_own() {
    let name = "n".repeat(120);
    let manifest = crate::scene::declaration(
        "0.1.0",
        &format!("\n[[capsule]]\nname = \"{name}\"\nsource = \"@org/x\"\nversion = \"1.0.0\"\n"),
    );
    let packed = archive::pack(&capsule(&name, "1.0.0", &[]), None).unwrap();
    let lock = lock(&manifest, &[(name.clone(), packed.clone())]);
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("Distro.lock", lock.as_bytes()),
        ("Distro.toml", manifest.as_bytes()),
        (&format!("capsules/{name}.capsule"), &packed),
    ] {
        let mut head = tar::Header::new_gnu();
        head.set_size(bytes.len() as u64);
        head.set_mode(0o644);
        builder.append_data(&mut head, path, bytes).unwrap();
    }
    open(gzip(&builder.into_inner().unwrap())).unwrap();
}

#[test]
fn another_key_or_another_lock_is_denied() {
    let shuttle = opened();
    let error = shuttle.legacy().unwrap().verify(&key(8).public()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let mut parts = bundle();
    parts.set("Distro.lock", parts.text("Distro.lock").replacen("@org/cli", "@evil/cli", 1));
    let shuttle = open(parts.pack()).unwrap();
    assert!(shuttle.legacy().unwrap().verify(&key(7).public()).is_err());
}

#[test]
fn earlier_bundles_that_lie_are_denied() {
    type Change = fn(&mut Parts);
    let changes: [(&str, Change, ErrorKind); 17] = [
        ("manifest", |parts| parts.set("Distro.toml", manifest() + "# changed\n"), ErrorKind::Mismatch),
        (
            "archive",
            |parts| {
                parts.set(
                    "capsules/cli.capsule",
                    archive::pack(&capsule("cli", "1.0.0", &[crate::scene::file("assets/x", b"x")]), None)
                        .unwrap(),
                );
            },
            ErrorKind::Mismatch,
        ),
        ("no archive", |parts| parts.set("capsules/cli.capsule", b"x".to_vec()), ErrorKind::Unreadable),
        ("lacking archive", |parts| parts.remove("capsules/cli.capsule"), ErrorKind::Unreadable),
        ("lacking lock", |parts| parts.remove("Distro.lock"), ErrorKind::Unreadable),
        ("lacking manifest", |parts| parts.remove("Distro.toml"), ErrorKind::Unreadable),
        (
            "extra archive",
            |parts| {
                let packed = archive::pack(&capsule("zed", "1.0.0", &[]), None).unwrap();
                parts.0.push(("capsules/zed.capsule".to_owned(), packed));
            },
            ErrorKind::Unreadable,
        ),
        ("extra member", |parts| parts.0.push(("README".to_owned(), Vec::new())), ErrorKind::Unreadable),
        (
            "bad name",
            |parts| parts.0.push(("capsules/Zed.capsule".to_owned(), Vec::new())),
            ErrorKind::Unreadable,
        ),
        (
            "statement later",
            |parts| parts.0.push(("bundle.json".to_owned(), Vec::new())),
            ErrorKind::Unreadable,
        ),
        ("twice", |parts| parts.0.push(parts.0[0].clone()), ErrorKind::Unreadable),
        ("archive twice", |parts| parts.0.push(parts.0[3].clone()), ErrorKind::Unreadable),
        ("signature", |parts| parts.set("Distro.sig", b"00".to_vec()), ErrorKind::Unreadable),
        (
            "id",
            |parts| parts.set("Distro.lock", parts.text("Distro.lock").replacen("\"demo\"", "\"other\"", 1)),
            ErrorKind::Unreadable,
        ),
        (
            "sets",
            |parts| {
                let text = parts.text("Distro.lock");
                let end = text.rfind("\n[[capsule]]").unwrap();
                parts.set("Distro.lock", &text.as_bytes()[..end]);
                parts.remove("capsules/notes.capsule");
            },
            ErrorKind::Unreadable,
        ),
        (
            "version",
            |parts| {
                parts.set(
                    "Distro.lock",
                    parts.text("Distro.lock").replacen(
                        "name = \"cli\"\nversion = \"1.0.0\"",
                        "name = \"cli\"\nversion = \"1.0.1\"",
                        1,
                    ),
                );
            },
            ErrorKind::Mismatch,
        ),
        (
            "unbound",
            |parts| {
                let text = parts.text("Distro.lock");
                let (one, two) = text.split_once("manifest-hash").unwrap();
                parts.set("Distro.lock", format!("{one}{}", two.split_once('\n').unwrap().1));
            },
            ErrorKind::Refused,
        ),
    ];
    for (what, change, kind) in changes {
        let mut parts = bundle();
        change(&mut parts);
        let error = open(parts.pack()).expect_err(what);
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
}

#[test]
fn an_earlier_bundle_with_links_is_denied() {
    let mut head = header("capsules/x.capsule", 0);
    head.set_entry_type(tar::EntryType::Symlink);
    head.set_link_name("/etc/passwd").unwrap();
    head.set_cksum();
    let tar = [bundle().members(), block(&head, b""), vec![0; 1024]].concat();
    assert_eq!(open(gzip(&tar)).unwrap_err().kind(), ErrorKind::Unreadable);
}

#[test]
fn archives_that_unpack_to_more_than_a_bundle_holds_are_denied() {
    // What is no part of the content is unpacked as well.
    let files = capsule("cli", "1.0.0", &[file("README.md", &vec![b' '; 1 << 20])]);
    let bomb = archive::pack(&files, None).unwrap();
    let parts = Parts(vec![
        ("capsules/cli.capsule".to_owned(), bomb.clone()),
        ("capsules/notes.capsule".to_owned(), bomb),
    ]);
    let limits = Limits { total_bytes: 3 << 19, ..Limits::default() };
    let error = Shuttle::from_bytes(parts.pack(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable, "{error}");
    assert!(error.message().contains("unpack to more than"), "{error}");
}
