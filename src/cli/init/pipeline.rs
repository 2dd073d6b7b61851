//! The pipeline file.

use std::fmt::Write;

use super::found::InputsFound;
use crate::cli::guess::{FileKind, Guess};
use tidemill_core::error::is_obeyed;
use tidemill_core::stage::parameters_of;

const HEAD: &str = "# A first pipeline. `tidemill run` runs it, `tidemill explain` describes it,\n\
                    # `tidemill schema COMPONENT --markdown` lists the options of a component.\n\n[source]\n";

const STAGES: &str = "\n# Scales every series to 0…1 by its minimum and maximum, from a first pass: remove the `#` to use it.\n\
                      #[[stage]]\n#type = \"normalize\"\n#method = \"min_max\"\n#fit = true\n\
                      \n[[stage]]\n# Adds a column with the mean of the last 20 values. `window = \"5m\"` would be a duration.\n\
                      type = \"moving_average\"\nwindow = 20\n";

/// Writes it.
pub(super) fn text(found: &InputsFound) -> String {
    let guess = &found.guess;
    let mut text = String::from(HEAD);
    source(&found.paths, guess, &mut text);
    threshold(guess, &mut text);
    if !guess.roles.measurements.is_empty() {
        text += STAGES;
    }
    let name = found.first.as_ref().and_then(|first| first.file_name()).unwrap_or_default();
    let name = name.to_string_lossy();
    let _ = write!(
        text,
        "\n[[sink]]\ntype = \"parquet\"\npath = {}\n\n[[sink]]\n# Shows the first records.\ntype = \"console\"\nlimit = 10\n",
        quoted(&output(&name))
    );
    text
}

/// The output file: never the input, even if that is itself the output of such a pipeline.
fn output(data: &str) -> String {
    let stem = data.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("data");
    let name = format!("{stem}.clean.parquet");
    if name == data { format!("{stem}.clean.clean.parquet") } else { name }
}

fn source(paths: &[String], guess: &Guess, text: &mut String) {
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("type", &quoted(name(guess.kind)));
    line(
        "path",
        &match paths {
            [only] => quoted(only),
            several => list(several.iter().map(String::as_str)),
        },
    );
    if let Some(encoding) = guess.encoding {
        line("encoding", &quoted(&encoding.to_lowercase()));
    }
    if guess.kind == FileKind::Delimited {
        dialect(guess, &mut line);
    }
    if let Some(layout) = guess.layout {
        line("layout", &quoted(layout));
    }
    if let Some(array) = &guess.unfold {
        line("unfold", &quoted(array));
    }
    if let Some(precision) = guess.precision {
        line("precision", &quoted(precision));
    }
    if guess.kind == FileKind::Influx {
        line("measurements", &list(guess.roles.measurements.iter().map(|&at| guess.names[at].as_str())));
    } else {
        columns(guess, &mut line);
        zone(guess, text);
        relative(guess, text);
        useless(guess, text);
    }
}

fn name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Delimited => "csv",
        FileKind::Json => "jsonl",
        FileKind::Influx => "influx",
        FileKind::Parquet => "parquet",
    }
}

/// What the columns are.
fn columns(guess: &Guess, line: &mut impl FnMut(&str, &str)) {
    let roles = &guess.roles;
    let names = |columns: &[usize]| list(columns.iter().map(|&at| guess.names[at].as_str()));
    if let Some(time) = &roles.time {
        match time.columns.as_slice() {
            [only] => line("time", &quoted(&guess.names[*only])),
            several => line("time", &names(several)),
        }
        if !time.format.is_empty() {
            line("time_format", &quoted(&time.format));
        }
        if !time.zones.is_empty() {
            let zones = time.zones.iter().map(|(name, offset)| format!("{name} = {}", quoted(offset)));
            line("zones", &format!("{{ {} }}", zones.collect::<Vec<_>>().join(", ")));
        }
        if time.newest_first {
            line("order", "\"newest_first\"");
        }
    }
    match (roles.sensor.as_slice(), guess.station.as_ref().or(guess.series.as_ref())) {
        ([], Some(station)) => line("sensor_name", &quoted(station)),
        ([], None) => {}
        ([only], _) => line("sensor", &quoted(&guess.names[*only])),
        (several, _) => {
            let parts: Vec<String> = several.iter().map(|&at| format!("{{{}}}", guess.names[at])).collect();
            line("sensor", &quoted(&parts.join("-")));
        }
    }
    if !roles.measurements.is_empty() {
        line("measurements", &names(&roles.measurements));
    }
    if guess.differs {
        line("unknown_columns", "\"null\"");
    }
    let texts = |texts: &[String]| list(texts.iter().map(String::as_str));
    if !roles.null_values.is_empty() {
        line("null_values", &texts(&roles.null_values));
    }
    // `true` and `false` need no option.
    if roles.true_words.iter().any(|word| word != "true") {
        line("true_words", &texts(&roles.true_words));
        line("false_words", &texts(&roles.false_words));
    }
    if roles.decimal_comma {
        line("decimal", "\",\"");
    }
    if let Some(mark) = roles.thousands {
        line("thousands", &quoted(&mark.to_string()));
    }
    if !roles.units.is_empty() {
        let unit = |(at, unit): &(usize, &str)| format!("{} = {}", quoted(&guess.names[*at]), quoted(unit));
        line(
            "unit_suffixes",
            &format!("{{ {} }}", roles.units.iter().map(unit).collect::<Vec<_>>().join(", ")),
        );
    }
}

