//! Integers and booleans from end to end: what has a type keeps it, and every digit, through every format, stage and sink.

#[path = "common/bench.rs"]
mod bench;
#[path = "common/command.rs"]
mod command;

use bench::Bench;
use proptest::prelude::*;

/// What a record has in the columns `i`, `u` and `b`.
type Row = (Option<i64>, Option<u64>, Option<bool>);

const TYPES: &str = "types = { i = \"i64\", u = \"u64\", b = \"bool\" }\n";
/// The second of the first record.
const START: usize = 1_700_000_000;
const COLUMNS: &str = "time = \"time\"\nsensor = \"s\"\n";

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let odd_i64 =
        proptest::sample::select(vec![i64::MIN, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1, (1 << 53) - 1, 0]);
    let odd_u64 = proptest::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63, (1 << 53) + 1, 0]);
    let i = proptest::option::of(prop_oneof![odd_i64, any::<i64>(), -9..9i64]);
    let u = proptest::option::of(prop_oneof![odd_u64, any::<u64>(), 0..9u64]);
    // The first records have all columns: line protocol knows no others.
    let rows = proptest::collection::vec((i, u, any::<Option<bool>>()), 1..60);
    rows.prop_map(|mut rows| {
        rows[0] = (Some(1), Some(1), Some(true));
        rows
    })
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// As the fields of a record in CSV.
fn fields((i, u, b): &Row) -> [String; 3] {
    [text(*i), text(*u), text(*b)]
}

fn as_csv(rows: &[Row]) -> String {
    let line = |(at, row): (usize, &Row)| format!("{},a,{}\n", START + at, fields(row).join(","));
    format!("time,s,i,u,b\n{}", rows.iter().enumerate().map(line).collect::<String>())
}

fn as_json(rows: &[Row]) -> String {
    let null = |text: String| if text.is_empty() { "null".to_owned() } else { text };
    let line = |(at, row): (usize, &Row)| {
        let [i, u, b] = fields(row).map(null);
        format!("{{\"time\":\"{}\",\"s\":\"a\",\"i\":{i},\"u\":{u},\"b\":{b}}}\n", START + at)
    };
    rows.iter().enumerate().map(line).collect()
}

fn as_influx(rows: &[Row]) -> String {
    let line = |(at, (i, u, b)): (usize, &Row)| {
        let i = i.map(|i| format!(",i={i}i"));
        let u = u.map(|u| format!(",u={u}u"));
        let b = b.map(|b| format!(",b={b}"));
        let fields: Vec<_> = [i, u, b].into_iter().flatten().collect();
        format!("t,s=a f=0.5{} {}\n", fields.concat(), START + at)
    };
    rows.iter().enumerate().map(line).collect()
}

fn write(bench: &Bench, name: &str, text: &str) {
    std::fs::write(bench.path(name), text).expect("written");
}

fn csv(bench: &Bench, name: &str) -> Vec<[String; 3]> {
    let mut reader = csv::Reader::from_path(bench.path(name)).expect("a file");
    let headers = reader.headers().expect("names").clone();
    let places = ["i", "u", "b"].map(|name| headers.iter().position(|header| header == name));
    let field = |record: &csv::StringRecord, at: Option<usize>| {
        at.map_or_else(String::new, |at| record[at].to_owned())
    };
    reader
        .records()
        .map(|record| record.map(|record| places.map(|at| field(&record, at))).expect("a record"))
        .collect()
}

