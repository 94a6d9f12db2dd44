//! Where the Sigstore bundle of an artifact is found.
//!
//! Beside an archive it has the archive's name and [`BESIDE`]; in a folder or tree it is [`INSIDE`], which
//! is no part of the content. Whatever it says is checked elsewhere: here it is only bytes.

use std::path::Path;

use astrid_authority::Digest;
use astrid_store::Batch;

use crate::error::{Error, Result};
use crate::source::index::{check_plain_file, read_limited};

/// What is added to the name of an archive: a bundle, or several, one a line.
pub const BESIDE: [&str; 2] = [".sigstore.json", ".sigstore.jsonl"];
/// The bundle of a folder, below it. It is signed over the listing of the content.
pub const INSIDE: &str = ".astrid/provenance.sigstore.json";
/// A file of bundles larger than this is not read: 16 MiB.
pub(crate) const MAX_SIGNATURE_BYTES: u64 = 16 << 20;

/// The bundle of a folder, when it has one.
pub(crate) fn inside(folder: &Path, what: &str) -> Result<Option<Vec<u8>>> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    if is_link(&folder.join(".astrid")) {
        return Err(Error::invalid(format!("{what}: `.astrid` is a symbolic link"))
            .hint("put the folder itself there: links out of a repository are not followed"));
    }
    read(&folder.join(INSIDE), &format!("{what}: {INSIDE}"))
}

/// The bundle beside an archive, when it has one.
pub(crate) fn beside(archive: &Path, what: &str) -> Result<Option<Vec<u8>>> {
    for ending in BESIDE {
        let mut path = archive.as_os_str().to_owned();
        path.push(ending);
        if let Some(bytes) = read(Path::new(&path), &format!("{what}: the bundle beside its archive"))? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn read(path: &Path, shown: &str) -> Result<Option<Vec<u8>>> {
    check_plain_file(path, shown)?;
    match read_limited(path, MAX_SIGNATURE_BYTES) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Ok(None) => Err(too_large(shown)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failed(format!("{shown} can't be read")).caused_by(error)),
    }
}

/// The refusal of a bundle that is too large.
pub(crate) fn too_large(shown: &str) -> Error {
    Error::invalid(format!("{shown} is larger than 16 MiB"))
}

/// Keeps a bundle, and the archive that it is signed over: without it nobody could check it again.
pub(crate) fn keep(
    batch: &Batch<'_>,
    signature: Option<&[u8]>,
    archive: Option<&[u8]>,
) -> Result<Option<Digest>> {
    let Some(signature) = signature else { return Ok(None) };
    if let Some(archive) = archive {
        batch.put(archive)?;
    }
    Ok(Some(batch.put(signature)?))
}
