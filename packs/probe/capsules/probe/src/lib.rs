//! A capsule that does what a test tells it to do, and reports exactly what the host answered.
//!
//! Every operation is reachable in two ways: through the action `call` with a payload
//! `{"op": "fs_read", "path": "…"}` (the answer is the returned data), and through the tool
//! `probe_call` with the same object as its arguments (the answer goes over the bus). Errors of the
//! host keep their exact spelling, so that a test can tell `CapabilityDenied` from `NotFound`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod ops;

use astrid_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Arguments of `probe_echo`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EchoArgs {
    /// The text to return.
    pub text: String,
}

/// Arguments of `probe_call`: the name of an operation, and its fields beside it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct CallArgs {
    /// Which operation to perform, for example `fs_read`.
    pub op: String,
    /// The operation's own fields.
    #[serde(flatten)]
    pub fields: serde_json::Map<String, Value>,
}

/// The capsule.
#[derive(Debug, Default)]
pub struct Probe;

/// Calls whatever a test asks it to call.
#[capsule]
impl Probe {
    /// Return the text that was sent.
    #[astrid::tool("probe_echo")]
    pub fn probe_echo(&self, args: EchoArgs) -> Result<String, SysError> {
        Ok(args.text)
    }

    /// Perform one operation of the host interface and return what the host answered.
    #[astrid::tool("probe_call", mutable)]
    pub fn probe_call(&self, args: CallArgs) -> Result<Value, SysError> {
        ops::perform(&args.op, &args.fields)
    }

    /// The same as `probe_call`, for tests that call the export directly.
    #[astrid::interceptor("call")]
    pub fn call(&self, args: CallArgs) -> Result<Value, SysError> {
        ops::perform(&args.op, &args.fields)
    }

    /// Answers an event on `probe.v1.event` by publishing it on `probe.v1.out.seen`.
    #[astrid::interceptor("on_event")]
    pub fn on_event(&self, event: Value) -> Result<(), SysError> {
        ipc::publish_json("probe.v1.out.seen", &json!({ "saw": event }))
    }

    /// A member of an ordered chain: refuses when the payload says so, else adds its mark to it.
    #[astrid::interceptor("chain")]
    pub fn chain(&self, event: Value) -> Result<Value, SysError> {
        ops::chain(event)
    }

    /// Leaves a mark, so that a test sees that the hook ran and whose state it wrote.
    #[astrid::install]
    pub fn install(&self) -> Result<(), SysError> {
        kv::set_json("installed", &true)
    }

    /// Leaves a mark that names the version before.
    #[astrid::upgrade]
    pub fn upgrade(&self, prev_version: &str) -> Result<(), SysError> {
        kv::set_json("upgraded_from", &prev_version)
    }
}
