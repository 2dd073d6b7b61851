//! The sensors of a batch as a dictionary.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray};

use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};

/// The sensors of one batch, each name once, in order of first appearance.
pub(super) fn dictionary(ids: &[SensorId], sensors: &Sensors) -> Result<DictionaryArray<Int32Type>> {
    let (keys, names) = match has_few(ids.len(), sensors.len()) {
        true => in_map(ids),
        false => in_table(ids, sensors.len()),
    };
    let names = names.into_iter().map(|id| sensors.name(id));
    DictionaryArray::try_new(Int32Array::from(keys), Arc::new(StringArray::from_iter_values(names)))
        .map_err(|error| Error::internal(format!("cannot build the dictionary of sensors: {error}")))
}

/// Whether a batch of so many records has few of all sensors, so that it looks at its own alone.
fn has_few(records: usize, sensors: usize) -> bool {
    sensors > 4 * records + 64
}

/// The number of each of `ids`, and those that appear, in the order of their numbers.
fn in_map(ids: &[SensorId]) -> (Vec<i32>, Vec<SensorId>) {
    let (mut numbers, mut names) = (HashMap::new(), Vec::new());
    let number = |&id: &SensorId| {
        *numbers.entry(id).or_insert_with(|| {
            names.push(id);
            names.len() as i32 - 1
        })
    };
    let keys = ids.iter().map(number).collect();
    (keys, names)
}

/// The same with a table of all `sensors`.
fn in_table(ids: &[SensorId], sensors: usize) -> (Vec<i32>, Vec<SensorId>) {
    const ABSENT: i32 = -1;
    /// Records that are looked up at once.
    const BLOCK: usize = 1024;
    let (mut numbers, mut names) = (vec![ABSENT; sensors], Vec::new());
    let mut keys = Vec::with_capacity(ids.len());
    for block in ids.chunks(BLOCK) {
        let first = keys.len();
        keys.extend(block.iter().map(|id| numbers[id.index()]));
        if !keys[first..].iter().fold(false, |any, key| any | (*key == ABSENT)) {
            continue;
        }
        for (key, &id) in keys[first..].iter_mut().zip(block) {
            let number = &mut numbers[id.index()];
            if *number == ABSENT {
                *number = names.len() as i32;
                names.push(id);
            }
            *key = *number;
        }
    }
    (keys, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_of_many_sensors_looks_at_its_own_alone() {
        let mut sensors = Sensors::default();
        let ids: Vec<_> = (0..1000).map(|at| sensors.id(&format!("s{at}")).expect("room")).collect();
        assert!(has_few(3, sensors.len()) && !has_few(1000, sensors.len()));
        // Enough records for a table of all sensors, too.
        let many = [7; 500];
        for few in [&[7, 900, 7][..], &[0], &[], &many] {
            let few_ids: Vec<_> = few.iter().map(|&at| ids[at]).collect();
            assert_eq!(in_map(&few_ids), in_table(&few_ids, sensors.len()));
            let made = dictionary(&few_ids, &sensors).expect("fits");
            let names = made.downcast_dict::<StringArray>().expect("names").into_iter();
            let expected: Vec<_> = few.iter().map(|at| Some(format!("s{at}"))).collect();
            assert_eq!(names.map(|name| name.map(str::to_owned)).collect::<Vec<_>>(), expected);
        }
    }
}
