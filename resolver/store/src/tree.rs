//! The canonical listing of a folder or an archive.
//!
//! A listing names each regular file with its length, digest and executable bit, sorted by the bytes of its
//! path. It is text, one line per file after a first line that names the format:
//!
//! ```text
//! astrid-tree 1
//! - 120 <64 hex> Capsule.toml
//! x 4711 <64 hex> bin/run
//! ```
//!
//! The digest of those bytes is the content digest that locks, plans and acknowledgements bind to, and the
//! listing is kept as a blob under it. A listing that could mean two things on two file systems (names that
//! differ in case only, a file where another entry needs a folder) does not exist.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use astrid_authority::Digest;
use unicode_normalization::UnicodeNormalization;

use crate::error::{Result, StoreError};

const HEADER: &str = "astrid-tree 1\n";
/// Longest path in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// Longest name of one file or folder in bytes: what file systems take.
pub const MAX_NAME_BYTES: usize = 255;
/// Most folders that a file may be inside of, itself included.
pub const MAX_PATH_DEPTH: usize = 32;
/// Most files in one tree, whoever made it.
pub const MAX_ENTRIES: usize = 100_000;

/// How much one tree may hold. What a limit is for is memory and disk, not taste.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most files, and folders in an archive.
    pub entries: usize,
    /// Most bytes in one file.
    pub file_bytes: u64,
    /// Most bytes in all files.
    pub total_bytes: u64,
    /// Most bytes that one byte of an archive may unpack to, once it has unpacked to 8 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000, file_bytes: 256 << 20, total_bytes: 1 << 30, ratio: 200 }
    }
}

/// A relative path that means the same file everywhere: UTF-8, `/` between names, no `.` and `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

impl TreePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder it is in, if not the tree's own.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Whether this is `folder` or inside of it.
    pub fn is_under(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Takes a path as it comes from an archive or an object database.
    ///
    /// # Errors
    /// When it is not UTF-8, or not a [`TreePath`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        std::str::from_utf8(bytes)
            .map_err(|_| {
                StoreError::refused(
                    String::from_utf8_lossy(bytes).escape_debug().to_string(),
                    "the path is not UTF-8",
                )
            })?
            .parse()
    }
}

