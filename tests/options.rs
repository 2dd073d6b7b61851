//! No option of any component is without effect: each has a value here that changes what a run writes or counts, or that is refused.
//! The components and their options are those of the registry, so that a new one without a case fails the test, by name.

#[path = "common/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use command::{folder, run, text, tidemill};
use serde_json::Value;
use tidemill::pipeline::{InputOptions, Spec};
use tidemill::registry::{ComponentKind, components};
use tidemill_engine::pipeline::schema::of_component;

/// The input of every case that has no other: disorder, a null, a NaN, a formula, words.
const INPUT: &str = "t,s,a,b,note\n\
    2026-01-01 00:00:00,x,1.5,10,hello\n\
    2026-01-01 00:00:02,y,2.5,,=1+1\n\
    2026-01-01 00:00:10,x,5.25,-999,on\n\
    2026-01-01 00:00:04,x,3.125,30,off\n\
    2026-01-01 00:00:20,x,NaN,40,on\n\
    2026-01-01 00:00:30,x,1.0625,50,off\n";

/// How the input is read where the source is not what is looked at.
const COLUMNS: &str = "time = 't'\nsensor = 's'\nmeasurements = ['a', 'b']\nmax_rejects = 1.0";

/// Sources of files whose columns are options.
const TABLES: &[&str] = &["csv", "tsv", "jsonl", "parquet"];
const DELIMITED: &[&str] = &["csv", "tsv"];
const MOVING: &[&str] = &["moving_average", "moving_min", "moving_max", "moving_std", "moving_median"];
const FILES: &[&str] = &["csv", "jsonl", "dead_letter"];

/// One option: the components that have it, the options without it and with it.
struct Case {
    kind: ComponentKind,
    components: &'static [&'static str],
    option: &'static str,
    plain: &'static str,
    with: &'static str,
    /// What stands beside the part: for a source, stages.
    more: &'static str,
    input: &'static str,
}

const fn case(
    kind: ComponentKind,
    components: &'static [&'static str],
    option: &'static str,
    plain: &'static str,
    with: &'static str,
) -> Case {
    Case { kind, components, option, plain, with, more: "", input: INPUT }
}

const fn source(
    components: &'static [&'static str],
    option: &'static str,
    plain: &'static str,
    with: &'static str,
) -> Case {
    case(ComponentKind::Source, components, option, plain, with)
}

const fn stage(
    components: &'static [&'static str],
    option: &'static str,
    plain: &'static str,
    with: &'static str,
) -> Case {
    case(ComponentKind::Stage, components, option, plain, with)
}

const fn sink(
    components: &'static [&'static str],
    option: &'static str,
    plain: &'static str,
    with: &'static str,
) -> Case {
    case(ComponentKind::Sink, components, option, plain, with)
}

impl Case {
    const fn over(self, input: &'static str) -> Self {
        Self { input, ..self }
    }

    const fn before(self, more: &'static str) -> Self {
        Self { more, ..self }
    }
}

/// Options whose effect takes more than one run to be seen: which test sees it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("follow", "tests/live/follow.rs"),
    ("from", "tests/graph.rs"),
    ("merge", "tests/sources.rs"),
    ("name", "tests/graph.rs"),
    ("on_failure", "crates/engine/src/files/patient.rs"),
    ("when_full", "tests/live.rs"),
];

/// One value a record, of what `note` says.
const LONG: &str = "t,s,a,b,note,other\n\
    2026-01-01 00:00:00,x,1.5,10,on,off\n2026-01-01 00:00:00,x,2.5,20,off,on\n2026-01-01 00:00:02,x,3.5,30,on,on\n";

/// One sensor that says some of it again, after a while, and falls back.
const TWICE: &str = "t,s,a,b,note\n\
    2026-01-01 00:00:00,x,1.5,10,on\n2026-01-01 00:00:10,x,2.5,10,on\n2026-01-01 00:00:20,x,1.5,10,on\n2026-01-01 00:00:22,x,9.5,10,on\n";

const PIVOT: &str = "key = 'note'\nnames = ['on', 'off']\nvalue = 'a'";

const HOURLY: &str = "[[stage]]\ntype = 'aggregate'\nevery = '1h'\n";

