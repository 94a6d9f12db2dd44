//! A generation while it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use astrid_authority::{Digest, PackId};
use serde::Serialize;

use super::document::{CONFIGURATION, INVENTORY, META, RECORD};
use super::{
    Configuration, FORMAT_VERSION, Generation, GenerationNumber, Generations, Inventory, Meta, MetaInput,
    Part,
};
use crate::error::{Result, StoreError};
use crate::home::HomeKey;

/// Where the content of packs is, from `packs/` of a generation.
pub(super) const TREES: &str = "../../../store/trees";

/// A generation that is being written. Dropped without [`StagedGeneration::publish`], it is removed later.
#[derive(Debug)]
#[must_use = "a staged generation is there after `publish` only"]
pub struct StagedGeneration {
    pub(super) generations: Generations,
    pub(super) number: GenerationNumber,
    pub(super) path: PathBuf,
    pub(super) written: BTreeSet<Part>,
    pub(super) configuration: Option<Digest>,
}

impl StagedGeneration {
    /// The number that it will have.
    pub fn number(&self) -> GenerationNumber {
        self.number
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Flushed one by one by `publish`, together with the folders.
        self.generations.disk.write_new(&self.path.join(name), bytes, 0o400, false)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| StoreError::corrupt(&self.path.join(name), error))?;
        bytes.push(b'\n');
        self.write_file(name, &bytes)
    }

    /// Writes one of its files, once.
    ///
    /// # Errors
    /// When it was written already, or the operating system refuses.
    pub fn write(&mut self, part: Part, bytes: &[u8]) -> Result<()> {
        self.write_file(part.file_name(), bytes)?;
        self.written.insert(part);
        Ok(())
    }

    /// The files that were written so far, by their path within the generation; neither links nor
    /// `configuration.json`, whose values are private.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        super::files(&self.path)
    }

    /// Writes `inventory.json`, once.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn write_inventory(&mut self, inventory: &Inventory) -> Result<()> {
        self.write_json(INVENTORY, inventory)
    }

    /// Writes `configuration.json`, once, readable by the owner only.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn write_configuration(&mut self, configuration: &Configuration, key: &HomeKey) -> Result<()> {
        self.write_json(CONFIGURATION, configuration)?;
        self.configuration = Some(configuration.keyed_digest(key));
        Ok(())
    }

    /// Adds a pack: a link to its served content, and its record.
    ///
    /// # Errors
    /// When it was added already, or the operating system refuses.
    pub fn add_pack(&mut self, pack: &PackId, content: &Digest, record: &[u8]) -> Result<()> {
        let disk = &self.generations.disk;
        let packs = self.path.join("packs");
        disk.create_dir_unflushed(&packs, 0o700)?;
        // Relative, so that a home may be moved as a whole.
        let target = Path::new(TREES).join(content.hex());
        disk.symlink_atomic(&target, &packs.join(pack.as_str()))?;
        let records = self.path.join("records").join(pack.as_str());
        disk.create_dir_unflushed(&records, 0o700)?;
        disk.write_new(&records.join(RECORD), record, 0o400, false)
    }

    /// Flushes everything and gives the generation its number. It is not the current one yet.
    ///
    /// # Errors
    /// When a file that each generation has was not written, or the operating system refuses.
    pub fn publish(self, input: MetaInput) -> Result<Generation> {
        let missing = |name: &str| {
            StoreError::corrupt(
                &self.path.join(name),
                "it was not written before the generation was published",
            )
        };
        for part in [Part::Declaration, Part::Lock, Part::Plan] {
            if !self.written.contains(&part) {
                return Err(missing(part.file_name()));
            }
        }
        if !self.path.join(INVENTORY).is_file() {
            return Err(missing(INVENTORY));
        }
        let meta = Meta {
            format_version: FORMAT_VERSION,
            number: self.number,
            parent: input.parent,
            created: input.created,
            by: input.by,
            action: input.action,
            distro: input.distro,
            origin: input.origin,
            commit: input.commit,
            tool: input.tool,
            configuration: self.configuration.ok_or_else(|| missing(CONFIGURATION))?,
        };
        self.write_json(META, &meta)?;
        let mut files = Vec::new();
        paths_to_flush(&self.path, &mut files)?;
        self.generations.disk.flush_all(&files)?;
        let path = self.generations.path(self.number);
        self.generations.disk.rename(&self.path, &path)?;
        Ok(Generation { path, meta })
    }
}

/// All regular files and folders below `folder`, and itself, last.
fn paths_to_flush(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(StoreError::io("read the folder", folder))? {
        let entry = entry.map_err(StoreError::io("read the folder", folder))?;
        let kind = entry.file_type().map_err(StoreError::io("read", &entry.path()))?;
        if kind.is_dir() {
            paths_to_flush(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    paths.push(folder.to_owned());
    Ok(())
}
