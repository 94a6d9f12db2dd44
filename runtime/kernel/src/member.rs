//! One capsule of the running fleet: its component, its loop, its crashes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use astrid_authority::{CapsuleName, Digest, EnvKey, PrincipalId, TopicPattern};
use astrid_bus::{Bus, Event, Handler, SourceId};
use astrid_host::{Caller, Capsule, Clock, ConfigValue, HookResult, HostError};
use astrid_manifest::CapsuleManifest;
use astrid_manifest::capsule::EnvType;
use semver::Version;
use tokio::task::AbortHandle;

use crate::dispatch::Answer;
use crate::health::{Crashes, Health};
use crate::order::Needs;
use crate::status::{CapsuleState, CapsuleStatus};
use crate::tools::Description;

/// The topic on which crashes are told.
const HEALTH_FAILED: &str = "astrid.v1.health.failed";
/// Crashes of a loop after which it is given up.
const MOST_LOOP_CRASHES: u32 = 5;
/// How long after its first crash a loop starts again; twice as long after each further one.
const FIRST_LOOP_PAUSE: Duration = Duration::from_secs(2);

/// What a generation says about one capsule. Equal ones need no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSpec {
    /// Its name.
    pub name: CapsuleName,
    /// Its version.
    pub version: Version,
    /// Of everything it holds.
    pub content: Digest,
    /// Of its manifest.
    pub manifest: Digest,
    /// Of its component; none when nothing of it runs.
    pub component: Option<Digest>,
    /// Of its authority.
    pub authority: Digest,
    /// Of the reviewed description of its tools.
    pub tools: Option<Digest>,
    /// Capsules that start before it.
    pub after: Vec<CapsuleName>,
    /// Its configuration.
    pub config: BTreeMap<EnvKey, ConfigValue>,
}

impl MemberSpec {
    /// Its id on the bus.
    pub fn source(&self) -> SourceId {
        SourceId::of_capsule(&self.name, self.component.as_ref().unwrap_or(&self.content))
    }
}

/// What a member has to work with when it was loaded.
pub(crate) struct Loaded {
    /// What it says about itself.
    pub(crate) manifest: CapsuleManifest,
    /// Its component with its grants; none when nothing of it runs.
    pub(crate) capsule: Option<Capsule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Loop {
    None,
    Running,
    Waiting(String),
    Finished,
    GivenUp(String),
}

/// One capsule of the fleet.
pub(crate) struct Member {
    spec: MemberSpec,
    loaded: Result<Loaded, String>,
    description: OnceLock<Description>,
    crashes: Mutex<Crashes>,
    invocations: AtomicU64,
    active: AtomicU64,
    looping: Mutex<Loop>,
    task: Mutex<Option<AbortHandle>>,
    /// Why the probe that was declared for it does not work.
    probe_failure: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a call for as long as it runs, also when it is dropped half way.
struct Active<'a>(&'a AtomicU64);

impl<'a> Active<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The configuration that a capsule sees: what was set, else its own default. What it asks people
/// for and nobody gave is an empty text; what it can do without is absent.
pub(crate) fn configuration(
    manifest: &CapsuleManifest,
    set: &BTreeMap<EnvKey, ConfigValue>,
) -> BTreeMap<EnvKey, ConfigValue> {
    let mut config = BTreeMap::new();
    for (key, declared) in &manifest.env {
        let value = match (set.get(key), &declared.default) {
            (Some(value), _) => Some(value.clone()),
            (None, _) if declared.kind == EnvType::Secret => Some(ConfigValue::Secret(key.to_string())),
            (None, Some(serde_json::Value::String(text))) => Some(ConfigValue::Plain(text.clone())),
            (None, Some(other)) => Some(ConfigValue::Plain(other.to_string())),
            (None, None) => declared.request.is_some().then(|| ConfigValue::Plain(String::new())),
        };
        config.extend(value.map(|value| (key.clone(), value)));
    }
    config
}

impl Member {
    /// A member that was loaded, or could not be for the given reason.
    pub(crate) fn new(spec: MemberSpec, loaded: Result<Loaded, String>) -> Self {
        Self {
            spec,
            loaded,
            description: OnceLock::new(),
            crashes: Mutex::default(),
            invocations: AtomicU64::new(0),
            active: AtomicU64::new(0),
            looping: Mutex::new(Loop::None),
            task: Mutex::new(None),
            probe_failure: Mutex::new(None),
        }
    }

