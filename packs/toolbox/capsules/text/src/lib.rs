//! Text for an agent: counted, compared, converted, hashed, and looked up in JSON.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod compare;
mod convert;

use astrid_sdk::prelude::*;
use compare::{Count, Difference};
use convert::Form;
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256, Sha512};

const MAX_CONTEXT: usize = 100;

/// Arguments of `count_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountText {
    /// The text to count.
    pub text: String,
}

/// Arguments of `diff_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffText {
    /// The first text.
    pub before: String,
    /// The second text.
    pub after: String,
    /// How many unchanged lines to show around a change. Default: 3.
    pub context: Option<usize>,
}

/// Arguments of `convert_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertText {
    /// What to convert.
    pub text: String,
    /// The form it is in. Default: text.
    pub from: Option<Form>,
    /// The form to convert it to.
    pub to: Form,
}

/// A hash function.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Arguments of `hash_text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashText {
    /// The text to hash, as UTF-8.
    pub text: String,
    /// `sha256` (default) or `sha512`.
    #[serde(default)]
    pub algorithm: Algorithm,
}

/// Arguments of `query_json`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryJson {
    /// A JSON document, as text.
    pub json: String,
    /// A JSON Pointer, for example `/items/0/name`. Default: the whole document.
    #[serde(default)]
    pub pointer: String,
    /// Return only the names of an object's members, or the length of an array. Default: false.
    #[serde(default)]
    pub outline: bool,
}

/// An answer that is one text.
#[derive(Debug, Serialize)]
pub struct Answer {
    text: String,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Text;

/// Compare, encode, hash and count text.
#[capsule]
impl Text {
    /// Count the bytes, characters, words and lines of a text.
    #[astrid::tool("count_text")]
    pub fn count_text(&self, args: CountText) -> Result<Count, Refusal> {
        Ok(compare::count(&args.text))
    }

    /// Compare two texts line by line and return the difference in unified form.
    #[astrid::tool("diff_text")]
    pub fn diff_text(&self, args: DiffText) -> Result<Difference, Refusal> {
        let context = args.context.unwrap_or(3).min(MAX_CONTEXT);
        Ok(compare::difference(&args.before, &args.after, context, ("before", "after")))
    }

    /// Convert between plain text, Base64, URL-safe Base64, hexadecimal and percent-encoding.
    #[astrid::tool("convert_text")]
    pub fn convert_text(&self, args: ConvertText) -> Result<Answer, Refusal> {
        let text = convert::convert(&args.text, args.from.unwrap_or(Form::Text), args.to)?;
        Ok(Answer { text })
    }

    /// Hash a text with SHA-256 or SHA-512, in hexadecimal.
    #[astrid::tool("hash_text")]
    pub fn hash_text(&self, args: HashText) -> Result<Answer, Refusal> {
        let text = match args.algorithm {
            Algorithm::Sha256 => convert::hex(&Sha256::digest(args.text.as_bytes())),
            Algorithm::Sha512 => convert::hex(&Sha512::digest(args.text.as_bytes())),
        };
        Ok(Answer { text })
    }

    /// Take a part out of a JSON document by a JSON Pointer, or show what the part is made of.
    #[astrid::tool("query_json")]
    pub fn query_json(&self, args: QueryJson) -> Result<Value, Refusal> {
        query(&args)
    }
}

fn query(args: &QueryJson) -> Result<Value, Refusal> {
    let document: Value = serde_json::from_str(&args.json)
        .map_err(|error| Refusal::new(format!("`json` is not JSON: {error}")))?;
    let part = document.pointer(&args.pointer).ok_or_else(|| {
        Refusal::new(format!(
            "there is nothing at `{}`; a pointer looks like /items/0/name, and `outline: true` shows what \
             an object holds",
            args.pointer
        ))
    })?;
    if !args.outline {
        return Ok(part.clone());
    }
    Ok(match part {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => Value::from(items.len()),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pointer: &str, outline: bool) -> Result<Value, Refusal> {
        let json = r#"{"items": [{"name": "a"}], "n": 1}"#.to_owned();
        query(&QueryJson { json, pointer: pointer.to_owned(), outline })
    }

    #[test]
    fn a_pointer_takes_a_part_out() {
        assert_eq!(ask("/items/0/name", false).unwrap(), "a");
        assert_eq!(ask("", true).unwrap(), serde_json::json!(["items", "n"]));
        assert_eq!(ask("/items", true).unwrap(), 1);
    }

    #[test]
    fn what_is_not_there_denied() {
        assert!(ask("/items/7", false).unwrap_err().to_string().contains("/items/7"));
        let wrong = QueryJson { json: "{".to_owned(), pointer: String::new(), outline: false };
        assert!(query(&wrong).is_err());
    }

    #[test]
    fn hashes_are_the_known_ones() {
        let text = Text.hash_text(HashText { text: String::new(), algorithm: Algorithm::Sha256 }).unwrap();
        assert!(text.text.starts_with("e3b0c44298fc1c14"));
    }
}
