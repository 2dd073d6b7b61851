//! What looks like something else at first sight must not be taken for it.

use super::layout::LineLayout;
use super::tests::{measured, of, time};
use super::*;

/// Lines of a table: the header, then `count` rows, each as `row` says.
fn table(header: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (0..count).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

fn stamp(row: usize) -> String {
    format!("2024-03-01 {:02}:{:02}:00", row / 60, row % 60)
}

fn sensor(guess: &Guess) -> Vec<&str> {
    guess.roles.sensor.iter().map(|&at| guess.names[at].as_str()).collect()
}

fn says(guess: &Guess, part: &str) -> bool {
    guess.doubts.iter().any(|doubt| doubt.contains(part))
}

#[test]
fn a_number_beside_a_constant_is_no_sentinel() {
    for (usual, other) in [("100", "99"), ("100.0", "99.9"), ("0", "99")] {
        let guess = of(&table("time,v", 60, |row| {
            format!("{},{}", stamp(row), if row < 40 { usual } else { other })
        }));
        assert_eq!((guess.roles.null_values, guess.roles.suspects), (vec![], vec![]), "{usual} {other}");
    }
}

#[test]
fn a_number_that_another_column_measures_is_no_sentinel() {
    let guess = of(&table("time,temp,counter", 200, |row| {
        let temp = if row % 60 == 7 { "9999".to_owned() } else { format!("{}.5", 18 + row % 5) };
        format!("{},{temp},{}", stamp(row), 9900 + row)
    }));
    assert_eq!(guess.roles.null_values, Vec::<String>::new());
    assert!(says(&guess, "could be a real value in `counter`"), "{:?}", guess.doubts);
    // A counter that has not come so far yet.
    let below = of(&table("time,temp,counter", 200, |row| {
        let temp = if row % 60 == 7 { "9999".to_owned() } else { format!("{}.5", 18 + row % 5) };
        format!("{},{temp},{}", stamp(row), 100 + row)
    }));
    assert_eq!(below.roles.null_values, Vec::<String>::new());
    let both = of(&table("time,a,b", 60, |row| match row {
        7 | 9 => format!("{},9999,9999", stamp(row)),
        _ => format!("{},{}.5,{}", stamp(row), 18 + row % 5, 40 + row % 7),
    }));
    assert_eq!(both.roles.null_values, ["9999"]);
}

#[test]
fn a_fill_below_zero_is_found_however_far_values_spread() {
    let guess = of(&table("time,radiation", 60, |row| match row {
        7 | 30 => format!("{},-999", stamp(row)),
        _ => format!("{},{}", stamp(row), row * 20),
    }));
    assert_eq!(guess.roles.null_values, ["-999"]);
}

#[test]
fn an_id_beats_a_type() {
    let guess = of(&table("time,device_type,device_id,value", 40, |row| {
        format!("{},pt100,{},{}", stamp(row / 2), ["T1", "T2"][row % 2], 20 + 60 * (row % 2))
    }));
    assert_eq!(sensor(&guess), ["device_id"]);
}

#[test]
fn what_says_something_of_a_record_is_no_sensor() {
    let words = |header: &str, words: &'static [&'static str]| {
        of(&table(header, 200, |row| format!("{},{},{row}", stamp(row), words[row % words.len()])))
    };
    for (header, values) in [
        ("time,wind_dir,v", &["N", "E", "S", "W"][..]),
        ("time,sensor_status,v", &["ok", "low battery"]),
        ("time,unit,v", &["°C"]),
        ("time,Bemerkung,v", &["ok"]),
        ("time,Einheit,v", &["kWh"]),
        ("time,weather,v", &["sunny", "rainy", "cloudy"]),
        ("time,tz,v", &["CET"]),
    ] {
        let guess = words(header, values);
        assert_eq!((sensor(&guess), measured(&guess)), (vec![], vec!["v"]), "{header}");
    }
    assert!(says(&words("time,weather,v", &["sunny", "rainy"]), "`weather` has few distinct texts"));
    let temp = words("time,Temp {host=a},v", &["20 °C", "21 °C"]);
    assert_eq!((sensor(&temp), measured(&temp)), (vec![], vec!["Temp {host=a}", "v"]));
}

