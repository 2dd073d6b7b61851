//! A stage with state per sensor.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::columns::Columns;
use super::record::{Last, Record, Timer};
use crate::error::Result;

/// A stage with state per sensor, which processes records with all measurements one by one. It may drop, change and add records and
/// columns, and set timers that fire without a record of the sensor. [`EachSensor`](super::EachSensor) makes it a
/// [`Stage`](crate::stage::Stage) of reach [`Reach::Series`](crate::stage::Reach::Series); it is registered by
/// [`Component::sensor`](crate::stage::Component::sensor).
///
/// ```text
/// bind                                   before the run, several times, any thread
/// for every sensor, in record order:
///   state                                before its first record
///   record, record, timer, record …      its records in order; a timer after the record with which the watermark reaches it
///   last                                 the input has ended, or the sensor has been given up
/// ```
/// A sensor is processed by one thread at a time; different sensors concurrently by different threads, which share the stage and its bound
/// options. The results for a sensor must depend only on its own records and the watermark, so that they are the same on any number of
/// threads. A state moves between threads, is part of checkpoints (by sensor, with the stage's name and [`SensorStage::VERSION`]) and is
/// restored by the next run: anything not in it is lost then.
///
/// An error or a panic in any of these ends the run with an error that names the stage. Its serialised form, the options with their
/// defaults, is shown by `explain` and the report, and compared with that of a checkpoint.
pub trait SensorStage: Clone + Serialize + Send + Sync + 'static {
    /// The state of one sensor. It is encoded with postcard: every field, in order, without names.
    type State: Serialize + DeserializeOwned + Send + 'static;

    /// The options, bound to the input columns: indices, durations in nanoseconds.
    type Bound: Send + Sync + 'static;

    /// The version of [`SensorStage::State`], to be raised with every change of it. A checkpoint of another version is refused by name.
    const VERSION: u32 = 1;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Validates the options against the input columns, and declares which of these it reads and writes.
    ///
    /// # Errors
    /// A configuration error: what is wrong with the options.
    fn bind(&self, columns: &mut Columns<'_>) -> Result<Self::Bound>;

    /// The state of a sensor before its first record.
    fn state(&self, bound: &Self::Bound, sensor: &str) -> Self::State;

    /// Processes the next record of a sensor.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn record(&self, bound: &Self::Bound, state: &mut Self::State, record: &mut Record<'_>) -> Result<()>;

    /// The sensor's timer ([`Record::set_timer`]) is due: the watermark has reached it. Called after the input record, of any sensor, with
    /// which that happened, and before the next record of this sensor. A timer fires once, unless it is set again.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn timer(&self, _bound: &Self::Bound, _state: &mut Self::State, _timer: &mut Timer<'_>) -> Result<()> {
        Ok(())
    }

    /// The sensor has no more records: the input has ended, or the sensor has been given up (clause 27). Its state is dropped afterwards.
    ///
    /// # Errors
    /// Only errors that end the run.
    fn last(&self, _bound: &Self::Bound, _state: Self::State, _last: &mut Last<'_>) -> Result<()> {
        Ok(())
    }

    /// Declares that the stage sets timers: their approximate distance from a record, in nanoseconds. `None` for all others, for which no
    /// watermark is computed.
    fn timers(&self, _bound: &Self::Bound) -> Option<i64> {
        None
    }

    /// For a stage whose timers are set by the clock and not by the watermark: after how many nanoseconds without input the clock has to tick. Then [`Record::watermark`] is when the
    /// record was received, and timers are due by that. Ticks are input: they are recorded, and input that was not received live has none. `None` for all others.
    fn ticks(&self) -> Option<i64> {
        None
    }

    /// Whether it may call [`Row::set_late`](super::Row::set_late).
    fn sets_aside(&self) -> bool {
        false
    }

    /// Whether `option` may change during a run: as [`Stage::reloads`](crate::stage::Stage::reloads).
    fn reloads(&self, _option: &str) -> bool {
        false
    }

    /// The state of a sensor, for `explain`.
    fn memory(&self) -> String {
        format!("{} bytes per sensor", size_of::<Self::State>())
    }
}
