//! From a trusted plan to a generation: journaled, so that a crash at any instruction leaves the old
//! generation or the new one.
//!
//! Nothing that is shown to be in force is touched before the switch. The repository's lock is written
//! before it, and everything of the home's appears in the same flip.

mod record;
mod rules;
mod written;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use astrid_authority::{CapsuleName, Digest, EnvKey};
use astrid_manifest::subject::Subject;
use astrid_manifest::trust::AckFile;
use astrid_store::generation::{
    Action as MadeBy, CapsuleItem, Configuration as StoredConfiguration, Generation, GenerationNumber,
    Generations, Inventory, MetaInput, PackItem, Part, Setting as StoredSetting,
};
use astrid_store::journal::{Recovered, Switch, SwitchError, recover};
use astrid_store::writer::WriterLock;

use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::history;
use crate::observed::{Current, Damage, Depth, check_content};
use crate::plan::{Authorities, AuthorityOf, Fleet, Nonce};
use crate::proposal::binding;
use crate::secrets::{Binding, SecretName, SecretStore};
use crate::trust::{Floors, Pins, Revocations, TrustedPlan};
use crate::variables::{Configuration, Setting};
use crate::verified::VerifiedFleet;

pub(crate) use record::{NO_SANDBOX_WARNING_VERSION, trust_block};
use rules::{check_base, check_pin, check_rules};
use written::{Written, read};

/// Runs what has to happen after trust and before the switch, such as lifecycle hooks in the sandbox.
///
/// Implemented where a kernel can be had; the resolver knows no WebAssembly.
pub trait BeforeSwitch {
    /// Looks at the new generation, which is complete on disk and not current yet.
    ///
    /// # Errors
    /// With anything: then nothing is switched.
    fn before_switch(&mut self, from: Option<&Generation>, to: &Generation) -> Result<()>;

    /// The switch did not happen after all: what was prepared is to be dropped.
    fn abandoned(&mut self) {}

