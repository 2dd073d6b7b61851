//! Columns as they occur in practice, in every format and with both decoders: composite, selected, renamed, missing.

use std::sync::Arc;

use super::columns::{ColumnOptions, Columns, Names, UnknownColumns, Unpivot, UnpivotNulls};
use super::csv::{Csv, Dialect};
use super::jsonl::{JsonLines, JsonOptions};
use super::{Format, Head, unpivoted};
use crate::batch::{Batch, Bytes, Column, Schema};
use crate::error::Result;
use crate::format::Chunk;
use crate::offset::Offset;
use crate::sensor::Sensors;

fn head(text: &str) -> Head<'_> {
    Head { name: "a", stem: "stem", bytes: text.as_bytes(), is_whole: true }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn csv(columns: &ColumnOptions) -> Csv {
    Csv::new(&Dialect::default(), columns).expect("good options")
}

fn json(columns: &ColumnOptions) -> JsonLines {
    JsonLines::new(&JsonOptions::default(), columns).expect("good options")
}

/// The records of a file after a line with the column names, then the rejection reasons; the same with both decoders.
fn read_as(format: &dyn Format, text: &str, schema: &Arc<Schema>) -> Result<Vec<String>> {
    let bound = format.bind(head(text), schema)?;
    let chunk = Chunk {
        sequence: 0,
        file: "a".into(),
        offset: Offset { file: 0, at: 0, line: 1 },
        bytes: Bytes::new(text.as_bytes()[bound.skip_bytes..].to_vec()),
        decoder: Arc::clone(&bound.decoder),
        witness: None,
        received: None,
    };
    let shown =
        |decode: fn(&Chunk, &mut dyn crate::sensor::SensorLookup) -> Result<crate::format::Decoded>| {
            let mut sensors = Sensors::default();
            let decoded = decode(&chunk, &mut sensors)?;
            let names: Vec<_> = schema.fields().iter().map(|field| &*field.name).collect();
            let records = (0..decoded.batch.len()).map(|row| record(&decoded.batch, row, &sensors));
            let rejects = decoded.rejections.iter().map(|rejection| rejection.reason.clone());
            Ok::<_, crate::error::Error>(
                [names.join(",")].into_iter().chain(records).chain(rejects).collect::<Vec<_>>(),
            )
        };
    let (fast, reference) = (shown(Chunk::decode)?, shown(Chunk::decode_by_reference)?);
    assert_eq!(fast, reference);
    Ok(fast)
}

fn read(format: &dyn Format, text: &str) -> Result<Vec<String>> {
    let schema = format.columns().declared(&format.schema(head(text))?)?;
    read_as(format, text, &Arc::new(schema))
}

fn record(batch: &Batch, row: usize, sensors: &Sensors) -> String {
    let text =
        |span| batch.text.get(span).map_or("-".to_owned(), |text| String::from_utf8_lossy(text).into_owned());
    let cell = |column: &Column| match column {
        Column::Time(time) => format!("{}={}", text(time.text[row]), time.values[row]),
        Column::Sensor(ids) => sensors.name(ids[row]).to_owned(),
        Column::F64(numbers) => numbers.get(row).map_or("null".to_owned(), |number| number.to_string()),
        Column::Text(spans) => text(spans[row]),
        other => format!("{other:?}"),
    };
    batch.columns().iter().map(cell).collect::<Vec<_>>().join(",")
}