const CASES: &[Case] = &[
    // What holds for any source is the runtime's business: it is looked at with one.
    source(&["csv"], "order", COLUMNS, "order = 'time'\ndisorder = '1m'"),
    source(&["csv"], "disorder", "order = 'time'\ndisorder = '1m'", "order = 'time'\ndisorder = '1s'"),
    source(&["csv"], "agree", "order = 'time'\ndisorder = '1m'", "order = 'time'\ndisorder = '1m'\nagree = 3").over(
        "t,s,a,b\n2026-01-01 00:00:10,x,1,2\n2026-01-01 01:00:00,y,1,2\n2026-01-01 01:00:00,z,1,2\n2026-01-01 00:00:05,x,1,2\n",
    ),
    source(&["csv"], "max_rejects", "max_rejects = 1.0", "max_rejects = 0")
        .over("t,s,a,b\n2026-01-01 00:00:00,x,1,2\n,y,oops,2\n"),
    source(&["csv"], "idle_sensors", "order = 'time'\ndisorder = '1h'", "order = 'time'\ndisorder = '1h'\nidle_sensors = '5s'").over(
        "t,s,a,b\n2026-01-01 00:00:01,x,1,2\n2026-01-01 00:00:01,y,1,2\n2026-01-01 00:00:03,z,1,2\n2026-01-01 00:00:20,x,1,2\n2026-01-01 00:00:20,y,1,2\n",
    ),
    source(&["csv"], "max_sensors", "", "max_sensors = 1"),
    source(&["csv"], "max_sensor_bytes", "", "max_sensor_bytes = 1"),
    source(&["csv"], "max_ahead", "path = '-'", "path = '-'\nmax_ahead = '40000d'")
        .over("t,s,a,b\n2100-01-01 00:00:00,x,1,2\n"),
    source(&["csv"], "from", "", "from = '2026-01-01T00:00:05Z'"),
    source(&["csv"], "until", "", "until = '2026-01-01T00:00:05Z'"),
    source(&["csv"], "max_jump", "", "max_jump = '5s'").over(
        "t,s,a,b\n2026-01-01 00:00:00,x,1,2\n2026-01-01 09:00:00,x,1,2\n2026-01-01 00:00:01,x,1,2\n2026-01-01 00:00:02,x,1,2\n",
    ),
    // Files.
    source(TABLES, "path", "", "path = 'other.csv'"),
    source(&["influx"], "path", "", "path = 'other.csv'"),
    source(TABLES, "sensor_from", "sensor = null", "sensor = null\nsensor_from = 'i{sensor}*'"),
    source(&["influx"], "sensor_from", "", "sensor_from = 'i{sensor}*'"),
    // Columns.
    source(TABLES, "time", "", "time = 'note'"),
    source(TABLES, "time_format", "", "time_format = '%d.%m.%Y'"),
    source(TABLES, "timezone", "", "timezone = 'Europe/Berlin'").before(HOURLY),
    source(
        TABLES,
        "zones",
        "time_format = '%Y-%m-%d %H:%M:%S %Z'",
        "time_format = '%Y-%m-%d %H:%M:%S %Z'\nzones = { ABC = '+01:00' }",
    )
    .over("t,s,a,b\n2026-01-01 00:00:00 ABC,x,1,2\n"),
    source(TABLES, "start", "time_format = 's'", "time_format = 's'\nstart = '2024-01-01T00:00:00Z'")
        .over("t,s,a,b\n0,x,1,2\n1,x,1,2\n")
        .before(HOURLY),
    source(TABLES, "sensor", "", "sensor = 'note'"),
    source(TABLES, "sensor_name", "sensor = null", "sensor = null\nsensor_name = 'plant'"),
    source(TABLES, "measurements", "", "measurements = ['a']").before(
        "[[stage]]
type = 'moving_average'
window = 2
",
    ),
    source(TABLES, "types", "", "types = { a = 'text' }").before(
        "[[stage]]
type = 'moving_average'
window = 2
",
    ),
    source(TABLES, "columns", "", "columns = ['a']"),
    source(TABLES, "rename", "", "rename = { note = 'remark' }"),
    source(
        TABLES,
        "unknown_columns",
        "path = ['less.csv', 'in.csv']",
        "path = ['less.csv', 'in.csv']\nunknown_columns = 'null'",
    ),
    source(TABLES, "null_values", "", "null_values = ['-999']"),
    source(TABLES, "decimal", "", "decimal = ','").over("t,s,a,b\n2026-01-01 00:00:00,x,\"1,5\",2\n"),
    source(TABLES, "thousands", "", "thousands = ','").over("t,s,a,b\n2026-01-01 00:00:00,x,\"1,234\",2\n"),
    source(TABLES, "unit_suffixes", "", "unit_suffixes = { a = 'V' }")
        .over("t,s,a,b\n2026-01-01 00:00:00,x,1.5 V,2\n"),
    source(TABLES, "true_words", "measurements = ['note']", "measurements = ['note']\ntrue_words = ['on']"),
    source(
        TABLES,
        "false_words",
        "measurements = ['note']",
        "measurements = ['note']\nfalse_words = ['off']",
    ),
    source(TABLES, "unpivot", "measurements = ['a', 'b']", "measurements = ['a', 'b']\nunpivot = {}"),
    // Delimited text.
    source(DELIMITED, "delimiter", "", "delimiter = '|'"),
    source(DELIMITED, "quote", "", "quote = \"'\"").over("t,s,a,b,note\n2026-01-01 00:00:00,x,1,2,'q'\n"),
    source(DELIMITED, "comment", "", "comment = '#'").over("t,s,a,b\n#,x,1,2\n2026-01-01 00:00:00,x,1,2\n"),
    source(
        DELIMITED,
        "header",
        "names = ['t', 's', 'a', 'b', 'note']",
        "names = ['t', 's', 'a', 'b', 'note']\nheader = false",
    ),
    source(DELIMITED, "widths", "", "widths = [19, 2, 5, 5, 8]"),
    source(DELIMITED, "skip_lines", "", "skip_lines = 1"),
    source(DELIMITED, "header_row", "", "header_row = 2"),
    source(DELIMITED, "units_row", "", "units_row = 2"),
    source(DELIMITED, "data_row", "", "data_row = 4"),
    source(DELIMITED, "ragged", "", "ragged = 'cut'").over("t,s,a,b\n2026-01-01 00:00:00,x,1,2,3\n"),
    source(&["csv", "tsv", "jsonl"], "encoding", "", "encoding = 'windows-1252'")
        .over("t,s,a,b,note\n2026-01-01 00:00:00,x,1,2,Büro\n"),
    source(DELIMITED, "names", "", "names = ['t', 's', 'a', 'b', 'remark']"),
    // JSON.
    source(
        &["jsonl"],
        "unknown_fields",
        "measurements = ['a']\ncolumns = ['a']",
        "measurements = ['a']\nunknown_fields = 'reject'",
    ),
    source(&["jsonl"], "layout", "layout = 'lines'", "layout = 'values'").over(
        "{\"t\":\"2026-01-01 00:00:00\",\"s\":\"x\",\"a\":1,\"b\":2}\n\
        {\"t\":\"2026-01-01 00:00:01\",\"s\":\"x\",\"a\":1,\"b\":2}{\"t\":\"2026-01-01 00:00:02\",\"s\":\"x\",\"a\":1,\"b\":2}\n",
    ),
    source(&["jsonl"], "unfold", "", "unfold = 'b'")
        .over("{\"t\":\"2026-01-01 00:00:00\",\"s\":\"x\",\"a\":1,\"b\":[2,3]}\n"),
    // Line protocol.
    source(&["influx"], "precision", "", "precision = 's'").before(HOURLY),
    source(&["influx"], "missing_time", "", "missing_time = 'arrival'"),
    source(&["influx"], "time", "", "time = 'when'"),
    source(&["influx"], "sensor", "", "sensor = 's'"),
    source(&["influx"], "measurements", "", "measurements = ['a']\ntexts = []"),
    source(&["influx"], "types", "", "types = { a = 'i64' }"),
    source(&["influx"], "texts", "", "texts = []"),
    source(&["influx"], "table", "", "table = 'kind'"),
    source(&["influx"], "columns", "", "columns = ['a']"),
    source(&["influx"], "rename", "", "rename = { note = 'remark' }"),
    source(&["influx"], "sensor_name", "", "sensor_name = 'one'"),
    source(
        &["influx"],
        "unknown_columns",
        "path = ['less.csv', 'in.csv']\nmeasurements = ['a']",
        "path = ['less.csv', 'in.csv']\nmeasurements = ['a']\nunknown_columns = 'null'",
    ),
    source(
        &["influx"],
        "unpivot",
        "measurements = ['a', 'b']",
        "measurements = ['a', 'b']\nunpivot = { sensor = '{sensor}.{column}' }",
    ),
    source(&["influx"], "null_values", "", "null_values = ['-999']"),
    source(
        &["influx"],
        "true_words",
        "measurements = ['note']\nfalse_words = ['off']",
        "measurements = ['note']\nfalse_words = ['off']\ntrue_words = ['on']",
    ),
    source(
        &["influx"],
        "false_words",
        "measurements = ['note']\ntrue_words = ['on']",
        "measurements = ['note']\ntrue_words = ['on']\nfalse_words = ['off']",
    ),
    source(
        &["influx"],
        "unknown_fields",
        "measurements = ['a']\ntexts = []",
        "measurements = ['a']\ntexts = []\nunknown_fields = 'ignore'",
    ),
    // Made up.
    source(&["synthetic"], "records", "", "records = 7"),
    source(&["synthetic"], "sensors", "", "sensors = 5"),
    source(&["synthetic"], "kinds", "", "kinds = ['pressure']"),
    source(&["synthetic"], "shape", "", "shape = 'wide'"),
    source(&["synthetic"], "measurements", "shape = 'wide'", "shape = 'wide'\nmeasurements = 2"),
    source(&["synthetic"], "start", "", "start = '2025-01-01T00:00:00Z'"),
    source(&["synthetic"], "interval", "", "interval = '5s'"),
    source(&["synthetic"], "seed", "", "seed = 99"),
    source(&["synthetic"], "noise", "", "noise = 9.0"),
    source(&["synthetic"], "drift", "", "drift = 9.0"),
    source(&["synthetic"], "spikes", "", "spikes = 0.5"),
    source(&["synthetic"], "gaps", "", "gaps = 0.5"),
    source(&["synthetic"], "stuck", "", "stuck = 0.5"),
    source(&["synthetic"], "nan", "", "nan = 0.5"),
    source(&["synthetic"], "nulls", "", "nulls = 0.5"),
    source(&["synthetic"], "decimals", "", "decimals = 1"),
    // Stages.
    stage(&["pivot"], "key", PIVOT, "key = 'other'").over(LONG),
    stage(&["pivot"], "names", PIVOT, "names = ['off']").over(LONG),
    stage(&["pivot"], "value", PIVOT, "value = 'b'").over(LONG),
    stage(&["threshold"], "min", "min = 0", "min = 2"),
    stage(&["threshold"], "max", "max = 100", "max = 2"),
    stage(&["threshold"], "action", "min = 2", "min = 2\naction = 'mask'"),
    stage(
        &["threshold"],
        "nulls",
        "min = -1000\ncolumns = ['b']",
        "min = -1000\ncolumns = ['b']\nnulls = 'keep'",
    ),
    stage(&["threshold"], "columns", "min = 2", "min = 2\ncolumns = ['a']"),
    stage(
        &["threshold"],
        "into",
        "min = 2\naction = 'flag'",
        "min = 2\naction = 'flag'\ninto = 'is_{column}'",
    ),
    stage(&["threshold"], "sensors", "min = 2", "min = 2\nsensors = { x = { min = 4 } }"),
    stage(&["normalize"], "method", "fit = true", "fit = true\nmethod = 'z_score'"),
    stage(&["normalize"], "range", "fit = true", "fit = true\nrange = [0, 9]"),
    stage(&["normalize"], "clip", "min = 0\nmax = 2", "min = 0\nmax = 2\nclip = true"),
    stage(&["normalize"], "min", "min = 0\nmax = 2", "min = 1\nmax = 2"),
    stage(&["normalize"], "max", "min = 0\nmax = 2", "min = 0\nmax = 3"),
    stage(
        &["normalize"],
        "mean",
        "method = 'z_score'\nmean = 0\ndeviation = 1",
        "method = 'z_score'\nmean = 1\ndeviation = 1",
    ),
    stage(
        &["normalize"],
        "deviation",
        "method = 'z_score'\nmean = 0\ndeviation = 1",
        "method = 'z_score'\nmean = 0\ndeviation = 2",
    ),
    stage(
        &["normalize"],
        "median",
        "method = 'robust'\nmedian = 0\niqr = 1",
        "method = 'robust'\nmedian = 1\niqr = 1",
    ),
    stage(
        &["normalize"],
        "iqr",
        "method = 'robust'\nmedian = 0\niqr = 1",
        "method = 'robust'\nmedian = 0\niqr = 2",
    ),
    stage(&["normalize"], "sensors", "min = 0\nmax = 2", "min = 0\nmax = 2\nsensors = { x = { max = 4 } }"),
    stage(&["normalize"], "fit", "min = 0\nmax = 2", "fit = true"),
    stage(&["normalize"], "save", "fit = true", "fit = true\nsave = 'learnt.json'"),
    stage(&["normalize"], "load", "fit = true", "load = 'absent.json'"),
    stage(&["normalize"], "running", "min = 0\nmax = 2", "running = true"),
    stage(
        &["normalize"],
        "unknown",
        "sensors = { x = { min = 0, max = 1 } }",
        "sensors = { x = { min = 0, max = 1 } }\nunknown = 'null'",
    ),
    stage(&["normalize"], "columns", "fit = true", "fit = true\ncolumns = ['a']"),
    stage(&["normalize"], "columns", "min = 0\nmax = 2", "min = 0\nmax = 2\ncolumns = { b = { max = 40 }, a = {} }"),
    stage(&["normalize"], "into", "fit = true", "fit = true\ninto = '{column}_scaled'"),
    stage(MOVING, "window", "window = 2", "window = 3"),
    stage(MOVING, "columns", "window = 2", "window = 2\ncolumns = ['a']"),
    stage(MOVING, "into", "window = 2", "window = 2\ninto = 'of_{column}'"),
    stage(MOVING, "min_samples", "window = 2", "window = 2\nmin_samples = 2"),
    stage(MOVING, "count", "window = 2", "window = 2\ncount = true"),
    stage(MOVING, "non_finite", "window = 2", "window = 2\nnon_finite = 'propagate'"),
    stage(&["moving_std"], "ddof", "window = 2", "window = 2\nddof = 1"),
    stage(&["rate"], "method", "", "method = 'difference'").over(TWICE),
    stage(&["rate"], "per", "", "per = '1h'").over(TWICE),
    stage(&["rate"], "counter", "method = 'difference'", "method = 'difference'\ncounter = true").over(TWICE),
    stage(&["rate"], "columns", "", "columns = ['a']").over(TWICE),
    stage(&["rate"], "into", "", "into = 'of_{column}'").over(TWICE),
    stage(&["dedupe"], "columns", "", "columns = ['b']").over(TWICE),
    stage(&["dedupe"], "tolerance", "columns = ['a']", "columns = ['a']\ntolerance = 2").over(TWICE),
    stage(&["dedupe"], "heartbeat", "columns = ['b']", "columns = ['b']\nheartbeat = '20s'").over(TWICE),
    stage(&["silence"], "after", "after = '15s'", "after = '5s'").over(TWICE),
    stage(&["silence"], "into", "after = '5s'", "after = '5s'\ninto = 'gone'").over(TWICE),
    stage(&["silence"], "keep", "after = '5s'", "after = '5s'\nkeep = 'changes'").over(TWICE),
    stage(&["aggregate"], "every", "", "every = '1s'"),
    stage(&["aggregate"], "statistics", "", "statistics = ['max']"),
    stage(&["aggregate"], "quantiles", "", "quantiles = [0.5]"),
    stage(&["aggregate"], "columns", "", "columns = ['a']"),
    stage(&["aggregate"], "into", "", "into = '{statistic}_of_{column}'"),
    // Sinks.
    sink(FILES, "path", "path = 'one'", "path = 'two'"),
    sink(&["parquet"], "path", "path = 'one'", "path = 'two'"),
    sink(FILES, "sensors", "path = 'one'", "path = 'one'\nsensors = ['y']"),
    sink(&["parquet"], "sensors", "path = 'one'", "path = 'one'\nsensors = ['y']"),
    sink(&["console", "null"], "sensors", "", "sensors = ['y']"),
    sink(
        &["alert"],
        "sensors",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 3\npath = 'one'\nsensors = ['y']",
    ),
    sink(FILES, "roll", "path = '{epoch}'", "path = '{epoch}'\nroll = { size = '1B' }"),
    sink(&["csv"], "delimiter", "path = 'one'", "path = 'one'\ndelimiter = ';'"),
    sink(&["csv"], "csv_safe", "path = 'one'", "path = 'one'\ncsv_safe = true"),
    sink(&["csv", "jsonl"], "decimals", "path = 'one'", "path = 'one'\ndecimals = 1"),
    sink(&["parquet"], "roll", "path = '{epoch}'", "path = '{epoch}'\nroll = { size = '1B' }"),
    sink(&["parquet"], "level", "path = 'one'", "path = 'one'\nlevel = 99"),
    sink(&["parquet"], "row_group", "path = 'one'", "path = 'one'\nrow_group = 2"),
    sink(&["console"], "limit", "", "limit = 1"),
    sink(&["console"], "decimals", "", "decimals = 1"),
    sink(&["console"], "width", "", "width = 30"),
    sink(
        &["alert"],
        "column",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'b'\nabove = 3\npath = 'one'",
    ),
    sink(
        &["alert"],
        "name",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 3\npath = 'one'\nname = 'hot'",
    ),
    sink(
        &["alert"],
        "above",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 4\npath = 'one'",
    ),
    sink(
        &["alert"],
        "below",
        "column = 'a'\nbelow = 2\npath = 'one'",
        "column = 'a'\nbelow = 1\npath = 'one'",
    ),
    sink(
        &["alert"],
        "clear_above",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 3\nclear_above = 1\npath = 'one'",
    ),
    sink(
        &["alert"],
        "clear_below",
        "column = 'a'\nbelow = 2\npath = 'one'",
        "column = 'a'\nbelow = 2\nclear_below = 6\npath = 'one'",
    ),
    sink(
        &["alert"],
        "rules",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 3\npath = 'one'\nrules = { x = { above = 5 } }",
    ),
    sink(
        &["alert"],
        "hold",
        "column = 'a'\nabove = 3\npath = 'one'",
        "column = 'a'\nabove = 3\npath = 'one'\nhold = '1h'",
    ),
    sink(&["alert"], "path", "column = 'a'\nabove = 3", "column = 'a'\nabove = 3\npath = 'one'"),
    sink(
        &["alert"],
        "command",
        "column = 'a'\nabove = 3",
        "column = 'a'\nabove = 3\ncommand = ['sh', '-c', 'cat > told']",
    ),
];