fn run(bench: &Bench, source: &str, sink: &str) -> tidemill::Report {
    let report = bench.run(&format!("[source]\n{COLUMNS}time_format = \"s\"\n{source}\n[[sink]]\n{sink}\n"));
    report.expect("a run")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn integers_keep_every_digit_from_every_source_to_every_sink_and_back(rows in rows()) {
        let bench = Bench::new(&[]);
        let expected: Vec<_> = rows.iter().map(fields).collect();
        write(&bench, "in.csv", &as_csv(&rows));
        write(&bench, "in.jsonl", &as_json(&rows));
        write(&bench, "in.lp", &as_influx(&rows));
        let influx = format!(
            "[source]\ntype = \"influx\"\npath = \"@/in.lp\"\nsensor = \"s\"\nprecision = \"s\"\n{TYPES}\
            [[sink]]\ntype = \"parquet\"\npath = \"@/lp.parquet\"\n"
        );
        prop_assert_eq!(bench.run(&influx).expect("a run").sources[0].ledger.rejected, 0);
        for format in ["csv", "jsonl"] {
            let source = format!("type = \"{format}\"\npath = \"@/in.{format}\"\n{TYPES}");
            let report = run(&bench, &source, &format!("type = \"parquet\"\npath = \"@/{format}.parquet\""));
            prop_assert_eq!((report.sources[0].ledger.rejected, report.remarks.len()), (0, 0));
        }
        for name in ["lp", "csv", "jsonl"] {
            // Parquet has its own times.
            let parquet = format!(
                "type = \"parquet\"\npath = \"@/{name}.parquet\"\nmeasurements = [\"i\", \"u\", \"b\"]"
            );
            let to = |sink: &str, extension: &str| {
                let pipeline = format!(
                    "[source]\ntime = \"time\"\nsensor = \"s\"\n{parquet}\n[[sink]]\ntype = \"{sink}\"\npath = \"@/{name}.{extension}\"\n"
                );
                bench.run(&pipeline).expect("a run")
            };
            to("csv", "out.csv");
            to("jsonl", "out.jsonl");
            prop_assert_eq!(&csv(&bench, &format!("{name}.out.csv")), &expected, "{}", name);
            let back = format!(
                "[source]\ntype = \"jsonl\"\ntime = \"time\"\nsensor = \"s\"\npath = \"@/{name}.out.jsonl\"\n{TYPES}\
                [[sink]]\ntype = \"csv\"\npath = \"@/{name}.back.csv\"\n"
            );
            prop_assert_eq!(bench.run(&back).expect("a run").sources[0].ledger.rejected, 0);
            prop_assert_eq!(&csv(&bench, &format!("{name}.back.csv")), &expected, "{}", name);
        }
    }
}

#[test]
fn the_fields_of_line_protocol_keep_their_types() {
    let text = "cpu_all_idle,host=abc2 value=92.56 1711190422\n\
        room,id=k1 temp=21.5,hum=40i,ok=true,note=\"a, b\" 1711190482\n\
        room,id=k1 temp=21.7,cnt=18446744073709551615u,ok=F 1711190542\n";
    let bench = Bench::new(&[("in.lp", text)]);
    let pipeline = "[source]\ntype = \"influx\"\npath = \"@/in.lp\"\nprecision = \"s\"\n[[sink]]\ntype = \"jsonl\"\npath = \"@/out.jsonl\"\n";
    let report = bench.run(pipeline).expect("a run");
    assert_eq!((report.sources[0].ledger.rejected, &report.remarks[..]), (0, &[][..]));
    let out = std::fs::read_to_string(bench.path("out.jsonl")).expect("an output");
    assert!(out.contains("\"cnt\":18446744073709551615") && out.contains("\"hum\":40,"), "{out}");
}

#[test]
fn what_is_no_value_of_the_type_is_refused() {
    let values = [
        "1",
        "+2",
        "-0",
        "12.00",
        "-9223372036854775808",
        "",
        "1.5",
        "9223372036854775808",
        "x",
        "1e3",
        "true",
    ];
    let lines: String = values.iter().enumerate().map(|(at, value)| format!("{at},a,{value}\n")).collect();
    let bench = Bench::new(&[("in.csv", &format!("time,s,i\n{lines}"))]);
    let source = format!("{COLUMNS}time_format = \"s\"\ntypes = {{ i = \"i64\" }}");
    let report = bench.through(&source, "").expect("a run");
    assert_eq!(report.sources[0].ledger.rejected, 5);
    let out: Vec<_> =
        bench.out().iter().map(|line| line.rsplit(',').next().expect("a field").to_owned()).collect();
    assert_eq!(out, ["1", "2", "0", "12", "-9223372036854775808", ""]);
    let reason = &report.rejects.first[0].reason;
    assert!(reason.starts_with("\"1.5\" is not an i64"), "{reason}");
}

