//! Caches the sensor of each pair of record sensor and measurement within a chunk.

use std::collections::HashMap;

use crate::error::Result;
use crate::sensor::SensorId;

/// The sensors of a chunk, by the record's sensor and the index of the measurement.
pub(super) enum KnownSensors {
    /// One cell for each possible pair: fast if records have most of their columns.
    Cells { places: usize, cells: Vec<Option<SensorId>> },
    /// Only pairs that occurred: with few values in many columns, the cells would be far larger than the text.
    Met(HashMap<(usize, usize), SensorId>),
}

impl KnownSensors {
    /// For this many sensors and measurements of a text of `bytes` bytes. A record with all its columns has at least a byte for each.
    pub(super) fn new(sensors: usize, places: usize, bytes: usize) -> Self {
        match sensors.saturating_mul(places) {
            cells if cells <= bytes => Self::Cells { places, cells: vec![None; cells] },
            _ => Self::Met(HashMap::new()),
        }
    }

    /// The sensor of the measurement at `place`; `ask` is called the first time.
    ///
    /// # Errors
    /// Those of `ask`.
    #[inline]
    pub(super) fn id(
        &mut self,
        sensor: usize,
        place: usize,
        ask: impl FnOnce() -> Result<SensorId>,
    ) -> Result<SensorId> {
        let known = match self {
            Self::Cells { places, cells } => cells[sensor * *places + place],
            Self::Met(met) => met.get(&(sensor, place)).copied(),
        };
        if let Some(id) = known {
            return Ok(id);
        }
        let id = ask()?;
        match self {
            Self::Cells { places, cells } => cells[sensor * *places + place] = Some(id),
            Self::Met(met) => drop(met.insert((sensor, place), id)),
        }
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::Sensors;

    /// The sensors of `asked`, and the number of lookups.
    fn met(mut known: KnownSensors, asked: &[(usize, usize)]) -> (Vec<SensorId>, usize) {
        let (mut sensors, mut count) = (Sensors::default(), 0);
        let mut one = |&(sensor, place): &(usize, usize)| {
            let id = known.id(sensor, place, || {
                count += 1;
                sensors.id(&format!("{sensor}.{place}"))
            });
            id.expect("a sensor")
        };
        (asked.iter().map(&mut one).collect(), count)
    }

    #[test]
    fn clause_8_records_with_few_of_many_columns_take_no_more_room_than_they_have() {
        assert!(matches!(KnownSensors::new(35_000, 1_000, 1 << 20), KnownSensors::Met(_)));
        assert!(matches!(KnownSensors::new(1_000, 1_000, 2_000_000), KnownSensors::Cells { .. }));
        let asked = [(2, 1), (0, 1), (2, 1), (1, 0), (0, 1), (1, 2)];
        let expected = met(KnownSensors::new(3, 3, 9), &asked);
        assert_eq!(expected.1, 4);
        assert_eq!(met(KnownSensors::new(3, 3, 8), &asked), expected);
    }
}
