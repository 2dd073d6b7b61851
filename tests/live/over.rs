//! Runs over a feed that are over, and are called again.

use std::io::{Read, Write};
use std::process::Stdio;

use super::command::{folder, run, text, tidemill};
use super::ongoing::{COLUMNS, at};

#[test]
fn a_feed_that_is_over_takes_nothing_more_and_can_be_finished_twice() {
    let folder = folder();
    let pipeline =
        format!("[source]\ntype = 'csv'\npath = '-'\n{COLUMNS}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let piped = |input: &str| {
        let mut command = tidemill(folder.path());
        command.args(["run", "p.toml", "--state", "state"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command runs");
        // It may have ended by then.
        let _taken = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        (child.wait().expect("an end").code(), said)
    };
    let (code, said) = piped(&at(0, "a", "1"));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = piped(&at(1, "a", "2"));
    assert!(code == Some(78) && said.contains("has ended with its input"), "{said}");
    // Nothing is read then: whoever was killed at the very end may ask once more.
    let again = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(
        again.status.success() && text(&again.stderr).contains("already ended"),
        "{}",
        text(&again.stderr)
    );
    let out = std::fs::read_to_string(folder.path().join("out.csv")).expect("an output");
    assert_eq!(out.lines().count(), 2);
    std::fs::remove_file(folder.path().join("out.csv")).expect("removed");
    let gone = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(text(&gone.stderr).contains("does not exist"), "{}", text(&gone.stderr));
}
