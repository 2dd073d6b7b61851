//! `unfold` and `unpivot`, which make many records of one line, combined with `idle_sensors`, which splits the input after any of them:
//! rejections, counts and given-up sensors do not depend on how the input is cut.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::{RunOptions, run};
use crate::Pipeline;
use crate::source::OpenOptions;

/// An element of a line's array: sensor, seconds since the previous one, whether its value is valid.
type Element = (u8, u32, bool);

/// Lines whose arrays give records; a line without elements has no array and is rejected.
fn unfolded(lines: &[Vec<Element>]) -> String {
    let (mut text, mut now) = (String::new(), 0);
    for line in lines {
        let elements = line.iter().map(|&(sensor, step, is_good)| {
            now += step;
            let value = if is_good { "1.5" } else { "\"?\"" };
            format!("{{\"t\":{now},\"id\":\"s{sensor}\",\"v\":{value}}}")
        });
        match &*elements.collect::<Vec<_>>() {
            [] => text.push_str("{\"q\":1}\n"),
            elements => writeln!(text, "{{\"r\":[{}]}}", elements.join(", ")).expect("room"),
        }
    }
    text
}

/// The result of a run: its counts or its error, its output and its rejections.
fn said(folder: &Path, source: &str, how: &RunOptions) -> [String; 3] {
    let path = |name: &str| folder.join(name).display().to_string();
    let pipeline = Pipeline::from_toml(&format!(
        "[source]\npath = \"{}\"\nagree = 1\n{source}\n[[stage]]\ntype = \"moving_average\"\nwindow = 4\n\
         [[stage]]\ntype = \"aggregate\"\nevery = \"7s\"\nstatistics = [\"count\"]\n\
         [[sink]]\ntype = \"csv\"\npath = \"{}\"\n[[sink]]\ntype = \"dead_letter\"\npath = \"{}\"\n",
        path("in"),
        path("out.csv"),
        path("rejects.jsonl"),
    ));
    let said = match run(&pipeline.expect("a pipeline"), how, &mut ()) {
        Err(error) => return [error.to_string(), String::new(), String::new()],
        Ok(report) => {
            let stages: Vec<_> = report.stages.iter().map(|entry| entry.ledger).collect();
            let rejects = (report.rejects.malformed, report.rejects.late);
            let sensors = (report.sensors, report.sensors_given_up);
            format!("{:?} {stages:?} {rejects:?} {sensors:?}", report.sources[0].ledger)
        }
    };
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    [said, text("out.csv"), text("rejects.jsonl")]
}

/// Runs `text` in all ways, which must agree.
fn check_all_ways(text: &str, source: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("in"), text).expect("written");
    let go = |chunk_size, threads: Option<usize>| {
        let open = OpenOptions { chunk_size, ..OpenOptions::default() };
        said(
            folder.path(),
            source,
            &RunOptions { sequential: threads.is_none(), threads, open, ..RunOptions::default() },
        )
    };
    let plain = go(1 << 20, None);
    for (chunk_size, threads) in [(1, None), (1, Some(1)), (90, Some(1)), (400, None), (1 << 20, Some(2))] {
        prop_assert_eq!(&go(chunk_size, threads), &plain, "chunks of {}, {:?} threads", chunk_size, threads);
    }
    Ok(())
}

/// Beyond the limits, records are rejected where sensors are given up.
fn options() -> impl Strategy<Value = String> {
    let rejects = proptest::sample::select(vec!["1.0", "3", "12"]);
    let idle = (3..20u32, proptest::sample::select(vec![2, 4, 1000]))
        .prop_map(|(idle, sensors)| format!("max_sensors = {sensors}\nidle_sensors = \"{idle}s\"\n"));
    (prop_oneof![1 => Just(String::new()), 4 => idle], rejects)
        .prop_map(|(idle, rejects)| format!("max_rejects = {rejects}\n{idle}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn clause_27_records_of_an_array_are_given_up_and_counted_like_others(
        lines in proptest::collection::vec(proptest::collection::vec((0..6u8, 0..9u32, proptest::bool::weighted(0.9)), 0..7), 1..30),
        options in options(),
    ) {
        let source = "type = \"jsonl\"\nunfold = \"r\"\ntime = \"r.t\"\ntime_format = \"s\"\nsensor = \"r.id\"\nmeasurements = [\"r.v\"]";
        check_all_ways(&unfolded(&lines), &format!("{source}\n{options}"))?;
    }

    #[test]
    fn clause_27_records_of_a_wide_one_are_given_up_and_counted_like_others(
        lines in proptest::collection::vec((0..3u8, 0..9u32, proptest::bool::weighted(0.9), 0..16u8), 1..40),
        options in options(),
    ) {
        let (mut text, mut now) = ("t,site,a,b,c,d\n".to_owned(), 0);
        for (site, step, is_good, cells) in lines {
            now += step;
            let cells = (0..4).map(|at| if cells >> at & 1 == 1 { "2.5" } else { "" }).collect::<Vec<_>>().join(",");
            let time = if is_good { now.to_string() } else { "?".into() };
            writeln!(text, "{time},x{site},{cells}").expect("room");
        }
        let source = "type = \"csv\"\ntime = \"t\"\ntime_format = \"s\"\nsensor = \"site\"\nmeasurements = [\"a\", \"b\", \"c\", \"d\"]\n\
                      unpivot = { sensor = \"{sensor}.{column}\" }";
        check_all_ways(&text, &format!("{source}\n{options}"))?;
    }
}
