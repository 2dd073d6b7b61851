//! Each record is in the table exactly once, however often the run is killed, and whenever.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how many kills; 20 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier run; the moment of a kill depends on the machine too |

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Kills, if `TIDEMILL_KILLS` does not say otherwise.
const KILLS: u64 = 20;

/// Records of the input: several chunks.
const RECORDS: usize = 60_000;

/// After so many kills of one run, it may come to its end.
const PATIENCE: u64 = 8;

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// The command of this crate in `folder`, with its state there.
fn command(folder: &Path, threads: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill-example-sqlite"));
    let arguments = ["run", "p.toml", "--state", "state", "--checkpoint-every", "1ms", "--threads"];
    command.current_dir(folder).args(arguments).arg(threads.to_string()).stdin(Stdio::null());
    command
}

fn start(folder: &Path, threads: u64) -> Child {
    command(folder, threads).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn prepare(folder: &Path) {
    let mut lines = String::from("t,s,v,n\n");
    for at in 0..RECORDS {
        let (minute, second) = (at / 600, at / 10 % 60);
        let time = format!("2026-01-01T{:02}:{:02}:{second:02}Z", minute / 60, minute % 60);
        writeln!(lines, "{time},m{},{}.5,{at}", at % 7, at % 100).expect("room");
    }
    std::fs::write(folder.join("in.csv"), lines).expect("written");
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\ntypes = { n = 'u64' }\n\
         [[sink]]\ntype = 'own_sqlite'\npath = 'out.db'\ntable = 'readings'\n\
         [[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

/// The numbers of the records in the table, as they were written.
fn numbers(folder: &Path, database: &str) -> Vec<i64> {
    let database = Connection::open(folder.join(database)).expect("a database");
    database.busy_timeout(LIMIT).expect("set");
    let mut rows = database.prepare("SELECT n FROM readings ORDER BY rowid").expect("a table");
    let numbers = rows.query_map([], |row| row.get(0)).expect("rows");
    numbers.collect::<Result<_, _>>().expect("numbers")
}

fn check(folder: &Path, ended: &Output) {
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(numbers(folder, "out.db").into_iter().eq(0..RECORDS as i64), "each record once, in order");
    let written = std::fs::read_to_string(folder.join("out.csv")).expect("a file");
    assert_eq!(written.lines().count(), RECORDS + 1);
    let left = std::fs::read_dir(folder.join("state")).expect("a folder");
    let left = left.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    assert_eq!(left.filter(|name| name.starts_with("outbox-")).count(), 0, "what was delivered is gone");
}

/// Runs that are killed at random moments until `wanted` were; each is looked at in the end.
fn campaign(wanted: u64, prepare: impl Fn(&Path), check: impl Fn(&Path, &Output)) {
    let wanted = variable("TIDEMILL_KILLS").unwrap_or(wanted);
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("TIDEMILL_SEED={seed}, {wanted} kills");
    let mut chance = seed | 1;
    let mut next = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    let mut kills = 0;
    while kills < wanted {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let begun = Instant::now();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _over = Over(&is_over);
            for (database, held, pause) in HOLDERS {
                let path = folder.path().join(database);
                if path.exists() {
                    let is_over = &is_over;
                    scope.spawn(move || hold(&path, held, pause, is_over));
                }
            }
            for _ in 0..PATIENCE {
                let mut run = start(folder.path(), 1 + next(3));
                std::thread::sleep(Duration::from_millis(next(400)));
                if run.try_wait().expect("a process").is_some() {
                    break;
                }
                run.kill().expect("killed");
                run.wait().expect("an end");
                kills += 1;
            }
            let ended = command(folder.path(), 1 + next(3)).output().expect("it runs");
            check(folder.path(), &ended);
        });
        assert!(begun.elapsed() < LIMIT, "it comes no further");
    }
}

/// Databases that somebody else holds again and again, where they are there: for how long, and how long not.
const HOLDERS: [(&str, Duration, Duration); 2] = [
    ("slow.db", Duration::from_millis(20), Duration::from_millis(10)),
    ("away.db", Duration::from_millis(600), Duration::from_millis(400)),
];

fn hold(path: &Path, held: Duration, pause: Duration, is_over: &AtomicBool) {
    let database = Connection::open(path).expect("a database");
    while !is_over.load(Ordering::Relaxed) {
        if database.execute_batch("BEGIN IMMEDIATE").is_ok() {
            std::thread::sleep(held);
            database.execute_batch("COMMIT").expect("let go");
        }
        std::thread::sleep(pause);
    }
}

/// Lets those who hold databases end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_run_killed_at_any_moments_has_each_record_in_the_table_once() {
    campaign(KILLS, prepare, check);
}

#[test]
fn a_file_a_slow_sink_and_one_that_comes_and_goes_have_each_record_once() {
    let three = |folder: &Path| {
        prepare(folder);
        let mut file = std::fs::File::options().append(true).open(folder.join("p.toml")).expect("a file");
        for (database, ..) in HOLDERS {
            let sink = format!("[[sink]]\ntype = 'own_sqlite'\npath = '{database}'\ntable = 'readings'\n");
            file.write_all(sink.as_bytes()).expect("written");
            make(&folder.join(database));
        }
    };
    campaign(KILLS / 2, three, |folder, ended| {
        check(folder, ended);
        for (database, ..) in HOLDERS {
            let numbers = numbers(folder, database);
            assert!(numbers.into_iter().eq(0..RECORDS as i64), "{database}: each record once, in order");
        }
    });
}

/// Makes the tables of a database, as a run does.
fn make(path: &Path) -> Connection {
    let database = Connection::open(path).expect("a database");
    let tables = "CREATE TABLE readings (t, s, v, n);
         CREATE TABLE tidemill_epochs (writer TEXT PRIMARY KEY, epoch INTEGER NOT NULL);";
    database.execute_batch(tables).expect("made");
    database
}

#[test]
fn a_database_that_somebody_else_holds_costs_no_data_and_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let database = make(&folder.path().join("out.db"));
    database.execute_batch("BEGIN IMMEDIATE").expect("held");
    let run = start(folder.path(), 2);
    // Held until the run has read everything: its rows wait in the outbox.
    let begun = Instant::now();
    let has_files = || {
        let names = std::fs::read_dir(folder.path().join("state")).into_iter().flatten().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with("outbox-")).count()
    };
    while has_files() == 0 {
        assert!(begun.elapsed() < LIMIT, "nothing is kept");
        std::thread::sleep(Duration::from_millis(10));
    }
    database.execute_batch("COMMIT").expect("let go");
    let ended = run.wait_with_output().expect("an end");
    check(folder.path(), &ended);
}

