//! Changes to the text of a `Distro.toml`: entries come and go, comments and everything else stay as written.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::exit::Failure;

/// A capsule or a pack as an entry of `Distro.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) is_pack: bool,
    /// The name of a capsule, or the id of a pack.
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) requirement: Option<String>,
    /// What was asked for when the source was pinned.
    pub(crate) requested: Option<String>,
    /// The only content that will do.
    pub(crate) content: Option<String>,
}

impl Entry {
    fn table_name(&self) -> &'static str {
        if self.is_pack { "pack" } else { "capsule" }
    }
}

fn parse(text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::invalid(format!("Distro.toml is no TOML: {}", error.message()))
            .hint("`astrid validate` shows the place")
    })
}

fn key(table: &str) -> &'static str {
    if table == "pack" { "id" } else { "name" }
}

fn named(table: &Table, kind: &str, name: &str) -> bool {
    table.get(key(kind)).and_then(Item::as_str) == Some(name)
}

/// Sets a text and keeps the comment behind it, or takes it away.
fn set(table: &mut Table, key: &str, text: Option<&String>) {
    let Some(text) = text else {
        table.remove(key);
        return;
    };
    let decor = table.get(key).and_then(Item::as_value).map(|old| old.decor().clone());
    let mut item = value(text);
    if let (Some(decor), Some(new)) = (decor, item.as_value_mut()) {
        *new.decor_mut() = decor;
    }
    table[key] = item;
}

/// What of the entry of a pack is pinned anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Another source; the same when there is none.
    pub(crate) source: Option<String>,
    /// Another requirement; the same when there is none.
    pub(crate) requirement: Option<String>,
    /// The only content that will do; none takes such a pin away.
    pub(crate) content: Option<String>,
}

/// Pins a pack anew. Everything else of its entry stays, comments too.
///
/// # Errors
/// When the text is no TOML, or has no such entry.
pub(crate) fn pin(text: &str, id: &str, pin: &Pin) -> Result<String, Failure> {
    let mut document = parse(text)?;
    let entries = document.get_mut("pack").and_then(Item::as_array_of_tables_mut);
    let table = entries.and_then(|entries| entries.iter_mut().find(|table| named(table, "pack", id)));
    let Some(table) = table else {
        return Err(Failure::failed(format!("Distro.toml has no pack `{id}`"))
            .hint("what another pack brings is changed with that pack: `astrid why` says which"));
    };
    if pin.source.is_some() {
        set(table, "source", pin.source.as_ref());
    }
    if pin.requirement.is_some() {
        set(table, "version", pin.requirement.as_ref());
        table.remove("tag");
    }
    set(table, "content", pin.content.as_ref());
    Ok(document.to_string())
}

/// Adds an entry at the end of its kind; one of the same name gets the new source and version instead.
///
/// # Errors
/// When the text is no TOML, or its `[[capsule]]` is something else.
pub(crate) fn add(text: &str, entry: &Entry) -> Result<String, Failure> {
    let mut document = parse(text)?;
    let kind = entry.table_name();
    let entries = document.as_table_mut().entry(kind).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let entries = entries
        .as_array_of_tables_mut()
        .ok_or_else(|| Failure::invalid(format!("Distro.toml: `{kind}` must be written as [[{kind}]]")))?;
    let found = entries.iter_mut().find(|table| named(table, kind, &entry.name));
    if let Some(table) = found {
        set(table, "source", Some(&entry.source));
        table.remove("tag");
        set(table, "version", entry.requirement.as_ref());
        set(table, "requested-ref", entry.requested.as_ref());
        set(table, "content", entry.content.as_ref());
    } else {
        let mut table = Table::new();
        set(&mut table, key(kind), Some(&entry.name));
        set(&mut table, "source", Some(&entry.source));
        set(&mut table, "version", entry.requirement.as_ref());
        set(&mut table, "requested-ref", entry.requested.as_ref());
        set(&mut table, "content", entry.content.as_ref());
        entries.push(table);
    }
    Ok(document.to_string())
}

