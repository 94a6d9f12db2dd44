//! What is told about a pack and about each thing that it offers.

use std::collections::BTreeMap;

use astrid_authority::{ActionId, CapsuleName, PackId, Permission, PermissionId};
use astrid_manifest::pack::contents::{ComponentCounts, Contents, Placed};
use astrid_manifest::pack::summary::{TrustBlock, TrustSummary};
use astrid_manifest::pack::{Action, Element, Extensions, Status, Visibility};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::layer::SourceKind;

/// A pack with everything that it discloses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PackRecord {
    /// Its id.
    pub id: PackId,
    /// The name that people see.
    pub name: String,
    /// Its version, in any form.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Its folder.
    pub root: String,
    /// Its manifest.
    pub manifest_path: String,
    /// Anything that its manifest says beside.
    pub metadata: Map<String, Value>,
    /// Where its components are, from its root.
    pub content: BTreeMap<&'static str, String>,
    /// What an agent should know.
    pub agent: AgentRecord,
    /// How far it is.
    pub status: Status,
    /// Whether lists show it.
    pub visibility: Visibility,
    /// The version of its manifest's format.
    pub schema_version: u32,
    /// How it calls itself; nothing of it grants trust.
    #[serde(flatten)]
    pub own: Taxonomy,
    /// The same, together.
    pub taxonomy: Taxonomy,
    /// Other names of what it offers.
    pub aliases: Vec<AliasRecord>,
    /// What it adds to the platform's vocabulary.
    pub extensions: Extensions,
    /// What its code does to the machine, as far as its author says.
    pub permissions: Vec<Permission>,
    /// The ids of the permissions.
    pub permission_ids: Vec<PermissionId>,
    /// How it is run, whatever it declares.
    pub trust: TrustBlock,
    /// The secrets that its executors and orchestrators read.
    pub declared_secrets: Vec<String>,
    /// What it needs, as `python:name`.
    pub dependencies: Vec<String>,
    /// How many components of each kind it has.
    pub component_counts: ComponentCounts,
    /// Its capsules. What these may do is enforced, and not told here.
    pub capsules: Vec<CapsuleName>,
    /// The layer that it was found in.
    pub source_kind: SourceKind,
    /// The place of its root among all roots.
    pub priority_index: usize,
}

/// What an agent should know about a pack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentRecord {
    /// What it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Where to begin, also from old manifests.
    pub entrypoints: Vec<String>,
    /// Where to begin.
    pub normal_entrypoints: Vec<String>,
    /// What it is not good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_not_use_for: Option<String>,
    /// What to read before.
    pub required_context: Vec<String>,
}

/// How a pack calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the six are words of the manifest, told as they are")]
pub struct Taxonomy {
    pub origin: String,
    pub install_tier: String,
    pub pack_type: String,
    pub domain: String,
    pub stability: String,
    pub support: String,
}

/// Another name of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasRecord {
    /// `executor` or `orchestrator`.
    pub kind: String,
    /// The other name.
    pub alias: String,
    /// The real one.
    pub canonical_id: String,
    /// People are told to use the real one.
    pub deprecated: bool,
    /// In these words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecation_message: Option<String>,
}

/// What a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CapabilityType {
    /// It is run as a process of the user.
    Executor,
    /// It runs executors.
    Orchestrator,
    /// It is found, and not run.
    Element,
}

impl CapabilityType {
    /// The word in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Orchestrator => "orchestrator",
            Self::Element => "element",
        }
    }
}

/// Something that a pack offers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capability {
    /// Its id.
    pub id: String,
    /// What it is.
    pub capability_type: CapabilityType,
    /// The kind that its own manifest gives.
    pub native_kind: String,
    /// Its names, its place, and what its pack discloses.
    pub handle: CapabilityHandle,
    /// What goes in.
    pub inputs: Vec<Value>,
    /// What comes out.
    pub outputs: Vec<Value>,
    /// The schema of its parameters, where it has one. Opaque.
    pub schema: Value,
    /// The defaults of its parameters. Opaque.
    pub defaults: Value,
    /// Its whole manifest. Opaque.
    pub definition: Value,
}

