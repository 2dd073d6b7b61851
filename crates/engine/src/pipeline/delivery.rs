//! Delivery guarantees: what a run with a state folder guarantees for the records of each source in the output of each sink.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sources::source_label;
use super::{Graph, OnFailure, Pipeline, SinkEntry};
use crate::error::{Error, PartIndex, Result};
use crate::sink::Repeat;
use crate::source::{Recovery, SourceSpec};

/// The delivery guarantee of a sink's output, across kills and restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Exactly once: nothing is lost, nothing is repeated.
    ExactlyOnce,
    /// At least once: nothing is lost.
    AtLeastOnce,
    /// At most once: nothing is repeated.
    AtMostOnce,
    /// No guarantee: some records may be lost, and others duplicated.
    AnyNumber,
}

/// The guarantee that a sink must have: otherwise its pipeline is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// Exhaustive: nothing may be lost or repeated, or nothing may be lost.
pub enum Required {
    /// Nothing may be lost, and nothing repeated.
    ExactlyOnce,
    /// Nothing may be lost.
    AtLeastOnce,
}

/// What is guaranteed between a source and a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// The index of the source.
    pub source: usize,
    /// The index of the sink.
    pub sink: usize,
    losses: Vec<&'static str>,
    repeats: Vec<&'static str>,
}

impl Guarantee {
    /// Between a source and a sink, by their indices.
    fn new(at: (usize, usize), source: &dyn SourceSpec, sink: &SinkEntry) -> Self {
        let (mut losses, mut repeats) = (source.losses(), source.repeats());
        match source.traits().recovery {
            Recovery::Replayed => {}
            Recovery::Redelivered => repeats.push("the source may be sent records again"),
            Recovery::Lost => {
                losses.push("records read after the last checkpoint are lost if the process is killed")
            }
        }
        losses.extend(sink.spec.losses());
        if sink.spec.repeat() == Repeat::Duplicates {
            repeats.push("records written after the last checkpoint are written again");
        }
        if sink.on_failure == Some(OnFailure::Drop) {
            losses.push("what cannot be delivered is dropped: `on_failure = \"drop\"`");
        }
        Self { source: at.0, sink: at.1, losses, repeats }
    }

    /// Its name.
    pub fn delivery(&self) -> Delivery {
        match (self.losses.is_empty(), self.repeats.is_empty()) {
            (true, true) => Delivery::ExactlyOnce,
            (true, false) => Delivery::AtLeastOnce,
            (false, true) => Delivery::AtMostOnce,
            (false, false) => Delivery::AnyNumber,
        }
    }

    /// Its name and the reasons; with the source, if there are several.
    pub fn told(&self, pipeline: &Pipeline) -> String {
        let told = format!("{}: {}", self.delivery(), self.reasons());
        match pipeline.sources.len() {
            1 => told,
            _ => format!("from {}, {told}", source_label(pipeline, self.source)),
        }
    }

    fn reasons(&self) -> String {
        match self.delivery() {
            Delivery::ExactlyOnce => "nothing is lost, nothing is duplicated".to_owned(),
            _ => [&*self.losses, &*self.repeats].concat().join("; "),
        }
    }

    /// Checks it against what the sink must have.
    fn check(&self, required: Required, pipeline: &Pipeline) -> Result<()> {
        let (name, against) = match required {
            Required::ExactlyOnce => ("exactly_once", [&*self.losses, &*self.repeats].concat()),
            Required::AtLeastOnce => ("at_least_once", self.losses.clone()),
        };
        if against.is_empty() {
            return Ok(());
        }
        let (from, why) = (source_label(pipeline, self.source), against.join("; "));
        Err(Error::config(format!("`delivery = \"{name}\"` cannot be had from {from}: {why}"))
            .with_help(format!("without `delivery`, records are delivered {}", self.delivery()))
            .with_part(PartIndex::Sink(self.sink)))
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly once",
            Self::AtLeastOnce => "at least once",
            Self::AtMostOnce => "at most once",
            Self::AnyNumber => "any number of times",
        })
    }
}

impl Pipeline {
    /// The guarantee of each source for each sink that its records reach, for a run with a state folder: sink by sink.
    ///
    /// # Errors
    /// A configuration error if the parts are not connected as they should be.
    pub fn guarantees(&self) -> Result<Vec<Guarantee>> {
        Ok(self.guarantees_in(&Graph::new(self)?))
    }

    pub(crate) fn guarantees_in(&self, graph: &Graph) -> Vec<Guarantee> {
        let sinks = self.sinks.iter().enumerate();
        let all = sinks.flat_map(|(at, sink)| {
            let sources = graph.sources_of_sink(at).into_iter();
            sources.map(move |source| Guarantee::new((source, at), &*self.sources[source].spec, sink))
        });
        all.collect()
    }

    /// Checks that a run without a state folder is not one that needs it for its guarantees.
    ///
    /// # Errors
    /// A configuration error that names the sink.
    pub(crate) fn check_stateless(&self) -> Result<()> {
        match self.sinks.iter().position(|sink| sink.delivery.is_some()) {
            None => Ok(()),
            Some(at) => Err(Error::config(format!(
                "sink {at} ({}): `delivery` cannot be had without checkpoints",
                self.sinks[at].spec.name()
            ))
            .with_help("run with --state DIR; or leave `delivery` out")
            .with_part(PartIndex::Sink(at))),
        }
    }
}

