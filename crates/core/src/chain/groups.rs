//! Which group of a divided state each sensor is in.

use crate::sensor::{SensorId, SensorNames, Sensors};

/// Where each sensor is: its group, and the place of its name among those of the group. By id; `None` for unused ids.
pub(super) struct GroupPlaces(Vec<Option<(usize, u32)>>);

impl GroupPlaces {
    /// The sensors in groups, and the names of each.
    pub(super) fn among(
        sensors: &Sensors,
        groups: usize,
        group_of: impl Fn(&str, usize) -> usize,
    ) -> (Self, Vec<SensorNames>) {
        let mut names = vec![SensorNames::default(); groups];
        let mut is_free = vec![false; sensors.len()];
        sensors.free().iter().for_each(|&id| is_free[id as usize] = true);
        let place = |(name, is_free): (&str, bool)| {
            let group = group_of(name, groups);
            (!is_free).then(|| {
                names[group].push(name);
                (group, names[group].len() as u32 - 1)
            })
        };
        let places = sensors.all_names().iter().zip(is_free).map(place).collect();
        (Self(places), names)
    }

    /// Where `sensor` is.
    pub(super) fn of(&self, sensor: SensorId) -> Option<(usize, u32)> {
        *self.0.get(sensor.index())?
    }

    /// Whether some ids are unused.
    pub(super) fn has_gaps(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }
}
