//! `bundle.json`: an in-toto statement about every other member, and what it says of them together.

use std::collections::BTreeMap;

use astrid_authority::{Digest, DistroId};
use astrid_provenance::statement::{MAX_SUBJECTS, Statement, Subject, TYPE_V1};
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};
use crate::member::Member;

/// The version of the format that is written.
pub const FORMAT_VERSION: u32 = 2;
/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "https://github.com/unicity-astrid/astrid/attestations/bundle/v1";

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// Always 2.
    pub format_version: u32,
    /// Which distro it holds.
    pub distro: DistroVersion,
    /// The digest of `Distro.lock`.
    pub lock: Digest,
    /// The digest of the lock whose artifacts it leaves out.
    pub since: Option<Digest>,
    /// How many subjects there are.
    pub members: u64,
    /// How many bytes they have together.
    pub total_bytes: u64,
    /// The digest of the trust root that it carries.
    pub trusted_root: Option<Digest>,
}

/// A distro and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistroVersion {
    /// Its id.
    pub id: DistroId,
    /// Its version.
    pub version: Version,
}

/// The digests that a statement has of each member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) blake3: Digest,
    pub(crate) sha256: [u8; 32],
}

impl Hashes {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { blake3: Digest::of(bytes), sha256: sha2::Sha256::digest(bytes).into() }
    }

    pub(crate) fn subject(&self, member: &Member) -> Subject {
        let digest =
            [("blake3".to_owned(), self.blake3.hex()), ("sha256".to_owned(), hex::encode(self.sha256))];
        Subject { name: member.path(), digest: digest.into() }
    }

    fn read(subject: &Subject) -> Option<Self> {
        let [(blake3_name, blake3), (sha256_name, sha256)] =
            <[_; 2]>::try_from(subject.digest.iter().collect::<Vec<_>>()).ok()?;
        let blake3 = Digest::from_hex(blake3).ok()?;
        let sha256 = Digest::from_hex(sha256).ok()?;
        (blake3_name == "blake3" && sha256_name == "sha256")
            .then_some(Self { blake3, sha256: *sha256.as_bytes() })
    }
}

/// A statement that was read, and what it promises.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) statement: Statement,
    pub(crate) predicate: Predicate,
    pub(crate) members: BTreeMap<Member, Hashes>,
}

/// Makes the statement about `members`.
pub(crate) fn make(members: &BTreeMap<Member, Hashes>, predicate: &Predicate) -> Result<Statement> {
    if members.len() > MAX_SUBJECTS {
        return Err(Error::unreadable(format!(
            "the bundle would have {} members, and a statement names at most {MAX_SUBJECTS}",
            members.len()
        ))
        .hint("split the distro, or seal the difference to an earlier lock with `--since`"));
    }
    let mut subjects: Vec<Subject> = members.iter().map(|(member, hashes)| hashes.subject(member)).collect();
    subjects.sort_by(|one, two| one.name.cmp(&two.name));
    let predicate = serde_json::to_value(predicate)
        .map_err(|error| Error::failed(format!("the statement can't be written: {error}")))?;
    Ok(Statement::new(subjects, PREDICATE_TYPE, predicate))
}

