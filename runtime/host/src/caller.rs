//! Who a call is made for.

use astrid_authority::PrincipalId;
use astrid_bus::{Event, SourceId};

/// Who a call is made for; everything the call stores and publishes belongs to that principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For whom; none for the system's own calls, which then act for the capsule's owner.
    pub principal: Option<PrincipalId>,
    /// Who published the event, or asked.
    pub source: SourceId,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// How many publications led to this call.
    pub hops: u8,
}

impl Caller {
    /// The kernel itself, for `principal`.
    #[must_use]
    pub fn kernel(principal: Option<PrincipalId>, at_ms: u64) -> Self {
        Self { principal, source: SourceId::KERNEL, at_ms, hops: 0 }
    }

    /// Whoever published `event`.
    #[must_use]
    pub fn of_event(event: &Event, at_ms: u64) -> Self {
        Self { principal: event.principal.clone(), source: event.source, at_ms, hops: event.hops }
    }
}