#[test]
fn whole_numbers_that_no_float_is_equal_to_are_counted() {
    let lines = "0,a,9007199254740993,1\n1,a,9007199254740992,18446744073709551615\n2,a,9007199254740995.0,2\n3,a,x,9007199254740993\n";
    let bench = Bench::new(&[("in.csv", &format!("time,s,v,w.x\n{lines}"))]);
    let source = format!("{COLUMNS}time_format = \"s\"\nmeasurements = [\"v\", \"w.x\"]");
    let report = bench.through(&source, "").expect("a run");
    let said =
        |column: &str| report.remarks.iter().find(|remark| remark.contains(&format!("`{column}`"))).cloned();
    let v = said("v").expect("a remark");
    assert!(v.contains("`v` has 2 integers that f64 cannot represent") && v.contains("v = \"i64\""), "{v}");
    // The record that is refused does not count.
    let w = said("w.x").expect("a remark");
    assert!(w.contains("`w.x` has 1 integer that f64 cannot represent"), "{w}");
    // What is proposed can be written so, and is not promised of a column that it may not fit.
    assert!(w.contains("{ \"w.x\" = \"u64\" }") && w.contains("if none is negative"), "{w}");
}

#[test]
fn stages_look_at_all_digits() {
    let max = u64::MAX;
    let lines = format!("0,a,{max}\n1,a,{}\n2,a,{}\n3,a,7\n", max - 1, max - 4096);
    let bench = Bench::new(&[("in.csv", &format!("time,s,u\n{lines}"))]);
    let source = format!("{COLUMNS}time_format = \"s\"\ntypes = {{ u = \"u64\" }}");
    let last = |line: &String| line.split(',').skip(2).map(str::to_owned).collect::<Vec<_>>().join(" ");
    let through = |stages: &str| -> Vec<String> {
        bench.through(&source, stages).expect("a run");
        bench.out().iter().map(last).collect()
    };
    // The float below 2^64 is 2^64 − 2048.
    let kept = through("[[stage]]\ntype = \"threshold\"\nmax = 18446744073709549568.0");
    assert_eq!(kept, [format!("{}", max - 4096), "7".to_owned()]);
    let least = through("[[stage]]\ntype = \"moving_min\"\nwindow = 2");
    assert_eq!(
        least,
        [
            format!("{max} {max}"),
            format!("{} {}", max - 1, max - 1),
            format!("{0} {0}", max - 4096),
            "7 7".to_owned()
        ]
    );
    let mean = through("[[stage]]\ntype = \"moving_average\"\nwindow = 2");
    assert_eq!(mean[0], format!("{max} 1.8446744073709552e19"));
    let stages =
        "[[stage]]\ntype = \"aggregate\"\nstatistics = [\"count\", \"sum\", \"min\", \"max\", \"std\"]";
    bench.through(&source, stages).expect("a run");
    assert_eq!(bench.out().len(), 1);
    let sum = (3.0 * max as f64).to_string();
    assert!(
        bench.out()[0].starts_with("a,4,") && bench.out()[0].contains(&format!(",7,{max},")),
        "{:?} {sum}",
        bench.out()
    );
    let flags = through(
        "[[stage]]\ntype = \"threshold\"\nmin = 8\naction = \"flag\"\n[[stage]]\ntype = \"threshold\"\ncolumns = [\"u_ok\"]\nmin = 1",
    );
    assert_eq!(flags.len(), 3, "a flag can be looked at by its name");
    let scaled = through("[[stage]]\ntype = \"normalize\"\nmin = 0\nmax = 10");
    assert_eq!(scaled[3], "0.7");
}

