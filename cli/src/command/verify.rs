//! `verify`: who made an artifact, and whether what Astrid keeps is what it should be.

use std::path::Path;

use astrid_manifest::policy::SignerRuleIdentity;
use astrid_resolver::gate::{Finding, Inquiry, RootSource, Whose, inquire};
use astrid_resolver::keyring::Keyring;
use astrid_resolver::signing::Signable;
use serde_json::json;

use super::{generations, prove};
use crate::args::{SignatureArgs, VerifyArgs};
use crate::exit::{DONE, Failure, Outcome};
use crate::render::{put, safe};
use crate::session::Session;

/// The issuer of identities of GitHub's workflows.
const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// A bundle, key or root is not larger than this: 16 MiB.
const MAX_BYTES: u64 = 16 << 20;

pub(crate) fn run(session: &mut Session, args: &VerifyArgs) -> Outcome {
    match &args.artifact {
        Some(artifact) => verify_artifact(session, artifact, &args.signature),
        None if args.fleet => prove::running_fleet(session, args),
        None if args.lock => prove::lock(session),
        None => generations::verify(session),
    }
}

fn verify_artifact(session: &mut Session, artifact: &Path, args: &SignatureArgs) -> Outcome {
    let whose = whose(session, args)?;
    let signable = Signable::read(&session.world.path(artifact))?;
    let bundle =
        args.bundle.as_ref().map_or_else(|| signable.bundle.clone(), |file| session.world.path(file));
    let bundles = read(&bundle, "the bundle")?.ok_or_else(|| {
        Failure::invalid(format!("there is no bundle `{}`", bundle.display()))
            .hint("name it with --bundle, or get it from who publishes the artifact")
    })?;
    let trusted_root = match &args.trusted_root {
        Some(file) => {
            let path = session.world.path(file);
            let missing = || Failure::failed(format!("there is no file `{}`", file.display()));
            Some(read(&path, "the trusted root")?.ok_or_else(missing)?)
        }
        None => None,
    };
    let finding = inquire(
        &session.context()?,
        &Inquiry {
            signable: &signable,
            bundles: &bundles,
            whose: &whose,
            predicate: args.predicate_type.as_deref(),
            builder: args.builder.as_deref(),
            trusted_root: trusted_root.as_deref(),
        },
    )?;
    show(session, &signable, &finding)
}

fn whose(session: &Session, args: &SignatureArgs) -> Result<Whose, Failure> {
    if let Some(key) = &args.key {
        return key_of(session, key);
    }
    let issuer = args.certificate_oidc_issuer.clone();
    match (&args.certificate_identity, &args.repo, issuer) {
        (Some(identity), _, Some(issuer)) => {
            Ok(Whose::Attested(SignerRuleIdentity::Identity { issuer, identity: identity.clone() }))
        }
        (_, Some(repository), issuer) => Ok(Whose::Attested(SignerRuleIdentity::Workflow {
            issuer: issuer.unwrap_or_else(|| GITHUB.to_owned()),
            repository: repository.clone(),
            workflow: args.signer_workflow.clone(),
            reference: args.source_ref.clone(),
        })),
        _ => Err(Failure::usage("nobody says whose the artifact must be").hint(
            "pass --certificate-identity with --certificate-oidc-issuer, --repo, or --key: a valid signature by \
             anyone proves nothing",
        )),
    }
}

/// A key is its own text, a file with that or with a PEM, or the name of a key of this home.
fn key_of(session: &Session, text: &str) -> Result<Whose, Failure> {
    if text.starts_with("ed25519:") || text.starts_with("ssh-ed25519 ") {
        return Ok(Whose::Key(text.to_owned()));
    }
    let path = session.world.path(Path::new(text));
    if let Some(bytes) = if path.is_file() { read(&path, "the key")? } else { None } {
        let text = String::from_utf8(bytes).map_err(|_| not_a_key(text))?;
        return match astrid_resolver::gate::spki_of_pem(&text) {
            Some(der) => Ok(Whose::Spki(der)),
            None => Ok(Whose::Key(text.trim().to_owned())),
        };
    }
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Whose::Key(text.to_owned()));
    }
    let name = text.parse().map_err(|_| not_a_key(text))?;
    let key = Keyring::new(&session.home()?, &session.disk()).show(&name)?.public;
    Ok(Whose::Key(key.to_string()))
}

fn not_a_key(text: &str) -> Failure {
    Failure::invalid(format!("`{}` is no public key", safe(text)))
        .hint("write ed25519:BASE64, or name a file with a key or a PEM, or a key of `astrid keypair list`")
}

fn read(path: &Path, what: &str) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_BYTES => {
            Err(Failure::invalid(format!("{what} `{}` is larger than 16 MiB", path.display())))
        }
        Ok(found) if !found.is_file() => {
            Err(Failure::invalid(format!("{what} `{}` is no regular file", path.display())))
        }
        Ok(_) => Ok(Some(std::fs::read(path)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("{what} `{}` can't be read: {error}", path.display()))),
    }
}

fn show(session: &mut Session, signable: &Signable, finding: &Finding) -> Outcome {
    let found = &finding.verified;
    let names: Vec<&str> = signable.subjects.iter().map(|(name, _)| name.as_str()).collect();
    let signer = found.signer();
    let mut pretty =
        format!("{} verified\n  signed by {}\n", safe(&names.join(", ")), safe(&signer.to_string()));
    let times: Vec<String> = found.times.iter().map(ToString::to_string).collect();
    if let Some(time) = found.times.iter().min() {
        put!(pretty, "  at {time:.0}, by the word of a log or timestamp authority\n");
    } else {
        put!(pretty, "  when: nobody but the signer says\n");
    }
    if let Some(predicate) = &found.predicate {
        put!(pretty, "  statement {}\n", safe(&predicate.kind));
        if let Some(builder) = &predicate.builder {
            put!(pretty, "  built by {}\n", safe(builder));
        }
    }
    match &finding.root {
        None => put!(pretty, "  root: the file that was given\n"),
        Some(root) => {
            let source = match root.source {
                RootSource::Builtin => "the one in this program",
                RootSource::Home => "this home's",
            };
            if let Some(days) = root.age_days {
                put!(pretty, "  root: {source}, {days} days old\n");
            } else {
                put!(pretty, "  root: {source}, nobody recorded how old\n");
            }
        }
    }
    let document = json!({
        "verified": true,
        "subjects": names,
        "signer": signer,
        "times": times,
        "predicate_type": found.predicate.as_ref().map(|predicate| &predicate.kind),
        "builder": found.predicate.as_ref().and_then(|predicate| predicate.builder.as_ref()),
        "root": finding.root,
    });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
