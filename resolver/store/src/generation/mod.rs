//! An applied fleet: numbered, complete, and never changed.
//!
//! `generations/<n>/` is written under another name, flushed and renamed; `generations/current` is a symbolic
//! link to the number. Everything that reads a running fleet reads it here: the resolver writes generations and
//! the kernel runs them, and neither knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use astrid_authority::{Digest, PackId};
use serde::de::DeserializeOwned;

use crate::disk::{Disk, TEMPORARY_PREFIX};
use crate::error::{Result, StoreError};
use crate::home::{Home, HomeKey, read_optional};
use crate::writer::WriterLock;

mod document;
mod staged;

pub use document::{
    Action, CapsuleItem, Configuration, FORMAT_VERSION, GenerationNumber, Inventory, Meta, MetaInput,
    OwnedPath, PackItem, Part, Setting, Switched,
};
pub use staged::StagedGeneration;

use document::{CONFIGURATION, INVENTORY, META, RECORD};

/// All generations of a home.
#[derive(Debug, Clone)]
pub struct Generations {
    home: Home,
    disk: Disk,
}

impl Generations {
    /// The generations of `home`; nothing is created.
    pub fn new(home: Home, disk: Disk) -> Self {
        Self { home, disk }
    }

    /// The numbers of all generations, ascending.
    ///
    /// # Errors
    /// When the folder can't be read; one that is not there holds none.
    pub fn list(&self) -> Result<Vec<GenerationNumber>> {
        let folder = self.home.generations();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", &folder)(error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read the folder", &folder))?;
            // Anything else is the link, a staged generation, or not ours.
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse::<GenerationNumber>().ok());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                numbers.extend(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The number that `generations/current` points to, whether or not that generation can be opened.
    ///
    /// # Errors
    /// When it is not a link that Astrid makes.
    pub fn current_number(&self) -> Result<Option<GenerationNumber>> {
        let link = self.home.current();
        match std::fs::read_link(&link) {
            Ok(target) => target.to_str().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
                StoreError::corrupt(
                    &link,
                    "it does not point to a generation; run `astrid rollback <number>`",
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read the link", &link)(error)),
        }
    }

    /// The current generation, if there is one.
    ///
    /// # Errors
    /// When the link or the generation is damaged.
    pub fn current(&self) -> Result<Option<Generation>> {
        self.current_number()?.map(|number| self.open(number)).transpose()
    }

    /// The generation of this number.
    ///
    /// # Errors
    /// [`StoreError::MissingGeneration`], or when its `meta.json` is damaged.
    pub fn open(&self, number: GenerationNumber) -> Result<Generation> {
        let path = self.path(number);
        if !path.is_dir() {
            return Err(StoreError::MissingGeneration(number));
        }
        let meta: Meta = read_json(&path.join(META))?;
        if meta.number != number || meta.format_version != FORMAT_VERSION {
            return Err(StoreError::corrupt(
                &path.join(META),
                "it belongs to another generation or a newer version",
            ));
        }
        Ok(Generation { path, meta })
    }

    /// The switches that happened, oldest first.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn history(&self) -> Result<Vec<Switched>> {
        let path = self.home.history();
        let bytes = read_optional(&path)?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).map_err(|error| StoreError::corrupt(&path, error)))
            .collect()
    }

    /// `generations/<n>`.
    pub fn path(&self, number: GenerationNumber) -> PathBuf {
        self.home.generations().join(number.to_string())
    }

    /// Begins the next generation; what an earlier, unfinished attempt left is removed.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn stage(&self, _writer: &WriterLock) -> Result<StagedGeneration> {
        let folder = self.home.generations();
        self.disk.create_dir(&folder, 0o700)?;
        self.remove_leftovers()?;
        let number = self.list()?.last().map_or(GenerationNumber::FIRST, |last| last.next());
        let path = folder.join(format!("{TEMPORARY_PREFIX}{number}"));
        self.disk.create_dir(&path, 0o700)?;
        Ok(StagedGeneration {
            generations: self.clone(),
            number,
            path,
            written: BTreeSet::new(),
            configuration: None,
        })
    }

    pub(crate) fn remove_leftovers(&self) -> Result<()> {
        let folder = self.home.generations();
        let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.disk.remove_tree(&entry.path())?;
            } else {
                self.disk.remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes a generation that is not the current one. Its blobs stay until gc.
    ///
    /// # Errors
    /// When it is the current one, is not there, or the operating system refuses.
    pub fn remove(&self, number: GenerationNumber, _writer: &WriterLock) -> Result<()> {
        if self.current_number()? == Some(number) {
            return Err(StoreError::refused(
                format!("generation {number}"),
                "is the current one; roll back to another first",
            ));
        }
        let path = self.path(number);
        if !path.is_dir() {
            return Err(StoreError::MissingGeneration(number));
        }
        // Renamed first, so that a crash in between does not leave half of it under its number.
        let doomed = self.home.generations().join(format!("{TEMPORARY_PREFIX}removed-{number}"));
        self.disk.remove_tree(&doomed)?;
        self.disk.rename(&path, &doomed)?;
        self.disk.remove_tree(&doomed)
    }
}

/// A generation on disk. Its files don't change.
#[derive(Debug, Clone)]
pub struct Generation {
    path: PathBuf,
    meta: Meta,
}

