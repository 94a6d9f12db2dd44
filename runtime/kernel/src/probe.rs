//! What must work before a capsule counts as healthy: a call of one of its tools.

use std::time::Duration;

use astrid_authority::{PrincipalId, TopicPattern};
use astrid_bus::Scope;
use astrid_host::{Caller, Ports};
use serde_json::{Value, json};

use crate::dispatch::Answer;
use crate::member::Member;

/// How long a probe may take.
const WITHIN: Duration = Duration::from_secs(30);

/// A tool call that must succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The tool, which the capsule itself must offer.
    pub tool: String,
    /// What it is called with.
    pub arguments: serde_json::Map<String, Value>,
}

/// Calls the tool.
///
/// # Errors
/// With the reason, when it does not succeed in time.
pub(crate) async fn run(
    probe: &Probe,
    member: &Member,
    ports: &Ports,
    owner: &PrincipalId,
) -> Result<(), String> {
    let failed = |reason: &str| Err(format!("its probe `{}` failed: {reason}", probe.tool));
    let Ok(results) = format!("tool.v1.execute.{}.result", probe.tool).parse::<TopicPattern>() else {
        return failed("there can be no tool of that name");
    };
    let results = ports.bus.subscribe(results, Scope::Principal(owner.clone()));
    let call_id = format!("probe-{}", ports.clock.monotonic_ns());
    let payload = json!({
        "type": "tool_execute_request",
        "call_id": call_id,
        "tool_name": probe.tool,
        "arguments": probe.arguments,
    });
    let caller = Caller::kernel(Some(owner.clone()), ports.clock.unix_ms());
    let action = format!("tool_execute_{}", probe.tool);
    let text = payload.to_string();
    let call = member.call(&caller, &action, &text, &ports.bus, &*ports.clock);
    match tokio::time::timeout(WITHIN, call).await {
        Err(_) => return failed("it did not answer in time"),
        Ok(Answer::Deny(reason) | Answer::Failed(reason)) => return failed(&reason),
        Ok(Answer::Continue(_) | Answer::Final(_)) => {}
    }
    // A capsule publishes its answer before its call ends, so what is not there now will not come.
    loop {
        let batch = results.poll(64);
        if batch.events.is_empty() {
            return failed("it gave no answer");
        }
        for event in &batch.events {
            let Ok(answer) = serde_json::from_str::<Value>(&event.payload) else { continue };
            let result = answer.get("result").unwrap_or(&answer);
            let answered = [&answer["call_id"], &result["call_id"]].contains(&&Value::from(call_id.as_str()));
            if !answered {
                continue;
            }
            return match result["is_error"].as_bool() {
                Some(true) => failed(result["content"].as_str().unwrap_or("it gave no reason")),
                _ => Ok(()),
            };
        }
    }
}
