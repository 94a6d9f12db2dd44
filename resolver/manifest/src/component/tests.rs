use super::*;
use crate::capsule::Strictness;

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn manifest(text: &str) -> crate::CapsuleManifest {
    let text = format!("[package]\nname = \"x\"\nversion = \"0.1.0\"\n{text}");
    crate::CapsuleManifest::parse("Capsule.toml", &text, Strictness::Check).unwrap().value
}

/// Imports two functions of `fs`, the types of `io`, and exports the three entry points, of which
/// only `run` is real.
const READER: &str = r#"(component
    (import "astrid:fs/host@1.0.0" (instance
        (export "read-file" (func))
        (export "fs-stat" (func))))
    (import "astrid:io/poll@1.0.0" (instance (export "pollable" (type (sub resource)))))
    (core module $m
        (func $run nop)
        (func $stub)
        (export "run" (func $run))
        (export "astrid-install" (func $stub))
        (export "astrid-upgrade" (func $stub)))
    (core instance $i (instantiate $m))
    (func $run (canon lift (core func $i "run")))
    (func $install (canon lift (core func $i "astrid-install")))
    (func $upgrade (canon lift (core func $i "astrid-upgrade")))
    (export "run" (func $run))
    (export "astrid-install" (func $install))
    (export "astrid-upgrade" (func $upgrade)))"#;

#[test]
fn imports_are_read_with_their_functions() {
    let surface = inspect(&component(READER)).unwrap();
    assert_eq!(surface.functions("astrid:fs").collect::<Vec<_>>(), ["fs-stat", "read-file"]);
    assert_eq!(surface.imports["astrid:io/poll@1.0.0"].len(), 0);
    assert!(surface.unknown_interfaces().is_empty());
}

#[test]
fn folded_exports_are_stubs() {
    let surface = inspect(&component(READER)).unwrap();
    assert!(surface.has_run());
    assert!(!surface.has_install() && !surface.has_upgrade() && !surface.has_hook_trigger());
}

#[test]
fn a_stub_that_stands_alone_is_told_apart() {
    let text = |run: &str| {
        format!(
            r#"(component
                (core module $m
                    (func $first) (func $work nop)
                    (func $run {run})
                    (func $install nop call $first call $work)
                    (func $upgrade nop call $first)
                    (export "run" (func $run))
                    (export "astrid-install" (func $install))
                    (export "astrid-upgrade" (func $upgrade)))
                (core instance $i (instantiate $m))
                (func $run (canon lift (core func $i "run")))
                (func $install (canon lift (core func $i "astrid-install")))
                (func $upgrade (canon lift (core func $i "astrid-upgrade")))
                (export "run" (func $run))
                (export "astrid-install" (func $install))
                (export "astrid-upgrade" (func $upgrade)))"#
        )
    };
    let surface = inspect(&component(&text("call $first"))).unwrap();
    assert!(!surface.has_run() && surface.has_install() && surface.has_upgrade());
    let surface = inspect(&component(&text("nop call $first"))).unwrap();
    assert!(surface.has_run());
}

#[test]
fn other_bytes_are_denied() {
    assert_eq!(inspect(&component("(module)")), Err(ComponentError::CoreModule));
    assert!(matches!(inspect(b""), Err(ComponentError::Invalid { .. })));
    assert!(matches!(inspect(b"\0asm garbage"), Err(ComponentError::Invalid { .. })));
    let whole = component(READER);
    for end in 0..whole.len() {
        // A section boundary may end a valid component; nothing may panic.
        let _ = inspect(&whole[..end]);
    }
}

#[test]
fn authority_is_what_is_granted_and_usable() {
    let surface = inspect(&component(READER)).unwrap();
    let manifest = manifest(
        "[capabilities]\nfs_read = [\"cwd://\"]\nfs_write = [\"cwd://\"]\nnet = [\"*\"]\n[publish]\n\"a.b\" = \"opaque\"\n",
    );
    let effective = effective_authority(&manifest, Some(&surface));
    let texts =
        |set: &astrid_authority::AuthoritySet| set.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&effective.granted), ["fs_read:cwd://"]);
    assert_eq!(texts(&effective.unused), ["publish:a.b", "fs_write:cwd://", "net:*"]);
    assert!(effective.ungranted_imports.is_empty());
}

#[test]
fn an_import_without_a_grant_is_told_denied() {
    let surface = inspect(&component(READER)).unwrap();
    let effective = effective_authority(&manifest(""), Some(&surface));
    assert!(effective.granted.is_empty());
    assert_eq!(effective.ungranted_imports.len(), 1);
    assert_eq!(effective.ungranted_imports[0].interface, "astrid:fs/host@1.0.0");
    assert_eq!(effective.ungranted_imports[0].needs, [astrid_authority::GrantKind::FsRead]);
}

#[test]
fn nobody_looked_means_everything_granted_counts() {
    let manifest = manifest("[capabilities]\nnet = [\"*\"]\n");
    assert_eq!(effective_authority(&manifest, None).granted.len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256), cut in 0_usize..512, byte: u8) {
        let _ = inspect(&bytes);
        let mut broken = component(READER);
        let at = cut % broken.len();
        broken[at] = byte;
        let _ = inspect(&broken);
    }
}
