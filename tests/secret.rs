//! A secret that is planted in a pipeline, in each way that there is, stands in nothing that is written: not even where a stranger's part, which was given
//! it, writes it into its errors, its panics, its remarks and its parameters.
//!
//! This binary is the test and, where [`AS_COMMAND`] is set, the `tidemill` command with two such parts.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill::batch::{Batch, Field, Schema};
use tidemill::options::Secret;
use tidemill::sensor::Sensors;
use tidemill::sink::{self, Block, Prepare, Repeat, Sink, SinkContext, SinkSpec};
use tidemill::stage::{self, Columns, Row, RowStage, WriteColumn};
use tidemill::{Error, Result};

const AS_COMMAND: &str = "SECRET_TEST_IS_THE_COMMAND";

/// The value, and what of it may be seen nowhere.
const VALUE: &str = "hunter2-Zq\"81";
const SEEN: &str = "hunter2";

/// A value that was put in its place.
const ROTATED: &str = "hunter2-Other";

// ---- the parts of a stranger ----

/// A stage that needs a password, and talks.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TalkingStage {
    /// What it signs with.
    password: Secret,
    /// Where it talks.
    #[serde(default)]
    at: String,
}

tidemill::submit! { stage::Component::row::<TalkingStage>("talking", "adds the length of a password") }

impl RowStage for TalkingStage {
    type Bound = WriteColumn;

    fn name(&self) -> &str {
        "talking"
    }

    fn bind(&self, columns: &mut Columns<'_>) -> Result<WriteColumn> {
        match &*self.at {
            "bind" => Err(Error::config(format!("`password` is {}", self.password.reveal()))
                .with_help(format!("not {:?}", self.password.reveal()))),
            _ => columns.write(Field::measurement("length")),
        }
    }

    fn record(&self, length: &WriteColumn, record: &mut Row<'_>) -> Result<()> {
        match &*self.at {
            "record" => Err(Error::data("refused").with_lines([format!("by {}", self.password.reveal())])),
            "panic" => panic!("with {:?}", self.password.reveal()),
            _ => {
                record.set(*length, self.password.reveal().len() as f64);
                Ok(())
            }
        }
    }
}

/// A sink that delivers by epochs with a password, and talks.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TalkingSink {
    /// What it logs in with.
    password: Secret,
    /// Where it talks.
    #[serde(default)]
    at: String,
}

tidemill::submit! { sink::Component::of::<TalkingSink>("talking", "delivers to nobody, with a password") }

impl SinkSpec for TalkingSink {
    fn name(&self) -> &str {
        "talking"
    }

    fn parameters(&self) -> serde_json::Value {
        let mut parameters = serde_json::to_value(self).unwrap_or_default();
        if self.at == "parameters" {
            parameters["address"] = format!("db://user:{}@host", self.password.reveal()).into();
        }
        parameters
    }

    fn repeat(&self) -> Repeat {
        Repeat::Harmless
    }

    fn delivers(&self) -> bool {
        true
    }

    fn open(&self, _schema: &Arc<Schema>, _context: &SinkContext) -> Result<Box<dyn Sink>> {
        match &*self.at {
            "open" => Err(Error::unavailable(format!("nobody takes {}", self.password.reveal()))),
            _ => Ok(Box::new(Talking(self.clone()))),
        }
    }
}

/// It in use.
struct Talking(TalkingSink);

struct Nothing;

impl Prepare for Nothing {
    fn prepare(&self, batch: &Batch, _sensors: &Sensors) -> Result<Block> {
        Ok(Box::new(vec![0_u8; batch.len()]))
    }
}

impl Sink for Talking {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Nothing))
    }

    fn deliver(&mut self, _epoch: u64, _rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        static TRIES: AtomicUsize = AtomicUsize::new(0);
        let TalkingSink { password, at } = &self.0;
        match &**at {
            "deliver" => Err(Error::unavailable(format!("login failed with {}", password.reveal()))),
            "transient" if TRIES.fetch_add(1, Ordering::Relaxed) < 2 => {
                Err(Error::unavailable(format!("not yet: {}", password.reveal())).transient())
            }
            "delivery" => panic!("no delivery with {}", password.reveal()),
            _ => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        let remark = (self.0.at == "remark").then(|| format!("logged in with {}", self.0.password.reveal()));
        Ok(remark.into_iter().collect())
    }
}

// ---- the test ----

/// The ways to give it, and whether a remark advises another one.
const WAYS: [(&str, Option<&str>); 4] = [
    ("{ env = 'PASSWORD' }", None),
    ("{ file = 'keys/password' }", None),
    ("'${PASSWORD}'", None),
    ("'hunter2-Zq\"81'", Some("a secret is written in the pipeline file")),
];

