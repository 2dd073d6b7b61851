//! Several ways through one pipeline: branches, sinks behind any stage, branches that meet again (clause 11).

#[path = "cases/random.rs"]
#[expect(dead_code, reason = "other tests take what this one leaves")]
mod random;

use std::fmt::Write as _;
use std::path::Path;

use tidemill::pipeline::Pipeline;
use tidemill::verify::{VerifyOptions, verify};

use random::Random;

/// Records of some sensors, some of them broken, some late.
fn write_input(path: &Path, random: &mut Random, records: usize) {
    let mut text = "t,sensor,v,w\n".to_owned();
    for at in 0..records {
        let second = at as u64 / 3 + random.below(4);
        let sensor = random.below(5);
        match random.below(40) {
            0 => text.push_str("broken\n"),
            1 => drop(writeln!(text, "{second},s{sensor},,1")),
            _ => drop(writeln!(
                text,
                "{second},s{sensor},{},{}",
                random.below(200),
                random.below(9) as f64 / 4.0
            )),
        }
    }
    std::fs::write(path, text).expect("written");
}

const SOURCE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\ntime_format = 's'\nsensor = 'sensor'\nmax_rejects = 1.0\n";

/// Stages that keep the columns as they are.
const PLAIN: [&str; 3] = [
    "type = 'threshold'\nmin = 20.0\nmax = 180.0\ncolumns = ['v']\n",
    "type = 'threshold'\nmax = 1.5\ncolumns = ['w']\n",
    "type = 'normalize'\ncolumns = ['w']\nmin = 0.0\nmax = 2.0\n",
];

/// Stages that change them.
const OTHERS: [&str; 4] = [
    "type = 'moving_average'\nwindow = 3\ncolumns = ['v']\n",
    "type = 'moving_median'\nwindow = '5s'\ncolumns = ['v']\n",
    "type = 'aggregate'\nevery = '10s'\n",
    "type = 'normalize'\nmethod = 'z_score'\nfit = true\ncolumns = ['v']\n",
];

/// A tree of stages: what feeds each (0 is the source, `at + 1` is stage `at`), and its options.
fn tree(random: &mut Random, options: &[&'static str], stages: usize) -> Vec<(usize, &'static str)> {
    (0..stages).map(|at| (random.below(at as u64 + 1) as usize, random.of(options))).collect()
}

fn name(port: usize) -> String {
    if port == 0 { "source".into() } else { format!("n{}", port - 1) }
}

/// The pipeline with a sink behind every stage, and one behind the source.
fn with_all_sinks(tree: &[(usize, &str)]) -> String {
    let mut text = SOURCE.to_owned();
    for (at, (from, options)) in tree.iter().enumerate() {
        let _ = write!(text, "[[stage]]\nname = 'n{at}'\nfrom = '{}'\n{options}", name(*from));
    }
    for port in 0..=tree.len() {
        let _ = write!(text, "[[sink]]\ntype = 'csv'\npath = 'out{port}.csv'\nfrom = '{}'\n", name(port));
    }
    text
}

/// The pipeline of one sink alone: the stages on the way to `port`, one behind the other.
fn alone(tree: &[(usize, &str)], mut port: usize, output: &str) -> String {
    let mut way = Vec::new();
    while port > 0 {
        let (from, options) = tree[port - 1];
        way.push(options);
        port = from;
    }
    let stages: String = way.iter().rev().map(|options| format!("[[stage]]\n{options}")).collect();
    format!("{SOURCE}{stages}[[sink]]\ntype = 'csv'\npath = '{output}'\n")
}

fn run(text: &str, base: &Path) -> tidemill::Report {
    Pipeline::from_toml(text)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .with_base(base)
        .run()
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn clause_11_every_branch_gives_what_it_gives_alone() {
    for seed in 0..25 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let records = 50 + random.below(400) as usize;
        write_input(&folder.path().join("in.csv"), &mut random, records);
        let options: Vec<_> = PLAIN.iter().chain(&OTHERS).copied().collect();
        let stages = 1 + random.below(5) as usize;
        let mut tree = tree(&mut random, &options, stages);
        // What was made of the columns may not be there for the next: only the last ones change them.
        for at in 0..tree.len() {
            if tree.iter().any(|(from, _)| *from == at + 1) {
                tree[at].1 = random.of(&PLAIN);
            }
        }
        run(&with_all_sinks(&tree), folder.path());
        for port in 0..=tree.len() {
            run(&alone(&tree, port, "alone.csv"), folder.path());
            let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("written");
            assert_eq!(
                read(&format!("out{port}.csv")),
                read("alone.csv"),
                "seed {seed}, port {port}: {tree:?}"
            );
        }
    }
}

#[test]
fn clause_11_graphs_give_the_same_bytes_however_they_are_run() {
    for seed in 0..12 {
        let mut random = Random::new(1_000 + seed);
        let folder = tempfile::tempdir().expect("a folder");
        let input = folder.path().join("in.csv");
        let records = 50 + random.below(300) as usize;
        write_input(&input, &mut random, records);
        let stages = 2 + random.below(4) as usize;
        let tree = tree(&mut random, &PLAIN, stages);
        let mut text = with_all_sinks(&tree).replace("'in.csv'", &format!("{:?}", input.to_string_lossy()));
        // All of them meet again.
        let all: Vec<_> = (0..=tree.len()).map(|port| format!("'{}'", name(port))).collect();
        let joined = format!("[{}]", all.join(", "));
        let _ = write!(text, "[[stage]]\nname = 'all'\nfrom = {joined}\n{}", random.of(&OTHERS));
        let _ = write!(
            text,
            "[[sink]]\ntype = 'csv'\npath = 'all.csv'\n[[sink]]\ntype = 'csv'\npath = 'joined.csv'\nfrom = {joined}\n"
        );
        let make = |base: &Path| {
            std::fs::create_dir_all(base).expect("a folder");
            Ok(Pipeline::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).with_base(base))
        };
        let options = VerifyOptions { seed, rounds: 4 };
        let verdict = verify(&make, folder.path(), &options).expect("verified");
        assert_eq!(verdict.failure, None, "seed {seed}\n{text}");
        assert_eq!(verdict.difference, None, "seed {seed}\n{text}");
    }
}