#[test]
fn what_is_of_a_sensor_is_not_the_sensor() {
    let guess = of(&table("time,device_firmware,device_note,v", 40, |row| {
        format!("{},v1.{},note {row},{row}", stamp(row / 2), row / 20)
    }));
    assert_eq!(sensor(&guess), Vec::<&str>::new());
    // Texts of each record's own do tell records of one time apart, but are nobody's name.
    let few =
        of("time,text,v\n2024-03-01 10:00:00,a b,1\n2024-03-01 10:00:00,c d,2\n2024-03-01 10:01:00,e f,1\n");
    assert_eq!(sensor(&few), Vec::<&str>::new());
    assert!(says(&few, "the same time and sensor"));
}

#[test]
fn a_time_beside_the_time_is_no_sensor() {
    let guess = of(&table("received_time,device_time,v", 60, |row| {
        format!("{},{},{row}", stamp(row + 1), stamp(row))
    }));
    assert_eq!((time(&guess), sensor(&guess)), (Some(("device_time", "rfc3339")), vec![]));
    assert!(says(&guess, "`received_time` has times too"));
    let utc = of("local_time,utc_time,v\n2024-03-01 11:00:00,2024-03-01 10:00:00,1\n");
    assert_eq!(time(&utc), Some(("utc_time", "rfc3339")));
    assert!(says(&of("local_time,v\n2024-03-01 11:00:00,1\n"), "`timezone`"));
}

#[test]
fn text_that_tells_apart_what_has_one_time_is_a_sensor() {
    let guess = of(&table("time,where,v", 40, |row| {
        format!("{},{},{row}", stamp(row / 2), ["cellar", "roof"][row % 2])
    }));
    assert_eq!(sensor(&guess), ["where"]);
}

#[test]
fn a_sensor_that_measures_several_quantities_is_of_two_columns() {
    let long = |header: &str| {
        of(&table(header, 40, |row| {
            format!("{},{},{},{row}", stamp(row / 4), ["a", "b"][row % 2], ["temp", "hum"][row / 2 % 2])
        }))
    };
    assert_eq!(sensor(&long("time,sensor,quantity,value")), ["sensor", "quantity"]);
    assert_eq!(sensor(&long("time,sensor,type,value")), ["sensor", "type"]);
    let alone = of(&table("time,site,parameter,value", 40, |row| {
        format!("{},hill,{},{row}", stamp(row / 2), ["temp", "hum"][row % 2])
    }));
    assert_eq!(sensor(&alone), ["parameter"]);
    let apart =
        of("time,sensor,v\n2024-03-01 10:00:00,a,1\n2024-03-01 10:00:00,a,2\n2024-03-01 10:01:00,a,1\n");
    assert!(says(&apart, "the same time and sensor"));
}

#[test]
fn how_long_something_runs_is_not_when() {
    let guess = of("uptime,stamp,v\n45364.5,2024-03-13T10:00:00Z,1\n45364.6,2024-03-13T10:01:00Z,2\n");
    assert_eq!((time(&guess), measured(&guess)), (Some(("stamp", "rfc3339")), vec!["uptime", "v"]));
    // 1968, and the year 2090.
    for first in [25000.5, 3_793_000_000.5] {
        let guess = of(&table("time,v", 6, |row| format!("{},{row}", first + row as f64)));
        assert_eq!((time(&guess), measured(&guess)), (None, vec!["v"]), "{first}");
        assert_eq!(guess.roles.relative.as_ref().map(|relative| relative.format.as_str()), Some("s"));
        assert!(says(&guess, "`start`"));
    }
    let days = of("time,v\n60382.4,1\n60382.5,2\n");
    assert_eq!(time(&days), Some(("time", "mjd")));
}

#[test]
fn times_that_have_no_beginning_are_said() {
    let clock = of("Zeit;v\n10:00:00;1,5\n10:00:10;1,75\n");
    assert_eq!((time(&clock), measured(&clock)), (None, vec!["v"]));
    assert_eq!(clock.roles.relative.as_ref().map(|relative| relative.format.as_str()), Some("%H:%M:%S%.f"));
    assert!(says(&clock, "`start`"));
    let seconds = of(&table("elapsed,v", 8, |row| format!("{},{}", row * 5, row % 3)));
    assert_eq!((time(&seconds), measured(&seconds)), (None, vec!["v"]));
    assert!(says(&seconds, "`start`"));
}

