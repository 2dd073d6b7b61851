//! What `init` makes of tables as tools write them: the pipeline reads all of their records, unedited, or says what it could not tell.

#[path = "common/command.rs"]
mod command;
#[path = "init/folders.rs"]
mod folders;
#[path = "init/odd.rs"]
mod odd;
#[path = "common/packers.rs"]
#[expect(dead_code, reason = "archives alone are packed here")]
mod packers;
#[path = "init/refused.rs"]
mod refused;
#[path = "init/tables.rs"]
mod tables;
#[path = "init/values.rs"]
mod values;

use std::path::Path;

use command::{run, text};

const STAMPS: [&str; 3] = ["2024-03-01 10:00:00", "2024-03-01 10:01:00", "2024-03-01 10:02:00"];

/// Writes files into `folder`, lets `init` look at `input`, and gives its pipeline and what it said.
fn init(folder: &Path, files: &[(&str, &str)], input: &str) -> (String, String) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, content).expect("written");
    }
    let output = run(folder, &["init", input, "-o", "init.toml", "--force"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("does not fit"), "{said}");
    (std::fs::read_to_string(folder.join("init.toml")).expect("a pipeline"), said)
}

/// The records that the source of a pipeline reads, as lines of JSON.
fn records(folder: &Path, pipeline: &str) -> Vec<String> {
    let pipeline: toml::Table = pipeline.parse().expect("TOML");
    let mut own = toml::Table::new();
    own.insert("source".into(), pipeline["source"].clone());
    std::fs::write(folder.join("p.toml"), format!("{own}\n[[sink]]\ntype = 'jsonl'\npath = '-'\n"))
        .expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// The instants of all records of one sensor that a pipeline reads, in order.
fn instants(folder: &Path, pipeline: &str) -> Vec<String> {
    let every = "\n[[stage]]\ntype = 'aggregate'\nevery = '1s'\nstatistics = ['count']\n";
    let pipeline: toml::Table = pipeline.parse().expect("TOML");
    let mut own = toml::Table::new();
    own.insert("source".into(), pipeline["source"].clone());
    std::fs::write(folder.join("p.toml"), format!("{own}{every}[[sink]]\ntype = 'csv'\npath = '-'\n"))
        .expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let text = text(&output.stdout);
    let times = text.lines().flat_map(|line| line.split(',').filter(|field| field.ends_with('Z')));
    times.map(str::to_owned).collect()
}

/// The lines of the first records as `init` understood them.
fn understood(said: &str) -> Vec<String> {
    let lines = said.lines().skip_while(|line| !line.contains("the first records, as read")).skip(1);
    lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}
