//! The source `opcua`.
//!
//! | module | |
//! |---|---|
//! | `link` | the thread of the sessions, one after another |
//! | `monitor` | the subscription of a session |
//! | `subscription` | values as they come |
//! | `history` | values that the server has kept |
//! | `page` | a page of them |
//! | `position` | where a run is among them |
//! | `readings` | values as readings |

mod history;
mod link;
mod monitor;
mod page;
mod position;
mod readings;
mod subscription;

use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaOf};
use serde::{Deserialize, Serialize};
use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, MessageSource, Messages, READING};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::options::{Configure, Options, merged};
use tidemill_engine::probe::Probe;
use tidemill_engine::source::{Component, OpenOptions, Recovery, Source, SourceSpec, Traits};

use self::history::Historian;
use self::monitor::{Parameters, Wanted};
use self::readings::{Readings, envelope};
use self::subscription::Receiver;
use crate::nodes::Target;
use crate::options::{Connection, duration};

pub use self::history::History;
pub use self::readings::Bad;

/// What is read of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Monitoring {
    /// The nodes to read: ids such as "ns=2;s=Line1.Temp", and browse paths from the root such as "Objects/Plant/Line1/Temperature". In a path, `*` stands for any characters of a
    /// level, `**` for any number of levels, and a name in braces for a level that becomes a column: "Objects/{line}/**/Temperature". A level named `sensor` is the sensor; without
    /// one it is the path behind "Objects/", or the id. `2:Plant` is the name in namespace 2; `&` takes its meaning from the character behind it. Wildcards match no
    /// properties, and not the object Server.
    pub nodes: Vec<String>,
    /// Fields that become columns of text: `@node` (the id), `@path`, `@name` (the browse name), `@status` (the name of the status code), `@low` and `@high` (the range,
    /// EURange), `@arrival`.
    #[serde(default)]
    pub fields: Vec<String>,
    /// What becomes of a value whose status is Bad: "null" (a record without a value), "reject", or "keep".
    #[serde(default)]
    pub bad: Bad,
    /// Reads what the server has kept, instead of what comes: history = { from = "2026-01-01", to = "2026-02-01" }, from `from` on and before `to`; without `to`, what there is
    /// when the run begins.
    #[serde(default)]
    pub history: Option<History>,
    /// How often the server sends what has changed.
    #[serde(default = "publishing_interval")]
    pub publishing_interval: String,
    /// How often the server looks at a value; by default as often as it sends.
    #[serde(default)]
    pub sampling_interval: Option<String>,
    /// How many values of a node the server keeps until it sends them. It may keep fewer.
    #[serde(default = "queue_size")]
    pub queue_size: u32,
    /// Only changes of at least so much are sent, in the unit of the value.
    #[serde(default)]
    pub deadband: Option<f64>,
    /// Only changes of at least so many percent of the node's range are sent, 0 to 100.
    #[serde(default)]
    pub deadband_percent: Option<f64>,
}

fn publishing_interval() -> String {
    "500ms".to_owned()
}

fn queue_size() -> u32 {
    100
}

/// Values of nodes of an OPC UA server: as they change, or as the server has kept them. Records have the columns `time` (of the source, or else of the server, or else of arrival),
/// `sensor`, `value`, `text` (of values that are text), `unit` (EngineeringUnits) and `quality` (Good, Uncertain or Bad).
#[derive(Clone, Debug)]
pub struct OpcUa {
    /// The server.
    pub connection: Connection,
    /// What is read.
    pub monitoring: Monitoring,
    /// The columns.
    pub columns: ColumnOptions,
}

inventory::submit! { Component::of::<OpcUa>("opcua", "values of nodes of an OPC UA server, as they change or from its history") }

