//! What the moving stages have in common: their options, and how a window goes over the records of a series (clause 15).
//! What is computed over the window is a [`WindowStatistic`]; each stands in a file of its own.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Run, SeriesStage, parameters_of};
use crate::batch::{Field, FieldKind, Schema};
use crate::error::{Error, Result};
use crate::kernel::ring::Ring;
use crate::kernel::window::{self, Aggregate, NonFinite};
use crate::registry::{Configure, Options, merged};
use crate::time::{format_duration, parse_duration};

/// Records that are handled at once at most: if one of them is special, they are handled one by one.
const BLOCK: usize = 256;

/// What a moving stage computes over its windows, with the options that only it has.
pub trait WindowStatistic:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name of the stage.
    const NAME: &'static str;

    /// What the name of the new column ends in.
    const SUFFIX: &'static str;

    /// What a series keeps besides the records of its window, for `explain`.
    const KEEPS: &'static str;

    /// What computes it.
    type Aggregate: Aggregate + Send;

    /// What the aggregate has to know.
    fn options(&self) -> <Self::Aggregate as Aggregate>::Options;

    /// With fewer samples than this, there is no result.
    fn least_samples(&self) -> u64 {
        1
    }
}

/// A stage that computes a statistic over the last records of each series, or over a duration.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving<S: WindowStatistic> {
    /// Where it looks, and what it makes of it.
    pub look: Look<S>,
    /// What it computes.
    pub statistic: S,
}

/// The options that all moving stages have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "")]
#[schemars(bound = "", rename = "Look")]
pub struct Look<S: WindowStatistic> {
    /// How far to look back: a number of records (20), or a duration ("5m"): then the half-open interval (t − 5 min, t].
    pub window: Window,
    /// The measurements to look at; all if not given.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// The name of the new column; {column} stands for the measurement's.
    #[serde(default = "default_into::<S>")]
    pub into: String,
    /// With fewer samples than this in the window, the result is null.
    #[serde(default = "default_min_samples")]
    pub min_samples: u64,
    /// Whether to add the number of samples, as a column named like the new one with _count behind.
    #[serde(default)]
    pub count: bool,
    /// NaN and infinities: `skip` leaves them out, `propagate` lets them decide, `error` ends the run.
    #[serde(default)]
    pub non_finite: Unusual,
    /// Whose default names these are.
    #[serde(skip)]
    statistic: PhantomData<fn() -> S>,
}

fn default_into<S: WindowStatistic>() -> String {
    format!("{{column}}_{}", S::SUFFIX)
}

fn default_min_samples() -> u64 {
    1
}

/// How far a window reaches back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of records such as 20, or a duration such as \"5m\"")]
pub enum Window {
    /// This many records, the newest included.
    Rows(u32),
    /// This long, in event time.
    Duration(String),
}

/// What becomes of NaN and infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unusual {
    /// They are skipped, not counted.
    #[default]
    Skip,
    /// They count, and the result is what IEEE 754 makes of them.
    Propagate,
    /// They end the run.
    Error,
}

impl<S: WindowStatistic> Moving<S> {
    /// Over the last `rows` records.
    pub fn rows(rows: u32) -> Self {
        Self::over(Window::Rows(rows))
    }

    /// Over a duration such as "5m".
    pub fn duration(duration: impl Into<String>) -> Self {
        Self::over(Window::Duration(duration.into()))
    }

    fn over(window: Window) -> Self {
        let look = Look {
            window,
            columns: None,
            into: default_into::<S>(),
            min_samples: default_min_samples(),
            count: false,
            non_finite: Unusual::default(),
            statistic: PhantomData,
        };
        Self { look, statistic: S::default() }
    }

    /// Whether to add the number of samples.
    pub fn count(mut self, count: bool) -> Self {
        self.look.count = count;
        self
    }

    /// With fewer samples than this, the result is null.
    pub fn min_samples(mut self, samples: u64) -> Self {
        self.look.min_samples = samples;
        self
    }

    /// What becomes of NaN and infinities.
    pub fn non_finite(mut self, unusual: Unusual) -> Self {
        self.look.non_finite = unusual;
        self
    }
}

impl<S: WindowStatistic> Configure for Moving<S> {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Look<S>), schemars::schema_for!(S)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        // Both are read before either is missed, so that everything wrong is found.
        let (look, statistic) = (options.take(), options.take());
        Some(Self { look: look?, statistic: statistic? })
    }
}

