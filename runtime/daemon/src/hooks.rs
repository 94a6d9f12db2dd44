//! Lifecycle hooks, run in the sandbox before an apply switches.
//!
//! Where a kernel runs it is asked to run them, since it holds the values; else they run here.

use astrid_kernel::hooks::{Loading, Prepared};
use astrid_kernel::kernel::prepare_alone;
use astrid_kernel::uplink::endpoint::RunFolder;
use astrid_kernel::uplink::message::RefusalKind;
use astrid_kernel::{KernelError, KernelPorts};
use astrid_resolver::apply::BeforeSwitch;
use astrid_resolver::{Error, ErrorKind, Result};
use astrid_store::generation::Generation;
use astrid_store::{Disk, Home};

use crate::client::{Client, ClientError};

enum Where {
    Nowhere,
    Kernel(Box<Client>),
    Here(Box<Prepared>),
}

/// Runs the hooks of a new generation; what they write is kept only if it comes into force.
pub struct SandboxHooks {
    home: Home,
    disk: Disk,
    ports: KernelPorts,
    loading: Loading,
    prepared: Where,
}

impl SandboxHooks {
    /// Hooks over `home`; `ports` and `loading` are used when no kernel runs. One that runs loads all.
    pub fn new(home: Home, disk: Disk, ports: KernelPorts, loading: Loading) -> Self {
        Self { home, disk, ports, loading, prepared: Where::Nowhere }
    }

    fn prepare_here(&self, from: Option<&Generation>, to: &Generation) -> Result<Prepared> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failed("lifecycle hooks can't be run").caused_by(error))?;
        let (home, disk) = (self.home.clone(), self.disk.clone());
        let prepared = runtime.block_on(prepare_alone(home, disk, &self.ports, from, to, self.loading));
        prepared.map_err(hook_error)
    }
}

fn hook_error(error: KernelError) -> Error {
    let message = error.to_string();
    let kind = match &error {
        KernelError::Store(store) if store.kind() == astrid_store::ErrorKind::Corrupt => ErrorKind::Corrupt,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, message).hint("nothing was switched; the capsule's log has the details")
}

fn client_error(error: ClientError) -> Error {
    let kind = match error.refusal_kind() {
        Some(RefusalKind::Corrupt) => ErrorKind::Corrupt,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, error.to_string())
}

impl BeforeSwitch for SandboxHooks {
    fn before_switch(&mut self, from: Option<&Generation>, to: &Generation) -> Result<()> {
        let runs =
            RunFolder::new(self.home.run()).is_locked().map_err(|error| Error::failed(error.to_string()))?;
        self.prepared = if runs {
            let mut client = Client::connect_owner(&self.home).map_err(|error| {
                client_error(error)
                    .hint("a kernel runs and can't be asked; run `astrid stop`, then apply again")
            })?;
            client.prepare_switch(to.number()).map_err(client_error)?;
            Where::Kernel(Box::new(client))
        } else {
            Where::Here(Box::new(self.prepare_here(from, to)?))
        };
        Ok(())
    }

    fn abandoned(&mut self) {
        match std::mem::replace(&mut self.prepared, Where::Nowhere) {
            Where::Kernel(mut client) => {
                if let Err(error) = client.settle_switch() {
                    // The next switch makes it forget as well.
                    tracing::debug!(%error, "the kernel still keeps what the hooks wrote");
                }
            }
            Where::Here(prepared) => drop(prepared),
            Where::Nowhere => {}
        }
    }

    fn switched(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.prepared, Where::Nowhere) {
            Where::Kernel(mut client) => client.settle_switch().map_err(client_error),
            Where::Here(prepared) => prepared
                .commit()
                .map_err(|error| Error::failed("what lifecycle hooks wrote was lost").caused_by(error)),
            Where::Nowhere => Ok(()),
        }
    }
}
