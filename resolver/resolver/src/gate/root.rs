//! The root of trust of this home: its own, or the one in the program.

use std::path::PathBuf;

use astrid_authority::Digest;
use astrid_manifest::policy::RootAge;
use astrid_manifest::signer::Signer;
use astrid_provenance::root::TrustRoot;
use astrid_provenance::verify::Verifier;
use astrid_store::{Home, WriterLock};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bundle::Bundled;
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::proposal::HomeTrust;
use crate::source::index::read_limited;

/// The home's own root, under `trust/`.
pub const TRUSTED_ROOT: &str = "trusted_root.json";
/// Where it came from and when, beside it.
pub const TRUSTED_ROOT_RECORD: &str = "trusted_root.record.json";
/// A root is not larger than this: 4 MiB.
const MAX_BYTES: u64 = 4 << 20;
/// From which age on people are told, unless the home says otherwise: 180 days.
const WARN_AFTER: SignedDuration = SignedDuration::from_hours(180 * 24);

/// Where the root in use is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootSource {
    /// The one in the program.
    Builtin,
    /// The home's own.
    Home,
}

/// How the home came to its own root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptedRoot {
    /// Always 1.
    pub format_version: u32,
    /// The digest of the root.
    pub root: Digest,
    /// When it was adopted.
    pub adopted: Timestamp,
    /// From where, in words.
    pub from: String,
}

/// What is known of the root in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootStanding {
    /// Where it is from.
    pub source: RootSource,
    /// Its digest.
    pub digest: Digest,
    /// The time that its age is counted from; nothing when nobody recorded it.
    pub since: Option<Timestamp>,
    /// How old that makes it, in whole days.
    pub age_days: Option<i64>,
    /// Keys in it that this version can't use.
    pub left_out: Vec<String>,
}

/// The root in use, ready to verify with.
pub(crate) struct Root {
    standing: RootStanding,
    verifier: Verifier,
    notes: Vec<String>,
}

/// Reads the root of a home, with its standing.
///
/// # Errors
/// `Invalid` when the home's own can't be read as one.
pub(crate) fn read(context: &Context) -> Result<(TrustRoot, RootStanding)> {
    let (root, source, since) = match own(&context.home)? {
        None => (TrustRoot::builtin().clone(), RootSource::Builtin, Some(TrustRoot::builtin_date())),
        Some(bytes) => {
            let root = TrustRoot::parse(&bytes).map_err(|error| {
                Error::invalid(format!("trust/{TRUSTED_ROOT} of the home: {}", error.message()))
                    .hint("replace it with `astrid trust root set FILE`, or remove it to use the one in the program")
            })?;
            let since = record(&context.home).filter(|record| record.root == root.digest());
            (root, RootSource::Home, since.map(|record| record.adopted))
        }
    };
    let age = since.map(|since| context.clock.now().duration_since(since));
    let standing = RootStanding {
        source,
        digest: root.digest(),
        since,
        age_days: age.map(|age| age.as_hours() / 24),
        left_out: root.left_out().to_vec(),
    };
    Ok((root, standing))
}

/// What is known of the root that this home uses.
///
/// # Errors
/// `Invalid` when the home's own can't be read as one.
pub fn standing(context: &Context) -> Result<RootStanding> {
    Ok(read(context)?.1)
}

/// Says whether bytes are a root that something could be verified with. Nothing is written.
///
/// # Errors
/// `Invalid` when they are not.
pub fn check_root(bytes: &[u8]) -> Result<()> {
    Verifier::new(&TrustRoot::parse(bytes)?)?;
    Ok(())
}

/// Makes a root the home's own, and records when and from where.
///
/// # Errors
/// `Invalid` when it is none, or one that nothing could be verified with; when the operating system refuses.
pub fn adopt(context: &Context, _writer: &WriterLock, bytes: &[u8], from: &str) -> Result<RootStanding> {
    let root = TrustRoot::parse(bytes)?;
    Verifier::new(&root)?;
    let record = AdoptedRoot {
        format_version: 1,
        root: root.digest(),
        adopted: context.clock.now(),
        from: from.to_owned(),
    };
    let text = serde_json::to_vec_pretty(&record)
        .map_err(|error| Error::failed("the record of the root can't be written").caused_by(error))?;
    let disk = context.store.disk();
    disk.create_dir(&context.home.trust(), 0o700)?;
    // The record names the root by its digest: between the two writes the new root is one of unknown age.
    disk.write_atomic(&file(&context.home), bytes, 0o600)?;
    disk.write_atomic(&context.home.trust().join(TRUSTED_ROOT_RECORD), &text, 0o600)?;
    standing(context)
}

