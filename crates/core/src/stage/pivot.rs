//! `pivot`: joins the records of one sensor and time, each with one value, into one record with a measurement for each (clause 26).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Component, Flow, PerSensor, Process, Reach, SensorStates, Stage, parameters_of, state};
use crate::batch::{
    Batch, Column, Field, FieldRole, FieldType, Number, Origins, Schema, Span, Text, TimeColumn,
};
use crate::error::{Error, Result};
use crate::format::columns::shown;
use crate::sensor::{SensorId, Sensors};
use crate::time::Timestamp;

/// Long to wide. A joined record is emitted when its sensor's next record has another time, or repeats a key; those left at the end are
/// emitted in the order in which they began. Other columns than time, sensor and the new measurements are removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The text column that names the measurement of a record.
    pub key: String,
    /// The measurements to make: exact values of `key`. Records with other values are filtered; names that never occur are reported at the
    /// end.
    pub names: Vec<String>,
    /// The measurement with the values: a single name.
    #[serde(default = "value")]
    pub value: String,
}

fn value() -> String {
    "value".into()
}

inventory::submit! { Component::of::<Pivot>("pivot", "joins records of one sensor and time, each with one value, into one") }

impl Pivot {
    /// Joins the values of the column `key` named in `names`.
    pub fn new(key: impl Into<String>, names: &[&str]) -> Self {
        Self { key: key.into(), names: names.iter().map(|&name| name.to_owned()).collect(), value: value() }
    }

    fn bind(&self, input: &Schema) -> Result<Joining> {
        let key = input
            .index_of(&self.key)
            .filter(|&at| input.fields()[at].ty == FieldType::Text && at != input.sensor());
        let key = key.ok_or_else(|| {
            let texts = input
                .fields()
                .iter()
                .filter(|field| field.role == FieldRole::Tag && field.ty == FieldType::Text);
            let texts: Vec<_> = texts.map(|field| format!("`{}`", field.name)).collect();
            Error::config(format!("no text column `{}`", self.key))
                .with_help(format!("the text columns are: {}", texts.join(", ")))
        })?;
        let value = input.measurement(&self.value)?;
        if self.names.is_empty() {
            return Err(Error::config("`names` is empty").with_help("list the values of `key` to join"));
        }
        let own = [input.time(), Some(input.sensor())].into_iter().flatten();
        let own = own.map(|at| input.fields()[at].clone());
        let of = &input.fields()[value];
        let new = self.names.iter();
        let new = new.map(|name| Field::measurement(name.as_str()).with_type(of.ty).described_as(of));
        let schema = Schema::new(own.chain(new).collect())
            .map_err(|error| error.with_help("name each measurement once in `names`"))?;
        let places = self.names.iter().enumerate().map(|(place, name)| (name.as_bytes().into(), place));
        Ok(Joining {
            key,
            value,
            places: places.collect(),
            schema: Arc::new(schema),
            names: self.names.clone(),
            keys: Keys::new(self.names.len()),
            next: 0,
            open: PerSensor::default(),
        })
    }
}

impl Stage for Pivot {
    fn name(&self) -> &str {
        "pivot"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn reach(&self) -> Reach {
        Reach::Series
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        self.bind(input).map(|joining| Arc::unwrap_or_clone(joining.schema))
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(self.bind(input)?))
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn memory(&self) -> String {
        format!("one record of {} values per sensor", self.names.len())
    }
}

/// The running stage.
struct Joining {
    key: usize,
    value: usize,
    places: HashMap<Box<[u8]>, usize>,
    schema: Arc<Schema>,
    /// By index of the measurement.
    names: Vec<String>,
    keys: Keys,
    /// The ordinal of the next joined record.
    next: u64,
    open: PerSensor<Option<Joined>>,
}

/// How many unknown keys are kept for a message, and how many bytes of each.
const MOST_OTHERS: usize = 5;
const LONGEST_OTHER: usize = 200;

/// The keys that occurred.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Keys {
    /// By index of the measurement.
    are_said: Vec<bool>,
    /// The first few keys that are not in `names`.
    others: BTreeSet<Box<[u8]>>,
}

/// A record that may get more values.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Joined {
    ordinal: u64,
    time: Option<i64>,
    /// By index of the measurement: the value, and whether it was given, possibly as null.
    values: Vec<Option<Option<Number>>>,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct PivotState {
    keys: Keys,
    next: u64,
    /// By sensor.
    open: Vec<Option<Joined>>,
}

/// What is kept of all sensors together: what `key` has said, and the ordinal of the next record that begins.
type Shared = (Keys, u64);

