//! The container: files that are no bundle, and bundles that are packed otherwise.

use std::io::Write as _;

use astrid_bundle::{ErrorKind, Limits, Shuttle};
use astrid_store::archive;
use flate2::{Compression, GzBuilder};
use tar::EntryType;

use crate::parts::{Parts, block, gzip, header};
use crate::scene::{Scene, capsule, file, key, open, sign};

fn parts() -> Parts {
    let scene = Scene::new();
    Parts::of(&scene.seal(&scene.load(), Some(&key(7))))
}

/// Opening `bytes` is refused as unreadable, with words that contain `words`.
fn unreadable(what: &str, bytes: Vec<u8>, words: &str) {
    let error = open(bytes).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Unreadable, "{what}: {error}");
    assert!(error.to_string().contains(words), "{what}: {error}");
}

#[test]
fn a_bundle_that_is_put_together_again_is_the_same() {
    let scene = Scene::new();
    let bytes = scene.seal(&scene.load(), Some(&key(7)));
    assert_eq!(Parts::of(&bytes).pack(), bytes);
}

#[test]
fn other_files_are_denied() {
    unreadable("nothing", Vec::new(), "gzip");
    unreadable("text", b"schema-version = 1\n".to_vec(), "gzip");
    unreadable("zip", b"PK\x03\x04".to_vec(), "gzip");
    unreadable("only a gzip header", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], "cut short");
    unreadable("an empty gzip", gzip(b""), "cut short");
    unreadable("an empty tar", gzip(&[0; 1024]), "empty");
    unreadable("a gzip of text", gzip(&b"text".repeat(200)), "header");
}

#[test]
fn a_file_that_is_cut_short_is_denied() {
    let whole = parts().pack();
    for end in (0..whole.len()).step_by(whole.len() / 97) {
        let error = open(whole[..end].to_vec()).expect_err("cut short");
        assert_eq!(error.kind(), ErrorKind::Unreadable, "at {end}: {error}");
    }
    let tar = parts().members();
    unreadable("no end", gzip(&tar), "cut short");
    unreadable("half an end", gzip(&[&tar[..], &[0; 512]].concat()), "cut short");
}

#[test]
fn bytes_after_the_end_are_denied() {
    let whole = parts().pack();
    unreadable("bytes", [&whole[..], b"x"].concat(), "after the end of its gzip member");
    unreadable("a second gzip member", [&whole[..], &whole[..]].concat(), "after the end of its gzip member");
    let tar = parts().tar();
    unreadable("in the tar", gzip(&[&tar[..], b"x"].concat()), "after the end of its members");
    unreadable("a second tar", gzip(&[&tar[..], &tar[..]].concat()), "after the end of its members");
    unreadable("zeros", gzip(&[&tar[..], &[0; 512]].concat()), "not written as");
}

#[test]
fn a_gzip_header_with_more_in_it_is_denied() {
    let tar = parts().tar();
    let builder = |builder: GzBuilder| {
        let mut out = builder.write(Vec::new(), Compression::new(6));
        out.write_all(&tar).unwrap();
        out.finish().unwrap()
    };
    let plain = || GzBuilder::new().operating_system(255);
    unreadable("a name", builder(plain().filename("x.tar")), "gzip header");
    unreadable("a comment", builder(plain().comment("x")), "gzip header");
    unreadable("an extra field", builder(plain().extra(vec![1, 2])), "gzip header");
    unreadable("a time", builder(plain().mtime(1)), "not written as");
    unreadable("a system", builder(plain().operating_system(3)), "not written as");
}

#[test]
fn kinds_other_than_plain_files_are_denied() {
    for (kind, words) in [
        (EntryType::Symlink, "link"),
        (EntryType::Link, "link"),
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "device"),
        (EntryType::Directory, "folder"),
        (EntryType::GNUSparse, "sparse"),
        (EntryType::XHeader, "extended header"),
        (EntryType::XGlobalHeader, "extended header"),
        (EntryType::GNULongLink, "extended header"),
        (EntryType::Continuous, "kind"),
        (EntryType::new(b'Z'), "kind"),
    ] {
        let parts = parts();
        let mut head = header("trust/x.toml", 0);
        head.set_entry_type(kind);
        head.set_cksum();
        unreadable(&format!("{kind:?} first"), gzip(&[block(&head, b""), parts.tar()].concat()), words);
        let at_end = [parts.members(), block(&head, b""), vec![0; 1024]].concat();
        unreadable(&format!("{kind:?} last"), gzip(&at_end), words);
    }
}

