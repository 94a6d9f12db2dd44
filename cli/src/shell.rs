//! The only place that prints.
//!
//! People read standard error, programs read standard output. A reader that went away (`astrid status | head`)
//! is no fault: what is left is dropped and the verb still does its work to the end.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use crate::exit::Failure;
use crate::render::safe;

/// How data is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Pretty,
    /// One JSON document
    Json,
    /// YAML
    Yaml,
    /// TOML
    Toml,
    /// Markdown, for reviews (plan, show and apply --dry-run)
    Markdown,
    /// A public key as files of ours have it (keypair pubkey)
    Wire,
    /// A public key as OpenSSH has it (keypair pubkey)
    Openssh,
    /// A public key as hexadecimal digits (keypair pubkey)
    Hex,
}

impl Format {
    /// It is the same data in the words of a program.
    fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Yaml | Self::Toml)
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR or CLICOLOR=0 is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }

    pub(crate) fn for_clap(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

/// The styles of the house, by meaning.
pub(crate) mod style {
    use super::{AnsiColor, Style};

    pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
    pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
    pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();
    pub(crate) const HEADING: Style = Style::new().bold();
    pub(crate) const ADDED: Style = AnsiColor::Green.on_default();
    pub(crate) const REMOVED: Style = AnsiColor::Red.on_default();
    pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
    pub(crate) const FAINT: Style = Style::new().dimmed();
}

/// Text in a style. The stream drops the style where colours are off.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// What is printed, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the streams")]
pub(crate) struct Shell {
    out: AutoStream<std::io::Stdout>,
    err: AutoStream<std::io::Stderr>,
    out_is_open: bool,
    err_is_open: bool,
    format: Format,
    stream: bool,
    quiet: bool,
    verbose: bool,
    documented: bool,
    err_has_colors: bool,
    err_is_terminal: bool,
}

impl Shell {
    pub(crate) fn new(color: Color) -> Self {
        let err_is_terminal = std::io::stderr().is_terminal();
        let err = AutoStream::new(std::io::stderr(), color.choice());
        let err_has_colors = err.current_choice() != ColorChoice::Never;
        Self {
            out: AutoStream::new(std::io::stdout(), color.choice()),
            err,
            out_is_open: true,
            err_is_open: true,
            format: Format::Pretty,
            stream: false,
            quiet: false,
            verbose: false,
            documented: false,
            err_has_colors,
            err_is_terminal,
        }
    }

    pub(crate) fn set(&mut self, format: Format, stream: bool, quiet: bool, verbose: bool) {
        self.format = format;
        self.stream = stream;
        self.quiet = quiet;
        self.verbose = verbose;
    }

    /// The format of data.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Bars may be drawn.
    pub(crate) fn draws_progress(&self) -> bool {
        self.err_is_terminal && !self.quiet && !self.stream
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Data, as it is, on standard output.
    pub(crate) fn data(&mut self, text: &str) {
        if self.out_is_open && (self.out.write_all(text.as_bytes()).is_err() || self.out.flush().is_err()) {
            self.out_is_open = false;
        }
    }

    /// What another process wrote on its standard output, byte for byte; says whether somebody reads it.
    pub(crate) fn hand_out(&mut self, bytes: &[u8]) -> bool {
        let mut out = std::io::stdout().lock();
        if self.out_is_open && (out.write_all(bytes).is_err() || out.flush().is_err()) {
            self.out_is_open = false;
        }
        self.out_is_open
    }

    /// What another process wrote on its standard error, byte for byte; says whether somebody reads it.
    pub(crate) fn hand_err(&mut self, bytes: &[u8]) -> bool {
        if self.err_is_open && std::io::stderr().lock().write_all(bytes).is_err() {
            self.err_is_open = false;
        }
        self.err_is_open
    }

    /// A line for people on standard error, also when it is quiet.
    pub(crate) fn say(&mut self, text: &str) {
        if self.err_is_open && writeln!(self.err, "{text}").is_err() {
            self.err_is_open = false;
        }
    }

    /// The beginning of a line that a person completes.
    pub(crate) fn ask(&mut self, text: &str) {
        if self.err_is_open && (write!(self.err, "{text}").is_err() || self.err.flush().is_err()) {
            self.err_is_open = false;
        }
    }

    /// A line that says what was done, unless it is quiet.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Something that a person should know, and that stops nothing.
    pub(crate) fn warn(&mut self, text: &str) {
        let word = paint(style::WARNING, "warning:");
        self.say(&format!("{word} {text}"));
    }

    /// Complaints about files, with their places.
    pub(crate) fn complain(&mut self, complaints: impl IntoIterator<Item = astrid_manifest::Diagnostic>) {
        let complaints = astrid_manifest::Diagnostics::new(complaints.into_iter().collect());
        if !complaints.is_empty() {
            let text = complaints.render(self.err_has_colors);
            self.say(text.trim_end());
        }
    }

    /// The one document of this run: `pretty` for people, the same data in another format for programs.
    pub(crate) fn show(&mut self, document: &impl Serialize, pretty: &str) -> Result<(), Failure> {
        if self.for_programs() {
            return self.document(document);
        }
        self.data(pretty);
        Ok(())
    }

    /// Says whether data goes to a program.
    pub(crate) fn for_programs(&self) -> bool {
        self.stream || self.format.is_document()
    }

    /// Writes a document with its `format_version`.
    fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let value = serde_json::to_value(document).map_err(|error| internal(&error))?;
        let mut value = versioned(value);
        let text = match self.format {
            _ if self.stream => {
                let mut line = serde_json::json!({ "event": "result" });
                merge(&mut line, value);
                format!("{line}\n")
            }
            Format::Yaml => serde_yaml::to_string(&value).map_err(|error| internal(&error))?,
            Format::Toml => {
                drop_nulls(&mut value);
                toml_text(&value)?
            }
            _ => {
                let mut text = serde_json::to_string_pretty(&value).map_err(|error| internal(&error))?;
                text.push('\n');
                text
            }
        };
        self.documented = true;
        self.data(&text);
        Ok(())
    }

    /// One line of the stream of a long verb; nothing without `--json-stream`.
    pub(crate) fn event(&mut self, name: &str, fields: Value) {
        if self.stream {
            let mut line = serde_json::json!({ "format_version": 1, "event": name });
            merge(&mut line, fields);
            self.data(&format!("{line}\n"));
        }
    }

    /// Tells why the run failed: for people always, for programs when they read.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if self.for_programs() && !self.documented {
            self.documented = true;
            let mut document = failure.json();
            if self.stream {
                document["event"] = Value::from("error");
                self.data(&format!("{document}\n"));
            } else {
                let text = serde_json::to_string_pretty(&document).unwrap_or_else(|_| document.to_string());
                self.data(&format!("{text}\n"));
            }
        }
        if failure.told {
            return;
        }
        self.complain(failure.diagnostics.iter().cloned());
        let mut text = String::new();
        let word = paint(style::ERROR, "error:");
        // Failures quote manifests, paths and servers: what these hold must not move the cursor.
        let _ = write!(text, "{word} {}", safe_lines(&failure.message));
        for reason in &failure.reasons {
            let _ = write!(text, "\n  {}", safe_lines(reason));
        }
        if let Some(hint) = &failure.hint {
            let mut lines = hint.lines();
            let word = paint(style::HINT, "hint:");
            let _ = write!(text, "\n{word} {}", safe(lines.next().unwrap_or_default()));
            for line in lines {
                let _ = write!(text, "\n      {}", safe(line));
            }
        }
        self.say(&text);
    }
}

