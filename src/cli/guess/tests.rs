use super::*;

fn of(text: &str) -> Guess {
    guess(text.as_bytes(), true)
}

fn measured(guess: &Guess) -> Vec<&str> {
    guess.roles.measurements.iter().map(|&at| guess.names[at].as_str()).collect()
}

fn time(guess: &Guess) -> Option<(&str, &str)> {
    guess.roles.time.as_ref().map(|(at, format)| (guess.names[*at].as_str(), format.as_str()))
}

#[test]
fn a_series_without_a_sensor() {
    let guess = of("timestamp,value\n2013-07-04 00:00:00,69.88\n2013-07-04 01:00:00,71.22\n");
    assert_eq!(guess.kind, Kind::Delimited);
    assert_eq!(guess.dialect, Dialect::default());
    assert_eq!(time(&guess), Some(("timestamp", "rfc3339")));
    assert_eq!((guess.roles.sensor, measured(&guess)), (None, vec!["value"]));
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
    assert_eq!(guess.roles.sensor, None);
}

#[test]
fn a_long_file_with_sensors_and_epochs() {
    let guess = of("ts|sensorId|value\n1700000000000|a|1\n1700000000500|b|2\n1700000001000|a|3\n");
    assert_eq!(guess.dialect.delimiter, b'|');
    assert_eq!(time(&guess), Some(("ts", "ms")));
    assert_eq!((guess.roles.sensor, measured(&guess)), (Some(1), vec!["value"]));
}

#[test]
fn numbers_name_sensors_only_where_the_name_says_so() {
    let rows = "1,10\n2,11\n1,12\n2,13\n";
    assert_eq!(of(&format!("station_id,flow\n{rows}")).roles.sensor, Some(0));
    assert_eq!(of(&format!("speed,flow\n{rows}")).roles.sensor, None);
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
    assert_eq!(with_day(25).roles.other_format, None);
    assert_eq!(with_day(1).roles.other_format, Some("%d/%m/%Y %H:%M"));
}

#[test]
fn json_lines_are_known_by_their_brace() {
    let guess = of(
        "{\"time\":\"2024-01-01T00:00:00Z\",\"tag\":\"7\",\"v\":1.5}\n{\"time\":\"2024-01-01T00:00:01Z\",\"tag\":\"8\",\"v\":null}\n{\"ti",
    );
    assert_eq!((guess.kind, guess.records), (Kind::JsonLines, 2));
    assert_eq!(time(&guess), Some(("time", "rfc3339")));
    assert_eq!((guess.roles.sensor, measured(&guess)), (Some(1), vec!["v"]));
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
