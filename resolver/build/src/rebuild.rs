//! Whether committed components are what their sources say.
//!
//! With the compiler that made them, a rebuild must give the same bytes. With another one the bytes may
//! differ, but not what the component imports and exports: then it can do neither more nor less.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::compile::{self, CompileError};
use crate::component::{self, ComponentError};
use crate::environment::Environment;
use crate::toolchain::{StandardLibrary, TARGET, Toolchain};

/// The file beside a guest workspace's `Cargo.toml` that names the compiler of its components.
pub const RECORD_FILE: &str = "toolchain.toml";

const RECORD_HEADER: &str = "\
# What made the components of this folder. A rebuild with exactly this gives exactly their bytes.
# Written by `rebuild_guests --write`.
";

/// Why a rebuild could not be made or judged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The sources don't compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A module does not become a component.
    #[error("{}: {source}", file.display())]
    Component {
        /// The module or component.
        file: PathBuf,
        /// Why.
        source: ComponentError,
    },
    /// A file can't be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record of the toolchain is not one.
    #[error("{}: {message}", file.display())]
    Record {
        /// The record.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// Everything about a build machine that can change a component's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// The target triple.
    pub target: String,
    /// The compiler's release.
    pub rustc: String,
    /// The compiler's commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rustc_commit: Option<String>,
    /// What cargo says about its version.
    pub cargo: String,
    /// `prebuilt`, or `from-source`.
    pub standard_library: String,
    /// The linker's version, when it is not the compiler's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linker: Option<String>,
    /// The version of the library that makes components.
    pub wit_component: String,
}

impl Record {
    /// The record of a build with `toolchain`; `encoder` is [`component::encoder_version`]'s answer.
    pub fn of(toolchain: &Toolchain, encoder: String) -> Self {
        let (standard_library, linker) = match &toolchain.library {
            StandardLibrary::Prebuilt => ("prebuilt", None),
            StandardLibrary::FromSource { linker_version, .. } => {
                ("from-source", Some(linker_version.clone()))
            }
        };
        Self {
            target: TARGET.to_owned(),
            rustc: toolchain.release.clone(),
            rustc_commit: toolchain.commit.clone(),
            cargo: toolchain.cargo_version.clone(),
            standard_library: standard_library.to_owned(),
            linker,
            wit_component: encoder,
        }
    }

    /// Reads the record of the workspace in `root`; `None` when it has none.
    ///
    /// # Errors
    /// When the file can't be read or holds something else.
    pub fn read(root: &Path) -> Result<Option<Self>, RebuildError> {
        let file = root.join(RECORD_FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|error| RebuildError::Record { file, message: error.to_string() }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RebuildError::File { file, source }),
        }
    }

    /// Writes the record of the workspace in `root`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, root: &Path) -> Result<(), RebuildError> {
        let file = root.join(RECORD_FILE);
        let body = toml::to_string(self)
            .map_err(|error| RebuildError::Record { file: file.clone(), message: error.to_string() })?;
        replace(&file, format!("{RECORD_HEADER}{body}").as_bytes())
    }
}

/// A component that was just built, and where its committed twin belongs.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// The capsule's folder.
    pub folder: PathBuf,
    /// The committed component's file, which may not exist yet.
    pub file: PathBuf,
    /// The new bytes.
    pub component: Vec<u8>,
}

/// How a rebuilt component compares with the committed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// Byte for byte.
    SameBytes,
    /// Other bytes, same imports and exports.
    SameInterfaces,
    /// It asks its host for other things, or offers other things.
    OtherInterfaces {
        /// Only in the rebuilt component.
        added: BTreeSet<String>,
        /// Only in the committed component.
        removed: BTreeSet<String>,
    },
    /// Nothing is committed.
    Missing,
}

impl Agreement {
    /// Whether this is good enough, given whether the toolchain is the recorded one.
    pub fn is_accepted(&self, same_toolchain: bool) -> bool {
        match self {
            Self::SameBytes => true,
            Self::SameInterfaces => !same_toolchain,
            Self::OtherInterfaces { .. } | Self::Missing => false,
        }
    }
}

/// Builds every guest of the workspace in `root`, without the caller's own compiler flags.
///
/// # Errors
/// When one does not compile or become a component.
pub fn rebuild(
    environment: &Environment,
    toolchain: &Toolchain,
    root: &Path,
    on_line: &mut dyn FnMut(&str),
) -> Result<Vec<Rebuilt>, RebuildError> {
    let environment = environment.for_reproducible_builds();
    let mut rebuilt = Vec::new();
    for module in compile::compile(&environment, toolchain, root, on_line)? {
        let bytes = read(&module.file)?;
        let component = component::componentise(&bytes)
            .map_err(|source| RebuildError::Component { file: module.file.clone(), source })?;
        let file = module.package.join(module.file.file_name().unwrap_or_default());
        rebuilt.push(Rebuilt { folder: module.package, file, component });
    }
    Ok(rebuilt)
}

impl Rebuilt {
    /// Compares with the committed component.
    ///
    /// # Errors
    /// When the committed component can't be read.
    pub fn compare(&self) -> Result<Agreement, RebuildError> {
        if !self.file.exists() {
            return Ok(Agreement::Missing);
        }
        let committed = read(&self.file)?;
        if committed == self.component {
            return Ok(Agreement::SameBytes);
        }
        let names = |bytes: &[u8]| -> Result<BTreeSet<String>, RebuildError> {
            let found = component::interfaces(bytes)
                .map_err(|source| RebuildError::Component { file: self.file.clone(), source })?;
            let imports = found.imports.into_iter().map(|name| format!("import {name}"));
            Ok(imports.chain(found.exports.into_iter().map(|name| format!("export {name}"))).collect())
        };
        let (before, after) = (names(&committed)?, names(&self.component)?);
        if before == after {
            return Ok(Agreement::SameInterfaces);
        }
        Ok(Agreement::OtherInterfaces {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
        })
    }

    /// Puts the new component in the committed one's place, unless it is there already.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self) -> Result<(), RebuildError> {
        if self.compare()? == Agreement::SameBytes {
            return Ok(());
        }
        replace(&self.file, &self.component)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, RebuildError> {
    std::fs::read(file).map_err(|source| RebuildError::File { file: file.to_owned(), source })
}

/// Replaces a file in one step: whoever reads it sees the old bytes or the new ones.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> Result<(), RebuildError> {
    let failed = |source| RebuildError::File { file: file.to_owned(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".astrid-").tempfile_in(folder).map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    set_readable(temporary.as_file()).map_err(failed)?;
    temporary.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A temporary file is private to its owner; what is built is to be read by others.
#[cfg(unix)]
fn set_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            target: TARGET.to_owned(),
            rustc: "1.96.0".to_owned(),
            rustc_commit: Some("abc".to_owned()),
            cargo: "cargo 1.96.0".to_owned(),
            standard_library: "from-source".to_owned(),
            linker: Some("LLD 19".to_owned()),
            wit_component: "0.254.2".to_owned(),
        }
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), None);
        record().write(folder.path()).unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), Some(record()));
    }

    #[test]
    fn a_record_with_an_unknown_field_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(RECORD_FILE), "target = 'x'\ncolour = 'red'\n").unwrap();
        assert!(matches!(Record::read(folder.path()), Err(RebuildError::Record { .. })));
    }

    #[test]
    fn other_bytes_are_accepted_from_another_compiler_only() {
        assert!(Agreement::SameInterfaces.is_accepted(false));
        assert!(!Agreement::SameInterfaces.is_accepted(true));
        assert!(!Agreement::Missing.is_accepted(false));
    }
}
