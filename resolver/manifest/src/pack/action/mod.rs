//! What executors and orchestrators have in common: something that runs, with inputs and outputs.
//!
//! It runs as what it is: a process of the user. Nothing that is declared here grants or denies anything.

pub mod placeholder;
pub(crate) mod read;
pub(crate) mod runtime;

use std::collections::BTreeMap;

use astrid_authority::{ActionId, EnvKey};
use schemars::JsonSchema;
use serde::Serialize;

pub use runtime::{Command, InputArg, Runtime};

use super::PackSecret;
use crate::diagnostic::Position;

/// What can be run, with what goes in and what comes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    /// Always 1.
    pub schema_version: u32,
    /// Its id: the pack's id, a dot, and its own name.
    pub id: ActionId,
    /// The name that people see.
    pub name: String,
    /// Its version, in any form.
    pub version: String,
    /// What it does.
    pub description: String,
    /// The same in a few words.
    pub short_description: String,
    /// Words to find it by.
    pub keywords: Vec<String>,
    /// Who wrote the code that it runs; derived when it is not said.
    pub kind: ActionKind,
    /// How it is run. Absent: it can be found, and not run.
    pub runtime: Option<Runtime>,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// When a run is skipped because its results are there.
    pub cache: Cache,
    /// What it wants around it. Disclosed, and not a sandbox.
    pub isolation: Isolation,
    /// The environment variables with secrets that it reads.
    pub secrets: Vec<PackSecret>,
    /// Scopes of configuration that it reads.
    pub scoped_configs: Vec<String>,
    /// Its documentation, from its own folder.
    pub docs: Docs,
    /// Anything else.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Where its id is written.
    #[serde(skip)]
    pub at: Position,
}

/// Who wrote the code that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// It came with the platform, says the pack; it is run like any other.
    BuiltIn,
    /// The pack, or a program on the machine.
    #[default]
    External,
}

/// The type of what goes in or comes out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortKind {
    /// Text.
    String,
    /// A path of a file or folder.
    #[default]
    Path,
    /// A path of a file.
    File,
    /// A path of a folder.
    Directory,
    /// Any JSON.
    Json,
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// A path of an HTML file.
    Html,
}

impl PortKind {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 9] = [
        ("string", Self::String),
        ("path", Self::Path),
        ("file", Self::File),
        ("directory", Self::Directory),
        ("json", Self::Json),
        ("boolean", Self::Boolean),
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("html", Self::Html),
    ];

    /// The word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("path", |(word, _)| word)
    }

    /// Says whether a value from a manifest or a person is of this kind. Text takes any scalar.
    #[must_use]
    pub fn admits(self, value: &serde_json::Value) -> bool {
        match self {
            Self::Json => true,
            Self::Boolean => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::String | Self::Path | Self::File | Self::Directory | Self::Html => {
                value.is_string() || value.is_number() || value.is_boolean()
            }
        }
    }

    /// The value names a place on disk.
    #[must_use]
    pub fn is_path(self) -> bool {
        matches!(self, Self::Path | Self::File | Self::Directory | Self::Html)
    }
}

/// `inputs[]`: something that goes in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: PortKind,
    /// It must be given, unless there is a default.
    pub required: bool,
    /// What is taken when nothing is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The name of its placeholder, when that is not its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// The type of the artifact that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// `outputs[]`: something that comes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: PortKind,
    /// What happens to what is there.
    pub mode: OutputMode,
    /// Where it is written, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_template: Option<String>,
    /// The extension of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The name of its placeholder, when that is not its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The type of the artifact that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// What a run does to an output that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputMode {
    /// It is changed.
    Mutate,
    /// It must not be there.
    Create,
    /// It is replaced.
    #[default]
    CreateOrReplace,
}

/// `cache`: when a run is skipped because its results are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Cache {
    /// How it is decided.
    #[schemars(default)]
    pub mode: CacheMode,
    /// Files that say so by being there, with placeholders.
    #[schemars(default)]
    pub sentinels: Vec<String>,
    /// It is run every time, whatever is there.
    #[schemars(default)]
    pub always_run: bool,
    /// Each brief has results of its own.
    #[schemars(default)]
    pub per_brief: bool,
}

/// How it is decided whether results are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Nothing is kept.
    None,
    /// By its sentinels.
    #[default]
    Sentinel,
    /// It is run every time.
    AlwaysRun,
}

/// `isolation`: what an action wants around it. Disclosed; it is no sandbox and derives none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Isolation {
    /// Where it runs.
    #[schemars(default)]
    pub mode: IsolationMode,
    /// Python distributions that it needs.
    #[schemars(default)]
    pub requirements: Vec<String>,
    /// Programs that it runs.
    #[schemars(default)]
    pub binaries: Vec<String>,
    /// It uses the network.
    #[schemars(default)]
    pub network: bool,
    /// Environment variables that it asks for.
    #[schemars(default, with = "Vec<String>")]
    pub env_passthrough: Vec<EnvKey>,
}

/// Where an action runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IsolationMode {
    /// Within the process that runs it.
    InProcess,
    /// In a process of its own.
    #[default]
    Subprocess,
}

/// `docs`: documentation in the folder of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Docs {
    /// The page about it; `STAGE.md` when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

impl Docs {
    /// The page about a component, from its folder.
    #[must_use]
    pub fn stage(&self) -> &str {
        self.stage.as_deref().unwrap_or("STAGE.md")
    }
}

impl Action {
    /// The names that placeholders may have here: of inputs and outputs.
    #[must_use]
    pub fn placeholders(&self) -> BTreeMap<&str, &str> {
        let inputs = self.inputs.iter().map(|port| (port.placeholder.as_deref(), port.name.as_str()));
        let outputs = self.outputs.iter().map(|output| (output.placeholder.as_deref(), output.name.as_str()));
        let mut names = BTreeMap::new();
        for (placeholder, name) in inputs.chain(outputs) {
            names.insert(placeholder.unwrap_or(name), name);
            names.entry(name).or_insert(name);
        }
        names
    }
}
