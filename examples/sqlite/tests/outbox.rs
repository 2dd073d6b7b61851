//! What a run could not deliver is shown, checked and delivered, without its input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

const RECORDS: usize = 5000;

/// A longer wait will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill-example-sqlite"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn database(path: &Path) -> Connection {
    let database = Connection::open(path).expect("a database");
    let tables = "CREATE TABLE readings (t, s, v, n);
         CREATE TABLE tidemill_epochs (writer TEXT PRIMARY KEY, epoch INTEGER NOT NULL);";
    database.execute_batch(tables).expect("made");
    database
}

fn numbers(database: &Connection) -> Vec<i64> {
    let mut rows = database.prepare("SELECT n FROM readings ORDER BY rowid").expect("a table");
    let numbers = rows.query_map([], |row| row.get(0)).expect("rows");
    numbers.collect::<Result<_, _>>().expect("numbers")
}

fn outbox_files(folder: &Path) -> Vec<PathBuf> {
    let paths =
        std::fs::read_dir(folder.join("state")).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().contains("/outbox-")).collect()
}

fn prepare(folder: &Path, more: &str) {
    let line =
        |at: usize| format!("2026-01-01T{:02}:{:02}:00Z,m{},1.5,{at}\n", at / 60 % 24, at % 60, at % 7);
    let lines: String = (0..RECORDS).map(line).collect();
    std::fs::write(folder.join("in.csv"), format!("t,s,v,n\n{lines}")).expect("written");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\ntypes = {{ n = 'u64' }}\n{more}\
         [[sink]]\ntype = 'own_sqlite'\npath = 'out.db'\ntable = 'readings'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

/// Runs until everything waits in the outbox, and kills the run. The database is held by somebody else meanwhile.
fn until_it_waits(folder: &Path) {
    let arguments = ["run", "p.toml", "--state", "state", "--checkpoint-every", "10ms"];
    let mut killed = command(folder, &arguments).stderr(Stdio::null()).spawn().expect("started");
    let begun = Instant::now();
    let records = || {
        let inspected = run(folder, &["outbox", "inspect", "state", "--json"]);
        let all: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap_or_default();
        all[0]["records"].as_u64().unwrap_or(0)
    };
    while records() < RECORDS as u64 {
        assert!(begun.elapsed() < LIMIT, "{} records wait", records());
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().expect("killed");
    killed.wait().expect("an end");
}

#[test]
fn what_waits_is_shown_and_checked_and_delivered_without_the_input() {
    // Over bounded input the run was complete, but for the delivery; over a growing file it was not.
    for (more, goes_on) in [("", false), ("follow = true\n", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        prepare(folder, more);
        let held = database(&folder.join("out.db"));
        held.execute_batch("BEGIN IMMEDIATE").expect("held");
        until_it_waits(folder);

        let shown = said(&run(folder, &["outbox", "inspect", "state"]));
        assert!(shown.contains("sink 0 (own_sqlite)") && shown.contains("5,000"), "{shown}");
        let verified = run(folder, &["outbox", "verify", "state"]);
        assert!(verified.status.success() && said(&verified).contains("intact"), "{}", said(&verified));

        let file = outbox_files(folder).pop().expect("a file");
        let one = run(folder, &["outbox", "verify", &file.display().to_string()]);
        assert!(one.status.success() && said(&one).contains("intact"), "{}", said(&one));
        let mut bytes = std::fs::read(&file).expect("read");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(folder.join("damaged"), &bytes).expect("written");
        let damaged = run(folder, &["outbox", "verify", "damaged"]);
        assert!(
            damaged.status.code() == Some(65) && said(&damaged).contains("damaged"),
            "{}",
            said(&damaged)
        );

        // Nobody needs the input for that.
        std::fs::rename(folder.join("in.csv"), folder.join("away.csv")).expect("moved");
        held.execute_batch("COMMIT").expect("let go");
        let delivered = run(folder, &["outbox", "deliver", "p.toml", "--state", "state"]);
        assert!(delivered.status.success(), "{}", said(&delivered));
        assert!(said(&delivered).contains("delivered the rows of"), "{}", said(&delivered));
        assert!(numbers(&held).into_iter().eq(0..RECORDS as i64), "each record once, in order");
        let shown = said(&run(folder, &["outbox", "inspect", "state"]));
        assert!(shown.contains("everything is delivered"), "{shown}");

        // The run goes on where it was.
        std::fs::rename(folder.join("away.csv"), folder.join("in.csv")).expect("moved back");
        let finish = if goes_on { &["--finish"][..] } else { &[] };
        let ended = run(folder, &[&["run", "p.toml", "--state", "state"], finish].concat());
        assert!(ended.status.success(), "{}", said(&ended));
        assert!(numbers(&held).into_iter().eq(0..RECORDS as i64), "each record once, in order");
    }
}

#[test]
fn a_folder_without_a_checkpoint_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for verb in ["inspect", "verify"] {
        let output = run(folder.path(), &["outbox", verb, "."]);
        assert!(
            output.status.code() == Some(69) && said(&output).contains("no checkpoint"),
            "{}",
            said(&output)
        );
    }
}
