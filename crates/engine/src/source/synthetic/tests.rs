//! The source as a whole.

use super::*;
use crate::format::Encode;
use crate::format::csv::CsvEncoder;
use crate::sensor::Sensors;

/// The data as CSV, in batches of `chunk_size` / 32 readings, from reading `from` on.
fn text(options: &Synthetic, chunk_size: usize, from: u64) -> String {
    let open = OpenOptions { chunk_size, ..OpenOptions::default() };
    let (mut source, mut sensors) = (options.open(&open).expect("open"), Sensors::default());
    source.seek(Offset { at: from, ..Offset::default() }).expect("sought");
    let mut out = Vec::new();
    while let Some(Input::Records(decoded)) = source.next(&mut sensors).expect("batch") {
        CsvEncoder { delimiter: b',', decimals: None, safe: false }.encode(
            &decoded.batch,
            &sensors,
            &mut out,
        );
    }
    String::from_utf8(out).expect("text")
}

fn faulty() -> Synthetic {
    Synthetic {
        spikes: 0.02,
        gaps: 0.05,
        stuck: 0.1,
        nan: 0.01,
        nulls: 0.01,
        drift: 1.0,
        ..Synthetic::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_in_any_pieces() {
    let options = faulty().records(2000);
    let whole = text(&options, 1 << 20, 0);
    assert_eq!(text(&options, 1000, 0), whole);
    assert!(whole.ends_with(&text(&options, 333, 700)));
    assert_ne!(text(&options.clone().seed(2), 1 << 20, 0), whole);
    assert!(whole.starts_with("2026-01-01T00:00:00.000Z,temp-00000,"), "{}", &whole[..60]);
}

#[test]
fn faults_have_their_rates() {
    let options = faulty().records(50_000);
    let whole = text(&options, 1 << 20, 0);
    let lines = whole.lines().count();
    assert!((47_000..48_000).contains(&lines), "{lines}");
    let nan = whole.lines().filter(|line| line.ends_with("NaN")).count();
    assert!((400..550).contains(&nan), "{nan}");
}

/// As a plant writes.
fn plant() -> Synthetic {
    Synthetic {
        spread: true,
        jitter: Some("2ms".into()),
        swaps: Some(0.5),
        odd: Some(0.01),
        ..faulty().sensors(1000)
    }
}

#[test]
fn a_plant_gives_the_same_bits_in_any_pieces() {
    for shape in [Shape::Long, Shape::Wide] {
        let options = Synthetic { shape, ..plant().records(5000) };
        let whole = text(&options, 1 << 20, 0);
        assert_eq!(text(&options, 1000, 0), whole);
        assert!(whole.ends_with(&text(&options, 333, 1700)));
        assert_ne!(text(&options.clone().seed(2), 1 << 20, 0), whole);
    }
}

#[test]
fn readings_of_a_plant_have_times_of_their_own() {
    let records = 20_000;
    let options = Synthetic { odd: None, gaps: 0.0, ..plant().records(records) };
    let whole = text(&options, 1 << 20, 0);
    let rows: Vec<Vec<&str>> = whole.lines().map(|line| line.split(',').collect()).collect();
    let changes = rows.windows(2).filter(|pair| pair[0][0] != pair[1][0]).count();
    assert!(changes > rows.len() / 2, "{changes} new times in {} rows", rows.len());
    let mut times = std::collections::HashMap::new();
    for row in &rows {
        assert_eq!(row[0].len(), "2026-01-01T00:00:00.000Z".len());
        let previous = times.insert(row[1], row[0]);
        assert!(previous < Some(row[0]), "{} after {previous:?}", row[0]);
    }
    let names: Vec<String> = (0..records).map(|number| options.sensor_name(number % 1000)).collect();
    let out_of_turn = rows.iter().zip(&names).filter(|(row, name)| row[1] != *name).count();
    assert!((9_500..10_500).contains(&out_of_turn), "{out_of_turn}");
}

#[test]
fn odd_records_have_an_exponent_or_six_decimals_and_the_same_times() {
    let options = Synthetic { nan: 0.0, nulls: 0.0, ..plant().records(50_000) };
    let (odd, even) = (text(&options, 1 << 20, 0), text(&Synthetic { odd: None, ..options }, 1 << 20, 0));
    let (mut exponents, mut decimals) = (0, 0);
    for (line, usual) in odd.lines().zip(even.lines()) {
        let is_exponent = line.contains("e-");
        exponents += usize::from(is_exponent);
        decimals += usize::from(line.contains("000Z,") && line.len() == usual.len() + 3);
        let value = if is_exponent { usual.rsplit_once(',').expect("a value").0 } else { usual };
        assert!(
            line.replacen("000Z", "Z", usize::from(line.len() == usual.len() + 3)).starts_with(value),
            "{line}"
        );
    }
    assert!((180..320).contains(&exponents) && (180..320).contains(&decimals), "{exponents}, {decimals}");
}

#[test]
fn wide_records_have_several_measurements() {
    let options = Synthetic { shape: Shape::Wide, measurements: 4, ..Synthetic::default() };
    let names: Vec<_> =
        options.schema().expect("schema").fields().iter().map(|f| f.name.to_string()).collect();
    assert_eq!(names, ["datetime", "unit", "temperature", "pressure", "flow", "temperature_2"]);
    assert_eq!(text(&options, 1000, 0).lines().count(), 10_000);
}

#[test]
fn senseless_options_are_refused() {
    let error =
        |options: Synthetic| options.open(&OpenOptions::default()).err().expect("senseless").to_string();
    assert!(error(Synthetic { measurements: u64::MAX, ..Synthetic::default() }).contains("from 1 to 4096"));
    assert!(error(Synthetic { noise: f64::NAN, ..Synthetic::default() }).contains("finite"));
    assert!(error(Synthetic { gaps: 1.5, ..Synthetic::default() }).contains("from 0 to 1"));
    assert!(error(Synthetic { odd: Some(f64::NAN), ..Synthetic::default() }).contains("from 0 to 1"));
    assert!(error(Synthetic { jitter: Some("0s".into()), ..Synthetic::default() }).contains("`jitter`"));
    assert!(error(Synthetic { jitter: Some("501ms".into()), ..Synthetic::default() }).contains("half"));
    assert!(error(Synthetic { interval: "fast".into(), ..Synthetic::default() }).contains("`interval`"));
    assert!(error(Synthetic { interval: "9000d".into(), ..Synthetic::default() }).contains("2262"));
}
