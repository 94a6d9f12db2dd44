//! `packs`: the verbs about packs, one file each.

mod validate;

use crate::args::PacksVerb;
use crate::exit::Outcome;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, verb: &PacksVerb) -> Outcome {
    match verb {
        PacksVerb::Validate(args) => validate::run(session, args),
    }
}
