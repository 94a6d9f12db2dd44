//! How an action is run: a file of Python, a module of Python, or a command.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::read::{indexed, nullable};
use super::{Output, Port, placeholder};
use crate::document::reader::{closest, shown};
use crate::document::{Context, Node, Table, Text, Unknown, Value};
use crate::pack::around::{self, Around};

/// How an action is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Runtime {
    /// A file of Python, run as a program.
    PythonCli {
        /// The file, from the folder of the component.
        entrypoint: String,
        /// The name of what it is called by.
        #[serde(skip_serializing_if = "Option::is_none")]
        callable: Option<String>,
        /// The function that is called.
        #[serde(skip_serializing_if = "Option::is_none")]
        function: Option<String>,
    },
    /// A function of a module of Python.
    #[serde(rename = "python")]
    PythonModule {
        /// The module, from the folder of the component.
        module: String,
        /// The function that is called.
        function: String,
    },
    /// A command.
    Command(Command),
}

/// A command: a program and what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The program and its arguments, with placeholders.
    pub argv: Vec<String>,
    /// The folder that it is run in, with placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment variables that are set for it.
    pub env: BTreeMap<String, String>,
    /// Inputs that become arguments.
    pub input_args: Vec<InputArg>,
}

/// `input_args[]`: an input that becomes arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputArg {
    /// The name of the input.
    pub input: String,
    /// The flag before its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// The flag is repeated for each value.
    pub repeatable: bool,
    /// It is left out when the input has no value.
    pub optional: bool,
    /// The argument that it is put before; at the end without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl Runtime {
    /// The word in manifests.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::PythonCli { .. } => "python-cli",
            Self::PythonModule { .. } => "python",
            Self::Command(_) => "command",
        }
    }

    /// The file of the pack that it starts with, from the pack's root, for a component in `folder`; none when it
    /// starts with a program of the machine.
    #[must_use]
    pub fn entry_file(&self, folder: &str, has: &dyn Fn(&str) -> bool) -> Option<String> {
        match self {
            Self::PythonCli { entrypoint, .. } => around::join(folder, entrypoint),
            Self::PythonModule { module, .. } => {
                module_files(folder, module).into_iter().find(|file| has(file))
            }
            Self::Command(command) => command.entrypoint().and_then(|(_, part)| around::join(folder, part)),
        }
    }
}

impl Command {
    /// The argument that is a file of the pack, and its index: the program when it is a relative path, else the
    /// first argument that is a script by its name. What has a placeholder or a space in it is none.
    #[must_use]
    pub fn entrypoint(&self) -> Option<(usize, &str)> {
        const SCRIPTS: [&str; 8] = [".py", ".sh", ".js", ".mjs", ".ts", ".rb", ".pl", ".lua"];
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['-', '/', '~'])
                && !part.contains(['{', '}', '\\', ':'])
                && !part.contains(char::is_whitespace)
        };
        let is_script = |part: &str| SCRIPTS.iter().any(|extension| part.ends_with(extension));
        let mut parts = self.argv.iter().map(String::as_str).enumerate();
        parts.find(|(at, part)| plain(part) && (is_script(part) || *at == 0 && part.contains('/')))
    }
}

/// The files that a module of Python may be in, from the pack's root, for a component in `folder`.
pub(crate) fn module_files(folder: &str, module: &str) -> Vec<String> {
    let path = module.replace('.', "/");
    [format!("{path}.py"), format!("{path}/__init__.py")]
        .iter()
        .filter_map(|file| around::join(folder, file))
        .collect()
}

/// A name of Python, with dots between when it is a module.
fn is_python_name(text: &str, dots: bool) -> bool {
    let word = |word: &str| {
        let mut characters = word.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|character| character.is_alphanumeric() || character == '_')
    };
    if dots { text.split('.').all(word) } else { word(text) }
}

/// What the readers of a runtime know: the action's inputs, and the pack when it is read as a whole.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    pub(crate) inputs: &'k [Port],
    pub(crate) outputs: &'k [Output],
    pub(crate) around: Option<&'k Around<'k>>,
}