/// Options where they can have no effect: the source's, the stage, the sink. They are refused, or noted at the end.
const IDLE: &[(&str, &str, &str, &str)] = &[
    ("timezone", "time = null\ntimezone = 'Europe/Berlin'", "", ""),
    ("time_format", "time = null\ntime_format = 's'", "", ""),
    ("zones", "time = null\nzones = { CET = '+01:00' }", "", ""),
    ("start", "start = '2024-01-01T00:00:00Z'", "", ""),
    ("timezone", "time_format = 's'\ntimezone = 'Europe/Berlin'", "", ""),
    ("sensor_name", "sensor_name = 'plant'", "", ""),
    ("disorder", "disorder = '1m'", "", ""),
    ("agree", "agree = 3", "", ""),
    ("max_ahead", "max_ahead = '1m'", "", ""),
    ("when_full", "when_full = 'drop'", "", ""),
    ("rename", "rename = { absent = 'new' }", "", ""),
    ("columns", "columns = ['absent*']", "", ""),
    ("unit_suffixes", "unit_suffixes = { absent = 'V' }", "", ""),
    ("types", "types = { absent = 'u64' }", "", ""),
    ("into", "", "type = 'threshold'\nmin = 0\ninto = 'new'", ""),
    ("nobody", "", "type = 'threshold'\nmin = 0\nsensors = { nobody = { min = 1 } }", ""),
    ("nobody", "", "type = 'normalize'\nmin = 0\nmax = 1\nsensors = { nobody = { min = 0.5 } }", ""),
    ("absent", "", "type = 'threshold'\nmin = 0\ncolumns = ['absent*']", ""),
    ("range", "", "type = 'normalize'\nmethod = 'z_score'\nmean = 0\ndeviation = 1\nrange = [0, 9]", ""),
    ("clip", "", "type = 'normalize'\nmethod = 'z_score'\nmean = 0\ndeviation = 1\nclip = true", ""),
    ("constant", "", "type = 'normalize'\nmethod = 'z_score'\nmean = 0\ndeviation = 1\nmin = 1", ""),
    ("save", "", "type = 'normalize'\nmin = 0\nmax = 1\nsave = 'learnt.json'", ""),
    ("unknown", "", "type = 'normalize'\nmin = 0\nmax = 1\nunknown = 'null'", ""),
    ("unknown", "", "type = 'normalize'\nrunning = true\nunknown = 'null'", ""),
    ("samples", "", "type = 'moving_average'\nwindow = 2\nmin_samples = 5", ""),
    ("null_values", "decimal = ','\nnull_values = ['-999.0']", "", ""),
    ("unit_suffixes", "unit_suffixes = { note = 'V' }", "", ""),
    ("true_words", "measurements = []\ntrue_words = ['on']", "", ""),
    ("nowhere", "", "type = 'pivot'\nkey = 'note'\nnames = ['on', 'nowhere']\nvalue = 'a'", ""),
    ("b*", "", "type = 'pivot'\nkey = 'note'\nnames = ['on']\nvalue = 'b*'", ""),
    ("clear_below", "", "", "type = 'alert'\ncolumn = 'a'\nabove = 1\nclear_below = 0"),
    ("nobody", "", "", "type = 'alert'\ncolumn = 'a'\nabove = 1\nrules = { nobody = { above = 2 } }"),
    ("nobody", "", "", "type = 'null'\nsensors = ['nobody*']"),
    ("sensors", "", "", "type = 'dead_letter'\npath = 'aside'\nsensors = ['x']"),
];

