//! One function for each parser of bytes from outside. Each must return, whatever it is given.
//!
//! They are used by the fuzz targets, and by an ordinary test that replays `fuzz/corpus`. Where there
//! is a second way to the same answer, the target compares both: a parser that accepts must write
//! what it accepts again.

use std::collections::BTreeMap;

use astrid_manifest::pack::{Contents, TrustSummary};
use astrid_manifest::{AckFile, CapsuleManifest, Distro, HomePolicy, Lock, PackManifest, Source, Strictness};
use astrid_store::Tree;
use astrid_store::archive;

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `Distro.toml`.
pub(crate) fn distro(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match Distro::parse("Distro.toml", text) {
        // The canonical form must exist for whatever is accepted.
        Ok(parsed) => drop(astrid_manifest::manifest_hash(&parsed.value)),
        Err(complaints) => drop(complaints.render(false)),
    }
}

/// `Capsule.toml`, of a third party and of our own.
pub(crate) fn capsule(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    for strictness in [Strictness::Load, Strictness::Check] {
        match CapsuleManifest::parse("Capsule.toml", text, strictness) {
            Ok(parsed) => drop(parsed.value.capabilities().to_set().digest()),
            Err(complaints) => drop(complaints.render(false)),
        }
    }
}

/// `pack.yaml` and `pack.json`.
pub(crate) fn pack(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    for file in ["pack.yaml", "pack.json"] {
        match PackManifest::parse(file, text) {
            Ok(parsed) => drop(parsed.value.authority().digest()),
            Err(complaints) => drop(complaints.render(false)),
        }
    }
}

/// A whole pack: lines `=== PATH` begin its files. What is accepted has a summary, and its actions can be resolved.
pub(crate) fn pack_contents(bytes: &[u8]) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut path = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(named) = line.strip_prefix(b"=== ") {
            path.clear();
            path.push_str(String::from_utf8_lossy(named).trim_end());
            files.insert(path.clone(), Vec::new());
        } else {
            files.entry(path.clone()).or_default().extend_from_slice(line);
        }
    }
    match Contents::read(&files) {
        Ok(parsed) => {
            assert!(!parsed.warnings.has_errors(), "an error was taken as a warning");
            let contents = parsed.value;
            drop(serde_json::to_string(&TrustSummary::of(&contents)).expect("a summary is JSON"));
            for action in contents.actions() {
                assert_eq!(contents.resolve(action.id.as_str()), Some(&action.id));
                assert_eq!(action.id.pack(), contents.manifest.id.as_str());
            }
        }
        Err(complaints) => {
            assert!(complaints.has_errors(), "a pack was refused without an error");
            drop(complaints.render(false));
        }
    }
}

/// `Distro.lock`: what is accepted is written, read again, and is the same.
pub(crate) fn lock(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match Lock::parse("Distro.lock", text) {
        Ok(parsed) => {
            let written = parsed.value.to_toml();
            let again = Lock::parse("Distro.lock", &written).expect("a written lock is a lock");
            assert_eq!(again.value.to_toml(), written);
        }
        Err(complaints) => drop(complaints.render(false)),
    }
}

/// `trust/*.toml`.
pub(crate) fn acknowledgement(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match AckFile::parse("trust/pack-x.toml", text) {
        Ok(parsed) => drop(parsed.value.to_toml()),
        Err(complaints) => drop(complaints.render(false)),
    }
}

/// `etc/policy.toml`.
pub(crate) fn policy(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Err(complaints) = HomePolicy::parse("etc/policy.toml", text) {
        drop(complaints.render(false));
    }
}

/// A WebAssembly component.
pub(crate) fn component(bytes: &[u8]) {
    drop(astrid_manifest::inspect(bytes));
}

/// A `.capsule` archive: what is accepted is packed, unpacked again, and is the same.
pub(crate) fn archive(bytes: &[u8]) {
    let limits = astrid_store::tree::Limits::default();
    if let Ok(files) = archive::unpack(bytes, &limits, "fuzz.capsule") {
        let packed = archive::pack(&files, None).expect("what was unpacked can be packed");
        let again = archive::unpack(packed.as_slice(), &limits, "again.capsule").expect("and unpacked");
        assert_eq!(Tree::of_files(&again).ok(), Tree::of_files(&files).ok());
    }
}

/// The listing of a tree: what is accepted is the only way to write it.
pub(crate) fn tree(bytes: &[u8]) {
    if let Ok(tree) = Tree::decode(bytes) {
        assert_eq!(tree.encode(), bytes);
    }
}

/// The syntax of sources.
pub(crate) fn source(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    drop(text.parse::<Source>());
    drop(Source::parse_install(text));
    drop(Source::parse_pack_install(text));
    drop(Source::parse_distro(text));
}

/// A frame of the socket, as both sides read it.
pub(crate) fn frame(bytes: &[u8]) {
    use astrid_kernel::uplink::frame;
    let mut reader = bytes;
    if let Ok(Some(body)) = frame::read_blocking(&mut reader, frame::MAX_FRAME_BYTES) {
        drop(frame::decode::<astrid_kernel::uplink::message::Inbound>(&body));
        drop(frame::decode::<astrid_kernel::uplink::message::HandshakeRequest>(&body));
    }
}

/// A saved plan.
pub(crate) fn saved_plan(bytes: &[u8]) {
    drop(astrid_resolver::saved_plan::SavedPlan::parse(bytes));
}

/// A bundle, and the tar inside of one: what is opened has a lock or is of version 1, and is opened the same again.
pub(crate) fn shuttle(bytes: &[u8]) {
    use astrid_bundle::{Limits, Shuttle};
    use std::io::Write as _;
    let limits = Limits { total_bytes: 64 << 20, members: 1000, ..Limits::default() };
    let gzip = flate2::GzBuilder::new().operating_system(255);
    let mut packed = gzip.write(Vec::new(), flate2::Compression::none());
    packed.write_all(bytes).expect("memory can be written");
    for file in [bytes.to_vec(), packed.finish().expect("memory can be written")] {
        if let Ok(shuttle) = Shuttle::from_bytes(file.clone(), &limits) {
            assert!(shuttle.lock().is_some() != shuttle.legacy().is_some());
            let again = Shuttle::from_bytes(file, &limits).expect("it was opened before");
            assert_eq!(again.digest(), shuttle.digest());
        }
    }
}

/// Sigstore bundles and trust roots: whatever can be read can be asked, and vouches for nothing that nobody signed.
pub(crate) fn bundle(bytes: &[u8]) {
    use astrid_provenance::{Artifact, Bundle, TrustRoot, Verifier};
    let root = TrustRoot::parse(bytes);
    let verifier =
        Verifier::new(root.as_ref().unwrap_or(TrustRoot::builtin())).expect("a root that was read is one");
    for bundle in Bundle::parse_all(bytes).unwrap_or_default() {
        let again = Bundle::parse(bundle.bytes()).expect("it was read before");
        assert_eq!((again.digest(), again.payload()), (bundle.digest(), bundle.payload()));
        assert!(verifier.verify(&Artifact::new(b"nobody signed this"), &bundle).is_err());
        if let Some(key) = bundle.key_hint().and_then(|hint| hint.parse().ok()) {
            assert!(verifier.verify_with_key(&Artifact::new(b"nor this"), &bundle, &key).is_err());
        }
    }
}
