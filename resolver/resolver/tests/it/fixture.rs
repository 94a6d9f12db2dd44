//! A home, a repository, a clock and randomness that are the same on every run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use astrid_authority::{Digest, PrincipalId};
use astrid_manifest::subject::Subject;
use astrid_resolver::apply::{Applied, ApplyOptions, Applying, BeforeSwitch, NoHooks, apply};
use astrid_resolver::observed::Depth;
use astrid_resolver::proposal::{Options, Proposal, propose};
use astrid_resolver::resolution::Request;
use astrid_resolver::rollback::{RollbackOptions, rollback};
use astrid_resolver::saved_plan::SavedPlan;
use astrid_resolver::trust::grant::{Caller, grant};
use astrid_resolver::trust::{Flags, TrustedPlan};
use astrid_resolver::verified::{Freshness, VerifiedFleet, verified};
use astrid_resolver::{Clock, Context, Declaration, Entropy, Result, Target};
use astrid_store::generation::{Action, GenerationNumber};
use astrid_store::{Disk, Home, Store};
use jiff::Timestamp;
use tempfile::TempDir;

struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(60, Ordering::Relaxed)).unwrap()
    }
}

struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

/// A machine with one home and one repository.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) context: Context,
    pub(crate) vars: BTreeMap<String, String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) acks_of_repository: bool,
    pub(crate) allow_empty: bool,
    pub(crate) builtin: Vec<(Subject, Digest)>,
    pub(crate) look: Option<Depth>,
    pub(crate) repository: PathBuf,
}

pub(crate) fn trust_all() -> Flags {
    Flags { trust_all: true, ..Flags::default() }
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// A machine whose disk is memory, where there is such a thing: for tests that write very often.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(root: &Path) -> Self {
        let folder = tempfile::tempdir_in(root).unwrap();
        let repository = folder.path().join("repo");
        std::fs::create_dir_all(&repository).unwrap();
        let context = context_in(folder.path(), Disk::default());
        Self {
            folder,
            context,
            vars: BTreeMap::new(),
            env: BTreeMap::new(),
            acks_of_repository: false,
            allow_empty: false,
            builtin: Vec::new(),
            look: None,
            repository,
        }
    }

    /// The same machine with a disk that has faults.
    pub(crate) fn with_disk(&mut self, disk: Disk) {
        self.context = context_in(self.folder.path(), disk);
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.repository.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A capsule without code: everything that its manifest grants counts.
    pub(crate) fn capsule(&self, name: &str, version: &str, capabilities: &str) {
        let text = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\n\n[capabilities]\n{capabilities}\n"
        );
        self.write(&format!("{name}/Capsule.toml"), &text);
    }

    /// A pack that discloses the network, and holds one file with these bytes.
    pub(crate) fn pack(&self, id: &str, version: &str, reason: &str, bytes: &str) {
        let text = format!(
            "schema_version: 1\nid: {id}\nname: {id}\nversion: \"{version}\"\ndescription: a pack\ncontent:\n  executors: executors\npermissions:\n  - id: network\n    reason: {reason}\n"
        );
        self.write(&format!("{id}/pack.yaml"), &text);
        self.write(&format!("{id}/executors/one/run.py"), bytes);
    }

    pub(crate) fn distro(&self, version: &str, rest: &str) {
        self.write("Distro.toml", &distro("starter", version, rest));
    }

    pub(crate) fn declaration(&self) -> Declaration {
        let target = Target::parse(self.repository.to_str().unwrap(), Path::new("/")).unwrap();
        Declaration::load(&self.context, &target).unwrap()
    }

    pub(crate) fn fleet(&self) -> Result<VerifiedFleet> {
        verified(&self.context, &self.declaration(), &Request::default(), Freshness::Hash)
    }

    pub(crate) fn propose(&self) -> Result<Proposal> {
        let fleet = self.fleet()?;
        let environment = |name: &str| self.env.get(name).cloned();
        let options = Options {
            overrides: &self.vars,
            environment: &environment,
            principal: &PrincipalId::default_user(),
            acks_of_repository: self.acks_of_repository,
            builtin: &self.builtin,
            returning: &[],
            allow_empty: self.allow_empty,
            tool: "0.1.0",
            look: self.look,
        };
        propose(&self.context, fleet, &options)
    }

    pub(crate) fn apply_with(
        &self,
        flags: &Flags,
        saved: Option<&SavedPlan>,
        hooks: &mut dyn BeforeSwitch,
    ) -> Result<(Applied, TrustedPlan)> {
        let proposal = self.propose()?;
        if let Some(saved) = saved {
            saved.check_unused(&self.context.home)?;
            saved.check(&proposal.plan)?;
        }
        let (plan, acknowledgements, draft, parts) = proposal.into_parts();
        let caller = Caller { by: "Ada <ada@example.org>", now: self.context.clock.now() };
        let trusted = grant(plan, &acknowledgements, flags, None, caller)?;
        let configuration = draft.complete(None)?;
        let options = ApplyOptions {
            command: "astrid apply",
            lock_timeout: Duration::ZERO,
            write_lock: true,
            made_by: Action::Apply,
            saved: saved.map(|saved| saved.document().nonce),
        };
        let applied = apply(&self.context, &trusted, Applying::new(parts, configuration), &options, hooks)?;
        Ok((applied, trusted))
    }

    pub(crate) fn apply(&self, flags: &Flags) -> Result<Applied> {
        self.apply_with(flags, None, &mut NoHooks).map(|(applied, _)| applied)
    }

    pub(crate) fn rollback(&self, to: Option<u64>) -> Result<Applied> {
        let to = to.map(|to| GenerationNumber::new(to).unwrap());
        let options =
            RollbackOptions { to, command: "astrid rollback", lock_timeout: Duration::ZERO, tool: "0.1.0" };
        rollback(&self.context, &options, &mut NoHooks)
    }

    /// Remembers the machine as it is now.
    pub(crate) fn snapshot(&self) -> TempDir {
        let snapshot = tempfile::tempdir().unwrap();
        copy(self.folder.path(), snapshot.path());
        snapshot
    }

    /// Makes the machine what it was: at the same place, because origins are paths.
    pub(crate) fn restore(&mut self, snapshot: &TempDir) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        copy(snapshot.path(), self.folder.path());
        self.with_disk(Disk::default());
    }

    /// The number that `generations/current` points to.
    pub(crate) fn current(&self) -> Option<u64> {
        let target = std::fs::read_link(self.context.home.current()).ok()?;
        Some(target.to_str().unwrap().parse().unwrap())
    }
}

pub(crate) fn distro(id: &str, version: &str, rest: &str) -> String {
    format!(
        "schema-version = 1\n\n[distro]\nid = \"{id}\"\nname = \"Starter\"\nversion = \"{version}\"\n\n{rest}\n"
    )
}

fn context_in(folder: &Path, disk: Disk) -> Context {
    let home = Home::new(folder.join("home"), folder.join("packs")).unwrap();
    let store = Store::new(home.clone(), disk);
    let clock = Arc::new(Ticking(AtomicI64::new(1_800_000_000)));
    Context::new(home, store, clock, Arc::new(Counting(AtomicU8::new(1))), "Ada <ada@example.org>".to_owned())
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
