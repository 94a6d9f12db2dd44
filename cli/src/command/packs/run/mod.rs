//! `packs run`: an executor or orchestrator as a process of the user.
//!
//! A pack that is installed is compared with what was accepted, each time. A pack in a folder is shown and
//! acknowledged, each time.

mod admit;
mod going;
mod report;

use std::ffi::OsString;
use std::path::PathBuf;

use astrid_authority::ActionId;
use astrid_executor::isolate::{Helper, Protected, Sandbox, enter as enter_sandbox};
use astrid_executor::requirements::{Missing, missing};
use astrid_executor::{Component, Given, Interrupts, Machine, Options, Outcome as Ran, Task};
use astrid_manifest::pack::Action;
use astrid_resolver::Clock as _;
use astrid_resolver::pack::Admitted;

use self::admit::Admission;
use self::going::Going;
use self::report::Report;
use crate::args::{PackEnterArgs, PackRunArgs};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::interrupt;
use crate::render::safe;
use crate::session::Session;

impl From<astrid_executor::Error> for Failure {
    fn from(error: astrid_executor::Error) -> Self {
        use astrid_executor::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::Failed => Kind::Failed,
        };
        let failure = Self::new(kind, error.to_string()).because(error.reasons().to_vec());
        match error.next_step() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

pub(crate) fn run(session: &mut Session, args: &PackRunArgs) -> Outcome {
    let given = given(args)?;
    let admission = admit::admit(session, args)?;
    let chosen = Chosen::find(&admission.pack, &args.component)?;
    admit::check_parent(session, args, &admission.pack, &chosen.action.id)?;
    if chosen.is_orchestrator && args.isolate {
        return Err(Failure::usage(format!(
            "`{}` is an orchestrator: it starts Astrid again, which no sandbox of Astrid lets it",
            chosen.action.id
        ))
        .hint("run its executors one by one with --isolate"));
    }
    let children =
        if chosen.is_orchestrator { children(session, args, &admission, chosen.action)? } else { Vec::new() };
    let component = Component {
        action: chosen.action,
        root: &admission.pack.root,
        folder: chosen.folder,
        run: &children,
    };
    let folder = session.world.folder.clone();
    let variable = |name: &str| std::env::var_os(name);
    let machine = Machine { variable: &variable, folder: &folder };
    let mut task = component.task(&given, &machine)?;
    let dependencies = &admission.pack.contents.manifest.dependencies;
    let missing = missing(dependencies, chosen.action, &admission.pack.root, &machine);
    let sandbox = args.isolate.then(|| sandbox(session, &mut task, &component, &machine)).transpose()?;
    let logs = logs(session, &chosen.action.id)?;
    let report = Report {
        admission: &admission,
        chosen: &chosen,
        task: &task,
        missing: &missing,
        unset: unset(chosen.action, &machine),
        coverage: sandbox.as_ref().map(Sandbox::coverage).unwrap_or_default(),
        logs: &logs,
    };
    if args.dry_run {
        return report.dry_run(session);
    }
    report.warn(session);
    if !args.skip_checks {
        check(&report)?;
    }
    let clock = session.clock();
    let helper = helper()?;
    let disclosure = report.disclosure();
    let options = Options {
        logs: &logs,
        disclosure: &disclosure,
        timeout: args.timeout,
        again: args.again,
        sandbox: sandbox.as_ref().map(|sandbox| (sandbox, &helper)),
        now: &|| clock.now(),
    };
    let interrupts = Interrupts::default();
    let interrupter = interrupts.interrupter();
    let going_on = interrupt::hand_on(move || {
        interrupter.interrupt(astrid_executor::Interrupt { pass_on: !interrupt::came_from_terminal() });
    });
    let mut going = Going::new(&mut session.shell);
    let outcome = task.run(&options, &machine, interrupts, &mut going);
    let written = going.written();
    drop(going_on);
    if let Some(changed) = admission.pack.changed() {
        session.shell.warn(&safe(&changed));
    }
    report.ended(session, &outcome?, written)
}

/// Enters the sandbox and becomes what runs in it.
pub(crate) fn enter(args: &PackEnterArgs) -> Outcome {
    Err(enter_sandbox(&args.order).into())
}

/// A component of a pack that can be run.
pub(super) struct Chosen<'a> {
    pub(super) action: &'a Action,
    pub(super) folder: &'a str,
    pub(super) is_orchestrator: bool,
    /// The other name that was typed, and what its pack says about it.
    pub(super) deprecated: Option<String>,
}

