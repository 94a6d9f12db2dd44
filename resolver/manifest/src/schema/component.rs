//! The shapes of `executor.yaml`, `orchestrator.yaml` and `element.yaml`.
//!
//! The types that are read share what executors and orchestrators have in common; a closed schema can't.

#![expect(dead_code, reason = "only the schema of these types is used")]

use std::collections::BTreeMap;

use astrid_authority::{ActionId, PackId};
use schemars::JsonSchema;

use crate::pack::PackSecret;
use crate::pack::action::{ActionKind, Cache, Docs, Isolation, OutputMode, PortKind};
use crate::pack::element::ElementDependencies;

type Anything = serde_json::Map<String, serde_json::Value>;

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ExecutorFile {
    /// One executor.
    One(Box<ExecutorTable>),
    /// Several executors.
    Several(ExecutorList),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ExecutorList {
    /// The executors.
    #[schemars(length(min = 1, max = 256))]
    executors: Vec<ExecutorTable>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ExecutorTable {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    schema_version: u32,
    /// Its id: the pack's id, a dot, and its own name.
    id: ActionId,
    /// The name that people see.
    name: String,
    /// Its version, in any form.
    version: String,
    /// What it does.
    #[schemars(default)]
    description: String,
    /// The same in a few words.
    #[schemars(default)]
    short_description: String,
    /// Words to find it by.
    #[schemars(default)]
    keywords: Vec<String>,
    /// Who wrote the code that it runs.
    #[schemars(default)]
    kind: ActionKind,
    /// How it is run.
    runtime: Option<RuntimeTable>,
    /// How it is run, when that is a command.
    command: Option<CommandTable>,
    /// What goes in.
    #[schemars(default)]
    inputs: Vec<InputTable>,
    /// What comes out.
    #[schemars(default)]
    outputs: Vec<OutputTable>,
    /// When a run is skipped because its results are there.
    #[schemars(default)]
    cache: Cache,
    /// What it wants around it. Disclosed, and not a sandbox.
    #[schemars(default)]
    isolation: Isolation,
    /// The environment variables with secrets that it reads.
    #[schemars(default)]
    secrets: Vec<PackSecret>,
    /// Scopes of configuration that it reads.
    #[schemars(default)]
    scoped_configs: Vec<String>,
    /// Its documentation.
    #[schemars(default)]
    docs: Docs,
    /// Anything else.
    #[schemars(default)]
    metadata: Anything,
    /// When it applies; not interpreted.
    #[schemars(default)]
    conditions: Vec<serde_json::Value>,
    /// Its place in a graph; not interpreted.
    #[schemars(default)]
    graph: Anything,
    /// Kinds of clips that it takes; not interpreted.
    #[schemars(default)]
    clip_kinds_supported: Vec<serde_json::Value>,
    /// What a pipeline must have; not interpreted.
    #[schemars(default)]
    pipeline_requirements: Vec<serde_json::Value>,
    /// A runtime outside of the machine; not interpreted.
    #[schemars(default)]
    external_runtime: Anything,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct OrchestratorFile {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    schema_version: u32,
    /// Its id: the pack's id, a dot, and its own name.
    id: ActionId,
    /// The name that people see.
    name: String,
    /// Its version, in any form.
    version: String,
    /// What it does.
    #[schemars(default)]
    description: String,
    /// The same in a few words.
    #[schemars(default)]
    short_description: String,
    /// Words to find it by.
    #[schemars(default)]
    keywords: Vec<String>,
    /// Who wrote the code that it runs.
    #[schemars(default)]
    kind: ActionKind,
    /// How it is run.
    runtime: RuntimeTable,
    /// What goes in.
    #[schemars(default)]
    inputs: Vec<InputTable>,
    /// What comes out.
    #[schemars(default)]
    outputs: Vec<OutputTable>,
    /// The executors that it runs.
    #[schemars(default)]
    child_executors: Vec<ActionId>,
    /// The orchestrators that it runs.
    #[schemars(default)]
    child_orchestrators: Vec<ActionId>,
    /// When a run is skipped because its results are there.
    #[schemars(default)]
    cache: Cache,
    /// What it wants around it. Disclosed, and not a sandbox.
    #[schemars(default)]
    isolation: Isolation,
    /// The environment variables with secrets that it reads.
    #[schemars(default)]
    secrets: Vec<PackSecret>,
    /// Scopes of configuration that it reads.
    #[schemars(default)]
    scoped_configs: Vec<String>,
    /// Its documentation.
    #[schemars(default)]
    docs: Docs,
    /// Anything else.
    #[schemars(default)]
    metadata: Anything,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum RuntimeTable {
    /// A file of Python, run as a program.
    PythonCli(PythonCliTable),
    /// A function of a module of Python.
    Python(PythonTable),
    /// A command.
    Command(CommandRuntimeTable),
    /// A command, in its old form.
    OldCommand(OldCommandRuntimeTable),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PythonCliTable {
    /// Always `python-cli`.
    #[schemars(rename = "type", extend("const" = "python-cli"))]
    kind: String,
    /// The file, from the folder of the component.
    entrypoint: String,
    /// The name of what it is called by.
    callable: Option<String>,
    /// The function that is called.
    function: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PythonTable {
    /// Always `python`.
    #[schemars(extend("const" = "python"))]
    kind: String,
    /// The module, from the folder of the component.
    module: String,
    /// The function that is called.
    function: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CommandRuntimeTable {
    /// Always `command`.
    #[schemars(extend("const" = "command"))]
    kind: String,
    /// The command.
    command: CommandTable,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct OldCommandRuntimeTable {
    /// Always `command`.
    #[schemars(rename = "type", extend("const" = "command"))]
    kind: String,
    /// The command.
    command: CommandTable,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CommandTable {
    /// The program and its arguments, with placeholders such as `{input}`.
    #[schemars(length(min = 1))]
    argv: Vec<String>,
    /// The folder that it is run in.
    cwd: Option<String>,
    /// Environment variables that are set for it.
    #[schemars(default)]
    env: BTreeMap<String, String>,
    /// Inputs that become arguments.
    #[schemars(default)]
    input_args: Vec<InputArgTable>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct InputArgTable {
    /// The name of the input.
    input: String,
    /// The flag before its value.
    flag: Option<String>,
    /// The flag is repeated for each value.
    #[schemars(default)]
    repeatable: bool,
    /// It is left out when the input has no value.
    #[schemars(default)]
    optional: bool,
    /// The argument that it is put before.
    before: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct InputTable {
    /// Its name.
    name: String,
    /// Its type; `path` when it is not said.
    #[schemars(rename = "type", default)]
    kind: PortKind,
    /// It must be given; true when it is not said.
    required: Option<bool>,
    /// What is taken when nothing is given.
    default: Option<serde_json::Value>,
    /// What it is.
    description: Option<String>,
    /// The name of its placeholder.
    placeholder: Option<String>,
    /// The type of the artifact that it is.
    artifact_type: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct OutputTable {
    /// Its name.
    name: String,
    /// Its type; `path` when it is not said.
    #[schemars(rename = "type", default)]
    kind: PortKind,
    /// What happens to what is there.
    #[schemars(default)]
    mode: OutputMode,
    /// Where it is written, with placeholders.
    path_template: Option<String>,
    /// The extension of its file.
    extension: Option<String>,
    /// The name of its placeholder.
    placeholder: Option<String>,
    /// What it is.
    description: Option<String>,
    /// The type of the artifact that it is.
    artifact_type: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct ElementFile {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    schema_version: u32,
    /// Its id among the elements of its kind.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]*$"))]
    id: String,
    /// `effect`, `animation`, `transition`, or a kind that its pack declares.
    kind: String,
    /// The pack that it belongs to.
    pack_id: PackId,
    /// What people see of it.
    metadata: Anything,
    /// The schema of its parameters.
    schema: Anything,
    /// The defaults of its parameters.
    defaults: Anything,
    /// What it needs.
    dependencies: ElementDependencies,
    /// What it does.
    #[schemars(default)]
    description: String,
    /// The same in a few words.
    #[schemars(default)]
    short_description: String,
    /// Words to find it by.
    #[schemars(default)]
    keywords: Vec<String>,
    /// What goes in.
    #[schemars(default)]
    inputs: Vec<InputTable>,
    /// What comes out.
    #[schemars(default)]
    outputs: Vec<OutputTable>,
    /// Files that belong to it, by purpose.
    #[schemars(default)]
    assets: BTreeMap<String, String>,
    /// What draws it.
    runtime: Option<AdapterTable>,
    /// Its documentation.
    #[schemars(default)]
    docs: Docs,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AdapterTable {
    /// The adapter.
    adapter: Option<String>,
}
