//! Helpers for tests of decoders.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::jsonl::JsonEncoder;
use super::lines::LineDecoder;
use super::{Chunk, Decode, Encode};
use crate::batch::{Bytes, Schema};
use crate::error::Result;
use crate::format::Decoded;
use crate::offset::Offset;
use crate::sensor::{SensorIds, SharedSensors};

/// The complete result of a chunk as text: its records encoded by `encoder`, with times, positions and raw text, its rejections, and the
/// sensors.
pub(super) fn outcome<E: Encode>(
    decoded: Result<Decoded>,
    sensors: &SharedSensors,
    encoder: impl Fn(&Arc<Schema>) -> E,
) -> String {
    let Decoded { batch, rejections, lines } = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return format!("{error:?}"),
    };
    let mut all = format!("{lines} lines\n");
    let origins = batch.origins.as_ref().expect("asked for");
    let (sensors, encoder) = (sensors.read(), encoder(batch.schema()));
    for row in 0..batch.len() {
        let mut out = Vec::new();
        encoder.encode(&batch.take(&[row as u32]), &sensors, &mut out);
        let times = batch.times().map(|times| times[row]);
        let raw = batch.text.get(origins.get(row).raw).unwrap_or_default().escape_ascii();
        all += &format!("{} {times:?} {} {raw}\n", out.escape_ascii(), origins.position(row));
    }
    rejections.iter().for_each(|rejection| all += &format!("{rejection:?}\n"));
    let names: Vec<_> = sensors.names().collect();
    all + &format!("{names:?}")
}

/// Checks that any number of lines at a time gives the same records, rejections, positions and sensors as the reference decoder. How many
/// records the fast decoder delegates is not compared, only the results.
pub(super) fn check_lines<D: LineDecoder + Decode + 'static>(
    decoder: D,
    text: &[u8],
    max_sensors: usize,
) -> std::result::Result<(), TestCaseError> {
    let decoder = Arc::new(decoder);
    let chunk = Chunk {
        sequence: 3,
        file: "t".into(),
        offset: Offset { file: 0, at: 100, line: 9 },
        bytes: Bytes::new(text.to_vec()),
        decoder: Arc::clone(&decoder) as _,
        witness: None,
        received: None,
    };
    let by = |decode: &dyn Fn(&D, &Chunk, &mut SensorIds) -> Result<Decoded>| {
        let shared = Arc::new(SharedSensors::with_limit(max_sensors));
        let decoded = decode(&decoder, &chunk, &mut SensorIds::new(Arc::clone(&shared)));
        outcome(decoded, &shared, |schema| JsonEncoder::new(schema, None))
    };
    let expected = by(&|decoder, chunk, sensors| decoder.decode_by_reference(chunk, sensors));
    for most in [1, 3, 256] {
        let got = by(&|decoder, chunk, sensors| decoder.lines_by_shape(chunk, sensors, most));
        prop_assert_eq!(&got, &expected, "{} lines at a time of {}", most, text.escape_ascii());
    }
    Ok(())
}

/// Where a text is changed, the byte there, and whether it is inserted.
pub(super) type Edit = (Index, u8, bool);

/// A few changes of a text, each to one of `bytes`.
pub(super) fn changes(bytes: &'static [u8]) -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec((any::<Index>(), select(bytes), any::<bool>()), 1..6)
}

/// The text with these changes.
pub(super) fn changed(text: String, changes: Vec<Edit>) -> Vec<u8> {
    let mut text = text.into_bytes();
    for (at, byte, is_inserted) in changes.into_iter().take(text.len()) {
        let at = at.index(text.len());
        if is_inserted { text.insert(at, byte) } else { text[at] = byte }
    }
    text
}
