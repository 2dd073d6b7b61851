//! Properties, with the calendar library as the reference.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::testing::parser;
use super::*;

/// The result of the calendar library in nanoseconds; a time without an offset is UTC. It supports neither 24:00 nor a space before the
/// offset.
fn judge(text: &str) -> Option<i128> {
    let is_end_of_day = text.get(11..19) == Some("24:00:00")
        && !text[19..].split(['Z', 'z', '+', '-']).next()?.contains(|c| ('1'..='9').contains(&c));
    if is_end_of_day {
        let midnight = format!("{}00{}", &text[..11], &text[13..]);
        return judge(&midnight).map(|nanos| nanos + 86_400_000_000_000);
    }
    if let Some((clock, offset)) = text.get(..19).zip(text.get(19..)).filter(|(_, rest)| rest.contains(' ')) {
        return judge(&format!("{clock}{}", offset.replacen(' ', "", 1)));
    }
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let datetime = text.parse::<DateTime>().ok()?;
        Some(datetime.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(instant.as_nanosecond())
}

/// RFC 3339 in our form, mostly valid: every part may be just out of range.
fn rfc3339_text() -> impl Strategy<Value = String> {
    let date = (prop_oneof![8 => 1677..=2262_u32, 1 => 0..=9999_u32], 0..=13_u32, 0..=32_u32);
    let clock = (0..=24_u32, 0..=60_u32, 0..=59_u32);
    let tail = ("(\\.[0-9]{1,9})?", "(Z|z|[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9])?");
    (date, "[Tt ]", clock, tail).prop_map(|((y, mo, d), sep, (h, mi, s), (fraction, offset))| {
        format!("{y:04}-{mo:02}-{d:02}{sep}{h:02}:{mi:02}:{s:02}{fraction}{offset}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc3339_agrees_with_the_calendar(text in rfc3339_text()) {
        let ours = parser("rfc3339", None).parse(text.as_bytes()).ok().map(Timestamp::as_nanos);
        let theirs = judge(&text).and_then(|nanos| i64::try_from(nanos).ok());
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    /// For texts close to RFC 3339 our parser accepts fewer (no leap second, no shorter forms, offsets below 24 hours), but never with
    /// another result.
    #[test]
    fn garbage_is_refused_or_read_alike(text in rfc3339_text(), changes in prop::collection::vec((0..40_usize, "[ -~]?"), 1..4)) {
        let mut text = text;
        for (at, with) in changes {
            let at = at.min(text.len());
            text.replace_range(at..(at + 1).min(text.len()), &with);
        }
        if let Ok(time) = parser("rfc3339", None).parse(text.as_bytes()) {
            prop_assert_eq!(Some(i128::from(time.as_nanos())), judge(&text), "{}", text);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), digits in "[-+.0-9 :TZ]{0,40}") {
        for format in ["rfc3339", "s", "ns", "excel", "%d.%m.%Y %H:%M:%S%.f", "%FT%T%z", "%F %T %Q", "%s", "%Y %j %H%M", "%F %T %Z"] {
            for zone in [None, Some("America/New_York")] {
                let parser = parser(format, zone);
                let _ = parser.parse(&bytes);
                let _ = parser.parse(digits.as_bytes());
            }
        }
    }

    #[test]
    fn no_text_makes_a_pattern_panic(text in "[%a-zA-Z0-9.:_^# -]{0,12}") {
        let _ = TimeFormat::parse(&text);
        let _ = parse_duration(&text);
    }

    #[test]
    fn zones_agree_with_the_calendar(seconds in -3_000_000_000..7_000_000_000_i64, nanos in 0..1_000_000_000_i32) {
        let instant = jiff::Timestamp::new(seconds, 0).expect("in range");
        let datetime = TimeZone::UTC.to_datetime(instant).with().subsec_nanosecond(nanos).build().expect("a datetime");
        let zone = TimeZone::get("America/New_York").expect("compiled in");
        let theirs = datetime.to_zoned(zone).expect("in range").timestamp().as_nanosecond();
        let ours = parser("rfc3339", Some("America/New_York")).parse(datetime.to_string().as_bytes());
        prop_assert_eq!(ours.map(|time| i128::from(time.as_nanos())), Ok(theirs), "{}", datetime);
    }

    #[test]
    fn written_reads_back(nanos in prop_oneof![any::<i64>(), (-9_000_000_000..9_000_000_000_i64).prop_map(|s| s * 1_000_000_000), any::<i32>().prop_map(|m| i64::from(m) * 1_000_000), any::<i32>().prop_map(i64::from)]) {
        let time = Timestamp::from_nanos(nanos);
        let mut out = b"before ".to_vec();
        time.write_rfc3339(&mut out);
        let written = &out[7..];
        prop_assert_eq!(parser("rfc3339", None).parse(written), Ok(time));
        prop_assert!(matches!(written.len(), 20 | 24 | 27 | 30));
        prop_assert!(!written.ends_with(b"000Z") || !written.contains(&b'.'), "not the shortest");
        prop_assert_eq!(judge(&time.to_string()), Some(i128::from(nanos)));
    }

    #[test]
    fn epochs_are_exact(nanos in any::<i64>()) {
        let time = Timestamp::from_nanos(nanos);
        for (format, unit) in [("s", 1_000_000_000_u64), ("ms", 1_000_000), ("us", 1_000)] {
            let (whole, fraction) = (nanos.unsigned_abs() / unit, nanos.unsigned_abs() % unit);
            let width = unit.ilog10() as usize;
            let text = format!("{}{whole}.{fraction:0width$}", if nanos < 0 { "-" } else { "" });
            prop_assert_eq!(parser(format, None).parse(text.as_bytes()), Ok(time), "{}", text);
        }
        prop_assert_eq!(parser("ns", None).parse(nanos.to_string().as_bytes()), Ok(time));
    }

    #[test]
    fn numbers_with_exponents_are_those_without(nanos in any::<i64>(), shift in -8..12_i32) {
        // The point moved by `shift` digits, and moved back by the exponent.
        let digits = format!("{:0>40}", nanos.unsigned_abs());
        let point = (digits.len() as i32 - 9 - shift) as usize;
        let sign = if nanos < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{}e{shift}", &digits[..point], &digits[point..]);
        prop_assert_eq!(parser("s", None).parse(text.as_bytes()), Ok(Timestamp::from_nanos(nanos)), "{}", text);
    }

    #[test]
    fn other_forms_agree_with_the_calendar(seconds in -9_000_000_000..9_000_000_000_i64, fraction in "([.,][0-9]{1,9})?", offset in "(Z|[+-](0[0-9]|1[0-9]|2[0-3])([0-5][0-9])?)?", space in "[Tt ]?") {
        let written = Timestamp::from_nanos(seconds * 1_000_000_000).to_string();
        let head = &written[..19];
        let colons = match offset.len() {
            3 => format!("{offset}:00"),
            5 => format!("{}:{}", &offset[..3], &offset[3..]),
            _ => offset.clone(),
        };
        let judged = judge(&format!("{head}{}{colons}", fraction.replace(',', "."))).and_then(|nanos| i64::try_from(nanos).ok());
        let digits: String = head.chars().filter(char::is_ascii_digit).collect();
        for text in [format!("{head}{fraction}{offset}"), format!("{}{space}{}{fraction}{offset}", &digits[..8], &digits[8..])] {
            let ours = parser("rfc3339", None).parse(text.as_bytes()).ok().map(Timestamp::as_nanos);
            prop_assert_eq!(ours, judged, "{}", text);
        }
    }

    #[test]
    fn days_are_the_nearest_millisecond(days in 1..130_000_i64, millis in 0..86_400_000_i64) {
        // As a float is displayed: the shortest text that parses to it.
        let serial = days as f64 + millis as f64 / 86_400_000.0;
        let time = parser("excel", None).parse(serial.to_string().as_bytes()).expect("a day");
        prop_assert_eq!(time.as_nanos(), ((days - 25_569) * 86_400_000 + millis) * 1_000_000, "{}", serial);
    }

    #[test]
    fn what_is_shown_twice_is_what_the_calendar_says(seconds in -3_000_000_000..7_000_000_000_i64, near in any::<bool>()) {
        let zone = TimeZone::get("America/New_York").expect("compiled in");
        let at = jiff::Timestamp::new(seconds, 0).expect("in range");
        // Most times are far from any clock change.
        let turn = zone.following(at).next().map(|next| next.timestamp()).expect("there is always one more");
        let at = if near { turn + jiff::Span::new().seconds(seconds % 7_200) } else { at };
        let shown = zone.to_ambiguous_timestamp(zone.to_datetime(at));
        let (first, last) = (shown.earlier().expect("in range"), shown.later().expect("in range"));
        let expected = (first == at && last != at).then_some(last.as_nanosecond());
        let mut folds = parser("rfc3339", Some("America/New_York")).folds().expect("folds");
        let ours = folds.second(Timestamp::from_nanos(at.as_nanosecond() as i64));
        prop_assert_eq!(ours.map(|time| i128::from(time.as_nanos())), expected, "{}", at);
    }

    #[test]
    fn durations_read_back(nanos in 1..=i64::MAX) {
        prop_assert_eq!(parse_duration(&format_duration(nanos)), Ok(nanos));
    }
}
