//! The ways in which times are written.

use super::tests::{measured, of, time};

fn columns(text: &str) -> (Vec<String>, String) {
    let guess = of(text);
    let time = guess.roles.time.expect("a time");
    (time.columns.iter().map(|&at| guess.names[at].clone()).collect(), time.format)
}

#[test]
fn formats_of_tools() {
    for (first, second, format) in [
        ("2024-03-13T09:05", "2024-03-13T09:10", "rfc3339"),
        ("03/01/24 01:00:00 PM", "03/14/24 01:10:00 PM", "%m/%d/%y %I:%M:%S %p"),
        ("28/02/24 23:00", "28/02/24 23:10", "%d/%m/%y %H:%M"),
        ("13-Mar-24", "14-Mar-24", "%d-%b-%y"),
        ("01-Mar-24 10:00:00.123", "01-Mar-24 10:00:01.5", "%d-%b-%y %H:%M:%S%.f"),
        ("13-Mar-2024 10:00:00", "13-Mar-2024 10:00:10", "%d-%b-%Y %H:%M:%S"),
        ("2024.03.13", "2024.03.14", "%Y.%m.%d"),
        ("13 Mar 2024 09:05", "13 Mar 2024 09:10", "%d %b %Y %H:%M"),
        ("20240313090500", "20240313091000", "rfc3339"),
        ("202403130905", "202403130910", "%Y%m%d%H%M"),
        ("2024031309", "2024031310", "%Y%m%d%H"),
        ("20240313", "20240314", "%Y%m%d"),
        ("20240313T090500", "20240313T091000", "rfc3339"),
        ("Wed Mar 13 09:05:00 2024", "Wed Mar 13 09:05:10 2024", "%a %b %d %H:%M:%S %Y"),
        ("13.03.2024 09:05:00,5", "13.03.2024 09:05:01,5", "%d.%m.%Y %H:%M:%S%.f"),
    ] {
        let guess = of(&format!("time;v\n{first};1\n{second};2\n"));
        assert_eq!((time(&guess), measured(&guess)), (Some(("time", format)), vec!["v"]), "{first}");
    }
}

#[test]
fn digits_are_a_time_only_where_they_could_be_one() {
    let guess = of("batch,v\n20240313,1\n20240313,2\n20240312,3\n");
    assert_eq!(guess.roles.time, None);
    let epoch = of("time,v\n1700000000,1\n1700000060,2\n");
    assert_eq!(time(&epoch), Some(("time", "s")));
}

#[test]
fn a_time_in_parts_is_put_together() {
    let of_parts = |names: &[&str], format: &str| {
        (names.iter().map(|name| (*name).to_owned()).collect(), format.to_owned())
    };
    assert_eq!(
        columns("year,month,day,hour,minute,v\n2024,3,1,9,5,1.5\n2024,3,1,9,10,2\n"),
        of_parts(&["year", "month", "day", "hour", "minute"], "%Y %m %d %H %M")
    );
    assert_eq!(
        columns("Year,DOY,HHMM,v\n2024,61,905,1.5\n2024,61,2400,2\n"),
        of_parts(&["Year", "DOY", "HHMM"], "%Y %j %H%M")
    );
    let buoy = "#YY  MM DD hh mm WDIR WSPD\n#yr  mo dy hr mn degT m/s\n2024 03 01 09 50 210 7.5\n2024 03 01 10 00 220 8.25\n";
    assert_eq!(columns(buoy), of_parts(&["YY", "MM", "DD", "hh", "mm"], "%Y %m %d %H %M"));
    let guess = of(buoy);
    assert_eq!((measured(&guess), guess.dialect.has_header), (vec!["WDIR", "WSPD"], false));
    assert_eq!(guess.first[0][0], "2024-03-01T09:50:00Z");
}

#[test]
fn names_behind_a_number_sign_are_names() {
    let guess = of("# time,a,b\n1700000000,1.5,2\n1700000060,2.5,3\n");
    assert_eq!((time(&guess), measured(&guess)), (Some(("time", "s")), vec!["a", "b"]));
    assert!(!guess.dialect.has_header && guess.dialect.comment == Some(b'#'));
}

