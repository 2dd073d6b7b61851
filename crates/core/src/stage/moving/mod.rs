//! The common part of the moving stages: their options, and how a window moves over the records of a series (clause 15). The statistic over
//! the window is a [`WindowStatistic`]; each has its own file.

mod state;

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::state::{Stretch, WindowState, time_of};
use super::{Run, SeriesStage};
use crate::batch::{Field, Schema};
use crate::error::{Error, Result};
use crate::kernel::integers::{IntegerWindow, OfIntegers, Outcome, is_float};
use crate::kernel::window::{self, Aggregate, NonFinite};
use crate::options::{Configure, Options};
use crate::time::{format_duration, parse_duration};

/// A statistic over the windows of a moving stage, with its own options.
pub trait WindowStatistic:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name of the stage.
    const NAME: &'static str;

    /// The suffix of the new column's name.
    const SUFFIX: &'static str;

    /// The state of a series besides the records of its window, for `explain`.
    const KEEPS: &'static str;

    /// The implementation for floats.
    type Aggregate: Aggregate + Send;

    /// The implementation for integers that f64 cannot represent.
    type OfIntegers: OfIntegers<Options = <Self::Aggregate as Aggregate>::Options> + Send;

    /// Whether the result is one of the values, and has their type.
    const KEEPS_TYPE: bool = false;

    /// The parameters of the implementation.
    fn options(&self) -> <Self::Aggregate as Aggregate>::Options;

    /// The minimum number of samples for a result.
    fn least_samples(&self) -> u64 {
        1
    }
}

/// A stage that computes a statistic over the last records of each series, by number or duration.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(bound = "")]
pub struct Moving<S: WindowStatistic> {
    /// The window, and how its results are emitted.
    #[serde(flatten)]
    pub look: Look<S>,
    /// The statistic.
    #[serde(flatten)]
    pub statistic: S,
}

/// The options shared by all moving stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "")]
#[schemars(bound = "", rename = "Look")]
pub struct Look<S: WindowStatistic> {
    /// The window: a number of records (20), or a duration ("5m"), which is the half-open interval (t − 5 min, t].
    pub window: Window,
    /// The measurements to process, by name or glob; all if not given.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// The name of the new column; {column} is replaced by the measurement's name.
    #[serde(default = "default_into::<S>")]
    pub into: String,
    /// The minimum number of samples in the window; with fewer, the result is null.
    #[serde(default = "default_min_samples")]
    pub min_samples: u64,
    /// Whether to add the number of samples, as a column named like the new one with the suffix _count.
    #[serde(default)]
    pub count: bool,
    /// What to do with NaN and infinities: `skip` ignores them, `propagate` includes them, `error` ends the run.
    #[serde(default)]
    pub non_finite: Unusual,
    /// The statistic with the default names.
    #[serde(skip)]
    statistic: PhantomData<fn() -> S>,
}

fn default_into<S: WindowStatistic>() -> String {
    format!("{{column}}_{}", S::SUFFIX)
}

fn default_min_samples() -> u64 {
    1
}

/// The length of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of records such as 20, or a duration such as \"5m\"")]
#[non_exhaustive]
pub enum Window {
    /// A number of records, including the newest.
    Rows(u32),
    /// A duration in event time, such as "5m".
    Duration(String),
}

/// What to do with NaN and infinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unusual {
    /// They are skipped, not counted.
    #[default]
    Skip,
    /// They count; the result follows IEEE 754.
    Propagate,
    /// They end the run.
    Error,
}

impl<S: WindowStatistic> Moving<S> {
    /// A window of `rows` records.
    pub fn rows(rows: u32) -> Self {
        Self::over(Window::Rows(rows))
    }

    /// A window of a duration such as "5m".
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

    /// The minimum number of samples; with fewer, the result is null.
    pub fn min_samples(mut self, samples: u64) -> Self {
        self.look.min_samples = samples;
        self
    }

    /// What to do with NaN and infinities.
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
        // Both are read before a missing one is reported, so that all problems are reported at once.
        let (look, statistic) = (options.take(), options.take());
        Some(Self { look: look?, statistic: statistic? })
    }
}

impl<S: WindowStatistic> Moving<S> {
    /// The maximum number of records in a window, if known.
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