impl Keys {
    fn new(names: usize) -> Self {
        Self { are_said: vec![false; names], others: BTreeSet::new() }
    }

    /// Takes over what was said to another process.
    fn merge(&mut self, more: Self) {
        self.are_said.resize(self.are_said.len().max(more.are_said.len()), false);
        self.are_said.iter_mut().zip(more.are_said).for_each(|(said, more)| *said |= more);
        more.others.iter().for_each(|key| self.note_other(key));
    }

    fn note_other(&mut self, key: &[u8]) {
        let key = &key[..key.len().min(LONGEST_OTHER)];
        if self.others.len() < MOST_OTHERS && !self.others.contains(key) {
            self.others.insert(key.into());
        }
    }
}

impl Joining {
    /// Adds one value; returns the joined record that is complete then.
    fn take(
        &mut self,
        sensor: SensorId,
        time: Option<i64>,
        place: usize,
        value: Option<Number>,
    ) -> Option<Joined> {
        let open = self.open.get_or_insert_with(sensor, || None);
        let has_room = open.as_ref().is_some_and(|open| open.time == time && open.values[place].is_none());
        let left = if has_room { None } else { open.take() };
        let joined = open.get_or_insert_with(|| {
            self.next += 1;
            Joined { ordinal: self.next - 1, time, values: vec![None; self.places.len()] }
        });
        joined.values[place] = Some(value);
        left
    }

    /// Emits joined records that get no more values, in the order in which they began.
    fn leave(&self, mut left: Vec<(SensorId, Joined)>, flow: &mut Flow) -> Batch {
        left.sort_unstable_by_key(|(sensor, joined)| (joined.ordinal, *sensor));
        flow.made += left.len() as u64;
        self.batch(&left)
    }

    fn batch(&self, records: &[(SensorId, Joined)]) -> Batch {
        let times = records.iter().map(|(_, joined)| Timestamp::from_nanos(joined.time.unwrap_or_default()));
        let time = TimeColumn { values: times.collect(), text: Vec::new() };
        let ids = records.iter().map(|&(sensor, _)| sensor).collect();
        let first = self.schema.fields().len() - self.places.len();
        let of = |place: usize| {
            let mut column = Column::empty(&self.schema.fields()[first + place]);
            records.iter().for_each(|(_, joined)| column.push_number(joined.values[place].flatten()));
            column
        };
        let time = self.schema.time().map(|_| Column::Time(time));
        let values = (0..self.places.len()).map(of);
        let columns = time.into_iter().chain([Column::Sensor(ids)]).chain(values).collect();
        Batch::new(Arc::clone(&self.schema), columns, Text::default())
    }
}

impl Process for Joining {
    fn process(&mut self, batch: Batch, _sensors: &Sensors, flow: &mut Flow) -> Result<Batch> {
        let (mut leaving, mut by) = (Vec::new(), Vec::new());
        let Column::Text(keys) = &batch.columns()[self.key] else {
            return Err(Error::internal("the key of `pivot` is not text"));
        };
        let keys: &[Span] = keys;
        for (row, (&sensor, &key)) in batch.sensors().iter().zip(keys).enumerate() {
            let place = batch.text.get(key).and_then(|key| self.places.get(key).copied());
            let Some(place) = place else {
                self.keys.note_other(batch.text.get(key).unwrap_or_default());
                flow.filtered += 1;
                continue;
            };
            self.keys.are_said[place] = true;
            flow.folded += 1;
            let time = batch.times().map(|times| times[row].as_nanos());
            let value = batch.columns()[self.value].number(row);
            if let Some(joined) = self.take(sensor, time, place, value) {
                leaving.push((sensor, joined));
                by.push(row as u32);
            }
        }
        flow.made += leaving.len() as u64;
        let mut joined = self.batch(&leaving);
        joined.origins = batch.origins.as_ref().map(|origins| Origins::made_by(origins.triggers(&by)));
        (joined.sequence, joined.received) = (batch.sequence, batch.received);
        Ok(joined)
    }

    fn finish(&mut self, _sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let open = std::mem::take(&mut self.open).into_kept();
        let left = open.filter_map(|(sensor, joined)| Some((sensor, joined?))).collect();
        Ok(Some(self.leave(left, flow)))
    }

    fn give_up(&mut self, gone: &[SensorId], _sensors: &Sensors, flow: &mut Flow) -> Result<Option<Batch>> {
        let open = gone.iter().map(|&sensor| (sensor, self.open.remove(sensor).flatten()));
        let left = open.filter_map(|(sensor, joined)| Some((sensor, joined?))).collect();
        Ok(Some(self.leave(left, flow)))
    }

