//! Recordings. Pieces come out whole, in their order and once; if some do not, that is said.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill::source::Recorder;
use tidemill::{Report, RunOptions};

use super::rig::{self, Bench, Outcome, mutated, refused};

const RECORDS: u64 = 200;

pub(crate) struct Recordings {
    folder: tempfile::TempDir,
    whole: Vec<u8>,
    /// The lines of a whole recording.
    right: Vec<String>,
}

pub(crate) fn bench() -> Recordings {
    let folder = tempfile::tempdir().expect("a folder");
    let mut recordings = Recordings { folder, whole: Vec::new(), right: Vec::new() };
    let line = |at: u64| format!("{at},s{},{}.5\n", at % 7, at * at % 97);
    rig::write(
        &recordings.path("in.csv"),
        "t,s,v\n".to_owned() + &(0..RECORDS).map(line).collect::<String>(),
    );
    let recorder = Recorder::create(&recordings.path("day.rec")).expect("a recording");
    let mut options = RunOptions::default();
    options.open.record = Some(recorder.clone());
    options.open.chunk_size = 200;
    recordings.run("in.csv", options, &mut StdRng::seed_from_u64(1)).expect("recorded");
    recorder.finish().expect("finished");
    recordings.whole = rig::bytes(&recordings.path("day.rec"));
    recordings.right = recordings.lines();
    assert_eq!(recordings.right.len() as u64, 1 + RECORDS);
    recordings
}

impl Recordings {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, input: &str, options: RunOptions, random: &mut StdRng) -> Result<Report, tidemill::Error> {
        let folder = self.folder.path().display();
        let toml = format!(
            "[source]\ntype = 'csv'\npath = '{folder}/{input}'\ntime = 't'\ntime_format = 's'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 1.0\n\
             [[sink]]\ntype = 'csv'\npath = '{folder}/out.csv'\n"
        );
        rig::write(&self.path("p.toml"), toml);
        rig::run(&self.path("p.toml"), options, random)
    }

    fn lines(&self) -> Vec<String> {
        let out = String::from_utf8(rig::bytes(&self.path("out.csv"))).expect("text");
        out.lines().map(str::to_owned).collect()
    }
}

impl Bench for Recordings {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        rig::write(&self.path("damaged.rec"), mutated(&self.whole, random));
        let report = match self.run("damaged.rec", RunOptions::default(), random) {
            Ok(report) => report,
            Err(error) => return refused(&error, "damaged.rec"),
        };
        let lines = self.lines();
        let mut right = self.right.iter();
        if !lines.iter().all(|line| right.any(|right| right == line)) {
            return Err(format!("{} lines came out that are not in the recording, or not so", lines.len()));
        }
        match report.missing {
            Some(_) => Ok(Outcome::Counted),
            None if lines == self.right => Ok(Outcome::Right),
            None => {
                Err(format!("{} of {} lines came out, and nothing is said", lines.len(), self.right.len()))
            }
        }
    }
}
