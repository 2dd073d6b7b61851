//! What somebody else on the machine, or at the other end of a feed, must not be able to do.

#[path = "common/command.rs"]
mod command;
#[path = "security/pieces.rs"]
mod pieces;
#[path = "security/secrets.rs"]
mod secrets;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
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
        outputs().contains("after 2 records").then_some(())
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
fn what_cannot_be_set_aside_is_said_once() {
    let folder = bench();
    let part = killed(folder.path());
    fs::remove_file(&part).expect("removed");
    symlink("victim", &part).expect("a link");
    let accept = [
        "run",
        "p.toml",
        "--state",
        "state",
        "--finish",
        "--accept",
        "changes",
        "--set",
        "sink.0.path=other.csv",
    ];
    let output = run(folder.path(), &accept);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It is tried with each of the two checkpoints at the end.
    let lines =
        said.lines().filter(|line| line.contains("cannot be renamed to") && line.contains("out.csv.until-"));
    assert_eq!(lines.count(), 1, "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("victim")).expect("there"), "precious");
}

#[test]
fn a_link_at_the_path_of_an_output_is_followed_from_the_beginning_or_not_at_all() {
    // From the beginning: it stays, and what it leads to is written.
    let folder = bench();
    let out = folder.path().join("out.csv");
    fs::create_dir(folder.path().join("deep")).expect("made");
    symlink("deep/new.csv", &out).expect("a link");
    let part = |output: std::process::Output| {
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read_to_string(folder.path().join("deep/new.csv")).expect("there")
    };
    assert_eq!(part(run(folder.path(), &["run", "p.toml", "--state", "state"])), "sensor,v\na,1\nb,2\n");
    assert!(out.is_symlink());

    // Put there while the run was down: it leads to another file, which is not touched, and the message says why.
    for (target, is_there) in [("deep/other.csv", false), ("deep/victim", true), ("nowhere/x.csv", false)] {
        let folder = bench();
        let out = folder.path().join("out.csv");
        killed(folder.path());
        fs::create_dir(folder.path().join("deep")).expect("made");
        fs::write(folder.path().join("deep/victim"), "precious").expect("written");
        symlink(target, &out).expect("a link");
        for finish in
            [&["run", "p.toml", "--state", "state"][..], &["run", "p.toml", "--state", "state", "--finish"]]
        {
            let output = run(folder.path(), finish);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(69), "{said}");
            assert!(
                said.contains("out.csv is a link to ") && said.contains("help: remove the link, or restore"),
                "{said}"
            );
        }
        assert_eq!(folder.path().join(target).exists(), is_there);
        assert_eq!(fs::read_to_string(folder.path().join("deep/victim")).expect("there"), "precious");
        fs::remove_file(&out).expect("removed");
        let output = run(folder.path(), &["run", "p.toml", "--state", "state", "--finish"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(fs::read_to_string(&out).expect("there").contains("a,1"));
    }
}

#[test]
fn a_link_that_is_put_at_the_path_of_an_output_while_a_run_goes_on_is_replaced_by_it() {
    let folder = bench();
    let source = "path = '-'\nheader = false\nnames = ['sensor', 'v']\nmeasurements = ['v']";
    fs::write(folder.path().join("p.toml"), PIPELINE.replace("path = 'in.csv'", source)).expect("written");
    let mut command = tidemill(folder.path());
    let mut child =
        command.args(["run", "p.toml", "--quiet"]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"a,1\n").expect("taken");
    until("no file in the making", || {
        names(folder.path()).iter().any(|name| name.starts_with(".out.csv")).then_some(())
    });
    symlink("victim", folder.path().join("out.csv")).expect("a link");
    drop(input);
    assert!(child.wait().expect("an end").success());
    assert!(!folder.path().join("out.csv").is_symlink());
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).expect("there"), "sensor,v\na,1\n");
    assert_eq!(fs::read_to_string(folder.path().join("victim")).expect("there"), "precious");
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

/// A text that would colour a terminal, forge a line and turn the direction of writing.
const FORGED: &str = "x\u{1b}[31m\nerror: forged\r\u{202e}\u{9b}31m\u{2028}";

/// That nothing in `output` is obeyed by whoever shows it, and no line of it is forged.
fn assert_harmless(what: &str, bytes: &[u8]) {
    let shown = text(bytes);
    for letter in shown.chars() {
        let is_obeyed = letter.is_control() && letter != '\n' || "\u{202e}\u{2028}".contains(letter);
        assert!(!is_obeyed, "{what} has {letter:?}:\n{shown:?}");
    }
    assert!(!shown.lines().any(|line| line.starts_with("error: forged")), "{what}:\n{shown}");
}

#[test]
fn names_from_outside_cannot_colour_a_terminal_or_forge_a_line() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let toml = |text: &str| serde_json::Value::from(text).to_string();
    // A header with control characters is refused, which is one of the errors; others are names of columns.
    let (file, column) = (format!("{FORGED}.csv"), "c\u{202e}\u{2028}\nerror: forged".to_owned());
    let quoted = |text: &str| format!("\"{text}\"");
    let rows = [
        format!("{},1", quoted(FORGED)),
        format!("{},oops", quoted(FORGED)),
        format!("b,{}", quoted(FORGED)),
    ];
    write(&file, &format!("sensor,{}\n{}\n", quoted(&column), rows.join("\n")));
    let source = format!(
        "[source]\ntype = 'csv'\npath = {}\nsensor = 'sensor'\nmeasurements = [{}]\nmax_rejects = 1.0\n",
        toml(&file),
        toml(&column)
    );
    let alert =
        format!("[[sink]]\ntype = 'alert'\ncolumn = {}\nabove = 0\nname = {}\n", toml(&column), toml(FORGED));
    write("p.toml", &format!("{source}[[sink]]\ntype = 'console'\n{alert}"));
    write("header.csv", &format!("sensor,{}\na,1\n", quoted(FORGED)));
    write("header.toml", "[source]\ntype = 'csv'\npath = 'header.csv'\n[[sink]]\ntype = 'null'\n");
    let stage = format!("[[stage]]\ntype = 'threshold'\nmin = 0\ncolumns = [{}]\n", toml(FORGED));
    write("wrong.toml", &format!("{source}{stage}[[sink]]\ntype = 'null'\n"));
    let typo = format!("[[stage]]\ntype = {}\n{} = 1\n", toml(FORGED), toml(FORGED));
    write("typo.toml", &format!("{source}{typo}[[sink]]\ntype = 'null'\n"));
    write(
        "few.toml",
        &format!("{}[[sink]]\ntype = 'null'\n", source.replace("max_rejects = 1.0", "max_sensors = 0")),
    );
    let fit = "[[stage]]\ntype = 'normalize'\nfit = true\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";
    write("fit.toml", &format!("{source}{fit}"));
    write(&format!("{FORGED}.toml"), "[source]\n");
    let unknown = format!("{FORGED}.toml");
    let missing = format!("no {FORGED}");
    for arguments in [
        &["run", "p.toml"][..],
        &["run", "p.toml", "--timings"],
        &["run", "header.toml"],
        &["run", "wrong.toml"],
        &["run", "typo.toml"],
        &["run", "few.toml"],
        &["run", &unknown],
        &["run", &missing],
        &["run", "p.toml", &missing],
        &["run", "fit.toml", "--state", "state"],
        &["run", "fit.toml", "--state", "state"],
        &["state", "inspect", "state"],
        &["state", "verify", "state"],
        &["state", "inspect", &missing],
        &["explain", "p.toml"],
        &["explain", "fit.toml"],
        &["validate", "p.toml"],
        &["validate", "wrong.toml"],
        &["verify", "p.toml", "--rounds", "1"],
        &["record", "p.toml", "-o", "day.rec"],
        &["replay", "p.toml", "--from", &file],
        &["replay", "p.toml", "--from", "day.rec"],
        &["fit", "wrong.toml"],
        &["generate", "-o", &missing],
        &["schema", &missing],
        &["roofline", "wrong.toml"],
        &["init", &missing],
    ] {
        let output = run(folder.path(), arguments);
        assert_harmless(&format!("{arguments:?}, standard error"), &output.stderr);
        assert_harmless(&format!("{arguments:?}, standard output"), &output.stdout);
    }
    let output = run(folder.path(), &["run", "p.toml"]);
    assert_eq!(output.status.code(), Some(0), "it has got as far as the table: {}", text(&output.stderr));
    // Data and pipeline files are no text for people; what is said beside them is.
    let output = run(folder.path(), &["init", &file]);
    assert_harmless("init", &output.stderr);
}

