//! Real sockets, a real server, and a service that only echoes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use astrid_authority::PrincipalId;
use astrid_bus::Event;
use astrid_kernel::uplink::connection::Connections;
use astrid_kernel::uplink::endpoint::{Claim, Endpoint, RunFolder};
use astrid_kernel::uplink::frame::{self, MAX_FRAME_BYTES};
use astrid_kernel::uplink::handshake::{Caller, Gate};
use astrid_kernel::uplink::key::PrincipalKey;
use astrid_kernel::uplink::message::{
    Accepted, Ending, HandshakeRequest, HandshakeResponse, HandshakeStatus, Inbound, Outbound, Outcome,
    Refusal, RefusalKind, Request,
};
use astrid_kernel::uplink::server::{Publication, Published, Server, ServerLimits, Service};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

struct Echo;

impl Service for Echo {
    async fn request(&self, caller: &Caller, request: Request) -> Result<(&'static str, Value), Refusal> {
        match request.method.as_str() {
            "Who" => Ok(("Who", json!(caller.name()))),
            other => Err(Refusal::new(RefusalKind::Unknown, format!("no method {other}"))),
        }
    }

    fn publish(&self, publication: Publication) -> Result<Published, Refusal> {
        let (done, settled) = oneshot::channel();
        let reason = format!("{} said {}", publication.principal, publication.payload);
        let outcome = Outcome::Denied { reason };
        done.send(vec![Ending { capsule: "echo".into(), action: "hear".into(), outcome }]).unwrap();
        Ok(Published { accepted: Accepted { handlers: 1, subscribers: 0 }, settled })
    }
}

struct Setup {
    home: tempfile::TempDir,
    endpoint: Endpoint,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(bytes).map_err(std::io::Error::other)
}

fn start(limits: ServerLimits, own_user: u32) -> Setup {
    let home = tempfile::tempdir().unwrap();
    let mut endpoint = Claim::take(home.path()).unwrap().listen(Path::new("test"), &random).unwrap();
    let key = PrincipalKey::load_or_create(&home.path().join("default.key"), &random).unwrap();
    let keys = vec![(PrincipalId::default_user(), key.verifying_key())];
    let gate = Gate::new(endpoint.token().to_owned(), "0.1.0".into(), keys);
    let connections = Arc::new(Connections::default());
    let server =
        Server::new(Arc::new(Echo), gate, Arc::clone(&connections), limits, own_user, Arc::new(random));
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(server.serve(endpoint.take_listener().unwrap(), stopped));
    Setup { home, endpoint, connections, stop, server }
}

fn start_default() -> Setup {
    start(ServerLimits::default(), rustix::process::geteuid().as_raw())
}

impl Setup {
    async fn dial(&self) -> UnixStream {
        UnixStream::connect(RunFolder::new(self.home.path()).socket()).await.unwrap()
    }

    fn hello(&self, claimed: Option<&str>) -> HandshakeRequest {
        HandshakeRequest {
            token: self.endpoint.token().to_owned(),
            protocol_version: 1,
            client_version: "0.1.0".into(),
            claimed_principal: claimed.map(str::to_owned),
            signature: None,
        }
    }

    async fn owner(&self) -> UnixStream {
        let mut stream = self.dial().await;
        let mut hello = self.hello(Some("default"));
        let challenge = shake(&mut stream, &hello).await.challenge.unwrap();
        let key = PrincipalKey::load(&self.home.path().join("default.key")).unwrap().unwrap();
        hello.signature = Some(key.answer(&PrincipalId::default_user(), &challenge));
        assert_eq!(shake(&mut stream, &hello).await.status, HandshakeStatus::Ok);
        stream
    }
}

async fn shake(stream: &mut UnixStream, hello: &HandshakeRequest) -> HandshakeResponse {
    stream.write_all(&frame::encode(hello, 4096).unwrap()).await.unwrap();
    let body = frame::read(stream, 4096).await.unwrap().unwrap();
    frame::decode(&body).unwrap()
}

fn inbound(topic: &str, payload: Value) -> Inbound {
    Inbound { topic: topic.into(), payload, source_id: None, principal: None, ack: None }
}

async fn say(stream: &mut UnixStream, message: &Inbound) {
    stream.write_all(&frame::encode(message, MAX_FRAME_BYTES).unwrap()).await.unwrap();
}

async fn hear(stream: &mut UnixStream) -> Outbound {
    let body = frame::read(stream, MAX_FRAME_BYTES).await.unwrap().expect("still connected");
    frame::decode(&body).unwrap()
}

