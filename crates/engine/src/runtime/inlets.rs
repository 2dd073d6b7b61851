//! All sources of a run. Bounded ones are read one after the other in the order of the pipeline; recordings of sources that were recorded
//! together are read in the order in which their pieces arrived.

use std::sync::Arc;

use super::Report;
use super::durable::Durable;
use super::inlet::{Arrived, Inlet};
use super::merged::Merged;
use super::snapshot::Positions;
use crate::batch::Schema;
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::pipeline::sources::{check_exclusive, merged};
use crate::sensor::SensorIds;
use crate::source::{OpenOptions, Progress};

/// The open sources of a run.
pub(crate) struct Inlets {
    inlets: Vec<Inlet>,
    /// Which of them have ended.
    has_ended: Vec<bool>,
    /// Which of them are recordings that were made together with others.
    is_recorded: Vec<bool>,
    /// Those that are merged by time.
    merged: Merged,
    /// The ordinal of the next piece, if they are recorded together.
    arrival: u64,
}

impl Inlets {
    /// Opens all sources of `pipeline`, with `options` for each.
    pub(crate) fn open(pipeline: &Pipeline, options: impl Fn(usize) -> Result<OpenOptions>) -> Result<Self> {
        check_exclusive(pipeline)?;
        let mut keeps_place = false;
        let inlets = (0..pipeline.sources.len()).map(|at| {
            let options = options(at)?;
            keeps_place |= options.keeps_place;
            Inlet::open(pipeline, at, &options)
        });
        let inlets = inlets.collect::<Result<_>>()?;
        Ok(Self { merged: Merged::new(merged(pipeline), keeps_place), ..Self::of(inlets) })
    }

    /// Sources at their beginning.
    pub(crate) fn of(mut inlets: Vec<Inlet>) -> Self {
        inlets.sort_by_key(Inlet::at);
        let none = vec![false; inlets.len()];
        Self { has_ended: none.clone(), is_recorded: none, inlets, merged: Merged::default(), arrival: 0 }
    }

    /// Splits off the sources for which `is_among` is true; returns the others separately.
    pub(crate) fn split(self, is_among: impl Fn(usize) -> bool) -> (Self, Vec<Self>) {
        let (these, others): (Vec<_>, Vec<_>) =
            self.inlets.into_iter().partition(|inlet| is_among(inlet.at()));
        let these = Self { merged: self.merged, ..Self::of(these) };
        (these, others.into_iter().map(|inlet| Self::of(vec![inlet])).collect())
    }

