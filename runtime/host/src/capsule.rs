//! A component with its grants, and calls into it.
//!
//! Every call gets an instance of its own: nothing that one call leaves in memory can reach the
//! next, and a call that crashes takes nothing with it. What is to last goes through the
//! key-value store.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use wasmtime::component::{ComponentType, Instance, Lift};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::caller::Caller;
use crate::engine::{Engine, LoadedComponent};
use crate::error::HostError;
use crate::files::Roots;
use crate::hook::HookResult;
use crate::kv::Kv;
use crate::ports::Ports;
use crate::spec::CapsuleSpec;
use crate::state::{CallState, Mode, Shared};

const HOOK_TRIGGER: &str = "astrid-hook-trigger";
/// Longest answer of a call.
const MAX_ANSWER_BYTES: usize = 10 << 20;
/// What the kernel asks a capsule for to learn its tools.
const DESCRIBE: &str = "tool_describe";

/// What `astrid:guest/lifecycle` calls `capsule-result`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct CapsuleResult {
    action: String,
    data: Option<String>,
}

/// Which lifecycle hook runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleStep {
    /// The capsule was not installed before.
    Install,
    /// It was, in another version.
    Upgrade {
        /// Which one.
        from: String,
    },
}

/// A capsule. Clones are the same one.
#[derive(Clone)]
pub struct Capsule(Arc<Shared>);

impl Capsule {
    /// Puts a component, its grants and the ports together. Runs nothing.
    #[must_use]
    pub fn new(spec: CapsuleSpec, loaded: Arc<LoadedComponent>, ports: Ports) -> Self {
        let (ready, _) = watch::channel(false);
        Self(Arc::new(Shared {
            calls: Semaphore::new(spec.limits.instances.clamp(1, Semaphore::MAX_PERMITS)),
            subscriptions: AtomicUsize::new(0),
            published: Mutex::new(HashMap::new()),
            spec,
            loaded,
            ports,
            ready,
        }))
    }

    /// What the capsule is.
    #[must_use]
    pub fn spec(&self) -> &CapsuleSpec {
        &self.0.spec
    }

    /// Its component.
    #[must_use]
    pub fn component(&self) -> &LoadedComponent {
        &self.0.loaded
    }

    /// Calls `action` with `payload` and waits for the answer.
    ///
    /// Calls run at the same time, each in its own instance, up to the limit of the capsule;
    /// further ones wait, and their waiting counts against the time of the call.
    ///
    /// # Errors
    /// When the component has no handlers, crashes, or takes too long or too much memory.
    pub async fn invoke(
        &self,
        caller: &Caller,
        action: &str,
        payload: &[u8],
    ) -> Result<HookResult, HostError> {
        let limit = self.0.spec.limits.call;
        let call = async {
            let _permit = self.0.calls.acquire().await.map_err(|_| HostError::Timeout(limit))?;
            let _place = self.0.loaded.engine.place_for_call().await;
            self.trigger(caller.clone(), action, payload).await
        };
        // The time for the whole; the guest itself gives way at every tick, so this can fire.
        tokio::time::timeout(limit, call).await.unwrap_or(Err(HostError::Timeout(limit)))
    }

    /// Asks for the tools: the JSON text that the capsule describes them with, or none if it has
    /// none.
    ///
    /// # Errors
    /// As [`Capsule::invoke`].
    pub async fn describe(&self, caller: &Caller) -> Result<Option<String>, HostError> {
        if !self.0.loaded.exports.hook_trigger {
            return Ok(None);
        }
        Ok(match self.invoke(caller, DESCRIBE, b"").await? {
            HookResult::Continue(text) | HookResult::Final(text) => text,
            HookResult::Deny(_) => None,
        })
    }

    /// Runs the capsule's loop until it returns. Dropping the future ends it.
    ///
    /// # Errors
    /// When there is no loop, too many run already, it crashes, or it computes for too long
    /// without waiting.
    pub async fn run(&self, caller: &Caller) -> Result<(), HostError> {
        if !self.0.loaded.exports.run {
            return Err(HostError::NoExport("run"));
        }
        let _place = self.0.loaded.engine.place_for_loop()?;
        self.0.ready.send_replace(false);
        let window = self.0.spec.limits.run_window;
        let state = CallState::new(Arc::clone(&self.0), caller.clone(), Mode::Run);
        self.plain("run", state, Some(window)).await
    }