/// Characters that make a path read as another one in a review.
fn misleading(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

impl FromStr for TreePath {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |rule: &str| {
            let place: String = text.chars().take(200).collect();
            Err(StoreError::refused(place.escape_debug().to_string(), rule))
        };
        if text.is_empty() {
            return refuse("the path is empty");
        }
        if text.len() > MAX_PATH_BYTES {
            return refuse("the path is longer than 1024 bytes");
        }
        if text.starts_with('/') {
            return refuse("the path is absolute; it must be relative");
        }
        if text.contains('\\') || text.chars().any(misleading) {
            return refuse(
                "the path holds a backslash, a control character or a change of writing direction",
            );
        }
        let mut depth = 0;
        for name in text.split('/') {
            depth += 1;
            match name {
                ".." => return refuse("the path climbs with `..`"),
                "" | "." => return refuse("the path has an empty name or `.`"),
                _ if name.len() > MAX_NAME_BYTES => {
                    return refuse("a name in the path is longer than 255 bytes");
                }
                _ => {}
            }
        }
        if depth > MAX_PATH_DEPTH {
            return refuse("the path is more than 32 names deep");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for TreePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A regular file with its bytes in memory: from an archive, or from an object database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it is in the tree.
    pub path: TreePath,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// The owner may run it.
    pub executable: bool,
}

impl TreeFile {
    /// The file's line in a listing, given the digest of its bytes.
    pub(crate) fn entry(&self, blob: Digest) -> TreeEntry {
        TreeEntry {
            path: self.path.clone(),
            length: self.bytes.len() as u64,
            blob,
            executable: self.executable,
        }
    }
}

/// A regular file in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where it is in the tree.
    pub path: TreePath,
    /// Its length in bytes.
    pub length: u64,
    /// The digest of its bytes, which is its blob.
    pub blob: Digest,
    /// The owner may run it.
    pub executable: bool,
}

/// A listing: sorted, without duplicates or collisions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

impl Tree {
    /// The listing of `entries`, in any order.
    ///
    /// # Errors
    /// When a path occurs twice, differs from another one in case only, or is inside of a file.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self> {
        if entries.len() > MAX_ENTRIES {
            return Err(StoreError::refused(
                entries[0].path.as_str(),
                format!("more than {MAX_ENTRIES} files"),
            ));
        }
        entries.sort_unstable_by(|one, two| one.path.cmp(&two.path));
        let mut names = Names::default();
        for entry in &entries {
            names.file(&entry.path)?;
        }
        Ok(Self { entries })
    }

    /// The listing of files in memory.
    ///
    /// # Errors
    /// As [`Tree::new`].
    pub fn of_files(files: &[TreeFile]) -> Result<Self> {
        Self::new(files.iter().map(|file| file.entry(Digest::of(&file.bytes))).collect())
    }

    /// The files, sorted by the bytes of their paths.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&TreeEntry> {
        let index = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(index)
    }

    /// The files inside the folder `folder`, at any depth.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a TreeEntry> {
        self.entries.iter().filter(move |entry| entry.path.is_under(folder))
    }

    /// The length in bytes of all files.
    pub fn total_length(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.length))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::with_capacity(HEADER.len() + self.entries.len() * 112);
        text.push_str(HEADER);
        for entry in &self.entries {
            text.push_str(if entry.executable { "x " } else { "- " });
            text.push_str(&entry.length.to_string());
            text.push(' ');
            text.push_str(&entry.blob.hex());
            text.push(' ');
            text.push_str(entry.path.as_str());
            text.push('\n');
        }
        text.into_bytes()
    }

    /// The content digest: of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// Whether `bytes` start as a listing does; gc uses it to find what a listing keeps alive.
    pub fn is_listing(bytes: &[u8]) -> bool {
        bytes.starts_with(HEADER.as_bytes())
    }

    /// Reads canonical bytes; anything that [`Tree::encode`] would write otherwise is refused.
    ///
    /// # Errors
    /// When the bytes are not exactly a listing.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let refuse = |line: usize| {
            StoreError::refused(format!("tree listing, line {line}"), "not a canonical tree listing")
        };
        let text = std::str::from_utf8(bytes).map_err(|_| refuse(1))?;
        let body = text.strip_prefix(HEADER).ok_or_else(|| refuse(1))?;
        if !body.is_empty() && !body.ends_with('\n') {
            return Err(refuse(body.lines().count() + 1));
        }
        let mut entries: Vec<TreeEntry> = Vec::new();
        let mut names = Names::default();
        for (index, line) in body.split_terminator('\n').enumerate() {
            let entry = decode_line(line).ok_or_else(|| refuse(index + 2))?;
            if index >= MAX_ENTRIES || entries.last().is_some_and(|last| last.path >= entry.path) {
                return Err(refuse(index + 2));
            }
            names.file(&entry.path)?;
            entries.push(entry);
        }
        Ok(Self { entries })
    }
}

fn decode_line(line: &str) -> Option<TreeEntry> {
    let mut parts = line.splitn(4, ' ');
    let executable = match parts.next()? {
        "x" => true,
        "-" => false,
        _ => return None,
    };
    let digits = parts.next()?;
    let length: u64 = digits.parse().ok()?;
    // One spelling per number: no sign, no leading zero.
    if length.to_string() != digits {
        return None;
    }
    let blob = Digest::from_hex(parts.next()?).ok()?;
    let path = parts.next()?.parse().ok()?;
    Some(TreeEntry { path, length, blob, executable })
}

/// The names seen so far, as the least able file system would see them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    seen: HashMap<String, Seen>,
    last_folder: String,
}

/// What is under a folded name.
#[derive(Debug)]
struct Seen {
    /// The name as it is, when folding changed it.
    name: Option<Box<str>>,
    folder: bool,
}

impl Seen {
    fn new(name: &str, key: &str, folder: bool) -> Self {
        Self { name: (name != key).then(|| name.into()), folder }
    }

    fn is(&self, name: &str, key: &str) -> bool {
        self.name.as_deref().unwrap_or(key) == name
    }
}

/// The form in which a file system without case or with another normalization would compare a name.
fn folded(name: &str) -> String {
    if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        name.nfkd().flat_map(char::to_lowercase).nfkd().collect()
    }
}

impl Names {
    /// Adds a file and the folders above it.
    pub(crate) fn file(&mut self, path: &TreePath) -> Result<()> {
        self.folders(path.parent().unwrap_or_default())?;
        let key = folded(path.as_str());
        if let Some(seen) = self.seen.get(&key) {
            return Err(collision(path.as_str(), &key, seen));
        }
        let seen = Seen::new(path.as_str(), &key, false);
        self.seen.insert(key, seen);
        Ok(())
    }

