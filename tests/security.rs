//! What somebody else on the machine, or at the other end of a feed, must not be able to do.

#[path = "common/command.rs"]
mod command;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use command::{folder, run, text, tidemill};

const PIPELINE: &str =
    "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 'sensor'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

/// A folder with a pipeline, its input, and a file that must stay as it is.
fn bench() -> tempfile::TempDir {
    let folder = folder();
    fs::write(folder.path().join("p.toml"), PIPELINE).expect("written");
    fs::write(folder.path().join("in.csv"), "sensor,v\na,1\nb,2\n").expect("written");
    fs::write(folder.path().join("victim"), "precious").expect("written");
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

/// Waits for what a process does.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn links_that_are_planted_under_names_that_can_be_known_lead_nowhere() {
    let folder = bench();
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("made");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("set");
    // The name of a part had nothing in it but a checksum of the folder's path.
    let path = state.canonicalize().expect("a path");
    let known = format!(".out.csv.part-{:08x}", crc32c::crc32c(path.as_os_str().as_encoded_bytes()));
    for link in [folder.path().join(&known), state.join(".checkpoint.new")] {
        symlink(folder.path().join("victim"), link).expect("a link");
    }
    let output = run(folder.path(), &["run", "p.toml", "--state", "state"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("victim")).expect("there"), "precious");
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).expect("there"), "sensor,v\na,1\nb,2\n");
    assert!(!folder.path().join("out.csv").is_symlink());
    // A lock is not taken through a link either.
    fs::remove_file(state.join("lock")).expect("removed");
    symlink(folder.path().join("victim"), state.join("lock")).expect("a link");
    assert!(!run(folder.path(), &["run", "p.toml", "--state", "state"]).status.success());
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused() {
    let folder = bench();
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("made");
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("set");
        let output = run(folder.path(), &["run", "p.toml", "--state", "state"]);
        let said = text(&output.stderr);
        assert!(said.contains("other users may write to it") && said.contains("chmod 700 state"), "{said}");
        assert_eq!(output.status.code(), Some(74));
        assert_eq!(names(&state), [""; 0]);
    }
}

#[test]
fn what_holds_data_is_for_its_owner_alone() {
    let folder = bench();
    let output = run(folder.path(), &["run", "p.toml", "--state", "state", "--report", "report.json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(mode(&folder.path().join("state")), 0o700);
    assert_eq!(mode(&folder.path().join("report.json")), 0o600);
    let state = folder.path().join("state");
    names(&state).iter().for_each(|name| assert_eq!(mode(&state.join(name)), 0o600, "{name}"));
    let output = run(folder.path(), &["record", "p.toml", "-o", "rec"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(mode(&folder.path().join("rec")), 0o600);
}

/// The file in the making that a killed run has left, of which its checkpoint speaks.
fn killed(folder: &Path) -> PathBuf {
    let pipeline = PIPELINE.replace("[[sink]]", "follow = true\n[[sink]]");
    fs::write(folder.join("p.toml"), pipeline).expect("written");
    let mut child = tidemill(folder)
        .args(["run", "p.toml", "--state", "state", "--checkpoint-every", "1ms", "--quiet"])
        .spawn()
        .expect("the command runs");
    let outputs = || text(&run(folder, &["state", "inspect", "state"]).stdout);
    until("no checkpoint", || {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended early");
        outputs().contains("behind 2 records").then_some(())
    });
    child.kill().expect("killed");
    child.wait().expect("an end");
    let part = names(folder).into_iter().find(|name| name.starts_with(".out.csv.part-"));
    folder.join(part.expect("a file in the making"))
}

#[test]
fn a_file_in_the_making_that_was_swapped_is_not_gone_on_with() {
    for swap in ["a link", "a second name"] {
        let folder = bench();
        let part = killed(folder.path());
        let victim = folder.path().join("victim");
        // What the checkpoint speaks of, and more that would be cut off.
        let content = [&fs::read(&part).expect("there")[..], b"precious"].concat();
        fs::write(&victim, &content).expect("written");
        fs::remove_file(&part).expect("removed");
        match swap {
            "a link" => symlink(&victim, &part).expect("a link"),
            _ => fs::hard_link(&victim, &part).expect("a second name"),
        }
        let output = run(folder.path(), &["run", "p.toml", "--state", "state"]);
        assert_eq!(output.status.code(), Some(74), "{swap}: {}", text(&output.stderr));
        assert_eq!(fs::read(&victim).expect("there"), content, "{swap}");
    }
}

#[test]
fn what_a_killed_run_had_begun_is_gone_on_with_and_nothing_is_left_of_it() {
    let folder = bench();
    killed(folder.path());
    let output = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let left: Vec<_> = names(folder.path()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [""; 0]);
    assert!(fs::read_to_string(folder.path().join("out.csv")).expect("there").contains("a,1"));
}
