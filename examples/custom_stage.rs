//! A custom stage in a separate crate, used from a pipeline file: the difference from one
//! reading to the next. Run it with `cargo run --example custom_stage`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Field, Schema};
use tidemill::stage::{Component, Run, SeriesStage};
use tidemill::{Pipeline, Result};

/// The options, as written in the pipeline file.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delta {
    /// The name of the new column; `{column}` stands for the measurement's.
    #[serde(default = "default_into")]
    into: String,
}

fn default_into() -> String {
    "{column}_delta".into()
}

impl SeriesStage for Delta {
    /// The state of one series: its last value.
    type State = Option<f64>;
    type Bound = ();

    fn name(&self) -> &str {
        "delta"
    }

    fn outputs(&self, column: &str) -> Vec<Field> {
        vec![Field::measurement(self.into.replace("{column}", column))]
    }

    fn bind(&self, _input: &Schema) -> Result<()> {
        Ok(())
    }

    fn state(&self, _bound: &(), _sensor: &str, _column: &str) -> Option<f64> {
        None
    }

    fn step(&self, _bound: &(), last: &mut Option<f64>, run: &mut Run<'_>) -> Result<()> {
        for at in 0..run.len() {
            let value = run.value(at);
            run.push(0, value.zip(*last).map(|(new, old)| new - old));
            *last = value.or(*last);
        }
        Ok(())
    }
}

tidemill::submit! { Component::series::<Delta>("delta", "the difference from one reading to the next") }

const PIPELINE: &str = r#"
    [source]
    type = "synthetic"
    records = 1000

    [[stage]]
    type = "delta"

    [[sink]]
    type = "console"
    limit = 10
"#;

fn main() -> Result<()> {
    let report = Pipeline::from_toml(PIPELINE)?.run()?;
    assert_eq!(report.stages[0].ledger.output, 1000);
    Ok(())
}
