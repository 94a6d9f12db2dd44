//! What can go wrong between a declaration and an applied fleet, in one type.
//!
//! Every refusal says what is wrong, where, and what to do next. Its [`ErrorKind`] is what decides
//! the exit code; nothing else does.

use std::fmt;

/// The class of a refusal. Each has one exit code, and one page in `docs/errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// It did not work: a file that can't be read, a server that answers with an error.
    Failed,
    /// The arguments make no sense.
    Usage,
    /// A manifest, a lock or an artifact is not valid, or what it declares can't be satisfied.
    Invalid,
    /// Another process holds the writer's lock.
    Busy,
    /// The lock is not what the declaration asks for.
    StaleLock,
    /// It needs the network, or a change, that this run forbids.
    NeedsNetwork,
    /// Somebody has to say that they trust it.
    TrustRequired,
    /// A signature or its signer is refused.
    Signature,
    /// Bytes are not what was pinned.
    Corrupt,
    /// A policy forbids it.
    Policy,
    /// An apply failed, and everything is as it was before.
    RolledBack,
    /// The fleet was not healthy in time.
    Unhealthy,
}

impl ErrorKind {
    /// The exit code of the class.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Invalid => 65,
            Self::Busy => 75,
            Self::StaleLock => 80,
            Self::NeedsNetwork => 81,
            Self::TrustRequired => 82,
            Self::Signature => 83,
            Self::Corrupt => 84,
            Self::Policy => 85,
            Self::RolledBack => 86,
            Self::Unhealthy => 87,
        }
    }

    /// How much a refusal of this class weighs when several apply: the smaller is told first.
    #[must_use]
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Invalid => 0,
            Self::Corrupt => 1,
            Self::Signature => 2,
            Self::Policy => 3,
            Self::TrustRequired => 4,
            _ => 5,
        }
    }
}

/// A line of a file that people wrote, for messages. The file is named as the user would.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's name, as messages show it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters; nothing when the whole line is meant.
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

/// A refusal: its class, what is wrong, where, why, and what to do next.
#[derive(Debug)]
pub struct Error(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    reasons: Vec<String>,
    hint: Option<String>,
    diagnostics: Option<astrid_manifest::diagnostic::Diagnostics>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What the crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Refusal {
            kind,
            message: message.into(),
            place: None,
            reasons: Vec::new(),
            hint: None,
            diagnostics: None,
            source: None,
        }))
    }

    /// A manifest, lock or artifact is not valid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// Bytes are not what was pinned.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.0.place = place.into();
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says why, as a chain of lines.
    #[must_use]
    pub fn because(mut self, reasons: impl IntoIterator<Item = String>) -> Self {
        self.0.reasons.extend(reasons);
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The class, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, in one line, without place, reasons and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where, when a line of a file is to blame.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// Why, as a chain of lines; empty when the message says it all.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.0.reasons
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The complaints of the manifest's parser, with spans, when a file could not be read as one.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&astrid_manifest::diagnostic::Diagnostics> {
        self.0.diagnostics.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)?;
        for reason in &self.0.reasons {
            write!(f, "\n  {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<astrid_manifest::diagnostic::Diagnostics> for Error {
    fn from(diagnostics: astrid_manifest::diagnostic::Diagnostics) -> Self {
        let first =
            diagnostics.iter().find(|one| one.severity == astrid_manifest::diagnostic::Severity::Error);
        let first = first.or_else(|| diagnostics.iter().next());
        let mut error = Self::invalid(first.map_or_else(String::new, |one| one.message.clone()));
        if let Some(one) = first {
            error.0.place = Some(Place {
                file: one.file.clone(),
                line: one.line as usize,
                column: Some(one.column as usize),
            });
            error.0.hint.clone_from(&one.help);
        }
        if diagnostics.len() > 1 {
            error.0.reasons = diagnostics.iter().skip(1).map(ToString::to_string).collect();
        }
        error.0.diagnostics = Some(diagnostics);
        error
    }
}

impl From<astrid_store::StoreError> for Error {
    fn from(error: astrid_store::StoreError) -> Self {
        let kind = match error.kind() {
            astrid_store::ErrorKind::Invalid => ErrorKind::Invalid,
            astrid_store::ErrorKind::Corrupt | astrid_store::ErrorKind::Missing => ErrorKind::Corrupt,
            astrid_store::ErrorKind::Busy => ErrorKind::Busy,
            astrid_store::ErrorKind::Io => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<astrid_provenance::Error> for Error {
    fn from(error: astrid_provenance::Error) -> Self {
        let kind = match error.kind() {
            astrid_provenance::ErrorKind::Unreadable => ErrorKind::Invalid,
            astrid_provenance::ErrorKind::Refused => ErrorKind::Signature,
        };
        let own = Self::new(kind, error.message()).because(error.reasons().iter().cloned());
        match error.next_step() {
            Some(hint) => own.hint(hint),
            None => own,
        }
    }
}