    pub(crate) fn spec(&self) -> &MemberSpec {
        &self.spec
    }

    pub(crate) fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref().ok()
    }

    /// Why it is not loaded, if it is not.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.loaded.as_ref().err().map(String::as_str)
    }

    pub(crate) fn capsule(&self) -> Option<&Capsule> {
        self.loaded()?.capsule.as_ref()
    }

    /// The same member, given up for a reason that only running it showed.
    pub(crate) fn refused(self, reason: String) -> Self {
        Self::new(self.spec, Err(reason))
    }

    /// Keeps what it said about its tools.
    pub(crate) fn describe(&self, description: Description) {
        // Set once, before the member is shared.
        let _ = self.description.set(description);
    }

    pub(crate) fn description(&self) -> Option<&Description> {
        self.description.get()
    }

    /// True when it is a capsule with tools: it handles their calls, or was reviewed with some.
    pub(crate) fn has_tools(&self) -> bool {
        let handles = |manifest: &CapsuleManifest| {
            manifest.handlers().iter().any(|(_, action, _)| action.starts_with("tool_"))
        };
        self.spec.tools.is_some() || self.loaded().is_some_and(|loaded| handles(&loaded.manifest))
    }

    /// What the order of starting depends on.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs {
            name: self.spec.name.clone(),
            imports: Vec::new(),
            exports: Vec::new(),
            after: self.spec.after.clone(),
        };
        if let Some(Loaded { manifest, .. }) = self.loaded() {
            let imports = manifest.imports.iter().filter(|(_, import)| !import.optional);
            needs.imports = imports.map(|(id, import)| (id.clone(), import.requirement.clone())).collect();
            needs.exports =
                manifest.exports.iter().map(|(id, version)| (id.clone(), version.clone())).collect();
        }
        needs
    }

    /// The events that it is called for.
    pub(crate) fn handlers(&self) -> Vec<(TopicPattern, Handler)> {
        let Some(Loaded { manifest, capsule: Some(_) }) = self.loaded() else { return Vec::new() };
        let handler = |(pattern, action, priority): (&TopicPattern, &str, u32)| {
            let handler = Handler { priority, capsule: self.spec.name.clone(), action: action.to_owned() };
            (pattern.clone(), handler)
        };
        manifest.handlers().into_iter().map(handler).collect()
    }

    fn handler_count(&self) -> usize {
        match self.loaded() {
            Some(Loaded { manifest, capsule: Some(_) }) => {
                manifest.subscribe.values().filter(|one| one.handler.is_some()).count()
            }
            _ => 0,
        }
    }

    /// Calls it.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        action: &str,
        payload: &str,
        bus: &Bus,
        clock: &dyn Clock,
    ) -> Answer {
        let capsule = match &self.loaded {
            Ok(Loaded { capsule: Some(capsule), .. }) => capsule,
            Ok(_) => return Answer::Failed(format!("`{}` has no component to call", self.spec.name)),
            Err(reason) => return Answer::Failed(format!("`{}` is not loaded: {reason}", self.spec.name)),
        };
        let (held, in_a_row) = {
            let crashes = lock(&self.crashes);
            (crashes.held(clock.monotonic_ns()), crashes.in_a_row())
        };
        if let Some(left) = held {
            let seconds = left.as_secs() + 1;
            return Answer::Failed(format!(
                "`{}` crashed {in_a_row} times in a row; it is tried again in {seconds} s",
                self.spec.name
            ));
        }
        let _active = Active::begin(&self.active);
        let answer = capsule.invoke(caller, action, payload.as_bytes()).await;
        self.invocations.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(result) => {
                lock(&self.crashes).survived();
                match result {
                    HookResult::Continue(data) => Answer::Continue(data),
                    HookResult::Final(data) => Answer::Final(data),
                    HookResult::Deny(reason) => Answer::Deny(reason),
                }
            }
            Err(error @ HostError::NoExport(_)) => Answer::Failed(error.to_string()),
            Err(error) => {
                let reason = error.to_string();
                lock(&self.crashes).crashed(reason.clone(), clock.monotonic_ns());
                self.tell(bus, caller.principal.as_ref(), &reason);
                Answer::Failed(reason)
            }
        }
    }

    fn tell(&self, bus: &Bus, principal: Option<&PrincipalId>, reason: &str) {
        tracing::warn!(capsule = %self.spec.name, reason, "a capsule crashed");
        let Ok(topic) = HEALTH_FAILED.parse() else { return };
        let content = serde_json::json!({
            "capsule_id": self.spec.name, "principal": principal, "reason": reason,
        });
        let event = Event::of_kernel(topic, content.to_string()).for_principal(principal.cloned());
        if let Err(error) = bus.publish(event) {
            tracing::debug!(%error, "a crash was not told");
        }
    }

    /// Starts its loop, if it has one; says whether it has.
    pub(crate) fn start(self: &Arc<Self>, owner: &PrincipalId, bus: &Bus, clock: &Arc<dyn Clock>) -> bool {
        let Some(capsule) = self.capsule().filter(|capsule| capsule.component().exports.run) else {
            return false;
        };
        *lock(&self.looping) = Loop::Running;
        let (member, capsule) = (Arc::clone(self), capsule.clone());
        let (owner, bus, clock) = (owner.clone(), bus.clone(), Arc::clone(clock));
        let task = tokio::spawn(async move { member.keep_running(&capsule, &owner, &bus, &*clock).await });
        *lock(&self.task) = Some(task.abort_handle());
        true
    }

    async fn keep_running(&self, capsule: &Capsule, owner: &PrincipalId, bus: &Bus, clock: &dyn Clock) {
        let mut pause = FIRST_LOOP_PAUSE;
        let mut crashes = 0;
        loop {
            *lock(&self.looping) = Loop::Running;
            let caller = Caller::kernel(Some(owner.clone()), clock.unix_ms());
            let Err(error) = capsule.run(&caller).await else {
                *lock(&self.looping) = Loop::Finished;
                return;
            };
            let reason = error.to_string();
            crashes += 1;
            lock(&self.crashes).crashed(reason.clone(), 0);
            self.tell(bus, Some(owner), &reason);
            if crashes > MOST_LOOP_CRASHES {
                let reason = format!("its loop crashed {crashes} times and was given up: {reason}");
                *lock(&self.looping) = Loop::GivenUp(reason);
                return;
            }
            *lock(&self.looping) = Loop::Waiting(reason);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }

    /// Ends its loop. Calls that run are not cut off.
    pub(crate) fn stop(&self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }

    /// Notes how its probe went.
    pub(crate) fn probed(&self, failure: Option<String>) {
        *lock(&self.probe_failure) = failure;
    }

    /// What it is doing.
    pub(crate) fn status(&self) -> CapsuleStatus {
        let crashes = lock(&self.crashes).clone();
        let (state, looping, reason) = match (&self.loaded, &*lock(&self.looping)) {
            (Err(reason), _) => (CapsuleState::Failed, Health::Failed, Some(reason.clone())),
            (Ok(Loaded { capsule: None, .. }), _) => (CapsuleState::Static, Health::Healthy, None),
            (Ok(Loaded { capsule: Some(capsule), .. }), looping) => match looping {
                Loop::None => (CapsuleState::Loaded, Health::Healthy, None),
                Loop::Running if capsule.is_ready() => (CapsuleState::Running, Health::Healthy, None),
                Loop::Running => (CapsuleState::Starting, Health::Healthy, None),
                Loop::Finished => (CapsuleState::Finished, Health::Healthy, None),
                Loop::Waiting(reason) => (CapsuleState::Waiting, Health::Degraded, Some(reason.clone())),
                Loop::GivenUp(reason) => (CapsuleState::Failed, Health::Failed, Some(reason.clone())),
            },
        };
        // A loop that runs again has recovered from its crashes; calls recover by a call that does not crash.
        let called = crashes.reason().filter(|_| self.looping_is_none());
        let health = if called.is_some() { Health::Failed } else { looping };
        let probe_failure = lock(&self.probe_failure).clone();
        let (state, health, reason) = match probe_failure {
            Some(failure) => (CapsuleState::Failed, Health::Failed, reason.or(Some(failure))),
            None => (state, health, reason),
        };
        CapsuleStatus {
            name: self.spec.name.clone(),
            version: self.spec.version.to_string(),
            content: self.spec.content,
            state,
            health,
            reason: reason.or_else(|| called.map(str::to_owned)),
            invocations: self.invocations.load(Ordering::Relaxed),
            active: self.active.load(Ordering::Relaxed),
            restarts: crashes.total(),
            tools: self
                .description()
                .map(|description| description.tools().iter().map(|tool| tool.name.clone()).collect())
                .unwrap_or_default(),
            handlers: self.handler_count(),
        }
    }

    fn looping_is_none(&self) -> bool {
        *lock(&self.looping) == Loop::None
    }
}
