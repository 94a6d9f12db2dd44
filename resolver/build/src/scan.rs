//! Which tools and handlers a capsule's Rust sources declare.
//!
//! The SDK's attributes are read from the syntax trees of `src/**/*.rs`; nothing is compiled, and a
//! symbolic link is not followed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use astrid_manifest::Position;
use syn::visit::Visit;

/// The most files that a scan reads.
const MAX_FILES: usize = 2000;

/// Why sources can't be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A file can't be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not Rust.
    #[error("{}:{at}: {message}", file.display())]
    Syntax {
        /// The file, relative to the capsule.
        file: PathBuf,
        /// Where.
        at: Position,
        /// What the parser says.
        message: String,
    },
    /// There is no end of files.
    #[error("{} holds more than {MAX_FILES} files", .0.display())]
    TooMany(PathBuf),
}

/// Where something is declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the capsule.
    pub file: PathBuf,
    /// Where in it.
    pub at: Position,
}

/// What sources declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Tools by name.
    pub tools: BTreeMap<String, Place>,
    /// Other actions that a handler can name: interceptors, hooks and commands.
    pub actions: BTreeMap<String, Place>,
}

/// Reads `src/**/*.rs` of the capsule in `folder`; `None` when it has no `src`.
///
/// # Errors
/// When a file can't be read or is not Rust.
pub fn scan(folder: &Path) -> Result<Option<Declared>, ScanError> {
    let sources = folder.join("src");
    if !sources.is_dir() {
        return Ok(None);
    }
    let mut files = Vec::new();
    collect(&sources, &mut files)?;
    files.sort();
    let mut declared = Declared::default();
    for path in files {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ScanError::File { file: path.clone(), source })?;
        let file = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let tree = syn::parse_file(&text).map_err(|error| ScanError::Syntax {
            file: file.clone(),
            at: position(error.span()),
            message: error.to_string(),
        })?;
        Reader { file, declared: &mut declared }.visit_file(&tree);
    }
    Ok(Some(declared))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ScanError> {
    let failed = |source| ScanError::File { file: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(ScanError::TooMany(folder.to_owned()));
        }
    }
    Ok(())
}

struct Reader<'a> {
    file: PathBuf,
    declared: &'a mut Declared,
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        for attribute in &function.attrs {
            let segments: Vec<String> =
                attribute.path().segments.iter().map(|segment| segment.ident.to_string()).collect();
            let [first, kind] = segments.as_slice() else { continue };
            if first != "astrid" {
                continue;
            }
            let name = name_in(attribute).unwrap_or_else(|| function.sig.ident.to_string());
            let place = Place { file: self.file.clone(), at: position(attribute.pound_token.span) };
            match kind.as_str() {
                "tool" => self.declared.tools.insert(name, place),
                "interceptor" | "hook" | "command" => self.declared.actions.insert(name, place),
                _ => None,
            };
        }
    }
}

/// The text among an attribute's arguments: `#[astrid::tool("name", mutable)]`.
fn name_in(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::List(list) = &attribute.meta else { return None };
    let arguments = list
        .parse_args_with(syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated)
        .ok()?;
    arguments.into_iter().find_map(|argument| match argument {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    })
}

fn position(span: proc_macro2::Span) -> Position {
    let start = span.start();
    Position {
        line: u32::try_from(start.line).unwrap_or(0),
        column: u32::try_from(start.column + 1).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_text(text: &str) -> Result<Option<Declared>, ScanError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        std::fs::write(folder.path().join("src/deep/mod.rs"), text).unwrap();
        scan(folder.path())
    }

    #[test]
    fn tools_and_actions_are_found_with_their_places() {
        let found = scan_text(
            "struct C;\n#[capsule]\nimpl C {\n    #[astrid::tool(\"read_file\", mutable)]\n    fn a(&self) {}\n    \
             #[astrid::tool]\n    fn b(&self) {}\n    #[astrid::interceptor(\"on_event\")]\n    fn c(&self) {}\n    \
             #[astrid::run]\n    fn d(&self) {}\n    #[other::tool(\"x\")]\n    fn e(&self) {}\n}\n",
        )
        .unwrap()
        .unwrap();
        assert_eq!(found.tools.keys().collect::<Vec<_>>(), ["b", "read_file"]);
        assert_eq!(found.actions.keys().collect::<Vec<_>>(), ["on_event"]);
        let place = &found.tools["read_file"];
        assert_eq!((place.file.to_str(), place.at.line, place.at.column), (Some("src/deep/mod.rs"), 4, 5));
    }

    #[test]
    fn a_file_that_is_not_rust_denied() {
        let error = scan_text("fn {").unwrap_err();
        assert!(matches!(&error, ScanError::Syntax { at, .. } if at.line == 1), "{error}");
    }

    #[test]
    fn a_capsule_without_sources_declares_nothing_known() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(scan(folder.path()).unwrap(), None);
    }
}
