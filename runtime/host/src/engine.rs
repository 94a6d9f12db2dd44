//! Compiles components, or takes the code of an earlier compilation.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use astrid_authority::Digest;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::calls;
use crate::compiled::CompiledFolder;
use crate::error::HostError;
use crate::exports::Exports;
use crate::state::CallState;

/// How often running code is asked to let others run. Nothing ticks while nothing runs.
const TICK: Duration = Duration::from_millis(10);
/// Most stack of WebAssembly code, in bytes.
const STACK_BYTES: usize = 1 << 20;
/// Stack of a call: that of WebAssembly code, and what the host functions need on top.
const CALL_STACK_BYTES: usize = 2 << 20;

/// Where compiled code is kept.
#[derive(Debug, Clone)]
pub struct CompiledCode {
    /// The folder; created when needed.
    pub folder: PathBuf,
    /// A secret of the home. Code that was not tagged with it is never run.
    pub key: [u8; 32],
}

/// How an engine is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled code is kept; nowhere if none.
    pub compiled: Option<CompiledCode>,
    /// Calls at the same time, over all capsules; more wait.
    pub calls: u32,
    /// Loops at the same time; more are refused.
    pub loops: u32,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { compiled: None, calls: 512, loops: 512 }
    }
}

/// A component to load.
pub struct ComponentSource<'a> {
    /// The BLAKE3 digest of its bytes.
    pub digest: Digest,
    /// Reads the bytes; only called when there is no code to take. They are compared with the digest.
    #[allow(clippy::type_complexity, reason = "a name for it would say less")]
    pub bytes: &'a (dyn Fn() -> std::io::Result<Vec<u8>> + Send + Sync),
}

/// Tells the engine that time passes, as long as guest code is running.
struct Ticker {
    running: AtomicUsize,
    stopped: AtomicBool,
    thread: std::thread::Thread,
}

struct Shared {
    engine: wasmtime::Engine,
    linker: Linker<CallState>,
    compiled: Option<CompiledFolder>,
    ticker: Arc<Ticker>,
    pooling: bool,
    calls: Semaphore,
    loops: Semaphore,
    most_loops: usize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ticker.stopped.store(true, Ordering::Release);
        self.ticker.thread.unpark();
    }
}

/// The engine. Clones are the same one; a process needs only one.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// A component that is compiled and linked, ready to make instances of.
pub struct LoadedComponent {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Which of its exports are real.
    pub exports: Exports,
    /// True when the code was taken from an earlier compilation.
    pub from_kept_code: bool,
    pub(crate) linked: InstancePre<CallState>,
    pub(crate) engine: Engine,
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets up an engine. Falls back to memory on demand where it can't be set aside.
    ///
    /// # Errors
    /// When the machine is not supported.
    pub fn new(options: &EngineOptions) -> Result<Self, HostError> {
        let failed = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let instances = options.calls.saturating_add(options.loops);
        let (engine, pooling) = match wasmtime::Engine::new(&config(Some(instances))) {
            Ok(engine) => (engine, true),
            Err(error) => {
                tracing::warn!(%error, "memory for instances can't be set aside; calls will be slower");
                (wasmtime::Engine::new(&config(None)).map_err(failed)?, false)
            }
        };
        let mut linker = Linker::new(&engine);
        calls::add_to(&mut linker).map_err(failed)?;
        let compiled = options.compiled.as_ref().map(|compiled| {
            CompiledFolder::new(compiled.folder.clone(), &compiled.key, fingerprint(&engine))
        });
        let ticker = start_ticker(&engine)?;
        let places = |most: u32| usize::try_from(most).map_or(Semaphore::MAX_PERMITS, |most| most.max(1));
        Ok(Self(Arc::new(Shared {
            engine,
            linker,
            compiled,
            ticker,
            pooling,
            calls: Semaphore::new(places(options.calls)),
            loops: Semaphore::new(places(options.loops)),
            most_loops: places(options.loops),
        })))
    }

