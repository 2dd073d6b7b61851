//! Several sources in one pipeline (clause 33): one after the other where they end, together where they do not.

#[path = "cases/random.rs"]
#[expect(dead_code, reason = "other tests take what this one leaves")]
mod random;

use std::fmt::Write as _;
use std::path::Path;

use tidemill::RunOptions;
use tidemill::pipeline::Pipeline;
use tidemill::verify::{VerifyOptions, verify};
use tidemill_engine::executor;
use tidemill_engine::source::OpenOptions;

use random::Random;

/// Records of some sensors, some of them broken, some late.
fn write_input(path: &Path, random: &mut Random, records: usize) {
    let mut text = "t,sensor,v\n".to_owned();
    for at in 0..records {
        let second = at as u64 / 3 + random.below(4);
        match random.below(40) {
            0 => text.push_str("broken\n"),
            _ => drop(writeln!(text, "{second},s{},{}", random.below(5), random.below(200))),
        }
    }
    std::fs::write(path, text).expect("written");
}

const COLUMNS: &str =
    "time = 't'\ntime_format = 's'\nsensor = 'sensor'\nmeasurements = ['v']\nmax_rejects = 1.0\n";

const SINKS: &str =
    "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n";

const STAGES: [&str; 6] = [
    "[[stage]]\ntype = 'threshold'\nmin = 20.0\nmax = 180.0\n",
    "[[stage]]\ntype = 'moving_average'\nwindow = 3\n",
    "[[stage]]\ntype = 'moving_median'\nwindow = '5s'\n",
    "[[stage]]\ntype = 'normalize'\nmethod = 'z_score'\nfit = true\n",
    "[[stage]]\ntype = 'aggregate'\nevery = '10s'\n",
    "[[stage]]\ntype = 'rate'\nper = '1s'\n",
];

fn stages(random: &mut Random) -> String {
    let first = STAGES[random.below(4) as usize];
    let second = STAGES[random.below(STAGES.len() as u64) as usize];
    if random.below(3) == 0 || first == second { first.to_owned() } else { format!("{first}{second}") }
}

fn pipeline(text: &str, base: &Path) -> Pipeline {
    let pipeline = Pipeline::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    pipeline.with_base(base)
}

/// What a run leaves behind, or how it fails.
fn outcome(text: &str, base: &Path, options: &RunOptions) -> (String, String, String) {
    let read = |name: &str| std::fs::read_to_string(base.join(name)).unwrap_or_default();
    for name in ["out.csv", "dead.jsonl"] {
        let _may_not_be_there = std::fs::remove_file(base.join(name));
    }
    let result = executor::run(&pipeline(text, base), options, &mut ());
    let end = result.map_or_else(|error| error.message().to_owned(), |report| report.records().to_string());
    (end, read("out.csv"), read("dead.jsonl"))
}

#[test]
fn clause_33_sources_that_end_are_read_as_one_source_of_all_their_files() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<_> = (0..2 + random.below(3)).map(|at| format!("in{at}.csv")).collect();
        for name in &names {
            let records = random.below(300) as usize;
            write_input(&folder.path().join(name), &mut random, records);
        }
        let (stages, one) = (stages(&mut random), format!("[source]\ntype = 'csv'\npath = {names:?}\n"));
        let several: String = names
            .iter()
            .map(|name| format!("[[source]]\ntype = 'csv'\npath = '{name}'\n{COLUMNS}"))
            .collect();
        let one = format!("{one}{COLUMNS}{stages}{SINKS}");
        let several = format!("{several}{stages}{SINKS}");
        let expected = outcome(&one, folder.path(), &RunOptions::default());
        for (threads, chunk_size) in [(1, 1 << 20), (2, 300), (3, 40)] {
            let open = OpenOptions { chunk_size, ..OpenOptions::default() };
            let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
            let found = outcome(&several, folder.path(), &options);
            // Records are numbered in each source by itself.
            assert_eq!(without_records(found), without_records(expected.clone()), "seed {seed}\n{several}");
        }
    }
}

/// The dead letters without the ordinals of their records.
fn without_records((end, out, dead): (String, String, String)) -> (String, String, Vec<serde_json::Value>) {
    let letters = dead.lines().map(|line| {
        let mut letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
        letter.as_object_mut().map(|letter| letter.remove("record"));
        letter
    });
    (end, out, letters.collect())
}

