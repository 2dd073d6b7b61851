//! Units and metadata from end to end (clause 34): declared or read, through stages, to Parquet and back.

#[path = "common/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use command::{folder, run, text};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const INPUT: &str = "t,s,temp,hum\n1,a,20.5,40\n2,a,21.0,41\n3,b,19.5,42\n";

const SOURCE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\ntime_format = 's'\nsensor = 's'\nmeasurements = ['temp', 'hum']\n";

const UNITS: &str = "units = { temp = 'degC', 'h*' = '%' }\n";

const SINK: &str = "[[sink]]\ntype = 'parquet'\npath = 'out.parquet'\n";

/// Runs `pipeline`, which has to succeed.
fn go(folder: &Path, pipeline: &str) {
    fs::write(folder.join("p.toml"), pipeline).expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}\n{pipeline}", text(&output.stderr));
}

/// What `pipeline` is refused with.
fn refusal(folder: &Path, pipeline: &str) -> String {
    fs::write(folder.join("p.toml"), pipeline).expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(!output.status.success(), "{pipeline}");
    text(&output.stderr)
}

/// What a Parquet file says of the columns of which it says something.
fn said(path: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let file = File::open(path).expect("a file");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
    let fields = builder.schema().fields().iter();
    let fields = fields.filter(|field| !field.metadata().is_empty());
    fields.map(|field| (field.name().clone(), field.metadata().clone().into_iter().collect())).collect()
}

/// The units that a Parquet file says.
fn units(path: &Path) -> Vec<(String, String)> {
    said(path).into_iter().filter_map(|(name, of)| Some((name, of.get("unit")?.clone()))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, unit)| ((*name).to_owned(), (*unit).to_owned())).collect()
}

fn with_input() -> tempfile::TempDir {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), INPUT).expect("written");
    folder
}

/// A Parquet file whose measurement `v` says this.
fn write_parquet(path: &Path, metadata: &[(&str, &str)]) {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let fields = vec![
        Field::new("s", DataType::Utf8, false),
        Field::new("v", DataType::Float64, true).with_metadata(metadata.collect()),
    ];
    let columns: Vec<arrow_array::ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["a"])), Arc::new(Float64Array::from(vec![1.5]))];
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("records");
    let file = File::create(path).expect("created");
    let mut writer = ArrowWriter::try_new(file, records.schema(), None).expect("a writer");
    writer.write(&records).expect("written");
    writer.close().expect("closed");
}

#[test]
fn clause_34_units_go_through_stages_by_their_rules() {
    let stages = [
        ("", &[("hum", "%"), ("temp", "degC")][..]),
        ("type = 'threshold'\nmin = 0.0\naction = 'flag'", &[("hum", "%"), ("temp", "degC")]),
        (
            "type = 'moving_std'\nwindow = 2\ncount = true",
            &[("hum", "%"), ("hum_std", "%"), ("temp", "degC"), ("temp_std", "degC")],
        ),
        ("type = 'moving_max'\nwindow = 2\ninto = '{column}'", &[("hum", "%"), ("temp", "degC")]),
        ("type = 'normalize'\nmethod = 'z_score'\nfit = true\ncolumns = ['temp']", &[("hum", "%")]),
        ("type = 'normalize'\nrunning = true\ncolumns = ['temp']", &[("hum", "%")]),
        (
            "type = 'normalize'\nmin = 0.0\nmax = 9.0\ncolumns = ['temp']\ninto = 'scaled'",
            &[("hum", "%"), ("temp", "degC")],
        ),
        (
            "type = 'rate'\nper = '1h'\ncolumns = ['temp']",
            &[("hum", "%"), ("temp", "degC"), ("temp_rate", "degC/h")],
        ),
        ("type = 'rate'\nper = '5s'\ncolumns = ['temp']", &[("hum", "%"), ("temp", "degC")]),
        (
            "type = 'rate'\nmethod = 'difference'\ncolumns = ['temp']",
            &[("hum", "%"), ("temp", "degC"), ("temp_rate", "degC")],
        ),
        (
            "type = 'aggregate'\nevery = '1h'\nstatistics = ['count', 'sum', 'min']\nquantiles = [0.5]\ncolumns = ['temp']",
            &[("temp_min", "degC"), ("temp_p50", "degC"), ("temp_sum", "degC")],
        ),
        ("type = 'silence'\nafter = '1h'", &[("hum", "%"), ("temp", "degC")]),
        ("type = 'dedupe'", &[("hum", "%"), ("temp", "degC")]),
    ];
    for (stage, expected) in stages {
        let folder = with_input();
        let stage = if stage.is_empty() { String::new() } else { format!("[[stage]]\n{stage}\n") };
        go(folder.path(), &format!("{SOURCE}{UNITS}{stage}{SINK}"));
        assert_eq!(units(&folder.path().join("out.parquet")), pairs(expected), "{stage}");
    }
}

