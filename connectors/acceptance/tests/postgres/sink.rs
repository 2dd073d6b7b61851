//! What the sink writes, as the server reads it back.

use tidemill_acceptance::{Job, Postgres};

use super::{doctor, from_file, job, readings, sink};

/// A file with columns of all types: values, nulls, ends of ranges.
const ALL: &str = "time,sensor,value,i,u,b,note\n\
    2026-01-01T00:00:00.123456789Z,a,20.5,-9223372036854775808,0,true,\"it's, \"\"quoted\"\"\"\n\
    1677-09-21T00:12:43.145224192Z,b,NaN,9223372036854775807,9223372036854775807,false,ü\n\
    2262-04-11T23:47:16.854775807Z,c,inf,,,,\n\
    2026-01-01T00:00:00Z,c,-inf,0,1,true,x\n\
    2026-01-01T00:00:01Z,c,1e-300,0,1,true,x\n\
    2026-01-01T00:00:02Z,c,-0.1,0,1,true,x\n";

fn all_types(postgres: &Postgres, options: &str) -> Job {
    let csv = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 'time'\nsensor = 'sensor'\n\
               types = { value = 'f64', i = 'i64', u = 'u64', b = 'bool' }\n";
    job(&format!("{csv}{}", sink(postgres, options)), ALL)
}

