use super::layout::LineLayout;
use super::*;

pub(super) fn of(text: &str) -> Guess {
    guess(text.as_bytes(), true)
}

pub(super) fn measured(guess: &Guess) -> Vec<&str> {
    guess.roles.measurements.iter().map(|&at| guess.names[at].as_str()).collect()
}

pub(super) fn time(guess: &Guess) -> Option<(&str, &str)> {
    guess.roles.time.as_ref().map(|time| (guess.names[time.columns[0]].as_str(), time.format.as_str()))
}

#[test]
fn a_series_without_a_sensor() {
    let guess = of("timestamp,value\n2013-07-04 00:00:00,69.88\n2013-07-04 01:00:00,71.22\n");
    assert_eq!(guess.kind, FileKind::Delimited);
    assert_eq!(guess.dialect, Dialect::default());
    assert_eq!(time(&guess), Some(("timestamp", "rfc3339")));
    assert_eq!((guess.roles.sensor.as_slice(), measured(&guess)), (&[][..], vec!["value"]));
}

#[test]
fn a_wide_file_with_semicolons_and_decimal_commas() {
    let guess = of("datetime;pressure;temperature;note\n\
                    01.02.2024 10:00:00;1,5;20,25;ok\n\
                    28.02.2024 10:00:01;NA;20,5;\n\
                    28.02.2024 10:00:02;2;20,75;\n");
    assert_eq!(guess.dialect.delimiter, b';');
    assert!(guess.roles.decimal_comma);
    assert_eq!(time(&guess), Some(("datetime", "%d.%m.%Y %H:%M:%S")));
    assert_eq!(measured(&guess), ["pressure", "temperature"]);
    assert_eq!(guess.roles.null_values, ["NA"]);
    assert_eq!(guess.roles.ranges, [(1.5, 2.0), (20.25, 20.75)]);
    assert_eq!(guess.roles.sensor, [0; 0]);
}

#[test]
fn a_long_file_with_sensors_and_epochs() {
    let guess = of("ts|sensorId|value\n1700000000000|a|1\n1700000000500|b|2\n1700000001000|a|3\n");
    assert_eq!(guess.dialect.delimiter, b'|');
    assert_eq!(time(&guess), Some(("ts", "ms")));
    assert_eq!((guess.roles.sensor.as_slice(), measured(&guess)), (&[1][..], vec!["value"]));
}

#[test]
fn numbers_name_sensors_only_where_the_name_says_so() {
    let rows = "1,10\n2,11\n1,12\n2,13\n";
    assert_eq!(of(&format!("station_id,flow\n{rows}")).roles.sensor, [0]);
    assert_eq!(of(&format!("speed,flow\n{rows}")).roles.sensor, [0; 0]);
    assert_eq!(measured(&of(&format!("speed,flow\n{rows}"))), ["speed", "flow"]);
}

#[test]
fn a_file_without_header_gets_names() {
    let guess = of("2024-01-01T00:00:00Z\t1.5\n2024-01-01T00:00:01Z\t2.5\n");
    assert!(!guess.dialect.has_header);
    assert_eq!(guess.dialect.delimiter, b'\t');
    assert_eq!(guess.names, ["column_1", "column_2"]);
    assert_eq!(time(&guess), Some(("column_1", "rfc3339")));
    assert_eq!(measured(&guess), ["column_2"]);
}

#[test]
fn day_and_month_are_told_apart_or_the_doubt_is_kept() {
    let with_day = |day: u8| of(&format!("time,v\n{day:02}/02/2024 10:00,1\n03/02/2024 11:00,2\n"));
    assert_eq!(time(&with_day(25)), Some(("time", "%d/%m/%Y %H:%M")));
    assert_eq!(with_day(25).roles.time.and_then(|time| time.other_format), None);
    assert_eq!(with_day(1).roles.time.and_then(|time| time.other_format).as_deref(), Some("%d/%m/%Y %H:%M"));
}

