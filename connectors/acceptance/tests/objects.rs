//! Files in object stores: S3, and the interface of Google that is like it, by moto and by a store of these tests that misbehaves; Azure by
//! Azurite; and web servers. What is expected is what the same pipeline does with local files.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often each run is killed; 5 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

#![cfg(feature = "objects")]

#[path = "objects/answers.rs"]
mod answers;
#[path = "objects/misbehaving.rs"]
mod misbehaving;
#[path = "objects/new.rs"]
mod new;

use std::fmt::Write as _;

use tidemill_acceptance::chance::{Chance, kills};
use tidemill_acceptance::{Azurite, Ended, Job, Moto};

const RUN: [&str; 4] = ["run", "pipeline.toml", "--progress", "never"];
const RESUMED: [&str; 8] =
    ["run", "pipeline.toml", "--progress", "never", "--state", "state", "--checkpoint-every", "50ms"];

fn pipeline(source: &str, sink: &str) -> String {
    let columns = match source.contains("'influx'") {
        true => "sensor = 'sensor'\n",
        false => "time = 'time'\nsensor = 'sensor'\n",
    };
    format!("[source]\n{source}\n{columns}[[stage]]\ntype = 'threshold'\nmin = 0\n[[sink]]\n{sink}\n")
}

fn readings(count: usize, separator: char) -> String {
    let mut lines = format!("time{separator}sensor{separator}value\n");
    for at in 0..count {
        let (day, hour, minute, second) = (1 + at / 864_000, at / 36_000 % 24, at / 600 % 60, at / 10 % 60);
        let time = format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{}Z", at % 10);
        writeln!(lines, "{time}{separator}s{}{separator}{at}.5", at % 7).expect("room");
    }
    lines
}

fn run<K: AsRef<str>>(
    job: &Job,
    variables: impl IntoIterator<Item = (K, String)>,
    arguments: &[&str],
) -> Ended {
    let variables: Vec<(K, String)> = variables.into_iter().collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    job.spawn(&variables, arguments).wait()
}

/// What a run of this pipeline without any store writes to `out`, given `in.csv` and what else `job` has.
fn local(job: &Job, source: &str, sink: &str) -> Vec<u8> {
    job.write("local.toml", &pipeline(source, sink));
    job.command(&["run", "local.toml", "--progress", "never"]).success();
    std::fs::read(job.path("out")).expect("an output")
}

#[test]
fn every_format_has_the_same_bytes_as_in_local_files() {
    let moto = Moto::start();
    let job = Job::new("");
    let csv = readings(5_000, ',');
    job.write("in.csv", &csv);
    let here = "type = 'csv'\npath = 'in.csv'";
    // Out.
    for format in ["csv", "jsonl", "parquet"] {
        let expected = local(&job, here, &format!("type = '{format}'\npath = 'out'"));
        let key = format!("out/deep er/x.{format}");
        job.write("pipeline.toml", &pipeline(here, &format!("type = '{format}'\npath = 's3://bkt/{key}'")));
        run(&job, moto.variables(), &RUN).success();
        let encoded = key.replace(' ', "%20");
        assert!(moto.get(&encoded) == expected, "{format}");
        moto.put(&format!("in/x.{format}"), &expected);
    }
    // In, from what was written and from other formats.
    let influx: String = csv.lines().skip(1).enumerate().fold(String::new(), |mut text, (at, line)| {
        let mut fields = line.split(',').skip(1);
        let (sensor, value) = (fields.next().expect("a sensor"), fields.next().expect("a value"));
        writeln!(text, "plant,sensor={sensor} value={value} {}", 1_767_225_600_000_000_000 + at)
            .expect("room");
        text
    });
    moto.put("in/x.tsv", readings(5_000, '\t').as_bytes());
    moto.put("in/x.lp", influx.as_bytes());
    for (kind, name) in [
        ("csv", "x.csv"),
        ("tsv", "x.tsv"),
        ("jsonl", "x.jsonl"),
        ("influx", "x.lp"),
        ("parquet", "x.parquet"),
    ] {
        std::fs::write(job.path(name), moto.get(&format!("in/{name}"))).expect("written");
        let expected =
            local(&job, &format!("type = '{kind}'\npath = '{name}'"), "type = 'csv'\npath = 'out'");
        job.write(
            "pipeline.toml",
            &pipeline(
                &format!("type = '{kind}'\npath = 's3://bkt/in/{name}'"),
                "type = 'csv'\npath = 'again'",
            ),
        );
        run(&job, moto.variables(), &RUN).success();
        assert!(job.read("again").into_bytes() == expected, "{kind}");
    }
}