    /// Adds a folder and those above it; a folder may be added any number of times.
    pub(crate) fn folders(&mut self, folder: &str) -> Result<()> {
        if folder == self.last_folder {
            return Ok(());
        }
        let ends = folder.match_indices('/').map(|(index, _)| index).chain([folder.len()]);
        for end in ends.filter(|end| *end > 0) {
            let prefix = &folder[..end];
            let key = folded(prefix);
            match self.seen.get(&key) {
                Some(seen) if seen.folder && seen.is(prefix, &key) => {}
                Some(seen) => return Err(collision(prefix, &key, seen)),
                None => {
                    let seen = Seen::new(prefix, &key, true);
                    self.seen.insert(key, seen);
                }
            }
        }
        folder.clone_into(&mut self.last_folder);
        Ok(())
    }
}

fn collision(path: &str, key: &str, seen: &Seen) -> StoreError {
    let rule = if seen.is(path, key) {
        "occurs twice, or is both a file and a folder".to_owned()
    } else {
        let other = seen.name.as_deref().unwrap_or(key);
        format!("collides with `{other}` on file systems that ignore case or normalize names")
    };
    StoreError::refused(path, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> TreeEntry {
        TreeEntry { path: path.parse().unwrap(), length: 3, blob: Digest::of(b"abc"), executable: false }
    }

    #[test]
    fn a_listing_is_readable_text() {
        let mut run = entry("bin/run");
        run.executable = true;
        let tree = Tree::new(vec![run, entry("Capsule.toml")]).unwrap();
        let hex = Digest::of(b"abc").hex();
        let text = format!("astrid-tree 1\n- 3 {hex} Capsule.toml\nx 3 {hex} bin/run\n");
        assert_eq!(String::from_utf8(tree.encode()).unwrap(), text);
        assert_eq!(tree.digest(), Digest::of(text.as_bytes()));
        assert_eq!(Tree::decode(text.as_bytes()).unwrap(), tree);
        assert_eq!(tree.get("bin/run").unwrap().length, 3);
        assert_eq!(tree.under("bin").count(), 1);
        assert_eq!(tree.under("bi").count(), 0);
    }

    #[test]
    fn paths_that_mean_something_else_elsewhere_are_refused_denied() {
        let long = "a/".repeat(40) + "a";
        let name = "n".repeat(256);
        for path in [
            "",
            "/",
            "/x",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\\b",
            "a\nb",
            "a\0b",
            "\u{202e}x",
            &long,
            &name,
        ] {
            assert!(path.parse::<TreePath>().is_err(), "{path:?}");
        }
        assert!(TreePath::from_bytes(b"\xff").is_err());
        for path in ["a", "a/b.c", "..a", "ä/ö", "a b"] {
            assert!(path.parse::<TreePath>().is_ok(), "{path:?}");
        }
    }

    #[test]
    fn colliding_names_are_refused_denied() {
        for (one, two) in
            [("a", "a"), ("a", "A"), ("a", "a/b"), ("d/x", "D/y"), ("\u{e9}", "e\u{301}"), ("\u{212a}", "k")]
        {
            for paths in [[one, two], [two, one]] {
                let error = Tree::new(paths.map(entry).to_vec()).unwrap_err();
                assert!(matches!(error, StoreError::Refused { .. }), "{one} {two}");
            }
        }
        assert!(Tree::new(vec![entry("a"), entry("ab"), entry("b/a")]).is_ok());
    }

    #[test]
    fn listings_that_are_not_canonical_are_refused_denied() {
        let hex = Digest::of(b"abc").hex();
        for body in [
            format!("- 3 {hex} b\n- 3 {hex} a\n"),
            format!("- 3 {hex} a\n- 3 {hex} a\n"),
            format!("- 03 {hex} a\n"),
            format!("- +3 {hex} a\n"),
            format!("y 3 {hex} a\n"),
            format!("- 3 {hex} a"),
            format!("- 3 {hex} ../a\n"),
            format!("- 3 {} a\n", hex.to_uppercase()),
            format!("- 3 {hex} a\n\n"),
            format!("- 3 {hex} a\r\n"),
        ] {
            assert!(Tree::decode(format!("astrid-tree 1\n{body}").as_bytes()).is_err(), "{body:?}");
        }
        assert!(Tree::decode(b"astrid-tree 2\n").is_err());
        assert_eq!(Tree::decode(b"astrid-tree 1\n").unwrap(), Tree::default());
    }
}
