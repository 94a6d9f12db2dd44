//! An index in a folder: one file of lines per name, one line per version, archives beside them.
//!
//! `<root>/capsule/<name>.jsonl` and `<root>/pack/<id>.jsonl`; the archive of a line is a path
//! below the root. Every field of a line is a claim that is compared with the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use astrid_authority::{Digest, InterfaceId};
use astrid_manifest::source::SourcePath;
use jiff::Timestamp;
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::solve::{Import, Member};
use crate::source::release::MAX_ARCHIVE_BYTES;
use crate::source::signature::{BESIDE, MAX_SIGNATURE_BYTES};

/// An index file: 16 MiB.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// One line of it: 256 KiB.
const MAX_LINE_BYTES: usize = 256 << 10;

/// One version in an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The version.
    pub version: Version,
    /// The archive's path below the index's root, parts separated by `/`.
    pub archive: String,
    /// The digest of the archive's bytes.
    pub blake3: Digest,
    /// The digest of the authority, when the index says it.
    #[serde(default)]
    pub authority: Option<Digest>,
    /// What it imports.
    #[serde(default)]
    pub imports: BTreeMap<InterfaceId, ImportClaim>,
    /// What it exports.
    #[serde(default)]
    pub exports: BTreeMap<InterfaceId, Version>,
    /// The packs that it needs, as `id >=1.2`.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// The path of its Sigstore bundle below the root.
    #[serde(default)]
    pub bundle: Option<String>,
    /// When it was published, as the index says. It is a claim that no policy relies on.
    #[serde(default)]
    pub published: Option<Timestamp>,
    /// Withdrawn: only a lock that has it already takes it.
    #[serde(default)]
    pub yanked: bool,
}

/// An import in an index: a requirement, or one with `optional`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ImportClaim {
    /// Only the requirement.
    Short(VersionReq),
    /// The requirement, and whether it is optional.
    Long {
        /// The requirement.
        version: VersionReq,
        /// Whether the capsule also works without.
        #[serde(default)]
        optional: bool,
    },
}

impl Line {
    /// The imports in the solver's form.
    #[must_use]
    pub fn imports(&self) -> Vec<Import> {
        self.imports
            .iter()
            .map(|(interface, claim)| {
                let (requirement, optional) = match claim {
                    ImportClaim::Short(requirement) => (requirement.clone(), false),
                    ImportClaim::Long { version, optional } => (version.clone(), *optional),
                };
                Import { interface: interface.clone(), requirement, optional }
            })
            .collect()
    }
}

/// An index that a distro declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    name: String,
    root: PathBuf,
}

impl Folder {
    /// An index called `name` in the folder `root`.
    #[must_use]
    pub fn new(name: &str, root: PathBuf) -> Self {
        Self { name: name.to_owned(), root }
    }

