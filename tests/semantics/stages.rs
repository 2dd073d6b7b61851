//! Clauses 11 to 17: what stages do.

use tidemill::stage::{EachSeries, Method, MovingAverage, Normalize, Reach, Stage, Threshold};
use tidemill::{ErrorKind, Report};

use crate::bench::Bench;

/// Columns of the files of these tests.
const LONG: &str = "sensor = \"s\"\nmeasurements = [\"v\"]";
const TIMED: &str = "time = \"t\"\ntime_format = \"s\"\nsensor = \"s\"\nmeasurements = [\"v\"]";

/// What a file gives after these stages: the header, the records, and the report.
fn all(text: &str, source: &str, stages: &str) -> (String, Vec<String>, Report) {
    let bench = Bench::new(&[("in.csv", text)]);
    let report = bench.through(source, stages).expect("a run");
    let written = std::fs::read_to_string(bench.path("out.csv")).expect("an output");
    (written.lines().next().unwrap_or_default().to_owned(), bench.out(), report)
}

/// The records alone.
fn run(text: &str, source: &str, stages: &str) -> Vec<String> {
    all(text, source, stages).1
}

/// The last column alone, of a file of the one column `v`.
fn last(values: &[&str], stage: &str) -> Vec<String> {
    let text = format!("v,x\n{}", values.iter().map(|value| format!("{value},x\n")).collect::<String>());
    let records = run(&text, "measurements = [\"v\"]", &format!("[[stage]]\n{stage}\ninto = \"new\""));
    records.iter().map(|record| record.rsplit(',').next().unwrap_or_default().to_owned()).collect()
}

/// The measurement `v` alone, of a file of that one column.
fn values(values: &[&str], stage: &str) -> Vec<String> {
    let text = format!("v,x\n{}", values.iter().map(|value| format!("{value},x\n")).collect::<String>());
    let records = run(&text, "measurements = [\"v\"]", &format!("[[stage]]\n{stage}"));
    records.iter().map(|record| record.split(',').nth(1).unwrap_or_default().to_owned()).collect()
}

/// Why a run fails.
fn error(text: &str, source: &str, stages: &str) -> (ErrorKind, String) {
    let error = Bench::new(&[("in.csv", text)]).through(source, stages).expect_err("an error");
    (error.kind(), error.to_string())
}

#[test]
fn clause_11_stages_run_in_the_written_order() {
    let (threshold, average) = (
        "[[stage]]\ntype = \"threshold\"\nmax = 10\ncolumns = [\"v\"]\n",
        "[[stage]]\ntype = \"moving_average\"\nwindow = 2\ncolumns = [\"v\"]\n",
    );
    let text = "v\n1\n99\n3\n";
    assert_eq!(run(text, "", &format!("{threshold}{average}")), ["in,1,1", "in,3,2"]);
    assert_eq!(run(text, "", &format!("{average}{threshold}")), ["in,1,1", "in,3,51"]);
}

#[test]
fn clause_11_a_fit_sees_what_the_stages_before_it_let_through() {
    let stages = "[[stage]]\ntype = \"threshold\"\nmax = 10\n[[stage]]\ntype = \"normalize\"\nfit = true";
    assert_eq!(run("v\n0\n1000\n10\n5\n", "", stages), ["in,0", "in,1", "in,0.5"]);
}

#[test]
fn clause_12_columns_are_all_measurements_unless_some_are_named() {
    let text = "v,w,note\n1,10,a\n5,50,b\n9,1,c\n";
    let stage = |more: &str| format!("[[stage]]\ntype = \"threshold\"\nmax = 9\n{more}");
    assert_eq!(run(text, "", &stage("")), ["in,9,1,c"]);
    assert_eq!(run(text, "", &stage("columns = [\"v\"]")).len(), 3);
    let stage = |more: &str| format!("[[stage]]\ntype = \"moving_average\"\nwindow = 2\n{more}");
    assert_eq!(all(text, "", &stage("")).0, "sensor,v,w,note,v_avg,w_avg");
    assert_eq!(all(text, "", &stage("columns = [\"w\"]")).0, "sensor,v,w,note,w_avg");
    let stage = |more: &str| format!("[[stage]]\ntype = \"normalize\"\nmin = 0\nmax = 10\n{more}");
    assert_eq!(run(text, "", &stage(""))[0], "in,0.1,1,a");
    assert_eq!(run(text, "", &stage("columns = [\"w\"]"))[0], "in,1,1,a");
}

