//! A home with generations of real capsules, without the resolver.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use astrid_authority::{CapsuleName, Digest, EnvKey, PrincipalId};
use astrid_host::{Clock, Entropy, EntropyError, LogLevel, LogSink, SecretSource};
use astrid_kernel::uplink::server::ServerLimits;
use astrid_kernel::{Kernel, KernelError, KernelOptions, KernelPorts};
use astrid_manifest::lock::{LockedCapsule, LockedDistro};
use astrid_manifest::{Lock, Position, Signer};
use astrid_store::generation::{Action, Configuration, Generation, Inventory, MetaInput, Part, Setting};
use astrid_store::journal::Switch;
use astrid_store::{Disk, Generations, Home, Store, WriterLock};

/// One capsule of a generation that a test makes.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) manifest: String,
    pub(crate) component: Option<Vec<u8>>,
    pub(crate) tools: Option<String>,
    pub(crate) config: Vec<(&'static str, &'static str)>,
}

fn packs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs")
}

/// A capsule of this repository, by its folder below `packs/`.
pub(crate) fn built(name: &'static str, folder: &str, component: &str) -> Member {
    let folder = packs().join(folder);
    Member {
        name,
        manifest: std::fs::read_to_string(folder.join("Capsule.toml")).unwrap(),
        component: Some(std::fs::read(folder.join(component)).unwrap()),
        tools: None,
        config: Vec::new(),
    }
}

pub(crate) fn probe() -> Member {
    built("probe", "probe/capsules/probe", "probe.wasm")
}

pub(crate) fn probe_loop() -> Member {
    built("probe-loop", "probe/capsules/probe-loop", "probe_loop.wasm")
}

/// A capsule that answers every call with `deny`, and one that traps in every call.
pub(crate) fn handmade(name: &'static str, topic: &str, body: &str) -> Member {
    let wat = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 1)
                (data (i32.const 64) "deny")
                (data (i32.const 80) "because")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                (func (export "hook") (param i32 i32 i32 i32) (result i32) {body}))
            (core instance $i (instantiate $m))
            (type $result' (record (field "action" string) (field "data" (option string))))
            (import "astrid:guest/lifecycle@1.0.0" (instance $lifecycle
                (type $r (record (field "action" string) (field "data" (option string))))
                (export "capsule-result" (type (eq $r)))))
            (alias export $lifecycle "capsule-result" (type $result))
            (func $hook (param "action" string) (param "payload" (list u8)) (result $result)
                (canon lift (core func $i "hook") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
            (export "astrid-hook-trigger" (func $hook)))"#
    );
    Member {
        name,
        manifest: format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n[[component]]\nfile = \"a.wasm\"\n\
             [subscribe]\n\"{topic}\" = {{ wit = \"opaque\", handler = \"hear\" }}\n"
        ),
        component: Some(wat::parse_str(wat).unwrap()),
        tools: None,
        config: Vec::new(),
    }
}

/// The body of a hook that answers `deny` with the reason `because`.
pub(crate) const DENY: &str = "
    (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 4))
    (i32.store (i32.const 24) (i32.const 1))
    (i32.store (i32.const 28) (i32.const 80)) (i32.store (i32.const 32) (i32.const 7))
    (i32.const 16)";

/// The body of a hook that traps.
pub(crate) const TRAP: &str = "unreachable";

struct RealClock(Instant);

impl Clock for RealClock {
    fn unix_ms(&self) -> u64 {
        1_790_000_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}

struct Quiet;

impl LogSink for Quiet {
    fn log(&self, _: &CapsuleName, _: &PrincipalId, _: LogLevel, _: &str) {}
}

impl SecretSource for Quiet {
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

pub(crate) struct TestHome {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) disk: Disk,
    pub(crate) store: Store,
}

impl TestHome {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        let disk = Disk::default();
        home.ensure(&disk).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let store = Store::new(home.clone(), disk.clone());
        Self { folder, home, disk, store }
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn writer(&self) -> WriterLock {
        WriterLock::acquire(&self.home, &self.disk, "test", Duration::from_secs(5)).unwrap()
    }

