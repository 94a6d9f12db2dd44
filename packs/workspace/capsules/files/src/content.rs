//! What is in a file, as an agent sees it: text by lines, or Base64 when it is not text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most text that one answer carries, in bytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// How the content of a file is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8 text.
    Text,
    /// Base64, for anything that is not text.
    Base64,
}

/// A part of a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The text or the Base64.
    pub content: String,
    /// Which of the two it is.
    pub encoding: Encoding,
    /// The number of the first line in `content`, from 1. Only for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_line: Option<usize>,
    /// The number of the last line in `content`. Only for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_line: Option<usize>,
    /// How many lines the whole file has. Only for text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_lines: Option<usize>,
    /// How many bytes the whole file has.
    pub total_bytes: usize,
    /// Whether `content` stops before what was asked for, because an answer has a size limit.
    pub truncated: bool,
}

/// Which part of a file is wanted. Lines count from 1, and both ends are included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// The first line, default 1.
    pub start: Option<usize>,
    /// The last line, default the last of the file.
    pub end: Option<usize>,
}

/// Takes the wanted part out of a file. Without a wish for an encoding, text is text and the rest Base64.
pub fn excerpt(bytes: &[u8], range: Range, wish: Option<Encoding>) -> Result<Excerpt, Refusal> {
    let text = std::str::from_utf8(bytes);
    match (wish, text) {
        (Some(Encoding::Base64), _) | (None, Err(_)) => binary(bytes, range),
        (Some(Encoding::Text), Err(error)) => Err(refuse(format!(
            "the file is not UTF-8 text (byte {} is the first that is not); read it with \
             `encoding: \"base64\"`",
            error.valid_up_to()
        ))),
        (_, Ok(text)) => lines(text, range),
    }
}

fn binary(bytes: &[u8], range: Range) -> Result<Excerpt, Refusal> {
    if range != Range::default() {
        return Err(refuse("the file is not text, so it has no lines to choose from".to_owned()));
    }
    // Whole groups of three bytes: the part that is returned decodes by itself.
    let most = MAX_ANSWER / 4 * 3;
    let part = bytes.get(..most).unwrap_or(bytes);
    Ok(Excerpt {
        content: BASE64_STANDARD.encode(part),
        encoding: Encoding::Base64,
        first_line: None,
        last_line: None,
        total_lines: None,
        total_bytes: bytes.len(),
        truncated: part.len() < bytes.len(),
    })
}

fn lines(text: &str, range: Range) -> Result<Excerpt, Refusal> {
    let total = text.lines().count();
    let start = range.start.unwrap_or(1);
    let end = range.end.unwrap_or(total).min(total);
    if start == 0 || range.end == Some(0) {
        return Err(refuse("lines count from 1".to_owned()));
    }
    if range.end.is_some_and(|end| end < start) {
        return Err(refuse(format!("`end_line` comes before `start_line` {start}")));
    }
    if start > total && total > 0 {
        return Err(refuse(format!("the file has {total} lines, so there is no line {start}")));
    }
    let mut content = String::new();
    let mut last_line = start.saturating_sub(1);
    let mut truncated = false;
    for line in text.split_inclusive('\n').skip(start.saturating_sub(1)).take((end + 1).saturating_sub(start))
    {
        if content.len() + line.len() > MAX_ANSWER {
            truncated = true;
            if content.is_empty() {
                content.push_str(prefix(line, MAX_ANSWER));
                last_line += 1;
            }
            break;
        }
        content.push_str(line);
        last_line += 1;
    }
    Ok(Excerpt {
        content,
        encoding: Encoding::Text,
        first_line: Some(start),
        last_line: Some(last_line),
        total_lines: Some(total),
        total_bytes: text.len(),
        truncated,
    })
}

/// The longest beginning of `text` of at most `most` bytes that does not cut a character.
fn prefix(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The bytes that an agent wrote down as text or Base64.
pub fn decode(content: &str, encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    match encoding {
        Encoding::Text => Ok(content.as_bytes().to_vec()),
        Encoding::Base64 => BASE64_STANDARD
            .decode(content.trim())
            .map_err(|error| refuse(format!("`content` is not Base64: {error}"))),
    }
}

/// The result of replacing a piece of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The new text.
    pub text: String,
    /// The lines on which a replaced piece began, in the old text, from 1.
    pub lines: Vec<usize>,
}