#[test]
fn clause_12_columns_that_are_not_there_or_no_measurements_are_errors() {
    let text = "v,note\n1,a\n";
    for stage in [
        "type = \"threshold\"\nmax = 9",
        "type = \"moving_average\"\nwindow = 2",
        "type = \"normalize\"\nmin = 0\nmax = 1",
    ] {
        let stage = |column: &str| format!("[[stage]]\n{stage}\ncolumns = [\"{column}\"]");
        let (kind, message) = error(text, "", &stage("flow"));
        assert_eq!(kind, ErrorKind::Config);
        assert!(message.contains("no column `flow`") && message.contains("`v`"), "{message}");
        let (kind, message) = error(text, "", &stage("note"));
        assert_eq!(kind, ErrorKind::Config);
        assert!(message.contains("column `note` is a text, not a measurement"), "{message}");
    }
}

#[test]
fn clause_12_into_names_the_new_column() {
    let text = "v,w\n1,2\n";
    let stages = [
        ("type = \"threshold\"\nmin = 0\naction = \"flag\"", ["v_ok", "w_ok"]),
        ("type = \"moving_average\"\nwindow = 2", ["v_avg", "w_avg"]),
        ("type = \"normalize\"\nmin = 0\nmax = 1", ["", ""]),
        ("type = \"normalize\"\nfit = true", ["", ""]),
        ("type = \"normalize\"\nrunning = true", ["", ""]),
    ];
    for (stage, default) in stages {
        let added = |names: &[&str]| {
            let names = names.iter().filter(|name| !name.is_empty());
            ["sensor", "v", "w"].iter().chain(names).copied().collect::<Vec<_>>().join(",")
        };
        let header = |more: &str| all(text, "", &format!("[[stage]]\n{stage}\n{more}")).0;
        assert_eq!(header(""), added(&default), "{stage}");
        assert_eq!(header("into = \"new {column}!\""), added(&["new v!", "new w!"]), "{stage}");
        assert_eq!(header("columns = [\"w\"]\ninto = \"new\""), added(&["new"]), "{stage}");
        let (kind, message) = error(text, "", &format!("[[stage]]\n{stage}\ninto = \"new\""));
        assert_eq!(kind, ErrorKind::Config, "{stage}");
        assert!(message.contains("`into` gives several columns the same name"), "{message}");
    }
}

#[test]
fn clause_12_into_a_column_of_another_kind_is_an_error() {
    for stage in [
        "type = \"moving_average\"\nwindow = 2\ncolumns = [\"v\"]",
        "type = \"threshold\"\nmax = 1\naction = \"flag\"",
    ] {
        let (kind, message) = error("v,note\n1,a\n", "", &format!("[[stage]]\n{stage}\ninto = \"note\""));
        assert_eq!(kind, ErrorKind::Config);
        assert!(message.contains("there is a text column of that name"), "{message}");
    }
}

#[test]
fn clause_12_rules_go_by_name_or_glob_and_the_last_match_wins() {
    let text = "s,v\na,5\npress-1,5\npress-9,5\nhall/press-9,5\n";
    let rules = |rules: &str| run(text, LONG, &format!("[[stage]]\ntype = \"threshold\"\nmax = 1\n{rules}"));
    let (all, nine) = ("sensors.\"press-*\" = { max = 9 }\n", "sensors.press-9 = { max = 0 }\n");
    assert_eq!(rules(all), ["press-1,5", "press-9,5"]);
    assert_eq!(rules(&format!("{all}{nine}")), ["press-1,5"]);
    assert_eq!(rules(&format!("{nine}{all}")), ["press-1,5", "press-9,5"]);
    assert_eq!(rules("sensors.\"*9\" = { max = 9 }"), ["press-9,5", "hall/press-9,5"]);
    assert_eq!(rules("sensors.\"press-?\" = { max = 4 }"), [""; 0]);
    let constants = "[[stage]]\ntype = \"normalize\"\nmin = 0\nmax = 10\nsensors.\"press-*\" = { max = 5 }";
    assert_eq!(run(text, LONG, constants), ["a,0.5", "press-1,1", "press-9,1", "hall/press-9,0.5"]);
}

