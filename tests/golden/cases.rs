//! What is kept: pipelines, each with the input that it has begun.

use super::format::Format;

/// A pipeline that a run has begun.
pub(crate) struct Case {
    /// The name of its folder, in front of the versions.
    pub(crate) name: &'static str,
    /// Whose versions those are.
    pub(crate) formats: &'static [Format],
    pub(crate) pipeline: &'static str,
    /// Run before: it makes what the pipeline loads.
    pub(crate) before: Option<&'static str>,
    /// Whether it replays a recording of its input.
    pub(crate) is_recorded: bool,
    /// Whether there are so many sensors with long names that checkpoints have only what changed.
    pub(crate) has_long_names: bool,
    /// How the names of files begin that there are.
    pub(crate) has: &'static [&'static str],
    /// Behind how many records the runs are stopped. In the last one, the sink that delivers cannot reach its target.
    pub(crate) stops: &'static [u64],
}

impl Case {
    /// The name of the folder that has it as today's code writes it.
    pub(crate) fn folder(&self) -> String {
        let versions = self.formats.iter().map(|format| format!("-{}", format.version()));
        self.name.to_owned() + &versions.collect::<String>()
    }

    /// Whether a run of it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        !self.stops.is_empty()
    }
}

const CASE: Case = Case {
    name: "checkpoint",
    formats: &[Format::Checkpoint],
    pipeline: PLAIN,
    before: None,
    is_recorded: false,
    has_long_names: false,
    has: &["state/checkpoint-", "out/.a.csv.part-"],
    stops: &[30],
};

pub(crate) const CASES: [Case; 9] = [
    CASE,
    // Nothing has begun to replay it.
    Case {
        name: "recording",
        formats: &[Format::Recording],
        is_recorded: true,
        has: &["day.rec"],
        stops: &[],
        ..CASE
    },
    Case {
        name: "replay",
        formats: &[Format::Checkpoint, Format::Recording],
        is_recorded: true,
        has: &["day.rec", "state/checkpoint-"],
        ..CASE
    },
    // The second source has begun.
    Case { name: "branches", pipeline: BRANCHES, has: &["out/.both.csv.part-"], stops: &[45], ..CASE },
    Case { name: "merged", pipeline: MERGED, ..CASE },
    Case {
        name: "rolled",
        formats: &[Format::Checkpoint, Format::Rows],
        pipeline: ROLLED,
        has: &["out/small/0", "out/large/.", "out/few/0", "state/rows-"],
        ..CASE
    },
    Case {
        name: "outbox",
        formats: &[Format::Checkpoint, Format::Rows],
        pipeline: OUTBOX,
        has: &["out/delivered/0", "state/outbox-"],
        stops: &[15, 30],
        ..CASE
    },
    Case {
        name: "changes",
        has_long_names: true,
        has: &["state/checkpoint-0000000001", "state/checkpoint-0000000002"],
        stops: &[100],
        ..CASE
    },
    Case {
        name: "constants",
        formats: &[Format::Checkpoint, Format::Fit],
        pipeline: CONSTANTS,
        before: Some(FIT),
        has: &["fit.json"],
        ..CASE
    },
];

/// Records of the ordinary input.
const RECORDS: usize = 60;

/// Those of them in the first file.
const FIRST: usize = 39;

/// Sensors whose names alone take more than a checkpoint that always has everything.
const LONG_NAMES: usize = 80;

/// The files of the input.
pub(crate) fn inputs(case: &Case) -> Vec<(&'static str, String)> {
    let file =
        |records: &mut dyn Iterator<Item = String>| "t,s,v\n".to_owned() + &records.collect::<String>();
    let long = |at: usize| format!("2024-05-01T00:00:00Z,{at:->900},{at}\n");
    let mut files = vec![
        ("in-1.csv", file(&mut (0..FIRST).map(record))),
        ("in-2.csv", file(&mut (FIRST..RECORDS).map(record))),
    ];
    if case.has_long_names {
        files.push(("in-0.csv", file(&mut (0..LONG_NAMES).map(long))));
    }
    files
}

/// A record each half second, some out of order, some of no number.
fn record(at: usize) -> String {
    let second = at / 2 + 3 * usize::from(at.is_multiple_of(7));
    let value = if at % 11 == 5 { "none".to_owned() } else { format!("{}.5", at * 13 % 70) };
    format!("2024-05-01T00:00:{second:02}Z,s{},{value}\n", at % 3)
}

