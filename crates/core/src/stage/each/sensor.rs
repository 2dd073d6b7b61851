//! A stage whose state belongs to one sensor.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::columns::Columns;
use super::record::{Last, Record, Timer};
use crate::error::Result;

/// A stage whose state belongs to one sensor, all measurements of which it sees, record by record. It may drop, change and add records and
/// columns, and be called when a time has come, without a record of its sensor. [`EachSensor`](super::EachSensor) makes a [`Stage`](crate::stage::Stage) of reach [`Reach::Series`](crate::stage::Reach::Series) of it; it
/// is registered by [`Component::sensor`](crate::stage::Component::sensor).
///
/// ```text
/// bind                                   before the run, several times, any thread
/// for every sensor, as its records come:
///   state                                before its first record
///   record, record, timer, record …      its records in order; a timer behind the record with which the watermark has come to it
///   last                                 the input has ended, or the sensor is given up
/// ```
/// One sensor is with one thread at a time; different ones are with different threads at once, which share the stage and what it has
/// bound. What a sensor says depends on its own records and on the watermark alone, so it is the same on any number of threads. A state moves
/// between threads, is written into checkpoints (by sensor, with the stage's name and [`SensorStage::VERSION`]) and read by the next run: what is
/// not in it is lost there.
///
/// An error of any of these ends the run, and names the stage; so does a panic. As it is serialised, it is shown by `explain` and the report, and compared with that of
/// a checkpoint: its options with their defaults.
pub trait SensorStage: Clone + Serialize + Send + Sync + 'static {
    /// What one sensor remembers. It is written with postcard: every field, in order, without names.
    type State: Serialize + DeserializeOwned + Send + 'static;

    /// What the options mean for the columns that come in: where they are, durations in nanoseconds.
    type Bound: Send + Sync + 'static;

    /// The version of [`SensorStage::State`]; whoever changes what that is raises it. A checkpoint of another version is refused by name.
    const VERSION: u32 = 1;

    /// The name it is registered under.
    fn name(&self) -> &str;

    /// Checks the options against the columns that come in, and says which of these it reads and writes.
    ///
    /// # Errors
    /// A configuration error: what is wrong with the options.
    fn bind(&self, columns: &mut Columns<'_>) -> Result<Self::Bound>;

    /// The state of a sensor before its first record.
    fn state(&self, bound: &Self::Bound, sensor: &str) -> Self::State;

    /// Handles the next record of a sensor.
    ///
    /// # Errors
    /// What ends the run.
    fn record(&self, bound: &Self::Bound, state: &mut Self::State, record: &mut Record<'_>) -> Result<()>;

    /// The timer that the sensor had set ([`Record::set_timer`]) is due: the watermark has come to it. It is called behind the record of the input with
    /// which that was so, whichever sensor's that is, and before the next record of this sensor. It is set no more, unless this sets it again.
    ///
    /// # Errors
    /// What ends the run.
    fn timer(&self, _bound: &Self::Bound, _state: &mut Self::State, _timer: &mut Timer<'_>) -> Result<()> {
        Ok(())
    }

    /// No record of the sensor comes any more: the input has ended, or the sensor is given up (clause 27). What is not emitted now is lost.
    ///
    /// # Errors
    /// What ends the run.
    fn last(&self, _bound: &Self::Bound, _state: Self::State, _last: &mut Last<'_>) -> Result<()> {
        Ok(())
    }

    /// For a stage that sets timers: how many nanoseconds behind a record they are about, which need not be exact. `None` for all others: for them nobody
    /// follows the watermark.
    fn timers(&self, _bound: &Self::Bound) -> Option<i64> {
        None
    }

    /// Whether it may call [`Row::set_late`](super::Row::set_late).
    fn sets_aside(&self) -> bool {
        false
    }

    /// What a sensor keeps, for `explain`.
    fn memory(&self) -> String {
        format!("{} bytes a sensor", size_of::<Self::State>())
    }
}
