//! `packs`: the verbs about packs, one file each.

mod index;
mod inspect;
mod install;
mod list;
mod new;
mod rollback;
mod run;
mod uninstall;
mod update;
mod validate;
mod wanted;

pub(super) use validate::complaints;

use crate::args::PacksVerb;
use crate::exit::Outcome;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, verb: &PacksVerb) -> Outcome {
    match verb {
        PacksVerb::List(args) => list::list(session, args),
        PacksVerb::Search(args) => list::search(session, args),
        PacksVerb::AgentIndex(args) => index::run(session, args),
        PacksVerb::Inspect(args) => inspect::run(session, args),
        PacksVerb::Install(args) => install::run(session, args),
        PacksVerb::Update(args) => update::run(session, args),
        PacksVerb::Uninstall(args) => uninstall::run(session, args),
        PacksVerb::Rollback(args) => rollback::run(session, args),
        PacksVerb::Run(args) => run::run(session, args),
        PacksVerb::Enter(args) => run::enter(args),
        PacksVerb::Validate(args) => validate::run(session, args),
        PacksVerb::New(args) => new::run(session, args),
    }
}
