//! What a user meets when something is wrong: one message that says what to do next, the exit code, the older output
//! untouched, and nothing left of the new one.

#[path = "common/command.rs"]
mod command;
#[path = "failures/panics.rs"]
mod panics;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use command::{folder, run, text, tidemill};
use tidemill::Pipeline;
use tidemill::batch::{Batch, Schema};
use tidemill::sensor::Sensors;
use tidemill::sink::CsvFile;
use tidemill::source::{Csv, Io};
use tidemill::stage::{Flow, Process, Reach, Stage};
use tidemill_engine::executor::{self, RunOptions};

/// What stands in the outputs before the run.
const OLDER: &str = "of an older run\n";

/// A folder with an input, a pipeline from it to `out.csv` that begins with this `[source]`, and an older output.
fn bench(source: &str, more: &str) -> tempfile::TempDir {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let pipeline = format!("[source]\n{source}\n{more}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    write("p.toml", &pipeline);
    write("in.csv", "t,s,v,note\n1,a,1.5,x\n2,a,2.5,y\n");
    write("out.csv", OLDER);
    folder
}

/// A source for the file of [`bench`].
const CSV: &str = "type = 'csv'\npath = 'in.csv'";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Holds that a run ended with this code and said just this, and left `out.csv` as it was and nothing beside it.
#[track_caller]
fn check(folder: &Path, output: &Output, code: i32, message: &str) {
    assert_eq!((output.status.code(), text(&output.stderr).trim_end()), (Some(code), message.trim_end()));
    check_untouched(folder);
}

#[track_caller]
fn check_untouched(folder: &Path) {
    assert_eq!(std::fs::read_to_string(folder.join("out.csv")).expect("the older output"), OLDER);
    let left: Vec<_> = names(folder).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [""; 0], "temporary files");
}

/// Runs a pipeline that must fail, and holds what it says; `@` stands for its folder.
#[track_caller]
fn fails(source: &str, more: &str, code: i32, message: &str) {
    let folder = bench(source, more);
    let message = message.replace('@', folder.path().to_str().expect("UTF-8"));
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), code, &message);
}

#[test]
fn an_input_that_is_not_there() {
    fails(
        "type = 'csv'\npath = 'nowhere.csv'",
        "",
        69,
        "error: cannot read nowhere.csv: no such file or directory\n  help: it was looked for at @/nowhere.csv",
    );
    fails(
        "type = 'csv'\npath = 'data/*.csv'",
        "",
        69,
        "error: no file fits `data/*.csv`\n  help: it was looked for at @/data/*.csv",
    );
    fails(
        "type = 'jsonl'\npath = '.'",
        "",
        69,
        "error: the folder `.` has no data files\n  help: files there should end in .jsonl, .ndjson, .json, .json-seq",
    );
    // The second of two is met in the middle of the run.
    fails(
        "type = 'csv'\npath = ['in.csv', 'nowhere.csv']",
        "",
        69,
        "error: cannot read nowhere.csv: no such file or directory\n  help: it was looked for at @/nowhere.csv",
    );
}

#[test]
fn a_column_that_is_not_there() {
    let message = "\
error: `in.csv` has no column `tme` (option `time`)
 --> p.toml:4:8
  |
4 | time = 'tme'
  |        ^^^^^
  |
  = help: its columns are `t`, `s`, `v`, `note`
";
    fails(&format!("{CSV}\ntime = 'tme'"), "", 78, message);
    let message = "\
error: stage 0 (threshold): there is no column `w` here
 --> p.toml:4:1
  |
4 | [[stage]]
  | ^^^^^^^^^
  |
  = help: the measurements here are `t`, `v`
";
    fails(CSV, "[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['w']", 78, message);
}

#[test]
fn an_option_that_asks_for_a_stage_and_is_wrong() {
    let message = "\
error: `disorder`: `5w` is not a duration: unknown unit `w`; write `5m`, `1h30m` or `250ms`, with the units d, h, m, s, ms, us, ns
 --> p.toml:6:12
  |
6 | disorder = '5w'
  |            ^^^^
  |
  = help: say how far back a record may come, such as `disorder = \"5m\"` in [source]
";
    fails(&format!("{CSV}\ntime = 't'\norder = 'time'\ndisorder = '5w'"), "", 78, message);
}

