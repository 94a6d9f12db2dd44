//! The capsules that run: loading them, calling them, and going from one generation to another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use astrid_authority::{CapsuleName, Digest, PrincipalId};
use astrid_bus::{Event, SourceId};
use astrid_host::{Binding, LoadedComponent};
use astrid_host::{
    Caller, Capsule, CapsuleDirectory, CapsuleSpec, ComponentSource, Engine, HookResult, HostError, Limits,
    Ports,
};
use astrid_manifest::{CapsuleManifest, Strictness};
use astrid_store::Store;

use crate::dispatch::{Answer, Dispatcher, Invoke};
use crate::health::Health;
use crate::member::{Loaded, Member, MemberSpec, configuration};
use crate::order::{self, Cycle};
use crate::probe::{self, Probe};
use crate::status::{CapsuleStatus, Converged, ToolStatus};
use crate::tools::{Description, ToolsError};

/// How long a loop may take to say that it is ready before the fleet goes on without waiting.
const READY_WITHIN: Duration = Duration::from_millis(500);

/// A generation, as far as the kernel needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSpec {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its capsules.
    pub members: Vec<MemberSpec>,
    /// What must work before some of them count as healthy.
    pub probes: BTreeMap<CapsuleName, Probe>,
}

/// Which capabilities the running capsules hold, for those that ask about each other.
#[derive(Default)]
pub struct Directory(RwLock<HashMap<SourceId, Vec<&'static str>>>);

impl Directory {
    fn replace(&self, held: HashMap<SourceId, Vec<&'static str>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

impl CapsuleDirectory for Directory {
    fn holds(&self, source: SourceId, capability: &str) -> Option<bool> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(held.get(&source).is_some_and(|names| names.contains(&capability)))
    }
}

/// The running capsules.
pub struct Fleet {
    store: Store,
    engine: Engine,
    ports: Ports,
    directory: Arc<Directory>,
    owner: PrincipalId,
    members: RwLock<BTreeMap<CapsuleName, Arc<Member>>>,
}

impl Invoke for Arc<Fleet> {
    async fn invoke(&self, capsule: &CapsuleName, action: &str, payload: &str, event: &Event) -> Answer {
        let Some(member) = self.member(capsule) else {
            return Answer::Failed(format!("`{capsule}` does not run any more"));
        };
        let caller = Caller::of_event(event, self.ports.clock.unix_ms());
        member.call(&caller, action, payload, &self.ports.bus, &*self.ports.clock).await
    }
}

impl Fleet {
    /// A fleet without capsules. `directory` is the one that `ports` hand to capsules.
    pub fn new(
        store: Store,
        engine: Engine,
        ports: Ports,
        directory: Arc<Directory>,
        owner: PrincipalId,
    ) -> Self {
        Self { store, engine, ports, directory, owner, members: RwLock::default() }
    }

    /// Whose home it is, and for whom capsules act when nobody calls.
    pub fn owner(&self) -> &PrincipalId {
        &self.owner
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// What the host was given.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn member(&self, name: &CapsuleName) -> Option<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// What every capsule is doing, by name.
    pub fn capsules(&self) -> Vec<CapsuleStatus> {
        self.members().iter().map(|member| member.status()).collect()
    }

    /// How the fleet is doing.
    pub fn health(&self) -> Health {
        Health::of_parts(self.members().iter().map(|member| member.status().health))
    }

    /// Every tool that was described, by capsule and name.
    pub fn tools(&self) -> Vec<ToolStatus> {
        let members = self.members();
        let described = members.iter().filter_map(|member| Some((member, member.description()?)));
        described
            .flat_map(|(member, description)| {
                description.tools().iter().map(|tool| ToolStatus {
                    capsule: member.spec().name.clone(),
                    name: tool.name.clone(),
                    description: tool.description.clone(),
                    input_schema: tool.input_schema.clone(),
                })
            })
            .collect()
    }

    /// What `astrid.v1.capsules_loaded` says for one principal.
    pub fn announcement(&self, principal: &PrincipalId) -> serde_json::Value {
        let entry = |member: &Arc<Member>| {
            let spec = member.spec();
            let mut meta =
                serde_json::json!({ "version": spec.version.to_string(), "content": spec.content });
            if let (Some(description), Some(meta)) = (member.description(), meta.as_object_mut()) {
                meta.insert("tools".to_owned(), serde_json::json!(description.tools()));
            }
            serde_json::json!({ "principal": principal, "name": spec.name, "meta": meta })
        };
        let running: Vec<_> = self.members();
        let running: Vec<_> = running.iter().filter(|member| member.loaded().is_some()).map(entry).collect();
        serde_json::json!({ "status": "ready", "capsules": running })
    }

    /// Goes to `target`: loads what is new or changed, then puts it in place of what was there,
    /// then drops what is gone. What did not change goes on without a pause.
    ///
    /// # Errors
    /// When the capsules of `target` need each other in a circle; then nothing changes.
    pub async fn converge(
        self: &Arc<Self>,
        target: &FleetSpec,
        dispatcher: &Dispatcher<Arc<Self>>,
    ) -> Result<Converged, Cycle> {
        let before: BTreeMap<CapsuleName, Arc<Member>> =
            self.members.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_same = |spec: &MemberSpec| {
            before.get(&spec.name).is_some_and(|old| old.spec() == spec && old.refusal().is_none())
        };
        let (kept, to_load): (Vec<_>, Vec<_>) = target.members.iter().cloned().partition(is_same);
        let fresh = self.load(to_load).await;
        let mut after: BTreeMap<CapsuleName, Arc<Member>> = BTreeMap::new();
        let mut done = Converged { generation: target.number, ..Converged::default() };
        for spec in kept {
            if let Some(member) = before.get(&spec.name) {
                after.insert(spec.name.clone(), Arc::clone(member));
                done.kept.push(spec.name);
            }
        }
        for member in fresh {
            let name = member.spec().name.clone();
            match member.refusal() {
                Some(reason) => drop(done.failed.insert(name.clone(), reason.to_owned())),
                None if before.contains_key(&name) => done.replaced.push(name.clone()),
                None => done.loaded.push(name.clone()),
            }
            after.insert(name, Arc::new(member));
        }
        let needs: Vec<_> = after.values().map(|member| member.needs()).collect();
        let steps = order::steps(&needs)?;

        // From here on the new generation is what runs.
        let kept: BTreeSet<&CapsuleName> = done.kept.iter().collect();
        let held = after.values().filter_map(|member| {
            let held = member.loaded()?.manifest.capabilities().held();
            Some((member.spec().source(), held))
        });
        self.directory.replace(held.collect());
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = after.clone();
        for (name, old) in &before {
            if !kept.contains(name) {
                old.stop();
            }
        }
        for step in steps {
            let mut starting = Vec::new();
            for name in step.iter().filter(|name| !kept.contains(name)) {
                let Some(member) = after.get(name) else { continue };
                dispatcher.set_handlers(name, member.handlers());
                if member.start(&self.owner, &self.ports.bus, &self.ports.clock) {
                    starting.push(Arc::clone(member));
                }
            }
            let all_ready = async {
                for member in &starting {
                    if let Some(capsule) = member.capsule() {
                        capsule.wait_ready().await;
                    }
                }
            };
            if !starting.is_empty() && tokio::time::timeout(READY_WITHIN, all_ready).await.is_err() {
                tracing::info!("some loops have not said that they are ready; the fleet goes on");
            }
        }
        for name in before.into_keys().filter(|name| !after.contains_key(name)) {
            dispatcher.set_handlers(&name, Vec::new());
            done.unloaded.push(name);
        }
        done.failed.extend(self.probe(&target.probes).await);
        Ok(done)
    }

    /// Tries what must work; names the capsules for which it does not, with the reason.
    async fn probe(&self, probes: &BTreeMap<CapsuleName, Probe>) -> BTreeMap<CapsuleName, String> {
        let mut failed = BTreeMap::new();
        for member in self.members() {
            let name = &member.spec().name;
            let probe = probes.get(name).filter(|_| member.loaded().is_some());
            let failure = match probe {
                Some(probe) => probe::run(probe, &member, &self.ports, &self.owner).await.err(),
                None => None,
            };
            if let Some(reason) = &failure {
                failed.insert(name.clone(), reason.clone());
            }
            member.probed(failure);
        }
        failed
    }

    /// Ends every loop and forgets every capsule.
    pub fn unload(&self, dispatcher: &Dispatcher<Arc<Self>>) {
        let members = std::mem::take(&mut *self.members.write().unwrap_or_else(PoisonError::into_inner));
        for (name, member) in members {
            dispatcher.set_handlers(&name, Vec::new());
            member.stop();
        }
        self.directory.replace(HashMap::new());
    }

    /// Loads capsules; one that fails carries the reason.
    async fn load(self: &Arc<Self>, specs: Vec<MemberSpec>) -> Vec<Member> {
        if specs.is_empty() {
            return Vec::new();
        }
        let members = self.load_unchecked(specs).await;
        let mut checks = Vec::new();
        for member in members {
            let fleet = Arc::clone(self);
            checks.push(tokio::spawn(async move {
                match fleet.check_tools(&member).await {
                    Ok(()) => member,
                    Err(reason) => member.refused(reason),
                }
            }));
        }
        let mut checked = Vec::with_capacity(checks.len());
        for check in checks {
            match check.await {
                Ok(member) => checked.push(member),
                Err(error) => tracing::error!(%error, "a capsule could not be checked"),
            }
        }
        checked
    }

    /// As [`Fleet::load`], without running anything of them.
    pub(crate) async fn load_unchecked(self: &Arc<Self>, specs: Vec<MemberSpec>) -> Vec<Member> {
        let fleet = Arc::clone(self);
        let names: Vec<MemberSpec> = specs.clone();
        let loaded = tokio::task::spawn_blocking(move || fleet.load_blocking(specs)).await;
        loaded.unwrap_or_else(|error| {
            let reason = format!("loading stopped: {error}");
            names.into_iter().map(|spec| Member::new(spec, Err(reason.clone()))).collect()
        })
    }

    fn load_blocking(&self, specs: Vec<MemberSpec>) -> Vec<Member> {
        let manifests: Vec<Result<CapsuleManifest, String>> =
            specs.iter().map(|spec| self.manifest(spec)).collect();
        let wanted: Vec<Digest> = specs
            .iter()
            .zip(&manifests)
            .filter(|(_, manifest)| manifest.is_ok())
            .filter_map(|(spec, _)| spec.component)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let readers: Vec<_> = wanted
            .iter()
            .map(|digest| {
                let (store, digest) = (self.store.clone(), *digest);
                move || store.get(&digest).map_err(std::io::Error::other)
            })
            .collect();
        let sources: Vec<ComponentSource<'_>> = wanted
            .iter()
            .zip(&readers)
            .map(|(digest, bytes)| ComponentSource { digest: *digest, bytes })
            .collect();
        let components: HashMap<Digest, Result<Arc<LoadedComponent>, HostError>> =
            wanted.iter().copied().zip(self.engine.load_all(&sources)).collect();
        let member = |(spec, manifest): (MemberSpec, Result<CapsuleManifest, String>)| {
            let loaded = manifest.and_then(|manifest| {
                let capsule = match spec.component {
                    None => None,
                    Some(digest) => match components.get(&digest) {
                        Some(Ok(component)) => Some(self.capsule(&spec, &manifest, component)),
                        Some(Err(error)) => return Err(error.to_string()),
                        None => return Err(format!("component {digest} was not loaded")),
                    },
                };
                Ok(Loaded { manifest, capsule })
            });
            Member::new(spec, loaded)
        };
        specs.into_iter().zip(manifests).map(member).collect()
    }

    fn manifest(&self, spec: &MemberSpec) -> Result<CapsuleManifest, String> {
        let bytes = self.store.get(&spec.manifest).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "its Capsule.toml is not text".to_owned())?;
        let parsed = CapsuleManifest::parse("Capsule.toml", &text, Strictness::Load)
            .map_err(|complaints| format!("its Capsule.toml is refused: {complaints}"))?;
        Ok(parsed.value)
    }

    fn capsule(
        &self,
        spec: &MemberSpec,
        manifest: &CapsuleManifest,
        component: &Arc<LoadedComponent>,
    ) -> Capsule {
        let bindings = manifest
            .handlers()
            .into_iter()
            .map(|(pattern, action, _)| Binding { topic: pattern.to_string(), action: action.to_owned() });
        let spec = CapsuleSpec {
            name: spec.name.clone(),
            version: spec.version.to_string(),
            source: spec.source(),
            owner: self.owner.clone(),
            capabilities: manifest.capabilities(),
            config: configuration(manifest, &spec.config),
            bindings: bindings.collect(),
            limits: Limits::default(),
        };
        Capsule::new(spec, Arc::clone(component), self.ports.clone())
    }

    /// Asks a capsule for its tools and compares with what was reviewed, or, when nothing was,
    /// with what it said the first time.
    async fn check_tools(&self, member: &Member) -> Result<(), String> {
        let Some(capsule) = member.capsule().filter(|_| member.has_tools()) else { return Ok(()) };
        let caller = Caller::kernel(Some(self.owner.clone()), self.ports.clock.unix_ms());
        let described = capsule.invoke(&caller, "tool_describe", b"").await;
        let live = match described {
            Ok(HookResult::Continue(Some(text)) | HookResult::Final(Some(text))) => {
                Description::parse(&text).map_err(|error| error.to_string())?
            }
            Ok(HookResult::Continue(None) | HookResult::Final(None)) => Description::default(),
            Ok(answer) if answer.is_unknown_action("tool_describe") => Description::default(),
            Ok(HookResult::Deny(reason)) => return Err(format!("it does not describe its tools: {reason}")),
            Err(error) => return Err(format!("it does not describe its tools: {error}")),
        };
        let check = match member.spec().tools {
            Some(reviewed) => self
                .reviewed(&reviewed)
                .and_then(|reviewed| live.must_equal(&reviewed).map_err(|error| error.to_string())),
            None => self.first_description(member.spec(), &live),
        };
        check?;
        member.describe(live);
        Ok(())
    }

    fn reviewed(&self, digest: &Digest) -> Result<Description, String> {
        let bytes = self.store.get(digest).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "its tools.json is not text".to_owned())?;
        Description::parse(&text).map_err(|error| format!("tools.json: {error}"))
    }

    /// Without a reviewed description, the first one after trust is the one. It is kept for the
    /// exact content that was trusted.
    fn first_description(&self, spec: &MemberSpec, live: &Description) -> Result<(), String> {
        let folder = self.store.home().var().join("tools");
        let file = folder.join(spec.content.hex());
        let digest = live.digest();
        match std::fs::read_to_string(&file) {
            Ok(kept) if kept.trim() == digest.to_string() => Ok(()),
            Ok(_) => {
                Err(ToolsError::Changed("they were described differently at first".to_owned()).to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let disk = self.store.disk();
                disk.create_dir(&folder, 0o700)
                    .and_then(|()| disk.create_atomic(&file, digest.to_string().as_bytes(), 0o600))
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(format!("{}: {error}", file.display())),
        }
    }
}
