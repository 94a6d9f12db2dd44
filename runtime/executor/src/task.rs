//! A component with its inputs: what exactly will be run, where, and what must be there afterwards.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use astrid_manifest::pack::action::{Action, CacheMode, Command, Output, OutputMode, PortKind, Runtime};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};
use crate::inputs::{self, Given, Input, MAX_VALUES};
use crate::isolate::Reach;
use crate::machine::{Machine, PYTHON};
use crate::process::{Environment, Invocation};
use crate::template::{Values, fill};

/// The placeholder of the folder of the pack.
pub const PACK_ROOT: &str = "pack_root";
/// The placeholder of the folder of the component.
pub const COMPONENT_ROOT: &str = "component_root";
/// The placeholder of the command that runs a child of an orchestrator; an argument of its own.
pub const RUN: &str = "run";

/// Calls a function of a module: the folder of the module, its name, the function, its arguments as JSON, and the
/// command that runs children. What it returns is the exit code when it is a whole number, else it is printed.
const CALL: &str = "\
import sys
sys.path[0] = sys.argv[1]
import importlib, json, subprocess
_, _, module, function, given, command = sys.argv
given, command = json.loads(given), json.loads(command)
def run(child, **inputs):
    def text(value):
        return value if isinstance(value, str) else json.dumps(value)
    return subprocess.run([*command, child, *(f'{name}={text(value)}' for name, value in inputs.items())]).returncode
if command:
    given['run'] = run
sys.argv[:] = [module]
called = importlib.import_module(module)
for part in function.split('.'):
    called = getattr(called, part)
result = called(**given)
if isinstance(result, bool):
    sys.exit(0 if result else 1)
if isinstance(result, int):
    sys.exit(result)
if result is not None:
    json.dump(result, sys.stdout)
    print()
";

/// A component of a pack that is on disk.
#[derive(Debug, Clone, Copy)]
pub struct Component<'a> {
    /// What its manifest says.
    pub action: &'a Action,
    /// The folder of the pack.
    pub root: &'a Path,
    /// The folder of the component, from the pack's.
    pub folder: &'a str,
    /// How an orchestrator runs its children: a program and its first arguments. Executors have none.
    pub run: &'a [String],
}

/// Something that will be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The name of the output.
    pub name: String,
    /// Where it will be.
    pub path: PathBuf,
    /// What happens to what is there.
    pub mode: OutputMode,
    /// It is a folder, a file, or either.
    pub kind: PortKind,
}

/// What will be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The process.
    pub invocation: Invocation,
    /// What it makes.
    pub products: Vec<Product>,
    /// Paths that say by being there that there is nothing to do; none when it is run every time.
    pub sentinels: Vec<PathBuf>,
    /// The names of the inputs that were given.
    pub given: Vec<String>,
    /// Paths that inputs name.
    pub sources: Vec<PathBuf>,
}