#[test]
fn clause_34_pivot_and_unpivot_carry_the_unit() {
    let folder = with_input();
    let long = SOURCE.replace("'csv'", "'csv'\nunpivot = { sensor = '{sensor}.{column}' }");
    for (units_of, expected) in
        [("'*' = 'V'", &[("value", "V")][..]), ("temp = 'degC', hum = '%'", &[]), ("temp = 'V'", &[])]
    {
        go(folder.path(), &format!("{long}units = {{ {units_of} }}\n{SINK}"));
        assert_eq!(units(&folder.path().join("out.parquet")), pairs(expected), "{units_of}");
    }
    let wide = "[[stage]]\ntype = 'pivot'\nkey = 'what'\nnames = ['x', 'y']\nvalue = 'v'\n";
    fs::write(folder.path().join("in.csv"), "t,s,what,v\n1,a,x,2.5\n1,a,y,3.5\n").expect("written");
    let source = SOURCE.replace("'temp', 'hum'", "'v'");
    go(folder.path(), &format!("{source}units = {{ v = 'mm' }}\n{wide}{SINK}"));
    assert_eq!(units(&folder.path().join("out.parquet")), pairs(&[("x", "mm"), ("y", "mm")]));
}

#[test]
fn clause_34_units_and_metadata_go_through_parquet() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    write_parquet(&path("in.parquet"), &[("unit", "degC"), ("height", "2 m"), ("ARROW:extension:name", "x")]);
    let source = "[source]\ntype = 'parquet'\npath = 'in.parquet'\nsensor = 's'\n";
    go(folder.path(), &format!("{source}{SINK}"));
    let out = said(&path("out.parquet"));
    let expected =
        [("height", "2 m"), ("unit", "degC")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(out.get("v"), Some(&expected.into()), "{out:?}");
    // What the options declare goes before; the other name of the key; both in one.
    go(folder.path(), &format!("{source}units = {{ v = 'K' }}\n{SINK}"));
    assert_eq!(units(&path("out.parquet")), pairs(&[("v", "K")]));
    write_parquet(&path("in.parquet"), &[("units", "V")]);
    go(folder.path(), &format!("{source}{SINK}"));
    assert_eq!(units(&path("out.parquet")), pairs(&[("v", "V")]));
    // A column of another scale has none of what was said of it.
    write_parquet(&path("in.parquet"), &[("unit", "V"), ("range", "0 to 5")]);
    go(folder.path(), &format!("{source}[[stage]]\ntype = 'normalize'\nmin = 0.0\nmax = 5.0\n{SINK}"));
    assert_eq!(said(&path("out.parquet")), BTreeMap::new());
}

#[test]
fn clause_34_a_line_of_the_file_says_the_units() {
    let folder = folder();
    let input = "t,s,temp,hum\ns,,degC,\n1,a,20.5,40\n";
    fs::write(folder.path().join("in.csv"), input).expect("written");
    go(folder.path(), &format!("{SOURCE}header_row = 1\nunits_row = 2\n{SINK}"));
    assert_eq!(units(&folder.path().join("out.parquet")), pairs(&[("temp", "degC")]));
    let renamed = SOURCE.replace("'temp', 'hum'", "'T', 'hum'");
    go(
        folder.path(),
        &format!(
            "{renamed}header_row = 1\nunits_row = 2\nrename = {{ temp = 'T' }}\nunits = {{ hum = '%' }}\n{SINK}"
        ),
    );
    assert_eq!(units(&folder.path().join("out.parquet")), pairs(&[("T", "degC"), ("hum", "%")]));
}