const SPREAD: [&str; 8] = ["0.9", "1", "3", "3.1", "nan", "inf", "-inf", ""];

#[test]
fn clause_13_both_bounds_belong_to_what_passes_and_either_may_be_absent() {
    assert_eq!(values(&SPREAD, "type = \"threshold\"\nmin = 1\nmax = 3"), ["1", "3"]);
    assert_eq!(values(&SPREAD, "type = \"threshold\"\nmin = 3"), ["3", "3.1", "inf"]);
    assert_eq!(values(&SPREAD, "type = \"threshold\"\nmax = 1"), ["0.9", "1", "-inf"]);
}

#[test]
fn clause_13_nan_fails_even_bounds_that_exclude_nothing() {
    let kept = values(&SPREAD, "type = \"threshold\"\nmin = -inf\nmax = inf");
    assert_eq!(kept, ["0.9", "1", "3", "3.1", "inf", "-inf"]);
}

#[test]
fn clause_13_drop_removes_the_record_if_any_selected_measurement_fails() {
    let (text, stage) = ("v,w\n1,1\n1,9\n9,1\n,1\n1,\n", "[[stage]]\ntype = \"threshold\"\nmax = 5\n");
    assert_eq!(run(text, "", stage), ["in,1,1"]);
    assert_eq!(run(text, "", &format!("{stage}columns = [\"v\"]")), ["in,1,1", "in,1,9", "in,1,"]);
    let (_, records, report) = all(text, "", &format!("{stage}nulls = \"keep\""));
    assert_eq!(records, ["in,1,1", "in,,1", "in,1,"]);
    assert_eq!((report.stages[0].ledger.input, report.stages[0].ledger.filtered), (5, 2));
}

#[test]
fn clause_13_mask_makes_the_measurement_null_and_keeps_the_others() {
    let stage = "[[stage]]\ntype = \"threshold\"\nmax = 5\naction = \"mask\"";
    assert_eq!(run("v,w\n1,9\n9,1\nnan,\n", "", stage), ["in,1,", "in,,1", "in,,"]);
    let masked = values(&SPREAD, "type = \"threshold\"\nmin = 1\nmax = 3\naction = \"mask\"");
    assert_eq!(masked, ["", "1", "3", "", "", "", "", ""]);
}

#[test]
fn clause_13_flag_adds_a_boolean_column_and_changes_nothing() {
    let stage = "type = \"threshold\"\nmin = 1\nmax = 3\naction = \"flag\"";
    let flags = ["false", "true", "true", "false", "false", "false", "false", "false"];
    assert_eq!(last(&SPREAD, stage), flags);
    assert_eq!(last(&["", "1"], &format!("{stage}\nnulls = \"keep\"")), ["true", "true"]);
    assert_eq!(values(&["9", ""], stage), ["9", ""]);
}

#[test]
fn clause_14_min_max_maps_to_a_range_and_clips_if_told_to() {
    let stage = "type = \"normalize\"\nmin = 10\nmax = 20\n";
    let given = ["10", "15", "20", "30", "0", "nan", "", "inf"];
    assert_eq!(values(&given, stage), ["0", "0.5", "1", "2", "-1", "NaN", "", "inf"]);
    assert_eq!(values(&given, &format!("{stage}clip = true")), ["0", "0.5", "1", "1", "0", "NaN", "", "1"]);
    assert_eq!(
        values(&given, &format!("{stage}clip = true\nrange = [-1, 3]")),
        ["-1", "1", "3", "3", "-1", "NaN", "", "3"]
    );
}

