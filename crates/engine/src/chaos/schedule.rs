//! What goes wrong during a run, and when: drawn from a seed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The process is killed, as by `kill -9`.
    Kill,
    /// The connection of a delivery is lost, before the target has the records or after it.
    Drop,
    /// Deliveries, or the input where nothing is delivered, are slow.
    Slow,
    /// The target answers deliveries with 429 or 500.
    Refuse,
    /// The disk of the state folder and of output files is full.
    Disk,
    /// The machine's clock jumps.
    Clock,
    /// The target is gone for some seconds: all deliveries fail.
    Outage,
    /// The input fails, or falls silent for some seconds.
    Input,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Kill,
        Self::Drop,
        Self::Slow,
        Self::Refuse,
        Self::Disk,
        Self::Clock,
        Self::Outage,
        Self::Input,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Drop => "drop",
            Self::Slow => "slow",
            Self::Refuse => "refuse",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Outage => "outage",
            Self::Input => "input",
        }
    }

    /// Whether it needs a sink that delivers by epochs.
    #[must_use]
    pub fn needs_deliveries(self) -> bool {
        matches!(self, Self::Drop | Self::Refuse | Self::Outage)
    }
}

/// A fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// When it begins: after so many thousandths of the input.
    pub at: u32,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Kills the process.
    Kill {
        /// When.
        moment: Moment,
    },
    /// The next deliveries fail.
    Drop {
        /// How many.
        deliveries: u32,
        /// Whether the target has the records, and only its answer is lost.
        is_delivered: bool,
    },
    /// The next calls take longer.
    Slow {
        /// How many.
        calls: u32,
        /// How much longer, in milliseconds.
        millis: u64,
    },
    /// The target refuses the next deliveries for now.
    Refuse {
        /// How many.
        deliveries: u32,
        /// The status of HTTP.
        status: u16,
        /// When it asks to be called again, in milliseconds; none with the status 500.
        retry_after: Option<u64>,
    },
    /// There is no space for the next writes.
    Disk {
        /// How many.
        writes: u32,
    },
    /// The clock jumps.
    Clock {
        /// By how much, in seconds.
        seconds: i64,
    },
    /// All deliveries fail.
    Outage {
        /// How many at least, so that a circuit breaker opens.
        deliveries: u32,
        /// For how long at least, from the first one on, in milliseconds.
        millis: u64,
    },
    /// The input fails, or falls silent.
    Input {
        /// For how long nothing comes, in milliseconds; none if reading fails.
        silent: Option<u64>,
    },
}

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Moment {
    /// While it reads.
    Reading,
    /// After a delivery, before anything notes that it has succeeded.
    Delivered,
    /// While it changes files: before so many more calls of the file system.
    Writing(u32),
}

/// How many deliveries fail in an outage at least: a circuit breaker with the default options opens, if few were successful just before.
const OUTAGE: u32 = 5;

/// The latest begin of a fault, so that something is left to recover with.
const LATEST: u64 = 950;

/// The schedule of `seed`: `count` faults of these kinds, each kind as often as the others. `delivers`: whether there is a sink that delivers by epochs; otherwise
/// there are no faults that need one.
#[must_use]
pub fn schedule(seed: u64, kinds: &[FaultKind], count: usize, delivers: bool) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let kinds: Vec<_> = kinds.iter().copied().filter(|kind| delivers || !kind.needs_deliveries()).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut begins: Vec<_> = (0..count).map(|_| 1 + random.below(LATEST) as u32).collect();
    begins.sort_unstable();
    let mut order: Vec<_> = kinds.into_iter().cycle().take(count).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    let faults = begins.into_iter().zip(order);
    faults.map(|(at, kind)| Fault { at, effect: Effect::draw(kind, delivers, &mut random) }).collect()
}

impl Effect {
    fn draw(kind: FaultKind, delivers: bool, random: &mut Random) -> Self {
        let mut few = |most: u64| 1 + random.below(most) as u32;
        match kind {
            FaultKind::Kill => {
                let moment = match few(if delivers { 3 } else { 2 }) {
                    1 => Moment::Reading,
                    2 => Moment::Writing(few(40)),
                    _ => Moment::Delivered,
                };
                Self::Kill { moment }
            }
            FaultKind::Drop => Self::Drop { deliveries: few(3), is_delivered: few(2) == 1 },
            FaultKind::Slow => Self::Slow { calls: few(4), millis: few(400).into() },
            FaultKind::Refuse => match few(2) {
                1 => Self::Refuse { deliveries: few(3), status: 429, retry_after: Some(few(400).into()) },
                _ => Self::Refuse { deliveries: few(3), status: 500, retry_after: None },
            },
            FaultKind::Disk => Self::Disk { writes: few(6) },
            FaultKind::Clock => {
                let seconds = i64::from(few(7200));
                Self::Clock { seconds: if few(2) == 1 { seconds } else { -seconds } }
            }
            FaultKind::Outage => Self::Outage { deliveries: OUTAGE, millis: u64::from(2000 + few(4000)) },
            FaultKind::Input => {
                let silent = u64::from(few(5000));
                Self::Input { silent: (few(2) == 1).then_some(silent) }
            }
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Kill { .. } => FaultKind::Kill,
            Self::Drop { .. } => FaultKind::Drop,
            Self::Slow { .. } => FaultKind::Slow,
            Self::Refuse { .. } => FaultKind::Refuse,
            Self::Disk { .. } => FaultKind::Disk,
            Self::Clock { .. } => FaultKind::Clock,
            Self::Outage { .. } => FaultKind::Outage,
            Self::Input { .. } => FaultKind::Input,
        }
    }