impl Monitoring {
    /// Values of `nodes` as they change.
    pub fn new(nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            fields: Vec::new(),
            bad: Bad::default(),
            history: None,
            publishing_interval: publishing_interval(),
            sampling_interval: None,
            queue_size: queue_size(),
            deadband: None,
            deadband_percent: None,
        }
    }

    fn parameters(&self) -> Result<Parameters> {
        if self.history.is_some() {
            self.check_history()?;
        }
        let publishing = duration("publishing_interval", &self.publishing_interval)?;
        let sampling = self.sampling_interval.as_ref().map(|text| duration("sampling_interval", text));
        if self.queue_size == 0 {
            return Err(Error::config("`queue_size` must be at least 1"));
        }
        if self.deadband.is_some() && self.deadband_percent.is_some() {
            return Err(Error::config("`deadband` and `deadband_percent` contradict each other"));
        }
        if self.deadband.is_some_and(|change| !(change.is_finite() && change >= 0.0)) {
            return Err(Error::config("`deadband` must be a number that is not negative"));
        }
        if self.deadband_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return Err(Error::config("`deadband_percent` must be between 0 and 100"));
        }
        Ok(Parameters {
            publishing,
            sampling: sampling.transpose()?.unwrap_or(publishing),
            queue_size: self.queue_size,
            deadband: self.deadband,
            deadband_percent: self.deadband_percent,
        })
    }
}

impl Monitoring {
    /// Options of values as they come are not given with a history.
    fn check_history(&self) -> Result<()> {
        let unused = [
            ("publishing_interval", self.publishing_interval != publishing_interval()),
            ("sampling_interval", self.sampling_interval.is_some()),
            ("queue_size", self.queue_size != queue_size()),
            ("deadband", self.deadband.is_some()),
            ("deadband_percent", self.deadband_percent.is_some()),
        ];
        match unused.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((option, _)) => Err(Error::config(format!("`{option}` has no effect with `history`"))
                .with_help("leave it out: values are read as the server has kept them")),
        }
    }
}

impl OpcUa {
    /// Values of `nodes` of the server at `url`, as they change.
    pub fn new(url: impl Into<String>, nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            connection: Connection::new(url),
            monitoring: Monitoring::new(nodes),
            columns: ColumnOptions::default(),
        }
    }
}

impl Configure for OpcUa {
    fn schemas() -> Vec<JsonSchemaOf> {
        vec![
            schemars::schema_for!(Connection),
            schemars::schema_for!(Monitoring),
            schemars::schema_for!(ColumnOptions),
        ]
    }

    fn configure(options: &mut Options<'_>) -> Option<Self> {
        let (connection, monitoring, columns) = (options.take(), options.take(), options.take());
        Some(Self { connection: connection?, monitoring: monitoring?, columns: columns? })
    }
}

impl SourceSpec for OpcUa {
    fn name(&self) -> &str {
        "opcua"
    }

    fn parameters(&self) -> serde_json::Value {
        merged([
            serde_json::to_value(&self.connection).unwrap_or_default(),
            serde_json::to_value(&self.monitoring).unwrap_or_default(),
            serde_json::to_value(&self.columns).unwrap_or_default(),
        ])
    }

    fn traits(&self) -> Traits {
        match &self.monitoring.history {
            // Nobody keeps what the server has sent, or could not send.
            None => {
                Traits { is_bounded: false, is_replayable: false, is_open: true, recovery: Recovery::Lost }
            }
            Some(history) => Traits {
                is_bounded: true,
                is_replayable: history.to.is_some(),
                is_open: false,
                recovery: Recovery::Replayed,
            },
        }
    }

    fn with_base(&self, base: &Base) -> Option<Arc<dyn SourceSpec>> {
        Some(Arc::new(Self { connection: self.connection.with_base(base), ..self.clone() }))
    }

    fn can_resume(&self) -> bool {
        self.monitoring.history.is_some()
    }

