//! The connector `sqlite`: the database is read back by SQLite itself.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIDEMILL_KILLS` | how often the run is killed; 5 if not given |
//! | `TIDEMILL_SEED` | replays the delays of an earlier test; the moment of a kill depends on the machine too |

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::io::Write as _;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tidemill_acceptance::{Job, Run};

const CSV: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\n";

fn job(columns: &str, options: &str, csv: &str) -> Job {
    let job = Job::new(&format!("{CSV}{columns}\n[[sink]]\ntype = 'sqlite'\npath = 'out.db'\n{options}\n"));
    job.write("in.csv", csv);
    job
}

fn readings(count: usize) -> String {
    let mut lines = String::from("time,sensor,value\n");
    for at in 0..count {
        let (day, hour, minute, second) = (1 + at / 864_000, at / 36_000 % 24, at / 600 % 60, at / 10 % 60);
        writeln!(lines, "2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}.{}Z,s{},{at}", at % 10, at % 7)
            .expect("room");
    }
    lines
}

/// The rows of a query, whose values are joined by `|`.
fn rows(job: &Job, sql: &str) -> Vec<String> {
    let database = Connection::open(job.path("out.db")).expect("a database");
    database.busy_timeout(Duration::from_secs(10)).expect("set");
    let mut statement = database.prepare(sql).expect("a statement");
    let columns = statement.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let value = |at: usize| match row.get::<_, rusqlite::types::Value>(at).expect("a value") {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => format!("{number:?}"),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
        };
        Ok((0..columns).map(value).collect::<Vec<_>>().join("|"))
    };
    statement.query_map([], text).expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn create(job: &Job, sql: &str) {
    Connection::open(job.path("out.db")).expect("a database").execute_batch(sql).expect("created");
}

#[test]
fn a_table_is_created_and_has_every_value() {
    let columns = "types = { value = 'f64', i = 'i64', u = 'u64', b = 'bool' }";
    let csv = "time,sensor,value,i,u,b,note\n\
        2026-01-01T00:00:00.123456789Z,a,20.5,-9223372036854775808,0,true,\"it's\"\n\
        2026-01-01T00:00:01Z,b,NaN,9223372036854775807,18446744073709551615,false,ü\n\
        2026-01-01T00:00:02Z,c,inf,,,,\n";
    let job = job(columns, "table = 'readings'\ncreate = true", csv);
    let said = job.start().wait().success();
    assert!(said.contains("1 values were NaN") && said.contains("1 integers were beyond"), "{said}");
    let expected = [
        "2026-01-01T00:00:00.123456789Z|a|20.5|-9223372036854775808|0|1|it's",
        "2026-01-01T00:00:01.000000000Z|b||9223372036854775807|1.8446744073709552e19|0|ü",
        "2026-01-01T00:00:02.000000000Z|c|inf||||",
    ];
    assert_eq!(rows(&job, "SELECT * FROM readings"), expected);
    assert_eq!(
        rows(&job, "SELECT count(*) FROM readings WHERE datetime(time) = '2026-01-01 00:00:01'"),
        ["1"]
    );
    assert_eq!(rows(&job, "PRAGMA journal_mode"), ["wal"]);
}

