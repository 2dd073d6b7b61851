//! One record for many, interval by interval: what is said of each is an [`IntervalStatistic`]. Intervals, their ends and what is late are those of
//! `aggregate` (clause 21).

use std::fmt::Debug;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Columns, Last, ReadColumn, Record, SensorStage, Timer, Value, WriteColumn};
use crate::batch::Field;
use crate::error::{Error, Result};
use crate::options::{Configure, Options};
use crate::time::{Timestamp, format_duration, parse_duration};

/// What is said of the values of an interval, with the options that only it has. [`Interval`] makes a stage of it, registered by
/// `Component::sensor::<Interval<Mine>>("mine", "…")`.
///
/// ```text
/// outputs                     before the run, several times, any thread, once a measurement
/// for every series, as its records come:
///   begin                     of its first interval that has a record
///   add, add …                its finite values in that interval, in order; nulls, NaN and infinities are passed over
///   end                       once, when the interval leaves
///   next, add, add … end      of the next interval that has a record
/// ```
/// One series is with one thread at a time; different ones are with different threads at once, which share the statistic. A summary is written into
/// checkpoints (postcard). A panic ends the run, and names the stage.
pub trait IntervalStatistic:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name of the stage.
    const NAME: &'static str;

    /// What a series keeps, for `explain`.
    const KEEPS: &'static str;

    /// The version of [`IntervalStatistic::Summary`]: see [`SensorStage::VERSION`].
    const VERSION: u32 = 1;

    /// What is kept of the open interval of a series.
    type Summary: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// The columns that are made of measurement `column`.
    fn outputs(&self, column: &str) -> Vec<Field>;

    /// The summary of an interval without values that begins at `start`.
    fn begin(&self, start: Timestamp) -> Self::Summary;

    /// Takes in a finite value.
    fn add(&self, summary: &mut Self::Summary, time: Timestamp, value: f64);

    /// What is said of the interval that ends at `end`: a value for each of [`IntervalStatistic::outputs`].
    fn end(&self, summary: &Self::Summary, end: Timestamp) -> Vec<Value<'static>>;

    /// The summary of an interval without values that begins at `start`, of a series that has had `before`.
    fn next(&self, _before: Self::Summary, start: Timestamp) -> Self::Summary {
        self.begin(start)
    }
}

/// A stage that gives one record a sensor and interval that has records, whose time is the interval's start. Other columns than the time, the sensor and
/// those that the statistic makes do not go on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(bound = "")]
pub struct Interval<S: IntervalStatistic> {
    /// Which intervals of which measurements.
    #[serde(flatten)]
    pub of: Intervals,
    /// What is said of them.
    #[serde(flatten)]
    pub statistic: S,
}

/// The options that all stages by interval have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// The length of an interval such as "1h", counted from 1970-01-01 UTC.
    pub every: String,
    /// The measurements to look at, by name or glob; all if not given.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

impl<S: IntervalStatistic> Interval<S> {
    /// One record a sensor and interval of this length, such as "1h".
    pub fn every(every: impl Into<String>) -> Self {
        Self { of: Intervals { every: every.into(), columns: None }, statistic: S::default() }
    }
}

impl<S: IntervalStatistic> Configure for Interval<S> {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Intervals), schemars::schema_for!(S)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        // Both are read before either is missed, so that everything wrong is found.
        let (of, statistic) = (options.take(), options.take());
        Some(Self { of: of?, statistic: statistic? })
    }
}

/// What the options mean.
#[derive(Debug)]
pub struct Summarised {
    /// Nanoseconds.
    every: i64,
    columns: Vec<(ReadColumn, Vec<WriteColumn>)>,
}

/// What is kept of a sensor: its newest interval that has had a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenInterval<T> {
    start: i64,
    is_open: bool,
    /// By measurement.
    summaries: Vec<T>,
}

impl Summarised {
    /// The start of the interval that `time` is in.
    fn start(&self, time: Timestamp) -> i64 {
        let nanos = time.as_nanos();
        nanos.saturating_sub(nanos.rem_euclid(self.every))
    }

