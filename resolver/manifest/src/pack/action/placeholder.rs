//! Placeholders: `{name}` in an argument or a path.
//!
//! Only braces around a name are a placeholder; `{{` and `}}` stand for the braces themselves.

use std::ops::Range;

use super::{Output, Port};
use crate::document::Context;

/// Names that mean something in every component: the folders of the pack and of the component, and, in an
/// orchestrator, the command that runs its children.
pub const COMMON: [&str; 3] = ["pack_root", "component_root", "run"];

/// The names that a template asks for.
#[must_use]
pub fn names(template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let from = &rest[at..];
        if from.starts_with("{{") || from.starts_with("}}") {
            rest = &from[2..];
            continue;
        }
        let name = from.strip_prefix('{').and_then(|from| from.split_once('}')).map(|(name, _)| name);
        match name.filter(|name| is_name(name)) {
            Some(name) => {
                names.push(name);
                rest = &from[name.len() + 2..];
            }
            None => rest = &from[1..],
        }
    }
    names
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Warns of placeholders that nothing stands for.
pub(super) fn check(
    context: &Context<'_>,
    span: &Range<usize>,
    template: &str,
    inputs: &[Port],
    outputs: &[Output],
) {
    let own = inputs.iter().map(|port| (&port.name, &port.placeholder));
    let own: Vec<_> = own.chain(outputs.iter().map(|output| (&output.name, &output.placeholder))).collect();
    for name in names(template) {
        let is_own =
            own.iter().any(|(own, placeholder)| *own == name || placeholder.as_deref() == Some(name));
        if !is_own && !COMMON.contains(&name) {
            let message = format!("`{{{name}}}` is no input and no output, so nothing can stand for it");
            let help = format!("`{{{{{name}}}}}` writes the braces themselves");
            context.warn(span, "placeholder", message, Some(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_around_a_name_are_placeholders() {
        assert_eq!(names("{a}/{b-2}.mp4 {{c}} {print $1} {} {é} }{d}"), ["a", "b-2", "d"]);
        for text in ["", "{", "}", "{{", "{{{", "{a", "é{"] {
            assert!(names(text).is_empty(), "{text}");
        }
    }
}