#[test]
fn a_title_does_not_make_blanks_the_delimiter() {
    let rows = "time,a,b\n2024-03-01 10:00:00,0,0.5\n2024-03-01 10:00:10,1,0.75\n2024-03-01 10:00:20,0,1\n";
    for title in
        ["My logger", "Device,Logger 3000,SN,12345", "// a comment", "% a comment", "\"My, title\"", "SN,12"]
    {
        let guess = of(&format!("{title}\n{rows}"));
        assert_eq!((guess.dialect.delimiter, guess.dialect.layout.header_row), (b',', Some(2)), "{title}");
        assert_eq!((time(&guess), measured(&guess)), (Some(("time", "rfc3339")), vec!["a", "b"]), "{title}");
    }
    let hobo = of(
        "\"Plot Title: Pond 3\"\n\"#\",\"Date Time, GMT+00:00\",\"Temp, °C\"\n1,03/01/24 01:00:00 PM,20.25\n2,03/01/24 01:10:00 PM,20.5\n",
    );
    assert_eq!(time(&hobo), Some(("Date Time, GMT+00:00", "%m/%d/%y %I:%M:%S %p")));
    assert_eq!(measured(&hobo), ["Temp, °C"]);
    assert_eq!(of("v\n1\n2\n").dialect, Dialect::default());
}

#[test]
fn a_column_that_is_appended_midway_leaves_the_rest() {
    let guess = of(&table("time,a,b", 24, |row| match row {
        0..20 => format!("{},{row},1.5", stamp(row)),
        _ => format!("{},{row},1.5,7", stamp(row)),
    }));
    assert_eq!((guess.dialect.delimiter, guess.records, measured(&guess)), (b',', 20, vec!["a", "b"]));
    assert!(says(&guess, "4 of 24 records"));
}

#[test]
fn lines_are_counted_where_blank_ones_stand_between() {
    let guess = of("Interval,1,s\n\nTime,CH1,CH2\n,V,mA\n2024-03-01 10:00:00,1,2\n2024-03-01 10:00:01,1,2\n");
    let layout = LineLayout { header_row: Some(3), units_row: Some(4), ..LineLayout::default() };
    assert_eq!((guess.dialect.layout.clone(), measured(&guess)), (layout, vec!["CH1", "CH2"]));
    let blank = of("\n\ntime,v\n2024-03-01 10:00:00,1\n");
    assert_eq!(blank.dialect.layout, LineLayout::default());
}

#[test]
fn a_bad_record_below_the_names_is_no_line_of_units() {
    let guess = of("time,a\n?,7\n2024-03-01 10:00:00,1\n2024-03-01 10:00:10,2\n");
    assert_eq!((guess.dialect.layout, guess.roles.time.is_some()), (LineLayout::default(), true));
}

#[test]
fn one_odd_line_costs_no_column() {
    let value = of(&table("time,a,b", 500, |row| {
        format!("{},{row},{}", stamp(row), if row == 77 { "1.2.3" } else { "4.5" })
    }));
    assert_eq!(measured(&value), ["a", "b"]);
    assert!(says(&value, "1 value of `b`"));
    let times = of(&table("time,a", 150, |row| match row {
        40 | 41 => format!("2000-00-00 00:00:00,{row}"),
        _ => format!("{},{row}", stamp(row)),
    }));
    assert_eq!((time(&times), measured(&times)), (Some(("time", "rfc3339")), vec!["a"]));
    assert!(says(&times, "2 records without a readable time"));
    let marker = of(&table("VarName;TimeString;VarValue;Validity;Time_ms", 13, |row| match row {
        12 => "$RT_COUNT$;12;;;".to_owned(),
        _ => format!("tank;28.02.2024 10:00:{row:02};{row},5;1;45350416{row}00,5"),
    }));
    assert_eq!(
        (time(&marker), sensor(&marker)),
        (Some(("TimeString", "%d.%m.%Y %H:%M:%S")), vec!["VarName"])
    );
    assert!(measured(&marker).contains(&"VarValue") && !measured(&marker).contains(&"Time_ms"));
    let again = of(&table("time,a", 60, |row| {
        format!("{},{}", stamp(row), if row % 20 == 3 { "OVL".to_owned() } else { row.to_string() })
    }));
    assert_eq!((measured(&again), again.roles.null_values.clone()), (vec!["a"], vec!["OVL".to_owned()]));
}

