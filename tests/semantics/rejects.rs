//! Clause 7: what a run takes before it fails.

use tidemill::{ErrorKind, Report};

use super::Bench;

/// What becomes of `text`, read with these lines of `[source]`.
fn outcome(text: &[u8], source: &str) -> Result<Report, (ErrorKind, String)> {
    let bench = Bench::new(&[]);
    std::fs::write(bench.path("in"), text).expect("written");
    let pipeline = format!("[source]\npath = \"@/in\"\n{source}\n[[sink]]\ntype = \"null\"");
    let message = |error: tidemill::Error| error.message().replace(&bench.path("in"), "in");
    bench.run(&pipeline).map_err(|error| (error.kind(), message(error)))
}

/// Whether a CSV file of so many good and so many bad records is too bad.
fn is_refused(good: usize, bad: usize, limit: &str) -> bool {
    let text = format!("v\n{}{}", "x\n".repeat(bad), "1\n".repeat(good));
    let result = outcome(text.as_bytes(), &format!("type = \"csv\"\nmeasurements = [\"v\"]\n{limit}"));
    match result {
        Ok(report) => {
            assert_eq!(report.rejects.malformed, bad as u64);
            false
        }
        Err((kind, message)) => {
            assert_eq!(kind, ErrorKind::Data, "{message}");
            true
        }
    }
}

#[test]
fn clause_7_a_run_that_ends_fails_above_ten_and_one_percent_or_above_half() {
    assert!(is_refused(1, 7, "") && is_refused(0, 1, "") && !is_refused(4, 4, ""));
    assert!(is_refused(450, 450, "") && is_refused(989, 11, "") && !is_refused(990, 10, ""));
    assert!(is_refused(1980, 21, "") && !is_refused(1990, 20, "") && !is_refused(50_000, 400, ""));
    assert!(is_refused(500, 501, ""), "more than half of the first thousand");
}

#[test]
fn clause_7_max_rejects_overrides_the_rule() {
    assert!(!is_refused(0, 3, "max_rejects = 3") && is_refused(300, 3, "max_rejects = 2"));
    assert!(!is_refused(989, 11, "max_rejects = 0.02") && !is_refused(1, 7, "max_rejects = 0.9"));
    assert!(!is_refused(1000, 0, "max_rejects = 0") && is_refused(1000, 1, "max_rejects = 0"));
}

#[test]
fn clause_7_what_is_late_counts_like_what_is_malformed() {
    // The first clock is wrong: all others are late.
    let late = |good: i64| {
        let good: String = (0..good).map(|at| format!("{},1\n", 20_000 + at)).collect();
        let late: String = (0..99).map(|at| format!("{at},1\n")).collect();
        let timed = "type = \"csv\"\ntime = \"t\"\ntime_format = \"s\"\nmeasurements = [\"v\"]";
        let sorted = format!("{timed}\norder = \"time\"\ndisorder = \"1s\"");
        let stage = "[[stage]]\ntype = \"moving_average\"\nwindow = \"5s\"";
        let text = format!("t,v\n{good}{late}");
        [sorted, format!("{timed}\n{stage}")].map(|source| outcome(text.as_bytes(), &source))
    };
    for result in late(1) {
        let (kind, message) = result.expect_err("99 of 100 are late");
        assert_eq!(kind, ErrorKind::Data);
        assert!(
            message.starts_with(
                "99 of 100 records were rejected, more than half, all for column `t`; the first: late: "
            ),
            "{message}"
        );
    }
    for result in late(9801) {
        assert_eq!(result.expect("99 of 9,900 are late").rejects.late, 99);
    }
    for result in late(9800) {
        assert!(
            result.expect_err("99 of 9,899").1.starts_with("99 of 9899 records were rejected, more than 1 %")
        );
    }
}

#[test]
fn clause_7_json_over_several_lines_gives_records_or_an_error() {
    let text = b"[{\"v\": 1},\n {\"v\": 2},\n {\"v\": 3}\n]\n";
    let report = outcome(text, "type = \"jsonl\"\nmeasurements = [\"v\"]").expect("one array");
    assert_eq!(report.sources[0].ledger.output, 3);
    let text = b"3\n{\"v\": 2},\n {\"v\": 3}\n]\n";
    let (kind, message) =
        outcome(text, "type = \"jsonl\"\nmeasurements = [\"v\"]").expect_err("a part of one");
    assert_eq!(kind, ErrorKind::Data, "{message}");
}

#[test]
fn clause_7_an_archive_is_no_header() {
    // The beginning of a zip archive, without a line feed.
    let archive = b"PK\x03\x04\x14\x00\x00\x00\x08\x00in.csv\xcbH\xcd\xc9\xc9W(\xcf/\xcaIQ\x04\x00";
    let (kind, message) = outcome(archive, "type = \"csv\"").expect_err("no text");
    assert_eq!(kind, ErrorKind::Data, "{message}");
    assert!(message.starts_with("`in` is not a valid zip archive"), "{message}");
    let (_, message) = outcome(b"\x7fELF\x02\x01\n", "type = \"csv\"").expect_err("no text");
    assert_eq!(message, "the header of `in` is not text: it has the control character 0x7f");
    for kind in ["jsonl", "influx"] {
        let source = format!("type = \"{kind}\"\nmeasurements = [\"v\"]");
        let (kind, message) = outcome(archive, &source).expect_err("no records");
        assert_eq!(kind, ErrorKind::Data, "{message}");
    }
}