/// Lines that are safe to show, each for itself.
fn safe_lines(text: &str) -> String {
    text.split('\n').map(safe).collect::<Vec<_>>().join("\n")
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(crate::exit::Kind::Internal, format!("a document could not be written: {error}"))
}

/// Puts `format_version` into an object that has none; anything else becomes its `items`.
fn versioned(value: Value) -> Value {
    let mut document = serde_json::json!({ "format_version": 1 });
    match value {
        Value::Object(fields) => merge(&mut document, Value::Object(fields)),
        other => document["items"] = other,
    }
    document
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// TOML has no null: a field without a value is left out.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

fn toml_text(value: &Value) -> Result<String, Failure> {
    toml_edit::ser::to_string_pretty(value).map_err(|error| internal(&error))
}

/// Columns as wide as their widest cell. The last column is not padded.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut row = String::new();
        for (width, cell) in widths.iter().zip(cells) {
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(&mut heading.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// `1 pack`, `2 packs`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Bytes for people: `820 B`, `64.0 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let shown: Vec<String> = [0, 1023, 1024, 65_536, 1 << 20, u64::MAX].into_iter().map(size).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "64.0 KiB", "1.0 MiB", "16777215.9 TiB"]);
    }

    #[test]
    fn tables_line_up() {
        let rows =
            [vec!["a".to_owned(), "long".to_owned(), "x".to_owned()], vec!["bb".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["N", "TWO", "3"], &rows), "N   TWO   3\na   long  x\nbb  c\n");
    }

    #[test]
    fn nulls_are_left_out_of_toml() {
        let mut value = serde_json::json!({ "a": null, "b": [null, 1], "c": { "d": null, "e": "f" } });
        drop_nulls(&mut value);
        assert_eq!(toml_text(&value).unwrap(), "b = [1]\n\n[c]\ne = \"f\"\n");
    }
}