/// What can be seen of a run: how it ended, what it printed, wrote and counted. What it says for people does not count.
#[derive(Debug, PartialEq)]
struct Seen {
    code: Option<i32>,
    printed: String,
    files: BTreeMap<String, Vec<u8>>,
    counted: Value,
}

/// Lines of options, those of `over` in place of those of `base`; `null` takes one out.
fn laid_over(base: &str, over: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let keys: Vec<_> = over.lines().map(key).collect();
    let kept = base.lines().filter(|line| !keys.contains(&key(line)));
    let lines = kept.chain(over.lines()).filter(|line| !line.ends_with("= null"));
    lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// `input` as files of a component's format: `in.csv`, `other.csv` with other values, `less.csv` with a column less.
fn write_inputs(folder: &Path, component: &str, input: &str) {
    let other = input.replace(",x,", ",z,");
    let less: String = input
        .lines()
        .map(|line| format!("{}\n", line.rsplit_once(',').map_or(line, |(all, _)| all)))
        .collect();
    for (name, content) in [("in.csv", input), ("other.csv", &other), ("less.csv", &less)] {
        let path = folder.join(name);
        match component {
            "tsv" => fs::write(path, retold(content, |_, fields| fields.join("\t"))),
            "jsonl" if content.starts_with('{') => fs::write(path, content),
            "jsonl" => fs::write(path, retold(content, object)),
            "influx" => fs::write(path, retold(content, line_protocol)),
            "parquet" => {
                fs::write(folder.join("made.csv"), content).expect("written");
                let pipeline = format!(
                    "[source]\ntype = 'csv'\npath = 'made.csv'\nsensor = 's'\n[[sink]]\ntype = 'parquet'\npath = '{name}'\n"
                );
                fs::write(folder.join("made.toml"), pipeline).expect("written");
                let made = run(folder, &["run", "made.toml", "--quiet"]);
                assert!(made.status.success(), "{}", text(&made.stderr));
                Ok(())
            }
            _ => fs::write(path, content),
        }
        .expect("written");
    }
}

/// Every record of delimited text, written by `write` from its fields and the names; the header too where it has one.
fn retold(input: &str, write: impl Fn(&[String], &[String]) -> String) -> String {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input.as_bytes());
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.expect("a record").iter().map(str::to_owned).collect()).collect();
    let lines = rows.iter().map(|row| write(&rows[0], row)).filter(|line| !line.is_empty());
    lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn object(names: &[String], fields: &[String]) -> String {
    if names == fields {
        return String::new();
    }
    let value = |field: &String| match field.parse::<f64>() {
        Ok(number) if number.is_finite() => serde_json::from_str(field).expect("a number"),
        _ if field.is_empty() => Value::Null,
        _ => Value::from(field.as_str()),
    };
    let fields = names.iter().zip(fields).map(|(name, field)| (name.clone(), value(field)));
    Value::Object(fields.collect()).to_string()
}

