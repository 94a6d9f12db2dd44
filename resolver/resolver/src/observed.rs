//! What is really there: the current generation, the bytes that it needs, and what runs.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{CapsuleName, Digest, PackId, Permission};
use astrid_manifest::distro::Distro;
use astrid_manifest::lock::Lock;
use astrid_manifest::signer::Signer;
use astrid_manifest::subject::Subject;
use astrid_store::generation::{Configuration, Generation, GenerationNumber, Generations, Part, Setting};
use astrid_store::home::HomeKey;
use astrid_store::{Home, Store, Tree};

use crate::context::Context;
use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::fetch::{for_each, threads_for};
use crate::plan::{Authorities, AuthorityOf, BaseFacts, Enforced, Fleet, SettingFact, SettingFacts};
use crate::secrets::{Binding, SecretStore, configuration_digest};
use crate::verified::Listings;

/// The name of the capsules' origin when the home's own distro is applied.
const HOME_ORIGIN: &str = "home";

/// A generation with everything that planning needs to know of it.
#[derive(Debug)]
pub struct Current {
    /// The generation on disk.
    pub generation: Generation,
    /// Its lock.
    pub lock: Lock,
    /// Its configuration.
    pub configuration: Configuration,
    /// What the planner compares with.
    pub facts: BaseFacts,
}

/// A lock and a declaration that were parsed already: a generation whose files have the same bytes
/// needs no second parse.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The text of the lock and what it says.
    pub lock: (&'a str, &'a Lock),
    /// The text of the declaration and what it says.
    pub declaration: (&'a str, &'a Distro),
}

impl Current {
    /// The current generation of the home; nothing when it has none.
    ///
    /// # Errors
    /// 84 when it is damaged.
    pub fn load(context: &Context, key: Option<&HomeKey>, known: Option<Known<'_>>) -> Result<Option<Self>> {
        let generations = Generations::new(context.home.clone(), context.store.disk().clone());
        match generations.current()? {
            Some(generation) => Self::of(generation, key, known).map(Some),
            None => Ok(None),
        }
    }

    /// The same, for who has read a declaration that may be the one that was applied.
    ///
    /// # Errors
    /// 84 when it is damaged.
    pub fn beside(context: &Context, declaration: &Declaration) -> Result<Option<Self>> {
        let secrets = SecretStore::open_existing(&context.home, context.store.disk())?;
        let key = secrets.as_ref().map(SecretStore::key);
        let Some(lock) = declaration.lock() else { return Self::load(context, key, None) };
        let text = lock.to_toml();
        let declaration = (declaration.text(), declaration.distro());
        Self::load(context, key, Some(Known { lock: (&text, lock), declaration }))
    }

    /// Reads a generation.
    ///
    /// # Errors
    /// 84 when it is damaged.
    pub fn of(generation: Generation, key: Option<&HomeKey>, known: Option<Known<'_>>) -> Result<Self> {
        let lock_text = generation.lock()?;
        let lock = match known {
            Some(Known { lock: (text, lock), .. }) if text == lock_text => lock.clone(),
            _ => {
                Lock::parse("Distro.lock", &lock_text)
                    .map_err(|error| damaged(&generation, "its lock", &error))?
                    .value
            }
        };
        let declaration_text = generation.declaration()?;
        let parsed;
        let declaration = match known {
            Some(Known { declaration: (text, declaration), .. }) if text == declaration_text => declaration,
            _ => {
                let parse =
                    if generation.meta().origin == HOME_ORIGIN { Distro::parse_home } else { Distro::parse };
                parsed = parse("Distro.toml", &declaration_text)
                    .map_err(|error| damaged(&generation, "its declaration", &error))?
                    .value;
                &parsed
            }
        };
        let configuration = generation.configuration()?;
        let policy = recorded_policy(&generation)?;
        let facts = BaseFacts {
            generation: generation.number().get(),
            digest: generation.digest()?,
            lock: Digest::of(lock_text.as_bytes()),
            policy,
            origin: generation.meta().origin.clone(),
            fleet: Fleet::of_lock(&lock, &generation.meta().origin),
            settings: setting_facts(&configuration, key),
            keep: kept(declaration, &lock),
            probes: probes(declaration, &lock),
        };
        Ok(Self { generation, lock, configuration, facts })
    }

    /// Who a capsule is, as far as its secrets are bound to it; nothing when it is not in the fleet.
    #[must_use]
    pub fn binding(&self, capsule: &CapsuleName) -> Option<Binding> {
        crate::proposal::binding(&self.facts.fleet, capsule)
    }

