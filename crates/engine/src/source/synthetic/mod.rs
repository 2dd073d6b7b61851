//! `synthetic`: simulated plant readings, generated from a seed.

mod random;
mod schedule;
mod signal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::schedule::{Reading, Schedule};
use self::signal::{OddPart, Signal};
use super::file::{ReadPosition, ResumePosition, another_kind};
use super::{Input, OpenOptions, Progress, Recovery, Source, SourceSpec, Traits};
use crate::batch::{Batch, Column, Field, Numbers, Schema, Text, TimeColumn};
use crate::error::{Error, Result};
use crate::format::MAX_FIELDS;
use crate::offset::Offset;
use crate::options::parameters_of;
use crate::sensor::{SensorId, SensorLookup};
use crate::source::Component;
use crate::time::Timestamp;

/// Simulated temperatures, pressures and flows of a plant: a daily wave with noise, and faults at the given rates. The same options give
/// the same bits on any machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Synthetic {
    /// The number of readings (including those left out by `gaps`).
    pub records: u64,
    /// The number of sensors, which read in turn.
    pub sensors: u64,
    /// What the sensors measure, in turn.
    pub kinds: Vec<Quantity>,
    /// `long`: one value per record; `wide`: one record per unit, with `measurements` columns.
    pub shape: Shape,
    /// With `shape = "wide"`: the number of measurements per record, 4,096 at most.
    pub measurements: u64,
    /// The time of the first reading, in RFC 3339.
    pub start: String,
    /// The time between two readings of a sensor, such as "1s".
    pub interval: String,
    /// Different seeds give different data.
    pub seed: u64,
    /// The strength of the noise: 1 is ordinary, 0 none.
    pub noise: f64,
    /// The rise of values per day, in their unit.
    pub drift: f64,
    /// The fraction of readings that are far off.
    pub spikes: f64,
    /// The fraction of readings that are left out.
    pub gaps: f64,
    /// The fraction of time in which a sensor repeats its last value.
    pub stuck: f64,
    /// The fraction of readings that are NaN.
    pub nan: f64,
    /// The fraction of readings that are null.
    pub nulls: f64,
    /// Digits after the decimal point, 9 at most.
    pub decimals: u8,
    /// Whether the readings of an `interval` are spread evenly over it, in whole milliseconds. By default, all sensors read at its beginning.
    pub spread: bool,
    /// By how much a reading may be late, such as "2ms": a random time below that, in whole milliseconds. At most half of `interval`, so that
    /// the times of a sensor do not go back.
    pub jitter: Option<String>,
    /// The fraction of pairs of neighbouring sensors that swap their turns, by default 0.
    pub swaps: Option<f64>,
    /// The fraction of records that are written in another way than the others, by default 0: with six decimals in the time, or with values so
    /// near zero that their text has an exponent.
    pub odd: Option<f64>,
}

/// What an odd value is divided by.
const NEAR_ZERO: f64 = 1e9;

inventory::submit! { Component::of::<Synthetic>("synthetic", "simulated plant readings, generated from a seed") }

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quantity {
    /// Degrees Celsius.
    Temperature,
    /// Kilopascal.
    Pressure,
    /// Litres per minute.
    Flow,
}

impl Quantity {
    fn column(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Pressure => "pressure",
            Self::Flow => "flow",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Temperature => "temp",
            Self::Pressure => "press",
            Self::Flow => "flow",
        }
    }
}

/// The layout of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// `timestamp, sensor, value`.
    #[default]
    Long,
    /// `datetime, unit, temperature, pressure, …`.
    Wide,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self {
            records: 10_000,
            sensors: 12,
            kinds: vec![Quantity::Temperature, Quantity::Pressure, Quantity::Flow],
            shape: Shape::Long,
            measurements: 3,
            start: "2026-01-01T00:00:00Z".into(),
            interval: "1s".into(),
            seed: 1,
            noise: 1.0,
            drift: 0.0,
            spikes: 0.0,
            gaps: 0.0,
            stuck: 0.0,
            nan: 0.0,
            nulls: 0.0,
            decimals: 3,
            spread: false,
            jitter: None,
            swaps: None,
            odd: None,
        }
    }
}

impl Synthetic {
    /// Sets the number of readings.
    pub fn records(mut self, records: u64) -> Self {
        self.records = records;
        self
    }

