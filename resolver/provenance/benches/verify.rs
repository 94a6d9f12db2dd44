//! What it costs to verify, beside the Sigstore crate alone.
//!
//! ```text
//! cargo bench -p astrid-provenance --bench verify              # times and ratios
//! cargo bench -p astrid-provenance --bench verify -- --check   # fails when a limit is passed
//! ```
//!
//! Ours parses with limits, refuses doubled keys, and checks the windows of logs, the statement and the names
//! beside what the crate does. Both are measured in turn, so that the ratio does not depend on the machine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints what it measured"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use astrid_hermetic_sigstore::{Claims, Key, Sigstore, sha256};
use astrid_provenance::{Artifact, Bundle, TrustRoot, Verifier};
use sigstore::trust_root::TrustedRoot;
use sigstore::types::DerPublicKey;
use sigstore::{Policy, PublicKeyVerificationPolicy, VerificationPolicy};

/// How often each is measured; the median counts.
const ROUNDS: usize = 101;
/// How many artifacts a fleet has.
const FLEET: usize = 1_000;
/// On how many threads they are verified.
const THREADS: usize = 2;
/// Ours may cost this much more than the crate alone.
const RATIO: f64 = 1.25;
/// The same for signatures by a key with a log entry: ours checks the signature itself, too.
const RATIO_OF_KEYS: f64 = 1.6;
/// How often the fleet is measured; the median counts.
const FLEET_ROUNDS: usize = 5;
/// One artifact may take this long.
const ONE: Duration = Duration::from_millis(2);
/// All of them may take this long.
const ALL: Duration = Duration::from_secs(4);

/// A bundle and what it is about.
struct Case {
    name: &'static str,
    bundle: String,
    bytes: Vec<u8>,
    policy: Box<dyn Policy + Sync>,
    key: Option<Vec<u8>>,
}

fn statement(bytes: &[u8]) -> String {
    serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "fs.capsule", "digest": { "sha256": hex::encode(sha256(bytes)) } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    })
    .to_string()
}

fn claims() -> Claims {
    Claims::github("acme/fs", "release.yml", "refs/tags/v1.2.0")
}

