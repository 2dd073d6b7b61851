//! The end of a pass: held records are released, and the ledgers are written.

use super::{Crew, Worker};
use crate::batch::Batch;
use crate::chain::{account, pieces};
use crate::error::{Error, Result};
use crate::runtime::Report;
use crate::runtime::chunks::{drain_rejections, rows_of};
use crate::runtime::drain::Drain;
use crate::runtime::lane::Stopped;
use crate::stage::{Flow, Process};

impl Crew {
    /// Writes the ledgers to `report`.
    pub(crate) fn close(mut self, report: &mut Report) {
        let admission = self.before_stages.as_mut().map(|turn| &turn.get_mut().admission);
        let taken = admission.and_then(|admission| admission.count());
        report.give_up(admission.and_then(|admission| admission.given_up()));
        report.sensors = taken.unwrap_or_else(|| self.sensors.read().len()) as u64;
        report.passes += 1;
        report.is_partial = self.tally.is_partial;
        report.records_before = self.tally.before;
        let output = self.tally.sources.iter().map(|entry| entry.ledger.output).sum();
        report.remark(self.tally.odd_times.remarks(output));
        report.remark(self.remarks);
        report.sources = self.tally.sources;
        let told = self
            .lanes
            .iter()
            .zip(&self.tally.latencies)
            .map(|(lane, latencies)| latencies.told(lane.label()));
        let mut latencies: Vec<_> = told.filter(|latency| latency.records > 0).collect();
        latencies.append(&mut report.latencies);
        report.latencies = latencies;
        report.stages = self.tally.stages;
        report.handing_over = self.handing_over;
        report.threads = self.workers as u64;
    }

    /// Ends the pass. With `is_over`, the input has ended, and every stage releases the records that it holds, which pass through the
    /// stages after it; otherwise they stay held.
    pub(crate) fn finish<D: Drain>(
        &mut self,
        workers: Vec<Worker<D::Local>>,
        is_over: bool,
        drain: &mut D,
    ) -> Result<()> {
        let finished = self.finish_stages(workers, is_over, drain);
        drain.ended(finished.err()).map_or(Ok(()), Err)
    }

    fn finish_stages<D: Drain>(
        &mut self,
        mut workers: Vec<Worker<D::Local>>,
        is_over: bool,
        drain: &mut D,
    ) -> Result<()> {
        for worker in &workers {
            for (source, spent) in self.tally.sources.iter_mut().zip(&worker.spent) {
                source.time += spent.decoding;
                source.waiting += spent.claiming;
            }
            self.handing_over += worker.handing_over;
        }
        let mut processes: Vec<Vec<Box<dyn Process>>> = (0..self.lanes.len())
            .map(|at| workers.iter_mut().filter_map(|worker| worker.processes[at].take()).collect())
            .collect();
        for at in 0..self.lanes.len() {
            let mut flow = Flow::default();
            let lane = &mut self.lanes[at];
            let last = match is_over {
                true => lane.finish(&mut processes[at], &self.sensors, &mut flow)?,
                false => None,
            };
            let entry = &mut self.tally.stages[at];
            account(entry, &flow, last.as_ref().map_or(0, Batch::len));
            entry.ledger.held = lane.held(&processes[at])?;
            self.remarks.extend(lane.remarks()?);
            self.limit.note(&flow.rejections)?;
            drain_rejections(flow.rejections, drain)?;
            // Held records continue on one worker, which has the remaining stages.
            let worker = &mut workers[0];
            worker.processes = processes.iter_mut().map(Vec::pop).collect();
            let result = self.forward(self.route.out_of_stage(at), last.as_ref(), worker, drain);
            let kept = worker.processes.drain(..).zip(&mut processes);
            kept.for_each(|(process, processes)| processes.extend(process));
            result?;
        }
        if is_over {
            self.limit.finish()?;
        }
        workers.into_iter().try_for_each(|worker| drain.close(worker.drain))
    }

    /// Passes the records that a stage held, from `port`, through the stages behind it, in pieces of about a chunk.
    fn forward<D: Drain>(
        &mut self,
        port: usize,
        held: Option<&Batch>,
        worker: &mut Worker<D::Local>,
        drain: &mut D,
    ) -> Result<()> {
        let chunk_size = self.chunk_size;
        for piece in held.into_iter().flat_map(|batch| pieces(batch, rows_of(chunk_size))) {
            let ordinal = self.next;
            self.next += 1;
            self.lanes[self.route.behind(port)..].iter_mut().for_each(|lane| lane.skip_to(ordinal));
            let passed = match self.stages::<D>(vec![(port, piece)], ordinal, worker) {
                Ok(passed) => passed,
                Err(Stopped::Failed(error)) => return Err(error),
                Err(Stopped::Cancelled) => {
                    return Err(Error::internal("a turn was cancelled without a failure"));
                }
            };
            self.tally.add(&passed.entries);
            self.limit.note(&passed.rejections)?;
            drain_rejections(passed.rejections, drain)?;
            if let Some(ready) = passed.ready {
                drain.accept(ready, None, &self.sensors)?;
                D::work(&mut worker.drain);
            }
        }
        Ok(())
    }
}
