//! A folder with input files, where a pipeline is run: text in, text out.

use tidemill::{Error, Pipeline, Report};

/// The folder.
pub(crate) struct Bench(pub(crate) tempfile::TempDir);

impl Bench {
    /// A folder with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        Self(folder)
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Runs a pipeline file in which `@` stands for the folder.
    pub(crate) fn run(&self, pipeline: &str) -> Result<Report, Error> {
        Pipeline::from_toml(&pipeline.replace('@', self.0.path().to_str().expect("UTF-8")))?.run()
    }

    /// Reads `in.csv` with these options of `[source]`, through these stages, to `out.csv`.
    pub(crate) fn through(&self, source: &str, stages: &str) -> Result<Report, Error> {
        self.run(&format!(
            "[source]\ntype = \"csv\"\npath = \"@/in.csv\"\nmax_rejects = 100\n{source}\n{stages}\n\
            [[sink]]\ntype = \"csv\"\npath = \"@/out.csv\""
        ))
    }

    /// What came out as `out.csv`, without the header.
    pub(crate) fn out(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("out.csv")).expect("an output");
        text.lines().skip(1).map(str::to_owned).collect()
    }
}