#[test]
fn what_the_environment_has_given_is_neither_said_nor_kept() {
    let secret = "s3cr\"et <pass>\\word\u{e9}";
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("in.csv", "sensor,v\na,1\nb,20\nc,x\n");
    let pipeline = "[source]\ntype = 'csv'\npath = 'in.csv'\nsensor = 'sensor'\nmeasurements = ['v']\nmax_rejects = 1.0\n\
                    null_values = ['', 'no ${TOKEN}']\n[[stage]]\ntype = 'threshold'\nmax = '${PIN}'\nsensors = { \"a\" = { max = '${PIN}' } }\n\
                    [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 3\ncommand = ['sh', '-c', 'cat >/dev/null', '${TOKEN}']\n\
                    [[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\nname = '${TOKEN}'\npath = 'alerts.jsonl'\n\
                    [[sink]]\ntype = 'csv'\npath = 'out.csv'\nsensors = ['${TOKEN}', '*']\n";
    write("p.toml", pipeline);
    write("fails.toml", &pipeline.replace("cat >/dev/null", "exit 3"));
    write("absent.toml", &pipeline.replace("'sh', '-c', 'cat >/dev/null', ", ""));
    write(
        "wrong.toml",
        &pipeline
            .replace("above = 3", "above = '${TOKEN}'")
            .replace("max = '${PIN}'\n", "max = '${TOKEN}'\n"),
    );
    write("none.toml", &pipeline.replace("sensor = 'sensor'", "sensor = '${TOKEN}'"));
    write("pattern.toml", &pipeline.replace("'*']", "'[${TOKEN}']"));
    let said = |arguments: &[&str]| {
        let mut command = tidemill(folder.path());
        let output =
            command.args(arguments).env("TOKEN", secret).env("PIN", "31.25").output().expect("it runs");
        (output.status.code(), [&output.stdout[..], &output.stderr].concat())
    };
    let escaped =
        [secret.to_owned(), secret.escape_debug().to_string(), serde_json::Value::from(secret).to_string()];
    let forms: Vec<&str> =
        escaped.iter().map(|form| form.trim_matches('"')).chain(["s3cr", "<pass>", "word\u{e9}"]).collect();
    let search = |what: &str, bytes: &[u8]| {
        let found = forms.iter().find(|form| memchr::memmem::find(bytes, form.as_bytes()).is_some());
        assert_eq!(found, None, "{what}:\n{}", text(bytes));
    };
    for (arguments, code) in [
        (&["run", "p.toml", "--state", "state", "--report", "report.json", "--timings"][..], 0),
        (&["run", "p.toml", "--record", "day.rec", "--report", "-"], 0),
        (&["explain", "p.toml"], 0),
        (&["validate", "wrong.toml"], 78),
        (&["run", "none.toml"], 78),
        (&["run", "pattern.toml"], 78),
        (&["run", "fails.toml"], 69),
        (&["run", "absent.toml"], 69),
        (&["verify", "p.toml", "--rounds", "1"], 0),
        (&["run", "p.toml", "--state", "state"], 0),
        (&["state", "inspect", "state"], 0),
        (&["state", "inspect", "state", "--json"], 0),
        (&["run", "fails.toml", "--state", "state"], 78),
    ] {
        let (ended, said) = said(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {}", text(&said));
        search(&format!("{arguments:?}"), &said);
        // A number is hidden where it stands as an option.
        assert!(arguments[0] != "explain" || text(&said).contains("max = \"${PIN}\""), "{}", text(&said));
    }
    let report = fs::read_to_string(folder.path().join("report.json")).expect("a report");
    assert!(report.contains("${TOKEN}") && !report.contains("31.25"), "{report}");
    let state = folder.path().join("state");
    for path in names(&state).iter().map(|name| state.join(name)).chain([folder.path().join("day.rec")]) {
        search(&path.display().to_string(), &fs::read(&path).expect("there"));
    }
    search("the report", report.as_bytes());
    // What is hidden is compared all the same.
    let mut command = tidemill(folder.path());
    let changed = command.args(["run", "p.toml", "--state", "state"]).env("TOKEN", secret).env("PIN", "31.5");
    let output = changed.output().expect("it runs");
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("`max` was"), "{}", text(&output.stderr));
}

