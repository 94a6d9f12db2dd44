//! What the frames of the uplink hold. Unknown keys are ignored, so that both sides can grow.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the protocol that this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// Requests arrive on topics that begin so.
pub const REQUEST_PREFIX: &str = "astrid.v1.request.";
/// Their responses leave on topics that begin so, with the same rest.
pub const RESPONSE_PREFIX: &str = "astrid.v1.response.";
/// Says who took a publication; sent at once when the publication carried an `ack` id.
pub const ACCEPTED_TOPIC: &str = "astrid.v1.uplink.accepted";
/// Says how the handlers of a publication ended; sent when the last one has.
pub const SETTLED_TOPIC: &str = "astrid.v1.uplink.settled";
/// Says that a frame was refused, and why; always sent.
pub const REFUSED_TOPIC: &str = "astrid.v1.uplink.refused";

/// What a client says first, and again with a signature when it was challenged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeRequest {
    /// The token of `run/system.token`: 64 hexadecimal digits.
    pub token: String,
    /// The version of the protocol that the client speaks.
    pub protocol_version: u32,
    /// The version of the client, for messages.
    #[serde(default)]
    pub client_version: String,
    /// Who the client wants to be; without one it is `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_principal: Option<String>,
    /// An ed25519 signature in hexadecimal digits over the challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Whether a handshake goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandshakeStatus {
    /// Accepted, or to be answered when there is a challenge.
    Ok,
    /// Refused.
    Error,
}

/// What the kernel answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeResponse {
    /// Whether it goes on.
    pub status: HandshakeStatus,
    /// The version of the protocol that the kernel speaks.
    pub protocol_version: u32,
    /// The version of the kernel's program.
    pub server_version: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// 32 random bytes in hexadecimal digits, to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
}

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    #[serde(default)]
    pub payload: Value,
    /// Ignored: the kernel knows where a frame comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Must be the verified principal, or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// When present, the kernel says on `astrid.v1.uplink.accepted` and `.settled` what became of
    /// the publication, with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<String>,
}

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outbound {
    /// Where it was published.
    pub topic: String,
    /// What it says, as a capsule would see it.
    pub payload: Value,
    /// Who published it; the nil UUID is the kernel.
    pub source_id: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
}

/// The payload of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    pub method: String,
    /// With what.
    #[serde(default)]
    pub params: Value,
    /// Comes back in the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// The payload of a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// What `content` is: `Error`, or the name of the answer.
    pub status: String,
    /// The answer; for an error an object with `kind` and `message`.
    #[serde(default)]
    pub content: Value,
    /// That of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

impl Response {
    /// The status of a response that refuses.
    pub const ERROR: &str = "Error";

    /// An answer.
    ///
    /// # Errors
    /// When `content` has no JSON form.
    pub fn of<T: Serialize>(status: &str, content: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { status: status.to_owned(), content: serde_json::to_value(content)?, correlation_id: None })
    }

    /// A refusal.
    pub fn refused(refusal: &Refusal) -> Self {
        let content = serde_json::json!({ "kind": refusal.kind, "message": refusal.message });
        Self { status: Self::ERROR.to_owned(), content, correlation_id: None }
    }

    /// The refusal that this response is, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        (self.status == Self::ERROR).then(|| {
            serde_json::from_value(self.content.clone()).unwrap_or_else(|_| Refusal {
                kind: RefusalKind::Failed,
                message: self.content.as_str().unwrap_or("the kernel gave no reason").to_owned(),
            })
        })
    }
}

/// What sort of refusal it is; a caller decides by this, never by the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The frame or the parameters are malformed.
    Invalid,
    /// The principal may not.
    Denied,
    /// No such method, topic or capsule.
    Unknown,
    /// Too much at once; try again.
    Busy,
    /// It was tried, and failed.
    Failed,
    /// Stored bytes are not what the generation names.
    Corrupt,
    /// Nothing is healthy enough to answer in time.
    Unhealthy,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What sort it is.
    pub kind: RefusalKind,
    /// The reason and what to do, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal of `kind`.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Who took a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Capsules that will be invoked for it.
    pub handlers: usize,
    /// Subscriptions that have it in their queue.
    pub subscribers: usize,
}

/// How one handler ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The capsule.
    pub capsule: String,
    /// What it was invoked with.
    pub action: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a handler can end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran, and the chain goes on.
    Continued,
    /// It ran, and gave the answer that ends the chain.
    Final {
        /// The answer, when there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// It refused.
    Denied {
        /// Why.
        reason: String,
    },
    /// It could not be run, or trapped.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The reason, when the handler refused or failed.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Denied { reason } | Self::Failed { reason } => Some(reason),
            Self::Continued | Self::Final { .. } => None,
        }
    }
}

/// The payload on [`ACCEPTED_TOPIC`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedNotice {
    /// The `ack` id of the publication.
    pub ack: String,
    /// Where it was published.
    pub topic: String,
    /// Who took it.
    #[serde(flatten)]
    pub accepted: Accepted,
}

/// The payload on [`SETTLED_TOPIC`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledNotice {
    /// The `ack` id of the publication.
    pub ack: String,
    /// Where it was published.
    pub topic: String,
    /// How each handler ended; a chain that was stopped lists only those that ran.
    pub handlers: Vec<Ending>,
}

/// The payload on [`REFUSED_TOPIC`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedNotice {
    /// The `ack` id of the frame, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<String>,
    /// Its topic, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_its_response() {
        let refusal = Refusal::new(RefusalKind::Denied, "no");
        let text = serde_json::to_string(&Response::refused(&refusal)).unwrap();
        let back: Response = serde_json::from_str(&text).unwrap();
        assert_eq!(back.refusal(), Some(refusal));
        assert_eq!(Response::of("Status", &1).unwrap().refusal(), None);
    }

    #[test]
    fn endings_are_flat() {
        let ending = Ending {
            capsule: "fs".into(),
            action: "x".into(),
            outcome: Outcome::Denied { reason: "why".into() },
        };
        let value = serde_json::to_value(&ending).unwrap();
        assert_eq!(value["outcome"], "denied");
        assert_eq!(value["reason"], "why");
        assert_eq!(serde_json::from_value::<Ending>(value).unwrap(), ending);
    }
}