    /// The switch happened: what was prepared is to be committed.
    ///
    /// # Errors
    /// With anything: the generation stays in force, and people are told.
    fn switched(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Nothing has to happen before the switch.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl BeforeSwitch for NoHooks {
    fn before_switch(&mut self, _: Option<&Generation>, _: &Generation) -> Result<()> {
        Ok(())
    }
}

/// How to apply.
#[derive(Debug, Clone, Copy)]
pub struct ApplyOptions<'a> {
    /// What another writer is told is running, such as `astrid apply`.
    pub command: &'a str,
    /// How long to wait for another writer.
    pub lock_timeout: Duration,
    /// Write `Distro.lock` beside the declaration; not with `--locked` and `--frozen`.
    pub write_lock: bool,
    /// Why the generation is made.
    pub made_by: MadeBy,
    /// The nonce of the saved plan that is applied.
    pub saved: Option<Nonce>,
}

/// Everything that an apply works with, besides the plan.
#[derive(Debug)]
pub struct Applying {
    /// What is wanted.
    pub wanted: VerifiedFleet,
    /// The settings, complete.
    pub configuration: Configuration,
    pub(crate) base: Option<Fleet>,
    pub(crate) origin: String,
    pub(crate) floors: Floors,
    pub(crate) pins: Pins,
    pub(crate) revocations: Revocations,
    pub(crate) scope: astrid_store::home::SecretScope,
    pub(crate) tool: String,
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The current generation; nothing when there was nothing to do on an empty home.
    pub generation: Option<GenerationNumber>,
    /// Whether something was changed.
    pub changed: bool,
    /// What was found of an earlier command that was cut short.
    pub recovered: Recovered,
    /// What people should know, though all is applied.
    pub notes: Vec<String>,
}

/// Takes the writer's lock and repairs what an earlier command left half-done.
///
/// # Errors
/// 75 when another writer holds the lock.
pub fn begin(context: &Context, command: &str, timeout: Duration) -> Result<(WriterLock, Recovered)> {
    let disk = context.store.disk();
    let writer = WriterLock::acquire(&context.home, disk, command, timeout)?;
    let recovered = recover(&context.home, disk, &writer)?;
    remove_never_current(context, &writer)?;
    Ok((writer, recovered))
}

/// Removes generations that were written and never came into force: an apply was cut short before its
/// switch. The history is written in the same flip, so what is newer than all of it never was current.
fn remove_never_current(context: &Context, writer: &WriterLock) -> Result<()> {
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let current = generations.current_number()?;
    let newest = history::history(&context.home)?.iter().map(|entry| entry.to).max();
    // Without any history nothing is known, and nothing is removed but what precedes the first switch.
    if newest.is_none() && current.is_some() {
        return Ok(());
    }
    for number in generations.list()? {
        if newest.is_none_or(|newest| number > newest) && Some(number) != current {
            generations.remove(number, writer)?;
        }
    }
    Ok(())
}

/// Applies a trusted plan.
///
/// An empty plan changes nothing.
///
/// # Errors
/// 75 when another writer holds the lock, 84 when bytes are not what the lock says, 1 when the home is
/// at another generation than the plan was made for, and 86 when the apply failed and was rolled back.
pub fn apply(
    context: &Context,
    trusted: &TrustedPlan,
    applying: Applying,
    options: &ApplyOptions<'_>,
    hooks: &mut dyn BeforeSwitch,
) -> Result<Applied> {
    let (writer, recovered) = begin(context, options.command, options.lock_timeout)?;
    let generations = Generations::new(context.home.clone(), context.store.disk().clone());
    let document = trusted.plan().document();
    let current = generations.current()?;
    check_base(document.base, current.as_ref())?;
    if let Some(nonce) = options.saved
        && context.home.nonces().join(nonce.to_string()).exists()
    {
        return Err(Error::failed("this plan was applied before")
            .hint("a saved plan is used once; make a new one: astrid plan -o FILE"));
    }
    if document.is_empty() {
        let generation = current.as_ref().map(Generation::number);
        return Ok(Applied { generation, changed: false, recovered, notes: Vec::new() });
    }
    if document.lock != Digest::of(applying.wanted.lock().to_toml().as_bytes()) {
        return Err(Error::failed("the plan was made for another fleet").hint("run the command again"));
    }
    let trust = check_rules(context, document.policy, &applying)?;
    check_pin(&trust.pins, &applying.wanted, document)?;
    let run = Run {
        context,
        trusted,
        applying: &applying,
        floors: &trust.floors,
        pins: &trust.pins,
        options,
        writer: &writer,
        generations: &generations,
    };
    run.verify()?;
    let result = run.switch(current.as_ref(), hooks);
    match result {
        Ok((generation, notes)) => {
            Ok(Applied { generation: Some(generation), changed: true, recovered, notes })
        }
        Err(error) => Err(error),
    }
}

struct Run<'a> {
    context: &'a Context,
    trusted: &'a TrustedPlan,
    applying: &'a Applying,
    floors: &'a Floors,
    pins: &'a Pins,
    options: &'a ApplyOptions<'a>,
    writer: &'a WriterLock,
    generations: &'a Generations,
}

