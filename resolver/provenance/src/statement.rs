//! In-toto statements: which bytes something is said about.
//!
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>; version 0.1 is read too.

use std::sync::OnceLock;

use astrid_authority::Digest;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};

/// The type of a version 1 statement.
pub const TYPE_V1: &str = "https://in-toto.io/Statement/v1";
/// The type of a version 0.1 statement.
const TYPE_V0_1: &str = "https://in-toto.io/Statement/v0.1";
/// The media type of a statement in an envelope.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// What the types of our own predicates begin with.
const OWN_PREDICATES: &str = "https://github.com/unicity-astrid/astrid/attestations/";

/// The type of a predicate of ours: `artifact`, `distro`, `bundle`, `apply` or `endorsement`.
#[must_use]
pub fn predicate(name: &str) -> String {
    format!("{OWN_PREDICATES}{name}/v1")
}

/// The name of a predicate of ours; nothing for what others say.
#[must_use]
pub fn own_predicate(kind: &str) -> Option<&str> {
    kind.strip_prefix(OWN_PREDICATES)
}

/// A statement has at most so many bytes: those about a whole fleet name tens of thousands of files.
pub const MAX_BYTES: usize = 16 << 20;
/// The type of a predicate, and the builder that it names, have at most so many bytes: they go into locks and messages.
pub(crate) const MAX_NAME: usize = 1024;
/// A statement names at most so many subjects.
pub const MAX_SUBJECTS: usize = 65_536;

/// The digests by which some bytes are known: ours, and those that the Sigstore ecosystem uses.
///
/// Each is computed when it is first asked for.
#[derive(Debug, Clone)]
pub struct Digests<'a> {
    bytes: &'a [u8],
    blake3: OnceLock<Digest>,
    sha256: OnceLock<[u8; 32]>,
    sha384: OnceLock<[u8; 48]>,
    sha512: OnceLock<[u8; 64]>,
}

impl<'a> Digests<'a> {
    /// The digests of `bytes`.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            blake3: OnceLock::new(),
            sha256: OnceLock::new(),
            sha384: OnceLock::new(),
            sha512: OnceLock::new(),
        }
    }

    /// The digests that `subject` names, of bytes that are not here.
    #[cfg(test)]
    pub(crate) fn claimed(subject: &Subject) -> Self {
        fn get<const N: usize>(subject: &Subject, algorithm: &str) -> OnceLock<[u8; N]> {
            let digest = subject.digest.get(algorithm).and_then(|digest| hex::decode(digest).ok());
            digest
                .and_then(|digest| <[u8; N]>::try_from(digest).ok())
                .map_or_else(OnceLock::new, OnceLock::from)
        }
        Self { sha256: get(subject, "sha256"), sha512: get(subject, "sha512"), ..Self::of(b"") }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// BLAKE3.
    #[must_use]
    pub fn blake3(&self) -> &Digest {
        self.blake3.get_or_init(|| Digest::of(self.bytes))
    }

    /// SHA-256.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        self.sha256.get_or_init(|| sha2::Sha256::digest(self.bytes).into())
    }

    /// SHA-384.
    #[must_use]
    pub fn sha384(&self) -> &[u8; 48] {
        self.sha384.get_or_init(|| sha2::Sha384::digest(self.bytes).into())
    }

    /// SHA-512: npm's statements name nothing else.
    #[must_use]
    pub fn sha512(&self) -> &[u8; 64] {
        self.sha512.get_or_init(|| sha2::Sha512::digest(self.bytes).into())
    }
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Its digests by algorithm, as lower-case hexadecimal digits.
    pub digest: std::collections::BTreeMap<String, String>,
}

impl Subject {
    /// The subject `name` with the digests of `bytes`.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Self {
        let digest = [
            ("blake3".to_owned(), hex::encode(Digest::of(bytes).as_bytes())),
            ("sha256".to_owned(), hex::encode(sha2::Sha256::digest(bytes))),
        ];
        Self { name: name.to_owned(), digest: digest.into() }
    }

    /// Says whether every digest that is known here names `bytes`, and at least one strong one does.
    #[must_use]
    pub fn names(&self, bytes: &Digests<'_>) -> bool {
        let mut any = false;
        for (algorithm, digest) in &self.digest {
            let same = match algorithm.as_str() {
                "blake3" => is_hex_of(digest, bytes.blake3().as_bytes()),
                "sha256" => is_hex_of(digest, bytes.sha256()),
                "sha384" => is_hex_of(digest, bytes.sha384()),
                "sha512" => is_hex_of(digest, bytes.sha512()),
                _ => continue,
            };
            if !same {
                return false;
            }
            any = true;
        }
        any
    }
}

