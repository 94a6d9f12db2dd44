//! Results as text for people. Nothing here decides or prints.

/// Writes at the end of a text. Writing to a string can't fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        let _ = $out.write_fmt(format_args!($($text)*));
    }};
}
pub(crate) use put;

pub(crate) mod bundle;
pub(crate) mod grants;
pub(crate) mod markdown;
pub(crate) mod pack;
pub(crate) mod plan;
pub(crate) mod trust;

/// A text from a manifest or an artifact, safe to show: control characters can't move the cursor or hide a line.
pub(crate) fn safe(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if text.contains(hidden) {
        text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_marks_are_shown_denied() {
        assert_eq!(safe("a\u{1b}[2Kb\n"), "a\\u{1b}[2Kb\\u{a}");
        assert_eq!(safe("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(safe("plain – text"), "plain – text");
    }
}
