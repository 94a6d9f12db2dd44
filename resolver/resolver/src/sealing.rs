//! From a verified fleet to a `.shuttle`: everything that it needs, in one file that can be carried by hand.
//!
//! Whatever the sources were, their bytes are in the store by now, and so are the bundles that prove who made them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use astrid_bundle::{Draft, Limits, Load, Shuttle};
use astrid_manifest::lock::Lock;
use astrid_manifest::signer::Signer;
use astrid_provenance::PublicKey;

use crate::context::Context;
use crate::declaration::{Declaration, LOCK, MANIFEST};
use crate::endorsement::endorsements_text;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::root;
use crate::signing::Signable;
use crate::verified::VerifiedFleet;

/// What else goes into a bundle.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Leave out what the fleet of this lock has already.
    pub since: Option<&'a Lock>,
    /// Put the trust root in, for homes that have an older one.
    pub root: bool,
}

/// Who seals.
#[derive(Debug, Clone, Copy)]
pub enum Sealer<'a> {
    /// The holder of a key.
    Key(&'a PublicKey),
    /// A CI job, by its certificate.
    Keyless,
    /// Nobody says.
    Nobody,
}

/// Refuses a sealer who is not the one that the declaration names: nobody could open such a bundle.
///
/// # Errors
/// `Signature` when `[distro.signing]` names another key.
pub fn check_sealer(declaration: &Declaration, sealer: Sealer<'_>) -> Result<()> {
    let Some(signing) = &declaration.distro().header.signing else { return Ok(()) };
    let (who, hint) = match sealer {
        Sealer::Key(key) if key.to_string() == signing.pubkey => return Ok(()),
        Sealer::Key(key) => (
            format!("signed by {key}"),
            "sign with that key, or name yours as `pubkey` under `[distro.signing]`",
        ),
        Sealer::Keyless => {
            ("signed by a certificate".to_owned(), "sign with that key, or drop `[distro.signing]`")
        }
        Sealer::Nobody => ("unsigned".to_owned(), "sign with that key: pass --key NAME or --key FILE"),
    };
    Err(Error::new(
        ErrorKind::Signature,
        format!("Distro.toml says that it is signed by {}, and the bundle would be {who}", signing.pubkey),
    )
    .at(declaration.place(declaration.distro().header.at))
    .hint(hint))
}

/// Gathers everything that `fleet` pins.
///
/// # Errors
/// `Corrupt` when the store is, or lacks what the earlier lock pins; `Invalid` for what is too large for a bundle,
/// and for sources that are places of this machine.
pub fn draft<'f>(context: &Context, fleet: &'f VerifiedFleet, options: &Options<'_>) -> Result<Draft<'f>> {
    let declaration = fleet.declaration();
    let lock_text = fleet.lock().to_toml();
    // A signature that nobody verified, or of another lock, would only be refused later.
    let is_signed =
        !fleet.proof().signer.is_unsigned() && declaration.lock_text() == Some(lock_text.as_str());
    let signature = declaration.signature().filter(|_| is_signed);
    let signature = signature.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let endorsements = endorsements_text(declaration)?;
    let root = if options.root { Some(root::read(context)?.0) } else { None };
    let mut acknowledgements = BTreeMap::new();
    for (file, text) in declaration.acknowledgement_texts()? {
        let name = file.rsplit('/').next().unwrap_or(&file).to_owned();
        acknowledgements.insert(name, text);
    }
    let load = Load {
        declaration: declaration.text(),
        distro_signature: signature,
        endorsements: endorsements.as_deref(),
        trust_root: root.as_ref().map(astrid_provenance::TrustRoot::bytes),
        acknowledgements,
        since: options.since,
    };
    Ok(Draft::new(fleet.store(), fleet.lock(), &load)?)
}

/// What the statement of a bundle is signed as: it names declaration and lock, among all members.
#[must_use]
pub fn signable(fleet: &VerifiedFleet, bundle: &Path) -> Signable {
    let subjects = vec![
        (MANIFEST.to_owned(), fleet.declaration().text().as_bytes().to_vec()),
        (LOCK.to_owned(), fleet.lock().to_toml().into_bytes()),
    ];
    Signable { kind: "bundle", subjects, bundle: bundle.to_owned() }
}

/// Writes the bundle to `path`, all at once, after opening what was written again.
///
/// # Errors
/// As opening a bundle; `Failed` when it can't be written. Then nothing is there.
pub fn write(context: &Context, draft: &Draft<'_>, signature: Option<&str>, path: &Path) -> Result<Shuttle> {
    let unfinished = unfinished(context, path)?;
    let written = write_unfinished(draft, signature, &unfinished).and_then(|shuttle| {
        context.store.disk().rename(&unfinished, path)?;
        Ok(shuttle)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

/// A name beside `path` that nobody else uses.
fn unfinished(context: &Context, path: &Path) -> Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| Error::new(ErrorKind::Usage, "the bundle needs a file name that is UTF-8"))?;
    let mut random = [0; 8];
    context
        .entropy
        .fill(&mut random)
        .map_err(|error| Error::failed("the system gives no random bytes").caused_by(error))?;
    Ok(path.with_file_name(format!(".{name}.{:016x}", u64::from_le_bytes(random))))
}

fn write_unfinished(draft: &Draft<'_>, signature: Option<&str>, path: &Path) -> Result<Shuttle> {
    let failed = |error| Error::failed(format!("`{}` can't be written", path.display())).caused_by(error);
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let mut out = draft.write(signature, BufWriter::new(file))?;
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)?;
    drop(out);
    let shuttle = Shuttle::open(File::open(path).map_err(failed)?, &Limits::default())?;
    if shuttle.statement_bytes() == Some(draft.statement_bytes()) && shuttle.signature() == signature {
        return Ok(shuttle);
    }
    Err(Error::corrupt("the bundle is not what was written").hint("try again; the disk may be failing"))
}

/// Who signed a bundle, as its signature was verified when it was made.
#[must_use]
pub fn sealed_by(verified: Option<&astrid_provenance::Verified>) -> Signer {
    verified.map(astrid_provenance::Verified::signer).unwrap_or_default()
}
