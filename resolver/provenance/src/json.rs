//! JSON from outside: read with limits, and refused when an object has a key twice.
//!
//! Parsers differ in which of two equal keys they take, so that one document could say two things.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// Nothing that is signed here nests deeper.
const DEPTH: usize = 64;
/// A text from outside is shown up to here.
const SHOWN: usize = 200;

/// Reads `bytes`, at most `limit` of them, as one JSON document without doubled keys, and gives its text.
///
/// `noun` names the document in a refusal, with its article.
pub(crate) fn check<'a>(bytes: &'a [u8], limit: usize, noun: &str) -> Result<&'a str> {
    if bytes.len() > limit {
        let length = bytes.len();
        return Err(Error::unreadable(format!("{noun} has at most {limit} bytes, and this has {length}")));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::unreadable(format!("this is no text, so not {noun}: {error}")))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Level(DEPTH)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| Error::unreadable(format!("this is not {noun}: {}", shown(&error.to_string()))))?;
    Ok(text)
}

/// A text from outside as a part of a message: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// A value that is read and forgotten, and how many levels may be below it.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom(format!("it nests deeper than {DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut keys = HashSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            entries.next_value_seed(below)?;
            if let Some(Key(key)) = keys.replace(Key(key)) {
                return Err(A::Error::custom(format!("the key `{key}` stands twice in one object")));
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(PartialEq, Eq, Hash)]
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        reader.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<&str> {
        check(text.as_bytes(), 1_000, "a list")
    }

    #[test]
    fn one_document_is_read() {
        for text in ["{}", " [1, -2, 3.5e7, true, null, \"a\"] ", r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert!(read(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }

    #[test]
    fn doubled_keys_are_denied() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#] {
            assert!(read(text).unwrap_err().message().contains("the key `a` stands twice"), "{text}");
        }
    }

    #[test]
    fn other_documents_are_denied() {
        for text in ["", "{", "{} {}", "{}x", "nul", "[1,]", "\u{feff}{}"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(900)).unwrap_err().message().contains("nests deeper"));
        assert!(read(&format!("{}1{}", "[".repeat(65), "]".repeat(65))).is_err());
        assert!(read(&" ".repeat(1_001)).unwrap_err().message().contains("at most 1000 bytes"));
        assert!(check(b"\xff", 10, "a list").is_err());
    }
}
