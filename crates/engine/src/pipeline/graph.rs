//! The graph of a pipeline: what feeds each stage and each sink (clause 11).
//!
//! Records leave through *ports*: first those of the sources, in order, then those of all stages. A part is only fed by earlier ports, so
//! the order of the stages is a topological order.

use super::Pipeline;
use super::leading::leading;
use crate::chain::Route;
use crate::error::{Error, PartIndex, Result, nearest};
use crate::format::columns::Names;
use crate::options::list;
use crate::sink::Takes;

/// The name of the only source in `from`, if it has no other.
const SOURCE: &str = "source";

/// The ports that feed each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The number of sources.
    pub sources: usize,
    /// By stage; those that options of sources insert come first.
    pub stages: Vec<Vec<usize>>,
    /// By sink; empty for a sink that takes rejections.
    pub sinks: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of `pipeline`.
    ///
    /// # Errors
    /// A configuration error: a duplicate name, a name that no earlier part has, or a stage that feeds nothing.
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        let count = pipeline.sources.len();
        let mut known = KnownPorts { names: Vec::new(), has_one_source: count == 1 };
        let (mut stages, mut begin) = (Vec::new(), Vec::new());
        for (at, source) in pipeline.sources.iter().enumerate() {
            let mut port = at;
            for _ in 0..leading(source).map_or(0, |stages| stages.len()) {
                stages.push(vec![port]);
                port = count + stages.len() - 1;
            }
            begin.push(port);
            let name = source.input.name.as_deref().or((count == 1).then_some(SOURCE));
            name.map_or(Ok(()), |name| known.add(name, port))
                .map_err(|error| error.with_part(PartIndex::Source(at)))?;
        }
        let first = stages.len();
        // What feeds the next part by default.
        let mut before = begin;
        for (at, entry) in pipeline.stages.iter().enumerate() {
            let part = PartIndex::Stage(at);
            let ports = known.ports(entry.from.as_ref(), &before, &later(pipeline, at));
            stages.push(ports.map_err(|error| error.with_part(part))?);
            before = vec![count + first + at];
            if let Some(name) = &entry.name {
                known.add(name, before[0]).map_err(|error| error.with_part(part))?;
            }
        }
        let sinks = pipeline.sinks.iter().enumerate().map(|(at, sink)| {
            let ports = match (sink.spec.takes(), &sink.from) {
                (Takes::Records, from) => known.ports(from.as_ref(), &before, &[]),
                (Takes::Rejections, None) => Ok(Vec::new()),
                (Takes::Rejections, Some(_)) => Err(Error::config(
                    "`from` has no effect here: this sink receives the rejections of all parts",
                )
                .with_help("leave `from` out")),
            };
            ports.map_err(|error| error.with_part(PartIndex::Sink(at)))
        });
        let graph = Self { sources: count, sinks: sinks.collect::<Result<_>>()?, stages };
        graph.check_taken(pipeline, first)?;
        Ok(graph)
    }

    /// The port of stage `at`.
    pub fn out_of_stage(&self, at: usize) -> usize {
        self.sources + at
    }

    /// The route from the sources through the first `count` stages to the ports `asked`.
    pub(crate) fn route(&self, count: usize, asked: &[usize]) -> Route {
        Route::new(self.sources, &self.stages[..count], asked.iter().copied())
    }

    /// The ports that feed sinks.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.sinks.iter().flatten().copied().collect()
    }

    /// Whether records of one source reach a part in several ways: then origins are needed to order them.
    pub(crate) fn joins(&self) -> bool {
        let mut sources: Vec<Vec<usize>> = (0..self.sources).map(|source| vec![source]).collect();
        for ports in self.stages.iter().chain(&self.sinks) {
            let mut all: Vec<_> = ports.iter().flat_map(|&port| sources[port].clone()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            if all.len() < count {
                return true;
            }
            sources.push(all);
        }
        false
    }

    /// The sources whose records reach sink `at`, in order; for a sink that takes rejections, all.
    pub(crate) fn sources_of_sink(&self, at: usize) -> Vec<usize> {
        let mut ports = self.sinks[at].clone();
        if ports.is_empty() {
            ports = (0..self.sources).collect();
        }
        let mut sources = Vec::new();
        while let Some(port) = ports.pop() {
            match port.checked_sub(self.sources) {
                None => sources.push(port),
                Some(stage) => ports.extend(&self.stages[stage]),
            }
        }
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The stage fed by `port`, if that is the only part it feeds, and the stage's only input.
    pub(crate) fn goes_on_alone(&self, port: usize) -> Option<usize> {
        let mut takers = self.stages.iter().chain(&self.sinks).filter(|ports| ports.contains(&port));
        let (only, none) = (takers.next()?, takers.next());
        let is_alone = none.is_none() && *only == [port];
        self.stages.iter().position(|ports| ports.contains(&port)).filter(|_| is_alone)
    }

    /// Checks that every source and stage feeds something.
    fn check_taken(&self, pipeline: &Pipeline, first: usize) -> Result<()> {
        let is_taken =
            |port: usize| self.stages.iter().chain(&self.sinks).flatten().any(|&taken| taken == port);
        let mut port_of_leading = self.sources;
        // With a single source, the part to blame is one that takes only from elsewhere.
        let sources = pipeline.sources.iter().enumerate().filter(|_| self.sources > 1);
        for (at, source) in sources {
            let count = leading(source).map_or(0, |stages| stages.len());
            port_of_leading += count;
            let port = if count == 0 { at } else { port_of_leading - 1 };
            if !is_taken(port) {
                return Err(Error::config("this source feeds no part")
                    .with_help(
                        "give it a `name` and use it in the `from` of a stage or sink; or leave it out",
                    )
                    .with_part(PartIndex::Source(at)));
            }
        }
        match (first..self.stages.len()).find(|&at| !is_taken(self.out_of_stage(at))) {
            None => Ok(()),
            Some(at) => Err(Error::config("this stage feeds no part")
                .with_help(
                    "give it a `name` and use it in the `from` of a later stage or sink; or leave it out",
                )
                .with_part(PartIndex::Stage(at - first))),
        }
    }
}

/// The names of the stages from `at` on, which earlier parts cannot refer to.
fn later(pipeline: &Pipeline, at: usize) -> Vec<&str> {
    pipeline.stages[at..].iter().filter_map(|entry| entry.name.as_deref()).collect()
}

/// The ports that can be referred to, by name.
struct KnownPorts<'p> {
    /// Whether the first one is that of the only source.
    has_one_source: bool,
    names: Vec<(&'p str, usize)>,
}

impl<'p> KnownPorts<'p> {
    fn add(&mut self, name: &'p str, port: usize) -> Result<()> {
        if name.is_empty() {
            return Err(
                Error::config("`name` is empty").with_help("leave it out, or write a name for `from`")
            );
        }
        if self.names.first().is_some_and(|(source, _)| *source == name) && self.has_one_source {
            return Err(Error::config(format!("the source is named {name:?} already"))
                .with_help("give this part another name"));
        }
        if self.find(name).is_some() {
            return Err(Error::config(format!("two parts have the `name` {name:?}"))
                .with_help("give one of them another name"));
        }
        self.names.push((name, port));
        Ok(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(known, _)| *known == name).map(|&(_, port)| port)
    }

    /// The ports that `from` names; `before` by default. `later` are names of later parts, for messages.
    fn ports(&self, from: Option<&Names>, before: &[usize], later: &[&str]) -> Result<Vec<usize>> {
        let Some(from) = from else { return Ok(before.to_vec()) };
        let mut ports = Vec::new();
        for name in from.as_slice() {
            let port = self.find(name).ok_or_else(|| self.unknown(name, later))?;
            if ports.contains(&port) {
                return Err(Error::config(format!("`from` names {name:?} twice"))
                    .with_help("each record reaches a part once: name it once"));
            }
            ports.push(port);
        }
        match ports.is_empty() {
            true => {
                Err(Error::config("`from` is empty").with_help("leave it out to take from the previous part"))
            }
            false => Ok(ports),
        }
    }

    fn unknown(&self, name: &str, later: &[&str]) -> Error {
        if later.contains(&name) {
            return Error::config(format!("`from` = {name:?} is not before this part"))
                .with_help("move this part after the one that feeds it");
        }
        let names: Vec<_> = self.names.iter().map(|(name, _)| *name).collect();
        let error = Error::config(format!("`from` = {name:?}: no part before this one has that `name`"));
        error.with_help(match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the names here are {}", list(&names)),
        })
    }
}
