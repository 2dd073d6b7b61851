//! How the parts of a pipeline are joined: what feeds each stage and each sink (clause 11).
//!
//! Records come out of *ports*: port 0 is the source, port `at + 1` is stage `at` of all that run. A part takes from ports before it only, so the
//! order of the stages is a topological order.

use super::Pipeline;
use crate::error::{Error, Part, Result, nearest};
use crate::format::columns::Names;
use crate::options::list;
use crate::sink::Takes;

/// What `from` calls the source, where it has no name of its own.
const SOURCE: &str = "source";

/// The ports that feed each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// By stage, those that options of the source ask for first.
    pub stages: Vec<Vec<usize>>,
    /// By sink; none for a sink that takes what was set aside.
    pub sinks: Vec<Vec<usize>>,
}

impl Graph {
    /// That of `pipeline`.
    ///
    /// # Errors
    /// A configuration error: a name that stands twice, or that nothing before the part has; a stage that nothing takes from.
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        let first = pipeline.stages_before();
        let source = pipeline.input.name.as_deref().unwrap_or(SOURCE);
        let mut known = Known { names: vec![(source, first)] };
        let mut stages: Vec<_> = (0..first).map(|port| vec![port]).collect();
        for (at, entry) in pipeline.stages.iter().enumerate() {
            let part = Part::Stage(at);
            let before = first + at;
            let ports = known.ports(entry.from.as_ref(), before, &later(pipeline, at));
            stages.push(ports.map_err(|error| error.with_part(part))?);
            if let Some(name) = &entry.name {
                known.add(name, before + 1).map_err(|error| error.with_part(part))?;
            }
        }
        let last = first + pipeline.stages.len();
        let sinks = pipeline.sinks.iter().enumerate().map(|(at, sink)| {
            let ports = match (sink.spec.takes(), &sink.from) {
                (Takes::Records, from) => known.ports(from.as_ref(), last, &[]),
                (Takes::Rejections, None) => Ok(Vec::new()),
                (Takes::Rejections, Some(_)) => Err(Error::config(
                    "`from` has no effect here: what was set aside is given to this sink, whichever part did it",
                )
                .with_help("leave `from` out")),
            };
            ports.map_err(|error| error.with_part(Part::Sink(at)))
        });
        let graph = Self { stages, sinks: sinks.collect::<Result<_>>()? };
        graph.check_taken(first)?;
        Ok(graph)
    }

    /// The ports that sinks take from.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.sinks.iter().flatten().copied().collect()
    }

    /// Whether a part takes from several others: then records are told apart by where they came from.
    pub(crate) fn joins(&self) -> bool {
        self.stages.iter().chain(&self.sinks).any(|ports| ports.len() > 1)
    }

    /// Whether all that comes out of `port` goes to the stage behind it and nowhere else.
    pub(crate) fn goes_on_alone(&self, port: usize) -> bool {
        let is_taken = |ports: &&Vec<usize>| ports.contains(&port);
        self.stages.get(port).is_some_and(|ports| *ports == [port])
            && self.stages.iter().chain(&self.sinks).filter(is_taken).count() == 1
    }

    /// A stage that nothing takes from does its work in vain.
    fn check_taken(&self, first: usize) -> Result<()> {
        let is_taken =
            |port: usize| self.stages.iter().chain(&self.sinks).flatten().any(|&taken| taken == port);
        match (first..self.stages.len()).find(|&at| !is_taken(at + 1)) {
            None => Ok(()),
            Some(at) => Err(Error::config("nothing takes the records of this stage")
                .with_help(
                    "give it a `name`, and a stage or sink behind it `from` with that name; or leave it out",
                )
                .with_part(Part::Stage(at - first))),
        }
    }
}

/// The names of the stages from `at` on, which nothing before them can take from.
fn later(pipeline: &Pipeline, at: usize) -> Vec<&str> {
    pipeline.stages[at..].iter().filter_map(|entry| entry.name.as_deref()).collect()
}

/// What may be taken from, by name.
struct Known<'p> {
    names: Vec<(&'p str, usize)>,
}

impl<'p> Known<'p> {
    fn add(&mut self, name: &'p str, port: usize) -> Result<()> {
        if name.is_empty() {
            return Err(
                Error::config("`name` is empty").with_help("leave it out, or write a name for `from`")
            );
        }
        if self.names.first().is_some_and(|(source, _)| *source == name) {
            return Err(Error::config(format!("the source is called {name:?} already"))
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

    /// The ports that `from` names; `before` where it is not given. `later` are names of parts that stand behind.
    fn ports(&self, from: Option<&Names>, before: usize, later: &[&str]) -> Result<Vec<usize>> {
        let Some(from) = from else { return Ok(vec![before]) };
        let mut ports = Vec::new();
        for name in from.as_slice() {
            let port = self.find(name).ok_or_else(|| self.unknown(name, later))?;
            if ports.contains(&port) {
                return Err(Error::config(format!("`from` names {name:?} twice"))
                    .with_help("a part takes each record once: name it once"));
            }
            ports.push(port);
        }
        match ports.is_empty() {
            true => {
                Err(Error::config("`from` names nothing")
                    .with_help("leave it out to take from the part before"))
            }
            false => Ok(ports),
        }
    }

    fn unknown(&self, name: &str, later: &[&str]) -> Error {
        if later.contains(&name) {
            return Error::config(format!("`from` = {name:?} does not stand before this part"))
                .with_help("move this part behind the one that it takes from");
        }
        let names: Vec<_> = self.names.iter().map(|(name, _)| *name).collect();
        let error = Error::config(format!("`from` = {name:?}: no part before this one has that `name`"));
        error.with_help(match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the names here are {}", list(&names)),
        })
    }
}
