//! How fast rows are copied, beside `psql` with a file that is ready. Run by hand, optimised:
//! `cargo test --release -p tidemill-acceptance --test postgres -- --ignored --nocapture`.

use std::time::Instant;

use tidemill_acceptance::{Job, Postgres};

use super::{from_file, job, readings, source};

const RECORDS: usize = 1_000_000;

#[test]
#[ignore = "a measurement"]
fn a_million_records_beside_copy_of_a_ready_file() {
    let postgres = Postgres::start();
    let table = "(time timestamptz NOT NULL, sensor text NOT NULL, value double precision)";
    postgres.sql(&format!("CREATE TABLE t {table}; CREATE TABLE ready {table}"));
    let job = job(&from_file(&postgres, "table = 't'"), &readings(RECORDS));
    let begun = Instant::now();
    job.start_with(&["--state", "state", "--report", "report.json"]).wait().success();
    let own = begun.elapsed();
    assert_eq!(postgres.sql("SELECT count(*) FROM t").trim(), RECORDS.to_string());
    let file = job.path("in.csv");
    let begun = Instant::now();
    postgres.sql(&format!("\\copy ready FROM '{}' CSV HEADER", file.display()));
    let ready = begun.elapsed();
    let csv = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    let back =
        Job::new(&format!("{}{csv}", source(&postgres, "table = 't'\ntime = 'time'\nsensor = 'sensor'")));
    let begun = Instant::now();
    back.start_with(&[]).wait().success();
    let read = begun.elapsed();
    assert_eq!(back.read("out.csv").lines().count(), RECORDS + 1);
    let rate = |time: std::time::Duration| RECORDS as f64 / time.as_secs_f64();
    println!(
        "written {own:?} ({:.0} records/s), by psql {ready:?} ({:.0} records/s): {:.2} of it; read {read:?} ({:.0} records/s)",
        rate(own),
        rate(ready),
        ready.as_secs_f64() / own.as_secs_f64(),
        rate(read)
    );
}
