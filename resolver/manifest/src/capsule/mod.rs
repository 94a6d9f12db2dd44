//! `Capsule.toml`: what a capsule is, what it asks for, and what it offers.

mod read;
mod removed;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use astrid_authority::{Capabilities, CapsuleName, Digest, EnvKey, InterfaceId, TopicPattern};
use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::Serialize;

use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::source::SourcePath;

/// How strictly a manifest is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// One's own capsule: unknown keys and unfinished parts are errors.
    Check,
    /// Someone else's capsule: unknown keys and unfinished parts are warnings.
    Load,
}

/// What a capsule says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct CapsuleManifest {
    /// Who it is.
    pub package: Package,
    /// Its WebAssembly components; only the first one runs.
    pub components: Vec<Component>,
    /// Interfaces that it needs from others.
    pub imports: BTreeMap<InterfaceId, Import>,
    /// Interfaces that it offers.
    pub exports: BTreeMap<InterfaceId, Version>,
    /// Topics that it may publish on.
    pub publish: BTreeMap<TopicPattern, Publish>,
    /// Topics that it may receive.
    pub subscribe: BTreeMap<TopicPattern, Subscribe>,
    /// What `[capabilities]` of the manifest and of its components grant together.
    pub granted: Capabilities,
    /// How many instances serve one listener; a matter of tuning.
    pub bind_workers: Option<u32>,
    /// Reserved.
    pub kv: Vec<String>,
    /// Configuration that it reads.
    pub env: BTreeMap<EnvKey, EnvVar>,
    /// Commands that it offers to people.
    pub commands: Vec<Command>,
    /// MCP servers that it brings.
    pub mcp_servers: Vec<McpServer>,
    /// Platforms that it connects.
    pub uplinks: Vec<Uplink>,
    /// Files for the context of a model.
    pub context_files: Vec<ContextFile>,
    /// Tools, for people to read.
    pub tools: Vec<ToolNote>,
}

/// `[package]`: who it is.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: CapsuleName,
    /// Its version.
    #[schemars(with = "String")]
    pub version: Version,
    /// The platform versions that it works with.
    #[schemars(with = "Option<String>")]
    pub astrid_version: Option<VersionReq>,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is developed.
    pub repository: Option<String>,
    /// Where to read about it.
    pub homepage: Option<String>,
    /// Where it is documented.
    pub documentation: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// The file with the licence.
    pub license_file: Option<String>,
    /// The file with the introduction.
    pub readme: Option<String>,
    /// Who wrote it.
    #[schemars(default)]
    pub authors: Vec<String>,
    /// Words to find it by.
    #[schemars(default)]
    pub keywords: Vec<String>,
    /// What it is filed under.
    #[schemars(default)]
    pub categories: Vec<String>,
    /// Whether it is meant for others.
    pub publish: Option<bool>,
    /// Files to pack.
    #[schemars(default)]
    pub include: Vec<String>,
    /// Files not to pack.
    #[schemars(default)]
    pub exclude: Vec<String>,
    /// Anything else.
    #[schemars(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Where the name is written.
    #[schemars(skip)]
    pub at: Position,
}

/// `[[component]]`: a WebAssembly component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its local id.
    pub id: Option<String>,
    /// The file, below the manifest.
    pub file: SourcePath,
    /// What it is.
    pub kind: ComponentKind,
    /// Of the file, when the author says it.
    pub hash: Option<Digest>,
    /// Other components that it is linked with; reserved.
    pub link: Vec<String>,
}

/// What a component is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// It runs.
    #[default]
    Executable,
    /// Others use it.
    Library,
}

/// An interface that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Which versions will do.
    pub requirement: VersionReq,
    /// It also works without.
    pub optional: bool,
    /// Where it is written.
    pub at: Position,
}

/// A pin of where a WIT reference is resolved; kept, not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitPin {
    /// A version.
    Version(String),
    /// A tag.
    Tag(String),
    /// A commit.
    Rev(String),
    /// A branch.
    Branch(String),
    /// A path.
    Path(String),
}

/// A topic that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The type of its messages; `opaque` is untyped.
    pub wit: String,
    /// Where the type is found.
    pub pin: Option<WitPin>,
    /// The last segment names a recipient.
    pub fanout: bool,
}