#[test]
fn json_lines_are_known_by_their_brace() {
    let guess = of(
        "{\"time\":\"2024-01-01T00:00:00Z\",\"tag\":\"7\",\"v\":1.5}\n{\"time\":\"2024-01-01T00:00:01Z\",\"tag\":\"8\",\"v\":null}\n{\"ti",
    );
    assert_eq!((guess.kind, guess.records), (FileKind::Json, 2));
    assert_eq!(time(&guess), Some(("time", "rfc3339")));
    assert_eq!((guess.roles.sensor.as_slice(), measured(&guess)), (&[1][..], vec!["v"]));
}

#[test]
fn comments_quotes_and_a_cut_record_do_no_harm() {
    let text = "# made by a logger\n'time';'v'\n'2024-01-01';1\n'2024-01-02';2\n'2024-";
    let guess = guess(text.as_bytes(), false);
    assert_eq!((guess.dialect.comment, guess.dialect.quote), (Some(b'#'), b'\''));
    assert_eq!((guess.records, measured(&guess)), (2, vec!["v"]));
}

#[test]
fn nothing_is_guessed_from_nothing() {
    for text in ["", "\n\n", "a", "\u{feff}"] {
        assert_eq!(measured(&of(text)), Vec::<&str>::new(), "{text:?}");
    }
}

#[test]
fn the_file_of_a_logger_says_where_its_names_are() {
    let guess = of(
        "\"TOA5\",\"Weir\",\"CR6\"\n\"TIMESTAMP\",\"RECORD\",\"Level\",\"Temp\"\n\"TS\",\"RN\",\"m\",\"C\"\n\
                    \"\",\"\",\"Avg\",\"Smp\"\n\"2023-05-01 00:00:00\",7,1.25,\"NAN\"\n\"2023-05-01 00:05:00\",8,1.5,11.5\n",
    );
    assert_eq!(time(&guess), Some(("TIMESTAMP", "rfc3339")));
    assert_eq!((measured(&guess), guess.records), (vec!["Level", "Temp"], 2));
    assert_eq!(guess.station.as_deref(), Some("Weir"));
    assert_eq!(
        (guess.roles.null_values, guess.dialect.layout),
        (vec!["NAN".to_owned()], LineLayout::default())
    );
    assert_eq!(guess.roles.useless, [(1, "numbers the records".to_owned())]);
}

#[test]
fn date_and_time_of_day_in_two_columns_are_one_time() {
    let guess = of("Nr,Day,Date,Clock,U\n1,Mon,03/04/2022,07:15:00,230\n2,Mon,13/04/2022,07:16:00,231\n");
    let time = guess.roles.time.expect("a time");
    assert_eq!((time.columns, time.format.as_str()), (vec![2, 3], "%d/%m/%Y %H:%M:%S"));
    assert_eq!(guess.first[0][0], "2022-04-03T07:15:00Z");
}

#[test]
fn lines_before_the_names_are_passed_over() {
    let guess = of(
        "device: kiln 4\nexported 2022-01-05\n\ntime;heat;draft\n;K;Pa\n2022-01-04 10:00;900,5;1\n2022-01-04 10:01;901;2,5\n",
    );
    let layout = LineLayout { header_row: Some(4), units_row: Some(5), ..LineLayout::default() };
    assert_eq!((guess.dialect.layout.clone(), guess.dialect.delimiter), (layout, b';'));
    assert_eq!((measured(&guess), guess.records), (vec!["heat", "draft"], 2));
}

#[test]
fn names_that_a_block_of_six_lines_is_about() {
    let guess = of("sep=;\nmade by a tool|with a version\n\n;No: 7;No: 7\n;2000123;2000123\n;Yield;Power\n\
                    dd/MM/yyyy HH:mm;kWh;kW\n22/07/2020 06:00;34,5;0,25\n22/07/2020 06:05;34,75;0,5\n");
    assert_eq!((guess.dialect.layout.header_row, guess.dialect.delimiter), (Some(7), b';'));
    assert!(guess.dialect.is_said && guess.roles.decimal_comma);
    assert_eq!(measured(&guess), ["kWh", "kW"]);
}

