//! A run whose input does not end.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{run, text, tidemill};

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(60);

/// The options of a source whose lines are those of [`at`].
pub(crate) const COLUMNS: &str =
    "header = false\nnames = ['t', 'sensor', 'v']\nmeasurements = ['v']\ntime = 't'\nsensor = 'sensor'";

/// A pipeline from `source` (lines of TOML) to standard output and a dead letter.
pub(crate) fn write(folder: &Path, source: &str) {
    let pipeline = format!(
        "[source]\ntype = 'csv'\n{source}\n[[stage]]\ntype = 'moving_average'\nwindow = 2\n\
         [[sink]]\ntype = 'csv'\npath = '-'\n[[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n"
    );
    std::fs::write(folder.join("p.toml"), pipeline).expect("written");
}

/// A run on its way.
pub(crate) struct Run {
    pub(crate) child: Child,
    pub(crate) output: BufReader<ChildStdout>,
}

impl Run {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::of(folder, &[&["run", "p.toml"], arguments].concat())
    }

    /// Any command that goes on.
    pub(crate) fn of(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = tidemill(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// The next line of its output, which comes while its input is still open.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }

    pub(crate) fn lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// Asks it to stop; the rest of its output, and what it says.
    pub(crate) fn stop(mut self) -> (String, String) {
        self.signal("-INT");
        let (mut rest, mut said) = (String::new(), String::new());
        self.output.read_to_string(&mut rest).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        assert!(self.child.wait().expect("an end").success(), "{said}");
        (rest, said)
    }
}

/// Tries again and again.
pub(crate) fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(start.elapsed() < LIMIT, "{what} in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody uses.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port()
}

pub(crate) fn connect(port: u16) -> TcpStream {
    patiently("connecting", || TcpStream::connect(("127.0.0.1", port)).ok())
}

/// A record as its line.
pub(crate) fn at(second: u32, sensor: &str, value: &str) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z,{sensor},{value}\n", second / 60, second % 60)
}

/// What was set aside.
pub(crate) fn dead(folder: &Path) -> Vec<serde_json::Value> {
    let letters = std::fs::read_to_string(folder.join("dead.jsonl")).expect("a dead letter");
    letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What is said of a source that cannot be run.
pub(crate) fn refused(folder: &Path, source: &str) -> String {
    write(folder, source);
    let output = run(folder, &["run", "p.toml"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    text(&output.stderr)
}
