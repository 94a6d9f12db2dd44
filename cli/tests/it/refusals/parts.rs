//! Bundles taken apart and put together again, wrongly on purpose.

use std::io::{Read as _, Write as _};

use astrid_authority::Digest;
use astrid_bundle::sbom;
use astrid_manifest::Lock;
use astrid_manifest::distro::{Distro, manifest_hash};
use astrid_provenance::statement::Subject;
use astrid_provenance::{Statement, envelope};
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde_json::Value;

use super::scene::key;

/// The members that the statement does not speak of.
const OWN: [&str; 2] = ["bundle.json", "bundle.sigstore.json"];

/// Members in the order of a file.
#[derive(Debug, Clone)]
pub(crate) struct Parts(pub(crate) Vec<(String, Vec<u8>)>);

/// The header of a plain file.
pub(crate) fn header(path: &str, length: usize) -> [u8; 512] {
    let mut head = [0; 512];
    put(&mut head, 0, path);
    put(&mut head, 100, "0000644\0");
    put(&mut head, 108, "0000000\0");
    put(&mut head, 116, "0000000\0");
    put(&mut head, 124, &format!("{length:011o}\0"));
    put(&mut head, 136, "00000000000\0");
    put(&mut head, 257, "ustar  \0");
    head[156] = b'0';
    summed(head)
}

/// Writes `text` into a header.
pub(crate) fn put(head: &mut [u8; 512], at: usize, text: &str) {
    head[at..at + text.len()].copy_from_slice(text.as_bytes());
}

/// The header with its sum.
pub(crate) fn summed(mut head: [u8; 512]) -> [u8; 512] {
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut head, 148, &format!("{sum:07o}\0"));
    head
}

/// A header and the bytes that belong to it.
pub(crate) fn block(head: &[u8; 512], bytes: &[u8]) -> Vec<u8> {
    let mut out = [&head[..], bytes].concat();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// The file of a tar, which ends here.
pub(crate) fn packed(tar: &[u8]) -> Vec<u8> {
    let mut out = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    out.write_all(tar).unwrap();
    out.write_all(&[0; 1024]).unwrap();
    out.finish().unwrap()
}

impl Parts {
    pub(crate) fn of(shuttle: &[u8]) -> Self {
        let mut tar = Vec::new();
        GzDecoder::new(shuttle).read_to_end(&mut tar).unwrap();
        let mut members = Vec::new();
        let mut rest = tar.as_slice();
        while rest[0] != 0 {
            let text = |from: usize, to: usize| {
                let field = rest[from..to].split(|byte| *byte == 0).next().unwrap();
                std::str::from_utf8(field).unwrap().to_owned()
            };
            let length = usize::from_str_radix(&text(124, 136), 8).unwrap();
            members.push((text(0, 100), rest[512..512 + length].to_vec()));
            rest = &rest[512 + length.next_multiple_of(512)..];
        }
        Self(members)
    }

    /// The tar without its end.
    pub(crate) fn tar(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(path, bytes)| block(&header(path, bytes.len()), bytes)).collect()
    }

    pub(crate) fn pack(&self) -> Vec<u8> {
        packed(&self.tar())
    }

    pub(crate) fn position(&self, path: &str) -> usize {
        self.0.iter().position(|(own, _)| own == path).unwrap_or_else(|| panic!("no {path}"))
    }

    pub(crate) fn get(&self, path: &str) -> &[u8] {
        &self.0[self.position(path)].1
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).to_vec()).unwrap()
    }

    pub(crate) fn set(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        let at = self.position(path);
        self.0[at].1 = bytes.into();
        self
    }

    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        let at = self.position(path);
        self.0.remove(at);
        self
    }

    /// Puts a member before another one.
    pub(crate) fn insert(&mut self, before: &str, path: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        let at = self.position(before);
        self.0.insert(at, (path.to_owned(), bytes.into()));
        self
    }

    /// The paths in a folder.
    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        self.0.iter().map(|(path, _)| path.clone()).filter(|path| path.starts_with(folder)).collect()
    }

    /// Makes the lock agree with the declaration, and the parts list with the lock.
    pub(crate) fn relocked(&mut self) -> &mut Self {
        let distro = Distro::parse("Distro.toml", &self.text("Distro.toml")).unwrap().value;
        let mut lock = Lock::parse("Distro.lock", &self.text("Distro.lock")).unwrap().value;
        lock.manifest_hash = manifest_hash(&distro);
        lock.distro.version = distro.header.version;
        self.set("Distro.lock", lock.to_toml()).relisted()
    }

    /// Makes the parts list agree with the lock, where that is one.
    pub(crate) fn relisted(&mut self) -> &mut Self {
        match Lock::parse("Distro.lock", &self.text("Distro.lock")) {
            Ok(lock) => {
                self.set("sbom.cdx.json", sbom::write(&lock.value, &sbom::Licences::default()).unwrap())
            }
            Err(_) => self,
        }
    }

    /// Makes the statement true again, and signs it, as somebody would who has the key.
    pub(crate) fn sealed(&mut self, number: u8) -> &mut Self {
        self.sealed_with(number, |_| ())
    }

    /// As [`Self::sealed`], with a predicate that says something else.
    pub(crate) fn sealed_with(&mut self, number: u8, change: impl FnOnce(&mut Value)) -> &mut Self {
        let mut statement = Statement::parse(self.get("bundle.json")).unwrap();
        let members: Vec<&(String, Vec<u8>)> =
            self.0.iter().filter(|(path, _)| !OWN.contains(&path.as_str())).collect();
        statement.subject = members.iter().map(|(path, bytes)| Subject::of(path, bytes)).collect();
        statement.subject.sort_by(|one, two| one.name.cmp(&two.name));
        let digest = |path: &str| {
            let found = members.iter().find(|(own, _)| own == path);
            found.map(|(_, bytes)| Digest::of(bytes).to_string())
        };
        let predicate = &mut statement.predicate;
        predicate["members"] = members.len().into();
        predicate["total_bytes"] = members.iter().map(|(_, bytes)| bytes.len()).sum::<usize>().into();
        predicate["lock"] = digest("Distro.lock").into();
        predicate["trusted_root"] = digest("trusted_root.json").into();
        change(predicate);
        let text = statement.to_canonical_json().unwrap();
        let signature = envelope::sign(&statement, &key(number)).unwrap();
        self.set("bundle.json", text);
        self.set("bundle.sigstore.json", signature)
    }
}
