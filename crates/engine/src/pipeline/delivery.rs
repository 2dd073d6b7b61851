//! Delivery guarantees: what a run with a state folder guarantees for the output of each sink.

use std::fmt;

use super::{Pipeline, SinkEntry};
use crate::sink::Repeat;
use crate::source::Traits;

/// The delivery guarantee of a sink's output, across kills and restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Exactly once: the source can be read again, and the sink resumes where it was.
    ExactlyOnce,
    /// At least once: records after the last checkpoint are written again.
    AtLeastOnce,
    /// At most once: records read after the last checkpoint are lost, since they cannot be read again.
    AtMostOnce,
    /// No guarantee: some records may be lost, and others duplicated.
    AnyNumber,
}

impl Delivery {
    /// The guarantee of one sink.
    #[must_use]
    pub fn of(source: Traits, sink: &SinkEntry) -> Self {
        match (source.is_kept, sink.spec.repeat() == Repeat::Harmless) {
            (true, true) => Self::ExactlyOnce,
            (true, false) => Self::AtLeastOnce,
            (false, true) => Self::AtMostOnce,
            (false, false) => Self::AnyNumber,
        }
    }

    /// An explanation.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "nothing is lost, nothing is duplicated",
            Self::AtLeastOnce => "records written after the last checkpoint are written again",
            Self::AtMostOnce => "records read after the last checkpoint are lost if the process is killed",
            Self::AnyNumber => {
                "records after the last checkpoint may be lost or duplicated if the process is killed"
            }
        }
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
    /// The guarantee of each sink for a run with a state folder, in order.
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        let source = self.traits();
        self.sinks.iter().map(move |sink| Delivery::of(source, sink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_depends_on_both_ends() {
        let of = |path: &str| {
            let toml = format!(
                "[source]\ntype = 'csv'\npath = '{path}'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'"
            );
            Pipeline::from_toml(&toml).expect("a pipeline").deliveries().collect::<Vec<_>>()
        };
        assert_eq!(of("in.csv"), [Delivery::ExactlyOnce, Delivery::AtLeastOnce]);
        for path in ["-", "udp://127.0.0.1:9"] {
            assert_eq!(of(path), [Delivery::AtMostOnce, Delivery::AnyNumber]);
        }
    }
}
