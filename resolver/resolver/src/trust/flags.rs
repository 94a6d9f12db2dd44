//! What the command line says about trust.

use std::fmt;
use std::str::FromStr;

use astrid_authority::{Digest, PackId};
use astrid_manifest::subject::Subject;

/// One `--trust=<subject>@<digest>`: an acknowledgement that is bound to what was reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFlag {
    /// What is trusted.
    pub subject: Subject,
    /// The content digest that was reviewed.
    pub digest: Digest,
}

/// The text is no `<subject>@<digest>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFlagError {
    /// There is no `@`.
    #[error("`--trust=` takes `<subject>@<digest>`, such as `pack:media_tools@blake3:…`")]
    Shape,
    /// The subject is none.
    #[error("`{0}` is no subject: write `pack:ID`, `capsule:NAME`, `distro:ID`, or the id of a pack")]
    Subject(String),
    /// The digest is not whole: a part of one can be met by other content.
    #[error("the digest must be whole: all 64 hexadecimal digits that `plan` and `inspect` print")]
    Digest,
}

impl FromStr for TrustFlag {
    type Err = TrustFlagError;

    fn from_str(text: &str) -> Result<Self, TrustFlagError> {
        let (name, digest) = text.rsplit_once('@').ok_or(TrustFlagError::Shape)?;
        let subject = if name.contains(':') {
            name.parse().map_err(|_| TrustFlagError::Subject(name.escape_debug().to_string()))?
        } else {
            let id: PackId =
                name.parse().map_err(|_| TrustFlagError::Subject(name.escape_debug().to_string()))?;
            Subject::Pack(id)
        };
        let hex = digest.strip_prefix("blake3:").unwrap_or(digest);
        Ok(Self { subject, digest: Digest::from_hex(hex).map_err(|_| TrustFlagError::Digest)? })
    }
}

impl fmt::Display for TrustFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--trust={}@{}", self.subject, self.digest)
    }
}

/// What the command line allows. `--yes` is not here: it never allows anything of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct Flags {
    /// `--trust`: everything in this plan is acknowledged.
    pub trust_all: bool,
    /// Each `--trust=<subject>@<digest>`.
    pub trust: Vec<TrustFlag>,
    /// `--allow-downgrade`.
    pub allow_downgrade: bool,
    /// `--accept-new-key`.
    pub accept_new_key: bool,
    /// `--allow-unsigned`.
    pub allow_unsigned: bool,
    /// `--replace-distro`.
    pub replace_distro: bool,
}

impl Flags {
    /// Says whether a bound flag names this subject and digest.
    #[must_use]
    pub fn trusts(&self, subject: &Subject, digest: Digest) -> bool {
        self.trust.iter().any(|flag| flag.subject == *subject && flag.digest == digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_may_go_without_its_kind() {
        let digest = Digest::of(b"x");
        let flag: TrustFlag = format!("media_tools@{}", digest.hex()).parse().unwrap();
        assert_eq!(flag.subject, "pack:media_tools".parse().unwrap());
        assert_eq!(format!("{flag}"), format!("--trust=pack:media_tools@{digest}"));
        let flag: TrustFlag = format!("distro:starter@{digest}").parse().unwrap();
        assert_eq!(flag.digest, digest);
    }

    #[test]
    fn a_part_of_a_digest_is_refused_denied() {
        let hex = Digest::of(b"x").hex();
        for digest in [&hex[..12], &hex[..63], "", &hex.to_uppercase()] {
            let parsed = format!("media_tools@{digest}").parse::<TrustFlag>();
            assert_eq!(parsed, Err(TrustFlagError::Digest), "{digest}");
        }
        assert_eq!("media_tools".parse::<TrustFlag>(), Err(TrustFlagError::Shape));
        assert!(matches!(format!("a-b@{hex}").parse::<TrustFlag>(), Err(TrustFlagError::Subject(_))));
        assert!(matches!(format!("capsule:A@{hex}").parse::<TrustFlag>(), Err(TrustFlagError::Subject(_))));
    }
}
