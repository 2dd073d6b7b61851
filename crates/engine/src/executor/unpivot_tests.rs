//! `unpivot`: the limit of rejects applies to the records it makes, however the input is cut.

use std::fmt::Write as _;

use super::{RunOptions, run};
use crate::Pipeline;
use crate::error::Result;
use crate::source::OpenOptions;

const MEASUREMENTS: usize = 20;

/// One record per second with 20 measurements, some of them null; bad seconds have no time. The last third is from another site.
fn wide(seconds: usize, is_bad: fn(usize) -> bool) -> String {
    let names: Vec<_> = (0..MEASUREMENTS).map(|at| format!("m{at}")).collect();
    let mut text = format!("t,site,{}\n", names.join(","));
    for second in 0..seconds {
        let site = if 3 * second < 2 * seconds { "a" } else { "b" };
        let time = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        let cells = (0..MEASUREMENTS).map(|at| if (second + at) % 7 == 0 { "," } else { ",1" });
        let cells = cells.collect::<String>();
        writeln!(text, "{},{site}{cells}", if is_bad(second) { "?" } else { &time }).expect("room");
    }
    text
}

/// The result of all ways of running, which must agree: the numbers of records and rejections, or the error.
fn in_all_ways(text: &str, options: &str) -> Result<(u64, u64), String> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("in.csv").display().to_string();
    std::fs::write(&path, text).expect("written");
    let pipeline = format!(
        "[source]\ntype = \"csv\"\npath = \"{path}\"\ntime = \"t\"\nsensor = \"site\"\nmeasurements = [\"m*\"]\n\
         unpivot = {{ sensor = \"{{sensor}}.{{column}}\" }}\n{options}\n[[sink]]\ntype = \"null\"\n"
    );
    let go = |chunk_size: usize, threads: Option<usize>| {
        let pipeline = Pipeline::from_toml(&pipeline).expect("a pipeline");
        let open = OpenOptions { chunk_size, ..OpenOptions::default() };
        let how = RunOptions { sequential: threads.is_none(), threads, open, ..RunOptions::default() };
        let report = run(&pipeline, &how, &mut ()).map_err(|error| error.to_string())?;
        Ok((report.sources[0].ledger.input, report.rejects.malformed))
    };
    let plain = go(1 << 20, None);
    for chunk_size in [100, 3000, 20_000, 1 << 20] {
        for threads in [None, Some(1), Some(3)] {
            assert_eq!(go(chunk_size, threads), plain, "chunks of {chunk_size}, {threads:?} threads");
        }
    }
    plain
}

#[test]
fn clause_7_a_share_of_rejects_is_one_of_the_records_that_are_made_whatever_the_chunks() {
    let now_and_then = wide(1500, |second| second % 20 == 9);
    let at_last = wide(1500, |second| second >= 1100);
    for idle in ["", "idle_sensors = \"10s\"\nagree = 1\n"] {
        // 5 % of the wide records, 0.3 % of the long ones.
        let (records, refused) =
            in_all_ways(&now_and_then, &format!("{idle}max_rejects = 0.02")).expect("few");
        assert!((refused, records > 20_000) == (75, true), "{refused} of {records}");
        let why = in_all_ways(&now_and_then, &format!("{idle}max_rejects = 0.001")).expect_err("too many");
        assert!(why.contains(" of 1000 records were rejected, more than 0.001"), "{why}");
        // 1,100 wide records make 18,857 long ones, of which 95 more are half a percent.
        let why = in_all_ways(&at_last, &format!("{idle}max_rejects = 0.005")).expect_err("too many");
        assert!(why.contains("95 of 18952 records were rejected, more than 0.005"), "{why}");
    }
}
