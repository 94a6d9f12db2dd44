//! A capsule's folder, with its manifest read strictly.

use std::path::{Path, PathBuf};

use astrid_manifest::{CapsuleManifest, Diagnostics, Strictness};

/// The manifest's name in a capsule's folder.
pub const MANIFEST_FILE: &str = "Capsule.toml";

/// Why a folder is no capsule.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no manifest.
    #[error("{} holds no {MANIFEST_FILE}; name the folder of a capsule, or write a {MANIFEST_FILE} into this one", .0.display())]
    NoManifest(PathBuf),
    /// The manifest can't be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The manifest.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is wrong.
    #[error("{0}")]
    Manifest(Diagnostics),
}

/// A capsule's folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// What `Capsule.toml` says.
    pub manifest: CapsuleManifest,
    /// What is odd about it, without being wrong.
    pub warnings: Diagnostics,
}

impl Project {
    /// Reads the capsule in `folder`.
    ///
    /// # Errors
    /// When there is no manifest, or it breaks a rule; then all complaints come at once.
    pub fn read(folder: &Path) -> Result<Self, ProjectError> {
        let file = folder.join(MANIFEST_FILE);
        let text = std::fs::read_to_string(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ProjectError::NoManifest(folder.to_owned()),
            _ => ProjectError::File { file: file.clone(), source },
        })?;
        let parsed = CapsuleManifest::parse(&file.display().to_string(), &text, Strictness::Check)
            .map_err(ProjectError::Manifest)?;
        Ok(Self { folder: folder.to_owned(), manifest: parsed.value, warnings: parsed.warnings })
    }

    /// The path of the component that runs, as the manifest writes it; `None` when the capsule has none.
    pub fn component_name(&self) -> Option<String> {
        self.manifest.component_file().map(|file| file.parts().join("/"))
    }

    /// The file of the component that runs.
    pub fn component_file(&self) -> Option<PathBuf> {
        self.component_name().map(|name| self.folder.join(name))
    }

    /// The manifest's file, as people know it.
    pub(crate) fn manifest_file(&self) -> String {
        self.folder.join(MANIFEST_FILE).display().to_string()
    }

    /// Whether it is compiled by cargo.
    pub fn is_rust(&self) -> bool {
        self.folder.join("Cargo.toml").is_file()
    }
}
