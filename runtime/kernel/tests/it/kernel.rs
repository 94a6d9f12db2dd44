//! Fleets of real components, over a real socket.

use astrid_authority::PrincipalId;
use astrid_kernel::health::Health;
use astrid_kernel::status::CapsuleState;
use astrid_kernel::uplink::endpoint::RunFolder;
use astrid_kernel::uplink::frame::{self, MAX_FRAME_BYTES};
use astrid_kernel::uplink::key::{self, PrincipalKey};
use astrid_kernel::uplink::message::{
    HandshakeRequest, HandshakeResponse, HandshakeStatus, Inbound, Outbound,
};
use astrid_kernel::{Kernel, KernelError};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::home::{DENY, Member, TRAP, TestHome, handmade, probe, probe_loop};

/// A connection of the owner.
struct Client(UnixStream);

impl Client {
    async fn connect(home: &TestHome) -> Self {
        let run = RunFolder::new(home.home.run());
        let mut stream = UnixStream::connect(run.socket()).await.unwrap();
        let mut hello = HandshakeRequest {
            token: std::fs::read_to_string(run.token()).unwrap(),
            protocol_version: 1,
            client_version: "0.1.0".into(),
            claimed_principal: Some("default".into()),
            signature: None,
        };
        let owner = PrincipalId::default_user();
        let key = PrincipalKey::load(&key::path_of(&home.home.keys(), &owner)).unwrap().unwrap();
        let challenge = Self::shake(&mut stream, &hello).await.challenge.unwrap();
        hello.signature = Some(key.answer(&owner, &challenge));
        assert_eq!(Self::shake(&mut stream, &hello).await.status, HandshakeStatus::Ok);
        Self(stream)
    }

    async fn shake(stream: &mut UnixStream, hello: &HandshakeRequest) -> HandshakeResponse {
        stream.write_all(&frame::encode(hello, 4096).unwrap()).await.unwrap();
        frame::decode(&frame::read(stream, 4096).await.unwrap().unwrap()).unwrap()
    }

    async fn say(&mut self, topic: &str, payload: Value, ack: Option<&str>) {
        let message = Inbound {
            topic: topic.into(),
            payload,
            source_id: None,
            principal: None,
            ack: ack.map(str::to_owned),
        };
        self.0.write_all(&frame::encode(&message, MAX_FRAME_BYTES).unwrap()).await.unwrap();
    }

