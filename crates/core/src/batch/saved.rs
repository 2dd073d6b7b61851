//! The saved form of a batch: buffered records in a checkpoint.
//!
//! Its columns one after the other, then the bytes of its spans, then the origins of its records. Sensors are identified by id; the schema
//! is not saved, and must be the same.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Batch, Bytes, Column, Origin, Origins, Schema, Span, Text};
use crate::error::{Error, Result};
use crate::offset::Sequence;
use crate::sensor::{SensorId, Sensors};

/// A batch that can be serialised.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedBatch {
    sequence: Sequence,
    columns: Vec<Column>,
    text: Vec<u8>,
    origins: Option<SavedOrigins>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedOrigins {
    files: Vec<String>,
    rows: Vec<Origin>,
}

impl From<&Batch> for SavedBatch {
    /// With only the text that spans refer to.
    fn from(batch: &Batch) -> Self {
        let mut own = Batch::empty(Arc::clone(&batch.schema));
        own.append(batch);
        let origins = own.origins.map(|Origins { files, rows, .. }| {
            let files = files.iter().map(|file| (**file).to_owned()).collect();
            SavedOrigins { files, rows }
        });
        Self { sequence: batch.sequence, columns: own.columns, text: own.text.to_vec(), origins }
    }
}

impl SavedBatch {
    /// The same records, all of them of `sensor`.
    pub(crate) fn of_sensor(mut self, sensor: SensorId) -> Self {
        for column in &mut self.columns {
            if let Column::Sensor(ids) = column {
                ids.fill(sensor);
            }
        }
        self
    }

    /// Restores the batch, with the same schema and sensors.
    ///
    /// # Errors
    /// A data error if it is not a batch of this schema: everything is validated.
    pub(crate) fn into_batch(self, schema: Arc<Schema>, sensors: &Sensors) -> Result<Batch> {
        let wrong = |what: &str| Error::data(format!("the saved records cannot be read: {what}"));
        let Self { sequence, columns, text, origins } = self;
        let fields = schema.fields();
        if columns.len() != fields.len()
            || !columns.iter().zip(fields).all(|(column, field)| column.fits(field))
        {
            return Err(wrong("they have other columns"));
        }
        let rows = columns.first().map_or(0, Column::len);
        if !columns.iter().all(|column| column.len() == rows && is_whole(column, text.len(), sensors.len())) {
            return Err(wrong("a column is damaged"));
        }
        let origins = origins.map(|SavedOrigins { files, rows: origins }| {
            let is_sound =
                |origin: &Origin| (origin.file as usize) < files.len() && is_inside(origin.raw, text.len());
            let files: Vec<Arc<str>> = files.iter().map(|file| Arc::from(&**file)).collect();
            let is_sound = origins.len() == rows && origins.iter().all(is_sound);
            is_sound.then(|| Origins::saved(files, origins)).ok_or_else(|| wrong("their origins are damaged"))
        });
        let mut batch = Batch::new(schema, columns, Text::new(Bytes::new(text)));
        (batch.sequence, batch.origins) = (sequence, origins.transpose()?);
        Ok(batch)
    }
}

/// Whether the parts of a column are consistent with each other, with `text` bytes and `sensors` sensors.
fn is_whole(column: &Column, text: usize, sensors: usize) -> bool {
    match column {
        Column::Time(time) => {
            (time.text.is_empty() || time.text.len() == time.values.len())
                && time.text.iter().all(|&span| is_inside(span, text))
        }
        Column::Sensor(ids) => ids.iter().all(|id| id.index() < sensors),
        Column::F64(numbers) => numbers.valid.len() == numbers.values.len(),
        Column::I64(numbers) => numbers.valid.len() == numbers.values.len(),
        Column::U64(numbers) => numbers.valid.len() == numbers.values.len(),
        Column::Bool(booleans) => booleans.valid.len() == booleans.values.len(),
        Column::Text(spans) => spans.iter().all(|&span| is_inside(span, text)),
    }
}

