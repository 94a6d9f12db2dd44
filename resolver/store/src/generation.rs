//! An applied fleet: numbered, complete, and never changed.
//!
//! `generations/<n>/` is written under another name, flushed and renamed; `generations/current` is a symbolic
//! link to the number. Everything that reads a running fleet reads it here: the resolver writes generations and
//! the kernel runs them, and neither knows the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use astrid_authority::{CapsuleName, Digest, DistroId, EnvKey, PackId};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, TEMPORARY_PREFIX};
use crate::error::{Result, StoreError};
use crate::home::{Home, HomeKey, read_optional};
use crate::writer::WriterLock;

/// The version of `meta.json`, `inventory.json` and `configuration.json` that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// The number of a generation, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationNumber(NonZeroU64);

impl GenerationNumber {
    /// The first generation of a home.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number as an integer.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// A generation's number, if `number` is not 0.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GenerationNumber {
    type Err = StoreError;

    /// Reads a number as [`fmt::Display`] writes it: no sign, no leading zero.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().ok().map(Self).filter(|number| number.to_string() == text).ok_or_else(|| {
            StoreError::refused(text.escape_debug().to_string(), "is not the number of a generation")
        })
    }
}

/// The files of a generation that others give meaning to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `Distro.toml`, as it was applied.
    Declaration,
    /// `Distro.lock`.
    Lock,
    /// `plan.json`: what was shown and done.
    Plan,
    /// `acks.toml`: acknowledgements given for this generation.
    Acknowledgements,
    /// `overrides.toml`: the operator's narrowings that were in force.
    Overrides,
    /// `receipt.json`: the signed statement over this generation.
    Receipt,
    /// `authority.json`: what each capsule may do and each pack discloses, for the next difference.
    Authority,
}

impl Part {
    /// The file's name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Declaration => "Distro.toml",
            Self::Lock => "Distro.lock",
            Self::Plan => "plan.json",
            Self::Acknowledgements => "acks.toml",
            Self::Overrides => "overrides.toml",
            Self::Receipt => "receipt.json",
            Self::Authority => "authority.json",
        }
    }
}

const META: &str = "meta.json";
const INVENTORY: &str = "inventory.json";
const CONFIGURATION: &str = "configuration.json";
const RECORD: &str = "install.json";

/// Why a generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A declaration was applied.
    Apply,
    /// A saved plan was applied.
    ApplyPlan,
    /// A bundle was applied.
    ApplyBundle,
    /// A person changed the home's own distro by a verb such as `astrid add`.
    Edit,
    /// Drift was put right.
    Heal,
    /// The reconcile loop followed its source.
    Reconcile,
    /// An earlier generation's content was brought back.
    Rollback,
}

/// `meta.json`: where a generation comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its own number.
    pub number: GenerationNumber,
    /// The generation that was current when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<GenerationNumber>,
    /// When it was made, as the caller's clock said.
    pub created: Timestamp,
    /// Who made it: a name and mail, or an account.
    pub by: String,
    /// Why it was made.
    pub action: Action,
    /// The distro that it holds.
    pub distro: DistroId,
    /// Where the distro came from: the origin that Astrid itself used.
    pub origin: String,
    /// The commit of the origin, when it has commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version of the program that made it.
    pub tool: String,
    /// The digest of the configuration, keyed with the home's key: see [`Configuration::keyed_digest`].
    pub configuration: Digest,
}

/// What [`Generations::stage`] needs to know to write `meta.json`; the rest it knows itself.
#[derive(Debug, Clone)]
pub struct MetaInput {
    /// The generation that is current, as the plan was made for.
    pub parent: Option<GenerationNumber>,
    /// The time.
    pub created: Timestamp,
    /// Who makes it.
    pub by: String,
    /// Why.
    pub action: Action,
    /// The distro.
    pub distro: DistroId,
    /// Where the distro came from.
    pub origin: String,
    /// The commit of the origin.
    pub commit: Option<String>,
    /// The version of the program.
    pub tool: String,
}