/// Removes the entries of these names, with the comments right above them.
///
/// # Errors
/// When the text is no TOML, or has no entry of a name.
pub(crate) fn remove(text: &str, names: &[String]) -> Result<String, Failure> {
    let mut document = parse(text)?;
    for name in names {
        let mut removed = false;
        for kind in ["capsule", "pack"] {
            let Some(entries) = document.get_mut(kind).and_then(Item::as_array_of_tables_mut) else {
                continue;
            };
            let before = entries.len();
            entries.retain(|table| !named(table, kind, name));
            removed |= entries.len() != before;
            if entries.is_empty() {
                document.remove(kind);
            }
        }
        if !removed {
            return Err(Failure::failed(format!("Distro.toml has no capsule and no pack `{name}`"))
                .hint("`astrid tree` shows what it has; what a pack or a group brings is removed there"));
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# our fleet
schema-version = 1

[distro] # who we are
id = \"demo\"

# reads files
[[capsule]]
name = \"fs\" # keep
source = \"./fs\"
version = \"1.0.0\"

[policy]
min-age = \"3d\"
";

    fn entry(name: &str, is_pack: bool) -> Entry {
        Entry {
            is_pack,
            name: name.into(),
            source: format!("./{name}"),
            requirement: Some("1.2.0".into()),
            requested: None,
            content: None,
        }
    }

    #[test]
    fn comments_stay_when_an_entry_comes_and_goes() {
        let with = add(TEXT, &entry("kv", false)).unwrap();
        assert!(
            with.contains("[[capsule]]\nname = \"kv\"\nsource = \"./kv\"\nversion = \"1.2.0\"\n"),
            "{with}"
        );
        for comment in ["# our fleet", "# who we are", "# reads files", "# keep"] {
            assert!(with.contains(comment), "{comment}");
        }
        assert_eq!(remove(&with, &["kv".into()]).unwrap(), TEXT);
    }

    #[test]
    fn an_entry_of_the_same_name_is_changed_in_its_place() {
        let changed = add(TEXT, &entry("fs", false)).unwrap();
        assert_eq!(changed, TEXT.replace("1.0.0", "1.2.0"));
    }

    #[test]
    fn packs_have_ids() {
        let with = add(TEXT, &entry("media_tools", true)).unwrap();
        assert!(with.contains("[[pack]]\nid = \"media_tools\"\n"), "{with}");
        assert_eq!(remove(&with, &["media_tools".into()]).unwrap(), TEXT);
    }

    #[test]
    fn a_pin_changes_in_its_place_and_comments_stay() {
        let digest = format!("blake3:{}", "0".repeat(64));
        let text = "# ours\n[[pack]]\nid = \"tools\" # keep\nsource = \"git+https://example.org/a?ref=1\" # where\nrequested-ref = \"HEAD\"\n";
        let one = Pin { source: Some("git+https://example.org/a?ref=2".into()), ..Pin::default() };
        let other = pin(text, "tools", &one).unwrap();
        assert_eq!(other, text.replace("ref=1", "ref=2"));
        let kept = Pin { content: Some(digest.clone()), ..Pin::default() };
        let pinned = pin(text, "tools", &kept).unwrap();
        assert!(pinned.contains(&format!("content = \"{digest}\"")), "{pinned}");
        assert_eq!(pin(&pinned, "tools", &Pin::default()).unwrap(), text);
        assert!(pin(text, "other", &Pin::default()).is_err());
    }

    #[test]
    fn a_name_that_is_not_there_is_refused_denied() {
        assert!(remove(TEXT, &["nothing".into()]).is_err());
    }

    #[test]
    fn another_shape_is_refused_denied() {
        assert!(add("capsule = 1", &entry("fs", false)).is_err());
        assert!(add("not toml", &entry("fs", false)).is_err());
    }
}
