//! What is looked for: a text or a regular expression in lines, and globs over paths.

use refusal::Refusal;
use regex_lite::{Regex, RegexBuilder};
use serde::Serialize;

/// A line is shown up to this many bytes.
const MAX_LINE: usize = 400;

/// A compiled query.
#[derive(Debug)]
pub struct Query(Regex);

impl Query {
    /// Reads a query. A literal text is a regular expression in which nothing is special.
    pub fn new(text: &str, is_regex: bool, is_case_sensitive: bool) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new("`query` is empty".to_owned()));
        }
        let pattern = if is_regex { text.to_owned() } else { regex_lite::escape(text) };
        RegexBuilder::new(&pattern).case_insensitive(!is_case_sensitive).build().map(Self).map_err(|error| {
            Refusal::new(format!(
                "`query` is not a regular expression: {error}; leave `regex` out to look for the plain text"
            ))
        })
    }

    /// The matches in a text, with `context` lines around each, at most `most`.
    pub fn find(&self, text: &str, context: usize, most: usize) -> Vec<Found> {
        let lines: Vec<&str> = text.lines().collect();
        let mut found = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(hit) = self.0.find(line) else { continue };
            if found.len() == most {
                break;
            }
            let show = |lines: Option<&[&str]>| -> Vec<String> {
                lines.unwrap_or_default().iter().map(|line| shorten(line, 0)).collect()
            };
            let last = (index + 1 + context).min(lines.len());
            found.push(Found {
                line: index + 1,
                column: line.get(..hit.start()).unwrap_or_default().chars().count() + 1,
                text: shorten(line, hit.start()),
                before: show(lines.get(index.saturating_sub(context)..index)),
                after: show(lines.get(index + 1..last)),
            });
        }
        found
    }
}

/// One matching line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its number, from 1.
    pub line: usize,
    /// The character at which the first match begins, from 1.
    pub column: usize,
    /// The line.
    pub text: String,
    /// The lines before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// The lines after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// A long line is cut around the byte `at`, so that the match stays in sight.
fn shorten(line: &str, at: usize) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let mut start = at.saturating_sub(MAX_LINE / 4);
    while !line.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (start + MAX_LINE).min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let lead = if start > 0 { "…" } else { "" };
    let tail = if end < line.len() { "…" } else { "" };
    format!("{lead}{}{tail}", line.get(start..end).unwrap_or_default())
}

/// Globs over paths: any of those without `!`, and none of those with it. No globs means every path.
#[derive(Debug, Default)]
pub struct Globs {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Globs {
    /// Reads globs such as `*.rs`, `src/**` and `!**/tests/**`. One without `/` is about the name alone.
    pub fn new(globs: &[String]) -> Self {
        let mut found = Self::default();
        for glob in globs.iter().filter(|glob| !glob.is_empty()) {
            match glob.strip_prefix('!') {
                Some(unwanted) => found.unwanted.push(unwanted.to_owned()),
                None => found.wanted.push(glob.clone()),
            }
        }
        found
    }

    /// Whether a path is wanted.
    pub fn admit(&self, path: &str) -> bool {
        let any = |globs: &[String]| globs.iter().any(|glob| is_match(glob, path));
        (self.wanted.is_empty() || any(&self.wanted)) && !any(&self.unwanted)
    }
}

fn is_match(glob: &str, path: &str) -> bool {
    let subject = if glob.contains('/') { path } else { path.rsplit('/').next().unwrap_or(path) };
    fast_glob::glob_match(glob.trim_start_matches("./"), subject)
}

/// Whether bytes look like something other than text: a NUL early on, as Git decides it too.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(8000).any(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(found: &[Found]) -> Vec<usize> {
        found.iter().map(|found| found.line).collect()
    }

    #[test]
    fn a_plain_text_is_not_a_pattern() {
        let text = "a.b\naxb\nA.B\n";
        let plain = Query::new("a.b", false, true).unwrap();
        assert_eq!(lines(&plain.find(text, 0, 10)), [1]);
        let any_case = Query::new("a.b", false, false).unwrap();
        assert_eq!(lines(&any_case.find(text, 0, 10)), [1, 3]);
        let pattern = Query::new("a.b", true, true).unwrap();
        assert_eq!(lines(&pattern.find(text, 0, 10)), [1, 2]);
    }

    #[test]
    fn context_stops_at_the_ends_of_the_file() {
        let found = Query::new("two", false, true).unwrap().find("one\ntwo\nthree", 3, 10);
        assert_eq!(
            (found[0].before.as_slice(), found[0].after.as_slice()),
            (&["one".to_owned()][..], &["three".to_owned()][..])
        );
        assert_eq!(found[0].column, 1);
    }

    #[test]
    fn columns_count_characters_and_results_are_limited() {
        let query = Query::new("x", false, true).unwrap();
        assert_eq!(query.find("äöx", 0, 10)[0].column, 3);
        assert_eq!(query.find("x\nx\nx", 0, 2).len(), 2);
    }

    #[test]
    fn a_long_line_keeps_its_match_in_sight() {
        let line = format!("{}needle{}", "ä".repeat(500), "b".repeat(500));
        let found = Query::new("needle", false, true).unwrap().find(&line, 0, 1);
        assert!(found[0].text.contains("needle") && found[0].text.len() < 500, "{}", found[0].text);
    }

    #[test]
    fn wrong_queries_are_refused() {
        assert!(Query::new("", false, true).is_err());
        let error = Query::new("(", true, true).unwrap_err().to_string();
        assert!(error.contains("leave `regex` out"), "{error}");
    }

    #[test]
    fn globs_want_and_unwant() {
        let globs =
            |list: &[&str]| Globs::new(&list.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>());
        assert!(globs(&[]).admit("a/b.rs"));
        assert!(globs(&["*.rs"]).admit("a/b.rs") && !globs(&["*.rs"]).admit("a/b.toml"));
        assert!(globs(&["src/**/*.rs"]).admit("src/a/b.rs") && !globs(&["src/**/*.rs"]).admit("lib/b.rs"));
        assert!(globs(&["*.{rs,toml}"]).admit("x.toml"));
        let both = globs(&["*.rs", "!**/tests/**"]);
        assert!(both.admit("src/a.rs") && !both.admit("src/tests/a.rs"));
        assert!(globs(&["!*.lock"]).admit("a.rs") && !globs(&["!*.lock"]).admit("Cargo.lock"));
    }

    #[test]
    fn a_nul_makes_a_file_binary() {
        assert!(is_binary(b"PK\0") && !is_binary("täxt".as_bytes()));
    }
}
