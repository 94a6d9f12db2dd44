//! How a capsule and a fleet are doing, and when a capsule that crashes is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How something is doing, in the words that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Healthy,
    /// It is being brought up.
    Progressing,
    /// Some of it works.
    Degraded,
    /// It does not work.
    Failed,
    /// It was told to rest.
    Suspended,
}

impl Health {
    /// The health of a whole, from the health of its parts; nothing at all is healthy.
    pub fn of_parts(parts: impl IntoIterator<Item = Self>) -> Self {
        let (mut all, mut failed, mut progressing, mut degraded) = (0_usize, 0_usize, false, false);
        for part in parts {
            all += 1;
            match part {
                Self::Failed => failed += 1,
                Self::Progressing => progressing = true,
                Self::Degraded => degraded = true,
                Self::Healthy | Self::Suspended => {}
            }
        }
        if failed > 0 && failed == all {
            Self::Failed
        } else if failed > 0 || degraded {
            Self::Degraded
        } else if progressing {
            Self::Progressing
        } else {
            Self::Healthy
        }
    }
}

/// Crashes in a row that a capsule may have before calls to it are held back.
const TOLERATED: u32 = 5;
/// How long it is left alone after the first crash that is not tolerated; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// The crashes of one capsule. Times are nanoseconds of a clock that never goes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crashes {
    in_a_row: u32,
    total: u64,
    last_reason: Option<String>,
    held_until_ns: u64,
}

impl Crashes {
    /// Notes a crash; says how long the capsule is now left alone.
    pub fn crashed(&mut self, reason: String, now_ns: u64) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.total += 1;
        self.last_reason = Some(reason);
        let pause = match self.in_a_row.checked_sub(TOLERATED) {
            None => Duration::ZERO,
            Some(beyond) => FIRST_PAUSE.saturating_mul(1 << beyond.min(16)).min(LONGEST_PAUSE),
        };
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.held_until_ns = now_ns.saturating_add(pause_ns);
        pause
    }

    /// Notes a call that did not crash.
    pub fn survived(&mut self) {
        self.in_a_row = 0;
        self.last_reason = None;
        self.held_until_ns = 0;
    }

    /// Says whether calls are held back at this time, and for how long.
    pub fn held(&self, now_ns: u64) -> Option<Duration> {
        let left = self.held_until_ns.saturating_sub(now_ns);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Why the last call crashed, if it did.
    pub fn reason(&self) -> Option<&str> {
        self.last_reason.as_deref()
    }

    /// All crashes so far. Each one cost an instance, and a fresh one took its place.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Crashes since the last call that did not crash.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_as_its_parts() {
        use Health::{Degraded, Failed, Healthy, Progressing, Suspended};
        for (parts, whole) in [
            (vec![], Healthy),
            (vec![Healthy, Suspended], Healthy),
            (vec![Healthy, Progressing], Progressing),
            (vec![Healthy, Failed, Progressing], Degraded),
            (vec![Failed, Failed], Failed),
            (vec![Degraded], Degraded),
        ] {
            assert_eq!(Health::of_parts(parts.clone()), whole, "{parts:?}");
        }
    }

    #[test]
    fn a_few_crashes_are_tolerated_and_a_good_call_forgives_them() {
        let mut crashes = Crashes::default();
        for _ in 1..TOLERATED {
            assert_eq!(crashes.crashed("x".into(), 0), Duration::ZERO);
        }
        assert_eq!(crashes.held(0), None);
        crashes.survived();
        assert_eq!((crashes.in_a_row(), crashes.total(), crashes.reason()), (0, 4, None));
    }

    #[test]
    fn a_capsule_that_always_crashes_is_held_back_denied() {
        let mut crashes = Crashes::default();
        let pauses: Vec<u64> = (0..14).map(|_| crashes.crashed("x".into(), 0).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120]);
        assert_eq!(crashes.held(60_000_000_000), Some(Duration::from_mins(1)));
        assert_eq!(crashes.held(120_000_000_000), None);
    }
}
