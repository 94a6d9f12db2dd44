//! Placeholders: `{name}` in an argument or a path stands for a value.
//!
//! Only braces around a name are a placeholder, so that `awk '{print $1}'` needs no care; `{{` and `}}` stand
//! for the braces themselves. A value is never looked at again: what it holds is never a placeholder, and an
//! argument stays one argument whatever is put into it.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// What placeholders stand for.
pub type Values = BTreeMap<String, String>;

/// Part of a template.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        if from.starts_with("{{") || from.starts_with("}}") {
            parts.push(Part::Text(&from[..1]));
            rest = &from[2..];
            continue;
        }
        let name = from[1..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        if let Some(name) = name.filter(|_| from.starts_with('{')) {
            parts.push(Part::Name(name));
            rest = &from[name.len() + 2..];
        } else {
            parts.push(Part::Text(&from[..1]));
            rest = &from[1..];
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// The template with its values; `place` says where it is written.
///
/// # Errors
/// When it asks for a name that stands for nothing.
pub fn fill(template: &str, values: &Values, place: &str) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    for part in parts(template) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name(name) => {
                let value = values.get(name).ok_or_else(|| {
                    let known: Vec<&str> = values.keys().map(String::as_str).collect();
                    Error::invalid(format!("{place} asks for `{{{name}}}`, which has no value")).hint(
                        format!(
                            "it may be one of {}; `{{{{{name}}}}}` writes the braces themselves",
                            known.join(", ")
                        ),
                    )
                })?;
                filled.push_str(value);
            }
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        [("a", "1"), ("b_2", "{a}"), ("c", "x y; $(z)")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn names_are_filled_and_values_are_not_looked_at_again() {
        let filled = |template| fill(template, &values(), "it").unwrap();
        assert_eq!(filled("--x={a}/{a}"), "--x=1/1");
        assert_eq!(filled("{b_2}"), "{a}");
        assert_eq!(filled("{c}"), "x y; $(z)");
    }

    #[test]
    fn braces_that_hold_no_name_are_text() {
        let filled = |template| fill(template, &values(), "it").unwrap();
        for text in ["{print $1}", "{", "}", "{}", "a{1}b", "{a b}", "{ä}", "é{"] {
            assert_eq!(filled(text), text);
        }
        assert_eq!(filled("{{a}}"), "{a}");
        assert_eq!(filled("{{{a}}}"), "{1}");
    }

    #[test]
    fn a_name_without_a_value_is_refused_denied() {
        let error = fill("{who}", &values(), "`argv[0]`").unwrap_err();
        assert_eq!(error.to_string(), "`argv[0]` asks for `{who}`, which has no value");
        assert!(error.next_step().unwrap().contains("a, b_2, c"));
    }
}