#[test]
fn clause_14_z_score_divides_by_the_population_deviation() {
    let given = ["2", "4", "4", "4", "5", "5", "7", "9"];
    let expected = ["-1.5", "-0.5", "-0.5", "-0.5", "0", "0", "1", "2"];
    assert_eq!(values(&given, "type = \"normalize\"\nmethod = \"z_score\"\nfit = true"), expected);
    assert_eq!(
        values(&given, "type = \"normalize\"\nmethod = \"z_score\"\nmean = 5\ndeviation = 2"),
        expected
    );
}

#[test]
fn clause_14_robust_takes_the_median_and_the_distance_of_the_quartiles() {
    let stage = "type = \"normalize\"\nmethod = \"robust\"\n";
    assert_eq!(
        values(&["5", "1", "4", "2", "3"], &format!("{stage}fit = true")),
        ["1", "-1", "0.5", "-0.5", "0"]
    );
    // Median 2.5, quartiles 1.75 and 3.25 by linear interpolation; then one far away moves neither.
    assert_eq!(values(&["1", "2", "3", "4"], &format!("{stage}fit = true"))[0], "-1");
    assert_eq!(values(&["0", "1", "2", "3", "1e9"], &format!("{stage}fit = true"))[..2], ["-1", "-0.5"]);
    assert_eq!(values(&["1", "7"], &format!("{stage}median = 3\niqr = 2")), ["-1", "2"]);
}

#[test]
fn clause_14_overwrites_the_measurement_unless_into_is_set() {
    let stage = "type = \"normalize\"\nmin = 0\nmax = 10";
    assert_eq!(values(&["5"], stage), ["0.5"]);
    assert_eq!(values(&["5"], &format!("{stage}\ninto = \"new\"")), ["5"]);
    assert_eq!(last(&["5"], stage), ["0.5"]);
}

#[test]
fn clause_14_nan_stays_nan_and_null_stays_null_and_neither_is_fitted() {
    let given = ["nan", "4", "", "2", "inf", "3", "-inf"];
    for method in ["min_max", "z_score", "robust"] {
        let scaled = values(&given, &format!("type = \"normalize\"\nmethod = \"{method}\"\nfit = true"));
        assert_eq!((scaled[0].as_str(), scaled[2].as_str()), ("NaN", ""), "{method}");
        assert_eq!((scaled[4].as_str(), scaled[6].as_str()), ("inf", "-inf"), "{method}");
        assert_eq!(scaled[5], if method == "min_max" { "0.5" } else { "0" }, "{method}");
    }
}

#[test]
fn clause_14_a_constant_series_gives_0_and_is_named_in_the_report() {
    for method in ["min_max", "z_score", "robust"] {
        let stage = format!("[[stage]]\ntype = \"normalize\"\nmethod = \"{method}\"\nfit = true");
        let (_, records, report) = all("s,v\na,7\nb,1\na,7\nb,2\na,\na,nan\n", LONG, &stage);
        assert_eq!((records[0].as_str(), records[2].as_str()), ("a,0", "a,0"), "{method}");
        assert_eq!((records[4].as_str(), records[5].as_str()), ("a,", "a,NaN"), "{method}");
        assert_eq!(report.remarks, ["normalize: constant, becomes 0: `v` of `a`"], "{method}");
    }
    for constants in ["min = 7\nmax = 7", "method = \"z_score\"\nmean = 7\ndeviation = 0"] {
        assert_eq!(values(&["7", "8"], &format!("type = \"normalize\"\n{constants}")), ["0", "0"]);
    }
}

