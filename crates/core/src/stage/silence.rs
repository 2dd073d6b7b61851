//! `silence`: reports when a sensor stops reporting, and when it resumes (clause 31).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Columns, Record, SensorStage, Timer, WriteColumn};
use crate::batch::Field;
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Timestamp, Watermark, parse_duration};

/// Reports when a sensor stops reporting: emits a record whose new column is 1, whose time is that of the sensor's newest record, and all
/// other columns of which are null. In all other records the new column is 0, so that an alert on it is raised and cleared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// How long, in event time, a sensor may be silent, such as "10m", while others report.
    pub after: String,
    /// What measures the silence: the `watermark` (the default), which advances as other sensors report, or the `clock` of the machine that receives live input, which is
    /// recorded with it.
    #[serde(default)]
    pub by: Option<TimeBasis>,
    /// The name of the new column.
    #[serde(default = "default_into")]
    pub into: String,
    /// Which records are emitted: `all`, or only `changes`: those that report a silence, and the first one after each.
    #[serde(default)]
    pub keep: Keep,
}

fn default_into() -> String {
    "silent".into()
}

/// What measures a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeBasis {
    /// The records of other sensors.
    Watermark,
    /// The clock of the machine that receives the records.
    Clock,
}

/// Which records are emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keep {
    /// All of them.
    #[default]
    All,
    /// Those that report a silence, and the first one after each; the others are filtered.
    Changes,
}

inventory::submit! { Component::sensor::<Silence>("silence", "reports when a sensor stops reporting, and when it resumes") }

impl Silence {
    /// With the maximum silence, such as "10m".
    pub fn after(after: impl Into<String>) -> Self {
        Self { after: after.into(), by: None, into: default_into(), keep: Keep::default() }
    }

    /// The same by the clock.
    pub fn by_clock(mut self) -> Self {
        self.by = Some(TimeBasis::Clock);
        self
    }

    /// Which records are emitted.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    fn is_by_clock(&self) -> bool {
        self.by == Some(TimeBasis::Clock)
    }
}

/// When the timer is due of a sensor that reported before the clock was known: at once when it is.
const UNKNOWN: Timestamp = Timestamp::MIN;

/// How many ticks there are, where nothing comes, until a sensor is silent.
const TICKS: i64 = 10;

/// Nanoseconds between two ticks, at least and at most.
const OFTENEST: i64 = 50_000_000;
const SELDOMEST: i64 = 1_000_000_000;

/// When a sensor is silent that has reported when the clock showed this.
fn due_by_clock(clock: Watermark, bound: &BoundSilence) -> Option<Timestamp> {
    clock.get().map_or(Some(UNKNOWN), |now| now.checked_add(bound.after))
}

/// The options, bound to the input columns.
#[derive(Debug)]
pub struct BoundSilence {
    /// Nanoseconds.
    after: i64,
    silent: WriteColumn,
}

/// The state of a sensor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SensorStatus {
    newest: Timestamp,
    is_silent: bool,
}

impl SensorStage for Silence {
    type State = Option<SensorStatus>;
    type Bound = BoundSilence;

