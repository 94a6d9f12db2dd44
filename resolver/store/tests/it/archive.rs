//! Archives: the same bytes everywhere, and nothing believed.

use std::collections::BTreeMap;
use std::io::Write;

use astrid_store::archive::{pack, unpack};
use astrid_store::tree::Limits;
use astrid_store::{ErrorKind, StoreError, TreeFile};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{EntryType, Header};

use crate::scene::file;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An entry as an attacker writes it: the path goes into the header as it is.
fn entry(kind: EntryType, path: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name("Capsule.toml").unwrap();
    }
    header.set_cksum();
    let mut block = header.as_bytes().to_vec();
    block.extend_from_slice(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.extend_from_slice(&[0; 1024]);
    gzip(&bytes)
}

fn refused(bytes: &[u8], limits: &Limits) -> String {
    let error = unpack(bytes, limits, "x.capsule").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    match error {
        StoreError::Refused { rule, .. } => rule,
        other => panic!("{other}"),
    }
}

fn plain() -> Vec<u8> {
    entry(EntryType::Regular, b"Capsule.toml", b"[package]")
}

#[test]
fn an_archive_of_others_is_unpacked() {
    let files = unpack(
        archive(&[
            entry(EntryType::XGlobalHeader, b"pax_global_header", b"11 a=bcdef\n"),
            entry(EntryType::Directory, b"./", b""),
            plain(),
            entry(EntryType::Directory, b"wit/", b""),
            entry(EntryType::Regular, b"./wit/a.wit", b"package a:b;"),
        ])
        .as_slice(),
        &Limits::default(),
        "x.capsule",
    );
    assert_eq!(files.unwrap(), [file("Capsule.toml", b"[package]"), file("wit/a.wit", b"package a:b;")]);
}

#[test]
fn paths_that_lead_out_are_refused_denied() {
    for path in [&b"/x"[..], b"../x", b"a/../../x", b"a//x", b"", b".", b"a\\x", b"\xff", b"a\x1b[2J"] {
        let bytes = archive(&[plain(), entry(EntryType::Regular, path, b"x")]);
        refused(&bytes, &Limits::default());
    }
    for path in [&b"/x/"[..], b"../x/", b"/"] {
        refused(&archive(&[entry(EntryType::Directory, path, b"")]), &Limits::default());
    }
}

#[test]
fn anything_but_files_and_folders_is_refused_denied() {
    for (kind, word) in [
        (EntryType::Symlink, "symbolic link"),
        (EntryType::Link, "hard link"),
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "FIFO"),
        (EntryType::Continuous, "kind"),
        (EntryType::GNUSparse, ""),
        (EntryType::new(b'V'), "kind"),
    ] {
        let rule = refused(&archive(&[plain(), entry(kind, b"x", b"")]), &Limits::default());
        assert!(rule.contains(word), "{kind:?}: {rule}");
    }
}

#[test]
fn duplicate_and_colliding_paths_are_refused_denied() {
    for path in [&b"Capsule.toml"[..], b"./Capsule.toml", b"capsule.TOML", b"Capsule.toml/x"] {
        refused(&archive(&[plain(), entry(EntryType::Regular, path, b"x")]), &Limits::default());
    }
    refused(&archive(&[plain(), entry(EntryType::Directory, b"capsule.toml/", b"")]), &Limits::default());
}

#[test]
fn bytes_that_nobody_listed_are_refused_denied() {
    let sound = archive(&[plain()]);
    assert!(unpack(sound.as_slice(), &Limits::default(), "x").is_ok());
    let trailing = [sound.as_slice(), b"x"].concat();
    assert!(refused(&trailing, &Limits::default()).contains("after the end of its gzip"));
    let concatenated = [sound.as_slice(), sound.as_slice()].concat();
    assert!(refused(&concatenated, &Limits::default()).contains("after the end of its gzip"));
    let mut hidden = plain();
    hidden.extend_from_slice(&[0; 1024]);
    hidden.extend_from_slice(&plain());
    assert!(refused(&gzip(&hidden), &Limits::default()).contains("after the end of its entries"));
}

#[test]
fn damaged_archives_are_refused_denied() {
    let sound = archive(&[plain(), entry(EntryType::Regular, b"a", &[7; 3000])]);
    for length in 0..sound.len() {
        refused(&sound[..length], &Limits::default());
    }
    let cut = gzip(&[plain(), entry(EntryType::Regular, b"a", &[7; 3000])].concat()[..2000]);
    refused(&cut, &Limits::default());
    refused(b"not an archive at all", &Limits::default());
}

