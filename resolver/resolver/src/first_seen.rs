//! When this home first saw each content: what `min-age` falls back to while nobody better says
//! how old a release is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use astrid_authority::Digest;
use astrid_manifest::period::Period;
use astrid_store::Home;
use jiff::Timestamp;

use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::solve::Member;
use crate::source::index::read_limited;

/// The record is not larger than this: 64 MiB.
const MAX_BYTES: u64 = 64 << 20;

fn path(home: &Home) -> PathBuf {
    home.var().join("first-seen")
}

/// When this home first saw what it has seen.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen {
    times: BTreeMap<Digest, Timestamp>,
    changed: bool,
}

impl FirstSeen {
    /// Reads the record; one that can't be understood counts as empty, which only makes releases
    /// look younger.
    pub(crate) fn load(context: &Context) -> Self {
        let bytes = read_limited(&path(&context.home), MAX_BYTES).ok().flatten().unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let times = text.lines().filter_map(|line| {
            let (digest, time) = line.split_once(' ')?;
            Some((digest.parse().ok()?, time.parse().ok()?))
        });
        Self { times: times.collect(), changed: false }
    }

    /// When `content` was first seen: now, when it was not before.
    pub(crate) fn see(&mut self, content: Digest, now: Timestamp) -> Timestamp {
        let times = &mut self.times;
        let changed = &mut self.changed;
        *times.entry(content).or_insert_with(|| {
            *changed = true;
            now
        })
    }

    /// Writes the record, when something was added.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(crate) fn save(&self, context: &Context) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut text = String::new();
        for (digest, time) in &self.times {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{digest} {time}");
        }
        let disk = context.store.disk();
        disk.create_dir(&context.home.var(), 0o700)?;
        disk.write_atomic(&path(&context.home), text.as_bytes(), 0o600)?;
        Ok(())
    }
}

/// Refuses what is younger than a policy asks for.
///
/// # Errors
/// `Policy`, with the time from which it is old enough.
pub(crate) fn check_age(member: &Member, seen: Timestamp, min_age: Period, now: Timestamp) -> Result<()> {
    let seconds = i64::try_from(min_age.as_secs()).unwrap_or(i64::MAX);
    let ready = seen.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    if now >= ready {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Policy,
        format!("{} was first seen at {seen}, and `min-age` asks for {min_age}", member.words()),
    )
    .hint(format!("it is old enough at {ready}; until then keep the locked version")))
}
