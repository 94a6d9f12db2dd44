//! The highest that this home has seen: versions of distros, signers and provenance of subjects.
//!
//! Floors only rise. Neither a rollback nor a repository lowers them, so that an old version with a
//! known hole can't come back unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::DistroId;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::plan::fleet::Fleet;
use crate::policy::EffectivePolicy;

/// Who signed a subject when it was last applied, and what was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectFloor {
    /// The signer.
    pub signer: Signer,
    /// The kind of provenance.
    pub provenance: Option<String>,
}

impl SubjectFloor {
    /// Who signed it and what was proved, as `[[policy.change]]` writes it.
    #[must_use]
    pub fn words(&self) -> String {
        signed_by(&self.signer, self.provenance.as_deref())
    }

    /// Whether something signed by `signer` with `provenance` is less than, or other than, what was seen.
    #[must_use]
    pub fn is_undercut_by(&self, signer: &Signer, provenance: Option<&str>) -> bool {
        self.is_signed() && self.signer != *signer
            || self.provenance.is_some() && self.provenance.as_deref() != provenance
    }
    /// Says whether somebody signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        !self.signer.is_unsigned()
    }
}

/// A signer and what was proved, in the words that `[[policy.change]]` compares.
#[must_use]
pub fn signed_by(signer: &Signer, provenance: Option<&str>) -> String {
    match provenance {
        Some(provenance) => format!("{signer} with {provenance}"),
        None => signer.to_string(),
    }
}

/// Another maker than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undercut {
    /// Who made it before.
    pub(crate) from: String,
    /// Who made it now.
    pub(crate) to: String,
    /// Why a reviewed `[[policy.change]]` allows it.
    pub(crate) allowed: Option<String>,
}

/// The home's floors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    distros: BTreeMap<(String, DistroId), Version>,
    subjects: BTreeMap<Subject, SubjectFloor>,
    /// Reviewed changes that were made use of: each counts once.
    changes: BTreeSet<UsedChange>,
}