    /// Loads one component. Compiling takes a tenth of a second and more; do it off the async
    /// threads.
    ///
    /// # Errors
    /// When the bytes can't be read, are not those of the digest, are no component, or import
    /// what there is not.
    pub fn load(&self, source: &ComponentSource<'_>) -> Result<Arc<LoadedComponent>, HostError> {
        let digest = source.digest;
        let compiled = self.0.compiled.as_ref();
        if let Some((component, exports)) = compiled.and_then(|kept| kept.take(&self.0.engine, &digest)) {
            return self.link(digest, &component, exports, true);
        }
        let read = |error: std::io::Error| HostError::Read { component: digest, reason: error.to_string() };
        let bytes = (source.bytes)().map_err(read)?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(HostError::Digest { expected: digest, found });
        }
        let failed =
            |error: wasmtime::Error| HostError::Compile { component: digest, reason: format!("{error:#}") };
        let component = Component::new(&self.0.engine, &bytes).map_err(failed)?;
        let exports = Exports::of_component(&bytes);
        if let Some(compiled) = compiled {
            compiled.keep(&digest, exports, &component.serialize().map_err(failed)?);
        }
        self.link(digest, &component, exports, false)
    }

    /// Loads many components with as many threads as there are processors, in the given order.
    #[must_use]
    pub fn load_all(&self, sources: &[ComponentSource<'_>]) -> Vec<Result<Arc<LoadedComponent>, HostError>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(sources.len());
        if threads <= 1 {
            return sources.iter().map(|source| self.load(source)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(source) = sources.get(at) else { return done };
                done.push((at, self.load(source)));
            }
        };
        let mut loaded = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut loaded = work();
            for other in others {
                match other.join() {
                    Ok(done) => loaded.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            loaded
        });
        loaded.sort_by_key(|(at, _)| *at);
        loaded.into_iter().map(|(_, result)| result).collect()
    }

    /// Says whether memory for instances is set aside.
    #[must_use]
    pub fn is_pooling(&self) -> bool {
        self.0.pooling
    }

    fn link(
        &self,
        digest: Digest,
        component: &Component,
        exports: Exports,
        from_kept_code: bool,
    ) -> Result<Arc<LoadedComponent>, HostError> {
        let linked = self
            .0
            .linker
            .instantiate_pre(component)
            .map_err(|error| HostError::Link { component: digest, reason: format!("{error:#}") })?;
        Ok(Arc::new(LoadedComponent { digest, exports, from_kept_code, linked, engine: self.clone() }))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// Waits for a place among the calls. None only if there is no limit any more.
    pub(crate) async fn place_for_call(&self) -> Option<SemaphorePermit<'_>> {
        self.0.calls.acquire().await.ok()
    }

    /// Takes a place among the loops.
    pub(crate) fn place_for_loop(&self) -> Result<SemaphorePermit<'_>, HostError> {
        self.0.loops.try_acquire().map_err(|_| HostError::TooManyLoops(self.0.most_loops))
    }

    /// Makes time pass for guests for as long as the returned value lives.
    pub(crate) fn running(&self) -> Running<'_> {
        if self.0.ticker.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.0.ticker.thread.unpark();
        }
        Running(&self.0.ticker)
    }

    /// How often code that runs is asked to let others run.
    pub(crate) fn tick() -> Duration {
        TICK
    }
}

/// Guest code is running.
pub(crate) struct Running<'a>(&'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn start_ticker(engine: &wasmtime::Engine) -> Result<Arc<Ticker>, HostError> {
    let engine = engine.weak();
    let (send, receive) = std::sync::mpsc::channel::<Arc<Ticker>>();
    let handle = std::thread::Builder::new()
        .name("astrid-ticker".to_owned())
        .spawn(move || {
            let Ok(ticker) = receive.recv() else { return };
            while !ticker.stopped.load(Ordering::Acquire) {
                if ticker.running.load(Ordering::Acquire) == 0 {
                    std::thread::park();
                    continue;
                }
                std::thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        })
        .map_err(|error| HostError::Engine(error.to_string()))?;
    let ticker = Arc::new(Ticker {
        running: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        thread: handle.thread().clone(),
    });
    send.send(Arc::clone(&ticker)).map_err(|error| HostError::Engine(error.to_string()))?;
    Ok(ticker)
}

fn config(pooled_instances: Option<u32>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK_BYTES);
    config.async_stack_size(CALL_STACK_BYTES);
    config.relaxed_simd_deterministic(true);
    // Smaller code, faster to load. A trap then names functions, not places in them.
    config.generate_address_map(false);
    if let Some(instances) = pooled_instances {
        let mut pool = PoolingAllocationConfig::default();
        // A component is a few core instances: the guest's own module, and small ones around it.
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(4))
            .total_memories(instances.saturating_add(instances / 4))
            .total_tables(instances.saturating_mul(4))
            .total_stacks(instances);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// What code depends on besides the component.
fn fingerprint(engine: &wasmtime::Engine) -> Digest {
    /// Collects what is hashed instead of hashing it, so that the digest is ours.
    struct Collect(Vec<u8>);
    impl Hasher for Collect {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut collect = Collect(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut collect);
    let mut version = String::new();
    let _ = write!(version, "{}", env!("CARGO_PKG_VERSION"));
    Digest::of_parts("astrid:engine:v1", [collect.0.as_slice(), version.as_bytes()])
}