    /// What its artifacts may do, read when it is first asked for.
    #[must_use]
    pub fn authority(&self) -> RecordedAuthority<'_> {
        RecordedAuthority { current: self, read: OnceCell::new() }
    }
}

fn damaged(generation: &Generation, what: &str, why: &dyn std::fmt::Display) -> Error {
    Error::corrupt(format!("generation {} is damaged: {what} can't be read: {why}", generation.number()))
        .hint("roll back to another generation with `astrid rollback`")
}

/// The policy's digest is all that is read of a recorded plan.
fn recorded_policy(generation: &Generation) -> Result<Digest> {
    #[derive(serde::Deserialize)]
    struct Recorded {
        policy: Digest,
    }
    let bytes = generation.read(Part::Plan)?.unwrap_or_default();
    serde_json::from_slice::<Recorded>(&bytes)
        .map(|recorded| recorded.policy)
        .map_err(|error| damaged(generation, "its plan", &error))
}

/// Who signed the distro that a generation was made of, as it was verified when that was applied.
pub(crate) fn recorded_signer(generation: &Generation) -> Result<Signer> {
    #[derive(serde::Deserialize)]
    struct Recorded {
        distro: RecordedDistro,
    }
    #[derive(serde::Deserialize)]
    struct RecordedDistro {
        signer: Option<Signer>,
    }
    let bytes = generation.read(Part::Plan)?.unwrap_or_default();
    serde_json::from_slice::<Recorded>(&bytes)
        .map(|recorded| recorded.distro.signer.unwrap_or_default())
        .map_err(|error| damaged(generation, "its plan", &error))
}

/// Which locked capsules a declaration keeps from being pruned.
pub(crate) fn kept(declaration: &Distro, lock: &Lock) -> BTreeSet<CapsuleName> {
    let packs: BTreeSet<&PackId> =
        declaration.packs.iter().filter(|own| own.keep).map(|own| &own.id).collect();
    let names: BTreeSet<&CapsuleName> =
        declaration.capsules.iter().filter(|own| own.keep).map(|own| &own.name).collect();
    if packs.is_empty() && names.is_empty() {
        return BTreeSet::new();
    }
    let keeps = |capsule: &&astrid_manifest::lock::LockedCapsule| match &capsule.pack {
        Some(pack) => packs.contains(pack),
        None => names.contains(&capsule.name),
    };
    lock.capsules.iter().filter(keeps).map(|capsule| capsule.name.clone()).collect()
}

/// The probes of the locked capsules.
pub(crate) fn probes(declaration: &Distro, lock: &Lock) -> BTreeMap<CapsuleName, String> {
    let with_probe =
        declaration.capsules.iter().filter_map(|own| Some((own.name.clone(), own.probe.as_ref()?)));
    with_probe
        .filter(|(name, _)| lock.capsule(name.as_str()).is_some())
        .map(|(name, probe)| (name, probe.tool.clone()))
        .collect()
}

fn setting_facts(configuration: &Configuration, key: Option<&HomeKey>) -> SettingFacts {
    let mut facts = SettingFacts::new();
    for (capsule, settings) in &configuration.capsules {
        for (name, setting) in settings {
            let fact = match setting {
                Setting::Value(value) => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    text_fact(key, capsule, name, &text)
                }
                Setting::Secret(_) => {
                    let shape = configuration.shapes.get(capsule).and_then(|shapes| shapes.get(name));
                    SettingFact::StoredSecret(shape_digest(shape.map(String::as_str)))
                }
            };
            facts.insert((capsule.clone(), name.clone()), fact);
        }
    }
    facts
}

/// The fact about a text setting.
pub(crate) fn text_fact(
    key: Option<&HomeKey>,
    capsule: &CapsuleName,
    name: &astrid_authority::EnvKey,
    text: &str,
) -> SettingFact {
    SettingFact::Text(key.map(|key| configuration_digest(key, capsule, name, text.as_bytes())))
}

/// The digest of the text around a secret.
pub(crate) fn shape_digest(shape: Option<&str>) -> Digest {
    Digest::of_parts("astrid:secret-shape:v1", shape.map(str::as_bytes))
}

/// What the artifacts of a generation may do, as the generation recorded it.
#[derive(Debug)]
pub struct RecordedAuthority<'a> {
    current: &'a Current,
    read: OnceCell<Authorities>,
}