#[test]
fn nor_is_what_is_short_or_a_number_or_said_by_an_alert() {
    let folder = bench();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let alert = |more: &str| format!("{PIPELINE}[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\n{more}\n");
    write("fails.toml", &alert("command = ['false', '${PIN}', '${DEC}']"));
    write(
        "log.toml",
        &alert(
            "name = '${DEC}'\n[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\nname = 'n-${SEC}-${PIN}'",
        ),
    );
    write("sensor.toml", &PIPELINE.replace("sensor = 'sensor'", "sensor = '${PIN}'"));
    write("zone.toml", &PIPELINE.replace("sensor =", "timezone = '${PIN}'\ntime = 'v'\nsensor ="));
    write("type.toml", &PIPELINE.replace("sensor =", "decimals = '${DEC}'\nsensor ="));
    for (arguments, code, shown) in [
        (["run", "fails.toml"], 69, "`false ${PIN} ${DEC}`"),
        (["run", "log.toml"], 0, "alert n-${SEC}-${PIN}: v of a is 1"),
        (["run", "sensor.toml"], 78, "`${PIN}`"),
        (["validate", "sensor.toml"], 78, "`${PIN}`"),
        (["run", "zone.toml"], 78, "${PIN}"),
        (["validate", "type.toml"], 78, "${DEC}"),
    ] {
        let mut command = tidemill(folder.path());
        let command = command.args(arguments);
        let command = command.env("PIN", "73519462").env("DEC", "abc").env("SEC", "hunter2-XYZZY");
        let output = command.output().expect("it runs");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(shown), "{arguments:?}: {said}");
        for secret in ["73519462", "abc", "hunter2"] {
            assert!(!said.contains(secret), "{arguments:?}: {said}");
        }
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    }
}