#[test]
fn files_of_two_stations_one_behind_the_other_are_told() {
    let file = |station: &str, day: u8| {
        format!(
            "\"TOA5\",\"{station}\",\"CR6\"\n\"TIMESTAMP\",\"RECORD\",\"T\"\n\"TS\",\"RN\",\"C\"\n\"\",\"\",\"Avg\"\n\
             \"2023-05-0{day} 00:00:00\",7,1.25\n\"2023-05-0{day} 00:05:00\",8,1.5\n"
        )
    };
    let two = of(&(file("Hill", 1) + &file("Dale", 2)));
    assert!(two.station.is_none() && measured(&two).contains(&"T"));
    assert!(says(&two, "`Hill`, `Dale`") && time(&two).is_some());
    let one = of(&(file("Hill", 1) + &file("Hill", 2)));
    assert_eq!((one.station.as_deref(), one.records), (Some("Hill"), 4));
}

#[test]
fn a_comma_for_two_purposes_is_refused() {
    let guess = of("time,v\n2024-03-01 10:00:00,1,5\n2024-03-01 10:00:10,1,75\n");
    let why = guess.refusal.map(|refusal| refusal.why);
    assert_eq!(why.as_deref(), Some("its header has 2 names, and its records have 3 fields"));
}

#[test]
fn records_that_are_longer_or_shorter_than_the_names() {
    let longer = of("time,a\n2024-03-01 10:00:00,1,\n2024-03-01 10:00:10,2,\n");
    assert_eq!((longer.dialect.layout.ragged, measured(&longer)), (Some("trim"), vec!["a"]));
    let shorter = of("time,a,b,c\n2024-03-01 10:00:00,1\n2024-03-01 10:00:10,2\n2024-03-01 10:00:10,2,3,4\n");
    assert_eq!(shorter.dialect.layout.ragged, Some("fill"));
}

#[test]
fn small_things_are_no_more_than_they_are() {
    assert_eq!(of("time,v\n").dialect, Dialect::default());
    let index = of(&table(",time,v", 30, |row| format!("{row},{},{}.5", stamp(row), row % 5)));
    assert_eq!(measured(&index), ["v"]);
    let seconds = of("t[s] U[V]\n0.0 12.1\n0.1 12.0\n0.2 12.2\n0.3 12.2\n");
    assert_eq!((measured(&seconds), seconds.roles.relative.is_some()), (vec!["U[V]"], true));
    let few = of("Datum;Wert\n01.03.2024 00:15;1.234,5 x\n01.03.2024 00:30;1.235,5 x\n");
    assert!(!says(&few, "few distinct texts"));
}

#[test]
fn a_column_that_is_mostly_missing_is_a_measurement() {
    let guess = of(&table("time,WVHT", 40, |row| {
        format!("{},{}", stamp(row), if row % 10 == 3 { "1.5" } else { "MM" })
    }));
    assert_eq!((measured(&guess), guess.roles.null_values.clone()), (vec!["WVHT"], vec!["MM".to_owned()]));
}

#[test]
fn a_column_of_fills_alone_is_no_measurement() {
    let guess = of(&table("MESS_DATUM;QN;TT;V_N", 5, |row| format!("202402280{row};3;{row}.5;-999")));
    assert_eq!((time(&guess), measured(&guess)), (Some(("MESS_DATUM", "%Y%m%d%H")), vec!["QN", "TT"]));
    assert_eq!((guess.roles.useless[0].0, guess.roles.null_values), (3, vec!["-999".to_owned()]));
}

#[test]
fn words_of_several_kinds_are_all_measurements() {
    let guess = of(&table("time,pump,door,alarm", 30, |row| {
        format!(
            "{},{},{},{}",
            stamp(row),
            ["on", "off"][row % 2],
            ["true", "FALSE"][row % 2],
            ["True", "false"][row / 4 % 2]
        )
    }));
    assert_eq!((sensor(&guess), measured(&guess)), (vec![], vec!["pump", "door", "alarm"]));
    assert_eq!(guess.roles.true_words, ["on", "true"]);
    assert!(
        guess.first[0].contains(&"pump = 1".to_owned()) && guess.first[1].contains(&"pump = 0".to_owned())
    );
}

#[test]
fn decimal_commas_and_points_are_not_read_together() {
    let comma = |text: &str| of(&format!("time;v\n2024-03-01 10:00:00;{text}\n2024-03-01 10:00:10;{text}\n"));
    assert!(comma("1,5").differs_in(&comma("1.5")).is_some_and(|why| why.contains("decimal")));
    let mut whole = comma("2");
    assert_eq!(whole.differs_in(&comma("1,5")), None);
    whole.join(comma("1,5"));
    assert!(whole.roles.decimal_comma);
}
