//! Alerts hold nobody up, and those who take them end with the run.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::command::{folder, run, text, tidemill};
use super::ongoing::{COLUMNS, Run, at, patiently};

/// Records of which each raises an alert or clears one.
const RECORDS: u32 = 3000;

/// A pipeline from a pipe to standard output and to alerts.
fn write(folder: &Path, alerts: &str) {
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '-'\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = '-'\n\
         [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\n{alerts}\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

fn records() -> String {
    (0..RECORDS).map(|n| at(n, "a", if n % 2 == 0 { "1" } else { "-1" })).collect()
}

/// Whether the process whose id is in the file is there.
fn is_there(folder: &Path) -> bool {
    let id = patiently("waiting for the command", || {
        std::fs::read_to_string(folder.join("id")).ok().filter(|id| id.ends_with('\n'))
    });
    let status = Command::new("kill").args(["-0", id.trim()]).stderr(Stdio::null()).status();
    status.expect("`kill` runs").success()
}

/// Takes nothing, and does not end by itself.
const DEAF: &str = "command = ['sh', '-c', 'echo $$ >id; exec sleep 1000']";

#[test]
fn a_command_that_does_not_read_stops_nobody_and_ends_with_the_run() {
    let folder = folder();
    write(folder.path(), DEAF);
    let mut live = Run::start(folder.path(), &[]);
    let mut input = live.child.stdin.take().expect("piped");
    let records = records();
    let feeding = std::thread::Builder::new().spawn(move || {
        input.write_all(records.as_bytes()).expect("taken");
        input
    });
    assert_eq!(live.lines(1 + RECORDS as usize).len(), 1 + RECORDS as usize);
    let input = feeding.expect("a thread").join().expect("no panic");
    assert!(is_there(folder.path()));
    let (_, said) = live.stop();
    assert!(said.contains(" alerts were dropped because the command `sh -c"), "{said}");
    assert!(said.contains("did not end in time and was killed"), "{said}");
    assert!(!is_there(folder.path()));
    drop(input);
}

#[test]
fn a_second_interrupt_ends_the_command_too() {
    let folder = folder();
    write(folder.path(), DEAF);
    let mut live = Run::start(folder.path(), &[]);
    assert_eq!(live.line(), "t,sensor,v");
    assert!(is_there(folder.path()));
    live.signal("-INT");
    let mut said = BufReader::new(live.child.stderr.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("readable");
    assert!(line.contains("stopping"), "{line}");
    live.signal("-INT");
    live.child.wait().expect("an end");
    patiently("waiting for the command to be gone", || (!is_there(folder.path())).then_some(()));
}

#[test]
fn what_a_command_says_is_no_output_of_the_run() {
    let folder = folder();
    write(folder.path(), "command = ['cat']");
    std::fs::write(folder.path().join("in.csv"), records()).expect("written");
    let output = run(folder.path(), &["run", "p.toml", "--set", "source.path=in.csv"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1 + RECORDS as usize);
    assert!(text(&output.stdout).lines().skip(1).all(|line| line.starts_with("2026")));
    let alerts = text(&output.stderr).lines().filter(|line| line.starts_with("{\"state\"")).count();
    assert_eq!(alerts, RECORDS as usize);
}

#[test]
fn a_log_that_nobody_can_write_to_ends_no_run() {
    let folder = folder();
    write(folder.path(), "");
    std::fs::write(folder.path().join("in.csv"), records()).expect("written");
    let arguments = ["run", "p.toml", "--set", "source.path=in.csv"];
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a device that is full");
    let run = tidemill(folder.path()).args(arguments).stdout(Stdio::piped()).stderr(full).spawn();
    let output = run.expect("started").wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(text(&output.stdout).lines().count(), 1 + RECORDS as usize);
    let closed = ["-c", "exec \"$@\" 2>&-", "sh", env!("CARGO_BIN_EXE_tidemill")];
    let output = Command::new("sh").args(closed).args(arguments).current_dir(folder.path()).output();
    let output = output.expect("`sh` runs");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(text(&output.stdout).lines().count(), 1 + RECORDS as usize);
}

#[test]
fn a_name_that_is_no_text_is_followed_and_gone_on_with() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let file = data.join(OsStr::from_bytes(b"caf\xe9.csv"));
    std::fs::write(&file, at(0, "a", "1")).expect("written");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = 'data'\nfollow = true\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = '-'\n"
    );
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let arguments = ["--state", "state", "--checkpoint-every", "1ms"];
    let mut live = Run::start(folder.path(), &arguments);
    assert_eq!(live.lines(2)[1], "2026-01-01T00:00:00Z,a,1");
    live.stop();
    let mut more = OpenOptions::new().append(true).open(&file).expect("opened");
    more.write_all(at(1, "a", "2").as_bytes()).expect("written");
    let mut live = Run::start(folder.path(), &arguments);
    assert_eq!(live.lines(2)[1], "2026-01-01T00:00:01Z,a,2");
    live.stop();
}
