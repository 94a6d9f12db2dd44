//! What the repository ships: every pack, capsule and distro is in order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use astrid_build::{Project, check, pack};
use astrid_manifest::{Distro, PackManifest, Source, effective_authority, inspect};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|entry| entry.is_dir())
        .collect();
    found.sort();
    found
}

/// The packs; beside them are crates that their capsules share.
fn packs() -> Vec<PathBuf> {
    folders(&root().join("packs")).into_iter().filter(|folder| folder.join("pack.yaml").is_file()).collect()
}

fn capsules() -> Vec<PathBuf> {
    // A pack may have executors only.
    let held = packs().into_iter().map(|pack| pack.join("capsules")).filter(|folder| folder.is_dir());
    held.flat_map(|folder| folders(&folder)).collect()
}

#[test]
fn every_capsule_passes_the_check() {
    assert!(capsules().len() >= 9);
    for folder in capsules() {
        let findings = check(&folder).unwrap();
        assert!(!findings.has_errors(), "{findings}");
        // The probe holds a secret that only a test configures; what people install is spotless.
        if !folder.starts_with(root().join("packs/probe")) {
            assert!(findings.is_empty(), "{findings}");
        }
    }
}

#[test]
fn every_pack_is_in_order() {
    for folder in packs() {
        let file = folder.join("pack.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let parsed = PackManifest::parse(&file.display().to_string(), &text).unwrap();
        assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
        assert_eq!(Some(parsed.value.id.as_str()), folder.file_name().and_then(|name| name.to_str()));
    }
}

#[test]
fn distros_hold_exactly_what_their_capsules_pack_to() {
    for distro in folders(&root().join("distros")) {
        let file = distro.join("Distro.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let parsed = Distro::parse(&file.display().to_string(), &text).unwrap();
        assert!(parsed.warnings.is_empty(), "{}", parsed.warnings);
        let mut named = BTreeSet::new();
        for entry in &parsed.value.capsules {
            let archive = match &entry.source {
                Source::Archive(path) => path.under(&distro),
                other => panic!("{other:?} is not an archive of the distro"),
            };
            let source = capsules().into_iter().find(|folder| folder.ends_with(entry.name.as_str())).unwrap();
            let project = Project::read(&source).unwrap();
            assert_eq!(project.manifest.package.name, entry.name);
            assert!(entry.version.is_some(), "{} is not pinned", entry.name);
            let expected = pack(&project).unwrap();
            let same = std::fs::read(&archive).unwrap() == expected.bytes;
            assert!(
                same,
                "{}: run `cargo run -p astrid-build --example rebuild_guests -- --write`",
                archive.display()
            );
            named.insert(archive);
        }
        let held: BTreeSet<PathBuf> =
            std::fs::read_dir(distro.join("capsules")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(held, named, "an archive that the distro does not name");
    }
}

#[test]
fn the_starter_stays_within_the_ceiling_it_promises() {
    let file = root().join("distros/starter/Distro.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let distro = Distro::parse("Distro.toml", &text).unwrap().value;
    let ceiling = distro.policy.authority.ceiling();
    assert!(distro.capsules.len() >= 6);
    for entry in &distro.capsules {
        let folder = capsules().into_iter().find(|folder| folder.ends_with(entry.name.as_str())).unwrap();
        let project = Project::read(&folder).unwrap();
        let bytes = std::fs::read(project.component_file().unwrap()).unwrap();
        let authority = effective_authority(&project.manifest, Some(&inspect(&bytes).unwrap()));
        assert!(ceiling.violations(&authority.granted).is_empty(), "{}", entry.name);
        // Everything that an entry configures is something that its capsule reads.
        for key in entry.env.keys() {
            assert!(project.manifest.env.contains_key(key), "{} does not read {key}", entry.name);
        }
    }
}

#[test]
fn components_hold_no_paths_of_the_machine_that_built_them() {
    for folder in capsules() {
        let bytes = std::fs::read(Project::read(&folder).unwrap().component_file().unwrap()).unwrap();
        for needle in [&b"/root/"[..], b"/home/", b"/Users/", b".cargo/registry"] {
            let found = bytes.windows(needle.len()).any(|part| part == needle);
            assert!(!found, "{}: {}", folder.display(), String::from_utf8_lossy(needle));
        }
    }
}