#[test]
fn one_odd_line_and_a_header_in_the_middle_do_no_harm() {
    let guess = of(
        "time,a,b\n2024-01-01T00:00:00Z,1,-\n2024-01-01T00:00:01Z,2,-\nnew file X.CSV\ntime,a,b\n2024-01-01T00:10:00Z,3,4\n",
    );
    assert_eq!((guess.records, measured(&guess)), (3, vec!["a", "b"]));
    assert_eq!(guess.roles.null_values, ["-"]);
}

#[test]
fn numbers_far_from_all_others_are_suspected() {
    let guess = of("time,v\n2024-01-01,7\n2024-01-02,-9999\n2024-01-03,8.5\n2024-01-04,-9999.0\n");
    assert_eq!((guess.roles.null_values, guess.roles.ranges), (vec!["-9999".to_owned()], vec![(7.0, 8.5)]));
    let once = of("time,v\n2024-01-01,7\n2024-01-02,9999\n2024-01-03,8.5\n");
    assert_eq!(once.roles.null_values, Vec::<String>::new());
    let within = of("time,v\n2024-01-01,-900\n2024-01-02,-999\n2024-01-03,-1100\n");
    assert_eq!(within.roles.null_values, Vec::<String>::new());
}

#[test]
fn words_for_yes_and_no_are_measurements() {
    let guess = of("time,entity,state\n2024-01-01T00:00:00Z,fan,On\n2024-01-01T00:10:00Z,fan,Off\n");
    assert_eq!((guess.roles.sensor.as_slice(), measured(&guess)), (&[1][..], vec!["state"]));
    assert_eq!(
        (guess.roles.true_words, guess.roles.false_words),
        (vec!["on".to_owned()], vec!["off".to_owned()])
    );
}

#[test]
fn days_of_spreadsheets_and_a_newest_record_that_comes_first() {
    assert_eq!(time(&of("date,v\n45001.25,1\n45001.5,2\n")), Some(("date", "excel")));
    let guess = of("time,v\n2024-01-03,1\n2024-01-02,2\n2024-01-01,3\n");
    assert!(guess.roles.time.expect("a time").newest_first);
}

#[test]
fn a_name_twice_and_a_trailing_delimiter() {
    let guess = of("Time,T,T,\n2024-01-01T00:00:00Z,1,2,\n2024-01-01T00:00:01Z,1,2,\n");
    assert_eq!(guess.names, ["Time", "T", "T_2"]);
}

#[test]
fn line_protocol_is_known_by_its_lines() {
    let guess = of("air,room=a temp=20.5,door=\"shut\" 1600000000\nair,room=b temp=21,n=3i 1600000060\n");
    assert_eq!(
        (guess.kind, guess.precision, measured(&guess)),
        (FileKind::Influx, Some("s"), vec!["temp", "n"])
    );
    assert_eq!(of("note\ntemp = 20 1\n").kind, FileKind::Delimited);
}

#[test]
fn json_as_an_array_or_over_several_lines() {
    for text in [
        "[{\"ts\":1600000000000,\"v\":\"1.5\"},\n {\"ts\":1600000001000,\"v\":\"\"}]",
        "{\n \"ts\": 1600000000000,\n \"v\": \"1.5\"\n}\n{\"ts\":1600000001000,\"v\":null}",
    ] {
        let guess = of(text);
        assert_eq!(
            (guess.kind, guess.records, time(&guess)),
            (FileKind::Json, 2, Some(("ts", "ms"))),
            "{text}"
        );
        assert_eq!(measured(&guess), ["v"]);
    }
}

