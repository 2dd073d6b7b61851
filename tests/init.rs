//! What `init` makes of tables as tools write them: the pipeline reads all of their records, unedited, or says what it could not tell.

#[path = "common/command.rs"]
mod command;
#[path = "common/packers.rs"]
#[expect(dead_code, reason = "archives alone are packed here")]
mod packers;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray};
use command::{folder, run, text};
use parquet::arrow::ArrowWriter;

const STAMPS: [&str; 3] = ["2024-03-01 10:00:00", "2024-03-01 10:01:00", "2024-03-01 10:02:00"];

/// Writes files into `folder`, lets `init` look at `input`, and gives its pipeline and what it said.
fn init(folder: &Path, files: &[(&str, &str)], input: &str) -> (String, String) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, content).expect("written");
    }
    let output = run(folder, &["init", input, "-o", "init.toml", "--force"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("does not fit"), "{said}");
    (std::fs::read_to_string(folder.join("init.toml")).expect("a pipeline"), said)
}

/// The records that the source of a pipeline reads, as lines of JSON.
fn records(folder: &Path, pipeline: &str) -> Vec<String> {
    let pipeline: toml::Table = pipeline.parse().expect("TOML");
    let mut own = toml::Table::new();
    own.insert("source".into(), pipeline["source"].clone());
    std::fs::write(folder.join("p.toml"), format!("{own}\n[[sink]]\ntype = 'jsonl'\npath = '-'\n"))
        .expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// The lines of the first records as `init` understood them.
fn understood(said: &str) -> Vec<String> {
    let lines = said.lines().skip_while(|line| !line.contains("as they were understood")).skip(1);
    lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn tables_are_read_by_what_was_guessed() {
    let [t1, t2, t3] = STAMPS;
    let cases: [(&str, String, &[&str]); 8] = [
        (
            "a title and a blank line",
            format!("My logger\n\ntime,a,b\n,V,mA\n{t1},0,0.5\n{t2},1,0.75\n{t3},1,0.75\n"),
            &["2024-03-01T10:00:00Z, a = 0, b = 0.5", "2024-03-01T10:01:00Z, a = 1, b = 0.75"],
        ),
        (
            "a time in parts",
            "Year,DOY,HHMM,v\n2024,61,905,1.5\n2024,61,2400,2\n".to_owned(),
            &["2024-03-01T09:05:00Z, v = 1.5", "2024-03-02T00:00:00Z, v = 2"],
        ),
        (
            "halves of the day",
            "Date,Time,AMPM,v\n03/13/2024,01:00:00,PM,1\n03/13/2024,02:00:00,PM,2\n".to_owned(),
            &["2024-03-13T13:00:00Z, v = 1", "2024-03-13T14:00:00Z, v = 2"],
        ),
        (
            "offsets",
            "date,time,tz,v\n2024-03-13,01:00:00,+01:00,1\n2024-03-13,02:00:00,+01:00,2\n".to_owned(),
            &["2024-03-13T00:00:00Z, v = 1", "2024-03-13T01:00:00Z, v = 2"],
        ),
        (
            "names in a comment",
            "#YY  MM DD hh mm WDIR WSPD\n#yr  mo dy hr mn degT m/s\n2024 03 01 09 50 210 7.5\n2024 03 01 10 00 220 8.25\n".to_owned(),
            &["2024-03-01T09:50:00Z, WDIR = 210, WSPD = 7.5", "2024-03-01T10:00:00Z, WDIR = 220, WSPD = 8.25"],
        ),
        (
            "digits alone",
            "STATION;MESS_DATUM;TT;V\n44;2024022800;1.5;-999\n44;2024022801;-999;-999\n44;2024022802;2.5;-999\n".to_owned(),
            &["2024-02-28T00:00:00Z, 44, TT = 1.5", "2024-02-28T01:00:00Z, 44, TT = null"],
        ),
        (
            "no seconds",
            "time,t\n2024-03-13T09:05,1\n2024-03-13T09:10,2\n".to_owned(),
            &["2024-03-13T09:05:00Z, t = 1", "2024-03-13T09:10:00Z, t = 2"],
        ),
        (
            "several quantities",
            format!("time,sensor,quantity,value\n{t1},a,temp,20\n{t1},b,hum,50\n{t2},a,temp,21\n{t2},b,hum,51\n"),
            &["2024-03-01T10:00:00Z, a-temp, value = 20", "2024-03-01T10:00:00Z, b-hum, value = 50"],
        ),
    ];
    for (name, content, first) in cases {
        let folder = folder();
        let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
        assert_eq!(understood(&said)[..2], *first, "{name}: {said}");
        let lines = content.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).count();
        assert_eq!(records(folder.path(), &pipeline).len(), lines, "{name}: {pipeline}");
    }
}

#[test]
fn a_folder_is_read_whole_and_what_is_left_out_is_said() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    let files = [
        ("daily/2024-03-01.csv", day(1)),
        ("daily/2024-03-02.CSV", day(2)),
        ("daily/2024-03-03.csv", day(3)),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let (pipeline, said) = init(folder.path(), &files, "daily");
    assert!(pipeline.contains("path = \"daily\"") && said.contains("of 3 files"), "{pipeline}{said}");
    let all = records(folder.path(), &pipeline);
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|record| record.contains("\"sensor\":\"daily\"")), "{all:?}");
    // A note among them, which the folder would take for data.
    let (pipeline, said) =
        init(folder.path(), &[("daily/notes.txt", "all is well\n"), ("daily/x.xls", "-")], "daily");
    assert!(
        said.contains("left out: daily/notes.txt: ") && said.contains("left out: daily/x.xls: "),
        "{said}"
    );
    assert_eq!(records(folder.path(), &pipeline).len(), 6);
    let (pipeline, said) = init(folder.path(), &[("daily/bad.csv", "nothing\n")], "daily");
    assert!(said.contains("left out: daily/bad.csv: "), "{said}");
    assert_eq!(records(folder.path(), &pipeline).len(), 6);
}

