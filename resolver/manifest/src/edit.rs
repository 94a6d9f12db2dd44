//! Changes of a `Distro.toml` that leave everything else as people wrote it.
//!
//! Text goes in and text comes out. Comments, spacing and order stay; whoever writes the result
//! parses it again first.

use std::str::FromStr;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::document::reader::closest;
use crate::source::Source;
use crate::subject::Subject;
use crate::version::Requirement;

/// What an entry says about where its subject comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Where it comes from.
    pub source: Source,
    /// Which versions will do.
    pub version: Option<Requirement>,
    /// The tag that is taken.
    pub tag: Option<String>,
}

/// The change can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no TOML.
    #[error("the declaration can't be read: {0}")]
    Syntax(String),
    /// An entry of that name is there.
    #[error("{0} is declared already: run `astrid update` to change its version")]
    AlreadyThere(String),
    /// No entry of that name is there.
    #[error("{subject} is not declared{}", suggestion.as_ref().map(|name| format!(": did you mean `{name}`?")).unwrap_or_default())]
    NotThere {
        /// What was looked for.
        subject: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// Entries are written in a way that is not changed.
    #[error("`{0}` is written as an inline array: write `[[{0}]]` tables")]
    Shape(&'static str),
    /// A distro has no entry in itself.
    #[error("{0} is no capsule and no pack")]
    NotAnEntry(String),
}

/// The array that holds entries of that kind, and the key that names one.
fn place(subject: &Subject) -> Result<(&'static str, &'static str), EditError> {
    match subject {
        Subject::Capsule(_) => Ok(("capsule", "name")),
        Subject::Pack(_) => Ok(("pack", "id")),
        Subject::Distro(_) => Err(EditError::NotAnEntry(subject.to_string())),
    }
}

fn said(subject: &Subject) -> String {
    format!("{} `{}`", subject.kind(), subject.name())
}

fn open(text: &str) -> Result<DocumentMut, EditError> {
    DocumentMut::from_str(text).map_err(|error| EditError::Syntax(error.message().to_owned()))
}

fn entries<'d>(
    document: &'d mut DocumentMut,
    array: &'static str,
) -> Result<Option<&'d mut ArrayOfTables>, EditError> {
    // An empty inline array is as good as none, and gives way to tables.
    if document.get(array).and_then(Item::as_array).is_some_and(toml_edit::Array::is_empty) {
        document.remove(array);
    }
    match document.get_mut(array) {
        None => Ok(None),
        Some(Item::ArrayOfTables(tables)) => Ok(Some(tables)),
        Some(_) => Err(EditError::Shape(array)),
    }
}

fn find(tables: &ArrayOfTables, key: &str, name: &str) -> Option<usize> {
    tables.iter().position(|table| table.get(key).and_then(Item::as_str) == Some(name))
}

fn not_there(tables: Option<&ArrayOfTables>, key: &str, subject: &Subject) -> EditError {
    let names = tables.into_iter().flat_map(ArrayOfTables::iter).filter_map(|table| table.get(key)?.as_str());
    let suggestion = closest(subject.name(), names).map(str::to_owned);
    EditError::NotThere { subject: said(subject), suggestion }
}

/// Declares `subject` at the end of the entries of its kind.
///
/// # Errors
/// When it is declared already, or the text can't be changed.
pub fn add(text: &str, subject: &Subject, entry: &NewEntry) -> Result<String, EditError> {
    let (array, key) = place(subject)?;
    let mut document = open(text)?;
    let mut table = Table::new();
    table.insert(key, value(subject.name()));
    table.insert("source", value(entry.source.to_string()));
    if let Some(version) = &entry.version {
        table.insert("version", value(version.as_str()));
    }
    if let Some(tag) = &entry.tag {
        table.insert("tag", value(tag));
    }
    if !text.trim().is_empty() {
        table.decor_mut().set_prefix("\n");
    }
    if let Some(tables) = entries(&mut document, array)? {
        if find(tables, key, subject.name()).is_some() {
            return Err(EditError::AlreadyThere(said(subject)));
        }
        tables.push(table);
    } else {
        let mut tables = ArrayOfTables::new();
        tables.push(table);
        document.insert(array, Item::ArrayOfTables(tables));
    }
    Ok(finish(&document))
}

/// Takes the entry of `subject` away, with the comment right above it.
///
/// # Errors
/// When it is not declared, or the text can't be changed.
pub fn remove(text: &str, subject: &Subject) -> Result<String, EditError> {
    let (array, key) = place(subject)?;
    let mut document = open(text)?;
    let Some(tables) = entries(&mut document, array)? else { return Err(not_there(None, key, subject)) };
    let Some(at) = find(tables, key, subject.name()) else {
        return Err(not_there(Some(tables), key, subject));
    };
    let gone = tables.remove(at);
    let prefix = gone.decor().prefix().and_then(toml_edit::RawString::as_str).unwrap_or_default();
    // Comments that an empty line parts from the entry are about more than the entry.
    let kept = prefix.rfind("\n\n").map_or("", |end| &prefix[..=end]);
    if kept.contains('#') {
        if let Some(next) = tables.get_mut(at) {
            let own =
                next.decor().prefix().and_then(toml_edit::RawString::as_str).unwrap_or_default().to_owned();
            next.decor_mut().set_prefix(format!("{kept}{own}"));
        } else {
            let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
            document.set_trailing(format!("{kept}{trailing}"));
        }
    }
    if document.get(array).and_then(Item::as_array_of_tables).is_some_and(ArrayOfTables::is_empty) {
        document.remove(array);
    }
    Ok(finish(&document))
}

