//! Endorsements that come with a declaration: keys that name their successors.
//!
//! They lie in [`ENDORSEMENTS`] beside `Distro.toml`, one bundle a line, and are not believed: each counts only for
//! the key that signed it.

use std::path::Path;

use astrid_provenance::Bundle;
pub use astrid_provenance::endorsement::{chain, endorse};
use astrid_store::Disk;

use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::source::index::{check_plain_file, read_limited};

/// The file with endorsements of keys, beside `Distro.toml`.
pub const ENDORSEMENTS: &str = "endorsements.jsonl";
/// It is not larger than this: 16 MiB.
const MAX_ENDORSEMENTS: u64 = 16 << 20;

/// The text of the endorsements beside a declaration, or in the bundle that it came in.
///
/// # Errors
/// `Invalid` when the file is too large, no plain file, or no UTF-8.
pub(crate) fn endorsements_text(declaration: &Declaration) -> Result<Option<String>> {
    if let Some(bundle) = declaration.bundle() {
        return Ok(bundle.shuttle().endorsements().map(str::to_owned));
    }
    if let Some(text) = declaration.fetched_endorsements() {
        return if text.len() as u64 > MAX_ENDORSEMENTS {
            Err(too_large())
        } else {
            Ok(Some(text.to_owned()))
        };
    }
    declaration.folder().map_or(Ok(None), |folder| read(&folder.join(ENDORSEMENTS)))
}

/// The endorsements that come with a declaration.
///
/// # Errors
/// `Invalid` when the file can't be read as bundles.
pub(crate) fn endorsements(declaration: &Declaration) -> Result<Vec<Bundle>> {
    match endorsements_text(declaration)? {
        Some(text) if !text.trim().is_empty() => Ok(Bundle::parse_all(text.as_bytes())?),
        _ => Ok(Vec::new()),
    }
}

/// Adds an endorsement at the end of a file, which is made when it is not there.
///
/// # Errors
/// `Invalid` when what is there are no bundles, or as many as are read.
pub fn append(path: &Path, endorsement: &str, disk: &Disk) -> Result<()> {
    let mut text = read(path)?.unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(endorsement);
    Bundle::parse_all(text.as_bytes())?;
    Ok(disk.write_atomic(path, text.as_bytes(), 0o644)?)
}

fn too_large() -> Error {
    Error::invalid(format!("{ENDORSEMENTS} is larger than 16 MiB"))
}

fn read(path: &Path) -> Result<Option<String>> {
    check_plain_file(path, ENDORSEMENTS)?;
    let bytes = match read_limited(path, MAX_ENDORSEMENTS) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(too_large()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failed(format!("{ENDORSEMENTS} can't be read")).caused_by(error)),
    };
    String::from_utf8(bytes).map(Some).map_err(|_| Error::invalid(format!("{ENDORSEMENTS} is no UTF-8")))
}