#[test]
fn halves_of_the_day_and_offsets_stand_in_columns_of_their_own() {
    let guess = of("Date,Time,AMPM,v\n03/13/2024,01:00:00,PM,1\n03/13/2024,02:00:00,PM,2\n");
    assert_eq!((guess.roles.sensor.len(), guess.first[0][0].as_str()), (0, "2024-03-13T13:00:00Z"));
    let guess = of("date,time,tz,v\n2024-03-13,01:00:00,+01:00,1\n2024-03-13,02:00:00,+01:00,2\n");
    assert_eq!((guess.roles.sensor.len(), guess.first[0][0].as_str()), (0, "2024-03-13T00:00:00Z"));
    let guess = of("time,offset,v\n2024-03-13 01:00:00,+0100,1\n2024-03-13 02:00:00,+0100,2\n");
    assert_eq!(guess.first[0][0], "2024-03-13T00:00:00Z");
}

#[test]
fn dates_and_times_of_day_without_marks() {
    assert_eq!(
        columns("date,hhmm,v\n20240313,905,1\n20240313,1010,2\n"),
        (vec!["date".into(), "hhmm".into()], "%Y%m%d %H%M".into())
    );
}

#[test]
fn the_hour_of_a_date_stands_in_a_column_of_its_own() {
    let guess = of("date,hour,load\n2024-03-13,0,5.5\n2024-03-13,1,6\n2024-03-13,24,7\n");
    assert_eq!((measured(&guess), guess.first[1][0].as_str()), (vec!["load"], "2024-03-13T01:00:00Z"));
    assert_eq!(guess.first[2][0], "2024-03-14T00:00:00Z");
    let guess = of("date;hour;minute;load\n13.03.2024;0;5;5,5\n13.03.2024;0;10;6\n");
    assert_eq!((measured(&guess), guess.first[1][0].as_str()), (vec!["load"], "2024-03-13T00:10:00Z"));
    let days = of("Date,v\n45351,1\n45352,2\n45353,3\n");
    assert_eq!((time(&days), measured(&days)), (Some(("Date", "excel")), vec!["v"]));
}

#[test]
fn times_that_are_odd_are_said() {
    let says = |text: &str, part: &str| of(text).doubts.iter().any(|doubt| doubt.contains(part));
    assert!(says("time,v\n2065-01-01T00:00:00Z,1\n2065-01-01T00:01:00Z,2\n", "begin with 2065"));
    assert!(says("Time (EST),v\n2024-01-01 00:00:00,1\n", "`timezone`"));
    assert!(!says("Time (EST),v\n2024-01-01 00:00:00Z,1\n", "`timezone`"));
}

#[test]
fn the_zone_is_that_of_the_name_or_of_a_line_before_the_records() {
    let zone = |text: &str| {
        let time = of(text).roles.time.expect("a time");
        (time.is_local, time.zone.map(|zone| zone.option))
    };
    let rows = "2024-01-01 00:00:00,1\n2024-01-01 00:01:00,2\n";
    let named = |zone: &str| (true, Some(zone.to_owned()));
    assert_eq!(zone(&format!("\"Time, GMT+01:00\",v\n{rows}")), named("+01:00"));
    assert_eq!(zone(&format!("time_utc,v\n{rows}")), named("UTC"));
    assert_eq!(zone(&format!("# Time zone: UTC-3\ntime,v\n{rows}")), named("-03:00"));
    assert_eq!(zone(&format!("Plant 7\nTime zone,Europe/Zurich\n\ntime,v\n{rows}")), named("Europe/Zurich"));
    assert_eq!(zone(&format!("time,v\n{rows}")), (true, None));
    // What says itself how far it is from UTC, or counts from there, needs none.
    assert_eq!(zone(&format!("time_cet,v\n{}", rows.replace(",", "Z,"))), (false, None));
    assert_eq!(zone("time (UTC+1),v\n1700000000,1\n1700000060,2\n"), (false, None));
    assert_eq!(zone("{\"time_utc\":\"2024-01-01 00:00:00\",\"v\":1}\n"), named("UTC"));
}
