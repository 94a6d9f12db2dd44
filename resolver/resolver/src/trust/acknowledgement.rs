//! Which acknowledgements count, and what they are compared with.

use std::collections::BTreeSet;

use astrid_authority::{Digest, DistroId, Permission};
use astrid_manifest::policy::AckRule;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::{Ack, AckFile};
use astrid_provenance::PublicKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ack_signature::{AckSignature, ack_signature};
use crate::error::Result;
use crate::plan::document::Evidence;
use crate::plan::fleet::OwnCapsules;

/// A thing that needs trust, with everything that an acknowledgement has to agree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which capsule or pack.
    pub subject: Subject,
    /// Its version.
    pub version: String,
    /// Digest of everything it holds.
    pub content: Digest,
    /// Digest of what it may do.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
    /// What a pack discloses.
    pub permissions: Vec<Permission>,
    /// For a capsule outside packs: its distro, whose acknowledgement covers it as well.
    pub distro: Option<(DistroId, OwnCapsules)>,
}

impl Candidate {
    /// The acknowledgement of exactly this, as a person gives it now.
    #[must_use]
    pub fn acknowledge(&self, by: &str, at: Timestamp) -> Ack {
        Ack {
            subject: self.subject.clone(),
            version: self.version.clone(),
            content: self.content,
            authority: self.authority,
            signer: self.signer.clone(),
            permissions: self.permissions.clone(),
            by: by.to_owned(),
            at,
            expires: None,
            signature: None,
            place: astrid_manifest::diagnostic::Position::default(),
        }
    }

    /// Why `ack` says nothing about this; nothing when it is about exactly this.
    fn mismatch(&self, ack: &Ack) -> Option<Void> {
        if let (Subject::Distro(id), Some((distro, own))) = (&ack.subject, &self.distro) {
            // The content digest of a distro covers name, content, authority and signer of each capsule.
            return if id != distro {
                Some(Void::OtherSubject)
            } else if ack.content != own.content {
                Some(Void::Content)
            } else if ack.authority != own.authority {
                Some(Void::Authority)
            } else {
                None
            };
        }
        if ack.subject != self.subject {
            return Some(Void::OtherSubject);
        }
        if ack.content != self.content {
            return Some(Void::Content);
        }
        if ack.authority != self.authority {
            return Some(Void::Authority);
        }
        if ack.signer != self.signer {
            return Some(Void::Signer);
        }
        if ack.version != self.version || !same_permissions(&ack.permissions, &self.permissions) {
            return Some(Void::Copy);
        }
        None
    }
}

fn same_permissions(one: &[Permission], two: &[Permission]) -> bool {
    let sorted = |list: &[Permission]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    sorted(one) == sorted(two)
}

/// Why an acknowledgement has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Void {
    /// It is about something else.
    OtherSubject,
    /// The content is another.
    Content,
    /// The authority is another.
    Authority,
    /// The signer is another.
    Signer,
    /// Its readable copy says something else than the thing itself.
    Copy,
    /// It has expired.
    Expired,
    /// It says that it was given in the future.
    Future,
    /// Somebody took it back.
    Revoked,
    /// It came with a distro whose origin this home does not believe.
    NotBelieved,
    /// The home's policy asks for ones that are signed by a key that it lists.
    NotSigned,
    /// Its signature is not over what it says.
    WrongSignature,
}

impl Void {
    /// The reason in words.
    #[must_use]
    pub const fn as_words(self) -> &'static str {
        match self {
            Self::OtherSubject => "it is about something else",
            Self::Content => "the content is another",
            Self::Authority => "the authority is another",
            Self::Signer => "the signer is another",
            Self::Copy => "its readable copy of version or permissions does not agree with the thing itself",
            Self::Expired => "it has expired",
            Self::Future => "it is dated in the future",
            Self::Revoked => "it was revoked",
            Self::NotBelieved => "it came with a distro whose origin this home does not believe",
            Self::NotSigned => "the home's policy asks for acknowledgements signed by a key that it lists",
            Self::WrongSignature => "its signature is not over what it says",
        }
    }
}

/// Where an acknowledgement was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Home(String),
    Repository(String),
    Generation(u64),
}

/// `trust revoke`: trust that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Of what.
    pub subject: Subject,
    /// Of which content; of any, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// When. What was acknowledged later counts again.
    pub at: Timestamp,
}

/// The home's list of revocations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revocations {
    format_version: u32,
    #[serde(default, rename = "revoke", skip_serializing_if = "Vec::is_empty")]
    list: Vec<Revocation>,
}

