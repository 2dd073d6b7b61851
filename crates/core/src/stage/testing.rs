//! Small tables of records for the tests of stages.

use std::sync::Arc;

use super::{Flow, IntoStage, Process, Stage};
use crate::batch::{Batch, Column, Field, Origins, Schema, Span, Text, TimeColumn};
use crate::sensor::{SensorLookup, Sensors};
use crate::time::Timestamp;

/// Records of the columns time, sensor and some measurements.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    names: Vec<String>,
    rows: Vec<(String, i64, Vec<Option<f64>>)>,
    has_text: bool,
    is_local: bool,
}

/// The output of a stage for a table.
pub(crate) struct Outcome {
    pub(crate) batches: Vec<Batch>,
    pub(crate) flow: Flow,
    pub(crate) sensors: Sensors,
}

impl Table {
    pub(crate) fn new(measurements: &[&str]) -> Self {
        Self {
            names: measurements.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
            has_text: false,
            is_local: false,
        }
    }

    /// The same with local times.
    pub(crate) fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    /// The same with original texts of times, a column of text, and raw records.
    pub(crate) fn with_text(mut self) -> Self {
        self.has_text = true;
        self
    }

    /// Adds a record at `time` nanoseconds.
    pub(crate) fn row(mut self, sensor: &str, time: i64, values: &[Option<f64>]) -> Self {
        self.rows.push((sensor.to_owned(), time, values.to_vec()));
        self
    }

    pub(crate) fn schema(&self) -> Arc<Schema> {
        let mut fields = vec![Field::time("time"), Field::sensor("sensor")];
        fields.extend(self.names.iter().map(|name| Field::measurement(name.as_str())));
        fields.extend(self.has_text.then(|| Field::text("note")));
        Arc::new(Schema::new(fields).expect("distinct names").with_local_times(self.is_local))
    }

    /// The table in batches of `size` records, with origins.
    pub(crate) fn batches(&self, size: usize, sensors: &mut dyn SensorLookup) -> Vec<Batch> {
        let mut line = 0;
        let mut batch = |rows: &[(String, i64, Vec<Option<f64>>)]| {
            let times = rows.iter().map(|row| Timestamp::from_nanos(row.1)).collect();
            let mut text = Text::default();
            let mut spans = |of: &str, has: fn(u64) -> bool| -> Vec<Span> {
                let mut span = |line: u64| match self.has_text && has(line) {
                    false => Span::NULL,
                    true => text.push(format!("{of} {line}").as_bytes()),
                };
                (line..line + rows.len() as u64).map(&mut span).collect()
            };
            // Some batches have no text of times, as from another source.
            let mut time_text = spans("at", |line| line / 5 % 3 != 1);
            if time_text.iter().all(|span| span.is_null()) {
                time_text.clear();
            }
            let notes = self.has_text.then(|| Column::Text(spans("note", |line| line % 3 != 0)));
            let raw = spans("raw", |line| line % 7 != 0);
            let ids = rows.iter().map(|row| sensors.id(&row.0).expect("room")).collect();
            let mut columns =
                vec![Column::Time(TimeColumn { values: times, text: time_text }), Column::Sensor(ids)];
            for at in 0..self.names.len() {
                columns.push(Column::F64(rows.iter().map(|row| row.2[at]).collect()));
            }
            columns.extend(notes);
            let mut batch = Batch::new(self.schema(), columns, text);
            let mut origins = Origins::of_file("t".into());
            for raw in raw {
                line += 1;
                origins.push(line, 0, raw);
            }
            batch.origins = Some(origins);
            batch
        };
        self.rows.chunks(size).map(&mut batch).collect()
    }
}

impl Outcome {
    /// All values of a measurement, in order.
    pub(crate) fn measurement(&self, name: &str) -> Vec<Option<f64>> {
        let values = |batch: &Batch| -> Vec<_> {
            let at = batch.schema().index_of(name).expect("a column of that name");
            batch.measurement(at).iter().collect()
        };
        self.batches.iter().flat_map(values).collect()
    }

    pub(crate) fn flags(&self, name: &str) -> Vec<bool> {
        self.column(name, |column| match column {
            Column::Bool(booleans) => booleans.values.iter().collect(),
            _ => Vec::new(),
        })
    }