#[test]
fn what_no_options_read_is_refused() {
    let folder = folder();
    let refused = |files: &[(&str, &str)], input: &str, code: i32| {
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        let output = run(folder.path(), &["init", input]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0));
        text(&output.stderr)
    };
    let twice = "time,v\n2024-03-01 10:00:00,1,5\n2024-03-01 10:01:00,1,75\n";
    assert!(
        refused(&[("in.csv", twice)], "in.csv", 65)
            .contains("its header has 2 names, and its records have 3 fields")
    );
    let decimals = |mark: &str| format!("time;v\n{};1{mark}5\n{};1{mark}75\n", STAMPS[0], STAMPS[1]);
    let said = refused(&[("a.txt", &decimals(",")), ("b.txt", &decimals("."))], "?.txt", 64);
    assert!(said.contains("one has decimal commas, the other decimal points"), "{said}");
}

#[test]
fn times_that_count_from_a_start_are_shown_how_to_set_it() {
    let folder = folder();
    let rows: String = (0..8).map(|row| format!("{},{}\n", row * 10, 20 + row % 3)).collect();
    let (pipeline, said) = init(folder.path(), &[("in.csv", &format!("elapsed,temp\n{rows}"))], "in.csv");
    assert!(
        said.contains("`elapsed` counts from some start") && said.contains("measurements: `temp`\n"),
        "{said}"
    );
    let edited = pipeline.replace("\n#time", "\ntime").replace("\n#start", "\nstart");
    assert_ne!(edited, pipeline);
    let edited: toml::Table = edited.parse().expect("TOML");
    assert_eq!(edited["source"]["start"].as_str(), Some("2024-01-01T00:00:00Z"));
    assert_eq!(records(folder.path(), &edited.to_string()).len(), 8);
}

