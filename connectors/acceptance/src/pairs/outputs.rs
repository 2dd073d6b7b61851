//! Where records go.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::Output;
use crate::lake::Reader;
use crate::listener::lock;
use crate::process::succeed;
use crate::{Kafka, Postgres};

/// A CSV file.
pub struct FileOutput(TempDir);

impl FileOutput {
    /// One that does not exist yet.
    ///
    /// # Panics
    /// If there can be no folder for it.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// The file; while the run is not finished, the hidden one that will take its name.
    fn file(&self) -> Option<PathBuf> {
        let file = self.0.path().join("out.csv");
        if file.exists() {
            return Some(file);
        }
        let files = std::fs::read_dir(self.0.path()).expect("a folder").flatten();
        files.map(|file| file.path()).find(|path| path.to_string_lossy().contains("out.csv.part-"))
    }
}

impl Default for FileOutput {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for FileOutput {
    fn sink(&self) -> String {
        format!("type = 'csv'\npath = '{}'", self.0.path().join("out.csv").display())
    }

    fn arrived(&self) -> Vec<u64> {
        let bytes = self.file().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        // The last line may be unfinished.
        let (lines, _) = text.rsplit_once('\n').unwrap_or_default();
        let cells = lines.lines().skip(1).filter_map(|line| line.rsplit(',').next());
        cells.map(|cell| cell.parse().expect("a number")).collect()
    }
}

/// A Delta Lake table.
pub struct DeltaOutput(TempDir);

impl DeltaOutput {
    /// One that does not exist yet.
    ///
    /// # Panics
    /// If there can be no folder for it.
    #[must_use]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn table(&self) -> PathBuf {
        self.0.path().join("readings")
    }
}

impl Default for DeltaOutput {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for DeltaOutput {
    fn sink(&self) -> String {
        format!("type = 'delta'\npath = '{}'\ncreate = true\npartition_by = ['day']", self.table().display())
    }

    fn arrived(&self) -> Vec<u64> {
        let table = self.table();
        if !table.join("_delta_log/00000000000000000000.json").exists() {
            return Vec::new();
        }
        let rows = Reader::DeltaRs.rows(&table.to_string_lossy(), &["n"]);
        let number = |row: &String| row.trim_matches(['[', ']']).parse::<f64>().expect("a number");
        rows.iter().map(|row| number(row) as u64).collect()
    }
}

/// A table of a PostgreSQL server of its own.
pub struct PostgresOutput(Mutex<Postgres>);

impl PostgresOutput {
    /// One that does not exist yet.
    ///
    /// # Panics
    /// If the server cannot be started.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Postgres::start()))
    }
}

impl Default for PostgresOutput {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for PostgresOutput {
    fn sink(&self) -> String {
        let url = lock(&self.0).url();
        format!("type = 'postgres'\nurl = '{url}'\ntable = 'readings'\ncreate = true")
    }

    fn arrived(&self) -> Vec<u64> {
        // An error: the table is not there yet.
        let numbers = lock(&self.0).try_sql("select n::bigint from readings").unwrap_or_default();
        numbers.lines().map(|number| number.parse().expect("a number")).collect()
    }

    fn restart(&self, pause: Duration) {
        let mut server = lock(&self.0);
        server.kill();
        std::thread::sleep(pause);
        server.start();
    }
}

/// The topic `out` of a Kafka broker, with two partitions.
pub struct KafkaOutput(Arc<Mutex<Kafka>>);

impl KafkaOutput {
    /// A topic of this broker.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn new(broker: Arc<Mutex<Kafka>>) -> Self {
        lock(&broker).create_topic("out", 2);
        Self(broker)
    }
}

impl Output for KafkaOutput {
    fn sink(&self) -> String {
        // Two kinds of kills restart this broker. With its circuit breaker, the sink would wait for minutes after them.
        let patience = "retry.cap = '2s'\nbreaker.calls = 1_000_000";
        let brokers = lock(&self.0).address();
        format!("type = 'kafka'\nbrokers = '{brokers}'\ntopic = 'out'\nformat = 'csv'\n{patience}")
    }

    fn arrived(&self) -> Vec<u64> {
        numbers_of(&lock(&self.0), "out")
    }

    fn faults(&self) -> Vec<String> {
        lock(&self.0).lost_ends("out")
    }

    fn restart(&self, pause: Duration) {
        let mut broker = lock(&self.0);
        broker.kill();
        std::thread::sleep(pause);
        broker.start();
    }
}

/// The numbers of the committed records of a topic.
pub(super) fn numbers_of(broker: &Kafka, topic: &str) -> Vec<u64> {
    let mut command = broker.kcat();
    command.args(["-C", "-q", "-t", topic, "-o", "beginning", "-e", "-X", "isolation.level=read_committed"]);
    let lines = String::from_utf8(succeed(&mut command)).expect("UTF-8");
    let cells = lines.lines().filter_map(|line| line.rsplit(',').next());
    cells.map(|cell| cell.parse().expect("a number")).collect()
}