    /// Processes many records at once if neither they nor the window contain special values; returns whether it did.
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

    /// Processes records if some of them, or of those in the window, are integers that f64 cannot represent.
    #[cold]
    fn step_integers(&self, state: &mut WindowState<S::Aggregate, S::OfIntegers>, run: &mut Run<'_>) {
        state.with_integers();
        let mut at = 0;
        while at < run.len() {
            let stretch = state.stretch(&self.look.window, run, at);
            let newest = state.newest().unwrap_or(i64::MAX);
            let window = state.with_integers();
            let Some(Stretch { forget, len, slides }) = stretch else {
                run.late(at, late_by(newest, time_of(run, at)));
                self.push_of_integers(run, window);
                at += 1;
                continue;
            };
            (0..forget).for_each(|_| window.leave());
            for at in at..at + len {
                if slides {
                    window.leave();
                }
                window.enter(run.integer(at));
                self.push_of_integers(run, window);
            }
            at += len;
        }
        state.without_integers();
    }

    fn push_of_integers(&self, run: &mut Run<'_>, window: &IntegerWindow<S::OfIntegers>) {
        let samples = window.samples();
        let result = match samples < self.least_samples() {
            true => None,
            false => window.result(self.statistic.options()),
        };
        match result {
            Some(Outcome::Integer(value)) => run.push_integer(0, value),
            Some(Outcome::Float(value)) => run.push(0, Some(value)),
            None => run.push(0, None),
        }
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
                Err(Error::data(what)
                    .with_help("add a `threshold` before it, or set `non_finite = \"skip\"`"))
            }
        }
    }

    fn check_window(&self, input: &Schema) -> Result<()> {
        match &self.look.window {
            Window::Rows(0) => Err(Error::config("`window` must be at least 1 record")),
            Window::Rows(rows) if self.least_samples() > u64::from(*rows) => Err(Error::config(format!(
                "a result needs {} samples, more than the `window` of {rows} records",
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
    type State = WindowState<S::Aggregate, S::OfIntegers>;
    type Bound = ();

    fn name(&self) -> &str {
        S::NAME
    }

    fn columns(&self) -> Option<&[String]> {
        self.look.columns.as_deref()
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        let name = self.look.into.replace("{column}", column);
        let count = self.look.count.then(|| Field::count(format!("{name}_count")));
        std::iter::once(Field::measurement(name)).chain(count).collect()
    }

    fn keeps_type(&self) -> bool {
        S::KEEPS_TYPE
    }

    fn bind(&self, input: &Schema) -> Result<()> {
        self.check_window(input)?;
        check_into(&self.look.into, input.select(self.look.columns.as_deref())?.len())
    }

    fn state(&self, _bound: &(), _sensor: &str, _column: &str) -> Self::State {
        WindowState::new(&self.look.window)
    }

    fn step(&self, _bound: &(), state: &mut Self::State, run: &mut Run<'_>) -> Result<()> {
        if state.has_integers()
            || run.integers().is_some_and(|integers| !integers.iter().copied().all(is_float))
        {
            self.step_integers(state, run);
            return Ok(());
        }
        let mut at = 0;
        while at < run.len() {
            let Some(Stretch { forget, len, slides }) = state.stretch(&self.look.window, run, at) else {
                let newest = state.newest().unwrap_or(i64::MAX);
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
        state.prefetch(records);
    }

    fn may_be_late(&self) -> bool {
        matches!(self.look.window, Window::Duration(_))
    }

    fn memory(&self) -> String {
        match &self.look.window {
            Window::Rows(rows) => format!("a ring of {rows} numbers and {} per series", S::KEEPS),
            Window::Duration(text) => format!("a ring of the records of {text} and {} per series", S::KEEPS),
        }
    }
}

/// Checks that `into` gives each of `columns` columns a unique name.
pub(super) fn check_into(into: &str, columns: usize) -> Result<()> {
    if columns > 1 && !into.contains("{column}") {
        return Err(
            Error::config("`into` gives several columns the same name").with_help("let it contain {column}")
        );
    }
    Ok(())
}

/// The reason for a record behind the newest one of its series.
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

    /// Checks that batches of `size` records, saved states and single records give the same results as everything at once.
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
