//! Messages for wrong pipeline files. The components here exist for these tests alone.

use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MaxRejects, Plan, Resolved, Spec, SpecError};
use crate::batch::{Batch, Field, Schema};
use crate::error::Result;
use crate::sensor::Sensors;
use crate::sink::{Repeat, Sink, SinkSpec};
use crate::source::{OpenOptions, Recovery, Source, SourceSpec, Traits};
use crate::stage::{Flow, Process, Reach, Stage, parameters_of};

inventory::submit! { crate::source::Component::of::<Nothing>("test_nothing", "gives no records") }
inventory::submit! { crate::stage::Component::of::<Limit>("test_limit", "does nothing within limits") }
inventory::submit! { crate::sink::Component::of::<Nowhere>("test_nowhere", "drops everything") }

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {
    /// The path that it would read.
    path: String,
    #[serde(default)]
    header: bool,
}

impl SourceSpec for Nothing {
    fn name(&self) -> &str {
        "test_nothing"
    }
    fn parameters(&self) -> Value {
        parameters_of(self)
    }
    fn traits(&self) -> Traits {
        Traits { is_bounded: true, is_replayable: true, is_open: false, recovery: Recovery::Replayed }
    }
    fn open(&self, _options: &OpenOptions) -> Result<Box<dyn Source>> {
        Err(crate::error::Error::config("there is nothing to open"))
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Limit {
    max: Option<f64>,
    window: Window,
    columns: Option<Vec<String>>,
    method: Method,
    sensors: IndexMap<String, Exception>,
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Exception {
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Method {
    #[default]
    MinMax,
    ZScore,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of records such as 20, or a duration such as \"5m\"")]
enum Window {
    Rows(u64),
    Time(String),
}

impl Default for Window {
    fn default() -> Self {
        Self::Rows(1)
    }
}

impl Stage for Limit {
    fn name(&self) -> &str {
        "test_limit"
    }
    fn parameters(&self) -> Value {
        parameters_of(self)
    }
    fn reach(&self) -> Reach {
        Reach::Row
    }
    fn keeps_state(&self) -> bool {
        false
    }
    fn output(&self, input: &Schema) -> Result<Schema> {
        input.select(self.columns.as_deref())?;
        Ok(input.clone())
    }
    fn start(&self, _input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        Ok(Box::new(|batch: Batch, _: &Sensors, _: &mut Flow| Ok(batch)))
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nowhere {}

impl SinkSpec for Nowhere {
    fn name(&self) -> &str {
        "test_nowhere"
    }
    fn parameters(&self) -> Value {
        parameters_of(self)
    }
    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }
    fn open(&self, _schema: &Arc<Schema>, _context: &crate::sink::SinkContext) -> Result<Box<dyn Sink>> {
        Err(crate::error::Error::config("there is nowhere to write"))
    }
}

const SOURCE: &str = "[source]\ntype = 'test_nothing'\npath = 'x'\n";
const SINK: &str = "[[sink]]\ntype = 'test_nowhere'\n";

fn spec(text: &str) -> Spec {
    Spec::new("p.toml", text).with_variables(|name| match name {
        "LIMIT" => Some("90.5".into()),
        "WINDOW" => Some("20".into()),
        "DIR" => Some("data".into()),
        _ => None,
    })
}

fn resolve(text: &str) -> Result<Resolved, SpecError> {
    spec(text).resolve()
}

/// The messages for a stage with these lines.
fn stage_errors(lines: &str) -> String {
    let text = format!("{SOURCE}[[stage]]\ntype = 'test_limit'\n{lines}\n{SINK}");
    resolve(&text).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_typo_is_underlined_and_the_nearest_option_named() {
    assert_eq!(
        stage_errors("maxx = 3"),
        "\
error: unknown option `maxx`
 --> p.toml:6:1
  |
6 | maxx = 3
  | ^^^^
  |
  = help: did you mean `max`?"
    );
}

#[test]
fn a_wrong_type_is_said_in_plain_words() {
    assert_eq!(
        stage_errors("max = 'hot'"),
        "\
error: expected a number, found text \"hot\"
 --> p.toml:6:7
  |
6 | max = 'hot'
  |       ^^^^^"
    );
}

#[test]
fn errors_come_all_at_once() {
    let text = "[source]
type = 'test_nothing'
header = 'yes'
max_rejects = 'few'
[[stage]]
type = 'test_limit'
max = 'hot'
method = 'min_mx'
windw = 3
columns = ['a', 5]
sensors.'press-*' = { mni = 80.0, max = 'b', min = 'c' }
[[stage]]
type = 'test_limt'
[[sink]]
type = 'test_nowhere'
sensors = 'a'
[extra]
";
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let all: Vec<_> = resolve(text)
        .err()
        .into_iter()
        .flat_map(|error| error.diagnostics)
        .map(|d| format!("{} {}", line(d.span.start), d.message))
        .collect();
    assert_eq!(
        all,
        [
            "1 the option `path` is missing",
            "3 expected true or false, found text \"yes\"",
            "4 expected a count such as 100, or a fraction such as 0.01",
            "7 expected a number, found text \"hot\"",
            "8 unknown value `min_mx`",
            "9 unknown option `windw`",
            "10 expected text in quotes, found `5`",
            "11 unknown option `mni`",
            "11 expected a number, found text \"b\"",
            "11 expected a number, found text \"c\"",
            "13 there is no stage `test_limt`",
            "16 expected a list, such as [\"a\", \"b\"], found text \"a\"",
            "17 unknown table `extra`",
        ]
    );
}

#[test]
fn an_unknown_type_lists_what_there_is() {
    let error =
        resolve(&format!("{SOURCE}[[sink]]\ntype = 'test_nowher'\n")).err().expect("wrong").to_string();
    assert!(
        error.starts_with(
            "\
error: there is no sink `test_nowher`
 --> p.toml:5:8
  |
5 | type = 'test_nowher'
  |        ^^^^^^^^^^^^^
  |
  = help: did you mean `test_nowhere`? the sinks here are `"
        ),
        "{error}"
    );
}

#[test]
fn a_missing_type_and_a_stage_among_the_sinks_are_said() {
    let error = resolve(&format!("{SOURCE}[[sink]]\n[[sink]]\ntype = 'test_limit'\n")).err().expect("wrong");
    assert_eq!(error.diagnostics[0].message, "this sink has no `type`");
    assert!(error.diagnostics[1].help.as_deref().unwrap_or_default().starts_with("`test_limit` is a stage;"));
}

#[test]
fn an_undefined_variable_is_pointed_at() {
    assert_eq!(
        resolve(&format!("[source]\ntype = 'test_nothing'\npath = '${{DIR}}/${{FILE}}'\n{SINK}"))
            .err()
            .expect("wrong")
            .to_string(),
        "\
error: the variable `FILE` is not set
 --> p.toml:3:16
  |
3 | path = '${DIR}/${FILE}'
  |                ^^^^^^^
  |
  = help: set it, or give it a default: `${FILE:-…}`"
    );
}

#[test]
fn a_variable_can_be_a_number_or_a_boolean_where_one_is_wanted() {
    let text = format!(
        "[source]\ntype = 'test_nothing'\npath = '${{LIMIT}}'\nheader = '${{H:-true}}'\nmax_rejects = '${{WINDOW}}'\n\
         [[stage]]\ntype = 'test_limit'\nmax = '${{LIMIT}}'\nsensors.a = {{ min = '${{WINDOW}}' }}\n{SINK}"
    );
    let pipeline = resolve(&text).expect("fine").pipeline;
    assert_eq!(pipeline.sources[0].spec.parameters(), serde_json::json!({ "path": "90.5", "header": true }));
    assert_eq!(pipeline.sources[0].input.max_rejects, Some(MaxRejects::Count(20)));
    assert_eq!(pipeline.stages[0].stage.parameters()["max"], 90.5);
    assert_eq!(pipeline.stages[0].stage.parameters()["sensors"]["a"]["min"], 20.0);
    assert_eq!(
        stage_errors("max = '${DIR}'").lines().next(),
        Some("error: expected a number, found text \"${DIR}\"")
    );
}

#[test]
fn what_is_set_on_the_command_line_is_pointed_at_there() {
    let text = format!("{SOURCE}[[stage]]\ntype = 'test_limit'\nmax = 3\n{SINK}");
    let set = |argument: &str| spec(&text).with_set(argument).resolve();
    let fine = set("stage.0.sensors.\"press-*\".max=90").expect("fine");
    assert_eq!(fine.pipeline.stages[0].stage.parameters()["sensors"]["press-*"]["max"], 90.0);
    let message = |argument: &str| set(argument).err().expect("wrong").to_string();
    assert_eq!(
        message("stage.0.max=hot"),
        "\
error: expected a number, found text \"hot\"
 --> --set:1:13
  |
1 | stage.0.max=hot
  |             ^^^"
    );
    assert_eq!(
        message("stage.0.maxx=9"),
        "\
error: unknown option `maxx`
 --> --set:1:9
  |
1 | stage.0.maxx=9
  |         ^^^^
  |
  = help: did you mean `max`?"
    );
    assert_eq!(
        message("stage.7.max=90"),
        "\
error: there is no `stage.7`
 --> --set:1:7
  |
1 | stage.7.max=90
  |       ^
  |
  = help: there is only `stage.0`"
    );
}

#[test]
fn an_error_of_the_plan_points_at_its_stage() {
    let text = format!("{SOURCE}[[stage]]\ntype = 'test_limit'\ncolumns = ['flow']\n{SINK}");
    let resolved = resolve(&text).expect("written well");
    let schema = Schema::new(vec![Field::sensor("sensor"), Field::measurement("value")]);
    let error =
        Plan::new(&resolved.pipeline, vec![Arc::new(schema.expect("schema"))]).err().expect("no such column");
    let error = resolved.locate(error).expect("a place");
    assert_eq!(
        error.to_string(),
        "\
error: stage 0 (test_limit): no column `flow`
 --> p.toml:4:1
  |
4 | [[stage]]
  | ^^^^^^^^^
  |
  = help: the measurements are `value`"
    );
}

/// The error of planning a pipeline with these lines in its source and these sinks.
fn plan_error(source: &str, sinks: &str) -> String {
    let text = format!("{SOURCE}{source}\n{sinks}");
    let resolved = resolve(&text).expect("written well");
    let schema = Schema::new(vec![Field::sensor("sensor"), Field::measurement("value")]);
    let error =
        Plan::new(&resolved.pipeline, vec![Arc::new(schema.expect("schema"))]).err().expect("senseless");
    resolved.locate(error).expect("a place").to_string()
}

#[test]
fn two_sinks_of_one_file_are_found_however_its_path_is_written() {
    let sinks =
        "[[sink]]\ntype = 'csv'\npath = 'out/a.csv'\n[[sink]]\ntype = 'jsonl'\npath = './out/./a.csv'\n";
    let error = plan_error("", sinks);
    assert!(
        error.contains("`./out/./a.csv` is both the output of sink 0 (csv) and the output of sink 1 (jsonl)"),
        "{error}"
    );
    assert!(error.contains("8 | [[sink]]"), "{error}");
}

#[test]
fn a_share_of_rejects_is_from_nothing_to_all() {
    for share in ["-0.5", "1.5", "nan"] {
        let error = plan_error(&format!("max_rejects = {share}"), SINK);
        assert!(error.contains("is neither a count nor a fraction"), "{error}");
        assert!(error.contains(&format!("| max_rejects = {share}")), "{error}");
    }
}

#[test]
fn what_holds_for_the_input_points_at_the_source() {
    let error = plan_error("order = 'time'", SINK);
    assert!(error.contains("needs `disorder`") && error.contains("| order = 'time'"), "{error}");
}

#[test]
fn text_that_is_no_toml_is_pointed_at() {
    let error = resolve("[source]\ntype = csv\n").err().expect("wrong").to_string();
    assert!(error.contains("p.toml:2:8"), "{error}");
}

#[test]
fn a_file_of_something_else_does_not_fill_the_screen() {
    let error = resolve(&"2026-01-01T00:00:00Z,s0,1.5\n".repeat(3000)).err().expect("no TOML").to_string();
    assert!(error.ends_with("more; is it a pipeline file?"), "{error}");
    assert!(error.lines().count() < 200, "{error}");
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let error = resolve("").err().expect("wrong");
    let messages: Vec<_> = error.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(messages, ["there is no `[source]`", "there is no `[[sink]]`"]);
    assert!(error.to_string().contains("p.toml"), "{error}");
}

#[test]
fn single_and_double_brackets_are_told_apart() {
    let error = resolve("source = 1\n[stage]\n[sink]\n").err().expect("wrong");
    let help: Vec<_> = error.diagnostics.iter().filter_map(|d| d.help.as_deref()).collect();
    assert_eq!(
        help,
        [
            "write `[[source]]`, in double brackets",
            "write `[[stage]]`, in double brackets",
            "write `[[sink]]`, in double brackets"
        ]
    );
}

#[test]
fn the_report_of_the_library_says_no_value_of_a_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("in.csv"), "s,v\na,1\na,hunter2-XYZZY\na,2\n").expect("written");
    let text = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\nmeasurements = ['v']\n\
        [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\nname = 'n-${TOKEN}'\npath = 'alerts'\n";
    let spec = Spec::new("p.toml", text).with_base(folder.path());
    let spec = spec.with_variables(|name| (name == "TOKEN").then(|| "hunter2-XYZZY".into()));
    let report = spec.resolve().expect("a pipeline").pipeline.run().expect("a run");
    assert_eq!(report.remarks, ["alert n-${TOKEN}: 1 raised, 1 still open"]);
    assert!(report.rejects.first[0].raw.ends_with("${TOKEN}"), "{report:?}");
    assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
}
