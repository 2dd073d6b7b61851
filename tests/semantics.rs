//! The contract, clause by clause (docs/semantics.md), through the public API: text in, text out.
//! What belongs to one part alone is tested beside that part, under the same numbers of clauses.

use tidemill::sink::{CsvFile, JsonLinesFile, Null};
use tidemill::source::{Csv, Synthetic};
use tidemill::stage::{Method, MovingAverage, Normalize, Threshold};
use tidemill::{ErrorKind, Pipeline};

#[path = "common/bench.rs"]
mod bench;
#[path = "semantics/input.rs"]
mod input;
#[path = "semantics/output.rs"]
mod output;
#[path = "semantics/rejects.rs"]
mod rejects;
#[path = "semantics/stages.rs"]
mod stages;

use bench::Bench;

/// Reads a file with these options of `[source]`: the lines that come out, and the rejects.
fn read(text: &str, options: &str) -> (Vec<String>, Vec<String>) {
    let bench = Bench::new(&[("in.csv", text)]);
    let report = bench.through(options, "").expect("a run");
    let shown = |r: &tidemill_engine::executor::Shown| format!("{}:{} {}", r.line, r.offset, r.reason);
    (bench.out(), report.rejects.first.iter().map(shown).collect())
}

#[test]
fn clause_1_wide_files_carry_what_is_no_number() {
    let (records, _) = read("when,a,note,b\n2026-01-01T00:00:00Z,1,\"x, y\",2.50\n", "time = \"when\"");
    assert_eq!(records, ["2026-01-01T00:00:00Z,in,1,\"x, y\",2.5"]);
}

#[test]
fn clause_1_the_sensor_is_a_column_a_name_or_the_file() {
    assert_eq!(read("s,v\nx,1\n", "sensor = \"s\"").0, ["x,1"]);
    assert_eq!(read("v\n1\n", "sensor_name = \"pump\"").0, ["pump,1"]);
    assert_eq!(read("v\n1\n", "").0, ["in,1"]);
}

#[test]
fn clause_2_empty_is_null_and_text_is_a_reject() {
    let (records, rejects) = read(
        "v,w\n,1\nNA,2\nnan,3\n-INF,4\nabc,5\n",
        "measurements = [\"v\", \"w\"]\nnull_values = [\"NA\"]",
    );
    assert_eq!(records, ["in,,1", "in,,2", "in,NaN,3", "in,-inf,4"]);
    assert_eq!(rejects, ["6:25 \"abc\" is not a number"]);
}

#[test]
fn clause_3_numbers_are_the_languages_own() {
    let (records, rejects) = read("v\n1e400\n 0.1 \n1 000\n\"1,5\"\n12C\n", "measurements = [\"v\"]");
    assert_eq!(records, ["in,inf", "in,0.1"]);
    assert_eq!(rejects.len(), 3);
    assert_eq!(read("v\n1,5\n", "decimal = \",\"\ndelimiter = \";\"").0, ["in,1.5"]);
}

#[test]
fn clause_4_impossible_times_are_rejects() {
    let text = "t,v\n2026-02-30T00:00:00Z,1\n2026-01-01 25:00:00,1\n2026-01-01 00:00:00+02:00,1\nnow,1\n";
    let (records, rejects) = read(text, "time = \"t\"");
    assert_eq!(records, ["2026-01-01 00:00:00+02:00,in,1"]);
    assert_eq!(rejects.len(), 3);
    assert_eq!(read("t,v\n1.5,1\n", "time = \"t\"\ntime_format = \"s\"").0, ["1.5,in,1"]);
    assert_eq!(
        read("t,v\n01.02.2026 03:04,1\n", "time = \"t\"\ntime_format = \"%d.%m.%Y %H:%M\"").0,
        ["01.02.2026 03:04,in,1"]
    );
}

#[test]
fn clause_5_quotes_line_ends_comments_and_blank_lines() {
    let text = "\u{feff}v,note\r\n1,\"a\nb\"\r2,\"say \"\"hi\"\"\"\n\n# comment\n3,x,y\n4,last";
    let (records, rejects) = read(text, "comment = \"#\"");
    assert_eq!(records.join("\n"), "in,1,\"a\nb\"\nin,2,\"say \"\"hi\"\"\"\nin,4,last");
    assert_eq!(rejects, ["7:45 3 fields where 2 are expected"]);
}

