//! What a capsule is, as far as the host needs to know.

use std::collections::BTreeMap;
use std::time::Duration;

use astrid_authority::{Capabilities, CapsuleName, EnvKey, PrincipalId};
use astrid_bus::SourceId;

/// A configuration value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// The value itself.
    Plain(String),
    /// The name under which [`crate::SecretSource`] has the value.
    Secret(String),
}

/// What a capsule may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// Wall time of one call.
    pub call: Duration,
    /// Wall time of one lifecycle hook.
    pub lifecycle: Duration,
    /// Processor time that a running loop may take between two waits for an event.
    pub run_window: Duration,
    /// Calls at the same time; more wait.
    pub instances: usize,
    /// Subscriptions at the same time, over all instances.
    pub subscriptions: usize,
    /// Bytes published in one second for one principal.
    pub publish_bytes_per_second: u64,
    /// Bytes of one value in the key-value store.
    pub value_bytes: usize,
    /// Bytes of all keys and values of one principal.
    pub store_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            call: Duration::from_mins(5),
            lifecycle: Duration::from_mins(10),
            run_window: Duration::from_secs(15),
            instances: 16,
            subscriptions: 128,
            publish_bytes_per_second: 10 << 20,
            value_bytes: 1 << 20,
            store_bytes: 256 << 20,
        }
    }
}

/// A handler that the manifest declares: reported to the capsule itself, dispatched by the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The pattern.
    pub topic: String,
    /// The action.
    pub action: String,
}

/// What a capsule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapsuleSpec {
    /// Its name in the fleet.
    pub name: CapsuleName,
    /// Its version, for people.
    pub version: String,
    /// Its id on the bus.
    pub source: SourceId,
    /// Who it acts for when nobody calls.
    pub owner: PrincipalId,
    /// What it may do. Every call is checked against it.
    pub capabilities: Capabilities,
    /// Values for `get-config`. A key that is not here has no value.
    pub config: BTreeMap<EnvKey, ConfigValue>,
    /// Its own handlers.
    pub bindings: Vec<Binding>,
    /// What it may use up.
    pub limits: Limits,
}
