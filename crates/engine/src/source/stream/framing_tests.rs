//! Where streams are cut, for all line ends and encodings.

use serde_json::json;

use super::framing::Framing;
use super::odd_text::{Came, Placed, in_all_encodings};
use super::testing::{layout, plain};
use crate::source::Input;

fn framing() -> Framing {
    Framing::of_file("x".into(), "x".into())
}

#[test]
fn clause_5_no_cut_changes_records_or_their_places() {
    for written in in_all_encodings() {
        let whole = written.at_rest();
        for cut in 0..=written.bytes.len() {
            let (mut framing, mut came) = (framing(), Came::default());
            for piece in [&written.bytes[..cut], &written.bytes[cut..]] {
                framing.push(piece);
                came.add_all(&mut framing, &written.layout, false);
            }
            assert_eq!(came, whole, "cut at {cut}");
        }
    }
}

#[test]
fn clause_5_behind_a_record_that_is_rejected_wherever_it_is_cut_the_next_line_is_read() {
    for written in in_all_encodings() {
        let whole = written.at_rest();
        for cut in written.mark + 1..written.bytes.len() {
            for step in [1, 3, written.bytes.len()] {
                let (mut framing, mut came) = (framing(), Came::default());
                framing.push(&written.bytes[..cut]);
                came.add_all(&mut framing, &written.layout, false);
                let line = written.line_of(cut);
                // What may be the beginning of a line end, or of a character, belongs to the next bytes.
                let is_refused =
                    framing.has_begun() && written.lines.settled(&written.bytes[line.start..cut]) > 0;
                if is_refused {
                    came.add(framing.reject("too long", &written.layout));
                }
                for piece in written.bytes[cut..].chunks(step) {
                    framing.push(piece);
                    came.add_all(&mut framing, &written.layout, false);
                }
                let is_refused = |&at: &u64| is_refused && line.contains(&(at as usize));
                let good: Vec<_> =
                    whole.records.iter().filter(|(_, at, _)| !is_refused(at)).cloned().collect();
                assert_eq!(came.records, good, "rejected at {cut}, then {step} bytes at a time");
                let is_expected = |(_, at, why): &&Placed| {
                    if is_refused(at) { why == "too long" } else { why != "too long" }
                };
                assert!(came.aside.iter().all(|placed| is_expected(&placed)), "{cut}: {came:?}");
                assert_eq!(framing.offset().line, 1 + written.lines.line_ends(&written.bytes), "{cut}");
            }
        }
    }
}

#[test]
fn clause_5_what_is_appended_to_a_record_without_its_line_end_is_told_from_that_line_end() {
    for written in in_all_encodings() {
        let mark = &written.bytes[..written.mark];
        let next = written.other("T,b,2\n");
        // Read before, appended after, then the expected records and rejections, and the lines.
        let cases = [
            ("T,\u{a0a},1", "\n", 2, 0, 2),
            ("T,\u{a0a},1", "\r\n", 2, 0, 2),
            ("T,\u{a0a},1", "\r", 2, 0, 2),
            ("T,\u{a0a},1", "\u{a0a}\n", 2, 1, 2),
            ("T,\u{a0a},1", "0\r\n", 2, 1, 2),
            ("T,\u{a0a},1", "", 1, 1, 1),
            ("T,\u{a0a},1\r", "", 2, 0, 2),
            ("T,\u{a0a},1\r", "\n", 2, 0, 2),
        ];
        for (before, behind, records, aside, lines) in cases {
            for step in [1, 2, 100] {
                let (mut framing, mut came) = (framing(), Came::default());
                framing.push(&[mark, &written.other(before)].concat());
                came.add_all(&mut framing, &written.layout, true);
                assert_eq!(came.records.len(), 1);
                for piece in [written.other(behind), next.clone()].concat().chunks(step) {
                    framing.push(piece);
                    came.add_all(&mut framing, &written.layout, false);
                }
                let found = (came.records.len(), came.aside.len(), framing.offset().line);
                assert_eq!(
                    found,
                    (records, aside, 1 + lines),
                    "{before:?}, {behind:?}, {step} bytes at a time: {came:?}"
                );
            }
        }
    }
}

#[test]
fn clause_5_lines_that_end_with_carriage_returns_are_skipped_and_counted() {
    let (layout, mut framing, mut came) = (plain(), framing(), Came::default());
    framing.push(b"2026-01-01T00:00:00Z,a,1\r2026-01-01T");
    came.add_all(&mut framing, &layout, false);
    came.add(framing.reject("too long", &layout));
    framing.push(b"00:00:00Z,b,2\r2026-01-01T00:00:00Z,c,3\rx");
    came.add_all(&mut framing, &layout, false);
    assert_eq!(came.records, [(1, 0, "a".into()), (3, 50, "c".into())]);
    assert_eq!(came.aside, [(2, 25, "too long".into())]);
}

#[test]
fn clause_5_what_is_shown_of_a_record_that_is_rejected_is_utf_8() {
    for written in in_all_encodings() {
        let mut framing = framing();
        framing.push(&written.bytes[..written.mark + written.other("T,\u{a0a},").len()]);
        assert!(framing.take(&written.layout, false, 0).expect("taken").is_none());
        let rejected = framing.reject("too long", &written.layout);
        let Input::Records(decoded) = rejected else { unreachable!("it is rejected") };
        assert_eq!(decoded.rejections[0].raw, "2026-01-01T00:00:00Z,\u{a0a},".as_bytes());
    }
}

#[test]
fn clause_5_a_record_of_utf_16_may_be_as_long_as_in_utf_8() {
    for written in in_all_encodings() {
        let long = |length: usize| {
            let (mut framing, mut came) = (framing(), Came::default());
            let text = format!("T,{},{}1\n", "a".repeat(900), "0".repeat(length));
            let text =
                [&written.bytes[..written.mark], &*written.other(&text), &*written.other("T,b,2\n")].concat();
            for piece in text.chunks(500_001) {
                framing.push(piece);
                came.add_all(&mut framing, &written.layout, false);
            }
            (came.records.len(), came.aside.iter().map(|(_, _, why)| why.clone()).collect::<Vec<_>>())
        };
        // The decoder reports a field of this length; the record as a whole is not too long.
        assert_eq!(long(1 << 18), (1, vec!["field of 262145 bytes; 262144 are allowed".to_owned()]));
        assert_eq!(long(1_000_000), (1, vec!["field of 1000001 bytes; 262144 are allowed".to_owned()]));
        assert_eq!(long(3 << 20), (1, vec!["a record is longer than 1 MiB".to_owned()]));
    }
}

#[test]
fn a_header_that_waits_for_what_follows_it_is_no_record_where_nothing_does() {
    // Whether the last column has values determines whether it exists.
    let layout = layout(json!({}));
    let (mut framing, mut came) = (framing(), Came::default());
    framing.push(b"t,s,v,\n");
    came.add_all(&mut framing, &layout, false);
    assert!(!framing.has_begun() && framing.waiting() > 0);
    framing.expect_no_more();
    came.add_all(&mut framing, &layout, false);
    assert!(framing.has_begun() && framing.waiting() == 0);
    assert_eq!(came, Came::default());
}