impl Run<'_> {
    /// Hashes every byte that the new generation refers to.
    fn verify(&self) -> Result<()> {
        let lock = self.applying.wanted.lock();
        let capsules = lock.capsules.iter().map(|own| (own.content, Subject::Capsule(own.name.clone())));
        let packs = lock.packs.iter().map(|own| (own.content, Subject::Pack(own.id.clone())));
        let all: Vec<_> = capsules.chain(packs).collect();
        let threads = self.context.store.disk().parallelism().min(all.len().max(1));
        let chunk = all.len().div_ceil(threads).max(1);
        let found: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = all
                .chunks(chunk)
                .map(|part| {
                    scope.spawn(|| {
                        part.iter()
                            .filter_map(|(content, subject)| {
                                let damage = check_content(&self.context.store, content, Depth::Bytes)?;
                                let (Damage::Missing(what) | Damage::Changed(what)) = damage;
                                Some(format!("{subject}: {what}"))
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            // A worker that panicked has checked nothing: that is a refusal as well.
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|_| vec!["a check did not end".to_owned()]))
                .collect()
        });
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt("bytes in the store are not what the lock says")
            .because(found)
            .hint("run `astrid verify --store`, then `astrid fetch`"))
    }

    fn switch(
        &self,
        current: Option<&Generation>,
        hooks: &mut dyn BeforeSwitch,
    ) -> Result<(GenerationNumber, Vec<String>)> {
        let generation = self.stage(current)?;
        let number = generation.number();
        let mut written = Written::new(self.context.store.disk());
        let prepared = hooks
            .before_switch(current, &generation)
            .and_then(|()| self.write_declaration(&mut written))
            .and_then(|()| self.write_lock_file(&mut written))
            .and_then(|()| self.prepare(current, number));
        let switch = match prepared {
            Ok(switch) => switch,
            Err(error) => {
                hooks.abandoned();
                written.take_back();
                return Err(self.undone(number, error));
            }
        };
        let mut notes = Vec::new();
        match switch.commit() {
            Ok(()) => {}
            Err(SwitchError { cause, recovered: Some(Recovered::Finished(_)) }) => {
                notes.push(format!("{cause}; the new generation is in force all the same"));
            }
            Err(SwitchError { cause, recovered: Some(_) }) => {
                hooks.abandoned();
                written.take_back();
                return Err(self.undone(number, cause.into()));
            }
            Err(SwitchError { cause, recovered: None }) => {
                hooks.abandoned();
                return Err(Error::new(ErrorKind::RolledBack, "the switch failed, and so did its repair")
                    .caused_by(cause)
                    .hint("run any command that writes: it tries the repair again first"));
            }
        }
        if let Err(error) = hooks.switched() {
            notes.push(format!("after the switch: {error}"));
        }
        Ok((number, notes))
    }

    /// Everything is as it was: the generation that did not come into force goes.
    fn undone(&self, number: GenerationNumber, cause: Error) -> Error {
        let _ = self.generations.remove(number, self.writer);
        if matches!(cause.kind(), ErrorKind::Failed) {
            Error::new(ErrorKind::RolledBack, "the apply failed, and nothing was changed").caused_by(cause)
        } else {
            cause
        }
    }

    fn stage(&self, current: Option<&Generation>) -> Result<Generation> {
        let wanted = &self.applying.wanted;
        let store = &self.context.store;
        let secrets = SecretStore::open(&self.context.home, store.disk(), &*self.context.entropy)?;
        let mut staged = self.generations.stage(self.writer)?;
        staged.write(Part::Declaration, wanted.declaration().text().as_bytes())?;
        staged.write(Part::Lock, wanted.lock().to_toml().as_bytes())?;
        staged.write(Part::Plan, &self.trusted.plan().to_canonical_json()?)?;
        staged.write(Part::Acknowledgements, self.acks(current)?.to_toml().as_bytes())?;
        let authority = crate::plan::to_canonical_json(&self.authorities(current)?)
            .map_err(|error| Error::failed("the authority can't be written").caused_by(error))?;
        staged.write(Part::Authority, &authority)?;
        staged.write_inventory(&self.inventory())?;
        let configuration = self.configuration()?;
        staged.write_configuration(&configuration, secrets.key())?;
        for pack in wanted.packs() {
            let locked = pack.locked();
            let tree = store.tree(&locked.content)?;
            // A folder that is there already may have been written to since it was made.
            store.repair_served_tree(&tree, self.writer)?;
            let record = record::install_record(&record::Facts {
                context: self.context,
                pack,
                declaration: wanted.declaration(),
                tree: &tree,
                trusted: self.trusted,
                before: current,
            })?;
            staged.add_pack(&locked.id, &locked.content, &record)?;
        }
        let meta = MetaInput {
            parent: current.map(Generation::number),
            created: self.context.clock.now(),
            by: self.context.caller.clone(),
            action: self.options.made_by,
            distro: wanted.lock().distro.id.clone(),
            origin: self.applying.origin.clone(),
            commit: wanted.declaration().origin().commit().map(str::to_owned),
            tool: self.applying.tool.clone(),
        };
        let policy = self.trusted.plan().document().policy;
        let digests = (policy, configuration.keyed_digest(secrets.key()));
        let signed = (wanted.lock(), &wanted.proof().signer);
        let receipt = crate::receipt::sign(self.context, &staged, &meta, signed, digests)?;
        staged.write(Part::Receipt, receipt.as_bytes())?;
        Ok(staged.publish(meta)?)
    }

    /// What this generation is trusted with: what was acknowledged now, and what the one of before was
    /// applied with and still agrees.
    fn acks(&self, current: Option<&Generation>) -> Result<AckFile> {
        let mut acks = self.trusted.acks().to_vec();
        let given: BTreeSet<Subject> = acks.iter().map(|ack| ack.subject.clone()).collect();
        let fleet = Fleet::of_lock(self.applying.wanted.lock(), &self.applying.origin);
        for ack in current.map(generation_acks).transpose()?.unwrap_or_default() {
            let same =
                fleet.artifacts.get(&ack.subject).is_some_and(|artifact| artifact.content == ack.content);
            if same && !given.contains(&ack.subject) {
                acks.push(ack);
            }
        }
        Ok(AckFile { acks })
    }

    /// What everything may do: as the generation of before recorded it where nothing changed, so that an
    /// apply of one capsule does not read all the others.
    fn authorities(&self, current: Option<&Generation>) -> Result<Authorities> {
        let wanted = &self.applying.wanted;
        let before = current.map(|own| Current::of(own.clone(), None, None)).transpose()?;
        // What can't be read is worked out again.
        let recorded = before.as_ref().and_then(|own| own.authority().read().ok()).unwrap_or_default();
        let mut all = Authorities::default();
        for capsule in &wanted.lock().capsules {
            let same =
                recorded.enforced.get(&capsule.name).filter(|own| own.granted.digest() == capsule.authority);
            // What a manifest claims in vain may change with the same authority, but not with the same bytes.
            let unchanged = before
                .as_ref()
                .and_then(|own| own.lock.capsule(capsule.name.as_str()))
                .is_some_and(|own| own.content == capsule.content);
            let enforced = match same.filter(|_| unchanged) {
                Some(same) => same.clone(),
                None => wanted.enforced(&capsule.name)?,
            };
            all.enforced.insert(capsule.name.clone(), enforced);
        }
        for pack in &wanted.lock().packs {
            all.disclosed.insert(pack.id.clone(), wanted.disclosed(&pack.id)?);
        }
        Ok(all)
    }

    fn inventory(&self) -> Inventory {
        let lock = self.applying.wanted.lock();
        let mut inventory = Inventory::default();
        for capsule in &lock.capsules {
            let item = CapsuleItem {
                content: capsule.content,
                manifest: capsule.manifest,
                component: capsule.component,
                pack: capsule.pack.clone(),
            };
            inventory.capsules.insert(capsule.name.clone(), item);
            // An archive counts only when it is kept: a local folder never came as one.
            inventory.blobs.extend(capsule.archive.filter(|archive| self.context.store.contains(archive)));
            inventory.blobs.extend(capsule.bundle);
        }
        for pack in &lock.packs {
            inventory.packs.insert(pack.id.clone(), PackItem { content: pack.content });
            inventory.blobs.extend(pack.archive.filter(|archive| self.context.store.contains(archive)));
            inventory.blobs.extend(pack.bundle);
        }
        inventory
    }

    fn configuration(&self) -> Result<StoredConfiguration> {
        let mut stored = StoredConfiguration {
            variables: self.applying.configuration.variables.clone(),
            ..StoredConfiguration::default()
        };
        for (capsule, settings) in &self.applying.configuration.settings {
            for (key, setting) in settings {
                let value = match setting {
                    Setting::Text(text) => StoredSetting::Value(serde_json::Value::String(text.clone())),
                    Setting::StoredSecret { shape } | Setting::NewSecret { shape, .. } => {
                        if let Some(shape) = shape {
                            stored
                                .shapes
                                .entry(capsule.clone())
                                .or_default()
                                .insert(key.clone(), shape.clone());
                        }
                        StoredSetting::Secret(self.secret_name(capsule, key).to_string())
                    }
                    Setting::Unknown { .. } => {
                        return Err(Error::invalid(format!(
                            "env `{key}` of capsule `{capsule}` has no value"
                        )));
                    }
                };
                stored.capsules.entry(capsule.clone()).or_default().insert(key.clone(), value);
            }
        }
        Ok(stored)
    }

    fn secret_name(&self, capsule: &CapsuleName, key: &EnvKey) -> SecretName {
        SecretName { scope: self.applying.scope.clone(), capsule: capsule.clone(), key: key.clone() }
    }

    /// Puts everything of the home that changes with the fleet into the switch.
    fn prepare(&self, current: Option<&Generation>, to: GenerationNumber) -> Result<Switch<'_>> {
        let (home, disk) = (&self.context.home, self.context.store.disk());
        let mut switch = Switch::new(home, disk, self.writer, Some(to));
        self.place_secrets(&mut switch)?;
        let declaration = self.applying.wanted.declaration();
        if declaration.is_home() && declaration.unwritten().is_some() {
            switch.place(&home.distro(), declaration.text().as_bytes(), 0o600)?;
        }
        if let (true, Some(path)) = (declaration.is_home(), self.lock_file()) {
            switch.place(&path, self.applying.wanted.lock().to_toml().as_bytes(), 0o600)?;
        }
        let fleet = Fleet::of_lock(self.applying.wanted.lock(), &self.applying.origin);
        let mut floors = self.floors.clone();
        floors.raise(&self.applying.origin, &fleet, self.trusted.accepted());
        switch.place(&home.floors(), floors.write()?.as_bytes(), 0o600)?;
        let pins = self.pins();
        if pins != *self.pins {
            switch.place(&home.pins(), pins.write()?.as_bytes(), 0o600)?;
        }
        if let Some(nonce) = self.options.saved {
            switch.place(&home.nonces().join(nonce.to_string()), b"", 0o600)?;
        }
        let entry = history::Entry {
            at: self.context.clock.now(),
            by: self.context.caller.clone(),
            action: self.options.made_by,
            from: current.map(Generation::number),
            to,
            distro: self.applying.wanted.lock().distro.id.clone(),
        };
        switch.place(&history::file(home), &history::with(home, entry)?, 0o600)?;
        Ok(switch)
    }

    /// The pins, with whoever signed what is applied now.
    fn pins(&self) -> Pins {
        let wanted = &self.applying.wanted;
        let header = &wanted.declaration().distro().header;
        let endorses = header.signing.as_ref().and_then(|signing| signing.endorses.as_deref());
        let mut pins = self.pins.clone();
        let now = self.context.clock.now();
        pins.record(&header.id, &wanted.proof().signer, endorses, &self.applying.origin, now);
        pins
    }

    fn place_secrets(&self, switch: &mut Switch<'_>) -> Result<()> {
        let disk = self.context.store.disk();
        let entropy = &*self.context.entropy;
        let store = SecretStore::open(&self.context.home, disk, entropy)?;
        let fleet = Fleet::of_lock(self.applying.wanted.lock(), &self.applying.origin);
        for capsule in fleet.artifacts.keys() {
            let Subject::Capsule(capsule) = capsule else { continue };
            let Some(to) = binding(&fleet, capsule) else { continue };
            let settings = self.applying.configuration.settings.get(capsule);
            for (key, setting) in settings.into_iter().flatten() {
                if let Setting::NewSecret { value, .. } = setting {
                    let name = self.secret_name(capsule, key);
                    let sealed = store.seal(&name, &to, value, entropy)?;
                    switch.place(&store.path(&name), &sealed, 0o600)?;
                }
            }
            let from = self.applying.base.as_ref().and_then(|base| binding(base, capsule));
            if let Some(from) = from.filter(|from| *from != to) {
                self.place_rebound(switch, &store, capsule, &from, &to)?;
            }
        }
        Ok(())
    }

    /// A capsule that comes from somewhere else, and is trusted, gets the secrets of the one before.
    fn place_rebound(
        &self,
        switch: &mut Switch<'_>,
        store: &SecretStore<'_>,
        capsule: &CapsuleName,
        from: &Binding,
        to: &Binding,
    ) -> Result<()> {
        let settings = self.applying.configuration.settings.get(capsule);
        for key in store.keys_of(&self.applying.scope, capsule)? {
            let is_new = settings
                .and_then(|settings| settings.get(&key))
                .is_some_and(|setting| matches!(setting, Setting::NewSecret { .. }));
            let name = self.secret_name(capsule, &key);
            if is_new {
                continue;
            }
            if let Some(sealed) = store.rebound(&name, from, to, &*self.context.entropy)? {
                switch.place(&store.path(&name), &sealed, 0o600)?;
            }
        }
        Ok(())
    }

    /// Writes the changed text of a declaration into its file, unless somebody else changed that meanwhile.
    fn write_declaration(&self, written: &mut Written<'_>) -> Result<()> {
        let declaration = self.applying.wanted.declaration();
        let (Some(edited), Some(folder)) = (declaration.unwritten(), declaration.folder()) else {
            return Ok(());
        };
        let path = folder.join(crate::declaration::MANIFEST);
        let found = read(&path)?;
        if found.as_deref() != edited.before.as_ref().map(String::as_bytes) {
            return Err(Error::failed(format!("{} was changed meanwhile", path.display()))
                .hint("nothing was changed by this run; run it again"));
        }
        if declaration.is_home() {
            // The home's own appears with the switch.
            return Ok(());
        }
        written.write(path, found, declaration.text().as_bytes(), 0o644)
    }

    /// Writes the lock beside the declaration, when it is another one and may be written.
    fn write_lock_file(&self, written: &mut Written<'_>) -> Result<()> {
        let Some(path) = self.lock_file() else { return Ok(()) };
        let text = self.applying.wanted.lock().to_toml();
        let found = read(&path)?;
        let is_home = self.applying.wanted.declaration().is_home();
        if is_home || found.as_deref() == Some(text.as_bytes()) {
            // The home's own appears with the switch.
            return Ok(());
        }
        written.write(path, found, text.as_bytes(), 0o644)
    }

    fn lock_file(&self) -> Option<PathBuf> {
        let folder: &Path = self.applying.wanted.declaration().folder()?;
        let is_builtin = *self.applying.wanted.declaration().origin() == crate::Origin::Builtin;
        (self.options.write_lock && !is_builtin).then(|| folder.join(crate::declaration::LOCK))
    }
}