#[test]
fn a_path_of_its_own_is_denied() {
    let parts = parts();
    let mut head = header("././@LongLink", 12);
    head.set_entry_type(EntryType::GNULongName);
    head.set_cksum();
    let long = block(&head, b"bundle.json\0");
    for path in ["y", "bundle.json"] {
        let tar = [&long[..], &block(&header(path, 0), b""), &[0; 1024]].concat();
        unreadable("a long path", gzip(&tar), "header of");
    }
    let tar = [&parts.members()[..], &long, &[0; 1024]].concat();
    unreadable("a path without a file", gzip(&tar), "after a path");
    head.set_size(5000);
    head.set_cksum();
    unreadable("a very long path", gzip(&block(&head, &[b'a'; 5000])), "longer than");
}

#[test]
fn paths_that_lead_out_are_denied() {
    for path in ["/etc/passwd", "../x", "blobs/../../x", "./bundle.json", "blobs//x", "a\\b", "trust/", ""] {
        let tar = [&parts().members()[..], &block(&header(path, 0), b""), &[0; 1024]].concat();
        unreadable(path, gzip(&tar), "leads out");
    }
    let mut head = header("x", 0);
    head.as_gnu_mut().unwrap().name[0] = 0xff;
    head.set_cksum();
    unreadable("no UTF-8", gzip(&block(&head, b"")), "UTF-8");
}

#[test]
fn headers_that_are_written_otherwise_are_denied() {
    type Change = fn(&mut tar::Header);
    let changes: [(&str, Change); 7] = [
        ("mode", |head| head.set_mode(0o755)),
        ("time", |head| head.set_mtime(1)),
        ("user", |head| head.set_uid(1000)),
        ("group", |head| head.set_gid(1000)),
        ("link", |head| head.as_gnu_mut().unwrap().linkname[0] = b'x'),
        ("user name", |head| head.as_gnu_mut().unwrap().uname[0] = b'x'),
        ("hidden", |head| head.as_gnu_mut().unwrap().pad[3] = b'x'),
    ];
    for (what, change) in changes {
        let parts = parts();
        let (path, bytes) = &parts.0[0];
        let mut head = header(path, bytes.len() as u64);
        change(&mut head);
        head.set_cksum();
        let rest = Parts(parts.0[1..].to_vec());
        unreadable(what, gzip(&[block(&head, bytes), rest.tar()].concat()), "not written as");
    }
    let mut ustar = tar::Header::new_ustar();
    ustar.set_path("bundle.json").unwrap();
    ustar.set_size(0);
    ustar.set_cksum();
    unreadable("ustar", gzip(&[block(&ustar, b""), vec![0; 1024]].concat()), "not written as");
    let mut wrong = header("bundle.json", 0);
    wrong.set_mode(0o600);
    unreadable("checksum", gzip(&block(&wrong, b"")), "checksum");
}

#[test]
fn bytes_between_members_are_denied() {
    let parts = parts();
    let (path, bytes) = &parts.0[0];
    let mut first = block(&header(path, bytes.len() as u64), bytes);
    assert_ne!(bytes.len() % 512, 0);
    *first.last_mut().unwrap() = b'x';
    let rest = Parts(parts.0[1..].to_vec());
    unreadable("padding", gzip(&[first, rest.tar()].concat()), "hidden");
}

#[test]
fn members_that_are_twice_or_elsewhere_are_denied() {
    let mut twice = parts();
    let blob = twice.position(&twice.first("blobs/"));
    twice.0.insert(blob, twice.0[blob].clone());
    unreadable("twice", twice.pack(), "twice");
    let mut later = parts();
    let copy = later.0[blob].clone();
    later.0.push(copy);
    unreadable("twice, later", later.pack(), "twice");
    let mut swapped = parts();
    swapped.0.swap(blob, blob + 1);
    unreadable("swapped", swapped.pack(), "wrong place");
    let mut kinds = parts();
    let (lock, toml) = (kinds.position("Distro.lock"), kinds.position("Distro.toml"));
    kinds.0.swap(lock, toml);
    unreadable("kinds", kinds.pack(), "wrong place");
    let mut statement = parts();
    let first = statement.0.remove(0);
    statement.0.push(first);
    assert!(open(statement.pack()).is_err());
}