/// The time zone of times without an offset.
fn zone(guess: &Guess, text: &mut String) {
    let Some(time) = guess.roles.time.as_ref().filter(|time| time.is_local) else { return };
    let _ = match &time.zone {
        Some(zone) => writeln!(
            text,
            "# The file gives their time zone as {}.\ntimezone = {}",
            quoted(&zone.said),
            quoted(&zone.option)
        ),
        None => writeln!(
            text,
            "# The file does not give a time zone: UTC is assumed. If it is another one, enter it and remove the `#`.\n\
             #timezone = \"Europe/Berlin\""
        ),
    };
}

/// How to give the start of relative times.
fn relative(guess: &Guess, text: &mut String) {
    let Some(relative) = &guess.roles.relative else { return };
    let (name, format) = (quoted(&guess.names[relative.column]), quoted(&relative.format));
    let _ = writeln!(
        text,
        "# {name} counts from a start that the data do not give: enter it and remove the `#`.\n\
         #time = {name}\n#time_format = {format}\n#start = \"2024-01-01T00:00:00Z\""
    );
}

/// How to leave out columns without information; unreadable ones are left out.
fn useless(guess: &Guess, text: &mut String) {
    let roles = &guess.roles;
    if roles.useless.is_empty() && guess.unreadable.is_empty() {
        return;
    }
    for (at, why) in &roles.useless {
        let _ = writeln!(text, "# {} {why}.", quoted(&guess.names[*at]));
    }
    let is_text = |at: &usize| {
        let is_time = roles.time.as_ref().is_some_and(|time| time.columns.contains(at));
        let is_useless = roles.useless.iter().any(|(useless, _)| useless == at);
        !is_time && !is_useless && !roles.sensor.contains(at) && !roles.measurements.contains(at)
    };
    let kept = list((0..guess.names.len()).filter(is_text).map(|at| guess.names[at].as_str()));
    let _ = match guess.unreadable.as_slice() {
        [] => writeln!(
            text,
            "# Remove the `#` to read only the time, the sensor, the measurements and these columns.\n#columns = {kept}"
        ),
        unreadable => {
            let names = list(unreadable.iter().map(String::as_str));
            writeln!(
                text,
                "# Besides time, sensor and measurements: all columns except {names}, whose bytes are not text.\ncolumns = {kept}"
            )
        }
    };
}

/// Options of the dialect that differ from the defaults.
fn dialect(guess: &Guess, line: &mut impl FnMut(&str, &str)) {
    let dialect = &guess.dialect;
    let byte = |byte: u8| quoted(&char::from(byte).to_string());
    match dialect.delimiter {
        _ if dialect.is_said || dialect.widths.is_some() => {}
        b',' => {}
        b' ' => line("delimiter", "\"blanks\""),
        other => line("delimiter", &byte(other)),
    }
    if let Some(widths) = &dialect.widths {
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        line("widths", &format!("[{}]", widths.join(", ")));
    } else if dialect.quote != b'"' {
        line("quote", &byte(dialect.quote));
    }
    if let Some(comment) = dialect.comment {
        line("comment", &byte(comment));
    }
    let layout = &dialect.layout;
    let rows = [
        ("skip_lines", layout.skip_lines),
        ("header_row", layout.header_row),
        ("units_row", layout.units_row),
        ("data_row", layout.data_row),
    ];
    for (option, row) in rows {
        if let Some(row) = row {
            line(option, &row.to_string());
        }
    }
    if let Some(ragged) = layout.ragged {
        line("ragged", &quoted(ragged));
    }
    if !dialect.has_header {
        line("header", "false");
        line("names", &list(guess.names.iter().map(String::as_str)));
    }
}
/// A threshold for the first measurement, as a comment: only the user knows which values are impossible.
fn threshold(guess: &Guess, text: &mut String) {
    let ranges =
        guess.roles.measurements.iter().zip(&guess.roles.ranges).filter(|(_, range)| range.0 <= range.1);
    for (number, (&at, (low, high))) in ranges.enumerate() {
        if number == 0 {
            text.push_str(
                "\n# Drops impossible values. The bounds here are the range at the beginning of the data;\n\
                 # enter those of the sensor and remove the `#`.\n",
            );
        }
        let columns = list([guess.names[at].as_str()].into_iter());
        let columns = columns.replace('\n', " ");
        let _ = write!(
            text,
            "#[[stage]]\n#type = \"threshold\"\n#columns = {columns}\n#min = {}\n#max = {}\n",
            toml::Value::from(*low),
            toml::Value::from(*high)
        );
    }
}

/// Text as TOML, in one line; `${` would be a variable.
fn quoted(text: &str) -> String {
    let json = parameters_of(&text.replace("${", "$${")).to_string();
    // A JSON string is a TOML string, except that TOML also wants DEL escaped. Control and formatting characters could hide the content.
    let mut quoted = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            _ if !is_obeyed(letter) => quoted.push(letter),
            _ => quoted += &format!("\\U{:08x}", u32::from(letter)),
        }
    }
    quoted
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_never_the_input() {
        assert_eq!(output("a.b.csv"), "a.clean.parquet");
        assert_eq!(output(".csv"), "data.clean.parquet");
        assert_eq!(output("a.clean.parquet"), "a.clean.clean.parquet");
    }

    #[test]
    fn any_text_is_quoted_as_toml() {
        for text in
            ["a", "a\"b\\c", "tab\t nl\n del\u{7f} esc\u{1b} nul\u{0}", "ü€", "'", "\u{202e}a\u{2028}\u{9b}"]
        {
            let table: toml::Table = format!("a = {}", quoted(text)).parse().expect("TOML");
            assert_eq!(table["a"].as_str(), Some(text));
        }
        assert_eq!(quoted("${x}"), "\"$${x}\"");
        assert_eq!(quoted("a\u{202e}b\u{2028}\u{7f}"), r#""a\U0000202eb\U00002028\U0000007f""#);
    }
}
