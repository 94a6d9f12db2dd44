//! The closed list of members, and their one order.

use std::fmt;

use astrid_authority::Digest;

use crate::limits::PATH_BYTES;

/// A member of a shuttle of version 2. The order of the variants is the order in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// `bundle.json`: what is in it.
    Statement,
    /// `bundle.sigstore.json`: who says so.
    Signature,
    /// `Distro.toml`.
    Declaration,
    /// `Distro.lock`.
    Lock,
    /// `Distro.sigstore.json`: who signed declaration and lock.
    DistroSignature,
    /// `endorsements.jsonl`: keys that name their successors.
    Endorsements,
    /// `sbom.cdx.json`: its parts, for scanners.
    Sbom,
    /// `trusted_root.json`: a trust root for the taking.
    TrustRoot,
    /// `trust/<name>.toml`: acknowledgements, by file name.
    Acknowledgements(String),
    /// `signatures/<blake3>.sigstore.json`: the Sigstore bundle of an artifact, by its own digest.
    ArtifactSignature(Digest),
    /// `archives/<blake3>`: the archive that an artifact was signed as.
    Archive(Digest),
    /// `blobs/<blake3>`: a file of a tree, or a tree's listing.
    Blob(Digest),
}

const SIGSTORE: &str = ".sigstore.json";

impl Member {
    /// The member of that path; nothing for a path that no member has.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > PATH_BYTES {
            return None;
        }
        Some(match path {
            "bundle.json" => Self::Statement,
            "bundle.sigstore.json" => Self::Signature,
            "Distro.toml" => Self::Declaration,
            "Distro.lock" => Self::Lock,
            "Distro.sigstore.json" => Self::DistroSignature,
            "endorsements.jsonl" => Self::Endorsements,
            "sbom.cdx.json" => Self::Sbom,
            "trusted_root.json" => Self::TrustRoot,
            _ => {
                let (folder, name) = path.split_once('/')?;
                match folder {
                    "trust" => Self::acknowledgements(name)?,
                    "signatures" => Self::ArtifactSignature(digest(name.strip_suffix(SIGSTORE)?)?),
                    "archives" => Self::Archive(digest(name)?),
                    "blobs" => Self::Blob(digest(name)?),
                    _ => return None,
                }
            }
        })
    }

    /// The acknowledgements in the file `name`; nothing for a name that none has.
    #[must_use]
    pub fn acknowledgements(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".toml")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'%');
        let is_good = !stem.is_empty()
            && !stem.starts_with('.')
            && stem.bytes().all(plain)
            && "trust/".len() + name.len() <= PATH_BYTES;
        is_good.then(|| Self::Acknowledgements(name.to_owned()))
    }

    /// Where it is in the file.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Statement => "bundle.json".to_owned(),
            Self::Signature => "bundle.sigstore.json".to_owned(),
            Self::Declaration => "Distro.toml".to_owned(),
            Self::Lock => "Distro.lock".to_owned(),
            Self::DistroSignature => "Distro.sigstore.json".to_owned(),
            Self::Endorsements => "endorsements.jsonl".to_owned(),
            Self::Sbom => "sbom.cdx.json".to_owned(),
            Self::TrustRoot => "trusted_root.json".to_owned(),
            Self::Acknowledgements(name) => format!("trust/{name}"),
            Self::ArtifactSignature(digest) => format!("signatures/{}{SIGSTORE}", digest.hex()),
            Self::Archive(digest) => format!("archives/{}", digest.hex()),
            Self::Blob(digest) => format!("blobs/{}", digest.hex()),
        }
    }

    /// The digest that its path promises of its bytes.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::ArtifactSignature(digest) | Self::Archive(digest) | Self::Blob(digest) => Some(*digest),
            _ => None,
        }
    }

    /// Whether the statement speaks of it: of all but itself and its own signature.
    #[must_use]
    pub fn is_subject(&self) -> bool {
        !matches!(self, Self::Statement | Self::Signature)
    }
}

/// Its path.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

fn digest(hex: &str) -> Option<Digest> {
    Digest::from_hex(hex).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_members_are_the_same() {
        let hex = Digest::of(b"a").hex();
        let paths = [
            "bundle.json".to_owned(),
            "bundle.sigstore.json".to_owned(),
            "Distro.toml".to_owned(),
            "Distro.lock".to_owned(),
            "Distro.sigstore.json".to_owned(),
            "endorsements.jsonl".to_owned(),
            "sbom.cdx.json".to_owned(),
            "trusted_root.json".to_owned(),
            "trust/pack-media_tools.b.toml".to_owned(),
            "trust/pack-media_tools.toml".to_owned(),
            format!("signatures/{hex}.sigstore.json"),
            format!("archives/{hex}"),
            format!("blobs/{hex}"),
        ];
        let members: Vec<Member> = paths.iter().map(|path| Member::parse(path).unwrap()).collect();
        assert!(members.is_sorted());
        for (path, member) in paths.iter().zip(&members) {
            assert_eq!(&member.path(), path);
        }
    }

    #[test]
    fn other_paths_are_denied() {
        let hex = Digest::of(b"a").hex();
        for path in [
            "",
            "/bundle.json",
            "./bundle.json",
            "BUNDLE.json",
            "trust/",
            "trust/.toml",
            "trust/..toml",
            "trust/a/b.toml",
            "trust/../Distro.toml",
            "trust/a b.toml",
            "trust/a",
            "blobs/",
            "blobs/00",
            "README.md",
            &format!("blobs/{}", hex.to_uppercase()),
            &format!("blobs/blake3:{hex}"),
            &format!("blobs/{hex}/x"),
            &format!("signatures/{hex}"),
            &format!("archives/{hex}.capsule"),
            &format!("trust/{}.toml", "a".repeat(100)),
        ] {
            assert_eq!(Member::parse(path), None, "{path}");
        }
    }
}
