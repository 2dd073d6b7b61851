//! Clauses 1 to 10 where a single file of one trap cannot tell (`tests/pathological.rs` has those).

use tidemill::{ErrorKind, Pipeline};
use tidemill_engine::executor::{self, RunOptions};

use crate::bench::Bench;

/// What a file gives with these options of `[source]`, header and all.
fn table(text: &str, source: &str) -> String {
    let bench = Bench::new(&[("in.csv", text)]);
    bench.through(source, "").expect("a run");
    std::fs::read_to_string(bench.path("out.csv")).expect("an output")
}

const TIMED: &str = "time = \"t\"\ntime_format = \"s\"\nsensor = \"s\"\nmeasurements = [\"v\"]";

#[test]
fn clause_1_long_files_keep_the_order_of_their_columns() {
    let text = "note,v,s,t\nx,1,a,0\n,2,b,1\n";
    assert_eq!(table(text, TIMED), text);
}

#[test]
fn clause_1_a_sensor_that_no_column_has_stands_behind_the_time() {
    let source = "time = \"t\"\ntime_format = \"s\"\n";
    assert_eq!(table("v,t,w\n1,0,2\n", source), "v,t,sensor,w\n1,0,in,2\n");
    assert_eq!(table("v,w\n1,2\n", "sensor_name = \"x\""), "sensor,v,w\nx,1,2\n");
}

#[test]
fn clause_2_null_values_of_ones_own_come_on_top_of_the_empty_field() {
    let source = "measurements = [\"v\"]\nnull_values = [\"NA\", \"-999\"]";
    assert_eq!(table("v,w\n,1\nNA,2\n-999,3\n", source), "sensor,v,w\nin,,1\nin,,2\nin,,3\n");
}

#[test]
fn clause_4_a_zone_shifts_times_without_an_offset_and_no_others() {
    let stage = "[[stage]]\ntype = \"moving_average\"\nwindow = \"1s\"";
    let bench = Bench::new(&[("in.csv", "t,v\n2026-07-01T12:00:00+02:00,1\n2026-07-01 12:00:00,3\n")]);
    let mean = |source: &str| {
        bench.through(&format!("time = \"t\"\n{source}"), stage).expect("a run");
        bench.out()[1].rsplit(',').next().expect("a mean").to_owned()
    };
    assert_eq!(mean(""), "3", "two hours lie between them");
    assert_eq!(mean("timezone = \"Europe/Berlin\""), "2", "they are the same time");
}

#[test]
fn clause_6_lists_are_read_as_given_and_globs_and_folders_by_name() {
    let files = [("b.csv", "v\n2\n"), ("a.csv", "v\n1\n"), ("c.tsv", "v\n3\n"), ("d.md", "no data")];
    let bench = Bench::new(&files);
    let out = tempfile::tempdir().expect("a folder");
    let read = |path: &str| {
        let out = out.path().join("out.csv");
        let sink = format!("[[sink]]\ntype = \"csv\"\npath = \"{}\"", out.display());
        bench.run(&format!("[source]\ntype = \"csv\"\npath = {path}\n{sink}")).expect("a run");
        std::fs::read_to_string(out).expect("an output").replace('\n', " ")
    };
    assert_eq!(read("[\"@/b.csv\", \"@/a.csv\", \"@/b.csv\"]"), "sensor,v b,2 a,1 b,2 ");
    assert_eq!(read("\"@/*.csv\""), "sensor,v a,1 b,2 ");
    assert_eq!(read("\"@\""), "sensor,v a,1 b,2 c,3 ");
    assert_eq!(read("[\"@/c.tsv\", \"@/[ab].csv\"]"), "sensor,v c,3 a,1 b,2 ");
}

#[test]
fn clause_23_line_protocol_goes_through_a_pipeline() {
    let text =
        "# a comment\ncpu,host=a usage=1,idle=3i 5\ncpu,host=b usage=2\nmem,host=a free=7u,state=\"x,y\" 6\n";
    let bench = Bench::new(&[("in.lp", text)]);
    let source = "[source]\ntype = \"influx\"\npath = \"@\"\nsensor = \"host\"\nmax_rejects = 1";
    let stage = "[[stage]]\ntype = \"threshold\"\ncolumns = [\"usage\"]\nmax = 10\nnulls = \"keep\"";
    let sink = "[[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"";
    let report = bench.run(&format!("{source}\n{stage}\n{sink}")).expect("a run");
    let out = std::fs::read_to_string(bench.path("out.csv")).expect("an output");
    assert_eq!(out, "time,host,table,usage,idle,free,state\n5,a,cpu,1,3,,\n6,a,mem,,,7,\"x,y\"\n");
    let first = &report.rejects.first[0];
    assert_eq!((first.line, &*first.reason), (3, "no timestamp"));
}