#[test]
fn clause_14_what_was_fitted_is_saved_and_loaded_to_the_same_bits() {
    let text = "s,v\na,0.1\na,0.7\nb,-3\na,0.30000000000000004\nb,1e300\n";
    for method in ["min_max", "z_score", "robust"] {
        let bench = Bench::new(&[("in.csv", text)]);
        let stage = format!("[[stage]]\ntype = \"normalize\"\nmethod = \"{method}\"\n");
        bench.through(LONG, &format!("{stage}fit = true\nsave = \"@/fit.json\"")).expect("fitted");
        let fitted = bench.out();
        bench.through(LONG, &format!("{stage}load = \"@/fit.json\"")).expect("loaded");
        assert_eq!(bench.out(), fitted, "{method}");
    }
}

#[test]
fn clause_14_a_series_that_the_loaded_constants_do_not_know() {
    let bench = Bench::new(&[("in.csv", "s,v\na,0\na,10\n")]);
    bench
        .through(LONG, "[[stage]]\ntype = \"normalize\"\nfit = true\nsave = \"@/fit.json\"")
        .expect("fitted");
    std::fs::write(bench.path("in.csv"), "s,v\na,5\nnew,5\n").expect("written");
    let load = |more: &str| {
        let result =
            bench.through(LONG, &format!("[[stage]]\ntype = \"normalize\"\nload = \"@/fit.json\"\n{more}"));
        result.map(|_| bench.out())
    };
    let error = load("").expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("no constants for `v` of sensor `new`"), "{error}");
    assert_eq!(load("unknown = \"null\"").expect("a run"), ["a,0.5", "new,"]);
    assert_eq!(load("unknown = \"keep\"").expect("a run"), ["a,0.5", "new,5"]);
}

#[test]
fn clause_14_running_uses_only_what_came_before() {
    let given = ["1", "3", "2", "", "nan", "5"];
    assert_eq!(values(&given, "type = \"normalize\"\nrunning = true"), ["", "0", "0.5", "", "NaN", "2"]);
    let z = values(&given, "type = \"normalize\"\nmethod = \"z_score\"\nrunning = true");
    assert_eq!(z[..5], ["", "0", "0", "", "NaN"]);
    // A sensor is compared with itself alone.
    let stage = "[[stage]]\ntype = \"normalize\"\nrunning = true";
    assert_eq!(run("s,v\na,1\nb,100\na,3\nb,300\na,2\n", LONG, stage), ["a,", "b,", "a,0", "b,0", "a,0.5"]);
}

fn average(more: &str) -> String {
    format!("[[stage]]\ntype = \"moving_average\"\n{more}")
}

#[test]
fn clause_15_a_window_of_records_is_per_series_and_ends_with_the_record_itself() {
    let text = "s,v\na,1\nb,10\na,3\nb,30\na,5\na,8\n";
    let expected = ["a,1,1", "b,10,10", "a,3,2", "b,30,20", "a,5,4", "a,8,6.5"];
    assert_eq!(run(text, LONG, &average("window = 2")), expected);
}

#[test]
fn clause_15_nulls_and_non_finite_values_are_skipped_but_take_their_place_in_the_window() {
    let given = ["1", "", "3", "nan", "inf", "5", "7"];
    let averages = ["1", "1", "3", "3", "", "5", "6"];
    assert_eq!(last(&given, "type = \"moving_average\"\nwindow = 2"), averages);
}

#[test]
fn clause_15_non_finite_values_decide_their_windows_where_told_to_and_no_other() {
    let stage = "type = \"moving_average\"\nwindow = 2\nnon_finite = \"propagate\"";
    let given = ["1", "inf", "3", "5", "nan", "7", "9", "inf", "-inf", "1", "3"];
    assert_eq!(last(&given, stage), ["1", "inf", "inf", "4", "NaN", "NaN", "8", "inf", "NaN", "-inf", "2"]);
}

#[test]
fn clause_15_non_finite_values_end_the_run_where_told_to() {
    let (kind, message) = error("s,v\na,1\nb,inf\n", LONG, &average("window = 2\nnon_finite = \"error\""));
    assert_eq!(kind, ErrorKind::Data);
    assert!(message.contains("sensor `b` has inf in `v`"), "{message}");
}

