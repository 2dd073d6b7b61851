//! What the environment has given stands in nothing that is written for people or kept, whatever it looks like and whatever option has it;
//! and nothing else is taken for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tidemill::registry::{Component, ComponentKind, components};
use tidemill_engine::pipeline::schema::of_component;

use super::command::{folder, text, tidemill};

/// Variables: their values, and what of each may be seen nowhere.
const SECRETS: &[(&str, &str, &[&str])] = &[
    ("SHORT", "q7z", &["q7z"]),
    ("PIN", "4821396574", &["4821396574"]),
    ("LONG", "73519462", &["73519462"]),
    ("LINES", "ab9x\nk8vd", &["ab9x", "k8vd"]),
    ("WORD", "hunter2-XYZZY", &["hunter2"]),
];

/// How a value stands in the text of an option.
const WRITTEN: &[&str] =
    &["${_}", "line${_}", "o-${_}.csv", "${_}x", "{column}_${_}", "*${_}*", "a/${_}/b", "[${_}"];

pub(crate) const INPUT: &str =
    "t,s,a,b,note\n2026-01-01 00:00:00,x,1.5,10,on\n2026-01-01 00:00:02,y,2.5,,off\nbroken,x,1,2,on\n";

const SOURCE: &str = "[source]\ntype = 'csv'\npath = 'in.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['a', 'b']\nmax_rejects = 1.0\n";
const OUT: &str = "[[sink]]\ntype = 'csv'\npath = 'out.csv'\n";

/// What a component needs besides, to get as far as it can.
fn needed(component: &str) -> &'static [(&'static str, &'static str)] {
    match component {
        "csv" | "tsv" | "jsonl" | "parquet" | "influx" => &[("path", "'in.csv'")],
        "threshold" => &[("max", "3")],
        "normalize" => &[("method", "'min_max'"), ("min", "0"), ("max", "1")],
        "pivot" => &[("key", "'note'"), ("names", "['on', 'off']"), ("value", "'a'")],
        "alert" => &[("column", "'a'"), ("above", "2")],
        "dead_letter" => &[("path", "'dead.jsonl'")],
        name if name.starts_with("moving_") => &[("window", "2")],
        _ => &[],
    }
}

/// Where an option takes text.
#[derive(Clone, PartialEq)]
enum Shape {
    Text,
    List,
    /// In the keys of a table, whose values are so.
    Keys(String),
    /// In its values too.
    Values,
}

fn shape(schema: &Value, property: &Value) -> Option<Shape> {
    if let Some(name) = property["$ref"].as_str() {
        return shape(schema, schema.pointer(name.trim_start_matches('#'))?);
    }
    let is_type = |name: &str| match &property["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    if is_type("string") {
        return Some(Shape::Text);
    }
    if is_type("array") {
        return shape(schema, &property["items"]).map(|_| Shape::List);
    }
    if let Some(inner) = property.get("additionalProperties").filter(|inner| inner.is_object()) {
        let inner = match inner["$ref"].as_str() {
            Some(name) => schema.pointer(name.trim_start_matches('#'))?,
            None => inner,
        };
        return Some(match inner["properties"].as_object().and_then(|options| options.keys().next()) {
            Some(option) => Shape::Keys(format!("{{ {option} = 1 }}")),
            None => Shape::Values,
        });
    }
    let several = ["anyOf", "oneOf"].iter().filter_map(|name| property[*name].as_array()).flatten();
    several.filter_map(|one| shape(schema, one)).next()
}

