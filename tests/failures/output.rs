//! An output that cannot be written: its folder, its name, no room for it, a pipe or a command that does not read it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::command::{run, text, tidemill};
use super::rig::{CSV, bench, check, check_untouched, fails};

#[test]
fn an_output_folder_that_cannot_be_written_to() {
    let folder = bench(CSV, "");
    let to = |path: &str| run(folder.path(), &["run", "p.toml", "--set", &format!("sink.0.path={path}")]);
    for path in ["in.csv/out.csv", "in.csv/deep/out.csv"] {
        let message = format!(
            "error: sink 0 (csv): cannot write {path}: not a directory\n  help: a part of the path is a file, not a folder"
        );
        check(folder.path(), &to(path), 74, &message);
    }
    // Not even root makes files there.
    let output = to("/sys/out.csv");
    assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("error: sink 0 (csv): cannot write /sys/out.csv: "));
    assert!(text(&output.stderr).contains("\n  help: "), "{}", text(&output.stderr));
    check_untouched(folder.path());
}

#[test]
fn an_output_that_is_a_folder_or_an_input() {
    let folder = bench(CSV, "");
    let to = |path: &str| run(folder.path(), &["run", "p.toml", "--set", &format!("sink.0.path={path}")]);
    let output = to(".");
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("help: name a file in it, or \"-\" for standard output"));
    let before = std::fs::read(folder.path().join("in.csv")).expect("the input");
    let output = to("./in.csv");
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(
        text(&output.stderr),
        "error: `./in.csv` is both the input and the output of sink 0 (csv)\n --> p.toml:5:1\n  |\n5 | [[sink]]\n  | ^^^^^^^^\n  |\n  = help: the output of sink 0 (csv) needs a file of its own: give it another name\n"
    );
    assert_eq!(std::fs::read(folder.path().join("in.csv")).expect("the input"), before);
    check_untouched(folder.path());
}

#[test]
fn a_pipe_that_nobody_reads_is_waited_for_and_that_is_said_once() {
    let folder = bench(CSV, "");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
    let mut command = tidemill(folder.path());
    let run = || ["run", "p.toml", "--quiet", "--set", "sink.0.path=pipe"];
    let mut child = command.args(run()).stderr(Stdio::piped()).spawn().expect("the command runs");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = said.next().expect("a line").expect("text");
    assert_eq!(line, "sink 0 (csv): the pipe pipe has no reader: the run waits for one");
    let mut written = String::new();
    File::open(&pipe).expect("a pipe").read_to_string(&mut written).expect("read");
    assert!(child.wait().expect("an end").success());
    assert_eq!(written, "sensor,t,s,v,note\nin,1,a,1.5,x\nin,2,a,2.5,y\n");
    let rest: Vec<_> = said.map(|line| line.expect("text")).collect();
    assert!(
        matches!(&rest[..], [line] if line.starts_with("sink 0 (csv): pipe has a reader after ")),
        "{rest:?}"
    );
    // One that nobody comes to read is stopped as any other.
    let child = tidemill(folder.path()).args(run()).stderr(Stdio::piped()).spawn().expect("the command runs");
    let mut child = child;
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
    said.next().expect("a line").expect("text");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("`kill` runs").success());
    assert_eq!(child.wait().expect("an end").code(), Some(130));
}

#[test]
fn what_cannot_wait_is_not_told_to() {
    let folder = bench(CSV, "");
    for (path, address) in [("/dev/full", "/dev/full"), ("-", "standard output")] {
        let set = format!("sink.0.path={path}");
        for command in ["validate", "run"] {
            let output =
                run(folder.path(), &[command, "p.toml", "--set", &set, "--set", "sink.0.on_failure=wait"]);
            let (said, expected) =
                (text(&output.stderr), format!("writing to {address} has no transient errors"));
            assert_eq!(output.status.code(), Some(78), "{said}");
            assert!(said.contains("`on_failure` has no effect here") && said.contains(&expected), "{said}");
        }
    }
}

#[test]
fn a_pipe_or_a_device_in_place_of_the_output_is_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let folder = bench(CSV, "");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
    let child =
        tidemill(folder.path()).args(["run", "p.toml", "--quiet", "--set", "sink.0.path=pipe"]).spawn();
    let mut written = String::new();
    File::open(&pipe).expect("a pipe").read_to_string(&mut written).expect("read");
    assert!(child.expect("the command runs").wait().expect("an end").success());
    assert_eq!(written, "sensor,t,s,v,note\nin,1,a,1.5,x\nin,2,a,2.5,y\n");
    assert!(pipe.metadata().expect("still there").file_type().is_fifo());
    // A link leads to the file that is written.
    std::os::unix::fs::symlink("out.csv", folder.path().join("link.csv")).expect("a link");
    let output = run(folder.path(), &["run", "p.toml", "--quiet", "--set", "sink.0.path=link.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(folder.path().join("link.csv").is_symlink());
    assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).expect("an output"), written);
}

