//! The requests that clients make of the kernel.

use std::sync::Arc;

use astrid_bus::Event;
use astrid_store::{ErrorKind, GenerationNumber};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::generation::GenerationError;
use crate::kernel::{KernelError, Shared};
use crate::uplink::handshake::Caller;
use crate::uplink::message::{Accepted, Refusal, RefusalKind, Request};
use crate::uplink::server::{Publication, Published, Service};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichGeneration {
    generation: u64,
}

impl WhichGeneration {
    fn number(&self) -> Result<GenerationNumber, Refusal> {
        GenerationNumber::new(self.generation)
            .ok_or_else(|| Refusal::new(RefusalKind::Invalid, "generations count from 1"))
    }
}

impl From<KernelError> for Refusal {
    fn from(error: KernelError) -> Self {
        let kind = match &error {
            KernelError::Generation(
                GenerationError::NotCurrent { .. }
                | GenerationError::Invalid { .. }
                | GenerationError::Overrides(_),
            )
            | KernelError::Cycle(_) => RefusalKind::Invalid,
            KernelError::Generation(GenerationError::Store(store)) => match store.kind() {
                ErrorKind::Corrupt | ErrorKind::Missing => RefusalKind::Corrupt,
                ErrorKind::Busy => RefusalKind::Busy,
                ErrorKind::Invalid | ErrorKind::Io => RefusalKind::Failed,
            },
            _ => RefusalKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

fn params<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let method = request.method;
    serde_json::from_value(request.params)
        .map_err(|error| Refusal::new(RefusalKind::Invalid, format!("parameters of {method}: {error}")))
}

fn content<T: Serialize>(status: &'static str, value: &T) -> Result<(&'static str, Value), Refusal> {
    let value = serde_json::to_value(value).map_err(|error| {
        Refusal::new(RefusalKind::Failed, format!("the answer has no JSON form: {error}"))
    })?;
    Ok((status, value))
}

impl Service for Shared {
    async fn request(&self, caller: &Caller, request: Request) -> Result<(&'static str, Value), Refusal> {
        if matches!(request.method.as_str(), "Status" | "GetStatus") {
            return content("Status", &self.status());
        }
        if caller.principal() != Some(self.fleet.owner()) {
            let message = format!("`{}` may only ask for the status", caller.name());
            return Err(Refusal::new(RefusalKind::Denied, message));
        }
        match request.method.as_str() {
            "ListCapsules" => content("Capsules", &self.fleet.capsules()),
            "Tools" => content("Tools", &self.fleet.tools()),
            "Converge" => {
                let number = params::<WhichGeneration>(request)?.number()?;
                content("Converged", &self.converge(number).await?)
            }
            "PrepareSwitch" => {
                let number = params::<WhichGeneration>(request)?.number()?;
                content("Prepared", &self.prepare(number).await?)
            }
            // After a switch that happened this keeps what the hooks wrote; after one that did not, it forgets.
            "SettleSwitch" => {
                self.settle_prepared().await?;
                Ok(("Success", json!({})))
            }
            "Shutdown" => {
                self.stop.send_replace(true);
                Ok(("Success", json!({})))
            }
            other => {
                let message = format!("the kernel has no method `{other}`");
                Err(Refusal::new(RefusalKind::Unknown, message))
            }
        }
    }

    fn publish(&self, publication: Publication) -> Result<Published, Refusal> {
        let Publication { topic, payload, source, principal } = publication;
        let event = Event {
            topic,
            payload: Arc::from(payload),
            source,
            principal: Some(principal),
            claimed: None,
            hops: 0,
        };
        let (delivered, settled) = self
            .dispatcher
            .publish(&self.bus, event)
            .map_err(|error| Refusal::new(RefusalKind::Busy, error.to_string()))?;
        let accepted = Accepted { handlers: delivered.handlers, subscribers: delivered.subscribers };
        Ok(Published { accepted, settled })
    }
}
