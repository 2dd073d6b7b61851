//! Pipelines run by the command with all connectors.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::listener::lock;
use crate::process;

/// A longer wait for a run will not succeed.
const LIMIT: Duration = Duration::from_secs(120);

/// A pipeline in a temporary folder. Relative paths in it start there; its state is kept in `state`.
pub struct Job {
    folder: TempDir,
}

/// A run of a [`Job`]. Killed when dropped.
pub struct Run {
    child: Child,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
}

/// How a run has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub said: String,
}

impl Ended {
    /// What it wrote to standard error, after success.
    ///
    /// # Panics
    /// If it failed.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.said);
        self.said
    }

    /// What it wrote to standard error, after a failure that is no crash.
    ///
    /// # Panics
    /// If it succeeded, panicked, or was killed.
    pub fn failure(self) -> String {
        let code = self.status.code();
        assert!(code.is_some_and(|code| code != 0 && code != 101), "{}: {}", self.status, self.said);
        self.said
    }
}

/// What a run has written to standard error so far.
#[derive(Default)]
struct Said {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    text: String,
    is_whole: bool,
}

impl Job {
    /// A new folder with this pipeline.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn new(pipeline: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tidemill-job-").tempdir().expect("a folder");
        let job = Self { folder };
        job.write("pipeline.toml", pipeline);
        job
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into its folder.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("written");
    }

    /// The text of a file in its folder.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The command in its folder, for arguments.
    #[must_use]
    pub fn tidemill(&self) -> Command {
        let mut command = process::dependent(&tidemill(), "KILL", None);
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// Starts `run` with a state folder, checkpoints every 50 ms, and a report.
    #[must_use]
    pub fn start(&self) -> Run {
        self.start_with(&["--state", "state", "--checkpoint-every", "50ms", "--report", "report.json"])
    }

    /// Starts `run` with these options.
    #[must_use]
    pub fn start_with(&self, options: &[&str]) -> Run {
        let mut command = self.tidemill();
        command.args(["run", "pipeline.toml", "--progress", "never"]).args(options);
        Run::start(command)
    }

    /// Starts `run` as [`Job::start`] does, with these variables of the environment.
    #[must_use]
    pub fn start_in(&self, variables: &[(&str, &str)], options: &[&str]) -> Run {
        let mut command = self.tidemill();
        command.args([
            "run",
            "pipeline.toml",
            "--progress",
            "never",
            "--state",
            "state",
            "--checkpoint-every",
            "50ms",
        ]);
        command.args(options).envs(variables.iter().copied());
        Run::start(command)
    }

    /// Starts the command in its folder with these variables of the environment and these arguments.
    #[must_use]
    pub fn spawn(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = self.tidemill();
        command.args(arguments).envs(variables.iter().copied());
        Run::start(command)
    }

    /// The report of the last run that has ended.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.read("report.json")).expect("a report")
    }

    /// Runs another command in its folder, such as `["validate", "pipeline.toml"]`.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = self.tidemill();
        command.args(arguments);
        Run::start(command).wait()
    }
}

/// The command with all connectors: cargo builds it with the tests, into the folder above theirs.
fn tidemill() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this program");
    let found = test.ancestors().skip(1).map(|folder| folder.join("tidemill-all"));
    found.into_iter().find(|path| path.is_file()).expect("a test of the crate tidemill-acceptance")
}

impl Run {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let (command, child) = process::spawn(command);
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let said = Arc::new(Said::default());
        let to = Arc::clone(&said);
        // Ends with the process, which closes the pipe.
        let read = move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let mut text = lock(&to.text);
                text.text += &String::from_utf8_lossy(&line);
                text.text.push('\n');
                to.more.notify_all();
            }
            lock(&to.text).is_whole = true;
            to.more.notify_all();
        };
        let reader = Builder::new().name("stderr".into()).spawn(read).expect("a thread");
        Self { child, said, reader: Some(reader) }
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        lock(&self.said.text).text.clone()
    }

    /// Waits until it has written `text` to standard error.
    ///
    /// # Panics
    /// If it ends, or two minutes pass, before it does.
    pub fn wait_for(&self, text: &str) {
        let guard = lock(&self.said.text);
        let missing = |said: &mut Text| !said.is_whole && !said.text.contains(text);
        let (said, _) =
            self.said.more.wait_timeout_while(guard, LIMIT, missing).expect("no panic while it was locked");
        assert!(said.text.contains(text), "it does not say {text:?} but:\n{}", said.text);
    }

    /// Asks it to stop, as Ctrl-C does.
    pub fn interrupt(&self) {
        process::signal(&self.child, Signal::INT);
    }

    /// Lets it read its pipeline file again, or sends another signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    /// The bytes of memory that it occupies, without files (`RssAnon`).
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub fn kill(mut self) -> Ended {
        // An error: it has ended.
        drop(self.child.kill());
        self.ended()
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop(self) -> Ended {
        self.interrupt();
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within two minutes.
    pub fn wait(mut self) -> Ended {
        {
            let guard = lock(&self.said.text);
            let wait = self.said.more.wait_timeout_while(guard, LIMIT, |said| !said.is_whole);
            let (said, _) = wait.expect("no panic while it was locked");
            assert!(said.is_whole, "it does not end, and says:\n{}", said.text);
        }
        self.ended()
    }

    fn ended(&mut self) -> Ended {
        let status = self.child.wait().expect("an end");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reading thread");
        }
        Ended { status, said: self.said() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // An error: it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