impl<'a> Chosen<'a> {
    fn find(pack: &'a Admitted, typed: &str) -> Result<Self, Failure> {
        let contents = &pack.contents;
        let found = contents.resolve(typed).and_then(|id| {
            let executor = contents.executors.get(id).map(|one| (&one.item.action, &one.folder, false));
            let orchestrator =
                || contents.orchestrators.get(id).map(|one| (&one.item.action, &one.folder, true));
            executor.or_else(orchestrator)
        });
        let Some((action, folder, is_orchestrator)) = found else {
            let known: Vec<&str> = contents.actions().map(|action| action.id.as_str()).collect();
            let failure = Failure::usage(format!("pack `{}` has no `{}`", pack.id, safe(typed)));
            return Err(if known.is_empty() {
                failure.hint("it has no executors and no orchestrators")
            } else {
                failure.hint(format!("it has {}", known.join(", ")))
            });
        };
        let alias = contents.manifest.aliases.iter().find(|alias| alias.alias == typed && alias.deprecated);
        let deprecated = alias.map(|alias| {
            let why = alias.deprecation_message.as_deref().unwrap_or("its pack says so");
            format!("`{}` is on its way out, use `{}`: {}", safe(typed), alias.canonical_id, safe(why))
        });
        Ok(Self { action, folder, is_orchestrator, deprecated })
    }
}

fn given(args: &PackRunArgs) -> Result<Vec<Given>, Failure> {
    let all = args.inputs.iter().chain(&args.more);
    all.map(|text| match text.split_once('=') {
        Some((name, value)) => Ok(Given { name: name.to_owned(), value: value.to_owned() }),
        None => Err(Failure::usage(format!("`{}` is no input: write NAME=VALUE", safe(text)))),
    })
    .collect()
}

/// The command that runs a child: this program again, as this run was asked for.
fn children(
    session: &Session,
    args: &PackRunArgs,
    admission: &Admission,
    parent: &Action,
) -> Result<Vec<String>, Failure> {
    let text = |path: PathBuf| {
        path.into_os_string()
            .into_string()
            .map_err(|path| Failure::usage(format!("{} is no UTF-8", PathBuf::from(path).display())))
    };
    let mut command = vec![text(std::env::current_exe()?)?];
    if let Some(home) = &session.global.home {
        command.push(format!("--home={}", text(session.world.path(home))?));
    }
    command.extend(["packs", "run", "--quiet", "--parent"].map(str::to_owned));
    command.push(parent.id.to_string());
    if let Some(folder) = &admission.folder {
        command.push(format!("--path={}", text(folder.clone())?));
        // What was acknowledged, and nothing that the folder may be by then.
        command.push(format!("--trust={}@{}", admission.pack.id, admission.pack.content));
    }
    if args.skip_checks {
        command.push("--skip-checks".to_owned());
    }
    Ok(command)
}

fn logs(session: &Session, id: &ActionId) -> Result<PathBuf, Failure> {
    Ok(session.home()?.log().join("packs").join(id.pack()).join(id.local()))
}

/// The variables with secrets that it can't do without, and that are not set.
fn unset(action: &Action, machine: &Machine<'_>) -> Vec<String> {
    let needed = action.secrets.iter().filter(|secret| secret.required);
    let names = needed.map(|secret| secret.name.to_string());
    names.filter(|name| machine.variable(name).is_none_or(|value| value.is_empty())).collect()
}

fn check(report: &Report<'_>) -> Result<(), Failure> {
    let needed: Vec<&Missing> = report.missing.iter().filter(|one| one.needed).collect();
    if needed.is_empty() || report.task.kept().is_some() {
        return Ok(());
    }
    let line = |one: &&Missing| format!("{}: {}; {}", safe(&one.name), safe(&one.found), safe(&one.hint));
    Err(Failure::failed(format!("what `{}` needs is missing", report.chosen.action.id))
        .because(needed.iter().map(line))
        .hint("nothing was run or installed; --skip-checks runs it nevertheless"))
}

/// The sandbox of `--isolate`, and the task as it is run there.
fn sandbox(
    session: &Session,
    task: &mut Task,
    component: &Component<'_>,
    machine: &Machine<'_>,
) -> Result<Sandbox, Failure> {
    let mut reach = task.reach(component, machine);
    task.invocation = astrid_executor::run::located(&task.invocation, &mut reach, machine)?;
    let home = session.home()?;
    let protected = Protected {
        around: session.world.user_home().into_iter().collect(),
        whole: vec![home.root().to_owned(), home.packs().to_owned()],
    };
    Ok(Sandbox::new(reach, &protected)?)
}

fn helper() -> Result<Helper, Failure> {
    let arguments = ["packs", "enter"].map(OsString::from).to_vec();
    Ok(Helper { program: std::env::current_exe()?, arguments })
}

/// The exit code of a run, as the process of the shell that started it sees it.
fn code_of(outcome: &Ran) -> u8 {
    match outcome {
        Ran::Kept(_) => DONE,
        Ran::Ran(report) if report.unmade.is_empty() => u8::try_from(report.ended.code()).unwrap_or(u8::MAX),
        Ran::Ran(_) => Kind::Failed.code(),
    }
}
