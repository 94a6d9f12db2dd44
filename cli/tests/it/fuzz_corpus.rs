//! Replays the corpora of the fuzz targets as an ordinary test, on stable.

use std::path::Path;

#[path = "../../../fuzz/targets.rs"]
#[expect(clippy::expect_used, reason = "a target fails by ending")]
mod targets;

/// Runs `target` on every file of its corpus, on every prefix of a small one, and on bytes that are nothing.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus for {name}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        target(&bytes);
        let step = (bytes.len() / 64).max(1);
        for end in (0..bytes.len()).step_by(step) {
            target(&bytes[..end]);
        }
        for at in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x15;
            target(&flipped);
        }
    }
    for nothing in [&b""[..], b"\0", b"\xff\xfe", b"[[[[[[", b"{{{{", b"a: &a [*a, *a]"] {
        target(nothing);
    }
}

macro_rules! corpora {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), targets::$name);
        }
    )*};
}

corpora!(
    acknowledgement,
    archive,
    bundle,
    capsule,
    component,
    distro,
    frame,
    lock,
    pack,
    pack_contents,
    policy,
    saved_plan,
    shuttle,
    source,
    tree,
);
