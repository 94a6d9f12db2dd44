//! What the search and the graph cost for fleets whose capsules all need each other.
//!
//! ```text
//! cargo bench -p astrid-resolver --bench resolve              # times
//! cargo bench -p astrid-resolver --bench resolve -- --check   # fails when growth is nearer to quadratic
//! ```
//!
//! Each capsule has three versions and exports an interface that the next ones import, so that every
//! choice is bound to others. Milliseconds depend on the machine; growth does not.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints what it measured"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use astrid_authority::{CapsuleName, InterfaceId};
use astrid_resolver::error::{Place, Result};
use astrid_resolver::graph::{Graph, Needs};
use astrid_resolver::solve::{Candidates, Import, Member, Metadata, Part, Problem, Solution, Wanted, solve};
use semver::Version;

/// How many capsules before it each one imports from.
const IMPORTS: usize = 4;
/// Exporters whose newest version is not the one that others need.
const DEAD_ENDS: usize = 20;
/// Growth from 1,000 to 10,000 capsules may be this much over 10: the larger fleet leaves the processor's
/// caches, and what is quadratic would show as 100.
const SLACK: f64 = 5.0;

/// An index in memory, as a registry without a network would answer.
struct Fleet {
    members: Vec<Member>,
    metadata: BTreeMap<(Member, Version), Arc<Metadata>>,
}

impl Fleet {
    fn new(count: usize) -> Self {
        let mut fleet = Self { members: Vec::with_capacity(count), metadata: BTreeMap::new() };
        for index in 0..count {
            let name: CapsuleName = format!("c{index}").parse().unwrap();
            let member = Member::Capsule(name.clone());
            for minor in 0..3 {
                let version = Version::new(1, minor, 0);
                let imports = (index.saturating_sub(IMPORTS)..index)
                    .map(|before| Import {
                        interface: interface(before),
                        // The newest of some exporters does not do: the search comes to a dead end at each.
                        requirement: if before.is_multiple_of(count / DEAD_ENDS) {
                            ">=1.0, <1.2"
                        } else {
                            "^1"
                        }
                        .parse()
                        .unwrap(),
                        optional: false,
                    })
                    .collect();
                let part = Part {
                    name: name.clone(),
                    imports,
                    exports: BTreeMap::from([(interface(index), version.clone())]),
                    platform: None,
                    uplink: false,
                };
                let metadata = Metadata {
                    version: version.clone(),
                    parts: vec![part],
                    packs: Vec::new(),
                    platform: None,
                };
                fleet.metadata.insert((member.clone(), version), Arc::new(metadata));
            }
            fleet.members.push(member);
        }
        fleet
    }

    fn problem(&self, locked: Option<&Solution>) -> Problem {
        let wanted = self.members.iter().enumerate().map(|(index, member)| Wanted {
            member: member.clone(),
            requirement: Some("^1".parse().unwrap()),
            place: Place { file: "Distro.toml".to_owned(), line: index + 1, column: None },
            preferred: locked
                .and_then(|solution| solution.chosen.get(member))
                .map(|metadata| metadata.version.clone()),
            depends_on: Vec::new(),
            uplink: false,
        });
        Problem { wanted: wanted.collect(), requires: Vec::new(), platform: Version::new(1, 0, 0) }
    }
}

impl Candidates for Fleet {
    fn versions(&self, member: &Member) -> Result<Vec<Version>> {
        let all = (0..3).map(|minor| Version::new(1, minor, 0));
        Ok(all.filter(|version| self.metadata.contains_key(&(member.clone(), version.clone()))).collect())
    }

    fn metadata(&self, member: &Member, version: &Version) -> Result<Arc<Metadata>> {
        Ok(Arc::clone(&self.metadata[&(member.clone(), version.clone())]))
    }
}

fn interface(index: usize) -> InterfaceId {
    format!("bench:i{index}").parse().unwrap()
}

fn needs(solution: &Solution) -> Vec<Needs> {
    let parts = solution.chosen.values().flat_map(|metadata| &metadata.parts);
    parts
        .map(|part| Needs {
            name: part.name.clone(),
            imports: part
                .imports
                .iter()
                .map(|import| (import.interface.clone(), import.requirement.clone(), import.optional))
                .collect(),
            exports: part.exports.clone(),
            depends_on: Vec::new(),
            uplink: false,
        })
        .collect()
}

/// The shortest of seven runs: the one that was disturbed least.
fn best(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    (0..7).map(once).min().unwrap()
}

/// Search, search with a lock, and graph.
fn measure(count: usize) -> [Duration; 3] {
    let fleet = Fleet::new(count);
    let problem = fleet.problem(None);
    let solution = solve(&problem, &fleet).unwrap();
    let locked = fleet.problem(Some(&solution));
    let needs = needs(&solution);
    let times = [
        best(|| drop(black_box(solve(&problem, &fleet).unwrap()))),
        best(|| drop(black_box(solve(&locked, &fleet).unwrap()))),
        best(|| drop(black_box(Graph::build(&needs, Vec::new()).unwrap()))),
    ];
    let [search, kept, graph] = times.map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    println!("{count:>6} capsules: search {search:>10}, with a lock {kept:>10}, graph {graph:>10}");
    times
}

fn main() {
    // `cargo test --benches` runs this with `--test`: then there is nothing to measure.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let small: Duration = measure(1_000).iter().sum();
    let large: Duration = measure(10_000).iter().sum();
    let growth = large.as_secs_f64() / small.as_secs_f64();
    println!("growth from 1,000 to 10,000: {growth:.1} x, limit {:.1} x", 10.0 * SLACK);
    if arguments.iter().any(|argument| argument == "--check") && growth > 10.0 * SLACK {
        std::process::exit(1);
    }
}