#[test]
fn a_column_that_is_never_a_number() {
    fails(
        &format!("{CSV}\nmeasurements = ['note']"),
        "",
        65,
        "error: 2 of 2 records were refused, more than half, all for column `note`; the first: \"x\" is not a number (in.csv, line 2, byte 11)\n  \
        help: mend the [source] options, or raise `max_rejects`: then a `dead_letter` sink has what was refused",
    );
    let message = "\
error: stage 0 (threshold): column `note` is a text, not a measurement
 --> p.toml:4:1
  |
4 | [[stage]]
  | ^^^^^^^^^
  |
  = help: name it in [source] `measurements` if it should be read as numbers; the measurements here are `t`, `v`
";
    fails(CSV, "[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['note']", 78, message);
}

#[test]
fn more_rejects_than_the_run_may_have() {
    fails(
        &format!("{CSV}\nmeasurements = ['v', 'note']\nmax_rejects = 1"),
        "",
        65,
        "error: 2 of 2 records were refused, more than 1, all for column `note`; the first: \"x\" is not a number (in.csv, line 2, byte 11)\n  \
        help: mend the [source] options, or raise `max_rejects`: then a `dead_letter` sink has what was refused",
    );
}

#[test]
fn an_input_that_cannot_be_unpacked() {
    let folder = bench("type = 'csv'\npath = 'in.csv.gz'", "");
    let rows: String = (0..200_000).map(|n| format!("{},\n", n * 7919 % 1_000_003)).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(format!("v,note\n{rows}").as_bytes()).expect("packed");
    let packed = encoder.finish().expect("packed");
    let with = |bytes: &[u8]| {
        std::fs::write(folder.path().join("in.csv.gz"), bytes).expect("written");
        run(folder.path(), &["run", "p.toml"])
    };
    let message = "error: `in.csv.gz` is cut short: its compressed data end in the middle\n  help: fetch the file again";
    check(folder.path(), &with(&packed[..100]), 65, message);
    check(folder.path(), &with(&packed[..packed.len() - 1]), 65, message);
    let mut damaged = packed.clone();
    damaged[packed.len() - 6] ^= 0xff;
    let output = with(&damaged);
    assert_eq!(output.status.code(), Some(65));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: `in.csv.gz` is damaged: ")
            && said.ends_with("\n  help: fetch the file again\n"),
        "{said}"
    );
    check_untouched(folder.path());
}

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

/// A pipeline that reads a file of 32 MiB, and a run of it that waits in the middle: it writes to standard output, of which
/// only the first lines have been read.
struct Paused {
    folder: tempfile::TempDir,
    child: Child,
    reader: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
    said: String,
}

impl Paused {
    fn new(io: &str) -> Self {
        let folder = bench(CSV, "[[sink]]\ntype = 'csv'\npath = '-'");
        let row = format!("1,{}\n", "x".repeat(1020));
        std::fs::write(folder.path().join("in.csv"), format!("v,note\n{}", row.repeat(32 << 10)))
            .expect("written");
        let mut child = tidemill(folder.path())
            .args(["run", "p.toml", "--quiet", "--threads", "2", "--io", io])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        assert_eq!(line, "sensor,v,note\n");
        reader.read_line(&mut line).expect("a record");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        Self { folder, child, reader, errors, said: String::new() }
    }

    /// Waits until it has said one more line on standard error.
    fn listen(&mut self) {
        self.errors.read_line(&mut self.said).expect("a line");
    }

    fn input(&self) -> std::path::PathBuf {
        self.folder.path().join("in.csv")
    }

    /// Lets the run go on to its end.
    fn go_on(mut self) -> (tempfile::TempDir, Output) {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).expect("the rest");
        assert!(!rest.contains(&0), "zeros of a page that is no more");
        self.end()
    }

    /// Lets the run go on to its end, with nobody to read what it writes.
    fn end(self) -> (tempfile::TempDir, Output) {
        let Self { folder, mut child, reader, mut errors, mut said } = self;
        drop(reader);
        errors.read_to_string(&mut said).expect("the rest");
        let status = child.wait().expect("an end");
        (folder, Output { status, stdout: Vec::new(), stderr: said.into_bytes() })
    }
}

