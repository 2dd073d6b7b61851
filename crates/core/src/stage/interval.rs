//! Summarises records by interval with an [`IntervalStatistic`]. Intervals, their ends and lateness are those of `aggregate` (clause 21).

use std::fmt::Debug;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::series::described;
use super::{Columns, Last, ReadColumn, Record, SensorStage, Timer, Value, WriteColumn};
use crate::batch::Field;
use crate::error::{Error, Result};
use crate::options::{Configure, Options};
use crate::time::{Timestamp, format_duration, parse_duration};

/// A statistic over the values of an interval, with its own options. [`Interval`] makes a stage of it, registered by
/// `Component::sensor::<Interval<Mine>>("mine", "…")`.
///
/// ```text
/// outputs                     before the run, several times, any thread, for every measurement
/// for every series, in record order:
///   begin                     its first interval with a record
///   add, add …                its finite values in that interval, in order; nulls, NaN and infinities are skipped
///   end                       once, when the interval is emitted
///   next, add, add … end      its next interval with a record
/// ```
/// A series is processed by one thread at a time; different series concurrently by different threads, which share the statistic. Summaries
/// are part of checkpoints (encoded with postcard). A panic ends the run with an error that names the stage.
pub trait IntervalStatistic:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name of the stage.
    const NAME: &'static str;

    /// The state of a series, for `explain`.
    const KEEPS: &'static str;

    /// The version of [`IntervalStatistic::Summary`]: see [`SensorStage::VERSION`].
    const VERSION: u32 = 1;

    /// The state of a series' open interval.
    type Summary: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// The columns made of measurement `column`.
    fn outputs(&self, column: &str) -> Vec<Field>;

    /// The unit of its output measurements for an input in `unit`: by default the same; `None` for no unit.
    fn output_unit(&self, unit: &str) -> Option<String> {
        Some(unit.to_owned())
    }

    /// The empty summary of an interval that begins at `start`.
    fn begin(&self, start: Timestamp) -> Self::Summary;

    /// Adds a finite value.
    fn add(&self, summary: &mut Self::Summary, time: Timestamp, value: f64);

    /// The results of the interval that ends at `end` (exclusive): a value for each of [`IntervalStatistic::outputs`].
    fn end(&self, summary: &Self::Summary, end: Timestamp) -> Vec<Value<'static>>;

    /// The empty summary of an interval that begins at `start`, after `before` of the same series.
    fn next(&self, _before: Self::Summary, start: Timestamp) -> Self::Summary {
        self.begin(start)
    }
}

/// A stage that emits one record per sensor and interval that has records, with the interval's start as time. Other columns than the time,
/// the sensor and those of the statistic are removed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(bound = "")]
pub struct Interval<S: IntervalStatistic> {
    /// The selection of intervals and measurements.
    #[serde(flatten)]
    pub of: Intervals,
    /// The statistic.
    #[serde(flatten)]
    pub statistic: S,
}

/// The options shared by all stages over intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Intervals {
    /// The length of an interval such as "1h", counted from 1970-01-01 UTC.
    pub every: String,
    /// The measurements to summarise, by name or glob; all if not given.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

impl<S: IntervalStatistic> Interval<S> {
    /// One record per sensor and interval of this length, such as "1h".
    pub fn every(every: impl Into<String>) -> Self {
        Self { of: Intervals { every: every.into(), columns: None }, statistic: S::default() }
    }
}

impl<S: IntervalStatistic> Configure for Interval<S> {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![schemars::schema_for!(Intervals), schemars::schema_for!(S)]
    }

    fn configure(options: &mut Options) -> Option<Self> {
        // Both are read before a missing one is reported, so that all problems are reported at once.
        let (of, statistic) = (options.take(), options.take());
        Some(Self { of: of?, statistic: statistic? })
    }
}

/// The options, bound to the input columns.
#[derive(Debug)]
pub struct Summarised {
    /// Nanoseconds.
    every: i64,
    columns: Vec<(ReadColumn, Vec<WriteColumn>)>,
}

/// The state of a sensor: its newest interval with records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenInterval<T> {
    start: i64,
    is_open: bool,
    /// By measurement.
    summaries: Vec<T>,
}

impl Summarised {
    /// The start of the interval that contains `time`.
    fn start(&self, time: Timestamp) -> i64 {
        let nanos = time.as_nanos();
        nanos.saturating_sub(nanos.rem_euclid(self.every))
    }

    /// The end of the interval that begins at `start`, which may precede the range of timestamps.
    fn end(&self, start: i64) -> Timestamp {
        let since = start.rem_euclid(self.every);
        Timestamp::from_nanos(start.saturating_add(self.every - since))
    }
}

impl<S: IntervalStatistic> Interval<S> {
    /// Begins the interval at `start`.
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

    /// The results of an interval: the columns, each with its value.
    fn said(
        &self,
        bound: &Summarised,
        open: &OpenInterval<S::Summary>,
    ) -> Vec<(WriteColumn, Value<'static>)> {
        let (end, columns) = (bound.end(open.start), bound.columns.iter().zip(&open.summaries));
        let said = columns.flat_map(|((_, outputs), summary)| {
            let values = self.statistic.end(summary, end);
            assert_eq!(values.len(), outputs.len(), "one value for each output column");
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
            let of = columns.field(column).clone();
            let outputs = self.statistic.outputs(&of.name).into_iter();
            let outputs = outputs.map(|field| described(field, &of, |unit| self.statistic.output_unit(unit)));
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
        format!("{} of the open interval per series", S::KEEPS)
    }
}

/// Why a record of the interval at `start` is late.
fn lateness<T>(open: &OpenInterval<T>, start: i64, every: i64) -> String {
    let interval =
        format!("the interval of {} from {}", format_duration(every), Timestamp::from_nanos(open.start));
    match start < open.start {
        true => format!("late: its sensor is already in {interval}"),
        false => format!("late: its sensor was quiet, so {interval} has been emitted"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Schema;
    use crate::kernel::exact_sum::ExactSum;
    use crate::stage::testing::{Outcome, Table, run, said};
    use crate::stage::{Aggregate, IntoStage, Statistic};

    /// The same results as `aggregate`.
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

    #[test]
    fn what_is_made_has_the_unit_of_what_it_is_made_of() {
        let measurement = Field::measurement("v").with_unit("V").with_metadata("k", "x");
        let input = Schema::new(vec![Field::time("t"), Field::sensor("s"), measurement]).expect("a schema");
        let output = Interval::<CountAndMean>::every("1h").into_stage().output(&input).expect("columns");
        let said: Vec<_> =
            output.fields().iter().map(|field| (field.unit.as_deref(), field.metadata.len())).collect();
        assert_eq!(said, [(None, 0), (None, 0), (None, 0), (Some("V"), 1)]);
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