/// Replaces `old` by `new`, exactly `expected` times: a piece that occurs more or less often than
/// expected changes nothing. `None` replaces every occurrence, of which there must be one.
pub fn replace(text: &str, old: &str, new: &str, expected: Option<usize>) -> Result<Replaced, Refusal> {
    if old.is_empty() {
        return Err(refuse("`old` is empty; use `write_file` to write a whole file".to_owned()));
    }
    if old == new {
        return Err(refuse("`old` and `new` are the same; nothing would change".to_owned()));
    }
    let lines: Vec<usize> = text
        .match_indices(old)
        .map(|(at, _)| text.get(..at).unwrap_or_default().matches('\n').count() + 1)
        .collect();
    if lines.is_empty() {
        let hint = near_miss(text, old);
        return Err(refuse(format!("`old` does not occur in the file; nothing was changed{hint}")));
    }
    if expected.is_some_and(|expected| expected != lines.len()) {
        return Err(refuse(format!(
            "`old` occurs {} times (lines {}), {} expected; nothing was changed. Give more of the \
             surrounding text, or set `count`, or `all: true`",
            lines.len(),
            lines.iter().take(10).map(usize::to_string).collect::<Vec<_>>().join(", "),
            expected.unwrap_or_default(),
        )));
    }
    Ok(Replaced { text: text.replace(old, new), lines })
}

/// Says where `old` would occur if white space did not count: the most common reason for a miss.
fn near_miss(text: &str, old: &str) -> String {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(first) = old.lines().map(squeeze).find(|line| !line.is_empty()) else { return String::new() };
    match text.lines().position(|line| squeeze(line) == first) {
        Some(index) => format!(
            "; line {} is the same except for white space: read the file again and copy it exactly",
            index + 1
        ),
        None => String::new(),
    }
}

fn refuse(message: String) -> Refusal {
    Refusal::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one\ntwo\nthree\n";

    fn range(start: usize, end: usize) -> Range {
        Range { start: Some(start), end: Some(end) }
    }

    #[test]
    fn a_whole_file_and_a_range_of_lines() {
        let whole = excerpt(TEXT.as_bytes(), Range::default(), None).unwrap();
        assert_eq!((whole.content.as_str(), whole.total_lines, whole.truncated), (TEXT, Some(3), false));
        let part = excerpt(TEXT.as_bytes(), range(2, 9), None).unwrap();
        assert_eq!(
            (part.content.as_str(), part.first_line, part.last_line),
            ("two\nthree\n", Some(2), Some(3))
        );
    }

    #[test]
    fn an_empty_file_is_not_an_error() {
        let empty = excerpt(b"", Range::default(), None).unwrap();
        assert_eq!((empty.content.as_str(), empty.total_lines), ("", Some(0)));
    }

    #[test]
    fn a_line_that_does_not_exist_is_refused() {
        for wrong in [range(4, 9), range(0, 1), range(3, 2)] {
            assert!(excerpt(TEXT.as_bytes(), wrong, None).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_come_as_base64() {
        let bytes = [0xff, 0x00, 0x01];
        let found = excerpt(&bytes, Range::default(), None).unwrap();
        assert_eq!(found.encoding, Encoding::Base64);
        assert_eq!(decode(&found.content, Encoding::Base64).unwrap(), bytes);
        assert!(excerpt(&bytes, Range::default(), Some(Encoding::Text)).is_err());
        assert!(excerpt(&bytes, range(1, 2), None).is_err());
    }

    #[test]
    fn long_files_are_cut_at_a_line_and_say_so() {
        let text = "0123456789\n".repeat(MAX_ANSWER / 11 + 5);
        let found = excerpt(text.as_bytes(), Range::default(), None).unwrap();
        assert!(found.truncated && found.content.len() <= MAX_ANSWER && found.content.ends_with('\n'));
        let next = Range { start: found.last_line.map(|line| line + 1), end: None };
        let rest = excerpt(text.as_bytes(), next, None).unwrap();
        assert_eq!(format!("{}{}", found.content, rest.content), text);
    }

    #[test]
    fn one_huge_line_is_cut_at_a_character() {
        let text = "ä".repeat(MAX_ANSWER);
        let found = excerpt(text.as_bytes(), Range::default(), None).unwrap();
        assert!(found.truncated && found.content.len() == MAX_ANSWER && found.last_line == Some(1));
    }

    #[test]
    fn a_piece_is_replaced_exactly_as_often_as_expected() {
        let replaced = replace("a b a", "a", "c", Some(2)).unwrap();
        assert_eq!((replaced.text.as_str(), replaced.lines.len()), ("c b c", 2));
        assert_eq!(replace(TEXT, "two", "2", Some(1)).unwrap().lines, [2]);
        assert_eq!(replace("a a", "a", "b", None).unwrap().text, "b b");
    }

    #[test]
    fn an_ambiguous_or_absent_piece_changes_nothing() {
        let error = replace("a\na\n", "a", "b", Some(1)).unwrap_err().to_string();
        assert!(error.contains("2 times (lines 1, 2)"), "{error}");
        assert!(replace(TEXT, "four", "4", Some(1)).is_err());
        assert!(replace(TEXT, "", "4", Some(1)).is_err());
        let error = replace("  fn  main() {}\n", "fn main() {}", "x", Some(1)).unwrap_err().to_string();
        assert!(error.contains("line 1 is the same except for white space"), "{error}");
    }
}