fn bench(stage: &str, sink: &str, secret: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    fs::create_dir(folder.path().join("keys")).expect("a folder");
    write("keys/password", &format!("{VALUE}\n"));
    fs::set_permissions(folder.path().join("keys/password"), Permissions::from_mode(0o600)).expect("set");
    let rows: String = (0..50).map(|at| format!("2026-01-01 00:00:{at:02},s{},{at}\n", at % 3)).collect();
    write("in.csv", &format!("t,s,v\n{rows}broken,s1,1\n"));
    write(
        "p.toml",
        &format!(
            "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\nmax_rejects = 1.0\n\
             [[stage]]\ntype = 'talking'\npassword = {secret}\nat = '{stage}'\n\
             [[sink]]\ntype = 'talking'\npassword = {secret}\nat = '{sink}'\n\
             [[sink]]\ntype = 'csv'\npath = 'out.csv'\n\
             [[sink]]\ntype = 'dead_letter'\npath = 'dead.jsonl'\n\
             [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 40\ncommand = ['sh', '-c', 'cat >alerts; test \"$TOKEN\" = \"$EXPECTED\" || exit 3']\n\
             environment = {{ TOKEN = {secret} }}\n"
        ),
    );
    folder
}

fn command(folder: &Path, value: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.current_dir(folder).stdin(Stdio::null()).env(AS_COMMAND, "1");
    command.env("PASSWORD", value).env("EXPECTED", value).args(arguments);
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What was said and written, but for the places where the secret is kept; that the value is in none of it.
fn check(folder: &Path, what: &str, output: &Output) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains(SEEN), "{what}:\n{said}");
    check_files(folder, what);
    said
}

fn check_files(folder: &Path, what: &str) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            if !entry.ends_with("keys") {
                check_files(&entry, what);
            }
        } else if !entry.ends_with("p.toml") {
            let content = text(&fs::read(&entry).expect("read"));
            assert!(!content.contains(SEEN), "{what}: {} has it", entry.display());
        }
    }
}

/// Every verb, with a part that talks at one place.
fn no_talk_tells_it() {
    let quiet = ("", "");
    let talks = ["bind", "record", "panic"].map(|at| (at, ""));
    let sinks = ["parameters", "open", "deliver", "transient", "delivery", "remark"].map(|at| ("", at));
    for (way, (secret, remark)) in WAYS.iter().enumerate() {
        for (at, (stage, sink)) in [quiet].into_iter().chain(talks).chain(sinks).enumerate() {
            // Each place with two of the ways; nothing special with all.
            if at > 0 && (at + way) % 2 == 1 {
                continue;
            }
            let folder = bench(stage, sink, secret);
            let run = |arguments: &[&str]| {
                let output = command(folder.path(), VALUE, arguments);
                (check(folder.path(), &format!("{secret}, {stage}{sink}: {arguments:?}"), &output), output)
            };
            let (said, output) = run(&[
                "run",
                "p.toml",
                "--state",
                "state",
                "--report",
                "report.json",
                "--timings",
                "--checkpoint-every",
                "1ms",
            ]);
            let is_fine = ["", "transient", "parameters", "remark"].contains(&sink) && stage.is_empty();
            assert_eq!(output.status.success(), is_fine, "{secret}, {stage}{sink}: {said}");
            // The wall is behind what was said, not before it.
            let talked = !stage.is_empty() || !["", "parameters"].contains(&sink);
            let shown =
                ["{ env = \"PASSWORD\" }", "{ file = \"keys/password\" }", "${PASSWORD}", "(secret)"][way];
            // Of what passes by itself, not all is said.
            let may_be_said = sink == "transient";
            let is_said = said.contains(shown) || said.contains(&shown.replace('"', "\\\""));
            assert!(may_be_said || talked == is_said, "{said}");
            assert!(!is_fine || remark.is_none_or(|remark| said.contains(remark)), "{said}");
            run(&["run", "p.toml", "--log", "json", "--log-level", "trace", "--state", "state-of-log"]);
            run(&["explain", "p.toml"]);
            run(&["validate", "p.toml"]);
            run(&["state", "inspect", "state"]);
            run(&["state", "inspect", "state", "--json"]);
            run(&["run", "p.toml", "--record", "day.rec"]);
            run(&["replay", "p.toml", "--from", "day.rec"]);
            run(&["verify", "p.toml", "--rounds", "1"]);
            run(&["run", "p.toml", "--set", "stage.0.password=73", "--quiet"]);
            if is_fine && at == 0 {
                let faults =
                    ["--seed", "1", "--count", "4", "--for", "1ms", "--stand-ins", "--keep", "chaos"];
                let (said, output) = run(&[&["chaos", "p.toml"][..], &faults].concat());
                assert!(output.status.success(), "{said}");
            }
            let mistake = fs::read_to_string(folder.path().join("p.toml")).expect("read");
            fs::write(folder.path().join("p.toml"), mistake.replace("password = ", "passwort = "))
                .expect("written");
            let (said, _) = run(&["validate", "p.toml"]);
            assert!(said.contains("unknown option `passwort`") || way == 3, "{said}");
        }
    }
}