    fn remarks(&self) -> Vec<String> {
        let said = self.names.iter().zip(&self.keys.are_said);
        let missing: Vec<_> =
            said.filter(|(_, is_said)| !**is_said).map(|(name, _)| format!("{name:?}")).collect();
        let is_empty = missing.len() == self.names.len() && self.keys.others.is_empty();
        if missing.is_empty() || is_empty {
            return Vec::new();
        }
        let others: Vec<_> = self.keys.others.iter().map(|key| shown(key)).collect();
        let others =
            if others.is_empty() { String::new() } else { format!("; other keys are {}", others.join(", ")) };
        vec![format!("{} in `names` never occurs{others}", missing.join(", "))]
    }

    fn save(&self) -> Result<Vec<u8>> {
        let open = self.open.as_slice().iter().map(|open| open.clone().flatten()).collect();
        state::to_bytes(&PivotState { keys: self.keys.clone(), next: self.next, open })
    }

    fn restore(&mut self, state: &[u8], sensors: &Sensors) -> Result<()> {
        self.take_over(state::from_bytes(state)?, sensors)
    }

    fn save_sensors(&self) -> Result<Option<SensorStates>> {
        let shared: Shared = (self.keys.clone(), self.next);
        let mut all = SensorStates { shared: vec![state::to_bytes(&shared)?], ..SensorStates::default() };
        let mut open = self.open.iter().filter_map(|(sensor, joined)| Some((sensor, joined.as_ref()?)));
        open.try_for_each(|(sensor, joined)| all.push(sensor, joined))?;
        Ok(Some(all))
    }

    fn restore_sensors(&mut self, states: &SensorStates, sensors: &Sensors) -> Result<()> {
        let (mut keys, mut next) = (Keys::new(self.names.len()), 0);
        for (more, behind) in states.read_shared::<Shared>()? {
            keys.merge(more);
            next = next.max(behind);
        }
        let mut open = vec![None; sensors.len()];
        for read in states.read::<Joined>() {
            let (sensor, joined) = read?;
            open[sensor.index()] = Some(joined);
        }
        self.take_over(PivotState { keys, next, open }, sensors)
    }
}

