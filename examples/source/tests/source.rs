//! The source gives what its file has: on any number of threads, and resumed after kills.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tidemill::Pipeline;
use tidemill::verify::{VerifyOptions, verify};
// Linked for its registrations.
use tidemill_example_source as _;

const FRAMES: u32 = 200_000;
const PIPELINE: &str = "\
[source]
type = 'frames'
path = 'logger.bin'
[[stage]]
type = 'moving_average'
window = 3
[[sink]]
type = 'csv'
path = 'out.csv'
";

/// Writes the file and the pipeline.
fn set_up(folder: &Path) {
    let frames = (0..FRAMES).flat_map(|at| {
        let (second, channel, value) = (1_700_000_000 + at, at % 5, f64::from(at % 97));
        let bytes = [second.to_le_bytes(), channel.to_le_bytes()].concat().into_iter();
        bytes.chain(value.to_le_bytes())
    });
    std::fs::write(folder.join("logger.bin"), frames.collect::<Vec<_>>()).expect("written");
    std::fs::write(folder.join("p.toml"), PIPELINE).expect("written");
}

/// The output by a plain loop.
fn expected() -> String {
    let mut lines = "time,channel,value,value_avg\n".to_owned();
    let at = |at: u32| f64::from(at % 97);
    for record in 0..FRAMES {
        // Every fifth record is of the same channel.
        let last: Vec<f64> = (0..3).filter_map(|back| Some(at(record.checked_sub(5 * back)?))).collect();
        let mean = last.iter().sum::<f64>() / last.len() as f64;
        let second = 1_700_000_000 + i64::from(record);
        let mut time = Vec::new();
        tidemill::time::Timestamp::from_nanos(second * 1_000_000_000).write_rfc3339(&mut time);
        let time = String::from_utf8(time).expect("text");
        lines += &format!("{time},{},{},{mean}\n", record % 5, at(record));
    }
    lines
}

#[test]
fn every_way_of_running_gives_what_the_plain_loop_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    set_up(folder.path());
    Pipeline::load(folder.path().join("p.toml")).and_then(|pipeline| pipeline.run()).expect("a run");
    let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
    assert!(written == expected(), "the output is another one");
    let scratch = tempfile::tempdir().expect("a folder");
    let make = |out: &Path| {
        let text = PIPELINE.replace("out.csv", &out.join("out.csv").display().to_string());
        Pipeline::from_toml(&text).map(|pipeline| pipeline.with_base(folder.path())).map_err(Into::into)
    };
    let verdict = verify(&make, scratch.path(), &VerifyOptions { seed: 1, rounds: 3 }).expect("runs");
    assert!(verdict.difference.is_none() && verdict.failure.is_none(), "{:?}", verdict.difference);
}

#[test]
fn a_run_that_is_killed_resumes() {
    let folder = tempfile::tempdir().expect("a folder");
    set_up(folder.path());
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill-example-source"));
        command.args(["run", "p.toml", "--state", "state", "--checkpoint-every", "10ms"]);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    for kill in 1..=5 {
        let mut run = command().spawn().expect("a run");
        std::thread::sleep(Duration::from_millis(20 * kill));
        run.kill().expect("killed");
        run.wait().expect("ended");
    }
    let output = command().output().expect("a run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("written");
    assert!(written == expected(), "the output is another one");
}
