//! Names that can't hold a bad value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: expected {rule}")]
pub struct NameError {
    kind: &'static str,
    rule: &'static str,
    text: String,
}

impl NameError {
    /// The rule that the text breaks, in words.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

/// A name longer than this is refused whatever its kind: it becomes a file name.
const MAX_NAME_BYTES: usize = 128;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $pattern:literal, $rule:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let accepts: fn(&str) -> bool = $accepts;
                if text.len() <= MAX_NAME_BYTES && accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let text = text.chars().take(64).collect::<String>().escape_debug().to_string();
                    Err(NameError { kind: $kind, rule: $rule, text })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "maxLength": 128 })
            }
        }
    };
}

fn starts_lower(text: &str, rest: fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase()) && bytes.all(rest)
}

fn kebab(text: &str) -> bool {
    starts_lower(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn snake(text: &str) -> bool {
    starts_lower(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

name! {
    /// The name of a capsule in a distro and in its own manifest.
    CapsuleName, "capsule name", "^[a-z][a-z0-9-]*$",
    "a lowercase letter, then lowercase letters, digits and `-`", kebab
}

name! {
    /// The id of a distro.
    DistroId, "distro id", "^[a-z][a-z0-9-]*$",
    "a lowercase letter, then lowercase letters, digits and `-`", kebab
}

name! {
    /// The id of a pack.
    PackId, "pack id", "^[a-z][a-z0-9_]*$",
    "a lowercase letter, then lowercase letters, digits and `_`",
    snake
}

name! {
    /// The key of a configuration value that a capsule declares under `[env]`.
    EnvKey, "environment key", "^[A-Za-z_][A-Za-z0-9_.-]*$",
    "a letter or `_`, then letters, digits, `_`, `.` and `-`",
    |text| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    }
}

name! {
    /// The id of an executor or orchestrator: the id of its pack, a dot, and its own name.
    ActionId, "component id", "^[a-z][a-z0-9_]*\\.[a-z][a-z0-9_]*$",
    "`pack.name`, both a lowercase letter, then lowercase letters, digits and `_`",
    |text| text.split_once('.').is_some_and(|(pack, name)| snake(pack) && snake(name))
}

impl ActionId {
    /// The id of the pack that it belongs to.
    pub fn pack(&self) -> &str {
        self.0.split_once('.').map_or("", |(pack, _)| pack)
    }

    /// Its name within the pack.
    pub fn local(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, name)| name)
    }
}

name! {
    /// An identity that capsules are invoked for: 1 to 64 letters, digits, `_` and `-`.
    PrincipalId, "principal id", "^[A-Za-z0-9_-]{1,64}$",
    "1 to 64 letters, digits, `_` and `-`",
    |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    }
}

name! {
    /// An interface that capsules import and export, written `namespace:interface`.
    InterfaceId, "interface id", "^[a-z][a-z0-9-]*:[a-z][a-z0-9-]*$",
    "`namespace:interface`, both a lowercase letter, then lowercase letters, digits and `-`",
    |text| text.split_once(':').is_some_and(|(namespace, interface)| kebab(namespace) && kebab(interface))
}

impl PrincipalId {
    /// The principal of the person who owns the home.
    #[must_use]
    pub fn default_user() -> Self {
        Self("default".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_accept_their_own() {
        assert!("fs".parse::<CapsuleName>().is_ok());
        assert!("media_tools".parse::<PackId>().is_ok());
        let id: ActionId = "media_tools.cut_2".parse().unwrap();
        assert_eq!((id.pack(), id.local()), ("media_tools", "cut_2"));
        assert!("astrid:session".parse::<InterfaceId>().is_ok());
        assert!("OPENAI_API_KEY".parse::<EnvKey>().is_ok());
        assert!("ci-bot".parse::<PrincipalId>().is_ok());
    }

    #[test]
    fn others_are_refused_denied() {
        for text in ["", "Fs", "1fs", "a_b", "a/../b", "fs\n"] {
            assert!(text.parse::<CapsuleName>().is_err(), "{text:?}");
        }
        assert!("a-b".parse::<PackId>().is_err());
        for text in ["a", "a.", ".b", "a.b.c", "A.b", "a.b-c", "a .b"] {
            assert!(text.parse::<ActionId>().is_err(), "{text:?}");
        }
        for text in ["session", ":x", "a:", "Astrid:session", "a:b:c"] {
            assert!(text.parse::<InterfaceId>().is_err(), "{text:?}");
        }
        assert!("x".repeat(65).parse::<PrincipalId>().is_err());
        assert!("a:b".parse::<EnvKey>().is_err());
    }
}
