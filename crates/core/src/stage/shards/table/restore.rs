//! A table from the pieces of cuts, or from what is kept of each sensor.

use std::sync::PoisonError;

use serde::de::DeserializeOwned;

use super::{Shard, Table};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, Sensors};
use crate::stage::{SensorStates, state};

/// The states of a block's sensors that follow one another: the first sensor (the others follow in steps of two to the power of the second number), then by column
/// and by sensor. A sensor without a state has lost the one that it had at the cut before.
type Saved<T> = (u32, u32, Vec<Vec<Option<T>>>);

impl<T: DeserializeOwned, W> Table<T, W> {
    /// Restores pieces of a cut, of any number of shards, over those of earlier cuts.
    ///
    /// # Errors
    /// A data error if they are invalid, or have other columns or unknown sensors.
    pub(in crate::stage) fn restore(&mut self, mut pieces: &[u8], sensors: &Sensors) -> Result<()> {
        while !pieces.is_empty() {
            let (saved, rest) = state::take_from_bytes(pieces)?;
            self.put(saved, sensors)?;
            pieces = rest;
        }
        Ok(())
    }

    /// Takes over what is kept of each sensor.
    ///
    /// # Errors
    /// As [`Table::restore`].
    pub(in crate::stage) fn restore_sensors(
        &mut self,
        states: &SensorStates,
        sensors: &Sensors,
    ) -> Result<()> {
        for read in states.read::<Vec<Option<T>>>() {
            let (sensor, columns) = read?;
            self.put((sensor.0, 0, columns.into_iter().map(|state| vec![state]).collect()), sensors)?;
        }
        Ok(())
    }

    /// Calls a function with each mutable state of column `column`, by sensor, and its shard's additional state.
    pub(in crate::stage) fn for_each_mut(
        &mut self,
        column: usize,
        mut visit: impl FnMut(SensorId, &mut T, &mut W),
    ) {
        let deal = self.deal;
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let Shard { states, own, .. } = seat.shard.get_mut().unwrap_or_else(PoisonError::into_inner);
            let all = states[column].enumerate_mut();
            all.for_each(|(place, state)| visit(deal.sensor(at, place), state, own));
        }
    }

    fn put(&mut self, (first, bits, columns): Saved<T>, sensors: &Sensors) -> Result<()> {
        let due = self.columns();
        if columns.len() != due {
            return Err(Error::data(format!("the saved state has {} columns, not {due}", columns.len())));
        }
        for (column, states) in columns.into_iter().enumerate() {
            for (at, state) in (0u64..).zip(states) {
                let sensor = at.checked_shl(bits).and_then(|behind| behind.checked_add(first.into()));
                let sensor = sensor.filter(|&sensor| sensor < sensors.len() as u64);
                let sensor =
                    sensor.ok_or_else(|| Error::data("the saved state has more sensors than exist"))?;
                let (sensor, deal) = (SensorId(sensor as u32), self.deal);
                let shard =
                    self.seats[deal.shard(sensor)].shard.get_mut().unwrap_or_else(PoisonError::into_inner);
                let (states, place) = (&mut shard.states[column], deal.place(sensor));
                drop(states.remove(place));
                if let Some(state) = state {
                    states.get_or_insert_with(place, || state);
                }
            }
        }
        Ok(())
    }
}