#[test]
fn a_glob_of_a_hundred_objects_is_a_glob_of_files() {
    let moto = Moto::start();
    let sink = "type = 'csv'\npath = 'out'";
    let job = Job::new(&pipeline("type = 'csv'\npath = 's3://bkt/year=*/part-*.csv'", sink));
    for at in 0..100 {
        let (folder, name) = (format!("year={}", 2020 + at / 20), format!("part-{at:03}.csv"));
        std::fs::create_dir_all(job.path(&folder)).expect("made");
        let text = format!("time,sensor,value\n2026-01-01T00:00:{:02}Z,s,{at}\n", at % 60);
        job.write(&format!("{folder}/{name}"), &text);
        moto.put(&format!("{folder}/{name}"), text.as_bytes());
    }
    moto.put("year=2020/deeper/part-1.csv", b"time,sensor,value\n2026-01-01T00:00:00Z,s,-5\n");
    moto.put("year=2020/.part-1.csv", b"not matched");
    let expected = local(&job, "type = 'csv'\npath = 'year=*/part-*.csv'", sink);
    run(&job, moto.variables(), &RUN).success();
    assert!(job.read("out").into_bytes() == expected);
    // A folder, and what is nowhere.
    job.write("pipeline.toml", &pipeline("type = 'csv'\npath = 's3://bkt/year=2021/'", sink));
    run(&job, moto.variables(), &RUN).success();
    assert_eq!(job.read("out").lines().count(), 21);
    for (path, what) in [
        ("s3://bkt/year=1999/*.csv", "no file matches"),
        ("s3://bkt/year=1999.csv", "there is no file"),
        ("s3://nowhere/x.csv", "the bucket does not exist"),
        ("s3://nowhere/*.csv", "the bucket does not exist"),
    ] {
        job.write("pipeline.toml", &pipeline(&format!("type = 'csv'\npath = '{path}'"), sink));
        let said = run(&job, moto.variables(), &RUN).failure();
        assert!(said.contains(what), "{path}: {said}");
    }
}

#[test]
fn compressed_objects_are_decompressed() {
    use std::io::Write;
    let moto = Moto::start();
    let job =
        Job::new(&pipeline("type = 'csv'\npath = 's3://bkt/in.csv.gz'", "type = 'csv'\npath = 'again'"));
    job.write("in.csv", &readings(20_000, ','));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(job.read("in.csv").as_bytes()).expect("packed");
    moto.put("in.csv.gz", &packed.finish().expect("packed"));
    let expected = local(&job, "type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'out'");
    run(&job, moto.variables(), &RUN).success();
    assert!(job.read("again").into_bytes() == expected);
}

/// Runs the pipeline of `job` with a state folder and kills it a few times, then lets it end.
fn through_kills(job: &Job, moto: &Moto, chance: &mut Chance) {
    let variables = moto.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for _ in 0..kills(5) {
        let mut run = job.spawn(&variables, &RESUMED);
        std::thread::sleep(chance.pause(50, 900));
        if !run.is_running() {
            run.wait().success();
            return;
        }
        run.kill();
    }
    job.spawn(&variables, &RESUMED).wait().success();
}

#[test]
fn kills_at_any_moments_leave_one_complete_object() {
    let (moto, mut chance) = (Moto::start(), Chance::new("objects: one object"));
    let job = Job::new(&pipeline("type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 's3://bkt/out.csv'"));
    // More than one part.
    job.write("in.csv", &readings(300_000, ','));
    let expected = local(&job, "type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'out'");
    through_kills(&job, &moto, &mut chance);
    assert!(moto.get("out.csv") == expected, "the bytes of a local file");
    assert_eq!(moto.keys(), ["out.csv"]);
    let said = run(&job, moto.variables(), &RESUMED).success();
    assert!(said.contains("already ended"), "{said}");
    let staged: Vec<_> = walk(&job.path("state/staged"));
    assert!(staged.is_empty(), "{staged:?}");
}

#[test]
fn kills_at_any_moments_leave_rolled_objects_with_each_record_once() {
    let (moto, mut chance) = (Moto::start(), Chance::new("objects: rolled"));
    let sink = "type = 'csv'\npath = 's3://bkt/rolled/{date}/{epoch}.csv'\nroll = { size = '256KiB' }";
    let job = Job::new(&pipeline("type = 'csv'\npath = 'in.csv'", sink));
    job.write("in.csv", &readings(100_000, ','));
    let expected = local(&job, "type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'out'");
    through_kills(&job, &moto, &mut chance);
    let keys = moto.keys();
    assert!(keys.len() > 1 && keys.iter().all(|key| key.starts_with("rolled/2026-01-01/")), "{keys:?}");
    let mut all = String::from("time,sensor,value\n");
    for key in &keys {
        let text = String::from_utf8(moto.get(key)).expect("UTF-8");
        all += text.split_once('\n').expect("a header").1;
    }
    assert!(all.into_bytes() == expected, "each record once, in order");
}