    fn probe(&self, probe: &mut Probe) {
        if let Ok(targets) = Target::all(&self.monitoring.nodes) {
            crate::probe::probe(&self.connection, &targets, probe);
        }
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        self.connection.check()?;
        let parameters = self.monitoring.parameters()?;
        let targets = Target::all(&self.monitoring.nodes)?;
        let messages = Messages::readings(self.columns.clone(), self.monitoring.fields.clone());
        let url = self.connection.url.as_str();
        let decoding = messages.decoding(url, &envelope(levels(&targets)?), options)?;
        let readings = Readings::new(&decoding.fields, self.monitoring.bad);
        let lines = Lines::new(decoding, url, options.chunk_size);
        let connection = self.connection.clone();
        if let Some(history) = &self.monitoring.history {
            let historian = Historian::new(connection, targets, history, readings, options)?;
            return Ok(Box::new(MessageSource::new(historian, lines)));
        }
        let (hidden, clock) = (Arc::default(), options.clock.clone());
        let wanted = Wanted { connection, targets, parameters, clock, hidden: Arc::clone(&hidden) };
        let receiver = Receiver {
            wanted: Some(wanted),
            readings,
            stop: Arc::clone(&options.stop),
            inbox: Arc::new(Inbox::new(options.meter.clone())),
            link: None,
            arrived: Vec::new().into_iter(),
            closed: None,
            hidden,
        };
        Ok(Box::new(MessageSource::new(receiver, lines)))
    }
}

/// The names of levels that become columns.
fn levels(targets: &[Target]) -> Result<Vec<String>> {
    let names = Target::names(targets);
    match names.iter().find(|name| READING.contains(&name.as_str())) {
        None => Ok(names),
        Some(taken) => Err(Error::config(format!(
            "`nodes`: a level has the name `{taken}`, as a column of every record has"
        ))
        .with_help("give it another name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_refused_before_anybody_is_asked() {
        let plain = || OpcUa::new("opc.tcp://127.0.0.1:9", ["Objects/a"]);
        assert!(plain().open(&OpenOptions::default()).is_ok());
        let with = |monitoring: Monitoring| OpcUa { monitoring, ..plain() };
        let monitoring = || plain().monitoring;
        let history = |from: &str, to: &str| History { to: Some(to.into()), ..History::new(from) };
        for (wrong, option) in [
            (with(Monitoring { nodes: Vec::new(), ..monitoring() }), "`nodes`"),
            (with(Monitoring { nodes: vec!["Objects/{value}".into()], ..monitoring() }), "`value`"),
            (with(Monitoring { queue_size: 0, ..monitoring() }), "`queue_size`"),
            (with(Monitoring { deadband: Some(-1.0), ..monitoring() }), "`deadband`"),
            (with(Monitoring { deadband_percent: Some(101.0), ..monitoring() }), "`deadband_percent`"),
            (
                with(Monitoring { deadband: Some(1.0), deadband_percent: Some(1.0), ..monitoring() }),
                "contradict",
            ),
            (
                with(Monitoring { publishing_interval: "soon".into(), ..monitoring() }),
                "`publishing_interval`",
            ),
            (with(Monitoring { fields: vec!["@topic".into()], ..monitoring() }), "`fields`"),
            (with(Monitoring { history: Some(history("soon", "2026-01-01")), ..monitoring() }), "`history`"),
            (
                with(Monitoring { history: Some(history("2026-01-02", "2026-01-01")), ..monitoring() }),
                "`history`",
            ),
        ] {
            let error = wrong.open(&OpenOptions::default()).err().expect(option).to_string();
            assert!(error.contains(option), "{option}: {error}");
        }
    }

    #[test]
    fn options_without_effect_on_a_history_are_refused() {
        let history =
            || Monitoring { history: Some(History::new("2026-01-01")), ..Monitoring::new(["Objects/a"]) };
        assert!(history().parameters().is_ok());
        for (wrong, option) in [
            (Monitoring { publishing_interval: "1s".into(), ..history() }, "`publishing_interval`"),
            (Monitoring { sampling_interval: Some("1s".into()), ..history() }, "`sampling_interval`"),
            (Monitoring { queue_size: 7, ..history() }, "`queue_size`"),
            (Monitoring { deadband: Some(1.0), ..history() }, "`deadband`"),
            (Monitoring { deadband_percent: Some(1.0), ..history() }, "`deadband_percent`"),
        ] {
            let error = wrong.parameters().expect_err(option).to_string();
            assert!(error.contains(&format!("{option} has no effect")), "{error}");
        }
    }
}