/// A topic that is received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The type of its messages; `opaque` is untyped.
    pub wit: String,
    /// Where the type is found.
    pub pin: Option<WitPin>,
    /// What is called; absent means that the capsule only may subscribe.
    pub handler: Option<String>,
    /// Lower comes first; absent is [`DEFAULT_PRIORITY`].
    pub priority: Option<u32>,
}

/// The priority of handlers that name none.
pub const DEFAULT_PRIORITY: u32 = 100;

/// A configuration value that is read.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvVar {
    /// What it may hold.
    pub kind: EnvType,
    /// What to ask for.
    pub request: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What it is when nobody gives a value.
    pub default: Option<serde_json::Value>,
    /// What it may be, when that is limited.
    pub choices: Vec<String>,
    /// An example.
    pub placeholder: Option<String>,
    /// Where choices are asked for.
    pub options_from: Option<OptionsFrom>,
    /// Where it is declared.
    pub at: Position,
}

/// What a configuration value may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvType {
    /// Any text. Also written `string`.
    Text,
    /// A text that is never shown.
    Secret,
    /// One of some choices.
    Select,
    /// A list of texts.
    Array,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// `options_from`: where choices are asked for. The installer asks, after trust, never the capsule.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OptionsFrom {
    /// The URL; `{key}` stands for another configuration value.
    pub http: String,
    /// What is sent as the bearer token, to the configured `base_url` only.
    pub bearer: Option<String>,
    /// Which part of the answer is used.
    pub select: Option<String>,
    /// Values that are asked for before.
    #[schemars(default)]
    pub after: Vec<EnvKey>,
}

/// `[[command]]`: something that people may type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What they type.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// A declaration of it.
    pub file: Option<String>,
    /// Where they type it.
    pub kind: CommandKind,
}

/// Where a command is typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandKind {
    /// In a chat.
    #[default]
    Slash,
    /// After `astrid capsule`.
    Cli,
}

/// `[[mcp_server]]`: an MCP server that the capsule brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Its id.
    pub id: String,
    /// What it does.
    pub description: Option<String>,
    /// How it is spoken to: `stdio` or `wasm-ipc`.
    pub kind: Option<String>,
    /// The program; `host_process` must grant it.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
}

/// `[[uplink]]`: a platform that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// The platform.
    pub platform: String,
    /// `chat`, `interactive`, `notify` or `bridge`.
    pub profile: String,
}

/// `[[context_file]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Its name.
    pub name: String,
    /// The file.
    pub file: String,
}

/// `[[tool]]`: data for people; tools are asked for on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolNote {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description_for_llm: String,
    /// The type of its input.
    pub input_schema_wit: Option<String>,
    /// It changes something.
    pub mutable: bool,
}

impl CapsuleManifest {
    /// Reads `text`, which people know as `file` (usually `Capsule.toml`).
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str, strictness: Strictness) -> Result<Parsed<Self>, Diagnostics> {
        read::parse(file, text, strictness)
    }

    /// Everything that the manifest grants: `[capabilities]` of all levels, topics, configuration.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let mut all = self.granted.clone();
        all.publish.extend(self.publish.keys().cloned());
        all.subscribe.extend(self.subscribe.keys().cloned());
        for (key, declared) in &self.env {
            let set: &mut BTreeSet<EnvKey> =
                if declared.kind == EnvType::Secret { &mut all.secrets } else { &mut all.env };
            set.insert(key.clone());
        }
        all
    }

    /// The file of the component that runs, below the manifest.
    #[must_use]
    pub fn component_file(&self) -> Option<&SourcePath> {
        self.components.first().map(|component| &component.file)
    }

    /// Says whether it works with the platform version `running`.
    #[must_use]
    pub fn admits_platform(&self, running: &Version) -> bool {
        self.package
            .astrid_version
            .as_ref()
            .is_none_or(|requirement| crate::version::platform_admits(requirement, running))
    }

    /// Handlers by what they receive, lowest priority number first, then by pattern.
    #[must_use]
    pub fn handlers(&self) -> Vec<(&TopicPattern, &str, u32)> {
        let mut handlers: Vec<(&TopicPattern, &str, u32)> = self
            .subscribe
            .iter()
            .filter_map(|(pattern, one)| {
                let handler = one.handler.as_deref()?;
                Some((pattern, handler, one.priority.unwrap_or(DEFAULT_PRIORITY)))
            })
            .collect();
        handlers.sort_by_key(|(_, _, priority)| *priority);
        handlers
    }
}