#[test]
fn nor_by_a_command_that_does_not_take_alerts() {
    let folder = bench();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let rows: String = (0..200_000).map(|at| format!("a,{}\n", at % 2 * 10)).collect();
    write("in.csv", &format!("sensor,v\n{rows}"));
    let waits = "while ! test -e go; do sleep 0.05; done; cat >/dev/null";
    let command = format!("command = ['sh', '-c', '{waits}', '${{SEC}}', '${{PIN}}']");
    write("p.toml", &format!("{PIPELINE}[[sink]]\ntype = 'alert'\ncolumn = 'v'\nabove = 0\n{command}\n"));
    let mut command = tidemill(folder.path());
    let command = command.args(["run", "p.toml"]).env("PIN", "73519462").env("SEC", "hunter2-XYZZY");
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = said.into_iter().find(|line| line.contains("does not keep up"));
    let line = line.expect("it is said");
    write("go", "");
    assert!(line.contains("${SEC} ${PIN}`"), "{line}");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success());
}

#[test]
fn a_pipe_and_a_device_are_promised_what_they_can_hold() {
    let folder = bench();
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    assert!(pipe.expect("`mkfifo` runs").success());
    for output in ["pipe", "/dev/null", "-"] {
        fs::write(folder.path().join("p.toml"), PIPELINE.replace("out.csv", output)).expect("written");
        let said = text(&run(folder.path(), &["explain", "p.toml"]).stdout);
        assert!(
            said.contains("with --state: at least once") && !said.contains("appears when complete"),
            "{said}"
        );
        assert!(said.contains("delivers its records again"), "{said}");
    }
    let said = text(&run(folder.path(), &["run", "p.toml", "--state", "state"]).stderr);
    assert!(said.contains("delivery to sink 0 (csv): at least once"), "{said}");
    // What cannot go on is refused, and promised nothing.
    let refused =
        ["run", "p.toml", "--state", "other", "--set", "sink.0.type=parquet", "--set", "sink.0.path=out"];
    let output = run(folder.path(), &refused);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(78) && !said.contains("delivery"), "{said}");
}
