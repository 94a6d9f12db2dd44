//! A Sigstore of its own, for tests: a certificate authority, logs and a timestamp authority in memory.
//!
//! | module | noun |
//! |---|---|
//! | [`sigstore`] | the whole: signs artifacts and writes the trust root that believes them |
//! | [`claims`] | who a certificate is for |
//! | [`service`] | all of it on a socket of this machine, for what signs |
//! | [`authority`] | the certificate authority, as Fulcio |
//! | [`log`] | transparency logs, as Rekor 1 and 2 |
//! | [`timestamp`] | the timestamp authority (RFC 3161) |
//! | [`key`] | keys that are derived from a word, and sign the same way every time |
//! | [`merkle`] | RFC 6962 trees |
//! | [`der`] | the little DER that all of it needs |
//!
//! There is no randomness and no clock: the same calls give the same bytes, so that snapshots hold. It only
//! makes things; a test asks what is under test whether they are taken.
//!
//! ```
//! use astrid_hermetic_sigstore::{Claims, Sigstore};
//!
//! let sigstore = Sigstore::default();
//! let claims = Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0");
//! let bundle = sigstore.sign_blob(&claims, b"the archive");
//! let root = sigstore.trusted_root();
//! assert!(bundle.contains("application/vnd.dev.sigstore.bundle.v0.3+json") && root.contains("tlogs"));
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "support for tests")]

pub mod authority;
pub mod claims;
pub mod der;
pub mod key;
pub mod log;
pub mod merkle;
pub mod service;
pub mod sigstore;
pub mod timestamp;

pub use authority::Leaf;
pub use claims::Claims;
pub use key::Key;
pub use rcgen::PublicKeyData as PublicKey;
pub use service::Service;
pub use sigstore::{BundleForm, Signing, Sigstore};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// Standard base64.
#[must_use]
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard base64; white space does not count.
#[must_use]
pub fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text.split_whitespace().collect::<String>()).unwrap()
}

/// The PEM form of DER.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = base64(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The DER of the first PEM block.
#[must_use]
pub fn from_pem(text: &str) -> Vec<u8> {
    let inside = text.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    from_base64(&inside.take_while(|line| !line.starts_with("-----")).collect::<String>())
}

/// The time as the certificate library has it.
fn utc(time: jiff::Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap()
}