/// Values for every option of every component that takes text somewhere, with `@` in the place of that.
pub(crate) fn options() -> Vec<(&'static Component, String, String)> {
    let mut all = Vec::new();
    for component in components() {
        let schema = of_component(component);
        let options = schema["properties"].as_object().expect("options");
        for (option, property) in options.iter().filter(|(name, _)| *name != "type") {
            let values = match shape(&schema, property) {
                None => Vec::new(),
                Some(Shape::Text) => vec!["'@'".to_owned()],
                Some(Shape::List) => vec!["['a', '@']".to_owned()],
                Some(Shape::Keys(inner)) => vec![format!("{{ '@' = {inner} }}")],
                Some(Shape::Values) => vec!["{ '@' = 'm' }".to_owned(), "{ a = '@' }".to_owned()],
            };
            // A choice of a list or a table.
            let table =
                property["anyOf"].as_array().into_iter().flatten().filter_map(|one| shape(&schema, one));
            let keys = table.filter_map(|shape| match shape {
                Shape::Keys(inner) => Some(format!("{{ '@' = {inner} }}")),
                _ => None,
            });
            let values: BTreeSet<_> = values.into_iter().chain(keys).collect();
            all.extend(values.into_iter().map(|value| (component, option.clone(), value)));
        }
    }
    all
}

fn table(component: &Component) -> &'static str {
    match component.kind() {
        ComponentKind::Source => "[source]",
        ComponentKind::Stage => "[[stage]]",
        ComponentKind::Sink => "[[sink]]",
    }
}

/// A pipeline in which `option` of `component` is `value`.
pub(crate) fn pipeline(component: &Component, option: &str, value: &str) -> String {
    let needed = needed(component.name).iter().filter(|(name, _)| *name != option);
    let mut part = format!("{}\ntype = '{}'\n{option} = {value}\n", table(component), component.name);
    needed.for_each(|(name, value)| part += &format!("{name} = {value}\n"));
    match component.kind() {
        ComponentKind::Source => {
            let columns = "time = 't'\nsensor = 's'\nmeasurements = ['a', 'b']\n";
            let columns = columns.lines().filter(|line| !line.starts_with(&format!("{option} ")));
            let is_table = ["csv", "tsv", "jsonl", "parquet"].contains(&component.name);
            part.extend(columns.filter(|_| is_table).map(|line| format!("{line}\n")));
            part + OUT
        }
        ComponentKind::Stage => format!("{SOURCE}{part}{OUT}"),
        ComponentKind::Sink => format!("{SOURCE}{part}{OUT}"),
    }
}

/// All that the command says, with the variables set.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let mut command = tidemill(folder);
    command.envs(SECRETS.iter().map(|(name, value, _)| (name, value)));
    let output = command.args(arguments).output().expect("it runs");
    assert_ne!(output.status.code(), Some(70), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// The secret that `text` shows.
fn shown(text: &str) -> Option<&'static str> {
    SECRETS.iter().flat_map(|(_, _, parts)| *parts).find(|part| text.contains(**part)).copied()
}

