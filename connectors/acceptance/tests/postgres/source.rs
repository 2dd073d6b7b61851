//! What the source reads.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use tidemill_acceptance::{Job, Postgres, Run};

use super::{sink, source, until};

const CSV: &str = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

/// Somebody else with a connection of their own.
struct Other {
    psql: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Other {
    fn new(postgres: &Postgres) -> Self {
        let mut psql = postgres.psql();
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql runs");
        let stdout = BufReader::new(psql.stdout.take().expect("a pipe"));
        Self { stdin: psql.stdin.take(), psql, stdout }
    }

    fn run(&mut self, statements: &str) {
        let stdin = self.stdin.as_mut().expect("a pipe");
        stdin.write_all(format!("{statements}\n").as_bytes()).expect("written");
    }

    /// The first line of what `statements` select.
    fn ask(&mut self, statements: &str) -> String {
        self.run(statements);
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    fn end_with(mut self, statements: &str) {
        self.run(statements);
        self.stdin = None;
        assert!(self.psql.wait().expect("an end").success());
    }
}

/// A job that copies new rows of the table `t` into the table `out`, which exists once this returns.
fn copying(postgres: &Postgres, options: &str) -> (Job, Run) {
    let options = format!("table = 't'\ncursor = 'id'\nevery = '20ms'\nsensor = 'sensor'\n{options}");
    let job = Job::new(&format!(
        "{}{}",
        source(postgres, &options),
        sink(postgres, "table = 'out'\ncreate = true")
    ));
    let run = job.start();
    until("the table", || postgres.sql("SELECT to_regclass('out') IS NOT NULL").trim() == "t");
    (job, run)
}

#[test]
fn columns_keep_their_types() {
    let postgres = Postgres::start();
    postgres.sql(
        "CREATE TABLE t (id int, at timestamptz, sensor varchar(9), d float8, r real, n numeric(9, 3), b boolean, big bigint, u uuid, local timestamp, day date, j jsonb, many int[]); \
         INSERT INTO t VALUES (1, '2026-01-01 01:00:00.123456+01', 'a', 0.1, 0.1, 1234.5, true, 9007199254740993, \
         '00000000-0000-0000-0000-00000000002a', '2026-01-01 12:00', '2026-01-02', '{\"k\": 1}', '{1,2}'), \
         (2, '2026-01-01', 'b', 'NaN', 'Infinity', NULL, false, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    let job = Job::new(&format!(
        "{}{CSV}",
        source(&postgres, "table = 't'\ncursor = 'id'\ntime = 'at'\nsensor = 'sensor'")
    ));
    job.start().wait().success();
    let expected = "id,at,sensor,d,r,n,b,big,u,local,day,j,many\n\
        1,2026-01-01T00:00:00.123456Z,a,0.1,0.10000000149011612,1234.5,true,9007199254740993,00000000-0000-0000-0000-00000000002a,2026-01-01T12:00:00,2026-01-02,\"{\"\"k\"\": 1}\",\"{1,2}\"\n\
        2,2026-01-01T00:00:00Z,b,NaN,inf,,false,,,,,,\n";
    assert_eq!(job.read("out.csv"), expected);
}

#[test]
fn a_query_is_read_with_its_own_names_and_order() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE m (id int, v float8); INSERT INTO m SELECT n, n / 2.0 FROM generate_series(1, 100000) n; CREATE TABLE s (id int, name text); INSERT INTO s SELECT n, 's' || n % 3 FROM generate_series(1, 100000) n");
    let query = "query = 'SELECT s.name AS sensor, m.v AS value, m.id FROM m JOIN s USING (id) -- all of them'\ncursor = 'id'\nafter = '10'\nsensor = 'sensor'";
    let job = Job::new(&format!("{}{CSV}", source(&postgres, query)));
    job.start().wait().success();
    let out = job.read("out.csv");
    assert_eq!(out.lines().count(), 99_991);
    assert_eq!(out.lines().nth(1), Some("s2,5.5,11"));
    assert_eq!(out.lines().last(), Some("s1,50000,100000"));
    // Without an order there is no position.
    let unordered = Job::new(&format!("{}{CSV}", source(&postgres, "table = 'm'\nsensor_name = 'm'")));
    unordered.start_with(&[]).wait().success();
    assert_eq!(unordered.read("out.csv").lines().count(), 100_001);
    let said = unordered.start().wait().failure();
    assert!(said.contains("set `cursor`"), "{said}");
}

