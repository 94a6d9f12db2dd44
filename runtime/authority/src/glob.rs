//! Patterns with `*`, and whether two of them have a text in common.

/// Says whether `text` is matched by `pattern`, in which `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    // Only the pattern has wildcards here: a literal `*` in the text is an ordinary character.
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((after_star, consumed)) = retry {
            p = after_star;
            t = consumed + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Says whether some text is matched by both patterns.
///
/// Takes time in proportion to the product of their lengths.
#[must_use]
pub fn overlap(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // reachable[j]: the first i bytes of `left` and the first j of `right` can produce one text.
    let mut reachable = vec![false; right.len() + 1];
    for i in 0..=left.len() {
        let mut row = vec![false; right.len() + 1];
        for j in 0..=right.len() {
            row[j] = (i == 0 && j == 0)
                || (i > 0 && left[i - 1] == b'*' && reachable[j])
                || (j > 0 && right[j - 1] == b'*' && row[j - 1])
                || (i > 0 && j > 0 && left[i - 1] == b'*' && row[j - 1])
                || (i > 0 && j > 0 && right[j - 1] == b'*' && reachable[j])
                || (i > 0 && j > 0 && left[i - 1] == right[j - 1] && reachable[j - 1]);
        }
        reachable = row;
    }
    reachable[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_run() {
        assert!(matches("internal-*", "internal-a"));
        assert!(matches("*", ""));
        assert!(matches("a*c*e", "abcde"));
        assert!(!matches("a*c", "abd"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn overlap_finds_a_common_text() {
        assert!(overlap("*", "*.example.org"));
        assert!(overlap("a*c", "ab*"));
        assert!(overlap("x", "x"));
        assert!(!overlap("a*", "b*"));
        assert!(!overlap("api.example.org", "*.example.com"));
    }
}
