//! The work of each verb. A verb asks the libraries, and tells through the shell.

mod apply;
mod capsule;
mod discover;
mod distro;
mod edit;
mod fleet;
mod generations;
mod init;
mod kernel;
mod keypair;
mod lock;
mod packs;
mod pins;
mod plan;
mod policy;
mod prove;
mod rollback;
mod root;
mod secret;
mod sign;
mod status;
mod tree;
mod trust;
mod validate;
mod verify;
mod version;

use clap::CommandFactory as _;

use crate::args::{Cli, Verb};
use crate::exit::{DONE, Outcome};
use crate::session::Session;

/// Runs one verb; without any, says how things are and what can be typed.
pub(crate) fn run(verb: Option<Verb>, session: &mut Session) -> Outcome {
    if verb.as_ref().is_some_and(Verb::changes_the_machine) {
        apply::settle(session)?;
    }
    match verb {
        None => status::bare(session),
        Some(Verb::Up(_)) => kernel::up(session),
        Some(Verb::Daemon(_)) => kernel::daemon(session),
        Some(Verb::Start(args)) => kernel::start(session, &args),
        Some(Verb::Stop(args)) => kernel::stop(session, &args),
        Some(Verb::Ps) => kernel::ps(session),
        Some(Verb::Tools(verb)) => kernel::tools(session, &verb),
        Some(Verb::Init(args)) => init::run(session, &args),
        Some(Verb::Add(args)) => edit::add(session, &args),
        Some(Verb::Remove(args)) => edit::remove(session, &args),
        Some(Verb::Update(args)) => edit::update(session, &args),
        Some(Verb::Trust(verb)) => trust::run(session, &verb),
        Some(Verb::Keypair(verb)) => keypair::run(session, &verb),
        Some(Verb::Sign(args)) => sign::run(session, &args),
        Some(Verb::Policy(verb)) => policy::run(session, &verb),
        Some(Verb::Discover(args)) => discover::run(session, &args),
        Some(Verb::Distro(verb)) => distro::run(session, &verb),
        Some(Verb::Packs(verb)) => packs::run(session, &verb),
        Some(Verb::Secret(verb)) => secret::run(session, &verb),
        Some(Verb::Capsule(verb)) => capsule::run(session, &verb),
        Some(Verb::Validate(args)) => validate::run(session, &args),
        Some(Verb::Lock(args)) => lock::run(session, &args),
        Some(Verb::Fetch) => lock::fetch(session),
        Some(Verb::Tree) => tree::tree(session),
        Some(Verb::Why(args)) => tree::why(session, &args),
        Some(Verb::Plan(args)) => plan::run(session, &args),
        Some(Verb::Show(args)) => plan::show(session, &args),
        Some(Verb::Diff(args)) => plan::diff(session, &args),
        Some(Verb::Apply(args)) => apply::run(session, &args),
        Some(Verb::Status) => status::run(session),
        Some(Verb::Rollback(args)) => rollback::run(session, &args),
        Some(Verb::Generations) => generations::list(session),
        Some(Verb::History(args)) => generations::history(session, &args),
        Some(Verb::Gc(args)) => generations::gc(session, &args),
        Some(Verb::Verify(args)) => verify::run(session, &args),
        Some(Verb::Version) => version::run(session),
        Some(Verb::Completions { shell }) => {
            completions(session, shell);
            Ok(DONE)
        }
    }
}

fn completions(session: &mut Session, shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "astrid", &mut script);
    session.shell.data(&String::from_utf8_lossy(&script));
}
