//! Sources in Python: `stream()` gives records or record batches; a table or any iterable is one, too. With `position()` and `resume(position)` it
//! takes part in checkpoints, and `durable(position)` tells it what it need not give again.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | python source | opening the source, or reading it after a restart | the object, and for room | with what `stream()` returned, or when the source is dropped; if it is told of checkpoints, with the run |

mod drive;
mod place;
mod running;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_schema::{DataType, SchemaRef};
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use schemars::{JsonSchema, Schema as JsonSchemaValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemill::format::{ColumnOptions, Names};
use tidemill::options::{Configure, Options};
use tidemill::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};
use tidemill::{Error, ErrorKind, Result};

use crate::capsule::is_arrow;
use crate::columns::declared;
use crate::exit::{Process, start_thread};
use crate::object::{self, Object, declares, has_method};
use crate::source::drive::{Drive, drive};
use crate::source::place::Place;
use crate::source::running::Running;
use crate::source::shared::{Hold, Shared};
use crate::wait::receive;

/// The options of its columns.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct InputColumns {
    /// Which columns there are, and what they are: `time`, `sensor`, `measurements` and others, as for files.
    input: ColumnOptions,
}

/// A source in Python, as a pipeline has it.
pub(crate) struct PySource(Arc<Declared>);

/// What is known of it.
struct Declared {
    object: Arc<Object>,
    columns: ColumnOptions,
    fields: Vec<(String, DataType)>,
    is_bounded: bool,
    /// Whether it gives its records once: an iterator.
    gives_once: bool,
    resumes: Resumes,
    /// Whether it is told what is durable.
    is_told: bool,
    /// What was opened to look at the columns: the run that begins goes on with it.
    looked: Mutex<Option<Opened>>,
}

/// How it goes on after a restart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resumes {
    /// It has `position` and `resume`.
    AtPosition,
    /// It gives the same records again, a list or a table: those that had been read are passed over.
    ByCount,
    /// It says that records may be lost.
    WithLoss,
    Unknown,
}

/// What its object says.
struct Look {
    fields: Vec<(String, DataType)>,
    is_bounded: bool,
    gives_once: bool,
    resumes: Resumes,
    is_told: bool,
}

impl Look {
    fn at(object: &Object, own: &Bound<'_, PyAny>) -> PyResult<Self> {
        let gives_once = own.hasattr("__next__")?;
        let has_stream = has_method(own, "stream")?;
        if !has_stream {
            if !is_iterable(own)? {
                object.check(own, &["stream"])?;
            }
            if is_arrow(own)? && !gives_once {
                // Its attributes are its columns.
                let resumes = Resumes::ByCount;
                return Ok(Self {
                    fields: Vec::new(),
                    is_bounded: true,
                    gives_once,
                    resumes,
                    is_told: false,
                });
            }
        }
        let fields = own.getattr_opt("fields")?.filter(|_| has_stream);
        let fields = fields.map_or(Ok(Vec::new()), |fields| declared(&fields))?;
        let is_bounded = own.getattr_opt("bounded")?.map_or(Ok(true), |bounded| bounded.is_truthy())?;
        let resumes = Resumes::of(object, own)?;
        Ok(Self { fields, is_bounded, gives_once, resumes, is_told: has_method(own, "durable")? })
    }
}

impl Resumes {
    fn of(object: &Object, own: &Bound<'_, PyAny>) -> PyResult<Self> {
        if object.has_both(own, ["position", "resume"])? {
            return Ok(Self::AtPosition);
        }
        if declares(own, "at_most_once")? {
            return Ok(Self::WithLoss);
        }
        let is_list = own.is_instance_of::<PyList>() || own.is_instance_of::<PyTuple>();
        Ok(if is_list { Self::ByCount } else { Self::Unknown })
    }
}

tidemill::submit! { Component::of::<PySource>(object::PREFIX, "a source written in Python: python:module:Class") }

impl Configure for PySource {
    fn schemas() -> Vec<JsonSchemaValue> {
        vec![object::schema(), schemars::schema_for!(InputColumns)]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let columns = options.take::<InputColumns>();
        let (object, look) = Object::configure(options, Look::at)?;
        let Look { fields, is_bounded, gives_once, resumes, is_told } = look;
        let (columns, looked) = (columns?.input, Mutex::default());
        Some(Self(Arc::new(Declared {
            object,
            columns,
            fields,
            is_bounded,
            gives_once,
            resumes,
            is_told,
            looked,
        })))
    }
}

/// Whether `object` gives records without a method `stream`: Arrow's, or any iterable.
fn is_iterable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(is_arrow(object)? || object.hasattr("__iter__")? || object.hasattr("__aiter__")?)
}

impl SourceSpec for PySource {
    fn name(&self) -> &str {
        &self.0.object.label
    }

    fn parameters(&self) -> Value {
        let mut parameters = self.0.object.parameters.clone();
        if let Value::Object(entries) = &mut parameters {
            entries.insert("input".into(), serde_json::to_value(&self.0.columns).unwrap_or_default());
        }
        parameters
    }

    fn traits(&self) -> Traits {
        Traits {
            is_bounded: self.0.is_bounded,
            is_replayable: self.0.resumes == Resumes::ByCount,
            is_open: false,
            recovery: if self.can_resume() { Recovery::Replayed } else { Recovery::Lost },
        }
    }

