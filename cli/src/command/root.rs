//! `trust root`: the root that signatures are verified with.

use astrid_resolver::gate::{RootSource, RootStanding, adopt, check_root, forget, standing};
use serde_json::json;

use crate::args::RootVerb;
use crate::exit::{DONE, Failure, Outcome};
use crate::render::{put, safe};
use crate::session::Session;

/// A root is not larger than this: 4 MiB.
const MAX_BYTES: u64 = 4 << 20;

pub(crate) fn run(session: &mut Session, verb: &RootVerb) -> Outcome {
    let context = session.context()?;
    let found = match verb {
        RootVerb::Show => standing(&context)?,
        RootVerb::Set { file } => {
            let path = session.world.path(file);
            let found = std::fs::metadata(&path)
                .map_err(|error| Failure::failed(format!("`{}` can't be read: {error}", file.display())))?;
            // A pipe would be waited for, and a device may never end.
            if !found.is_file() {
                return Err(Failure::invalid(format!("`{}` is no regular file", file.display())));
            }
            if found.len() > MAX_BYTES {
                return Err(Failure::invalid(format!("`{}` is larger than 4 MiB", file.display())));
            }
            let bytes = std::fs::read(&path)?;
            check_root(&bytes)?;
            context.home.ensure(&session.disk())?;
            let writer = session.write_lock(&context.home, "astrid trust root set")?;
            adopt(&context, &writer, &bytes, "astrid trust root set")?
        }
        RootVerb::Reset => {
            let writer = session.write_lock(&context.home, "astrid trust root reset")?;
            forget(&context, &writer)?;
            standing(&context)?
        }
    };
    session.shell.show(&json!({ "root": found }), &words(&found))?;
    Ok(DONE)
}

fn words(found: &RootStanding) -> String {
    let source = match found.source {
        RootSource::Builtin => "the root that comes with this program",
        RootSource::Home => "this home's own root",
    };
    let mut text = format!("{source}\n  digest  {}\n", found.digest);
    if let (Some(since), Some(days)) = (found.since, found.age_days) {
        put!(text, "  since   {since:.0} ({days} days)\n");
    } else {
        put!(text, "  since   nobody recorded it\n");
    }
    for what in &found.left_out {
        put!(text, "  unused  {}\n", safe(what));
    }
    text
}