#[test]
fn behind_a_damaged_checkpoint_no_run_resumes_and_verify_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let pipeline = std::fs::read_to_string(folder.path().join("p.toml")).expect("text");
    let (only, _) = pipeline.split_once("[[sink]]\ntype = 'csv'").expect("two sinks");
    std::fs::write(folder.path().join("p.toml"), only).expect("written");
    let ended = command(folder.path(), 2).output().expect("a run");
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let entries = std::fs::read_dir(folder.path().join("state")).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut checkpoints: Vec<_> =
        paths.filter(|path| path.to_string_lossy().contains("/checkpoint-")).collect();
    checkpoints.sort();
    // The last two say that the run is over.
    for path in checkpoints.iter().rev().take(2) {
        let mut bytes = std::fs::read(path).expect("read");
        bytes[40] ^= 1;
        std::fs::write(path, bytes).expect("written");
    }
    let verified = Command::new(env!("CARGO_BIN_EXE_tidemill-example-sqlite"))
        .current_dir(folder.path())
        .args(["state", "verify", "state"])
        .output()
        .expect("the command runs");
    let said = text(&verified.stderr);
    assert!(
        said.contains("no run resumes") && said.contains("sink 0 (own_sqlite) may have delivered"),
        "{said}"
    );
    let refused = text(&command(folder.path(), 2).output().expect("a run").stderr);
    assert!(refused.contains("cannot be read, and their rows may have been delivered"), "{refused}");
}

#[test]
fn without_a_state_folder_rows_are_delivered_as_they_come_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill-example-sqlite"));
    let ended = command.current_dir(folder.path()).args(["run", "p.toml"]).output().expect("it runs");
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("delivered without checkpoints"), "{}", text(&ended.stderr));
    assert!(numbers(folder.path(), "out.db").into_iter().eq(0..RECORDS as i64));
}
