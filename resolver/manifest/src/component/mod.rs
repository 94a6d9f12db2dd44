//! What the bytes of a component can do: the interfaces it imports, and the entry points it has.
//!
//! Bytes are looked at, never run. A manifest says what a capsule wants; only both together say
//! what it may really do ([`effective_authority`]).

mod effective;
mod stubs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

pub use effective::{EffectiveAuthority, UngrantedImport, effective_authority};

/// Largest component, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 64 * 1024 * 1024;

/// The export that receives events.
pub const HOOK_TRIGGER: &str = "astrid-hook-trigger";
/// The export that is a capsule's own loop.
pub const RUN: &str = "run";
/// The export that is called once, when a capsule is new.
pub const INSTALL: &str = "astrid-install";
/// The export that is called once per new version.
pub const UPGRADE: &str = "astrid-upgrade";

/// Packages whose interfaces no capability stands before.
const FREE: [&str; 9] = [
    "astrid:approval",
    "astrid:elicit",
    "astrid:guest",
    "astrid:io",
    "astrid:ipc",
    "astrid:kv",
    "astrid:request-context",
    "astrid:sys",
    "astrid:types",
];

/// Packages whose interfaces need a capability.
const GATED: [&str; 6] =
    ["astrid:fs", "astrid:http", "astrid:identity", "astrid:net", "astrid:process", "astrid:uplink"];

/// What the bytes of a component can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentSurface {
    /// The functions that may be called, by interface, such as `read-file` of
    /// `astrid:fs/host@1.0.0`. An interface that is imported for its types only has none.
    pub imports: BTreeMap<String, BTreeSet<String>>,
    /// The names that it exports.
    pub exports: BTreeSet<String>,
    /// The entry points that do something: [`RUN`], [`INSTALL`], [`UPGRADE`] without stubs.
    pub entry_points: BTreeSet<&'static str>,
}

/// The bytes are no component that can be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// Too many bytes.
    #[error("the component has {0} bytes; at most {MAX_COMPONENT_BYTES} are read")]
    TooLarge(usize),
    /// A core module.
    #[error("this is a core WebAssembly module, not a component: build it with `astrid capsule build`")]
    CoreModule,
    /// No WebAssembly, or broken.
    #[error("not a valid component: {message} (at byte {offset})")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        offset: usize,
    },
}

impl From<wasmparser::BinaryReaderError> for ComponentError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid { message: error.message().to_owned(), offset: error.offset() }
    }
}

impl ComponentSurface {
    /// Says whether it exports the loop of its own, and not only the stub that toolkits write.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.entry_points.contains(RUN)
    }

    /// Says whether something is to be called when it is new.
    #[must_use]
    pub fn has_install(&self) -> bool {
        self.entry_points.contains(INSTALL)
    }

    /// Says whether something is to be called for a new version.
    #[must_use]
    pub fn has_upgrade(&self) -> bool {
        self.entry_points.contains(UPGRADE)
    }

    /// Says whether it can receive events.
    #[must_use]
    pub fn has_hook_trigger(&self) -> bool {
        self.exports.contains(HOOK_TRIGGER)
    }

    /// The functions of every version of a package, such as `astrid:fs`, that may be called.
    pub fn functions<'s>(&'s self, package: &'s str) -> impl Iterator<Item = &'s str> {
        self.imports
            .iter()
            .filter(move |(interface, _)| package_of(interface) == package)
            .flat_map(|(_, functions)| functions.iter().map(String::as_str))
    }

    /// Interfaces that the platform does not have.
    #[must_use]
    pub fn unknown_interfaces(&self) -> Vec<&str> {
        let known = |package: &str| FREE.contains(&package) || GATED.contains(&package);
        self.imports.keys().map(String::as_str).filter(|interface| !known(package_of(interface))).collect()
    }
}

/// `astrid:fs` of `astrid:fs/host@1.0.0`.
fn package_of(interface: &str) -> &str {
    interface.split(['/', '@']).next().unwrap_or(interface)
}

/// Looks at the bytes of a component.
///
/// The bodies of functions are not checked: whoever compiles the component does that.
///
/// # Errors
/// When there are more than [`MAX_COMPONENT_BYTES`], or the bytes are no valid component.
pub fn inspect(bytes: &[u8]) -> Result<ComponentSurface, ComponentError> {
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(ComponentError::TooLarge(bytes.len()));
    }
    let mut validator = Validator::new_with_features(WasmFeatures::default());
    let mut surface = ComponentSurface::default();
    let mut names: Vec<(String, Option<String>)> = Vec::new();
    let mut trio = stubs::Trio::default();
    // How many modules and components are open around the payload.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let valid = validator.payload(&payload)?;
        match payload {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding == Encoding::Module {
                    return Err(ComponentError::CoreModule);
                }
                depth += 1;
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let name = import?.name;
                    names.push((name.name.to_owned(), name.implements.map(str::to_owned)));
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    surface.exports.insert(export?.name.name.to_owned());
                }
            }
            Payload::ImportSection(section) => trio.imports(section)?,
            Payload::ExportSection(section) => trio.exports(section)?,
            Payload::CodeSectionEntry(body) => trio.body(&body)?,
            Payload::End(_) => {
                trio.end();
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        if let (0, ValidPayload::End(types)) = (depth, valid) {
            for (name, implements) in &names {
                let mut functions = BTreeSet::new();
                match types.component_item_for_import(name).map(|item| item.ty) {
                    Some(ComponentEntityType::Instance(id)) => {
                        if let Some(instance) = types.as_ref().get(id) {
                            let items = instance.exports.iter();
                            functions.extend(
                                items
                                    .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                                    .map(|(name, _)| name.clone()),
                            );
                        }
                    }
                    // A function of no interface: it is its own.
                    Some(ComponentEntityType::Func(_)) => {
                        functions.insert(name.clone());
                    }
                    // A name for a type of another import: nothing to call.
                    Some(ComponentEntityType::Type { .. }) => continue,
                    _ => {}
                }
                let interface = implements.as_ref().unwrap_or(name).clone();
                surface.imports.entry(interface).or_default().extend(functions);
            }
        }
    }
    surface.entry_points = trio.real(&surface.exports);
    Ok(surface)
}
