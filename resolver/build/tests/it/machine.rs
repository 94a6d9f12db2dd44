//! A small machine for guests: the real sandbox, a workspace in a temporary folder, and as much of a
//! dispatcher as tools need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use astrid_authority::{CapsuleName, Digest, EnvKey, PrincipalId, Topic};
use astrid_build::Project;
use astrid_bus::{Bus, BusLimits, Event, Scope, SourceId};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, Clock, ComponentSource, ConfigValue, Engine,
    EngineOptions, Entropy, EntropyError, Kv, KvStore, Limits, LogLevel, LogSink, Ports, Roots, SecretSource,
};
use serde_json::{Value, json};

/// 2026-03-31T12:30:00Z.
const NOW_MS: u64 = 1_774_960_200_000;

pub(crate) struct Machine {
    root: tempfile::TempDir,
    engine: Engine,
    ports: Ports,
}

struct World;

impl Clock for World {
    fn unix_ms(&self) -> u64 {
        NOW_MS
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(7);
        Ok(())
    }
}

impl SecretSource for World {
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

impl LogSink for World {
    fn log(&self, capsule: &CapsuleName, _: &PrincipalId, level: LogLevel, message: &str) {
        assert!(level < LogLevel::Warn, "{capsule}: {message}");
    }
}

impl CapsuleDirectory for World {
    fn holds(&self, _: SourceId, _: &str) -> Option<bool> {
        Some(false)
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["workspace", "home/homes"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let home = root.path().join("home");
        let files = Roots::new(Some(&root.path().join("workspace")), &home, &home.join("homes")).unwrap();
        let ports = Ports {
            bus: Bus::new(BusLimits::default()),
            kv: Kv::Store(KvStore::open(&home.join("state.redb")).unwrap()),
            files: Arc::new(files),
            clock: Arc::new(World),
            entropy: Arc::new(World),
            secrets: Arc::new(World),
            log: Arc::new(World),
            directory: Arc::new(World),
        };
        Self { root, engine: Engine::new(&EngineOptions::default()).unwrap(), ports }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    /// Loads a capsule of the repository with exactly what its manifest grants.
    pub(crate) fn load(&self, folder: &str) -> Guest {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs");
        let project = Project::read(&root.join(folder)).unwrap();
        let bytes = std::fs::read(project.component_file().unwrap()).unwrap();
        let digest = Digest::of(&bytes);
        let loaded = self.engine.load(&ComponentSource { digest, bytes: &|| Ok(bytes.clone()) }).unwrap();
        let manifest = &project.manifest;
        let config: BTreeMap<EnvKey, ConfigValue> = manifest
            .env
            .iter()
            .filter_map(|(key, declared)| {
                let text = declared.default.as_ref()?.as_str()?.to_owned();
                Some((key.clone(), ConfigValue::Plain(text)))
            })
            .collect();
        let spec = CapsuleSpec {
            version: manifest.package.version.to_string(),
            source: SourceId::of_capsule(&manifest.package.name, &digest),
            name: manifest.package.name.clone(),
            owner: PrincipalId::default_user(),
            capabilities: manifest.capabilities(),
            config,
            bindings: Vec::new(),
            limits: Limits::default(),
        };
        Guest { capsule: Capsule::new(spec, loaded, self.ports.clone()), bus: self.ports.bus.clone() }
    }
}

pub(crate) struct Guest {
    pub(crate) capsule: Capsule,
    bus: Bus,
}

impl Guest {
    /// Calls a tool as a router does, and waits for its result on the bus: the answer, or its error.
    pub(crate) async fn tool(&self, name: &str, arguments: Value) -> Result<Value, String> {
        self.tool_as("ann", name, arguments).await
    }

    pub(crate) async fn tool_as(&self, who: &str, name: &str, arguments: Value) -> Result<Value, String> {
        let pattern = format!("tool.v1.execute.{name}.result").parse().unwrap();
        let results = self.bus.subscribe(pattern, Scope::All);
        let call = json!({ "call_id": "c1", "tool_name": name, "arguments": arguments });
        let caller = Caller::kernel(Some(who.parse().unwrap()), NOW_MS);
        self.capsule
            .invoke(&caller, &format!("tool_execute_{name}"), call.to_string().as_bytes())
            .await
            .unwrap();
        let batch = results.poll(1);
        let result: Value = serde_json::from_str(&batch.events[0].payload).unwrap();
        assert_eq!(result["call_id"], "c1");
        let content = result["result"]["content"].as_str().unwrap().to_owned();
        if result["result"]["is_error"] == json!(true) {
            return Err(content);
        }
        Ok(serde_json::from_str(&content).unwrap())
    }

    /// Hands the next event on `topic` to the handler `action`, as the kernel does.
    pub(crate) async fn serve_one(&self, topic: &str, action: &str) {
        let topic: Topic = topic.parse().unwrap();
        let requests = self.bus.subscribe(topic.as_str().parse().unwrap(), Scope::All);
        let batch = requests.recv(1, Duration::from_secs(30)).await;
        let event: &Event = &batch.events[0];
        let caller = Caller::of_event(event, NOW_MS);
        self.capsule.invoke(&caller, action, event.payload.as_bytes()).await.unwrap();
    }
}
