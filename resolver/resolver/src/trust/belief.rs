//! Which origins this home believes.
//!
//! An origin is what Astrid itself used to get a distro: a normalised URL or the absolute path of a
//! local folder, never an id or a field that the distro claims.

use std::collections::BTreeSet;

use astrid_authority::DistroId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An origin that somebody accepted at a terminal with `believe <distro-id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedBelief {
    /// The origin.
    pub origin: String,
    /// The distro that was shown.
    pub distro: DistroId,
    /// When.
    pub at: Timestamp,
}

/// The believed origins: those of the home's policy, and those accepted at a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beliefs {
    policy: BTreeSet<String>,
    recorded: Vec<RecordedBelief>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    format_version: u32,
    #[serde(default, rename = "believe", skip_serializing_if = "Vec::is_empty")]
    recorded: Vec<RecordedBelief>,
}

impl Beliefs {
    /// Where the home keeps what was accepted at a terminal, under `trust/`.
    pub const FILE: &'static str = "believed.toml";

    /// Puts the origins of the home's policy and the text of [`Self::FILE`] together.
    ///
    /// # Errors
    /// When the text is not what this program writes.
    pub fn parse(policy: impl IntoIterator<Item = String>, recorded: Option<&str>) -> Result<Self> {
        let recorded = match recorded {
            None => Vec::new(),
            Some(text) => {
                let file: File = super::floors::parse_own(Self::FILE, text)?;
                if file.format_version != 1 {
                    return Err(super::floors::newer(Self::FILE, file.format_version));
                }
                file.recorded
            }
        };
        Ok(Self { policy: policy.into_iter().collect(), recorded })
    }

    /// Says whether the origin is believed.
    #[must_use]
    pub fn believes(&self, origin: &str) -> bool {
        self.policy.contains(origin) || self.recorded.iter().any(|belief| belief.origin == origin)
    }

    /// Accepts an origin that a person was shown, and returns the file to write.
    ///
    /// `typed` is what the person typed: exactly `believe <distro-id>`.
    ///
    /// # Errors
    /// When something else was typed.
    pub fn accept(&mut self, origin: &str, distro: &DistroId, typed: &str, at: Timestamp) -> Result<String> {
        if typed.trim() != format!("believe {distro}") {
            return Err(Error::failed("Cancelled.").hint(format!("type exactly `believe {distro}`")));
        }
        self.recorded.retain(|belief| belief.origin != origin);
        self.recorded.push(RecordedBelief { origin: origin.to_owned(), distro: distro.clone(), at });
        self.recorded.sort();
        let file = File { format_version: 1, recorded: self.recorded.clone() };
        super::floors::write_own(Self::FILE, &file)
    }

    /// What was accepted at a terminal.
    #[must_use]
    pub fn recorded(&self) -> &[RecordedBelief] {
        &self.recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_origin_is_believed_after_a_round_trip() {
        let mut beliefs = Beliefs::parse(["https://a.example/x".to_owned()], None).unwrap();
        let starter = "starter".parse().unwrap();
        let file =
            beliefs.accept("/srv/fleet", &starter, "believe starter\n", Timestamp::UNIX_EPOCH).unwrap();
        let again = Beliefs::parse([], Some(&file)).unwrap();
        assert!(again.believes("/srv/fleet"));
        assert!(beliefs.believes("https://a.example/x"));
    }

    #[test]
    fn another_origin_with_the_same_id_is_not_believed_denied() {
        let mut beliefs = Beliefs::default();
        let starter = "starter".parse().unwrap();
        assert!(beliefs.accept("/srv/fleet", &starter, "yes", Timestamp::UNIX_EPOCH).is_err());
        beliefs.accept("/srv/fleet", &starter, "believe starter", Timestamp::UNIX_EPOCH).unwrap();
        for origin in ["/srv/fleet/", "/srv/fleet2", "starter", "/srv", "", "git+https://a.example/fleet"] {
            assert!(!beliefs.believes(origin), "{origin}");
        }
    }
}
