//! The paths of rolled files: what they must look like, and that no other part reads or writes such files.

use tidemill::{ErrorKind, Pipeline, RunOptions};

use super::place::{PLAIN, Place};

#[test]
fn what_a_path_that_rolls_must_look_like_is_said() {
    let place = Place::new();
    for (path, what) in [
        ("out/all.csv", "no {epoch}"),
        ("out/{", "a `{` without"),
        ("out/{what}-{epoch}.csv", "unknown placeholder {what}"),
        ("{date}/../{epoch}.csv", "leads out of"),
        ("", "names no file"),
        ("-", "standard output"),
        ("/dev/null", "no {epoch}"),
    ] {
        for kind in ["csv", "jsonl", "dead_letter", "parquet"] {
            let sink = format!("type = '{kind}'\npath = '{path}'\nroll = {{ every = '1h' }}");
            let sink = format!("[[sink]]\ntype = 'null'\n[[sink]]\n{sink}");
            let error = place.run(&sink, &PLAIN).expect_err(path);
            assert_eq!(error.kind(), ErrorKind::Config, "{kind}, {path}: {error}");
            assert!(
                error.to_string().contains(what) && error.to_string().contains("{hour}-{epoch}.csv"),
                "{kind}, {path}: {error}"
            );
        }
    }
    let error = |sink: &str| {
        place.run(&format!("[[sink]]\ntype = 'null'\n{sink}"), &PLAIN).expect_err(sink).to_string()
    };
    let of_rejects =
        error("[[sink]]\ntype = 'dead_letter'\npath = '@/{date}-{epoch}.jsonl'\nroll = { every = '1h' }");
    assert!(of_rejects.contains("no time column"), "{of_rejects}");
    assert!(
        error("[[sink]]\ntype = 'csv'\npath = '@/{epoch}.csv'\nroll = {}")
            .contains("neither `every` nor `size`")
    );
    assert!(error("[[sink]]\ntype = 'csv'\npath = '@/{epoch}.csv'\nroll = { ever = '1h' }").contains("ever"));
}

#[test]
fn files_that_roll_are_nobody_elses() {
    let place = Place::new();
    let sink = |path: &str| format!("[[sink]]\ntype = 'csv'\npath = '@/{path}'\n");
    let roll = "roll = { every = '1h' }\n";
    for other in [
        sink("out/{epoch}.csv") + roll,
        sink("out/0000000007.csv"),
        sink("./out/0000000007.csv"),
        sink("out/.0000000007.csv.part-1-2"),
    ] {
        let error = place.run(&(sink("out/{epoch}.csv") + roll + &other), &PLAIN).expect_err(&other);
        assert!(
            error.to_string().contains("is both the output of sink 0 (csv) and the output of sink 1 (csv)"),
            "{error}"
        );
    }
    // An input that a sink would write over.
    std::fs::rename(place.at("in.csv"), place.at("0000000001.csv")).expect("renamed");
    let pipeline = format!(
        "[source]\ntype = 'csv'\npath = '@/0000000001.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\n{}{roll}",
        sink("{epoch}.csv")
    );
    let pipeline = pipeline.replace('@', place.0.path().to_str().expect("UTF-8"));
    let error = Pipeline::from_toml(&pipeline).expect("a pipeline").run().expect_err("an input");
    assert!(error.to_string().contains("is both the input and the output of sink 0 (csv)"), "{error}");
}

#[test]
fn a_glob_leaves_rolled_files_out() {
    let place = Place::new();
    let toml = "[source]\ntype = 'csv'\npath = '@/**/*.csv'\ntime = 't'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 0.5\n\
        [[sink]]\ntype = 'csv'\npath = '@/out/{date}/{epoch}.csv'\nroll = { size = '2kB' }\n";
    let toml = toml.replace('@', place.0.path().to_str().expect("UTF-8"));
    let run = || {
        let mut options = RunOptions::default();
        options.open.chunk_size = 700;
        Pipeline::from_toml(&toml).expect("a pipeline").run_with(&options, &mut ()).expect("a run")
    };
    let first = run().sources.remove(0).ledger;
    assert!(place.files("out").len() > 3);
    assert_eq!(run().sources.remove(0).ledger, first);
}

#[test]
fn a_file_with_the_highest_number_there_is_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("18446744073709551615.csv"), "").expect("written");
    let toml = "[source]\ntype = 'synthetic'\nrecords = 10\n[[sink]]\ntype = 'csv'\npath = '{epoch}.csv'\nroll = { size = '1KiB' }\n";
    let error = Pipeline::from_toml(toml).expect("a pipeline").with_base(folder.path()).run();
    let error = error.expect_err("no number is left").to_string();
    assert!(error.contains("18446744073709551615.csv has the highest possible number"), "{error}");
}
