//! Random pipelines: options of the source, up to four stages, sinks of every kind.

use std::fmt::Write as _;

use super::random::Random;

/// Stages of every kind, with their options.
const STAGES: [&str; 22] = [
    "type = 'threshold'\nmin = -50.0\nmax = 90.0",
    "type = 'threshold'\nmin = 0.0\naction = 'mask'\nnulls = 'keep'\nsensors.'s1*' = { min = 10.0 }",
    "type = 'threshold'\nmax = 50.0\naction = 'flag'",
    "type = 'threshold'\ncolumns.'w*' = { min = -70.0 }\nnulls = 'keep'",
    "type = 'normalize'\nmin = -80.0\nmax = 120.0\nclip = true",
    "type = 'normalize'\nmethod = 'min_max'\nfit = true\ninto = '{column}_n'",
    "type = 'normalize'\nmethod = 'z_score'\nfit = true",
    "type = 'normalize'\nmethod = 'robust'\nfit = true",
    "type = 'normalize'\nmethod = 'z_score'\nrunning = true",
    "type = 'normalize'\nrunning = true\ncolumns = ['w']",
    "type = 'moving_average'\nwindow = 3\ninto = '{column}_3'\ncount = true",
    "type = 'moving_average'\nwindow = 100\nmin_samples = 5",
    "type = 'moving_average'\nwindow = '4s'",
    "type = 'moving_min'\nwindow = '5s'\ncolumns = ['v']",
    "type = 'moving_max'\nwindow = 4\nnon_finite = 'propagate'",
    "type = 'moving_std'\nwindow = 5\nddof = 1",
    "type = 'moving_std'\nwindow = '30s'",
    "type = 'moving_median'\nwindow = '3s'",
    "type = 'moving_median'\nwindow = 11\ninto = '{column}_m'",
    "type = 'aggregate'\nevery = '10s'\nstatistics = ['count', 'sum', 'mean', 'min', 'max', 'std']",
    "type = 'aggregate'\nquantiles = [0.1, 0.5, 0.999]",
    "type = 'pivot'\nkey = 'tag'\nnames = ['a', 'b', 'x y']\nvalue = 'v'",
];

/// The pipeline file of a case over `path`, whose records are of `kind`.
pub(crate) fn text(case: u64, kind: &str, path: &str) -> String {
    let mut random = crate::numbers(case, 1);
    let mut text = format!("[source]\ntype = '{kind}'\npath = '{path}'\nsensor = 's'\nmax_rejects = 0.9\n");
    if kind != "influx" {
        text += "time = 't'\n";
    }
    text += "measurements = ['v', 'w']\n";
    source(&mut random, kind, &mut text);
    for _ in 0..random.below(5) {
        let _ = write!(text, "[[stage]]\n{}\n", random.of(&STAGES));
    }
    sinks(&mut random, &mut text);
    text
}

/// Whether a case reads its input once, in its own order.
pub(crate) fn can_be_live(case: u64) -> bool {
    let text = text(case, "csv", "in.csv");
    !["fit = true", "newest_first", "from =", "until ="].iter().any(|option| text.contains(option))
}

fn source(random: &mut Random, kind: &str, text: &mut String) {
    *text += random.of(&[
        "",
        "",
        "order = 'time'\ndisorder = '3s'\n",
        "order = 'time'\ndisorder = '10s'\nagree = 1\n",
        "order = 'newest_first'\n",
        "from = '2026-01-01T00:00:05Z'\n",
        "until = '2026-01-01T00:10:00Z'\n",
        "max_jump = '1m'\n",
        "idle_sensors = '30s'\n",
    ]);
    if kind != "influx" {
        *text += random.of(&[
            "",
            "",
            "",
            "null_values = ['-0', '1e308']\n",
            "columns = []\n",
            "rename = { tag = 'label' }\n",
            "unpivot = { sensor = '{sensor}.{column}' }\n",
        ]);
    }
}

fn sinks(random: &mut Random, text: &mut String) {
    *text += "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    for sink in [
        "type = 'jsonl'\npath = 'out.jsonl'\nsensors = ['s1*', 's3*']",
        "type = 'dead_letter'\npath = 'rejects.jsonl'",
        "type = 'parquet'\npath = 'out.parquet'\nrow_group = 300",
        "type = 'alert'\npath = 'alerts.jsonl'\ncolumn = 'v*'\nabove = 80.0\nclear_above = 60.0",
    ] {
        if random.once_in(2) {
            let _ = write!(text, "[[sink]]\n{sink}\n");
        }
    }
}