    /// Makes a generation of `members` the current one.
    pub(crate) fn apply(&self, declaration: &str, members: &[Member]) -> u64 {
        let number = self.stage(declaration, members).number();
        Switch::new(&self.home, &self.disk, &self.writer(), Some(number)).commit().unwrap();
        number.get()
    }

    /// Makes a generation of `members` that is not in force.
    pub(crate) fn stage(&self, declaration: &str, members: &[Member]) -> Generation {
        let writer = self.writer();
        let generations = Generations::new(self.home.clone(), self.disk.clone());
        let mut configuration = Configuration::default();
        let mut lock = Lock {
            schema_version: 2,
            must_understand: Lock::default_must_understand(),
            manifest_hash: Digest::of(b"declaration"),
            distro: LockedDistro {
                id: "test".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                source: None,
                commit: None,
            },
            selection: std::collections::BTreeMap::new(),
            capsules: members.iter().map(|member| self.locked(member)).collect(),
            packs: Vec::new(),
        };
        lock.sort();
        for member in members {
            let settings = member.config.iter().map(|(key, value)| {
                (key.parse().unwrap(), Setting::Value(serde_json::Value::String((*value).to_owned())))
            });
            configuration.capsules.insert(member.name.parse().unwrap(), settings.collect());
        }
        let key = self
            .home
            .ensure_key(&self.disk, &mut |bytes| {
                bytes.fill(7);
                Ok(())
            })
            .unwrap();
        let mut staged = generations.stage(&writer).unwrap();
        let declaration = format!(
            "schema-version = 1\n[distro]\nid = \"test\"\nname = \"Test\"\nversion = \"1.0.0\"\n{declaration}"
        );
        staged.write(Part::Declaration, declaration.as_bytes()).unwrap();
        staged.write(Part::Lock, lock.to_toml().as_bytes()).unwrap();
        staged.write(Part::Plan, b"{}").unwrap();
        staged.write_inventory(&Inventory::default()).unwrap();
        staged.write_configuration(&configuration, &key).unwrap();
        staged
            .publish(MetaInput {
                parent: generations.current_number().unwrap(),
                created: jiff::Timestamp::UNIX_EPOCH,
                by: "test".into(),
                action: Action::Apply,
                distro: "test".parse().unwrap(),
                origin: "test".into(),
                commit: None,
                tool: "0.1.0".into(),
            })
            .unwrap()
    }

    fn locked(&self, member: &Member) -> LockedCapsule {
        let manifest = self.store.put(member.manifest.as_bytes()).unwrap();
        let component = member.component.as_ref().map(|bytes| self.store.put(bytes).unwrap());
        let tools = member.tools.as_ref().map(|text| self.store.put(text.as_bytes()).unwrap());
        let of = [Some(manifest), component, tools];
        let parts: Vec<_> = of.iter().flatten().map(|digest| digest.as_bytes().as_slice()).collect();
        LockedCapsule {
            name: member.name.parse().unwrap(),
            requirement: None,
            version: "0.1.0".parse().unwrap(),
            source: "./capsule".parse().unwrap(),
            resolved_ref: None,
            pack: None,
            archive: None,
            content: Digest::of_parts("test", parts),
            component,
            manifest,
            wit: None,
            authority: Digest::of(b"authority"),
            tools,
            signer: Signer::Unsigned,
            provenance: None,
            bundle: None,
            at: Position::default(),
        }
    }

    pub(crate) fn options(&self) -> KernelOptions {
        KernelOptions {
            home: self.home.clone(),
            disk: self.disk.clone(),
            workspace: Some(self.workspace()),
            program: "/bin/astrid".into(),
            version: "0.1.0".into(),
            ports: KernelPorts {
                clock: Arc::new(RealClock(Instant::now())),
                entropy: Arc::new(RealEntropy),
                secrets: Arc::new(Quiet),
                log: Arc::new(Quiet),
            },
            limits: ServerLimits::default(),
        }
    }

    pub(crate) async fn boot(&self) -> Result<Kernel, KernelError> {
        Kernel::boot(self.options()).await
    }
}