/// A value that is another one is no other pipeline: the run that is over is over.
fn rotating_it_is_no_change() {
    for (secret, _) in &WAYS[..3] {
        let folder = bench("", "parameters", secret);
        let state = ["run", "p.toml", "--state", "state"];
        let first = command(folder.path(), VALUE, &state);
        assert!(first.status.success(), "{}", text(&first.stderr));
        fs::write(folder.path().join("keys/password"), ROTATED).expect("written");
        let again = command(folder.path(), ROTATED, &state);
        let said = check(folder.path(), secret, &again);
        assert!(again.status.success(), "{secret}: {said}");
        // Another reference is another pipeline.
        let pipeline = fs::read_to_string(folder.path().join("p.toml")).expect("read");
        fs::write(folder.path().join("p.toml"), pipeline.replace(secret, "{ env = 'EXPECTED' }"))
            .expect("written");
        let changed = command(folder.path(), ROTATED, &state);
        let said = check(folder.path(), secret, &changed);
        assert!(!changed.status.success() && said.contains("password"), "{secret}: {said}");
    }
}

/// What is wrong with a reference is said at its place.
fn what_cannot_be_read_is_said() {
    for (secret, wrong) in [
        ("{ env = 'NOT_SET' }", "the variable `NOT_SET` is not set"),
        ("{ file = 'keys/none' }", "cannot read keys/none: no such file"),
        ("{ file = 'keys' }", "keys is not a regular file"),
        ("{ file = 'keys/large' }", "keys/large is larger than 64 KiB"),
        ("{ file = 'keys/latin' }", "keys/latin is not UTF-8"),
        ("{ file = 'keys/empty' }", "keys/empty is empty"),
        ("{ path = 'hunter2-Zq' }", "found another table"),
        ("73519462", "found a number"),
    ] {
        let folder = bench("", "", secret);
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join("keys").join(name), bytes).expect("written")
        };
        write("large", &[b'x'; (64 << 10) + 1]);
        write("latin", b"hunter2-\xe4");
        write("empty", b"\n");
        let output = command(folder.path(), VALUE, &["validate", "p.toml"]);
        let said = check(folder.path(), secret, &output);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(wrong) && !said.contains("73519462"), "{secret}: {said}");
        // Three options have it, each at its place.
        assert_eq!(said.matches("p.toml:").count(), 3, "{said}");
    }
}

/// A file that everybody may read is used, and that is said.
fn a_file_for_everybody_is_remarked() {
    let folder = bench("", "", "{ file = 'keys/password' }");
    let said = |arguments: &[&str]| {
        let output = command(folder.path(), VALUE, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let remark = "every user of this machine can read the secret in keys/password";
    assert!(!said(&["validate", "p.toml"]).contains(remark));
    fs::set_permissions(folder.path().join("keys/password"), Permissions::from_mode(0o644)).expect("set");
    for arguments in [&["validate", "p.toml"][..], &["explain", "p.toml"], &["run", "p.toml"]] {
        assert_eq!(said(arguments).matches(remark).count(), 1, "{arguments:?}");
    }
}

/// In code, a secret is made without a pipeline file, and hidden all the same.
fn in_code_it_is_hidden_too() {
    let folder = bench("", "", "'x'");
    let source = tidemill::source::Csv::new("in.csv").time("t").sensor("s");
    let talking = TalkingSink { password: Secret::new(VALUE), at: "open".into() };
    let input = tidemill::pipeline::InputOptions {
        max_rejects: Some(tidemill::pipeline::MaxRejects::Share(1.0)),
        ..Default::default()
    };
    let pipeline =
        tidemill::Pipeline::builder().base(folder.path()).source(source).input(input).sink(talking);
    let error = pipeline.build().and_then(|pipeline| pipeline.run()).expect_err("nobody takes it");
    assert!(error.to_string().contains("nobody takes (secret)"), "{error}");
    assert!(!format!("{error:?}").contains(SEEN));
}

fn main() -> ExitCode {
    if tidemill_engine::environment::variable(AS_COMMAND).is_some() {
        return tidemill::cli::run(std::env::args_os()).into();
    }
    let tests: [(&str, fn()); 5] = [
        ("no_talk_tells_it", no_talk_tells_it),
        ("rotating_it_is_no_change", rotating_it_is_no_change),
        ("what_cannot_be_read_is_said", what_cannot_be_read_is_said),
        ("a_file_for_everybody_is_remarked", a_file_for_everybody_is_remarked),
        ("in_code_it_is_hidden_too", in_code_it_is_hidden_too),
    ];
    if std::env::args().any(|argument| argument == "--list" || argument == "--ignored") {
        return ExitCode::SUCCESS;
    }
    for (name, test) in tests {
        println!("test {name} ...");
        test();
    }
    println!("test result: ok. {} passed", tests.len());
    ExitCode::SUCCESS
}