const PLAIN: &str = "
[source]
type = 'csv'
path = 'in-*.csv'
time = 't'
sensor = 's'
measurements = ['v']
order = 'time'
disorder = '5s'
max_rejects = 0.9
[[stage]]
type = 'threshold'
min = -20
max = 90
[[stage]]
type = 'moving_average'
window = '8s'
[[stage]]
type = 'aggregate'
every = '4s'
statistics = ['count', 'mean', 'std']
into = '{column}_{statistic}'
[[sink]]
type = 'csv'
path = 'out/a.csv'
[[sink]]
type = 'jsonl'
path = 'out/b.jsonl'
[[sink]]
type = 'dead_letter'
path = 'out/c.jsonl'
[[sink]]
type = 'alert'
path = 'out/d.jsonl'
column = 'v_mean'
above = 20
clear_above = 10
";

/// Two sources, one after the other, and sinks behind each part.
const BRANCHES: &str = "
[[source]]
name = 'north'
type = 'csv'
path = 'in-1.csv'
time = 't'
sensor = 's'
measurements = ['v']
order = 'time'
disorder = '5s'
max_rejects = 0.9
[[source]]
name = 'south'
type = 'csv'
path = 'in-2.csv'
time = 't'
sensor = 's'
measurements = ['v']
max_rejects = 0.9
[[stage]]
name = 'valid'
type = 'threshold'
min = 10
max = 90
[[stage]]
name = 'smooth'
type = 'moving_average'
window = 4
[[stage]]
name = 'changes'
from = ['north', 'south']
type = 'dedupe'
tolerance = 20
[[stage]]
name = 'intervals'
from = 'valid'
type = 'aggregate'
every = '4s'
statistics = ['count', 'mean', 'max']
into = '{column}_{statistic}'
[[sink]]
from = 'south'
type = 'csv'
path = 'out/raw.csv'
[[sink]]
from = 'smooth'
type = 'jsonl'
path = 'out/smooth.jsonl'
[[sink]]
from = ['valid', 'changes']
type = 'csv'
path = 'out/both.csv'
[[sink]]
from = 'intervals'
type = 'csv'
path = 'out/intervals.csv'
[[sink]]
type = 'dead_letter'
path = 'out/rejects.jsonl'
";

/// Two sources by the times of their records.
const MERGED: &str = "
[[source]]
type = 'csv'
path = 'in-1.csv'
time = 't'
sensor = 's'
measurements = ['v']
merge = 'time'
max_rejects = 0.9
[[source]]
type = 'csv'
path = 'in-2.csv'
time = 't'
sensor = 's'
measurements = ['v']
merge = 'time'
max_rejects = 0.9
[[stage]]
type = 'moving_median'
window = 3
[[sink]]
type = 'csv'
path = 'out/a.csv'
[[sink]]
type = 'dead_letter'
path = 'out/rejects.jsonl'
";

/// Of each kind of file, one sink that has finished some, and one whose first is not finished.
const ROLLED: &str = "
[source]
type = 'csv'
path = 'in-*.csv'
time = 't'
sensor = 's'
measurements = ['v']
max_rejects = 0.9
[[stage]]
type = 'moving_average'
window = 3
[[sink]]
type = 'csv'
path = 'out/small/{epoch}-{date}-{hour}.csv'
roll = { size = '200B' }
[[sink]]
type = 'csv'
path = 'out/large/{epoch}.csv'
roll = { size = '1MB' }
[[sink]]
type = 'parquet'
path = 'out/few/{epoch}.parquet'
row_group = 4
roll = { size = '600B' }
[[sink]]
type = 'parquet'
path = 'out/many/{epoch}.parquet'
row_group = 8
roll = { size = '1MB' }
[[sink]]
type = 'dead_letter'
path = 'out/rejects/{epoch}.jsonl'
roll = { every = '1h' }
";

/// A sink that is no file, and one that is.
const OUTBOX: &str = "
[source]
type = 'csv'
path = 'in-*.csv'
time = 't'
sensor = 's'
measurements = ['v']
max_rejects = 0.9
[[sink]]
type = 'delivered'
path = 'out/delivered'
[[sink]]
type = 'csv'
path = 'out/a.csv'
";

/// What `CONSTANTS` loads.
const FIT: &str = "
[source]
type = 'csv'
path = 'in-*.csv'
time = 't'
sensor = 's'
measurements = ['v']
max_rejects = 0.9
[[stage]]
type = 'normalize'
method = 'min_max'
fit = true
save = 'fit.json'
[[sink]]
type = 'null'
";

/// Constants from a first pass, from a file, and from the records so far.
const CONSTANTS: &str = "
[source]
type = 'csv'
path = 'in-*.csv'
time = 't'
sensor = 's'
measurements = ['v']
max_rejects = 0.9
[[stage]]
type = 'normalize'
method = 'robust'
fit = true
columns = ['v']
into = 'fitted'
[[stage]]
type = 'normalize'
method = 'min_max'
load = 'fit.json'
columns = ['v']
into = 'loaded'
[[stage]]
type = 'normalize'
method = 'z_score'
running = true
columns = ['v']
into = 'running'
[[sink]]
type = 'csv'
path = 'out/a.csv'
";