#[test]
fn clause_33_every_way_of_running_several_sources_gives_the_same() {
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let mut text = String::new();
        for at in 0..2 + random.below(2) {
            let records = random.below(200) as usize;
            write_input(&folder.path().join(format!("in{at}.csv")), &mut random, records);
            let order =
                ["", "order = 'time'\ndisorder = '3s'\n", "max_jump = '1h'\n"][random.below(3) as usize];
            let _ = write!(
                text,
                "[[source]]\nname = 'in{at}'\ntype = 'csv'\npath = '{}'\n{COLUMNS}{order}",
                folder.path().join(format!("in{at}.csv")).display()
            );
        }
        let own = "[[stage]]\nname = 'own'\nfrom = 'in1'\ntype = 'threshold'\nmax = 150.0\n";
        let joined = "[[stage]]\nfrom = ['in0', 'own']\ntype = 'moving_average'\nwindow = 3\n";
        let third = if text.matches("[[source]]").count() > 2 {
            "[[sink]]\nfrom = 'in2'\ntype = 'csv'\npath = 'third.csv'\n"
        } else {
            ""
        };
        let text = format!(
            "{text}{own}{joined}{third}{SINKS}[[sink]]\nfrom = 'own'\ntype = 'csv'\npath = 'own.csv'\n"
        );
        let make = |base: &Path| {
            std::fs::create_dir_all(base).expect("a folder");
            Ok(pipeline(&text, base))
        };
        let verdict = verify(&make, folder.path(), &VerifyOptions { seed, rounds: 3 }).expect("verified");
        assert_eq!(verdict.failure, None, "seed {seed}\n{text}");
        assert_eq!(verdict.difference, None, "seed {seed}\n{text}");
    }
}

/// The lines of several files as they are merged by their first field: of the lines that come next in each, that with the least, of those that of the file
/// that is named first.
fn merged(files: &[Vec<String>]) -> Vec<String> {
    let second = |line: &String| line.split(',').next().and_then(|time| time.parse::<u64>().ok());
    let mut files: Vec<_> = files.iter().map(|lines| lines.iter().cloned().peekable()).collect();
    let mut all = Vec::new();
    loop {
        let heads = files.iter_mut().enumerate().filter_map(|(at, lines)| Some((second(lines.peek()?), at)));
        let Some((_, first)) = heads.min() else { return all };
        all.extend(files[first].next());
    }
}

/// Where the broken lines of several files stand, in the order in which they are set aside where the files are merged: behind the record before them.
fn merged_broken(files: &[String]) -> Vec<(usize, u64)> {
    let mut order = Vec::new();
    let mut items: Vec<std::collections::VecDeque<(u64, Vec<u64>)>> = Vec::new();
    for (at, text) in files.iter().enumerate() {
        let mut of_file = std::collections::VecDeque::<(u64, Vec<u64>)>::new();
        for (line, number) in text.lines().zip(1..).skip(1) {
            match (line, of_file.back_mut()) {
                ("broken", Some((_, broken))) => broken.push(number),
                ("broken", None) => order.push((at, number)),
                (good, _) => {
                    let time = good.split(',').next().and_then(|time| time.parse().ok()).expect("a time");
                    of_file.push_back((time, Vec::new()));
                }
            }
        }
        items.push(of_file);
    }
    loop {
        let heads = items.iter().enumerate().filter_map(|(at, items)| Some((items.front()?.0, at)));
        let Some((_, first)) = heads.min() else { return order };
        let (_, broken) = items[first].pop_front().expect("a head");
        order.extend(broken.into_iter().map(|line| (first, line)));
    }
}

#[test]
fn clause_33_what_was_refused_of_merged_sources_goes_with_the_record_before_it() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (mut text, mut files) = (String::new(), Vec::new());
        for at in 0..2 + random.below(3) {
            let path = folder.path().join(format!("in{at}.csv"));
            let records = random.below(200) as usize;
            write_input(&path, &mut random, records);
            files.push(std::fs::read_to_string(&path).expect("written"));
            let path = path.display();
            let _ = write!(text, "[[source]]\ntype = 'csv'\nmerge = 'time'\npath = '{path}'\n{COLUMNS}");
        }
        let text = format!("{text}{}{SINKS}", stages(&mut random));
        let expected: Vec<_> = merged_broken(&files);
        for (threads, chunk_size) in [(1, 1 << 20), (2, 300), (3, 40)] {
            let open = OpenOptions { chunk_size, ..OpenOptions::default() };
            let options = RunOptions { threads: Some(threads), open, ..RunOptions::default() };
            let (_, _, dead) = outcome(&text, folder.path(), &options);
            let letters =
                dead.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
            let letters = letters.filter(|letter| letter["raw"] == "broken");
            let found: Vec<_> = letters
                .map(|letter| {
                    let file = letter["file"].as_str().expect("a file");
                    let at = file.strip_suffix(".csv").and_then(|name| name.chars().last()?.to_digit(10));
                    (at.expect("a number") as usize, letter["line"].as_u64().expect("a line"))
                })
                .collect();
            assert_eq!(found, expected, "seed {seed}, chunks of {chunk_size}\n{text}");
        }
    }
}