#[test]
fn an_input_that_changes_while_it_is_read() {
    type Change = fn(&Path);
    let shrink: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").set_len(16 << 20).expect("cut");
    };
    let empty: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").set_len(0).expect("cut");
    };
    let grow: Change = |path| {
        OpenOptions::new().append(true).open(path).expect("open").write_all(b"2,y\n").expect("written");
    };
    let overwrite: Change = |path| {
        OpenOptions::new().write(true).open(path).expect("open").write_all(b"w").expect("written");
    };
    let length = |paused: &Paused| paused.input().metadata().expect("a file").len();
    for io in ["mmap", "read"] {
        for change in [shrink, empty, grow, overwrite] {
            let paused = Paused::new(io);
            let before = length(&paused);
            change(&paused.input());
            let now = length(&paused);
            let (folder, output) = paused.go_on();
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(74), "{said}");
            assert!(said.starts_with("error: input changed while reading: `in.csv`, near byte "), "{said}");
            assert!(said.contains(&format!(", had {before} bytes and now has {now}\n")), "{said}");
            assert!(
                said.ends_with("  help: run again when nothing writes to it, or read a copy\n"),
                "{said}"
            );
            check_untouched(folder.path());
        }
    }
}

/// A stage that cuts the input off while its first records are on their way.
struct Cutting(std::path::PathBuf);

impl Stage for Cutting {
    fn name(&self) -> &str {
        "cutting"
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> tidemill::Result<Schema> {
        Ok(input.clone())
    }

    fn start(&self, _input: &Arc<Schema>) -> tidemill::Result<Box<dyn Process>> {
        let path = self.0.clone();
        Ok(Box::new(move |batch: Batch, _: &Sensors, _: &mut Flow| {
            OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
            Ok(batch)
        }))
    }
}

#[test]
fn nothing_of_an_input_that_was_cut_off_reaches_a_stream() {
    let folder = bench(CSV, "");
    let (input, log) = (folder.path().join("in.csv"), folder.path().join("log"));
    assert!(Command::new("mkfifo").arg(&log).status().expect("`mkfifo` runs").success());
    for (threads, io) in [(1, Io::Mmap), (2, Io::Mmap), (1, Io::Read)] {
        std::fs::write(&input, format!("v,note\n{}", "1,text\n".repeat(1000))).expect("written");
        let stream = std::thread::Builder::new();
        let path = log.clone();
        let reader = stream.spawn(move || std::fs::read_to_string(path).expect("read")).expect("a thread");
        let pipeline = Pipeline::builder()
            .source(Csv::new(input.display().to_string()))
            .stage(Cutting(input.clone()))
            .sink(CsvFile::new(log.display().to_string()))
            .build()
            .expect("a pipeline");
        let mut options = RunOptions { threads: Some(threads), ..RunOptions::default() };
        (options.open.io, options.open.chunk_size) = (io, 500);
        let error = executor::run(&pipeline, &options, &mut ()).expect_err("cut off");
        assert!(error.message().starts_with("input changed while reading"), "{error}");
        assert_eq!(reader.join().expect("the reader"), "");
    }
}

#[test]
fn an_input_that_is_replaced_or_removed_while_it_is_read_is_read_to_its_end() {
    for io in ["mmap", "read"] {
        let paused = Paused::new(io);
        std::fs::remove_file(paused.input()).expect("removed");
        std::fs::write(paused.input(), "v,note\n2,y\n").expect("written");
        let (folder, output) = paused.go_on();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        let written = std::fs::read_to_string(folder.path().join("out.csv")).expect("an output");
        assert_eq!(written.lines().count(), 1 + (32 << 10));
    }
}

#[test]
fn signals_that_end_the_run() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut paused = Paused::new("auto");
        let kill = Command::new("kill").args([signal, &paused.child.id().to_string()]).status();
        assert!(kill.expect("`kill` runs").success());
        paused.listen();
        let (folder, output) = paused.go_on();
        let message = "stopping; press Ctrl-C again to stop at once\n\
            error: stopped before the end of the input\n  help: no output file was completed";
        check(folder.path(), &output, 130, message);
    }
}