#[test]
fn a_column_that_would_refuse_all_records_is_left_out() {
    let folder = folder();
    let blobs: Vec<&[u8]> = vec![&[0xff, 0xfe], &[0x80]];
    let times = StringArray::from(STAMPS[..2].to_vec());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(times)),
        ("blob", Arc::new(BinaryArray::from(blobs))),
        ("note", Arc::new(StringArray::from(vec!["x", "y"]))),
        ("v", Arc::new(Float64Array::from(vec![1.5, 2.5]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let file = std::fs::File::create(folder.path().join("in.parquet")).expect("made");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    let (pipeline, said) = init(folder.path(), &[], "in.parquet");
    assert!(said.contains("`blob` has bytes that are no text, and is left out"), "{said}");
    let records = records(folder.path(), &pipeline);
    assert_eq!(records.len(), 2, "{pipeline}");
    assert!(records[0].contains("\"note\":\"x\"") && !records[0].contains("blob"), "{records:?}");
}

#[test]
fn files_of_archives_are_named_by_globs() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    for (name, days) in [("a.zip", [1, 2]), ("b.zip", [3, 4])] {
        let members: Vec<_> = days.iter().map(|&at| (format!("logs/{at}.csv"), day(at))).collect();
        let members: Vec<_> = members.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
        std::fs::write(folder.path().join(name), packers::zip(&members)).expect("written");
    }
    for (input, count) in [
        ("*.zip", 8),
        ("a.zip", 4),
        ("a.zip/logs/*.csv", 4),
        ("*.zip/logs/*.csv", 8),
        ("b.zip/logs/3.csv", 2),
    ] {
        let (pipeline, said) = init(folder.path(), &[], input);
        assert!(
            pipeline.contains(&format!("path = \"{input}\"")) && said.contains("measurements: `v`"),
            "{pipeline}{said}"
        );
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{input}");
    }
    let none = run(folder.path(), &["init", "a.zip/*.tsv"]);
    assert!(!none.status.success() && text(&none.stderr).contains("a.zip"), "{}", text(&none.stderr));
}

#[test]
fn data_that_are_there_twice_are_read_once_or_told_of() {
    let folder = folder();
    let content = "time,v\n2024-03-01T00:00:00Z,1\n2024-03-01T01:00:00Z,2.5\n";
    let (_, alone) = init(folder.path(), &[("data/a.csv", content)], "data/a.csv");
    std::fs::write(folder.path().join("data/a.csv.xz"), packers::xz(content.as_bytes())).expect("written");
    let (pipeline, said) = init(folder.path(), &[], "data");
    assert!(said.contains("left out: data/a.csv.xz: it has the same as data/a.csv"), "{said}");
    assert!(pipeline.contains("path = \"data/*.csv\""), "{pipeline}");
    assert_eq!(understood(&said), understood(&alone));
    let output = run(folder.path(), &["init", "data/*"]);
    let said = text(&output.stderr);
    assert!(said.contains("check: data/a.csv.xz has the same as data/a.csv, packed otherwise"), "{said}");
}

#[test]
fn a_json_text_sequence_is_read() {
    let folder = folder();
    let rows: String =
        (0..3).map(|at| format!("\u{1e}{{\"time\":\"{}\",\"v\":{at}}}\n", STAMPS[at])).collect();
    let (pipeline, said) = init(folder.path(), &[("in.json", &rows)], "in.json");
    assert!(said.contains("format: JSON") && said.contains("measurements: `v`"), "{said}");
    assert_eq!(records(folder.path(), &pipeline).len(), 3);
}

#[test]
fn fields_of_fixed_places_are_found_by_the_blanks_between() {
    let folder = folder();
    let rows = [
        ["hall 1", "1.5", "3"],
        ["hall 2", "", "10.5"],
        ["", "2.5", "4"],
        ["big hall", "-12.25", "5"],
        ["hall 2", "3.5", ""],
        ["hall 1", "4", "6"],
    ];
    let line = |[time, place, temp, flow]: [&str; 4]| format!("{time:<21}{place:<10}{temp:>7}{flow:>6}\n");
    let mut content = line(["time", "place", "temp", "flow"]);
    for (at, [place, temp, flow]) in rows.iter().enumerate() {
        content += &line([&format!("2024-03-01 10:0{at}:00"), place, temp, flow]);
    }
    let (pipeline, said) = init(folder.path(), &[("in.txt", &content)], "in.txt");
    assert!(pipeline.contains("widths = [") && said.contains("fields have fixed places"), "{pipeline}{said}");
    let pipeline = pipeline.replace("sensor = \"place\"\n", "");
    let records = records(folder.path(), &pipeline);
    assert_eq!(records.len(), 6, "{pipeline}");
    assert!(records[1].contains("\"temp\":null,\"flow\":10.5"), "{records:?}");
    // Where blanks show nothing, that is said.
    let solid: String = (0..8).map(|at| format!("0029029070999992024010{at}0{at}00\n")).collect();
    std::fs::write(folder.path().join("solid.txt"), solid).expect("written");
    let output = run(folder.path(), &["init", "solid.txt"]);
    assert!(
        text(&output.stderr).contains("fields of fixed places cannot be told apart"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_zone_of_times_is_the_one_that_the_file_says_or_utc_is_said_to_be_assumed() {
    let folder = folder();
    let [t1, t2, t3] = STAMPS;
    let of = |name: &str| format!("\"{name}\",v\n{t1},1\n{t2},2\n{t3},3\n");
    let (pipeline, said) = init(folder.path(), &[("in.csv", &of("Timestamp (UTC+5:30)"))], "in.csv");
    assert!(
        pipeline.contains("\ntimezone = \"+05:30\"\n") && said.contains("in the zone +05:30"),
        "{pipeline}{said}"
    );
    assert_eq!(records(folder.path(), &pipeline).len(), 3);
    let (pipeline, said) = init(folder.path(), &[("in.csv", &of("time"))], "in.csv");
    assert!(pipeline.contains("UTC is assumed") && pipeline.contains("\n#timezone = "), "{pipeline}");
    assert!(said.contains("UTC is assumed"), "{said}");
    let (pipeline, said) = init(folder.path(), &[("in.csv", &of("Time [CST]"))], "in.csv");
    assert!(
        pipeline.contains("\n#timezone = ") && said.contains("that of several places"),
        "{pipeline}{said}"
    );
}
