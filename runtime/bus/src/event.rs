//! One message on a topic, and who it comes from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use astrid_authority::{CapsuleName, Digest, PrincipalId, Topic};
use uuid::Uuid;

/// How many publications may follow from one another before the next is refused.
///
/// A handler that publishes what it handles would otherwise keep the machine busy for ever. One round
/// of an agent with a tool is about eight publications, so that this is some twenty rounds for one
/// prompt; a loop of handlers still ends within milliseconds.
pub const MAX_HOPS: u8 = 160;

/// Namespace of the ids that are derived from a capsule's name and component.
const CAPSULE_NAMESPACE: Uuid = Uuid::from_u128(0x3107_14d5_9c6d_4c94_8187_7525_8f39_3bb6);

/// Who put an event on the bus: a capsule, a connected client, or the kernel (the nil id).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Uuid);

impl SourceId {
    /// The kernel itself.
    pub const KERNEL: Self = Self(Uuid::nil());

    /// The id of a capsule: the same for the same name and the same component, on every machine.
    #[must_use]
    pub fn of_capsule(name: &CapsuleName, component: &Digest) -> Self {
        let text = format!("{name}\0{}", component.hex());
        Self(Uuid::new_v5(&CAPSULE_NAMESPACE, text.as_bytes()))
    }

    /// An id from 16 random bytes, such as for a client that connects.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// True for the kernel's own id.
    #[must_use]
    pub fn is_kernel(self) -> bool {
        self == Self::KERNEL
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceId({self})")
    }
}

/// The text is no source id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a source id is a UUID")]
pub struct SourceIdError;

impl FromStr for SourceId {
    type Err = SourceIdError;

    fn from_str(text: &str) -> Result<Self, SourceIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| SourceIdError)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it goes.
    pub topic: Topic,
    /// JSON text. The bus never looks into it.
    pub payload: Arc<str>,
    /// Who published it.
    pub source: SourceId,
    /// For whom, as verified; none when it is the system's own.
    pub principal: Option<PrincipalId>,
    /// For whom an uplink says it speaks. A claim: routing and access never look at it.
    pub claimed: Option<PrincipalId>,
    /// How many publications led to this one; at most [`MAX_HOPS`].
    pub hops: u8,
}

impl Event {
    /// An event of the kernel's own, for no principal.
    #[must_use]
    pub fn of_kernel(topic: Topic, payload: impl Into<Arc<str>>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            source: SourceId::KERNEL,
            principal: None,
            claimed: None,
            hops: 0,
        }
    }

    /// The same event, for `principal`.
    #[must_use]
    pub fn for_principal(mut self, principal: Option<PrincipalId>) -> Self {
        self.principal = principal;
        self
    }

    /// What the event costs in a queue, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capsule_keeps_its_id_and_another_component_gets_another() {
        let name = "fs".parse().unwrap();
        let one = SourceId::of_capsule(&name, &Digest::of(b"one"));
        assert_eq!(one, SourceId::of_capsule(&name, &Digest::of(b"one")));
        assert_ne!(one, SourceId::of_capsule(&name, &Digest::of(b"two")));
        assert_eq!(one.to_string().parse(), Ok(one));
        assert!(!one.is_kernel());
    }

    #[test]
    fn a_source_id_that_is_no_uuid_is_denied() {
        assert_eq!("kernel".parse::<SourceId>(), Err(SourceIdError));
    }
}
