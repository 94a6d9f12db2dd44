//! What people are shown about a pack before they trust it. One source: nobody else puts it together.

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{Permission, PermissionId};
use serde::{Deserialize, Serialize};

use super::contents::{ComponentCounts, Contents};
use super::executor::Runtime;
use super::{Action, PackSecret};

/// The trust block: what holds for every pack in version 1 of the platform contract. It is said by the program and
/// never read from a pack.
pub const TRUST: TrustBlock = TrustBlock {
    sandbox: "none",
    runs_with_user_process_permissions: true,
    permission_enforcement: "disclosure_only",
};

/// How packs are run, whatever they declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrustBlock {
    /// There is none.
    pub sandbox: &'static str,
    /// With all rights of the user.
    pub runs_with_user_process_permissions: bool,
    /// Declarations are for people to read.
    pub permission_enforcement: &'static str,
}

impl TrustBlock {
    /// The lines that people are shown.
    #[must_use]
    pub fn lines(&self) -> [String; 3] {
        [
            format!("sandbox={}", self.sandbox),
            format!("runs_with_user_process_permissions={}", self.runs_with_user_process_permissions),
            format!("permission_enforcement={}", self.permission_enforcement),
        ]
    }
}

/// What people are shown about a pack before they trust it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrustSummary {
    /// The id of the pack.
    pub pack_id: String,
    /// The name that people see.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of its manifest's format.
    pub schema_version: u32,
    /// Where it comes from; who made the summary fills it in.
    pub source_path: String,
    /// How many components it has.
    pub component_counts: ComponentCounts,
    /// Where to begin, also from old manifests.
    pub entrypoints: Vec<String>,
    /// Where to begin.
    pub normal_entrypoints: Vec<String>,
    /// The secrets that it reads, as `NAME (required): description`.
    pub declared_secrets: Vec<String>,
    /// The secrets that it reads, with who reads each.
    pub secrets: Vec<DeclaredSecret>,
    /// What it needs, as `python:name`.
    pub dependencies: Vec<String>,
    /// What it needs, by kind.
    pub dependencies_struct: BTreeMap<&'static str, Vec<String>>,
    /// Its documentation.
    pub docs: SummaryDocs,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What it is not good for.
    pub do_not_use_for: String,
    /// What to read before.
    pub required_context: Vec<String>,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// What it can do, in words.
    pub capabilities: Vec<String>,
    /// What its code does to the machine, as far as its author says.
    pub permissions: Vec<Permission>,
    /// The ids of the permissions.
    pub permission_ids: Vec<PermissionId>,
    /// How it is run.
    pub trust: TrustBlock,
    /// The platform that it was made for.
    pub astrid_version: String,
    /// The questions that people ask first.
    pub at_a_glance: AtAGlance,
}

/// A secret, and who reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredSecret {
    /// The name of the environment variable.
    pub name: String,
    /// Somebody does not work without it.
    pub required: bool,
    /// What it is.
    pub description: String,
    /// The executors and orchestrators that read it; empty when only the pack says so.
    pub read_by: Vec<String>,
}

/// Documentation that is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SummaryDocs {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readme: Option<String>,
    /// For agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<String>,
    /// About the whole pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// The questions that people ask first. Each answer is what the pack declares: it may do more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AtAGlance {
    /// Does it use the network?
    pub network: Answer,
    /// Does it read secrets?
    pub secrets: Answer,
    /// Does it call services that are paid or of others?
    pub paid_services: Answer,
    /// Does it need or bring programs?
    pub binaries: Answer,
    /// Does it start processes?
    pub subprocesses: Answer,
}

/// An answer and its reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Yes, as far as the pack says.
    pub yes: bool,
    /// What says so.
    pub why: Vec<String>,
}

impl Answer {
    fn because(&mut self, why: impl Into<String>) {
        self.yes = true;
        self.why.push(why.into());
    }
}