#[test]
fn a_run_that_reads_objects_resumes_where_it_was_killed() {
    let (moto, mut chance) = (Moto::start(), Chance::new("objects: in"));
    let job = Job::new(&pipeline("type = 'csv'\npath = 's3://bkt/in-*.csv'", "type = 'csv'\npath = 'again'"));
    for at in 0..3 {
        let text = readings(100_000, ',');
        job.write(&format!("in-{at}.csv"), &text);
        moto.put(&format!("in-{at}.csv"), text.as_bytes());
    }
    let expected = local(&job, "type = 'csv'\npath = 'in-*.csv'", "type = 'csv'\npath = 'out'");
    through_kills(&job, &moto, &mut chance);
    assert!(job.read("again").into_bytes() == expected);
    // Another object by that name is not what was read.
    moto.put("in-1.csv", readings(100_001, ',').as_bytes());
    let said = run(&job, moto.variables(), &RESUMED).failure();
    assert!(said.contains("in-1.csv") && said.contains("changed"), "{said}");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn what_cannot_be_is_refused_before_the_run() {
    let moto = Moto::start();
    for (source, sink, arguments, what) in [
        ("path = 's3://bkt/x.csv'\nfollow = true", "path = 'out'", &RUN[..], "cannot be followed"),
        ("path = 's3://bkt/x.zip'", "path = 'out'", &RUN[..], "zip archive"),
        ("path = 'in.csv'", "path = 's3://bkt/folder/'", &RUN[..], "is a folder"),
        ("path = 'in.csv'", "path = 's3://bkt'", &RUN[..], "names no file"),
        ("path = 'in.csv'", "path = 's3://bkt/.hidden'", &RUN[..], "begins with a dot"),
        ("path = 'in.csv'", "path = 'ftp://host/x.csv'", &RUN[..], "s3://"),
        (
            "path = 'in.csv'",
            "path = 'out'",
            &[&RUN[..], &["--state", "s3://bkt/state"]].concat(),
            "on this machine",
        ),
    ] {
        let job = Job::new(&pipeline(&format!("type = 'csv'\n{source}"), &format!("type = 'csv'\n{sink}")));
        job.write("in.csv", &readings(10, ','));
        moto.put("x.csv", readings(10, ',').as_bytes());
        moto.put("x.zip", b"PK\x03\x04");
        let said = run(&job, moto.variables(), arguments).failure();
        assert!(said.contains(what), "{source}, {sink}: {said}");
    }
}

#[test]
fn a_doctor_looks_at_the_store() {
    let moto = Moto::start();
    moto.put("in.csv", readings(10, ',').as_bytes());
    let job = Job::new(&pipeline(
        "type = 'csv'\npath = 's3://bkt/in.csv'",
        "type = 'csv'\npath = 's3://bkt/out/x.csv'",
    ));
    run(&job, moto.variables(), &["doctor", "pipeline.toml"]).success();
    job.write(
        "pipeline.toml",
        &pipeline("type = 'csv'\npath = 's3://bkt/in.csv'", "type = 'csv'\npath = 's3://nowhere/x.csv'"),
    );
    run(&job, moto.variables(), &["doctor", "pipeline.toml"]).failure();
    assert_eq!(moto.keys(), ["in.csv"], "nothing is written");
}

#[test]
fn azure_and_google_are_written_and_read() {
    let (azure, moto) = (Azurite::start(), Moto::start());
    let job = Job::new("");
    // More than one part.
    job.write("in.csv", &readings(250_000, ','));
    let expected = local(&job, "type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'out'");
    for (scheme, variables) in [("az", azure.variables()), ("gs", moto.google_variables())] {
        let sink = format!("type = 'csv'\npath = '{scheme}://bkt/deep/out.csv'");
        job.write("pipeline.toml", &pipeline("type = 'csv'\npath = 'in.csv'", &sink));
        run(&job, variables.clone(), &RUN).success();
        for path in ["deep/out.csv", "*/*.csv"] {
            let source = format!("type = 'csv'\npath = '{scheme}://bkt/{path}'");
            job.write("pipeline.toml", &pipeline(&source, "type = 'csv'\npath = 'again'"));
            run(&job, variables.clone(), &RUN).success();
            assert!(job.read("again").into_bytes() == expected, "{scheme}: {path}");
        }
    }
    // Azurite checks signatures.
    let mut wrong = azure.variables();
    wrong.insert("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==".into());
    job.write(
        "pipeline.toml",
        &pipeline("type = 'csv'\npath = 'in.csv'", "type = 'csv'\npath = 'az://bkt/x.csv'"),
    );
    let said = run(&job, wrong, &RUN).failure();
    assert!(
        said.contains("403") && said.contains("AZURE_STORAGE_ACCOUNT_KEY") && !said.contains("aHVudGVyMg"),
        "{said}"
    );
}

/// A gigabyte, in and out: about two minutes.
#[test]
#[ignore = "a gigabyte through moto takes minutes"]
fn memory_does_not_grow_with_the_object() {
    let moto = Moto::start();
    let job = Job::new(&pipeline(
        "type = 'csv'\npath = 's3://bkt/in.csv'",
        "type = 'csv'\npath = 's3://bkt/out.csv'",
    ));
    let piece = readings(860_000, ',');
    let mut text = piece.clone();
    while text.len() < 1 << 30 {
        text += piece.split_once('\n').expect("a header").1;
    }
    moto.put("in.csv", text.as_bytes());
    drop(text);
    let variables = moto.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut run, mut most) = (job.spawn(&variables, &RUN), 0);
    while run.is_running() {
        most = most.max(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.memory())).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.wait().success();
    println!("RssAnon at most {} MiB", most >> 20);
    assert!(most < 128 << 20, "{} MiB", most >> 20);
}