#[test]
fn clause_15_min_samples_and_count() {
    let stage = "type = \"moving_average\"\nwindow = 3\nmin_samples = 2";
    assert_eq!(last(&["1", "", "3", "5", "nan", ""], stage), ["", "", "2", "4", "4", ""]);
    let (header, records, _) = all("v\n1\n\"\"\n3\nnan\n", "", &average("window = 3\ncount = true"));
    assert_eq!(header, "sensor,v,v_avg,v_avg_count");
    assert_eq!(records, ["in,1,1,1", "in,,1,1", "in,3,2,2", "in,NaN,3,1"]);
}

#[test]
fn clause_15_a_duration_is_half_open() {
    let text = "t,s,v\n0,a,1\n4,a,3\n5,a,5\n8.999999999,a,7\n9,a,9\n100,a,1\n";
    let means: Vec<String> = run(text, TIMED, &average("window = \"5s\""))
        .iter()
        .map(|record| record.rsplit(',').next().expect("a mean").to_owned())
        .collect();
    // At 5 the record of 0 is out, at 9 that of 4.
    assert_eq!(means, ["1", "2", "4", "5", "7", "1"]);
}

#[test]
fn clause_15_a_record_never_sees_a_later_one_with_the_same_time() {
    let text = "t,s,v\n0,a,1\n0,a,3\n0,a,5\n0,b,9\n";
    assert_eq!(run(text, TIMED, &average("window = \"5s\"")), ["0,a,1,1", "0,a,3,2", "0,a,5,3", "0,b,9,9"]);
}

#[test]
fn clause_15_a_duration_makes_records_late_that_run_back() {
    let text = "t,s,v\n10,a,1\n9,b,2\n9,a,100\n10,a,3\n";
    let (_, records, report) = all(text, TIMED, &average("window = \"5s\""));
    assert_eq!(records, ["10,a,1,1", "9,b,2,2", "10,a,3,2"]);
    assert_eq!((report.rejects.late, report.stages[0].ledger.late), (1, 1));
    let shown = &report.rejects.first[0];
    assert_eq!((shown.line, shown.offset, shown.raw.as_str()), (4, 19, "9,a,100"));
    assert_eq!(shown.reason, "late: 1s behind the newest record of its sensor");
    // A number of records asks for no order.
    assert_eq!(run(text, TIMED, &average("window = 9"))[2], "9,a,100,50.5");
}

#[test]
fn clause_15_a_duration_without_a_time_column_is_a_configuration_error() {
    let (kind, message) = error("v\n1\n", "", &average("window = \"5s\""));
    assert_eq!(kind, ErrorKind::Config);
    assert!(message.contains("a `window` of a duration needs a time column"), "{message}");
}

#[test]
fn clause_16_the_mean_forgets_what_has_left_the_window() {
    let given = ["1e16", "1", "1", "1e17", "-1e17", "3", "0.1", "0.2", "5e-324", "5e-324"];
    let stage = "type = \"moving_average\"\nwindow = 2";
    let means = last(&given, stage);
    let expected =
        ["1e16", "5e15", "1", "5e16", "0", "-5e16", "1.55", "0.15000000000000002", "0.1", "5e-324"];
    let numbers = |texts: &[String]| {
        texts.iter().map(|text| text.parse::<f64>().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&means), numbers(&expected.map(str::to_owned)));
    // The sum of two of the greatest overflows, their mean does not.
    assert_eq!(last(&["1.7e308", "1.7e308", "-1.7e308"], stage), ["1.7e308", "1.7e308", "0"]);
}

