//! Batches for the tests of the runtime.

use std::sync::Arc;

use crate::batch::{Batch, Column, Field, Origins, Schema, Span, Text, TimeColumn};
use crate::sensor::SensorLookup;
use crate::time::Timestamp;

/// One record per sensor and time in nanoseconds, with origins.
pub(super) fn readings(rows: &[(&str, i64)], sensors: &mut dyn SensorLookup) -> Batch {
    let schema = Schema::new(vec![Field::time("time"), Field::sensor("sensor")]).expect("distinct names");
    let times = rows.iter().map(|row| Timestamp::from_nanos(row.1)).collect();
    let ids = rows.iter().map(|row| sensors.id(row.0).expect("room")).collect();
    let columns = vec![Column::Time(TimeColumn { values: times, text: Vec::new() }), Column::Sensor(ids)];
    let mut batch = Batch::new(Arc::new(schema), columns, Text::default());
    let mut origins = Origins::of_file("t".into());
    (1..=rows.len() as u64).for_each(|line| origins.push(line, 0, Span::NULL));
    batch.origins = Some(origins);
    batch
}
