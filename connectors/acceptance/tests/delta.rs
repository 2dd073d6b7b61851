//! The connector `delta`: tables are read back by delta-rs, Polars, DuckDB and Spark, each with code of its own or of others.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tidemill_acceptance::lake::{Reader, python, script, spark};
use tidemill_acceptance::{Job, Run};

const CSV: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\n";

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

fn job(columns: &str, options: &str, csv: &str) -> Job {
    let job =
        Job::new(&format!("{CSV}{columns}\n[[sink]]\ntype = 'delta'\npath = 'lake/table'\n{options}\n"));
    job.write("in.csv", csv);
    job
}

fn readings(numbers: std::ops::Range<usize>) -> String {
    let mut lines = String::new();
    for at in numbers {
        let (day, second) = (1 + at / 100 % 28, at % 60);
        writeln!(lines, "2026-01-{day:02}T00:00:{second:02}Z,s{},{at}", at % 7).expect("room");
    }
    lines
}

/// The place of the table.
fn table(job: &Job) -> String {
    job.path("lake/table").display().to_string()
}

/// Runs a program in Python, which knows the table as `path`.
fn run_python(job: &Job, program: &str) -> String {
    let imports = "import os\nimport sys\nimport pyarrow as pa\nfrom deltalake import DeltaTable, Schema, write_deltalake\npath = sys.argv[1]\n";
    // Threads of pyarrow that are still there have ended the process by a signal.
    let end = "sys.stdout.flush()\nos._exit(0)\n";
    let program = format!("{imports}{program}\n{end}");
    let output = python().arg("-c").arg(program).arg(table(job)).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// How many rows the table has, and how many different values.
fn counts(job: &Job) -> (usize, usize) {
    let rows = Reader::DeltaRs.rows(&table(job), &["value"]);
    let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
    (rows.len(), distinct.len())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not so");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A table with every type, partitioned by text and day.
fn of_every_type() -> Job {
    let columns = "types = { value = 'f64', i = 'i64', u = 'u64', b = 'bool' }";
    let csv = "time,sensor,value,i,u,b,plant\n\
        2026-01-01T00:00:00.123456789Z,a,20.5,-9223372036854775808,0,true,\"it's 50% of a/b=c\"\n\
        1969-12-31T23:59:59.9999999Z,b,NaN,9223372036854775807,18446744073709551615,false,ü\n\
        2026-01-01T00:00:02Z,c,-inf,,,,\n";
    let job =
        job(columns, "create = true\npartition_by = ['plant', 'day']\ncolumns = { value = 'celsius' }", csv);
    let said = job.start().wait().success();
    assert!(said.contains("exactly once") && said.contains("2 times had nanoseconds"), "{said}");
    job
}

const TYPES: [&str; 8] = ["time", "sensor", "celsius", "i", "u", "b", "plant", "day"];

const EVERY_TYPE: [&str; 3] = [
    r#"["1969-12-31T23:59:59.999999+00:00", "b", "nan", 9223372036854775807, "18446744073709551615", false, "ü", "1969-12-31"]"#,
    r#"["2026-01-01T00:00:00.123456+00:00", "a", 20.5, -9223372036854775808, "0", true, "it's 50% of a/b=c", "2026-01-01"]"#,
    r#"["2026-01-01T00:00:02+00:00", "c", -Infinity, null, null, null, null, "2026-01-01"]"#,
];

#[test]
fn a_table_is_created_and_all_read_the_same() {
    let job = of_every_type();
    for reader in [Reader::DeltaRs, Reader::Polars, Reader::DuckDb] {
        assert_eq!(reader.rows(&table(&job), &TYPES), EVERY_TYPE, "{reader:?}");
    }
    let said = run_python(
        &job,
        "table = DeltaTable(path)\nprint(table.metadata().partition_columns, table.to_pyarrow_table(filters=[('celsius', '>', 20.0), ('plant', '=', \"it's 50% of a/b=c\")])['sensor'].to_pylist())",
    );
    assert_eq!(said, "['plant', 'day'] ['a']\n");
}

#[test]
fn spark_reads_the_same() {
    let job = of_every_type();
    assert_eq!(Reader::Spark.rows(&table(&job), &TYPES), EVERY_TYPE);
}

/// Runs SQL in Spark, where `$t` is the table, and returns what the last statement gives.
fn run_spark(job: &Job, statements: &[&str]) -> String {
    let table = format!("delta.`{}`", table(job));
    let statements: Vec<_> = statements.iter().map(|sql| sql.replace("$t", &table)).collect();
    let mut command = spark();
    command.args(["-c", "import sys\nfrom lake import session\nfor sql in sys.argv[1:]: rows = session().sql(sql)\nprint(rows.toArrow().to_pylist())"]);
    let output = command.args(&statements).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_table_of_spark_with_mapped_columns_and_deletion_vectors_is_appended_to() {
    let job = job("", "", &format!("time,sensor,value\n{}", readings(0..10)));
    run_spark(
        &job,
        &[
            "CREATE TABLE $t (time TIMESTAMP, `sensor` STRING, note STRING, value FLOAT) USING delta \
             TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true')",
            "INSERT INTO $t VALUES (timestamp '2026-01-01 00:00:00', 'x', 'n', -1), (timestamp '2026-01-01 00:00:00', 'y', 'n', -2)",
            "DELETE FROM $t WHERE sensor = 'x'",
        ],
    );
    job.start().wait().success();
    let rows = run_spark(&job, &["SELECT count(*) AS n, sum(value) AS sum, count(note) AS notes FROM $t"]);
    assert_eq!(rows, "[{'n': 11, 'sum': 43.0, 'notes': 1}]\n");
}

#[test]
fn a_generated_column_is_a_feature_that_is_named() {
    let job = job("", "", &format!("time,sensor,value\n{}", readings(0..10)));
    run_spark(
        &job,
        &[
            "CREATE TABLE $t (time TIMESTAMP, sensor STRING, value DOUBLE, day DATE GENERATED ALWAYS AS (CAST(time AS DATE))) USING delta",
            "SELECT 1",
        ],
    );
    let said = job.start().wait().failure();
    assert!(said.contains("generatedColumns") || said.contains("feature"), "{said}");
}

#[test]
fn what_does_not_fit_is_an_error_before_the_run() {
    const GIVEN: &str =
        "pa.schema([('time', pa.timestamp('us', 'UTC')), ('sensor', pa.string()), ('value', pa.float64())";
    for (made, options, expected) in [
        ("", "", "there is no Delta table"),
        (
            "DeltaTable.create(path, schema=pa.schema([('time', pa.timestamp('us', 'UTC')), ('sensor', pa.string())]))",
            "",
            "has no column `value`, which the records have",
        ),
        (
            "DeltaTable.create(path, schema=pa.schema([('time', pa.timestamp('us', 'UTC')), ('sensor', pa.string()), ('value', pa.string())]))",
            "",
            "column `value` of the table in lake/table is of type string, and the records have numbers (f64)",
        ),
        (
            "DeltaTable.create(path, schema=GIVEN, pa.field('plant', pa.string(), False)]))",
            "",
            "column `plant` of the table in lake/table must not be null",
        ),
        (
            "DeltaTable.create(path, schema=GIVEN]), partition_by=['sensor'])",
            "partition_by = ['day']",
            "is partitioned by sensor, and `partition_by` says day",
        ),
        (
            "DeltaTable.create(path, schema=GIVEN, ('day', pa.date32())]), partition_by=['day'])",
            "",
            "is partitioned by `day`, which the records do not have",
        ),
        (
            "DeltaTable.create(path, schema=GIVEN])).alter.add_constraint({'cold': 'value < 5'})",
            "",
            "checkConstraints",
        ),
        ("", "create = true\npartition_by = ['value']", "a table is not partitioned by numbers (f64)"),
        ("", "create = true\npartition_by = ['plant']", "`plant`, which is not a column that is written"),
        ("", "create = true\ncolumns = { value = 'T (°C)' }", "T (°C)"),
    ] {
        let job = job("", options, &format!("time,sensor,value\n{}", readings(0..10)));
        if !made.is_empty() {
            run_python(&job, &made.replace("GIVEN", GIVEN));
        }
        let said = job.start().wait().failure();
        assert!(said.contains(expected), "{made} {options}: {said}");
        if !options.contains("create") {
            let doctor = job.tidemill().args(["doctor", "pipeline.toml"]).output().expect("it runs");
            let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(doctor.contains(expected), "{made} {options}: {doctor}");
        }
    }
}

#[test]
fn a_table_of_others_takes_what_fits() {
    let columns = "types = { value = 'i64' }\ncolumns = ['time', 'sensor', 'value']";
    let job = job(columns, "", "time,sensor,value\n2026-01-01T00:00:00Z,a,7\n2026-01-01T00:00:01Z,b,-8\n");
    run_python(
        &job,
        "DeltaTable.create(path, schema=pa.schema([('note', pa.string()), ('Value', pa.int16()), ('sensor', pa.string()), ('time', pa.timestamp('us'))]), partition_by=['sensor'])",
    );
    job.start().wait().success();
    let rows = run_python(
        &job,
        "for row in DeltaTable(path).to_pyarrow_table().sort_by('sensor').to_pylist(): print(row['note'], row['Value'], row['sensor'], row['time'])",
    );
    assert_eq!(rows, "None 7 a 2026-01-01 00:00:00\nNone -8 b 2026-01-01 00:00:01\n");
    job.write("in.csv", "time,sensor,value\n2026-01-01T00:00:02Z,a,70000\n");
    let said = job.start_with(&["--state", "other"]).wait().failure();
    assert!(said.contains("does not fit column `Value` of the table, which is of type short"), "{said}");
    assert_eq!(Reader::DeltaRs.rows(&table(&job), &["sensor"]).len(), 2);
}

/// A run that follows `in.csv`.
fn followed(options: &str) -> (Job, Run) {
    let job = job("follow = true", options, &format!("time,sensor,value\n{}", readings(0..50)));
    let mut run = job.start();
    until("the first rows are there", || {
        assert!(run.is_running(), "{}", run.said());
        job.path("lake/table/_delta_log/00000000000000000001.json").exists()
    });
    (job, run)
}

fn append(job: &Job, numbers: std::ops::Range<usize>) {
    use std::io::Write as _;
    let file = std::fs::File::options().append(true).open(job.path("in.csv"));
    file.and_then(|mut file| file.write_all(readings(numbers).as_bytes())).expect("written");
}

#[test]
fn the_log_has_checkpoints_and_the_epochs_of_the_run() {
    let (job, run) = followed("create = true");
    let checkpoint = job.path("lake/table/_delta_log/_last_checkpoint");
    let mut next = 50;
    until("a checkpoint of the log is there", || {
        append(&job, next..next + 10);
        next += 10;
        checkpoint.exists()
    });
    run.kill();
    let run = job.start();
    until("all rows are there", || counts(&job) == (next, next));
    run.stop().success();
    assert_eq!(Reader::Spark.rows(&table(&job), &["value"]).len(), next);
    let said = run_python(
        &job,
        "import glob, json\nids = {json.loads(line)['txn']['appId'] for name in glob.glob(path + '/_delta_log/0*.json') for line in open(name) if '\"txn\"' in line}\nprint(len(ids), ids.pop().startswith('tidemill-'), bool(glob.glob(path + '/*.tmp')))",
    );
    assert_eq!(said, "1 True False\n");
}

#[test]
fn others_write_to_the_table_at_the_same_time() {
    let first = job("", "create = true", &format!("time,sensor,value\n{}", readings(0..20_000)));
    first.start().wait().success();
    let pipeline = first.read("pipeline.toml");
    let jobs: Vec<Job> = (1..4)
        .map(|at| {
            let job = Job::new(&pipeline.replace("lake/table", &table(&first)));
            job.write("in.csv", &format!("time,sensor,value\n{}", readings(20_000 * at..20_000 * (at + 1))));
            job
        })
        .collect();
    // Without a state folder, each batch is a commit.
    let runs: Vec<Run> = jobs.iter().map(|job| job.start_with(&[])).collect();
    let other = "for at in range(5): write_deltalake(path, pa.table({'time': pa.array([0], pa.timestamp('us', 'UTC')), 'sensor': ['x'], 'value': [-1.0 - at]}), mode='append')";
    run_python(&first, other);
    for run in runs {
        run.wait().success();
    }
    assert_eq!(counts(&first), (80_005, 80_005));
}

#[test]
fn a_table_that_is_changed_during_a_run_is_followed_or_ends_it() {
    let (job, run) = followed("create = true");
    // A column more is null.
    run_python(
        &job,
        "from deltalake.schema import Field, PrimitiveType\nDeltaTable(path).alter.add_columns([Field('plant', PrimitiveType('string'))])",
    );
    append(&job, 50..60);
    until("the rows are there", || counts(&job) == (60, 60));
    // Another type does not fit.
    run_python(
        &job,
        "write_deltalake(path, pa.table({'time': pa.array([0], pa.timestamp('us', 'UTC')), 'sensor': ['x'], 'value': ['text']}), mode='overwrite', schema_mode='overwrite')",
    );
    append(&job, 60..70);
    let said = run.wait().failure();
    assert!(said.contains("column `value` of the table in lake/table is of type string"), "{said}");
    // What was not delivered waits in the state folder.
    run_python(
        &job,
        "write_deltalake(path, pa.table({'time': pa.array([], pa.timestamp('us', 'UTC')), 'sensor': pa.array([], pa.string()), 'value': pa.array([], pa.float64())}), mode='overwrite', schema_mode='overwrite')",
    );
    job.start_with(&["--state", "state", "--finish"]).wait().success();
    assert_eq!(counts(&job), (10, 10));
}

#[test]
fn a_log_that_is_damaged_is_an_error() {
    let job = job("", "create = true", &format!("time,sensor,value\n{}", readings(0..10)));
    job.start().wait().success();
    std::fs::write(job.path("lake/table/_delta_log/00000000000000000000.json"), "{ no log").expect("written");
    let said = job.start_with(&["--state", "other"]).wait().failure();
    assert!(said.contains("lake/table: cannot read the log of the table"), "{said}");
    std::fs::remove_dir_all(job.path("lake/table")).expect("removed");
    std::fs::write(job.path("lake/table"), "a file").expect("written");
    let said = job.start_with(&["--state", "third"]).wait().failure();
    assert!(said.contains("lake/table"), "{said}");
}

#[test]
fn duckdb_reads_parquet_files_and_the_folders_of_rolling_ones() {
    let job = Job::new(&format!(
        "{CSV}[[sink]]\ntype = 'parquet'\npath = 'whole.parquet'\n[[sink]]\ntype = 'parquet'\npath = 'rolled/{{date}}/{{epoch}}.parquet'\nroll = {{ size = '1KiB' }}\n"
    ));
    job.write("in.csv", &format!("time,sensor,value\n{}", readings(0..1000)));
    job.start_with(&[]).wait().success();
    for place in ["whole.parquet", "rolled/**/*.parquet"] {
        let rows = Reader::Parquet.rows(&job.path(place).display().to_string(), &["time", "sensor", "value"]);
        assert_eq!(rows.len(), 1000, "{place}");
        assert_eq!(rows[0], r#"["2026-01-01T00:00:00+00:00", "s0", 0.0]"#, "{place}");
    }
}

#[test]
fn iceberg_takes_the_files_of_a_table_once() {
    let job = job("", "create = true", &format!("time,sensor,value\n{}", readings(0..100)));
    let catalog = format!("sqlite:///{}", job.path("catalog.db").display());
    let register = |job: &Job| {
        let mut command: Command = python();
        command.arg(script("examples/iceberg/register.py")).args([&*table(job), &*catalog, "plant.readings"]);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    job.start().wait().success();
    assert_eq!(register(&job), "1 files registered, 0 were there\n");
    job.write("in.csv", &format!("time,sensor,value\n{}", readings(100..200)));
    job.start_with(&["--state", "other"]).wait().success();
    assert_eq!(register(&job), "1 files registered, 1 were there\n");
    assert_eq!(register(&job), "0 files registered, 2 were there\n");
    let columns = ["time", "sensor", "value"];
    let rows = Reader::Iceberg.rows(&catalog, &columns);
    assert_eq!(rows, Reader::DeltaRs.rows(&table(&job), &columns));
    assert!(rows.len() == 200 && Path::new(&table(&job)).exists());
}
