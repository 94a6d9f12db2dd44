//! Whether committed components are what their sources say.
//!
//! With the compiler that made them, a rebuild must give the same bytes. With another one the bytes may
//! differ, but not what the component imports, function by function, nor what it exports: with the same
//! manifest it then has the same authority, for authority is what is granted and can be used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use astrid_manifest::inspect;
use serde::{Deserialize, Serialize};

use crate::compile::{self, CompileError};
use crate::component::{self, ComponentError};
use crate::environment::Environment;
use crate::toolchain::{StandardLibrary, TARGET, Toolchain};
use crate::write;

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
    /// A committed component is not one.
    #[error("{}: {source}", file.display())]
    Committed {
        /// The component.
        file: PathBuf,
        /// Why.
        source: astrid_manifest::ComponentError,
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
        write::replace(&file, format!("{RECORD_HEADER}{body}").as_bytes())
            .map_err(|source| RebuildError::File { file, source })
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
            let found = inspect(bytes)
                .map_err(|source| RebuildError::Committed { file: self.file.clone(), source })?;
            let mut names = BTreeSet::new();
            for (interface, functions) in found.imports {
                names.extend(functions.iter().map(|function| format!("import {interface}#{function}")));
                names.insert(format!("import {interface}"));
            }
            names.extend(found.exports.into_iter().map(|name| format!("export {name}")));
            names.extend(found.entry_points.into_iter().map(|name| format!("implement {name}")));
            Ok(names)
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
        write::replace(&self.file, &self.component)
            .map_err(|source| RebuildError::File { file: self.file.clone(), source })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, RebuildError> {
    std::fs::read(file).map_err(|source| RebuildError::File { file: file.to_owned(), source })
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
