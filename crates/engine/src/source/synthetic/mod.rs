//! `synthetic`: simulated plant readings, generated from a seed.

mod random;
mod schedule;
mod signal;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Encode;
    use crate::format::csv::CsvEncoder;
    use crate::sensor::Sensors;

    /// The data as CSV, in batches of `chunk_size` / 32 readings, from reading `from` on.
    fn text(options: &Synthetic, chunk_size: usize, from: u64) -> String {
        let open = OpenOptions { chunk_size, ..OpenOptions::default() };
        let (mut source, mut sensors) = (options.open(&open).expect("open"), Sensors::default());
        source.seek(Offset { at: from, ..Offset::default() }).expect("sought");
        let mut out = Vec::new();
        while let Some(Input::Records(decoded)) = source.next(&mut sensors).expect("batch") {
            CsvEncoder { delimiter: b',', decimals: None, safe: false }.encode(
                &decoded.batch,
                &sensors,
                &mut out,
            );
        }
        String::from_utf8(out).expect("text")
    }

    fn faulty() -> Synthetic {
        Synthetic {
            spikes: 0.02,
            gaps: 0.05,
            stuck: 0.1,
            nan: 0.01,
            nulls: 0.01,
            drift: 1.0,
            ..Synthetic::default()
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_in_any_pieces() {
        let options = faulty().records(2000);
        let whole = text(&options, 1 << 20, 0);
        assert_eq!(text(&options, 1000, 0), whole);
        assert!(whole.ends_with(&text(&options, 333, 700)));
        assert_ne!(text(&options.clone().seed(2), 1 << 20, 0), whole);
        assert!(whole.starts_with("2026-01-01T00:00:00.000Z,temp-00000,"), "{}", &whole[..60]);
    }

    #[test]
    fn faults_have_their_rates() {
        let options = faulty().records(50_000);
        let whole = text(&options, 1 << 20, 0);
        let lines = whole.lines().count();
        assert!((47_000..48_000).contains(&lines), "{lines}");
        let nan = whole.lines().filter(|line| line.ends_with("NaN")).count();
        assert!((400..550).contains(&nan), "{nan}");
    }

    /// As a plant writes.
    fn plant() -> Synthetic {
        Synthetic {
            spread: true,
            jitter: Some("2ms".into()),
            swaps: Some(0.5),
            odd: Some(0.01),
            ..faulty().sensors(1000)
        }
    }

    #[test]
    fn a_plant_gives_the_same_bits_in_any_pieces() {
        for shape in [Shape::Long, Shape::Wide] {
            let options = Synthetic { shape, ..plant().records(5000) };
            let whole = text(&options, 1 << 20, 0);
            assert_eq!(text(&options, 1000, 0), whole);
            assert!(whole.ends_with(&text(&options, 333, 1700)));
            assert_ne!(text(&options.clone().seed(2), 1 << 20, 0), whole);
        }
    }

    #[test]
    fn readings_of_a_plant_have_times_of_their_own() {
        let records = 20_000;
        let options = Synthetic { odd: None, gaps: 0.0, ..plant().records(records) };
        let whole = text(&options, 1 << 20, 0);
        let rows: Vec<Vec<&str>> = whole.lines().map(|line| line.split(',').collect()).collect();
        let changes = rows.windows(2).filter(|pair| pair[0][0] != pair[1][0]).count();
        assert!(changes > rows.len() / 2, "{changes} new times in {} rows", rows.len());
        let mut times = std::collections::HashMap::new();
        for row in &rows {
            assert_eq!(row[0].len(), "2026-01-01T00:00:00.000Z".len());
            let previous = times.insert(row[1], row[0]);
            assert!(previous < Some(row[0]), "{} after {previous:?}", row[0]);
        }
        let names: Vec<String> = (0..records).map(|number| options.sensor_name(number % 1000)).collect();
        let out_of_turn = rows.iter().zip(&names).filter(|(row, name)| row[1] != *name).count();
        assert!((9_500..10_500).contains(&out_of_turn), "{out_of_turn}");
    }

    #[test]
    fn odd_records_have_an_exponent_or_six_decimals_and_the_same_times() {
        let options = Synthetic { nan: 0.0, nulls: 0.0, ..plant().records(50_000) };
        let (odd, even) = (text(&options, 1 << 20, 0), text(&Synthetic { odd: None, ..options }, 1 << 20, 0));
        let (mut exponents, mut decimals) = (0, 0);
        for (line, usual) in odd.lines().zip(even.lines()) {
            let is_exponent = line.contains("e-");
            exponents += usize::from(is_exponent);
            decimals += usize::from(line.contains("000Z,") && line.len() == usual.len() + 3);
            let value = if is_exponent { usual.rsplit_once(',').expect("a value").0 } else { usual };
            assert!(
                line.replacen("000Z", "Z", usize::from(line.len() == usual.len() + 3)).starts_with(value),
                "{line}"
            );
        }
        assert!((180..320).contains(&exponents) && (180..320).contains(&decimals), "{exponents}, {decimals}");
    }

    #[test]
    fn wide_records_have_several_measurements() {
        let options = Synthetic { shape: Shape::Wide, measurements: 4, ..Synthetic::default() };
        let names: Vec<_> =
            options.schema().expect("schema").fields().iter().map(|f| f.name.to_string()).collect();
        assert_eq!(names, ["datetime", "unit", "temperature", "pressure", "flow", "temperature_2"]);
        assert_eq!(text(&options, 1000, 0).lines().count(), 10_000);
    }

    #[test]
    fn senseless_options_are_refused() {
        let error =
            |options: Synthetic| options.open(&OpenOptions::default()).err().expect("senseless").to_string();
        assert!(
            error(Synthetic { measurements: u64::MAX, ..Synthetic::default() }).contains("from 1 to 4096")
        );
        assert!(error(Synthetic { noise: f64::NAN, ..Synthetic::default() }).contains("finite"));
        assert!(error(Synthetic { gaps: 1.5, ..Synthetic::default() }).contains("from 0 to 1"));
        assert!(error(Synthetic { odd: Some(f64::NAN), ..Synthetic::default() }).contains("from 0 to 1"));
        assert!(error(Synthetic { jitter: Some("0s".into()), ..Synthetic::default() }).contains("`jitter`"));
        assert!(error(Synthetic { jitter: Some("501ms".into()), ..Synthetic::default() }).contains("half"));
        assert!(error(Synthetic { interval: "fast".into(), ..Synthetic::default() }).contains("`interval`"));
        assert!(error(Synthetic { interval: "9000d".into(), ..Synthetic::default() }).contains("2262"));
    }
}
