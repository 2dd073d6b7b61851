//! The breaker against a plain model, and what the model is too plain to show.

use std::time::{Duration, Instant};

use super::{Breaker, BreakerOptions, Permit};
use crate::error::{Error, Result};
use crate::random::Random;

/// Steps of all runs together.
const STEPS: u64 = 1_000_000;
const RUNS: u64 = 500;

/// The same rules, written down plainly: all calls are kept, and looked through each time.
struct Model {
    options: BreakerOptions,
    state: State,
    /// The slots of the calls since it was closed, and whether each failed.
    calls: Vec<(u128, bool)>,
    origin: Option<Instant>,
    openings: u32,
    period: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open(Instant),
    HalfOpen { under_way: u32, succeeded: u32 },
}

impl Model {
    fn slot(&mut self, now: Instant) -> u128 {
        let origin = *self.origin.get_or_insert(now);
        (now - origin).as_nanos() / (self.options.within.as_nanos() / 10)
    }

    fn enter(&mut self, state: State) {
        (self.state, self.period) = (state, self.period + 1);
        self.calls.clear();
    }

    fn ask(&mut self, now: Instant) -> Option<u64> {
        if let State::Open(until) = self.state {
            if now < until {
                return None;
            }
            self.enter(State::HalfOpen { under_way: 0, succeeded: 0 });
        }
        if let State::HalfOpen { under_way, succeeded } = self.state {
            if under_way + succeeded == self.options.probes {
                return None;
            }
            self.state = State::HalfOpen { under_way: under_way + 1, succeeded };
        }
        Some(self.period)
    }

    fn answer(&mut self, period: u64, fails: bool, now: Instant) {
        if period != self.period {
            return;
        }
        let slot = self.slot(now);
        match self.state {
            State::Closed => {
                self.calls.push((slot, fails));
                let newest = self.calls.iter().map(|(slot, _)| *slot).max().unwrap_or(0);
                let window: Vec<_> = self.calls.iter().filter(|(slot, _)| slot + 10 > newest).collect();
                let failed = window.iter().filter(|(_, fails)| *fails).count();
                let share = failed as f64 / window.len() as f64;
                if failed > 0 && window.len() >= self.options.calls as usize && share >= self.options.failures
                {
                    self.open(now);
                }
            }
            State::HalfOpen { .. } if fails => self.open(now),
            State::HalfOpen { under_way, succeeded } if succeeded + 1 < self.options.probes => {
                self.state = State::HalfOpen { under_way: under_way - 1, succeeded: succeeded + 1 };
            }
            State::HalfOpen { .. } => {
                self.openings = 0;
                self.enter(State::Closed);
            }
            State::Open(_) => panic!("a permit of a period in which it is open"),
        }
    }

    fn open(&mut self, now: Instant) {
        let time = (0..self.openings).fold(self.options.open, |time, _| (2 * time).min(self.options.longest));
        self.openings += 1;
        self.enter(State::Open(now + time));
    }

    fn lose(&mut self, period: u64) {
        if let State::HalfOpen { under_way, succeeded } = self.state
            && period == self.period
        {
            self.state = State::HalfOpen { under_way: under_way - 1, succeeded };
        }
    }
}

fn result(random: &mut Random, failing: u64) -> Result<()> {
    match random.below(100) {
        at if at < failing => Err(Error::unavailable("away").transient()),
        at if at < failing + 5 => Err(Error::data("refused")),
        _ => Ok(()),
    }
}

fn options(random: &mut Random) -> BreakerOptions {
    BreakerOptions {
        failures: [0.1, 0.5, 0.9, 1.0][random.below(4) as usize],
        calls: 1 + random.below(25) as u32,
        within: Duration::from_millis(10 + 10 * random.below(1000)),
        open: Duration::from_millis(1 + random.below(5000)),
        longest: Duration::from_secs(5 + random.below(300)),
        probes: 1 + random.below(3) as u32,
    }
}

