//! From a capsule's folder to its `.capsule`: the same folder gives the same bytes on every machine.

use std::path::{Path, PathBuf};

use astrid_authority::Digest;
use astrid_store::archive;
use astrid_store::read::{Filter, hash_dir};
use astrid_store::tree::Limits;
use astrid_store::{StoreError, TreeFile};

use crate::project::Project;

/// Archives above this size are unwelcome: others refuse to download them.
pub const LARGE: usize = 50 << 20;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The component is not there.
    #[error("the component {} is not there; build it with `astrid capsule build`", .0.display())]
    NoComponent(PathBuf),
    /// Something in the folder can't be packed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file can't be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file changed while it was packed.
    #[error("{} changed while it was packed; try again", .0.display())]
    Changed(PathBuf),
}

/// A packed capsule.
#[derive(Debug, Clone)]
pub struct Packed {
    /// `<name>.capsule`.
    pub file_name: String,
    /// The archive.
    pub bytes: Vec<u8>,
    /// The digest of what it holds, whatever way it is packed: what trust binds to.
    pub content: Digest,
    /// The digest of the archive's own bytes.
    pub archive: Digest,
}

impl Packed {
    /// Writes the archive into `folder`, which is made if need be, in one step.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, ArchiveError> {
        let file = folder.join(&self.file_name);
        let failed = |source| ArchiveError::File { file: file.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        crate::write::replace(&file, &self.bytes).map_err(failed)?;
        Ok(file)
    }
}

/// Packs the capsule of `project`: manifest, component, `tools.json`, `wit/`, `assets/` and `skills/`.
///
/// # Errors
/// When the component is missing, or something has no place in an archive (a symbolic link, for example).
pub fn pack(project: &Project) -> Result<Packed, ArchiveError> {
    let component = project.component_name();
    if let Some(file) = project.component_file().filter(|file| !file.is_file()) {
        return Err(ArchiveError::NoComponent(file));
    }
    let filter = Filter::capsule(component.as_deref())?;
    let tree = hash_dir(&project.folder, &filter, &Limits::default(), None)?;
    let mut files = Vec::new();
    for entry in tree.entries() {
        let file = project.folder.join(entry.path.as_str());
        let bytes =
            std::fs::read(&file).map_err(|source| ArchiveError::File { file: file.clone(), source })?;
        if Digest::of(&bytes) != entry.blob {
            return Err(ArchiveError::Changed(file));
        }
        files.push(TreeFile { path: entry.path.clone(), bytes, executable: entry.executable });
    }
    let bytes = archive::pack(&files, component.as_deref())?;
    Ok(Packed {
        file_name: format!("{}.capsule", project.manifest.package.name),
        archive: Digest::of(&bytes),
        content: tree.digest(),
        bytes,
    })
}