#[test]
fn members_that_nobody_named_are_denied() {
    for path in ["README.md", "zzz", "capsules/notes.capsule", "blobs/readme", "trust/x.txt"] {
        let mut extra = parts();
        extra.0.push((path.to_owned(), b"x".to_vec()));
        unreadable(path, extra.pack(), "no member that a bundle may have");
    }
    let mut unnamed = parts();
    unnamed.add_digested("blobs", b"stowaway", "");
    unreadable("unnamed", unnamed.pack(), "not named by bundle.json");
    let mut lacking = parts();
    let blob = lacking.first("blobs/");
    lacking.remove(&blob);
    unreadable("lacking", lacking.pack(), "are there");
    for needed in ["Distro.toml", "Distro.lock", "sbom.cdx.json"] {
        let mut lacking = parts();
        lacking.remove(needed);
        unreadable(needed, lacking.pack(), "are there");
        lacking.restate_with(|predicate| predicate["lock"] = predicate["lock"].take());
        assert!(open(lacking.pack()).is_err(), "{needed}");
    }
}

#[test]
fn what_passes_a_limit_is_denied() {
    let bytes = parts().pack();
    let base = Limits::default();
    for (what, limits, words) in [
        ("file", Limits { compressed_bytes: 100, ..base }, "file is larger"),
        ("total", Limits { total_bytes: 2000, ..base }, "holds more"),
        ("member", Limits { member_bytes: 100, ..base }, "is larger"),
        ("document", Limits { document_bytes: 1000, ..base }, "most for a document"),
        ("documents", Limits { documents_bytes: 3000, ..base }, "documents in the bundle"),
        ("members", Limits { members: 5, ..base }, "more than 5 members"),
    ] {
        let error = Shuttle::from_bytes(bytes.clone(), &limits).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Unreadable, "{what}");
        assert!(error.message().contains(words), "{what}: {error}");
    }
}

#[test]
fn bombs_are_denied() {
    // A member that is nothing but zeros: 64 MiB in 64 KiB.
    let zeros = vec![0; 40 << 20];
    let parts = parts();
    let path = parts.first("blobs/");
    let tar = [parts.members(), block(&header(&path, zeros.len() as u64), &zeros)].concat();
    assert!(open(gzip(&tar)).is_err());
    let tar = block(&header("bundle.json", zeros.len() as u64), &zeros);
    unreadable("a document", gzip(&tar), "most for a document");
    let tar = block(&header("Distro.toml", 12 << 20), &zeros[..12 << 20]);
    unreadable("ratio", gzip(&tar), "times its size");
    // Empty space that goes on and on after the end.
    let tar = [parts.tar(), vec![0; 40 << 20]].concat();
    unreadable("after the end", gzip(&tar), "times its size");
    // A size that no file has.
    let mut head = header("bundle.json", 0);
    head.set_size(u64::MAX / 2);
    head.set_cksum();
    unreadable("a size", gzip(&block(&head, b"")), "larger than");
    // Many members.
    let one = block(&header("bundle.json", 0), b"");
    let limits = Limits { members: 1000, ..Limits::default() };
    let mut head = header("././@LongLink", 1);
    head.set_entry_type(EntryType::GNULongName);
    head.set_cksum();
    let many = [block(&head, b"x").repeat(2000), one].concat();
    let error = Shuttle::from_bytes(gzip(&many), &limits).unwrap_err();
    assert!(error.message().contains("more than 1000 members"), "{error}");
}

#[test]
fn archives_that_unpack_to_more_than_a_bundle_holds_are_denied() {
    let mut scene = Scene::new();
    let files = capsule("notes", "1.0.0", &[]);
    let tree = scene.store.put_files(&files).unwrap();
    // What is no part of the content is unpacked as well.
    let heavy = [&files[..], &[file("README.md", &vec![b' '; 1 << 20])]].concat();
    let packed = archive::pack(&heavy, Some("notes.wasm")).unwrap();
    let notes = &mut scene.lock.capsules[0];
    assert_eq!(notes.name.as_str(), "notes");
    notes.content = tree.digest();
    notes.manifest = tree.get("Capsule.toml").unwrap().blob;
    notes.archive = Some(scene.store.put(&packed).unwrap());
    notes.bundle = Some(sign(&scene.store, &packed));
    let sealed = scene.seal(&scene.load(), None);
    assert!(open(sealed.clone()).is_ok());
    let limits = Limits { total_bytes: 1 << 19, ..Limits::default() };
    let error = Shuttle::from_bytes(sealed, &limits).unwrap_err();
    assert!(error.message().contains("unpack to more than"), "{error}");
}
