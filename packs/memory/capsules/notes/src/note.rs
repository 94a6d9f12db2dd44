//! A note, the rules for its parts, and how well it answers a search.

use refusal::Refusal;
use serde::{Deserialize, Serialize};

/// The longest title, in characters.
pub const MAX_TITLE: usize = 200;
/// The longest body, in bytes: a value in the store holds 1 MiB.
pub const MAX_BODY: usize = 512 * 1024;
const MAX_TAGS: usize = 32;
const MAX_ID: usize = 64;

/// A note as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its name in the store.
    pub id: String,
    /// One line.
    pub title: String,
    /// Text, of any shape.
    pub body: String,
    /// Lower-case labels, sorted.
    pub tags: Vec<String>,
    /// When it was first saved, RFC 3339 in UTC.
    pub created: String,
    /// When it was last saved.
    pub updated: String,
}

/// Makes an id out of a title: lower-case words joined by `-`.
pub fn id_of(title: &str) -> String {
    let mut id = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            if id.len() + character.len_utf8() > MAX_ID {
                break;
            }
            id.push(character);
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_end_matches('-');
    if id.is_empty() { "note".to_owned() } else { id.to_owned() }
}

/// Checks an id that somebody wrote.
pub fn check_id(id: &str) -> Result<(), Refusal> {
    let is_fine = |character: char| character.is_alphanumeric() || character == '-';
    if id.is_empty() || id.len() > 2 * MAX_ID || !id.chars().all(is_fine) {
        return Err(refuse(format!("`{id}` is not the id of a note: letters, digits and `-` only")));
    }
    Ok(())
}

/// Checks a title and trims it.
pub fn check_title(title: &str) -> Result<String, Refusal> {
    let title = title.trim();
    if title.is_empty() || title.chars().count() > MAX_TITLE || title.contains('\n') {
        return Err(refuse(format!("`title` must be one line of 1 to {MAX_TITLE} characters")));
    }
    Ok(title.to_owned())
}

/// Checks the size of a body.
pub fn check_body(body: &str) -> Result<(), Refusal> {
    if body.len() > MAX_BODY {
        return Err(refuse(format!(
            "`body` has {} bytes, a note holds {MAX_BODY}; split it, or write a file",
            body.len()
        )));
    }
    Ok(())
}

/// Brings tags into their one form: lower case, without `#`, sorted, each once.
pub fn normalise_tags(tags: &[String]) -> Result<Vec<String>, Refusal> {
    let mut normal = Vec::new();
    for tag in tags {
        let tag = tag.trim().trim_start_matches('#').to_lowercase();
        if tag.is_empty() || tag.len() > 64 || tag.contains(char::is_whitespace) {
            return Err(refuse(format!("`{tag}` is not a tag: one word of 1 to 64 bytes")));
        }
        normal.push(tag);
    }
    normal.sort();
    normal.dedup();
    if normal.len() > MAX_TAGS {
        return Err(refuse(format!("a note has at most {MAX_TAGS} tags")));
    }
    Ok(normal)
}

impl Note {
    /// How well the note answers a search: 0 when a word is missing, more when words are in the title
    /// or are a tag. `words` are lower case.
    pub fn score(&self, words: &[String]) -> u32 {
        let (title, body) = (self.title.to_lowercase(), self.body.to_lowercase());
        let mut score = 0;
        for word in words {
            let in_body = u32::try_from(body.matches(word.as_str()).count()).unwrap_or(u32::MAX).min(5);
            let found = 10 * u32::from(title.contains(word.as_str()))
                + 8 * u32::from(self.tags.contains(word))
                + in_body;
            if found == 0 {
                return 0;
            }
            score += found;
        }
        score
    }

    /// The first line of the body in which one of the words is, else its first line; at most 160 characters.
    pub fn snippet(&self, words: &[String]) -> String {
        let has_word = |line: &&str| {
            let line = line.to_lowercase();
            words.iter().any(|word| line.contains(word.as_str()))
        };
        let lines = || self.body.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines().find(has_word).or_else(|| lines().next()).unwrap_or_default();
        let mut short: String = line.chars().take(160).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    }
}

fn refuse(message: String) -> Refusal {
    Refusal::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(title: &str, body: &str, tags: &[&str]) -> Note {
        Note {
            id: id_of(title),
            title: title.to_owned(),
            body: body.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            created: String::new(),
            updated: String::new(),
        }
    }

    #[test]
    fn ids_are_readable_and_bounded() {
        assert_eq!(id_of("  Why we chose  Redb! "), "why-we-chose-redb");
        assert_eq!(id_of("Über Größe"), "über-größe");
        assert_eq!(id_of("!!!"), "note");
        assert!(id_of(&"x".repeat(500)).len() <= MAX_ID);
        for title in ["a b", "Ä", "---", "x/../y"] {
            check_id(&id_of(title)).unwrap();
        }
        assert!(check_id("../x").is_err() && check_id("").is_err());
    }

    #[test]
    fn tags_have_one_form() {
        let tags = ["#Rust".to_owned(), "rust".to_owned(), "design ".to_owned()];
        assert_eq!(normalise_tags(&tags).unwrap(), ["design", "rust"]);
        assert!(normalise_tags(&["two words".to_owned()]).is_err());
    }

    #[test]
    fn a_search_wants_every_word_and_prefers_titles() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let in_title = note("Release plan", "when to ship", &[]);
        let in_body = note("Misc", "the release plan is a draft", &[]);
        assert!(in_title.score(&words("release plan")) > in_body.score(&words("release plan")));
        assert_eq!(in_title.score(&words("release lunch")), 0);
        assert!(note("x", "", &["rust"]).score(&words("rust")) > 0);
    }

    #[test]
    fn a_snippet_shows_the_line_with_the_word() {
        let note = note("t", "first line\n\nsecond Needle line", &[]);
        assert_eq!(note.snippet(&["needle".to_owned()]), "second Needle line");
        assert_eq!(note.snippet(&[]), "first line");
    }

    #[test]
    fn limits_denied() {
        assert!(check_title("").is_err() && check_title("a\nb").is_err());
        assert!(check_body(&"x".repeat(MAX_BODY + 1)).is_err());
    }
}