fn line_protocol(names: &[String], fields: &[String]) -> String {
    if names == fields {
        return String::new();
    }
    let field = |at: usize| fields.get(at).map_or("", |field| field.as_str());
    let b = if field(3).is_empty() { String::new() } else { format!(",b={}", field(3)) };
    let a = if field(2) == "NaN" { "0" } else { field(2) };
    let note = if fields.len() > 4 { format!(",note=\"{}\"", field(4)) } else { String::new() };
    format!("plant,s={} a={a}{b}{note} 1700000000", field(1))
}

fn pipeline(case: &Case, component: &str, options: &str) -> String {
    let part = |table: &str, options: &str| format!("{table}\ntype = '{component}'\n{options}");
    let source = |options: &str| laid_over(&format!("path = 'in.csv'\n{COLUMNS}"), options);
    let out = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    match case.kind {
        ComponentKind::Source => {
            let options = match component {
                "synthetic" => laid_over("records = 60\nsensors = 3", options),
                "influx" => laid_over("path = 'in.csv'\nmax_rejects = 1.0", options),
                _ => source(options),
            };
            format!("{}{}{out}", part("[source]", &options), case.more)
        }
        ComponentKind::Stage => {
            format!("[source]\ntype = 'csv'\n{}{}\n{out}", source(""), part("[[stage]]", options))
        }
        ComponentKind::Sink => {
            // A record that is refused, for those who take such.
            let options = part("[[sink]]", options);
            format!("[source]\ntype = 'csv'\n{}{options}\n{out}", source("null_values = ['hello']"))
        }
    }
}