/// What one series remembers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(
    bound(serialize = "", deserialize = "A: Aggregate"),
    try_from = "(window::Window<A>, Option<Box<Times>>)"
)]
pub struct State<A> {
    window: window::Window<A>,
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
struct Stretch {
    /// How many of the oldest records leave before any of them enters.
    forget: usize,
    /// How many records enter.
    len: usize,
    /// Whether each of them makes another one leave.
    slides: bool,
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

fn time_of(run: &Run<'_>, at: usize) -> i64 {
    run.time(at).map_or(0, |time| time.as_nanos())
}

impl<A: Aggregate> State<A> {
    /// What the records from `at` on do, as long as they do the same; `None` if the first one is late.
    fn stretch(&mut self, look: &Window, run: &Run<'_>, at: usize) -> Option<Stretch> {
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

impl<S: WindowStatistic> Moving<S> {
    /// How many records a window has at most, as far as known.
    fn most(&self) -> usize {
        match self.look.window {
            Window::Rows(rows) => rows as usize,
            Window::Duration(_) => usize::MAX,
        }
    }

    fn least_samples(&self) -> u64 {
        self.look.min_samples.max(self.statistic.least_samples())
    }

    fn counts(&self) -> NonFinite {
        if self.look.non_finite == Unusual::Propagate { NonFinite::Propagate } else { NonFinite::Skip }
    }

    /// Handles records all at once, if there is nothing special about any of them or the window; whether it did.
    fn at_once(
        &self,
        window: &mut window::Window<S::Aggregate>,
        run: &mut Run<'_>,
        records: Range<usize>,
        slides: bool,
    ) -> bool {
        let before = window.len() as u64;
        let fewest = if slides { before } else { before + 1 };
        if !window.is_finite() || fewest < self.least_samples() {
            return false;
        }
        let Some((values, results)) = run.whole(0) else { return false };
        let values = &values[records.clone()];
        if !values.iter().fold(true, |finite, value| finite & value.is_finite()) {
            return false;
        }
        match slides {
            true => window.slide(values, self.statistic.options(), results),
            false => window.fill(self.most(), values, self.statistic.options(), results),
        }
        if self.look.count {
            (1..=records.len() as u64)
                .for_each(|more| run.push_count(1, if slides { before } else { before + more }));
        }
        true
    }

    fn single(
        &self,
        window: &mut window::Window<S::Aggregate>,
        run: &mut Run<'_>,
        at: usize,
        slides: bool,
    ) -> Result<()> {
        let value = self.check_value(run, at)?;
        if slides {
            window.leave();
        }
        window.enter(value, self.most());
        self.push(run, window);
        Ok(())
    }

    fn push(&self, run: &mut Run<'_>, window: &window::Window<S::Aggregate>) {
        let samples = window.samples(self.counts());
        let result = match samples < self.least_samples() {
            true => None,
            false => window.result(self.counts(), self.statistic.options()),
        };
        run.push(0, result);
        if self.look.count {
            run.push_count(1, samples);
        }
    }

    fn check_value(&self, run: &Run<'_>, at: usize) -> Result<Option<f64>> {
        let value = run.value(at);
        match value.filter(|value| self.look.non_finite == Unusual::Error && !value.is_finite()) {
            None => Ok(value),
            Some(bad) => {
                let time = run.time(at).map_or_else(String::new, |time| format!(" at {time}"));
                let what = format!("sensor `{}` has {bad} in `{}`{time}", run.sensor(), run.column());
                Err(Error::data(what).with_help("put a `threshold` before, or set `non_finite = \"skip\"`"))
            }
        }
    }

    fn check_window(&self, input: &Schema) -> Result<()> {
        match &self.look.window {
            Window::Rows(0) => Err(Error::config("`window` must be at least 1 record")),
            Window::Rows(rows) if self.least_samples() > u64::from(*rows) => Err(Error::config(format!(
                "a result needs {} samples, more than `window` {rows} ever has",
                self.least_samples()
            ))
            .with_help("make `window` larger, or `min_samples` smaller")),
            Window::Rows(_) => Ok(()),
            Window::Duration(text) => {
                parse_duration(text).map_err(|why| Error::config(format!("`window`: {why}")))?;
                match input.time() {
                    Some(_) => Ok(()),
                    None => Err(Error::config("a `window` of a duration needs a time column")
                        .with_help("name it in [source] `time`, or give a number of records")),
                }
            }
        }
    }
}

impl<S: WindowStatistic> SeriesStage for Moving<S> {
    type State = State<S::Aggregate>;

    fn name(&self) -> &str {
        S::NAME
    }

    fn parameters(&self) -> serde_json::Value {
        merged([parameters_of(&self.look), parameters_of(&self.statistic)])
    }

    fn columns(&self) -> Option<&[String]> {
        self.look.columns.as_deref()
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        let name = self.look.into.replace("{column}", column);
        let count = self.look.count.then(|| Field::new(format!("{name}_count"), FieldKind::Count));
        std::iter::once(Field::measurement(name)).chain(count).collect()
    }

    fn check(&self, input: &Schema) -> Result<()> {
        self.check_window(input)?;
        let selected = input.select(self.look.columns.as_deref())?;
        if selected.len() > 1 && !self.look.into.contains("{column}") {
            return Err(
                Error::config("`into` gives several columns one name").with_help("let it contain {column}")
            );
        }
        Ok(())
    }

    fn state(&self, _sensor: &str, _column: &str) -> Self::State {
        let times = match &self.look.window {
            Window::Rows(_) => None,
            // `check` has seen that it is one.
            Window::Duration(text) => Some(Box::new(Times {
                duration: parse_duration(text).unwrap_or(i64::MAX),
                ..Times::default()
            })),
        };
        State { window: window::Window::default(), times }
    }

    fn step(&self, state: &mut Self::State, run: &mut Run<'_>) -> Result<()> {
        let mut at = 0;
        while at < run.len() {
            let Some(Stretch { forget, len, slides }) = state.stretch(&self.look.window, run, at) else {
                let newest = state.times.as_ref().and_then(|times| times.ring.back()).unwrap_or(i64::MAX);
                run.late(at, late_by(newest, time_of(run, at)));
                self.push(run, &state.window);
                at += 1;
                continue;
            };
            (0..forget).for_each(|_| state.window.leave());
            if !self.at_once(&mut state.window, run, at..at + len, slides) {
                (at..at + len).try_for_each(|at| self.single(&mut state.window, run, at, slides))?;
            }
            at += len;
        }
        Ok(())
    }

    fn prefetch(&self, state: &Self::State, records: usize) {
        // Behind the first block the processor sees for itself where this goes.
        let records = records.min(BLOCK);
        state.window.prefetch(records);
        if let Some(times) = &state.times {
            times.ring.prefetch(records);
        }
    }

    fn may_be_late(&self) -> bool {
        matches!(self.look.window, Window::Duration(_))
    }

    fn memory(&self) -> String {
        match &self.look.window {
            Window::Rows(rows) => format!("a ring of {rows} numbers and {} a series", S::KEEPS),
            Window::Duration(text) => format!("a ring of the records of {text} and {} a series", S::KEEPS),
        }
    }
}

/// How far behind its series' newest a record is.
pub(super) fn late_by(newest: i64, time: i64) -> String {
    let behind = newest.saturating_sub(time).max(1);
    format!("late: {} behind the newest record of its sensor", format_duration(behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run, run_with_restarts};
    use crate::stage::{Average, Max, Middle, Min, Std};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Option<f64>> {
        let decimal = (-9999..9999i32).prop_map(|v| Some(f64::from(v) / 100.0));
        let odd =
            [None, Some(f64::NAN), Some(f64::INFINITY), Some(1e17), Some(-1e300), Some(-0.0), Some(5e-324)];
        prop_oneof![6 => decimal, 1 => proptest::sample::select(odd.to_vec())]
    }

    /// Holds what comes of batches of `size` records, of saved states and of single records to what comes of all at once.
    fn check<S: WindowStatistic>(
        table: &Table,
        window: &Window,
        unusual: Unusual,
        size: usize,
    ) -> Result<(), TestCaseError> {
        let stage = Moving::<S>::over(window.clone()).count(true).non_finite(unusual);
        let name = format!("v_{}", S::SUFFIX);
        let bits =
            |values: Vec<Option<f64>>| values.into_iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
        let whole = run(&stage, table, 1000);
        for other in [run(&stage, table, size), run_with_restarts(&stage, table, size), run(&stage, table, 1)]
        {
            prop_assert_eq!(bits(other.measurement(&name)), bits(whole.measurement(&name)), "{}", S::NAME);
            prop_assert_eq!(other.counts(&format!("{name}_count")), whole.counts(&format!("{name}_count")));
            prop_assert_eq!(other.keys(), whole.keys());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn batches_and_restarts_change_nothing(
            rows in proptest::collection::vec((0..3u8, 0..3i64, value()), 1..80),
            size in 1..40usize,
            window in prop_oneof![Just(Window::Rows(5)), Just(Window::Duration("4ns".into()))],
            unusual in prop_oneof![Just(Unusual::Skip), Just(Unusual::Propagate)],
        ) {
            let mut time = 0;
            let table = rows.iter().fold(Table::new(&["v"]), |table, (sensor, step, value)| {
                time += step - 1;
                table.row(&format!("s{sensor}"), time, &[*value])
            });
            check::<Average>(&table, &window, unusual, size)?;
            check::<Min>(&table, &window, unusual, size)?;
            check::<Max>(&table, &window, unusual, size)?;
            check::<Std>(&table, &window, unusual, size)?;
            check::<Middle>(&table, &window, unusual, size)?;
        }
    }
}