#[test]
fn it_does_what_a_plain_model_does() {
    let (mut given, mut refused, mut late) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut random = Random::new(seed);
        let options = options(&mut random);
        let breaker = Breaker::new(options.clone());
        let (calls, origin, openings, period) = (Vec::new(), None, 0, 0);
        let mut model = Model { options, state: State::Closed, calls, origin, openings, period };
        let (mut now, mut held) = (Instant::now(), Vec::<(Permit, u64)>::new());
        let mut failing = 10;
        for step in 0..STEPS / RUNS {
            let place = || format!("seed {seed}, step {step}");
            if random.below(50) == 0 {
                // The target breaks down, or comes back.
                failing = [0, 10, 60, 95][random.below(4) as usize];
            }
            match random.below(10) {
                0 => now += Duration::from_nanos(random.below(20_000_000_000)),
                1 => now += Duration::from_nanos(random.below(200_000_000)),
                2..=5 => match (breaker.ask(now), model.ask(now)) {
                    (Ok(permit), Some(period)) => {
                        given += 1;
                        held.push((permit, period));
                    }
                    (Err(wait), None) => {
                        refused += 1;
                        if let State::Open(until) = model.state {
                            assert_eq!(wait, until - now, "{}", place());
                        }
                    }
                    (one, other) => panic!("{}: {one:?}, but {other:?}", place()),
                },
                which if !held.is_empty() => {
                    let (permit, period) = held.swap_remove(random.below(held.len() as u64) as usize);
                    late += u64::from(period != model.period);
                    if which == 6 {
                        drop(permit);
                        model.lose(period);
                    } else {
                        let result = result(&mut random, failing);
                        permit.answered(&result, now);
                        model.answer(period, result.is_err_and(|error| error.is_transient()), now);
                    }
                }
                _ => {}
            }
            assert_eq!(breaker.is_closed(), model.state == State::Closed, "{}", place());
            let current = held.iter().filter(|(_, period)| *period == model.period).count();
            if let State::HalfOpen { under_way, succeeded } = model.state {
                assert_eq!(current, under_way as usize, "{}", place());
                assert!(under_way + succeeded <= model.options.probes, "{}", place());
            }
        }
    }
    assert!(given > 50_000 && refused > 10_000 && late > 1_000, "{given} {refused} {late}");
}

/// Lets as many calls fail as it takes to open it.
fn broken(options: &BreakerOptions, now: Instant) -> Breaker {
    let breaker = Breaker::new(options.clone());
    for _ in 0..options.calls {
        let permit = breaker.ask(now).expect("it is closed");
        permit.answered(&Err::<(), _>(Error::unavailable("away").transient()), now);
    }
    assert!(!breaker.is_closed());
    breaker
}

#[test]
fn permanent_errors_never_open_it() {
    let (breaker, now) = (Breaker::new(BreakerOptions::default()), Instant::now());
    for _ in 0..1000 {
        breaker.ask(now).expect("closed").answered(&Err::<(), _>(Error::data("refused")), now);
    }
    assert!(breaker.is_closed());
}

#[test]
fn it_opens_for_twice_as_long_each_time_up_to_the_longest() {
    let (options, mut now) = (BreakerOptions::default(), Instant::now());
    let breaker = broken(&options, now);
    for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
        let wait = breaker.ask(now).expect_err("it is open");
        assert_eq!(wait, Duration::from_secs(seconds));
        now += wait;
        let probe = breaker.ask(now).expect("a probe");
        assert!(breaker.ask(now).is_err(), "one at a time");
        probe.answered(&Err::<(), _>(Error::unavailable("away").transient()), now);
    }
    now += Duration::from_mins(5);
    breaker.ask(now).expect("a probe").answered(&Ok(()), now);
    assert!(breaker.is_closed());
}

#[test]
fn a_lost_probe_makes_room_and_a_late_answer_says_nothing() {
    let options = BreakerOptions { probes: 2, ..BreakerOptions::default() };
    let start = Instant::now();
    let before = Breaker::new(options.clone());
    let late = before.ask(start).expect("closed");
    for _ in 0..options.calls {
        before
            .ask(start)
            .expect("closed")
            .answered(&Err::<(), _>(Error::unavailable("away").transient()), start);
    }
    let now = start + options.open;
    let (one, two) = (before.ask(now).expect("a probe"), before.ask(now).expect("another"));
    assert!(before.ask(now).is_err());
    drop(one);
    let three = before.ask(now).expect("instead of the lost one");
    assert!(before.ask(now).is_err());
    two.answered(&Ok(()), now);
    assert!(!before.is_closed(), "two must succeed");
    // An answer to a call from before it opened.
    late.answered(&Ok(()), now);
    assert!(!before.is_closed());
    three.answered(&Ok(()), now);
    assert!(before.is_closed());
}