impl Revocations {
    /// Where the home keeps them, under `trust/`.
    pub const FILE: &'static str = "revoked.toml";

    /// Parses the text of [`Self::FILE`].
    ///
    /// # Errors
    /// When the text is not what this program writes.
    pub fn parse(text: &str) -> Result<Self> {
        let own: Self = super::floors::parse_own(Self::FILE, text)?;
        if own.format_version == 1 {
            Ok(own)
        } else {
            Err(super::floors::newer(Self::FILE, own.format_version))
        }
    }

    /// The text of [`Self::FILE`].
    ///
    /// # Errors
    /// Never for a list of ours.
    pub fn write(&self) -> Result<String> {
        super::floors::write_own(Self::FILE, &Self { format_version: 1, list: self.list.clone() })
    }

    /// Takes trust back: in one content, or in every content of the subject.
    pub fn revoke(&mut self, subject: Subject, content: Option<Digest>, at: Timestamp) {
        self.list.push(Revocation { subject, content, at });
        self.list.sort();
        self.list.dedup();
    }

    /// What was taken back, in order of subjects.
    #[must_use]
    pub fn list(&self) -> &[Revocation] {
        &self.list
    }

    /// When the trust in this was last taken back.
    fn latest(&self, subject: &Subject, content: Digest) -> Option<Timestamp> {
        self.list
            .iter()
            .filter(|own| own.subject == *subject && own.content.is_none_or(|own| own == content))
            .map(|own| own.at)
            .max()
    }
}

/// What acknowledgements are collected under.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// The time.
    pub now: Timestamp,
    /// What the home's policy asks of acknowledgements.
    pub rule: AckRule,
    /// The acknowledgements that came with the distro count: its origin is believed, or the run says
    /// `--acks=repository`.
    pub repository_counts: bool,
    /// Whose signature makes an acknowledgement count, wherever it came from.
    pub keys: &'a BTreeSet<PublicKey>,
    /// What was taken back.
    pub revocations: &'a Revocations,
}

/// All the acknowledgements that a command knows, and what decides whether they count.
#[derive(Debug, Clone, Default)]
pub struct Acknowledgements {
    entries: Vec<(Place, Ack)>,
    builtin: Vec<(Subject, Digest)>,
    revocations: Revocations,
    now: Timestamp,
    rule: AckRule,
    repository_counts: bool,
    keys: BTreeSet<PublicKey>,
}

impl Acknowledgements {
    /// Nothing is acknowledged yet.
    #[must_use]
    pub fn new(conditions: &Conditions<'_>) -> Self {
        Self {
            entries: Vec::new(),
            builtin: Vec::new(),
            revocations: conditions.revocations.clone(),
            now: conditions.now,
            rule: conditions.rule,
            repository_counts: conditions.repository_counts,
            keys: conditions.keys.clone(),
        }
    }

    /// Adds a file of the home's `trust/`, under the name that people know it by.
    #[must_use]
    pub fn with_home(mut self, name: &str, file: AckFile) -> Self {
        self.entries.extend(file.acks.into_iter().map(|ack| (Place::Home(name.to_owned()), ack)));
        self
    }

    /// Adds a file that came with the distro.
    #[must_use]
    pub fn with_repository(mut self, name: &str, file: AckFile) -> Self {
        self.entries.extend(file.acks.into_iter().map(|ack| (Place::Repository(name.to_owned()), ack)));
        self
    }

    /// Adds what a generation was applied with. Only for a rollback to it, or for healing it: never
    /// for an install or an update.
    #[must_use]
    pub fn with_generation(mut self, number: u64, acks: &[Ack]) -> Self {
        self.entries.extend(acks.iter().map(|ack| (Place::Generation(number), ack.clone())));
        self
    }

    /// Adds the acknowledgement that is part of the program: exactly these contents.
    #[must_use]
    pub fn with_builtin(mut self, contents: impl IntoIterator<Item = (Subject, Digest)>) -> Self {
        self.builtin.extend(contents);
        self
    }

