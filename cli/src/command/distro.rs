//! `distro`: bundles that hold a fleet with everything it needs.

use std::path::Path;

use astrid_manifest::Lock;
use astrid_resolver::Target;
use astrid_resolver::bundle::{self, Shuttle};
#[cfg(feature = "sign")]
use astrid_resolver::context::Context;
use astrid_resolver::context::Network;
use astrid_resolver::resolution::{LockMode, Request, Upgrade};
use astrid_resolver::sealing::{self, Options, Sealer};
use astrid_resolver::signing::{self, Signed};
use astrid_resolver::verified::{Freshness, VerifiedFleet, verified};
use serde_json::json;

use super::{fleet, sign};
use crate::args::{ApplyArgs, BundleArgs, BundleVerifyArgs, DistroVerb, SealArgs, Sealing};
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::{self, put, safe};
use crate::session::Session;
use crate::shell::{count, size};

pub(crate) fn run(session: &mut Session, verb: &DistroVerb) -> Outcome {
    match verb {
        DistroVerb::Seal(args) => seal(session, args),
        DistroVerb::Inspect(args) => inspect(session, args),
        DistroVerb::Verify(args) => verify(session, args),
        DistroVerb::Show(args) => show(session, args),
        DistroVerb::Apply(args) => {
            open(session, &args.path)?;
            super::apply::run(session, args)
        }
        DistroVerb::Update(args) => update(session, args),
    }
}

/// `distro seal`
fn seal(session: &mut Session, args: &SealArgs) -> Outcome {
    let how = match (args.sign, &args.key) {
        (Some(Sealing::Key), None) => {
            return Err(Failure::usage("`--sign key` needs a key").hint("name it with --key"));
        }
        (None, None) => None,
        (None | Some(Sealing::Key), Some(_)) => Some(Sealing::Key),
        #[cfg(feature = "sign")]
        (Some(Sealing::Keyless), Some(_)) => {
            return Err(Failure::usage("`--sign keyless` takes no key").hint("leave out --key"));
        }
        #[cfg(feature = "sign")]
        (Some(Sealing::Keyless), None) => Some(Sealing::Keyless),
    };
    let key = args.key.as_ref().map(|key| sign::signing_key(session, key)).transpose()?;
    let since = args.since.as_ref().map(|path| super::lock::read(session, path)).transpose()?;
    let mut context = session.context()?;
    let declaration = fleet::declaration(session, &mut context, &args.source)?;
    let public = key.as_ref().map(astrid_resolver::keyring::SigningKey::public);
    let sealer = match (how, &public) {
        (Some(Sealing::Key), Some(public)) => Sealer::Key(public),
        (Some(_), _) => Sealer::Keyless,
        (None, _) => Sealer::Nobody,
    };
    sealing::check_sealer(&declaration, sealer)?;
    let selection = fleet::selection(&args.selections)?;
    let fleet = fleet::fleet(session, &context, &declaration, Upgrade::None, selection, Freshness::Hash)?;
    let options = Options { since: since.as_ref(), root: !args.no_root };
    let draft = sealing::draft(&context, &fleet, &options)?;
    let output = session.world.path(&args.output);
    let signable = sealing::signable(&fleet, &output);
    let made = match (how, &key) {
        (Some(Sealing::Key), Some(key)) => Some(signing::sign_with_key(&signable, draft.statement(), key)?),
        #[cfg(feature = "sign")]
        (Some(Sealing::Keyless), _) => {
            Some(keyless(session, &context, &args.services, &signable, draft.statement())?)
        }
        _ => None,
    };
    let shuttle = sealing::write(&context, &draft, made.as_ref().map(|made| made.bundle.as_str()), &output)?;
    tell_sealed(session, args, &fleet, &shuttle, made.as_ref())
}