impl Component<'_> {
    /// What will be run with these inputs. Nothing is written.
    ///
    /// # Errors
    /// When the inputs are not what it takes, or the manifest asks for what can't be done.
    pub fn task(&self, given: &[Given], machine: &Machine<'_>) -> Result<Task> {
        let action = self.action;
        let Some(runtime) = &action.runtime else {
            return Err(Error::invalid(format!(
                "`{}` has no `runtime`: it can be found, and not run",
                action.id
            )));
        };
        self.check_names(given)?;
        let inputs = inputs::read(&action.inputs, &self.of_inputs(given), machine.folder)?;
        check_repeated(&inputs, runtime)?;
        let mut values = self.values(&inputs)?;
        let products = self.products(given, &inputs, &mut values, machine.folder)?;
        let invocation = match runtime {
            Runtime::PythonCli { .. } => self.python_cli(runtime, &inputs, &products, machine)?,
            Runtime::PythonModule { module, function } => {
                self.python_module(module, function, &inputs, &products, machine)?
            }
            Runtime::Command(command) => self.command(command, &inputs, &values, machine)?,
        };
        Ok(Task {
            invocation,
            sentinels: self.sentinels(&values, machine.folder)?,
            products,
            given: given.iter().map(|one| one.name.clone()).collect(),
            sources: sources(&inputs),
        })
    }

    fn of_inputs<'g>(&self, given: &'g [Given]) -> Vec<&'g Given> {
        let is_input = |one: &&Given| self.action.inputs.iter().any(|port| port.name == one.name);
        given.iter().filter(is_input).collect()
    }

    fn check_names(&self, given: &[Given]) -> Result<()> {
        if given.len() > MAX_VALUES {
            return Err(Error::usage(format!("more than {MAX_VALUES} inputs were given")));
        }
        let inputs = self.action.inputs.iter().map(|port| port.name.as_str());
        let outputs = self.action.outputs.iter().map(|output| output.name.as_str());
        let known: Vec<&str> = inputs.chain(outputs).collect();
        let Some(unknown) = given.iter().find(|one| !known.contains(&one.name.as_str())) else {
            return Ok(());
        };
        let error = Error::usage(format!("`{}` takes no `{}`", self.action.id, unknown.name));
        Err(if known.is_empty() {
            error.hint("it takes no inputs")
        } else {
            error.hint(format!("it takes {}", known.join(", ")))
        })
    }

    fn values(&self, inputs: &[Input<'_>]) -> Result<Values> {
        let mut values = Values::new();
        for (name, path) in [(PACK_ROOT, self.root.to_owned()), (COMPONENT_ROOT, self.own_folder())] {
            values.insert(name.to_owned(), text(&path)?);
        }
        for input in inputs {
            let [value] = input.values.as_slice() else { continue };
            insert(&mut values, &input.port.name, input.port.placeholder.as_deref(), &value.text);
        }
        Ok(values)
    }

    fn own_folder(&self) -> PathBuf {
        if self.folder.is_empty() { self.root.to_owned() } else { self.root.join(self.folder) }
    }

    fn products(
        &self,
        given: &[Given],
        inputs: &[Input<'_>],
        values: &mut Values,
        folder: &Path,
    ) -> Result<Vec<Product>> {
        let mut products = Vec::new();
        for output in &self.action.outputs {
            if !output.kind.is_path() {
                continue;
            }
            let Some(path) = product(output, given, inputs, values, folder)? else { continue };
            insert(values, &output.name, output.placeholder.as_deref(), &text(&path)?);
            products.push(Product { name: output.name.clone(), path, mode: output.mode, kind: output.kind });
        }
        Ok(products)
    }

    fn sentinels(&self, values: &Values, folder: &Path) -> Result<Vec<PathBuf>> {
        let cache = &self.action.cache;
        if cache.always_run || cache.mode != CacheMode::Sentinel {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for sentinel in &cache.sentinels {
            let written = fill(sentinel, values, "`cache.sentinels`")?;
            let path = inputs::absolute(&written, folder);
            found.push(path.map_err(|why| Error::invalid(format!("a sentinel {why}")))?);
        }
        Ok(found)
    }

    /// `python3`, and an argument `--NAME=VALUE` for each input and output.
    fn python_cli(
        &self,
        runtime: &Runtime,
        inputs: &[Input<'_>],
        products: &[Product],
        machine: &Machine<'_>,
    ) -> Result<Invocation> {
        let entry = self.entry(runtime)?;
        let mut arguments = vec!["-B".into(), entry.into_os_string()];
        for input in inputs {
            for value in &input.values {
                let name = &input.port.name;
                let by_default = input.port.default == Some(Json::Bool(true));
                match (&value.json, input.port.kind) {
                    (Json::Bool(true), PortKind::Boolean) => arguments.push(format!("--{name}").into()),
                    (_, PortKind::Boolean) if by_default => arguments.push(format!("--no-{name}").into()),
                    (_, PortKind::Boolean) => {}
                    _ => arguments.push(format!("--{name}={}", value.text).into()),
                }
            }
        }
        let is_input = |name: &str| inputs.iter().any(|input| input.port.name == name);
        for product in products.iter().filter(|product| !is_input(&product.name)) {
            let mut argument = OsString::from(format!("--{}=", product.name));
            argument.push(&product.path);
            arguments.push(argument);
        }
        if !self.run.is_empty() {
            arguments.push(format!("--{RUN}={}", Json::from(self.run.to_vec())).into());
        }
        Ok(Self::python(arguments, machine))
    }

    fn python_module(
        &self,
        module: &str,
        function: &str,
        inputs: &[Input<'_>],
        products: &[Product],
        machine: &Machine<'_>,
    ) -> Result<Invocation> {
        let mut given = Map::new();
        for product in products {
            given.insert(product.name.clone(), Json::String(text(&product.path)?));
        }
        for input in inputs {
            if let Some(value) = input.values.first() {
                given.insert(input.port.name.clone(), value.json.clone());
            }
        }
        if !self.run.is_empty() && given.contains_key(RUN) {
            return Err(Error::invalid(format!(
                "`{RUN}` is what an orchestrator's function runs its children with"
            ))
            .hint("give the input another name"));
        }
        let arguments = vec![
            "-B".into(),
            "-c".into(),
            CALL.into(),
            self.own_folder().into_os_string(),
            module.into(),
            function.into(),
            Json::Object(given).to_string().into(),
            Json::from(self.run.to_vec()).to_string().into(),
        ];
        Ok(Self::python(arguments, machine))
    }

    /// `-B` is first among the arguments: nothing is left beside the pack's own files.
    fn python(arguments: Vec<OsString>, machine: &Machine<'_>) -> Invocation {
        Invocation {
            program: PYTHON.into(),
            arguments,
            folder: machine.folder.to_owned(),
            environment: Environment::Users(std::collections::BTreeMap::new()),
        }
    }

    fn command(
        &self,
        command: &Command,
        inputs: &[Input<'_>],
        values: &Values,
        machine: &Machine<'_>,
    ) -> Result<Invocation> {
        let entry = command.entrypoint().map(|(at, _)| at);
        let mut argv: Vec<OsString> = Vec::new();
        // Where each argument of the manifest is now, for what is put before one of them.
        let mut places: Vec<(String, usize)> = Vec::new();
        for (at, template) in command.argv.iter().enumerate() {
            places.push((template.clone(), argv.len()));
            if Some(at) == entry {
                argv.push(self.entry(&Runtime::Command(command.clone()))?.into_os_string());
            } else if template == &format!("{{{RUN}}}") && !self.run.is_empty() {
                argv.extend(self.run.iter().map(OsString::from));
            } else {
                argv.push(fill(template, values, &format!("`command.argv[{at}]`"))?.into());
            }
        }
        for arg in &command.input_args {
            let input = inputs.iter().find(|input| input.port.name == arg.input);
            let extra = flags(arg, input)?;
            let place = arg.before.as_ref().and_then(|before| {
                places.iter().find(|(template, _)| template == before).map(|(_, place)| *place)
            });
            let place = match (&arg.before, place) {
                (Some(before), None) => {
                    return Err(Error::invalid(format!(
                        "`command.input_args`: `{}` is to be put before `{before}`, which is no argument",
                        arg.input
                    )));
                }
                (_, place) => place.unwrap_or(argv.len()),
            };
            for (_, later) in places.iter_mut().filter(|(_, later)| *later >= place) {
                *later += extra.len();
            }
            argv.splice(place..place, extra);
        }
        let mut environment = std::collections::BTreeMap::new();
        for (name, template) in &command.env {
            environment.insert(name.clone(), fill(template, values, &format!("`command.env.{name}`"))?);
        }
        let folder = match &command.cwd {
            None => machine.folder.to_owned(),
            Some(template) => {
                let written = fill(template, values, "`command.cwd`")?;
                inputs::absolute(&written, machine.folder)
                    .map_err(|why| Error::invalid(format!("`command.cwd` {why}")))?
            }
        };
        if argv.is_empty() {
            return Err(Error::invalid("`command.argv` is empty"));
        }
        let program = argv.remove(0);
        Ok(Invocation { program, arguments: argv, folder, environment: Environment::Users(environment) })
    }

    /// The file of the pack that it starts with.
    fn entry(&self, runtime: &Runtime) -> Result<PathBuf> {
        let has = |path: &str| self.root.join(path).is_file();
        let path = runtime.entry_file(self.folder, &has).filter(|path| has(path));
        path.map(|path| self.root.join(path)).ok_or_else(|| {
            Error::invalid(format!("the file that `{}` starts with is not in the pack", self.action.id))
                .hint("`astrid packs validate DIR` says more")
        })
    }
}

impl Task {
    /// What an isolated run of it is let near.
    #[must_use]
    pub fn reach(&self, component: &Component<'_>, machine: &Machine<'_>) -> Reach {
        let isolation = &component.action.isolation;
        let mut reach = Reach {
            network: isolation.network,
            variables: isolation.env_passthrough.iter().map(ToString::to_string).collect(),
            ..Reach::default()
        };
        reach.read.insert(component.root.to_owned());
        reach.read.extend(self.sources.iter().filter(|path| path.exists()).cloned());
        reach.write.insert(machine.folder.to_owned());
        reach.write.insert(self.invocation.folder.clone());
        for product in &self.products {
            // What is not there yet is made in the folder above, and that is what can be opened.
            let own = product.mode == OutputMode::Mutate || product.path.is_dir();
            let place = if own && product.path.exists() {
                Some(product.path.as_path())
            } else {
                product.path.parent()
            };
            reach.write.extend(place.map(Path::to_owned));
        }
        // What is in the pack is read only, also when the run starts there.
        reach.write.retain(|path| !path.starts_with(component.root));
        for program in &isolation.binaries {
            let found = machine.program(program.as_ref()).and_then(|path| path.canonicalize().ok());
            reach.read.extend(found);
        }
        reach
    }
}

fn check_repeated(inputs: &[Input<'_>], runtime: &Runtime) -> Result<()> {
    let repeatable = |name: &str| {
        let Runtime::Command(command) = runtime else { return false };
        command.input_args.iter().any(|arg| arg.input == name && arg.repeatable)
    };
    let twice = inputs.iter().find(|input| input.values.len() > 1 && !repeatable(&input.port.name));
    match twice {
        Some(input) => Err(Error::usage(format!("`{}` is given once, not several times", input.port.name))),
        None => Ok(()),
    }
}

/// Where an output will be: as it was given, as the manifest says, or by its name.
fn product(
    output: &Output,
    given: &[Given],
    inputs: &[Input<'_>],
    values: &Values,
    folder: &Path,
) -> Result<Option<PathBuf>> {
    let wrong = |why: String| Error::usage(format!("`{}` {why}", output.name));
    if let Some(input) = inputs.iter().find(|input| input.port.name == output.name) {
        return Ok(input.values.first().map(|value| PathBuf::from(&value.text)));
    }
    if let Some(own) = given.iter().find(|one| one.name == output.name) {
        return inputs::absolute(&own.value, folder).map(Some).map_err(wrong);
    }
    let written = match (&output.path_template, &output.extension) {
        (Some(template), _) => fill(template, values, &format!("`outputs.{}.path_template`", output.name))?,
        (None, Some(extension)) => format!("{}.{}", output.name, extension.trim_start_matches('.')),
        (None, None) => return Ok(None),
    };
    inputs::absolute(&written, folder).map(Some).map_err(wrong)
}

/// The arguments that an input becomes.
fn flags(arg: &astrid_manifest::pack::action::InputArg, input: Option<&Input<'_>>) -> Result<Vec<OsString>> {
    let values = input.map_or(&[][..], |input| input.values.as_slice());
    if values.is_empty() && !arg.optional {
        return Err(Error::usage(format!("`{}` is needed: it becomes an argument", arg.input)));
    }
    let mut extra = Vec::new();
    for value in values {
        match (&value.json, &arg.flag) {
            (Json::Bool(true), Some(flag)) => extra.push(flag.into()),
            (Json::Bool(false), Some(_)) => {}
            (_, Some(flag)) if flag.ends_with('=') => extra.push(format!("{flag}{}", value.text).into()),
            (_, Some(flag)) => extra.extend([flag.into(), OsString::from(&value.text)]),
            (_, None) => extra.push(OsString::from(&value.text)),
        }
    }
    Ok(extra)
}

fn insert(values: &mut Values, name: &str, placeholder: Option<&str>, value: &str) {
    for name in [Some(name), placeholder].into_iter().flatten() {
        // As `{name}` or as the bare name.
        values.insert(name.trim_matches(['{', '}']).to_owned(), value.to_owned());
    }
}

fn sources(inputs: &[Input<'_>]) -> Vec<PathBuf> {
    let paths = inputs.iter().filter(|input| input.port.kind.is_path());
    paths.flat_map(|input| input.values.iter().map(|value| PathBuf::from(&value.text))).collect()
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::usage(format!("{} is a path that is no UTF-8", path.display()))
            .hint("move it to a folder whose name is")
    })
}
