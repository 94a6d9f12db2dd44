//! The text form of a public key: `ed25519:` and base64.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The one text form of 32 bytes of a public key. Whether they are a point of the curve is not known here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyText(String);

/// The text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is `ed25519:` and the padded base64 of its 32 bytes")]
pub struct KeyTextError;

impl KeyText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyText {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let encoded = text.strip_prefix("ed25519:").ok_or(KeyTextError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyTextError)?;
        // Two texts for one key would be two signers.
        if bytes.len() == 32 && STANDARD.encode(&bytes) == encoded {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyTextError)
        }
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_text() {
        let text = "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
        assert_eq!(text.parse::<KeyText>().unwrap().to_string(), text);
    }

    #[test]
    fn other_texts_are_denied() {
        for text in [
            "",
            "ed25519:",
            "ed25519:AAAA",
            "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=",
            "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw",
            "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw= ",
            "ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0ix=",
        ] {
            assert!(text.parse::<KeyText>().is_err(), "{text}");
        }
    }
}
