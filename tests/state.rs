//! `tidemill state`: what it says of a folder is what a run would do with it.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use command::{folder, run, text, tidemill};

/// Whoever waits longer than this waits for something that will not come.
const LIMIT: Duration = Duration::from_secs(120);

/// The newest version of checkpoints that is refused.
const OLD: u32 = 6;

fn pipeline(source: &str) -> String {
    format!("[source]\n{source}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n")
}

/// A run that is over, of the source with these options.
fn complete_run(folder: &Path, source: &str) {
    fs::write(folder.join("p.toml"), pipeline(source)).expect("written");
    let output = run(folder, &["run", "p.toml", "--state", "state", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The same of a file.
fn complete_run_of_file(folder: &Path) {
    fs::write(folder.join("in.csv"), "s,v\na,1\nb,2\n").expect("written");
    complete_run(folder, "type = 'csv'\npath = 'in.csv'\nsensor = 's'");
}

fn state(folder: &Path, verb: &str) -> Output {
    run(folder, &["state", verb, "state"])
}

/// The error and its help.
fn error(output: &Output) -> String {
    let said = text(&output.stderr);
    let begin = said.find("error: ").unwrap_or_else(|| panic!("no error: {said}"));
    said[begin..].to_owned()
}

/// Flips a bit.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    bytes[40] ^= 1;
    fs::write(path, bytes).expect("written");
}

/// What `tests/golden` has of an older version.
fn old_folder(version: u32) -> tempfile::TempDir {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/checkpoint-{version}"));
    let folder = folder();
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("made");
    for name in ["in-1.csv", "in-2.csv", "p.toml", "state/id", "state/checkpoint-0000000003"] {
        fs::copy(golden.join(name), folder.path().join(name)).expect("copied");
    }
    folder
}

#[test]
fn a_folder_of_an_older_version_gets_the_same_error_from_all_commands() {
    for version in 3..=OLD {
        let folder = old_folder(version);
        let inspected = state(folder.path(), "inspect");
        assert_eq!(inspected.status.code(), Some(65), "{version}");
        let said = error(&inspected);
        assert!(said.contains(&format!("a checkpoint of version {version}")), "{said}");
        assert!(said.contains("help: resume with the release of tidemill that wrote it"), "{said}");
        assert_eq!(error(&state(folder.path(), "verify")), said);
        assert_eq!(error(&run(folder.path(), &["run", "p.toml", "--state", "state"])), said);
    }
}

#[test]
fn a_folder_without_an_intact_checkpoint_gets_the_same_error_from_all_commands() {
    let folder = folder();
    complete_run_of_file(folder.path());
    for ordinal in 1..=2 {
        damage(&folder.path().join(format!("state/checkpoint-{ordinal:010}")));
    }
    let said = error(&state(folder.path(), "inspect"));
    assert!(said.contains("no checkpoint in state is intact\n  help: start a new run"), "{said}");
    assert_eq!(error(&state(folder.path(), "verify")), said);
    assert_eq!(error(&run(folder.path(), &["run", "p.toml", "--state", "state"])), said);
}

#[test]
fn a_folder_without_a_checkpoint_is_named() {
    let folder = folder();
    fs::create_dir(folder.path().join("state")).expect("made");
    for verb in ["inspect", "verify"] {
        let output = state(folder.path(), verb);
        assert_eq!(output.status.code(), Some(69));
        assert!(error(&output).contains("there is no checkpoint in state\n  help: name the folder"));
    }
}

#[test]
fn behind_a_damaged_checkpoint_the_one_is_named_from_which_a_run_resumes() {
    let folder = folder();
    complete_run_of_file(folder.path());
    damage(&folder.path().join("state/checkpoint-0000000002"));
    let output = state(folder.path(), "verify");
    assert_eq!(output.status.code(), Some(65));
    let help = "error: 1 checkpoint is damaged\n  help: a run resumes from state/checkpoint-0000000001 and reads files again from there; \
                what was received live after it is lost\n";
    assert_eq!(text(&output.stderr), help);
    let listed = text(&output.stdout);
    assert!(
        listed.contains("checkpoint-0000000002: ") && listed.contains("not an intact checkpoint"),
        "{listed}"
    );
    assert!(state(folder.path(), "inspect").status.success());
    let resumed = run(folder.path(), &["run", "p.toml", "--state", "state"]);
    let said = text(&resumed.stderr);
    assert!(resumed.status.success() && said.contains("resumed from state/checkpoint-0000000001"), "{said}");
}

#[test]
fn a_damaged_checkpoint_that_is_older_costs_nothing() {
    let folder = folder();
    complete_run_of_file(folder.path());
    damage(&folder.path().join("state/checkpoint-0000000001"));
    let said = error(&state(folder.path(), "verify"));
    let expected = "error: 1 checkpoint is damaged\n  help: a run resumes from state/checkpoint-0000000002, which is newer";
    assert!(said.starts_with(expected), "{said}");
}

/// Where the input resumes, as `state inspect` says.
fn input(folder: &Path) -> Option<String> {
    let said = text(&state(folder, "inspect").stdout);
    said.lines().find_map(|line| line.trim().strip_prefix("input")).map(|input| input.trim().to_owned())
}

#[test]
fn where_the_input_resumes_is_said_if_it_is_known() {
    let sources = [
        ("type = 'csv'\npath = 'in.csv'", "after in.csv, the last one"),
        ("type = 'synthetic'\nrecords = 10", "after reading 10"),
    ];
    for (source, expected) in sources {
        let folder = folder();
        fs::write(folder.path().join("in.csv"), "v\n1\n").expect("written");
        complete_run(folder.path(), source);
        assert_eq!(input(folder.path()).as_deref(), Some(expected));
    }
}

#[test]
fn a_file_that_grows_resumes() {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), "v\n1\n").expect("written");
    let source = "type = 'csv'\npath = 'in.csv'\nfollow = true";
    fs::write(folder.path().join("p.toml"), pipeline(source)).expect("written");
    let mut run = tidemill(folder.path())
        .args(["run", "p.toml", "--state", "state", "--checkpoint-every", "5ms", "--quiet"])
        .spawn()
        .expect("started");
    let begun = Instant::now();
    let found = loop {
        if let Some(found) = input(folder.path()) {
            break found;
        }
        let is_running = run.try_wait().expect("a child").is_none();
        assert!(is_running && begun.elapsed() < LIMIT, "no checkpoint");
        std::thread::sleep(Duration::from_millis(10));
    };
    run.kill().expect("killed");
    run.wait().expect("an end");
    assert_eq!(found, "resumes");
}

#[test]
fn a_sink_of_a_stream_starts_anew() {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), "v\n1\n").expect("written");
    let to_stream = pipeline("type = 'csv'\npath = 'in.csv'").replace("out.csv", "-");
    fs::write(folder.path().join("p.toml"), to_stream).expect("written");
    assert!(run(folder.path(), &["run", "p.toml", "--state", "state", "--quiet"]).status.success());
    let said = text(&state(folder.path(), "inspect").stdout);
    let sink = said.lines().find(|line| line.starts_with("sink 0")).expect("a sink");
    assert!(sink.trim_end().ends_with("starts anew"), "{said}");
}
