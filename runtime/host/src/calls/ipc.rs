//! Publishing and receiving events.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use astrid_authority::topic::{MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS};
use astrid_authority::{PrincipalId, Topic, TopicPattern};
use astrid_bus::{Batch, Event, PublishError, Scope, Subscription};
use wasmtime::component::Resource;

use super::bindings::astrid::ipc::host::{
    ErrorCode, Host, HostSubscription, InterceptorBinding, IpcEnvelope, IpcMessage, PrincipalAttribution,
};
use super::io::Pollable;
use crate::caller::Caller;
use crate::state::{CallState, Mode, Shared};

/// Largest payload, in bytes.
const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// Most messages of one envelope.
const MAX_MESSAGES: usize = 64;
/// Longest wait for a message.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// The window of the publishing limit.
const SECOND_NS: u64 = 1_000_000_000;
/// Principals that the publishing limit remembers before it forgets those of earlier seconds.
const MAX_WINDOWS: usize = 1024;

/// A subscription of a guest; dropping it frees its place among those of the capsule.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Received {
    subscription: Arc<Subscription>,
    capsule: Arc<Shared>,
}

impl Drop for Received {
    fn drop(&mut self) {
        self.capsule.subscriptions.fetch_sub(1, Ordering::AcqRel);
    }
}

impl CallState {
    /// Takes `bytes` from what the principal may publish in this second.
    fn take_from_rate(&self, bytes: u64) -> Result<(), ErrorCode> {
        let now = self.capsule.ports.clock.monotonic_ns();
        let most = self.capsule.spec.limits.publish_bytes_per_second;
        let mut windows = self.capsule.published.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |began: u64| now.saturating_sub(began) >= SECOND_NS;
        if windows.len() >= MAX_WINDOWS {
            windows.retain(|_, (began, _)| !is_old(*began));
        }
        let window = windows.entry(self.principal().clone()).or_insert((now, 0));
        if is_old(window.0) {
            *window = (now, 0);
        }
        let used = window.1.saturating_add(bytes);
        if used > most {
            return Err(ErrorCode::RateLimited);
        }
        window.1 = used;
        Ok(())
    }

    fn publish_event(
        &mut self,
        topic: &str,
        payload: String,
        claimed: Option<PrincipalId>,
    ) -> Result<(), ErrorCode> {
        if matches!(self.mode, Mode::Lifecycle { .. }) {
            return Err(ErrorCode::CapabilityDenied);
        }
        if topic.len() > MAX_TOPIC_BYTES {
            return Err(ErrorCode::InvalidInput);
        }
        self.take_from_rate((topic.len() + payload.len()) as u64)?;
        let topic: Topic = topic.parse().map_err(|_| ErrorCode::InvalidInput)?;
        if !self.capsule.spec.capabilities.may_publish(&topic) {
            return Err(ErrorCode::CapabilityDenied);
        }
        if payload.len() > MAX_PAYLOAD_BYTES
            || serde_json::from_str::<serde::de::IgnoredAny>(&payload).is_err()
        {
            return Err(ErrorCode::InvalidInput);
        }
        let event = Event {
            topic,
            payload: payload.into(),
            source: self.capsule.spec.source,
            principal: Some(self.principal().clone()),
            claimed,
            hops: self.caller.hops.saturating_add(1),
        };
        match self.capsule.ports.bus.publish(event) {
            Ok(_) => Ok(()),
            Err(PublishError::Depth | PublishError::FanOut { .. }) => Err(ErrorCode::Backpressure),
        }
    }

    /// Turns what was received into what a guest sees. In a loop, what follows is done for the
    /// principal of these messages, so that it can't be done for another one.
    fn envelope(&mut self, batch: Batch) -> IpcEnvelope {
        if self.mode == Mode::Run
            && let Some(event) = batch.events.first()
        {
            self.caller = Caller::of_event(event, self.capsule.ports.clock.unix_ms());
        }
        let messages = batch.events.iter().map(|event| IpcMessage {
            topic: event.topic.to_string(),
            payload: event.payload.to_string(),
            source_id: event.source.to_string(),
            principal: match (&event.claimed, &event.principal) {
                (Some(claimed), _) => PrincipalAttribution::Claimed(claimed.to_string()),
                (None, Some(principal)) => PrincipalAttribution::Verified(principal.to_string()),
                (None, None) => PrincipalAttribution::System,
            },
        });
        IpcEnvelope { messages: messages.collect(), dropped: batch.dropped, lagged: batch.lagged }
    }