async fn ends(stream: &mut UnixStream) -> bool {
    matches!(frame::read(stream, MAX_FRAME_BYTES).await, Ok(None) | Err(_))
}

#[tokio::test]
async fn the_owner_is_answered_under_its_verified_name() {
    let setup = start_default();
    let mut owner = setup.owner().await;
    let request = inbound("astrid.v1.request.7", json!({"method": "Who", "correlation_id": "c1"}));
    say(&mut owner, &request).await;
    let answer = hear(&mut owner).await;
    assert_eq!(answer.topic, "astrid.v1.response.7");
    assert_eq!(answer.payload, json!({"status": "Who", "content": "default", "correlation_id": "c1"}));
    setup.stop.send(true).unwrap();
    setup.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_publication_is_acknowledged_and_its_refusal_is_told() {
    let setup = start_default();
    let mut owner = setup.owner().await;
    let payload = json!({"type": "raw_json", "value": {"a": 1}});
    say(&mut owner, &Inbound { ack: Some("1".into()), ..inbound("tool.v1.execute.x", payload) }).await;
    let accepted = hear(&mut owner).await;
    assert_eq!(accepted.topic, "astrid.v1.uplink.accepted");
    assert_eq!(accepted.payload["handlers"], 1);
    let settled = hear(&mut owner).await;
    assert_eq!(settled.topic, "astrid.v1.uplink.settled");
    assert_eq!(settled.payload["handlers"][0]["reason"], r#"default said {"a":1}"#);
}

#[tokio::test]
async fn events_reach_those_who_asked() {
    let setup = start_default();
    let mut owner = setup.owner().await;
    let patterns = json!({"method": "Subscribe", "params": {"patterns": ["tool.v1.*"]}});
    say(&mut owner, &inbound("astrid.v1.request.s", patterns)).await;
    assert_eq!(hear(&mut owner).await.payload["status"], "Success");
    let event = |topic: &str| Event::of_kernel(topic.parse().unwrap(), "{}");
    setup.connections.deliver(&event("agent.v1.response"));
    setup.connections.deliver(&event("tool.v1.execute.x.result"));
    assert_eq!(hear(&mut owner).await.topic, "tool.v1.execute.x.result");
}

#[tokio::test]
async fn asking_to_receive_everything_is_denied() {
    let setup = start_default();
    let mut owner = setup.owner().await;
    let all = json!({"method": "Subscribe", "params": {"patterns": ["*"]}});
    say(&mut owner, &inbound("astrid.v1.request.s", all)).await;
    assert_eq!(hear(&mut owner).await.payload["content"]["kind"], "denied");
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_version_are_denied() {
    let setup = start_default();
    let mut stream = setup.dial().await;
    let wrong = HandshakeRequest { token: "00".repeat(32), ..setup.hello(None) };
    assert_eq!(shake(&mut stream, &wrong).await.reason.as_deref(), Some("authentication failed"));
    assert!(ends(&mut stream).await);
    let mut stream = setup.dial().await;
    let wrong = HandshakeRequest { protocol_version: 2, token: String::new(), ..setup.hello(None) };
    assert!(shake(&mut stream, &wrong).await.reason.unwrap().contains("protocol version 1"));
    assert!(ends(&mut stream).await);
}

#[tokio::test]
async fn a_foreign_principal_and_a_bad_signature_are_denied() {
    let setup = start_default();
    let key = PrincipalKey::load(&setup.home.path().join("default.key")).unwrap().unwrap();
    for (principal, signed_for) in [("ann", "ann"), ("default", "ann")] {
        let mut stream = setup.dial().await;
        let mut hello = setup.hello(Some(principal));
        let challenge = shake(&mut stream, &hello).await.challenge.unwrap();
        hello.signature = Some(key.answer(&signed_for.parse().unwrap(), &challenge));
        assert_eq!(shake(&mut stream, &hello).await.reason.as_deref(), Some("authentication failed"));
        assert!(ends(&mut stream).await);
    }
}

#[tokio::test]
async fn another_user_is_denied_without_a_word() {
    let setup = start(ServerLimits::default(), rustix::process::geteuid().as_raw() + 1);
    let mut stream = setup.dial().await;
    // The server may have closed before this is written.
    let _ = stream.write_all(&frame::encode(&setup.hello(None), 4096).unwrap()).await;
    assert!(ends(&mut stream).await);
}

#[tokio::test]
async fn oversized_frames_are_denied() {
    let setup = start_default();
    let mut stream = setup.dial().await;
    stream.write_all(&[0, 0, 0x10, 1]).await.unwrap();
    let body = frame::read(&mut stream, 4096).await.unwrap().unwrap();
    let refused: HandshakeResponse = frame::decode(&body).unwrap();
    assert!(refused.reason.unwrap().contains("4096"));
    assert!(ends(&mut stream).await);

    let mut owner = setup.owner().await;
    owner.write_all(&[0xff; 4]).await.unwrap();
    let refused = hear(&mut owner).await;
    assert_eq!(refused.topic, "astrid.v1.uplink.refused");
    assert_eq!(refused.payload["kind"], "invalid");
    assert!(ends(&mut owner).await);

    let mut owner = setup.owner().await;
    say(&mut owner, &inbound("tool.v1.execute.x", json!("x".repeat(1024 * 1024)))).await;
    assert!(hear(&mut owner).await.payload["message"].as_str().unwrap().contains("1048576"));
}

#[tokio::test]
async fn unknown_topics_methods_and_claims_are_denied_and_the_connection_lives_on() {
    let setup = start_default();
    let mut owner = setup.owner().await;
    let cases = [
        (inbound("astrid.v1.approval", json!({})), "denied"),
        (inbound("Not A Topic", json!({})), "invalid"),
        (Inbound { principal: Some("ann".into()), ..inbound("user.v1.prompt", json!({})) }, "denied"),
    ];
    for (message, kind) in cases {
        say(&mut owner, &Inbound { ack: Some("a".into()), ..message.clone() }).await;
        let refused = hear(&mut owner).await;
        assert_eq!(refused.topic, "astrid.v1.uplink.refused", "{message:?}");
        assert_eq!(refused.payload["kind"], kind, "{message:?}");
        assert_eq!(refused.payload["ack"], "a");
    }
    say(&mut owner, &inbound("astrid.v1.request.x", json!({"method": "Nope"}))).await;
    assert_eq!(hear(&mut owner).await.payload["content"]["kind"], "unknown");
    say(&mut owner, &inbound("astrid.v1.request.x", json!({"no": "method"}))).await;
    assert_eq!(hear(&mut owner).await.payload["content"]["kind"], "invalid");
    owner.write_all(&[0, 0, 0, 1, b'{']).await.unwrap();
    assert_eq!(hear(&mut owner).await.payload["kind"], "invalid");
}

#[tokio::test]
async fn anonymous_clients_are_denied_publishing() {
    let setup = start_default();
    let mut nobody = setup.dial().await;
    assert_eq!(shake(&mut nobody, &setup.hello(None)).await.status, HandshakeStatus::Ok);
    say(&mut nobody, &inbound("user.v1.prompt", json!({}))).await;
    assert_eq!(hear(&mut nobody).await.payload["kind"], "denied");
    say(&mut nobody, &inbound("astrid.v1.request.x", json!({"method": "Who"}))).await;
    assert_eq!(hear(&mut nobody).await.payload["content"], "anonymous");
}

#[tokio::test]
async fn too_many_clients_are_denied_with_a_reason_and_the_others_live_on() {
    let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
    let setup = start(limits, rustix::process::geteuid().as_raw());
    let mut owner = setup.owner().await;
    let mut second = setup.dial().await;
    assert!(shake(&mut second, &setup.hello(None)).await.reason.unwrap().contains("1 clients"));
    say(&mut owner, &inbound("astrid.v1.request.x", json!({"method": "Who"}))).await;
    assert_eq!(hear(&mut owner).await.payload["content"], "default");
}

#[tokio::test]
async fn clients_that_never_shake_hands_are_dropped() {
    let limits = ServerLimits {
        pending_handshakes: 1,
        handshake: Duration::from_millis(20),
        ..ServerLimits::default()
    };
    let setup = start(limits, rustix::process::geteuid().as_raw());
    let mut silent = setup.dial().await;
    let _owner = setup.owner().await;
    assert!(ends(&mut silent).await);
}

#[tokio::test]
async fn hundreds_of_clients_are_served() {
    let setup = start_default();
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(setup.owner().await);
    }
    for client in &mut clients {
        say(client, &inbound("astrid.v1.request.x", json!({"method": "Who"}))).await;
    }
    for client in &mut clients {
        assert_eq!(hear(client).await.payload["status"], "Who");
    }
    assert_eq!(setup.connections.count(), 200);
}