#[test]
fn a_table_is_created_and_has_every_value() {
    let postgres = Postgres::start();
    let job = all_types(&postgres, "table = 'readings'\ncreate = true");
    let said = job.start().wait().success();
    assert!(said.contains("3 times had nanoseconds"), "{said}");
    let types = postgres.sql(
        "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) \
         FROM pg_attribute WHERE attrelid = 'readings'::regclass AND attnum > 0",
    );
    assert_eq!(
        types.trim(),
        "time timestamp with time zone, sensor text, value double precision, i bigint, u bigint, b boolean, note text"
    );
    let rows = postgres.sql("SET timezone = 'UTC'; SELECT * FROM readings ORDER BY sensor, time");
    let expected = [
        "2026-01-01 00:00:00.123456+00|a|20.5|-9223372036854775808|0|t|it's, \"quoted\"",
        "1677-09-21 00:12:43.145224+00|b|NaN|9223372036854775807|9223372036854775807|f|ü",
        "2026-01-01 00:00:00+00|c|-Infinity|0|1|t|x",
        "2026-01-01 00:00:01+00|c|1e-300|0|1|t|x",
        "2026-01-01 00:00:02+00|c|-0.1|0|1|t|x",
        "2262-04-11 23:47:16.854775+00|c|Infinity||||",
    ];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn tables_of_other_types_have_the_same_values() {
    let postgres = Postgres::start();
    postgres.sql(
        "CREATE SCHEMA plant; CREATE TYPE state AS ENUM ('a', 'b', 'c'); CREATE DOMAIN amount AS numeric; \
         CREATE TABLE plant.\"Readings\" (note jsonb, b smallint, u numeric, i numeric(30), value amount, sensor state, \
         id serial PRIMARY KEY, at bigint, source text DEFAULT 'file')",
    );
    let options = "table = 'plant.Readings'\ncolumns = { time = 'at' }\nomit = ['note']";
    all_types(&postgres, options).start().wait().success();
    let rows =
        postgres.sql("SELECT id, at, sensor, value, i, u, b, source FROM plant.\"Readings\" ORDER BY id");
    let expected = [
        "1|1767225600123456789|a|20.5|-9223372036854775808|0|1|file",
        "2|-9223372036854775808|b|NaN|9223372036854775807|9223372036854775807|0|file",
        "3|9223372036854775807|c|Infinity||||file",
        "4|1767225600000000000|c|-Infinity|0|1|1|file",
    ];
    assert_eq!(rows.lines().take(4).collect::<Vec<_>>(), expected);
    let exact = format!("0.{}1", "0".repeat(299));
    assert!(rows.lines().any(|line| line.split('|').nth(3) == Some(&exact)), "{rows}");
    assert!(rows.contains("|-0.1|"), "{rows}");
}

#[test]
fn rows_with_a_key_replace_each_other_and_the_last_one_wins() {
    let postgres = Postgres::start();
    let options = "table = 'latest'\ncreate = true\nkey = ['sensor']\nomit = ['time']";
    for (count, expected) in [(700, 693), (1400, 1393)] {
        // Each run is a new one, and writes all of its records.
        let job = job(&from_file(&postgres, options), &readings(count));
        job.start().wait().success();
        let rows = postgres.sql("SELECT count(*), min(value) FROM latest");
        assert_eq!(rows.trim(), format!("7|{expected}"));
    }
    let both = "table = 'latest_of_each'\ncreate = true\nkey = ['time', 'sensor']";
    let csv = "time,sensor,value\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:00:00Z,b,2\n2026-01-01T00:00:00Z,a,3\n2026-01-01T00:00:01Z,a,4\n";
    for _ in 0..2 {
        job(&from_file(&postgres, both), csv).start().wait().success();
        let rows = postgres.sql("SELECT sensor, value FROM latest_of_each ORDER BY value");
        assert_eq!(rows.lines().collect::<Vec<_>>(), ["b|2", "a|3", "a|4"]);
    }
}

#[test]
fn texts_that_the_database_does_not_take_do_not_stop_a_run() {
    let postgres = Postgres::start();
    let job = job(
        &from_file(&postgres, "table = 't'\ncreate = true"),
        "time,sensor,value,note\n2026-01-01T00:00:00Z,a\0b,1,x\0y\n",
    );
    let said = job.start().wait().success();
    assert!(said.contains("2 texts had characters"), "{said}");
    assert_eq!(postgres.sql("SELECT sensor, note FROM t").trim(), "a\u{fffd}b|x\u{fffd}y");
}

#[test]
fn without_a_state_folder_rows_are_written_and_nothing_else_is_left() {
    let postgres = Postgres::start();
    let job = job(&from_file(&postgres, "table = 't'\ncreate = true"), &readings(1000));
    let said = job.start_with(&[]).wait().success();
    assert!(said.contains("delivered without checkpoints"), "{said}");
    assert_eq!(postgres.sql("SELECT count(*) FROM t").trim(), "1000");
    assert_eq!(postgres.sql("SELECT count(*) FROM tidemill_epochs").trim(), "0");
}

#[test]
fn doctor_finds_what_is_wrong_and_changes_nothing() {
    let postgres = Postgres::start();
    let job = job(&from_file(&postgres, "table = 't'\ncreate = true"), &readings(10));
    let (is_fine, said) = doctor(&job);
    assert!(is_fine && said.contains("a run creates it"), "{said}");
    assert_eq!(
        postgres.sql("SELECT count(*) FROM pg_class WHERE relname IN ('t', 'tidemill_epochs')").trim(),
        "0"
    );
    postgres.sql("CREATE TABLE t (time timestamptz, sensor text)");
    let (is_fine, said) = doctor(&job);
    assert!(!is_fine && said.contains("no column `value`"), "{said}");
}

#[test]
fn doctor_finds_rights_that_a_run_would_lack() {
    let postgres = Postgres::start();
    postgres.sql(
        "CREATE ROLE writer LOGIN; CREATE SCHEMA plant; GRANT USAGE ON SCHEMA plant TO writer; \
         REVOKE TEMP ON DATABASE postgres FROM PUBLIC; \
         CREATE TABLE plant.t (time timestamptz NOT NULL, sensor text NOT NULL, value float8, UNIQUE (time, sensor)); \
         GRANT SELECT, INSERT, UPDATE ON plant.t TO writer",
    );
    let of = |options: &str| {
        let pipeline = from_file(&postgres, options).replace("//postgres@", "//writer@");
        doctor(&job(&pipeline, &readings(10)))
    };
    let (is_fine, said) = of("table = 'plant.new'\ncreate = true");
    assert!(!is_fine && said.contains("may not create tables in the schema \"plant\""), "{said}");
    let (is_fine, said) = of("table = 'plant.t'");
    assert!(!is_fine && said.contains("CREATE TABLE IF NOT EXISTS \"plant\".\"tidemill_epochs\""), "{said}");
    postgres.sql("CREATE TABLE plant.tidemill_epochs (writer text PRIMARY KEY, epoch bigint NOT NULL)");
    let (is_fine, said) = of("table = 'plant.t'");
    assert!(!is_fine && said.contains("may not use \"plant\".\"tidemill_epochs\""), "{said}");
    postgres.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON plant.tidemill_epochs TO writer");
    let (is_fine, said) = of("table = 'plant.t'");
    assert!(is_fine, "{said}");
    let (is_fine, said) = of("table = 'plant.t'\nkey = ['time', 'sensor']");
    assert!(!is_fine && said.contains("may not create temporary tables"), "{said}");
}
