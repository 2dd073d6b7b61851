//! Parquet, as this crate writes it. Without checksums of pages a value may be another one unnoticed, but no record is lost.

use std::path::PathBuf;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill::{Report, RunOptions};

use super::rig::{self, Bench, Outcome, mutated, refused};

const RECORDS: u64 = 300;

pub(crate) struct Parquet {
    folder: tempfile::TempDir,
    whole: Vec<u8>,
}

pub(crate) fn bench() -> Parquet {
    let folder = tempfile::tempdir().expect("a folder");
    let mut parquet = Parquet { folder, whole: Vec::new() };
    let line = |at: u64| format!("{at},s{},{}.5,note {}\n", at % 7, at * at % 97, at % 13);
    let text = "t,s,v,note\n".to_owned() + &(0..RECORDS).map(line).collect::<String>();
    rig::write(&parquet.path("in.csv"), text);
    let mut random = StdRng::seed_from_u64(1);
    let more = "time = 't'\ntime_format = 's'\nsensor = 's'\nmeasurements = ['v']";
    parquet.run("csv", "in.csv", more, "parquet", "row_group = 64", &mut random).expect("written");
    parquet.whole = rig::bytes(&parquet.path("out.parquet"));
    assert!(parquet.whole.len() > 1000, "{} bytes", parquet.whole.len());
    parquet
}

impl Parquet {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(
        &self,
        source: &str,
        input: &str,
        more: &str,
        sink: &str,
        options: &str,
        random: &mut StdRng,
    ) -> Result<Report, tidemill::Error> {
        let folder = self.folder.path().display();
        let toml = format!(
            "[source]\ntype = '{source}'\npath = '{folder}/{input}'\nmax_rejects = 1.0\n{more}\n\
             [[sink]]\ntype = '{sink}'\npath = '{folder}/out.{sink}'\n{options}\n"
        );
        rig::write(&self.path("p.toml"), toml);
        rig::run(&self.path("p.toml"), RunOptions::default(), random)
    }
}

impl Bench for Parquet {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        rig::write(&self.path("damaged.parquet"), mutated(&self.whole, random));
        match self.run("parquet", "damaged.parquet", "time = 't'\nsensor = 's'", "csv", "", random) {
            Err(error) => refused(&error, "damaged.parquet"),
            Ok(report) if report.sources[0].ledger.input != RECORDS => {
                Err(format!("{} records came out, and {RECORDS} are in it", report.sources[0].ledger.input))
            }
            Ok(report) if report.sources[0].ledger.rejected > 0 => Ok(Outcome::Counted),
            Ok(_) => Ok(Outcome::Right),
        }
    }
}
