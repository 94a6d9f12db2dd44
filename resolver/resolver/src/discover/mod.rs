//! What packs are around, and what they offer and disclose, without installing or running anything.
//!
//! Discovery only reads. It opens no more than manifests, follows no link below the folders that it is given, and
//! creates nothing. What it tells comes from the packs: none of it grants anything.

mod folder;
mod layer;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use astrid_authority::PackId;
use astrid_manifest::Lock;
use astrid_manifest::diagnostic::Diagnostic;
use astrid_manifest::pack::Contents;
use astrid_store::generation::Generations;
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, Result};
use folder::{Fallible, Folder, Stored};
use layer::Candidate;
pub use layer::SourceKind;
use record::Found;
pub use record::{
    AgentRecord, AliasRecord, Capability, CapabilityHandle, CapabilityType, PackRecord, Provenance,
    SafetyDeclaration, Taxonomy,
};

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The folder whose packs are meant: the layers `source` and `local`.
    pub project: &'a Path,
    /// More folders: packs, or folders of packs.
    pub extra: &'a [PathBuf],
    /// The folders that the environment names. One that is not there is noted, and stops nothing.
    pub environment: &'a [PathBuf],
    /// Tell about what is installed, too.
    pub installed: bool,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiscoveryResult {
    /// Executors, by pack and id.
    pub executors: Vec<Capability>,
    /// Orchestrators.
    pub orchestrators: Vec<Capability>,
    /// Elements.
    pub elements: Vec<Capability>,
    /// Executors, orchestrators and elements, in this order.
    pub capabilities: Vec<Capability>,
    /// Packs, by id. Where an id is in several roots, the first.
    pub packs: BTreeMap<PackId, PackRecord>,
    /// Backends of generation that packs declare.
    pub generation_backends: Vec<Value>,
    /// Kinds of elements that packs declare.
    pub element_kinds: Vec<Value>,
    /// Features of generation that packs declare.
    pub generation_features: Vec<Value>,
    /// Modes of generation that packs declare.
    pub generation_modes: Vec<Value>,
    /// Packs that are hidden by the same id in an earlier root.
    pub shadowed: Vec<Shadowed>,
    /// Folders with a pack that is not valid.
    pub refused: Vec<RefusedPack>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// A pack that is hidden by the same id in an earlier root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shadowed {
    /// Its id.
    pub id: PackId,
    /// Its version.
    pub version: String,
    /// Its folder.
    pub root: String,
    /// The layer that it was found in.
    pub source_kind: SourceKind,
    /// The place of its root among all roots.
    pub priority_index: usize,
}

/// A folder with a pack that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedPack {
    /// The folder.
    pub root: String,
    /// The layer that it was found in.
    pub source_kind: SourceKind,
    /// The place of its root among all roots.
    pub priority_index: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// Complaints with their places, when its manifests are to blame.
    pub diagnostics: Vec<Diagnostic>,
}

/// Finds packs and what they offer. Nothing is written, run, or asked of a network.
///
/// # Errors
/// `Usage` when the project or an extra folder is none; `Invalid` when a root holds the same id twice, or too much;
/// `Corrupt` when what is installed can't be told.
pub fn discover(context: &Context, wanted: &Wanted<'_>) -> Result<DiscoveryResult> {
    let mut all = Gathering::default();
    let roots = layer::roots(wanted, &mut all.notes)?;
    let installed_index = roots.len();
    for (index, root) in roots.into_iter().enumerate() {
        let mut seen: BTreeMap<PackId, PathBuf> = BTreeMap::new();
        for candidate in root.candidates {
            let place = Place { root: candidate.folder.display().to_string(), kind: root.kind, index };
            match read_candidate(&candidate) {
                Ok(contents) => {
                    let id = contents.manifest.id.clone();
                    if let Some(before) = seen.insert(id.clone(), candidate.folder.clone()) {
                        return Err(twice(&id, &before, &candidate.folder));
                    }
                    all.take(&contents, place);
                }
                Err(error) => all.refuse(&error, place),
            }
        }
    }
    if wanted.installed {
        installed(context, installed_index, &mut all)?;
    }
    Ok(all.finish())
}

fn twice(id: &PackId, one: &Path, two: &Path) -> Error {
    Error::invalid(format!("duplicate pack id `{id}`"))
        .because([one, two].map(|folder| format!("in {}", folder.display())))
        .hint("a root holds a pack once: rename or remove one of them")
}