    fn received(&self, subscription: &Resource<Received>) -> Result<Arc<Subscription>, ErrorCode> {
        let received = self.table.get(subscription).map_err(|_| ErrorCode::Closed)?;
        Ok(Arc::clone(&received.subscription))
    }
}

impl HostSubscription for &mut CallState {
    fn poll(&mut self, subscription: Resource<Received>) -> Result<IpcEnvelope, ErrorCode> {
        let batch = self.received(&subscription)?.poll(MAX_MESSAGES);
        Ok(self.envelope(batch))
    }

    async fn recv(
        &mut self,
        subscription: Resource<Received>,
        timeout_ms: u64,
    ) -> Result<IpcEnvelope, ErrorCode> {
        self.ticks = 0;
        let subscription = self.received(&subscription)?;
        let batch = subscription.recv(MAX_MESSAGES, Duration::from_millis(timeout_ms).min(MAX_WAIT)).await;
        Ok(self.envelope(batch))
    }

    fn subscribe_readiness(&mut self, subscription: Resource<Received>) -> Resource<Pollable> {
        // When the table is full the guest gets one that is always ready: it polls, and finds out.
        self.received(&subscription)
            .ok()
            .and_then(|subscription| self.table.push(Pollable::Subscription(subscription)).ok())
            .unwrap_or_else(|| Resource::new_own(u32::MAX))
    }

    fn drop(&mut self, subscription: Resource<Received>) -> wasmtime::Result<()> {
        self.table.delete(subscription)?;
        Ok(())
    }
}

impl Host for &mut CallState {
    fn publish(&mut self, topic: String, payload: String) -> Result<(), ErrorCode> {
        self.publish_event(&topic, payload, None)
    }

    fn publish_as(&mut self, topic: String, payload: String, principal: String) -> Result<(), ErrorCode> {
        if !self.capsule.spec.capabilities.uplink {
            return Err(ErrorCode::CapabilityDenied);
        }
        let claimed = principal.parse().map_err(|_| ErrorCode::InvalidInput)?;
        self.publish_event(&topic, payload, Some(claimed))
    }

    fn subscribe(&mut self, topic_pattern: String) -> Result<Resource<Received>, ErrorCode> {
        if topic_pattern.split('.').count() > MAX_TOPIC_SEGMENTS {
            return Err(ErrorCode::InvalidInput);
        }
        let pattern: TopicPattern = topic_pattern.parse().map_err(|_| ErrorCode::InvalidInput)?;
        if !pattern.is_subscribable() {
            return Err(ErrorCode::InvalidInput);
        }
        let is_lifecycle = matches!(self.mode, Mode::Lifecycle { .. });
        if is_lifecycle || !self.capsule.spec.capabilities.may_subscribe(&pattern) {
            return Err(ErrorCode::CapabilityDenied);
        }
        let capsule = Arc::clone(&self.capsule);
        let taken = capsule.subscriptions.fetch_add(1, Ordering::AcqRel);
        // A loop serves everybody; a call only its own principal.
        let scope = match self.mode {
            Mode::Run => Scope::All,
            Mode::Call | Mode::Lifecycle { .. } => Scope::Principal(self.principal().clone()),
        };
        if taken >= capsule.spec.limits.subscriptions {
            capsule.subscriptions.fetch_sub(1, Ordering::AcqRel);
            return Err(ErrorCode::Quota);
        }
        let subscription = Arc::new(capsule.ports.bus.subscribe(pattern, scope));
        self.table.push(Received { subscription, capsule }).map_err(|_| ErrorCode::Quota)
    }

    fn get_interceptor_bindings(&mut self) -> Result<Vec<InterceptorBinding>, ErrorCode> {
        let bindings = self.capsule.spec.bindings.iter().zip(1..);
        let binding = |(binding, handle_id): (&crate::spec::Binding, u64)| InterceptorBinding {
            handle_id,
            action: binding.action.clone(),
            topic: binding.topic.clone(),
        };
        Ok(bindings.map(binding).collect())
    }
}
