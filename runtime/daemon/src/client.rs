//! A connection to the kernel, for programs that ask and wait.
//!
//! Connecting never creates or changes a file of the home.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use astrid_authority::PrincipalId;
use astrid_kernel::uplink::endpoint::RunFolder;
use astrid_kernel::uplink::frame::{self, FrameError, MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES};
use astrid_kernel::uplink::key::{self, KeyError, PrincipalKey};
use astrid_kernel::uplink::message::{
    ACCEPTED_TOPIC, AcceptedNotice, HandshakeRequest, HandshakeResponse, HandshakeStatus, Inbound, Outbound,
    PROTOCOL_VERSION, REFUSED_TOPIC, REQUEST_PREFIX, RESPONSE_PREFIX, Refusal, RefusalKind, RefusedNotice,
    Request, Response, SETTLED_TOPIC, SettledNotice,
};
use astrid_kernel::{CapsuleStatus, Converged, Status, ToolStatus};
use astrid_store::{GenerationNumber, Home};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long the kernel may take to answer what it knows at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to go to another generation, or to run its hooks.
const CONVERGE_WITHIN: Duration = Duration::from_mins(15);

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No kernel listens (exit code 69).
    #[error("the kernel does not run; `astrid start` starts it")]
    NotRunning,
    /// It listens, and does not let this client in (exit code 69).
    #[error("the kernel does not let this client in: {0}")]
    NotAdmitted(String),
    /// The owner's key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The connection failed, or the kernel stopped (exit code 69).
    #[error("the connection to the kernel failed: {0}")]
    Connection(#[from] FrameError),
    /// No answer in time.
    #[error("the kernel did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// It answered that it will not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No running capsule takes the call.
    #[error("no running capsule offers the tool `{0}`; `astrid tools list` shows those that are offered")]
    NoTool(String),
    /// The capsule refused the call, crashed, or gave no answer.
    #[error("tool `{tool}`: {reason}")]
    Tool {
        /// Which tool.
        tool: String,
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// True when there is no kernel to talk with: the answer would be the same for any request.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::NotRunning | Self::NotAdmitted(_) | Self::Connection(_))
    }

    /// What sort of refusal it is, when it is one.
    pub fn refusal_kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Refused(refusal) => Some(refusal.kind),
            _ => None,
        }
    }
}

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ToolResult {
    /// The id of the call.
    #[serde(default)]
    pub call_id: String,
    /// What it answered: usually JSON text, or the text of an error.
    pub content: String,
    /// The tool failed.
    #[serde(default)]
    pub is_error: bool,
}

/// A connection.
pub struct Client {
    stream: UnixStream,
    server_version: String,
    /// Unguessable by others, so that calls of different clients don't get in each other's way.
    prefix: String,
    next: u64,
    /// Frames that came while something else was waited for.
    waiting: VecDeque<Outbound>,
}

impl Client {
    /// Connects as `principal`; without one, as somebody who may only ask for the status.
    ///
    /// # Errors
    /// When no kernel runs, or it does not let this client in.
    pub fn connect(home: &Home, principal: Option<&PrincipalId>) -> Result<Self, ClientError> {
        let run = RunFolder::new(home.run());
        let stream = match UnixStream::connect(run.socket()) {
            Ok(stream) => stream,
            Err(error) => return Err(not_running(error)),
        };
        let token = std::fs::read_to_string(run.token()).map_err(not_running)?;
        let key =
            principal.map(|own| PrincipalKey::load(&key::path_of(&home.keys(), own))).transpose()?.flatten();
        let mut client = Self {
            stream,
            server_version: String::new(),
            prefix: String::new(),
            next: 0,
            waiting: VecDeque::new(),
        };
        let mut request = HandshakeRequest {
            token,
            protocol_version: PROTOCOL_VERSION,
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            claimed_principal: None,
            signature: None,
        };
        let claim = principal.zip(key.as_ref());
        request.claimed_principal = claim.map(|(principal, _)| principal.to_string());
        let response = client.shake_hands(&request)?;
        if let (Some((principal, key)), Some(challenge)) = (claim, &response.challenge) {
            request.signature = Some(key.answer(principal, challenge));
            challenge.get(..16).unwrap_or(challenge).clone_into(&mut client.prefix);
            client.shake_hands(&request)?;
        }
        client.server_version = response.server_version;
        Ok(client)
    }

