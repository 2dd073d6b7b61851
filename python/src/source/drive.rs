//! The thread of a source: iterates over what `stream()` returned.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::concat::concat_batches;
use crossbeam_channel::Sender;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::capsule::{bad, is_arrow, reader_of};
use crate::columns::{Builder, declared_schema, schema_like};
use crate::exit::attached;
use crate::object::{Object, has_method, items};
use crate::records::Record;
use crate::saved::{Snapshot, decode};
use crate::source::shared::{Shared, State};

/// How it is iterated over.
pub(super) struct Drive {
    pub(super) fields: Vec<(String, DataType)>,
    /// The column with the sensor's name.
    pub(super) sensor: String,
    /// The columns, if they are known.
    pub(super) schema: Option<SchemaRef>,
    /// Where it goes on.
    pub(super) position: Option<Vec<u8>>,
    /// Whether it is asked for its position after each item.
    pub(super) gives_position: bool,
    /// Whether it is told what is durable: then it is left when the run is over.
    pub(super) is_told: bool,
}

pyo3::create_exception!(
    tidemill,
    NobodyReads,
    pyo3::exceptions::PyException,
    "The run has ended: nobody reads the source."
);

pub(super) fn drive(object: &Object, drive: Drive, shared: &Shared, first: &Sender<SchemaRef>) {
    let thread = Thread { object, drive, shared, first };
    attached(|py| {
        let left = object.entered(py, |own| thread.run(py, own));
        match left {
            // Whoever started the run is not there any more.
            Err(error) if shared.has_ended() => error.write_unraisable(py, Some(object.bind(py))),
            left => shared.end(left.err().map(|error| object.failed(py, error))),
        }
    });
    shared.end(None);
    shared.leave();
}

struct Thread<'a> {
    object: &'a Object,
    drive: Drive,
    shared: &'a Shared,
    first: &'a Sender<SchemaRef>,
}

impl Thread<'_> {
    fn run(&self, py: Python<'_>, own: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(position) = &self.drive.position {
            self.object.call(py, "resume", (decode(py, position)?,))?;
        }
        let streamed = self.stream(py, own);
        if !self.drive.is_told {
            return streamed;
        }
        self.shared.end(streamed.err().map(|error| self.object.failed(py, error)));
        while let Some(position) = py.detach(|| self.shared.wait_to_tell()) {
            if let Err(error) = self.tell(py, &position) {
                self.shared.fail(self.object.failed(py, error));
            }
            self.shared.has_told(&position);
        }
        Ok(())
    }

    fn stream(&self, py: Python<'_>, own: &Bound<'_, PyAny>) -> PyResult<()> {
        let stream = if has_method(own, "stream")? { own.call_method0("stream")? } else { own.clone() };
        let result = items(&stream, |item| self.take(item));
        if let Some(close) =
            stream.getattr_opt("close")?.filter(|_| stream.hasattr("__next__").unwrap_or(false))
        {
            close.call0()?;
        }
        match result {
            Err(error) if error.is_instance_of::<NobodyReads>(py) => return Ok(()),
            other => other?,
        }
        // Without any record, the declared columns are all that is known.
        if !self.drive.fields.is_empty() {
            drop(self.first.try_send(declared_schema(&self.drive.fields, &self.drive.sensor)));
        }
        Ok(())
    }

    /// Takes one item: a record, record batches, or None while there is nothing.
    fn take(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = item.py();
        let goes_on = if item.is_none() {
            !self.shared.is_closed()
        } else if !item.is_instance_of::<Record>() && is_arrow(item)? {
            self.batches(item)?
        } else {
            let position = self.position(py)?;
            self.shared.give(py, |state| self.record(state, item, position))?
        };
        if self.drive.is_told
            && let Some(position) = self.shared.told()
        {
            self.tell(py, &position)?;
            self.shared.has_told(&position);
        }
        if goes_on { Ok(()) } else { Err(NobodyReads::new_err("the run has ended")) }
    }

    fn record(&self, state: &mut State, item: &Bound<'_, PyAny>, position: Option<Snapshot>) -> PyResult<()> {
        if state.builder.is_none() {
            let schema = match &self.drive.schema {
                Some(schema) => Arc::clone(schema),
                None => schema_like(item, &self.drive.fields, Some(&self.drive.sensor))?,
            };
            // Only the first one is waited for.
            drop(self.first.try_send(Arc::clone(&schema)));
            state.builder = Some(Builder::new(schema)?.with_nan_missing());
        }
        let builder = state.builder.as_mut().ok_or_else(|| PyValueError::new_err("no columns"))?;
        builder.push(item)?;
        state.added(position);
        Ok(())
    }

    /// Takes record batches; false if nobody reads them.
    fn batches(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = item.py();
        let reader = reader_of(item)?;
        let schema = reader.schema();
        drop(self.first.try_send(Arc::clone(&schema)));
        if self.drive.gives_position {
            // Its position is behind all of them, so they are read at once.
            let all =
                reader.collect::<Result<Vec<RecordBatch>, ArrowError>>().map_err(|error| bad(&error))?;
            let records = concat_batches(&schema, &all).map_err(|error| bad(&error))?;
            let position = self.position(py)?;
            return self.shared.give(py, |state| state.add(records, position));
        }
        for records in reader {
            let records = records.map_err(|error| bad(&error))?;
            if !self.shared.give(py, |state| state.add(records, None))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How far the records given so far go.
    fn position(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        match self.drive.gives_position {
            true => Snapshot::of(self.object.call(py, "position", ())?).map(Some),
            false => Ok(None),
        }
    }

    fn tell(&self, py: Python<'_>, position: &[u8]) -> PyResult<()> {
        self.object.call(py, "durable", (decode(py, position)?,)).map(drop)
    }
}