    fn can_resume(&self) -> bool {
        matches!(self.0.resumes, Resumes::AtPosition | Resumes::ByCount)
    }

    fn check_resumable(&self) -> Result<()> {
        match self.0.resumes {
            Resumes::Unknown => Err(Error::config("it has no `position` and `resume`, so it cannot go on where it was after a restart")
                .with_help("give it `position()`, which says how far the records given so far go, and `resume(position)`; or, if records may be lost, `at_most_once = True`")),
            _ => Ok(()),
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let declared = Arc::clone(&self.0);
        // Looking at a source that gives its records once must not take any from it.
        let looked = self.0.looked()?;
        if let (Some(resumption), true) = (&options.resume, self.can_resume()) {
            // It is opened where it goes on, when that is known to be needed.
            return Ok(Box::new(Running::resuming(declared, Place::decode(&resumption.place)?, options)?));
        }
        // If it is only looked at, the run that goes on with it may have checkpoints.
        let has_checkpoints = options.keeps_place || !options.waits;
        let opened = looked.map_or_else(|| self.0.opened(&options.stop, has_checkpoints, None), Ok)?;
        Ok(Box::new(Running::new(declared, opened, options)?))
    }
}

/// A source whose columns are known.
struct Opened {
    schema: SchemaRef,
    shared: Hold,
    /// Its thread is in this process alone.
    process: Process,
}

impl Declared {
    /// What was opened to look at the columns, if that was in this process.
    fn looked(&self) -> Result<Option<Opened>> {
        let Some(opened) = self.looked.lock().take() else { return Ok(None) };
        if opened.process == Process::this() {
            return Ok(Some(opened));
        }
        // Locks in it may be those of a thread that is not here.
        std::mem::forget(opened);
        match self.gives_once {
            true => Err(Error::config(format!(
                "`{}` gives its records once, and another process, which this one was forked from, has begun to read them",
                self.object.label
            ))
            .with_help("give a list, or an object whose `stream()` makes a new iterator")),
            false => Ok(None),
        }
    }

    /// Starts the thread, where it goes on at `place`; otherwise waits for the columns.
    fn opened(&self, stop: &AtomicBool, has_checkpoints: bool, place: Option<&Place>) -> Result<Opened> {
        let shared = Arc::new(Shared::default());
        let (first, columns) = bounded(1);
        let (object, own, sensor) = (Arc::clone(&self.object), Arc::clone(&shared), self.sensor());
        let driven = Drive {
            fields: self.fields.clone(),
            sensor,
            schema: place.map(|place| Arc::clone(&place.schema)),
            position: place.and_then(|place| place.position.clone()),
            gives_position: has_checkpoints && self.resumes == Resumes::AtPosition,
            is_told: self.is_told,
        };
        start_thread("python source", move || drive(&object, driven, &own, &first))?;
        // Dropped on every way out of here, it ends the thread.
        let held = Hold(Arc::clone(&shared));
        let schema = match place {
            Some(place) => Arc::clone(&place.schema),
            None => {
                let ended = || shared.take_error().unwrap_or_else(|| self.gave_nothing());
                let check = || {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Error::new(ErrorKind::Interrupted, "stopped before the first record"));
                    }
                    // Its thread may go on, to be told of checkpoints.
                    if shared.has_ended() && columns.is_empty() {
                        return Err(ended());
                    }
                    self.object.runs.check()
                };
                receive(&columns, check)?.ok_or_else(ended)?
            }
        };
        Ok(Opened { schema, shared: held, process: Process::this() })
    }

    /// The column with the sensor's name.
    fn sensor(&self) -> String {
        self.columns.sensor.clone().unwrap_or_else(|| "sensor".into())
    }

    fn gave_nothing(&self) -> Error {
        let what = format!("`{}` gave no record, so its columns are unknown", self.object.label);
        Error::data(what).with_help(match (self.gives_once, self.resumes) {
            (true, _) => "an iterator gives its records once, and these may have been taken before: give a list, or an object whose `stream()` makes a new one",
            (false, Resumes::ByCount) => "give a table, which has columns without any record, such as `pyarrow.table`",
            _ => "declare them: fields = {\"sensor\": str, \"value\": float}",
        })
    }
}

/// The columns with the roles that their names and types suggest, where the options say nothing: the sensor in `sensor`; the time in `time` or `timestamp`,
/// or else in the only column of times.
fn with_defaults(options: &ColumnOptions, schema: &SchemaRef) -> ColumnOptions {
    let mut options = options.clone();
    let has = |name: &&str| schema.index_of(name).is_ok();
    if options.sensor.is_none() && options.sensor_name.is_none() && has(&"sensor") {
        options.sensor = Some("sensor".into());
    }
    // An empty list: there is none, whatever the names are.
    if options.time.as_ref().is_some_and(|time| time.as_slice().is_empty()) {
        options.time = None;
    } else if options.time.is_none() {
        let times = || {
            let mut times =
                schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Timestamp(..)));
            times.next().filter(|_| times.next().is_none()).map(|field| field.name().clone())
        };
        let named = ["time", "timestamp"].into_iter().find(has).map(str::to_owned);
        options.time = named.or_else(times).map(Names::One);
    }
    options
}