    /// Connects as the owner of the home.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_owner(home: &Home) -> Result<Self, ClientError> {
        Self::connect(home, Some(&PrincipalId::default_user()))
    }

    fn shake_hands(&mut self, request: &HandshakeRequest) -> Result<HandshakeResponse, ClientError> {
        self.stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(FrameError::Io)?;
        self.stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(FrameError::Io)?;
        frame::write_blocking(&mut self.stream, request, MAX_HANDSHAKE_BYTES)?;
        let Some(body) = frame::read_blocking(&mut self.stream, MAX_HANDSHAKE_BYTES)? else {
            return Err(ClientError::NotAdmitted("it closed the connection".to_owned()));
        };
        let response: HandshakeResponse = frame::decode(&body)?;
        match response.status {
            HandshakeStatus::Ok => Ok(response),
            HandshakeStatus::Error => Err(ClientError::NotAdmitted(
                response.reason.unwrap_or_else(|| "it gave no reason".to_owned()),
            )),
        }
    }

    /// The version of the kernel's program.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// What the kernel says about itself and its capsules.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        self.ask("Status", json!({}), ANSWER_WITHIN)
    }

    /// What every capsule is doing.
    ///
    /// # Errors
    /// When the connection fails, or this client is not the owner's.
    pub fn ps(&mut self) -> Result<Vec<CapsuleStatus>, ClientError> {
        self.ask("ListCapsules", json!({}), ANSWER_WITHIN)
    }

    /// Every tool that running capsules offer.
    ///
    /// # Errors
    /// As [`Client::ps`].
    pub fn tools(&mut self) -> Result<Vec<ToolStatus>, ClientError> {
        self.ask("Tools", json!({}), ANSWER_WITHIN)
    }

    /// Has the kernel go to generation `number`, which must be the current one.
    ///
    /// # Errors
    /// When it is not the current one or can't be run, or the connection fails.
    pub fn converge(&mut self, number: GenerationNumber) -> Result<Converged, ClientError> {
        self.ask("Converge", json!({ "generation": number }), CONVERGE_WITHIN)
    }

    /// Has the kernel run the lifecycle hooks of generation `number`; names the capsules that had some.
    ///
    /// # Errors
    /// When one fails, or the connection does.
    pub fn prepare_switch(&mut self, number: GenerationNumber) -> Result<Vec<String>, ClientError> {
        self.ask("PrepareSwitch", json!({ "generation": number }), CONVERGE_WITHIN)
    }

    /// Has the kernel keep what the hooks wrote if their generation is in force now, and else forget it.
    ///
    /// # Errors
    /// When it can't be kept, or the connection fails.
    pub fn settle_switch(&mut self) -> Result<(), ClientError> {
        self.ask::<Value>("SettleSwitch", json!({}), CONVERGE_WITHIN).map(drop)
    }

    /// Asks the kernel to stop. It has answered, not stopped, when this returns.
    ///
    /// # Errors
    /// As [`Client::ps`].
    pub fn shutdown(&mut self) -> Result<(), ClientError> {
        self.ask::<Value>("Shutdown", json!({}), ANSWER_WITHIN).map(drop)
    }

    /// Chooses what the kernel sends without being asked: events on topics that match `patterns`.
    ///
    /// # Errors
    /// When one of them may not be received, or the connection fails.
    pub fn subscribe(&mut self, patterns: &[&str]) -> Result<(), ClientError> {
        self.ask::<Value>("Subscribe", json!({ "patterns": patterns }), ANSWER_WITHIN).map(drop)
    }

    /// Publishes `payload` on `topic` and waits until every handler has ended.
    ///
    /// # Errors
    /// When the topic is refused, or nothing is heard within `timeout`.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: Value,
        timeout: Duration,
    ) -> Result<SettledNotice, ClientError> {
        let ack = self.next_id();
        let deadline = Instant::now() + timeout;
        self.say(topic, payload, Some(ack.clone()))?;
        loop {
            let outbound = self.hear(deadline, timeout)?;
            if let Some(refusal) = refused(&outbound, Some(&ack)) {
                return Err(refusal.into());
            }
            if outbound.topic == SETTLED_TOPIC {
                let notice: SettledNotice = parse(outbound.payload)?;
                if notice.ack == ack {
                    return Ok(notice);
                }
            }
        }
    }

    /// The next event that was subscribed to; none when nothing comes within `timeout`.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Outbound>, ClientError> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Ok(Some(waiting));
        }
        match self.hear(Instant::now() + timeout, timeout) {
            Ok(outbound) => Ok(Some(outbound)),
            Err(ClientError::Timeout(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls a tool and waits for its answer.
    ///
    /// # Errors
    /// When no capsule offers it, the capsule refuses or crashes, or `timeout` passes. A tool that ran
    /// and failed is an answer, with [`ToolResult::is_error`].
    pub fn tool_call(
        &mut self,
        name: &str,
        arguments: Value,
        timeout: Duration,
    ) -> Result<ToolResult, ClientError> {
        let topic = format!("tool.v1.execute.{name}");
        if name.contains('.') || topic.parse::<astrid_authority::Topic>().is_err() {
            return Err(ClientError::NoTool(name.to_owned()));
        }
        let result_topic = format!("{topic}.result");
        self.subscribe(&[&result_topic])?;
        let call_id = self.next_id();
        let deadline = Instant::now() + timeout;
        let payload = json!({
            "type": "tool_execute_request", "call_id": call_id, "tool_name": name, "arguments": arguments,
        });
        self.say(&topic, payload, Some(call_id.clone()))?;
        let failed = |reason: &str| ClientError::Tool { tool: name.to_owned(), reason: reason.to_owned() };
        let mut subscribers = 0;
        loop {
            let outbound = self.hear(deadline, timeout)?;
            if let Some(refusal) = refused(&outbound, Some(&call_id)) {
                return Err(refusal.into());
            }
            match outbound.topic.as_str() {
                ACCEPTED_TOPIC => {
                    let notice: AcceptedNotice = parse(outbound.payload)?;
                    subscribers = notice.accepted.subscribers;
                    if notice.ack == call_id && notice.accepted.handlers + subscribers == 0 {
                        return Err(ClientError::NoTool(name.to_owned()));
                    }
                }
                SETTLED_TOPIC => {
                    let notice: SettledNotice = parse(outbound.payload)?;
                    if notice.ack != call_id {
                        continue;
                    }
                    // The answer of a handler comes before its end, so without one there will be none,
                    // unless a running loop took the call as well.
                    if let Some(reason) = notice.handlers.iter().find_map(|ending| ending.outcome.refusal()) {
                        return Err(failed(reason));
                    }
                    if subscribers == 0 {
                        return Err(failed("its capsule ended the call without an answer"));
                    }
                }
                topic if topic == result_topic => {
                    let mut payload = outbound.payload;
                    let inner = payload.get_mut("result").map(Value::take);
                    let mut result: ToolResult = parse(inner.unwrap_or_else(|| payload.clone()))?;
                    if result.call_id.is_empty() {
                        payload["call_id"].as_str().unwrap_or_default().clone_into(&mut result.call_id);
                    }
                    if result.call_id == call_id {
                        return Ok(result);
                    }
                }
                _ => {}
            }
        }
    }

    fn next_id(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", self.prefix, self.next)
    }

    fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let id = self.next_id();
        let suffix = format!("c{}", self.next);
        let request = Request { method: method.to_owned(), params, correlation_id: Some(id.clone()) };
        let deadline = Instant::now() + timeout;
        let payload = serde_json::to_value(request).map_err(FrameError::Malformed)?;
        self.say(&format!("{REQUEST_PREFIX}{suffix}"), payload, None)?;
        let expected = format!("{RESPONSE_PREFIX}{suffix}");
        loop {
            let outbound = self.hear(deadline, timeout)?;
            if outbound.topic != expected {
                if let Some(refusal) = refused(&outbound, None) {
                    return Err(refusal.into());
                }
                self.waiting.push_back(outbound);
                continue;
            }
            let response: Response = parse(outbound.payload)?;
            if let Some(refusal) = response.refusal() {
                return Err(refusal.into());
            }
            return parse(response.content);
        }
    }

    fn say(&mut self, topic: &str, payload: Value, ack: Option<String>) -> Result<(), ClientError> {
        let inbound = Inbound { topic: topic.to_owned(), payload, source_id: None, principal: None, ack };
        frame::write_blocking(&mut self.stream, &inbound, MAX_FRAME_BYTES)?;
        Ok(())
    }

    fn hear(&mut self, deadline: Instant, timeout: Duration) -> Result<Outbound, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::Timeout(timeout));
        }
        self.stream.set_read_timeout(Some(left)).map_err(FrameError::Io)?;
        match frame::read_blocking(&mut self.stream, MAX_FRAME_BYTES) {
            Ok(Some(body)) => Ok(frame::decode(&body)?),
            Ok(None) => Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()).into()),
            Err(FrameError::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Err(ClientError::Timeout(timeout))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn not_running(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            ClientError::NotRunning
        }
        _ => ClientError::Connection(FrameError::Io(error)),
    }
}

/// The refusal that the frame tells, if it is one and meant for `ack`, or for no publication at all.
fn refused(outbound: &Outbound, ack: Option<&str>) -> Option<Refusal> {
    if outbound.topic != REFUSED_TOPIC {
        return None;
    }
    let notice: RefusedNotice = serde_json::from_value(outbound.payload.clone()).ok()?;
    (notice.ack.is_none() || notice.ack.as_deref() == ack).then_some(notice.refusal)
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ClientError> {
    Ok(serde_json::from_value(value).map_err(FrameError::Malformed)?)
}
