//! Configuration, the caller, the log, clocks and random bytes.

use std::time::Duration;

use super::bindings::astrid::sys::host::{
    CallerContext, CapabilityCheckRequest, CapabilityCheckResponse, ErrorCode, Host, LogLevel,
};
use crate::ports;
use crate::spec::ConfigValue;
use crate::state::{CallState, Mode};

/// Longest sleep.
const MAX_SLEEP: Duration = Duration::from_mins(1);
/// Most random bytes of one call.
const MAX_RANDOM_BYTES: u64 = 4096;
/// Longest log line, in bytes; the rest is cut off.
const MAX_LOG_BYTES: usize = 64 << 10;
/// The configuration key that an upgrade hook finds the installed version under.
const PREVIOUS_VERSION: &str = "prev_version";

impl Host for &mut CallState {
    fn get_config(&mut self, key: String) -> Result<Option<String>, ErrorCode> {
        if key == PREVIOUS_VERSION
            && let Mode::Lifecycle { previous } = &self.mode
        {
            return Ok(previous.clone());
        }
        let spec = &self.capsule.spec;
        match spec.config.get_key_value(key.as_str()) {
            None => Ok(None),
            Some((_, ConfigValue::Plain(value))) => Ok(Some(value.clone())),
            Some((key, ConfigValue::Secret(reference))) => {
                if !spec.capabilities.secrets.contains(key) {
                    return Err(ErrorCode::CapabilityDenied);
                }
                let secrets = &self.capsule.ports.secrets;
                let value = secrets.secret(&spec.name, self.principal(), key, reference);
                Ok(value.map(|value| value.as_str().to_owned()))
            }
        }
    }

    fn get_caller(&mut self) -> Result<CallerContext, ErrorCode> {
        let at = i64::try_from(self.caller.at_ms).ok();
        let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).unwrap_or_default();
        Ok(CallerContext {
            principal: self.caller.principal.as_ref().map(ToString::to_string),
            source_id: self.caller.source.to_string(),
            timestamp: at.to_string(),
        })
    }

    fn log(&mut self, level: LogLevel, message: String) {
        let level = match level {
            LogLevel::Trace => ports::LogLevel::Trace,
            LogLevel::Debug => ports::LogLevel::Debug,
            LogLevel::Info => ports::LogLevel::Info,
            LogLevel::Warn => ports::LogLevel::Warn,
            LogLevel::Error => ports::LogLevel::Error,
        };
        let message = &message[..message.floor_char_boundary(MAX_LOG_BYTES)];
        self.capsule.ports.log.log(&self.capsule.spec.name, self.principal(), level, message);
        if level == ports::LogLevel::Error {
            self.last_error = Some(message.to_owned());
        }
    }

    fn signal_ready(&mut self) {
        if self.mode == Mode::Run {
            self.capsule.ready.send_replace(true);
        }
    }

    fn clock_ms(&mut self) -> u64 {
        self.capsule.ports.clock.unix_ms()
    }

    fn clock_monotonic_ns(&mut self) -> u64 {
        self.capsule.ports.clock.monotonic_ns()
    }

    async fn sleep_ns(&mut self, duration_ns: u64) -> Result<(), ErrorCode> {
        let duration = Duration::from_nanos(duration_ns);
        if duration > MAX_SLEEP {
            return Err(ErrorCode::TooLarge);
        }
        tokio::time::sleep(duration).await;
        Ok(())
    }

    fn random_bytes(&mut self, length: u64) -> Result<Vec<u8>, ErrorCode> {
        if length > MAX_RANDOM_BYTES {
            return Err(ErrorCode::TooLarge);
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| ErrorCode::TooLarge)?];
        let filled = self.capsule.ports.entropy.fill(&mut bytes);
        filled.map_err(|error| ErrorCode::Unknown(error.to_string()))?;
        Ok(bytes)
    }

    fn check_capsule_capability(
        &mut self,
        request: CapabilityCheckRequest,
    ) -> Result<CapabilityCheckResponse, ErrorCode> {
        let Ok(source) = request.source_uuid.parse() else {
            return Ok(CapabilityCheckResponse { allowed: false });
        };
        match self.capsule.ports.directory.holds(source, &request.capability) {
            Some(allowed) => Ok(CapabilityCheckResponse { allowed }),
            None => Err(ErrorCode::RegistryUnavailable),
        }
    }

    fn enumerate_capabilities(&mut self) -> Vec<String> {
        self.capsule.spec.capabilities.held().into_iter().map(str::to_owned).collect()
    }
}