#[test]
fn all_ways_of_running_give_the_same_digits() {
    let lines: String =
        (0..3000_u64).map(|at| format!("{},s{},{},{}\n", at / 3, at % 3, u64::MAX - at * at, at)).collect();
    let folder = command::folder();
    std::fs::write(folder.path().join("in.csv"), format!("time,s,u,v\n{lines}")).expect("written");
    let stages = ["min", "max", "median", "std", "average"].map(|name| {
        format!("[[stage]]\ntype = \"moving_{name}\"\nwindow = \"7s\"\ncolumns = [\"u\", \"v\"]\n")
    });
    let pipeline = format!(
        "[source]\ntype = \"csv\"\npath = \"in.csv\"\n{COLUMNS}time_format = \"s\"\ntypes = {{ u = \"u64\", v = \"u64\" }}\n{}\
        [[sink]]\ntype = \"csv\"\npath = \"out.csv\"\n",
        stages.concat()
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let verified = command::run(folder.path(), &["verify", "p.toml", "--rounds", "2"]);
    assert!(
        verified.status.success(),
        "{}{}",
        command::text(&verified.stdout),
        command::text(&verified.stderr)
    );
}

#[test]
fn booleans_are_looked_at_as_they_are() {
    let lines = "0,a,true\n1,a,0\n2,a,\n3,a,TRUE\n4,a,maybe\n";
    let bench = Bench::new(&[("in.csv", &format!("time,s,ok\n{lines}"))]);
    let source = format!("{COLUMNS}time_format = \"s\"\ntypes = {{ ok = \"bool\" }}");
    let stages =
        "[[stage]]\ntype = \"aggregate\"\nstatistics = [\"count\", \"sum\", \"mean\", \"min\", \"max\"]";
    let report = bench.through(&source, stages).expect("a run");
    assert_eq!(bench.out(), ["a,3,2,0.6666666666666666,false,true"]);
    assert_eq!(report.sources[0].ledger.rejected, 1);
    bench.through(&source, "[[stage]]\ntype = \"threshold\"\nmin = 1\nnulls = \"keep\"").expect("a run");
    assert_eq!(bench.out(), ["0,a,true", "2,a,", "3,a,true"]);
}

#[test]
fn long_and_wide_have_one_type() {
    let wide = "time,s,u,v\n0,a,18446744073709551615,1\n1,a,2,9007199254740993\n";
    let bench = Bench::new(&[("in.csv", wide)]);
    let source = |types: &str| {
        format!("{COLUMNS}time_format = \"s\"\nmeasurements = [\"u\", \"v\"]\ntypes = {{ {types} }}")
    };
    let unpivot = "\nunpivot = { sensor = \"{sensor}.{column}\" }";
    let report = bench.through(&(source("\"?\" = \"u64\"") + unpivot), "").expect("a run");
    assert_eq!(bench.out()[0], "0,a.u,18446744073709551615");
    assert_eq!(bench.out()[3], "1,a.v,9007199254740993");
    assert!(!report.remarks.iter().any(|remark| remark.contains("types")), "{:?}", report.remarks);
    let report = bench.through(&(source("u = \"u64\"") + unpivot), "").expect("a run");
    assert_eq!(bench.out()[0], "0,a.u,1.8446744073709552e19");
    assert!(report.remarks.iter().any(|remark| remark.contains("several types")), "{:?}", report.remarks);
    let long = "time,s,what,value\n0,a,x,18446744073709551615\n0,a,y,7\n";
    std::fs::write(bench.path("in.csv"), long).expect("written");
    let source = format!("{COLUMNS}time_format = \"s\"\ntypes = {{ value = \"u64\" }}");
    bench
        .through(&source, "[[stage]]\ntype = \"pivot\"\nkey = \"what\"\nnames = [\"x\", \"y\"]")
        .expect("a run");
    assert_eq!(bench.out().len(), 1);
    assert!(bench.out()[0].ends_with(",a,18446744073709551615,7"), "{:?}", bench.out());
}
