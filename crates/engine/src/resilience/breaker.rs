//! The circuit breaker: no calls to a target that is down, but a few that find out whether it is back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;

/// The window in which calls are counted moves in so many steps.
const SLOTS: u32 = 10;

/// When to ask again while all probes are under way.
const PROBING: Duration = Duration::from_millis(100);

/// When a [`Breaker`] opens, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerOptions {
    /// The share of calls that must fail, from 0 to 1.
    pub failures: f64,
    /// How many calls there must be at least.
    pub calls: u32,
    /// The time within which they are counted.
    pub within: Duration,
    /// For how long it is open the first time; twice as long each time that the probes fail.
    pub open: Duration,
    /// For how long it is open at most.
    pub longest: Duration,
    /// How many probes must succeed to close it, and may be under way at the same time: 1 to 3.
    pub probes: u32,
}

impl Default for BreakerOptions {
    /// At least half of at least 20 calls within 10 seconds; open for 5 seconds to 5 minutes; one probe.
    fn default() -> Self {
        Self {
            failures: 0.5,
            calls: 20,
            within: Duration::from_secs(10),
            open: Duration::from_secs(5),
            longest: Duration::from_mins(5),
            probes: 1,
        }
    }
}

/// A circuit breaker. Closed, it lets all calls through and counts them; once too many have failed, it is open and lets none through; after a while it is
/// half open and lets through only probes, which close it or open it again. Clones are of the same breaker.
///
/// Only [transient](crate::Error::is_transient) errors are failures: a target that refuses what it is given is not down.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Mutex<Machine>>);

/// The permission for one call. Dropped without an [answer](Permit::answered), it is as if there had been no call: a probe that is lost makes room for
/// another.
#[derive(Debug)]
#[must_use = "a call without a permit is not counted"]
pub struct Permit {
    breaker: Breaker,
    /// The period of the breaker that it was given in. Its answer counts in no other.
    period: u64,
    is_answered: bool,
}

#[derive(Debug)]
struct Machine {
    options: BreakerOptions,
    phase: Phase,
    /// Counts the changes of the phase.
    period: u64,
    /// How often it has opened since it was closed.
    openings: u32,
    /// Slots are counted from here.
    origin: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Closed(Window),
    Open { until: Instant },
    HalfOpen { under_way: u32, succeeded: u32 },
}

/// The calls of the last slots.
#[derive(Debug, Default)]
struct Window {
    /// The newest slot.
    newest: u64,
    /// By slot, modulo their number: calls and failures.
    slots: [(u32, u32); SLOTS as usize],
}

/// What an answer says about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Works,
    Fails,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(options: BreakerOptions) -> Self {
        let options = BreakerOptions { probes: options.probes.clamp(1, 3), ..options };
        let phase = Phase::Closed(Window::default());
        Self(Arc::new(Mutex::new(Machine { options, phase, period: 0, openings: 0, origin: None })))
    }

    /// Asks for the permission for one call.
    ///
    /// # Errors
    /// The time after which it is worth asking again, if there is none now.
    pub fn ask(&self, now: Instant) -> Result<Permit, Duration> {
        let period = self.machine().ask(now)?;
        Ok(Permit { breaker: self.clone(), period, is_answered: false })
    }

    /// Whether it lets all calls through.
    pub fn is_closed(&self) -> bool {
        matches!(self.machine().phase, Phase::Closed(_))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The call has returned `result`.
    pub fn answered<T>(mut self, result: &Result<T>, now: Instant) {
        let fails = result.as_ref().is_err_and(crate::Error::is_transient);
        self.is_answered = true;
        self.breaker.machine().answer(self.period, if fails { Answer::Fails } else { Answer::Works }, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_answered {
            self.breaker.machine().lose(self.period);
        }
    }
}

impl Machine {
    /// Gives a permit, which is of the current period.
    fn ask(&mut self, now: Instant) -> Result<u64, Duration> {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(until - now);
            }
            self.enter(Phase::HalfOpen { under_way: 0, succeeded: 0 });
        }
        if let Phase::HalfOpen { under_way, succeeded } = &mut self.phase {
            if *under_way + *succeeded >= self.options.probes {
                return Err(PROBING);
            }
            *under_way += 1;
        }
        Ok(self.period)
    }

    fn answer(&mut self, period: u64, answer: Answer, now: Instant) {
        if period != self.period {
            return;
        }
        let slot = self.slot(now);
        let opens = match &mut self.phase {
            Phase::Closed(window) => {
                window.add(slot, answer);
                window.is_bad(&self.options)
            }
            Phase::HalfOpen { .. } if answer == Answer::Fails => true,
            Phase::HalfOpen { under_way, succeeded } => {
                *under_way = under_way.saturating_sub(1);
                *succeeded += 1;
                if *succeeded == self.options.probes {
                    self.openings = 0;
                    self.enter(Phase::Closed(Window::default()));
                }
                false
            }
            // No permit is of a period in which it was open.
            Phase::Open { .. } => false,
        };
        if opens {
            let BreakerOptions { open, longest, .. } = self.options;
            let time = open.saturating_mul(1 << self.openings.min(30)).min(longest.max(open));
            self.openings = self.openings.saturating_add(1);
            self.enter(Phase::Open { until: now + time });
        }
    }

    /// A permit was dropped without an answer.
    fn lose(&mut self, period: u64) {
        if let Phase::HalfOpen { under_way, .. } = &mut self.phase
            && period == self.period
        {
            *under_way = under_way.saturating_sub(1);
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
    }

    /// The slot of a time.
    fn slot(&mut self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.origin.get_or_insert(now));
        let width = (self.options.within / SLOTS).max(Duration::from_nanos(1));
        u64::try_from(since.as_nanos() / width.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Window {
    /// Counts a call in `slot`; one that is older than the window is not counted.
    fn add(&mut self, slot: u64, answer: Answer) {
        let slots = u64::from(SLOTS);
        if slot > self.newest {
            let gone = (slot - self.newest).min(slots);
            (1..=gone).for_each(|at| self.slots[((self.newest + at) % slots) as usize] = (0, 0));
            // Those between that were skipped are empty as well.
            self.newest = slot;
        }
        if slot + slots <= self.newest {
            return;
        }
        let (calls, failures) = &mut self.slots[(slot % slots) as usize];
        *calls = calls.saturating_add(1);
        *failures = failures.saturating_add(u32::from(answer == Answer::Fails));
    }

    fn is_bad(&self, options: &BreakerOptions) -> bool {
        let calls: u64 = self.slots.iter().map(|(calls, _)| u64::from(*calls)).sum();
        let failures: u64 = self.slots.iter().map(|(_, failures)| u64::from(*failures)).sum();
        failures > 0
            && calls >= u64::from(options.calls)
            && failures as f64 >= options.failures * calls as f64
    }
}
