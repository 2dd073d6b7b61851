//! JSON and line protocol.

use super::command::folder;
use super::{STAMPS, init, records};

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
