//! A whole pack: its manifest, its components, and what holds across their files.
//!
//! Nothing of a pack is run or imported to know this. There is no file in a pack that switches a check off.

mod advice;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use astrid_authority::{ActionId, CapsuleName};

use super::element::Element;
use super::executor::Executor;
use super::orchestrator::Orchestrator;
use super::{Action, PackManifest};
use crate::capsule::CapsuleManifest;
use crate::diagnostic::{Diagnostic, Diagnostics, Parsed};

/// Most components of one pack.
pub const MAX_COMPONENTS: usize = 512;
/// Most bytes of all manifests of one pack.
pub const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;

/// Most values in all manifests of one pack, those that aliases repeat among them.
pub const MAX_VALUES: usize = 262_144;

/// The files of a pack, wherever they are.
pub trait Files {
    /// The paths of its regular files, from its root, with `/`; no link is followed or listed.
    fn paths(&self) -> Vec<String>;

    /// The bytes of a file; none when it is not there or can't be read.
    fn bytes(&self, path: &str) -> Option<Vec<u8>>;

    /// How long a file is, when that is known without reading it.
    fn length(&self, path: &str) -> Option<u64> {
        let _ = path;
        None
    }

    /// What complaints call a file.
    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A pack in memory.
impl Files for BTreeMap<String, Vec<u8>> {
    fn paths(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.get(path).cloned()
    }

    fn length(&self, path: &str) -> Option<u64> {
        self.get(path).map(|bytes| bytes.len() as u64)
    }
}

/// A whole pack. Every rule holds that can be checked without running anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// What it says about itself.
    pub manifest: PackManifest,
    /// The file that says so, from the root of the pack.
    pub manifest_file: String,
    /// Its executors.
    pub executors: BTreeMap<ActionId, Placed<Executor>>,
    /// Its orchestrators.
    pub orchestrators: BTreeMap<ActionId, Placed<Orchestrator>>,
    /// Its elements, by kind and id as `kind/id`.
    pub elements: BTreeMap<String, Placed<Element>>,
    /// Its capsules.
    pub capsules: BTreeMap<CapsuleName, Placed<CapsuleManifest>>,
    /// Files in it that are programs or libraries of a machine, by their names.
    pub native: Vec<String>,
    /// What a person should know before trusting it, in the order of its files.
    pub advice: Vec<String>,
}

/// A component and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    /// The component.
    pub item: T,
    /// Its folder, from the root of the pack.
    pub folder: String,
    /// Its manifest, from the root of the pack.
    pub file: String,
    /// The page about it, from the root of the pack, when it is there.
    pub stage: Option<String>,
}

/// How many components of each kind a pack has: components, not folders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ComponentCounts {
    /// Executors.
    pub executors: usize,
    /// Orchestrators.
    pub orchestrators: usize,
    /// Elements.
    pub elements: usize,
    /// Capsules.
    pub capsules: usize,
}

impl Contents {
    /// Reads a pack from its files.
    ///
    /// # Errors
    /// All complaints about all of its files at once.
    pub fn read(files: &dyn Files) -> Result<Parsed<Self>, Diagnostics> {
        read::read(files)
    }

    /// How many components it has.
    #[must_use]
    pub fn counts(&self) -> ComponentCounts {
        ComponentCounts {
            executors: self.executors.len(),
            orchestrators: self.orchestrators.len(),
            elements: self.elements.len(),
            capsules: self.capsules.len(),
        }
    }

    /// Everything in it that runs as a process of the user, by id: executors, then orchestrators.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        let executors = self.executors.values().map(|placed| &placed.item.action);
        executors.chain(self.orchestrators.values().map(|placed| &placed.item.action))
    }

    /// The id that `name` means: an id, an alias of one, or the part of an id after the dot.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &str) -> Option<&'a ActionId> {
        let all = || self.executors.keys().chain(self.orchestrators.keys());
        let exact = |name: &str| all().find(|id| id.as_str() == name);
        let alias = || self.manifest.aliases.iter().find(|alias| alias.alias == name);
        exact(name)
            .or_else(|| alias().and_then(|alias| exact(&alias.canonical_id)))
            .or_else(|| all().find(|id| id.local() == name))
    }

    /// The complaint about a pack whose folder is not called as the pack is.
    #[must_use]
    pub fn folder_complaint(&self, files: &dyn Files, folder: &str) -> Option<Diagnostic> {
        let id = self.manifest.id.as_str();
        (folder != id).then(|| {
            let message = format!("the pack is `{id}`, and its folder is `{folder}`");
            let mut complaint =
                Diagnostic::of_file(&files.shown(&self.manifest_file), "folder-name", message)
                    .with_help(format!("rename the folder to `{id}`"));
            (complaint.line, complaint.column) = (self.manifest.at.line, self.manifest.at.column);
            complaint
        })
    }
}
