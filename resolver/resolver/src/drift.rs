//! Whether a machine is in the declared state, in the words that people and tools read. Pure.
//!
//! Three differences have three names: the repository and its lock (`stale`), the lock and the
//! generation (`pending`), the generation and what is really there (`drifted`, `missing`).

use std::collections::BTreeMap;
use std::fmt;

use astrid_authority::Digest;
use astrid_manifest::subject::Subject;
use astrid_store::generation::GenerationNumber;
use serde::Serialize;

use crate::observed::{Damage, Observed, ObservedKernel};
use crate::plan::Fleet;

/// The state of a subject or of the whole, from well to worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// Everything is as it was declared.
    InSync,
    /// It is there, and Astrid did not put it there.
    Foreign,
    /// The lock leads to something else than the generation.
    Pending,
    /// The declaration leads to something else than the lock.
    Stale,
    /// What was applied could not be looked at.
    Unverified,
    /// What is there is not what was applied.
    Drifted,
    /// What was applied is not there.
    Missing,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InSync => "in-sync",
            Self::Foreign => "foreign",
            Self::Pending => "pending",
            Self::Stale => "stale",
            Self::Unverified => "unverified",
            Self::Drifted => "drifted",
            Self::Missing => "missing",
        })
    }
}

/// One subject that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// Which, as `capsule:fs`, or the name of something foreign.
    pub subject: String,
    /// Its state.
    pub state: Sync,
    /// What is wrong, in words.
    pub reason: String,
}

/// Where a machine stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// The worst that was found. What is foreign is nobody's fault and does not count.
    pub state: Sync,
    /// Everything that is not as it should be.
    pub deviations: Vec<Deviation>,
}

/// What is compared, besides the generation.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The number and artifacts of the generation.
    pub generation: Option<(GenerationNumber, &'a Fleet)>,
    /// Digest of the generation's lock.
    pub applied_lock: Option<Digest>,
    /// Digest of the lock of the repository, when one works in one.
    pub repository_lock: Option<Digest>,
    /// Why the repository's lock is stale, if it is.
    pub stale: Option<&'a str>,
    /// What is on disk; nothing when it was not looked at.
    pub observed: Option<&'a Observed>,
    /// What runs; nothing when no kernel runs.
    pub kernel: Option<&'a ObservedKernel>,
}

/// Compares declaration, lock, generation, disk and kernel.
#[must_use]
pub fn compare(comparison: &Comparison<'_>) -> SyncReport {
    let mut deviations = Vec::new();
    let mut deviation = |subject: String, state: Sync, reason: String| {
        deviations.push(Deviation { subject, state, reason });
    };
    if let Some(reason) = comparison.stale {
        deviation("lock".to_owned(), Sync::Stale, reason.to_owned());
    }
    if let Some(lock) = comparison.repository_lock
        && comparison.applied_lock != Some(lock)
    {
        let reason = match comparison.generation {
            Some((number, _)) => format!("generation {number} was made from another lock"),
            None => "nothing is applied yet".to_owned(),
        };
        deviation("lock".to_owned(), Sync::Pending, reason);
    }
    match (comparison.generation, comparison.observed) {
        (Some((number, _)), None) => {
            deviation(
                format!("generation {number}"),
                Sync::Unverified,
                "its content was not looked at".to_owned(),
            );
        }
        (_, Some(observed)) => {
            for (subject, damage) in &observed.damaged {
                let state = match damage {
                    Damage::Missing(_) => Sync::Missing,
                    Damage::Changed(_) => Sync::Drifted,
                };
                deviation(subject.to_string(), state, damage.as_words().to_owned());
            }
            for name in &observed.foreign {
                deviation(
                    name.clone(),
                    Sync::Foreign,
                    "Astrid did not install it, and leaves it alone".to_owned(),
                );
            }
            if observed.switch_cut_short {
                let reason = "a switch was cut short; the next command that writes repairs it";
                deviation("journal".to_owned(), Sync::Drifted, reason.to_owned());
            }
        }
        (None, None) => {}
    }
    if let (Some((number, fleet)), Some(kernel)) = (comparison.generation, comparison.kernel) {
        for (subject, state, reason) in kernel_deviations(number, fleet, kernel) {
            deviation(subject, state, reason);
        }
    }
    let worst = deviations.iter().map(|own| own.state).filter(|state| *state != Sync::Foreign).max();
    deviations.sort_by(|one, two| (&one.subject, one.state).cmp(&(&two.subject, two.state)));
    SyncReport { state: worst.unwrap_or(Sync::InSync), deviations }
}

