//! What a call knows while it runs.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use astrid_authority::PrincipalId;
use tokio::sync::{Semaphore, watch};
use wasmtime::component::ResourceTable;

use crate::caller::Caller;
use crate::engine::LoadedComponent;
use crate::files::{Files, Roots};
use crate::kv::{Kv, KvLimits, Namespace};
use crate::ports::Ports;
use crate::spec::CapsuleSpec;

/// Most resources that one call holds: files, subscriptions and what it waits for.
const MAX_RESOURCES: usize = 1024;
/// Most entries of one table of functions.
const MAX_TABLE: usize = 1 << 16;

/// What all calls of a capsule share.
pub(crate) struct Shared {
    pub(crate) spec: CapsuleSpec,
    pub(crate) loaded: Arc<LoadedComponent>,
    pub(crate) ports: Ports,
    /// One permit for each call at the same time.
    pub(crate) calls: Semaphore,
    pub(crate) subscriptions: AtomicUsize,
    /// For each principal: when its second began, in nanoseconds, and bytes published since.
    pub(crate) published: Mutex<HashMap<PrincipalId, (u64, u64)>>,
    pub(crate) ready: watch::Sender<bool>,
}

/// What a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One event, tool or command.
    Call,
    /// The loop that runs as long as the capsule is loaded.
    Run,
    /// A lifecycle hook; on an upgrade with the version that was installed before.
    Lifecycle { previous: Option<String> },
}

/// Counts the memory of one instance against its limit.
pub(crate) struct Memory {
    pub(crate) limit: usize,
    /// A growth was refused.
    pub(crate) refused: bool,
}

impl wasmtime::ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.limit;
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE)
    }
}

/// The data of a store: one call.
pub(crate) struct CallState {
    pub(crate) capsule: Arc<Shared>,
    pub(crate) caller: Caller,
    pub(crate) mode: Mode,
    pub(crate) kv: Kv,
    pub(crate) files: Arc<Roots>,
    pub(crate) table: ResourceTable,
    pub(crate) memory: Memory,
    /// Files that are open.
    pub(crate) handles: usize,
    /// Ticks of processor time since the guest last waited for an event.
    pub(crate) ticks: u32,
    /// The last line that was logged as an error: what a panic says, if one follows.
    pub(crate) last_error: Option<String>,
}

impl CallState {
    pub(crate) fn new(capsule: Arc<Shared>, caller: Caller, mode: Mode) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            kv: capsule.ports.kv.clone(),
            files: Arc::clone(&capsule.ports.files),
            memory: Memory { limit: capsule.spec.limits.memory, refused: false },
            table,
            handles: 0,
            ticks: 0,
            last_error: None,
            capsule,
            caller,
            mode,
        }
    }

    /// For whom the call acts: the caller's principal, or the owner when the system calls.
    pub(crate) fn principal(&self) -> &PrincipalId {
        self.caller.principal.as_ref().unwrap_or(&self.capsule.spec.owner)
    }

    pub(crate) fn namespace(&self) -> Namespace {
        Namespace::new(self.principal(), &self.capsule.spec.name)
    }

    pub(crate) fn kv_limits(&self) -> KvLimits {
        let limits = &self.capsule.spec.limits;
        KvLimits { value_bytes: limits.value_bytes, total_bytes: limits.store_bytes }
    }

    pub(crate) fn files(&self) -> Files<'_> {
        Files {
            roots: &self.files,
            capabilities: &self.capsule.spec.capabilities,
            principal: self.principal(),
        }
    }
}
