//! Asks a component for its tools, in the real sandbox, granting it nothing but the answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey, PrincipalId};
use astrid_build::tools::{Describe, DescribeError};
use astrid_bus::{Bus, BusLimits, SourceId};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, Clock, ComponentSource, Engine, EngineOptions, Entropy,
    EntropyError, Kv, KvStore, Limits, LogLevel, LogSink, Ports, Roots, SecretSource,
};

/// Describing is a matter of milliseconds.
const TIME: Duration = Duration::from_secs(20);

/// Runs components to hear what their tools are.
pub(crate) struct Describer {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Describer {
    /// Starts an engine.
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let engine = Engine::new(&EngineOptions::default())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { engine, runtime })
    }

    fn ask(&self, component: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error>> {
        let digest = Digest::of(component);
        let loaded = self.engine.load(&ComponentSource { digest, bytes: &|| Ok(component.to_vec()) })?;
        let folder = tempfile::tempdir()?;
        let name: CapsuleName = "described".parse()?;
        let owner: PrincipalId = "default".parse()?;
        let spec = CapsuleSpec {
            version: "0.0.0".to_owned(),
            source: SourceId::of_capsule(&name, &digest),
            name,
            owner: owner.clone(),
            capabilities: Capabilities {
                publish: ["tool.v1.response.describe.*".parse()?].into(),
                ..Capabilities::default()
            },
            config: BTreeMap::new(),
            bindings: Vec::new(),
            limits: Limits { call: TIME, ..Limits::default() },
        };
        let capsule = Capsule::new(spec, loaded, ports(folder.path())?);
        Ok(self.runtime.block_on(capsule.describe(&Caller::kernel(Some(owner), 0)))?)
    }
}

impl Describe for Describer {
    fn describe(&self, component: &[u8]) -> Result<Option<String>, DescribeError> {
        self.ask(component).map_err(|error| DescribeError(error.to_string()))
    }
}

fn ports(folder: &Path) -> Result<Ports, Box<dyn std::error::Error>> {
    let home = folder.join("home");
    std::fs::create_dir(&home)?;
    Ok(Ports {
        bus: Bus::new(BusLimits::default()),
        kv: Kv::Store(KvStore::open(&folder.join("state.redb"))?),
        files: Arc::new(Roots::new(None, folder, &home)?),
        clock: Arc::new(Nothing),
        entropy: Arc::new(Nothing),
        secrets: Arc::new(Nothing),
        log: Arc::new(Nothing),
        directory: Arc::new(Nothing),
    })
}

/// A world in which nothing happens: descriptions must not depend on it.
struct Nothing;

impl Clock for Nothing {
    fn unix_ms(&self) -> u64 {
        0
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

impl Entropy for Nothing {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(0);
        Ok(())
    }
}

impl SecretSource for Nothing {
    fn secret(
        &self,
        _: &CapsuleName,
        _: &PrincipalId,
        _: &EnvKey,
        _: &str,
    ) -> Option<zeroize::Zeroizing<String>> {
        None
    }
}

impl LogSink for Nothing {
    fn log(&self, _: &CapsuleName, _: &PrincipalId, _: LogLevel, _: &str) {}
}

impl CapsuleDirectory for Nothing {
    fn holds(&self, _: SourceId, _: &str) -> Option<bool> {
        Some(false)
    }
}
