//! What the program says when it does not work: kind, message, hint and exit code, in one place.
//!
//! Every library error becomes a [`Failure`] here and nowhere else, so that a class of refusal has one
//! exit code, one word in JSON and one page under `docs/errors`.

use std::fmt;

use astrid_resolver::ErrorKind;
use serde_json::{Value, json};

/// The class of an ending. Its number is the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Failed,
    Usage,
    Invalid,
    KernelUnreachable,
    Internal,
    Busy,
    StaleLock,
    NeedsNetwork,
    TrustRequired,
    Signature,
    Corrupt,
    Policy,
    RolledBack,
    Unhealthy,
    Interrupted,
}

impl Kind {
    /// The exit code of the process.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Invalid => 65,
            Self::KernelUnreachable => 69,
            Self::Internal => 70,
            Self::Busy => 75,
            Self::StaleLock => 80,
            Self::NeedsNetwork => 81,
            Self::TrustRequired => 82,
            Self::Signature => 83,
            Self::Corrupt => 84,
            Self::Policy => 85,
            Self::RolledBack => 86,
            Self::Unhealthy => 87,
            Self::Interrupted => 130,
        }
    }

    /// The word of the class in JSON: stable.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::KernelUnreachable => "kernel-unreachable",
            Self::Internal => "internal",
            Self::Busy => "busy",
            Self::StaleLock => "stale-lock",
            Self::NeedsNetwork => "needs-network",
            Self::TrustRequired => "trust-required",
            Self::Signature => "signature",
            Self::Corrupt => "corrupt",
            Self::Policy => "policy",
            Self::RolledBack => "rolled-back",
            Self::Unhealthy => "unhealthy",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ErrorKind> for Kind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Failed => Self::Failed,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::StaleLock => Self::StaleLock,
            ErrorKind::NeedsNetwork => Self::NeedsNetwork,
            ErrorKind::TrustRequired => Self::TrustRequired,
            ErrorKind::Signature => Self::Signature,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Policy => Self::Policy,
            ErrorKind::RolledBack => Self::RolledBack,
            ErrorKind::Unhealthy => Self::Unhealthy,
        }
    }
}

/// Why a verb did not do what it was asked, for people and for programs.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// Lines that explain the message.
    pub(crate) reasons: Vec<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// Complaints with a place, when a file is to blame.
    pub(crate) diagnostics: Vec<astrid_manifest::Diagnostic>,
    /// The message was already shown: only the exit code is left to tell.
    pub(crate) told: bool,
}

/// What every verb returns: the exit code of an ending that is no failure.
pub(crate) type Outcome = Result<u8, Failure>;

/// The exit code of "done, or nothing to do".
pub(crate) const DONE: u8 = 0;
/// The exit code of "changes or drift pending", only with `--detailed-exitcode`.
pub(crate) const PENDING: u8 = 2;

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            reasons: Vec::new(),
            hint: None,
            diagnostics: Vec::new(),
            told: false,
        }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.reasons.extend(reasons);
        self
    }

    /// Complaints about files, all at once.
    pub(crate) fn diagnostics(complaints: impl IntoIterator<Item = astrid_manifest::Diagnostic>) -> Self {
        let diagnostics: Vec<_> = complaints.into_iter().collect();
        let errors =
            diagnostics.iter().filter(|one| one.severity == astrid_manifest::Severity::Error).count();
        let file = diagnostics.first().map_or_else(|| "the file".to_owned(), |one| one.file.clone());
        Self {
            diagnostics,
            ..Self::invalid(format!("{file} is not valid: {}", crate::shell::count(errors, "error")))
        }
    }

    /// The failure as the `error` member of a JSON document.
    pub(crate) fn json(&self) -> Value {
        let mut error = json!({
            "kind": self.kind.word(),
            "code": self.kind.code(),
            "message": self.message,
        });
        if !self.reasons.is_empty() {
            error["reasons"] = json!(self.reasons);
        }
        if let Some(hint) = &self.hint {
            error["hint"] = json!(hint);
        }
        if !self.diagnostics.is_empty() {
            error["diagnostics"] = json!(self.diagnostics);
        }
        json!({ "format_version": 1, "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<astrid_resolver::Error> for Failure {
    fn from(error: astrid_resolver::Error) -> Self {
        if let Some(complaints) = error.diagnostics() {
            return Self { kind: error.kind().into(), ..Self::diagnostics(complaints.iter().cloned()) };
        }
        let mut message = match error.place() {
            Some(place) => format!("{place}: {}", error.message()),
            None => error.message().to_owned(),
        };
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let said = cause.to_string();
            if !message.contains(&said) {
                message = format!("{message}: {said}");
            }
            source = cause.source();
        }
        Self {
            kind: error.kind().into(),
            message,
            reasons: error.reasons().to_vec(),
            hint: error.next_step().map(str::to_owned),
            diagnostics: Vec::new(),
            told: false,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}
