//! One thing that may be done.

use std::fmt;
use std::str::FromStr;

use crate::name::EnvKey;
use crate::permission::PermissionId;
use crate::scope::{AddressRule, BindRule, CommandRule, Covers, HostRule, IdentityLevel, PathScope};
use crate::topic::TopicPattern;

macro_rules! grants {
    ($( $(#[$doc:meta])* $variant:ident $(($scope:ty))? = $text:literal, )*) => {
        /// One thing that may be done, with what it covers.
        ///
        /// Its text is `kind` or `kind:scope`, and is what digests and plans hold.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Grant {
            $( $(#[$doc])* $variant $(($scope))?, )*
        }

        /// The kind of a [`Grant`], without what it covers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum GrantKind {
            $( $(#[$doc])* $variant, )*
        }

        impl GrantKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The kind as policies and plans write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

grants! {
    /// Publish on topics of the bus.
    Publish(TopicPattern) = "publish",
    /// Receive topics of the bus.
    Subscribe(TopicPattern) = "subscribe",
    /// Read files.
    FsRead(PathScope) = "fs_read",
    /// Create, change and delete files.
    FsWrite(PathScope) = "fs_write",
    /// Send HTTP requests.
    Net(HostRule) = "net",
    /// Open connections to addresses.
    NetConnect(AddressRule) = "net_connect",
    /// Listen on addresses.
    NetBind(BindRule) = "net_bind",
    /// Start processes.
    HostProcess(CommandRule) = "host_process",
    /// Start processes that outlive the instance.
    AllowPersistent = "allow_persistent",
    /// Look up, link or create identities.
    Identity(IdentityLevel) = "identity",
    /// Speak for outside users.
    Uplink = "uplink",
    /// Put text into the prompts of models.
    AllowPromptInjection = "allow_prompt_injection",
    /// Read a configuration value.
    Env(EnvKey) = "env",
    /// Read a secret.
    Secret(EnvKey) = "secret",
    /// A permission that a pack discloses. It is not enforced.
    Permission(PermissionId) = "permission",
}

impl Grant {
    /// The kind of it.
    #[must_use]
    pub fn kind(&self) -> GrantKind {
        match self {
            Self::Publish(_) => GrantKind::Publish,
            Self::Subscribe(_) => GrantKind::Subscribe,
            Self::FsRead(_) => GrantKind::FsRead,
            Self::FsWrite(_) => GrantKind::FsWrite,
            Self::Net(_) => GrantKind::Net,
            Self::NetConnect(_) => GrantKind::NetConnect,
            Self::NetBind(_) => GrantKind::NetBind,
            Self::HostProcess(_) => GrantKind::HostProcess,
            Self::AllowPersistent => GrantKind::AllowPersistent,
            Self::Identity(_) => GrantKind::Identity,
            Self::Uplink => GrantKind::Uplink,
            Self::AllowPromptInjection => GrantKind::AllowPromptInjection,
            Self::Env(_) => GrantKind::Env,
            Self::Secret(_) => GrantKind::Secret,
            Self::Permission(_) => GrantKind::Permission,
        }
    }

    /// What it covers, as text; empty for grants that are all or nothing.
    #[must_use]
    pub fn scope_text(&self) -> String {
        match self {
            Self::Publish(pattern) | Self::Subscribe(pattern) => pattern.to_string(),
            Self::FsRead(scope) | Self::FsWrite(scope) => scope.to_string(),
            Self::Net(host) => host.to_string(),
            Self::NetConnect(address) => address.to_string(),
            Self::NetBind(rule) => rule.to_string(),
            Self::HostProcess(command) => command.to_string(),
            Self::Identity(level) => level.to_string(),
            Self::Env(key) | Self::Secret(key) => key.to_string(),
            Self::Permission(id) => id.to_string(),
            Self::AllowPersistent | Self::Uplink | Self::AllowPromptInjection => String::new(),
        }
    }

    /// A pattern with `*` of every text that the scope reaches, for comparing with deny rules.
    ///
    /// It may say too much, never too little.
    #[must_use]
    pub fn reach(&self) -> String {
        match self {
            Self::FsRead(_) | Self::FsWrite(_) | Self::HostProcess(_) => format!("{}*", self.scope_text()),
            Self::Identity(_) => "*".to_owned(),
            _ => self.scope_text(),
        }
    }

    /// Says whether holding this grant is as good as holding `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Publish(own), Self::Publish(other)) | (Self::Subscribe(own), Self::Subscribe(other)) => {
                Covers::covers(own, other)
            }
            (Self::FsRead(own), Self::FsRead(other)) | (Self::FsWrite(own), Self::FsWrite(other)) => {
                Covers::covers(own, other)
            }
            (Self::Net(own), Self::Net(other)) => Covers::covers(own, other),
            (Self::NetConnect(own), Self::NetConnect(other)) => Covers::covers(own, other),
            (Self::NetBind(own), Self::NetBind(other)) => Covers::covers(own, other),
            (Self::HostProcess(own), Self::HostProcess(other)) => Covers::covers(own, other),
            (Self::Identity(own), Self::Identity(other)) => Covers::covers(own, other),
            (own, other) => own == other,
        }
    }
}

impl fmt::Display for GrantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope_text();
        if scope.is_empty() { write!(f, "{}", self.kind()) } else { write!(f, "{}:{scope}", self.kind()) }
    }
}

/// The text is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a grant: {1}")]
pub struct GrantError(String, String);

impl FromStr for GrantKind {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| GrantError(text.to_owned(), "unknown kind".to_owned()))
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let fail = |why: &dyn fmt::Display| GrantError(text.to_owned(), why.to_string());
        let (kind, scope) = text.split_once(':').unwrap_or((text, ""));
        let kind: GrantKind = kind.parse()?;
        let bare = |grant: Self| if text.contains(':') { Err(fail(&"it takes no scope")) } else { Ok(grant) };
        match kind {
            GrantKind::Publish => scope.parse().map(Self::Publish).map_err(|error| fail(&error)),
            GrantKind::Subscribe => scope.parse().map(Self::Subscribe).map_err(|error| fail(&error)),
            GrantKind::FsRead => scope.parse().map(Self::FsRead).map_err(|error| fail(&error)),
            GrantKind::FsWrite => scope.parse().map(Self::FsWrite).map_err(|error| fail(&error)),
            GrantKind::Net => scope.parse().map(Self::Net).map_err(|error| fail(&error)),
            GrantKind::NetConnect => scope.parse().map(Self::NetConnect).map_err(|error| fail(&error)),
            GrantKind::NetBind => scope.parse().map(Self::NetBind).map_err(|error| fail(&error)),
            GrantKind::HostProcess => scope.parse().map(Self::HostProcess).map_err(|error| fail(&error)),
            GrantKind::Identity => scope.parse().map(Self::Identity).map_err(|error| fail(&error)),
            GrantKind::Env => scope.parse().map(Self::Env).map_err(|error| fail(&error)),
            GrantKind::Secret => scope.parse().map(Self::Secret).map_err(|error| fail(&error)),
            GrantKind::Permission => scope.parse().map(Self::Permission).map_err(|error| fail(&error)),
            GrantKind::AllowPersistent => bare(Self::AllowPersistent),
            GrantKind::Uplink => bare(Self::Uplink),
            GrantKind::AllowPromptInjection => bare(Self::AllowPromptInjection),
        }
    }
}

impl serde::Serialize for Grant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Grant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