fn observe(case: &Case, component: &str, options: &str) -> Seen {
    let folder = folder();
    let reads = if case.kind == ComponentKind::Source { component } else { "csv" };
    if reads != "synthetic" {
        write_inputs(folder.path(), reads, case.input);
    }
    let before = files(folder.path());
    fs::write(folder.path().join("p.toml"), pipeline(case, component, options)).expect("written");
    let mut child = tidemill(folder.path())
        .args(["run", "p.toml", "--quiet", "--threads", "1", "--report", "report.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    // Whoever does not read it has closed it.
    let _closed = child.stdin.take().expect("piped").write_all(case.input.as_bytes());
    let output = child.wait_with_output().expect("an end");
    let report = fs::read(folder.path().join("report.json")).unwrap_or_default();
    let mut counted =
        serde_json::from_slice::<Value>(&report).map_or(Value::Null, |mut all| all["report"].take());
    keep_counts(&mut counted);
    let mut files = files(folder.path());
    files.retain(|name, _| !before.contains_key(name) && name != "p.toml" && name != "report.json");
    let seen = Seen { code: output.status.code(), printed: text(&output.stdout), files, counted };
    assert_ne!(seen.code, Some(70), "{}", text(&output.stderr));
    seen
}

/// What is left is the same for the same run.
fn keep_counts(value: &mut Value) {
    let is_count = |name: &str| {
        !name.contains("seconds") && !["bytes", "latencies", "remarks", "threads"].contains(&name)
    };
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| is_count(name));
            fields.values_mut().for_each(keep_counts);
        }
        Value::Array(list) => list.iter_mut().for_each(keep_counts),
        _ => {}
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("read"))
        })
        .collect()
}