    /// Where the interval ends that `start` begins: the first one of all may begin before there are times.
    fn end(&self, start: i64) -> Timestamp {
        let since = start.rem_euclid(self.every);
        Timestamp::from_nanos(start.saturating_add(self.every - since))
    }
}

impl<S: IntervalStatistic> Interval<S> {
    /// Begins the interval from `start`.
    fn begin(&self, bound: &Summarised, open: &mut Option<OpenInterval<S::Summary>>, start: i64) {
        let from = Timestamp::from_nanos(start);
        let summaries = match open.take() {
            Some(open) => {
                open.summaries.into_iter().map(|before| self.statistic.next(before, from)).collect()
            }
            None => bound.columns.iter().map(|_| self.statistic.begin(from)).collect(),
        };
        *open = Some(OpenInterval { start, is_open: true, summaries });
    }

    /// What is said of an interval: the columns, each with its value.
    fn said(
        &self,
        bound: &Summarised,
        open: &OpenInterval<S::Summary>,
    ) -> Vec<(WriteColumn, Value<'static>)> {
        let (end, columns) = (bound.end(open.start), bound.columns.iter().zip(&open.summaries));
        let said = columns.flat_map(|((_, outputs), summary)| {
            let values = self.statistic.end(summary, end);
            assert_eq!(values.len(), outputs.len(), "one value for each column that is made");
            outputs.iter().copied().zip(values)
        });
        said.collect()
    }
}

impl<S: IntervalStatistic> SensorStage for Interval<S> {
    type State = Option<OpenInterval<S::Summary>>;
    type Bound = Summarised;

    const VERSION: u32 = S::VERSION;

