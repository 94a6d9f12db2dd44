//! `sign`: writes a bundle that says who made an artifact.

use astrid_resolver::keyring::{Keyring, SigningKey};
use astrid_resolver::signing::{self, Signable};
use serde_json::json;

use crate::args::SignArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::render::safe;
use crate::session::Session;

pub(crate) fn run(session: &mut Session, args: &SignArgs) -> Outcome {
    session.may_write_repository()?;
    let signable = Signable::read(&session.world.path(&args.artifact))?;
    let predicate = match (&args.predicate, &args.predicate_type) {
        (Some(file), Some(kind)) => Some((kind.as_str(), signing::predicate(&session.world.path(file))?)),
        _ => None,
    };
    let statement = signable.statement(predicate);
    let made = match &args.key {
        Some(key) => signing::sign_with_key(&signable, &statement, &signing_key(session, key)?)?,
        None => keyless(session, args, &signable, &statement)?,
    };
    let bundle =
        args.bundle.as_ref().map_or_else(|| signable.bundle.clone(), |file| session.world.path(file));
    write(session, &signable, &bundle, &made.bundle)?;

    let signer = made.verified.signer();
    let subjects: Vec<_> = statement
        .subject
        .iter()
        .map(|subject| json!({ "name": subject.name, "digest": subject.digest }))
        .collect();
    let times: Vec<String> = made.verified.times.iter().map(ToString::to_string).collect();
    let document = json!({
        "bundle": bundle.display().to_string(),
        "kind": signable.kind,
        "predicate_type": statement.predicate_type,
        "signer": signer,
        "subjects": subjects,
        "times": times,
    });
    let pretty = format!("{}\nsigned by {}\n", bundle.display(), safe(&signer.to_string()));
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// A path has a `/` or a `.`, and the name of a key has neither.
pub(super) fn signing_key(session: &Session, key: &str) -> Result<SigningKey, Failure> {
    if key.contains(['/', '.']) {
        return Ok(signing::key_of_file(&session.world.path(key.as_ref()))?);
    }
    Ok(Keyring::new(&session.home()?, &session.disk()).signing_key(&key.parse()?)?)
}

#[cfg(feature = "sign")]
fn keyless(
    session: &Session,
    args: &SignArgs,
    signable: &Signable,
    statement: &signing::Statement,
) -> Result<signing::Signed, Failure> {
    use astrid_resolver::signing::keyless::{RekorVersion, Request, Services, sign};

    let args = &args.keyless;
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
    Ok(sign(&session.context()?, &request, signable, statement)?)
}

#[cfg(not(feature = "sign"))]
fn keyless(
    _: &Session,
    _: &SignArgs,
    _: &Signable,
    _: &signing::Statement,
) -> Result<signing::Signed, Failure> {
    Err(Failure::usage("nobody says who signs").hint("pass --key"))
}

/// Writes the bundle. A link in its place is not followed: it leads out of the folder that is signed.
fn write(
    session: &Session,
    signable: &Signable,
    bundle: &std::path::Path,
    text: &str,
) -> Result<(), Failure> {
    let disk = session.disk();
    if *bundle == signable.bundle
        && let Some(folder) = bundle.parent()
        && folder.ends_with(".astrid")
    {
        if folder.is_symlink() {
            return Err(Failure::invalid(format!("`{}` is a symbolic link", folder.display()))
                .hint("put the folder itself there: links out of a repository are not followed"));
        }
        disk.create_dir(folder, 0o755)?;
    }
    Ok(disk.write_atomic(bundle, text.as_bytes(), 0o644)?)
}
