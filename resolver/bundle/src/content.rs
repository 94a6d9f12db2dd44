//! What an archive holds, as far as it counts.

use astrid_manifest::capsule::{CapsuleManifest, Strictness};
use astrid_manifest::source::SourcePath;
use astrid_store::read::Filter;
use astrid_store::tree::Limits;
use astrid_store::{TreeFile, archive};

use crate::error::{Error, Result};

/// The file that a capsule is described by.
const MANIFEST: &str = "Capsule.toml";

/// What an archive unpacks to; its bytes are added to `unpacked`, whether they count or not.
fn unpack(archive: &[u8], place: &str, unpacked: &mut u64) -> Result<Vec<TreeFile>> {
    let files = archive::unpack(archive, &Limits::default(), place)?;
    *unpacked = files.iter().fold(*unpacked, |sum, file| sum.saturating_add(file.bytes.len() as u64));
    Ok(files)
}

/// Refuses archives that unpack to more than a whole bundle may hold: each is small, and they are many.
pub(crate) fn check_unpacked(unpacked: u64, most: u64) -> Result<()> {
    if unpacked <= most {
        return Ok(());
    }
    Err(Error::unreadable(format!("the archives in it unpack to more than {most} bytes")))
}

/// The files of a pack's archive.
pub(crate) fn of_pack(archive: &[u8], place: &str, unpacked: &mut u64) -> Result<Vec<TreeFile>> {
    let files = unpack(archive, place, unpacked)?;
    Ok(files.into_iter().filter(|file| Filter::All.takes(&file.path)).collect())
}

/// The files of a capsule's archive, and its manifest.
pub(crate) fn of_capsule(
    archive: &[u8],
    place: &str,
    unpacked: &mut u64,
) -> Result<(Vec<TreeFile>, CapsuleManifest)> {
    let files = unpack(archive, place, unpacked)?;
    let text = files.iter().find(|file| file.path.as_str() == MANIFEST);
    let text = text.and_then(|file| std::str::from_utf8(&file.bytes).ok());
    let text = text.ok_or_else(|| Error::unreadable(format!("{place} has no {MANIFEST} that is UTF-8")))?;
    let manifest = CapsuleManifest::parse(&format!("{place}/{MANIFEST}"), text, Strictness::Load)
        .map_err(|complaints| Error::document(&format!("{place}/{MANIFEST}"), &complaints))?
        .value;
    let component = manifest.component_file().map(SourcePath::joined);
    let filter = Filter::capsule(component.as_deref())?;
    Ok((files.into_iter().filter(|file| filter.takes(&file.path)).collect(), manifest))
}