impl Generation {
    /// Its number.
    pub fn number(&self) -> GenerationNumber {
        self.meta.number
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it comes from.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The bytes of one of its files, if it has that file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self, part: Part) -> Result<Option<Vec<u8>>> {
        read_optional(&self.path.join(part.file_name()))
    }

    /// `Distro.lock`, as text for the manifest crate to parse.
    ///
    /// # Errors
    /// When it is missing or not text.
    pub fn lock(&self) -> Result<String> {
        let path = self.path.join(Part::Lock.file_name());
        let bytes = self.read(Part::Lock)?.ok_or_else(|| StoreError::corrupt(&path, "it is missing"))?;
        String::from_utf8(bytes).map_err(|_| StoreError::corrupt(&path, "it is not UTF-8"))
    }

    /// `Distro.toml` as it was applied, as text for the manifest crate to parse.
    ///
    /// # Errors
    /// When it is missing or not text.
    pub fn declaration(&self) -> Result<String> {
        let path = self.path.join(Part::Declaration.file_name());
        let bytes =
            self.read(Part::Declaration)?.ok_or_else(|| StoreError::corrupt(&path, "it is missing"))?;
        String::from_utf8(bytes).map_err(|_| StoreError::corrupt(&path, "it is not UTF-8"))
    }

    /// Everything it owns.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn inventory(&self) -> Result<Inventory> {
        read_json(&self.path.join(INVENTORY))
    }

    /// What each capsule is configured with.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn configuration(&self) -> Result<Configuration> {
        read_json(&self.path.join(CONFIGURATION))
    }

    /// Whether the configuration is the one that this generation was made with.
    ///
    /// # Errors
    /// When the file is missing, damaged or changed.
    pub fn verify_configuration(&self, key: &HomeKey) -> Result<()> {
        if self.configuration()?.keyed_digest(key) == self.meta.configuration {
            Ok(())
        } else {
            Err(StoreError::corrupt(
                &self.path.join(CONFIGURATION),
                "it was changed since it was applied; run `astrid apply`",
            ))
        }
    }

    /// The record of a pack, `records/<id>/install.json`.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn record(&self, pack: &PackId) -> Result<Option<Vec<u8>>> {
        read_optional(&self.path.join("records").join(pack.as_str()).join(RECORD))
    }

    /// What a receipt is about: its files by their path within it, but not the receipt itself, `meta.json` and
    /// the values of its configuration.
    ///
    /// # Errors
    /// When one can't be read, or has no place there.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        files(&self.path)
    }

    /// The digest that the link of a pack names: the content that is served for it.
    ///
    /// # Errors
    /// When the link is missing, or is none that Astrid makes.
    pub fn served(&self, pack: &PackId) -> Result<Digest> {
        let link = self.path.join("packs").join(pack.as_str());
        let target = std::fs::read_link(&link).map_err(StoreError::io("read the link", &link))?;
        let digest = target.strip_prefix(staged::TREES).ok().and_then(Path::to_str);
        digest
            .and_then(|hex| Digest::from_hex(hex).ok())
            .ok_or_else(|| StoreError::corrupt(&link, "it leads to no content of the store"))
    }

    /// The digest of the whole generation: its files and links, but not the values of its configuration.
    ///
    /// Those are bound through `meta.json` by a keyed digest, so that this one may be shown.
    ///
    /// # Errors
    /// When something in it can't be read, or has no place there.
    pub fn digest(&self) -> Result<Digest> {
        let mut parts = BTreeMap::new();
        collect(&self.path, &self.path, &mut parts)?;
        parts.remove(CONFIGURATION);
        let parts = parts.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes.as_slice()]);
        Ok(Digest::of_parts("astrid:generation:v1", parts))
    }
}

/// The files of a generation that a receipt is about.
fn files(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut parts = BTreeMap::new();
    collect(root, root, &mut parts)?;
    let own = [META, CONFIGURATION, Part::Receipt.file_name()];
    parts
        .into_iter()
        .filter(|(name, part)| !own.contains(&name.as_str()) && part.starts_with(b"file:"))
        .map(|(name, _)| {
            let path = root.join(&name);
            let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
            Ok((name, bytes))
        })
        .collect()
}

fn collect(root: &Path, folder: &Path, parts: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(StoreError::io("read the folder", folder))? {
        let path = entry.map_err(StoreError::io("read the folder", folder))?.path();
        let kind = std::fs::symlink_metadata(&path).map_err(StoreError::io("read", &path))?.file_type();
        if kind.is_dir() {
            collect(root, &path, parts)?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(Path::to_str).map(ToOwned::to_owned);
        let name = name.ok_or_else(|| StoreError::corrupt(&path, "the name is not UTF-8"))?;
        let bytes = if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(StoreError::io("read the link", &path))?;
            [b"link:", target.as_os_str().as_encoded_bytes()].concat()
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
            format!("file:{}", Digest::of(&bytes)).into_bytes()
        } else {
            return Err(StoreError::corrupt(&path, "it is neither a file nor a link"));
        };
        parts.insert(name, bytes);
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_optional(path)?.ok_or_else(|| StoreError::corrupt(path, "it is missing"))?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::corrupt(path, error))
}
