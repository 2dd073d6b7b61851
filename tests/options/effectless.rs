//! Options that have no effect where they stand, or wrong values: refused or noted, with their place.

use std::fs;

use super::cases::{COLUMNS, INPUT};
use super::command::{folder, run, text};
use super::observe::{laid_over, write_inputs};

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
    ("units", "units = { absent = 'V' }", "", ""),
    ("units", "units = { note = 'V' }", "", ""),
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
fn what_is_wrong_with_how_files_roll_is_said_at_its_line() {
    let folder = folder();
    write_inputs(folder.path(), "csv", INPUT);
    let said = |command: &str, sink: &str| {
        let source = format!("[source]\ntype = 'csv'\npath = 'in.csv'\n{COLUMNS}");
        let pipeline = format!("{source}\n[[sink]]\ntype = 'csv'\n{sink}");
        fs::write(folder.path().join("p.toml"), &pipeline).expect("written");
        let output = run(folder.path(), &[command, "p.toml"]);
        (text(&output.stdout) + &text(&output.stderr), pipeline)
    };
    for (sink, wrong, line) in [
        ("path = 'out/{epoch}.csv'\nroll = { size = '1MiB', every = 'soon' }\n", "`roll.every`", "roll ="),
        ("path = 'out/{epoch}.csv'\nroll.size = '1MiB'\nroll.keep = 'ever'\n", "`roll.keep`", "roll.keep"),
        ("path = 'out/{epoch}.csv'\n[sink.roll]\nevery = '1h'\nsize = 'much'\n", "`roll.size`", "size ="),
        ("path = 'out/{epoch}.csv'\nroll = { keep = '1d' }\n", "neither `every` nor `size`", "roll ="),
        ("path = 'out/{date}-{epoch}.csv'\n", "has {epoch}, but the sink does not `roll`", "path = 'out"),
    ] {
        let (said, pipeline) = said("validate", sink);
        let at = 1 + pipeline.lines().position(|written| written.starts_with(line)).expect("a line");
        assert!(said.contains(wrong) && said.contains(&format!(" --> p.toml:{at}:")), "line {at}: {said}");
    }
    let (explained, _) = said("explain", "path = 'out/{epoch}.csv'\nroll = { every = '1h' }\n");
    assert!(explained.contains("  roll = { every = \"1h\" }\n"), "{explained}");
}

#[test]
fn columns_that_differ_are_said_once_however_many_parts_take_them() {
    let folder = folder();
    write_inputs(folder.path(), "csv", INPUT);
    let source = format!("[source]\ntype = 'csv'\npath = 'in.csv'\n{COLUMNS}");
    let stage = "[[stage]]\nname = 'smooth'\ntype = 'moving_average'\nwindow = 2\n";
    let sink =
        |name: &str| format!("[[sink]]\ntype = 'csv'\npath = '{name}.csv'\nfrom = ['source', 'smooth']\n");
    let pipeline = format!("{source}\n{stage}{}{}", sink("one"), sink("two"));
    fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let said = text(&run(folder.path(), &["validate", "p.toml"]).stderr);
    assert_eq!(said.matches("`from` joins records of different columns").count(), 1, "{said}");
    assert_eq!(said.matches("error:").count(), 1, "{said}");
}
