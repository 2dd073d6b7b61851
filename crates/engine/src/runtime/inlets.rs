//! All sources of a run. Those that end are read one after the other, in the order in which they are written; recordings of sources that were recorded
//! together in the order in which their pieces came.

use std::sync::Arc;

use super::Report;
use super::durable::Durable;
use super::inlet::{Arrived, Inlet};
use crate::batch::Schema;
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::sensor::SensorIds;
use crate::source::{OpenOptions, Progress};

/// Where each source of a run is, for a checkpoint; `None` for those that begin anew.
pub(crate) type Positions = Vec<Option<Vec<u8>>>;

/// Sources of a run, open.
pub(crate) struct Inlets {
    pub(crate) inlets: Vec<Inlet>,
    /// Which of them have ended.
    has_ended: Vec<bool>,
    /// The ordinal of the next piece, where they are recorded together.
    arrival: u64,
}

impl Inlets {
    /// Opens all sources of `pipeline`, each as `options` say.
    pub(crate) fn open(pipeline: &Pipeline, options: impl Fn(usize) -> Result<OpenOptions>) -> Result<Self> {
        let open = |at| Inlet::open(pipeline, at, &options(at)?);
        let inlets: Vec<_> = (0..pipeline.sources.len()).map(open).collect::<Result<_>>()?;
        Ok(Self::of(inlets))
    }

    /// Sources that have not been read, in the order of the pipeline.
    pub(crate) fn of(mut inlets: Vec<Inlet>) -> Self {
        inlets.sort_by_key(Inlet::at);
        Self { has_ended: vec![false; inlets.len()], inlets, arrival: 0 }
    }

    /// The columns of the records of each.
    pub(crate) fn schemas(&self) -> Result<Vec<Arc<Schema>>> {
        self.inlets.iter().map(Inlet::schema).collect()
    }

    /// Acquires what only one run can have, for all of them.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.inlets.iter_mut().try_for_each(Inlet::begin)
    }

    /// The source that is to be read next; `None` when all have ended.
    pub(crate) fn current(&mut self) -> Result<Option<&mut Inlet>> {
        let reading =
            || self.has_ended.iter().enumerate().filter(|(_, has_ended)| !**has_ended).map(|(at, _)| at);
        let (mut reading, rest) = (reading(), reading());
        let (Some(first), second) = (reading.next(), reading.next()) else { return Ok(None) };
        let mut next = first;
        if second.is_some() {
            let mut least = None;
            for at in rest.collect::<Vec<_>>() {
                // One that was not recorded with others comes before all that is behind it.
                let Some(arrival) = self.inlets[at].arrival()? else {
                    if least.is_none() {
                        next = at;
                    }
                    break;
                };
                if least.is_none_or(|least| arrival < least) {
                    (next, least) = (at, Some(arrival));
                }
            }
        }
        Ok(Some(&mut self.inlets[next]))
    }

    /// The source at `at` has ended.
    pub(crate) fn end(&mut self, at: usize) {
        let ended = self.inlets.iter().zip(&mut self.has_ended).find(|(inlet, _)| inlet.at() == at);
        ended.into_iter().for_each(|(_, has_ended)| *has_ended = true);
    }

    /// The next piece of the source that is to be read.
    pub(crate) fn next(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        loop {
            let arrival = self.arrival;
            let Some(inlet) = self.current()? else { return Ok(None) };
            let at = inlet.at();
            if let Some(arrived) = inlet.next(ids)? {
                inlet.accept(arrival)?;
                self.arrival += 1;
                let progress = if self.inlets.len() == 1 { arrived.progress } else { self.progress()? };
                return Ok(Some(Arrived { progress, ..arrived }));
            }
            self.end(at);
        }
    }

    /// How far they have come together.
    fn progress(&self) -> Result<Progress> {
        let mut sum = Progress { done: 0, total: Some(0) };
        for inlet in &self.inlets {
            let Progress { done, total } = inlet.progress()?;
            sum.done += done;
            sum.total = sum.total.zip(total).map(|(sum, total)| sum + total);
        }
        Ok(sum)
    }

    /// The ordinal of the next piece, where they are recorded together.
    pub(crate) fn arrival(&self) -> u64 {
        self.arrival
    }

    /// Where each of them is.
    pub(crate) fn save(&self) -> Result<Positions> {
        self.inlets.iter().map(Inlet::save).collect()
    }

    /// From now on they are told what is durable.
    pub(crate) fn acknowledge_by(&mut self, durable: &Arc<Durable>) {
        self.inlets.iter_mut().for_each(|inlet| inlet.acknowledge_by(durable));
    }

    /// Tells them what is durable, at the end.
    pub(crate) fn acknowledge(&mut self) -> Result<()> {
        self.inlets.iter_mut().try_for_each(Inlet::acknowledge)
    }

    /// Takes each of them to where it was.
    pub(crate) fn restore(&mut self, positions: &[Option<Vec<u8>>]) -> Result<()> {
        let mut saved = self.inlets.iter_mut().zip(positions);
        saved.try_for_each(|(inlet, place)| place.as_deref().map_or(Ok(()), |place| inlet.restore(place)))?;
        self.arrival = self.inlets.iter().map(Inlet::recorded).max().unwrap_or(0);
        Ok(())
    }

    /// Adds to `report` what they say at the end.
    pub(crate) fn close(&self, report: &mut Report) -> Result<()> {
        report.missing = None;
        for inlet in &self.inlets {
            report.bytes += inlet.bytes()?;
            report.remark(inlet.remarks()?);
            report.missing = report.missing.take().or(inlet.missing()?);
        }
        Ok(())
    }
}