#[test]
fn clause_7_rejects_are_counted_with_and_without_a_dead_letter_and_the_first_five_shown() {
    let text: String =
        ["v,w\n"].into_iter().map(str::to_owned).chain((0..9).map(|n| format!("x{n},1\n{n},2\n"))).collect();
    let bench = Bench::new(&[("in.csv", &text)]);
    let source =
        "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nmeasurements = [\"v\"]\n[[sink]]\ntype = \"null\"\n";
    let letters = "[[sink]]\ntype = \"dead_letter\"\npath = \"@/dead.jsonl\"";
    for pipeline in [source.to_owned(), format!("{source}{letters}")] {
        let report = bench.run(&pipeline).expect("a run");
        let ledger = report.sources[0].ledger;
        assert_eq!((ledger.input, ledger.output, ledger.rejected), (18, 9, 9));
        assert_eq!((report.rejects.malformed, report.rejects.late), (9, 0));
        let shown: Vec<_> =
            report.rejects.first.iter().map(|reject| (reject.line, reject.raw.as_str())).collect();
        assert_eq!(shown, [(2, "x0,1"), (4, "x1,1"), (6, "x2,1"), (8, "x3,1"), (10, "x4,1")]);
    }
    assert_eq!(std::fs::read_to_string(bench.path("dead.jsonl")).expect("letters").lines().count(), 9);
}

#[test]
fn clause_9_records_of_one_time_keep_the_order_of_the_input() {
    let source = format!("{TIMED}\norder = \"time\"\ndisorder = \"10s\"");
    let written = table("t,s,v\n5,a,1\n3,a,2\n5,a,3\n3,a,4\n5,a,5\n", &source);
    assert_eq!(written, "t,s,v\n3,a,2\n3,a,4\n5,a,1\n5,a,3\n5,a,5\n");
}

#[test]
fn clause_9_late_records_go_to_the_dead_letter_and_never_to_a_stage() {
    let bench = Bench::new(&[("in.csv", "t,s,v\n100,a,1\n89,a,1000\n90,a,2\n0,b,5\n")]);
    let report = bench
        .run(&format!(
            "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\n{TIMED}\norder = \"time\"\ndisorder = \"10s\"\n\
            [[stage]]\ntype = \"moving_average\"\nwindow = 9\n[[sink]]\ntype = \"csv\"\npath = \"@/out.csv\"\n\
            [[sink]]\ntype = \"dead_letter\"\npath = \"@/dead.jsonl\""
        ))
        .expect("a run");
    assert_eq!(bench.out(), ["90,a,2,2", "0,b,5,5", "100,a,1,1.5"]);
    assert_eq!((report.rejects.malformed, report.rejects.late), (0, 1));
    let dead = std::fs::read_to_string(bench.path("dead.jsonl")).expect("a dead letter");
    let letter: serde_json::Value = serde_json::from_str(&dead).expect("one line of JSON");
    assert_eq!(
        (&letter["kind"], &letter["line"], &letter["raw"]),
        (&"late".into(), &3.into(), &"89,a,1000".into())
    );
    assert_eq!(letter["reason"], "late: 11s behind the newest record of its sensor");
}

#[test]
fn clause_9_order_by_time_needs_a_bound_and_a_time() {
    let bench = Bench::new(&[("in.csv", "t,s,v\n1,a,1\n")]);
    for (source, why) in [
        ("time = \"t\"\ntime_format = \"s\"\norder = \"time\"", "`order = \"time\"` needs `disorder`"),
        ("order = \"time\"\ndisorder = \"5s\"", "`order = \"time\"` needs a time column"),
        ("time = \"t\"\ntime_format = \"s\"\ndisorder = \"5s\"", "`disorder` has no meaning without"),
    ] {
        let error = bench.through(source, "").expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn clause_10_any_number_of_threads_gives_the_order_of_the_one_thread_loop() {
    let text: String =
        (0..3000).map(|n| format!("{},s{},{n}\n", n / 3 + (n * 7) % 11, (n * n) % 7)).collect();
    let bench = Bench::new(&[("in.csv", &format!("t,s,v\n{text}"))]);
    for order in ["", "order = \"time\"\ndisorder = \"3s\""] {
        let pipeline = format!(
            "[source]\ntype = \"csv\"\npath = \"{}\"\n{TIMED}\n{order}\nmax_rejects = 0.9\n[[stage]]\ntype = \"moving_average\"\nwindow = \"4s\"\n\
            [[sink]]\ntype = \"csv\"\npath = \"{}\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"{}\"",
            bench.path("in.csv"),
            bench.path("out.csv"),
            bench.path("dead.jsonl"),
        );
        let pipeline = Pipeline::from_toml(&pipeline).expect("a pipeline");
        let run = |threads, sequential| {
            let mut options = RunOptions { threads: Some(threads), sequential, ..RunOptions::default() };
            options.open.chunk_size = 500;
            executor::run(&pipeline, &options, &mut ()).expect("a run");
            ["out.csv", "dead.jsonl"].map(|name| std::fs::read(bench.path(name)).expect("an output"))
        };
        let expected = run(1, true);
        assert!(!expected[1].is_empty());
        for threads in [1, 2, 5] {
            assert!(run(threads, false) == expected, "{threads} threads, {order}");
        }
    }
}