fn cases(sigstore: &Sigstore) -> Vec<Case> {
    let claims = claims();
    let small = b"the archive".to_vec();
    let large = vec![7; 1 << 20];
    let key = Key::p256("ada");
    let keyless = || -> Box<dyn Policy + Sync> {
        Box::new(VerificationPolicy::new(claims.identity.as_str(), claims.issuer.as_str()))
    };
    let signing = || sigstore.signing(&claims);
    let managed = DerPublicKey::from_bytes(&key.spki());
    vec![
        Case {
            name: "bytes, first log",
            bundle: signing().blob(&small),
            bytes: small.clone(),
            policy: keyless(),
            key: None,
        },
        Case {
            name: "bytes, second log, timestamp",
            bundle: signing().rekor_2().blob(&small),
            bytes: small.clone(),
            policy: keyless(),
            key: None,
        },
        Case {
            name: "statement, first log",
            bundle: signing().statement(&statement(&small)),
            bytes: small.clone(),
            policy: keyless(),
            key: None,
        },
        Case {
            name: "statement, second log, timestamp",
            bundle: signing().rekor_2().statement(&statement(&small)),
            bytes: small.clone(),
            policy: keyless(),
            key: None,
        },
        Case {
            name: "statement about 1 MiB, first log",
            bundle: signing().statement(&statement(&large)),
            bytes: large,
            policy: keyless(),
            key: None,
        },
        Case {
            name: "statement by a key, first log",
            bundle: sigstore.signing_by_key(&key).statement(&statement(&small)),
            bytes: small,
            policy: Box::new(PublicKeyVerificationPolicy::new(managed)),
            key: Some(key.spki()),
        },
    ]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() {
    let check = std::env::args().any(|argument| argument == "--check");
    let sigstore = Sigstore::default();
    let root = sigstore.trusted_root();
    let ours = Verifier::new(&TrustRoot::parse(root.as_bytes()).unwrap()).unwrap();
    let bare = sigstore::Verifier::new(&TrustedRoot::from_json(&root).unwrap()).unwrap();
    let verify_ours = |case: &Case| {
        let bundle = Bundle::parse(case.bundle.as_bytes()).unwrap();
        let artifact = Artifact::new(&case.bytes);
        match &case.key {
            Some(key) => ours.verify_with_spki(&artifact, &bundle, key).unwrap(),
            None => ours.verify(&artifact, &bundle).unwrap(),
        }
    };
    let verify_bare = |case: &Case| {
        let bundle = sigstore::types::Bundle::from_json(&case.bundle).unwrap();
        bare.verify(case.bytes.as_slice(), &bundle, &*case.policy).unwrap()
    };
    let mut failed = Vec::new();
    println!("{:<36} {:>10} {:>10} {:>7}", "one artifact, parsed and verified", "ours", "the crate", "ratio");
    for case in cases(&sigstore) {
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            black_box(verify_ours(black_box(&case)));
            own.push(start.elapsed());
            let start = Instant::now();
            black_box(verify_bare(black_box(&case)));
            other.push(start.elapsed());
        }
        let (own, other) = (median(own), median(other));
        let ratio = own.as_secs_f64() / other.as_secs_f64();
        println!("{:<36} {:>7.0} µs {:>7.0} µs {ratio:>7.2}", case.name, micros(own), micros(other));
        if ratio > if case.key.is_some() { RATIO_OF_KEYS } else { RATIO } || own > ONE {
            failed.push(case.name);
        }
    }
    let bare_key = {
        use astrid_provenance::{SigningKey, Statement, envelope, statement::Subject};
        let subject = Subject::of("fs.capsule", b"the archive");
        let statement = Statement::new(vec![subject], "https://example.org/p/v1", serde_json::Value::Null);
        envelope::sign(&statement, &SigningKey::from_bytes(&[7; 32].into())).unwrap()
    };
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let bundle = Bundle::parse(bare_key.as_bytes()).unwrap();
        black_box(ours.verify(&Artifact::new(b"the archive"), &bundle).unwrap());
        start.elapsed()
    });
    let own = median(times.collect());
    println!("{:<36} {:>7.0} µs {:>10} {:>7}", "statement by a key alone", micros(own), "refuses", "");

    let fleet: Vec<Case> = (0..FLEET)
        .map(|index| {
            let bytes = format!("the archive {index}").into_bytes();
            Case {
                name: "fleet",
                bundle: sigstore.sign_statement(&claims(), &statement(&bytes)),
                bytes,
                policy: Box::new(VerificationPolicy::new(claims().identity, claims().issuer)),
                key: None,
            }
        })
        .collect();
    let on_threads = |verify: &(dyn Fn(&Case) + Sync)| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in fleet.chunks(FLEET.div_ceil(THREADS)) {
                scope.spawn(move || part.iter().for_each(verify));
            }
        });
        start.elapsed()
    };
    let (own, other) = (0..FLEET_ROUNDS)
        .map(|_| {
            let own = on_threads(&|case| drop(black_box(verify_ours(case))));
            (own, on_threads(&|case| drop(black_box(verify_bare(case)))))
        })
        .unzip();
    let (own, other) = (median(own), median(other));
    let ratio = own.as_secs_f64() / other.as_secs_f64();
    let name = format!("{FLEET} statements on {THREADS} threads");
    println!("{name:<36} {:>7.0} ms {:>7.0} ms {ratio:>7.2}", micros(own) / 1e3, micros(other) / 1e3);
    if ratio > RATIO || own > ALL {
        failed.push("fleet");
    }
    if check {
        assert!(failed.is_empty(), "over the limit: {failed:?}");
    }
}
