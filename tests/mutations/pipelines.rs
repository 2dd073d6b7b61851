//! Pipeline files. One that is refused is named, with what is wrong; one that is still a pipeline is run, unless it would touch other files.

use std::path::PathBuf;

use rand::RngExt;
use rand::rngs::StdRng;
use tidemill::RunOptions;
use tidemill::pipeline::Spec;

use super::rig::{self, Bench, Outcome, mutated, refused};

pub(crate) struct Pipelines {
    folder: tempfile::TempDir,
    text: String,
}

pub(crate) fn bench() -> Pipelines {
    let folder = tempfile::tempdir().expect("a folder");
    let pipelines = Pipelines { text: text(&folder.path().display().to_string()), folder };
    let line = |at: u64| format!("{at},s{},{}.5,{}\n", at % 7, at * at % 97, at % 13);
    rig::write(&pipelines.path("in.csv"), "t,s,v,w\n".to_owned() + &(0..100).map(line).collect::<String>());
    pipelines
}

fn text(folder: &str) -> String {
    format!(
        r#"# What a plant gives.
[source]
type = "csv"
path = "{folder}/in.csv"
time = "t"
time_format = "s"
sensor = "s"
measurements = ["v", "w"]
null_values = ["", "NA"]
order = "time"
disorder = "5s"
max_rejects = 0.5

[[stage]]
type = "threshold"
min = -40.0
max = 150.0
sensors."s1*" = {{ min = 10.0 }}
columns."v" = {{ max = 90.0 }}

[[stage]]
type = "moving_average"
window = "20s"
min_samples = 2
count = true

[[stage]]
type = "aggregate"
every = "10s"
statistics = ["count", "mean", "std"]
quantiles = [0.5, 0.99]

[[sink]]
type = "csv"
path = "{folder}/out.csv"
decimals = 3

[[sink]]
type = "dead_letter"
path = "{folder}/rejects.jsonl"
"#
    )
}

impl Pipelines {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The lines of a pipeline file that name files.
fn paths(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| line.contains(&b'/')).collect()
}

impl Bench for Pipelines {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        let bytes = mutated(self.text.as_bytes(), random);
        let path = self.path("p.toml");
        rig::write(&path, &bytes);
        let resolved = match Spec::read(&path).and_then(|spec| Ok(spec.resolve()?)) {
            Ok(resolved) => resolved,
            Err(error) => return refused(&error, "p.toml"),
        };
        if paths(&bytes) != paths(self.text.as_bytes()) {
            return Ok(Outcome::Right);
        }
        let options = RunOptions { threads: Some(random.random_range(1..=3)), ..RunOptions::default() };
        let Err(error) = resolved.pipeline.run_with(&options, &mut ()) else { return Ok(Outcome::Right) };
        // It is said where in the pipeline that is, or in its input, which it does not fit.
        match resolved.locate(error) {
            Ok(located) => refused(&located.into(), "p.toml"),
            Err(error) => refused(&error, "in.csv"),
        }
    }
}