#[test]
fn clause_1_a_time_and_a_sensor_are_put_together() {
    let options = ColumnOptions {
        time: Some(Names::Many(owned(&["Date", "Time"]))),
        sensor: Some("{model}-{id}".into()),
        ..ColumnOptions::default()
    };
    let text = "id,Date,v,Time,model\n7,2026-01-01, 1.5 , 10:00:00,PT\n8,2026-01-01,2,,PT\n,2026-01-02,3,11:00:00,PT\n";
    let expected = [
        "sensor,time,v",
        "PT-7,2026-01-01 10:00:00=2026-01-01T10:00:00Z,1.5",
        "no timestamp: `Time` is missing",
        "no sensor: `id` is missing",
    ];
    assert_eq!(read(&csv(&options), text).expect("readable"), expected);
    let lines = "{\"model\":\"PT\",\"id\":7,\"Date\":\"2026-01-01\",\"v\":1.5,\"Time\":\"10:00:00\"}\n\
        {\"model\":\"PT\",\"id\":8,\"Date\":\"2026-01-01\",\"v\":2}\n\
        {\"model\":\"PT\",\"Date\":\"2026-01-02\",\"Time\":\"11:00:00\",\"v\":3}\n";
    assert_eq!(read(&json(&options), lines).expect("readable"), expected);
    let message = read(&csv(&options), "id,Date,model\n").expect_err("no part").to_string();
    assert!(message.contains("no column `Time` (option `time`)"), "{message}");
    let clash = ColumnOptions { sensor: None, ..options };
    let message = read(&csv(&clash), "time,Date,Time\n").expect_err("a clash").to_string();
    assert!(message.contains("rename = { time = "), "{message}");
}

#[test]
fn clause_1_only_the_columns_that_are_asked_for_are_read() {
    let options = ColumnOptions {
        time: Some("t".into()),
        columns: Some(owned(&["T_*", "note"])),
        ..ColumnOptions::default()
    };
    let text = "t,T_1,P_1,note,T_2\n2026-01-01T00:00:00Z,1,\"\"\"x\"\"\",n,2\n2026-01-01T00:00:01Z,3,4,m,4\n";
    let expected = [
        "t,sensor,T_1,note,T_2",
        "2026-01-01T00:00:00Z=2026-01-01T00:00:00Z,stem,1,n,2",
        "2026-01-01T00:00:01Z=2026-01-01T00:00:01Z,stem,3,m,4",
    ];
    assert_eq!(read(&csv(&options), text).expect("readable"), expected);
    let line = |second: u8, v: u8, note: &str| {
        format!(
            "{{\"t\":\"2026-01-01T00:00:0{second}Z\",\"T_1\":{v},\"P_1\":{{}},\"note\":\"{note}\",\"T_2\":{}}}\n",
            v + 1
        )
    };
    let lines = line(0, 1, "n") + &line(1, 3, "m");
    assert_eq!(read(&json(&options), &lines).expect("readable"), expected);
    let wrong = ColumnOptions { columns: Some(owned(&["nte"])), ..options.clone() };
    let message = read(&csv(&wrong), text).expect_err("no such column").to_string();
    assert!(
        message.contains("`nte` (option `columns`)") && message.contains("did you mean `note`?"),
        "{message}"
    );
    let none = csv(&ColumnOptions { columns: Some(owned(&["X*"])), ..options });
    read(&none, text).expect("readable");
    assert_eq!(none.columns().remarks(), ["`X*` in `columns` matches no column"]);
}

#[test]
fn clause_1_all_options_speak_of_the_new_names() {
    let rename =
        [("Zeit", "t"), ("Wert", "v"), ("v", "old")].map(|(old, new)| (old.to_owned(), new.to_owned()));
    let options = ColumnOptions {
        time: Some("t".into()),
        measurements: Some(owned(&["v"])),
        columns: Some(owned(&["old"])),
        rename: rename.into(),
        ..ColumnOptions::default()
    };
    let expected = ["t,sensor,v,old", "2026-01-01T00:00:00Z=2026-01-01T00:00:00Z,stem,1,x"];
    assert_eq!(read(&csv(&options), "Zeit,Wert,v\n2026-01-01T00:00:00Z,1,x\n").expect("readable"), expected);
    let line = "{\"Zeit\":\"2026-01-01T00:00:00Z\",\"Wert\":1,\"v\":\"x\"}\n";
    assert_eq!(read(&json(&options), line).expect("readable"), expected);
}

#[test]
fn clause_1_names_that_repeat_are_numbered_and_said() {
    let format = csv(&ColumnOptions::default());
    let expected = ["sensor,Temp,Temp_2,column_3", "stem,1,2,3"];
    assert_eq!(read(&format, "Temp,Temp,\n1,2,3\n").expect("readable"), expected);
    assert_eq!(format.columns().remarks().len(), 2);
}