/// A live run ends by being stopped.
#[test]
fn a_run_that_is_stopped_says_what_became_null() {
    let job = job("follow = true", "table = 't'", "time,sensor,value\n2026-01-01T00:00:00Z,a,NaN\n");
    create(&job, "CREATE TABLE t (time TEXT, sensor TEXT, value REAL)");
    let run = job.start();
    let begun = Instant::now();
    while rows(&job, "SELECT count(*) FROM t") != ["1"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", run.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = run.stop().success();
    assert!(said.contains("1 values were NaN"), "{said}");
}

#[test]
fn rows_with_a_key_replace_each_other_and_times_can_be_integers() {
    let csv =
        "time,sensor,value\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:00Z,b,2\n2026-01-01T00:00:00Z,a,3\n";
    let job = job("", "table = 't'\nkey = ['time', 'sensor']", csv);
    create(
        &job,
        "CREATE TABLE t (sensor TEXT, time INTEGER, value REAL, id INTEGER PRIMARY KEY, UNIQUE (sensor, time)) STRICT",
    );
    job.start().wait().success();
    let expected = ["1767225600000000000|a|3.0", "1767225600000000000|b|2.0"];
    assert_eq!(rows(&job, "SELECT time, sensor, value FROM t ORDER BY sensor"), expected);
}

#[test]
fn what_does_not_fit_is_an_error_before_the_run() {
    for (table, options, expected) in [
        ("", "", "has no table `t`"),
        ("CREATE TABLE t (time, sensor)", "", "no column `value`"),
        (
            "CREATE TABLE t (time, sensor, value TEXT)",
            "",
            "is of type TEXT, and the records have numbers (f64)",
        ),
        ("CREATE TABLE t (time INTEGER, sensor TEXT, value INTEGER) STRICT", "", "is of type INTEGER"),
        ("CREATE TABLE t (time, sensor, value, plant NOT NULL)", "", "column `plant`"),
        ("CREATE TABLE t (time, sensor, value AS (1))", "", "generated by the database"),
        ("CREATE TABLE t (time, sensor, value)", "key = ['sensor']", "no unique index"),
        (
            "CREATE TABLE t (time, sensor, value, UNIQUE (sensor, time)); CREATE UNIQUE INDEX i ON t (sensor) WHERE value > 0; \
             CREATE UNIQUE INDEX j ON t (lower(sensor))",
            "key = ['sensor']",
            "no unique index",
        ),
    ] {
        let job = job("", &format!("table = 't'\n{options}"), &readings(10));
        create(&job, table);
        let doctor = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        for said in [job.start().wait().failure(), doctor] {
            assert!(said.contains(expected), "{table}: {said}");
        }
    }
    let absent = job("", "table = 't'", &readings(10));
    let said = absent.start().wait().failure();
    assert!(said.contains("create = true creates the database"), "{said}");
    let other = job("", "table = 't'\ncreate = true", &readings(10));
    other.write("out.db", &"no database ".repeat(1000));
    let said = other.start().wait().failure();
    assert!(said.contains("names a file of another kind"), "{said}");
}

#[test]
fn a_constraint_ends_a_run_and_a_lock_does_not() {
    let job = job("", "table = 't'", &readings(10));
    create(&job, "CREATE TABLE t (time, sensor, value CHECK (value < 5))");
    let said = job.start().wait().failure();
    assert!(said.contains("CHECK constraint failed"), "{said}");
    assert_eq!(rows(&job, "SELECT count(*) FROM t"), ["0"]);
    create(&job, "DROP TABLE t; CREATE TABLE t (time, sensor, value)");
    let holder = Connection::open(job.path("out.db")).expect("a database");
    holder.execute_batch("BEGIN IMMEDIATE").expect("held");
    let run = job.start();
    run.wait_for("retrying until delivery succeeds");
    holder.execute_batch("COMMIT").expect("let go");
    run.wait().success();
    assert_eq!(rows(&job, "SELECT count(*), sum(value) FROM t"), ["10|45.0"]);
}

/// A job that reads its file as it grows, with the first ten readings in the table `t`.
fn followed(options: &str) -> (Job, Run) {
    let job = job("follow = true", &format!("table = 't'\n{options}"), &readings(10));
    let run = job.start();
    until("the first rows", || job.path("out.db").exists() && count(&job) == Some(10));
    (job, run)
}

/// The number of rows of `t`, once there is one.
fn count(job: &Job) -> Option<i64> {
    let database = Connection::open(job.path("out.db")).expect("a database");
    database.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).ok()
}

/// Waits until `is_so`.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Appends the readings from `from` on, up to `to` of them in all.
fn append(job: &Job, from: usize, to: usize) {
    let all = readings(to);
    let new = all.split_inclusive('\n').skip(1 + from).collect::<String>();
    let mut file = std::fs::File::options().append(true).open(job.path("in.csv")).expect("a file");
    file.write_all(new.as_bytes()).expect("written");
}

#[test]
fn a_database_that_is_moved_away_or_removed_during_a_run_swallows_nothing() {
    for is_moved in [true, false] {
        let (job, run) = followed("create = true");
        for name in ["out.db", "out.db-wal", "out.db-shm"] {
            let path = job.path(name);
            // SQLite removes the others with the last connection to them.
            let gone = if is_moved {
                std::fs::rename(&path, job.path(&format!("old-{name}")))
            } else {
                std::fs::remove_file(&path)
            };
            assert!(gone.is_ok() || name != "out.db");
        }
        append(&job, 10, 20);
        let said = run.wait().failure();
        assert!(said.contains("was moved away, removed or replaced during the run"), "{said}");
        assert!(!job.path("out.db").exists(), "it is not created anew");
        let run = job.start();
        until("the rest", || job.path("out.db").exists() && count(&job) == Some(10));
        run.stop().success();
        assert_eq!(rows(&job, "SELECT min(value) FROM t"), ["10.0"]);
    }
}