/// What became of the root that a bundle carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarriedRoot {
    /// There was none, or it is the one in use.
    Nothing,
    /// It is the home's own now.
    Adopted(RootStanding),
    /// It differs from the one in use, and nobody whom this home believes vouches for it.
    LeftAlone,
}

/// Takes the root of a bundle that was applied, when a key that this home believes signed the bundle.
///
/// Nothing of a bundle vouches for the root in it, and a pin is no belief: whoever signs one fleet would else say
/// whose word counts for all.
///
/// # Errors
/// As [`adopt`].
pub fn adopt_carried(context: &Context, writer: &WriterLock, bundle: &Bundled) -> Result<CarriedRoot> {
    let Some(bytes) = bundle.shuttle().trust_root() else { return Ok(CarriedRoot::Nothing) };
    if Digest::of(bytes) == read(context)?.0.digest() {
        return Ok(CarriedRoot::Nothing);
    }
    let Signer::Key(key) = &bundle.seal().signer else { return Ok(CarriedRoot::LeftAlone) };
    if !HomeTrust::read(context)?.policy.believes_key(key) {
        return Ok(CarriedRoot::LeftAlone);
    }
    let from = format!("bundle {} by {}", bundle.shuttle().digest(), bundle.seal().signer);
    adopt(context, writer, bytes, &from).map(CarriedRoot::Adopted)
}

/// Forgets the home's own root: the one in the program counts again. Says whether there was one.
///
/// # Errors
/// When the operating system refuses.
pub fn forget(context: &Context, _writer: &WriterLock) -> Result<bool> {
    let there = file(&context.home).exists();
    for path in [file(&context.home), context.home.trust().join(TRUSTED_ROOT_RECORD)] {
        if path.exists() {
            context.store.disk().remove_file(&path)?;
        }
    }
    Ok(there)
}

fn file(home: &Home) -> PathBuf {
    home.trust().join(TRUSTED_ROOT)
}

fn own(home: &Home) -> Result<Option<Vec<u8>>> {
    match read_limited(&file(home), MAX_BYTES) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Ok(None) => Err(Error::invalid(format!("trust/{TRUSTED_ROOT} of the home is larger than 4 MiB"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Error::failed(format!("trust/{TRUSTED_ROOT} of the home can't be read")).caused_by(error))
        }
    }
}

fn record(home: &Home) -> Option<AdoptedRoot> {
    let bytes = read_limited(&home.trust().join(TRUSTED_ROOT_RECORD), MAX_BYTES).ok()??;
    serde_json::from_slice(&bytes).ok()
}

impl Root {
    /// Opens the root of the home.
    ///
    /// # Errors
    /// As [`read`]; `Signature` when it is older than the home allows.
    pub(crate) fn open(context: &Context, age: RootAge) -> Result<Self> {
        let (root, standing) = read(context)?;
        let seconds = |days: i64| days.saturating_mul(86_400);
        let older_than = |limit: u64| {
            standing.age_days.is_some_and(|days| seconds(days) >= i64::try_from(limit).unwrap_or(i64::MAX))
        };
        if let Some(limit) = age.fail_after
            && (standing.since.is_none() || older_than(limit.as_secs()))
        {
            return Err(Error::new(
                ErrorKind::Signature,
                match standing.age_days {
                    Some(days) => format!("the trusted root is {days} days old, and `fail-after` is {limit}"),
                    None => {
                        "nobody recorded how old the trusted root is, and `fail-after` asks for it".to_owned()
                    }
                },
            )
            .hint("bring a newer one: `astrid trust root set FILE`, or a newer version of this program"));
        }
        let mut notes = Vec::new();
        let warn_after =
            age.warn_after.map_or(WARN_AFTER.as_secs().unsigned_abs(), astrid_manifest::Period::as_secs);
        match standing.age_days {
            Some(days) if older_than(warn_after) => notes.push(format!(
                "the trusted root is {days} days old: it knows of no key that was revoked since (`astrid trust root show`)"
            )),
            None => notes.push(
                "nobody recorded how old the home's trusted root is: adopt it with `astrid trust root set FILE`"
                    .to_owned(),
            ),
            Some(_) => {}
        }
        notes.extend(standing.left_out.iter().map(|what| format!("the trusted root: {what}")));
        Ok(Self { verifier: Verifier::new(&root)?, standing, notes })
    }

    pub(crate) fn digest(&self) -> Digest {
        self.standing.digest
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }
}
