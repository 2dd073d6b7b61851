//! `tidemill init`: looks at data files and writes a first pipeline for them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::exit::Outcome;
use super::guess::{self, Guess, Kind};
use super::output;
use super::summary::plural;
use crate::error::{Error, Result, visible};
use crate::executor;
use crate::pipeline::Spec;
use crate::pipeline::touched::{self, Touched};
use crate::source::{OpenOptions, beginning, parquet_sample};
use crate::stage::parameters_of;

pub(super) fn init(args: &InitArgs) -> Outcome {
    let mut names = args.data.iter().map(|path| path_text(path)).collect::<Result<Vec<_>>>()?;
    let (first, guess) = first_look(&args.data[0])?;
    if args.data[0].is_dir() {
        names[0] = files_like(&args.data[0], &first);
    }
    let text = pipeline(&names, &first, &guess);
    let output = args.output.iter().map(|path| Touched::written(path, "the pipeline file"));
    let data = args.data.iter().map(|path| Touched::read(path, "the data"));
    touched::check(&data.chain(output).collect::<Vec<_>>())?;
    match &args.output {
        Some(path) => output::file(path, &text, args.force)?,
        None => output::data(&text)?,
    }
    tell(&first, &guess);
    check(&text);
    Ok(())
}

fn path_text(path: &Path) -> Result<String> {
    match path.to_str() {
        Some("-") => Err(Error::usage("a first look needs a file, not standard input").with_help(
            "save some of the data in a file, and put `-` as `path` into the pipeline afterwards",
        )),
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::usage(format!("the name of {} is not UTF-8", path.display()))
            .with_help("rename it: a pipeline file is UTF-8 text")),
    }
}

/// A look at the file; of a folder, at the first file in it that has measurements.
fn first_look(path: &Path) -> Result<(PathBuf, Guess)> {
    if !path.is_dir() {
        return Ok((path.to_owned(), look(path)?));
    }
    let name = &path.display().to_string();
    let looks_like_data = |file: PathBuf| {
        let guess = look(&file).ok()?;
        (!guess.roles.measurements.is_empty()).then_some((file, guess))
    };
    let none = || {
        Error::unavailable(format!("the folder {name} has no data files"))
            .with_help("name the files, or a folder with .csv, .tsv, .txt, .jsonl or .parquet files")
    };
    let entries = std::fs::read_dir(path).map_err(|error| Error::io("read the folder", name, &error))?;
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_data_file(path)).collect();
    files.sort();
    files.into_iter().find_map(looks_like_data).ok_or_else(none)
}

fn is_data_file(path: &Path) -> bool {
    path.is_file() && EXTENSIONS.contains(&extension(path).split('.').next().unwrap_or_default())
}

/// What data files end in, before `.gz` or `.zst`.
const EXTENSIONS: [&str; 7] = ["csv", "tsv", "txt", "jsonl", "ndjson", "json", "parquet"];

/// The end of a file's name, that of packing included: `csv.gz`.
fn extension(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.trim_end_matches(".gz").trim_end_matches(".zst");
    stem.rfind('.').map_or("", |dot| &name[dot + 1..])
}

/// A glob for the files of a folder that end as `file` does.
fn files_like(folder: &Path, file: &Path) -> String {
    let folder = glob::Pattern::escape(&folder.display().to_string());
    format!("{}/*.{}", folder.trim_end_matches('/'), extension(file))
}

fn look(path: &Path) -> Result<Guess> {
    let bytes = beginning(path, guess::SAMPLE)?;
    if bytes.starts_with(b"PAR1") {
        return parquet(path);
    }
    if bytes.contains(&0) {
        return Err(Error::data(format!("{} is neither text nor Parquet", path.display()))
            .with_help("name a file of delimited text, JSON Lines or Parquet"));
    }
    let guess = guess::guess(&bytes, bytes.len() < guess::SAMPLE);
    if guess.names.is_empty() {
        return Err(Error::data(format!("{} has no records to look at", path.display()))
            .with_help("name a file that has some"));
    }
    Ok(guess)
}

/// A Parquet file says itself where its records are.
fn parquet(path: &Path) -> Result<Guess> {
    let (names, records) = parquet_sample(path, PARQUET_SAMPLE)?;
    let mut guess = guess::of_records(Kind::Parquet, names, &records);
    // That of times stored as such, and the usual one.
    if let Some((_, format)) = guess.roles.time.as_mut().filter(|(_, format)| format == "rfc3339") {
        format.clear();
    }
    Ok(guess)
}

/// How many records of a Parquet file are looked at.
const PARQUET_SAMPLE: usize = 1000;

/// The pipeline file.
fn pipeline(paths: &[String], first: &Path, guess: &Guess) -> String {
    let mut text = String::from(
        "# A first pipeline. `tidemill run` runs it, `tidemill explain` says what it would do,\n\
         # `tidemill schema COMPONENT --markdown` has the options of a component.\n\n[source]\n",
    );
    source(paths, guess, &mut text);
    threshold(guess, &mut text);
    if !guess.roles.measurements.is_empty() {
        text += "\n[[stage]]\n# Every series to 0…1, by its own lowest and highest value: a first pass finds them.\n\
                 type = \"normalize\"\nmethod = \"min_max\"\nfit = true\n";
        text += "\n[[stage]]\n# The mean of a value and the 19 before it, as a further column. `window = \"5m\"` would be a time.\n\
                 type = \"moving_average\"\nwindow = 20\n";
    }
    let stem = first.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("data");
    let _ = write!(
        text,
        "\n[[sink]]\ntype = \"parquet\"\npath = {}\n\n[[sink]]\n# The first records, to look at.\ntype = \"console\"\nlimit = 10\n",
        quoted(&format!("{stem}.clean.parquet"))
    );
    text
}