#[test]
fn limits_hold_while_it_streams_denied() {
    let small = Limits { entries: 2, file_bytes: 100, total_bytes: 150, ratio: 200 };
    let one = |name: &[u8], length: usize| entry(EntryType::Regular, name, &vec![1; length]);
    assert!(unpack(archive(&[one(b"a", 100), one(b"b", 50)]).as_slice(), &small, "x").is_ok());
    assert!(refused(&archive(&[one(b"a", 101)]), &small).contains("100 bytes"));
    assert!(refused(&archive(&[one(b"a", 100), one(b"b", 51)]), &small).contains("150 bytes"));
    assert!(refused(&archive(&[one(b"a", 1), one(b"b", 1), one(b"c", 1)]), &small).contains("2 entries"));
}

#[test]
fn bombs_are_refused_denied() {
    let zeros = vec![0; 40 << 20];
    let bomb = archive(&[entry(EntryType::Regular, b"a", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    assert!(refused(&bomb, &Limits::default()).contains("times its size"));
    // The same bomb behind the end of the entries, and in a header's extension.
    let hidden = gzip(&[plain(), vec![0; 1024], zeros.clone()].concat());
    assert!(refused(&hidden, &Limits::default()).contains("times its size"));
    let extension = archive(&[entry(EntryType::XHeader, b"x", &zeros), plain()]);
    assert!(refused(&extension, &Limits::default()).contains("times its size"));
    let long = archive(&[entry(EntryType::GNULongName, b"x", &zeros), plain()]);
    assert!(refused(&long, &Limits::default()).contains("times its size"));
}

#[test]
fn the_order_is_fixed_and_times_and_owners_are_not_the_machines() {
    let mut files = vec![
        file("wit/a.wit", b"a"),
        file("skills/s.md", b"s"),
        file("fs.wasm", b"w"),
        file("assets/a", b"a"),
        file("Capsule.toml", b"c"),
    ];
    files[3].executable = true;
    let bytes = pack(&files, Some("fs.wasm")).unwrap();
    assert_eq!(bytes[4..8], [0; 4], "the gzip header has no time");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let mut order = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
            (0, 0, 1_153_704_088)
        );
        order.push((String::from_utf8(entry.path_bytes().into_owned()).unwrap(), header.mode().unwrap()));
    }
    let order: Vec<(&str, u32)> = order.iter().map(|(path, mode)| (path.as_str(), *mode)).collect();
    assert_eq!(
        order,
        [
            ("Capsule.toml", 0o644),
            ("fs.wasm", 0o644),
            ("assets/a", 0o755),
            ("skills/s.md", 0o644),
            ("wit/a.wit", 0o644)
        ]
    );
    assert!(pack(&[file("a", b""), file("A", b"")], None).is_err());
}

fn files() -> impl Strategy<Value = Vec<TreeFile>> {
    let path = proptest::collection::vec("[a-z]{1,60}", 1..5).prop_map(|names| names.join("/"));
    let content = (proptest::collection::vec(any::<u8>(), 0..2000), any::<bool>());
    proptest::collection::btree_map(path, content, 0..12).prop_filter_map("a file in a file", |files| {
        let files: BTreeMap<String, (Vec<u8>, bool)> = files;
        let files: Vec<TreeFile> = files
            .into_iter()
            .map(|(path, (bytes, executable))| TreeFile { path: path.parse().unwrap(), bytes, executable })
            .collect();
        astrid_store::Tree::of_files(&files).is_ok().then_some(files)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn unpacking_gives_what_was_packed(files in files(), turn in 0_usize..12) {
        let packed = pack(&files, None).unwrap();
        let mut turned = files.clone();
        turned.rotate_left(turn.min(files.len()));
        turned.reverse();
        prop_assert_eq!(&pack(&turned, None).unwrap(), &packed);
        let mut sorted = files;
        sorted.sort_by(|one, two| one.path.cmp(&two.path));
        prop_assert_eq!(unpack(packed.as_slice(), &Limits::default(), "x").unwrap(), sorted);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = unpack(bytes.as_slice(), &Limits::default(), "x");
        let _ = unpack(gzip(&bytes).as_slice(), &Limits::default(), "x");
        let _ = astrid_store::Tree::decode(&bytes);
    }
}