impl Promise {
    /// Reads `bundle.json`; what is not written as [`make`] writes it is refused.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::unreadable(format!("bundle.json {what}"));
        let statement = Statement::parse(bytes)?;
        if statement.kind != TYPE_V1 || statement.to_canonical_json()? != bytes {
            return Err(bad("is not in canonical form".to_owned()).hint("seal the distro again"));
        }
        if statement.predicate_type != PREDICATE_TYPE {
            return Err(bad(format!(
                "says something of another kind than a bundle's contents: `{}`",
                statement.predicate_type.escape_debug()
            )));
        }
        let version = statement.predicate.get("format_version").and_then(serde_json::Value::as_u64);
        if version.is_some_and(|version| version != u64::from(FORMAT_VERSION)) {
            return Err(bad("is of another version of the format".to_owned())
                .hint("this program reads versions 1 and 2; a newer program wrote it: update this one"));
        }
        let predicate = Predicate::deserialize(&statement.predicate)
            .map_err(|error| bad(format!("has another predicate than a bundle's: {error}")))?;
        let mut members = BTreeMap::new();
        let mut last: Option<&str> = None;
        for subject in &statement.subject {
            let shown = || subject.name.escape_debug().to_string();
            let member = Member::parse(&subject.name).filter(Member::is_subject);
            let member = member.ok_or_else(|| {
                bad(format!("names `{}`, which is no member that a bundle may have", shown()))
            })?;
            if last.is_some_and(|last| last >= subject.name.as_str()) {
                return Err(bad(format!("names `{}` twice or in the wrong place", shown())));
            }
            last = Some(&subject.name);
            let hashes = Hashes::read(subject).ok_or_else(|| {
                bad(format!("has other digests of `{}` than its BLAKE3 and its SHA-256", shown()))
            })?;
            members.insert(member, hashes);
        }
        for needed in [Member::Declaration, Member::Lock, Member::Sbom] {
            if !members.contains_key(&needed) {
                return Err(bad(format!("names no {needed}, which every bundle has")));
            }
        }
        let promise = Self { statement, predicate, members };
        promise.check_predicate()?;
        Ok(promise)
    }

    /// Compares what the predicate repeats with the subjects.
    fn check_predicate(&self) -> Result<()> {
        let of = |member: &Member| self.members.get(member).map(|hashes| hashes.blake3);
        let wrong = [
            ("count of members", self.predicate.members != self.members.len() as u64),
            ("digest of the lock", Some(self.predicate.lock) != of(&Member::Lock)),
            ("digest of the trust root", self.predicate.trusted_root != of(&Member::TrustRoot)),
        ];
        match wrong.iter().find(|(_, is_wrong)| *is_wrong) {
            None => Ok(()),
            Some((what, _)) => {
                Err(Error::unreadable(format!("bundle.json contradicts itself about the {what}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> BTreeMap<Member, Hashes> {
        [Member::Declaration, Member::Lock, Member::Sbom, Member::Blob(Digest::of(b"x"))]
            .into_iter()
            .map(|member| (member, Hashes::of(b"x")))
            .collect()
    }

    fn predicate() -> Predicate {
        Predicate {
            format_version: FORMAT_VERSION,
            distro: DistroVersion { id: "demo".parse().unwrap(), version: Version::new(1, 0, 0) },
            lock: Digest::of(b"x"),
            since: None,
            members: 4,
            total_bytes: 4,
            trusted_root: None,
        }
    }

    fn text(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let statement = make(&members(), &predicate()).unwrap();
        let mut value = serde_json::to_value(statement).unwrap();
        change(&mut value);
        serde_json::to_vec(&value).unwrap()
    }

    #[test]
    fn what_is_made_is_read() {
        let promise = Promise::read(&text(|_| ())).unwrap();
        assert_eq!(promise.members, members());
        assert_eq!(promise.predicate, predicate());
    }

    type Change = fn(&mut serde_json::Value);

    #[test]
    fn other_statements_are_denied() {
        let changes: [(&str, Change); 17] = [
            ("kind", |value| value["predicateType"] = "https://example.org/p/v1".into()),
            ("version", |value| value["predicate"]["format_version"] = 3.into()),
            ("no version", |value| {
                value["predicate"].as_object_mut().unwrap().remove("format_version");
            }),
            ("predicate", |value| value["predicate"]["extra"] = 1.into()),
            ("count", |value| value["predicate"]["members"] = 5.into()),
            ("lock", |value| value["predicate"]["lock"] = Digest::of(b"y").to_string().into()),
            ("root", |value| value["predicate"]["trusted_root"] = Digest::of(b"y").to_string().into()),
            ("id", |value| value["predicate"]["distro"]["id"] = "../x".into()),
            ("itself", |value| value["subject"][0]["name"] = "bundle.json".into()),
            ("its signature", |value| value["subject"][0]["name"] = "bundle.sigstore.json".into()),
            ("stranger", |value| value["subject"][0]["name"] = "README".into()),
            ("escape", |value| value["subject"][0]["name"] = "trust/../x.toml".into()),
            ("twice", |value| value["subject"][0] = value["subject"][1].clone()),
            ("order", |value| value["subject"].as_array_mut().unwrap().swap(0, 1)),
            ("weak", |value| value["subject"][0]["digest"] = serde_json::json!({"blake3": "00"})),
            ("more", |value| value["subject"][0]["digest"]["md5"] = "00".into()),
            ("needed", |value| {
                value["subject"].as_array_mut().unwrap().remove(0);
            }),
        ];
        for (what, change) in changes {
            let error = Promise::read(&text(change)).expect_err(what);
            assert_eq!(error.kind(), crate::ErrorKind::Unreadable, "{what}");
        }
        let pretty: serde_json::Value = serde_json::from_slice(&text(|_| ())).unwrap();
        assert!(Promise::read(&serde_json::to_vec_pretty(&pretty).unwrap()).is_err());
        let twice = String::from_utf8(text(|_| ())).unwrap().replacen('{', "{\"_type\":\"x\",", 1);
        assert!(Promise::read(twice.as_bytes()).is_err());
    }
}
