//! Accepts connections, reads their frames and hands them, with a verified principal, to a service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use astrid_authority::{PrincipalId, Topic, TopicPattern};
use astrid_bus::SourceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::access::Access;
use super::connection::{Connection, Connections, Frame};
use super::frame::{self, FrameError, MAX_FRAME_BYTES, MAX_HANDSHAKE_BYTES, MAX_PAYLOAD_BYTES};
use super::handshake::{Caller, Gate, Verdict};
use super::key::Entropy;
use super::message::{
    ACCEPTED_TOPIC, Accepted, AcceptedNotice, Ending, HandshakeRequest, Inbound, Outbound, REFUSED_TOPIC,
    REQUEST_PREFIX, RESPONSE_PREFIX, Refusal, RefusalKind, RefusedNotice, Request, Response, SETTLED_TOPIC,
    SettledNotice,
};

/// What a server allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Most clients at once.
    pub connections: usize,
    /// Most clients that have not finished their handshake. More wait in the system's queue.
    pub pending_handshakes: usize,
    /// Most requests of one client that are being answered; reading goes on when one is done.
    pub requests: usize,
    /// How long each frame of a handshake may take.
    pub handshake: Duration,
    /// How long the system may refuse to take one frame before the client is closed.
    pub write: Duration,
    /// How long answers in progress may take when the server stops.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 512,
            pending_handshakes: 64,
            requests: 64,
            handshake: Duration::from_secs(5),
            write: Duration::from_secs(5),
            drain: Duration::from_secs(1),
        }
    }
}

/// Something that a client publishes, with who it really is.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where it goes.
    pub topic: Topic,
    /// JSON text.
    pub payload: String,
    /// The connection.
    pub source: SourceId,
    /// The verified principal.
    pub principal: PrincipalId,
}

/// What became of a publication so far.
#[derive(Debug)]
pub struct Published {
    /// Who took it.
    pub accepted: Accepted,
    /// How the handlers ended, once all have.
    pub settled: oneshot::Receiver<Vec<Ending>>,
}

/// What is behind the socket.
pub trait Service: Send + Sync + 'static {
    /// Answers a request of `caller`: a status and its content.
    fn request(
        &self,
        caller: &Caller,
        request: Request,
    ) -> impl Future<Output = Result<(&'static str, Value), Refusal>> + Send;

    /// Publishes what a client sent, once for each call and in their order. Must not wait.
    ///
    /// # Errors
    /// When it can't be published.
    fn publish(&self, publication: Publication) -> Result<Published, Refusal>;
}

/// Answers the clients of one socket.
pub struct Server<S> {
    service: Arc<S>,
    gate: Gate,
    access: Access,
    connections: Arc<Connections>,
    limits: ServerLimits,
    own_user: u32,
    entropy: Arc<Entropy>,
}

/// The parameters of the request that chooses what a client receives.
#[derive(Deserialize)]
struct Subscribe {
    patterns: Vec<TopicPattern>,
}

impl<S: Service> Server<S> {
    /// A server for clients of the user `own_user`.
    pub fn new(
        service: Arc<S>,
        gate: Gate,
        connections: Arc<Connections>,
        limits: ServerLimits,
        own_user: u32,
        entropy: Arc<Entropy>,
    ) -> Self {
        Self { service, gate, access: Access::default(), connections, limits, own_user, entropy }
    }

