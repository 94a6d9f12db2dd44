//! What a call costs, beside a bare call of the same component; loading; the bus and values.
//!
//! `cargo bench -p astrid-host`; compare `call::ours` with `call::bare` of the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey, PrincipalId};
use astrid_bus::{Bus, BusLimits, SourceId};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, Clock, CompiledCode, ComponentSource, Engine,
    EngineOptions, Entropy, EntropyError, Kv, KvStore, Limits, LogLevel, LogSink, Ports, Roots, SecretSource,
};

fn main() {
    divan::main();
}

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
        bytes.fill(4);
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
        None
    }
}

fn component() -> Vec<u8> {
    let path = "../../packs/probe/capsules/probe/probe.wasm";
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn load(engine: &Engine, bytes: &[u8]) -> Arc<astrid_host::LoadedComponent> {
    let source = ComponentSource { digest: Digest::of(bytes), bytes: &|| Ok(bytes.to_vec()) };
    engine.load(&source).unwrap()
}

fn capsule(root: &Path) -> Capsule {
    let store = KvStore::open(&root.join("state.redb")).unwrap();
    let name: CapsuleName = "probe".parse().unwrap();
    let spec = CapsuleSpec {
        version: String::new(),
        source: SourceId::of_capsule(&name, &Digest::of(b"")),
        name,
        owner: "ann".parse().unwrap(),
        capabilities: Capabilities::default(),
        config: BTreeMap::new(),
        bindings: Vec::new(),
        limits: Limits::default(),
    };
    let nothing = Arc::new(Nothing);
    let ports = Ports {
        bus: Bus::new(BusLimits::default()),
        kv: Kv::Store(store),
        files: Arc::new(Roots::new(None, root, root).unwrap()),
        clock: nothing.clone(),
        entropy: nothing.clone(),
        secrets: nothing.clone(),
        log: nothing.clone(),
        directory: nothing,
    };
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    Capsule::new(spec, load(&engine, &component()), ports)
}

const ECHO: &[u8] = br#"{"op": "echo", "text": "hello"}"#;

mod call {
    use wasmtime::component::{Component, ComponentType, Lift, Linker, Val};
    use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

    use super::{Caller, ECHO, capsule, component};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[divan::bench]
    fn ours(bencher: divan::Bencher<'_, '_>) {
        let root = tempfile::tempdir().unwrap();
        let (capsule, runtime) = (capsule(root.path()), runtime());
        let caller = Caller::kernel(Some("ann".parse().unwrap()), 0);
        bencher.bench_local(|| runtime.block_on(capsule.invoke(&caller, "call", ECHO)).unwrap());
    }

    #[divan::bench]
    fn ours_with_a_value(bencher: divan::Bencher<'_, '_>) {
        let root = tempfile::tempdir().unwrap();
        let (capsule, runtime) = (capsule(root.path()), runtime());
        let caller = Caller::kernel(Some("ann".parse().unwrap()), 0);
        let get = br#"{"op": "kv_get", "key": "k"}"#;
        bencher.bench_local(|| runtime.block_on(capsule.invoke(&caller, "call", get)).unwrap());
    }

    #[derive(ComponentType, Lift)]
    #[component(record)]
    struct CapsuleResult {
        action: String,
        data: Option<String>,
    }

    #[divan::bench]
    fn bare(bencher: divan::Bencher<'_, '_>) {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default()));
        let engine = wasmtime::Engine::new(&config).unwrap();
        let component = Component::new(&engine, component()).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker.define_unknown_imports_as_traps(&component).unwrap();
        linker.allow_shadowing(true);
        let mut sys = linker.instance("astrid:sys/host@1.0.0").unwrap();
        sys.func_new("random-bytes", |_, _, _, results| {
            results[0] = Val::Result(Ok(Some(Box::new(Val::List(vec![Val::U8(4); 32])))));
            Ok(())
        })
        .unwrap();
        let ready = linker.instantiate_pre(&component).unwrap();
        let runtime = runtime();
        bencher.bench_local(|| {
            runtime.block_on(async {
                let mut store = Store::new(&engine, ());
                let instance = ready.instantiate_async(&mut store).await.unwrap();
                let function = instance
                    .get_typed_func::<(&str, &[u8]), (CapsuleResult,)>(&mut store, "astrid-hook-trigger")
                    .unwrap();
                let (result,) = function.call_async(&mut store, ("call", ECHO)).await.unwrap();
                assert!(result.action == "continue" && result.data.is_some());
            });
        });
    }
}