    fn name(&self) -> &str {
        "silence"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<BoundSilence> {
        columns.need_time("`silence`")?;
        let after = parse_duration(&self.after).map_err(|why| Error::config(format!("`after`: {why}")))?;
        // An existing column would be overwritten: readings, or the output of another `silence`.
        if columns.input().index_of(&self.into).is_some() {
            return Err(Error::config(format!("column `{}` already exists (option `into`)", self.into))
                .with_help("choose another name with `into`"));
        }
        Ok(BoundSilence { after, silent: columns.write(Field::measurement(&*self.into))? })
    }

    fn state(&self, _bound: &BoundSilence, _sensor: &str) -> Self::State {
        None
    }

    fn record(&self, bound: &BoundSilence, seen: &mut Self::State, record: &mut Record<'_>) -> Result<()> {
        let (time, mut was_silent) = (record.time(), seen.is_some_and(|seen| seen.is_silent));
        // The watermark may not have advanced meanwhile, as when all sensors were silent.
        if let Some(SensorStatus { newest, is_silent: false }) = *seen
            && match self.is_by_clock() {
                false => newest.checked_add(bound.after).is_some_and(|due| due <= time),
                true => {
                    record.timer().is_some_and(|due| due != UNKNOWN && record.watermark().has_reached(due))
                }
            }
        {
            record.emit(newest).set(bound.silent, 1.0);
            was_silent = true;
        }
        record.set(bound.silent, 0.0);
        if self.keep == Keep::Changes && !was_silent {
            record.filter();
        }
        *seen = Some(SensorStatus { newest: record.newest(), is_silent: false });
        record.set_timer(match self.is_by_clock() {
            false => record.quiet_at(bound.after),
            true => due_by_clock(record.watermark(), bound),
        });
        Ok(())
    }

    fn timer(&self, bound: &BoundSilence, seen: &mut Self::State, timer: &mut Timer<'_>) -> Result<()> {
        if self.is_by_clock() && timer.time() == UNKNOWN {
            // It was known before the clock was: from now on, it may be silent for so long.
            timer.set_timer(due_by_clock(timer.watermark(), bound));
            return Ok(());
        }
        if let Some(seen) = seen {
            seen.is_silent = true;
            timer.emit(seen.newest).set(bound.silent, 1.0);
        }
        Ok(())
    }

    fn timers(&self, bound: &BoundSilence) -> Option<i64> {
        Some(bound.after)
    }

    fn ticks(&self) -> Option<i64> {
        let after = parse_duration(&self.after).ok()?;
        self.is_by_clock().then(|| (after / TICKS).clamp(OFTENEST, SELDOMEST))
    }

    fn memory(&self) -> String {
        "the newest time and a timer per sensor".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::IntoStage;
    use crate::stage::testing::{Outcome, Table, run};
    use crate::time::Agreement;

    fn table(rows: &[(u8, i64)]) -> Table {
        rows.iter().enumerate().fold(Table::new(&["v"]), |table, (at, (sensor, time))| {
            table.row(&format!("s{sensor}"), *time, &[Some(at as f64)])
        })
    }

    /// An output record: its row, if any, the sensor, the time, and whether it reports a silence.
    type Told = (Option<usize>, u8, i64, bool);

    /// Clause 31 as a plain loop.
    fn plain(rows: &[(u8, i64)], after: i64, keep: Keep) -> Vec<Told> {
        let (mut newest, mut deadline, mut silent) = ([None; 6], [None; 6], [false; 6]);
        let (mut watermark, mut told) = (None, Vec::new());
        for (row, &(sensor, time)) in rows.iter().enumerate() {
            let at = usize::from(sensor);
            if let Some(before) = newest[at].filter(|&before| !silent[at] && time >= before + after) {
                told.push((None, sensor, before, true));
                silent[at] = true;
            }
            if keep == Keep::All || silent[at] {
                told.push((Some(row), sensor, time, false));
            }
            silent[at] = false;
            newest[at] = newest[at].max(Some(time));
            let mut all: Vec<i64> = newest.iter().copied().flatten().collect();
            all.sort_unstable();
            watermark = watermark.max(all.len().checked_sub(2).map(|second| all[second]));
            deadline[at] = newest[at].max(watermark).map(|from: i64| from + after);
            let mut quiet: Vec<usize> = (0..6)
                .filter(|&at| !silent[at] && deadline[at].is_some_and(|due| watermark >= Some(due)))
                .collect();
            quiet.sort_by_key(|&at| (newest[at], at));
            for at in quiet {
                silent[at] = true;
                told.push((None, at as u8, newest[at].expect("it has reported"), true));
            }
        }
        told
    }

    fn told(result: &Outcome) -> Vec<Told> {
        let (rows, silent) = (result.measurement("v"), result.measurement("silent"));
        let keys = result.keys().into_iter().zip(rows).zip(silent);
        let sensor = |name: &str| name[1..].parse().expect("a number");
        keys.map(|(((name, time), row), silent)| {
            (row.map(|row| row as usize), sensor(&name), time, silent == Some(1.0))
        })
        .collect()
    }

    #[test]
    fn clause_31_a_sensor_that_falls_silent_is_told_and_so_is_its_return() {
        let rows = [(0, 0), (1, 0), (2, 1), (1, 5), (2, 6), (1, 10), (2, 11), (0, 12), (1, 13)];
        let result = run(&Silence::after("10ns"), &table(&rows), 3);
        let silent = (None, 0, 0, true);
        let mut expected: Vec<Told> =
            rows.iter().enumerate().map(|(row, &(sensor, time))| (Some(row), sensor, time, false)).collect();
        // With the record by which two sensors have reached 10.
        expected.insert(7, silent);
        assert_eq!(told(&result), expected);
        assert_eq!((result.flow.made, result.flow.filtered), (1, 0));
        let changes = run(&Silence::after("10ns").keep(Keep::Changes), &table(&rows), 3);
        assert_eq!(told(&changes), [silent, (Some(7), 0, 12, false)]);
        assert_eq!((changes.flow.made, changes.flow.filtered), (1, 8));
    }

    #[test]
    fn clause_31_a_gap_that_nobody_has_noticed_is_told_with_its_end() {
        let result = run(&Silence::after("10ns"), &table(&[(0, 0), (0, 9), (0, 19)]), 1);
        let row = |row, time| (Some(row), 0, time, false);
        assert_eq!(told(&result), [row(0, 0), row(1, 9), (None, 0, 9, true), row(2, 19)]);
    }

    #[test]
    fn clause_31_options_that_mean_nothing_are_refused() {
        let stage = |after: &str| Silence::after(after).into_stage();
        let schema = table(&[]).schema();
        for after in ["0s", "soon"] {
            assert!(stage(after).output(&schema).expect_err("no duration").to_string().contains("`after`"));
        }
        assert!(stage("1s").with_agreement(Agreement::Sensors(3)).is_some());
        // A second stage writes to its own column.
        let silent = stage("1s").output(&schema).expect("columns");
        let message = stage("5s").output(&silent).expect_err("the same column").to_string();
        assert!(message.contains("column `silent` already exists"), "{message}");
    }

    proptest! {
        #[test]
        fn clause_31_as_in_the_plain_version(
            steps in proptest::collection::vec((0..6u8, 0..6i64, -4..4i64), 0..120), after in 1..30i64, size in 1..30usize,
            is_all in any::<bool>(),
        ) {
            let mut now = 0;
            // Some sensors report rarely.
            let rows: Vec<(u8, i64)> = steps.into_iter().map(|(sensor, step, apart)| {
                now += step;
                (sensor * sensor % 6, now + apart)
            }).collect();
            let keep = if is_all { Keep::All } else { Keep::Changes };
            let result = run(&Silence::after(format!("{after}ns")).keep(keep), &table(&rows), size);
            prop_assert_eq!(told(&result), plain(&rows, after, keep));
        }
    }
}
