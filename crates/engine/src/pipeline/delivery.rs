//! What a run with a state folder promises of each sink's output.

use std::fmt;

use super::{Pipeline, SinkEntry};
use crate::sink::Repeat;
use crate::source::Traits;

/// How often a record is in a sink's output, whatever was killed and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once: the source can be read again, and the sink goes on where it was.
    ExactlyOnce,
    /// Once, and what was handed over after the last checkpoint once more.
    AtLeastOnce,
    /// Once, but for what was read after the last checkpoint: it cannot be read again.
    AtMostOnce,
    /// Some records are missing, and others are there twice: neither end can go back.
    AnyNumber,
}

impl Delivery {
    /// That of one sink.
    #[must_use]
    pub fn of(source: Traits, sink: &SinkEntry) -> Self {
        match (source.is_kept, sink.spec.repeat() == Repeat::Harmless) {
            (true, true) => Self::ExactlyOnce,
            (true, false) => Self::AtLeastOnce,
            (false, true) => Self::AtMostOnce,
            (false, false) => Self::AnyNumber,
        }
    }

    /// What it means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "nothing lost, nothing twice",
            Self::AtLeastOnce => "what was handed over after the last checkpoint comes again",
            Self::AtMostOnce => "what was read after the last checkpoint is gone when the process dies",
            Self::AnyNumber => {
                "what was read after the last checkpoint is gone when the process dies, what was handed over may come again"
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
    /// What a run with a state folder promises of each sink, in order.
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