#[test]
fn no_option_that_takes_text_shows_what_the_environment_has_given() {
    let mut cases = Vec::new();
    for (component, option, value) in options() {
        // Three of the secrets for each option, and another writing of them than for the option before.
        for (secret, (name, ..)) in SECRETS.iter().cycle().enumerate().skip(cases.len()).take(3) {
            let written =
                WRITTEN[(cases.len() / 3 + secret) % WRITTEN.len()].replace("${_}", &format!("${{{name}}}"));
            cases.push(pipeline(component, &option, &value.replace('@', &written)));
        }
    }
    assert!(cases.len() > 300, "options are found: {}", cases.len());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|cases| scope.spawn(|| cases.iter().filter_map(|case| leak(case)).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n----\n"));
}

/// What shows a secret when `pipeline` is explained, or run.
fn leak(pipeline: &str) -> Option<String> {
    let folder = folder();
    fs::write(folder.path().join("in.csv"), INPUT).expect("written");
    fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let report = || fs::read_to_string(folder.path().join("report.json")).unwrap_or_default();
    // What a console or standard output is given is data.
    let is_data = pipeline.contains("type = 'console'");
    let explained = said(folder.path(), &["explain", "p.toml"]);
    let ran = if is_data {
        String::new()
    } else {
        said(folder.path(), &["run", "p.toml", "--report", "report.json"])
    };
    let found = [explained, ran, report()].into_iter().find(|said| shown(said).is_some());
    found.map(|said| format!("{pipeline}\n{said}"))
}

/// A pipeline with secrets of all kinds in options that get into names, messages, alerts and rejects.
const WHOLE: &str = "[source]\ntype = 'csv'\npath = ['in-${PIN}.csv', '${SHORT}.csv']\ntime = 't'\nsensor = 's'\nmax_rejects = 1.0\n\
    rename = { a = 'line${PIN}', b = 'b_${SHORT}', note = '${LINES}' }\nmeasurements = ['line${PIN}', 'b_${SHORT}']\nnull_values = ['', '${LONG}', '${LINES}']\n\
    [[stage]]\ntype = 'moving_average'\nwindow = 9\nmin_samples = 5\ninto = '{column}_${PIN}'\n\
    [[stage]]\ntype = 'threshold'\nmax = '${PIN}'\ncolumns = ['line${PIN}', '*_${PIN}']\nnulls = 'keep'\n\
    [[sink]]\ntype = 'alert'\ncolumn = 'line${PIN}'\nabove = 1\nname = 'n${SHORT}${PIN}'\n\
    [[sink]]\ntype = 'alert'\ncolumn = 'b_${SHORT}'\nabove = 1\ncommand = ['sh', '-c', 'cat >/dev/null', 'x${PIN}', '${SHORT}', '${LINES}']\n\
    [[sink]]\ntype = 'csv'\npath = 'out.csv'\nsensors = ['x', 's${SHORT}', '${PIN}']\n";

#[test]
fn nothing_that_a_whole_run_writes_for_people_or_keeps_has_it() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("in-4821396574.csv", INPUT);
    write("q7z.csv", INPUT);
    // A path has to be kept to find a file again.
    let whole = WHOLE.to_owned();
    let kept = WHOLE.replace("in-${PIN}", "in").replace("'${SHORT}.csv'", "'in.csv'");
    write("in.csv", INPUT);

    for (name, pipeline) in [
        ("p.toml", &whole),
        ("kept.toml", &kept),
        ("fails.toml", &whole.replace("cat >/dev/null", "cat >/dev/null; exit 3")),
        ("absent.toml", &whole.replace("'sh', '-c', ", "")),
        ("missing.toml", &whole.replace("in-${PIN}.csv", "${PIN}")),
        ("column.toml", &whole.replace("'*_${PIN}'", "'a${PIN}'")),
        ("wrong.toml", &whole.replace("above = 1\nname", "above = 'x${PIN}'\nname")),
        ("loop.toml", &whole.replace("'out.csv'", "'in-${PIN}.csv'")),
        ("folder.toml", &whole.replace("'out.csv'", "'${PIN}/out.csv'")),
    ] {
        write(name, pipeline);
    }
    fs::write(folder.path().join("4821396574"), "no folder").expect("written");
    for arguments in [
        &["explain", "p.toml"][..],
        &["validate", "p.toml"],
        &["run", "p.toml", "--report", "report.json", "--timings", "--progress", "always"],
        &["run", "kept.toml", "--state", "state", "--report", "kept.json"],
        &["run", "kept.toml", "--state", "state"],
        &["run", "kept.toml", "--record", "day.rec"],
        &["replay", "kept.toml", "--from", "day.rec"],
        &["run", "p.toml", "--report", "-"],
        &["run", "fails.toml"],
        &["run", "absent.toml"],
        &["run", "missing.toml"],
        &["validate", "missing.toml"],
        &["run", "column.toml"],
        &["validate", "wrong.toml"],
        &["run", "loop.toml"],
        &["run", "folder.toml"],
        &["state", "inspect", "state"],
        &["state", "inspect", "state", "--json"],
        &["verify", "kept.toml", "--rounds", "1"],
    ] {
        let said = said(folder.path(), arguments);
        assert_eq!(shown(&said), None, "{arguments:?}:\n{said}");
    }
    let state = fs::read_dir(folder.path().join("state")).expect("a folder");
    let state = state.map(|entry| entry.expect("an entry").path());
    let kept = ["report.json", "kept.json", "day.rec"].map(|name| folder.path().join(name));
    for path in state.chain(kept) {
        let bytes = String::from_utf8_lossy(&fs::read(&path).expect("there")).into_owned();
        // What is kept of columns is kept under their names, which are those of the output.
        let bytes = bytes.replace("line4821396574", "").replace("b_q7z", "").replace("ab9x\nk8vd", "");
        assert_eq!(shown(&bytes), None, "{}:\n{bytes}", path.display());
    }
}

