//! `init`: installs a distro, the embedded starter when none is named; or writes a declaration with `--here`.

use astrid_resolver::resolution::Upgrade;
use astrid_resolver::{Declaration, Target};
use astrid_store::generation::Action;
use serde_json::json;

use super::apply::{Job, perform};
use super::fleet;
use crate::args::InitArgs;
use crate::exit::{DONE, Outcome};
use crate::session::Session;
use crate::starter;

pub(crate) fn run(session: &mut Session, args: &InitArgs) -> Outcome {
    if args.here {
        return here(session, &args.template);
    }
    let mut context = session.context()?;
    let declaration = if let Some(source) = args.source.as_ref().or(args.distro.as_ref()) {
        let target = Target::parse(source, &session.world.folder)?;
        fleet::target_of(session, &mut context, &target)?
    } else {
        let writer = session.write_lock(&context.home, "astrid init")?;
        starter::lay_out(&context.home, &session.disk(), starter::STARTER)?;
        drop(writer);
        let folder = starter::folder(&context.home, starter::STARTER);
        Declaration::builtin(starter::text(starter::STARTER)?, None, &folder)?
    };
    let job = Job {
        declaration,
        variables: &args.variables,
        consent: &args.consent,
        boot: &args.boot,
        dry_run: false,
        upgrade: Upgrade::None,
        made_by: Action::Apply,
        command: "astrid init",
        saved: None,
        returning: &[],
    };
    perform(session, &context, job)
}

fn here(session: &mut Session, template: &str) -> Outcome {
    session.may_write_repository()?;
    let names = starter::write_template(&session.world.folder, template)?;
    let pretty = format!("+ {}\nnext: astrid plan\n", names.join("\n+ "));
    session.shell.show(&json!({ "written": names }), &pretty)?;
    Ok(DONE)
}
