//! Asks a component for its tools, in the real sandbox, granting it nothing but the answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey, PrincipalId};
use astrid_bus::{Bus, BusLimits, SourceId};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, Clock, ComponentSource, Engine, EngineOptions, Entropy,
    EntropyError, Kv, KvStore, Limits, LogLevel, LogSink, Ports, Roots, SecretSource,
};

/// Describing is a matter of milliseconds.
const WITHIN: Duration = Duration::from_secs(20);

/// The text with which a component describes its tools; none when it has no tools.
///
/// `scratch` is an empty folder that the sandbox may fill; the caller removes it.
///
/// # Errors
/// When the component can't be run, or does not answer.
pub fn describe(component: &[u8], scratch: &Path) -> Result<Option<String>, DescribeError> {
    ask(component, scratch).map_err(|error| DescribeError(error.to_string()))
}

/// A component could not be asked for its tools.
#[derive(Debug, thiserror::Error)]
#[error("the component does not describe its tools: {0}")]
pub struct DescribeError(String);

fn ask(component: &[u8], scratch: &Path) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let engine = Engine::new(&EngineOptions::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let digest = Digest::of(component);
    let loaded = engine.load(&ComponentSource { digest, bytes: &|| Ok(component.to_vec()) })?;
    let name: CapsuleName = "described".parse()?;
    let owner = PrincipalId::default_user();
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
        limits: Limits { call: WITHIN, ..Limits::default() },
    };
    let capsule = Capsule::new(spec, loaded, ports(scratch)?);
    Ok(runtime.block_on(capsule.describe(&Caller::kernel(Some(owner), 0)))?)
}

fn ports(scratch: &Path) -> Result<Ports, Box<dyn std::error::Error>> {
    let principals = scratch.join("home");
    std::fs::create_dir(&principals)?;
    Ok(Ports {
        bus: Bus::new(BusLimits::default()),
        kv: Kv::Store(KvStore::open(&scratch.join("state.redb"))?),
        files: Arc::new(Roots::new(None, scratch, &principals)?),
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