#[test]
fn new_rows_are_read_as_they_come_also_those_of_the_last_value() {
    let mut postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (at timestamptz, sensor text, value float8); CREATE INDEX ON t (at)");
    let pipeline = format!(
        "{}{}",
        source(&postgres, "table = 't'\ncursor = 'at'\nevery = '50ms'\ntime = 'at'\nsensor = 'sensor'"),
        sink(&postgres, "table = 'out'\ncreate = true")
    );
    let job = Job::new(&pipeline);
    let count = |postgres: &Postgres| postgres.sql("SELECT count(*) FROM out").trim().to_owned();
    let insert = |postgres: &Postgres, value: u32| {
        postgres.sql(&format!("INSERT INTO t SELECT '2026-01-01', 's', {value} FROM generate_series(1, 2)"));
    };
    let run = job.start();
    until("the table", || postgres.sql("SELECT to_regclass('out') IS NOT NULL").trim() == "t");
    for round in 1..4 {
        insert(&postgres, round);
        until("new rows", || count(&postgres) == (2 * round).to_string());
    }
    // The server comes back with all it had, and the source with the position that it had.
    postgres.restart();
    insert(&postgres, 4);
    until("rows after a restart of the server", || count(&postgres) == "8");
    run.kill();
    insert(&postgres, 5);
    let run = job.start();
    until("rows after a kill", || count(&postgres) == "10");
    run.stop().success();
    assert_eq!(
        postgres.sql("SELECT string_agg(value::text, ' ' ORDER BY value) FROM out").trim(),
        "1 1 2 2 3 3 4 4 5 5"
    );
}

#[test]
fn rows_of_transactions_that_commit_late_are_not_missed() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (id serial PRIMARY KEY, sensor text)");
    let (_job, run) = copying(&postgres, "");
    // A transaction that has only taken a serial number has no number itself.
    let (mut wrote, mut took) = (Other::new(&postgres), Other::new(&postgres));
    assert_eq!(wrote.ask("BEGIN; INSERT INTO t (sensor) VALUES ('wrote') RETURNING id;"), "1");
    assert_eq!(took.ask("BEGIN; SELECT nextval('t_id_seq');"), "2");
    postgres.sql("INSERT INTO t (sensor) VALUES ('early')");
    for (late, statements) in [(wrote, "COMMIT;"), (took, "INSERT INTO t VALUES (2, 'took'); COMMIT;")] {
        // Long enough for many looks.
        std::thread::sleep(Duration::from_millis(500));
        late.end_with(statements);
    }
    until("all rows", || postgres.sql("SELECT count(*) FROM out").trim() == "3");
    run.stop().success();
    let out = postgres.sql("SELECT string_agg(sensor, ' ' ORDER BY id) FROM out");
    assert_eq!(out.trim(), "wrote took early");
}

#[test]
fn a_transaction_that_does_not_end_holds_rows_up_for_a_while_only() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (id serial PRIMARY KEY, sensor text)");
    let mut idle = Other::new(&postgres);
    assert_eq!(idle.ask("BEGIN; SELECT 7;"), "7");
    let (_job, run) = copying(&postgres, "settle = '300ms'");
    postgres.sql("INSERT INTO t (sensor) VALUES ('a'), ('b')");
    until("both rows", || postgres.sql("SELECT count(*) FROM out").trim() == "2");
    let said = run.stop().success();
    assert!(said.contains("2 rows were read while transactions that were older had not ended"), "{said}");
    idle.end_with("COMMIT;");
}

