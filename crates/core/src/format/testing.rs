//! What the tests of decoders share.

use std::sync::Arc;

use super::Encode;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::Decoded;
use crate::sensor::SharedSensors;

/// Everything that a chunk gives, as text: its records by `encoder`, their times, places and raw text, its rejections, and the
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