#[test]
fn an_output_that_nobody_reads_any_more_beside_another() {
    let (folder, output) = Paused::new("auto").end();
    check(folder.path(), &output, 74, "error: sink 0 (csv): standard output is closed");
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
        "error: sink 0 (alert): the alert command `sh -c cat >/dev/null; exit 3` failed: exit status: 3\n  help: see what it says, and run again",
    );
    // Enough incidents to fill the pipe of a command that reads none of them.
    let rows: String =
        (0..50_000).map(|n| format!("{n},a,{},x\n", if n % 2 == 0 { 1 } else { -1 })).collect();
    let folder = bench(CSV, &alert("['sh', '-c', 'exec <&-; exit 0']"));
    std::fs::write(folder.path().join("in.csv"), format!("t,s,v,note\n{rows}")).expect("written");
    let message = "error: sink 0 (alert): the alert command `sh -c exec <&-; exit 0` ended before it had read all alerts: exit status: 0\n  \
        help: see what it says, and run again";
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), 69, message);
    // Few enough to be handed over as a whole; this one has read the first.
    fails(
        CSV,
        &alert("['sh', '-c', 'read first; exit 0']").replace("column = 'v'", "column = '[vt]'"),
        69,
        "error: sink 0 (alert): the alert command `sh -c read first; exit 0` ended before it had read all alerts: exit status: 0\n  \
        help: see what it says, and run again",
    );
}

#[test]
fn standard_input_that_is_closed_or_empty() {
    let folder = bench("type = 'csv'\npath = '-'", "");
    let message = "error: `-` has no header: it is empty\n  \
        help: check the file, or give the columns with `header = false` and `names`";
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), 65, message);
    let command = ["-c", "exec \"$@\" <&-", "sh", env!("CARGO_BIN_EXE_tidemill"), "run", "p.toml"];
    let output = Command::new("sh").args(command).current_dir(folder.path()).output().expect("`sh` runs");
    check(folder.path(), &output, 65, message);
}

#[test]
fn standard_input_cannot_be_read_twice() {
    fails(
        "type = 'csv'\npath = '-'",
        "[[stage]]\ntype = 'normalize'\nfit = true",
        78,
        "error: `normalize` needs a first pass, and this source cannot be read twice\n  \
        help: read from files, or load constants that an earlier `tidemill fit` saved",
    );
}

/// A value that is wrong for each of these options, all in one source.
const WRONG: &[&str] = &[
    "time_format = 'nonsense'",
    "timezone = 'Mars/Base'",
    "thousands = 'xx'",
    "unit_suffixes = { v = '' }",
    "rename = { a = 'x', b = 'x' }",
    "delimiter = '..'",
    "comment = 'abc'",
    "encoding = 'utf-99'",
    "from = 'yesterday'",
    "max_jump = 'soon'",
];

#[test]
fn all_options_that_are_wrong_are_said_at_once_each_at_its_line() {
    let folder = bench(&format!("{CSV}\ntime = 't'"), &WRONG.join("\n"));
    let output = run(folder.path(), &["validate", "p.toml"]);
    let said = text(&output.stderr);
    for option in WRONG {
        let shown: Vec<_> =
            said.lines().filter(|line| line.ends_with(option) && line.contains(" | ")).collect();
        assert_eq!(shown.len(), 1, "{option} in\n{said}");
    }
    assert_eq!(said.matches("error: ").count(), WRONG.len(), "{said}");
    // What follows from an option that is wrong is not said of others.
    let folder = bench(&format!("{CSV}\ntime = 'tt'"), "timezone = 'Europe/Berlin'");
    let said = text(&run(folder.path(), &["validate", "p.toml"]).stderr);
    assert!(said.contains("time = 'tt'") && said.matches("error: ").count() == 1, "{said}");
}

