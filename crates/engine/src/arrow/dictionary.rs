//! The sensors of a batch as a dictionary.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray};

use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};

/// The sensors of one batch, each name once, in order of first appearance.
pub(super) fn dictionary(
    ids: impl ExactSizeIterator<Item = u32>,
    sensors: &Sensors,
) -> Result<DictionaryArray<Int32Type>> {
    let mut places = Places::for_rows(ids.len(), sensors.len());
    let mut names = Vec::new();
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        let place = places.of(id);
        if *place < 0 {
            *place = names.len() as i32;
            names.push(sensors.name(SensorId(id)));
        }
        keys.push(*place);
    }
    DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from(names)))
        .map_err(|error| Error::internal(format!("cannot build the dictionary of sensors: {error}")))
}

/// Where each sensor's name stands among those of a batch; negative where it does not yet.
enum Places {
    /// By sensor.
    Table(Vec<i32>),
    /// Of the few that a small batch has among many.
    Map(HashMap<u32, i32>),
}

impl Places {
    fn for_rows(rows: usize, sensors: usize) -> Self {
        if sensors > 4 * rows + 64 { Self::Map(HashMap::new()) } else { Self::Table(vec![-1; sensors]) }
    }

    #[inline]
    fn of(&mut self, id: u32) -> &mut i32 {
        match self {
            Self::Table(places) => &mut places[id as usize],
            Self::Map(places) => places.entry(id).or_insert(-1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_of_many_sensors_looks_at_its_own_alone() {
        let mut sensors = Sensors::default();
        let ids: Vec<u32> = (0..1000).map(|at| sensors.id(&format!("s{at}")).expect("room").0).collect();
        assert!(matches!(Places::for_rows(3, 1000), Places::Map(_)));
        assert!(matches!(Places::for_rows(1000, 1000), Places::Table(_)));
        for few in [&[7, 900, 7][..], &[0], &[]] {
            let made = dictionary(few.iter().map(|&at| ids[at]), &sensors).expect("fits");
            let names = made.downcast_dict::<StringArray>().expect("names").into_iter();
            let expected: Vec<_> = few.iter().map(|at| Some(format!("s{at}"))).collect();
            assert_eq!(names.map(|name| name.map(str::to_owned)).collect::<Vec<_>>(), expected);
        }
    }
}