/// A `[[policy.change]]` that was made use of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsedChange {
    subject: Subject,
    from: String,
    to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    format_version: u32,
    #[serde(default, rename = "distro", skip_serializing_if = "Vec::is_empty")]
    distros: Vec<DistroEntry>,
    #[serde(default, rename = "subject", skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<SubjectEntry>,
    #[serde(default, rename = "used-change", skip_serializing_if = "Vec::is_empty")]
    changes: Vec<UsedChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DistroEntry {
    origin: String,
    id: DistroId,
    version: Version,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectEntry {
    subject: Subject,
    signer: Signer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<String>,
}

impl Floors {
    /// Where the home keeps them, under `trust/`.
    pub const FILE: &'static str = "floors.toml";

    /// Parses the text of [`Self::FILE`].
    ///
    /// # Errors
    /// When the text is not what this program writes. A damaged file is never taken as an empty one.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = parse_own(Self::FILE, text)?;
        if file.format_version != 1 {
            return Err(newer(Self::FILE, file.format_version));
        }
        let distros =
            file.distros.into_iter().map(|entry| ((entry.origin, entry.id), entry.version)).collect();
        let subjects = file
            .subjects
            .into_iter()
            .map(|entry| (entry.subject, SubjectFloor { signer: entry.signer, provenance: entry.provenance }))
            .collect();
        Ok(Self { distros, subjects, changes: file.changes.into_iter().collect() })
    }

    /// The text of [`Self::FILE`].
    ///
    /// # Errors
    /// Never for floors of ours.
    pub fn write(&self) -> Result<String> {
        let distros = self.distros.iter().map(|((origin, id), version)| DistroEntry {
            origin: origin.clone(),
            id: id.clone(),
            version: version.clone(),
        });
        let subjects = self.subjects.iter().map(|(subject, floor)| SubjectEntry {
            subject: subject.clone(),
            signer: floor.signer.clone(),
            provenance: floor.provenance.clone(),
        });
        write_own(
            Self::FILE,
            &File {
                format_version: 1,
                distros: distros.collect(),
                subjects: subjects.collect(),
                changes: self.changes.iter().cloned().collect(),
            },
        )
    }

    /// The highest version of a distro that was applied from this origin.
    #[must_use]
    pub fn distro(&self, origin: &str, id: &DistroId) -> Option<&Version> {
        self.distros.get(&(origin.to_owned(), id.clone()))
    }

    /// The highest version of a distro that was applied, from wherever it came.
    #[must_use]
    pub fn highest(&self, id: &DistroId) -> Option<&Version> {
        self.distros.iter().filter(|((_, own), _)| own == id).map(|(_, version)| version).max()
    }

    /// Who signed a subject before.
    #[must_use]
    pub fn subject(&self, subject: &Subject) -> Option<&SubjectFloor> {
        self.subjects.get(subject)
    }

    /// Whether a reviewed change was made use of already.
    #[must_use]
    pub fn has_used(&self, subject: &Subject, from: &str, to: &str) -> bool {
        self.changes.contains(&UsedChange {
            subject: subject.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    /// What leads from a floor to another maker: the words of both, and why a reviewed line allows it.
    pub(crate) fn undercut(
        &self,
        policy: &EffectivePolicy,
        subject: &Subject,
        signer: &Signer,
        provenance: Option<&str>,
    ) -> Option<Undercut> {
        let floor = self.subject(subject)?;
        if !floor.is_undercut_by(signer, provenance) {
            return None;
        }
        let (from, to) = (floor.words(), signed_by(signer, provenance));
        let allowed = policy.change(subject, &from, &to).map(|change| change.reason.clone());
        let allowed = allowed.filter(|_| !self.has_used(subject, &from, &to));
        Some(Undercut { from, to, allowed })
    }

    /// The refusal of another maker than before, when no reviewed line allows it.
    pub(crate) fn refuses(
        &self,
        policy: &EffectivePolicy,
        subject: &Subject,
        signer: &Signer,
        provenance: Option<&str>,
    ) -> Option<Error> {
        let undercut = self.undercut(policy, subject, signer, provenance)?;
        undercut.allowed.is_none().then(|| new_signer(subject, &undercut.from, &undercut.to))
    }

    /// Raises the floors to what was applied.
    ///
    /// `accepted` names the subjects whose new signer, or lack of one, a reviewed line allows: only there
    /// a signature gives way to another, and the line is used up. What is accepted of a pack is of its capsules, too.
    pub fn raise(&mut self, origin: &str, fleet: &Fleet, accepted: &[Subject]) {
        let key = (origin.to_owned(), fleet.distro.clone());
        if self.distros.get(&key).is_none_or(|highest| fleet.version > *highest) {
            self.distros.insert(key, fleet.version.clone());
        }
        for (subject, artifact) in &fleet.artifacts {
            let seen =
                SubjectFloor { signer: artifact.signer.clone(), provenance: artifact.provenance.clone() };
            let undercut = self
                .subjects
                .get(subject)
                .filter(|floor| floor.is_undercut_by(&seen.signer, seen.provenance.as_deref()))
                .map(SubjectFloor::words);
            let pack = artifact.pack.clone().map(Subject::Pack);
            let is_accepted =
                [Some(subject), pack.as_ref()].into_iter().flatten().any(|one| accepted.contains(one));
            match undercut {
                Some(_) if !is_accepted => {}
                undercut => {
                    if let Some(from) = undercut {
                        self.changes.insert(UsedChange { subject: subject.clone(), from, to: seen.words() });
                    }
                    self.subjects.insert(subject.clone(), seen);
                }
            }
        }
    }
}

/// The refusal of a signer that is not the one of before, with the line that would allow it.
pub(crate) fn new_signer(subject: &Subject, from: &str, to: &str) -> Error {
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let line = [
        "[[policy.change]]".to_owned(),
        format!("subject = {}", quoted(&subject.to_string()).trim()),
        format!("from = {}", quoted(from).trim()),
        format!("to = {}", quoted(to).trim()),
        "reason = \"…\"".to_owned(),
    ];
    Error::new(
        ErrorKind::Signature,
        format!("{subject} was made by {from} when this home applied it, and is now by {to}"),
    )
    .because(["if that is right, put this into etc/policy.toml of the home; it counts once:".to_owned()])
    .because(line.into_iter().map(|line| format!("  {line}")))
    .hint("ask who publishes it why; neither `--yes` nor `--trust` allows it")
}

/// Parses a file that only this program writes.
pub(crate) fn parse_own<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml_edit::de::from_str(text).map_err(|error| {
        Error::corrupt(format!("the home's `{file}` can't be read"))
            .hint("restore it from a backup; it is not replaced by an empty one, because it protects you")
            .caused_by(error)
    })
}

/// Writes a file that only this program reads.
pub(crate) fn write_own<T: Serialize>(file: &str, value: &T) -> Result<String> {
    toml_edit::ser::to_string_pretty(value)
        .map_err(|error| Error::failed(format!("`{file}` can't be written")).caused_by(error))
}

/// The file is of a format that this program does not know.
pub(crate) fn newer(file: &str, version: u32) -> Error {
    Error::invalid(format!(
        "the home's `{file}` has format version {version}, which this version does not know"
    ))
    .hint("use the program that wrote it, or a newer one")
}