/// A capability's names, its place, and what its pack discloses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapabilityHandle {
    /// Its id.
    pub canonical_id: String,
    /// Its id within its pack.
    pub local_id: String,
    /// Its pack.
    pub pack_id: PackId,
    /// `executor`, `orchestrator` or `element`.
    pub kind: CapabilityType,
    /// The name that people see.
    pub name: String,
    /// Its version; an element has its pack's.
    pub version: String,
    /// Where it was found.
    pub provenance: Provenance,
    /// What its pack declares.
    pub safety: SafetyDeclaration,
    /// What it does.
    pub description: String,
    /// The same in a few words.
    pub short_description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// `metadata.category`, its own or its pack's.
    pub category: String,
    /// How far its pack is.
    pub status: Status,
    /// Whether lists show it.
    pub visibility: Visibility,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The names of what goes in.
    pub inputs: Vec<String>,
    /// The names of what comes out.
    pub outputs: Vec<String>,
    /// Its pack is on its way out.
    pub deprecated: bool,
    /// What to use instead.
    pub deprecated_alternatives: Vec<String>,
    /// What people are told then.
    pub deprecation_message: String,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The layer.
    pub source_kind: SourceKind,
    /// The place of its root among all roots.
    pub priority_index: usize,
    /// The folder of its pack.
    pub root: String,
    /// The file that declares it.
    pub manifest_path: String,
}

/// What a capability's pack declares. Nothing enforces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafetyDeclaration {
    /// It says that it uses the network.
    pub network: bool,
    /// What a call costs, in its author's words.
    pub cost_estimate: String,
    /// The secrets without which it does not work, by name.
    pub secrets_required: Vec<String>,
    /// The ids of its pack's permissions: always texts.
    pub permissions: Vec<PermissionId>,
}

/// A pack and its place, while its capabilities are put together.
pub(super) struct Found<'a> {
    pub(super) contents: &'a Contents,
    pub(super) root: String,
    pub(super) kind: SourceKind,
    pub(super) index: usize,
}