    /// Sets the number of sensors.
    pub fn sensors(mut self, sensors: u64) -> Self {
        self.sensors = sensors;
        self
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// When the sensors read; an error if any option makes no sense.
    fn check(&self) -> Result<Schedule> {
        let rates = [self.spikes, self.gaps, self.stuck, self.nan, self.nulls];
        let rates = rates.into_iter().chain(self.swaps).chain(self.odd);
        if !rates.into_iter().all(|rate| (0.0..=1.0).contains(&rate)) {
            return Err(Error::config(
                "`spikes`, `gaps`, `stuck`, `nan`, `nulls`, `swaps` and `odd` are fractions from 0 to 1",
            ));
        }
        if self.sensors == 0 || self.kinds.is_empty() {
            return Err(Error::config("`sensors` and `kinds` need at least one"));
        }
        if !(1..=MAX_FIELDS as u64).contains(&self.measurements) {
            return Err(Error::config(format!("`measurements` is from 1 to {MAX_FIELDS}")));
        }
        if self.shape == Shape::Long && self.measurements != Self::default().measurements {
            return Err(Error::config("`measurements` has no meaning without `shape = \"wide\"`"));
        }
        if self.decimals > 9 {
            return Err(Error::config("`decimals` must be at most 9"));
        }
        if !self.noise.is_finite() || !self.drift.is_finite() {
            return Err(Error::config("`noise` and `drift` must be finite numbers"));
        }
        Schedule::new(self)
    }

    fn kind(&self, index: u64) -> Quantity {
        self.kinds[(index % self.kinds.len() as u64) as usize]
    }

    fn schema(&self) -> Result<Schema> {
        let fields = match self.shape {
            Shape::Long => {
                vec![Field::time("timestamp"), Field::sensor("sensor"), Field::measurement("value")]
            }
            Shape::Wide => {
                let mut fields = vec![Field::time("datetime"), Field::sensor("unit")];
                for at in 0..self.measurements {
                    let (round, name) = (at / self.kinds.len() as u64, self.kind(at).column());
                    let name = if round == 0 { name.to_owned() } else { format!("{name}_{}", round + 1) };
                    fields.push(Field::measurement(name));
                }
                fields
            }
        };
        Schema::new(fields)
    }

    /// The name of the sensor, or unit, with this turn.
    fn sensor_name(&self, turn: u64) -> String {
        match self.shape {
            Shape::Long => format!("{}-{turn:05}", self.kind(turn).prefix()),
            Shape::Wide => format!("unit-{turn:05}"),
        }
    }
}

impl SourceSpec for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: true, is_replayable: true, is_open: false, recovery: Recovery::Replayed }
    }

    fn can_resume(&self) -> bool {
        true
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let schedule = self.check()?;
        Ok(Box::new(Generator {
            signal: Signal::new(self, schedule.interval()),
            schedule,
            schema: Arc::new(self.schema()?),
            options: self.clone(),
            batch: (options.chunk_size as u64 / 32).max(1),
            next: 0,
            ids: Vec::new(),
        }))
    }
}

/// The running source.
struct Generator {
    options: Synthetic,
    schedule: Schedule,
    signal: Signal,
    schema: Arc<Schema>,
    /// Readings per batch.
    batch: u64,
    /// The next reading.
    next: u64,
    /// Ids by turn, as far as they are known in this batch: after it, some may be reassigned.
    ids: Vec<Option<SensorId>>,
}

impl Generator {
    /// The readings `from..to`.
    fn batch(&mut self, from: u64, to: u64, sensors: &mut dyn SensorLookup) -> Result<Batch> {
        let (mut times, mut texts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let mut text = Text::default();
        let mut columns = vec![Numbers::default(); self.schema.measurements().len()];
        let mut last = None;
        self.ids.clear();
        for number in from..to {
            let Reading { turn, k, time } = self.schedule.reading(number);
            if self.signal.is_gap(turn, k) {
                continue;
            }
            let odd = self.signal.odd_part(turn, k);
            let span = match last {
                // Sensors that read at the same time share its text.
                Some((at, span)) if at == time && odd != Some(OddPart::Time) => span,
                _ => text.push(&written(time, odd)),
            };
            last = (odd != Some(OddPart::Time)).then_some((time, span));
            times.push(time);
            texts.push(span);
            ids.push(self.id(turn, sensors)?);
            let divisor = if odd == Some(OddPart::Value) { NEAR_ZERO } else { 1.0 };
            for (column, values) in columns.iter_mut().enumerate() {
                values.push(self.value(turn, column as u64, k).map(|value| value / divisor));
            }
        }
        let times = TimeColumn { values: times.into(), text: texts };
        let mut all = vec![Column::Time(times), Column::Sensor(ids)];
        all.extend(columns.into_iter().map(Column::F64));
        Ok(Batch::new(Arc::clone(&self.schema), all, text))
    }

    fn value(&self, turn: u64, column: u64, k: u64) -> Option<f64> {
        match self.options.shape {
            Shape::Long => self.signal.value(self.options.kind(turn), turn, k),
            Shape::Wide => {
                self.signal.value(self.options.kind(column), turn * self.options.measurements + column, k)
            }
        }
    }

    fn id(&mut self, turn: u64, sensors: &mut dyn SensorLookup) -> Result<SensorId> {
        let turn_index = turn as usize;
        if self.ids.len() <= turn_index {
            self.ids.resize(turn_index + 1, None);
        }
        if let Some(id) = self.ids[turn_index] {
            return Ok(id);
        }
        let id = sensors.id(&self.options.sensor_name(turn))?;
        self.ids[turn_index] = Some(id);
        Ok(id)
    }
}

/// RFC 3339 in UTC, with at least three fractional digits; six if the time is `odd`.
fn written(time: Timestamp, odd: Option<OddPart>) -> Vec<u8> {
    let mut text = Vec::new();
    time.write_rfc3339(&mut text);
    let decimals = text.iter().position(|&byte| byte == b'.').map_or(0, |point| text.len() - 2 - point);
    let least = if odd == Some(OddPart::Time) { 6 } else { 3 };
    if decimals < least {
        let point: &[u8] = if decimals == 0 { b"." } else { b"" };
        text.pop();
        text.extend_from_slice(point);
        text.resize(text.len() + least - decimals, b'0');
        text.push(b'Z');
    }
    text
}

impl Source for Generator {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if self.next >= self.options.records {
            return Ok(None);
        }
        let (from, to) = (self.next, self.options.records.min(self.next + self.batch));
        self.next = to;
        self.batch(from, to, sensors).map(|batch| Some(batch.into()))
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.next, line: 0 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.next = offset.at;
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        ResumePosition::new(&self.schema, ReadPosition::Made(self.next)).to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let ReadPosition::Made(records) = ResumePosition::from_bytes(state)?.reading else {
            return Err(another_kind());
        };
        self.next = records;
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.next, total: Some(self.options.records) }
    }
}