    /// The payload of the next frame on `topic`; others are skipped.
    async fn hear(&mut self, topic: &str) -> Value {
        loop {
            let body = frame::read(&mut self.0, MAX_FRAME_BYTES).await.unwrap().expect("connected");
            let outbound: Outbound = frame::decode(&body).unwrap();
            if outbound.topic == topic {
                return outbound.payload;
            }
            assert_ne!(outbound.topic, "astrid.v1.uplink.refused", "{}", outbound.payload);
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.say("astrid.v1.request.t", json!({ "method": method, "params": params }), None).await;
        self.hear("astrid.v1.response.t").await
    }

    async fn publish(&mut self, topic: &str, payload: Value) -> Value {
        self.say(topic, payload, Some("a")).await;
        self.hear("astrid.v1.uplink.settled").await["handlers"].clone()
    }
}

async fn running(members: &[Member]) -> (TestHome, Kernel, Client) {
    let home = TestHome::new();
    home.apply("", members);
    let kernel = home.boot().await.unwrap();
    let client = Client::connect(&home).await;
    (home, kernel, client)
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_without_a_generation_boots_empty_and_stops_cleanly() {
    let home = TestHome::new();
    let kernel = home.boot().await.unwrap();
    let mut client = Client::connect(&home).await;
    let status = client.ask("Status", json!({})).await;
    assert_eq!(status["content"]["health"], "healthy");
    assert_eq!(status["content"]["generation"], Value::Null);
    assert_eq!(status["content"]["connections"], 1);
    assert!(home.home.ready().exists());
    assert_eq!(client.ask("Shutdown", json!({})).await["status"], "Success");
    kernel.asked_to_stop().await;
    kernel.shut_down().await.unwrap();
    for path in [home.home.ready(), home.home.socket(), home.home.token(), home.home.pid()] {
        assert!(!path.exists(), "{path:?}");
    }
    assert!(home.home.keys().join("default.key").exists(), "keys stay");
    home.boot().await.unwrap().shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_kernel_of_the_home_is_denied() {
    let home = TestHome::new();
    let kernel = home.boot().await.unwrap();
    let second = home.boot().await.err().unwrap();
    assert!(matches!(second, KernelError::Endpoint(_)), "{second}");
    assert!(
        Client::connect(&home).await.ask("Status", json!({})).await["content"]["ready"].as_bool().unwrap()
    );
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_answers_over_the_socket() {
    let (_home, kernel, mut client) = running(&[probe()]).await;
    let status = kernel.status();
    assert_eq!(status.health, Health::Healthy, "{status:?}");
    let patterns = json!({ "patterns": ["tool.v1.execute.*"] });
    assert_eq!(client.ask("Subscribe", patterns).await["status"], "Success");
    let call = json!({
        "type": "tool_execute_request", "call_id": "c1", "tool_name": "probe_echo",
        "arguments": { "text": "hello" },
    });
    client.say("tool.v1.execute.probe_echo", call, Some("a")).await;
    let result = client.hear("tool.v1.execute.probe_echo.result").await;
    assert_eq!(result["call_id"], "c1", "{result}");
    let tools = client.ask("Tools", json!({})).await;
    let tools: Vec<&str> =
        tools["content"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["probe_call", "probe_echo"]);
    assert_eq!(client.ask("ListCapsules", json!({})).await["content"][0]["invocations"], 1);
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_crashes_of_handlers_reach_the_caller_denied() {
    let no = handmade("no", "user.v1.prompt", DENY);
    let (_home, kernel, mut client) = running(&[no, handmade("crash", "user.v1.prompt", TRAP)]).await;
    let handlers = client.publish("user.v1.prompt", json!({ "text": "hi" })).await;
    let mut endings: Vec<(&str, &str)> = handlers
        .as_array()
        .unwrap()
        .iter()
        .map(|ending| (ending["capsule"].as_str().unwrap(), ending["outcome"].as_str().unwrap()))
        .collect();
    endings.sort_unstable();
    assert_eq!(endings, [("crash", "failed"), ("no", "denied")], "{handlers}");
    let status = kernel.status();
    assert_eq!(status.health, Health::Degraded);
    assert_eq!(status.capsules[0].health, Health::Failed);
    assert_eq!(status.capsules[0].restarts, 1);
    assert_eq!(status.capsules[1].health, Health::Healthy);
    for _ in 0..5 {
        client.publish("user.v1.prompt", json!({ "text": "hi" })).await;
    }
    let handlers = client.publish("user.v1.prompt", json!({})).await.to_string();
    assert!(handlers.contains("in a row"), "a capsule that always crashes is held back: {handlers}");
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_nobody_handles_settles() {
    let (_home, kernel, mut client) = running(&[]).await;
    assert_eq!(client.publish("user.v1.prompt", json!({})).await, json!([]));
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn loops_run_and_stop() {
    let (_home, kernel, _client) = running(&[probe_loop()]).await;
    let status = kernel.status();
    assert_eq!(status.capsules[0].state, CapsuleState::Running, "{status:?}");
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn converging_keeps_what_did_not_change_and_drops_what_is_gone() {
    let (home, kernel, mut client) = running(&[probe(), probe_loop(), handmade("old", "a.b", DENY)]).await;
    let mut changed = probe();
    changed.config = vec![("GREETING", "good evening")];
    let number = home.apply("", &[changed, probe_loop(), handmade("new", "user.v1.prompt", DENY)]);
    let done = client.ask("Converge", json!({ "generation": number })).await;
    assert_eq!(done["status"], "Converged", "{done}");
    let done = &done["content"];
    assert_eq!(names(&done["loaded"]), ["new"]);
    assert_eq!(names(&done["replaced"]), ["probe"]);
    assert_eq!(names(&done["kept"]), ["probe-loop"]);
    assert_eq!(names(&done["unloaded"]), ["old"]);
    assert_eq!(kernel.status().generation.unwrap().number, 2);
    let handlers = client.publish("user.v1.prompt", json!({})).await;
    assert_eq!(handlers[0]["capsule"], "new");
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn going_to_what_is_not_current_is_denied() {
    let (home, kernel, mut client) = running(&[]).await;
    home.apply("", &[]);
    for number in [0, 1, 7] {
        let refused = client.ask("Converge", json!({ "generation": number })).await;
        assert_eq!(refused["content"]["kind"], "invalid", "{refused}");
    }
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_whose_bytes_are_not_what_is_locked_is_denied_and_the_others_run() {
    let home = TestHome::new();
    let bad = handmade("bad", "user.v1.prompt", DENY);
    let digest = home.store.put(bad.component.as_ref().unwrap()).unwrap();
    home.apply("", &[bad, probe()]);
    let path = home.store.path(&digest);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, handmade("bad", "user.v1.prompt", TRAP).component.unwrap()).unwrap();
    let kernel = home.boot().await.unwrap();
    let status = kernel.status();
    assert_eq!(status.health, Health::Degraded);
    assert_eq!(status.capsules[0].state, CapsuleState::Failed);
    assert!(status.capsules[0].reason.as_ref().unwrap().contains("corrupt"), "{status:?}");
    assert_eq!(status.capsules[1].health, Health::Healthy);
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_differ_from_the_reviewed_ones_are_denied() {
    let home = TestHome::new();
    let mut liar = probe();
    liar.tools = Some(r#"{"tools":[{"name":"probe_echo","description":"harmless"}]}"#.into());
    home.apply("", &[liar]);
    let kernel = home.boot().await.unwrap();
    let status = kernel.status();
    assert_eq!(status.capsules[0].state, CapsuleState::Failed);
    assert!(status.capsules[0].reason.as_ref().unwrap().contains("reviewed"), "{status:?}");
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_and_a_changed_configuration_are_denied_with_a_reason() {
    let home = TestHome::new();
    let circle = "[[capsule]]\nname = \"a\"\nsource = \"./a\"\ndepends-on = [\"b\"]\n\
                  [[capsule]]\nname = \"b\"\nsource = \"./b\"\ndepends-on = [\"a\"]\n";
    let number = home.apply(circle, &[handmade("a", "a.b", DENY), handmade("b", "a.b", DENY)]);
    let kernel = home.boot().await.unwrap();
    let status = kernel.status();
    assert_eq!(status.health, Health::Failed);
    assert!(status.reason.unwrap().contains("a → b"));
    kernel.shut_down().await.unwrap();

    let path = home.home.generations().join(number.to_string()).join("configuration.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"a\"", "\"c\"");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, text).unwrap();
    let kernel = home.boot().await.unwrap();
    assert!(kernel.status().reason.unwrap().contains("changed"));
    kernel.shut_down().await.unwrap();
}

fn with_probe(tool: &str) -> String {
    format!(
        "[[capsule]]\nname = \"probe\"\nsource = \"./probe\"\nversion = \"0.1.0\"\n\
         probe = {{ tool = \"{tool}\", args = {{ text = \"hello\" }} }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_works_leaves_its_capsule_healthy() {
    let home = TestHome::new();
    home.apply(&with_probe("probe_echo"), &[probe()]);
    let kernel = home.boot().await.unwrap();
    assert_eq!(kernel.status().health, Health::Healthy, "{:?}", kernel.status());
    kernel.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_does_not_work_is_denied_and_a_later_generation_heals_it() {
    let home = TestHome::new();
    home.apply(&with_probe("probe_absent"), &[probe()]);
    let kernel = home.boot().await.unwrap();
    let status = kernel.status();
    assert_eq!(status.capsules[0].state, CapsuleState::Failed, "{status:?}");
    assert!(status.capsules[0].reason.as_ref().unwrap().contains("probe_absent"), "{status:?}");
    let number = home.apply(&with_probe("probe_echo"), &[probe()]);
    let mut client = Client::connect(&home).await;
    let done = client.ask("Converge", json!({ "generation": number })).await;
    assert_eq!(names(&done["content"]["kept"]), ["probe"], "only the probe changed");
    assert_eq!(done["content"]["failed"], json!({}));
    assert_eq!(kernel.status().health, Health::Healthy);
    kernel.shut_down().await.unwrap();
}
