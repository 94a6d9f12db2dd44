//! Complaints about a file, each with its place, and all of them at once.

use std::fmt::{self, Write as _};
use std::ops::Range;

use serde::Serialize;

/// A place in a text: line and column start at 1, columns count characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line, from 1. 0 means: of no particular line.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, and the person should know.
    Warning,
}

impl Severity {
    /// The word that is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One complaint about one place of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// The rule that is broken, kebab-case: stable, for filters and documentation.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The line of the text, for the snippet; cut when it is very long.
    #[serde(skip)]
    pub(crate) snippet: String,
    /// How many characters of the snippet are marked.
    #[serde(skip)]
    pub(crate) marked: usize,
    /// After how many characters of the snippet the mark begins.
    #[serde(skip)]
    pub(crate) indent: usize,
}

impl Diagnostic {
    /// A complaint about a file as a whole, such as "it is too large".
    #[must_use]
    pub fn of_file(file: &str, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            span: 0..0,
            rule,
            message: message.into(),
            help: None,
            severity: Severity::Error,
            snippet: String::new(),
            marked: 0,
            indent: 0,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The place in the text.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }

    fn render_into(&self, out: &mut String, color: bool) {
        let paint = |code: &'static str| if color { code } else { "" };
        let (tone, bold, blue, reset) = (
            paint(match self.severity {
                Severity::Error => "\x1b[1;31m",
                Severity::Warning => "\x1b[1;33m",
            }),
            paint("\x1b[1m"),
            paint("\x1b[34m"),
            paint("\x1b[0m"),
        );
        let gutter = self.line.to_string().len();
        // Writing to a string can't fail.
        let _ = writeln!(
            out,
            "{tone}{}[{}]{reset}{bold}: {}{reset}",
            self.severity.as_str(),
            self.rule,
            self.message
        );
        let _ = writeln!(out, "{:gutter$}{blue}-->{reset} {}:{}:{}", "", self.file, self.line, self.column);
        if !self.snippet.is_empty() {
            let _ = writeln!(out, "{:gutter$} {blue}|{reset}", "");
            let _ = writeln!(out, "{blue}{} |{reset} {}", self.line, self.snippet);
            let _ = writeln!(
                out,
                "{:gutter$} {blue}|{reset} {:indent$}{tone}{}{reset}",
                "",
                "",
                "^".repeat(self.marked.max(1)),
                indent = self.indent
            );
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{:gutter$} {blue}={reset} help: {help}", "");
        }
    }
}

/// `file:line:column: severity[rule]: message`, on one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}[{}]: {}",
            self.file,
            self.line,
            self.column,
            self.severity.as_str(),
            self.rule,
            self.message
        )
    }
}

/// All complaints about a file or several, in the order in which a reader meets them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Collects and sorts: by file, then place, then errors before warnings.
    #[must_use]
    pub fn new(mut all: Vec<Diagnostic>) -> Self {
        all.sort_by(|one, two| {
            (&one.file, one.line, one.column, one.severity, one.rule, &one.message).cmp(&(
                &two.file,
                two.line,
                two.column,
                two.severity,
                two.rule,
                &two.message,
            ))
        });
        all.dedup();
        Self(all)
    }

    /// Says whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|one| one.severity == Severity::Error)
    }

    /// Says whether some complaint is of `rule`.
    #[must_use]
    pub fn has_rule(&self, rule: &str) -> bool {
        self.0.iter().any(|one| one.rule == rule)
    }

    /// The complaints in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Takes in the complaints about another file.
    pub fn merge(&mut self, other: Self) {
        let mut all = std::mem::take(&mut self.0);
        all.extend(other.0);
        *self = Self::new(all);
    }

    /// Everything for people: `file:line:column`, the line, a mark under it, and what to do next.
    ///
    /// `color` asks for ANSI colours; nothing is asked of a terminal.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for (at, one) in self.0.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            one.render_into(&mut out, color);
        }
        out
    }
}

/// One line per complaint.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, one) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            one.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A value that was parsed, and the warnings about its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What was read.
    pub value: T,
    /// What the person should know. Holds no error.
    pub warnings: Diagnostics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_shows_its_place() {
        let one = Diagnostic {
            line: 12,
            column: 3,
            snippet: "  naem = 1".to_owned(),
            indent: 2,
            marked: 4,
            ..Diagnostic::of_file("Distro.toml", "unknown-key", "unknown key `naem`")
                .with_help("write `name`")
        };
        let shown = Diagnostics::from(one).render(false);
        let expected = "error[unknown-key]: unknown key `naem`\n  --> Distro.toml:12:3\n   |\n12 |   naem = 1\n   |   ^^^^\n   = help: write `name`\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn complaints_are_sorted_by_place() {
        let at = |line| Diagnostic { line, ..Diagnostic::of_file("f", "r", "m") };
        let lines: Vec<u32> =
            Diagnostics::new(vec![at(3), at(1), at(2), at(1)]).iter().map(|one| one.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }
}
