//! Checking a file of any kind, by its name.

use crate::capsule::{CapsuleManifest, Strictness};
use crate::diagnostic::{Diagnostics, Parsed};
use crate::distro::Distro;
use crate::lock::AnyLock;
use crate::pack::{self, Element, Executor, Orchestrator, PackManifest, element, executor, orchestrator};
use crate::policy::HomePolicy;
use crate::trust::AckFile;

/// The kinds of files that people write, and the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `Distro.toml`.
    Distro,
    /// `Distro.lock`.
    Lock,
    /// `Capsule.toml`.
    Capsule,
    /// `pack.yaml`, `pack.yml`, `pack.json`.
    Pack,
    /// `executor.yaml`, `executor.yml`, `executor.json`.
    Executor,
    /// `orchestrator.yaml`, `orchestrator.yml`, `orchestrator.json`.
    Orchestrator,
    /// `element.yaml`, `element.yml`, `element.json`.
    Element,
    /// `trust/*.toml`.
    Trust,
    /// `policy.toml`.
    HomePolicy,
}

impl Kind {
    /// The kind of the file at `path`, when its name says it.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match name {
            "Distro.toml" => Some(Self::Distro),
            "Distro.lock" => Some(Self::Lock),
            "Capsule.toml" => Some(Self::Capsule),
            "policy.toml" => Some(Self::HomePolicy),
            name if pack::FILE_NAMES.contains(&name) => Some(Self::Pack),
            name if executor::FILE_NAMES.contains(&name) => Some(Self::Executor),
            name if orchestrator::FILE_NAMES.contains(&name) => Some(Self::Orchestrator),
            name if element::FILE_NAMES.contains(&name) => Some(Self::Element),
            name if name.strip_suffix(".toml").is_some_and(|stem| !stem.is_empty()) => {
                (folder == "trust" || folder.ends_with("/trust")).then_some(Self::Trust)
            }
            _ => None,
        }
    }
}

impl Kind {
    /// Largest file of the kind that is read, in bytes: whoever reads it may stop there.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Distro => crate::MAX_DISTRO_BYTES,
            Self::Lock => crate::MAX_LOCK_BYTES,
            Self::Capsule
            | Self::Pack
            | Self::Executor
            | Self::Orchestrator
            | Self::Element
            | Self::Trust
            | Self::HomePolicy => crate::MAX_FILE_BYTES,
        }
    }
}

/// Checks `text`, which people know as `file`, as strictly as for one's own files.
///
/// Gives every complaint: errors, and the warnings of a file that is taken.
#[must_use]
pub fn file(kind: Kind, file: &str, text: &str) -> Diagnostics {
    match kind {
        Kind::Distro => complaints(Distro::parse(file, text)),
        Kind::Lock => complaints(AnyLock::parse(file, text)),
        Kind::Capsule => complaints(CapsuleManifest::parse(file, text, Strictness::Check)),
        Kind::Pack => complaints(PackManifest::parse(file, text)),
        Kind::Executor => complaints(Executor::parse_all(file, text)),
        Kind::Orchestrator => complaints(Orchestrator::parse(file, text)),
        Kind::Element => complaints(Element::parse(file, text)),
        Kind::Trust => complaints(AckFile::parse(file, text)),
        Kind::HomePolicy => complaints(HomePolicy::parse(file, text)),
    }
}

fn complaints<T>(result: Result<Parsed<T>, Diagnostics>) -> Diagnostics {
    match result {
        Ok(parsed) => parsed.warnings,
        Err(complaints) => complaints,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_name() {
        assert_eq!(Kind::of_path("a/b/Distro.toml"), Some(Kind::Distro));
        assert_eq!(Kind::of_path("pack.yml"), Some(Kind::Pack));
        assert_eq!(Kind::of_path("executors/a/executor.json"), Some(Kind::Executor));
        assert_eq!(Kind::of_path("trust/pack-x.toml"), Some(Kind::Trust));
        assert_eq!(Kind::of_path("etc/policy.toml"), Some(Kind::HomePolicy));
        assert_eq!(Kind::of_path("Cargo.toml"), None);
        assert_eq!(Kind::of_path("trust/.toml"), None);
    }

    #[test]
    fn every_kind_complains_about_nonsense_denied() {
        for kind in [
            Kind::Distro,
            Kind::Lock,
            Kind::Capsule,
            Kind::Pack,
            Kind::Executor,
            Kind::Orchestrator,
            Kind::Element,
            Kind::Trust,
            Kind::HomePolicy,
        ] {
            assert!(file(kind, "x", "nonsense = 1\n: [").has_errors(), "{kind:?}");
        }
    }
}