fn read_candidate(candidate: &Candidate) -> Result<Contents> {
    if candidate.is_link {
        return Err(Error::invalid("the folder is a symbolic link, and discovery follows none")
            .hint("name what it leads to with --extra"));
    }
    let files = Folder::open(&candidate.folder)?;
    let contents = read(&files)?;
    let name = candidate.folder.file_name().unwrap_or_default().to_string_lossy();
    match contents.folder_complaint(&files, &name) {
        Some(complaint) => Err(Error::from(astrid_manifest::Diagnostics::from(complaint))),
        None => Ok(contents),
    }
}

fn read(files: &impl Fallible) -> Result<Contents> {
    let read = Contents::read(files);
    // What could not be read would be told as missing.
    if let Some(failure) = files.failure() {
        return Err(failure);
    }
    Ok(read?.value)
}

/// What is installed: the packs of the current generation, from the store.
fn installed(context: &Context, index: usize, all: &mut Gathering) -> Result<()> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let Some(generation) = generations.current()? else { return Ok(()) };
    let lock = Lock::parse("Distro.lock", &generation.lock()?).map_err(Error::from)?.value;
    for locked in &lock.packs {
        let root = context.home.pack_active(&locked.id).display().to_string();
        let place = Place { root, kind: SourceKind::Installed, index };
        let contents = generation.served(&locked.id).map_err(Error::from).and_then(|served| {
            if served != locked.content {
                return Err(Error::corrupt("what is served is not what was accepted")
                    .hint("`astrid apply` serves what was accepted"));
            }
            let tree = context.store.tree(&locked.content)?;
            read(&Stored::new(&context.store, &tree))
        });
        match contents {
            Ok(contents) => all.take(&contents, place),
            Err(error) => all.refuse(&error, place),
        }
    }
    Ok(())
}

/// Something that a pack declares, with the pack's id.
fn of_pack(pack: &PackId, declared: &impl Serialize) -> Value {
    let mut value = record::json_of(declared);
    if let Value::Object(fields) = &mut value {
        fields.insert("pack_id".to_owned(), Value::from(pack.as_str()));
    }
    value
}

/// Where a pack was found.
struct Place {
    root: String,
    kind: SourceKind,
    index: usize,
}

#[derive(Default)]
struct Gathering {
    executors: Vec<Capability>,
    orchestrators: Vec<Capability>,
    elements: Vec<Capability>,
    packs: BTreeMap<PackId, PackRecord>,
    backends: Vec<Value>,
    kinds: Vec<Value>,
    features: Vec<Value>,
    modes: Vec<Value>,
    shadowed: Vec<Shadowed>,
    refused: Vec<RefusedPack>,
    notes: Vec<String>,
}

impl Gathering {
    fn take(&mut self, contents: &Contents, place: Place) {
        let manifest = &contents.manifest;
        if self.packs.contains_key(&manifest.id) {
            self.shadowed.push(Shadowed {
                id: manifest.id.clone(),
                version: manifest.version.clone(),
                root: place.root,
                source_kind: place.kind,
                priority_index: place.index,
            });
            return;
        }
        let found = Found { contents, root: place.root, kind: place.kind, index: place.index };
        self.executors.extend(found.executors());
        self.orchestrators.extend(found.orchestrators());
        self.elements.extend(found.elements());
        let id = &manifest.id;
        if let Some(generation) = &manifest.extensions.generation {
            self.backends.extend(generation.backends.iter().map(|one| of_pack(id, one)));
            self.features.extend(generation.features.iter().map(|one| of_pack(id, one)));
            self.modes.extend(generation.modes.iter().map(|one| of_pack(id, one)));
        }
        self.kinds.extend(manifest.extensions.element_kinds().iter().map(|one| of_pack(id, one)));
        self.packs.insert(manifest.id.clone(), found.record());
    }

    fn refuse(&mut self, error: &Error, place: Place) {
        self.refused.push(RefusedPack {
            root: place.root,
            source_kind: place.kind,
            priority_index: place.index,
            message: error.message().to_owned(),
            diagnostics: error.diagnostics().map(|all| all.iter().cloned().collect()).unwrap_or_default(),
        });
    }

    fn finish(self) -> DiscoveryResult {
        let parts = self.executors.iter().chain(&self.orchestrators).chain(&self.elements);
        DiscoveryResult {
            capabilities: parts.cloned().collect(),
            executors: self.executors,
            orchestrators: self.orchestrators,
            elements: self.elements,
            packs: self.packs,
            generation_backends: self.backends,
            element_kinds: self.kinds,
            generation_features: self.features,
            generation_modes: self.modes,
            shadowed: self.shadowed,
            refused: self.refused,
            notes: self.notes,
        }
    }
}