/// Counts the pieces of a run.
struct Pieces(usize);

impl tidemill::runtime::Observer for Pieces {
    fn progress(&mut self, _pass: &str, _progress: tidemill::source::Progress, _records: u64) {
        self.0 += 1;
    }
}

#[test]
fn clause_33_records_that_alternate_between_merged_sources_go_on_in_pieces_of_about_a_chunk() {
    const RECORDS: usize = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::new();
    for at in 0..2 {
        let lines = (0..RECORDS).map(|record| format!("{},s{at},{record}\n", 2 * record + at));
        let file: String = std::iter::once("t,sensor,v\n".to_owned()).chain(lines).collect();
        std::fs::write(folder.path().join(format!("in{at}.csv")), file).expect("written");
        let _ = write!(text, "[[source]]\ntype = 'csv'\nmerge = 'time'\npath = 'in{at}.csv'\n{COLUMNS}");
    }
    let text = format!("{text}{}[[sink]]\ntype = 'csv'\npath = 'out.csv'\n", STAGES[1]);
    for sequential in [false, true] {
        let open = OpenOptions { chunk_size: 16 << 10, ..OpenOptions::default() };
        let options = RunOptions { threads: Some(2), sequential, open, ..RunOptions::default() };
        let mut pieces = Pieces(0);
        executor::run(&pipeline(&text, folder.path()), &options, &mut pieces).expect("a run");
        let out = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
        let times = out.lines().skip(1).map(|line| line.split(',').next().expect("a time").parse::<usize>());
        assert!(times.map(|time| time.expect("a number")).eq(0..2 * RECORDS));
        assert!((2..100).contains(&pieces.0), "{} pieces", pieces.0);
    }
}

#[test]
fn clause_33_sources_that_end_are_merged_by_time_where_that_is_asked_for() {
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (mut text, mut files) = (String::new(), Vec::new());
        for at in 0..2 + random.below(3) {
            let path = folder.path().join(format!("in{at}.csv"));
            let records = random.below(150) as usize;
            write_input(&path, &mut random, records);
            let all = std::fs::read_to_string(&path).expect("written");
            let good = all.lines().skip(1).filter(|line| *line != "broken").map(str::to_owned);
            files.push(good.collect::<Vec<_>>());
            let _ = write!(
                text,
                "[[source]]\ntype = 'csv'\nmerge = 'time'\npath = '{}'\n{COLUMNS}",
                path.display()
            );
        }
        let text = format!(
            "{text}[[sink]]\ntype = 'csv'\npath = 'raw.csv'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n"
        );
        pipeline(&text, folder.path()).run().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let raw = std::fs::read_to_string(folder.path().join("raw.csv")).expect("written");
        let expected = merged(&files);
        assert_eq!(raw.lines().skip(1).collect::<Vec<_>>(), expected, "seed {seed}\n{text}");
        let make = |base: &Path| {
            std::fs::create_dir_all(base).expect("a folder");
            Ok(pipeline(&text, base))
        };
        if seed % 4 == 0 {
            let verdict = verify(&make, folder.path(), &VerifyOptions { seed, rounds: 3 }).expect("verified");
            assert_eq!(verdict.failure, None, "seed {seed}\n{text}");
            assert_eq!(verdict.difference, None, "seed {seed}\n{text}");
        }
    }
}

#[test]
fn clause_33_each_source_has_its_own_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("plant.csv"),
        "when;tag;value\n01.02.2024 00:00:02;a;1,5\n01.02.2024 00:00:01;a;2,5\n",
    )
    .expect("written");
    std::fs::write(path("cloud.jsonl"), "{\"t\":\"2024-02-01T00:00:00Z\",\"s\":\"b\",\"v\":4}\n")
        .expect("written");
    let text = "[[source]]\nname = 'plant'\ntype = 'csv'\npath = 'plant.csv'\ndelimiter = ';'\ndecimal = ','\ntime = 'when'\ntime_format = '%d.%m.%Y %H:%M:%S'\nsensor = 'tag'\norder = 'time'\ndisorder = '5s'\n\
        [[stage]]\nname = 'named'\ntype = 'threshold'\nfrom = 'plant'\nmin = 2.0\n\
        [[sink]]\ntype = 'csv'\npath = 'plant-out.csv'\n[[sink]]\ntype = 'csv'\npath = 'cloud-out.csv'\nfrom = 'cloud'\n";
    let cloud =
        "[[source]]\nname = 'cloud'\ntype = 'jsonl'\npath = 'cloud.jsonl'\ntime = 't'\nsensor = 's'\n";
    let text = format!("{cloud}{text}");
    let report = pipeline(&text, folder.path()).run().unwrap_or_else(|error| panic!("{error}"));
    let read = |name: &str| std::fs::read_to_string(path(name)).expect("written");
    assert_eq!(read("plant-out.csv"), "when,tag,value\n01.02.2024 00:00:01,a,2.5\n");
    assert_eq!(read("cloud-out.csv"), "t,s,v\n2024-02-01T00:00:00Z,b,4\n");
    let counted: Vec<_> = report.sources.iter().map(|entry| (&*entry.name, entry.ledger.output)).collect();
    assert_eq!(counted, [("jsonl", 1), ("csv", 2)]);
}

