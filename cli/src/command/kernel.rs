//! The verbs that talk with the kernel, and what a switch does about it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use astrid_authority::Digest;
use astrid_daemon::ports::of_machine;
use astrid_daemon::{
    Client, ClientError, Ended, Foreground, ForegroundEvent, LaunchError, Loading, SandboxHooks, Start,
    Stopped, run_foreground, start as launch, stop as halt,
};
use astrid_manifest::Lock;
use astrid_resolver::Context;
use astrid_resolver::observed::ObservedKernel;
use astrid_store::Generations;
use astrid_store::generation::GenerationNumber;
use serde_json::{Value, json};

use super::status::KernelReport;
use crate::args::{BootArgs, StartArgs, StopArgs, ToolsCallArgs, ToolsVerb};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::{count, table};

/// How long a kernel may take until it is ready, when a switch starts it.
const READY_WITHIN: Duration = Duration::from_mins(1);

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = safe(&error.to_string());
        match &error {
            ClientError::NotRunning => Self::new(Kind::KernelUnreachable, "the kernel does not run")
                .hint("`astrid start` starts it in the background, `astrid up` in the foreground"),
            error if error.is_unreachable() => Self::new(Kind::KernelUnreachable, message)
                .hint("`astrid stop`, then `astrid start`; check --home if you use several"),
            ClientError::Timeout(_) => {
                Self::new(Kind::Unhealthy, message).hint("`astrid ps` shows what it does")
            }
            _ => Self::failed(message),
        }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let kind = match &error {
            LaunchError::NotReady { .. } => Kind::Unhealthy,
            _ => Kind::Failed,
        };
        let text = error.to_string();
        let mut lines = text.lines().map(|line| safe(line.trim()));
        let message = lines.next().unwrap_or_default();
        Self::new(kind, message.trim_end_matches(':').to_owned()).because(lines)
    }
}

/// Says whether a kernel is started after the switch, where none runs.
fn starts_kernel(session: &Session, boot: &BootArgs) -> bool {
    !boot.no_boot && (boot.boot || session.world.input_is_terminal)
}

/// Lifecycle hooks of a new generation, run in the sandbox before the switch.
pub(crate) fn hooks(session: &Session, context: &Context, boot: &BootArgs) -> SandboxHooks {
    // What is about to run is loaded first: a capsule that can't be is never switched to.
    let loading = if starts_kernel(session, boot) { Loading::All } else { Loading::WithHooks };
    let disk = context.store.disk().clone();
    let ports = of_machine(&context.home, &disk);
    SandboxHooks::new(context.home.clone(), disk, ports, loading)
}

/// After a switch: a running kernel goes to the new generation; one is started where that was asked for.
pub(crate) fn after_switch(
    session: &mut Session,
    context: &Context,
    boot: &BootArgs,
    lock: &Lock,
    generation: Option<GenerationNumber>,
) -> Result<Value, Failure> {
    let Some(generation) = generation.filter(|_| !boot.no_boot) else { return Ok(Value::Null) };
    match Client::connect_owner(&context.home) {
        Ok(mut client) => {
            let converged = client.converge(generation)?;
            let document = json!(converged);
            let counted = |key: &str, word: &str| {
                let number = document[key].as_array().map_or(0, Vec::len);
                (number > 0).then(|| format!("{number} {word}"))
            };
            let parts: Vec<String> = [
                counted("loaded", "loaded"),
                counted("replaced", "replaced"),
                counted("kept", "kept"),
                counted("unloaded", "unloaded"),
            ]
            .into_iter()
            .flatten()
            .collect();
            session.shell.note(&format!("the kernel runs generation {generation}: {}", parts.join(", ")));
            if !converged.failed.is_empty() {
                return Err(unhealthy(
                    converged.failed.iter().map(|(name, why)| (name.to_string(), why.clone())),
                ));
            }
            Ok(document)
        }
        Err(ClientError::NotRunning) => {
            if !starts_kernel(session, boot) || lock.capsules.is_empty() {
                return Ok(Value::Null);
            }
            start_kernel(session, context, READY_WITHIN)
        }
        Err(error) => Err(error.into()),
    }
}

fn unhealthy(failed: impl IntoIterator<Item = (String, String)>) -> Failure {
    let reasons: Vec<String> =
        failed.into_iter().map(|(name, why)| format!("capsule:{name}: {}", safe(&why))).collect();
    Failure::new(Kind::Unhealthy, format!("{} not healthy", count(reasons.len(), "capsule is")))
        .because(reasons)
        .hint("`astrid ps` shows the state of each; `astrid rollback` goes back to the generation before")
}

fn start_kernel(session: &mut Session, context: &Context, timeout: Duration) -> Result<Value, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program's own file can't be found: {error}")))?;
    let workspace = session.world.folder.clone();
    let started = launch(&Start { program: &program, home: &context.home, workspace: &workspace, timeout })?;
    let status = json!(started.status);
    let word = if started.already_ran { "the kernel runs already" } else { "the kernel runs" };
    session.shell.note(&format!("{word} (process {}): {}", started.status.pid, described(&status)));
    let failed: Vec<(String, String)> = failed_capsules(&status);
    if !failed.is_empty() {
        return Err(unhealthy(failed));
    }
    if let Some(reason) = status["reason"].as_str() {
        return Err(Failure::new(Kind::Unhealthy, format!("the fleet was not brought up: {}", safe(reason)))
            .hint("apply a generation that can run, or go back with `astrid rollback`"));
    }
    Ok(status)
}

