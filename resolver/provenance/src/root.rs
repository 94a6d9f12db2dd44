//! Trust roots: the logs and authorities whose word counts.

use std::sync::{Arc, LazyLock};

use astrid_authority::Digest;
use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::json;
use crate::sigstore::{self, Anchors};

/// A parsed `trusted_root.json`, with its exact bytes.
///
/// Entries that can't be used, such as keys of an algorithm that is not known here, are left out and listed:
/// a root that has learnt a new algorithm still vouches for everything else.
#[derive(Clone)]
pub struct TrustRoot {
    bytes: Arc<[u8]>,
    anchors: Arc<Anchors>,
    left_out: Arc<[String]>,
}

static BUILTIN: LazyLock<TrustRoot> = LazyLock::new(|| {
    // A root that can't be read would vouch for nothing; a test sees that it can.
    TrustRoot::parse(sigstore::BUILTIN_ROOT.as_bytes()).unwrap_or_else(|_| TrustRoot {
        bytes: Arc::default(),
        anchors: Arc::default(),
        left_out: Arc::default(),
    })
});

impl TrustRoot {
    /// A root has at most so many bytes.
    pub const MAX_BYTES: usize = 4 << 20;
    /// A root lists at most so many logs and authorities of each kind.
    pub const MAX_ENTRIES: usize = 256;

    /// Reads a `trusted_root.json`.
    ///
    /// # Errors
    /// `Unreadable` when it is no such document, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = json::check(bytes, Self::MAX_BYTES, "a trusted root")?;
        let (anchors, left_out) = Anchors::parse(text, Self::MAX_ENTRIES).map_err(|why| {
            Error::unreadable(format!("this is no trusted root: {}", json::shown(&why)))
                .hint("a trusted root is the `trusted_root.json` that a Sigstore instance publishes")
        })?;
        Ok(Self { bytes: bytes.into(), anchors: Arc::new(anchors), left_out: left_out.into() })
    }

    /// The root of Sigstore's public instance, as it came with this program.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// When the built-in root was last known to be what Sigstore published.
    ///
    /// It is 2026-07-08, the release that last took it anew; later releases carry it unchanged.
    #[must_use]
    pub fn builtin_date() -> Timestamp {
        Timestamp::constant(1_783_468_800, 0)
    }

    /// BLAKE3 of its exact bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// Its exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entries that can't be used, and why, in words.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// What the Sigstore crate takes.
    pub(crate) fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

impl std::fmt::Debug for TrustRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustRoot({})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_root_is_read_whole() {
        let root = TrustRoot::builtin();
        assert!(!root.bytes().is_empty());
        assert!(root.left_out().is_empty(), "{:?}", root.left_out());
        assert_eq!(TrustRoot::builtin_date().to_string(), "2026-07-08T00:00:00Z");
    }
}