#[cfg(feature = "sign")]
fn keyless(
    session: &Session,
    context: &Context,
    args: &crate::args::ServiceArgs,
    signable: &signing::Signable,
    statement: &signing::Statement,
) -> Result<Signed, Failure> {
    use astrid_resolver::signing::keyless::{RekorVersion, Request, Services, sign};

    let services = args.fulcio.as_ref().zip(args.rekor.as_ref()).map(|(fulcio, rekor)| Services {
        fulcio: fulcio.clone(),
        rekor: rekor.clone(),
        rekor_version: if args.rekor_version == "2" { RekorVersion::V2 } else { RekorVersion::V1 },
        timestamp_authority: args.timestamp_authority.clone(),
    });
    let trusted_root = args.trusted_root.as_ref().map(|file| session.world.path(file));
    let token_file = args.token_file.as_ref().map(|file| session.world.path(file));
    let request = Request {
        services,
        trusted_root: trusted_root.as_deref(),
        token_file: token_file.as_deref(),
        variable: &|name| session.world.variable(name),
    };
    Ok(sign(context, &request, signable, statement)?)
}

fn tell_sealed(
    session: &mut Session,
    args: &SealArgs,
    fleet: &VerifiedFleet,
    shuttle: &Shuttle,
    made: Option<&Signed>,
) -> Outcome {
    let length = std::fs::metadata(session.world.path(&args.output)).map_or(0, |found| found.len());
    let signer = sealing::sealed_by(made.map(|made| &made.verified));
    let lock = fleet.lock();
    let document = json!({
        "file": args.output.display().to_string(),
        "distro": lock.distro.id,
        "version": lock.distro.version.to_string(),
        "digest": shuttle.digest(),
        "signer": signer,
        "since": shuttle.predicate().and_then(|predicate| predicate.since),
        "members": shuttle.entries().len(),
        "bytes": length,
        "unpacked_bytes": shuttle.total_bytes(),
    });
    let mut pretty = format!(
        "{}: {} {}, {} and {}\n",
        args.output.display(),
        lock.distro.id,
        lock.distro.version,
        count(lock.capsules.len(), "capsule"),
        count(lock.packs.len(), "pack"),
    );
    put!(
        pretty,
        "{} in {}, {} unpacked\n",
        count(shuttle.entries().len(), "member"),
        size(length),
        size(shuttle.total_bytes())
    );
    put!(pretty, "digest  {}\n", shuttle.digest());
    let mark = if signer.is_unsigned() {
        "! unsigned".to_owned()
    } else {
        format!("signer  {}", safe(&signer.to_string()))
    };
    put!(pretty, "{mark}\n");
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// `distro update`
fn update(session: &mut Session, args: &ApplyArgs) -> Outcome {
    let shuttle = open(session, &args.path)?;
    let header = &shuttle.distro().header;
    let context = session.context()?;
    let current = astrid_resolver::apply::current(&context)?.ok_or_else(|| {
        Failure::failed("nothing is applied that could be updated")
            .hint("`astrid distro apply FILE` applies the bundle")
    })?;
    let applied = &current.facts.fleet;
    if applied.distro != header.id {
        return Err(Failure::new(
            Kind::Policy,
            format!("this home applies `{}`, and the bundle is of `{}`", applied.distro, header.id),
        )
        .hint("`astrid distro apply FILE --replace-distro` puts it in the place of the other"));
    }
    if header.version < applied.version && !args.consent.allow_downgrade {
        return Err(Failure::new(
            Kind::Policy,
            format!("{} {} is applied, and the bundle is of {}", header.id, applied.version, header.version),
        )
        .hint("`astrid rollback` goes back to an earlier generation"));
    }
    super::apply::run(session, args)
}

fn open(session: &Session, file: &Path) -> Result<Shuttle, Failure> {
    Ok(bundle::open(&session.world.path(file), &file.display().to_string())?)
}

/// `distro verify`: exactly what `apply` would check before it plans.
fn verify(session: &mut Session, args: &BundleVerifyArgs) -> Outcome {
    let mut context = session.context()?;
    context.store = session.store_aside()?;
    context.network = Network::Offline;
    let path = session.world.path(&args.file);
    let target = Target::Bundle { path, typed: args.file.display().to_string() };
    let declaration = fleet::load(session, &context, &target)?;
    // A lock of version 1 pins archives only: what they hold is worked out.
    let mode = if declaration.lock().is_some() { LockMode::Frozen } else { LockMode::Normal };
    let request = Request { mode, ..Request::default() };
    let fleet = verified(&context, &declaration, &request, Freshness::Hash)?;
    for warning in fleet.warnings() {
        session.shell.warn(&safe(warning));
    }
    let bundle = declaration.bundle().ok_or_else(|| Failure::invalid("it is no bundle"))?;
    let (shuttle, seal) = (bundle.shuttle(), bundle.seal());
    if seal.signer.is_unsigned() && !args.allow_unsigned {
        return Err(Failure::new(Kind::Signature, "the bundle is not signed")
            .hint("ask for one that is signed; `--allow-unsigned` looks past it"));
    }
    let header = &shuttle.distro().header;
    let (capsules, packs) = (fleet.lock().capsules.len(), fleet.lock().packs.len());
    let document = json!({
        "distro": header.id,
        "version": header.version.to_string(),
        "digest": shuttle.digest(),
        "format": shuttle.version(),
        "signer": seal.signer,
        "rule": seal.rule,
        "times": seal.times.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "capsules": capsules,
        "packs": packs,
        "members": shuttle.entries().len(),
    });
    let mut pretty = format!(
        "{} {} is whole: {}, {} and {}\n",
        header.id,
        header.version,
        count(shuttle.entries().len(), "member"),
        count(capsules, "capsule"),
        count(packs, "pack"),
    );
    pretty.push_str(&render::bundle::seal(shuttle, seal));
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// `distro inspect`
fn inspect(session: &mut Session, args: &BundleArgs) -> Outcome {
    let shuttle = open(session, &args.file)?;
    // The home is only read.
    let mut context = session.context()?;
    context.store = session.store_aside()?;
    let examined = bundle::examine(&context, &shuttle)?;
    for note in &examined.notes {
        session.shell.warn(&safe(note));
    }
    let document = render::bundle::document(&shuttle, &examined);
    let pretty = render::bundle::inspected(&shuttle, &examined);
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// `distro show`
fn show(session: &mut Session, args: &BundleArgs) -> Outcome {
    let shuttle = open(session, &args.file)?;
    let header = &shuttle.distro().header;
    let empty = Vec::new;
    let entries = match shuttle.lock() {
        Some(lock) => entries(lock),
        None => shuttle.legacy().map_or_else(empty, |legacy| {
            let one = |(name, held): (&astrid_authority::CapsuleName, &astrid_resolver::bundle::Archive)| {
                json!({ "subject": format!("capsule:{name}"), "version": held.manifest.package.version.to_string(), "content": held.content })
            };
            legacy.capsules().iter().map(one).collect()
        }),
    };
    let document = json!({
        "distro": header.id,
        "version": header.version.to_string(),
        "digest": shuttle.digest(),
        "format": shuttle.version(),
        "declaration": shuttle.declaration_text(),
        "lock": shuttle.lock_text(),
        "entries": entries,
    });
    let mut pretty = shuttle.declaration_text().to_owned();
    if !pretty.ends_with('\n') {
        pretty.push('\n');
    }
    // A declaration may hold what moves the cursor: line by line, it can't.
    pretty = pretty.lines().map(|line| safe(line) + "\n").collect();
    put!(pretty, "\n# pinned by Distro.lock\n");
    for entry in &entries {
        let word = |key: &str| safe(entry[key].as_str().unwrap_or_default());
        put!(pretty, "# {} {}  {}\n", word("subject"), word("version"), word("content"));
    }
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

fn entries(lock: &Lock) -> Vec<serde_json::Value> {
    let capsules = lock.capsules.iter().map(|one| {
        json!({
            "subject": format!("capsule:{}", one.name),
            "version": one.version.to_string(),
            "source": one.source.to_string(),
            "pack": one.pack,
            "content": one.content,
            "authority": one.authority,
            "signer": one.signer,
        })
    });
    let packs = lock.packs.iter().map(|one| {
        json!({
            "subject": format!("pack:{}", one.id),
            "version": one.version,
            "source": one.source.to_string(),
            "content": one.content,
            "authority": one.authority,
            "signer": one.signer,
        })
    });
    capsules.chain(packs).collect()
}