impl TrustSummary {
    /// The summary of a pack.
    #[must_use]
    pub fn of(contents: &Contents) -> Self {
        let manifest = &contents.manifest;
        let agent = &manifest.agent;
        let secrets = secrets(contents);
        let doc = |key: &str| manifest.docs.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        let dependencies_struct = dependencies(contents);
        let entrypoints =
            if agent.normal_entrypoints.is_empty() { &agent.entrypoints } else { &agent.normal_entrypoints };
        Self {
            pack_id: manifest.id.to_string(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            schema_version: manifest.schema_version,
            source_path: String::new(),
            component_counts: contents.counts(),
            entrypoints: entrypoints.clone(),
            normal_entrypoints: agent.normal_entrypoints.clone(),
            declared_secrets: secrets.iter().map(DeclaredSecret::line).collect(),
            dependencies: dependencies_struct
                .iter()
                .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")))
                .collect(),
            dependencies_struct,
            docs: SummaryDocs { readme: doc("readme"), agents: doc("agents"), stage: doc("stage") },
            warnings: contents.advice.clone(),
            do_not_use_for: agent.do_not_use_for.clone().unwrap_or_default(),
            required_context: agent.required_context.clone(),
            keywords: manifest.keywords.clone(),
            capabilities: manifest.capabilities.clone(),
            permissions: manifest.permissions.clone(),
            permission_ids: manifest.permissions.iter().map(|permission| permission.id).collect(),
            trust: TRUST,
            astrid_version: manifest.astrid_version.clone(),
            at_a_glance: at_a_glance(contents, &secrets),
            secrets,
        }
    }

    /// The same summary, of a pack that comes from `source`.
    #[must_use]
    pub fn from_source(self, source: impl Into<String>) -> Self {
        Self { source_path: source.into(), ..self }
    }
}

impl DeclaredSecret {
    /// `NAME (required): description`
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.name.clone();
        if self.required {
            line.push_str(" (required)");
        }
        if !self.description.is_empty() {
            line.push_str(": ");
            line.push_str(&self.description);
        }
        line
    }
}

/// Every secret once, from executors, orchestrators and the pack itself.
fn secrets(contents: &Contents) -> Vec<DeclaredSecret> {
    let mut found: BTreeMap<String, DeclaredSecret> = BTreeMap::new();
    let mut add = |secret: &PackSecret, reader: Option<&Action>| {
        let name = secret.name.to_string();
        let one = found.entry(name.clone()).or_insert_with(|| DeclaredSecret {
            name,
            required: false,
            description: String::new(),
            read_by: Vec::new(),
        });
        one.required |= secret.required;
        if one.description.is_empty() {
            one.description = secret.description.clone().unwrap_or_default();
        }
        one.read_by.extend(reader.map(|action| action.id.to_string()));
    };
    for action in contents.actions() {
        for secret in &action.secrets {
            add(secret, Some(action));
        }
    }
    for secret in &contents.manifest.secrets {
        add(secret, None);
    }
    found.into_values().collect()
}

/// What is needed, by kind: of the pack, and of its executors, orchestrators and elements.
fn dependencies(contents: &Contents) -> BTreeMap<&'static str, Vec<String>> {
    let own = &contents.manifest.dependencies;
    let packs = own.packs.iter().map(|needed| match &needed.requirement {
        Some(requirement) => format!("{} {requirement}", needed.id),
        None => needed.id.to_string(),
    });
    let mut all: BTreeMap<&'static str, Vec<String>> = BTreeMap::from([
        ("python", own.python.clone()),
        ("npm", own.npm.clone()),
        ("system", own.system.clone()),
        ("packs", packs.collect()),
    ]);
    let mut add = |kind: &'static str, names: &[String]| {
        all.entry(kind).or_default().extend(names.iter().cloned());
    };
    for action in contents.actions() {
        add("python", &action.isolation.requirements);
        add("system", &action.isolation.binaries);
    }
    for element in contents.elements.values() {
        add("python", &element.item.dependencies.python_requirements);
        add("npm", &element.item.dependencies.js_packages);
    }
    all.values_mut().for_each(once);
    all.retain(|_, names| !names.is_empty());
    all
}

/// Each text where it is first.
fn once(texts: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
}

fn at_a_glance(contents: &Contents, secrets: &[DeclaredSecret]) -> AtAGlance {
    let mut answers = AtAGlance::default();
    for permission in &contents.manifest.permissions {
        let why = format!("permission {}: {}", permission.id, permission.reason);
        match permission.id {
            PermissionId::Network => answers.network.because(why),
            PermissionId::Environment => answers.secrets.because(why),
            PermissionId::ExternalServices => answers.paid_services.because(why),
            PermissionId::Subprocess => answers.subprocesses.because(why),
            PermissionId::ProjectFiles | PermissionId::Accelerator => {}
        }
    }
    for secret in secrets {
        answers.secrets.because(format!("secret {}", secret.line()));
    }
    for action in contents.actions() {
        let id = &action.id;
        if action.isolation.network {
            answers.network.because(format!("{id}: isolation.network"));
        }
        for program in &action.isolation.binaries {
            answers.binaries.because(format!("{id}: needs {program}"));
        }
        if let Some(Runtime::Command(command)) = &action.runtime
            && let Some(program) = command.argv.first()
        {
            answers.subprocesses.because(format!("{id}: runs {program}"));
        }
    }
    for program in &contents.manifest.dependencies.system {
        answers.binaries.because(format!("needs {program}"));
    }
    for file in &contents.native {
        answers.binaries.because(format!("brings {file}"));
    }
    let AtAGlance { network, secrets, paid_services, binaries, subprocesses } = &mut answers;
    for answer in [network, secrets, paid_services, binaries, subprocesses] {
        once(&mut answer.why);
    }
    answers
}
