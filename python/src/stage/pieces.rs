//! What a stage has yielded, in order: records of its input as they are, and others.

use std::sync::Arc;

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use tidemill::arrow::{Decoder, Encoder};
use tidemill::batch::{Batch, Column, Schema};
use tidemill::sensor::{SensorId, SensorLookup, Sensors};
use tidemill::{Error, Result};

use crate::columns::Builder;
use crate::records::{Layout, Record, Rows};

/// A part of the output, in order.
pub(super) enum Piece {
    /// Records of the input, unchanged.
    Picked(Arc<Rows>, Vec<u32>),
    /// Others.
    Made(RecordBatch),
}

/// What `process` has yielded since the last turn.
pub(super) struct Yielded {
    layout: Arc<Layout>,
    builder: Builder,
    pieces: Vec<Piece>,
}

impl Yielded {
    pub(super) fn new(layout: &Arc<Layout>, output: &Schema) -> PyResult<Self> {
        let builder = Builder::new(Arc::clone(Encoder::new(output).schema()))?;
        Ok(Self { layout: Arc::clone(layout), builder, pieces: Vec::new() })
    }

    pub(super) fn push(&mut self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(record) = item.cast::<Record>() {
            let record = record.borrow();
            if record.changes.is_none() && Arc::ptr_eq(&record.rows.layout, &self.layout) {
                return self.pick(&record.rows, record.row);
            }
        }
        self.builder.push(item)
    }

    pub(super) fn add(&mut self, records: RecordBatch) -> PyResult<()> {
        self.flush()?;
        self.pieces.push(Piece::Made(records));
        Ok(())
    }

    fn pick(&mut self, rows: &Arc<Rows>, row: u32) -> PyResult<()> {
        self.flush()?;
        match self.pieces.last_mut() {
            Some(Piece::Picked(of, picked)) if Arc::ptr_eq(of, rows) => picked.push(row),
            _ => self.pieces.push(Piece::Picked(Arc::clone(rows), vec![row])),
        }
        Ok(())
    }

    fn flush(&mut self) -> PyResult<()> {
        if self.builder.len() > 0 {
            self.pieces.push(Piece::Made(self.builder.take()?));
        }
        Ok(())
    }

    pub(super) fn take(&mut self) -> PyResult<Vec<Piece>> {
        self.flush()?;
        Ok(std::mem::take(&mut self.pieces))
    }
}

/// The pieces that the stage `label` gave, as one batch with the columns `output`; `None` if there are none.
pub(super) fn batch_of(
    pieces: Vec<Piece>,
    label: &str,
    output: &Arc<Schema>,
    sensors: &Sensors,
) -> Result<Option<Batch>> {
    let mut all: Option<Batch> = None;
    for piece in pieces {
        let piece = match piece {
            Piece::Picked(rows, picked) => widened(picked_of(&rows.batch, &picked), output),
            Piece::Made(records) => made(&records, label, output, sensors)?,
        };
        match &mut all {
            None => all = Some(piece),
            Some(all) => all.append(&piece),
        }
    }
    Ok(all)
}

fn made(records: &RecordBatch, label: &str, output: &Arc<Schema>, sensors: &Sensors) -> Result<Batch> {
    let decoder = Decoder::of(label, output, &records.schema())?;
    let decoded = decoder.decode(records, 0, false, &mut KnownSensors { sensors, label })?;
    match decoded.rejections.first() {
        None => Ok(decoded.batch),
        Some(rejection) => Err(Error::data(format!("`{label}` gave a record without {}", rejection.reason))),
    }
}

/// Records of the input with the columns that the stage adds, which they lack.
fn widened(batch: Batch, output: &Arc<Schema>) -> Batch {
    let own = batch.schema().fields().len();
    if own == output.fields().len() {
        return batch;
    }
    let len = batch.len();
    let added = output.fields().iter().enumerate().skip(own);
    let columns = added.map(|(at, field)| (at, Column::missing(field.ty, len))).collect();
    batch.with_columns(Arc::clone(output), columns)
}

fn picked_of(batch: &Batch, picked: &[u32]) -> Batch {
    let is_all = picked.len() == batch.len() && picked.iter().enumerate().all(|(at, &row)| at as u32 == row);
    if is_all { batch.clone() } else { batch.take(picked) }
}

/// The sensors of the input: a stage gives records of these.
struct KnownSensors<'s> {
    sensors: &'s Sensors,
    label: &'s str,
}

impl SensorLookup for KnownSensors<'_> {
    fn id(&mut self, name: &str) -> Result<SensorId> {
        self.sensors.find(name).ok_or_else(|| {
            Error::data(format!("`{}` gave a record of the sensor `{name}`, which is not in its input", self.label))
                .with_help("a stage gives records of the sensors that it has seen; put another name into a column of its own")
        })
    }

    fn known_ids(&mut self, text: &[u8], names: &[(u32, u32)], ids: &mut Vec<SensorId>) {
        let known = |&(start, len): &(u32, u32)| {
            self.sensors.find(std::str::from_utf8(text.get(start as usize..)?.get(..len as usize)?).ok()?)
        };
        ids.extend(names.iter().map(|name| known(name).unwrap_or(SensorId::UNKNOWN)));
    }
}
