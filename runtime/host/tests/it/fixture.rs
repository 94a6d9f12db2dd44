//! A home, a workspace and the probe: a capsule that does what a test tells it to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey, PrincipalId};
use astrid_bus::{Bus, BusLimits, SourceId};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, Clock, ComponentSource, ConfigValue, Engine,
    EngineOptions, Entropy, EntropyError, HookResult, HostError, Kv, KvStore, Limits, LoadedComponent,
    LogLevel, LogSink, Ports, Roots, SecretSource,
};
use serde_json::{Value, json};

/// 2026-11-20T12:00:00Z
pub(crate) const NOW_MS: u64 = 1_795_176_000_000;

struct FixedClock;

impl Clock for FixedClock {
    fn unix_ms(&self) -> u64 {
        NOW_MS
    }

    fn monotonic_ns(&self) -> u64 {
        7
    }
}

struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for (byte, at) in bytes.iter_mut().zip((0_u8..=127).cycle()) {
            *byte = at;
        }
        Ok(())
    }
}

struct OneSecret;

impl SecretSource for OneSecret {
    fn secret(
        &self,
        capsule: &CapsuleName,
        principal: &PrincipalId,
        key: &EnvKey,
        reference: &str,
    ) -> Option<zeroize::Zeroizing<String>> {
        Some(zeroize::Zeroizing::new(format!("{capsule}/{principal}/{key}/{reference}")))
    }
}

/// Log lines, as they came.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<(String, LogLevel, String)>>);

impl LogSink for Lines {
    fn log(&self, _: &CapsuleName, principal: &PrincipalId, level: LogLevel, message: &str) {
        self.0.lock().unwrap().push((principal.to_string(), level, message.to_owned()));
    }
}

struct OnlyKernelInjects;

impl CapsuleDirectory for OnlyKernelInjects {
    fn holds(&self, source: SourceId, capability: &str) -> Option<bool> {
        Some(source.is_kernel() && capability == "allow_prompt_injection")
    }
}

pub(crate) struct Fixture {
    root: tempfile::TempDir,
    pub(crate) ports: Ports,
    pub(crate) lines: Arc<Lines>,
    pub(crate) store: KvStore,
}

pub(crate) fn component_path(name: &str) -> PathBuf {
    let file = format!("{}.wasm", name.replace('-', "_"));
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs/probe/capsules").join(name).join(file)
}

pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(&EngineOptions { calls: 32, loops: 4, ..EngineOptions::default() }).unwrap()
    })
}

pub(crate) fn load(bytes: Vec<u8>) -> Result<Arc<LoadedComponent>, HostError> {
    engine().load(&ComponentSource { digest: Digest::of(&bytes), bytes: &|| Ok(bytes.clone()) })
}

fn probe(name: &'static str) -> Arc<LoadedComponent> {
    static LOADED: OnceLock<Mutex<BTreeMap<&'static str, Arc<LoadedComponent>>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap();
    let component =
        loaded.entry(name).or_insert_with(|| load(std::fs::read(component_path(name)).unwrap()).unwrap());
    Arc::clone(component)
}

/// What the probe's own manifest grants.
pub(crate) fn probe_capabilities() -> Capabilities {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let scopes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Capabilities {
        publish: patterns(&["probe.v1.out.*", "probe.v1.loop.response.*", "tool.v1.response.describe.*"]),
        subscribe: patterns(&["probe.v1.in.*", "probe.v1.reply.*", "probe.v1.loop.request"]),
        fs_read: scopes(&["cwd://allowed", "cwd://readonly", "home://notes"]),
        fs_write: scopes(&["cwd://allowed", "home://notes"]),
        secrets: ["TOKEN".parse().unwrap()].into(),
        ..Capabilities::default()
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["w/allowed", "w/readonly", "w/forbidden", "h/home/ann/notes", "h/home/bob/notes"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["w/allowed/a", "w/readonly/a", "w/forbidden/a"] {
            std::fs::write(root.path().join(file), file).unwrap();
        }
        let store = KvStore::open(&root.path().join("h/state.redb")).unwrap();
        let home = root.path().join("h");
        let roots = Roots::new(Some(&root.path().join("w")), &home, &home.join("home")).unwrap();
        let lines = Arc::new(Lines::default());
        let ports = Ports {
            bus: Bus::new(BusLimits::default()),
            kv: Kv::Store(store.clone()),
            files: Arc::new(roots),
            clock: Arc::new(FixedClock),
            entropy: Arc::new(Counting),
            secrets: Arc::new(OneSecret),
            log: lines.clone(),
            directory: Arc::new(OnlyKernelInjects),
        };
        Self { root, ports, lines, store }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn spec() -> CapsuleSpec {
        let name: CapsuleName = "probe".parse().unwrap();
        let plain = |text: &str| ConfigValue::Plain(text.to_owned());
        let secret = || ConfigValue::Secret("ref".to_owned());
        CapsuleSpec {
            version: "0.1.0".to_owned(),
            source: SourceId::of_capsule(&name, &Digest::of(b"probe")),
            name,
            owner: "ann".parse().unwrap(),
            capabilities: probe_capabilities(),
            config: BTreeMap::from([
                ("GREETING".parse().unwrap(), plain("hello")),
                ("TOKEN".parse().unwrap(), secret()),
                ("OTHER_TOKEN".parse().unwrap(), secret()),
            ]),
            bindings: Vec::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn capsule_with(
        &self,
        component: &'static str,
        change: impl FnOnce(&mut CapsuleSpec),
    ) -> Capsule {
        let mut spec = Self::spec();
        change(&mut spec);
        Capsule::new(spec, probe(component), self.ports.clone())
    }

    pub(crate) fn capsule(&self) -> Capsule {
        self.capsule_with("probe", |_| {})
    }
}

pub(crate) fn caller(principal: &str) -> Caller {
    Caller::kernel(Some(principal.parse().unwrap()), NOW_MS)
}

/// Performs one operation as `principal`; the error is the text that the guest sees.
pub(crate) async fn call_as(capsule: &Capsule, principal: &str, arguments: Value) -> Result<Value, String> {
    let payload = serde_json::to_vec(&arguments).unwrap();
    match capsule.invoke(&caller(principal), "call", &payload).await.unwrap() {
        HookResult::Continue(text) => {
            Ok(text.map_or(json!(null), |text| serde_json::from_str(&text).unwrap()))
        }
        HookResult::Deny(reason) => Err(reason),
        other @ HookResult::Final(_) => panic!("{other:?}"),
    }
}

pub(crate) async fn call(capsule: &Capsule, arguments: Value) -> Result<Value, String> {
    call_as(capsule, "ann", arguments).await
}

/// Performs an operation that must be refused with the error code of that spelling.
pub(crate) async fn refused(capsule: &Capsule, arguments: Value, code: &str) {
    let error = call(capsule, arguments.clone()).await.expect_err(&arguments.to_string());
    assert!(error.contains(code), "{arguments}: expected {code}, got {error}");
}