    fn name(&self) -> &str {
        S::NAME
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<Summarised> {
        columns.need_time("`every`")?;
        let every = parse_duration(&self.of.every).map_err(|why| Error::config(format!("`every`: {why}")))?;
        columns.only_new()?;
        let mut bound = Summarised { every, columns: Vec::new() };
        for column in columns.read_all(self.of.columns.as_deref())? {
            let outputs = self.statistic.outputs(&columns.name(column)).into_iter();
            bound.columns.push((column, outputs.map(|field| columns.write(field)).collect::<Result<_>>()?));
        }
        Ok(bound)
    }

    fn state(&self, _bound: &Summarised, _sensor: &str) -> Self::State {
        None
    }

    fn record(&self, bound: &Summarised, open: &mut Self::State, record: &mut Record<'_>) -> Result<()> {
        let (time, start) = (record.time(), bound.start(record.time()));
        if let Some(open) =
            open.as_ref().filter(|open| start < open.start || start == open.start && !open.is_open)
        {
            record.set_late(lateness(open, start, bound.every));
        } else {
            if let Some(before) = open.as_ref().filter(|open| start > open.start && open.is_open) {
                let (said, from) = (self.said(bound, before), Timestamp::from_nanos(before.start));
                let emitted = record.emit(from);
                said.into_iter().fold(emitted, |emitted, (column, value)| emitted.set(column, value));
            }
            if open.as_ref().is_none_or(|open| start > open.start) {
                self.begin(bound, open, start);
            }
            let summaries = open.iter_mut().flat_map(|open| &mut open.summaries);
            for (summary, &(column, _)) in summaries.zip(&bound.columns) {
                if let Some(value) = record.number(column).filter(|value| value.is_finite()) {
                    self.statistic.add(summary, time, value);
                }
            }
        }
        let end = open.as_ref().filter(|open| open.is_open).map(|open| bound.end(open.start));
        let from = end.map(|end| record.watermark().get().map_or(end, |watermark| watermark.max(end)));
        record.set_timer(from.and_then(|from| from.checked_add(bound.every)));
        Ok(())
    }

    fn timer(&self, bound: &Summarised, open: &mut Self::State, timer: &mut Timer<'_>) -> Result<()> {
        if let Some(open) = open.as_mut().filter(|open| open.is_open) {
            open.is_open = false;
            let emitted = timer.emit(Timestamp::from_nanos(open.start));
            let said = self.said(bound, open).into_iter();
            said.fold(emitted, |emitted, (column, value)| emitted.set(column, value));
        }
        Ok(())
    }

    fn last(&self, bound: &Summarised, open: Self::State, last: &mut Last<'_>) -> Result<()> {
        if let Some(open) = open.filter(|open| open.is_open) {
            let emitted = last.emit(Timestamp::from_nanos(open.start));
            let said = self.said(bound, &open).into_iter();
            said.fold(emitted, |emitted, (column, value)| emitted.set(column, value));
        }
        Ok(())
    }

    fn timers(&self, bound: &Summarised) -> Option<i64> {
        Some(bound.every)
    }

    fn sets_aside(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        format!("{} of the open interval a series", S::KEEPS)
    }
}

/// Why a record of the interval from `start` is late.
fn lateness<T>(open: &OpenInterval<T>, start: i64, every: i64) -> String {
    let interval =
        format!("the interval of {} from {}", format_duration(every), Timestamp::from_nanos(open.start));
    match start < open.start {
        true => format!("late: its sensor is already in {interval}"),
        false => format!("late: its sensor was quiet, so that {interval} has left"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::exact_sum::ExactSum;
    use crate::stage::testing::{Outcome, Table, run, said};
    use crate::stage::{Aggregate, Statistic};

    /// What `aggregate` says too.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    pub(crate) struct CountAndMean {}

    impl IntervalStatistic for CountAndMean {
        const NAME: &'static str = "test_count_and_mean";
        const KEEPS: &'static str = "count and sum";
        type Summary = (u64, ExactSum);

        fn outputs(&self, column: &str) -> Vec<Field> {
            vec![Field::count(format!("{column}_count")), Field::measurement(format!("{column}_mean"))]
        }

        fn begin(&self, _start: Timestamp) -> Self::Summary {
            (0, ExactSum::new())
        }

        fn add(&self, (count, sum): &mut Self::Summary, _time: Timestamp, value: f64) {
            *count += 1;
            sum.add(value);
        }

        fn end(&self, (count, sum): &Self::Summary, _end: Timestamp) -> Vec<Value<'static>> {
            vec![(*count).into(), (*count > 0).then(|| sum.mean(*count)).into()]
        }
    }

    fn told(result: &Outcome) -> (Vec<String>, String, [u64; 3]) {
        let records = result.batches.iter().flat_map(|batch| said(batch, &result.sensors)).collect();
        let flow = &result.flow;
        (records, format!("{:?}", flow.rejections), [flow.made, flow.folded, flow.filtered])
    }

    proptest! {
        #[test]
        fn clause_21_intervals_are_those_of_aggregate(
            steps in proptest::collection::vec((0..6u8, 0..5i64, -7..4i64, -99..99i8), 0..120), every in 1..30i64, size in 1..30usize,
            far in proptest::option::of(0..120usize),
        ) {
            let mut now = 0;
            let row = |(at, (sensor, step, apart, value)): (usize, (u8, i64, i64, i8))| {
                now += step;
                let value = match value { 90.. => None, 80.. => Some(f64::NAN), value => Some(f64::from(value)) };
                let time = if far == Some(at) { i64::MAX - step } else { now + apart };
                (format!("s{}", sensor * sensor % 6), time, value)
            };
            let rows: Vec<_> = steps.into_iter().enumerate().map(row).collect();
            let table = rows.iter().fold(Table::new(&["v", "w"]).with_text(), |table, (sensor, time, value)| {
                table.row(sensor, *time, &[*value, Some(1.0)])
            });
            let every = format!("{every}ns");
            let aggregate =
                Aggregate { statistics: vec![Statistic::Count, Statistic::Mean], ..Aggregate::every(every.clone()) };
            let result = run(&Interval::<CountAndMean>::every(every), &table, size);
            prop_assert_eq!(told(&result), told(&run(&aggregate, &table, size)));
        }
    }
}