    /// Says whether trust in this was taken back, and not given again at this home.
    ///
    /// `distro` is the one that the capsule outside packs belongs to: trust in it covers the capsule, and
    /// so does taking that back.
    #[must_use]
    pub fn is_revoked(
        &self,
        subject: &Subject,
        content: Digest,
        distro: Option<(&DistroId, &OwnCapsules)>,
    ) -> bool {
        self.taken_back(subject, content, distro).is_some_and(|at| {
            let covers = |ack: &Ack| {
                ack.subject == *subject && ack.content == content
                    || distro.is_some_and(|(id, own)| {
                        matches!(&ack.subject, Subject::Distro(named) if named == id)
                            && ack.content == own.content
                    })
            };
            !self.entries.iter().any(|(place, ack)| covers(ack) && self.counts_after(place, ack, at))
        })
    }

    /// When trust in this, or in the distro that covers it, was last taken back.
    fn taken_back(
        &self,
        subject: &Subject,
        content: Digest,
        distro: Option<(&DistroId, &OwnCapsules)>,
    ) -> Option<Timestamp> {
        let own = self.revocations.latest(subject, content);
        let distro = distro
            .filter(|_| matches!(subject, Subject::Capsule(_)))
            .and_then(|(id, own)| self.revocations.latest(&Subject::Distro(id.clone()), own.content));
        own.max(distro)
    }

    /// Whether trust in anything of this distro was ever taken back.
    pub(crate) fn names_distro(&self, distro: &DistroId) -> bool {
        self.revocations
            .list
            .iter()
            .any(|own| matches!(&own.subject, Subject::Distro(named) if named == distro))
    }

    /// Only what was said at this home, later, outweighs a revocation.
    fn counts_after(&self, place: &Place, ack: &Ack, revoked: Timestamp) -> bool {
        !matches!(place, Place::Repository(_))
            && ack.at > revoked
            && ack.at <= self.now
            && self.unproved(place, ack).is_none()
    }

    /// Finds what satisfies the need for trust in `candidate`, if something does.
    #[must_use]
    pub fn satisfy(&self, candidate: &Candidate) -> Option<Evidence> {
        for (place, ack) in &self.entries {
            if self.void(candidate, place, ack).is_none() {
                return Some(match place {
                    Place::Home(name) | Place::Repository(name) => Evidence::File(name.clone()),
                    Place::Generation(number) => Evidence::Generation(*number),
                });
            }
        }
        let is_builtin = self
            .builtin
            .iter()
            .any(|(subject, content)| *subject == candidate.subject && *content == candidate.content);
        let distro = candidate.distro.as_ref().map(|(id, own)| (id, own));
        let revoked = self.taken_back(&candidate.subject, candidate.content, distro).is_some();
        (is_builtin && !revoked).then_some(Evidence::Builtin)
    }

    /// The acknowledgements of this subject that have no effect, by file, with the reason.
    #[must_use]
    pub fn without_effect(&self, candidate: &Candidate) -> Vec<(String, Void)> {
        let mut list = Vec::new();
        for (place, ack) in &self.entries {
            let name = match place {
                Place::Home(name) | Place::Repository(name) => name.clone(),
                Place::Generation(number) => format!("generation {number}"),
            };
            match self.void(candidate, place, ack) {
                None | Some(Void::OtherSubject) => {}
                Some(void) => list.push((name, void)),
            }
        }
        list
    }

    /// Why nobody whose word counts here stands behind an acknowledgement.
    fn unproved(&self, place: &Place, ack: &Ack) -> Option<Void> {
        // What a generation was applied with counted when it was applied.
        if matches!(place, Place::Generation(_)) {
            return None;
        }
        let is_signed = match ack_signature(ack) {
            AckSignature::Wrong => return Some(Void::WrongSignature),
            AckSignature::By(key) => self.keys.contains(&key),
            AckSignature::None => false,
        };
        if is_signed {
            return None;
        }
        if matches!(place, Place::Repository(_)) && !self.repository_counts {
            return Some(Void::NotBelieved);
        }
        (self.rule == AckRule::Signed).then_some(Void::NotSigned)
    }

    fn void(&self, candidate: &Candidate, place: &Place, ack: &Ack) -> Option<Void> {
        if let Some(mismatch) = candidate.mismatch(ack) {
            return Some(mismatch);
        }
        if let Some(void) = self.unproved(place, ack) {
            return Some(void);
        }
        if ack.is_expired(self.now) {
            return Some(Void::Expired);
        }
        if ack.at > self.now {
            return Some(Void::Future);
        }
        let distro = candidate.distro.as_ref().map(|(id, own)| (id, own));
        let revoked = self.taken_back(&candidate.subject, candidate.content, distro);
        if revoked.is_some_and(|at| !self.counts_after(place, ack, at)) {
            return Some(Void::Revoked);
        }
        None
    }
}