/// Changes which versions will do; a tag, which would win over it, goes away.
///
/// # Errors
/// When `subject` is not declared, or the text can't be changed.
pub fn set_version(text: &str, subject: &Subject, version: &Requirement) -> Result<String, EditError> {
    change(text, subject, |table| {
        set(table, "version", version.as_str());
        table.remove("tag");
    })
}

/// Changes the tag that is taken; a version, which says the same in other words, goes away.
///
/// # Errors
/// When `subject` is not declared, or the text can't be changed.
pub fn set_tag(text: &str, subject: &Subject, tag: &str) -> Result<String, EditError> {
    change(text, subject, |table| {
        set(table, "tag", tag);
        table.remove("version");
    })
}

/// Changes where it comes from.
///
/// # Errors
/// When `subject` is not declared, or the text can't be changed.
pub fn set_source(text: &str, subject: &Subject, source: &Source) -> Result<String, EditError> {
    change(text, subject, |table| set(table, "source", &source.to_string()))
}

fn change(text: &str, subject: &Subject, edit: impl FnOnce(&mut Table)) -> Result<String, EditError> {
    let (array, key) = place(subject)?;
    let mut document = open(text)?;
    let Some(tables) = entries(&mut document, array)? else { return Err(not_there(None, key, subject)) };
    let Some(at) = find(tables, key, subject.name()) else {
        return Err(not_there(Some(tables), key, subject));
    };
    if let Some(table) = tables.get_mut(at) {
        edit(table);
    }
    Ok(finish(&document))
}

/// Sets a text, and keeps the comment behind it.
fn set(table: &mut Table, key: &str, text: &str) {
    let decor = table.get(key).and_then(Item::as_value).map(|old| old.decor().clone());
    let mut item = value(text);
    if let (Some(decor), Some(new)) = (decor, item.as_value_mut()) {
        *new.decor_mut() = decor;
    }
    table.insert(key, item);
}

fn finish(document: &DocumentMut) -> String {
    let mut text = document.to_string();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# my fleet\nschema-version = 1\n\n[distro]\nid = \"demo\" # me\n\n# --- tools ---\n\n# files\n[[capsule]]\nname = \"fs\"\nsource = \"./fs\"\nversion = \"^1.2\" # pinned by Ann\n[capsule.env]\na = \"b\"\n\n[[capsule]]\nname = \"kv\"\nsource = \"./kv\"\n\n[variables.x]\ndefault = \"\"\n";

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    fn entry(source: &str) -> NewEntry {
        NewEntry { source: source.parse().unwrap(), version: Some("^1.0".parse().unwrap()), tag: None }
    }

    #[test]
    fn an_entry_is_added_after_its_kind() {
        let text = add(TEXT, &subject("capsule:web"), &entry("@acme/web")).unwrap();
        let added = "[[capsule]]\nname = \"kv\"\nsource = \"./kv\"\n\n[[capsule]]\nname = \"web\"\nsource = \"@acme/web\"\nversion = \"^1.0\"\n\n[variables.x]";
        assert!(text.contains(added), "{text}");
        let text = add(&text, &subject("pack:media_tools"), &entry("@acme/media")).unwrap();
        assert!(text.contains("\n\n[[pack]]\nid = \"media_tools\"\n"), "{text}");
        assert!(text.starts_with("# my fleet\n") && text.contains("# pinned by Ann"), "{text}");
    }

    #[test]
    fn what_is_added_can_be_removed() {
        for name in ["capsule:web", "pack:media_tools"] {
            let text = add(TEXT, &subject(name), &entry("./x")).unwrap();
            assert_eq!(remove(&text, &subject(name)).unwrap(), TEXT);
        }
    }

    #[test]
    fn comments_about_more_stay() {
        let text = remove(TEXT, &subject("capsule:fs")).unwrap();
        assert!(
            text.contains("# --- tools ---") && !text.contains("# files") && !text.contains("a = \"b\""),
            "{text}"
        );
        let text = remove(&text, &subject("capsule:kv")).unwrap();
        assert!(text.contains("# --- tools ---") && !text.contains("capsule"), "{text}");
    }

    #[test]
    fn values_change_in_place() {
        let text = set_version(TEXT, &subject("capsule:fs"), &"^1.3".parse().unwrap()).unwrap();
        assert_eq!(text, TEXT.replace("^1.2", "^1.3"));
        let text = set_source(TEXT, &subject("capsule:fs"), &"./other".parse().unwrap()).unwrap();
        assert_eq!(text, TEXT.replace("./fs", "./other"));
        let text = set_tag(TEXT, &subject("capsule:fs"), "v2").unwrap();
        assert!(text.contains("tag = \"v2\"") && !text.contains("^1.2"), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_denied() {
        assert!(matches!(add(TEXT, &subject("capsule:fs"), &entry("./x")), Err(EditError::AlreadyThere(_))));
        let error = remove(TEXT, &subject("capsule:ks")).unwrap_err();
        assert!(error.to_string().contains("did you mean `"), "{error}");
        assert!(matches!(remove(TEXT, &subject("pack:x")), Err(EditError::NotThere { .. })));
        assert!(matches!(remove(TEXT, &subject("distro:x")), Err(EditError::NotAnEntry(_))));
        assert!(matches!(add("x = ", &subject("pack:x"), &entry("./x")), Err(EditError::Syntax(_))));
        assert!(matches!(
            add("capsule = [{}]", &subject("capsule:x"), &entry("./x")),
            Err(EditError::Shape(_))
        ));
    }
}
