//! The distros that are part of the program: the starter, whose trust is built in, and the templates of `init --here`.

use std::path::{Path, PathBuf};

use astrid_authority::{CapsuleName, Digest};
use astrid_manifest::Subject;
use astrid_store::tree::{Tree, TreeFile, TreePath};
use astrid_store::{Disk, Home};

use crate::exit::{Failure, Kind};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Where the embedded files are laid out in a home, as they are in the repository.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.var().join("builtin")
}

/// The folder of an embedded distro in a home.
pub(crate) fn distro_folder(home: &Home, name: &str) -> PathBuf {
    folder(home).join("distros").join(name)
}

/// The text of an embedded distro.
pub(crate) fn distro_text(name: &str) -> Result<&'static str, Failure> {
    let path = format!("distros/{name}/Distro.toml");
    let bytes = EMBEDDED.iter().find(|(embedded, _)| *embedded == path).map(|(_, bytes)| *bytes);
    bytes
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or_else(|| Failure::new(Kind::Internal, format!("`{path}` is not part of this program")))
}

/// Writes the embedded files into a home; those that are there already stay.
pub(crate) fn lay_out(home: &Home, disk: &Disk) -> Result<(), Failure> {
    let folder = folder(home);
    for (path, bytes) in EMBEDDED {
        let target = folder.join(path);
        if std::fs::read(&target).is_ok_and(|found| found == *bytes) {
            continue;
        }
        if let Some(parent) = target.parent() {
            disk.create_dir(parent, 0o700)?;
        }
        disk.write_atomic(&target, bytes, 0o600)?;
    }
    Ok(())
}

/// The folder of each embedded capsule, from the root of the repository.
fn capsule_folders() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().filter_map(|(path, _)| path.strip_suffix("/Capsule.toml"))
}

/// What the program vouches for: each embedded capsule by the digest of exactly its embedded bytes.
pub(crate) fn acknowledged() -> Result<Vec<(Subject, Digest)>, Failure> {
    let mut known = Vec::new();
    for folder in capsule_folders() {
        let mut files = Vec::new();
        for (path, bytes) in EMBEDDED {
            if let Some(inside) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                let path = TreePath::from_bytes(inside.as_bytes())?;
                files.push(TreeFile { path, bytes: bytes.to_vec(), executable: false });
            }
        }
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let name: CapsuleName = name
            .parse()
            .map_err(|_| Failure::new(Kind::Internal, format!("the embedded `{name}` is no name of a capsule")))?;
        known.push((Subject::Capsule(name), Tree::of_files(&files)?.digest()));
    }
    Ok(known)
}

/// Writes a template into a folder: the declaration, and the capsules that it names, below `packs/`.
///
/// # Errors
/// When one of the files is there already: nothing that a person wrote is ever replaced.
pub(crate) fn write_template(folder: &Path, name: &str) -> Result<Vec<PathBuf>, Failure> {
    let text = distro_text(name)?;
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    files.push((PathBuf::from("Distro.toml"), text.replace("\"../../packs/", "\"./packs/").into_bytes()));
    for capsule in capsule_folders().filter(|capsule| text.contains(&format!("\"../../{capsule}\""))) {
        for (path, bytes) in EMBEDDED {
            if path.strip_prefix(capsule).is_some_and(|rest| rest.starts_with('/')) {
                files.push((PathBuf::from(path), bytes.to_vec()));
            }
        }
    }
    for (path, _) in &files {
        if folder.join(path).exists() {
            return Err(Failure::failed(format!("{} exists already, and is not replaced", path.display()))
                .hint("choose an empty folder, or change the file that is there"));
        }
    }
    for (path, bytes) in &files {
        let target = folder.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(target, bytes)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distro_has_its_capsules() {
        for name in ["starter", "minimal"] {
            let text = distro_text(name).unwrap();
            let sources = text.lines().filter(|line| line.starts_with("source = ")).count();
            let found =
                capsule_folders().filter(|capsule| text.contains(&format!("\"../../{capsule}\""))).count();
            assert_eq!(sources, found, "{name}");
        }
        assert_eq!(acknowledged().unwrap().len(), capsule_folders().count());
    }
}
