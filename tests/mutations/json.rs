//! JSON, an object a line, or objects in an array over several lines each. Objects that are not damaged, nor stand beside damage, come out as they are;
//! an object a line that is damaged is one record or one reject.

use std::collections::HashSet;
use std::path::PathBuf;

use rand::RngExt;
use rand::rngs::StdRng;
use tidemill::{Report, RunOptions};

use super::rig::{self, Bench, Outcome, mutated, refused};

const OBJECTS: u64 = 60;

/// How objects are laid out.
struct Layout {
    name: &'static str,
    text: fn() -> String,
    /// How many objects behind one that is damaged may be taken for a part of it.
    beside: usize,
}

const LAYOUTS: [Layout; 2] = [
    Layout { name: "lines", text: || (0..OBJECTS).map(|at| object(at, "") + "\n").collect(), beside: 1 },
    Layout { name: "values", text: values, beside: 2 },
];

fn values() -> String {
    let objects: Vec<_> = (0..OBJECTS).map(|at| object(at, "\n  ")).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(at: u64, gap: &str) -> String {
    format!(
        "{{{gap}\"t\": {at},{gap}\"s\": \"s{}\",{gap}\"place\": {{\"hall\": [1, \"a}}\\\"{{\"]}},{gap}\"v\": {}.5{gap}}}",
        at % 4,
        1000 + at
    )
}

pub(crate) struct Json {
    folder: tempfile::TempDir,
}

pub(crate) fn bench() -> Json {
    Json { folder: tempfile::tempdir().expect("a folder") }
}

impl Json {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, layout: &Layout, random: &mut StdRng) -> Result<Report, tidemill::Error> {
        let (folder, name) = (self.folder.path().display(), layout.name);
        let toml = format!(
            "[source]\ntype = 'jsonl'\npath = '{folder}/damaged.jsonl'\nlayout = '{name}'\ntime = 't'\ntime_format = 's'\nsensor = 's'\n\
             measurements = ['v']\ncolumns = ['v']\nmax_rejects = 1.0\n[[sink]]\ntype = 'csv'\npath = '{folder}/out.csv'\n"
        );
        rig::write(&self.path("p.toml"), toml);
        rig::run(&self.path("p.toml"), RunOptions::default(), random)
    }
}

impl Bench for Json {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        let layout = &LAYOUTS[random.random_range(0..LAYOUTS.len())];
        let text = (layout.text)();
        let bytes = mutated(text.as_bytes(), random);
        rig::write(&self.path("damaged.jsonl"), &bytes);
        let report = match self.run(layout, random) {
            Ok(report) => report,
            Err(error) => return refused(&error, "damaged.jsonl"),
        };
        let ledger = report.sources[0].ledger;
        if layout.name == "lines" {
            let lines = bytes.split(|&byte| matches!(byte, b'\n' | b'\r'));
            let lines = lines.filter(|line| !line.trim_ascii().is_empty()).count() as u64;
            if ledger.input != lines {
                return Err(format!("{lines} lines gave {} records and rejects", ledger.input));
            }
        }
        let out = String::from_utf8(rig::bytes(&self.path("out.csv"))).expect("text");
        let found: HashSet<String> = out.lines().map(sorted).collect();
        for at in undamaged(&text, &bytes, layout.beside) {
            if !found.contains(&sorted(&format!("{at},s{},{}.5", at % 4, 1000 + at))) {
                return Err(format!("object {at} is not damaged, and did not come out: {ledger:?}"));
            }
        }
        Ok(if ledger.rejected > 0 { Outcome::Counted } else { Outcome::Right })
    }
}

/// Fields in any order: columns have that of the first object.
fn sorted(line: &str) -> String {
    let mut fields: Vec<_> = line.split(',').collect();
    fields.sort_unstable();
    fields.join(",")
}

/// Objects that stand in `bytes` as they do in `text`, with `beside` of those before and the one behind them.
fn undamaged(text: &str, bytes: &[u8], beside: usize) -> Vec<usize> {
    let begins: Vec<usize> = memchr::memmem::find_iter(text.as_bytes(), b"\"t\"").collect();
    let begin = |at: usize| text[..begins[at]].rfind('{').unwrap_or(0);
    let end = |at: usize| if at < begins.len() { begin(at) } else { text.len() };
    let open = open_from(bytes).unwrap_or(bytes.len());
    let is_there = |at: &usize| {
        let surroundings = &text.as_bytes()[begin(at - beside)..end(at + 2)];
        memchr::memmem::find(bytes, surroundings).is_some_and(|place| place < open)
    };
    (beside..begins.len() - 1).filter(is_there).collect()
}

/// Where an object begins that is right as far as it goes, and has no end: all behind it is a part of it.
fn open_from(bytes: &[u8]) -> Option<usize> {
    let is_open = |at: &usize| {
        let mut values =
            serde_json::Deserializer::from_slice(&bytes[*at..]).into_iter::<serde::de::IgnoredAny>();
        matches!(values.next(), Some(Err(error)) if error.is_eof())
    };
    memchr::memchr_iter(b'{', bytes).find(is_open)
}
