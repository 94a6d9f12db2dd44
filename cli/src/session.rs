//! One run: shell, world, flags, and the library's context when a verb needs it.
//!
//! Nothing here is made before it is needed: `version` touches no file, `status` no network.

use std::sync::Arc;

use astrid_resolver::context::{Context, Network, Token};
use astrid_store::faults::{FailAt, FromCount};
use astrid_store::{Disk, Home, Store, WriterLock};

use crate::args::Global;
use crate::exit::{Failure, Kind};
use crate::progress::Bars;
use crate::prompt;
use crate::shell::Shell;
use crate::world::{SystemClock, SystemEntropy, World};

/// One run of the program.
pub(crate) struct Session {
    pub(crate) shell: Shell,
    pub(crate) world: World,
    pub(crate) global: Global,
    disk: Disk,
    /// Stores that are thrown away when the run ends.
    aside: Vec<tempfile::TempDir>,
}

impl Session {
    pub(crate) fn new(shell: Shell, world: World, global: Global) -> Self {
        let disk = disk(&world);
        Self { shell, world, global, disk, aside: Vec::new() }
    }

    /// The home's layout. Nothing is created.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        let root = self.world.astrid_home(self.global.home.as_deref())?;
        let packs = self.world.packs_root(&root);
        let home = Home::new(root, packs)?;
        home.check_layout()?;
        Ok(home)
    }

    /// The port to the disk: one for the whole run.
    pub(crate) fn disk(&self) -> Disk {
        self.disk.clone()
    }

    pub(crate) fn clock(&self) -> Arc<SystemClock> {
        Arc::new(SystemClock::new(&self.world))
    }

    pub(crate) fn entropy(&self) -> Arc<SystemEntropy> {
        Arc::new(SystemEntropy::new(&self.world))
    }

    /// A store that is thrown away when the run ends: for bytes that nobody trusts yet.
    pub(crate) fn store_aside(&mut self) -> Result<Store, Failure> {
        let folder = tempfile::tempdir()?;
        prompt::remove_on_interrupt(folder.path());
        let home = Home::new(folder.path().join("home"), folder.path().join("packs"))?;
        self.aside.push(folder);
        Ok(Store::new(home, self.disk().fleeting()))
    }

    /// A context for a run that only looks until somebody trusts what it found: all that it fetches is thrown away
    /// when the run ends, and the home stays as it is.
    pub(crate) fn context_aside(&mut self) -> Result<Context, Failure> {
        let folder = tempfile::tempdir()?;
        prompt::remove_on_interrupt(folder.path());
        let root = folder.path().to_owned();
        self.aside.push(folder);
        let home = Home::new(root.join("home"), root.join("packs"))?;
        // What tests make fail is the home's disk.
        let store = Store::new(home, Disk::default().fleeting());
        Ok(self.context()?.looking_only(root.join("var"), store))
    }

    /// This run may not use the network.
    pub(crate) fn is_offline(&self) -> bool {
        self.global.offline || self.global.frozen
    }

    /// What the resolver is given. The store's folders are not created by asking for them.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        let home = self.home()?;
        let store = Store::new(home.clone(), self.disk());
        let caller = self.caller();
        let mut context = Context::new(home, store, self.clock(), self.entropy(), caller);
        if self.is_offline() {
            context.network = Network::Offline;
        }
        let token = ["GH_TOKEN", "GITHUB_TOKEN"].iter().find_map(|name| self.world.variable(name));
        context.tokens.release = token.and_then(Token::new);
        if let Some(base) = self.world.variable("ASTRID_RELEASE_API") {
            context.endpoints.release_api = base.parse().map_err(|_| {
                Failure::usage("ASTRID_RELEASE_API is no URL").hint("set it to an https:// address")
            })?;
        }
        let proxy = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        context.endpoints.proxy = proxy.iter().find_map(|name| self.world.variable(name)).map(str::to_owned);
        if self.shell.draws_progress() {
            context.progress = Arc::new(Bars::new());
        }
        Ok(context)
    }

    /// Who runs this, as `name <mail>`: what git would write, else the login name.
    pub(crate) fn caller(&self) -> String {
        let variable = |name: &str| self.world.variable(name).map(str::to_owned);
        let (own_name, own_mail) = self.world.git_identity();
        let name = variable("GIT_AUTHOR_NAME").or(own_name).or_else(|| variable("USER"));
        let name = name.or_else(|| variable("LOGNAME")).unwrap_or_else(|| "unknown".to_owned());
        match variable("GIT_AUTHOR_EMAIL").or(own_mail).or_else(|| variable("EMAIL")) {
            Some(mail) => format!("{name} <{mail}>"),
            None => name,
        }
    }

    /// Refuses what would change a file of the repository when `--frozen` was said.
    pub(crate) fn may_write_repository(&self) -> Result<(), Failure> {
        if !self.global.frozen {
            return Ok(());
        }
        Err(Failure::new(Kind::NeedsNetwork, "`--frozen` writes nothing in the repository")
            .hint("leave out --frozen; `astrid lock --check` and `astrid plan --frozen` only look"))
    }

    /// The lock of the one writer, waited for as long as `--lock-timeout` says.
    pub(crate) fn write_lock(&self, home: &Home, verb: &str) -> Result<WriterLock, Failure> {
        Ok(WriterLock::acquire(home, &self.disk(), verb, self.global.lock_timeout)?)
    }
}

/// The disk of this machine. In debug builds tests make it fail: `ASTRID_TEST_ABORT_AT_WRITE` ends the process
/// before that write, `ASTRID_TEST_FULL_AT_WRITE` fills the disk with it.
fn disk(world: &World) -> Disk {
    if !cfg!(debug_assertions) {
        return Disk::default();
    }
    let told = |name: &str| world.variable(name).and_then(|text| text.parse().ok());
    match (told("ASTRID_TEST_ABORT_AT_WRITE"), told("ASTRID_TEST_FULL_AT_WRITE")) {
        (Some(at), _) => Disk::with_faults(Arc::new(FromCount::new(at))),
        (None, Some(at)) => Disk::with_faults(Arc::new(FailAt::full_from(at))),
        (None, None) => Disk::default(),
    }
}

impl From<astrid_store::StoreError> for Failure {
    fn from(error: astrid_store::StoreError) -> Self {
        use astrid_store::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::Io => Kind::Failed,
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::Corrupt | ErrorKind::Missing => Kind::Corrupt,
            ErrorKind::Busy => Kind::Busy,
        };
        Self::new(kind, error.to_string())
    }
}
