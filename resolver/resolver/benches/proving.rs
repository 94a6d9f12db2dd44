//! What it costs that every artifact of a fleet is signed, the first time and afterwards.
//!
//! ```text
//! cargo bench -p astrid-resolver --bench proving              # times and ratios
//! cargo bench -p astrid-resolver --bench proving -- --check   # fails when a limit is passed
//! ```
//!
//! One fleet of signed folders and the same without signatures are taken in turn: ratios do not depend on the machine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints what it measured"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use astrid_hermetic_sigstore::{Claims, Sigstore};
use astrid_resolver::context::{Clock, Context, Entropy};
use astrid_resolver::resolution::Request;
use astrid_resolver::verified::{Freshness, verified};
use astrid_resolver::{Declaration, Target};
use astrid_store::read::{Filter, hash_dir};
use astrid_store::tree::Limits;
use astrid_store::{Disk, Home, Store};
use jiff::Timestamp;

/// How many capsules the fleet has.
const FLEET: usize = 1_000;
/// All of them are verified in this time, on two cores.
const ALL: Duration = Duration::from_secs(4);
/// When everything was verified before, signatures may cost this much of the same fleet without any.
const WARM: f64 = 1.5;
const ROUNDS: usize = 7;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

struct World {
    context: Context,
    folder: tempfile::TempDir,
}

impl World {
    fn new(sigstore: Option<&Sigstore>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"), folder.path().join("packs")).unwrap();
        let disk = Disk::default();
        home.ensure(&disk).unwrap();
        home.ensure_key(&disk, &mut |bytes| Fixed.fill(bytes)).unwrap();
        if let Some(sigstore) = sigstore {
            fs::write(home.trust().join("trusted_root.json"), sigstore.trusted_root()).unwrap();
            let rule = "[[policy.signer]]\nmatch = [\"capsule:*\"]\nissuer = \"https://token.actions.githubusercontent.com\"\nrepository = \"acme/fleet\"\n";
            fs::write(home.policy(), rule).unwrap();
        }
        let mut manifest =
            "schema-version = 1\n[distro]\nid = \"demo\"\nname = \"Demo\"\nversion = \"0.1.0\"\n".to_owned();
        let claims = Claims::github("acme/fleet", "release.yml", "refs/tags/v1.0.0");
        for index in 0..FLEET {
            let name = format!("c{index}");
            // Writing to a string can't fail.
            let _ = writeln!(manifest, "[[capsule]]\nname = \"{name}\"\nsource = \"./{name}\"");
            let own = folder.path().join("fleet").join(&name);
            fs::create_dir_all(own.join(".astrid")).unwrap();
            let text = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
            fs::write(own.join("Capsule.toml"), text).unwrap();
            if let Some(sigstore) = sigstore {
                let filter = Filter::capsule(None).unwrap();
                let listing = hash_dir(&own, &filter, &Limits::default(), None).unwrap().encode();
                let bundle = sigstore.sign_blob(&claims, &listing);
                fs::write(own.join(".astrid/provenance.sigstore.json"), bundle).unwrap();
            }
        }
        fs::write(folder.path().join("fleet/Distro.toml"), manifest).unwrap();
        let store = Store::new(home.clone(), disk);
        let context = Context::new(home, store, Arc::new(Fixed), Arc::new(Fixed), "bench".to_owned());
        Self { context, folder }
    }

    fn take(&self, freshness: Freshness) -> Duration {
        let start = Instant::now();
        let target = Target::parse("fleet", Path::new(self.folder.path())).unwrap();
        let declaration = Declaration::load(&self.context, &target).unwrap();
        let fleet = verified(&self.context, &declaration, &Request::default(), freshness).unwrap();
        assert_eq!(fleet.lock().capsules.len(), FLEET);
        let taken = start.elapsed();
        fleet.write_lock().unwrap();
        taken
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.context.home.var().join("verified-signatures"));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let check = std::env::args().any(|argument| argument == "--check");
    let sigstore = Sigstore::default();
    let (signed, plain) = (World::new(Some(&sigstore)), World::new(None));
    signed.take(Freshness::Hash);
    plain.take(Freshness::Hash);
    let (mut cold, mut cold_plain, mut warm, mut warm_plain) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        signed.forget();
        cold.push(signed.take(Freshness::Hash));
        cold_plain.push(plain.take(Freshness::Hash));
        warm.push(signed.take(Freshness::StatCache));
        warm_plain.push(plain.take(Freshness::StatCache));
    }
    let (cold, cold_plain) = (median(cold), median(cold_plain));
    let (warm, warm_plain) = (median(warm), median(warm_plain));
    let ratio = warm.as_secs_f64() / warm_plain.as_secs_f64();
    println!("{FLEET} signed capsules, verified: {cold:.0?}; the same unsigned: {cold_plain:.0?}");
    println!("again, with nothing changed: {warm:.0?}; unsigned: {warm_plain:.0?}; ratio {ratio:.2}");
    if check {
        assert!(cold < ALL, "verifying takes {cold:?}");
        assert!(ratio < WARM, "signatures cost {ratio:.2} of a fleet without, though all were verified");
    }
}