#[test]
fn what_is_wrong_with_several_sources_is_said_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.csv"), "t,s,v\n1,x,2\n").expect("written");
    std::fs::write(folder.path().join("b.csv"), "t,s,w\n1,x,2\n").expect("written");
    let source = |name: &str, more: &str| {
        format!("[[source]]\nname = '{name}'\ntype = 'csv'\npath = '{name}.csv'\nsensor = 's'\n{more}")
    };
    let sink = "[[sink]]\ntype = 'null'\n";
    let (a, b) = (source("a", ""), source("b", ""));
    let cases = [
        (format!("{a}{b}{sink}"), "`from` joins records of different columns"),
        (
            format!("{a}{b}[[stage]]\ntype = 'threshold'\nmin = 1\n{sink}{sink}"),
            "`from` joins records of different columns",
        ),
        (format!("{a}{b}{sink}{sink}"), "`from` joins records of different columns"),
        (format!("{a}{a}{sink}"), "two parts have the `name` \"a\""),
        (format!("{a}{b}{sink}from = 'a'\n"), "this source feeds no part"),
        (format!("{a}{b}{sink}from = 'source'\n"), "no part before this one has that `name`"),
        (
            format!(
                "{a}{}{sink}from = 'a'\n{sink}from = 'b'\n",
                source("b", "idle_sensors = '1h'\ntime = 't'\n")
            ),
            "`idle_sensors` needs a pipeline of one source",
        ),
        (
            format!(
                "{}{}{sink}from = 'a'\n{sink}from = 'b'\n",
                source("a", "max_rejects = 1\n"),
                source("b", "max_rejects = 2\n")
            ),
            "`max_rejects` differs between sources",
        ),
        (
            format!("{}{b}{sink}from = 'a'\n{sink}from = 'b'\n", source("a", "merge = 'time'\n")),
            "`merge` needs another source",
        ),
        (
            format!(
                "{}{}{sink}from = 'a'\n{sink}from = 'b'\n",
                source("a", "merge = 'time'\n"),
                source("b", "merge = 'time'\n")
            ),
            "`merge` needs a time column",
        ),
        (
            format!(
                "{}{}{sink}",
                source("-", "").replace("-.csv", "-"),
                source("s", "").replace("s.csv", "-")
            ),
            "source - (csv) and source s (csv) both read standard input",
        ),
        (
            format!(
                "{}{}{sink}",
                source("a", "").replace("a.csv", "tcp-listen://0.0.0.0:9000"),
                source("b", "").replace("b.csv", "tcp-listen://127.0.0.1:9000")
            ),
            "source a (csv) and source b (csv) both read tcp-listen://127.0.0.1:9000",
        ),
        (
            format!("[source]\ntype = 'csv'\npath = 'a.csv'\n{a}{sink}"),
            "write `[[source]]`, in double brackets",
        ),
        (format!("source = []\n{sink}"), "there is no `[source]`"),
        (format!("source = [3]\n{sink}"), "a pipeline has a list of sources"),
        (format!("{a}{}{sink}", "[[source]]\ntype = 'cvs'\n"), "did you mean `csv`?"),
    ];
    for (text, expected) in cases {
        let spec = tidemill_engine::pipeline::Spec::new("p.toml", &*text).with_base(folder.path());
        let look = |pipeline: &Pipeline| executor::columns(pipeline, &OpenOptions::default());
        let wrong = match spec.plan(look) {
            Ok(_) => panic!("{expected}: nothing is wrong with\n{text}"),
            Err(tidemill_engine::pipeline::Wrong::Written(error)) => error.to_string(),
            Err(tidemill_engine::pipeline::Wrong::Other(error)) => error.to_string(),
        };
        assert_eq!(wrong.matches(expected).count(), 1, "{expected}:\n{wrong}\n{text}");
    }
}