/// What is wrong with a pipeline of these parts.
fn wrong(parts: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    write_input(&folder.path().join("in.csv"), &mut Random::new(1), 10);
    let spec = tidemill::pipeline::Spec::new("p.toml", format!("{SOURCE}{parts}")).with_base(folder.path());
    let resolved = spec.resolve().unwrap_or_else(|error| panic!("{error}"));
    match resolved.pipeline.run() {
        Ok(_) => String::new(),
        Err(error) => {
            resolved.locate(error).map_or_else(|error| error.to_string(), |error| error.to_string())
        }
    }
}

#[test]
fn clause_11_what_cannot_be_taken_from_is_said_where_it_stands() {
    let stage = |name: &str, from: &str| format!("[[stage]]\nname = '{name}'\nfrom = {from}\n{}", PLAIN[0]);
    let sink = |from: &str| format!("[[sink]]\ntype = 'csv'\npath = 'out.csv'\nfrom = {from}\n");
    let hourly = "[[stage]]\nname = 'hourly'\ntype = 'aggregate'\n";
    let null = "[[sink]]\ntype = 'null'\n";
    for (parts, expected) in [
        (stage("a", "'source'") + &sink("'aa'"), "did you mean \"a\"?"),
        (stage("a", "'elsewhere'") + null, "the names here are `source`"),
        (stage("a", "'b'") + &stage("b", "'a'") + null, "move this part after the one that feeds it"),
        (stage("a", "'a'") + null, "is not before this part"),
        (stage("a", "'source'") + &stage("a", "'source'") + &sink("'a'"), "two parts have the `name` \"a\""),
        (stage("source", "'source'") + null, "the source is named \"source\" already"),
        (stage("", "'source'") + null, "`name` is empty"),
        (stage("a", "[]") + null, "`from` is empty"),
        (stage("a", "['source', 'source']") + null, "names \"source\" twice"),
        (stage("a", "'source'") + &sink("'source'"), "this stage feeds no part"),
        (stage("a", "'source'") + hourly + &sink("['a', 'hourly']"), "joins records of different columns"),
        (
            format!("{null}[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\nfrom = 'source'\n"),
            "`from` has no effect here",
        ),
    ] {
        let message = wrong(&parts);
        assert!(message.contains(expected) && message.contains("p.toml"), "{parts}\n{message}");
    }
    assert_eq!(wrong(&(stage("a", "'source'") + &sink("['source', 'a']"))), "");
}

#[test]
fn clause_11_in_code_parts_are_joined_by_name_too() {
    use tidemill::sink::CsvFile;
    use tidemill::source::Csv;
    use tidemill::stage::{MovingAverage, Threshold};
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("in.csv"), "t,v\n1,5\n2,50\n3,7\n").expect("written");
    let builder = || Pipeline::builder().base(folder.path()).source(Csv::new("in.csv")).name("in");
    builder()
        .stage(Threshold::between(0.0, 10.0))
        .name("clean")
        .stage(MovingAverage::rows(2))
        .from(["in"])
        .sink(CsvFile::new("smooth.csv"))
        .sink(CsvFile::new("clean.csv"))
        .from(["clean"])
        .build()
        .and_then(|pipeline| pipeline.run())
        .unwrap_or_else(|error| panic!("{error}"));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("written");
    assert_eq!(read("clean.csv").lines().count(), 3);
    assert_eq!(read("smooth.csv").lines().count(), 4);
    let misplaced =
        builder().sink(CsvFile::new("x.csv")).name("x").build().err().expect("a sink has no name");
    assert!(misplaced.to_string().contains("`name` applies to a source or a stage"), "{misplaced}");
    let misplaced = Pipeline::builder().from(["x"]).build().err().expect("nothing to take from");
    assert!(misplaced.to_string().contains("`from` applies to a stage or a sink"), "{misplaced}");
}