const WORDS: &str = "write `type: python-cli`, `kind: python` or `kind: command`";

/// Reads `runtime`.
pub(crate) fn read(context: &Context<'_>, mut table: Table<'_, '_>, known: Known<'_>) -> Option<Runtime> {
    if !table.has("type") && !table.has("kind") {
        let message = format!("{} needs `type` or `kind`", table.name);
        context.error_help(&table.span, "missing-field", message, WORDS);
    }
    let by_type = table.text("type");
    let by_kind = table.text("kind");
    if let (Some(_), Some(text)) = (&by_type, &by_kind) {
        context.error(&text.span, "wrong-value", "a runtime has `type` or `kind`, not both");
    }
    let (word, is_type) = match (by_type, by_kind) {
        (Some(word), _) => (Some(word), true),
        (None, word) => (word, false),
    };
    let runtime = match word.as_ref().map(|word| (word.value.as_ref(), is_type)) {
        Some(("python-cli", true)) => python_cli(&mut table, known.around),
        Some(("python", false)) => python_module(&mut table, known.around),
        Some(("command", _)) => {
            let below = table.needed_table("command");
            below.and_then(|below| command(context, below, known)).map(Runtime::Command)
        }
        _ => {
            if let Some(word) = &word {
                wrong_word(context, word, is_type);
            }
            // What else is there belongs to a runtime that nobody knows.
            table.rest();
            None
        }
    };
    table.finish(Unknown::Error);
    runtime
}

fn wrong_word(context: &Context<'_>, text: &Text<'_>, is_type: bool) {
    let help = match text.value.as_ref() {
        "python" => "write `kind: python`",
        "python-cli" => "write `type: python-cli`",
        _ => WORDS,
    };
    let key = if is_type { "type" } else { "kind" };
    let message = format!("`{key}: {}` is no runtime", shown(&text.value));
    context.error_help(&text.span, "wrong-value", message, help);
}

fn python_name(table: &Table<'_, '_>, text: &Text<'_>, key: &str, dots: bool) {
    if !is_python_name(&text.value, dots) {
        table.context.error(&text.span, "wrong-value", format!("`{key}` is no name of Python"));
    }
}

fn python_cli(table: &mut Table<'_, '_>, around: Option<&Around<'_>>) -> Option<Runtime> {
    let entrypoint = table.needed_text("entrypoint");
    let callable = table.text("callable");
    let function = table.text("function");
    for (text, key) in [(&callable, "callable"), (&function, "function")] {
        if let Some(text) = text {
            python_name(table, text, key, true);
        }
    }
    let entrypoint = entrypoint?;
    around::entry_file(table.context, around, &entrypoint, "runtime.entrypoint");
    Some(Runtime::PythonCli {
        entrypoint: entrypoint.value.into_owned(),
        callable: callable.map(|text| text.value.into_owned()),
        function: function.map(|text| text.value.into_owned()),
    })
}

fn python_module(table: &mut Table<'_, '_>, around: Option<&Around<'_>>) -> Option<Runtime> {
    let module = table.needed_text("module");
    let function = table.needed_text("function");
    if let Some(text) = &function {
        python_name(table, text, "function", true);
    }
    if let Some(text) = &module {
        python_name(table, text, "module", true);
        if let Some(around) = around
            && is_python_name(&text.value, true)
        {
            let files = module_files(around.folder, &text.value);
            if !files.iter().any(|file| around.paths.has_file(file)) {
                let message = format!("`runtime.module`: there is no {}", files.join(" and no "));
                table.context.error(&text.span, "entrypoint", message);
            }
        }
    }
    Some(Runtime::PythonModule { module: module?.value.into_owned(), function: function?.value.into_owned() })
}

