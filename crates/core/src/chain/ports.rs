//! The batches of one piece of the input in the graph.

use std::sync::Arc;

use crate::batch::Batch;

/// Records of a batch from which on its memory is shared: copying fewer costs less.
const SHARED: usize = 64;

/// The edges of the graph: the ports that feed each stage, and the consumers of each port. A port is an output: first those of the sources,
/// in order, then those of the stages; a stage consumes only ports before its own.
#[derive(Clone, Debug)]
pub struct Route {
    /// The number of sources.
    sources: usize,
    /// By stage: the ports that feed it; empty if its output is not needed.
    stages: Vec<Vec<usize>>,
    /// By port: the number of stages that consume it.
    takers: Vec<usize>,
    /// By port: whether its output is requested.
    is_asked: Vec<bool>,
}

impl Route {
    /// A graph of `sources` sources and stages fed by these ports, to get the output of the ports `asked`.
    pub fn new(sources: usize, stages: &[Vec<usize>], asked: impl IntoIterator<Item = usize>) -> Self {
        let (mut stages, count) = (stages.to_vec(), stages.len());
        let (mut is_asked, mut takers) = (vec![false; sources + count], vec![0; sources + count]);
        asked.into_iter().for_each(|port| is_asked[port] = true);
        for at in (0..count).rev() {
            if takers[sources + at] == 0 && !is_asked[sources + at] {
                stages[at].clear();
            }
            stages[at].iter().for_each(|&port| takers[port] += 1);
        }
        Self { sources, stages, takers, is_asked }
    }

    /// A linear chain from one source through `count` stages, to get the output of the last one.
    pub fn straight(count: usize) -> Self {
        let stages: Vec<_> = (0..count).map(|port| vec![port]).collect();
        Self::new(1, &stages, [count])
    }

    /// The ports that feed stage `at`.
    pub fn into_stage(&self, at: usize) -> &[usize] {
        &self.stages[at]
    }

    /// The port of stage `at`.
    pub fn out_of_stage(&self, at: usize) -> usize {
        self.sources + at
    }

    /// The first stage that may consume `port`.
    pub fn behind(&self, port: usize) -> usize {
        (port + 1).saturating_sub(self.sources)
    }

    /// The stages from a source up to and including stage `at`, in order, while each is fed by the previous one alone.
    pub fn path_to(&self, at: usize) -> Vec<usize> {
        let mut path = vec![at];
        while let [port] = self.stages[path[path.len() - 1]][..]
            && let Some(before) = port.checked_sub(self.sources)
        {
            path.push(before);
        }
        path.reverse();
        path
    }

    /// `batches`, each out of a port, on their way.
    pub fn begin(&self, batches: impl IntoIterator<Item = (usize, Batch)>) -> Ports {
        let mut ports = self.nothing();
        batches.into_iter().for_each(|(port, batch)| ports.put(port, batch));
        ports
    }

    /// No batches.
    pub(super) fn nothing(&self) -> Ports {
        let none = self.takers.iter().map(|_| None).collect();
        Ports { batches: none, takers: self.takers.clone(), is_asked: self.is_asked.clone() }
    }
}

/// The batches currently at the ports.
pub struct Ports {
    batches: Vec<Option<Arc<Batch>>>,
    /// By port: the number of stages that have not consumed it yet.
    takers: Vec<usize>,
    is_asked: Vec<bool>,
}

impl Ports {
    /// The number of ports.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Puts `batch` at `port`, for the stages and sinks that consume it.
    pub fn put(&mut self, port: usize, mut batch: Batch) {
        if self.takers[port] > 0 || self.is_asked[port] {
            if (self.is_asked[port] || self.takers[port] > 1) && batch.len() >= SHARED {
                batch.share();
            }
            self.batches[port] = Some(Arc::new(batch));
        }
    }

    /// Takes the input of a stage from `ports`; `None` if all are empty. The last consumer of a batch gets it without a copy.
    pub fn take(&mut self, ports: &[usize]) -> Option<Batch> {
        let mut taken = Vec::new();
        for &port in ports {
            self.takers[port] -= 1;
            let is_last = self.takers[port] == 0 && !self.is_asked[port];
            let batch = if is_last { self.batches[port].take() } else { self.batches[port].clone() };
            taken.extend(batch);
        }
        joined(taken).map(|batch| Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone()))
    }

    /// The input of a sink from `ports`; `None` if all are empty.
    pub fn look(&self, ports: &[usize]) -> Option<Arc<Batch>> {
        let there = ports.iter().filter_map(|&port| self.batches[port].as_ref());
        joined(there.filter(|batch| !batch.is_empty()).cloned().collect())
    }
}

/// The records of `batches` of one piece of the input in the order of the records that brought them there, then of the batches: so no cut between
/// pieces can be seen.
fn joined(batches: Vec<Arc<Batch>>) -> Option<Arc<Batch>> {
    let mut batches = batches.into_iter();
    let first = batches.next()?;
    if batches.len() == 0 {
        return Some(first);
    }
    let mut all = Arc::try_unwrap(first).unwrap_or_else(|shared| (*shared).clone());
    batches.for_each(|batch| all.append(&batch));
    let Some(origins) = &all.origins else { return Some(Arc::new(all)) };
    let mut rows: Vec<u32> = (0..all.len() as u32).collect();
    rows.sort_by_key(|&row| origins.trigger(row as usize));
    Some(Arc::new(all.take(&rows)))
}