    /// Joins them again after they were read.
    pub(crate) fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let (mut inlets, mut merged) = (Vec::new(), Merged::default());
        for part in parts {
            inlets.extend(part.inlets);
            if !part.merged.is_empty() {
                merged = part.merged;
            }
        }
        Self { merged, ..Self::of(inlets) }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.inlets.is_empty()
    }

    /// The sources.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Inlet> {
        self.inlets.iter()
    }

    /// Source `at` of the pipeline, where it is among them.
    pub(crate) fn inlet(&self, at: usize) -> Option<&Inlet> {
        self.inlets.iter().find(|inlet| inlet.at() == at)
    }

    /// The columns of the records of each.
    pub(crate) fn schemas(&self) -> Result<Vec<Arc<Schema>>> {
        self.inlets.iter().map(Inlet::schema).collect()
    }

    /// Acquires exclusive resources for all of them.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.inlets.iter_mut().try_for_each(Inlet::begin)
    }

    /// The next piece of the source to be read, accepted.
    pub(crate) fn next(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        let Some(arrived) = self.look(ids)? else { return Ok(None) };
        self.inlet(arrived.source()).map_or(Ok(()), |inlet| inlet.accept(self.arrival))?;
        self.arrival += 1;
        Ok(Some(arrived))
    }

    /// The same, before it is known whether the piece is accepted.
    pub(crate) fn look(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        while let Some(next) = self.current()? {
            let is_merged = self.merged.has(self.inlets[next].at());
            let arrived = match is_merged {
                true => self.merged.next(&mut self.inlets, ids)?,
                false => self.inlets[next].next(ids)?,
            };
            if let Some(arrived) = arrived {
                let progress = if self.inlets.len() == 1 { arrived.progress } else { self.progress()? };
                return Ok(Some(Arrived { progress, ..arrived }));
            }
            let ended = self.inlets.iter().zip(&mut self.has_ended).enumerate();
            let ended =
                ended.filter(|(at, (inlet, _))| *at == next || is_merged && self.merged.has(inlet.at()));
            ended.for_each(|(_, (_, has_ended))| *has_ended = true);
        }
        Ok(None)
    }

    /// What the current source has received already; it reads no more.
    pub(crate) fn drain(&mut self, can_resume: bool, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        let Some(next) = self.current()? else { return Ok(None) };
        self.inlets[next].drain(can_resume, ids)
    }

    /// The same for all sources, one after the other, without reading anything.
    pub(crate) fn finish(&mut self, ids: &mut SensorIds) -> Result<Option<Arrived>> {
        for (inlet, has_ended) in
            self.inlets.iter_mut().zip(&mut self.has_ended).filter(|(_, has_ended)| !**has_ended)
        {
            match inlet.drain(false, ids)? {
                Some(arrived) => return Ok(Some(arrived)),
                None => *has_ended = true,
            }
        }
        Ok(None)
    }

    /// The source to read next; `None` when all have ended.
    fn current(&mut self) -> Result<Option<usize>> {
        let left: Vec<_> = (0..self.inlets.len()).filter(|&at| !self.has_ended[at]).collect();
        let [first, _, ..] = left[..] else { return Ok(left.first().copied()) };
        let mut next = None;
        for at in left {
            let Some(arrival) = self.inlets[at].arrival()? else {
                // A source that was not recorded with others precedes all later ones; for the others, this is the end.
                let is_over = self.is_recorded[at];
                return Ok(Some(next.filter(|_| !is_over).map_or(at, |(_, next)| next)));
            };
            self.is_recorded[at] = true;
            if next.is_none_or(|(least, _)| arrival < least) {
                next = Some((arrival, at));
            }
        }
        Ok(Some(next.map_or(first, |(_, next)| next)))
    }

    /// Their total progress.
    fn progress(&self) -> Result<Progress> {
        let mut sum = Progress { done: 0, total: Some(0) };
        for inlet in &self.inlets {
            let Progress { done, total } = inlet.progress()?;
            sum.done += done;
            sum.total = sum.total.zip(total).map(|(sum, total)| sum + total);
        }
        Ok(sum)
    }

    /// The ordinal of the next piece, if they are recorded together.
    pub(crate) fn arrival(&self) -> u64 {
        self.arrival
    }

    /// The positions of all of them.
    pub(crate) fn save(&self) -> Result<Positions> {
        self.inlets.iter().map(|inlet| Ok(self.merged.place(inlet.at(), inlet.save()?))).collect()
    }

    /// From now on they are told which positions are durable.
    pub(crate) fn acknowledge_by(&mut self, durable: &Arc<Durable>) {
        self.inlets.iter_mut().for_each(|inlet| inlet.acknowledge_by(durable));
    }

    /// Tells them their durable positions, at the end.
    pub(crate) fn acknowledge(&mut self) -> Result<()> {
        self.inlets.iter_mut().try_for_each(Inlet::acknowledge)
    }

    /// Restores the positions of all of them.
    pub(crate) fn restore(&mut self, positions: &[Option<Vec<u8>>]) -> Result<()> {
        for (inlet, place) in self.inlets.iter_mut().zip(positions) {
            let Some(place) = place else { continue };
            inlet.restore(self.merged.restore(inlet.at(), place)?)?;
        }
        self.arrival = self.inlets.iter().map(Inlet::recorded).max().unwrap_or(0);
        Ok(())
    }

    /// Adds their final remarks to `report`.
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