impl Joining {
    fn take_over(&mut self, saved: PivotState, sensors: &Sensors) -> Result<()> {
        let PivotState { keys, next, open } = saved;
        let ty = self.schema.fields().last().map(|value| value.ty);
        let is_sound = |joined: &Joined| {
            let mut values = joined.values.iter().flatten().flatten();
            joined.ordinal < next
                && joined.values.len() == self.places.len()
                && values.all(|value| Some(value.ty()) == ty)
        };
        let has_keys = keys.are_said.len() == self.names.len();
        if !has_keys || open.len() > sensors.len() || !open.iter().flatten().all(is_sound) {
            return Err(Error::data("the saved state does not contain joined records"));
        }
        let open: Vec<Option<Option<Joined>>> = open.into_iter().map(|joined| joined.map(Some)).collect();
        (self.keys, self.next, self.open) = (keys, next, PerSensor::from(open));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::said;

    /// Records of sensor, time in nanoseconds, key and value.
    fn batch(rows: &[(&str, i64, &str, Option<f64>)], sensors: &mut Sensors) -> Batch {
        let fields = [Field::time("t"), Field::sensor("s"), Field::text("what")];
        let schema =
            Schema::new(fields.into_iter().chain([Field::measurement("value")]).collect()).expect("a schema");
        let mut text = Text::default();
        let times = rows.iter().map(|row| Timestamp::from_nanos(row.1)).collect();
        let ids = rows.iter().map(|row| sensors.id(row.0).expect("room")).collect();
        let keys = rows.iter().map(|row| text.push(row.2.as_bytes())).collect();
        let columns = vec![
            Column::Time(TimeColumn { values: times, text: Vec::new() }),
            Column::Sensor(ids),
            Column::Text(keys),
            Column::F64(rows.iter().map(|row| row.3).collect()),
        ];
        Batch::new(Arc::new(schema), columns, text)
    }

    fn run(rows: &[(&str, i64, &str, Option<f64>)], size: usize) -> (Vec<String>, [u64; 3]) {
        let (mut sensors, mut flow, mut out) = (Sensors::default(), Flow::default(), Vec::new());
        let batches: Vec<_> = rows.chunks(size).map(|rows| batch(rows, &mut sensors)).collect();
        let stage = Pivot::new("what", &["temp", "hum"]);
        let mut process = stage.start(batches[0].schema()).expect("started");
        for batch in batches {
            // A restart after every batch changes nothing.
            let saved = process.save().expect("saved");
            process = stage.start(batch.schema()).expect("started");
            process.restore(&saved, &sensors).expect("restored");
            out.extend(said(&process.process(batch, &sensors, &mut flow).expect("processed"), &sensors));
        }
        let last = process.finish(&sensors, &mut flow).expect("finished").expect("records");
        out.extend(said(&last, &sensors));
        (out, [flow.folded, flow.made, flow.filtered])
    }

    #[test]
    fn a_state_with_values_of_another_type_is_refused() {
        let mut sensors = Sensors::default();
        let input = batch(&[("a", 1, "temp", Some(1.0))], &mut sensors);
        let stage = Pivot::new("what", &["temp"]);
        let mut process = stage.start(input.schema()).expect("started");
        let open = |value| Some(Joined { ordinal: 0, time: Some(1), values: vec![Some(Some(value))] });
        let keys = Keys { are_said: vec![true], others: BTreeSet::new() };
        let state =
            |value| state::to_bytes(&PivotState { keys: keys.clone(), next: 1, open: vec![open(value)] });
        process.restore(&state(Number::F64(1.0)).expect("saved"), &sensors).expect("of its type");
        let other = process.restore(&state(Number::I64(1)).expect("saved"), &sensors);
        assert!(other.expect_err("of another type").to_string().contains("joined records"));
    }

    #[test]
    fn clause_26_records_of_one_sensor_and_time_become_one() {
        let rows = [
            ("a", 1, "temp", Some(20.0)),
            ("b", 1, "hum", Some(50.0)),
            ("a", 1, "hum", None),
            ("a", 1, "volt", Some(3.0)),
            ("a", 2, "temp", Some(21.0)),
            ("a", 2, "temp", Some(22.0)),
            ("b", 1, "temp", Some(23.0)),
        ];
        let (out, counts) = run(&rows, 100);
        let expected = [
            ("a", 1, Some(20.0), None),
            ("a", 2, Some(21.0), None),
            ("b", 1, Some(23.0), Some(50.0)),
            ("a", 2, Some(22.0), None),
        ];
        assert_eq!(out.len(), expected.len());
        for (record, (sensor, time, temp, hum)) in out.iter().zip(expected) {
            let bits = |value: Option<f64>| format!("{:x?}", value.map(f64::to_bits));
            for part in [sensor.to_owned(), time.to_string(), bits(temp), bits(hum)] {
                assert!(record.contains(&part), "{record} has no {part}");
            }
        }
        assert_eq!(counts, [6, 4, 1]);
        assert_eq!((1..4).map(|size| run(&rows, size)).collect::<Vec<_>>(), vec![(out, counts); 3]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut sensors = Sensors::default();
        let input = Arc::clone(batch(&[("a", 1, "x", None)], &mut sensors).schema());
        let error = |stage: Pivot| stage.output(&input).expect_err("bad options").to_string();
        assert!(error(Pivot::new("wat", &["x"])).contains("no text column `wat`"));
        assert!(error(Pivot::new("what", &[])).contains("`names` is empty"));
        assert!(error(Pivot::new("what", &["x", "x"])).contains("two columns are called `x`"));
        let glob = Pivot { value: "val*".into(), ..Pivot::new("what", &["x"]) };
        assert!(error(glob).contains("no column `val*`"), "a glob would take the first that fits");
    }

    #[test]
    fn names_that_no_record_says_are_told() {
        let told = |rows: &[(&str, i64, &str, Option<f64>)]| {
            let mut sensors = Sensors::default();
            let stage = Pivot::new("what", &["temp", "hu*"]);
            let mut process = stage.start(batch(rows, &mut sensors).schema()).expect("started");
            for row in rows {
                let batch = batch(std::slice::from_ref(row), &mut sensors);
                let saved = process.save().expect("saved");
                process = stage.start(batch.schema()).expect("started");
                process.restore(&saved, &sensors).expect("restored");
                process.process(batch, &sensors, &mut Flow::default()).expect("processed");
            }
            process.remarks()
        };
        let rows = [("a", 1, "temp", Some(20.0)), ("a", 1, "hum", None), ("a", 1, "volt", Some(3.0))];
        assert_eq!(told(&rows), ["\"hu*\" in `names` never occurs; other keys are \"hum\", \"volt\""]);
        assert_eq!(told(&[("a", 1, "temp", None), ("a", 1, "hu*", None)]), [""; 0]);
    }
}
