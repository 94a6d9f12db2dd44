//! Why a signature, key or root is not taken.

use std::fmt;

/// The class of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It can't be read as what it should be. Exit code 65.
    Unreadable,
    /// It can be read, and it proves nothing, or something else than what is asked for. Exit code 83.
    Refused,
}

/// A refusal: its class, what is wrong, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    reasons: Vec<String>,
    hint: Option<String>,
}

/// What the crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// It can't be read.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unreadable, message: message.into(), reasons: Vec::new(), hint: None }
    }

    /// It is refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Refused, message: message.into(), reasons: Vec::new(), hint: None }
    }

    /// Says why, as a chain of lines.
    #[must_use]
    pub fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.reasons.extend(reasons);
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The class, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why, as a chain of lines; empty when the message says it all.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for reason in &self.reasons {
            write!(f, "\n  {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
