//! `silence`: tells when a sensor reports no more, and when it does again (clause 31).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Columns, Record, SensorStage, Timer, WriteColumn};
use crate::batch::Field;
use crate::error::{Error, Result};
use crate::stage::Component;
use crate::time::{Timestamp, parse_duration};

/// Tells when a sensor reports no more: a record of it is made then whose new column is 1, whose time is that of its newest record, and all else of
/// which is null. In all other records the new column is 0, so that an alert on it is raised and cleared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// How long, in event time, a sensor may report nothing, such as "10m", while others do.
    pub after: String,
    /// The name of the new column.
    #[serde(default = "default_into")]
    pub into: String,
    /// Which records go on: `all`, or only `changes`: those that tell of a silence, and the first one behind each.
    #[serde(default)]
    pub keep: Keep,
}

fn default_into() -> String {
    "silent".into()
}

/// Which records go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// All of them.
    #[default]
    All,
    /// Those that tell of a silence, and the first one behind each; the others are filtered.
    Changes,
}

inventory::submit! { Component::sensor::<Silence>("silence", "tells when a sensor reports no more, and when it does again") }

impl Silence {
    /// After a time such as "10m".
    pub fn after(after: impl Into<String>) -> Self {
        Self { after: after.into(), into: default_into(), keep: Keep::default() }
    }

    /// Which records go on.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }
}

/// What the options mean.
#[derive(Debug)]
pub struct Bound {
    /// Nanoseconds.
    after: i64,
    silent: WriteColumn,
}

/// What is known of a sensor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SensorStatus {
    newest: Timestamp,
    is_silent: bool,
}

impl SensorStage for Silence {
    type State = Option<SensorStatus>;
    type Bound = Bound;

    fn name(&self) -> &str {
        "silence"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<Bound> {
        columns.need_time("`silence`")?;
        let after = parse_duration(&self.after).map_err(|why| Error::config(format!("`after`: {why}")))?;
        // What stands there would be lost: readings, or what another `silence` says.
        if columns.input().index_of(&self.into).is_some() {
            return Err(Error::config(format!("there is a column `{}` already (option `into`)", self.into))
                .with_help("choose another name with `into`"));
        }
        Ok(Bound { after, silent: columns.write(Field::measurement(&*self.into))? })
    }

    fn state(&self, _bound: &Bound, _sensor: &str) -> Self::State {
        None
    }

    fn record(&self, bound: &Bound, seen: &mut Self::State, record: &mut Record<'_>) -> Result<()> {
        let (time, mut was_silent) = (record.time(), seen.is_some_and(|seen| seen.is_silent));
        // The watermark may have stood still meanwhile, as it does where all sensors were silent.
        if let Some(SensorStatus { newest, is_silent: false }) = *seen
            && newest.checked_add(bound.after).is_some_and(|due| due <= time)
        {
            record.emit(newest).set(bound.silent, 1.0);
            was_silent = true;
        }
        record.set(bound.silent, 0.0);
        if self.keep == Keep::Changes && !was_silent {
            record.filter();
        }
        *seen = Some(SensorStatus { newest: record.newest(), is_silent: false });
        record.set_timer(record.quiet_at(bound.after));
        Ok(())
    }

    fn timer(&self, bound: &Bound, seen: &mut Self::State, timer: &mut Timer<'_>) -> Result<()> {
        if let Some(seen) = seen {
            seen.is_silent = true;
            timer.emit(seen.newest).set(bound.silent, 1.0);
        }
        Ok(())
    }

    fn timers(&self, bound: &Bound) -> Option<i64> {
        Some(bound.after)
    }

    fn memory(&self) -> String {
        "the newest time and a timer a sensor".into()
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

    /// What leaves: the row or none, the sensor, the time, and whether it tells of a silence.
    type Told = (Option<usize>, u8, i64, bool);

    /// Clause 31 in the plainest words.
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
        // With the record by which two sensors have come to 10.
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
        // A second one says what it has to say in a column of its own.
        let silent = stage("1s").output(&schema).expect("columns");
        let message = stage("5s").output(&silent).expect_err("the same column").to_string();
        assert!(message.contains("a column `silent` already"), "{message}");
    }

    proptest! {
        #[test]
        fn clause_31_as_in_the_plain_version(
            steps in proptest::collection::vec((0..6u8, 0..6i64, -4..4i64), 0..120), after in 1..30i64, size in 1..30usize,
            is_all in any::<bool>(),
        ) {
            let mut now = 0;
            // Some report seldom.
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
