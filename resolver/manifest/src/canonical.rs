//! One way of writing TOML: LF, keys in a given order, minimal quoting that never varies.

use std::fmt::{Display, Write as _};

use crate::signer::Signer;

/// Collects lines of TOML.
#[derive(Default)]
pub(crate) struct Writer(String);

/// `text` as a basic TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A key: bare where TOML allows it.
pub(crate) fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// An array of strings on one line.
pub(crate) fn array<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A signer: a word or an inline table.
pub(crate) fn signer(signer: &Signer) -> String {
    let fields = signer.fields();
    if fields.is_empty() {
        return quoted("unsigned");
    }
    let fields: Vec<String> =
        fields.iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
    format!("{{ {} }}", fields.join(", "))
}

impl Writer {
    /// A header such as `[distro]`, with an empty line before it.
    pub(crate) fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    /// `key = value`, the value being TOML already.
    pub(crate) fn raw(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{} = {value}", key(name));
    }

    /// `key = "text"`.
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.raw(name, quoted(&value.to_string()));
    }

    /// `key = "text"`, when there is one.
    pub(crate) fn optional(&mut self, name: &str, value: Option<&(impl Display + ?Sized)>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Everything that was written.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}