#[test]
fn with_wait_a_database_that_comes_back_gets_what_has_waited() {
    let (job, run) = followed("create = true\non_failure = 'wait'\nbreaker = { open = '100ms' }");
    let (path, aside) = (job.path("out.db"), job.path("aside.db"));
    std::fs::rename(&path, &aside).expect("moved");
    append(&job, 10, 20);
    run.wait_for("was moved away, removed or replaced");
    std::fs::rename(&aside, &path).expect("moved");
    until("all rows", || count(&job) == Some(20));
    run.stop().success();
    assert_eq!(rows(&job, "SELECT count(DISTINCT value) FROM t"), ["20"]);
}

#[test]
fn a_table_that_changes_or_goes_during_a_run_ends_it_with_what_is_wrong() {
    for (change, expected, repair) in [
        ("ALTER TABLE t DROP COLUMN value", "no column `value`", "ALTER TABLE t ADD COLUMN value REAL"),
        ("DROP TABLE t", "has no table `t`", "CREATE TABLE t (time, sensor, value)"),
        ("ALTER TABLE t ADD COLUMN plant TEXT NOT NULL DEFAULT 'p'", "", ""),
    ] {
        let (job, run) = followed("create = true");
        create(&job, change);
        append(&job, 10, 20);
        if expected.is_empty() {
            until("all rows", || count(&job) == Some(20));
            run.stop().success();
            continue;
        }
        let said = run.wait().failure();
        assert!(said.contains(expected), "{said}");
        // What was not written comes with the next run.
        create(&job, repair);
        let run = job.start();
        let sum = || rows(&job, "SELECT CAST(sum(value) AS INTEGER) FROM t WHERE value >= 10");
        until("the rest", || sum() == ["145"]);
        run.stop().success();
    }
}

#[test]
fn with_drop_what_a_constraint_refuses_is_left_out_and_counted() {
    let job = job("", "table = 't'\non_failure = 'drop'", &readings(10));
    create(&job, "CREATE TABLE t (time, sensor, value CHECK (value < 5))");
    let said = job.start().wait().success();
    assert!(said.contains("10 records in 1 epochs were dropped, since they had been refused"), "{said}");
    assert_eq!(rows(&job, "SELECT count(*) FROM t"), ["0"]);
}

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn kills_at_any_moments_leave_each_record_in_the_table_once() {
    const RECORDS: usize = 60_000;
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("TIDEMILL_SEED={seed}, {kills} kills");
    let mut chance = seed | 1;
    let mut killed = 0;
    while killed < kills {
        let job = job("", "table = 't'\ncreate = true", &readings(RECORDS));
        for _ in 0..6 {
            let mut run = job.start();
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_millis((chance >> 33) % 400));
            if !run.is_running() {
                break;
            }
            run.kill();
            killed += 1;
        }
        job.start().wait().success();
        let sum = format!("{RECORDS}|{RECORDS}|{}", RECORDS * (RECORDS - 1) / 2);
        assert_eq!(
            rows(&job, "SELECT count(*), count(DISTINCT value), CAST(sum(value) AS INTEGER) FROM t"),
            [sum]
        );
    }
}

/// Run by hand, optimised: `cargo test --release -p tidemill-acceptance --test sqlite -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_million_records_beside_inserts_in_one_transaction() {
    const RECORDS: usize = 1_000_000;
    let job = job("", "table = 't'\ncreate = true", &readings(RECORDS));
    let begun = Instant::now();
    job.start_with(&["--state", "state", "--report", "report.json"]).wait().success();
    let own = begun.elapsed();
    assert_eq!(rows(&job, "SELECT count(*) FROM t"), [RECORDS.to_string()]);
    let begun = Instant::now();
    let mut database = Connection::open(job.path("plain.db")).expect("a database");
    database
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (time TEXT, sensor TEXT, value REAL)")
        .expect("created");
    let transaction = database.transaction().expect("begun");
    let mut insert = transaction.prepare("INSERT INTO t VALUES (?, ?, ?)").expect("a statement");
    for at in 0..RECORDS {
        insert.execute(("2026-01-01T00:00:00.000000000Z", "s1", at as f64)).expect("inserted");
    }
    drop(insert);
    transaction.commit().expect("committed");
    let plain = begun.elapsed();
    println!(
        "written {own:?}, by plain inserts {plain:?}: {:.2} of it",
        plain.as_secs_f64() / own.as_secs_f64()
    );
}
