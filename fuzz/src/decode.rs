//! Any bytes in any dialect: the fast decoders give what the reference decoders give, records, rejections, places and sensors; and
//! where a file is cut makes no difference.

use std::sync::Arc;

use tidemill::Result;
use tidemill::batch::{Batch, Bytes, Column};
use tidemill::format::{BoundFormat, Chunk, Decoded, Head};
use tidemill::sensor::Sensors;
use tidemill::source::Offset;
use tidemill::time::Timestamp;
use tidemill_core::sensor::{SensorIds, SharedSensors};

use super::choices::Choices;
use super::formats::{CHOICES, Chosen, chosen};

/// Decodes the text in all these ways; how many records and rejections it gives.
///
/// # Panics
/// Where they differ.
pub fn check(input: &[u8]) -> usize {
    let (choices, text) = Choices::<CHOICES>::split(input);
    // Options that exclude one another are refused.
    let Ok(Chosen { format, beginning }) = chosen(&choices) else { return 0 };
    // The columns are those of a file that begins well; this one may.
    let head = Head { name: "in", stem: "stem", bytes: &beginning, is_whole: true };
    let Ok(schema) = format.schema(head) else { return 0 };
    let text = if choices.bit(11, 0) { text.to_vec() } else { [&*beginning, text].concat() };
    // A text may be too short for what should come before its records.
    let Ok(bound) = format.bind(Head { bytes: &text, ..head }, &Arc::new(schema)) else { return 0 };
    let limit = choices.of(3, &[1000, 1, 3]);

    let whole = [text.len()];
    let expected = read(&bound, &text, &whole, limit, Chunk::decode_by_reference);
    assert_eq!(read(&bound, &text, &whole, limit, Chunk::decode), expected, "by the fast decoder");
    let mut cuts = [4, 10].map(|byte| (bound.skip_bytes + choices.number(byte)).min(text.len()));
    cuts.sort_unstable();
    let cuts = [cuts[0], cuts[1], text.len()];
    assert_eq!(read(&bound, &text, &cuts, limit, Chunk::decode), expected, "cut at {cuts:?}");
    // Without the line about the sensors.
    expected.len() - 1
}

type Decoding = fn(&Chunk, &mut dyn tidemill::sensor::SensorLookup) -> Result<Decoded>;

/// What a file decodes to whose bytes come in pieces that end at `cuts`: each record and each rejection, as text, then the number of
/// lines and the sensors.
fn read(bound: &BoundFormat, text: &[u8], cuts: &[usize], limit: usize, decode: Decoding) -> Vec<String> {
    let shared = Arc::new(SharedSensors::with_limit(limit));
    let mut ids = SensorIds::new(Arc::clone(&shared));
    let (mut at, mut line) = (bound.skip_bytes.min(text.len()), 1 + bound.skip_lines);
    let (mut records, mut rejections) = (Vec::new(), Vec::new());
    for &cut in cuts.iter().filter(|&&cut| cut >= bound.skip_bytes) {
        let length = bound.decoder.complete(&text[at..cut], cut == text.len());
        if length == 0 {
            continue;
        }
        match decode(&chunk(bound, &text[at..at + length], at, line), &mut ids) {
            // The records before the one that cannot be taken count for nothing: the run ends.
            Err(error) => return vec![format!("{error:?}")],
            Ok(decoded) => {
                line += decoded.lines;
                records
                    .extend((0..decoded.batch.len()).map(|row| record(&decoded.batch, row, &shared.read())));
                rejections.extend(decoded.rejections.into_iter().map(|mut rejection| {
                    // Counted within the chunk.
                    rejection.record = 0;
                    format!("{rejection:?}")
                }));
            }
        }
        at += length;
    }
    let sensors = format!("{line} {:?}", shared.read().names().collect::<Vec<_>>());
    [records, rejections, vec![sensors]].concat()
}

fn chunk(bound: &BoundFormat, bytes: &[u8], at: usize, line: u64) -> Chunk {
    Chunk {
        sequence: 0,
        file: "in".into(),
        offset: Offset { file: 0, at: at as u64, line },
        bytes: Bytes::new(bytes.to_vec()),
        decoder: Arc::clone(&bound.decoder),
        witness: None,
        // Line protocol may need a time at which it came.
        received: Some(Timestamp::from_nanos(0)),
    }
}

fn record(batch: &Batch, row: usize, sensors: &Sensors) -> String {
    let cell = |column: &Column| match column {
        Column::Time(times) => format!("{:?} {:?}", times.values[row], batch.text.get(times.text[row])),
        Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
        Column::F64(numbers) => format!("{:?}", numbers.get(row).map(f64::to_bits)),
        Column::Text(spans) => format!("{:?}", batch.text.get(spans[row])),
        other => format!("{:?}", other.number(row)),
    };
    let cells: Vec<_> = batch.columns().iter().map(cell).collect();
    let origins = batch.origins.as_ref().expect("asked for");
    format!("{cells:?} {} {:?}", origins.position(row), batch.text.get(origins.get(row).raw))
}
