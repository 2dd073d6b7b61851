//! Whatever is wrong with a value that the environment has given, no piece of it is quoted in what is said about it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidemill::RunOptions;
use tidemill::options::Diagnostic;
use tidemill::pipeline::{Spec, SpecError, Wrong};
use tidemill::source::OpenOptions;
use tidemill_engine::executor;

use super::command::folder;
use super::secrets::{INPUT, options, pipeline};

/// What secrets are made of: no three of these letters stand beside one another in any word.
const LETTERS: &str = "qzxjkwvQ";

/// Secrets with something wrong in them, for all ways to read an option.
#[rustfmt::skip]
const SECRETS: &[&str] = &[
    // Durations and numbers.
    "5qzxjkwv", "5m3qzxjkwv", "9.5qzx", "-qzxjkwv", "1e5qzx",
    // Patterns of times, moments, zones, encodings.
    "%Qzxjkwv", "%Y-%m-%d qzxjkwv", "%Y-%m-%dT%H:%M:%S %qzx", "qzxjkwv%", "%Y%m%d%qzx", "%-q", "%.qzx", "%:q",
    "2026-13-45Tqzxjkwv", "2026-01-01Tqzxj", "Europe/Qzxjkwv", "+25:qzxj", "+01:00qzx", "utf-qzxj",
    // Templates and patterns of names.
    "{qzxjkwv}", "{qzxjkwv", "qzx}jkwv", "{a}-{qzxjkwv}", "{column}{qzxjkwv}", "{sensor}{sensor}qzxjkwv", "{}qzxjkwv",
    "[qzxjkwv", "qzx[z-a]jkwv", "qzx{jkwv", "**qzx", "{qzx,{jkwv}", "qzx\\", "[!qzx",
    // Paths, archives, addresses, paths in objects.
    "qzxj/kwvz/xq.csv", "./qzxj/kwvz/", "/proc/qzxj/kwvz", "in.csv/qzxjkwv", "qzxj*/kwvz.csv", "in*/qzxjkwv/x.csv", "../qzxjkwv",
    "in.zip/qzxjkwv.csv", "qzx.zip/jkwv.csv", "in.csv/*/qzx",
    "tcp://qzxj:kwvz", "tcp://qzxj", "tcp-listen://qzxj:kwvz", "udp://qzxj:kw:vz", "unix://qzxj/kwvz", "unix:///proc/qzxj/kwvz", "qzxj://kwvz",
    "qzxj.kwvz.x", "qzxj..kwvz", "qzxj.1.kwvz", "qzxj kwvz", "qz\nxj", "qz,xj;kw", "q",
];

/// How they stand in an option.
const WRITTEN: &[&str] = &["${SECRET}", "o${SECRET}", "${SECRET}/o"];

/// The piece of a secret that `text` shows: a few letters anywhere, or any that are quoted.
fn shown(text: &str) -> Option<String> {
    let is_of_secret = |letter: char| LETTERS.contains(letter);
    let mut words = text.split(|letter: char| !is_of_secret(letter));
    let word = words.find(|word| word.len() > 2);
    let quoted = ['`', '"', '\''].into_iter().flat_map(|quote| text.split(quote).skip(1).step_by(2));
    let is_piece = |quoted: &&str| {
        let mut letters = quoted.chars().filter(|letter| letter.is_alphabetic()).peekable();
        letters.peek().is_some() && letters.all(is_of_secret)
    };
    word.or_else(|| quoted.clone().find(is_piece)).map(str::to_owned)
}

/// What is said of a pipeline that cannot be planned, or run.
fn said(folder: &Path, pipeline: &str, secret: &'static str) -> String {
    let spec = Spec::new("p.toml", pipeline).with_base(folder);
    let spec = spec.with_variables(move |name| (name == "SECRET").then(|| secret.to_owned()));
    let resolved = match spec.plan(|pipeline| executor::columns(pipeline, &OpenOptions::default())) {
        Ok((resolved, _)) => resolved,
        Err(Wrong::Written(error)) => return told(&error),
        Err(Wrong::Other(error)) => return error.to_string(),
    };
    // What does not end is begun, and stopped.
    let stop = Arc::new(AtomicBool::new(!resolved.pipeline.traits().is_bounded));
    match resolved.pipeline.run_with(&RunOptions { stop, ..RunOptions::default() }, &mut ()) {
        Ok(report) => report.remarks.join("\n"),
        Err(error) => resolved.locate(error).map_or_else(|error| error.to_string(), |error| told(&error)),
    }
}

/// The same without the lines of the pipeline file.
fn told(error: &SpecError) -> String {
    let told = |one: &Diagnostic| format!("{}; {}", one.message, one.help.as_deref().unwrap_or_default());
    error.diagnostics.iter().map(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_piece_of_a_value_is_said_whatever_is_wrong_with_it() {
    let mut cases = Vec::new();
    // What a console is given is data. No value is so high that an alert goes to the log.
    for (component, option, value) in options().into_iter().filter(|(of, ..)| of.name != "console") {
        // A third of the secrets for each option, and others than for the option before.
        for secret in SECRETS.iter().skip(cases.len() % 3).step_by(3) {
            let written = value.replace('@', WRITTEN[cases.len() % WRITTEN.len()]);
            cases.push((pipeline(component, &option, &written).replace("above = 2", "above = 99"), *secret));
        }
    }
    assert!(cases.len() > 3000, "options are found: {}", cases.len());
    let leak = |(pipeline, secret): &(String, &'static str)| {
        let folder = folder();
        fs::write(folder.path().join("in.csv"), INPUT).expect("written");
        let said = said(folder.path(), pipeline, secret);
        // Its name is made up.
        let said = said.replace(folder.path().to_str().expect("UTF-8"), "");
        shown(&said).map(|piece| format!("`{piece}` of {secret:?}:\n{pipeline}\n{said}"))
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|cases| scope.spawn(|| cases.iter().filter_map(leak).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    let first = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n----\n");
    assert!(wrong.is_empty(), "{} of {}:\n{first}", wrong.len(), cases.len());
}