#[test]
fn columns_that_change_during_a_run_are_never_misread() {
    let postgres = Postgres::start();
    for (before, value, after) in [
        ("float8", "20", "bigint"),
        ("bigint", "20", "float8"),
        ("timestamptz", "'2026-01-01'", "timestamp"),
        ("integer", "20", "text"),
    ] {
        postgres.sql(&format!(
            "DROP TABLE IF EXISTS t, out; CREATE TABLE t (id serial, sensor text, value {before}); \
             INSERT INTO t (sensor, value) VALUES ('a', {value})"
        ));
        let (job, run) = copying(&postgres, "");
        until("the first row", || postgres.sql("SELECT count(*) FROM out").trim() == "1");
        postgres.sql(&format!("ALTER TABLE t ALTER value TYPE {after}"));
        postgres.sql(&format!("INSERT INTO t (sensor, value) VALUES ('b', {value})"));
        for said in [run.wait().failure(), job.start().wait().failure()] {
            assert!(said.contains("column `value` of `t` was read as"), "{before}: {said}");
        }
        // With the former type the run goes on where it was.
        postgres.sql(&format!("ALTER TABLE t ALTER value TYPE {before} USING value::{before}"));
        let run = job.start();
        until("both rows", || postgres.sql("SELECT count(*) FROM out").trim() == "2");
        run.stop().success();
        assert_eq!(postgres.sql("SELECT count(DISTINCT value) FROM out").trim(), "1");
    }
}

#[test]
fn columns_that_come_during_a_run_are_left_out_and_those_that_go_end_it() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (id serial, sensor text, value float8)");
    let (_job, run) = copying(&postgres, "");
    postgres.sql("ALTER TABLE t ADD COLUMN note text; INSERT INTO t (sensor, value) VALUES ('a', 1)");
    until("the row", || postgres.sql("SELECT count(*) FROM out").trim() == "1");
    let said = run.stop().success();
    assert!(said.contains("has got columns since the run began, which are not read: note"), "{said}");
    postgres.sql("DROP TABLE out");
    let (_job, run) = copying(&postgres, "");
    postgres.sql("ALTER TABLE t DROP COLUMN value; INSERT INTO t (sensor) VALUES ('a')");
    let said = run.wait().failure();
    assert!(said.contains("column `value` of `t` does not exist any more"), "{said}");
    postgres.sql("DROP TABLE out");
    let (_job, run) = copying(&postgres, "");
    postgres.sql("DROP TABLE t");
    let said = run.wait().failure();
    assert!(said.contains("relation \"t\" does not exist"), "{said}");
}

#[test]
fn a_source_that_waits_for_its_server_begins_when_it_is_there() {
    let mut postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (id serial, sensor text, value float8); INSERT INTO t (sensor, value) VALUES ('a', 1)");
    postgres.kill();
    let live = "table = 't'\ncursor = 'id'\nevery = '50ms'\nsensor = 'sensor'\n";
    let rolled = "[[sink]]\ntype = 'console'\n";
    let run = Job::new(&format!("{}{rolled}", source(&postgres, live)));
    let run = run.start_with(&["--report", "report.json"]);
    let bounded = live.replace("every = '50ms'\n", "");
    let said = Job::new(&format!("{}{CSV}", source(&postgres, &bounded))).start().wait().failure();
    assert!(said.contains("cannot connect") && said.contains("refused"), "{said}");
    postgres.start();
    until("a reader", || {
        postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidemill'").trim()
            == "1"
    });
    run.stop().success();
}

#[test]
fn what_is_wrong_is_an_error_before_the_run() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE t (id serial, sensor text, value float8)");
    for (options, expected) in [
        ("table = 'none'", "relation \"none\" does not exist"),
        ("query = 'SELEC 1'", "syntax error"),
        ("table = 't'\ncursor = 'none'\nsensor = 'sensor'", "`cursor` names `none`"),
        ("table = 't'\nsensor = 'none'", "none"),
        ("query = 'INSERT INTO t VALUES (1) RETURNING *'\nsensor = 'sensor'", "syntax error"),
    ] {
        let said = Job::new(&format!("{}{CSV}", source(&postgres, options))).start_with(&[]).wait().failure();
        assert!(said.contains(expected), "{options}: {said}");
    }
    let writes = "query = \"SELECT nextval('t_id_seq') AS value\"\nsensor_name = 's'";
    let said = Job::new(&format!("{}{CSV}", source(&postgres, writes))).start_with(&[]).wait().failure();
    assert!(said.contains("read-only transaction"), "{said}");
}