impl Found<'_> {
    fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.root)
    }

    pub(super) fn record(&self) -> PackRecord {
        let manifest = &self.contents.manifest;
        let summary = TrustSummary::of(self.contents);
        let taxonomy = Taxonomy::of(self.contents);
        PackRecord {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            root: self.root.clone(),
            manifest_path: self.path(&self.contents.manifest_file),
            metadata: manifest.metadata.clone(),
            content: content(self.contents),
            agent: AgentRecord {
                purpose: manifest.agent.purpose.clone(),
                entrypoints: summary.entrypoints,
                normal_entrypoints: summary.normal_entrypoints,
                do_not_use_for: manifest.agent.do_not_use_for.clone(),
                required_context: summary.required_context,
            },
            status: manifest.status,
            visibility: manifest.visibility,
            schema_version: manifest.schema_version,
            own: taxonomy.clone(),
            taxonomy,
            aliases: manifest.aliases.iter().map(AliasRecord::from).collect(),
            extensions: manifest.extensions.clone(),
            permissions: summary.permissions,
            permission_ids: summary.permission_ids,
            trust: summary.trust,
            declared_secrets: summary.declared_secrets,
            dependencies: summary.dependencies,
            component_counts: summary.component_counts,
            capsules: self.contents.capsules.keys().cloned().collect(),
            source_kind: self.kind,
            priority_index: self.index,
        }
    }

    pub(super) fn executors(&self) -> impl Iterator<Item = Capability> {
        let all = self.contents.executors.iter();
        all.map(|(id, placed)| {
            self.action(CapabilityType::Executor, id, &placed.item.action, placed, json_of(&placed.item))
        })
    }

    pub(super) fn orchestrators(&self) -> impl Iterator<Item = Capability> {
        let all = self.contents.orchestrators.iter();
        all.map(|(id, placed)| {
            self.action(CapabilityType::Orchestrator, id, &placed.item.action, placed, json_of(&placed.item))
        })
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = Capability> {
        self.contents.elements.iter().map(|(id, placed)| self.element(id, placed))
    }

    fn action<T>(
        &self,
        kind: CapabilityType,
        id: &ActionId,
        action: &Action,
        placed: &Placed<T>,
        definition: Value,
    ) -> Capability {
        let defaults: Map<String, Value> = action
            .inputs
            .iter()
            .filter_map(|port| Some((port.name.clone(), port.default.clone()?)))
            .collect();
        let own = action.secrets.iter().chain(&self.contents.manifest.secrets);
        let mut secrets: Vec<String> =
            own.filter(|secret| secret.required).map(|secret| secret.name.to_string()).collect();
        secrets.sort();
        secrets.dedup();
        let mut handle = self.handle(kind, id.as_str(), &placed.file, &action.metadata);
        id.local().clone_into(&mut handle.local_id);
        handle.name.clone_from(&action.name);
        handle.version.clone_from(&action.version);
        handle.description.clone_from(&action.description);
        handle.short_description.clone_from(&action.short_description);
        handle.keywords.clone_from(&action.keywords);
        handle.inputs = action.inputs.iter().map(|port| port.name.clone()).collect();
        handle.outputs = action.outputs.iter().map(|output| output.name.clone()).collect();
        handle.safety.network = action.isolation.network;
        handle.safety.secrets_required = secrets;
        Capability {
            id: id.to_string(),
            capability_type: kind,
            native_kind: text_of(&json_of(&action.kind)),
            handle,
            inputs: action.inputs.iter().map(json_of).collect(),
            outputs: action.outputs.iter().map(json_of).collect(),
            schema: Value::Null,
            defaults: Value::Object(defaults),
            definition,
        }
    }

    fn element(&self, id: &str, placed: &Placed<Element>) -> Capability {
        let element = &placed.item;
        let mut handle = self.handle(CapabilityType::Element, id, &placed.file, &element.metadata);
        handle.local_id.clone_from(&element.id);
        let name = element.metadata.get("name").or_else(|| element.metadata.get("label"));
        name.and_then(Value::as_str).unwrap_or(&element.id).clone_into(&mut handle.name);
        handle.description.clone_from(&element.description);
        handle.short_description.clone_from(&element.short_description);
        handle.keywords.clone_from(&element.keywords);
        handle.inputs = element.inputs.iter().map(|port| port.name.clone()).collect();
        handle.outputs = element.outputs.iter().map(|output| output.name.clone()).collect();
        Capability {
            id: id.to_owned(),
            capability_type: CapabilityType::Element,
            native_kind: element.kind.clone(),
            handle,
            inputs: element.inputs.iter().map(json_of).collect(),
            outputs: element.outputs.iter().map(json_of).collect(),
            schema: Value::Object(element.schema.clone()),
            defaults: Value::Object(element.defaults.clone()),
            definition: json_of(element),
        }
    }

    /// What every kind of capability has in common.
    fn handle(
        &self,
        kind: CapabilityType,
        id: &str,
        file: &str,
        metadata: &Map<String, Value>,
    ) -> CapabilityHandle {
        let manifest = &self.contents.manifest;
        let word =
            |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let aliases = manifest.aliases.iter();
        let aliases = aliases.filter(|alias| alias.kind == kind.as_str() && alias.canonical_id == id);
        let deprecated = manifest.status == Status::Deprecated;
        CapabilityHandle {
            canonical_id: id.to_owned(),
            local_id: id.to_owned(),
            pack_id: manifest.id.clone(),
            kind,
            name: id.to_owned(),
            version: manifest.version.clone(),
            provenance: Provenance {
                source_kind: self.kind,
                priority_index: self.index,
                root: self.root.clone(),
                manifest_path: self.path(file),
            },
            safety: SafetyDeclaration {
                network: false,
                cost_estimate: word(metadata, "cost_estimate").unwrap_or_default(),
                secrets_required: Vec::new(),
                permissions: manifest.permissions.iter().map(|permission| permission.id).collect(),
            },
            description: String::new(),
            short_description: String::new(),
            keywords: Vec::new(),
            category: word(metadata, "category")
                .or_else(|| word(&manifest.metadata, "category"))
                .unwrap_or_default(),
            status: manifest.status,
            visibility: manifest.visibility,
            aliases: aliases.map(|alias| alias.alias.clone()).collect(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            deprecated,
            deprecated_alternatives: Vec::new(),
            deprecation_message: if deprecated {
                format!("the pack `{}` is deprecated", manifest.id)
            } else {
                String::new()
            },
        }
    }
}

impl From<&astrid_manifest::pack::Alias> for AliasRecord {
    fn from(alias: &astrid_manifest::pack::Alias) -> Self {
        Self {
            kind: alias.kind.clone(),
            alias: alias.alias.clone(),
            canonical_id: alias.canonical_id.clone(),
            deprecated: alias.deprecated,
            deprecation_message: alias.deprecation_message.clone(),
        }
    }
}

impl Taxonomy {
    fn of(contents: &Contents) -> Self {
        let manifest = &contents.manifest;
        let stability = match manifest.status {
            Status::Active | Status::Stub => "stable",
            Status::Deprecated => "deprecated",
            Status::Experimental => "experimental",
        };
        let or = |said: &Option<String>, default: &str| said.clone().unwrap_or_else(|| default.to_owned());
        Self {
            origin: or(&manifest.origin, "unknown"),
            install_tier: or(&manifest.install_tier, "default"),
            pack_type: or(&manifest.pack_type, "capability"),
            domain: or(&manifest.domain, "general"),
            stability: or(&manifest.stability, stability),
            support: or(&manifest.support, "project"),
        }
    }
}

fn content(contents: &Contents) -> BTreeMap<&'static str, String> {
    let own = &contents.manifest.content;
    let all = [
        ("executors", &own.executors),
        ("orchestrators", &own.orchestrators),
        ("elements", &own.elements),
        ("schemas", &own.schemas),
        ("examples", &own.examples),
        ("docs", &own.docs),
        ("capsules", &own.capsules),
    ];
    all.into_iter().filter_map(|(kind, folder)| Some((kind, folder.as_ref()?.joined()))).collect()
}

/// Types of manifests hold nothing that JSON can't say.
pub(super) fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
