//! The files that trust verbs write: acknowledgements, revocations, believed origins.

use std::path::{Path, PathBuf};

use astrid_authority::{Digest, DistroId};
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::{Ack, AckFile};
use astrid_store::WriterLock;

use super::acknowledgement::Revocations;
use super::pins::Pin;
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::origin::Origin;
use crate::proposal::HomeTrust;

/// The name of the file that holds the acknowledgements of a subject: `<kind>-<name>.toml`.
///
/// Names of subjects hold nothing that a file name may not.
#[must_use]
pub fn ack_file_name(subject: &Subject) -> String {
    format!("{}-{}.toml", subject.kind(), subject.name())
}

/// Writes acknowledgements into `folder`, which is the home's `trust/` or a repository's, and returns
/// the files. An acknowledgement of the same content takes the place of the one that is there.
///
/// # Errors
/// 65 when a file that is there is not valid; it is left as it is.
pub fn write_acks(context: &Context, folder: &Path, acks: &[Ack]) -> Result<Vec<PathBuf>> {
    let disk = context.store.disk();
    disk.create_dir(folder, 0o755)?;
    let mut written = Vec::new();
    for ack in acks {
        let name = ack_file_name(&ack.subject);
        let path = folder.join(&name);
        let mut file = match read(&path)? {
            Some(text) => AckFile::parse(&format!("trust/{name}"), &text).map_err(Error::from)?.value,
            None => AckFile::default(),
        };
        file.acks.retain(|own| own.subject != ack.subject || own.content != ack.content);
        file.acks.push(ack.clone());
        disk.write_atomic(&path, file.to_toml().as_bytes(), 0o644)?;
        written.push(path);
    }
    written.sort();
    written.dedup();
    Ok(written)
}

/// Takes trust back: in one content, or in every content of a subject. Returns how many
/// acknowledgements of the home's were removed with it.
///
/// # Errors
/// When a file of the home's trust can't be read or written.
pub fn revoke(
    context: &Context,
    _writer: &WriterLock,
    subject: &Subject,
    only: Option<Digest>,
) -> Result<usize> {
    let disk = context.store.disk();
    let mut revocations = HomeTrust::read(context)?.revocations;
    revocations.revoke(subject.clone(), only, context.clock.now());
    // First the refusal, then the clearing up: a crash in between still refuses.
    let text = revocations.write()?;
    disk.write_atomic(&context.home.trust().join(Revocations::FILE), text.as_bytes(), 0o600)?;
    let name = ack_file_name(subject);
    let path = context.home.trust().join(&name);
    let Some(text) = read(&path)? else { return Ok(0) };
    let mut file = AckFile::parse(&format!("trust/{name}"), &text).map_err(Error::from)?.value;
    let before = file.acks.len();
    file.acks.retain(|own| own.subject != *subject || only.is_some_and(|only| own.content != only));
    let removed = before - file.acks.len();
    if file.acks.is_empty() {
        disk.remove_file(&path)?;
    } else if removed > 0 {
        disk.write_atomic(&path, file.to_toml().as_bytes(), 0o600)?;
    }
    Ok(removed)
}

/// Records that the origin is believed, once a person typed `believe <distro-id>`.
///
/// # Errors
/// 1 when something else was typed, 83 for a bundle that nobody sealed.
pub fn believe(
    context: &Context,
    _writer: &WriterLock,
    origin: &str,
    distro: &DistroId,
    typed: &str,
) -> Result<()> {
    if origin == Origin::UNSEALED {
        let message = "nobody sealed the bundle, so there is nobody to believe";
        return Err(Error::new(ErrorKind::Signature, message).hint("ask for one that is signed"));
    }
    let mut beliefs = HomeTrust::read(context)?.beliefs;
    let file = beliefs.accept(origin, distro, typed, context.clock.now())?;
    let path = context.home.trust().join(super::Beliefs::FILE);
    Ok(context.store.disk().write_atomic(&path, file.as_bytes(), 0o600)?)
}

/// Forgets who signs a distro, and returns what was known.
///
/// # Errors
/// When the pins can't be read or written.
pub fn forget_pin(context: &Context, _writer: &WriterLock, id: &DistroId) -> Result<Option<Pin>> {
    let mut pins = HomeTrust::read(context)?.pins;
    let Some(forgotten) = pins.remove(id) else { return Ok(None) };
    let text = pins.write()?;
    context.store.disk().write_atomic(&context.home.pins(), text.as_bytes(), 0o600)?;
    Ok(Some(forgotten))
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::failed("a file of acknowledgements can't be read").caused_by(error)),
    }
}