#[test]
fn clause_34_explain_shows_units() {
    let folder = with_input();
    fs::write(folder.path().join("p.toml"), format!("{SOURCE}{UNITS}{SINK}")).expect("written");
    let output = run(folder.path(), &["explain", "p.toml"]);
    let said = text(&output.stdout);
    assert!(said.contains("temp (measurement in degC), hum (measurement in %)"), "{said}");
}

#[test]
fn clause_34_a_column_that_is_not_there_has_no_unit() {
    let folder = with_input();
    let error = refusal(folder.path(), &format!("{SOURCE}units = {{ tmp = 'degC' }}\n{SINK}"));
    assert!(error.contains("`tmp`") && error.contains("`units`") && error.contains("`temp`"), "{error}");
}

#[test]
fn clause_34_two_units_of_one_column_are_an_error_that_names_both() {
    let folder = with_input();
    let named = |name: &str, unit: &str| {
        let source =
            SOURCE.replace("[source]", "[[source]]").replace("'csv'", &format!("'csv'\nname = '{name}'"));
        if unit.is_empty() { source } else { format!("{source}units = {{ temp = '{unit}' }}\n") }
    };
    let two = |one: &str, other: &str| format!("{}{}{SINK}", named("roof", one), named("cellar", other));
    let error = refusal(folder.path(), &two("degC", "degF"));
    for part in ["`temp`", "`degC` in source `roof`", "`degF` in source `cellar`"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    // Where one does not say it, it is what the other says.
    for (one, other) in [("degC", "degC"), ("degC", ""), ("", "degC")] {
        go(folder.path(), &two(one, other));
        assert_eq!(units(&folder.path().join("out.parquet")), pairs(&[("temp", "degC")]), "{one} {other}");
    }
}

#[test]
fn clause_34_files_of_one_source_have_one_unit() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    write_parquet(&path("1.parquet"), &[("unit", "bar")]);
    write_parquet(&path("2.parquet"), &[("unit", "kPa")]);
    let source = "[source]\ntype = 'parquet'\npath = ['1.parquet', '2.parquet']\nsensor = 's'\n";
    let error = refusal(folder.path(), &format!("{source}{SINK}"));
    assert!(error.contains("`bar` in 1.parquet") && error.contains("`kPa` in 2.parquet"), "{error}");
    go(folder.path(), &format!("{source}units = {{ v = 'bar' }}\n{SINK}"));
    assert_eq!(units(&path("out.parquet")), pairs(&[("v", "bar")]));
    let input = |unit: &str| format!("t,s,temp,hum\ns,,{unit},\n1,a,20.5,40\n");
    fs::write(path("1.csv"), input("degC")).expect("written");
    fs::write(path("2.csv"), input("degF")).expect("written");
    let source = SOURCE.replace("'in.csv'", "['1.csv', '2.csv']");
    let error = refusal(folder.path(), &format!("{source}header_row = 1\nunits_row = 2\n{SINK}"));
    assert!(error.contains("`degC`") && error.contains("`degF` in 2.csv"), "{error}");
}

#[test]
fn clause_34_a_recording_keeps_units() {
    let folder = with_input();
    fs::write(folder.path().join("p.toml"), format!("{SOURCE}{UNITS}{SINK}")).expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--quiet", "--record", "all.rec"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let replayed = SOURCE.replace("'in.csv'", "'all.rec'");
    go(folder.path(), &format!("{replayed}{SINK}"));
    assert_eq!(units(&folder.path().join("out.parquet")), pairs(&[("hum", "%"), ("temp", "degC")]));
}
