//! What this home itself brought, and from where: the one thing that lets a locked run take bytes from the
//! store instead of asking their source again.
//!
//! A lock claims that some content came from some commit or archive. Whoever may edit a lock could name the
//! content of something else that happens to be in the store. Here is what this home saw for itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::Result;
use crate::source::index::read_limited;
use astrid_authority::Digest;
use astrid_manifest::source::Source;

/// The record is not larger than this: 64 MiB.
const MAX_BYTES: u64 = 64 << 20;
/// Domain of the digest over a place.
const PLACE_DOMAIN: &str = "astrid:brought:v1";

/// The name of the record in `var/`.
const FILE: &str = "brought";

fn path(context: &Context) -> PathBuf {
    context.var().join(FILE)
}

/// Where bytes came from: the source, the commit or tag that was used, and the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(Digest);

impl Place {
    /// The place of a member of `declaration`, as its bytes were brought or as a lock claims it.
    pub(crate) fn new(
        declaration: &Declaration,
        source: &Source,
        resolved: Option<&str>,
        archive: Option<Digest>,
    ) -> Self {
        let origin = declaration.origin();
        // A path means something in one revision of one declaration only.
        let (within, resolved) =
            if source.is_path() { (origin.identity(), origin.commit()) } else { (String::new(), resolved) };
        let source = source.to_string();
        let archive = archive.map(|archive| archive.to_string()).unwrap_or_default();
        let parts = [within.as_str(), &source, resolved.unwrap_or_default(), &archive];
        Self(Digest::of_parts(PLACE_DOMAIN, parts.map(str::as_bytes)))
    }
}

#[derive(Debug, Default)]
struct Record {
    contents: BTreeMap<Digest, Digest>,
    changed: bool,
}

/// Which content each place gave this home. Shared by threads.
#[derive(Debug, Default)]
pub(crate) struct Brought(Mutex<Record>);

impl Brought {
    /// Reads the record; one that can't be understood counts as empty, so that sources are asked again.
    pub(crate) fn load(context: &Context) -> Self {
        Self(Mutex::new(Record { contents: read(context), changed: false }))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this home got that content from there.
    pub(crate) fn knows(&self, from: &Place, content: Digest) -> bool {
        self.record().contents.get(&from.0) == Some(&content)
    }

    /// Remembers what came from there.
    pub(crate) fn remember(&self, from: &Place, content: Digest) {
        let mut record = self.record();
        if record.contents.insert(from.0, content) != Some(content) {
            record.changed = true;
        }
    }

    /// Writes the record, when something was added, together with what another run added meanwhile.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn save(&self, context: &Context) -> Result<()> {
        let mut record = self.record();
        if !record.changed {
            return Ok(());
        }
        let mut all = read(context);
        all.extend(record.contents.iter().map(|(from, content)| (*from, *content)));
        let mut text = String::new();
        for (from, content) in &all {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{from} {content}");
        }
        let disk = context.store.disk();
        disk.create_dir(&context.var(), 0o700)?;
        disk.write_atomic(&path(context), text.as_bytes(), 0o600)?;
        record.changed = false;
        Ok(())
    }
}

/// Takes what a run that only looked saw for itself into the home's record.
pub(crate) fn keep(own: &Context, aside: &Context) -> Result<()> {
    let seen = Record { contents: read(aside), changed: true };
    Brought(Mutex::new(seen)).save(own)
}

fn read(context: &Context) -> BTreeMap<Digest, Digest> {
    let mut all = read_file(&context.home.var().join(FILE));
    if context.aside.is_some() {
        all.extend(read_file(&path(context)));
    }
    all
}

fn read_file(path: &Path) -> BTreeMap<Digest, Digest> {
    let bytes = read_limited(path, MAX_BYTES).ok().flatten().unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (place, bytes) = line.split_once(' ')?;
        Some((place.parse().ok()?, bytes.parse().ok()?))
    });
    lines.collect()
}
