//! The rows of a batch, put together by sensor, and the sensors by shard.

use std::ops::Range;

use crate::sensor::SensorId;

/// The rows of a batch by sensor: a stable counting sort over the sensors that occur. The sensors are dealt out to shards,
/// so that workers can share the batch: sensor `i` is in shard `i mod shards`.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// All rows; those of a shard lie together, and in it those of a sensor, in the batch's order.
    order: Vec<u32>,
    runs: Vec<(SensorId, Range<usize>)>,
    /// By shard: its part of `runs`.
    shards: Vec<Range<usize>>,
    /// By sensor: the row count, then the place of its next row. All 0 between calls.
    places: Vec<u32>,
    /// The sensors of the batch, in order of appearance; kept for its memory.
    met: Vec<SensorId>,
}

/// The part of a batch that one shard works on.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The rows, sensor by sensor.
    pub rows: &'a [u32],
    /// Each sensor and its part of `rows`.
    pub runs: &'a [(SensorId, Range<usize>)],
    /// Where `rows` begins among all rows of the batch: what `runs` count from.
    first: usize,
}

impl Share<'_> {
    /// The place of run `run` in [`Share::rows`].
    pub fn range(&self, run: usize) -> Range<usize> {
        let Range { start, end } = self.runs[run].1;
        start - self.first..end - self.first
    }
}

impl Groups {
    /// Sorts the rows of a batch whose sensors are `sensors`, for `shards` shards.
    pub fn sort(&mut self, sensors: &[SensorId], shards: usize) {
        self.count(sensors);
        self.deal(shards);
        self.order.clear();
        self.order.resize(sensors.len(), 0);
        for (row, id) in sensors.iter().enumerate() {
            let place = &mut self.places[id.index()];
            self.order[*place as usize] = row as u32;
            *place += 1;
        }
        self.runs.iter().for_each(|(id, _)| self.places[id.index()] = 0);
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// All rows, shard by shard.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// What shard `shard` works on.
    pub fn share(&self, shard: usize) -> Share<'_> {
        let runs = &self.runs[self.shards[shard].clone()];
        let first = runs.first().map_or(0, |run| run.1.start);
        let end = runs.last().map_or(first, |run| run.1.end);
        Share { rows: &self.order[first..end], runs, first }
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

    /// Gives each sensor that was met its place, shard after shard.
    fn deal(&mut self, shards: usize) {
        self.runs.clear();
        self.shards.clear();
        let mut start = 0;
        for shard in 0..shards {
            let first = self.runs.len();
            for &id in self.met.iter().filter(|id| shards == 1 || id.index() % shards == shard) {
                let end = start + self.places[id.index()] as usize;
                self.runs.push((id, start..end));
                self.places[id.index()] = start as u32;
                start = end;
            }
            self.shards.push(first..self.runs.len());
        }
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
            assert_eq!(groups.runs, [(SensorId(2), 0..2), (SensorId(0), 2..4), (SensorId(5), 4..5)]);
        }
    }

    proptest! {
        #[test]
        fn shards_have_all_rows_of_their_sensors_in_order(
            batches in proptest::collection::vec(proptest::collection::vec(0..40u32, 0..100), 1..4), shards in 1..6usize,
        ) {
            let mut groups = Groups::default();
            for ids in batches {
                let ids: Vec<_> = ids.into_iter().map(SensorId).collect();
                groups.sort(&ids, shards);
                let mut seen = vec![false; ids.len()];
                for shard in 0..shards {
                    let share = groups.share(shard);
                    for (at, (id, _)) in share.runs.iter().enumerate() {
                        prop_assert_eq!(id.index() % shards, shard);
                        let rows = &share.rows[share.range(at)];
                        let expected: Vec<u32> =
                            (0..ids.len()).filter(|&row| ids[row] == *id).map(|row| row as u32).collect();
                        prop_assert_eq!(rows, &expected[..]);
                        rows.iter().for_each(|&row| seen[row as usize] = true);
                    }
                }
                prop_assert!(seen.iter().all(|&seen| seen));
            }
        }
    }
}
