//! What the kernel says about itself. Computed from what is observed, never from what was asked.

use std::collections::BTreeMap;

use astrid_authority::{CapsuleName, Digest};
use serde::{Deserialize, Serialize};

use crate::health::Health;

/// The version of [`Status`] and [`CapsuleStatus`]; fields are only ever added.
pub const FORMAT_VERSION: u32 = 1;

/// The state of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its process.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// The version of the platform that capsules are matched with.
    pub platform: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// The folder of work that capsules see; none when they see no files.
    pub workspace: Option<String>,
    /// Every capsule was brought up, or given up.
    pub ready: bool,
    /// How the fleet is doing.
    pub health: Health,
    /// What runs; none when nothing was applied yet.
    pub generation: Option<GenerationStatus>,
    /// Why the fleet could not be brought up at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Connected clients, this one included.
    pub connections: usize,
    /// Connected clients by principal.
    #[serde(default)]
    pub connections_by_principal: BTreeMap<String, usize>,
    /// The capsules, by name.
    pub capsules: Vec<CapsuleStatus>,
    /// Bytes of memory that the process holds; none where the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

/// Which generation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

/// What a capsule is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapsuleState {
    /// It has no component: nothing of it runs.
    Static,
    /// It answers calls.
    Loaded,
    /// Its loop runs, but has not said that it is ready.
    Starting,
    /// Its loop runs.
    Running,
    /// Its loop returned.
    Finished,
    /// It waits before it is tried again.
    Waiting,
    /// It could not be loaded, or was given up.
    Failed,
}

/// The state of one capsule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapsuleStatus {
    /// Its name.
    pub name: CapsuleName,
    /// Its version.
    pub version: String,
    /// The digest of everything it holds.
    pub content: Digest,
    /// What it is doing.
    pub state: CapsuleState,
    /// How it is doing.
    pub health: Health,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Calls that it answered or crashed in.
    pub invocations: u64,
    /// Calls that run now.
    pub active: u64,
    /// How often a crash cost it an instance, and a fresh one took its place.
    pub restarts: u64,
    /// Names of its tools.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Handlers that events may reach.
    pub handlers: usize,
}

/// What a tool says about itself, with the capsule that offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolStatus {
    /// The capsule.
    pub capsule: CapsuleName,
    /// What it is called with.
    pub name: String,
    /// What it does, in the capsule author's words.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments.
    #[serde(default)]
    pub input_schema: serde_json::Value,
}

/// What a change to another generation did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converged {
    /// The generation that runs now.
    pub generation: u64,
    /// Capsules that were not there before.
    pub loaded: Vec<CapsuleName>,
    /// Capsules that were replaced by another version, configuration or authority.
    pub replaced: Vec<CapsuleName>,
    /// Capsules that went on as they were.
    pub kept: Vec<CapsuleName>,
    /// Capsules that are gone.
    pub unloaded: Vec<CapsuleName>,
    /// Capsules that could not be brought up, with the reason.
    pub failed: BTreeMap<CapsuleName, String>,
}
