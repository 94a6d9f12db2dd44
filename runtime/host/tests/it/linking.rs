//! What components may import, and what code is kept.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use astrid_authority::Digest;
use astrid_host::{CompiledCode, ComponentSource, Engine, EngineOptions, HostError};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::fixture::{component_path, load};

/// A component that imports everything in `wit/` and exports everything that a capsule may.
fn component_of_everything() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("capsule")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

#[test]
fn everything_in_wit_is_linked() {
    load(component_of_everything()).unwrap();
}

#[test]
fn an_import_that_does_not_exist_is_denied() {
    let component = r#"(component (import "wasi:cli/environment@0.2.0" (instance
        (export "get-arguments" (func (result (list string)))))))"#;
    let result = load(wat::parse_str(component).unwrap());
    assert!(matches!(result, Err(HostError::Link { .. })), "{result:?}");
}

#[test]
fn bytes_that_are_no_component_are_denied() {
    for bytes in [b"".as_slice(), b"\0asm", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\xff"] {
        let result = load(bytes.to_vec());
        assert!(matches!(result, Err(HostError::Compile { .. })), "{bytes:?}: {result:?}");
    }
}

#[test]
fn bytes_of_another_digest_are_denied() {
    let source = ComponentSource { digest: Digest::of(b"other"), bytes: &|| Ok(b"bytes".to_vec()) };
    let result = crate::fixture::engine().load(&source);
    assert!(matches!(result, Err(HostError::Digest { .. })), "{result:?}");
}

#[test]
fn code_is_kept_and_taken_and_damaged_code_is_made_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("compiled");
    let bytes = std::fs::read(component_path("probe-loop")).unwrap();
    let reads = AtomicUsize::new(0);
    let read = || {
        reads.fetch_add(1, Ordering::Relaxed);
        Ok(bytes.clone())
    };
    let source = || ComponentSource { digest: Digest::of(&bytes), bytes: &read };
    let engine = |key: u8| {
        let compiled = Some(CompiledCode { folder: folder.clone(), key: [key; 32] });
        Engine::new(&EngineOptions { compiled, calls: 2, loops: 1 }).unwrap()
    };
    let first = engine(1).load(&source()).unwrap();
    assert!(!first.from_kept_code && first.exports.run);
    let second = engine(1).load(&source()).unwrap();
    assert!(second.from_kept_code && second.exports == first.exports);
    assert_eq!(reads.load(Ordering::Relaxed), 1, "kept code needs no bytes");
    assert!(!engine(2).load(&source()).unwrap().from_kept_code, "made for another home");
    assert!(!engine(1).load(&source()).unwrap().from_kept_code, "and now that home's is there");

    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let code = std::fs::read(&file).unwrap();
    std::fs::write(&file, &code[..code.len() / 2]).unwrap();
    assert!(!engine(1).load(&source()).unwrap().from_kept_code, "cut short");
    assert!(engine(1).load(&source()).unwrap().from_kept_code, "and repaired");
}

#[test]
fn many_are_loaded_in_order() {
    let names = ["probe", "probe-loop"];
    let bytes: Vec<_> = names.iter().map(|name| std::fs::read(component_path(name)).unwrap()).collect();
    let reads: Vec<_> = bytes.iter().map(|bytes| move || Ok(bytes.clone())).collect();
    let sources: Vec<_> = bytes
        .iter()
        .zip(&reads)
        .map(|(bytes, read)| ComponentSource { digest: Digest::of(bytes), bytes: read })
        .collect();
    let loaded = crate::fixture::engine().load_all(&sources);
    for (source, loaded) in sources.iter().zip(loaded) {
        assert_eq!(loaded.unwrap().digest, source.digest);
    }
}
