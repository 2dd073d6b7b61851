//! What a series remembers of its records, and how its window goes over the next ones.

use serde::{Deserialize, Serialize};

use super::Window;
use crate::kernel::ring::Ring;
use crate::kernel::window::{self, Aggregate};
use crate::stage::Run;
use crate::time::parse_duration;

/// Records that are handled at once at most: if one of them is special, they are handled one by one.
const BLOCK: usize = 256;

/// What one series remembers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(
    bound(serialize = "", deserialize = "A: Aggregate"),
    try_from = "(window::Window<A>, Option<Box<Times>>)"
)]
pub struct State<A> {
    pub(super) window: window::Window<A>,
    times: Option<Box<Times>>,
}

/// The times of the records in a window of a duration.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Times {
    /// In nanoseconds; one a record of the window.
    ring: Ring<i64>,
    duration: i64,
}

impl<A: Aggregate> TryFrom<(window::Window<A>, Option<Box<Times>>)> for State<A> {
    type Error = &'static str;

    fn try_from((window, times): (window::Window<A>, Option<Box<Times>>)) -> Result<Self, Self::Error> {
        match times.as_ref().is_none_or(|times| times.ring.len() == window.len()) {
            true => Ok(Self { window, times }),
            false => Err("a window has as many times as records"),
        }
    }
}

/// What the next records of a series do to its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// How many of the oldest records leave before any of them enters.
    pub(super) forget: usize,
    /// How many records enter.
    pub(super) len: usize,
    /// Whether each of them makes another one leave.
    pub(super) slides: bool,
}

impl Times {
    /// What the records from `at` on do, as long as they do the same; `None` if the first one is late.
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

    /// Whether a record at `time` makes exactly one other leave (`slides`) or none; if so, it has entered.
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

    /// Whether the record `at` places behind the oldest is outside the window that ends at `time`.
    fn expires(&self, at: usize, time: i64) -> bool {
        // At the lower end of time nothing lies before the window.
        let start = time.checked_sub(self.duration);
        self.ring.get(at).zip(start).is_some_and(|(at, start)| at <= start)
    }
}

pub(super) fn time_of(run: &Run<'_>, at: usize) -> i64 {
    run.time(at).map_or(0, |time| time.as_nanos())
}

impl<A: Aggregate> State<A> {
    /// Of a series before its first record.
    pub(super) fn new(look: &Window) -> Self {
        let times = match look {
            Window::Rows(_) => None,
            // `check` has seen that it is one.
            Window::Duration(text) => Some(Box::new(Times {
                duration: parse_duration(text).unwrap_or(i64::MAX),
                ..Times::default()
            })),
        };
        Self { window: window::Window::default(), times }
    }

    /// The time of the newest record in a window of a duration, in nanoseconds.
    pub(super) fn newest(&self) -> Option<i64> {
        self.times.as_ref()?.ring.back()
    }

    /// Asks the memory for what the next records need.
    pub(super) fn prefetch(&self, records: usize) {
        // Behind the first block the processor sees for itself where this goes.
        let records = records.min(BLOCK);
        self.window.prefetch(records);
        if let Some(times) = &self.times {
            times.ring.prefetch(records);
        }
    }

    /// What the records from `at` on do, as long as they do the same; `None` if the first one is late.
    pub(super) fn stretch(&mut self, look: &Window, run: &Run<'_>, at: usize) -> Option<Stretch> {
        if let Some(times) = &mut self.times {
            return times.stretch(run, at);
        }
        let Window::Rows(rows) = *look else { return None };
        let (rows, len) = (rows as usize, self.window.len());
        let rest = (run.len() - at).min(BLOCK);
        Some(match rows.checked_sub(len) {
            Some(room @ 1..) => Stretch { forget: 0, len: rest.min(room), slides: false },
            _ => Stretch { forget: len - rows, len: rest, slides: true },
        })
    }
}
