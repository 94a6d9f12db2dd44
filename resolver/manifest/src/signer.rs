//! Who signed something.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::reader::Unknown;
use crate::document::{Context, Node, Table, Value};

/// Who signed something, as far as it was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// Nobody.
    #[default]
    Unsigned,
    /// The holder of a key: `ed25519:` and its base64.
    Key(String),
    /// A workflow of a repository. Its ref is no part of who it is: a policy matches that.
    Ci {
        /// Who attests it.
        issuer: String,
        /// The repository.
        repository: String,
        /// The file of the workflow.
        workflow: String,
    },
    /// A person or machine.
    Identity {
        /// Who attests it.
        issuer: String,
        /// Who it is.
        identity: String,
    },
}

impl Signer {
    /// Says whether nobody signed.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        *self == Self::Unsigned
    }

    /// The fields in the order in which files hold them; empty for unsigned.
    pub(crate) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Unsigned => Vec::new(),
            Self::Key(key) => vec![("key", key)],
            Self::Ci { issuer, repository, workflow } => {
                vec![("issuer", issuer), ("repository", repository), ("workflow", workflow)]
            }
            Self::Identity { issuer, identity } => vec![("issuer", issuer), ("identity", identity)],
        }
    }

    fn from_fields(mut get: impl FnMut(&'static str) -> Option<String>) -> Option<Self> {
        let (key, issuer, identity) = (get("key"), get("issuer"), get("identity"));
        let (repository, workflow) = (get("repository"), get("workflow"));
        match (key, issuer, identity, repository, workflow) {
            (Some(key), None, None, None, None) => Some(Self::Key(key)),
            (None, Some(issuer), None, Some(repository), Some(workflow)) => {
                Some(Self::Ci { issuer, repository, workflow })
            }
            (None, Some(issuer), Some(identity), None, None) => Some(Self::Identity { issuer, identity }),
            _ => None,
        }
    }

    /// Reads `"unsigned"` or one of the tables.
    pub(crate) fn read(context: &Context<'_>, node: Node<'_>) -> Option<Self> {
        let span = node.span.clone();
        let signer = match node.value {
            Value::String(text) if text == "unsigned" => return Some(Self::Unsigned),
            Value::Table(_) => {
                let mut table = Table::new(context, node, "`signer`")?;
                let signer = Self::from_fields(|key| table.string(key));
                table.finish(Unknown::Error);
                signer
            }
            _ => None,
        };
        if signer.is_none() {
            let message =
                "a signer is \"unsigned\", { key }, { issuer, repository, workflow } or { issuer, identity }";
            context.error(&span, "signer", message);
        }
        signer
    }
}

/// For people: `unsigned`, `key …`, `repository workflow (issuer)`, `identity (issuer)`.
impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("unsigned"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Ci { issuer, repository, workflow } => write!(f, "{repository} {workflow} ({issuer})"),
            Self::Identity { issuer, identity } => write!(f, "{identity} ({issuer})"),
        }
    }
}

impl Serialize for Signer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_unsigned() {
            serializer.serialize_str("unsigned")
        } else {
            serializer.collect_map(self.fields())
        }
    }
}

impl<'de> Deserialize<'de> for Signer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Word(String),
            Fields(std::collections::BTreeMap<String, String>),
        }
        let signer = match Form::deserialize(deserializer)? {
            Form::Word(word) if word == "unsigned" => Some(Self::Unsigned),
            Form::Word(_) => None,
            Form::Fields(mut fields) => {
                let signer = Self::from_fields(|key| fields.remove(key));
                signer.filter(|_| fields.is_empty())
            }
        };
        signer.ok_or_else(|| serde::de::Error::custom("not a signer"))
    }
}

impl JsonSchema for Signer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = serde_json::json!({ "type": "string" });
        let object = |keys: &[&str]| {
            let properties: serde_json::Map<_, _> =
                keys.iter().map(|key| ((*key).to_owned(), text.clone())).collect();
            serde_json::json!({
                "type": "object", "properties": properties, "required": keys, "additionalProperties": false
            })
        };
        json_schema!({ "oneOf": [
            { "const": "unsigned" },
            object(&["key"]),
            object(&["issuer", "repository", "workflow"]),
            object(&["issuer", "identity"]),
        ]})
    }
}