    /// What the distro calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids of the packs that it has lines of.
    ///
    /// # Errors
    /// `Failed` when its folder can't be read.
    pub fn pack_ids(&self) -> Result<BTreeSet<astrid_authority::PackId>> {
        let entries = match fs::read_dir(self.root.join("pack")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => {
                return Err(Error::failed(format!("index `{}` can't be read", self.name)).caused_by(error));
            }
        };
        let id = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".jsonl")?.parse().ok();
        Ok(entries.flatten().filter_map(id).collect())
    }

    /// Every version that the index has of a member; none when it does not know it.
    ///
    /// # Errors
    /// `Invalid` for lines that are not valid, told by file and line, and for a version that is
    /// there twice.
    pub fn lines(&self, member: &Member) -> Result<Vec<Line>> {
        let (kind, name) = match member {
            Member::Capsule(name) => ("capsule", name.as_str()),
            Member::Pack(id) => ("pack", id.as_str()),
        };
        if !self.root.is_dir() {
            return Err(Error::failed(format!(
                "index `{}`: {} is no folder",
                self.name,
                self.root.display()
            )));
        }
        let shown = format!("{kind}/{name}.jsonl");
        let Some(bytes) = self.read(&shown, MAX_INDEX_BYTES)? else { return Ok(Vec::new()) };
        let mut seen = BTreeSet::new();
        let mut lines = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let fail = |what: String| {
                Error::invalid(format!("index `{}`: {shown}:{}: {what}", self.name, number + 1))
            };
            if line.len() > MAX_LINE_BYTES {
                return Err(fail("the line is longer than 256 KiB".to_owned()));
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| fail(error.to_string()))?;
            if !seen.insert(line.version.clone()) {
                return Err(fail(format!("version {} is there twice", line.version)));
            }
            check_path(&line.archive).map_err(|what| fail(format!("archive `{}`: {what}", line.archive)))?;
            lines.push(line);
        }
        Ok(lines)
    }

    /// The bytes of a line's archive.
    ///
    /// # Errors
    /// `Corrupt` when they are not what the line pins; `Invalid` when they are larger than 50 MiB;
    /// `Failed` when there are none.
    pub fn archive(&self, line: &Line) -> Result<Vec<u8>> {
        let bytes = self.read(&line.archive, MAX_ARCHIVE_BYTES)?.ok_or_else(|| {
            Error::failed(format!("index `{}` has no archive `{}`", self.name, line.archive))
        })?;
        let found = Digest::of(&bytes);
        if found != line.blake3 {
            return Err(Error::corrupt(format!(
                "index `{}`: `{}` is {found}, and the index pins {}",
                self.name, line.archive, line.blake3
            ))
            .hint("the archive or the index was changed: ask who publishes it"));
        }
        Ok(bytes)
    }

    /// The bundle of a line's archive: where the line says, else beside the archive.
    ///
    /// # Errors
    /// `Failed` when the line names one and there is none; `Invalid` when it is larger than 16 MiB.
    pub fn signature(&self, line: &Line) -> Result<Option<Vec<u8>>> {
        if let Some(named) = &line.bundle {
            let found = self.read(named, MAX_SIGNATURE_BYTES)?;
            return found.map(Some).ok_or_else(|| {
                Error::failed(format!("index `{}` has no bundle `{named}`", self.name))
                    .hint("ask who publishes the index")
            });
        }
        for ending in BESIDE {
            if let Some(bytes) = self.read(&format!("{}{ending}", line.archive), MAX_SIGNATURE_BYTES)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads a file below the root without following a link on the way; nothing when there is none.
    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        check_path(path)
            .map_err(|what| Error::invalid(format!("index `{}`: `{path}`: {what}", self.name)))?;
        let fail = |error: std::io::Error| {
            Error::failed(format!("index `{}`: `{path}` can't be read", self.name)).caused_by(error)
        };
        let mut at = self.root.clone();
        let parts: Vec<&str> = path.split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            at.push(part);
            let metadata = match fs::symlink_metadata(&at) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(fail(error)),
            };
            let last = index + 1 == parts.len();
            if (last && !metadata.is_file()) || (!last && !metadata.is_dir()) {
                return Err(Error::invalid(format!(
                    "index `{}`: `{path}` leads over something that is no plain file or folder",
                    self.name
                )));
            }
        }
        read_limited(&at, limit)
            .map_err(fail)?
            .ok_or_else(|| {
                Error::invalid(format!("index `{}`: `{path}` is larger than {limit} bytes", self.name))
            })
            .map(Some)
    }
}

/// Reads a file; nothing when it holds more than `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    // A pipe would be waited for, and a device may never end.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    // One more than there is, so that the end of the file shows without growing.
    let expected = metadata.len().min(limit).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Refuses a file of a repository that is a symbolic link or no regular file; one that is not there is fine.
///
/// What a link leads to is not the repository's: read and quoted in a complaint, it would be told to whoever
/// reads the complaint.
pub(crate) fn check_plain_file(path: &Path, shown: &str) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.is_symlink() => Err(Error::invalid(format!("{shown} is a symbolic link"))
            .hint("put the file itself there: links out of a repository are not followed")),
        Ok(_) => Err(Error::invalid(format!("{shown} is no regular file"))),
        Err(error) => Err(Error::failed(format!("{shown} can't be read")).caused_by(error)),
    }
}

/// Where a path of a declaration in `folder` is, none of its components being a symbolic link.
pub(crate) fn plain_path(folder: &Path, path: &SourcePath) -> Result<PathBuf> {
    if !path.is_absolute() {
        let mut at = folder.to_owned();
        for part in path.joined().split('/').filter(|part| !part.is_empty()) {
            at.push(part);
            if fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
                return Err(Error::invalid(format!("the source `{path}` leads over a symbolic link"))
                    .hint("put the folder itself there, or name where it really is"));
            }
        }
    }
    Ok(path.under(folder))
}

fn check_path(path: &str) -> std::result::Result<(), &'static str> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(['\\', '\0'])
            && !part.chars().any(char::is_control)
    };
    if path.len() > 4096 || !path.split('/').all(plain) {
        return Err("a path in an index is relative and plain, without `..`");
    }
    Ok(())
}
