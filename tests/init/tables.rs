//! Tables: what `init` guesses, and what it says that it could not.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::command::{folder, run, text};
use super::{STAMPS, init, instants, records, understood};

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
fn many_columns_are_not_all_named() {
    let folder = folder();
    let names: Vec<String> = (0..50).map(|at| format!("c{at}")).collect();
    let content = format!("time,{}\n{},{}\n", names.join(","), STAMPS[0], vec!["1"; 50].join(","));
    let (pipeline, said) = init(folder.path(), &[("in.csv", &content)], "in.csv");
    assert!(said.contains("`c19`, and 30 more\n") && said.contains("c18 = 1, and 31 more\n"), "{said}");
    assert!(pipeline.contains("\"c49\""), "{pipeline}");
}