/// Says whether `text` is `digest` in hexadecimal digits.
fn is_hex_of(text: &str, digest: &[u8]) -> bool {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16));
    text.len() == digest.len() * 2
        && text.chars().map(|c| Some(c.to_ascii_lowercase())).eq(digest.iter().flat_map(digits))
}

/// A statement: a predicate about subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Which version of the form it has.
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// Which kind of thing is said.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    #[serde(default)]
    pub predicate: serde_json::Value,
}

impl Statement {
    /// A version 1 statement.
    #[must_use]
    pub fn new(subject: Vec<Subject>, predicate_type: &str, predicate: serde_json::Value) -> Self {
        Self { kind: TYPE_V1.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate }
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// `Unreadable` when it is no statement of a known version, or one with too many subjects.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let statement: Self = serde_json::from_slice(payload)
            .map_err(|error| Error::unreadable(format!("the payload is no in-toto statement: {error}")))?;
        if ![TYPE_V1, TYPE_V0_1].contains(&statement.kind.as_str()) {
            return Err(Error::unreadable(format!(
                "the statement has the type `{}`, which is not known here",
                statement.kind.escape_debug()
            )));
        }
        let kind = &statement.predicate_type;
        if kind.is_empty() || kind.len() > MAX_NAME || kind.contains(char::is_control) {
            return Err(Error::unreadable("the statement has no type of predicate that can be shown"));
        }
        if statement.subject.is_empty() || statement.subject.len() > MAX_SUBJECTS {
            return Err(Error::unreadable(format!(
                "a statement has between 1 and {MAX_SUBJECTS} subjects, and this one has {}",
                statement.subject.len()
            )));
        }
        Ok(statement)
    }

    /// The canonical text: keys sorted, no white space.
    ///
    /// # Errors
    /// Never for statements that were parsed or made here.
    pub fn to_canonical_json(&self) -> Result<Vec<u8>> {
        // A map of `serde_json` is sorted, so going through a value sorts every level.
        let value = serde_json::to_value(self);
        value
            .and_then(|value| serde_json::to_vec(&value))
            .map_err(|error| Error::unreadable(format!("the statement can't be written: {error}")))
    }

    /// Says whether it is about these bytes.
    #[must_use]
    pub fn is_about(&self, bytes: &Digests<'_>) -> bool {
        self.subject.iter().any(|subject| subject.names(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_about_its_subjects_only() {
        let statement =
            Statement::new(vec![Subject::of("a", b"a")], "https://example.org/p/v1", serde_json::json!({}));
        let again = Statement::parse(&statement.to_canonical_json().unwrap()).unwrap();
        assert_eq!(again, statement);
        assert!(again.is_about(&Digests::of(b"a")));
        assert!(!again.is_about(&Digests::of(b"b")));
    }

    #[test]
    fn a_subject_whose_digests_disagree_names_nothing_denied() {
        let mut subject = Subject::of("a", b"a");
        subject.digest.insert("sha256".to_owned(), hex::encode(Digests::of(b"b").sha256()));
        assert!(!subject.names(&Digests::of(b"a")) && !subject.names(&Digests::of(b"b")));
        subject.digest = [("md5".to_owned(), "00".to_owned())].into();
        assert!(!subject.names(&Digests::of(b"a")));
    }

    #[test]
    fn a_type_that_is_no_name_is_denied() {
        let of = |length: usize| {
            Statement::new(vec![Subject::of("a", b"a")], &"p".repeat(length), serde_json::json!({}))
        };
        assert!(Statement::parse(&of(1024).to_canonical_json().unwrap()).is_ok());
        assert!(Statement::parse(&of(1025).to_canonical_json().unwrap()).is_err());
    }

    #[test]
    fn other_payloads_are_denied() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"_type":"https://in-toto.io/Statement/v2","subject":[{"name":"a","digest":{}}],"predicateType":"p"}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"p"}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{}}],"predicateType":""}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{}}],"predicateType":"a\nb"}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a"}],"predicateType":"p"}"#,
        ] {
            assert!(Statement::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