fn kernel_deviations(
    number: GenerationNumber,
    fleet: &Fleet,
    kernel: &ObservedKernel,
) -> Vec<(String, Sync, String)> {
    if kernel.generation != Some(number) {
        let reason = match kernel.generation {
            Some(other) => format!("it runs generation {other}"),
            None => "it runs no generation".to_owned(),
        };
        return vec![("kernel".to_owned(), Sync::Drifted, reason)];
    }
    let mut deviations = Vec::new();
    let mut loaded: BTreeMap<_, _> = kernel.loaded.iter().collect();
    for (subject, artifact) in &fleet.artifacts {
        let Subject::Capsule(name) = subject else { continue };
        match loaded.remove(name) {
            None => deviations.push((
                subject.to_string(),
                Sync::Missing,
                "the kernel has not loaded it".to_owned(),
            )),
            Some(content) if *content != artifact.content => {
                deviations.push((
                    subject.to_string(),
                    Sync::Drifted,
                    "the kernel runs other bytes".to_owned(),
                ));
            }
            Some(_) => {}
        }
    }
    for name in loaded.keys() {
        let reason = "the kernel runs it, and the generation does not have it".to_owned();
        deviations.push((format!("capsule:{name}"), Sync::Drifted, reason));
    }
    deviations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::World;

    fn well<'a>(fleet: &'a Fleet, observed: &'a Observed) -> Comparison<'a> {
        Comparison {
            generation: Some((GenerationNumber::FIRST, fleet)),
            applied_lock: Some(Digest::of(b"lock")),
            repository_lock: Some(Digest::of(b"lock")),
            stale: None,
            observed: Some(observed),
            kernel: None,
        }
    }

    #[test]
    fn each_difference_has_its_own_word() {
        let fleet = World::new().capsule("fs", "./fs", "one", &[]).fleet;
        let mut observed = Observed::default();
        assert_eq!(compare(&well(&fleet, &observed)).state, Sync::InSync);
        observed.foreign.push("mine".to_owned());
        assert_eq!(compare(&well(&fleet, &observed)).state, Sync::InSync, "foreign is nobody's fault");
        let pending = Comparison { repository_lock: Some(Digest::of(b"new")), ..well(&fleet, &observed) };
        assert_eq!(compare(&pending).state, Sync::Pending);
        let stale = Comparison { stale: Some("version changed"), ..pending };
        assert_eq!(compare(&stale).state, Sync::Stale);
        let blind = Comparison { observed: None, ..well(&fleet, &observed) };
        assert_eq!(compare(&blind).state, Sync::Unverified);
        let mut damaged = Observed::default();
        damaged.damaged.insert("capsule:fs".parse().unwrap(), Damage::Missing("gone".to_owned()));
        assert_eq!(compare(&well(&fleet, &damaged)).state, Sync::Missing);
    }

    #[test]
    fn a_kernel_that_runs_something_else_has_drifted() {
        let fleet = World::new().capsule("fs", "./fs", "one", &[]).fleet;
        let observed = Observed::default();
        let state = |kernel: &ObservedKernel| {
            compare(&Comparison { kernel: Some(kernel), ..well(&fleet, &observed) }).state
        };
        let mut kernel = ObservedKernel { generation: Some(GenerationNumber::FIRST), ..Default::default() };
        assert_eq!(state(&kernel), Sync::Missing);
        kernel.loaded.insert("fs".parse().unwrap(), Digest::of(b"one"));
        assert_eq!(state(&kernel), Sync::InSync);
        kernel.loaded.insert("fs".parse().unwrap(), Digest::of(b"evil"));
        assert_eq!(state(&kernel), Sync::Drifted);
        kernel.generation = Some(GenerationNumber::FIRST.next());
        assert_eq!(state(&kernel), Sync::Drifted);
    }
}