fn is_inside(span: Span, text: usize) -> bool {
    span.is_null() || span.start() + span.len() <= text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Field, FieldRole, FieldType, TimeColumn};
    use crate::offset::Position;
    use crate::time::Timestamp;

    type Row =
        ((i64, Option<String>), u32, Option<f64>, (Option<bool>, u64, Option<i64>), (Option<String>, u8));

    fn schema() -> Arc<Schema> {
        let fields = vec![
            Field::time("time"),
            Field::sensor("sensor"),
            Field::measurement("measurement"),
            Field::flag("flag"),
            Field::count("count"),
            Field::new("integer", FieldRole::Measurement, FieldType::I64),
            Field::text("text"),
        ];
        Arc::new(Schema::new(fields).expect("distinct names"))
    }

    fn sensors() -> Sensors {
        let mut sensors = Sensors::default();
        ["a", "b", "c"].iter().for_each(|name| assert!(sensors.id(name).is_ok()));
        sensors
    }

    fn batch(rows: &[Row], has_origins: bool, has_time_text: bool) -> Batch {
        let mut text = Text::new(Bytes::new(b"what a chunk had besides".to_vec()));
        let mut origins = Origins::of_file("first".into());
        let mut push =
            |part: &Option<String>| part.as_ref().map_or(Span::NULL, |part| text.push(part.as_bytes()));
        let time_text = rows.iter().map(|row| push(&row.0.1)).filter(|_| has_time_text).collect();
        let carried = rows.iter().map(|row| push(&row.4.0)).collect();
        for (at, row) in rows.iter().enumerate() {
            let mut other = Origins::of_file(format!("file {}", row.4.1).into());
            other.push(at as u64, row.3.1, push(&row.0.1));
            origins.append(&other, |span| span);
        }
        let times = rows.iter().map(|row| Timestamp::from_nanos(row.0.0)).collect();
        let columns = vec![
            Column::Time(TimeColumn { values: times, text: time_text }),
            Column::Sensor(rows.iter().map(|row| SensorId(row.1)).collect()),
            Column::F64(rows.iter().map(|row| row.2).collect()),
            Column::Bool(rows.iter().map(|row| row.3.0).collect()),
            Column::U64(rows.iter().map(|row| Some(row.3.1)).collect()),
            Column::I64(rows.iter().map(|row| row.3.2).collect()),
            Column::Text(carried),
        ];
        let mut batch = Batch::new(schema(), columns, text);
        batch.sequence = 7;
        batch.origins = has_origins.then_some(origins);
        batch
    }

    /// The content of a batch, floats as bits, spans as their text.
    fn said(batch: &Batch) -> Vec<String> {
        let spans = |spans: &[Span]| {
            spans.iter().map(|&span| batch.text.get(span).map(<[u8]>::to_vec)).collect::<Vec<_>>()
        };
        let column = |column: &Column| match column {
            Column::Time(time) => format!("{:?} {:?}", time.values, spans(&time.text)),
            Column::F64(column) => {
                format!(
                    "{:?} {:?}",
                    column.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
                    column.valid
                )
            }
            Column::Text(column) => format!("{:?}", spans(column)),
            other => format!("{other:?}"),
        };
        let origins = batch.origins.as_ref().map(|origins| {
            let row = |row| (origins.position(row), batch.text.get(origins.get(row).raw));
            (0..batch.len()).map(row).collect::<Vec<_>>()
        });
        let rest = [format!("{origins:?}"), format!("{} {}", batch.len(), batch.sequence)];
        batch.columns().iter().map(column).chain(rest).collect()
    }

    fn row() -> impl Strategy<Value = Row> {
        let part = || proptest::option::of("[aé\0]{0,3}");
        let value = prop_oneof![Just(None), any::<f64>().prop_map(Some)];
        (
            (any::<i64>(), part()),
            0..3u32,
            value,
            (any::<Option<bool>>(), any::<u64>(), any::<Option<i64>>()),
            (part(), 0..3u8),
        )
    }

    proptest! {
        #[test]
        fn a_saved_batch_says_the_same(
            rows in proptest::collection::vec(row(), 0..90), has_origins: bool, has_time_text: bool,
        ) {
            let batch = batch(&rows, has_origins, has_time_text);
            let bytes = postcard::to_stdvec(&SavedBatch::from(&batch)).expect("saved");
            let saved: SavedBatch = postcard::from_bytes(&bytes).expect("read");
            let restored = saved.into_batch(schema(), &sensors()).expect("restored");
            prop_assert_eq!(said(&restored), said(&batch));
            prop_assert_eq!(postcard::to_stdvec(&SavedBatch::from(&restored)).expect("saved"), bytes);
        }

        #[test]
        fn damaged_batches_are_errors_or_batches(
            rows in proptest::collection::vec(row(), 1..9), at: proptest::sample::Index, byte: u8, cut: bool,
        ) {
            let mut bytes = postcard::to_stdvec(&SavedBatch::from(&batch(&rows, true, true))).expect("saved");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(if cut { at } else { bytes.len() });
            if let Ok(saved) = postcard::from_bytes::<SavedBatch>(&bytes)
                && let Ok(batch) = saved.into_batch(schema(), &sensors())
            {
                // No span points outside the text.
                said(&batch);
                batch.sensors().iter().for_each(|&id| assert!(!sensors().name(id).is_empty()));
            }
        }
    }

    proptest! {
        #[test]
        fn batches_with_and_without_text_and_origins_may_follow_one_another(
            parts in proptest::collection::vec((proptest::collection::vec(row(), 0..5), any::<bool>(), any::<bool>()), 1..6),
        ) {
            let mut all = Batch::empty(schema());
            for (rows, has_origins, has_time_text) in &parts {
                all.append(&batch(rows, *has_origins, *has_time_text));
            }
            let mut row = 0;
            for (rows, has_origins, has_time_text) in parts {
                let part = batch(&rows, has_origins, has_time_text);
                let taken = all.take(&(row..row + rows.len() as u32).collect::<Vec<_>>());
                for at in 0..part.len() {
                    prop_assert_eq!(time_text(&taken, at), time_text(&part, at));
                    let position = |batch: &Batch| batch.origins.as_ref().map(|origins| origins.position(at));
                    let unknown = all.origins.as_ref().map(|_| Position { file: "".into(), line: 0, offset: 0 });
                    prop_assert_eq!(position(&taken), position(&part).or(unknown));
                }
                row += rows.len() as u32;
            }
        }
    }

    fn time_text(batch: &Batch, row: usize) -> Option<&[u8]> {
        match &batch.columns()[0] {
            Column::Time(time) => time.text.get(row).and_then(|&span| batch.text.get(span)),
            _ => None,
        }
    }

    #[test]
    fn batches_of_another_schema_or_of_unknown_sensors_are_errors() {
        let saved = || {
            SavedBatch::from(&batch(&[((0, None), 2, None, (Some(true), 1, None), (None, 0))], true, false))
        };
        let other = Schema::new(schema().fields()[..2].to_vec()).expect("distinct names");
        let error = saved().into_batch(Arc::new(other), &sensors()).expect_err("other columns");
        assert!(error.to_string().contains("other columns"), "{error}");
        let error = saved().into_batch(schema(), &Sensors::default()).expect_err("no sensors");
        assert!(error.to_string().contains("a column is damaged"), "{error}");
    }
}
