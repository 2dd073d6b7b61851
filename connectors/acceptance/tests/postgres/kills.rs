//! Kills of the run and of the server, at any moments: each row is there exactly once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use tidemill_acceptance::{Job, Postgres};

use super::{LIMIT, from_file, job, readings, sink, source};

/// Records: several chunks.
const RECORDS: usize = 60_000;

#[expect(clippy::disallowed_methods, reason = "tells how a test runs, not what the crate does")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Random numbers from a seed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = variable("TIDEMILL_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("TIDEMILL_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Runs `job` with kills of the run, and of the server between them, until both were killed often enough; then lets it end.
fn campaign(postgres: &mut Postgres, begin: impl Fn(&Postgres) -> Job, check: impl Fn(&Postgres)) {
    let kills = variable("TIDEMILL_KILLS").unwrap_or(5);
    let (mut chance, begun) = (Chance::new(), Instant::now());
    let (mut runs, mut servers) = (0, 0);
    while runs < kills || servers < kills {
        let job = begin(postgres);
        // After so many kills of one job, it may come to its end.
        for _ in 0..6 {
            let mut run = job.start();
            std::thread::sleep(Duration::from_millis(chance.below(500)));
            if chance.below(2) == 0 {
                postgres.restart();
                servers += 1;
                std::thread::sleep(Duration::from_millis(chance.below(300)));
            }
            if !run.is_running() {
                break;
            }
            run.kill();
            runs += 1;
        }
        job.start().wait().success();
        check(postgres);
        assert!(begun.elapsed() < LIMIT * 5, "it comes no further");
    }
    println!("{runs} kills of the run, {servers} of the server");
}

#[test]
fn a_file_is_in_a_table_once() {
    let mut postgres = Postgres::start();
    let begin = |postgres: &Postgres| {
        postgres.sql("DROP TABLE IF EXISTS t");
        job(&from_file(postgres, "table = 't'\ncreate = true"), &readings(RECORDS))
    };
    campaign(&mut postgres, begin, |postgres| {
        let rows = postgres.sql("SELECT count(*), count(DISTINCT value), sum(value) FROM t");
        assert_eq!(rows.trim(), format!("{RECORDS}|{RECORDS}|{}", RECORDS * (RECORDS - 1) / 2));
    });
}

#[test]
fn a_table_is_in_a_table_once() {
    let mut postgres = Postgres::start();
    // Many rows have the same value of the cursor.
    postgres.sql(&format!(
        "CREATE TABLE input AS SELECT timestamptz '2026-01-01' + n / 10 * interval '1 s' AS time, 's' || n % 7 AS sensor, n::float8 AS value \
         FROM generate_series(0, {}) AS n ORDER BY random(); CREATE INDEX ON input (time)",
        RECORDS - 1
    ));
    let begin = |postgres: &Postgres| {
        postgres.sql("DROP TABLE IF EXISTS t");
        let source = source(postgres, "table = 'input'\ncursor = 'time'\ntime = 'time'\nsensor = 'sensor'");
        Job::new(&format!("{source}{}", sink(postgres, "table = 't'\ncreate = true")))
    };
    campaign(&mut postgres, begin, |postgres| {
        let rows = postgres.sql("SELECT count(*), count(DISTINCT value), sum(value) FROM t");
        assert_eq!(rows.trim(), format!("{RECORDS}|{RECORDS}|{}", RECORDS * (RECORDS - 1) / 2));
    });
}