#[test]
fn clause_6_several_files_are_one_input() {
    let bench = Bench::new(&[("b.csv", "v\n2\n"), ("a.csv", "v\n1\n")]);
    let pipeline =
        "[source]\ntype = \"csv\"\npath = \"@/[ab].csv\"\n[[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"";
    bench.run(pipeline).expect("a run");
    assert_eq!(bench.out(), ["a,1", "b,2"]);
}

#[test]
fn clause_7_a_reject_is_kept_with_everything_about_it() {
    let bench = Bench::new(&[("in.csv", "v\n1\nx\n2\n")]);
    let pipeline = "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nmeasurements = [\"v\"]\n\
        [[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"@/dead.jsonl\"";
    bench.run(pipeline).expect("a run");
    let dead = std::fs::read_to_string(bench.path("dead.jsonl")).expect("a dead letter");
    let letter: serde_json::Value = serde_json::from_str(&dead).expect("one line of JSON");
    let shown = format!("{} {} {} {}", letter["line"], letter["offset"], letter["column"], letter["raw"]);
    assert_eq!(shown, "3 4 \"v\" \"x\"");
}

#[test]
fn clause_7_too_many_rejects_end_the_run_with_a_data_error() {
    let good: String = (0..990).map(|n| format!("{n}\n")).collect();
    let bench = Bench::new(&[("in.csv", &format!("v\n{good}{}", "bad\n".repeat(11))), ("all.csv", "v\nx\n")]);
    let run = |path: &str, more: &str| {
        bench.run(&format!("[source]\ntype = \"csv\"\npath = \"@/{path}\"\nmeasurements = [\"v\"]\n{more}\n[[sink]]\ntype = \"null\""))
    };
    let error = run("in.csv", "").expect_err("11 of 1,001");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("all for column `v`"), "{error}");
    assert!(run("in.csv", "max_rejects = 11").is_ok());
    assert!(run("in.csv", "max_rejects = 10").is_err());
    assert!(
        run("all.csv", "")
            .expect_err("none is good")
            .to_string()
            .contains("1 of 1 records were rejected, more than half")
    );
    assert!(run("all.csv", "max_rejects = 100").is_ok());
}

#[test]
fn clause_8_and_10_the_outputs_order_is_the_inputs() {
    let (records, _) =
        read("t,s,v\n3,b,1\n1,a,2\n2,b,3\n", "time = \"t\"\ntime_format = \"s\"\nsensor = \"s\"");
    assert_eq!(records, ["3,b,1", "1,a,2", "2,b,3"]);
}

#[test]
fn clause_9_order_by_time_within_a_bound() {
    let options = "time = \"t\"\ntime_format = \"s\"\nsensor = \"s\"\norder = \"time\"\ndisorder = \"10s\"";
    let (records, rejects) = read("t,s,v\n5,a,1\n0,a,2\n100,b,3\n20,a,4\n9,a,5\n12,a,6\n", options);
    assert_eq!(records, ["0,a,2", "5,a,1", "12,a,6", "20,a,4", "100,b,3"]);
    assert_eq!(rejects, ["6:33 late: 11s behind the newest record of its sensor"]);
}

#[test]
fn clause_11_what_a_filter_drops_never_enters_a_later_window() {
    let bench = Bench::new(&[("in.csv", "v\n1\n999\n3\n")]);
    Pipeline::builder()
        .source(Csv::new(bench.path("in.csv")))
        .stage(Threshold::between(0.0, 10.0))
        .stage(MovingAverage::rows(2))
        .sink(CsvFile::new(bench.path("out.csv")))
        .run()
        .expect("a run");
    assert_eq!(bench.out(), ["in,1,1", "in,3,2"]);
}

#[test]
fn clause_14_fit_reads_the_input_twice_and_names_constant_series() {
    let bench = Bench::new(&[("in.csv", "s,v\na,2\na,4\nb,7\na,3\n")]);
    let report = Pipeline::builder()
        .source(Csv::new(bench.path("in.csv")).sensor("s"))
        .stage(Normalize::fitted(Method::MinMax))
        .sink(CsvFile::new(bench.path("out.csv")))
        .run()
        .expect("a run");
    assert_eq!(bench.out(), ["a,0", "a,1", "b,0", "a,0.5"]);
    assert_eq!((report.passes, report.sources[0].ledger.input), (2, 4));
    assert!(report.remarks[0].contains("`v` of `b`"), "{:?}", report.remarks);
}

