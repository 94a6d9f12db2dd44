//! From a generation on disk to what the kernel starts. The only way in which a fleet comes in.

use std::collections::BTreeMap;

use astrid_authority::CapsuleName;
use astrid_host::ConfigValue;
use astrid_manifest::{Distro, Lock};
use astrid_store::generation::{Configuration, Generation, Part, Setting};
use astrid_store::home::HomeKey;
use astrid_store::{GenerationNumber, Generations, Store, StoreError};

use crate::fleet::FleetSpec;
use crate::member::MemberSpec;
use crate::probe::Probe;

/// Why a generation can't be run.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// Its files are missing, damaged or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its lock or declaration is not one.
    #[error("generation {number}: {complaints}; `astrid rollback` goes back to one that is whole")]
    Invalid {
        /// Which generation.
        number: GenerationNumber,
        /// What is wrong.
        complaints: String,
    },
    /// It is not the current one.
    #[error("generation {wanted} is not the current one{}; the kernel runs nothing else", current.map(|number| format!(" ({number} is)")).unwrap_or_default())]
    NotCurrent {
        /// Which was asked for.
        wanted: GenerationNumber,
        /// Which is current.
        current: Option<GenerationNumber>,
    },
    /// It holds something that this version would have to enforce, and can't.
    #[error(
        "generation {0} narrows what capsules may do by `overrides.toml`, which is not supported by this version; remove `etc/overrides.toml` and apply again"
    )]
    Overrides(GenerationNumber),
}

/// What the current generation wants to run; none when nothing was applied yet.
///
/// # Errors
/// When it is damaged, was changed since it was applied, or needs what this version does not have.
pub fn current(store: &Store, key: Option<&HomeKey>) -> Result<Option<FleetSpec>, GenerationError> {
    let generations = Generations::new(store.home().clone(), store.disk().clone());
    let Some(generation) = generations.current()? else { return Ok(None) };
    fleet_of(&generation, key).map(Some)
}

/// What `wanted` wants to run, which must be the current generation.
///
/// # Errors
/// As [`current`], and when another one is current.
pub fn current_must_be(
    store: &Store,
    key: Option<&HomeKey>,
    wanted: GenerationNumber,
) -> Result<FleetSpec, GenerationError> {
    let generations = Generations::new(store.home().clone(), store.disk().clone());
    let current = generations.current_number()?;
    if current != Some(wanted) {
        return Err(GenerationError::NotCurrent { wanted, current });
    }
    fleet_of(&generations.open(wanted)?, key)
}

/// What a generation wants to run.
///
/// # Errors
/// When it is damaged, was changed since it was applied, or needs what this version does not have.
pub fn fleet_of(generation: &Generation, key: Option<&HomeKey>) -> Result<FleetSpec, GenerationError> {
    let number = generation.number();
    if generation.read(Part::Overrides)?.is_some() {
        return Err(GenerationError::Overrides(number));
    }
    let invalid = |complaints: astrid_manifest::Diagnostics| GenerationError::Invalid {
        number,
        complaints: complaints.to_string(),
    };
    let lock = Lock::parse("Distro.lock", &generation.lock()?).map_err(invalid)?.value;
    let distro = Distro::parse_home("Distro.toml", &generation.declaration()?).map_err(invalid)?.value;
    if let Some(key) = key {
        generation.verify_configuration(key)?;
    }
    let configuration = generation.configuration()?;
    let member = |locked: &astrid_manifest::lock::LockedCapsule| MemberSpec {
        name: locked.name.clone(),
        version: locked.version.clone(),
        content: locked.content,
        manifest: locked.manifest,
        component: locked.component,
        authority: locked.authority,
        tools: locked.tools,
        after: declared_after(&distro, locked),
        config: settings(&configuration, &locked.name),
    };
    Ok(FleetSpec {
        number: number.get(),
        digest: generation.digest()?,
        members: lock.capsules.iter().map(member).collect(),
        probes: lock
            .capsules
            .iter()
            .filter_map(|locked| {
                let probe = distro.capsule(locked.name.as_str())?.probe.clone()?;
                Some((locked.name.clone(), Probe { tool: probe.tool, arguments: probe.args }))
            })
            .collect(),
    })
}

fn declared_after(distro: &Distro, locked: &astrid_manifest::lock::LockedCapsule) -> Vec<CapsuleName> {
    let own = distro.capsule(locked.name.as_str()).map(|entry| entry.depends_on.clone());
    let through_pack = locked.pack.as_ref().and_then(|pack| {
        distro.packs.iter().find(|entry| entry.id == *pack).map(|entry| entry.depends_on.clone())
    });
    own.into_iter().chain(through_pack).flatten().collect()
}

fn settings(
    configuration: &Configuration,
    capsule: &CapsuleName,
) -> BTreeMap<astrid_authority::EnvKey, ConfigValue> {
    let value = |setting: &Setting| match setting {
        Setting::Value(serde_json::Value::String(text)) => ConfigValue::Plain(text.clone()),
        Setting::Value(other) => ConfigValue::Plain(other.to_string()),
        Setting::Secret(reference) => ConfigValue::Secret(reference.clone()),
    };
    let of = configuration.of(capsule).into_iter().flatten();
    of.map(|(key, setting)| (key.clone(), value(setting))).collect()
}