#[divan::bench]
fn load_kept_code(bencher: divan::Bencher<'_, '_>) {
    let root = tempfile::tempdir().unwrap();
    let compiled = Some(CompiledCode { folder: root.path().to_path_buf(), key: [1; 32] });
    let engine = Engine::new(&EngineOptions { compiled, ..EngineOptions::default() }).unwrap();
    let bytes = component();
    load(&engine, &bytes);
    let digest = Digest::of(&bytes);
    bencher.bench_local(|| {
        let source = ComponentSource { digest, bytes: &|| Err(std::io::Error::other("kept")) };
        assert!(engine.load(&source).unwrap().from_kept_code);
    });
}

#[divan::bench]
fn set_up_an_engine() {
    Engine::new(&EngineOptions::default()).unwrap();
}

mod bus {
    use astrid_bus::{Bus, BusLimits, Event, Scope, Subscription};

    /// Publishing to one of many subscriptions: the cost must not grow with how many there are.
    #[divan::bench(args = [1, 100, 10_000])]
    fn publish_among(bencher: divan::Bencher<'_, '_>, subscriptions: usize) {
        let bus = Bus::new(BusLimits::default());
        let all: Vec<Subscription> = (0..subscriptions)
            .map(|at| bus.subscribe(format!("capsule.n{at}.v1.*").parse().unwrap(), Scope::All))
            .collect();
        let event = Event::of_kernel("capsule.n0.v1.x".parse().unwrap(), r#"{"hello":"world"}"#);
        bencher.bench_local(|| {
            bus.publish(event.clone()).unwrap();
            assert_eq!(all[0].poll(8).events.len(), 1);
        });
    }
}

/// Compiling eight different components: through the host, which also keeps and tags the code, and bare.
mod compile {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{CompiledCode, ComponentSource, Digest, Engine, EngineOptions, component};

    fn components() -> Vec<Vec<u8>> {
        (0..8)
            .map(|at| {
                let mut bytes = component();
                // A custom section of two bytes makes it another component.
                bytes.extend([0, 2, 1, b'A' + at]);
                bytes
            })
            .collect()
    }

    #[divan::bench(sample_count = 5, sample_size = 1)]
    fn ours(bencher: divan::Bencher<'_, '_>) {
        let all = components();
        bencher.with_inputs(|| tempfile::tempdir().unwrap()).bench_local_values(|root| {
            let compiled = Some(CompiledCode { folder: root.path().to_path_buf(), key: [1; 32] });
            let engine = Engine::new(&EngineOptions { compiled, ..EngineOptions::default() }).unwrap();
            let read: Vec<_> = all.iter().map(|bytes| || Ok(bytes.clone())).collect();
            let sources: Vec<_> = all
                .iter()
                .zip(&read)
                .map(|(bytes, read)| ComponentSource { digest: Digest::of(bytes), bytes: read })
                .collect();
            assert!(engine.load_all(&sources).iter().all(Result::is_ok));
            root
        });
    }

    #[divan::bench(sample_count = 5, sample_size = 1)]
    fn bare(bencher: divan::Bencher<'_, '_>) {
        let all = components();
        bencher.bench_local(|| {
            let mut config = wasmtime::Config::new();
            config.wasm_component_model(true).epoch_interruption(true).generate_address_map(false);
            let engine = wasmtime::Engine::new(&config).unwrap();
            let next = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while let Some(bytes) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                            wasmtime::component::Component::new(&engine, bytes).unwrap();
                        }
                    });
                }
            });
        });
    }
}
