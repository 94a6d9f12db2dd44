//! A home in a temporary folder, and generations to put in it.

use std::time::Duration;

use astrid_authority::{Digest, PackId};
use astrid_store::generation::{
    Action, CapsuleItem, Configuration, Inventory, MetaInput, PackItem, Part, Setting, StagedGeneration,
};
use astrid_store::{
    Disk, Generation, GenerationNumber, Generations, Home, Store, Tree, TreeFile, WriterLock,
};

pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) disk: Disk,
}

pub(crate) fn file(path: &str, bytes: &[u8]) -> TreeFile {
    TreeFile { path: path.parse().unwrap(), bytes: bytes.to_vec(), executable: false }
}

pub(crate) fn pack_id(text: &str) -> PackId {
    text.parse().unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        Self { folder, home, disk: Disk::default() }
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.home.clone(), self.disk.clone())
    }

    pub(crate) fn generations(&self) -> Generations {
        Generations::new(self.home.clone(), self.disk.clone())
    }

    pub(crate) fn writer(&self) -> WriterLock {
        WriterLock::acquire(&self.home, &self.disk, "test", Duration::from_mins(1)).unwrap()
    }

    /// A published generation of one capsule and these packs.
    pub(crate) fn generation(&self, writer: &WriterLock, packs: &[&str]) -> Generation {
        publish(&self.home, &self.disk, writer, packs).unwrap()
    }

    pub(crate) fn number(&self) -> Option<GenerationNumber> {
        self.generations().current_number().unwrap()
    }
}

pub(crate) fn pack_tree(id: &str) -> Vec<TreeFile> {
    vec![file("pack.yaml", format!("id: {id}\n").as_bytes()), file("elements/a.txt", b"shared")]
}

pub(crate) fn stage(
    home: &Home,
    disk: &Disk,
    writer: &WriterLock,
    packs: &[&str],
) -> astrid_store::error::Result<StagedGeneration> {
    let store = Store::new(home.clone(), disk.clone());
    let key = home.ensure_key(disk, &mut |buffer| {
        buffer.fill(3);
        Ok(())
    })?;
    let mut inventory = Inventory::default();
    let component = store.put(b"component of fs")?;
    let manifest = store.put(b"[package]\nname = \"fs\"\n")?;
    let content = store.put_files(&[
        file("Capsule.toml", b"[package]\nname = \"fs\"\n"),
        file("fs.wasm", b"component of fs"),
        file("wit/fs.wit", b"package a:b;"),
    ])?;
    inventory.capsules.insert(
        "fs".parse().unwrap(),
        CapsuleItem { content: content.digest(), manifest, component: Some(component), pack: None },
    );
    let mut staged = Generations::new(home.clone(), disk.clone()).stage(writer)?;
    for id in packs {
        let tree: Tree = store.put_files(&pack_tree(id))?;
        store.serve_tree(&tree)?;
        staged.add_pack(&pack_id(id), &tree.digest(), b"{}")?;
        inventory.packs.insert(pack_id(id), PackItem { content: tree.digest() });
    }
    staged.write(Part::Declaration, b"schema-version = 1\n")?;
    staged.write(Part::Lock, format!("archive = \"{}\"\n", Digest::of(b"an archive")).as_bytes())?;
    staged.write(Part::Plan, b"{}")?;
    staged.write_inventory(&inventory)?;
    let mut configuration = Configuration::default();
    configuration
        .capsules
        .entry("fs".parse().unwrap())
        .or_default()
        .insert("root".parse().unwrap(), Setting::Value("/srv".into()));
    staged.write_configuration(&configuration, &key)?;
    Ok(staged)
}

pub(crate) fn meta(parent: Option<GenerationNumber>) -> MetaInput {
    MetaInput {
        parent,
        created: "2026-11-20T12:00:00Z".parse().unwrap(),
        by: "ada".to_owned(),
        action: Action::Apply,
        distro: "starter".parse().unwrap(),
        origin: "https://example.org/fleet".to_owned(),
        commit: None,
        tool: "0.1.0".to_owned(),
    }
}

pub(crate) fn publish(
    home: &Home,
    disk: &Disk,
    writer: &WriterLock,
    packs: &[&str],
) -> astrid_store::error::Result<Generation> {
    let parent = Generations::new(home.clone(), disk.clone()).current_number()?;
    stage(home, disk, writer, packs)?.publish(meta(parent))
}
