//! What a tool says when it does not do what it was asked: words for whoever called, and nothing else.

use std::fmt;

use astrid_sdk::SysError;

/// Why a tool did not do what it was asked, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// A refusal in these words.
    #[must_use]
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SysError> for Refusal {
    fn from(error: SysError) -> Self {
        match error {
            // The SDK's own words stand for themselves.
            SysError::ApiError(words) => Self(words),
            SysError::HostError(code) => Self(format!("the host refused: {}", plain(&code))),
            other => Self(other.to_string()),
        }
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("JSON that can't be read: {error}"))
    }
}

/// The name of a host's refusal. The SDK spells it as its debug form: `ErrorCode::NotFound`, or `NotFound`
/// with older bindings.
#[must_use]
pub fn plain(code: &str) -> &str {
    code.strip_prefix("ErrorCode::").unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_without_the_names_of_types() {
        assert_eq!(Refusal::from(SysError::ApiError("no".to_owned())).to_string(), "no");
        let denied = SysError::HostError("ErrorCode::CapabilityDenied".to_owned());
        assert_eq!(Refusal::from(denied).to_string(), "the host refused: CapabilityDenied");
    }
}
