//! Waiting for one of several things.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use astrid_bus::Subscription;
use wasmtime::component::Resource;

use super::bindings::astrid::io::poll::{ErrorCode, Host, HostPollable};
use crate::state::CallState;

/// Most things that are waited for at once.
const MAX_POLLABLES: usize = 256;

/// Something that becomes ready.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Pollable {
    /// When a message waits.
    Subscription(Arc<Subscription>),
}

impl Pollable {
    fn is_ready(&self) -> bool {
        match self {
            Self::Subscription(subscription) => subscription.is_ready(),
        }
    }

    async fn ready(&self) {
        match self {
            Self::Subscription(subscription) => subscription.ready().await,
        }
    }
}

impl HostPollable for &mut CallState {
    fn ready(&mut self, pollable: Resource<Pollable>) -> bool {
        // One that is gone will not change any more: there is nothing to wait for.
        self.table.get(&pollable).map_or(true, Pollable::is_ready)
    }

    async fn block(&mut self, pollable: Resource<Pollable>) -> Result<(), ErrorCode> {
        self.ticks = 0;
        let pollable = self.table.get(&pollable).map_err(|_| ErrorCode::Closed)?;
        pollable.ready().await;
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        // One that could not be made, as the table was full, is not there.
        let _ = self.table.delete(pollable);
        Ok(())
    }
}

impl Host for &mut CallState {
    async fn poll(&mut self, pollables: Vec<Resource<Pollable>>) -> Result<Vec<u32>, ErrorCode> {
        if pollables.is_empty() {
            return Err(ErrorCode::InvalidInput);
        }
        if pollables.len() > MAX_POLLABLES {
            return Err(ErrorCode::TooLarge);
        }
        self.ticks = 0;
        let found: Result<Vec<&Pollable>, _> = pollables.iter().map(|one| self.table.get(one)).collect();
        let found = found.map_err(|_| ErrorCode::Closed)?;
        let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = found
            .iter()
            .map(|one| Box::pin(one.ready()) as Pin<Box<dyn Future<Output = ()> + Send>>)
            .collect();
        std::future::poll_fn(|context| {
            let any = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let ready = found.iter().enumerate().filter(|(_, one)| one.is_ready());
        Ok(ready.filter_map(|(at, _)| u32::try_from(at).ok()).collect())
    }
}