impl RecordedAuthority<'_> {
    fn all(&self) -> Result<&Authorities> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let generation = &self.current.generation;
        let bytes = generation.read(Part::Authority)?.unwrap_or_default();
        let read: Authorities =
            serde_json::from_slice(&bytes).map_err(|error| damaged(generation, "its authority", &error))?;
        for (name, enforced) in &read.enforced {
            let locked = self.current.lock.capsule(name.as_str());
            if locked.is_none_or(|locked| locked.authority != enforced.granted.digest()) {
                return Err(damaged(
                    generation,
                    "its authority",
                    &format!("that of `{name}` is not what it locked"),
                ));
            }
        }
        Ok(self.read.get_or_init(|| read))
    }

    /// Everything that is recorded.
    ///
    /// # Errors
    /// 84 when the record is missing, damaged, or not what the lock says.
    pub fn read(&self) -> Result<Authorities> {
        self.all().cloned()
    }
}

impl AuthorityOf for RecordedAuthority<'_> {
    fn enforced(&self, capsule: &CapsuleName) -> Result<Enforced> {
        self.all()?.enforced(capsule)
    }

    fn disclosed(&self, pack: &PackId) -> Result<Vec<Permission>> {
        self.all()?.disclosed(pack)
    }
}

/// What a running kernel says about itself. Asked by whoever can reach it, and given to the resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedKernel {
    /// The generation that it runs.
    pub generation: Option<GenerationNumber>,
    /// The capsules that it has loaded, by the digest of their content.
    pub loaded: BTreeMap<CapsuleName, Digest>,
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether everything is there, with the right length.
    Presence,
    /// Whether every byte is what was pinned.
    Bytes,
}

/// What is really on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Subjects that are not as they were pinned, with what is wrong.
    pub damaged: BTreeMap<Subject, Damage>,
    /// Packs whose record of acceptance is not the one that the receipt of the generation is over.
    pub unproved: BTreeSet<Subject>,
    /// What is in the packs root and was not put there by Astrid.
    pub foreign: Vec<String>,
    /// A switch was cut short, and the next command that writes repairs it.
    pub switch_cut_short: bool,
}

/// What is wrong with a subject on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Some of it is not there.
    Missing(String),
    /// It is not what was pinned.
    Changed(String),
}

impl Damage {
    /// What is wrong, in words.
    #[must_use]
    pub fn as_words(&self) -> &str {
        match self {
            Self::Missing(what) | Self::Changed(what) => what,
        }
    }
}

/// Looks at what the current generation needs.
///
/// # Errors
/// When a folder can't be read.
pub fn observe(context: &Context, current: &Current, depth: Depth) -> Result<Observed> {
    observe_knowing(context, current, depth, &Listings::default())
}

/// The same, for who has read listings already: those are not read again to see what is present.
pub(crate) fn observe_knowing(
    context: &Context,
    current: &Current,
    depth: Depth,
    known: &Listings,
) -> Result<Observed> {
    let mut observed = Observed {
        switch_cut_short: astrid_store::journal::is_pending(&context.home),
        ..Observed::default()
    };
    // What is there is there in the home, wherever this run keeps what it fetches.
    let store = &Store::new(context.home.clone(), context.store.disk().clone());
    let artifacts = &current.facts.fleet.artifacts;
    let contents: Vec<_> = artifacts.iter().map(|(subject, artifact)| (subject, artifact.content)).collect();
    let damages = for_each(threads_for(store, contents.len()), &contents, |(_, content)| {
        Ok(match known.get(content) {
            Some(tree) if depth == Depth::Presence => check_tree(store, tree, depth),
            _ => check_content(store, content, depth),
        })
    })?;
    for ((subject, _), damage) in contents.into_iter().zip(damages) {
        if let Some(damage) = damage {
            observed.damaged.insert(subject.clone(), damage);
        }
    }
    let records = if current.lock.packs.is_empty() {
        None
    } else {
        crate::receipt::signed(context, &current.generation).ok()
    };
    for pack in &current.lock.packs {
        let subject = Subject::Pack(pack.id.clone());
        if !records.as_ref().is_some_and(|signed| signed.is_over_record(&current.generation, &pack.id)) {
            observed.unproved.insert(subject.clone());
            let changed = Damage::Changed("the record of what was accepted was changed".to_owned());
            observed.damaged.entry(subject.clone()).or_insert(changed);
        }
        if observed.damaged.contains_key(&subject) {
            continue;
        }
        if let Some(damage) = check_pack(&context.home, store, &pack.id, &pack.content, depth) {
            observed.damaged.insert(subject, damage);
        }
    }
    observed.foreign = foreign(&context.home, &current.lock)?;
    Ok(observed)
}

/// What is wrong with the content of that digest in the store; nothing when it is well.
pub(crate) fn check_content(store: &Store, content: &Digest, depth: Depth) -> Option<Damage> {
    match store.tree(content) {
        Ok(tree) => check_tree(store, &tree, depth),
        Err(error) => Some(damage_of(&error)),
    }
}

