//! Why a shuttle is not taken, or can't be sealed.

use std::fmt;
use std::io;

use astrid_manifest::diagnostic::Diagnostics;
use astrid_store::StoreError;

/// The class of a refusal, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is no shuttle, or one that breaks a rule or a limit. Exit code 65.
    Unreadable,
    /// Bytes are not the ones that something in it promises. Exit code 84.
    Mismatch,
    /// Its signature is of something else. Exit code 83.
    Refused,
    /// The operating system refused. Exit code 1.
    Failed,
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
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), reasons: Vec::new(), hint: None }
    }

    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreadable, message)
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    pub(crate) fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.reasons.extend(reasons);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The complaints about the document `member`.
    pub(crate) fn document(member: &str, complaints: &Diagnostics) -> Self {
        Self::unreadable(format!("{member} in the bundle is not valid"))
            .because(complaints.iter().map(ToString::to_string))
    }

    /// A failure to read the file, or a fault of what is in it.
    pub(crate) fn reading(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other => {
                Self::unreadable(format!("it is no whole gzip file: {error}")).hint("copy it again")
            }
            _ => Self::failed(format!("the bundle can't be read: {error}")),
        }
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

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            astrid_store::ErrorKind::Invalid => ErrorKind::Unreadable,
            astrid_store::ErrorKind::Corrupt | astrid_store::ErrorKind::Missing => ErrorKind::Mismatch,
            astrid_store::ErrorKind::Busy | astrid_store::ErrorKind::Io => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<astrid_provenance::Error> for Error {
    fn from(error: astrid_provenance::Error) -> Self {
        let kind = match error.kind() {
            astrid_provenance::ErrorKind::Unreadable => ErrorKind::Unreadable,
            astrid_provenance::ErrorKind::Refused => ErrorKind::Refused,
        };
        let mut own = Self::new(kind, error.message()).because(error.reasons().iter().cloned());
        own.hint = error.next_step().map(str::to_owned);
        own
    }
}