fn source(paths: &[String], guess: &Guess, text: &mut String) {
    let names = |columns: &[usize]| list(columns.iter().map(|&at| guess.names[at].as_str()));
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line(
        "type",
        match guess.kind {
            Kind::Delimited => "\"csv\"",
            Kind::JsonLines => "\"jsonl\"",
            Kind::Parquet => "\"parquet\"",
        },
    );
    line(
        "path",
        &match paths {
            [only] => quoted(only),
            several => list(several.iter().map(String::as_str)),
        },
    );
    if guess.kind == Kind::Delimited {
        dialect(guess, &mut line);
    }
    let roles = &guess.roles;
    if let Some((at, format)) = &roles.time {
        line("time", &quoted(&guess.names[*at]));
        if !format.is_empty() {
            line("time_format", &quoted(format));
        }
    }
    if let Some(at) = roles.sensor {
        line("sensor", &quoted(&guess.names[at]));
    }
    if !roles.measurements.is_empty() {
        line("measurements", &names(&roles.measurements));
    }
    if !roles.null_values.is_empty() {
        line("null_values", &list(roles.null_values.iter().map(String::as_str)));
    }
    if roles.decimal_comma {
        line("decimal", "\",\"");
    }
}

/// What is not as usual.
fn dialect(guess: &Guess, line: &mut impl FnMut(&str, &str)) {
    let dialect = &guess.dialect;
    let byte = |byte: u8| quoted(&char::from(byte).to_string());
    if dialect.delimiter != b',' {
        line("delimiter", &byte(dialect.delimiter));
    }
    if dialect.quote != b'"' {
        line("quote", &byte(dialect.quote));
    }
    if let Some(comment) = dialect.comment {
        line("comment", &byte(comment));
    }
    if !dialect.has_header {
        line("header", "false");
        line("names", &list(guess.names.iter().map(String::as_str)));
    }
}

/// A threshold for the first measurement, as a comment: which values are impossible, only people know.
fn threshold(guess: &Guess, text: &mut String) {
    let ranges =
        guess.roles.measurements.iter().zip(&guess.roles.ranges).filter(|(_, range)| range.0 <= range.1);
    for (number, (&at, (low, high))) in ranges.enumerate() {
        if number == 0 {
            text.push_str(
                "\n# What cannot be true is dropped. The bounds here are what the beginning of the data has;\n\
                 # put in those of the sensor, and take the `#` away.\n",
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
    // A JSON string is a TOML string, except that TOML also wants DEL escaped.
    parameters_of(&text.replace("${", "$${")).to_string().replace('\u{7f}', "\\u007f")
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// Says what was guessed.
fn tell(path: &Path, guess: &Guess) {
    let name = |at: usize| format!("`{}`", guess.names[at].escape_debug());
    let roles = &guess.roles;
    let mut lines = match guess.kind {
        Kind::Parquet => vec![format!("looked at the columns of {}", path.display())],
        _ => vec![format!("looked at {} of {}", plural(guess.records as u64, "record"), path.display())],
    };
    lines.push(match guess.kind {
        Kind::Delimited => {
            let header = if guess.dialect.has_header { "a header" } else { "no header" };
            let decimal = if roles.decimal_comma { "comma" } else { "point" };
            let delimiter = char::from(guess.dialect.delimiter);
            format!("format: delimited by {delimiter:?}, {header}, decimal {decimal}")
        }
        Kind::JsonLines => "format: JSON Lines".to_owned(),
        Kind::Parquet => "format: Parquet".to_owned(),
    });
    lines.push(match &roles.time {
        Some((at, format)) if format.is_empty() => format!("time: {}", name(*at)),
        Some((at, format)) => {
            format!("time: {}, written as {format}; without an offset it is UTC", name(*at))
        }
        None => "time: none found; set `time` in [source] if there is one".to_owned(),
    });
    if let Some(other) = roles.other_format {
        lines.push(format!("  it could also be {other}: check `time_format`"));
    }
    lines.push(match roles.sensor {
        Some(at) => format!("sensor: {}", name(at)),
        None => "sensor: no column; each file is one sensor, named after the file".to_owned(),
    });
    lines.push(match roles.measurements.as_slice() {
        [] => "measurements: none found; name them in [source] `measurements`, and add stages".to_owned(),
        columns => {
            format!("measurements: {}", columns.iter().map(|&at| name(at)).collect::<Vec<_>>().join(", "))
        }
    });
    lines.iter().for_each(|line| output::note(&visible(line)));
}

/// Tries what was written against the data: whoever guesses should look again.
fn check(text: &str) {
    let plan = Spec::new("pipeline", text)
        .resolve()
        .map_err(Error::from)
        .and_then(|resolved| executor::plan(&resolved.pipeline, &OpenOptions::default()));
    if let Err(error) = plan {
        output::note(&format!("the pipeline does not fit the data yet: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_quoted_as_toml() {
        for text in ["a", "a\"b\\c", "tab\t nl\n del\u{7f} esc\u{1b} nul\u{0}", "ü€", "'"] {
            let table: toml::Table = format!("a = {}", quoted(text)).parse().expect("TOML");
            assert_eq!(table["a"].as_str(), Some(text));
        }
        assert_eq!(quoted("${x}"), "\"$${x}\"");
    }

    #[test]
    fn a_folder_becomes_a_glob() {
        assert_eq!(files_like(Path::new("a[b]/"), Path::new("a[b]/c.csv.gz")), "a[[]b[]]/*.csv.gz");
        assert_eq!(extension(Path::new("x/y.tar/z")), "");
    }
}
