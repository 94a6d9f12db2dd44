//! The difference of two texts, and the size of one.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// A difference of two texts.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Whether the texts are the same.
    pub same: bool,
    /// Lines only in the second text.
    pub added: usize,
    /// Lines only in the first text.
    pub removed: usize,
    /// In unified form; empty when the texts are the same.
    pub unified: String,
}

/// How much text there is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Bytes in UTF-8.
    pub bytes: usize,
    /// Characters (Unicode scalar values).
    pub characters: usize,
    /// Words, separated by white space.
    pub words: usize,
    /// Lines.
    pub lines: usize,
    /// The characters of the longest line.
    pub longest_line: usize,
}

/// Compares two texts line by line.
pub fn difference(before: &str, after: &str, context: usize, names: (&str, &str)) -> Difference {
    let diff = TextDiff::from_lines(before, after);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let unified = if before == after {
        String::new()
    } else {
        diff.unified_diff().context_radius(context).header(names.0, names.1).to_string()
    };
    Difference {
        same: before == after,
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        unified,
    }
}

/// Counts a text.
pub fn count(text: &str) -> Count {
    Count {
        bytes: text.len(),
        characters: text.chars().count(),
        words: text.split_whitespace().count(),
        lines: text.lines().count(),
        longest_line: text.lines().map(|line| line.chars().count()).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_one_removed_and_one_added() {
        let found = difference("a\nb\nc\n", "a\nB\nc\n", 1, ("old", "new"));
        assert_eq!((found.added, found.removed, found.same), (1, 1, false));
        assert_eq!(found.unified, "--- old\n+++ new\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    }

    #[test]
    fn the_same_text_has_no_difference() {
        let found = difference("a\n", "a\n", 3, ("old", "new"));
        assert_eq!((found.same, found.unified.as_str()), (true, ""));
    }

    #[test]
    fn counts() {
        let found = count("ä b\nccc");
        assert_eq!(
            (found.bytes, found.characters, found.words, found.lines, found.longest_line),
            (8, 7, 3, 2, 3)
        );
    }
}
