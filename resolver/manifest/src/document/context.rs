//! Where the complaints about one text are collected.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Diagnostics, Parsed, Position, Severity};

/// More complaints than this about one file help nobody.
const MAX_DIAGNOSTICS: usize = 100;
/// Longest piece of a line that a snippet shows, in characters.
const MAX_SNIPPET: usize = 120;

/// One text, its lines, and the complaints about it so far.
pub(crate) struct Context<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    /// Byte offsets at which lines start; found once, so that places cost a binary search.
    lines: Vec<usize>,
    /// The place that was asked for last: a byte offset, and its column from 0. The next one is
    /// most often near, and some files are one long line.
    last: Cell<(usize, usize)>,
    found: RefCell<Found>,
    /// How many values the text holds, with those that aliases repeat: what reading it costs in memory.
    values: Cell<usize>,
}

#[derive(Default)]
struct Found {
    kept: Vec<Diagnostic>,
    dropped: usize,
    errors: usize,
}

impl<'a> Context<'a> {
    /// Prepares `text`, which people know as `file`. Refuses more than `max_bytes`.
    pub(crate) fn new(file: &'a str, text: &'a str, max_bytes: usize) -> Result<Self, Diagnostics> {
        if text.len() > max_bytes {
            let message = format!("the file has {} bytes; at most {max_bytes} are read", text.len());
            return Err(Diagnostic::of_file(file, "too-large", message).into());
        }
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(newlines).collect();
        Ok(Self {
            file,
            text,
            lines,
            last: Cell::default(),
            found: RefCell::default(),
            values: Cell::default(),
        })
    }

    /// Notes how many values the text holds.
    pub(crate) fn note_values(&self, values: usize) {
        self.values.set(values);
    }

    /// How many values the text holds, as far as it was read.
    pub(crate) fn values(&self) -> usize {
        self.values.get()
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The place of a byte offset.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let offset = self.boundary(offset);
        let line = self.line_of(offset);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let count = |from: usize, to: usize| self.text.get(from..to).map_or(0, |part| part.chars().count());
        let (known, column) = self.last.get();
        let column = if known <= start {
            count(start, offset)
        } else if known <= offset {
            column + count(known, offset)
        } else if self.line_of(known) == line {
            column - count(offset, known)
        } else {
            count(start, offset)
        };
        self.last.set((offset, column));
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: small(line + 1), column: small(column + 1) }
    }

    fn add(
        &self,
        severity: Severity,
        span: &Range<usize>,
        rule: &'static str,
        message: String,
        help: Option<String>,
    ) {
        let mut found = self.found.borrow_mut();
        if severity == Severity::Error {
            found.errors += 1;
        }
        if found.kept.len() >= MAX_DIAGNOSTICS {
            found.dropped += 1;
            return;
        }
        let position = self.position(span.start);
        let line = self.line_of(self.boundary(span.start));
        let start = self.lines.get(line).copied().unwrap_or(0);
        let end = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        let whole = self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        // Show the part of a very long line that the mark is in.
        let before = position.column as usize - 1;
        let skip = if before > MAX_SNIPPET * 2 / 3 { before - MAX_SNIPPET / 3 } else { 0 };
        let snippet: String = whole
            .chars()
            .skip(skip)
            .take(MAX_SNIPPET)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        let marked = self
            .text
            .get(self.boundary(span.start)..self.boundary(span.end).min(end))
            .map_or(1, |inside| inside.trim_end().chars().take(MAX_SNIPPET).count());
        let indent = before - skip;
        let room = snippet.chars().count().saturating_sub(indent).max(1);
        found.kept.push(Diagnostic {
            file: self.file.to_owned(),
            line: position.line,
            column: position.column,
            span: span.clone(),
            rule,
            message,
            help,
            severity,
            snippet,
            marked: marked.clamp(1, room),
            indent,
        });
    }

    /// The bytes of a line, counted from 1, without the spaces before it.
    pub(crate) fn line_span(&self, line: u32) -> Range<usize> {
        let line = (line as usize).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let indent = self.text.get(start..end).map_or(0, |whole| whole.len() - whole.trim_start().len());
        start + indent..end
    }

    /// Notes an error.
    pub(crate) fn error(&self, span: &Range<usize>, rule: &'static str, message: impl Into<String>) {
        self.add(Severity::Error, span, rule, message.into(), None);
    }

    /// Notes an error and what to do next.
    pub(crate) fn error_help(
        &self,
        span: &Range<usize>,
        rule: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, span, rule, message.into(), Some(help.into()));
    }

    /// Notes a warning and, maybe, what to do next.
    pub(crate) fn warn(
        &self,
        span: &Range<usize>,
        rule: &'static str,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Warning, span, rule, message.into(), help);
    }

    /// Notes that a feature is not part of this version.
    pub(crate) fn unsupported(&self, span: &Range<usize>, what: &str, help: &str) {
        self.error_help(span, "not-supported", format!("{what} is not supported by this version"), help);
    }

    /// Says whether an error was noted.
    pub(crate) fn failed(&self) -> bool {
        self.found.borrow().errors > 0
    }

    /// Everything noted so far.
    pub(crate) fn into_diagnostics(self) -> Diagnostics {
        let mut found = self.found.into_inner();
        if found.dropped > 0 {
            let message = format!("and {} more", found.dropped);
            let mut last = Diagnostic::of_file(self.file, "more", message);
            last.line = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
            if found.errors == 0 {
                last.severity = Severity::Warning;
            }
            found.kept.push(last);
        }
        Diagnostics::new(found.kept)
    }

    /// Gives `value` back unless an error was noted.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<Parsed<T>, Diagnostics> {
        match value {
            Some(value) if !self.failed() => Ok(Parsed { value, warnings: self.into_diagnostics() }),
            _ => {
                if !self.failed() {
                    self.error(&(0..0), "unreadable", "the file can't be read");
                }
                Err(self.into_diagnostics())
            }
        }
    }
}
