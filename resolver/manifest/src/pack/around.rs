//! The pack around a manifest: which files are there, and what paths in manifests mean.

use std::collections::BTreeSet;
use std::ops::Range;

use astrid_authority::PackId;

use super::extensions::ElementKind;
use crate::document::reader::shown;
use crate::document::{Context, Text};

/// The paths of a pack's files, from its root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths(BTreeSet<String>);

impl Paths {
    pub(crate) fn new(paths: impl IntoIterator<Item = String>) -> Self {
        Self(paths.into_iter().collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// The files below a folder; the root is the empty text.
    pub(crate) fn below<'p>(&'p self, folder: &str) -> impl Iterator<Item = &'p str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let files = self.0.range(prefix.clone()..);
        files.map(String::as_str).take_while(move |path| path.starts_with(&prefix))
    }

    /// A folder is there when a file is in it.
    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }
}

/// What the reader of a component's manifest knows of its pack.
pub(crate) struct Around<'p> {
    /// The id of the pack, when that is readable.
    pub(crate) pack: Option<&'p PackId>,
    /// The folder of the component, from the root of the pack.
    pub(crate) folder: &'p str,
    pub(crate) paths: &'p Paths,
    /// The kinds of elements that the pack declares.
    pub(crate) kinds: &'p [ElementKind],
}

/// The path that `text` means from `folder`, both from the root of the pack. None when it is absolute, leaves
/// the pack, or holds what no path of a pack has.
pub(super) fn join(folder: &str, text: &str) -> Option<String> {
    if text.starts_with('/') || text.contains(['\\', '\0']) || text.trim().is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Refuses a path that is not a file of the pack.
pub(crate) fn file(context: &Context<'_>, around: &Around<'_>, span: &Range<usize>, text: &str, key: &str) {
    match join(around.folder, text) {
        None => {
            let message = format!("`{key}`: `{}` is no path inside of the pack", shown(text));
            context.error_help(
                span,
                "path",
                message,
                "write it from the folder of this file, such as `run.py`",
            );
        }
        Some(path) if !around.paths.has_file(&path) => {
            context.error(span, "entrypoint", format!("`{key}`: there is no file {}", shown(&path)));
        }
        Some(_) => {}
    }
}

/// Refuses a text that is not a file of the pack, when the pack is known. What has placeholders is known later.
pub(crate) fn entry_file(context: &Context<'_>, around: Option<&Around<'_>>, text: &Text<'_>, key: &str) {
    if text.value.trim().is_empty() {
        context.error(&text.span, "blank", format!("`{key}` is blank"));
    } else if let Some(around) = around
        && !text.value.contains(['{', '}'])
    {
        file(context, around, &text.span, &text.value, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(join("executors/cut", "run.py").as_deref(), Some("executors/cut/run.py"));
        assert_eq!(join("executors/cut", "./../shared//x.py").as_deref(), Some("executors/shared/x.py"));
        assert_eq!(join("", "x").as_deref(), Some("x"));
    }

    #[test]
    fn paths_outside_are_refused_denied() {
        for text in ["/etc/passwd", "../../../x", "a\\b", "", " ", "a\0"] {
            assert_eq!(join("executors/cut", text), None, "{text:?}");
        }
        assert_eq!(join("", ".."), None);
    }

    #[test]
    fn folders_are_what_files_are_in() {
        let paths = Paths::new(["a/b".to_owned(), "a-b/c".to_owned(), "d".to_owned()]);
        assert!(paths.has_folder("a") && paths.has_folder("") && !paths.has_folder("d"));
        assert_eq!(paths.below("a").collect::<Vec<_>>(), ["a/b"]);
    }
}