#[test]
fn a_misspelt_option_hides_no_wrong_value() {
    let wrong = [
        "timezne = 'UTC'",
        "from = 'yesterday'",
        "into = 'new'",
        "nam = 'x'",
        "hold = 'late'",
        "delimiter = '5'",
    ];
    let [zone, from, into, name, hold, delimiter] = wrong;
    let parts = format!(
        "{zone}\n{from}\n[[stage]]\ntype = 'threshold'\nmin = 0\n{into}\n[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 1\n{name}\n{hold}\n\
         [[sink]]\ntype = 'csv'\npath = 'x.csv'\n{delimiter}"
    );
    let folder = bench(&format!("{CSV}\ntime = 't'\ntime_format = 's'"), &parts);
    let said = text(&run(folder.path(), &["validate", "p.toml"]).stderr);
    for option in wrong {
        assert!(
            said.lines().any(|line| line.ends_with(option) && line.contains(" | ")),
            "{option} in\n{said}"
        );
    }
    assert_eq!(said.matches("error: ").count(), wrong.len(), "{said}");
    // What follows from a misspelt option is not said of others: the columns that it would have named, or made.
    for parts in [
        "delimter = ';'\nmeasurements = ['w']",
        "renam = { v = 'w' }\n[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['w']",
        "[[stage]]\ntype = 'moving_average'\nwindow = 2\nint = 'w'\n[[sink]]\ntype = 'alert'\ncolumn = 'w'\nabove = 1",
        "[[stage]]\ntype = 'threshold'\nmn = 1",
        "[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabov = 1",
        "ordr = 'time'\ndisorder = '1m'",
    ] {
        let folder = bench(&format!("{CSV}\ntime = 't'\ntime_format = 's'"), parts);
        let said = text(&run(folder.path(), &["validate", "p.toml"]).stderr);
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
    }
}

#[test]
fn what_is_wrong_with_several_sinks_is_said_at_once() {
    let sinks = "[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 1\nhold = 'soon'\n[[sink]]\ntype = 'csv'\npath = 'x.csv'\ndelimiter = '5'";
    let folder = bench(CSV, sinks);
    let said = text(&run(folder.path(), &["validate", "p.toml"]).stderr);
    assert!(said.contains("hold = 'soon'") && said.contains("delimiter = '5'"), "{said}");
}

/// Validates a pipeline with these parts, and holds that it says just what is wrong with these options, or parts.
#[track_caller]
fn all_said(source: &str, more: &str, code: i32, wrong: &[&str]) {
    let folder = bench(source, more);
    let output = run(folder.path(), &["validate", "p.toml"]);
    let said = text(&output.stderr);
    for option in wrong {
        assert!(
            said.lines().any(|line| line.ends_with(option) && line.contains(" | ")),
            "{option} in\n{said}"
        );
    }
    assert_eq!((said.matches("error: ").count(), output.status.code()), (wrong.len(), Some(code)), "{said}");
}

#[test]
fn no_part_hides_what_is_wrong_with_another() {
    const STAGE: &str = "[[stage]]\ntype = 'moving_average'\nwindow = '5x'";
    const SINK: &str = "[[sink]]\ntype = 'csv'\npath = 'x.csv'\ndelimiter = '55'";
    let behind = format!("{STAGE}\n{SINK}");
    let [window, delimiter] = ["window = '5x'", "delimiter = '55'"];
    // Options of the same name; ones that must be there; of the wrong kind, or misspelt.
    all_said(&format!("{CSV}\ndelimiter = '66'"), &behind, 78, &["delimiter = '66'", window, delimiter]);
    all_said(
        CSV,
        &format!("{behind}\n{}", SINK.replace("x.csv", "y.csv")),
        78,
        &[window, delimiter, delimiter],
    );
    all_said("type = 'csv'\npath = 5", &behind, 78, &["path = 5", window, delimiter]);
    all_said("type = 'csv'", &behind, 78, &["[source]", window, delimiter]);
    all_said("type = 'cvs'\npath = 'in.csv'", &behind, 78, &["type = 'cvs'", window, delimiter]);
    all_said(CSV, &behind.replace("'5x'", "true"), 78, &["window = true", delimiter]);
    all_said(CSV, &behind.replace("window", "windw"), 78, &["[[stage]]", "windw = '5x'", delimiter]);
    all_said(
        &format!("{CSV}\nfrobs = 3\nmax_jump = 'far'"),
        &behind,
        78,
        &["frobs = 3", "max_jump = 'far'", window, delimiter],
    );
    // Columns that an option of the source has nothing to do with.
    let column = "[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = ['w']";
    all_said(
        &format!("{CSV}\ntime = 't'\ntime_format = 's'\nmax_jump = 'far'"),
        column,
        78,
        &["max_jump = 'far'", "[[stage]]"],
    );
    all_said(&format!("{CSV}\ntime = 'tt'"), column, 78, &["time = 'tt'"]);
    // An input that is not there, or cannot be looked at twice; a file of constants that is not there.
    let nowhere = CSV.replace("in.csv", "nowhere.csv");
    all_said(&nowhere, &behind, 78, &["[source]", window, delimiter]);
    all_said(&nowhere, "[[stage]]\ntype = 'normalize'\nload = 'none.json'", 69, &["[source]", "[[stage]]"]);
    all_said(
        "type = 'csv'\npath = '-'\nfrobs = 3\nheader = false\nnames = ['s', 'v']\nmeasurements = ['v']",
        &behind,
        78,
        &["frobs = 3", window, delimiter],
    );
    all_said("type = 'csv'\npath = '-'\nwidths = [0]", &behind, 78, &["widths = [0]", window, delimiter]);
    // Parts that others take from.
    let named = STAGE.replace("[[stage]]\n", "[[stage]]\nname = 'm'\n");
    all_said(CSV, &format!("{named}\n[[sink]]\ntype = 'null'\nfrom = 'm'"), 78, &[window]);
    let first = "[[stage]]\ntype = 'threshold'\nmin = 0\nname = 'f'\n[[stage]]\ntype = 'threshold'\nmin = 0\nfrom = 'source'";
    all_said(CSV, &format!("{first}\n[[sink]]\ntype = 'null'\nfrom = 'ff'"), 78, &["from = 'ff'"]);
    // What is no part, or of several.
    all_said(CSV, &format!("{behind}\n[[snik]]\ntype = 'null'"), 78, &["[[snik]]", window, delimiter]);
    let stdout = "[[sink]]\ntype = 'console'\n[[sink]]\ntype = 'console'\nwidth = 0";
    all_said(CSV, stdout, 78, &["[[sink]]", "width = 0"]);
}

