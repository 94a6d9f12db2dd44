//! The distros that are part of the program: the starter, whose trust is built in, and the templates of `init --here`.

use std::path::{Path, PathBuf};

use astrid_authority::{CapsuleName, Digest};
use astrid_manifest::Subject;
use astrid_store::archive::unpack;
use astrid_store::tree::{Limits, Tree};
use astrid_store::{Disk, Home};

use crate::exit::{Failure, Kind};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The distro that `init` installs.
pub(crate) const STARTER: &str = "starter";

/// The files of an embedded distro, by their paths in its folder.
fn files(distro: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    EMBEDDED.iter().filter(move |(of, ..)| *of == distro).map(|(_, path, bytes)| (*path, *bytes))
}

/// The folder of an embedded distro in a home.
pub(crate) fn folder(home: &Home, distro: &str) -> PathBuf {
    home.var().join("builtin").join(distro)
}

/// The text of an embedded distro.
pub(crate) fn text(distro: &str) -> Result<&'static str, Failure> {
    let bytes = files(distro).find(|(path, _)| *path == "Distro.toml").map(|(_, bytes)| bytes);
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(|| {
        Failure::new(Kind::Internal, format!("the distro `{distro}` is not part of this program"))
    })
}

/// Writes an embedded distro into a home; files that are there already and the same stay.
pub(crate) fn lay_out(home: &Home, disk: &Disk, distro: &str) -> Result<(), Failure> {
    let folder = folder(home, distro);
    disk.create_dir(&folder.join("capsules"), 0o700)?;
    for (path, bytes) in files(distro) {
        let target = folder.join(path);
        if !std::fs::read(&target).is_ok_and(|found| found == bytes) {
            disk.write_atomic(&target, bytes, 0o600)?;
        }
    }
    Ok(())
}

/// What the program vouches for: each capsule of the starter, by the digest of exactly its embedded content.
pub(crate) fn acknowledged() -> Result<Vec<(Subject, Digest)>, Failure> {
    let mut known = Vec::new();
    for (path, bytes) in files(STARTER) {
        let Some(name) = path.strip_prefix("capsules/").and_then(|file| file.strip_suffix(".capsule")) else {
            continue;
        };
        let tree = Tree::of_files(&unpack(bytes, &Limits::default(), path)?)?;
        let name: CapsuleName = name.parse().map_err(|_| {
            Failure::new(Kind::Internal, format!("the embedded `{name}` is no name of a capsule"))
        })?;
        known.push((Subject::Capsule(name), tree.digest()));
    }
    Ok(known)
}

/// Writes a template into a folder: the declaration and its capsules.
///
/// # Errors
/// When one of the files is there already: nothing that a person wrote is ever replaced.
pub(crate) fn write_template(target: &Path, distro: &str) -> Result<Vec<&'static str>, Failure> {
    if let Some((path, _)) = files(distro).find(|(path, _)| target.join(path).exists()) {
        return Err(Failure::failed(format!("{path} exists already, and is not replaced"))
            .hint("choose an empty folder, or change the file that is there"));
    }
    std::fs::create_dir_all(target.join("capsules"))?;
    for (path, bytes) in files(distro) {
        std::fs::write(target.join(path), bytes)?;
    }
    Ok(files(distro).map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distro_holds_the_capsules_that_it_names() {
        for distro in [STARTER, "minimal"] {
            let text = text(distro).unwrap();
            let named: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("source = \"./").and_then(|rest| rest.strip_suffix('"')))
                .collect();
            assert!(!named.is_empty(), "{distro}");
            for path in named {
                assert!(files(distro).any(|(own, _)| own == path), "{distro}: {path}");
            }
        }
    }

    #[test]
    fn the_program_vouches_for_the_starter_only() {
        let starter = files(STARTER).filter(|(path, _)| path.starts_with("capsules/")).count();
        assert_eq!(acknowledged().unwrap().len(), starter);
    }
}