/// The exit code of a pipeline that is refused.
const REFUSED: Option<i32> = Some(78);

#[test]
fn no_option_of_any_component_is_without_effect() {
    let mut wrong = Vec::new();
    for case in CASES {
        for component in case.components {
            let (plain, with) = (observe(case, component, case.plain), observe(case, component, case.with));
            let name = format!("{} {component}: `{}`", case.kind.as_str(), case.option);
            if plain.code == REFUSED {
                wrong.push(format!("{name}: what it is compared with is refused"));
            } else if with.code != REFUSED && plain == with {
                wrong.push(format!("{name} has no effect, and is not refused"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Options with other values: what `change` makes of each, of text without its quotes; whether it is text is said.
fn with_values(options: &str, mut change: impl FnMut(&str, bool) -> String) -> String {
    let (mut changed, mut rest) = (String::new(), options);
    while let Some(first) = rest.chars().next() {
        let is_of_word = |letter: char| letter.is_alphanumeric() || "_.+-".contains(letter);
        let (piece, is_text) = match first {
            '\'' | '"' => (rest[1..].split(first).next().expect("closed"), true),
            _ => (&rest[..rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len())], false),
        };
        let is_value = is_text
            || !piece.starts_with(char::is_alphabetic) && piece.parse::<f64>().is_ok()
            || piece.parse::<bool>().is_ok();
        let length = if is_text { piece.len() + 2 } else { piece.len().max(first.len_utf8()) };
        changed += &if is_value { change(piece, is_text) } else { rest[..length].to_owned() };
        rest = &rest[length..];
    }
    changed
}

/// The options that all parts of a pipeline come to, with these variables and `--set`; or that it is refused.
fn options_of(pipeline: &str, variables: &[String], sets: &[String]) -> Option<String> {
    let variables = variables.to_owned();
    let value = move |name: &str| variables.get(name.strip_prefix('V')?.parse::<usize>().ok()?).cloned();
    let spec = Spec::new("p.toml", pipeline).with_variables(value);
    let resolved = sets.iter().fold(spec, Spec::with_set).resolve().ok()?.pipeline;
    let stages: Vec<_> =
        resolved.stages.iter().map(|entry| (entry.stage.parameters(), &entry.name, &entry.from)).collect();
    let sinks: Vec<_> =
        resolved.sinks.iter().map(|sink| (sink.spec.parameters(), &sink.sensors, &sink.from)).collect();
    Some(format!(
        "{} {:?} {stages:?} {sinks:?}",
        resolved.sources[0].spec.parameters(),
        resolved.sources[0].input
    ))
}

#[test]
fn every_option_takes_what_a_variable_says_and_what_is_set_without_quotes_as_it_is_meant() {
    let is_other = |text: &str| {
        text.parse::<f64>().is_ok()
            || text.parse::<bool>().is_ok()
            || text.starts_with("20") && text.ends_with('Z')
    };
    for case in CASES {
        for component in case.components {
            let written = pipeline(case, component, case.with);
            let expected = options_of(&written, &[], &[]);
            let mut variables = Vec::new();
            let given = with_values(case.with, |value, _| {
                variables.push(value.to_owned());
                format!("'${{V{}}}'", variables.len() - 1)
            });
            let given = pipeline(case, component, &given);
            assert_eq!(options_of(&given, &variables, &[]), expected, "{given}\n{variables:?}");
            let part = ["source", "stage.0", "sink.0"][case.kind as usize];
            let set = |line: &str| {
                let bare = |value: &str, is_text: bool| match is_text && !is_other(value) {
                    true if value == "'" => format!("\"{value}\""),
                    true => format!("'{value}'"),
                    false => value.to_owned(),
                };
                let (name, value) = line.split_once(" = ").expect("an option");
                let value = with_values(value, bare);
                let is_list = value.starts_with(['[', '{']);
                format!("{part}.{name}={}", if is_list { &value } else { value.trim_matches('\'') })
            };
            let sets: Vec<_> = case.with.lines().filter(|line| !line.ends_with("= null")).map(set).collect();
            assert_eq!(options_of(&written, &[], &sets), expected, "{written}\n{sets:?}");
        }
    }
}

#[test]
fn what_has_no_type_is_what_its_option_wants() {
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor_name = 'WHAT'\nnull_values = ['WHAT']\n\
        [[stage]]\ntype = 'moving_average'\nwindow = 'WHAT'\n[[sink]]\ntype = 'alert'\ncolumn = 'a'\nabove = 1\nname = 'WHAT'\n";
    let sets = |value: &str| {
        ["source.sensor_name", "stage.0.window", "sink.0.name"]
            .map(|option| format!("{option}={value}"))
            .to_vec()
    };
    for value in ["2", " 7 ", "05", "1.5", "true", "2026-01-01", "5m"] {
        let written = pipeline.replace("WHAT", value);
        let number = value.trim().parse::<u32>().ok().filter(|_| value != "05");
        let literal = match number {
            Some(number) => written.replace(&format!("window = '{value}'"), &format!("window = {number}")),
            None => written.clone(),
        };
        let expected = options_of(&literal, &[], &[]);
        assert!(expected.is_some());
        let given = pipeline.replace("WHAT", "${V0}");
        assert_eq!(options_of(&given, &[value.to_owned()], &[]), expected, "{value}");
        assert_eq!(options_of(&written, &[], &sets(value)), expected, "{value}");
        // A variable of `--set`, and one in the middle of a text.
        assert_eq!(options_of(&written, &[value.to_owned()], &sets("${V0}")), expected, "{value}");
        let (first, rest) = value.split_at(1);
        let halves = [first, rest].map(str::to_owned);
        assert_eq!(options_of(&pipeline.replace("WHAT", "${V0}${V1}"), &halves, &[]), expected, "{value}");
        // Quotes mean text.
        assert_eq!(options_of(&literal, &[], &sets(&format!("'{value}'"))), options_of(&written, &[], &[]));
    }
}

#[test]
fn every_option_of_every_component_has_a_case() {
    let shared = serde_json::to_value(schemars::schema_for!(InputOptions)).expect("a schema");
    let is_shared = |option: &str| shared["properties"].get(option).is_some();
    let mut missing = Vec::new();
    for component in components() {
        let schema = of_component(component);
        let options =
            schema["properties"].as_object().expect("options").keys().filter(|option| *option != "type");
        for option in options {
            let is_of = |case: &&Case| {
                let is_component = case.components.contains(&component.name)
                    || component.kind() == ComponentKind::Source && is_shared(option);
                case.kind == component.kind() && case.option == option && is_component
            };
            let is_elsewhere = ELSEWHERE.iter().any(|(name, _)| name == option);
            if CASES.iter().find(is_of).is_none() && !is_elsewhere {
                missing.push(format!("{} {}: `{option}`", component.kind().as_str(), component.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "options without a case in tests/options.rs, which shows that they have an effect:\n{}",
        missing.join("\n")
    );
}

#[test]
fn threads_that_have_nothing_to_do_are_said() {
    let folder = folder();
    write_inputs(folder.path(), "csv", INPUT);
    let source = laid_over(&format!("path = 'in.csv'\n{COLUMNS}"), "idle_sensors = '7d'");
    let pipeline = |source: &str| {
        format!("[source]\ntype = 'csv'\n{source}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n")
    };
    fs::write(folder.path().join("p.toml"), pipeline(&source)).expect("written");
    let is_said = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = "note: `threads` = 2 had no effect: with `idle_sensors`, a run has one thread";
        text(&output.stderr).lines().any(|line| line == said)
    };
    assert!(is_said(&["run", "p.toml", "--threads", "2"]));
    assert!(!is_said(&["run", "p.toml", "--threads", "1"]));
    assert!(!is_said(&["run", "p.toml"]), "nothing was asked for");
    let explained = |name| text(&run(folder.path(), &["explain", name]).stdout);
    let one = "threads: 1, whatever `--threads` says, because of `idle_sensors`";
    assert!(explained("p.toml").contains(one), "{}", explained("p.toml"));
    fs::write(folder.path().join("many.toml"), pipeline(&source.replace("idle_sensors = '7d'", "")))
        .expect("written");
    assert!(!explained("many.toml").contains("threads: 1"));
    assert!(!is_said(&["run", "many.toml", "--threads", "2"]));
}

#[test]
fn what_is_tested_elsewhere_is_tested_there() {
    for (option, file) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(path).expect("a test");
        assert!(source.contains(&format!("{option} = ")), "{file} has no `{option}`");
    }
}

#[test]
fn an_option_that_can_have_no_effect_is_refused_or_noted() {
    for (named, options, stage, sink) in IDLE {
        let folder = folder();
        write_inputs(folder.path(), "csv", INPUT);
        let source = laid_over(&format!("path = 'in.csv'\n{COLUMNS}"), options);
        let part = |table: &str, text: &str| {
            if text.is_empty() { String::new() } else { format!("{table}\n{text}\n") }
        };
        let (stage, sink) = (part("[[stage]]", stage), part("[[sink]]", sink));
        let out = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
        let pipeline = format!("[source]\ntype = 'csv'\n{source}{stage}{sink}{out}");
        fs::write(folder.path().join("p.toml"), &pipeline).expect("written");
        let output = run(folder.path(), &["run", "p.toml"]);
        let said = text(&output.stderr);
        let is_said =
            |line: &str| (line.starts_with("error:") || line.starts_with("note:")) && line.contains(named);
        assert!(said.lines().any(is_said), "nothing is said of `{named}`:\n{pipeline}\n{said}");
    }
}