    /// Serves until `stop` turns true, then lets answers in progress finish.
    ///
    /// # Errors
    /// When the socket can't be listened on.
    pub async fn serve(
        self,
        listener: std::os::unix::net::UnixListener,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let listener = UnixListener::from_std(listener)?;
        let server = Arc::new(self);
        let handshakes = Arc::new(Semaphore::new(server.limits.pending_handshakes));
        let places = Arc::new(Semaphore::new(server.limits.connections));
        let mut clients = JoinSet::new();
        let mut stopping = stop.clone();
        loop {
            while clients.try_join_next().is_some() {}
            let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else { break };
            let stream = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
            };
            match stream {
                Ok((stream, _)) => {
                    let server = Arc::clone(&server);
                    let place = Arc::clone(&places).try_acquire_owned().ok();
                    let stop = stop.clone();
                    clients.spawn(async move { server.client(stream, handshake, place, stop).await });
                }
                Err(error) => {
                    // Out of descriptors, most likely: connected clients must go on meanwhile.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let all_done = async { while clients.join_next().await.is_some() {} };
        if timeout(server.limits.drain * 2, all_done).await.is_err() {
            tracing::debug!("some clients were cut off");
        }
        Ok(())
    }

    async fn client(
        &self,
        mut stream: UnixStream,
        handshake: OwnedSemaphorePermit,
        place: Option<OwnedSemaphorePermit>,
        stop: watch::Receiver<bool>,
    ) {
        let admitted = match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.own_user => self.shake_hands(&mut stream, place.is_some()).await,
            Ok(peer) => {
                tracing::warn!(user = peer.uid(), "another user's connection was refused");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        };
        drop(handshake);
        match admitted {
            Ok(Some(caller)) => self.converse(stream, caller, stop).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a handshake failed"),
        }
        drop(place);
    }

    async fn shake_hands(
        &self,
        stream: &mut UnixStream,
        has_place: bool,
    ) -> Result<Option<Caller>, FrameError> {
        let Some(first) = self.handshake_frame(stream).await? else { return Ok(None) };
        let mut nonce = [0; 32];
        (self.entropy)(&mut nonce)?;
        let mut verdict = self.gate.first(&first, hex::encode(nonce));
        if !has_place && !matches!(verdict, Verdict::Refused(_)) {
            let most = self.limits.connections;
            verdict =
                Verdict::Refused(format!("{most} clients are connected, no more are served; try again"));
        }
        self.answer(stream, &verdict).await?;
        if let Verdict::Challenged { principal, nonce } = &verdict {
            let Some(second) = self.handshake_frame(stream).await? else { return Ok(None) };
            verdict = self.gate.second(&second, principal, nonce);
            self.answer(stream, &verdict).await?;
        }
        match verdict {
            Verdict::Admitted(caller) => Ok(Some(caller)),
            Verdict::Challenged { .. } | Verdict::Refused(_) => Ok(None),
        }
    }

    async fn handshake_frame(&self, stream: &mut UnixStream) -> Result<Option<HandshakeRequest>, FrameError> {
        let read = timeout(self.limits.handshake, frame::read(stream, MAX_HANDSHAKE_BYTES)).await;
        match read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
            Ok(Some(body)) => match frame::decode(&body) {
                Ok(request) => Ok(Some(request)),
                Err(error) => {
                    self.answer(stream, &Verdict::Refused(error.to_string())).await?;
                    Ok(None)
                }
            },
            Ok(None) => Ok(None),
            Err(error @ FrameError::TooLong { .. }) => {
                self.answer(stream, &Verdict::Refused(error.to_string())).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn answer(&self, stream: &mut UnixStream, verdict: &Verdict) -> Result<(), FrameError> {
        let frame = frame::encode(&self.gate.response(verdict), MAX_HANDSHAKE_BYTES)?;
        write_frame(stream, &frame, self.limits.write).await?;
        Ok(())
    }

    async fn converse(&self, stream: UnixStream, caller: Caller, mut stop: watch::Receiver<bool>) {
        let mut id = [0; 16];
        if let Err(error) = (self.entropy)(&mut id) {
            tracing::warn!(%error, "a client was closed: no random bytes for its id");
            return;
        }
        let patterns = self.access.default_egress(&caller);
        let (connection, frames) = self.connections.add(caller, SourceId::from_random(id), patterns);
        let (mut reader, writer) = stream.into_split();
        let write = tokio::spawn(write_frames(writer, frames, Arc::clone(&connection), self.limits.write));
        let mut answers = JoinSet::new();
        loop {
            while answers.try_join_next().is_some() {}
            if answers.len() >= self.limits.requests {
                tokio::select! {
                    _ = answers.join_next() => {}
                    () = connection.closed() => break,
                }
                continue;
            }
            let body = tokio::select! {
                () = connection.closed() => break,
                _ = stop.wait_for(|stop| *stop) => break,
                body = frame::read(&mut reader, MAX_FRAME_BYTES) => body,
            };
            match body {
                Ok(Some(body)) => self.receive(&connection, &body, &mut answers),
                Ok(None) => break,
                Err(error) => {
                    if matches!(error, FrameError::TooLong { .. }) {
                        refuse(
                            &connection,
                            None,
                            None,
                            Refusal::new(RefusalKind::Invalid, error.to_string()),
                        );
                    }
                    break;
                }
            }
        }
        let finished = async { while answers.join_next().await.is_some() {} };
        if timeout(self.limits.drain, finished).await.is_err() {
            tracing::debug!("answers to a closed client were dropped");
        }
        drop(answers);
        self.connections.remove(&connection);
        connection.close();
        if let Err(error) = write.await {
            tracing::debug!(%error, "a client's writer failed");
        }
    }

    fn receive(&self, connection: &Arc<Connection>, body: &[u8], answers: &mut JoinSet<()>) {
        let inbound: Inbound = match frame::decode(body) {
            Ok(inbound) => inbound,
            Err(error) => {
                refuse(connection, None, None, Refusal::new(RefusalKind::Invalid, error.to_string()));
                return;
            }
        };
        let topic = inbound.topic.clone();
        let ack = inbound.ack.clone();
        if let Err(refusal) = self.accept(connection, inbound, answers) {
            refuse(connection, ack, Some(topic), refusal);
        }
    }

    fn accept(
        &self,
        connection: &Arc<Connection>,
        inbound: Inbound,
        answers: &mut JoinSet<()>,
    ) -> Result<(), Refusal> {
        let caller = connection.caller();
        if inbound.principal.as_deref().is_some_and(|claimed| claimed != caller.name()) {
            let message = format!("this connection is `{}`'s and can't speak for another", caller.name());
            return Err(Refusal::new(RefusalKind::Denied, message));
        }
        let topic: Topic = inbound
            .topic
            .parse()
            .map_err(|error| Refusal::new(RefusalKind::Invalid, format!("no topic: {error}")))?;
        if let Some(suffix) = inbound.topic.strip_prefix(REQUEST_PREFIX) {
            let reply_topic = format!("{RESPONSE_PREFIX}{suffix}");
            let correlation =
                inbound.payload.get("correlation_id").and_then(Value::as_str).map(str::to_owned);
            match serde_json::from_value::<Request>(crate::payload::guest_value(inbound.payload)) {
                Ok(request) => self.answer_request(connection, request, reply_topic, answers),
                Err(error) => {
                    let message = format!("a request is {{\"method\": …, \"params\": …}}: {error}");
                    let response = Response::refused(&Refusal::new(RefusalKind::Invalid, message));
                    respond(connection, &reply_topic, Response { correlation_id: correlation, ..response });
                }
            }
            return Ok(());
        }
        let principal = match caller.principal() {
            Some(principal) if self.access.may_send(caller, &topic) => principal.clone(),
            _ => {
                let message = format!("`{}` may not publish on `{topic}` over the socket", caller.name());
                return Err(Refusal::new(RefusalKind::Denied, message));
            }
        };
        let payload = crate::payload::guest_value(inbound.payload).to_string();
        if payload.len() > MAX_PAYLOAD_BYTES {
            let message =
                format!("a payload has at most {MAX_PAYLOAD_BYTES} bytes, this one {}", payload.len());
            return Err(Refusal::new(RefusalKind::Invalid, message));
        }
        let source = connection.source();
        let published = self.service.publish(Publication { topic, payload, source, principal })?;
        let Some(ack) = inbound.ack else { return Ok(()) };
        let notice =
            AcceptedNotice { ack: ack.clone(), topic: inbound.topic.clone(), accepted: published.accepted };
        send(connection, ACCEPTED_TOPIC, &notice);
        let connection = Arc::clone(connection);
        // Not one of the answers that are waited for: a handler may run for minutes.
        tokio::spawn(async move {
            let handlers = tokio::select! {
                handlers = published.settled => handlers.unwrap_or_default(),
                () = connection.closed() => return,
            };
            send(&connection, SETTLED_TOPIC, &SettledNotice { ack, topic: inbound.topic, handlers });
        });
        Ok(())
    }

    fn answer_request(
        &self,
        connection: &Arc<Connection>,
        request: Request,
        reply_topic: String,
        answers: &mut JoinSet<()>,
    ) {
        let correlation_id = request.correlation_id.clone();
        if request.method == "Subscribe" {
            let response = match self.subscribe(connection, request.params) {
                Ok(response) => response,
                Err(refusal) => Response::refused(&refusal),
            };
            respond(connection, &reply_topic, Response { correlation_id, ..response });
            return;
        }
        let connection = Arc::clone(connection);
        let service = Arc::clone(&self.service);
        answers.spawn(async move {
            let response = match service.request(connection.caller(), request).await {
                Ok((status, content)) => {
                    Response { status: status.to_owned(), content, correlation_id: None }
                }
                Err(refusal) => Response::refused(&refusal),
            };
            respond(&connection, &reply_topic, Response { correlation_id, ..response });
        });
    }

    fn subscribe(&self, connection: &Connection, params: Value) -> Result<Response, Refusal> {
        let Subscribe { patterns } = serde_json::from_value(params).map_err(|error| {
            Refusal::new(RefusalKind::Invalid, format!("Subscribe takes {{\"patterns\": […]}}: {error}"))
        })?;
        if patterns.len() > 64 {
            return Err(Refusal::new(RefusalKind::Invalid, "a client receives at most 64 patterns"));
        }
        if let Some(pattern) =
            patterns.iter().find(|pattern| !self.access.may_receive(connection.caller(), pattern))
        {
            let message = format!("`{}` may not receive `{pattern}`", connection.caller().name());
            return Err(Refusal::new(RefusalKind::Denied, message));
        }
        connection.receive(patterns);
        Ok(Response { status: "Success".to_owned(), content: Value::Null, correlation_id: None })
    }
}

fn respond(connection: &Connection, reply_topic: &str, response: Response) {
    send(connection, reply_topic, &response);
}

fn refuse(connection: &Connection, ack: Option<String>, topic: Option<String>, refusal: Refusal) {
    send(connection, REFUSED_TOPIC, &RefusedNotice { ack, topic, refusal });
}

/// Queues a frame of the kernel's own for one client.
fn send<T: Serialize>(connection: &Connection, topic: &str, content: &T) {
    let frame = |payload: Value| {
        let outbound = Outbound {
            topic: topic.to_owned(),
            payload,
            source_id: SourceId::KERNEL.to_string(),
            principal: connection.caller().principal().map(ToString::to_string),
        };
        frame::encode(&outbound, MAX_FRAME_BYTES)
    };
    let encoded = match serde_json::to_value(content) {
        Ok(payload) => frame(payload),
        Err(error) => Err(FrameError::Malformed(error)),
    };
    match encoded {
        Ok(bytes) => connection.send(bytes.into()),
        Err(error) => {
            // Silence would leave the client waiting, so it learns that its answer can't be sent.
            tracing::warn!(%error, topic, "an answer can't be sent");
            let refusal = Response::refused(&Refusal::new(RefusalKind::Failed, error.to_string()));
            if let Ok(bytes) = serde_json::to_value(refusal).map_err(FrameError::Malformed).and_then(frame) {
                connection.send(bytes.into());
            }
        }
    }
}

async fn write_frame<W: AsyncWrite + Unpin>(writer: &mut W, frame: &[u8], limit: Duration) -> io::Result<()> {
    timeout(limit, writer.write_all(frame)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn write_frames(
    mut writer: OwnedWriteHalf,
    mut frames: mpsc::Receiver<Frame>,
    connection: Arc<Connection>,
    limit: Duration,
) {
    loop {
        let frame = tokio::select! {
            biased;
            frame = frames.recv() => frame,
            () = connection.closed() => None,
        };
        let Some(frame) = frame else { break };
        if let Err(error) = write_frame(&mut writer, &frame, limit).await {
            tracing::debug!(%error, "a client was closed: it can't be written to");
            connection.close();
            return;
        }
        connection.sent(frame.len());
    }
}