    /// How many calls it concerns.
    pub(super) fn calls(&self) -> u32 {
        match self {
            Self::Kill { moment: Moment::Writing(calls) } | Self::Slow { calls, .. } => *calls,
            Self::Drop { deliveries, .. }
            | Self::Refuse { deliveries, .. }
            | Self::Outage { deliveries, .. } => *deliveries,
            Self::Disk { writes } => *writes,
            Self::Kill { .. } | Self::Clock { .. } | Self::Input { .. } => 1,
        }
    }

    /// For how long it concerns calls at least, from the first one on, in nanoseconds.
    pub(super) fn lasts(&self) -> u64 {
        match self {
            Self::Outage { millis, .. } => millis.saturating_mul(1_000_000),
            _ => 0,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4.1} %  {:<6}  {}", f64::from(self.at) / 10.0, self.effect.kind().name(), self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: u32, one: &str, more: &str| match count {
            1 => format!("the next {one}"),
            count => format!("the next {count} {more}"),
        };
        match self {
            Self::Kill { moment: Moment::Reading } => write!(f, "the process is killed while it reads"),
            Self::Kill { moment: Moment::Delivered } => {
                write!(f, "the process is killed after the next delivery, before that is noted")
            }
            Self::Kill { moment: Moment::Writing(calls) } => {
                write!(f, "the process is killed at call {calls} of the file system from then on")
            }
            Self::Drop { deliveries, is_delivered } => {
                let when = if *is_delivered { "after" } else { "before" };
                let what =
                    of(*deliveries, "delivery loses its connection", "deliveries lose their connections");
                write!(f, "{what} {when} the records have arrived")
            }
            Self::Slow { calls, millis } => {
                write!(f, "{} {millis} ms longer", of(*calls, "call takes", "calls take"))
            }
            Self::Refuse { deliveries, status, retry_after } => {
                write!(f, "{} answered with {status}", of(*deliveries, "delivery is", "deliveries are"))?;
                retry_after.map_or(Ok(()), |millis| write!(f, ", to be tried again after {millis} ms"))
            }
            Self::Disk { writes } => {
                write!(f, "the disk is full for {}", of(*writes, "write", "writes"))
            }
            Self::Clock { seconds } => write!(f, "the clock jumps by {seconds:+} s"),
            Self::Outage { deliveries, millis } => {
                write!(f, "all deliveries fail for {millis} ms, and {deliveries} of them at least")
            }
            Self::Input { silent: Some(millis) } => write!(f, "nothing is read for {millis} ms"),
            Self::Input { silent: None } => write!(f, "reading fails"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_schedule_depends_on_its_seed_alone(seed: u64, count in 0_usize..60, delivers: bool) {
            let draw = || schedule(seed, &FaultKind::ALL, count, delivers);
            prop_assert_eq!(draw(), draw());
        }

        #[test]
        fn faults_are_in_order_and_each_kind_is_as_frequent_as_the_others(seed: u64, count in 0_usize..60, delivers: bool) {
            let faults = schedule(seed, &FaultKind::ALL, count, delivers);
            prop_assert_eq!(faults.len(), count);
            prop_assert!(faults.is_sorted_by_key(|fault| fault.at));
            prop_assert!(faults.iter().all(|fault| (1..=950).contains(&fault.at) && fault.effect.calls() > 0));
            let of = |kind: FaultKind| faults.iter().filter(|fault| fault.effect.kind() == kind).count();
            let kinds = FaultKind::ALL.into_iter().filter(|kind| delivers || !kind.needs_deliveries());
            let counts: Vec<_> = kinds.map(of).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), count);
            prop_assert!(counts.iter().max().zip(counts.iter().min()).is_some_and(|(most, least)| most - least <= 1));
        }

        #[test]
        fn a_schedule_is_read_as_it_was_written(seed: u64) {
            let faults = schedule(seed, &FaultKind::ALL, 30, true);
            let text = serde_json::to_string(&faults).expect("text");
            prop_assert_eq!(serde_json::from_str::<Vec<Fault>>(&text).expect("a schedule"), faults);
        }
    }

    #[test]
    fn without_kinds_nothing_happens() {
        assert_eq!(schedule(1, &[], 9, true), []);
        assert_eq!(schedule(1, &[FaultKind::Refuse], 9, false), []);
    }

    #[test]
    fn seeds_differ() {
        let all: std::collections::BTreeSet<_> =
            (0..50).map(|seed| format!("{:?}", schedule(seed, &FaultKind::ALL, 12, true))).collect();
        assert_eq!(all.len(), 50);
    }
}
