//! The state of a series, and how its window moves.

use serde::{Deserialize, Serialize};

use super::Window;
use crate::kernel::integers::{IntegerWindow, OfIntegers};
use crate::kernel::ring::Ring;
use crate::kernel::window::{self, Aggregate};
use crate::stage::Run;
use crate::time::parse_duration;

/// The maximum number of records processed at once: if one of them is special, they are processed one by one.
const BLOCK: usize = 256;

/// The state of one series.
#[derive(Debug, Serialize, Deserialize)]
#[serde(
    bound(serialize = "I: OfIntegers", deserialize = "A: Aggregate, I: OfIntegers"),
    try_from = "(window::Window<A>, Option<Box<Rest<I>>>)"
)]
pub struct WindowState<A, I> {
    /// The records of the window, unless some are integers that f64 cannot represent.
    pub(super) window: window::Window<A>,
    rest: Option<Box<Rest<I>>>,
}

/// State that few series need.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "I: OfIntegers", deserialize = "I: OfIntegers"))]
struct Rest<I> {
    times: Option<Times>,
    /// The records of the window if some are integers that f64 cannot represent.
    integers: Option<Box<IntegerWindow<I>>>,
}

/// The times of the records in a window of a duration.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Times {
    /// In nanoseconds; one per record of the window.
    ring: Ring<i64>,
    duration: i64,
}

impl<A: Aggregate, I: OfIntegers> TryFrom<(window::Window<A>, Option<Box<Rest<I>>>)> for WindowState<A, I> {
    type Error = &'static str;

    fn try_from((window, rest): (window::Window<A>, Option<Box<Rest<I>>>)) -> Result<Self, Self::Error> {
        let state = Self { window, rest };
        match state.times().is_none_or(|times| times.ring.len() == state.records()) {
            true => Ok(state),
            false => Err("a window has as many times as records"),
        }
    }
}

/// How the next records of a series move its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The number of oldest records that leave before any of them enters.
    pub(super) forget: usize,
    /// The number of records that enter.
    pub(super) len: usize,
    /// Whether each of them makes another one leave.
    pub(super) slides: bool,
}

impl Times {
    /// The effect of the records from `at` on, as long as it is the same; `None` if the first one is late.
    fn stretch(&mut self, run: &Run<'_>, at: usize) -> Option<Stretch> {
        let time = time_of(run, at);
        if self.ring.back().is_some_and(|newest| time < newest) {
            return None;
        }
        let mut leaving = 0;
        while self.expires(0, time) {
            self.ring.pop();
            leaving += 1;
        }
        self.ring.push(time, usize::MAX);
        let slides = leaving > 0;
        let end = run.len().min(at + BLOCK);
        let same = (at + 1..end).take_while(|&next| self.does_same(slides, time_of(run, next))).count();
        Some(Stretch { forget: leaving.max(1) - 1, len: 1 + same, slides })
    }

    /// Whether a record at `time` makes exactly one other record leave (`slides`) or none; if so, its time is added.
    fn does_same(&mut self, slides: bool, time: i64) -> bool {
        let is_same = self.ring.back().is_some_and(|newest| time >= newest)
            && self.expires(0, time) == slides
            && !self.expires(1, time);
        if is_same && slides {
            self.ring.slide(&[time]);
        } else if is_same {
            self.ring.push(time, usize::MAX);
        }
        is_same
    }

    /// Whether the record at index `at` from the oldest is outside the window that ends at `time`.
    fn expires(&self, at: usize, time: i64) -> bool {
        // At the lower limit of time, nothing precedes the window.
        let start = time.checked_sub(self.duration);
        self.ring.get(at).zip(start).is_some_and(|(at, start)| at <= start)
    }
}

pub(super) fn time_of(run: &Run<'_>, at: usize) -> i64 {
    run.time(at).map_or(0, |time| time.as_nanos())
}

impl<A: Aggregate, I: OfIntegers> WindowState<A, I> {
    /// The state before the first record of a series.
    pub(super) fn new(look: &Window) -> Self {
        let times = match look {
            Window::Rows(_) => None,
            // Validated by `check`.
            Window::Duration(text) => {
                Some(Times { duration: parse_duration(text).unwrap_or(i64::MAX), ..Times::default() })
            }
        };
        let rest = times.map(|times| Box::new(Rest { times: Some(times), integers: None }));
        Self { window: window::Window::default(), rest }
    }

    fn times(&self) -> Option<&Times> {
        self.rest.as_ref()?.times.as_ref()
    }

    /// Whether there is a window of integers.
    #[inline]
    pub(super) fn has_integers(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.integers.is_some())
    }

    /// The window of integers; converted from that of floats, if necessary.
    pub(super) fn with_integers(&mut self) -> &mut IntegerWindow<I> {
        let rest = self.rest.get_or_insert_with(|| Box::new(Rest { times: None, integers: None }));
        rest.integers.get_or_insert_with(|| {
            let mut integers = IntegerWindow::default();
            let window = std::mem::take(&mut self.window);
            window.values().for_each(|value| integers.enter(value.map(|value| value as i128)));
            Box::new(integers)
        })
    }

    /// Returns to the window of floats if f64 represents all records.
    pub(super) fn without_integers(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        if let Some(integers) = rest.integers.take_if(|integers| integers.has_floats()) {
            let most = integers.len();
            integers.values().for_each(|value| self.window.enter(value.map(|value| value as f64), most));
        }
        if rest.times.is_none() && rest.integers.is_none() {
            self.rest = None;
        }
    }

    /// The number of records in the window.
    fn records(&self) -> usize {
        let integers = self.rest.as_ref().and_then(|rest| rest.integers.as_ref());
        integers.map_or(self.window.len(), |integers| integers.len())
    }

    /// The time of the newest record in a window of a duration, in nanoseconds.
    pub(super) fn newest(&self) -> Option<i64> {
        self.times()?.ring.back()
    }

    /// Prefetches what the next records need.
    pub(super) fn prefetch(&self, records: usize) {
        // After the first block, the processor predicts the access pattern.
        let records = records.min(BLOCK);
        self.window.prefetch(records);
        if let Some(times) = self.times() {
            times.ring.prefetch(records);
        }
    }

    /// The effect of the records from `at` on, as long as it is the same; `None` if the first one is late.
    pub(super) fn stretch(&mut self, look: &Window, run: &Run<'_>, at: usize) -> Option<Stretch> {
        if let Some(times) = self.rest.as_mut().and_then(|rest| rest.times.as_mut()) {
            return times.stretch(run, at);
        }
        let Window::Rows(rows) = *look else { return None };
        let (rows, len) = (rows as usize, self.records());
        let rest = (run.len() - at).min(BLOCK);
        Some(match rows.checked_sub(len) {
            Some(room @ 1..) => Stretch { forget: 0, len: rest.min(room), slides: false },
            _ => Stretch { forget: len - rows, len: rest, slides: true },
        })
    }
}