#[test]
fn clause_1_files_of_one_input_may_differ() {
    let options = |unknown_columns| ColumnOptions { unknown_columns, ..ColumnOptions::default() };
    let (first, second) = ("a,b\n1,2\n", "c,b\n3,4\n5,6\n");
    let schema = |format: &Csv| {
        let schemas = [first, second].map(|text| format.schema(head(text)).expect("columns"));
        let joined = format.columns().are_joined().then(|| Columns::joined(&schemas[0], &schemas[1]));
        Arc::new(joined.transpose().expect("columns").unwrap_or(schemas[0].clone()))
    };
    let strict = csv(&options(UnknownColumns::Error));
    let message = read_as(&strict, second, &schema(&strict)).expect_err("other columns").to_string();
    assert!(message.contains("column `c`") && message.contains("unknown_columns"), "{message}");
    let all = csv(&options(UnknownColumns::Null));
    assert_eq!(read_as(&all, first, &schema(&all)).expect("readable"), ["sensor,a,b,c", "stem,1,2,null"]);
    assert_eq!(
        read_as(&all, second, &schema(&all)).expect("readable")[1..],
        ["stem,null,4,3", "stem,null,6,5"]
    );
    let message = read_as(&all, "a,b,d\n1,2,3\n", &schema(&all)).expect_err("it comes too late").to_string();
    assert!(message.contains("column `d`") && message.contains("name it in `columns`"), "{message}");
    let few = csv(&options(UnknownColumns::Ignore));
    assert_eq!(
        read_as(&few, second, &schema(&few)).expect("readable"),
        ["sensor,a,b", "stem,null,4", "stem,null,6"]
    );
    assert_eq!(few.columns().remarks(), ["column `c` is left out: the first file does not have it"]);
}

#[test]
fn clause_1_a_column_that_no_file_has_yet_can_be_declared() {
    let options = ColumnOptions {
        time: Some("t".into()),
        measurements: Some(owned(&["v", "co2"])),
        columns: Some(owned(&["note"])),
        unknown_columns: UnknownColumns::Null,
        ..ColumnOptions::default()
    };
    let expected = ["t,sensor,v,co2,note", "2026-01-01T00:00:00Z=2026-01-01T00:00:00Z,stem,1,null,-"];
    assert_eq!(read(&csv(&options), "t,v\n2026-01-01T00:00:00Z,1\n").expect("readable"), expected);
    let message = read(&csv(&options), "v,co2\n1,2\n").expect_err("no time").to_string();
    assert!(message.contains("no column `t`"), "{message}");
}

#[test]
fn clause_3_units_behind_numbers_are_left_out() {
    let units = [("*", "V"), ("T_*", "°C")].map(|(column, unit)| (column.to_owned(), unit.to_owned()));
    let measurements = Some(owned(&["T_1", "U"]));
    let options = ColumnOptions { unit_suffixes: units.into(), measurements, ..ColumnOptions::default() };
    let expected = ["sensor,T_1,U", "stem,19.5,230", "stem,20,null", "\"1.5 kV\" is not a number"];
    assert_eq!(read(&csv(&options), "T_1,U\n19.5 °C,230V\n20,\n1,1.5 kV\n").expect("readable"), expected);
    let lines =
        "{\"T_1\":\"19.5 °C\",\"U\":\"230V\"}\n{\"T_1\":20,\"U\":null}\n{\"T_1\":1,\"U\":\"1.5 kV\"}\n";
    assert_eq!(read(&json(&options), lines).expect("readable"), expected);
}

#[test]
fn clause_3_booleans_are_1_and_0() {
    let options = ColumnOptions { measurements: Some(owned(&["door"])), ..ColumnOptions::default() };
    let expected = ["sensor,door", "stem,1", "stem,0"];
    assert_eq!(read(&csv(&options), "door\ntrue\nFalse\n").expect("readable"), expected);
    assert_eq!(read(&json(&options), "{\"door\":true}\n{\"door\":false}\n").expect("readable"), expected);
    // Without a declaration they keep their type.
    let default = ColumnOptions::default();
    assert_eq!(read(&csv(&default), "door\ntrue\n").expect("readable")[1..], ["stem,true"]);
    let words = |word: &str| Some(owned(&[word]));
    let own = ColumnOptions { true_words: words("on"), false_words: words("off"), ..default };
    assert_eq!(read(&csv(&own), "state\non\noff\n").expect("readable")[1..], ["stem,1", "stem,0"]);
}

