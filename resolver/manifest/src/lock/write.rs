//! The one canonical text of a lock.

use super::{Lock, LockedCapsule, LockedPack};
use crate::canonical::{Writer, array, signer};

pub(super) fn to_toml(lock: &Lock) -> String {
    let mut out = Writer::default();
    out.raw("schema-version", lock.schema_version);
    let mut words = lock.must_understand.clone();
    words.sort();
    words.dedup();
    if !words.is_empty() {
        out.raw("must-understand", array(&words));
    }
    out.text("manifest-hash", lock.manifest_hash);
    out.header("[distro]");
    out.text("id", &lock.distro.id);
    out.text("version", &lock.distro.version);
    out.optional("source", lock.distro.source.as_ref());
    out.optional("commit", lock.distro.commit.as_ref());
    if !lock.selection.is_empty() {
        out.header("[selection]");
        for (group, chosen) in &lock.selection {
            let mut chosen = chosen.clone();
            chosen.sort();
            out.raw(group, array(&chosen));
        }
    }
    let mut capsules: Vec<&LockedCapsule> = lock.capsules.iter().collect();
    capsules.sort_by(|one, two| one.name.cmp(&two.name));
    for entry in capsules {
        capsule(&mut out, entry);
    }
    let mut packs: Vec<&LockedPack> = lock.packs.iter().collect();
    packs.sort_by(|one, two| one.id.cmp(&two.id));
    for entry in packs {
        pack(&mut out, entry);
    }
    out.finish()
}

fn capsule(out: &mut Writer, entry: &LockedCapsule) {
    out.header("[[capsule]]");
    out.text("name", &entry.name);
    out.optional("requirement", entry.requirement.as_ref());
    out.text("version", &entry.version);
    out.text("source", &entry.source);
    out.optional("resolved-ref", entry.resolved_ref.as_ref());
    out.optional("pack", entry.pack.as_ref());
    out.optional("archive", entry.archive.as_ref());
    out.text("content", entry.content);
    out.optional("component", entry.component.as_ref());
    out.text("manifest", entry.manifest);
    out.optional("wit", entry.wit.as_ref());
    out.text("authority", entry.authority);
    out.optional("tools", entry.tools.as_ref());
    out.raw("signer", signer(&entry.signer));
    out.optional("provenance", entry.provenance.as_ref());
    out.optional("bundle", entry.bundle.as_ref());
}

fn pack(out: &mut Writer, entry: &LockedPack) {
    out.header("[[pack]]");
    out.text("id", &entry.id);
    out.optional("requirement", entry.requirement.as_ref());
    out.text("version", &entry.version);
    out.text("source", &entry.source);
    out.optional("commit", entry.commit.as_ref());
    out.optional("archive", entry.archive.as_ref());
    out.text("content", entry.content);
    out.text("permissions", entry.permissions);
    out.text("authority", entry.authority);
    out.raw("signer", signer(&entry.signer));
    out.optional("provenance", entry.provenance.as_ref());
    out.optional("bundle", entry.bundle.as_ref());
}
