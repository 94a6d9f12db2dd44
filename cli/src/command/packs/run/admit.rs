//! Whether a pack may be run: as it was accepted, or because a person says so for this once.

use std::path::PathBuf;

use astrid_authority::{ActionId, PackId};
use astrid_manifest::subject::Subject;
use astrid_resolver::pack::{Admitted, look, pin_of};
use astrid_resolver::trust::TrustFlag;

use super::super::wanted;
use crate::args::PackRunArgs;
use crate::exit::{Failure, Kind};
use crate::facts::Facts;
use crate::prompt;
use crate::render::{self, safe};
use crate::session::Session;
use crate::shell::{paint, style};

/// A pack that is run.
pub(super) struct Admission {
    pub(super) pack: Admitted,
    /// The folder that it is run from, when it is not installed.
    pub(super) folder: Option<PathBuf>,
}

pub(super) fn admit(session: &mut Session, args: &PackRunArgs) -> Result<Admission, Failure> {
    match &args.path {
        Some(_) => from_folder(session, args),
        None => Ok(Admission { pack: installed(session, &pack_of(&args.component)?)?, folder: None }),
    }
}

/// `media_tools` in `media_tools.cut`.
fn pack_of(component: &str) -> Result<PackId, Failure> {
    let id = component.split_once('.').and_then(|(pack, _)| pack.parse().ok());
    id.ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is no executor: write PACK.NAME, such as repo_report.size",
            safe(component)
        ))
        .hint("`astrid discover` lists what there is")
    })
}

fn installed(session: &Session, id: &PackId) -> Result<Admitted, Failure> {
    let context = session.context()?;
    Admitted::installed(&context, id)?.ok_or_else(|| {
        Failure::failed(format!("pack `{id}` is not installed"))
            .hint("`astrid packs install SOURCE` installs it; `--path DIR` runs it from a folder")
    })
}

/// Nobody accepted what is in a folder: it is shown, copied and acknowledged for this run, and nothing is recorded.
fn from_folder(session: &mut Session, args: &PackRunArgs) -> Result<Admission, Failure> {
    let written = args.path.clone().unwrap_or_default();
    let shown = written.display().to_string();
    let located = wanted::folder(&session.world.path(&written), &shown)?;
    let context = session.context_aside()?;
    let pin = pin_of(&located.source, &located.id, None)?;
    let facts = Facts::of_found(&located, Some(shown), look(&context, &located.id, &located.source, &pin)?);
    if let Err(why) = &facts.signer {
        return Err(Failure::new(Kind::Signature, format!("pack `{}` is not taken: {why}", located.id))
            .hint("`astrid packs inspect DIR` shows the pack; `astrid policy explain` the rule"));
    }
    let id = located.id.clone();
    let flags: Vec<TrustFlag> = args
        .trust
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().map_err(|error| Failure::usage(format!("`--trust={}`: {error}", safe(text))))
        })
        .collect::<Result<_, _>>()?;
    let bound = flags
        .iter()
        .any(|flag| flag.subject == Subject::Pack(id.clone()) && flag.digest == facts.looked.content);
    // A child of an orchestrator has been shown with it.
    if !(bound && args.parent.is_some()) {
        session.shell.say(&render::pack::summary(&facts));
        session.shell.say(&format!(
            "{} this pack is not installed: nobody accepted it, and nothing records this run but its log",
            paint(style::WARNING, "!")
        ));
    }
    if !bound {
        acknowledge(session, args, &facts, !flags.is_empty())?;
    }
    let pack = Admitted::aside(&context.store, &facts.looked.content)?;
    let folder = session.world.path(&written).canonicalize()?;
    Ok(Admission { pack, folder: Some(folder) })
}

fn acknowledge(
    session: &mut Session,
    args: &PackRunArgs,
    facts: &Facts,
    is_bound: bool,
) -> Result<(), Failure> {
    let (id, content) = (facts.id(), facts.looked.content);
    if args.trust.iter().any(String::is_empty) {
        return Ok(());
    }
    let required = || {
        Failure::new(
            Kind::TrustRequired,
            format!(
                "trust acknowledgement required for pack `{id}`, which is not installed. Pass --trust for \
                 noninteractive use, or run interactively and type `trust {id}`. --yes only skips the ordinary \
                 confirmation prompt."
            ),
        )
        .hint(format!("for exactly these bytes: --trust={id}@{content}"))
    };
    if is_bound || args.dry_run || !session.world.interactive {
        // A dry run runs nothing, and needs no trust.
        return if args.dry_run { Ok(()) } else { Err(required()) };
    }
    let expected = format!("trust {id}");
    let question = format!("Type '{expected}' to run code of this pack once: ");
    prompt::decline_on_interrupt();
    match prompt::text(&mut session.shell, &question)? {
        Some(typed) if typed == expected => Ok(()),
        _ => {
            session.shell.say("Cancelled.");
            Err(Failure { told: true, ..Failure::failed("cancelled") })
        }
    }
}

/// A child is run through an orchestrator when that declares it. What the orchestrator starts by itself, nobody sees:
/// this keeps the declaration honest, and confines nothing.
pub(super) fn check_parent(
    session: &Session,
    args: &PackRunArgs,
    pack: &Admitted,
    child: &ActionId,
) -> Result<(), Failure> {
    let Some(parent) = &args.parent else { return Ok(()) };
    let id = pack_of(parent)?;
    let other = if id == pack.id { None } else { Some(installed(session, &id)?) };
    let contents = &other.as_ref().unwrap_or(pack).contents;
    let orchestrator = contents.orchestrators.iter().find(|(id, _)| id.as_str() == parent);
    let Some((_, orchestrator)) = orchestrator else {
        return Err(Failure::usage(format!("`{}` is no orchestrator", safe(parent))));
    };
    let orchestrator = &orchestrator.item;
    let mut children = orchestrator.child_executors.iter().chain(&orchestrator.child_orchestrators);
    if children.any(|declared| declared == child) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{child}` is not among the children that `{}` declares", safe(parent)))
        .hint("its author adds it to `child_executors` or `child_orchestrators`"))
}