fn wide(unpivot: Unpivot) -> ColumnOptions {
    ColumnOptions {
        time: Some("t".into()),
        time_format: "s".into(),
        measurements: Some(owned(&["TI*"])),
        unpivot: Some(unpivot),
        ..ColumnOptions::default()
    }
}

#[test]
fn clause_1_every_measurement_becomes_a_record_of_a_sensor_of_its_own() {
    let text = "t,TI1,note,TI2\n1,10,a,20\n2,x,b,21\n3,,c,22\n";
    let first = ["1=1970-01-01T00:00:01Z", "3=1970-01-01T00:00:03Z"];
    let [t1, t3] = first;
    let format = unpivoted(Arc::new(csv(&wide(Unpivot::default()))));
    let expected = [
        "t,sensor,note,value".to_owned(),
        format!("{t1},TI1,a,10"),
        format!("{t1},TI2,a,20"),
        format!("{t3},TI2,c,22"),
        "\"x\" is not a number".to_owned(),
    ];
    assert_eq!(read(&*format, text).expect("readable"), expected);
    let own = Unpivot { sensor: "{sensor}/{column}".into(), value: "v".into(), nulls: UnpivotNulls::Keep };
    let expected = [
        "t,sensor,v".to_owned(),
        format!("{t1},hall/TI1,10"),
        format!("{t1},hall/TI2,20"),
        format!("{t3},hall/TI1,null"),
        format!("{t3},hall/TI2,22"),
        "\"x\" is not a number".to_owned(),
    ];
    let options = ColumnOptions { sensor_name: Some("hall".into()), columns: Some(Vec::new()), ..wide(own) };
    assert_eq!(read(&*unpivoted(Arc::new(csv(&options))), text).expect("readable"), expected);
    let lines = "{\"t\":1,\"TI1\":10,\"TI2\":20}\n{\"t\":2,\"TI1\":\"x\",\"TI2\":21}\n{\"t\":3,\"TI1\":null,\"TI2\":22}\n";
    assert_eq!(read(&*unpivoted(Arc::new(json(&options))), lines).expect("readable"), expected);
}

#[test]
fn clause_1_records_with_few_of_many_columns_are_unpivoted() {
    let options = ColumnOptions {
        time: None,
        sensor: Some("s".into()),
        measurements: Some(owned(&["m*"])),
        unpivot: Some(Unpivot { sensor: "{sensor}.{column}".into(), ..Unpivot::default() }),
        ..ColumnOptions::default()
    };
    let lines: String = (0..60).map(|i| format!("{{\"s\":\"s{}\",\"m{i}\":{i}}}\n", i % 50)).collect();
    let read = read(&*unpivoted(Arc::new(json(&options))), &lines).expect("readable");
    let expected: Vec<String> = (0..60).map(|i| format!("s{}.m{i},{i}", i % 50)).collect();
    assert_eq!(read[0], "s,value");
    assert_eq!(read[1..], expected);
}

#[test]
fn clause_1_files_that_are_unpivoted_have_columns_of_their_own() {
    let format = unpivoted(Arc::new(csv(&wide(Unpivot::default()))));
    let schema = Arc::new(format.schema(head("t,TI1\n1,2\n")).expect("columns"));
    let rows = read_as(&*format, "TI9,t\n3,1\n", &schema).expect("readable");
    assert_eq!(rows, ["t,sensor,value", "1=1970-01-01T00:00:01Z,TI9,3"]);
    let message = read_as(&*format, "TI9,t,note\n3,1,x\n", &schema).expect_err("another text").to_string();
    assert!(message.contains("column `note`") && message.contains("unknown_columns"), "{message}");
}

