//! The six permissions that a pack discloses.
//!
//! They are declarations for people to read. Nothing enforces them in version 1 of the platform
//! contract: executors and orchestrators run with all the rights of the user.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the six permission ids, in the order in which they are shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PermissionId {
    /// Reads or writes files of the project.
    ProjectFiles,
    /// Opens outbound network connections.
    Network,
    /// Starts child processes.
    Subprocess,
    /// Reads environment variables, secrets among them.
    Environment,
    /// Uses a GPU or other special hardware.
    Accelerator,
    /// Calls paid or third-party services.
    ExternalServices,
}

impl PermissionId {
    /// Every id, in order.
    pub const ALL: [Self; 6] = [
        Self::ProjectFiles,
        Self::Network,
        Self::Subprocess,
        Self::Environment,
        Self::Accelerator,
        Self::ExternalServices,
    ];

    /// The id as manifests write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProjectFiles => "project_files",
            Self::Network => "network",
            Self::Subprocess => "subprocess",
            Self::Environment => "environment",
            Self::Accelerator => "accelerator",
            Self::ExternalServices => "external_services",
        }
    }
}

impl fmt::Display for PermissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the six ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a permission id is one of project_files, network, subprocess, environment, accelerator, external_services"
)]
pub struct UnknownPermission;

impl FromStr for PermissionId {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL.into_iter().find(|id| id.as_str() == text).ok_or(UnknownPermission)
    }
}

/// A permission with the reason that its author gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Which of the six.
    pub id: PermissionId,
    /// Why the pack needs it, in words that a user can judge; never blank.
    pub reason: String,
    /// What kind of access, in free words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// Which services it talks to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}