/// What a lock pins about one of its entries.
struct Pinned {
    subject: Subject,
    content: Digest,
    /// What its content must hold.
    parts: Vec<Digest>,
    archive: Option<Digest>,
    bundle: Option<Digest>,
}

fn pinned(lock: &Lock) -> Vec<Pinned> {
    let capsules = lock.capsules.iter().map(|own| Pinned {
        subject: Subject::Capsule(own.name.clone()),
        content: own.content,
        parts: [Some(own.manifest), own.component, own.tools].into_iter().flatten().collect(),
        archive: own.archive,
        bundle: own.bundle,
    });
    let packs = lock.packs.iter().map(|own| Pinned {
        subject: Subject::Pack(own.id.clone()),
        content: own.content,
        parts: Vec::new(),
        archive: own.archive,
        bundle: own.bundle,
    });
    capsules.chain(packs).collect()
}

/// What is wrong in the store with what a lock pins, every byte looked at.
///
/// # Errors
/// When a worker broke off.
pub fn check_locked(store: &Store, lock: &Lock) -> Result<BTreeMap<Subject, Damage>> {
    let all = pinned(lock);
    let damages = for_each(threads_for(store, all.len()), &all, |own| {
        if let Some(damage) = check_content(store, &own.content, Depth::Bytes) {
            return Ok(Some(damage));
        }
        let tree = store.tree(&own.content)?;
        if own.parts.iter().any(|part| tree.entries().iter().all(|entry| entry.blob != *part)) {
            return Ok(Some(Damage::Changed("its content holds another manifest or component".to_owned())));
        }
        // An archive is kept only where it was fetched; what is kept must be right.
        let archive = own.archive.filter(|archive| store.contains(archive));
        let kept = [archive, own.bundle].into_iter().flatten();
        Ok(kept.filter_map(|blob| store.get(&blob).err()).map(|error| damage_of(&error)).next())
    })?;
    let found = all.into_iter().zip(damages);
    Ok(found.filter_map(|(own, damage)| Some((own.subject, damage?))).collect())
}

fn check_tree(store: &Store, tree: &Tree, depth: Depth) -> Option<Damage> {
    for entry in tree.entries() {
        let wrong = match depth {
            Depth::Presence => match store.length(&entry.blob) {
                None => Some(Damage::Missing(format!("`{}` is not in the store", entry.path))),
                Some(length) if length != entry.length => {
                    Some(Damage::Changed(format!("`{}` in the store is cut short", entry.path)))
                }
                Some(_) => None,
            },
            Depth::Bytes => store.get(&entry.blob).err().map(|error| damage_of(&error)),
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn damage_of(error: &astrid_store::StoreError) -> Damage {
    match error.kind() {
        astrid_store::ErrorKind::Missing => Damage::Missing("a blob is not in the store".to_owned()),
        _ => Damage::Changed("a blob in the store is not what its name says".to_owned()),
    }
}

/// A pack is served from a folder, through a link of the packs root.
pub(crate) fn check_pack(
    home: &Home,
    store: &Store,
    id: &PackId,
    tree_digest: &Digest,
    depth: Depth,
) -> Option<Damage> {
    let link = std::fs::read_link(home.pack_active(id)).ok();
    match link {
        None => return Some(Damage::Missing("its link in the packs folder is gone".to_owned())),
        Some(target) if target != home.pack_active_target(id) => {
            return Some(Damage::Changed("its link in the packs folder leads elsewhere".to_owned()));
        }
        Some(_) => {}
    }
    let folder = store.served_tree(tree_digest);
    if !folder.is_dir() {
        return Some(Damage::Missing("its folder is gone".to_owned()));
    }
    let tree = store.tree(tree_digest).ok()?;
    for entry in tree.entries() {
        let path = folder.join(entry.path.as_str());
        let well = match depth {
            Depth::Presence => std::fs::symlink_metadata(&path)
                .is_ok_and(|found| found.is_file() && found.len() == entry.length),
            Depth::Bytes => std::fs::read(&path).is_ok_and(|bytes| Digest::of(&bytes) == entry.blob),
        };
        if !well {
            return Some(Damage::Changed(format!("`{}` in its folder was changed", entry.path)));
        }
    }
    None
}

fn foreign(home: &Home, lock: &Lock) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(home.packs()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed("the packs folder can't be read").caused_by(error)),
    };
    let mut foreign = Vec::new();
    for entry in entries {
        let entry =
            entry.map_err(|error| Error::failed("the packs folder can't be read").caused_by(error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if lock.pack(&name).is_none() && !name.starts_with('.') {
            foreign.push(name);
        }
    }
    foreign.sort();
    Ok(foreign)
}