fn failed_capsules(status: &Value) -> Vec<(String, String)> {
    let capsules = status["capsules"].as_array().map(Vec::as_slice).unwrap_or_default();
    capsules
        .iter()
        .filter(|capsule| capsule["state"] == "failed")
        .map(|capsule| {
            let text = |key: &str| capsule[key].as_str().unwrap_or("no reason given").to_owned();
            (text("name"), text("reason"))
        })
        .collect()
}

/// `generation 3, 7 capsules, healthy`
fn described(status: &Value) -> String {
    let generation = match &status["generation"]["number"] {
        Value::Null => "no generation".to_owned(),
        number => format!("generation {number}"),
    };
    let capsules = status["capsules"].as_array().map_or(0, Vec::len);
    format!(
        "{generation}, {}, {}",
        count(capsules, "capsule"),
        status["health"].as_str().unwrap_or("unknown")
    )
}

/// What is known about the kernel, for `status`; no answer is an answer as well.
pub(crate) fn observed(context: &Context) -> KernelReport {
    let status = Client::connect_owner(&context.home).and_then(|mut client| client.status());
    let status = match status {
        Ok(status) => status,
        Err(ClientError::NotRunning) => return KernelReport::stopped(),
        Err(error) => {
            return KernelReport {
                observed: None,
                document: json!({ "running": true, "error": error.to_string() }),
                pretty: format!("kernel    does not answer: {}\n", safe(&error.to_string())),
            };
        }
    };
    let document = json!(status);
    let failed = failed_capsules(&document);
    let loaded: BTreeMap<_, Digest> = status
        .capsules
        .iter()
        .filter(|capsule| !failed.iter().any(|(name, _)| *name == capsule.name.as_str()))
        .map(|capsule| (capsule.name.clone(), capsule.content))
        .collect();
    let mut pretty = format!("kernel    process {}, {}\n", status.pid, described(&document));
    for (name, why) in &failed {
        put!(pretty, "          failed capsule:{name}: {}\n", safe(why));
    }
    let generation = status.generation.and_then(|own| GenerationNumber::new(own.number));
    KernelReport {
        observed: Some(ObservedKernel { generation, loaded }),
        document: json!({
            "running": true,
            "pid": status.pid,
            "version": status.version,
            "ready": status.ready,
            "health": status.health,
            "generation": status.generation,
            "uptime_ms": status.uptime_ms,
            "capsules": status.capsules.len(),
        }),
        pretty,
    }
}

/// `start`
pub(crate) fn start(session: &mut Session, args: &StartArgs) -> Outcome {
    let context = session.context()?;
    applied(session, &context)?;
    let document = start_kernel(session, &context, args.timeout)?;
    session.shell.show(&document, "")?;
    Ok(DONE)
}

/// There is something to run.
fn applied(session: &Session, context: &Context) -> Result<(), Failure> {
    if Generations::new(context.home.clone(), session.disk()).current_number()?.is_none() {
        return Err(Failure::failed("nothing is applied yet, so there is nothing to run")
            .hint("`astrid init` installs the starter, `astrid apply` the distro of this folder"));
    }
    Ok(())
}

/// `stop`
pub(crate) fn stop(session: &mut Session, args: &StopArgs) -> Outcome {
    let home = session.home()?;
    let (word, said) = match halt(&home, args.timeout)? {
        Stopped::DidNotRun => ("did-not-run", "the kernel does not run"),
        Stopped::Gracefully => ("stopped", "the kernel has stopped"),
        Stopped::BySignal => ("killed", "the kernel did not answer, and its process was ended"),
    };
    session.shell.note(said);
    session.shell.show(&json!({ "result": word }), "")?;
    Ok(DONE)
}

/// `up`
pub(crate) fn up(session: &mut Session) -> Outcome {
    let context = session.context()?;
    applied(session, &context)?;
    serve(session, true)
}

/// `daemon`: the same, with its log on standard error.
pub(crate) fn daemon(session: &mut Session) -> Outcome {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .with_max_level(if session.shell.is_verbose() { tracing::Level::DEBUG } else { tracing::Level::INFO })
        .init();
    serve(session, false)
}

