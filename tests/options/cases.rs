//! A case for each option of each component: without the option, and with it.

use tidemill::registry::ComponentKind;

/// The input of every case that has no other: disorder, a null, a NaN, a formula, words.
pub(crate) const INPUT: &str = "t,s,a,b,note\n\
    2026-01-01 00:00:00,x,1.5,10,hello\n\
    2026-01-01 00:00:02,y,2.5,,=1+1\n\
    2026-01-01 00:00:10,x,5.25,-999,on\n\
    2026-01-01 00:00:04,x,3.125,30,off\n\
    2026-01-01 00:00:20,x,NaN,40,on\n\
    2026-01-01 00:00:30,x,1.0625,50,off\n";

/// How the input is read where the source is not what is looked at.
pub(crate) const COLUMNS: &str = "time = 't'\nsensor = 's'\nmeasurements = ['a', 'b']\nmax_rejects = 1.0";

/// Sources of files whose columns are options.
const TABLES: &[&str] = &["csv", "tsv", "jsonl", "parquet"];
const DELIMITED: &[&str] = &["csv", "tsv"];
const MOVING: &[&str] = &["moving_average", "moving_min", "moving_max", "moving_std", "moving_median"];
const FILES: &[&str] = &["csv", "jsonl", "dead_letter"];

/// One option: the components that have it, the options without it and with it.
pub(crate) struct Case {
    pub(crate) kind: ComponentKind,
    pub(crate) components: &'static [&'static str],
    pub(crate) option: &'static str,
    pub(crate) plain: &'static str,
    pub(crate) with: &'static str,
    /// What stands beside the part: for a source, stages.
    pub(crate) more: &'static str,
    pub(crate) input: &'static str,
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
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("breaker", "crates/engine/src/pipeline/outage.rs"),
    ("delivery", "crates/engine/src/pipeline/delivery.rs"),
    ("follow", "tests/live/follow.rs"),
    ("from", "tests/graph.rs"),
    ("merge", "tests/sources.rs"),
    ("name", "tests/graph.rs"),
    ("on_failure", "crates/engine/src/files/patient.rs"),
    ("outbox", "crates/engine/src/pipeline/outage.rs"),
    ("retry", "crates/engine/src/pipeline/outage.rs"),
    ("when_full", "tests/live.rs"),
];

/// One value a record, of what `note` says.
const LONG: &str = "t,s,a,b,note,other\n\
    2026-01-01 00:00:00,x,1.5,10,on,off\n2026-01-01 00:00:00,x,2.5,20,off,on\n2026-01-01 00:00:02,x,3.5,30,on,on\n";

/// One sensor that says some of it again, after a while, and falls back.
const TWICE: &str = "t,s,a,b,note\n\
    2026-01-01 00:00:00,x,1.5,10,on\n2026-01-01 00:00:10,x,2.5,10,on\n2026-01-01 00:00:20,x,1.5,10,on\n2026-01-01 00:00:22,x,9.5,10,on\n";

const PIVOT: &str = "key = 'note'\nnames = ['on', 'off']\nvalue = 'a'";

/// A sink that says in what units measurements are.
const PARQUET: &str = "[[sink]]\ntype = 'parquet'\npath = 'out.parquet'\n";

const HOURLY: &str = "[[stage]]\ntype = 'aggregate'\nevery = '1h'\n";

pub(crate) const CASES: &[Case] = &[
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
    source(TABLES, "units", "", "units = { a = 'V' }").before(PARQUET),
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
    source(&["influx"], "units", "", "units = { a = 'V' }").before(PARQUET),
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
    source(&["synthetic"], "spread", "", "spread = true"),
    source(&["synthetic"], "jitter", "", "jitter = '500ms'"),
    source(&["synthetic"], "swaps", "", "swaps = 0.5"),
    source(&["synthetic"], "odd", "", "odd = 0.5"),
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
    // Refused where the input was not received live.
    stage(&["silence"], "by", "after = '5s'", "after = '5s'\nby = 'clock'").over(TWICE),
    stage(&["silence"], "into", "after = '5s'", "after = '5s'\ninto = 'gone'").over(TWICE),
    stage(&["silence"], "keep", "after = '5s'", "after = '5s'\nkeep = 'changes'").over(TWICE),
    stage(&["alerts"], "column", "column = 'a'\nabove = 3", "column = 'b'\nabove = 3"),
    stage(&["alerts"], "rule", "column = 'a'\nabove = 3", "column = 'a'\nabove = 3\nrule = 'hot'"),
    stage(&["alerts"], "above", "column = 'a'\nabove = 3", "column = 'a'\nabove = 4"),
    stage(&["alerts"], "below", "column = 'a'\nbelow = 2", "column = 'a'\nbelow = 1"),
    stage(&["alerts"], "clear_above", "column = 'a'\nabove = 3", "column = 'a'\nabove = 3\nclear_above = 1"),
    stage(&["alerts"], "clear_below", "column = 'a'\nbelow = 2", "column = 'a'\nbelow = 2\nclear_below = 6"),
    stage(&["alerts"], "rules", "column = 'a'\nabove = 3", "column = 'a'\nabove = 3\nrules = { x = { above = 5 } }"),
    stage(&["alerts"], "hold", "column = 'a'\nabove = 3", "column = 'a'\nabove = 3\nhold = '1h'"),
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
    sink(FILES, "roll", "path = 'one'", "path = '{epoch}'\nroll = { size = '1B' }"),
    sink(&["csv"], "delimiter", "path = 'one'", "path = 'one'\ndelimiter = ';'"),
    sink(&["csv"], "csv_safe", "path = 'one'", "path = 'one'\ncsv_safe = true"),
    sink(&["csv", "jsonl"], "decimals", "path = 'one'", "path = 'one'\ndecimals = 1"),
    sink(&["parquet"], "roll", "path = 'one'", "path = '{epoch}'\nroll = { size = '1B' }"),
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
    sink(
        &["alert"],
        "environment",
        "column = 'a'\nabove = 3\ncommand = ['sh', '-c', 'echo $WHO > told; cat > all']",
        "column = 'a'\nabove = 3\ncommand = ['sh', '-c', 'echo $WHO > told; cat > all']\nenvironment = { WHO = 'me' }",
    ),
];
