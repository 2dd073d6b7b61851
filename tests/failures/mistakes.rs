//! Mistakes in a pipeline file: all of them are reported at once, each at its line, and none hides another.

use super::command::{run, text};
use super::rig::{CSV, bench};

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
