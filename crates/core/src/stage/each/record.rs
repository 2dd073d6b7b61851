//! The view of a record in a stage, and its effects.

use std::ops::{Deref, DerefMut};

use super::effects::{Effects, Fate, Side};
use super::value::{self, Value};
use super::{ReadColumn, WriteColumn};
use crate::batch::{Batch, Number};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Timestamp, Watermark, quiet_at};

/// The current record of a stage.
pub struct Row<'a> {
    pub(super) batch: &'a Batch,
    /// Empty without a time column.
    pub(super) times: &'a [Timestamp],
    pub(super) row: u32,
    /// Its position in the order in which the stage processes the batch.
    pub(super) at: usize,
    pub(super) sensor: SensorId,
    pub(super) sensors: &'a Sensors,
    pub(super) effects: &'a mut Effects,
}

/// A record of a sensor with state: a [`Row`] with the watermark.
pub struct Record<'a> {
    pub(super) row: Row<'a>,
    pub(super) newest: Timestamp,
    pub(super) watermark: Watermark,
    /// `None` if the stage declares no timers.
    pub(super) timer: Option<&'a mut Option<Timestamp>>,
}

/// A due timer set by a stage.
pub struct Timer<'a> {
    pub(super) due: Timestamp,
    pub(super) watermark: Watermark,
    pub(super) next: &'a mut Option<Timestamp>,
    pub(super) last: Last<'a>,
}

/// The end of a sensor: the input has ended, or the sensor has been given up (clause 27).
pub struct Last<'a> {
    pub(super) sensor: SensorId,
    pub(super) sensors: &'a Sensors,
    pub(super) effects: &'a mut Effects,
    /// The last input record, which triggers new records.
    pub(super) row: u32,
}

/// A record added by a stage: null in all columns except its time, its sensor and the values set.
pub struct Emitted<'a>(&'a mut Effects);

impl Row<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensors.name(self.sensor)
    }

    /// The record's time; [`Timestamp::MIN`] without a time column ([`Columns::need_time`](super::Columns::need_time) rejects such input).
    #[inline]
    pub fn time(&self) -> Timestamp {
        self.times.get(self.row as usize).copied().unwrap_or(Timestamp::MIN)
    }

    /// The input value of a measurement as the nearest float; `None` for null.
    #[inline]
    pub fn number(&self, column: ReadColumn) -> Option<f64> {
        value::number(self.batch, column.0, self.row as usize)
    }

    /// The input value of a measurement, exact; `None` for null.
    #[inline]
    pub fn exact(&self, column: ReadColumn) -> Option<Number> {
        self.batch.columns()[column.0].number(self.row as usize)
    }

    /// The input value of a column of any type.
    #[inline]
    pub fn value(&self, column: ReadColumn) -> Value<'_> {
        value::value(self.batch, column.0, self.row as usize)
    }

    /// Writes a value to a column.
    ///
    /// # Panics
    /// If the column has another type; the engine turns the panic into an error that names the stage.
    #[inline]
    pub fn set<'v>(&mut self, column: WriteColumn, value: impl Into<Value<'v>>) {
        self.effects.set(column, self.at, value.into());
    }

    /// Removes the record, as the stage is configured to: it is counted as filtered.
    pub fn filter(&mut self) {
        self.effects.end(self.row, Fate::Filtered);
    }

    /// Removes the record, because it is part of a summary that is emitted later: it is counted as folded.
    pub fn fold(&mut self) {
        self.effects.end(self.row, Fate::Folded);
    }

    /// Rejects the record as late: it goes to the dead letter. Requires that the stage's `sets_aside` returns true.
    pub fn set_late(&mut self, reason: impl Into<String>) {
        self.effects.end(self.row, Fate::Late(reason.into()));
    }

    /// Adds a record of this sensor before this one. `time` is ignored without a time column.
    pub fn emit(&mut self, time: Timestamp) -> Emitted<'_> {
        self.effects.emit(self.row, Side::Before, self.sensor, time);
        Emitted(self.effects)
    }
}

impl<'a> Deref for Record<'a> {
    type Target = Row<'a>;

    fn deref(&self) -> &Row<'a> {
        &self.row
    }
}

impl DerefMut for Record<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.row
    }
}

impl Record<'_> {
    /// The watermark after this record (clause 22); none for a stage without timers.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The newest time of the sensor, including this record. Only for a stage with timers, as [`Record::watermark`].
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The watermark at which the sensor becomes quiet after `bound` nanoseconds without a record (clause 22); `None` beyond the range of
    /// timestamps.
    pub fn quiet_at(&self, bound: i64) -> Option<Timestamp> {
        quiet_at(self.newest, self.watermark, bound)
    }

    /// When the timer of the sensor is due that was set last and has not been called, if there is one.
    pub fn timer(&self) -> Option<Timestamp> {
        self.timer.as_ref().and_then(|timer| **timer)
    }

    /// Sets the timer of the sensor: [`SensorStage::timer`](super::SensorStage::timer) is called after the record with which the watermark
    /// reaches `due`, which may be this one. A sensor has a single timer: this replaces it. `None` cancels it.
    ///
    /// # Panics
    /// If the stage does not declare timers ([`SensorStage::timers`](super::SensorStage::timers)); the engine turns the panic into an error
    /// that names the stage.
    #[inline]
    pub fn set_timer(&mut self, due: Option<Timestamp>) {
        match &mut self.timer {
            Some(timer) => **timer = due,
            None => panic!("a timer was set by a stage that declares none"),
        }
    }
}

impl Timer<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.last.sensor()
    }

    /// The time for which the timer was set.
    pub fn time(&self) -> Timestamp {
        self.due
    }

    /// The watermark: at the timer's time or later.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// As [`Record::set_timer`]; `due` must be later than this timer's time. A timer that is already due is called at once.
    pub fn set_timer(&mut self, due: Option<Timestamp>) {
        *self.next = due;
    }

    /// Adds a record of this sensor after the record with which the watermark reached the timer. Records added there by all sensors are
    /// ordered by time, then by sensor name.
    pub fn emit(&mut self, time: Timestamp) -> Emitted<'_> {
        self.last.emit(time)
    }
}

impl Last<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensors.name(self.sensor)
    }

    /// Adds a record of this sensor after all others. Records added there by all sensors are ordered by time, then by sensor name.
    pub fn emit(&mut self, time: Timestamp) -> Emitted<'_> {
        self.effects.emit(self.row, Side::Behind, self.sensor, time);
        Emitted(self.effects)
    }
}

impl Emitted<'_> {
    /// Sets a value of the new record.
    ///
    /// # Panics
    /// As [`Row::set`].
    #[expect(clippy::return_self_not_must_use, reason = "the record is added already")]
    pub fn set<'v>(self, column: WriteColumn, value: impl Into<Value<'v>>) -> Self {
        self.0.set_emitted(column, value.into());
        self
    }
}