/// Reads a command.
pub(crate) fn command(context: &Context<'_>, mut table: Table<'_, '_>, known: Known<'_>) -> Option<Command> {
    let span = table.key_span("argv");
    if !table.has("argv") {
        table.missing("argv");
    }
    let texts = table.texts("argv");
    if let Some(span) = &span
        && texts.first().is_none_or(|first| first.value.trim().is_empty())
    {
        context.error(span, "blank", "`command.argv` names no program");
    }
    for text in &texts {
        no_nul(context, &text.span, &text.value, "command.argv");
        placeholder::check(context, &text.span, &text.value, known.inputs, known.outputs);
    }
    let cwd = table.text("cwd");
    if let Some(text) = &cwd {
        no_nul(context, &text.span, &text.value, "command.cwd");
        placeholder::check(context, &text.span, &text.value, known.inputs, known.outputs);
    }
    let env = table.take("env").map(|node| environment(context, node, known)).unwrap_or_default();
    let input_args = indexed(&mut table, "input_args", "command.input_args");
    let input_args =
        input_args.into_iter().filter_map(|below| input_arg(below, known.inputs, &texts)).collect();
    table.finish(Unknown::Error);
    let spans: Vec<Range<usize>> = texts.iter().map(|text| text.span.clone()).collect();
    let command = Command {
        argv: texts.into_iter().map(|text| text.value.into_owned()).collect(),
        cwd: cwd.map(|text| text.value.into_owned()),
        env,
        input_args,
    };
    if let (Some(around), Some((at, part))) = (known.around, command.entrypoint())
        && let Some(span) = spans.get(at)
    {
        around::file(context, around, span, part, "command.argv");
    }
    span.map(|_| command)
}

fn no_nul(context: &Context<'_>, span: &Range<usize>, text: &str, key: &str) {
    if text.contains('\0') {
        context.error(span, "wrong-value", format!("`{key}` holds a NUL character"));
    }
}

fn environment(context: &Context<'_>, node: Node<'_>, known: Known<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(mut table) = Table::new(context, node, "`command.env`") else { return found };
    for (key, node) in table.rest() {
        if key.name.is_empty() || key.name.contains(['=', '\0']) || key.name.contains(char::is_whitespace) {
            context.error(
                &key.span,
                "wrong-value",
                "the name of an environment variable is not blank and has no `=`",
            );
            continue;
        }
        match node.value {
            Value::String(value) => {
                no_nul(context, &node.span, &value, "command.env");
                placeholder::check(context, &node.span, &value, known.inputs, known.outputs);
                found.insert(key.name.into_owned(), value.into_owned());
            }
            other => {
                let message = format!("a variable of `command.env` is a string, and here {}", other.kind());
                context.error_help(&node.span, "wrong-type", message, "put it in quotes");
            }
        }
    }
    found
}

fn input_arg(mut table: Table<'_, '_>, inputs: &[Port], argv: &[Text<'_>]) -> Option<InputArg> {
    let input = table.needed_text("input");
    let flag = nullable(&mut table, "flag");
    let repeatable = table.flag("repeatable");
    let optional = table.flag("optional");
    let place = table.key_span("before");
    let before = nullable(&mut table, "before");
    if let (Some(before), Some(place)) = (&before, place)
        && !argv.iter().any(|argument| argument.value == *before)
    {
        let message = format!("`before`: `{}` is no argument of `argv`", shown(before));
        table.context.error(&place, "unknown-argument", message);
    }
    if let Some(text) = &input
        && !inputs.iter().any(|port| port.name == text.value)
    {
        let message = format!("there is no input `{}`", shown(&text.value));
        let names = inputs.iter().take(64).map(|port| port.name.as_str());
        match closest(&text.value, names) {
            Some(name) => {
                table.context.error_help(
                    &text.span,
                    "unknown-input",
                    message,
                    format!("did you mean `{name}`?"),
                );
            }
            None => table.context.error(&text.span, "unknown-input", message),
        }
    }
    table.finish(Unknown::Error);
    Some(InputArg { input: input?.value.into_owned(), flag, repeatable, optional, before })
}