#[test]
fn clause_15_and_16_the_mean_is_exact() {
    // After 1e16 has left, nothing of it remains.
    let (text, stage) = ("v\n1e16\n1\n1\n1\n", MovingAverage::rows(3));
    let bench = Bench::new(&[("in.csv", text)]);
    let sink = CsvFile::new(bench.path("out.csv"));
    Pipeline::builder().source(Csv::new(bench.path("in.csv"))).stage(stage).sink(sink).run().expect("a run");
    let means: Vec<String> =
        bench.out().iter().map(|line| line.rsplit(',').next().expect("a mean").to_owned()).collect();
    assert_eq!(means, ["1e16", "5000000000000000", "3333333333333334", "1"]);
}

#[test]
fn clause_18_floats_are_short_and_times_as_they_came() {
    let (records, _) = read(
        "t,v\n2026-01-01 00:00:00.10,0.30000000000000004\n2026-01-01T00:00:01+01:00,1e22\n",
        "time = \"t\"",
    );
    assert_eq!(
        records,
        ["2026-01-01 00:00:00.10,in,0.30000000000000004", "2026-01-01T00:00:01+01:00,in,1e22"]
    );
}

#[test]
fn clause_19_a_failed_run_leaves_the_older_output_and_nothing_else() {
    let bench = Bench::new(&[("in.csv", "v\nx\n"), ("out.csv", "older\n")]);
    let pipeline = "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nmeasurements = [\"v\"]\n[[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"";
    assert!(bench.run(pipeline).is_err());
    assert_eq!(std::fs::read_to_string(bench.path("out.csv")).expect("the older one"), "older\n");
    assert_eq!(std::fs::read_dir(bench.0.path()).expect("the folder").count(), 2);
}

#[test]
fn clause_20_every_sink_gets_every_batch_of_its_sensors() {
    let bench = Bench::new(&[]);
    let report = Pipeline::builder()
        .source(Synthetic::default().records(1200))
        .sink(CsvFile::new(bench.path("out.csv")))
        .sink_for(["temp-*"], JsonLinesFile::new(bench.path("temp.jsonl")))
        .sink(Null::default())
        .run()
        .expect("a run");
    let written: Vec<_> =
        report.sinks.iter().map(|sink| (sink.ledger.output, sink.ledger.filtered)).collect();
    assert_eq!(written, [(1200, 0), (400, 800), (1200, 0)]);
    let lines = std::fs::read_to_string(bench.path("temp.jsonl")).expect("written").lines().count();
    assert_eq!((bench.out().len(), lines), (1200, 400));
}

#[test]
fn chunks_of_any_size_and_either_way_of_reading_give_the_same_bytes() {
    use tidemill::source::Io;
    use tidemill_engine::executor::{RunOptions, run};
    let bench = Bench::new(&[]);
    let input = CsvFile::new(bench.path("in.csv"));
    let source = Synthetic { records: 2000, nan: 0.02, nulls: 0.02, spikes: 0.02, ..Synthetic::default() };
    Pipeline::builder().source(source).sink(input).run().expect("data");
    let pipeline = Pipeline::builder()
        .source(Csv::new(bench.path("in.csv")).time("timestamp").sensor("sensor"))
        .stage(Threshold::between(-40.0, 125.0))
        .stage(Normalize::fitted(Method::Robust))
        .stage(MovingAverage::duration("15s"))
        .stage(Normalize { into: Some("{column}_z".into()), ..Normalize::running(Method::ZScore) })
        .sink(CsvFile::new(bench.path("out.csv")))
        .build()
        .expect("a pipeline");
    let mut outputs = Vec::new();
    for (chunk_size, io) in [(1 << 20, Io::Read), (64, Io::Mmap), (1000, Io::Read), (77, Io::Read)] {
        let mut options = RunOptions::default();
        (options.open.chunk_size, options.open.io) = (chunk_size, io);
        run(&pipeline, &options, &mut ()).expect("a run");
        outputs.push(std::fs::read(bench.path("out.csv")).expect("an output"));
    }
    assert!(outputs[0].len() > 50_000);
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}