/// A line of `generations/history.jsonl`: a switch that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When, as the caller's clock said.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub action: Action,
    /// What was current before.
    pub from: Option<GenerationNumber>,
    /// What is current since.
    pub to: Option<GenerationNumber>,
}

/// Something outside of the generation that it owns, and that a later one may remove.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnedPath {
    /// A path below the home.
    Home(PathBuf),
    /// A path below the packs root.
    Packs(PathBuf),
}

/// What a capsule of the generation is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapsuleItem {
    /// The digest of its tree, whose listing is a blob.
    pub content: Digest,
    /// The digest of its manifest's bytes.
    pub manifest: Digest,
    /// The digest of its component; a capsule of an MCP server or of static context has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Digest>,
    /// The pack that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackId>,
}

/// What a pack of the generation is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackItem {
    /// The digest of its tree, whose listing is a blob and which is served as a folder.
    pub content: Digest,
}

/// `inventory.json`: everything the generation owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Capsules by name.
    #[serde(default)]
    pub capsules: BTreeMap<CapsuleName, CapsuleItem>,
    /// Packs by id.
    #[serde(default)]
    pub packs: BTreeMap<PackId, PackItem>,
    /// Blobs besides those that the items' listings name: archives, bundles.
    #[serde(default)]
    pub blobs: BTreeSet<Digest>,
    /// Paths outside of the generation.
    #[serde(default)]
    pub paths: BTreeSet<OwnedPath>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            capsules: BTreeMap::new(),
            packs: BTreeMap::new(),
            blobs: BTreeSet::new(),
            paths: BTreeSet::new(),
        }
    }
}

/// The value of one key of a capsule's environment, or where its secret is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A value that may be read by whoever reads the home.
    Value(serde_json::Value),
    /// The reference of a secret, `scope/capsule/key`; never the secret.
    Secret(String),
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Values are private to the home, and debug output ends up in logs.
            Self::Value(_) => f.write_str("Value(redacted)"),
            Self::Secret(reference) => f.debug_tuple("Secret").field(reference).finish(),
        }
    }
}

/// `configuration.json`: what each capsule is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Settings by capsule and key.
    #[serde(default)]
    pub capsules: BTreeMap<CapsuleName, BTreeMap<EnvKey, Setting>>,
    /// Values of the distro's variables that are no secrets, for the next apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The text around secrets that are not alone in their setting, with names in their places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<CapsuleName, BTreeMap<EnvKey, String>>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            capsules: BTreeMap::new(),
            variables: BTreeMap::new(),
            shapes: BTreeMap::new(),
        }
    }
}

impl Configuration {
    /// A digest that says whether two configurations are equal, and nothing to whoever lacks the home's key.
    pub fn keyed_digest(&self, key: &HomeKey) -> Digest {
        let key = key.derive("astrid 1 digest of a generation's configuration");
        // Ordered maps of plain values always encode; an empty text would only make two of them differ.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Digest::from_bytes(*blake3::keyed_hash(key.as_bytes(), &bytes).as_bytes())
    }

    /// The settings of one capsule.
    pub fn of(&self, capsule: &CapsuleName) -> Option<&BTreeMap<EnvKey, Setting>> {
        self.capsules.get(capsule)
    }
}

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

/// A generation that is being written. Dropped without [`StagedGeneration::publish`], it is removed later.
#[derive(Debug)]
#[must_use = "a staged generation is there after `publish` only"]
pub struct StagedGeneration {
    generations: Generations,
    number: GenerationNumber,
    path: PathBuf,
    written: BTreeSet<Part>,
    configuration: Option<Digest>,
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
        disk.create_dir(&packs, 0o700)?;
        // Relative, so that a home may be moved as a whole.
        let target = Path::new("../../../store/trees").join(content.hex());
        disk.symlink_atomic(&target, &packs.join(pack.as_str()))?;
        let records = self.path.join("records").join(pack.as_str());
        disk.create_dir(&records, 0o700)?;
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

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_optional(path)?.ok_or_else(|| StoreError::corrupt(path, "it is missing"))?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::corrupt(path, error))
}