    /// Says whether the running loop has signalled that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Waits until the running loop signals that it is ready.
    pub async fn wait_ready(&self) {
        let mut ready = self.0.ready.subscribe();
        // The sender lives as long as this capsule, so waiting can't fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Runs a lifecycle hook; does nothing if the capsule has none for this step.
    ///
    /// It reads and writes values in `kv` and files in `files` (usually overlays that are kept or
    /// dropped as the apply goes), and can neither publish nor subscribe.
    ///
    /// # Errors
    /// When the hook crashes or takes too long.
    pub async fn lifecycle(
        &self,
        caller: &Caller,
        step: LifecycleStep,
        kv: Kv,
        files: Arc<Roots>,
    ) -> Result<(), HostError> {
        let (export, real, previous) = match step {
            LifecycleStep::Install => ("astrid-install", self.0.loaded.exports.install, None),
            LifecycleStep::Upgrade { from } => ("astrid-upgrade", self.0.loaded.exports.upgrade, Some(from)),
        };
        if !real {
            return Ok(());
        }
        let limit = self.0.spec.limits.lifecycle;
        let mut state = CallState::new(Arc::clone(&self.0), caller.clone(), Mode::Lifecycle { previous });
        state.kv = kv;
        state.files = files;
        let hook = async {
            let _place = self.0.loaded.engine.place_for_call().await;
            self.plain(export, state, None).await
        };
        tokio::time::timeout(limit, hook).await.unwrap_or(Err(HostError::Timeout(limit)))
    }

    async fn trigger(&self, caller: Caller, action: &str, payload: &[u8]) -> Result<HookResult, HostError> {
        if !self.0.loaded.exports.hook_trigger {
            return Err(HostError::NoExport(HOOK_TRIGGER));
        }
        let state = CallState::new(Arc::clone(&self.0), caller, Mode::Call);
        let mut store = self.store(state, None);
        let call = async {
            let instance = self.instantiate(&mut store).await?;
            let function = instance
                .get_typed_func::<(&str, &[u8]), (CapsuleResult,)>(&mut store, HOOK_TRIGGER)
                .map_err(|_| HostError::NoExport(HOOK_TRIGGER))?;
            match function.call_async(&mut store, (action, payload)).await {
                Ok((result,)) => answer(result),
                Err(error) => Err(self.failure(&store, &error)),
            }
        };
        Timed { engine: &self.0.loaded.engine, call: std::pin::pin!(call) }.await
    }

    /// Calls an export without parameters and results.
    async fn plain(
        &self,
        export: &'static str,
        state: CallState,
        window: Option<Duration>,
    ) -> Result<(), HostError> {
        let mut store = self.store(state, window);
        let call = async {
            let instance = self.instantiate(&mut store).await?;
            let function = instance
                .get_typed_func::<(), ()>(&mut store, export)
                .map_err(|_| HostError::NoExport(export))?;
            match function.call_async(&mut store, ()).await {
                Ok(()) => Ok(()),
                Err(error) => Err(self.failure(&store, &error)),
            }
        };
        Timed { engine: &self.0.loaded.engine, call: std::pin::pin!(call) }.await
    }

    fn store(&self, state: CallState, window: Option<Duration>) -> Store<CallState> {
        let mut store = Store::new(self.0.loaded.engine.wasmtime(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        let most = window.map(|window| {
            u32::try_from(window.as_millis() / Engine::tick().as_millis().max(1)).unwrap_or(u32::MAX)
        });
        store.epoch_deadline_callback(move |mut context| {
            let state = context.data_mut();
            state.ticks = state.ticks.saturating_add(1);
            if most.is_some_and(|most| state.ticks > most) {
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    async fn instantiate(&self, store: &mut Store<CallState>) -> Result<Instance, HostError> {
        let instance = self.0.loaded.linked.instantiate_async(&mut *store).await;
        instance.map_err(|error| {
            if store.data().memory.refused {
                HostError::Memory(self.0.spec.limits.memory)
            } else {
                HostError::Instantiate(format!("{error:#}"))
            }
        })
    }

    /// What went wrong, from what the engine says and what the call noted.
    fn failure(&self, store: &Store<CallState>, error: &wasmtime::Error) -> HostError {
        let state = store.data();
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            return HostError::Starved(self.0.spec.limits.run_window);
        }
        if state.memory.refused {
            return HostError::Memory(self.0.spec.limits.memory);
        }
        // A panic says what happened in the log, right before it traps.
        let text = match (&state.last_error, error.downcast_ref::<Trap>()) {
            (Some(logged), _) => logged.clone(),
            (None, Some(trap)) => trap.to_string(),
            (None, None) => error.root_cause().to_string(),
        };
        HostError::Trap(text)
    }
}

fn answer(result: CapsuleResult) -> Result<HookResult, HostError> {
    let bytes = result.data.as_ref().map_or(0, String::len);
    if bytes > MAX_ANSWER_BYTES {
        return Err(HostError::Answer { bytes, most: MAX_ANSWER_BYTES });
    }
    Ok(HookResult::from_guest(&result.action, result.data))
}

/// A call: time passes for guests while it is being polled, and stands still while it waits.
struct Timed<'a, F> {
    engine: &'a Engine,
    call: Pin<&'a mut F>,
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _running = self.engine.running();
        self.call.as_mut().poll(context)
    }
}