#[test]
fn fields_of_nested_objects_have_dotted_names() {
    let guess = of(
        "{\"dev\":\"w\",\"at\":{\"time\":\"2024-01-01T00:00:00Z\",\"gw\":[{\"rssi\":1}]},\"data\":{\"T\":\"1.5\"}}\n\
                    {\"dev\":\"w\",\"at\":{\"time\":\"2024-01-01T00:01:00Z\",\"gw\":[]},\"data\":null}\n",
    );
    assert_eq!(time(&guess), Some(("at.time", "rfc3339")));
    assert_eq!((measured(&guess), guess.unfold.as_deref()), (vec!["data.T"], None));
    assert!(!guess.names.iter().any(|name| name == "data"));
}

#[test]
fn an_array_that_has_the_times_is_unfolded() {
    let guess = of("{\"site\":\"A\",\"readings\":[{\"t\":1600000000,\"v\":2},{\"t\":1600000060,\"v\":4}]}\n");
    assert_eq!((guess.unfold.as_deref(), guess.records), (Some("readings"), 2));
    assert_eq!((time(&guess), measured(&guess)), (Some(("readings.t", "s")), vec!["readings.v"]));
}

#[test]
fn files_that_no_options_read_together_are_told_apart() {
    let header = of("time,a\n2024-01-01T00:00:00Z,1\n");
    assert_eq!(header.differs_in(&of("2024-01-01T00:00:00Z,1\n")), Some("one has no header"));
    assert_eq!(header.differs_in(&of("time,a\n01.01.2024,1\n")), Some("their time formats differ"));
    assert_eq!(header.differs_in(&of("a,time\n1,2024-01-01T00:00:00Z\n")), None);
}

#[test]
fn columns_of_several_files_are_joined() {
    let mut first = of("time,a\n2024-01-01T00:00:00Z,1\n");
    first.join(of("time,a,b\n2024-02-01T00:00:00Z,1,NA\n2024-02-01T00:00:01Z,1,5\n"));
    assert!(first.differs);
    assert_eq!((measured(&first), first.roles.null_values.clone()), (vec!["a", "b"], vec!["NA".to_owned()]));
}

#[test]
fn numbers_in_groups_and_units_behind_them_are_found() {
    let guess = of(
        "Zeit;Leistung;Feuchte\n01.02.2024 10:00;1.234,5 kW;70 %\n01.02.2024 11:00;987,25 kW;71 %\n13.02.2024 12:00;1.987 kW;-\n",
    );
    assert_eq!((guess.roles.decimal_comma, guess.roles.thousands), (true, Some('.')));
    assert_eq!(
        (measured(&guess), guess.roles.units.clone()),
        (vec!["Leistung", "Feuchte"], vec![(1, "kW"), (2, "%")])
    );
    assert_eq!(guess.roles.ranges, [(987.25, 1987.0), (70.0, 71.0)]);
    assert_eq!(guess.roles.null_values, ["-"]);
    assert_eq!(guess.first[0][1..], ["Leistung = 1234.5".to_owned(), "Feuchte = 70".to_owned()]);
    let quoted = of("time,v\n2024-01-01T00:00:00Z,\"1,234.5\"\n2024-01-01T00:01:00Z,12\n");
    assert_eq!(
        (quoted.roles.decimal_comma, quoted.roles.thousands, measured(&quoted)),
        (false, Some(','), vec!["v"])
    );
}

#[test]
fn what_could_be_something_else_is_no_unit_and_no_group() {
    // Two units, a name that ends like one, a group that could be decimals.
    let guess = of(
        "time,a,b,c,d\n2024-01-01T00:00:00Z,1 V,5x,\"1,234\",12A\n2024-01-01T00:01:00Z,1 mV,6x,\"2,345\",13A\n",
    );
    assert_eq!(
        (measured(&guess), guess.roles.thousands, guess.roles.units.clone()),
        (Vec::<&str>::new(), None, vec![])
    );
}
