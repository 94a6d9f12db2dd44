//! In-toto statements: which bytes something is said about.
//!
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>; version 0.1 is read too.

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
/// A statement names at most so many subjects.
pub const MAX_SUBJECTS: usize = 65_536;

/// The digests by which some bytes are known: ours, and those that the Sigstore ecosystem uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// BLAKE3.
    pub blake3: Digest,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// SHA-512: npm's statements name nothing else.
    pub sha512: [u8; 64],
}

impl Digests {
    /// The digests of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            blake3: Digest::of(bytes),
            sha256: sha2::Sha256::digest(bytes).into(),
            sha512: sha2::Sha512::digest(bytes).into(),
        }
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
    pub fn names(&self, bytes: &Digests) -> bool {
        let known = [
            ("blake3", hex::encode(bytes.blake3.as_bytes())),
            ("sha256", hex::encode(bytes.sha256)),
            ("sha512", hex::encode(bytes.sha512)),
        ];
        let mut any = false;
        for (algorithm, digest) in known {
            match self.digest.get(algorithm) {
                Some(own) if own.eq_ignore_ascii_case(&digest) => any = true,
                Some(_) => return false,
                None => {}
            }
        }
        any
    }
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
    pub fn is_about(&self, bytes: &Digests) -> bool {
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
        subject.digest.insert("sha256".to_owned(), hex::encode(Digests::of(b"b").sha256));
        assert!(!subject.names(&Digests::of(b"a")) && !subject.names(&Digests::of(b"b")));
        subject.digest = [("md5".to_owned(), "00".to_owned())].into();
        assert!(!subject.names(&Digests::of(b"a")));
    }

    #[test]
    fn other_payloads_are_denied() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"_type":"https://in-toto.io/Statement/v2","subject":[{"name":"a","digest":{}}],"predicateType":"p"}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"p"}"#,
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a"}],"predicateType":"p"}"#,
        ] {
            assert!(Statement::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