#[test]
fn what_is_said_while_a_run_goes_on_has_it_as_little() {
    let folder = folder();
    fs::create_dir(folder.path().join("hunter2-XYZZY")).expect("a folder");
    let pipeline = "[source]\ntype = 'csv'\npath = '${WORD}/*.csv'\nfollow = true\n[[sink]]\ntype = 'csv'\npath = '${PIN}.csv'\n";
    fs::write(folder.path().join("p.toml"), pipeline).expect("written");
    let mut command = tidemill(folder.path());
    command.envs(SECRETS.iter().map(|(name, value, _)| (name, value)));
    let mut child = command.args(["run", "p.toml"]).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut said).expect("a line");
    child.kill().and_then(|()| child.wait()).expect("an end");
    assert!(said.starts_with("waiting until a file that matches `${WORD}/*.csv`"), "{said}");
}

#[test]
fn nothing_else_is_taken_for_it() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let rows: String = (0..12).map(|at| format!("2026-01-01 00:00:{at:02},s1,{at},\"1\",on\n")).collect();
    write(
        "in.csv",
        &format!("t,s,a,b,note\n{rows}2026-01-01 00:01:00,s1,x,1,`on\n2026-01-01 00:01:01,s1,1,\"x\",on\n"),
    );
    let pipeline = format!(
        "{SOURCE}[[stage]]\ntype = 'moving_average'\nwindow = 1\nmin_samples = '${{ONE}}'\n\
         [[sink]]\ntype = 'alert'\ncolumn = 'a'\nabove = '${{ONE}}'\nname = 'n${{TWO}}'\n[[sink]]\ntype = 'csv'\npath = 'out-${{TWO}}.csv'\n"
    );
    let literal = pipeline.replace("'${ONE}'", "1").replace("${TWO}", "2");
    let told = |name: &str, pipeline: &str| {
        write(name, pipeline);
        let mut command = tidemill(folder.path());
        command.envs([("ONE", "1"), ("TWO", "2"), ("S", "s1")]);
        let output = command.args(["run", name, "--report", "report.json"]).output().expect("it runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = fs::read_to_string(folder.path().join("report.json")).expect("a report");
        let mut report: Value = serde_json::from_str(&report).expect("JSON");
        let mut report = report["report"].take();
        without_times(&mut report);
        let said = text(&output.stderr);
        let counted = said
            .lines()
            .filter(|line| !line.contains("/s") && !line.contains('%') && !line.contains("share"));
        (report.to_string(), counted.map(str::to_owned).collect::<Vec<_>>().join("\n"))
    };
    let (given, plain) = (told("given.toml", &pipeline), told("plain.toml", &literal));
    // The rule's name is an option, and stands in every line of the log.
    let plain =
        (plain.0.replace("alert n2:", "alert n${TWO}:"), plain.1.replace("alert n2:", "alert n${TWO}:"));
    assert_eq!(given, plain);
    let ledger: BTreeMap<String, Value> = serde_json::from_str(&given.0).expect("JSON");
    assert!(ledger["rejects"]["first"][0]["line"] == 14, "{ledger:?}");
}

/// What is left is the same for the same run.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.contains("seconds") && name != "latencies" && name != "threads");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(list) => list.iter_mut().for_each(without_times),
        _ => {}
    }
}