#[test]
fn clause_5_blank_lines_in_a_row_are_lines_and_nothing_else() {
    let kinds = [
        ("csv", ["v", "1", "x", "2"]),
        ("jsonl", ["{\"v\":0}", "{\"v\":1}", "{\"v\":\"x\"}", "{\"v\":2}"]),
        ("influx", ["t v=0 1", "t v=1 1", "t v=x 1", "t v=2 1"]),
    ];
    for (kind, [first, second, bad, last]) in kinds {
        for end in ["\n", "\r\n"] {
            let blank = end.repeat(40_000);
            let text =
                format!("{first}{end}{second}{end}{blank}{bad}{end}{blank}{last}{end}{end}{last}{end}");
            let source = format!("type = \"{kind}\"\nmeasurements = [\"v\"]");
            let report = outcome(text.as_bytes(), &source).expect("one of a few is bad");
            let records = if kind == "csv" { 4 } else { 5 };
            assert_eq!((report.sources[0].ledger.input, report.rejects.malformed), (records, 1), "{kind}");
            let reject = &report.rejects.first[0];
            let offset = text.find(bad).expect("there") as u64;
            assert_eq!((reject.line, reject.offset), (40_003, offset), "{kind} {end:?}");
        }
    }
}

#[test]
fn clause_5_letter_case_makes_no_other_header_and_hides_no_other_order() {
    let text = |header: &str| format!("time,a,b\n1,2,3\n{header}\n4,5,6\n");
    let timed = "type = \"csv\"\ntime = \"time\"\ntime_format = \"s\"\nmax_rejects = 1";
    let plain = "type = \"csv\"\nmax_rejects = 1";
    for header in ["time,a,b", "TIME,A,B", "Time,a,B"] {
        for source in [timed, plain] {
            let report = outcome(text(header).as_bytes(), source).expect("the same header");
            assert_eq!((report.sources[0].ledger.output, report.rejects.malformed), (2, 1), "{header}");
            assert_eq!(report.rejects.first[0].reason, "repeated header line", "{header}");
        }
    }
    for header in ["TIME,B,A", "b,A,Time", "Time,A", "TIME,A,B,C"] {
        for source in [timed, plain] {
            let (kind, message) = outcome(text(header).as_bytes(), source).expect_err("another header");
            assert_eq!(kind, ErrorKind::Data, "{message}");
            assert!(message.contains("where a record is expected"), "{header}: {message}");
        }
    }
    // Where nothing but text is read, too.
    for (header, is_same) in [("NAME,NOTE", true), ("Note,Name", false)] {
        let text = format!("name,note\nx,y\n{header}\nz,w\n");
        let result = outcome(text.as_bytes(), "type = \"csv\"\nmeasurements = []\nmax_rejects = 1");
        match result {
            Ok(report) => assert!(is_same && report.rejects.malformed == 1, "{header}"),
            Err((_, message)) => assert!(!is_same && message.contains("in another order"), "{message}"),
        }
    }
}

#[test]
fn clause_5_what_is_wrong_with_the_lines_before_the_records_names_the_option_that_says_them() {
    let said = |options: &str, text: &str| {
        let (_, message) =
            outcome(text.as_bytes(), &format!("type = \"csv\"\n{options}")).expect_err(options);
        message
    };
    for (options, what) in [
        ("skip_lines = 9", "has 2 lines, fewer than `skip_lines` says"),
        ("skip_lines = 9\nheader = false\nnames = [\"v\"]", "has 2 lines, fewer than `skip_lines` says"),
        ("header_row = 9", "has 2 lines, fewer than `header_row` says"),
        ("units_row = 9", "has 2 lines, fewer than `units_row` says"),
        ("data_row = 9", "has 2 lines, fewer than `data_row` says"),
        ("skip_lines = 2", "nothing follows the 2 skipped lines"),
    ] {
        assert!(said(options, "v\n1\n").contains(what), "{options}: {}", said(options, "v\n1\n"));
    }
    for (options, what) in [
        (
            "skip_lines = 3\nunits_row = 2",
            "`units_row` is line 2, which is not below the header (after `skip_lines`), line 4",
        ),
        (
            "skip_lines = 3\ndata_row = 4",
            "`data_row` is line 4, which is not below the header (after `skip_lines`), line 4",
        ),
        ("header_row = 3\nunits_row = 3", "`units_row` is line 3, which is not below `header_row`, line 3"),
        ("units_row = 4\ndata_row = 3", "`data_row` is line 3, which is not below `units_row`, line 4"),
        ("header_row = 0", "`header_row` is 0"),
        ("units_row = 1", "`units_row` is line 1, which is not below the header, line 1"),
    ] {
        assert!(said(options, "v\n1\n").contains(what), "{options}: {}", said(options, "v\n1\n"));
    }
}