#[test]
fn a_run_that_fails_before_its_first_record_gives_standard_output_nothing() {
    let folder = bench("type = 'csv'\npath = 'in.csv'\nsensor = 's'", "");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("bad.csv", "t,s,v,note\nx,y\nx,y\n");
    write("none.csv", "t,s,v,note\n");
    for (sets, code, given) in [
        // The other sink cannot be opened.
        (&["sink.0.path=in.csv/out.csv"][..], 74, ""),
        // All records are refused: by the reader, by a stage.
        (&["sink.0.path=out.csv", "source.path=bad.csv"], 65, ""),
        (&["sink.0.path=out.csv", "source.path=none.csv"], 0, "t,s,v,note\n"),
        (&["sink.0.path=out.csv"], 0, "t,s,v,note\n1,a,1.5,x\n2,a,2.5,y\n"),
    ] {
        for live in [false, true] {
            let path = "[[sink]]\ntype = 'csv'\npath = '-'\n";
            let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
            write("p.toml", &format!("{pipeline}{path}"));
            let mut command = tidemill(folder.path());
            command.args(["run", "p.toml", "-q"]);
            command.args(sets.iter().flat_map(|set| ["--set", set]));
            let mut child = command
                .args(live.then_some(["--set", "source.path=-"]).into_iter().flatten())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it runs");
            let mut stdin = child.stdin.take().expect("piped");
            if live {
                let input = sets.iter().find_map(|set| set.strip_prefix("source.path=")).unwrap_or("in.csv");
                // A run that is refused reads nothing.
                let _gone = stdin.write_all(&std::fs::read(folder.path().join(input)).expect("an input"));
            }
            drop(stdin);
            let output = child.wait_with_output().expect("it ends");
            // Whoever waits for live records has the header when the run has begun.
            let given = if live && code == 65 { "t,s,v,note\n" } else { given };
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{sets:?}: {said}");
            assert_eq!(text(&output.stdout), given, "{sets:?}, live: {live}: {said}");
        }
    }
}

#[test]
fn a_run_that_fails_before_its_first_record_gives_a_pipe_nothing() {
    for kind in ["csv", "parquet"] {
        let folder = bench(CSV, "");
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` runs").success());
        let pipeline = format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\n[[sink]]\ntype = '{kind}'\npath = 'pipe'\n[[sink]]\ntype = 'csv'\npath = 'in.csv/out.csv'\n"
        );
        std::fs::write(folder.path().join("p.toml"), pipeline).expect("written");
        let reading = std::thread::Builder::new().spawn(move || std::fs::read(pipe).expect("readable"));
        let output = run(folder.path(), &["run", "p.toml"]);
        assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
        assert_eq!(text(&reading.expect("a thread").join().expect("no panic")), "");
    }
}
