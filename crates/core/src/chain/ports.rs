//! The batches of one piece of the input on their way through the graph.

use std::sync::Arc;

use crate::batch::Batch;

/// What feeds each stage, and who takes from each port. Records come out of ports: first those of the sources, in order, then those of the stages;
/// a stage takes from ports before its own only.
#[derive(Clone, Debug)]
pub struct Route {
    /// How many sources there are.
    sources: usize,
    /// By stage: the ports that feed it; none where nothing of what it gives is asked for.
    stages: Vec<Vec<usize>>,
    /// By port: how many stages take from it.
    takers: Vec<usize>,
    /// By port: whether the reading is for what comes out of it.
    is_asked: Vec<bool>,
}

impl Route {
    /// From `sources` sources through stages that these ports feed, for what comes out of the ports `asked`.
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

    /// From one source through `count` stages, each of which the one before feeds, for what leaves the last.
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

    /// The first stage that may take from `port`.
    pub fn behind(&self, port: usize) -> usize {
        (port + 1).saturating_sub(self.sources)
    }

    /// The stages between a source and stage `at`, that one included, first to last, where each takes from the one before alone.
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

    /// `batch` out of `port`, on its way.
    pub fn begin(&self, port: usize, batch: Batch) -> Ports {
        let mut ports = self.nothing();
        ports.put(port, batch);
        ports
    }

    /// Nothing on its way.
    pub(super) fn nothing(&self) -> Ports {
        let none = self.takers.iter().map(|_| None).collect();
        Ports { batches: none, takers: self.takers.clone(), is_asked: self.is_asked.clone() }
    }
}

/// The batches that are at the ports now.
pub struct Ports {
    batches: Vec<Option<Arc<Batch>>>,
    /// By port: how many stages have yet to take from it.
    takers: Vec<usize>,
    is_asked: Vec<bool>,
}

impl Ports {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Puts `batch` at `port`, for the stages and sinks that take from it.
    pub fn put(&mut self, port: usize, batch: Batch) {
        if self.takers[port] > 0 || self.is_asked[port] {
            self.batches[port] = Some(Arc::new(batch));
        }
    }

    /// Takes the input of a stage from `ports`; `None` where all are empty. The last to take a batch gets it without a copy.
    pub fn take(&mut self, ports: &[usize]) -> Option<Batch> {
        let mut taken: Option<Batch> = None;
        for &port in ports {
            self.takers[port] -= 1;
            let is_last = self.takers[port] == 0 && !self.is_asked[port];
            let batch = if is_last { self.batches[port].take() } else { self.batches[port].clone() };
            let Some(batch) = batch else { continue };
            taken = Some(match taken {
                None => Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone()),
                Some(before) => merged(before, &batch),
            });
        }
        taken
    }

    /// The input of a sink from `ports`; `None` where all are empty.
    pub fn look(&self, ports: &[usize]) -> Option<Arc<Batch>> {
        let there = ports.iter().filter_map(|&port| self.batches[port].as_ref());
        let there = there.filter(|batch| !batch.is_empty());
        there.fold(None, |before: Option<Arc<Batch>>, batch| {
            Some(match before {
                None => Arc::clone(batch),
                Some(before) => Arc::new(merged((*before).clone(), batch)),
            })
        })
    }
}

/// The records of two batches of one piece of the input in the order of the records that brought them there, those of `first` before those of
/// `second` where that is the same: so no cut between pieces can be seen.
fn merged(mut first: Batch, second: &Batch) -> Batch {
    first.append(second);
    let Some(origins) = &first.origins else { return first };
    let trigger = |row: &u32| origins.trigger(*row as usize);
    let mut rows: Vec<u32> = (0..first.len() as u32).collect();
    rows.sort_by_key(trigger);
    first.take(&rows)
}