/// The acknowledgements that a generation was applied with.
pub(crate) fn generation_acks(generation: &Generation) -> Result<Vec<astrid_manifest::trust::Ack>> {
    let Some(bytes) = generation.read(Part::Acknowledgements)? else { return Ok(Vec::new()) };
    let damaged = |why: String| {
        Error::corrupt(format!(
            "the acknowledgements of generation {} are damaged: {why}",
            generation.number()
        ))
    };
    let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let parsed = AckFile::parse("acks.toml", &text).map_err(|error| damaged(error.to_string()))?;
    Ok(parsed.value.acks)
}

impl Applying {
    /// What an apply of `proposal` works with, once `configuration` is complete.
    #[must_use]
    pub fn new(proposal: ProposalParts, configuration: Configuration) -> Self {
        Self {
            wanted: proposal.wanted,
            configuration,
            base: proposal.base,
            origin: proposal.origin,
            floors: proposal.floors,
            pins: proposal.pins,
            revocations: proposal.revocations,
            scope: proposal.scope,
            tool: proposal.tool,
        }
    }
}

/// What is left of a proposal once its plan went through the gate of trust.
#[derive(Debug)]
pub struct ProposalParts {
    pub(crate) wanted: VerifiedFleet,
    pub(crate) base: Option<Fleet>,
    pub(crate) origin: String,
    pub(crate) floors: Floors,
    pub(crate) pins: Pins,
    pub(crate) revocations: Revocations,
    pub(crate) scope: astrid_store::home::SecretScope,
    pub(crate) tool: String,
}

/// The generation that is current, when it can be read: for commands that show what an apply did.
///
/// # Errors
/// 84 when it is damaged.
pub fn current(context: &Context) -> Result<Option<Current>> {
    let secrets = SecretStore::open_existing(&context.home, context.store.disk())?;
    Current::load(context, secrets.as_ref().map(SecretStore::key), None)
}
