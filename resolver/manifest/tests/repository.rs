//! The manifests and schemas of this repository are right.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use astrid_manifest::validate::{self, Kind};
use astrid_manifest::{CapsuleManifest, Strictness, component, effective_authority};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below `folder` whose name says its kind, but for what builds leave behind.
fn manifests(folder: &Path, found: &mut Vec<(Kind, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "target" {
                manifests(&path, found);
            }
        } else if let Some(kind) = Kind::of_path(path.to_str().unwrap()) {
            found.push((kind, path));
        }
    }
}

#[test]
fn schemas_are_up_to_date() {
    let folder = repository().join("schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    for named in astrid_manifest::schema::all() {
        let path = folder.join(named.file);
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, named.text()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == named.text(),
            "schemas/{} is out of date: run `UPDATE_SCHEMAS=1 cargo test -p astrid-manifest --test repository`",
            named.file
        );
    }
}

#[test]
fn packs_and_distros_have_no_complaints() {
    let mut found = Vec::new();
    manifests(&repository().join("packs"), &mut found);
    manifests(&repository().join("distros"), &mut found);
    assert!(found.iter().any(|(kind, _)| *kind == Kind::Capsule));
    for (kind, path) in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let complaints = validate::file(kind, path.to_str().unwrap(), &text);
        assert!(complaints.is_empty(), "{}", complaints.render(false));
    }
}

#[test]
fn built_components_use_what_their_manifests_grant() {
    let mut found = Vec::new();
    manifests(&repository().join("packs"), &mut found);
    for (_, path) in found.into_iter().filter(|(kind, _)| *kind == Kind::Capsule) {
        let text = std::fs::read_to_string(&path).unwrap();
        let manifest = CapsuleManifest::parse("Capsule.toml", &text, Strictness::Check).unwrap().value;
        let Some(file) = manifest.component_file() else { continue };
        let Ok(bytes) = std::fs::read(file.under(path.parent().unwrap())) else { continue };
        let surface =
            component::inspect(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(surface.unknown_interfaces().is_empty(), "{}: {surface:?}", path.display());
        let effective = effective_authority(&manifest, Some(&surface));
        assert!(
            effective.ungranted_imports.is_empty(),
            "{}: {:?}",
            path.display(),
            effective.ungranted_imports
        );
    }
}
