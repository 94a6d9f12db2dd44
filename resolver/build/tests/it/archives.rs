//! The archive is a function of the folder's content.

use astrid_build::{ArchiveError, Project, pack};
use astrid_store::archive::unpack;
use astrid_store::tree::{Limits, Tree};

use crate::fixture::Capsule;

fn packed(capsule: &Capsule) -> astrid_build::Packed {
    pack(&Project::read(capsule.path()).unwrap()).unwrap()
}

#[test]
fn the_same_content_gives_the_same_bytes_wherever_it_is() {
    let (one, two) = (Capsule::good(), Capsule::good());
    for capsule in [&one, &two] {
        capsule.write("assets/b.txt", b"b");
        capsule.write("wit/a.wit", b"package a:b;");
    }
    two.write("target/junk", b"not content");
    two.write("README.md", b"not content");
    assert_eq!(packed(&one).bytes, packed(&two).bytes);
    assert_eq!(packed(&one).file_name, "good.capsule");
}

#[test]
fn an_archive_unpacks_to_what_it_was_packed_from() {
    let capsule = Capsule::good();
    capsule.write("assets/deep/b.txt", b"b");
    capsule.write("skills/s/SKILL.md", b"s");
    let packed = packed(&capsule);
    let files = unpack(packed.bytes.as_slice(), &Limits::default(), "good.capsule").unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["Capsule.toml", "assets/deep/b.txt", "good.wasm", "skills/s/SKILL.md", "tools.json"]);
    assert_eq!(Tree::of_files(&files).unwrap().digest(), packed.content);
}

#[test]
fn any_byte_changes_the_digest() {
    let capsule = Capsule::good();
    let before = packed(&capsule).content;
    capsule.edit("tools.json", "Greets.", "Greets!");
    assert_ne!(packed(&capsule).content, before);
}

#[test]
fn a_missing_component_denied() {
    let capsule = Capsule::good();
    std::fs::remove_file(capsule.path().join("good.wasm")).unwrap();
    let error = pack(&Project::read(capsule.path()).unwrap()).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::NoComponent(_)) && error.to_string().contains("capsule build"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_denied() {
    let capsule = Capsule::good();
    std::fs::create_dir(capsule.path().join("assets")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", capsule.path().join("assets/link")).unwrap();
    assert!(matches!(pack(&Project::read(capsule.path()).unwrap()), Err(ArchiveError::Store(_))));
}

#[test]
fn an_archive_is_written_in_one_step_and_replaces_the_old_one() {
    let capsule = Capsule::good();
    let output = capsule.path().join("dist");
    let file = packed(&capsule).write(&output).unwrap();
    std::fs::write(&file, b"old").unwrap();
    packed(&capsule).write(&output).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), packed(&capsule).bytes);
    assert_eq!(std::fs::read_dir(&output).unwrap().count(), 1, "nothing is left behind");
}
