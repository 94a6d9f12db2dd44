//! The shape of `Capsule.toml`, with its short and long forms.
//!
//! [`crate::CapsuleManifest`] is what the file means, which has another shape than its text.

#![expect(dead_code, reason = "only the schema of these types is used")]

use std::collections::BTreeMap;

use astrid_authority::Digest;
use schemars::JsonSchema;

use crate::capsule::{CommandKind, ComponentKind, OptionsFrom, Package};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct CapsuleFile {
    /// Who it is.
    package: Package,
    /// Its WebAssembly components; only the first one runs.
    #[schemars(default)]
    component: Vec<ComponentTable>,
    /// Interfaces that it needs: `"namespace:interface" = "^1.0"`, or a table per namespace.
    #[schemars(default)]
    imports: BTreeMap<String, InterfaceEntry>,
    /// Interfaces that it offers: `"namespace:interface" = "1.0.0"`, or a table per namespace.
    #[schemars(default)]
    exports: BTreeMap<String, InterfaceEntry>,
    /// Topics that it may publish on.
    #[schemars(default)]
    publish: BTreeMap<String, PublishEntry>,
    /// Topics that it may receive.
    #[schemars(default)]
    subscribe: BTreeMap<String, SubscribeEntry>,
    /// What it is granted.
    #[schemars(default)]
    capabilities: CapabilitiesTable,
    /// Configuration that it reads.
    #[schemars(default)]
    env: BTreeMap<String, EnvTable>,
    /// Commands that it offers to people.
    #[schemars(default)]
    command: Vec<CommandTable>,
    /// MCP servers that it brings.
    #[schemars(default)]
    mcp_server: Vec<McpServerTable>,
    /// Platforms that it connects.
    #[schemars(default)]
    uplink: Vec<UplinkTable>,
    /// Files for the context of a model.
    #[schemars(default)]
    context_file: Vec<ContextFileTable>,
    /// Tools, for people to read.
    #[schemars(default)]
    tool: Vec<ToolTable>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ComponentTable {
    /// Its local id.
    id: Option<String>,
    /// The file, below the manifest.
    file: Option<String>,
    /// Another name of `file`.
    entrypoint: Option<String>,
    /// What it is.
    #[schemars(rename = "type")]
    kind: Option<ComponentKind>,
    /// Of the file.
    hash: Option<Digest>,
    /// Reserved.
    #[schemars(default)]
    link: Vec<String>,
    /// Added to the capabilities of the manifest.
    capabilities: Option<CapabilitiesTable>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum InterfaceEntry {
    Short(String),
    Long(InterfaceTable),
    Namespace(BTreeMap<String, InterfaceValue>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum InterfaceValue {
    Short(String),
    Long(InterfaceTable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct InterfaceTable {
    /// A requirement of an import, a version of an export.
    version: String,
    /// Imports only: it also works without.
    #[schemars(default)]
    optional: bool,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum PublishEntry {
    Short(String),
    Long(PublishTable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PublishTable {
    /// The type of its messages; `opaque` is untyped.
    wit: String,
    version: Option<String>,
    tag: Option<String>,
    rev: Option<String>,
    branch: Option<String>,
    path: Option<String>,
    /// The last segment names a recipient.
    #[schemars(default)]
    fanout: bool,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum SubscribeEntry {
    Short(String),
    Long(SubscribeTable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SubscribeTable {
    /// The type of its messages; `opaque` is untyped.
    wit: String,
    version: Option<String>,
    tag: Option<String>,
    rev: Option<String>,
    branch: Option<String>,
    path: Option<String>,
    /// What is called.
    handler: Option<String>,
    /// Lower comes first; 100 unless said otherwise.
    priority: Option<u32>,
}

#[derive(Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CapabilitiesTable {
    /// Files it may read: `cwd://DIR`, `home://DIR`, `/tmp/DIR`, `*` (the workspace), a path.
    #[schemars(default)]
    fs_read: Vec<String>,
    /// Files it may create, change and delete.
    #[schemars(default)]
    fs_write: Vec<String>,
    /// Hosts of HTTP requests: `example.org`, `*.example.org`, `*`.
    #[schemars(default)]
    net: Vec<String>,
    /// Addresses it may connect to: `host:port`, `host:*`, `*:port`.
    #[schemars(default)]
    net_connect: Vec<String>,
    /// Addresses it may listen on: `unix:*`, `host:port`.
    #[schemars(default)]
    net_bind: Vec<String>,
    /// Commands it may start, each with any further arguments.
    #[schemars(default)]
    host_process: Vec<String>,
    /// May start processes that outlive the instance.
    #[schemars(default)]
    allow_persistent: bool,
    /// `resolve`, `link`, `admin`.
    #[schemars(default)]
    identity: Vec<String>,
    /// May speak for outside users.
    #[schemars(default)]
    uplink: bool,
    /// May put text into the prompts of models.
    #[schemars(default)]
    allow_prompt_injection: bool,
    /// How many instances serve one listener.
    bind_workers: Option<u32>,
    /// Reserved.
    #[schemars(default)]
    kv: Vec<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EnvTable {
    /// What it may hold.
    #[schemars(rename = "type")]
    kind: EnvWord,
    /// What to ask for.
    request: Option<String>,
    /// What it is.
    description: Option<String>,
    /// What it is when nobody gives a value.
    default: Option<serde_json::Value>,
    /// What it may be.
    #[schemars(default)]
    enum_values: Vec<String>,
    /// An example.
    placeholder: Option<String>,
    /// Where choices are asked for.
    options_from: Option<OptionsFrom>,
    /// Another name of `options_from`.
    #[schemars(rename = "options-from")]
    options_from_alias: Option<OptionsFrom>,
    /// Has no effect in a manifest.
    scope: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum EnvWord {
    Text,
    String,
    Secret,
    Select,
    Array,
    Integer,
    Number,
    Boolean,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CommandTable {
    /// What people type.
    name: String,
    /// What it does.
    description: Option<String>,
    /// A declaration of it.
    file: Option<String>,
    /// Where it is typed.
    kind: Option<CommandKind>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct McpServerTable {
    /// Its id.
    id: String,
    /// What it does.
    description: Option<String>,
    /// `stdio` or `wasm-ipc`.
    #[schemars(rename = "type")]
    kind: Option<String>,
    /// The program; `host_process` must grant it.
    command: Option<String>,
    /// Its arguments.
    #[schemars(default)]
    args: Vec<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct UplinkTable {
    /// Its name.
    name: String,
    /// The platform.
    platform: String,
    /// `chat`, `interactive`, `notify` or `bridge`.
    profile: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ContextFileTable {
    /// Its name.
    name: String,
    /// The file.
    file: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ToolTable {
    /// Its name.
    name: String,
    /// What it does.
    description_for_llm: String,
    /// The type of its input.
    input_schema_wit: Option<String>,
    /// It changes something.
    #[schemars(default)]
    mutable: bool,
}