/// Checks that every sink has the guarantee that it must have.
///
/// # Errors
/// A configuration error that names the source and the reason.
pub(super) fn check(pipeline: &Pipeline, graph: &Graph) -> Result<()> {
    pipeline.guarantees_in(graph).iter().try_for_each(|guarantee| {
        let required = pipeline.sinks[guarantee.sink].delivery;
        required.map_or(Ok(()), |required| guarantee.check(required, pipeline))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::Schema;
    use crate::sink::{Sink, SinkContext, SinkSpec};
    use crate::source::{OpenOptions, Source, Traits};

    fn pipeline(path: &str, delivery: &str) -> Pipeline {
        let toml = format!(
            "[source]\ntype = 'csv'\npath = '{path}'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n{delivery}\n[[sink]]\ntype = 'csv'\npath = '-'"
        );
        Pipeline::from_toml(&toml).expect("a pipeline")
    }

    fn deliveries(pipeline: &Pipeline) -> Vec<Delivery> {
        pipeline.guarantees().expect("a graph").iter().map(Guarantee::delivery).collect()
    }

    #[test]
    fn what_is_promised_depends_on_both_ends() {
        let of = |path: &str| deliveries(&pipeline(path, ""));
        assert_eq!(of("in.csv"), [Delivery::ExactlyOnce, Delivery::AtLeastOnce]);
        for path in ["-", "udp://127.0.0.1:9"] {
            assert_eq!(of(path), [Delivery::AtMostOnce, Delivery::AnyNumber]);
        }
        let sink = &pipeline("in.csv", "").sinks;
        let of = |at: usize, source: &Sender| Guarantee::new((0, at), source, &sink[at]).delivery();
        let sender = |recovery, losses, repeats| Sender { recovery, losses, repeats };
        let redelivers = sender(Recovery::Redelivered, vec![], vec![]);
        assert_eq!([0, 1].map(|at| of(at, &redelivers)), [Delivery::AtLeastOnce; 2]);
        let forgets = sender(Recovery::Redelivered, vec!["nobody keeps them"], vec![]);
        assert_eq!(of(0, &forgets), Delivery::AnyNumber);
        let shares = sender(Recovery::Replayed, vec![], vec!["another one reads them too"]);
        assert_eq!(of(0, &shares), Delivery::AtLeastOnce);
    }

    /// A source with these guarantees.
    struct Sender {
        recovery: Recovery,
        losses: Vec<&'static str>,
        repeats: Vec<&'static str>,
    }

    impl SourceSpec for Sender {
        fn name(&self) -> &str {
            "sender"
        }

        fn parameters(&self) -> serde_json::Value {
            serde_json::Value::Null
        }

        fn traits(&self) -> Traits {
            Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: self.recovery }
        }

        fn losses(&self) -> Vec<&'static str> {
            self.losses.clone()
        }

        fn repeats(&self) -> Vec<&'static str> {
            self.repeats.clone()
        }

        fn open(&self, _options: &OpenOptions) -> Result<Box<dyn Source>> {
            Err(Error::internal("it is not opened"))
        }
    }

    /// A sink that is never answered.
    struct Unanswered;

    impl SinkSpec for Unanswered {
        fn name(&self) -> &str {
            "unanswered"
        }

        fn parameters(&self) -> serde_json::Value {
            serde_json::Value::Null
        }

        fn repeat(&self) -> Repeat {
            Repeat::Harmless
        }

        fn losses(&self) -> Vec<&'static str> {
            vec!["nobody answers"]
        }

        fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
            Err(Error::internal("it is not opened"))
        }
    }

    #[test]
    fn a_sink_that_loses_records_says_why() {
        let mut pipeline = pipeline("in.csv", "delivery = 'at_least_once'");
        pipeline.sinks[0].spec = Arc::new(Unanswered);
        let graph = Graph::new(&pipeline).expect("a graph");
        let guarantee = pipeline.guarantees_in(&graph).remove(0);
        assert_eq!(guarantee.told(&pipeline), "at most once: nobody answers");
        let error = check(&pipeline, &graph).expect_err("it cannot be had").to_string();
        assert!(error.contains("at_least_once") && error.contains("nobody answers"), "{error}");
    }

    #[test]
    fn each_sink_has_the_guarantees_of_the_sources_that_reach_it() {
        let source =
            |name: &str, path: &str| format!("[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{path}'\n");
        let sink = |from: &str| format!("[[sink]]\ntype = 'csv'\npath = '{from}.csv'\nfrom = '{from}'\n");
        let both = "[[stage]]\nname = 'both'\nfrom = ['kept', 'sent']\ntype = 'dedupe'\n";
        let toml = source("kept", "in.csv") + &source("sent", "-") + both + &sink("kept") + &sink("both");
        let pipeline = Pipeline::from_toml(&toml).expect("a pipeline");
        let expected = [Delivery::ExactlyOnce, Delivery::ExactlyOnce, Delivery::AtMostOnce];
        assert_eq!(deliveries(&pipeline), expected);
        let last = pipeline.guarantees().expect("a graph").pop().expect("three").told(&pipeline);
        assert!(last.contains("from source sent") && last.contains("at most once"), "{last}");
    }

    #[test]
    fn a_guarantee_that_cannot_be_had_is_refused_with_the_reason() {
        let check = |path: &str, required: &str| {
            let pipeline = pipeline(path, &format!("delivery = '{required}'"));
            let graph = Graph::new(&pipeline).expect("a graph");
            check(&pipeline, &graph).map_err(|error| error.to_string())
        };
        for required in ["exactly_once", "at_least_once"] {
            assert_eq!(check("in.csv", required), Ok(()));
            let error = check("-", required).expect_err("it cannot be had");
            assert!(error.contains("cannot be had from source") && error.contains("are lost if"), "{error}");
        }
        let error = pipeline("in.csv", "delivery = 'exactly_once'").run().expect_err("no state folder");
        assert!(error.to_string().contains("without checkpoints"), "{error}");
    }
}