/// Rows that make some 10 MB of output.
const LARGE: &str = "type = 'synthetic'\nrecords = 300000";

/// What is said of an output that finds no room.
fn no_room(output: &str) -> String {
    format!(
        "error: sink 0 (csv): cannot write {output}: no space left on device\n  \
        help: free some space or write elsewhere, then run again"
    )
}

#[test]
fn a_full_disk() {
    let folder = bench(LARGE, "");
    std::fs::create_dir(folder.path().join("disk")).expect("a folder");
    // A disk of 1 MiB of this process alone, in a name space of its own.
    let script = "mount -t tmpfs -o size=1m none disk && echo older >disk/out.csv && \
        { \"$1\" run p.toml --quiet --set sink.0.path=disk/out.csv; code=$?; cat disk/out.csv; ls -A disk; exit $code; }";
    let own = ["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_tidemill")];
    for privileges in [&["--user", "--map-root-user"][..], &[]] {
        let output = Command::new("unshare").args(privileges).args(own).current_dir(folder.path()).output();
        if let Ok(output) = output
            && output.stdout.starts_with(b"older")
        {
            assert_eq!(text(&output.stdout), "older\nout.csv\n");
            return check(folder.path(), &output, 74, &no_room("disk/out.csv"));
        }
    }
    // Where nobody may mount one, the device that is always full stands for it: nothing is renamed there.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("disk/out.csv")).expect("a link");
    let output = run(folder.path(), &["run", "p.toml", "--quiet", "--set", "sink.0.path=disk/out.csv"]);
    check(folder.path(), &output, 74, &no_room("disk/out.csv"));
}

#[test]
fn a_device_that_is_full() {
    let folder = bench(CSV, "");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a device that every Linux has");
    let mut command = tidemill(folder.path());
    command.args(["run", "p.toml", "--quiet", "--set", "sink.0.path=-"]).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().expect("the command runs").wait_with_output().expect("an end");
    check(folder.path(), &output, 74, &no_room("to standard output"));
    let output = run(folder.path(), &["run", "p.toml", "--quiet", "--set", "sink.0.path=/dev/full"]);
    check(folder.path(), &output, 74, &no_room("/dev/full"));
}

#[test]
fn a_limit_on_the_size_of_files() {
    for kind in ["csv", "jsonl", "parquet"] {
        let folder = bench(LARGE, "");
        // 1,000 blocks of 512 bytes, or of 1 KiB.
        let script = "ulimit -f 1000; exec \"$@\"";
        let command = [
            env!("CARGO_BIN_EXE_tidemill"),
            "run",
            "p.toml",
            "--quiet",
            "--set",
            &format!("sink.0.type={kind}"),
        ];
        let output =
            Command::new("sh").args(["-c", script, "sh"]).args(command).current_dir(folder.path()).output();
        let message = format!(
            "error: sink 0 ({kind}): cannot write out.csv: file too large\n  \
            help: a limit on the size of files is reached: see `ulimit -f`"
        );
        check(folder.path(), &output.expect("`sh` runs"), 74, &message);
    }
}

#[test]
fn an_alert_command_that_is_missing_dies_or_fails() {
    let alert = |command: &str| {
        format!("[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\nclear_above = -1\ncommand = {command}")
    };
    fails(
        CSV,
        &alert("['no-such-command', '-x']"),
        69,
        "error: sink 0 (alert): the alert command `no-such-command -x` cannot be started: no such file or directory\n  \
        help: check `command`",
    );
    fails(
        CSV,
        &alert("['sh', '-c', 'cat >/dev/null; exit 3']"),
        69,
        "error: sink 0 (alert): the alert command `sh -c cat >/dev/null; exit 3` failed: exit status: 3\n  help: check its output and run again",
    );
    // Enough incidents to fill the pipe of a command that reads none of them.
    let rows: String =
        (0..50_000).map(|n| format!("{n},a,{},x\n", if n % 2 == 0 { 1 } else { -1 })).collect();
    let folder = bench(CSV, &alert("['sh', '-c', 'exec <&-; exit 0']"));
    std::fs::write(folder.path().join("in.csv"), format!("t,s,v,note\n{rows}")).expect("written");
    let message = "error: sink 0 (alert): the alert command `sh -c exec <&-; exit 0` ended before it had read all alerts: exit status: 0\n  \
        help: check its output and run again";
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), 69, message);
    // Few enough to be handed over as a whole; this one has read the first.
    fails(
        CSV,
        &alert("['sh', '-c', 'read first; exit 0']").replace("column = 'v'", "column = '[vt]'"),
        69,
        "error: sink 0 (alert): the alert command `sh -c read first; exit 0` ended before it had read all alerts: exit status: 0\n  \
        help: check its output and run again",
    );
}
