//! The verbs that talk with the kernel, and what an apply does about it.

use astrid_manifest::Lock;
use astrid_resolver::Context;
use serde_json::Value;

use crate::args::BootArgs;
use crate::exit::Failure;
use crate::session::Session;

pub(crate) fn after_switch(_: &mut Session, _: &Context, _: &BootArgs, _: &Lock) -> Result<Value, Failure> {
    Ok(Value::Null)
}

pub(crate) fn observed(_: &mut Session, _: &Context) -> super::status::KernelReport {
    super::status::KernelReport::stopped()
}

/// Asks a component for its tools, in a sandbox that grants it nothing.
pub(crate) struct Sandbox;

impl astrid_build::Describe for Sandbox {
    fn describe(&self, _: &[u8]) -> Result<Option<String>, astrid_build::DescribeError> {
        Err(astrid_build::DescribeError("no sandbox".to_owned()))
    }
}
