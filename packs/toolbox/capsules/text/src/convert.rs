//! Text in other spellings, and back: Base64, hexadecimal, percent-encoding.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use refusal::Refusal;
use schemars::JsonSchema;
use serde::Deserialize;

/// A spelling of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Plain text.
    Text,
    /// Base64 with padding.
    Base64,
    /// Base64 for URLs, without padding.
    Base64url,
    /// Hexadecimal.
    Hex,
    /// Percent-encoding, as in URLs.
    Percent,
}

/// Spells `text`, which is in the form `from`, in the form `to`.
pub fn convert(text: &str, from: Form, to: Form) -> Result<String, Refusal> {
    write(&read(text, from)?, to)
}

fn read(text: &str, form: Form) -> Result<Vec<u8>, Refusal> {
    let wrong = |why: String| Refusal::new(format!("`text` is not in the form `from`: {why}"));
    match form {
        Form::Text => Ok(text.as_bytes().to_vec()),
        Form::Base64 => BASE64_STANDARD.decode(text.trim()).map_err(|error| wrong(error.to_string())),
        Form::Base64url => BASE64_URL_SAFE_NO_PAD
            .decode(text.trim().trim_end_matches('='))
            .map_err(|error| wrong(error.to_string())),
        Form::Hex => read_hex(text).ok_or_else(|| wrong("it has other than pairs of 0-9 a-f".to_owned())),
        Form::Percent => {
            read_percent(text).ok_or_else(|| wrong("a % is not followed by two digits".to_owned()))
        }
    }
}

fn write(bytes: &[u8], form: Form) -> Result<String, Refusal> {
    Ok(match form {
        Form::Text => String::from_utf8(bytes.to_vec()).map_err(|_| {
            Refusal::new("the bytes are not UTF-8 text; choose `hex` or `base64` for `to`".to_owned())
        })?,
        Form::Base64 => BASE64_STANDARD.encode(bytes),
        Form::Base64url => BASE64_URL_SAFE_NO_PAD.encode(bytes),
        Form::Hex => hex(bytes),
        Form::Percent => {
            let mut text = String::new();
            for byte in bytes {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                    text.push(char::from(*byte));
                } else {
                    // Writing to a string can't fail.
                    let _ = write!(text, "%{byte:02X}");
                }
            }
            text
        }
    })
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn read_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
            _ => None,
        })
        .collect()
}

fn read_percent(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let [high, low, after @ ..] = after else { return None };
            bytes.push(digit(*high)? * 16 + digit(*low)?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_comes_back_as_it_went() {
        let text = "a b/ä?=%\n";
        for form in [Form::Text, Form::Base64, Form::Base64url, Form::Hex, Form::Percent] {
            let there = convert(text, Form::Text, form).unwrap();
            assert_eq!(convert(&there, form, Form::Text).unwrap(), text, "{form:?}");
        }
        assert_eq!(convert("a b", Form::Text, Form::Percent).unwrap(), "a%20b");
        assert_eq!(convert("fo", Form::Text, Form::Base64).unwrap(), "Zm8=");
        assert_eq!(convert("DE AD", Form::Hex, Form::Hex).unwrap(), "dead");
    }

    #[test]
    fn what_is_not_in_the_form_denied() {
        for (text, form) in [("%2", Form::Percent), ("abc", Form::Hex), ("!!", Form::Base64)] {
            assert!(convert(text, form, Form::Text).is_err(), "{text}");
        }
        assert!(convert("ff", Form::Hex, Form::Text).is_err());
    }
}
