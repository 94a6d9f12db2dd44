//! A run loop that answers requests over the bus until a test tells it to stop.
//!
//! `{"correlation_id": "…", "do": "echo"}` is answered with the whole request and the principal it
//! came from, `"do": "exit"` leaves the loop, `"do": "panic"` traps.

use astrid_sdk::prelude::*;
use serde_json::{Value, json};

const REQUESTS: &str = "probe.v1.loop.request";
const ANSWERS: &str = "probe.v1.loop.response";
const WAIT_MS: u64 = 1000;

/// The capsule.
#[derive(Debug, Default)]
pub struct ProbeLoop;

/// Answers requests from its run loop.
#[capsule]
impl ProbeLoop {
    /// Subscribes, reports readiness, and then answers one request at a time.
    #[astrid::run]
    pub fn run(&self) -> Result<(), SysError> {
        let requests = ipc::subscribe(REQUESTS)?;
        runtime::signal_ready()?;
        loop {
            for message in requests.recv(WAIT_MS)?.messages {
                let request: Value = serde_json::from_str(&message.payload)?;
                match request.get("do").and_then(Value::as_str) {
                    Some("exit") => return Ok(()),
                    Some("panic") => trap(),
                    _ => {}
                }
                let id = request.get("correlation_id").and_then(Value::as_str).unwrap_or("none");
                let answer = json!({ "request": request, "from": message.principal.verified() });
                ipc::publish_json(&format!("{ANSWERS}.{id}"), &answer)?;
            }
        }
    }
}

#[expect(clippy::panic, reason = "the trap is what the test asks for")]
fn trap() {
    panic!("asked to trap")
}
