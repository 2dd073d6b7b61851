//! Parquet files that roll: rebuilt from their rows after a restart.

use std::collections::BTreeMap;

use tidemill::ErrorKind;

use super::place::{KEPT, PLAIN, Place, WHOLE, Way};

/// A run's Parquet files by name, with their bytes, where their files end with the run and it is stopped behind each of `stops` records.
fn columns(stops: &[u64], roll: &str, way: &Way) -> BTreeMap<String, Vec<u8>> {
    let place = Place::new();
    place.run(WHOLE, &PLAIN).expect("a run");
    let sink = format!(
        "[[sink]]\ntype = 'parquet'\npath = '@/columns/{{epoch}}.parquet'\nrow_group = 50\nroll = {roll}\n"
    );
    let mut paused = 0;
    for (at, &until) in stops.iter().chain(&[u64::MAX]).enumerate() {
        let way = Way { until, threads: 1 + at % 3, is_live: at % 2 == 1, ..way.clone() };
        let report = place.run(&sink, &way).unwrap_or_else(|error| panic!("{stops:?}: {error}"));
        // Whoever reads ahead may have come to the end before it is stopped.
        paused += usize::from(report.is_paused);
        if !report.is_paused {
            break;
        }
    }
    assert!(stops.is_empty() || paused > 0, "{stops:?}");
    place.check_columns(&format!("{stops:?}"));
    place.files("columns")
}

#[test]
fn a_parquet_file_that_is_made_again_from_its_rows_has_the_same_bytes() {
    let whole = columns(&[], "{ every = '1d' }", &KEPT);
    assert_eq!(whole.len(), 1);
    let whole = whole.values().next().expect("a file");
    for stops in [&[300][..], &[1, 2, 3], &[60, 120, 450]] {
        let again = columns(stops, "{ every = '1d' }", &KEPT);
        assert_eq!(again.len(), 1, "{:?}", again.keys());
        assert!(again.values().next() == Some(whole), "stopped behind {stops:?}");
    }
}

#[test]
fn what_the_rows_of_a_file_in_the_making_became_is_noticed() {
    let place = Place::new();
    let sink = "[[sink]]\ntype = 'parquet'\npath = '@/columns/{epoch}.parquet'\nroll = { every = '1d' }\n";
    place.run(sink, &Way { until: 300, ..KEPT }).expect("a run");
    let files = place.files("state");
    let log = files.keys().find(|name| name.starts_with("rows-")).expect("a log");
    let path = place.at("state").join(log);
    let mut bytes = files[log].clone();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let error = place.run(sink, &KEPT).expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("the rows at byte 12 are damaged"), "{error}");
    // It is left as it was, for whoever can mend it.
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    place.run(sink, &KEPT).expect("mended");
    assert_eq!(place.files("columns").len(), 1);
}

#[test]
fn parquet_that_does_not_roll_has_no_checkpoints_and_it_is_said_what_to_do() {
    let place = Place::new();
    let error =
        place.run("[[sink]]\ntype = 'parquet'\npath = '@/all.parquet'\n", &KEPT).expect_err("no checkpoints");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("roll = { every = \"1h\" }"), "{error}");
    assert!(error.to_string().contains("{hour}-{epoch}.parquet"), "{error}");
}