#[test]
fn clause_1_named_measurements_are_unpivoted_from_the_first_record_on() {
    let named = |names: &[&str]| {
        let options = ColumnOptions { measurements: Some(owned(names)), ..wide(Unpivot::default()) };
        unpivoted(Arc::new(json(&options)))
    };
    let first = "{\"t\":1,\"TI2\":20}\n";
    let begun = Head { is_whole: false, ..head(first) };
    let format = named(&["TI1", "TI2"]);
    assert!(format.can_bind(begun));
    let schema = Arc::new(format.declared("a").expect("good options").expect("all named"));
    let rows = ["t,sensor,value", "1=1970-01-01T00:00:01Z,TI2,20"];
    assert_eq!(read_as(&*format, first, &schema).expect("readable"), rows);
    // A measurement missing from the first records is decoded once it occurs.
    let later = "{\"t\":1,\"TI2\":20}\n".repeat(1_000) + "{\"t\":2,\"TI2\":21,\"TI1\":11}\n";
    let read = read_as(&*format, &later, &schema).expect("readable");
    assert_eq!(read[1_001..], ["2=1970-01-01T00:00:02Z,TI1,11", "2=1970-01-01T00:00:02Z,TI2,21"]);
    // A glob needs a sample, which streams do not provide.
    let globs = named(&["TI*"]);
    assert!(!globs.can_bind(begun));
    assert!(format.check_streams().is_ok());
    let message = globs.check_streams().expect_err("a glob").to_string();
    assert!(message.contains("a glob is not enough"), "{message}");
    assert!(unpivoted(Arc::new(csv(&wide(Unpivot::default())))).check_streams().is_ok());
}

#[test]
fn clause_6_the_beginning_that_knows_the_columns_says_the_same_as_the_whole() {
    let lines = [
        "{\"t\":1,\"more\":\"x\",\"q\":2}\n",
        "[]\n",
        "no record\n",
        "{\"late\":null,\"t\":2,\"note\":null}\n",
        "{\"t\":3,\"p\":1,\"note\":\"n\",\"other\":4}\n",
        "{\"other\":{\"p\":1},\"t\":4,\"q\":5}\n",
    ];
    let columns = |measurements: &[&str], columns: Option<&[&str]>| ColumnOptions {
        time: Some("t".into()),
        sensor_name: Some("s".into()),
        measurements: Some(owned(measurements)),
        columns: columns.map(owned),
        ..ColumnOptions::default()
    };
    let whole = lines.concat();
    // The number of lines after which the columns are known.
    for (options, known) in [
        (columns(&["p", "q"], Some(&["note"])), Some(5)),
        (columns(&["q"], Some(&[])), Some(1)),
        (columns(&["q"], Some(&["note"])), Some(4)),
        (columns(&["p", "q"], Some(&["n*"])), None),
        (columns(&["p", "q"], None), None),
        (columns(&["p", "*"], Some(&[])), None),
    ] {
        let format = json(&options);
        let schema = format.schema(head(&whole)).expect("good records");
        for count in 0..=lines.len() {
            let begun = lines[..count].concat();
            let begun = Head { is_whole: false, ..head(&begun) };
            let is_known = format.knows_columns(begun, super::columns::SAMPLE);
            assert_eq!(is_known, known.is_some_and(|known| count >= known), "{options:?}: {count}");
            if is_known {
                assert_eq!(format.schema(begun).expect("good records"), schema, "{options:?}: {count}");
            }
        }
    }
}

#[test]
fn clause_1_what_unpivoting_needs_is_asked_for() {
    let error = |options: ColumnOptions| Columns::new(&options).expect_err("bad options").to_string();
    assert!(
        error(ColumnOptions { measurements: None, ..wide(Unpivot::default()) }).contains("`measurements`")
    );
    for sensor in ["x", "{column}{column}", "{column}{other}"] {
        let unpivot = Unpivot { sensor: sensor.into(), ..Unpivot::default() };
        assert!(error(wide(unpivot)).contains("`sensor`"), "{sensor}");
    }
    let merged = ColumnOptions { sensor: Some("note".into()), ..wide(Unpivot::default()) };
    assert!(error(merged).contains("contain {sensor}"));
    let clash = unpivoted(Arc::new(csv(&wide(Unpivot { value: "note".into(), ..Unpivot::default() }))));
    let message = clash.schema(head("t,TI1,note\n")).expect_err("a clash").to_string();
    assert!(message.contains("unpivot.value"), "{message}");
}
