//! What a stage sees of a record, and what it says of it.

use std::ops::{Deref, DerefMut};

use super::effects::{Effects, Fate, Side};
use super::value::{self, Value};
use super::{ReadColumn, WriteColumn};
use crate::batch::{Batch, Number};
use crate::sensor::{SensorId, Sensors};
use crate::time::{Timestamp, Watermark, quiet_at};

/// A record that a stage is at.
pub struct Row<'a> {
    pub(super) batch: &'a Batch,
    /// Empty where there is no time column.
    pub(super) times: &'a [Timestamp],
    pub(super) row: u32,
    /// Its place in the order in which the stage goes through the batch.
    pub(super) at: usize,
    pub(super) sensor: SensorId,
    pub(super) sensors: &'a Sensors,
    pub(super) effects: &'a mut Effects,
}

/// A record of a sensor whose state a stage keeps: a [`Row`], and how far the source has come.
pub struct Record<'a> {
    pub(super) row: Row<'a>,
    pub(super) newest: Timestamp,
    pub(super) watermark: Watermark,
    /// `None` where the stage has said that it sets none.
    pub(super) timer: Option<&'a mut Option<Timestamp>>,
}

/// A timer that a stage has set and that is due.
pub struct Timer<'a> {
    pub(super) due: Timestamp,
    pub(super) watermark: Watermark,
    pub(super) next: &'a mut Option<Timestamp>,
    pub(super) last: Last<'a>,
}

/// A sensor whose last record has come: the input has ended, or the sensor is given up (clause 27).
pub struct Last<'a> {
    pub(super) sensor: SensorId,
    pub(super) sensors: &'a Sensors,
    pub(super) effects: &'a mut Effects,
    /// The record behind which this is, and what lets new records go.
    pub(super) row: u32,
}

/// A record that a stage adds: null in all columns but its time, its sensor and what is set.
pub struct Emitted<'a>(&'a mut Effects);

impl Row<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensors.name(self.sensor)
    }

    /// The record's time; [`Timestamp::MIN`] where records have none ([`Columns::need_time`](super::Columns::need_time) refuses such input).
    #[inline]
    pub fn time(&self) -> Timestamp {
        self.times.get(self.row as usize).copied().unwrap_or(Timestamp::MIN)
    }

    /// The value of a measurement as it came in, as the nearest float; `None` for null.
    #[inline]
    pub fn number(&self, column: ReadColumn) -> Option<f64> {
        value::number(self.batch, column.0, self.row as usize)
    }

    /// The same with all its digits.
    #[inline]
    pub fn exact(&self, column: ReadColumn) -> Option<Number> {
        self.batch.columns()[column.0].number(self.row as usize)
    }

    /// The value of a column of any type as it came in.
    #[inline]
    pub fn value(&self, column: ReadColumn) -> Value<'_> {
        value::value(self.batch, column.0, self.row as usize)
    }

    /// Writes a value.
    ///
    /// # Panics
    /// When the column is of another type; the engine turns it into an error that names the stage.
    #[inline]
    pub fn set<'v>(&mut self, column: WriteColumn, value: impl Into<Value<'v>>) {
        self.effects.set(column, self.at, value.into());
    }

    /// The record does not go on, because the stage is told to leave such records out: it counts as filtered.
    pub fn filter(&mut self) {
        self.effects.end(self.row, Fate::Filtered);
    }

    /// The record does not go on, because it has gone into a summary that is emitted later: it counts as folded.
    pub fn fold(&mut self) {
        self.effects.end(self.row, Fate::Folded);
    }

    /// The record does not go on, because what would have had to wait for it has left: it goes to the dead letter, and counts as late. The stage
    /// must have said that it sets records aside.
    pub fn set_late(&mut self, reason: impl Into<String>) {
        self.effects.end(self.row, Fate::Late(reason.into()));
    }

    /// Adds a record of this sensor before this one. `time` means nothing where records have none.
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
    /// How far the source has come with this record (clause 22); not at all for a stage that sets no timers.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The newest time that the sensor has had, this record's included; as [`Record::watermark`] for a stage that sets no timers.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The watermark at which the sensor is quiet by `bound` nanoseconds if no record of it comes (clause 22); `None` beyond the end of time.
    pub fn quiet_at(&self, bound: i64) -> Option<Timestamp> {
        quiet_at(self.newest, self.watermark, bound)
    }

    /// Asks for a call of [`SensorStage::timer`](super::SensorStage::timer) behind the record with which the watermark reaches `due`: this one, where
    /// it has. A sensor has one timer: this takes the place of the one before. `None` takes that away.
    ///
    /// # Panics
    /// When the stage has not said that it sets timers ([`SensorStage::timers`](super::SensorStage::timers)); the engine turns it into an error that names the stage.
    #[inline]
    pub fn set_timer(&mut self, due: Option<Timestamp>) {
        match &mut self.timer {
            Some(timer) => **timer = due,
            None => panic!("a timer was set by a stage that says that it sets none"),
        }
    }
}

impl Timer<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.last.sensor()
    }

    /// When the timer was due.
    pub fn time(&self) -> Timestamp {
        self.due
    }

    /// How far the source has come: to the timer's time or further.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// As [`Record::set_timer`]; `due` must be later than this timer was. One that is due already is called at once.
    pub fn set_timer(&mut self, due: Option<Timestamp>) {
        *self.next = due;
    }

    /// Adds a record of this sensor behind the one with which the watermark has come to the timer; of all that is added behind that one, by all sensors, it stands by
    /// its time, then by its sensor's name.
    pub fn emit(&mut self, time: Timestamp) -> Emitted<'_> {
        self.last.emit(time)
    }
}

impl Last<'_> {
    /// The sensor's name.
    pub fn sensor(&self) -> &str {
        self.sensors.name(self.sensor)
    }

    /// Adds a record of this sensor, behind all others: of all sensors, by time, then by name.
    pub fn emit(&mut self, time: Timestamp) -> Emitted<'_> {
        self.effects.emit(self.row, Side::Behind, self.sensor, time);
        Emitted(self.effects)
    }
}

impl Emitted<'_> {
    /// Writes a value of the new record.
    ///
    /// # Panics
    /// As [`Row::set`].
    #[expect(clippy::return_self_not_must_use, reason = "the record is added already")]
    pub fn set<'v>(self, column: WriteColumn, value: impl Into<Value<'v>>) -> Self {
        self.0.set_emitted(column, value.into());
        self
    }
}