fn serve(session: &mut Session, for_people: bool) -> Outcome {
    let home = session.home()?;
    let disk = session.disk();
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program's own file can't be found: {error}")))?;
    let options = Foreground {
        ports: of_machine(&home, &disk),
        home,
        disk,
        workspace: Some(session.world.folder.clone()),
        program,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let shell = &mut session.shell;
    let ended = run_foreground(options, |event| match event {
        ForegroundEvent::Ready(status) if for_people => {
            let status = json!(status);
            shell.note(&format!(
                "the kernel runs: {}; stop it with Ctrl-C or `astrid stop`",
                described(&status)
            ));
            for (name, why) in failed_capsules(&status) {
                shell.warn(&format!("capsule:{name} failed: {}", safe(&why)));
            }
        }
        ForegroundEvent::Stopping if for_people => shell.note("stopping"),
        ForegroundEvent::Ready(status) => {
            tracing::info!(pid = status.pid, "ready: {}", described(&json!(status)));
        }
        ForegroundEvent::Stopping => tracing::info!("stopping"),
    });
    match ended {
        Ok(Ended::Stopped) => Ok(DONE),
        Ok(Ended::Interrupted) => Ok(Kind::Interrupted.code()),
        Err(error) => Err(Failure::failed(safe(&error.to_string()))
            .hint("`astrid status` shows whether another kernel runs for this home")),
    }
}

/// `ps`
pub(crate) fn ps(session: &mut Session) -> Outcome {
    let home = session.home()?;
    let capsules = Client::connect_owner(&home)?.ps()?;
    let document = json!(capsules);
    let text = |value: &Value| match value {
        Value::String(text) => safe(text),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let empty = Vec::new();
    let items = document.as_array().unwrap_or(&empty);
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|capsule| {
            let tools = capsule["tools"].as_array().map_or(0, Vec::len).to_string();
            let mut row: Vec<String> = ["name", "version", "state", "health", "invocations", "restarts"]
                .iter()
                .map(|key| text(&capsule[*key]))
                .collect();
            row.push(tools);
            row
        })
        .collect();
    let mut pretty = table(&["CAPSULE", "VERSION", "STATE", "HEALTH", "CALLS", "RESTARTS", "TOOLS"], &rows);
    for capsule in items.iter().filter(|capsule| capsule["reason"].is_string()) {
        put!(pretty, "{}: {}\n", text(&capsule["name"]), text(&capsule["reason"]));
    }
    session.shell.show(&json!({ "capsules": document }), &pretty)?;
    Ok(DONE)
}

/// `tools`
pub(crate) fn tools(session: &mut Session, verb: &ToolsVerb) -> Outcome {
    match verb {
        ToolsVerb::List => tools_list(session),
        ToolsVerb::Call(args) => tools_call(session, args),
    }
}

fn tools_list(session: &mut Session) -> Outcome {
    let home = session.home()?;
    let tools = Client::connect_owner(&home)?.tools()?;
    let rows: Vec<Vec<String>> = tools
        .iter()
        .map(|tool| vec![safe(&tool.name), tool.capsule.to_string(), first_sentence(&tool.description)])
        .collect();
    let pretty = if rows.is_empty() {
        "no tool\n".to_owned()
    } else {
        table(&["TOOL", "CAPSULE", "WHAT IT DOES"], &rows)
    };
    session.shell.show(&json!({ "tools": tools }), &pretty)?;
    Ok(DONE)
}

/// The first sentence of a text that may be wrapped in lines.
fn first_sentence(text: &str) -> String {
    let text = safe(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

fn tools_call(session: &mut Session, args: &ToolsCallArgs) -> Outcome {
    let text = if args.args == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        text
    } else {
        args.args.clone()
    };
    let arguments: Value = serde_json::from_str(&text).ok().filter(Value::is_object).ok_or_else(|| {
        Failure::usage("--args takes a JSON object").hint("such as --args '{\"path\": \"README.md\"}'")
    })?;
    let home = session.home()?;
    let result = Client::connect_owner(&home)?.tool_call(&args.name, arguments, args.timeout)?;
    // Most answers are JSON in a text: programs should not have to parse twice.
    let content: Value =
        serde_json::from_str(&result.content).unwrap_or_else(|_| Value::String(result.content.clone()));
    if result.is_error {
        let said = content.get("error").and_then(Value::as_str).map_or(result.content.clone(), str::to_owned);
        return Err(Failure::failed(format!("the tool `{}` failed: {}", safe(&args.name), printable(&said))));
    }
    let mut pretty = printable(&result.content);
    if !pretty.ends_with('\n') {
        pretty.push('\n');
    }
    session.shell.show(&json!({ "tool": args.name, "result": content }), &pretty)?;
    Ok(DONE)
}

/// What a tool answered, line by line, without anything that could steer the terminal.
fn printable(text: &str) -> String {
    let lines: Vec<String> =
        text.split('\n').map(|line| safe(line.trim_end_matches('\r')).replace("\\u{9}", "\t")).collect();
    lines.join("\n")
}

/// Asks a component for its tools, in a sandbox that grants it nothing.
pub(crate) struct Sandbox;

impl astrid_build::Describe for Sandbox {
    fn describe(&self, component: &[u8]) -> Result<Option<String>, astrid_build::DescribeError> {
        let failed = |error: &dyn std::fmt::Display| astrid_build::DescribeError(error.to_string());
        let scratch = tempfile::tempdir().map_err(|error| failed(&error))?;
        astrid_daemon::describe::describe(component, scratch.path()).map_err(|error| failed(&error))
    }
}