    pub(crate) fn counts(&self, name: &str) -> Vec<u64> {
        self.column(name, |column| match column {
            Column::U64(counts) => counts.values.to_vec(),
            _ => Vec::new(),
        })
    }

    /// Sensor and time of each record.
    pub(crate) fn keys(&self) -> Vec<(String, i64)> {
        let keys = |batch: &Batch| -> Vec<_> {
            let times = batch.times().expect("a time column").iter();
            batch
                .sensors()
                .iter()
                .zip(times)
                .map(|(&id, time)| (self.sensors.name(id).to_owned(), time.as_nanos()))
                .collect()
        };
        self.batches.iter().flat_map(keys).collect()
    }

    fn column<T>(&self, name: &str, values: impl Fn(&Column) -> Vec<T>) -> Vec<T> {
        let at = |batch: &Batch| batch.schema().index_of(name).expect("a column of that name");
        self.batches.iter().flat_map(|batch| values(&batch.columns()[at(batch)])).collect()
    }
}

/// The content of each record of a batch, floats as bits, sensors by name, spans as their text.
pub(crate) fn said(batch: &Batch, sensors: &Sensors) -> Vec<String> {
    let text = |span: Option<&Span>| {
        span.and_then(|&span| batch.text.get(span)).map(|text| text.escape_ascii().to_string())
    };
    let value = |column: &Column, row: usize| match column {
        Column::Time(time) => format!("{} {:?}", time.values[row].as_nanos(), text(time.text.get(row))),
        Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
        Column::F64(values) => format!("{:x?}", values.get(row).map(f64::to_bits)),
        Column::Text(spans) => format!("{:?}", text(spans.get(row))),
        numbers => format!("{:?}", numbers.number(row)),
    };
    let origin = |row: usize| {
        let of = |origins: &Origins| {
            format!("{:?} {:?}", origins.position(row), text(Some(&origins.get(row).raw)))
        };
        batch.origins.as_ref().map(of)
    };
    let record = |row: usize| {
        let values: Vec<_> = batch.columns().iter().map(|column| value(column, row)).collect();
        format!("{} {:?}", values.join(" "), origin(row))
    };
    (0..batch.len()).map(record).collect()
}

/// Runs a stage over a table in batches of `size`.
pub(crate) fn run<P: ?Sized>(stage: &(impl IntoStage<P> + Clone), table: &Table, size: usize) -> Outcome {
    run_any(&*stage.clone().into_stage(), table, size)
}

/// The same of any stage.
pub(crate) fn run_any(stage: &dyn Stage, table: &Table, size: usize) -> Outcome {
    let mut process = stage.start(&table.schema()).expect("started");
    drive(&mut *process, table, size, |_, _| None)
}

/// The same, saved after every batch and restored into a fresh process.
pub(crate) fn run_with_restarts<P: ?Sized>(
    stage: &(impl IntoStage<P> + Clone),
    table: &Table,
    size: usize,
) -> Outcome {
    let stage = stage.clone().into_stage();
    let mut process = stage.start(&table.schema()).expect("started");
    drive(&mut *process, table, size, |process, sensors| {
        let state = process.save().expect("saved");
        let mut next = stage.start(&table.schema()).expect("started");
        next.restore(&state, sensors).expect("restored");
        Some(next)
    })
}

fn drive(
    first: &mut dyn Process,
    table: &Table,
    size: usize,
    restart: impl Fn(&mut dyn Process, &Sensors) -> Option<Box<dyn Process>>,
) -> Outcome {
    let (mut sensors, mut flow, mut batches) = (Sensors::default(), Flow::default(), Vec::new());
    let mut current: Option<Box<dyn Process>> = None;
    for batch in table.batches(size, &mut sensors) {
        let process = current.as_deref_mut().unwrap_or(&mut *first);
        batches.push(process.process(batch, &sensors, &mut flow).expect("processed"));
        if let Some(next) = restart(process, &sensors) {
            current = Some(next);
        }
    }
    let process = current.as_deref_mut().unwrap_or(first);
    batches.extend(process.finish(&sensors, &mut flow).expect("finished"));
    Outcome { batches, flow, sensors }
}
