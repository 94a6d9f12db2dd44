//! The whole way: compile, componentise, describe, check, pack.

use std::path::{Path, PathBuf};

use astrid_manifest::Diagnostics;

use crate::archive::{self, ArchiveError, Packed};
use crate::check::{self, CheckError};
use crate::compile::{self, CompileError};
use crate::component::{self, ComponentError};
use crate::environment::Environment;
use crate::project::{Project, ProjectError};
use crate::toolchain::{self, ToolchainError};
use crate::tools::{self, Describe, DescribeError, TOOLS_FILE, ToolsError};
use crate::write;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder or its manifest.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// No compiler.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The sources don't compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The module is no capsule.
    #[error("{}: {source}", file.display())]
    Component {
        /// The module.
        file: PathBuf,
        /// Why.
        source: ComponentError,
    },
    /// The component does not say what its tools are.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// The component describes its tools in a form that nobody understands.
    #[error(transparent)]
    Tools(#[from] ToolsError),
    /// The check could not be made.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The check found errors.
    #[error("{}", .0.render(false))]
    Refused(Diagnostics),
    /// There is no archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file can't be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What to build, and how.
pub struct Request<'a> {
    /// The capsule's folder.
    pub folder: &'a Path,
    /// Where the archive goes; usually `dist` in the folder.
    pub output: &'a Path,
    /// What the compiler may see.
    pub environment: &'a Environment,
    /// How the component is asked for its tools.
    pub describe: &'a dyn Describe,
}

/// What a build left.
#[derive(Debug)]
pub struct Built {
    /// The archive's file.
    pub file: PathBuf,
    /// The archive.
    pub packed: Packed,
    /// The compiler that was used; `None` when nothing had to be compiled.
    pub toolchain: Option<String>,
    /// What is odd, without being wrong.
    pub warnings: Diagnostics,
}

/// Builds the capsule, checks it, and writes its archive. `on_line` gets the compiler's output.
///
/// The component and `tools.json` are written into the capsule's folder, where the archive takes them from.
///
/// # Errors
/// At the first step that fails; the archive is written only when every step succeeded.
pub fn build(request: &Request<'_>, on_line: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    let project = Project::read(request.folder)?;
    let mut used = None;
    if let Some(file) = project.component_file() {
        let component = if project.is_rust() {
            let toolchain = toolchain::find(request.environment, request.folder)?;
            used = Some(toolchain.to_string());
            let folder = canonical_folder(request.folder)?;
            let modules = compile::compile(request.environment, &toolchain, &folder, on_line)?;
            let module = modules
                .into_iter()
                .find(|module| module.package == folder)
                .ok_or(CompileError::NoModule { folder })?;
            componentise(&module.file)?
        } else if file.is_file() {
            componentise(&file)?
        } else {
            return Err(ArchiveError::NoComponent(file).into());
        };
        put(&file, &component)?;
        describe(request, &component)?;
    }
    let findings = check::check(request.folder)?;
    if findings.has_errors() {
        return Err(BuildError::Refused(findings));
    }
    let packed = archive::pack(&project)?;
    let file = packed.write(request.output)?;
    Ok(Built { file, packed, toolchain: used, warnings: findings })
}

/// Writes `tools.json`, or removes it when the component has no tools.
fn describe(request: &Request<'_>, component: &[u8]) -> Result<(), BuildError> {
    let file = request.folder.join(TOOLS_FILE);
    let described = request.describe.describe(component)?;
    match described.map(|text| tools::canonical(&text)).transpose()?.flatten() {
        Some(text) => put(&file, text.as_bytes()),
        None => match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BuildError::File { file, source: error })
            }
            _ => Ok(()),
        },
    }
}

fn canonical_folder(folder: &Path) -> Result<PathBuf, BuildError> {
    // Cargo reports where packages really are.
    folder.canonicalize().map_err(|source| BuildError::File { file: folder.to_owned(), source })
}

fn componentise(file: &Path) -> Result<Vec<u8>, BuildError> {
    let bytes = std::fs::read(file).map_err(|source| BuildError::File { file: file.to_owned(), source })?;
    component::componentise(&bytes).map_err(|source| BuildError::Component { file: file.to_owned(), source })
}

/// Writes a file unless it holds these bytes already: an unchanged build touches nothing.
fn put(file: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if std::fs::read(file).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    write::replace(file, bytes).map_err(|source| BuildError::File { file: file.to_owned(), source })
}