#[test]
fn clause_15_other_statistics_look_at_the_same_windows() {
    let given = ["3", "1", "", "nan", "4", "8", "6"];
    let of = |kind: &str, more: &str| last(&given, &format!("type = \"{kind}\"\nwindow = 3\n{more}"));
    assert_eq!(of("moving_min", ""), ["3", "1", "1", "1", "4", "4", "4"]);
    assert_eq!(of("moving_max", ""), ["3", "3", "3", "1", "4", "8", "8"]);
    assert_eq!(of("moving_median", ""), ["3", "2", "2", "1", "4", "6", "6"]);
    assert_eq!(of("moving_std", "")[..6], ["0", "1", "1", "0", "0", "2"]);
    assert_eq!(of("moving_std", "min_samples = 2")[..6], ["", "1", "1", "", "", "2"]);
    assert_eq!(of("moving_std", "ddof = 1")[2..], ["1.4142135623730951", "", "", "2.8284271247461903", "2"]);
    let (header, records, _) =
        all("v\n1\n3\n", "", "[[stage]]\ntype = \"moving_std\"\nwindow = 3\ncount = true");
    assert_eq!(header, "sensor,v,v_std,v_std_count");
    assert_eq!(records, ["in,1,0,1", "in,3,1,2"]);
    let text = "t,s,v\n0,a,1\n4,a,3\n5,a,5\n9,a,2\n4,a,7\n";
    let (header, records, report) = all(text, TIMED, "[[stage]]\ntype = \"moving_max\"\nwindow = \"5s\"");
    assert_eq!(header, "t,s,v,v_max");
    assert_eq!(records, ["0,a,1,1", "4,a,3,3", "5,a,5,5", "9,a,2,5"]);
    assert_eq!(report.rejects.late, 1);
}

#[test]
fn clause_15_a_deviation_needs_more_samples_than_are_taken_off_the_divisor() {
    let (kind, message) = error("v\n1\n", "", "[[stage]]\ntype = \"moving_std\"\nwindow = 2\nddof = 2");
    assert_eq!(kind, ErrorKind::Config);
    assert!(message.contains("a result needs 3 samples, more than the `window` of 2 records"), "{message}");
}

#[test]
fn clause_16_other_statistics_are_exact_too() {
    let of = |kind: &str, given: &[&str]| last(given, &format!("type = \"{kind}\"\nwindow = 2"));
    // Squares of these have no digit left for the difference; the greatest floats have no square at all.
    assert_eq!(
        of("moving_std", &["1000000000.5", "1000000000", "1e300", "-1e300"])[1..],
        ["0.25", "5e299", "1e300"]
    );
    assert_eq!(
        of("moving_median", &["1.7e308", "1.7e308", "-0", "-0", "0"]),
        ["1.7e308", "1.7e308", "8.5e307", "0", "0"]
    );
    assert_eq!(of("moving_min", &["0", "-0", "0", "0"]), ["0", "-0", "-0", "0"]);
    assert_eq!(of("moving_max", &["-0", "0", "-0", "-0"]), ["-0", "0", "0", "-0"]);
    let given = ["1", "inf", "-inf", "nan", "5"];
    let propagated =
        |kind: &str| last(&given, &format!("type = \"{kind}\"\nwindow = 2\nnon_finite = \"propagate\""));
    assert_eq!(propagated("moving_min"), ["1", "1", "-inf", "NaN", "NaN"]);
    assert_eq!(propagated("moving_max"), ["1", "inf", "inf", "NaN", "NaN"]);
    assert_eq!(propagated("moving_median"), ["1", "inf", "NaN", "NaN", "NaN"]);
    assert_eq!(propagated("moving_std"), ["0", "NaN", "NaN", "NaN", "NaN"]);
}

#[test]
fn clause_17_every_stage_declares_its_reach() {
    let loaded = Normalize { load: Some("fit.json".into()), ..Normalize::default() };
    let reaches = [
        (Threshold::between(0.0, 1.0).reach(), Reach::Row),
        (Normalize::min_max(0.0, 1.0).reach(), Reach::Row),
        (loaded.reach(), Reach::Row),
        (Normalize::running(Method::MinMax).reach(), Reach::Series),
        (EachSeries(MovingAverage::rows(2)).reach(), Reach::Series),
        (EachSeries(MovingAverage::duration("5m")).reach(), Reach::Series),
        (Normalize::fitted(Method::MinMax).reach(), Reach::Global),
    ];
    reaches.iter().for_each(|(reach, expected)| assert_eq!(reach, expected));
}
