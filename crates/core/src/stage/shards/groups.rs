//! Groups the rows of a batch by sensor, and the sensors by shard.

use std::ops::Range;

use crate::sensor::SensorId;

/// The assignment of sensors to shards, round-robin, so that workers can share a batch. The number of shards is a power of two: shard and
/// index are computed for every sensor of every batch, without division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) struct Deal {
    bits: u32,
}

/// The rows of a batch by sensor and shard: a stable counting sort over the sensors that occur. Its cost depends on the number of rows, not
/// of sensors or shards.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// All rows; those of a shard are contiguous, and within it those of a sensor, in batch order.
    order: Vec<u32>,
    groups: Vec<Group>,
    /// By shard: the start of its part of `groups` and of `order`; finally, the end of both.
    shards: Vec<(u32, u32)>,
    /// By sensor: the row count, then the position of its next row. All 0 between calls.
    places: Vec<u32>,
    /// The sensors of the batch, in order of occurrence; kept to reuse its memory.
    met: Vec<SensorId>,
}

/// The rows of one sensor: a range of [`Groups::order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) struct Group {
    pub(in crate::stage) sensor: SensorId,
    start: u32,
    end: u32,
}

/// The part of a batch for one shard.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The rows, sensor by sensor.
    pub rows: &'a [u32],
    /// Each sensor, and its range of `rows`.
    pub(in crate::stage) groups: &'a [Group],
    /// The start of `rows` among all rows of the batch, to which the ranges of `groups` refer.
    first: u32,
}

impl Deal {
    /// An assignment to at least `shards` shards.
    pub(in crate::stage) fn among(shards: usize) -> Self {
        Self { bits: shards.next_power_of_two().trailing_zeros() }
    }

    /// The binary logarithm of the distance between consecutive sensor ids of a shard.
    pub(in crate::stage) fn bits(self) -> u32 {
        self.bits
    }

    /// The number of shards.
    pub(in crate::stage) fn shards(self) -> usize {
        1 << self.bits
    }

    /// The shard of `sensor`.
    #[inline]
    pub(in crate::stage) fn shard(self, sensor: SensorId) -> usize {
        sensor.index() & (self.shards() - 1)
    }

    /// The index of `sensor` within its shard.
    #[inline]
    pub(in crate::stage) fn place(self, sensor: SensorId) -> SensorId {
        SensorId(sensor.0 >> self.bits)
    }

    /// The sensor at index `place` of shard `shard`.
    pub(in crate::stage) fn sensor(self, shard: usize, place: SensorId) -> SensorId {
        SensorId(place.0 << self.bits | shard as u32)
    }
}

impl Group {
    const NONE: Self = Self { sensor: SensorId::UNKNOWN, start: 0, end: 0 };

    /// The number of rows.
    #[inline]
    pub(in crate::stage) fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

impl Share<'_> {
    /// The range of `group` in [`Share::rows`].
    #[inline]
    pub(in crate::stage) fn range(&self, group: Group) -> Range<usize> {
        (group.start - self.first) as usize..(group.end - self.first) as usize
    }
}

impl Groups {
    /// Groups the rows of a batch whose sensors are `sensors`, for `shards` shards, a power of two.
    pub fn sort(&mut self, sensors: &[SensorId], shards: usize) {
        debug_assert!(shards.is_power_of_two(), "{shards} shards");
        self.count(sensors);
        self.deal(Deal::among(shards));
        // All are overwritten.
        self.order.resize(sensors.len(), 0);
        for (row, id) in sensors.iter().enumerate() {
            let place = &mut self.places[id.index()];
            self.order[*place as usize] = row as u32;
            *place += 1;
        }
        self.met.iter().for_each(|id| self.places[id.index()] = 0);
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// All rows, shard by shard.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The part of shard `shard`.
    pub fn share(&self, shard: usize) -> Share<'_> {
        let (first_group, first) = self.shards[shard];
        let (end_group, end) = self.shards[shard + 1];
        Share {
            rows: &self.order[first as usize..end as usize],
            groups: &self.groups[first_group as usize..end_group as usize],
            first,
        }
    }

    fn count(&mut self, sensors: &[SensorId]) {
        self.met.clear();
        if let Some(most) = sensors.iter().max().filter(|most| most.index() >= self.places.len()) {
            self.places.resize(most.index() + 1, 0);
        }
        for &id in sensors {
            let count = &mut self.places[id.index()];
            if *count == 0 {
                self.met.push(id);
            }
            *count += 1;
        }
    }

    /// Assigns a position to each sensor, shard by shard: a counting sort too.
    fn deal(&mut self, deal: Deal) {
        self.shards.clear();
        self.shards.resize(deal.shards() + 1, (0, 0));
        for &id in &self.met {
            let (groups, rows) = &mut self.shards[deal.shard(id)];
            *groups += 1;
            *rows += self.places[id.index()];
        }
        let mut next = (0, 0);
        for shard in &mut self.shards {
            let (groups, rows) = std::mem::replace(shard, next);
            next = (next.0 + groups, next.1 + rows);
        }
        self.groups.resize(self.met.len(), Group::NONE);
        for &id in &self.met {
            let (group, start) = &mut self.shards[deal.shard(id)];
            let end = *start + std::mem::replace(&mut self.places[id.index()], *start);
            self.groups[*group as usize] = Group { sensor: id, start: *start, end };
            (*group, *start) = (*group + 1, end);
        }
        // Every shard has advanced to the start of the next one.
        self.shards.rotate_right(1);
        self.shards[0] = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_are_grouped_by_sensor_in_order() {
        let mut groups = Groups::default();
        for _ in 0..2 {
            groups.sort(&[2, 0, 2, 5, 0].map(SensorId), 1);
            assert_eq!(groups.order, [0, 2, 1, 4, 3]);
            let group = |id, start, end| Group { sensor: SensorId(id), start, end };
            assert_eq!(groups.groups, [group(2, 0, 2), group(0, 2, 4), group(5, 4, 5)]);
        }
    }

    proptest! {
        #[test]
        fn shards_have_all_rows_of_their_sensors_in_order(
            batches in proptest::collection::vec(proptest::collection::vec(0..40u32, 0..100), 1..4), bits in 0..4u32,
        ) {
            let shards = 1 << bits;
            let mut groups = Groups::default();
            for ids in batches {
                let ids: Vec<_> = ids.into_iter().map(SensorId).collect();
                groups.sort(&ids, shards);
                let mut seen = vec![false; ids.len()];
                for shard in 0..shards {
                    let share = groups.share(shard);
                    for &group in share.groups {
                        let id = group.sensor;
                        prop_assert_eq!(id.index() % shards, shard);
                        let rows = &share.rows[share.range(group)];
                        let expected: Vec<u32> =
                            (0..ids.len()).filter(|&row| ids[row] == id).map(|row| row as u32).collect();
                        prop_assert_eq!(rows, &expected[..]);
                        rows.iter().for_each(|&row| seen[row as usize] = true);
                    }
                }
                prop_assert!(seen.iter().all(|&seen| seen));
            }
        }
    }
}
