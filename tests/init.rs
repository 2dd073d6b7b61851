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

/// The instants of all records of one sensor that a pipeline reads, in order.
fn instants(folder: &Path, pipeline: &str) -> Vec<String> {
    let every = "\n[[stage]]\ntype = 'aggregate'\nevery = '1s'\nstatistics = ['count']\n";
    let pipeline: toml::Table = pipeline.parse().expect("TOML");
    let mut own = toml::Table::new();
    own.insert("source".into(), pipeline["source"].clone());
    std::fs::write(folder.join("p.toml"), format!("{own}{every}[[sink]]\ntype = 'csv'\npath = '-'\n"))
        .expect("written");
    let output = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let text = text(&output.stdout);
    let times = text.lines().flat_map(|line| line.split(',').filter(|field| field.ends_with('Z')));
    times.map(str::to_owned).collect()
}

/// The lines of the first records as `init` understood them.
fn understood(said: &str) -> Vec<String> {
    let lines = said.lines().skip_while(|line| !line.contains("the first records, as read")).skip(1);
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
        said.contains("`elapsed` counts from an unknown start") && said.contains("measurements: `temp`\n"),
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
    assert!(said.contains("`blob` has bytes that are not text, and is left out"), "{said}");
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
    assert!(said.contains("left out: data/a.csv.xz: it has the same content as data/a.csv"), "{said}");
    assert!(pipeline.contains("path = \"data/*.csv\""), "{pipeline}");
    assert_eq!(understood(&said), understood(&alone));
    let output = run(folder.path(), &["init", "data/*"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("check: data/a.csv.xz has the same content as data/a.csv, compressed differently"),
        "{said}"
    );
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
    assert!(pipeline.contains("widths = [") && said.contains("fields have fixed widths"), "{pipeline}{said}");
    let pipeline = pipeline.replace("sensor = \"place\"\n", "");
    let records = records(folder.path(), &pipeline);
    assert_eq!(records.len(), 6, "{pipeline}");
    assert!(records[1].contains("\"temp\":null,\"flow\":10.5"), "{records:?}");
    // Where blanks show nothing, that is said.
    let solid: String = (0..8).map(|at| format!("0029029070999992024010{at}0{at}00\n")).collect();
    std::fs::write(folder.path().join("solid.txt"), solid).expect("written");
    let output = run(folder.path(), &["init", "solid.txt"]);
    assert!(
        text(&output.stderr).contains("fixed-width fields cannot be separated"),
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
        pipeline.contains("\n#timezone = ") && said.contains("which several places use"),
        "{pipeline}{said}"
    );
}

#[test]
fn line_protocol_with_lines_that_are_none_is_line_protocol() {
    let folder = folder();
    let line = |at: u64, hum: &str| format!("air,room=a temp={at}.5,hum={hum} {}\n", 1_767_225_600 + at * 60);
    let lines = |odd: &[u64]| -> String {
        (0..12).map(|at| line(at, if odd.contains(&at) { "NaN" } else { "40" })).collect()
    };
    for (content, count, said_of) in [
        (lines(&[5]), 11, "1 of 12 lines is not line protocol, and is rejected: line 6 ("),
        (lines(&[3, 4]), 10, "2 of 12 lines are not line protocol, and are rejected: the first is line 4 ("),
        (format!("2026-01-01 some text\n{}", lines(&[])), 12, "1 of 13 lines is not line protocol"),
        (format!("{}2026-01-01 some text\n{}", line(0, "1"), line(1, "2")), 2, "1 of 3 lines is not line"),
    ] {
        let (pipeline, said) = init(folder.path(), &[("in.lp", &content)], "in.lp");
        assert!(said.contains("format: line protocol") && said.contains(said_of), "{said}");
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{pipeline}");
    }
    // So many that a run would not go on.
    let noisy: String =
        (0..30).map(|at| format!("{}{}", line(at, "1"), if at < 12 { "restart\n" } else { "" })).collect();
    let (_, said) = init(folder.path(), &[("in.lp", &noisy)], "in.lp");
    assert!(said.contains("on which a run fails unless `max_rejects` allows it"), "{said}");
}

#[test]
fn json_with_lines_that_are_none_is_json() {
    let folder = folder();
    let object = |at: usize| format!("{{\"time\":\"2024-03-01T10:{at:02}:00Z\",\"v\":{at}}}");
    let lines = |odd: &str| -> String {
        (0..12).map(|at| if at == 5 { format!("{odd}\n") } else { format!("{}\n", object(at)) }).collect()
    };
    let array = |between: &str| format!("[{}]", (0..12).map(object).collect::<Vec<_>>().join(between));
    for (content, count, said_of) in [
        (lines("{\"time\":\"2024-03-01"), 11, "1 of 12 values is not JSON, and is rejected: line 6 ("),
        (lines("{\"time\":null,\"v\":NaN}"), 11, "is rejected: line 6 ("),
        (
            format!("2024-03-01 started\n{}", lines(&object(5))),
            12,
            "1 of 13 values is not JSON, and is rejected: line 1 (",
        ),
        (array(",\n").replacen(":5}", ":}", 1), 11, "is rejected: line 6 ("),
        (array(",\n"), 12, "format: JSON\n"),
        (
            format!("{}\n{{\n\"time\":\"2024-03-01T11:00:00Z\",\n\"v\":1\n}}\n", object(0)),
            2,
            "read by layout = \"values\"",
        ),
    ] {
        let (pipeline, said) = init(folder.path(), &[("in.json", &content)], "in.json");
        assert!(said.contains("format: JSON") && said.contains("measurements: `v`\n"), "{content}{said}");
        assert!(said.contains(said_of), "{said}");
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{pipeline}");
    }
}

#[test]
fn json_that_is_longer_than_what_is_looked_at_is_json() {
    let folder = folder();
    let pad = "x".repeat(100);
    let object = |at: usize| {
        format!("{{\"time\":\"2024-03-01T10:{:02}:{:02}Z\",\"v\":{at},\"pad\":\"{pad}\"}}", at / 60, at % 60)
    };
    let objects: Vec<String> = (0..3000).map(object).collect();
    for (content, measurement) in [
        (format!("[{}]", objects.join(",")), "`v`"),
        (format!("[\n{}\n]\n", objects.join(",\n")), "`v`"),
        (
            format!("{{\"site\":\"A\",\"data\":{{\"readings\":[{}]}}}}", objects.join(", ")),
            "`data.readings.v`",
        ),
    ] {
        let (pipeline, said) = init(folder.path(), &[("in.json", &content)], "in.json");
        assert!(
            said.contains(&format!("measurements: {measurement}\n")) && !said.contains("check:"),
            "{said}"
        );
        assert_eq!(records(folder.path(), &pipeline).len(), 3000, "{pipeline}");
    }
}

#[test]
fn what_looks_like_data_and_is_none_is_refused() {
    let folder = folder();
    let refused = |content: &[u8]| {
        std::fs::write(folder.path().join("in.dat"), content).expect("written");
        let output = run(folder.path(), &["init", "in.dat"]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
        said
    };
    let python = "{'time': '2024-03-01T10:00:00Z', 'v': 1}\n".repeat(5);
    assert!(refused(python.as_bytes()).contains("it begins like JSON, but has no readable object; line 1: "));
    assert!(refused(b"[[1700000000,1.5],[1700000060,2.5]]").contains("a record must be an object"));
    let cells = "<tr><td>2024-03-01 10:00:00</td><td>1</td></tr>\n".repeat(5);
    assert!(refused(format!("<table>{cells}</table>").as_bytes()).contains("HTML or XML"));
    // As a tar archive begins.
    let tar = [&b"in.csv\0\0\0\x000644\0\0\0time,v\n"[..], b"2024-03-01 10:00:00,1\n2024-03-01 10:01:00,2\n"]
        .concat();
    assert!(refused(&tar).contains("bytes that are not text"));
    assert!(refused(b"\n  \n\n").contains("has no records"));
}

#[test]
fn the_first_records_are_shown_as_the_pipeline_reads_them() {
    let [t1, t2, t3] = STAMPS;
    let rows = format!("{t1},1\n{t2},2\n{t3},3\n");
    let zoned = |zones: [&str; 3]| -> String {
        STAMPS
            .iter()
            .zip(zones)
            .enumerate()
            .map(|(at, (time, zone))| format!("{time},{zone},{at}\n"))
            .collect()
    };
    let suffixed = |zone: &str| rows.replace(',', &format!(" {zone},"));
    for (content, first) in [
        (format!("time,v\n{rows}"), "2024-03-01T10:00:00Z"),
        (format!("Timestamp (UTC+1),v\n{rows}"), "2024-03-01T09:00:00Z"),
        (format!("time (CET/CEST),v\n{}", rows.replace("-03-", "-07-")), "2024-07-01T08:00:00Z"),
        (format!("time (GMT/BST),v\n{}", rows.replace("-03-", "-07-")), "2024-07-01T09:00:00Z"),
        (format!("Time zone: EST5EDT\n\ntime,v\n{rows}"), "2024-03-01T15:00:00Z"),
        (format!("time,tz,v\n{}", zoned(["CEST", "CET", "CET"])), "2024-03-01T08:00:00Z"),
        (format!("time,timezone,v\n{}", zoned(["Asia/Tokyo"; 3])), "2024-03-01T01:00:00Z"),
        (format!("time,v\n{}", suffixed("MESZ")), "2024-03-01T08:00:00Z"),
        (format!("time,v\nno time,1\n{rows}"), "2024-03-01T10:00:00Z"),
    ] {
        let folder = folder();
        let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
        let shown: Vec<String> = understood(&said)
            .iter()
            .filter_map(|record| Some(record.split(',').next()?.to_owned()))
            .collect();
        assert_eq!(shown[0], first, "{content}{said}");
        let mut shown = shown;
        shown.sort();
        assert_eq!(instants(folder.path(), &pipeline), shown, "{content}{pipeline}{said}");
    }
}

#[test]
fn what_lies_in_an_archive_beside_the_data_is_left_out() {
    let folder = folder();
    let day = |day: u8| format!("time,v\n2024-03-0{day}T00:00:00Z,{day}\n2024-03-0{day}T01:00:00Z,{day}.5\n");
    let (one, two) = (day(1), day(2));
    let readme = "This archive has the data of plant 7.\nSee the manual, page 3, for more.\n";
    let stations = "id,lat,lon\n1,48.1,11.2\n2,48.2,11.3\n3,47,11.5\n";
    let pack = |name: &str, members: &[(&str, &str)]| {
        let members: Vec<_> = members.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, packers::zip(&members)).expect("written");
    };
    pack("a.zip", &[("README.txt", readme), ("1.csv", &one), ("2.csv", &two)]);
    pack("b.zip", &[("README.txt", readme), ("logs/1.csv", &one), ("logs/2.csv", &two), ("x.pdf", "%PDF")]);
    pack("c.zip", &[("LICENSE", "as it is\n"), ("x/1.csv", &one), ("y/2.csv", &two)]);
    pack(
        "d.zip",
        &[("readme.txt", readme), ("data.txt", &one), ("stations.txt", stations), ("two.txt", &two)],
    );
    pack("m/1.zip", &[("README.txt", readme), ("1.csv", &one)]);
    pack("m/2.zip", &[("README.txt", readme), ("2.csv", &two)]);
    pack("f/1.csv.zip", &[("README.txt", readme), ("1.csv", &one)]);
    std::fs::write(folder.path().join("f/2.csv"), &two).expect("written");
    for (input, path, left_out) in [
        ("a.zip", "\"a.zip/*.csv\"", "a.zip/README.txt"),
        ("a.zip/*", "\"a.zip/*.csv\"", "a.zip/README.txt"),
        ("b.zip", "\"b.zip/logs/*.csv\"", "b.zip/x.pdf"),
        ("c.zip", "\"c.zip/**/*.csv\"", "c.zip/LICENSE"),
        ("d.zip", "[\"d.zip/data.txt\", \"d.zip/two.txt\"]", "d.zip/stations.txt"),
        ("m/*.zip", "\"m/*.zip/*.csv\"", "m/1.zip/README.txt"),
        ("f", "[\"f/1.csv.zip/*.csv\", \"f/2.csv\"]", "f/1.csv.zip/README.txt"),
    ] {
        let (pipeline, said) = init(folder.path(), &[], input);
        assert!(pipeline.contains(&format!("path = {path}\n")), "{input}: {pipeline}");
        assert!(said.contains(&format!("left out: {left_out}: ")), "{input}: {said}");
        assert_eq!(records(folder.path(), &pipeline).len(), 4, "{input}");
    }
    // Nothing but prose.
    pack("e.zip", &[("README.txt", readme), ("NOTES.txt", "all is well\n")]);
    let none = run(folder.path(), &["init", "e.zip"]);
    assert!(text(&none.stderr).contains("e.zip has no files with measurements"), "{}", text(&none.stderr));
}

#[test]
fn a_folder_of_files_that_are_called_otherwise_is_read() {
    for ending in ["json-seq", "log", "readings"] {
        let folder = folder();
        let day = |day: u8| -> String {
            (0..3)
                .map(|at| format!("\u{1e}{{\"time\":\"2024-03-0{day}T10:0{at}:00Z\",\"v\":{at}}}\n"))
                .collect()
        };
        let names = [1, 2].map(|day| format!("data/{day}.{ending}"));
        let (pipeline, said) = init(folder.path(), &[(&names[0], &day(1)), (&names[1], &day(2))], "data");
        assert!(pipeline.contains(&format!("path = \"data/*.{ending}\"")), "{pipeline}{said}");
        assert_eq!(records(folder.path(), &pipeline).len(), 6, "{pipeline}");
    }
    // A folder stands for those called `json-seq`, packed or not.
    let folder = folder();
    let row = |day: u8| format!("\u{1e}{{\"time\":\"2024-03-0{day}T10:00:00Z\",\"v\":1}}\n");
    let (first, second) = (row(1), row(2));
    std::fs::create_dir(folder.path().join("data")).expect("made");
    std::fs::write(folder.path().join("data/2.json-seq.xz"), packers::xz(second.as_bytes()))
        .expect("written");
    let (pipeline, _) = init(folder.path(), &[("data/1.json-seq", &first)], "data");
    assert!(pipeline.contains("path = \"data\""), "{pipeline}");
    assert_eq!(records(folder.path(), &pipeline).len(), 2);
}

#[test]
fn files_of_one_sort_are_those_with_the_same_names_whatever_they_have() {
    let folder = folder();
    let files = [
        ("data/1.csv", "time,v\n2024-03-01T00:00:00Z,1\n2024-03-01T01:00:00Z,2\n"),
        ("data/2.csv", "time,v\n2024-03-02T00:00:00Z,\n"),
        ("data/3.csv", "time,v\n"),
        ("data/sites.csv", "id,lat\n1,48.5\n2,47\n"),
    ];
    let (pipeline, said) = init(folder.path(), &files, "data");
    assert!(said.contains("left out: data/sites.csv: it has no time"), "{said}");
    assert!(pipeline.contains("path = [\"data/1.csv\", \"data/2.csv\", \"data/3.csv\"]"), "{pipeline}");
    assert_eq!(records(folder.path(), &pipeline).len(), 3);
}

#[test]
fn tables_in_odd_shapes_are_read_or_what_they_lack_is_said() {
    let row = |at: usize| format!("2024-03-01 10:{at:02}:00");
    let table = |header: &str, delimiter: char| -> String {
        let rows = (0..12).map(|at| format!("{}{delimiter}{at}.5{delimiter}{}\n", row(at), 40 + at));
        format!("{header}\n{}", rows.collect::<String>())
    };
    let plain = table("time,a,b", ',');
    let again = plain.replacen("2024-03-01 10:06", "time,a,b\n2024-03-01 10:06", 1);
    let in_quotes: String =
        (0..12).map(|at| format!("{},\"{at},5\",\"{},25\"\n", row(at), 40 + at)).collect();
    let twice: String =
        (0..12).map(|at| format!("{},{},{at}\n", 1_700_000_005 + at * 60, 1_700_000_000 + at * 60)).collect();
    let cases: [(&str, String, usize, &[&str]); 11] = [
        ("a tilde", table("time~a~b", '~'), 12, &["delimited by '~'", "measurements: `a`, `b`"]),
        ("a number sign", table("time#a#b", '#'), 12, &["delimited by '#'", "measurements: `a`, `b`"]),
        (
            "commas for two purposes, in quotes",
            format!("time,a,b\n{in_quotes}"),
            12,
            &["decimal comma", "measurements: `a`, `b`"],
        ),
        (
            "names that stand again",
            again,
            12,
            &["the header is repeated in 1 line, first in line 8: rejected"],
        ),
        (
            "a line of a log",
            plain.replacen("2024-03-01 10:06", "logger restarted\n2024-03-01 10:06", 1),
            12,
            &["1 of 13 records with more or fewer fields than there are columns, first in line 8"],
        ),
        (
            "a line of a log below the names",
            plain.replacen('\n', "\nlogger, restarted\n", 1),
            12,
            &["1 of 13 records with more or fewer fields"],
        ),
        (
            "a total at the end",
            format!("{plain}Total,78,546\n"),
            12,
            &["measurements: `a`, `b`", "such as \"Total\": rejected"],
        ),
        (
            "two epochs",
            format!("recv_ts,meas_ts,v\n{twice}"),
            12,
            &["time: `meas_ts`, written as s", "`recv_ts` has times too"],
        ),
        (
            "months",
            "month,v\n2024-01,1\n2024-02,2\n2024-03,3\n".into(),
            3,
            &["`month` has dates without a day"],
        ),
        (
            "an unclear zone",
            plain.replace(":00,", ":00 EST,"),
            12,
            &["in the zone EST, which several places use"],
        ),
        ("nothing but names", "time,a,b\n".into(), 0, &["there are no records yet"]),
    ];
    for (name, content, count, said_of) in cases {
        let folder = folder();
        let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
        for part in said_of {
            assert!(said.contains(part), "{name}: {part}: {said}");
        }
        assert!(!said.contains("units in line"), "{name}: {said}");
        assert_eq!(records(folder.path(), &pipeline).len(), count, "{name}: {pipeline}");
    }
    // Few records: one odd time among them does not hide the others, and one odd value is told of.
    let folder = folder();
    let few = "time,a,b\n2024-03-01 10:00:00,1,2\nno time,2,3\n2024-03-01 10:02:00,oops,4\n2024-03-01 10:03:00,4,5\n";
    let (pipeline, said) = init(folder.path(), &[("in.csv", few)], "in.csv");
    assert!(
        said.contains("time: `time`")
            && said.contains("`a` has numbers and \"oops\", and is carried as text"),
        "{said}"
    );
    assert_eq!(records(folder.path(), &pipeline).len(), 3, "{pipeline}");
}

#[test]
fn many_columns_are_not_all_named() {
    let folder = folder();
    let names: Vec<String> = (0..50).map(|at| format!("c{at}")).collect();
    let content = format!("time,{}\n{},{}\n", names.join(","), STAMPS[0], vec!["1"; 50].join(","));
    let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
    assert!(said.contains("`c19`, and 30 more\n") && said.contains("c18 = 1, and 31 more\n"), "{said}");
    assert!(pipeline.contains("\"c49\""), "{pipeline}");
}
