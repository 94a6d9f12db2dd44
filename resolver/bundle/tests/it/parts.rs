//! Shuttles taken apart and put together again, wrongly on purpose.

use std::io::{Read, Write};

use astrid_authority::Digest;
use astrid_provenance::Statement;
use astrid_provenance::statement::Subject;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// Members in the order of a file.
#[derive(Debug, Clone)]
pub(crate) struct Parts(pub(crate) Vec<(String, Vec<u8>)>);

pub(crate) fn header(path: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    let name = &mut header.as_gnu_mut().unwrap().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

pub(crate) fn block(header: &Header, bytes: &[u8]) -> Vec<u8> {
    let mut out = header.as_bytes().to_vec();
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(crate) fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut out: GzEncoder<Vec<u8>> =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    out.write_all(tar).unwrap();
    out.finish().unwrap()
}

impl Parts {
    pub(crate) fn of(shuttle: &[u8]) -> Self {
        let mut archive = tar::Archive::new(GzDecoder::new(shuttle));
        let members = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path, bytes)
        });
        Self(members.collect())
    }

    /// The tar of all members.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut out = self.members();
        out.extend([0; 1024]);
        out
    }

    /// The tar without its end.
    pub(crate) fn members(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(path, bytes)| block(&header(path, bytes.len() as u64), bytes)).collect()
    }

    pub(crate) fn pack(&self) -> Vec<u8> {
        gzip(&self.tar())
    }

    pub(crate) fn get(&self, path: &str) -> &[u8] {
        &self.0.iter().find(|(own, _)| own == path).unwrap_or_else(|| panic!("no {path}")).1
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).to_vec()).unwrap()
    }

    pub(crate) fn set(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.iter_mut().find(|(own, _)| own == path).unwrap_or_else(|| panic!("no {path}")).1 =
            bytes.into();
    }

    pub(crate) fn remove(&mut self, path: &str) {
        let before = self.0.len();
        self.0.retain(|(own, _)| own != path);
        assert_eq!(self.0.len() + 1, before, "no {path}");
    }

    /// The first member in `folder`.
    pub(crate) fn first(&self, folder: &str) -> String {
        self.0.iter().find(|(path, _)| path.starts_with(folder)).unwrap().0.clone()
    }

    pub(crate) fn position(&self, path: &str) -> usize {
        self.0.iter().position(|(own, _)| own == path).unwrap()
    }

    /// Adds a blob where it belongs.
    pub(crate) fn add_digested(&mut self, folder: &str, bytes: &[u8], end: &str) {
        let path = format!("{folder}/{}{end}", Digest::of(bytes).hex());
        let at = self.0.iter().position(|(own, _)| {
            let rank =
                |path: &str| ["signatures", "archives", "blobs"].iter().position(|one| path.starts_with(one));
            rank(own) > rank(&path) || rank(own) == rank(&path) && *own > path
        });
        self.0.insert(at.unwrap_or(self.0.len()), (path, bytes.to_vec()));
    }

    /// Makes the statement true again, as whoever forges the rest would.
    pub(crate) fn restate(&mut self) {
        self.restate_with(|_| ());
    }

    pub(crate) fn restate_with(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut statement = Statement::parse(self.get("bundle.json")).unwrap();
        let own = ["bundle.json", "bundle.sigstore.json"];
        let members: Vec<&(String, Vec<u8>)> =
            self.0.iter().filter(|(path, _)| !own.contains(&path.as_str())).collect();
        statement.subject = members.iter().map(|(path, bytes)| Subject::of(path, bytes)).collect();
        statement.subject.sort_by(|one, two| one.name.cmp(&two.name));
        let predicate = &mut statement.predicate;
        predicate["members"] = members.len().into();
        predicate["total_bytes"] = members.iter().map(|(_, bytes)| bytes.len()).sum::<usize>().into();
        let digest = |path: &str| {
            let found = members.iter().find(|(own, _)| own == path);
            found.map(|(_, bytes)| Digest::of(bytes).to_string())
        };
        predicate["lock"] = digest("Distro.lock").into();
        predicate["trusted_root"] = digest("trusted_root.json").into();
        change(predicate);
        let text = statement.to_canonical_json().unwrap();
        self.set("bundle.json", text);
    }
}
