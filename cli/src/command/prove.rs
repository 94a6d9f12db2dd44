//! `verify --fleet` and `verify --lock`: whether what is pinned, applied and running is what it should be.

use std::path::Path;

use astrid_daemon::{Client, ClientError};
use astrid_manifest::Lock;
use astrid_resolver::Context;
use astrid_resolver::keyring::{PublicKey, receipt_public_key};
use astrid_resolver::observed::{ObservedKernel, check_locked};
use astrid_resolver::receipt::{Proof, Running, prove};
use astrid_resolver::resolution::{LockMode, Request};
use astrid_resolver::verified::{Freshness, verified};
use astrid_store::generation::GenerationNumber;
use serde_json::{Value, json};

use super::fleet;
use crate::args::VerifyArgs;
use crate::exit::{DONE, Failure, Kind, Outcome};
use crate::render::{put, safe};
use crate::session::Session;
use crate::shell::count;

/// `verify --fleet`
pub(super) fn running_fleet(session: &mut Session, args: &VerifyArgs) -> Outcome {
    let context = session.context()?;
    let key = args.receipt_key.as_deref().map(receipt_key).transpose()?;
    let proof = prove(&context, key)?;
    let kernel = running(&context, &proof, args.running)?;
    let receipt = &proof.receipt;
    let is_own = receipt_public_key(&context.home).ok().flatten() == Some(proof.key);
    let mut pretty = format!(
        "generation {} of {} {}, applied {:.0} by {}\n",
        receipt.generation,
        receipt.distro.id,
        receipt.distro.version,
        receipt.at,
        safe(&receipt.by)
    );
    let whose = if is_own { ", this home's own" } else { "" };
    put!(pretty, "receipt   signed by {}{whose}\n", proof.key);
    put!(pretty, "files     {} what the receipt says\n", are(proof.files.len(), "file"));
    put!(
        pretty,
        "content   {}, {}: every byte in the store is what the lock pins\n",
        count(receipt.capsules.len(), "capsule"),
        count(receipt.packs.len(), "pack")
    );
    pretty.push_str(&kernel.pretty);
    let document = json!({
        "generation": receipt.generation,
        "receipt": { "key": proof.key.to_string(), "own_key": is_own, "says": receipt },
        "files": proof.files,
        "kernel": kernel.document,
    });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}

/// `1 file is`, `2 files are`
fn are(number: usize, noun: &str) -> String {
    format!("{} {}", count(number, noun), if number == 1 { "is" } else { "are" })
}

fn receipt_key(text: &str) -> Result<PublicKey, Failure> {
    text.parse().map_err(|_| {
        Failure::usage("--receipt-key takes an ed25519 key")
            .hint("write it as in keys/receipts.pub of the home that applied: ed25519:…")
    })
}

/// What was found out about what runs.
struct RunningReport {
    document: Value,
    pretty: String,
}

/// Compares what runs with what was applied.
fn running(context: &Context, proof: &Proof, demanded: bool) -> Result<RunningReport, Failure> {
    let status = match Client::connect_owner(&context.home).and_then(|mut client| client.status()) {
        Ok(status) => status,
        Err(error) if demanded => return Err(error.into()),
        Err(error) => {
            let why = match error {
                ClientError::NotRunning => "the kernel is not running".to_owned(),
                other => format!("the kernel does not answer ({})", safe(&other.to_string())),
            };
            return Ok(RunningReport {
                pretty: format!("kernel    {why}: nothing about what runs was checked\n"),
                document: json!({ "checked": false, "reason": why }),
            });
        }
    };
    let generation = status.generation.as_ref();
    let observed = ObservedKernel {
        generation: generation.and_then(|own| GenerationNumber::new(own.number)),
        loaded: status
            .capsules
            .iter()
            .filter(|capsule| json!(capsule.state) != "failed")
            .map(|capsule| (capsule.name.clone(), capsule.content))
            .collect(),
    };
    let found = proof.compare(&observed, generation.map(|own| own.digest));
    let others: Vec<String> =
        found.iter().filter(|one| matches!(one, Running::Other(_))).map(ToString::to_string).collect();
    if !others.is_empty() {
        return Err(Failure::new(Kind::Corrupt, "what runs is not what was applied")
            .because(others)
            .hint("`astrid stop`, then `astrid start` runs the current generation"));
    }
    let absent: Vec<String> = found.iter().map(ToString::to_string).collect();
    if demanded && !absent.is_empty() {
        return Err(Failure::new(Kind::Unhealthy, "not all that was applied runs")
            .because(absent)
            .hint("`astrid ps` shows the state of each"));
    }
    let mut pretty = format!(
        "kernel    process {} runs {}, each as applied\n",
        status.pid,
        count(observed.loaded.len(), "capsule")
    );
    for one in &absent {
        put!(pretty, "          {one}\n");
    }
    Ok(RunningReport {
        pretty,
        document: json!({ "checked": true, "pid": status.pid, "capsules": observed.loaded.len(), "absent": absent }),
    })
}

/// `verify --lock`
pub(super) fn lock(session: &mut Session) -> Outcome {
    let mut context = session.context()?;
    let path = session.world.folder.join("Distro.lock");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(
                Failure::failed("there is no Distro.lock in this folder").hint("`astrid lock` makes one")
            );
        }
        Err(error) => return Err(Failure::failed(format!("Distro.lock can't be read: {error}"))),
    };
    let lock = Lock::parse("Distro.lock", &text).map_err(Failure::diagnostics)?.value;
    let damaged = check_locked(&context.store, &lock)?;
    if !damaged.is_empty() {
        return Err(Failure::new(Kind::Corrupt, "the store does not hold what Distro.lock pins")
            .because(damaged.iter().map(|(subject, damage)| format!("{subject}: {}", damage.as_words())))
            .hint("`astrid verify --store` puts what is corrupt aside, `astrid fetch` brings it back"));
    }
    let (capsules, packs) = (lock.capsules.len(), lock.packs.len());
    let mut pretty = format!(
        "{}, {}: every byte in the store is what Distro.lock pins\n",
        count(capsules, "capsule"),
        count(packs, "pack")
    );
    // Who signed it is a claim of the lock as well: it is proved again, with nothing but what is here.
    let declaration = fleet::declaration(session, &mut context, Path::new("."))?;
    let request = Request { mode: LockMode::Frozen, ..Request::default() };
    let proved = verified(&context, &declaration, &request, Freshness::Hash)?;
    let own = proved.capsules().filter(|capsule| capsule.locked().pack.is_none());
    let signers = own.map(|one| &one.locked().signer).chain(proved.packs().map(|one| &one.locked().signer));
    let (mut signed, mut unsigned) = (0_usize, 0_usize);
    for signer in signers {
        if signer.is_unsigned() { unsigned += 1 } else { signed += 1 }
    }
    put!(pretty, "{signed} signed, each by whom Distro.lock says; {unsigned} unsigned\n");
    let document = json!({ "capsules": capsules, "packs": packs, "signed": signed, "unsigned": unsigned });
    session.shell.show(&document, &pretty)?;
    Ok(DONE)
}
